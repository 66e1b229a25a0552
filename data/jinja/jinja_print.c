/* Values as text: Python's str and repr, and json.dumps. */
#include "core/check.h"
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_DEPTH 100

/* The fewest digits that read back to the same double, placed as Python places them. */
void j_float_text(char *out, double v) {
    if (isnan(v) || isinf(v)) {
        strcpy(out, isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    char digits[32];
    int precision = 1;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, v);
    } while (strtod(digits, NULL) != v && precision++ < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = precision - 1 - exponent;
        snprintf(out, 32, "%.*f", decimals < 1 ? 1 : decimals, v);
    } else {
        snprintf(out, 32, "%.*e", precision - 1, v);
    }
}

/* Python's str.isprintable for one character. */
static bool is_printable(uint32_t c) {
    if (c == ' ') return true;
    return c >= 0x20 && c != 0x7F && !unicode_is_control(c) && unicode_is_assigned(c) &&
           !unicode_is_space(c);
}

static void repr_string(Tagged *out, const JString *s) {
    bool single = memchr(s->data, '\'', s->n) != NULL, twice = memchr(s->data, '"', s->n) != NULL;
    const char *quote = single && !twice ? "\"" : "'";
    j_append_text(out, quote);
    for (size_t at = 0, k; at < s->n; at += k) {
        uint32_t c = unicode_decode(s->data + at, s->n - at, &k);
        char escape[16] = "";
        if (c == (unsigned char)quote[0] || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else if (c == '\n')
            strcpy(escape, "\\n");
        else if (c == '\r')
            strcpy(escape, "\\r");
        else if (c == '\t')
            strcpy(escape, "\\t");
        else if (!is_printable(c)) {
            snprintf(escape, sizeof escape,
                     c < 0x100     ? "\\x%02x"
                     : c < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                     (unsigned)c);
        }
        if (escape[0] != '\0')
            j_append_text(out, escape);
        else
            j_append_part(out, s, at, k);
    }
    j_append_text(out, quote);
}

static void print(JinjaRun *r, Tagged *out, JValue v, bool repr, int depth);

static void print_list(JinjaRun *r, Tagged *out, const JList *l, bool tuple, int depth) {
    j_append_text(out, tuple ? "(" : "[");
    for (size_t i = 0; i < l->n && r->st == OK; i++) {
        if (i > 0) j_append_text(out, ", ");
        print(r, out, l->item[i], true, depth + 1);
    }
    if (tuple && l->n == 1) j_append_text(out, ",");
    j_append_text(out, tuple ? ")" : "]");
}

static void print_dict(JinjaRun *r, Tagged *out, const JDict *d, int depth) {
    j_append_text(out, "{");
    for (size_t i = 0; i < d->n && r->st == OK; i++) {
        if (i > 0) j_append_text(out, ", ");
        print(r, out, d->key[i], true, depth + 1);
        j_append_text(out, ": ");
        print(r, out, d->value[i], true, depth + 1);
    }
    j_append_text(out, "}");
}

static void print(JinjaRun *r, Tagged *out, JValue v, bool repr, int depth) {
    char text[64];
    if (depth > PRINT_DEPTH) {
        j_fail(r, "a value is nested too deep to be printed");
        return;
    }
    switch (v.kind) {
    case JK_UNDEFINED:
        j_append_text(out, repr ? "Undefined" : "");
        return;
    case JK_NONE:
        j_append_text(out, "None");
        return;
    case JK_BOOL:
        j_append_text(out, v.as.boolean ? "True" : "False");
        return;
    case JK_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.as.integer);
        j_append_text(out, text);
        return;
    case JK_FLOAT:
        j_float_text(text, v.as.number);
        j_append_text(out, text);
        return;
    case JK_STRING:
        if (repr)
            repr_string(out, v.as.string);
        else
            j_append(out, v.as.string);
        return;
    case JK_LIST:
    case JK_TUPLE:
        print_list(r, out, v.as.list, v.kind == JK_TUPLE, depth);
        return;
    case JK_DICT:
        print_dict(r, out, v.as.dict, depth);
        return;
    case JK_NAMESPACE:
    case JK_FUNCTION:
    case JK_LOOP:
        snprintf(text, sizeof text, "<%s>", j_type_name(v));
        j_append_text(out, text);
        return;
    }
    FAIL("kind %d", (int)v.kind);
}

void j_print(JinjaRun *r, Tagged *out, JValue v) {
    print(r, out, v, false, 0);
}

JValue j_string(JinjaRun *r, JValue v) {
    if (v.kind == JK_STRING) return v;
    Tagged out = j_build();
    j_print(r, &out, v);
    return j_take(r, &out);
}

/* ---- JSON ---- */

typedef struct JsonStyle {
    int64_t indent;         /* -1: one line */
    const char *item, *key; /* separators */
    bool sort, ascii;
} JsonStyle;

