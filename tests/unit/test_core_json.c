/* json and jsonl. */
#include "core/io/json.h"
#include "core/io/jsonl.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>

static Status parse(Json **out, const char *text) {
    return json_parse(out, text, strlen(text), "f.json", 1);
}

static Json *parsed(const char *text) {
    Json *j = NULL;
    if (parse(&j, text) != OK) fail_msg("%s: %s", text, status_message());
    return j;
}

static void test_json_parse__reads_every_kind(void **state) {
    (void)state;
    Json *j = parsed("\xef\xbb\xbf {\"n\":null,\"t\":true,\"i\":-9223372036854775808,\"r\":1e-5,"
                     "\"s\":\"a\\u0000\\ud83d\\ude00\",\"a\":[1,2.5,[]],\"o\":{}}");
    size_t len;
    assert_int_equal(json_kind(json_get(j, "n")), JSON_KIND_NULL);
    assert_true(json_bool(json_get(j, "t")));
    assert_true(json_int(json_get(j, "i")) == INT64_MIN);
    assert_true(json_num(json_get(j, "r")) == 1e-5);
    assert_memory_equal(json_str(json_get(j, "s"), &len), "a\0\xf0\x9f\x98\x80", 6);
    assert_int_equal(len, 6);
    assert_int_equal(json_len(json_get(j, "a")), 3);
    assert_true(json_num(json_at(json_get(j, "a"), 0)) == 1);
    assert_null(json_at(json_get(j, "a"), 3));
    assert_null(json_at(json_get(j, "a"), -1));
    assert_null(json_get(j, "missing"));
    assert_null(json_get(json_get(j, "a"), "no object"));
    assert_null(json_get(NULL, "x"));
    assert_int_equal(json_kind(NULL), JSON_KIND_NONE);
    assert_int_equal(json_len(j), 7);
    json_free(j);
}

