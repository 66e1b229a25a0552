#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_math.h"

/* An activation and its derivative at eight places. What is not used is not computed: everything is
 * inlined. */
typedef struct Curve {
    Vec value, slope;
} Curve;

INLINE Curve curve_silu(Vec x) {
    const Vec one = vec_all(1.0F);
    Vec s = vec_sigmoid(x);
    return (Curve){x * s, s * (one + x * (one - s))};
}

/* Hendrycks & Gimpel 2016: x Phi(x); Phi' is the normal density. */
INLINE Curve curve_gelu(Vec x) {
    const Vec inv_sqrt_2pi = vec_all(0x1.988454p-2F);
    Vec phi = vec_phi(x);
    return (Curve){x * phi, phi + x * inv_sqrt_2pi * vec_exp(vec_all(-0.5F) * x * x)};
}

INLINE Curve curve_gelu_tanh(Vec x) {
    const Vec a = vec_all(0x1.988454p-1F), b = vec_all(0.044715F); /* a = sqrt(2/pi) */
    const Vec half = vec_all(0.5F), one = vec_all(1.0F), three = vec_all(3.0F);
    Vec t = vec_tanh(a * (x + b * x * x * x));
    Vec inner_slope = a * (one + three * b * x * x);
    return (Curve){half * x * (one + t), half * (one + t) + half * x * (one - t * t) * inner_slope};
}

INLINE Curve curve_relu(Vec x) {
    VecI positive = x > vec_zero();
    return (Curve){vec_select(positive, x, vec_zero()),
                   vec_select(positive, vec_all(1.0F), vec_zero())};
}

INLINE Curve curve_of(ActKind kind, Vec x) {
    switch (kind) {
    case ACT_SILU:
        return curve_silu(x);
    case ACT_GELU:
        return curve_gelu(x);
    case ACT_GELU_TANH:
        return curve_gelu_tanh(x);
    case ACT_RELU:
        return curve_relu(x);
    }
    FAIL("activation %d", (int)kind);
}

/* The arrays of one op; those it has not are NULL. */
typedef struct ActArrays {
    float *y, *dx, *dup;      /* written */
    const float *x, *up, *dy; /* x is the gate of a gated op */
} ActArrays;

/* Elements first .. end-1, for a constant kind. */
INLINE void act_run(ActKind kind, const ActArrays *p, int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i += VEC) {
        int64_t n = end - i;
        Curve curve = curve_of(kind, vec_load_n(p->x + i, n));
        if (p->y) {
            Vec y = curve.value;
            if (p->up) y *= vec_load_n(p->up + i, n);
            vec_store_n(p->y + i, y, n);
            continue;
        }
        Vec dy =
            vec_load_n(p->dy + i, n); /* read before dup is written: they may be the same memory */
        Vec dx = curve.slope * dy;
        if (p->up) {
            dx = dy * vec_load_n(p->up + i, n) * curve.slope;
            vec_store_n(p->dup + i, dy * curve.value, n);
        }
        vec_store_n(p->dx + i, dx, n);
    }
}

#define ACT_CHUNK 2048

static void act_each(const Dev *dev, const ActArrays *p, int64_t n, ActKind kind) {
    int threads = cpu_threads(dev, n * 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += ACT_CHUNK) {
        int64_t end = n - first < ACT_CHUNK ? n : first + ACT_CHUNK;
        switch (kind) {
        case ACT_SILU:
            act_run(ACT_SILU, p, first, end);
            break;
        case ACT_GELU:
            act_run(ACT_GELU, p, first, end);
            break;
        case ACT_GELU_TANH:
            act_run(ACT_GELU_TANH, p, first, end);
            break;
        case ACT_RELU:
            act_run(ACT_RELU, p, first, end);
            break;
        default:
            FAIL("activation %d", (int)kind);
        }
    }
}

void CPU_NAME(act_fwd)(Dev *dev, Tensor y, Tensor x, ActKind kind) {
    act_each(dev, &(ActArrays){.y = y.data, .x = x.data}, tensor_numel(x), kind);
}

void CPU_NAME(act_bwd)(Dev *dev, Tensor dx, Tensor dy, Tensor x, ActKind kind) {
    act_each(dev, &(ActArrays){.dx = dx.data, .dy = dy.data, .x = x.data}, tensor_numel(x), kind);
}

void CPU_NAME(gated_fwd)(Dev *dev, Tensor y, Tensor gate, Tensor up, ActKind kind) {
    act_each(dev, &(ActArrays){.y = y.data, .x = gate.data, .up = up.data}, tensor_numel(y), kind);
}

void CPU_NAME(gated_bwd)(Dev *dev, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up,
                         ActKind kind) {
    ActArrays p = {.dx = dgate.data, .dup = dup.data, .x = gate.data, .up = up.data, .dy = dy.data};
    act_each(dev, &p, tensor_numel(dy), kind);
}
