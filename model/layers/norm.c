#include "model/layers/norm.h"

#include "kernels/ops.h"

void norm_fwd(const Flow *f, const Norm *m, Tensor y, Tensor x, NormSaved *s) {
    *s = (NormSaved){.x = x, .stat = arena_2d(f->arena, dev_real(f->dev), x.shape[0], 2)};
    op_norm_fwd(f->dev, y, s->stat, x, m->w.value, m->b.value, m->args);
}

void norm_bwd(const Flow *f, const Norm *m, Tensor dx, Tensor dy, const NormSaved *s) {
    op_norm_bwd(f->dev, dx, m->w.grad, m->b.grad, dy, s->x, m->w.value, s->stat, m->args);
}

bool norm_trains(const Norm *m) {
    return weight_trains(&m->w) || weight_trains(&m->b);
}
