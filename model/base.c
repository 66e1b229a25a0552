#include "model/base.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "core/str.h"
#include "kernels/ops.h"
#include "model/formats/gguf_model.h"
#include "model/formats/import.h"
#include "model/formats/import_quant.h"
#include "model/quantized.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- wiring: sizes and options into the layers
 * --------------------------------------------------- */

static Linear linear_of(int slot, int64_t inputs, int64_t outputs) {
    return (Linear){
        .slot = slot, .inputs = inputs, .outputs = outputs, .n_parts = 1, .part = {outputs}};
}

static Norm norm_of(const ArchConfig *c, int64_t width) {
    return (Norm){
        .args = {.kind = c->spec->norm, .eps = c->norm_eps, .weight_plus = c->spec->norm_plus},
        .width = width};
}

static void wire_qkv(Attention *m, const ArchConfig *c, int64_t layer) {
    int64_t q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    m->n_in = c->qkv == QKV_SEPARATE ? 3 : 1;
    if (c->qkv == QKV_SEPARATE) {
        for (int i = 0; i < 3; i++)
            m->in[i] = linear_of(slot_of(layer, SLOT_Q + i), c->width, i ? kv : q);
        return;
    }
    m->in[0] = linear_of(slot_of(layer, SLOT_Q), c->width, q + 2 * kv);
    m->in[0].n_parts = 3;
    for (int i = 0; i < 3; i++) m->in[0].part[i] = i ? kv : q;
    if (c->qkv == QKV_GROUPS)
        m->in[0].order = (RowOrder){.groups = c->n_kv_heads,
                                    .queries = c->n_heads / c->n_kv_heads,
                                    .head_dim = c->head_dim};
}

/* `index`: of the block in its stack; `layer`: of its slots. */
static void wire_attention(Attention *m, const Base *b, int64_t index, int64_t layer,
                           double rope_scaling) {
    const ArchConfig *c = &b->arch;
    m->layer = layer;
    m->cache = index;
    wire_qkv(m, c, layer);
    m->out = linear_of(slot_of(layer, SLOT_OUT), c->n_heads * c->head_dim, c->width);
    m->clip = c->clip_qkv;
    m->qk_norm = c->qk_norm;
    for (int i = 0; i < 2; i++) m->head_norm[i] = norm_of(c, c->head_dim);
    double scale = c->score_scale;
    if (c->scale_by_layer) scale /= (double)(index + 1);
    m->args = (AttnArgs){.n_heads = c->n_heads,
                         .n_kv_heads = c->n_kv_heads,
                         .head_dim = c->head_dim,
                         .scale = scale,
                         .window = c->slides[index] ? c->window : 0,
                         .soft_cap = c->attn_cap};
    m->dropout = c->attn_dropout;
    m->rope = c->position == POSITION_ROPE;
    m->rope_scaling = rope_scaling;
    m->inv_freq = b->inv_freq;
    m->slopes = b->slopes;
    m->biased = c->position == POSITION_DISTANCE;
}

/* The decoder's attention to the encoder; its slots are those of a layer behind the decoder's. */
static void wire_cross(Block *m, const Base *b, int64_t index, double rope_scaling) {
    m->crosses = true;
    m->dropout[BRANCH_CROSS] = b->arch.attn_resid_dropout;
    wire_attention(&m->cross, b, index, b->arch.n_layers + index, rope_scaling);
    m->cross.cross = m->cross.args.bidirectional = true;
    m->cross.biased = false;
}

