/* tiktoken's rank files, lines of "base64 rank": Llama 3's original tokenizer.model and its kin.
 * Two neighbours merge when their bytes together are a token, lowest rank first. The file says
 * neither how text is cut nor what the control tokens are: both follow from whose vocabulary it is.
 */
#include "core/mem.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/pretokenize.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <stdio.h>
#include <string.h>

#define CUT_CL100K                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+" \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CUT_QWEN                                                                              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+" \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct TiktokenFamily {
    size_t n_ranks; /* tells whose it is; 0: anybody else's */
    const char *cut;
    bool nfc;
    const char *special[12];            /* the first ids behind the ranks */
    int32_t n_reserved, reserved_first; /* "<|reserved_special_token_5|>", ... */
    const char *bos, *eos;
} TiktokenFamily;

static const TiktokenFamily families[] = {
    {128000,
     CUT_CL100K,
     false,
     {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
      "<|reserved_special_token_1|>", "<|reserved_special_token_2|>",
      "<|reserved_special_token_3|>", "<|start_header_id|>", "<|end_header_id|>",
      "<|reserved_special_token_4|>", "<|eot_id|>"},
     246,
     5,
     "<|begin_of_text|>",
     "<|end_of_text|>"},
    {151643,
     CUT_QWEN,
     true,
     {"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
     0,
     0,
     NULL,
     "<|endoftext|>"},
    {100256, CUT_CL100K, false, {NULL}, 0, 0, NULL, NULL},
    {0, CUT_CL100K, false, {NULL}, 0, 0, NULL, NULL},
};

/* Appends the bytes in GPT-2's alphabet. False when it is no base64. */
static bool append_token(Str *out, const char *text, size_t n) {
    Str bytes = {0};
    bool good = base64_append(&bytes, text, n);
    for (size_t i = 0; good && i < bytes.len; i++) {
        str_append_utf8(out, pretokenize_byte_char((unsigned char)bytes.data[i]));
    }
    str_free(&bytes);
    return good;
}

static Status read_line(Tokenizer *t, Str *token, const char *line, size_t n, size_t number,
                        const char *where) {
    const char *blank = memchr(line, ' ', n);
    int64_t rank = blank == NULL ? -1 : 0;
    for (const char *c = blank; rank >= 0 && c != NULL && ++c < line + n;) {
        rank = *c >= '0' && *c <= '9' && rank < VOCAB_MAX_ID ? rank * 10 + (*c - '0') : -1;
    }
    str_clear(token);
    if (rank < 0 || rank >= VOCAB_MAX_ID || blank + 1 == line + n ||
        !append_token(token, line, (size_t)(blank - line))) {
        return status_fail(ERR_DATA,
                           "%s:%zu: neither a SentencePiece model nor a line \"base64 rank\"",
                           where, number);
    }
    if (!vocab_add(&t->vocab, token->data, token->len, (int32_t)rank)) {
        return status_fail(ERR_DATA, "%s:%zu: the token or its rank is there twice", where, number);
    }
    return OK;
}

static void add_merges(Tokenizer *t) {
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n = 0;
        const char *text = vocab_text(&t->vocab, id, &n);
        if (text == NULL) continue;
        for (size_t cut = 1; cut < n; cut++) {
            if (((unsigned char)text[cut] & 0xC0) == 0x80) continue; /* inside a character */
            int32_t left = vocab_find(&t->vocab, text, cut);
            int32_t right = vocab_find(&t->vocab, text + cut, n - cut);
            if (left >= 0 && right >= 0) bpe_add_merge(&t->bpe, left, right, (uint32_t)id, id);
        }
    }
}

static Status add_special(Tokenizer *t, const char *text, const char *where) {
    AddedToken token = {.id = t->vocab.size, .special = true};
    return tokenizer_add_token(t, text, strlen(text), token, where);
}

static Status add_family(Tokenizer *t, const TiktokenFamily *f, const char *where) {
    for (size_t i = 0; i < 12 && f->special[i] != NULL; i++)
        TRY(add_special(t, f->special[i], where));
    for (int32_t i = 0; i < f->n_reserved; i++) {
        char name[64];
        snprintf(name, sizeof name, "<|reserved_special_token_%d|>", f->reserved_first + i);
        TRY(add_special(t, name, where));
    }
    if (f->bos != NULL) t->bos = tokenizer_id(t, f->bos);
    if (f->eos != NULL) t->eos = tokenizer_id(t, f->eos);
    if (t->bos >= 0) token_ids_push(&t->before, t->bos, false);
    if (f->nfc) {
        normalizer_add(&t->normalizer,
                       (NormalizeStep){.kind = NORMALIZE_FORM, .form = UNICODE_NFC});
    }
    PretokenizeStep split = {.kind = PRETOKENIZE_SPLIT, .behavior = SPLIT_ISOLATED};
    TRY(regex_open(&split.regex, f->cut, strlen(f->cut), where));
    pretokenizer_add(&t->pretokenizer, split);
    pretokenizer_add(&t->pretokenizer, (PretokenizeStep){.kind = PRETOKENIZE_BYTE_LEVEL});
    detokenizer_add(&t->detokenizer, (DetokenizeStep){.kind = DETOKENIZE_BYTE_LEVEL});
    return OK;
}

Status tiktoken_read(Tokenizer *t, const char *text, size_t n, const char *where) {
    Str token = {0};
    Status st = OK;
    size_t number = 0;
    for (size_t at = 0; at < n && st == OK;) {
        const char *line = text + at, *end = memchr(line, '\n', n - at);
        size_t length = end == NULL ? n - at : (size_t)(end - line);
        at += length + 1;
        number++;
        if (length > 0 && line[length - 1] == '\r') length--;
        if (length > 0) st = read_line(t, &token, line, length, number, where);
    }
    str_free(&token);
    TRY(st);
    add_merges(t);
    t->bpe.ignore_merges = true; /* a whole word that is a token is taken, as tiktoken does */
    const TiktokenFamily *f = families;
    while (f->n_ranks != 0 && f->n_ranks != t->vocab.n_tokens) f++;
    return add_family(t, f, where);
}
