#include "data/encode.h"

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rows.h"
#include "data/formats/format.h"
#include "data/template.h"

#include <string.h>

#define LABEL_IGNORED (-100) /* torch's ignore_index, in files */

Status encoder_init(Encoder *e, const DatasetOptions *o) {
    const Tokenizer *t = o->tokenizer;
    *e = (Encoder){.options = o};
    if (o->eos_token && tokenizer_id(t, o->eos_token) == TOKEN_NONE)
        return status_fail(ERR_CONFIG, "`eos_token` \"%s\" is not in the tokenizer's vocabulary",
                           o->eos_token);
    if (!o->append_eos || o->kind == DATASET_PROMPT) return OK;
    e->eos = o->eos_token;
    if (!e->eos && tokenizer_eos(t) != TOKEN_NONE) e->eos = tokenizer_token(t, tokenizer_eos(t));
    if (!e->eos)
        log_warn("the tokenizer has no end-of-sequence token, so rows end without one and the "
                 "model will not learn to stop; `eos_token` names one");
    return OK;
}

void encoded_free(Encoded *x) {
    token_ids_free(&x->ids);
    token_ids_free(&x->rejected);
    mem_free(x->labels);
    str_free(&x->prompt);
    *x = (Encoded){0};
}

/* ---- texts and conversations to ids ---- */

/* A row in work: what every step below needs. */
typedef struct Work {
    const Encoder *e;
    const RowView *v;
    const Record *r;
} Work;

/* Messages of the tokenizer and the template know no file: put the row's place before them. */
static Status place(const Work *w, Status st) {
    if (st != ERR_DATA) return st;
    return row_fail(w->v, NULL, "%s", status_message());
}

/* The text a, then b, then EOS where it is asked for and b does not end with it. */
static Status text_ids(const Work *w, TokenIds *ids, const Part *a, const Part *b, bool with_eos) {
    static const Part none = {.text = ""};
    if (!a) a = &none;
    if (!b) b = &none;
    const char *eos = w->e->eos;
    size_t n = eos ? strlen(eos) : 0;
    Str text = {0};
    str_append_n(&text, a->text, a->n);
    str_append_n(&text, b->text, b->n);
    if (with_eos && eos && !(b->n >= n && memcmp(b->text + b->n - n, eos, n) == 0))
        str_append(&text, eos);
    Status st = tokenizer_encode(w->e->options->tokenizer, ids, str_text(&text), text.len,
                                 TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL);
    str_free(&text);
    return place(w, st);
}

/* The messages a, then b, as one list of the caller's. */
static Json *join_messages(const Json *a, const Json *b) {
    Json *all = json_clone(a);
    for (int64_t i = 0; i < json_len(b); i++) json_push(all, json_clone(json_at(b, i)));
    return all;
}

/* `tools` may be a string that holds the list. *made is the caller's to free. */
static Status read_tools(const Work *w, const Json **out, Json **made) {
    *out = w->r->tools;
    *made = NULL;
    if (!json_is(*out, JSON_KIND_STRING)) return OK;
    size_t n;
    const char *text = json_str(*out, &n);
    Status st = n == 0 ? OK : json_parse(made, text, n, "tools", 1);
    *out = *made;
    return st == OK ? OK : row_fail(w->v, "tools", "`tools` is no JSON: %s", status_message());
}

typedef enum TurnEnd { TURN_CLOSED, TURN_OPEN } TurnEnd; /* open: the model is to go on */

static bool ends_with_assistant(const Json *messages) {
    const Json *role = json_get(json_at(messages, json_len(messages) - 1), "role");
    return json_is(role, JSON_KIND_STRING) && strcmp(json_str(role, NULL), "assistant") == 0;
}

