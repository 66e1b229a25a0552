/* reward_program: everything the reward program holds, opened from its config in the order of the
 * walk. */
#ifndef HONE_REWARD_REWARD_PROGRAM_H
#define HONE_REWARD_REWARD_PROGRAM_H

#include "reward/reward_train.h"
#include "stage/setup.h"

typedef struct RewardProgram {
    Config *cfg;
    Run *run; /* NULL in a dry run */
    Dev *dev;
    Tokenizer *tok;
    ChatTemplate *tpl;
    Dataset *train, *eval; /* eval may be NULL */
    Batch *eval_batch;
    Trainee model;
    Head *score;
    ParamList params;      /* base or adapter, and the score */
    RewardTrainer trainer; /* owns pass, optim, batch; closed with the program */
    Schedule schedule;
    MemoryPlan plan; /* of a dry run; else run_plan(run) */
    int64_t steps_per_epoch, total_steps;
} RewardProgram;

Status reward_program_open(RewardProgram *p);
Status reward_program_begin(RewardProgram *p);
Status reward_program_evaluate(RewardProgram *p);
/* Opens everything without a run folder, shows plan, first batch and a time estimate; trains on a
 * copy in memory. */
Status reward_program_dry_run(RewardProgram *p);
Status reward_program_export(RewardProgram *p);
void reward_program_close(RewardProgram *p);
/* Epochs done after `steps` optimizer steps, as the Trainer counts. */
double reward_program_epoch(const RewardProgram *p, int64_t steps);

#endif
