#include "core/mem.h"
#include "kernels/ref/ref_real.h"

#include <stdlib.h>

/* z of one logit: c tanh(logit/c), then over the temperature. */
static real tempered(real logit, const LogpArgs *args) {
    real cap = (real)args->soft_cap;
    real z = args->soft_cap > 0 ? cap * tanh(logit / cap) : logit;
    return z * (real)args->inv_temperature;
}

static int64_t first_max(const real *logits, int64_t vocab) {
    int64_t best = 0;
    for (int64_t v = 1; v < vocab; v++)
        if (logits[v] > logits[best]) best = v;
    return best;
}

/* The softmax of one row: S = sum of exp(z - max), E = sum of exp(z - max) (z - max). Both are kept
 * in double: a float that some hundred terms were added to is several roundings off, and the
 * entropy shows all of them. */
typedef struct RowSums {
    real max;
    double e, ez;
} RowSums;

/* Both curves of `tempered` rise, so the largest logit has the largest z. */
static RowSums row_sums(const real *logits, int64_t vocab, const LogpArgs *args) {
    RowSums sums = {.max = tempered(logits[first_max(logits, vocab)], args)};
    for (int64_t v = 0; v < vocab; v++) {
        real below = tempered(logits[v], args) - sums.max;
        real e = exp(below);
        sums.e += (double)e;
        sums.ez += (double)e * (double)below;
    }
    return sums;
}

static real log_sum_exp(const RowSums *sums) {
    return (real)((double)sums->max + log(sums->e));
}

/* sum q log p of the header. */
static real smoothed_logp(const real *logits, int64_t vocab, int32_t target, real lse,
                          const LogpArgs *args) {
    real logp = tempered(logits[target], args) - lse, share = (real)args->smoothing;
    double sum = 0;
    if (!(share > 0)) return logp;
    for (int64_t v = 0; v < vocab; v++) sum += (double)(tempered(logits[v], args) - lse);
    return (1 - share) * logp + share * (real)(sum / (double)vocab);
}

void REF(logp_fwd)(Dev *dev, Tensor logp, Tensor entropy, Tensor lse, Tensor argmax, Tensor logits,
                   Tensor targets, LogpArgs args) {
    (void)dev;
    int64_t vocab = logits.shape[1];
    for (int64_t r = 0; r < logits.shape[0]; r++) {
        const real *logit = row(logits, r);
        RowSums sums = row_sums(logit, vocab, &args);
        real row_lse = log_sum_exp(&sums);
        reals(lse)[r] = row_lse;
        reals(logp)[r] = smoothed_logp(logit, vocab, ints(targets)[r], row_lse, &args);
        /* -sum p log p with log p = z - max - log S: log S - E/S, neither term negative. */
        if (!tensor_is_none(entropy)) reals(entropy)[r] = (real)(log(sums.e) - sums.ez / sums.e);
        if (!tensor_is_none(argmax)) ((int32_t *)argmax.data)[r] = (int32_t)first_max(logit, vocab);
    }
}

/* dz[v] of the header, then dz/dlogit = inv_temperature (1 - tanh^2(logit/c)).
 * The entropy's term: H = -sum p log p, dp[u]/dz[v] = p[u] (1[u=v] - p[v]), hence dH/dz[v] = -p[v]
 * (log p[v] + H). */
void REF(logp_bwd)(Dev *dev, Tensor logits, Tensor lse, Tensor entropy, Tensor targets,
                   Tensor dlogp, Tensor dentropy, LogpArgs args) {
    (void)dev;
    real spread = (real)args.smoothing / (real)logits.shape[1];
    for (int64_t r = 0; r < logits.shape[0]; r++) {
        for (int64_t v = 0; v < logits.shape[1]; v++) {
            real logit = row(logits, r)[v];
            real log_p = tempered(logit, &args) - reals(lse)[r];
            real p = exp(log_p);
            real q = (v == ints(targets)[r] ? 1 - (real)args.smoothing : 0) + spread;
            real dz = reals(dlogp)[r] * (q - p);
            if (!tensor_is_none(dentropy))
                dz -= reals(dentropy)[r] * p * (log_p + reals(entropy)[r]);
            real slope = (real)args.inv_temperature;
            if (args.soft_cap > 0) {
                real t = tanh(logit / (real)args.soft_cap);
                slope *= 1 - t * t;
            }
            row(logits, r)[v] = dz * slope;
        }
    }
}

