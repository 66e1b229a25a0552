#include "stage/supervised.h"

#include "core/log.h"

static MemoryPlan *plan_of(Supervised *s) {
    return s->run ? run_plan(s->run) : &s->plan;
}

static Status open_batch(Batch **out, const Supervised *s, const Dataset *data, int64_t size) {
    return s->decoder_start >= 0 ? batch_open_beside(out, data, size, s->decoder_start)
                                 : batch_open(out, data, size);
}

static Status open_data(Supervised *s, DatasetKind kind) {
    const Config *cfg = s->cfg;
    TRY(setup_tokenizer(&s->tok, cfg));
    TRY(setup_template(&s->tpl, cfg, s->tok));
    s->decoder_start = -1;
    if (kind == DATASET_SFT) TRY(setup_decoder_start(&s->decoder_start, cfg));
    bool beside = s->decoder_start >= 0;
    TRY(setup_dataset(&s->train, cfg, kind, beside, "train", s->tok, s->tpl));
    TRY(setup_dataset(&s->eval, cfg, kind, beside, "eval", s->tok, s->tpl));
    s->order = setup_order(cfg, s->train);
    TRY(open_batch(&s->batch, s, s->train, s->order.batch_size));
    if (s->eval)
        TRY(open_batch(&s->eval_batch, s, s->eval, cfg->training.per_device_eval_batch_size));
    s->steps_per_epoch = batch_steps_per_epoch(&s->order);
    s->total_steps = setup_total_steps(cfg, s->steps_per_epoch);
    return OK;
}

Status supervised_open(Supervised *s, DatasetKind kind, const char *task_type) {
    TRY(setup_device(&s->dev, &s->cfg->run));
    if (s->run) TRY(run_set_device(s->run, s->dev));
    TRY(open_data(s, kind));
    TRY(setup_trainee(&s->model, s->dev, s->cfg, task_type, kind == DATASET_SFT));
    TRY(setup_check_vocab(s->model.base, s->tok));
    TRY(setup_check_positions(s->model.base, setup_longest(s->train), "lower data.max_length"));
    return setup_check_positions(s->model.base, setup_longest(s->eval), "lower data.max_length");
}

Role supervised_role(const Supervised *s) {
    return (Role){s->model.base, s->model.adapter, s->head};
}

static Status open_optimizer(Supervised *s) {
    trainee_params(&s->params, &s->model);
    if (s->head) head_params(&s->params, s->head);
    OptimGroup group = {.params = &s->params};
    OptimOptions options = optim_options(&s->cfg->training);
    plan_add(plan_of(s), PLAN_OPTIMIZER, "Adam's moments", optim_bytes(&group, 1));
    return optim_open(&s->optim, s->dev, &group, 1, &options);
}

static Status open_pass(Supervised *s, bool recompute) {
    Role role = supervised_role(s);
    PassLimits limits = {.max_rows = s->batch->max_rows,
                         .max_seqs = s->batch->max_seqs,
                         .max_source_rows = s->batch->max_source_rows,
                         .backward = true,
                         .recompute = recompute};
    size_t bytes = pass_measure(&role, &limits);
    if (s->eval_batch) {
        PassLimits scoring = {.max_rows = s->eval_batch->max_rows,
                              .max_seqs = s->eval_batch->max_seqs,
                              .max_source_rows = s->eval_batch->max_source_rows};
        size_t more = pass_measure(&role, &scoring);
        if (more > bytes) bytes = more;
    }
    plan_add(plan_of(s), PLAN_ACTIVATIONS, "forward and backward", bytes);
    return pass_open(&s->pass, s->dev, bytes);
}

Status supervised_open_training(Supervised *s, bool recompute, const char *name) {
    setup_plan_trainee(plan_of(s), &s->model, name);
    TRY(open_optimizer(s));
    TRY(open_pass(s, recompute));
    return schedule_init(&s->schedule, &s->cfg->training, s->total_steps);
}

/* The Trainer's: whole epochs are counted, the one that was begun begins again. */
static void begin_epoch_anew(Supervised *s) {
    int64_t epoch, in_epoch;
    if (!s->cfg->training.ignore_data_skip || !run_resumed(s->run)) return;
    batch_locate(&s->order, run_step(s->run), &epoch, &in_epoch);
    s->order.behind += in_epoch;
    log_info("ignore_data_skip: the data of epoch %lld begin anew", (long long)epoch + 1);
}

Status supervised_begin(Supervised *s, const char *state_name, int64_t *num_tokens) {
    State *state = run_state(s->run);
    optim_register(s->optim, state);
    state_i64(state, state_name, num_tokens);
    state_i64(state, "data/behind", &s->order.behind);
    TRY(setup_inputs(s->run, s->cfg, &s->model, s->tok, s->train));
    run_fact(s->run, "trainable parameters", json_new_int(params_count(&s->params)));
    RunFacts facts = {.total_steps = s->total_steps,
                      .examples_per_step = s->order.batch_size * s->order.accumulation,
                      .unit = "steps",
                      .has_eval = s->eval != NULL};
    TRY(run_begin(s->run, &facts));
    begin_epoch_anew(s);
    return OK;
}

double supervised_epoch(const Supervised *s, int64_t steps) {
    return (double)(steps - s->order.behind) / (double)s->steps_per_epoch;
}

Status supervised_export(Supervised *s) {
    PublishFolder *folder = NULL;
    Status st = run_final_open(s->run, &folder);
    if (st == OK) st = setup_export(&s->model, s->head, s->tok, publish_folder_path(folder));
    if (st == OK) st = run_final_commit(s->run, folder);
    publish_folder_close(folder);
    return st;
}

void supervised_close(Supervised *s) {
    run_close(s->run);
    pass_close(s->pass);
    optim_close(s->optim);
    params_free(&s->params);
    head_close(s->head);
    trainee_close(&s->model);
    batch_close(s->eval_batch);
    batch_close(s->batch);
    dataset_close(s->eval);
    dataset_close(s->train);
    template_close(s->tpl);
    tokenizer_close(s->tok);
    dev_close(s->dev);
    config_close(s->cfg);
}
