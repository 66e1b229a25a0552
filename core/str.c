#include "core/str.h"

#include "core/check.h"
#include "core/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void str_free(Str *s) {
    mem_free(s->data);
    *s = (Str){0};
}

void str_clear(Str *s) {
    s->len = 0;
    if (s->data) s->data[0] = '\0';
}

const char *str_text(const Str *s) {
    return s->data ? s->data : "";
}

char *str_take(Str *s) {
    char *text = s->data ? s->data : mem_strdup("");
    *s = (Str){0};
    return text;
}

void str_reserve(Str *s, size_t more) {
    size_t need;
    bool fits = mem_add(&need, s->len, more) && mem_add(&need, need, 1);
    CHECK(fits, "%zu + %zu bytes", s->len, more);
    if (need <= s->cap) return;
    size_t cap = s->cap < 32 ? 32 : s->cap;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    s->data = mem_realloc(s->data, cap, 1);
    s->cap = cap;
    s->data[s->len] = '\0';
}

void str_append_n(Str *s, const void *bytes, size_t n) {
    str_reserve(s, n);
    if (n > 0) memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = '\0';
}

void str_append(Str *s, const char *text) {
    str_append_n(s, text, strlen(text));
}

void str_append_char(Str *s, char c) {
    str_append_n(s, &c, 1);
}

void str_vprintf(Str *s, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    str_reserve(s, 64);
    int n = vsnprintf(s->data + s->len, s->cap - s->len, fmt, args);
    CHECK(n >= 0, "format %s", fmt);
    if ((size_t)n >= s->cap - s->len) {
        str_reserve(s, (size_t)n);
        vsnprintf(s->data + s->len, s->cap - s->len, fmt, again);
    }
    va_end(again);
    s->len += (size_t)n;
}

void str_printf(Str *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    str_vprintf(s, fmt, args);
    va_end(args);
}

char *str_format(const char *fmt, ...) {
    Str s = {0};
    va_list args;
    va_start(args, fmt);
    str_vprintf(&s, fmt, args);
    va_end(args);
    return str_take(&s);
}

void str_append_utf8(Str *s, unsigned c) {
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) c = 0xfffd;
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) b[i] = (char)(0x80 | (c & 0x3f));
    b[0] = (char)(lead[n] | c);
    str_append_n(s, b, n);
}

bool str_equal(const char *a, const char *b) {
    if (!a || !b) return a == b;
    return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Length of the well-formed sequence at b, 0 when there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence(const unsigned char *b, size_t n) {
    unsigned char lead = b[0], low = 0x80, high = 0xbf; /* range of the second byte */
    size_t len;
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) {
        len = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        len = 3;
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        len = 4;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    if (n < len || b[1] < low || b[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if (b[i] < 0x80 || b[i] > 0xbf) return 0;
    return len;
}

bool str_utf8_valid(const char *bytes, size_t n, size_t *bad) {
    const unsigned char *b = (const unsigned char *)bytes;
    for (size_t i = 0; i < n;) {
        size_t step = utf8_sequence(b + i, n - i);
        if (step == 0) {
            if (bad) *bad = i;
            return false;
        }
        i += step;
    }
    return true;
}
