/* Origins, masks, streaming, export: what a tokenizer does besides ids. On tokenizers made here. */
#include "unit.h"

#include "core/io/json.h"
#include "data/tokenizer/tokenizer.h"
#include "scratch.h"

/* Byte-level BPE with merges "h i", "Ġ hi", and <s>, </s>, <|user|> special, "<think>" not special.
 */
static const char model[] =
    "{\"version\":\"1.0\",\"added_tokens\":["
    "{\"id\":300,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"
    "{\"id\":301,\"content\":\"</s>\",\"special\":true,\"normalized\":false},"
    "{\"id\":302,\"content\":\"<|user|>\",\"special\":true,\"normalized\":false,\"lstrip\":true},"
    "{\"id\":303,\"content\":\"<think>\",\"special\":false,\"normalized\":false},"
    "{\"id\":304,\"content\":\"word\",\"special\":false,\"normalized\":false,\"single_word\":true},"
    "{\"id\":305,\"content\":\"[x\",\"special\":true,\"normalized\":false},"
    "{\"id\":306,\"content\":\"x]\",\"special\":true,\"normalized\":false}]"
    ","
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
    "\"use_regex\":true},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
    "\"SpecialToken\":{"
    "\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{"
    "\"id\":"
    "\"</"
    "s>\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[300],"
    "\"tokens\":[\"<s>\"]},\"</s>\":{\"id\":\"</s>\",\"ids\":[301],\"tokens\":[\"</s>\"]}}},"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[\"h "
    "i\",\"\\u0120 hi\"],"
    "\"vocab\":{%s,\"hi\":256,\"\\u0120hi\":257}}}";

static Str model_json(void) {
    Str vocab = {0}, json = {0};
    for (unsigned byte = 0; byte < 256; byte++) {
        bool prints =
            (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        unsigned c = prints         ? byte
                     : byte <= 0x20 ? 0x100 + byte
                     : byte <= 0xA0 ? 0x121 + byte - 0x7F
                                    : 0x143;
        Str text = {0};
        str_append_utf8(&text, c);
        if (byte > 0) str_append_char(&vocab, ',');
        json_dump_str(&vocab, text.data, text.len);
        str_printf(&vocab, ":%u", byte);
        str_free(&text);
    }
    str_printf(&json, model, str_text(&vocab));
    str_free(&vocab);
    return json;
}

static Tokenizer *open_model(const char *folder) {
    Str json = model_json();
    Tokenizer *t = NULL;
    mem_free(scratch_text(folder, "tokenizer.json", json.data));
    mem_free(scratch_text(
        folder, "tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"},\"model_max_length\":"
        "1000000000000000019884624838656,\"chat_template\":[{\"name\":\"tool_use\",\"template\":"
        "\"x\"},{\"name\":\"default\",\"template\":\"y\"}]}"));
    mem_free(scratch_text(folder, "generation_config.json", "{\"eos_token_id\":[302,301]}"));
    if (tokenizer_open(&t, folder) != OK) fail_msg("%s", status_message());
    str_free(&json);
    return t;
}

static void expect(const TokenIds *ids, const int32_t *want, size_t n) {
    for (size_t i = 0; i < ids->n && i < n; i++) assert_int_equal(ids->id[i], want[i]);
    assert_int_equal(ids->n, n);
}
#define EXPECT(ids, ...)                        \
    expect(ids, (const int32_t[]){__VA_ARGS__}, \
           sizeof(const int32_t[]){__VA_ARGS__} / sizeof(int32_t))

typedef struct Fixture {
    char *folder;
    Tokenizer *t;
} Fixture;

static int set_up(void **state) {
    Fixture *f = mem_alloc(sizeof *f);
    f->folder = scratch_new();
    f->t = open_model(f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    tokenizer_close(f->t);
    scratch_free(f->folder);
    mem_free(f);
    return 0;
}

static const Tokenizer *tok(void **state) {
    return ((Fixture *)*state)->t;
}

static void test_encode__special_text_is_special_only_when_asked(void **state) {
    TokenIds ids = {0};
    assert_int_equal(tokenizer_encode(tok(state), &ids, "hi</s>", 6, TOKENIZER_PARSE_SPECIAL), OK);
    EXPECT(&ids, 256, 301);
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "hi</s>", 6, 0), OK);
    EXPECT(&ids, 256, '<', '/', 's', '>');
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "hi", 2, TOKENIZER_ADD_SPECIAL), OK);
    EXPECT(&ids, 300, 256, 301);
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "", 0, TOKENIZER_ADD_SPECIAL), OK);
    EXPECT(&ids, 300, 301);
    token_ids_free(&ids);
}

