/* Files that are missing, damaged or hostile: one line that names the place, never a crash. */
#include "unit.h"

#include "core/file.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/tokenizer.h"
#include "scratch.h"

#include <math.h>

/* Opens a tokenizer.json with this text; the code, and that the message holds `part`. */
static void expect_json(const char *json, Status code, const char *part) {
    char *folder = scratch_new();
    char *path = scratch_text(folder, "tokenizer.json", json);
    Tokenizer *t = NULL;
    Status st = tokenizer_open(&t, folder);
    if (st != code || (st != OK && strstr(status_message(), part) == NULL)) {
        fail_msg("%s\n -> %d %s (wanted %d ... %s)", json, st, status_message(), code, part);
    }
    if (st != OK) assert_null(t);
    if (st != OK) assert_null(strchr(status_message(), '\n'));
    tokenizer_close(t);
    mem_free(path);
    scratch_free(folder);
}

#define MODEL(vocab, merges) \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]}"
#define GOOD MODEL("\"a\":0,\"b\":1,\"ab\":2", "\"a b\"")

static void test_json__reads_the_least(void **state) {
    (void)state;
    expect_json("{" GOOD "}", OK, "");
    expect_json("{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", OK,
                ""); /* an old file without type */
    expect_json("{" MODEL("\"a\":0,\"b\":1,\"ab\":2", "[\"a\",\"b\"]") "}", OK, "");
}

static void test_json__refuses_wrong_models(void **state) {
    (void)state;
    expect_json("", ERR_DATA, "tokenizer.json");
    expect_json("{", ERR_DATA, "tokenizer.json:1");
    expect_json("{}", ERR_DATA, "`model`");
    expect_json("{\"model\":3}", ERR_DATA, "`model`");
    expect_json("{" MODEL("", "") "}", ERR_DATA, "empty");
    expect_json("{" MODEL("\"a\":0,\"b\":0", "") "}", ERR_DATA, "taken by `a`");
    expect_json("{" MODEL("\"a\":-1", "") "}", ERR_DATA, "id of `a`");
    expect_json("{" MODEL("\"a\":1048576", "") "}", ERR_DATA, "id of `a`");
    expect_json("{" MODEL("\"a\":2147483648", "") "}", ERR_DATA, "id of `a`");
    expect_json("{" MODEL("\"a\":9223372036854775808", "") "}", ERR_DATA, "tokenizer.json:1");
    expect_json("{" MODEL("\"a\":\"0\"", "") "}", ERR_DATA, "id of `a`");
    expect_json("{" MODEL("\"a\":0", "\"a b\"") "}", ERR_DATA, "`b` is not in the vocabulary");
    expect_json("{" MODEL("\"a\":0,\"b\":1", "\"a b\"") "}", ERR_DATA,
                "`ab` is not in the vocabulary");
    expect_json("{" MODEL("\"a\":0", "\"a\"") "}", ERR_DATA, "merge 0");
    expect_json("{" MODEL("\"a\":0", "[\"a\"]") "}", ERR_DATA, "merges[0]");
    expect_json("{" MODEL("\"a\":0", "7") "}", ERR_DATA, "merges[0]");
    expect_json("{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", ERR_DATA, "`vocab`");
    expect_json(
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}",
        ERR_DATA, "unk_token");
    expect_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}",
                ERR_DATA, "dropout");
    expect_json("{\"model\":{\"type\":\"Q\",\"vocab\":{}}}", ERR_DATA, "`Q`");
}

static void test_json__refuses_wrong_added_tokens(void **state) {
    (void)state;
    expect_json("{\"added_tokens\":[{\"id\":9,\"content\":\"\"}]," GOOD "}", ERR_DATA, "no text");
    expect_json("{\"added_tokens\":[{\"id\":9}]," GOOD "}", ERR_DATA, "`content`");
    expect_json("{\"added_tokens\":[{\"id\":-5,\"content\":\"x\"}]," GOOD "}", ERR_DATA, "`x`");
    expect_json("{\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]," GOOD "}", ERR_DATA,
                "taken by `b`");
    expect_json("{\"added_tokens\":[{\"id\":9,\"content\":\"x\",\"normalized\":true}],"
                "\"normalizer\":{\"type\":"
                "\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"\"}," GOOD "}",
                ERR_DATA, "nothing is left");
}

