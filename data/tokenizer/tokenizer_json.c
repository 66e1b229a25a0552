/* tokenizer.json, the one file in which Hugging Face's `tokenizers` keeps everything. */
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

/* ---- model: BPE ---- */

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

static Status read_model(Tokenizer *t, const Json *model, const char *where) {
    const char *type = NULL;
    TRY(json_opt_str(&type, model, "type", where));
    if (type == NULL) { /* old files do not say */
        if (json_get(model, "merges") != NULL)
            type = "BPE";
        else if (json_get(model, "unk_id") != NULL)
            type = "Unigram";
        else
            type = "WordPiece";
    }
    if (str_equal(type, "BPE")) return read_bpe(t, model, where);
    return status_fail(ERR_DATA, "%s: the tokenizer model `%s` is not supported; BPE is", where,
                       type);
}

/* ---- what is around it ---- */

static Status read_added(Tokenizer *t, const Json *list, const char *where) {
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *a = json_at(list, i);
        const char *text = NULL;
        int64_t id = 0;
        AddedToken token = {0};
        TRY(json_want_str(&text, a, "content", where));
        TRY(json_want_int(&id, a, "id", where));
        TRY(json_opt_bool(&token.special, a, "special", where));
        TRY(json_opt_bool(&token.lstrip, a, "lstrip", where));
        TRY(json_opt_bool(&token.rstrip, a, "rstrip", where));
        TRY(json_opt_bool(&token.single_word, a, "single_word", where));
        token.normalized = !token.special;
        TRY(json_opt_bool(&token.normalized, a, "normalized", where));
        token.id = id < 0 || id >= VOCAB_MAX_ID ? -1 : (int32_t)id;
        TRY(tokenizer_add_token(t, text, strlen(text), token, where));
    }
    return OK;
}

/* Puts new ids around what is there. */
static void wrap(Tokenizer *t, const TokenIds *before, const TokenIds *after) {
    TokenIds joined = {0};
    for (size_t i = 0; i < before->n; i++) token_ids_push(&joined, before->id[i], false);
    for (size_t i = 0; i < t->before.n; i++) token_ids_push(&joined, t->before.id[i], false);
    token_ids_free(&t->before);
    t->before = joined;
    for (size_t i = 0; i < after->n; i++) token_ids_push(&t->after, after->id[i], false);
}

static Status template_ids(TokenIds *ids, const Tokenizer *t, const Json *section, const char *name,
                           const char *where) {
    const Json *list = json_get(json_get(json_get(section, "special_tokens"), name), "ids");
    if (!json_is(list, JSON_KIND_ARRAY)) {
        return status_fail(ERR_DATA, "%s: post_processor: `%s` has no ids in special_tokens", where,
                           name);
    }
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *id = json_at(list, i);
        if (!json_is(id, JSON_KIND_INT) || json_int(id) < 0 || json_int(id) >= t->vocab.size) {
            return status_fail(ERR_DATA, "%s: post_processor: `%s` has an id that is no token",
                               where, name);
        }
        token_ids_push(ids, (int32_t)json_int(id), false);
    }
    return OK;
}

static Status read_template(Tokenizer *t, const Json *section, const char *where) {
    Json *single = NULL;
    TRY(json_want(&single, section, "single", JSON_KIND_ARRAY, where));
    TokenIds before = {0}, after = {0};
    Status st = OK;
    bool seen = false; /* the text itself */
    for (int64_t i = 0; i < json_len(single) && st == OK; i++) {
        const Json *special = json_get(json_at(single, i), "SpecialToken");
        const char *name = NULL;
        if (json_get(json_at(single, i), "Sequence") != NULL) {
            seen = true;
            continue;
        }
        st = json_want_str(&name, special, "id", where);
        if (st == OK) st = template_ids(seen ? &after : &before, t, section, name, where);
    }
    if (st == OK && !seen) {
        st = status_fail(ERR_DATA, "%s: post_processor.single leaves the text out", where);
    }
    if (st == OK) wrap(t, &before, &after);
    token_ids_free(&before);
    token_ids_free(&after);
    return st;
}

/* ["</s>", 2] of BertProcessing and RobertaProcessing. */
static Status read_pair(TokenIds *ids, const Tokenizer *t, const Json *section, const char *key,
                        const char *where) {
    const Json *id = json_at(json_get(section, key), 1);
    if (!json_is(id, JSON_KIND_INT) || json_int(id) < 0 || json_int(id) >= t->vocab.size) {
        return status_fail(ERR_DATA, "%s: post_processor.%s must be [text, id]", where, key);
    }
    token_ids_push(ids, (int32_t)json_int(id), false);
    return OK;
}

static Status read_post(Tokenizer *t, const Json *section, const char *where) {
    if (section == NULL || json_is(section, JSON_KIND_NULL)) return OK;
    const char *type = NULL;
    TRY(json_want_str(&type, section, "type", where));
    if (str_equal(type, "ByteLevel")) return OK; /* moves offsets only */
    t->has_post_processor = true;
    if (str_equal(type, "TemplateProcessing")) return read_template(t, section, where);
    if (str_equal(type, "RobertaProcessing") || str_equal(type, "BertProcessing")) {
        TokenIds before = {0}, after = {0};
        Status st = read_pair(&before, t, section, "cls", where);
        if (st == OK) st = read_pair(&after, t, section, "sep", where);
        if (st == OK) wrap(t, &before, &after);
        token_ids_free(&before);
        token_ids_free(&after);
        return st;
    }
    if (!str_equal(type, "Sequence")) {
        return status_fail(ERR_DATA, "%s: the post-processor `%s` is not supported", where, type);
    }
    Json *list = NULL;
    TRY(json_want(&list, section, "processors", JSON_KIND_ARRAY, where));
    for (int64_t i = 0; i < json_len(list); i++) TRY(read_post(t, json_at(list, i), where));
    return OK;
}

Status tokenizer_json_read(Tokenizer *t, const Json *root, const char *where) {
    Json *model = NULL, *added = NULL;
    TRY(json_want(&model, root, "model", JSON_KIND_OBJECT, where));
    TRY(json_opt(&added, root, "added_tokens", JSON_KIND_ARRAY, where));
    TRY(read_model(t, model, where));
    TRY(read_added(t, added, where));
    TRY(normalizer_read(&t->normalizer, json_get(root, "normalizer"), where));
    TRY(pretokenizer_read(&t->pretokenizer, json_get(root, "pre_tokenizer"), where));
    TRY(detokenizer_read(&t->detokenizer, json_get(root, "decoder"), where));
    return read_post(t, json_get(root, "post_processor"), where);
}
