/* op_case: one description of a call of an op, from which the parity, gradient and invariance tests
 * are made. The descriptions themselves are in op_cases.h.
 *
 * A case lists its arguments (role, type, shape, how to fill) and two functions that make the call,
 * forward and backward. Values live on the host as double, and are exact in the type that the
 * argument has on the device, so that ref64, ref and cpu see the same numbers. With each argument
 * `t` goes a gradient `d`: an output's  d: the cotangent; the loss of a case is the sum over
 * outputs of d * t an input's   d: written by the backward, or added to when the argument says
 * `adds` an in-out's  d: the cotangent before, the gradient of the old value after
 *
 * Every buffer stands between guards that are looked at after the call; outputs start as NaN, so
 * what is not written, or read before, shows.
 */
#ifndef HONE_TESTS_OP_CASE_H
#define HONE_TESTS_OP_CASE_H

#include "unit.h"

#include "core/mem.h"
#include "kernels/ops.h"
#include "kernels/quant_weight.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_MAX_ARGS = 12, OP_GUARD_BYTES = 256, OP_MAX_CASES = 160 };

typedef enum ArgRole { ARG_IN, ARG_OUT, ARG_INOUT } ArgRole;

typedef enum Fill {
    FILL_NORMAL,   /* scale * standard normal */
    FILL_POSITIVE, /* scale * (0.1 + |normal|) */
    FILL_BELOW,    /* integers 0 .. limit-1 */
    FILL_DISTINCT, /* the same, no two alike */
    FILL_LIST,     /* list[i]; lists repeat when they are short */
} Fill;

typedef struct OpArg {
    const char *name;
    ArgRole role;
    DType dtype; /* DTYPE_NONE: the device's real */
    TensorLayout layout;
    int rank;
    int64_t shape[2];
    Fill fill;
    double scale; /* 0 means 1 */
    int64_t limit;
    const double *list;
    int64_t list_length;
    bool absent;       /* an optional argument left out */
    bool per_row;      /* the slowest axis is the rows that are each computed alone */
    bool per_seq;      /* one value a sequence */
    bool diff;         /* has a gradient */
    bool adds;         /* the backward adds to it */
    bool no_cotangent; /* an output that no loss looks at (statistics for the backward) */
    bool coded;        /* a weight in LAYOUT_CODES; values are what is quantized: */
    QuantKind kind;
    int64_t block;
    bool nested, reversed; /* scales too; rows stand in the opposite order of the file's */
} OpArg;

typedef struct OpCase OpCase;
struct OpCase {
    const char *fwd_ops, *bwd_ops; /* the ops that `fwd` and `bwd` call, by name, space between */
    const char *label;
    int n_args;
    OpArg arg[OP_MAX_ARGS];
    void (*fwd)(Dev *dev, const OpCase *c, const Tensor *t);
    void (*bwd)(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d); /* or NULL */
    bool loose_tokens; /* integer outputs may differ where a sum's rounding decides (sampling) */
    union {
        LinearArgs linear;
        NormArgs norm;
        RopeArgs rope;
        AttnArgs attn;
        LogpArgs logp;
        AdamwArgs adamw;
        ActKind act;
        DropoutKey dropout;
        struct {
            double factor;
            bool accumulate;
        } plain;
    } args;
};

typedef struct OpValues {
    double *t[OP_MAX_ARGS], *d[OP_MAX_ARGS];
} OpValues;

typedef enum OpPass { PASS_FWD, PASS_BWD } OpPass;

static inline int64_t op_arg_numel(const OpArg *a) {
    return a->rank == 1 ? a->shape[0] : a->shape[0] * a->shape[1];
}

static inline DType op_arg_dtype(const OpArg *a, DType real) {
    return a->dtype == DTYPE_NONE ? real : a->dtype;
}

static inline bool op_arg_is_float(const OpArg *a) {
    return a->dtype == DTYPE_NONE || dtype_is_float(a->dtype);
}

