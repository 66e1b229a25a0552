#include "core/io/tensor_entry.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/gguf_blocks.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* The last axis is written value by value, the others are counted up like the digits of a number.
 */
static void gather(char *to, const TensorEntry *e, size_t size) {
    int64_t place[TENSOR_ENTRY_MAX_RANK] = {0};
    int last = e->rank - 1;
    for (;;) {
        const char *from = e->stored;
        for (int i = 0; i < last; i++) from += (size_t)(place[i] * e->stride[i]) * size;
        for (int64_t k = 0; k < e->shape[last]; k++, to += size)
            memcpy(to, from + (size_t)(k * e->stride[last]) * size, size);
        int i = last - 1;
        while (i >= 0 && ++place[i] == e->shape[i]) place[i--] = 0;
        if (i < 0) return;
    }
}

static void unpack(float *to, const TensorEntry *e, size_t n) {
    const BlockType *t = e->blocks;
    int64_t blocks = (int64_t)n / t->values;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < blocks; i++)
        t->unpack(to + i * t->values, (const unsigned char *)e->stored + (size_t)i * t->bytes);
}

const void *tensor_entry_values(const TensorEntry *e, void **made) {
    *made = NULL;
    CHECK(e->dtype != DTYPE_NONE, "%s: its values have no type of ours", e->name);
    if (e->data) return e->data;
    size_t n = 1, size = dtype_size(e->dtype);
    for (int i = 0; i < e->rank; i++) n *= (size_t)e->shape[i];
    *made = mem_alloc(n * size);
    if (n > 0 && e->blocks) unpack(*made, e, n);
    if (n > 0 && !e->blocks) gather(*made, e, size);
    return *made;
}

void tensor_entry_forget(const TensorEntry *e) {
    file_forget(e->data ? e->data : e->stored, e->bytes);
}

static int compare(const void *a, const void *b) {
    return strcmp(((const TensorEntry *)a)->name, ((const TensorEntry *)b)->name);
}

static int compare_with_name(const void *name, const void *entry) {
    return strcmp(name, ((const TensorEntry *)entry)->name);
}

void tensor_entries_sort(TensorEntry *entries, int64_t n) {
    if (n > 1) qsort(entries, (size_t)n, sizeof *entries, compare);
}

const TensorEntry *tensor_entries_find(const TensorEntry *entries, int64_t n, const char *name) {
    if (n == 0) return NULL;
    return bsearch(name, entries, (size_t)n, sizeof *entries, compare_with_name);
}
