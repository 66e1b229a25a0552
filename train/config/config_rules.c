/* What follows from other values, what must hold between them, and what is not built yet. */
#include "train/config/loader.h"

#include "core/dtype.h"
#include "core/file.h"
#include "core/mem.h"
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static char *keep(Config *c, char *text) {
    char *kept = yaml_store_text(c->state->store, text);
    mem_free(text);
    return kept;
}

/* ---- what follows ---- */

static void resolve_run(Config *c) {
    RunConfig *r = &c->run;
    bool never = str_equal(r->resume_from, "never");
    r->resume = str_equal(r->resume_from, "auto") ? RESUME_AUTO
                : never                           ? RESUME_NEVER
                                                  : RESUME_PATH;
    if (r->report_to.n == 1 && str_equal(r->report_to.items[0], "none")) r->report_to.n = 0;
    if (c->training.data_seed == CONFIG_NULL_INT) c->training.data_seed = r->seed;
}

/* TRL names a file of a data set in three parts. */
static void resolve_dataset(Config *c, DatasetConfig *d) {
    if (!d->path) return;
    bool is_loader = str_equal(d->path, "json") || str_equal(d->path, "csv") ||
                     str_equal(d->path, "text") || str_equal(d->path, "parquet");
    if (d->data_dir) d->path = keep(c, file_join(d->path, d->data_dir));
    if (d->name) d->path = keep(c, file_join(d->path, d->name));
    if (d->data_files) {
        d->path = is_loader ? d->data_files : keep(c, file_join(d->path, d->data_files));
    }
    d->data_dir = d->name = d->data_files = NULL;
}

/* TRL's data sets have splits; a single file has none, whatever was asked for. */
static bool has_test_split(const Config *c) {
    bool by_name =
        config_slot(c->state, "data.train")->flat || config_given(c, "data.dataset_test_split");
    const DatasetList *train = &c->data.train;
    for (size_t i = 0; i < train->n; i++) {
        if (!train->items[i].path || file_is_regular(train->items[i].path)) return false;
    }
    return by_name && train->n > 0;
}

/* Rows set apart are read from the same files. In a flat file they are only evaluated on where it
 * asks for evaluation, as in TRL. */
static void resolve_test_rows(Config *c) {
    DataConfig *d = &c->data;
    bool flat = config_slot(c->state, "data.test_split_size")->flat;
    if (!config_given(c, "training.eval_strategy") && !flat)
        c->training.eval_strategy = STRATEGY_STEPS;
    if (c->training.eval_strategy == STRATEGY_NO) return;
    d->eval = (DatasetList){yaml_store_alloc(c->state->store, d->train.n, sizeof *d->eval.items),
                            d->train.n};
    for (size_t i = 0; i < d->train.n; i++) {
        d->eval.items[i] = d->train.items[i];
        if (!d->eval.items[i].split) d->eval.items[i].split = keep(c, mem_strdup("train"));
    }
}

static void resolve_data(Config *c) {
    DataConfig *d = &c->data;
    TrainingConfig *t = &c->training;
    for (size_t i = 0; i < d->train.n; i++) resolve_dataset(c, &d->train.items[i]);
    for (size_t i = 0; i < d->eval.n; i++) resolve_dataset(c, &d->eval.items[i]);
    if (d->eval_packing == TRI_NULL) d->eval_packing = d->packing ? TRI_YES : TRI_NO;
    if (d->eval.n && !config_given(c, "training.eval_strategy")) t->eval_strategy = STRATEGY_STEPS;
    if (!config_is_null(d->test_split_size) && d->eval.n == 0) resolve_test_rows(c);
    if (t->eval_strategy == STRATEGY_NO || d->eval.n || !has_test_split(c)) return;
    d->eval.items = yaml_store_alloc(c->state->store, d->train.n, sizeof *d->eval.items);
    for (; d->eval.n < d->train.n; d->eval.n++) {
        d->eval.items[d->eval.n] = d->train.items[d->eval.n];
        d->eval.items[d->eval.n].split = d->dataset_test_split;
    }
}

static bool wants_best(const Config *c) {
    const TrainingConfig *t = &c->training;
    return t->load_best_model_at_end || t->early_stopping_patience != CONFIG_NULL_INT ||
           t->save_strategy == STRATEGY_BEST;
}

static void resolve_training(Config *c) {
    TrainingConfig *t = &c->training;
    if (config_is_null(t->eval_steps)) t->eval_steps = t->logging_steps;
    if (!t->metric_for_best_model && wants_best(c)) {
        t->metric_for_best_model = c->stage == STAGE_PPO ? "objective/scores" : "loss";
    }
    if (t->greater_is_better == TRI_NULL && t->metric_for_best_model) {
        t->greater_is_better = str_ends(t->metric_for_best_model, "loss") ? TRI_NO : TRI_YES;
    }
}

