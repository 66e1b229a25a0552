#include "data/tokenizer/tokenizer.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/publish.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

#define TEXT_MAX ((size_t)1 << 31) /* bytes of one text */

/* ---- lists of ids ---- */

void token_ids_push(TokenIds *ids, int32_t id, bool mask) {
    if (ids->n == ids->cap) {
        ids->cap = ids->cap == 0 ? 64 : ids->cap * 2;
        ids->id = mem_realloc(ids->id, ids->cap, sizeof *ids->id);
        if (ids->want_mask) ids->mask = mem_realloc(ids->mask, ids->cap, sizeof *ids->mask);
    }
    if (ids->want_mask) ids->mask[ids->n] = mask;
    ids->id[ids->n++] = id;
}

void token_ids_clear(TokenIds *ids) {
    ids->n = 0;
}

void token_ids_free(TokenIds *ids) {
    mem_free(ids->id);
    mem_free(ids->mask);
    *ids = (TokenIds){.want_mask = ids->want_mask};
}

/* ---- building ---- */

Status tokenizer_add_token(Tokenizer *t, const char *text, size_t n, AddedToken token,
                           const char *where) {
    if (n == 0) return status_fail(ERR_DATA, "%s: the added token %d has no text", where, token.id);
    int32_t known = vocab_find(&t->vocab, text, n);
    if (known >= 0 && known < VOCAB_MAX_ID && (t->is_added[known / 8] >> known % 8 & 1)) {
        return OK; /* the first one counts */
    }
    token.in_model = known >= 0;
    if (known >= 0) {
        token.id = known;
    } else if (token.id < 0 || token.id >= VOCAB_MAX_ID) {
        return status_fail(ERR_DATA, "%s: the added token `%s` has the id %d; ids are 0 to %d",
                           where, text, token.id, VOCAB_MAX_ID - 1);
    } else if (!vocab_add(&t->vocab, text, n, token.id)) {
        return status_fail(ERR_DATA,
                           "%s: the added token `%s` has the id %d, which is taken by `%s`", where,
                           text, token.id, vocab_text(&t->vocab, token.id, NULL));
    }
    if (t->n_added == t->added_cap) {
        t->added_cap = t->added_cap == 0 ? 32 : t->added_cap * 2;
        t->added = mem_realloc(t->added, t->added_cap, sizeof *t->added);
    }
    t->is_added[token.id / 8] |= (uint8_t)(1u << token.id % 8);
    t->added[t->n_added++] = token;
    return OK;
}

void tokenizer_set_name(Tokenizer *t, const char *name, const char *text) {
    if (tokenizer_special_text(t, name) != NULL) return;
    if (t->n_names == t->names_cap) {
        t->names_cap = t->names_cap == 0 ? 16 : t->names_cap * 2;
        t->names = mem_realloc(t->names, t->names_cap, sizeof *t->names);
    }
    t->names[t->n_names++] = (TokenizerName){mem_strdup(name), mem_strdup(text)};
}

/* Added tokens that are looked for in normalised text are normalised themselves. */
static Status insert_normalized(Tokenizer *t, int32_t index, const char *text, size_t n,
                                const char *where) {
    Tagged source = {.uniform = true}, result = {.uniform = true};
    NormalizeScratch w = {0};
    RegexScratch rw = {0};
    tagged_append(&source, text, n, 0);
    Status st = normalizer_apply(&t->normalizer, &w, &rw, &result, &source, 0, n);
    if (st == OK && result.text.len == 0) {
        st = status_fail(ERR_DATA, "%s: nothing is left of the added token `%s` after normalising",
                         where, text);
    }
    if (st == OK) added_insert(&t->added_normalized, index, result.text.data, result.text.len);
    tagged_free(&source);
    tagged_free(&result);
    normalize_scratch_free(&w);
    regex_scratch_free(&rw);
    return st;
}

int32_t tokenizer_model_unk(const Tokenizer *t) {
    switch (t->model) {
    case MODEL_BPE:
        return t->bpe.unk;
    case MODEL_UNIGRAM:
        return t->unigram.unk;
    case MODEL_WORDPIECE:
        return t->wordpiece.unk;
    }
    FAIL("model %d", (int)t->model);
}

