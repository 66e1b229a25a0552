/* From source to tokens. White space around blocks is settled here, by Jinja's rules for
 * trim_blocks and lstrip_blocks: the newline behind a block goes, and so do blanks before one that
 * stands first in its line; "-" takes all white space on its side, "+" keeps it. */
#include "core/mem.h"
#include "core/str.h"
#include "data/jinja/jinja_ast.h"
#include "data/tokenizer/unicode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Lexer {
    JinjaPool *pool;
    const char *where;
    const char *s; /* [n], with \n as the only newline */
    size_t n, at;
    uint32_t line;
    JinjaToken *tokens; /* grows on the heap, copied into the pool at the end */
    size_t n_tokens, cap;
    bool line_starting; /* what was read last ended a line */
    bool trims;         /* trim_blocks, lstrip_blocks */
} Lexer;

static Status fail(const Lexer *x, const char *what) {
    return status_fail(ERR_DATA, "%s:%u: %s", x->where, x->line, what);
}

static JinjaToken *push(Lexer *x, JinjaTokenKind kind, const char *text, size_t n) {
    if (x->n_tokens == x->cap) {
        x->cap = x->cap == 0 ? 256 : x->cap * 2;
        x->tokens = mem_realloc(x->tokens, x->cap, sizeof *x->tokens);
    }
    JinjaToken *t = &x->tokens[x->n_tokens++];
    *t = (JinjaToken){.kind = kind, .line = x->line, .n = n};
    t->text = jinja_copy(x->pool, text, n);
    return t;
}

static bool space_at(const Lexer *x, size_t at, size_t *k) {
    return at < x->n && unicode_is_space(unicode_decode(x->s + at, x->n - at, k));
}

static void advance(Lexer *x, size_t to) {
    for (; x->at < to; x->at++) x->line += x->s[x->at] == '\n';
}

/* Behind "-%}" and its kin. */
static void skip_space(Lexer *x) {
    size_t at = x->at, k;
    while (space_at(x, at, &k)) at += k;
    advance(x, at);
}

/* ---- text ---- */

/* How much of s[from..to) stays before a tag with this sign. */
static size_t trim_text(const Lexer *x, size_t from, size_t to, char sign, bool variable) {
    size_t k;
    if (sign == '-') {
        while (to > from && unicode_is_space(unicode_decode_last(x->s + from, to - from, &k)))
            to -= k;
        return to;
    }
    if (sign == '+' || variable || !x->trims) return to;
    size_t start = to;
    while (start > from && x->s[start - 1] != '\n') start--;
    if (start == from && !x->line_starting) return to;
    for (size_t at = start; at < to; at += k) {
        if (!space_at(x, at, &k)) return to;
    }
    return start;
}

static bool looking_at(const Lexer *x, size_t at, const char *what) {
    size_t n = strlen(what);
    return at + n <= x->n && memcmp(x->s + at, what, n) == 0;
}

/* Behind a tag's end: line_starting, and the newline that trim_blocks takes. */
static void end_tag(Lexer *x, char sign, bool variable) {
    size_t before = x->at;
    if (sign == '-')
        skip_space(x);
    else if (x->trims && sign != '+' && !variable && x->at < x->n && x->s[x->at] == '\n')
        advance(x, x->at + 1);
    x->line_starting = x->at > before && x->s[x->at - 1] == '\n';
}

static Status lex_comment(Lexer *x) {
    for (size_t at = x->at; at + 1 < x->n; at++) {
        if (!looking_at(x, at, "#}")) continue;
        char sign = at > x->at ? x->s[at - 1] : ' ';
        advance(x, at + 2);
        end_tag(x, sign == '-' || sign == '+' ? sign : ' ', false);
        return OK;
    }
    return fail(x, "a comment is not closed");
}

/* At `at`, which is behind "{%" and a sign: is it {% word %}? Then *end is behind "%}" and *sign
 * that of the end. */
static bool bare_block(const Lexer *x, size_t at, const char *word, size_t *end, char *sign) {
    size_t k;
    while (space_at(x, at, &k)) at += k;
    if (!looking_at(x, at, word)) return false;
    at += strlen(word);
    while (space_at(x, at, &k)) at += k;
    *sign = at < x->n && (x->s[at] == '-' || x->s[at] == '+') ? x->s[at++] : ' ';
    if (!looking_at(x, at, "%}")) return false;
    *end = at + 2;
    return true;
}

