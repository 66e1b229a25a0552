#include "data/tokenizer/unicode.h"

#include "core/check.h"
#include "core/mem.h"

#include <string.h>
#include <utf8proc.h>

size_t unicode_length(unsigned char first) {
    if (first < 0x80) return 1;
    if (first < 0xE0) return 2;
    return first < 0xF0 ? 3 : 4;
}

uint32_t unicode_decode(const char *text, size_t n, size_t *length) {
    const unsigned char *s = (const unsigned char *)text;
    size_t k = unicode_length(s[0]);
    CHECK(k <= n, "character of %zu bytes in %zu", k, n);
    *length = k;
    if (k == 1) return s[0];
    uint32_t c = s[0] & (0x7Fu >> k);
    for (size_t i = 1; i < k; i++) c = c << 6 | (s[i] & 0x3Fu);
    return c;
}

uint32_t unicode_decode_last(const char *text, size_t n, size_t *length) {
    size_t at = n - 1;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80) at--;
    return unicode_decode(text + at, n - at, length);
}

size_t unicode_cluster(const char *text, size_t n) {
    size_t at, k;
    utf8proc_int32_t state = 0, before = (utf8proc_int32_t)unicode_decode(text, n, &at);
    if (before < 0x80 && before != '\r' && at < n && (unsigned char)text[at] < 0x80) return at;
    while (at < n) {
        utf8proc_int32_t c = (utf8proc_int32_t)unicode_decode(text + at, n - at, &k);
        if (utf8proc_grapheme_break_stateful(before, c, &state)) break;
        before = c;
        at += k;
    }
    return at;
}

static utf8proc_category_t category(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c);
}

