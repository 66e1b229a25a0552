/* Parquet files of every encoding, codec, page version and nesting, as pyarrow writes them
 * (tests/oracle/make_parquet.py), hold the rows that stand beside them; so do two files of the
 * Hub. */
#include "unit.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "data/containers/container.h"

#include <stdlib.h>
#include <string.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/parquet/"
#define SHARED HONE_SHARED_DIR "/data/formats/"

static Container *open_rows(const char *path) {
    Container *c = NULL;
    ContainerOptions options = {.text_field = "text"};
    if (container_open(&c, path, &options) != OK) fail_msg("%s", status_message());
    return c;
}

static void row_text(Str *out, const Container *c, int64_t i) {
    Json *row = NULL;
    if (container_parse(&row, c, i) != OK) fail_msg("%s", status_message());
    str_clear(out);
    json_dump(out, row, 0);
    json_free(row);
}

static void compare_row(const Container *got, const Container *want, int64_t i) {
    Str a = {0}, b = {0};
    row_text(&a, got, i);
    row_text(&b, want, i);
    if (!str_equal(str_text(&a), str_text(&b)))
        fail_msg("%s, row %lld:\n got %s\nwant %s", container_path(got), (long long)i + 1,
                 str_text(&a), str_text(&b));
    str_free(&a);
    str_free(&b);
}

/* Forwards, and then by strides, so that row groups are gone back to. */
static void compare(const char *parquet, const char *rows) {
    Container *got = open_rows(parquet), *want = open_rows(rows);
    int64_t n = container_rows(want);
    if (container_rows(got) != n)
        fail_msg("%s: %lld rows, not %lld", parquet, (long long)container_rows(got), (long long)n);
    for (int64_t i = 0; i < n; i++) compare_row(got, want, i);
    for (int64_t i = 0; i < n; i++) compare_row(got, want, (n - 1 - i) * 7 % n);
    container_close(got);
    container_close(want);
}

static void test_parquet_golden__every_variant_holds_its_rows(void **state) {
    (void)state;
    FileList files = {0};
    int64_t n = 0;
    assert_int_equal(file_list(&files, DATA), OK);
    for (size_t i = 0; i < files.count; i++) {
        const char *name = files.names[i];
        if (!str_ends(name, ".parquet")) continue;
        char *rows = str_format("%s%.*s.jsonl", DATA, (int)strcspn(name, "."), name);
        char *path = file_join(DATA, name);
        compare(path, rows);
        mem_free(rows);
        mem_free(path);
        n++;
    }
    print_message("%lld files\n", (long long)n);
    assert_true(n >= 51);
    file_list_free(&files);
}

static void test_parquet_golden__files_of_the_hub(void **state) {
    (void)state;
    if (!file_is_folder(SHARED)) {
        print_message("skipped: no data in %s\n", SHARED);
        skip();
    }
    compare(SHARED "alpaca_flat_50.parquet", SHARED "alpaca_flat_50.expected.jsonl");
    compare(SHARED "arith_chat_800.parquet", SHARED "arith_chat_800.expected.jsonl");
}

/* Rows asked for by many threads at once, from row groups of ten rows. */
static void test_parquet_golden__rows_in_threads(void **state) {
    (void)state;
    Container *got = open_rows(DATA "nested.v1_snappy.parquet");
    Container *want = open_rows(DATA "nested.jsonl");
    int64_t n = container_rows(want), wrong = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(4) reduction(+ : wrong)
    for (int64_t k = 0; k < n * 20; k++) {
        Json *a = NULL, *b = NULL;
        Str x = {0}, y = {0};
        int64_t i = k * 5 % n;
        if (container_parse(&a, got, i) != OK || container_parse(&b, want, i) != OK) {
            wrong++;
            continue;
        }
        json_dump(&x, a, 0);
        json_dump(&y, b, 0);
        wrong += !str_equal(str_text(&x), str_text(&y));
        str_free(&x);
        str_free(&y);
        json_free(a);
        json_free(b);
    }
    assert_int_equal(wrong, 0);
    container_close(got);
    container_close(want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parquet_golden__every_variant_holds_its_rows),
        cmocka_unit_test(test_parquet_golden__files_of_the_hub),
        cmocka_unit_test(test_parquet_golden__rows_in_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
