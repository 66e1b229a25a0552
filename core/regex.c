#include "core/regex.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#define MATCH_LIMIT 1000000u /* steps of one match, */
#define STEPS_A_BYTE 4u      /* and of text: several alternatives try a run of blanks */
#define HEAP_LIMIT_KIB 32768u
#define PATTERN_MAX 16384u
#define NEST_MAX 250u

struct Regex {
    pcre2_code *code;
    bool jit;
};

/* ---- from one dialect to the other ----
 * Oniguruma's \s is White_Space (PCRE2 adds U+180E), its \w holds marks and all numbers, [ opens a
 * class inside a class, && intersects, \h is a hexadecimal digit. */

#define SPACE_SET "\\p{Z}\\x{9}-\\x{d}\\x{85}"
#define WORD_SET "\\p{L}\\p{M}\\p{N}\\p{Pc}"

typedef struct Translator {
    const char *pattern, *where;
    size_t n, at;
    int depth; /* classes that are open */
    Str out;
} Translator;

static Status refuse(const Translator *t, const char *what) {
    return status_fail(ERR_DATA,
                       "%s: the regular expression uses %s at offset %zu, which is not supported",
                       t->where, what, t->at);
}

/* At a backslash. */
static Status translate_escape(Translator *t) {
    if (t->at + 1 >= t->n) return refuse(t, "a backslash at its end");
    char c = t->pattern[t->at + 1];
    bool in_class = t->depth > 0;
    if (c == 'h' || c == 'H' || c == 'C' || c == 'K' || (in_class && (c == 'S' || c == 'W'))) {
        char what[3] = {'\\', c, '\0'};
        return refuse(t, what);
    }
    if (c == 's')
        str_append(&t->out, in_class ? SPACE_SET : "[" SPACE_SET "]");
    else if (c == 'S')
        str_append(&t->out, "[^" SPACE_SET "]");
    else if (c == 'w')
        str_append(&t->out, in_class ? WORD_SET : "[" WORD_SET "]");
    else if (c == 'W')
        str_append(&t->out, "[^" WORD_SET "]");
    else
        str_append_n(&t->out, t->pattern + t->at, 2);
    t->at += 2;
    return OK;
}

static Status translate_in_class(Translator *t) {
    const char *p = t->pattern + t->at;
    size_t left = t->n - t->at;
    if (*p == '[' && left > 1 && p[1] == ':') {
        const char *end = memchr(p, ']', left);
        if (end == NULL) return refuse(t, "an open [:class:]");
        str_append_n(&t->out, p, (size_t)(end - p) + 1);
        t->at += (size_t)(end - p) + 1;
    } else if (*p == '[') { /* a union: its members join those around it */
        if (left > 1 && p[1] == '^') return refuse(t, "a negated class inside a class");
        t->depth++;
        t->at++;
    } else if (*p == ']') {
        if (--t->depth == 0) str_append_char(&t->out, ']');
        t->at++;
    } else if (*p == '&' && left > 1 && p[1] == '&') {
        return refuse(t, "an intersection (&&) of classes");
    } else {
        str_append_char(&t->out, *p);
        t->at++;
    }
    return OK;
}

static Status translate(Translator *t) {
    while (t->at < t->n) {
        char c = t->pattern[t->at];
        if (c == '\\') {
            TRY(translate_escape(t));
        } else if (t->depth > 0) {
            TRY(translate_in_class(t));
        } else if (c == '[') {
            t->depth = 1;
            t->at++;
            str_append_char(&t->out, '[');
            if (t->at < t->n && t->pattern[t->at] == '^') {
                str_append_char(&t->out, '^');
                t->at++;
            }
            if (t->at < t->n && t->pattern[t->at] == ']') { /* a ] that comes first is a member */
                str_append(&t->out, "\\]");
                t->at++;
            }
        } else {
            str_append_char(&t->out, c);
            t->at++;
        }
    }
    return t->depth > 0 ? refuse(t, "an open class") : OK;
}

/* ---- compile and match ---- */

static Status compile(Regex *r, const Str *pattern, const char *where) {
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    CHECK(context != NULL, "out of memory");
    pcre2_set_parens_nest_limit(context, NEST_MAX);
    r->code = pcre2_compile((PCRE2_SPTR)str_text(pattern), pattern->len,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                            &error, &at, context);
    pcre2_compile_context_free(context);
    if (r->code == NULL) {
        PCRE2_UCHAR text[256];
        pcre2_get_error_message(error, text, sizeof text);
        return status_fail(ERR_DATA, "%s: the regular expression is wrong: %s", where,
                           (const char *)text);
    }
    r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0; /* else it is interpreted */
    return OK;
}

Status regex_open(Regex **out, const char *pattern, size_t n, const char *where) {
    *out = NULL;
    if (n > PATTERN_MAX) {
        return status_fail(ERR_DATA, "%s: the regular expression has %zu bytes, at most %u", where,
                           n, PATTERN_MAX);
    }
    Status st = OK;
    Regex *r = mem_zalloc(1, sizeof *r);
    Translator t = {.pattern = pattern, .where = where, .n = n};
    TRY_GOTO(translate(&t), st, out);
    TRY_GOTO(compile(r, &t.out, where), st, out);
    *out = r;
    r = NULL;
out:
    str_free(&t.out);
    regex_close(r);
    return st;
}

void regex_close(Regex *r) {
    if (r == NULL) return;
    pcre2_code_free(r->code);
    mem_free(r);
}

static void scratch_prepare(RegexScratch *w) {
    if (w->match != NULL) return;
    w->match = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(32768, 1 << 20, NULL); /* NULL where there is no JIT */
    CHECK(w->match != NULL && w->context != NULL, "out of memory");
    pcre2_set_heap_limit(w->context, HEAP_LIMIT_KIB);
    if (w->stack != NULL) pcre2_jit_stack_assign(w->context, NULL, w->stack);
}

void regex_scratch_free(RegexScratch *w) {
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    if (w->stack != NULL) pcre2_jit_stack_free(w->stack);
    *w = (RegexScratch){0};
}

Status regex_find(const Regex *r, RegexScratch *w, const char *text, size_t n, size_t from,
                  bool *found, size_t *start, size_t *end) {
    scratch_prepare(w);
    uint64_t steps = MATCH_LIMIT + (uint64_t)STEPS_A_BYTE * n;
    pcre2_set_match_limit(w->context, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int rc = r->jit
                 ? pcre2_jit_match(r->code, subject, n, from, 0, w->match, w->context)
                 : pcre2_match(r->code, subject, n, from, PCRE2_NO_UTF_CHECK, w->match, w->context);
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMATCH) return OK;
    if (rc < 0) {
        return status_fail(ERR_DATA,
                           "the tokenizer's regular expression is too costly for this text "
                           "(PCRE2 error %d at byte %zu)",
                           rc, from);
    }
    PCRE2_SIZE *range = pcre2_get_ovector_pointer(w->match);
    *start = range[0];
    *end = range[1];
    return OK;
}
