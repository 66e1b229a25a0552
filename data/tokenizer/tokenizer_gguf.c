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
#define CHARSMAP KEY "precompiled_charsmap"
#define T5 "T5Tokenizer"
#define SPACE "\xE2\x96\x81"

/* The numbers are those of SentencePiece. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

typedef struct Names { /* ids, -1: none */
    int64_t bos, eos, eot, eom, unk, pad, sep, mask;
} Names;
#define NO_NAMES ((Names){-1, -1, -1, -1, -1, -1, -1, -1})

typedef struct Source {
    const Gguf *g;
    const char *where;
    int32_t n; /* tokens, without those at the end that only fill the model's table */
    Names names;
    bool add_bos, add_eos;
    bool wordpiece; /* "\u2581x" begins a word and "x" continues one: "x" and "##x" elsewhere */
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
    TRY(read_id(&s->names.sep, s, KEY "seperator_token_id")); /* sic */
    TRY(read_id(&s->names.mask, s, KEY "mask_token_id"));
    TRY(gguf_opt_bool(&s->add_bos, s->g, KEY "add_bos_token"));
    return gguf_opt_bool(&s->add_eos, s->g, KEY "add_eos_token");
}

static Json *token_json(const Source *s, int64_t id) {
    size_t n, sign = strlen(SPACE);
    const char *text = gguf_string_at(s->g, TOKENS, id, &n);
    if (!s->wordpiece || type_of(s, id) == TYPE_CONTROL) return json_new_str_n(text, n);
    if (n > sign && memcmp(text, SPACE, sign) == 0) return json_new_str_n(text + sign, n - sign);
    Str inner = {0};
    str_append(&inner, "##");
    str_append_n(&inner, text, n);
    Json *json = json_new_str_n(inner.data, inner.len);
    str_free(&inner);
    return json;
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
    name_token(config, s, s->wordpiece ? "cls_token" : "bos_token", s->names.bos);
    name_token(config, s, "eos_token", s->names.eos);
    name_token(config, s, "sep_token", s->names.sep);
    name_token(config, s, "mask_token", s->names.mask);
    name_token(config, s, "unk_token", s->names.unk);
    name_token(config, s, "pad_token", s->names.pad);
    if (str_equal(class, T5)) { /* which always adds EOS */
        json_set(config, "extra_ids", json_new_int(0));
    } else if (!s->wordpiece) {
        json_set(config, "add_bos_token", json_new_bool(s->add_bos));
        json_set(config, "add_eos_token", json_new_bool(s->add_eos));
    }
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

/* Nothing becomes an unused token of BPE, nor one that is only found by its name; and what was
 * added to a Unigram model is cut out before all else. */
static int piece_type(const Source *s, const SentencepieceSpec *spec, int64_t i) {
    int type = type_of(s, i);
    bool named = type == (spec->unigram ? TYPE_USER_DEFINED : TYPE_UNUSED);
    return named ? TYPE_CONTROL : type;
}

static Status read_charsmap(Str *out, const Source *s) {
    int64_t n = 0;
    TRY(gguf_opt_numbers(&n, s->g, CHARSMAP));
    if ((uint64_t)n > TOKENIZER_MAX_FILE)
        return status_fail(ERR_DATA, "%s: " CHARSMAP " has %lld bytes", s->where, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        double x = gguf_number_at(s->g, CHARSMAP, i);
        if (!(x >= -128 && x <= 255))
            return status_fail(ERR_DATA, "%s: " CHARSMAP "[%lld] is no byte", s->where,
                               (long long)i);
        str_append_char(out, (char)(unsigned char)(int)x);
    }
    return OK;
}

static void write_model(Str *model, const Source *s, SentencepieceSpec spec, const Str *charsmap) {
    for (int64_t i = 0; i < s->n; i++) {
        size_t n;
        const char *text = gguf_string_at(s->g, TOKENS, i, &n);
        int type = piece_type(s, &spec, i);
        spec.byte_fallback = spec.byte_fallback || type == TYPE_BYTE;
        sentencepiece_write_piece(model, text, n, (float)gguf_number_at(s->g, SCORES, i), type);
    }
    spec.unk = s->names.unk;
    spec.bos = s->names.bos;
    spec.eos = s->names.eos;
    spec.pad = s->names.pad;
    spec.charsmap = charsmap->len > 0 ? charsmap->data : NULL;
    spec.charsmap_n = charsmap->len;
    sentencepiece_write_spec(model, &spec);
}

static Status read_sentencepiece(Tokenizer *t, Source *s, SentencepieceSpec spec) {
    int64_t n_scores;
    TRY(gguf_opt_numbers(&n_scores, s->g, SCORES));
    if (n_scores < s->n)
        return status_fail(ERR_DATA, "%s: " SCORES " has %lld numbers for %d tokens", s->where,
                           (long long)n_scores, s->n);
    TRY(read_names(s));
    TRY(gguf_opt_bool(&spec.dummy_prefix, s->g, KEY "add_space_prefix"));
    TRY(gguf_opt_bool(&spec.remove_extra, s->g, KEY "remove_extra_whitespaces"));
    Str model = {0}, charsmap = {0};
    bool t5 = spec.unigram && s->add_eos && !s->add_bos;
    Status st = OK;
    TRY_GOTO(read_charsmap(&charsmap, s), st, out);
    write_model(&model, s, spec, &charsmap);
    tokenizer_keep_file(t, t5 ? "spiece.model" : "tokenizer.model", &model);
    TRY_GOTO(sentencepiece_read(t, (const unsigned char *)model.data, model.len, s->where), st,
             out);
    st = read_config(t, s, t5 ? T5 : "LlamaTokenizer");
out:
    str_free(&model);
    str_free(&charsmap);
    return st;
}

/* What a file leaves out is as in the first model of the kind. */
static Status read_llama(Tokenizer *t, Source *s) {
    s->add_bos = true;
    s->names = NO_NAMES;
    s->names.unk = 0;
    s->names.bos = 1;
    s->names.eos = 2;
    return read_sentencepiece(t, s, (SentencepieceSpec){.dummy_prefix = true});
}

static Status read_unigram(Tokenizer *t, Source *s) {
    s->add_eos = true;
    s->names = NO_NAMES;
    s->names.pad = 0;
    s->names.eos = 1;
    s->names.unk = 2;
    return read_sentencepiece(
        t, s, (SentencepieceSpec){.unigram = true, .dummy_prefix = true, .remove_extra = true});
}

/* ---- a tokenizer.json ---- */

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

/* `first` and `last`: what goes around a text, -1: nothing. */
static Json *post_processor(const Source *s, int64_t first, int64_t last) {
    if (first < 0 && last < 0) return json_new_null();
    Json *post = json_new_object(), *single = json_new_array(), *tokens = json_new_object();
    Json *item = json_new_object(), *sequence = json_new_object();
    json_set(post, "type", json_new_str("TemplateProcessing"));
    if (first >= 0) push_special(single, tokens, s, first);
    json_set(sequence, "id", json_new_str("A"));
    json_set(sequence, "type_id", json_new_int(0));
    json_set(item, "Sequence", sequence);
    json_push(single, item);
    if (last >= 0) push_special(single, tokens, s, last);
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

static Status add_vocab(Json *root, const Source *s) {
    Json *vocab = json_new_object(), *added = json_get(root, "added_tokens");
    json_set(json_get(root, "model"), "vocab", vocab);
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

static Json *new_root(void) {
    Json *root = json_new_object();
    json_set(root, "version", json_new_str("1.0"));
    json_set(root, "truncation", json_new_null());
    json_set(root, "padding", json_new_null());
    json_set(root, "added_tokens", json_new_array());
    json_set(root, "model", json_new_object());
    return root;
}

static Status read_root(Tokenizer *t, const Json *root, const Source *s, const char *class) {
    keep_json(t, "tokenizer.json", root);
    TRY(tokenizer_json_read(t, root, s->where));
    return read_config(t, s, class);
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

static Status make_bpe(Json *root, const Source *s, const GgufPre *pre) {
    Json *model = json_get(root, "model");
    json_set(model, "type", json_new_str("BPE"));
    json_set(model, "unk_token", json_new_null());
    json_set(model, "byte_fallback", json_new_bool(false));
    json_set(model, "ignore_merges", json_new_bool(pre->ignore_merges));
    TRY(set_section(root, "normalizer", pre->normalizer));
    TRY(set_section(root, "pre_tokenizer", pre->pre_tokenizer));
    TRY(set_section(root, "decoder",
                    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                    "\"use_regex\":true}"));
    json_set(root, "post_processor",
             post_processor(s, s->add_bos ? s->names.bos : -1, s->add_eos ? s->names.eos : -1));
    TRY(add_vocab(root, s));
    return add_merges(model, s);
}

static Status read_gpt2(Tokenizer *t, Source *s) {
    const GgufPre *pre = NULL;
    TRY(find_pre(&pre, s));
    s->add_bos = pre->add_bos;
    s->names = NO_NAMES;
    TRY(read_names(s));
    Json *root = new_root();
    Status st = make_bpe(root, s, pre);
    if (st == OK) st = read_root(t, root, s, "PreTrainedTokenizerFast");
    json_free(root);
    return st;
}

/* ---- WordPiece ---- */

static Status make_wordpiece(Json *root, const Source *s) {
    Json *model = json_get(root, "model"), *normalizer = json_new_object();
    bool lower = true;
    json_set(root, "normalizer", normalizer);
    TRY(gguf_opt_bool(&lower, s->g, KEY "normalizer.lowercase"));
    bool accents = lower;
    TRY(gguf_opt_bool(&accents, s->g, KEY "normalizer.strip_accents"));
    json_set(normalizer, "type", json_new_str("BertNormalizer"));
    json_set(normalizer, "clean_text", json_new_bool(true));
    json_set(normalizer, "handle_chinese_chars", json_new_bool(true));
    json_set(normalizer, "strip_accents", json_new_bool(accents));
    json_set(normalizer, "lowercase", json_new_bool(lower));
    TRY(set_section(root, "pre_tokenizer", "{\"type\":\"BertPreTokenizer\"}"));
    TRY(set_section(root, "decoder",
                    "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"));
    json_set(root, "post_processor", post_processor(s, s->names.bos, s->names.sep));
    json_set(model, "type", json_new_str("WordPiece"));
    json_set(model, "unk_token", token_json(s, s->names.unk));
    json_set(model, "continuing_subword_prefix", json_new_str("##"));
    json_set(model, "max_input_chars_per_word", json_new_int(100));
    return add_vocab(root, s);
}

/* BERT's ids stand in for what a file leaves out. */
static Status read_bert(Tokenizer *t, Source *s) {
    s->wordpiece = true;
    s->names = NO_NAMES;
    s->names.pad = 0;
    s->names.unk = 100;
    s->names.bos = 101;
    s->names.sep = 102;
    s->names.mask = 103;
    TRY(read_names(s));
    if (s->names.unk < 0)
        return status_fail(ERR_DATA, "%s: `" KEY "unknown_token_id` is %lld", s->where,
                           (long long)s->names.unk);
    Json *root = new_root();
    Status st = make_wordpiece(root, s);
    if (st == OK) st = read_root(t, root, s, "BertTokenizer");
    json_free(root);
    return st;
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
    if (str_equal(kind, "t5")) return read_unigram(t, &s);
    if (str_equal(kind, "bert")) return read_bert(t, &s);
    return status_fail(ERR_DATA,
                       "%s: " KEY "model: `%s` is not supported; llama, gpt2, t5 and bert are",
                       path, kind);
}

Status tokenizer_gguf_read(Tokenizer *t, const char *path) {
    Gguf *g = NULL;
    Status st = gguf_open(&g, path);
    if (st == OK) st = read_from(t, g, path);
    gguf_close(g);
    return st;
}
