#include "data/tokenizer/normalize.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/pretokenize.h"

#include <string.h>

/* ---- reading ---- */

void normalizer_add(Normalizer *z, NormalizeStep step) {
    if (z->n == z->cap) {
        z->cap = z->cap == 0 ? 8 : z->cap * 2;
        z->step = mem_realloc(z->step, z->cap, sizeof *z->step);
    }
    z->step[z->n++] = step;
}

static void free_step(NormalizeStep *s) {
    mem_free(s->from);
    mem_free(s->to);
    regex_close(s->regex);
    charsmap_close(s->charsmap);
}

bool normalizer_drop(Normalizer *z, NormalizeKind kind) {
    size_t kept = 0, n = z->n;
    for (size_t i = 0; i < n; i++) {
        if (z->step[i].kind == kind)
            free_step(&z->step[i]);
        else
            z->step[kept++] = z->step[i];
    }
    z->n = kept;
    return kept < n;
}

void normalizer_free(Normalizer *z) {
    for (size_t i = 0; i < z->n; i++) free_step(&z->step[i]);
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

static Status read_precompiled(Normalizer *z, const Json *section, const char *where) {
    const char *text = NULL;
    TRY(json_want_str(&text, section, "precompiled_charsmap", where));
    NormalizeStep step = {.kind = NORMALIZE_CHARSMAP, .match = CHARSMAP_SHORTEST};
    Str bytes = {0};
    Status st = OK;
    if (base64_append(&bytes, text, strlen(text)))
        st = charsmap_open(&step.charsmap, bytes.data, bytes.len, where);
    else
        st = status_fail(ERR_DATA, "%s: `precompiled_charsmap` is no base64", where);
    str_free(&bytes);
    if (st == OK) normalizer_add(z, step);
    return st;
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
    if (str_equal(type, "Precompiled")) return read_precompiled(out, section, where);
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
    } else if (str_equal(type, "Nmt")) {
        step.kind = NORMALIZE_NMT;
    } else if (str_equal(type, "ByteLevel")) {
        step.kind = NORMALIZE_BYTES;
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

/* What goes without a trace, and what becomes a blank. */
static bool nmt_drops(uint32_t c) {
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
}

static bool nmt_blanks(uint32_t c) {
    return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
}

static void append_bytes(Str *chunk, Tagged *out, const char *text, size_t n, uint8_t tag) {
    str_clear(chunk);
    for (size_t i = 0; i < n; i++)
        str_append_utf8(chunk, pretokenize_byte_char((unsigned char)text[i]));
    tagged_append(out, chunk->data, chunk->len, tag);
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
    case NORMALIZE_CLEAN: /* U+0085 is both: control characters go first */
        if (c == 0 || c == 0xFFFD || unicode_is_control(c)) return;
        if (unicode_is_space(c))
            tagged_append(out, " ", 1, tag);
        else
            tagged_copy(out, in, at, k);
        return;
    case NORMALIZE_CHINESE:
        if (is_chinese(c)) tagged_append(out, " ", 1, tag);
        tagged_copy(out, in, at, k);
        if (is_chinese(c)) tagged_append(out, " ", 1, tag);
        return;
    case NORMALIZE_NMT:
        if (nmt_blanks(c))
            tagged_append(out, " ", 1, tag);
        else if (!nmt_drops(c))
            tagged_copy(out, in, at, k);
        return;
    case NORMALIZE_BYTES:
        append_bytes(chunk, out, in->text.data + at, k, tag);
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

/* Signs at the end go. */
static void apply_trim(const NormalizeStep *s, Tagged *out, const Tagged *in) {
    size_t n = in->text.len, k = strlen(s->from);
    while (n >= k && memcmp(in->text.data + n - k, s->from, k) == 0) n -= k;
    tagged_copy(out, in, 0, n);
}

static void append_rule(Tagged *out, const Tagged *in, size_t at, size_t n, const char *text) {
    tagged_append(out, text, strlen(text), tagged_over(in, at, n));
}

/* SentencePiece's way: at each place the longest rule. */
static void map_longest(const Charsmap *map, Tagged *out, const Tagged *in) {
    const char *p = in->text.data, *text = NULL;
    size_t end = in->text.len, at = 0;
    while (at < end) {
        size_t n = charsmap_find(map, CHARSMAP_LONGEST, p + at, end - at, &text);
        if (n > 0) {
            append_rule(out, in, at, n, text);
        } else {
            n = unicode_length((unsigned char)p[at]);
            tagged_copy(out, in, at, n);
        }
        at += n;
    }
}

/* `tokenizers`' way, with its edge: where a rule fits the beginning of a short grapheme cluster,
 * what it gives stands for the whole cluster. Longer clusters go character by character. */
static void map_clusters(const Charsmap *map, Tagged *out, const Tagged *in) {
    const char *p = in->text.data, *text = NULL;
    size_t n = in->text.len, k;
    for (size_t at = 0, end; at < n; at = end) {
        end = at + unicode_cluster(p + at, n - at);
        if (end - at < 6 && charsmap_find(map, CHARSMAP_SHORTEST, p + at, end - at, &text) > 0) {
            append_rule(out, in, at, end - at, text);
            continue;
        }
        for (size_t i = at; i < end; i += k) {
            k = unicode_length((unsigned char)p[i]);
            if (charsmap_find(map, CHARSMAP_SHORTEST, p + i, k, &text) > 0)
                append_rule(out, in, i, k, text);
            else
                tagged_copy(out, in, i, k);
        }
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
    case NORMALIZE_TRIM:
        apply_trim(s, out, in);
        return OK;
    case NORMALIZE_CHARSMAP:
        if (s->match == CHARSMAP_LONGEST)
            map_longest(s->charsmap, out, in);
        else
            map_clusters(s->charsmap, out, in);
        return OK;
    case NORMALIZE_LOWERCASE:
    case NORMALIZE_STRIP_ACCENTS:
    case NORMALIZE_CLEAN:
    case NORMALIZE_CHINESE:
    case NORMALIZE_BERT_ACCENTS:
    case NORMALIZE_NMT:
    case NORMALIZE_BYTES:
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
