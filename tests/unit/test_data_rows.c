/* What rows become: EOS, labels, truncation, prompts, pairs, by TRL's rules, for every format. */
#include "data_case.h"

#include "core/rows.h"
#include "core/threads.h"

#define HUMAN "\\n\\nHuman:"
#define ASSISTANT "\\n\\nAssistant:"

static void check_sft(DataCase *c, int64_t item, const char *ids, const char *labels) {
    DatasetExample x = dataset_get(c->data, item);
    assert_ids(ids, x.ids, x.n_ids);
    assert_labels(labels, x.labels, x.n_ids);
}

/* One row of JSON lines, opened for SFT. */
static void sft_row(const char *row, const char *ids, const char *labels) {
    DataCase c;
    case_open(&c, DATASET_SFT);
    case_text(&c, "train.jsonl", row);
    check_sft(&c, 0, ids, labels);
    case_close(&c);
}

/* ---- SFT ---- */

static void test_data_rows__text_gets_eos_unless_it_ends_with_it(void **state) {
    (void)state;
    sft_row("{\"text\": \"ab\"}", "ab$", "ab$");
    sft_row("{\"text\": \"ab<eos>\"}", "ab$", "ab$");
    sft_row("{\"text\": \"<eos>ab\"}", "$ab$", "$ab$");
}

static void test_data_rows__no_eos_when_switched_off(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.append_eos = false;
    case_text(&c, "train.jsonl", "{\"text\": \"ab\"}");
    check_sft(&c, 0, "ab", "ab");
    case_close(&c);
}

static void test_data_rows__another_eos_token(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.eos_token = "<pad>";
    case_text(&c, "train.jsonl", "{\"text\": \"ab\"}");
    DatasetExample x = dataset_get(c.data, 0);
    assert_int_equal(x.ids[x.n_ids - 1], tokenizer_id(c.tok, "<pad>"));
    c.options.eos_token = "</none>";
    assert_int_equal(case_try(&c), ERR_CONFIG);
    case_close(&c);
}

static void test_data_rows__completion_alone_has_labels(void **state) {
    (void)state;
    sft_row("{\"prompt\": \"Q: \", \"completion\": \"yes\"}", "Q: yes$", "...yes$");
    sft_row("{\"prompt\": \"Q: \", \"response\": \"yes\"}", "Q: yes$", "...yes$");
}

static void test_data_rows__completion_only_loss_false_labels_all(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.completion_only_loss = DATASET_FALSE;
    case_text(&c, "train.jsonl", "{\"prompt\": \"Q: \", \"completion\": \"yes\"}");
    check_sft(&c, 0, "Q: yes$", "Q: yes$");
    case_close(&c);
}

static void test_data_rows__completion_only_loss_wants_completions(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.completion_only_loss = DATASET_TRUE;
    case_file(&c, "train.jsonl", "{\"text\": \"ab\"}");
    assert_int_equal(case_try(&c), ERR_CONFIG);
    case_close(&c);
}

static void test_data_rows__truncated_after_labels_then_dropped(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.max_length = 4;
    case_text(&c, "train.jsonl",
              "{\"prompt\": \"Q: \", \"completion\": \"yes\"}\n"
              "{\"prompt\": \"long \", \"completion\": \"no\"}\n"
              "{\"prompt\": \"\", \"completion\": \"abc\"}\n");
    assert_int_equal(dataset_size(c.data), 2);
    check_sft(&c, 0, "Q: y", "...y");
    check_sft(&c, 1, "abc$", "abc$");
    assert_int_equal(dataset_counts(c.data)->truncated, 1);
    assert_int_equal(dataset_counts(c.data)->no_label, 1);
    assert_int_equal(dataset_counts(c.data)->rows, 3);
    case_close(&c);
}

static void test_data_rows__keep_end_cuts_the_front(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.max_length = 5;
    c.options.truncation_keep_end = true;
    case_text(&c, "train.jsonl", "{\"prompt\": \"Q: \", \"completion\": \"yes\"}");
    check_sft(&c, 0, " yes$", ".yes$");
    case_close(&c);
}

/* TRL's label-building examples: ids with assistant masks, given labels, and what truncation
 * leaves. */
