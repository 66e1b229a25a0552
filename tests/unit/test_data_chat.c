/* Conversations: rendered by a template, masked by turns, whatever the row's layout. The template
 * ends a turn with EOS, written $ here. */
#include "data_case.h"

#include "data/template.h"

#define TURNS                                                                    \
    "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}<eos>{% endfor %}" \
    "{% if add_generation_prompt %}assistant:{% endif %}"
#define MARKED                                                                                 \
    "{% for m in messages %}{{ m['role'] }}:{% if m['role'] == 'assistant' %}{% generation %}" \
    "{{ m['content'] }}<eos>{% endgeneration %}{% else %}{{ m['content'] }}<eos>{% endif %}"   \
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"

#define USER(x) "{\"role\": \"user\", \"content\": \"" x "\"}"
#define BOT(x) "{\"role\": \"assistant\", \"content\": \"" x "\"}"

static ChatTemplate *template_of(DataCase *c, const char *source) {
    ChatTemplate *t;
    assert_int_equal(template_open(&t, c->tok, source), OK);
    c->options.chat_template = t;
    return t;
}

static void sft_row(const char *source, bool assistant_only, const char *row, const char *ids,
                    const char *labels) {
    DataCase c;
    case_open(&c, DATASET_SFT);
    ChatTemplate *t = template_of(&c, source);
    c.options.assistant_only_loss = assistant_only;
    case_text(&c, "a.jsonl", row);
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids(ids, x.ids, x.n_ids);
    assert_labels(labels, x.labels, x.n_ids);
    template_close(t);
    case_close(&c);
}

static void test_data_chat__messages_are_learnt_whole(void **state) {
    (void)state;
    sft_row(TURNS, false, "{\"messages\": [" USER("hi") ", " BOT("yo") "]}",
            "user:hi$assistant:yo$", "user:hi$assistant:yo$");
}

static void test_data_chat__from_and_value_become_role_and_content(void **state) {
    (void)state;
    sft_row(TURNS, false,
            "{\"conversations\": [{\"from\": \"human\", \"value\": \"hi\"}, "
            "{\"from\": \"gpt\", \"value\": \"yo\"}, {\"from\": \"tool\", \"value\": \"1\"}]}",
            "user:hi$assistant:yo$tool:1$", "user:hi$assistant:yo$tool:1$");
}

static void test_data_chat__completion_starts_behind_the_generation_prompt(void **state) {
    (void)state;
    sft_row(TURNS, false, "{\"prompt\": [" USER("q") "], \"completion\": [" BOT("yo") "]}",
            "user:q$assistant:yo$", ".................yo$");
}

static void test_data_chat__assistant_only_loss_masks_by_turns(void **state) {
    (void)state;
#define FOUR "{\"messages\": [" USER("a") ", " BOT("b") ", " USER("c") ", " BOT("d") "]}"
    static const char ids[] = "user:a$assistant:b$user:c$assistant:d$";
    static const char labels[] = ".................b$.................d$";
    sft_row(MARKED, true, FOUR, ids, labels);
    sft_row(TURNS, true, FOUR, ids, labels); /* the same without marks in the template */
}

static void test_data_chat__assistant_only_loss_wants_an_assistant(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    ChatTemplate *t = template_of(&c, MARKED);
    c.options.assistant_only_loss = true;
    case_file(&c, "a.jsonl", "{\"messages\": [" USER("a") "]}");
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "a.jsonl:1:1: `assistant_only_loss` finds no token"));
    template_close(t);
    case_close(&c);
}

static void test_data_chat__users_cannot_write_special_tokens(void **state) {
    (void)state;
    DataCase c;
    sft_row(TURNS, false, "{\"messages\": [" USER("<eos>") "]}", "user:<eos>$", "user:<eos>$");
    case_open(&c, DATASET_SFT);
    ChatTemplate *t = template_of(&c, TURNS);
    c.options.parse_special = true;
    case_text(&c, "a.jsonl", "{\"messages\": [" USER("<eos>") "]}");
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids("user:$$", x.ids, x.n_ids);
    template_close(t);
    case_close(&c);
}

static void test_data_chat__template_errors_name_the_row(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    ChatTemplate *t = template_of(&c, "{{ raise_exception('no system turn here') }}");
    case_file(&c, "a.jsonl", "{\"messages\": [" USER("a") "]}");
    assert_int_equal(case_try(&c), ERR_DATA);
    assert_non_null(strstr(status_message(), "a.jsonl:1:1: "));
    assert_non_null(strstr(status_message(), "no system turn here"));
    template_close(t);
    case_close(&c);
}

/* ---- pairs ---- */

