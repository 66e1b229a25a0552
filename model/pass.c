/* pass: forward and backward of a role over rows; the memory for it. Part of the face in model.h.
 */
#include "core/check.h"
#include "core/mem.h"
#include "kernels/ops.h"
#include "model/head.h"
#include "model/stack.h"

#include <string.h>

/* Host scratch for the arrays of rows that are made here. */
#define ROWS_STAGE 4096

struct Pass {
    Dev *dev;
    void *memory;
    Arena arena;
    size_t floor; /* what pass_kl keeps below the forward at hand */
    HeadStage head;
    int64_t row_seq[ROWS_STAGE];
    int32_t row[ROWS_STAGE], position[ROWS_STAGE];
    FlowAsked asked;
    double drawn[STACK_NOISE_SIZE], noise[STACK_NOISE_SIZE];
    BlockSaved blocks[ARCH_MAX_LAYERS];
    Tensor inputs[ARCH_MAX_LAYERS + 1];
    /* Of an encoder beside the stack: what its backward needs, its output and the gradient of it.
     */
    StackSaved encoder;
    BlockSaved encoder_blocks[ARCH_MAX_LAYERS];
    Tensor encoder_inputs[ARCH_MAX_LAYERS + 1];
    FlowMemory source;
    /* Between pass_forward and pass_backward: */
    bool pending;
    Role role;
    Rows rows;
    RowsWant want;
    PassOptions opt;
    Flow flow;
    StackSaved saved;
    Tensor h;
};

/* ---- memory
 * -------------------------------------------------------------------------------------- */

static Pass *pass_new(Dev *dev) {
    Pass *p = mem_zalloc(1, sizeof *p);
    p->dev = dev;
    return p;
}

Status pass_open(Pass **out, Dev *dev, size_t bytes) {
    Pass *p = pass_new(dev);
    Status st = dev_alloc(&p->memory, dev, bytes);
    if (st == OK) arena_init(&p->arena, "activations", p->memory, bytes);
    *out = p;
    if (st != OK) {
        pass_close(p);
        *out = NULL;
    }
    return st;
}

void pass_close(Pass *p) {
    if (!p) return;
    dev_free(p->dev, p->memory);
    mem_free(p);
}

/* ---- one forward
 * --------------------------------------------------------------------------------- */

static Tensor upload_1d(Pass *p, DType dtype, int64_t n, const void *from) {
    Tensor t = arena_1d(&p->arena, dtype, n);
    dev_upload(p->dev, t, from);
    return t;
}

/* The sequence id of each row, in pieces through the host scratch. */
static Tensor upload_row_seq(Pass *p, const Rows *rows) {
    Tensor t = arena_1d(&p->arena, DTYPE_I64, rows->n_rows);
    int64_t seq = 0;
    for (int64_t first = 0; first < rows->n_rows; first += ROWS_STAGE) {
        int64_t n = rows->n_rows - first < ROWS_STAGE ? rows->n_rows - first : ROWS_STAGE;
        for (int64_t i = 0; i < n; i++) {
            while (rows->seq_start[seq + 1] <= first + i) seq++;
            p->row_seq[i] = rows->seq_ids[seq];
        }
        dev_upload(p->dev, tensor_rows(t, first, n), p->row_seq);
    }
    return t;
}

static FlowRows upload_rows(Pass *p, const Rows *rows) {
    return (FlowRows){
        .n = rows->n_rows,
        .ids = upload_1d(p, DTYPE_I32, rows->n_rows, rows->ids),
        .positions = upload_1d(p, DTYPE_I32, rows->n_rows, rows->positions),
        .seq_start = upload_1d(p, DTYPE_I32, rows->n_seqs + 1, rows->seq_start),
        .seq_ids = upload_1d(p, DTYPE_I64, rows->n_seqs, rows->seq_ids),
        .row_seq = upload_row_seq(p, rows),
    };
}

