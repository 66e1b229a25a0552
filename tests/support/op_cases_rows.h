/* op_cases_rows: the cases of ops over sequences and vocabularies, and the list of all cases. */
#ifndef HONE_TESTS_OP_CASES_ROWS_H
#define HONE_TESTS_OP_CASES_ROWS_H

#include "op_cases.h"

/* ---- attention: out lse q k v seq_start seq_ids slopes key_start bias ---- */

enum {
    ATTN_OUT,
    ATTN_LSE,
    ATTN_Q,
    ATTN_K,
    ATTN_V,
    ATTN_START,
    ATTN_IDS,
    ATTN_SLOPES,
    ATTN_KEY_START,
    ATTN_BIAS
};

static inline void attn_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_attn_fwd(dev, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], c->args.attn);
}
static inline void attn_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_attn_bwd(dev, d[2], d[3], d[4], d[9], d[0], t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7],
                t[8], t[9], c->args.attn);
}

static const double attn_slopes[] = {0.5, 0.25, 0.125, 0.0625};

/* starts[S+1] */
static inline OpCase attn_case(const char *label, const double *starts, int64_t seqs, bool ids,
                               bool slopes, AttnArgs args) {
    int64_t n = (int64_t)starts[seqs], h = args.n_heads, width = args.head_dim;
    OpArg seq_ids = below(in1("seq_ids", seqs), 1 << 20);
    seq_ids.dtype = DTYPE_I64;
    seq_ids.per_seq = true;
    return (OpCase){
        .fwd_ops = "attn_fwd",
        .bwd_ops = "attn_bwd",
        .label = label,
        .arg = {out2("out", n, h * width), quiet(out2("lse", n, h)), diff(in2("q", n, h * width)),
                diff(in2("k", n, args.n_kv_heads * width)),
                diff(in2("v", n, args.n_kv_heads * width)),
                listed(in1("seq_start", seqs + 1), DTYPE_I32, starts, seqs + 1), opt(seq_ids, ids),
                opt(listed(in1("slopes", h), DTYPE_NONE, attn_slopes, 4), slopes),
                opt(listed(in1("key_start", seqs + 1), DTYPE_I32, starts, seqs + 1), false),
                opt(diff(in2("bias", 1, h)), false)},
        .fwd = attn_case_fwd,
        .bwd = attn_case_bwd,
        .args.attn = args};
}

/* With a bias for distances up to `reach`. */
static inline OpCase attn_biased(OpCase c, int64_t reach) {
    c.arg[ATTN_BIAS].absent = false;
    c.arg[ATTN_BIAS].adds = true;
    c.arg[ATTN_BIAS].shape[0] = 2 * reach + 1;
    return c;
}

/* With keys of other sequences, of these starts [S+1]. */
static inline OpCase attn_across(OpCase c, const double *starts) {
    int64_t seqs = c.arg[ATTN_START].shape[0] - 1;
    c.arg[ATTN_KEY_START].absent = false;
    c.arg[ATTN_KEY_START].list = starts;
    for (int i = ATTN_K; i <= ATTN_V; i++) c.arg[i].shape[0] = (int64_t)starts[seqs];
    return c;
}

