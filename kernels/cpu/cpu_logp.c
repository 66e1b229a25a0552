#include "kernels/cpu/cpu_logp.h"

#include <float.h>

/* Sums over the vocabulary run in float inside a block, and in double from block to block. */
#define LOGP_BLOCK 512

int64_t CPU_NAME(first_max)(const float *logits, int64_t vocab) {
    Vec top[4];
    for (int i = 0; i < 4; i++) top[i] = vec_all(-INFINITY);
    int64_t v = 0;
    for (; v + 4 * VEC <= vocab; v += 4 * VEC)
        for (int64_t i = 0; i < 4; i++) top[i] = vec_max(vec_load(logits + v + i * VEC), top[i]);
    for (; v < vocab; v += VEC) {
        int64_t n = vocab - v;
        top[0] = vec_max(n >= VEC ? vec_load(logits + v) : vec_load_part(logits + v, n, -INFINITY),
                         top[0]);
    }
    float max = vec_top(vec_max(vec_max(top[0], top[1]), vec_max(top[2], top[3])));
    for (v = 0; v + 4 * VEC <= vocab; v += 4 * VEC) {
        VecI hit = veci_all(0);
        for (int64_t i = 0; i < 4; i++) hit |= vec_load(logits + v + i * VEC) == vec_all(max);
        if (vec_any(hit)) break;
    }
    for (; v < vocab; v++)
        if (logits[v] == max) return v;
    return 0; /* a row of NaN */
}

/* Sums of e = exp(z - max) and of e (z - max) over ids first .. end-1. */
typedef struct BlockSums {
    float e, ez;
} BlockSums;

static BlockSums block_sums(const float *logits, int64_t first, int64_t end, float max,
                            const Temper *t, float *weights, int64_t vocab) {
    Vec e[2] = {vec_zero(), vec_zero()}, ez[2] = {vec_zero(), vec_zero()};
    int64_t v = first;
    for (; v + 2 * VEC <= end; v += 2 * VEC) {
        /* A row stays in the second cache between its maximum and this; the next one is fetched
         * under the arithmetic. Past the last row a prefetch is no access. */
        __builtin_prefetch(logits + v + vocab, 0, 2);
        for (int64_t i = 0; i < 2; i++) {
            Vec z = tempered(vec_load(logits + v + i * VEC), t) - vec_all(max),
                x = vec_exp_decay(z);
            if (weights) vec_store(weights + v + i * VEC, x);
            e[i] += x;
            ez[i] = vec_fma(x, z, ez[i]);
        }
    }
    for (int64_t i = 0; v < end; i++, v += VEC) {
        Vec z = tempered(vec_load_n(logits + v, end - v), t) - vec_all(max);
        z = vec_select(lanes_below(v, end), z, vec_all(-FLT_MAX));
        Vec x = vec_exp_decay(z);
        if (weights) vec_store_n(weights + v, x, end - v);
        e[i] += x;
        ez[i] = vec_fma(x, z, ez[i]);
    }
    return (BlockSums){vec_sum(e[0] + e[1]), vec_sum(ez[0] + ez[1])};
}

/* With S = sum e and E = sum e (z - max): lse = max + log S; entropy = log S - E/S, both terms not
 * negative. */
RowSums CPU_NAME(row_sums)(const float *logits, int64_t vocab, const Temper *t, float *weights) {
    RowSums row = {.best = CPU_NAME(first_max)(logits, vocab)};
    row.max = tempered_one(logits[row.best], t);
    double e = 0, ez = 0;
    for (int64_t first = 0; first < vocab; first += LOGP_BLOCK) {
        int64_t end = vocab - first < LOGP_BLOCK ? vocab : first + LOGP_BLOCK;
        BlockSums block = block_sums(logits, first, end, row.max, t, weights, vocab);
        e += (double)block.e;
        ez += (double)block.ez;
    }
    row.lse = (float)((double)row.max + log(e));
    row.entropy = (float)(log(e) - ez / e);
    return row;
}

/* The mean of z - max: a smoothed target asks for it. */
static double mean_below_max(const float *logits, int64_t vocab, float max, const Temper *t) {
    double sum = 0;
    for (int64_t first = 0; first < vocab; first += LOGP_BLOCK) {
        int64_t end = vocab - first < LOGP_BLOCK ? vocab : first + LOGP_BLOCK;
        Vec block = vec_zero();
        for (int64_t v = first; v < end; v += VEC) {
            Vec z = tempered(vec_load_n(logits + v, end - v), t) - vec_all(max);
            block += vec_select(lanes_below(v, end), z, vec_zero());
        }
        sum += (double)vec_sum(block);
    }
    return sum / (double)vocab;
}

/* sum q log p (op_head.h); without smoothing, the bits of z[target] - lse. */
static float target_logp(const float *logits, int64_t vocab, int32_t target, const RowSums *row,
                         const Temper *t, double smoothing) {
    float logp = tempered_one(logits[target], t) - row->lse;
    if (!(smoothing > 0)) return logp;
    double mean = mean_below_max(logits, vocab, row->max, t) + (double)row->max - (double)row->lse;
    return (float)((1 - smoothing) * (double)logp + smoothing * mean);
}

