/* tokenizer.model: SentencePiece's protobuf file. Its pieces have scores. BPE: two neighbours merge
 * when their text together is a piece, best score first, leftmost on ties. Unigram: as unigram.h.
 */
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"
#include "data/tokenizer/unicode.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81" /* U+2581 */

typedef enum PieceType {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER_DEFINED,
    PIECE_UNUSED,
    PIECE_BYTE,
} PieceType;

typedef struct SpPiece {
    const char *text; /* [n] into the file */
    size_t n;
    float score;
    uint64_t type;
} SpPiece;

typedef struct SpModel {
    SpPiece *pieces; /* [n] index = id */
    size_t n, cap;
    uint64_t kind;
    uint64_t byte_fallback, suffix_space;
    int64_t unk, bos, eos, pad;
    uint64_t dummy_prefix, remove_extra, escape;
    const char *charsmap; /* [charsmap_bytes] into the file */
    size_t charsmap_bytes;
    bool denormalizes; /* what is decoded goes through a map of its own */
} SpModel;

enum { KIND_UNIGRAM = 1, KIND_BPE = 2 };

/* ---- protobuf's wire format ---- */

typedef struct Wire {
    const unsigned char *at, *end;
    bool bad;
} Wire;

typedef struct WireField {
    uint64_t number, value; /* value: of a varint */
    const unsigned char *bytes;
    size_t n;   /* of what is length-delimited */
    float real; /* of 32 bits */
} WireField;

static uint64_t wire_varint(Wire *w) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (w->at == w->end) break;
        unsigned char c = *w->at++;
        value |= (uint64_t)(c & 0x7F) << shift;
        if (c < 0x80) return value;
    }
    w->bad = true;
    return 0;
}

static bool wire_skip(Wire *w, uint64_t n) {
    w->bad = w->bad || n > (uint64_t)(w->end - w->at);
    if (!w->bad) w->at += n;
    return !w->bad;
}

/* False at the end, or when the bytes are no message (w->bad). */
static bool wire_next(Wire *w, WireField *f) {
    if (w->bad || w->at == w->end) return false;
    uint64_t tag = wire_varint(w);
    *f = (WireField){.number = tag >> 3, .bytes = w->at};
    switch (tag & 7) {
    case 0:
        f->value = wire_varint(w);
        break;
    case 1:
        wire_skip(w, 8);
        break;
    case 2: {
        uint64_t n = wire_varint(w);
        f->bytes = w->at;
        if (wire_skip(w, n)) f->n = (size_t)n;
        break;
    }
    case 5:
        if (wire_skip(w, 4)) memcpy(&f->real, f->bytes, 4); /* little-endian, as we are */
        break;
    default:
        w->bad = true;
    }
    return !w->bad;
}

static Wire wire_of(WireField f) {
    return (Wire){f.bytes, f.bytes + f.n, false};
}

/* ---- the messages ---- */

static bool read_piece(SpModel *m, WireField field) {
    Wire w = wire_of(field);
    WireField f;
    SpPiece p = {.text = "", .type = PIECE_NORMAL};
    while (wire_next(&w, &f)) {
        if (f.number == 1) {
            p.text = (const char *)f.bytes;
            p.n = f.n;
        }
        if (f.number == 2) p.score = f.real;
        if (f.number == 3) p.type = f.value;
    }
    if (m->n == m->cap) {
        m->cap = m->cap == 0 ? 1024 : m->cap * 2;
        m->pieces = mem_realloc(m->pieces, m->cap, sizeof *m->pieces);
    }
    m->pieces[m->n++] = p;
    return !w.bad;
}

static bool read_trainer(SpModel *m, WireField field) {
    Wire w = wire_of(field);
    WireField f;
    while (wire_next(&w, &f)) {
        switch (f.number) {
        case 3:
            m->kind = f.value;
            break;
        case 24:
            m->suffix_space = f.value;
            break;
        case 35:
            m->byte_fallback = f.value;
            break;
        case 40:
            m->unk = (int32_t)f.value;
            break;
        case 41:
            m->bos = (int32_t)f.value;
            break;
        case 42:
            m->eos = (int32_t)f.value;
            break;
        case 43:
            m->pad = (int32_t)f.value;
            break;
        default:
            break;
        }
    }
    return !w.bad;
}

static bool read_normalizer(SpModel *m, WireField field) {
    Wire w = wire_of(field);
    WireField f;
    while (wire_next(&w, &f)) {
        switch (f.number) {
        case 2:
            m->charsmap = (const char *)f.bytes;
            m->charsmap_bytes = f.n;
            break;
        case 3:
            m->dummy_prefix = f.value;
            break;
        case 4:
            m->remove_extra = f.value;
            break;
        case 5:
            m->escape = f.value;
            break;
        default:
            break;
        }
    }
    return !w.bad;
}