static inline void add_attn_cases(OpCases *all) {
    static const double short_ones[] = {0, 1, 6, 7, 16, 17}; /* lengths 5 and 9 between ones */
    static const double long_ones[] = {0, 70, 71, 74, 239};  /* over one and two blocks of keys */
    static const double one[] = {0, 1}, whole[] = {0, 128};
    const DropoutKey drop = {.p = 0.3, .seed = 5, .step = 11, .site = 2};
    op_cases_add(
        all, attn_case("attention, 3 heads on 1", short_ones, 5, false, false,
                       (AttnArgs){.n_heads = 3, .n_kv_heads = 1, .head_dim = 5, .scale = 0.45}));
    op_cases_add(
        all, attn_case("attention, long, 4 heads on 2", long_ones, 4, false, false,
                       (AttnArgs){.n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .scale = 0.25}));
    op_cases_add(
        all, attn_case("attention, head of 48", long_ones, 4, false, false,
                       (AttnArgs){.n_heads = 3, .n_kv_heads = 3, .head_dim = 48, .scale = 0.15}));
    op_cases_add(
        all, attn_case("attention, one row", one, 1, false, false,
                       (AttnArgs){.n_heads = 2, .n_kv_heads = 2, .head_dim = 64, .scale = 0.125}));
    op_cases_add(
        all, attn_case("attention, whole blocks", whole, 1, false, false,
                       (AttnArgs){.n_heads = 2, .n_kv_heads = 1, .head_dim = 32, .scale = 0.2}));
    op_cases_add(
        all,
        attn_case(
            "attention, window", long_ones, 4, false, false,
            (AttnArgs){.n_heads = 3, .n_kv_heads = 1, .head_dim = 7, .scale = 0.4, .window = 9}));
    op_cases_add(
        all,
        attn_case(
            "attention, window of 1", short_ones, 5, false, false,
            (AttnArgs){.n_heads = 2, .n_kv_heads = 2, .head_dim = 6, .scale = 0.4, .window = 1}));
    op_cases_add(
        all,
        attn_case(
            "attention, window past a block", long_ones, 4, false, false,
            (AttnArgs){.n_heads = 2, .n_kv_heads = 1, .head_dim = 8, .scale = 0.4, .window = 67}));
    op_cases_add(
        all, attn_case(
                 "attention, soft cap", long_ones, 4, false, false,
                 (AttnArgs){
                     .n_heads = 3, .n_kv_heads = 1, .head_dim = 9, .scale = 1.1, .soft_cap = 2.5}));
    op_cases_add(
        all, attn_case("attention, ALiBi", long_ones, 4, false, true,
                       (AttnArgs){.n_heads = 4, .n_kv_heads = 4, .head_dim = 8, .scale = 0.35}));
    op_cases_add(
        all,
        attn_case(
            "attention, dropout", long_ones, 4, true, false,
            (AttnArgs){
                .n_heads = 3, .n_kv_heads = 1, .head_dim = 12, .scale = 0.3, .dropout = drop}));
    op_cases_add(all, attn_case("attention, everything", long_ones, 4, true, true,
                                (AttnArgs){.n_heads = 4,
                                           .n_kv_heads = 2,
                                           .head_dim = 10,
                                           .scale = 0.8,
                                           .window = 40,
                                           .soft_cap = 3,
                                           .dropout = drop}));
    const AttnArgs both = {
        .n_heads = 3, .n_kv_heads = 3, .head_dim = 7, .scale = 1, .bidirectional = true};
    op_cases_add(all, attn_case("attention, both ways", long_ones, 4, false, false, both));
    op_cases_add(all, attn_biased(attn_case("attention, both ways with a bias by distance",
                                            long_ones, 4, false, false, both),
                                  100));
    op_cases_add(
        all,
        attn_biased(
            attn_case(
                "attention, a short bias by distance", long_ones, 4, false, true,
                (AttnArgs){
                    .n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .scale = 0.5, .soft_cap = 4}),
            5));
    static const double source[] = {0, 3, 133, 134, 204}; /* fewer and more keys than queries */
    op_cases_add(all, attn_across(attn_case("attention, keys of other sequences", long_ones, 4,
                                            false, false, both),
                                  source));
    AttnArgs dropped = both;
    dropped.dropout = drop;
    op_cases_add(all, attn_biased(attn_across(attn_case("attention, all of another sequence",
                                                        long_ones, 4, true, false, dropped),
                                              source),
                                  30));
}

/* ---- the cache ---- */

/* k_pages v_pages k v slot */
static inline void kv_store_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_kv_store(dev, t[0], t[1], t[2], t[3], t[4], c->args.attn.head_dim);
}
/* out q k_pages v_pages table lens slopes bias */
static inline void decode_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_attn_decode(dev, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], c->args.attn);
}

