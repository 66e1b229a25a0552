/* unsnap: Snappy's raw block format, as Parquet pages use it. */
#ifndef HONE_DATA_CONTAINERS_UNSNAP_H
#define HONE_DATA_CONTAINERS_UNSNAP_H

#include <stdbool.h>
#include <stddef.h>

/* Unpacks exactly `size` bytes into `out`; false when the data is damaged or holds another
 * number. Reads and writes nothing outside of the two. */
bool unsnap_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n);

#endif
