#include "data/tokenizer/detokenize.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/pretokenize.h"
#include "data/tokenizer/unicode.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* ---- reading ---- */

void detokenizer_add(Detokenizer *d, DetokenizeStep step) {
    if (d->n == d->cap) {
        d->cap = d->cap == 0 ? 8 : d->cap * 2;
        d->step = mem_realloc(d->step, d->cap, sizeof *d->step);
    }
    d->step[d->n++] = step;
    d->bytes = d->bytes || step.kind == DETOKENIZE_BYTE_LEVEL;
}

void detokenizer_free(Detokenizer *d) {
    for (size_t i = 0; i < d->n; i++) {
        mem_free(d->step[i].from);
        mem_free(d->step[i].to);
    }
    mem_free(d->step);
    *d = (Detokenizer){0};
}

static Status read_metaspace(Detokenizer *out, const Json *section, const char *where) {
    const char *sign = "\xE2\x96\x81", *scheme = NULL;
    bool first = true;
    TRY(json_opt_str(&sign, section, "replacement", where));
    TRY(json_opt_bool(&first, section, "add_prefix_space", where));
    TRY(json_opt_str(&scheme, section, "prepend_scheme", where));
    if (scheme != NULL) first = !str_equal(scheme, "never");
    if (sign[0] == '\0')
        return status_fail(ERR_DATA, "%s: `replacement` of the decoder Metaspace is empty", where);
    detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_METASPACE,
                                          .from = mem_strdup(sign),
                                          .to = mem_strdup(" "),
                                          .first = first});
    return OK;
}

static Status read_strip(Detokenizer *out, const Json *section, bool fused, const char *where) {
    int64_t start = 0, stop = 0;
    const char *content = " ";
    TRY(json_opt_str(&content, section, "content", where));
    TRY(json_opt_int(&start, section, "start", where));
    TRY(json_opt_int(&stop, section, "stop", where));
    if (stop != 0) return status_fail(ERR_DATA, "%s: Strip with `stop` is not supported", where);
    detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_STRIP,
                                          .from = mem_strdup(content),
                                          .count = start,
                                          .where = fused ? STRIP_FIRST : STRIP_TOKEN});
    return OK;
}

static Status read_replace(Detokenizer *out, const Json *section, const char *where) {
    const char *to = NULL;
    TRY(json_want_str(&to, section, "content", where));
    const Json *literal = json_get(json_get(section, "pattern"), "String");
    if (!json_is(literal, JSON_KIND_STRING) || json_str(literal, NULL)[0] == '\0') {
        return status_fail(ERR_DATA, "%s: `pattern` of the decoder Replace must be a String",
                           where);
    }
    detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_REPLACE,
                                          .from = mem_strdup(json_str(literal, NULL)),
                                          .to = mem_strdup(to)});
    return OK;
}

static Status read_wordpiece(Detokenizer *out, const Json *section, const char *where) {
    const char *prefix = "##";
    bool cleanup = true;
    TRY(json_opt_str(&prefix, section, "prefix", where));
    TRY(json_opt_bool(&cleanup, section, "cleanup", where));
    detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_WORDPIECE,
                                          .from = mem_strdup(prefix),
                                          .cleanup = cleanup});
    return OK;
}

static Status read_ctc(Detokenizer *out, const Json *section, bool fused, const char *where) {
    const char *pad = "<pad>", *delimiter = "|";
    bool cleanup = true;
    TRY(json_opt_str(&pad, section, "pad_token", where));
    TRY(json_opt_str(&delimiter, section, "word_delimiter_token", where));
    TRY(json_opt_bool(&cleanup, section, "cleanup", where));
    if (pad[0] == '\0' || delimiter[0] == '\0')
        return status_fail(ERR_DATA,
                           "%s: `pad_token` or `word_delimiter_token` of the decoder CTC is empty",
                           where);
    if (out->n > 0 || fused)
        return status_fail(ERR_DATA, "%s: the decoder CTC behind another one is not supported",
                           where);
    detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_CTC,
                                          .from = mem_strdup(pad),
                                          .to = mem_strdup(delimiter),
                                          .cleanup = cleanup});
    return OK;
}

