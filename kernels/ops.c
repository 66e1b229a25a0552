/* Each op: its arguments are checked once, for all backends; then, unless the device only measures,
 * its slot in the device's table is called. A wrong argument is a defect of the caller (CHECK),
 * never of the user. */
#include "kernels/ops.h"

#include "core/check.h"
#include "kernels/backend.h"
#include "kernels/op_check.h"

/* Calls the backend, or returns when only measuring. */
#define DISPATCH(dev, name, ...)                            \
    do {                                                    \
        if (!(dev)->measure) (dev)->ops->name(__VA_ARGS__); \
    } while (0)

/* ---- projections ---- */

size_t panel_bytes(DType dtype, int64_t outputs, int64_t inputs) {
    int64_t panels = (outputs + PANEL_COLS - 1) / PANEL_COLS;
    return (size_t)(panels * PANEL_COLS * inputs) * dtype_size(dtype);
}

static void check_pack(const Dev *dev, Tensor packed, Tensor w, int64_t outputs, int64_t inputs) {
    need_weight("pack: w", dev, w);
    need_weight("pack: packed", dev, packed);
    CHECK(w.layout == LAYOUT_ROW, "pack: w does not lie in rows");
    CHECK(packed.layout == LAYOUT_PANEL, "pack: packed is not LAYOUT_PANEL");
    CHECK(packed.shape[0] == outputs && packed.shape[1] == inputs,
          "pack: packed is [%lld,%lld], not [%lld,%lld]", (long long)packed.shape[0],
          (long long)packed.shape[1], (long long)outputs, (long long)inputs);
    CHECK(packed.dtype == w.dtype || packed.dtype == dev_real(dev), "pack: %s does not become %s",
          dtype_name(w.dtype), dtype_name(packed.dtype));
    need_apart("pack: packed and w", dev, packed, w);
}

void op_pack(Dev *dev, Tensor packed, Tensor w) {
    check_pack(dev, packed, w, w.shape[0], w.shape[1]);
    DISPATCH(dev, pack, dev, packed, w);
}

void op_pack_transposed(Dev *dev, Tensor packed, Tensor w) {
    check_pack(dev, packed, w, w.shape[1], w.shape[0]);
    DISPATCH(dev, pack_transposed, dev, packed, w);
}

void op_linear_fwd(Dev *dev, Tensor y, Tensor x, Tensor w, Tensor bias, LinearArgs args) {
    DType real = dev_real(dev);
    need_rank("linear_fwd: x", x, 2);
    need_weight("linear_fwd: w", dev, w);
    need_2d("linear_fwd: x", x, real, x.shape[0], w.shape[1]);
    need_2d("linear_fwd: y", y, real, x.shape[0], w.shape[0]);
    if (bias.data) need_1d("linear_fwd: bias", bias, real, w.shape[0]);
    need_apart("linear_fwd: y and x", dev, y, x);
    need_apart("linear_fwd: y and w", dev, y, w);
    need_apart("linear_fwd: y and bias", dev, y, bias);
    DISPATCH(dev, linear_fwd, dev, y, x, w, bias, args);
}

void op_linear_dx(Dev *dev, Tensor dx, Tensor dy, Tensor w, LinearArgs args) {
    DType real = dev_real(dev);
    need_rank("linear_dx: dy", dy, 2);
    need_weight("linear_dx: w", dev, w);
    CHECK(w.layout != LAYOUT_PANEL,
          "linear_dx: w is in panels; pack_transposed and linear_fwd do that");
    need_2d("linear_dx: dy", dy, real, dy.shape[0], w.shape[0]);
    need_2d("linear_dx: dx", dx, real, dy.shape[0], w.shape[1]);
    need_apart("linear_dx: dx and dy", dev, dx, dy);
    need_apart("linear_dx: dx and w", dev, dx, w);
    DISPATCH(dev, linear_dx, dev, dx, dy, w, args);
}

