/* model: a base, adapters and heads, and the passes over them.
 *
 *     Base      architecture and weights; frozen, or trainable (full fine-tuning); shared by roles
 *     Adapter   a named LoRA over one base; several live side by side
 *     Head      a scalar per token row: value head or reward score
 *     Role      { base, adapter or none, head or none }: what a pass runs. Policy, reference (the
 * policy with its adapter off), value and reward of PPO are four Roles over as few bases as
 * possible. Pass      the memory that one forward (and backward) needs; shared by all roles,
 * planned at start
 *
 * Rows in (core/rows.h), numbers per row out. Gradients accumulate in the trainable tensors of the
 * role's base, adapter and head; params_zero_grad clears them.
 */
#ifndef HONE_MODEL_MODEL_H
#define HONE_MODEL_MODEL_H

#include "core/io/gguf_save.h"
#include "core/quant.h"
#include "core/rows.h"
#include "core/status.h"
#include "kernels/dev.h"

/* ---- Parameters: one record per trainable tensor
 * ------------------------------------------------- */

typedef struct Param {
    const char
        *name;    /* as the ecosystem writes it: "model.layers.0.self_attn.q_proj.weight",
                     "base_model.model...lora_A.weight", "score.weight", "v_head.summary.weight" */
    Tensor value; /* real */
    Tensor grad;  /* real, same shape */
    bool decay;   /* weight decay applies: matrices that are no norm weight, no bias (the Trainer's
                     rule) */
} Param;

typedef struct ParamList {
    Param *items;
    int n, cap;
} ParamList;

void params_add(ParamList *list, Param p);
void params_free(ParamList *list);
void params_zero_grad(Dev *dev, const ParamList *list);
int64_t params_count(const ParamList *list); /* scalars */
/* After an optimizer step or a load changed trainable values: derived copies (packed weights) are
 * stale. */

/* ---- Base
 * ------------------------------------------------------------------------------------------ */

typedef struct Base Base;

/* How the projections of a frozen base are stored, as bitsandbytes has it. Embeddings, norms
 * and biases stay as they are. */
typedef struct QuantOptions {
    bool on;
    QuantKind kind;
    int64_t block;            /* weights under one scale (not INT8) */
    bool nested;              /* the scales are quantized too (not INT8) */
    bool head;                /* the output head in INT8, whatever `on` says */
    const char *const *skips; /* modules, or parts of their names, that are left alone */
    int n_skips;
} QuantOptions;

typedef struct BaseOptions {
    const char *path;   /* Hugging Face folder or GGUF file; or NULL and */
    const char *config; /* a config.json: random weights from `seed`, drawn as transformers does
                           (normal, initializer_range) */
    uint64_t seed;
    DType dtype;       /* how frozen weights are stored (f32, bf16, f16); trainable ones are real */
    bool trainable;    /* full fine-tuning: every weight gets a gradient */
    bool takes_source; /* passes give rows to an encoder too: an encoder-decoder may be opened */
    QuantOptions quant; /* of a frozen base */
    bool trunk_only;    /* without lm_head: reward and value models, which ask for no log-probs */
} BaseOptions;

typedef struct BaseInfo {
    const char *architecture; /* "LlamaForCausalLM", ... */
    int64_t n_encoder_layers; /* 0: a decoder alone; Rows have a `source` where it is not */
    int32_t decoder_start_id; /* what the rows of such a decoder begin with; else -1 */
    int64_t vocab, width /* of the output */, n_layers /* the decoder's */, n_heads, n_kv_heads,
        head_dim, mlp_width, max_positions;
    int64_t position_limit; /* sequences cannot be longer (learned positions; arch_position_limit);
                               0: they can */
    char storage[48];       /* of its weights: "float32", "nf4 with double quantization" */
    int64_t n_params;       /* scalars, tied counted once */
    bool tied;
    int32_t bos_id, eos_id, pad_id; /* from config.json; -1 when absent */
} BaseInfo;

/* ERR_INPUT: missing file or shard; ERR_DATA: unknown architecture (named), shape that does not fit
 * (tensor named). */
Status base_open(Base **out, Dev *dev, const BaseOptions *opt);
/* Is it an encoder-decoder? What its decoder begins with, -1 when it is none: from config.json
 * alone, before data are read for it. Errors as of base_open. */
