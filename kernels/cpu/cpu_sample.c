#include "kernels/cpu/cpu_logp.h"

#include <omp.h>

/* A thread's memory: two floats an id. */
#define MAX_VOCAB ((int64_t)(CPU_SCRATCH_BYTES / (2 * sizeof(float))))
#define MAX_BLOCKS ((MAX_VOCAB + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK)

static uint32_t bits_of(float w) {
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits;
}

/* ---- top_k and top_p ---- */

/* A weight is a float in [0,1], so its 30 bits order like it. Rounds of buckets over them, the most
 * significant digit first, find the weight at which a count (top_k) or a mass (top_p) is reached
 * from above, without sorting. */
#define DIGIT_BITS 10
#define DIGITS 3
#define BUCKETS (1 << DIGIT_BITS)

/* Four of a kind, for weights side by side: adding to one bucket again and again would wait for
 * itself. */
typedef struct Buckets {
    int32_t count[4][BUCKETS];
    double mass[4][BUCKETS];
} Buckets;

/* What is looked for: this many tokens, or this share of all mass; whichever comes first. */
typedef struct Goal {
    int64_t count;
    double share;
} Goal;

/* Where the goal is reached: tokens that weigh more than `weight` are kept, and the first `ties` of
 * those that weigh it. */
typedef struct Limit {
    float weight;
    int64_t ties;
} Limit;

static void fill_buckets(Buckets *b, const float *w, int64_t n, int shift) {
    memset(b, 0, sizeof *b);
    for (int64_t i = 0; i < n; i++) {
        if (w[i] == 0) continue;
        uint32_t digit = bits_of(w[i]) >> shift & (BUCKETS - 1);
        b->count[i % 4][digit]++;
        b->mass[i % 4][digit] += (double)w[i];
    }
}

static int64_t bucket_count(const Buckets *b, int64_t digit) {
    return (int64_t)b->count[0][digit] + b->count[1][digit] + b->count[2][digit] +
           b->count[3][digit];
}
static double bucket_mass(const Buckets *b, int64_t digit) {
    return (b->mass[0][digit] + b->mass[1][digit]) + (b->mass[2][digit] + b->mass[3][digit]);
}

/* The weights of w[n] whose bits begin (above `shift`) with `prefix`; returns how many. to may be
 * w. */
static int64_t filter(float *to, const float *w, int64_t n, int shift, uint32_t prefix) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        to[kept] = w[i];
        kept += bits_of(w[i]) >> shift == prefix;
    }
    return kept;
}

/* False when all weights together do not reach the goal. list [n]: scratch, may be w. */
static bool find_limit(Limit *out, const float *w, int64_t n, float *list, Goal goal) {
    Buckets b;
    const float *from = w;
    uint32_t prefix = 0;
    int64_t count = 0;
    double mass = 0, goal_mass = 0;
    for (int round = 0; round < DIGITS; round++) {
        int shift = DIGIT_BITS * (DIGITS - 1 - round);
        fill_buckets(&b, from, n, shift);
        for (int64_t d = 0; round == 0 && d < BUCKETS; d++)
            goal_mass += goal.share * bucket_mass(&b, d);
        int64_t digit = BUCKETS - 1;
        while (digit >= 0 && count + bucket_count(&b, digit) < goal.count &&
               mass + bucket_mass(&b, digit) < goal_mass) {
            count += bucket_count(&b, digit);
            mass += bucket_mass(&b, digit);
            digit--;
        }
        if (digit < 0) return false;
        prefix = prefix << DIGIT_BITS | (uint32_t)digit;
        n = filter(list, from, n, shift, prefix);
        from = list;
    }
    *out = (Limit){.weight = list[0]}; /* what is left are the tokens of that weight */
    do {
        out->ties++;
        mass += (double)out->weight;
    } while (count + out->ties < goal.count && mass < goal_mass && out->ties < n);
    return true;
}

/* The kept weights, in any order; returns how many. */
static int64_t list_kept(float *list, const float *w, int64_t n, Limit limit) {
    int64_t kept = 0;
    for (int64_t v = 0; v < n; v += VEC) {
        if (!vec_any(vec_load_n(w + v, n - v) > vec_all(limit.weight))) continue;
        for (int64_t i = v; i < min64(n, v + VEC); i++)
            if (w[i] > limit.weight) list[kept++] = w[i];
    }
    for (int64_t i = 0; i < limit.ties; i++) list[kept++] = limit.weight;
    return kept;
}

#define GROUP 64

/* Limit of the k largest of w[n]. The k-th largest of the groups' maxima is at most the k-th
 * largest weight, so only what reaches it need be looked at closely: little, when there are many
 * more groups than k. list [n]: scratch. */
static bool find_top(Limit *out, const float *w, int64_t n, float *list, int64_t k) {
    int64_t groups = (n + GROUP - 1) / GROUP;
    Goal goal = {k, 2};
    if (k > groups / 4) return find_limit(out, w, n, list, goal);
    for (int64_t g = 0; g < groups; g++) {
        Vec top = vec_zero();
        int64_t end = min64(n, (g + 1) * GROUP);
        for (int64_t v = g * GROUP; v < end; v += VEC)
            top = vec_max(vec_load_n(w + v, end - v), top);
        list[g] = vec_top(top);
    }
    if (!find_limit(out, list, groups, list + groups, goal))
        return find_limit(out, w, n, list, goal);
    Limit below = {.weight = nextafterf(out->weight, -1.0F)};
    int64_t kept = list_kept(list, w, n, below);
    return find_limit(out, list, kept, list, goal);
}

