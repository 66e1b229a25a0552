/* F_OFD_SETLK is Linux's (and POSIX.1-2024's); glibc shows it with _GNU_SOURCE. A plain POSIX lock
 * would not do: it is lost when any descriptor of the file is closed anywhere in the process. */
#define _GNU_SOURCE
#include "core/lock.h"

#include "core/file.h"
#include "core/io_ops.h"
#include "core/mem.h"
#include "core/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct Lock {
    int fd;
};

/* "host alpha, process 4711, since 2026-01-31 12:00:00 UTC": what the next one is told. */
static char *owner_text(void) {
    char host[256] = "unknown", since[32];
    struct tm tm;
    time_t now = time(NULL);
    gethostname(host, sizeof host - 1);
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &tm));
    return str_format("host %s, process %ld, since %s\n", host, (long)getpid(), since);
}

static Status fail_owned(int fd, const char *path) {
    char owner[512];
    ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
    while (n > 0 && owner[n - 1] == '\n') n--;
    owner[n > 0 ? n : 0] = '\0';
    return status_fail(ERR_CREATE,
                       "%s: another process works in this folder (%s); wait for it, stop it, or "
                       "choose another output_dir",
                       path, owner[0] ? owner : "its owner is not written yet");
}

static Status write_owner(int fd, const char *path) {
    char *text = owner_text();
    int rc = io_ops.truncate(fd, 0);
    if (rc == 0) rc = io_write_all(fd, text, strlen(text));
    mem_free(text);
    if (rc != 0) return status_fail(ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return OK;
}

static Status take(int fd, const char *path) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0) return write_owner(fd, path);
    if (errno == EAGAIN || errno == EACCES) return fail_owned(fd, path);
    return status_fail(ERR_CREATE, "%s: cannot be locked: %s", path, strerror(errno));
}

Status lock_open(Lock **out, const char *path) {
    *out = NULL;
    char *folder = file_folder(path);
    Status st = file_make_folders(folder);
    mem_free(folder);
    TRY(st);
    int fd = io_ops.open(path, O_RDWR | O_CREAT, 0666);
    if (fd < 0) return status_fail(ERR_CREATE, "%s: cannot be made: %s", path, strerror(errno));
    st = take(fd, path);
    if (st != OK) {
        io_ops.close(fd);
        return st;
    }
    *out = mem_zalloc(1, sizeof **out);
    (*out)->fd = fd;
    return OK;
}

void lock_close(Lock *l) {
    if (!l) return;
    io_ops.close(l->fd); /* with it goes the lock */
    mem_free(l);
}
