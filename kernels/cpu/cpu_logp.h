/* cpu_logp: one row of logits: its tempered values, its softmax's denominator. Shared with
 * sampling, so that a sampled token's log-probability has the bits of op_logp_fwd's. */
#ifndef HONE_KERNELS_CPU_LOGP_H
#define HONE_KERNELS_CPU_LOGP_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

/* LogpArgs in float. */
typedef struct Temper {
    float inv_temperature, soft_cap, inv_soft_cap; /* soft_cap 0: none */
} Temper;

INLINE Temper temper_of(LogpArgs args) {
    bool capped = args.soft_cap > 0;
    return (Temper){(float)args.inv_temperature, capped ? (float)args.soft_cap : 0.0F,
                    capped ? (float)(1 / args.soft_cap) : 0.0F};
}

/* z of eight logits: c tanh(logit/c), then over the temperature. */
INLINE Vec tempered(Vec logit, const Temper *t) {
    if (t->soft_cap > 0) logit = vec_all(t->soft_cap) * vec_tanh(logit * vec_all(t->inv_soft_cap));
    return logit * vec_all(t->inv_temperature);
}

/* The first id of the largest logit. */
int64_t CPU_NAME(first_max)(const float *logits, int64_t vocab);

typedef struct RowSums {
    int64_t best; /* first id of the largest logit */
    float max;    /* its z */
    float lse, entropy;
} RowSums;
/* weights [vocab], or NULL: exp(z - max) of each id. */
RowSums CPU_NAME(row_sums)(const float *logits, int64_t vocab, const Temper *t, float *weights);

/* z of one logit, by the same code. */
INLINE float tempered_one(float logit, const Temper *t) {
    return tempered(vec_all(logit), t)[0];
}

/* Lanes of a vector that begins at id `first` and are ids below vocab. */
INLINE VecI lanes_below(int64_t first, int64_t vocab) {
    int64_t left = vocab - first;
    VecI lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return lane < veci_all((int32_t)(left < VEC ? left : VEC));
}

#endif