void REF(kl)(Dev *dev, Tensor kl, Tensor logits, Tensor other, LogpArgs args) {
    (void)dev;
    int64_t vocab = logits.shape[1];
    for (int64_t r = 0; r < logits.shape[0]; r++) {
        const real *x = row(logits, r), *y = row(other, r);
        RowSums p = row_sums(x, vocab, &args), q = row_sums(y, vocab, &args);
        real lse_p = log_sum_exp(&p), lse_q = log_sum_exp(&q);
        double sum = 0;
        for (int64_t v = 0; v < vocab; v++) {
            real log_p = tempered(x[v], &args) - lse_p, log_q = tempered(y[v], &args) - lse_q;
            sum += (double)(exp(log_p) * (log_p - log_q));
        }
        reals(kl)[r] = (real)sum;
    }
}

/* A token and its weight exp(z - max). */
typedef struct Choice {
    real weight;
    int32_t id;
} Choice;

/* The most probable first; ties: lower id first. */
static int by_weight(const void *a, const void *b) {
    const Choice *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Sets the weight of every token outside top_k and top_p to 0. sorted [V]: scratch. */
static void restrict_weights(real *weights, Choice *sorted, int64_t vocab, int32_t top_k,
                             double top_p) {
    for (int64_t v = 0; v < vocab; v++)
        sorted[v] = (Choice){.weight = weights[v], .id = (int32_t)v};
    qsort(sorted, (size_t)vocab, sizeof *sorted, by_weight);
    int64_t kept = top_k > 0 && top_k < vocab ? top_k : vocab;
    if (top_p < 1) {
        real total = 0, sum = 0;
        for (int64_t i = 0; i < kept; i++) total += sorted[i].weight;
        int64_t needed = 0;
        while (needed < kept && (needed == 0 || sum < (real)top_p * total))
            sum += sorted[needed++].weight;
        kept = needed;
    }
    for (int64_t i = kept; i < vocab; i++) weights[sorted[i].id] = 0;
}

/* The first token whose prefix sum exceeds u * total: a prefix is the sum of the whole blocks
 * before, plus the sum inside its own. Where rounding leaves none, the last one that has a weight.
 */
static int64_t pick(const real *weights, int64_t vocab, float u) {
    real total = 0;
    for (int64_t first = 0; first < vocab; first += SAMPLE_BLOCK) {
        real inside = 0;
        for (int64_t v = first; v < vocab && v < first + SAMPLE_BLOCK; v++) inside += weights[v];
        total += inside;
    }
    real before = 0;
    int64_t last = 0;
    for (int64_t first = 0; first < vocab; first += SAMPLE_BLOCK) {
        real inside = 0;
        for (int64_t v = first; v < vocab && v < first + SAMPLE_BLOCK; v++) {
            inside += weights[v];
            if (weights[v] > 0) last = v;
            if (before + inside > (real)u * total) return v;
        }
        before += inside;
    }
    return last;
}

/* weights [V], sorted [V]: scratch. */
static int64_t sample_row(const real *logits, int64_t vocab, const SampleArgs *args, int64_t r,
                          real *weights, Choice *sorted) {
    int64_t best = first_max(logits, vocab);
    if (args->temperature[r] <= 0) return best;
    LogpArgs temper = {.inv_temperature = 1 / args->temperature[r], .soft_cap = args->soft_cap};
    real max = tempered(logits[best], &temper);
    for (int64_t v = 0; v < vocab; v++) weights[v] = exp(tempered(logits[v], &temper) - max);
    if (args->top_k[r] > 0 || args->top_p[r] < 1)
        restrict_weights(weights, sorted, vocab, args->top_k[r], args->top_p[r]);
    return pick(weights, vocab, args->u[r]);
}

void REF(sample)(Dev *dev, Tensor token, Tensor logp, Tensor logits, SampleArgs args) {
    (void)dev;
    int64_t vocab = logits.shape[1];
    real *weights = mem_alloc((size_t)vocab * sizeof *weights);
    Choice *sorted = mem_alloc((size_t)vocab * sizeof *sorted);
    for (int64_t r = 0; r < logits.shape[0]; r++) {
        const real *logit = row(logits, r);
        int64_t chosen = sample_row(logit, vocab, &args, r, weights, sorted);
        ((int32_t *)token.data)[r] = (int32_t)chosen;
        if (tensor_is_none(logp)) continue;
        double temperature = args.temperature[r];
        LogpArgs full = {.inv_temperature = temperature > 0 ? 1 / temperature : 1,
                         .soft_cap = args.soft_cap};
        RowSums sums = row_sums(logit, vocab, &full);
        reals(logp)[r] = tempered(logit[chosen], &full) - log_sum_exp(&sums);
    }
    mem_free(sorted);
    mem_free(weights);
}
