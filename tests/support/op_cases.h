/* op_cases: every case of every op: projections, element by element, norms, optimizer here;
 * attention and heads in op_cases_rows.h. Shapes are odd on purpose: tails of every block size, one
 * row, three heads, a vocabulary that is no multiple of anything. */
#ifndef HONE_TESTS_OP_CASES_H
#define HONE_TESTS_OP_CASES_H

#include "op_case.h"

typedef struct OpCases {
    int n;
    OpCase at[OP_MAX_CASES];
} OpCases;

static inline void op_cases_add(OpCases *all, OpCase c) {
    assert_true(all->n < OP_MAX_CASES);
    for (c.n_args = 0; c.n_args < OP_MAX_ARGS && c.arg[c.n_args].name;) c.n_args++;
    all->at[all->n++] = c;
}

/* ---- arguments, outputs first as in the ops ---- */

static inline OpArg in1(const char *name, int64_t n) {
    return (OpArg){.name = name, .rank = 1, .shape = {n}};
}
static inline OpArg in2(const char *name, int64_t rows, int64_t cols) {
    return (OpArg){.name = name, .rank = 2, .shape = {rows, cols}};
}
static inline OpArg as(OpArg a, ArgRole role) {
    return (a.role = role, a);
}
static inline OpArg out1(const char *name, int64_t n) {
    return as(in1(name, n), ARG_OUT);
}
static inline OpArg out2(const char *name, int64_t r, int64_t c) {
    return as(in2(name, r, c), ARG_OUT);
}
static inline OpArg typed(OpArg a, DType t) {
    return (a.dtype = t, a);
}
static inline OpArg rows(OpArg a) {
    return (a.per_row = true, a);
}
static inline OpArg diff(OpArg a) {
    return (a.diff = true, a);
}
static inline OpArg adds(OpArg a, bool yes) {
    return (a.adds = yes, a);
}
static inline OpArg scaled(OpArg a, double scale) {
    return (a.scale = scale, a);
}
static inline OpArg panel(OpArg a, bool yes) {
    return (a.layout = yes ? LAYOUT_PANEL : LAYOUT_ROW, a);
}
static inline OpArg opt(OpArg a, bool present) {
    return (a.absent = !present, a);
}
static inline OpArg quiet(OpArg a) {
    return (a.no_cotangent = true, a);
}
static inline OpArg positive(OpArg a) {
    return (a.fill = FILL_POSITIVE, a);
}
static inline OpArg below(OpArg a, int64_t limit) {
    a.dtype = DTYPE_I32;
    a.fill = FILL_BELOW;
    a.limit = limit;
    return a;
}
static inline OpArg listed(OpArg a, DType t, const double *list, int64_t length) {
    a.dtype = t;
    a.fill = FILL_LIST;
    a.list = list;
    a.list_length = length;
    return a;
}

/* ---- projections: y x w bias ---- */

static inline void linear_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_linear_fwd(dev, t[0], t[1], t[2], t[3], c->args.linear);
}
static inline void linear_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_linear_dx(dev, d[1], d[0], t[2], c->args.linear);
    if (d[2].data) op_linear_dw(dev, d[2], d[0], t[1], c->args.linear.alpha);
    if (d[3].data) op_bias_bwd(dev, d[3], d[0]);
}

static inline OpCase linear_case(const char *label, int64_t n, int64_t o, int64_t i, DType w,
                                 bool in_panels, bool bias, LinearArgs args) {
    bool learn = w == DTYPE_NONE && !in_panels;
    OpArg weight = panel(typed(in2("w", o, i), w), in_panels);
    weight.diff = learn;
    return (OpCase){.fwd_ops = "linear_fwd",
                    .bwd_ops = in_panels       ? ""
                               : learn && bias ? "linear_dx linear_dw bias_bwd"
                                               : "linear_dx",
                    .label = label,
                    .arg = {rows(as(in2("y", n, o), args.accumulate ? ARG_INOUT : ARG_OUT)),
                            rows(diff(adds(in2("x", n, i), args.accumulate))), adds(weight, true),
                            opt(diff(adds(in1("bias", o), true)), bias)},
                    .fwd = linear_case_fwd,
                    .bwd = in_panels ? NULL : linear_case_bwd,
                    .args.linear = args};
}

