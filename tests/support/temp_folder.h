/* temp_folder: a folder of its own for a test, gone afterwards. */
#ifndef HONE_TESTS_TEMP_FOLDER_H
#define HONE_TESTS_TEMP_FOLDER_H

#include "core/file.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Below the working directory of the test; the caller gives it back with temp_folder_remove. */
static inline char *temp_folder_make(const char *name) {
    static int count;
    char *path = str_format("%s-%ld-%d.tmp", name, (long)getpid(), count++);
    if (file_make_folders(path) != OK) {
        fprintf(stderr, "%s\n", status_message());
        exit(1);
    }
    return path;
}

static inline void temp_folder_remove(char *path) {
    file_remove_tree(path);
    mem_free(path);
}

#endif
