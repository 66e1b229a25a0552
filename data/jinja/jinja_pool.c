#include "data/jinja/jinja_pool.h"

#include "core/mem.h"

#include <string.h>

#define CHUNK_BYTES ((size_t)1 << 16)
#define ALIGN ((size_t)16)

struct JinjaChunk {
    JinjaChunk *before;
    void *padding; /* keeps what follows aligned */
};

void *jinja_alloc(JinjaPool *p, size_t bytes) {
    bytes = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    if (bytes > p->left) {
        size_t n = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        JinjaChunk *c = mem_alloc(sizeof *c + n);
        c->before = p->chunks;
        p->chunks = c;
        p->next = (char *)(c + 1);
        p->left = n;
    }
    void *result = p->next;
    p->next += bytes;
    p->left -= bytes;
    p->total += bytes;
    return result;
}

void *jinja_zalloc(JinjaPool *p, size_t bytes) {
    void *result = jinja_alloc(p, bytes);
    if (bytes > 0) memset(result, 0, bytes);
    return result;
}

char *jinja_copy(JinjaPool *p, const char *text, size_t n) {
    char *result = jinja_alloc(p, n + 1);
    if (n > 0) memcpy(result, text, n);
    result[n] = '\0';
    return result;
}

void jinja_pool_free(JinjaPool *p) {
    while (p->chunks != NULL) {
        JinjaChunk *c = p->chunks;
        p->chunks = c->before;
        mem_free(c);
    }
    *p = (JinjaPool){0};
}
