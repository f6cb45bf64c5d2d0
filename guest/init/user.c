#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 7 };

/* Cuts a line of passwd or group at its colons; answers how many fields there are. */
static size_t split(char *line, char *fields[FIELDS]) {
    size_t count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *field; count < FIELDS && (field = strsep(&line, ":")) != NULL;) fields[count++] = field;
    return count;
}

/* A user or group id in decimal; true when `text` is one and nothing else. */
static int parse_id(const char *text, unsigned *id) {
    char *end;
    if (text[0] < '0' || text[0] > '9') return 0;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || errno != 0 || value > 0x7fffffffUL) return 0;
    *id = (unsigned)value;
    return 1;
}

/* Looks a user up by name, else by number. Fills `name` (empty when there is no entry). */
static const char *find_user(const char *user, struct identity *identity, char *name, size_t name_size) {
    static char problem[400];
    unsigned wanted = 0;
    int numeric = parse_id(user, &wanted);
    char *line = NULL, *fields[FIELDS];
    size_t size = 0;
    int found = 0;
    FILE *file = fopen("/etc/passwd", "re");
    while (!found && file != NULL && getline(&line, &size, file) > 0) {
        unsigned uid, gid;
        if (split(line, fields) < 6 || !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid)) continue;
        if (strcmp(fields[0], user) != 0 && !(numeric && uid == wanted)) continue;
        found = 1;
        identity->uid = uid;
        identity->gid = gid;
        snprintf(name, name_size, "%s", fields[0]);
        if (fields[5][0] != '\0') snprintf(identity->home, sizeof identity->home, "%s", fields[5]);
    }
    if (file != NULL) fclose(file);
    free(line);
    if (found) return NULL;
    if (numeric) {
        identity->uid = wanted;
        return NULL;
    }
    snprintf(problem, sizeof problem, "no such user: %s (not in the image's /etc/passwd)", user);
    return problem;
}

static int is_member(char *members, const char *name) {
    for (char *member; (member = strsep(&members, ",")) != NULL;) {
        if (strcmp(member, name) == 0) return 1;
    }
    return 0;
}

/* With `group` its id is the primary one; without, every group that lists the user is added. */
static const char *find_groups(const char *group, const char *name, struct identity *identity) {
    static char problem[400];
    unsigned wanted = 0;
    int numeric = group != NULL && parse_id(group, &wanted);
    int found = numeric;
    if (numeric) identity->gid = wanted;
    char *line = NULL, *fields[FIELDS];
    size_t size = 0;
    FILE *file = fopen("/etc/group", "re");
    while (file != NULL && getline(&line, &size, file) > 0) {
        unsigned gid;
        size_t count = split(line, fields);
        if (count < 3 || !parse_id(fields[2], &gid)) continue;
        if (group != NULL) {
            if (found || strcmp(fields[0], group) != 0) continue;
            found = 1;
            identity->gid = gid;
        } else if (count > 3 && name[0] != '\0' && is_member(fields[3], name) &&
                   identity->group_count < sizeof identity->groups / sizeof *identity->groups) {
            identity->groups[identity->group_count++] = gid;
        }
    }
    if (file != NULL) fclose(file);
    free(line);
    if (group == NULL || found) return NULL;
    snprintf(problem, sizeof problem, "no such group: %s (not in the image's /etc/group)", group);
    return problem;
}

const char *resolve_user(const char *user, struct identity *identity) {
    char spec[256], name[256] = "";
    *identity = (struct identity){.home = "/"};
    snprintf(spec, sizeof spec, "%s", user);
    char *group = strchr(spec, ':');
    if (group != NULL) *group++ = '\0';
    if (group != NULL && group[0] == '\0') group = NULL;
    const char *problem = find_user(spec[0] == '\0' ? "0" : spec, identity, name, sizeof name);
    return problem != NULL ? problem : find_groups(group, name, identity);
}