void CPU_NAME(logp_fwd)(Dev *dev, Tensor logp, Tensor entropy, Tensor lse, Tensor argmax,
                        Tensor logits, Tensor targets, LogpArgs args) {
    int64_t rows = logits.shape[0], vocab = logits.shape[1];
    const Temper t = temper_of(args);
    int threads = cpu_threads(dev, rows * vocab);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *logit = (const float *)logits.data + r * vocab;
        RowSums row = CPU_NAME(row_sums)(logit, vocab, &t, NULL);
        ((float *)lse.data)[r] = row.lse;
        ((float *)logp.data)[r] =
            target_logp(logit, vocab, ((const int32_t *)targets.data)[r], &row, &t, args.smoothing);
        if (!tensor_is_none(entropy)) ((float *)entropy.data)[r] = row.entropy;
        if (!tensor_is_none(argmax)) ((int32_t *)argmax.data)[r] = (int32_t)row.best;
    }
}

/* sum p (log p - log q) over ids first .. end-1. */
static float kl_block(const float *x, const float *y, int64_t first, int64_t end, float lse_p,
                      float lse_q, const Temper *t) {
    Vec sum = vec_zero();
    for (int64_t v = first; v < end; v += VEC) {
        Vec log_p = tempered(vec_load_n(x + v, end - v), t) - vec_all(lse_p);
        Vec log_q = tempered(vec_load_n(y + v, end - v), t) - vec_all(lse_q);
        Vec term = vec_exp(log_p) * (log_p - log_q);
        sum += vec_select(lanes_below(v, end), term, vec_zero());
    }
    return vec_sum(sum);
}

void CPU_NAME(kl)(Dev *dev, Tensor kl, Tensor logits, Tensor other, LogpArgs args) {
    int64_t rows = logits.shape[0], vocab = logits.shape[1];
    const Temper t = temper_of(args);
    int threads = cpu_threads(dev, rows * vocab);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)logits.data + r * vocab;
        const float *y = (const float *)other.data + r * vocab;
        float lse_p = CPU_NAME(row_sums)(x, vocab, &t, NULL).lse;
        float lse_q = CPU_NAME(row_sums)(y, vocab, &t, NULL).lse;
        double sum = 0;
        for (int64_t first = 0; first < vocab; first += LOGP_BLOCK) {
            int64_t end = vocab - first < LOGP_BLOCK ? vocab : first + LOGP_BLOCK;
            sum += (double)kl_block(x, y, first, end, lse_p, lse_q, &t);
        }
        ((float *)kl.data)[r] = (float)sum;
    }
}

/* What the backward of one row needs. */
typedef struct RowGrad {
    int64_t target;
    float hit, miss; /* q of the target, and of every other id */
    float lse, entropy, dlogp, dentropy;
    bool with_entropy;
} RowGrad;

/* Eight gradients of logits (op_head.h), dz/dlogit = inv_temperature (1 - tanh^2(logit/c)). */
INLINE Vec logit_grads(Vec logit, int64_t v, const RowGrad *g, const Temper *t) {
    const Vec one = vec_all(1.0F);
    Vec slope = vec_all(t->inv_temperature), z = logit;
    if (t->soft_cap > 0) {
        Vec tanh = vec_tanh(logit * vec_all(t->inv_soft_cap));
        z = vec_all(t->soft_cap) * tanh;
        slope *= one - tanh * tanh;
    }
    Vec log_p = z * vec_all(t->inv_temperature) - vec_all(g->lse), p = vec_exp_decay(log_p);
    VecI lane = {0, 1, 2, 3, 4, 5, 6, 7};
    VecI is_target = lane == veci_all((int32_t)(g->target - v));
    Vec dz = vec_all(g->dlogp) * (vec_select(is_target, vec_all(g->hit), vec_all(g->miss)) - p);
    if (g->with_entropy) dz -= vec_all(g->dentropy) * p * (log_p + vec_all(g->entropy));
    return dz * slope;
}

void CPU_NAME(logp_bwd)(Dev *dev, Tensor logits, Tensor lse, Tensor entropy, Tensor targets,
                        Tensor dlogp, Tensor dentropy, LogpArgs args) {
    int64_t rows = logits.shape[0], vocab = logits.shape[1];
    const Temper t = temper_of(args);
    const bool with_entropy = !tensor_is_none(dentropy);
    const double spread = args.smoothing / (double)vocab;
    int threads = cpu_threads(dev, rows * vocab);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        float *logit = (float *)logits.data + r * vocab;
        RowGrad g = {.target = ((const int32_t *)targets.data)[r],
                     .hit = (float)(1 - args.smoothing + spread),
                     .miss = (float)spread,
                     .lse = ((const float *)lse.data)[r],
                     .entropy = with_entropy ? ((const float *)entropy.data)[r] : 0,
                     .dlogp = ((const float *)dlogp.data)[r],
                     .dentropy = with_entropy ? ((const float *)dentropy.data)[r] : 0,
                     .with_entropy = with_entropy};
        for (int64_t v = 0; v < vocab; v += VEC) {
            Vec x = vec_load_n(logit + v, vocab - v);
            vec_store_n(logit + v, logit_grads(x, v, &g, &t), vocab - v);
        }
    }
}
