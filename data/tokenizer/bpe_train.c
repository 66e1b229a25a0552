/* Learning a byte-level BPE: text is cut into words by GPT-2's pattern, each word is its bytes;
 * again and again the pair of neighbours that occurs most often becomes a token (ties: the smaller
 * ids). The choice of pairs is that of Hugging Face's BpeTrainer, so the same text gives the same
 * file.
 *
 * Only words that hold the merged pair are touched: an entry of the heap knows them.
 */
#include "core/check.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/publish.h"
#include "data/tokenizer/bpe_write.h"
#include "data/tokenizer/pretokenize.h"
#include "core/regex.h"
#include "data/tokenizer/vocab.h"

#include <string.h>

typedef struct Word {
    size_t at;  /* of its symbols */
    uint32_t n; /* symbols left */
    int64_t count;
} Word;

typedef struct PairStat {
    uint64_t key; /* left << 32 | right; PAIR_FREE */
    int64_t count;
    uint32_t *words; /* [n] where it has come up since it was last queued, ascending */
    uint32_t n, cap;
} PairStat;

typedef struct Candidate {
    uint64_t key;
    int64_t count;
    uint32_t *words; /* [n] owned */
    uint32_t n;
} Candidate;

#define PAIR_FREE UINT64_MAX

typedef struct Trainer {
    Vocab texts; /* distinct words; id = index of the word */
    Word *words;
    size_t words_cap;
    int32_t *symbols; /* of all words, one after another */
    PairStat *pairs;  /* [n_slots] open addressing */
    size_t n_slots, n_pairs;
    size_t *touched; /* slots that the current merge made grow */
    size_t n_touched, touched_cap;
    Candidate *heap;
    size_t heap_n, heap_cap;
    Vocab vocab;
    BpeWriteMerge *merges;
    size_t n_merges, merges_cap;
} Trainer;

static void trainer_free(Trainer *t) {
    vocab_free(&t->texts);
    vocab_free(&t->vocab);
    for (size_t i = 0; i < t->n_slots; i++) mem_free(t->pairs[i].words);
    for (size_t i = 0; i < t->heap_n; i++) mem_free(t->heap[i].words);
    mem_free(t->words);
    mem_free(t->symbols);
    mem_free(t->pairs);
    mem_free(t->touched);
    mem_free(t->heap);
    mem_free(t->merges);
}

/* ---- words ---- */

static void count_word(Trainer *t, const char *text, size_t n) {
    int32_t id = vocab_find(&t->texts, text, n);
    if (id < 0) {
        id = t->texts.size;
        vocab_add(&t->texts, text, n, id);
        if ((size_t)id == t->words_cap) {
            t->words_cap = t->words_cap == 0 ? 4096 : t->words_cap * 2;
            t->words = mem_realloc(t->words, t->words_cap, sizeof *t->words);
        }
        t->words[id] = (Word){.n = (uint32_t)n};
    }
    t->words[id].count++;
}

static Status count_words(Trainer *t, const TokenizerInput *texts, size_t n_texts) {
    Regex *cut = NULL;
    RegexScratch w = {0};
    Status st = regex_open(&cut, PRETOKENIZE_GPT2, sizeof PRETOKENIZE_GPT2 - 1, "train-tokenizer");
    for (size_t i = 0; i < n_texts && st == OK; i++) {
        size_t bad = 0, start = 0, end = 0;
        if (texts[i].n > 0 && !str_utf8_valid(texts[i].text, texts[i].n, &bad)) {
            st = status_fail(ERR_DATA, "text %zu is not UTF-8 at byte %zu", i + 1, bad);
        }
        bool found = texts[i].n > 0;
        while (st == OK && found && end < texts[i].n) { /* every byte is in some match */
            st = regex_find(cut, &w, texts[i].text, texts[i].n, end, &found, &start, &end);
            if (st == OK && found) count_word(t, texts[i].text + start, end - start);
        }
    }
    regex_scratch_free(&w);
    regex_close(cut);
    return st;
}

/* Special tokens first, then the bytes in the order of their characters. */
static Status start_vocab(Trainer *t, const TokenizerTraining *how, int32_t byte_id[256]) {
    for (size_t i = 0; i < how->n_special; i++) {
        const char *text = how->special[i];
        if (text[0] == '\0' || !vocab_add(&t->vocab, text, strlen(text), t->vocab.size)) {
            return status_fail(ERR_USAGE, "the special token `%s` is empty or there twice", text);
        }
    }
    for (uint32_t c = 0; c < 0x144; c++) {
        int byte = pretokenize_char_byte(c);
        if (byte < 0) continue;
        Str text = {0};
        str_append_utf8(&text, c);
        byte_id[byte] = vocab_find(&t->vocab, text.data, text.len);
        if (byte_id[byte] < 0) {
            byte_id[byte] = t->vocab.size;
            vocab_add(&t->vocab, text.data, text.len, t->vocab.size);
        }
        str_free(&text);
    }
    if (how->vocab_size < t->vocab.size || how->vocab_size > VOCAB_MAX_ID) {
        return status_fail(ERR_USAGE,
                           "a vocabulary of %d tokens; %d to %d are possible (256 bytes and %zu "
                           "special tokens are always in it)",
                           how->vocab_size, t->vocab.size, VOCAB_MAX_ID, how->n_special);
    }
    return OK;
}

