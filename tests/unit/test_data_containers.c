/* How rows are stored: every container gives the same rows, and the places they came from. */
#include "data_case.h"

/* The file's rows as texts, joined by '|'. */
static void check_rows(DataCase *c, const char *name, const char *bytes, size_t n,
                       const char *want) {
    Str got = {0};
    case_file_n(c, name, bytes, n ? n : strlen(bytes));
    case_load(c);
    for (int64_t i = 0; i < dataset_size(c->data); i++) {
        DatasetExample x = dataset_get(c->data, i);
        str_printf(&got, "%s%s", i ? "|" : "", ids_text(x.ids, x.n_ids));
    }
    assert_string_equal(want, str_text(&got));
    str_free(&got);
}

static void rows_of(const char *name, const char *bytes, const char *want) {
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.append_eos = false;
    check_rows(&c, name, bytes, 0, want);
    case_close(&c);
}

static void test_data_containers__json_by_its_first_byte(void **state) {
    (void)state;
    rows_of("a.jsonl", "{\"text\": \"a\"}\r\n\n  {\"text\": \"b\"}", "a|b");
    rows_of("a.jsonl", "[{\"text\": \"a\"}, {\"text\": \"b\"}]\n", "a|b");
    rows_of("a.json", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "a|b");
    rows_of("a.json", "{\n \"text\": \"a\"\n}\n", "a");
    rows_of("a.json",
            "{\n \"version\": \"1\",\n \"data\": [{\"text\": \"a\"}, {\"text\": \"b\"}]\n}\n",
            "a|b");
    rows_of("no_ending", "\xef\xbb\xbf [\n{\"text\": \"a\"}]", "a");
    rows_of("a.json", "[{\"text\": \"]}\\\"[{\", \"n\": {\"x\": [1, {}]}}]", "]}\"[{");
}

static void test_data_containers__csv_by_rfc_4180(void **state) {
    (void)state;
    rows_of("a.csv", "n,text\n1,a\n2,\"b,c\"\n", "a|b,c");
    rows_of("a.csv", "text,n\r\n\"say \"\"hi\"\"\",1\r\n\"two\nlines\",2\r\n",
            "say \"hi\"|two\nlines");
    rows_of("a.csv", "text\na", "a");
}

static void test_data_containers__tsv_with_escapes(void **state) {
    (void)state;
    rows_of("a.tsv", "n\ttext\n1\ta\\tb\\nc\\\\d\\q\n2\t\"x\"\n", "a\tb\nc\\d\\q|\"x\"");
}

static void test_data_containers__tables_without_a_header(void **state) {
    (void)state;
    DataCase c;
    const DatasetColumn columns[] = {{"prompt", "#2"}, {"completion", "#1"}};
    case_open(&c, DATASET_SFT);
    c.source.columns = columns;
    c.source.n_columns = 2;
    check_rows(&c, "a.csv", "yes,is it\nno,was it\n", 0, "is ityes$|was itno$");
    case_close(&c);
}

static void test_data_containers__text_by_line_paragraph_document(void **state) {
    (void)state;
    DataCase c;
    static const char text[] = "one\r\ntwo\n\n \nthree\nfour\n";
    case_open(&c, DATASET_SFT);
    c.options.append_eos = false;
    check_rows(&c, "a.txt", text, 0, "one|two|three|four");
    assert_int_equal(dataset_get(c.data, 2).line, 5);
    c.options.text_by = DATASET_TEXT_PARAGRAPH;
    check_rows(&c, "a.txt", text, 0, "one\r\ntwo|three\nfour");
    assert_int_equal(dataset_get(c.data, 1).line, 5);
    c.options.text_by = DATASET_TEXT_DOCUMENT;
    check_rows(&c, "a.txt", text, 0, text);
    c.options.text_by = DATASET_TEXT_LINE;
    c.source.format = "text";
    check_rows(&c, "a.neg.part_a", "no\nnever\n", 0, "no|never"); /* an unknown ending */
    case_close(&c);
}

