/* safetensors: published cases, every rule broken once, and files that come back as they were. */
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/sha256.h"
#include "scratch.h"
#include "unit.h"

static void append_u64(Str *s, uint64_t x) {
    for (int i = 0; i < 8; i++) str_append_char(s, (char)(x >> (8 * i) & 0xff));
}

/* A file of that header and `data` zero bytes, opened; the message holds `says` when it is refused.
 */
static void expect(Status want, const char *header, size_t data, const char *says) {
    char *folder = scratch_new();
    Str bytes = {0};
    append_u64(&bytes, strlen(header));
    str_append(&bytes, header);
    for (size_t i = 0; i < data; i++) str_append_char(&bytes, '\0');
    char *path = scratch_file(folder, "x.safetensors", bytes.data, bytes.len);
    Safetensors *s = NULL;
    Status st = safetensors_open(&s, path);
    if (st != want || (want != OK && !strstr(status_message(), says)))
        fail_msg("%s: %d %s, expected %s", header, (int)st, status_message(), says);
    safetensors_close(s);
    mem_free(path);
    str_free(&bytes);
    scratch_free(folder);
}

static void test_safetensors_open__refuses_every_broken_rule(void **state) {
    (void)state;
#define ONE(dtype, shape, offsets) \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    static const struct {
        const char *header;
        size_t data;
        const char *says;
    } BAD[] = {
        {"[]", 0, "not a JSON object"},
        {"{", 0, "not valid JSON"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "`__metadata__.a` must be a string"},
        {"{\"__metadata__\":[]}", 0, "must be an object"},
        {"{\"t\":3}", 0, "not described by an object"},
        {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "nothing else"},
        {ONE("\"Q32\"", "[1]", "[0,4]"), 4, "unknown dtype"},
        {ONE("3", "[1]", "[0,4]"), 4, "`dtype` is not a string"},
        {ONE("\"F32\"", "1", "[0,4]"), 4, "`shape` is not an array"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, "no size"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "no size"},
        {ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "no size"},
        {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 axes"},
        {ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "overflows"},
        {ONE("\"F32\"", "[2305843009213693952,2]", "[0,0]"), 0, "overflows"},
        {ONE("\"F32\"", "[9223372036854775807,2]", "[0,16]"), 16, "overflows"},
        {ONE("\"F32\"", "[2]", "[0,4]"), 4, "need 8 bytes"},
        {ONE("\"F4\"", "[3]", "[0,2]"), 2, "whole bytes"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, "two offsets"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, "two offsets"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, "two offsets"},
        {ONE("\"F32\"", "[1]", "[0,4.0]"), 4, "two offsets"},
        {ONE("\"F32\"", "[1]", "[0,4,8]"), 8, "two offsets"},
        {ONE("\"F32\"", "[2]", "[0,8]"), 4, "beyond the end"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, "hole"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, "belong to no tensor"},
        {"{}", 1, "belong to no tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
         8, "not valid JSON"},
        {ONE("\"F32\"", "[1]", "[0,4]") " x", 4, "not valid JSON"},
        {"{\"\\u0000\":1}", 0, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        expect(ERR_DATA, BAD[i].header, BAD[i].data, BAD[i].says);

    char name[1100];
    memset(name, 'n', sizeof name);
    for (int n = 1024; n <= 1025; n++) {
        char *header = str_format(
            "{\"%.*s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", n, name);
        expect(n == 1024 ? OK : ERR_DATA, header, 1, "over 1024 bytes");
        mem_free(header);
    }
    expect(OK, ONE("\"F8_E4M3\"", "[3]", "[0,3]"), 3, "");
    expect(OK, ONE("\"F32\"", "[]", "[0,4]"), 4, "");
    expect(OK, ONE("\"F32\"", "[0,9223372036854775807]", "[0,0]"), 0, "");
}

static void expect_bytes(Status want, const void *bytes, size_t n, const char *what) {
    char *folder = scratch_new(), *path = scratch_file(folder, "x.safetensors", bytes, n);
    Safetensors *s = NULL;
    Status st = safetensors_open(&s, path);
    if (st != want) fail_msg("%s: %d %s", what, (int)st, status_message());
    if (st == OK && safetensors_count(s) > 0) assert_non_null(safetensors_find(s, "test"));
    safetensors_close(s);
    mem_free(path);
    scratch_free(folder);
}

static void test_safetensors_open__published_cases(void **state) {
    (void)state;
    const char *path = HONE_SHARED_DIR "/models/safetensors-vectors/vectors.json";
    if (!file_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    Json *cases = NULL;
    assert_int_equal(json_read_file(&cases, path), OK);
    assert_int_equal(json_len(cases), 15);
    for (int64_t i = 0; i < json_len(cases); i++) {
        const Json *c = json_at(cases, i);
        size_t len;
        const char *hex = json_str(json_get(c, "hex"), &len);
        unsigned char bytes[512];
        assert_true(len / 2 <= sizeof bytes);
        for (size_t k = 0; k < len / 2; k++) {
            const char digits[3] = {hex[2 * k], hex[2 * k + 1], '\0'};
            bytes[k] = (unsigned char)strtoul(digits, NULL, 16);
        }
        bool good = strcmp(json_str(json_get(c, "expect"), NULL), "ok") == 0;
        expect_bytes(good ? OK : ERR_DATA, bytes, len / 2, json_str(json_get(c, "test"), NULL));
    }
    json_free(cases);
}

/* Cut anywhere, a file is refused; so is one with bytes behind it. */
static void test_safetensors_open__refuses_every_truncation(void **state) {
    (void)state;
    Str bytes = {0};
    const char *header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    append_u64(&bytes, strlen(header));
    str_append(&bytes, header);
    append_u64(&bytes, 7);
    char *folder = scratch_new();
    for (size_t n = 0; n < bytes.len; n++) {
        Safetensors *s = NULL;
        char *path = scratch_file(folder, "x.safetensors", bytes.data, n);
        assert_int_equal(safetensors_open(&s, path), ERR_DATA);
        const char *says = n < 8                    ? "at least 8"
                           : n < 8 + strlen(header) ? "cut short: the header"
                                                    : "is it cut short?";
        if (!strstr(status_message(), says)) fail_msg("%zu: %s", n, status_message());
        mem_free(path);
    }
    str_free(&bytes);
    scratch_free(folder);
}

/* Whatever bit is wrong: refused, or read without a step outside (the sanitizers watch). */
static void test_safetensors_open__survives_every_flipped_bit(void **state) {
    (void)state;
    Str bytes = {0};
    const char *header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                         "\"__metadata__\":{\"format\":\"pt\"}}";
    append_u64(&bytes, strlen(header));
    str_append(&bytes, header);
    append_u64(&bytes, 7);
    char *folder = scratch_new();
    int refused = 0;
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        Safetensors *s = NULL;
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        char *path = scratch_file(folder, "x.safetensors", bytes.data, bytes.len);
        Status st = safetensors_open(&s, path);
        assert_true(st == OK || st == ERR_DATA);
        refused += st != OK;
        for (int64_t i = 0; s && i < safetensors_count(s); i++) {
            const TensorEntry *e = safetensors_at(s, i);
            char hex[SHA256_HEX];
            sha256_hex(hex, e->data, e->bytes);
        }
        safetensors_close(s);
        mem_free(path);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    assert_true(refused > 500); /* all but those inside a name, a text or the data */
    str_free(&bytes);
    scratch_free(folder);
}

/* The limit is the header's own: a file that is large enough for it does not help. */
static void test_safetensors_open__refuses_a_giant_header(void **state) {
    (void)state;
    static const char LENGTH[8] = {0x01, (char)0xe1, (char)0xf5, 0x05}; /* 100,000,001 */
    char *folder = scratch_new(), *path = scratch_file(folder, "x.safetensors", LENGTH, 8);
    assert_int_equal(truncate(path, 100000100), 0); /* no disk is used */
    Safetensors *s = NULL;
    assert_int_equal(safetensors_open(&s, path), ERR_DATA);
    assert_non_null(strstr(status_message(), "more than the format allows"));
    mem_free(path);
    scratch_free(folder);
}

/* ---- writing ---- */

static const float A[6] = {1, 2, 3, 4, 5, 6};
static const uint16_t B[3] = {0x3f80, 0x4000, 0xc000};
static const int64_t C = -5;

static const SafetensorsItem ITEMS[] = {
    {"layer.b", DTYPE_BF16, 1, {3}, B},
    {"layer.a", DTYPE_F32, 2, {2, 3}, NULL}, /* made by `fill` */
    {"count", DTYPE_I64, 0, {0}, &C},
    {"empty", DTYPE_F32, 2, {0, 5}, NULL},
};

static Status fill_a(void *ctx, int64_t i, void *dst) {
    ++*(int *)ctx;
    assert_int_equal(i, 1);
    memcpy(dst, A, sizeof A);
    return OK;
}

static void check_contents(const Safetensors *s) {
    char text[64];
    assert_int_equal(safetensors_count(s), 4);
    static const char *const ORDER[] = {"count", "empty", "layer.a", "layer.b"};
    for (int64_t i = 0; i < 4; i++) assert_string_equal(safetensors_at(s, i)->name, ORDER[i]);
    const TensorEntry *a = safetensors_find(s, "layer.a"), *b = safetensors_find(s, "layer.b");
    assert_memory_equal(a->data, A, sizeof A);
    assert_memory_equal(b->data, B, sizeof B);
    assert_string_equal(tensor_describe(text, sizeof text, safetensors_tensor(a)), "[2,3] float32");
    assert_string_equal(b->dtype_name, "BF16");
    assert_memory_equal(safetensors_find(s, "count")->data, &C, sizeof C);
    assert_int_equal(safetensors_find(s, "count")->rank, 0);
    assert_int_equal(safetensors_find(s, "empty")->bytes, 0);
    assert_null(safetensors_find(s, "layer"));
    assert_string_equal(safetensors_meta(s, "format"), "pt");
    assert_null(safetensors_meta(s, "other"));
}

static void test_safetensors_save__comes_back(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "sub/model.safetensors");
    static const char *const META[] = {"format", "pt", "quote\"", "x", NULL};
    int calls = 0;
    SafetensorsSpec spec = {
        .items = ITEMS, .n_items = 4, .meta = META, .fill = fill_a, .ctx = &calls};
    assert_int_equal(safetensors_save(path, &spec), OK);
    assert_int_equal(calls, 1);
    Safetensors *s = NULL;
    assert_int_equal(safetensors_open(&s, path), OK);
    check_contents(s);
    assert_int_equal((uintptr_t)safetensors_find(s, "layer.a")->data % 8, 0);
    safetensors_close(s);
    char *in_folder = file_join(folder, "sub");
    assert_int_equal(safetensors_open(&s, in_folder), OK);
    safetensors_close(s);
    mem_free(in_folder);
    mem_free(path);
    scratch_free(folder);
}

static void save_sharded(const char *target, size_t shard_bytes) {
    static const char *const META[] = {"format", "pt", NULL};
    int calls = 0;
    SafetensorsSpec spec = {
        .items = ITEMS, .n_items = 4, .meta = META, .fill = fill_a, .ctx = &calls};
    PublishFolder *out = NULL;
    assert_int_equal(publish_folder_open(&out, target, true), OK);
    assert_int_equal(safetensors_save_in(publish_folder_path(out), "model", shard_bytes, &spec),
                     OK);
    assert_int_equal(publish_folder_commit(out), OK);
    publish_folder_close(out);
    assert_int_equal(calls, 1);
}

static void test_safetensors_save_in__shards_and_index(void **state) {
    (void)state;
    char *folder = scratch_new(), *target = file_join(folder, "m");
    static const struct {
        size_t limit, files; /* with the index */
    } CASES[] = {{0, 1}, {1000, 1}, {30, 3}, {24, 4}, {1, 4}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        save_sharded(target, CASES[i].limit);
        FileList names;
        assert_int_equal(file_list(&names, target), OK);
        assert_int_equal(names.count, CASES[i].files);
        file_list_free(&names);
        Safetensors *s = NULL;
        assert_int_equal(safetensors_open(&s, target), OK);
        check_contents(s);
        safetensors_close(s);
    }
    mem_free(target);
    scratch_free(folder);
}

static void test_safetensors_open__refuses_bad_indices(void **state) {
    (void)state;
    char *folder = scratch_new(), *target = file_join(folder, "m");
    save_sharded(target, 24);
    static const struct {
        const char *index;
        Status want;
        const char *says;
    } CASES[] = {
        {"{\"weight_map\":{\"count\":\"../model-00001-of-00003.safetensors\"}}", ERR_DATA,
         "not the plain name"},
        {"{\"weight_map\":{\"count\":\"/etc/passwd\"}}", ERR_DATA, "not the plain name"},
        {"{\"weight_map\":{\"count\":\"passwd\"}}", ERR_DATA, "not the plain name"},
        {"{\"weight_map\":{\"count\":\"gone.safetensors\"}}", ERR_INPUT, "shard is missing"},
        {"{\"weight_map\":{\"other\":\"model-00001-of-00003.safetensors\"}}", ERR_DATA,
         "is not in it"},
        {"{\"weight_map\":{\"count\":1}}", ERR_DATA, "must be a string"},
        {"{\"weight_map\":[]}", ERR_DATA, "must be an object"},
        {"{}", ERR_DATA, "`weight_map` is missing"},
        {"[", ERR_DATA, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *path = scratch_text(target, "model.safetensors.index.json", CASES[i].index);
        Safetensors *s = NULL;
        assert_int_equal(safetensors_open(&s, target), CASES[i].want);
        if (!strstr(status_message(), CASES[i].says)) fail_msg("%s", status_message());
        mem_free(path);
    }
    Safetensors *s = NULL;
    assert_int_equal(safetensors_open(&s, "/nowhere/model.safetensors"), ERR_INPUT);
    assert_int_equal(safetensors_open(&s, folder), ERR_INPUT);
    assert_null(s);
    safetensors_close(NULL);
    mem_free(target);
    scratch_free(folder);
}

/* A file of the format's own writer, read and written again, is the same file. */
static void test_safetensors_save__equals_the_formats_own_writer(void **state) {
    (void)state;
    const char *path = HONE_SHARED_DIR "/models/trl-kto-gpt2-lora/adapter_model.safetensors";
    if (!file_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    Safetensors *s = NULL;
    assert_int_equal(safetensors_open(&s, path), OK);
    int64_t n = safetensors_count(s);
    SafetensorsItem *items = mem_zalloc((size_t)n, sizeof *items);
    for (int64_t i = 0; i < n; i++) {
        const TensorEntry *e = safetensors_at(s, i);
        items[i] =
            (SafetensorsItem){.name = e->name, .dtype = e->dtype, .rank = e->rank, .data = e->data};
        memcpy(items[i].shape, e->shape, sizeof e->shape);
    }
    static const char *const META[] = {"format", "pt", NULL};
    char *folder = scratch_new(), *copy = file_join(folder, "copy.safetensors");
    assert_int_equal(
        safetensors_save(copy, &(SafetensorsSpec){.items = items, .n_items = n, .meta = META}), OK);
    FileMap ours, theirs;
    assert_int_equal(file_map(&ours, copy), OK);
    assert_int_equal(file_map(&theirs, path), OK);
    assert_int_equal(ours.size, theirs.size);
    assert_memory_equal(ours.data, theirs.data, ours.size);
    file_unmap(&ours);
    file_unmap(&theirs);
    safetensors_close(s);
    mem_free(items);
    mem_free(copy);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_open__refuses_every_broken_rule),
        cmocka_unit_test(test_safetensors_open__published_cases),
        cmocka_unit_test(test_safetensors_open__refuses_every_truncation),
        cmocka_unit_test(test_safetensors_open__survives_every_flipped_bit),
        cmocka_unit_test(test_safetensors_open__refuses_a_giant_header),
        cmocka_unit_test(test_safetensors_save__comes_back),
        cmocka_unit_test(test_safetensors_save_in__shards_and_index),
        cmocka_unit_test(test_safetensors_open__refuses_bad_indices),
        cmocka_unit_test(test_safetensors_save__equals_the_formats_own_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
