/* Tokenizers inside GGUF files: small ones by hand, real vocabularies with llama.cpp's own vectors,
 * and what must be refused. What is exported from one is the same tokenizer in a folder. */
#include "core/io/gguf_save.h"
#include "data/tokenizer/tokenizer.h"
#include "scratch.h"
#include "unit.h"

#define SPACE "\xE2\x96\x81"

typedef struct Vocab {
    const char *model, *pre;
    const char *const *tokens;
    const float *scores;
    const int32_t *types;
    const char *const *merges;
    int64_t n, n_scores, n_types, n_merges;
    int64_t bos, eos;
} Vocab;

static const char *const sp_tokens[] = {"<unk>", "<s>",   "</s>",    "<0x0A>", "a",
                                        "b",     SPACE,   SPACE "a", "ab",     SPACE "ab",
                                        "<|u|>", "<|c|>", "[PAD12]", "[PAD13]"};
static const float sp_scores[] = {0, 0, 0, 0, -5, -6, -7, -1, -2, -3, 0, 0, -1000, -1000};
static const int32_t sp_types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4, 3, 5, 5};
static const Vocab sp = {.model = "llama",
                         .tokens = sp_tokens,
                         .scores = sp_scores,
                         .types = sp_types,
                         .n = 14,
                         .n_scores = 14,
                         .n_types = 14,
                         .bos = 1,
                         .eos = 2};

static const char *const bpe_tokens[] = {"a",
                                         "b",
                                         "\xC4\xA0",
                                         "ab",
                                         ("\xC4\xA0"
                                          "ab"),
                                         "1",
                                         "11",
                                         "<|end|>",
                                         "<|x|>"};
static const int32_t bpe_types[] = {1, 1, 1, 1, 1, 1, 1, 3, 4};
static const char *const bpe_merges[] = {"a b", "\xC4\xA0 ab", "1 1"};
static const Vocab bpe = {.model = "gpt2",
                          .pre = "gpt-2",
                          .tokens = bpe_tokens,
                          .types = bpe_types,
                          .merges = bpe_merges,
                          .n = 9,
                          .n_types = 9,
                          .n_merges = 3,
                          .bos = 7,
                          .eos = 7};

static char *save(const char *folder, const Vocab *v) {
    char *path = file_join(folder, "x.gguf");
    GgufMeta m = {0};
    if (v->model) gguf_meta_str(&m, "tokenizer.ggml.model", v->model);
    if (v->pre) gguf_meta_str(&m, "tokenizer.ggml.pre", v->pre);
    gguf_meta_strings(&m, "tokenizer.ggml.tokens", v->tokens, v->n);
    if (v->scores) gguf_meta_f32s(&m, "tokenizer.ggml.scores", v->scores, v->n_scores);
    if (v->types) gguf_meta_i32s(&m, "tokenizer.ggml.token_type", v->types, v->n_types);
    if (v->merges) gguf_meta_strings(&m, "tokenizer.ggml.merges", v->merges, v->n_merges);
    if (v->bos >= 0) gguf_meta_u32(&m, "tokenizer.ggml.bos_token_id", v->bos);
    if (v->eos >= 0) gguf_meta_u32(&m, "tokenizer.ggml.eos_token_id", v->eos);
    gguf_meta_str(&m, "tokenizer.chat_template", "{{ bos_token }}x");
    if (gguf_save(path, &(GgufSpec){.meta = &m}) != OK) fail_msg("%s", status_message());
    gguf_meta_free(&m);
    return path;
}

static void expect_ids(const Tokenizer *t, const char *text, unsigned flags, const int32_t *want,
                       size_t n) {
    TokenIds ids = {0};
    if (tokenizer_encode(t, &ids, text, strlen(text), flags) != OK)
        fail_msg("%s", status_message());
    Str got = {0};
    for (size_t i = 0; i < ids.n; i++) str_printf(&got, " %d", ids.id[i]);
    if (ids.n != n || memcmp(ids.id, want, n * sizeof *want) != 0)
        fail_msg("`%s` is%s", text, str_text(&got));
    str_free(&got);
    token_ids_free(&ids);
}
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4

typedef void (*Check)(const Tokenizer *t);

/* The tokenizer of the file, and the one of the folder that it is exported to. */
static void check_both(const Vocab *v, Check check) {
    char *folder = scratch_new(), *path = save(folder, v), *out = file_join(folder, "out");
    Tokenizer *t = NULL, *again = NULL;
    if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
    check(t);
    assert_int_equal(file_make_folders(out), OK);
    assert_int_equal(tokenizer_export(t, out), OK);
    if (tokenizer_open(&again, out) != OK) fail_msg("%s", status_message());
    check(again);
    assert_string_equal(tokenizer_digest(t), tokenizer_digest(again));
    tokenizer_close(t);
    tokenizer_close(again);
    mem_free(out);
    mem_free(path);
    scratch_free(folder);
}