static RowsWant want_of(const PassOut *out) {
    return (RowsWant){.logp = out->logp || out->entropy || out->argmax,
                      .value = out->value != NULL};
}

static int64_t count_asked(const Rows *rows, RowsWant want) {
    int64_t n = 0;
    for (int64_t i = 0; i < rows->n_rows; i++) n += rows_ask(rows, i, want);
    return n;
}

/* The rows that are asked, in pieces through the host scratch. */
static void upload_asked(Pass *p, const Rows *rows, RowsWant want, int64_t n_asked) {
    FlowAsked *a = &p->asked;
    *a = (FlowAsked){.index = arena_1d(&p->arena, DTYPE_I32, n_asked),
                     .rows = {.n = n_asked,
                              .positions = arena_1d(&p->arena, DTYPE_I32, n_asked),
                              .row_seq = arena_1d(&p->arena, DTYPE_I64, n_asked)}};
    int64_t n = 0, done = 0, seq = 0;
    for (int64_t i = 0; i < rows->n_rows; i++) {
        if (!rows_ask(rows, i, want)) continue;
        while (rows->seq_start[seq + 1] <= i) seq++;
        p->row[n] = (int32_t)i;
        p->position[n] = rows->positions[i];
        p->row_seq[n++] = rows->seq_ids[seq];
        if (n < ROWS_STAGE && done + n < n_asked) continue;
        dev_upload(p->dev, tensor_rows(a->index, done, n), p->row);
        dev_upload(p->dev, tensor_rows(a->rows.positions, done, n), p->position);
        dev_upload(p->dev, tensor_rows(a->rows.row_seq, done, n), p->row_seq);
        done += n;
        n = 0;
    }
}

static void flow_begin(Pass *p, Flow *f, const Role *role, const Rows *rows, const PassOptions *opt,
                       RowsWant want, bool save) {
    CHECK(!p->pending, "pass_backward is still owed");
    const BaseInfo *info = &role->base->info;
    CHECK(base_has_encoder(role->base) == (rows->source != NULL),
          "%s: rows with or without a source", info->architecture);
    rows_check(rows, info->vocab);
    if (info->position_limit > 0 && !dev_measuring(p->dev))
        for (int64_t i = 0; i < rows->n_rows; i++)
            CHECK(rows->positions[i] < info->position_limit, "position %d of %lld",
                  rows->positions[i], (long long)info->position_limit);
    arena_release(&p->arena, p->floor);
    *f = (Flow){.dev = p->dev,
                .arena = &p->arena,
                .adapter = role->adapter,
                .save = save,
                .dropout = opt->dropout,
                .seed = opt->seed,
                .step = opt->step};
    f->rows = upload_rows(p, rows);
    int64_t n_asked = count_asked(rows, want);
    if (n_asked > 0 && n_asked < rows->n_rows) {
        upload_asked(p, rows, want, n_asked);
        f->asked = &p->asked;
    }
    if (!rows->source) return;
    p->source = (FlowMemory){.rows = upload_rows(p, rows->source)};
    f->memory = &p->source;
}

/* The pass over the encoder's rows. */
static Flow encoder_flow(const Flow *f) {
    Flow g = flow_of_memory(f);
    g.memory = NULL;
    g.asked = NULL;
    return g;
}

static void encoder_fwd(Pass *p, const Flow *f, const Base *b, const PassOptions *opt) {
    Flow g = encoder_flow(f);
    p->encoder = (StackSaved){
        .blocks = p->encoder_blocks, .inputs = p->encoder_inputs, .recompute = opt->recompute};
    p->source.h = flow_rows_by(&g, b->encoder.width);
    stack_fwd(&g, &b->encoder, p->source.h, NULL, &p->encoder);
}