static void test_json__refuses_steps_it_does_not_know(void **state) {
    (void)state;
    expect_json("{\"normalizer\":{\"type\":\"Q\"}," GOOD "}", ERR_DATA, "normalizer `Q`");
    expect_json("{\"normalizer\":{}," GOOD "}", ERR_DATA, "`type`");
    expect_json("{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}," GOOD "}",
                ERR_DATA, "`pattern`");
    expect_json("{\"pre_tokenizer\":{\"type\":\"Magic\"}," GOOD "}", ERR_DATA,
                "pre-tokenizer `Magic`");
    expect_json("{\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}," GOOD "}", ERR_DATA,
                "at least 1");
    expect_json("{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"x\"}," GOOD "}",
                ERR_DATA, "prepend_scheme");
    expect_json("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},"
                "\"behavior\":\"Y\"}," GOOD "}",
                ERR_DATA, "`Y`");
    expect_json("{\"decoder\":{\"type\":\"Magic\"}," GOOD "}", ERR_DATA, "decoder `Magic`");
    expect_json("{\"decoder\":{\"type\":\"CTC\",\"pad_token\":\"\"}," GOOD "}", ERR_DATA,
                "`pad_token`");
    expect_json("{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":"
                "\"CTC\"}]}," GOOD "}",
                ERR_DATA, "CTC behind another one");
    expect_json("{\"post_processor\":{\"type\":\"Q\"}," GOOD "}", ERR_DATA, "post-processor `Q`");
    expect_json("{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
                "\"SpecialToken\":{\"id\":\"z\"}"
                "}],\"special_tokens\":{}}," GOOD "}",
                ERR_DATA, "`z`");
    expect_json("{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",77],\"sep\":["
                "\"a\",0]}," GOOD "}",
                ERR_DATA, "cls");
}

#define REGEX(pattern)                                                                         \
    "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":" \
    "\"" pattern "\"}}," GOOD "}"

static void test_json__bounds_regular_expressions(void **state) {
    (void)state;
    expect_json(REGEX("a("), ERR_DATA, "regular expression");
    expect_json(REGEX("[a&&b]"), ERR_DATA, "&&");
    expect_json(REGEX("[a[^b]]"), ERR_DATA, "negated class");
    expect_json(REGEX("\\\\h"), ERR_DATA, "\\h");
    expect_json(REGEX("[a[bc]]+"), OK, "");
    char *folder = scratch_new();
    char *json = str_format("{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],"
                            "\"sep\":[\"a\",0]},%s",
                            &REGEX("(a+)+$")[1]);
    mem_free(scratch_text(folder, "tokenizer.json", json));
    mem_free(json);
    Tokenizer *t = NULL;
    TokenIds ids = {0};
    char text[60];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    assert_int_equal(tokenizer_open(&t, folder), OK);
    token_ids_push(&ids, 7, false);
    assert_int_equal(tokenizer_encode(t, &ids, text, sizeof text, TOKENIZER_ADD_SPECIAL), ERR_DATA);
    assert_non_null(strstr(status_message(), "too costly"));
    assert_int_equal(ids.n, 1); /* as it was */
    tokenizer_close(t);
    token_ids_free(&ids);
    scratch_free(folder);
}

static void test_open__says_what_is_missing(void **state) {
    (void)state;
    Tokenizer *t = NULL;
    char *folder = scratch_new();
    assert_int_equal(tokenizer_open(&t, "/nowhere/at/all"), ERR_INPUT);
    assert_non_null(strstr(status_message(), "/nowhere/at/all"));
    assert_int_equal(tokenizer_open(&t, folder), ERR_INPUT);
    assert_non_null(strstr(status_message(), "tokenizer.json"));
    mem_free(scratch_text(folder, "vocab.json", "{\"a\":0}"));
    assert_int_equal(tokenizer_open(&t, folder), ERR_INPUT);
    assert_non_null(strstr(status_message(), "merges.txt"));
    mem_free(scratch_text(folder, "merges.txt", "#version: 0.2\na b\n"));
    assert_int_equal(tokenizer_open(&t, folder), ERR_DATA);
    mem_free(scratch_text(folder, "tokenizer.model", "no model"));
    assert_int_equal(tokenizer_open(&t, folder), ERR_DATA);
    assert_non_null(strstr(status_message(), "tokenizer.model:1"));
    scratch_free(folder);
}

