#include "model/layers/block.h"

#include "kernels/ops.h"

/* ---- one branch: sub-layer, norm of its output, dropout
 * ------------------------------------------------------------------------------------------ */

static DropoutKey dropout_key(const Flow *f, const Block *m, BlockBranch at) {
    if (at == BRANCH_CROSS)
        return flow_dropout(f, m->dropout[at], slot_of(m->cross.layer, SLOT_ATTN_RESID_DROPOUT));
    bool first = at == BRANCH_ATTENTION && !m->one_dropout;
    return flow_dropout(
        f, m->dropout[at],
        slot_of(m->layer, first ? SLOT_ATTN_RESID_DROPOUT : SLOT_MLP_RESID_DROPOUT));
}

static void sub_layer_fwd(const Flow *f, const Block *m, BlockBranch at, Tensor y, Tensor x,
                          bool accumulate, BlockSaved *s) {
    if (at == BRANCH_ATTENTION)
        attention_fwd(f, &m->attention, y, x, accumulate, &s->attention);
    else if (at == BRANCH_CROSS)
        attention_fwd(f, &m->cross, y, x, accumulate, &s->cross);
    else
        mlp_fwd(f, &m->mlp, y, x, accumulate, &s->mlp);
}

/* y += branch(x), y of the rows that are asked. Dropout and norm need the sub-layer's output by
 * itself; without, it is added in place. */
static void branch_fwd(const Flow *f, const Block *m, BlockBranch at, Tensor y, Tensor x,
                       BlockSaved *s) {
    DropoutKey key = dropout_key(f, m, at);
    Flow end = flow_of_asked(f);
    if (key.p == 0.0 && !m->sandwich) {
        sub_layer_fwd(f, m, at, y, x, true, s);
        return;
    }
    Tensor out = arena_like(f->arena, y);
    sub_layer_fwd(f, m, at, out, x, false, s);
    if (m->sandwich) {
        Tensor normed = arena_like(f->arena, y);
        norm_fwd(&end, &m->post[at], normed, out, &s->post[at]);
        out = normed;
    }
    if (key.p > 0.0) op_dropout(f->dev, out, out, end.rows.row_seq, end.rows.positions, key);
    op_axpy(f->dev, y, out, 1.0);
}

/* dx += branch'(d), or none wants it. */
static void branch_bwd(const Flow *f, const Block *m, BlockBranch at, Tensor dx, Tensor d,
                       const BlockSaved *s) {
    DropoutKey key = dropout_key(f, m, at);
    Flow end = flow_of_asked(f);
    if (key.p > 0.0) {
        Tensor masked = arena_like(f->arena, d);
        op_dropout(f->dev, masked, d, end.rows.row_seq, end.rows.positions, key);
        d = masked;
    }
    if (m->sandwich) {
        Tensor below = flow_cleared(f, d);
        norm_bwd(&end, &m->post[at], below, d, &s->post[at]);
        d = below;
    }
    if (at == BRANCH_ATTENTION)
        attention_bwd(f, &m->attention, dx, d, &s->attention);
    else if (at == BRANCH_CROSS)
        attention_bwd(f, &m->cross, dx, d, &s->cross);
    else
        mlp_bwd(f, &m->mlp, dx, d, &s->mlp);
}

static bool branch_trains(const Flow *f, const Block *m, BlockBranch at) {
    if (at == BRANCH_CROSS && !m->crosses) return false;
    if (norm_trains(&m->norm[at]) || norm_trains(&m->post[at])) return true;
    if (at == BRANCH_MLP) return mlp_trains(f, &m->mlp);
    return attention_trains(f, at == BRANCH_CROSS ? &m->cross : &m->attention);
}

static Tensor normed(const Flow *f, const Block *m, BlockBranch at, Tensor x, BlockSaved *s) {
    Tensor y = arena_like(f->arena, x);
    norm_fwd(f, &m->norm[at], y, x, &s->norm[at]);
    return y;
}

/* ---- forward
 * ------------------------------------------------------------------------------------- */

/* The rows of x that are asked, to be added to. */
static Tensor copied(const Flow *f, Tensor x) {
    if (f->asked) return flow_pick(f, x);
    Tensor y = arena_like(f->arena, x);
    op_copy(f->dev, y, x);
    return y;
}

static void sequential_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s) {
    Flow end = flow_of_asked(f);
    Tensor mid = copied(f, x);
    branch_fwd(f, m, BRANCH_ATTENTION, mid, normed(f, m, BRANCH_ATTENTION, x, s), s);
    if (m->crosses) {
        Tensor own = mid;
        mid = copied(f, own);
        branch_fwd(f, m, BRANCH_CROSS, mid, normed(f, m, BRANCH_CROSS, own, s), s);
    }
    op_copy(f->dev, y, mid);
    branch_fwd(&end, m, BRANCH_MLP, y, normed(&end, m, BRANCH_MLP, mid, s), s);
}

