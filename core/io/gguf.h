/* gguf: llama.cpp's file of a model, version 3 (2 is the same but for its number): metadata, then
 * tensors, many of them in blocks of a few bits a weight. Read by mapping.
 *
 *     "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | tensors' names, shapes, types,
 * places | padding | data
 *
 * Every rule of the format is checked when it is opened (ERR_DATA says which key or tensor and
 * what): sizes without overflow and inside the file, names and keys unique, data without hole or
 * overlap. Files of a model in several parts are refused by name.
 *
 * Tensors are TensorEntry with axes in the usual order (slowest first; the file has it the other
 * way round). Types that can be read: F64, F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K,
 * Q5_K, Q6_K; the others have dtype DTYPE_NONE and their name.
 */
#ifndef HONE_CORE_IO_GGUF_H
#define HONE_CORE_IO_GGUF_H

#include "core/io/tensor_entry.h"
#include "core/status.h"

#include <stdbool.h>

typedef struct Gguf Gguf;

Status gguf_open(Gguf **out, const char *path);
void gguf_close(Gguf *g);

const char *gguf_path(const Gguf *g);
/* Sorted by name; *n of them. */
const TensorEntry *gguf_entries(const Gguf *g, int64_t *n);

/* ---- metadata ---- */

bool gguf_has(const Gguf *g, const char *key);
/* *out keeps what it holds when the key is missing. ERR_DATA: the value is of another type.
 * Integers of all widths are integers; a float is one of 32 or 64 bits. */
Status gguf_opt_int(int64_t *out, const Gguf *g, const char *key);
Status gguf_opt_num(double *out, const Gguf *g, const char *key);
Status gguf_opt_bool(bool *out, const Gguf *g, const char *key);
/* NUL-terminated, of the file's; ERR_DATA when it is not UTF-8 or holds a NUL. */
Status gguf_opt_str(const char **out, const Gguf *g, const char *key);

/* An array: its length, 0 when the key is missing. ERR_DATA: it is none, or holds something else.
 */
Status gguf_opt_strings(int64_t *n, const Gguf *g, const char *key);
Status gguf_opt_numbers(int64_t *n, const Gguf *g, const char *key); /* integers or floats */
/* Element i < n of such an array. Strings are not ended; one after the other is fast. */
const char *gguf_string_at(const Gguf *g, const char *key, int64_t i, size_t *bytes);
double gguf_number_at(const Gguf *g, const char *key, int64_t i);

#endif
