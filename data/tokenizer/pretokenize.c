#include "data/tokenizer/pretokenize.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/script.h"
#include "data/tokenizer/unicode.h"

#include <string.h>

/* ---- GPT-2's alphabet ----
 * Bytes that print stand for themselves; the 68 others are numbered from U+0100 on. */

static bool byte_prints(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t pretokenize_byte_char(unsigned char byte) {
    if (byte_prints(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;
    if (byte <= 0xA0) return 0x100u + 33 + (byte - 0x7Fu);
    return 0x100u + 67; /* 0xAD */
}

int pretokenize_char_byte(uint32_t c) {
    if (c < 0x100) return byte_prints(c) ? (int)c : -1;
    if (c < 0x100 + 33) return (int)(c - 0x100);
    if (c < 0x100 + 67) return (int)(c - 0x100 - 33 + 0x7F);
    return c == 0x100 + 67 ? 0xAD : -1;
}

/* ---- cutting ---- */

void pretokenizer_free(Pretokenizer *p) {
    for (size_t i = 0; i < p->n; i++) {
        regex_close(p->step[i].regex);
        mem_free(p->step[i].literal);
    }
    mem_free(p->step);
    *p = (Pretokenizer){0};
}

void pretokenizer_add(Pretokenizer *p, PretokenizeStep step) {
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? 8 : p->cap * 2;
        p->step = mem_realloc(p->step, p->cap, sizeof *p->step);
    }
    p->step[p->n++] = step;
}

void pretokenize_scratch_free(PretokenizeScratch *w) {
    pieces_free(&w->matches);
    pieces_free(&w->spare);
    tagged_free(&w->text);
}

/* While cutting, a Piece of the match list is a range whose `first` says "matches the pattern". */
static void push_range(Pieces *m, size_t at, size_t end, bool match) {
    if (end > at) pieces_push(m, (Piece){.at = at, .n = end - at, .token = -1, .first = match});
}

static Status match_regex(const Regex *regex, RegexScratch *rw, const char *p, size_t n,
                          Pieces *m) {
    size_t at = 0, search = 0;
    while (search <= n && n > 0) {
        bool found;
        size_t start, end;
        TRY(regex_find(regex, rw, p, n, search, &found, &start, &end));
        if (!found) break;
        if (end == start) { /* an empty match cuts nothing off */
            search = end < n ? end + unicode_length((unsigned char)p[end]) : n + 1;
            continue;
        }
        push_range(m, at, start, false);
        push_range(m, start, end, true);
        at = search = end;
    }
    push_range(m, at, n, false);
    return OK;
}

static void match_literal(const char *literal, const char *p, size_t n, Pieces *m) {
    size_t k = strlen(literal), at = 0;
    for (size_t i = 0; i + k <= n;) {
        if (p[i] != literal[0] || memcmp(p + i, literal, k) != 0) {
            i++;
            continue;
        }
        push_range(m, at, i, false);
        push_range(m, i, i + k, true);
        at = i += k;
    }
    push_range(m, at, n, false);
}

static bool char_matches(const PretokenizeStep *s, uint32_t c) {
    switch (s->kind) {
    case PRETOKENIZE_DIGITS:
        return unicode_is_numeric(c);
    case PRETOKENIZE_PUNCTUATION:
        return unicode_is_punctuation(c);
    case PRETOKENIZE_SPACE:
        return unicode_is_space(c);
    case PRETOKENIZE_CHAR:
        return c == s->character;
    default:
        FAIL("step %d has no characters", (int)s->kind);
    }
}

static void match_characters(const PretokenizeStep *s, const char *p, size_t n, Pieces *m) {
    size_t at = 0, k;
    for (size_t i = 0; i < n; i += k) {
        if (!char_matches(s, unicode_decode(p + i, n - i, &k))) continue;
        push_range(m, at, i, false);
        push_range(m, i, i + k, true);
        at = i + k;
    }
    push_range(m, at, n, false);
}

/* Characters of no script belong to what is before them; in front they are in no range. */
static void match_scripts(const char *p, size_t n, Pieces *m) {
    size_t at = 0, k;
    uint8_t last = SCRIPT_NONE;
    for (size_t i = 0; i < n; i += k) {
        uint8_t script = script_of(unicode_decode(p + i, n - i, &k));
        if (script == SCRIPT_NONE || script == last) continue;
        push_range(m, at, i, last != SCRIPT_NONE);
        at = i;
        last = script;
    }
    push_range(m, at, n, last != SCRIPT_NONE);
}

static void match_lengths(int64_t length, const char *p, size_t n, Pieces *m) {
    size_t at = 0;
    int64_t count = 0;
    for (size_t i = 0; i < n; i += unicode_length((unsigned char)p[i])) {
        if (count++ < length) continue;
        push_range(m, at, i, true);
        at = i;
        count = 1;
    }
    push_range(m, at, n, true);
}

/* What each behaviour makes of the alternating ranges; results in `out`, relative to `base`. */
static void push_merged(SplitBehavior behavior, bool invert, const Pieces *m, Piece base,
                        Pieces *out) {
    size_t from = out->n;
    bool previous = false; /* was the range before (NEXT: behind) a match? */
    for (size_t i = 0; i < m->n; i++) {
        const Piece *r = &m->piece[i];
        bool match = r->first != invert;
        bool join = false; /* with the piece before */
        if (behavior == SPLIT_REMOVED && match) continue;
        if (behavior == SPLIT_CONTIGUOUS) join = i > 0 && match == previous;
        if (behavior == SPLIT_PREVIOUS) join = i > 0 && match && !previous;
        if (behavior == SPLIT_NEXT) join = i > 0 && previous && !match;
        previous = match;
        if (join && out->n > from) {
            out->piece[out->n - 1].n += r->n;
        } else {
            pieces_push(out, (Piece){base.at + r->at, r->n, -1, base.first && r->at == 0});
        }
    }
}

static Status cut_piece(const PretokenizeStep *s, PretokenizeScratch *w, RegexScratch *rw,
                        const Tagged *text, Piece piece, Pieces *out) {
    const char *p = text->text.data + piece.at;
    w->matches.n = 0;
    if (s->regex != NULL)
        TRY(match_regex(s->regex, rw, p, piece.n, &w->matches));
    else if (s->literal != NULL)
        match_literal(s->literal, p, piece.n, &w->matches);
    else if (s->kind == PRETOKENIZE_SCRIPT)
        match_scripts(p, piece.n, &w->matches);
    else if (s->kind == PRETOKENIZE_LENGTH)
        match_lengths(s->length, p, piece.n, &w->matches);
    else
        match_characters(s, p, piece.n, &w->matches);
    push_merged(s->behavior, s->invert, &w->matches, piece, out);
    return OK;
}

static Status cut(const PretokenizeStep *s, PretokenizeScratch *w, RegexScratch *rw,
                  const Tagged *text, Pieces *pieces) {
    w->spare.n = 0;
    for (size_t i = 0; i < pieces->n; i++) {
        Piece piece = pieces->piece[i];
        if (piece.token >= 0)
            pieces_push(&w->spare, piece);
        else
            TRY(cut_piece(s, w, rw, text, piece, &w->spare));
    }
    Pieces swap = *pieces;
    *pieces = w->spare;
    w->spare = swap;
    return OK;
}

/* ---- rewriting ---- */

static void map_bytes(Tagged *out, const Tagged *in, Piece piece) {
    char mapped[512]; /* in runs of 256 bytes of one tag */
    for (size_t i = piece.at, end = piece.at + piece.n; i < end;) {
        uint8_t tag = tagged_at(in, i);
        size_t k = 0;
        for (size_t n = 0; n < 256 && i < end && tagged_at(in, i) == tag; n++, i++) {
            uint32_t c = pretokenize_byte_char((unsigned char)in->text.data[i]);
            if (c >= 0x80) mapped[k++] = (char)(0xC0 | c >> 6);
            mapped[k++] = (char)(c < 0x80 ? c : (0x80 | (c & 0x3F)));
        }
        tagged_append(out, mapped, k, tag);
    }
}

static void map_blanks(const PretokenizeStep *s, Tagged *out, const Tagged *in, Piece piece) {
    const char *p = in->text.data;
    size_t n = strlen(s->literal), end = piece.at + piece.n;
    bool there = p[piece.at] == ' ' || (piece.n >= n && memcmp(p + piece.at, s->literal, n) == 0);
    bool prepend = s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && piece.first);
    if (prepend && !there) tagged_append(out, s->literal, n, tagged_at(in, piece.at));
    for (size_t i = piece.at; i < end; i++) {
        if (p[i] == ' ')
            tagged_append(out, s->literal, n, tagged_at(in, i));
        else
            tagged_copy(out, in, i, 1);
    }
}

static void add_blank(Tagged *out, const Tagged *in, Piece piece) {
    if (in->text.data[piece.at] != ' ') tagged_append(out, " ", 1, tagged_at(in, piece.at));
    tagged_copy(out, in, piece.at, piece.n);
}

typedef enum Rewrite { REWRITE_BYTES, REWRITE_BLANKS, REWRITE_PREFIX } Rewrite;

/* Writes all pieces anew, added tokens as they are. */
static void rewrite(Rewrite what, const PretokenizeStep *s, PretokenizeScratch *w, Tagged *text,
                    Pieces *pieces) {
    tagged_reset(&w->text, text);
    for (size_t i = 0; i < pieces->n; i++) {
        Piece *piece = &pieces->piece[i];
        size_t at = w->text.text.len;
        if (piece->token >= 0)
            tagged_copy(&w->text, text, piece->at, piece->n);
        else if (what == REWRITE_BYTES)
            map_bytes(&w->text, text, *piece);
        else if (what == REWRITE_BLANKS)
            map_blanks(s, &w->text, text, *piece);
        else
            add_blank(&w->text, text, *piece);
        piece->at = at;
        piece->n = w->text.text.len - at;
    }
    Tagged swap = *text;
    *text = w->text;
    w->text = swap;
}

Status pretokenizer_apply(const Pretokenizer *p, PretokenizeScratch *w, RegexScratch *rw,
                          Tagged *text, Pieces *pieces) {
    for (size_t i = 0; i < p->n; i++) {
        const PretokenizeStep *s = &p->step[i];
        if (s->kind == PRETOKENIZE_BYTE_LEVEL) {
            if (s->add_prefix_space) rewrite(REWRITE_PREFIX, s, w, text, pieces);
            if (s->regex != NULL) TRY(cut(s, w, rw, text, pieces));
            rewrite(REWRITE_BYTES, s, w, text, pieces);
        } else if (s->kind == PRETOKENIZE_METASPACE) {
            rewrite(REWRITE_BLANKS, s, w, text, pieces);
            if (s->split) TRY(cut(s, w, rw, text, pieces));
        } else {
            TRY(cut(s, w, rw, text, pieces));
        }
    }
    return OK;
}
