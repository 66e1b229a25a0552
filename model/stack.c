#include "model/stack.h"

#include "core/check.h"
#include "core/rng.h"
#include "kernels/ops.h"

#include <math.h>

/* ---- embeddings
 * ---------------------------------------------------------------------------------- */

/* Row i's noise is a function of (seed, step, sequence, position, channel). */
static void noise_row(const Flow *f, const StackNoise *noise, int64_t i, int64_t seq, int64_t width,
                      double *out) {
    const Rows *r = noise->rows;
    int64_t length = r->seq_start[seq + 1] - r->seq_start[seq];
    double size = noise->alpha / sqrt((double)length * (double)width);
    uint64_t blocks = (uint64_t)(width + 3) / 4;
    uint64_t first = (uint64_t)r->positions[i] * blocks;
    uint64_t stream = rng_subsequence(RNG_NEFTUNE, (uint64_t)r->seq_ids[seq]);
    for (int64_t c = 0; c < width; c++) {
        RngBlock b = rng_block(f->seed, stream, rng_offset(f->step, first + (uint64_t)c / 4));
        out[c] = size * (2.0 * (double)rng_uniform(b.x[c % 4]) - 1.0);
    }
}

static void add_noise(const Flow *f, Tensor x, const StackNoise *noise) {
    int64_t width = x.shape[1], seq = 0, at_once = STACK_NOISE_SIZE / width;
    CHECK(at_once > 0, "NEFTune: width %lld", (long long)width);
    size_t mark = arena_mark(f->arena);
    Tensor part = arena_2d(f->arena, dev_real(f->dev), at_once, width);
    for (int64_t first = 0; first < x.shape[0]; first += at_once) {
        int64_t n = x.shape[0] - first < at_once ? x.shape[0] - first : at_once;
        for (int64_t i = 0; i < n; i++) {
            while (noise->rows->seq_start[seq + 1] <= first + i) seq++;
            noise_row(f, noise, first + i, seq, width, noise->drawn + i * width);
        }
        dtype_convert(noise->real, dev_real(f->dev), noise->drawn, DTYPE_F64, (size_t)(n * width));
        Tensor rows = tensor_rows(part, 0, n);
        dev_upload(f->dev, rows, noise->real);
        op_axpy(f->dev, tensor_rows(x, first, n), rows, 1.0);
    }
    arena_release(f->arena, mark);
}

/* In place. */
static void drop(const Flow *f, double p, int slot, Tensor x) {
    DropoutKey key = flow_dropout(f, p, slot);
    if (key.p > 0.0) op_dropout(f->dev, x, x, f->rows.row_seq, f->rows.positions, key);
}

static bool projects(const Linear *m) {
    return m->outputs > 0;
}

/* The table's rows from position 0 on; none stays none. */
static Tensor position_rows(const Stack *m, Tensor t) {
    if (tensor_is_none(t)) return t;
    return tensor_rows(t, m->position_offset, t.shape[0] - m->position_offset);
}

static void embed_fwd(const Flow *f, const Stack *m, Tensor x, const StackNoise *noise,
                      StackSaved *s) {
    bool narrow = projects(&m->project_in), norm = weight_exists(&m->embed_norm.w);
    Tensor y = norm ? arena_like(f->arena, x) : x;
    Tensor e = narrow ? flow_rows_by(f, m->project_in.inputs) : y;
    op_embed_fwd(f->dev, e, m->embed.value, f->rows.ids, m->embed_scale, false);
    if (noise) add_noise(f, e, noise);
    if (narrow) linear_fwd(f, &m->project_in, &y, e, false, &s->project_in);
    if (weight_exists(&m->positions))
        op_embed_fwd(f->dev, y, position_rows(m, m->positions.value), f->rows.positions, 1.0, true);
    if (norm) norm_fwd(f, &m->embed_norm, x, y, &s->embed_norm);
    drop(f, m->embed_dropout, m->embed_slot, x);
}