void op_linear_dw(Dev *dev, Tensor dw, Tensor dy, Tensor x, double alpha) {
    DType real = dev_real(dev);
    need_rank("linear_dw: dy", dy, 2);
    need_rank("linear_dw: x", x, 2);
    need_2d("linear_dw: dy", dy, real, x.shape[0], dy.shape[1]);
    need_2d("linear_dw: x", x, real, x.shape[0], x.shape[1]);
    need_2d("linear_dw: dw", dw, real, dy.shape[1], x.shape[1]);
    need_apart("linear_dw: dw and dy", dev, dw, dy);
    need_apart("linear_dw: dw and x", dev, dw, x);
    DISPATCH(dev, linear_dw, dev, dw, dy, x, alpha);
}

void op_bias_bwd(Dev *dev, Tensor db, Tensor dy) {
    need_rank("bias_bwd: dy", dy, 2);
    need_type("bias_bwd: dy", dy, dev_real(dev));
    need_1d("bias_bwd: db", db, dev_real(dev), dy.shape[1]);
    need_apart("bias_bwd: db and dy", dev, db, dy);
    DISPATCH(dev, bias_bwd, dev, db, dy);
}

/* ---- element by element ---- */

void op_fill(Dev *dev, Tensor y, double value) {
    need_type("fill: y", y, dev_real(dev));
    DISPATCH(dev, fill, dev, y, value);
}

void op_copy(Dev *dev, Tensor y, Tensor x) {
    CHECK(x.data && dtype_is_float(x.dtype), "copy: x is %s", dtype_name(x.dtype));
    CHECK(dtype_is_float(y.dtype), "copy: y is %s", dtype_name(y.dtype));
    need_type("copy: x", x, x.dtype);
    need_type("copy: y", y, y.dtype);
    CHECK(tensor_same_shape(y, x), "copy: y and x differ in shape");
    need_apart("copy: y and x", dev, y, x);
    DISPATCH(dev, copy, dev, y, x);
}

void op_axpy(Dev *dev, Tensor y, Tensor x, double alpha) {
    need_type("axpy: x", x, dev_real(dev));
    need_like("axpy: y", y, x);
    need_same_or_apart("axpy: y and x", dev, y, x);
    DISPATCH(dev, axpy, dev, y, x, alpha);
}

void op_scale(Dev *dev, Tensor y, double alpha) {
    need_type("scale: y", y, dev_real(dev));
    DISPATCH(dev, scale, dev, y, alpha);
}

void op_clamp(Dev *dev, Tensor y, double limit) {
    need_type("clamp: y", y, dev_real(dev));
    CHECK(limit > 0, "clamp: limit %g", limit);
    DISPATCH(dev, clamp, dev, y, limit);
}

void op_clamp_bwd(Dev *dev, Tensor dy, Tensor y, double limit) {
    need_type("clamp_bwd: dy", dy, dev_real(dev));
    need_like("clamp_bwd: y", y, dy);
    CHECK(limit > 0, "clamp_bwd: limit %g", limit);
    DISPATCH(dev, clamp_bwd, dev, dy, y, limit);
}

void op_embed_fwd(Dev *dev, Tensor y, Tensor table, Tensor ids, double scale, bool accumulate) {
    need_weight("embed_fwd: table", dev, table);
    need_type("embed_fwd: table", table, table.dtype);
    need_rank("embed_fwd: ids", ids, 1);
    need_1d("embed_fwd: ids", ids, DTYPE_I32, ids.shape[0]);
    need_2d("embed_fwd: y", y, dev_real(dev), ids.shape[0], table.shape[1]);
    need_below("embed_fwd: ids", dev, ids, table.shape[0]);
    need_apart("embed_fwd: y and table", dev, y, table);
    DISPATCH(dev, embed_fwd, dev, y, table, ids, scale, accumulate);
}

