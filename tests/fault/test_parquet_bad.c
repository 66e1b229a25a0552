/* Damaged and hostile Parquet files (tests/oracle/make_parquet_hostile.py) are refused, each with
 * its own line that names file, column and page or row; what files claim is not allocated. */
#include "unit.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "data/containers/container.h"
#include "data/containers/parquet.h"

#include <string.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/"

/* Opens the file and reads its first row. */
static Status read_first(const char *path) {
    Container *c = NULL;
    Json *row = NULL;
    ContainerOptions options = {.text_field = "text"};
    Status st = container_open(&c, path, &options);
    if (st == OK) st = container_parse(&row, c, 0);
    json_free(row);
    container_close(c);
    return st;
}

static void test_parquet_bad__each_has_its_line(void **state) {
    (void)state;
    Json *says = NULL, *line;
    JsonIter it = {0};
    const char *name;
    int64_t n = 0;
    if (json_read_file(&says, DATA "parquet_hostile/says.json") != OK)
        fail_msg("%s", status_message());
    for (; json_next(says, &it, &name, &line); n++) {
        char *path = str_format("%sparquet_hostile/%s.parquet", DATA, name);
        Status st = read_first(path);
        const char *message = st == OK ? "(read)" : status_message();
        if (st != ERR_DATA || !str_starts(message, path) || !strstr(message, json_str(line, NULL)))
            fail_msg("%s: %d \"%s\", wanted \"%s\"", name, (int)st, message, json_str(line, NULL));
        mem_free(path);
    }
    print_message("%lld hostile files\n", (long long)n);
    assert_true(n >= 47);
    json_free(says);
}

/* A file cut off anywhere has lost its footer. */
static void test_parquet_bad__cut_anywhere(void **state) {
    (void)state;
    Str whole = {0};
    assert_int_equal(file_read(&whole, DATA "parquet/texts.v1_snappy.parquet", 1 << 20), OK);
    for (size_t n = 4; n < whole.len; n += 7) {
        Parquet *p = NULL;
        char *part = mem_strndup(whole.data, n);
        assert_int_equal(parquet_open(&p, "a", part, n), ERR_DATA);
        assert_null(p);
        mem_free(part);
    }
    str_free(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parquet_bad__each_has_its_line),
        cmocka_unit_test(test_parquet_bad__cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
