#include "tools/open.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/threads.h"
#include "stage/setup.h"
#include "train/config/config.h"

#include <string.h>

#define MAX_THREADS 1024

static Status open_tokenizer(Tokenizer **tok, ChatTemplate **tpl, const ModelPlace *place) {
    *tpl = NULL;
    TRY(place_tokenizer(tok, place));
    return tokenizer_chat_template(*tok) ? template_open(tpl, *tok, NULL) : OK;
}

Status tool_tokenizer_open(Tokenizer **tok, ChatTemplate **tpl, const char *model) {
    *tpl = NULL;
    if (str_equal(model, "bytes")) return tokenizer_open_bytes(tok);
    if (file_is_regular(model)) return tokenizer_open(tok, model);
    ModelPlace place;
    TRY(place_model(&place, model, NULL));
    Status st = open_tokenizer(tok, tpl, &place);
    model_place_free(&place);
    return st;
}

static Status open_dtype(DType *out, const char *name) {
    *out = name ? dtype_by_name(name) : DTYPE_F32;
    if (*out == DTYPE_F32 || *out == DTYPE_BF16 || *out == DTYPE_F16) return OK;
    return status_fail(ERR_USAGE, "--dtype: `%s` is none of float32, bfloat16, float16", name);
}

static Status open_quant(QuantOptions *out, const ToolModelOptions *o) {
    *out = (QuantOptions){.block = 64, .nested = o->double_quant, .head = o->int8_head};
    if (!o->quantization && o->double_quant)
        return status_fail(ERR_USAGE, "--double-quant does nothing without --quantization");
    if (!o->quantization) return OK;
    for (int kind = QUANT_NF4; kind <= QUANT_INT8; kind++) {
        if (!str_equal(o->quantization, quant_name((QuantKind)kind))) continue;
        out->on = true;
        out->kind = (QuantKind)kind;
        return OK;
    }
    return status_fail(ERR_USAGE, "--quantization: `%s` is none of nf4, fp4, int8",
                       o->quantization);
}

Status tool_model_open(ToolModel *m, const ToolModelOptions *o) {
    *m = (ToolModel){0};
    BaseOptions base = {0};
    TRY(open_dtype(&base.dtype, o->dtype));
    TRY(open_quant(&base.quant, o));
    if (o->threads < 0 || o->threads > MAX_THREADS)
        return status_fail(ERR_USAGE, "--threads: %lld is not from 0 (all) to %d",
                           (long long)o->threads, MAX_THREADS);
    char device[32] = "auto";
    if (o->device) snprintf(device, sizeof device, "%s", o->device);
    RunConfig run = {.device = device, .threads = o->threads};
    TRY(setup_device(&m->dev, &run));
    TRY(place_model(&m->place, o->model, NULL));
    if (o->adapter) {
        ModelPlace adapter;
        TRY(place_model(&adapter, o->adapter, NULL));
        mem_free(m->place.adapter);
        m->place.adapter = mem_strdup(adapter.adapter ? adapter.adapter : adapter.base);
        model_place_free(&adapter);
    }
    TRY(open_tokenizer(&m->tok, &m->tpl, &m->place));
    const char *head = m->place.adapter ? m->place.adapter : m->place.base;
    bool is_reward = head_present(head, HEAD_SCORE);
    base.path = m->place.base;
    base.trunk_only = is_reward;
    base.takes_source = o->takes_source;
    TRY(base_open(&m->base, m->dev, &base));
    TRY(setup_check_vocab(m->base, m->tok));
    if (m->place.adapter)
        TRY(adapter_load(&m->adapter, m->base, "default", m->place.adapter, false));
    if (is_reward) TRY(head_load(&m->score, m->base, HEAD_SCORE, head, false));
    m->role = (Role){m->base, m->adapter, m->score};
    return OK;
}

void tool_model_close(ToolModel *m) {
    head_close(m->score);
    adapter_close(m->adapter);
    base_close(m->base);
    template_close(m->tpl);
    tokenizer_close(m->tok);
    dev_close(m->dev);
    model_place_free(&m->place);
    *m = (ToolModel){0};
}

static Status append_text(TokenIds *ids, const Json *text, const Tokenizer *tok, unsigned flags) {
    size_t n;
    const char *s = json_str(text, &n);
    return tokenizer_encode(tok, ids, s, n, flags);
}

