/* mlp: down(drop(act(gate(x)) * up(x))), or without a gate down(drop(act(up(x)))). Gate and up may
 * be one projection, whose first outputs are the gate's. */
#ifndef HONE_MODEL_MLP_H
#define HONE_MODEL_MLP_H

#include "model/layers/linear.h"

typedef struct Mlp {
    Linear gate; /* unused unless gated, and when fused */
    Linear up, down;
    bool gated, fused;
    ActKind act;
    double dropout;
    int dropout_slot;
} Mlp;

typedef struct MlpSaved {
    LinearSaved gate_in, up_in, down_in;
    Tensor gate, up; /* [N,F] before the activation; gate none without one */
} MlpSaved;

/* y[N,C] = ..., or += when `accumulate`. */
void mlp_fwd(const Flow *f, const Mlp *m, Tensor y, Tensor x, bool accumulate, MlpSaved *s);
/* dx[N,C] += (or none). */
void mlp_bwd(const Flow *f, const Mlp *m, Tensor dx, Tensor dy, const MlpSaved *s);
bool mlp_trains(const Flow *f, const Mlp *m);

#endif
