#include "model/generate.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/rng.h"
#include "kernels/ops.h"
#include "model/head.h"
#include "model/kvcache.h"
#include "model/stack.h"

#include <string.h>

/* Prompts are read in passes of about this many rows, or of one prompt where that is longer. */
#define PROMPT_ROWS 1024

/* A place in the batch: one running request. */
typedef struct GenRow {
    const GenRequest *request; /* NULL: free */
    int64_t index;             /* of the request */
    int64_t n;                 /* new tokens so far */
    int32_t *tokens;           /* [max_context] */
    double *logp;              /* [max_context] */
} GenRow;

/* Host arrays of one step; what of them a step uses depends on its kind. */
typedef struct GenStage {
    int64_t n_rows, n_out; /* token rows; rows that get a new token (one a running request) */
    int32_t *place;        /* [n_out] which GenRow */
    int32_t *ids, *positions, *slots; /* [n_rows] */
    int32_t *start;                   /* [n_out+1] prompts: first row of each */
    int32_t *last;                    /* [n_out] prompts: last row of each */
    int32_t *lens, *table;            /* [n_out], [n_out*row_pages] decode */
    /* Beside an encoder, `ids` to `start` of a prompt step are the encoder's; the decoder's: */
    int32_t *decoder_ids, *decoder_slots, *decoder_start; /* [n_out], [n_out], [n_out+1] */
    int32_t *source_lens, *source_table;                  /* as lens and table, of the encoder's */
    double *temperature, *top_p;                          /* [n_out] */
    int32_t *top_k, *token;                               /* [n_out] */
    float *u;                                             /* [n_out] */
    double *logp; /* [n_out] or the entropy; and as real before that: */
    void *real;
} GenStage;

struct Generator {
    Dev *dev;
    Role role;
    GenLimits limits;
    int64_t prompt_rows; /* rows of a prompt pass */
    void *memory;
    Arena arena;
    size_t scratch; /* arena mark: what a step allocates starts here */
    KvCache cache;
    KvCache source; /* keys of cross-attention, of an encoder-decoder */
    Tensor *packed; /* [slots * LINEAR_PARTS] */
    GenRow *rows;   /* [max_batch] */
    int64_t n_running;
    bool plain_logp;            /* of the call at hand */
    double entropy_temperature; /* of the call at hand; 0: none is asked for */
    GenStage stage;
};

/* ---- packed weights
 * ------------------------------------------------------------------------------ */

static Tensor panel_like(Arena *arena, Tensor w) {
    Tensor t = tensor_2d(NULL, w.dtype, w.shape[0], w.shape[1]);
    t.data = arena_alloc(arena, panel_bytes(w.dtype, w.shape[0], w.shape[1]));
    t.layout = LAYOUT_PANEL;
    return t;
}

static void pack_linear(Generator *g, const Linear *m, bool trains) {
    if (weight_trains(&m->w) != trains || m->w.quant) return;
    int64_t first = 0;
    for (int p = 0; p < m->n_parts; p++) {
        Tensor part = tensor_rows(m->w.value, first, m->part[p]);
        op_pack(g->dev, g->packed[m->slot * LINEAR_PARTS + p], part);
        first += m->part[p];
    }
}

/* Copies of the weights that train, or of those that do not; codes lie in panels as they are. */
static void pack_weights(Generator *g, bool trains) {
    const Base *b = g->role.base;
    for (int i = 0; i < b->n_modules; i++) pack_linear(g, b->modules[i].linear, trains);
    if (weight_trains(&b->head) == trains && !b->head.quant)
        op_pack(g->dev, g->packed[slot_of(b->slot_layers, SLOT_HEAD) * LINEAR_PARTS],
                b->head.value);
}

