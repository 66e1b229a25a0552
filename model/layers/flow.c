#include "model/layers/flow.h"

#include "kernels/ops.h"

Tensor flow_cleared(const Flow *f, Tensor like) {
    Tensor t = arena_like(f->arena, like);
    op_fill(f->dev, t, 0.0);
    return t;
}

Tensor flow_pick(const Flow *f, Tensor x) {
    if (!f->asked) return x;
    Tensor y = arena_2d(f->arena, x.dtype, f->asked->rows.n, x.shape[1]);
    op_gather_rows(f->dev, y, x, f->asked->index);
    return y;
}
