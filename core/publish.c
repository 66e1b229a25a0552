#include "core/publish.h"

#include "core/file.h"
#include "core/io_ops.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define TEMP_PREFIX ".tmp-"
#define OLD_PREFIX ".old-"

struct PublishFile {
    char *path; /* where it will be, for messages */
    char *temp; /* where it is written; NULL for standard output */
    int fd;
    bool renames; /* gets its name at commit; a file of a folder already has it */
    bool committed;
    int64_t reserved, written;
};

struct PublishFolder {
    char *path, *temp;
    bool replace, committed;
};

/* "<folder>/.tmp-<name>-<pid>-<n>": beside the target, so that the rename stays in one file system.
 */
static char *temp_beside(const char *path) {
    static atomic_uint count;
    char *folder = file_folder(path);
    char *temp = str_format("%s/" TEMP_PREFIX "%s-%ld-%u", folder, file_name(path), (long)getpid(),
                            atomic_fetch_add(&count, 1));
    mem_free(folder);
    return temp;
}

/* The disk's troubles are ERR_IO, all else is a place where nothing can be made. */
static Status fail_create(const char *path) {
    bool disk = errno == ENOSPC || errno == EDQUOT || errno == EIO;
    return status_fail(disk ? ERR_IO : ERR_CREATE, "%s: cannot be made: %s", path, strerror(errno));
}

