#include "sft/sft_program.h"

#include "core/progress.h"
#include "stage/dry_run.h"

Status sft_program_open(SftProgram *p) {
    Supervised *s = &p->s;
    TRY(supervised_open(s, DATASET_SFT, "CAUSAL_LM"));
    PassOptions options = setup_pass_options(s->cfg, true);
    if (s->decoder_start >= 0 && options.neftune_alpha > 0.0)
        return status_fail(ERR_CONFIG, "training.neftune_noise_alpha: an encoder-decoder has two "
                                       "embeddings in use; noise on them is not supported");
    TRY(supervised_open_training(s, options.recompute, "policy"));
    p->trainer = (SftTrainer){.role = supervised_role(s),
                              .pass = s->pass,
                              .optim = s->optim,
                              .data = s->train,
                              .batch = s->batch,
                              .order = s->order,
                              .loss = s->cfg->sft.loss_type == SFT_LOSS_DFT ? SFT_DFT : SFT_NLL,
                              .options = options};
    return OK;
}

Status sft_program_begin(SftProgram *p) {
    TRY(supervised_begin(&p->s, "sft/num_tokens", &p->trainer.num_tokens));
    p->trainer.order = p->s.order;
    return OK;
}

Status sft_program_evaluate(SftProgram *p) {
    Supervised *s = &p->s;
    double start = progress_clock_s();
    SftEval e;
    if (!sft_evaluate(&e, &p->trainer, s->eval, s->eval_batch,
                      s->cfg->training.per_device_eval_batch_size))
        return OK; /* a signal: the loop saves and leaves, and evaluates again when it goes on */
    Json *values = json_new_object();
    json_set(values, "eval_loss", json_new_num(e.loss));
    json_set(values, "eval_entropy", json_new_num(e.entropy));
    json_set(values, "eval_mean_token_accuracy", json_new_num(e.accuracy));
    return run_eval_done(s->run, values, progress_clock_s() - start, dataset_size(s->eval));
}

Status sft_program_dry_run(SftProgram *p) {
    TRY(sft_program_open(p));
    Supervised *s = &p->s;
    plan_print(&s->plan);
    batch_fill(s->batch, &s->order, s->train, 0, 0, 0);
    dry_run_rows(&s->batch->rows, s->tok, NULL, 64);
    double start = progress_clock_s();
    int64_t tried = s->total_steps < 2 ? s->total_steps : 2;
    SftStep done;
    for (int64_t step = 0; step < tried; step++)
        sft_step(&p->trainer, step, schedule_lr(&s->schedule, step), &done);
    dry_run_estimate(progress_clock_s() - start, tried, s->total_steps);
    return dev_check(s->dev);
}
