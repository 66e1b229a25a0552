/* tokenizer.model: a protobuf of SentencePiece, or tiktoken's lines of ranks.
 *
 * Parser: data/tokenizer/tokenizer_model.c
 * Parser: data/tokenizer/sentencepiece.c
 * Parser: data/tokenizer/tiktoken.c
 * Parser: data/tokenizer/base64.c
 */
#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_tokenizer_open(fuzz_file("tokenizer.model", data, size));
    return 0;
}

/* Field `number` of `n` bytes (at most 127). */
static void field(Str *out, int number, const char *bytes, size_t n) {
    str_append_char(out, (char)(number << 3 | 2));
    str_append_char(out, (char)n);
    str_append_n(out, bytes, n);
}

static void piece(Str *out, const char *text, float score, int type) {
    Str p = {0};
    field(&p, 1, text, strlen(text));
    str_append_char(&p, 2 << 3 | 5);
    str_append_n(&p, &score, sizeof score);
    if (type != 1) {
        str_append_char(&p, 3 << 3);
        str_append_char(&p, (char)type);
    }
    field(out, 1, p.data, p.len);
    str_free(&p);
}

/* kind: 1 Unigram, 2 BPE */
static void seed_sentencepiece(bool bytes, char kind) {
    Str model = {0};
    piece(&model, "<unk>", 0, 2);
    piece(&model, "<s>", 0, 3);
    piece(&model, "</s>", 0, 3);
    for (int i = 0; i < 256 && bytes; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        piece(&model, name, 0, 6);
    }
    piece(&model,
          "\xe2\x96\x81"
          "a",
          -1, 1);
    piece(&model, "aa", -2, 1);
    piece(&model, "\xe2\x96\x81", -3, 1);
    piece(&model, "a", -4, 1);
    piece(&model, "user", -5, 4);
    /* trainer_spec: model_type, byte_fallback; normalizer_spec: name, add_dummy_prefix */
    const char trainer[] = {3 << 3, kind, (char)(0x98), 2, 1};
    field(&model, 2, trainer, bytes ? sizeof trainer : 2);
    const char normalizer[] = {1 << 3 | 2, 8,   'i',    'd', 'e',    'n', 't',    'i',
                               't',        'y', 3 << 3, 1,   4 << 3, 0,   5 << 3, 1};
    field(&model, 3, normalizer, sizeof normalizer);
    fuzz_seed(model.data, model.len);
    str_free(&model);
}

void fuzz_seeds(void) {
    for (char kind = 1; kind <= 2; kind++) {
        seed_sentencepiece(true, kind);
        seed_sentencepiece(false, kind);
    }
    /* Each byte has a rank in a whole file; too few are refused, and that is a place as well. */
    Str lines = {0};
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned i = 0; i < 256; i++)
        str_printf(&lines, "%c%c== %u\n", alphabet[i >> 2], alphabet[(i & 3) << 4], i);
    str_append(&lines, "YWE= 256\nYWFh 257\n");
    fuzz_seed(lines.data, lines.len);
    str_free(&lines);
}

const char *const fuzz_words[] = {"\x0a\x0e",
                                  "\x15",
                                  "\x18\x02",
                                  "\x18\x01",
                                  "\x18\x06",
                                  "\x12\x02",
                                  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                  "\xff\xff\xff\xff\x0f",
                                  "\x0b",
                                  "\x0c",
                                  "<0x41>",
                                  "== 7\n",
                                  "YQ== ",
                                  NULL};
