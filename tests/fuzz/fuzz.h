/* fuzz: what a fuzz target is, and what targets share.
 *
 * Each fuzz_<parser>.c defines three things: the function that gives one input to the parser, valid
 * inputs to begin with, and words of the format. driver.c makes an ordinary test of them that
 * mutates the seeds; with -DHONE_FUZZ=ON (clang) libFuzzer calls the same function instead.
 *
 *     build/tests/fuzz_yaml                 the test
 *     HONE_FUZZ_ROUNDS=1000000 ...          for longer
 *     build/tests/fuzz_yaml FILE...         once with each file: an input that was found
 *
 * A target may refuse its input, with one line; it must not crash, hang, leak or take much memory.
 */
#ifndef HONE_TESTS_FUZZ_H
#define HONE_TESTS_FUZZ_H

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "core/str.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A valid input, appended to the corpus; the bytes are copied. */
void fuzz_seed(const void *bytes, size_t n);
/* The same for one that breaks one rule: the target must refuse it. */
void fuzz_seed_bad(const void *bytes, size_t n);
/* Gives the inputs to both. */
void fuzz_seeds(void);
/* Ends in NULL. */
extern const char *const fuzz_words[];

static inline void fuzz_seed_text(const char *text) {
    fuzz_seed(text, strlen(text));
}

/* A file of the source tree as a seed, at most `most` bytes of it. */
static inline void fuzz_seed_file(const char *path, size_t most) {
    Str text = {0};
    char *whole = file_join(HONE_SOURCE_DIR, path);
    CHECK(file_read(&text, whole, (size_t)1 << 26) == OK, "%s", status_message());
    fuzz_seed(text.data, text.len < most ? text.len : most);
    str_free(&text);
    mem_free(whole);
}

extern long long fuzz_accepted; /* calls of fuzz_ok that saw no refusal */

/* A refusal says why. Returns whether there was none. */
static inline bool fuzz_ok(Status st) {
    CHECK(st == OK || status_message()[0], "status %d without a line", (int)st);
    status_clear();
    fuzz_accepted += st == OK;
    return st == OK;
}

/* Set where a single input is looked at: nothing is silenced. */
extern bool fuzz_loud;

/* What a parser prints between the two is not shown; returns what fuzz_unmute wants. */
typedef struct FuzzMuted {
    int out, err;
} FuzzMuted;

static inline FuzzMuted fuzz_mute(void) {
    FuzzMuted m = {-1, -1};
    if (fuzz_loud) return m;
    fflush(NULL);
    m = (FuzzMuted){dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    int null = open("/dev/null", O_WRONLY);
    CHECK(m.out >= 0 && m.err >= 0 && null >= 0, "no descriptors are left");
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
    return m;
}

static inline void fuzz_unmute(FuzzMuted m) {
    if (m.out < 0) return;
    fflush(NULL);
    dup2(m.out, STDOUT_FILENO);
    dup2(m.err, STDERR_FILENO);
    close(m.out);
    close(m.err);
}

static char fuzz_folder_name[64];

static void fuzz_folder_remove(void) {
    file_remove_tree(fuzz_folder_name);
}

/* The folder of this process, for parsers that read files. */
static inline const char *fuzz_folder(void) {
    if (fuzz_folder_name[0]) return fuzz_folder_name;
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fuzz_folder_name, sizeof fuzz_folder_name, "%s/hone-fuzz-XXXXXX", place);
    CHECK(mkdtemp(fuzz_folder_name), "no folder in %s", place);
    atexit(fuzz_folder_remove);
    return fuzz_folder_name;
}

/* Writes folder/name, which may have folders in it, and returns its path until the next call. */
static inline const char *fuzz_file(const char *name, const void *data, size_t n) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    char *folder = file_folder(path);
    CHECK(file_make_folders(folder) == OK, "%s", status_message());
    mem_free(folder);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, n, f) == n && fclose(f) == 0, "%s cannot be written", path);
    return path;
}

#endif
