/* sft_program: everything the sft program holds, opened from its config in the order of the walk.
 */
#ifndef HONE_SFT_SFT_PROGRAM_H
#define HONE_SFT_SFT_PROGRAM_H

#include "sft/sft_train.h"
#include "stage/setup.h"

typedef struct SftProgram {
    Config *cfg;
    Run *run; /* NULL in a dry run */
    Dev *dev;
    Tokenizer *tok;
    ChatTemplate *tpl;
    Dataset *train, *eval; /* eval may be NULL */
    Batch *eval_batch;
    Trainee model;
    ParamList params;
    SftTrainer trainer; /* owns pass, optim, batch; closed with the program */
    Schedule schedule;
    MemoryPlan plan; /* of a dry run; else run_plan(run) */
    int64_t steps_per_epoch, total_steps;
} SftProgram;

Status sft_program_open(SftProgram *p);
Status sft_program_begin(SftProgram *p);
Status sft_program_evaluate(SftProgram *p);
/* Opens everything without a run folder, shows plan, first batch and a time estimate; trains on a
 * copy in memory. */
Status sft_program_dry_run(SftProgram *p);
Status sft_program_export(SftProgram *p);
void sft_program_close(SftProgram *p);
/* Epochs done after `steps` optimizer steps, as the Trainer counts. */
double sft_program_epoch(const SftProgram *p, int64_t steps);

#endif
