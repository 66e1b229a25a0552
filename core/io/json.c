#include "core/io/json.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Json is jansson's json_t under another name. jansson takes non-const pointers for reading too. */
static json_t *in(const Json *j) {
    return (json_t *)(uintptr_t)j;
}
static Json *wrap(json_t *j) {
    return (Json *)j;
}

/* jansson only fails to build for lack of memory, or on arguments that are checked before. */
static Json *made(json_t *j) {
    CHECK(j != NULL, "jansson could not make a value");
    return wrap(j);
}

/* ---- reading ---- */

/* Where the brackets go deeper than JSON_MAX_DEPTH; `len` when nowhere. jansson has a limit of its
 * own, 2048, which its recursion survives but recursive readers of ours need not. */
static size_t too_deep_at(const char *text, size_t len) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_MAX_DEPTH) return i;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return len;
}

/* Line and column (in characters, from 1) of a byte. */
static void locate(const char *text, size_t at, int64_t *line, int64_t *column) {
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

static Status fail_at(const char *where, int64_t line, const char *text, size_t at,
                      const char *what) {
    int64_t column;
    locate(text, at, &line, &column);
    return status_fail(ERR_DATA, "%s:%lld:%lld: not valid JSON: %s", where, (long long)line,
                       (long long)column, what);
}

Status json_parse(Json **out, const char *text, size_t len, const char *where, int64_t line) {
    *out = NULL;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, len -= 3;
    size_t deep = too_deep_at(text, len);
    if (deep < len) {
        char what[64];
        snprintf(what, sizeof what, "nested more than %d levels deep", JSON_MAX_DEPTH);
        return fail_at(where, line, text, deep, what);
    }
    json_error_t error;
    json_t *j =
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!j) {
        /* `position` is past the token that is wrong. */
        size_t at = error.position > 0 ? (size_t)error.position - 1 : 0;
        return fail_at(where, line, text, at < len ? at : len, error.text);
    }
    *out = wrap(j);
    return OK;
}

Status json_read_file(Json **out, const char *path) {
    *out = NULL;
    Str text = {0};
    Status st = file_read(&text, path, JSON_MAX_FILE);
    if (st == OK) st = json_parse(out, str_text(&text), text.len, path, 1);
    str_free(&text);
    return st;
}

void json_free(Json *j) {
    json_decref(in(j));
}

Json *json_clone(const Json *j) {
    return made(json_deep_copy(in(j)));
}

JsonKind json_kind(const Json *j) {
    if (!j) return JSON_KIND_NONE;
    switch (json_typeof(in(j))) {
    case JSON_NULL:
        return JSON_KIND_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_STRING:
        return JSON_KIND_STRING;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    }
    FAIL("jansson type %d", (int)json_typeof(in(j)));
}

const char *json_kind_name(JsonKind k) {
    static const char *const NAMES[] = {"nothing",  "null",     "true or false", "an integer",
                                        "a number", "a string", "an array",      "an object"};
    return NAMES[k];
}

bool json_is(const Json *j, JsonKind k) {
    return json_kind(j) == k;
}

bool json_is_num(const Json *j) {
    return json_is(j, JSON_KIND_INT) || json_is(j, JSON_KIND_REAL);
}

Json *json_get(const Json *object, const char *key) {
    return wrap(json_object_get(in(object), key));
}

Json *json_at(const Json *array, int64_t i) {
    return i < 0 ? NULL : wrap(json_array_get(in(array), (size_t)i));
}

int64_t json_len(const Json *j) {
    JsonKind kind = json_kind(j);
    if (kind == JSON_KIND_ARRAY) return (int64_t)json_array_size(in(j));
    if (kind == JSON_KIND_OBJECT) return (int64_t)json_object_size(in(j));
    return 0;
}

static void check_kind(const Json *j, JsonKind want) {
    CHECK(json_is(j, want), "is %s, not %s", json_kind_name(json_kind(j)), json_kind_name(want));
}

bool json_bool(const Json *j) {
    check_kind(j, JSON_KIND_BOOL);
    return json_is_true(in(j));
}

int64_t json_int(const Json *j) {
    check_kind(j, JSON_KIND_INT);
    return (int64_t)json_integer_value(in(j));
}

double json_num(const Json *j) {
    CHECK(json_is_num(j), "is %s, not a number", json_kind_name(json_kind(j)));
    return json_number_value(in(j));
}

const char *json_str(const Json *j, size_t *len) {
    check_kind(j, JSON_KIND_STRING);
    if (len) *len = json_string_length(in(j));
    return json_string_value(in(j));
}

