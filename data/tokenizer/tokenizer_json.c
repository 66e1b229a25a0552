/* tokenizer.json, the one file in which Hugging Face's `tokenizers` keeps everything; its `model`
 * section is read by tokenizer_model.c. */
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

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
    TRY(tokenizer_model_read(t, model, where));
    TRY(read_added(t, added, where));
    TRY(normalizer_read(&t->normalizer, json_get(root, "normalizer"), where));
    TRY(pretokenizer_read(&t->pretokenizer, json_get(root, "pre_tokenizer"), where));
    TRY(detokenizer_read(&t->detokenizer, json_get(root, "decoder"), where));
    return read_post(t, json_get(root, "post_processor"), where);
}
