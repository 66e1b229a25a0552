#include "data/tokenizer/wordpiece.h"

#include "core/mem.h"

#include <string.h>

void wordpiece_free(WordPiece *m) {
    mem_free(m->prefix);
    trie_free(&m->first);
    trie_free(&m->next);
    *m = (WordPiece){0};
}

static bool too_long(const WordPiece *m, const char *piece, size_t n) {
    int64_t chars = 0;
    if ((int64_t)n <= m->max_chars) return false;
    for (size_t i = 0; i < n; i++) chars += ((unsigned char)piece[i] & 0xC0) != 0x80;
    return chars > m->max_chars;
}

Status wordpiece_prepare(WordPiece *m, const char *where) {
    if (m->whole) return OK;
    size_t prefix_n = strlen(m->prefix), n_first = 0, n_next = 0, total = 0;
    TrieKey *first = mem_alloc((size_t)m->vocab->size * sizeof *first);
    TrieKey *next = mem_alloc((size_t)m->vocab->size * sizeof *next);
    Status st = OK;
    for (int32_t id = 0; id < m->vocab->size && st == OK; id++) {
        size_t n = 0;
        const char *text = vocab_text(m->vocab, id, &n);
        if (text == NULL || n == 0 || m->hidden[id]) continue;
        bool continues = n > prefix_n && memcmp(text, m->prefix, prefix_n) == 0;
        size_t skip = continues ? prefix_n : 0;
        if (too_long(m, text + skip, n - skip)) continue; /* than any word: training makes such */
        first[n_first++] = (TrieKey){text, n, id};
        if (continues) next[n_next++] = (TrieKey){text + prefix_n, n - prefix_n, id};
        total += n;
        if (n > WORDPIECE_MAX_PIECE || total > WORDPIECE_MAX_TEXT) {
            st =
                status_fail(ERR_DATA,
                            "%s: token %d is too long: %zu bytes, and %zu with those before it; %d "
                            "and %zu are allowed",
                            where, id, n, total, WORDPIECE_MAX_PIECE, WORDPIECE_MAX_TEXT);
        }
    }
    if (st == OK) {
        trie_build(&m->first, first, n_first);
        trie_build(&m->next, next, n_next);
    }
    mem_free(first);
    mem_free(next);
    return st;
}

/* The longest key that begins text[0..n); its length, or 0. */
static size_t longest(const Trie *t, const char *text, size_t n, int32_t *id) {
    size_t length = 0;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < n; i++) {
        node = trie_step(t, node, (unsigned char)text[i]);
        if (node == TRIE_NONE) break;
        if (trie_value(t, node) < 0) continue;
        *id = trie_value(t, node);
        length = i + 1;
    }
    return length;
}

static bool encode_word(const WordPiece *m, Spans *out, const char *piece, size_t n) {
    if (m->whole) {
        int32_t id = vocab_find(m->vocab, piece, n);
        if (id < 0 || m->hidden[id]) return false;
        spans_push(out, id, (uint32_t)n);
        return true;
    }
    if (too_long(m, piece, n)) return false;
    for (size_t at = 0; at < n;) {
        int32_t id = -1;
        size_t k = longest(at == 0 ? &m->first : &m->next, piece + at, n - at, &id);
        if (k == 0) return false;
        spans_push(out, id, (uint32_t)k);
        at += k;
    }
    return true;
}

void wordpiece_encode(const WordPiece *m, Spans *out, const char *piece, size_t n) {
    size_t before = out->n;
    if (encode_word(m, out, piece, n)) return;
    out->n = before;
    spans_push(out, m->unk, (uint32_t)n);
}
