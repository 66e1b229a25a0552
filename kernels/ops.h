/* ops: the one list of ops. The table of each backend, the argument checks, the parity tests, the
 * gradient checks and the benchmark are generated from OPS(X) or held complete against it.
 *
 * Each op has its contract in the family header, is checked once for all backends in ops.c (shapes,
 * dtypes, aliasing), and then called through the device's table. Outputs come first. Ops return
 * void; device errors stick in Dev. X(name, parameter types): the table's slot is `void (*name)(Dev
 * *, parameters)`.
 */
#ifndef HONE_KERNELS_OPS_H
#define HONE_KERNELS_OPS_H

#include "kernels/op_attention.h"
#include "kernels/op_elementwise.h"
#include "kernels/op_head.h"
#include "kernels/op_matmul.h"
#include "kernels/op_norm.h"
#include "kernels/op_optim.h"

#define OPS(X)                                                                                  \
    X(pack, (Dev *, Tensor, Tensor))                                                            \
    X(pack_transposed, (Dev *, Tensor, Tensor))                                                 \
    X(linear_fwd, (Dev *, Tensor, Tensor, Tensor, Tensor, LinearArgs))                          \
    X(linear_dx, (Dev *, Tensor, Tensor, Tensor, LinearArgs))                                   \
    X(linear_dw, (Dev *, Tensor, Tensor, Tensor, double))                                       \
    X(bias_bwd, (Dev *, Tensor, Tensor))                                                        \
    X(fill, (Dev *, Tensor, double))                                                            \
    X(copy, (Dev *, Tensor, Tensor))                                                            \
    X(axpy, (Dev *, Tensor, Tensor, double))                                                    \
    X(scale, (Dev *, Tensor, double))                                                           \
    X(clamp, (Dev *, Tensor, double))                                                           \
    X(clamp_bwd, (Dev *, Tensor, Tensor, double))                                               \
    X(embed_fwd, (Dev *, Tensor, Tensor, Tensor, double, bool))                                 \
    X(embed_bwd, (Dev *, Tensor, Tensor, Tensor, double))                                       \
    X(gather_rows, (Dev *, Tensor, Tensor, Tensor))                                             \
    X(scatter_add_rows, (Dev *, Tensor, Tensor, Tensor))                                        \
    X(act_fwd, (Dev *, Tensor, Tensor, ActKind))                                                \
    X(act_bwd, (Dev *, Tensor, Tensor, Tensor, ActKind))                                        \
    X(gated_fwd, (Dev *, Tensor, Tensor, Tensor, ActKind))                                      \
    X(gated_bwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, ActKind))                      \
    X(dropout, (Dev *, Tensor, Tensor, Tensor, Tensor, DropoutKey))                             \
    X(norm_fwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, NormArgs))                      \
    X(norm_bwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, NormArgs))      \
    X(rope, (Dev *, Tensor, Tensor, Tensor, RopeArgs))                                          \
    X(attn_fwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, \
                 Tensor, AttnArgs))                                                             \
    X(attn_bwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, \
                 Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, AttnArgs))                     \
    X(kv_store, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, int64_t))                       \
    X(attn_decode,                                                                              \
      (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, AttnArgs))        \
    X(logp_fwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, LogpArgs))              \
    X(logp_bwd, (Dev *, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, LogpArgs))              \
    X(kl, (Dev *, Tensor, Tensor, Tensor, LogpArgs))                                            \
    X(sample, (Dev *, Tensor, Tensor, Tensor, SampleArgs))                                      \
    X(sum_squares, (Dev *, Tensor, Tensor))                                                     \
    X(adamw, (Dev *, Tensor, Tensor, Tensor, Tensor, AdamwArgs))

typedef struct Ops {
#define OPS_SLOT(name, parameters) void(*name) parameters;
    OPS(OPS_SLOT)
#undef OPS_SLOT
} Ops;

#endif
