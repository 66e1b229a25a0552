#include "kernels/cpu/cpu_logp.h"

#include <float.h>

/* Sampling recomputes the weights exp(z - max) block by block in every pass rather than keep them:
 * no scratch memory depends on the vocabulary, and an exp costs less than a trip to memory. Which
 * tokens are kept is said by a limit: all that weigh more, and of those that weigh just as much the
 * first ones, up to an id. */
typedef struct Limit {
    float weight;
    int64_t last_tie; /* highest kept id of that weight */
} Limit;

typedef struct SampleRow {
    const float *logits;
    int64_t vocab;
    Temper temper;
    float max; /* largest z */
} SampleRow;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Weights of ids first .. first+7; 0 past the vocabulary. */
INLINE Vec weights_at(const SampleRow *row, int64_t first) {
    if (first >= row->vocab) return vec_zero();
    Vec logit = vec_load_n(row->logits + first, row->vocab - first);
    Vec w = vec_exp(tempered(logit, &row->temper) - vec_all(row->max));
    return vec_select(lanes_below(first, row->vocab), w, vec_zero());
}

/* The same, 0 where the token is not kept. */
INLINE Vec kept_weights_at(const SampleRow *row, const Limit *limit, int64_t first) {
    Vec w = weights_at(row, first), at = vec_all(limit->weight);
    VecI lane = {0, 1, 2, 3, 4, 5, 6, 7};
    int64_t ties = limit->last_tie - first; /* lanes up to here may tie */
    VecI early = lane <= veci_all((int32_t)(ties < -1 ? -1 : min64(ties, VEC)));
    return vec_select((w > at) | ((w == at) & early), w, vec_zero());
}

/* ---- which tokens are kept ---- */

/* A weight is a float in [0,1]; its bits order like the weight. Three rounds of buckets over them,
 * most significant digits first, find the weight at which a count (top_k) or a mass (top_p) is
 * reached from above. */
#define DIGIT_BITS 10
#define DIGITS 3
#define BUCKETS (1 << DIGIT_BITS)

typedef struct Buckets {
    int64_t count[BUCKETS];
    double mass[BUCKETS];
} Buckets;

static uint32_t bits_of(float w) {
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits;
}

static float weight_of_bits(uint32_t bits) {
    float w;
    memcpy(&w, &bits, sizeof w);
    return w;
}

/* Kept tokens whose bits begin with `prefix` (of `round` digits), by their next digit. */
static void fill_buckets(Buckets *b, const SampleRow *row, const Limit *limit, int round,
                         uint32_t prefix) {
    memset(b, 0, sizeof *b);
    int shift = DIGIT_BITS * (DIGITS - 1 - round);
    for (int64_t first = 0; first < row->vocab; first += VEC) {
        Vec w = kept_weights_at(row, limit, first);
        int64_t n = min64(VEC, row->vocab - first);
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits = bits_of(w[i]);
            if (w[i] == 0 || (round > 0 && bits >> (shift + DIGIT_BITS) != prefix)) continue;
            b->count[bits >> shift & (BUCKETS - 1)]++;
            b->mass[bits >> shift & (BUCKETS - 1)] += (double)w[i];
        }
    }
}

/* Goes down the buckets to the weight at which `needed` tokens, or the mass `needed_mass`, is
 * reached; `ties` says how many tokens of exactly that weight are needed. False when all tokens
 * together do not reach it. */
static bool find_weight(float *weight, int64_t *ties, const SampleRow *row, const Limit *limit,
                        int64_t needed, double needed_mass) {
    uint32_t prefix = 0;
    int64_t count = 0;
    double mass = 0;
    Buckets b;
    for (int round = 0; round < DIGITS; round++) {
        fill_buckets(&b, row, limit, round, prefix);
        int digit = BUCKETS - 1;
        while (digit >= 0 && count + b.count[digit] < needed &&
               mass + b.mass[digit] < needed_mass) {
            count += b.count[digit];
            mass += b.mass[digit];
            digit--;
        }
        if (digit < 0) return false;
        prefix = prefix << DIGIT_BITS | (uint32_t)digit;
    }
    *weight = weight_of_bits(prefix);
    *ties = 0;
    do {
        ++*ties;
        mass += (double)*weight;
    } while (count + *ties < needed && mass < needed_mass &&
             *ties < b.count[prefix & (BUCKETS - 1)]);
    return true;
}

/* The id of the n-th token that is kept and weighs `weight`. */
static int64_t nth_tie(const SampleRow *row, float weight, int64_t n) {
    for (int64_t first = 0; first < row->vocab; first += VEC) {
        Vec w = weights_at(row, first);
        for (int64_t i = 0; i < min64(VEC, row->vocab - first); i++)
            if (w[i] == weight && --n == 0) return first + i;
    }
    return row->vocab;
}