static void check_sp(const Tokenizer *t) {
    assert_int_equal(tokenizer_vocab_size(t), 12); /* without what fills the table */
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_int_equal(tokenizer_unk(t), 0);
    assert_string_equal(tokenizer_chat_template(t), "{{ bos_token }}x");
    expect_ids(t, "ab", TOKENIZER_ADD_SPECIAL, IDS(1, 9));
    expect_ids(t, "aab", 0, IDS(7, 8)); /* the better score first */
    expect_ids(t, "bab", 0, IDS(6, 5, 8));
    expect_ids(t, "b<|u|>b", 0, IDS(6, 5, 10, 5));
    expect_ids(t, "<|c|>", TOKENIZER_PARSE_SPECIAL, IDS(11));
    assert_true(tokenizer_is_special(t, 11));
    assert_false(tokenizer_is_special(t, 10));
}

static void check_bpe(const Tokenizer *t) {
    assert_int_equal(tokenizer_vocab_size(t), 9);
    assert_int_equal(tokenizer_eos(t), 7);
    assert_string_equal(tokenizer_chat_template(t), "{{ bos_token }}x");
    expect_ids(t, "ab ab11", TOKENIZER_ADD_SPECIAL, IDS(3, 4, 6));
    expect_ids(t, "a<|x|><|end|>", TOKENIZER_PARSE_SPECIAL, IDS(0, 8, 7));
    assert_true(tokenizer_is_special(t, 7));
    assert_false(tokenizer_is_special(t, 8));
}

static void check_digits(const Tokenizer *t) {
    expect_ids(t, "11", 0, IDS(5, 5));
}

static void check_bos(const Tokenizer *t) {
    expect_ids(t, "ab", TOKENIZER_ADD_SPECIAL, IDS(7, 3));
}

/* Whatever splits the text, letters stay together. */
static void check_splits(const Tokenizer *t) {
    expect_ids(t, "ab<|x|>", 0, IDS(3, 8));
}

static void test_tokenizer_open__gguf(void **state) {
    (void)state;
    check_both(&sp, check_sp);
    check_both(&bpe, check_bpe);
    Vocab v = bpe;
    v.pre = "qwen2"; /* one digit at a time */
    check_both(&v, check_digits);
    v.pre = "starcoder";
    check_both(&v, check_digits);
    v.pre = "llama-bpe"; /* begins with BOS */
    check_both(&v, check_bos);
    v.pre = NULL;
    check_both(&v, check_bpe);
}

static void expect_refused(const Vocab *v, const char *says) {
    char *folder = scratch_new(), *path = save(folder, v);
    Tokenizer *t = NULL;
    Status st = tokenizer_open(&t, path);
    if (st != ERR_DATA || !strstr(status_message(), says))
        fail_msg("%d %s, expected %s", (int)st, st ? status_message() : "", says);
    mem_free(path);
    scratch_free(folder);
}

static void test_tokenizer_open__gguf_refuses(void **state) {
    (void)state;
    Vocab v = sp;
    v.model = NULL;
    expect_refused(&v, "holds no tokenizer");
    v.model = "rwkv";
    expect_refused(&v, "`rwkv` is not supported");
    v.model = "bert"; /* names none of its special tokens */
    expect_refused(&v, "unknown_token_id` is 100; there are 12 tokens");
    v = sp;
    v.model = "t5";
    v.n_scores = 3;
    expect_refused(&v, "scores has 3 numbers for 12 tokens");
    v = sp;
    v.n_scores = 3;
    expect_refused(&v, "scores has 3 numbers for 12 tokens");
    v = sp;
    v.n_types = 3;
    expect_refused(&v, "token_type has 3 entries for 14 tokens");
    v = sp;
    v.bos = 12;
    expect_refused(&v, "bos_token_id` is 12; there are 12 tokens");
    v = sp;
    v.n = v.n_types = v.n_scores = 0;
    expect_refused(&v, "has 0 tokens");
    v = bpe;
    v.pre = "klingon";
    expect_refused(&v, "pre: `klingon` is not known; known are gpt-2, ");
    v = bpe;
    v.merges = (const char *const[]){"a b", "b a", "1 1"};
    expect_refused(&v, "`ba` is not in the vocabulary");
    v = bpe;
    const char *twice[9], *empty[9], *bad[9];
    int32_t types[9];
    for (int i = 0; i < 9; i++) {
        twice[i] = empty[i] = bad[i] = bpe_tokens[i];
        types[i] = bpe_types[i];
    }
    twice[3] = "a";
    empty[3] = "";
    bad[3] = "\xff";
    types[3] = 7;
    v.tokens = twice;
    expect_refused(&v, "tokens[3] is there twice");
    v.tokens = empty;
    expect_refused(&v, "tokens[3] is no text");
    v.tokens = bad;
    expect_refused(&v, "tokens[3] is no text");
    v = bpe;
    v.types = types;
    expect_refused(&v, "token_type[3] is 7; 1 to 6 are known");
}