static void wire_block(Block *m, const Base *b, int64_t index, int64_t layer, double rope_scaling) {
    const ArchConfig *c = &b->arch;
    m->layer = layer;
    m->wiring = c->wiring;
    m->one_norm = c->one_norm;
    m->one_dropout = c->spec->one_dropout && c->wiring == BLOCK_PARALLEL;
    m->sandwich = c->spec->sandwich;
    for (int i = 0; i < BLOCK_BRANCHES; i++) m->norm[i] = m->post[i] = norm_of(c, c->width);
    m->dropout[BRANCH_ATTENTION] = c->attn_resid_dropout;
    m->dropout[BRANCH_MLP] = c->mlp_resid_dropout;
    wire_attention(&m->attention, b, index, layer, rope_scaling);
    m->mlp.gated = c->gated;
    m->mlp.fused = c->spec->fused_mlp;
    m->mlp.act = c->act;
    m->mlp.dropout = c->mlp_dropout;
    m->mlp.dropout_slot = slot_of(layer, SLOT_MLP_INNER_DROPOUT);
    m->mlp.gate = linear_of(slot_of(layer, SLOT_GATE), c->width, c->mlp_width);
    m->mlp.up = linear_of(slot_of(layer, SLOT_UP), c->width, c->mlp_width);
    if (m->mlp.fused) {
        m->mlp.up = linear_of(slot_of(layer, SLOT_UP), c->width, 2 * c->mlp_width);
        m->mlp.up.n_parts = 2;
        m->mlp.up.part[0] = m->mlp.up.part[1] = c->mlp_width;
    }
    m->mlp.down = linear_of(slot_of(layer, SLOT_DOWN), c->mlp_width, c->width);
}

/* n numbers onto the device. */
static Status table_of(Tensor *out, const Base *b, DType dtype, const double *from, int64_t n) {
    void *p = NULL, *host = mem_alloc((size_t)n * dtype_size(dtype));
    dtype_convert(host, dtype, from, DTYPE_F64, (size_t)n);
    Status st = dev_alloc(&p, b->dev, (size_t)n * dtype_size(dtype));
    if (st == OK) {
        *out = tensor_1d(p, dtype, n);
        dev_upload(b->dev, *out, host);
    }
    mem_free(host);
    return st;
}

/* Frequencies or slopes; *rope_scaling: of cos and sin. */
static Status make_position_tables(Base *b, double *rope_scaling) {
    const ArchConfig *c = &b->arch;
    *rope_scaling = 1.0;
    if (c->position == POSITION_LEARNED || c->position == POSITION_DISTANCE) return OK;
    bool rope = c->position == POSITION_ROPE;
    int64_t n = rope ? c->rotary / 2 : c->n_heads;
    double *host = mem_alloc((size_t)n * sizeof *host);
    if (rope)
        *rope_scaling = arch_rope_frequencies(host, c);
    else
        arch_alibi_slopes(host, c);
    Status st = rope ? table_of(&b->inv_freq, b, DTYPE_F64, host, n)
                     : table_of(&b->slopes, b, dev_real(b->dev), host, n);
    mem_free(host);
    return st;
}

/* Gemma's factor, rounded to the type that the weights are stored in, as transformers does. */
static double embed_scale(const Base *b) {
    if (!b->arch.spec->embed_scaled) return 1.0;
    double scale = sqrt((double)b->arch.width);
    DType dtype = b->trainable ? dev_real(b->dev) : b->dtype;
    if (dtype != DTYPE_BF16 && dtype != DTYPE_F16) return scale;
    uint16_t rounded;
    dtype_convert(&rounded, dtype, &scale, DTYPE_F64, 1);
    dtype_convert(&scale, DTYPE_F64, &rounded, dtype, 1);
    return scale;
}

/* Which bias each distance has. */
static Status make_distances(Stack *m, const Base *b, bool bidirectional) {
    if (b->arch.position != POSITION_DISTANCE) return OK;
    void *p = NULL;
    int64_t n = 2 * b->arch.max_distance + 1;
    int32_t *host = mem_alloc((size_t)n * sizeof *host);
    arch_distance_buckets(host, &b->arch, bidirectional);
    Status st = dev_alloc(&p, b->dev, (size_t)n * sizeof *host);
    if (st == OK) {
        m->distance_ids = tensor_1d(p, DTYPE_I32, n);
        dev_upload(b->dev, m->distance_ids, host);
    }
    mem_free(host);
    return st;
}

