/* safetensors: named tensors in a file, or in several with an index. Read by mapping, never copied.
 *
 *     8 bytes N (little endian) | N bytes JSON {name: {dtype, shape, data_offsets}} | data
 *
 * Every rule of the format is checked when it is opened (ERR_DATA says which tensor and what):
 * header size, strict JSON, known dtype, non-negative shape of rank <= 8, sizes without overflow,
 * data without hole, overlap or trailing bytes, names unique and at most 1024 bytes, shards named
 * by plain file names. A missing file or shard is ERR_INPUT.
 */
#ifndef HONE_CORE_IO_SAFETENSORS_H
#define HONE_CORE_IO_SAFETENSORS_H

#include "core/io/tensor_entry.h"
#include "core/publish.h"
#include "core/status.h"
#include "core/tensor.h"

#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_MAX_RANK TENSOR_ENTRY_MAX_RANK

/* ---- reading ---- */

typedef struct Safetensors Safetensors;

/* `path`: a .safetensors file, an index ("*.safetensors.index.json"), or a folder that holds
 * model.safetensors, model.safetensors.index.json or adapter_model.safetensors (in this order). */
Status safetensors_open(Safetensors **out, const char *path);
void safetensors_close(Safetensors *s);

int64_t safetensors_count(const Safetensors *s);
const TensorEntry *safetensors_at(const Safetensors *s, int64_t i);          /* in order of name */
const TensorEntry *safetensors_find(const Safetensors *s, const char *name); /* NULL: none */
const char *safetensors_meta(const Safetensors *s, const char *key);         /* NULL: none */

/* The entry as a view; CHECKs that its dtype is ours and its rank at most TENSOR_MAX_RANK. */
Tensor safetensors_tensor(const TensorEntry *e);

/* The format's word for a dtype of ours: "BF16". */
const char *safetensors_dtype_name(DType dtype);

/* ---- writing ---- */

/* One tensor to write. data NULL: it is made when its turn comes, by the spec's `fill`. */
typedef struct SafetensorsItem {
    const char *name;
    DType dtype;
    int rank;
    int64_t shape[SAFETENSORS_MAX_RANK];
    const void *data;
} SafetensorsItem;

typedef struct SafetensorsSpec {
    const SafetensorsItem *items;
    int64_t n_items;
    const char *const
        *meta; /* key, value, key, value, ..., NULL; or NULL. Usually {"format","pt",NULL} */
    /* Writes item `i`'s bytes to `dst`; asked once each, one after another. */
    Status (*fill)(void *ctx, int64_t i, void *dst);
    void *ctx;
} SafetensorsSpec;

/* One file, published at `path`. */
Status safetensors_save(const char *path, const SafetensorsSpec *spec);
/* Files below `folder` (of a folder that is being published: publish_folder_path):
 * "<stem>.safetensors", or when the data is more than shard_bytes (0: never)
 * "<stem>-00001-of-00003.safetensors" ... and
 * "<stem>.safetensors.index.json". */
Status safetensors_save_in(const char *folder, const char *stem, size_t shard_bytes,
                           const SafetensorsSpec *spec);

#endif
