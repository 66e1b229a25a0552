#include "data/tokenizer/bpe_write.h"

#include "core/check.h"
#include "core/io/json.h"
#include "data/tokenizer/pretokenize.h"

#include <string.h>

static Json *byte_level(void) {
    Json *j = json_new_object();
    json_set(j, "type", json_new_str("ByteLevel"));
    json_set(j, "add_prefix_space", json_new_bool(false));
    json_set(j, "trim_offsets", json_new_bool(true));
    json_set(j, "use_regex", json_new_bool(true));
    return j;
}

static int32_t id_of(const Vocab *vocab, const char *text) {
    int32_t id = vocab_find(vocab, text, strlen(text));
    CHECK(id >= 0, "special token %s is not in the vocabulary", text);
    return id;
}

static Json *added_tokens(const TokenizerTraining *how, const Vocab *vocab) {
    Json *list = json_new_array();
    for (size_t i = 0; i < how->n_special; i++) {
        Json *a = json_new_object();
        json_set(a, "id", json_new_int(id_of(vocab, how->special[i])));
        json_set(a, "content", json_new_str(how->special[i]));
        json_set(a, "single_word", json_new_bool(false));
        json_set(a, "lstrip", json_new_bool(false));
        json_set(a, "rstrip", json_new_bool(false));
        json_set(a, "normalized", json_new_bool(false));
        json_set(a, "special", json_new_bool(true));
        json_push(list, a);
    }
    return list;
}

static Json *sequence_part(const char *kind, const char *id) {
    Json *part = json_new_object(), *body = json_new_object();
    json_set(body, "id", json_new_str(id));
    json_set(body, "type_id", json_new_int(0));
    json_set(part, kind, body);
    return part;
}

/* BOS before the text. */
static Json *bos_template(const char *bos, int32_t id) {
    Json *j = json_new_object(), *single = json_new_array(), *pair = json_new_array();
    json_push(single, sequence_part("SpecialToken", bos));
    json_push(single, sequence_part("Sequence", "A"));
    json_push(pair, sequence_part("SpecialToken", bos));
    json_push(pair, sequence_part("Sequence", "A"));
    json_push(pair, sequence_part("Sequence", "B"));
    Json *special = json_new_object(), *token = json_new_object();
    Json *ids = json_new_array(), *tokens = json_new_array();
    json_push(ids, json_new_int(id));
    json_push(tokens, json_new_str(bos));
    json_set(token, "id", json_new_str(bos));
    json_set(token, "ids", ids);
    json_set(token, "tokens", tokens);
    json_set(special, bos, token);
    json_set(j, "type", json_new_str("TemplateProcessing"));
    json_set(j, "single", single);
    json_set(j, "pair", pair);
    json_set(j, "special_tokens", special);
    return j;
}

static Json *model(const Vocab *vocab, const BpeWriteMerge *merges, size_t n_merges) {
    Json *j = json_new_object(), *tokens = json_new_object(), *list = json_new_array();
    for (int32_t id = 0; id < vocab->size; id++) {
        const char *text = vocab_text(vocab, id, NULL);
        if (text != NULL) json_set(tokens, text, json_new_int(id));
    }
    for (size_t i = 0; i < n_merges; i++) {
        Json *pair = json_new_array();
        json_push(pair, json_new_str(vocab_text(vocab, merges[i].left, NULL)));
        json_push(pair, json_new_str(vocab_text(vocab, merges[i].right, NULL)));
        json_push(list, pair);
    }
    json_set(j, "type", json_new_str("BPE"));
    json_set(j, "dropout", json_new_null());
    json_set(j, "unk_token", json_new_null());
    json_set(j, "continuing_subword_prefix", json_new_null());
    json_set(j, "end_of_word_suffix", json_new_null());
    json_set(j, "fuse_unk", json_new_bool(false));
    json_set(j, "byte_fallback", json_new_bool(false));
    json_set(j, "ignore_merges", json_new_bool(false));
    json_set(j, "vocab", tokens);
    json_set(j, "merges", list);
    return j;
}

void bpe_write_json(Str *out, const TokenizerTraining *how, const Vocab *vocab,
                    const BpeWriteMerge *merges, size_t n_merges) {
    Json *j = json_new_object();
    json_set(j, "version", json_new_str("1.0"));
    json_set(j, "truncation", json_new_null());
    json_set(j, "padding", json_new_null());
    json_set(j, "added_tokens", added_tokens(how, vocab));
    json_set(j, "normalizer", json_new_null());
    json_set(j, "pre_tokenizer", byte_level());
    json_set(j, "post_processor",
             how->add_bos && how->bos != NULL ? bos_template(how->bos, id_of(vocab, how->bos))
                                              : byte_level());
    json_set(j, "decoder", byte_level());
    json_set(j, "model", model(vocab, merges, n_merges));
    json_dump(out, j, 1);
    str_append_char(out, '\n');
    json_free(j);
}

void bpe_write_bytes(Str *out, const TokenizerTraining *how) {
    Vocab vocab = {0};
    Str text = {0};
    for (int32_t byte = 0; byte < 256; byte++) {
        str_clear(&text);
        str_append_utf8(&text, pretokenize_byte_char((unsigned char)byte));
        vocab_add(&vocab, text.data, text.len, byte);
    }
    for (size_t i = 0; i < how->n_special; i++) {
        vocab_add(&vocab, how->special[i], strlen(how->special[i]), vocab.size);
    }
    bpe_write_json(out, how, &vocab, NULL, 0);
    vocab_free(&vocab);
    str_free(&text);
}

static void set_token(Json *j, const char *name, const char *text) {
    if (text != NULL) json_set(j, name, json_new_str(text));
}

void bpe_write_config(Str *out, const TokenizerTraining *how) {
    Json *j = json_new_object();
    json_set(j, "tokenizer_class", json_new_str("PreTrainedTokenizerFast"));
    set_token(j, "bos_token", how->bos);
    set_token(j, "eos_token", how->eos);
    set_token(j, "unk_token", how->unk);
    set_token(j, "pad_token", how->pad);
    json_set(j, "clean_up_tokenization_spaces", json_new_bool(false));
    set_token(j, "chat_template", how->chat_template);
    json_dump(out, j, 2);
    str_append_char(out, '\n');
    json_free(j);
}
