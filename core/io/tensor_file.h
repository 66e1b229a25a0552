/* tensor_file: the tensors of a model, in whichever of the field's files they are. Read by mapping.
 *
 * `path` is one file (.safetensors, .bin or .pt or .pth of torch.save, .gguf), the index of several
 * ("*.index.json"), or a folder that holds, in this order, model.safetensors, its index,
 * pytorch_model.bin, its index, adapter_model.safetensors, adapter_model.bin.
 * Errors are those of safetensors.h, torch_file.h, gguf.h and shard_index.h; ERR_INPUT names what a
 * folder lacks.
 */
#ifndef HONE_CORE_IO_TENSOR_FILE_H
#define HONE_CORE_IO_TENSOR_FILE_H

#include "core/io/tensor_entry.h"
#include "core/status.h"

#include <stdbool.h>

typedef struct TensorFile TensorFile;

Status tensor_file_open(TensorFile **out, const char *path);
void tensor_file_close(TensorFile *f);

int64_t tensor_file_count(const TensorFile *f);
const TensorEntry *tensor_file_at(const TensorFile *f, int64_t i);          /* in order of name */
const TensorEntry *tensor_file_find(const TensorFile *f, const char *name); /* NULL: none */

/* Is that the name of a file that tensor_file_open reads? */
bool tensor_file_is_named(const char *path);

#endif
