/* Codes and scales against bitsandbytes' definitions, bit for bit (tests/oracle/quant_golden.py),
 * and the properties that no file can hold. */
#include "core/io/safetensors.h"
#include "core/quant.h"
#include "unit.h"

#include "core/mem.h"
#include "core/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Golden {
    Safetensors *file;
    float *x;
    int64_t n, rows;
} Golden;

static const TensorEntry *entry(const Golden *g, const char *name) {
    const TensorEntry *e = safetensors_find(g->file, name);
    if (!e) fail_msg("no tensor %s", name);
    return e;
}

static int open_golden(void **state) {
    static Golden g;
    assert_int_equal(
        safetensors_open(&g.file, HONE_SOURCE_DIR "/tests/golden/data/quant.safetensors"), OK);
    const TensorEntry *x = entry(&g, "x");
    g.rows = x->shape[0];
    g.n = x->shape[0] * x->shape[1];
    g.x = mem_alloc((size_t)g.n * sizeof *g.x);
    dtype_convert(g.x, DTYPE_F32, x->data, x->dtype, (size_t)g.n);
    *state = &g;
    return 0;
}

static int close_golden(void **state) {
    Golden *g = *state;
    safetensors_close(g->file);
    mem_free(g->x);
    return 0;
}

static void same(const Golden *g, const char *name, const void *ours, size_t bytes) {
    const TensorEntry *e = entry(g, name);
    assert_int_equal(e->bytes, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)e->data)[i] != ((const unsigned char *)ours)[i])
            fail_msg("%s: byte %zu of %zu is %02x, not %02x", name, i, bytes,
                     ((const unsigned char *)ours)[i], ((const unsigned char *)e->data)[i]);
}

static void test_quant_4bit__codes_and_scales_are_bitsandbytes(void **state) {
    const Golden *g = *state;
    uint8_t *codes = mem_alloc((size_t)g->n / 2);
    float *absmax = mem_alloc((size_t)g->n * sizeof *absmax);
    for (int kind = QUANT_NF4; kind <= QUANT_FP4; kind++) {
        static const int BLOCKS[] = {64, 256, 4096};
        for (size_t i = 0; i < 3; i++) {
            quant_4bit(codes, absmax, g->x, g->n, BLOCKS[i], (QuantKind)kind);
            char *name = str_format("%s/%d/codes", quant_name((QuantKind)kind), BLOCKS[i]);
            same(g, name, codes, (size_t)g->n / 2);
            mem_free(name);
            name = str_format("%s/%d/absmax", quant_name((QuantKind)kind), BLOCKS[i]);
            same(g, name, absmax, (size_t)quant_blocks(g->n, BLOCKS[i]) * sizeof *absmax);
            mem_free(name);
        }
    }
    mem_free(codes);
    mem_free(absmax);
}

static void test_quant_4bit__values_are_bitsandbytes(void **state) {
    const Golden *g = *state;
    const TensorEntry *e = entry(g, "nf4/4096/values");
    const uint8_t *codes = entry(g, "nf4/4096/codes")->data;
    float *absmax = mem_alloc(entry(g, "nf4/4096/absmax")->bytes);
    memcpy(absmax, entry(g, "nf4/4096/absmax")->data, entry(g, "nf4/4096/absmax")->bytes);
    float *values = mem_alloc(e->bytes);
    for (int64_t i = 0; i < (int64_t)(e->bytes / sizeof *values); i++)
        values[i] = quant_book(QUANT_NF4)[quant_4bit_code(codes, i)] * absmax[i / 4096];
    same(g, e->name, values, e->bytes);
    mem_free(values);
    mem_free(absmax);
}

static void test_quant_dynamic_map__is_bitsandbytes(void **state) {
    same(*state, "map/signed", quant_dynamic_map(true), 256 * sizeof(float));
    same(*state, "map/unsigned", quant_dynamic_map(false), 256 * sizeof(float));
}

