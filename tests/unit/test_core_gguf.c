/* gguf: every type of block, what is written comes back, every rule broken once. */
#include "core/io/gguf.h"
#include "core/io/gguf_save.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_file.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/gguf_files/"

static size_t numel(const TensorEntry *e) {
    size_t n = 1;
    for (int i = 0; i < e->rank; i++) n *= (size_t)e->shape[i];
    return n;
}

/* Random blocks, and what the gguf package makes of them. */
static void test_gguf_open__every_block_is_that_of_the_gguf_package(void **state) {
    (void)state;
    Safetensors *want = NULL;
    TensorFile *f = NULL;
    assert_int_equal(safetensors_open(&want, DATA "blocks.safetensors"), OK);
    if (tensor_file_open(&f, DATA "blocks.gguf") != OK) fail_msg("%s", status_message());
    assert_int_equal(tensor_file_count(f), 11);
    assert_int_equal(safetensors_count(want), 11);
    for (int64_t i = 0; i < 11; i++) {
        const TensorEntry *w = safetensors_at(want, i), *e = tensor_file_find(f, w->name);
        assert_non_null(e);
        assert_int_equal(e->rank, 2);
        assert_int_equal(e->shape[0], w->shape[0]);
        assert_int_equal(e->shape[1], w->shape[1]);
        void *made;
        size_t n = numel(e);
        float *ours = mem_zalloc(n, sizeof *ours);
        dtype_convert(ours, DTYPE_F32, tensor_entry_values(e, &made), e->dtype, n);
        if (memcmp(ours, w->data, n * sizeof *ours) != 0) fail_msg("%s: other values", w->name);
        mem_free(ours);
        mem_free(made);
    }
    tensor_file_close(f);
    safetensors_close(want);
}

/* ---- there and back ---- */

enum { ROWS = 3, COLS = 64 };

static float value_of(int64_t i, size_t k) {
    return sinf((float)(i * 100) + (float)k) * (i == 3 && k < 32 ? 0.0F : 2.0F);
}

static Status fill(void *ctx, int64_t i, float *dst) {
    (void)ctx;
    for (size_t k = 0; k < (i == 0 ? 5 : ROWS * COLS); k++) dst[k] = value_of(i, k);
    return OK;
}