static void test_data_rows__tokenized_labels_equal_trl(void **state) {
    (void)state;
    static const int32_t none = ROWS_NO_TARGET;
    DataCase c;
    case_open(&c, DATASET_SFT);
    case_text(&c, "train.jsonl",
              "{\"input_ids\": [1, 2, 3, 4], \"assistant_masks\": [0, 0, 1, 1]}\n"
              "{\"input_ids\": [5, 6, 7], \"assistant_masks\": [0, 1, 0]}\n"
              "{\"input_ids\": [1, 2, 3, 4], \"labels\": [1, -100, 3, -100]}\n"
              "{\"input_ids\": [1, 2, 3], \"completion_mask\": [0, 1, 1]}\n");
    const int32_t want[4][4] = {
        {none, none, 3, 4}, {none, 6, none}, {1, none, 3, none}, {none, 2, 3}};
    for (int64_t i = 0; i < 4; i++) {
        DatasetExample x = dataset_get(c.data, i);
        assert_memory_equal(x.labels, want[i], (size_t)x.n_ids * sizeof(int32_t));
    }
    c.options.max_length = 3;
    case_text(&c, "train.jsonl",
              "{\"input_ids\": [1, 2, 3, 4, 5], \"assistant_masks\": [0, 0, 0, 1, 1]}\n"
              "{\"input_ids\": [6, 7, 8], \"assistant_masks\": [1, 1, 1]}\n");
    assert_int_equal(dataset_size(c.data), 1);
    assert_int_equal(dataset_get(c.data, 0).ids[0], 6);
    case_close(&c);
}

#define INTRO "Below is an instruction that describes a task"
#define WRITE " Write a response that appropriately completes the request.\n\n### Instruction:\n"

static void test_data_rows__alpaca_templates_byte_for_byte(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    case_text(&c, "train.json",
              "[{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"},\n"
              " {\"instruction\": \"Sing.\", \"input\": \"\", \"output\": \"la\"}]");
    assert_string_equal(dataset_get(c.data, 0).prompt,
                        INTRO ", paired with an input that provides further context." WRITE
                              "Add.\n\n### Input:\n1 2\n\n### Response:");
    assert_string_equal(dataset_get(c.data, 1).prompt, INTRO "." WRITE "Sing.\n\n### Response:");
    c.options.kind = DATASET_SFT;
    case_load(&c);
    DatasetExample x = dataset_get(c.data, 1);
    assert_ids("Response:la$", x.ids + x.n_ids - 12, 12);
    assert_labels(".........la$", x.labels + x.n_ids - 12, 12);
    case_close(&c);
}

static void test_data_rows__alpaca_with_system_and_history(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    case_text(&c, "train.json",
              "[{\"instruction\": \"And 3?\", \"input\": \"n\", \"output\": \"5\", \"system\": "
              "\"Be kind.\","
              "  \"history\": [[\"1 and 1?\", \"2\"], [\"2?\", \"4\"]]},\n"
              " {\"instruction\": \"Sing.\", \"input\": \"\", \"output\": \"la\", \"system\": \"\","
              "  \"history\": []}]");
    assert_string_equal(dataset_get(c.data, 0).prompt,
                        "Be kind.\n\n### Instruction:\n1 and 1?\n\n### Response:2\n\n"
                        "### Instruction:\n2?\n\n### Response:4\n\n"
                        "### Instruction:\nAnd 3?\n\n### Input:\nn\n\n### Response:");
    assert_string_equal(dataset_get(c.data, 1).prompt, INTRO "." WRITE "Sing.\n\n### Response:");
    c.options.kind = DATASET_SFT; /* the last answer is learnt */
    case_load(&c);
    DatasetExample x = dataset_get(c.data, 0);
    assert_labels("........5$", x.labels + x.n_ids - 10, 10);
    assert_int_equal(dataset_item_targets(c.data, 0), 2);
    case_close(&c);
}

/* Training and evaluation rows of one file: all of them, none twice, the same with any seed's
 * luck; a row that gives several examples stays whole. */
