#include "data/template.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "core/str.h"
#include "data/jinja/jinja.h"
#include "data/tokenizer/unicode.h"

#include <string.h>
#include <time.h>

/* Stands behind the last message's content while it is rendered: where it comes out, the text is
 * cut. Its own last blank tells whether the template trims. */
#define SENTINEL "CONTINUE_FINAL_MESSAGE_HERE "

#define VARIABLES_FIXED 5

struct ChatTemplate {
    Jinja *jinja;
    const Tokenizer *tokenizer; /* borrowed */
    Json *null;
    char digest[SHA256_HEX];
};

static void make_digest(ChatTemplate *c, const char *source) {
    char day[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (strstr(source, "strftime_now") && localtime_r(&now, &parts))
        strftime(day, sizeof day, "%Y-%m-%d", &parts);
    char *text = str_format("%s%s", day, source);
    sha256_hex(c->digest, text, strlen(text));
    mem_free(text);
}

const char *template_digest(const ChatTemplate *t) {
    return t->digest;
}

Status template_open(ChatTemplate **out, const Tokenizer *t, const char *source) {
    *out = NULL;
    if (source == NULL) source = tokenizer_chat_template(t);
    if (source == NULL) {
        return status_fail(ERR_CONFIG,
                           "the tokenizer has no chat template, and conversations need one: put a "
                           "chat_template.jinja beside its files or name one in the config");
    }
    ChatTemplate *c = mem_zalloc(1, sizeof *c);
    Status st = jinja_open(&c->jinja, source, strlen(source), "chat template");
    c->tokenizer = t;
    make_digest(c, source);
    c->null = json_new_null();
    if (st == OK) {
        *out = c;
        c = NULL;
    }
    template_close(c);
    return st;
}

void template_close(ChatTemplate *t) {
    if (t == NULL) return;
    jinja_close(t->jinja);
    json_free(t->null);
    mem_free(t);
}

bool template_has_generation(const ChatTemplate *t) {
    return jinja_has_generation(t->jinja);
}

void template_text_free(TemplateText *t) {
    mem_free(t->text);
    mem_free(t->segments);
    *t = (TemplateText){0};
}

/* ---- rendering ---- */

/* The template's variables; the caller mem_free's the array. */
static JinjaVariable *make_variables(const ChatTemplate *t, const TemplateInput *in,
                                     const Json *messages, bool prompt, size_t *n) {
    size_t n_names = 0;
    const char *name, *text;
    while (tokenizer_special_at(t->tokenizer, n_names, &name, &text)) n_names++;
    size_t n_more = (size_t)json_len(in->variables);
    JinjaVariable *v = mem_zalloc(VARIABLES_FIXED + n_names + n_more, sizeof *v);
    *n = 0;
    for (size_t i = 0; tokenizer_special_at(t->tokenizer, i, &name, &text); i++) {
        v[(*n)++] = (JinjaVariable){.name = name, .text = text};
    }
    v[(*n)++] = (JinjaVariable){.name = "messages", .json = messages};
    v[(*n)++] = (JinjaVariable){.name = "tools", .json = in->tools != NULL ? in->tools : t->null};
    v[(*n)++] = (JinjaVariable){.name = "documents",
                                .json = in->documents != NULL ? in->documents : t->null};
    v[(*n)++] = (JinjaVariable){.name = "add_generation_prompt", .flag = prompt};
    JsonIter it = {0};
    Json *value;
    while (n_more > 0 && json_next(in->variables, &it, &name, &value)) {
        v[(*n)++] = (JinjaVariable){.name = name, .json = value};
    }
    return v;
}

/* What an assistant thought goes by three names; templates read the first, some the second. */
static const char *const reasoning_names[] = {"reasoning_content", "thinking", "reasoning"};

static const Json *reasoning_of(const Json *message) {
    for (int i = 0; i < 3; i++) {
        const Json *value = json_get(message, reasoning_names[i]);
        if (value != NULL && !json_is(value, JSON_KIND_NULL)) return value;
    }
    return NULL;
}

/* The message with its reasoning under both names that templates read; keys in Transformers' order,
 * for templates that write whole messages. */
static Json *with_reasoning(const Json *message, const Json *reasoning) {
    Json *out = json_new_object(), *value;
    JsonIter it = {0};
    const char *key;
    json_set(out, reasoning_names[1], json_clone(reasoning));
    while (json_next(message, &it, &key, &value)) json_set(out, key, json_clone(value));
    json_set(out, reasoning_names[0], json_clone(reasoning));
    return out;
}

/* NULL when no message has reasoning: they can be taken as they are. */
static Json *alias_reasoning(const Json *messages) {
    bool any = false;
    for (int64_t i = 0; i < json_len(messages) && !any; i++)
        any = reasoning_of(json_at(messages, i)) != NULL;
    if (!any) return NULL;
    Json *list = json_new_array();
    for (int64_t i = 0; i < json_len(messages); i++) {
        const Json *message = json_at(messages, i), *reasoning = reasoning_of(message);
        json_push(list,
                  reasoning != NULL ? with_reasoning(message, reasoning) : json_clone(message));
    }
    return list;
}

static Status render(const ChatTemplate *t, Tagged *out, const TemplateInput *in,
                     const Json *messages, bool prompt) {
    size_t n = 0;
    Json *aliased = alias_reasoning(messages);
    JinjaVariable *v = make_variables(t, in, aliased != NULL ? aliased : messages, prompt, &n);
    Status st = jinja_render(t->jinja, out, v, n);
    mem_free(v);
    json_free(aliased);
    return st;
}

/* ---- continue_final_message ---- */

/* The text of the last message: its content, or the last text block of that. NULL: there is none.
 */
static Json *final_text_holder(Json *messages, const char **key) {
    Json *message = json_at(messages, json_len(messages) - 1);
    Json *content = json_get(message, "content");
    *key = "content";
    if (json_is(content, JSON_KIND_STRING)) return message;
    *key = "text";
    for (int64_t i = json_len(content) - 1; i >= 0; i--) {
        if (json_is(json_get(json_at(content, i), "text"), JSON_KIND_STRING))
            return json_at(content, i);
    }
    return NULL;
}

/* Where text[0..n) ends without blanks, as Python's rstrip counts them. */
static size_t without_blanks(const char *text, size_t n) {
    size_t k;
    while (n > 0) {
        if (!unicode_is_blank(unicode_decode_last(text, n, &k))) break;
        n -= k;
    }
    return n;
}

/* Is text[0..n), but for blanks around it, somewhere in the output? A template may drop parts. */
static bool holds_text(const Tagged *out, const char *text, size_t n) {
    size_t k = 0;
    n = without_blanks(text, n);
    while (n > 0 && unicode_is_blank(unicode_decode(text, n, &k))) {
        text += k;
        n -= k;
    }
    char *wanted = mem_strndup(text, n);
    bool found = strstr(str_text(&out->text), wanted) != NULL;
    mem_free(wanted);
    return found;
}

/* Cuts the text where the sentinel came out. */
static Status cut_at_sentinel(Tagged *out) {
    static const char mark[] = SENTINEL;
    size_t n = sizeof mark - 2; /* without the blank */
    for (size_t at = out->text.len; at >= n; at--) {
        if (memcmp(out->text.data + at - n, mark, n) != 0) continue;
        bool kept = at < out->text.len && out->text.data[at] == ' ';
        size_t end = at - n;
        if (!kept) end = without_blanks(out->text.data, end);
        out->text.len = end;
        out->text.data[end] = '\0';
        return OK;
    }
    return status_fail(ERR_DATA, "continue_final_message: the chat template does not write out the "
                                 "last message's content");
}

static Status render_continued(const ChatTemplate *t, Tagged *out, const TemplateInput *in) {
    Json *messages = json_clone(in->messages);
    const char *key;
    Json *holder = final_text_holder(messages, &key);
    Status st = OK;
    if (holder == NULL) {
        st = status_fail(ERR_DATA, "continue_final_message: the last message has no text");
    } else {
        size_t n = 0;
        char *text = mem_strdup(json_str(json_get(holder, key), &n)); /* json_set frees its own */
        Str longer = {0};
        str_append_n(&longer, text, n);
        str_append(&longer, SENTINEL);
        json_set(holder, key, json_new_str_n(longer.data, longer.len));
        str_free(&longer);
        st = render(t, out, in, messages, false);
        if (st == OK && !holds_text(out, text, n)) {
            st = status_fail(ERR_DATA, "continue_final_message: the chat template does not write "
                                       "out the last message's content as it is");
        }
        mem_free(text);
        if (st == OK) st = cut_at_sentinel(out);
    }
    json_free(messages);
    return st;
}

/* ---- masks where the template has none ---- */

static Json *first_messages(const Json *messages, int64_t n) {
    Json *list = json_new_array();
    for (int64_t i = 0; i < n; i++) json_push(list, json_clone(json_at(messages, i)));
    return list;
}

static bool is_assistant(const Json *message) {
    const Json *role = json_get(message, "role");
    return json_is(role, JSON_KIND_STRING) && str_equal(json_str(role, NULL), "assistant");
}

static bool begins_with(const Tagged *text, const Tagged *start) {
    return start->text.len <= text->text.len &&
           memcmp(str_text(&text->text), str_text(&start->text), start->text.len) == 0;
}

/* Marks turn i of the whole text `out`. */
static Status mask_turn(const ChatTemplate *t, Tagged *out, const TemplateInput *in, int64_t i) {
    Tagged before = {.uniform = false}, with = {.uniform = false};
    Json *fewer = first_messages(in->messages, i), *more = first_messages(in->messages, i + 1);
    Status st = OK;
    if (i > 0) TRY_GOTO(render(t, &before, in, fewer, true), st, out);
    TRY_GOTO(render(t, &with, in, more, false), st, out);
    bool last = i + 1 == json_len(in->messages);
    if (last && with.text.len > out->text.len) with.text.len = out->text.len; /* cut short */
    if (!begins_with(&with, &before) || !begins_with(out, &with)) {
        st = status_fail(ERR_DATA,
                         "the chat template rewrites earlier turns (message %lld), so what the "
                         "assistant says cannot be told from the rest; give a template with "
                         "{%% generation %%}",
                         (long long)i);
        goto out;
    }
    for (size_t at = before.text.len; at < with.text.len; at++) out->tag[at] |= SEGMENT_MASK;
out:
    tagged_free(&before);
    tagged_free(&with);
    json_free(fewer);
    json_free(more);
    return st;
}

static Status mask_turns(const ChatTemplate *t, Tagged *out, const TemplateInput *in) {
    for (int64_t i = 0; i < json_len(in->messages); i++) {
        if (is_assistant(json_at(in->messages, i))) TRY(mask_turn(t, out, in, i));
    }
    return OK;
}

/* ---- segments ---- */

static void fill(TemplateText *out, const Tagged *text, uint8_t keep) {
    size_t n = text->text.len, cap = 0;
    template_text_free(out);
    out->text = mem_strndup(str_text(&text->text), n);
    out->n = n;
    for (size_t at = 0; at < n;) {
        size_t end = at + 1;
        uint8_t tag = text->tag[at] & keep;
        while (end < n && (text->tag[end] & keep) == tag) end++;
        if (out->n_segments == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            out->segments = mem_realloc(out->segments, cap, sizeof *out->segments);
        }
        out->segments[out->n_segments++] = (TokenSegment){out->text + at, end - at, tag};
        at = end;
    }
}

Status template_render(const ChatTemplate *t, TemplateText *out, const TemplateInput *in) {
    CHECK(!in->add_generation_prompt || !in->continue_final_message,
          "add_generation_prompt and continue_final_message exclude each other: %d", 1);
    if (!json_is(in->messages, JSON_KIND_ARRAY)) {
        return status_fail(ERR_DATA,
                           "`messages` must be a list of {\"role\", \"content\"}, not a %s",
                           json_kind_name(json_kind(in->messages)));
    }
    Tagged text = {.uniform = false};
    Status st = in->continue_final_message
                    ? render_continued(t, &text, in)
                    : render(t, &text, in, in->messages, in->add_generation_prompt);
    if (st == OK && in->mask_assistant && !jinja_has_generation(t->jinja)) {
        st = mask_turns(t, &text, in);
    }
    uint8_t keep = (uint8_t)(SEGMENT_SPECIAL | (in->mask_assistant ? SEGMENT_MASK : 0));
    if (st == OK) fill(out, &text, keep);
    tagged_free(&text);
    return st;
}
