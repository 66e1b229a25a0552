/* The YAML reader: trees with places, guards, and every error at once. */
#include "core/io/yaml.h"
#include "core/str.h"
#include "unit.h"

#include <string.h>

typedef struct Doc {
    YamlStore *store;
    YamlErrors errors;
    YamlNode *root;
    char line[2048]; /* the first error, sorted */
} Doc;

static void doc_parse_n(Doc *d, const char *text, size_t n) {
    *d = (Doc){.store = yaml_store_open()};
    d->root = yaml_parse(d->store, &d->errors, "t.yaml", text, n);
    yaml_errors_sort(&d->errors);
    if (d->errors.n) yaml_errors_line(&d->errors, 0, d->line, sizeof d->line);
}

static void doc_parse(Doc *d, const char *text) {
    doc_parse_n(d, text, strlen(text));
}

static void doc_close(Doc *d) {
    yaml_errors_free(&d->errors);
    yaml_store_close(d->store);
}

/* The text is refused, with a first error that starts and goes on like this. */
static void assert_refused_n(const char *text, size_t n, const char *start, const char *part) {
    Doc d;
    doc_parse_n(&d, text, n);
    assert_true(d.errors.n > 0);
    if (!str_starts(d.line, start) || !strstr(d.line, part)) {
        fail_msg("got `%s`, wanted `%s...%s`", d.line, start, part);
    }
    doc_close(&d);
}

static void assert_refused(const char *text, const char *start, const char *part) {
    assert_refused_n(text, strlen(text), start, part);
}

static void test_yaml__keeps_places_and_quotes(void **state) {
    (void)state;
    Doc d;
    doc_parse(&d, "a: 1\nb:\n  - x\n  - 'null'\nc: {d: [~, \"\"]}\n");
    assert_int_equal(d.errors.n, 0);
    assert_int_equal(d.root->kind, YAML_MAPPING);
    const YamlNode *b = yaml_get(d.root, "b");
    assert_int_equal(b->items[1]->line, 4);
    assert_int_equal(b->items[1]->column, 5);
    assert_true(b->items[1]->quoted);
    assert_false(yaml_is_null(b->items[1]));
    const YamlNode *inner = yaml_get(yaml_get(d.root, "c"), "d");
    assert_true(yaml_is_null(inner->items[0]));
    assert_false(yaml_is_null(inner->items[1]));
    assert_int_equal(yaml_key(d.root, "c")->line, 5);
    assert_null(yaml_get(d.root, "z"));
    doc_close(&d);
}

static void test_yaml__collects_errors_and_sorts_them(void **state) {
    (void)state;
    Doc d;
    char line[256];
    doc_parse(&d, "a: 1\na: 2\n? [x]\n: 3\nb: !foo 1\nb: 2\n");
    assert_int_equal(d.errors.n, 4);
    const char *const expected[] = {"t.yaml:2:1: `a` is given twice (first in line 1)",
                                    "t.yaml:3:3: a key must be plain text",
                                    "t.yaml:5:4: the tag `!foo`", "t.yaml:6:1: `b` is given twice"};
    for (size_t i = 0; i < 4; i++) {
        yaml_errors_line(&d.errors, i, line, sizeof line);
        assert_true(str_starts(line, expected[i]));
    }
    doc_close(&d);
}

static void test_yaml__sorts_by_file_then_place_and_arguments_last(void **state) {
    (void)state;
    YamlErrors e = {0};
    char all[256] = "", line[64];
    yaml_error_at(&e, "arg2", 0, 2, "e");
    yaml_error_at(&e, "b", 2, 1, "e");
    yaml_error_at(&e, "arg1", 0, 1, "e");
    yaml_error_at(&e, "a", 1, 9, "e");
    yaml_error_at(&e, "b", 1, 7, "e");
    yaml_error_at(&e, "b", 1, 3, "e");
    yaml_errors_sort(&e);
    for (size_t i = 0; i < e.n; i++) {
        yaml_errors_line(&e, i, line, sizeof line);
        strcat(strcat(all, line), "|");
    }
    assert_string_equal(all, "b:1:3: e|b:1:7: e|b:2:1: e|a:1:9: e|arg1: e|arg2: e|");
    yaml_errors_free(&e);
}

static void test_yaml__refuses_syntax_with_a_cure(void **state) {
    (void)state;
    assert_refused("a:\n\tb: 1\n", "t.yaml:2:1:", "tabs cannot indent");
    assert_refused("a: b: c\n", "t.yaml:1:5:", "put the value in quotes");
    assert_refused("a: [1, 2\nb: 3\n", "t.yaml:", "brackets");
    assert_refused("a: 1\n---\nb: 2\n", "t.yaml:2:1:", "a second document");
    assert_refused("<<: {a: 1}\n", "t.yaml:1:1:", "merge keys");
    assert_refused("a: *nowhere\n", "t.yaml:1:4:", "an alias without its anchor");
    assert_refused("a: &x [1, *x]\n", "t.yaml:1:11:", "inside its own anchor");
    assert_refused("a: !!python/object:os.system x\n", "t.yaml:1:4:", "the tag");
    assert_refused("\"\": 1\n", "t.yaml:1:1:", "a key must be plain text");
}

