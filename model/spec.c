#include "model/spec.h"

#include "core/str.h"

#include <math.h>
#include <string.h>

#define LLAMA_KEYS                                                                       \
    {                                                                                    \
        .vocab = "vocab_size", .width = "hidden_size", .mlp_width = "intermediate_size", \
        .n_layers = "num_hidden_layers", .n_heads = "num_attention_heads",               \
        .n_kv_heads = "num_key_value_heads", .head_dim = "head_dim",                     \
        .max_positions = "max_position_embeddings", .act = "hidden_act",                 \
        .norm_eps = "rms_norm_eps", .attn_dropout = "attention_dropout",                 \
    }

static const ArchSpec specs[] = {
    {.family = FAMILY_LLAMA,
     .architecture = "LlamaForCausalLM",
     .classifier = "LlamaForSequenceClassification",
     .model_type = "llama",
     .norm = NORM_RMS,
     .gated = true,
     .position = POSITION_ROPE,
     .keys = LLAMA_KEYS,
     .defaults = {.vocab = 32000,
                  .width = 4096,
                  .mlp_width = 11008,
                  .n_layers = 32,
                  .n_heads = 32,
                  .max_positions = 2048,
                  .act = "silu",
                  .norm_eps = 1e-6,
                  .bos_id = 1,
                  .eos_id = 2,
                  .pad_id = -1},
     .lora_targets = {"q_proj", "v_proj"}},
    {.family = FAMILY_MISTRAL,
     .architecture = "MistralForCausalLM",
     .classifier = "MistralForSequenceClassification",
     .model_type = "mistral",
     .norm = NORM_RMS,
     .gated = true,
     .position = POSITION_ROPE,
     .window = WINDOW_ALL,
     .keys = LLAMA_KEYS,
     .defaults = {.vocab = 32000,
                  .width = 4096,
                  .mlp_width = 14336,
                  .n_layers = 32,
                  .n_heads = 32,
                  .n_kv_heads = 8,
                  .max_positions = 131072,
                  .window = 4096,
                  .act = "silu",
                  .norm_eps = 1e-6,
                  .bos_id = 1,
                  .eos_id = 2,
                  .pad_id = -1},
     .lora_targets = {"q_proj", "v_proj"}},
    {.family = FAMILY_QWEN2,
     .architecture = "Qwen2ForCausalLM",
     .classifier = "Qwen2ForSequenceClassification",
     .model_type = "qwen2",
     .norm = NORM_RMS,
     .gated = true,
     .position = POSITION_ROPE,
     .window = WINDOW_UPPER,
     .qkv_bias = true,
     .keys = LLAMA_KEYS,
     .defaults = {.vocab = 151936,
                  .width = 4096,
                  .mlp_width = 22016,
                  .n_layers = 32,
                  .n_heads = 32,
                  .n_kv_heads = 32,
                  .max_positions = 32768,
                  .window = 4096,
                  .act = "silu",
                  .norm_eps = 1e-6,
                  .bos_id = -1,
                  .eos_id = -1,
                  .pad_id = -1},
     .lora_targets = {"q_proj", "v_proj"}},
    {.family = FAMILY_GPT2,
     .architecture = "GPT2LMHeadModel",
     .classifier = "GPT2ForSequenceClassification",
     .model_type = "gpt2",
     .norm = NORM_LAYER,
     .norm_bias = true,
     .position = POSITION_LEARNED,
     .fused_qkv = true,
     .conv1d = true,
     .qkv_bias = true,
     .out_bias = true,
     .mlp_bias = true,
     .scaled_residual_init = true,
     .keys = {.vocab = "vocab_size",
              .width = "n_embd",
              .mlp_width = "n_inner",
              .n_layers = "n_layer",
              .n_heads = "n_head",
              .max_positions = "n_positions",
              .act = "activation_function",
              .norm_eps = "layer_norm_epsilon",
              .embed_dropout = "embd_pdrop",
              .attn_dropout = "attn_pdrop",
              .resid_dropout = "resid_pdrop"},
     .defaults = {.vocab = 50257,
                  .width = 768,
                  .n_layers = 12,
                  .n_heads = 12,
                  .max_positions = 1024,
                  .act = "gelu_new",
                  .norm_eps = 1e-5,
                  .dropout = 0.1,
                  .tied = true,
                  .bos_id = 50256,
                  .eos_id = 50256,
                  .pad_id = -1},
     .lora_targets = {"c_attn"}},
};
#define N_SPECS (sizeof specs / sizeof *specs)

/* ---- which family
 * -------------------------------------------------------------------------------- */