/* What a decoder and an encoder have alike. */
static Stack stack_of(const Base *b, int64_t n_layers, int embed_slot, int final_slot) {
    const ArchConfig *c = &b->arch;
    return (Stack){.n_layers = n_layers,
                   .width = c->width,
                   .embed_scale = embed_scale(b),
                   .embed_norm = norm_of(c, c->width),
                   .position_offset = c->spec->position_offset,
                   .embed_dropout = c->embed_dropout,
                   .final_dropout = c->final_dropout,
                   .embed_slot = slot_of(b->slot_layers, embed_slot),
                   .final_slot = slot_of(b->slot_layers, final_slot),
                   .out_scale = 1.0,
                   .final_norm = norm_of(c, c->width),
                   .blocks = mem_zalloc((size_t)n_layers, sizeof(Block))};
}

static Status wire_encoder(Base *b, double rope_scaling) {
    const ArchConfig *c = &b->arch;
    b->encoder =
        stack_of(b, c->n_encoder_layers, SLOT_ENCODER_EMBED_DROPOUT, SLOT_ENCODER_FINAL_DROPOUT);
    for (int64_t l = 0; l < c->n_encoder_layers; l++) {
        wire_block(&b->encoder.blocks[l], b, l, 2 * c->n_layers + l, rope_scaling);
        b->encoder.blocks[l].attention.args.bidirectional = true;
    }
    for (int64_t l = 0; l < c->n_layers; l++) wire_cross(&b->stack.blocks[l], b, l, rope_scaling);
    return make_distances(&b->encoder, b, true);
}

static Status wire(Base *b) {
    const ArchConfig *c = &b->arch;
    double rope_scaling;
    TRY(make_position_tables(b, &rope_scaling));
    b->slot_layers = c->n_layers;
    if (c->n_encoder_layers) b->slot_layers = 2 * c->n_layers + c->n_encoder_layers;
    b->stack = stack_of(b, c->n_layers, SLOT_EMBED_DROPOUT, SLOT_FINAL_DROPOUT);
    if (c->scaled_output) b->stack.out_scale = 1.0 / sqrt((double)c->width);
    if (c->embed_width != c->width) {
        b->stack.project_in =
            linear_of(slot_of(b->slot_layers, SLOT_PROJECT_IN), c->embed_width, c->width);
        b->stack.project_out =
            linear_of(slot_of(b->slot_layers, SLOT_PROJECT_OUT), c->width, c->embed_width);
    }
    for (int64_t l = 0; l < c->n_layers; l++)
        wire_block(&b->stack.blocks[l], b, l, l, rope_scaling);
    TRY(make_distances(&b->stack, b, false));
    return c->n_encoder_layers ? wire_encoder(b, rope_scaling) : OK;
}

static void fill_info(Base *b) {
    const ArchConfig *c = &b->arch;
    b->info = (BaseInfo){.architecture = c->spec->architecture,
                         .vocab = c->vocab,
                         .width = c->embed_width,
                         .n_layers = c->n_layers,
                         .n_encoder_layers = c->n_encoder_layers,
                         .decoder_start_id = c->decoder_start_id,
                         .n_heads = c->n_heads,
                         .n_kv_heads = c->n_kv_heads,
                         .head_dim = c->head_dim,
                         .mlp_width = c->mlp_width,
                         .max_positions = c->max_positions,
                         .position_limit = arch_position_limit(c),
                         .tied = c->tied,
                         .bos_id = c->bos_id,
                         .eos_id = c->eos_id,
                         .pad_id = c->pad_id};
    for (int i = 0; i < b->n_refs; i++) b->info.n_params += b->refs[i].rows * b->refs[i].cols;
}

/* ---- memory
 * -------------------------------------------------------------------------------------- */

/* Norms and biases are small and used as real numbers; matrices are stored as asked for. */
static DType dtype_of(const Base *b, const WeightRef *ref) {
    return b->trainable || ref->rank == 1 ? dev_real(b->dev) : b->dtype;
}

