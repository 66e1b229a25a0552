/* Instruction sets: one exchange a row, made into prompt and completion by the set's own template.
 */
#include "data/formats/format.h"

#include "core/str.h"

static bool is_text(const RowView *v, const char *name) {
    return json_is(row_get(v, name), JSON_KIND_STRING);
}

static Status set_prompt(const RowView *v, Record *r, Str *text) {
    r->shape = RECORD_COMPLETION;
    if (v->source->prompt_template) {
        str_free(text);
        return format_prompt(v, r, "prompt", &r->prompt);
    }
    r->prompt = record_text(r, text);
    str_free(text);
    return OK;
}

/* ---- alpaca ---- */

/* Byte for byte the two templates of stanford_alpaca's training code. */
static void alpaca_template(Str *out, const Part *instruction, const Part *input) {
    str_append(out, "Below is an instruction that describes a task");
    str_append(out, input->n > 0 ? ", paired with an input that provides further context. " : ". ");
    str_append(out, "Write a response that appropriately completes the request.\n\n"
                    "### Instruction:\n");
    str_append_n(out, instruction->text, instruction->n);
    if (input->n > 0) {
        str_append(out, "\n\n### Input:\n");
        str_append_n(out, input->text, input->n);
    }
    str_append(out, "\n\n### Response:");
}

Status alpaca_prompt(const RowView *v, Record *r, Part *out) {
    if (v->source->prompt_template) return format_prompt(v, r, "prompt", out);
    Part instruction, input, system;
    TRY(row_text(v, "instruction", &instruction));
    TRY(row_text_or_empty(v, "input", &input));
    TRY(row_text_or_empty(v, "system", &system));
    if (system.n > 0 || json_len(row_get(v, "history")) > 0)
        return row_fail(v, system.n > 0 ? "system" : "history",
                        "Alpaca's template has no place for `system` and `history`; write such "
                        "rows as `messages`, or give a `prompt_template`");
    Str text = {0};
    alpaca_template(&text, &instruction, &input);
    *out = record_text(r, &text);
    str_free(&text);
    return OK;
}

bool alpaca_matches(const RowView *v) {
    return is_text(v, "instruction") && format_has_completion(v, "output");
}

Status alpaca_read(const RowView *v, Record *r) {
    r->shape = RECORD_COMPLETION;
    TRY(alpaca_prompt(v, r, &r->prompt));
    if (v->source->completion_template) return format_completion(v, r, "output", &r->chosen);
    return row_text(v, "output", &r->chosen);
}

/* ---- dolly: databricks' wording of the same ---- */

bool dolly_matches(const RowView *v) {
    return is_text(v, "instruction") && format_has_completion(v, "response");
}

Status dolly_read(const RowView *v, Record *r) {
    Part instruction, context;
    TRY(row_text(v, "instruction", &instruction));
    TRY(row_text_or_empty(v, "context", &context));
    Str text = {0};
    str_append(&text, "Below is an instruction that describes a task. Write a response that "
                      "appropriately completes the request.\n\n### Instruction:\n");
    str_append_n(&text, instruction.text, instruction.n);
    if (context.n > 0) {
        str_append(&text, "\n\nInput:\n");
        str_append_n(&text, context.text, context.n);
    }
    str_append(&text, "\n\n### Response:\n");
    TRY(set_prompt(v, r, &text));
    return format_completion(v, r, "response", &r->chosen);
}

/* ---- p3 and flan: the prompt is there already ---- */

bool p3_matches(const RowView *v) {
    return is_text(v, "inputs_pretokenized") && is_text(v, "targets_pretokenized");
}

/* Targets keep stray blanks around them in P3. */
static void strip(Part *p) {
    while (p->n > 0 && (p->text[0] == ' ' || p->text[0] == '\n')) p->text++, p->n--;
    while (p->n > 0 && (p->text[p->n - 1] == ' ' || p->text[p->n - 1] == '\n')) p->n--;
}

Status p3_read(const RowView *v, Record *r) {
    r->shape = RECORD_COMPLETION;
    TRY(format_prompt(v, r, "inputs_pretokenized", &r->prompt));
    TRY(row_text(v, "targets_pretokenized", &r->chosen));
    strip(&r->chosen);
    return OK;
}

bool flan_matches(const RowView *v) {
    return is_text(v, "inputs") && is_text(v, "targets");
}

Status flan_read(const RowView *v, Record *r) {
    r->shape = RECORD_COMPLETION;
    TRY(format_prompt(v, r, "inputs", &r->prompt));
    return row_text(v, "targets", &r->chosen);
}

/* ---- natural instructions: the task's definition stands in the file's head ---- */

/* A string, or the first of a list of strings (paraphrases, acceptable answers). */
static bool first_text(const Json *value, Part *out) {
    if (json_is(value, JSON_KIND_ARRAY)) value = json_at(value, 0);
    if (!json_is(value, JSON_KIND_STRING)) return false;
    out->text = json_str(value, &out->n);
    return true;
}

bool natural_instructions_matches(const RowView *v) {
    return json_get(container_head(v->container), "Definition") && is_text(v, "input");
}

Status natural_instructions_read(const RowView *v, Record *r) {
    Part definition, input;
    if (!first_text(json_get(container_head(v->container), "Definition"), &definition))
        return row_fail(v, NULL, "the file around this row has no `Definition`");
    TRY(row_text(v, "input", &input));
    if (!first_text(row_get(v, "output"), &r->chosen))
        return row_fail(v, "output", "`output` must be a string or a list of strings");
    Str text = {0}; /* Tk-Instruct's wording, without examples */
    str_append(&text, "Definition: ");
    str_append_n(&text, definition.text, definition.n);
    str_append(&text, "\n\nNow complete the following example -\nInput: ");
    str_append_n(&text, input.text, input.n);
    str_append(&text, "\nOutput: ");
    return set_prompt(v, r, &text);
}