static void test_quant_nest__scales_of_scales_are_bitsandbytes(void **state) {
    const Golden *g = *state;
    const TensorEntry *e = entry(g, "nf4/64/absmax");
    int64_t n = e->shape[0], parts = quant_blocks(n, QUANT_NESTED_BLOCK);
    float *absmax = mem_alloc(e->bytes), *nested = mem_alloc((size_t)parts * sizeof *nested);
    uint8_t *codes = mem_alloc((size_t)n);
    memcpy(absmax, e->data, e->bytes);
    float mean = quant_nest(codes, nested, absmax, n);
    same(g, "nested/mean", &mean, sizeof mean);
    same(g, "nested/codes", codes, (size_t)n);
    same(g, "nested/absmax", nested, (size_t)parts * sizeof *nested);
    for (int64_t i = 0; i < n; i++)
        absmax[i] = quant_unnest(codes[i], nested[i / QUANT_NESTED_BLOCK], mean);
    same(g, "nested/values", absmax, e->bytes);
    mem_free(absmax);
    mem_free(nested);
    mem_free(codes);
}

static void test_quant_8bit__unsigned_codes_are_bitsandbytes(void **state) {
    const Golden *g = *state;
    uint8_t *codes = mem_alloc((size_t)g->n);
    float *square = mem_alloc((size_t)g->n * sizeof *square), *absmax = mem_alloc((size_t)g->n);
    for (int64_t i = 0; i < g->n; i++) square[i] = g->x[i] * g->x[i];
    quant_8bit(codes, absmax, square, g->n, 256, false);
    same(g, "unsigned/codes", codes, (size_t)g->n);
    same(g, "unsigned/absmax", absmax, (size_t)quant_blocks(g->n, 256) * sizeof *absmax);
    mem_free(codes);
    mem_free(square);
    mem_free(absmax);
}

static void test_quant_int8__codes_and_scales_are_bitsandbytes(void **state) {
    const Golden *g = *state;
    int8_t *codes = mem_alloc((size_t)g->n);
    float *absmax = mem_alloc((size_t)g->rows * sizeof *absmax);
    quant_int8(codes, absmax, g->x, g->rows, g->n / g->rows);
    same(g, "int8/codes", codes, (size_t)g->n);
    same(g, "int8/absmax", absmax, (size_t)g->rows * sizeof *absmax);
    mem_free(codes);
    mem_free(absmax);
}

/* No number is nearer to another value of the table than to its own. */
static void test_quant_4bit__code_is_of_the_nearest_value(void **state) {
    (void)state;
    enum { N = 4098 };
    float x[N], absmax;
    uint8_t codes[N / 2];
    for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) / (float)(N / 2);
    for (int kind = QUANT_NF4; kind <= QUANT_FP4; kind++) {
        const float *book = quant_book((QuantKind)kind);
        quant_4bit(codes, &absmax, x, N, N, (QuantKind)kind);
        for (int i = 0; i < N; i++) {
            float off = fabsf(x[i] - book[quant_4bit_code(codes, i)] * absmax);
            for (int c = 0; c < 16; c++) assert_true(off <= fabsf(x[i] - book[c] * absmax) + 1e-7F);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quant_4bit__codes_and_scales_are_bitsandbytes),
        cmocka_unit_test(test_quant_4bit__values_are_bitsandbytes),
        cmocka_unit_test(test_quant_dynamic_map__is_bitsandbytes),
        cmocka_unit_test(test_quant_nest__scales_of_scales_are_bitsandbytes),
        cmocka_unit_test(test_quant_8bit__unsigned_codes_are_bitsandbytes),
        cmocka_unit_test(test_quant_int8__codes_and_scales_are_bitsandbytes),
        cmocka_unit_test(test_quant_4bit__code_is_of_the_nearest_value),
    };
    return cmocka_run_group_tests_name("quant", tests, open_golden, close_golden);
}
