/* A role as a GGUF file (model_export_gguf in model.h): gguf_config.c and gguf_import.c the other
 * way round. What llama.cpp has no place for is refused, because it would compute something else.
 */
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "model/formats/export.h"
#include "model/formats/gguf_model.h"
#include "model/formats/import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Writer {
    const Role *role;
    const ArchConfig *c;
    const char *name; /* "llama": before the keys of the architecture */
    GgufMeta meta;
    char key[128];
    char **names; /* [n_refs] */
    GgufItem *items;
    const WeightRef **refs; /* [n_items] NULL: a table of factors */
    const double *factors[2];
    int64_t n_items;
} Writer;

/* ---- what has no place ---- */

static Status refuse(const char *what) {
    return status_fail(ERR_DATA, "llama.cpp has no place for %s; export to hf", what);
}

static double plain_scale(const ArchConfig *c) {
    bool is_27b = c->spec->family == FAMILY_GEMMA2 && c->n_layers == 46;
    return 1.0 / sqrt((double)(is_27b ? c->width / c->n_heads : c->head_dim));
}

static bool slides(const ArchConfig *c) {
    for (int64_t l = 0; l < c->n_layers; l++)
        if (c->slides[l]) return true;
    return false;
}

static Status check_rope(const ArchConfig *c) {
    const RopeConfig *r = &c->rope;
    bool llama = gguf_permutes(c->spec), phi3 = c->spec->family == FAMILY_PHI3;
    if (r->kind == ROPE_DYNAMIC) return refuse("rope_type `dynamic`");
    if (r->kind == ROPE_LLAMA3 && !llama) return refuse("rope_type `llama3` beyond LLaMA");
    if (r->kind == ROPE_LONGROPE && !phi3 && !(llama && r->attention_factor == 1.0))
        return refuse("rope_type `longrope` beyond Phi-3");
    if (r->kind == ROPE_YARN && (r->attention_factor > 0.0 || r->mscale > 0.0 || !r->truncate))
        return refuse("yarn's attention_factor, mscale and truncate");
    return OK;
}

static Status check_model(const Role *role, const ArchConfig *c) {
    Family family = c->spec->family;
    ActKind act;
    if (role->head || !role->base->with_head) return refuse("a reward or value model");
    if (!gguf_architecture(c->spec)) return refuse(c->spec->architecture);
    TRY(arch_act_by_name(&act, c->spec->defaults.act, "the family's row"));
    if (c->act != act) return refuse("another activation than the family's");
    if (c->scale_by_layer) return refuse("scale_attn_by_inverse_layer_idx");
    if (fabs(c->score_scale / plain_scale(c) - 1.0) > 1e-12)
        return refuse("scores that are not scaled by the head's width");
    if (c->qk_norm && family != FAMILY_QWEN3) return refuse("normed heads");
    if (slides(c) && family != FAMILY_GEMMA2 && family != FAMILY_PHI3 && family != FAMILY_MISTRAL)
        return refuse("a sliding window in this family");
    if (family == FAMILY_FALCON &&
        (c->position != POSITION_ROPE || c->wiring != BLOCK_PARALLEL || c->qkv_bias))
        return refuse("a Falcon with ALiBi, biases or one branch after the other");
    if (family == FAMILY_BLOOM && c->alibi_max != 8.0) return refuse("another ALiBi than 8");
    return c->position == POSITION_ROPE ? check_rope(c) : OK;
}

/* ---- metadata ---- */

static const char *key_of(Writer *w, const char *what) {
    snprintf(w->key, sizeof w->key, "%s.%s", w->name, what);
    return w->key;
}

static void put_int(Writer *w, const char *what, int64_t x) {
    gguf_meta_u32(&w->meta, key_of(w, what), x);
}

static void put_num(Writer *w, const char *what, double x) {
    gguf_meta_f32(&w->meta, key_of(w, what), x);
}

/* The numbers of LLAMA_FTYPE. */
static int64_t file_type(GgufStore store) {
    switch (store) {
    case GGUF_STORE_F32:
        return 0;
    case GGUF_STORE_F16:
        return 1;
    case GGUF_STORE_Q8_0:
        return 7;
    case GGUF_STORE_BF16:
        return 32;
    }
    return 0;
}

