/* jinja_value: what a template computes with, with Python's semantics. For the files of this folder
 * only.
 *
 * Values live in the pool of one rendering and are never freed one by one. Errors are sticky: the
 * first one is kept in JinjaRun.st, what comes after runs dry and gives undefined values; whoever
 * loops looks at `st`.
 */
#ifndef HONE_DATA_JINJA_JINJA_VALUE_H
#define HONE_DATA_JINJA_JINJA_VALUE_H

#include "core/io/json.h"
#include "core/rng.h"
#include "data/jinja/jinja_ast.h"
#include "data/jinja/jinja_pool.h"
#include "data/tokenizer/tagged.h"

#define JINJA_MAX_ARGUMENTS 16

typedef enum JKind {
    JK_UNDEFINED,
    JK_NONE,
    JK_BOOL,
    JK_INT,
    JK_FLOAT,
    JK_STRING,
    JK_LIST,
    JK_TUPLE,
    JK_DICT,
    JK_NAMESPACE,
    JK_FUNCTION,
    JK_LOOP,
} JKind;

typedef struct JString {
    const char *data; /* [n] UTF-8 */
    size_t n;
    const uint8_t *tags; /* [n], or NULL: all bytes have `tag` */
    uint8_t tag;
    bool safe; /* |safe or |escape: what is added to it by + is escaped */
} JString;

typedef struct JList JList;
typedef struct JDict JDict;
typedef struct JFunction JFunction;
typedef struct JLoop JLoop;

typedef struct JValue {
    JKind kind;
    union {
        const char *name; /* UNDEFINED: what was not found, or NULL */
        bool boolean;
        int64_t integer;
        double number;
        const JString *string;
        JList *list; /* LIST, TUPLE */
        JDict *dict; /* DICT, NAMESPACE */
        JFunction *function;
        JLoop *loop;
    } as;
} JValue;

struct JList {
    JValue *item; /* [n] */
    size_t n, cap;
    int depth; /* how deep lists and dicts are nested in it; bounded, so that recursion is */
    bool lazy; /* a generator in Python: true even when empty, without a length */
};

struct JDict {
    JValue *key, *value; /* [n] in the order of insertion */
    size_t n, cap;
    int depth;
};

typedef struct JScope JScope;

struct JFunction {
    const char *name;       /* of a global, a method, or "caller" */
    JValue self;            /* of a method */
    const JinjaNode *macro; /* MACRO or CALL_BLOCK; else NULL */
    JScope *scope;          /* where the macro was defined */
};

struct JLoop {
    JList *items;
    size_t index;   /* from 0 */
    JValue changed; /* what loop.changed saw last */
};

typedef struct JArguments {
    JValue value[JINJA_MAX_ARGUMENTS]; /* [n] */
    size_t n;
    const char *name[JINJA_MAX_ARGUMENTS]; /* [n_named] */
    JValue named[JINJA_MAX_ARGUMENTS];
    size_t n_named;
} JArguments;

typedef struct JinjaRun {
    JinjaPool pool;
    const char *where;
    uint32_t line; /* being executed, for messages */
    Status st;     /* sticky */
    uint64_t steps;
    int depth;
    uint8_t mask; /* SEGMENT_MASK inside {% generation %} */
    JScope *globals;
    bool is_prompt;            /* promptsource's dialect: choice, most_frequent */
    RngStream draws;           /* of choice */
    bool breaking, continuing; /* a {% break %} or {% continue %} is on its way to its loop */
} JinjaRun;