static void test_data_rows__test_split_size_cuts_rows_apart(void **state) {
    (void)state;
    DataCase c;
    Str text = {0};
    case_open(&c, DATASET_SFT);
    for (int i = 0; i < 95; i++) str_printf(&text, "%s{\"text\": \"%d\"}", i ? ", " : "[", i);
    str_append_char(&text, ']'); /* one line */
    case_file(&c, "train.json", str_text(&text));
    static const struct {
        double size;
        int64_t test;
    } sizes[] = {{0.1, 10}, {0.5, 48}, {7, 7}, {1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int seen[95] = {0};
        for (int part = 0; part < 2; part++) {
            c.options.test_split_size = sizes[i].size;
            c.options.test_part = part == 1;
            c.options.seed = 5 + i;
            case_load(&c);
            assert_int_equal(dataset_size(c.data), part ? sizes[i].test : 95 - sizes[i].test);
            for (int64_t k = 0; k < dataset_size(c.data); k++) {
                DatasetExample x = dataset_get(c.data, k);
                seen[atoi(ids_text(x.ids, x.n_ids - 1))]++;
            }
        }
        for (int k = 0; k < 95; k++) assert_int_equal(seen[k], 1);
    }
    c.options.test_split_size = 95;
    c.options.test_part = false;
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "`test_split_size` 95 of 95 rows leaves none"));
    str_clear(&text);
    for (int i = 0; i < 20; i++)
        str_printf(&text,
                   "{\"instruction\": \"%c\", \"instances\": [{\"output\": \"1\"}, {\"output\": "
                   "\"2\"}]}\n",
                   'a' + i);
    c.options.test_split_size = 0.25;
    case_text(&c, "seeds.jsonl", str_text(&text));
    assert_int_equal(dataset_size(c.data), 30);
    for (int64_t k = 0; k < 30; k += 2)
        assert_int_equal(dataset_get(c.data, k).ids[0], dataset_get(c.data, k + 1).ids[0]);
    str_free(&text);
    case_close(&c);
}

static void test_data_rows__templates_and_columns_of_the_user(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    const DatasetColumn columns[] = {{"completion", "answer"}};
    c.source.columns = columns;
    c.source.n_columns = 1;
    c.source.prompt_template = "{{{n}}} {question} ";
    case_text(&c, "train.jsonl", "{\"question\": \"why\", \"n\": 7, \"answer\": \"so\"}");
    check_sft(&c, 0, "{7} why so$", "........so$");
    case_close(&c);
}

static void test_data_rows__dolly_p3_flan_and_natural_instructions(void **state) {
    (void)state;
    DataCase c;
    sft_row("{\"inputs_pretokenized\": \"Is it? \", \"targets_pretokenized\": \"\\nYes\\n\"}",
            "Is it? Yes$", ".......Yes$");
    sft_row("{\"inputs\": \"a\", \"targets\": \"b\"}", "ab$", ".b$");
    case_open(&c, DATASET_SFT);
    case_text(
        &c, "t.json",
        "{\n \"Definition\": [\"Say the capital.\"],\n \"Instances\": [\n"
        "  {\"id\": 1, \"input\": \"Finland\", \"output\": [\"Helsinki\", \"HKI\"]}\n ]\n}\n");
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids("Definition: Say the capital.\n\nNow complete the following example -\nInput: "
               "Finland\nOutput: Helsinki$",
               x.ids, x.n_ids);
    assert_int_equal(x.line, 4);
    case_text(&c, "dolly.jsonl",
              "{\"instruction\": \"Go\", \"context\": \"there\", \"response\": \"ok\"}");
    x = dataset_get(c.data, 0);
    assert_ids("Go\n\nInput:\nthere\n\n### Response:\nok$", x.ids + x.n_ids - 35, 35);
    case_close(&c);
}

/* ---- preference ---- */

static void pair_row(const char *row, const char *chosen, const char *rejected) {
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    case_text(&c, "train.jsonl", row);
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids(chosen, x.chosen, x.n_chosen);
    assert_ids(rejected, x.rejected, x.n_rejected);
    case_close(&c);
}

static void test_data_rows__pairs_are_prompt_plus_answer(void **state) {
    (void)state;
    pair_row("{\"prompt\": \"Q \", \"chosen\": \"a\", \"rejected\": \"b<eos>\"}", "Q a$", "Q b$");
    pair_row("{\"chosen\": \"Q a\", \"rejected\": \"Q b\"}", "Q a$", "Q b$");
    pair_row("{\"chosen_ids\": [65, 66], \"rejected_ids\": [67]}", "AB", "C");
    pair_row("{\"chosen_input_ids\": [65], \"rejected_input_ids\": [67]}", "A", "C");
    pair_row("{\"question\": \"q\", \"response_j\": \"good\", \"response_k\": \"bad\"}",
             "Question: q\n\nAnswer: good$", "Question: q\n\nAnswer: bad$");
}

