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

static void embed_fwd(const Flow *f, const Stack *m, Tensor x, const StackNoise *noise) {
    op_embed_fwd(f->dev, x, m->embed.value, f->rows.ids, 1.0, false);
    if (noise) add_noise(f, x, noise);
    if (weight_exists(&m->positions))
        op_embed_fwd(f->dev, x, m->positions.value, f->rows.positions, 1.0, true);
    DropoutKey key = flow_dropout(f, m->embed_dropout, slot_of(m->n_layers, SLOT_EMBED_DROPOUT));
    if (key.p > 0.0) op_dropout(f->dev, x, x, f->rows.row_seq, f->rows.positions, key);
}

static void embed_bwd(const Flow *f, const Stack *m, Tensor dx) {
    DropoutKey key = flow_dropout(f, m->embed_dropout, slot_of(m->n_layers, SLOT_EMBED_DROPOUT));
    if (key.p > 0.0) op_dropout(f->dev, dx, dx, f->rows.row_seq, f->rows.positions, key);
    if (weight_trains(&m->embed)) op_embed_bwd(f->dev, m->embed.grad, dx, f->rows.ids, 1.0);
    if (weight_trains(&m->positions))
        op_embed_bwd(f->dev, m->positions.grad, dx, f->rows.positions, 1.0);
}

/* ---- blocks
 * -------------------------------------------------------------------------------------- */

/* Keeps everything, or the inputs alone. */
static Tensor blocks_fwd_saving(const Flow *f, const Stack *m, Tensor x, StackSaved *s) {
    for (int64_t l = 0; l < m->n_layers; l++) {
        s->inputs[l] = x;
        x = arena_like(f->arena, x);
        size_t mark = arena_mark(f->arena);
        block_fwd(f, &m->blocks[l], x, s->inputs[l], &s->blocks[l]);
        if (s->recompute == RECOMPUTE_BLOCK) arena_release(f->arena, mark);
    }
    return x;
}

static Tensor blocks_fwd(const Flow *f, const Stack *m, Tensor x) {
    Tensor y = arena_like(f->arena, x);
    size_t mark = arena_mark(f->arena);
    for (int64_t l = 0; l < m->n_layers; l++) {
        BlockSaved unused;
        block_fwd(f, &m->blocks[l], y, x, &unused);
        arena_release(f->arena, mark);
        Tensor t = x;
        x = y;
        y = t;
    }
    return x;
}

void stack_fwd(const Flow *f, const Stack *m, Tensor h, const StackNoise *noise, StackSaved *s) {
    Tensor x = arena_like(f->arena, h);
    embed_fwd(f, m, x, noise);
    x = f->save ? blocks_fwd_saving(f, m, x, s) : blocks_fwd(f, m, x);
    NormSaved unused;
    norm_fwd(f, &m->final_norm, h, x, f->save ? &s->final_norm : &unused);
}

static bool embed_trains(const Stack *m) {
    return weight_trains(&m->embed) || weight_trains(&m->positions);
}

/* The lowest layer in which something trains; n_layers when none does. */
static int64_t lowest_block(const Flow *f, const Stack *m) {
    int64_t l = 0;
    while (l < m->n_layers && !block_trains(f, &m->blocks[l])) l++;
    return l;
}

static void one_block_bwd(const Flow *f, const Stack *m, int64_t l, Tensor d, const StackSaved *s,
                          bool need_dx) {
    if (s->recompute == RECOMPUTE_NONE) {
        block_bwd(f, &m->blocks[l], d, &s->blocks[l], need_dx);
        return;
    }
    size_t mark = arena_mark(f->arena);
    BlockSaved again;
    block_fwd(f, &m->blocks[l], arena_like(f->arena, d), s->inputs[l], &again);
    block_bwd(f, &m->blocks[l], d, &again, need_dx);
    arena_release(f->arena, mark);
}

void stack_bwd(const Flow *f, const Stack *m, Tensor dh, const StackSaved *s) {
    bool to_embed = embed_trains(m);
    int64_t lowest = to_embed ? 0 : lowest_block(f, m);
    size_t mark = arena_mark(f->arena);
    Tensor d = arena_like(f->arena, dh);
    op_fill(f->dev, d, 0.0);
    norm_bwd(f, &m->final_norm, d, dh, &s->final_norm);
    for (int64_t l = m->n_layers - 1; l >= lowest; l--)
        one_block_bwd(f, m, l, d, s, l > lowest || to_embed);
    if (to_embed) embed_bwd(f, m, d);
    arena_release(f->arena, mark);
}

bool stack_trains(const Flow *f, const Stack *m) {
    return embed_trains(m) || norm_trains(&m->final_norm) || lowest_block(f, m) < m->n_layers;
}
