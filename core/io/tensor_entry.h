/* tensor_entry: a named tensor in a file, whichever container the file is. */
#ifndef HONE_CORE_IO_TENSOR_ENTRY_H
#define HONE_CORE_IO_TENSOR_ENTRY_H

#include "core/dtype.h"

#include <stddef.h>
#include <stdint.h>

#define TENSOR_ENTRY_MAX_RANK 8

typedef struct TensorEntry {
    const char *name;
    DType dtype;            /* of its values; DTYPE_NONE: known to the format, not to us */
    const char *dtype_name; /* the format's word: "BF16", "FloatStorage", "Q4_K" */
    int rank;
    int64_t shape[TENSOR_ENTRY_MAX_RANK];
    const void *data; /* its values row by row, in the mapping, aligned only as the file has it:
                         read them by dtype_convert. NULL: tensor_entry_values makes them */
    size_t bytes;     /* in the file */
    const char *file; /* path of the file, for messages */
    /* How values are made where data is NULL: */
    const void *stored;
    int64_t stride[TENSOR_ENTRY_MAX_RANK]; /* in elements, of an array that lies otherwise */
    const struct BlockType *blocks;        /* or NULL: of one in blocks, row by row */
} TensorEntry;

/* The values row by row: e->data, or an array in *made, which the caller mem_free's (NULL
 * otherwise). CHECKs that e->dtype is ours. */
const void *tensor_entry_values(const TensorEntry *e, void **made);
/* The values were read: the file's pages that hold them need not stay in memory (read again, they
 * come back). */
void tensor_entry_forget(const TensorEntry *e);

/* Sorts by name. */
void tensor_entries_sort(TensorEntry *entries, int64_t n);
/* In sorted ones; NULL: none of that name. */
const TensorEntry *tensor_entries_find(const TensorEntry *entries, int64_t n, const char *name);

#endif
