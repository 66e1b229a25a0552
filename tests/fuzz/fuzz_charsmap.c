/* A compiled character map (its first `n` bytes, n in the two bytes before) over a text.
 *
 * Parser: data/tokenizer/charsmap.c
 */
#include "fuzz.h"

#include "data/tokenizer/charsmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    size_t n = data[0] | (size_t)data[1] << 8;
    const char *text = (const char *)data + 2;
    size -= 2;
    if (n > size) n = size;
    Charsmap *c = NULL;
    if (!fuzz_ok(charsmap_open(&c, text, n, "fuzz"))) return 0;
    for (size_t at = 0; at < size; at++) { /* the map itself is text enough */
        const char *found = NULL;
        size_t least = charsmap_find(c, CHARSMAP_SHORTEST, text + at, size - at, &found);
        CHECK(least <= size - at, "%zu of %zu", least, size - at);
        bool inside = least > 0 && at + least < size && (data[2 + at + least] & 0xC0) == 0x80;
        CHECK(!inside, "the rule at %zu ends inside a character", at);
        CHECK(least == 0 || str_utf8_valid(found, strlen(found), NULL), "no UTF-8");
        size_t most = charsmap_find(c, CHARSMAP_LONGEST, text + at, size - at, &found);
        CHECK(most >= least && most <= size - at, "%zu of %zu", most, size - at);
        CHECK(most == 0 || str_utf8_valid(found, strlen(found), NULL), "no UTF-8");
    }
    charsmap_close(c);
    return 0;
}

/* The rules A -> xy and AB -> z; see test_tokenizer_models.c. */
void fuzz_seeds(void) {
    uint32_t units[256] = {[0] = 1u << 10,
                           [1 ^ 'A'] = 'A' | 1u << 8 | 3u << 10,
                           [1 ^ 'A' ^ 3] = 0,
                           [1 ^ 'A' ^ 3 ^ 'B'] = 'B' | 1u << 8 | 4u << 10,
                           [1 ^ 'A' ^ 3 ^ 'B' ^ 4] = 3};
    char blob[2 + 4 + sizeof units + 5 + 3];
    size_t n = sizeof blob - 2 - 3;
    const char header[] = {(char)(n & 255), (char)(n >> 8), 0, sizeof units >> 8, 0, 0};
    memcpy(blob, header, 6);
    memcpy(blob + 6, units, sizeof units);
    memcpy(blob + 6 + sizeof units, "xy\0z\0ABA", 8);
    fuzz_seed(blob, sizeof blob);
    /* 64 units, and one more is where an A would lead: 'A' ^ 1. */
    char small[2 + 4 + 4 * 64 + 1] = {4, 1, 0, 1, 0, 0, 0, 4, [2 + 4 + 4 * 64] = 'A'};
    fuzz_seed(small, sizeof small);
}

const char *const fuzz_words[] = {"A", "AB", "\xC3\xA4", "\xFF\xFF\xFF\xFF", "\x41\x01", NULL};
