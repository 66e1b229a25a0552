/* ppo_collect: phases 1 to 3 of an update: sample, score, shape. */
#ifndef HONE_PPO_PPO_COLLECT_H
#define HONE_PPO_PPO_COLLECT_H

#include "ppo/ppo_train.h"

/* Fills rollout and trajectory of `update`, advantages whitened. Finished rows of an interrupted
 * rollout are kept. */
Status ppo_collect(PpoTrainer *t, int64_t update);

/* Looks the prompts of `update` up. Rows of that update that the rollout already holds are kept. */
void ppo_locate_rows(PpoTrainer *t, int64_t update);

/* Scores rows first .. first+n-1 of any rollout (raw, all rewards together) into r->score and marks
 * them; after a signal (ERR_STOPPED) those that were answered. */
Status ppo_score_rows(PpoTrainer *t, Rollout *r, int64_t first, int64_t n);

/* Response of row i as text without special tokens, appended to out. */
Status ppo_response_text(Str *out, const Rollout *r, int64_t i, const Tokenizer *tok);

#endif
