#include "model/layers/mlp.h"

#include "kernels/ops.h"

/* Of the inner rows or of their gradient, in place. */
static void drop_inner(const Flow *f, const Mlp *m, Tensor t) {
    DropoutKey key = flow_dropout(f, m->dropout, m->dropout_slot);
    if (key.p > 0.0) op_dropout(f->dev, t, t, f->rows.row_seq, f->rows.positions, key);
}

/* The widest rows of a block: made a second time in backward instead of kept. */
static Tensor inner_of(const Flow *f, const Mlp *m, const MlpSaved *s) {
    Tensor inner = arena_like(f->arena, s->up);
    if (m->gated)
        op_gated_fwd(f->dev, inner, s->gate, s->up, m->act);
    else
        op_act_fwd(f->dev, inner, s->up, m->act);
    drop_inner(f, m, inner);
    return inner;
}

void mlp_fwd(const Flow *f, const Mlp *m, Tensor y, Tensor x, bool accumulate, MlpSaved *s) {
    int64_t width = m->down.inputs;
    s->gate = m->gated ? flow_rows_by(f, width) : tensor_none();
    s->up = flow_rows_by(f, width);
    Tensor both[2] = {s->gate, s->up};
    linear_fwd(f, &m->up, m->fused ? both : &s->up, x, false, &s->up_in);
    if (m->gated && !m->fused) linear_fwd(f, &m->gate, &s->gate, x, false, &s->gate_in);
    linear_reserve(f, &m->down, &s->down_in);
    size_t mark = arena_mark(f->arena);
    linear_fwd_reserved(f, &m->down, &y, inner_of(f, m, s), accumulate, &s->down_in);
    arena_release(f->arena, mark);
}

static bool inputs_train(const Flow *f, const Mlp *m) {
    return linear_trains(f, &m->up) || (m->gated && !m->fused && linear_trains(f, &m->gate));
}

/* dup [N,F] +=, or none. */
static void down_bwd(const Flow *f, const Mlp *m, Tensor dup, Tensor dy, const MlpSaved *s) {
    size_t mark = arena_mark(f->arena);
    LinearSaved saved = s->down_in;
    if (linear_trains(f, &m->down)) saved.x = inner_of(f, m, s);
    linear_bwd(f, &m->down, dup, &dy, &saved);
    arena_release(f->arena, mark);
}

void mlp_bwd(const Flow *f, const Mlp *m, Tensor dx, Tensor dy, const MlpSaved *s) {
    if (tensor_is_none(dx) && !inputs_train(f, m)) {
        down_bwd(f, m, tensor_none(), dy, s);
        return;
    }
    size_t mark = arena_mark(f->arena);
    Tensor dup = arena_like(f->arena, s->up);
    op_fill(f->dev, dup, 0.0);
    down_bwd(f, m, dup, dy, s);
    drop_inner(f, m, dup);
    if (m->gated) {
        Tensor dgate = arena_like(f->arena, s->gate);
        op_gated_bwd(f->dev, dgate, dup, dup, s->gate, s->up, m->act);
        Tensor both[2] = {dgate, dup};
        if (!m->fused) linear_bwd(f, &m->gate, dx, &dgate, &s->gate_in);
        linear_bwd(f, &m->up, dx, m->fused ? both : &dup, &s->up_in);
    } else {
        op_act_bwd(f->dev, dup, dup, s->up, m->act);
        linear_bwd(f, &m->up, dx, &dup, &s->up_in);
    }
    arena_release(f->arena, mark);
}

bool mlp_trains(const Flow *f, const Mlp *m) {
    return inputs_train(f, m) || linear_trains(f, &m->down);
}
