#include "kernels/ref/ref_real.h"

void REF(norm_fwd)(Dev *dev, Tensor y, Tensor stat, Tensor x, Tensor weight, Tensor bias,
                   NormArgs args) {
    (void)dev;
    int64_t width = x.shape[1];
    for (int64_t n = 0; n < x.shape[0]; n++) {
        const real *xn = row(x, n);
        real mean = 0, var = 0;
        if (args.kind == NORM_LAYER) {
            for (int64_t c = 0; c < width; c++) mean += xn[c];
            mean /= (real)width;
        }
        for (int64_t c = 0; c < width; c++) var += (xn[c] - mean) * (xn[c] - mean);
        var /= (real)width;
        real rstd = 1 / sqrt(var + (real)args.eps);
        for (int64_t c = 0; c < width; c++) {
            real w = reals(weight)[c] + (real)args.weight_plus;
            real b = tensor_is_none(bias) ? 0 : reals(bias)[c];
            row(y, n)[c] = (xn[c] - mean) * rstd * w + b;
        }
        row(stat, n)[0] = mean;
        row(stat, n)[1] = rstd;
    }
}

/* With xhat = (x - mean) rstd and g = dy w:
 *   dx = rstd (g - mean(g) - xhat mean(g xhat));  RMSNorm has no mean(g) term.
 * (Both terms are what the statistics' own dependence on x takes away.) */
void REF(norm_bwd)(Dev *dev, Tensor dx, Tensor dweight, Tensor dbias, Tensor dy, Tensor x,
                   Tensor weight, Tensor stat, NormArgs args) {
    (void)dev;
    int64_t rows = x.shape[0], width = x.shape[1];
    for (int64_t n = 0; n < rows; n++) {
        const real *xn = row(x, n), *dyn = row(dy, n);
        real mean = row(stat, n)[0], rstd = row(stat, n)[1];
        real mean_g = 0, mean_gx = 0;
        for (int64_t c = 0; c < width; c++) {
            real g = dyn[c] * (reals(weight)[c] + (real)args.weight_plus);
            mean_g += g;
            mean_gx += g * (xn[c] - mean) * rstd;
        }
        mean_g = args.kind == NORM_LAYER ? mean_g / (real)width : 0;
        mean_gx /= (real)width;
        for (int64_t c = 0; c < width; c++) {
            real g = dyn[c] * (reals(weight)[c] + (real)args.weight_plus);
            row(dx, n)[c] += rstd * (g - mean_g - (xn[c] - mean) * rstd * mean_gx);
        }
    }
    for (int64_t c = 0; c < width; c++) {
        real dw = 0, db = 0;
        for (int64_t n = 0; n < rows; n++) {
            dw += row(dy, n)[c] * (row(x, n)[c] - row(stat, n)[0]) * row(stat, n)[1];
            db += row(dy, n)[c];
        }
        if (!tensor_is_none(dweight)) reals(dweight)[c] += dw;
        if (!tensor_is_none(dbias)) reals(dbias)[c] += db;
    }
}

void REF(rope)(Dev *dev, Tensor x, Tensor positions, Tensor inv_freq, RopeArgs args) {
    (void)dev;
    int64_t n_freq = inv_freq.shape[0];
    for (int64_t n = 0; n < x.shape[0]; n++) {
        for (int64_t h = 0; h < args.n_heads; h++) {
            real *head = row(x, n) + h * args.head_dim;
            for (int64_t j = 0; j < n_freq; j++) {
                double angle = (double)ints(positions)[n] * ((const double *)inv_freq.data)[j];
                real cosine = (real)(cos(angle) * args.attention_scaling);
                real sine = (real)(sin(angle) * args.attention_scaling);
                if (args.inverse) sine = -sine;
                real *a = head + (args.interleaved ? 2 * j : j);
                real *b = head + (args.interleaved ? 2 * j + 1 : j + n_freq);
                real old_a = *a, old_b = *b;
                *a = old_a * cosine - old_b * sine;
                *b = old_b * cosine + old_a * sine;
            }
        }
    }
}
