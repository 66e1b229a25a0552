/* Preference sets: two answers, the better one first. */
#include "data/formats/format.h"

#include <math.h>
#include <string.h>

static const char turn_human[] = "\n\nHuman:";
static const char turn_assistant[] = "\n\nAssistant:";

static Status read_margin(const RowView *v, Record *r) {
    const Json *margin = row_get(v, "margin");
    if (!margin) return OK;
    if (!json_is_num(margin) || !isfinite(json_num(margin)))
        return row_fail(v, "margin", "`margin` must be a number, not %s",
                        json_kind_name(json_kind(margin)));
    r->margin = json_num(margin);
    r->has_margin = true;
    return OK;
}

/* ---- preference ---- */

bool preference_matches(const RowView *v) {
    return row_has(v, "chosen") && row_has(v, "rejected");
}

/* Does the conversation begin with what the prompt says? UltraFeedback repeats it there. */
static bool begins_with_prompt(const Part *answer, const Part *prompt) {
    const Json *first = json_at(answer->messages, 0), *content = json_get(first, "content");
    size_t n;
    if (json_len(answer->messages) < 2 || !json_is(content, JSON_KIND_STRING)) return false;
    const char *text = json_str(content, &n);
    return n == prompt->n && memcmp(text, prompt->text, n) == 0;
}

/* A prompt that is a string before answers that are messages. */
static void align_prompt(Record *r) {
    if (!r->prompt.text || !r->chosen.messages) return;
    if (begins_with_prompt(&r->chosen, &r->prompt)) {
        r->prompt = (Part){0};
        return;
    }
    Json *message = json_new_object();
    json_set(message, "role", json_new_str("user"));
    json_set(message, "content", json_new_str_n(r->prompt.text, r->prompt.n));
    Json *list = record_keep(r, json_new_array());
    json_push(list, message);
    r->prompt = (Part){.messages = list};
}

static Status read_pair_prompt(const RowView *v, Record *r) {
    if (format_has_prompt(v, "prompt")) return format_prompt(v, r, "prompt", &r->prompt);
    if (row_has(v, "conversations") && r->chosen.messages)
        return row_messages(v, r, "conversations", &r->prompt);
    if (row_has(v, "instruction") && r->chosen.text) return alpaca_prompt(v, r, &r->prompt);
    return OK;
}

Status preference_read(const RowView *v, Record *r) {
    r->shape = RECORD_PAIR;
    TRY(row_part(v, r, "chosen", &r->chosen));
    TRY(row_part(v, r, "rejected", &r->rejected));
    if (!r->chosen.text != !r->rejected.text)
        return row_fail(v, "rejected",
                        "`chosen` and `rejected` must both be strings or both be "
                        "lists of messages");
    TRY(read_margin(v, r));
    TRY(read_pair_prompt(v, r));
    align_prompt(r);
    if (r->prompt.messages && r->chosen.text)
        return row_fail(v, "prompt",
                        "`prompt` is a conversation, but `chosen` is a string; make "
                        "all of them lists of messages");
    r->tools = row_get(v, "tools");
    return OK;
}

/* ---- the common prefix of two answers ---- */

static void extract_messages(Record *r) {
    const Json *a = r->chosen.messages, *b = r->rejected.messages;
    int64_t n = 0, most = json_len(a) < json_len(b) ? json_len(a) : json_len(b);
    Str x = {0}, y = {0};
    for (; n < most; n++) {
        str_clear(&x), str_clear(&y);
        json_dump(&x, json_at(a, n), 0);
        json_dump(&y, json_at(b, n), 0);
        if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0) break;
    }
    str_free(&x);
    str_free(&y);
    Json *lists[3];
    for (int i = 0; i < 3; i++) lists[i] = record_keep(r, json_new_array());
    for (int64_t i = 0; i < json_len(a); i++)
        json_push(lists[i < n ? 0 : 1], json_clone(json_at(a, i)));
    for (int64_t i = n; i < json_len(b); i++) json_push(lists[2], json_clone(json_at(b, i)));
    r->prompt = (Part){.messages = lists[0]};
    r->chosen = (Part){.messages = lists[1]};
    r->rejected = (Part){.messages = lists[2]};
}