static void test_config__is_checked_too(void **state) {
    (void)state;
    static const char *const bad[] = {
        "[]", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"q\"}}}",
        "{\"added_tokens_decoder\":{\"99999999999\":{\"content\":\"q\"}}}",
        "{\"added_tokens_decoder\":{\"1\":{\"content\":\"q\"}}}", "{"};
    char *folder = scratch_new();
    mem_free(scratch_text(folder, "tokenizer.json", "{" GOOD "}"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Tokenizer *t = NULL;
        mem_free(scratch_text(folder, "tokenizer_config.json", bad[i]));
        assert_int_equal(tokenizer_open(&t, folder), ERR_DATA);
    }
    scratch_free(folder);
}

/* ---- tokenizer.model ---- */

/* A piece as protobuf writes it. */
static void piece(Str *out, const char *text, float score, int type) {
    size_t n = strlen(text);
    str_append_char(out, 0x0A);
    str_append_char(out, (char)(n + 2 + 5 + 2));
    str_append_char(out, 0x0A);
    str_append_char(out, (char)n);
    str_append(out, text);
    str_append_char(out, 0x15);
    str_append_n(out, &score, 4);
    str_append_char(out, 0x18);
    str_append_char(out, (char)type);
}

static Str sp_model(int kind) {
    Str m = {0};
    piece(&m, "<unk>", 0, 2);
    piece(&m, "<s>", 0, 3);
    piece(&m, "</s>", 0, 3);
    piece(&m, "aa", 1, 1); /* two merges of the same score: the leftmost first */
    piece(&m, "ab", 1, 1);
    piece(&m, "[U]", 0, 4);
    piece(&m, "a", -1, 1);
    piece(&m, "b", -2, 1);
    piece(&m, "\xE2\x96\x81", -3, 1);
    const char trainer[] = {0x12, 0x02, 0x18, (char)kind};
    const char normalizer[] = {0x1A, 0x02, 0x20, 0x00}; /* keep extra blanks */
    str_append_n(&m, trainer, 4);
    str_append_n(&m, normalizer, 4);
    return m;
}

static Status open_sp(Tokenizer **t, const char *bytes, size_t n) {
    char *folder = scratch_new();
    mem_free(scratch_file(folder, "tokenizer.model", bytes, n));
    Status st = tokenizer_open(t, folder);
    scratch_free(folder);
    return st;
}

static void test_model__merges_by_score(void **state) {
    (void)state;
    Str m = sp_model(2);
    Tokenizer *t = NULL;
    TokenIds ids = {0};
    if (open_sp(&t, m.data, m.len) != OK) fail_msg("%s", status_message());
    assert_int_equal(tokenizer_encode(t, &ids, "aab [U]x", 8, TOKENIZER_ADD_SPECIAL), OK);
    const int32_t want[] = {1, 8, 3, 7, 8, 5, 0}; /* <s> _ aa b _ [U] <unk> */
    assert_int_equal(ids.n, 7);
    for (size_t i = 0; i < 7; i++) assert_int_equal(ids.id[i], want[i]);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_int_equal(tokenizer_unk(t), 0);
    token_ids_free(&ids);
    tokenizer_close(t);
    str_free(&m);
}

static void test_model__adds_scores(void **state) {
    (void)state;
    Str m = sp_model(1);
    Tokenizer *t = NULL;
    TokenIds ids = {0};
    if (open_sp(&t, m.data, m.len) != OK) fail_msg("%s", status_message());
    assert_int_equal(tokenizer_encode(t, &ids, "aab [U]xy<s>", 12, TOKENIZER_ADD_SPECIAL), OK);
    const int32_t want[] = {1, 8, 6, 4, 8, 5, 0}; /* <s> _ a ab _ [U] and one <unk> for the rest */
    assert_int_equal(ids.n, 7);
    for (size_t i = 0; i < 7; i++) assert_int_equal(ids.id[i], want[i]);
    token_ids_free(&ids);
    tokenizer_close(t);
    str_free(&m);
}

/* Where extra blanks are removed, tokens lose the blank in front until one gives text. */
static void test_model__decodes_without_leading_blanks(void **state) {
    (void)state;
    static const int32_t ids[] = {8, 8, 6, 8, 8, 7}; /* _ _ a _ _ b */
    for (char remove = 0; remove <= 1; remove++) {
        Str m = sp_model(1), text = {0};
        Tokenizer *t = NULL;
        const char normalizer[] = {0x1A, 0x02, 0x20, remove};
        str_append_n(&m, normalizer, 4);
        assert_int_equal(open_sp(&t, m.data, m.len), OK);
        assert_int_equal(tokenizer_decode(t, &text, ids, 6, 0), OK);
        assert_string_equal(str_text(&text), remove ? "a  b" : " a  b");
        tokenizer_close(t);
        str_free(&text);
        str_free(&m);
    }
}

static void check_damage(int kind) {
    Tokenizer *t = NULL;
    Str m = sp_model(kind);
    for (size_t n = 0; n < m.len; n++) { /* cut anywhere: refused, or whole messages are left */
        Status st = open_sp(&t, m.data, n);
        assert_true(st == ERR_DATA || st == OK);
        if (st == OK) tokenizer_close(t);
    }
    for (size_t i = 0; i < m.len; i++) { /* a byte flipped anywhere: no crash */
        m.data[i] = (char)(m.data[i] ^ 0x5A);
        Status st = open_sp(&t, m.data, m.len);
        assert_true(st == ERR_DATA || st == OK);
        if (st == OK) tokenizer_close(t);
        m.data[i] = (char)(m.data[i] ^ 0x5A);
    }
    str_free(&m);
}

static void test_model__damage_is_found(void **state) {
    (void)state;
    Tokenizer *t = NULL;
    Str words = sp_model(3);
    assert_int_equal(open_sp(&t, words.data, words.len), ERR_DATA);
    assert_non_null(strstr(status_message(), "Word"));
    str_free(&words);
    check_damage(1);
    check_damage(2);
}

static void expect_sp_refused(Str *m, const char *part) {
    Tokenizer *t = NULL;
    assert_int_equal(open_sp(&t, m->data, m->len), ERR_DATA);
    if (strstr(status_message(), part) == NULL) fail_msg("%s", status_message());
    str_free(m);
}

static void test_model__refuses_what_it_would_drop(void **state) {
    (void)state;
    for (int kind = 1; kind <= 2; kind++) {
        Str m = sp_model(kind);
        piece(&m, "ba", NAN, 1);
        expect_sp_refused(&m, "the score of piece 9 is no number");
        m = sp_model(kind);
        static const char map[] = {0x2A, 0x03, 0x12, 0x01, 0x00}; /* one byte of a charsmap */
        str_append_n(&m, map, sizeof map);
        expect_sp_refused(&m, "denormalizes");
    }
}

/* ---- the two ways to merge give the same ---- */

static void test_bpe__long_pieces_merge_like_short_ones(void **state) {
    (void)state;
    static const char *const tokens[] = {"a",  "b",   "c",   "ab",  "bc",
                                         "aa", "aab", "abc", "cab", "aaaa"};
    Vocab v = {0};
    for (int32_t i = 0; i < 10; i++) assert_true(vocab_add(&v, tokens[i], strlen(tokens[i]), i));
    Bpe b = {.vocab = &v, .unk = -1};
    bpe_add_merge(&b, 1, 2, 0, 4); /* b c */
    bpe_add_merge(&b, 0, 0, 1, 5); /* a a */
    bpe_add_merge(&b, 0, 1, 2, 3); /* a b */
    bpe_add_merge(&b, 5, 1, 3, 6); /* aa b */
    bpe_add_merge(&b, 0, 4, 4, 7); /* a bc */
    bpe_add_merge(&b, 5, 5, 4, 9); /* aa aa */
    bpe_prepare(&b);
    BpeScratch w = {0};
    for (uint64_t round = 0; round < 200; round++) {
        RngStream r = rng_stream(7, RNG_WORLD, round);
        char text[120];
        Spans whole = {0}, again = {0};
        size_t n = 30 + rng_below(&r, 80);
        for (size_t i = 0; i < n; i++) text[i] = "abc"[rng_below(&r, 3)];
        bpe_encode(&b, &w, &whole, text, n);
        /* By hand: the lowest rank, leftmost first. */
        for (size_t i = 0; i < n; i++) spans_push(&again, text[i] - 'a', 1);
        for (;;) {
            size_t best = SIZE_MAX;
            const BpePair *pair = NULL;
            for (size_t i = 0; i + 1 < again.n; i++) {
                const BpePair *p = bpe_find_merge(&b, again.id[i], again.id[i + 1]);
                if (p != NULL && (pair == NULL || p->rank < pair->rank)) {
                    pair = p;
                    best = i;
                }
            }
            if (pair == NULL) break;
            again.id[best] = pair->merged;
            again.n--;
            for (size_t i = best + 1; i < again.n; i++) again.id[i] = again.id[i + 1];
        }
        assert_int_equal(whole.n, again.n);
        size_t bytes = 0;
        for (size_t i = 0; i < whole.n; i++) {
            assert_int_equal(whole.id[i], again.id[i]);
            bytes += whole.bytes[i];
        }
        assert_int_equal(bytes, n);
        spans_free(&whole);
        spans_free(&again);
    }
    bpe_scratch_free(&w);
    bpe_free(&b);
    vocab_free(&v);
}

/* Texts without a pre-tokenizer are cut before each blank only where no merge reaches over it. */
static void test_bpe__cuts_at_blanks_only_where_nothing_changes(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "\xE2\x96\x81", "a\xE2\x96\x81",
                                         ("\xE2\x96\x81"
                                          "a")};
    static const char text[] = "a\xE2\x96\x81"
                               "a";
    for (int crossing = 0; crossing < 2; crossing++) {
        Vocab v = {0};
        for (int32_t i = 0; i < 4; i++) assert_true(vocab_add(&v, tokens[i], strlen(tokens[i]), i));
        Bpe b = {.vocab = &v, .unk = -1};
        BpeScratch w = {0};
        Spans spans = {0};
        if (crossing) bpe_add_merge(&b, 0, 1, 0, 2);
        bpe_add_merge(&b, 1, 0, 1, 3);
        bpe_prepare(&b);
        assert_int_equal(b.cut_at_space, !crossing);
        bpe_encode(&b, &w, &spans, text, sizeof text - 1);
        assert_int_equal(spans.n, 2);
        assert_int_equal(spans.id[0], crossing ? 2 : 0);
        assert_int_equal(spans.id[1], crossing ? 0 : 3);
        spans_free(&spans);
        bpe_scratch_free(&w);
        bpe_free(&b);
        vocab_free(&v);
    }
}

