#include "reward/reward_program.h"

#include "core/progress.h"
#include "stage/dry_run.h"

#include <stdio.h>

/* A score that comes with the model goes on; a language model gets a fresh one, drawn as
 * transformers does. */
static Status open_score(Supervised *s) {
    const ModelPlace *place = &s->model.place;
    const char *folders[] = {place->adapter, place->base};
    for (int i = 0; i < 2; i++)
        if (folders[i] && head_present(folders[i], HEAD_SCORE))
            return head_load(&s->head, s->model.base, HEAD_SCORE, folders[i], true);
    return head_create(&s->head, s->model.base, HEAD_SCORE, HEAD_INIT_RANGE,
                       (uint64_t)s->cfg->run.seed, true);
}

static void open_buffers(RewardProgram *p) {
    const Supervised *s = &p->s;
    int64_t rows = s->batch->max_rows, pairs = s->order.batch_size;
    if (s->eval_batch) {
        if (s->eval_batch->max_rows > rows) rows = s->eval_batch->max_rows;
        if (s->eval_batch->max_seqs > pairs) pairs = s->eval_batch->max_seqs;
    }
    reward_buffers_open(&p->trainer.buffers, rows, pairs);
}

Status reward_program_open(RewardProgram *p) {
    Supervised *s = &p->s;
    TRY(supervised_open(s, DATASET_PREFERENCE, "SEQ_CLS"));
    TRY(open_score(s));
    const RewardConfig *c = &s->cfg->reward;
    PassOptions options = setup_pass_options(s->cfg, !c->disable_dropout);
    TRY(supervised_open_training(s, options.recompute, "reward"));
    double center = c->center_rewards_coefficient;
    p->trainer = (RewardTrainer){.role = supervised_role(s),
                                 .pass = s->pass,
                                 .optim = s->optim,
                                 .data = s->train,
                                 .batch = s->batch,
                                 .order = s->order,
                                 .center = config_is_null(center) ? 0.0 : center,
                                 .options = options};
    open_buffers(p);
    return OK;
}

Status reward_program_begin(RewardProgram *p) {
    TRY(supervised_begin(&p->s, "reward/num_tokens", &p->trainer.num_tokens));
    p->trainer.order = p->s.order;
    return OK;
}

Status reward_program_evaluate(RewardProgram *p) {
    Supervised *s = &p->s;
    double start = progress_clock_s();
    RewardSums e;
    if (!reward_evaluate(&e, &p->trainer, s->eval, s->eval_batch,
                         s->cfg->training.per_device_eval_batch_size))
        return OK; /* a signal: the loop saves and leaves, and evaluates again when it goes on */
    Json *values = json_new_object();
    json_set(values, "eval_loss", json_new_num(e.loss));
    json_set(values, "eval_accuracy", json_new_num(e.correct / e.pairs));
    json_set(values, "eval_margin", json_new_num(e.margin / e.pairs));
    json_set(values, "eval_min_reward", json_new_num(e.reward_min));
    json_set(values, "eval_mean_reward", json_new_num(e.reward_sum / (2.0 * e.pairs)));
    json_set(values, "eval_max_reward", json_new_num(e.reward_max));
    return run_eval_done(s->run, values, progress_clock_s() - start, dataset_size(s->eval));
}

Status reward_program_dry_run(RewardProgram *p) {
    TRY(reward_program_open(p));
    Supervised *s = &p->s;
    plan_print(&s->plan);
    batch_fill(s->batch, &s->order, s->train, 0, 0, 0);
    printf("pairs: %lld, the chosen sides first\n", (long long)s->batch->n_items);
    dry_run_rows(&s->batch->rows, s->tok, s->batch->last, 64);
    double start = progress_clock_s();
    int64_t tried = s->total_steps < 2 ? s->total_steps : 2;
    RewardStep done;
    for (int64_t step = 0; step < tried; step++)
        reward_step(&p->trainer, step, schedule_lr(&s->schedule, step), &done);
    dry_run_estimate(progress_clock_s() - start, tried, s->total_steps);
    return dev_check(s->dev);
}

void reward_program_close(RewardProgram *p) {
    reward_buffers_close(&p->trainer.buffers);
    supervised_close(&p->s);
}
