#include "core/io/h5_types.h"

#include "core/check.h"

#include <stddef.h>

void h5_start(void) {
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
}

/* A little-endian two-byte float. `exponent` and `fraction` are widths in bits. */
static hid_t small_float(size_t exponent, size_t fraction, size_t bias) {
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(t, 15, fraction, exponent, 0, fraction);
    H5Tset_ebias(t, bias);
    H5Tset_size(t, 2); /* last: only now do the fields fit */
    return t;
}

/* What h5py makes of numpy's bool. */
static hid_t bool_enum(void) {
    signed char no = 0, yes = 1;
    hid_t t = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(t, "FALSE", &no);
    H5Tenum_insert(t, "TRUE", &yes);
    return t;
}

void h5_types_open(H5Types *t) {
    *t = (H5Types){.of = {[DTYPE_NONE] = -1,
                          [DTYPE_F64] = H5Tcopy(H5T_IEEE_F64LE),
                          [DTYPE_F32] = H5Tcopy(H5T_IEEE_F32LE),
                          [DTYPE_BF16] = small_float(8, 7, 127),
                          [DTYPE_F16] = small_float(5, 10, 15),
                          [DTYPE_I64] = H5Tcopy(H5T_STD_I64LE),
                          [DTYPE_I32] = H5Tcopy(H5T_STD_I32LE),
                          [DTYPE_I16] = H5Tcopy(H5T_STD_I16LE),
                          [DTYPE_I8] = H5Tcopy(H5T_STD_I8LE),
                          [DTYPE_U8] = H5Tcopy(H5T_STD_U8LE),
                          [DTYPE_BOOL] = bool_enum()}};
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++)
        CHECK(t->of[i] >= 0 && H5Tget_size(t->of[i]) == dtype_size((DType)i), "HDF5 type of %s",
              dtype_name((DType)i));
}

void h5_types_close(H5Types *t) {
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++) H5Tclose(t->of[i]);
}