static void embed_bwd(const Flow *f, const Stack *m, Tensor dx, const StackSaved *s) {
    drop(f, m->embed_dropout, m->embed_slot, dx);
    if (weight_exists(&m->embed_norm.w)) {
        Tensor dy = arena_like(f->arena, dx);
        op_fill(f->dev, dy, 0.0);
        norm_bwd(f, &m->embed_norm, dy, dx, &s->embed_norm);
        dx = dy;
    }
    if (weight_trains(&m->positions))
        op_embed_bwd(f->dev, position_rows(m, m->positions.grad), dx, f->rows.positions, 1.0);
    if (projects(&m->project_in)) {
        Tensor de = flow_rows_by(f, m->project_in.inputs);
        op_fill(f->dev, de, 0.0);
        linear_bwd(f, &m->project_in, de, &dx, &s->project_in);
        dx = de;
    }
    if (weight_trains(&m->embed))
        op_embed_bwd(f->dev, m->embed.grad, dx, f->rows.ids, m->embed_scale);
}

/* ---- blocks
 * -------------------------------------------------------------------------------------- */

/* The pass as block l sees it: which rows are asked is the last one's affair, if it can narrow. */
static Flow flow_of_block(const Flow *f, const Stack *m, int64_t l) {
    Flow g = *f;
    if (l + 1 < m->n_layers || !block_narrows(&m->blocks[l])) g.asked = NULL;
    return g;
}

static int64_t rows_out(const Flow *f) {
    return f->asked ? f->asked->rows.n : f->rows.n;
}

/* Keeps everything, or the inputs alone. */
static Tensor blocks_fwd_saving(const Flow *f, const Stack *m, Tensor x, StackSaved *s) {
    for (int64_t l = 0; l < m->n_layers; l++) {
        Flow g = flow_of_block(f, m, l);
        s->inputs[l] = x;
        x = arena_2d(f->arena, x.dtype, rows_out(&g), m->width);
        size_t mark = arena_mark(f->arena);
        block_fwd(&g, &m->blocks[l], x, s->inputs[l], &s->blocks[l]);
        if (s->recompute == RECOMPUTE_BLOCK) arena_release(f->arena, mark);
    }
    return x;
}

static Tensor blocks_fwd(const Flow *f, const Stack *m, Tensor x) {
    Tensor y = arena_like(f->arena, x);
    size_t mark = arena_mark(f->arena);
    for (int64_t l = 0; l < m->n_layers; l++) {
        BlockSaved unused;
        Flow g = flow_of_block(f, m, l);
        Tensor out = tensor_rows(y, 0, rows_out(&g));
        block_fwd(&g, &m->blocks[l], out, x, &unused);
        arena_release(f->arena, mark);
        y = x;
        x = out;
    }
    return x;
}

/* The pass as its blocks see it: with the biases by distance. */
static Flow flow_with_bias(const Flow *f, const Stack *m, StackSaved *s) {
    Flow g = *f;
    g.bias = g.dbias = s->bias = tensor_none();
    if (!weight_exists(&m->distances)) return g;
    s->bias =
        arena_2d(f->arena, dev_real(f->dev), m->distance_ids.shape[0], m->distances.value.shape[1]);
    op_embed_fwd(f->dev, s->bias, m->distances.value, m->distance_ids, 1.0, false);
    g.bias = s->bias;
    return g;
}

void stack_fwd(const Flow *flow, const Stack *m, Tensor h, const StackNoise *noise, StackSaved *s) {
    StackSaved unused;
    StackSaved *ends = s ? s : &unused;
    Flow with_bias = flow_with_bias(flow, m, ends);
    const Flow *f = &with_bias;
    bool narrow = projects(&m->project_out);
    Flow end = flow_of_asked(f);
    Tensor x = flow_rows_by(f, m->width), out = narrow ? flow_rows_by(&end, m->width) : h;
    embed_fwd(f, m, x, noise, ends);
    x = f->save ? blocks_fwd_saving(f, m, x, s) : blocks_fwd(f, m, x);
    if (x.shape[0] > end.rows.n) x = flow_pick(f, x);
    if (weight_exists(&m->final_norm.w))
        norm_fwd(&end, &m->final_norm, out, x, &ends->final_norm);
    else
        op_copy(f->dev, out, x);
    if (narrow) linear_fwd(&end, &m->project_out, &h, out, false, &ends->project_out);
    drop(&end, m->final_dropout, m->final_slot, h);
    if (m->out_scale != 1.0) op_scale(f->dev, h, m->out_scale);
}

