#include "model/spec.h"

#include "core/str.h"

#include <math.h>
#include <string.h>

/* ---- which family
 * -------------------------------------------------------------------------------- */

static Status find_spec(ArchConfig *c, const Json *config, const char *where) {
    const Json *names = json_get(config, "architectures");
    const char *name = NULL, *type = NULL;
    if (json_is(json_at(names, 0), JSON_KIND_STRING)) name = json_str(json_at(names, 0), NULL);
    TRY(json_opt_str(&type, config, "model_type", where));
    for (const ArchSpec *s = arch_specs; s->architecture; s++) {
        bool causal =
            name ? str_equal(name, s->architecture) || (s->alias && str_equal(name, s->alias))
                 : str_equal(type, s->model_type);
        bool classifier = name && str_equal(name, s->classifier);
        if (!causal && !classifier) continue;
        c->spec = s;
        c->classifier = classifier;
        return OK;
    }
    if (!name && !type)
        return status_fail(ERR_DATA,
                           "%s: neither `architectures` nor `model_type` is there; one "
                           "must name the model's family",
                           where);
    Str known = {0};
    for (const ArchSpec *s = arch_specs; s->architecture; s++)
        str_printf(&known, "%s%s", s > arch_specs ? ", " : "", s->architecture);
    Status st = status_fail(ERR_DATA, "%s: architecture `%s` is not known; known are %s", where,
                            name ? name : type, str_text(&known));
    str_free(&known);
    return st;
}

/* ---- sizes
 * --------------------------------------------------------------------------------------- */

/* The spelling that config.json has, or the usual one. */
static const char *spelled(const ArchKey key, const Json *config) {
    return key[1] && !json_get(config, key[0]) && json_get(config, key[1]) ? key[1] : key[0];
}

/* A size between 1 and 2^31-1, so that products of two fit into int64. */
static Status read_size(int64_t *out, int64_t missing, const Json *config, const ArchKey keys,
                        const char *where) {
    const char *key = spelled(keys, config);
    *out = missing;
    if (!key) return OK;
    TRY(json_opt_int(out, config, key, where));
    if (*out == missing && missing == 0) return OK;
    if (*out < 1 || *out > INT32_MAX)
        return status_fail(ERR_DATA, "%s: `%s` is %lld; it must be at least 1", where, key,
                           (long long)*out);
    return OK;
}

static Status read_rate(double *out, double missing, const Json *config, const ArchKey keys,
                        const char *where) {
    const char *key = spelled(keys, config);
    *out = key ? missing : 0.0;
    if (!key) return OK;
    TRY(json_opt_num(out, config, key, where));
    if (!(*out >= 0.0 && *out < 1.0))
        return status_fail(ERR_DATA, "%s: `%s` is %g; a dropout lies in [0,1)", where, key, *out);
    return OK;
}

static Status read_sizes(ArchConfig *c, const Json *config, const char *where) {
    const ArchKeys *k = &c->spec->keys;
    const ArchDefaults *d = &c->spec->defaults;
    TRY(read_size(&c->vocab, d->vocab, config, k->vocab, where));
    TRY(read_size(&c->width, d->width, config, k->width, where));
    TRY(read_size(&c->mlp_width, d->mlp_width, config, k->mlp_width, where));
    TRY(read_size(&c->n_layers, d->n_layers, config, k->n_layers, where));
    TRY(read_size(&c->n_heads, d->n_heads, config, k->n_heads, where));
    TRY(read_size(&c->n_kv_heads, d->n_kv_heads, config, k->n_kv_heads, where));
    TRY(read_size(&c->head_dim, d->head_dim, config, k->head_dim, where));
    TRY(read_size(&c->max_positions, d->max_positions, config, k->max_positions, where));
    if (!c->mlp_width) c->mlp_width = 4 * c->width;
    if (!c->n_kv_heads) c->n_kv_heads = c->n_heads;
    if (!c->head_dim) {
        if (c->width % c->n_heads)
            return status_fail(ERR_DATA, "%s: `%s` %lld is no multiple of `%s` %lld", where,
                               k->width[0], (long long)c->width, k->n_heads[0],
                               (long long)c->n_heads);
        c->head_dim = c->width / c->n_heads;
    }
    if (c->n_heads % c->n_kv_heads)
        return status_fail(ERR_DATA, "%s: `%s` %lld is no multiple of `%s` %lld", where,
                           k->n_heads[0], (long long)c->n_heads,
                           k->n_kv_heads[0] ? k->n_kv_heads[0] : "n_kv_heads",
                           (long long)c->n_kv_heads);
    if (c->n_layers > ARCH_MAX_LAYERS)
        return status_fail(ERR_DATA, "%s: `%s` is %lld; at most %d layers are supported", where,
                           k->n_layers[0], (long long)c->n_layers, ARCH_MAX_LAYERS);
    return OK;
}

