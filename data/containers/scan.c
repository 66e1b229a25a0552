#include "data/containers/scan.h"

#include <string.h>

Scan scan_begin(const char *text, size_t n, int64_t line, int64_t column) {
    return (Scan){.text = text, .n = n, .line = line, .column = column};
}

int scan_peek(const Scan *s) {
    return s->at < s->n ? (unsigned char)s->text[s->at] : -1;
}

void scan_step(Scan *s) {
    unsigned char c = (unsigned char)s->text[s->at++];
    if (c == '\n') {
        s->line++;
        s->column = 1;
    } else if ((c & 0xC0) != 0x80) { /* the further bytes of a UTF-8 character take no column */
        s->column++;
    }
}

void scan_space(Scan *s) {
    int c;
    while ((c = scan_peek(s)) == ' ' || c == '\t' || c == '\n' || c == '\r') scan_step(s);
}

static bool scan_string(Scan *s) {
    scan_step(s);
    for (int c; (c = scan_peek(s)) >= 0;) {
        scan_step(s);
        if (c == '"') return true;
        if (c == '\\' && scan_peek(s) >= 0) scan_step(s);
    }
    return false;
}

bool scan_value(Scan *s) {
    int64_t depth = 0;
    do {
        scan_space(s);
        int c = scan_peek(s);
        if (c < 0) return false;
        if (c == '"') {
            if (!scan_string(s)) return false;
        } else if (c == '{' || c == '[') {
            depth++;
            scan_step(s);
        } else if (c == '}' || c == ']') {
            if (depth == 0) return true; /* an empty value: the parser will say so */
            depth--;
            scan_step(s);
        } else if (depth > 0) {
            scan_step(s);
        } else { /* a number or a word */
            while ((c = scan_peek(s)) >= 0 && !strchr(",]}\n\r\t ", c)) scan_step(s);
        }
    } while (depth > 0);
    return true;
}

bool scan_member(Scan *s, const char *key, bool value) {
    if (scan_peek(s) != '{') return false;
    scan_step(s);
    size_t length = strlen(key);
    for (;;) {
        scan_space(s);
        if (scan_peek(s) != '"') return false;
        Scan at_key = *s;
        if (!scan_string(s)) return false;
        bool found =
            s->at - at_key.at == length + 2 && memcmp(s->text + at_key.at + 1, key, length) == 0;
        if (found && !value) {
            *s = at_key;
            return true;
        }
        scan_space(s);
        if (scan_peek(s) != ':') return false;
        scan_step(s);
        scan_space(s);
        if (found) return true;
        if (!scan_value(s)) return false;
        scan_space(s);
        if (scan_peek(s) != ',') return false;
        scan_step(s);
    }
}
