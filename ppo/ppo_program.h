/* ppo_program: everything the ppo program holds, opened from its config in the order of the walk.
 */
#ifndef HONE_PPO_PPO_PROGRAM_H
#define HONE_PPO_PPO_PROGRAM_H

#include "ppo/ppo_train.h"

typedef struct PpoProgram {
    Config *cfg;
    Run *run; /* NULL in a dry run */
    Dev *dev;
    Tokenizer *tok;
    ChatTemplate *tpl;
    Dataset *train, *eval; /* eval may be NULL */
    PpoRoles roles;
    PpoTrainer trainer; /* owns pass, generator, optim, rollout, trajectory, batch, scorers; closed
                           with the program */
    int32_t stop_id[1]; /* ppo.stop_token_id, or TRL's one end token */
    Schedule schedule;
    MemoryPlan plan; /* of a dry run; else run_plan(run) */
    int64_t total_updates, sample_every;
    double started_s;
    int64_t first_episode; /* of this process, for episodes per second */
} PpoProgram;

Status ppo_program_open(PpoProgram *p);
Status ppo_program_begin(PpoProgram *p);
/* After an update: TRL's row, samples when due, the KL controller. */
Status ppo_program_report(PpoProgram *p, int64_t update, double lr);
Status ppo_program_evaluate(PpoProgram *p);
Status ppo_program_dry_run(PpoProgram *p);
Status ppo_program_export(PpoProgram *p);
void ppo_program_close(PpoProgram *p);
double ppo_program_epoch(const PpoProgram *p);

#endif
