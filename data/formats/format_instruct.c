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

static void alpaca_turn(Str *out, const Part *instruction, const Part *input) {
    str_append(out, "### Instruction:\n");
    str_append_n(out, instruction->text, instruction->n);
    if (input->n > 0) {
        str_append(out, "\n\n### Input:\n");
        str_append_n(out, input->text, input->n);
    }
    str_append(out, "\n\n### Response:");
}

/* One text of the turn `pair`, [user, assistant]. */
static Status history_text(const RowView *v, const Json *pair, int64_t turn, int side, Part *out) {
    const Json *text = json_at(pair, side);
    if (json_len(pair) != 2 || !json_is(text, JSON_KIND_STRING))
        return row_fail(v, "history", "`%s[%lld]` must be [user, assistant], two strings",
                        row_column(v, "history"), (long long)turn);
    out->text = json_str(text, &out->n);
    return OK;
}

/* LLaMA-Factory's column: what was said before, [[user, assistant], ...]. */
static Status alpaca_history(const RowView *v, Str *out) {
    static const Part none = {.text = ""};
    const Json *history = row_get(v, "history");
    if (history && !json_is(history, JSON_KIND_ARRAY))
        return row_fail(v, "history", "`%s` must be a list of turns, not %s",
                        row_column(v, "history"), json_kind_name(json_kind(history)));
    for (int64_t i = 0; i < json_len(history); i++) {
        Part user, assistant;
        TRY(history_text(v, json_at(history, i), i, 0, &user));
        TRY(history_text(v, json_at(history, i), i, 1, &assistant));
        alpaca_turn(out, &user, &none);
        str_append_n(out, assistant.text, assistant.n);
        str_append(out, "\n\n");
    }
    return OK;
}

/* Without `system` and `history` byte for byte the two templates of stanford_alpaca's training
 * code. `system` stands in the place of their first lines; turns of `history` come before the
 * instruction, in the same wording. */
static Status alpaca_text(const RowView *v, Str *out) {
    Part instruction, input, system;
    TRY(row_text(v, "instruction", &instruction));
    TRY(row_text_or_empty(v, "input", &input));
    TRY(row_text_or_empty(v, "system", &system));
    if (system.n > 0) {
        str_append_n(out, system.text, system.n);
        str_append(out, "\n\n");
    } else {
        str_append(out, "Below is an instruction that describes a task");
        str_append(out,
                   input.n > 0 ? ", paired with an input that provides further context. " : ". ");
        str_append(out, "Write a response that appropriately completes the request.\n\n");
    }
    TRY(alpaca_history(v, out));
    alpaca_turn(out, &instruction, &input);
    return OK;
}

Status alpaca_prompt(const RowView *v, Record *r, Part *out) {
    if (v->source->prompt_template) return format_prompt(v, r, "prompt", out);
    Str text = {0};
    Status st = alpaca_text(v, &text);
    if (st == OK) *out = record_text(r, &text);
    str_free(&text);
    return st;
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
