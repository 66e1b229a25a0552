/* What dataset_log says of a data set: formats, and the columns that nobody reads. */
#include "data_case.h"

#include "data/template.h"

#include <fcntl.h>

/* Opens the case and returns what dataset_log writes; the caller mem_free's it. */
static char *log_of(DataCase *c) {
    char *path = file_join(c->folder, "stderr");
    Str text = {0};
    case_load(c);
    fflush(stderr);
    int saved = dup(STDERR_FILENO), to = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(saved >= 0 && to >= 0 && dup2(to, STDERR_FILENO) >= 0);
    close(to);
    log_set_level(LOG_INFO);
    dataset_log(c->data, "train");
    log_set_level(LOG_ERROR);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(file_read(&text, path, 1 << 20), OK);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
    return str_take(&text);
}

/* Rows of JSON lines for `kind`: the names after "does not use: ", or NULL for no such line. */
static void check_unused(DatasetKind kind, const char *rows, const char *names) {
    DataCase c;
    case_open(&c, kind);
    case_file(&c, "rows.jsonl", rows);
    char *log = log_of(&c);
    const char *at = strstr(log, "does not use: ");
    if (names) {
        char *line = str_format("does not use: %s\n", names);
        if (!strstr(log, line)) fail_msg("no `%s` in: %s", line, log);
        if (strstr(at + 1, "does not use: ")) fail_msg("said twice: %s", log);
        mem_free(line);
    } else if (at) {
        fail_msg("%s", log);
    }
    mem_free(log);
    case_close(&c);
}

static void test_data_notes__unread_columns_are_named_once(void **state) {
    (void)state;
    check_unused(DATASET_SFT, "{\"text\": \"a\"}\n", NULL);
    check_unused(DATASET_SFT,
                 "{\"text\": \"a\", \"label\": 1, \"source\": \"s\"}\n"
                 "{\"text\": \"b\", \"label\": 0, \"source\": \"s\"}\n",
                 "`label`, `source`");
    /* a column of later rows; a null holds nothing */
    check_unused(DATASET_SFT,
                 "{\"text\": \"a\", \"id\": null}\n{\"text\": \"b\", \"score\": 0.5}\n"
                 "{\"text\": \"c\", \"id\": 7}\n",
                 "`score`, `id`");
    check_unused(DATASET_SFT,
                 "{\"instruction\": \"i\", \"input\": \"\", \"output\": \"o\", \"text\": \"x\"}\n",
                 "`text`");
    check_unused(DATASET_SFT, "{\"prompt\": \"p\", \"completion\": \"c\", \"response\": \"r\"}\n",
                 "`response`");
    check_unused(DATASET_PREFERENCE,
                 "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\", \"margin\": 1, "
                 "\"prompt_id\": \"x\"}\n",
                 "`prompt_id`");
}

/* A tree that is the row itself, and one below `prompt`. */
static void test_data_notes__trees_are_read_by_their_own_names(void **state) {
    (void)state;
#define TREE                                                   \
    "{\"role\": \"prompter\", \"text\": \"q\", \"replies\": [" \
    "{\"role\": \"assistant\", \"text\": \"a\", \"rank\": 0}," \
    "{\"role\": \"assistant\", \"text\": \"b\", \"rank\": 1}]"
    static const char *const rows[] = {TREE ", \"lang\": \"en\"}\n",
                                       "{\"lang\": \"en\", \"prompt\": " TREE "}}\n"};
    for (int i = 0; i < 2; i++) {
        DataCase c;
        ChatTemplate *t;
        case_open(&c, DATASET_PREFERENCE);
        assert_int_equal(
            template_open(&t, c.tok, "{% for m in messages %}{{ m['content'] }}{% endfor %}"), OK);
        c.options.chat_template = t;
        case_file(&c, "rows.jsonl", rows[i]);
        char *log = log_of(&c);
        if (!strstr(log, "format oasst does not use: `lang`\n")) fail_msg("%s", log);
        mem_free(log);
        template_close(t);
        case_close(&c);
    }
}

/* Rewards see the whole row. */
static void test_data_notes__nothing_of_a_prompts_row_is_unread(void **state) {
    (void)state;
    check_unused(DATASET_PROMPT, "{\"prompt\": \"p\", \"answer\": \"42\"}\n", NULL);
}

static void test_data_notes__templates_read_columns(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.source.prompt_template = "{question} {topic}: ";
    c.source.completion_template = "{answer}";
    case_file(&c, "rows.jsonl",
              "{\"question\": \"q\", \"topic\": \"t\", \"answer\": \"a\", \"id\": 1}\n");
    char *log = log_of(&c);
    if (!strstr(log, "format prompt_completion does not use: `id`\n")) fail_msg("%s", log);
    mem_free(log);
    case_close(&c);
}

/* A line for each file of a folder, with its path; the table's columns are columns too. */
static void test_data_notes__each_file_has_its_line(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    case_file(&c, "train-1.csv", "text,when\na,1\nb,2\n");
    case_file(&c, "train-2.csv", "text,who\nc,x\n");
    snprintf(c.path, sizeof c.path, "%s", c.folder);
    char *log = log_of(&c);
    const char *first = strstr(log, "train-1.csv: columns that format text does not use: `when`\n");
    const char *second = strstr(log, "train-2.csv: columns that format text does not use: `who`\n");
    if (!first || !second || !strstr(log, ": format text\n")) fail_msg("%s", log);
    mem_free(log);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_notes__unread_columns_are_named_once),
        cmocka_unit_test(test_data_notes__trees_are_read_by_their_own_names),
        cmocka_unit_test(test_data_notes__nothing_of_a_prompts_row_is_unread),
        cmocka_unit_test(test_data_notes__templates_read_columns),
        cmocka_unit_test(test_data_notes__each_file_has_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