void op_embed_bwd(Dev *dev, Tensor dtable, Tensor dy, Tensor ids, double scale) {
    DType real = dev_real(dev);
    need_rank("embed_bwd: dtable", dtable, 2);
    need_type("embed_bwd: dtable", dtable, real);
    need_rank("embed_bwd: ids", ids, 1);
    need_1d("embed_bwd: ids", ids, DTYPE_I32, ids.shape[0]);
    need_2d("embed_bwd: dy", dy, real, ids.shape[0], dtable.shape[1]);
    need_below("embed_bwd: ids", dev, ids, dtable.shape[0]);
    need_apart("embed_bwd: dtable and dy", dev, dtable, dy);
    DISPATCH(dev, embed_bwd, dev, dtable, dy, ids, scale);
}

/* `all` [N,C], `some` [R,C], index [R] into the rows of `all`. */
static void check_index(const Dev *dev, Tensor all, Tensor some, Tensor index) {
    DType real = dev_real(dev);
    need_rank("gather/scatter: x", all, 2);
    need_type("gather/scatter: x", all, real);
    need_rank("gather/scatter: index", index, 1);
    need_1d("gather/scatter: index", index, DTYPE_I32, index.shape[0]);
    need_2d("gather/scatter: y", some, real, index.shape[0], all.shape[1]);
    need_below("gather/scatter: index", dev, index, all.shape[0]);
    need_apart("gather/scatter: x and y", dev, all, some);
}

void op_gather_rows(Dev *dev, Tensor y, Tensor x, Tensor index) {
    check_index(dev, x, y, index);
    DISPATCH(dev, gather_rows, dev, y, x, index);
}

void op_scatter_add_rows(Dev *dev, Tensor dx, Tensor dy, Tensor index) {
    check_index(dev, dx, dy, index);
    DISPATCH(dev, scatter_add_rows, dev, dx, dy, index);
}

void op_act_fwd(Dev *dev, Tensor y, Tensor x, ActKind kind) {
    need_type("act_fwd: x", x, dev_real(dev));
    need_like("act_fwd: y", y, x);
    need_same_or_apart("act_fwd: y and x", dev, y, x);
    DISPATCH(dev, act_fwd, dev, y, x, kind);
}

void op_act_bwd(Dev *dev, Tensor dx, Tensor dy, Tensor x, ActKind kind) {
    need_type("act_bwd: x", x, dev_real(dev));
    need_like("act_bwd: dx", dx, x);
    need_like("act_bwd: dy", dy, x);
    need_same_or_apart("act_bwd: dx and dy", dev, dx, dy);
    need_apart("act_bwd: dx and x", dev, dx, x);
    DISPATCH(dev, act_bwd, dev, dx, dy, x, kind);
}

void op_gated_fwd(Dev *dev, Tensor y, Tensor gate, Tensor up, ActKind kind) {
    need_type("gated_fwd: gate", gate, dev_real(dev));
    need_like("gated_fwd: up", up, gate);
    need_like("gated_fwd: y", y, gate);
    need_same_or_apart("gated_fwd: y and gate", dev, y, gate);
    need_same_or_apart("gated_fwd: y and up", dev, y, up);
    DISPATCH(dev, gated_fwd, dev, y, gate, up, kind);
}

void op_gated_bwd(Dev *dev, Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up,
                  ActKind kind) {
    need_type("gated_bwd: gate", gate, dev_real(dev));
    need_like("gated_bwd: up", up, gate);
    need_like("gated_bwd: dy", dy, gate);
    need_like("gated_bwd: dgate", dgate, gate);
    need_like("gated_bwd: dup", dup, gate);
    need_same_or_apart("gated_bwd: dup and dy", dev, dup, dy);
    need_apart("gated_bwd: dgate and dup", dev, dgate, dup);
    const Tensor inputs[] = {dy, gate, up};
    for (int i = 0; i < 3; i++) need_apart("gated_bwd: dgate and an input", dev, dgate, inputs[i]);
    for (int i = 1; i < 3; i++) need_apart("gated_bwd: dup and gate or up", dev, dup, inputs[i]);
    DISPATCH(dev, gated_bwd, dev, dgate, dup, dy, gate, up, kind);
}