Status arch_act_by_name(ActKind *out, const char *name, const char *where) {
    static const struct {
        const char *name;
        ActKind kind;
    } acts[] = {
        {"silu", ACT_SILU},           {"swish", ACT_SILU}, {"gelu", ACT_GELU},
        {"gelu_new", ACT_GELU_TANH},  {"relu", ACT_RELU},  {"gelu_pytorch_tanh", ACT_GELU_TANH},
        {"gelu_fast", ACT_GELU_TANH},
    };
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!str_equal(name, acts[i].name)) continue;
        *out = acts[i].kind;
        return OK;
    }
    return status_fail(ERR_DATA,
                       "%s: activation `%s` is not known; known are silu, gelu, gelu_new, "
                       "gelu_pytorch_tanh, gelu_fast, relu",
                       where, name);
}

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

/* `layer_types` of version 5 names each layer's kind. */
static Status read_layer_types(ArchConfig *c, const Json *config, const char *where) {
    Json *types = NULL;
    TRY(json_opt(&types, config, "layer_types", JSON_KIND_ARRAY, where));
    if (!types) return OK;
    if (json_len(types) != c->n_layers)
        return status_fail(ERR_DATA, "%s: layer_types has %lld entries for %lld layers", where,
                           (long long)json_len(types), (long long)c->n_layers);
    for (int64_t l = 0; l < c->n_layers; l++) {
        const Json *t = json_at(types, l);
        const char *kind = json_is(t, JSON_KIND_STRING) ? json_str(t, NULL) : "";
        c->slides[l] = str_equal(kind, "sliding_attention");
        if (!c->slides[l] && !str_equal(kind, "full_attention"))
            return status_fail(ERR_DATA,
                               "%s: layer_types[%lld] is `%s`; known are full_attention, "
                               "sliding_attention",
                               where, (long long)l, kind);
    }
    return OK;
}

static Status read_window(ArchConfig *c, const Json *config, const char *where) {
    WindowRule rule = c->spec->window;
    if (rule == WINDOW_NONE) return OK;
    bool used = rule != WINDOW_UPPER;
    TRY(json_opt_bool(&used, config, "use_sliding_window", where));
    if (!used) return OK;
    const Json *w = json_get(config, "sliding_window");
    if (json_is(w, JSON_KIND_NULL)) return OK;
    c->window = c->spec->defaults.window;
    TRY(json_opt_int(&c->window, config, "sliding_window", where));
    if (!w && c->window == 0) return OK;
    if (c->window < 1)
        return status_fail(ERR_DATA, "%s: `sliding_window` is %lld; it must be at least 1 or null",
                           where, (long long)c->window);
    int64_t from = 28;
    if (rule == WINDOW_UPPER) TRY(json_opt_int(&from, config, "max_window_layers", where));
    for (int64_t l = 0; l < c->n_layers; l++)
        c->slides[l] = rule == WINDOW_ALL || (rule == WINDOW_UPPER && l >= from) ||
                       (rule == WINDOW_EVEN && l % 2 == 0);
    return read_layer_types(c, config, where);
}

