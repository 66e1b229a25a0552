/* pass_kl: the KL of whole distributions, against the same sum made of log-probs that are asked for
 * one token of the vocabulary after the other. */
#include "unit.h"

#include "model_fixture.h"

#include <math.h>

enum { VOCAB = 61, N_SEQS = 3, MAX_ROWS = 16, LONGEST = 10 };
static const int64_t lengths[N_SEQS] = {5, 1, 9}, seq_ids[N_SEQS] = {4, 5, 6};

typedef struct Pair {
    Dev *dev;
    Role role, ref;
    Base *other;
} Pair;

/* LoRA whose B has moved over a base; the reference is that base, or a model of its own. */
static void pair_open(Pair *x, const char *device, const char *config, bool shares) {
    *x = (Pair){0};
    const char *all[] = {"all-linear"};
    LoraOptions lora = {.r = 4, .alpha = 8, .targets = all, .n_targets = 1, .seed = 5};
    ParamList params = {0};
    RngStream r = rng_stream(3, RNG_WORLD, 1);
    assert_int_equal(dev_open(&x->dev, device, 2), OK);
    assert_int_equal(fixture_base(&x->role.base, x->dev, config, false, DTYPE_F32, 4), OK);
    assert_int_equal(adapter_create(&x->role.adapter, x->role.base, "a", &lora), OK);
    adapter_params(&params, x->role.adapter);
    bool wide = dev_real(x->dev) == DTYPE_F64;
    for (int i = 0; i < params.n; i++)
        for (int64_t j = 0; j < tensor_numel(params.items[i].value); j++) {
            double more = 0.2 * (rng_next_uniform(&r) - 0.5);
            if (wide)
                ((double *)params.items[i].value.data)[j] += more;
            else
                ((float *)params.items[i].value.data)[j] += (float)more;
        }
    params_free(&params);
    if (!shares) assert_int_equal(fixture_base(&x->other, x->dev, config, false, DTYPE_F32, 9), OK);
    x->ref = (Role){.base = shares ? x->role.base : x->other};
}

static void pair_close(Pair *x) {
    adapter_close(x->role.adapter);
    base_close(x->role.base);
    base_close(x->other);
    dev_close(x->dev);
}

static void kl_of(const Pair *x, const Rows *rows, double *kl) {
    Pass *p = NULL;
    PassLimits limits = {.max_rows = rows->n_rows, .max_seqs = rows->n_seqs};
    assert_int_equal(pass_open(&p, x->dev, pass_measure_kl(&x->role, &x->ref, &limits)), OK);
    pass_kl(p, &x->role, &x->ref, rows, &(PassOptions){.temperature = 0.7}, kl);
    pass_close(p);
}

/* The `n` first ids of a sequence, then each token of the vocabulary in turn: one sequence each,
 * of which row n-1 has a target. */
typedef struct Continued {
    Rows rows;
    int32_t ids[VOCAB * LONGEST], positions[VOCAB * LONGEST], targets[VOCAB * LONGEST];
    int32_t start[VOCAB + 1];
    int64_t seq_ids[VOCAB];
} Continued;

static void continue_with_each(Continued *c, const int32_t *ids, int64_t n) {
    int32_t at = 0;
    for (int32_t v = 0; v < VOCAB; v++) {
        c->seq_ids[v] = v;
        c->start[v] = at;
        for (int32_t i = 0; i <= n; i++, at++) {
            c->ids[at] = i < n ? ids[i] : v;
            c->positions[at] = i;
            c->targets[at] = i == n - 1 ? v : ROWS_NO_TARGET;
        }
    }
    c->start[VOCAB] = at;
    c->rows = (Rows){.n_rows = at,
                     .n_seqs = VOCAB,
                     .ids = c->ids,
                     .positions = c->positions,
                     .targets = c->targets,
                     .seq_start = c->start,
                     .seq_ids = c->seq_ids};
}

