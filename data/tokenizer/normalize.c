#include "data/tokenizer/normalize.h"

#include "core/check.h"
#include "core/mem.h"

#include <string.h>

/* ---- reading ---- */

void normalizer_add(Normalizer *z, NormalizeStep step) {
    if (z->n == z->cap) {
        z->cap = z->cap == 0 ? 8 : z->cap * 2;
        z->step = mem_realloc(z->step, z->cap, sizeof *z->step);
    }
    z->step[z->n++] = step;
}

void normalizer_free(Normalizer *z) {
    for (size_t i = 0; i < z->n; i++) {
        mem_free(z->step[i].from);
        mem_free(z->step[i].to);
        regex_close(z->step[i].regex);
    }
    mem_free(z->step);
    *z = (Normalizer){0};
}

static Status read_replace(Normalizer *z, const Json *section, const char *where) {
    const char *to = NULL;
    TRY(json_want_str(&to, section, "content", where));
    const Json *pattern = json_get(section, "pattern");
    const Json *literal = json_get(pattern, "String"), *regex = json_get(pattern, "Regex");
    NormalizeStep step = {.kind = NORMALIZE_REPLACE};
    size_t n = 0;
    if (json_is(literal, JSON_KIND_STRING) && json_str(literal, &n)[0] != '\0') {
        step.from = mem_strdup(json_str(literal, NULL));
    } else if (json_is(regex, JSON_KIND_STRING)) {
        const char *text = json_str(regex, &n);
        TRY(regex_open(&step.regex, text, n, where));
    } else {
        return status_fail(
            ERR_DATA, "%s: `pattern` of the normalizer Replace must be a String or a Regex", where);
    }
    step.to = mem_strdup(to);
    normalizer_add(z, step);
    return OK;
}

static Status read_bert(Normalizer *z, const Json *section, const char *where) {
    bool clean = true, chinese = true, lower = true;
    TRY(json_opt_bool(&clean, section, "clean_text", where));
    TRY(json_opt_bool(&chinese, section, "handle_chinese_chars", where));
    TRY(json_opt_bool(&lower, section, "lowercase", where));
    bool accents = lower;
    TRY(json_opt_bool(&accents, section, "strip_accents", where));
    if (clean) normalizer_add(z, (NormalizeStep){.kind = NORMALIZE_CLEAN});
    if (chinese) normalizer_add(z, (NormalizeStep){.kind = NORMALIZE_CHINESE});
    if (accents) {
        normalizer_add(z, (NormalizeStep){.kind = NORMALIZE_FORM, .form = UNICODE_NFD});
        normalizer_add(z, (NormalizeStep){.kind = NORMALIZE_BERT_ACCENTS});
    }
    if (lower) normalizer_add(z, (NormalizeStep){.kind = NORMALIZE_LOWERCASE});
    return OK;
}

static bool form_by_name(UnicodeForm *form, const char *name) {
    static const char *const names[] = {[UNICODE_NFC] = "NFC",
                                        [UNICODE_NFD] = "NFD",
                                        [UNICODE_NFKC] = "NFKC",
                                        [UNICODE_NFKD] = "NFKD"};
    for (int i = 0; i < 4; i++) {
        if (str_equal(name, names[i])) {
            *form = (UnicodeForm)i;
            return true;
        }
    }
    return false;
}

Status normalizer_read(Normalizer *out, const Json *section, const char *where) {
    if (section == NULL || json_is(section, JSON_KIND_NULL)) return OK;
    const char *type = NULL;
    TRY(json_want_str(&type, section, "type", where));
    NormalizeStep step = {0};
    if (str_equal(type, "Sequence")) {
        Json *list = NULL;
        TRY(json_want(&list, section, "normalizers", JSON_KIND_ARRAY, where));
        for (int64_t i = 0; i < json_len(list); i++)
            TRY(normalizer_read(out, json_at(list, i), where));
        return OK;
    }
    if (str_equal(type, "Replace")) return read_replace(out, section, where);
    if (str_equal(type, "BertNormalizer")) return read_bert(out, section, where);
    if (str_equal(type, "Prepend")) {
        const char *text = NULL;
        TRY(json_want_str(&text, section, "prepend", where));
        step = (NormalizeStep){.kind = NORMALIZE_PREPEND, .to = mem_strdup(text)};
    } else if (str_equal(type, "Strip")) {
        step = (NormalizeStep){.kind = NORMALIZE_STRIP, .left = true, .right = true};
        TRY(json_opt_bool(&step.left, section, "strip_left", where));
        TRY(json_opt_bool(&step.right, section, "strip_right", where));
    } else if (str_equal(type, "Lowercase")) {
        step.kind = NORMALIZE_LOWERCASE;
    } else if (str_equal(type, "StripAccents")) {
        step.kind = NORMALIZE_STRIP_ACCENTS;
    } else if (form_by_name(&step.form, type)) {
        step.kind = NORMALIZE_FORM;
    } else {
        return status_fail(ERR_DATA, "%s: the normalizer `%s` is not supported", where, type);
    }
    normalizer_add(out, step);
    return OK;
}

