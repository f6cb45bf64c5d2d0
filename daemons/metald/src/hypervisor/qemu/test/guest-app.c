/* The app of test VMs: its first argument says what it does. */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void on_term(int signal_number) {
    (void)signal_number;
    _exit(7);
}

/* Prints what the app sees of its surroundings, one fact a line. */
static void describe(void) {
    char text[4096];
    gid_t groups[32];
    int count = getgroups(32, groups);
    struct timespec now;
    printf("ids=%d:%d", getuid(), getgid());
    for (int i = 0; i < count; i++) printf(" %d", groups[i]);
    printf("\ncwd=%s\n", getcwd(text, sizeof text));
    for (char **setting = environ; *setting != NULL; setting++) printf("env:%s\n", *setting);
    gethostname(text, sizeof text);
    printf("hostname=%s\n", text);
    clock_gettime(CLOCK_REALTIME, &now);
    printf("time=%lld.%03ld\n", (long long)now.tv_sec, now.tv_nsec / 1000000);
    static const char *const files[] = {"/etc/hosts", "/etc/resolv.conf", "/proc/self/status", "/proc/net/route"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        FILE *file = fopen(files[i], "r");
        while (file != NULL && fgets(text, sizeof text, file) != NULL) printf("%s: %s", files[i], text);
        if (file != NULL) fclose(file);
    }
    fflush(stdout);
    int again = open("/dev/stdout", O_WRONLY);
    dprintf(again, "through /dev/stdout\n");
    dprintf(2, "to stderr\n");
    printf("vda %s\n", access("/dev/vda", F_OK) == 0 ? "visible" : "hidden");
    printf("write %s\n", mkdir("/written", 0755) == 0 ? "works" : "fails");
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "serve") == 0) {
        signal(SIGTERM, on_term);
        printf("ready\n");
        fflush(stdout);
        for (;;) pause();
    }
    if (strcmp(what, "exit") == 0) {
        printf("bye\n");
        return argc > 2 ? atoi(argv[2]) : 0;
    }
    if (strcmp(what, "kill-itself") == 0) {
        /* An orphan that outlives it and would hold the log open for ever. */
        if (fork() == 0)
            for (;;) pause();
        raise(SIGKILL);
    }
    if (strcmp(what, "describe") == 0) describe();
    return 0;
}
