/* Ids of 200 nasty strings for all vocabularies, as tokenizers, sentencepiece and tiktoken give
 * them (tests/oracle/tokenizers_golden.py), and the vectors that came with the vocabularies. */
#include "unit.h"

#include "core/file.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/tokenizers/"
#define TOKENIZERS HONE_SHARED_DIR "/tokenizers/"

static void need_shared(void) {
    if (file_is_folder(TOKENIZERS)) return;
    print_message("skipped: the vocabularies are not there (%s)\n", TOKENIZERS);
    skip();
}

static Tokenizer *open_shared(const char *path) {
    char *full = file_join(HONE_SHARED_DIR, path);
    Tokenizer *t = NULL;
    Status st = tokenizer_open(&t, full);
    if (st != OK) print_error("%s\n", status_message());
    assert_int_equal(st, OK);
    mem_free(full);
    return t;
}

static Json *read_json(const char *path) {
    Json *j = NULL;
    if (json_read_file(&j, path) != OK) fail_msg("%s", status_message());
    return j;
}

/* Compares with a JSON list of ids; prints the text where they differ. Returns 1 if so. */
static int differs(const Tokenizer *t, const char *text, size_t n, const Json *want,
                   unsigned flags) {
    TokenIds ids = {0};
    Status st = tokenizer_encode(t, &ids, text, n, flags);
    bool same = st == OK && (int64_t)ids.n == json_len(want);
    for (size_t i = 0; same && i < ids.n; i++)
        same = ids.id[i] == json_int(json_at(want, (int64_t)i));
    if (!same) {
        Str shown = {0};
        json_dump_str(&shown, text, n);
        print_error("flags %u, text %.200s:", flags, str_text(&shown));
        for (size_t i = 0; i < ids.n && i < 30; i++) print_error(" %d", ids.id[i]);
        print_error(st == OK ? "\n" : " %s\n", status_message());
        str_free(&shown);
    }
    token_ids_free(&ids);
    return same ? 0 : 1;
}

static void check_golden(const char *name) {
    need_shared();
    char *path = str_format(DATA "%s.ids.json", name);
    Json *texts = read_json(DATA "texts.json"), *golden = read_json(path);
    Tokenizer *t = open_shared(json_str(json_get(golden, "path"), NULL));
    const Json *list = json_get(texts, "texts"), *plain = json_get(golden, "plain");
    const Json *full = json_get(golden, "full");
    bool has_full = json_bool(json_get(golden, "has_full"));
    int wrong = 0;
    assert_true(json_len(list) == 200 && json_len(plain) == 200);
    for (int64_t i = 0; i < json_len(list); i++) {
        size_t n = 0;
        const char *text = json_str(json_at(list, i), &n);
        const Json *want = json_at(full, i);
        if (json_is(want, JSON_KIND_NULL)) want = json_at(plain, i);
        wrong += differs(t, text, n, json_at(plain, i), 0);
        if (has_full) {
            wrong += differs(t, text, n, want, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL);
        }
    }
    assert_int_equal(wrong, 0);
    tokenizer_close(t);
    json_free(texts);
    json_free(golden);
    mem_free(path);
}

#define GOLDEN(function, name)           \
    static void function(void **state) { \
        (void)state;                     \
        check_golden(name);              \
    }
