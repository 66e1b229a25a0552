/* reward: a pairwise reward model.
 *
 * YAML -> config -> run folder and lock -> device -> tokenizer -> data -> model -> optimizer ->
 * memory plan -> resume -> loop -> final evaluation -> export: one call each, below. */
#include "core/log.h"
#include "core/stop.h"
#include "reward/reward_program.h"

static Status train(RewardProgram *p) {
    Supervised *s = &p->s;
    Run *run = s->run;
    for (;;) {
        if (run_eval_due(run)) TRY(reward_program_evaluate(p));
        TRY(run_save_if_due(run));
        if (!run_goes_on(run)) return run_end(run);
        int64_t step = run_step(run);
        double lr = schedule_lr(&s->schedule, step);
        RewardStep done;
        reward_step(&p->trainer, step, lr, &done);
        TRY(dev_check(s->dev));
        if (!done.optim.finite) return run_numbers_bad(run, "gradient norm", done.optim.worst);
        reward_log_step(run_metrics(run), &p->trainer, &done, lr);
        TRY(run_step_done(run, supervised_epoch(s, step + 1)));
    }
}

int main(int argc, char **argv) {
    stop_install();
    RewardProgram p = {0};
    Status st = OK;
    TRY_GOTO(config_load(&p.s.cfg, STAGE_REWARD, argc, argv), st, out);
    if (p.s.cfg->action == CONFIG_LEAVE) goto out;
    if (p.s.cfg->action == CONFIG_DRY_RUN) {
        TRY_GOTO(reward_program_dry_run(&p), st, out);
        goto out;
    }
    TRY_GOTO(run_open(&p.s.run, p.s.cfg), st, out); /* folder and lock */
    if (run_is_finished(p.s.run)) goto out;
    TRY_GOTO(reward_program_open(&p), st,
             out); /* device, tokenizer, data, model, optimizer, plan */
    TRY_GOTO(reward_program_begin(&p), st, out); /* run.json, logs, resume */
    TRY_GOTO(train(&p), st, out);
    TRY_GOTO(supervised_export(&p.s), st, out);
out:
    if (st != OK) log_error("%s", status_message());
    reward_program_close(&p);
    return (int)st;
}