/* A quantized weight; bias and options as they come. */
static inline OpCase coded_case(const char *label, int64_t n, int64_t o, int64_t i, QuantKind kind,
                                int64_t block, bool nested, bool reversed, LinearArgs args) {
    OpCase c = linear_case(label, n, o, i, DTYPE_F32, false, !args.accumulate, args);
    OpArg *w = &c.arg[2];
    w->layout = LAYOUT_CODES;
    w->coded = true;
    w->kind = kind;
    w->block = block;
    w->nested = nested;
    w->reversed = reversed;
    return c;
}

static inline void pack_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_pack(dev, t[0], t[1]);
}
static inline void pack_transposed_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_pack_transposed(dev, t[0], t[1]);
}

static inline void add_pack_case(OpCases *all, const char *label, bool transposed, DType to,
                                 DType from, int64_t o, int64_t i) {
    OpArg packed = transposed ? out2("packed", i, o) : out2("packed", o, i);
    op_cases_add(all, (OpCase){.fwd_ops = transposed ? "pack_transposed" : "pack",
                               .label = label,
                               .arg = {panel(typed(packed, to), true), typed(in2("w", o, i), from)},
                               .fwd = transposed ? pack_transposed_case_fwd : pack_case_fwd});
}

static inline void add_matmul_cases(OpCases *all) {
    const LinearArgs one = {.alpha = 1}, add = {.alpha = 0.37, .accumulate = true};
    const DType real = DTYPE_NONE;
    op_cases_add(all, linear_case("linear 1x1x1", 1, 1, 1, real, false, true, one));
    op_cases_add(all, linear_case("linear", 67, 37, 45, real, false, true, one));
    op_cases_add(all, linear_case("linear, panels", 67, 37, 45, real, true, true, one));
    op_cases_add(all, linear_case("linear, one row", 1, 67, 129, real, false, false, one));
    op_cases_add(all, linear_case("linear, one row, panels", 1, 67, 129, real, true, false, one));
    op_cases_add(all,
                 linear_case("linear, alpha and accumulate", 19, 33, 8, real, false, false, add));
    op_cases_add(all, linear_case("linear, add, panels", 19, 33, 8, real, true, false, add));
    op_cases_add(all, linear_case("linear, add, bias", 5, 3, 7, real, false, true, add));
    op_cases_add(all, linear_case("linear, whole blocks", 96, 64, 256, real, false, true, one));
    op_cases_add(all, linear_case("linear, deep", 67, 50, 601, real, false, false, one));
    op_cases_add(all, linear_case("linear, deep, panels", 67, 50, 601, real, true, false, one));
    /* more outputs, rows, inputs than a block of any sum holds */
    op_cases_add(all, linear_case("linear, wide, add", 5, 797, 21, real, false, true, add));
    op_cases_add(all, linear_case("linear, many rows", 401, 9, 11, real, false, true, one));
    op_cases_add(all, linear_case("linear, deep, add", 7, 20, 790, real, false, true, add));
    op_cases_add(all, linear_case("linear, deep, add, panels", 7, 20, 790, real, true, true, add));
    op_cases_add(all, linear_case("linear bf16", 17, 50, 39, DTYPE_BF16, false, true, one));
    op_cases_add(all, linear_case("linear bf16, panels", 17, 50, 39, DTYPE_BF16, true, true, one));
    op_cases_add(all, linear_case("linear f16", 9, 31, 20, DTYPE_F16, false, false, one));
    op_cases_add(all, linear_case("linear f16, panels", 9, 31, 20, DTYPE_F16, true, false, one));
    op_cases_add(all, linear_case("linear f32", 9, 31, 20, DTYPE_F32, false, false, add));
    op_cases_add(all, linear_case("linear f32, panels", 9, 31, 20, DTYPE_F32, true, false, add));
    op_cases_add(all, coded_case("linear nf4", 67, 50, 128, QUANT_NF4, 64, false, false, one));
    op_cases_add(all, coded_case("linear nf4, a row", 1, 50, 800, QUANT_NF4, 64, true, false, one));
    op_cases_add(all, coded_case("linear nf4, add", 3, 33, 448, QUANT_NF4, 64, true, true, add));
    op_cases_add(all,
                 coded_case("linear nf4, cut blocks", 4, 70, 36, QUANT_NF4, 64, false, true, one));
    op_cases_add(all, coded_case("linear nf4, odd", 5, 19, 45, QUANT_NF4, 64, true, false, one));
    op_cases_add(all, coded_case("linear fp4", 2, 16, 256, QUANT_FP4, 128, false, false, one));
    op_cases_add(all, coded_case("linear fp4, add", 20, 35, 96, QUANT_FP4, 4096, true, false, add));
    op_cases_add(all, coded_case("linear int8", 40, 37, 45, QUANT_INT8, 0, false, true, one));
    op_cases_add(all,
                 coded_case("linear int8, a row", 1, 37, 801, QUANT_INT8, 0, false, false, one));
    op_cases_add(all, coded_case("linear int8, add", 3, 64, 96, QUANT_INT8, 0, false, false, add));
    add_pack_case(all, "pack", false, real, real, 37, 21);
    add_pack_case(all, "pack, whole panels", false, real, real, 48, 16);
    add_pack_case(all, "pack bf16", false, DTYPE_BF16, DTYPE_BF16, 17, 9);
    add_pack_case(all, "pack bf16 to real", false, real, DTYPE_BF16, 17, 9);
    add_pack_case(all, "pack f16", false, DTYPE_F16, DTYPE_F16, 5, 33);
    add_pack_case(all, "pack f16 to real", false, real, DTYPE_F16, 5, 33);
    add_pack_case(all, "pack_transposed", true, real, real, 37, 21);
    add_pack_case(all, "pack_transposed bf16", true, DTYPE_BF16, DTYPE_BF16, 18, 40);
    add_pack_case(all, "pack_transposed f16 to real", true, real, DTYPE_F16, 18, 40);
}

