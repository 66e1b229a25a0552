/* The models that are not BPE, and the character maps: small cases worked by hand. */
#include "unit.h"

#include "core/mem.h"
#include "data/tokenizer/charsmap.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/trie.h"
#include "scratch.h"

#include <stdio.h>
#include <string.h>

static Status open_json(Tokenizer **t, const char *json) {
    char *folder = scratch_new();
    mem_free(scratch_text(folder, "tokenizer.json", json));
    Status st = tokenizer_open(t, folder);
    scratch_free(folder);
    return st;
}

static Tokenizer *opened(const char *json) {
    Tokenizer *t = NULL;
    if (open_json(&t, json) != OK) fail_msg("%s", status_message());
    return t;
}

static void expect_refused(const char *json, const char *part) {
    Tokenizer *t = NULL;
    assert_int_equal(open_json(&t, json), ERR_DATA);
    if (strstr(status_message(), part) == NULL) fail_msg("%s", status_message());
}

/* The ids, with a blank behind each. */
static void expect_ids(const Tokenizer *t, const char *text, unsigned flags, const char *want) {
    TokenIds ids = {0};
    Str got = {0};
    if (tokenizer_encode(t, &ids, text, strlen(text), flags) != OK)
        fail_msg("%s", status_message());
    for (size_t i = 0; i < ids.n; i++) str_printf(&got, "%d ", ids.id[i]);
    assert_string_equal(str_text(&got), want);
    token_ids_free(&ids);
    str_free(&got);
}

/* ---- Unigram ---- */

#define UNIGRAM(more)                                                                            \
    "{\"added_tokens\":[{\"id\":1,\"content\":\"</s>\",\"special\":true,\"normalized\":false}]," \
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"</s>\",0],"        \
    "[\"a\",-2],[\"b\",-2],[\"ab\",-3.5],[\"aba\",-5.9],[\"cd\",-50]" more "]}}"

static void test_unigram__takes_the_best_sum(void **state) {
    (void)state;
    Tokenizer *t = opened(UNIGRAM(""));
    expect_ids(t, "ab", 0, "4 ");     /* -3.5, not -4 */
    expect_ids(t, "aba", 0, "4 2 ");  /* -5.5, not -5.9 */
    expect_ids(t, "abab", 0, "4 4 "); /* -7, not -7.9 */
    expect_ids(t, "abab", 0, "4 4 "); /* from the cache */
    tokenizer_close(t);
    /* A tie goes to the token that begins first, as in the reference. */
    t = opened("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"x\",-1],"
               "[\"xx\",-2]]}}");
    expect_ids(t, "xx", 0, "2 ");
    expect_ids(t, "xxx", 0, "1 2 ");
    tokenizer_close(t);
}

static void test_unigram__unknown_neighbours_are_one_text(void **state) {
    (void)state;
    Tokenizer *t = opened(UNIGRAM(""));
    expect_ids(t, "axyzb", 0, "2 0 3 ");
    expect_ids(t, "cd", 0, "6 "); /* two unknown characters, -120, are worse than -50 */
    expect_ids(t, "\xF0\x9F\x98\x80", 0, "0 ");
    tokenizer_close(t);
    t = opened(UNIGRAM(",[\"e\",-9],[\"xy\",-1000]"));
    expect_ids(t, "xy", 0, "8 "); /* the text of both together is a token */
    tokenizer_close(t);
}

static void test_unigram__text_is_no_special_token(void **state) {
    (void)state;
    Tokenizer *t = opened(UNIGRAM(""));
    expect_ids(t, "a</s>b", TOKENIZER_PARSE_SPECIAL, "2 1 3 ");
    expect_ids(t, "a</s>b", 0, "2 0 3 ");
    tokenizer_close(t);
}

static void test_unigram__falls_back_to_bytes(void **state) {
    (void)state;
    Str json = {0};
    str_append(&json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,"
                      "\"vocab\":[[\"?\",0],[\"a\",-1]");
    for (int i = 0; i < 256; i++) str_printf(&json, ",[\"<0x%02X>\",-5]", (unsigned)i);
    str_append(&json, "]}}");
    Tokenizer *t = opened(json.data);
    expect_ids(t, "a\xC3\xA4z", 0, "1 197 166 124 ");
    tokenizer_close(t);
    str_free(&json);
}

static void test_unigram__refuses_what_it_cannot_read(void **state) {
    (void)state;
    expect_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}",
                   "unk_id");
    expect_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\"]]}}",
                   "vocab[0]");
    expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"a\",0]]}}", "twice");
    expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", "vocab");
    Tokenizer *t = opened("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]]}}");
    TokenIds ids = {0};
    assert_int_equal(tokenizer_encode(t, &ids, "ab", 2, 0), ERR_DATA);
    assert_non_null(strstr(status_message(), "no token"));
    assert_int_equal(ids.n, 0);
    token_ids_free(&ids);
    tokenizer_close(t);
    char long_token[1026];
    memset(long_token, 'x', sizeof long_token);
    long_token[1025] = '\0';
    char *json =
        str_format("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"%s\",0]]}}", long_token);
    expect_refused(json, "too long");
    mem_free(json);
}