static void test_bpe__a_megabyte_of_one_letter_is_no_trouble(void **state) {
    (void)state;
    char *folder = scratch_new();
    mem_free(scratch_text(folder, "tokenizer.json",
                          "{" MODEL("\"a\":0,\"aa\":1,\"aaaa\":2", "\"a a\",\"aa aa\"") "}"));
    Tokenizer *t = NULL;
    TokenIds ids = {0};
    size_t n = 1 << 20;
    char *text = mem_alloc(n);
    memset(text, 'a', n);
    assert_int_equal(tokenizer_open(&t, folder), OK);
    assert_int_equal(tokenizer_encode(t, &ids, text, n, 0), OK);
    assert_int_equal(ids.n, n / 4); /* quadratic merging would run into the test's time limit */
    mem_free(text);
    token_ids_free(&ids);
    tokenizer_close(t);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__reads_the_least),
        cmocka_unit_test(test_json__refuses_wrong_models),
        cmocka_unit_test(test_json__refuses_wrong_added_tokens),
        cmocka_unit_test(test_json__refuses_steps_it_does_not_know),
        cmocka_unit_test(test_json__bounds_regular_expressions),
        cmocka_unit_test(test_open__says_what_is_missing),
        cmocka_unit_test(test_config__is_checked_too),
        cmocka_unit_test(test_model__merges_by_score),
        cmocka_unit_test(test_model__adds_scores),
        cmocka_unit_test(test_model__decodes_without_leading_blanks),
        cmocka_unit_test(test_model__damage_is_found),
        cmocka_unit_test(test_model__refuses_what_it_would_drop),
        cmocka_unit_test(test_bpe__long_pieces_merge_like_short_ones),
        cmocka_unit_test(test_bpe__cuts_at_blanks_only_where_nothing_changes),
        cmocka_unit_test(test_bpe__a_megabyte_of_one_letter_is_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