/* Everything that JSON text is made of is data: no control token is to come out of it. */
static void json_text(Tagged *out, const char *text) {
    tagged_append(out, text, strlen(text), 0);
}

static void json_string(Tagged *out, const JString *s, bool ascii) {
    json_text(out, "\"");
    for (size_t at = 0, k; at < s->n; at += k) {
        uint32_t c = unicode_decode(s->data + at, s->n - at, &k);
        static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
        char escape[16] = "";
        const char *simple = c != 0 && c < 0x80 ? strchr(from, (int)c) : NULL;
        if (simple != NULL)
            snprintf(escape, sizeof escape, "\\%c", to[simple - from]);
        else if (c < 0x20 || (ascii && c == 0x7F))
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        else if (ascii && c >= 0x10000) {
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)),
                     (unsigned)(0xDC00 + (c & 0x3FF)));
        } else if (ascii && c > 0x7F) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        }
        if (escape[0] != '\0')
            json_text(out, escape);
        else
            tagged_append(out, s->data + at, k, 0);
    }
    json_text(out, "\"");
}

static void json_newline(Tagged *out, const JsonStyle *style, int depth) {
    if (style->indent < 0) return;
    json_text(out, "\n");
    for (int64_t i = 0; i < style->indent * depth; i++) json_text(out, " ");
}

static void json_value(JinjaRun *r, Tagged *out, JValue v, const JsonStyle *style, int depth);

static void json_list(JinjaRun *r, Tagged *out, const JList *l, const JsonStyle *style, int depth) {
    json_text(out, "[");
    for (size_t i = 0; i < l->n && r->st == OK; i++) {
        if (i > 0) json_text(out, style->item);
        json_newline(out, style, depth + 1);
        json_value(r, out, l->item[i], style, depth + 1);
    }
    if (l->n > 0) json_newline(out, style, depth);
    json_text(out, "]");
}

static void json_key(JinjaRun *r, Tagged *out, JValue key, const JsonStyle *style) {
    static const JString words[] = {
        {.data = "null", .n = 4}, {.data = "true", .n = 4}, {.data = "false", .n = 5}};
    if (key.kind == JK_NONE)
        json_string(out, &words[0], false);
    else if (key.kind == JK_BOOL)
        json_string(out, &words[key.as.boolean ? 1 : 2], false);
    else
        json_string(out, j_string(r, key).as.string, style->ascii);
}

/* The order of the keys: as they are, or sorted. */
static size_t *key_order(JinjaRun *r, const JDict *d, bool sort) {
    size_t *order = jinja_alloc(&r->pool, (d->n + 1) * sizeof *order);
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        while (sort && at > 0 && j_less(r, d->key[i], d->key[order[at - 1]])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    return order;
}

static void json_dict(JinjaRun *r, Tagged *out, const JDict *d, const JsonStyle *style, int depth) {
    const size_t *order = key_order(r, d, style->sort);
    json_text(out, "{");
    for (size_t i = 0; i < d->n && r->st == OK; i++) {
        if (i > 0) json_text(out, style->item);
        json_newline(out, style, depth + 1);
        json_key(r, out, d->key[order[i]], style);
        json_text(out, style->key);
        json_value(r, out, d->value[order[i]], style, depth + 1);
    }
    if (d->n > 0) json_newline(out, style, depth);
    json_text(out, "}");
}

static void json_value(JinjaRun *r, Tagged *out, JValue v, const JsonStyle *style, int depth) {
    char text[64];
    if (depth > PRINT_DEPTH) {
        j_fail(r, "a value is nested too deep for tojson");
        return;
    }
    switch (v.kind) {
    case JK_NONE:
        json_text(out, "null");
        return;
    case JK_BOOL:
        json_text(out, v.as.boolean ? "true" : "false");
        return;
    case JK_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.as.integer);
        json_text(out, text);
        return;
    case JK_FLOAT:
        j_float_text(text, v.as.number);
        if (isnan(v.as.number))
            json_text(out, "NaN");
        else if (isinf(v.as.number))
            json_text(out, v.as.number > 0 ? "Infinity" : "-Infinity");
        else
            json_text(out, text);
        return;
    case JK_STRING:
        json_string(out, v.as.string, style->ascii);
        return;
    case JK_LIST:
    case JK_TUPLE:
        json_list(r, out, v.as.list, style, depth);
        return;
    case JK_DICT:
        json_dict(r, out, v.as.dict, style, depth);
        return;
    default:
        j_fail(r, "Object of type %s is not JSON serializable", j_type_name(v));
    }
}

void j_json(JinjaRun *r, Tagged *out, JValue v, int64_t indent, const char *item_separator,
            const char *key_separator, bool sort_keys, bool ascii) {
    JsonStyle style = {indent, item_separator, key_separator, sort_keys, ascii};
    json_value(r, out, v, &style, 0);
}