uint64_t dropout_subsequence(DropoutKey key, int64_t seq_id) {
    uint64_t sequence = (uint64_t)seq_id & 0xffffff;
    return rng_subsequence(RNG_DROPOUT, sequence << 32 | (key.step & 0xffffffff));
}

uint64_t dropout_offset(DropoutKey key, int32_t position, int64_t block) {
    return (uint64_t)key.site << 48 | (uint64_t)position << 24 | (uint64_t)block;
}

bool dropout_keeps(DropoutKey key, int64_t seq_id, int32_t position, int64_t column) {
    RngBlock block = rng_block(key.seed, dropout_subsequence(key, seq_id),
                               dropout_offset(key, position, column / 4));
    return (double)rng_uniform(block.x[column % 4]) >= key.p;
}

static void check_dropout_key(DropoutKey key) {
    CHECK(key.p >= 0 && key.p < 1, "dropout: p is %g", key.p);
    CHECK(key.site < 1 << 16, "dropout: site is %u", key.site);
}

void op_dropout(Dev *dev, Tensor y, Tensor x, Tensor row_seq, Tensor positions, DropoutKey key) {
    need_rank("dropout: x", x, 2);
    need_type("dropout: x", x, dev_real(dev));
    need_like("dropout: y", y, x);
    need_1d("dropout: row_seq", row_seq, DTYPE_I64, x.shape[0]);
    need_1d("dropout: positions", positions, DTYPE_I32, x.shape[0]);
    need_below("dropout: positions", dev, positions, 1 << 24);
    CHECK(x.shape[1] <= 1 << 26, "dropout: %lld columns", (long long)x.shape[1]);
    check_dropout_key(key);
    need_same_or_apart("dropout: y and x", dev, y, x);
    DISPATCH(dev, dropout, dev, y, x, row_seq, positions, key);
}

/* ---- normalisation and positions ---- */

void op_norm_fwd(Dev *dev, Tensor y, Tensor stat, Tensor x, Tensor weight, Tensor bias,
                 NormArgs args) {
    DType real = dev_real(dev);
    need_rank("norm_fwd: x", x, 2);
    need_type("norm_fwd: x", x, real);
    need_like("norm_fwd: y", y, x);
    need_2d("norm_fwd: stat", stat, real, x.shape[0], 2);
    need_1d("norm_fwd: weight", weight, real, x.shape[1]);
    if (bias.data) need_1d("norm_fwd: bias", bias, real, x.shape[1]);
    need_apart("norm_fwd: y and x", dev, y, x);
    need_apart("norm_fwd: y and stat", dev, y, stat);
    DISPATCH(dev, norm_fwd, dev, y, stat, x, weight, bias, args);
}

void op_norm_bwd(Dev *dev, Tensor dx, Tensor dweight, Tensor dbias, Tensor dy, Tensor x,
                 Tensor weight, Tensor stat, NormArgs args) {
    DType real = dev_real(dev);
    need_rank("norm_bwd: x", x, 2);
    need_type("norm_bwd: x", x, real);
    need_like("norm_bwd: dx", dx, x);
    need_like("norm_bwd: dy", dy, x);
    need_2d("norm_bwd: stat", stat, real, x.shape[0], 2);
    need_1d("norm_bwd: weight", weight, real, x.shape[1]);
    if (dweight.data) need_1d("norm_bwd: dweight", dweight, real, x.shape[1]);
    if (dbias.data) need_1d("norm_bwd: dbias", dbias, real, x.shape[1]);
    need_apart("norm_bwd: dx and dy", dev, dx, dy);
    need_apart("norm_bwd: dx and x", dev, dx, x);
    DISPATCH(dev, norm_bwd, dev, dx, dweight, dbias, dy, x, weight, stat, args);
}

