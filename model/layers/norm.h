/* norm: LayerNorm or RMSNorm with its weight. */
#ifndef HONE_MODEL_NORM_H
#define HONE_MODEL_NORM_H

#include "kernels/op_norm.h"
#include "model/layers/flow.h"
#include "model/param.h"

typedef struct Norm {
    Weight w; /* [C] real */
    Weight b; /* [C] real, or none */
    NormArgs args;
    int64_t width; /* C */
} Norm;

typedef struct NormSaved {
    Tensor x;    /* [N,C] */
    Tensor stat; /* [N,2] */
} NormSaved;

/* y[N,C]; x must live until backward. */
void norm_fwd(const Flow *f, const Norm *m, Tensor y, Tensor x, NormSaved *s);
/* dx[N,C] += */
void norm_bwd(const Flow *f, const Norm *m, Tensor dx, Tensor dy, const NormSaved *s);
bool norm_trains(const Norm *m);

#endif