/* Does the loss look at it? */
static inline bool op_arg_cotangent(const OpArg *a) {
    return !a->absent && a->role != ARG_IN && op_arg_is_float(a) && !a->no_cotangent;
}

/* Has it a `d` in the backward? */
static inline bool op_arg_has_d(const OpArg *a) {
    return !a->absent && (op_arg_cotangent(a) || a->diff);
}

/* Makes x exact in t; real (DTYPE_NONE) counts as f32, which every device can hold. */
static inline double op_round(double x, DType t) {
    switch (t) {
    case DTYPE_NONE:
    case DTYPE_F32:
        return (double)(float)x;
    case DTYPE_BF16:
        return (double)bf16_to_f32(f32_to_bf16((float)x));
    case DTYPE_F16:
        return (double)f16_to_f32(f32_to_f16((float)x));
    default:
        return x;
    }
}

/* n standard normals of a stream that has a name. */
static inline void op_normals(double *out, int64_t n, const char *name, uint64_t salt) {
    RngStream s = rng_stream(20240229 + salt, RNG_WORLD, rng_hash_name(name));
    for (int64_t i = 0; i < n; i += 2) {
        double pair[2];
        uint32_t a = rng_next(&s), b = rng_next(&s);
        rng_normal2(pair, a, b);
        out[i] = pair[0];
        if (i + 1 < n) out[i + 1] = pair[1];
    }
}

static inline void op_fill_arg(double *out, const OpArg *a) {
    int64_t n = op_arg_numel(a);
    double scale = a->scale > 0 ? a->scale : 1;
    op_normals(out, n, a->name, 0);
    for (int64_t i = 0; i < n; i++) {
        switch (a->fill) {
        case FILL_NORMAL:
            out[i] *= scale;
            break;
        case FILL_POSITIVE:
            out[i] = scale * (0.1 + fabs(out[i]));
            break;
        case FILL_BELOW:
            out[i] = floor(fabs(out[i]) * 7919) - 0;
            break;
        case FILL_DISTINCT:
            out[i] = (double)rng_permute(7, RNG_WORLD, 0, (uint64_t)a->limit, (uint64_t)i);
            break;
        case FILL_LIST:
            out[i] = a->list[i % a->list_length];
            break;
        }
        if (a->fill == FILL_BELOW) out[i] = fmod(out[i], (double)a->limit);
        out[i] = op_round(out[i], a->dtype);
    }
}

/* Fills every argument and every d (cotangents, and what a backward adds to). */
static inline void op_values_make(OpValues *v, const OpCase *c) {
    *v = (OpValues){0};
    for (int i = 0; i < c->n_args; i++) {
        const OpArg *a = &c->arg[i];
        if (a->absent) continue;
        int64_t n = op_arg_numel(a);
        v->t[i] = mem_zalloc((size_t)n + 1, sizeof(double));
        v->d[i] = mem_zalloc((size_t)n + 1, sizeof(double));
        op_fill_arg(v->t[i], a);
        if (!op_arg_has_d(a)) continue;
        op_normals(v->d[i], n, a->name, 1);
        for (int64_t k = 0; k < n; k++) v->d[i][k] = op_round(v->d[i][k], DTYPE_F32);
    }
}

static inline void op_values_free(OpValues *v) {
    for (int i = 0; i < OP_MAX_ARGS; i++) {
        mem_free(v->t[i]);
        mem_free(v->d[i]);
    }
}

/* ---- buffers on the device (every device of the tests is a host) ---- */

typedef struct OpBuffer {
    unsigned char *base;   /* guard, shift, memory, guard */
    unsigned char *before; /* a copy of the memory as it was stored */
    size_t bytes, shift;
    Tensor t;
    QuantScales scales; /* of codes; its arrays are the buffer's */
} OpBuffer;