/* Renders the messages a, then b (b may be NULL). */
static Status render(const Work *w, TemplateText *out, const Json *a, const Json *b, TurnEnd end,
                     bool mask) {
    const DatasetOptions *o = w->e->options;
    if (!o->chat_template)
        return status_fail(ERR_CONFIG,
                           "%s holds conversations, but there is no chat template: the tokenizer "
                           "has none; give one by `chat_template_path`",
                           container_path(w->v->container));
    Json *joined = b ? join_messages(a, b) : NULL, *made = NULL;
    const Json *tools;
    bool go_on = end == TURN_OPEN && ends_with_assistant(b ? b : a);
    Status st = read_tools(w, &tools, &made);
    TemplateInput in = {.messages = joined ? joined : a,
                        .tools = tools,
                        .variables = w->r->variables,
                        .add_generation_prompt = end == TURN_OPEN && !go_on,
                        .continue_final_message = go_on,
                        .mask_assistant = mask};
    if (st == OK) st = place(w, template_render(o->chat_template, out, &in));
    for (size_t i = 0; st == OK && o->parse_special && i < out->n_segments; i++)
        out->segments[i].flags |= SEGMENT_SPECIAL;
    json_free(joined);
    json_free(made);
    return st;
}

/* The same as ids; `prompt` (or NULL) gets the text. */
static Status chat_ids(const Work *w, TokenIds *ids, const Json *a, const Json *b, TurnEnd end,
                       bool mask, Str *prompt) {
    TemplateText text = {0};
    Status st = render(w, &text, a, b, end, mask);
    ids->want_mask = mask;
    if (st == OK)
        st = place(w, tokenizer_encode_segments(w->e->options->tokenizer, ids, text.segments,
                                                text.n_segments, 0));
    if (st == OK && prompt) str_append_n(prompt, text.text, text.n);
    template_text_free(&text);
    return st;
}

static Status list_ids(const Work *w, TokenIds *ids, const Json *list, const char *name) {
    int32_t vocab = tokenizer_vocab_size(w->e->options->tokenizer);
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *x = json_at(list, i);
        int64_t id = json_is(x, JSON_KIND_INT) ? json_int(x) : -1;
        if (id < 0 || id >= vocab)
            return row_fail(
                w->v, name, "`%s[%lld]` is %s%lld; token ids go from 0 to %d", name, (long long)i,
                json_is(x, JSON_KIND_INT) ? "" : "no number: ", (long long)id, (int)vocab - 1);
        token_ids_push(ids, (int32_t)id, false);
    }
    return OK;
}

/* ---- SFT ---- */

/* Labels: the id itself in rows first_labelled and after, where the assistant's mask (if any) is 1.
 */
static void label(Encoded *out, size_t first_labelled, bool assistant_only) {
    out->labels = mem_alloc((out->ids.n + 1) * sizeof *out->labels);
    for (size_t i = 0; i < out->ids.n; i++) {
        bool learnt = i >= first_labelled && (!assistant_only || out->ids.mask[i]);
        out->labels[i] = learnt ? out->ids.id[i] : ROWS_NO_TARGET;
    }
}

static Status check_assistant_mask(const Work *w, const Encoded *out) {
    for (size_t i = 0; i < out->ids.n; i++)
        if (out->ids.mask && out->ids.mask[i]) return OK;
    return row_fail(w->v, NULL,
                    "`assistant_only_loss` finds no token of an assistant in this row; "
                    "it has no such turn, or the template does not mark it");
}

static Status want_conversation(const Work *w) {
    return status_fail(ERR_CONFIG,
                       "`assistant_only_loss` needs conversations, but the rows of %s are plain "
                       "text",
                       container_path(w->v->container));
}

static Status want_completions(const Work *w) {
    return status_fail(ERR_CONFIG,
                       "`completion_only_loss: true` needs rows with a prompt and a completion; "
                       "those of %s have none",
                       container_path(w->v->container));
}

static Status want_pairs(const Work *w) {
    return status_fail(ERR_CONFIG,
                       "an encoder-decoder needs rows of texts, a prompt and a completion; those "
                       "of %s are others",
                       container_path(w->v->container));
}

/* One side of an encoder-decoder's row: its text alone, EOS at the end, cut to max_length before.
 */
