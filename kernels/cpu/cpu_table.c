#include "kernels/cpu/cpu.h"

extern const Ops CPU_NAME(ops);

#define CPU_SLOT(name, parameters) .name = CPU_NAME(name),
const Ops CPU_NAME(ops) = {OPS(CPU_SLOT)};
