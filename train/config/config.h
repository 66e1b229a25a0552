/* config: what a program was asked to do, read from YAML and the command line.
 *
 *     Config *cfg = NULL;
 *     Status st = config_load(&cfg, STAGE_SFT, argc, argv);
 *     if (st != OK) goto out;                      // log_error("%s", status_message()) in main
 *     if (cfg->action == CONFIG_LEAVE) goto out;   // --help, --version, --print-config, --validate
 *     ... cfg->training.learning_rate ...
 *     config_close(cfg);
 *
 * One table (schema.h) holds every key with type, default, range, documentation and TRL's flat
 * names; parsing, --help, --print-config, the JSON Schema and docs/config.md are made from it.
 * Strings and lists below belong to the Config. The same C type carries "null" where a key may be
 * null: char *  NULL        Tri  TRI_NULL        int64_t  CONFIG_NULL_INT        double  NaN
 * (config_is_null) What a key means is said once, in the schema's documentation (docs/config.md);
 * comments here only say what a program needs beyond that.
 */
#ifndef HONE_TRAIN_CONFIG_CONFIG_H
#define HONE_TRAIN_CONFIG_CONFIG_H

#include "core/quant.h"
#include "core/status.h"
#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum Stage { STAGE_SFT, STAGE_REWARD, STAGE_PPO, STAGE_COUNT } Stage;

typedef enum Tri { TRI_NO, TRI_YES, TRI_NULL } Tri;
#define CONFIG_NULL_INT INT64_MIN
static inline bool config_is_null(double x) {
    return x != x;
}

typedef struct StrList {
    char **items;
    size_t n;
} StrList;

/* key: value pairs of a free mapping, in file order; values as text. */
typedef struct Pair {
    char *key, *value;
} Pair;
typedef struct PairList {
    Pair *items;
    size_t n;
} PairList;

typedef enum Resume { RESUME_AUTO, RESUME_NEVER, RESUME_PATH } Resume;

typedef struct RunConfig {
    char *device; /* "auto", "cpu", "cuda", "cuda:N": what dev_open takes */
    int64_t threads, seed;
    char *output_dir, *run_name;
    char *resume_from; /* as written: auto, never or a folder */
    Resume resume;     /* resolved; RESUME_PATH: resume_from is the folder */
    StrList report_to; /* as written, "none" taken out; nothing depends on it */
    bool quiet;
} RunConfig;

typedef enum ModelDtype { MODEL_F32, MODEL_BF16, MODEL_F16, MODEL_DTYPE_AUTO } ModelDtype;
typedef struct ModelConfig {
    char *path, *config; /* exactly one is given */
    char *tokenizer;     /* NULL: path */
    char *adapter;
    char *root;       /* where names that are no local path are looked up */
    ModelDtype dtype; /* MODEL_DTYPE_AUTO: the file's own */
} ModelConfig;

typedef struct QuantConfig {
    bool load_in_4bit, load_in_8bit;
    QuantKind bnb_4bit_quant_type; /* QUANT_NF4 or QUANT_FP4 */
    int64_t bnb_4bit_blocksize;
    bool bnb_4bit_use_double_quant;
    char *bnb_4bit_compute_dtype;
    double llm_int8_threshold;
    StrList llm_int8_skip_modules;
    char *lm_head; /* "int8": the head too */
} QuantConfig;

typedef enum PeftType { PEFT_NONE, PEFT_LORA } PeftType;
typedef struct PeftConfig {
    PeftType
        peft_type; /* PEFT_NONE: no adapter is trained. Resolved: a `peft:` section means LORA */
    int64_t r;
    double lora_alpha, lora_dropout;
    StrList
        target_modules; /* empty: the architecture's default; one "all-linear": all but the head */
    StrList exclude_modules, modules_to_save;
    StrList layers_to_transform, layers_pattern;
    PairList rank_pattern, alpha_pattern;
    /* The same as numbers; resolved. */
    int64_t *layers;
    ModuleNumber *ranks, *alphas;
    bool use_rslora;
    char *init_lora_weights; /* "true" or "gaussian" */
} PeftConfig;

typedef struct DatasetConfig {
    char *path, *format;                         /* format "auto": recognised */
    char *split;                                 /* NULL: "train" where path is a folder */
    PairList columns;                            /* our name: their name */
    double weight;                               /* times each row is seen in an epoch */
    char *prompt_template, *completion_template; /* "Q: {question}\\nA:"; NULL: the format's own */
    char *promptsource, *promptsource_name;      /* a templates.yaml, and which of its templates */
    char *name, *data_dir, *data_files; /* TRL's; resolved into path, programs do not read them */
} DatasetConfig;
typedef struct DatasetList {
    DatasetConfig *items;
    size_t n;
} DatasetList;

