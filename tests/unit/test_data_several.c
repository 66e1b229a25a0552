/* Rows that hold several examples: replies in a tree, ranked lists, instances of a task; and
 * formats that are known by their name only. */
#include "data_case.h"

#include "data/template.h"

#define TURNS                                                                    \
    "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}<eos>{% endfor %}" \
    "{% if add_generation_prompt %}assistant:{% endif %}"

/* q has five answers: b (rank 1), a (rank 0), x (deleted), y (rank 3), z (no rank); a is answered
 * by r, which has two answers without a rank. */
static const char tree[] =
    "{\"message_tree_id\": \"1\", \"prompt\": {\"role\": \"prompter\", \"text\": \"q\", "
    "\"replies\": [{\"role\": \"assistant\", \"text\": \"b\", \"rank\": 1}, "
    "{\"role\": \"assistant\", \"text\": \"a\", \"rank\": 0, \"replies\": ["
    "{\"role\": \"prompter\", \"text\": \"r\", \"replies\": ["
    "{\"role\": \"assistant\", \"text\": \"c\", \"rank\": null}, "
    "{\"role\": \"assistant\", \"text\": \"d\"}]}]}, "
    "{\"role\": \"assistant\", \"text\": \"x\", \"rank\": 2, \"deleted\": true}, "
    "{\"role\": \"assistant\", \"text\": \"y\", \"rank\": 3, \"deleted\": false}, "
    "{\"role\": \"assistant\", \"text\": \"z\"}]}}\n";

/* The items as chosen|rejected, or as the ids, joined by blanks. */
static void check_items(DataCase *c, const char *want) {
    Str got = {0};
    for (int64_t i = 0; i < dataset_size(c->data); i++) {
        DatasetExample x = dataset_get(c->data, i);
        if (i > 0) str_append_char(&got, ' ');
        if (x.chosen) {
            str_printf(&got, "%s|", ids_text(x.chosen, x.n_chosen));
            str_append(&got, ids_text(x.rejected, x.n_rejected));
        } else {
            str_append(&got, ids_text(x.ids, x.n_ids));
        }
    }
    assert_string_equal(want, str_text(&got));
    str_free(&got);
}

static void rows_give(DatasetKind kind, const char *format, const char *rows, const char *want) {
    DataCase c;
    ChatTemplate *t;
    case_open(&c, kind);
    assert_int_equal(template_open(&t, c.tok, TURNS), OK);
    c.options.chat_template = t;
    c.source.format = format;
    case_text(&c, "a.jsonl", rows);
    check_items(&c, want);
    template_close(t);
    case_close(&c);
}

static void test_data_several__a_tree_gives_a_pair_for_each_two_ranks(void **state) {
    (void)state;
    rows_give(DATASET_PREFERENCE, NULL, tree,
              "user:q$assistant:b$|user:q$assistant:y$ user:q$assistant:a$|user:q$assistant:b$ "
              "user:q$assistant:a$|user:q$assistant:y$");
    rows_give(DATASET_SFT, NULL, tree, "user:q$assistant:a$user:r$assistant:c$");
    rows_give(DATASET_PROMPT, NULL, tree, "user:q$assistant:");
}

static void test_data_several__a_tree_without_ranks_is_counted(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    case_file(&c, "a.jsonl", "{\"role\": \"prompter\", \"text\": \"q\", \"replies\": []}\n");
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "1 without an example in it"));
    case_close(&c);
}

static void test_data_several__ranked_lists_give_all_pairs(void **state) {
    (void)state;
#define ALPACA                                                                            \
    "Below is an instruction that describes a task. Write a response that appropriately " \
    "completes the request.\n\n### Instruction:\ni\n\n### Response:"
    static const char row[] = "{\"instruction\": \"i\", \"output\": [\"a\", \"b\", \"c\"]}\n";
    rows_give(DATASET_PREFERENCE, NULL, row,
              ALPACA "a$|" ALPACA "b$ " ALPACA "a$|" ALPACA "c$ " ALPACA "b$|" ALPACA "c$");
    rows_give(DATASET_SFT, NULL, row, ALPACA "a$");
}

static void test_data_several__self_instruct_gives_its_instances(void **state) {
    (void)state;
    rows_give(DATASET_SFT, NULL,
              "{\"instruction\": \"i\", \"instances\": [{\"input\": \"x\", \"output\": \"a\"}, "
              "{\"input\": \"\", \"output\": \"b\"}]}\n",
              "i\nInput: x\nOutput: a$ i\nOutput: b$");
}

static void test_data_several__ultrafeedback_pairs_the_best_with_the_worst(void **state) {
    (void)state;
#define RATED(text, first, second)                                                          \
    "{\"response\": \"" text "\", \"annotations\": {\"helpfulness\": {\"Rating\": \"" first \
    "\"}, \"honesty\": {\"Rating\": \"" second "\"}}}"
    rows_give(DATASET_PREFERENCE, NULL,
              "{\"instruction\": \"i \", \"completions\": [" RATED("a", "2", "3") ", " RATED(
                  "b", "5", "4") ", " RATED("c", "1", "N/A") "]}\n",
              "i b$|i c$");
}

static void test_data_several__guanaco_of_both_kinds(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.source.format = "guanaco";
    case_text(&c, "a.jsonl",
              "{\"text\": \"### Human: h### Assistant: a### Human: i### Assistant: b\"}\n");
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids("### Human: h### Assistant: a### Human: i### Assistant: b$", x.ids, x.n_ids);
    assert_int_equal(dataset_counts(c.data)->targets, 3); /* " b" and EOS */
    case_text(&c, "a.jsonl",
              "{\"instruction\": \"User: u\", \"input\": \"\", \"output\": \"o\"}\n");
    x = dataset_get(c.data, 0);
    assert_ids("### Instruction:\nUser: u\n### Input:\n\n### Response:\no$", x.ids, x.n_ids);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_several__a_tree_gives_a_pair_for_each_two_ranks),
        cmocka_unit_test(test_data_several__a_tree_without_ranks_is_counted),
        cmocka_unit_test(test_data_several__ranked_lists_give_all_pairs),
        cmocka_unit_test(test_data_several__self_instruct_gives_its_instances),
        cmocka_unit_test(test_data_several__ultrafeedback_pairs_the_best_with_the_worst),
        cmocka_unit_test(test_data_several__guanaco_of_both_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
