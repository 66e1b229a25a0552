/* hone tokenize: text to ids, and back. */
#include "core/mem.h"
#include "tools/args.h"
#include "tools/open.h"
#include "tools/verbs.h"

#include <string.h>

static Status encode_row(JsonlWriter *w, const Tokenizer *tok, const char *text, size_t n,
                         bool add_special) {
    TokenIds ids = {0};
    Status st = tokenizer_encode(
        tok, &ids, text, n, TOKENIZER_PARSE_SPECIAL | (add_special ? TOKENIZER_ADD_SPECIAL : 0));
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "ids", tool_json_ids(ids.id, ids.n));
        st = jsonl_write(w, row);
        json_free(row);
    }
    token_ids_free(&ids);
    return st;
}

static Status decode_row(JsonlWriter *w, const Tokenizer *tok, const Json *in, const char *where) {
    Json *list = NULL;
    TRY(json_want(&list, in, "ids", JSON_KIND_ARRAY, where));
    size_t n = (size_t)json_len(list);
    int32_t *ids = mem_zalloc(n + 1, sizeof *ids);
    Status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        const Json *x = json_at(list, (int64_t)i);
        if (!json_is(x, JSON_KIND_INT))
            st = status_fail(ERR_DATA, "%s: `ids` holds something that is no integer", where);
        else
            ids[i] = json_int(x) < 0 || json_int(x) > INT32_MAX ? -1 : (int32_t)json_int(x);
    }
    Str text = {0};
    if (st == OK) st = tokenizer_decode(tok, &text, ids, n, 0);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "text", json_new_str_n(str_text(&text), text.len));
        st = jsonl_write(w, row);
        json_free(row);
    }
    str_free(&text);
    mem_free(ids);
    return st;
}

Status hone_tokenize(int argc, char **argv) {
    const char *model = NULL, *text = NULL, *data = NULL, *output = "-";
    bool add_special = false, decode = false, help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model, true,
         "model folder, tokenizer.json, tokenizer.model, or `bytes`"},
        {"--text", ARG_TEXT, &text, false, "one text"},
        {"--data", ARG_TEXT, &data, false,
         "JSON lines of {\"text\"}, or of {\"ids\"} with --decode; - is standard input"},
        {"--add-special-tokens", ARG_FLAG, &add_special, false,
         "what the tokenizer adds by itself (BOS, EOS)"},
        {"--decode", ARG_FLAG, &decode, false, "from ids to text"},
        {"--output", ARG_TEXT, &output, false, "JSON lines; default standard output"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){"tokenize",
                    "Token ids of texts, {\"ids\": [...]} a row; with --decode texts of ids.",
                    args},
        argc, argv, &help));
    if (help) return OK;
    if (!text == !data) return status_fail(ERR_USAGE, "hone tokenize: give --text or --data");
    Tokenizer *tok = NULL;
    ChatTemplate *tpl = NULL;
    Jsonl *in = NULL;
    JsonlWriter *w = NULL;
    Status st = OK;
    TRY_GOTO(tool_tokenizer_open(&tok, &tpl, model), st, out);
    if (data) TRY_GOTO(jsonl_open(&in, data), st, out);
    TRY_GOTO(jsonl_writer_open(&w, output, 0), st, out);
    if (text) st = encode_row(w, tok, text, strlen(text), add_special);
    for (int64_t i = 0; in && i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        TRY_GOTO(jsonl_parse(&row, in, i), st, out);
        char *where = str_format("%s:%lld", jsonl_path(in), (long long)jsonl_row(in, i).line);
        const char *s = NULL;
        if (decode)
            st = decode_row(w, tok, row, where);
        else if ((st = json_want_str(&s, row, "text", where)) == OK) {
            size_t n;
            s = json_str(json_get(row, "text"), &n);
            st = encode_row(w, tok, s, n, add_special);
        }
        mem_free(where);
        json_free(row);
    }
out:
    jsonl_writer_close(w);
    jsonl_close(in);
    template_close(tpl);
    tokenizer_close(tok);
    return st;
}
