#include "ppo/reward_source.h"

#include "core/mem.h"

#include <math.h>

static Status add_scores(double *out, const double *one, int64_t n, const RewardScorer *scorer) {
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(one[i]))
            return status_fail(ERR_DATA,
                               "ppo.reward: a score of %g for row %lld of this batch; it must be a "
                               "finite number",
                               one[i], (long long)i + 1);
        out[i] += scorer->weight * one[i];
    }
    return OK;
}

Status reward_score_all(const RewardScorer *scorers, int n_scorers, double *out,
                        const RewardQuery *queries, int64_t n, int64_t *answered) {
    double *one = mem_zalloc((size_t)n, sizeof *one);
    Status st = OK;
    *answered = 0;
    for (int64_t i = 0; i < n; i++) out[i] = 0.0;
    for (int s = 0; s < n_scorers && st == OK; s++) {
        int64_t got = 0;
        st = scorers[s].score(scorers[s].self, one, queries, n, &got);
        Status added = add_scores(out, one, got, &scorers[s]);
        if (st == OK) st = added;
        if (s == n_scorers - 1 && added == OK) *answered = got;
    }
    mem_free(one);
    return st;
}
