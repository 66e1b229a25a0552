#include "reward/reward_program.h"

#include "core/progress.h"
#include "stage/dry_run.h"

#include <stdio.h>

static MemoryPlan *plan_of(RewardProgram *p) {
    return p->run ? run_plan(p->run) : &p->plan;
}

static Status open_data(RewardProgram *p) {
    TRY(setup_tokenizer(&p->tok, p->cfg));
    TRY(setup_template(&p->tpl, p->cfg, p->tok));
    TRY(setup_dataset(&p->train, p->cfg, DATASET_PREFERENCE, "train", p->tok, p->tpl));
    TRY(setup_dataset(&p->eval, p->cfg, DATASET_PREFERENCE, "eval", p->tok, p->tpl));
    RewardTrainer *t = &p->trainer;
    t->data = p->train;
    t->order = setup_order(p->cfg, p->train);
    TRY(batch_open(&t->batch, p->train, t->order.batch_size));
    if (p->eval)
        TRY(batch_open(&p->eval_batch, p->eval, p->cfg->training.per_device_eval_batch_size));
    p->steps_per_epoch = batch_steps_per_epoch(&t->order);
    p->total_steps = setup_total_steps(p->cfg, p->steps_per_epoch);
    return OK;
}

/* A score that comes with the model goes on; a language model gets a fresh one, drawn as
 * transformers does. */
static Status open_score(RewardProgram *p) {
    const ModelPlace *place = &p->model.place;
    const char *folders[] = {place->adapter, place->base};
    for (int i = 0; i < 2; i++)
        if (folders[i] && head_present(folders[i], HEAD_SCORE))
            return head_load(&p->score, p->model.base, HEAD_SCORE, folders[i], true);
    return head_create(&p->score, p->model.base, HEAD_SCORE, HEAD_INIT_RANGE,
                       (uint64_t)p->cfg->run.seed, true);
}

static Status open_pass(RewardProgram *p) {
    RewardTrainer *t = &p->trainer;
    int64_t rows = t->batch->max_rows, pairs = t->order.batch_size;
    PassLimits limits = {.max_rows = rows,
                         .max_seqs = t->batch->max_seqs,
                         .backward = true,
                         .recompute = t->options.recompute};
    size_t bytes = pass_measure(&t->role, &limits);
    if (p->eval_batch) {
        PassLimits scoring = {.max_rows = p->eval_batch->max_rows,
                              .max_seqs = p->eval_batch->max_seqs};
        size_t more = pass_measure(&t->role, &scoring);
        if (more > bytes) bytes = more;
        if (p->eval_batch->max_rows > rows) rows = p->eval_batch->max_rows;
        if (p->eval_batch->max_seqs > pairs) pairs = p->eval_batch->max_seqs;
    }
    reward_buffers_open(&t->buffers, rows, pairs);
    plan_add(plan_of(p), PLAN_ACTIVATIONS, "forward and backward", bytes);
    return pass_open(&t->pass, p->dev, bytes);
}

static Status open_optimizer(RewardProgram *p) {
    trainee_params(&p->params, &p->model);
    head_params(&p->params, p->score);
    OptimGroup group = {.params = &p->params};
    OptimOptions options = optim_options(&p->cfg->training);
    plan_add(plan_of(p), PLAN_OPTIMIZER, "Adam's moments", optim_bytes(&group, 1));
    return optim_open(&p->trainer.optim, p->dev, &group, 1, &options);
}

Status reward_program_open(RewardProgram *p) {
    const Config *cfg = p->cfg;
    TRY(setup_device(&p->dev, &cfg->run));
    if (p->run) TRY(run_set_device(p->run, p->dev));
    TRY(open_data(p));
    TRY(setup_trainee(&p->model, p->dev, cfg, "SEQ_CLS"));
    TRY(setup_check_vocab(p->model.base, p->tok));
    TRY(setup_check_positions(p->model.base, setup_longest(p->train), "lower data.max_length"));
    TRY(setup_check_positions(p->model.base, setup_longest(p->eval), "lower data.max_length"));
    TRY(open_score(p));
    RewardTrainer *t = &p->trainer;
    double center = cfg->reward.center_rewards_coefficient;
    t->center = config_is_null(center) ? 0.0 : center;
    t->role = (Role){p->model.base, p->model.adapter, p->score};
    t->options = setup_pass_options(cfg, !cfg->reward.disable_dropout);
    setup_plan_trainee(plan_of(p), &p->model, "reward");
    TRY(open_optimizer(p));
    TRY(open_pass(p));
    return schedule_init(&p->schedule, &cfg->training, p->total_steps);
}

