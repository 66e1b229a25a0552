#include "model/layers/attention.h"

#include "kernels/ops.h"
#include "model/kvcache.h"

static void turn(const Flow *f, const Attention *m, Tensor x, int64_t n_heads, bool inverse) {
    op_rope(f->dev, x, f->rows.positions, m->inv_freq,
            (RopeArgs){.n_heads = n_heads,
                       .head_dim = m->args.head_dim,
                       .interleaved = m->rope_interleaved,
                       .inverse = inverse,
                       .attention_scaling = m->rope_scaling});
}

static AttnArgs attn_args(const Flow *f, const Attention *m) {
    AttnArgs args = m->args;
    args.dropout = flow_dropout(f, m->dropout, slot_of(m->layer, SLOT_ATTN_DROPOUT));
    return args;
}

static const KvBatch *kv_of(const Flow *f, const Attention *m) {
    return m->cross ? f->memory_kv : f->kv;
}

/* Keys of the encoder's rows are made once, with the prompt. */
static bool keys_are_cached(const Flow *f, const Attention *m) {
    return m->cross && f->memory_kv && !tensor_is_none(f->memory_kv->lens);
}

static Tensor bias_of(const Flow *f, const Attention *m) {
    return m->biased ? f->bias : tensor_none();
}

static Tensor dbias_of(const Flow *f, const Attention *m) {
    return m->biased ? f->dbias : tensor_none();
}

static Tensor key_start(const Flow *f, const Attention *m) {
    return m->cross ? f->memory->rows.seq_start : tensor_none();
}

static void attend(const Flow *f, const Attention *m, AttentionSaved *s) {
    const KvBatch *kv = kv_of(f, m);
    if (kv && !keys_are_cached(f, m))
        op_kv_store(f->dev, kv->cache->k[m->cache], kv->cache->v[m->cache], s->qkv[1], s->qkv[2],
                    kv->slots, m->args.head_dim);
    if (kv && !tensor_is_none(kv->lens)) {
        op_attn_decode(f->dev, s->heads, s->qkv[0], kv->cache->k[m->cache], kv->cache->v[m->cache],
                       kv->table, kv->lens, m->slopes, bias_of(f, m), m->args);
        return;
    }
    s->lse = flow_rows_by(f, m->args.n_heads);
    op_attn_fwd(f->dev, s->heads, s->lse, s->qkv[0], s->qkv[1], s->qkv[2], f->rows.seq_start,
                f->rows.seq_ids, m->slopes, key_start(f, m), bias_of(f, m), attn_args(f, m));
}

/* [N,H*D] as one row a head. */
static Tensor by_heads(const Attention *m, Tensor t) {
    return tensor_view_2d(t, tensor_numel(t) / m->args.head_dim, m->args.head_dim);
}

static Tensor norm_heads(const Flow *f, const Attention *m, int i, AttentionSaved *s) {
    Tensor y = arena_like(f->arena, s->qkv[i]);
    norm_fwd(f, &m->head_norm[i], by_heads(m, y), by_heads(m, s->qkv[i]), &s->head_norm[i]);
    return y;
}

static Tensor norm_heads_bwd(const Flow *f, const Attention *m, int i, Tensor dy,
                             const AttentionSaved *s) {
    Tensor dx = arena_like(f->arena, dy);
    op_fill(f->dev, dx, 0.0);
    norm_bwd(f, &m->head_norm[i], by_heads(m, dx), by_heads(m, dy), &s->head_norm[i]);
    return dx;
}