/* ---- out ---- */

/* Writes a tokenizer for a table of n_rows, and reads it again. */
static Tokenizer *there_and_back(const char *folder, const Tokenizer *t, int64_t n_rows) {
    char *path = file_join(folder, "again.gguf");
    GgufMeta m = {0};
    if (tokenizer_write_gguf(t, n_rows, &m) != OK) fail_msg("%s", status_message());
    assert_int_equal(gguf_save(path, &(GgufSpec){.meta = &m}), OK);
    gguf_meta_free(&m);
    Tokenizer *again = NULL;
    if (tokenizer_open(&again, path) != OK) fail_msg("%s", status_message());
    mem_free(path);
    return again;
}

static void check_written(const Vocab *v, Check check) {
    char *folder = scratch_new(), *path = save(folder, v);
    Tokenizer *t = NULL;
    if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
    Tokenizer *again = there_and_back(folder, t, 20);
    check(again);
    for (int32_t id = 0; id < tokenizer_vocab_size(t); id++) {
        assert_string_equal(tokenizer_token(again, id), tokenizer_token(t, id));
        assert_int_equal(tokenizer_is_special(again, id), tokenizer_is_special(t, id));
    }
    tokenizer_close(t);
    tokenizer_close(again);
    mem_free(path);
    scratch_free(folder);
}

static void test_tokenizer_write_gguf__comes_back(void **state) {
    (void)state;
    check_written(&sp, check_sp);
    check_written(&bpe, check_bpe);
    static const char *const PRES[] = {"qwen2",  "starcoder", "llama-bpe", "tekken",   "gpt-4o",
                                       "falcon", "bloom",     "mpt",       "stablelm2"};
    for (size_t i = 0; i < sizeof PRES / sizeof *PRES; i++) {
        Vocab v = bpe;
        v.pre = PRES[i];
        bool bos = i == 2 || i == 3;
        check_written(&v, bos ? check_bos : i < 2 || i == 8 ? check_digits : check_splits);
    }
}

static void expect_unwritten(const char *json, const char *says) {
    char *folder = scratch_new(), *path = scratch_text(folder, "tokenizer.json", json);
    Tokenizer *t = NULL;
    GgufMeta m = {0};
    if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
    Status st = tokenizer_write_gguf(t, 10, &m);
    if (st != ERR_DATA || !strstr(status_message(), says))
        fail_msg("%d %s, expected %s", (int)st, st ? status_message() : "", says);
    gguf_meta_free(&m);
    tokenizer_close(t);
    mem_free(path);
    scratch_free(folder);
}

#define MODEL \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define BYTE_LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"

static void test_tokenizer_write_gguf__refuses(void **state) {
    (void)state;
    expect_unwritten("{" MODEL "," BYTE_LEVEL "true}}", "splits text in a way of its own");
    expect_unwritten("{" MODEL "}", "splits text in a way of its own");
    expect_unwritten("{" MODEL "," BYTE_LEVEL "false},\"normalizer\":{\"type\":\"Lowercase\"}}",
                     "normalizes text");
    expect_unwritten(
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0],[\"b\",-1]]}}",
        "is no byte-level BPE");
    expect_unwritten("{\"added_tokens\":[{\"id\":3,\"content\":\"[CLS]\",\"special\":true}]," MODEL
                     "," BYTE_LEVEL "false},\"post_processor\":{\"type\":\"BertProcessing\","
                     "\"sep\":[\"[CLS]\",3],\"cls\":[\"[CLS]\",3]}}",
                     "other tokens than BOS and EOS");
}

/* ---- real vocabularies ---- */

static void expect_line(const Tokenizer *t, const char *text, const char *line) {
    TokenIds ids = {0};
    Str got = {0};
    if (tokenizer_encode(t, &ids, text, strlen(text), TOKENIZER_PARSE_SPECIAL) != OK)
        fail_msg("%s", status_message());
    for (size_t i = 0; i < ids.n; i++) str_printf(&got, " %d", ids.id[i]);
    if (!str_equal(str_text(&got), line))
        fail_msg("`%s` is%s, expected%s", text, str_text(&got), line);
    str_free(&got);
    token_ids_free(&ids);
}

