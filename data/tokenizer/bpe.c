#include "data/tokenizer/bpe.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/tokenizer/unicode.h"

#include <stdio.h>
#include <string.h>

#define SHORT_PIECE 24 /* symbols; measured: up to here rescanning beats the heap */
#define FREE_SLOT UINT32_MAX
#define NOBODY UINT32_MAX

struct BpeSymbol {
    int32_t id;
    uint32_t bytes;
    uint32_t prev,
        next; /* linked list of long pieces; rank of the pair with the next in short ones */
};

struct BpeEntry {
    uint32_t rank, at;   /* order of the heap */
    int32_t left, right; /* the ids that stood there: if they changed, the entry is stale */
};

void bpe_free(Bpe *b) {
    mem_free(b->pairs);
    mem_free(b->prefix);
    mem_free(b->suffix);
    *b = (Bpe){0};
}

void bpe_scratch_free(BpeScratch *w) {
    mem_free(w->symbols);
    mem_free(w->heap);
    piece_cache_free(&w->cache);
    str_free(&w->word);
    *w = (BpeScratch){0};
}

/* ---- the table of merges ---- */

static uint64_t pair_key(int32_t left, int32_t right) {
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t pair_slot(const BpePair *pairs, size_t n_slots, uint64_t key) {
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(h ^ h >> 32) & (n_slots - 1);
    while (pairs[at].rank != FREE_SLOT && pairs[at].key != key) at = (at + 1) & (n_slots - 1);
    return at;
}

static void grow_pairs(Bpe *b) {
    if (b->n_slots != 0 && b->n_pairs * 2 < b->n_slots) return;
    size_t n = b->n_slots == 0 ? 1024 : b->n_slots * 2;
    BpePair *pairs = mem_alloc(n * sizeof *pairs);
    for (size_t i = 0; i < n; i++) pairs[i] = (BpePair){.rank = FREE_SLOT};
    for (size_t i = 0; i < b->n_slots; i++) {
        if (b->pairs[i].rank == FREE_SLOT) continue;
        pairs[pair_slot(pairs, n, b->pairs[i].key)] = b->pairs[i];
    }
    mem_free(b->pairs);
    b->pairs = pairs;
    b->n_slots = n;
}

void bpe_add_merge(Bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t merged) {
    CHECK(rank != FREE_SLOT, "rank %u", rank);
    grow_pairs(b);
    size_t at = pair_slot(b->pairs, b->n_slots, pair_key(left, right));
    if (b->pairs[at].rank == FREE_SLOT) b->n_pairs++;
    b->pairs[at] = (BpePair){pair_key(left, right), rank, merged};
}

const BpePair *bpe_find_merge(const Bpe *b, int32_t left, int32_t right) {
    if (left < 0 || right < 0 || b->n_slots == 0) return NULL;
    const BpePair *p = &b->pairs[pair_slot(b->pairs, b->n_slots, pair_key(left, right))];
    return p->rank == FREE_SLOT ? NULL : p;
}

/* A text as an id that the model may give. */
static int32_t find_token(const Bpe *b, const char *text, size_t n) {
    int32_t id = vocab_find(b->vocab, text, n);
    return id >= 0 && b->hidden != NULL && b->hidden[id] ? -1 : id;
}

/* SentencePiece's blank. Its models have no pre-tokenizer: a whole text is one piece, unless it can
 * be seen that cutting before each word changes nothing. */
#define SPACE "\xE2\x96\x81"
#define SPACE_BYTES 3

static bool starts_with_space(const char *text, size_t n) {
    return n >= SPACE_BYTES && memcmp(text, SPACE, SPACE_BYTES) == 0;
}

static bool ends_with_space(const char *text, size_t n) {
    return n >= SPACE_BYTES && memcmp(text + n - SPACE_BYTES, SPACE, SPACE_BYTES) == 0;
}

static bool can_cut_at_space(const Bpe *b) {
    if (vocab_find(b->vocab, SPACE, SPACE_BYTES) < 0 || b->prefix != NULL || b->suffix != NULL) {
        return false;
    }
    for (size_t i = 0; i < b->n_slots; i++) {
        if (b->pairs[i].rank == FREE_SLOT) continue;
        size_t left_n = 0, right_n = 0;
        const char *left = vocab_text(b->vocab, (int32_t)(b->pairs[i].key >> 32), &left_n);
        const char *right = vocab_text(b->vocab, (int32_t)(b->pairs[i].key & UINT32_MAX), &right_n);
        if (!ends_with_space(left, left_n) && starts_with_space(right, right_n)) return false;
    }
    return true;
}

void bpe_prepare(Bpe *b) {
    for (uint32_t c = 0; c < BPE_DIRECT; c++) {
        Str s = {0};
        str_append_utf8(&s, c);
        b->direct[c] = find_token(b, s.data, s.len);
        str_free(&s);
    }
    b->has_bytes = true;
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        b->byte_id[i] = vocab_find(b->vocab, name, 6);
        b->has_bytes = b->has_bytes && b->byte_id[i] >= 0;
    }
    b->cut_at_space = can_cut_at_space(b);
}

