#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_CAP 2048

static _Thread_local char message[MESSAGE_CAP];

/* Text from files can end up in a message: whatever it holds, the message stays one line. */
static void make_one_line(char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f) *s = ' ';
    }
}

Status status_fail(Status code, const char *fmt, ...) {
    /* Arguments may point into the old message, so the new one is written beside it first. */
    char text[MESSAGE_CAP];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    make_one_line(text);
    memcpy(message, text, sizeof message);
    return code;
}

const char *status_message(void) {
    return message;
}

void status_clear(void) {
    message[0] = '\0';
}

const char *status_name(Status code) {
    switch (code) {
    case OK:
        return "ok";
    case ERR_USAGE:
        return "usage";
    case ERR_DATA:
        return "bad data";
    case ERR_INPUT:
        return "missing input";
    case ERR_DEVICE:
        return "device";
    case ERR_INTERNAL:
        return "internal";
    case ERR_OS:
        return "operating system";
    case ERR_CREATE:
        return "cannot create";
    case ERR_IO:
        return "input/output";
    case ERR_STOPPED:
        return "stopped";
    case ERR_NUMERIC:
        return "numeric";
    case ERR_CONFIG:
        return "config";
    }
    return "unknown";
}
