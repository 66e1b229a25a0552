/* batch: which items a step sees, and their tokens as core/rows.h wants them.
 *
 * Order is a pure function of (seed, epoch, position): resuming at step s needs no replay, and rank
 * r of W picks its share of the same global order. Micro-batches of a step are numbered over all
 * ranks:
 *
 *     step s of the epoch     micro 0 | micro 1 | micro 2 | micro 3          B items each
 *     1 rank,  accumulation 4 rank 0    rank 0    rank 0    rank 0
 *     2 ranks, accumulation 2 rank 0    rank 1    rank 0    rank 1           same items, same step
 *
 * Without shuffle, step s takes items s*G .. s*G+G-1 with G = B * accumulation * world.
 * The last step of an epoch is short (the Trainer's rule) unless drop_last; a rank may find a
 * micro-batch of its own empty there (n_items 0): it still takes part in the reduction.
 *
 * Use: fill in a BatchOrder; batch_step tells what the whole step holds, before its first
 * micro-batch; batch_fill writes one micro-batch into preallocated arrays.
 */
#ifndef HONE_DATA_BATCH_H
#define HONE_DATA_BATCH_H

#include "core/rows.h"
#include "core/status.h"
#include "data/dataset.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct BatchOrder {
    int64_t n_items;      /* dataset_size */
    int64_t batch_size;   /* B: items of a micro-batch (per_device_train_batch_size) */
    int64_t accumulation; /* micro-batches of a rank in a step (gradient_accumulation_steps) */
    int64_t world, rank;  /* 0 <= rank < world */
    bool shuffle;
    bool drop_last; /* dataloader_drop_last: leave out a last micro-batch that is not full */
    uint64_t seed;  /* data_seed, else seed */
    int64_t behind; /* steps by which the data are behind the step number (ignore_data_skip) */
} BatchOrder;

/* Optimizer steps of an epoch, as the Trainer counts them: ceil(micro-batches / (accumulation *
 * world)), at least 1 (with drop_last and fewer than B items there is nothing to do: 0). */
int64_t batch_steps_per_epoch(const BatchOrder *o);
/* Micro-batches of this rank's loop in that step: accumulation, or fewer in the last of an epoch.
 */
int64_t batch_micros(const BatchOrder *o, int64_t step_in_epoch);
/* Item at `position` (0 .. n_items-1) of an epoch. */
int64_t batch_item_at(const BatchOrder *o, int64_t epoch, int64_t position);
/* Positions of this rank's micro-batch `micro`: first and count (0 when this rank has none left).
 */
void batch_positions(const BatchOrder *o, int64_t step_in_epoch, int64_t micro, int64_t *first,
                     int64_t *count);
/* A global step number (from 0) as (epoch, step inside it), `behind` taken off. */
void batch_locate(const BatchOrder *o, int64_t step, int64_t *epoch, int64_t *step_in_epoch);

/* Totals of an optimizer step over all micro-batches and ranks: the denominators of its losses. */
typedef struct BatchStep {
    int64_t n_items, n_tokens;
    int64_t n_targets; /* SFT: rows with a target; else 0 */
} BatchStep;
BatchStep batch_step(const BatchOrder *o, const Dataset *d, int64_t epoch, int64_t step_in_epoch);

/* One micro-batch. All arrays belong to the Batch and are overwritten by the next batch_fill.
 *
 * PREFERENCE: sequences 0 .. n_items-1 are the chosen ones, n_items .. 2*n_items-1 the rejected
 * ones, in the same order (TRL's collator). */
typedef struct Batch {
    Rows rows;                  /* targets are NULL unless the data set is SFT; of PREFERENCE the
                                   last row of each sequence is valued */
    int64_t n_items;            /* pairs, prompts or (packed) rows; 0: nothing for this rank */
    int64_t n_targets;          /* in this micro-batch */
    const int64_t *items;       /* [n_items] index into the data set, for dataset_get */
    const int32_t *last;        /* [S] row of each sequence's last token (where a score is read) */
    const double *margin;       /* [n_items] PREFERENCE, else NULL */
    int64_t max_rows, max_seqs; /* what the arrays hold */
    int64_t max_source_rows;    /* of rows.source; 0 but for an encoder-decoder */
    struct BatchStore *store;
} Batch;

/* Upper bound of the rows and sequences of any micro-batch of `batch_size` items: the sum of the
 * largest ones. What the memory plan needs. */
void batch_bounds(const Dataset *d, int64_t batch_size, int64_t *max_rows, int64_t *max_seqs);

/* Allocates for the bound above, so that batch_fill never does. ERR_CONFIG when it
 * passes 2^31 rows. */
Status batch_open(Batch **out, const Dataset *d, int64_t batch_size);
/* For an encoder-decoder, whose data set was opened for one: rows.source has the prompts, the rows
 * `decoder_start` and the completion without its last token. */
Status batch_open_beside(Batch **out, const Dataset *d, int64_t batch_size, int32_t decoder_start);
void batch_close(Batch *b);

/* seq_ids: epoch * dataset_sequences + seq_id, unique over the whole run, the same for any cut and
 * rank. */
void batch_fill(Batch *b, const BatchOrder *o, const Dataset *d, int64_t epoch,
                int64_t step_in_epoch, int64_t micro);
/* The same for given items (n <= the batch_size of batch_open), e.g. evaluation in file order. */
void batch_fill_items(Batch *b, const Dataset *d, int64_t epoch, const int64_t *items, int64_t n);

#endif