/* The trunk; returns its output [A,C]. */
static Tensor trunk_fwd(Pass *p, const Flow *f, const Role *role, const Rows *rows,
                        const PassOptions *opt, StackSaved *saved) {
    *saved = (StackSaved){.blocks = p->blocks, .inputs = p->inputs, .recompute = opt->recompute};
    StackNoise noise = {
        .alpha = opt->neftune_alpha, .rows = rows, .drawn = p->drawn, .real = p->noise};
    if (rows->source) encoder_fwd(p, f, role->base, opt);
    Flow end = flow_of_asked(f);
    Tensor h = flow_rows_by(&end, role->base->info.width);
    stack_fwd(f, &role->base->stack, h, opt->neftune_alpha > 0.0 ? &noise : NULL, saved);
    return h;
}

static HeadWalk walk_of(Pass *p, const Flow *f, const Role *role, const Rows *rows,
                        const PassOptions *opt, Tensor h, const TokenLoss *loss) {
    return (HeadWalk){.flow = f,
                      .role = role,
                      .rows = rows,
                      .stage = &p->head,
                      .temperature = opt->temperature,
                      .label_smoothing = opt->label_smoothing,
                      .h = h,
                      .loss = loss,
                      .want_entropy = loss->want_entropy,
                      .want_argmax = loss->want_argmax};
}

/* The walk back through the head, then the trunk, then the encoder. */
static void walk_back(Pass *p, HeadWalk *w, const StackSaved *saved) {
    const Flow *f = w->flow;
    const Stack *stack = &w->role->base->stack, *encoder = &w->role->base->encoder;
    Flow source = f->memory ? encoder_flow(f) : (Flow){0};
    bool to_encoder = f->memory && stack_trains(&source, encoder);
    if (to_encoder) p->source.dh = flow_cleared(f, p->source.h);
    bool below = stack_trains(f, stack);
    w->backward = true;
    w->dh = below ? flow_cleared(f, w->h) : tensor_none();
    head_walk(w);
    if (below) stack_bwd(f, stack, w->dh, saved);
    if (to_encoder) stack_bwd(&source, encoder, p->source.dh, &p->encoder);
}

/* ---- scoring
 * ------------------------------------------------------------------------------------- */

static void copy_out(void *ctx, const TokenChunk *c) {
    const PassOut *out = ctx;
    for (int64_t i = 0; i < c->n; i++) {
        int32_t row = c->row[i];
        if (out->value) out->value[row] = c->value[i];
        if (out->logp) out->logp[row] = c->logp[i];
        if (out->entropy) out->entropy[row] = c->entropy ? c->entropy[i] : 0.0;
        if (out->argmax) out->argmax[row] = c->argmax ? c->argmax[i] : -1;
    }
}

static void walk_out(Pass *p, const Flow *f, const Role *role, const Rows *rows,
                     const PassOptions *opt, Tensor h, const PassOut *out) {
    for (int64_t i = 0; i < rows->n_rows; i++) {
        if (out->logp) out->logp[i] = 0.0;
        if (out->entropy) out->entropy[i] = 0.0;
        if (out->argmax) out->argmax[i] = -1;
    }
    PassOut copy = *out;
    TokenLoss loss = {.fn = copy_out,
                      .ctx = &copy,
                      .want_entropy = out->entropy != NULL,
                      .want_argmax = out->argmax != NULL};
    HeadWalk w = walk_of(p, f, role, rows, opt, h, &loss);
    w.want = w.asked = want_of(out);
    head_walk(&w);
}

void pass_score(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                const PassOut *out) {
    Flow f;
    StackSaved saved;
    flow_begin(p, &f, role, rows, opt, want_of(out), false);
    Tensor h = trunk_fwd(p, &f, role, rows, opt, &saved);
    walk_out(p, &f, role, rows, opt, h, out);
}

static void copy_kl(void *ctx, const TokenChunk *c) {
    double *kl = ctx;
    for (int64_t i = 0; i < c->n; i++) kl[c->row[i]] = c->kl[i];
}