static Status lex_raw(Lexer *x) {
    size_t from = x->at, end;
    char sign;
    for (size_t at = from; at + 1 < x->n; at++) {
        if (!looking_at(x, at, "{%")) continue;
        char open = at + 2 < x->n ? x->s[at + 2] : ' ';
        bool signed_open = open == '-' || open == '+';
        if (!bare_block(x, at + 2 + signed_open, "endraw", &end, &sign)) continue;
        size_t to = trim_text(x, from, at, signed_open ? open : ' ', false);
        if (to > from) push(x, JT_TEXT, x->s + from, to - from);
        advance(x, end);
        end_tag(x, sign, false);
        return OK;
    }
    return fail(x, "{% raw %} is not closed");
}

/* ---- inside a tag ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_name(char c) {
    return c == '_' || is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80);
}

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH; false when the digits are missing. */
static bool append_hex(Str *out, const char *s, size_t n, size_t digits) {
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        int v = i < n ? hex_value(s[i]) : -1;
        if (v < 0) return false;
        c = c << 4 | (uint32_t)v;
    }
    str_append_utf8(out, c);
    return true;
}

/* The escape at s[0] = '\\'; returns how many bytes it takes, 0 when it is wrong. */
static size_t append_escape(Str *out, const char *s, size_t n) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = n > 1 ? s[1] : '\0';
    const char *simple = c == '\0' ? NULL : strchr(from, c);
    if (simple != NULL) {
        str_append_char(out, to[simple - from]);
        return 2;
    }
    if (c == '\n') return 2;
    if (c == 'x' || c == 'u' || c == 'U') {
        size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        return append_hex(out, s + 2, n - 2, digits) ? 2 + digits : 0;
    }
    if (c >= '0' && c <= '7') {
        uint32_t v = 0;
        size_t k = 1;
        while (k < n && k < 4 && s[k] >= '0' && s[k] <= '7') v = v * 8 + (uint32_t)(s[k++] - '0');
        str_append_utf8(out, v);
        return k;
    }
    str_append_char(out, '\\'); /* Python keeps what it does not know */
    return 1;
}

static Status lex_string(Lexer *x) {
    char quote = x->s[x->at];
    size_t at = x->at + 1;
    Str value = {0};
    while (at < x->n && x->s[at] != quote) {
        if (x->s[at] != '\\') {
            str_append_char(&value, x->s[at++]);
            continue;
        }
        size_t k = append_escape(&value, x->s + at, x->n - at);
        if (k == 0) break;
        at += k;
    }
    bool good = at < x->n && x->s[at] == quote;
    if (good) push(x, JT_STRING, str_text(&value), value.len);
    str_free(&value);
    if (!good) return fail(x, "a string is not closed, or holds a wrong escape");
    advance(x, at + 1);
    return OK;
}

static Status lex_number(Lexer *x) {
    char digits[64];
    size_t n = 0, at = x->at;
    bool real = false;
    while (at < x->n && n + 1 < sizeof digits) {
        char c = x->s[at];
        bool exponent = (c | 32) == 'e' && at + 1 < x->n &&
                        (is_digit(x->s[at + 1]) || ((x->s[at + 1] == '-' || x->s[at + 1] == '+') &&
                                                    at + 2 < x->n && is_digit(x->s[at + 2])));
        bool point = c == '.' && !real && at + 1 < x->n && is_digit(x->s[at + 1]);
        if (c == '_' && at + 1 < x->n && is_digit(x->s[at + 1])) {
            at++;
            continue;
        }
        if (!is_digit(c) && !point && !exponent) break;
        digits[n++] = c;
        at++;
        if (exponent) digits[n++] = x->s[at++];
        real = real || point || exponent;
    }
    digits[n] = '\0';
    JinjaToken *t = push(x, real ? JT_FLOAT : JT_INTEGER, digits, n);
    errno = 0;
    if (real)
        t->number = strtod(digits, NULL);
    else
        t->integer = strtoll(digits, NULL, 10);
    if (errno == ERANGE) return fail(x, "a number is too large");
    advance(x, at);
    return OK;
}