/* As the file has it where that is quantized, else by `quant`. file NULL: there is none. */
static Status alloc_one(Base *b, const WeightRef *r, const QuantOptions *quant,
                        const TensorFile *file) {
    StoredQuant stored = {0};
    if (file) TRY(import_quant_find(&stored, file, import_find(b, file, r), r));
    const Linear *m = base_linear(b, r), head = linear_of(0, r->cols, r->rows);
    if (stored.format.on && !m && r->kind != WEIGHT_HEAD)
        return status_fail(ERR_DATA, "tensor `%s` is quantized; only projections may be", r->name);
    if (stored.format.on)
        return quantized_alloc(r->weight, b->dev, &stored.format, r->name, b->dtype, m ? m : &head);
    if (m && quant->on && !quantized_skips(quant, r->name))
        return quantized_alloc(r->weight, b->dev, quant, r->name, b->dtype, m);
    if (r->kind == WEIGHT_HEAD && quant->head)
        return quantized_alloc_head(r->weight, b->dev, r->name, b->dtype, r->rows, r->cols);
    return weight_alloc(r->weight, b->dev, dtype_of(b, r), r->rank, r->rows, r->cols, b->trainable);
}

static void describe_storage(Base *b) {
    const Quantized *q = NULL;
    for (int i = 0; i < b->n_modules && !q; i++) q = b->modules[i].linear->w.quant;
    DType plain = b->trainable ? dev_real(b->dev) : b->dtype;
    snprintf(b->info.storage, sizeof b->info.storage, "%s%s%s",
             q ? quant_name(q->scales[0].kind) : dtype_name(plain),
             q && q->scales[0].nested ? " with double quantization" : "",
             b->head.quant ? ", head int8" : "");
}

static Status alloc_weights(Base *b, const QuantOptions *quant, const TensorFile *file) {
    CHECK(!quant->on || !b->trainable, "quantized weights do not train");
    for (int i = 0; i < b->n_refs; i++) TRY(alloc_one(b, &b->refs[i], quant, file));
    if (b->arch.tied && b->with_head) b->head = b->stack.embed;
    if (base_has_encoder(b)) b->encoder.embed = b->stack.embed;
    return OK;
}

/* The skeleton without memory for its weights: a file is compared with it first, so that a
 * description alone takes none. Takes `config`. */
static Status base_create(Base **out, Dev *dev, Json *config, const char *where, DType dtype,
                          bool trainable, bool trunk_only, bool takes_source) {
    Base *b = mem_zalloc(1, sizeof *b);
    *out = b;
    b->dev = dev;
    b->config = config;
    b->dtype = dtype == DTYPE_NONE ? DTYPE_F32 : dtype;
    b->trainable = trainable;
    TRY(arch_config_read(&b->arch, config, where));
    if (b->arch.n_encoder_layers && (!takes_source || trunk_only || b->arch.classifier))
        return status_fail(
            ERR_DATA,
            "%s: %s is an encoder-decoder; sft and the verbs score, generate, init, export "
            "and merge of hone take one, nothing else does",
            where, b->arch.spec->architecture);
    b->with_head = !trunk_only && !b->arch.classifier;
    TRY(wire(b));
    import_name_weights(b);
    fill_info(b);
    return OK;
}

void base_close(Base *b) {
    if (!b) return;
    if (b->arch.tied && b->head.quant) weight_free(&b->head, b->dev);
    for (int i = 0; i < b->n_refs; i++) {
        weight_free(b->refs[i].weight, b->dev);
        mem_free(b->refs[i].name);
    }
    for (int i = 0; i < b->n_modules; i++) mem_free(b->modules[i].name);
    dev_free(b->dev, b->inv_freq.data);
    dev_free(b->dev, b->slopes.data);
    mem_free(b->refs);
    mem_free(b->modules);
    dev_free(b->dev, b->stack.distance_ids.data);
    dev_free(b->dev, b->encoder.distance_ids.data);
    mem_free(b->stack.blocks);
    mem_free(b->encoder.blocks);
    mem_free(b->folder);
    json_free(b->config);
    mem_free(b);
}

/* ---- values
 * -------------------------------------------------------------------------------------- */