/* kl_coef (TRL) and init_kl_coef (classic) are the same number: where the weight starts. */
static void resolve_kl(PpoConfig *p, const Config *c) {
    bool has_kl = config_given(c, "ppo.kl_coef"), has_init = config_given(c, "ppo.init_kl_coef");
    if (!has_init && (has_kl || !p->adap_kl_ctrl))
        p->init_kl_coef = p->kl_coef;
    else if (!has_kl)
        p->kl_coef = p->init_kl_coef;
}

/* TRL's example takes the policy from one path and the tokenizer from the other. */
static void resolve_sft_model_path(Config *c) {
    if (!c->ppo.sft_model_path) return;
    if (!c->model.tokenizer) c->model.tokenizer = c->model.path;
    c->model.path = c->ppo.sft_model_path;
    c->ppo.sft_model_path = NULL;
}

static void resolve_ppo(Config *c) {
    PpoConfig *p = &c->ppo;
    resolve_sft_model_path(c);
    const ConfigState *s = c->state;
    bool flat_file = s->has_flat_keys && !s->has_tree_keys;
    if (!config_given(c, "ppo.stop_token") && (flat_file || p->stop_token_id != CONFIG_NULL_INT)) {
        p->stop_token = STOP_TOKEN_NULL;
    }
    bool reward_is_model = false;
    config_rewards_resolve(c);
    for (size_t i = 0; i < p->reward.n; i++) reward_is_model |= p->reward.items[i].model != NULL;
    if (!p->value_model) p->value_model = reward_is_model ? "reward" : "policy";
    resolve_kl(p, c);
    if (p->early_stopping == TRI_YES && config_is_null(p->target_kl)) p->target_kl = 1;
    if (p->early_stopping == TRI_NO) p->target_kl = (double)NAN;
}

/* ---- what must hold ---- */

typedef struct Rule {
    unsigned stages;  /* 0: all */
    const char *path; /* where the message points */
    bool (*broken)(const Config *c);
    const char *text; /* "what is wrong; what to do" */
} Rule;

/* A rule's test: the body reads as the mistake. */
#define BROKEN(name, mistake)           \
    static bool name(const Config *c) { \
        return mistake;                 \
    }

static bool device_is_unknown(const Config *c) {
    const char *d = c->run.device;
    if (str_equal(d, "auto") || str_equal(d, "cpu") || str_equal(d, "ref")) return false;
    if (!str_starts(d, "cuda")) return true;
    size_t n = strspn(d + 4 + (d[4] == ':'), "0123456789");
    return d[4] != '\0' && (d[4] != ':' || n == 0 || n > 4 || d[5 + n] != '\0');
}

BROKEN(no_model, !c->model.path && !c->model.config)
BROKEN(two_models, c->model.path && c->model.config)
BROKEN(no_tokenizer, c->model.config && !c->model.path && !c->model.tokenizer)
BROKEN(adapter_on_nothing, c->model.adapter && !c->model.path)
BROKEN(two_quantizations, c->quantization.load_in_4bit && c->quantization.load_in_8bit)
static bool quantizes(const Config *c) {
    const QuantConfig *q = &c->quantization;
    return q->load_in_4bit || q->load_in_8bit || q->lm_head;
}
BROKEN(full_quantized, quantizes(c) && c->peft.peft_type == PEFT_NONE && !c->model.adapter)
static bool odd_compute_dtype(const Config *c) {
    const char *name = c->quantization.bnb_4bit_compute_dtype;
    DType t = name ? dtype_by_name(name) : DTYPE_F32;
    return t != DTYPE_F32 && t != DTYPE_BF16 && t != DTYPE_F16;
}
BROKEN(odd_blocksize, c->quantization.bnb_4bit_blocksize &(c->quantization.bnb_4bit_blocksize - 1))
BROKEN(quantized_compat, quantizes(c) && c->ppo.trl_compat)
BROKEN(odd_lm_head, c->quantization.lm_head && !str_equal(c->quantization.lm_head, "int8"))
BROKEN(odd_lora_init, !str_equal(c->peft.init_lora_weights, "true") &&
                          !str_equal(c->peft.init_lora_weights, "gaussian"))
BROKEN(no_data, c->data.train.n == 0)
BROKEN(two_tests, !config_is_null(c->data.test_split_size) && config_given(c, "data.eval"))
BROKEN(broken_test_row,
       c->data.test_split_size > 1 && floor(c->data.test_split_size) != c->data.test_split_size)
BROKEN(packing_without_end, c->data.packing && c->data.max_length == CONFIG_NULL_INT)
BROKEN(eval_packing_without_end,
       c->data.eval_packing == TRI_YES && c->data.max_length == CONFIG_NULL_INT)