static void test_json_parse__refuses_what_is_not_strict(void **state) {
    (void)state;
    static const char *const BAD[] = {"",
                                      " ",
                                      "{",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{\"a\":1,\"a\":2}",
                                      "nan",
                                      "NaN",
                                      "[Infinity]",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "'a'",
                                      "\"\\ud800\"",
                                      "\"\\udc00x\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "1 2",
                                      "{} x",
                                      "9223372036854775808",
                                      "1e999",
                                      "\"a\nb\"",
                                      "{\"a\\u0000b\":1}",
                                      "[1 2]",
                                      "tru",
                                      "{1:2}",
                                      "\"abc"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        Json *j = (Json *)1;
        if (parse(&j, BAD[i]) != ERR_DATA || j) fail_msg("taken: %s", BAD[i]);
        assert_true(str_starts(status_message(), "f.json:1:"));
    }
}

static void test_json_parse__names_line_and_column(void **state) {
    (void)state;
    Json *j;
    const char *text = "{\n  \"\xc3\xa4\": x\n}";
    assert_int_equal(json_parse(&j, text, strlen(text), "rows.jsonl", 41), ERR_DATA);
    assert_non_null(strstr(status_message(), "rows.jsonl:42:8: not valid JSON"));
}

static void test_json_parse__depth_is_limited(void **state) {
    (void)state;
    Str s = {0};
    Json *j = NULL;
    for (int i = 0; i < JSON_MAX_DEPTH; i++) str_append_char(&s, '[');
    str_append(&s, "\"[[[[\\\"[[[[\""); /* brackets in a string do not count */
    for (int i = 0; i < JSON_MAX_DEPTH; i++) str_append_char(&s, ']');
    assert_int_equal(json_parse(&j, s.data, s.len, "x", 1), OK);
    json_free(j);
    str_clear(&s);
    for (int i = 0; i < 100000; i++) str_append(&s, "{\"a\":[");
    assert_int_equal(json_parse(&j, s.data, s.len, "x", 1), ERR_DATA);
    assert_non_null(strstr(status_message(), "nested more than 64"));
    str_free(&s);
}

static void test_json_want__checks_the_type_and_says_it(void **state) {
    (void)state;
    Json *j = parsed("{\"i\":3,\"r\":2.5,\"s\":\"x\",\"b\":false,\"n\":null,\"a\":[]}"), *a = NULL;
    int64_t i = 9;
    double r = 9;
    bool b = true;
    const char *s = "old";
    assert_int_equal(json_want_int(&i, j, "i", "c.json"), OK);
    assert_int_equal(json_want_num(&r, j, "i", "c.json"), OK);
    assert_true(i == 3 && r == 3);
    assert_int_equal(json_want_num(&r, j, "r", "c.json"), OK);
    assert_int_equal(json_want_bool(&b, j, "b", "c.json"), OK);
    assert_int_equal(json_want_str(&s, j, "s", "c.json"), OK);
    assert_int_equal(json_want(&a, j, "a", JSON_KIND_ARRAY, "c.json"), OK);
    assert_true(r == 2.5 && !b && strcmp(s, "x") == 0 && json_len(a) == 0 && a);

    assert_int_equal(json_want_int(&i, j, "q", "c.json"), ERR_DATA);
    assert_string_equal(status_message(), "c.json: `q` is missing");
    assert_int_equal(json_want_int(&i, j, "r", "c.json"), ERR_DATA);
    assert_string_equal(status_message(), "c.json: `r` must be an integer, not a number");
    assert_int_equal(json_want_str(&s, j, "n", "c.json"), ERR_DATA);
    assert_int_equal(json_want_bool(&b, j, "i", "c.json"), ERR_DATA);
    assert_int_equal(json_want(&a, j, "s", JSON_KIND_OBJECT, "c.json"), ERR_DATA);

    assert_int_equal(json_opt_int(&i, j, "q", "c.json"), OK);
    assert_int_equal(json_opt_int(&i, j, "n", "c.json"), OK);
    assert_int_equal(i, 3);
    assert_int_equal(json_opt_int(&i, j, "s", "c.json"), ERR_DATA);
    assert_int_equal(json_want(&a, j, "a", JSON_KIND_ARRAY, "c.json"), OK);
    assert_int_equal(json_opt(&a, j, "q", JSON_KIND_ARRAY, "c.json"), OK);
    assert_non_null(a);
    json_free(j);
}

static void ask_wrong_kind(void *j) {
    json_int(json_get(j, "s"));
}

static void test_json_int__on_a_string_is_a_defect(void **state) {
    (void)state;
    Json *j = parsed("{\"s\":\"1\"}");
    assert_true(scratch_aborts(ask_wrong_kind, j));
    json_free(j);
}

static void test_json_next__keeps_the_order(void **state) {
    (void)state;
    Json *j = parsed("{\"z\":1,\"a\":2,\"m\":3}"), *value;
    const char *key;
    Str seen = {0};
    for (JsonIter it = {0}; json_next(j, &it, &key, &value);)
        str_printf(&seen, "%s%lld", key, (long long)json_int(value));
    assert_string_equal(seen.data, "z1a2m3");
    str_free(&seen);
    json_free(j);
}

static void test_json_dump__writes_one_line_or_indented(void **state) {
    (void)state;
    Json *j = json_new_object(), *a = json_new_array();
    json_set(j, "step", json_new_int(10));
    json_set(j, "loss", json_new_num(2.0));
    json_set(j, "f", json_new_f32(0.1f));
    json_push(a, json_new_null());
    json_push(a, json_new_bool(true));
    json_push(a, json_new_num(NAN));
    json_set(j, "a", a);
    json_set(j, "o", json_new_object());
    json_set(j, "gone", json_new_int(1));
    json_del(j, "gone");
    json_set(j, "s", json_new_str("q\"\\\n\x01\x7f\xc3\xa4"));
    json_set(j, "step", json_new_int(11));
    Json *copy = json_clone(j);
    json_free(j);
    Str s = {0};
    json_dump(&s, copy, 0);
    assert_string_equal(s.data, "{\"step\": 11, \"loss\": 2.0, \"f\": 0.1, \"a\": [null, true, "
                                "null], \"o\": {}, \"s\": \"q\\\"\\\\\\n\\u0001\\u007f\xc3\xa4\"}");
    str_clear(&s);
    json_del(copy, "s");
    json_dump(&s, copy, 2);
    assert_string_equal(s.data, "{\n  \"step\": 11,\n  \"loss\": 2.0,\n  \"f\": 0.1,\n  \"a\": [\n"
                                "    null,\n    true,\n    null\n  ],\n  \"o\": {}\n}");
    str_free(&s);
    json_free(copy);
}

static void test_json_dump__numbers_come_back_bit_for_bit(void **state) {
    (void)state;
    RngStream rng = rng_stream(1, RNG_WORLD, 0);
    Str s = {0};
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)rng_next(&rng) << 32 | rng_next(&rng);
        uint32_t bits32 = (uint32_t)bits;
        double v;
        float f;
        memcpy(&v, &bits, 8);
        memcpy(&f, &bits32, 4);
        if (!isfinite(v) || !isfinite(f)) continue;
        str_clear(&s);
        json_dump_num(&s, v);
        Json *j = parsed(s.data);
        assert_true(json_is(j, JSON_KIND_REAL) && json_num(j) == v);
        json_free(j);
        str_clear(&s);
        j = json_new_f32(f);
        json_dump(&s, j, 0);
        assert_true(strtof(s.data, NULL) == f && strlen(s.data) <= 18);
        json_free(j);
    }
    str_clear(&s);
    json_dump_num(&s, INFINITY);
    json_dump_f32(&s, NAN);
    json_dump_num(&s, 0.1);
    json_dump_num(&s, 1e300);
    json_dump_num(&s, -0.0);
    assert_string_equal(s.data, "nullnull0.11e+300-0.0");
    str_free(&s);
}