static Status append_messages(TokenIds *ids, const Json *messages, const Tokenizer *tok,
                              const ChatTemplate *tpl, bool add_generation_prompt) {
    if (!tpl)
        return status_fail(
            ERR_DATA,
            "the model has no chat template; give `prompt` or `text` instead of `messages`");
    TemplateText text = {0};
    TemplateInput in = {.messages = messages, .add_generation_prompt = add_generation_prompt};
    Status st = template_render(tpl, &text, &in);
    if (st == OK) st = tokenizer_encode_segments(tok, ids, text.segments, text.n_segments, 0);
    template_text_free(&text);
    return st;
}

static Status append_ids(TokenIds *ids, const Json *list, const Tokenizer *tok, const char *where) {
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *x = json_at(list, i);
        if (!json_is(x, JSON_KIND_INT) || json_int(x) < 0 ||
            json_int(x) >= tokenizer_vocab_size(tok))
            return status_fail(ERR_DATA, "%s: input_ids[%lld] is no id of this tokenizer", where,
                               (long long)i);
        token_ids_push(ids, (int32_t)json_int(x), false);
    }
    return OK;
}

Status tool_row_ids(TokenIds *ids, size_t *n_prompt, const Json *row, const Tokenizer *tok,
                    const ChatTemplate *tpl, bool add_generation_prompt, const char *where) {
    const unsigned text_flags = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;
    *n_prompt = 0;
    Json *list = json_get(row, "input_ids"), *text = json_get(row, "text"),
         *prompt = json_get(row, "prompt");
    Json *messages = json_get(row, "messages");
    if (json_is(list, JSON_KIND_ARRAY)) return append_ids(ids, list, tok, where);
    if (json_is(text, JSON_KIND_STRING)) return append_text(ids, text, tok, text_flags);
    if (json_is(messages, JSON_KIND_ARRAY))
        return append_messages(ids, messages, tok, tpl, add_generation_prompt);
    if (json_is(prompt, JSON_KIND_ARRAY)) return append_messages(ids, prompt, tok, tpl, true);
    if (!json_is(prompt, JSON_KIND_STRING))
        return status_fail(ERR_DATA, "%s: a row needs `text`, `prompt`, `messages` or `input_ids`",
                           where);
    Json *completion = json_get(row, "completion");
    TokenIds head = {0};
    Status st = append_text(&head, prompt, tok, text_flags);
    *n_prompt = head.n;
    token_ids_free(&head);
    if (st != OK) return st;
    Str whole = {0};
    size_t n;
    const char *s = json_str(prompt, &n);
    str_append_n(&whole, s, n);
    if (json_is(completion, JSON_KIND_STRING)) {
        s = json_str(completion, &n);
        str_append_n(&whole, s, n);
    }
    st = tokenizer_encode(tok, ids, str_text(&whole), whole.len, text_flags);
    str_free(&whole);
    return st;
}

void tool_end_text(TokenIds *ids, const Tokenizer *tok) {
    int32_t eos = tokenizer_eos(tok);
    if (eos != TOKEN_NONE && (ids->n == 0 || ids->id[ids->n - 1] != eos))
        token_ids_push(ids, eos, false);
}

static Status one_side(TokenIds *ids, const Json *list, const Json *text, const Tokenizer *tok,
                       const char *where) {
    if (json_is(list, JSON_KIND_ARRAY)) return append_ids(ids, list, tok, where);
    if (json_is(text, JSON_KIND_STRING)) {
        TRY(append_text(ids, text, tok, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL));
        tool_end_text(ids, tok);
        return OK;
    }
    return status_fail(ERR_DATA,
                       "%s: a row for an encoder-decoder needs `prompt` and `completion`, two "
                       "texts, or `input_ids` and `labels`",
                       where);
}

Status tool_pair_ids(TokenIds *source, TokenIds *labels, const Json *row, const Tokenizer *tok,
                     const char *where) {
    TRY(one_side(source, json_get(row, "input_ids"), json_get(row, "prompt"), tok, where));
    TRY(one_side(labels, json_get(row, "labels"), json_get(row, "completion"), tok, where));
    if (source->n > 0 && labels->n > 0) return OK;
    return status_fail(ERR_DATA, "%s: one side of the row has no token", where);
}

Status tool_decode(const Tokenizer *tok, Str *text, const int32_t *ids, size_t n, unsigned flags) {
    int32_t *known = mem_zalloc(n + 1, sizeof *known);
    size_t n_known = 0;
    for (size_t i = 0; i < n; i++)
        if (tokenizer_token(tok, ids[i])) known[n_known++] = ids[i];
    Status st = tokenizer_decode(tok, text, known, n_known, flags);
    mem_free(known);
    return st;
}

Json *tool_json_ids(const int32_t *ids, size_t n) {
    Json *list = json_new_array();
    for (size_t i = 0; i < n; i++) json_push(list, json_new_int(ids[i]));
    return list;
}
