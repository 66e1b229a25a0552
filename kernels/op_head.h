/* op_head: what is asked of logits: log-probabilities, entropy, sampled tokens. */
#ifndef HONE_KERNELS_OP_HEAD_H
#define HONE_KERNELS_OP_HEAD_H

#include "kernels/dev.h"

typedef struct LogpArgs {
    double inv_temperature; /* z = logits * inv_temperature before the softmax */
    double soft_cap;        /* c tanh(z/c) on raw logits first (Gemma-2); 0: none */
    double smoothing;       /* share of the target that is spread evenly over all V; 0: none */
} LogpArgs;

/* For each row r of logits[R,V] (real), with z as above and lse = log sum exp z (the maximum
 * subtracted, the sum over fixed blocks of the vocabulary):
 *   logp[R]    = sum q z - lse, where q[v] = (1 - smoothing) 1[v = target] + smoothing / V: of the
 *                target z[target] - lse, and smoothed what a cross-entropy with label smoothing is
 *                the negative of
 *   entropy[R] = lse - sum p z, or none
 *   lse[R]     needed by the backward
 *   argmax[R]  i32, the first maximum, or none
 * targets [R] i32, all valid. logp, entropy, lse are real. */
void op_logp_fwd(Dev *dev, Tensor logp, Tensor entropy, Tensor lse, Tensor argmax, Tensor logits,
                 Tensor targets, LogpArgs args);
/* logits become dlogits in place:
 *   dz[v] = dlogp (q[v] - p[v]) - dentropy p[v] (log p[v] + entropy)
 * dlogp [R] real; dentropy [R] real or none (then entropy may be none). */
void op_logp_bwd(Dev *dev, Tensor logits, Tensor lse, Tensor entropy, Tensor targets, Tensor dlogp,
                 Tensor dentropy, LogpArgs args);

/* Kullback-Leibler divergence of two rows of logits over one vocabulary, z as above:
 *   kl[R] = sum p (log p - log q), p of `logits`, q of `other`, both [R,V] real. kl is real. */
void op_kl(Dev *dev, Tensor kl, Tensor logits, Tensor other, LogpArgs args);

/* Sampling. Per row r:
 *   z = logits * (1/temperature[r]), as op_logp_fwd has it; temperature 0 is greedy (first maximum)
 *   top_k[r] > 0 keeps the k largest (ties: lower id first); then
 *   top_p[r] < 1 keeps the smallest set of the most probable whose sum reaches top_p (of what top_k
 *                left, renormalised), at least one
 *   token[R] i32: the first kept one, in id order, whose prefix sum of exp(z - max) exceeds
 *                u[r] * total. Sums are in real, from 0 in id order inside blocks of SAMPLE_BLOCK
 *                ids, then block after block; a prefix is the sum of the whole blocks before plus
 *                the sum inside its own. Where rounding leaves none, the last kept one.
 *   logp[R] real or none: log-prob of the token under the FULL softmax at the temperature (greedy:
 *                at temperature 1), the same bits as op_logp_fwd's. */
#define SAMPLE_BLOCK 1024
typedef struct SampleArgs {
    const double *temperature, *top_p; /* [R], host */
    const int32_t *top_k;              /* [R], host */
    const float *u;                    /* [R], host, in (0,1]: rng_uniform */
    double soft_cap;                   /* of LogpArgs */
} SampleArgs;
void op_sample(Dev *dev, Tensor token, Tensor logp, Tensor logits, SampleArgs args);

#endif
