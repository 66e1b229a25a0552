#include "sft/sft_program.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/progress.h"
#include "stage/dry_run.h"

#include <math.h>

static MemoryPlan *plan_of(SftProgram *p) {
    return p->run ? run_plan(p->run) : &p->plan;
}

static Status open_data(SftProgram *p) {
    TRY(setup_tokenizer(&p->tok, p->cfg));
    TRY(setup_template(&p->tpl, p->cfg, p->tok));
    TRY(setup_dataset(&p->train, p->cfg, DATASET_SFT, "train", p->tok, p->tpl));
    TRY(setup_dataset(&p->eval, p->cfg, DATASET_SFT, "eval", p->tok, p->tpl));
    SftTrainer *t = &p->trainer;
    t->data = p->train;
    t->order = setup_order(p->cfg, p->train);
    TRY(batch_open(&t->batch, p->train, t->order.batch_size));
    if (p->eval)
        TRY(batch_open(&p->eval_batch, p->eval, p->cfg->training.per_device_eval_batch_size));
    p->steps_per_epoch = batch_steps_per_epoch(&t->order);
    p->total_steps = setup_total_steps(p->cfg, p->steps_per_epoch);
    return OK;
}

/* One pass for training and evaluation: as large as the larger of the two needs. */
static Status open_pass(SftProgram *p) {
    const SftTrainer *t = &p->trainer;
    PassLimits limits = {.max_rows = t->batch->max_rows,
                         .max_seqs = t->batch->max_seqs,
                         .backward = true,
                         .recompute = t->options.recompute};
    size_t bytes = pass_measure(&t->role, &limits);
    if (p->eval_batch) {
        PassLimits scoring = {.max_rows = p->eval_batch->max_rows,
                              .max_seqs = p->eval_batch->max_seqs};
        size_t more = pass_measure(&t->role, &scoring);
        if (more > bytes) bytes = more;
    }
    plan_add(plan_of(p), PLAN_ACTIVATIONS, "forward and backward", bytes);
    return pass_open(&p->trainer.pass, p->dev, bytes);
}

static Status open_optimizer(SftProgram *p) {
    trainee_params(&p->params, &p->model);
    OptimGroup group = {.params = &p->params};
    OptimOptions options = optim_options(&p->cfg->training);
    plan_add(plan_of(p), PLAN_OPTIMIZER, "Adam's moments", optim_bytes(&group, 1));
    return optim_open(&p->trainer.optim, p->dev, &group, 1, &options);
}

Status sft_program_open(SftProgram *p) {
    const Config *cfg = p->cfg;
    TRY(setup_device(&p->dev, &cfg->run));
    if (p->run) TRY(run_set_device(p->run, p->dev));
    TRY(open_data(p));
    TRY(setup_trainee(&p->model, p->dev, cfg, "CAUSAL_LM"));
    TRY(setup_check_vocab(p->model.base, p->tok));
    TRY(setup_check_positions(p->model.base, setup_longest(p->train), "lower data.max_length"));
    TRY(setup_check_positions(p->model.base, setup_longest(p->eval), "lower data.max_length"));
    SftTrainer *t = &p->trainer;
    t->role = (Role){p->model.base, p->model.adapter, NULL};
    t->loss = cfg->sft.loss_type == SFT_LOSS_DFT ? SFT_DFT : SFT_NLL;
    t->options = setup_pass_options(cfg, true);
    setup_plan_trainee(plan_of(p), &p->model, "policy");
    TRY(open_optimizer(p));
    TRY(open_pass(p));
    return schedule_init(&p->schedule, &cfg->training, p->total_steps);
}

Status sft_program_begin(SftProgram *p) {
    State *state = run_state(p->run);
    optim_register(p->trainer.optim, state);
    state_i64(state, "sft/num_tokens", &p->trainer.num_tokens);
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

double sft_program_epoch(const SftProgram *p, int64_t steps) {
    return (double)steps / (double)p->steps_per_epoch;
}

Status sft_program_evaluate(SftProgram *p) {
    double start = progress_clock_s();
    SftEval e;
    if (!sft_evaluate(&e, &p->trainer, p->eval, p->eval_batch,
                      p->cfg->training.per_device_eval_batch_size))
        return OK; /* a signal: the loop saves and leaves, and evaluates again when it goes on */
    Json *values = json_new_object();
    json_set(values, "eval_loss", json_new_num(e.loss));
    json_set(values, "eval_entropy", json_new_num(e.entropy));
    json_set(values, "eval_mean_token_accuracy", json_new_num(e.accuracy));
    return run_eval_done(p->run, values, progress_clock_s() - start, dataset_size(p->eval));
}

Status sft_program_dry_run(SftProgram *p) {
    TRY(sft_program_open(p));
    plan_print(&p->plan);
    SftTrainer *t = &p->trainer;
    batch_fill(t->batch, &t->order, p->train, 0, 0, 0);
    dry_run_rows(&t->batch->rows, p->tok, NULL, 64);
    double start = progress_clock_s();
    int64_t tried = p->total_steps < 2 ? p->total_steps : 2;
    SftStep done;
    for (int64_t step = 0; step < tried; step++)
        sft_step(t, step, schedule_lr(&p->schedule, step), &done);
    dry_run_estimate(progress_clock_s() - start, tried, p->total_steps);
    return dev_check(p->dev);
}

Status sft_program_export(SftProgram *p) {
    PublishFolder *folder = NULL;
    Status st = run_final_open(p->run, &folder);
    if (st == OK) st = setup_export(&p->model, NULL, p->tok, publish_folder_path(folder));
    if (st == OK) st = run_final_commit(p->run, folder);
    publish_folder_close(folder);
    return st;
}

void sft_program_close(SftProgram *p) {
    run_close(p->run);
    pass_close(p->trainer.pass);
    optim_close(p->trainer.optim);
    params_free(&p->params);
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