/* An option that is not supported must have its usual value. */
static Status must_be(bool usual, const Json *config, const char *key, const char *where) {
    bool value = usual;
    TRY(json_opt_bool(&value, config, key, where));
    if (value == usual) return OK;
    return status_fail(ERR_DATA, "%s: `%s` %s is not supported", where, key,
                       value ? "true" : "false");
}

static Status must_be_missing(const Json *config, const char *key, const char *where) {
    const Json *j = json_get(config, key);
    if (!j || json_is(j, JSON_KIND_NULL)) return OK;
    return status_fail(ERR_DATA, "%s: `%s` is not supported; it must be null", where, key);
}

/* One key for a block whose branches stand one after the other or side by side. */
static Status read_parallel(ArchConfig *c, const Json *config, const char *key, const char *where) {
    bool parallel = c->wiring == BLOCK_PARALLEL;
    TRY(json_opt_bool(&parallel, config, key, where));
    c->wiring = parallel ? BLOCK_PARALLEL : BLOCK_SEQUENTIAL;
    c->one_norm = parallel && c->spec->one_norm;
    return OK;
}

static Status read_llama(ArchConfig *c, const Json *config, const char *where) {
    TRY(json_opt_bool(&c->qkv_bias, config, "attention_bias", where));
    c->out_bias = c->qkv_bias;
    return json_opt_bool(&c->mlp_bias, config, "mlp_bias", where);
}

static Status read_gemma(ArchConfig *c, const Json *config, const char *where) {
    TRY(json_opt_bool(&c->qkv_bias, config, "attention_bias", where));
    c->out_bias = c->qkv_bias;
    TRY(must_be(false, config, "use_bidirectional_attention", where));
    if (c->spec->family == FAMILY_GEMMA) {
        /* The first files say `gelu` and mean its tanh form; later ones say it in another key. */
        const char *act = NULL;
        TRY(json_opt_str(&act, config, "hidden_activation", where));
        if (act) return arch_act_by_name(&c->act, act, where);
        if (c->act == ACT_GELU) c->act = ACT_GELU_TANH;
        return OK;
    }
    double scalar = 256.0;
    TRY(json_opt_num(&scalar, config, "query_pre_attn_scalar", where));
    if (!(scalar > 0.0))
        return status_fail(ERR_DATA, "%s: `query_pre_attn_scalar` is %g; it must be above 0", where,
                           scalar);
    c->score_scale = 1.0 / sqrt(scalar);
    const Json *cap = json_get(config, "attn_logit_softcapping");
    c->attn_cap = json_is(cap, JSON_KIND_NULL) ? 0.0 : 50.0;
    TRY(json_opt_num(&c->attn_cap, config, "attn_logit_softcapping", where));
    cap = json_get(config, "final_logit_softcapping");
    c->logit_cap = json_is(cap, JSON_KIND_NULL) ? 0.0 : 30.0;
    TRY(json_opt_num(&c->logit_cap, config, "final_logit_softcapping", where));
    if (!(c->attn_cap >= 0.0 && c->logit_cap >= 0.0))
        return status_fail(ERR_DATA, "%s: a soft cap is below 0", where);
    return OK;
}

static Status read_opt(ArchConfig *c, const Json *config, const char *where) {
    bool before = true, without = false;
    double layer_drop = 0.0;
    TRY(json_opt_num(&layer_drop, config, "layerdrop", where));
    if (layer_drop != 0.0)
        return status_fail(ERR_DATA, "%s: `layerdrop` %g is not supported; it must be 0", where,
                           layer_drop);
    TRY(json_opt_bool(&before, config, "do_layer_norm_before", where));
    TRY(json_opt_bool(&without, config, "_remove_final_layer_norm", where));
    TRY(must_be(true, config, "enable_bias", where));
    TRY(must_be(true, config, "layer_norm_elementwise_affine", where));
    c->wiring = before ? BLOCK_SEQUENTIAL : BLOCK_POST_NORM;
    c->final_norm = before && !without;
    return read_size(&c->embed_width, c->width, config, (ArchKey){"word_embed_proj_dim"}, where);
}

