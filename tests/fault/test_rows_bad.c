/* Bad rows and bad files: each case reaches another error site, and gets its exit code and one line
 * that names the place. */
#include "data_case.h"
#include "error_sites.h"

typedef struct BadCase {
    const char *label;
    DatasetKind kind;
    const char *file; /* its name; NULL: no file is written */
    const char *bytes;
    size_t n; /* 0: strlen */
    const char *format;
    Status status;
    const char *place; /* what follows the file's name: ":line:column:", or "" */
    const char *says;  /* a part of the message */
} BadCase;

#define SFT DATASET_SFT
#define PAIR DATASET_PREFERENCE
#define PROMPT DATASET_PROMPT
#define GOOD "{\"text\": \"ok\"}\n"

static const BadCase cases[] = {
    /* files */
    {"missing", SFT, NULL, "", 0, NULL, ERR_INPUT, ":", "no such file"},
    {"empty", SFT, "a.jsonl", "", 0, NULL, ERR_DATA, ":", "no rows"},
    {"blank", SFT, "a.txt", "\n \n\n", 0, NULL, ERR_DATA, ":", "no rows"},
    {"empty array", SFT, "a.json", "[ ]", 0, NULL, ERR_DATA, ":", "no rows"},
    {"header only", SFT, "a.csv", "text\n", 0, NULL, ERR_DATA, ":", "no rows"},
    {"unknown kind", SFT, "a.bin", "hello", 0, NULL, ERR_DATA, ":1:1:", "neither a JSON object"},
    {"parquet cut", SFT, "a.parquet", "PAR1xxxxxxxxxx", 0, NULL, ERR_DATA, ":", "is cut off"},
    {"parquet damaged", SFT, "a.parquet", "PAR1xxxx\xff\0\0\0PAR1", 16, NULL, ERR_DATA, ":",
     "footer is damaged"},
    {"parquet without columns", SFT, "a.parquet", "PAR1\x29\x1c\0\0\x04\0\0\0PAR1", 16, NULL,
     ERR_DATA, ":", "has no columns"},
    {"zstd damaged", SFT, "a.jsonl.zst", "\x28\xb5\x2f\xfd\x04\x58\x77\0\0xxxxxxxxxxxxxxxx", 25,
     NULL, ERR_DATA, ":", "damaged zstd"},
    {"zstd cut", SFT, "a.jsonl.zst", "\x28\xb5\x2f\xfd\x04", 5, NULL, ERR_DATA, ":",
     "zstd data is cut off"},
    {"zip", SFT, "a.zip", "PK\x03\x04xx", 0, NULL, ERR_DATA, ":", "zip"},
    {"lfs", SFT, "a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", 0, NULL,
     ERR_DATA, ":", "git lfs pull"},
    {"gzip cut", SFT, "a.jsonl.gz", "\x1f\x8b\x08\0\0\0\0\0\0\x03\xab", 11, NULL, ERR_DATA, ":",
     "cut off"},
    {"gzip damaged", SFT, "a.jsonl.gz", "\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff\xff", 14, NULL,
     ERR_DATA, ":", "damaged gzip"},
    {"array cut in a row", SFT, "a.json", "[{\"text\": \"a\"},\n {\"text\": \"b", 0, NULL, ERR_DATA,
     ":2:2:", "does not end"},
    {"array not closed", SFT, "a.json", "[{\"text\": \"a\"}", 0, NULL, ERR_DATA,
     ":1:15:", "does not end with `]`"},
    {"array without comma", SFT, "a.json", "[{\"text\": \"a\"}\n {\"text\": \"b\"}]", 0, NULL,
     ERR_DATA, ":2:2:", "`,` or `]` is missing"},
    {"array with a hole", SFT, "a.json", "[{\"text\": \"a\"}, ]", 0, NULL, ERR_DATA,
     ":1:17:", "a row is missing"},
    {"array and more", SFT, "a.json", "[{\"text\": \"a\"}] x", 0, NULL, ERR_DATA,
     ":1:17:", "something follows"},
    {"lines of arrays", SFT, "a.jsonl", "[1]\n[2]\n", 0, NULL, ERR_DATA,
     ":1:1:", "each line is an array"},
    {"csv quote", SFT, "a.csv", "text,n\nx,1\n\"y,2\n", 0, NULL, ERR_DATA, ":3:1:", "never closed"},
    {"csv fields", SFT, "a.csv", "text,n\nx,1\ny\n", 0, NULL, ERR_DATA,
     ":3:1:", "1 fields where the first line has 2"},
    {"csv header twice", SFT, "a.csv", "text,text\nx,1\n", 0, NULL, ERR_DATA, ":1:1:", "twice"},
    {"csv header hole", SFT, "a.csv", "text,\nx,1\n", 0, NULL, ERR_DATA, ":1:1:", "without a name"},
    {"text not utf-8", SFT, "a.txt", "good\nna\xefve\n", 0, NULL, ERR_DATA,
     ":2:3:", "not UTF-8 (byte 0xef)"},
    {"csv not utf-8", SFT, "a.csv", "text,n\nx,1\n\xff,2\n", 0, NULL, ERR_DATA,
     ":3:1:", "not UTF-8"},
    /* rows */
    {"syntax", SFT, "a.jsonl", GOOD "{\"text\": }\n", 0, NULL, ERR_DATA,
     ":2:10:", "unexpected token near '}'"},
    {"syntax inside of an array's line", SFT, "a.json", "[{\"text\": \"a\"}, {\"text\": ?}]", 0,
     NULL, ERR_DATA, ":1:26:", "invalid token near '?'"},
    {"columns are characters, not bytes", SFT, "a.json",
     "[{\"text\": \"\u00e9\u20ac\"}, {\"text\": ?}]", 0, NULL, ERR_DATA,
     ":1:27:", "invalid token near '?'"},
    {"json not utf-8", SFT, "a.jsonl", GOOD "{\"text\": \"\xff\"}\n", 0, NULL, ERR_DATA,
     ":2:10:", "unable to decode byte 0xff"},
    {"cut line", SFT, "a.jsonl", GOOD "{\"text\": \"b", 0, NULL, ERR_DATA,
     ":2:11:", "premature end"},
    {"no object", SFT, "a.jsonl", GOOD "7\n", 0, NULL, ERR_DATA, ":2:1:", "must be an object"},
    {"no format fits", SFT, "a.jsonl", "{\"foo\": 1}\n", 0, NULL, ERR_DATA,
     ":1:1:", "no format fits the columns `foo`"},
    {"unknown format", SFT, "a.jsonl", GOOD, 0, "alpacca", ERR_CONFIG, NULL,
     "did you mean `alpaca`?"},
    {"missing column", SFT, "a.jsonl", GOOD "{\"txt\": \"b\"}\n", 0, NULL, ERR_DATA,
     ":2:1:", "`text` is missing"},
    {"column's type", SFT, "a.jsonl", GOOD "{\"n\": 1, \"text\": 5}\n", 0, NULL, ERR_DATA,
     ":2:10:", "`text` must be a string, not an integer"},
    {"type on a later line", SFT, "a.json", "[\n {\"text\": \"a\"},\n {\n  \"text\": []\n }\n]", 0,
     NULL, ERR_DATA, ":4:3:", "`text` must be a string, not an array"},
    {"prompt alone for sft", SFT, "a.jsonl", "{\"prompt\": \"x\"}\n", 0, NULL, ERR_DATA,
     ":1:2:", "nothing to imitate"},
    {"text for a reward model", PAIR, "a.jsonl", GOOD, 0, NULL, ERR_DATA,
     ":1:1:", "each row needs `chosen`"},
    {"rejected missing", PAIR, "a.jsonl", "{\"chosen\": \"a\", \"rejcted\": \"b\"}\n", 0,
     "preference", ERR_DATA, ":1:1:", "`rejected` is missing"},
    {"mixed kinds", PAIR, "a.jsonl",
     "{\"chosen\": \"a\", \"rejected\": [{\"role\": \"user\", \"content\": \"b\"}]}\n", 0, NULL,
     ERR_DATA, ":1:17:", "must both be strings"},
    {"margin", PAIR, "a.jsonl", "{\"chosen\": \"a\", \"rejected\": \"b\", \"margin\": \"x\"}\n", 0,
     NULL, ERR_DATA, ":1:34:", "`margin` must be a number"},
    {"hh without marks", PAIR, "a.jsonl", "{\"chosen\": \"a\", \"rejected\": \"b\"}\n", 0,
     "hh_rlhf", ERR_DATA, ":1:2:", "must begin with"},
    {"hh without a shared prompt", PAIR, "a.jsonl",
     "{\"chosen\": \"\\n\\nHuman: a\", \"rejected\": \"\\n\\nHuman: b\"}\n", 0, "hh_rlhf", ERR_DATA,
     ":1:28:", "share a prompt"},
    {"a vote that is none", PAIR, "a.jsonl",
     "{\"history\": \"q\", \"human_ref_A\": \"a\", \"human_ref_B\": \"b\", \"labels\": 2}\n", 0,
     NULL, ERR_DATA, ":1:58:", "`labels` must be 1 or 0"},
    {"a summary without text", PAIR, "a.jsonl",
     "{\"info\": {\"subreddit\": \"s\", \"title\": \"t\", \"post\": \"p\"}, \"summaries\": [], "
     "\"choice\": 1}\n",
     0, NULL, ERR_DATA, ":1:57:", "`summaries[0].text` must be a string"},
    {"prompt and completion of two kinds", SFT, "a.jsonl",
     "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}], \"completion\": \"a\"}\n", 0, NULL,
     ERR_DATA, ":1:2:", "must both be strings"},
    {"no messages", SFT, "a.jsonl", "{\"messages\": []}\n", 0, NULL, ERR_DATA,
     ":1:2:", "holds no message"},
    {"a message that is none", SFT, "a.jsonl", "{\"messages\": [\"hi\"]}\n", 0, NULL, ERR_DATA,
     ":1:2:", "`messages[0]` must be an object"},
    {"message without a role", SFT, "a.jsonl",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"content\": \"b\"}]}\n", 0, NULL,
     ERR_DATA, ":1:2:", "`messages[1].role` is missing"},
    {"message without content", SFT, "a.jsonl", "{\"conversations\": [{\"from\": \"human\"}]}\n", 0,
     NULL, ERR_DATA, ":1:2:", "`conversations[0].value` is missing"},
    {"messages' type", SFT, "a.jsonl", "{\"messages\": \"hi\"}\n", 0, "messages", ERR_DATA,
     ":1:2:", "must be a list of messages"},
    {"tools' type", SFT, "a.jsonl",
     "{\"tools\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", 0, NULL,
     ERR_DATA, ":1:2:", "`tools` must be a list"},
    {"no chat template", SFT, "a.jsonl",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", 0, NULL, ERR_CONFIG, NULL,
     "there is no chat template"},
    {"alpaca's history", SFT, "a.json",
     "[{\"instruction\": \"a\", \"output\": \"b\", \"history\": \"c\"}]", 0, NULL, ERR_DATA,
     ":1:38:", "`history` must be a list of turns, not a string"},
    {"alpaca's turn", SFT, "a.json",
     "[{\"instruction\": \"a\", \"output\": \"b\", \"history\": [[\"c\", \"d\"], [\"e\"]]}]", 0,
     NULL, ERR_DATA, ":1:38:", "`history[1]` must be [user, assistant], two strings"},
    {"token id too large", SFT, "a.jsonl", "{\"input_ids\": [1, 259]}\n", 0, NULL, ERR_DATA,
     ":1:2:", "`input_ids[1]` is 259; token ids go from 0 to 258"},
    {"token id that is a word", SFT, "a.jsonl", "{\"input_ids\": [\"a\"]}\n", 0, NULL, ERR_DATA,
     ":1:2:", "must be an integer, not a string"},
    {"token id below zero", SFT, "a.jsonl", "{\"input_ids\": [-7]}\n", 0, NULL, ERR_DATA,
     ":1:2:", "is -7, which is no token id"},
    {"labels too short", SFT, "a.jsonl", "{\"input_ids\": [1, 2], \"labels\": [1]}\n", 0, NULL,
     ERR_DATA, ":1:23:", "must be as many"},
    {"label too large", SFT, "a.jsonl", "{\"input_ids\": [1], \"labels\": [300]}\n", 0, NULL,
     ERR_DATA, ":1:20:", "`labels[0]` is no token id"},
    {"pair of ids for sft", SFT, "a.jsonl", "{\"chosen_ids\": [1], \"rejected_ids\": [2]}\n", 0,
     NULL, ERR_DATA, ":1:1:", "are for reward models"},
    {"half a pair of ids", PAIR, "a.jsonl", "{\"chosen_ids\": [1]}\n", 0, NULL, ERR_DATA,
     ":1:1:", "`rejected_ids` is missing"},
    {"ids as prompt pair", PROMPT, "a.jsonl", "{\"chosen_ids\": [1], \"rejected_ids\": [2]}\n", 0,
     NULL, ERR_DATA, ":1:1:", "hold no prompt"},
    /* nothing left */
    {"all without a label", SFT, "a.jsonl", "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n",
     0, NULL, ERR_DATA, ":", "nothing is left of 1 rows: 1 with nothing left to learn"},
    {"all empty", PROMPT, "a.jsonl", "{\"prompt\": \"\"}\n", 0, NULL, ERR_DATA, ":",
     "1 without a token"},
    {"all identical", PAIR, "a.jsonl", "{\"chosen\": \"a\", \"rejected\": \"a\"}\n", 0, NULL,
     ERR_DATA, ":", "1 pairs of identical answers"},
};
#define N_CASES (sizeof cases / sizeof *cases)