static Status side_ids(const Work *w, Encoded *out, const Part *part) {
    const DatasetOptions *o = w->e->options;
    int32_t eos = tokenizer_eos(o->tokenizer);
    if (o->eos_token) eos = tokenizer_id(o->tokenizer, o->eos_token);
    TokenIds side = {0};
    Status st = text_ids(w, &side, part, NULL, false);
    if (eos != TOKEN_NONE && side.n > 0 && side.id[side.n - 1] == eos) side.n--;
    size_t most = o->max_length > 0 ? (size_t)o->max_length - (eos != TOKEN_NONE) : SIZE_MAX;
    size_t first = side.n > most && o->truncation_keep_end ? side.n - most : 0;
    size_t end = side.n > most ? first + most : side.n;
    out->truncated |= side.n > most;
    for (size_t i = first; i < end && st == OK; i++) token_ids_push(&out->ids, side.id[i], false);
    if (eos != TOKEN_NONE && st == OK) token_ids_push(&out->ids, eos, false);
    token_ids_free(&side);
    return st;
}

/* The prompt's tokens, then the completion's, which alone have labels. */
static Status source_and_target(const Work *w, Encoded *out, const Part *prompt,
                                const Part *completion) {
    if (prompt->messages || completion->messages) return want_pairs(w);
    TRY(side_ids(w, out, prompt));
    size_t n_source = out->ids.n;
    TRY(side_ids(w, out, completion));
    label(out, n_source, false);
    if (n_source == 0) out->ids.n = 0; /* nothing to encode: dropped as empty */
    return OK;
}

static Status sft_body(const Work *w, Encoded *out, const Part *body) {
    const DatasetOptions *o = w->e->options;
    if (o->encoder_decoder) return want_pairs(w);
    if (o->completion_only_loss == DATASET_TRUE) return want_completions(w);
    if (body->messages) {
        TRY(chat_ids(w, &out->ids, body->messages, NULL, TURN_CLOSED, o->assistant_only_loss,
                     NULL));
        if (o->assistant_only_loss) TRY(check_assistant_mask(w, out));
    } else {
        if (o->assistant_only_loss) return want_conversation(w);
        TRY(text_ids(w, &out->ids, NULL, body, true));
    }
    label(out, 0, o->assistant_only_loss);
    return OK;
}

/* The completion begins after as many tokens as the prompt alone has. */
static Status sft_completion(const Work *w, Encoded *out, const Part *prompt,
                             const Part *completion) {
    const DatasetOptions *o = w->e->options;
    if (o->encoder_decoder) return source_and_target(w, out, prompt, completion);
    TokenIds alone = {0};
    Status st;
    if (prompt->messages) {
        TRY_GOTO(chat_ids(w, &alone, prompt->messages, NULL, TURN_OPEN, false, NULL), st, out);
        TRY_GOTO(chat_ids(w, &out->ids, prompt->messages, completion->messages, TURN_CLOSED,
                          o->assistant_only_loss, NULL),
                 st, out);
        if (o->assistant_only_loss) TRY_GOTO(check_assistant_mask(w, out), st, out);
    } else {
        if (o->assistant_only_loss) {
            st = want_conversation(w);
            goto out;
        }
        TRY_GOTO(text_ids(w, &alone, prompt, NULL, false), st, out);
        TRY_GOTO(text_ids(w, &out->ids, prompt, completion, true), st, out);
    }
    out->prefix_mismatch =
        alone.n > out->ids.n ||
        (alone.n > 0 && memcmp(alone.id, out->ids.id, alone.n * sizeof *alone.id) != 0);
    label(out, o->completion_only_loss == DATASET_FALSE ? 0 : alone.n, o->assistant_only_loss);
out:
    token_ids_free(&alone);
    return st;
}

static bool mask_at(const Json *mask, int64_t i) {
    const Json *x = json_at(mask, i);
    return !mask || (json_is(x, JSON_KIND_BOOL) ? json_bool(x) : json_int(x) != 0);
}

