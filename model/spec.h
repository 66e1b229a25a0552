/* spec: architectures as data. One row a family (spec_families.c) says how its blocks are made and
 * under which keys its config.json holds the sizes; formats/import.c holds its weight names. A new
 * family touches these two files. spec.c reads config.json, spec_positions.c has what positions
 * need of it.
 *
 * config.json is read as transformers 4 and 5 write it (rope_theta + rope_scaling, or
 * rope_parameters; torch_dtype or dtype). Facts: the families' own configuration classes in
 * transformers. */
#ifndef HONE_MODEL_SPEC_H
#define HONE_MODEL_SPEC_H

#include "core/io/json.h"
#include "core/status.h"
#include "model/layers/block.h"

#define ARCH_MAX_LAYERS 512

typedef enum Family {
    FAMILY_LLAMA,
    FAMILY_MISTRAL,
    FAMILY_QWEN2,
    FAMILY_QWEN3,
    FAMILY_GEMMA,
    FAMILY_GEMMA2,
    FAMILY_PHI,
    FAMILY_PHI3,
    FAMILY_STABLELM,
    FAMILY_GPT2,
    FAMILY_NEOX,
    FAMILY_OPT,
    FAMILY_MPT,
    FAMILY_FALCON,
    FAMILY_BLOOM,
    FAMILY_T5,
} Family;
typedef enum PositionKind {
    POSITION_ROPE,
    POSITION_LEARNED,
    POSITION_ALIBI,
    POSITION_DISTANCE, /* learned numbers on scores, one a bucket of distances */
} PositionKind;
typedef enum WindowRule {
    WINDOW_NONE,  /* every key is seen */
    WINDOW_ALL,   /* `sliding_window` in every layer (Mistral) */
    WINDOW_UPPER, /* only with use_sliding_window, layers from max_window_layers on (Qwen2) */
    WINDOW_EVEN,  /* in layers 0, 2, 4, ... (Gemma-2) */
} WindowRule;
/* How files hold the projections to queries, keys and values. */
typedef enum QkvKind {
    QKV_SEPARATE, /* three */
    QKV_BLOCKS,   /* one: all queries, all keys, all values */
    QKV_GROUPS,   /* one: for each key head its queries, its key, its value */
} QkvKind;

/* Under which key config.json holds it, and an older spelling; NULL: the family has no such key. */
typedef const char *ArchKey[2];
typedef struct ArchKeys {
    ArchKey vocab, width, mlp_width, n_layers, n_heads, n_kv_heads, head_dim;
    ArchKey max_positions, act, norm_eps, initializer_range;
    ArchKey embed_dropout, attn_dropout, attn_resid_dropout, mlp_resid_dropout;
} ArchKeys;

/* What the configuration class of transformers uses for a missing key. */
typedef struct ArchDefaults {
    int64_t vocab, width, mlp_width /* 0: 4 width */, n_layers, n_heads;
    int64_t n_kv_heads; /* 0: n_heads */
    int64_t head_dim;   /* 0: width / n_heads */
    int64_t max_positions, window;
    const char *act;
    double norm_eps, dropout, attn_dropout;
    double partial_rotary;      /* 0: the family turns whole heads and knows no such key */
    int64_t original_positions; /* 0: max_positions */
    bool tied;
    int32_t bos_id, eos_id, pad_id; /* -1: none */
} ArchDefaults;

typedef struct ArchSpec {
    Family family;
    const char *architecture; /* "LlamaForCausalLM" */
    const char *alias;        /* another name for it, or NULL */
    const char *classifier;   /* "LlamaForSequenceClassification" */
    const char *model_type;   /* "llama" */
    NormKind norm;
    bool norm_bias;
    double norm_plus;   /* the weight in use is weight + norm_plus */
    bool sandwich;      /* the branches' outputs are normed too */
    BlockWiring wiring; /* without a word from config.json */
    bool one_norm;      /* of a parallel block: both branches read the first norm */
    bool one_dropout;   /* of a parallel block: one mask for both branches */
    bool qk_norm;       /* queries and keys are normed head by head */
    bool embed_norm;    /* the embedding is normed */
    bool embed_scaled;  /* the embedding is multiplied by sqrt(width) */
    bool embed_pad;     /* the embedding's row of the padding token starts at 0 */
    bool gated;         /* down(act(gate) * up), else down(act(up)) */
    bool fused_mlp;     /* one projection makes gate|up */
    PositionKind position;
    int64_t position_offset; /* rows of the table before position 0 */
    WindowRule window;
    QkvKind qkv;
    bool conv1d;                                  /* files hold projections as [I,O] */
    bool qkv_bias, out_bias, mlp_bias, head_bias; /* without a word from config.json */
    bool init_by_inputs; /* matrices start at initializer_range / sqrt(inputs), tables at it */
    bool scaled_residual_init; /* output projections start at initializer_range / sqrt(2 L) */
    ArchKeys keys;
    ArchDefaults defaults;
    const char *lora_targets[4]; /* of PEFT when none are named */
} ArchSpec;

