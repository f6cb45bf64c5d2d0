#define _GNU_SOURCE
#include "init.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_OFFSET = 4096, HEADER_BYTES = 12, MAX_RECORDS_BYTES = 2 * 1024 * 1024 };

static void read_fully(int fd, void *into, size_t length, off_t offset) {
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(fd, (char *)into + done, length - done, offset + (off_t)done);
        if (got <= 0) fail("the mailbox drive is cut short");
        done += (size_t)got;
    }
}

/* Appends to a NULL-terminated list of `count` strings. */
static void append(char ***list, size_t *count, char *value) {
    char **longer = realloc(*list, (*count + 2) * sizeof **list);
    if (longer == NULL) fail("out of memory");
    longer[(*count)++] = value;
    longer[*count] = NULL;
    *list = longer;
}

static void set_env(struct config *config, char *setting) {
    size_t key = strcspn(setting, "=") + 1;
    for (size_t i = 0; i < config->env_count; i++) {
        if (strncmp(config->env[i], setting, key) == 0) {
            config->env[i] = setting;
            return;
        }
    }
    append(&config->env, &config->env_count, setting);
}

void read_config(int mailbox, struct config *config) {
    unsigned char header[HEADER_BYTES];
    read_fully(mailbox, header, sizeof header, CONFIG_OFFSET);
    if (memcmp(header, "INGOTCF1", 8) != 0) fail("the mailbox drive has no configuration this init knows");
    size_t length = (size_t)header[8] | (size_t)header[9] << 8 | (size_t)header[10] << 16 | (size_t)header[11] << 24;
    if (length > MAX_RECORDS_BYTES) fail("the configuration is too long: %zu bytes", length);
    char *records = malloc(length + 1);
    if (records == NULL) fail("out of memory");
    read_fully(mailbox, records, length, CONFIG_OFFSET + HEADER_BYTES);
    records[length] = '\0';

    *config = (struct config){.cwd = "/", .user = "", .hostname = "", .address = "", .gateway = ""};
    size_t args = 0, nameservers = 0;
    append(&config->env, &config->env_count, NULL);
    config->env_count = 0;
    append(&config->nameservers, &nameservers, NULL);
    nameservers = 0;
    for (char *record = records; record < records + length; record += strlen(record) + 1) {
        char *value = strchr(record, '=');
        if (value == NULL) fail("a configuration record has no value");
        *value++ = '\0';
        if (strcmp(record, "arg") == 0) append(&config->args, &args, value);
        else if (strcmp(record, "env") == 0) set_env(config, value);
        else if (strcmp(record, "cwd") == 0) config->cwd = value[0] == '/' ? value : "/";
        else if (strcmp(record, "user") == 0) config->user = value;
        else if (strcmp(record, "hostname") == 0) config->hostname = value;
        else if (strcmp(record, "address") == 0) config->address = value;
        else if (strcmp(record, "gateway") == 0) config->gateway = value;
        else if (strcmp(record, "nameserver") == 0) append(&config->nameservers, &nameservers, value);
        else fail("unknown configuration record \"%s\"", record);
        record = value;
    }
    if (args == 0) fail("the configuration names no command to run");
}
