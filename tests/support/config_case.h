/* config_case: loads a config from texts, and keeps what was logged. */
#ifndef HONE_TESTS_CONFIG_CASE_H
#define HONE_TESTS_CONFIG_CASE_H

#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "scratch.h"
#include "train/config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct ConfigCase {
    Status status;
    Config *cfg; /* NULL where it failed */
    Str log;     /* every line of stderr, and the status message as the last one */
    char *folder;
} ConfigCase;

#define CONFIG_CASE_MAX_ARGS 32

/* Runs config_load with stderr going into c->log. */
static inline void config_case_run(ConfigCase *c, Stage stage, int argc, char **argv) {
    fflush(stderr);
    char *path = file_join(c->folder, "stderr");
    int saved = dup(STDERR_FILENO);
    int to = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (saved < 0 || to < 0 || dup2(to, STDERR_FILENO) < 0) abort();
    close(to);
    c->status = config_load(&c->cfg, stage, argc, argv);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    if (file_read(&c->log, path, 1 << 24) != OK) abort();
    if (c->status != OK) str_printf(&c->log, "error: %s\n", status_message());
    mem_free(path);
}

/* `yaml` is written as a.yaml in a folder of its own (NULL: no file); then words of the command
 * line up to NULL. */
static inline ConfigCase config_case(Stage stage, const char *yaml, ...) {
    ConfigCase c = {.folder = scratch_new()};
    char *argv[CONFIG_CASE_MAX_ARGS + 1] = {mem_strdup("program")};
    int argc = 1;
    if (yaml) argv[argc++] = scratch_text(c.folder, "a.yaml", yaml);
    va_list args;
    va_start(args, yaml);
    for (const char *a; (a = va_arg(args, const char *)) != NULL;) {
        if (argc == CONFIG_CASE_MAX_ARGS) abort();
        argv[argc++] = mem_strdup(a);
    }
    va_end(args);
    config_case_run(&c, stage, argc, argv);
    for (int i = 0; i < argc; i++) mem_free(argv[i]);
    return c;
}

static inline void config_case_close(ConfigCase *c) {
    config_close(c->cfg);
    str_free(&c->log);
    scratch_free(c->folder);
}

/* Lines of the log that start with "error: ". */
static inline int config_case_errors(const ConfigCase *c) {
    int n = 0;
    const char *at = str_text(&c->log);
    for (; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        n += str_starts(at, "error: ");
    }
    return n;
}

/* The least that each stage needs. */
static inline const char *config_case_least(Stage stage) {
    static const char *const LEAST[STAGE_COUNT] = {
        "model: {path: m}\ndata: {train: no-such-d.jsonl}\n", "model: {path: m}\ndata: {train: d.jsonl}\n",
        "model: {path: m}\ndata: {train: no-such-d.jsonl}\nppo: {reward: {function: ends}}\n"};
    return LEAST[stage];
}

/* The resolved value of a key as text, or NULL. */
static inline const char *config_case_value(const ConfigCase *c, const char *path) {
    const ConfigItem *items;
    size_t n = config_items(c->cfg, &items);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(items[i].path, path) == 0) return items[i].value;
    }
    return NULL;
}

#endif