/* Its own charsmap is all that would change a text. */
static bool read_denormalizer(SpModel *m, WireField field) {
    Wire w = wire_of(field);
    WireField f;
    while (wire_next(&w, &f))
        if (f.number == 2 && f.n > 0) m->denormalizes = true;
    return !w.bad;
}

static Status parse(SpModel *m, const unsigned char *bytes, size_t n, const char *where) {
    Wire w = {bytes, bytes + n, false};
    WireField f;
    bool good = true;
    while (good && wire_next(&w, &f)) {
        if (f.number == 1) good = read_piece(m, f);
        if (f.number == 2) good = read_trainer(m, f);
        if (f.number == 3) good = read_normalizer(m, f);
        if (f.number == 5) good = read_denormalizer(m, f);
    }
    if (!good || w.bad) {
        return status_fail(ERR_DATA, "%s: damaged SentencePiece model, at byte %zu", where,
                           (size_t)(w.at - bytes));
    }
    if (m->n == 0 || m->n >= VOCAB_MAX_ID) {
        return status_fail(ERR_DATA, "%s: a SentencePiece model of %zu pieces; 1 to %d are read",
                           where, m->n, VOCAB_MAX_ID - 1);
    }
    return OK;
}

static Status check_supported(const SpModel *m, const char *where) {
    static const char *const kinds[] = {"?", "Unigram", "BPE", "Word", "Char"};
    if (m->kind != KIND_BPE && m->kind != KIND_UNIGRAM) {
        return status_fail(ERR_DATA,
                           "%s: the SentencePiece model kind %s is not supported; BPE and Unigram "
                           "are",
                           where, kinds[m->kind < 5 ? m->kind : 0]);
    }
    if (m->suffix_space || !m->escape || m->denormalizes) {
        return status_fail(ERR_DATA, "%s: the SentencePiece model %s, which is not supported",
                           where,
                           m->suffix_space ? "treats blanks as suffixes"
                           : !m->escape    ? "does not escape blanks"
                                           : "denormalizes what it decodes");
    }
    return OK;
}

/* ---- the tokenizer ---- */

