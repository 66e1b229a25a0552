#include "ppo/reward_source.h"

#include "core/mem.h"

#include <math.h>

Status reward_score_all(const RewardScorer *scorers, int n_scorers, double *out,
                        const RewardQuery *queries, int64_t n) {
    double *one = mem_zalloc((size_t)n, sizeof *one);
    for (int64_t i = 0; i < n; i++) out[i] = 0.0;
    Status st = OK;
    for (int s = 0; s < n_scorers; s++) {
        TRY_GOTO(scorers[s].score(scorers[s].self, one, queries, n), st, out);
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(one[i])) {
                st = status_fail(ERR_DATA,
                                 "reward %d of %d answered %g for row %lld; a score must be "
                                 "a finite number",
                                 s + 1, n_scorers, one[i], (long long)i);
                goto out;
            }
            out[i] += scorers[s].weight * one[i];
        }
    }
out:
    mem_free(one);
    return st;
}