static Status prepare_model(Tokenizer *t, const char *where) {
    t->bpe.vocab = t->unigram.vocab = t->wordpiece.vocab = &t->vocab;
    t->bpe.hidden = t->unigram.hidden = t->wordpiece.hidden = t->hidden;
    switch (t->model) {
    case MODEL_BPE:
        bpe_prepare(&t->bpe);
        return OK;
    case MODEL_UNIGRAM:
        return unigram_prepare(&t->unigram, where);
    case MODEL_WORDPIECE:
        return wordpiece_prepare(&t->wordpiece, where);
    }
    FAIL("model %d", (int)t->model);
}

Status tokenizer_finish(Tokenizer *t, const char *where) {
    if (t->vocab.size == 0) return status_fail(ERR_DATA, "%s: the vocabulary is empty", where);
    t->special = mem_zalloc((size_t)t->vocab.size, sizeof *t->special);
    t->hidden = mem_zalloc((size_t)t->vocab.size, sizeof *t->hidden);
    added_init(&t->added_raw, t->added);
    added_init(&t->added_normalized, t->added);
    for (size_t i = 0; i < t->n_added; i++) {
        const AddedToken *a = &t->added[i];
        size_t n = 0;
        const char *text = vocab_text(&t->vocab, a->id, &n);
        t->special[a->id] = a->special;
        t->hidden[a->id] = a->special || !a->in_model;
        if (a->verbatim)
            added_insert(&t->added_normalized, (int32_t)i, text, n);
        else if (a->normalized)
            TRY(insert_normalized(t, (int32_t)i, text, n, where));
        else
            added_insert(&t->added_raw, (int32_t)i, text, n);
    }
    return prepare_model(t, where);
}

static void worker_free(TokenizerWorker *w) {
    bpe_scratch_free(&w->bpe);
    unigram_scratch_free(&w->unigram);
    regex_scratch_free(&w->regex);
    normalize_scratch_free(&w->normalize);
    pretokenize_scratch_free(&w->pretokenize);
    tagged_free(&w->raw);
    tagged_free(&w->text);
    pieces_free(&w->raw_pieces);
    pieces_free(&w->pieces);
    spans_free(&w->spans);
    mem_free(w);
}

void tokenizer_close(Tokenizer *t) {
    if (t == NULL) return;
    while (t->idle != NULL) {
        TokenizerWorker *w = t->idle;
        t->idle = w->next;
        worker_free(w);
    }
    pthread_mutex_destroy(&t->lock);
    vocab_free(&t->vocab);
    bpe_free(&t->bpe);
    unigram_free(&t->unigram);
    wordpiece_free(&t->wordpiece);
    mem_free(t->added);
    mem_free(t->is_added);
    added_free(&t->added_raw);
    added_free(&t->added_normalized);
    mem_free(t->special);
    mem_free(t->hidden);
    normalizer_free(&t->normalizer);
    pretokenizer_free(&t->pretokenizer);
    detokenizer_free(&t->detokenizer);
    token_ids_free(&t->before);
    token_ids_free(&t->after);
    token_ids_free(&t->eos_list);
    for (size_t i = 0; i < t->n_names; i++) {
        mem_free(t->names[i].name);
        mem_free(t->names[i].text);
    }
    mem_free(t->names);
    mem_free(t->chat_template);
    for (size_t i = 0; i < t->n_files; i++) {
        mem_free(t->files[i].name);
        str_free(&t->files[i].bytes);
    }
    mem_free(t->files);
    mem_free(t);
}

/* ---- encoding ---- */

static TokenizerWorker *worker_take(const Tokenizer *t) {
    Tokenizer *pool = (Tokenizer *)t; /* the list of workers is the one thing that changes */
    pthread_mutex_lock(&pool->lock);
    TokenizerWorker *w = pool->idle;
    if (w != NULL) pool->idle = w->next;
    pthread_mutex_unlock(&pool->lock);
    return w != NULL ? w : mem_zalloc(1, sizeof *w);
}

static void worker_give(const Tokenizer *t, TokenizerWorker *w) {
    Tokenizer *pool = (Tokenizer *)t;
    pthread_mutex_lock(&pool->lock);
    w->next = pool->idle;
    pool->idle = w;
    pthread_mutex_unlock(&pool->lock);
}

