/* sft_program: everything the sft program holds, opened from its config in the order of the walk.
 */
#ifndef HONE_SFT_SFT_PROGRAM_H
#define HONE_SFT_SFT_PROGRAM_H

#include "sft/sft_train.h"
#include "stage/supervised.h"

typedef struct SftProgram {
    Supervised s;
    SftTrainer trainer; /* borrows from s */
} SftProgram;

Status sft_program_open(SftProgram *p);
Status sft_program_begin(SftProgram *p);
Status sft_program_evaluate(SftProgram *p);
/* Opens everything without a run folder, shows plan, first batch and a time estimate; trains on a
 * copy in memory. */
Status sft_program_dry_run(SftProgram *p);

#endif