static void parallel_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s) {
    Tensor first = normed(f, m, BRANCH_ATTENTION, x, s);
    Tensor second = m->one_norm ? first : normed(f, m, BRANCH_MLP, x, s);
    op_copy(f->dev, y, x);
    branch_fwd(f, m, BRANCH_ATTENTION, y, first, s);
    branch_fwd(f, m, BRANCH_MLP, y, second, s);
}

static void post_norm_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s) {
    for (BlockBranch at = BRANCH_ATTENTION; at < BLOCK_BRANCHES; at++) {
        if (at == BRANCH_CROSS) continue;
        Tensor sum = copied(f, x);
        branch_fwd(f, m, at, sum, x, s);
        if (at == BRANCH_ATTENTION)
            x = normed(f, m, at, sum, s);
        else
            norm_fwd(f, &m->norm[at], y, sum, &s->norm[at]);
    }
}

void block_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s) {
    switch (m->wiring) {
    case BLOCK_SEQUENTIAL:
        sequential_fwd(f, m, y, x, s);
        return;
    case BLOCK_PARALLEL:
        parallel_fwd(f, m, y, x, s);
        return;
    case BLOCK_POST_NORM:
        post_norm_fwd(f, m, y, x, s);
        return;
    }
}

/* ---- backward
 * ------------------------------------------------------------------------------------ */

/* dx += norm'(branch'(d)); dx is d, or of all rows where d is of those that are asked. `below`:
 * someone needs dx after this. */
static void sequential_bwd(const Flow *f, const Block *m, BlockBranch at, Tensor dx, Tensor d,
                           const BlockSaved *s, bool below) {
    size_t mark = arena_mark(f->arena);
    bool to_norm = below || norm_trains(&m->norm[at]);
    Tensor dnormed = to_norm ? flow_cleared(f, dx) : tensor_none();
    branch_bwd(f, m, at, dnormed, d, s);
    if (to_norm) norm_bwd(f, &m->norm[at], dx, dnormed, &s->norm[at]);
    arena_release(f->arena, mark);
}

/* Both branches see the same d; only then their parts are added to it. */
static void parallel_bwd(const Flow *f, const Block *m, Tensor d, const BlockSaved *s, bool below) {
    size_t mark = arena_mark(f->arena);
    bool to_first = below || norm_trains(&m->norm[BRANCH_ATTENTION]);
    bool to_second = !m->one_norm && (below || norm_trains(&m->norm[BRANCH_MLP]));
    Tensor first = to_first ? flow_cleared(f, d) : tensor_none();
    Tensor second = to_second ? flow_cleared(f, d) : tensor_none();
    branch_bwd(f, m, BRANCH_MLP, m->one_norm ? first : second, d, s);
    branch_bwd(f, m, BRANCH_ATTENTION, first, d, s);
    if (to_second) norm_bwd(f, &m->norm[BRANCH_MLP], d, second, &s->norm[BRANCH_MLP]);
    if (to_first) norm_bwd(f, &m->norm[BRANCH_ATTENTION], d, first, &s->norm[BRANCH_ATTENTION]);
    arena_release(f->arena, mark);
}

/* d = dsum + branch'(dsum), dsum = norm'(d). */
static void post_norm_bwd(const Flow *f, const Block *m, BlockBranch at, Tensor d,
                          const BlockSaved *s, bool below) {
    size_t mark = arena_mark(f->arena);
    Tensor dsum = flow_cleared(f, d);
    norm_bwd(f, &m->norm[at], dsum, d, &s->norm[at]);
    op_copy(f->dev, d, dsum);
    branch_bwd(f, m, at, below ? d : tensor_none(), dsum, s);
    arena_release(f->arena, mark);
}

void block_bwd(const Flow *f, const Block *m, Tensor dx, Tensor d, const BlockSaved *s,
               bool need_dx) {
    if (m->wiring == BLOCK_PARALLEL) {
        parallel_bwd(f, m, d, s, need_dx);
        return;
    }
    bool to_attention = need_dx || branch_trains(f, m, BRANCH_ATTENTION);
    if (m->wiring == BLOCK_POST_NORM) {
        post_norm_bwd(f, m, BRANCH_MLP, d, s, to_attention);
        if (to_attention) post_norm_bwd(f, m, BRANCH_ATTENTION, d, s, need_dx);
        return;
    }
    bool to_cross = m->crosses && (to_attention || branch_trains(f, m, BRANCH_CROSS));
    Flow end = flow_of_asked(f);
    sequential_bwd(&end, m, BRANCH_MLP, d, d, s, to_attention || to_cross);
    if (to_cross) sequential_bwd(f, m, BRANCH_CROSS, d, d, s, to_attention);
    if (f->asked) op_scatter_add_rows(f->dev, dx, d, f->asked->index);
    if (to_attention) sequential_bwd(f, m, BRANCH_ATTENTION, dx, d, s, need_dx);
}

bool block_narrows(const Block *m) {
    return m->wiring == BLOCK_SEQUENTIAL && !m->crosses;
}

bool block_trains(const Flow *f, const Block *m) {
    return branch_trains(f, m, BRANCH_ATTENTION) || branch_trains(f, m, BRANCH_CROSS) ||
           branch_trains(f, m, BRANCH_MLP);
}
