/* Dropout: the mask is the function of key, sequence, position and column that op_elementwise.h
 * writes down, in the op and inside attention; on every device. */
#include "op_cases_rows.h"

enum { MAX_DEVS = 2 + OP_N_ISAS };
static Dev *devs[MAX_DEVS];
static int n_devs;

/* The header's rule, written a second time. */
static bool keeps(DropoutKey key, int64_t seq_id, int64_t position, int64_t column) {
    uint64_t subsequence = (uint64_t)RNG_DROPOUT << 56 | ((uint64_t)seq_id % (1 << 24)) << 32 |
                           (key.step & 0xffffffffu);
    uint64_t offset = (uint64_t)key.site << 48 | (uint64_t)position << 24 | (uint64_t)column / 4;
    RngBlock block = rng_block(key.seed, subsequence, offset);
    return (double)rng_uniform(block.x[column % 4]) >= key.p;
}

static const OpCase *dropout_case_on(void) {
    for (int i = 0; i < op_cases()->n; i++) {
        const OpCase *c = &op_cases()->at[i];
        if (c->fwd == dropout_case_fwd && c->args.dropout.p > 0) return c;
    }
    fail();
    return NULL;
}

static void test_dropout__the_mask_is_the_written_rule(void **state) {
    (void)state;
    const OpCase *c = dropout_case_on();
    int64_t width = c->arg[0].shape[1], kept = 0, n = op_arg_numel(&c->arg[0]);
    double p = c->args.dropout.p;
    OpValues in, out;
    op_values_make(&in, c);
    for (int i = 0; i < n_devs; i++) {
        op_call(&out, c, devs[i], &in, PASS_FWD, 0);
        kept = 0;
        for (int64_t k = 0; k < n; k++) {
            int64_t row = k / width;
            bool keep =
                keeps(c->args.dropout, (int64_t)in.t[2][row], (int64_t)in.t[3][row], k % width);
            double wanted = keep ? in.t[1][k] / (1 - p) : 0;
            assert_true(fabs(out.t[0][k] - wanted) <= 1e-6 * fabs(wanted));
            kept += keep;
        }
        op_values_free(&out);
    }
    double sigma = sqrt((double)n * p * (1 - p));
    assert_true(fabs((double)kept - (double)n * (1 - p)) < 4 * sigma && kept < n);
    op_values_free(&in);
}

/* Two masks over 64 columns that differ in one ingredient of the key agree only by chance. */
static void test_dropout__each_ingredient_draws_another_mask(void **state) {
    (void)state;
    const DropoutKey base = {.p = 0.5, .seed = 1, .step = 2, .site = 3};
    DropoutKey key[6] = {base, base, base, base, base, base};
    key[1].seed = 2, key[2].step = 3, key[3].site = 4;
    uint64_t mask[6] = {0};
    for (int k = 0; k < 6; k++)
        for (int64_t c = 0; c < 64; c++)
            mask[k] |= (uint64_t)dropout_keeps(key[k], k == 4 ? 8 : 7, k == 5 ? 10 : 9, c) << c;
    for (int a = 0; a < 6; a++) {
        for (int b = 0; b < a; b++) {
            int same = 0;
            for (int c = 0; c < 64; c++) same += (mask[a] >> c & 1) == (mask[b] >> c & 1);
            assert_in_range(same, 12, 52);
        }
    }
}

/* With one-hot values, the output of attention is its probabilities: zero exactly where the rule
 * drops. */
static void test_dropout__attention_drops_probabilities(void **state) {
    (void)state;
    enum { H = 2, D = 80, S = 2 };
    static const double starts[S + 1] = {0, 9, 89}; /* 9 and 80 keys */
    const DropoutKey key = {.p = 0.4, .seed = 77, .step = 5, .site = 65535};
    OpCase c = attn_case(
        "probabilities", starts, S, true, false,
        (AttnArgs){.n_heads = H, .n_kv_heads = 1, .head_dim = D, .scale = 0.1, .dropout = key});
    c.n_args = 8;
    OpValues in, out;
    op_values_make(&in, &c);
    for (int64_t n = 0; n < 89; n++)
        for (int64_t d = 0; d < D; d++) in.t[ATTN_V][n * D + d] = d == (n < 9 ? n : n - 9) ? 1 : 0;
    for (int i = 0; i < n_devs; i++) {
        int dropped = 0;
        op_call(&out, &c, devs[i], &in, PASS_FWD, 0);
        for (int64_t n = 0; n < 89; n++) {
            int64_t s = n < 9 ? 0 : 1, position = n - (int64_t)starts[s];
            int64_t seq_id = (int64_t)in.t[ATTN_IDS][s];
            for (int64_t h = 0; h < H; h++) {
                for (int64_t j = 0; j <= position; j++) {
                    bool keep = keeps(key, seq_id, position, (h << 20) + j);
                    assert_int_equal(out.t[ATTN_OUT][(n * H + h) * D + j] > 0, keep);
                    dropped += !keep;
                }
            }
        }
        assert_true(dropped > 0);
        op_values_free(&out);
    }
    op_values_free(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout__the_mask_is_the_written_rule),
        cmocka_unit_test(test_dropout__each_ingredient_draws_another_mask),
        cmocka_unit_test(test_dropout__attention_drops_probabilities),
    };
    if (dev_open(&devs[n_devs++], "ref", 0) != OK || dev_open(&devs[n_devs++], "ref64", 0) != OK)
        return 1;
    for (int i = 0; i < OP_N_ISAS; i++) {
        devs[n_devs] = op_open_isa(op_isas[i], 0);
        if (devs[n_devs]) n_devs++;
    }
    int failed = cmocka_run_group_tests_name("ops dropout", tests, NULL, NULL);
    for (int i = 0; i < n_devs; i++) dev_close(devs[i]);
    return failed;
}
