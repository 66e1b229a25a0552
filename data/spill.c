#include "data/spill.h"

#include "core/check.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_ARRAYS 16

typedef struct Spilled {
    void *p; /* NULL: the slot is free */
    size_t bytes;
    int fd; /* -1: in memory */
} Spilled;

struct Spill {
    char *folder;
    Spilled arrays[MOST_ARRAYS];
    int made; /* for names */
};

Spill *spill_open(const char *folder) {
    if (!folder || file_make_folders(folder) != OK) return NULL;
    Spill *s = mem_zalloc(1, sizeof *s);
    s->folder = mem_strdup(folder);
    return s;
}

void spill_close(Spill *s) {
    if (!s) return;
    for (int i = 0; i < MOST_ARRAYS; i++) CHECK(!s->arrays[i].p, "array %d is still there", i);
    mem_free(s->folder);
    mem_free(s);
}

static int open_unnamed(Spill *s) {
    char *path = str_format("%s/.spill-%ld-%d", s->folder, (long)getpid(), s->made++);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) (void)unlink(path);
    mem_free(path);
    return fd;
}

/* The array's file at this size, mapped; NULL where that cannot be. Room is taken first: a full
 * disk shows here, not when a page is touched. */
static void *map_at(int fd, size_t bytes) {
    if (posix_fallocate(fd, 0, (off_t)bytes) != 0) return NULL;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* From its file into memory, for good. */
static void take_in(Spilled *a, size_t bytes) {
    log_warn_once("there is no room to spill tokens to; they are kept in memory");
    void *p = mem_alloc(bytes);
    if (a->p) {
        memcpy(p, a->p, a->bytes < bytes ? a->bytes : bytes);
        munmap(a->p, a->bytes);
    }
    if (a->fd >= 0) close(a->fd);
    *a = (Spilled){p, bytes, -1};
}

static Spilled *slot_of(Spill *s, const void *p) {
    for (int i = 0; i < MOST_ARRAYS; i++)
        if (s->arrays[i].p == p) return &s->arrays[i];
    FAIL("no array at %p", p);
}

void *spill_grow(Spill *s, void *p, size_t bytes) {
    if (!s) return mem_realloc(p, bytes, 1);
    Spilled *a = slot_of(s, p);
    if (!p) *a = (Spilled){.fd = open_unnamed(s)};
    if (a->fd < 0 && p) {
        a->p = mem_realloc(a->p, bytes, 1);
        a->bytes = bytes;
        return a->p;
    }
    void *larger = a->fd >= 0 ? map_at(a->fd, bytes) : NULL;
    if (!larger) {
        take_in(a, bytes);
        return a->p;
    }
    if (a->p) munmap(a->p, a->bytes);
    a->p = larger;
    a->bytes = bytes;
    return larger;
}

void spill_free(Spill *s, void *p) {
    if (!p) return;
    if (!s) {
        mem_free(p);
        return;
    }
    Spilled *a = slot_of(s, p);
    if (a->fd < 0)
        mem_free(p);
    else
        munmap(p, a->bytes);
    if (a->fd >= 0) close(a->fd);
    *a = (Spilled){0};
}
