#include "kernels/cpu/cpu.h"

extern const Ops CPU_NAME(ops);

const Ops CPU_NAME(ops) = {.linear_fwd = CPU_NAME(linear_fwd),
                           .linear_dx = CPU_NAME(linear_dx),
                           .dropout = CPU_NAME(dropout),
                           .attn_fwd = CPU_NAME(attn_fwd),
                           .attn_bwd = CPU_NAME(attn_bwd),
                           .attn_decode = CPU_NAME(attn_decode),
                           .kv_store = CPU_NAME(kv_store),
                           .linear_dw = CPU_NAME(linear_dw)};