static inline size_t op_place(const OpArg *a, int64_t i) {
    if (a->layout == LAYOUT_ROW) return (size_t)i;
    int64_t o = i / a->shape[1], k = i % a->shape[1];
    return (size_t)((o / PANEL_COLS * a->shape[1] + k) * PANEL_COLS + o % PANEL_COLS);
}

static inline void op_put(void *p, DType t, size_t i, double x) {
    switch (t) {
    case DTYPE_F64:
        ((double *)p)[i] = x;
        return;
    case DTYPE_F32:
        ((float *)p)[i] = (float)x;
        return;
    case DTYPE_BF16:
        ((uint16_t *)p)[i] = f32_to_bf16((float)x);
        return;
    case DTYPE_F16:
        ((uint16_t *)p)[i] = f32_to_f16((float)x);
        return;
    case DTYPE_I64:
        ((int64_t *)p)[i] = isnan(x) ? -1 : (int64_t)x;
        return;
    case DTYPE_I32:
        ((int32_t *)p)[i] = isnan(x) ? -1 : (int32_t)x;
        return;
    default:
        fail_msg("no test values of type %s", dtype_name(t));
    }
}

static inline double op_get(const void *p, DType t, size_t i) {
    switch (t) {
    case DTYPE_F64:
        return ((const double *)p)[i];
    case DTYPE_F32:
        return (double)((const float *)p)[i];
    case DTYPE_BF16:
        return (double)bf16_to_f32(((const uint16_t *)p)[i]);
    case DTYPE_F16:
        return (double)f16_to_f32(((const uint16_t *)p)[i]);
    case DTYPE_I64:
        return (double)((const int64_t *)p)[i];
    case DTYPE_I32:
        return (double)((const int32_t *)p)[i];
    default:
        fail_msg("no test values of type %s", dtype_name(t));
        return 0;
    }
}

/* The scales of a coded argument, and its codes as in a file (the caller's). */
static inline uint8_t *op_quantize(QuantScales *s, const OpArg *a, const double *values) {
    int64_t n = op_arg_numel(a), rows = a->shape[0], blocks = rows;
    float *x = mem_alloc((size_t)n * sizeof *x);
    int32_t *row = mem_alloc((size_t)rows * sizeof *row);
    uint8_t *codes = mem_zalloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i++) x[i] = (float)values[i];
    for (int64_t r = 0; r < rows; r++) row[r] = (int32_t)(a->reversed ? rows - 1 - r : r);
    *s = (QuantScales){.kind = a->kind,
                       .inputs = a->shape[1],
                       .block = a->kind == QUANT_INT8 ? a->shape[1] : a->block,
                       .row = row};
    if (a->kind != QUANT_INT8) blocks = quant_blocks(n, a->block);
    s->absmax = mem_alloc((size_t)blocks * sizeof *s->absmax);
    if (a->kind == QUANT_INT8)
        quant_int8((int8_t *)codes, s->absmax, x, rows, a->shape[1]);
    else
        quant_4bit(codes, s->absmax, x, n, a->block, a->kind);
    if (a->nested) {
        s->absmax_code = mem_alloc((size_t)blocks);
        s->nested = mem_alloc((size_t)blocks * sizeof *s->nested);
        s->mean = quant_nest(s->absmax_code, s->nested, s->absmax, blocks);
        mem_free(s->absmax);
        s->absmax = NULL;
    }
    mem_free(x);
    return codes;
}

