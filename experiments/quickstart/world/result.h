/* result: everything the experiment measured, in one JSON file from which anyone can judge again.
 */
#ifndef HONE_QUICKSTART_RESULT_H
#define HONE_QUICKSTART_RESULT_H

#include "core/status.h"

#define RESULT_MAX_SETS 8

typedef struct ResultSet {
    const char *name;   /* "sft"; figures.<name> in the file */
    const char *path;   /* samples of the held-out prompts */
    const char *scores; /* NULL; else a reward model's scores row by row, of `best_of` samples a
                           prompt: the best is taken */
} ResultSet;

typedef struct ResultOptions {
    ResultSet sets[RESULT_MAX_SETS];
    int n_sets;
    int best_of;
    const char *reward_run, *ppo_run;      /* run folders: metrics.jsonl, samples.jsonl */
    const char *train_pairs, *clean_pairs; /* for the baselines */
    const char *output;
} ResultOptions;

/* {"figures": {<set>: {fluent, kind, length, thing, same, all: {mean, low, high}, words,
 * distinct2}, "reward": {...}, "ppo": {...}}, "table", "samples", "kl_curve": what the report page
 * shows, "texts": {<set>: [{prompt, text, <verdict>}]}}. Intervals: Wilson, 95 %. */
Status result_write(const ResultOptions *o);

#endif