static void transpose(void *to, const void *from, size_t size, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            memcpy((char *)to + (size_t)(c * rows + r) * size,
                   (const char *)from + (size_t)(r * cols + c) * size, size);
}

void base_file_order(const WeightRef *ref, DType dtype, void *to, const void *ours) {
    size_t size = dtype_size(dtype);
    if (ref->transposed)
        transpose(to, ours, size, ref->rows, ref->cols);
    else
        linear_reorder(&ref->order, to, ours, ref->rows, (size_t)ref->cols * size, true);
}

void base_read_weight(const Base *b, const WeightRef *ref, DType dtype, void *to) {
    if (!ref->transposed && !ref->order.groups) {
        weight_download(ref->weight, b->dev, dtype, to);
        return;
    }
    void *ours = mem_alloc((size_t)(ref->rows * ref->cols) * dtype_size(dtype));
    weight_download(ref->weight, b->dev, dtype, ours);
    base_file_order(ref, dtype, to, ours);
    mem_free(ours);
}

Status base_write_weight(Base *b, const WeightRef *ref, DType dtype, const void *from) {
    if (!ref->transposed && !ref->order.groups)
        return weight_upload(ref->weight, b->dev, dtype, from);
    size_t size = dtype_size(dtype);
    void *ours = mem_alloc((size_t)(ref->rows * ref->cols) * size);
    if (ref->transposed)
        transpose(ours, from, size, ref->cols, ref->rows);
    else
        linear_reorder(&ref->order, ours, from, ref->rows, (size_t)ref->cols * size, false);
    Status st = weight_upload(ref->weight, b->dev, dtype, ours);
    mem_free(ours);
    return st;
}

/* Element i of a weight is a function of (seed, its name, i): no order, any number of threads. */
static void draw_normal(float *to, int64_t n, double std, uint64_t seed, const char *name) {
    uint64_t stream = rng_subsequence(RNG_INIT, rng_hash_name(name) >> 8);
    int64_t blocks = (n + 3) / 4;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < blocks; k++) {
        RngBlock r = rng_block(seed, stream, (uint64_t)k);
        double z[4];
        rng_normal2(z, r.x[0], r.x[1]);
        rng_normal2(z + 2, r.x[2], r.x[3]);
        for (int64_t j = 0; j < 4 && 4 * k + j < n; j++) to[4 * k + j] = (float)(std * z[j]);
    }
}

/* T5's, over initializer_factor: queries take the place of the missing 1/sqrt(D) of scores. */
static double spread_by_inputs(const Base *b, const WeightRef *r) {
    switch (r->kind) {
    case WEIGHT_QUERY:
        return 1.0 / sqrt((double)(r->cols * b->arch.head_dim));
    case WEIGHT_MATRIX:
    case WEIGHT_RESIDUAL:
        return 1.0 / sqrt((double)r->cols);
    case WEIGHT_DISTANCES:
        return 1.0 / sqrt((double)b->arch.width);
    default:
        return 1.0;
    }
}

/* As transformers draws: N(0, initializer_range), norms 1 in use, biases 0, the row of the padding
 * token 0 where the family's embedding knows one; GPT-2 narrows projections into the residual
 * stream by sqrt(2 L). */
static Status init_weight(Base *b, const WeightRef *r, uint64_t seed) {
    int64_t n = r->rows * r->cols;
    double std = b->arch.initializer_range;
    if (r->kind == WEIGHT_RESIDUAL && b->arch.spec->scaled_residual_init)
        std /= sqrt(2.0 * (double)b->arch.n_layers);
    if (b->arch.spec->init_by_inputs) std *= spread_by_inputs(b, r);
    float *host = mem_zalloc((size_t)n, sizeof *host);
    if (r->rank == 2) draw_normal(host, n, std, seed, r->name);
    if (r->kind == WEIGHT_SCALE)
        for (int64_t i = 0; i < n; i++) host[i] = (float)(1.0 - b->arch.spec->norm_plus);
    int32_t pad = b->arch.pad_id;
    if (r->kind == WEIGHT_EMBED && b->arch.spec->embed_pad && pad >= 0 && pad < r->rows)
        memset(host + pad * r->cols, 0, (size_t)r->cols * sizeof *host);
    Status st = weight_upload(r->weight, b->dev, DTYPE_F32, host);
    mem_free(host);
    return st;
}

