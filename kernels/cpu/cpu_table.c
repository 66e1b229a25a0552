#include "kernels/cpu/cpu.h"

extern const Ops CPU_NAME(ops);

const Ops CPU_NAME(ops) = {.linear_fwd = CPU_NAME(linear_fwd),
                           .linear_dx = CPU_NAME(linear_dx),
                           .linear_dw = CPU_NAME(linear_dw)};
