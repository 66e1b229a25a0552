/* The tokenizer inside a GGUF file. Its metadata become the files that the same tokenizer has in a
 * Hugging Face folder (tokenizer.model or tokenizer.json, with a tokenizer_config.json), which are
 * then read like any others: what is exported is what was read. */
#include "core/io/gguf.h"
#include "core/log.h"
#include "core/mem.h"
#include "data/tokenizer/gguf_pre.h"
#include "data/tokenizer/sentencepiece_write.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."
#define TOKENS KEY "tokens"
#define SCORES KEY "scores"
#define TYPES KEY "token_type"
#define MERGES KEY "merges"

/* The numbers are those of SentencePiece. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

typedef struct Names { /* ids, -1: none */
    int64_t bos, eos, eot, eom, unk, pad;
} Names;

typedef struct Source {
    const Gguf *g;
    const char *where;
    int32_t n; /* tokens, without those at the end that only fill the model's table */
    Names names;
    bool add_bos, add_eos;
} Source;

/* ---- what both kinds have ---- */

static int type_of(const Source *s, int64_t i) {
    return gguf_has(s->g, TYPES) ? (int)gguf_number_at(s->g, TYPES, i) : TYPE_NORMAL;
}

static Status check_token(const Source *s, int64_t i) {
    size_t n;
    const char *text = gguf_string_at(s->g, TOKENS, i, &n);
    int type = type_of(s, i);
    if (type < TYPE_NORMAL || type > TYPE_BYTE)
        return status_fail(ERR_DATA, "%s: " TYPES "[%lld] is %d; 1 to 6 are known", s->where,
                           (long long)i, type);
    if (n == 0 || memchr(text, 0, n) || !str_utf8_valid(text, n, NULL))
        return status_fail(ERR_DATA, "%s: " TOKENS "[%lld] is no text", s->where, (long long)i);
    return OK;
}

static Status read_tokens(Source *s) {
    int64_t n, n_types;
    TRY(gguf_opt_strings(&n, s->g, TOKENS));
    TRY(gguf_opt_numbers(&n_types, s->g, TYPES));
    if (n == 0 || n >= VOCAB_MAX_ID)
        return status_fail(ERR_DATA, "%s: " TOKENS " has %lld tokens; 1 to %d are read", s->where,
                           (long long)n, VOCAB_MAX_ID - 1);
    if (gguf_has(s->g, TYPES) && n_types != n)
        return status_fail(ERR_DATA, "%s: " TYPES " has %lld entries for %lld tokens", s->where,
                           (long long)n_types, (long long)n);
    for (int64_t i = 0; i < n; i++) TRY(check_token(s, i));
    while (n > 0 && type_of(s, n - 1) == TYPE_UNUSED) n--;
    s->n = (int32_t)n;
    return OK;
}

static Status read_id(int64_t *out, const Source *s, const char *key) {
    TRY(gguf_opt_int(out, s->g, key));
    if (*out >= s->n)
        return status_fail(ERR_DATA, "%s: `%s` is %lld; there are %d tokens", s->where, key,
                           (long long)*out, s->n);
    if (*out < 0) *out = -1;
    return OK;
}

static Status read_names(Source *s) {
    TRY(read_id(&s->names.bos, s, KEY "bos_token_id"));
    TRY(read_id(&s->names.eos, s, KEY "eos_token_id"));
    TRY(read_id(&s->names.eot, s, KEY "eot_token_id"));
    TRY(read_id(&s->names.eom, s, KEY "eom_token_id"));
    TRY(read_id(&s->names.unk, s, KEY "unknown_token_id"));
    TRY(read_id(&s->names.pad, s, KEY "padding_token_id"));
    TRY(gguf_opt_bool(&s->add_bos, s->g, KEY "add_bos_token"));
    return gguf_opt_bool(&s->add_eos, s->g, KEY "add_eos_token");
}

static Json *token_json(const Source *s, int64_t id) {
    size_t n;
    const char *text = gguf_string_at(s->g, TOKENS, id, &n);
    return json_new_str_n(text, n);
}

static void name_token(Json *config, const Source *s, const char *name, int64_t id) {
    if (id >= 0) json_set(config, name, token_json(s, id));
}

static void keep_json(Tokenizer *t, const char *name, const Json *j) {
    Str text = {0};
    json_dump(&text, j, 2);
    str_append_char(&text, '\n');
    tokenizer_keep_file(t, name, &text);
    str_free(&text);
}