static double kept_mass(const SampleRow *row, const Limit *limit) {
    double mass = 0;
    for (int64_t first = 0; first < row->vocab; first += VEC) {
        Vec w = kept_weights_at(row, limit, first);
        for (int i = 0; i < VEC; i++) mass += (double)w[i];
    }
    return mass;
}

static Limit choose_limit(const SampleRow *row, int32_t top_k, double top_p) {
    Limit limit = {.weight = 0, .last_tie = row->vocab};
    float weight;
    int64_t ties;
    if (top_k > 0 && top_k < row->vocab && find_weight(&weight, &ties, row, &limit, top_k, DBL_MAX))
        limit = (Limit){weight, nth_tie(row, weight, ties)};
    if (top_p < 1 &&
        find_weight(&weight, &ties, row, &limit, INT64_MAX, top_p * kept_mass(row, &limit)))
        limit = (Limit){weight, nth_tie(row, weight, ties)};
    return limit;
}

/* ---- the draw ---- */

/* Sums of VEC blocks of SAMPLE_BLOCK ids, each id by id: lane l of the result is block l's. */
static Vec sum_blocks(const SampleRow *row, const Limit *limit, int64_t first) {
    Vec sum = vec_zero();
    for (int64_t v = 0; v < SAMPLE_BLOCK; v += VEC) {
        Vec w[VEC];
        for (int64_t l = 0; l < VEC; l++)
            w[l] = kept_weights_at(row, limit, first + l * SAMPLE_BLOCK + v);
        vec_transpose(w);
        for (int i = 0; i < VEC; i++) sum += w[i];
    }
    return sum;
}

/* The first id of the block from `first` at which before + prefix sum exceeds `goal`; else the last
 * one that is kept; else -1. */
static int64_t pick_in_block(const SampleRow *row, const Limit *limit, int64_t first, float before,
                             float goal) {
    float inside = 0;
    int64_t last = -1;
    for (int64_t v = first; v < min64(row->vocab, first + SAMPLE_BLOCK); v += VEC) {
        Vec w = kept_weights_at(row, limit, v);
        for (int i = 0; i < VEC; i++) {
            if (!(w[i] > 0)) continue;
            inside += w[i];
            last = v + i;
            if (before + inside > goal) return last;
        }
    }
    return last;
}

static int64_t draw(const SampleRow *row, const Limit *limit, float u) {
    const int64_t stride = (int64_t)VEC * SAMPLE_BLOCK;
    float total = 0;
    for (int64_t first = 0; first < row->vocab; first += stride) {
        Vec sums = sum_blocks(row, limit, first);
        for (int i = 0; i < VEC; i++) total += sums[i];
    }
    float goal = u * total, before = 0;
    int64_t last_block = 0;
    for (int64_t first = 0; first < row->vocab; first += stride) {
        Vec sums = sum_blocks(row, limit, first);
        for (int64_t i = 0; i < VEC; i++) {
            if (!(sums[i] > 0)) continue;
            last_block = first + i * SAMPLE_BLOCK;
            if (before + sums[i] > goal) return pick_in_block(row, limit, last_block, before, goal);
            before += sums[i];
        }
    }
    /* Rounding left none: the last token that has a weight. */
    return pick_in_block(row, limit, last_block, 0, INFINITY);
}

void CPU_NAME(sample)(Dev *dev, Tensor token, Tensor logp, Tensor logits, SampleArgs args) {
    int64_t rows = logits.shape[0], vocab = logits.shape[1];
    int threads = cpu_threads(dev, rows * vocab);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        double temperature = args.temperature[r];
        Temper t = temper_of((LogpArgs){.inv_temperature = temperature > 0 ? 1 / temperature : 1});
        SampleRow row = {
            .logits = (const float *)logits.data + r * vocab, .vocab = vocab, .temper = t};
        int64_t chosen = CPU_NAME(first_max)(row.logits, vocab);
        if (temperature > 0) {
            row.max = tempered_one(row.logits[chosen], &t);
            Limit limit = choose_limit(&row, args.top_k[r], args.top_p[r]);
            chosen = draw(&row, &limit, args.u[r]);
            if (chosen < 0)
                chosen = 0; /* a row of NaN: some id; what follows from it is NaN and is found */
        }
        ((int32_t *)token.data)[r] = (int32_t)chosen;
        if (!tensor_is_none(logp))
            ((float *)logp.data)[r] = tempered_one(row.logits[chosen], &t) -
                                      CPU_NAME(row_sums)(row.logits, vocab, &t).lse;
    }
}