static void test_yaml__refuses_bytes_that_are_no_text(void **state) {
    (void)state;
    assert_refused("a: 1\nb: x\xff\n", "t.yaml:2:5:", "not UTF-8");
    assert_refused_n("a: 1\0\n", 6, "t.yaml:1:", "control characters");
    assert_refused("a: \"x\\0y\"\n", "t.yaml:1:4:", "NUL character");
    assert_refused("\xff\xfe"
                   "a",
                   "t.yaml:1:1:", "not UTF-8");
}

static void test_yaml__skips_a_byte_order_mark(void **state) {
    (void)state;
    Doc d;
    doc_parse(&d, "\xef\xbb\xbf"
                  "a: 1\n");
    assert_int_equal(d.errors.n, 0);
    assert_string_equal(yaml_get(d.root, "a")->text, "1");
    assert_int_equal(yaml_key(d.root, "a")->column, 1);
    doc_close(&d);
}

static void test_yaml__refuses_depth_beyond_32(void **state) {
    (void)state;
    Str s = {0};
    Doc d;
    str_append(&s, "a: ");
    for (int i = 0; i < 31; i++) str_append_char(&s, '[');
    for (int i = 0; i < 31; i++) str_append_char(&s, ']');
    doc_parse(&d, str_text(&s));
    assert_int_equal(d.errors.n, 0);
    doc_close(&d);
    str_clear(&s);
    str_append(&s, "a: ");
    for (int i = 0; i < 40000; i++) str_append_char(&s, '[');
    assert_refused(str_text(&s), "t.yaml:1:35:", "nested deeper than 32");
    str_free(&s);
}

static void test_yaml__refuses_an_alias_bomb(void **state) {
    (void)state;
    /* Each line repeats the one before ten times: 10^6 values from six lines. */
    assert_refused("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
                   "a1: &a1 [*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0]\n"
                   "a2: &a2 [*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1]\n"
                   "a3: &a3 [*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2]\n"
                   "a4: [*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3]\n",
                   "t.yaml:4:", "more than 10,000 values");
    Str s = {0};
    str_append(&s, "a: &a x\nb: [");
    for (int i = 0; i < 65; i++) str_append(&s, "*a,");
    str_append(&s, "]\n");
    assert_refused(str_text(&s), "t.yaml:2:", "more than 64 aliases");
    str_free(&s);
}

static void test_yaml__refuses_many_values_and_large_files(void **state) {
    (void)state;
    Str s = {0};
    str_append(&s, "a: [");
    for (int i = 0; i < 10000; i++) str_append(&s, "1,");
    str_append(&s, "]\n");
    assert_refused(str_text(&s), "t.yaml:1:", "more than 10,000 values");
    str_clear(&s);
    str_append(&s, "a: 1\n");
    while (s.len <= YAML_MAX_BYTES) str_append(&s, "# padding padding padding padding\n");
    assert_refused(str_text(&s), "t.yaml:1:1:", "larger than 1 MiB");
    str_free(&s);
}

static void test_yaml__an_alias_is_a_copy(void **state) {
    (void)state;
    Doc d;
    doc_parse(&d, "a: &m {x: 1}\nb: *m\n");
    assert_int_equal(d.errors.n, 0);
    YamlNode *a = yaml_get(d.root, "a"), *b = yaml_get(d.root, "b");
    yaml_set(d.store, b, yaml_new_scalar(d.store, b, "x"), yaml_new_scalar(d.store, b, "2"));
    assert_string_equal(yaml_get(a, "x")->text, "1");
    assert_string_equal(yaml_get(b, "x")->text, "2");
    doc_close(&d);
}

static void test_yaml__an_empty_document_has_no_root(void **state) {
    (void)state;
    Doc d;
    doc_parse(&d, "# nothing\n");
    assert_null(d.root);
    assert_int_equal(d.errors.n, 0);
    doc_close(&d);
}

static void test_yaml__a_missing_file_is_an_input_error(void **state) {
    (void)state;
    YamlStore *s = yaml_store_open();
    YamlErrors e = {0};
    YamlNode *root = NULL;
    assert_int_equal(yaml_read(&root, s, &e, "no/such/file.yaml"), ERR_INPUT);
    assert_int_equal(e.n, 0);
    yaml_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml__keeps_places_and_quotes),
        cmocka_unit_test(test_yaml__collects_errors_and_sorts_them),
        cmocka_unit_test(test_yaml__sorts_by_file_then_place_and_arguments_last),
        cmocka_unit_test(test_yaml__refuses_syntax_with_a_cure),
        cmocka_unit_test(test_yaml__refuses_bytes_that_are_no_text),
        cmocka_unit_test(test_yaml__skips_a_byte_order_mark),
        cmocka_unit_test(test_yaml__refuses_depth_beyond_32),
        cmocka_unit_test(test_yaml__refuses_an_alias_bomb),
        cmocka_unit_test(test_yaml__refuses_many_values_and_large_files),
        cmocka_unit_test(test_yaml__an_alias_is_a_copy),
        cmocka_unit_test(test_yaml__an_empty_document_has_no_root),
        cmocka_unit_test(test_yaml__a_missing_file_is_an_input_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