static void put_sizes(Writer *w, GgufStore store) {
    const ArchConfig *c = w->c;
    gguf_meta_str(&w->meta, "general.architecture", w->name);
    gguf_meta_str(&w->meta, "general.type", "model");
    gguf_meta_u32(&w->meta, "general.file_type", file_type(store));
    gguf_meta_u32(&w->meta, "general.quantization_version", 2);
    put_int(w, "vocab_size", c->vocab);
    put_int(w, "context_length", c->max_positions);
    put_int(w, "embedding_length", c->width);
    put_int(w, "block_count", c->n_layers);
    put_int(w, "feed_forward_length", c->mlp_width);
    put_int(w, "attention.head_count", c->n_heads);
    put_int(w, "attention.head_count_kv", c->n_kv_heads);
    put_num(w,
            c->spec->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                      : "attention.layer_norm_epsilon",
            c->norm_eps);
}

static void put_rope(Writer *w) {
    const RopeConfig *r = &w->c->rope;
    put_int(w, "rope.dimension_count", w->c->rotary);
    put_num(w, "rope.freq_base", r->theta);
    put_int(w, "attention.key_length", w->c->head_dim);
    put_int(w, "attention.value_length", w->c->head_dim);
    if (r->kind == ROPE_LINEAR || r->kind == ROPE_YARN) {
        gguf_meta_str(&w->meta, key_of(w, "rope.scaling.type"), arch_rope_name(r->kind));
        put_num(w, "rope.scaling.factor", r->factor > 0.0 ? r->factor : 1.0);
    }
    if (r->kind == ROPE_YARN) {
        put_int(w, "rope.scaling.original_context_length", (int64_t)r->original_positions);
        put_num(w, "rope.scaling.yarn_beta_fast", r->beta_fast);
        put_num(w, "rope.scaling.yarn_beta_slow", r->beta_slow);
    }
    if (w->c->spec->family != FAMILY_PHI3) return;
    put_int(w, "rope.scaling.original_context_length", (int64_t)r->original_positions);
    if (r->kind != ROPE_LONGROPE) return;
    double inv_freq[ARCH_MAX_FREQUENCIES];
    put_num(w, "rope.scaling.attn_factor", arch_rope_frequencies(inv_freq, w->c));
}

static void put_family(Writer *w) {
    const ArchConfig *c = w->c;
    Family family = c->spec->family;
    if (family == FAMILY_GEMMA2) {
        put_num(w, "attn_logit_softcapping", c->attn_cap);
        put_num(w, "final_logit_softcapping", c->logit_cap);
    }
    if (family == FAMILY_GEMMA2 || family == FAMILY_PHI3 || (family == FAMILY_MISTRAL && slides(c)))
        put_int(w, "attention.sliding_window", slides(c) ? c->window : 0);
    if (family == FAMILY_NEOX || family == FAMILY_STABLELM)
        gguf_meta_bool(&w->meta, key_of(w, "use_parallel_residual"), c->wiring == BLOCK_PARALLEL);
    if (family == FAMILY_FALCON)
        gguf_meta_str(&w->meta, key_of(w, "tensor_data_layout"), "jploski");
    if (family != FAMILY_MPT) return;
    put_num(w, "attention.max_alibi_bias", c->alibi_max);
    if (c->clip_qkv > 0.0) put_num(w, "attention.clamp_kqv", c->clip_qkv);
}

/* ---- tensors ---- */

static void add_item(Writer *w, const char *name, const WeightRef *ref, GgufStore store,
                     int64_t rows, int64_t cols) {
    GgufItem *item = &w->items[w->n_items];
    *item = (GgufItem){.name = name, .store = store, .rank = cols ? 2 : 1, .shape = {rows, cols}};
    w->refs[w->n_items++] = ref;
}

static void add_weights(Writer *w, GgufStore store) {
    for (int i = 0; i < w->role->base->n_refs; i++) {
        const WeightRef *r = &w->role->base->refs[i];
        GgufStore as = store;
        if (store == GGUF_STORE_Q8_0 && r->cols % GGUF_Q8_0_VALUES != 0) as = GGUF_STORE_F16;
        if (r->rank == 1 || r->kind == WEIGHT_POSITIONS) as = GGUF_STORE_F32;
        add_item(w, w->names[i], r, as, r->rows, r->rank == 2 ? r->cols : 0);
    }
}

static void add_factors(Writer *w, const char *name, const double *factors) {
    w->factors[w->factors[0] != NULL] = factors;
    add_item(w, name, NULL, GGUF_STORE_F32, w->c->rotary / 2, 0);
}

/* Row (j D/2 + i) of a head becomes row (2 i + j). */
static void permute(float *to, const float *from, const WeightRef *r, int64_t head_dim) {
    int64_t half = head_dim / 2;
    for (int64_t row = 0; row < r->rows; row++) {
        int64_t head = row / head_dim * head_dim, at = row % head_dim;
        memcpy(to + (head + at % half * 2 + at / half) * r->cols, from + row * r->cols,
               (size_t)r->cols * sizeof *to);
    }
}

