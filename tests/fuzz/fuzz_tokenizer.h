/* What the tokenizer targets do with a tokenizer that was read: encode, decode, look around. */
#ifndef HONE_TESTS_FUZZ_TOKENIZER_H
#define HONE_TESTS_FUZZ_TOKENIZER_H

#include "fuzz.h"

#include "data/tokenizer/tokenizer.h"

static const char fuzz_text[] = "Hello, w\xc3\xb6rld!  \n\t1234 <s>\xf0\x9f\x98\x80 it's [INST] "
                                "\xe4\xb8\xad\xe6\x96\x87 e\xcc\x81 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static inline void fuzz_tokenizer_use(const Tokenizer *t, const char *text, size_t n) {
    for (unsigned flags = 0; flags < 4; flags++) {
        TokenIds ids = {.want_mask = flags == 1};
        Str back = {0};
        if (fuzz_ok(tokenizer_encode(t, &ids, text, n, flags))) {
            for (size_t i = 0; i < ids.n; i++) {
                CHECK(ids.id[i] >= 0 && ids.id[i] < tokenizer_vocab_size(t), "id %d of %d",
                      ids.id[i], tokenizer_vocab_size(t));
                CHECK(tokenizer_token(t, ids.id[i]), "id %d has no text", ids.id[i]);
            }
            if (fuzz_ok(tokenizer_decode(t, &back, ids.id, ids.n, flags & 1)))
                CHECK(str_utf8_valid(str_text(&back), back.len, NULL), "decoded to no UTF-8");
        }
        token_ids_free(&ids);
        str_free(&back);
    }
}

/* Opens what lies at `path` and uses it. */
static inline void fuzz_tokenizer_open(const char *path) {
    Tokenizer *t = NULL;
    if (!fuzz_ok(tokenizer_open(&t, path))) return;
    const char *name, *text;
    const int32_t *ids;
    for (size_t i = 0; tokenizer_special_at(t, i, &name, &text); i++) tokenizer_id(t, text);
    size_t n = tokenizer_eos_list(t, &ids);
    for (size_t i = 0; i < n; i++) tokenizer_is_special(t, ids[i]);
    fuzz_tokenizer_use(t, fuzz_text, sizeof fuzz_text - 1);
    tokenizer_close(t);
}

#endif