static void check_message(const DataCase *c, const BadCase *k, Status st) {
    char begin[256];
    snprintf(begin, sizeof begin, "%s%s", c->path, k->place ? k->place : "");
    const char *message = status_message();
    bool at = !k->place || strncmp(message, begin, strlen(begin)) == 0;
    if (st != k->status || !at || !strstr(message, k->says) || strchr(message, '\n'))
        fail_msg("%s: exit code %d, wanted %d; \"%s\", wanted \"%s ... %s\"", k->label, st,
                 k->status, message, begin, k->says);
}

static void test_rows_bad__each_has_its_code_and_place(void **state) {
    (void)state;
    ErrorSites sites = {0};
    for (size_t i = 0; i < N_CASES; i++) {
        const BadCase *k = &cases[i];
        DataCase c;
        case_open(&c, k->kind);
        c.source.format = k->format;
        if (k->file)
            case_file_n(&c, k->file, k->bytes, k->n ? k->n : strlen(k->bytes));
        else
            snprintf(c.path, sizeof c.path, "%s/none.jsonl", c.folder);
        Status st = case_try(&c);
        check_message(&c, k, st);
        error_sites_add(&sites, status_message());
        assert_null(c.data);
        case_close(&c);
    }
    print_message("%zu bad files and rows reach %zu error sites\n", N_CASES, sites.n);
    assert_true(sites.n >= 60);
    error_sites_free(&sites);
}