void op_rope(Dev *dev, Tensor x, Tensor positions, Tensor inv_freq, RopeArgs args) {
    need_rank("rope: x", x, 2);
    need_2d("rope: x", x, dev_real(dev), x.shape[0], args.n_heads * args.head_dim);
    need_1d("rope: positions", positions, DTYPE_I32, x.shape[0]);
    need_rank("rope: inv_freq", inv_freq, 1);
    need_1d("rope: inv_freq", inv_freq, DTYPE_F64, inv_freq.shape[0]);
    CHECK(2 * inv_freq.shape[0] <= args.head_dim, "rope: %lld frequencies in a head of %lld",
          (long long)inv_freq.shape[0], (long long)args.head_dim);
    DISPATCH(dev, rope, dev, x, positions, inv_freq, args);
}

/* ---- attention ---- */

static void check_attn_args(AttnArgs args) {
    CHECK(args.n_kv_heads > 0 && args.n_heads % args.n_kv_heads == 0,
          "attention: %lld kv heads under %lld heads", (long long)args.n_kv_heads,
          (long long)args.n_heads);
    CHECK(args.head_dim > 0 && args.window >= 0 && args.soft_cap >= 0,
          "attention: head_dim %lld, window %lld, soft_cap %g", (long long)args.head_dim,
          (long long)args.window, args.soft_cap);
    CHECK(!args.bidirectional || args.window == 0, "attention: a window of %lld both ways",
          (long long)args.window);
    check_dropout_key(args.dropout);
}

static void check_bias(const char *what, const Dev *dev, Tensor bias, AttnArgs args) {
    if (!bias.data) return;
    need_2d(what, bias, dev_real(dev), bias.shape[0], args.n_heads);
    CHECK(bias.shape[0] % 2 == 1, "%s: %lld distances are not as many back as ahead", what,
          (long long)bias.shape[0]);
}

/* The keys of other sequences: as many, and none is empty that is asked. */
static void check_key_start(const Dev *dev, Tensor key_start, Tensor seq_start, int64_t keys,
                            AttnArgs args) {
    need_1d("attn: key_start", key_start, DTYPE_I32, seq_start.shape[0]);
    CHECK(args.bidirectional, "attn: keys of another sequence have no order with the queries");
    if (dev->measure || !dev_is_host(dev)) return;
    int64_t seqs = seq_start.shape[0] - 1;
    const int32_t *start = seq_start.data, *key = key_start.data;
    CHECK(key[0] == 0 && key[seqs] == keys, "attn: key sequences span rows %d..%d of %lld", key[0],
          key[seqs], (long long)keys);
    for (int64_t s = 0; s < seqs; s++)
        CHECK(key[s] < key[s + 1] || (key[s] == key[s + 1] && start[s] == start[s + 1]),
              "attn: key_start[%lld] is %d, then %d", (long long)s, key[s], key[s + 1]);
}