/* Texts stand between marks, ids one line each. */
static int check_vectors(const Tokenizer *t, char *texts, char *lines) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    int n = 0;
    for (char *text = texts, *line = lines; text; n++) {
        char *next = strstr(text, mark), *end = strchr(line, '\n');
        if (next) *next = '\0';
        if (end) *end = '\0';
        expect_line(t, text, line);
        text = next ? next + sizeof mark - 1 : NULL;
        line = end ? end + 1 : line;
    }
    return n;
}

static void test_tokenizer_open__gguf_of_real_models(void **state) {
    (void)state;
    static const char *const FILES[] = {"llama2-spm/ggml-vocab-llama-spm", "gpt2/ggml-vocab-gpt-2",
                                        "mpt/ggml-vocab-mpt", "starcoder/ggml-vocab-starcoder"};
    if (!file_exists(HONE_SHARED_DIR "/tokenizers")) {
        print_message("skipped: %s is not there\n", HONE_SHARED_DIR "/tokenizers");
        skip();
    }
    for (size_t i = 0; i < 4; i++) {
        Str texts = {0}, lines = {0};
        char *path = str_format(HONE_SHARED_DIR "/tokenizers/%s.gguf", FILES[i]);
        char *in = str_format("%s.inp", path), *out = str_format("%s.out", path);
        Tokenizer *t = NULL;
        if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
        assert_int_equal(file_read(&texts, in, 1 << 20), OK);
        assert_int_equal(file_read(&lines, out, 1 << 20), OK);
        char *folder = scratch_new();
        Tokenizer *again = there_and_back(folder, t, tokenizer_vocab_size(t) + 7);
        Str same_texts = {0}, same_lines = {0};
        str_append_n(&same_texts, texts.data, texts.len);
        str_append_n(&same_lines, lines.data, lines.len);
        assert_int_equal(check_vectors(t, texts.data, lines.data), 47);
        assert_int_equal(check_vectors(again, same_texts.data, same_lines.data), 47);
        str_free(&same_texts);
        str_free(&same_lines);
        tokenizer_close(again);
        tokenizer_close(t);
        scratch_free(folder);
        str_free(&texts);
        str_free(&lines);
        mem_free(path);
        mem_free(in);
        mem_free(out);
    }
}

/* Tokenizers of folders, through a GGUF file, give the ids that they give as they are. */
static void test_tokenizer_write_gguf__real_folders(void **state) {
    (void)state;
    static const char *const FOLDERS[] = {"llama2-spm/tokenizer.json", "llama2-spm/tokenizer.model",
                                          "phi-2", "gpt2/vocab.json", "mistral/tokenizer.model.v1"};
    if (!file_exists(HONE_SHARED_DIR "/tokenizers")) {
        print_message("skipped: %s is not there\n", HONE_SHARED_DIR "/tokenizers");
        skip();
    }
    Str texts = {0};
    const char *const inputs = HONE_SHARED_DIR "/tokenizers/gpt2/ggml-vocab-gpt-2.gguf.inp";
    assert_int_equal(file_read(&texts, inputs, 1 << 20), OK);
    for (int n = 1; n < 40; n++) str_printf(&texts, "\nx%*s%*s", n, "y", 40 - n, "z");
    for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++) {
        char *path = str_format(HONE_SHARED_DIR "/tokenizers/%s", FOLDERS[i]);
        char *folder = scratch_new();
        Tokenizer *t = NULL;
        if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
        Tokenizer *again = there_and_back(folder, t, tokenizer_vocab_size(t));
        for (size_t at = 0; at < texts.len;) {
            size_t n = strcspn(texts.data + at, "\n") + 1;
            if (at + n > texts.len) n = texts.len - at;
            char *line = mem_strndup(texts.data + at, n);
            TokenIds ids = {0};
            assert_int_equal(tokenizer_encode(t, &ids, line, n, TOKENIZER_ADD_SPECIAL), OK);
            expect_ids(again, line, TOKENIZER_ADD_SPECIAL, ids.id, ids.n);
            token_ids_free(&ids);
            mem_free(line);
            at += n;
        }
        tokenizer_close(again);
        tokenizer_close(t);
        mem_free(path);
        scratch_free(folder);
    }
    str_free(&texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_open__gguf),
        cmocka_unit_test(test_tokenizer_open__gguf_refuses),
        cmocka_unit_test(test_tokenizer_open__gguf_of_real_models),
        cmocka_unit_test(test_tokenizer_write_gguf__comes_back),
        cmocka_unit_test(test_tokenizer_write_gguf__refuses),
        cmocka_unit_test(test_tokenizer_write_gguf__real_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
