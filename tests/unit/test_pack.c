/* Packing against TRL's published examples (its tests and docstrings). Tokens are numbered through
 * all rows from 1, as they are there. */
#include "unit.h"

#include "core/str.h"
#include "data/pack.h"

/* "4 5 6 7|1 2 3,8": bins by |, sequences inside of a bin by a comma. */
static void check(PackStrategy strategy, int64_t max_length, int64_t map_batch,
                  const int64_t *lengths, int64_t n, const char *want) {
    int64_t first[64] = {1};
    for (int64_t i = 1; i < n; i++) first[i] = first[i - 1] + lengths[i - 1];
    PackPlan plan;
    Str got = {0};
    pack_plan(&plan, strategy, max_length, lengths, n, map_batch);
    for (int64_t b = 0; b < plan.n_bins; b++) {
        if (b > 0) str_append(&got, "|");
        for (int64_t k = plan.bin_start[b]; k < plan.bin_start[b + 1]; k++) {
            if (k > plan.bin_start[b]) str_append(&got, strategy == PACK_WRAPPED ? " " : ",");
            for (int64_t i = 0; i < plan.pieces[k].length; i++)
                str_printf(&got, "%s%lld", i ? " " : "",
                           (long long)(first[plan.pieces[k].row] + plan.pieces[k].first + i));
        }
    }
    assert_string_equal(want, str_text(&got));
    str_free(&got);
    pack_free(&plan);
}

#define LENGTHS(...) (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / 8
#define GOLDEN(strategy, length, lengths, want) check(strategy, length, 1000, lengths, want)

static void test_pack__bfd_equals_trl(void **state) {
    (void)state;
    GOLDEN(PACK_BFD, 4, LENGTHS(3, 4, 1), "4 5 6 7|1 2 3,8");
    GOLDEN(PACK_BFD, 4, LENGTHS(5, 2, 4, 1), "1 2 3 4|8 9 10 11|6 7,12");
    GOLDEN(PACK_BFD, 4, LENGTHS(5, 2, 3, 1), "1 2 3 4|8 9 10,11|6 7");
}

static void test_pack__bfd_split_equals_trl(void **state) {
    (void)state;
    GOLDEN(PACK_BFD_SPLIT, 4, LENGTHS(5, 2, 4, 1), "1 2 3 4|8 9 10 11|6 7,5,12");
    GOLDEN(PACK_BFD_SPLIT, 4, LENGTHS(5, 2, 3, 1), "1 2 3 4|8 9 10,5|6 7,11");
    GOLDEN(PACK_BFD_SPLIT, 4, LENGTHS(6, 3, 3, 4), "1 2 3 4|13 14 15 16|7 8 9|10 11 12|5 6");
    GOLDEN(PACK_BFD_SPLIT, 5, LENGTHS(5, 1, 4, 3), "1 2 3 4 5|7 8 9 10,6|11 12 13");
    GOLDEN(PACK_BFD_SPLIT, 4, LENGTHS(2, 0, 3, 0, 1), "3 4 5,6|1 2");
}

static void test_pack__wrapped_equals_trl(void **state) {
    (void)state;
    GOLDEN(PACK_WRAPPED, 3, LENGTHS(3, 4, 1), "1 2 3|4 5 6|7 8");
}

/* Among bins with the same room the one that came to that room first is filled first. */
static void test_pack__equal_rooms_are_a_queue(void **state) {
    (void)state;
    GOLDEN(PACK_BFD, 10, LENGTHS(7, 7, 3, 3), "1 2 3 4 5 6 7,15 16 17|8 9 10 11 12 13 14,18 19 20");
}

static void test_pack__map_batches_are_packed_apart(void **state) {
    (void)state;
    check(PACK_BFD, 4, 2, LENGTHS(3, 4, 1), "4 5 6 7|1 2 3|8");
    check(PACK_WRAPPED, 3, 2, LENGTHS(2, 2, 2), "1 2 3|4|5 6");
}

static void test_pack__cut_rows_are_counted(void **state) {
    (void)state;
    PackPlan plan;
    pack_plan(&plan, PACK_BFD, 4, (const int64_t[]){5, 2, 9}, 3, 1000);
    assert_int_equal(plan.n_cut, 2);
    pack_free(&plan);
    pack_plan(&plan, PACK_BFD_SPLIT, 4, (const int64_t[]){5, 2, 9}, 3, 1000);
    assert_int_equal(plan.n_cut, 0);
    pack_free(&plan);
}

/* Every token of every row stands in exactly one bin, no bin is over the length (many sizes at
 * once, also around the 64 of the bit set's words). */
static void test_pack__nothing_is_lost_or_doubled(void **state) {
    (void)state;
    enum { N = 500 };
    int64_t lengths[N];
    RngStream rng = rng_stream(1, RNG_WORLD, 0);
    for (int64_t max_length = 63; max_length <= 130; max_length += 13) {
        int64_t total = 0, seen[N] = {0}, placed = 0;
        for (int64_t i = 0; i < N; i++)
            total += lengths[i] = (int64_t)rng_below(&rng, (uint64_t)max_length + 1);
        PackPlan plan;
        pack_plan(&plan, PACK_BFD, max_length, lengths, N, 100);
        for (int64_t b = 0; b < plan.n_bins; b++) {
            int64_t filled = 0;
            for (int64_t k = plan.bin_start[b]; k < plan.bin_start[b + 1]; k++) {
                filled += plan.pieces[k].length;
                assert_int_equal(plan.pieces[k].length, lengths[plan.pieces[k].row]);
                assert_int_equal(seen[plan.pieces[k].row]++, 0);
            }
            assert_true(filled >= 1 && filled <= max_length);
            placed += filled;
        }
        assert_int_equal(placed, total);
        pack_free(&plan);
    }
}

static void test_pack__names_are_trls(void **state) {
    (void)state;
    PackStrategy s;
    assert_true(pack_strategy_by_name("bfd-requeue", &s) && s == PACK_BFD_SPLIT);
    assert_true(pack_strategy_by_name("wrapped", &s) && s == PACK_WRAPPED);
    assert_false(pack_strategy_by_name("ffd", &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack__bfd_equals_trl),
        cmocka_unit_test(test_pack__bfd_split_equals_trl),
        cmocka_unit_test(test_pack__wrapped_equals_trl),
        cmocka_unit_test(test_pack__equal_rooms_are_a_queue),
        cmocka_unit_test(test_pack__map_batches_are_packed_apart),
        cmocka_unit_test(test_pack__cut_rows_are_counted),
        cmocka_unit_test(test_pack__nothing_is_lost_or_doubled),
        cmocka_unit_test(test_pack__names_are_trls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
