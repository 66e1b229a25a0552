/* json: JSON values, read strictly and written readably. A thin face on jansson, which no other
 * file includes (its names also start with json_, so ours avoid them: json_get, not
 * json_object_get).
 *
 * Strict: one value a text, duplicate keys, NaN, lone surrogates, bad UTF-8 and more than
 * JSON_MAX_DEPTH levels are ERR_DATA with "where:line:column: what". A UTF-8 BOM is skipped.
 * Integers are int64; what does not fit is an error, not a rounded number. Keys hold no NUL;
 * strings may.
 *
 * Values got out of a value are borrowed from it. Values handed to json_set/json_push belong to the
 * container from then on. json_free the root only.
 */
#ifndef HONE_CORE_IO_JSON_H
#define HONE_CORE_IO_JSON_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 64
#define JSON_MAX_FILE ((size_t)1 << 30)

typedef struct Json Json;

typedef enum JsonKind {
    JSON_KIND_NONE, /* the pointer is NULL: no such key */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
} JsonKind;

/* ---- reading ---- */

/* `where` and `line` (of the first byte, from 1) are for messages. */
Status json_parse(Json **out, const char *text, size_t len, const char *where, int64_t line);
Status json_read_file(Json **out, const char *path); /* ERR_INPUT when missing */
void json_free(Json *j);
Json *json_clone(const Json *j); /* deep */

JsonKind json_kind(const Json *j);      /* NULL is JSON_KIND_NONE */
const char *json_kind_name(JsonKind k); /* "integer", "string", ... for messages */
bool json_is(const Json *j, JsonKind k);
bool json_is_num(const Json *j); /* INT or REAL */

Json *json_get(const Json *object, const char *key); /* NULL when missing or not an object */
Json *json_at(const Json *array, int64_t i);         /* NULL when outside or not an array */
int64_t json_len(const Json *j);                     /* of an array or object; 0 for all else */

/* The value; CHECKs the kind, so ask json_is first (or use json_want_* below). */
bool json_bool(const Json *j);
int64_t json_int(const Json *j);
double json_num(const Json *j);                   /* INT or REAL */
const char *json_str(const Json *j, size_t *len); /* len may be NULL; NUL-terminated */

/* In the order of the text:  JsonIter it = {0}; while (json_next(obj, &it, &key, &value)) ... */
typedef struct JsonIter {
    void *at;
    bool started;
} JsonIter;
bool json_next(const Json *object, JsonIter *it, const char **key, Json **value);

/* A member with its type checked. want: must be there. opt: *out keeps what it holds when the key
 * is missing or null. ERR_DATA "where: `key` is missing" or "where: `key` must be an integer, not a
 * string". */
Status json_want_int(int64_t *out, const Json *object, const char *key, const char *where);
Status json_want_num(double *out, const Json *object, const char *key, const char *where);
Status json_want_bool(bool *out, const Json *object, const char *key, const char *where);
Status json_want_str(const char **out, const Json *object, const char *key, const char *where);
Status json_want(Json **out, const Json *object, const char *key, JsonKind kind, const char *where);
Status json_opt_int(int64_t *out, const Json *object, const char *key, const char *where);
Status json_opt_num(double *out, const Json *object, const char *key, const char *where);
Status json_opt_bool(bool *out, const Json *object, const char *key, const char *where);
Status json_opt_str(const char **out, const Json *object, const char *key, const char *where);
Status json_opt(Json **out, const Json *object, const char *key, JsonKind kind, const char *where);

/* ---- building and writing ---- */

Json *json_new_object(void);
Json *json_new_array(void);
Json *json_new_null(void);
Json *json_new_bool(bool v);
Json *json_new_int(int64_t v);
Json *json_new_num(double v);         /* NaN and Inf become null: JSON has no word for them */
Json *json_new_f32(float v);          /* the shortest digits that give this float back */
Json *json_new_str(const char *text); /* bad UTF-8 is replaced by U+FFFD */
Json *json_new_str_n(const char *text, size_t len);

void json_set(Json *object, const char *key, Json *value); /* replaces; takes `value` */
void json_push(Json *array, Json *value);                  /* takes `value` */
void json_del(Json *object, const char *key);              /* fine when missing */

/* Appends the text. indent 0: one line, `{"a": 1, "b": [1, 2]}`; else that many blanks a level.
 * Numbers have the fewest digits that read back to the same double; an integral double keeps a
 * ".0". */
void json_dump(Str *out, const Json *j, int indent);
/* A JSON string literal, quotes included, of any bytes (for writers without a tree). */
void json_dump_str(Str *out, const char *text, size_t len);
/* A double's shortest text, as json_dump writes it ("null" for NaN and Inf). */
void json_dump_num(Str *out, double v);
void json_dump_f32(Str *out, float v);

#endif