/* ---- a piece as symbols ---- */

static BpeSymbol *room_for_symbols(BpeScratch *w, size_t n) {
    if (n > w->symbols_cap) {
        w->symbols_cap = n > 256 ? n + n / 2 : 256;
        w->symbols = mem_realloc(w->symbols, w->symbols_cap, sizeof *w->symbols);
    }
    return w->symbols;
}

static int32_t character_id(const Bpe *b, BpeScratch *w, const char *text, size_t n, bool first,
                            bool last) {
    if (b->prefix != NULL || b->suffix != NULL) {
        str_clear(&w->word);
        if (!first && b->prefix != NULL) str_append(&w->word, b->prefix);
        str_append_n(&w->word, text, n);
        if (last && b->suffix != NULL) str_append(&w->word, b->suffix);
        return find_token(b, w->word.data, w->word.len);
    }
    if (n <= 2) {
        size_t length;
        uint32_t c = unicode_decode(text, n, &length);
        if (c < BPE_DIRECT) return b->direct[c];
    }
    return find_token(b, text, n);
}

/* Appends what stands for a character that is no token. */
static size_t unknown_character(const Bpe *b, BpeSymbol *s, size_t count, const char *text,
                                size_t n) {
    if (b->byte_fallback && b->has_bytes) {
        for (size_t i = 0; i < n; i++) {
            s[count++] = (BpeSymbol){.id = b->byte_id[(unsigned char)text[i]], .bytes = 1};
        }
        return count;
    }
    if (b->unk < 0) return count; /* the character is lost, as in the reference */
    if (b->fuse_unk && count > 0 && s[count - 1].id == b->unk) {
        s[count - 1].bytes += (uint32_t)n;
        return count;
    }
    s[count++] = (BpeSymbol){.id = b->unk, .bytes = (uint32_t)n};
    return count;
}

static size_t split_characters(const Bpe *b, BpeScratch *w, const char *piece, size_t n) {
    BpeSymbol *s = room_for_symbols(w, n); /* a byte gives at most one symbol */
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        size_t k = unicode_length((unsigned char)piece[at]);
        int32_t id = character_id(b, w, piece + at, k, at == 0, at + k == n);
        if (id >= 0) {
            s[count++] = (BpeSymbol){.id = id, .bytes = (uint32_t)k};
        } else {
            count = unknown_character(b, s, count, piece + at, k);
        }
        at += k;
    }
    return count;
}

/* ---- merging ---- */

static uint32_t rank_of(const Bpe *b, int32_t left, int32_t right) {
    const BpePair *p = bpe_find_merge(b, left, right);
    return p == NULL ? NOBODY : p->rank;
}

/* Few symbols: the rank of each pair stands in `next`; find the least, merge, repeat. */
static size_t merge_short(const Bpe *b, BpeSymbol *s, size_t n) {
    for (size_t i = 0; i + 1 < n; i++) s[i].next = rank_of(b, s[i].id, s[i + 1].id);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            if (s[i].next < s[best].next) best = i;
        }
        if (s[best].next == NOBODY) break;
        s[best].id = bpe_find_merge(b, s[best].id, s[best + 1].id)->merged;
        s[best].bytes += s[best + 1].bytes;
        n--;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        if (best + 1 < n) s[best].next = rank_of(b, s[best].id, s[best + 1].id);
        if (best > 0) s[best - 1].next = rank_of(b, s[best - 1].id, s[best].id);
    }
    return n;
}

