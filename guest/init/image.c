#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int make_directories(const char *path) {
    char part[4097];
    size_t length = strlen(path);
    if (length >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) return -1;
    }
    return 0;
}

static void mount_at(const char *type, const char *target, unsigned long flags, const char *data) {
    if (make_directories(target) != 0 || mount(type, target, type, flags, data) != 0)
        app_fail(-1, "mount %s on %s: %m", type, target);
}

/* Device nodes as docker gives them: none leads to a drive of this VM. */
static void furnish_dev(void) {
    static const struct {
        const char *path;
        unsigned major, minor;
    } nodes[] = {
        {"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7},
        {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
    };
    static const struct {
        const char *path, *target;
    } links[] = {
        {"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
        {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/ptmx", "pts/ptmx"}, {"/dev/core", "/proc/kcore"},
    };
    mount_at("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=64k");
    mode_t mask = umask(0); /* any user may write to /dev/null */
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) != 0)
            app_fail(-1, "make %s: %m", nodes[i].path);
    }
    umask(mask);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (symlink(links[i].target, links[i].path) != 0) app_fail(-1, "make %s: %m", links[i].path);
    }
    mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
    mount_at("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Replaces a file, also where the image has a link that leads nowhere. */
static void write_file(const char *path, const char *text) {
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) app_fail(-1, "write %s: %m", path);
    close(fd);
}

static void furnish_etc(const struct config *config) {
    char text[4096];
    if (make_directories("/etc") != 0) app_fail(-1, "make /etc: %m");
    snprintf(text, sizeof text, "%s\n", config->hostname);
    write_file("/etc/hostname", text);
    snprintf(text, sizeof text,
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%.*s\t%s\n",
             (int)strcspn(config->address, "/"), config->address, config->hostname);
    write_file("/etc/hosts", text);
    size_t at = 0;
    text[0] = '\0';
    for (char **server = config->nameservers; *server != NULL && at < sizeof text - 128; server++)
        at += (size_t)snprintf(text + at, sizeof text - at, "nameserver %.100s\n", *server);
    write_file("/etc/resolv.conf", text);
}

void enter_image(const struct config *config) {
    /* A mount namespace of the app's own: init stays outside and can unmount the disk in the end. */
    if (unshare(CLONE_NEWNS) != 0 || chdir(ROOT) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 ||
        chroot(".") != 0 || chdir("/") != 0)
        app_fail(-1, "enter the image: %m");
    mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    furnish_dev();
    furnish_etc(config);
}