/* What both directions read; `out` and `lse` have the same shape in both. */
static void check_attn(const Dev *dev, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                       Tensor seq_start, Tensor seq_ids, Tensor slopes, Tensor key_start,
                       Tensor bias, AttnArgs args) {
    DType real = dev_real(dev);
    check_attn_args(args);
    check_bias("attn: bias", dev, bias, args);
    need_rank("attn: q", q, 2);
    int64_t rows = q.shape[0];
    need_2d("attn: q", q, real, rows, args.n_heads * args.head_dim);
    bool own = !key_start.data;
    need_2d("attn: k", k, real, own ? rows : k.shape[0], args.n_kv_heads * args.head_dim);
    need_like("attn: v", v, k);
    need_like("attn: out", out, q);
    need_2d("attn: lse", lse, real, rows, args.n_heads);
    need_rank("attn: seq_start", seq_start, 1);
    need_1d("attn: seq_start", seq_start, DTYPE_I32, seq_start.shape[0]);
    if (slopes.data) need_1d("attn: slopes", slopes, real, args.n_heads);
    int64_t seqs = seq_start.shape[0] - 1;
    if (seq_ids.data) need_1d("attn: seq_ids", seq_ids, DTYPE_I64, seqs);
    CHECK(seqs >= 0, "attn: seq_start is empty");
    CHECK(args.dropout.p <= 0 ||
              (seq_ids.data && args.n_heads <= 64 && k.shape[0] <= ATTN_DROPOUT_KEYS),
          "attn: dropout needs seq_ids, at most 64 heads and 2^20 rows");
    if (!own) check_key_start(dev, key_start, seq_start, k.shape[0], args);
    if (dev->measure || !dev_is_host(dev)) return;
    const int32_t *start = seq_start.data;
    CHECK(start[0] == 0 && start[seqs] == rows, "attn: sequences span rows %d..%d of %lld",
          start[0], start[seqs], (long long)rows);
    for (int64_t s = 0; s < seqs; s++)
        CHECK(start[s] <= start[s + 1], "attn: seq_start[%lld] is %d, then %d", (long long)s,
              start[s], start[s + 1]);
}

void op_attn_fwd(Dev *dev, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start,
                 Tensor seq_ids, Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args) {
    check_attn(dev, out, lse, q, k, v, seq_start, seq_ids, slopes, key_start, bias, args);
    const Tensor inputs[] = {q, k, v, lse};
    for (int i = 0; i < 4; i++) need_apart("attn_fwd: out and an input", dev, out, inputs[i]);
    DISPATCH(dev, attn_fwd, dev, out, lse, q, k, v, seq_start, seq_ids, slopes, key_start, bias,
             args);
}

void op_attn_bwd(Dev *dev, Tensor dq, Tensor dk, Tensor dv, Tensor dbias, Tensor dout, Tensor out,
                 Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start, Tensor seq_ids,
                 Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args) {
    check_attn(dev, out, lse, q, k, v, seq_start, seq_ids, slopes, key_start, bias, args);
    if (dbias.data) need_like("attn_bwd: dbias", dbias, bias);
    need_like("attn_bwd: dq", dq, q);
    need_like("attn_bwd: dk", dk, k);
    need_like("attn_bwd: dv", dv, v);
    need_like("attn_bwd: dout", dout, out);
    const Tensor inputs[] = {dout, out, lse, q, k, v};
    for (int i = 0; i < 6; i++) {
        need_apart("attn_bwd: dq and an input", dev, dq, inputs[i]);
        need_apart("attn_bwd: dk and an input", dev, dk, inputs[i]);
        need_apart("attn_bwd: dv and an input", dev, dv, inputs[i]);
    }
    DISPATCH(dev, attn_bwd, dev, dq, dk, dv, dbias, dout, out, lse, q, k, v, seq_start, seq_ids,
             slopes, key_start, bias, args);
}

/* k_pages and v_pages: [n_pages*KV_PAGE, width]. Returns the number of slots. */
static int64_t check_pages(const Dev *dev, Tensor k_pages, Tensor v_pages, int64_t width) {
    need_rank("kv cache: k_pages", k_pages, 2);
    need_2d("kv cache: k_pages", k_pages, dev_real(dev), k_pages.shape[0], width);
    need_like("kv cache: v_pages", v_pages, k_pages);
    CHECK(k_pages.shape[0] % KV_PAGE == 0, "kv cache: %lld slots are not whole pages",
          (long long)k_pages.shape[0]);
    need_apart("kv cache: k_pages and v_pages", dev, k_pages, v_pages);
    return k_pages.shape[0];
}

