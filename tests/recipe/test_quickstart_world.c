/* The quickstart's world: what it writes is what its judge understands, and the judge sees every
 * fault. */
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/str.h"
#include "scratch.h"
#include "unit.h"

static void storyworld(const char *format, const char *a, const char *b) {
    char *arguments = str_format(format, a, b);
    char *command = str_format("%s/storyworld %s 2>/dev/null", HONE_BIN_DIR, arguments);
    int status = system(command);
    if (status != 0) fail_msg("%s: status %d", command, status);
    mem_free(command);
    mem_free(arguments);
}

/* How many rows of a judged file have `key` true. */
static int64_t count_true(const char *path, const char *key, int64_t *rows) {
    Jsonl *in = NULL;
    assert_int_equal(jsonl_open(&in, path), OK);
    int64_t n = 0;
    *rows = jsonl_rows(in);
    for (int64_t i = 0; i < *rows; i++) {
        Json *row = NULL;
        assert_int_equal(jsonl_parse(&row, in, i), OK);
        n += json_bool(json_get(row, key));
        json_free(row);
    }
    jsonl_close(in);
    return n;
}

static void test_quickstart_world__demonstrators_miss_what_they_should(void **state) {
    (void)state;
    char *folder = scratch_new();
    char *demos = file_join(folder, "demos.jsonl"), *judged = file_join(folder, "judged.jsonl");
    storyworld("data --base 0 --demos 2000 --requests 0 --held-out 0 --seed 5 --output %s%s",
               folder, "");
    storyworld("judge --samples %s --output %s", demos, judged);
    int64_t rows;
    assert_int_equal(count_true(judged, "fluent", &rows), 2000); /* all of the grammar */
    const struct {
        const char *key;
        double share;
    } expected[] = {{"kind", 0.4}, {"length", 0.8}, {"thing", 0.8}, {"same", 0.9}};
    for (int i = 0; i < 4; i++) {
        double share = (double)count_true(judged, expected[i].key, &rows) / 2000.0;
        /* four standard deviations of a share of 2,000 */
        if (share < expected[i].share - 0.043 || share > expected[i].share + 0.043)
            fail_msg("%s: %.3f, expected %.3f", expected[i].key, share, expected[i].share);
    }
    mem_free(demos);
    mem_free(judged);
    scratch_free(folder);
}

static const char request[] = "Tell me a story about Mia the fox and a lamp in three sentences.\\n";
static const char intro[] = "Mia the fox lived by the river and had a red lamp.";
static const char meeting[] = "Then Mia met Tom the bear who liked the lamp.";
static const char ending[] = "In the end Mia chose to share the lamp with Tom.";

static void test_quickstart_world__judge_sees_each_fault(void **state) {
    (void)state;
    const struct {
        const char *key, *parts[4];
        bool fluent;
    } faults[] = {
        {"fluent", {intro, ending, meeting}, false},
        {"fluent", {intro, "Then Mia met Tom bear who liked the lamp.", ending}, false},
        {"kind", {intro, meeting, "In the end Mia chose not to share the lamp with Tom."}, true},
        {"kind", {intro, meeting, "In the end the lamp fell on Mia and Tom laughed."}, true},
        {"length", {intro, "Mia sang a song about the lamp.", meeting, ending}, true},
        {"thing",
         {"Mia the fox lived by the river and had a red kite.",
          "Then Mia met Tom the bear who liked the kite.",
          "In the end Mia chose to share the kite with Tom."},
         true},
        {"same", {intro, "Then Zoe met Tom the bear who liked the lamp.", ending}, true},
        {"same", {intro, "Then Mia met Tom the bear who liked the kite.", ending}, true},
        {"same", {intro, meeting, "In the end Mia chose to share the lamp with Ben."}, true},
        {NULL, {intro, meeting, ending}, true},
        {NULL, {intro, meeting, "In the end Mia chose not to keep the lamp from Tom."}, true},
    };
    char *folder = scratch_new();
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        Str text = {0};
        str_printf(&text, "{\"prompt\": \"%s\", \"completion\": \"%s", request, faults[i].parts[0]);
        for (int k = 1; k < 4 && faults[i].parts[k]; k++)
            str_printf(&text, " %s", faults[i].parts[k]);
        str_append(&text, "\"}\n");
        char *sample = scratch_text(folder, "one.jsonl", str_text(&text));
        char *judged = file_join(folder, "judged.jsonl");
        storyworld("judge --samples %s --output %s", sample, judged);
        int64_t rows;
        const char *keys[] = {"fluent", "kind", "length", "thing", "same", "all"};
        for (int k = 0; k < 6; k++) {
            bool is_fault = str_equal(keys[k], faults[i].key);
            bool want = faults[i].fluent && !is_fault && !(k == 5 && faults[i].key);
            if (count_true(judged, keys[k], &rows) != want)
                fail_msg("case %zu: %s is not %d: %s", i, keys[k], want, str_text(&text));
        }
        mem_free(judged);
        mem_free(sample);
        str_free(&text);
    }
    scratch_free(folder);
}

/* Held-out requests name (hero, animal, thing) that no training text has; the same seed gives the
 * same files. */
static void test_quickstart_world__held_out_and_reproducible(void **state) {
    (void)state;
    char *folder = scratch_new();
    char *first = file_join(folder, "a"), *second = file_join(folder, "b");
    const char *files[] = {"base.jsonl", "demos.jsonl", "requests.jsonl", "test.jsonl"};
    storyworld("data --base 50 --demos 50 --requests 200 --held-out 50 --seed 3 --output %s%s",
               first, "");
    storyworld("data --base 50 --demos 50 --requests 200 --held-out 50 --seed 3 --output %s%s",
               second, "");
    Str requests = {0}, held_out = {0};
    for (int i = 0; i < 4; i++) {
        Str a = {0}, b = {0};
        char *path_a = file_join(first, files[i]), *path_b = file_join(second, files[i]);
        assert_int_equal(file_read(&a, path_a, 1 << 20), OK);
        assert_int_equal(file_read(&b, path_b, 1 << 20), OK);
        assert_string_equal(str_text(&a), str_text(&b));
        if (i == 2) str_append(&requests, str_text(&a));
        if (i == 3) str_append(&held_out, str_text(&a));
        str_free(&a);
        str_free(&b);
        mem_free(path_a);
        mem_free(path_b);
    }
    char *line = strtok(held_out.data, "\n");
    for (; line; line = strtok(NULL, "\n")) assert_null(strstr(requests.data, line));
    str_free(&requests);
    str_free(&held_out);
    mem_free(first);
    mem_free(second);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quickstart_world__demonstrators_miss_what_they_should),
        cmocka_unit_test(test_quickstart_world__judge_sees_each_fault),
        cmocka_unit_test(test_quickstart_world__held_out_and_reproducible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