bool json_next(const Json *object, JsonIter *it, const char **key, Json **value) {
    it->at = it->started ? json_object_iter_next(in(object), it->at) : json_object_iter(in(object));
    it->started = true;
    if (!it->at) return false;
    *key = json_object_iter_key(it->at);
    *value = wrap(json_object_iter_value(it->at));
    return true;
}

/* ---- members with their type ---- */

/* *out is NULL when the key is missing or null and that is allowed. A number may be an integer. */
static Status member(Json **out, const Json *object, const char *key, JsonKind kind, bool needed,
                     const char *where) {
    Json *j = json_get(object, key);
    JsonKind found = json_kind(j);
    *out = NULL;
    if (!needed && (found == JSON_KIND_NONE || found == JSON_KIND_NULL)) return OK;
    if (found == JSON_KIND_NONE) return status_fail(ERR_DATA, "%s: `%s` is missing", where, key);
    if (found != kind && !(kind == JSON_KIND_REAL && found == JSON_KIND_INT))
        return status_fail(ERR_DATA, "%s: `%s` must be %s, not %s", where, key,
                           json_kind_name(kind), json_kind_name(found));
    *out = j;
    return OK;
}

#define MEMBER_PAIR(suffix, type, kind, value_of)                                                  \
    Status json_want_##suffix(type *out, const Json *object, const char *key, const char *where) { \
        Json *j;                                                                                   \
        TRY(member(&j, object, key, kind, true, where));                                           \
        *out = value_of;                                                                           \
        return OK;                                                                                 \
    }                                                                                              \
    Status json_opt_##suffix(type *out, const Json *object, const char *key, const char *where) {  \
        Json *j;                                                                                   \
        TRY(member(&j, object, key, kind, false, where));                                          \
        if (j) *out = value_of;                                                                    \
        return OK;                                                                                 \
    }

MEMBER_PAIR(int, int64_t, JSON_KIND_INT, json_int(j))
MEMBER_PAIR(num, double, JSON_KIND_REAL, json_num(j))
MEMBER_PAIR(bool, bool, JSON_KIND_BOOL, json_bool(j))
MEMBER_PAIR(str, const char *, JSON_KIND_STRING, json_str(j, NULL))

Status json_want(Json **out, const Json *object, const char *key, JsonKind kind,
                 const char *where) {
    return member(out, object, key, kind, true, where);
}

Status json_opt(Json **out, const Json *object, const char *key, JsonKind kind, const char *where) {
    Json *j;
    TRY(member(&j, object, key, kind, false, where));
    if (j) *out = j;
    return OK;
}

/* ---- building ---- */

Json *json_new_object(void) {
    return made(json_object());
}
Json *json_new_array(void) {
    return made(json_array());
}
Json *json_new_null(void) {
    return made(json_null());
}
Json *json_new_bool(bool v) {
    return made(json_boolean(v));
}
Json *json_new_int(int64_t v) {
    return made(json_integer(v));
}

Json *json_new_num(double v) {
    return isfinite(v) ? made(json_real(v)) : json_new_null();
}

Json *json_new_f32(float v) {
    if (!isfinite(v)) return json_new_null();
    /* The double that the float's shortest text stands for: json_dump then writes that text again.
     */
    Str text = {0};
    json_dump_f32(&text, v);
    double near = strtod(str_text(&text), NULL);
    str_free(&text);
    return json_new_num(near);
}

Json *json_new_str_n(const char *text, size_t len) {
    size_t bad;
    if (str_utf8_valid(text, len, &bad)) return made(json_stringn_nocheck(text, len));
    Str clean = {0};
    do {
        str_append_n(&clean, text, bad);
        str_append_utf8(&clean, 0xfffd);
        text += bad + 1, len -= bad + 1;
    } while (!str_utf8_valid(text, len, &bad));
    str_append_n(&clean, text, len);
    Json *j = made(json_stringn_nocheck(clean.data, clean.len));
    str_free(&clean);
    return j;
}

Json *json_new_str(const char *text) {
    return json_new_str_n(text, strlen(text));
}

void json_set(Json *object, const char *key, Json *value) {
    int rc = json_object_set_new_nocheck(in(object), key, in(value));
    CHECK(rc == 0, "key %s: not an object, or no value", key);
}

void json_push(Json *array, Json *value) {
    int rc = json_array_append_new(in(array), in(value));
    CHECK(rc == 0, "not an array, or no value");
}

void json_del(Json *object, const char *key) {
    json_object_del(in(object), key);
}

/* ---- writing ---- */

