/* Metadata of a GGUF file as a config.json. */
#include "model/formats/gguf_model.h"

#include "core/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Mistral's files say `llama`. Where a family is there twice, the first word is the one to write.
 */
static const struct {
    const char *name;
    Family family;
} ARCHITECTURES[] = {
    {"llama", FAMILY_LLAMA},   {"llama", FAMILY_MISTRAL}, {"qwen2", FAMILY_QWEN2},
    {"qwen3", FAMILY_QWEN3},   {"gemma", FAMILY_GEMMA},   {"gemma2", FAMILY_GEMMA2},
    {"phi2", FAMILY_PHI},      {"phi3", FAMILY_PHI3},     {"stablelm", FAMILY_STABLELM},
    {"gpt2", FAMILY_GPT2},     {"gptneox", FAMILY_NEOX},  {"mpt", FAMILY_MPT},
    {"falcon", FAMILY_FALCON}, {"bloom", FAMILY_BLOOM},
};
#define N_ARCHITECTURES (sizeof ARCHITECTURES / sizeof *ARCHITECTURES)

const char *gguf_architecture(const ArchSpec *spec) {
    for (size_t i = 0; i < N_ARCHITECTURES; i++)
        if (ARCHITECTURES[i].family == spec->family) return ARCHITECTURES[i].name;
    return NULL;
}

bool gguf_permutes(const ArchSpec *spec) {
    return spec->family == FAMILY_LLAMA || spec->family == FAMILY_MISTRAL;
}

typedef struct Maker {
    const Gguf *g;
    const char *name; /* "llama": before the keys of the architecture */
    const ArchSpec *spec;
    Json *config;
    char key[128]; /* of the last question */
} Maker;

/* ---- asking ---- */

static const char *key_of(Maker *m, const char *what) {
    snprintf(m->key, sizeof m->key, "%s.%s", m->name, what);
    return m->key;
}

static Status want_int(int64_t *out, Maker *m, const char *what) {
    if (!gguf_has(m->g, key_of(m, what)))
        return status_fail(ERR_DATA, "%s: key `%s` is missing", gguf_path(m->g), m->key);
    return gguf_opt_int(out, m->g, m->key);
}

static const TensorEntry *tensor(const Maker *m, const char *name) {
    int64_t n;
    const TensorEntry *entries = gguf_entries(m->g, &n);
    return tensor_entries_find(entries, n, name);
}

/* An integer under the name that the family's config.json has for it. */
static Status copy_int(Maker *m, const char *what, const ArchKey to) {
    int64_t x = 0;
    if (!gguf_has(m->g, key_of(m, what))) return OK;
    TRY(gguf_opt_int(&x, m->g, m->key));
    if (to[0]) json_set(m->config, to[0], json_new_int(x));
    return OK;
}

/* Numbers were rounded to 32 bits; their shortest text is what was meant. */
static Json *as_written(double x) {
    return json_new_f32((float)x);
}

static Status copy_num(Maker *m, Json *to, const char *what, const char *name) {
    double x = 0.0;
    if (!gguf_has(m->g, key_of(m, what))) return OK;
    TRY(gguf_opt_num(&x, m->g, m->key));
    if (!isfinite((float)x))
        return status_fail(ERR_DATA, "%s: key `%s` is no finite number", gguf_path(m->g), m->key);
    json_set(to, name, as_written(x));
    return OK;
}

/* ---- what every family has ---- */