static Status add_pieces(Tokenizer *t, const SpModel *m, const char *where) {
    for (size_t i = 0; i < m->n; i++) {
        const SpPiece *p = &m->pieces[i];
        if (!str_utf8_valid(p->text, p->n, NULL) || memchr(p->text, '\0', p->n) != NULL) {
            return status_fail(ERR_DATA, "%s: piece %zu is not UTF-8", where, i);
        }
        if (!isfinite(p->score)) {
            return status_fail(ERR_DATA, "%s: the score of piece %zu is no number", where, i);
        }
        if (p->type == PIECE_UNUSED && m->kind == KIND_BPE) {
            return status_fail(
                ERR_DATA, "%s: piece %zu is of the kind UNUSED, which is not supported", where, i);
        }
        if (!vocab_add(&t->vocab, p->text, p->n, (int32_t)i)) {
            return status_fail(ERR_DATA, "%s: piece %zu is there twice", where, i);
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        const SpPiece *p = &m->pieces[i];
        bool user = p->type == PIECE_USER_DEFINED;
        AddedToken token = {
            .id = (int32_t)i, .special = !user, .verbatim = user, .normalized = user};
        if (p->type != PIECE_CONTROL && p->type != PIECE_UNKNOWN && !user) continue;
        TRY(tokenizer_add_token(t, p->text, p->n, token, where));
    }
    return OK;
}

static int by_score(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

static uint32_t rank_of(const float *scores, size_t n, float score) {
    size_t low = 0, high = n; /* descending: the first that is not above */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scores[middle] > score)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static void add_merges(Tokenizer *t, const SpModel *m) {
    float *scores = mem_alloc(m->n * sizeof *scores);
    for (size_t i = 0; i < m->n; i++) scores[i] = m->pieces[i].score;
    qsort(scores, m->n, sizeof *scores, by_score);
    for (size_t i = 0; i < m->n; i++) {
        const SpPiece *p = &m->pieces[i];
        if (p->type != PIECE_NORMAL) continue;
        uint32_t rank = rank_of(scores, m->n, p->score);
        for (size_t cut = 0; cut < p->n;) {
            cut += unicode_length((unsigned char)p->text[cut]);
            if (cut == p->n) break;
            int32_t left = vocab_find(&t->vocab, p->text, cut);
            int32_t right = vocab_find(&t->vocab, p->text + cut, p->n - cut);
            if (left < 0 || right < 0) continue;
            if (m->pieces[left].type != PIECE_NORMAL || m->pieces[right].type != PIECE_NORMAL)
                continue;
            bpe_add_merge(&t->bpe, left, right, rank, (int32_t)i);
        }
    }
    mem_free(scores);
}

static void add_scores(Tokenizer *t, const SpModel *m) {
    Unigram *u = &t->unigram;
    u->sentencepiece = true;
    u->n_pieces = (int32_t)m->n;
    u->score = mem_zalloc(m->n, sizeof *u->score);
    u->silent = mem_zalloc(m->n, sizeof *u->silent);
    u->min_score = FLT_MAX;
    for (size_t i = 0; i < m->n; i++) {
        double score = (double)m->pieces[i].score;
        u->score[i] = score;
        u->silent[i] = m->pieces[i].type != PIECE_NORMAL;
        if (!u->silent[i] && score < u->min_score) u->min_score = score;
    }
}

static int32_t id_or_none(const SpModel *m, int64_t id) {
    return id >= 0 && (uint64_t)id < m->n ? (int32_t)id : TOKEN_NONE;
}

static Status add_charsmap(Tokenizer *t, const SpModel *m, const char *where) {
    if (m->charsmap_bytes == 0) return OK;
    NormalizeStep step = {.kind = NORMALIZE_CHARSMAP, .match = CHARSMAP_LONGEST};
    TRY(charsmap_open(&step.charsmap, m->charsmap, m->charsmap_bytes, where));
    normalizer_add(&t->normalizer, step);
    return OK;
}

static void add_steps(Tokenizer *t, const SpModel *m) {
    if (m->remove_extra)
        normalizer_add(&t->normalizer, (NormalizeStep){.kind = NORMALIZE_COLLAPSE});
    if (m->dummy_prefix) {
        normalizer_add(&t->normalizer,
                       (NormalizeStep){.kind = NORMALIZE_PREPEND, .to = mem_strdup(SPACE)});
    }
    normalizer_add(&t->normalizer, (NormalizeStep){.kind = NORMALIZE_REPLACE,
                                                   .from = mem_strdup(" "),
                                                   .to = mem_strdup(SPACE)});
    if (m->remove_extra) {
        normalizer_add(&t->normalizer,
                       (NormalizeStep){.kind = NORMALIZE_TRIM, .from = mem_strdup(SPACE)});
    }
    if (m->dummy_prefix || m->remove_extra) {
        /* A blank that began the text was put there; where extra ones are removed none can have
         * been in it, so that the next token loses its own too. */
        detokenizer_add(&t->detokenizer,
                        (DetokenizeStep){.kind = DETOKENIZE_STRIP,
                                         .from = mem_strdup(SPACE),
                                         .count = 1,
                                         .where = m->remove_extra ? STRIP_START : STRIP_FIRST});
    }
    detokenizer_add(&t->detokenizer, (DetokenizeStep){.kind = DETOKENIZE_REPLACE,
                                                      .from = mem_strdup(SPACE),
                                                      .to = mem_strdup(" ")});
    detokenizer_add(&t->detokenizer, (DetokenizeStep){.kind = DETOKENIZE_BYTE_FALLBACK});
    t->detokenizer.apart = true;
}

Status sentencepiece_read(Tokenizer *t, const unsigned char *bytes, size_t n, const char *where) {
    SpModel m = {.kind = KIND_UNIGRAM,
                 .bos = 1,
                 .eos = 2,
                 .pad = -1,
                 .dummy_prefix = 1,
                 .remove_extra = 1,
                 .escape = 1};
    Status st = OK;
    TRY_GOTO(parse(&m, bytes, n, where), st, out);
    TRY_GOTO(check_supported(&m, where), st, out);
    TRY_GOTO(add_pieces(t, &m, where), st, out);
    TRY_GOTO(add_charsmap(t, &m, where), st, out);
    add_steps(t, &m);
    if (m.kind == KIND_BPE) add_merges(t, &m);
    if (m.kind == KIND_UNIGRAM) add_scores(t, &m);
    t->model = m.kind == KIND_BPE ? MODEL_BPE : MODEL_UNIGRAM;
    t->sentencepiece = true;
    t->bos = id_or_none(&m, m.bos);
    t->eos = id_or_none(&m, m.eos);
    t->pad = id_or_none(&m, m.pad);
    t->unk = t->bpe.unk = t->unigram.unk = id_or_none(&m, m.unk);
    t->bpe.fuse_unk = true;
    t->bpe.byte_fallback = t->unigram.byte_fallback = m.byte_fallback != 0;
    if (t->bos >= 0) token_ids_push(&t->before, t->bos, false);
out:
    mem_free(m.pieces);
    return st;
}