static Status lex_operator(Lexer *x, int *depth) {
    static const char *const signs[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                        "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                        ">",  "<",  "=",  ".",  ":",  "|",  ","};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!looking_at(x, x->at, signs[i])) continue;
        char c = signs[i][0];
        if (c == '[' || c == '(' || c == '{') ++*depth;
        if (c == ']' || c == ')' || c == '}') --*depth;
        if (*depth < 0) return fail(x, "a bracket is closed that was not opened");
        push(x, JT_OPERATOR, signs[i], strlen(signs[i]));
        advance(x, x->at + strlen(signs[i]));
        return OK;
    }
    return fail(x, "a character that has no meaning here");
}

/* From behind "{{" or "{%" to behind its end. */
static Status lex_tag(Lexer *x, bool variable) {
    const char *close = variable ? "}}" : "%}";
    int depth = 0;
    while (x->at < x->n) {
        char c = x->s[x->at];
        size_t k;
        char sign = c == '-' || (c == '+' && !variable) ? c : ' ';
        if (depth == 0 && looking_at(x, x->at + (sign != ' '), close)) {
            push(x, variable ? JT_VARIABLE_END : JT_BLOCK_END, "", 0);
            advance(x, x->at + (sign != ' ') + 2);
            end_tag(x, sign, variable);
            return OK;
        }
        if (space_at(x, x->at, &k)) {
            advance(x, x->at + k);
        } else if (c == '\'' || c == '"') {
            TRY(lex_string(x));
        } else if (is_digit(c)) {
            TRY(lex_number(x));
        } else if (is_name(c)) {
            size_t at = x->at;
            while (at < x->n && is_name(x->s[at])) at++;
            push(x, JT_NAME, x->s + x->at, at - x->at);
            advance(x, at);
        } else {
            TRY(lex_operator(x, &depth));
        }
    }
    return fail(x, variable ? "{{ is not closed" : "{% is not closed");
}

static Status lex_all(Lexer *x) {
    size_t from = x->at;
    for (size_t at = x->at; at < x->n;) {
        bool tag = x->s[at] == '{' && at + 1 < x->n && strchr("{%#", x->s[at + 1]) != NULL &&
                   x->s[at + 1] != '\0';
        if (!tag) {
            at++;
            continue;
        }
        char kind = x->s[at + 1];
        char sign =
            at + 2 < x->n && (x->s[at + 2] == '-' || x->s[at + 2] == '+') ? x->s[at + 2] : ' ';
        if (sign == '+' && kind == '{') sign = ' '; /* {{+ 1 }}: an expression */
        size_t to = trim_text(x, from, at, sign, kind == '{');
        if (to > from) push(x, JT_TEXT, x->s + from, to - from);
        advance(x, at + 2 + (sign != ' '));
        size_t end;
        char end_sign;
        if (kind == '#') {
            TRY(lex_comment(x));
        } else if (kind == '%' && bare_block(x, x->at, "raw", &end, &end_sign)) {
            advance(x, end);
            end_tag(x, end_sign, false);
            TRY(lex_raw(x));
        } else {
            push(x, kind == '{' ? JT_VARIABLE_BEGIN : JT_BLOCK_BEGIN, "", 0);
            TRY(lex_tag(x, kind == '{'));
        }
        at = from = x->at;
    }
    if (x->n > from) push(x, JT_TEXT, x->s + from, x->n - from);
    advance(x, x->n);
    push(x, JT_END, "", 0);
    return OK;
}

/* \r\n and \r become \n; one newline at the very end goes. */
static void unify_newlines(Str *out, const char *source, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        str_append_char(out, source[i] == '\r' ? '\n' : source[i]);
    }
    if (out->len > 0 && out->data[out->len - 1] == '\n') out->data[--out->len] = '\0';
}

Status jinja_lex(JinjaPool *pool, JinjaToken **out, const char *source, size_t n, const char *where,
                 bool trims) {
    Str text = {0};
    unify_newlines(&text, source, n);
    Lexer x = {.pool = pool,
               .where = where,
               .s = str_text(&text),
               .n = text.len,
               .line = 1,
               .line_starting = true,
               .trims = trims};
    Status st = lex_all(&x);
    if (st == OK) {
        *out = jinja_alloc(pool, x.n_tokens * sizeof **out);
        memcpy(*out, x.tokens, x.n_tokens * sizeof **out);
    }
    mem_free(x.tokens);
    str_free(&text);
    return st;
}