static inline OpCase decode_case(const char *label, bool slopes, bool bias, AttnArgs args) {
    static const double lens[] = {1, 64,  65, 130,
                                  2, 192, 7}; /* one key, whole pages, into the next */
    int64_t q_width = args.n_heads * args.head_dim, kv_width = args.n_kv_heads * args.head_dim;
    return (OpCase){
        .fwd_ops = "attn_decode",
        .label = label,
        .arg = {rows(out2("out", 7, q_width)), rows(in2("q", 7, q_width)),
                in2("k_pages", 5 * KV_PAGE, kv_width), in2("v_pages", 5 * KV_PAGE, kv_width),
                rows(below(in2("table", 7, 3), 5)),
                rows(listed(in1("lens", 7), DTYPE_I32, lens, 7)),
                opt(listed(in1("slopes", args.n_heads), DTYPE_NONE, attn_slopes, 4), slopes),
                opt(in2("bias", 81, args.n_heads), bias)},
        .fwd = decode_case_fwd,
        .args.attn = args};
}

static inline void add_cache_cases(OpCases *all) {
    OpArg slot = below(in1("slot", 9), 2 * KV_PAGE);
    slot.fill = FILL_DISTINCT;
    op_cases_add(all, (OpCase){.fwd_ops = "kv_store",
                               .label = "kv_store",
                               .arg = {as(in2("k_pages", 2 * KV_PAGE, 15), ARG_INOUT),
                                       as(in2("v_pages", 2 * KV_PAGE, 15), ARG_INOUT),
                                       in2("k", 9, 15), in2("v", 9, 15), slot},
                               .fwd = kv_store_case_fwd,
                               .args.attn.head_dim = 5});
    op_cases_add(
        all, decode_case("decode, 3 heads on 1", false, false,
                         (AttnArgs){.n_heads = 3, .n_kv_heads = 1, .head_dim = 5, .scale = 0.45}));
    op_cases_add(
        all, decode_case("decode, head of 48", false, true,
                         (AttnArgs){.n_heads = 4, .n_kv_heads = 2, .head_dim = 48, .scale = 0.14}));
    op_cases_add(all, decode_case("decode, window, cap, ALiBi", true, false,
                                  (AttnArgs){.n_heads = 4,
                                             .n_kv_heads = 2,
                                             .head_dim = 16,
                                             .scale = 0.8,
                                             .window = 20,
                                             .soft_cap = 2}));
}

/* ---- logits: logp entropy lse argmax logits targets ---- */

static inline void logp_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_logp_fwd(dev, t[0], t[1], t[2], t[3], t[4], t[5], c->args.logp);
}
static inline void logp_case_bwd(Dev *dev, const OpCase *c, const Tensor *t, const Tensor *d) {
    op_copy(dev, d[4], t[4]); /* the gradient takes the logits' place */
    op_logp_bwd(dev, d[4], t[2], t[1], t[5], d[0], d[1], c->args.logp);
}

static inline OpCase logp_case(const char *label, int64_t n, int64_t vocab, bool entropy,
                               bool argmax, LogpArgs args) {
    return (OpCase){.fwd_ops = "logp_fwd",
                    .bwd_ops = "logp_bwd",
                    .label = label,
                    .arg = {rows(out1("logp", n)), opt(rows(out1("entropy", n)), entropy),
                            quiet(rows(out1("lse", n))),
                            opt(typed(rows(out1("argmax", n)), DTYPE_I32), argmax),
                            rows(diff(scaled(in2("logits", n, vocab), 3))),
                            rows(below(in1("targets", n), vocab))},
                    .fwd = logp_case_fwd,
                    .bwd = logp_case_bwd,
                    .args.logp = args};
}

/* kl logits other */
static inline void kl_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    op_kl(dev, t[0], t[1], t[2], c->args.logp);
}

static inline OpCase kl_case(const char *label, int64_t n, int64_t vocab, LogpArgs args) {
    return (OpCase){.fwd_ops = "kl",
                    .label = label,
                    .arg = {rows(out1("kl", n)), rows(scaled(in2("logits", n, vocab), 3)),
                            rows(scaled(in2("other", n, vocab), 3))},
                    .fwd = kl_case_fwd,
                    .args.logp = args};
}

