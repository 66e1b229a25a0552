/* torch_file: tensors in a file of torch.save (pytorch_model.bin), read by mapping: a ZIP file of
 * stored entries (zip.h), of which `<root>/data.pkl` describes the tensors (pickle.h) and
 * `<root>/data/<k>` are their storages. Two tensors may share a storage.
 *
 * ERR_DATA besides what zip.h and pickle.h refuse: the format before torch 1.6 (with advice), data
 * of a big-endian machine, a storage that is missing or has another size than its tensors say, a
 * tensor that reaches out of its storage, or whose axes are neither in order nor transposed.
 */
#ifndef HONE_CORE_IO_TORCH_FILE_H
#define HONE_CORE_IO_TORCH_FILE_H

#include "core/io/tensor_entry.h"
#include "core/status.h"

typedef struct TorchFile TorchFile;

Status torch_file_open(TorchFile **out, const char *path);
void torch_file_close(TorchFile *f);
/* Sorted by name; *n of them. */
const TensorEntry *torch_file_entries(const TorchFile *f, int64_t *n);

#endif
