/* supervised: what a program that learns from a data set in epochs holds open (sft, reward), opened
 * in the order of the walk: device, tokenizer, data, model, optimizer, pass.
 *
 *     TRY(supervised_open(s, DATASET_SFT, "CAUSAL_LM"));
 *     ... the head, where the task has one: s->head; the pass options ...
 *     TRY(supervised_open_training(s, recompute, "policy"));
 *     ... its trainer borrows role, pass, optim, batch ...
 *     TRY(supervised_begin(s, "sft/num_tokens", &trainer.num_tokens));
 */
#ifndef HONE_STAGE_SUPERVISED_H
#define HONE_STAGE_SUPERVISED_H

#include "stage/setup.h"
#include "train/optim.h"

typedef struct Supervised {
    Config *cfg;
    Run *run; /* NULL in a dry run */
    Dev *dev;
    Tokenizer *tok;
    ChatTemplate *tpl;
    Dataset *train, *eval; /* eval may be NULL */
    int32_t decoder_start; /* of an encoder-decoder (sft alone); else -1 */
    Batch *batch, *eval_batch;
    BatchOrder order;
    Trainee model;
    Head *head; /* opened by the program; NULL: the language-model head */
    ParamList params;
    Optim *optim;
    Pass *pass; /* training and evaluation share it: as large as the larger of the two needs */
    Schedule schedule;
    MemoryPlan plan; /* of a dry run; else run_plan(run) */
    int64_t steps_per_epoch, total_steps;
} Supervised;

/* cfg (and run) are set. Device, tokenizer, template, both data sets of `kind`, their batches, the
 * model to be trained; checks that they belong together. */
Status supervised_open(Supervised *s, DatasetKind kind, const char *task_type);

/* Who is trained and evaluated: model and head. */
Role supervised_role(const Supervised *s);

/* Parameters, optimizer, pass, schedule; all of it into the memory plan. `name` is the role's
 * there. */
Status supervised_open_training(Supervised *s, bool recompute, const char *name);

/* Registers state, inputs and facts, then run_begin: run.json, logs, resume. `num_tokens` is the
 * trainer's count, saved under `state_name`. With ignore_data_skip a resumed run begins its epoch's
 * data anew: s->order knows. */
Status supervised_begin(Supervised *s, const char *state_name, int64_t *num_tokens);

/* Epochs done after `steps` optimizer steps, as the Trainer counts, by where the data are. */
double supervised_epoch(const Supervised *s, int64_t steps);

/* final/: the model (with its head) and the tokenizer. */
Status supervised_export(Supervised *s);

void supervised_close(Supervised *s); /* also run and cfg */

#endif
