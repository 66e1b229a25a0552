/* The `model` section of a tokenizer.json, and the merges of merges.txt, which look the same. */
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

/* ---- vocabulary and merges ---- */

Status tokenizer_add_vocab(Tokenizer *t, const Json *vocab, const char *where) {
    JsonIter it = {0};
    const char *text;
    Json *id;
    while (json_next(vocab, &it, &text, &id)) {
        if (!json_is(id, JSON_KIND_INT) || json_int(id) < 0 || json_int(id) >= VOCAB_MAX_ID) {
            return status_fail(ERR_DATA, "%s: vocab: the id of `%s` must be 0 to %d", where, text,
                               VOCAB_MAX_ID - 1);
        }
        if (!vocab_add(&t->vocab, text, strlen(text), (int32_t)json_int(id))) {
            return status_fail(ERR_DATA, "%s: vocab: the id %d of `%s` is taken by `%s`", where,
                               (int)json_int(id), text,
                               vocab_text(&t->vocab, (int32_t)json_int(id), NULL));
        }
    }
    return OK;
}

Status tokenizer_add_merge(Tokenizer *t, const char *left, size_t left_n, const char *right,
                           size_t right_n, uint32_t rank, const char *where) {
    size_t skip = t->bpe.prefix == NULL ? 0 : strlen(t->bpe.prefix);
    if (skip > right_n) skip = right_n;
    Str merged = {0};
    str_append_n(&merged, left, left_n);
    str_append_n(&merged, right + skip, right_n - skip);
    int32_t a = vocab_find(&t->vocab, left, left_n), b = vocab_find(&t->vocab, right, right_n);
    int32_t c = vocab_find(&t->vocab, str_text(&merged), merged.len);
    Status st = OK;
    if (a < 0 || b < 0 || c < 0) {
        st = status_fail(ERR_DATA, "%s: merge %u: `%s` is not in the vocabulary", where, rank,
                         a < 0   ? left
                         : b < 0 ? right
                                 : str_text(&merged));
    } else {
        bpe_add_merge(&t->bpe, a, b, rank, c);
    }
    str_free(&merged);
    return st;
}

Status tokenizer_add_merge_line(Tokenizer *t, const char *line, size_t n, uint32_t rank,
                                const char *where) {
    /* "a b". Where tokens hold blanks themselves (an old spelling), the cut is the one that gives
     * three tokens. */
    Status st = OK;
    for (const char *cut = memchr(line, ' ', n); cut != NULL;
         cut = memchr(cut + 1, ' ', n - (size_t)(cut + 1 - line))) {
        size_t left_n = (size_t)(cut - line), right_n = n - left_n - 1;
        if (left_n == 0 || right_n == 0) continue;
        char *left = mem_strndup(line, left_n), *right = mem_strndup(cut + 1, right_n);
        st = tokenizer_add_merge(t, left, left_n, right, right_n, rank, where);
        mem_free(left);
        mem_free(right);
        if (st == OK) return OK;
    }
    return st != OK ? st
                    : status_fail(ERR_DATA, "%s: merge %u is not two tokens with a blank between",
                                  where, rank);
}

static Status read_merges(Tokenizer *t, const Json *merges, const char *where) {
    uint32_t rank = 0;
    for (int64_t i = 0; i < json_len(merges); i++) {
        const Json *m = json_at(merges, i);
        size_t n = 0, right_n = 0;
        if (json_is(m, JSON_KIND_STRING)) {
            const char *line = json_str(m, &n);
            if (str_starts(line, "#version")) continue;
            TRY(tokenizer_add_merge_line(t, line, n, rank++, where));
        } else if (json_len(m) == 2 && json_is(json_at(m, 0), JSON_KIND_STRING) &&
                   json_is(json_at(m, 1), JSON_KIND_STRING)) {
            const char *left = json_str(json_at(m, 0), &n);
            const char *right = json_str(json_at(m, 1), &right_n);
            TRY(tokenizer_add_merge(t, left, n, right, right_n, rank++, where));
        } else {
            return status_fail(ERR_DATA, "%s: model.merges[%lld] must be \"a b\" or [\"a\", \"b\"]",
                               where, (long long)i);
        }
    }
    return OK;
}

/* ---- BPE ---- */

static char *text_or_null(const char *text) {
    return text == NULL || text[0] == '\0' ? NULL : mem_strdup(text);
}

static Status read_bpe(Tokenizer *t, const Json *model, const char *where) {
    const char *unk = NULL, *prefix = NULL, *suffix = NULL;
    double dropout = 0;
    Json *vocab = NULL, *merges = NULL;
    TRY(json_want(&vocab, model, "vocab", JSON_KIND_OBJECT, where));
    TRY(json_want(&merges, model, "merges", JSON_KIND_ARRAY, where));
    TRY(json_opt_str(&unk, model, "unk_token", where));
    TRY(json_opt_str(&prefix, model, "continuing_subword_prefix", where));
    TRY(json_opt_str(&suffix, model, "end_of_word_suffix", where));
    TRY(json_opt_num(&dropout, model, "dropout", where));
    TRY(json_opt_bool(&t->bpe.fuse_unk, model, "fuse_unk", where));
    TRY(json_opt_bool(&t->bpe.byte_fallback, model, "byte_fallback", where));
    TRY(json_opt_bool(&t->bpe.ignore_merges, model, "ignore_merges", where));
    if (dropout != 0) {
        return status_fail(ERR_DATA, "%s: model.dropout is %g; only 0 is supported", where,
                           dropout);
    }
    t->bpe.prefix = text_or_null(prefix);
    t->bpe.suffix = text_or_null(suffix);
    TRY(tokenizer_add_vocab(t, vocab, where));
    t->bpe.unk = unk == NULL ? -1 : vocab_find(&t->vocab, unk, strlen(unk));
    if (unk != NULL && t->bpe.unk < 0) {
        return status_fail(ERR_DATA, "%s: model.unk_token `%s` is not in the vocabulary", where,
                           unk);
    }
    return read_merges(t, merges, where);
}

