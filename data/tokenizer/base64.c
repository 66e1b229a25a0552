#include "data/tokenizer/base64.h"

static int digit_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_append(Str *out, const char *text, size_t n) {
    while (n > 0 && text[n - 1] == '=') n--;
    unsigned bits = 0, n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0) return false;
        bits = (bits << 6 | (unsigned)digit) & 0xFFFF;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        str_append_char(out, (char)(bits >> n_bits & 0xFF));
    }
    return n > 0;
}
