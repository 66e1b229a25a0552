/* Text into tokenizers of each kind, byte by byte and in segments; raw bytes come back as they
 * were.
 *
 * Parser: data/tokenizer/bpe.c
 * Parser: data/tokenizer/added.c
 * Parser: data/tokenizer/spans.c
 * Parser: data/tokenizer/pretokenize.c
 * Parser: data/tokenizer/detokenize.c
 */
#include "fuzz_tokenizer.h"

static Tokenizer *bytes, *learned;

static void close_all(void) {
    tokenizer_close(bytes);
    tokenizer_close(learned);
}

static void open_all(void) {
    CHECK(tokenizer_open_bytes(&bytes) == OK, "%s", status_message());
    CHECK(tokenizer_open(&learned, HONE_SOURCE_DIR "/configs/smoke/tokenizer") == OK, "%s",
          status_message());
    atexit(close_all);
}

/* Cut anywhere, the pieces are the text that they make together. */
static void use_segments(const Tokenizer *t, const char *text, size_t n) {
    TokenIds whole = {0}, parts = {0};
    size_t cut = n / 3;
    TokenSegment segments[] = {{text, cut, 0}, {text + cut, n - cut, SEGMENT_MASK}};
    bool ok = fuzz_ok(tokenizer_encode(t, &whole, text, n, 0));
    CHECK(fuzz_ok(tokenizer_encode_segments(t, &parts, segments, 2, 0)) == ok,
          "text and segments differ");
    CHECK(whole.n == parts.n &&
              (whole.n == 0 || memcmp(whole.id, parts.id, whole.n * sizeof *whole.id) == 0),
          "%zu ids, in segments %zu", whole.n, parts.n);
    token_ids_free(&whole);
    token_ids_free(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!bytes) open_all();
    const Tokenizer *all[] = {bytes, learned};
    for (size_t i = 0; i < 2; i++) {
        TokenIds ids = {0};
        Str back = {0};
        fuzz_tokenizer_use(all[i], (const char *)data, size);
        use_segments(all[i], (const char *)data, size);
        bool ok = fuzz_ok(tokenizer_encode(all[i], &ids, (const char *)data, size, 0));
        CHECK(ok == str_utf8_valid((const char *)data, size, NULL), "UTF-8 and accepted differ");
        if (ok && fuzz_ok(tokenizer_decode(all[i], &back, ids.id, ids.n, 0)))
            CHECK(back.len == size && memcmp(str_text(&back), data, size) == 0,
                  "the text came back as another");
        token_ids_free(&ids);
        str_free(&back);
    }
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text(fuzz_text);
    fuzz_seed_text("The cat's tail; 3.14 dollars\r\n\r\n   and    so on.");
    fuzz_seed_text("<bos><eos></s><pad>\xe2\x80\x8b\xc2\xa0\xef\xbb\xbf");
}

const char *const fuzz_words[] = {"\xe2\x96\x81",
                                  "\xc4\xa0",
                                  "</s>",
                                  "<pad>",
                                  "  ",
                                  "\r\n",
                                  "'ll",
                                  "\xf4\x8f\xbf\xbf",
                                  "\xed\x9f\xbf",
                                  "\xef\xbf\xbd",
                                  "\xcc\x81",
                                  "\xe1\x84\x80\xe1\x85\xa1",
                                  NULL};