static bool embed_trains(const Flow *f, const Stack *m) {
    return weight_trains(&m->embed) || weight_trains(&m->positions) ||
           norm_trains(&m->embed_norm) ||
           (projects(&m->project_in) && linear_trains(f, &m->project_in));
}

/* The lowest layer in which something trains; n_layers when none does. */
static int64_t lowest_block(const Flow *f, const Stack *m) {
    int64_t l = 0;
    while (l < m->n_layers && !block_trains(f, &m->blocks[l])) l++;
    return l;
}

static void one_block_bwd(const Flow *f, const Stack *m, int64_t l, Tensor dx, Tensor d,
                          const StackSaved *s, bool need_dx) {
    if (s->recompute == RECOMPUTE_NONE) {
        block_bwd(f, &m->blocks[l], dx, d, &s->blocks[l], need_dx);
        return;
    }
    size_t mark = arena_mark(f->arena);
    BlockSaved again;
    block_fwd(f, &m->blocks[l], arena_like(f->arena, d), s->inputs[l], &again);
    block_bwd(f, &m->blocks[l], dx, d, &again, need_dx);
    arena_release(f->arena, mark);
}

/* d[A,C] is the gradient of the last block's output; that of block `lowest`'s input comes back. */
static Tensor blocks_bwd(const Flow *f, const Stack *m, Tensor d, const StackSaved *s,
                         int64_t lowest, bool need_dx) {
    Tensor dx = f->asked ? flow_cleared(f, s->inputs[0]) : d;
    for (int64_t l = m->n_layers - 1; l >= lowest; l--) {
        Flow g = flow_of_block(f, m, l);
        if (f->asked && !g.asked && l + 1 == m->n_layers)
            op_scatter_add_rows(f->dev, dx, d, f->asked->index);
        one_block_bwd(&g, m, l, dx, g.asked ? d : dx, s, l > lowest || need_dx);
    }
    return dx;
}

void stack_bwd(const Flow *flow, const Stack *m, Tensor dh, const StackSaved *s) {
    size_t mark = arena_mark(flow->arena);
    Flow with_bias = *flow;
    const Flow *f = &with_bias;
    with_bias.bias = s->bias;
    with_bias.dbias = tensor_none();
    if (weight_trains(&m->distances)) {
        with_bias.dbias = arena_like(f->arena, s->bias);
        op_fill(f->dev, with_bias.dbias, 0.0);
    }
    Flow end = flow_of_asked(f);
    bool to_embed = embed_trains(f, m);
    int64_t lowest = to_embed ? 0 : lowest_block(f, m);
    if (m->out_scale != 1.0) op_scale(f->dev, dh, m->out_scale);
    drop(&end, m->final_dropout, m->final_slot, dh);
    if (projects(&m->project_out)) {
        Tensor dout = flow_rows_by(&end, m->width);
        op_fill(f->dev, dout, 0.0);
        linear_bwd(&end, &m->project_out, dout, &dh, &s->project_out);
        dh = dout;
    }
    Tensor d = dh;
    if (weight_exists(&m->final_norm.w)) {
        d = flow_cleared(f, dh);
        norm_bwd(&end, &m->final_norm, d, dh, &s->final_norm);
    }
    d = blocks_bwd(f, m, d, s, lowest, to_embed);
    if (to_embed) embed_bwd(f, m, d, s);
    if (weight_trains(&m->distances))
        op_embed_bwd(f->dev, m->distances.grad, f->dbias, m->distance_ids, 1.0);
    arena_release(f->arena, mark);
}

bool stack_trains(const Flow *f, const Stack *m) {
    return embed_trains(f, m) || norm_trains(&m->final_norm) || weight_trains(&m->distances) ||
           (projects(&m->project_out) && linear_trains(f, &m->project_out)) ||
           lowest_block(f, m) < m->n_layers;
}