void pass_kl(Pass *p, const Role *role, const Role *ref, const Rows *rows, const PassOptions *opt,
             double *kl) {
    Flow f;
    StackSaved saved;
    CHECK(role->base->info.vocab == ref->base->info.vocab, "vocabularies of %lld and %lld",
          (long long)role->base->info.vocab, (long long)ref->base->info.vocab);
    for (int64_t i = 0; i < rows->n_rows; i++) kl[i] = 0.0;
    RowsWant want = {.logp = true};
    flow_begin(p, &f, ref, rows, opt, want, false);
    Tensor h_ref = trunk_fwd(p, &f, ref, rows, opt, &saved);
    p->floor = arena_mark(&p->arena);
    flow_begin(p, &f, role, rows, opt, want, false);
    Tensor h = trunk_fwd(p, &f, role, rows, opt, &saved);
    p->floor = 0;
    TokenLoss loss = {.fn = copy_kl, .ctx = kl};
    HeadWalk w = walk_of(p, &f, role, rows, opt, h, &loss);
    w.want = w.asked = want;
    w.against = ref;
    w.h_against = h_ref;
    head_walk(&w);
}

/* ---- training
 * ------------------------------------------------------------------------------------ */

void pass_train(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                const TokenLoss *loss) {
    Flow f;
    StackSaved saved;
    RowsWant want = {.logp = rows->targets && weight_exists(&role->base->head),
                     .value = role->head != NULL};
    flow_begin(p, &f, role, rows, opt, want, true);
    Tensor h = trunk_fwd(p, &f, role, rows, opt, &saved);
    HeadWalk w = walk_of(p, &f, role, rows, opt, h, loss);
    w.want = w.asked = want;
    walk_back(p, &w, &saved);
}

void pass_forward(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                  const PassOut *out) {
    p->want = want_of(out);
    flow_begin(p, &p->flow, role, rows, opt, p->want, true);
    p->role = *role;
    p->rows = *rows;
    p->opt = *opt;
    p->h = trunk_fwd(p, &p->flow, role, rows, opt, &p->saved);
    walk_out(p, &p->flow, role, rows, opt, p->h, out);
    p->pending = true;
}

static void copy_grad(void *ctx, const TokenChunk *c) {
    const PassGrad *grad = ctx;
    for (int64_t i = 0; i < c->n; i++) {
        int32_t row = c->row[i];
        if (grad->dvalue) c->dvalue[i] = grad->dvalue[row];
        if (grad->dlogp && c->has_target) c->dlogp[i] = grad->dlogp[row];
        if (grad->dentropy && c->has_target) c->dentropy[i] = grad->dentropy[row];
    }
}

void pass_backward(Pass *p, const PassGrad *grad) {
    CHECK(p->pending, "pass_backward without pass_forward");
    p->pending = false;
    PassGrad copy = *grad;
    TokenLoss loss = {.fn = copy_grad, .ctx = &copy, .want_entropy = grad->dentropy != NULL};
    HeadWalk w = walk_of(p, &p->flow, &p->role, &p->rows, &p->opt, p->h, &loss);
    w.want = (RowsWant){.logp = grad->dlogp || grad->dentropy, .value = grad->dvalue != NULL};
    w.asked = p->want;
    walk_back(p, &w, &p->saved);
}

/* ---- planning
 * ------------------------------------------------------------------------------------ */

static void no_loss(void *ctx, const TokenChunk *c) {
    (void)ctx;
    (void)c;
}

/* One sequence of n rows, in one block of memory; each but the first `unasked` is asked about. */
static Rows longest_rows(int64_t n, int64_t unasked, void **memory) {
    int32_t *ids = mem_zalloc((size_t)(4 * n + 2), sizeof *ids);
    static const int64_t seq_id = 0;
    *memory = ids;
    int32_t *positions = ids + n, *targets = positions + n, *start = targets + n;
    bool *valued = (bool *)(start + 2);
    for (int64_t i = 0; i < n; i++) {
        positions[i] = (int32_t)i;
        targets[i] = i < unasked ? ROWS_NO_TARGET : 0;
        valued[i] = i >= unasked;
    }
    start[1] = (int32_t)n;
    return (Rows){.n_rows = n,
                  .n_seqs = 1,
                  .ids = ids,
                  .positions = positions,
                  .targets = targets,
                  .valued = valued,
                  .seq_start = start,
                  .seq_ids = &seq_id};
}