GOLDEN(test_tokenizer__gives_the_ids_of_gpt2, "gpt2")
GOLDEN(test_tokenizer__gives_the_ids_of_phi2, "phi-2")
GOLDEN(test_tokenizer__gives_the_ids_of_roberta, "roberta")
GOLDEN(test_tokenizer__gives_the_ids_of_llama2_json, "llama2-json")
GOLDEN(test_tokenizer__gives_the_ids_of_llama2_model, "llama2-model")
GOLDEN(test_tokenizer__gives_the_ids_of_mistral_model, "mistral-v3")
GOLDEN(test_tokenizer__gives_the_ids_of_llama3, "llama3")
GOLDEN(test_tokenizer__gives_the_ids_of_qwen, "qwen")
GOLDEN(test_tokenizer__gives_the_ids_of_cl100k, "cl100k")
GOLDEN(test_tokenizer__gives_the_ids_of_torchtune, "torchtune")
GOLDEN(test_tokenizer__gives_the_ids_of_bloom, "bloom-tiny")
GOLDEN(test_tokenizer__gives_the_ids_of_bert, "bert-tiny")
GOLDEN(test_tokenizer__gives_the_ids_of_t5_tiny, "t5-tiny")
GOLDEN(test_tokenizer__gives_the_ids_of_t5, "t5")
GOLDEN(test_tokenizer__gives_the_ids_of_t5_model, "t5-model")
GOLDEN(test_tokenizer__gives_the_ids_of_english_unigram, "sp-english")
GOLDEN(test_tokenizer__gives_the_ids_of_japanese_unigram, "sp-japanese")
GOLDEN(test_tokenizer__gives_the_ids_of_torchtune_unigram, "torchtune-model")
GOLDEN(test_tokenizer__gives_the_ids_of_torchtune_bpe, "torchtune-bpe")
GOLDEN(test_tokenizer__gives_the_ids_of_torchtune_ranks, "torchtune-tiktoken")
GOLDEN(test_tokenizer__gives_the_ids_of_roberta_files, "roberta-files")
GOLDEN(test_tokenizer__gives_the_ids_of_mistral_v1, "mistral-v1")
GOLDEN(test_tokenizer__gives_the_ids_of_mistral_v2, "mistral-v2")

/* ---- vectors of the vocabularies' own makers ---- */

/* <name>.inp: texts with a separator line between; <name>.out: a line of ids for each; neither
 * special tokens nor BOS. */
static int check_inp_out(const char *model, const char *vectors) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char *inp = str_format(TOKENIZERS "%s.inp", vectors),
         *out = str_format(TOKENIZERS "%s.out", vectors);
    Str texts = {0}, lines = {0};
    assert_int_equal(file_read(&texts, inp, 1 << 20), OK);
    assert_int_equal(file_read(&lines, out, 1 << 20), OK);
    char *path = str_format("tokenizers/%s", model);
    Tokenizer *t = open_shared(path);
    int count = 0, wrong = 0;
    const char *at = texts.data, *line = lines.data;
    while (line != NULL && *line != '\0') {
        const char *end = strstr(at, mark);
        size_t n = end == NULL ? strlen(at) : (size_t)(end - at);
        const char *stop = strchr(line, '\n');
        Str list = {0};
        str_append_char(&list, '[');
        for (const char *c = line; *c != '\0' && *c != '\n'; c++) {
            bool between = *c == ' ' && c > line && c[1] >= '0' && c[1] <= '9' && list.len > 1;
            str_append_char(&list, between ? ',' : *c);
        }
        str_append_char(&list, ']');
        Json *want = NULL;
        if (json_parse(&want, list.data, list.len, "vector", 1) != OK)
            fail_msg("%s", status_message());
        wrong += differs(t, at, n, want, 0);
        json_free(want);
        str_free(&list);
        count++;
        if (end == NULL) break;
        at = end + sizeof mark - 1;
        line = stop == NULL ? NULL : stop + 1;
    }
    assert_true(count >= 40);
    tokenizer_close(t);
    str_free(&texts);
    str_free(&lines);
    mem_free(inp);
    mem_free(out);
    mem_free(path);
    return wrong;
}

static void test_tokenizer__agrees_with_llama_cpp_vectors(void **state) {
    (void)state;
    need_shared();
    int wrong = check_inp_out("gpt2", "gpt2/ggml-vocab-gpt-2.gguf");
    wrong += check_inp_out("llama2-spm/tokenizer.model", "llama2-spm/ggml-vocab-llama-spm.gguf");
    wrong += check_inp_out("llama2-spm/tokenizer.json", "llama2-spm/ggml-vocab-llama-spm.gguf");
    wrong += check_inp_out("llama3-tiktoken/tokenizer.model",
                           "llama3-tiktoken/ggml-vocab-llama-bpe.gguf");
    wrong += check_inp_out("qwen/qwen.tiktoken", "qwen/ggml-vocab-qwen2.gguf");
    assert_int_equal(wrong, 0);
}