static Status read_mpt(ArchConfig *c, const Json *config, const char *where) {
    int64_t ratio = 4;
    double fraction = 1.0;
    TRY(must_be(true, config, "no_bias", where));
    TRY(must_be_missing(config, "logit_scale", where));
    TRY(json_opt_int(&ratio, config, "expansion_ratio", where));
    TRY(json_opt_num(&fraction, config, "embedding_fraction", where));
    if (ratio != 4 || fraction != 1.0)
        return status_fail(ERR_DATA,
                           "%s: `expansion_ratio` %lld, `embedding_fraction` %g: only 4 and 1 are "
                           "supported",
                           where, (long long)ratio, fraction);
    Json *attn = NULL;
    TRY(json_opt(&attn, config, "attn_config", JSON_KIND_OBJECT, where));
    if (!attn) return OK;
    const char *type = "multihead_attention";
    TRY(json_opt_str(&type, attn, "attn_type", where));
    if (!str_equal(type, "multihead_attention"))
        return status_fail(ERR_DATA, "%s: `attn_type` `%s` is not supported", where, type);
    TRY(must_be(true, attn, "alibi", where));
    TRY(must_be(false, attn, "prefix_lm", where));
    TRY(must_be(false, attn, "qk_ln", where));
    TRY(json_opt_num(&c->alibi_max, attn, "alibi_bias_max", where));
    TRY(json_opt_num(&c->clip_qkv, attn, "clip_qkv", where));
    TRY(json_opt_num(&c->score_scale, attn, "softmax_scale", where));
    TRY(read_rate(&c->attn_dropout, 0.0, attn, (ArchKey){"attn_pdrop"}, where));
    c->attn_resid_dropout = c->mlp_resid_dropout = c->attn_dropout;
    if (!(c->clip_qkv >= 0.0 && c->score_scale > 0.0 && c->alibi_max > 0.0))
        return status_fail(ERR_DATA,
                           "%s: attn_config: clip_qkv, softmax_scale and alibi_bias_max must be "
                           "above 0",
                           where);
    return OK;
}

static Status read_falcon(ArchConfig *c, const Json *config, const char *where) {
    bool modern = false, multi_query = true, alibi = false, bias = false;
    TRY(json_opt_bool(&modern, config, "new_decoder_architecture", where));
    TRY(json_opt_bool(&multi_query, config, "multi_query", where));
    TRY(json_opt_bool(&alibi, config, "alibi", where));
    TRY(json_opt_bool(&bias, config, "bias", where));
    TRY(read_parallel(c, config, "parallel_attn", where));
    c->qkv_bias = c->out_bias = c->mlp_bias = bias;
    if (modern) {
        int64_t norms = 2;
        TRY(json_opt_int(&norms, config, "num_ln_in_parallel_attn", where));
        TRY(must_be(true, config, "parallel_attn", where));
        c->one_norm = norms == 1;
    } else {
        c->n_kv_heads = multi_query ? 1 : c->n_heads;
    }
    c->qkv = modern || !multi_query ? QKV_GROUPS : QKV_BLOCKS;
    c->position = alibi ? POSITION_ALIBI : POSITION_ROPE;
    c->alibi_scaled = alibi;
    if (c->wiring == BLOCK_SEQUENTIAL) c->attn_resid_dropout = c->attn_dropout;
    if (!alibi) c->attn_dropout = 0.0; /* rotary heads have none */
    return OK;
}

/* `relu`, or `gated-` and its name; gated-gelu means the tanh form. */
static Status read_t5_mlp(ArchConfig *c, const Json *config, const char *where) {
    const char *word = "relu";
    TRY(json_opt_str(&word, config, "feed_forward_proj", where));
    c->gated = str_starts(word, "gated-");
    if (str_equal(word, "gated-gelu")) word = "gated-gelu_new";
    return arch_act_by_name(&c->act, c->gated ? word + strlen("gated-") : word, where);
}