static void test_gguf_save__comes_back(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "x.gguf");
    GgufMeta meta = {0};
    gguf_meta_str(&meta, "a.text", "na\xC3\xAFve");
    gguf_meta_u32(&meta, "a.number", 4000000000);
    gguf_meta_f32(&meta, "a.real", 1e-5);
    gguf_meta_bool(&meta, "a.flag", true);
    gguf_meta_strings(&meta, "a.texts", (const char *[]){"x", "", "yz"}, 3);
    gguf_meta_f32s(&meta, "a.reals", (float[]){1.5F, -2.0F}, 2);
    gguf_meta_i32s(&meta, "a.numbers", (int32_t[]){7, -8, 9}, 3);
    const GgufItem items[] = {{"vector", GGUF_STORE_F32, 1, {5}},
                              {"half", GGUF_STORE_F16, 2, {ROWS, COLS}},
                              {"short", GGUF_STORE_BF16, 2, {ROWS, COLS}},
                              {"byte", GGUF_STORE_Q8_0, 2, {ROWS, COLS}},
                              {"full", GGUF_STORE_F32, 2, {ROWS, COLS}}};
    const GgufSpec spec = {.meta = &meta, .items = items, .n_items = 5, .fill = fill};
    if (gguf_save(path, &spec) != OK) fail_msg("%s", status_message());
    gguf_meta_free(&meta);
    Gguf *g = NULL;
    if (gguf_open(&g, path) != OK) fail_msg("%s", status_message());
    const char *text = NULL;
    int64_t number = 0, n = 0;
    double real = 0;
    bool flag = false;
    size_t bytes;
    assert_int_equal(gguf_opt_str(&text, g, "a.text"), OK);
    assert_string_equal(text, "na\xC3\xAFve");
    assert_int_equal(gguf_opt_int(&number, g, "a.number"), OK);
    assert_int_equal(number, 4000000000);
    assert_int_equal(gguf_opt_num(&real, g, "a.real"), OK);
    assert_true((float)real == 1e-5F);
    assert_int_equal(gguf_opt_bool(&flag, g, "a.flag"), OK);
    assert_true(flag);
    assert_int_equal(gguf_opt_strings(&n, g, "a.texts"), OK);
    assert_int_equal(n, 3);
    assert_memory_equal(gguf_string_at(g, "a.texts", 2, &bytes), "yz", 2);
    assert_int_equal(bytes, 2);
    assert_int_equal(gguf_opt_numbers(&n, g, "a.numbers"), OK);
    assert_int_equal(n, 3);
    assert_true(gguf_number_at(g, "a.numbers", 1) == -8.0);
    assert_true(gguf_number_at(g, "a.reals", 1) == -2.0);
    assert_false(gguf_has(g, "a.none"));
    assert_int_equal(gguf_opt_int(&number, g, "a.none"), OK);
    assert_int_equal(number, 4000000000);
    /* half a step of each type, of the largest value of its block, whose scale is rounded too */
    const double within[] = {0, 2.0 / 2048, 2.0 / 256, 2.0 / 254 + 2.0 / 2048, 0};
    const TensorEntry *entries = gguf_entries(g, &n);
    for (int64_t i = 0; i < 5; i++) {
        const TensorEntry *e = tensor_entries_find(entries, n, items[i].name);
        assert_int_equal(e->rank, items[i].rank);
        assert_int_equal(e->shape[e->rank - 1], items[i].shape[e->rank - 1]);
        void *made;
        float ours[ROWS * COLS];
        dtype_convert(ours, DTYPE_F32, tensor_entry_values(e, &made), e->dtype, numel(e));
        for (size_t k = 0; k < numel(e); k++)
            if (!(fabs((double)ours[k] - (double)value_of(i, k)) <= within[i]))
                fail_msg("%s[%zu]: %g, was %g", e->name, k, (double)ours[k],
                         (double)value_of(i, k));
        mem_free(made);
    }
    gguf_close(g);
    mem_free(path);
    scratch_free(folder);
}

/* ---- broken rules ---- */

static void put(Str *s, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++) str_append_char(s, (char)(x >> (8 * i) & 0xff));
}

static void put_text(Str *s, const char *text, size_t n) {
    put(s, n, 8);
    str_append_n(s, text, n);
}

static Str head(uint32_t version, uint64_t tensors, uint64_t pairs) {
    Str s = {0};
    str_append(&s, "GGUF");
    put(&s, version, 4);
    put(&s, tensors, 8);
    put(&s, pairs, 8);
    return s;
}

static void expect(Str *s, const char *says) {
    char *folder = scratch_new(), *path = scratch_file(folder, "x.gguf", str_text(s), s->len);
    Gguf *g = NULL;
    Status st = gguf_open(&g, path);
    if (says ? st != ERR_DATA || !strstr(status_message(), says) : st != OK)
        fail_msg("%d %s, expected %s", (int)st, st ? status_message() : "", says ? says : "OK");
    gguf_close(g);
    str_free(s);
    mem_free(path);
    scratch_free(folder);
}

static void pair(const char *key, size_t n, uint32_t type, uint64_t value, int bytes,
                 const char *says) {
    Str s = head(3, 0, 1);
    put_text(&s, key, n);
    put(&s, type, 4);
    put(&s, value, bytes);
    expect(&s, says);
}