static void alloc_packed(Generator *g) {
    const Base *b = g->role.base;
    g->packed = mem_zalloc((size_t)base_slots(b) * LINEAR_PARTS, sizeof *g->packed);
    for (int i = 0; i < b->n_modules; i++) {
        const Linear *m = b->modules[i].linear;
        for (int p = 0; p < m->n_parts && !m->w.quant; p++)
            g->packed[m->slot * LINEAR_PARTS + p] =
                panel_like(&g->arena, tensor_2d(NULL, m->w.value.dtype, m->part[p], m->inputs));
    }
    if (!b->head.quant)
        g->packed[slot_of(b->slot_layers, SLOT_HEAD) * LINEAR_PARTS] =
            panel_like(&g->arena, b->head.value);
}

/* ---- memory
 * -------------------------------------------------------------------------------------- */

static void alloc_stage(Generator *g) {
    GenStage *s = &g->stage;
    size_t batch = (size_t)g->limits.max_batch;
    size_t rows = (size_t)g->prompt_rows > batch ? (size_t)g->prompt_rows : batch;
    s->place = mem_zalloc(batch, sizeof *s->place);
    s->ids = mem_zalloc(rows, sizeof *s->ids);
    s->positions = mem_zalloc(rows, sizeof *s->positions);
    s->slots = mem_zalloc(rows, sizeof *s->slots);
    s->start = mem_zalloc(batch + 1, sizeof *s->start);
    s->last = mem_zalloc(batch, sizeof *s->last);
    s->lens = mem_zalloc(batch, sizeof *s->lens);
    s->table = mem_zalloc(batch * (size_t)g->cache.row_pages, sizeof *s->table);
    s->decoder_ids = mem_zalloc(batch, sizeof *s->decoder_ids);
    s->decoder_slots = mem_zalloc(batch, sizeof *s->decoder_slots);
    s->decoder_start = mem_zalloc(batch + 1, sizeof *s->decoder_start);
    s->source_lens = mem_zalloc(batch, sizeof *s->source_lens);
    s->source_table = mem_zalloc(batch * (size_t)g->cache.row_pages, sizeof *s->source_table);
    s->temperature = mem_zalloc(batch, sizeof *s->temperature);
    s->top_p = mem_zalloc(batch, sizeof *s->top_p);
    s->top_k = mem_zalloc(batch, sizeof *s->top_k);
    s->token = mem_zalloc(batch, sizeof *s->token);
    s->u = mem_zalloc(batch, sizeof *s->u);
    s->logp = mem_zalloc(batch, sizeof *s->logp);
    s->real = mem_zalloc(batch, sizeof(double));
}

