/* rng: the published answers, the layout of streams, and that what is drawn is fair. */
#include "core/mem.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

/* Known answers of Random123 (kat_vectors, "philox4x32 10"). Words are counter 0..3, key 0..1. */
static void test_rng_block__known_answers(void **state) {
    (void)state;
    static const struct {
        uint64_t offset, subsequence, key;
        uint32_t answer[4];
    } KAT[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88,
         0x0370734413198a2e,
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < 3; i++) {
        RngBlock b = rng_block(KAT[i].key, KAT[i].subsequence, KAT[i].offset);
        assert_memory_equal(b.x, KAT[i].answer, sizeof b.x);
    }
}

static void test_rng__layout_of_subsequence_and_offset(void **state) {
    (void)state;
    assert_true(rng_subsequence(RNG_SAMPLE, 5) == ((uint64_t)RNG_SAMPLE << 56 | 5));
    assert_true(rng_subsequence(RNG_INIT, UINT64_MAX) == 0x01ffffffffffffffU);
    assert_true(rng_offset(3, 9) == ((uint64_t)3 << 32 | 9));
    /* FNV-1a's published value for "foobar". */
    assert_true(rng_hash_name("foobar") == 0x85944171f73967e8U);
}

static void test_rng_uniform__ends_of_the_interval(void **state) {
    (void)state;
    assert_true(rng_uniform(0) > 0 && rng_uniform(255) == rng_uniform(0));
    assert_true(rng_uniform(0) == 0x1p-25f);
    assert_true(rng_uniform(UINT32_MAX) <= 1);
    assert_true(rng_uniform(0x80000000U) == 0.5f + 0x1p-25f || rng_uniform(0x80000000U) == 0.5f);
}

static void test_rng_stream__is_a_cursor_over_blocks(void **state) {
    (void)state;
    RngStream s = rng_stream(11, RNG_WORLD, 4);
    for (uint64_t i = 0; i < 10; i++) {
        RngBlock b = rng_block(11, rng_subsequence(RNG_WORLD, 4), i);
        for (int k = 0; k < 4; k++) assert_int_equal(rng_next(&s), b.x[k]);
    }
}

static void test_rng_normal2__moments(void **state) {
    (void)state;
    enum { N = 100000 };
    RngStream s = rng_stream(2, RNG_WORLD, 0);
    double sum = 0, square = 0, fourth = 0, cross = 0;
    for (int i = 0; i < N; i++) {
        double z[2];
        uint32_t a = rng_next(&s), b = rng_next(&s);
        rng_normal2(z, a, b);
        sum += z[0] + z[1];
        square += z[0] * z[0] + z[1] * z[1];
        fourth += pow(z[0], 4) + pow(z[1], 4);
        cross += z[0] * z[1];
    }
    assert_true(fabs(sum / (2 * N)) < 0.01);
    assert_true(fabs(square / (2 * N) - 1) < 0.015);
    assert_true(fabs(fourth / (2 * N) - 3) < 0.1);
    assert_true(fabs(cross / N) < 0.015);
    double z[2];
    rng_normal2(z, 0, 0); /* the smallest uniform: far out, but finite */
    assert_true(isfinite(z[0]) && z[0] > 6);
}

static void test_rng_below__is_unbiased(void **state) {
    (void)state;
    enum { N = 60000 };
    int count[6] = {0};
    RngStream s = rng_stream(3, RNG_WORLD, 0);
    for (int i = 0; i < N; i++) count[rng_below(&s, 6)]++;
    double chi2 = 0;
    for (int i = 0; i < 6; i++) chi2 += pow(count[i] - N / 6.0, 2) / (N / 6.0);
    assert_true(chi2 < 20.5); /* 5 degrees of freedom, p = 0.001 */
    /* Three quarters of the range: taken as they come, draws would hit the low third half of the
     * time. */
    uint64_t n = (uint64_t)3 << 62, low = 0;
    for (int i = 0; i < 1000; i++) low += rng_below(&s, n) < n / 3;
    assert_true(low > 280 && low < 390);
    assert_int_equal(rng_below(&s, 1), 0);
}

static void test_rng_permute__is_a_permutation(void **state) {
    (void)state;
    static const uint64_t SIZES[] = {1, 2, 3, 7, 16, 255, 256, 257, 1000, 4096, 10007};
    for (size_t k = 0; k < sizeof SIZES / sizeof SIZES[0]; k++) {
        uint64_t n = SIZES[k];
        unsigned char *seen = mem_zalloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = rng_permute(5, RNG_SHUFFLE, 2, n, i);
            assert_true(p < n && !seen[p]);
            seen[p] = 1;
        }
        mem_free(seen);
    }
}

/* All 24 orders of four things come, equally often, over the epochs. */
static void test_rng_permute__every_order_is_as_likely(void **state) {
    (void)state;
    enum { N = 12000 };
    int count[256] = {0};
    for (uint64_t epoch = 0; epoch < N; epoch++) {
        unsigned code = 0;
        for (uint64_t i = 0; i < 4; i++)
            code = code << 2 | (unsigned)rng_permute(9, RNG_SHUFFLE, epoch, 4, i);
        count[code]++;
    }
    double chi2 = 0;
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (count[i] == 0) continue;
        orders++;
        chi2 += pow(count[i] - N / 24.0, 2) / (N / 24.0);
    }
    assert_int_equal(orders, 24);
    assert_true(chi2 < 49.8); /* 23 degrees of freedom, p = 0.001 */
}

/* On a domain that it fills exactly, a Feistel network makes even permutations only. */
static void test_rng_permute__odd_orders_come_too(void **state) {
    (void)state;
    int odd = 0;
    for (uint64_t epoch = 0; epoch < 400; epoch++) {
        int inversions = 0;
        for (uint64_t i = 0; i < 16; i++)
            for (uint64_t k = 0; k < i; k++)
                inversions += rng_permute(9, RNG_SHUFFLE, epoch, 16, k) >
                              rng_permute(9, RNG_SHUFFLE, epoch, 16, i);
        odd += inversions % 2;
    }
    assert_true(odd > 150 && odd < 250);
}

static void test_rng_permute__differs_between_epochs_and_seeds(void **state) {
    (void)state;
    int same_epoch = 0, same_seed = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t p = rng_permute(1, RNG_SHUFFLE, 0, 1000, i);
        same_epoch += p == rng_permute(1, RNG_SHUFFLE, 1, 1000, i);
        same_seed += p == rng_permute(2, RNG_SHUFFLE, 0, 1000, i);
    }
    assert_true(same_epoch < 10 && same_seed < 10); /* one is expected by chance */
}

static void draw_outside(void *arg) {
    (void)arg;
    rng_permute(1, RNG_SHUFFLE, 0, 10, 10);
}

static void test_rng_permute__refuses_a_place_outside(void **state) {
    (void)state;
    assert_true(scratch_aborts(draw_outside, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng_block__known_answers),
        cmocka_unit_test(test_rng__layout_of_subsequence_and_offset),
        cmocka_unit_test(test_rng_uniform__ends_of_the_interval),
        cmocka_unit_test(test_rng_stream__is_a_cursor_over_blocks),
        cmocka_unit_test(test_rng_normal2__moments),
        cmocka_unit_test(test_rng_below__is_unbiased),
        cmocka_unit_test(test_rng_permute__is_a_permutation),
        cmocka_unit_test(test_rng_permute__every_order_is_as_likely),
        cmocka_unit_test(test_rng_permute__odd_orders_come_too),
        cmocka_unit_test(test_rng_permute__differs_between_epochs_and_seeds),
        cmocka_unit_test(test_rng_permute__refuses_a_place_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