bool unicode_is_space(uint32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    if (c == 0x85) return true;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

bool unicode_is_blank(uint32_t c) {
    return unicode_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

bool unicode_is_letter(uint32_t c) {
    if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool unicode_is_numeric(uint32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9';
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool unicode_is_punctuation(uint32_t c) {
    if (c < 0x80) return c > ' ' && c < 0x7F && !unicode_is_letter(c) && !unicode_is_numeric(c);
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool unicode_is_mark(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

bool unicode_is_thin_mark(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_MN;
}

bool unicode_is_control(uint32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') return false;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

bool unicode_is_assigned(uint32_t c) {
    return category(c) != UTF8PROC_CATEGORY_CN;
}

bool unicode_is_word(uint32_t c) {
    if (c < 0x80) return unicode_is_letter(c) || unicode_is_numeric(c) || c == '_';
    utf8proc_category_t k = category(c);
    bool joiner = c == 0x200C || c == 0x200D;
    return unicode_is_letter(c) || unicode_is_mark(c) || k == UTF8PROC_CATEGORY_ND ||
           k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC || joiner;
}

bool unicode_is_upper(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT;
}

uint32_t unicode_lower(uint32_t c) {
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}

void unicode_append_lower(Str *out, uint32_t c) {
    str_append_utf8(out, c == 0x130 ? 'i' : unicode_lower(c));
    if (c == 0x130) str_append_utf8(out, 0x307);
}

uint32_t unicode_upper(uint32_t c) {
    return (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
}

/* ---- normal forms ----
 * utf8proc takes quadratic time to put a long run of marks in order, so that only its tables and
 * its composition are used. */

typedef struct CodePoints {
    utf8proc_int32_t *c; /* [n] */
    size_t n, cap;
} CodePoints;

#define MOST_PARTS 32 /* of one character; Unicode's longest has 18 */

static void decompose(CodePoints *p, uint32_t c, utf8proc_option_t options) {
    if (p->cap - p->n < MOST_PARTS) {
        p->cap = p->cap * 2 + 8 * MOST_PARTS;
        p->c = mem_realloc(p->c, p->cap, sizeof *p->c);
    }
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, p->c + p->n, MOST_PARTS, options, NULL);
    CHECK(n >= 0 && n <= MOST_PARTS, "U+%04X has %d parts", (unsigned)c, (int)n);
    p->n += (size_t)n;
}

static unsigned class_of(utf8proc_int32_t c) {
    return (unsigned)utf8proc_get_property(c)->combining_class & 0xFF;
}

/* Those of one class stay in their order. */
static void sort_run(utf8proc_int32_t *c, size_t n) {
    size_t count[257] = {0};
    utf8proc_int32_t *sorted = mem_alloc(n * sizeof *sorted);
    for (size_t i = 0; i < n; i++) count[class_of(c[i]) + 1]++;
    for (size_t k = 1; k < 257; k++) count[k] += count[k - 1];
    for (size_t i = 0; i < n; i++) sorted[count[class_of(c[i])]++] = c[i];
    memcpy(c, sorted, n * sizeof *c);
    mem_free(sorted);
}

/* Marks behind a character stand in the order of their classes. */
static void sort_marks(CodePoints *p) {
    for (size_t at = 0, end; at < p->n; at = end) {
        unsigned last = class_of(p->c[at]);
        bool sorted = true;
        end = at + 1;
        if (last == 0) continue;
        for (; end < p->n && class_of(p->c[end]) != 0; end++) {
            sorted = sorted && class_of(p->c[end]) >= last;
            last = class_of(p->c[end]);
        }
        if (!sorted) sort_run(p->c + at, end - at);
    }
}

void unicode_normalize(Str *out, const char *text, size_t n, UnicodeForm form) {
    static const int forms[] = {
        [UNICODE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [UNICODE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [UNICODE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [UNICODE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_option_t options = (utf8proc_option_t)forms[form];
    CodePoints p = {0};
    for (size_t at = 0, k; at < n; at += k)
        decompose(&p, unicode_decode(text + at, n - at, &k), options);
    sort_marks(&p);
    utf8proc_ssize_t left = utf8proc_normalize_utf32(p.c, (utf8proc_ssize_t)p.n, options);
    CHECK(left >= 0, "utf8proc: %s", utf8proc_errmsg(left));
    for (utf8proc_ssize_t i = 0; i < left; i++) str_append_utf8(out, (uint32_t)p.c[i]);
    mem_free(p.c);
}

/* How many bytes at s[0..n) are a character (*ok), or the longest beginning of one. `partial` says
 * that the text ended inside. */
static size_t scan_character(const unsigned char *s, size_t n, bool *ok, bool *partial) {
    *ok = *partial = false;
    if (s[0] < 0x80) {
        *ok = true;
        return 1;
    }
    if (s[0] < 0xC2 || s[0] > 0xF4) return 1;
    size_t want = unicode_length(s[0]);
    for (size_t i = 1; i < want; i++) {
        if (i == n) {
            *partial = true;
            return i;
        }
        unsigned low = 0x80, high = 0xBF;
        if (i == 1 && s[0] == 0xE0) low = 0xA0;  /* overlong */
        if (i == 1 && s[0] == 0xED) high = 0x9F; /* surrogates */
        if (i == 1 && s[0] == 0xF0) low = 0x90;
        if (i == 1 && s[0] == 0xF4) high = 0x8F; /* above U+10FFFF */
        if (s[i] < low || s[i] > high) return i;
    }
    *ok = true;
    return want;
}

size_t unicode_append_lossy(Str *out, const char *text, size_t n, bool finish) {
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0, good = 0; /* s[good..at) is valid and not yet appended */
    while (at < n) {
        bool ok, partial;
        size_t k = scan_character(s + at, n - at, &ok, &partial);
        if (ok) {
            at += k;
            continue;
        }
        str_append_n(out, text + good, at - good);
        good = at;
        if (partial && !finish) return at;
        str_append_utf8(out, 0xFFFD);
        at += k;
        good = at;
    }
    str_append_n(out, text + good, at - good);
    return n;
}