/* raw -> text and pieces: added tokens found, the rest normalised. */
static Status find_added(const Tokenizer *t, TokenizerWorker *w) {
    w->raw_pieces.n = w->pieces.n = 0;
    added_split(&t->added_raw, &w->raw, (Piece){0, w->raw.text.len, -1, true}, &w->raw_pieces);
    bool rewrite = t->normalizer.n > 0;
    tagged_reset(&w->text, &w->raw);
    for (size_t i = 0; i < w->raw_pieces.n; i++) {
        Piece piece = w->raw_pieces.piece[i];
        size_t at = w->text.text.len;
        if (piece.token >= 0 || !rewrite) {
            tagged_copy(&w->text, &w->raw, piece.at, piece.n);
        } else {
            TRY(normalizer_apply(&t->normalizer, &w->normalize, &w->regex, &w->text, &w->raw,
                                 piece.at, piece.n));
        }
        piece.at = at;
        piece.n = w->text.text.len - at;
        if (piece.token >= 0)
            pieces_push(&w->pieces, piece);
        else
            added_split(&t->added_normalized, &w->text, piece, &w->pieces);
    }
    return OK;
}

static void push_spans(TokenizerWorker *w, TokenIds *ids, size_t at) {
    for (size_t i = 0; i < w->spans.n; i++) {
        size_t n = w->spans.bytes[i];
        bool mask = ids->want_mask && (tagged_over(&w->text, at, n) & SEGMENT_MASK);
        token_ids_push(ids, w->spans.id[i], mask);
        at += n;
    }
}

static Status encode_piece(const Tokenizer *t, TokenizerWorker *w, const char *text, size_t n) {
    switch (t->model) {
    case MODEL_BPE:
        bpe_encode(&t->bpe, &w->bpe, &w->spans, text, n);
        return OK;
    case MODEL_UNIGRAM:
        return unigram_encode(&t->unigram, &w->unigram, &w->spans, text, n);
    case MODEL_WORDPIECE:
        wordpiece_encode(&t->wordpiece, &w->spans, text, n);
        return OK;
    }
    FAIL("model %d", (int)t->model);
}

/* The text in w->raw. */
static Status encode_raw(const Tokenizer *t, TokenizerWorker *w, TokenIds *ids) {
    TRY(find_added(t, w));
    TRY(pretokenizer_apply(&t->pretokenizer, &w->pretokenize, &w->regex, &w->text, &w->pieces));
    for (size_t i = 0; i < w->pieces.n; i++) {
        Piece piece = w->pieces.piece[i];
        w->spans.n = 0;
        if (piece.token >= 0)
            spans_push(&w->spans, piece.token, (uint32_t)piece.n);
        else
            TRY(encode_piece(t, w, w->text.text.data + piece.at, piece.n));
        push_spans(w, ids, piece.at);
    }
    return OK;
}

Status tokenizer_encode_segments(const Tokenizer *t, TokenIds *ids, const TokenSegment *segments,
                                 size_t n_segments, unsigned flags) {
    TokenizerWorker *w = worker_take(t);
    Status st = OK;
    size_t before = ids->n, bad = 0, total = 0;
    tagged_reset(&w->raw, NULL);
    w->raw.same = (uint8_t)(n_segments > 0 ? segments[0].flags : 0);
    for (size_t i = 0; i < n_segments; i++) {
        if (segments[i].flags != w->raw.same) tagged_spread(&w->raw);
        tagged_append(&w->raw, segments[i].text, segments[i].n, (uint8_t)segments[i].flags);
        total += segments[i].n;
    }
    if (total >= TEXT_MAX) {
        st = status_fail(ERR_DATA, "a text of %zu bytes is too long to be tokenised", total);
    } else if (!str_utf8_valid(str_text(&w->raw.text), total, &bad)) {
        st = status_fail(ERR_DATA, "the text is not UTF-8 at byte %zu", bad);
    }
    if (st == OK && (flags & TOKENIZER_ADD_SPECIAL)) {
        for (size_t i = 0; i < t->before.n; i++) token_ids_push(ids, t->before.id[i], false);
    }
    if (st == OK && total > 0) st = encode_raw(t, w, ids);
    if (st == OK && (flags & TOKENIZER_ADD_SPECIAL)) {
        for (size_t i = 0; i < t->after.n; i++) token_ids_push(ids, t->after.id[i], false);
    }
    if (st != OK) ids->n = before;
    worker_give(t, w);
    return st;
}