/* token logp logits temperature top_p top_k u */
enum {
    SAMPLE_TOKEN,
    SAMPLE_LOGP,
    SAMPLE_LOGITS,
    SAMPLE_TEMPERATURE,
    SAMPLE_TOP_P,
    SAMPLE_TOP_K,
    SAMPLE_U
};

static inline void sample_case_fwd(Dev *dev, const OpCase *c, const Tensor *t) {
    (void)c;
    op_sample(
        dev, t[0], t[1], t[2],
        (SampleArgs){
            .temperature = t[3].data, .top_p = t[4].data, .top_k = t[5].data, .u = t[6].data});
}

static inline OpCase sample_case(const char *label, int64_t vocab, bool logp) {
    static const double temperature[] = {0, 1, 0.7, 1.5, 1, 0.3, 2},
                        top_p[] = {1, 1, 0.9, 1, 0.5, 1e-6},
                        top_k[] = {0, 0, 0, 5, 50, 1, 100000, 3};
    static const double u[] = {0.5, 0.25, 0.999, 0.001, 0.7, 0.125, 0.31, 0.83, 0.62, 1, 5e-8};
    return (OpCase){.fwd_ops = "sample",
                    .label = label,
                    .arg = {typed(rows(out1("token", 70)), DTYPE_I32),
                            opt(rows(out1("logp", 70)), logp),
                            rows(scaled(in2("logits", 70, vocab), 2)),
                            rows(listed(in1("temperature", 70), DTYPE_F64, temperature, 7)),
                            rows(listed(in1("top_p", 70), DTYPE_F64, top_p, 6)),
                            rows(listed(in1("top_k", 70), DTYPE_I32, top_k, 8)),
                            rows(listed(in1("u", 70), DTYPE_F32, u, 11))},
                    .fwd = sample_case_fwd,
                    .loose_tokens = true};
}

static inline void add_logit_cases(OpCases *all) {
    const LogpArgs plain = {.inv_temperature = 1};
    op_cases_add(all, logp_case("logp", 67, 101, true, true, plain));
    op_cases_add(all, logp_case("logp alone", 5, 3003, false, false, plain));
    op_cases_add(all, logp_case("logp, one token", 2, 1, true, true, plain));
    op_cases_add(all, logp_case("logp, temperature", 9, 77, true, false,
                                (LogpArgs){.inv_temperature = 1 / 0.7}));
    op_cases_add(all, logp_case("logp, soft cap", 9, 1025, true, true,
                                (LogpArgs){.inv_temperature = 1.25, .soft_cap = 4}));
    op_cases_add(all, logp_case("logp, smoothed", 11, 1541, true, true,
                                (LogpArgs){.inv_temperature = 0.8, .smoothing = 0.1}));
    op_cases_add(all, logp_case("logp, smoothed and capped", 5, 13, false, false,
                                (LogpArgs){.inv_temperature = 1, .soft_cap = 4, .smoothing = 0.5}));
    op_cases_add(all, kl_case("kl", 67, 101, plain));
    op_cases_add(all, kl_case("kl, one token", 2, 1, plain));
    op_cases_add(all, kl_case("kl, temperature and soft cap", 9, 1541,
                              (LogpArgs){.inv_temperature = 1 / 0.7, .soft_cap = 4}));
    op_cases_add(all, sample_case("sample", 101, true));
    op_cases_add(all, sample_case("sample, three blocks", 2 * SAMPLE_BLOCK + 77, false));
}

/* Every case there is. */
static inline const OpCases *op_cases(void) {
    static OpCases all;
    if (all.n > 0) return &all;
    add_matmul_cases(&all);
    add_plain_cases(&all);
    add_table_cases(&all);
    add_act_cases(&all);
    add_dropout_cases(&all);
    add_norm_and_optim_cases(&all);
    add_attn_cases(&all);
    add_cache_cases(&all);
    add_logit_cases(&all);
    return &all;
}

#endif