static Status find_spec(ArchConfig *c, const Json *config, const char *where) {
    const Json *names = json_get(config, "architectures");
    const char *name = NULL, *type = NULL;
    if (json_is(json_at(names, 0), JSON_KIND_STRING)) name = json_str(json_at(names, 0), NULL);
    TRY(json_opt_str(&type, config, "model_type", where));
    for (size_t i = 0; i < N_SPECS; i++) {
        bool causal =
            name ? str_equal(name, specs[i].architecture) : str_equal(type, specs[i].model_type);
        bool classifier = name && str_equal(name, specs[i].classifier);
        if (!causal && !classifier) continue;
        c->spec = &specs[i];
        c->classifier = classifier;
        return OK;
    }
    if (!name && !type)
        return status_fail(ERR_DATA,
                           "%s: neither `architectures` nor `model_type` is there; one "
                           "must name the model's family",
                           where);
    Str known = {0};
    for (size_t i = 0; i < N_SPECS; i++)
        str_printf(&known, "%s%s", i ? ", " : "", specs[i].architecture);
    Status st = status_fail(ERR_DATA, "%s: architecture `%s` is not known; known are %s", where,
                            name ? name : type, str_text(&known));
    str_free(&known);
    return st;
}

/* ---- sizes
 * --------------------------------------------------------------------------------------- */

/* A size between 1 and 2^31-1, so that products of two fit into int64. */
static Status read_size(int64_t *out, int64_t missing, const Json *config, const char *key,
                        const char *where) {
    *out = missing;
    if (!key) return OK;
    TRY(json_opt_int(out, config, key, where));
    if (*out == missing && missing == 0) return OK;
    if (*out < 1 || *out > INT32_MAX)
        return status_fail(ERR_DATA, "%s: `%s` is %lld; it must be at least 1", where, key,
                           (long long)*out);
    return OK;
}

