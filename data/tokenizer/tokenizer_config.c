/* What stands beside a tokenizer's own file: names of special tokens, what ends a generation, the
 * chat template. First the tokenizer's config, then the older special_tokens_map.json, then the
 * model's files. */
#include "core/file.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Integers that no int64 holds ("model_max_length": 1000000000000000019884624838656) become reals,
 * which the JSON reader takes. */
static void soften_integers(Str *text) {
    Str out = {0};
    bool quoted = false;
    for (size_t i = 0; i < text->len;) {
        char c = text->data[i];
        if (c == '"') quoted = !quoted;
        if (quoted && c == '\\' && i + 1 < text->len) str_append_char(&out, text->data[i++]);
        if (quoted || !isdigit((unsigned char)c)) {
            str_append_char(&out, text->data[i++]);
            continue;
        }
        size_t from = i;
        while (i < text->len && isdigit((unsigned char)text->data[i])) i++;
        str_append_n(&out, text->data + from, i - from);
        char next = i < text->len ? text->data[i] : ',';
        bool integer =
            next != '.' && next != 'e' && next != 'E' && (from == 0 || text->data[from - 1] != '.');
        if (integer && i - from > 18) str_append(&out, ".0");
    }
    str_free(text);
    *text = out;
}

/* NULL when the file is not there. `keep`: it belongs to the tokenizer and is exported with it. */
static Status read_json(Json **out, Tokenizer *t, const char *folder, const char *name, bool keep) {
    *out = NULL;
    Str text = {0};
    char *path = file_join(folder, name);
    Status st = OK;
    if (!file_is_regular(path)) goto out;
    TRY_GOTO(file_read(&text, path, TOKENIZER_MAX_FILE), st, out);
    if (keep) tokenizer_keep_file(t, name, &text);
    soften_integers(&text);
    TRY_GOTO(json_parse(out, str_text(&text), text.len, path, 1), st, out);
    if (!json_is(*out, JSON_KIND_OBJECT)) {
        st = status_fail(ERR_DATA, "%s: the file must hold an object", path);
        json_free(*out);
        *out = NULL;
    }
out:
    str_free(&text);
    mem_free(path);
    return st;
}

/* A token is a string, or an object with its `content`. */
static const char *token_text(const Json *value) {
    if (json_is(value, JSON_KIND_OBJECT)) value = json_get(value, "content");
    return json_is(value, JSON_KIND_STRING) ? json_str(value, NULL) : NULL;
}

static bool names_token(const char *key) {
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (str_equal(keys[i], key)) return true;
    }
    return false;
}

static void read_names(Tokenizer *t, const Json *config) {
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(config, &it, &key, &value)) {
        if (names_token(key) && token_text(value) != NULL) {
            tokenizer_set_name(t, key, token_text(value));
        }
    }
}

static void name_known(Tokenizer *t, const char *name, int32_t id) {
    if (id >= 0) tokenizer_set_name(t, name, tokenizer_token(t, id));
}

/* added_tokens_decoder: {"151643": {"content": ..., "special": true}}; for tokenizers whose own
 * file does not know them. */
static Status read_added_decoder(Tokenizer *t, const Json *config, const char *where) {
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(json_get(config, "added_tokens_decoder"), &it, &key, &value)) {
        AddedToken token = {0};
        const char *text = NULL;
        long id = 0;
        for (const char *c = key; *c != '\0' && id >= 0; c++) {
            id = isdigit((unsigned char)*c) && id < VOCAB_MAX_ID ? id * 10 + (*c - '0') : -1;
        }
        if (id < 0 || id >= VOCAB_MAX_ID) {
            return status_fail(ERR_DATA, "%s: added_tokens_decoder: `%s` is no id", where, key);
        }
        token.id = (int32_t)id;
        TRY(json_want_str(&text, value, "content", where));
        TRY(json_opt_bool(&token.special, value, "special", where));
        TRY(json_opt_bool(&token.lstrip, value, "lstrip", where));
        TRY(json_opt_bool(&token.rstrip, value, "rstrip", where));
        TRY(json_opt_bool(&token.single_word, value, "single_word", where));
        TRY(json_opt_bool(&token.normalized, value, "normalized", where));
        TRY(tokenizer_add_token(t, text, strlen(text), token, where));
    }
    return OK;
}

/* A template is a string, or a list of {"name", "template"}, of which "default" is taken. */
static void read_template(Tokenizer *t, const Json *config) {
    const Json *value = json_get(config, "chat_template");
    if (json_is(value, JSON_KIND_STRING)) t->chat_template = mem_strdup(json_str(value, NULL));
    for (int64_t i = 0; i < json_len(value) && t->chat_template == NULL; i++) {
        const Json *name = json_get(json_at(value, i), "name");
        const Json *text = json_get(json_at(value, i), "template");
        if (!json_is(name, JSON_KIND_STRING) || !json_is(text, JSON_KIND_STRING)) continue;
        if (str_equal(json_str(name, NULL), "default")) {
            t->chat_template = mem_strdup(json_str(text, NULL));
        }
    }
}

