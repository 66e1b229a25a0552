#include "kernels/ref/ref_real.h"

void REF(fill)(Dev *dev, Tensor y, double value) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(y); i++) reals(y)[i] = (real)value;
}

void REF(copy)(Dev *dev, Tensor y, Tensor x) {
    (void)dev;
    dtype_convert(y.data, y.dtype, x.data, x.dtype, (size_t)tensor_numel(x));
}

void REF(axpy)(Dev *dev, Tensor y, Tensor x, double alpha) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(y); i++) reals(y)[i] += (real)alpha * reals(x)[i];
}

void REF(scale)(Dev *dev, Tensor y, double alpha) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(y); i++) reals(y)[i] *= (real)alpha;
}

void REF(clamp)(Dev *dev, Tensor y, double limit) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(y); i++)
        reals(y)[i] = fmin(fmax(reals(y)[i], -(real)limit), (real)limit);
}

void REF(clamp_bwd)(Dev *dev, Tensor dy, Tensor y, double limit) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(dy); i++)
        if (fabs(reals(y)[i]) >= (real)limit) reals(dy)[i] = 0;
}

void REF(embed_fwd)(Dev *dev, Tensor y, Tensor table, Tensor ids, double scale, bool accumulate) {
    (void)dev;
    int64_t width = table.shape[1];
    for (int64_t n = 0; n < y.shape[0]; n++) {
        for (int64_t c = 0; c < width; c++) {
            real value = load(table, ints(ids)[n] * width + c) * (real)scale;
            row(y, n)[c] = accumulate ? row(y, n)[c] + value : value;
        }
    }
}

void REF(embed_bwd)(Dev *dev, Tensor dtable, Tensor dy, Tensor ids, double scale) {
    (void)dev;
    for (int64_t n = 0; n < dy.shape[0]; n++)
        for (int64_t c = 0; c < dy.shape[1]; c++)
            row(dtable, ints(ids)[n])[c] += (real)scale * row(dy, n)[c];
}

void REF(gather_rows)(Dev *dev, Tensor y, Tensor x, Tensor index) {
    (void)dev;
    for (int64_t r = 0; r < y.shape[0]; r++)
        for (int64_t c = 0; c < y.shape[1]; c++) row(y, r)[c] = row(x, ints(index)[r])[c];
}

void REF(scatter_add_rows)(Dev *dev, Tensor dx, Tensor dy, Tensor index) {
    (void)dev;
    for (int64_t r = 0; r < dy.shape[0]; r++)
        for (int64_t c = 0; c < dy.shape[1]; c++) row(dx, ints(index)[r])[c] += row(dy, r)[c];
}

/* An activation and its derivative at x. */
typedef struct Curve {
    real value, slope;
} Curve;

static Curve silu(real x) {
    real s = 1 / (1 + exp(-x));
    return (Curve){.value = x * s, .slope = s * (1 + x * (1 - s))};
}

/* Hendrycks & Gimpel 2016: x Phi(x); Phi' is the normal density. */
static Curve gelu(real x) {
    const real inv_sqrt2 = (real)0.70710678118654752440, inv_sqrt2pi = (real)0.39894228040143267794;
    real phi = (real)0.5 * (1 + erf(x * inv_sqrt2));
    return (Curve){.value = x * phi, .slope = phi + x * inv_sqrt2pi * exp((real)-0.5 * x * x)};
}

static Curve gelu_tanh(real x) {
    const real a = (real)0.79788456080286535588, b = (real)0.044715; /* a = sqrt(2/pi) */
    real t = tanh(a * (x + b * x * x * x));
    real inner_slope = a * (1 + 3 * b * x * x);
    return (Curve){.value = (real)0.5 * x * (1 + t),
                   .slope = (real)0.5 * (1 + t) + (real)0.5 * x * (1 - t * t) * inner_slope};
}

static Curve relu(real x) {
    return (Curve){.value = x > 0 ? x : 0, .slope = x > 0 ? 1 : 0};
}

static Curve activation(ActKind kind, real x) {
    switch (kind) {
    case ACT_SILU:
        return silu(x);
    case ACT_GELU:
        return gelu(x);
    case ACT_GELU_TANH:
        return gelu_tanh(x);
    case ACT_RELU:
        return relu(x);
    }
    FAIL("activation %d", (int)kind);
}

void REF(act_fwd)(Dev *dev, Tensor y, Tensor x, ActKind kind) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(x); i++) reals(y)[i] = activation(kind, reals(x)[i]).value;
}

void REF(act_bwd)(Dev *dev, Tensor dx, Tensor dy, Tensor x, ActKind kind) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(x); i++)
        reals(dx)[i] = activation(kind, reals(x)[i]).slope * reals(dy)[i];
}

void REF(gated_fwd)(Dev *dev, Tensor y, Tensor gate, Tensor up, ActKind kind) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(y); i++)
        reals(y)[i] = activation(kind, reals(gate)[i]).value * reals(up)[i];
}

void REF(gated_bwd)(Dev *dev, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up,
                    ActKind kind) {
    (void)dev;
    for (int64_t i = 0; i < tensor_numel(dy); i++) {
        Curve act = activation(kind, reals(gate)[i]);
        real d = reals(dy)[i]; /* read before dup is written: they may be the same memory */
        reals(dgate)[i] = d * reals(up)[i] * act.slope;
        reals(dup)[i] = d * act.value;
    }
}

void REF(dropout)(Dev *dev, Tensor y, Tensor x, Tensor row_seq, Tensor positions, DropoutKey key) {
    (void)dev;
    for (int64_t n = 0; n < x.shape[0]; n++) {
        for (int64_t c = 0; c < x.shape[1]; c++) {
            bool keep = dropout_keeps(key, longs(row_seq)[n], ints(positions)[n], c);
            row(y, n)[c] = keep ? row(x, n)[c] * (real)(1 / (1 - key.p)) : 0;
        }
    }
}
