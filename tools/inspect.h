/* inspect: what lies at a path, as text for people. */
#ifndef HONE_TOOLS_INSPECT_H
#define HONE_TOOLS_INSPECT_H

#include "core/status.h"
#include "core/str.h"

/* Appends tables of what is at `path`: a run folder, a checkpoint, a model, an adapter, a
 * tokenizer, a file of weights or an .h5 file. ERR_INPUT when there is nothing, ERR_DATA when it is
 * damaged or none of these. */
Status inspect_path(Str *out, const char *path);

/* The tensors of a file or folder of weights (name, dtype, shape, size) and their sums. */
Status inspect_tensors(Str *out, const char *path);
/* The datasets of an HDF5 file. */
Status inspect_h5(Str *out, const char *path);

#endif
