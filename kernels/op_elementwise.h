/* op_elementwise: copies, sums, activations, dropout, embedding tables. */
#ifndef HONE_KERNELS_OP_ELEMENTWISE_H
#define HONE_KERNELS_OP_ELEMENTWISE_H

#include "core/rng.h"
#include "kernels/dev.h"

void op_fill(Dev *dev, Tensor y, double value);
/* y = x between float types (f32, f64, bf16, f16); same shape. */
void op_copy(Dev *dev, Tensor y, Tensor x);
/* y += alpha x; both real, same shape. */
void op_axpy(Dev *dev, Tensor y, Tensor x, double alpha);
void op_scale(Dev *dev, Tensor y, double alpha); /* y *= alpha */
/* y = min(max(y, -limit), limit); limit > 0. The backward: dy = 0 where y lies on a limit. */
void op_clamp(Dev *dev, Tensor y, double limit);
void op_clamp_bwd(Dev *dev, Tensor dy, Tensor y, double limit);

/* y[N,C] = table[ids[i],:] * scale (+= when accumulate). table f32|bf16|f16|real, ids [N] i32. */
void op_embed_fwd(Dev *dev, Tensor y, Tensor table, Tensor ids, double scale, bool accumulate);
/* dtable[V,C] += scale dy[N,C] scattered; rows of equal id are summed in ascending row order. */
void op_embed_bwd(Dev *dev, Tensor dtable, Tensor dy, Tensor ids, double scale);

/* y[R,C] = x[index[r],:];  dx[index[r],:] += dy[r,:] (indices distinct). index [R] i32. */
void op_gather_rows(Dev *dev, Tensor y, Tensor x, Tensor index);
void op_scatter_add_rows(Dev *dev, Tensor dx, Tensor dy, Tensor index);

typedef enum ActKind {
    ACT_SILU,      /* x sigmoid(x) */
    ACT_GELU,      /* x Phi(x), erf */
    ACT_GELU_TANH, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): "gelu_new",
                      "gelu_pytorch_tanh" */
    ACT_RELU,
} ActKind;

/* y = act(x); dx = act'(x) dy (written, not added; dx may be dy). */
void op_act_fwd(Dev *dev, Tensor y, Tensor x, ActKind kind);
void op_act_bwd(Dev *dev, Tensor dx, Tensor dy, Tensor x, ActKind kind);
/* Gated MLP: y = act(gate) * up, all [N,F]. dgate and dup are written; dy may be dup's memory. */
void op_gated_fwd(Dev *dev, Tensor y, Tensor gate, Tensor up, ActKind kind);
void op_gated_bwd(Dev *dev, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up,
                  ActKind kind);

/* Dropout's mask is a function of (seed, step, sequence's global row id, position, column, site),
 * never of where the row stands in the pass; recomputation draws it again. Kept values are scaled
 * by 1/(1-p). */
typedef struct DropoutKey {
    double p;      /* probability of dropping; 0: op is a copy */
    uint64_t seed; /* of the run */
    uint64_t step; /* optimizer step */
    uint32_t site; /* which dropout of which layer: unique in the model, < 2^16 */
} DropoutKey;

/* Four columns share one rng_block(seed, subsequence, offset); column c of a row is kept when
 *   rng_uniform(word c % 4 of block b = c / 4) >= p,
 *   subsequence = RNG_DROPOUT << 56 | (seq_id mod 2^24) << 32 | step mod 2^32
 *   offset      = site << 48 | position << 24 | b           (position < 2^24, b < 2^24) */
uint64_t dropout_subsequence(DropoutKey key, int64_t seq_id);
uint64_t dropout_offset(DropoutKey key, int32_t position, int64_t block);
bool dropout_keeps(DropoutKey key, int64_t seq_id, int32_t position, int64_t column);

/* y = mask(x) / (1-p); y may be x. row_seq [N] i64: sequence id of each row; positions [N] i32. The
 * backward is the same op on dy. */
void op_dropout(Dev *dev, Tensor y, Tensor x, Tensor row_seq, Tensor positions, DropoutKey key);

#endif
