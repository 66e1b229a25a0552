/* parquet: a Parquet file as rows, each the JSON object that a JSON line of it would hold.
 *
 *     "PAR1"  | pages of column 1, column 2, ... of row group 1 | row group 2 | ... | footer | n |
 * "PAR1"
 *
 * Opening reads the footer only. A row is found by its number: its row group is decoded when it is
 * first asked for, and the two groups asked for last stay in memory.
 *
 * Read: pages v1 and v2; uncompressed, Snappy, gzip, zstd; all encodings but the bit-packed levels
 * of old; lists, structs and maps at any depth. What becomes of values:
 *
 *     int, uint, date, time, timestamp   the stored integer (a timestamp is not made a text)
 *     float16, float, double, decimal    a number; NaN is null
 *     string, enum, json, uuid           text; a uuid as 32 hexadecimal digits
 *     binary                             text where it is UTF-8, else null: bytes are no text
 *     list; struct; map                  array; object; object, or pairs where keys are no strings
 *
 * No more memory is taken than the file's own size explains (PARQUET_MOST_GROWTH), whatever lengths
 * a damaged or hostile file claims. */
#ifndef HONE_DATA_CONTAINERS_PARQUET_H
#define HONE_DATA_CONTAINERS_PARQUET_H

#include "core/io/json.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A row group in memory: at most this, and so many times what it has in the file. */
#define PARQUET_FREE_BYTES ((size_t)1 << 28)
#define PARQUET_MOST_GROWTH 64

typedef struct Parquet Parquet;

bool parquet_is(const void *data, size_t n); /* does it begin as Parquet does? */

/* `path` is for messages; it and the data are borrowed until parquet_close. */
Status parquet_open(Parquet **out, const char *path, const void *data, size_t n);
void parquet_close(Parquet *p);

int64_t parquet_rows(const Parquet *p);
/* The caller json_free's it. ERR_DATA names the column and, where one is at fault, the page. May
 * run in many threads. */
Status parquet_row(Json **out, Parquet *p, int64_t row);

#endif