Status base_decoder_start(int32_t *out, const char *path, const char *config);
/* An independent copy of the weights: TRL's full reference or value model; trainable or not. */
Status base_clone(Base **out, const Base *from, bool trainable);
void base_close(Base *b);
bool base_is_frozen(const Base *b);
const BaseInfo *base_info(const Base *b);
void base_params(ParamList *list, Base *b); /* none when frozen */
size_t base_bytes(const Base *b);           /* device memory of weights (and gradients) */
/* SHA-256 (hex, 64 chars + NUL) over names, shapes and stored weights, for manifests. */
void base_digest(const Base *b, char hex[65]);

/* ---- Adapter
 * --------------------------------------------------------------------------------------- */

typedef struct Adapter Adapter;

/* A number for the modules that a name means (model/peft/target.h). */
typedef struct ModuleNumber {
    const char *module;
    double number;
} ModuleNumber;

typedef struct LoraOptions {
    int64_t r;
    double alpha, dropout;
    bool use_rslora;            /* scale alpha/sqrt(r) instead of alpha/r */
    const char *const *targets; /* names of modules or patterns (model/peft/target.h), or one
                                   "all-linear", or NULL: the architecture's default */
    int n_targets;
    const char *const *excludes; /* the same: modules that get none of it, though a target */
    int n_excludes;
    const int64_t *layers; /* only modules in these layers; NULL: in any */
    int n_layers;
    const char *const *layers_pattern; /* what stands before a layer's number ("layers"); NULL: any
                                          word */
    int n_layers_pattern;
    const ModuleNumber *ranks, *alphas; /* of some modules, instead of r and alpha */
    int n_ranks, n_alphas;
    const char *task_type; /* "CAUSAL_LM" or "SEQ_CLS", for adapter_config.json */
    bool gaussian; /* A ~ N(0, 1/r^2), as PEFT's "gaussian"; else Kaiming uniform(a = sqrt 5) */
    uint64_t seed; /* of A; B = 0 */
} LoraOptions;

Status adapter_create(Adapter **out, Base *b, const char *name, const LoraOptions *opt);
/* A PEFT folder: adapter_config.json + adapter_model.safetensors (or .bin); shapes and names
 * checked against the base in full. The head saved under modules_to_save (score) is read by
 * head_load. */
Status adapter_load(Adapter **out, Base *b, const char *name, const char *folder, bool trainable);
/* head may be NULL; its weight goes into the same file as PEFT's modules_to_save. base_path is what
 * adapter_config.json names. */
struct Head;
Status adapter_save(const Adapter *a, const struct Head *head, const char *folder,
                    const char *base_path);
void adapter_close(Adapter *a);
void adapter_params(ParamList *list, Adapter *a);

/* ---- Head
 * ------------------------------------------------------------------------------------------ */

typedef struct Head Head;
typedef enum HeadKind {
    HEAD_SCORE, /* "score.weight" [1,C], no bias: AutoModelForSequenceClassification with num_labels
                   1 */
    HEAD_VALUE, /* "v_head.summary.weight" [1,C] and ".bias" [1]: TRL's value head */
} HeadKind;

typedef enum HeadInit {
    HEAD_INIT_ZERO,
    HEAD_INIT_NORMAL /* N(0, 1/sqrt(C+1)) */,
    HEAD_INIT_RANGE /* N(0, initializer_range) */
} HeadInit;
Status head_create(Head **out, Base *b, HeadKind kind, HeadInit init, uint64_t seed,
                   bool trainable);
/* From a folder: score.weight in model.safetensors or the adapter file, or value_head.safetensors.
 * ERR_DATA when it is absent. */
Status head_load(Head **out, Base *b, HeadKind kind, const char *folder, bool trainable);
/* Does the folder hold such a head? */
bool head_present(const char *folder, HeadKind kind);
Status head_clone(Head **out, const Head *from, HeadKind kind, bool trainable);
Status head_save(const Head *h, const char *folder); /* value_head.safetensors */
void head_close(Head *h);
void head_params(ParamList *list, Head *h);

/* ---- Passes
 * ---------------------------------------------------------------------------------------- */

typedef struct Role {
    Base *base;
    Adapter *adapter; /* NULL: the base as it is */
    Head *head;       /* NULL: no scalar per row */
} Role;

typedef struct Pass Pass;

typedef enum Recompute { RECOMPUTE_NONE, RECOMPUTE_BLOCK } Recompute; /* activation checkpointing */

typedef struct PassOptions {
    double temperature;     /* divides the logits; 1 for SFT; 0 is read as 1 */
    bool dropout;           /* the model's and the adapter's dropout are on */
    uint64_t seed, step;    /* of the dropout streams */
    double neftune_alpha;   /* 0: off */
    double label_smoothing; /* share of each target spread over the vocabulary; 0: none. log-probs
                               are then those of the smoothed target (kernels/op_head.h) */
    Recompute recompute;
} PassOptions;

