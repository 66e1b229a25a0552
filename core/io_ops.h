/* io_ops: the system calls through which everything is written, in one table, so that tests can
 * count them, end the process at the Nth, or make the Nth fail. Each entry behaves as the POSIX
 * call of its name (-1 and errno). The program itself never changes the table. */
#ifndef HONE_CORE_IO_OPS_H
#define HONE_CORE_IO_OPS_H

#include <stddef.h>
#include <sys/types.h>

typedef struct IoOps {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*write)(int fd, const void *data, size_t n);
    int (*allocate)(int fd, off_t bytes); /* posix_fallocate, but -1 and errno */
    int (*truncate)(int fd, off_t bytes);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*mkdir)(const char *path, mode_t mode);
    int (*rename)(const char *from, const char *to);
    int (*exchange)(const char *a,
                    const char *b); /* swaps two names at once; ENOSYS where it cannot */
    int (*unlink)(const char *path);
    int (*rmdir)(const char *path);
} IoOps;

extern IoOps io_ops;

/* Writes all n bytes: goes on after EINTR and short writes. -1 and errno. */
int io_write_all(int fd, const void *data, size_t n);
/* fsync of a folder by its path, so that names in it last. -1 and errno. */
int io_sync_folder(const char *path);

#endif