static Status find_family(Maker *m) {
    const char *name = NULL;
    TRY(gguf_opt_str(&name, m->g, "general.architecture"));
    if (!name)
        return status_fail(ERR_DATA, "%s: key `general.architecture` is missing", gguf_path(m->g));
    Family family = FAMILY_LLAMA;
    for (size_t i = 0; i < N_ARCHITECTURES && !m->name; i++)
        if (str_equal(ARCHITECTURES[i].name, name)) {
            m->name = ARCHITECTURES[i].name;
            family = ARCHITECTURES[i].family;
        }
    if (!m->name) {
        Str known = {0};
        for (size_t i = 0; i < N_ARCHITECTURES; i++)
            if (i == 0 || ARCHITECTURES[i].name != ARCHITECTURES[i - 1].name)
                str_printf(&known, "%s%s", i ? ", " : "", ARCHITECTURES[i].name);
        Status st = status_fail(ERR_DATA, "%s: architecture `%s` is not known; known are %s",
                                gguf_path(m->g), name, str_text(&known));
        str_free(&known);
        return st;
    }
    if (family == FAMILY_LLAMA && gguf_has(m->g, "llama.attention.sliding_window"))
        family = FAMILY_MISTRAL;
    for (m->spec = arch_specs; m->spec->family != family;) m->spec++;
    return OK;
}

static Status set_sizes(Maker *m) {
    const ArchKeys *k = &m->spec->keys;
    const TensorEntry *embed = tensor(m, "token_embd.weight");
    int64_t width = 0, mlp_width = 0;
    if (!embed || embed->rank != 2)
        return status_fail(ERR_DATA, "%s: tensor `token_embd.weight` is missing, or no matrix",
                           gguf_path(m->g));
    json_set(m->config, k->vocab[0], json_new_int(embed->shape[0]));
    TRY(want_int(&width, m, "embedding_length"));
    TRY(want_int(&mlp_width, m, "feed_forward_length"));
    if (!k->mlp_width[0] && mlp_width != 4 * width)
        return status_fail(ERR_DATA, "%s: key `%s` is %lld; it must be 4 times %lld",
                           gguf_path(m->g), m->key, (long long)mlp_width, (long long)width);
    int64_t must;
    TRY(want_int(&must, m, "block_count"));
    TRY(want_int(&must, m, "attention.head_count"));
    TRY(copy_int(m, "embedding_length", k->width));
    TRY(copy_int(m, "feed_forward_length", k->mlp_width));
    TRY(copy_int(m, "block_count", k->n_layers));
    TRY(copy_int(m, "attention.head_count", k->n_heads));
    TRY(copy_int(m, "attention.head_count_kv", k->n_kv_heads));
    TRY(copy_int(m, "attention.key_length", k->head_dim));
    TRY(copy_int(m, "context_length", k->max_positions));
    if (!k->norm_eps[0]) return OK;
    TRY(copy_num(m, m->config, "attention.layer_norm_epsilon", k->norm_eps[0]));
    return copy_num(m, m->config, "attention.layer_norm_rms_epsilon", k->norm_eps[0]);
}

/* A file may hold the embedding a second time as the head: then they are one. */
static void set_tied(Maker *m) {
    const TensorEntry *embed = tensor(m, "token_embd.weight"), *head = tensor(m, "output.weight");
    bool same = head && head->bytes == embed->bytes && head->dtype_name == embed->dtype_name &&
                memcmp(head->stored, embed->stored, head->bytes) == 0;
    json_set(m->config, "tie_word_embeddings", json_new_bool(!head || same));
}