/* q, k and v, projected. */
static void project(const Flow *f, const Attention *m, Tensor x, AttentionSaved *s) {
    int64_t q_width = m->args.n_heads * m->args.head_dim;
    int64_t kv_width = m->args.n_kv_heads * m->args.head_dim;
    s->qkv[0] = flow_rows_by(f, q_width);
    if (keys_are_cached(f, m)) {
        linear_fwd(f, &m->in[0], &s->qkv[0], x, false, &s->in[0]);
        return;
    }
    Flow keys = m->cross ? flow_of_memory(f) : *f;
    for (int i = 1; i < 3; i++) s->qkv[i] = flow_rows_by(&keys, kv_width);
    for (int i = 0; i < m->n_in; i++)
        linear_fwd(i ? &keys : f, &m->in[i], &s->qkv[i], i && m->cross ? f->memory->h : x, false,
                   &s->in[i]);
}

void attention_fwd(const Flow *f, const Attention *m, Tensor y, Tensor x, bool accumulate,
                   AttentionSaved *s) {
    project(f, m, x, s);
    for (int i = 0; i < 3 && m->clip > 0.0; i++) op_clamp(f->dev, s->qkv[i], m->clip);
    for (int i = 0; i < 2 && m->qk_norm; i++) s->qkv[i] = norm_heads(f, m, i, s);
    if (m->rope) {
        turn(f, m, s->qkv[0], m->args.n_heads, false);
        turn(f, m, s->qkv[1], m->args.n_kv_heads, false);
    }
    s->heads = arena_like(f->arena, s->qkv[0]);
    attend(f, m, s);
    Flow end = flow_of_asked(f);
    linear_fwd(&end, &m->out, &y, flow_pick(f, s->heads), accumulate, &s->out);
}

/* Does something before q, k and v train, x aside? */
static bool inputs_train(const Flow *f, const Attention *m) {
    if (m->cross && !tensor_is_none(f->memory->dh)) return true;
    if (!tensor_is_none(dbias_of(f, m))) return true;
    if (norm_trains(&m->head_norm[0]) || norm_trains(&m->head_norm[1])) return true;
    for (int i = 0; i < m->n_in; i++)
        if (linear_trains(f, &m->in[i])) return true;
    return false;
}

void attention_bwd(const Flow *f, const Attention *m, Tensor dx, Tensor dy,
                   const AttentionSaved *s) {
    Flow end = flow_of_asked(f);
    if (tensor_is_none(dx) && !inputs_train(f, m)) {
        linear_bwd(&end, &m->out, tensor_none(), &dy, &s->out);
        return;
    }
    size_t mark = arena_mark(f->arena);
    Tensor dheads = flow_cleared(f, s->heads), dpicked = dheads;
    if (f->asked) dpicked = flow_cleared(f, s->out.x);
    linear_bwd(&end, &m->out, dpicked, &dy, &s->out);
    if (f->asked) op_scatter_add_rows(f->dev, dheads, dpicked, f->asked->index);
    Tensor d[3];
    for (int i = 0; i < 3; i++) d[i] = arena_like(f->arena, s->qkv[i]);
    op_attn_bwd(f->dev, d[0], d[1], d[2], dbias_of(f, m), dheads, s->heads, s->lse, s->qkv[0],
                s->qkv[1], s->qkv[2], f->rows.seq_start, f->rows.seq_ids, m->slopes,
                key_start(f, m), bias_of(f, m), attn_args(f, m));
    if (m->rope) {
        turn(f, m, d[0], m->args.n_heads, true);
        turn(f, m, d[1], m->args.n_kv_heads, true);
    }
    for (int i = 0; i < 2 && m->qk_norm; i++) d[i] = norm_heads_bwd(f, m, i, d[i], s);
    for (int i = 0; i < 3 && m->clip > 0.0; i++) op_clamp_bwd(f->dev, d[i], s->qkv[i], m->clip);
    Flow keys = m->cross ? flow_of_memory(f) : *f;
    for (int i = 0; i < m->n_in; i++)
        linear_bwd(i ? &keys : f, &m->in[i], i && m->cross ? f->memory->dh : dx, &d[i], &s->in[i]);
    arena_release(f->arena, mark);
}

bool attention_trains(const Flow *f, const Attention *m) {
    return inputs_train(f, m) || linear_trains(f, &m->out);
}