static void test_json_new_str__replaces_bad_utf8(void **state) {
    (void)state;
    size_t len;
    Json *j = json_new_str("a\xff"
                           "b\xe2\x82");
    assert_string_equal(json_str(j, &len), "a\xef\xbf\xbd"
                                           "b\xef\xbf\xbd\xef\xbf\xbd");
    json_free(j);
    Str s = {0};
    json_dump_str(&s,
                  "a\xff"
                  "b\xc3\xa4\x80",
                  6);
    assert_string_equal(s.data, "\"a\xef\xbf\xbd"
                                "b\xc3\xa4\xef\xbf\xbd\"");
    str_free(&s);
}

static void test_json_read_file__says_what_is_missing(void **state) {
    (void)state;
    Json *j;
    char *folder = scratch_new(), *path = scratch_text(folder, "x.json", "{\"a\": tru}");
    assert_int_equal(json_read_file(&j, "/nowhere/x.json"), ERR_INPUT);
    assert_int_equal(json_read_file(&j, folder), ERR_DATA);
    assert_int_equal(json_read_file(&j, path), ERR_DATA);
    assert_true(str_starts(status_message(), path));
    mem_free(path);
    scratch_free(folder);
}

/* ---- jsonl ---- */

static void test_jsonl__finds_rows_and_their_places(void **state) {
    (void)state;
    char *folder = scratch_new();
    char *path =
        scratch_text(folder, "r.jsonl", "\xef\xbb\xbf{\"a\":1}\r\n\n  \t\n{\"a\":2}\n{\"a\":\n[3]");
    Jsonl *rows = NULL;
    Json *j = NULL;
    assert_int_equal(jsonl_open(&rows, path), OK);
    assert_int_equal(jsonl_rows(rows), 4);
    assert_string_equal(jsonl_path(rows), path);
    static const int64_t LINES[] = {1, 4, 5, 6}, OFFSETS[] = {3, 17, 25, 31};
    static const size_t LENGTHS[] = {7, 7, 5, 3};
    for (int i = 0; i < 4; i++) {
        JsonlRow r = jsonl_row(rows, i);
        assert_int_equal(r.line, LINES[i]);
        assert_int_equal(r.offset, OFFSETS[i]);
        assert_int_equal(r.len, LENGTHS[i]);
    }
    assert_int_equal(jsonl_parse(&j, rows, 1), OK);
    assert_int_equal(json_int(json_get(j, "a")), 2);
    json_free(j);
    assert_int_equal(jsonl_parse(&j, rows, 2), ERR_DATA);
    assert_non_null(strstr(status_message(), "r.jsonl:5:"));
    assert_int_equal(jsonl_parse(&j, rows, 3), OK); /* a bad row does not spoil the next */
    json_free(j);
    jsonl_close(rows);
    jsonl_close(NULL);
    mem_free(path);
    scratch_free(folder);
}

