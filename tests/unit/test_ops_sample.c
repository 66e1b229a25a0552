/* Sampling: which tokens are kept, which one a number u picks, and the log-prob that goes with it;
 * on ref, ref64 and every instruction set of cpu. */
#include "op_cases_rows.h"

enum { MAX_DEVS = 2 + OP_N_ISAS, MAX_ROWS = 4096 };
static Dev *devs[MAX_DEVS];
static int n_devs;

/* One row of logits for every u: the tokens and, when asked for, their log-probs. */
typedef struct Draw {
    int64_t vocab, rows;
    const double *logits; /* [vocab] */
    double temperature, top_p;
    int32_t top_k;
    const float *u; /* [rows] */
} Draw;

static void draw(int32_t *token, double *logp, Dev *dev, const Draw *d) {
    OpArg logits = in2("logits", d->rows, d->vocab), logps = out1("logp", d->rows);
    double *values = mem_alloc((size_t)(d->rows * d->vocab) * sizeof *values);
    double *temperature = mem_alloc((size_t)d->rows * sizeof *temperature);
    double *top_p = mem_alloc((size_t)d->rows * sizeof *top_p);
    int32_t *top_k = mem_alloc((size_t)d->rows * sizeof *top_k);
    for (int64_t r = 0; r < d->rows; r++) {
        memcpy(values + r * d->vocab, d->logits, (size_t)d->vocab * sizeof *values);
        temperature[r] = d->temperature, top_p[r] = d->top_p, top_k[r] = d->top_k;
    }
    OpBuffer in, out;
    op_buffer_open(&in, &logits, dev_real(dev), values, 0);
    op_buffer_open(&out, &logps, dev_real(dev), NULL, 0);
    op_sample(dev, tensor_1d(token, DTYPE_I32, d->rows), logp ? out.t : tensor_none(), in.t,
              (SampleArgs){.temperature = temperature, .top_p = top_p, .top_k = top_k, .u = d->u});
    for (int64_t r = 0; logp && r < d->rows; r++)
        logp[r] = op_get(out.t.data, out.t.dtype, (size_t)r);
    const OpCase none = {.label = "sample"};
    op_buffer_close(&in, &none, "logits");
    op_buffer_close(&out, &none, "logp");
    mem_free(values);
    mem_free(temperature);
    mem_free(top_p);
    mem_free(top_k);
}

/* How often each token comes when u walks evenly through (0,1): that is rows * its probability, but
 * for the two ends of its interval. */
static void count(int64_t *counts, Dev *dev, Draw d) {
    static float u[MAX_ROWS];
    static int32_t token[MAX_ROWS];
    d.rows = MAX_ROWS;
    d.u = u;
    for (int64_t r = 0; r < d.rows; r++) u[r] = ((float)r + 0.5f) / (float)d.rows;
    draw(token, NULL, dev, &d);
    memset(counts, 0, (size_t)d.vocab * sizeof *counts);
    for (int64_t r = 0; r < d.rows; r++) counts[token[r]]++;
}

static void test_sample__tokens_come_as_often_as_the_softmax_says(void **state) {
    (void)state;
    enum { V = 37 };
    double logits[V], total = 0;
    int64_t counts[V];
    op_normals(logits, V, "logits", 0);
    for (int v = 0; v < V; v++) logits[v] = op_round(2 * logits[v], DTYPE_F32);
    for (int v = 0; v < V; v++) total += exp(logits[v] / 0.7);
    for (int i = 0; i < n_devs; i++) {
        count(counts, devs[i],
              (Draw){.vocab = V, .logits = logits, .temperature = 0.7, .top_p = 1});
        for (int v = 0; v < V; v++) {
            double wanted = MAX_ROWS * exp(logits[v] / 0.7) / total;
            assert_true(fabs((double)counts[v] - wanted) <= 1.1);
        }
    }
}

/* Weights of equal logits are exact, so every boundary is, too. */
static void test_sample__ties_and_sets(void **state) {
    (void)state;
    const double equal[4] = {1, 1, 1, 1}, two_levels[4] = {0, 3, 0, 3};
    static const struct {
        int32_t top_k;
        double top_p;
        int kept; /* bit v: token v comes */
    } sets[] = {
        {0, 1, 15},   {4, 1, 15},   {400, 1, 15}, {3, 1, 7},   {1, 1, 1},    {0, 0.5, 3},
        {0, 0.51, 7}, {0, 0.25, 1}, {0, 1e-9, 1}, {2, 0.5, 1}, {2, 0.51, 3}, {3, 0.67, 7},
    };
    int64_t counts[4];
    for (int i = 0; i < n_devs; i++) {
        for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
            count(counts, devs[i],
                  (Draw){.vocab = 4,
                         .logits = equal,
                         .temperature = 1.3,
                         .top_k = sets[s].top_k,
                         .top_p = sets[s].top_p});
            for (int v = 0; v < 4; v++)
                assert_int_equal(counts[v] > 0, (sets[s].kept >> v & 1) != 0);
        }
        count(counts, devs[i],
              (Draw){.vocab = 4, .logits = two_levels, .temperature = 1, .top_k = 3, .top_p = 1});
        assert_true(counts[0] > 0 && counts[1] > 0 && counts[2] == 0 && counts[3] > 0);
        count(counts, devs[i],
              (Draw){.vocab = 4, .logits = two_levels, .temperature = 1, .top_p = 1e-50});
        assert_int_equal(counts[1], MAX_ROWS);
    }
}

