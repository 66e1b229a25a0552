/* metrics: numbers of a run, from the loop to metrics.jsonl, TensorBoard and the console.
 *
 * Between two log rows the loop hands in values; metrics_log writes one row and starts over:
 *
 *     metrics_mean(m, "loss", 2.1);            // mean of all values since the last row
 *     metrics_set(m, "learning_rate", 2e-5);   // the last value
 *     TRY(metrics_log(m, step, epoch));        // {"step": 10, "epoch": 0.5, "loss": 2.08, ...}
 *
 * Keys stand in the order of their first use, behind step and epoch; names are TRL's. What has been
 * collected since the last row is state (metrics_register): a run that is stopped between two rows
 * logs the same numbers as one that is not. Clock readings (metrics_is_clock) may differ from run
 * to run; they are not state. Non-finite numbers are written as null. */
#ifndef HONE_TRAIN_REPORT_METRICS_H
#define HONE_TRAIN_REPORT_METRICS_H

#include "core/io/json.h"
#include "train/state.h"

typedef struct Metrics Metrics;

/* Opens <folder>/metrics.jsonl and the event file beside it for appending. */
Status metrics_open(Metrics **out, const char *folder);
void metrics_close(Metrics *m);
void metrics_register(Metrics *m, State *state);

void metrics_mean(Metrics *m, const char *name, double value);
/* A mean of many at once: sum and how many. */
void metrics_sum(Metrics *m, const char *name, double sum, double count);
void metrics_set(Metrics *m, const char *name, double value);

Status metrics_log(Metrics *m, int64_t step, double epoch);
/* A row of its own, e.g. of an evaluation: step and epoch are put in front of `values`, an object
 * of numbers (borrowed). */
Status metrics_log_row(Metrics *m, int64_t step, double epoch, const Json *values);
/* Mean of all values of the whole run; NaN when there is none. */
double metrics_total_mean(const Metrics *m, const char *name);
/* The last logged value of a name in any row of this process; NaN when there is none. */
double metrics_last(const Metrics *m, const char *name);

/* time/..., memory/..., eps, *_runtime, *_per_second */
bool metrics_is_clock(const char *name);

/* Byte offsets of the files as they are now, {"metrics.jsonl": 1234, ...}, flushed to the disk: for
 * the checkpoint's manifest; and back: cuts the files to them (NULL: to nothing). */
Status metrics_mark(Metrics *m, Json *offsets);
Status metrics_rewind(Metrics *m, const Json *offsets);

#endif