static void test_jsonl__empty_and_missing_files(void **state) {
    (void)state;
    Jsonl *rows = NULL;
    char *folder = scratch_new(), *path = scratch_text(folder, "e.jsonl", "");
    assert_int_equal(jsonl_open(&rows, path), OK);
    assert_int_equal(jsonl_rows(rows), 0);
    jsonl_close(rows);
    assert_int_equal(jsonl_open(&rows, "/nowhere/e.jsonl"), ERR_INPUT);
    assert_null(rows);
    assert_int_equal(jsonl_open_bytes(&rows, "memory", "1\n2", 3), OK);
    assert_int_equal(jsonl_rows(rows), 2);
    jsonl_close(rows);
    mem_free(path);
    scratch_free(folder);
}

static char *text_of(const char *path) {
    Str s = {0};
    assert_int_equal(file_read(&s, path, 100000), OK);
    return str_take(&s);
}

static void test_jsonl_writer__appends_and_cuts_at_resume(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "deep/er/m.jsonl");
    JsonlWriter *w = NULL;
    Json *row = parsed("{\"step\":1}");
    assert_int_equal(jsonl_writer_open(&w, path, -1), OK);
    assert_int_equal(jsonl_write(w, row), OK);
    int64_t kept = jsonl_offset(w);
    assert_int_equal(jsonl_write_text(w, "{\"step\": 2}", 11), OK);
    assert_int_equal(jsonl_sync(w), OK);
    jsonl_writer_close(w);
    assert_int_equal(kept, 12);

    assert_int_equal(jsonl_writer_open(&w, path, kept), OK);
    assert_int_equal(jsonl_offset(w), kept);
    assert_int_equal(jsonl_write_text(w, "{\"step\": 3}", 11), OK);
    jsonl_writer_close(w);
    char *text = text_of(path);
    assert_string_equal(text, "{\"step\": 1}\n{\"step\": 3}\n");
    mem_free(text);

    assert_int_equal(jsonl_writer_open(&w, path, 1000), ERR_DATA);
    assert_int_equal(jsonl_writer_open(&w, folder, -1), ERR_CREATE);
    assert_null(w);
    jsonl_writer_close(NULL);
    json_free(row);
    mem_free(path);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse__reads_every_kind),
        cmocka_unit_test(test_json_parse__refuses_what_is_not_strict),
        cmocka_unit_test(test_json_parse__names_line_and_column),
        cmocka_unit_test(test_json_parse__depth_is_limited),
        cmocka_unit_test(test_json_want__checks_the_type_and_says_it),
        cmocka_unit_test(test_json_int__on_a_string_is_a_defect),
        cmocka_unit_test(test_json_next__keeps_the_order),
        cmocka_unit_test(test_json_dump__writes_one_line_or_indented),
        cmocka_unit_test(test_json_dump__numbers_come_back_bit_for_bit),
        cmocka_unit_test(test_json_new_str__replaces_bad_utf8),
        cmocka_unit_test(test_json_read_file__says_what_is_missing),
        cmocka_unit_test(test_jsonl__finds_rows_and_their_places),
        cmocka_unit_test(test_jsonl__empty_and_missing_files),
        cmocka_unit_test(test_jsonl_writer__appends_and_cuts_at_resume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
