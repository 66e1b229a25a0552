/* The number grammar: what a config may write as a number, whatever the locale. */
#include "core/io/yaml.h"
#include "unit.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static void test_yaml_scalar__reads_the_forms_people_write(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } CASES[] = {{"1e-5", 1e-5},     {"2e-05", 2e-5},
                 {"3.e-4", 3e-4},    {"1_000_000", 1e6},
                 {"+1", 1},          {"-0.5", -0.5},
                 {".5", 0.5},        {"5.", 5},
                 {"1E3", 1000},      {"0.1", 0.1},
                 {"0", 0},           {"1e+3", 1000},
                 {"1_0.2_5", 10.25}, {"123456789012", 123456789012.0}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double x = -1;
        if (!yaml_to_number(CASES[i].text, &x) || x != CASES[i].value) {
            fail_msg("`%s` read as %g", CASES[i].text, x);
        }
    }
}

static void test_yaml_scalar__refuses_what_is_no_number(void **state) {
    (void)state;
    static const char *const CASES[] = {
        "10abc", "1e-5xyz", "",     " 1",  "1 ",   "nan",  ".nan", "inf",  "-.inf", "1e999",
        "0x1p3", "1__0",    "_1",   "1_",  "1,5",  "1e",   "e5",   ".",    "-",     "--1",
        "1e5.5", "010",     "00.1", "1.e", "true", "null", "1d5",  "1._5", "1_.5",  "infinity"};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double x = 0;
        if (yaml_to_number(CASES[i], &x)) fail_msg("`%s` was read as %g", CASES[i], x);
    }
}

static void test_yaml_scalar__integers_are_whole_and_fit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } CASES[] = {{"1e5", 100000}, {"1_000", 1000}, {"-1", -1},
                 {"0x1f", 31},    {"2.0", 2},      {"9223372036854775807", INT64_MAX}};
    static const char *const REFUSED[] = {"1.5", "1e-1", "9223372036854775808", "1e300", "0x",
                                          "0xg", "010",  "0x1ffffffffffffffff"};
    int64_t x = 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_true(yaml_to_integer(CASES[i].text, &x));
        assert_true(x == CASES[i].value);
    }
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        if (yaml_to_integer(REFUSED[i], &x)) fail_msg("`%s` was read", REFUSED[i]);
    }
}

static void test_yaml_scalar__bools_are_true_and_false_only(void **state) {
    (void)state;
    bool b = false;
    assert_true(yaml_to_bool("True", &b) && b);
    assert_true(yaml_to_bool("false", &b) && !b);
    assert_false(yaml_to_bool("yes", &b) || yaml_to_bool("on", &b) || yaml_to_bool("1", &b) ||
                 yaml_to_bool("maybe", &b) || yaml_to_bool("", &b));
}

static void test_yaml_scalar__writes_the_shortest_text_that_reads_back(void **state) {
    (void)state;
    static const double CASES[] = {0.1, 1e-5,   2e-5, 1.0 / 3, 1e300, -0.25,
                                   3,   1000.0, 1e15, 5e-324,  0.7,   16777217.0};
    char buf[32];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double x = 0;
        yaml_from_number(buf, CASES[i]);
        assert_true(yaml_to_number(buf, &x));
        assert_true(x == CASES[i]);
    }
    yaml_from_number(buf, 1e-5);
    assert_string_equal(buf, "1e-5");
    yaml_from_number(buf, 3);
    assert_string_equal(buf, "3");
}

/* Any locale with a decimal comma will do. */
static void test_yaml_scalar__does_not_depend_on_the_locale(void **state) {
    (void)state;
    static const char *const NAMES[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    const char *set = NULL;
    for (size_t i = 0; i < 4 && !set; i++) set = setlocale(LC_NUMERIC, NAMES[i]);
    if (!set) {
        print_message("skipped: no locale with a decimal comma on this machine\n");
        skip();
    }
    char buf[32];
    double x = 0;
    assert_true(yaml_to_number("1.5", &x));
    assert_true(x == 1.5);
    assert_false(yaml_to_number("1,5", &x));
    yaml_from_number(buf, 0.25);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(buf, "0.25");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_scalar__reads_the_forms_people_write),
        cmocka_unit_test(test_yaml_scalar__refuses_what_is_no_number),
        cmocka_unit_test(test_yaml_scalar__integers_are_whole_and_fit),
        cmocka_unit_test(test_yaml_scalar__bools_are_true_and_false_only),
        cmocka_unit_test(test_yaml_scalar__writes_the_shortest_text_that_reads_back),
        cmocka_unit_test(test_yaml_scalar__does_not_depend_on_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