static void pair_row(const char *row) {
    DataCase c;
    case_open(&c, DATASET_PREFERENCE);
    ChatTemplate *t = template_of(&c, TURNS);
    case_text(&c, "a.jsonl", row);
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids("user:q$assistant:yes$", x.chosen, x.n_chosen);
    assert_ids("user:q$assistant:no$", x.rejected, x.n_rejected);
    template_close(t);
    case_close(&c);
}

/* Explicit, implicit, UltraFeedback's prompt said twice, a prompt as text, single messages. */
static void test_data_chat__all_layouts_of_pairs_agree(void **state) {
    (void)state;
    pair_row("{\"prompt\": [" USER("q") "], \"chosen\": [" BOT("yes") "], \"rejected\": [" BOT(
        "no") "]}");
    pair_row("{\"chosen\": [" USER("q") ", " BOT("yes") "], \"rejected\": [" USER("q") ", " BOT(
        "no") "]}");
    pair_row("{\"prompt\": \"q\", \"chosen\": [" USER("q") ", " BOT(
        "yes") "], \"rejected\": [" USER("q") ", " BOT("no") "]}");
    pair_row("{\"prompt\": \"q\", \"chosen\": [" BOT("yes") "], \"rejected\": [" BOT("no") "]}");
    pair_row("{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}], "
             "\"chosen\": {\"from\": \"gpt\", \"value\": \"yes\"}, "
             "\"rejected\": {\"from\": \"gpt\", \"value\": \"no\"}}");
}

/* ---- prompts ---- */

static void prompt_row(const char *row, const char *want) {
    DataCase c;
    case_open(&c, DATASET_PROMPT);
    ChatTemplate *t = template_of(&c, TURNS);
    case_text(&c, "a.jsonl", row);
    DatasetExample x = dataset_get(c.data, 0);
    assert_ids(want, x.ids, x.n_ids);
    template_close(t);
    case_close(&c);
}

static void test_data_chat__prompts_open_the_assistants_turn(void **state) {
    (void)state;
    prompt_row("{\"prompt\": [" USER("q") "]}", "user:q$assistant:");
    prompt_row("{\"messages\": [" USER("q") ", " BOT("a") "]}", "user:q$assistant:");
    prompt_row(
        "{\"chosen\": [" USER("q") ", " BOT("a") "], \"rejected\": [" USER("q") ", " BOT("b") "]}",
        "user:q$assistant:");
    prompt_row("{\"prompt\": [" USER("q") ", " BOT("So ") "]}", "user:q$assistant:So ");
}

/* ---- real conversations ---- */

static void test_data_chat__real_files(void **state) {
    (void)state;
    static const struct {
        const char *path;
        DatasetKind kind;
        int64_t rows;
    } files[] = {
        {"sharegpt/dummy_conversation.json", DATASET_SFT, 500},
        {"sharegpt/glaive_toolcall_en_demo.json", DATASET_SFT, 300},
        {"preference_mix/dpo_en_demo.part_a.json", DATASET_PREFERENCE, 239},
        {"preference_mix/dpo_zh_demo.part_a.json", DATASET_PREFERENCE, 240},
        {"preference_mix/kto_en_demo.part_a.json", DATASET_SFT, 240},
        {"formats/arith_chat_800.expected.jsonl", DATASET_PROMPT, 800},
    };
    if (!file_is_folder(HONE_SHARED_DIR "/data")) {
        print_message("skipped: no data in %s\n", HONE_SHARED_DIR "/data");
        skip();
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        DataCase c;
        case_open(&c, files[i].kind);
        ChatTemplate *t = template_of(&c, TURNS);
        c.options.max_length = 0;
        snprintf(c.path, sizeof c.path, HONE_SHARED_DIR "/data/%s", files[i].path);
        case_load(&c);
        assert_int_equal(dataset_counts(c.data)->rows, files[i].rows);
        assert_int_equal(dataset_counts(c.data)->bad, 0);
        template_close(t);
        case_close(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_chat__messages_are_learnt_whole),
        cmocka_unit_test(test_data_chat__from_and_value_become_role_and_content),
        cmocka_unit_test(test_data_chat__completion_starts_behind_the_generation_prompt),
        cmocka_unit_test(test_data_chat__assistant_only_loss_masks_by_turns),
        cmocka_unit_test(test_data_chat__assistant_only_loss_wants_an_assistant),
        cmocka_unit_test(test_data_chat__users_cannot_write_special_tokens),
        cmocka_unit_test(test_data_chat__template_errors_name_the_row),
        cmocka_unit_test(test_data_chat__all_layouts_of_pairs_agree),
        cmocka_unit_test(test_data_chat__prompts_open_the_assistants_turn),
        cmocka_unit_test(test_data_chat__real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
