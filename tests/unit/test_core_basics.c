/* status, check, mem, str, log. */
#include "core/args.h"
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "scratch.h"
#include "unit.h"

static void test_status__keeps_code_and_one_line(void **state) {
    (void)state;
    assert_int_equal(status_fail(ERR_DATA, "%s:%d: bad\nvalue\t%c", "f.txt", 3, 1), ERR_DATA);
    assert_string_equal(status_message(), "f.txt:3: bad value  ");
    status_fail(ERR_IO, "%s", status_message()); /* an argument that points into the old message */
    assert_string_equal(status_message(), "f.txt:3: bad value  ");
    status_clear();
    assert_string_equal(status_message(), "");
}

static void test_status__cuts_long_text(void **state) {
    (void)state;
    status_fail(ERR_DATA, "%05000d", 1);
    assert_int_equal(strlen(status_message()), 2047);
}

static Status fails(Status st) {
    return st == OK ? OK : status_fail(st, "first");
}

static Status tries(Status inner, bool *went_on) {
    *went_on = false;
    TRY(fails(inner));
    *went_on = true;
    return OK;
}

static void test_status__try_returns_at_the_first_error(void **state) {
    (void)state;
    bool went_on;
    assert_int_equal(tries(ERR_CONFIG, &went_on), ERR_CONFIG);
    assert_false(went_on);
    assert_int_equal(tries(OK, &went_on), OK);
    assert_true(went_on);
}

static void fail_a_check(void *arg) {
    CHECK(arg != arg, "values %d", 1);
}

static void test_check__aborts(void **state) {
    (void)state;
    assert_true(scratch_aborts(fail_a_check, NULL));
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's allocator ends the process by itself unless it is told to fail as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
#endif

static void ask_too_much(void *arg) {
    (void)arg;
    mem_alloc(SIZE_MAX / 2);
}

static void test_mem__running_out_leaves_with_71(void **state) {
    (void)state;
    int status = scratch_run_child(ask_too_much, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 71);
}

static void test_mem__checked_arithmetic(void **state) {
    (void)state;
    size_t out = 7;
    assert_true(mem_mul(&out, SIZE_MAX, 1));
    assert_true(mem_mul(&out, 0, SIZE_MAX));
    assert_int_equal(out, 0);
    assert_false(mem_mul(&out, (size_t)1 << 32, (size_t)1 << 32));
    assert_false(mem_add(&out, SIZE_MAX, 1));
    assert_int_equal(out, 0);
    assert_true(mem_add(&out, SIZE_MAX - 1, 1));
    void *p = mem_aligned(100);
    assert_int_equal((uintptr_t)p % 64, 0);
    mem_free(p);
}

static void test_str__grows_and_formats(void **state) {
    (void)state;
    Str s = {0};
    assert_string_equal(str_text(&s), "");
    for (int i = 0; i < 1000; i++) str_printf(&s, "%d,", i);
    assert_int_equal(s.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_true(str_starts(s.data, "0,1,2,") && str_ends(s.data, "998,999,"));
    str_clear(&s);
    str_printf(&s, "%0300d", 5); /* longer than the room that was left */
    assert_int_equal(strlen(s.data), 300);
    str_append_n(&s, "a\0b", 3);
    assert_int_equal(s.len, 303);
    char *taken = str_take(&s);
    assert_int_equal(taken[302], 'b');
    assert_int_equal(s.len, 0);
    mem_free(taken);
    taken = str_take(&s);
    assert_string_equal(taken, "");
    mem_free(taken);
}

static void test_str__writes_and_checks_utf8(void **state) {
    (void)state;
    Str s = {0};
    str_append_utf8(&s, 'A');
    str_append_utf8(&s, 0xe4);
    str_append_utf8(&s, 0x20ac);
    str_append_utf8(&s, 0x1f600);
    str_append_utf8(&s, 0xd800);
    assert_string_equal(s.data, "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd");
    assert_true(str_utf8_valid(s.data, s.len, NULL));
    str_free(&s);
    static const struct {
        const char *bytes;
        size_t bad;
    } WRONG[] = {{"ab\xff", 2},           {"\xc0\x80", 0},
                 {"\xc1\xbf", 0},         {"\xe0\x80\x80", 0},
                 {"x\xed\xa0\x80", 1},    {"\xf0\x80\x80\x80", 0},
                 {"\xf4\x90\x80\x80", 0}, {"\xf5\x80\x80\x80", 0},
                 {"ok\xe2\x82", 2},       {"\x80", 0},
                 {"\xe2\x28\xa1", 0},     {"\xc3", 0}};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        size_t bad = 99;
        assert_false(str_utf8_valid(WRONG[i].bytes, strlen(WRONG[i].bytes), &bad));
        assert_int_equal(bad, WRONG[i].bad);
    }
}

/* Every code point there is comes back valid, and is the only way to write it. */
static void test_str__utf8_of_every_code_point(void **state) {
    (void)state;
    Str s = {0};
    for (unsigned c = 0; c <= 0x10ffff; c++) {
        str_clear(&s);
        str_append_utf8(&s, c);
        assert_true(str_utf8_valid(s.data, s.len, NULL));
        assert_false(str_utf8_valid(s.data, s.len - 1, NULL) && s.len > 1);
    }
    str_free(&s);
}

static int cleared, redrawn;
static void on_clear(void) {
    cleared++;
}
static void on_redraw(void) {
    redrawn++;
}

/* Runs in a child, so that its stderr can be looked at as a file. */
static void print_lines(void *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    log_debug("hidden");
    log_info("plain %d", 1);
    log_warn("careful");
    log_error("wrong");
    for (int i = 0; i < 3; i++) log_warn_once("once %d", i % 2);
    log_set_overlay(on_clear, on_redraw);
    log_info("above");
    log_set_level(LOG_WARN);
    log_info("hidden too");
    if (log_shows(LOG_INFO) || !log_shows(LOG_WARN) || cleared != 1 || redrawn != 1) _exit(1);
    _exit(0);
}

static void test_log__levels_prefixes_once_and_overlay(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "err");
    int status = scratch_run_child(print_lines, path);
    assert_int_equal(WEXITSTATUS(status), 0);
    Str text = {0};
    assert_int_equal(file_read(&text, path, 1000), OK);
    assert_string_equal(text.data, "plain 1\nwarning: careful\nerror: wrong\nwarning: once 0\n"
                                   "warning: once 1\nabove\n");
    str_free(&text);
    mem_free(path);
    scratch_free(folder);
}

