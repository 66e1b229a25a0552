#include "data/tokenizer/added.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unicode.h"

void added_init(AddedSet *s, const AddedToken *tokens) {
    *s = (AddedSet){.tokens = tokens};
    for (int i = 0; i < 256; i++) s->root[i] = -1;
}

void added_free(AddedSet *s) {
    mem_free(s->nodes);
    *s = (AddedSet){0};
}

static int32_t new_node(AddedSet *s, unsigned char byte, int32_t sibling) {
    if (s->n_nodes == s->cap) {
        s->cap = s->cap == 0 ? 256 : s->cap * 2;
        s->nodes = mem_realloc(s->nodes, s->cap, sizeof *s->nodes);
    }
    s->nodes[s->n_nodes] = (AddedNode){.child = -1, .sibling = sibling, .token = -1, .byte = byte};
    return (int32_t)s->n_nodes++;
}

static int32_t find_child(const AddedSet *s, int32_t node, unsigned char byte) {
    int32_t child = s->nodes[node].child;
    while (child >= 0 && s->nodes[child].byte != byte) child = s->nodes[child].sibling;
    return child;
}

void added_insert(AddedSet *s, int32_t token, const char *text, size_t n) {
    CHECK(n > 0, "added token %d is empty", token);
    const unsigned char *bytes = (const unsigned char *)text;
    if (s->root[bytes[0]] < 0) s->root[bytes[0]] = new_node(s, bytes[0], -1);
    int32_t node = s->root[bytes[0]];
    for (size_t i = 1; i < n; i++) {
        int32_t child = find_child(s, node, bytes[i]);
        if (child < 0) {
            child = new_node(s, bytes[i], s->nodes[node].child);
            s->nodes[node].child = child;
        }
        node = child;
    }
    s->nodes[node].token = token;
}

/* The longest token that begins at text[0..n); its index or -1, and its length. */
static int32_t longest_match(const AddedSet *s, const unsigned char *text, size_t n,
                             size_t *length) {
    int32_t best = -1;
    int32_t node = s->root[text[0]];
    for (size_t i = 1; node >= 0; i++) {
        if (s->nodes[node].token >= 0) {
            best = s->nodes[node].token;
            *length = i;
        }
        if (i == n) break;
        node = find_child(s, node, text[i]);
    }
    return best;
}

static bool inside_word(const char *text, size_t from, size_t to, size_t n) {
    size_t k;
    if (from > 0 && unicode_is_word(unicode_decode_last(text, from, &k))) return true;
    return to < n && unicode_is_word(unicode_decode(text + to, n - to, &k));
}

static size_t spaces_before(const char *text, size_t from, size_t floor) {
    size_t k;
    while (from > floor && unicode_is_space(unicode_decode_last(text, from, &k))) from -= k;
    return from < floor ? floor : from;
}

static size_t spaces_after(const char *text, size_t to, size_t n) {
    size_t k;
    while (to < n && unicode_is_space(unicode_decode(text + to, n - to, &k))) to += k;
    return to;
}

void added_split(const AddedSet *s, const Tagged *text, Piece piece, Pieces *out) {
    const char *p = text->text.data + piece.at;
    size_t n = piece.n, at = 0, done = 0; /* p[done..at) is text without a token so far */
    while (at < n) {
        size_t length;
        int32_t found = s->root[(unsigned char)p[at]] < 0
                            ? -1
                            : longest_match(s, (const unsigned char *)p + at, n - at, &length);
        if (found < 0) {
            at++;
            continue;
        }
        const AddedToken *token = &s->tokens[found];
        uint8_t tag = tagged_over(text, piece.at + at, length);
        if (token->special && !(tag & SEGMENT_SPECIAL)) {
            /* What begins in a user's text may not hide a token of the template's behind it. */
            bool mixed = tagged_at(text, piece.at + at + length - 1) & SEGMENT_SPECIAL;
            at += mixed ? 1 : length;
            continue;
        }
        if (token->single_word && inside_word(p, at, at + length, n)) {
            at += length;
            continue;
        }
        size_t from = token->lstrip ? spaces_before(p, at, done) : at;
        size_t to = token->rstrip ? spaces_after(p, at + length, n) : at + length;
        if (from > done) {
            pieces_push(out, (Piece){piece.at + done, from - done, -1, piece.first && done == 0});
        }
        pieces_push(out, (Piece){piece.at + from, to - from, token->id, false});
        at = done = to;
    }
    if (done < n)
        pieces_push(out, (Piece){piece.at + done, n - done, -1, piece.first && done == 0});
}