/* ---- Unigram ---- */

/* [["text", score], ...]: the place in the list is the id. */
static Status read_pieces(Tokenizer *t, const Json *list, const char *where) {
    Unigram *u = &t->unigram;
    if (json_len(list) >= VOCAB_MAX_ID) {
        return status_fail(ERR_DATA, "%s: model.vocab has %lld tokens; fewer than %d are read",
                           where, (long long)json_len(list), VOCAB_MAX_ID);
    }
    u->n_pieces = (int32_t)json_len(list);
    u->score = mem_zalloc((size_t)u->n_pieces, sizeof *u->score);
    for (int32_t id = 0; id < u->n_pieces; id++) {
        const Json *pair = json_at(list, id), *text = json_at(pair, 0), *score = json_at(pair, 1);
        size_t n = 0;
        if (json_len(pair) != 2 || !json_is(text, JSON_KIND_STRING) || !json_is_num(score)) {
            return status_fail(ERR_DATA, "%s: model.vocab[%d] must be [text, score]", where, id);
        }
        const char *bytes = json_str(text, &n);
        if (!vocab_add(&t->vocab, bytes, n, id)) {
            return status_fail(ERR_DATA, "%s: model.vocab[%d]: `%s` is there twice", where, id,
                               bytes);
        }
        u->score[id] = json_num(score);
        if (id == 0 || u->score[id] < u->min_score) u->min_score = u->score[id];
    }
    return OK;
}

static Status read_unigram(Tokenizer *t, const Json *model, const char *where) {
    Json *vocab = NULL;
    TRY(json_want(&vocab, model, "vocab", JSON_KIND_ARRAY, where));
    TRY(json_opt_bool(&t->unigram.byte_fallback, model, "byte_fallback", where));
    t->model = MODEL_UNIGRAM;
    TRY(read_pieces(t, vocab, where));
    const Json *unk = json_get(model, "unk_id");
    if (unk == NULL || json_is(unk, JSON_KIND_NULL)) return OK;
    if (!json_is(unk, JSON_KIND_INT) || json_int(unk) < 0 || json_int(unk) >= t->unigram.n_pieces) {
        return status_fail(ERR_DATA, "%s: model.unk_id must be null or 0 to %d", where,
                           t->unigram.n_pieces - 1);
    }
    t->unigram.unk = (int32_t)json_int(unk);
    return OK;
}

/* ---- WordPiece, WordLevel ---- */

static Status read_wordpiece(Tokenizer *t, const Json *model, bool whole, const char *where) {
    WordPiece *m = &t->wordpiece;
    const char *unk = whole ? "<unk>" : "[UNK]", *prefix = "##";
    Json *vocab = NULL;
    t->model = MODEL_WORDPIECE;
    m->whole = whole;
    m->max_chars = 100;
    TRY(json_want(&vocab, model, "vocab", JSON_KIND_OBJECT, where));
    TRY(json_opt_str(&unk, model, "unk_token", where));
    TRY(json_opt_str(&prefix, model, "continuing_subword_prefix", where));
    TRY(json_opt_int(&m->max_chars, model, "max_input_chars_per_word", where));
    m->prefix = mem_strdup(prefix);
    TRY(tokenizer_add_vocab(t, vocab, where));
    m->unk = vocab_find(&t->vocab, unk, strlen(unk));
    if (m->unk < 0) {
        return status_fail(ERR_DATA, "%s: model.unk_token `%s` is not in the vocabulary", where,
                           unk);
    }
    return OK;
}

/* ---- whichever it is ---- */

/* Old files do not say what they hold. */
static const char *guess_type(const Json *model) {
    if (json_get(model, "merges") != NULL) return "BPE";
    if (json_is(json_get(model, "vocab"), JSON_KIND_ARRAY)) return "Unigram";
    return json_get(model, "max_input_chars_per_word") != NULL ? "WordPiece" : "WordLevel";
}

Status tokenizer_model_read(Tokenizer *t, const Json *model, const char *where) {
    const char *type = NULL;
    TRY(json_opt_str(&type, model, "type", where));
    if (type == NULL) type = guess_type(model);
    if (str_equal(type, "BPE")) return read_bpe(t, model, where);
    if (str_equal(type, "Unigram")) return read_unigram(t, model, where);
    if (str_equal(type, "WordPiece")) return read_wordpiece(t, model, false, where);
    if (str_equal(type, "WordLevel")) return read_wordpiece(t, model, true, where);
    return status_fail(ERR_DATA, "%s: the tokenizer model `%s` is not known", where, type);
}
