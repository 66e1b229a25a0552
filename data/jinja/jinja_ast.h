/* jinja_ast: a template as tokens and as a tree. For the files of this folder only. */
#ifndef HONE_DATA_JINJA_JINJA_AST_H
#define HONE_DATA_JINJA_JINJA_AST_H

#include "core/status.h"
#include "data/jinja/jinja_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum JinjaTokenKind {
    JT_TEXT,
    JT_VARIABLE_BEGIN,
    JT_VARIABLE_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_STRING,
    JT_INTEGER,
    JT_FLOAT,
    JT_OPERATOR,
    JT_END,
} JinjaTokenKind;

typedef struct JinjaToken {
    JinjaTokenKind kind;
    uint32_t line;
    const char *text; /* [n], NUL-terminated: of a string its value, of an operator its sign */
    size_t n;
    int64_t integer;
    double number;
} JinjaToken;

/* Cuts the source into tokens, in the pool; the last one is JT_END. `trims`: trim_blocks and
 * lstrip_blocks. */
Status jinja_lex(JinjaPool *pool, JinjaToken **out, const char *source, size_t n, const char *where,
                 bool trims);

typedef enum JinjaNodeKind {
    /* expressions */
    JN_TEXT,    /* text, n */
    JN_INTEGER, /* integer */
    JN_FLOAT,   /* number */
    JN_TRUE,
    JN_FALSE,
    JN_NONE,
    JN_NAME,      /* text */
    JN_LIST,      /* first: items */
    JN_TUPLE,     /* first: items */
    JN_DICT,      /* first: key, value, key, value ... */
    JN_ATTRIBUTE, /* a.text */
    JN_ITEM,      /* a[b] */
    JN_SLICE,     /* a[b:c:d] */
    JN_CALL,      /* a(first) */
    JN_KEYWORD,   /* text=a, among arguments; a default, among parameters */
    JN_SPREAD,    /* *a, among arguments */
    JN_FILTER,    /* a|text(first); a NULL: of a block */
    JN_TEST,      /* a is text(first) */
    JN_NOT,       /* a */
    JN_NEGATIVE,  /* a */
    JN_POSITIVE,  /* a */
    JN_AND,       /* a, b */
    JN_OR,        /* a, b */
    JN_BINARY,    /* a text b: + - * / // % ** ~ */
    JN_COMPARE,   /* a, then first: JN_OPERANDs */
    JN_OPERAND,   /* text a: == != < <= > >= in, not in */
    JN_CONDITION, /* a if b else c (c may be NULL) */
    /* statements */
    JN_OUTPUT,       /* a */
    JN_IF,           /* a: condition, body, orelse */
    JN_FOR,          /* a: target, b: what, c: condition or NULL, body, orelse */
    JN_SET,          /* a: target, b: value */
    JN_SET_BLOCK,    /* a: target, b: chain of filters or NULL, body */
    JN_MACRO,        /* text: name, first: parameters, body */
    JN_CALL_BLOCK,   /* a: the call, first: parameters, body */
    JN_FILTER_BLOCK, /* b: chain of filters, body */
    JN_GENERATION,   /* body */
    JN_BREAK,
    JN_CONTINUE,
} JinjaNodeKind;

typedef struct JinjaNode {
    JinjaNodeKind kind;
    uint32_t line;
    const char *text;
    size_t n;
    int64_t integer;
    double number;
    struct JinjaNode *a, *b, *c, *d;
    struct JinjaNode *first; /* items, arguments, parameters */
    struct JinjaNode *body, *orelse;
    struct JinjaNode *next; /* in a list */
} JinjaNode;

/* The statements of a template, linked by `next` (NULL: empty). */
Status jinja_parse(JinjaPool *pool, JinjaNode **out, const JinjaToken *tokens, const char *where,
                   bool *has_generation);

#endif