Status tokenizer_encode(const Tokenizer *t, TokenIds *ids, const char *text, size_t n,
                        unsigned flags) {
    unsigned origin = flags & TOKENIZER_PARSE_SPECIAL ? SEGMENT_SPECIAL : 0;
    return tokenizer_encode_segments(t, ids, &(TokenSegment){text, n, origin}, 1, flags);
}

/* ---- decoding ---- */

void token_stream_init(TokenStream *s, const Tokenizer *t, unsigned flags) {
    str_free(&s->held);
    *s = (TokenStream){.tokenizer = t, .flags = flags};
}

Status token_stream_push(TokenStream *s, Str *text, int32_t id) {
    const Tokenizer *t = s->tokenizer;
    size_t n = 0;
    const char *token = vocab_text(&t->vocab, id, &n);
    if (token == NULL) {
        /* A model's table may have more rows than there are tokens: they have no text. */
        if (id >= 0 && id < VOCAB_MAX_ID) return OK;
        return status_fail(ERR_DATA, "the id %d is no token; ids are 0 to %d", id,
                           t->vocab.size - 1);
    }
    if ((s->flags & TOKENIZER_SKIP_SPECIAL) && t->special[id]) return OK;
    detokenizer_push(&t->detokenizer, s, text, token, n);
    return OK;
}

void token_stream_finish(TokenStream *s, Str *text) {
    detokenizer_finish(&s->tokenizer->detokenizer, s, text);
    token_stream_init(s, s->tokenizer, s->flags);
}

Status tokenizer_decode(const Tokenizer *t, Str *text, const int32_t *ids, size_t n,
                        unsigned flags) {
    TokenStream s = {0};
    size_t before = text->len;
    Status st = OK;
    token_stream_init(&s, t, flags);
    for (size_t i = 0; i < n && st == OK; i++) st = token_stream_push(&s, text, ids[i]);
    if (st == OK)
        token_stream_finish(&s, text);
    else if (text->data != NULL)
        text->data[text->len = before] = '\0';
    str_free(&s.held);
    return st;
}

/* ---- asking ---- */

int32_t tokenizer_vocab_size(const Tokenizer *t) {
    return t->vocab.size;
}
int32_t tokenizer_bos(const Tokenizer *t) {
    return t->bos;
}
int32_t tokenizer_eos(const Tokenizer *t) {
    return t->eos;
}
int32_t tokenizer_pad(const Tokenizer *t) {
    return t->pad;
}
int32_t tokenizer_unk(const Tokenizer *t) {
    return t->unk;
}
int64_t tokenizer_max_length(const Tokenizer *t) {
    return t->max_length;
}
const char *tokenizer_digest(const Tokenizer *t) {
    return t->digest;
}
const char *tokenizer_chat_template(const Tokenizer *t) {
    return t->chat_template;
}

size_t tokenizer_eos_list(const Tokenizer *t, const int32_t **ids) {
    *ids = t->eos_list.id;
    return t->eos_list.n;
}

const char *tokenizer_token(const Tokenizer *t, int32_t id) {
    return vocab_text(&t->vocab, id, NULL);
}

int32_t tokenizer_id(const Tokenizer *t, const char *token) {
    return vocab_find(&t->vocab, token, strlen(token));
}

bool tokenizer_is_special(const Tokenizer *t, int32_t id) {
    return id >= 0 && id < t->vocab.size && t->special[id];
}

const char *tokenizer_special_text(const Tokenizer *t, const char *name) {
    for (size_t i = 0; i < t->n_names; i++) {
        if (str_equal(t->names[i].name, name)) return t->names[i].text;
    }
    return NULL;
}

bool tokenizer_special_at(const Tokenizer *t, size_t i, const char **name, const char **text) {
    if (i >= t->n_names) return false;
    *name = t->names[i].name;
    *text = t->names[i].text;
    return true;
}

Status tokenizer_export(const Tokenizer *t, const char *folder) {
    for (size_t i = 0; i < t->n_files; i++) {
        char *path = file_join(folder, t->files[i].name);
        Status st = publish_bytes(path, str_text(&t->files[i].bytes), t->files[i].bytes.len);
        mem_free(path);
        TRY(st);
    }
    return OK;
}
