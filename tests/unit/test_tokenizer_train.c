/* train-tokenizer learns what Hugging Face's BpeTrainer learns (tests/oracle/tokenizers_golden.py).
 */
#include "unit.h"

#include "core/io/json.h"
#include "data/tokenizer/tokenizer.h"
#include "scratch.h"

#define DATA HONE_SOURCE_DIR "/tests/golden/data/tokenizers/"

static Json *read_json(const char *path) {
    Json *j = NULL;
    if (json_read_file(&j, path) != OK) fail_msg("%s", status_message());
    return j;
}

/* All golden texts, with newlines between. */
static Str joined_texts(void) {
    Json *texts = read_json(DATA "texts.json");
    Str all = {0};
    for (int64_t i = 0; i < json_len(json_get(texts, "texts")); i++) {
        size_t n = 0;
        const char *text = json_str(json_at(json_get(texts, "texts"), i), &n);
        if (i > 0) str_append_char(&all, '\n');
        str_append_n(&all, text, n);
    }
    json_free(texts);
    return all;
}

static void check_case(const Json *want, const Str *text) {
    static const char *const special[] = {"<s>", "</s>"};
    char *folder = scratch_new();
    TokenizerTraining how = {.vocab_size = (int32_t)json_int(json_get(want, "vocab_size")),
                             .min_frequency = json_int(json_get(want, "min_frequency")),
                             .special = special,
                             .n_special = 2};
    TokenizerInput input = {text->data, text->len};
    assert_int_equal(tokenizer_train_bpe(folder, &how, &input, 1), OK);
    char *path = file_join(folder, "tokenizer.json");
    Json *got = read_json(path);
    const Json *merges = json_get(json_get(got, "model"), "merges");
    const Json *wanted = json_get(want, "merges"), *tokens = json_get(want, "tokens");
    assert_int_equal(json_len(merges), json_len(wanted));
    for (int64_t i = 0; i < json_len(merges); i++) {
        char *line = str_format("%s %s", json_str(json_at(json_at(merges, i), 0), NULL),
                                json_str(json_at(json_at(merges, i), 1), NULL));
        assert_string_equal(line, json_str(json_at(wanted, i), NULL));
        mem_free(line);
    }
    Tokenizer *t = NULL;
    assert_int_equal(tokenizer_open(&t, folder), OK);
    assert_int_equal(tokenizer_vocab_size(t), json_len(tokens));
    for (int64_t i = 0; i < json_len(tokens); i++) {
        assert_string_equal(tokenizer_token(t, (int32_t)i), json_str(json_at(tokens, i), NULL));
    }
    tokenizer_close(t);
    json_free(got);
    mem_free(path);
    scratch_free(folder);
}

static void test_train__learns_what_the_reference_learns(void **state) {
    (void)state;
    Json *golden = read_json(DATA "training.json");
    Str text = joined_texts();
    assert_int_equal(json_len(json_get(golden, "cases")), 3);
    for (int64_t i = 0; i < 3; i++) check_case(json_at(json_get(golden, "cases"), i), &text);
    str_free(&text);
    json_free(golden);
}

static void test_train__names_its_special_tokens(void **state) {
    (void)state;
    static const char *const special[] = {"<bos>", "<eos>", "<pad>"};
    char *folder = scratch_new();
    TokenizerTraining how = {.vocab_size = 300,
                             .special = special,
                             .n_special = 3,
                             .bos = "<bos>",
                             .eos = "<eos>",
                             .pad = "<pad>",
                             .add_bos = true,
                             .chat_template = "{{ messages[0].content }}"};
    TokenizerInput texts[2] = {{"the cat and the hat", 19}, {"the bat", 7}};
    assert_int_equal(tokenizer_train_bpe(folder, &how, texts, 2), OK);
    Tokenizer *t = NULL;
    assert_int_equal(tokenizer_open(&t, folder), OK);
    assert_int_equal(tokenizer_bos(t), 0);
    assert_int_equal(tokenizer_eos(t), 1);
    assert_int_equal(tokenizer_pad(t), 2);
    assert_string_equal(tokenizer_chat_template(t), how.chat_template);
    TokenIds ids = {0};
    assert_int_equal(tokenizer_encode(t, &ids, "the", 3, TOKENIZER_ADD_SPECIAL), OK);
    assert_int_equal(ids.id[0], 0);
    assert_string_equal(tokenizer_token(t, ids.id[1]), "the");
    token_ids_free(&ids);
    tokenizer_close(t);
    scratch_free(folder);
}

static void test_train__refuses_what_cannot_be(void **state) {
    (void)state;
    static const char *const twice[] = {"<s>", "<s>"};
    char *folder = scratch_new();
    TokenizerInput good = {"abc", 3}, bad = {"a\xFF", 2};
    TokenizerTraining small = {.vocab_size = 255},
                      doubled = {.vocab_size = 300, .special = twice, .n_special = 2};
    TokenizerTraining plain = {.vocab_size = 300};
    assert_int_equal(tokenizer_train_bpe(folder, &small, &good, 1), ERR_USAGE);
    assert_int_equal(tokenizer_train_bpe(folder, &doubled, &good, 1), ERR_USAGE);
    assert_int_equal(tokenizer_train_bpe(folder, &plain, &bad, 1), ERR_DATA);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train__learns_what_the_reference_learns),
        cmocka_unit_test(test_train__names_its_special_tokens),
        cmocka_unit_test(test_train__refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
