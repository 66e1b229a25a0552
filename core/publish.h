/* publish: files and folders that are there whole or not at all, whenever the process or the
 * machine dies. What is written goes to a hidden temporary name beside the target
 * (".tmp-<name>-<pid>"), is flushed to the disk, and is then renamed; the parent folder is flushed
 * after.
 *
 *     PublishFile *f = NULL;
 *     TRY_GOTO(publish_open(&f, "run/final.txt", 0), st, out);
 *     TRY_GOTO(publish_write(f, text, n), st, out);
 *     st = publish_commit(f);
 *   out:
 *     publish_close(f);        // removes the temporary file unless it was committed
 *
 * A folder is made the same way: its files are written into the temporary folder (publish_open_in
 * or anything that takes a PublishFolder), publish_folder_commit gives it its name. Errors:
 * ERR_CREATE where it cannot be made, ERR_IO where writing fails (disk full included); the old file
 * or folder is then still there. Folders above the target are made. */
#ifndef HONE_CORE_PUBLISH_H
#define HONE_CORE_PUBLISH_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PublishFile PublishFile;
typedef struct PublishFolder PublishFolder;

/* `size` > 0 reserves that many bytes first, so that a full disk shows before the first byte.
 * "-" is standard output: written through, commit flushes. */
Status publish_open(PublishFile **out, const char *path, int64_t size);
/* A file of the folder; `name` is a plain name or has sub-folders ("a/b.txt"). */
Status publish_open_in(PublishFile **out, PublishFolder *folder, const char *name, int64_t size);
Status publish_write(PublishFile *f, const void *data, size_t n);
Status publish_commit(PublishFile *f); /* once; close is still to be called */
void publish_close(PublishFile *f);    /* NULL is fine */

/* One-shot: the whole file from memory. */
Status publish_bytes(const char *path, const void *data, size_t n);
Status publish_bytes_in(PublishFolder *folder, const char *name, const void *data, size_t n);
/* Copies a file as it is. */
Status publish_copy_in(PublishFolder *folder, const char *name, const char *source);

/* The target must not exist yet, unless `replace`: then commit swaps the old one out and removes
 * it. */
Status publish_folder_open(PublishFolder **out, const char *path, bool replace);
const char *
publish_folder_path(const PublishFolder *d); /* the temporary folder, while it is open */
Status publish_folder_commit(PublishFolder *d);
void publish_folder_close(PublishFolder *d); /* removes everything unless committed */

/* Removes temporary files and folders that died processes left in `folder`, and brings back a
 * folder whose replacing was cut off. Only for who owns the folder (lock.h): it does not ask
 * whether they are still being written. */
Status publish_clean(const char *folder);

#endif
