#include "ppo/shaping.h"

#include "core/check.h"

#include <math.h>
#include <stddef.h>

double kl_estimate(KlForm kind, double logp, double ref_logp) {
    double r = ref_logp - logp;
    switch (kind) {
    case KL_FORM_K1:
        return -r;
    case KL_FORM_K3:
        return expm1(r) - r;
    case KL_FORM_ABS:
        return fabs(r);
    case KL_FORM_MSE:
        return 0.5 * r * r;
    case KL_FORM_FULL: /* not from one sample */
        break;
    }
    FAIL("KL estimator %d", (int)kind);
}

static void moments_merge(ScoreMoments *m, const double *x, int64_t n) {
    Moments batch = moments_of(x, NULL, n, false);
    double total = m->count + (double)n;
    double delta = batch.mean - m->mean;
    double squares =
        m->var * m->count + batch.var * (double)n + delta * delta * m->count * (double)n / total;
    m->mean += delta * (double)n / total;
    m->var = squares / total;
    m->count = total;
}

void shape_scores(Trajectory *t, const double *raw, const bool *ended, ScoreMoments *m,
                  const ScoreShaping *s) {
    moments_merge(m, raw, t->n_rows);
    /* The classic trainer divides by the unbiased deviation plus float32's epsilon. */
    double unbiased = m->count > 1.0 ? m->var * m->count / (m->count - 1.0) : m->var;
    double scale = sqrt(unbiased) + 1.1920928955078125e-07;
    for (int64_t i = 0; i < t->n_rows; i++) {
        double x = raw[i];
        if (s->use_score_scaling) x = (x - (s->use_score_norm ? m->mean : 0.0)) / scale;
        if (s->score_clip > 0.0) x = fmin(fmax(x, -s->score_clip), s->score_clip);
        if (!ended[i]) x -= s->missing_eos_penalty;
        t->score[i] = x;
    }
}

void shape_rewards(Trajectory *t, KlForm kind, double kl_coef, bool whiten_rewards) {
    for (int64_t row = 0; row < t->n_rows; row++) {
        for (int64_t i = t->start[row]; i < t->start[row + 1]; i++) {
            if (!t->has_token[i])
                t->kl[i] = 0.0;
            else if (kind != KL_FORM_FULL)
                t->kl[i] = kl_estimate(kind, t->logp[i], t->ref_logp[i]);
            t->reward[i] = -kl_coef * t->kl[i];
        }
        if (t->start[row + 1] > t->start[row]) t->reward[t->start[row + 1] - 1] += t->score[row];
    }
    if (whiten_rewards) whiten(t->reward, NULL, t->n_slots, true);
}

RolloutStats rollout_stats(const Trajectory *t, double kl_coef) {
    RolloutStats s = {0};
    for (int64_t i = 0; i < t->n_slots; i++) {
        s.kl += t->kl[i];
        if (!t->has_token[i]) continue;
        s.entropy -= t->logp[i];
        s.length += 1.0;
    }
    Moments score = moments_of(t->score, NULL, t->n_rows, true);
    double rows = (double)(t->n_rows > 0 ? t->n_rows : 1);
    s.kl /= rows;
    s.entropy /= rows;
    s.length /= rows;
    s.non_score_reward = -kl_coef * s.kl;
    s.score = score.mean;
    s.score_std = sqrt(score.var);
    return s;
}
