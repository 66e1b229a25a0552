#include "ppo/trajectory.h"

#include "core/check.h"

#include <math.h>
#include <stdlib.h>

Status trajectory_open(Trajectory **out, int64_t cap_rows, int64_t cap_slots) {
    Trajectory *t = calloc(1, sizeof *t);
    if (!t) return status_fail(ERR_OS, "out of memory for the rollout");
    *out = t;
    t->cap_rows = cap_rows;
    t->cap_slots = cap_slots;
    size_t slots = (size_t)cap_slots + 1;
    t->start = calloc((size_t)cap_rows + 1, sizeof *t->start);
    t->score = calloc((size_t)cap_rows + 1, sizeof *t->score);
    t->has_token = calloc(slots, sizeof *t->has_token);
    double **arrays[] = {&t->logp,   &t->ref_logp,  &t->value, &t->kl,
                         &t->reward, &t->advantage, &t->ret};
    bool ok = t->start && t->score && t->has_token;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = calloc(slots, sizeof(double));
        ok = ok && *arrays[i];
    }
    if (ok) return OK;
    trajectory_close(t);
    *out = NULL;
    return status_fail(ERR_OS, "out of memory for a rollout of %lld rows", (long long)cap_rows);
}

void trajectory_close(Trajectory *t) {
    if (!t) return;
    free(t->start);
    free(t->score);
    free(t->has_token);
    free(t->logp);
    free(t->ref_logp);
    free(t->value);
    free(t->kl);
    free(t->reward);
    free(t->advantage);
    free(t->ret);
    free(t);
}

Moments moments_of(const double *x, const bool *mask, int64_t n, bool unbiased) {
    Moments m = {0};
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (mask && !mask[i]) continue;
        sum += x[i];
        m.n++;
    }
    if (m.n == 0) return m;
    m.mean = sum / (double)m.n;
    double squares = 0.0; /* second pass: no cancellation */
    for (int64_t i = 0; i < n; i++) {
        if (mask && !mask[i]) continue;
        squares += (x[i] - m.mean) * (x[i] - m.mean);
    }
    double denominator = (double)m.n - (unbiased && m.n > 1 ? 1.0 : 0.0);
    m.var = squares / denominator;
    return m;
}

void whiten(double *x, const bool *mask, int64_t n, bool keep_mean) {
    Moments m = moments_of(x, mask, n, true);
    double scale = 1.0 / sqrt(m.var + 1e-8);
    for (int64_t i = 0; i < n; i++) {
        if (mask && !mask[i]) continue;
        x[i] = (x[i] - m.mean) * scale + (keep_mean ? m.mean : 0.0);
    }
}