static Status read_template_file(Tokenizer *t, const char *folder) {
    char *path = file_join(folder, "chat_template.jinja");
    Str text = {0};
    Status st = OK;
    if (file_is_regular(path)) {
        st = file_read(&text, path, TOKENIZER_MAX_FILE);
        if (st == OK) {
            tokenizer_keep_file(t, "chat_template.jinja", &text);
            t->chat_template = mem_strdup(str_text(&text));
        }
    }
    str_free(&text);
    mem_free(path);
    return st;
}

/* Llama's and Gemma's tokenizers put BOS and EOS as the config says, whatever tokenizer.json says;
 * those without a post-processor of their own do so too. */
static void read_add_flags(Tokenizer *t, const Json *config) {
    const Json *class = json_get(config, "tokenizer_class");
    const char *name = json_is(class, JSON_KIND_STRING) ? json_str(class, NULL) : "";
    bool by_config = str_starts(name, "Llama") || str_starts(name, "CodeLlama") ||
                     str_starts(name, "Gemma") || !t->has_post_processor;
    const Json *bos = json_get(config, "add_bos_token"), *eos = json_get(config, "add_eos_token");
    if (!by_config || (!json_is(bos, JSON_KIND_BOOL) && !json_is(eos, JSON_KIND_BOOL))) return;
    token_ids_clear(&t->before);
    token_ids_clear(&t->after);
    const char *bos_text = tokenizer_special_text(t, "bos_token");
    const char *eos_text = tokenizer_special_text(t, "eos_token");
    int32_t bos_id = bos_text == NULL ? TOKEN_NONE : tokenizer_id(t, bos_text);
    int32_t eos_id = eos_text == NULL ? TOKEN_NONE : tokenizer_id(t, eos_text);
    if (json_is(bos, JSON_KIND_BOOL) && json_bool(bos) && bos_id >= 0) {
        token_ids_push(&t->before, bos_id, false);
    }
    if (json_is(eos, JSON_KIND_BOOL) && json_bool(eos) && eos_id >= 0) {
        token_ids_push(&t->after, eos_id, false);
    }
}

/* `legacy`: false puts SentencePiece's first blank before the whole text only, not again behind
 * each special token. */
static void read_legacy(Tokenizer *t, const Json *config) {
    const Json *legacy = json_get(config, "legacy");
    if (!json_is(legacy, JSON_KIND_BOOL) || json_bool(legacy)) return;
    bool prefix = normalizer_drop(&t->normalizer, NORMALIZE_PREPEND);
    normalizer_drop(&t->normalizer, NORMALIZE_REPLACE);
    normalizer_drop(&t->normalizer, NORMALIZE_TRIM);
    PrependScheme scheme = prefix ? PREPEND_FIRST : PREPEND_NEVER;
    pretokenizer_add(&t->pretokenizer, (PretokenizeStep){.kind = PRETOKENIZE_METASPACE,
                                                         .prepend = scheme,
                                                         .literal = mem_strdup("\xE2\x96\x81")});
}

/* T5's spiece.model does not hold its 100 sentinels, which its tokenizer adds behind the pieces,
 * the last one first; nor does it say that a text ends with EOS. */
static Status read_t5(Tokenizer *t, const Json *config, const char *where) {
    const Json *class = json_get(config, "tokenizer_class");
    if (!json_is(class, JSON_KIND_STRING) || !str_starts(json_str(class, NULL), "T5")) return OK;
    int64_t extra = 100;
    TRY(json_opt_int(&extra, config, "extra_ids", where));
    for (int64_t i = extra < 1000 ? extra : 1000; i-- > 0;) {
        char name[32];
        snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        AddedToken token = {.id = t->vocab.size, .special = true};
        TRY(tokenizer_add_token(t, name, strlen(name), token, where));
    }
    if (t->eos >= 0) token_ids_push(&t->after, t->eos, false);
    return OK;
}

/* All but the names that the config gives. */
static Status apply(Tokenizer *t, const Json *config, const char *where) {
    name_known(t, "bos_token", t->bos); /* what the tokenizer's own file says, for the rest */
    name_known(t, "eos_token", t->eos);
    name_known(t, "pad_token", t->pad);
    name_known(t, "unk_token", t->unk);
    if (t->chat_template == NULL) read_template(t, config);
    TRY(read_added_decoder(t, config, where));
    read_add_flags(t, config);
    if (t->sentencepiece) {
        read_legacy(t, config);
        TRY(read_t5(t, config, where));
    }
    const Json *longest = json_get(config, "model_max_length");
    if (json_is(longest, JSON_KIND_INT) && json_int(longest) > 0 &&
        json_int(longest) < 1000000000) {
        t->max_length = json_int(longest);
    }
    return OK;
}

