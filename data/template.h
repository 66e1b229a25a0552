/* template: a conversation to the text a model was trained on, by its chat template.
 *
 *     template_open(&tpl, tok, NULL);
 *     TemplateInput in = {.messages = json_get(row, "messages"), .add_generation_prompt = true};
 *     TemplateText text = {0};
 *     template_render(tpl, &text, &in);
 *     tokenizer_encode_segments(tok, &ids, text.segments, text.n_segments, 0);
 *
 * Every byte of the result knows where it comes from. What the template itself writes may hold
 * special tokens (SEGMENT_SPECIAL); what comes out of the messages, tools and documents is text and
 * stays text, so a user cannot write "<|im_end|>" and end his turn. The language is the subset of
 * Jinja that chat templates use (data/jinja/jinja.h), set up as Transformers does: trim_blocks,
 * lstrip_blocks, lenient undefined values. A ChatTemplate never changes after template_open: any
 * number of threads may render with it.
 */
#ifndef HONE_DATA_TEMPLATE_H
#define HONE_DATA_TEMPLATE_H

#include "core/io/json.h"
#include "core/status.h"
#include "data/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ChatTemplate ChatTemplate;

/* `source`: the template's text, or NULL for the tokenizer's own. The tokenizer (borrowed, must
 * live as long) gives the special tokens' names (bos_token, eos_token, ...). ERR_CONFIG when there
 * is no template at all, ERR_DATA with line and column when it cannot be read. */
Status template_open(ChatTemplate **out, const Tokenizer *t, const char *source);
void template_close(ChatTemplate *t);

/* SHA-256 (hex) of its source; one that asks for the date has another digest every day. */
const char *template_digest(const ChatTemplate *t);

/* Does the template mark assistant text itself, by {% generation %}? */
bool template_has_generation(const ChatTemplate *t);

/* Values are borrowed during the call. */
typedef struct TemplateInput {
    const Json *messages;       /* a list of {"role", "content", ...} */
    const Json *tools;          /* a list, or NULL */
    const Json *documents;      /* a list, or NULL */
    const Json *variables;      /* an object of further variables (enable_thinking, ...), or NULL */
    bool add_generation_prompt; /* end with what opens an assistant turn */
    bool continue_final_message; /* stop inside the last message, right after its content */
    /* Mark what the assistant says (SEGMENT_MASK): inside {% generation %} where the template has
     * it. Where it has none, from the text that the messages before an assistant turn give with
     * add_generation_prompt to the text that the messages up to and with it give; ERR_DATA if the
     * one does not begin with the other, for then the template rewrites earlier turns. */
    bool mask_assistant;
} TemplateInput;

/* Start with {0}; template_render replaces what is in it. */
typedef struct TemplateText {
    char *text; /* [n], NUL-terminated; the segments point into it and cover it in order */
    size_t n;
    TokenSegment *segments; /* [n_segments] */
    size_t n_segments;
} TemplateText;

void template_text_free(TemplateText *t);

/* ERR_DATA: the input has not the right shape, or the template raises (its own message is the
 * line), or goes over the limits of steps, depth and output size. */
Status template_render(const ChatTemplate *t, TemplateText *out, const TemplateInput *in);

#endif