static void test_gguf_open__refuses_bad_metadata(void **state) {
    (void)state;
    Str s = {0};
    str_append(&s, "GGUX");
    expect(&s, "not a GGUF file");
    s = head(1, 0, 0);
    expect(&s, "version 1 of the GGUF format");
    s = head(0x03000000, 0, 0);
    expect(&s, "big-endian");
    s = head(3, UINT64_MAX, 0);
    expect(&s, "more tensors or keys");
    s = head(3, 0, UINT64_MAX);
    expect(&s, "more tensors or keys");
    s = head(3, 0, 0);
    expect(&s, NULL);
    s = head(2, 0, 0);
    expect(&s, NULL);
    pair("a", 1, 4, 1, 4, NULL);
    pair("", 0, 4, 1, 4, "a key of 0 bytes");
    pair("a\0b", 3, 4, 1, 4, "a key that is no text");
    pair("\xff", 1, 4, 1, 4, "a key that is no text");
    pair("a", 1, 13, 1, 4, "a type that the format does not have");
    pair("a", 1, 4, 1, 3, "ends too early");
    pair("a", 1, 8, UINT64_MAX, 8, "ends too early");
    pair("general.alignment", 17, 4, 0, 4, "no power of two");
    pair("general.alignment", 17, 4, 24, 4, "no power of two");
    pair("general.alignment", 17, 4, 1U << 31, 4, "no power of two");
    pair("general.alignment", 17, 7, 1, 1, "must be an integer, not bool");
    pair("split.count", 11, 2, 3, 2, "one of 3 parts");
    s = head(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&s, "a", 1);
        put(&s, 7, 4);
        put(&s, 1, 1);
    }
    expect(&s, "key `a`: is there twice");
    static const struct {
        uint32_t type;
        uint64_t n;
        const char *says;
    } ARRAYS[] = {
        {9, 1, "a type that the format does not have"}, /* an array of arrays */
        {8, 1, "longer than the file"},
        {8, UINT64_MAX, "longer than the file"},
        {10, UINT64_MAX / 8 + 1, "longer than the file"},
        {0, UINT64_MAX, "ends too early"},
    };
    for (size_t i = 0; i < sizeof ARRAYS / sizeof *ARRAYS; i++) {
        s = head(3, 0, 1);
        put_text(&s, "a", 1);
        put(&s, 9, 4);
        put(&s, ARRAYS[i].type, 4);
        put(&s, ARRAYS[i].n, 8);
        expect(&s, ARRAYS[i].says);
    }
}

typedef struct Info {
    const char *name;
    int rank;
    uint64_t shape[5], offset;
    uint32_t type;
} Info;

static void tensors(const Info *infos, int n, size_t data, const char *says) {
    Str s = head(3, (uint64_t)n, 0);
    for (int i = 0; i < n; i++) {
        put_text(&s, infos[i].name, strlen(infos[i].name));
        put(&s, (uint64_t)infos[i].rank, 4);
        for (int k = 0; k < infos[i].rank; k++) put(&s, infos[i].shape[k], 8);
        put(&s, infos[i].type, 4);
        put(&s, infos[i].offset, 8);
    }
    while (s.len % 32) str_append_char(&s, '\0');
    for (size_t i = 0; i < data; i++) str_append_char(&s, 'x');
    expect(&s, says);
}

