#include "data/tokenizer/tagged.h"

#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"

#include <string.h>

void tagged_free(Tagged *t) {
    str_free(&t->text);
    mem_free(t->tag);
    *t = (Tagged){0};
}

void tagged_reset(Tagged *t, const Tagged *like) {
    str_clear(&t->text);
    t->uniform = like == NULL || like->uniform;
    if (like != NULL) t->same = like->same;
}

static void reserve_tags(Tagged *t, size_t more) {
    size_t need = t->text.len + more;
    if (need <= t->tag_cap) return;
    t->tag_cap = need + need / 2 + 64;
    t->tag = mem_realloc(t->tag, t->tag_cap, sizeof *t->tag);
}

void tagged_append(Tagged *t, const char *text, size_t n, uint8_t tag) {
    if (n == 0) return;
    if (!t->uniform) {
        reserve_tags(t, n);
        memset(t->tag + t->text.len, tag, n);
    }
    str_append_n(&t->text, text, n);
}

void tagged_copy(Tagged *t, const Tagged *source, size_t at, size_t n) {
    if (n == 0) return;
    if (!t->uniform) {
        reserve_tags(t, n);
        memcpy(t->tag + t->text.len, source->tag + at, n);
    }
    str_append_n(&t->text, source->text.data + at, n);
}

void tagged_spread(Tagged *t) {
    if (!t->uniform) return;
    t->uniform = false;
    reserve_tags(t, 0);
    if (t->text.len > 0) memset(t->tag, t->same, t->text.len);
}

uint8_t tagged_at(const Tagged *t, size_t i) {
    return t->uniform ? t->same : t->tag[i];
}

uint8_t tagged_over(const Tagged *t, size_t at, size_t n) {
    if (t->uniform) return t->same;
    unsigned all = SEGMENT_SPECIAL, any = 0;
    for (size_t i = at; i < at + n; i++) {
        all &= t->tag[i];
        any |= t->tag[i] & SEGMENT_MASK;
    }
    return (uint8_t)(all | any);
}

void pieces_push(Pieces *p, Piece piece) {
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? 64 : p->cap * 2;
        p->piece = mem_realloc(p->piece, p->cap, sizeof *p->piece);
    }
    p->piece[p->n++] = piece;
}

void pieces_free(Pieces *p) {
    mem_free(p->piece);
    *p = (Pieces){0};
}