/* tokenizer_config.json, and what follows from it. */
static Status read_config(Tokenizer *t, const Source *s, const char *class) {
    const char *chat = NULL;
    TRY(gguf_opt_str(&chat, s->g, "tokenizer.chat_template"));
    Json *config = json_new_object();
    json_set(config, "tokenizer_class", json_new_str(class));
    name_token(config, s, "bos_token", s->names.bos);
    name_token(config, s, "eos_token", s->names.eos);
    name_token(config, s, "unk_token", s->names.unk);
    name_token(config, s, "pad_token", s->names.pad);
    json_set(config, "add_bos_token", json_new_bool(s->add_bos));
    json_set(config, "add_eos_token", json_new_bool(s->add_eos));
    if (chat) json_set(config, "chat_template", json_new_str(chat));
    keep_json(t, "tokenizer_config.json", config);
    Status st = tokenizer_config_apply(t, config, s->where);
    json_free(config);
    const int64_t ends[] = {s->names.eos, s->names.eot, s->names.eom};
    for (size_t i = 0; i < 3; i++)
        if (ends[i] >= 0) tokenizer_push_eos(t, ends[i]);
    return st;
}

/* ---- SentencePiece ---- */

static Status read_llama(Tokenizer *t, Source *s) {
    int64_t n_scores;
    bool prefix = true, remove_extra = false, fallback = false;
    TRY(gguf_opt_numbers(&n_scores, s->g, SCORES));
    if (n_scores < s->n)
        return status_fail(ERR_DATA, "%s: " SCORES " has %lld numbers for %d tokens", s->where,
                           (long long)n_scores, s->n);
    s->add_bos = true;
    s->names = (Names){.bos = 1, .eos = 2, .eot = -1, .eom = -1, .pad = -1}; /* SentencePiece's */
    TRY(read_names(s));
    TRY(gguf_opt_bool(&prefix, s->g, KEY "add_space_prefix"));
    TRY(gguf_opt_bool(&remove_extra, s->g, KEY "remove_extra_whitespaces"));
    Str model = {0};
    for (int64_t i = 0; i < s->n; i++) {
        size_t n;
        const char *text = gguf_string_at(s->g, TOKENS, i, &n);
        int type = type_of(s, i);
        /* Nothing becomes an unused token, nor one that is only found by its name. */
        if (type == TYPE_UNUSED) type = TYPE_CONTROL;
        fallback = fallback || type == TYPE_BYTE;
        sentencepiece_write_piece(&model, text, n, (float)gguf_number_at(s->g, SCORES, i), type);
    }
    SentencepieceSpec spec = {.byte_fallback = fallback,
                              .dummy_prefix = prefix,
                              .remove_extra = remove_extra,
                              .unk = s->names.unk,
                              .bos = s->names.bos,
                              .eos = s->names.eos,
                              .pad = s->names.pad};
    sentencepiece_write_spec(&model, &spec);
    tokenizer_keep_file(t, "tokenizer.model", &model);
    Status st = sentencepiece_read(t, (const unsigned char *)str_text(&model), model.len, s->where);
    str_free(&model);
    return st == OK ? read_config(t, s, "LlamaTokenizer") : st;
}

/* ---- byte-level BPE ---- */

static Status find_pre(const GgufPre **out, const Source *s) {
    const char *name = NULL;
    TRY(gguf_opt_str(&name, s->g, KEY "pre"));
    if (!name || str_equal(name, "default")) {
        log_warn("%s: " KEY "pre does not say how text is split; as GPT-2 does is assumed",
                 s->where);
        name = "gpt-2";
    }
    *out = gguf_pre_find(name);
    if (*out) return OK;
    char *known = gguf_pre_names();
    Status st = status_fail(ERR_DATA, "%s: " KEY "pre: `%s` is not known; known are %s", s->where,
                            name, known);
    mem_free(known);
    return st;
}

static Status set_section(Json *root, const char *key, const char *text) {
    Json *section = NULL;
    if (text) TRY(json_parse(&section, text, strlen(text), key, 1));
    json_set(root, key, section ? section : json_new_null());
    return OK;
}

/* {"SpecialToken": {"id": "<s>", "type_id": 0}} */
static void push_special(Json *list, Json *tokens, const Source *s, int64_t id) {
    Json *item = json_new_object(), *special = json_new_object(), *token = json_new_object();
    Json *ids = json_new_array(), *texts = json_new_array(), *text = token_json(s, id);
    json_set(special, "id", json_clone(text));
    json_set(special, "type_id", json_new_int(0));
    json_set(item, "SpecialToken", special);
    json_push(list, item);
    json_push(ids, json_new_int(id));
    json_push(texts, json_clone(text));
    json_set(token, "id", json_clone(text));
    json_set(token, "ids", ids);
    json_set(token, "tokens", texts);
    json_set(tokens, json_str(text, NULL), token);
    json_free(text);
}

static Json *post_processor(const Source *s) {
    bool bos = s->add_bos && s->names.bos >= 0, eos = s->add_eos && s->names.eos >= 0;
    if (!bos && !eos) return json_new_null();
    Json *post = json_new_object(), *single = json_new_array(), *tokens = json_new_object();
    Json *item = json_new_object(), *sequence = json_new_object();
    json_set(post, "type", json_new_str("TemplateProcessing"));
    if (bos) push_special(single, tokens, s, s->names.bos);
    json_set(sequence, "id", json_new_str("A"));
    json_set(sequence, "type_id", json_new_int(0));
    json_set(item, "Sequence", sequence);
    json_push(single, item);
    if (eos) push_special(single, tokens, s, s->names.eos);
    Json *pair = json_clone(single), *second = json_clone(item);
    json_set(json_get(second, "Sequence"), "id", json_new_str("B"));
    json_push(pair, second);
    json_set(post, "single", single);
    json_set(post, "pair", pair);
    json_set(post, "special_tokens", tokens);
    return post;
}