/* Labels of the file are taken as they are; else the masks of the file make them. */
static Status sft_ids(const Work *w, Encoded *out) {
    const DatasetOptions *o = w->e->options;
    const Record *r = w->r;
    if (o->encoder_decoder) return want_pairs(w);
    if (o->completion_only_loss == DATASET_TRUE && !r->completion_mask && !r->labels)
        return want_completions(w);
    if (o->assistant_only_loss && !r->assistant_masks && !r->labels) return want_conversation(w);
    TRY(list_ids(w, &out->ids, r->ids, "input_ids"));
    const Json *completion = o->completion_only_loss == DATASET_FALSE ? NULL : r->completion_mask;
    out->labels = mem_alloc((out->ids.n + 1) * sizeof *out->labels);
    for (size_t i = 0; i < out->ids.n; i++) {
        int64_t at = (int64_t)i, value = out->ids.id[i];
        if (r->labels) {
            const Json *x = json_at(r->labels, at);
            value = json_is(x, JSON_KIND_INT) ? json_int(x) : -1;
            if (value >= tokenizer_vocab_size(o->tokenizer) ||
                (value < 0 && value != LABEL_IGNORED))
                return row_fail(w->v, "labels", "`labels[%zu]` is no token id and not -100", i);
        } else if (!mask_at(completion, at) || !mask_at(r->assistant_masks, at)) {
            value = LABEL_IGNORED;
        }
        out->labels[i] = value == LABEL_IGNORED ? ROWS_NO_TARGET : (int32_t)value;
    }
    return OK;
}

/* Cuts to max_length, then drops what has nothing left to learn; packing does its own cutting. */
static void sft_finish(Encoded *out, const DatasetOptions *o) {
    size_t most = (size_t)o->max_length;
    if (!o->packing && !o->encoder_decoder && most > 0 && out->ids.n > most) {
        if (o->truncation_keep_end) {
            size_t skip = out->ids.n - most;
            memmove(out->ids.id, out->ids.id + skip, most * sizeof *out->ids.id);
            memmove(out->labels, out->labels + skip, most * sizeof *out->labels);
        }
        out->ids.n = most;
        out->truncated = true;
    }
    out->fate = out->ids.n == 0 ? ENCODE_EMPTY : ENCODE_NO_LABEL;
    for (size_t i = 0; i < out->ids.n; i++)
        if (out->labels[i] != ROWS_NO_TARGET || o->packing) out->fate = ENCODE_KEEP;
}

static Status encode_sft(const Work *w, Encoded *out) {
    const Record *r = w->r;
    switch (r->shape) {
    case RECORD_TEXT:
        TRY(sft_body(w, out, &r->body));
        break;
    case RECORD_COMPLETION:
        TRY(sft_completion(w, out, &r->prompt, &r->chosen));
        break;
    case RECORD_PAIR: /* the better answer is the one to imitate */
        if (part_is_set(&r->prompt))
            TRY(sft_completion(w, out, &r->prompt, &r->chosen));
        else
            TRY(sft_body(w, out, &r->chosen));
        break;
    case RECORD_IDS:
        TRY(sft_ids(w, out));
        break;
    case RECORD_PROMPT:
        return row_fail(w->v, "prompt",
                        "a prompt alone has nothing to imitate; supervised "
                        "fine-tuning needs `completion`, `text` or `messages`");
    case RECORD_ID_PAIR:
        return row_fail(w->v, NULL,
                        "pairs of token ids are for reward models; supervised "
                        "fine-tuning needs `input_ids`");
    default:
        FAIL("record shape %d", (int)r->shape);
    }
    sft_finish(out, w->e->options);
    return OK;
}

/* ---- preference ---- */

static Status pair_side(const Work *w, TokenIds *ids, const Part *answer) {
    const Part *prompt = &w->r->prompt;
    if (answer->messages && prompt->messages)
        return chat_ids(w, ids, prompt->messages, answer->messages, TURN_CLOSED, false, NULL);
    if (answer->messages) return chat_ids(w, ids, answer->messages, NULL, TURN_CLOSED, false, NULL);
    return text_ids(w, ids, part_is_set(prompt) ? prompt : NULL, answer, true);
}