static Status fail_write(const char *path) {
    return status_fail(ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

static Status make_parent(const char *path) {
    char *folder = file_folder(path);
    Status st = file_make_folders(folder);
    mem_free(folder);
    return st;
}

static Status sync_parent(const char *path) {
    char *folder = file_folder(path);
    Status st = io_sync_folder(folder) == 0 ? OK : fail_write(folder);
    mem_free(folder);
    return st;
}

/* ---- files ---- */

static Status reserve(PublishFile *f, int64_t size) {
    if (size <= 0) return OK;
    if (io_ops.allocate(f->fd, (off_t)size) == 0) {
        f->reserved = size;
        return OK;
    }
    if (errno == EOPNOTSUPP || errno == EINVAL) return OK; /* it was only a precaution */
    return fail_write(f->path);
}

static Status open_temp(PublishFile *f, int64_t size) {
    TRY(make_parent(f->temp));
    f->fd = io_ops.open(f->temp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (f->fd < 0) return fail_create(f->path);
    return reserve(f, size);
}

/* Takes both strings. */
static Status open_file(PublishFile **out, char *path, char *temp, bool renames, int64_t size) {
    PublishFile *f = mem_zalloc(1, sizeof *f);
    *f = (PublishFile){.path = path, .temp = temp, .fd = -1, .renames = renames};
    Status st = open_temp(f, size);
    if (st == OK)
        *out = f;
    else
        publish_close(f);
    return st;
}

Status publish_open(PublishFile **out, const char *path, int64_t size) {
    *out = NULL;
    if (str_equal(path, "-")) {
        PublishFile *f = mem_zalloc(1, sizeof *f);
        *f = (PublishFile){.path = mem_strdup("standard output"), .fd = STDOUT_FILENO};
        *out = f;
        return OK;
    }
    if (file_is_folder(path))
        return status_fail(ERR_CREATE, "%s: a folder is where the file should be", path);
    return open_file(out, mem_strdup(path), temp_beside(path), true, size);
}

Status publish_open_in(PublishFile **out, PublishFolder *folder, const char *name, int64_t size) {
    *out = NULL;
    return open_file(out, file_join(folder->path, name), file_join(folder->temp, name), false,
                     size);
}

Status publish_write(PublishFile *f, const void *data, size_t n) {
    if (io_write_all(f->fd, data, n) != 0) return fail_write(f->path);
    f->written += (int64_t)n;
    return OK;
}

/* Bytes on the disk and the descriptor closed, whatever fails. */
static Status flush_and_close(PublishFile *f) {
    Status st = OK;
    if (f->written < f->reserved && io_ops.truncate(f->fd, (off_t)f->written) != 0)
        st = fail_write(f->path);
    if (st == OK && io_ops.fsync(f->fd) != 0) st = fail_write(f->path);
    if (io_ops.close(f->fd) != 0 && st == OK) st = fail_write(f->path);
    f->fd = -1;
    return st;
}

Status publish_commit(PublishFile *f) {
    if (!f->temp) return OK;
    TRY(flush_and_close(f));
    if (f->renames && io_ops.rename(f->temp, f->path) != 0) return fail_create(f->path);
    f->committed = true; /* from here on there is nothing to take back */
    return f->renames ? sync_parent(f->path) : OK;
}

void publish_close(PublishFile *f) {
    if (!f) return;
    if (f->temp && f->fd >= 0) io_ops.close(f->fd);
    if (f->temp && !f->committed) io_ops.unlink(f->temp);
    mem_free(f->path);
    mem_free(f->temp);
    mem_free(f);
}

static Status write_and_commit(PublishFile *f, const void *data, size_t n) {
    Status st = publish_write(f, data, n);
    if (st == OK) st = publish_commit(f);
    publish_close(f);
    return st;
}

Status publish_bytes(const char *path, const void *data, size_t n) {
    PublishFile *f;
    TRY(publish_open(&f, path, (int64_t)n));
    return write_and_commit(f, data, n);
}

Status publish_bytes_in(PublishFolder *folder, const char *name, const void *data, size_t n) {
    PublishFile *f;
    TRY(publish_open_in(&f, folder, name, (int64_t)n));
    return write_and_commit(f, data, n);
}

Status publish_copy_in(PublishFolder *folder, const char *name, const char *source) {
    FileMap map;
    TRY(file_map(&map, source));
    Status st = publish_bytes_in(folder, name, map.data, map.size);
    file_unmap(&map);
    return st;
}

/* ---- folders ---- */

Status publish_folder_open(PublishFolder **out, const char *path, bool replace) {
    *out = NULL;
    if (file_exists(path) && !file_is_folder(path))
        return status_fail(ERR_CREATE, "%s: a file is where the folder should be", path);
    if (file_exists(path) && !replace)
        return status_fail(ERR_CREATE,
                           "%s: is there already and is not overwritten; "
                           "remove it, or choose another place",
                           path);
    TRY(make_parent(path));
    PublishFolder *d = mem_zalloc(1, sizeof *d);
    *d = (PublishFolder){.path = mem_strdup(path), .temp = temp_beside(path), .replace = replace};
    if (io_ops.mkdir(d->temp, 0777) != 0) {
        Status st = fail_create(path);
        d->committed = true; /* nothing was made, nothing is to be removed */
        publish_folder_close(d);
        return st;
    }
    *out = d;
    return OK;
}

const char *publish_folder_path(const PublishFolder *d) {
    return d->temp;
}

/* Flushes the names in a folder, those in its sub-folders first. */
static Status sync_tree(const char *path) {
    FileList names;
    TRY(file_list(&names, path));
    Status st = OK;
    for (size_t i = 0; i < names.count && st == OK; i++) {
        char *child = file_join(path, names.names[i]);
        if (file_is_folder(child)) st = sync_tree(child);
        mem_free(child);
    }
    file_list_free(&names);
    TRY(st);
    return io_sync_folder(path) == 0 ? OK : fail_write(path);
}

/* "<folder>/.old-<name>", where the old folder waits while it is replaced in two steps. */
static char *aside_of(const char *path) {
    char *folder = file_folder(path);
    char *aside = str_format("%s/" OLD_PREFIX "%s", folder, file_name(path));
    mem_free(folder);
    return aside;
}

/* Where two names cannot be swapped at once: the old folder steps aside for a moment. If that
 * moment is the last, publish_clean brings it back. */
static Status swap_in_two_steps(PublishFolder *d) {
    char *aside = aside_of(d->path);
    Status st = file_remove_tree(aside);
    if (st == OK && io_ops.rename(d->path, aside) != 0) st = fail_create(d->path);
    if (st == OK && io_ops.rename(d->temp, d->path) != 0) {
        st = fail_create(d->path);
        io_ops.rename(aside, d->path);
    }
    if (st == OK) {
        d->committed = true;
        mem_free(d->temp);
        d->temp = mem_strdup(aside); /* what is left to remove */
    }
    mem_free(aside);
    return st;
}

/* After it, `temp` names the old folder when there was one. */
static Status give_name(PublishFolder *d) {
    if (d->replace && file_exists(d->path)) {
        if (io_ops.exchange(d->temp, d->path) == 0) {
            d->committed = true;
            return OK;
        }
        if (errno != ENOSYS && errno != EINVAL) return fail_create(d->path);
        return swap_in_two_steps(d);
    }
    if (io_ops.rename(d->temp, d->path) != 0) return fail_create(d->path);
    d->committed = true;
    return OK;
}

Status publish_folder_commit(PublishFolder *d) {
    TRY(sync_tree(d->temp));
    TRY(give_name(d));
    TRY(sync_parent(d->path));
    /* The new one counts already; an old one that will not go is left to publish_clean. */
    if (file_remove_tree(d->temp) != OK) log_warn("%s", status_message());
    return OK;
}

void publish_folder_close(PublishFolder *d) {
    if (!d) return;
    if (!d->committed) file_remove_tree(d->temp);
    mem_free(d->path);
    mem_free(d->temp);
    mem_free(d);
}

static Status clean_one(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    Status st = OK;
    if (str_starts(name, TEMP_PREFIX)) {
        st = file_remove_tree(path);
    } else if (str_starts(name, OLD_PREFIX)) {
        char *target = file_join(folder, name + strlen(OLD_PREFIX));
        if (file_exists(target))
            st = file_remove_tree(path);
        else if (io_ops.rename(path, target) != 0)
            st = fail_create(target);
        mem_free(target);
    }
    mem_free(path);
    return st;
}

Status publish_clean(const char *folder) {
    if (!file_is_folder(folder)) return OK;
    FileList names;
    TRY(file_list(&names, folder));
    Status st = OK;
    for (size_t i = 0; i < names.count && st == OK; i++) st = clean_one(folder, names.names[i]);
    file_list_free(&names);
    return st;
}