static void spell_words(Trainer *t, const int32_t byte_id[256]) {
    size_t total = 0;
    for (int32_t i = 0; i < t->texts.size; i++) total += t->words[i].n;
    t->symbols = mem_alloc((total + 1) * sizeof *t->symbols);
    size_t at = 0;
    for (int32_t i = 0; i < t->texts.size; i++) {
        size_t n = 0;
        const char *text = vocab_text(&t->texts, i, &n);
        t->words[i].at = at;
        for (size_t k = 0; k < n; k++) t->symbols[at++] = byte_id[(unsigned char)text[k]];
    }
}

/* ---- pairs ---- */

static size_t pair_slot(const Trainer *t, uint64_t key) {
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(h ^ h >> 32) & (t->n_slots - 1);
    while (t->pairs[at].key != PAIR_FREE && t->pairs[at].key != key)
        at = (at + 1) & (t->n_slots - 1);
    return at;
}

static void grow_pairs(Trainer *t) {
    if (t->n_slots != 0 && t->n_pairs * 2 < t->n_slots) return;
    PairStat *old = t->pairs;
    size_t n_old = t->n_slots;
    t->n_slots = n_old == 0 ? 65536 : n_old * 2;
    t->pairs = mem_alloc(t->n_slots * sizeof *t->pairs);
    for (size_t i = 0; i < t->n_slots; i++) t->pairs[i] = (PairStat){.key = PAIR_FREE};
    for (size_t i = 0; i < t->n_touched; i++) t->touched[i] = SIZE_MAX; /* rebuilt below */
    size_t n_touched = 0;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].key == PAIR_FREE) continue;
        size_t at = pair_slot(t, old[i].key);
        t->pairs[at] = old[i];
        if (old[i].n > 0) t->touched[n_touched++] = at;
    }
    CHECK(n_touched == t->n_touched, "%zu of %zu pairs", n_touched, t->n_touched);
    mem_free(old);
}

/* The pair occurs `change` times more (or less) in the word. */
static void change_pair(Trainer *t, int32_t left, int32_t right, uint32_t word, int64_t change) {
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    grow_pairs(t);
    size_t at = pair_slot(t, key);
    PairStat *p = &t->pairs[at];
    if (p->key == PAIR_FREE) {
        p->key = key;
        t->n_pairs++;
    }
    p->count += change * t->words[word].count;
    if (change < 0 || (p->n > 0 && p->words[p->n - 1] == word)) return;
    if (p->n == 0) {
        if (t->n_touched == t->touched_cap) {
            t->touched_cap = t->touched_cap == 0 ? 1024 : t->touched_cap * 2;
            t->touched = mem_realloc(t->touched, t->touched_cap, sizeof *t->touched);
        }
        t->touched[t->n_touched++] = at;
    }
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? 4 : p->cap * 2;
        p->words = mem_realloc(p->words, p->cap, sizeof *p->words);
    }
    p->words[p->n++] = word;
}

/* ---- the heap: most frequent first, then smaller ids ---- */

