#include "model/head.h"

#include "core/check.h"
#include "kernels/ops.h"

#include <string.h>

/* ---- host <-> device, a chunk at a time
 * ---------------------------------------------------------- */

static void download(const HeadWalk *w, double *to, Tensor from) {
    size_t n = (size_t)tensor_numel(from);
    dev_download(w->flow->dev, w->stage->real, from);
    dtype_convert(to, DTYPE_F64, w->stage->real, from.dtype, n);
}

static Tensor upload(const HeadWalk *w, const double *from, int64_t n) {
    Tensor t = arena_1d(w->flow->arena, dev_real(w->flow->dev), n);
    dtype_convert(w->stage->real, t.dtype, from, DTYPE_F64, (size_t)n);
    dev_upload(w->flow->dev, t, w->stage->real);
    return t;
}

/* ---- one chunk
 * ----------------------------------------------------------------------------------- */

typedef struct ChunkTensors {
    Tensor index;                       /* [n] i32 */
    Tensor h, dh;                       /* [n,C] */
    Tensor value;                       /* [n,1] */
    Tensor logits;                      /* [n,V] */
    Tensor targets, lse, entropy, logp; /* [n] */
    LogpArgs args;
} ChunkTensors;

void head_logits(const Flow *f, const Base *b, Tensor logits, Tensor h) {
    int slot = slot_of(b->slot_layers, SLOT_HEAD);
    Tensor packed = f->packed ? f->packed[slot * LINEAR_PARTS] : tensor_none();
    CHECK(weight_exists(&b->head), "log-probs are asked of a base without lm_head");
    op_linear_fwd(f->dev, logits, h, tensor_is_none(packed) ? b->head.value : packed,
                  b->head_bias.value, (LinearArgs){.alpha = 1.0});
}

static void gather(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    t->index = arena_1d(f->arena, DTYPE_I32, n);
    dev_upload(f->dev, t->index, w->stage->place);
    t->h = arena_2d(f->arena, dev_real(f->dev), n, w->h.shape[1]);
    op_gather_rows(f->dev, t->h, w->h, t->index);
}

static void value_fwd(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    const Head *head = w->role->head;
    t->value = arena_2d(f->arena, dev_real(f->dev), n, 1);
    op_linear_fwd(f->dev, t->value, t->h, head->w.value, head->b.value, (LinearArgs){.alpha = 1.0});
    download(w, w->stage->value, t->value);
}

static void logp_fwd(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    DType real = dev_real(f->dev);
    t->args = (LogpArgs){.inv_temperature = w->temperature > 0.0 ? 1.0 / w->temperature : 1.0,
                         .soft_cap = w->role->base->arch.logit_cap,
                         .smoothing = w->label_smoothing};
    t->logits = arena_2d(f->arena, real, n, w->role->base->info.vocab);
    head_logits(f, w->role->base, t->logits, t->h);
    t->targets = arena_1d(f->arena, DTYPE_I32, n);
    dev_upload(f->dev, t->targets, w->stage->target);
    t->logp = arena_1d(f->arena, real, n);
    t->lse = arena_1d(f->arena, real, n);
    t->entropy = w->want_entropy ? arena_1d(f->arena, real, n) : tensor_none();
    Tensor argmax = w->want_argmax ? arena_1d(f->arena, DTYPE_I32, n) : tensor_none();
    op_logp_fwd(f->dev, t->logp, t->entropy, t->lse, argmax, t->logits, t->targets, t->args);
    download(w, w->stage->logp, t->logp);
    if (w->want_entropy) download(w, w->stage->entropy, t->entropy);
    if (w->want_argmax) dev_download(f->dev, w->stage->argmax, argmax);
}

static void kl_fwd(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    const Base *b = w->against->base;
    Flow plain = *f; /* what is packed belongs to the walk's own role */
    plain.packed = NULL;
    Tensor h = arena_2d(f->arena, dev_real(f->dev), n, w->h_against.shape[1]);
    Tensor logits = arena_2d(f->arena, dev_real(f->dev), n, b->info.vocab);
    Tensor kl = arena_1d(f->arena, dev_real(f->dev), n);
    op_gather_rows(f->dev, h, w->h_against, t->index);
    head_logits(&plain, b, logits, h);
    op_kl(f->dev, kl, t->logits, logits, t->args);
    download(w, w->stage->kl, kl);
}

static void logp_bwd(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    const Base *b = w->role->base;
    Tensor dlogp = upload(w, w->stage->dlogp, n);
    Tensor dentropy = w->want_entropy ? upload(w, w->stage->dentropy, n) : tensor_none();
    op_logp_bwd(f->dev, t->logits, t->lse, t->entropy, t->targets, dlogp, dentropy, t->args);
    if (weight_trains(&b->head)) op_linear_dw(f->dev, b->head.grad, t->logits, t->h, 1.0);
    if (weight_trains(&b->head_bias)) op_bias_bwd(f->dev, b->head_bias.grad, t->logits);
    if (!tensor_is_none(t->dh))
        op_linear_dx(f->dev, t->dh, t->logits, b->head.value,
                     (LinearArgs){.alpha = 1.0, .accumulate = true});
}