static Status read_rate(double *out, double missing, const Json *config, const char *key,
                        const char *where) {
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
    TRY(read_size(&c->head_dim, 0, config, k->head_dim, where));
    TRY(read_size(&c->max_positions, d->max_positions, config, k->max_positions, where));
    if (!c->mlp_width) c->mlp_width = 4 * c->width;
    if (!c->n_kv_heads) c->n_kv_heads = c->n_heads;
    if (!c->head_dim) {
        if (c->width % c->n_heads)
            return status_fail(ERR_DATA, "%s: `%s` %lld is no multiple of `%s` %lld", where,
                               k->width, (long long)c->width, k->n_heads, (long long)c->n_heads);
        c->head_dim = c->width / c->n_heads;
    }
    if (c->n_heads % c->n_kv_heads)
        return status_fail(ERR_DATA, "%s: `%s` %lld is no multiple of `%s` %lld", where, k->n_heads,
                           (long long)c->n_heads, k->n_kv_heads ? k->n_kv_heads : "n_kv_heads",
                           (long long)c->n_kv_heads);
    if (c->n_layers > ARCH_MAX_LAYERS)
        return status_fail(ERR_DATA, "%s: `%s` is %lld; at most %d layers are supported", where,
                           k->n_layers, (long long)c->n_layers, ARCH_MAX_LAYERS);
    if (c->spec->position == POSITION_ROPE && c->head_dim % 2)
        return status_fail(ERR_DATA, "%s: a head is %lld wide; rotary positions need an even width",
                           where, (long long)c->head_dim);
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

/* ---- rotary positions
 * ---------------------------------------------------------------------------- */

static Status rope_kind(RopeConfig *r, const Json *scaling, const char *where) {
    const char *kind = NULL;
    TRY(json_opt_str(&kind, scaling, "type", where)); /* the old spelling */
    TRY(json_opt_str(&kind, scaling, "rope_type", where));
    if (!kind || str_equal(kind, "default"))
        r->kind = ROPE_DEFAULT;
    else if (str_equal(kind, "linear"))
        r->kind = ROPE_LINEAR;
    else if (str_equal(kind, "llama3"))
        r->kind = ROPE_LLAMA3;
    else if (str_equal(kind, "yarn"))
        r->kind = ROPE_YARN;
    else
        return status_fail(ERR_DATA,
                           "%s: rope_type `%s` is not supported; supported are default, "
                           "linear, llama3, yarn",
                           where, kind);
    return OK;
}

static Status read_rope(ArchConfig *c, const Json *config, const char *where) {
    RopeConfig *r = &c->rope;
    *r = (RopeConfig){.theta = 10000.0,
                      .factor = 1.0,
                      .low_freq = 1.0,
                      .high_freq = 4.0,
                      .beta_fast = 32.0,
                      .beta_slow = 1.0,
                      .truncate = true};
    /* Version 5 keeps all in rope_parameters; rope_scaling, where it is not null, replaces it. */
    Json *scaling = NULL;
    TRY(json_opt(&scaling, config, "rope_parameters", JSON_KIND_OBJECT, where));
    TRY(json_opt(&scaling, config, "rope_scaling", JSON_KIND_OBJECT, where));
    TRY(json_opt_num(&r->theta, config, "rope_theta", where));
    TRY(rope_kind(r, scaling, where));
    r->original_positions = (double)c->max_positions;
    if (scaling) {
        TRY(json_opt_num(&r->theta, scaling, "rope_theta", where));
        TRY(json_opt_num(&r->factor, scaling, "factor", where));
        TRY(json_opt_num(&r->low_freq, scaling, "low_freq_factor", where));
        TRY(json_opt_num(&r->high_freq, scaling, "high_freq_factor", where));
        TRY(json_opt_num(&r->original_positions, scaling, "original_max_position_embeddings",
                         where));
        TRY(json_opt_num(&r->beta_fast, scaling, "beta_fast", where));
        TRY(json_opt_num(&r->beta_slow, scaling, "beta_slow", where));
        TRY(json_opt_num(&r->mscale, scaling, "mscale", where));
        TRY(json_opt_num(&r->mscale_all, scaling, "mscale_all_dim", where));
        TRY(json_opt_num(&r->attention_factor, scaling, "attention_factor", where));
        TRY(json_opt_bool(&r->truncate, scaling, "truncate", where));
        double partial = 1.0;
        TRY(json_opt_num(&partial, scaling, "partial_rotary_factor", where));
        if (partial != 1.0)
            return status_fail(ERR_DATA, "%s: partial_rotary_factor %g is not supported for `%s`",
                               where, partial, c->spec->model_type);
    }
    TRY(json_opt_num(&r->original_positions, config, "original_max_position_embeddings", where));
    if (!(r->theta > 1.0) || !(r->factor > 0.0) || !(r->original_positions > 0.0))
        return status_fail(ERR_DATA,
                           "%s: rope_theta %g, factor %g: theta must be above 1 and the "
                           "factor above 0",
                           where, r->theta, r->factor);
    if (r->kind == ROPE_LLAMA3 && !(r->high_freq > r->low_freq && r->low_freq > 0.0))
        return status_fail(ERR_DATA, "%s: high_freq_factor %g must be above low_freq_factor %g",
                           where, r->high_freq, r->low_freq);
    return OK;
}

static double yarn_mscale(double scale, double mscale) {
    return scale <= 1.0 ? 1.0 : 0.1 * mscale * log(scale) + 1.0;
}

/* Peng et al. 2023, as transformers has it: channels that turn fast keep their frequency, slow ones
 * are stretched, a linear ramp between. */
static double yarn_frequencies(double *inv_freq, const RopeConfig *r, int64_t dim) {
    const double pi = 3.14159265358979323846;
    double turns[2] = {r->beta_fast, r->beta_slow}, bound[2];
    for (int i = 0; i < 2; i++)
        bound[i] = (double)dim * log(r->original_positions / (turns[i] * 2.0 * pi)) /
                   (2.0 * log(r->theta));
    double low = fmax(r->truncate ? floor(bound[0]) : bound[0], 0.0);
    double high = fmin(r->truncate ? ceil(bound[1]) : bound[1], (double)(dim - 1));
    if (low == high) high += 0.001;
    for (int64_t i = 0; i < dim / 2; i++) {
        double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
        inv_freq[i] = inv_freq[i] / r->factor * ramp + inv_freq[i] * (1.0 - ramp);
    }
    if (r->attention_factor > 0.0) return r->attention_factor;
    if (r->mscale > 0.0 && r->mscale_all > 0.0)
        return yarn_mscale(r->factor, r->mscale) / yarn_mscale(r->factor, r->mscale_all);
    return yarn_mscale(r->factor, 1.0);
}

/* Grattafiori et al. 2024: long waves are stretched, short ones kept, a blend between. */
static void llama3_frequencies(double *inv_freq, const RopeConfig *r, int64_t dim) {
    const double pi = 3.14159265358979323846;
    double longest = r->original_positions / r->low_freq;
    double shortest = r->original_positions / r->high_freq;
    for (int64_t i = 0; i < dim / 2; i++) {
        double wave = 2.0 * pi / inv_freq[i];
        if (wave < shortest) continue;
        double s = (r->original_positions / wave - r->low_freq) / (r->high_freq - r->low_freq);
        double stretched = inv_freq[i] / r->factor;
        inv_freq[i] = wave > longest ? stretched : (1.0 - s) * stretched + s * inv_freq[i];
    }
}

double arch_rope_frequencies(double *inv_freq, const ArchConfig *config) {
    const RopeConfig *r = &config->rope;
    int64_t dim = config->head_dim;
    for (int64_t i = 0; i < dim / 2; i++)
        inv_freq[i] = pow(r->theta, -2.0 * (double)i / (double)dim);
    if (r->kind == ROPE_YARN) return yarn_frequencies(inv_freq, r, dim);
    if (r->kind == ROPE_LLAMA3) llama3_frequencies(inv_freq, r, dim);
    if (r->kind == ROPE_LINEAR)
        for (int64_t i = 0; i < dim / 2; i++) inv_freq[i] /= r->factor;
    return 1.0;
}

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

/* `layer_types` of version 5 must say the same as a threshold: full layers below, sliding ones
 * above. */
static Status read_layer_types(ArchConfig *c, const Json *config, const char *where) {
    Json *types = NULL;
    TRY(json_opt(&types, config, "layer_types", JSON_KIND_ARRAY, where));
    if (!types || !c->window) return OK;
    int64_t from = c->n_layers;
    for (int64_t i = 0; i < json_len(types); i++) {
        const Json *t = json_at(types, i);
        bool slides =
            json_is(t, JSON_KIND_STRING) && str_equal(json_str(t, NULL), "sliding_attention");
        if (slides && from == c->n_layers) from = i;
        if (!slides && from < i)
            return status_fail(ERR_DATA,
                               "%s: layer_types: layer %lld is not sliding above one that "
                               "is; this order is not supported",
                               where, (long long)i);
    }
    c->window_from = from;
    return OK;
}

static Status read_window(ArchConfig *c, const Json *config, const char *where) {
    c->window_from = 0;
    if (c->spec->window == WINDOW_NONE) return OK;
    bool used = c->spec->window == WINDOW_ALL;
    TRY(json_opt_bool(&used, config, "use_sliding_window", where));
    if (!used) return OK;
    const Json *w = json_get(config, "sliding_window");
    if (json_is(w, JSON_KIND_NULL)) return OK;
    c->window = c->spec->defaults.window;
    TRY(json_opt_int(&c->window, config, "sliding_window", where));
    if (c->window < 1)
        return status_fail(ERR_DATA, "%s: `sliding_window` is %lld; it must be at least 1 or null",
                           where, (long long)c->window);
    if (c->spec->window == WINDOW_UPPER) {
        c->window_from = 28;
        TRY(json_opt_int(&c->window_from, config, "max_window_layers", where));
    }
    return read_layer_types(c, config, where);
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
    TRY(json_opt_num(&c->norm_eps, config, s->keys.norm_eps, where));
    c->initializer_range = 0.02;
    TRY(json_opt_num(&c->initializer_range, config, "initializer_range", where));
    const char *act = s->defaults.act;
    TRY(json_opt_str(&act, config, s->keys.act, where));
    TRY(arch_act_by_name(&c->act, act, where));
    TRY(read_rate(&c->embed_dropout, s->defaults.dropout, config, s->keys.embed_dropout, where));
    TRY(read_rate(&c->attn_dropout, s->defaults.dropout, config, s->keys.attn_dropout, where));
    TRY(read_rate(&c->resid_dropout, s->defaults.dropout, config, s->keys.resid_dropout, where));
    c->qkv_bias = s->qkv_bias;
    c->out_bias = s->out_bias;
    c->mlp_bias = s->mlp_bias;
    if (s->family == FAMILY_LLAMA) {
        TRY(json_opt_bool(&c->qkv_bias, config, "attention_bias", where));
        c->out_bias = c->qkv_bias;
        TRY(json_opt_bool(&c->mlp_bias, config, "mlp_bias", where));
    }
    if (s->family == FAMILY_GPT2) {
        bool scaled = true;
        TRY(json_opt_bool(&scaled, config, "scale_attn_weights", where));
        TRY(json_opt_bool(&c->scale_by_layer, config, "scale_attn_by_inverse_layer_idx", where));
        c->unscaled = !scaled;
    }
    TRY(read_token(&c->bos_id, s->defaults.bos_id, config, "bos_token_id", where));
    TRY(read_token(&c->eos_id, s->defaults.eos_id, config, "eos_token_id", where));
    return read_token(&c->pad_id, s->defaults.pad_id, config, "pad_token_id", where);
}

Status arch_config_read(ArchConfig *out, const Json *config, const char *where) {
    *out = (ArchConfig){0};
    if (!json_is(config, JSON_KIND_OBJECT))
        return status_fail(ERR_DATA, "%s: the file must hold a JSON object", where);
    if (json_is(json_get(config, "quantization_config"), JSON_KIND_OBJECT))
        return status_fail(ERR_DATA,
                           "%s: `quantization_config`: the weights are stored quantized, "
                           "which is not supported; use the original checkpoint",
                           where);
    TRY(find_spec(out, config, where));
    TRY(read_sizes(out, config, where));
    TRY(read_options(out, config, where));
    TRY(read_window(out, config, where));
    if (out->spec->position == POSITION_ROPE) TRY(read_rope(out, config, where));
    return OK;
}
