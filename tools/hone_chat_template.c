/* hone chat-template: what a model sees of a conversation. */
#include "core/mem.h"
#include "tools/args.h"
#include "tools/open.h"
#include "tools/verbs.h"

static Status render_row(JsonlWriter *w, const ChatTemplate *tpl, const Json *in, bool add_prompt,
                         const char *where) {
    Json *messages = NULL, *tools = json_get(in, "tools");
    TRY(json_want(&messages, in, "messages", JSON_KIND_ARRAY, where));
    TemplateInput input = {
        .messages = messages, .tools = tools, .add_generation_prompt = add_prompt};
    TemplateText text = {0};
    Status st = template_render(tpl, &text, &input);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "text", json_new_str_n(text.text, text.n));
        st = jsonl_write(w, row);
        json_free(row);
    }
    template_text_free(&text);
    return st;
}

Status hone_chat_template(int argc, char **argv) {
    const char *model = NULL, *data = NULL, *output = "-";
    bool add_prompt = false, help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model, true, "model folder"},
        {"--data", ARG_TEXT, &data, true,
         "JSON lines of {\"messages\": [...]}; - is standard input"},
        {"--add-generation-prompt", ARG_FLAG, &add_prompt, false,
         "end with what opens an assistant turn"},
        {"--output", ARG_TEXT, &output, false, "JSON lines of {\"text\"}; default standard output"},
        {0},
    };
    TRY(args_parse(&(ArgTable){"chat-template",
                               "Conversations as the model's chat template writes them.", args},
                   argc, argv, &help));
    if (help) return OK;
    Tokenizer *tok = NULL;
    ChatTemplate *tpl = NULL;
    Jsonl *in = NULL;
    JsonlWriter *w = NULL;
    Status st = OK;
    TRY_GOTO(tool_tokenizer_open(&tok, &tpl, model), st, out);
    if (!tpl) {
        st = status_fail(ERR_DATA,
                         "%s: has no chat template (chat_template.jinja or tokenizer_config.json)",
                         model);
        goto out;
    }
    TRY_GOTO(jsonl_open(&in, data), st, out);
    TRY_GOTO(jsonl_writer_open(&w, output, 0), st, out);
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        TRY_GOTO(jsonl_parse(&row, in, i), st, out);
        char *where = str_format("%s:%lld", jsonl_path(in), (long long)jsonl_row(in, i).line);
        st = render_row(w, tpl, row, add_prompt, where);
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
