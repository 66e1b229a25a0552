/* h5: HDF5 files as an encoding of named arrays and attributes. The only file that includes HDF5.
 *
 * Writing builds the file in memory and hands the bytes out (publish.h stores them): HDF5's own
 * writing is not crash-safe. Equal contents give equal bytes. An image costs about twice its data.
 * Reading trusts nothing: no plug-in filters, no external or soft links, no virtual or external
 * storage, and name, shape and dtype are compared before data is read. Check the file's digest
 * first. Paths are "a/b/c" from the root; groups are made on the way. Not for use from several
 * threads.
 *
 * h5py reads what is written here: bfloat16 is stored as a two-byte float that it shows as float32,
 * bool as its own bool. Errors: ERR_DATA (damaged or foreign file), ERR_INPUT (missing), ERR_IO.
 */
#ifndef HONE_CORE_IO_H5_H
#define HONE_CORE_IO_H5_H

#include "core/status.h"
#include "core/tensor.h"

#include <stddef.h>
#include <stdint.h>

/* ---- writing ---- */

typedef struct H5Writer H5Writer;

Status h5_writer_open(H5Writer **out);
Status h5_put(H5Writer *w, const char *path, Tensor t); /* any dtype; rank 0 is a scalar */
/* On the group or dataset at `path` ("" is the root), which is made as a group when it is missing.
 */
Status h5_put_attr_str(H5Writer *w, const char *path, const char *key, const char *value);
Status h5_put_attr_i64(H5Writer *w, const char *path, const char *key, int64_t value);
Status h5_put_attr_f64(H5Writer *w, const char *path, const char *key, double value);
/* Ends the writing: the file's bytes, which the caller mem_free's. close is still to be called. */
Status h5_writer_finish(H5Writer *w, void **image, size_t *bytes);
void h5_writer_close(H5Writer *w);

/* ---- reading ---- */

typedef struct H5Reader H5Reader;

typedef struct H5Entry {
    const char *path;
    DType dtype; /* DTYPE_NONE: a type that we do not write */
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
} H5Entry;

Status h5_open(H5Reader **out, const char *path);
Status h5_open_image(H5Reader **out, const char *name, const void *image, size_t bytes);
void h5_close(H5Reader *r);

int64_t h5_count(const H5Reader *r);
const H5Entry *h5_at(const H5Reader *r, int64_t i);          /* datasets, in order of path */
const H5Entry *h5_find(const H5Reader *r, const char *path); /* NULL: none */
/* Fills dst.data; dst's dtype and shape must be the file's, else ERR_DATA that says both. */
Status h5_get(const H5Reader *r, const char *path, Tensor dst);
/* The caller mem_free's the string. */
Status h5_get_attr_str(char **out, const H5Reader *r, const char *path, const char *key);
Status h5_get_attr_i64(int64_t *out, const H5Reader *r, const char *path, const char *key);
Status h5_get_attr_f64(double *out, const H5Reader *r, const char *path, const char *key);

#endif
