/* Tokenizers inside GGUF files that llama.cpp's scripts wrote, against the ids of the libraries
 * that the vocabularies come from (tests/oracle/make_gguf_tokenizers.py). What is exported from a
 * file gives the same ids again. */
#include "unit.h"

#include "core/file.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"
#include "scratch.h"

#define DATA HONE_SOURCE_DIR "/tests/golden/data/gguf_tokenizers/"
#define ALL (TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL)

static int differs(const Tokenizer *t, const Json *text, const Json *want, unsigned flags) {
    TokenIds ids = {0};
    size_t n;
    const char *bytes = json_str(text, &n);
    if (tokenizer_encode(t, &ids, bytes, n, flags) != OK) fail_msg("%s", status_message());
    bool same = (int64_t)ids.n == json_len(want);
    for (size_t i = 0; same && i < ids.n; i++)
        same = ids.id[i] == json_int(json_at(want, (int64_t)i));
    Str shown = {0};
    for (size_t i = 0; !same && i < ids.n; i++) str_printf(&shown, " %d", ids.id[i]);
    if (!same) print_error("flags %u, `%s`:%s\n", flags, bytes, str_text(&shown));
    str_free(&shown);
    token_ids_free(&ids);
    return !same;
}

static void check_rows(const Tokenizer *t, const Json *rows) {
    int wrong = 0;
    assert_true(json_len(rows) > 200);
    for (int64_t i = 0; i < json_len(rows); i++) {
        const Json *row = json_at(rows, i), *plain = json_at(row, 1), *full = json_at(row, 2);
        wrong += differs(t, json_at(row, 0), plain, 0);
        wrong += differs(t, json_at(row, 0), json_is(full, JSON_KIND_NULL) ? plain : full, ALL);
    }
    assert_int_equal(wrong, 0);
}

static void check(const char *name) {
    char *folder = scratch_new();
    char *file = str_format(DATA "%s.gguf", name), *golden = str_format(DATA "%s.json", name);
    Tokenizer *t = NULL, *again = NULL;
    Json *json = NULL;
    if (json_read_file(&json, golden) != OK || tokenizer_open(&t, file) != OK)
        fail_msg("%s", status_message());
    check_rows(t, json_get(json, "rows"));
    assert_int_equal(tokenizer_export(t, folder), OK);
    if (tokenizer_open(&again, folder) != OK) fail_msg("%s", status_message());
    check_rows(again, json_get(json, "rows"));
    tokenizer_close(t);
    tokenizer_close(again);
    json_free(json);
    mem_free(file);
    mem_free(golden);
    scratch_free(folder);
}

#define GOLDEN(function, name)           \
    static void function(void **state) { \
        (void)state;                     \
        check(name);                     \
    }
GOLDEN(test_gguf_tokenizer__splits_as_gpt_2, "gpt-2")
GOLDEN(test_gguf_tokenizer__splits_as_phi_2, "phi-2")
GOLDEN(test_gguf_tokenizer__splits_as_mpt, "mpt")
GOLDEN(test_gguf_tokenizer__splits_as_olmo, "olmo")
GOLDEN(test_gguf_tokenizer__splits_as_llama_bpe, "llama-bpe")
GOLDEN(test_gguf_tokenizer__splits_as_stablelm2, "stablelm2")
GOLDEN(test_gguf_tokenizer__splits_as_qwen2, "qwen2")
GOLDEN(test_gguf_tokenizer__splits_as_starcoder, "starcoder")
GOLDEN(test_gguf_tokenizer__splits_as_falcon, "falcon")
GOLDEN(test_gguf_tokenizer__splits_as_bloom, "bloom")
GOLDEN(test_gguf_tokenizer__merges_as_gemma, "gemma")
GOLDEN(test_gguf_tokenizer__weighs_as_t5, "t5")
GOLDEN(test_gguf_tokenizer__cuts_words_as_bert, "bert")
GOLDEN(test_gguf_tokenizer__keeps_capitals, "bert-cased")

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_tokenizer__splits_as_gpt_2),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_phi_2),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_mpt),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_olmo),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_llama_bpe),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_stablelm2),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_qwen2),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_starcoder),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_falcon),
        cmocka_unit_test(test_gguf_tokenizer__splits_as_bloom),
        cmocka_unit_test(test_gguf_tokenizer__merges_as_gemma),
        cmocka_unit_test(test_gguf_tokenizer__weighs_as_t5),
        cmocka_unit_test(test_gguf_tokenizer__cuts_words_as_bert),
        cmocka_unit_test(test_gguf_tokenizer__keeps_capitals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
