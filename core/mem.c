#define _DEFAULT_SOURCE 1 /* madvise */
#include "core/mem.h"

#include "core/log.h"
#include "core/status.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEM_ALIGN 64
#define HUGE_PAGE ((size_t)2 << 20)

static _Noreturn void out_of_memory(size_t bytes) {
    log_error("out of memory: %zu bytes more were asked for; a smaller batch, a shorter max_length "
              "or a smaller dtype needs less",
              bytes);
    exit(ERR_OS);
}

bool mem_mul(size_t *out, size_t a, size_t b) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool mem_add(size_t *out, size_t a, size_t b) {
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

void *mem_alloc(size_t bytes) {
    void *p = malloc(bytes == 0 ? 1 : bytes);
    if (!p) out_of_memory(bytes);
    return p;
}

void *mem_zalloc(size_t n, size_t size) {
    bool empty = n == 0 || size == 0;
    void *p = empty ? calloc(1, 1) : calloc(n, size);
    if (!p) out_of_memory(n * size);
    return p;
}

void *mem_realloc(void *p, size_t n, size_t size) {
    size_t bytes;
    if (!mem_mul(&bytes, n, size)) out_of_memory(SIZE_MAX);
    void *q = realloc(p, bytes == 0 ? 1 : bytes);
    if (!q) out_of_memory(bytes);
    return q;
}

char *mem_strndup(const char *s, size_t n) {
    char *copy = mem_alloc(n + 1);
    if (n > 0) memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *s) {
    return mem_strndup(s, strlen(s));
}

void mem_free(void *p) {
    free(p);
}

void *mem_try_aligned(size_t bytes) {
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : MEM_ALIGN, padded;
    if (!mem_add(&padded, bytes > 0 ? bytes : 1, align - 1)) return NULL;
    padded = padded / align * align;
    void *p = aligned_alloc(align, padded);
    /* Matrices are walked across their rows, a small page each: the processor's table of pages is
     * too short for that. A system that does not follow the advice costs nothing but speed. */
    if (p && align == HUGE_PAGE) (void)madvise(p, padded, MADV_HUGEPAGE);
    return p;
}

void *mem_aligned(size_t bytes) {
    void *p = mem_try_aligned(bytes);
    if (!p) out_of_memory(bytes);
    return p;
}
