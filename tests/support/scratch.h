/* scratch: a folder of a test's own, files in it, and things that must end a process. */
#ifndef HONE_TESTS_SCRATCH_H
#define HONE_TESTS_SCRATCH_H

#include "core/file.h"
#include "core/mem.h"
#include "core/publish.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A new empty folder, in memory where there is such a place (a busy disk makes grids of small files
 * take minutes); scratch_free removes it with all that is in it. */
static inline char *scratch_new(void) {
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *folder = file_join(place, "hone-test-XXXXXX");
    if (!mkdtemp(folder)) abort();
    return folder;
}

static inline void scratch_free(char *folder) {
    if (file_remove_tree(folder) != OK) abort();
    mem_free(folder);
}

/* Writes a file and returns its path, which the caller mem_free's. */
static inline char *scratch_file(const char *folder, const char *name, const void *data, size_t n) {
    char *path = file_join(folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
    return path;
}

static inline char *scratch_text(const char *folder, const char *name, const char *text) {
    return scratch_file(folder, name, text, strlen(text));
}

/* Runs `act` in a child with a silent stderr; returns waitpid's status. */
static inline int scratch_run_child(void (*act)(void *), void *arg) {
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0) dup2(null, STDERR_FILENO);
        /* cmocka would turn the abort into a failed test of the child. */
        signal(SIGABRT, SIG_DFL);
        act(arg);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    return status;
}

/* Does a CHECK end the process? */
static inline bool scratch_aborts(void (*act)(void *), void *arg) {
    int status = scratch_run_child(act, arg);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