static Status open_random(Base **out, Dev *dev, const BaseOptions *opt) {
    Json *config = NULL;
    TRY(json_read_file(&config, opt->config));
    TRY(base_create(out, dev, config, opt->config, opt->dtype, opt->trainable, opt->trunk_only,
                    opt->takes_source));
    TRY(alloc_weights(*out, &opt->quant, NULL));
    for (int i = 0; i < (*out)->n_refs; i++) TRY(init_weight(*out, &(*out)->refs[i], opt->seed));
    return OK;
}

/* A missing head means tied weights, unless config.json denies it. */
static bool tied_in_file(const Json *config, const TensorFile *file) {
    return !json_get(config, "tie_word_embeddings") && !import_finds_head(file);
}

/* T5's config.json says whether the output is scaled, and no longer whether the head is tied: that
 * is so when the file has no other head than the embedding. */
static void untie_by_file(Json *config, const TensorFile *file) {
    const char *type = NULL;
    bool tied = true;
    if (json_opt_str(&type, config, "model_type", "") != OK || !str_equal(type, "t5")) return;
    if (json_opt_bool(&tied, config, "tie_word_embeddings", "") != OK) return;
    if (!import_has_other_head(file) && tied) return;
    if (!json_get(config, "scale_decoder_outputs"))
        json_set(config, "scale_decoder_outputs", json_new_bool(tied));
    json_set(config, "tie_word_embeddings", json_new_bool(!import_has_other_head(file)));
}

static Status open_folder(Base **out, Dev *dev, const BaseOptions *opt) {
    char *path = file_join(opt->path, "config.json");
    TensorFile *file = NULL;
    Json *config = NULL;
    Status st = OK;
    const QuantOptions as_stored = {.head = opt->quant.head};
    bool stored = false;
    TRY_GOTO(json_read_file(&config, path), st, out);
    TRY_GOTO(import_quant_config(&stored, config, opt, path), st, out);
    TRY_GOTO(tensor_file_open(&file, opt->path), st, out);
    if (json_is(config, JSON_KIND_OBJECT) && tied_in_file(config, file))
        json_set(config, "tie_word_embeddings", json_new_bool(true));
    if (json_is(config, JSON_KIND_OBJECT)) untie_by_file(config, file);
    st = base_create(out, dev, config, path, opt->dtype, opt->trainable, opt->trunk_only,
                     opt->takes_source);
    config = NULL; /* the base's now */
    TRY_GOTO(st, st, out);
    (*out)->folder = mem_strdup(opt->path);
    TRY_GOTO(import_check(*out, file), st, out);
    TRY_GOTO(alloc_weights(*out, stored ? &as_stored : &opt->quant, file), st, out);
    TRY_GOTO(import_weights(*out, file), st, out);
out:
    json_free(config);
    tensor_file_close(file);
    mem_free(path);
    return st;
}

static Status open_gguf(Base **out, Dev *dev, const BaseOptions *opt) {
    Gguf *g = NULL;
    Json *config = NULL;
    Status st = OK;
    TRY_GOTO(gguf_open(&g, opt->path), st, out);
    TRY_GOTO(gguf_config(&config, g), st, out);
    TRY_GOTO(base_create(out, dev, config, opt->path, opt->dtype, opt->trainable, opt->trunk_only,
                         opt->takes_source),
             st, out);
    (*out)->folder = mem_strdup(opt->path);
    TRY_GOTO(gguf_check(*out, g), st, out);
    TRY_GOTO(alloc_weights(*out, &opt->quant, NULL), st, out);
    st = gguf_import(*out, g);
out:
    gguf_close(g);
    return st;
}

static Status open_path(Base **out, Dev *dev, const BaseOptions *opt) {
    return str_ends(opt->path, ".gguf") ? open_gguf(out, dev, opt) : open_folder(out, dev, opt);
}

