/* op_norm: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019), and rotary positions. */
#ifndef HONE_KERNELS_OP_NORM_H
#define HONE_KERNELS_OP_NORM_H

#include "kernels/dev.h"

typedef enum NormKind { NORM_LAYER, NORM_RMS } NormKind;

typedef struct NormArgs {
    NormKind kind;
    double eps;         /* inside the square root */
    double weight_plus; /* the weight in use is weight + weight_plus (Gemma: 1) */
} NormArgs;

/* y[N,C] = (x - mean) * rstd * weight[C] + bias[C]|none; RMS: mean = 0.
 * stat[N,2] real: mean, rstd, kept for the backward. y may not be x. weight real. */
void op_norm_fwd(Dev *dev, Tensor y, Tensor stat, Tensor x, Tensor weight, Tensor bias,
                 NormArgs args);
/* dx[N,C] += ...; dweight[C] += , dbias[C] += (or none when frozen), rows in ascending order (a
 * fixed tree). */
void op_norm_bwd(Dev *dev, Tensor dx, Tensor dweight, Tensor dbias, Tensor dy, Tensor x,
                 Tensor weight, Tensor stat, NormArgs args);

/* Rotary position embedding (Su et al. 2021) in place on x[N, n_heads*head_dim]: the first 2*n_freq
 * channels of a head turn by angle positions[i] * inv_freq[j]. `interleaved`: pairs are (2j, 2j+1)
 * (GPT-J), else (j, j + n_freq) (NeoX, LLaMA). inv_freq [n_freq] f64 on the host side of the
 * device; cos and sin are computed in double and times `attention_scaling`, then rounded to real.
 * inverse: the transposed turn, for the backward. */
typedef struct RopeArgs {
    int64_t n_heads, head_dim;
    bool interleaved;
    bool inverse;
    double attention_scaling; /* 1 unless YaRN or longrope */
} RopeArgs;
void op_rope(Dev *dev, Tensor x, Tensor positions, Tensor inv_freq, RopeArgs args);

#endif