static void test_sample__greedy_is_the_first_maximum(void **state) {
    (void)state;
    const double logits[6] = {-3, 2, 1, 2, -INFINITY, 0};
    const float u[1] = {0.9f};
    double total = 0;
    for (int v = 0; v < 6; v++) total += exp(logits[v]);
    for (int i = 0; i < n_devs; i++) {
        int32_t token;
        double logp;
        draw(&token, &logp, devs[i],
             &(Draw){.vocab = 6,
                     .rows = 1,
                     .logits = logits,
                     .temperature = 0,
                     .top_p = 0.5,
                     .top_k = 2,
                     .u = u});
        assert_int_equal(token, 1);
        assert_true(fabs(logp - (2 - log(total))) < 1e-6);
    }
}

/* The ends of u's interval, and tokens of no weight. */
static void test_sample__only_tokens_with_weight_come(void **state) {
    (void)state;
    const double logits[5] = {-INFINITY, 0, -INFINITY, -1, -INFINITY};
    const float u[4] = {0x1p-25f, 0.5f, 1 - 0x1p-24f, 1};
    for (int i = 0; i < n_devs; i++) {
        int32_t token[4];
        draw(
            token, NULL, devs[i],
            &(Draw){.vocab = 5, .rows = 4, .logits = logits, .temperature = 1, .top_p = 1, .u = u});
        assert_int_equal(token[0], 1);
        assert_int_equal(token[1], 1);
        assert_int_equal(token[2], 3);
        assert_int_equal(token[3], 3);
    }
}

/* Over several blocks of ids, each in its own sum: u * total lies inside the token's part of the
 * prefix sums. */
static void test_sample__the_prefix_sum_picks_over_blocks(void **state) {
    (void)state;
    enum { V = 3 * SAMPLE_BLOCK + 5, R = 200 };
    double *logits = mem_alloc(V * sizeof *logits), total = 0;
    float u[R];
    op_normals(logits, V, "logits", 0);
    for (int v = 0; v < V; v++) {
        logits[v] = op_round(logits[v], DTYPE_F32);
        total += exp(logits[v]);
    }
    for (int r = 0; r < R; r++) u[r] = rng_uniform((uint32_t)r * 21474836u);
    for (int i = 0; i < n_devs; i++) {
        int32_t token[R];
        draw(
            token, NULL, devs[i],
            &(Draw){.vocab = V, .rows = R, .logits = logits, .temperature = 1, .top_p = 1, .u = u});
        for (int r = 0; r < R; r++) {
            double before = 0;
            for (int v = 0; v < token[r]; v++) before += exp(logits[v]);
            double after = before + exp(logits[token[r]]), at = (double)u[r] * total;
            assert_true(before <= at + 1e-6 * total && after >= at - 1e-6 * total);
        }
    }
    mem_free(logits);
}

/* What generation notes down is what scoring says: bit for bit, at any temperature, and of the full
 * softmax where top_k and top_p leave little. */
static void test_sample__logp_is_that_of_the_full_softmax(void **state) {
    (void)state;
    enum { V = 2053, R = 50 };
    static double logits[V];
    static const double temperatures[] = {1, 0.7, 1.9};
    float u[R];
    op_normals(logits, V, "logits", 0);
    for (int v = 0; v < V; v++) logits[v] = op_round(3 * logits[v], DTYPE_F32);
    for (int r = 0; r < R; r++) u[r] = ((float)r + 0.5f) / R;
    for (int i = 0; i < n_devs; i++) {
        for (int k = 0; k < 3; k++) {
            int32_t token[R];
            double logp[R], tokens[R];
            draw(token, logp, devs[i],
                 &(Draw){.vocab = V,
                         .rows = R,
                         .logits = logits,
                         .temperature = temperatures[k],
                         .top_p = 0.8,
                         .top_k = 40,
                         .u = u});
            for (int r = 0; r < R; r++) tokens[r] = token[r];
            OpCase c = logp_case("scoring", R, V, false, false,
                                 (LogpArgs){.inv_temperature = 1 / temperatures[k]});
            c.n_args = 6;
            c.arg[4] = listed(c.arg[4], DTYPE_NONE, logits, V);
            c.arg[5] = listed(c.arg[5], DTYPE_I32, tokens, R);
            OpValues in, out;
            op_values_make(&in, &c);
            op_call(&out, &c, devs[i], &in, PASS_FWD, 0);
            assert_memory_equal(out.t[0], logp, sizeof logp);
            op_values_free(&in);
            op_values_free(&out);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample__tokens_come_as_often_as_the_softmax_says),
        cmocka_unit_test(test_sample__ties_and_sets),
        cmocka_unit_test(test_sample__greedy_is_the_first_maximum),
        cmocka_unit_test(test_sample__only_tokens_with_weight_come),
        cmocka_unit_test(test_sample__the_prefix_sum_picks_over_blocks),
        cmocka_unit_test(test_sample__logp_is_that_of_the_full_softmax),
    };
    if (dev_open(&devs[n_devs++], "ref", 0) != OK || dev_open(&devs[n_devs++], "ref64", 0) != OK)
        return 1;
    for (int i = 0; i < OP_N_ISAS; i++) {
        devs[n_devs] = op_open_isa(op_isas[i], 0);
        if (devs[n_devs]) n_devs++;
    }
    int failed = cmocka_run_group_tests_name("ops sample", tests, NULL, NULL);
    for (int i = 0; i < n_devs; i++) dev_close(devs[i]);
    return failed;
}
