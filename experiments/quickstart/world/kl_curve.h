/* kl_curve: how far PPO went and what it brought: the judge's share and the reward model's score
 * against the KL to the SFT model. */
#ifndef HONE_QUICKSTART_KL_CURVE_H
#define HONE_QUICKSTART_KL_CURVE_H

#include "core/io/json.h"

/* {"x", "series": []} for the report page; add runs to it. */
Json *kl_curve_new(void);
/* The two series of a run folder of PPO, in its metrics.jsonl and samples.jsonl; `prefix` goes
 * before their names. */
void kl_curve_add(Json *curve, const char *run, const char *prefix);

/* The last value of a metric in a run's metrics.jsonl; NaN when there is none. */
double kl_curve_last(const char *run, const char *metric);

#endif