static Status encode_pair(const Work *w, Encoded *out) {
    const Record *r = w->r;
    if (r->shape == RECORD_PAIR) {
        TRY(pair_side(w, &out->ids, &r->chosen));
        TRY(pair_side(w, &out->rejected, &r->rejected));
    } else if (r->shape == RECORD_ID_PAIR) {
        TRY(list_ids(w, &out->ids, r->chosen_ids, "chosen_ids"));
        TRY(list_ids(w, &out->rejected, r->rejected_ids, "rejected_ids"));
    } else {
        return row_fail(w->v, NULL,
                        "a reward model learns from pairs; each row needs `chosen` and "
                        "`rejected`");
    }
    size_t n = out->ids.n, m = out->rejected.n, most = (size_t)w->e->options->max_length;
    out->margin = r->margin;
    out->has_margin = r->has_margin;
    if (n == 0 || m == 0)
        out->fate = ENCODE_EMPTY;
    else if (n == m && memcmp(out->ids.id, out->rejected.id, n * sizeof *out->ids.id) == 0)
        out->fate = ENCODE_IDENTICAL;
    else if (most > 0 && (n > most || m > most))
        out->fate = ENCODE_OVER_LONG;
    return OK;
}

/* ---- prompts ---- */

static Status prompt_messages(const Work *w, Encoded *out, const Json *messages, bool drop_answer) {
    if (!drop_answer || !ends_with_assistant(messages))
        return chat_ids(w, &out->ids, messages, NULL, TURN_OPEN, false, &out->prompt);
    Json *asked = json_new_array();
    for (int64_t i = 0; i + 1 < json_len(messages); i++)
        json_push(asked, json_clone(json_at(messages, i)));
    Status st = json_len(asked) == 0
                    ? row_fail(w->v, NULL, "the conversation has no turn before the assistant's")
                    : chat_ids(w, &out->ids, asked, NULL, TURN_OPEN, false, &out->prompt);
    json_free(asked);
    return st;
}

static Status prompt_part(const Work *w, Encoded *out, const Part *part, bool drop_answer) {
    if (part->messages) return prompt_messages(w, out, part->messages, drop_answer);
    str_append_n(&out->prompt, part->text, part->n);
    return text_ids(w, &out->ids, part, NULL, false);
}

static Status encode_prompt(const Work *w, Encoded *out, Record *r) {
    const DatasetOptions *o = w->e->options;
    switch (r->shape) {
    case RECORD_PROMPT:
    case RECORD_COMPLETION:
        TRY(prompt_part(w, out, &r->prompt, false));
        break;
    case RECORD_PAIR:
        if (!part_is_set(&r->prompt)) pair_extract_prompt(r);
        TRY(prompt_part(w, out, &r->prompt, false));
        break;
    case RECORD_TEXT:
        TRY(prompt_part(w, out, &r->body, true));
        break;
    case RECORD_IDS:
        TRY(list_ids(w, &out->ids, r->ids, "input_ids"));
        TRY(place(w, tokenizer_decode(o->tokenizer, &out->prompt, out->ids.id, out->ids.n, 0)));
        break;
    case RECORD_ID_PAIR:
        return row_fail(w->v, NULL,
                        "pairs of token ids hold no prompt; each row needs `prompt` or "
                        "`input_ids`");
    default:
        FAIL("record shape %d", (int)r->shape);
    }
    if (out->ids.n == 0)
        out->fate = ENCODE_EMPTY;
    else if (o->max_length > 0 && out->ids.n > (size_t)o->max_length)
        out->fate = ENCODE_OVER_LONG;
    return OK;
}

Status encode_record(Encoded *out, const Encoder *e, const RowView *v, Record *r) {
    Work w = {e, v, r};
    if (r->shape == RECORD_NOTHING) {
        out->fate = ENCODE_EMPTY;
        return OK;
    }
    switch (e->options->kind) {
    case DATASET_SFT:
        return encode_sft(&w, out);
    case DATASET_PREFERENCE:
        return encode_pair(&w, out);
    case DATASET_PROMPT:
        return encode_prompt(&w, out, r);
    }
    FAIL("data set kind %d", (int)e->options->kind);
}
