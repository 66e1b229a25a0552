/* What positions need of config.json: frequencies of rotary ones, slopes of linear biases. */
#include "model/spec.h"

#include "core/dtype.h"
#include "core/str.h"

#include <math.h>
#include <stdlib.h>

/* ---- reading
 * ------------------------------------------------------------------------------------- */

static const char *const rope_names[] = {"default", "linear", "dynamic",
                                         "llama3",  "yarn",   "longrope"};
#define N_ROPES (sizeof rope_names / sizeof *rope_names)

const char *arch_rope_name(RopeKind kind) {
    return rope_names[kind];
}

static Status rope_kind(RopeConfig *r, const ArchConfig *c, const Json *scaling,
                        const char *where) {
    const char *kind = "default";
    TRY(json_opt_str(&kind, scaling, "type", where)); /* the old spelling */
    TRY(json_opt_str(&kind, scaling, "rope_type", where));
    bool phi3 = c->spec->family == FAMILY_PHI3;
    if (str_equal(kind, "su") || (phi3 && str_equal(kind, "yarn"))) kind = "longrope";
    for (size_t i = 0; i < N_ROPES; i++) {
        if (!str_equal(kind, rope_names[i])) continue;
        r->kind = (RopeKind)i;
        return OK;
    }
    return status_fail(ERR_DATA,
                       "%s: rope_type `%s` is not supported; supported are default, linear, "
                       "dynamic, llama3, yarn, longrope",
                       where, kind);
}

/* longrope's short_factor: one number a frequency. */
static Status read_stretch(ArchConfig *c, const Json *scaling, const char *where) {
    const Json *list = json_get(scaling, "short_factor");
    if (!json_is(list, JSON_KIND_ARRAY) || json_len(list) != c->rotary / 2)
        return status_fail(ERR_DATA, "%s: short_factor must hold %lld numbers, one a frequency",
                           where, (long long)c->rotary / 2);
    for (int64_t i = 0; i < c->rotary / 2; i++) {
        const Json *x = json_at(list, i);
        bool number = json_is(x, JSON_KIND_INT) || json_is(x, JSON_KIND_REAL);
        c->rope.stretch[i] = number ? json_num(x) : 0.0;
        if (!(c->rope.stretch[i] > 0.0))
            return status_fail(ERR_DATA, "%s: short_factor[%lld] must be a number above 0", where,
                               (long long)i);
    }
    return OK;
}

static Status read_scaling(RopeConfig *r, const Json *scaling, const char *where) {
    TRY(json_opt_num(&r->theta, scaling, "rope_theta", where));
    TRY(json_opt_num(&r->factor, scaling, "factor", where));
    TRY(json_opt_num(&r->low_freq, scaling, "low_freq_factor", where));
    TRY(json_opt_num(&r->high_freq, scaling, "high_freq_factor", where));
    TRY(json_opt_num(&r->original_positions, scaling, "original_max_position_embeddings", where));
    TRY(json_opt_num(&r->beta_fast, scaling, "beta_fast", where));
    TRY(json_opt_num(&r->beta_slow, scaling, "beta_slow", where));
    TRY(json_opt_num(&r->mscale, scaling, "mscale", where));
    TRY(json_opt_num(&r->mscale_all, scaling, "mscale_all_dim", where));
    TRY(json_opt_num(&r->attention_factor, scaling, "attention_factor", where));
    TRY(json_opt_bool(&r->truncate, scaling, "truncate", where));
    return json_opt_num(&r->partial, scaling, "partial_rotary_factor", where);
}

/* Some families turn only the first channels of a head. */
static Status read_partial(ArchConfig *c, const char *where) {
    double partial = c->rope.partial;
    if (partial != 1.0 && c->spec->defaults.partial_rotary == 0.0)
        return status_fail(ERR_DATA, "%s: partial_rotary_factor %g is not supported for `%s`",
                           where, partial, c->spec->model_type);
    if (!(partial > 0.0 && partial <= 1.0))
        return status_fail(ERR_DATA, "%s: partial_rotary_factor is %g; it lies in (0,1]", where,
                           partial);
    c->rotary = (int64_t)((double)c->head_dim * partial);
    if (c->rotary < 2 || c->rotary % 2 || c->rotary / 2 > ARCH_MAX_FREQUENCIES)
        return status_fail(ERR_DATA,
                           "%s: %lld channels of a head turn; rotary positions need an even "
                           "number, at most %d",
                           where, (long long)c->rotary, 2 * ARCH_MAX_FREQUENCIES);
    return OK;
}