static Status read_step(Detokenizer *out, const Json *section, bool *fused, const char *where) {
    const char *type = NULL;
    TRY(json_want_str(&type, section, "type", where));
    if (str_equal(type, "Sequence")) {
        Json *list = NULL;
        TRY(json_want(&list, section, "decoders", JSON_KIND_ARRAY, where));
        for (int64_t i = 0; i < json_len(list); i++) {
            TRY(read_step(out, json_at(list, i), fused, where));
        }
        return OK;
    }
    if (str_equal(type, "Metaspace")) return read_metaspace(out, section, where);
    if (str_equal(type, "Strip")) return read_strip(out, section, *fused, where);
    if (str_equal(type, "Replace")) return read_replace(out, section, where);
    if (str_equal(type, "WordPiece")) return read_wordpiece(out, section, where);
    if (str_equal(type, "CTC")) return read_ctc(out, section, *fused, where);
    if (str_equal(type, "Fuse"))
        *fused = true;
    else if (str_equal(type, "ByteLevel"))
        detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_BYTE_LEVEL});
    else if (str_equal(type, "ByteFallback"))
        detokenizer_add(out, (DetokenizeStep){.kind = DETOKENIZE_BYTE_FALLBACK});
    else
        return status_fail(ERR_DATA, "%s: the decoder `%s` is not supported", where, type);
    return OK;
}

Status detokenizer_read(Detokenizer *out, const Json *section, const char *where) {
    bool fused = false;
    out->joined = section == NULL || json_is(section, JSON_KIND_NULL);
    return out->joined ? OK : read_step(out, section, &fused, where);
}

/* ---- applying ---- */

/* `word` with each `from` replaced; result in `word`. */
static void replace_all(Str *word, const char *from, const char *to) {
    size_t from_n = strlen(from), to_n = strlen(to);
    Str out = {0};
    for (size_t i = 0; i < word->len;) {
        if (i + from_n <= word->len && memcmp(word->data + i, from, from_n) == 0) {
            str_append_n(&out, to, to_n);
            i += from_n;
        } else {
            str_append_char(&out, word->data[i++]);
        }
    }
    str_free(word);
    *word = out;
}

static void drop_front(Str *word, size_t n) {
    memmove(word->data, word->data + n, word->len - n);
    word->len -= n;
    word->data[word->len] = '\0';
}

static void unmap_bytes(Str *word) {
    Str out = {0};
    size_t k;
    for (size_t i = 0; i < word->len; i += k) {
        int byte = pretokenize_char_byte(unicode_decode(word->data + i, word->len - i, &k));
        if (byte < 0) { /* not in GPT-2's alphabet: an added token, which stands as it is */
            str_free(&out);
            return;
        }
        str_append_char(&out, (char)byte);
    }
    str_free(word);
    *word = out;
}

static void strip_front(Str *word, const char *sign, int64_t count) {
    size_t n = strlen(sign);
    while (count-- > 0 && n > 0 && word->len >= n && memcmp(word->data, sign, n) == 0) {
        drop_front(word, n);
    }
}

