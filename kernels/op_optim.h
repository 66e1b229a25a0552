/* op_optim: AdamW and the sums that clipping needs. */
#ifndef HONE_KERNELS_OP_OPTIM_H
#define HONE_KERNELS_OP_OPTIM_H

#include "kernels/dev.h"

/* out[1] f64 += sum of x*x, over fixed blocks, in double, independent of the number of threads. */
void op_sum_squares(Dev *dev, Tensor out, Tensor x);

typedef struct AdamwArgs {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_scale; /* clip factor; multiplies the gradient */
    int64_t step;      /* from 1, for the bias corrections */
} AdamwArgs;
/* Decoupled weight decay (Loshchilov & Hutter 2019), in torch.optim.AdamW's order of operations:
 *   p *= 1 - lr wd;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g g;
 *   p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps).
 * p, m, v, g real, same shape. g is not cleared. */
void op_adamw(Dev *dev, Tensor p, Tensor m, Tensor v, Tensor g, AdamwArgs args);

#endif
