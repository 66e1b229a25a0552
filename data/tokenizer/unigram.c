#include "data/tokenizer/unigram.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/unicode.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN_PENALTY 10.0
#define NOWHERE UINT32_MAX

struct UnigramNode { /* the best way to cut all text before this byte */
    double score;
    uint32_t from; /* where its last token begins; NOWHERE: no way leads here */
    int32_t id;
};

void unigram_free(Unigram *u) {
    mem_free(u->score);
    mem_free(u->silent);
    trie_free(&u->trie);
    *u = (Unigram){0};
}

void unigram_scratch_free(UnigramScratch *w) {
    mem_free(w->nodes);
    piece_cache_free(&w->cache);
    spans_free(&w->path);
    *w = (UnigramScratch){0};
}

static void find_bytes(Unigram *u) {
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        int32_t id = vocab_find(u->vocab, name, 6);
        if (id < 0 || id >= u->n_pieces) {
            u->byte_id[0] = -1;
            return;
        }
        u->byte_id[i] = id;
    }
}

Status unigram_prepare(Unigram *u, const char *where) {
    TrieKey *keys = mem_alloc((size_t)u->n_pieces * sizeof *keys);
    size_t n_keys = 0, total = 0;
    Status st = OK;
    for (int32_t id = 0; id < u->n_pieces && st == OK; id++) {
        size_t n = 0;
        const char *text = vocab_text(u->vocab, id, &n);
        if (text == NULL || n == 0 || u->hidden[id]) continue;
        if (u->silent != NULL && u->silent[id]) continue;
        keys[n_keys++] = (TrieKey){text, n, id};
        total += n;
        if (n > UNIGRAM_MAX_PIECE || total > UNIGRAM_MAX_TEXT) {
            st =
                status_fail(ERR_DATA,
                            "%s: token %d is too long: %zu bytes, and %zu with those before it; %d "
                            "and %zu are allowed",
                            where, id, n, total, UNIGRAM_MAX_PIECE, UNIGRAM_MAX_TEXT);
        }
    }
    if (st == OK) trie_build(&u->trie, keys, n_keys);
    mem_free(keys);
    if (u->byte_fallback) find_bytes(u);
    return st;
}

/* ---- the best path ---- */

static void offer(const Unigram *u, UnigramNode *target, double score, size_t from, int32_t id) {
    if (u->sentencepiece) score = (double)(float)score;
    if (target->from != NOWHERE && score <= target->score) return;
    *target = (UnigramNode){score, (uint32_t)from, id};
}

/* The nodes of all places that a cut of the piece may touch; false at a character that no token
 * covers, when there is no `unk`. */
static bool find_path(const Unigram *u, UnigramNode *nodes, const char *piece, size_t n) {
    const unsigned char *p = (const unsigned char *)piece;
    double unknown = u->min_score - UNKNOWN_PENALTY;
    if (u->sentencepiece) unknown = (double)(float)unknown;
    for (size_t i = 0; i <= n; i++) nodes[i] = (UnigramNode){0, NOWHERE, -1};
    for (size_t at = 0, k; at < n; at += k) {
        double here = nodes[at].score;
        uint32_t node = TRIE_ROOT;
        bool covered = false;
        k = unicode_length(p[at]);
        for (size_t end = at; end < n;) {
            node = trie_step(&u->trie, node, p[end++]);
            if (node == TRIE_NONE) break;
            int32_t id = trie_value(&u->trie, node);
            if (id < 0) continue;
            offer(u, &nodes[end], u->score[id] + here, at, id);
            covered = covered || end == at + k;
        }
        if (covered) continue;
        if (u->unk < 0) return false;
        offer(u, &nodes[at + k], unknown + here, at, u->unk);
    }
    return true;
}

/* ---- from the path to tokens ---- */

static void push_bytes(const Unigram *u, Spans *out, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) spans_push(out, u->byte_id[(unsigned char)text[i]], 1);
}

/* A run of what no token covers. */
static void push_unknown(const Unigram *u, Spans *out, const char *text, size_t n) {
    int32_t whole = u->sentencepiece ? -1 : vocab_find(u->vocab, text, n);
    if (whole >= 0 && whole < u->n_pieces && !u->hidden[whole])
        spans_push(out, whole, (uint32_t)n);
    else if (u->byte_fallback && u->byte_id[0] >= 0)
        push_bytes(u, out, text, n);
    else
        spans_push(out, u->unk, (uint32_t)n);
}

/* The path in order, unknown neighbours as one. */
static void push_path(const Unigram *u, UnigramScratch *w, Spans *out, const char *piece,
                      size_t n) {
    Spans *path = &w->path;
    path->n = 0;
    for (size_t end = n; end > 0; end = w->nodes[end].from) {
        const UnigramNode *node = &w->nodes[end];
        uint32_t bytes = (uint32_t)(end - node->from);
        bool again = path->n > 0 && node->id == u->unk && path->id[path->n - 1] == u->unk;
        if (again)
            path->bytes[path->n - 1] += bytes;
        else
            spans_push(path, node->id, bytes);
    }
    for (size_t i = path->n, at = 0; i-- > 0; at += path->bytes[i]) {
        if (path->id[i] == u->unk)
            push_unknown(u, out, piece + at, path->bytes[i]);
        else
            spans_push(out, path->id[i], path->bytes[i]);
    }
}

Status unigram_encode(const Unigram *u, UnigramScratch *w, Spans *out, const char *piece,
                      size_t n) {
    CHECK(n > 0 && n < NOWHERE, "piece of %zu bytes", n);
    if (piece_cache_find(&w->cache, out, piece, n)) return OK;
    if (w->cap < n + 1) {
        w->cap = n + 1 + n / 2;
        w->nodes = mem_realloc(w->nodes, w->cap, sizeof *w->nodes);
    }
    if (!find_path(u, w->nodes, piece, n)) {
        return status_fail(ERR_DATA, "the text has a character that the tokenizer has no token "
                                     "for, and the tokenizer has no token for the unknown");
    }
    size_t from = out->n;
    push_path(u, w, out, piece, n);
    piece_cache_keep(&w->cache, piece, n, out, from);
    return OK;
}