/* Blanks that stand before a sign of English, and its short forms. */
static void tidy_blanks(Str *word) {
    static const char *const tidy[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                          {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                          {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                          {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof tidy / sizeof *tidy; i++)
        replace_all(word, tidy[i][0], tidy[i][1]);
}

static void join_wordpiece(const DetokenizeStep *s, Str *word, bool started) {
    size_t n = strlen(s->from);
    if (started) {
        if (word->len >= n && memcmp(word->data, s->from, n) == 0) {
            drop_front(word, n);
        } else {
            Str spaced = {0};
            str_append_char(&spaced, ' ');
            str_append_n(&spaced, str_text(word), word->len);
            str_free(word);
            *word = spaced;
        }
    }
    if (s->cleanup) tidy_blanks(word);
}

/* Speech gives a token for each moment: only a change of token counts. */
static bool is_repeated(const Detokenizer *d, TokenStream *s, const char *token, size_t n) {
    if (d->n == 0 || d->step[0].kind != DETOKENIZE_CTC) return false;
    bool same = s->last != NULL && s->last_n == n && memcmp(s->last, token, n) == 0;
    s->last = token;
    s->last_n = n;
    return same;
}

/* False when nothing is left: to the other steps the token was never there. */
static bool spell_ctc(const DetokenizeStep *s, Str *word) {
    replace_all(word, s->from, "");
    if (s->cleanup) {
        tidy_blanks(word);
        replace_all(word, s->to, " ");
    }
    return word->len > 0;
}

/* "<0xE4>" -> 0xE4; -1 for all else. */
static int fallback_byte(const Str *word) {
    if (word->len != 6 || memcmp(word->data, "<0x", 3) != 0 || word->data[5] != '>') return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        char c = word->data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* A run of byte tokens is a text, or else each of its bytes is one U+FFFD; to SentencePiece each of
 * those that are in no character. */
static void flush_run(const Detokenizer *d, Str *out, Str *held) {
    const char *text = str_text(held);
    size_t good = 0; /* up to the first bad byte */
    for (size_t at = 0; at < held->len; at += good) {
        if (str_utf8_valid(text + at, held->len - at, &good)) good = held->len - at;
        if (!d->apart && good < held->len) good = 0;
        str_append_n(out, text + at, good);
        if (at + good == held->len) break;
        str_append(out, REPLACEMENT);
        good++;
    }
    str_clear(held);
}

static bool strips(StripWhere where, const TokenStream *stream) {
    switch (where) {
    case STRIP_TOKEN:
        return true;
    case STRIP_FIRST:
        return !stream->started;
    case STRIP_START:
        return !stream->begun;
    }
    FAIL("no such place: %d", (int)where);
}

typedef enum Given { GIVEN_TEXT, GIVEN_BYTE, GIVEN_NOTHING } Given;

/* The steps on one token. A byte is held. */
static Given apply_steps(const Detokenizer *d, TokenStream *stream, Str *word, Str *out) {
    for (size_t i = 0; i < d->n; i++) {
        const DetokenizeStep *s = &d->step[i];
        switch (s->kind) {
        case DETOKENIZE_BYTE_LEVEL:
            unmap_bytes(word);
            break;
        case DETOKENIZE_REPLACE:
            replace_all(word, s->from, s->to);
            break;
        case DETOKENIZE_METASPACE:
            replace_all(word, s->from, s->first && !stream->started ? "" : s->to);
            break;
        case DETOKENIZE_WORDPIECE:
            join_wordpiece(s, word, stream->started);
            break;
        case DETOKENIZE_STRIP:
            if (strips(s->where, stream)) strip_front(word, s->from, s->count);
            break;
        case DETOKENIZE_BYTE_FALLBACK: {
            int byte = fallback_byte(word);
            if (byte >= 0) {
                str_append_char(&stream->held, (char)byte);
                return GIVEN_BYTE;
            }
            flush_run(d, out, &stream->held);
            break;
        }
        case DETOKENIZE_CTC:
            if (!spell_ctc(s, word)) return GIVEN_NOTHING;
            break;
        }
    }
    return GIVEN_TEXT;
}

void detokenizer_push(const Detokenizer *d, TokenStream *s, Str *out, const char *token, size_t n) {
    Str word = {0};
    if (is_repeated(d, s, token, n)) return;
    str_append_n(&word, token, n);
    if (d->joined && s->started) str_append_char(out, ' ');
    Given given = apply_steps(d, s, &word, out);
    s->started = s->started || given != GIVEN_NOTHING;
    s->begun = s->begun || given == GIVEN_BYTE || word.len > 0;
    if (given == GIVEN_TEXT && d->bytes) {
        str_append_n(&s->held, str_text(&word), word.len);
        size_t taken = unicode_append_lossy(out, str_text(&s->held), s->held.len, false);
        if (taken > 0) drop_front(&s->held, taken);
    } else if (given == GIVEN_TEXT) {
        str_append_n(out, str_text(&word), word.len);
    }
    str_free(&word);
}

void detokenizer_finish(const Detokenizer *d, TokenStream *s, Str *out) {
    if (d->bytes)
        unicode_append_lossy(out, str_text(&s->held), s->held.len, true);
    else
        flush_run(d, out, &s->held);
    str_clear(&s->held);
}
