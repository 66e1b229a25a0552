/* TRL's own formats: text, prompt, prompt_completion, messages, and rows of token ids. */
#include "data/formats/format.h"

static bool is_list(const RowView *v, const char *name) {
    return json_is(row_get(v, name), JSON_KIND_ARRAY);
}

/* What a template may be given beside the messages. */
static Status read_extras(const RowView *v, Record *r) {
    r->tools = row_get(v, "tools");
    if (r->tools && !json_is(r->tools, JSON_KIND_ARRAY) && !json_is(r->tools, JSON_KIND_STRING))
        return row_fail(v, "tools", "`tools` must be a list, or a string that holds one");
    r->variables = row_get(v, "chat_template_kwargs");
    if (r->variables && !json_is(r->variables, JSON_KIND_OBJECT))
        return row_fail(v, "chat_template_kwargs", "`chat_template_kwargs` must be an object");
    return OK;
}

/* ---- text ---- */

bool text_matches(const RowView *v) {
    return json_is(row_get(v, v->text_field), JSON_KIND_STRING);
}

Status text_read(const RowView *v, Record *r) {
    r->shape = RECORD_TEXT;
    if (v->source->prompt_template) return format_prompt(v, r, v->text_field, &r->body);
    return row_text(v, v->text_field, &r->body);
}

/* ---- prompt ---- */

bool prompt_matches(const RowView *v) {
    return format_has_prompt(v, "prompt");
}

Status prompt_read(const RowView *v, Record *r) {
    r->shape = RECORD_PROMPT;
    TRY(read_extras(v, r));
    return format_prompt(v, r, "prompt", &r->prompt);
}

/* ---- prompt_completion ---- */

static const char *completion_name(const RowView *v) {
    return row_has(v, "completion") || !row_has(v, "response") ? "completion" : "response";
}

bool prompt_completion_matches(const RowView *v) {
    return format_has_prompt(v, "prompt") && format_has_completion(v, completion_name(v));
}

Status prompt_completion_read(const RowView *v, Record *r) {
    r->shape = RECORD_COMPLETION;
    TRY(read_extras(v, r));
    TRY(format_prompt(v, r, "prompt", &r->prompt));
    TRY(format_completion(v, r, completion_name(v), &r->chosen));
    if (!r->prompt.text != !r->chosen.text)
        return row_fail(v, "prompt",
                        "`prompt` and `completion` must both be strings or both be "
                        "lists of messages");
    return OK;
}

/* ---- messages ---- */

static const char *messages_name(const RowView *v) {
    return row_has(v, "messages") || !row_has(v, "conversations") ? "messages" : "conversations";
}

bool messages_matches(const RowView *v) {
    return is_list(v, messages_name(v));
}

Status messages_read(const RowView *v, Record *r) {
    r->shape = RECORD_TEXT;
    TRY(read_extras(v, r));
    return row_messages(v, r, messages_name(v), &r->body);
}

/* ---- tokenized ---- */

/* TRL's names, and its older ones. */
static const char *pair_ids_name(const RowView *v, const char *now, const char *older) {
    return row_has(v, now) || !row_has(v, older) ? now : older;
}

bool tokenized_matches(const RowView *v) {
    return is_list(v, "input_ids") || is_list(v, "chosen_ids") || is_list(v, "chosen_input_ids");
}

static Status want_ids(const RowView *v, const char *name, const Json **out) {
    TRY(row_ids(v, name, out));
    if (!*out) return row_fail(v, NULL, "`%s` is missing; each row needs it", row_column(v, name));
    return OK;
}

static Status read_mask(const RowView *v, const char *name, const Json *ids, const Json **out) {
    TRY(row_ids(v, name, out));
    if (*out && json_len(*out) != json_len(ids))
        return row_fail(v, name, "`%s` has %lld entries, `input_ids` %lld; they must be as many",
                        row_column(v, name), (long long)json_len(*out), (long long)json_len(ids));
    return OK;
}

Status tokenized_read(const RowView *v, Record *r) {
    const char *chosen = pair_ids_name(v, "chosen_ids", "chosen_input_ids");
    if (row_has(v, chosen)) {
        r->shape = RECORD_ID_PAIR;
        TRY(want_ids(v, chosen, &r->chosen_ids));
        TRY(want_ids(v, pair_ids_name(v, "rejected_ids", "rejected_input_ids"), &r->rejected_ids));
        const Json *margin = row_get(v, "margin");
        r->has_margin = json_is_num(margin);
        if (r->has_margin) r->margin = json_num(margin);
        return OK;
    }
    r->shape = RECORD_IDS;
    TRY(want_ids(v, "input_ids", &r->ids));
    TRY(read_mask(v, "labels", r->ids, &r->labels));
    TRY(read_mask(v, "completion_mask", r->ids, &r->completion_mask));
    return read_mask(v, "assistant_masks", r->ids, &r->assistant_masks);
}