static bool is_query_or_key(const char *name) {
    return strstr(name, ".attn_q.") || strstr(name, ".attn_k.");
}

static Status fill_item(void *ctx, int64_t i, float *dst) {
    const Writer *w = ctx;
    const WeightRef *r = w->refs[i];
    const ArchSpec *spec = w->c->spec;
    if (!r) {
        const double *factors = w->factors[i > 0 && !w->refs[i - 1]];
        for (int64_t k = 0; k < w->items[i].shape[0]; k++) dst[k] = (float)factors[k];
        return OK;
    }
    if (gguf_permutes(spec) && is_query_or_key(w->items[i].name)) {
        float *ours = mem_alloc((size_t)(r->rows * r->cols) * sizeof *ours);
        export_weight(w->role, r, ours);
        permute(dst, ours, r, w->c->head_dim);
        mem_free(ours);
        return OK;
    }
    export_weight(w->role, r, dst);
    if (r->kind == WEIGHT_SCALE)
        for (int64_t k = 0; k < r->rows; k++) dst[k] += (float)spec->norm_plus;
    return OK;
}

/* What each frequency is divided by. */
static void stretches(double *to, const ArchConfig *c) {
    arch_rope_frequencies(to, c);
    for (int64_t i = 0; i < c->rotary / 2; i++)
        to[i] = pow(c->rope.theta, -2.0 * (double)i / (double)c->rotary) / to[i];
}

/* Phi-3's second list, for texts beyond the length of the training. */
static Status long_factors(double *to, const Base *b) {
    Json *scaling = json_get(b->config, "rope_scaling");
    if (!json_is(scaling, JSON_KIND_OBJECT)) scaling = json_get(b->config, "rope_parameters");
    const Json *list = json_get(scaling, "long_factor");
    for (int64_t i = 0; i < b->arch.rotary / 2; i++) {
        if (!json_is_num(json_at(list, i)))
            return status_fail(ERR_DATA, "config.json: long_factor must hold %lld numbers",
                               (long long)b->arch.rotary / 2);
        to[i] = json_num(json_at(list, i));
    }
    return OK;
}

static Status write(Writer *w, const char *path, GgufStore store, const GgufMeta *tokenizer) {
    const Base *b = w->role->base;
    double near[ARCH_MAX_FREQUENCIES], far[ARCH_MAX_FREQUENCIES];
    put_sizes(w, store);
    if (w->c->position == POSITION_ROPE) put_rope(w);
    put_family(w);
    gguf_meta_append(&w->meta, tokenizer);
    add_weights(w, store);
    if (w->c->position == POSITION_ROPE &&
        (w->c->rope.kind == ROPE_LLAMA3 || w->c->rope.kind == ROPE_LONGROPE)) {
        bool phi3 = w->c->spec->family == FAMILY_PHI3;
        stretches(near, w->c);
        if (phi3) TRY(long_factors(far, b));
        if (phi3) add_factors(w, "rope_factors_long.weight", far);
        add_factors(w, phi3 ? "rope_factors_short.weight" : "rope_freqs.weight", near);
    }
    if (slides(w->c) && w->c->spec->family != FAMILY_GEMMA2)
        log_warn("%s: llama.cpp does not look at this family's sliding window of %lld", path,
                 (long long)w->c->window);
    return gguf_save(path, &(GgufSpec){.meta = &w->meta,
                                       .items = w->items,
                                       .n_items = w->n_items,
                                       .fill = fill_item,
                                       .ctx = w});
}

Status model_export_gguf(const Role *role, const char *path, GgufStore store,
                         const GgufMeta *tokenizer) {
    const Base *b = role->base;
    TRY(check_model(role, &b->arch));
    Writer w = {.role = role, .c = &b->arch, .name = gguf_architecture(b->arch.spec)};
    w.names = import_gguf_names(b);
    w.items = mem_zalloc((size_t)b->n_refs + 2, sizeof *w.items);
    w.refs = mem_zalloc((size_t)b->n_refs + 2, sizeof *w.refs);
    Status st = write(&w, path, store, tokenizer);
    for (int i = 0; i < b->n_refs; i++) mem_free(w.names[i]);
    mem_free(w.names);
    mem_free(w.items);
    mem_free(w.refs);
    gguf_meta_free(&w.meta);
    return st;
}