/* ---- element by element ---- */

static inline void fill_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_fill(dev, t[0], c->args.plain.factor);
}
static inline void copy_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_copy(dev, t[0], t[1]);
}
static inline void copy_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    (void)c, (void)t;
    op_copy(dev, d[1], d[0]);
}
static inline void axpy_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_axpy(dev, t[0], t[1], c->args.plain.factor);
}
static inline void axpy_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    (void)t;
    op_axpy(dev, d[1], d[0], c->args.plain.factor);
}
static inline void scale_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_scale(dev, t[0], c->args.plain.factor);
}
static inline void scale_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    (void)t;
    op_scale(dev, d[0], c->args.plain.factor);
}

static inline void clamp_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_clamp(dev, t[0], c->args.plain.factor);
}
static inline void clamp_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_clamp_bwd(dev, d[0], t[0], c->args.plain.factor);
}

static inline void add_plain_cases(OpCases *all) {
    op_cases_add(all, (OpCase){.fwd_ops = "fill",
                               .label = "fill",
                               .arg = {rows(out2("y", 7, 13))},
                               .fwd = fill_case_fwd,
                               .args.plain.factor = -0.3});
    const DType types[] = {DTYPE_NONE, DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_F64};
    for (int from = 0; from < 5; from++) {
        for (int to = 0; to < 5; to++) {
            bool reals = from == 0 && to == 0;
            op_cases_add(all, (OpCase){.fwd_ops = "copy",
                                       .bwd_ops = reals ? "copy" : "",
                                       .label = reals ? "copy" : "copy between types",
                                       .arg = {typed(rows(out2("y", 3, 37)), types[to]),
                                               typed(rows(in2("x", 3, 37)), types[from])},
                                       .fwd = copy_case_fwd,
                                       .bwd = reals ? copy_case_bwd : NULL});
            all->at[all->n - 1].arg[1].diff = reals;
        }
    }
    op_cases_add(all, (OpCase){.fwd_ops = "axpy",
                               .bwd_ops = "axpy",
                               .label = "axpy",
                               .arg = {rows(as(in2("y", 71, 13), ARG_INOUT)),
                                       rows(diff(adds(in2("x", 71, 13), true)))},
                               .fwd = axpy_case_fwd,
                               .bwd = axpy_case_bwd,
                               .args.plain.factor = 1.7});
    op_cases_add(all, (OpCase){.fwd_ops = "scale",
                               .bwd_ops = "scale",
                               .label = "scale",
                               .arg = {rows(diff(as(in2("y", 71, 13), ARG_INOUT)))},
                               .fwd = scale_case_fwd,
                               .bwd = scale_case_bwd,
                               .args.plain.factor = -0.21});
    op_cases_add(all, (OpCase){.fwd_ops = "clamp",
                               .bwd_ops = "clamp_bwd",
                               .label = "clamp",
                               .arg = {rows(diff(as(in2("y", 71, 13), ARG_INOUT)))},
                               .fwd = clamp_case_fwd,
                               .bwd = clamp_case_bwd,
                               .args.plain.factor = 0.6});
}