/* values NULL: all NaN (integers: -1). shift: elements past 64-byte alignment. */
static inline void op_buffer_open(OpBuffer *b, const OpArg *a, DType dtype, const double *values,
                                  int shift) {
    *b = (OpBuffer){0};
    bool panel = a->layout == LAYOUT_PANEL;
    b->bytes = a->coded ? quant_weight_bytes(a->kind, a->shape[0], a->shape[1])
               : panel  ? panel_bytes(dtype, a->shape[0], a->shape[1])
                        : (size_t)op_arg_numel(a) * dtype_size(dtype);
    b->shift = (size_t)shift * dtype_size(dtype);
    size_t whole = b->bytes + 2 * OP_GUARD_BYTES + b->shift;
    b->base = mem_aligned(whole);
    memset(b->base, 0xA5, whole);
    unsigned char *data = b->base + OP_GUARD_BYTES + b->shift;
    if (panel && values) memset(data, 0, b->bytes);
    for (int64_t i = 0; i < op_arg_numel(a) && !a->coded; i++)
        op_put(data, dtype, op_place(a, i), values ? values[i] : (double)NAN);
    b->t = a->rank == 1 ? tensor_1d(data, dtype, a->shape[0])
                        : tensor_2d(data, dtype, a->shape[0], a->shape[1]);
    b->t.layout = a->layout;
    if (a->coded) {
        uint8_t *codes = op_quantize(&b->scales, a, values);
        b->t = quant_weight(data, &b->scales, a->shape[0]);
        quant_weight_set(b->t, codes);
        mem_free(codes);
    }
    b->before = mem_alloc(b->bytes + 1);
    memcpy(b->before, data, b->bytes);
}

static inline bool op_buffer_changed(const OpBuffer *b) {
    return memcmp(b->before, b->t.data, b->bytes) != 0;
}

static inline void op_buffer_close(OpBuffer *b, const OpCase *c, const char *name) {
    if (!b->base) return;
    const unsigned char *end = b->base + OP_GUARD_BYTES + b->shift + b->bytes;
    for (size_t i = 0; i < OP_GUARD_BYTES + b->shift; i++)
        if (b->base[i] != 0xA5) fail_msg("%s: wrote before the start of %s", c->label, name);
    for (size_t i = 0; i < OP_GUARD_BYTES; i++)
        if (end[i] != 0xA5) fail_msg("%s: wrote past the end of %s", c->label, name);
    mem_free(b->base);
    mem_free(b->before);
    mem_free(b->scales.absmax);
    mem_free(b->scales.absmax_code);
    mem_free(b->scales.nested);
    mem_free((void *)(uintptr_t)b->scales.row);
    *b = (OpBuffer){0};
}

/* Reads a buffer back; the columns past the last output of a panel must be zero. */
static inline double *op_buffer_read(const OpBuffer *b, const OpArg *a) {
    int64_t n = op_arg_numel(a);
    double *out = mem_zalloc((size_t)n + 1, sizeof *out);
    if (a->coded) return out;   /* only read by ops */
    size_t held = 0, whole = 0; /* values that are not zero */
    for (int64_t i = 0; i < n; i++) {
        out[i] = op_get(b->t.data, b->t.dtype, op_place(a, i));
        held += !(fabs(out[i]) <= 0);
    }
    if (a->layout == LAYOUT_PANEL) {
        for (size_t i = 0; i < b->bytes / dtype_size(b->t.dtype); i++)
            whole += !(fabs(op_get(b->t.data, b->t.dtype, i)) <= 0);
        if (whole != held) fail_msg("%s: padding is not zero", a->name);
    }
    return out;
}

/* ---- one call ---- */

/* Makes the call on `dev` with values `in`, and reads everything back into `out` (the caller
 * frees). shift: how many elements every buffer stands past 64-byte alignment. */