/* Weights that are not kept become 0. */
static void apply_limit(float *w, int64_t n, Limit limit) {
    const Vec at = vec_all(limit.weight);
    for (int64_t v = 0; v < n; v += VEC) {
        Vec x = vec_load_n(w + v, n - v);
        VecI keep = x > at, tie = x == at;
        for (int i = 0; vec_any(tie) && i < VEC; i++)
            if (tie[i]) keep[i] = limit.ties-- > 0 ? -1 : 0, tie[i] = 0;
        vec_store_n(w + v, vec_select(keep, x, vec_zero()), n - v);
    }
}

/* list [n]: scratch. top_p looks at what top_k left. */
static void restrict_weights(float *w, int64_t n, float *list, int32_t top_k, double top_p) {
    Limit limit, by_mass;
    const float *left = w;
    int64_t n_left = n;
    bool limited = top_k > 0 && top_k < n && find_top(&limit, w, n, list, top_k);
    if (limited) {
        n_left = list_kept(list, w, n, limit);
        left = list;
    }
    if (top_p < 1 && find_limit(&by_mass, left, n_left, list, (Goal){INT64_MAX, top_p})) {
        limit = by_mass;
        limited = true;
    }
    if (limited) apply_limit(w, n, limit);
}

/* ---- the draw ---- */

/* Sums of VEC blocks of SAMPLE_BLOCK weights from `first`, each in id order: lane l is block l's.
 */
static Vec sum_blocks(const float *w, int64_t first, int64_t n) {
    Vec sum = vec_zero();
    for (int64_t v = first; v < first + SAMPLE_BLOCK; v += VEC) {
        Vec rows[VEC];
        for (int64_t l = 0; l < VEC; l++) {
            int64_t at = v + l * SAMPLE_BLOCK;
            rows[l] = at < n ? vec_load_n(w + at, n - at) : vec_zero();
        }
        vec_transpose(rows);
        for (int i = 0; i < VEC; i++) sum += rows[i];
    }
    return sum;
}

/* The first id of first .. end-1 at which before + prefix sum exceeds the goal; else the last that
 * weighs something; else -1. */
static int64_t pick(const float *w, int64_t first, int64_t end, float before, float goal) {
    float inside = 0;
    int64_t last = -1;
    for (int64_t v = first; v < end; v++) {
        if (!(w[v] > 0)) continue;
        inside += w[v];
        last = v;
        if (before + inside > goal) break;
    }
    return last;
}

static int64_t draw(const float *w, int64_t n, float u) {
    float sums[MAX_BLOCKS + VEC], total = 0, before = 0;
    int64_t n_blocks = (n + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK, last = 0;
    for (int64_t b = 0; b < n_blocks; b += VEC)
        vec_store(sums + b, sum_blocks(w, b * SAMPLE_BLOCK, n));
    for (int64_t b = 0; b < n_blocks; b++) total += sums[b];
    for (int64_t b = 0; b < n_blocks; b++) {
        int64_t first = b * SAMPLE_BLOCK;
        if (sums[b] > 0) last = first;
        if (before + sums[b] > u * total)
            return pick(w, first, min64(n, first + SAMPLE_BLOCK), before, u * total);
        before += sums[b];
    }
    /* Rounding left none: the last one that has a weight. */
    return pick(w, last, min64(n, last + SAMPLE_BLOCK), 0, INFINITY);
}

void CPU_NAME(sample)(Dev *dev, Tensor token, Tensor logp, Tensor logits, SampleArgs args) {
    int64_t rows = logits.shape[0], vocab = logits.shape[1];
    CHECK(vocab <= MAX_VOCAB, "sample: a vocabulary of %lld, at most %lld", (long long)vocab,
          (long long)MAX_VOCAB);
    int threads = cpu_threads(dev, rows * vocab);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *logit = (const float *)logits.data + r * vocab;
        float *weights = cpu_scratch(dev, omp_get_thread_num()), *list = weights + MAX_VOCAB;
        double temperature = args.temperature[r];
        Temper t = temper_of((LogpArgs){.inv_temperature = temperature > 0 ? 1 / temperature : 1,
                                        .soft_cap = args.soft_cap});
        int64_t chosen;
        float lse = 0;
        if (temperature > 0) {
            lse = CPU_NAME(row_sums)(logit, vocab, &t, weights).lse;
            if (args.top_k[r] > 0 || args.top_p[r] < 1)
                restrict_weights(weights, vocab, list, args.top_k[r], args.top_p[r]);
            chosen = draw(weights, vocab, args.u[r]);
            if (chosen < 0)
                chosen = 0; /* a row of NaN: what follows from any id is NaN, and found */
        } else {
            chosen = CPU_NAME(first_max)(logit, vocab);
            if (!tensor_is_none(logp)) lse = CPU_NAME(row_sums)(logit, vocab, &t, NULL).lse;
        }
        ((int32_t *)token.data)[r] = (int32_t)chosen;
        if (!tensor_is_none(logp)) ((float *)logp.data)[r] = tempered_one(logit[chosen], &t) - lse;
    }
}