/* The rows, ended by one without architecture. */
extern const ArchSpec arch_specs[];

typedef enum RopeKind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_DYNAMIC,
    ROPE_LLAMA3,
    ROPE_YARN,
    ROPE_LONGROPE,
} RopeKind;

#define ARCH_MAX_FREQUENCIES 1024

typedef struct RopeConfig {
    RopeKind kind;
    double theta, factor;                 /* factor 0: not given */
    double partial;                       /* share of a head that turns */
    double low_freq, high_freq;           /* llama3 */
    double original_positions;            /* llama3, yarn, longrope */
    double beta_fast, beta_slow;          /* yarn */
    double mscale, mscale_all;            /* yarn; 0: not given */
    double attention_factor;              /* of cos and sin; 0: not given */
    bool truncate;                        /* yarn: bounds are whole channels */
    double stretch[ARCH_MAX_FREQUENCIES]; /* longrope: short_factor */
} RopeConfig;

typedef struct ArchConfig {
    const ArchSpec *spec;
    bool classifier; /* the folder is an XForSequenceClassification: no lm_head */
    int64_t vocab, width, n_layers, n_heads, n_kv_heads, head_dim, mlp_width, max_positions;
    int64_t n_encoder_layers; /* 0: a decoder alone; n_layers are the decoder's */
    int64_t embed_width; /* of the embedding and of the head; width unless projected (OPT-350m) */
    double norm_eps, initializer_range;
    ActKind act;
    bool gated;
    bool tied;
    bool scaled_output; /* logits are divided by sqrt(width) */
    BlockWiring wiring;
    bool one_norm, qk_norm, final_norm;
    QkvKind qkv;
    bool qkv_bias, out_bias, mlp_bias, head_bias;
    int64_t window; /* keys that sliding layers see back */
    bool slides[ARCH_MAX_LAYERS];
    PositionKind position;
    RopeConfig rope;
    int64_t rotary;                /* channels of a head that turn */
    double alibi_max;              /* the smallest slope is 2^-alibi_max */
    int64_t buckets, max_distance; /* POSITION_DISTANCE: from max_distance on all are one */
    bool alibi_scaled; /* the bias is rounded to bfloat16 and scaled like the scores (Falcon) */
    double embed_dropout, attn_dropout, attn_resid_dropout, mlp_resid_dropout;
    double mlp_dropout, final_dropout; /* inside the MLP; behind the final norms */
    double score_scale;                /* of q.k */
    bool scale_by_layer; /* attention scores also divided by layer + 1 (GPT-2's option) */
    double attn_cap;     /* c tanh(s/c) on scores; 0: none */
    double logit_cap;    /* the same on logits */
    double clip_qkv;     /* queries, keys and values lie in [-clip,clip]; 0: anywhere */
    int32_t bos_id, eos_id, pad_id;
    int32_t decoder_start_id; /* what a decoder beside an encoder begins with; else -1 */
} ArchConfig;

/* ERR_DATA: unknown architecture (named), a size that cannot be, an option that is not supported
 * (named). `where` is the file's path, for messages. */
Status arch_config_read(ArchConfig *out, const Json *config, const char *where);

/* config->rope and config->rotary. */
Status arch_rope_read(ArchConfig *c, const Json *config, const char *where);
/* inv_freq[rotary/2] in double; returns the factor of cos and sin. Positions are turned in pairs
 * (j, j + rotary/2). */
double arch_rope_frequencies(double *inv_freq, const ArchConfig *config);
/* "llama3" */
const char *arch_rope_name(RopeKind kind);
/* slopes[n_heads]: what one position of distance adds to a scaled score (Press et al. 2021). */
void arch_alibi_slopes(double *slopes, const ArchConfig *config);
/* ids[2*max_distance+1]: the bucket of distance key - query = i - max_distance, of an encoder
 * (`bidirectional`) or a decoder (Raffel et al. 2020). */
void arch_distance_buckets(int32_t *ids, const ArchConfig *config, bool bidirectional);
/* Sequences cannot be longer; 0: they can. Learned positions end; frequencies of `dynamic` and
 * `longrope` change with the length of the text beyond the length they were trained at, so that the
 * same prefix would mean something else in a longer text. */
int64_t arch_position_limit(const ArchConfig *config);

/* The word of config.json ("silu", "gelu_new", ...); ERR_DATA names an unknown one. */
Status arch_act_by_name(ActKind *out, const char *name, const char *where);

#endif