typedef enum PackingKind { PACKING_BFD, PACKING_BFD_SPLIT, PACKING_WRAPPED } PackingKind;
typedef enum Truncation { TRUNCATE_KEEP_START, TRUNCATE_KEEP_END } Truncation;
typedef enum BadRowPolicy { BAD_ROW_ERROR, BAD_ROW_SKIP } BadRowPolicy;
typedef struct DataConfig {
    DatasetList train, eval;
    char *root, *cache_dir;
    int64_t max_length; /* null: no limit. SFT truncates, reward drops, PPO: longest prompt */
    Truncation truncation_mode;
    bool packing;
    PackingKind packing_strategy;
    Tri eval_packing; /* null: as packing (config_load resolves it; never TRI_NULL afterwards) */
    BadRowPolicy on_bad_row;
    double max_bad_fraction;
    bool shuffle; /* false: file order */
    char *chat_template_path, *dataset_text_field, *eos_token;
    char *dataset_test_split; /* resolved into `eval`; programs do not read it */
    double test_split_size;   /* null: none. Else `eval` is resolved to be as `train` */
    bool text_documents;      /* a plain text file is one document, not a row a line */
    bool parse_special;
} DataConfig;

typedef enum LrScheduler {
    LR_LINEAR,
    LR_COSINE,
    LR_COSINE_WITH_RESTARTS,
    LR_POLYNOMIAL,
    LR_CONSTANT,
    LR_CONSTANT_WITH_WARMUP,
    LR_INVERSE_SQRT,
    LR_COSINE_WITH_MIN_LR,
    LR_WARMUP_STABLE_DECAY
} LrScheduler;
typedef enum OptimKind { OPTIM_ADAMW } OptimKind;
typedef enum Strategy { STRATEGY_NO, STRATEGY_STEPS, STRATEGY_EPOCH, STRATEGY_BEST } Strategy;

/* "Steps or share": >= 1 is a count of steps, below 1 a share of all steps; see config_steps. */
typedef struct TrainingConfig {
    int64_t per_device_train_batch_size, per_device_eval_batch_size, gradient_accumulation_steps;
    double num_train_epochs;
    int64_t max_steps; /* > 0 wins over epochs */
    double learning_rate;
    LrScheduler lr_scheduler_type;
    PairList lr_scheduler_kwargs;
    double warmup_steps; /* steps or share */
    OptimKind optim;
    double adam_beta1, adam_beta2, adam_epsilon, weight_decay;
    double max_grad_norm; /* 0: no clipping */
    double label_smoothing_factor;
    double neftune_noise_alpha; /* null: off */
    Tri bf16;                   /* null: where the device computes bf16 fast */
    bool gradient_checkpointing;
    Strategy logging_strategy;
    double logging_steps; /* steps or share */
    bool logging_first_step;
    Strategy eval_strategy; /* resolved: `data.eval` in a tree means steps */
    double eval_steps;      /* steps or share; resolved: null becomes logging_steps */
    double eval_delay;
    bool eval_on_start;
    Strategy save_strategy;
    double save_steps;        /* steps or share */
    int64_t save_total_limit; /* null: keep all */
    bool save_only_model;
    bool load_best_model_at_end;
    char *metric_for_best_model;     /* null: loss when a best model is wanted (resolved) */
    Tri greater_is_better;           /* resolved where metric_for_best_model is set */
    int64_t early_stopping_patience; /* null: off; in evaluations */
    double early_stopping_threshold;
    int64_t data_seed; /* resolved: null becomes the seed */
    bool dataloader_drop_last;
    bool ignore_data_skip;
} TrainingConfig;

typedef enum SftLoss { SFT_LOSS_CHUNKED_NLL, SFT_LOSS_NLL, SFT_LOSS_DFT } SftLoss;
typedef struct SftConfig {
    Tri completion_only_loss; /* null: true for rows with a completion */
    bool assistant_only_loss;
    SftLoss loss_type;
} SftConfig;

typedef struct RewardConfig {
    double center_rewards_coefficient; /* null: off */
    bool disable_dropout;
} RewardConfig;

typedef enum RewardKind { REWARD_MODEL, REWARD_FUNCTION, REWARD_COMMAND, REWARD_URL } RewardKind;
/* Numbered as in the schema. */
typedef enum RewardFunction {
    REWARD_FN_NULL,
    REWARD_FN_LENGTH,
    REWARD_FN_CONTAINS,
    REWARD_FN_OCCURRENCES,
    REWARD_FN_STARTS_WITH,
    REWARD_FN_ENDS,
    REWARD_FN_MATCHES_FIELD,
    REWARD_FN_COUNT
} RewardFunction;
typedef struct RewardSource {
    RewardKind kind; /* resolved from which of the four is given */
    RewardFunction function;
    char *model, *url;
    StrList command; /* argv; one string in YAML is run by /bin/sh -c (already expanded here) */
    PairList args;   /* function: its other keys; all that it needs, and no others */
    double weight;
    double timeout_s; /* command, url: of one answer */
} RewardSource;
typedef struct RewardSourceList {
    RewardSource *items;
    size_t n;
} RewardSourceList;

