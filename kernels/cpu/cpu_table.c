#include "kernels/cpu/cpu.h"

extern const Ops CPU_NAME(ops);

#define CPU_DECLARE(name, parameters) void CPU_NAME(name) parameters __attribute__((weak));
OPS(CPU_DECLARE)

#define CPU_SLOT(name, parameters) .name = CPU_NAME(name),
const Ops CPU_NAME(ops) = {OPS(CPU_SLOT)};