static Status set_tokens(Maker *m) {
    static const char *const names[][2] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                           {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                           {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    for (size_t i = 0; i < 3; i++) {
        int64_t id = -1;
        TRY(gguf_opt_int(&id, m->g, names[i][0]));
        json_set(m->config, names[i][1], id >= 0 ? json_new_int(id) : json_new_null());
    }
    return OK;
}

/* ---- positions ---- */

/* Of a tensor that check_factors has seen. */
static Json *factors_of(const TensorEntry *e) {
    Json *list = json_new_array();
    for (int64_t i = 0; i < e->shape[0]; i++) {
        float x;
        memcpy(&x, (const unsigned char *)e->data + (size_t)i * sizeof x, sizeof x);
        json_push(list, json_new_f32(x));
    }
    return list;
}

static Status check_factors(const TensorEntry *e, int64_t rotary) {
    bool good = e->dtype == DTYPE_F32 && e->data && e->rank == 1 && e->shape[0] == rotary / 2;
    for (int64_t i = 0; good && i < e->shape[0]; i++) {
        float x;
        memcpy(&x, (const unsigned char *)e->data + (size_t)i * sizeof x, sizeof x);
        good = isfinite(x) && x > 0.0F;
    }
    if (good) return OK;
    return status_fail(ERR_DATA, "%s: tensor `%s` must be %lld numbers above 0 of type F32",
                       e->file, e->name, (long long)rotary / 2);
}

/* Do these numbers of Llama 3.1 and later give the file's factors? */
static bool is_llama3(const Json *factors, int64_t rotary, double theta, double factor,
                      double original) {
    ArchConfig c = {.rotary = rotary,
                    .rope = {.kind = ROPE_LLAMA3,
                             .theta = theta,
                             .factor = factor,
                             .low_freq = 1.0,
                             .high_freq = 4.0,
                             .original_positions = original}};
    double inv_freq[ARCH_MAX_FREQUENCIES];
    arch_rope_frequencies(inv_freq, &c);
    for (int64_t i = 0; i < rotary / 2; i++) {
        double plain = pow(theta, -2.0 * (double)i / (double)rotary);
        double stretch = json_num(json_at(factors, i));
        if (!(fabs(plain / stretch - inv_freq[i]) <= 2e-6 * inv_freq[i])) return false;
    }
    return true;
}

/* rope_freqs: what each frequency is divided by. Llama 3's four numbers where they explain it, so
 * that the folder that is made of it is the usual one; else longrope, which is the same. */
static Status set_rope_freqs(Maker *m, Json *rope, int64_t rotary, double theta) {
    const TensorEntry *e = tensor(m, "rope_freqs.weight");
    int64_t context = m->spec->defaults.max_positions;
    if (!e) return OK;
    TRY(check_factors(e, rotary));
    TRY(gguf_opt_int(&context, m->g, key_of(m, "context_length")));
    Json *factors = factors_of(e);
    double factor = 1.0;
    for (int64_t i = 0; i < rotary / 2; i++) factor = fmax(factor, json_num(json_at(factors, i)));
    for (double original = 32.0; original <= 1 << 20; original *= 2.0) {
        if (!is_llama3(factors, rotary, theta, factor, original)) continue;
        json_set(rope, "rope_type", json_new_str("llama3"));
        json_set(rope, "factor", json_new_num(factor));
        json_set(rope, "low_freq_factor", json_new_num(1.0));
        json_set(rope, "high_freq_factor", json_new_num(4.0));
        json_set(rope, "original_max_position_embeddings", json_new_int((int64_t)original));
        json_free(factors);
        return OK;
    }
    json_set(rope, "rope_type", json_new_str("longrope"));
    json_set(rope, "attention_factor", json_new_num(1.0));
    json_set(rope, "original_max_position_embeddings", json_new_int(context));
    json_set(rope, "long_factor", json_clone(factors));
    json_set(rope, "short_factor", factors);
    return OK;
}

/* Phi-3 with long texts. */
static Status set_longrope(Maker *m, Json *rope, int64_t rotary) {
    static const char *const names[][2] = {{"rope_factors_short.weight", "short_factor"},
                                           {"rope_factors_long.weight", "long_factor"}};
    for (size_t i = 0; i < 2; i++) {
        const TensorEntry *e = tensor(m, names[i][0]);
        if (!e) return OK;
        TRY(check_factors(e, rotary));
        json_set(rope, names[i][1], factors_of(e));
    }
    json_set(rope, "rope_type", json_new_str("longrope"));
    int64_t original = 0;
    TRY(want_int(&original, m, "rope.scaling.original_context_length"));
    json_set(rope, "original_max_position_embeddings", json_new_int(original));
    return copy_num(m, rope, "rope.scaling.attn_factor", "attention_factor");
}

static Status set_scaling(Maker *m, Json *rope) {
    const char *type = NULL;
    TRY(gguf_opt_str(&type, m->g, key_of(m, "rope.scaling.type")));
    if (gguf_has(m->g, key_of(m, "rope.scale_linear")) && !type) { /* the old spelling */
        json_set(rope, "rope_type", json_new_str("linear"));
        return copy_num(m, rope, "rope.scale_linear", "factor");
    }
    if (!type || str_equal(type, "none") || str_equal(type, "longrope")) return OK;
    if (!str_equal(type, "linear") && !str_equal(type, "yarn"))
        return status_fail(ERR_DATA, "%s: key `%s`: `%s` is none of none, linear, yarn, longrope",
                           gguf_path(m->g), m->key, type);
    json_set(rope, "rope_type", json_new_str(type));
    TRY(copy_num(m, rope, "rope.scaling.factor", "factor"));
    int64_t original = 0;
    TRY(gguf_opt_int(&original, m->g, key_of(m, "rope.scaling.original_context_length")));
    if (original > 0) json_set(rope, "original_max_position_embeddings", json_new_int(original));
    TRY(copy_num(m, rope, "rope.scaling.yarn_beta_fast", "beta_fast"));
    return copy_num(m, rope, "rope.scaling.yarn_beta_slow", "beta_slow");
}

/* The share of a head that turns, as a number whose product with the head's width is cut down to
 * the same number of channels again. */
static double partial_of(int64_t rotary, int64_t head_dim) {
    double partial = (double)rotary / (double)head_dim;
    while ((int64_t)((double)head_dim * partial) < rotary) partial = nextafter(partial, 2.0);
    return partial;
}

static Status set_rope(Maker *m) {
    int64_t width = 0, heads = 0, head_dim = 0;
    TRY(want_int(&width, m, "embedding_length"));
    TRY(want_int(&heads, m, "attention.head_count"));
    head_dim = heads > 0 ? width / heads : 0;
    TRY(gguf_opt_int(&head_dim, m->g, key_of(m, "attention.key_length")));
    int64_t rotary = head_dim;
    TRY(gguf_opt_int(&rotary, m->g, key_of(m, "rope.dimension_count")));
    if (head_dim < 1 || head_dim > INT32_MAX || rotary < 2 || rotary > head_dim || rotary % 2 ||
        rotary / 2 > ARCH_MAX_FREQUENCIES)
        return status_fail(ERR_DATA, "%s: %lld channels of a head of %lld turn; that cannot be",
                           gguf_path(m->g), (long long)rotary, (long long)head_dim);
    double theta = 10000.0;
    TRY(gguf_opt_num(&theta, m->g, key_of(m, "rope.freq_base")));
    if (!isfinite((float)theta) || theta <= 1.0)
        return status_fail(ERR_DATA, "%s: key `%s` is %g; it must be above 1", gguf_path(m->g),
                           m->key, theta);
    Json *rope = json_new_object();
    json_set(m->config, "rope_parameters", rope);
    json_set(rope, "rope_theta", as_written(theta));
    json_set(rope, "rope_type", json_new_str("default"));
    if (rotary != head_dim || m->spec->defaults.partial_rotary != 0.0)
        json_set(rope, "partial_rotary_factor", json_new_num(partial_of(rotary, head_dim)));
    TRY(set_scaling(m, rope));
    TRY(set_rope_freqs(m, rope, rotary, theta));
    return set_longrope(m, rope, rotary);
}

/* ---- what one family has ---- */

static void set_bias(Maker *m, const char *key, const char *name) {
    json_set(m->config, key, json_new_bool(tensor(m, name) != NULL));
}

static Status set_window(Maker *m) {
    int64_t window = 0;
    TRY(gguf_opt_int(&window, m->g, key_of(m, "attention.sliding_window")));
    json_set(m->config, "sliding_window", window > 0 ? json_new_int(window) : json_new_null());
    return OK;
}

/* Scores are scaled by the head's width, but in the largest model by that of a share of the whole.
 */
static Status set_gemma2(Maker *m) {
    int64_t width = 0, heads = 0, layers = 0, head_dim = 256;
    TRY(want_int(&width, m, "embedding_length"));
    TRY(want_int(&heads, m, "attention.head_count"));
    TRY(want_int(&layers, m, "block_count"));
    TRY(gguf_opt_int(&head_dim, m->g, key_of(m, "attention.key_length")));
    bool is_27b = layers == 46 && heads > 0;
    json_set(m->config, "query_pre_attn_scalar", json_new_int(is_27b ? width / heads : head_dim));
    TRY(copy_num(m, m->config, "attn_logit_softcapping", "attn_logit_softcapping"));
    TRY(copy_num(m, m->config, "final_logit_softcapping", "final_logit_softcapping"));
    return copy_int(m, "attention.sliding_window", (ArchKey){"sliding_window"});
}

static Status set_falcon(Maker *m) {
    int64_t heads = 0, kv = 1;
    TRY(want_int(&heads, m, "attention.head_count"));
    TRY(gguf_opt_int(&kv, m->g, key_of(m, "attention.head_count_kv")));
    bool two_norms = tensor(m, "blk.0.attn_norm_2.weight") != NULL;
    bool modern = two_norms || (kv > 1 && kv < heads);
    json_set(m->config, "new_decoder_architecture", json_new_bool(modern));
    json_set(m->config, "num_ln_in_parallel_attn", json_new_int(two_norms ? 2 : 1));
    json_set(m->config, "multi_query", json_new_bool(kv == 1));
    json_set(m->config, "parallel_attn", json_new_bool(true));
    return OK;
}

static Status set_mpt(Maker *m) {
    Json *attn = json_new_object();
    json_set(m->config, "attn_config", attn);
    TRY(copy_num(m, attn, "attention.max_alibi_bias", "alibi_bias_max"));
    return copy_num(m, attn, "attention.clamp_kqv", "clip_qkv");
}

static Status set_family(Maker *m) {
    bool parallel = true;
    switch (m->spec->family) {
    case FAMILY_MISTRAL:
    case FAMILY_PHI3:
        return set_window(m);
    case FAMILY_LLAMA:
        set_bias(m, "mlp_bias", "blk.0.ffn_up.bias");
        set_bias(m, "attention_bias", "blk.0.attn_q.bias");
        return OK;
    case FAMILY_QWEN3:
        set_bias(m, "attention_bias", "blk.0.attn_q.bias");
        return OK;
    case FAMILY_GEMMA2:
        return set_gemma2(m);
    case FAMILY_STABLELM:
        set_bias(m, "use_qkv_bias", "blk.0.attn_q.bias");
        json_set(m->config, "use_parallel_residual",
                 json_new_bool(!tensor(m, "blk.0.ffn_norm.weight")));
        return OK;
    case FAMILY_NEOX:
        TRY(gguf_opt_bool(&parallel, m->g, key_of(m, "use_parallel_residual")));
        json_set(m->config, "use_parallel_residual", json_new_bool(parallel));
        return OK;
    case FAMILY_FALCON:
        return set_falcon(m);
    case FAMILY_MPT:
        return set_mpt(m);
    case FAMILY_QWEN2:
    case FAMILY_GEMMA:
    case FAMILY_PHI:
    case FAMILY_GPT2:
    case FAMILY_BLOOM:
    case FAMILY_OPT:
    case FAMILY_T5: /* no file says `t5` to us: it is not among ARCHITECTURES */
        return OK;
    }
    return OK;
}

static Status make(Maker *m) {
    TRY(find_family(m));
    Json *architectures = json_new_array();
    json_push(architectures, json_new_str(m->spec->architecture));
    json_set(m->config, "architectures", architectures);
    json_set(m->config, "model_type", json_new_str(m->spec->model_type));
    TRY(set_sizes(m));
    set_tied(m);
    TRY(set_tokens(m));
    if (m->spec->position == POSITION_ROPE) TRY(set_rope(m));
    return set_family(m);
}

Status gguf_config(Json **out, const Gguf *g) {
    Maker m = {.g = g, .config = json_new_object()};
    Status st = make(&m);
    if (st != OK) {
        json_free(m.config);
        m.config = NULL;
    }
    *out = m.config;
    return st;
}
