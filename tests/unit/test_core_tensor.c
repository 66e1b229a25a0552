/* dtype, tensor, arena, rows, threads. */
#include "core/arena.h"
#include "core/rows.h"
#include "core/threads.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>

/* A 16-bit float by its definition: sign, `bits` of exponent, the rest fraction. */
static double by_definition(unsigned x, int exponent_bits) {
    int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(x >> fraction_bits) & ((1 << exponent_bits) - 1);
    double fraction = (double)(x & ((1U << fraction_bits) - 1)) / (double)(1U << fraction_bits);
    double sign = x & 0x8000 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return fraction > 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias);
    return sign * ldexp(1 + fraction, exponent - bias);
}

static void test_dtype__widens_every_half_exactly(void **state) {
    (void)state;
    for (unsigned x = 0; x <= 0xffff; x++) {
        double f16 = by_definition(x, 5), bf16 = by_definition(x, 8);
        float a = f16_to_f32((uint16_t)x), b = bf16_to_f32((uint16_t)x);
        assert_true(isnan(f16) ? isnan(a) : (double)a == f16 && !signbit(a) == !signbit(f16));
        assert_true(isnan(bf16) ? isnan(b) : (double)b == bf16);
        if (!isnan(f16)) assert_int_equal(f32_to_f16(a), x);
        if (!isnan(bf16)) assert_int_equal(f32_to_bf16(b), x);
    }
}

/* The two neighbours of x among the finite halves, and who of them is nearer (or even). */
static uint16_t nearest_half(float x, float (*widen)(uint16_t), int exponent_bits) {
    uint16_t sign = signbit(x) ? 0x8000 : 0, low = 0;
    double magnitude = fabs((double)x);
    uint16_t top = (uint16_t)(((1 << exponent_bits) - 1) << (15 - exponent_bits)); /* Inf */
    for (uint16_t step = 0x4000; step > 0; step /= 2)
        if (low + step < top && (double)widen((uint16_t)(low + step)) <= magnitude)
            low = (uint16_t)(low + step);
    uint16_t high = (uint16_t)(low + 1);
    /* One step past the largest finite value, the grid goes on for the sake of rounding. */
    double below = (double)widen(low);
    double above =
        high == top ? 2 * below - (double)widen((uint16_t)(low - 1)) : (double)widen(high);
    double down = magnitude - below, up = above - magnitude;
    uint16_t best = down < up || (down == up && low % 2 == 0) ? low : high;
    return (uint16_t)(best | sign);
}

static void test_dtype__rounds_to_nearest_even(void **state) {
    (void)state;
    RngStream rng = rng_stream(1, RNG_WORLD, 0);
    for (int i = 0; i < 200000; i++) {
        /* Random bits; every second one close to a tie between two halves. */
        uint32_t bits = rng_next(&rng);
        if (i % 2) bits = ((bits & 0xffffe000U) | 0x1000U) + (uint32_t)(i / 2 % 3) - 1U;
        if (i % 8 == 1) bits = (bits & 0xffff0000U) + 0x8000U;
        if (i % 4 == 3) bits = (bits & 0x8fffffffU) | 0x30000000U; /* where the halves are */
        float x;
        memcpy(&x, &bits, 4);
        if (isnan(x)) continue;
        assert_int_equal(f32_to_f16(x), nearest_half(x, f16_to_f32, 5));
        if (fabsf(x) < 3e38f) assert_int_equal(f32_to_bf16(x), nearest_half(x, bf16_to_f32, 8));
    }
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))) && isnan(bf16_to_f32(f32_to_bf16(NAN))));
    assert_int_equal(f32_to_bf16(3.4e38f), 0x7f80);
    assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    uint32_t low_nan = 0x7f800001; /* its set bit is cut away: still no Inf */
    float x;
    memcpy(&x, &low_nan, 4);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(x))) && isnan(f16_to_f32(f32_to_f16(x))));
}

static void test_dtype__converts_between_all_floats_at_any_address(void **state) {
    (void)state;
    static const DType FLOATS[] = {DTYPE_F64, DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    const float values[5] = {0, -1.5f, 2, 0.25f, -96};
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4; to++) {
            unsigned char a[64], b[64];
            float back[5];
            dtype_convert(a + 1, FLOATS[from], values, DTYPE_F32, 5);
            dtype_convert(b + 3, FLOATS[to], a + 1, FLOATS[from], 5);
            dtype_convert(back, DTYPE_F32, b + 3, FLOATS[to], 5);
            assert_memory_equal(back, values, sizeof values);
        }
    }
}

static void test_dtype__names(void **state) {
    (void)state;
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++)
        assert_int_equal(dtype_by_name(dtype_name((DType)t)), t);
    assert_int_equal(dtype_by_name("BF16"), DTYPE_BF16);
    assert_int_equal(dtype_by_name("f32"), DTYPE_F32);
    assert_int_equal(dtype_by_name("float31"), DTYPE_NONE);
    assert_int_equal(dtype_by_name(""), DTYPE_NONE);
    assert_int_equal(dtype_by_name("a very long name of no type"), DTYPE_NONE);
    assert_true(dtype_is_float(DTYPE_F16) && !dtype_is_float(DTYPE_I8));
}

