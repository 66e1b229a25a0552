#include "kernels/ref/ref_real.h"

void REF(sum_squares)(Dev *dev, Tensor out, Tensor x) {
    (void)dev;
    /* Wider than the contract asks, so that the standard's own rounding (2^-45 of a sum of 33,000
     * terms, one after another) is not taken for a backend's. */
    long double sum = 0;
    for (int64_t i = 0; i < tensor_numel(x); i++)
        sum += (long double)reals(x)[i] * (long double)reals(x)[i];
    *(double *)out.data += (double)sum;
}

void REF(adamw)(Dev *dev, Tensor p, Tensor m, Tensor v, Tensor g, AdamwArgs args) {
    (void)dev;
    real decay = (real)(1 - args.lr * args.weight_decay);
    real step_size = (real)(args.lr / (1 - pow(args.beta1, (double)args.step)));
    real v_scale = (real)sqrt(1 - pow(args.beta2, (double)args.step));
    for (int64_t i = 0; i < tensor_numel(p); i++) {
        real grad = reals(g)[i] * (real)args.grad_scale;
        real *mi = &reals(m)[i], *vi = &reals(v)[i];
        *mi = (real)args.beta1 * *mi + (real)(1 - args.beta1) * grad;
        *vi = (real)args.beta2 * *vi + (real)(1 - args.beta2) * grad * grad;
        reals(p)[i] =
            reals(p)[i] * decay - step_size * *mi / (sqrt(*vi) / v_scale + (real)args.eps);
    }
}
