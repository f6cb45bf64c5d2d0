#define _GNU_SOURCE
#include "init.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DRIVE_WAIT_MS = 3000, POLL_MS = 5 };

void mount_kernel_filesystems(void) {
    mount("dev", "/dev", "devtmpfs", MS_NOSUID, NULL);
    open_console();
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("mount /proc: %m");
    if (mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("mount /sys: %m");
}

static int is_module(const struct dirent *entry) { return strstr(entry->d_name, ".ko") != NULL; }

void load_modules(void) {
    struct dirent **entries;
    int count = scandir("/modules", &entries, is_module, alphasort);
    if (count < 0) fail("the initrd has no /modules");
    for (int i = 0; i < count; i++) {
        char path[300];
        snprintf(path, sizeof path, "/modules/%s", entries[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) fail("load %s: %m", path);
        close(fd);
        unlink(path); /* the initrd lives in memory: give it back */
    }
}

/* Finds the block device with this serial; true when found. */
static int find_drive(const char *serial, char *path, size_t path_size) {
    DIR *devices = opendir("/sys/block");
    if (devices == NULL) return 0;
    int found = 0;
    for (struct dirent *entry; !found && (entry = readdir(devices)) != NULL;) {
        char file[300], value[64] = "";
        snprintf(file, sizeof file, "/sys/block/%s/serial", entry->d_name);
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t length = read(fd, value, sizeof value - 1);
        close(fd);
        if (length < 0) continue;
        value[strcspn(value, "\n")] = '\0';
        found = strcmp(value, serial) == 0;
        if (found) snprintf(path, path_size, "/dev/%s", entry->d_name);
    }
    closedir(devices);
    return found;
}

int open_drive(const char *serial, int flags, char *path, size_t path_size) {
    for (int waited = 0; waited < DRIVE_WAIT_MS; waited += POLL_MS) {
        if (find_drive(serial, path, path_size)) {
            int fd = open(path, flags | O_CLOEXEC);
            if (fd >= 0) return fd;
            if (errno != ENOENT && errno != ENXIO) fail("open the drive \"%s\": %m", serial);
        }
        usleep(POLL_MS * 1000);
    }
    fail("the VMM gave no drive \"%s\"", serial);
}

void mount_root(void) {
    char image[300], disk[300];
    close(open_drive("rootfs", O_RDONLY, image, sizeof image));
    close(open_drive("overlay", O_RDWR, disk, sizeof disk));
    if (mount(image, "/mnt/image", "squashfs", MS_RDONLY, NULL) != 0) fail("mount the root file system: %m");
    if (mount(disk, "/mnt/disk", "ext4", MS_NOATIME, NULL) != 0) fail("mount the VM's disk: %m");
    if (mkdir("/mnt/disk/upper", 0755) != 0 && errno != EEXIST) fail("mkdir on the VM's disk: %m");
    if (mkdir("/mnt/disk/work", 0755) != 0 && errno != EEXIST) fail("mkdir on the VM's disk: %m");
    /* The root directory's own mode comes from the upper layer. */
    struct stat root;
    if (stat("/mnt/image", &root) == 0) chmod("/mnt/disk/upper", root.st_mode & 07777);
    if (mount("overlay", ROOT, "overlay", 0, "lowerdir=/mnt/image,upperdir=/mnt/disk/upper,workdir=/mnt/disk/work") != 0)
        fail("mount the overlay: %m");
}

void unmount_root(void) {
    sync();
    umount2(ROOT, MNT_DETACH);
    umount2("/mnt/disk", MNT_DETACH);
}

/* Sets one address of an interface. */
static void set_address(int sock, const char *name, unsigned long request, struct in_addr address) {
    struct ifreq change = {0};
    struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr = address};
    strncpy(change.ifr_name, name, IFNAMSIZ - 1);
    memcpy(&change.ifr_addr, &value, sizeof value);
    if (ioctl(sock, request, &change) != 0) fail("set an address of %s: %m", name);
}

static void bring_up(int sock, const char *name) {
    struct ifreq change = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strncpy(change.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(sock, SIOCSIFFLAGS, &change) != 0) fail("bring %s up: %m", name);
}

/* The environment docker gives: any user may listen on any port and may ping. */
static void write_setting(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, value, strlen(value)) < 0) say("cannot set %s: %m", path);
    close(fd);
}

void configure_network(const struct config *config) {
    if (sethostname(config->hostname, strlen(config->hostname)) != 0) fail("set the host name: %m");
    write_setting("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    write_setting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0) fail("socket: %m");
    bring_up(sock, "lo");
    char text[64];
    snprintf(text, sizeof text, "%s", config->address);
    char *slash = strchr(text, '/');
    int prefix = slash == NULL ? -1 : atoi(slash + 1);
    if (slash != NULL) *slash = '\0';
    struct in_addr address, gateway;
    if (prefix < 1 || prefix > 32 || inet_pton(AF_INET, text, &address) != 1)
        fail("not an IPv4 address with prefix: \"%s\"", config->address);
    if (inet_pton(AF_INET, config->gateway, &gateway) != 1) fail("not an IPv4 gateway: \"%s\"", config->gateway);
    struct in_addr mask = {.s_addr = htonl(~0u << (32 - prefix))};
    set_address(sock, "eth0", SIOCSIFADDR, address);
    set_address(sock, "eth0", SIOCSIFNETMASK, mask);
    bring_up(sock, "eth0");
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_in via = {.sin_family = AF_INET, .sin_addr = gateway};
    memcpy(&route.rt_dst, &any, sizeof any);
    memcpy(&route.rt_genmask, &any, sizeof any);
    memcpy(&route.rt_gateway, &via, sizeof via);
    if (ioctl(sock, SIOCADDRT, &route) != 0) fail("set the default route: %m");
    close(sock);
}
