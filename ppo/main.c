/* ppo: reinforcement learning from a reward.
 *
 * YAML -> config -> run folder and lock -> device -> tokenizer -> prompts -> roles (policy,
 * reference, value, reward) -> optimizer -> memory plan -> resume -> loop of updates -> final
 * evaluation -> export: one call each, below.
 */
#include "core/log.h"
#include "core/stop.h"
#include "ppo/ppo_program.h"

static Status train(PpoProgram *p) {
    for (;;) {
        if (run_eval_due(p->run)) TRY(ppo_program_evaluate(p));
        TRY(run_save_if_due(p->run));
        if (!run_goes_on(p->run)) return run_end(p->run);
        int64_t update = run_step(p->run);
        double lr = schedule_lr(&p->schedule, update);
        Status st = ppo_update(&p->trainer, update, lr);
        if (st == ERR_STOPPED) { /* a signal inside the update: it is saved as it stands */
            TRY(run_save_inside(p->run));
            return run_end(p->run);
        }
        TRY(st);
        TRY(dev_check(p->dev));
        TRY(ppo_program_report(p, update, lr));
        TRY(run_step_done(p->run, ppo_program_epoch(p)));
    }
}

int main(int argc, char **argv) {
    stop_install();
    PpoProgram p = {0};
    Status st = OK;
    TRY_GOTO(config_load(&p.cfg, STAGE_PPO, argc, argv), st, out);
    if (p.cfg->action == CONFIG_LEAVE) goto out;
    if (p.cfg->action == CONFIG_DRY_RUN) {
        TRY_GOTO(ppo_program_dry_run(&p), st, out);
        goto out;
    }
    TRY_GOTO(run_open(&p.run, p.cfg), st, out); /* folder and lock */
    if (run_is_finished(p.run)) goto out;
    TRY_GOTO(ppo_program_open(&p), st,
             out); /* device, tokenizer, prompts, roles, optimizer, plan */
    TRY_GOTO(ppo_program_begin(&p), st, out); /* run.json, logs, resume */
    TRY_GOTO(train(&p), st, out);
    TRY_GOTO(ppo_program_export(&p), st, out);
out:
    if (st != OK) log_error("%s", status_message());
    ppo_program_close(&p);
    return (int)st;
}
