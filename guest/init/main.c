/* PID 1: the boot, top to bottom. Each step either works or ends the VM with a reason. */
#define _GNU_SOURCE
#include "init.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* How long the app's start may wait for the host's clock. */
enum { TIME_WAIT_MS = 50 };

/* Kernel messages below this level are errors and worse: an app killed for want of memory, say. */
enum { LOG_ERRORS = 4 };

int main(int argc, char **argv) {
    mount_kernel_filesystems();
    if (argc > 1 && strcmp(argv[1], "probe") == 0) {
        /* The host asks only whether a guest runs at all under its accelerator. */
        write_console("ingot-probe-ok\n", 15);
        power_off();
    }
    /* Before any child exists, so that no SIGCHLD is missed. */
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);

    load_modules();
    static char mailbox[300];
    mailbox_fd = open_drive("mailbox", O_RDWR | O_SYNC, mailbox, sizeof mailbox);
    static struct config config;
    read_config(mailbox_fd, &config);
    mount_root();
    configure_network(&config);
    int control = open_control();
    await_time(control, TIME_WAIT_MS);

    set_kernel_log_level(LOG_ERRORS);
    int log_fd;
    pid_t app = start_app(&config, &log_fd);
    int exit_code = supervise(app, log_fd, control);
    unmount_root();
    write_report(exit_code, NULL);
    power_off();
}
