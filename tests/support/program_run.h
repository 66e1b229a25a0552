/* program_run: the real programs, as a user runs them, in a folder of the test's own that sees
 * configs/ of the source tree. */
#ifndef HONE_TESTS_PROGRAM_RUN_H
#define HONE_TESTS_PROGRAM_RUN_H

#include "core/file.h"
#include "core/mem.h"
#include "scratch.h"
#include "unit.h"

#include <stdarg.h>
#include <time.h>

#define PROGRAM_MAX_ARGS 32

/* A new folder with `configs` in it. */
static inline char *program_folder(void) {
    char *folder = scratch_new(), *configs = file_join(folder, "configs");
    if (symlink(HONE_SOURCE_DIR "/configs", configs) != 0) abort();
    mem_free(configs);
    return folder;
}

/* Starts build/bin/NAME in `folder`; output goes to folder/log (and folder/out: stdout alone when
 * `split`). */
static inline pid_t program_start(const char *folder, bool split, char *const *argv) {
    /* Emptied before the child exists: one that dies at once leaves no earlier one's words. */
    mem_free(scratch_text(folder, "log", ""));
    pid_t child = fork();
    if (child < 0) abort();
    if (child > 0) return child;
    if (chdir(folder) != 0) _exit(126);
    int log = open("log", O_WRONLY | O_APPEND);
    int out = split ? open("out", O_CREAT | O_TRUNC | O_WRONLY, 0600) : log;
    if (log < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
    execv(argv[0], argv);
    _exit(127);
}

static inline int program_wait(pid_t child) {
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* argv of build/bin/NAME and words up to NULL, for program_start; program_argv_free. */
static inline void program_argv(char **argv, const char *name, va_list words) {
    int n = 0;
    argv[n++] = str_format(HONE_BIN_DIR "/%s", name);
    for (const char *word; (word = va_arg(words, const char *)) != NULL;) {
        if (n == PROGRAM_MAX_ARGS) abort();
        argv[n++] = mem_strdup(word);
    }
    argv[n] = NULL;
}

static inline void program_argv_free(char **argv) {
    for (int i = 0; argv[i]; i++) mem_free(argv[i]);
}

/* Runs to the end; the exit code, or 128 + signal. */
static inline int program_run(const char *folder, const char *name, ...) {
    char *argv[PROGRAM_MAX_ARGS + 1];
    va_list words;
    va_start(words, name);
    program_argv(argv, name, words);
    va_end(words);
    int code = program_wait(program_start(folder, true, argv));
    program_argv_free(argv);
    return code;
}

/* The text of folder/name; the caller mem_free's it. */
static inline char *program_text(const char *folder, const char *name) {
    Str text = {0};
    char *path = file_join(folder, name);
    if (file_read(&text, path, (size_t)1 << 26) != OK) abort();
    mem_free(path);
    return str_take(&text);
}

static inline void program_expect(const char *folder, const char *name, int code, int want) {
    if (code == want) return;
    char *log = program_text(folder, "log");
    fail_msg("%s left with %d, not %d:\n%s", name, code, want, log);
}

/* Out of the folder that a test has worked in, and away with it: for a group's teardown. */
static inline int program_leave(char *folder) {
    if (chdir("/") != 0) abort();
    scratch_free(folder);
    return 0;
}

/* The smoke configs `numbers` ("1 2 6"), each by its program, as a start for others. */
static inline void program_prepare(const char *folder, const char *numbers) {
    FileList list = {0};
    if (file_list(&list, HONE_SOURCE_DIR "/configs/smoke") != OK) abort();
    for (const char *at = numbers; *at; at++) {
        for (size_t i = 0; i < list.count; i++) {
            const char *config = list.names[i];
            if (*at == ' ' || config[0] != *at || config[1] != '_') continue;
            char *path = str_format("configs/smoke/%s", config);
            char *name = mem_strndup(config + 2, strcspn(config + 2, "_."));
            program_expect(folder, config, program_run(folder, name, path, "--quiet", NULL), 0);
            mem_free(name);
            mem_free(path);
        }
    }
    file_list_free(&list);
}

#endif
