/* h5_types: how our dtypes look in an HDF5 file; shared by h5.c's writing and h5_read.c's reading,
 * and by nobody else (it shows HDF5). */
#ifndef HONE_CORE_IO_H5_TYPES_H
#define HONE_CORE_IO_H5_TYPES_H

#include "core/dtype.h"

#include <hdf5.h>

/* Call before anything else of HDF5: no error prints of its own, no plug-in filters from outside.
 */
void h5_start(void);

typedef struct H5Types {
    hid_t of[DTYPE_COUNT];
} H5Types;
void h5_types_open(H5Types *t);
void h5_types_close(H5Types *t);

#endif
