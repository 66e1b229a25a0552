/* gunzip: gzip data, one member or several, into memory. The only file that knows zlib. */
#ifndef HONE_DATA_CONTAINERS_GUNZIP_H
#define HONE_DATA_CONTAINERS_GUNZIP_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>

#define GUNZIP_MAX ((size_t)1 << 32) /* more than this is taken for an attack */

bool gunzip_is(const unsigned char *data, size_t n); /* does it begin as gzip does? */
/* Appends to `out`. ERR_DATA when damaged, cut off or larger than GUNZIP_MAX. */
Status gunzip_bytes(Str *out, const char *path, const unsigned char *data, size_t n);
/* gzip or zlib data of exactly `size` bytes (at most INT32_MAX) into `out`; false when it is not.
 */
bool gunzip_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n);

#endif