/* Numbers per token row, on the host, in the caller's arrays [N]; NULL: not computed. Rows without
 * a target get 0, values of rows that are not asked for stay as they were. */
typedef struct PassOut {
    double *logp;    /* log p(target) at the temperature */
    double *entropy; /* of the full softmax at the temperature */
    double *value;   /* the role's head, rows that are valued (core/rows.h) */
    int32_t *argmax; /* most probable token; -1 without target */
} PassOut;

/* Gradients of the loss by those numbers, [N] each; NULL is zero. */
typedef struct PassGrad {
    const double *dlogp, *dentropy, *dvalue;
} PassGrad;

/* Token loss: the gradient of a token depends on that token alone and on constants known before, so
 * the head goes straight back, chunk by chunk of rows with targets, and never keeps [N,V]. `fn`
 * reads logp[i] (entropy, value: NULL unless asked for) of token row row[i], writes dlogp[i] (and
 * dentropy, dvalue, cleared before). Chunks come in ascending row order, one after another, from
 * one thread. `value` is there when the role has a head; then every row that is valued
 * (core/rows.h) comes by once, those without target with logp = 0 in chunks of their own before the
 * others (has_target = false). Over a base without lm_head, or with rows->targets NULL, there are
 * only such. Behind the last block's attention nothing is computed for rows that no one asks. */
typedef struct TokenChunk {
    int64_t n;
    bool has_target;
    const int32_t *row;                   /* [n] */
    const double *logp, *entropy, *value; /* [n] */
    const double *kl;                     /* [n] of pass_kl, else NULL */
    const int32_t *argmax;                /* [n] */
    double *dlogp, *dentropy, *dvalue;    /* [n] out */
} TokenChunk;
typedef struct TokenLoss {
    void (*fn)(void *ctx, const TokenChunk *chunk);
    void *ctx;
    bool want_entropy, want_argmax;
} TokenLoss;

typedef struct PassLimits {
    int64_t max_rows, max_seqs;
    int64_t max_source_rows; /* of an encoder; 0 without */
    bool backward;           /* gradients too, else scoring only */
    Recompute recompute;
} PassLimits;

/* Activation bytes of such a pass of this role: runs the real code on a measuring device. */
size_t pass_measure(const Role *role, const PassLimits *limits);
Status pass_open(Pass **out, Dev *dev, size_t bytes);
void pass_close(Pass *p);

/* Without gradients. Same bits as the forward of the training passes. */
void pass_score(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                const PassOut *out);
/* kl[N]: of each row with a target the KL of the whole distributions, sum p (log p - log q), p of
 * `role` and q of `ref`, at the temperature; else 0. Both must have one vocabulary. Needs a pass of
 * pass_measure_kl. */
void pass_kl(Pass *p, const Role *role, const Role *ref, const Rows *rows, const PassOptions *opt,
             double *kl);
size_t pass_measure_kl(const Role *role, const Role *ref, const PassLimits *limits);
/* Forward, token loss, backward: gradients accumulate. */
void pass_train(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                const TokenLoss *loss);
/* Sequence loss: forward keeps what backward needs; the host computes the gradients in between.
 * `rows` and the role's parts must live until pass_backward, and no other pass may run on `p` in
 * between. */
void pass_forward(Pass *p, const Role *role, const Rows *rows, const PassOptions *opt,
                  const PassOut *out);
void pass_backward(Pass *p, const PassGrad *grad);

/* ---- Out
 * ------------------------------------------------------------------------------------------- */

/* A Hugging Face folder: config.json, model.safetensors (sharded above 5 GB),
 * generation_config.json. The role's adapter is merged. head (HEAD_SCORE) makes it an
 * XForSequenceClassification. Tokenizer files are the caller's. */
Status model_export(const Role *role, const char *folder, DType dtype);

/* A GGUF file, as llama.cpp lays it out, the adapter merged; `tokenizer` is more metadata for it.
 * Vectors and tables of positions are F32 whatever `store` says, and matrices whose rows are no
 * whole blocks F16 instead of Q8_0. ERR_DATA names what llama.cpp has no place for: OPT, an option
 * of the architecture, a reward model. */
Status model_export_gguf(const Role *role, const char *path, GgufStore store,
                         const GgufMeta *tokenizer);

#endif
