/* jinja_pool: memory that is given back all at once: of a template's tree, or of one rendering. */
#ifndef HONE_DATA_JINJA_JINJA_POOL_H
#define HONE_DATA_JINJA_JINJA_POOL_H

#include <stddef.h>

typedef struct JinjaChunk JinjaChunk;
typedef struct JinjaPool {
    JinjaChunk *chunks;
    size_t left, total; /* bytes left in the newest chunk; bytes in all */
    char *next;
} JinjaPool;

void *jinja_alloc(JinjaPool *p, size_t bytes); /* 16-byte aligned, not cleared */
void *jinja_zalloc(JinjaPool *p, size_t bytes);
char *jinja_copy(JinjaPool *p, const char *text, size_t n); /* with a NUL behind */
void jinja_pool_free(JinjaPool *p);

#endif
