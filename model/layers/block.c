#include "model/layers/block.h"

#include "kernels/ops.h"

/* A residual sum with dropout needs the sub-layer's output by itself; without, it is added in
 * place. */
static void residual_add(const Flow *f, Tensor y, Tensor branch, DropoutKey key) {
    op_dropout(f->dev, branch, branch, f->rows.row_seq, f->rows.positions, key);
    op_axpy(f->dev, y, branch, 1.0);
}

/* dy as the sub-layer sees it: itself, or through the dropout's mask. */
static Tensor residual_grad(const Flow *f, Tensor d, DropoutKey key) {
    if (key.p == 0.0) return d;
    Tensor masked = arena_like(f->arena, d);
    op_dropout(f->dev, masked, d, f->rows.row_seq, f->rows.positions, key);
    return masked;
}

static void attention_residual_fwd(const Flow *f, const Block *m, Tensor mid, Tensor x,
                                   BlockSaved *s) {
    DropoutKey key = flow_dropout(f, m->resid_dropout, slot_of(m->layer, SLOT_ATTN_RESID_DROPOUT));
    Tensor normed = arena_like(f->arena, x);
    norm_fwd(f, &m->norm1, normed, x, &s->norm1);
    op_copy(f->dev, mid, x);
    if (key.p == 0.0) {
        attention_fwd(f, &m->attention, mid, normed, true, &s->attention);
        return;
    }
    Tensor branch = arena_like(f->arena, x);
    attention_fwd(f, &m->attention, branch, normed, false, &s->attention);
    residual_add(f, mid, branch, key);
}

static void mlp_residual_fwd(const Flow *f, const Block *m, Tensor y, Tensor mid, BlockSaved *s) {
    DropoutKey key = flow_dropout(f, m->resid_dropout, slot_of(m->layer, SLOT_MLP_RESID_DROPOUT));
    Tensor normed = arena_like(f->arena, mid);
    norm_fwd(f, &m->norm2, normed, mid, &s->norm2);
    op_copy(f->dev, y, mid);
    if (key.p == 0.0) {
        mlp_fwd(f, &m->mlp, y, normed, true, &s->mlp);
        return;
    }
    Tensor branch = arena_like(f->arena, mid);
    mlp_fwd(f, &m->mlp, branch, normed, false, &s->mlp);
    residual_add(f, y, branch, key);
}

void block_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s) {
    Tensor mid = arena_like(f->arena, x);
    attention_residual_fwd(f, m, mid, x, s);
    mlp_residual_fwd(f, m, y, mid, s);
}

/* d += norm'(sub-layer'(d)). `below`: someone needs d after this. */
static void mlp_residual_bwd(const Flow *f, const Block *m, Tensor d, const BlockSaved *s,
                             bool below) {
    DropoutKey key = flow_dropout(f, m->resid_dropout, slot_of(m->layer, SLOT_MLP_RESID_DROPOUT));
    bool to_norm = below || norm_trains(&m->norm2);
    size_t mark = arena_mark(f->arena);
    Tensor dnormed = to_norm ? arena_like(f->arena, d) : tensor_none();
    if (to_norm) op_fill(f->dev, dnormed, 0.0);
    mlp_bwd(f, &m->mlp, dnormed, residual_grad(f, d, key), &s->mlp);
    if (to_norm) norm_bwd(f, &m->norm2, d, dnormed, &s->norm2);
    arena_release(f->arena, mark);
}

static void attention_residual_bwd(const Flow *f, const Block *m, Tensor d, const BlockSaved *s,
                                   bool below) {
    DropoutKey key = flow_dropout(f, m->resid_dropout, slot_of(m->layer, SLOT_ATTN_RESID_DROPOUT));
    bool to_norm = below || norm_trains(&m->norm1);
    size_t mark = arena_mark(f->arena);
    Tensor dnormed = to_norm ? arena_like(f->arena, d) : tensor_none();
    if (to_norm) op_fill(f->dev, dnormed, 0.0);
    attention_bwd(f, &m->attention, dnormed, residual_grad(f, d, key), &s->attention);
    if (to_norm) norm_bwd(f, &m->norm1, d, dnormed, &s->norm1);
    arena_release(f->arena, mark);
}

static bool attention_half_trains(const Flow *f, const Block *m) {
    return norm_trains(&m->norm1) || attention_trains(f, &m->attention);
}

void block_bwd(const Flow *f, const Block *m, Tensor d, const BlockSaved *s, bool need_dx) {
    bool attention_half = need_dx || attention_half_trains(f, m);
    mlp_residual_bwd(f, m, d, s, attention_half);
    if (attention_half) attention_residual_bwd(f, m, d, s, need_dx);
}

bool block_trains(const Flow *f, const Block *m) {
    return attention_half_trains(f, m) || norm_trains(&m->norm2) || mlp_trains(f, &m->mlp);
}
