/* PID 1 of every Ingot microVM. README.md tells the boot step by step and the mailbox format. */
#ifndef INGOT_INIT_H
#define INGOT_INIT_H

#include <stddef.h>
#include <sys/types.h>

/* Exit codes for an app that could not be run, as docker has them. */
enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

/* ---- config.c: what the host wrote for this VM on the mailbox drive ---- */

struct config {
    char **args; /* NULL-terminated, at least one */
    char **env;  /* NULL-terminated, KEY=value; of two with the same key the later one counts */
    size_t env_count;
    const char *cwd;  /* absolute */
    const char *user; /* as in `docker run --user`; empty is root */
    const char *hostname;
    const char *address; /* IPv4 address/prefix length */
    const char *gateway;
    char **nameservers; /* NULL-terminated */
};

/* Reads the configuration; does not return when it is not whole. */
void read_config(int mailbox, struct config *config);

/* ---- report.c: how init tells the host, and the reader of the log, how it went ---- */

extern int console_fd; /* the serial console, which is the app's log */
extern int mailbox_fd; /* the mailbox drive, or -1 while it is not open */

/* Opens the serial console so that bytes pass unchanged. */
void open_console(void);
/* Writes all of it to the console; blocks while the console is slow. */
void write_console(const char *bytes, size_t length);
/* Writes one line of init's own to the console. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Which kernel messages reach the console: those below this level; 0 is none. */
void set_kernel_log_level(int level);
/* Writes the exit report: an exit code (-1 for none) and why the app could not run (NULL for nothing). */
void write_report(int exit_code, const char *error);
/* Ends this VM because init cannot go on: says so on the console and in the report. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Ends this VM. Everything worth keeping is on disk by now. */
void power_off(void) __attribute__((noreturn));

/* ---- system.c: the guest around the app ---- */

void mount_kernel_filesystems(void);
/* Loads /modules/NN-*.ko in the order of their names. */
void load_modules(void);
/* Opens the drive the VMM gave this serial; does not return when there is none. */
int open_drive(const char *serial, int flags, char *path, size_t path_size);
/* Puts the overlay together at ROOT from the read-only image and the VM's own disk. */
void mount_root(void);
/* Takes it apart again, so that the disk is clean. */
void unmount_root(void);
/* Sets the host name and brings lo and eth0 up. */
void configure_network(const struct config *config);

#define ROOT "/mnt/root"

/* ---- image.c: makes ROOT the root of the calling process and furnishes it; fails through app_fail ---- */

void enter_image(const struct config *config);
/* mkdir -p; 0 or -1 with errno. */
int make_directories(const char *path);

/* ---- user.c ---- */

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[256];
    size_t group_count;
    char home[4096];
};

/* Resolves a user as docker does against /etc/passwd and /etc/group of the image. NULL, or why not. */
const char *resolve_user(const char *user, struct identity *identity);

/* ---- app.c ---- */

/* Starts the app; its output comes out of *log_fd. Answers its pid; ends the VM when it cannot run. */
pid_t start_app(const struct config *config, int *log_fd);
/* For the child between fork and exec: tells init why the app cannot run, and ends the child. */
void app_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* ---- control.c: the channel to the host; lines of text, see README.md ---- */

/* Opens the channel if it is there and asks the host for the time. Answers its descriptor or -1. */
int open_control(void);
/* Waits at most this long for the host's time. */
void await_time(int control, int timeout_ms);
/* Takes in what the host sent; answers true when it asks for the app to end. */
int read_control(int control);

/* ---- supervise.c ---- */

/* Relays the log, reaps, forwards SIGTERM; answers the app's exit code once nothing runs any more. */
int supervise(pid_t app, int log_fd, int control);

#endif