/* Keeps the first failure: "where:LINE: ..." . Returns an undefined value. */
JValue j_fail(JinjaRun *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One more step; false when it is one too many, or something has failed. */
bool j_step(JinjaRun *r);

/* ---- making ---- */
JValue j_undefined(const char *name);
JValue j_none(void);
JValue j_bool(bool v);
JValue j_int(int64_t v);
JValue j_float(double v);
/* Bytes are copied into the pool. */
JValue j_text(JinjaRun *r, const char *text, size_t n, uint8_t tag);
JValue j_trusted(JinjaRun *r, const char *text); /* tag SEGMENT_SPECIAL */
/* Part of a string, sharing its bytes. */
JValue j_part(JinjaRun *r, const JString *s, size_t at, size_t n);
/* What was built; empties it. */
JValue j_take(JinjaRun *r, Tagged *built);
JValue j_list(JinjaRun *r, JKind kind); /* LIST or TUPLE, empty */
JValue j_dict(JinjaRun *r, JKind kind); /* DICT or NAMESPACE, empty */
JValue j_function(JinjaRun *r, const char *name, JValue self);
void j_push(JinjaRun *r, JList *l, JValue v);
void j_set(JinjaRun *r, JDict *d, JValue key, JValue value);
JValue j_from_json(JinjaRun *r, const Json *json, uint8_t tag);

/* The same text, marked safe. */
JValue j_mark_safe(JinjaRun *r, const JString *s);
/* & < > ' " as HTML's entities; a safe text is left as it is. */
JValue j_escape(JinjaRun *r, const JString *s);

/* Starts a text that is built with tagged_append and the like. */
Tagged j_build(void);
void j_append(Tagged *out, const JString *s);
void j_append_part(Tagged *out, const JString *s, size_t at, size_t n);
void j_append_text(Tagged *out, const char *text); /* trusted */

/* ---- asking ---- */
const char *j_type_name(JValue v); /* Python's: "str", "NoneType", ... */
bool j_truth(JValue v);
bool j_equal(JValue a, JValue b);
/* a < b; fails where Python has no order. */
bool j_less(JinjaRun *r, JValue a, JValue b);
bool j_contains(JinjaRun *r, JValue container, JValue item);
bool j_is(JValue v, const char *text); /* a string with this text */
const JValue *j_get(const JDict *d, JValue key);
const JValue *j_get_text(const JDict *d, const char *key);
/* Characters of a string, items of a list or dict; -1 for all else. */
int64_t j_length(JValue v);
size_t j_characters(const JString *s);
/* A number (bool, int, float)? */
bool j_is_number(JValue v);
double j_number(JValue v);

/* The items that a loop sees: of a list, characters of a string, keys of a dict. Fails for all
 * else. */
JList *j_items(JinjaRun *r, JValue v);
/* a[key] and a.name, as Jinja looks for them: undefined when there is no such thing. */
JValue j_item(JinjaRun *r, JValue a, JValue key);
JValue j_attribute(JinjaRun *r, JValue a, const char *name);
JValue j_slice(JinjaRun *r, JValue a, JValue start, JValue stop, JValue step);

/* ---- as text ---- */
void j_print(JinjaRun *r, Tagged *out, JValue v); /* str(v) */
JValue j_string(JinjaRun *r, JValue v);           /* str(v) as a value */
void j_json(JinjaRun *r, Tagged *out, JValue v, int64_t indent, const char *item_separator,
            const char *key_separator, bool sort_keys, bool ascii);
/* Python's repr of a number, into a buffer of 32 bytes. */
void j_float_text(char *out, double v);

/* ---- calling ---- */

/* Argument number `i` (from 0) or the one of this name; `otherwise` when there is neither. */
JValue j_argument(const JArguments *a, size_t i, const char *name, JValue otherwise);
/* The same as a kind; fails with the function's name when it is another. */
int64_t j_argument_int(JinjaRun *r, const JArguments *a, size_t i, const char *name,
                       int64_t otherwise);
const JString *j_argument_string(JinjaRun *r, const JArguments *a, size_t i, const char *name);

JValue j_call(JinjaRun *r, JValue function, const JArguments *a);          /* jinja_call.c */
JValue j_call_macro(JinjaRun *r, const JFunction *f, const JArguments *a); /* jinja_exec.c */
JValue j_method(JinjaRun *r, JValue self, const char *name, const JArguments *a);
bool j_has_method(JValue self, const char *name);
JValue j_string_method(JinjaRun *r, const JString *s, const char *name, const JArguments *a);
bool j_is_string_method(const char *name);
JValue j_filter(JinjaRun *r, const char *name, JValue v, const JArguments *a);
/* The filters that work on text; *known false when the name is none of them. */
JValue j_text_filter(JinjaRun *r, const char *name, JValue v, const JArguments *a, bool *known);
bool j_test(JinjaRun *r, const char *name, JValue v, const JArguments *a);

/* An expression's value, statements' text. */
JValue j_evaluate(JinjaRun *r, JScope *scope, const JinjaNode *n); /* jinja_eval.c */
void j_evaluate_arguments(JinjaRun *r, JScope *scope, const JinjaNode *first, JArguments *a);
void j_execute(JinjaRun *r, JScope *scope, Tagged *out, const JinjaNode *n); /* jinja_exec.c */

/* Names and values; looked up from the inside out. */
JScope *j_scope(JinjaRun *r, JScope *outer);
const JValue *j_lookup(const JScope *s, const char *name);
void j_assign(JinjaRun *r, JScope *s, const char *name, JValue v);

#endif
