#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

int console_fd = -1;
int mailbox_fd = -1;

void open_console(void) {
    console_fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios mode;
    if (console_fd < 0 || tcgetattr(console_fd, &mode) != 0) return;
    /* Raw: a log must not have its line ends rewritten. */
    cfmakeraw(&mode);
    tcsetattr(console_fd, TCSANOW, &mode);
}

void write_console(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(console_fd, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        bytes += written;
        length -= (size_t)written;
    }
}

static void say_line(const char *message) {
    write_console("ingot: ", 7);
    write_console(message, strlen(message));
    write_console("\n", 1);
}

void say(const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    say_line(message);
}

void set_kernel_log_level(int level) {
    int fd = open("/proc/sys/kernel/printk", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (dprintf(fd, "%d", level) < 0) say("set the kernel's log level: %m");
    close(fd);
}

void write_report(int exit_code, const char *error) {
    if (mailbox_fd < 0) return;
    char report[4096] = "INGOTRP1";
    size_t at = 8;
    if (exit_code >= 0) at += (size_t)sprintf(report + at, "exit=%d", exit_code) + 1;
    if (error != NULL) snprintf(report + at, sizeof report - at - 1, "error=%s", error);
    if (pwrite(mailbox_fd, report, sizeof report, 0) < 0) say("cannot write the exit report: %m");
}

void fail(const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    say_line(message);
    write_report(-1, message);
    power_off();
}

void power_off(void) {
    if (console_fd >= 0) tcdrain(console_fd);
    sync();
    set_kernel_log_level(0); /* "Power down" is not the app's word */
    reboot(RB_POWER_OFF);
    /* Not reached where ACPI works; the VMM runs with -no-reboot, so this ends the VM as well. */
    reboot(RB_AUTOBOOT);
    for (;;) pause();
}
