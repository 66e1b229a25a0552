/* shard_index: the file that says which tensor of a large model is in which of its files
 * ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
 *
 *     {"metadata": {...}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors",
 * ...}}
 *
 * Names of files are not trusted: plain names with the right ending only (ERR_DATA). A file that is
 * not there is ERR_INPUT.
 */
#ifndef HONE_CORE_IO_SHARD_INDEX_H
#define HONE_CORE_IO_SHARD_INDEX_H

#include "core/io/json.h"
#include "core/io/tensor_entry.h"

typedef struct ShardIndex {
    char *path;
    Json *json;
    int64_t n_names;
    const char **names; /* [n_names] of tensors */
    int64_t *file_of;   /* [n_names] */
    int64_t n_files;
    char **files; /* [n_files] paths */
} ShardIndex;

/* Close in any case. */
Status shard_index_open(ShardIndex *out, const char *path, const char *ending);
void shard_index_close(ShardIndex *x);

/* The entries of all files that the index names, sorted, into out[n_names]; entries[f][0..n[f]) are
 * those of file f, sorted. ERR_DATA when one is not where the index says; those that it does not
 * name are counted in a warning. */
Status shard_index_pick(const ShardIndex *x, TensorEntry *out, const TensorEntry *const *entries,
                        const int64_t *n);

#endif
