/* renameat2 has no wrapper in POSIX: it is called by its number, which needs syscall(). */
#define _DEFAULT_SOURCE
#include "core/io_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int op_open(const char *path, int flags, mode_t mode) {
    return open(path, flags | O_CLOEXEC, mode);
}

static int op_allocate(int fd, off_t bytes) {
    int e = posix_fallocate(fd, 0, bytes);
    if (e == 0) return 0;
    errno = e;
    return -1;
}

static int op_exchange(const char *a, const char *b) {
#ifdef SYS_renameat2
    const unsigned exchange_flag = 2; /* RENAME_EXCHANGE */
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, exchange_flag);
#else
    (void)a, (void)b;
    errno = ENOSYS;
    return -1;
#endif
}

IoOps io_ops = {
    .open = op_open,
    .write = write,
    .allocate = op_allocate,
    .truncate = ftruncate,
    .fsync = fsync,
    .close = close,
    .mkdir = mkdir,
    .rename = rename,
    .exchange = op_exchange,
    .unlink = unlink,
    .rmdir = rmdir,
};

/* Linux writes at most 2 GiB a call anyhow; smaller pieces let a signal be seen in between. */
#define WRITE_MAX ((size_t)64 << 20)

int io_write_all(int fd, const void *data, size_t n) {
    const char *p = data;
    while (n > 0) {
        ssize_t done = io_ops.write(fd, p, n < WRITE_MAX ? n : WRITE_MAX);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = EIO; /* no progress and no reason: not worth a loop without end */
        if (done <= 0) return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int io_sync_folder(const char *path) {
    int fd = io_ops.open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return -1;
    int rc = io_ops.fsync(fd);
    /* Some file systems cannot flush a folder and say EINVAL: nothing to wait for there. */
    if (rc != 0 && errno == EINVAL) rc = 0;
    int saved = errno;
    if (io_ops.close(fd) != 0 && rc == 0) return -1;
    errno = saved;
    return rc;
}
