/* result: everything the experiment measured, in one JSON file from which anyone can judge again.
 */
#ifndef HONE_QUICKSTART_RESULT_H
#define HONE_QUICKSTART_RESULT_H

#include "core/status.h"

#include <stdint.h>

#define RESULT_MAX_SETS 12
#define RESULT_MAX_RUNS 4

typedef struct ResultSet {
    char *name;   /* "SFT"; figures.<name> in the file */
    char *path;   /* samples of the held-out prompts */
    char *scores; /* NULL; else a reward model's scores row by row, of `best_of` samples a prompt:
                     the best is taken */
} ResultSet;

typedef struct ResultRun {
    char *name, *folder; /* of PPO: metrics.jsonl, samples.jsonl */
} ResultRun;

typedef struct ResultOptions {
    ResultSet sets[RESULT_MAX_SETS];
    ResultRun runs[RESULT_MAX_RUNS];
    int n_sets, n_runs;
    int64_t best_of;
    const char *reward_run;                /* run folder */
    const char *train_pairs, *clean_pairs; /* for the baselines, with reward_run */
    const char *output;
} ResultOptions;

/* "NAME=SAMPLES" or "NAME=SAMPLES,SCORES". */
Status result_add_set(ResultOptions *o, const char *text);
/* "NAME=FOLDER". */
Status result_add_run(ResultOptions *o, const char *text);
void result_options_free(ResultOptions *o); /* what the two above made */

/* {"figures": {<set>: {fluent, kind, length, thing, same, all: {mean, low, high}, words,
 * distinct2}, "reward": {accuracy, longer_wins, bag_of_words}, "runs": {<run>: {kl, score}}},
 * "table", "samples", "kl_curve": what the report page shows, "texts": {<set>: [{prompt, text,
 * <verdict>}]}}. Intervals: Wilson, 95 %. */
Status result_write(const ResultOptions *o);

/* Samples with their verdicts, a row each; the shares on stderr. */
Status result_judge(const char *samples, const char *output);

#endif