/* ---- WordPiece and WordLevel ---- */

#define WORDS(type, more)                                                                       \
    "{\"added_tokens\":[{\"id\":1,\"content\":\"[SEP]\",\"special\":true,\"normalized\":"       \
    "false}],\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"" type      \
    "\",\"unk_token\":\"[UNK]\"," more "\"vocab\":{\"[UNK]\":0,\"[SEP]\":1,\"un\":2,\"##aff\":" \
    "3,\"##able\":4,\"aff\":5,\"##a\":6,\"##\":7}}}"

static void test_wordpiece__takes_the_longest_token(void **state) {
    (void)state;
    Tokenizer *t = opened(WORDS("WordPiece", "\"max_input_chars_per_word\":9,"));
    expect_ids(t, "unaffable un", 0, "2 3 4 2 ");
    expect_ids(t, "unaffab", 0, "0 "); /* no way back from ##aff to ##a: the word is unknown */
    expect_ids(t, "affa ##aff", 0, "5 6 3 "); /* the second one is a token as it stands */
    expect_ids(t, "unaaaaaaa un", 0, "2 6 6 6 6 6 6 6 2 ");
    expect_ids(t, "unaaaaaaaa", 0, "0 "); /* ten characters */
    expect_ids(t, "[SEP] un", 0, "0 2 ");
    expect_ids(t, "[SEP] un", TOKENIZER_PARSE_SPECIAL, "1 2 ");
    tokenizer_close(t);
}

/* Longer than any word may be: training on text with one long string in it makes such a token. */
static void test_wordpiece__leaves_out_what_no_word_can_be(void **state) {
    (void)state;
    char longer[2000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    char *json = str_format("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"x\":1,"
                            "\"##x\":2,\"%s\":3,\"##%.100s\":4}}}",
                            longer, longer);
    Tokenizer *t = opened(json);
    TokenIds ids = {0};
    assert_int_equal(tokenizer_encode(t, &ids, longer, 100, 0), OK);
    assert_int_equal(ids.n, 100);
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(t, &ids, longer, 101, 0), OK);
    assert_int_equal(ids.n, 1); /* unknown, although 1 and 100 are tokens */
    token_ids_free(&ids);
    tokenizer_close(t);
    mem_free(json);
}

static void test_wordlevel__takes_whole_words(void **state) {
    (void)state;
    Tokenizer *t = opened(WORDS("WordLevel", ""));
    expect_ids(t, "un unaff aff", 0, "2 0 5 ");
    expect_ids(t, "[SEP] un", 0, "0 2 ");
    tokenizer_close(t);
    expect_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "[UNK]");
    expect_refused("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", "<unk>");
    expect_refused("{\"model\":{\"type\":\"Magic\",\"vocab\":{\"a\":0}}}", "`Magic`");
}

/* ---- size ---- */

static void test_models__a_megabyte_of_one_letter_is_no_trouble(void **state) {
    (void)state;
    size_t n = 1 << 20;
    char *text = mem_alloc(n);
    memset(text, 'a', n);
    static const char *const models[] = {
        UNIGRAM(",[\"aaaa\",-3]"),
        WORDS("WordPiece", "\"max_input_chars_per_word\":10000000,"),
        WORDS("WordLevel", ""),
    };
    for (int i = 0; i < 3; i++) {
        Tokenizer *t = opened(models[i]);
        TokenIds ids = {0};
        assert_int_equal(tokenizer_encode(t, &ids, text, n, 0), OK);
        assert_int_equal(ids.n, i == 0 ? n / 4 : 1); /* quadratic ways would take hours */
        token_ids_free(&ids);
        tokenizer_close(t);
    }
    mem_free(text);
}

/* ---- the trie ---- */

static void test_trie__holds_what_was_put_in(void **state) {
    (void)state;
    enum { N = 5000 };
    static char texts[N][24];
    static TrieKey keys[N];
    for (int i = 0; i < N; i++) { /* shared beginnings, all byte values */
        int n = snprintf(texts[i], sizeof texts[i], "%c%d%c", 1 + i % 255, i * 7919 % 10007,
                         1 + i * 31 % 255);
        keys[i] = (TrieKey){texts[i], (size_t)n, i};
    }
    Trie t = {0};
    trie_build(&t, keys, N);
    for (int i = 0; i < N; i++) {
        uint32_t node = TRIE_ROOT;
        size_t n = strlen(texts[i]);
        for (size_t k = 0; k < n; k++) {
            node = trie_step(&t, node, (unsigned char)texts[i][k]);
            assert_int_not_equal(node, TRIE_NONE);
        }
        assert_int_equal(trie_value(&t, node), i);
        assert_int_equal(trie_step(&t, node, 0), TRIE_NONE);
    }
    assert_true(t.n < 20 * N); /* not mostly holes */
    trie_free(&t);
}

/* ---- character maps ---- */

#define UNITS 256
#define LEAF (1u << 8)