static bool before(const Candidate *a, const Candidate *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void heap_push(Trainer *t, Candidate c) {
    if (t->heap_n == t->heap_cap) {
        t->heap_cap = t->heap_cap == 0 ? 4096 : t->heap_cap * 2;
        t->heap = mem_realloc(t->heap, t->heap_cap, sizeof *t->heap);
    }
    size_t at = t->heap_n++;
    while (at > 0 && before(&c, &t->heap[(at - 1) / 2])) {
        t->heap[at] = t->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    t->heap[at] = c;
}

static Candidate heap_pop(Trainer *t) {
    Candidate top = t->heap[0], last = t->heap[--t->heap_n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= t->heap_n) break;
        if (child + 1 < t->heap_n && before(&t->heap[child + 1], &t->heap[child])) child++;
        if (!before(&t->heap[child], &last)) break;
        t->heap[at] = t->heap[child];
        at = child;
    }
    t->heap[at] = last;
    return top;
}

/* Pairs that came up in new words become candidates, with those words. */
static void queue_touched(Trainer *t) {
    for (size_t i = 0; i < t->n_touched; i++) {
        PairStat *p = &t->pairs[t->touched[i]];
        if (p->count > 0)
            heap_push(t, (Candidate){p->key, p->count, p->words, p->n});
        else
            mem_free(p->words);
        p->words = NULL;
        p->n = p->cap = 0;
    }
    t->n_touched = 0;
}

/* ---- learning ---- */

static void merge_in_word(Trainer *t, uint32_t index, int32_t left, int32_t right, int32_t merged) {
    Word *w = &t->words[index];
    int32_t *s = t->symbols + w->at;
    uint32_t out = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        if (s[i] != left || i + 1 == w->n || s[i + 1] != right) {
            s[out++] = s[i];
            continue;
        }
        if (out > 0) {
            change_pair(t, s[out - 1], left, index, -1);
            change_pair(t, s[out - 1], merged, index, 1);
        }
        if (i + 2 < w->n) {
            change_pair(t, right, s[i + 2], index, -1);
            change_pair(t, merged, s[i + 2], index, 1);
        }
        s[out++] = merged;
        i++;
    }
    w->n = out;
}

static int32_t merged_token(Trainer *t, int32_t left, int32_t right) {
    Str text = {0};
    size_t n = 0;
    const char *part = vocab_text(&t->vocab, left, &n);
    str_append_n(&text, part, n);
    part = vocab_text(&t->vocab, right, &n);
    str_append_n(&text, part, n);
    int32_t id = vocab_find(&t->vocab, text.data, text.len);
    if (id < 0) {
        id = t->vocab.size;
        vocab_add(&t->vocab, text.data, text.len, id);
    }
    str_free(&text);
    return id;
}

static void merge(Trainer *t, const Candidate *c) {
    int32_t left = (int32_t)(c->key >> 32), right = (int32_t)(c->key & UINT32_MAX);
    int32_t merged = merged_token(t, left, right);
    if (t->n_merges == t->merges_cap) {
        t->merges_cap = t->merges_cap == 0 ? 4096 : t->merges_cap * 2;
        t->merges = mem_realloc(t->merges, t->merges_cap, sizeof *t->merges);
    }
    t->merges[t->n_merges++] = (BpeWriteMerge){left, right};
    for (uint32_t i = 0; i < c->n; i++) merge_in_word(t, c->words[i], left, right, merged);
    queue_touched(t);
}

static void learn(Trainer *t, const TokenizerTraining *how) {
    int64_t least = how->min_frequency > 1 ? how->min_frequency : 1;
    for (int32_t i = 0; i < t->texts.size; i++) {
        const Word *w = &t->words[i];
        for (uint32_t k = 0; k + 1 < w->n; k++) {
            change_pair(t, t->symbols[w->at + k], t->symbols[w->at + k + 1], (uint32_t)i, 1);
        }
    }
    queue_touched(t);
    while (t->vocab.size < how->vocab_size && t->heap_n > 0) {
        Candidate c = heap_pop(t);
        int64_t count = t->pairs[pair_slot(t, c.key)].count;
        if (c.count != count) { /* it has become rarer since */
            c.count = count;
            heap_push(t, c);
            continue;
        }
        if (c.count >= least) merge(t, &c);
        mem_free(c.words);
        if (c.count < least) break;
    }
    if (t->vocab.size < how->vocab_size) {
        log_warn(
            "the text gives a vocabulary of %d tokens, not %d: no other pair occurs %lld times",
            t->vocab.size, how->vocab_size, (long long)least);
    }
}

static Status write_files(const Trainer *t, const TokenizerTraining *how, const char *folder) {
    Str json = {0}, config = {0};
    char *json_path = file_join(folder, "tokenizer.json");
    char *config_path = file_join(folder, "tokenizer_config.json");
    bpe_write_json(&json, how, &t->vocab, t->merges, t->n_merges);
    bpe_write_config(&config, how);
    Status st = publish_bytes(json_path, json.data, json.len);
    if (st == OK) st = publish_bytes(config_path, config.data, config.len);
    mem_free(json_path);
    mem_free(config_path);
    str_free(&json);
    str_free(&config);
    return st;
}

Status tokenizer_train_bpe(const char *folder, const TokenizerTraining *how,
                           const TokenizerInput *texts, size_t n_texts) {
    Trainer t = {0};
    int32_t byte_id[256];
    Status st = OK;
    TRY_GOTO(start_vocab(&t, how, byte_id), st, out);
    TRY_GOTO(count_words(&t, texts, n_texts), st, out);
    spell_words(&t, byte_id);
    learn(&t, how);
    st = write_files(&t, how, folder);
out:
    trainer_free(&t);
    return st;
}