static void test_data_rows__votes_make_pairs(void **state) {
    (void)state;
    pair_row("{\"info\": {\"subreddit\": \"s\", \"title\": \"t\", \"post\": \"p\"}, \"summaries\": "
             "[{\"text\": \" a\"}, {\"text\": \" b\"}], \"choice\": 1}",
             "SUBREDDIT: r/s\n\nTITLE: t\n\nPOST: p\n\nTL;DR: b$",
             "SUBREDDIT: r/s\n\nTITLE: t\n\nPOST: p\n\nTL;DR: a$");
    pair_row("{\"history\": \"q \", \"human_ref_A\": \"a\", \"human_ref_B\": \"b\", \"labels\": 1}",
             "q a$", "q b$");
    pair_row("{\"history\": \"q \", \"human_ref_A\": \"a\", \"human_ref_B\": \"b\", \"labels\": 0}",
             "q b$", "q a$");
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    case_text(&c, "a.json",
              "[{\"instruction\": \"i\", \"input\": \"\", \"output_1\": \"x\", "
              "\"output_2\": \"y\", \"preference\": 2}]");
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids("### Response:y$", x.chosen + x.n_chosen - 15, 15);
    assert_ids("### Response:x$", x.rejected + x.n_rejected - 15, 15);
    case_close(&c);
}

static void test_data_rows__margin_is_read(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    case_text(&c, "train.jsonl",
              "{\"chosen\": \"a\", \"rejected\": \"b\", \"margin\": 0.5}\n"
              "{\"chosen\": \"a\", \"rejected\": \"c\"}\n");
    assert_true(dataset_has_margin(c.data));
    assert_true(dataset_get(c.data, 0).margin == 0.5);
    assert_true(dataset_get(c.data, 1).margin == 0);
    case_close(&c);
}

static void test_data_rows__over_long_and_identical_pairs_are_dropped(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    c.options.max_length = 4;
    case_text(&c, "train.jsonl",
              "{\"chosen\": \"abc\", \"rejected\": \"b\"}\n"
              "{\"chosen\": \"a\", \"rejected\": \"abcd\"}\n"
              "{\"chosen\": \"a\", \"rejected\": \"a\"}\n"
              "{\"chosen\": \"x\", \"rejected\": \"y\"}\n");
    assert_int_equal(dataset_size(c.data), 2);
    assert_ids("abc$", dataset_get(c.data, 0).chosen, dataset_get(c.data, 0).n_chosen);
    assert_ids("x$", dataset_get(c.data, 1).chosen, dataset_get(c.data, 1).n_chosen);
    assert_int_equal(dataset_counts(c.data)->over_long, 1);
    assert_int_equal(dataset_counts(c.data)->identical, 1);
    case_close(&c);
}

/* The transcripts share "No. I", but a turn is never cut in the middle. */
#define HH                                                                               \
    "{\"chosen\": \"" HUMAN " Hi" ASSISTANT " Hm." HUMAN " Ok?" ASSISTANT                \
    " No. I am.\", \"rejected\": \"" HUMAN " Hi" ASSISTANT " Hm." HUMAN " Ok?" ASSISTANT \
    " No. It is.\"}"
#define HH_PROMPT "\n\nHuman: Hi\n\nAssistant: Hm.\n\nHuman: Ok?\n\nAssistant:"

static void test_data_rows__hh_rlhf_prompt_ends_at_the_last_mark(void **state) {
    (void)state;
    DataCase c;
    pair_row(HH, HH_PROMPT " No. I am.$", HH_PROMPT " No. It is.$");
    case_open(&c, DATASET_PROMPT);
    case_text(&c, "train.jsonl", HH);
    assert_string_equal(dataset_get(c.data, 0).prompt, HH_PROMPT);
    c.options.kind = DATASET_SFT;
    case_load(&c);
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids(HH_PROMPT " No. I am.$", x.ids, x.n_ids);
    assert_labels("... No. I am.$", x.labels + x.n_ids - 14, 14);
    case_close(&c);
}