/* sum p (log p - log q) behind the n first ids, token by token. */
static double kl_by_tokens(const Pair *x, Pass *p, const int32_t *ids, int64_t n) {
    static Continued c;
    static double lp[VOCAB * LONGEST], lq[VOCAB * LONGEST];
    PassOptions opt = {.temperature = 0.7};
    double kl = 0;
    continue_with_each(&c, ids, n);
    pass_score(p, &x->role, &c.rows, &opt, &(PassOut){.logp = lp});
    pass_score(p, &x->ref, &c.rows, &opt, &(PassOut){.logp = lq});
    for (int32_t v = 0; v < VOCAB; v++) {
        int64_t i = c.start[v] + n - 1;
        kl += exp(lp[i]) * (lp[i] - lq[i]);
    }
    return kl;
}

static void check_rows(const Pair *x, const Rows *rows, double bound) {
    double kl[MAX_ROWS];
    Pass *p = NULL;
    PassLimits limits = {.max_rows = VOCAB * LONGEST, .max_seqs = VOCAB};
    size_t a = pass_measure(&x->role, &limits), b = pass_measure(&x->ref, &limits);
    int64_t large = 0;
    kl_of(x, rows, kl);
    assert_int_equal(pass_open(&p, x->dev, a > b ? a : b), OK);
    for (int64_t s = 0; s < rows->n_seqs; s++) {
        for (int64_t i = rows->seq_start[s]; i < rows->seq_start[s + 1]; i++) {
            bool asked = rows->targets[i] != ROWS_NO_TARGET;
            int64_t first = rows->seq_start[s];
            double want = asked ? kl_by_tokens(x, p, rows->ids + first, i - first + 1) : 0;
            if (!(fabs(kl[i] - want) <= (asked ? bound : 0)))
                fail_msg("row %lld: %.17g, not %.17g", (long long)i, kl[i], want);
            large += want > 1e-4;
        }
    }
    assert_true(large >= 4);
    pass_close(p);
}

static void test_model_kl__is_the_sum_over_the_vocabulary(void **state) {
    (void)state;
    static const char *const configs[] = {CONFIG_LLAMA, CONFIG_GEMMA2, CONFIG_GPT2};
    FixtureRows rows = fixture_rows(lengths, seq_ids, N_SEQS, 2, VOCAB);
    for (int k = 0; k < 12; k++) {
        Pair x;
        bool wide = k % 2 == 0;
        pair_open(&x, wide ? "ref64" : "cpu", configs[k / 4], k / 2 % 2 == 0);
        check_rows(&x, &rows.rows, wide ? 1e-11 : 2e-5);
        pair_close(&x);
    }
    fixture_rows_free(&rows);
}

/* Of a model to itself it is exactly nothing, and a row's does not depend on what stands around it.
 */
static void test_model_kl__of_a_model_to_itself_and_row_by_row(void **state) {
    (void)state;
    FixtureRows rows = fixture_rows(lengths, seq_ids, N_SEQS, 0, VOCAB);
    FixtureRows alone = fixture_rows(lengths + 2, seq_ids + 2, 1, 0, VOCAB);
    double kl[MAX_ROWS], one[MAX_ROWS];
    Pair x;
    pair_open(&x, "cpu", CONFIG_LLAMA, true);
    kl_of(&x, &rows.rows, kl);
    kl_of(&x, &alone.rows, one);
    assert_memory_equal(kl + rows.rows.seq_start[2], one, (size_t)lengths[2] * sizeof *one);
    x.ref = x.role;
    kl_of(&x, &rows.rows, kl);
    for (int64_t i = 0; i < rows.rows.n_rows; i++) assert_true(kl[i] == 0);
    pair_close(&x);
    fixture_rows_free(&rows);
    fixture_rows_free(&alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_kl__is_the_sum_over_the_vocabulary),
        cmocka_unit_test(test_model_kl__of_a_model_to_itself_and_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