static void test_gguf_open__refuses_bad_tensors(void **state) {
    (void)state;
    char name[70];
    memset(name, 'n', sizeof name);
    name[64] = '\0';
#define ONE(...) (Info[]){{__VA_ARGS__}}, 1
    tensors(ONE("t", 2, {4, 2}, 0, 0), 32, NULL);
    tensors(ONE("t", 0, {0}, 0, 0), 4, NULL);
    tensors(ONE("t", 2, {4, 2}, 0, 0), 31, "beyond the end of the file");
    tensors(ONE("t", 2, {4, 2}, 32, 0), 64, "has a hole before it");
    tensors(ONE("t", 5, {1, 1, 1, 1, 1}, 0, 0), 32, "more than 4 axes");
    tensors(ONE("t", 2, {4, 0}, 0, 0), 32, "its shape holds nothing");
    tensors(ONE("t", 2, {UINT64_MAX, 2}, 0, 0), 32, "more than can be");
    tensors(ONE("t", 2, {(uint64_t)1 << 62, 8}, 0, 0), 32, "more than can be");
    tensors(ONE("t", 2, {(uint64_t)1 << 61, 2}, 0, 0), 32, "the number of bytes overflows");
    tensors(ONE("t", 2, {(uint64_t)1 << 40, 1}, 0, 0), 32, "beyond the end of the file");
    tensors(ONE("t", 1, {4}, 0, 4), 32, "type 4 is not known");
    tensors(ONE("t", 1, {4}, 0, 99), 32, "type 99 is not known");
    tensors(ONE("t", 1, {48}, 0, 8), 68, "not made of whole blocks");
    tensors(ONE("t", 1, {64}, 0, 8), 68, NULL);
    tensors(ONE(name, 1, {4}, 0, 0), 32, "the name of a tensor of 64 bytes");
    name[63] = '\0';
    tensors(ONE(name, 1, {4}, 0, 0), 32, NULL);
    tensors((Info[]){{"a", 1, {4}, 0, 0}, {"b", 1, {4}, 32, 0}}, 2, 48, NULL);
    tensors((Info[]){{"a", 1, {4}, 0, 0}, {"a", 1, {4}, 32, 0}}, 2, 48, "`a`: is there twice");
    tensors((Info[]){{"a", 1, {9}, 0, 0}, {"b", 1, {4}, 32, 0}}, 2, 80, "overlaps another");
    tensors((Info[]){{"a", 1, {4}, 0, 0}, {"b", 1, {4}, 0, 0}}, 2, 80, "overlaps another");
}

static void test_gguf_open__refuses_every_truncation(void **state) {
    (void)state;
    Str bytes = {0};
    assert_int_equal(file_read(&bytes, DATA "llama.gguf", 1 << 20), OK);
    char *folder = scratch_new();
    for (size_t n = 0; n + 32 <= bytes.len; n += 7) { /* padding may be missing at the end */
        char *path = scratch_file(folder, "x.gguf", bytes.data, n);
        Gguf *g = NULL;
        if (gguf_open(&g, path) != ERR_DATA) fail_msg("%zu bytes are taken for a file", n);
        mem_free(path);
    }
    str_free(&bytes);
    scratch_free(folder);
}

static void test_gguf_opt__says_what_is_wrong(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "x.gguf");
    GgufMeta meta = {0};
    gguf_meta_str(&meta, "text", "\xff");
    gguf_meta_u32(&meta, "number", 3);
    gguf_meta_f32s(&meta, "reals", (float[]){1}, 1);
    assert_int_equal(gguf_save(path, &(GgufSpec){.meta = &meta}), OK);
    gguf_meta_free(&meta);
    Gguf *g = NULL;
    assert_int_equal(gguf_open(&g, path), OK);
    const char *text = NULL;
    int64_t n = 0;
    double x = 0;
    bool b = false;
    assert_int_equal(gguf_opt_str(&text, g, "text"), ERR_DATA);
    assert_int_equal(gguf_opt_str(&text, g, "number"), ERR_DATA);
    assert_non_null(strstr(status_message(), "key `number` must be a string, not u32"));
    assert_int_equal(gguf_opt_int(&n, g, "reals"), ERR_DATA);
    assert_non_null(strstr(status_message(), "must be an integer, not an array of f32"));
    assert_int_equal(gguf_opt_num(&x, g, "number"), OK);
    assert_int_equal(gguf_opt_num(&x, g, "text"), ERR_DATA);
    assert_int_equal(gguf_opt_bool(&b, g, "number"), ERR_DATA);
    assert_int_equal(gguf_opt_strings(&n, g, "reals"), ERR_DATA);
    assert_int_equal(gguf_opt_numbers(&n, g, "number"), ERR_DATA);
    gguf_close(g);
    mem_free(path);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_open__every_block_is_that_of_the_gguf_package),
        cmocka_unit_test(test_gguf_save__comes_back),
        cmocka_unit_test(test_gguf_open__refuses_bad_metadata),
        cmocka_unit_test(test_gguf_open__refuses_bad_tensors),
        cmocka_unit_test(test_gguf_open__refuses_every_truncation),
        cmocka_unit_test(test_gguf_opt__says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