void op_kv_store(Dev *dev, Tensor k_pages, Tensor v_pages, Tensor k, Tensor v, Tensor slot,
                 int64_t head_dim) {
    need_rank("kv_store: k", k, 2);
    need_type("kv_store: k", k, dev_real(dev));
    need_like("kv_store: v", v, k);
    int64_t slots = check_pages(dev, k_pages, v_pages, k.shape[1]);
    need_1d("kv_store: slot", slot, DTYPE_I32, k.shape[0]);
    need_below("kv_store: slot", dev, slot, slots);
    CHECK(head_dim > 0 && k.shape[1] % head_dim == 0, "kv_store: heads of %lld in a row of %lld",
          (long long)head_dim, (long long)k.shape[1]);
    DISPATCH(dev, kv_store, dev, k_pages, v_pages, k, v, slot, head_dim);
}

/* The pages that hold keys 0 .. lens-1 of each row exist. */
static void check_page_table(const Dev *dev, Tensor table, Tensor lens, int64_t slots) {
    if (dev->measure || !dev_is_host(dev)) return;
    const int32_t *len = lens.data, *page = table.data;
    int64_t max_pages = table.shape[1];
    for (int64_t n = 0; n < lens.shape[0]; n++) {
        CHECK(len[n] >= 1 && len[n] <= max_pages * KV_PAGE, "attn_decode: lens[%lld] is %d",
              (long long)n, len[n]);
        for (int64_t i = 0; i * KV_PAGE < len[n]; i++)
            CHECK(page[n * max_pages + i] >= 0 && page[n * max_pages + i] < slots / KV_PAGE,
                  "attn_decode: row %lld, page %lld is %d", (long long)n, (long long)i,
                  page[n * max_pages + i]);
    }
}

void op_attn_decode(Dev *dev, Tensor out, Tensor q, Tensor k_pages, Tensor v_pages, Tensor table,
                    Tensor lens, Tensor slopes, Tensor bias, AttnArgs args) {
    DType real = dev_real(dev);
    check_attn_args(args);
    CHECK(args.dropout.p <= 0, "attn_decode: dropout %g", args.dropout.p);
    need_rank("attn_decode: q", q, 2);
    need_2d("attn_decode: q", q, real, q.shape[0], args.n_heads * args.head_dim);
    need_like("attn_decode: out", out, q);
    int64_t slots = check_pages(dev, k_pages, v_pages, args.n_kv_heads * args.head_dim);
    need_rank("attn_decode: table", table, 2);
    need_2d("attn_decode: table", table, DTYPE_I32, q.shape[0], table.shape[1]);
    need_1d("attn_decode: lens", lens, DTYPE_I32, q.shape[0]);
    if (slopes.data) need_1d("attn_decode: slopes", slopes, real, args.n_heads);
    check_bias("attn_decode: bias", dev, bias, args);
    check_page_table(dev, table, lens, slots);
    need_apart("attn_decode: out and q", dev, out, q);
    DISPATCH(dev, attn_decode, dev, out, q, k_pages, v_pages, table, lens, slopes, bias, args);
}

/* ---- what is asked of logits ---- */

static void check_logits(const Dev *dev, Tensor logits) {
    need_rank("logits", logits, 2);
    need_type("logits", logits, dev_real(dev));
    CHECK(logits.shape[1] > 0, "logits: the vocabulary is empty");
}

static void check_logp_args(LogpArgs args) {
    CHECK(args.smoothing >= 0 && args.smoothing < 1, "logp: smoothing %g", args.smoothing);
    CHECK(args.inv_temperature > 0 && args.soft_cap >= 0, "logp: inv_temperature %g, soft_cap %g",
          args.inv_temperature, args.soft_cap);
}

