#include "ppo/ppo_program.h"

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/progress.h"
#include "ppo/ppo_collect.h"
#include "stage/dry_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPECIAL_TOKENS 8 /* that a tokenizer may add around a text */

static MemoryPlan *plan_of(PpoProgram *p) {
    return p->run ? run_plan(p->run) : &p->plan;
}

static Status open_data(PpoProgram *p) {
    const Config *cfg = p->cfg;
    TRY(setup_tokenizer(&p->tok, cfg));
    TRY(setup_template(&p->tpl, cfg, p->tok));
    TRY(setup_dataset(&p->train, cfg, DATASET_PROMPT, false, "train", p->tok, p->tpl));
    TRY(setup_dataset(&p->eval, cfg, DATASET_PROMPT, false, "eval", p->tok, p->tpl));
    PpoTrainer *t = &p->trainer;
    t->tok = p->tok;
    t->data = p->train;
    t->order = setup_order(cfg, p->train);
    t->micro_rows = cfg->training.per_device_train_batch_size;
    t->accumulation = cfg->training.gradient_accumulation_steps;
    int64_t rows = ppo_batch_rows(t);
    int64_t episodes =
        cfg->ppo.total_episodes == CONFIG_NULL_INT
            ? (int64_t)(cfg->training.num_train_epochs * (double)dataset_size(p->train))
            : cfg->ppo.total_episodes;
    p->total_updates =
        cfg->training.max_steps > 0 ? cfg->training.max_steps : (episodes + rows - 1) / rows;
    int64_t tables = cfg->ppo.num_sample_generations;
    p->sample_every =
        tables > 0 ? (p->total_updates / tables > 1 ? p->total_updates / tables : 1) : 0;
    return OK;
}

static KlForm kl_form(const PpoConfig *c) {
    switch (c->kl_penalty) {
    case KL_PENALTY_KL:
        return KL_FORM_K1;
    case KL_PENALTY_ABS:
        return KL_FORM_ABS;
    case KL_PENALTY_MSE:
        return KL_FORM_MSE;
    case KL_PENALTY_FULL:
        return KL_FORM_FULL;
    default:
        return c->kl_estimator == KL_K3 ? KL_FORM_K3 : KL_FORM_K1;
    }
}

/* stop_token: eos is any of the model's end tokens (TRL: the tokenizer's alone); or an id of its
 * own; else responses always have response_length tokens. */
static Status set_stop_ids(PpoProgram *p) {
    const PpoConfig *c = &p->cfg->ppo;
    RolloutSampling *s = &p->trainer.sampling;
    int64_t id = c->stop_token_id != CONFIG_NULL_INT ? c->stop_token_id
                 : c->stop_token == STOP_TOKEN_EOS   ? tokenizer_eos(p->tok)
                                                     : TOKEN_NONE;
    if (id == TOKEN_NONE && c->stop_token == STOP_TOKEN_EOS)
        return status_fail(ERR_CONFIG, "ppo.stop_token: the tokenizer has no EOS; give "
                                       "ppo.stop_token_id, or null for responses of full length");
    if (id >= tokenizer_vocab_size(p->tok))
        return status_fail(ERR_CONFIG, "ppo.stop_token_id: %lld; the tokenizer's ids end at %d",
                           (long long)id, (int)tokenizer_vocab_size(p->tok) - 1);
    if (id == TOKEN_NONE) return OK;
    if (c->stop_token == STOP_TOKEN_EOS && !c->trl_compat) {
        s->n_stop_ids = (int)tokenizer_eos_list(p->tok, &s->stop_ids);
        return OK;
    }
    p->stop_id[0] = (int32_t)id;
    s->stop_ids = p->stop_id;
    s->n_stop_ids = 1;
    return OK;
}

static Status set_options(PpoProgram *p) {
    const PpoConfig *c = &p->cfg->ppo;
    PpoTrainer *t = &p->trainer;
    t->config = c;
    t->roles = &p->roles;
    /* TRL adds 1e-7 so that 0 may be written. */
    double temperature = c->trl_compat ? c->temperature + 1e-7 : c->temperature;
    t->sampling = (RolloutSampling){.temperature = temperature,
                                    .top_p = c->top_p,
                                    .top_k = (int32_t)c->top_k,
                                    .seed = (uint64_t)p->cfg->run.seed};
    t->pass_options = setup_pass_options(p->cfg, false); /* dropout is off in PPO, as in TRL */
    t->pass_options.temperature = temperature;
    t->kl_form = kl_form(c);
    t->kl = (KlControl){.adaptive = c->adap_kl_ctrl,
                        .target = c->target,
                        .horizon = c->horizon,
                        .coef = c->kl_coef};
    t->shaping = (ScoreShaping){
        .use_score_scaling = c->use_score_scaling,
        .use_score_norm = c->use_score_norm,
        .score_clip = config_is_null(c->score_clip) ? 0.0 : c->score_clip,
        .missing_eos_penalty =
            config_is_null(c->missing_eos_penalty) ? 0.0 : c->missing_eos_penalty,
    };
    return set_stop_ids(p);
}