static Status read_t5(ArchConfig *c, const Json *config, const char *where) {
    const Json *layers = json_get(config, "num_decoder_layers");
    TRY(read_size(&c->n_encoder_layers, 6, config, (ArchKey){"num_layers"}, where));
    if (!layers || json_is(layers, JSON_KIND_NULL)) c->n_layers = c->n_encoder_layers;
    if (c->n_encoder_layers > ARCH_MAX_LAYERS || c->n_layers > ARCH_MAX_LAYERS)
        return status_fail(ERR_DATA, "%s: at most %d layers are supported", where, ARCH_MAX_LAYERS);
    TRY(read_size(&c->buckets, 32, config, (ArchKey){"relative_attention_num_buckets"}, where));
    TRY(read_size(&c->max_distance, 128, config, (ArchKey){"relative_attention_max_distance"},
                  where));
    if (c->buckets < 4 || c->buckets % 2 || c->max_distance <= c->buckets / 2 ||
        c->max_distance > 1 << 16)
        return status_fail(ERR_DATA,
                           "%s: %lld buckets for distances up to %lld; an even number from 4 on is "
                           "needed, and distances from half of it to 65536",
                           where, (long long)c->buckets, (long long)c->max_distance);
    TRY(read_t5_mlp(c, config, where));
    c->score_scale = 1.0;
    c->mlp_dropout = c->final_dropout = c->mlp_resid_dropout;
    c->scaled_output = c->tied;
    TRY(json_opt_bool(&c->scaled_output, config, "scale_decoder_outputs", where));
    return OK;
}

/* What a family has beyond the common keys. */
static Status read_family(ArchConfig *c, const Json *config, const char *where) {
    bool scaled = true;
    switch (c->spec->family) {
    case FAMILY_LLAMA:
        return read_llama(c, config, where);
    case FAMILY_QWEN3:
        TRY(json_opt_bool(&c->qkv_bias, config, "attention_bias", where));
        c->out_bias = c->qkv_bias;
        return OK;
    case FAMILY_GEMMA:
    case FAMILY_GEMMA2:
        return read_gemma(c, config, where);
    case FAMILY_PHI:
        return json_opt_bool(&c->qk_norm, config, "qk_layernorm", where);
    case FAMILY_STABLELM:
        TRY(json_opt_bool(&c->qkv_bias, config, "use_qkv_bias", where));
        TRY(must_be(false, config, "qk_layernorm", where));
        return read_parallel(c, config, "use_parallel_residual", where);
    case FAMILY_GPT2:
        TRY(must_be(false, config, "add_cross_attention", where));
        TRY(json_opt_bool(&scaled, config, "scale_attn_weights", where));
        if (!scaled) c->score_scale = 1.0;
        return json_opt_bool(&c->scale_by_layer, config, "scale_attn_by_inverse_layer_idx", where);
    case FAMILY_NEOX:
        TRY(json_opt_bool(&c->qkv_bias, config, "attention_bias", where));
        c->out_bias = c->qkv_bias;
        return read_parallel(c, config, "use_parallel_residual", where);
    case FAMILY_OPT:
        return read_opt(c, config, where);
    case FAMILY_MPT:
        return read_mpt(c, config, where);
    case FAMILY_FALCON:
        return read_falcon(c, config, where);
    case FAMILY_BLOOM:
        return must_be(false, config, "apply_residual_connection_post_layernorm", where);
    case FAMILY_T5:
        return read_t5(c, config, where);
    case FAMILY_MISTRAL:
    case FAMILY_QWEN2:
    case FAMILY_PHI3:
        return OK;
    }
    return OK;
}