static void value_bwd(const HeadWalk *w, ChunkTensors *t, int64_t n) {
    const Flow *f = w->flow;
    const Head *head = w->role->head;
    Tensor dvalue = tensor_view_2d(upload(w, w->stage->dvalue, n), n, 1);
    if (weight_trains(&head->w)) op_linear_dw(f->dev, head->w.grad, dvalue, t->h, 1.0);
    if (weight_trains(&head->b)) op_bias_bwd(f->dev, head->b.grad, dvalue);
    if (!tensor_is_none(t->dh))
        op_linear_dx(f->dev, t->dh, dvalue, head->w.value,
                     (LinearArgs){.alpha = 1.0, .accumulate = true});
}

static void ask_loss(const HeadWalk *w, int64_t n, bool has_target) {
    HeadStage *s = w->stage;
    size_t bytes = (size_t)n * sizeof(double);
    if (!has_target) memset(s->logp, 0, bytes);
    memset(s->dlogp, 0, bytes);
    memset(s->dentropy, 0, bytes);
    memset(s->dvalue, 0, bytes);
    TokenChunk chunk = {.n = n,
                        .has_target = has_target,
                        .row = s->row,
                        .logp = s->logp,
                        .entropy = has_target && w->want_entropy ? s->entropy : NULL,
                        .value = w->want.value ? s->value : NULL,
                        .kl = has_target && w->against ? s->kl : NULL,
                        .argmax = has_target && w->want_argmax ? s->argmax : NULL,
                        .dlogp = s->dlogp,
                        .dentropy = s->dentropy,
                        .dvalue = s->dvalue};
    w->loss->fn(w->loss->ctx, &chunk);
}

static void walk_chunk(const HeadWalk *w, int64_t n, bool has_target) {
    const Flow *f = w->flow;
    size_t mark = arena_mark(f->arena);
    ChunkTensors t = {0};
    gather(w, &t, n);
    if (w->want.value) value_fwd(w, &t, n);
    if (has_target) logp_fwd(w, &t, n);
    if (has_target && w->against) kl_fwd(w, &t, n);
    ask_loss(w, n, has_target);
    if (w->backward) {
        if (!tensor_is_none(w->dh)) {
            t.dh = arena_like(f->arena, t.h);
            op_fill(f->dev, t.dh, 0.0);
        }
        if (has_target) logp_bwd(w, &t, n);
        if (w->want.value) value_bwd(w, &t, n);
        if (!tensor_is_none(w->dh)) op_scatter_add_rows(f->dev, w->dh, t.dh, t.index);
    }
    arena_release(f->arena, mark);
}

/* ---- all chunks
 * ---------------------------------------------------------------------------------- */

static int64_t chunk_rows(int64_t vocab) {
    int64_t n = HEAD_CHUNK_SIZE / vocab;
    return n < HEAD_CHUNK_MIN ? HEAD_CHUNK_MIN : n > HEAD_CHUNK_MAX ? HEAD_CHUNK_MAX : n;
}

static bool row_has_target(const HeadWalk *w, int64_t i) {
    return w->want.logp && w->rows->targets && w->rows->targets[i] != ROWS_NO_TARGET;
}

static void walk_rows(const HeadWalk *w, bool with_target, int64_t at_once) {
    HeadStage *s = w->stage;
    int64_t n = 0;
    int32_t asked = 0;
    bool all = w->h.shape[0] == w->rows->n_rows;
    for (int64_t i = 0; i < w->rows->n_rows; i++) {
        if (!rows_ask(w->rows, i, w->asked)) continue;
        int32_t place = all ? (int32_t)i : asked++;
        if (!rows_ask(w->rows, i, w->want) || row_has_target(w, i) != with_target) continue;
        s->row[n] = (int32_t)i;
        s->place[n] = place;
        s->target[n] = with_target ? w->rows->targets[i] : ROWS_NO_TARGET;
        if (++n < at_once) continue;
        walk_chunk(w, n, with_target);
        n = 0;
    }
    if (n) walk_chunk(w, n, with_target);
}

void head_walk(const HeadWalk *w) {
    CHECK(!w->want.value || w->role->head, "values are asked of a role without a head");
    if (w->want.value) walk_rows(w, false, HEAD_CHUNK_MAX);
    if (w->want.logp) walk_rows(w, true, chunk_rows(w->role->base->info.vocab));
}