Status reward_program_begin(RewardProgram *p) {
    State *state = run_state(p->run);
    optim_register(p->trainer.optim, state);
    state_i64(state, "reward/num_tokens", &p->trainer.num_tokens);
    TRY(setup_inputs(p->run, p->cfg, &p->model, p->tok, p->train));
    run_fact(p->run, "trainable parameters", json_new_int(params_count(&p->params)));
    int64_t per_step = p->trainer.order.batch_size * p->trainer.order.accumulation;
    RunFacts facts = {
        .total_steps = p->total_steps,
        .examples_per_step = per_step,
        .unit = "steps",
        .has_eval = p->eval != NULL,
    };
    return run_begin(p->run, &facts);
}

double reward_program_epoch(const RewardProgram *p, int64_t steps) {
    return (double)steps / (double)p->steps_per_epoch;
}

Status reward_program_evaluate(RewardProgram *p) {
    double start = progress_clock_s();
    RewardSums e;
    if (!reward_evaluate(&e, &p->trainer, p->eval, p->eval_batch,
                         p->cfg->training.per_device_eval_batch_size))
        return OK; /* a signal: the loop saves and leaves, and evaluates again when it goes on */
    Json *values = json_new_object();
    json_set(values, "eval_loss", json_new_num(e.loss));
    json_set(values, "eval_accuracy", json_new_num(e.correct / e.pairs));
    json_set(values, "eval_margin", json_new_num(e.margin / e.pairs));
    json_set(values, "eval_min_reward", json_new_num(e.reward_min));
    json_set(values, "eval_mean_reward", json_new_num(e.reward_sum / (2.0 * e.pairs)));
    json_set(values, "eval_max_reward", json_new_num(e.reward_max));
    return run_eval_done(p->run, values, progress_clock_s() - start, dataset_size(p->eval));
}

Status reward_program_dry_run(RewardProgram *p) {
    TRY(reward_program_open(p));
    plan_print(&p->plan);
    RewardTrainer *t = &p->trainer;
    batch_fill(t->batch, &t->order, p->train, 0, 0, 0);
    printf("pairs: %lld, the chosen sides first\n", (long long)t->batch->n_items);
    dry_run_rows(&t->batch->rows, p->tok, t->batch->last, 64);
    double start = progress_clock_s();
    int64_t tried = p->total_steps < 2 ? p->total_steps : 2;
    RewardStep done;
    for (int64_t step = 0; step < tried; step++)
        reward_step(t, step, schedule_lr(&p->schedule, step), &done);
    dry_run_estimate(progress_clock_s() - start, tried, p->total_steps);
    return dev_check(p->dev);
}

Status reward_program_export(RewardProgram *p) {
    PublishFolder *folder = NULL;
    Status st = run_final_open(p->run, &folder);
    if (st == OK) st = setup_export(&p->model, p->score, p->tok, publish_folder_path(folder));
    if (st == OK) st = run_final_commit(p->run, folder);
    publish_folder_close(folder);
    return st;
}

void reward_program_close(RewardProgram *p) {
    run_close(p->run);
    pass_close(p->trainer.pass);
    optim_close(p->trainer.optim);
    reward_buffers_close(&p->trainer.buffers);
    params_free(&p->params);
    head_close(p->score);
    trainee_close(&p->model);
    batch_close(p->eval_batch);
    batch_close(p->trainer.batch);
    dataset_close(p->eval);
    dataset_close(p->train);
    template_close(p->tpl);
    tokenizer_close(p->tok);
    dev_close(p->dev);
    config_close(p->cfg);
}
