#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Written by a child whose app cannot run; the pipe closes unwritten when exec works. */
struct failure {
    int exit_code;
    char message[1000];
};

static int failure_fd = -1;

void app_fail(int exit_code, const char *format, ...) {
    struct failure failure = {.exit_code = exit_code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure.message, sizeof failure.message, format, arguments);
    va_end(arguments);
    if (write(failure_fd, &failure, sizeof failure) < 0) _exit(1);
    _exit(0);
}

static const char *get_env(const struct config *config, const char *key) {
    size_t length = strlen(key);
    for (char **setting = config->env; *setting != NULL; setting++) {
        if (strncmp(*setting, key, length) == 0 && (*setting)[length] == '=') return *setting + length + 1;
    }
    return NULL;
}

/* The app's environment: the configured one, and what docker adds where it is silent. */
static char **complete_env(const struct config *config, const char *home) {
    char **env = calloc(config->env_count + 4, sizeof *env);
    if (env == NULL) app_fail(-1, "out of memory");
    size_t count = 0;
    for (; count < config->env_count; count++) env[count] = config->env[count];
    if (get_env(config, "PATH") == NULL) env[count++] = "PATH=" DEFAULT_PATH;
    if (get_env(config, "HOSTNAME") == NULL && asprintf(&env[count], "HOSTNAME=%s", config->hostname) > 0) count++;
    const char *own_home = get_env(config, "HOME");
    if ((own_home == NULL || own_home[0] == '\0') && asprintf(&env[count], "HOME=%s", home) > 0) count++;
    return env;
}

/* Gives up every capability docker does not give either. Exec then cannot bring them back. */
static void drop_capabilities(void) {
    /* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW
     * SYS_CHROOT AUDIT_WRITE SETFCAP: docker's own but MKNOD, which would lead to the drives. */
    static const int kept[] = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31};
    for (int capability = 0; capability < 64; capability++) {
        int keep = 0;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) keep |= kept[i] == capability;
        if (!keep && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
            if (errno == EINVAL) return; /* past the last one this kernel knows */
            app_fail(-1, "drop a capability: %m");
        }
    }
}

static void become(const struct identity *identity) {
    drop_capabilities();
    gid_t groups[257];
    memcpy(groups, identity->groups, identity->group_count * sizeof *groups);
    groups[identity->group_count] = identity->gid;
    if (setgroups(identity->group_count + 1, groups) != 0 ||
        setresgid(identity->gid, identity->gid, identity->gid) != 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) != 0)
        app_fail(-1, "become user %u: %m", (unsigned)identity->uid);
}

/* What a fresh process may expect: no blocked or ignored signal, docker's limits. */
static void reset_process(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
    struct rlimit files = {.rlim_cur = 1024, .rlim_max = 524288};
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0", 1) == 1) close(fd);
    umask(022);
    setsid();
}

static const char *reason_of(int error) {
    switch (error) {
    case ENOEXEC: return "the file is no program for this CPU, or a script without #!";
    case EACCES: return "permission denied: is it executable by the app's user?";
    default: return strerror(error);
    }
}

/* Runs the app, looking its name up in PATH as a shell would. */
static void exec_app(const struct config *config, char **env) {
    const char *name = config->args[0];
    if (strchr(name, '/') != NULL) {
        execve(name, config->args, env);
        int missing = errno == ENOENT || errno == ENOTDIR;
        if (missing && access(name, F_OK) == 0)
            app_fail(EXIT_NOT_FOUND, "cannot run %s: the interpreter it names is not in the image", name);
        app_fail(missing ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, "cannot run %s: %s", name, reason_of(errno));
    }
    const char *path = get_env(config, "PATH");
    if (path == NULL) path = DEFAULT_PATH;
    int problem = ENOENT;
    for (const char *at = path; name[0] != '\0';) {
        size_t length = strcspn(at, ":");
        char file[4400];
        snprintf(file, sizeof file, "%.*s%s%s", (int)length, at, length == 0 ? "./" : "/", name);
        execve(file, config->args, env);
        if (errno != ENOENT && errno != ENOTDIR) problem = errno;
        if (at[length] == '\0') break;
        at += length + 1;
    }
    if (problem == ENOENT) app_fail(EXIT_NOT_FOUND, "cannot run %s: not found in PATH (%s)", name, path);
    app_fail(EXIT_CANNOT_RUN, "cannot run %s: %s", name, reason_of(problem));
}

/* Everything between fork and exec. */
static void run_child(const struct config *config, int output) {
    static struct identity identity;
    reset_process();
    enter_image(config);
    const char *problem = resolve_user(config->user, &identity);
    if (problem != NULL) app_fail(-1, "%s", problem);
    /* So that the app may open /dev/stdout again. */
    if (fchown(output, identity.uid, identity.gid) != 0) app_fail(-1, "give the log to the app's user: %m");
    int input = open("/dev/null", O_RDONLY);
    if (input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        app_fail(-1, "connect the app's output: %m");
    if (input > 2) close(input);
    if (make_directories(config->cwd) != 0 || chdir(config->cwd) != 0)
        app_fail(EXIT_CANNOT_RUN, "cannot enter the working directory %s: %m", config->cwd);
    char **env = complete_env(config, identity.home);
    become(&identity);
    exec_app(config, env);
}

pid_t start_app(const struct config *config, int *log_fd) {
    int log[2], failing[2];
    if (pipe2(log, O_CLOEXEC) != 0 || pipe2(failing, O_CLOEXEC) != 0) fail("pipe: %m");
    failure_fd = failing[1];
    pid_t pid = fork();
    if (pid < 0) fail("fork: %m");
    if (pid == 0) run_child(config, log[1]);
    close(log[1]);
    close(failing[1]);
    struct failure failure;
    if (read(failing[0], &failure, sizeof failure) == (ssize_t)sizeof failure) {
        waitpid(pid, NULL, 0);
        failure.message[sizeof failure.message - 1] = '\0';
        say("%s", failure.message);
        write_report(failure.exit_code, failure.message);
        unmount_root();
        power_off();
    }
    close(failing[0]);
    *log_fd = log[0];
    return pid;
}