static Status check_rope(const RopeConfig *r, const char *where) {
    if (!(r->theta > 1.0) || !(r->factor >= 0.0) || !(r->original_positions > 0.0))
        return status_fail(ERR_DATA,
                           "%s: rope_theta %g, factor %g: theta must be above 1 and the "
                           "factor above 0",
                           where, r->theta, r->factor);
    if (r->kind == ROPE_LLAMA3 && !(r->high_freq > r->low_freq && r->low_freq > 0.0))
        return status_fail(ERR_DATA, "%s: high_freq_factor %g must be above low_freq_factor %g",
                           where, r->high_freq, r->low_freq);
    return OK;
}

Status arch_rope_read(ArchConfig *c, const Json *config, const char *where) {
    RopeConfig *r = &c->rope;
    const ArchDefaults *d = &c->spec->defaults;
    *r = (RopeConfig){.theta = 10000.0,
                      .partial = d->partial_rotary > 0.0 ? d->partial_rotary : 1.0,
                      .low_freq = 1.0,
                      .high_freq = 4.0,
                      .beta_fast = 32.0,
                      .beta_slow = 1.0,
                      .truncate = true};
    r->original_positions =
        (double)(d->original_positions ? d->original_positions : c->max_positions);
    /* Version 5 keeps all in rope_parameters; rope_scaling, where it is not null, replaces it. */
    Json *scaling = NULL;
    TRY(json_opt(&scaling, config, "rope_parameters", JSON_KIND_OBJECT, where));
    TRY(json_opt(&scaling, config, "rope_scaling", JSON_KIND_OBJECT, where));
    TRY(json_opt_num(&r->theta, config, "rotary_emb_base", where)); /* GPT-NeoX of version 4 */
    TRY(json_opt_num(&r->theta, config, "rope_theta", where));
    TRY(json_opt_num(&r->partial, config, "rotary_pct", where)); /* the same, and */
    TRY(json_opt_num(&r->partial, config, "rope_pct", where));   /* the first StableLM */
    TRY(json_opt_num(&r->partial, config, "partial_rotary_factor", where));
    TRY(rope_kind(r, c, scaling, where));
    if (scaling) TRY(read_scaling(r, scaling, where));
    TRY(json_opt_num(&r->original_positions, config, "original_max_position_embeddings", where));
    TRY(read_partial(c, where));
    TRY(check_rope(r, where));
    return r->kind == ROPE_LONGROPE ? read_stretch(c, scaling, where) : OK;
}

int64_t arch_position_limit(const ArchConfig *c) {
    if (c->position == POSITION_LEARNED) return c->max_positions;
    if (c->position != POSITION_ROPE) return 0;
    if (c->rope.kind == ROPE_DYNAMIC) return c->max_positions;
    return c->rope.kind == ROPE_LONGROPE ? (int64_t)c->rope.original_positions : 0;
}

/* ---- frequencies
 * --------------------------------------------------------------------------------- */

static double yarn_mscale(double scale, double mscale) {
    return scale <= 1.0 ? 1.0 : 0.1 * mscale * log(scale) + 1.0;
}

/* Peng et al. 2023, as transformers has it: channels that turn fast keep their frequency, slow ones
 * are stretched, a linear ramp between. */
static double yarn_frequencies(double *inv_freq, const RopeConfig *r, int64_t dim) {
    const double pi = 3.14159265358979323846;
    double turns[2] = {r->beta_fast, r->beta_slow}, bound[2];
    for (int i = 0; i < 2; i++)
        bound[i] = (double)dim * log(r->original_positions / (turns[i] * 2.0 * pi)) /
                   (2.0 * log(r->theta));
    double low = fmax(r->truncate ? floor(bound[0]) : bound[0], 0.0);
    double high = fmin(r->truncate ? ceil(bound[1]) : bound[1], (double)(dim - 1));
    if (low == high) high += 0.001;
    for (int64_t i = 0; i < dim / 2; i++) {
        double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
        inv_freq[i] = inv_freq[i] / r->factor * ramp + inv_freq[i] * (1.0 - ramp);
    }
    if (r->attention_factor > 0.0) return r->attention_factor;
    if (r->mscale > 0.0 && r->mscale_all > 0.0)
        return yarn_mscale(r->factor, r->mscale) / yarn_mscale(r->factor, r->mscale_all);
    return yarn_mscale(r->factor, 1.0);
}