/* ---- applying: each step reads all of `in` and appends to `out` ---- */

/* NFC and its kin reach over neighbours, but never past an ASCII character from the right: text is
 * normalised in chunks of one ASCII character and the others behind it, each with one tag. */
static void apply_form(UnicodeForm form, Str *chunk, Tagged *out, const Tagged *in) {
    const char *p = in->text.data;
    size_t n = in->text.len, at = 0;
    while (at < n) {
        size_t end = at;
        while (end < n && (unsigned char)p[end] < 0x80) end++;
        size_t plain = end == n || end == at ? end : end - 1; /* p[at..plain) stays as it is */
        tagged_copy(out, in, at, plain - at);
        at = plain;
        while (end < n && (unsigned char)p[end] >= 0x80) end++;
        str_clear(chunk);
        unicode_normalize(chunk, p + at, end - at, form);
        tagged_append(out, chunk->data, chunk->len, tagged_over(in, at, end - at));
        at = end;
    }
}

static void append_lower(Str *chunk, Tagged *out, uint32_t c, uint8_t tag) {
    str_clear(chunk);
    unicode_append_lower(chunk, c);
    tagged_append(out, chunk->data, chunk->len, tag);
}

static bool is_chinese(uint32_t c) {
    static const uint32_t ranges[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                         {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                         {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    }
    return false;
}

/* One character of the steps that look at characters one by one. */
static void apply_to_char(NormalizeKind kind, Str *chunk, Tagged *out, const Tagged *in, size_t at,
                          size_t k, uint32_t c) {
    uint8_t tag = tagged_at(in, at);
    switch (kind) {
    case NORMALIZE_LOWERCASE:
        append_lower(chunk, out, c, tag);
        return;
    case NORMALIZE_STRIP_ACCENTS:
        if (!unicode_is_mark(c)) tagged_copy(out, in, at, k);
        return;
    case NORMALIZE_BERT_ACCENTS:
        if (!unicode_is_thin_mark(c)) tagged_copy(out, in, at, k);
        return;
    case NORMALIZE_CLEAN:
        if (unicode_is_space(c))
            tagged_append(out, " ", 1, tag);
        else if (c != 0 && c != 0xFFFD && !unicode_is_control(c))
            tagged_copy(out, in, at, k);
        return;
    case NORMALIZE_CHINESE:
        if (is_chinese(c)) tagged_append(out, " ", 1, tag);
        tagged_copy(out, in, at, k);
        if (is_chinese(c)) tagged_append(out, " ", 1, tag);
        return;
    default:
        FAIL("step %d is not by character", (int)kind);
    }
}

static void apply_by_char(NormalizeKind kind, Str *chunk, Tagged *out, const Tagged *in) {
    size_t k;
    for (size_t at = 0; at < in->text.len; at += k) {
        uint32_t c = unicode_decode(in->text.data + at, in->text.len - at, &k);
        apply_to_char(kind, chunk, out, in, at, k, c);
    }
}

static bool find_literal(const char *p, size_t n, size_t from, const char *what, size_t what_n,
                         size_t *at) {
    while (from + what_n <= n) {
        const char *hit = memchr(p + from, what[0], n - what_n + 1 - from);
        if (hit == NULL) return false;
        *at = (size_t)(hit - p);
        if (memcmp(hit, what, what_n) == 0) return true;
        from = *at + 1;
    }
    return false;
}

static void replace_literal(const NormalizeStep *s, Tagged *out, const Tagged *in) {
    const char *p = in->text.data;
    size_t n = in->text.len, at = 0, start = 0, from_n = strlen(s->from), to_n = strlen(s->to);
    while (find_literal(p, n, at, s->from, from_n, &start)) {
        tagged_copy(out, in, at, start - at);
        tagged_append(out, s->to, to_n, tagged_over(in, start, from_n));
        at = start + from_n;
    }
    tagged_copy(out, in, at, n - at);
}

/* An empty match is replaced too, unless it stands right behind the match before. */
static Status replace_regex(const NormalizeStep *s, RegexScratch *rw, Tagged *out,
                            const Tagged *in) {
    const char *p = in->text.data;
    size_t n = in->text.len, at = 0, search = 0, to_n = strlen(s->to);
    bool before = false;
    while (search <= n) {
        bool found;
        size_t start, end;
        TRY(regex_find(s->regex, rw, p, n, search, &found, &start, &end));
        if (!found) break;
        bool empty = end == start;
        if (!(empty && before && start == at)) {
            tagged_copy(out, in, at, start - at);
            uint8_t tag = empty ? tagged_at(in, start < n ? start : n - 1)
                                : tagged_over(in, start, end - start);
            tagged_append(out, s->to, to_n, tag);
            at = end;
            before = true;
        }
        size_t step = end < n ? unicode_length((unsigned char)p[end]) : 1;
        search = empty ? end + step : end;
    }
    tagged_copy(out, in, at, n - at);
    return OK;
}

static void apply_strip(const NormalizeStep *s, Tagged *out, const Tagged *in) {
    const char *p = in->text.data;
    size_t from = 0, to = in->text.len, k;
    while (s->left && from < to && unicode_is_space(unicode_decode(p + from, to - from, &k)))
        from += k;
    while (s->right && from < to && unicode_is_space(unicode_decode_last(p + from, to - from, &k)))
        to -= k;
    tagged_copy(out, in, from, to - from);
}

/* Blanks at both ends go, runs of blanks become one. */
static void apply_collapse(Tagged *out, const Tagged *in) {
    const char *p = in->text.data;
    size_t n = in->text.len;
    while (n > 0 && p[n - 1] == ' ') n--;
    for (size_t i = 0; i < n; i++) {
        bool drop = p[i] == ' ' && (out->text.len == 0 || out->text.data[out->text.len - 1] == ' ');
        if (!drop) tagged_copy(out, in, i, 1);
    }
}

static Status apply_step(const NormalizeStep *s, NormalizeScratch *w, RegexScratch *rw, Tagged *out,
                         const Tagged *in) {
    switch (s->kind) {
    case NORMALIZE_FORM:
        apply_form(s->form, &w->chunk, out, in);
        return OK;
    case NORMALIZE_PREPEND:
        if (in->text.len > 0) tagged_append(out, s->to, strlen(s->to), tagged_at(in, 0));
        tagged_copy(out, in, 0, in->text.len);
        return OK;
    case NORMALIZE_REPLACE:
        if (s->regex != NULL) return replace_regex(s, rw, out, in);
        replace_literal(s, out, in);
        return OK;
    case NORMALIZE_STRIP:
        apply_strip(s, out, in);
        return OK;
    case NORMALIZE_COLLAPSE:
        apply_collapse(out, in);
        return OK;
    case NORMALIZE_LOWERCASE:
    case NORMALIZE_STRIP_ACCENTS:
    case NORMALIZE_CLEAN:
    case NORMALIZE_CHINESE:
    case NORMALIZE_BERT_ACCENTS:
        apply_by_char(s->kind, &w->chunk, out, in);
        return OK;
    }
    FAIL("normalizer %d", (int)s->kind);
}

Status normalizer_apply(const Normalizer *z, NormalizeScratch *w, RegexScratch *rw, Tagged *out,
                        const Tagged *source, size_t at, size_t n) {
    Tagged *in = &w->a, *next = &w->b;
    tagged_reset(in, source);
    tagged_copy(in, source, at, n);
    for (size_t i = 0; i < z->n && in->text.len > 0; i++) {
        tagged_reset(next, source);
        TRY(apply_step(&z->step[i], w, rw, next, in));
        Tagged *swap = in;
        in = next;
        next = swap;
    }
    tagged_copy(out, in, 0, in->text.len);
    return OK;
}

void normalize_scratch_free(NormalizeScratch *w) {
    tagged_free(&w->a);
    tagged_free(&w->b);
    str_free(&w->chunk);
}