BROKEN(eval_without_data, c->training.eval_strategy != STRATEGY_NO && c->data.eval.n == 0)
BROKEN(best_without_eval, wants_best(c) && c->training.eval_strategy == STRATEGY_NO)
BROKEN(threshold_without_patience, c->training.early_stopping_threshold > 0 &&
                                       c->training.early_stopping_patience == CONFIG_NULL_INT)
BROKEN(smoothed_dft, c->training.label_smoothing_factor > 0 && c->sft.loss_type == SFT_LOSS_DFT)
BROKEN(no_reward, c->ppo.reward.n == 0)
BROKEN(two_stops, c->ppo.stop_token == STOP_TOKEN_EOS && c->ppo.stop_token_id != CONFIG_NULL_INT)
BROKEN(two_kl_coefs, c->ppo.kl_coef != c->ppo.init_kl_coef)
BROKEN(target_without_control, !c->ppo.adap_kl_ctrl && !config_given(c, "ppo.adap_kl_ctrl") &&
                                   config_given(c, "ppo.target"))
BROKEN(horizon_without_control, !c->ppo.adap_kl_ctrl && !config_given(c, "ppo.adap_kl_ctrl") &&
                                    config_given(c, "ppo.horizon"))
BROKEN(two_estimators, c->ppo.kl_penalty != KL_PENALTY_NULL && c->ppo.kl_estimator != KL_K1)
BROKEN(norm_without_scaling, c->ppo.use_score_norm && !c->ppo.use_score_scaling)
static bool value_of_no_reward(const Config *c) {
    bool is_model = false;
    for (size_t i = 0; i < c->ppo.reward.n; i++) is_model |= c->ppo.reward.items[i].model != NULL;
    return str_equal(c->ppo.value_model, "reward") && !is_model;
}
BROKEN(uneven_minibatches, c->training.per_device_train_batch_size *
                                   c->training.gradient_accumulation_steps %
                                   c->ppo.num_mini_batches !=
                               0)

static const Rule RULES[] = {
    {0, "device", device_is_unknown, "must be auto, cpu, cuda or cuda:N"},
    {0, "model.path", no_model,
     "is missing; name a model folder, or model.config to start from random weights"},
    {0, "model.config", two_models, "stands beside model.path; keep one of them"},
    {0, "model.tokenizer", no_tokenizer,
     "is missing; a model from model.config has none of its own"},
    {0, "model.adapter", adapter_on_nothing, "needs the model it was trained on; set model.path"},
    {0, "quantization.load_in_8bit", two_quantizations, "stands beside load_in_4bit; keep one"},
    {0, "peft.peft_type", full_quantized,
     "is null, but a quantized base is frozen and needs an adapter to train; set peft (use_peft: "
     "true)"},
    {0, "quantization.bnb_4bit_compute_dtype", odd_compute_dtype,
     "must be float32, bfloat16 or float16"},
    {0, "quantization.bnb_4bit_blocksize", odd_blocksize,
     "must be a power of two: 32, 64, 128, ... 4096"},
    {ON_PPO, "ppo.trl_compat", quantized_compat,
     "trains a whole copy of the value model, and quantized weights are frozen; leave one out"},
    {0, "quantization.lm_head", odd_lm_head, "can only be int8 or null"},
    {0, "peft.init_lora_weights", odd_lora_init, "must be true or gaussian"},
    {0, "data.train", no_data, "is missing; name a file or folder"},
    {0, "data.test_split_size", two_tests, "stands beside data.eval; keep one of them"},
    {0, "data.test_split_size", broken_test_row, "must be a share below 1 or a whole number"},
    {ON_SFT, "data.packing", packing_without_end, "needs data.max_length, the length of a row"},
    {ON_SFT, "data.eval_packing", eval_packing_without_end,
     "needs data.max_length, the length of a row"},
    {0, "training.eval_strategy", eval_without_data,
     "asks for evaluation, but there is nothing to evaluate on; set data.eval"},
    {0, "training.eval_strategy", best_without_eval,
     "is no, but the best step is asked for; set data.eval, or steps or epoch"},
    {0, "training.early_stopping_threshold", threshold_without_patience,
     "does nothing without early_stopping_patience; set it too"},
    {ON_SFT, "training.label_smoothing_factor", smoothed_dft,
     "does nothing with loss_type: dft, as in TRL; leave one of them out"},
    {ON_PPO, "ppo.reward", no_reward,
     "is missing; give {model: PATH}, {function: NAME} or {command: [...]}"},
    {ON_PPO, "ppo.stop_token_id", two_stops, "stands beside stop_token; keep one of them"},
    {ON_PPO, "ppo.init_kl_coef", two_kl_coefs,
     "and kl_coef are one number under two names, but differ; keep one of them"},
    {ON_PPO, "ppo.target", target_without_control,
     "does nothing without adap_kl_ctrl; say adap_kl_ctrl: true or false"},
    {ON_PPO, "ppo.horizon", horizon_without_control,
     "does nothing without adap_kl_ctrl; say adap_kl_ctrl: true or false"},
    {ON_PPO, "ppo.kl_penalty", two_estimators, "stands beside kl_estimator; keep one of them"},
    {ON_PPO, "ppo.use_score_norm", norm_without_scaling, "needs use_score_scaling: true"},
    {ON_PPO, "ppo.value.model", value_of_no_reward,
     "is reward, but no reward is a model; use policy or a path"},
    {ON_PPO, "ppo.num_mini_batches", uneven_minibatches,
     "must divide per_device_train_batch_size times gradient_accumulation_steps"},
};