typedef enum KlEstimator { KL_K1, KL_K3 } KlEstimator;
/* KL_PENALTY_NULL: kl_estimator speaks. */
typedef enum KlPenalty {
    KL_PENALTY_NULL,
    KL_PENALTY_KL,
    KL_PENALTY_ABS,
    KL_PENALTY_MSE,
    KL_PENALTY_FULL
} KlPenalty;
typedef enum StopToken { STOP_TOKEN_NULL, STOP_TOKEN_EOS } StopToken;

typedef struct PpoConfig {
    char *sft_model_path; /* TRL's; resolved into model.path, programs do not read it */
    RewardSourceList reward;
    /* value.model as written: "reward", "policy" or a path. Resolved: never NULL. */
    char *value_model;
    int64_t num_ppo_epochs, num_mini_batches;
    int64_t total_episodes; /* null: num_train_epochs x rows */
    int64_t local_rollout_forward_batch_size, num_sample_generations;
    int64_t response_length;
    StopToken stop_token;
    int64_t stop_token_id; /* null: see stop_token */
    double temperature, top_p;
    int64_t top_k; /* 0: off */
    double missing_eos_penalty;
    double kl_coef; /* resolved: init_kl_coef when adap_kl_ctrl */
    KlEstimator kl_estimator;
    KlPenalty kl_penalty;
    bool adap_kl_ctrl;
    double init_kl_coef, target, horizon;
    Tri early_stopping;
    double target_kl; /* resolved: null when PPO epochs never stop early; stop at policykl > 1.5
                         target_kl */
    double ratio_threshold;
    double cliprange, cliprange_value, vf_coef, gamma, lam;
    bool whiten_rewards, use_score_scaling, use_score_norm;
    double score_clip;
    bool trl_compat;
} PpoConfig;

typedef enum ConfigAction { CONFIG_TRAIN, CONFIG_DRY_RUN, CONFIG_LEAVE } ConfigAction;

typedef struct Config {
    Stage stage;
    ConfigAction action;
    char *file; /* the YAML file; NULL when everything came from the command line */
    RunConfig run;
    ModelConfig model;
    QuantConfig quantization;
    PeftConfig peft;
    DataConfig data;
    TrainingConfig training;
    SftConfig sft;
    RewardConfig reward;
    PpoConfig ppo;
    struct ConfigState *state; /* memory, origins */
} Config;

/* Reads the command line of a program (argv[0] is skipped) and its file.
 *   CONFIG.yaml | --config CONFIG.yaml    key=value    --key value | --key=value | --flag
 *   --validate --print-config --help --version : done here, on stdout; action is CONFIG_LEAVE
 *   --dry-run : CONFIG_DRY_RUN    --resume=auto|never|PATH    --quiet
 * ERR_USAGE for a wrong command line, ERR_INPUT for a missing file, ERR_CONFIG for anything wrong
 * in the config. When there are several errors all but the last are logged here and the last one is
 * the status message, so that a program which logs its status message shows them all, in order. */
Status config_load(Config **out, Stage stage, int argc, char **argv);
void config_close(Config *c);

/* ---- the resolved config as text ---- */
typedef struct ConfigItem {
    const char *path;   /* "training.learning_rate" */
    const char *value;  /* one line of YAML: 2e-5, null, [q_proj, v_proj] */
    const char *origin; /* "default", "a.yaml:3:16", "command line" */
    const char *trl;    /* TRL's default where ours is another one and was taken; else NULL */
    bool matters;       /* a resumed run must have the same value */
} ConfigItem;
/* Every key of the stage, in schema order; owned by c. For run.json, the report, TensorBoard. */
size_t config_items(const Config *c, const ConfigItem **items);

/* The resolved YAML with origins as comments (--print-config). */
void config_print(const Config *c, FILE *f);

/* What a checkpoint keeps: the lines `path: value` of all keys that matter (malloc'd, caller
 * frees), and the SHA-256 of that text in hex. */
char *config_fingerprint(const Config *c);
void config_digest(const Config *c, char hex[65]);
/* For a resume: compares with a kept fingerprint. OK when nothing that matters differs; else
 * ERR_CONFIG with `path: was A, is B` of every difference in the message. */
Status config_compare(const Config *c, const char *kept_fingerprint);

/* ---- small computations on values ---- */
/* "Steps or share" -> steps, at least 1 where the value is not 0; null gives 0. */
int64_t config_steps(double steps_or_share, int64_t total_steps);
/* A number of a free mapping (lr_scheduler_kwargs, function args), or `missing` when it is not
 * there. */
double config_pair_number(const PairList *p, const char *key, double missing);
const char *config_pair(const PairList *p, const char *key); /* NULL when absent */

/* ---- made from the tables ---- */
const char *stage_name(Stage stage); /* "sft", "reward", "ppo" */
bool stage_by_name(const char *name, Stage *out);
void config_help(Stage stage, FILE *f);   /* --help */
void config_schema(Stage stage, FILE *f); /* JSON Schema: `hone schema STAGE` */
void config_docs(FILE *f);                /* docs/config.md */

#endif