/* Two rules: A -> xy, AB -> z. Where the units lie follows from the offsets 1, 3 and 4. */
static void write_map(unsigned char *blob, uint32_t value) {
    uint32_t units[UNITS] = {[0] = 1u << 10,
                             [1 ^ 'A'] = 'A' | LEAF | 3u << 10,
                             [1 ^ 'A' ^ 3] = value,
                             [1 ^ 'A' ^ 3 ^ 'B'] = 'B' | LEAF | 4u << 10,
                             [1 ^ 'A' ^ 3 ^ 'B' ^ 4] = 3};
    blob[0] = 0, blob[1] = UNITS * 4 >> 8, blob[2] = blob[3] = 0;
    memcpy(blob + 4, units, sizeof units);
    memcpy(blob + 4 + sizeof units, "xy\0z\0\xC3\xA4", 8);
}

static void test_charsmap__finds_the_shortest_and_the_longest_rule(void **state) {
    (void)state;
    unsigned char blob[4 + UNITS * 4 + 8];
    Charsmap *c = NULL;
    const char *text = NULL;
    write_map(blob, 0);
    assert_int_equal(charsmap_open(&c, (char *)blob, sizeof blob, "map"), OK);
    assert_int_equal(charsmap_find(c, CHARSMAP_SHORTEST, "ABC", 3, &text), 1);
    assert_string_equal(text, "xy");
    assert_int_equal(charsmap_find(c, CHARSMAP_LONGEST, "ABC", 3, &text), 2);
    assert_string_equal(text, "z");
    assert_int_equal(charsmap_find(c, CHARSMAP_LONGEST, "A", 1, &text), 1);
    assert_int_equal(charsmap_find(c, CHARSMAP_LONGEST, "BA", 2, &text), 0);
    charsmap_close(c);
}

/* The beginning of a character as a rule: what is left behind of it would be no text. */
static void test_charsmap__rules_take_whole_characters(void **state) {
    (void)state;
    unsigned char blob[4 + UNITS * 4 + 8];
    uint32_t units[UNITS] = {
        [0] = 1u << 10, [1 ^ 0xC3] = 0xC3 | LEAF | 3u << 10, [1 ^ 0xC3 ^ 3] = 0};
    static const CharsmapMatch ways[] = {CHARSMAP_SHORTEST, CHARSMAP_LONGEST};
    Charsmap *c = NULL;
    const char *text = NULL;
    write_map(blob, 0);
    memcpy(blob + 4, units, sizeof units);
    assert_int_equal(charsmap_open(&c, (char *)blob, sizeof blob, "map"), OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(charsmap_find(c, ways[i], "\xC3\xA4", 2, &text), 0);
    charsmap_close(c);
}

static void test_charsmap__damage_is_found(void **state) {
    (void)state;
    unsigned char blob[4 + UNITS * 4 + 8];
    Charsmap *c = NULL;
    const char *text = NULL;
    static const uint32_t values[] = {6, 9, 1u << 30}; /* inside a character, and behind the end */
    for (int i = 0; i < 3; i++) {
        write_map(blob, values[i]);
        assert_int_equal(charsmap_open(&c, (char *)blob, sizeof blob, "map"), OK);
        assert_int_equal(charsmap_find(c, CHARSMAP_SHORTEST, "A", 1, &text), 0);
        charsmap_close(c);
    }
    for (size_t n = 0; n < 4 + UNITS * 4; n++) {
        assert_int_equal(charsmap_open(&c, (char *)blob, n, "map"), ERR_DATA);
        assert_null(c);
    }
    blob[4 + UNITS * 4] = 0xFF;
    assert_int_equal(charsmap_open(&c, (char *)blob, sizeof blob, "map"), ERR_DATA);
    expect_refused("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}," //
                   "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0}}}",
                   "base64");
    expect_refused("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},"
                   "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0}}}",
                   "damaged");
}

/* An empty sign would be found anywhere, again and again. */
static void test_metaspace__replaces_something(void **state) {
    (void)state;
    expect_refused("{\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\"},"
                   "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0}}}",
                   "`replacement` of the decoder Metaspace is empty");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unigram__takes_the_best_sum),
        cmocka_unit_test(test_unigram__unknown_neighbours_are_one_text),
        cmocka_unit_test(test_unigram__text_is_no_special_token),
        cmocka_unit_test(test_unigram__falls_back_to_bytes),
        cmocka_unit_test(test_unigram__refuses_what_it_cannot_read),
        cmocka_unit_test(test_wordpiece__takes_the_longest_token),
        cmocka_unit_test(test_wordpiece__leaves_out_what_no_word_can_be),
        cmocka_unit_test(test_wordlevel__takes_whole_words),
        cmocka_unit_test(test_models__a_megabyte_of_one_letter_is_no_trouble),
        cmocka_unit_test(test_trie__holds_what_was_put_in),
        cmocka_unit_test(test_charsmap__finds_the_shortest_and_the_longest_rule),
        cmocka_unit_test(test_charsmap__rules_take_whole_characters),
        cmocka_unit_test(test_charsmap__damage_is_found),
        cmocka_unit_test(test_metaspace__replaces_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
