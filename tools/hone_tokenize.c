/* hone tokenize: text to ids, and back. */
#include "core/args.h"
#include "core/mem.h"
#include "tools/open.h"
#include "tools/row_stream.h"
#include "tools/verbs.h"

#include <string.h>

typedef struct Tokenizing {
    Tokenizer *tok;
    bool add_special, decode;
} Tokenizing;

static Status encode_text(const Tokenizing *t, RowSink *out, const char *text, size_t n) {
    TokenIds ids = {0};
    unsigned flags = TOKENIZER_PARSE_SPECIAL | (t->add_special ? TOKENIZER_ADD_SPECIAL : 0);
    Status st = tokenizer_encode(t->tok, &ids, text, n, flags);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "ids", tool_json_ids(ids.id, ids.n));
        st = row_sink_write(out, row);
        json_free(row);
    }
    token_ids_free(&ids);
    return st;
}

static Status read_ids(int32_t *ids, const Json *list, const Tokenizer *tok, const char *where) {
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *x = json_at(list, i);
        if (!json_is(x, JSON_KIND_INT) || json_int(x) < 0 ||
            json_int(x) >= tokenizer_vocab_size(tok))
            return status_fail(ERR_DATA, "%s: ids[%lld] is no id of this tokenizer", where,
                               (long long)i);
        ids[i] = (int32_t)json_int(x);
    }
    return OK;
}

static Status decode_row(const Tokenizing *t, RowSink *out, const Json *in, const char *where) {
    Json *list = NULL;
    TRY(json_want(&list, in, "ids", JSON_KIND_ARRAY, where));
    size_t n = (size_t)json_len(list);
    int32_t *ids = mem_zalloc(n + 1, sizeof *ids);
    Status st = read_ids(ids, list, t->tok, where);
    Str text = {0};
    if (st == OK) st = tokenizer_decode(t->tok, &text, ids, n, 0);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "text", json_new_str_n(str_text(&text), text.len));
        st = row_sink_write(out, row);
        json_free(row);
    }
    str_free(&text);
    mem_free(ids);
    return st;
}

static Status tokenize_row(void *ctx, RowSink *out, const Json *in, const char *where) {
    const Tokenizing *t = ctx;
    const char *ignored;
    size_t n;
    if (t->decode) return decode_row(t, out, in, where);
    TRY(json_want_str(&ignored, in, "text", where));
    const char *text = json_str(json_get(in, "text"), &n);
    return encode_text(t, out, text, n);
}

Status hone_tokenize(int argc, char **argv) {
    const char *model = NULL, *text = NULL, *data = NULL, *output = "-";
    Tokenizing t = {0};
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model, true,
         "model folder, tokenizer.json, tokenizer.model, or `bytes`"},
        {"--text", ARG_TEXT, &text, false, "one text"},
        {"--data", ARG_TEXT, &data, false,
         "JSON lines of {\"text\"}, or of {\"ids\"} with --decode; - is standard input"},
        {"--add-special-tokens", ARG_FLAG, &t.add_special, false,
         "what the tokenizer adds by itself (BOS, EOS)"},
        {"--decode", ARG_FLAG, &t.decode, false, "from ids to text"},
        {"--output", ARG_TEXT, &output, false, "JSON lines; default standard output"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone tokenize",
                    .summary =
                        "Token ids of texts, {\"ids\": [...]} a row; with --decode texts of ids.",
                    .args = args},
        argc, argv, &help));
    if (help) return OK;
    if (!text == !data) return status_fail(ERR_USAGE, "hone tokenize: give --text or --data");
    if (text && t.decode) return status_fail(ERR_USAGE, "hone tokenize: --decode needs --data");
    ChatTemplate *tpl = NULL;
    RowSink *out = NULL;
    Status st = OK;
    TRY_GOTO(tool_tokenizer_open(&t.tok, &tpl, model), st, out);
    TRY_GOTO(row_sink_open(&out, output), st, out);
    st = text ? encode_text(&t, out, text, strlen(text))
              : rows_each(data, NULL, tokenize_row, &t, out);
    if (st == OK) st = row_sink_commit(out);
out:
    row_sink_close(out);
    template_close(tpl);
    tokenizer_close(t.tok);
    return st;
}
