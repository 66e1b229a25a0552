#include "kernels/ref/ref_real.h"

#define REF_SLOT(name, parameters) .name = REF(name),
static const Ops table = {OPS(REF_SLOT)};

#if REF_BITS == 32
const Backend ref_backend = {.name = "ref", .real = DTYPE_F32, .is_host = true, .ops = &table};
#else
const Backend ref64_backend = {.name = "ref64", .real = DTYPE_F64, .is_host = true, .ops = &table};
#endif
