/* A pattern of a tokenizer file (up to the first NUL) over a text.
 *
 * Parser: core/regex.c
 */
#include "fuzz.h"

#include "data/tokenizer/pretokenize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    size_t n = 0;
    while (n < size && text[n]) n++;
    Regex *r = NULL;
    if (!fuzz_ok(regex_open(&r, text, n, "fuzz"))) return 0;
    if (n < size) n++;
    text += n;
    size -= n;
    RegexScratch w = {0};
    bool found = str_utf8_valid(text, size, NULL);
    for (size_t from = 0; found && from <= size;) {
        size_t start = 0, end = 0;
        if (!fuzz_ok(regex_find(r, &w, text, size, from, &found, &start, &end)) || !found) break;
        CHECK(start >= from && end >= start && end <= size, "%zu..%zu of %zu from %zu", start, end,
              size, from);
        if (end == from) end++;
        while (end < size && ((unsigned char)text[end] & 0xc0) == 0x80) end++;
        from = end;
    }
    regex_scratch_free(&w);
    regex_close(r);
    return 0;
}

#define SEED(pattern, text) fuzz_seed(pattern "\0" text, sizeof(pattern "\0" text) - 1)

void fuzz_seeds(void) {
    SEED(PRETOKENIZE_GPT2, "it's 12 cats,  ok\n");
    SEED("(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s*[\\r\\n]+", "DON'T 1234\r\n");
    SEED("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    SEED("[\xe4\xb8\x80-\xe9\xbe\xa5]+|(?<!x)y(?=z)", "xyz yz \xe4\xb8\xad");
}

const char *const fuzz_words[] = {
    "\\p{L}",      "\\p{Lu}",  "(?:", "(?<name>", "(?>",   "\\G",
    "\\K",         "\\X",      "\\1", "(?R)",     "(?C1)", "[[:alpha:]]",
    "[^",          "{1,9999}", "*+",  "++",       "??",    "(*LIMIT_MATCH=1)",
    "\\x{110000}", "\\Q",      "&&[", NULL};