/* Grattafiori et al. 2024: long waves are stretched, short ones kept, a blend between. */
static void llama3_frequencies(double *inv_freq, const RopeConfig *r, int64_t dim) {
    const double pi = 3.14159265358979323846;
    double longest = r->original_positions / r->low_freq;
    double shortest = r->original_positions / r->high_freq;
    for (int64_t i = 0; i < dim / 2; i++) {
        double wave = 2.0 * pi / inv_freq[i];
        if (wave < shortest) continue;
        double s = (r->original_positions / wave - r->low_freq) / (r->high_freq - r->low_freq);
        double stretched = inv_freq[i] / r->factor;
        inv_freq[i] = wave > longest ? stretched : (1.0 - s) * stretched + s * inv_freq[i];
    }
}

/* Ding et al. 2024, at the length of the training: each frequency has its own factor. */
static double longrope_frequencies(double *inv_freq, const RopeConfig *r, int64_t dim) {
    for (int64_t i = 0; i < dim / 2; i++) inv_freq[i] /= r->stretch[i];
    if (r->attention_factor > 0.0) return r->attention_factor;
    return r->factor <= 1.0 ? 1.0 : sqrt(1.0 + log(r->factor) / log(r->original_positions));
}

double arch_rope_frequencies(double *inv_freq, const ArchConfig *config) {
    RopeConfig rope = config->rope;
    const RopeConfig *r = &rope;
    if (rope.factor == 0.0)
        rope.factor = rope.kind == ROPE_LONGROPE
                          ? (double)config->max_positions / rope.original_positions
                          : 1.0;
    int64_t dim = config->rotary;
    for (int64_t i = 0; i < dim / 2; i++)
        inv_freq[i] = pow(r->theta, -2.0 * (double)i / (double)dim);
    if (r->kind == ROPE_YARN) return yarn_frequencies(inv_freq, r, dim);
    if (r->kind == ROPE_LONGROPE) return longrope_frequencies(inv_freq, r, dim);
    if (r->kind == ROPE_LLAMA3) llama3_frequencies(inv_freq, r, dim);
    if (r->kind == ROPE_LINEAR)
        for (int64_t i = 0; i < dim / 2; i++) inv_freq[i] /= r->factor;
    return 1.0;
}

/* ---- linear biases
 * ------------------------------------------------------------------------------- */

/* With n heads a power of two: 2^(-max/n), 2^(-2 max/n), ...; the heads beyond one take every other
 * slope of twice as many. */
void arch_alibi_slopes(double *slopes, const ArchConfig *c) {
    int64_t n = 1, heads = c->n_heads;
    while (2 * n <= heads) n *= 2;
    for (int64_t h = 0; h < heads; h++) {
        double step = h < n ? (double)(h + 1) : (double)(h - n) + 0.5;
        slopes[h] = exp2(-c->alibi_max * step / (double)n);
        if (!c->alibi_scaled) continue;
        uint16_t rounded;
        dtype_convert(&rounded, DTYPE_BF16, &slopes[h], DTYPE_F64, 1);
        dtype_convert(&slopes[h], DTYPE_F64, &rounded, DTYPE_BF16, 1);
        slopes[h] *= c->score_scale;
    }
}

/* ---- buckets of distances
 * ------------------------------------------------------------------------ */

/* Half of the buckets are a distance each, the others wider and wider, in float as transformers
 * computes it: near the bounds the rounding decides. */
static int32_t distance_bucket(int64_t distance, int64_t n, int64_t max_distance) {
    int64_t exact = n / 2;
    if (distance < exact) return (int32_t)distance;
    float scale = (float)log((double)max_distance / (double)exact);
    float wide = logf((float)distance / (float)exact) / scale * (float)(n - exact);
    int64_t bucket = exact + (int64_t)wide;
    return (int32_t)(bucket < n ? bucket : n - 1);
}

void arch_distance_buckets(int32_t *ids, const ArchConfig *c, bool bidirectional) {
    int64_t n = bidirectional ? c->buckets / 2 : c->buckets, far = c->max_distance;
    for (int64_t d = -far; d <= far; d++) {
        int64_t back = bidirectional ? llabs(d) : d < 0 ? -d : 0;
        int32_t ahead = bidirectional && d > 0 ? (int32_t)n : 0;
        ids[d + far] = ahead + distance_bucket(back, n, far);
    }
}