static inline void op_call(OpValues *out, const OpCase *c, Dev *dev, const OpValues *in,
                           OpPass pass, int shift) {
    OpBuffer bt[OP_MAX_ARGS] = {0}, bd[OP_MAX_ARGS] = {0};
    Tensor t[OP_MAX_ARGS], d[OP_MAX_ARGS];
    *out = (OpValues){0};
    for (int i = 0; i < c->n_args; i++) {
        const OpArg *a = &c->arg[i];
        t[i] = d[i] = tensor_none();
        if (a->absent) continue;
        bool blank = pass == PASS_FWD && a->role == ARG_OUT;
        op_buffer_open(&bt[i], a, op_arg_dtype(a, dev_real(dev)), blank ? NULL : in->t[i], shift);
        t[i] = bt[i].t;
        if (pass == PASS_FWD || !op_arg_has_d(a)) continue;
        OpArg grad = *a;
        grad.layout = LAYOUT_ROW;
        bool written = a->role == ARG_IN && !a->adds;
        op_buffer_open(&bd[i], &grad, dev_real(dev), written ? NULL : in->d[i], shift);
        d[i] = bd[i].t;
    }
    if (pass == PASS_FWD)
        c->fwd(dev, c, t);
    else
        c->bwd(dev, c, t, d);
    assert_int_equal(dev_check(dev), OK);
    for (int i = 0; i < c->n_args; i++) {
        const OpArg *a = &c->arg[i];
        if (a->absent) continue;
        bool constant = pass == PASS_BWD || a->role == ARG_IN;
        if (constant && op_buffer_changed(&bt[i]))
            fail_msg("%s: %s was written", c->label, a->name);
        out->t[i] = op_buffer_read(&bt[i], a);
        if (bd[i].base) {
            if (a->role == ARG_OUT && op_buffer_changed(&bd[i]))
                fail_msg("%s: d%s was written", c->label, a->name);
            OpArg grad = *a;
            grad.layout = LAYOUT_ROW;
            out->d[i] = op_buffer_read(&bd[i], &grad);
        }
        op_buffer_close(&bt[i], c, a->name);
        op_buffer_close(&bd[i], c, a->name);
    }
}

/* Puts the outputs of a forward on `dev` into the values, rounded when asked for: what a backward
 * reads. */
static inline void op_values_forward(OpValues *v, const OpCase *c, Dev *dev, bool rounded) {
    OpValues out;
    op_call(&out, c, dev, v, PASS_FWD, 0);
    for (int i = 0; i < c->n_args; i++) {
        if (c->arg[i].absent || c->arg[i].role != ARG_OUT) continue;
        for (int64_t k = 0; k < op_arg_numel(&c->arg[i]); k++) {
            double x = out.t[i][k];
            v->t[i][k] = rounded ? op_round(x, c->arg[i].dtype) : x;
        }
    }
    op_values_free(&out);
}

/* Which arguments a pass gives back: t of outputs forward, d of what has a gradient backward. */
static inline const double *op_result(const OpValues *v, const OpCase *c, int i, OpPass pass) {
    const OpArg *a = &c->arg[i];
    if (a->absent) return NULL;
    if (pass == PASS_FWD) return a->role == ARG_IN ? NULL : v->t[i];
    return a->role != ARG_OUT && op_arg_has_d(a) ? v->d[i] : NULL;
}

/* Opens "cpu" on one instruction set ("avx2") or whatever is chosen (NULL); NULL when the machine
 * lacks it. */
static inline Dev *op_open_isa(const char *isa, int threads) {
    Dev *dev = NULL;
    if (isa)
        setenv("HONE_ISA", isa, 1);
    else
        unsetenv("HONE_ISA");
    Status st = dev_open(&dev, "cpu", threads);
    unsetenv("HONE_ISA");
    return st == OK ? dev : NULL;
}

static const char *const op_isas[] = {"portable", "avx2", "avx512"};
enum { OP_N_ISAS = sizeof op_isas / sizeof op_isas[0] };

static inline void op_isa_is_missing(void **state) {
    print_message("skipped: cpu/%s: this processor does not have it\n", (const char *)*state);
    skip();
}

/* What stands for the cases that `program` has for an instruction set which the machine lacks: one
 * test that is skipped and counted. */
static inline struct CMUnitTest op_missing_isa(const char *program, int isa) {
    static char names[OP_N_ISAS][64];
    snprintf(names[isa], sizeof names[isa], "%s__on_%s", program, op_isas[isa]);
    return (struct CMUnitTest){
        .name = names[isa], .test_func = op_isa_is_missing, .initial_state = (void *)op_isas[isa]};
}

#endif
