/* chat_input: lines from standard input, with a prompt when a person types them.
 *
 * Reads without stdio, so that waiting can be told apart from reading: Ctrl-C while waiting says
 * that a second one leaves (stop.h lets the second through at once). */
#ifndef HONE_TOOLS_CHAT_INPUT_H
#define HONE_TOOLS_CHAT_INPUT_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>

typedef struct ChatInput {
    Str held, line; /* read and not yet given; the line given */
    bool is_person, at_end;
} ChatInput;

void chat_input_open(ChatInput *in);
void chat_input_close(ChatInput *in);

/* The next line without its end, until the next call; NULL at the end of the input. ERR_STOPPED
 * after a signal (Ctrl-C: only where no person types), ERR_DATA when it is no UTF-8, ERR_IO. */
Status chat_input_line(ChatInput *in, const char **line);

#endif