static Json *added_token(const Source *s, int64_t id, bool special) {
    Json *token = json_new_object();
    json_set(token, "id", json_new_int(id));
    json_set(token, "content", token_json(s, id));
    json_set(token, "single_word", json_new_bool(false));
    json_set(token, "lstrip", json_new_bool(false));
    json_set(token, "rstrip", json_new_bool(false));
    json_set(token, "normalized", json_new_bool(false));
    json_set(token, "special", json_new_bool(special));
    return token;
}

static Status add_vocab(Json *model, Json *added, const Source *s) {
    Json *vocab = json_new_object();
    json_set(model, "vocab", vocab);
    for (int64_t i = 0; i < s->n; i++) {
        Json *text = token_json(s, i);
        const char *key = json_str(text, NULL);
        bool twice = json_get(vocab, key) != NULL;
        if (!twice) json_set(vocab, key, json_new_int(i));
        json_free(text);
        if (twice)
            return status_fail(ERR_DATA, "%s: " TOKENS "[%lld] is there twice", s->where,
                               (long long)i);
        int type = type_of(s, i);
        if (type == TYPE_CONTROL || type == TYPE_UNKNOWN || type == TYPE_USER_DEFINED)
            json_push(added, added_token(s, i, type != TYPE_USER_DEFINED));
    }
    return OK;
}

static Status add_merges(Json *model, const Source *s) {
    Json *merges = json_new_array();
    int64_t n;
    json_set(model, "merges", merges);
    TRY(gguf_opt_strings(&n, s->g, MERGES));
    for (int64_t i = 0; i < n; i++) {
        size_t bytes;
        const char *text = gguf_string_at(s->g, MERGES, i, &bytes);
        if (!str_utf8_valid(text, bytes, NULL))
            return status_fail(ERR_DATA, "%s: " MERGES "[%lld] is no text", s->where, (long long)i);
        json_push(merges, json_new_str_n(text, bytes));
    }
    return OK;
}

/* A tokenizer.json. */
static Status make_json(Json *root, const Source *s, const GgufPre *pre) {
    Json *model = json_new_object(), *added = json_new_array();
    json_set(root, "version", json_new_str("1.0"));
    json_set(root, "truncation", json_new_null());
    json_set(root, "padding", json_new_null());
    json_set(root, "added_tokens", added);
    json_set(root, "model", model);
    json_set(model, "type", json_new_str("BPE"));
    json_set(model, "unk_token", json_new_null());
    json_set(model, "byte_fallback", json_new_bool(false));
    json_set(model, "ignore_merges", json_new_bool(pre->ignore_merges));
    TRY(set_section(root, "normalizer", pre->normalizer));
    TRY(set_section(root, "pre_tokenizer", pre->pre_tokenizer));
    TRY(set_section(root, "decoder",
                    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                    "\"use_regex\":true}"));
    json_set(root, "post_processor", post_processor(s));
    TRY(add_vocab(model, added, s));
    return add_merges(model, s);
}

static Status read_gpt2(Tokenizer *t, Source *s) {
    const GgufPre *pre = NULL;
    TRY(find_pre(&pre, s));
    s->add_bos = pre->add_bos;
    s->names = (Names){-1, -1, -1, -1, -1, -1};
    TRY(read_names(s));
    Json *root = json_new_object();
    Status st = make_json(root, s, pre);
    if (st == OK) keep_json(t, "tokenizer.json", root);
    if (st == OK) st = tokenizer_json_read(t, root, s->where);
    json_free(root);
    return st == OK ? read_config(t, s, "PreTrainedTokenizerFast") : st;
}

/* ---- whichever it is ---- */

static Status read_from(Tokenizer *t, const Gguf *g, const char *path) {
    Source s = {.g = g, .where = path};
    const char *kind = NULL;
    TRY(gguf_opt_str(&kind, g, KEY "model"));
    if (!kind)
        return status_fail(
            ERR_DATA, "%s: holds no tokenizer (" KEY "model is missing); name another place", path);
    TRY(read_tokens(&s));
    if (str_equal(kind, "llama")) return read_llama(t, &s);
    if (str_equal(kind, "gpt2")) return read_gpt2(t, &s);
    return status_fail(ERR_DATA, "%s: " KEY "model: `%s` is not supported; llama and gpt2 are",
                       path, kind);
}

Status tokenizer_gguf_read(Tokenizer *t, const char *path) {
    Gguf *g = NULL;
    Status st = gguf_open(&g, path);
    if (st == OK) st = read_from(t, g, path);
    gguf_close(g);
    return st;
}