/* ---- arguments ----------------------------------------------------------------------------- */

static void test_args__a_misspelt_option_is_guessed(void **state) {
    (void)state;
    const char *model = NULL;
    bool help = false, all = false;
    const Arg args[] = {{"--model", ARG_TEXT, &model, true, "a model"},
                        {"--all", ARG_FLAG, &all, false, "all of it"},
                        {0}};
    const ArgTable table = {.program = "tool", .summary = "A tool.", .args = args};
    static const char *const cases[][2] = {
        {"--modle=x", "tool: no option `--modle`; did you mean --model?"},
        {"--al", "tool: no option `--al`; did you mean --all?"},
        {"--zzzzzzzz", "tool: no option `--zzzzzzzz`; see tool --help"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char word[32], name[] = "tool", *argv[] = {name, word};
        snprintf(word, sizeof word, "%s", cases[i][0]);
        assert_int_equal(args_parse(&table, 2, argv, &help), ERR_USAGE);
        assert_string_equal(status_message(), cases[i][1]);
    }
    char word[] = "--model=x", name[] = "tool", *argv[] = {name, word};
    assert_int_equal(args_parse(&table, 2, argv, &help), OK);
    assert_string_equal(model, "x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__keeps_code_and_one_line),
        cmocka_unit_test(test_status__cuts_long_text),
        cmocka_unit_test(test_status__try_returns_at_the_first_error),
        cmocka_unit_test(test_check__aborts),
        cmocka_unit_test(test_mem__running_out_leaves_with_71),
        cmocka_unit_test(test_mem__checked_arithmetic),
        cmocka_unit_test(test_str__grows_and_formats),
        cmocka_unit_test(test_str__writes_and_checks_utf8),
        cmocka_unit_test(test_str__utf8_of_every_code_point),
        cmocka_unit_test(test_args__a_misspelt_option_is_guessed),
        cmocka_unit_test(test_log__levels_prefixes_once_and_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