/* y table ids */
static inline void embed_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_embed_fwd(dev, t[0], t[1], t[2], c->args.plain.factor, c->args.plain.accumulate);
}
static inline void embed_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_embed_bwd(dev, d[1], d[0], t[2], c->args.plain.factor);
}
static inline void gather_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_gather_rows(dev, t[0], t[1], t[2]);
}
static inline void gather_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    (void)c;
    op_scatter_add_rows(dev, d[1], d[0], t[2]);
}

static inline OpCase embed_case(const char *label, DType table, double scale, bool accumulate) {
    OpArg weights = typed(adds(in2("table", 29, 19), true), table);
    weights.diff = table == DTYPE_NONE;
    return (OpCase){.fwd_ops = "embed_fwd",
                    .bwd_ops = weights.diff ? "embed_bwd" : "",
                    .label = label,
                    .arg = {rows(as(in2("y", 67, 19), accumulate ? ARG_INOUT : ARG_OUT)), weights,
                            rows(below(in1("ids", 67), 29))},
                    .fwd = embed_case_fwd,
                    .bwd = weights.diff ? embed_case_bwd : NULL,
                    .args.plain = {.factor = scale, .accumulate = accumulate}};
}

static inline void add_table_cases(OpCases *all) {
    op_cases_add(all, embed_case("embed", DTYPE_NONE, 1, false));
    op_cases_add(all, embed_case("embed, scale and accumulate", DTYPE_NONE, 4.4, true));
    op_cases_add(all, embed_case("embed bf16", DTYPE_BF16, 1.5, false));
    op_cases_add(all, embed_case("embed f16", DTYPE_F16, 1, true));
    op_cases_add(all, embed_case("embed f32", DTYPE_F32, 1, false));
    OpArg index = below(in1("index", 23), 31);
    index.fill = FILL_DISTINCT;
    op_cases_add(all, (OpCase){.fwd_ops = "gather_rows",
                               .bwd_ops = "scatter_add_rows",
                               .label = "gather and scatter",
                               .arg = {rows(out2("y", 23, 18)), diff(adds(in2("x", 31, 18), true)),
                                       rows(index)},
                               .fwd = gather_case_fwd,
                               .bwd = gather_case_bwd});
}

static inline void act_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_act_fwd(dev, t[0], t[1], c->args.act);
}
static inline void act_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_act_bwd(dev, d[1], d[0], t[1], c->args.act);
}
/* dx may be dy: the same through one buffer. */
static inline void act_case_bwd_in_place(Dev *dev, const OpCase *c, const Tensor *t,
                                         const Tensor *d) {
    op_copy(dev, d[1], d[0]);
    op_act_bwd(dev, d[1], d[1], t[1], c->args.act);
}
static inline void gated_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_gated_fwd(dev, t[0], t[1], t[2], c->args.act);
}
static inline void gated_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_gated_bwd(dev, d[1], d[2], d[0], t[1], t[2], c->args.act);
}
static inline void gated_case_bwd_in_place(Dev *dev, const OpCase *c, const Tensor *t,
                                           const Tensor *d) {
    op_copy(dev, d[2], d[0]);
    op_gated_bwd(dev, d[1], d[2], d[2], t[1], t[2], c->args.act);
}

