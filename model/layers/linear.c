#include "model/layers/linear.h"

#include "kernels/ops.h"
#include "model/peft/lora.h"
#include "model/quantized.h"

#include <string.h>

static const LoraPair *pair_of(const Flow *f, const Linear *m) {
    return f->adapter ? adapter_pair(f->adapter, m->slot) : NULL;
}

/* The weight's or gradient's rows that make part p; none stays none. */
static Tensor part_rows(const Linear *m, Tensor t, int p) {
    if (tensor_is_none(t) || m->n_parts == 1) return t;
    int64_t first = 0;
    for (int i = 0; i < p; i++) first += m->part[i];
    return tensor_rows(t, first, m->part[p]);
}

static Tensor weight_part(const Linear *m, int p) {
    return m->w.quant ? m->w.quant->part[p] : part_rows(m, m->w.value, p);
}

Tensor linear_weight(const Flow *f, const Linear *m, int part) {
    Tensor packed = f->packed ? f->packed[m->slot * LINEAR_PARTS + part] : tensor_none();
    return tensor_is_none(packed) ? weight_part(m, part) : packed;
}

static int64_t file_row(const RowOrder *o, int64_t row) {
    int64_t head = row / o->head_dim, in_head = row % o->head_dim, q_heads = o->groups * o->queries;
    int64_t group, place;
    if (head < q_heads) {
        group = head / o->queries;
        place = head % o->queries;
    } else {
        group = (head - q_heads) % o->groups;
        place = o->queries + (head - q_heads) / o->groups;
    }
    return (group * (o->queries + 2) + place) * o->head_dim + in_head;
}

void linear_file_rows(int32_t *row, const RowOrder *order, int64_t n) {
    for (int64_t r = 0; r < n; r++) row[r] = (int32_t)(order->groups ? file_row(order, r) : r);
}

void linear_reorder(const RowOrder *order, void *to, const void *from, int64_t n, size_t bytes,
                    bool to_file) {
    for (int64_t r = 0; r < n; r++) {
        size_t ours = (size_t)r * bytes;
        size_t theirs = (size_t)(order->groups ? file_row(order, r) : r) * bytes;
        memcpy((char *)to + (to_file ? theirs : ours),
               (const char *)from + (to_file ? ours : theirs), bytes);
    }
}

/* The adapter's input: x itself, or x with the pair's dropout. */
static Tensor lora_input(const Flow *f, const Linear *m, const LoraPair *pair, Tensor x) {
    DropoutKey key = flow_dropout(f, pair->dropout, m->slot);
    if (key.p == 0.0) return x;
    Tensor dropped = arena_like(f->arena, x);
    op_dropout(f->dev, dropped, x, f->rows.row_seq, f->rows.positions, key);
    return dropped;
}

static void lora_fwd(const Flow *f, const Linear *m, const LoraPair *pair, const Tensor *y,
                     Tensor x, LinearSaved *s) {
    size_t mark = arena_mark(f->arena);
    Tensor in = lora_input(f, m, pair, x);
    op_linear_fwd(f->dev, s->u, in, pair->a.value, tensor_none(), (LinearArgs){.alpha = 1.0});
    for (int p = 0; p < m->n_parts; p++)
        op_linear_fwd(f->dev, y[p], s->u, part_rows(m, pair->b.value, p), tensor_none(),
                      (LinearArgs){.alpha = pair->scale, .accumulate = true});
    arena_release(f->arena, mark);
}

void linear_reserve(const Flow *f, const Linear *m, LinearSaved *s) {
    const LoraPair *pair = pair_of(f, m);
    s->u = pair ? flow_rows_by(f, pair->a.value.shape[0]) : tensor_none();
}

void linear_fwd_reserved(const Flow *f, const Linear *m, const Tensor *y, Tensor x, bool accumulate,
                         LinearSaved *s) {
    s->x = x;
    for (int p = 0; p < m->n_parts; p++)
        op_linear_fwd(f->dev, y[p], x, linear_weight(f, m, p), part_rows(m, m->b.value, p),
                      (LinearArgs){.alpha = 1.0, .accumulate = accumulate});
    const LoraPair *pair = pair_of(f, m);
    if (pair) lora_fwd(f, m, pair, y, x, s);
}

void linear_fwd(const Flow *f, const Linear *m, const Tensor *y, Tensor x, bool accumulate,
                LinearSaved *s) {
    linear_reserve(f, m, s);
    linear_fwd_reserved(f, m, y, x, accumulate, s);
}

/* dB = s dy^T u;  du = s dy B;  dA = du^T drop(x);  dx += mask (du A). */
static void lora_bwd(const Flow *f, const Linear *m, const LoraPair *pair, Tensor dx,
                     const Tensor *dy, const LinearSaved *s) {
    size_t mark = arena_mark(f->arena);
    Tensor du = arena_like(f->arena, s->u);
    for (int p = 0; p < m->n_parts; p++) {
        if (weight_trains(&pair->b))
            op_linear_dw(f->dev, part_rows(m, pair->b.grad, p), dy[p], s->u, pair->scale);
        op_linear_dx(f->dev, du, dy[p], part_rows(m, pair->b.value, p),
                     (LinearArgs){.alpha = pair->scale, .accumulate = p > 0});
    }
    if (weight_trains(&pair->a)) {
        Tensor in = lora_input(f, m, pair, s->x);
        op_linear_dw(f->dev, pair->a.grad, du, in, 1.0);
    }
    DropoutKey key = flow_dropout(f, pair->dropout, m->slot);
    if (!tensor_is_none(dx) && key.p == 0.0) {
        op_linear_dx(f->dev, dx, du, pair->a.value, (LinearArgs){.alpha = 1.0, .accumulate = true});
    } else if (!tensor_is_none(dx)) {
        Tensor masked = arena_like(f->arena, dx);
        op_linear_dx(f->dev, masked, du, pair->a.value, (LinearArgs){.alpha = 1.0});
        op_dropout(f->dev, masked, masked, f->rows.row_seq, f->rows.positions, key);
        op_axpy(f->dev, dx, masked, 1.0);
    }
    arena_release(f->arena, mark);
}

void linear_bwd(const Flow *f, const Linear *m, Tensor dx, const Tensor *dy, const LinearSaved *s) {
    for (int p = 0; p < m->n_parts; p++) {
        if (weight_trains(&m->w))
            op_linear_dw(f->dev, part_rows(m, m->w.grad, p), dy[p], s->x, 1.0);
        if (weight_trains(&m->b)) op_bias_bwd(f->dev, part_rows(m, m->b.grad, p), dy[p]);
        if (!tensor_is_none(dx))
            op_linear_dx(f->dev, dx, dy[p], weight_part(m, p),
                         (LinearArgs){.alpha = 1.0, .accumulate = true});
    }
    const LoraPair *pair = pair_of(f, m);
    if (pair) lora_bwd(f, m, pair, dx, dy, s);
}

bool linear_trains(const Flow *f, const Linear *m) {
    const LoraPair *pair = pair_of(f, m);
    return weight_trains(&m->w) || weight_trains(&m->b) || (pair && weight_trains(&pair->a));
}
