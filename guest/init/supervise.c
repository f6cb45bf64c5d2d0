#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL_RETRY_MS = 200 };

/* Copies what the log pipe holds to the console; false once every writer has closed it. */
static int relay(int log_fd) {
    char bytes[4096];
    for (;;) {
        ssize_t got = read(log_fd, bytes, sizeof bytes);
        if (got == 0) return 0;
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        write_console(bytes, (size_t)got);
        /* A whole buffer means more may wait; the caller comes back after looking at the rest. */
        if ((size_t)got == sizeof bytes) return 1;
    }
}

/* Reaps whatever has ended; true once the app itself is among it. */
static int reap(pid_t app, int *exit_code) {
    int status, ended = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != app) continue;
        ended = 1;
        *exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return ended;
}

static void watch(int set, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll: %m");
}

int supervise(pid_t app, int log_fd, int control) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    int set = epoll_create1(EPOLL_CLOEXEC);
    if (children < 0 || set < 0) fail("epoll: %m");
    fcntl(log_fd, F_SETFL, O_NONBLOCK);
    watch(set, log_fd, EPOLLIN);
    watch(set, children, EPOLLIN);
    /* Edge-triggered: the port reports "hung up" for as long as no host is connected. */
    if (control >= 0) watch(set, control, EPOLLIN | EPOLLET);
    /* The host may have asked before there was an app. */
    if (control >= 0 && read_control(control)) kill(app, SIGTERM);

    int exit_code = 0;
    for (int running = 1; running;) {
        struct epoll_event event;
        int count = epoll_wait(set, &event, 1, control < 0 ? CONTROL_RETRY_MS : -1);
        if (control < 0 && (control = open_control()) >= 0) watch(set, control, EPOLLIN | EPOLLET);
        if (count <= 0) continue;
        if (event.data.fd == log_fd) {
            if (!relay(log_fd)) epoll_ctl(set, EPOLL_CTL_DEL, log_fd, NULL);
        } else if (event.data.fd == children) {
            struct signalfd_siginfo info;
            while (read(children, &info, sizeof info) > 0) continue;
            running = !reap(app, &exit_code);
        } else if (read_control(control)) {
            kill(app, SIGTERM);
        }
    }
    /* As when a container ends: what the app left running ends with it, what it wrote is kept. */
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
    fcntl(log_fd, F_SETFL, 0);
    while (relay(log_fd)) continue;
    return exit_code;
}