/* No two cases are the same error: the texts looked for differ, or the places do. */
static void test_rows_bad__each_is_another_site(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CASES; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(strcmp(cases[i].says, cases[j].says) == 0 &&
                         str_equal(cases[i].file, cases[j].file) &&
                         str_equal(cases[i].place, cases[j].place));
}

#define MIXED \
    "{\"text\": 1}\n{\"text\": \"a\"}\nnot json\n[]\n{\"text\": \"b\"}\n{\"foo\": \"c\"}\n"

static void test_rows_bad__skipped_rows_are_counted(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.on_bad_row = DATASET_BAD_SKIP;
    case_text(&c, "a.jsonl", MIXED);
    assert_int_equal(dataset_size(c.data), 2);
    assert_int_equal(dataset_counts(c.data)->rows, 6);
    assert_int_equal(dataset_counts(c.data)->bad, 4);
    assert_int_equal(dataset_counts(c.data)->kept, 2);
    assert_int_equal(dataset_get(c.data, 1).line, 5);
    assert_non_null(strstr(dataset_counts(c.data)->first_bad, "a.jsonl:1:2: `text` must be"));
    case_close(&c);
}

static void test_rows_bad__too_many_skipped_is_an_error(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.on_bad_row = DATASET_BAD_SKIP;
    c.options.max_bad_fraction = 0.5;
    case_file(&c, "a.jsonl", MIXED);
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "4 of 6 rows are bad"));
    case_file(&c, "a.jsonl", "{\"text\": 1}\n");
    c.options.max_bad_fraction = 1;
    assert_int_equal(case_try(&c), ERR_DATA); /* nothing is left */
    case_close(&c);
}