static void test_encode__added_tokens_take_their_flags(void **state) {
    TokenIds ids = {0};
    const char *text =
        "hi  <|user|>hi<think> word words"; /* lstrip; not special; single_word twice */
    assert_int_equal(
        tokenizer_encode(tok(state), &ids, text, strlen(text), TOKENIZER_PARSE_SPECIAL), OK);
    EXPECT(&ids, 256, 302, 256, 303, 0x20, 304, 0x20, 'w', 'o', 'r', 'd', 's');
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "<think>", 7, 0), OK);
    EXPECT(&ids, 303);
    token_ids_free(&ids);
}

static void test_segments__a_user_never_writes_a_special_token(void **state) {
    TokenIds ids = {0};
    const TokenSegment segments[] = {{"<s>", 3, SEGMENT_SPECIAL},
                                     {"</s>", 4, 0}, /* all the user's */
                                     {"</", 2, 0},   /* half the user's */
                                     {"s></s>", 6, SEGMENT_SPECIAL},
                                     {"</", 2, SEGMENT_SPECIAL}, /* the template's, in two pieces */
                                     {"s>", 2, SEGMENT_SPECIAL}};
    assert_int_equal(tokenizer_encode_segments(tok(state), &ids, segments, 6, 0), OK);
    EXPECT(&ids, 300, '<', '/', 's', '>', '<', '/', 's', '>', 301, 301);
    token_ids_free(&ids);
}

static void test_segments__a_user_hides_no_special_token(void **state) {
    TokenIds ids = {0};
    const TokenSegment segments[] = {{"[", 1, 0}, {"x]", 2, SEGMENT_SPECIAL}}; /* not "[x" */
    assert_int_equal(tokenizer_encode_segments(tok(state), &ids, segments, 2, 0), OK);
    EXPECT(&ids, '[', 306);
    token_ids_clear(&ids);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "[x]", 3, TOKENIZER_PARSE_SPECIAL), OK);
    EXPECT(&ids, 305, ']');
    token_ids_free(&ids);
}

static void test_segments__are_one_text_and_masks_follow_bytes(void **state) {
    TokenIds ids = {.want_mask = true};
    const TokenSegment segments[] = {{"h", 1, SEGMENT_SPECIAL},
                                     {"i h", 3, SEGMENT_MASK},
                                     {"i", 1, 0},
                                     {"</s>", 4, SEGMENT_SPECIAL | SEGMENT_MASK},
                                     {"hi", 2, SEGMENT_SPECIAL}};
    assert_int_equal(
        tokenizer_encode_segments(tok(state), &ids, segments, 5, TOKENIZER_ADD_SPECIAL), OK);
    EXPECT(&ids, 300, 256, 257, 301, 256, 301);
    const uint8_t mask[] = {0, 1, 1, 1, 0, 0};
    assert_memory_equal(ids.mask, mask, 6);
    token_ids_free(&ids);
}

static void test_encode__refuses_text_that_is_not_utf8(void **state) {
    TokenIds ids = {0};
    token_ids_push(&ids, 7, false);
    assert_int_equal(tokenizer_encode(tok(state), &ids, "a\xC3", 2, 0), ERR_DATA);
    EXPECT(&ids, 7);
    token_ids_free(&ids);
}

static void test_decode__skips_special_and_mends_bytes(void **state) {
    Str text = {0};
    const int32_t ids[] = {300, 256, 301, 257, 0xE4, 0xBD, 'x', 0xE4, 0xBD, 0xA0, 0xFF};
    assert_int_equal(tokenizer_decode(tok(state), &text, ids, 11, TOKENIZER_SKIP_SPECIAL), OK);
    assert_string_equal(str_text(&text), "hi hi\xEF\xBF\xBDx\xE4\xBD\xA0\xEF\xBF\xBD");
    str_clear(&text);
    assert_int_equal(tokenizer_decode(tok(state), &text, ids, 3, 0), OK);
    assert_string_equal(str_text(&text), "<s>hi</s>");
    str_clear(&text);
    const int32_t bad[] = {256, -1};
    assert_int_equal(tokenizer_decode(tok(state), &text, bad, 2, 0), ERR_DATA);
    assert_string_equal(str_text(&text), "");
    str_free(&text);
}

static void test_stream__holds_characters_until_they_are_whole(void **state) {
    Str text = {0};
    TokenStream s = {0};
    token_stream_init(&s, tok(state), 0);
    assert_int_equal(token_stream_push(&s, &text, 0xE4), OK);
    assert_int_equal(token_stream_push(&s, &text, 0xBD), OK);
    assert_int_equal(text.len, 0);
    assert_int_equal(token_stream_push(&s, &text, 0xA0), OK);
    assert_string_equal(str_text(&text), "\xE4\xBD\xA0");
    assert_int_equal(token_stream_push(&s, &text, 0xE4), OK);
    token_stream_finish(&s, &text);
    assert_string_equal(str_text(&text), "\xE4\xBD\xA0\xEF\xBF\xBD");
    str_free(&text);
}

