/* attention: projections, their clipping, norms of each head's queries and keys, rotary positions,
 * attention inside each sequence (causal, or both ways) or from it to the encoder's rows
 * (cross-attention), output projection. In generation the same code fills the caches (a prompt's
 * rows) or reads them (one row a sequence). */
#ifndef HONE_MODEL_ATTENTION_H
#define HONE_MODEL_ATTENTION_H

#include "kernels/op_attention.h"
#include "kernels/op_norm.h"
#include "model/layers/linear.h"
#include "model/layers/norm.h"

typedef struct Attention {
    Linear in[3]; /* q, k, v, or one that makes all three */
    int n_in;
    Linear out;
    double clip;       /* of queries, keys and values; 0: none */
    bool qk_norm;      /* head by head, before positions */
    Norm head_norm[2]; /* of queries, of keys: [D] */
    AttnArgs args;     /* without dropout */
    double dropout;
    bool rope;
    bool rope_interleaved;
    double rope_scaling;
    Tensor inv_freq; /* [rotary/2] f64; the base's */
    Tensor slopes;   /* [H] real: linear biases; none without; the base's */
    bool cross;      /* keys and values are made of flow->memory */
    bool biased;     /* flow->bias is added to scores */
    int64_t layer;   /* names its slots (flow.h) */
    int64_t cache;   /* its layer in the cache of keys */
} Attention;

typedef struct AttentionSaved {
    LinearSaved in[3], out;
    NormSaved head_norm[2];
    Tensor qkv[3]; /* [N,H*D], [N,K*D], [N,K*D] as attention sees them: clipped, normed, turned */
    Tensor heads;  /* [N,H*D] before the output projection */
    Tensor lse;    /* [N,H] */
} AttentionSaved;

/* y = ..., or += when `accumulate`: x[N,C] in, y[A,C] of the rows that are asked out. */
void attention_fwd(const Flow *f, const Attention *m, Tensor y, Tensor x, bool accumulate,
                   AttentionSaved *s);
/* dx[N,C] += (or none) of dy[A,C]. */
void attention_bwd(const Flow *f, const Attention *m, Tensor dx, Tensor dy,
                   const AttentionSaved *s);
bool attention_trains(const Flow *f, const Attention *m);

#endif
