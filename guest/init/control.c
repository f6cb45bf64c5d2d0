#define _GNU_SOURCE
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PORT_NAME "ingot.control"

int open_control(void) {
    DIR *ports = opendir("/sys/class/virtio-ports");
    if (ports == NULL) return -1;
    int control = -1;
    for (struct dirent *entry; control < 0 && (entry = readdir(ports)) != NULL;) {
        char path[300], name[64] = "";
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t length = read(fd, name, sizeof name - 1);
        close(fd);
        if (length <= 0 || strncmp(name, PORT_NAME "\n", (size_t)length) != 0) continue;
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        control = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    closedir(ports);
    /* Nobody may be listening: then the guest keeps the clock chip's whole seconds. */
    if (control >= 0 && write(control, "time?\n", 6) < 0 && errno != EAGAIN) say("control channel: %m");
    return control;
}

static int time_was_set = 0;
static int stop_was_asked = 0;

static void obey(const char *line) {
    if (strcmp(line, "stop") == 0) stop_was_asked = 1;
    if (strncmp(line, "time ", 5) != 0) return;
    long long nanoseconds = atoll(line + 5);
    struct timespec now = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    if (nanoseconds > 0 && clock_settime(CLOCK_REALTIME, &now) == 0) time_was_set = 1;
}

/* Obeys every whole line that has come. */
static void take_in(int control) {
    static char line[128];
    static size_t length = 0;
    char bytes[256];
    for (ssize_t got; (got = read(control, bytes, sizeof bytes)) > 0;) {
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] != '\n') {
                if (length < sizeof line - 1) line[length++] = bytes[i];
                continue;
            }
            line[length] = '\0';
            length = 0;
            obey(line);
        }
    }
}

int read_control(int control) {
    take_in(control);
    int stop = stop_was_asked;
    stop_was_asked = 0;
    return stop;
}

void await_time(int control, int timeout_ms) {
    struct pollfd port = {.fd = control, .events = POLLIN};
    /* A request to stop that comes with it is kept for when there is an app to stop. */
    if (control >= 0 && !time_was_set && poll(&port, 1, timeout_ms) == 1 && (port.revents & POLLIN) != 0)
        take_in(control);
}
