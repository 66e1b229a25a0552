/* pickle: what torch.save writes about a state_dict, read without ever running any of it.
 *
 * A pickle is a program for a machine with a stack. This machine knows the steps that build
 * numbers, strings, tuples, lists and dicts, and four callables: collections.OrderedDict,
 * torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.*Storage. Whatever else a
 * pickle asks for (os.system, say) is refused by its name, before it could matter: there is nothing
 * here that calls anything.
 *
 * The result is a list of tensors: name, place in a storage, shape and strides. Bytes of storages
 * are elsewhere; torch_file.h has them.
 *
 * ERR_DATA: another callable (named), a step that is not known, a program that ends too early or
 * takes from an empty stack, more than PICKLE_MAX_VALUES values, a result that is no dict of
 * tensors (the entry is named).
 */
#ifndef HONE_CORE_IO_PICKLE_H
#define HONE_CORE_IO_PICKLE_H

#include "core/dtype.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

#define PICKLE_MAX_RANK 8
#define PICKLE_MAX_VALUES (1 << 22) /* of one pickle; a tensor takes about twenty */

typedef struct PickleTensor {
    char *name;
    char *storage;    /* which: "0", "1", ... */
    DType dtype;      /* of the storage; DTYPE_NONE: a type that is none of ours */
    const char *type; /* torch's word: "FloatStorage" */
    size_t item_bytes;
    uint64_t n_stored; /* elements of the storage */
    uint64_t offset;   /* first element */
    int rank;
    int64_t shape[PICKLE_MAX_RANK], stride[PICKLE_MAX_RANK]; /* not negative; else unchecked */
} PickleTensor;

typedef struct Pickle {
    PickleTensor *tensors; /* in the order of the file */
    size_t n_tensors;
} Pickle;

/* `path` is for messages. Close in any case. */
Status pickle_read(Pickle *out, const unsigned char *bytes, size_t n, const char *path);
void pickle_close(Pickle *p);

#endif