static inline void add_act_cases(OpCases *all) {
    static const char *const act_names[] = {"act silu", "act gelu", "act gelu_tanh", "act relu"};
    static const char *const gated_names[] = {"gated silu", "gated gelu", "gated gelu_tanh",
                                              "gated relu"};
    for (int kind = ACT_SILU; kind <= ACT_RELU; kind++) {
        bool in_place = kind % 2 == 0;
        op_cases_add(
            all, (OpCase){.fwd_ops = "act_fwd",
                          .bwd_ops = "act_bwd",
                          .label = act_names[kind],
                          .arg = {rows(out2("y", 67, 29)), rows(diff(scaled(in2("x", 67, 29), 3)))},
                          .fwd = act_case_fwd,
                          .bwd = in_place ? act_case_bwd_in_place : act_case_bwd,
                          .args.act = (ActKind)kind});
        op_cases_add(all, (OpCase){.fwd_ops = "gated_fwd",
                                   .bwd_ops = "gated_bwd",
                                   .label = gated_names[kind],
                                   .arg = {rows(out2("y", 67, 29)),
                                           rows(diff(scaled(in2("gate", 67, 29), 3))),
                                           rows(diff(in2("up", 67, 29)))},
                                   .fwd = gated_case_fwd,
                                   .bwd = in_place ? gated_case_bwd_in_place : gated_case_bwd,
                                   .args.act = (ActKind)kind});
    }
    /* far out, where exp and tanh saturate and must not make NaN */
    static const double far[] = {-200, -90, -30, -10, -1e-3, 1e-3, 10, 30, 90, 200};
    for (int kind = ACT_SILU; kind <= ACT_RELU; kind++) {
        op_cases_add(
            all, (OpCase){.fwd_ops = "act_fwd",
                          .bwd_ops = "act_bwd",
                          .label = "act, far from zero",
                          .arg = {out1("y", 40), diff(listed(in1("x", 40), DTYPE_NONE, far, 10))},
                          .fwd = act_case_fwd,
                          .bwd = act_case_bwd,
                          .args.act = (ActKind)kind});
    }
}

/* y x row_seq positions */
static inline void dropout_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_dropout(dev, t[0], t[1], t[2], t[3], c->args.dropout);
}
static inline void dropout_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_dropout(dev, d[1], d[0], t[2], t[3], c->args.dropout);
}

static inline void add_dropout_cases(OpCases *all) {
    static const double ps[] = {0, 0.1, 0.5};
    for (int i = 0; i < 3; i++) {
        OpArg seq = below(in1("row_seq", 67), 1 << 20);
        seq.dtype = DTYPE_I64;
        op_cases_add(all,
                     (OpCase){.fwd_ops = "dropout",
                              .bwd_ops = "dropout",
                              .label = ps[i] > 0 ? "dropout" : "dropout, p = 0",
                              .arg = {rows(out2("y", 67, 31)), rows(diff(in2("x", 67, 31))),
                                      rows(seq), rows(below(in1("positions", 67), 4000))},
                              .fwd = dropout_case_fwd,
                              .bwd = dropout_case_bwd,
                              .args.dropout = {.p = ps[i], .seed = 99, .step = 3, .site = 17}});
    }
}

/* ---- norms, positions, optimizer ---- */

/* y stat x weight bias */
static inline void norm_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_norm_fwd(dev, t[0], t[1], t[2], t[3], t[4], c->args.norm);
}
static inline void norm_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_norm_bwd(dev, d[2], d[3], d[4], d[0], t[2], t[3], t[1], c->args.norm);
}

static inline OpCase norm_case(const char *label, int64_t n, int64_t width, bool bias, bool learn,
                               NormArgs args) {
    OpArg w = adds(in1("weight", width), true), b = opt(adds(in1("bias", width), true), bias);
    w.diff = b.diff = learn;
    return (OpCase){.fwd_ops = "norm_fwd",
                    .bwd_ops = "norm_bwd",
                    .label = label,
                    .arg = {rows(out2("y", n, width)), quiet(rows(out2("stat", n, 2))),
                            rows(diff(adds(in2("x", n, width), true))), w, b},
                    .fwd = norm_case_fwd,
                    .bwd = norm_case_bwd,
                    .args.norm = args};
}