static bool entry_before(const BpeEntry *a, const BpeEntry *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(BpeScratch *w, BpeEntry e) {
    if (w->heap_n == w->heap_cap) {
        w->heap_cap = w->heap_cap == 0 ? 256 : w->heap_cap * 2;
        w->heap = mem_realloc(w->heap, w->heap_cap, sizeof *w->heap);
    }
    size_t at = w->heap_n++;
    while (at > 0 && entry_before(&e, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = e;
}

static BpeEntry heap_pop(BpeScratch *w) {
    BpeEntry top = w->heap[0], last = w->heap[--w->heap_n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= w->heap_n) break;
        if (4 * at + 3 < w->heap_n) __builtin_prefetch(&w->heap[4 * at + 3]); /* out of caches */
        if (child + 1 < w->heap_n && entry_before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!entry_before(&w->heap[child], &last)) break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return top;
}

static void push_pair(const Bpe *b, BpeScratch *w, uint32_t at) {
    const BpeSymbol *s = w->symbols;
    if (at == NOBODY || s[at].next == NOBODY) return;
    int32_t left = s[at].id, right = s[s[at].next].id;
    uint32_t rank = rank_of(b, left, right);
    if (rank != NOBODY) heap_push(w, (BpeEntry){rank, at, left, right});
}

/* Many symbols: a linked list and a heap of candidate merges; stale candidates are skipped. */
static size_t merge_long(const Bpe *b, BpeScratch *w, size_t n) {
    BpeSymbol *s = w->symbols;
    for (size_t i = 0; i < n; i++) {
        s[i].prev = i == 0 ? NOBODY : (uint32_t)(i - 1);
        s[i].next = i + 1 == n ? NOBODY : (uint32_t)(i + 1);
    }
    w->heap_n = 0;
    for (size_t i = 0; i + 1 < n; i++) push_pair(b, w, (uint32_t)i);
    while (w->heap_n > 0) {
        BpeEntry e = heap_pop(w);
        BpeSymbol *left = &s[e.at];
        if (left->bytes == 0 || left->id != e.left || left->next == NOBODY) continue;
        BpeSymbol *right = &s[left->next];
        if (right->id != e.right) continue;
        left->id = bpe_find_merge(b, e.left, e.right)->merged;
        left->bytes += right->bytes;
        right->bytes = 0; /* gone */
        left->next = right->next;
        if (left->next != NOBODY) s[left->next].prev = e.at;
        push_pair(b, w, left->prev);
        push_pair(b, w, e.at);
    }
    size_t count = 0;
    for (uint32_t at = 0; at != NOBODY; at = s[at].next) s[count++] = s[at];
    return count;
}

static void encode_word(const Bpe *b, BpeScratch *w, Spans *out, const char *piece, size_t n) {
    if (piece_cache_find(&w->cache, out, piece, n)) return;
    size_t count = split_characters(b, w, piece, n);
    if (count > 0) {
        count = count <= SHORT_PIECE ? merge_short(b, w->symbols, count) : merge_long(b, w, count);
    }
    size_t from = out->n;
    spans_reserve(out, count);
    for (size_t i = 0; i < count; i++) spans_push(out, w->symbols[i].id, w->symbols[i].bytes);
    piece_cache_keep(&w->cache, piece, n, out, from);
}

/* Where the word at `at` ends: before a blank that has none before it. */
static size_t word_end(const char *piece, size_t at, size_t n) {
    for (size_t i = at + 1; i + SPACE_BYTES <= n; i++) {
        const char *hit = memchr(piece + i, SPACE[0], n - i);
        if (hit == NULL) return n;
        i = (size_t)(hit - piece);
        if (starts_with_space(hit, n - i) && !ends_with_space(piece + at, i - at)) return i;
    }
    return n;
}

void bpe_encode(const Bpe *b, BpeScratch *w, Spans *out, const char *piece, size_t n) {
    CHECK(n > 0 && n < NOBODY, "piece of %zu bytes", n);
    int32_t whole = b->ignore_merges ? find_token(b, piece, n) : -1;
    if (whole >= 0) {
        spans_push(out, whole, (uint32_t)n);
        return;
    }
    for (size_t at = 0; at < n;) {
        size_t end = b->cut_at_space ? word_end(piece, at, n) : n;
        encode_word(b, w, out, piece + at, end - at);
        at = end;
    }
}