static void test_open__reads_names_and_ends(void **state) {
    const int32_t *ends = NULL;
    assert_int_equal(tokenizer_bos(tok(state)), 300);
    assert_int_equal(tokenizer_eos(tok(state)), 301);
    assert_int_equal(tokenizer_pad(tok(state)), TOKEN_NONE);
    assert_int_equal(tokenizer_eos_list(tok(state), &ends), 2);
    assert_int_equal(ends[0], 302);
    assert_int_equal(tokenizer_max_length(tok(state)), 0);
    assert_string_equal(tokenizer_chat_template(tok(state)), "y");
    assert_string_equal(tokenizer_special_text(tok(state), "eos_token"), "</s>");
    assert_null(tokenizer_special_text(tok(state), "pad_token"));
    assert_int_equal(tokenizer_vocab_size(tok(state)), 307);
    assert_int_equal(tokenizer_id(tok(state), "hi"), 256);
    assert_string_equal(tokenizer_token(tok(state), 257), "\xC4\xA0hi");
    assert_null(tokenizer_token(tok(state), 299));
    assert_true(tokenizer_is_special(tok(state), 300));
    assert_false(tokenizer_is_special(tok(state), 303));
}

static void test_export__gives_the_same_tokenizer(void **state) {
    char *folder = scratch_new();
    Tokenizer *copy = NULL;
    assert_int_equal(tokenizer_export(tok(state), folder), OK);
    assert_int_equal(tokenizer_open(&copy, folder), OK);
    assert_string_equal(tokenizer_digest(copy), tokenizer_digest(tok(state)));
    tokenizer_close(copy);
    mem_free(scratch_text(folder, "chat_template.jinja", "z"));
    assert_int_equal(tokenizer_open(&copy, folder), OK);
    assert_string_not_equal(tokenizer_digest(copy), tokenizer_digest(tok(state)));
    assert_string_equal(tokenizer_chat_template(copy), "z");
    tokenizer_close(copy);
    scratch_free(folder);
}

/* Many threads at once: each gets what one alone gets (a data race shows under TSan). */
static void test_encode__is_safe_in_threads(void **state) {
    const Tokenizer *t = tok(state);
    enum { N = 400 };
    int wrong = 0;
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
    for (int i = 0; i < N; i++) {
        char text[64];
        TokenIds ids = {0};
        Str back = {0};
        int n = snprintf(text, sizeof text, "hi %d</s> hi%*d", i, 1 + i % 40, i);
        if (tokenizer_encode(t, &ids, text, (size_t)n, TOKENIZER_PARSE_SPECIAL) != OK) wrong++;
        if (tokenizer_decode(t, &back, ids.id, ids.n, 0) != OK) wrong++;
        if (!str_equal(str_text(&back), text)) wrong++;
        token_ids_free(&ids);
        str_free(&back);
    }
    assert_int_equal(wrong, 0);
}

static void test_bytes__are_themselves(void **state) {
    (void)state;
    Tokenizer *t = NULL, *again = NULL;
    TokenIds ids = {0};
    Str text = {0};
    assert_int_equal(tokenizer_open(&t, "bytes"), OK);
    assert_int_equal(tokenizer_vocab_size(t), 259);
    assert_int_equal(tokenizer_bos(t), 256);
    assert_int_equal(tokenizer_eos(t), 257);
    assert_int_equal(tokenizer_pad(t), 258);
    assert_int_equal(tokenizer_encode(t, &ids, "a \xC3\xA9<eos>", 9, TOKENIZER_PARSE_SPECIAL), OK);
    EXPECT(&ids, 'a', ' ', 0xC3, 0xA9, 257);
    assert_int_equal(tokenizer_decode(t, &text, ids.id, ids.n, TOKENIZER_SKIP_SPECIAL), OK);
    assert_string_equal(str_text(&text), "a \xC3\xA9");
    char *folder = scratch_new();
    assert_int_equal(tokenizer_export(t, folder), OK);
    assert_int_equal(tokenizer_open(&again, folder), OK);
    assert_string_equal(tokenizer_digest(again), tokenizer_digest(t));
    assert_int_equal(tokenizer_eos(again), 257);
    scratch_free(folder);
    token_ids_free(&ids);
    str_free(&text);
    tokenizer_close(t);
    tokenizer_close(again);
}

int main(void) {
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(test_encode__special_text_is_special_only_when_asked),
        WITH(test_encode__added_tokens_take_their_flags),
        WITH(test_segments__a_user_never_writes_a_special_token),
        WITH(test_segments__a_user_hides_no_special_token),
        WITH(test_segments__are_one_text_and_masks_follow_bytes),
        WITH(test_encode__refuses_text_that_is_not_utf8),
        WITH(test_decode__skips_special_and_mends_bytes),
        WITH(test_stream__holds_characters_until_they_are_whole),
        WITH(test_open__reads_names_and_ends),
        WITH(test_export__gives_the_same_tokenizer),
        WITH(test_encode__is_safe_in_threads),
        cmocka_unit_test(test_bytes__are_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