/* x positions inv_freq; in place, so d[0] is the cotangent and becomes the gradient */
static inline void rope_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_rope(dev, t[0], t[1], t[2], c->args.rope);
}
static inline void rope_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    RopeArgs back = c->args.rope;
    back.inverse = !back.inverse;
    op_rope(dev, d[0], t[1], t[2], back);
}

static inline OpCase rope_case(const char *label, int64_t heads, int64_t head_dim, int64_t n_freq,
                               bool interleaved, bool inverse, double scaling) {
    return (OpCase){.fwd_ops = "rope",
                    .bwd_ops = "rope",
                    .label = label,
                    .arg = {rows(diff(as(in2("x", 67, heads * head_dim), ARG_INOUT))),
                            rows(below(in1("positions", 67), 5000)),
                            typed(positive(in1("inv_freq", n_freq)), DTYPE_F64)},
                    .fwd = rope_case_fwd,
                    .bwd = rope_case_bwd,
                    .args.rope = {.n_heads = heads,
                                  .head_dim = head_dim,
                                  .interleaved = interleaved,
                                  .inverse = inverse,
                                  .attention_scaling = scaling}};
}

/* out x; the sum is added to out */
static inline void sum_squares_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_sum_squares(dev, t[0], t[1]);
}
static inline void adamw_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_adamw(dev, t[0], t[1], t[2], t[3], c->args.adamw);
}

static inline OpCase adamw_case(const char *label, int64_t step, double weight_decay) {
    return (OpCase){.fwd_ops = "adamw",
                    .label = label,
                    .arg = {rows(as(in2("p", 67, 37), ARG_INOUT)),
                            rows(as(scaled(in2("m", 67, 37), 0.1), ARG_INOUT)),
                            rows(as(positive(scaled(in2("v", 67, 37), 0.01)), ARG_INOUT)),
                            rows(in2("g", 67, 37))},
                    .fwd = adamw_case_fwd,
                    .args.adamw = {.lr = 1e-3,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .weight_decay = weight_decay,
                                   .grad_scale = 0.63,
                                   .step = step}};
}

static inline void add_norm_and_optim_cases(OpCases *all) {
    const NormArgs layer = {.kind = NORM_LAYER, .eps = 1e-5}, rms = {.kind = NORM_RMS, .eps = 1e-6};
    const NormArgs gemma = {.kind = NORM_RMS, .eps = 1e-6, .weight_plus = 1};
    op_cases_add(all, norm_case("layer norm", 67, 37, true, true, layer));
    op_cases_add(all, norm_case("layer norm, no bias", 5, 288, false, true, layer));
    op_cases_add(all, norm_case("layer norm, frozen", 3, 24, true, false, layer));
    op_cases_add(all, norm_case("rms norm", 67, 37, false, true, rms));
    op_cases_add(all, norm_case("rms norm, weight + 1", 130, 67, false, true, gemma));
    op_cases_add(all, norm_case("rms norm, frozen, one column", 3, 1, false, false, rms));
    op_cases_add(all, rope_case("rope, halves", 3, 14, 7, false, false, 1));
    op_cases_add(all, rope_case("rope, halves, whole blocks", 2, 64, 32, false, false, 1));
    op_cases_add(all, rope_case("rope, part of a head, interleaved", 3, 11, 4, true, false, 1));
    op_cases_add(all, rope_case("rope, inverse, scaled", 1, 20, 8, false, true, 1.19));
    op_cases_add(
        all, (OpCase){.fwd_ops = "sum_squares",
                      .label = "sum of squares",
                      .arg = {as(typed(in1("out", 1), DTYPE_F64), ARG_INOUT), in2("x", 301, 111)},
                      .fwd = sum_squares_case_fwd});
    op_cases_add(all, adamw_case("adamw, first step", 1, 0));
    op_cases_add(all, adamw_case("adamw, decay", 1234, 0.1));
}

#endif
