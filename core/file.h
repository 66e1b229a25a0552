/* file: looking at files, reading them, and paths. Writing goes through publish.h.
 * Errors: ERR_INPUT where something is missing, ERR_IO where reading fails, ERR_DATA where it is
 * too large or not a file, ERR_CREATE where a folder cannot be made. */
#ifndef HONE_CORE_FILE_H
#define HONE_CORE_FILE_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool file_exists(const char *path); /* anything at all */
bool file_is_folder(const char *path);
bool file_is_regular(const char *path); /* links are followed */
int64_t file_size(const char *path);    /* -1 when it cannot be told */

/* Appends the whole file to `out`; more than max_bytes is ERR_DATA. "-" is standard input. */
Status file_read(Str *out, const char *path, size_t max_bytes);

/* A read-only view of a file; empty files give size 0 and data != NULL. */
typedef struct FileMap {
    const unsigned char *data;
    size_t size;
    bool mapped;
} FileMap;
Status file_map(FileMap *out, const char *path);
/* Bytes of a mapping that were read need not stay in memory; read again, they come back. */
void file_forget(const void *p, size_t bytes);
void file_unmap(FileMap *m); /* a zeroed one is fine */

/* Makes a folder and those above it; fine when it is there. ERR_CREATE when a file is in the way.
 */
Status file_make_folders(const char *path);

/* Names in a folder, sorted by bytes, without "." and "..". */
typedef struct FileList {
    char **names;
    size_t count;
} FileList;
Status file_list(FileList *out, const char *folder);
/* Paths that match a shell pattern, sorted; none is not an error. */
Status file_glob(FileList *out, const char *pattern);
void file_list_add(FileList *l, const char *name); /* a copy of it */
void file_list_free(FileList *l);

/* Removes a file or a folder with all that is in it (links are not followed); fine when missing. */
Status file_remove_tree(const char *path);

/* "a/b"; b alone when it is absolute or a is empty or NULL. The caller mem_free's it. */
char *file_join(const char *a, const char *b);
char *file_folder(const char *path); /* "a/b/c" -> "a/b", "c" -> "."; the caller mem_free's it */
/* Links and dots resolved, so that two names of one file are one; a copy of path where there is
 * none. The caller mem_free's it. */
char *file_real(const char *path);
const char *file_name(const char *path); /* "a/b/c" -> "c"; points into path */
/* May the name stand as a file's name below a folder of ours: not empty, no '/', no NUL, not "." or
 * "..". */
bool file_name_is_plain(const char *name);

#endif