void op_logp_fwd(Dev *dev, Tensor logp, Tensor entropy, Tensor lse, Tensor argmax, Tensor logits,
                 Tensor targets, LogpArgs args) {
    DType real = dev_real(dev);
    check_logits(dev, logits);
    check_logp_args(args);
    int64_t rows = logits.shape[0];
    need_1d("logp_fwd: logp", logp, real, rows);
    if (entropy.data) need_1d("logp_fwd: entropy", entropy, real, rows);
    need_1d("logp_fwd: lse", lse, real, rows);
    if (argmax.data) need_1d("logp_fwd: argmax", argmax, DTYPE_I32, rows);
    need_1d("logp_fwd: targets", targets, DTYPE_I32, rows);
    need_below("logp_fwd: targets", dev, targets, logits.shape[1]);
    DISPATCH(dev, logp_fwd, dev, logp, entropy, lse, argmax, logits, targets, args);
}

void op_logp_bwd(Dev *dev, Tensor logits, Tensor lse, Tensor entropy, Tensor targets, Tensor dlogp,
                 Tensor dentropy, LogpArgs args) {
    DType real = dev_real(dev);
    check_logits(dev, logits);
    check_logp_args(args);
    int64_t rows = logits.shape[0];
    need_1d("logp_bwd: lse", lse, real, rows);
    need_1d("logp_bwd: targets", targets, DTYPE_I32, rows);
    need_below("logp_bwd: targets", dev, targets, logits.shape[1]);
    need_1d("logp_bwd: dlogp", dlogp, real, rows);
    if (dentropy.data) {
        need_1d("logp_bwd: dentropy", dentropy, real, rows);
        need_1d("logp_bwd: entropy", entropy, real, rows);
    }
    DISPATCH(dev, logp_bwd, dev, logits, lse, entropy, targets, dlogp, dentropy, args);
}

void op_kl(Dev *dev, Tensor kl, Tensor logits, Tensor other, LogpArgs args) {
    check_logits(dev, logits);
    check_logits(dev, other);
    check_logp_args(args);
    CHECK(tensor_same_shape(logits, other), "kl: the two logits have different shapes");
    CHECK(args.smoothing <= 0, "kl: smoothing %g", args.smoothing);
    need_1d("kl: kl", kl, dev_real(dev), logits.shape[0]);
    DISPATCH(dev, kl, dev, kl, logits, other, args);
}

void op_sample(Dev *dev, Tensor token, Tensor logp, Tensor logits, SampleArgs args) {
    check_logits(dev, logits);
    int64_t rows = logits.shape[0];
    need_1d("sample: token", token, DTYPE_I32, rows);
    if (logp.data) need_1d("sample: logp", logp, dev_real(dev), rows);
    if (dev->measure) return;
    for (int64_t r = 0; r < rows; r++)
        CHECK(args.temperature[r] >= 0 && args.top_p[r] > 0 && args.top_k[r] >= 0 &&
                  args.u[r] > 0 && args.u[r] <= 1,
              "sample: row %lld: temperature %g, top_p %g, top_k %d, u %g", (long long)r,
              args.temperature[r], args.top_p[r], args.top_k[r], (double)args.u[r]);
    DISPATCH(dev, sample, dev, token, logp, logits, args);
}

/* ---- optimizer ---- */

void op_sum_squares(Dev *dev, Tensor out, Tensor x) {
    need_1d("sum_squares: out", out, DTYPE_F64, 1);
    need_type("sum_squares: x", x, dev_real(dev));
    DISPATCH(dev, sum_squares, dev, out, x);
}

void op_adamw(Dev *dev, Tensor p, Tensor m, Tensor v, Tensor g, AdamwArgs args) {
    need_type("adamw: p", p, dev_real(dev));
    need_like("adamw: m", m, p);
    need_like("adamw: v", v, p);
    need_like("adamw: g", g, p);
    CHECK(args.step >= 1, "adamw: step %lld", (long long)args.step);
    const Tensor all[] = {p, m, v, g};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) need_apart("adamw: two arguments", dev, all[i], all[j]);
    DISPATCH(dev, adamw, dev, p, m, v, g, args);
}