/* Prompt and response fit into every model that reads them. */
static Status check_positions(const PpoProgram *p, int64_t longest) {
    static const char how[] = "lower data.max_length or ppo.response_length";
    TRY(setup_check_positions(p->roles.policy.base, longest, how));
    TRY(setup_check_positions(p->roles.value_role.base, longest, how));
    for (int i = 0; i < PPO_MAX_REWARDS; i++) {
        const RewardModelRole *w = &p->roles.reward[i];
        if (w->head && !w->tok) TRY(setup_check_positions(w->base, longest, how));
    }
    return OK;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Rows of a pass of a reward model. One with another tokenizer may need more tokens for the same
 * text, at most one for each byte, and no more than it has positions. */
static int64_t reward_rows(const PpoProgram *p, const RewardModelRole *w, int64_t rows) {
    if (!w->tok) return rows;
    size_t prompt = 0, token = 0;
    for (int64_t i = 0; i < dataset_size(p->train); i++)
        prompt = larger(prompt, strlen(dataset_get(p->train, i).prompt));
    for (int64_t i = 0; p->eval && i < dataset_size(p->eval); i++)
        prompt = larger(prompt, strlen(dataset_get(p->eval, i).prompt));
    for (int32_t id = 0; id < tokenizer_vocab_size(p->tok); id++)
        if (tokenizer_token(p->tok, id) && !tokenizer_is_special(p->tok, id))
            token = larger(token, strlen(tokenizer_token(p->tok, id)));
    int64_t bytes =
        (int64_t)(prompt + (size_t)p->cfg->ppo.response_length * token) + SPECIAL_TOKENS;
    int64_t positions = base_info(w->base)->max_positions;
    int64_t most = bytes < positions ? bytes : positions;
    return most > rows ? most : rows;
}

/* One pass for all roles, one generator for rollouts and evaluation. */
static Status open_compute(PpoProgram *p, int64_t longest) {
    PpoTrainer *t = &p->trainer;
    int64_t rows = (longest + t->config->response_length) * t->micro_rows;
    PassLimits training = {.max_rows = rows,
                           .max_seqs = t->micro_rows,
                           .backward = true,
                           .recompute = t->pass_options.recompute};
    PassLimits scoring = {.max_rows = rows, .max_seqs = t->micro_rows};
    size_t bytes = larger(pass_measure(&p->roles.policy_role, &training),
                          pass_measure(&p->roles.value_role, &training));
    bytes = larger(bytes, pass_measure(&p->roles.ref_role, &scoring));
    if (t->kl_form == KL_FORM_FULL)
        bytes = larger(bytes, pass_measure_kl(&p->roles.policy_role, &p->roles.ref_role, &scoring));
    for (int i = 0; i < PPO_MAX_REWARDS; i++) {
        const RewardModelRole *w = &p->roles.reward[i];
        if (!w->head) continue;
        Role role = {w->base, w->adapter, w->head};
        scoring.max_rows = reward_rows(p, w, rows);
        bytes = larger(bytes, pass_measure(&role, &scoring));
    }
    plan_add(plan_of(p), PLAN_ACTIVATIONS, "one pass, shared by all roles", bytes);
    TRY(pass_open(&t->pass, p->dev, bytes));
    int64_t at_once = ppo_batch_rows(t);
    if (at_once > t->config->local_rollout_forward_batch_size)
        at_once = t->config->local_rollout_forward_batch_size;
    GenLimits limits = {.max_batch = at_once, .max_context = longest + t->config->response_length};
    plan_add(plan_of(p), PLAN_KV_CACHE, "generation",
             generator_measure(&p->roles.policy_role, &limits));
    TRY(generator_open(&t->generator, &p->roles.policy_role, &limits));
    size_t n = (size_t)rows;
    t->logp = mem_zalloc(n, sizeof *t->logp);
    t->value = mem_zalloc(n, sizeof *t->value);
    return ppo_batch_open(&t->batch, rows, t->micro_rows);
}

static Status open_rollout(PpoProgram *p) {
    PpoTrainer *t = &p->trainer;
    int64_t n = ppo_batch_rows(t), length = t->config->response_length;
    t->items = mem_zalloc((size_t)n, sizeof *t->items);
    t->permutation = mem_zalloc((size_t)n, sizeof *t->permutation);
    plan_add(plan_of(p), PLAN_ROLLOUT, "tokens, log-probs, values, advantages",
             (size_t)(n * length) * 8 * sizeof(double));
    TRY(rollout_open(&t->rollout, n, length));
    return trajectory_open(&t->trajectory, n, n * (length + 1));
}

static Status open_rewards(PpoProgram *p, int64_t longest) {
    PpoTrainer *t = &p->trainer;
    int64_t rows = (longest + t->config->response_length) * t->micro_rows;
    const RewardSourceList *list = &p->cfg->ppo.reward;
    for (size_t i = 0; i < list->n; i++) {
        const RewardSource *source = &list->items[i];
        RewardScorer *scorer = &t->scorers[t->n_scorers];
        const RewardModelRole *w = &p->roles.reward[i];
        RewardModelOptions model = {.pass = t->pass,
                                    .role = {w->base, w->adapter, w->head},
                                    .tok = w->tok,
                                    .max_rows = w->head ? reward_rows(p, w, rows) : 0,
                                    .max_seqs = t->micro_rows};
        switch (source->kind) {
        case REWARD_MODEL:
            TRY(reward_model_open(scorer, &model, source->weight));
            break;
        case REWARD_FUNCTION:
            reward_function_open(scorer, source);
            break;
        case REWARD_COMMAND:
            TRY(reward_command_open(scorer, source));
            break;
        case REWARD_URL: /* refused with the config */
            FAIL("reward %d of kind url", (int)i);
        }
        t->n_scorers++;
    }
    return OK;
}

static Status open_optimizer(PpoProgram *p) {
    OptimGroup groups[] = {{.params = &p->roles.policy_params},
                           {.role = "value", .params = &p->roles.value_params}};
    OptimOptions options = optim_options(&p->cfg->training);
    if (p->cfg->ppo.trl_compat) options.max_grad_norm = 0.0; /* defect B2 */
    plan_add(plan_of(p), PLAN_OPTIMIZER, "Adam's moments", optim_bytes(groups, 2));
    return optim_open(&p->trainer.optim, p->dev, groups, 2, &options);
}

Status ppo_program_open(PpoProgram *p) {
    TRY(setup_device(&p->dev, &p->cfg->run));
    if (p->run) TRY(run_set_device(p->run, p->dev));
    TRY(open_data(p));
    TRY(roles_open(&p->roles, p->dev, p->cfg, p->tok));
    TRY(set_options(p));
    roles_plan(&p->roles, plan_of(p), p->cfg);
    TRY(open_optimizer(p));
    int64_t longest = setup_longest(p->train), other = setup_longest(p->eval);
    if (other > longest) longest = other;
    TRY(check_positions(p, longest + p->cfg->ppo.response_length));
    TRY(open_compute(p, longest));
    TRY(open_rollout(p));
    TRY(open_rewards(p, longest));
    return schedule_init(&p->schedule, &p->cfg->training, p->total_updates);
}

Status ppo_program_begin(PpoProgram *p) {
    State *state = run_state(p->run);
    optim_register(p->trainer.optim, state);
    ppo_trainer_register(&p->trainer, state);
    TRY(setup_inputs(p->run, p->cfg, &p->roles.policy, p->tok, p->train));
    char hex[65];
    for (size_t i = 0; i < p->cfg->ppo.reward.n; i++) {
        const RewardModelRole *w = &p->roles.reward[i];
        if (!w->head) continue;
        TRY(run_digest_path(hex, w->place.adapter ? w->place.adapter : w->place.base));
        run_input(p->run, "reward", p->cfg->ppo.reward.items[i].model, hex);
    }
    run_fact(p->run, "trainable parameters, policy",
             json_new_int(params_count(&p->roles.policy_params)));
    run_fact(p->run, "trainable parameters, value",
             json_new_int(params_count(&p->roles.value_params)));
    RunFacts facts = {.total_steps = p->total_updates,
                      .examples_per_step = ppo_batch_rows(&p->trainer),
                      .unit = "updates",
                      .has_eval = p->eval != NULL};
    TRY(run_begin(p->run, &facts));
    p->started_s = progress_clock_s();
    p->first_episode = p->trainer.episode;
    return OK;
}

double ppo_program_epoch(const PpoProgram *p) {
    return (double)p->trainer.episode / (double)dataset_size(p->train);
}

static Status keep_sample(void *ctx, const char *query, const char *response, double score) {
    PpoProgram *p = ctx;
    Json *row = json_new_object();
    json_set(row, "query", json_new_str(query));
    json_set(row, "model response", json_new_str(response));
    json_set(row, "score", json_new_num(score));
    return run_sample(p->run, row);
}

/* TRL's sample tables: a batch of evaluation prompts (of training prompts where there are none). */
static Status write_samples(PpoProgram *p) {
    PpoEval ignored;
    PpoSampleSink sink = {.on_sample = keep_sample,
                          .ctx = p,
                          .max_samples = p->cfg->training.per_device_eval_batch_size};
    return ppo_evaluate(&ignored, &p->trainer, p->eval ? p->eval : p->train, sink.max_samples,
                        &sink);
}

Status ppo_program_report(PpoProgram *p, int64_t update, double lr) {
    PpoTrainer *t = &p->trainer;
    double seconds = progress_clock_s() - p->started_s;
    ppo_log_update(run_metrics(p->run), t, lr,
                   (double)(t->episode - p->first_episode) / fmax(seconds, 1e-9));
    ppo_control(t);
    if (p->sample_every > 0 && update % p->sample_every == 0) return write_samples(p);
    return OK;
}

Status ppo_program_evaluate(PpoProgram *p) {
    double start = progress_clock_s();
    PpoEval e;
    Status st = ppo_evaluate(&e, &p->trainer, p->eval, 0, NULL);
    if (st == ERR_STOPPED)
        return OK; /* the loop saves and leaves, and evaluates again when it goes on */
    TRY(st);
    Json *values = json_new_object();
    json_set(values, "eval_objective/scores", json_new_num(e.score));
    json_set(values, "eval_tokens/responses_len_mean", json_new_num(e.length));
    json_set(values, "eval_ended", json_new_num(e.ended));
    return run_eval_done(p->run, values, progress_clock_s() - start, e.rows);
}

/* The first prompts, as the first update takes them. */
static Status show_prompts(PpoProgram *p) {
    PpoTrainer *t = &p->trainer;
    Batch *batch = NULL;
    int64_t size = dataset_size(p->train), n = t->micro_rows < size ? t->micro_rows : size;
    ppo_locate_rows(t, 0);
    TRY(batch_open(&batch, p->train, n));
    batch_fill_items(batch, p->train, 0, t->items, n);
    printf("prompts; behind each up to %lld tokens are sampled and learned\n",
           (long long)t->config->response_length);
    dry_run_rows(&batch->rows, p->tok, NULL, 64);
    batch_close(batch);
    return OK;
}

Status ppo_program_dry_run(PpoProgram *p) {
    TRY(ppo_program_open(p));
    plan_print(&p->plan);
    TRY(show_prompts(p));
    double start = progress_clock_s();
    TRY(ppo_update(&p->trainer, 0, schedule_lr(&p->schedule, 0)));
    dry_run_estimate(progress_clock_s() - start, 1, p->total_updates);
    return dev_check(p->dev);
}

Status ppo_program_export(PpoProgram *p) {
    PublishFolder *folder = NULL;
    Status st = run_final_open(p->run, &folder);
    if (st == OK) st = setup_export(&p->roles.policy, NULL, p->tok, publish_folder_path(folder));
    if (st == OK) st = head_save(p->roles.value_head, publish_folder_path(folder));
    if (st == OK) st = run_final_commit(p->run, folder);
    publish_folder_close(folder);
    return st;
}

void ppo_program_close(PpoProgram *p) {
    PpoTrainer *t = &p->trainer;
    run_close(p->run);
    for (int i = 0; i < t->n_scorers; i++) t->scorers[i].close(t->scorers[i].self);
    generator_close(t->generator);
    pass_close(t->pass);
    optim_close(t->optim);
    rollout_close(t->rollout);
    trajectory_close(t->trajectory);
    ppo_batch_close(t->batch);
    mem_free(t->items);
    mem_free(t->permutation);
    mem_free(t->logp);
    mem_free(t->value);
    roles_close(&p->roles);
    dataset_close(p->eval);
    dataset_close(p->train);
    template_close(p->tpl);
    tokenizer_close(p->tok);
    dev_close(p->dev);
    config_close(p->cfg);
}