/* ---- ids in any order ---- */

static int check_decoding(const Json *one) {
    Tokenizer *t = open_shared(json_str(json_get(one, "path"), NULL));
    const Json *rows = json_get(one, "rows");
    int wrong = 0;
    assert_int_equal(json_len(rows), 60);
    for (int64_t i = 0; i < json_len(rows); i++) {
        const Json *list = json_at(json_at(rows, i), 0);
        const char *want = json_str(json_at(json_at(rows, i), 1), NULL);
        TokenIds ids = {0};
        Str text = {0};
        for (int64_t k = 0; k < json_len(list); k++)
            token_ids_push(&ids, (int32_t)json_int(json_at(list, k)), false);
        assert_int_equal(tokenizer_decode(t, &text, ids.id, ids.n, 0), OK);
        if (!str_equal(str_text(&text), want)) {
            print_error("%s, row %d: \"%s\", should be \"%s\"\n",
                        json_str(json_get(one, "path"), NULL), (int)i, str_text(&text), want);
            wrong++;
        }
        token_ids_free(&ids);
        str_free(&text);
    }
    tokenizer_close(t);
    return wrong;
}

static void test_tokenizer__decodes_as_sentencepiece(void **state) {
    (void)state;
    need_shared();
    Json *golden = read_json(DATA "sentencepiece-decode.json");
    const Json *cases = json_get(golden, "cases");
    int wrong = 0;
    assert_int_equal(json_len(cases), 8);
    for (int64_t i = 0; i < json_len(cases); i++) wrong += check_decoding(json_at(cases, i));
    assert_int_equal(wrong, 0);
    json_free(golden);
}

/* ---- round trips ---- */

static void check_round_trip(const char *path, const Json *texts) {
    Tokenizer *t = open_shared(path);
    for (int64_t i = 0; i < json_len(texts); i++) {
        size_t n = 0;
        const char *text = json_str(json_at(texts, i), &n);
        TokenIds ids = {0};
        Str back = {0}, streamed = {0};
        TokenStream s = {0};
        assert_int_equal(tokenizer_encode(t, &ids, text, n, 0), OK);
        assert_int_equal(tokenizer_decode(t, &back, ids.id, ids.n, 0), OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(str_text(&back), text, n);
        token_stream_init(&s, t, 0);
        for (size_t k = 0; k < ids.n; k++) {
            assert_int_equal(token_stream_push(&s, &streamed, ids.id[k]), OK);
            assert_true(str_utf8_valid(str_text(&streamed), streamed.len, NULL));
        }
        token_stream_finish(&s, &streamed);
        assert_int_equal(streamed.len, n);
        assert_memory_equal(str_text(&streamed), text, n);
        token_ids_free(&ids);
        str_free(&back);
        str_free(&streamed);
    }
    tokenizer_close(t);
}

static void test_tokenizer__decodes_what_it_encoded(void **state) {
    (void)state;
    need_shared();
    Json *texts = read_json(DATA "texts.json");
    check_round_trip("tokenizers/gpt2", json_get(texts, "texts"));
    check_round_trip("tokenizers/roberta-opt/tokenizer.json", json_get(texts, "texts"));
    check_round_trip("tokenizers/llama3-tiktoken/tokenizer.model", json_get(texts, "texts"));
    json_free(texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_gpt2),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_phi2),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_roberta),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_llama2_json),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_llama2_model),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_mistral_model),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_llama3),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_qwen),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_cl100k),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_torchtune),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_bloom),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_bert),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_t5_tiny),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_t5),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_t5_model),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_english_unigram),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_japanese_unigram),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_torchtune_unigram),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_torchtune_bpe),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_torchtune_ranks),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_roberta_files),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_mistral_v1),
        cmocka_unit_test(test_tokenizer__gives_the_ids_of_mistral_v2),
        cmocka_unit_test(test_tokenizer__agrees_with_llama_cpp_vectors),
        cmocka_unit_test(test_tokenizer__decodes_as_sentencepiece),
        cmocka_unit_test(test_tokenizer__decodes_what_it_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
