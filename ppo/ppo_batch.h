/* ppo_batch: some rows of a rollout as flat token rows for a pass, and where their slots are.
 *
 *     prompt p0 p1 p2, response a0 a1 a2
 *     ids       p0 p1 p2 a0 a1 (a2)
 *     target     -  - a0 a1 a2   -
 *     slot       -  -  0  1  2  (3)     slot t of the row: value and log-prob live in the row that
 * predicts a_t
 *
 * The last token is an input only where something is read behind it: a reward model's score, TRL's
 * PAD slot.
 */
#ifndef HONE_PPO_PPO_BATCH_H
#define HONE_PPO_PPO_BATCH_H

#include "core/rows.h"
#include "ppo/rollout.h"
#include "ppo/trajectory.h"

typedef struct PpoBatch {
    Rows rows;     /* with targets; rows with a slot are valued */
    int64_t *slot; /* [N] slot of the trajectory, -1 for rows that are no state of the response */
    int64_t n_tokens; /* slots with a token */
    int64_t n_slots;
    int64_t max_rows, max_seqs;
    int32_t *ids, *positions, *targets, *seq_start; /* what rows points to */
    bool *valued;
    int64_t *seq_ids;
} PpoBatch;

Status ppo_batch_open(PpoBatch **out, int64_t max_rows, int64_t max_seqs);
void ppo_batch_close(PpoBatch *b);

/* Rows index[n] of the rollout. Slots are those of `t` (NULL: all -1). with_last: the last token is
 * an input too. */
void ppo_batch_fill(PpoBatch *b, const Rollout *r, const Trajectory *t, const int64_t *index,
                    int64_t n, bool with_last);

#endif
