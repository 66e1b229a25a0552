/* unzstd: Zstandard data, one frame or several, into memory. The only file that knows libzstd. */
#ifndef HONE_DATA_CONTAINERS_UNZSTD_H
#define HONE_DATA_CONTAINERS_UNZSTD_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>

bool unzstd_is(const unsigned char *data, size_t n); /* does it begin as zstd does? */
/* Appends to `out`. ERR_DATA when damaged, cut off or larger than `most` bytes. */
Status unzstd_bytes(Str *out, const char *path, const unsigned char *data, size_t n, size_t most);
/* Frames of exactly `size` bytes into `out`; false when they are not. */
bool unzstd_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n);

#endif