static bool is_plain(char ch) {
    unsigned char c = (unsigned char)ch;
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void append_escape(Str *out, char c) {
    switch (c) {
    case '"':
        str_append(out, "\\\"");
        return;
    case '\\':
        str_append(out, "\\\\");
        return;
    case '\n':
        str_append(out, "\\n");
        return;
    case '\t':
        str_append(out, "\\t");
        return;
    case '\r':
        str_append(out, "\\r");
        return;
    default:
        str_printf(out, "\\u%04x", (unsigned char)c);
    }
}

/* The bytes above ASCII that text starts with, or U+FFFD for the one that is wrong. Bytes taken. */
static size_t append_above_ascii(Str *out, const char *text, size_t len) {
    size_t n = 0, bad;
    while (n < len && (unsigned char)text[n] >= 0x80) n++;
    if (str_utf8_valid(text, n, &bad)) bad = n;
    str_append_n(out, text, bad);
    if (bad > 0) return bad;
    str_append_utf8(out, 0xfffd);
    return 1;
}

void json_dump_str(Str *out, const char *text, size_t len) {
    str_append_char(out, '"');
    for (size_t i = 0; i < len;) {
        size_t plain = 0;
        while (i + plain < len && is_plain(text[i + plain])) plain++;
        str_append_n(out, text + i, plain);
        i += plain;
        if (i == len) break;
        if ((unsigned char)text[i] >= 0x80)
            i += append_above_ascii(out, text + i, len - i);
        else
            append_escape(out, text[i++]);
    }
    str_append_char(out, '"');
}

/* A number that reads back as real needs a point or an exponent. */
static void append_real(Str *out, const char *digits) {
    str_append(out, digits);
    if (!strpbrk(digits, ".e")) str_append(out, ".0");
}

/* The program never calls setlocale, so printf and strtod use the point. */
void json_dump_num(Str *out, double v) {
    char digits[40] = "null";
    for (int precision = 15; isfinite(v) && precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, v);
        if (strtod(digits, NULL) == v) break;
    }
    if (isfinite(v))
        append_real(out, digits);
    else
        str_append(out, digits);
}

void json_dump_f32(Str *out, float v) {
    char digits[40] = "null";
    for (int precision = 6; isfinite(v) && precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)v);
        if (strtof(digits, NULL) == v) break;
    }
    if (isfinite(v))
        append_real(out, digits);
    else
        str_append(out, digits);
}

static void new_line(Str *out, int indent, int depth) {
    if (indent == 0) return;
    str_append_char(out, '\n');
    for (int i = 0; i < indent * depth; i++) str_append_char(out, ' ');
}

static void dump(Str *out, const Json *j, int indent, int depth);

/* Between two members: "," and the blank or line end that follows it. */
static void separate(Str *out, bool first, int indent, int depth) {
    if (!first) str_append(out, indent == 0 ? ", " : ",");
    new_line(out, indent, depth);
}

static void dump_array(Str *out, const Json *j, int indent, int depth) {
    int64_t n = json_len(j);
    str_append_char(out, '[');
    for (int64_t i = 0; i < n; i++) {
        separate(out, i == 0, indent, depth + 1);
        dump(out, json_at(j, i), indent, depth + 1);
    }
    if (n > 0) new_line(out, indent, depth);
    str_append_char(out, ']');
}

static void dump_object(Str *out, const Json *j, int indent, int depth) {
    const char *key;
    Json *value;
    bool first = true;
    str_append_char(out, '{');
    for (JsonIter it = {0}; json_next(j, &it, &key, &value); first = false) {
        separate(out, first, indent, depth + 1);
        json_dump_str(out, key, strlen(key));
        str_append(out, ": ");
        dump(out, value, indent, depth + 1);
    }
    if (!first) new_line(out, indent, depth);
    str_append_char(out, '}');
}

static void dump(Str *out, const Json *j, int indent, int depth) {
    size_t len;
    switch (json_kind(j)) {
    case JSON_KIND_NULL:
        str_append(out, "null");
        return;
    case JSON_KIND_BOOL:
        str_append(out, json_bool(j) ? "true" : "false");
        return;
    case JSON_KIND_INT:
        str_printf(out, "%lld", (long long)json_int(j));
        return;
    case JSON_KIND_REAL:
        json_dump_num(out, json_num(j));
        return;
    case JSON_KIND_STRING: {
        const char *text = json_str(j, &len);
        json_dump_str(out, text, len);
        return;
    }
    case JSON_KIND_ARRAY:
        dump_array(out, j, indent, depth);
        return;
    case JSON_KIND_OBJECT:
        dump_object(out, j, indent, depth);
        return;
    case JSON_KIND_NONE:
        break;
    }
    FAIL("no value to write");
}

void json_dump(Str *out, const Json *j, int indent) {
    dump(out, j, indent, 0);
}
