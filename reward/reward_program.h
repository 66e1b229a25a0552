/* reward_program: everything the reward program holds, opened from its config in the order of the
 * walk. */
#ifndef HONE_REWARD_REWARD_PROGRAM_H
#define HONE_REWARD_REWARD_PROGRAM_H

#include "reward/reward_train.h"
#include "stage/supervised.h"

typedef struct RewardProgram {
    Supervised s;          /* its head: the score */
    RewardTrainer trainer; /* borrows from s, owns its buffers */
} RewardProgram;

Status reward_program_open(RewardProgram *p);
Status reward_program_begin(RewardProgram *p);
Status reward_program_evaluate(RewardProgram *p);
/* Opens everything without a run folder, shows plan, first batch and a time estimate; trains on a
 * copy in memory. */
Status reward_program_dry_run(RewardProgram *p);
void reward_program_close(RewardProgram *p);

#endif