static void measure_one(Pass *p, const Role *role, const Rows *rows, const PassLimits *limits,
                        double *numbers) {
    PassOptions opt = {.dropout = true, .neftune_alpha = 1.0, .recompute = limits->recompute};
    bool language = rows->targets != NULL;
    PassOut out = {.logp = language ? numbers : NULL,
                   .entropy = language ? numbers : NULL,
                   .value = role->head ? numbers : NULL};
    pass_score(p, role, rows, &opt, &out);
    if (!limits->backward) return;
    TokenLoss loss = {.fn = no_loss, .want_entropy = language, .want_argmax = language};
    pass_train(p, role, rows, &opt, &loss);
    PassGrad grad = {.dlogp = out.logp, .dentropy = out.entropy, .dvalue = out.value};
    pass_forward(p, role, rows, &opt, &out);
    pass_backward(p, &grad);
}

/* What `run` needs for one sequence of max_rows, with its first row asked about or not (picking
 * rows takes memory too), and the lists of more. */
typedef void MeasureRun(Pass *p, const Rows *rows, const PassLimits *limits, const Role *role,
                        const Role *ref, double *numbers);

static size_t measure(const Role *role, const Role *ref, const PassLimits *limits,
                      MeasureRun *run) {
    CHECK(limits->max_rows > 0 && limits->max_seqs > 0, "a pass of nothing");
    Dev *dev = role->base->dev;
    Pass *p = pass_new(dev);
    arena_init_measure(&p->arena, "activations");
    CHECK(base_has_encoder(role->base) == (limits->max_source_rows > 0), "%lld rows of a source",
          (long long)limits->max_source_rows);
    void *source_memory = NULL;
    Rows source = longest_rows(limits->max_source_rows, 0, &source_memory);
    source.targets = NULL;
    double *numbers = mem_zalloc((size_t)limits->max_rows, sizeof *numbers);
    dev_set_measure(dev, true);
    for (int64_t unasked = 0; unasked < 2; unasked++) {
        void *memory = NULL;
        Rows rows = longest_rows(limits->max_rows, unasked, &memory);
        if (limits->max_source_rows) rows.source = &source;
        run(p, &rows, limits, role, ref, numbers);
        mem_free(memory);
    }
    dev_set_measure(dev, false);
    /* More sequences take longer lists of them, and nothing else: once for each forward or encoder.
     */
    size_t lists = (size_t)limits->max_seqs * (sizeof(int32_t) + sizeof(int64_t)) + 2 * ARENA_ALIGN;
    if (ref || limits->max_source_rows) lists *= 2;
    size_t bytes = p->arena.peak + lists;
    mem_free(numbers);
    mem_free(source_memory);
    pass_close(p);
    return bytes;
}

static void run_all(Pass *p, const Rows *rows, const PassLimits *limits, const Role *role,
                    const Role *ref, double *numbers) {
    (void)ref;
    if (weight_exists(&role->base->head)) measure_one(p, role, rows, limits, numbers);
    Rows untargeted = *rows;
    untargeted.targets = NULL;
    measure_one(p, role, &untargeted, limits, numbers);
}

static void run_kl(Pass *p, const Rows *rows, const PassLimits *limits, const Role *role,
                   const Role *ref, double *numbers) {
    (void)limits;
    pass_kl(p, role, ref, rows, &(PassOptions){0}, numbers);
}

size_t pass_measure(const Role *role, const PassLimits *limits) {
    return measure(role, NULL, limits, run_all);
}

size_t pass_measure_kl(const Role *role, const Role *ref, const PassLimits *limits) {
    return measure(role, ref, limits, run_kl);
}