static void cut_front(Part *p, size_t n) {
    p->text += n;
    p->n -= n;
}

void pair_extract_prompt(Record *r) {
    if (r->chosen.messages) {
        extract_messages(r);
        return;
    }
    const char *a = r->chosen.text, *b = r->rejected.text;
    size_t n = 0, most = r->chosen.n < r->rejected.n ? r->chosen.n : r->rejected.n;
    while (n < most && a[n] == b[n]) n++;
    while (n > 0 && n < r->chosen.n && ((unsigned char)a[n] & 0xC0) == 0x80)
        n--; /* whole characters */
    if (n > 0 && a[n - 1] == ' ') n--;
    r->prompt = (Part){.text = a, .n = n};
    cut_front(&r->chosen, n);
    cut_front(&r->rejected, n);
}

/* ---- hh_rlhf ---- */

static bool starts_with(const Part *p, const char *word) {
    return p->n >= strlen(word) && memcmp(p->text, word, strlen(word)) == 0;
}

bool hh_rlhf_matches(const RowView *v) {
    Part chosen = {0};
    const Json *value = row_get(v, "chosen");
    if (row_has(v, "prompt") || !json_is(value, JSON_KIND_STRING) ||
        !json_is(row_get(v, "rejected"), JSON_KIND_STRING))
        return false;
    chosen.text = json_str(value, &chosen.n);
    return starts_with(&chosen, turn_human);
}

/* The end of the last assistant mark inside text[0..n), 0 when there is none. */
static size_t last_mark(const char *text, size_t n) {
    size_t m = sizeof turn_assistant - 1;
    for (size_t at = n; at >= m; at--)
        if (memcmp(text + at - m, turn_assistant, m) == 0) return at;
    return 0;
}

/* Both transcripts are whole dialogues. The prompt is what they share, cut back to the last
 * assistant mark, so that an answer is one whole turn (or more, where they part earlier). */
Status hh_rlhf_read(const RowView *v, Record *r) {
    r->shape = RECORD_PAIR;
    TRY(row_text(v, "chosen", &r->chosen));
    TRY(row_text(v, "rejected", &r->rejected));
    TRY(read_margin(v, r));
    if (!starts_with(&r->chosen, turn_human) || !starts_with(&r->rejected, turn_human))
        return row_fail(v, starts_with(&r->chosen, turn_human) ? "rejected" : "chosen",
                        "a transcript must begin with \"\\n\\nHuman:\"");
    size_t n = 0, most = r->chosen.n < r->rejected.n ? r->chosen.n : r->rejected.n;
    while (n < most && r->chosen.text[n] == r->rejected.text[n]) n++;
    size_t cut = last_mark(r->chosen.text, n);
    if (cut == 0)
        return row_fail(v, "rejected",
                        "the transcripts part before the first \"\\n\\nAssistant:\"; "
                        "they must share a prompt");
    r->prompt = (Part){.text = r->chosen.text, .n = cut};
    cut_front(&r->chosen, cut);
    cut_front(&r->rejected, cut);
    return OK;
}

/* ---- stack_exchange ---- */

bool stack_exchange_matches(const RowView *v) {
    return row_has(v, "question") && row_has(v, "response_j") && row_has(v, "response_k");
}

/* j is the answer with more votes. The wording is that of TRL's StackLLaMA example. */
Status stack_exchange_read(const RowView *v, Record *r) {
    Part question;
    r->shape = RECORD_PAIR;
    TRY(row_text(v, "question", &question));
    TRY(row_text(v, "response_j", &r->chosen));
    TRY(row_text(v, "response_k", &r->rejected));
    TRY(read_margin(v, r));
    if (v->source->prompt_template) return format_prompt(v, r, "question", &r->prompt);
    Str text = {0};
    str_append(&text, "Question: ");
    str_append_n(&text, question.text, question.n);
    str_append(&text, "\n\nAnswer: ");
    r->prompt = record_text(r, &text);
    str_free(&text);
    return OK;
}
