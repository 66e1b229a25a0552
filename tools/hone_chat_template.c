/* hone chat-template: what a model sees of a conversation. */
#include "core/args.h"
#include "core/mem.h"
#include "tools/open.h"
#include "tools/row_stream.h"
#include "tools/verbs.h"

typedef struct Rendering {
    ChatTemplate *tpl;
    bool add_prompt, continue_final, mask;
} Rendering;

/* What the assistant says, one text after another: neighbours that are both marked are one. */
static Json *marked_texts(const TemplateText *text) {
    Json *list = json_new_array();
    const char *from = NULL;
    for (size_t i = 0; i <= text->n_segments; i++) {
        const TokenSegment *s = i < text->n_segments ? &text->segments[i] : NULL;
        bool marked = s != NULL && (s->flags & SEGMENT_MASK);
        const char *end = s != NULL ? s->text : text->text + text->n;
        if (from != NULL && !marked) json_push(list, json_new_str_n(from, (size_t)(end - from)));
        if (!marked)
            from = NULL;
        else if (from == NULL)
            from = s->text;
    }
    return list;
}

static Status render_row(void *ctx, RowSink *out, const Json *in, const char *where) {
    const Rendering *r = ctx;
    Json *messages = NULL, *tools = json_get(in, "tools");
    TRY(json_want(&messages, in, "messages", JSON_KIND_ARRAY, where));
    TemplateInput input = {.messages = messages,
                           .tools = tools,
                           .documents = json_get(in, "documents"),
                           .add_generation_prompt = r->add_prompt,
                           .continue_final_message = r->continue_final,
                           .mask_assistant = r->mask};
    TemplateText text = {0};
    Status st = template_render(r->tpl, &text, &input);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "text", json_new_str_n(text.text, text.n));
        if (r->mask) json_set(row, "assistant", marked_texts(&text));
        st = row_sink_write(out, row);
        json_free(row);
    }
    template_text_free(&text);
    return st;
}

Status hone_chat_template(int argc, char **argv) {
    const char *model = NULL, *data = NULL, *output = "-";
    Rendering r = {0};
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model, true, "model folder"},
        {"--data", ARG_TEXT, &data, true,
         "JSON lines of {\"messages\": [...]} and, where there are any, \"tools\" and "
         "\"documents\"; - is "
         "standard input"},
        {"--add-generation-prompt", ARG_FLAG, &r.add_prompt, false,
         "end with what opens an assistant turn"},
        {"--continue-final-message", ARG_FLAG, &r.continue_final, false,
         "stop inside the last message, right after its content"},
        {"--mask-assistant", ARG_FLAG, &r.mask, false,
         "give what training with assistant_only_loss counts, as \"assistant\": [texts]"},
        {"--output", ARG_TEXT, &output, false, "JSON lines of {\"text\"}; default standard output"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone chat-template",
                               .summary = "Conversations as the model's chat template writes them.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    if (r.add_prompt && r.continue_final) {
        return status_fail(ERR_CONFIG, "--add-generation-prompt opens a turn that "
                                       "--continue-final-message never comes to: give one of them");
    }
    Tokenizer *tok = NULL;
    RowSink *out = NULL;
    Status st = OK;
    TRY_GOTO(tool_tokenizer_open(&tok, &r.tpl, model), st, out);
    if (!r.tpl) {
        st = status_fail(ERR_DATA,
                         "%s: has no chat template (chat_template.jinja or tokenizer_config.json)",
                         model);
        goto out;
    }
    TRY_GOTO(row_sink_open(&out, output), st, out);
    TRY_GOTO(rows_each(data, NULL, render_row, &r, out), st, out);
    st = row_sink_commit(out);
out:
    row_sink_close(out);
    template_close(r.tpl);
    tokenizer_close(tok);
    return st;
}