static Status read_tokenizer_config(Tokenizer *t, const char *folder) {
    Json *config = NULL, *map = NULL;
    char *where = file_join(folder, "tokenizer_config.json");
    Status st = OK;
    TRY_GOTO(read_template_file(t, folder), st, out);
    TRY_GOTO(read_json(&config, t, folder, "tokenizer_config.json", true), st, out);
    TRY_GOTO(read_json(&map, t, folder, "special_tokens_map.json", true), st, out);
    read_names(t, config);
    read_names(t, map);
    st = apply(t, config, where);
out:
    json_free(config);
    json_free(map);
    mem_free(where);
    return st;
}

void tokenizer_push_eos(Tokenizer *t, int64_t id) {
    if (id < 0 || id >= VOCAB_MAX_ID) return;
    for (size_t i = 0; i < t->eos_list.n; i++) {
        if (t->eos_list.id[i] == id) return;
    }
    token_ids_push(&t->eos_list, (int32_t)id, false);
}

static void read_eos(Tokenizer *t, const Json *config) {
    const Json *eos = json_get(config, "eos_token_id");
    if (json_is(eos, JSON_KIND_INT)) tokenizer_push_eos(t, json_int(eos));
    for (int64_t i = 0; i < json_len(eos); i++) {
        if (json_is(json_at(eos, i), JSON_KIND_INT))
            tokenizer_push_eos(t, json_int(json_at(eos, i)));
    }
}

Status tokenizer_add_eos_list(Tokenizer *t, const char *folder) {
    static const char *const names[] = {"generation_config.json", "config.json"};
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        Json *config = NULL;
        TRY(read_json(&config, t, folder, names[i], false));
        const Json *eos = json_get(config, "eos_token_id");
        found = eos && !json_is(eos, JSON_KIND_NULL);
        read_eos(t, config);
        json_free(config);
    }
    return OK;
}

/* A special token that no tokenizer file names, by the model's id for it. */
static void name_by_id(Tokenizer *t, const Json *config, const char *key, const char *name) {
    const Json *id = json_get(config, key);
    if (json_is(id, JSON_KIND_ARRAY)) id = json_at(id, 0);
    if (!json_is(id, JSON_KIND_INT) || json_int(id) < 0 || json_int(id) >= t->vocab.size) return;
    const char *text = tokenizer_token(t, (int32_t)json_int(id));
    if (text != NULL) tokenizer_set_name(t, name, text);
}

static Status read_model_files(Tokenizer *t, const char *folder) {
    static const char *const names[] = {"generation_config.json", "config.json"};
    for (int i = 0; i < 2; i++) {
        Json *config = NULL;
        TRY(read_json(&config, t, folder, names[i], false));
        if (t->eos_list.n == 0) read_eos(t, config);
        name_by_id(t, config, "bos_token_id", "bos_token");
        name_by_id(t, config, "eos_token_id", "eos_token");
        name_by_id(t, config, "pad_token_id", "pad_token");
        json_free(config);
    }
    return OK;
}

/* Files that name nothing at all: the words everybody uses. */
static void guess_names(Tokenizer *t) {
    static const char *const words[][2] = {{"bos_token", "<s>"},   {"bos_token", "<|endoftext|>"},
                                           {"eos_token", "</s>"},  {"eos_token", "<|endoftext|>"},
                                           {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
    if (t->n_names > 0) return;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (tokenizer_id(t, words[i][1]) >= 0) tokenizer_set_name(t, words[i][0], words[i][1]);
    }
}

static int32_t id_by_name(const Tokenizer *t, const char *name) {
    const char *text = tokenizer_special_text(t, name);
    return text == NULL ? TOKEN_NONE : tokenizer_id(t, text);
}

/* What is named is special, also where the tokenizer's own file has it among its plain tokens. */
static Status add_named(Tokenizer *t, const char *where) {
    for (size_t i = 0; i < t->n_names; i++) {
        const char *text = t->names[i].text;
        int32_t id = tokenizer_id(t, text);
        AddedToken token = {.id = id, .special = true};
        if (id >= 0) TRY(tokenizer_add_token(t, text, strlen(text), token, where));
    }
    return OK;
}

static Status settle(Tokenizer *t, const char *where) {
    guess_names(t);
    TRY(add_named(t, where));
    tokenizer_settle_names(t);
    return OK;
}

Status tokenizer_config_read(Tokenizer *t, const char *folder) {
    TRY(read_tokenizer_config(t, folder));
    TRY(read_model_files(t, folder));
    return settle(t, folder);
}

Status tokenizer_config_apply(Tokenizer *t, const Json *config, const char *where) {
    read_names(t, config);
    TRY(apply(t, config, where));
    return settle(t, where);
}

void tokenizer_settle_names(Tokenizer *t) {
    t->bos = id_by_name(t, "bos_token");
    t->eos = id_by_name(t, "eos_token");
    t->pad = id_by_name(t, "pad_token");
    t->unk = id_by_name(t, "unk_token");
    if (t->unk == TOKEN_NONE) t->unk = tokenizer_model_unk(t);
    tokenizer_push_eos(t, t->eos);
}