Status base_open(Base **out, Dev *dev, const BaseOptions *opt) {
    CHECK(!opt->path != !opt->config, "a base has a path or a config, and not both");
    Base *b = NULL;
    Status st = opt->path ? open_path(&b, dev, opt) : open_random(&b, dev, opt);
    if (st == OK && opt->quant.head && b->arch.tied && b->with_head)
        st = quantized_copy_head(&b->head, b->dev, &b->stack.embed);
    if (st == OK) describe_storage(b);
    if (st == OK) st = dev_check(dev);
    if (st != OK) {
        base_close(b);
        b = NULL;
    }
    *out = b;
    return st;
}

Status base_decoder_start(int32_t *out, const char *path, const char *config) {
    *out = -1;
    if (path && str_ends(path, ".gguf")) return OK;
    char *where = path ? file_join(path, "config.json") : mem_strdup(config);
    ArchConfig *arch = mem_zalloc(1, sizeof *arch);
    Json *json = NULL;
    Status st = json_read_file(&json, where);
    if (st == OK) st = arch_config_read(arch, json, where);
    if (st == OK && arch->n_encoder_layers) *out = arch->decoder_start_id;
    json_free(json);
    mem_free(arch);
    mem_free(where);
    return st;
}

bool base_is_frozen(const Base *b) {
    return !b->trainable;
}

Status base_clone(Base **out, const Base *from, bool trainable) {
    Base *b = NULL;
    if (from->head.quant || (from->n_modules > 0 && from->modules[0].linear->w.quant))
        return status_fail(ERR_CONFIG, "a quantized base is frozen and is not copied; leave "
                                       "ppo.trl_compat out, or take the original checkpoint");
    Status st = base_create(&b, from->dev, json_clone(from->config), "config.json", from->dtype,
                            trainable, !from->with_head, base_has_encoder(from));
    if (st == OK) st = alloc_weights(b, &(QuantOptions){0}, NULL);
    if (st == OK) {
        if (from->folder) b->folder = mem_strdup(from->folder);
        for (int i = 0; i < b->n_refs; i++)
            op_copy(b->dev, b->refs[i].weight->value, from->refs[i].weight->value);
        st = dev_check(b->dev);
    }
    if (st != OK) {
        base_close(b);
        b = NULL;
    }
    *out = b;
    return st;
}

/* ---- what others ask
 * ----------------------------------------------------------------------------- */

const BaseInfo *base_info(const Base *b) {
    return &b->info;
}

void base_params(ParamList *list, Base *b) {
    for (int i = 0; i < b->n_refs; i++)
        if (weight_trains(b->refs[i].weight))
            params_add(list, param_of(b->refs[i].name, b->refs[i].weight, b->refs[i].rank == 2));
}

size_t base_bytes(const Base *b) {
    size_t n = 0;
    if (b->arch.tied && b->head.quant) n += weight_bytes(&b->head);
    for (int i = 0; i < b->n_refs; i++) n += weight_bytes(b->refs[i].weight);
    return n;
}

void base_digest(const Base *b, char hex[65]) {
    Sha256 sha;
    sha256_init(&sha);
    for (int i = 0; i < b->n_refs; i++) {
        const WeightRef *r = &b->refs[i];
        Tensor t = r->weight->value;
        sha256_update(&sha, r->name, strlen(r->name) + 1);
        sha256_update(&sha, t.shape, (size_t)t.rank * sizeof *t.shape);
        const char *dtype = dtype_name(t.dtype);
        sha256_update(&sha, dtype, strlen(dtype) + 1);
        /* Quantized: codes and scales as they lie. */
        size_t bytes = r->weight->quant ? r->weight->quant->bytes : tensor_bytes(t);
        void *host = mem_alloc(bytes);
        dev_download(b->dev, host, tensor_1d(t.data, DTYPE_U8, (int64_t)bytes));
        sha256_update(&sha, host, bytes);
        mem_free(host);
    }
    unsigned char digest[32];
    sha256_final(&sha, digest);
    sha256_to_hex(hex, digest);
}