/* ---- prompts ---- */

static void prompt_row(const char *row, const char *prompt) {
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    case_text(&c, "train.jsonl", row);
    DatasetExample x = dataset_get(c.data, 0);
    assert_string_equal(x.prompt, prompt);
    assert_ids(prompt, x.ids, x.n_ids);
    assert_null(x.labels);
    case_close(&c);
}

static void test_data_rows__prompts_come_out_of_every_format(void **state) {
    (void)state;
    prompt_row("{\"prompt\": \"Hi \"}", "Hi ");
    prompt_row("{\"prompt\": \"Hi \", \"completion\": \"x\"}", "Hi ");
    prompt_row("{\"prompt\": \"Hi \", \"chosen\": \"x\", \"rejected\": \"y\"}", "Hi ");
    prompt_row("{\"text\": \"Hi \"}", "Hi ");
    prompt_row("{\"input_ids\": [72, 105]}", "Hi");
}

/* TRL's extract_prompt: the space before the difference belongs to the answers. */
static void test_data_rows__implicit_prompt_equals_trl(void **state) {
    (void)state;
    prompt_row("{\"chosen\": \"The sky is blue.\", \"rejected\": \"The sky is green.\"}",
               "The sky is");
    prompt_row("{\"chosen\": \"caf\\u00e9s\", \"rejected\": \"caf\\u00e8s\"}", "caf");
}

static void test_data_rows__prompt_rows_keep_their_columns(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    case_text(&c, "train.jsonl", "{\"prompt\": \"2+2=\", \"answer\": 4}");
    assert_string_equal(dataset_get(c.data, 0).row, "{\"prompt\": \"2+2=\", \"answer\": 4}");
    case_close(&c);
}

static void test_data_rows__over_long_prompts_are_dropped(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    c.options.max_length = 3;
    case_text(&c, "train.jsonl", "{\"prompt\": \"abcd\"}\n{\"prompt\": \"abc\"}\n");
    assert_int_equal(dataset_size(c.data), 1);
    assert_int_equal(dataset_counts(c.data)->over_long, 1);
    case_close(&c);
}

/* ---- packing, weights, digest ---- */

static void test_data_rows__packed_items_hold_sequences(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.packing = true;
    c.options.max_length = 4;
    case_text(&c, "train.txt", "ab\nabc\n");
    assert_int_equal(dataset_size(c.data), 2); /* abc$ and ab$ */
    check_sft(&c, 0, "abc$", "abc$");
    c.options.max_length = 8;
    case_load(&c);
    DatasetExample x = dataset_get(c.data, 0);
    assert_int_equal(dataset_size(c.data), 1);
    assert_int_equal(x.n_seqs, 2);
    assert_int_equal(x.seq_start[1] - x.seq_start[0], 4);
    check_sft(&c, 0, "abc$ab$", "abc$ab$");
    assert_int_equal(dataset_item_targets(c.data, 0), 5); /* the first of each is not asked */
    c.options.packing_strategy = PACK_WRAPPED;
    c.options.max_length = 5;
    case_load(&c);
    check_sft(&c, 0, "ab$ab", "ab$ab");
    check_sft(&c, 1, "c$", "c$");
    assert_int_equal(dataset_item_targets(c.data, 0), 4);
    case_text(
        &c, "train.jsonl",
        "{\"prompt\": \"Q\", \"completion\": \"a\"}\n{\"prompt\": \"P\", \"completion\": \"b\"}\n");
    check_sft(&c, 0, "Qa$Pb", ".a$.b"); /* masks cross the border with their tokens */
    case_close(&c);
}

static void test_data_rows__weights_repeat_and_leave_out(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.source.weight = 2.5;
    case_text(&c, "train.txt", "a\nb\nc\nd\n");
    assert_int_equal(dataset_size(c.data), 10);
    for (int64_t i = 0; i < 8; i++) assert_int_equal(dataset_get(c.data, i).ids[0], 'a' + i % 4);
    assert_true(dataset_get(c.data, 8).ids[0] < dataset_get(c.data, 9).ids[0]);
    assert_int_equal(dataset_get(c.data, 9).seq_id,
                     9); /* a repeated row is a sequence of its own */
    c.source.weight = 0.5;
    case_load(&c);
    assert_int_equal(dataset_size(c.data), 2);
    case_close(&c);
}