/* The reward model's score head is always trained and saved; naming it is fine. */
static bool saves_modules(const Config *c) {
    const StrList *list = &c->peft.modules_to_save;
    bool only_score =
        c->stage == STAGE_REWARD && list->n == 1 && str_equal(list->items[0], "score");
    return list->n > 0 && !only_score;
}

static bool asks_url(const Config *c) {
    for (size_t i = 0; i < c->ppo.reward.n; i++) {
        if (c->ppo.reward.items[i].url) return true;
    }
    return false;
}

/* Keys that are understood, and refused by name until the code is there: when it is, its line goes.
 */
static const Rule NOT_BUILT[] = {
    {0, "peft.modules_to_save", saves_modules, "is not built yet for other modules than score"},
    {ON_PPO, "ppo.reward", asks_url, "url is not built yet; use a command that asks it"},
};

/* Where a key was given, else the top of the file. */
static void error_at(Config *c, const char *path, const char *text) {
    ConfigState *s = c->state;
    const Slot *slot = config_slot(s, path);
    if (slot->refused) return;
    if (slot->node)
        yaml_error(&s->errors, slot->place, "%s", text);
    else if (s->file)
        yaml_error_at(&s->errors, s->file, 1, 1, "%s", text);
    else
        yaml_error_at(&s->errors, "arguments", 0, 0, "%s", text);
}

static void error_at_key(Config *c, const char *path, const char *text) {
    char *line = str_format("`%s` %s", config_shown_name(c->state, path), text);
    error_at(c, path, line);
    mem_free(line);
}

static void check_rules(Config *c, const Rule *rules, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (on_stage(rules[i].stages, c->stage) && rules[i].broken(c)) {
            error_at_key(c, rules[i].path, rules[i].text);
        }
    }
}

static void check_datasets(Config *c, const char *path, const DatasetList *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (!list->items[i].path) error_at_key(c, path, "needs a path in each entry");
    }
}

/* The schedule knows its own arguments: ask it. */
static void check_schedule(Config *c) {
    Schedule schedule;
    const char *path = "training.lr_scheduler_kwargs";
    if (schedule_init(&schedule, &c->training, 1000) == OK) return;
    char *text = mem_strdup(status_message());
    status_clear();
    error_at(c, config_given(c, path) ? path : "training.lr_scheduler_type", text);
    mem_free(text);
}

static bool computes_below_f32(const Config *c) {
    const char *name = c->quantization.bnb_4bit_compute_dtype;
    return c->quantization.load_in_4bit && name && dtype_by_name(name) != DTYPE_F32;
}

static bool splits_int8(const Config *c) {
    return c->quantization.load_in_8bit && config_given(c, "quantization.llm_int8_threshold");
}

/* Accepted, because results stay right, and said. */
static void note_without_effect(Config *c) {
    const struct {
        bool asked;
        const char *name, *why;
    } notes[] = {
        {c->training.bf16 == TRI_YES, "bf16",
         "computing in bfloat16 is not built yet; float32 is used"},
        {computes_below_f32(c), "bnb_4bit_compute_dtype",
         "products with a 4-bit weight are computed in float32"},
        {splits_int8(c), "llm_int8_threshold",
         "activations stay in float32, so none is too large for 8 bits"},
    };
    Str *out = &c->state->without_effect;
    for (size_t i = 0; i < COUNT_OF(notes); i++) {
        if (!notes[i].asked) continue;
        str_printf(out, "%s%s (%s)", out->len ? ", " : "", notes[i].name, notes[i].why);
    }
}

void config_rules_apply(Config *c) {
    resolve_run(c);
    config_peft_resolve(c);
    resolve_data(c);
    resolve_training(c);
    if (c->stage == STAGE_PPO) resolve_ppo(c);
    check_rules(c, RULES, COUNT_OF(RULES));
    check_rules(c, NOT_BUILT, COUNT_OF(NOT_BUILT));
    check_datasets(c, "data.train", &c->data.train);
    check_datasets(c, "data.eval", &c->data.eval);
    if (c->stage == STAGE_PPO) config_rewards_check(c);
    check_schedule(c);
    note_without_effect(c);
}