static void free_stage(GenStage *s) {
    void *all[] = {s->place,       s->ids,           s->positions,
                   s->slots,       s->start,         s->last,
                   s->lens,        s->table,         s->temperature,
                   s->top_p,       s->top_k,         s->token,
                   s->u,           s->logp,          s->real,
                   s->decoder_ids, s->decoder_slots, s->decoder_start,
                   s->source_lens, s->source_table};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

static Generator *generator_new(const Role *role, const GenLimits *limits) {
    CHECK(limits->max_batch > 0 && limits->max_context > 0, "a generator of nothing");
    CHECK(weight_exists(&role->base->head), "text is asked of a base without lm_head");
    Generator *g = mem_zalloc(1, sizeof *g);
    g->dev = role->base->dev;
    g->role = *role;
    g->limits = *limits;
    g->prompt_rows = limits->max_context > PROMPT_ROWS ? limits->max_context : PROMPT_ROWS;
    return g;
}

/* Everything that stays for the generator's life, in its arena and on the host. */
static void generator_build(Generator *g) {
    const BaseInfo *info = &g->role.base->info;
    alloc_packed(g);
    kvcache_init(&g->cache, g->dev, &g->arena, info->n_layers, info->n_kv_heads * info->head_dim,
                 g->limits.max_batch, g->limits.max_context);
    if (base_has_encoder(g->role.base))
        kvcache_init(&g->source, g->dev, &g->arena, info->n_layers,
                     info->n_kv_heads * info->head_dim, g->limits.max_batch, g->limits.max_context);
    alloc_stage(g);
    g->rows = mem_zalloc((size_t)g->limits.max_batch, sizeof *g->rows);
    for (int64_t i = 0; i < g->limits.max_batch; i++) {
        g->rows[i].tokens = mem_zalloc((size_t)g->limits.max_context, sizeof *g->rows[i].tokens);
        g->rows[i].logp = mem_zalloc((size_t)g->limits.max_context, sizeof *g->rows[i].logp);
    }
    g->scratch = arena_mark(&g->arena);
}

void generator_close(Generator *g) {
    if (!g) return;
    for (int64_t i = 0; g->rows && i < g->limits.max_batch; i++) {
        mem_free(g->rows[i].tokens);
        mem_free(g->rows[i].logp);
    }
    mem_free(g->rows);
    free_stage(&g->stage);
    kvcache_free(&g->cache);
    kvcache_free(&g->source);
    mem_free(g->packed);
    dev_free(g->dev, g->memory);
    mem_free(g);
}

/* ---- one step on the device
 * ---------------------------------------------------------------------- */

static Tensor upload(Generator *g, DType dtype, int64_t n, const void *from) {
    Tensor t = arena_1d(&g->arena, dtype, n);
    dev_upload(g->dev, t, from);
    return t;
}

static void download(Generator *g, double *to, Tensor from) {
    dev_download(g->dev, g->stage.real, from);
    dtype_convert(to, DTYPE_F64, g->stage.real, from.dtype, (size_t)g->stage.n_out);
}

/* Logits of h[n_out,C], and into the stage: a token a row and its log-prob, or the entropy. */
/* Some row's log-probs are not those of temperature 1 (greedy rows' are). */
static bool is_tempered(const GenStage *s) {
    for (int64_t i = 0; i < s->n_out; i++)
        if (s->temperature[i] != 0.0 && s->temperature[i] != 1.0) return true;
    return false;
}

static void sample(Generator *g, const Flow *f, Tensor h) {
    GenStage *s = &g->stage;
    Tensor logits = arena_2d(&g->arena, dev_real(g->dev), s->n_out, g->role.base->info.vocab);
    head_logits(f, g->role.base, logits, h);
    double cap = g->role.base->arch.logit_cap;
    Tensor token = arena_1d(&g->arena, DTYPE_I32, s->n_out);
    Tensor logp = arena_1d(&g->arena, dev_real(g->dev), s->n_out);
    Tensor lse = arena_1d(&g->arena, dev_real(g->dev), s->n_out);
    Tensor entropy = arena_1d(&g->arena, dev_real(g->dev), s->n_out);
    if (g->entropy_temperature > 0.0) {
        dev_upload(g->dev, token, s->token); /* any: an entropy asks for none */
        op_logp_fwd(g->dev, logp, entropy, lse, tensor_none(), logits, token,
                    (LogpArgs){.inv_temperature = 1.0 / g->entropy_temperature, .soft_cap = cap});
        download(g, s->logp, entropy);
        return;
    }
    op_sample(g->dev, token, logp, logits,
              (SampleArgs){.temperature = s->temperature,
                           .top_p = s->top_p,
                           .top_k = s->top_k,
                           .u = s->u,
                           .soft_cap = cap});
    if (g->plain_logp && is_tempered(s))
        op_logp_fwd(g->dev, logp, tensor_none(), lse, tensor_none(), logits, token,
                    (LogpArgs){.inv_temperature = 1.0, .soft_cap = cap});
    dev_download(g->dev, s->token, token);
    download(g, s->logp, logp);
}

static Flow step_flow(Generator *g, int64_t n, const int32_t *ids, const int32_t *positions) {
    return (Flow){.dev = g->dev,
                  .arena = &g->arena,
                  .adapter = g->role.adapter,
                  .packed = g->packed,
                  .rows = {.n = n,
                           .ids = upload(g, DTYPE_I32, n, ids),
                           .positions = upload(g, DTYPE_I32, n, positions)}};
}

/* The caches as a decode step reads them. */
static void read_cache(Generator *g, KvBatch *kv, const int32_t *lens, const int32_t *table) {
    int64_t n = g->stage.n_out, pages = kv->cache->row_pages;
    kv->lens = upload(g, DTYPE_I32, n, lens);
    kv->table = tensor_view_2d(upload(g, DTYPE_I32, n * pages, table), n, pages);
}

/* Output of the stack [n_out,C]. Prompts: the rows attend to themselves, as in training, and fill
 * the caches. Decode: one row a request, which reads its cache. Otherwise the same blocks. */
static Tensor step_of_decoder(Generator *g, bool prompts) {
    GenStage *s = &g->stage;
    KvBatch kv = {.cache = &g->cache, .slots = upload(g, DTYPE_I32, s->n_rows, s->slots)};
    Flow f = step_flow(g, s->n_rows, s->ids, s->positions);
    f.kv = &kv;
    FlowAsked last = {.rows = {.n = s->n_out}};
    if (prompts) {
        f.rows.seq_start = upload(g, DTYPE_I32, s->n_out + 1, s->start);
        last.index = upload(g, DTYPE_I32, s->n_out, s->last);
        f.asked = &last;
    } else {
        read_cache(g, &kv, s->lens, s->table);
    }
    Flow end = flow_of_asked(&f);
    Tensor h = flow_rows_by(&end, g->role.base->info.width);
    stack_fwd(&f, &g->role.base->stack, h, NULL, NULL);
    return h;
}

/* The prompts go through the encoder, and keys and values of its output into the caches of
 * cross-attention, while the decoder reads its start token. */
static Tensor step_of_prompts_beside(Generator *g) {
    GenStage *s = &g->stage;
    const Base *b = g->role.base;
    Flow reads = step_flow(g, s->n_rows, s->ids, s->positions);
    reads.rows.seq_start = upload(g, DTYPE_I32, s->n_out + 1, s->start);
    FlowMemory memory = {.rows = reads.rows, .h = flow_rows_by(&reads, b->encoder.width)};
    stack_fwd(&reads, &b->encoder, memory.h, NULL, NULL);

    KvBatch kv = {.cache = &g->cache, .slots = upload(g, DTYPE_I32, s->n_out, s->decoder_slots)};
    KvBatch source = {.cache = &g->source, .slots = upload(g, DTYPE_I32, s->n_rows, s->slots)};
    memset(s->lens, 0, (size_t)s->n_out * sizeof *s->lens); /* every start stands at position 0 */
    Flow f = step_flow(g, s->n_out, s->decoder_ids, s->lens);
    f.rows.seq_start = upload(g, DTYPE_I32, s->n_out + 1, s->decoder_start);
    f.kv = &kv;
    f.memory = &memory;
    f.memory_kv = &source;
    Tensor h = flow_rows_by(&f, b->info.width);
    stack_fwd(&f, &b->stack, h, NULL, NULL);
    return h;
}

static Tensor step_of_decode_beside(Generator *g) {
    GenStage *s = &g->stage;
    KvBatch kv = {.cache = &g->cache, .slots = upload(g, DTYPE_I32, s->n_rows, s->slots)};
    KvBatch source = {.cache = &g->source};
    read_cache(g, &kv, s->lens, s->table);
    read_cache(g, &source, s->source_lens, s->source_table);
    Flow f = step_flow(g, s->n_rows, s->ids, s->positions);
    f.kv = &kv;
    f.memory_kv = &source;
    Tensor h = flow_rows_by(&f, g->role.base->info.width);
    stack_fwd(&f, &g->role.base->stack, h, NULL, NULL);
    return h;
}

static void run_step(Generator *g, bool prompts) {
    arena_release(&g->arena, g->scratch);
    Tensor h;
    if (!base_has_encoder(g->role.base))
        h = step_of_decoder(g, prompts);
    else
        h = prompts ? step_of_prompts_beside(g) : step_of_decode_beside(g);
    Flow f = {.dev = g->dev, .arena = &g->arena, .packed = g->packed};
    sample(g, &f, h);
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

size_t generator_measure(const Role *role, const GenLimits *limits) {
    Generator *g = generator_new(role, limits);
    arena_init_measure(&g->arena, "generation");
    dev_set_measure(g->dev, true);
    generator_build(g);
    g->stage.n_rows = g->prompt_rows;
    g->stage.n_out = limits->max_batch < g->prompt_rows ? limits->max_batch : g->prompt_rows;
    run_step(g, true);
    g->stage.n_rows = g->stage.n_out = limits->max_batch;
    run_step(g, false);
    dev_set_measure(g->dev, false);
    size_t bytes = g->arena.peak;
    generator_close(g);
    return bytes;
}

Status generator_open(Generator **out, const Role *role, const GenLimits *limits) {
    size_t bytes = generator_measure(role, limits);
    Generator *g = generator_new(role, limits);
    Status st = dev_alloc(&g->memory, g->dev, bytes);
    if (st == OK) {
        arena_init(&g->arena, "generation", g->memory, bytes);
        generator_build(g);
        pack_weights(g, false);
        st = dev_check(g->dev);
    }
    *out = g;
    if (st != OK) {
        generator_close(g);
        *out = NULL;
    }
    return st;
}

/* ---- requests
 * ------------------------------------------------------------------------------------ */

static Status check_requests(const Generator *g, const GenRequest *requests, int64_t n) {
    const BaseInfo *info = &g->role.base->info;
    for (int64_t i = 0; i < n; i++) {
        const GenRequest *r = &requests[i];
        int64_t context = r->n_prompt + r->max_new_tokens;
        CHECK(r->n_prompt >= 1 && r->max_new_tokens >= 0, "request %lld: %lld + %lld tokens",
              (long long)i, (long long)r->n_prompt, (long long)r->max_new_tokens);
        if (context > g->limits.max_context)
            return status_fail(ERR_DATA,
                               "request %lld: a prompt of %lld tokens and %lld new ones do not fit "
                               "into %lld; shorten one of them",
                               (long long)i, (long long)r->n_prompt, (long long)r->max_new_tokens,
                               (long long)g->limits.max_context);
        if (info->position_limit > 0 && context > info->position_limit)
            return status_fail(
                ERR_DATA,
                "request %lld: a prompt of %lld tokens and %lld new ones are more than "
                "the %lld positions that the model knows",
                (long long)i, (long long)r->n_prompt, (long long)r->max_new_tokens,
                (long long)info->position_limit);
        for (int64_t t = 0; t < r->n_prompt; t++)
            CHECK(r->prompt[t] >= 0 && r->prompt[t] < info->vocab, "request %lld: id %d",
                  (long long)i, r->prompt[t]);
    }
    return OK;
}

/* The sampling settings of output row `out`, and the number that chooses its token. */
static void stage_sampling(GenStage *s, int64_t out, const GenRow *row, const GenOptions *opt) {
    const GenRequest *r = row->request;
    RngBlock b = rng_block(opt->seed, rng_subsequence(RNG_SAMPLE, (uint64_t)r->row_id),
                           rng_offset(opt->step, (uint64_t)row->n));
    s->temperature[out] = r->temperature;
    s->top_p[out] = r->top_p;
    s->top_k[out] = r->top_k;
    s->u[out] = rng_uniform(b.x[0]);
}

static void stage_row(GenStage *s, const KvCache *cache, int64_t place, int32_t id,
                      int64_t position) {
    s->ids[s->n_rows] = id;
    s->positions[s->n_rows] = (int32_t)position;
    s->slots[s->n_rows++] = kvcache_slot(cache, place, position);
}

/* The decoder's first row beside an encoder. */
static void stage_start(Generator *g, int64_t place) {
    GenStage *s = &g->stage;
    kvcache_grow(&g->cache, place, 1);
    s->decoder_ids[s->n_out] = g->role.base->info.decoder_start_id;
    s->decoder_slots[s->n_out] = kvcache_slot(&g->cache, place, 0);
    s->decoder_start[s->n_out + 1] = (int32_t)s->n_out + 1;
}

static void stage_prompt(Generator *g, int64_t place, const GenOptions *opt) {
    GenStage *s = &g->stage;
    const GenRequest *r = g->rows[place].request;
    KvCache *reads = base_has_encoder(g->role.base) ? &g->source : &g->cache;
    kvcache_grow(reads, place, r->n_prompt);
    for (int64_t t = 0; t < r->n_prompt; t++) stage_row(s, reads, place, r->prompt[t], t);
    if (reads == &g->source) stage_start(g, place);
    s->last[s->n_out] = (int32_t)s->n_rows - 1;
    s->place[s->n_out] = (int32_t)place;
    stage_sampling(s, s->n_out, &g->rows[place], opt);
    s->start[++s->n_out] = (int32_t)s->n_rows;
}

static void stage_table(int32_t *to, const KvCache *cache, int64_t place) {
    memcpy(to, cache->table + place * cache->row_pages, (size_t)cache->row_pages * sizeof *to);
}

static void stage_decode(Generator *g, int64_t place, const GenOptions *opt) {
    GenStage *s = &g->stage;
    const GenRow *row = &g->rows[place];
    bool beside = base_has_encoder(g->role.base);
    int64_t before = beside ? 1 : row->request->n_prompt; /* rows of the decoder before new ones */
    int64_t position = before + row->n - 1, pages = g->cache.row_pages;
    kvcache_grow(&g->cache, place, position + 1);
    stage_row(s, &g->cache, place, row->tokens[row->n - 1], position);
    stage_table(s->table + s->n_out * pages, &g->cache, place);
    s->lens[s->n_out] = (int32_t)position + 1;
    if (beside) {
        stage_table(s->source_table + s->n_out * pages, &g->source, place);
        s->source_lens[s->n_out] = (int32_t)row->request->n_prompt;
    }
    s->place[s->n_out] = (int32_t)place;
    stage_sampling(s, s->n_out++, row, opt);
}

/* ---- running
 * ------------------------------------------------------------------------------------- */

static void free_place(Generator *g, int64_t place) {
    kvcache_drop(&g->cache, place);
    if (base_has_encoder(g->role.base)) kvcache_drop(&g->source, place);
}

static void finish(Generator *g, int64_t place, bool stopped, const GenOptions *opt) {
    GenRow *row = &g->rows[place];
    GenResult result = {.tokens = row->tokens, .logp = row->logp, .n = row->n, .stopped = stopped};
    if (opt->on_done) opt->on_done(opt->ctx, row->index, &result);
    free_place(g, place);
    row->request = NULL;
    g->n_running--;
}

static bool is_stop(const GenOptions *opt, int32_t token) {
    for (int i = 0; i < opt->n_stop_ids; i++)
        if (opt->stop_ids[i] == token) return true;
    return false;
}

/* What the step sampled goes to the rows; finished ones leave. */
static void take_tokens(Generator *g, const GenOptions *opt) {
    const GenStage *s = &g->stage;
    for (int64_t i = 0; i < s->n_out; i++) {
        GenRow *row = &g->rows[s->place[i]];
        row->tokens[row->n] = s->token[i];
        row->logp[row->n++] = s->logp[i];
        if (opt->on_token) opt->on_token(opt->ctx, row->index, s->token[i], s->logp[i]);
        bool stopped = is_stop(opt, s->token[i]);
        if (stopped || row->n == row->request->max_new_tokens) finish(g, s->place[i], stopped, opt);
    }
}

/* New requests into free places, as many prompts as a pass holds. True when some await their pass.
 */
static bool admit(Generator *g, const GenRequest *requests, int64_t n, int64_t *next,
                  const GenOptions *opt) {
    GenStage *s = &g->stage;
    s->n_rows = s->n_out = 0;
    for (int64_t place = 0; place < g->limits.max_batch && *next < n; place++) {
        if (g->rows[place].request) continue;
        const GenRequest *r = &requests[*next];
        if (s->n_rows + r->n_prompt > g->prompt_rows) break;
        GenRow *row = &g->rows[place];
        row->request = r;
        row->index = (*next)++;
        row->n = 0;
        g->n_running++;
        if (r->max_new_tokens > 0)
            stage_prompt(g, place, opt);
        else
            finish(g, place, false, opt);
    }
    return s->n_out > 0;
}

static bool decode(Generator *g, const GenOptions *opt) {
    g->stage.n_rows = g->stage.n_out = 0;
    for (int64_t place = 0; place < g->limits.max_batch; place++)
        if (g->rows[place].request) stage_decode(g, place, opt);
    return g->stage.n_out > 0;
}

/* Unfinished rows are forgotten. */
static void drop_all(Generator *g) {
    for (int64_t place = 0; place < g->limits.max_batch; place++) {
        if (!g->rows[place].request) continue;
        free_place(g, place);
        g->rows[place].request = NULL;
    }
    g->n_running = 0;
}

static Status run_all(Generator *g, const GenRequest *requests, int64_t n, const GenOptions *opt) {
    for (int64_t next = 0; next < n || g->n_running > 0;) {
        if (opt->should_stop && opt->should_stop(opt->ctx))
            return status_fail(ERR_STOPPED, "stopped while generating");
        bool prompts = admit(g, requests, n, &next, opt);
        if (!prompts && !decode(g, opt)) continue;
        run_step(g, prompts);
        TRY(dev_check(g->dev));
        take_tokens(g, opt);
    }
    return OK;
}

Status generate(Generator *g, const GenRequest *requests, int64_t n, const GenOptions *opt) {
    TRY(check_requests(g, requests, n));
    g->plain_logp = opt->plain_logp;
    pack_weights(g, true);
    Status st = run_all(g, requests, n, opt);
    drop_all(g);
    return st;
}

/* ---- entropies behind a text
 * ---------------------------------------------------------------------- */

/* The step after the prompts': a PAD behind each of them, whose key nobody reads. */
static void stage_pads(Generator *g) {
    GenStage *s = &g->stage;
    int64_t pages = g->cache.row_pages;
    s->n_rows = 0;
    for (int64_t i = 0; i < s->n_out; i++) {
        int64_t place = s->place[i], n = g->rows[place].request->n_prompt;
        kvcache_grow(&g->cache, place, n + 1);
        stage_row(s, &g->cache, place, 0, n);
        stage_table(s->table + i * pages, &g->cache, place);
        s->lens[i] = (int32_t)n;
    }
}

Status generate_pad_entropy(Generator *g, const GenRequest *requests, int64_t n, double temperature,
                            double *entropy, double *pad_entropy) {
    const GenOptions none = {0};
    CHECK(!base_has_encoder(g->role.base), "entropies behind a text, of an encoder-decoder");
    TRY(check_requests(g, requests, n));
    g->entropy_temperature = temperature;
    pack_weights(g, true);
    Status st = OK;
    for (int64_t next = 0, first = 0; next < n && st == OK; first = next) {
        admit(g, requests, n, &next, &none);
        run_step(g, true);
        memcpy(entropy + first, g->stage.logp, (size_t)(next - first) * sizeof *entropy);
        stage_pads(g);
        run_step(g, false);
        memcpy(pad_entropy + first, g->stage.logp, (size_t)(next - first) * sizeof *entropy);
        drop_all(g);
        st = dev_check(g->dev);
    }
    g->entropy_temperature = 0.0;
    return st;
}