/* What is wrong with the options is no row's fault: skipping does not hide it. */
static void test_rows_bad__config_errors_are_not_skipped(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.on_bad_row = DATASET_BAD_SKIP;
    c.options.completion_only_loss = DATASET_TRUE;
    case_file(&c, "a.jsonl", GOOD);
    assert_int_equal(case_try(&c), ERR_CONFIG);
    case_file(&c, "a.jsonl",
              "{\"input_ids\": [1], \"completion_mask\": [1]}\n{\"input_ids\": [1]}\n");
    assert_int_equal(case_try(&c), ERR_CONFIG); /* found only in a later row */
    case_close(&c);
}

static void option_fails(DataCase *c, const char *says) {
    assert_int_equal(case_try(c), ERR_CONFIG);
    if (!strstr(status_message(), says)) fail_msg("\"%s\" without \"%s\"", status_message(), says);
}

static void test_rows_bad__options_that_contradict(void **state) {
    (void)state;
    DataCase c, fresh;
    case_open(&c, DATASET_SFT);
    case_file(&c, "a.jsonl", GOOD);
    fresh = c;
    c.options.packing = true;
    c.options.max_length = 0;
    option_fails(&c, "needs a `max_length`");
    c = fresh;
    c.options.packing = true;
    c.options.kind = DATASET_PROMPT;
    option_fails(&c, "fine-tuning only");
    c = fresh;
    c.options.assistant_only_loss = true;
    option_fails(&c, "needs conversations");
    c = fresh;
    c.source.weight = -1;
    option_fails(&c, "must be above 0");
    c = fresh;
    c.source.weight = 0.1;
    assert_int_equal(case_try(&c), ERR_DATA); /* 0.1 of one row */
    assert_non_null(strstr(status_message(), "`weight` is too small"));
    c = fresh;
    c.source.prompt_template = "{";
    option_fails(&c, "a `{` without a column name");
    c = fresh;
    c.source.prompt_template = "{nix}";
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "names the column `nix`"));
    case_close(&fresh);
}

static void test_rows_bad__folder_without_the_split(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    case_file(&c, "test.part_a.jsonl", GOOD);
    strcpy(c.path, c.folder);
    assert_int_equal(case_try(&c), ERR_INPUT);
    assert_non_null(strstr(status_message(), "no data file of the split `train` here (there are: "
                                             "test.part_a.jsonl)"));
    c.source.split = "test";
    case_load(&c);
    snprintf(c.path, sizeof c.path, "%s/*.jsonl", c.folder);
    case_load(&c);
    strcpy(c.path, "some-org/some-set");
    assert_int_equal(case_try(&c), ERR_INPUT);
    assert_non_null(strstr(status_message(), "hf download --repo-type dataset some-org/some-set"));
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_bad__each_has_its_code_and_place),
        cmocka_unit_test(test_rows_bad__each_is_another_site),
        cmocka_unit_test(test_rows_bad__skipped_rows_are_counted),
        cmocka_unit_test(test_rows_bad__too_many_skipped_is_an_error),
        cmocka_unit_test(test_rows_bad__config_errors_are_not_skipped),
        cmocka_unit_test(test_rows_bad__options_that_contradict),
        cmocka_unit_test(test_rows_bad__folder_without_the_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
