/* spec: architectures as data. One row a family says how its blocks are made and under which keys
 * its config.json holds the sizes; formats/import.c holds its weight names. A new family touches
 * these two files.
 *
 * config.json is read as transformers 4 and 5 write it (rope_theta + rope_scaling, or
 * rope_parameters; torch_dtype or dtype). Facts: the families' own configuration classes in
 * transformers. */
#ifndef HONE_MODEL_SPEC_H
#define HONE_MODEL_SPEC_H

#include "core/io/json.h"
#include "core/status.h"
#include "kernels/op_elementwise.h"
#include "kernels/op_norm.h"

#define ARCH_MAX_LAYERS 512

typedef enum Family { FAMILY_LLAMA, FAMILY_MISTRAL, FAMILY_QWEN2, FAMILY_GPT2 } Family;
typedef enum PositionKind { POSITION_ROPE, POSITION_LEARNED } PositionKind;
typedef enum WindowRule {
    WINDOW_NONE,  /* every key is seen */
    WINDOW_ALL,   /* `sliding_window` in every layer (Mistral) */
    WINDOW_UPPER, /* only with use_sliding_window, layers from max_window_layers on (Qwen2) */
} WindowRule;

/* Under which key config.json holds it; NULL: the family has no such key. */
typedef struct ArchKeys {
    const char *vocab, *width, *mlp_width, *n_layers, *n_heads, *n_kv_heads, *head_dim;
    const char *max_positions, *act, *norm_eps;
    const char *embed_dropout, *attn_dropout, *resid_dropout;
} ArchKeys;

/* What the configuration class of transformers uses for a missing key. */
typedef struct ArchDefaults {
    int64_t vocab, width, mlp_width /* 0: 4 width */, n_layers, n_heads;
    int64_t n_kv_heads; /* 0: n_heads */
    int64_t max_positions, window;
    const char *act;
    double norm_eps, dropout;
    bool tied;
    int32_t bos_id, eos_id, pad_id; /* -1: none */
} ArchDefaults;

typedef struct ArchSpec {
    Family family;
    const char *architecture; /* "LlamaForCausalLM" */
    const char *classifier;   /* "LlamaForSequenceClassification" */
    const char *model_type;   /* "llama" */
    NormKind norm;
    bool norm_bias;
    bool gated; /* down(act(gate) * up), else down(act(up)) */
    PositionKind position;
    WindowRule window;
    bool fused_qkv;                    /* one projection makes q|k|v */
    bool conv1d;                       /* files hold projections as [I,O] */
    bool qkv_bias, out_bias, mlp_bias; /* without a word from config.json */
    bool scaled_residual_init; /* output projections start at initializer_range / sqrt(2 L) */
    ArchKeys keys;
    ArchDefaults defaults;
    const char *lora_targets[4]; /* of PEFT when none are named */
} ArchSpec;

typedef enum RopeKind { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN } RopeKind;

typedef struct RopeConfig {
    RopeKind kind;
    double theta, factor;
    double low_freq, high_freq;  /* llama3 */
    double original_positions;   /* llama3, yarn */
    double beta_fast, beta_slow; /* yarn */
    double mscale, mscale_all;   /* yarn; 0: not given */
    double attention_factor;     /* of cos and sin; 0: not given */
    bool truncate;               /* yarn: bounds are whole channels */
} RopeConfig;

typedef struct ArchConfig {
    const ArchSpec *spec;
    bool classifier; /* the folder is an XForSequenceClassification: no lm_head */
    int64_t vocab, width, n_layers, n_heads, n_kv_heads, head_dim, mlp_width, max_positions;
    double norm_eps, initializer_range;
    ActKind act;
    bool tied;
    bool qkv_bias, out_bias, mlp_bias;
    int64_t window, window_from; /* layers window_from .. see `window` keys back; window 0: all */
    RopeConfig rope;
    double embed_dropout, attn_dropout, resid_dropout;
    bool scale_by_layer; /* attention scores also divided by layer + 1 (GPT-2's option) */
    bool unscaled;       /* scores not divided by sqrt(D) (GPT-2's option) */
    int32_t bos_id, eos_id, pad_id;
} ArchConfig;

/* ERR_DATA: unknown architecture (named), a size that cannot be, an option that is not supported
 * (named). `where` is the file's path, for messages. */
Status arch_config_read(ArchConfig *out, const Json *config, const char *where);

/* inv_freq[D/2] in double; returns the factor of cos and sin. Positions are turned in pairs (j, j +
 * D/2). */
double arch_rope_frequencies(double *inv_freq, const ArchConfig *config);

/* The word of config.json ("silu", "gelu_new", ...); ERR_DATA names an unknown one. */
Status arch_act_by_name(ActKind *out, const char *name, const char *where);

#endif