/* gzip of `{"text": "a"}\n` with empty name and time, twice: two members. */
static const char gz[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x2a\x49\xad\x28\x51"
                         "\xb2\x52\x50\x4a\x54\xaa\xe5\x02\x00\xbd\xd2\x2a\x20\x0e\x00\x00\x00";

static void test_data_containers__gzip_of_several_members(void **state) {
    (void)state;
    DataCase c;
    char twice[2 * sizeof gz];
    size_t n = sizeof gz - 1;
    memcpy(twice, gz, n);
    memcpy(twice + n, gz, n);
    case_open(&c, DATASET_SFT);
    check_rows(&c, "a.jsonl.gz", gz, n, "a$");
    check_rows(&c, "a.jsonl.gz", twice, 2 * n, "a$|a$");
    case_close(&c);
}

/* printf '{"text": "a"}\n' | zstd */
static const char zst[] = "\x28\xb5\x2f\xfd\x04\x58\x71\0\0{\"text\": \"a\"}\n\xfc\x0c\x48\x58";

static void test_data_containers__zstd_of_several_frames(void **state) {
    (void)state;
    DataCase c;
    char twice[2 * sizeof zst];
    size_t n = sizeof zst - 1;
    memcpy(twice, zst, n);
    memcpy(twice + n, zst, n);
    case_open(&c, DATASET_SFT);
    check_rows(&c, "a.jsonl.zst", zst, n, "a$");
    check_rows(&c, "a.jsonl.zst", twice, 2 * n, "a$|a$");
    case_close(&c);
}

static void test_data_containers__folders_hold_splits(void **state) {
    (void)state;
    DataCase c;
    char path[256];
    case_open(&c, DATASET_SFT);
    case_file(&c, "train-00000.jsonl", "{\"text\": \"a\"}\n");
    case_file(&c, "train-00001.jsonl", "{\"text\": \"b\"}\n");
    case_file(&c, "trainer.jsonl", "{\"text\": \"no\"}\n");
    case_file(&c, "test.csv", "text\nc\n");
    snprintf(path, sizeof path, "%s/validation", c.folder);
    assert_int_equal(file_make_folders(path), OK);
    case_file(&c, "validation/any.txt", "d\n");
    strcpy(c.path, c.folder);
    case_load(&c);
    assert_int_equal(dataset_size(c.data), 2);
    assert_int_equal(dataset_get(c.data, 1).ids[0], 'b');
    c.source.split = "test";
    case_load(&c);
    assert_int_equal(dataset_get(c.data, 0).ids[0], 'c');
    c.source.split = "validation";
    case_load(&c);
    assert_int_equal(dataset_get(c.data, 0).ids[0], 'd');
    c.options.root = c.folder; /* a relative path is found below the root */
    strcpy(c.path, "test.csv");
    case_load(&c);
    assert_int_equal(dataset_get(c.data, 0).ids[0], 'c');
    case_close(&c);
}

static void test_data_containers__hub_cache_by_id(void **state) {
    (void)state;
    DataCase c;
    char path[256];
    case_open(&c, DATASET_SFT);
    snprintf(path, sizeof path, "%s/hub/datasets--me--set/snapshots/1f", c.folder);
    assert_int_equal(file_make_folders(path), OK);
    case_file(&c, "hub/datasets--me--set/snapshots/1f/train.jsonl", "{\"text\": \"a\"}\n");
    setenv("HF_HOME", c.folder, 1);
    strcpy(c.path, "me/set");
    case_load(&c);
    assert_int_equal(dataset_size(c.data), 1);
    unsetenv("HF_HOME");
    case_close(&c);
}

static void test_data_containers__several_sources_in_order(void **state) {
    (void)state;
    DataCase c;
    char first[128];
    case_open(&c, DATASET_SFT);
    case_file(&c, "a.txt", "a\n");
    strcpy(first, c.path);
    case_file(&c, "b.txt", "b\n");
    DatasetSource both[] = {{.path = first}, {.path = c.path, .weight = 2}};
    c.options.sources = both;
    c.options.n_sources = 2;
    assert_int_equal(dataset_open(&c.data, &c.options), OK);
    assert_int_equal(dataset_size(c.data), 3);
    assert_int_equal(dataset_get(c.data, 0).ids[0], 'a');
    assert_int_equal(dataset_get(c.data, 2).ids[0], 'b');
    assert_string_equal(dataset_get(c.data, 2).path, c.path);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_containers__json_by_its_first_byte),
        cmocka_unit_test(test_data_containers__csv_by_rfc_4180),
        cmocka_unit_test(test_data_containers__tsv_with_escapes),
        cmocka_unit_test(test_data_containers__tables_without_a_header),
        cmocka_unit_test(test_data_containers__text_by_line_paragraph_document),
        cmocka_unit_test(test_data_containers__gzip_of_several_members),
        cmocka_unit_test(test_data_containers__zstd_of_several_frames),
        cmocka_unit_test(test_data_containers__folders_hold_splits),
        cmocka_unit_test(test_data_containers__hub_cache_by_id),
        cmocka_unit_test(test_data_containers__several_sources_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
