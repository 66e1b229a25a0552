/* experiment_table: the numbers at the end of an experiment, over its seeds.
 *
 * A cell is "STAGE:METRIC", the last value of a metric in the stage's metrics.jsonl, or
 * "STAGE/FILE:a.b", a member of a JSON file in the stage's folder: a number, or an object with
 * `mean`, `low` and `high`, which is shown as it is when there is one seed. */
#ifndef HONE_TOOLS_EXPERIMENT_TABLE_H
#define HONE_TOOLS_EXPERIMENT_TABLE_H

#include "core/io/json.h"
#include "tools/experiment.h"

/* Checks the cells; errors are collected. */
void experiment_table_check(Experiment *e);

/* {"columns": ["", ...], "rows": [[name, {"mean", "low", "high", "n"}, ...], ...]}, as
 * train/report/page.h wants it; null where there is no number. NULL when the experiment has no
 * table. The caller json_free's it. */
Json *experiment_table_read(Experiment *e);

/* The table for people, aligned. */
void experiment_table_print(Str *out, const Json *table);

#endif
