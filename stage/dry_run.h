/* dry_run: what --dry-run shows instead of training: the first batch as a table, and an estimate of
 * time. */
#ifndef HONE_STAGE_DRY_RUN_H
#define HONE_STAGE_DRY_RUN_H

#include "core/rows.h"
#include "data/tokenizer/tokenizer.h"

/* The first sequences of a pass on stdout: position, token, and what is learned there: "yes" where
 * the row before it has it as target, "score" at scored[S], the row of each sequence where a score
 * is read (NULL: none is). At most max_tokens lines. */
void dry_run_rows(const Rows *rows, const Tokenizer *tok, const int32_t *scored,
                  int64_t max_tokens);

/* "about 0:42 for 100 steps (0.42 s each, measured on 2)": `seconds` of the steps that were tried.
 */
void dry_run_estimate(double seconds, int64_t tried, int64_t total_steps);

#endif