/* A token id, or the first of a list of them (Llama 3 has several ends). */
static Status read_token(int32_t *out, int32_t missing, const Json *config, const char *key,
                         const char *where) {
    *out = missing;
    const Json *j = json_get(config, key);
    if (json_is(j, JSON_KIND_ARRAY)) j = json_at(j, 0);
    if (!j) return OK;
    if (json_is(j, JSON_KIND_NULL)) {
        *out = -1;
        return OK;
    }
    if (!json_is(j, JSON_KIND_INT) || json_int(j) < -1 || json_int(j) > INT32_MAX)
        return status_fail(ERR_DATA, "%s: `%s` is no token id", where, key);
    *out = (int32_t)json_int(j);
    return OK;
}

static Status read_options(ArchConfig *c, const Json *config, const char *where) {
    const ArchSpec *s = c->spec;
    c->tied = s->defaults.tied;
    TRY(json_opt_bool(&c->tied, config, "tie_word_embeddings", where));
    c->norm_eps = s->defaults.norm_eps;
    if (s->keys.norm_eps[0]) TRY(json_opt_num(&c->norm_eps, config, s->keys.norm_eps[0], where));
    c->initializer_range = s->init_by_inputs ? 1.0 : 0.02;
    TRY(json_opt_num(&c->initializer_range, config, s->keys.initializer_range[0], where));
    if (!(c->norm_eps > 0.0 && c->initializer_range >= 0.0))
        return status_fail(ERR_DATA, "%s: the norms' epsilon %g and `%s` %g must be above 0", where,
                           c->norm_eps, s->keys.initializer_range[0], c->initializer_range);
    const char *act = s->defaults.act;
    if (s->keys.act[0]) TRY(json_opt_str(&act, config, s->keys.act[0], where));
    TRY(arch_act_by_name(&c->act, act, where));
    const ArchKeys *k = &s->keys;
    double rate = s->defaults.dropout;
    TRY(read_rate(&c->embed_dropout, rate, config, k->embed_dropout, where));
    TRY(read_rate(&c->attn_dropout, s->defaults.attn_dropout, config, k->attn_dropout, where));
    TRY(read_rate(&c->attn_resid_dropout, rate, config, k->attn_resid_dropout, where));
    TRY(read_rate(&c->mlp_resid_dropout, rate, config, k->mlp_resid_dropout, where));
    c->wiring = s->wiring;
    c->one_norm = s->one_norm && s->wiring == BLOCK_PARALLEL;
    c->qk_norm = s->qk_norm;
    c->gated = s->gated;
    c->final_norm = true;
    c->embed_width = c->width;
    c->qkv = s->qkv;
    c->position = s->position;
    c->alibi_max = 8.0;
    c->score_scale = 1.0 / sqrt((double)c->head_dim);
    c->qkv_bias = s->qkv_bias;
    c->out_bias = s->out_bias;
    c->mlp_bias = s->mlp_bias;
    c->head_bias = s->head_bias;
    TRY(read_family(c, config, where));
    TRY(read_token(&c->bos_id, s->defaults.bos_id, config, "bos_token_id", where));
    TRY(read_token(&c->eos_id, s->defaults.eos_id, config, "eos_token_id", where));
    TRY(read_token(&c->pad_id, s->defaults.pad_id, config, "pad_token_id", where));
    c->decoder_start_id = -1;
    if (c->n_encoder_layers == 0) return OK;
    return read_token(&c->decoder_start_id, c->pad_id >= 0 ? c->pad_id : 0, config,
                      "decoder_start_token_id", where);
}

Status arch_config_read(ArchConfig *out, const Json *config, const char *where) {
    *out = (ArchConfig){0};
    if (!json_is(config, JSON_KIND_OBJECT))
        return status_fail(ERR_DATA, "%s: the file must hold a JSON object", where);
    TRY(find_spec(out, config, where));
    TRY(read_sizes(out, config, where));
    TRY(read_options(out, config, where));
    TRY(read_window(out, config, where));
    if (out->position == POSITION_ROPE) TRY(arch_rope_read(out, config, where));
    return OK;
}