static void test_data_rows__digest_sees_data_not_names(void **state) {
    (void)state;
    DataCase c;
    char a[65], b[65], other[65];
    case_open(&c, DATASET_SFT);
    case_text(&c, "a.txt", "one\ntwo\n");
    dataset_digest(c.data, a);
    case_text(&c, "b.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    dataset_digest(c.data, b);
    case_text(&c, "c.jsonl", "{\"text\": \"two\"}\n{\"text\": \"one\"}\n");
    dataset_digest(c.data, other);
    assert_string_equal(a, b);
    assert_string_not_equal(a, other);
    case_text(&c, "d.jsonl", "{\"prompt\": \"1\", \"completion\": \"x\"}\n");
    dataset_digest(c.data, a);
    case_text(&c, "e.jsonl", "{\"prompt\": \"2\", \"completion\": \"x\"}\n");
    dataset_digest(c.data, b);
    assert_string_not_equal(a, b);
    case_close(&c);
}

/* More rows than a chunk, of uneven length: neither order nor bits depend on the threads. */
static void test_data_rows__threads_do_not_matter(void **state) {
    (void)state;
    DataCase c;
    char one[65], many[65];
    Str text = {0};
    case_open(&c, DATASET_SFT);
    c.options.on_bad_row = DATASET_BAD_SKIP;
    c.options.max_length = 60;
    for (int i = 0; i < 5000; i++) {
        if (i % 97 == 0)
            str_append(&text, "{\"prompt\": 0}\n");
        else
            str_printf(&text, "{\"prompt\": \"%d\", \"completion\": \"%*d\"}\n", i, i % 89, i);
    }
    threads_set(1);
    case_text(&c, "t.jsonl", str_text(&text));
    dataset_digest(c.data, one);
    assert_int_equal(dataset_counts(c.data)->bad, 52);
    threads_set(4);
    case_load(&c);
    dataset_digest(c.data, many);
    assert_string_equal(one, many);
    assert_int_equal(dataset_get(c.data, 96).line, 99);
    threads_set(0);
    str_free(&text);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_rows__text_gets_eos_unless_it_ends_with_it),
        cmocka_unit_test(test_data_rows__no_eos_when_switched_off),
        cmocka_unit_test(test_data_rows__another_eos_token),
        cmocka_unit_test(test_data_rows__completion_alone_has_labels),
        cmocka_unit_test(test_data_rows__completion_only_loss_false_labels_all),
        cmocka_unit_test(test_data_rows__completion_only_loss_wants_completions),
        cmocka_unit_test(test_data_rows__truncated_after_labels_then_dropped),
        cmocka_unit_test(test_data_rows__keep_end_cuts_the_front),
        cmocka_unit_test(test_data_rows__tokenized_labels_equal_trl),
        cmocka_unit_test(test_data_rows__alpaca_templates_byte_for_byte),
        cmocka_unit_test(test_data_rows__alpaca_with_system_and_history),
        cmocka_unit_test(test_data_rows__test_split_size_cuts_rows_apart),
        cmocka_unit_test(test_data_rows__templates_and_columns_of_the_user),
        cmocka_unit_test(test_data_rows__dolly_p3_flan_and_natural_instructions),
        cmocka_unit_test(test_data_rows__pairs_are_prompt_plus_answer),
        cmocka_unit_test(test_data_rows__votes_make_pairs),
        cmocka_unit_test(test_data_rows__margin_is_read),
        cmocka_unit_test(test_data_rows__over_long_and_identical_pairs_are_dropped),
        cmocka_unit_test(test_data_rows__hh_rlhf_prompt_ends_at_the_last_mark),
        cmocka_unit_test(test_data_rows__prompts_come_out_of_every_format),
        cmocka_unit_test(test_data_rows__implicit_prompt_equals_trl),
        cmocka_unit_test(test_data_rows__prompt_rows_keep_their_columns),
        cmocka_unit_test(test_data_rows__over_long_prompts_are_dropped),
        cmocka_unit_test(test_data_rows__packed_items_hold_sequences),
        cmocka_unit_test(test_data_rows__weights_repeat_and_leave_out),
        cmocka_unit_test(test_data_rows__threads_do_not_matter),
        cmocka_unit_test(test_data_rows__digest_sees_data_not_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
