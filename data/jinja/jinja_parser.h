/* jinja_parser: what the two halves of the parser share: expressions (jinja_expression.c) and
 * statements (jinja_parse.c). A failure is sticky: the first one is kept, the rest of the parse
 * runs dry. */
#ifndef HONE_DATA_JINJA_JINJA_PARSER_H
#define HONE_DATA_JINJA_JINJA_PARSER_H

#include "data/jinja/jinja_ast.h"

typedef struct Parser {
    JinjaPool *pool;
    const JinjaToken *t; /* the token to read next */
    const char *where;
    Status st; /* sticky */
    int depth;
    bool has_generation;
} Parser;

typedef struct NodeList {
    JinjaNode *first, *last;
} NodeList;

/* Sets the failure; returns a node that may be used on. */
JinjaNode *jp_fail(Parser *p, const char *what);
/* "expected `wanted`, not `...`" */
void jp_unexpected(Parser *p, const char *wanted);

JinjaNode *jp_node(Parser *p, JinjaNodeKind kind);
JinjaNode *jp_node_ab(Parser *p, JinjaNodeKind kind, JinjaNode *a, JinjaNode *b);
void jp_append(NodeList *l, JinjaNode *n); /* to a list that is linked by `next` */

/* One level deeper; false when that is too deep. The caller counts p->depth down again. */
bool jp_enter(Parser *p);

/* at: is it next? take: read it if it is. want: read it or fail. */
bool jp_at_operator(const Parser *p, const char *sign);
bool jp_at_name(const Parser *p, const char *name);
void jp_step(Parser *p);
bool jp_take_operator(Parser *p, const char *sign);
bool jp_take_name(Parser *p, const char *name);
void jp_want_operator(Parser *p, const char *sign);
void jp_want_kind(Parser *p, JinjaTokenKind kind, const char *what);
const char *jp_want_name(Parser *p);

JinjaNode *jp_expression(Parser *p);
JinjaNode *jp_or(Parser *p);                   /* an expression without an inline if */
JinjaNode *jp_tuple(Parser *p);                /* "x, y" is a tuple, "x" is x */
JinjaNode *jp_arguments(Parser *p);            /* "(...)" of a call */
JinjaNode *jp_filter(Parser *p, JinjaNode *a); /* "name(...)" behind a "|" */

#endif