static void take_outside_rows(void *arg) {
    (void)arg;
    float data[6];
    tensor_rows(tensor_2d(data, DTYPE_F32, 3, 2), 2, 2);
}

static void test_tensor__views(void **state) {
    (void)state;
    float data[24];
    char text[64];
    Tensor t = tensor_3d(data, DTYPE_F32, 4, 3, 2);
    assert_int_equal(tensor_numel(t), 24);
    assert_int_equal(tensor_bytes(t), 96);
    Tensor rows = tensor_rows(t, 1, 2);
    assert_ptr_equal(rows.data, data + 6);
    assert_int_equal(rows.shape[0], 2);
    assert_int_equal(tensor_rows(t, 4, 0).shape[0], 0);
    assert_true(tensor_same_shape(tensor_view_2d(t, 8, 3), tensor_2d(NULL, DTYPE_F32, 8, 3)));
    assert_false(tensor_same_shape(t, rows));
    assert_string_equal(tensor_describe(text, sizeof text, t), "[4,3,2] float32");
    assert_string_equal(tensor_describe(text, sizeof text, (Tensor){.dtype = DTYPE_BF16}),
                        "[] bfloat16");
    assert_string_equal(tensor_describe(text, 5, t), "[4,3");
    assert_true(tensor_is_none(tensor_none()) && !tensor_is_none(t));
    assert_int_equal(tensor_numel((Tensor){.dtype = DTYPE_F32}), 1);
    assert_true(scratch_aborts(take_outside_rows, NULL));
}

static void overfill(void *arena) {
    arena_alloc(arena, 1 << 20);
}

static void test_arena__measures_what_it_then_needs(void **state) {
    (void)state;
    Arena measured, real;
    arena_init_measure(&measured, "measured");
    size_t mark = arena_mark(&measured);
    arena_alloc(&measured, 1000);
    arena_alloc(&measured, 0);
    arena_release(&measured, mark);
    Tensor t = arena_2d(&measured, DTYPE_BF16, 10, 7);
    assert_false(tensor_is_none(t));
    assert_int_equal(measured.used, 192);
    assert_int_equal(measured.peak, 1024 + 64);

    void *memory = mem_aligned(measured.peak);
    arena_init(&real, "real", memory, measured.peak);
    mark = arena_mark(&real);
    char *a = arena_alloc(&real, 1000), *b = arena_alloc(&real, 0);
    assert_true((uintptr_t)a % ARENA_ALIGN == 0 && b == a + 1024);
    arena_release(&real, mark);
    t = arena_like(&real, arena_1d(&real, DTYPE_F32, 3));
    assert_true((char *)t.data == a + 64 && t.rank == 1 && t.shape[0] == 3);
    assert_true(scratch_aborts(overfill, &real));
    mem_free(memory);
}

static void check_rows_of(void *rows) {
    rows_check(rows, 10);
}

static void test_rows__checks_every_invariant(void **state) {
    (void)state;
    int32_t ids[] = {1, 2, 3, 4, 5}, positions[] = {0, 1, 2, 0, 1}, start[] = {0, 3, 5};
    int32_t targets[] = {ROWS_NO_TARGET, 3, ROWS_NO_TARGET, 5, ROWS_NO_TARGET};
    int64_t seq_ids[] = {7, 8};
    Rows r = {.n_rows = 5,
              .n_seqs = 2,
              .ids = ids,
              .positions = positions,
              .targets = targets,
              .seq_start = start,
              .seq_ids = seq_ids};
    rows_check(&r, 6);
    assert_int_equal(rows_count_targets(&r), 2);
    struct {
        int32_t *place, wrong;
    } faults[] = {{&ids[0], -1},     {&ids[4], 10},  {&positions[3], 3}, {&targets[1], 4},
                  {&targets[2], 10}, {&start[1], 0}, {&start[2], 4},     {&start[0], 1}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int32_t right = *faults[i].place;
        *faults[i].place = faults[i].wrong;
        assert_true(scratch_aborts(check_rows_of, &r));
        *faults[i].place = right;
    }
    targets[2] = 9; /* a last row may ask about a token that is no input */
    rows_check(&r, 10);
    int32_t with_empty[] = {0, 3, 3, 5};
    Rows empty = r;
    empty.n_seqs = 3;
    empty.seq_start = with_empty;
    assert_true(scratch_aborts(check_rows_of, &empty));
    r.targets = NULL;
    assert_int_equal(rows_count_targets(&r), 0);
}

static void test_threads__sets_and_tells(void **state) {
    (void)state;
    assert_int_equal(threads_set(3), 3);
    assert_int_equal(threads_count(), 3);
    int all = threads_set(0);
    assert_true(all >= 1 && threads_count() == all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtype__widens_every_half_exactly),
        cmocka_unit_test(test_dtype__rounds_to_nearest_even),
        cmocka_unit_test(test_dtype__converts_between_all_floats_at_any_address),
        cmocka_unit_test(test_dtype__names),
        cmocka_unit_test(test_tensor__views),
        cmocka_unit_test(test_arena__measures_what_it_then_needs),
        cmocka_unit_test(test_rows__checks_every_invariant),
        cmocka_unit_test(test_threads__sets_and_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
