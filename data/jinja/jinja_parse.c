/* From tokens to the tree: recursive descent, with Jinja's own precedences (from loose to tight):
 *     if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary, postfix, filters */
#include "core/check.h"
#include "core/str.h"
#include "data/jinja/jinja_ast.h"

#include <string.h>

#define DEPTH_MAX 200

typedef struct Parser {
    JinjaPool *pool;
    const JinjaToken *t; /* the token to read next */
    const char *where;
    Status st; /* sticky */
    int depth;
    bool has_generation;
} Parser;

/* Remembers the first failure; the rest of the parse runs dry. */
static JinjaNode *fail(Parser *p, const char *what) {
    if (p->st == OK) p->st = status_fail(ERR_DATA, "%s:%u: %s", p->where, p->t->line, what);
    return jinja_zalloc(p->pool, sizeof(JinjaNode));
}

static void unexpected(Parser *p, const char *wanted) {
    if (p->st != OK) return;
    const char *got = p->t->kind == JT_END            ? "the end of the template"
                      : p->t->kind == JT_BLOCK_END    ? "%}"
                      : p->t->kind == JT_VARIABLE_END ? "}}"
                                                      : p->t->text;
    p->st =
        status_fail(ERR_DATA, "%s:%u: expected %s, not `%.40s`", p->where, p->t->line, wanted, got);
}

static JinjaNode *node(Parser *p, JinjaNodeKind kind) {
    JinjaNode *n = jinja_zalloc(p->pool, sizeof *n);
    n->kind = kind;
    n->line = p->t->line;
    return n;
}

static JinjaNode *node_ab(Parser *p, JinjaNodeKind kind, JinjaNode *a, JinjaNode *b) {
    JinjaNode *n = node(p, kind);
    n->a = a;
    n->b = b;
    return n;
}

static bool enter(Parser *p) {
    if (++p->depth > DEPTH_MAX) fail(p, "the template is nested too deep");
    return p->st == OK;
}

static bool at_operator(const Parser *p, const char *sign) {
    return p->t->kind == JT_OPERATOR && strcmp(p->t->text, sign) == 0;
}

static bool at_name(const Parser *p, const char *name) {
    return p->t->kind == JT_NAME && strcmp(p->t->text, name) == 0;
}

static void step(Parser *p) {
    if (p->t->kind != JT_END) p->t++;
}

static bool take_operator(Parser *p, const char *sign) {
    if (p->st != OK || !at_operator(p, sign)) return false;
    step(p);
    return true;
}

static bool take_name(Parser *p, const char *name) {
    if (p->st != OK || !at_name(p, name)) return false;
    step(p);
    return true;
}

static void want_operator(Parser *p, const char *sign) {
    if (!take_operator(p, sign)) unexpected(p, sign);
}

static void want_kind(Parser *p, JinjaTokenKind kind, const char *what) {
    if (p->st == OK && p->t->kind == kind)
        step(p);
    else
        unexpected(p, what);
}

static const char *want_name(Parser *p) {
    const char *name = p->t->text;
    want_kind(p, JT_NAME, "a name");
    return name;
}

/* Appends to a list that is linked by `next`. */
typedef struct NodeList {
    JinjaNode *first, *last;
} NodeList;

static void append(NodeList *l, JinjaNode *n) {
    if (l->last == NULL)
        l->first = n;
    else
        l->last->next = n;
    l->last = n;
}

/* ---- expressions ---- */

static JinjaNode *parse_expression(Parser *p);
static JinjaNode *parse_unary(Parser *p, bool with_filter);

/* "(...)": arguments or parameters' defaults. */
static JinjaNode *parse_arguments(Parser *p) {
    NodeList l = {0};
    want_operator(p, "(");
    while (p->st == OK && !at_operator(p, ")")) {
        if (at_operator(p, "**")) fail(p, "** in a call is not supported");
        if (take_operator(p, "*")) {
            append(&l, node_ab(p, JN_SPREAD, parse_expression(p), NULL));
        } else if (p->t->kind == JT_NAME && p->t[1].kind == JT_OPERATOR &&
                   strcmp(p->t[1].text, "=") == 0) {
            JinjaNode *k = node(p, JN_KEYWORD);
            k->text = want_name(p);
            step(p);
            k->a = parse_expression(p);
            append(&l, k);
        } else {
            append(&l, parse_expression(p));
        }
        if (!take_operator(p, ",")) break;
    }
    want_operator(p, ")");
    return l.first;
}

/* "x, y" or "x": a tuple when there is a comma. */
static JinjaNode *parse_tuple(Parser *p) {
    JinjaNode *first = parse_expression(p);
    if (!at_operator(p, ",")) return first;
    JinjaNode *tuple = node(p, JN_TUPLE);
    NodeList l = {0};
    append(&l, first);
    while (take_operator(p, ",")) {
        bool end = at_operator(p, ")") || p->t->kind == JT_BLOCK_END ||
                   p->t->kind == JT_VARIABLE_END || at_operator(p, "=") || at_name(p, "in");
        if (end) break;
        append(&l, parse_expression(p));
    }
    tuple->first = l.first;
    return tuple;
}

static JinjaNode *parse_list(Parser *p) {
    JinjaNode *list = node(p, JN_LIST);
    NodeList l = {0};
    step(p);
    while (p->st == OK && !at_operator(p, "]")) {
        append(&l, parse_expression(p));
        if (!take_operator(p, ",")) break;
    }
    want_operator(p, "]");
    list->first = l.first;
    return list;
}

static JinjaNode *parse_dict(Parser *p) {
    JinjaNode *dict = node(p, JN_DICT);
    NodeList l = {0};
    step(p);
    while (p->st == OK && !at_operator(p, "}")) {
        append(&l, parse_expression(p));
        want_operator(p, ":");
        append(&l, parse_expression(p));
        if (!take_operator(p, ",")) break;
    }
    want_operator(p, "}");
    dict->first = l.first;
    return dict;
}

/* Neighbouring strings are one. */
static JinjaNode *parse_string(Parser *p) {
    JinjaNode *s = node(p, JN_TEXT);
    Str joined = {0};
    while (p->t->kind == JT_STRING) {
        str_append_n(&joined, p->t->text, p->t->n);
        step(p);
    }
    s->text = jinja_copy(p->pool, str_text(&joined), joined.len);
    s->n = joined.len;
    str_free(&joined);
    return s;
}

static JinjaNode *parse_name(Parser *p) {
    static const struct {
        const char *name;
        JinjaNodeKind kind;
    } words[] = {{"true", JN_TRUE},   {"True", JN_TRUE}, {"false", JN_FALSE},
                 {"False", JN_FALSE}, {"none", JN_NONE}, {"None", JN_NONE}};
    JinjaNode *n = node(p, JN_NAME);
    n->text = p->t->text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].name, n->text) == 0) n->kind = words[i].kind;
    }
    step(p);
    return n;
}

static JinjaNode *parse_parentheses(Parser *p) {
    step(p);
    if (take_operator(p, ")")) return node(p, JN_TUPLE);
    JinjaNode *n = parse_tuple(p);
    want_operator(p, ")");
    return n;
}

static JinjaNode *parse_primary(Parser *p) {
    JinjaNode *n;
    switch (p->t->kind) {
    case JT_NAME:
        return parse_name(p);
    case JT_STRING:
        return parse_string(p);
    case JT_INTEGER:
        n = node(p, JN_INTEGER);
        n->integer = p->t->integer;
        step(p);
        return n;
    case JT_FLOAT:
        n = node(p, JN_FLOAT);
        n->number = p->t->number;
        step(p);
        return n;
    default:
        break;
    }
    if (at_operator(p, "(")) return parse_parentheses(p);
    if (at_operator(p, "[")) return parse_list(p);
    if (at_operator(p, "{")) return parse_dict(p);
    unexpected(p, "an expression");
    return node(p, JN_NONE);
}

/* a[b], a[b:c:d], behind "[". */
static JinjaNode *parse_subscript(Parser *p, JinjaNode *a) {
    JinjaNode *n = node_ab(p, JN_ITEM, a, NULL);
    if (!at_operator(p, ":")) n->b = parse_expression(p);
    if (take_operator(p, ":")) {
        n->kind = JN_SLICE;
        if (!at_operator(p, "]") && !at_operator(p, ":")) n->c = parse_expression(p);
        if (take_operator(p, ":") && !at_operator(p, "]")) n->d = parse_expression(p);
    }
    want_operator(p, "]");
    return n;
}

static JinjaNode *parse_postfix(Parser *p, JinjaNode *a) {
    while (p->st == OK) {
        if (take_operator(p, ".")) {
            JinjaNode *n = node_ab(p, JN_ATTRIBUTE, a, NULL);
            if (p->t->kind == JT_INTEGER) { /* a.0 */
                n->kind = JN_ITEM;
                n->b = parse_primary(p);
            } else {
                n->text = want_name(p);
            }
            a = n;
        } else if (take_operator(p, "[")) {
            a = parse_subscript(p, a);
        } else if (at_operator(p, "(")) {
            a = node_ab(p, JN_CALL, a, NULL);
            a->first = parse_arguments(p);
        } else {
            break;
        }
    }
    return a;
}

static JinjaNode *parse_filter(Parser *p, JinjaNode *a) {
    JinjaNode *n = node_ab(p, JN_FILTER, a, NULL);
    n->text = want_name(p);
    if (at_operator(p, "(")) n->first = parse_arguments(p);
    return n;
}

/* Behind "is". */
static JinjaNode *parse_test(Parser *p, JinjaNode *a) {
    bool negate = take_name(p, "not");
    JinjaNode *n = node_ab(p, JN_TEST, a, NULL);
    n->text = want_name(p);
    bool word = p->t->kind == JT_NAME && !at_name(p, "else") && !at_name(p, "or") &&
                !at_name(p, "and") && !at_name(p, "is") && !at_name(p, "if") &&
                !at_name(p, "not") && !at_name(p, "in");
    bool value = p->t->kind == JT_STRING || p->t->kind == JT_INTEGER || p->t->kind == JT_FLOAT ||
                 at_operator(p, "[") || at_operator(p, "{");
    if (at_operator(p, "("))
        n->first = parse_arguments(p);
    else if (word || value)
        n->first = parse_postfix(p, parse_primary(p));
    return negate ? node_ab(p, JN_NOT, n, NULL) : n;
}

static JinjaNode *parse_filters(Parser *p, JinjaNode *a) {
    while (p->st == OK) {
        if (take_operator(p, "|")) {
            a = parse_filter(p, a);
        } else if (take_name(p, "is")) {
            a = parse_test(p, a);
        } else if (at_operator(p, "(")) {
            a = node_ab(p, JN_CALL, a, NULL);
            a->first = parse_arguments(p);
        } else {
            break;
        }
    }
    return a;
}

static JinjaNode *parse_unary(Parser *p, bool with_filter) {
    JinjaNode *n;
    if (!enter(p)) return node(p, JN_NONE);
    if (take_operator(p, "-"))
        n = node_ab(p, JN_NEGATIVE, parse_unary(p, false), NULL);
    else if (take_operator(p, "+"))
        n = node_ab(p, JN_POSITIVE, parse_unary(p, false), NULL);
    else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    if (with_filter) n = parse_filters(p, n);
    p->depth--;
    return n;
}

/* Binary operators, by level; each entry is a list of signs. */
static const char *const levels[][5] = {
    {"+", "-", NULL}, {"~", NULL}, {"*", "/", "//", "%", NULL}, {"**", NULL}};
#define N_LEVELS 4

static JinjaNode *parse_binary(Parser *p, int level) {
    if (level == N_LEVELS) return parse_unary(p, true);
    JinjaNode *a = parse_binary(p, level + 1);
    for (int i = 0; p->st == OK && levels[level][i] != NULL;) {
        if (!take_operator(p, levels[level][i])) {
            i++;
            continue;
        }
        JinjaNode *n = node_ab(p, JN_BINARY, a, NULL);
        n->text = levels[level][i];
        n->b = parse_binary(p, level + 1);
        a = n;
        i = 0;
    }
    return a;
}

/* The sign of a comparison, taken; NULL when there is none. */
static const char *take_comparison(Parser *p) {
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (take_operator(p, signs[i])) return signs[i];
    }
    if (take_name(p, "in")) return "in";
    if (at_name(p, "not") && p->t[1].kind == JT_NAME && strcmp(p->t[1].text, "in") == 0) {
        step(p);
        step(p);
        return "not in";
    }
    return NULL;
}

static JinjaNode *parse_comparison(Parser *p) {
    JinjaNode *a = parse_binary(p, 0), *n = NULL;
    NodeList l = {0};
    for (const char *sign; p->st == OK && (sign = take_comparison(p)) != NULL;) {
        if (n == NULL) n = node_ab(p, JN_COMPARE, a, NULL);
        JinjaNode *operand = node(p, JN_OPERAND);
        operand->text = sign;
        operand->a = parse_binary(p, 0);
        append(&l, operand);
    }
    if (n == NULL) return a;
    n->first = l.first;
    return n;
}

static JinjaNode *parse_not(Parser *p) {
    if (!take_name(p, "not")) return parse_comparison(p);
    if (!enter(p)) return node(p, JN_NONE);
    JinjaNode *n = node_ab(p, JN_NOT, parse_not(p), NULL);
    p->depth--;
    return n;
}

static JinjaNode *parse_and(Parser *p) {
    JinjaNode *a = parse_not(p);
    while (take_name(p, "and")) a = node_ab(p, JN_AND, a, parse_not(p));
    return a;
}

static JinjaNode *parse_or(Parser *p) {
    JinjaNode *a = parse_and(p);
    while (take_name(p, "or")) a = node_ab(p, JN_OR, a, parse_and(p));
    return a;
}

static JinjaNode *parse_expression(Parser *p) {
    if (!enter(p)) return node(p, JN_NONE);
    JinjaNode *a = parse_or(p);
    while (take_name(p, "if")) {
        JinjaNode *n = node_ab(p, JN_CONDITION, a, parse_or(p));
        if (take_name(p, "else")) n->c = parse_expression(p);
        a = n;
    }
    p->depth--;
    return a;
}

/* ---- statements ---- */

static JinjaNode *parse_body(Parser *p, const char *const *ends);

/* "%}" */
static void end_block(Parser *p) {
    want_kind(p, JT_BLOCK_END, "%}");
}

/* Body up to {% end %}, which is read. */
static JinjaNode *parse_until(Parser *p, const char *end) {
    const char *const ends[] = {end, NULL};
    JinjaNode *body = parse_body(p, ends);
    step(p); /* its name */
    end_block(p);
    return body;
}

/* What {% for %} and {% set %} assign to. */
static JinjaNode *parse_target(Parser *p) {
    bool brackets = take_operator(p, "(");
    NodeList l = {0};
    JinjaNode *tuple = NULL;
    do {
        if (l.first != NULL && tuple == NULL) tuple = node(p, JN_TUPLE);
        if (l.first != NULL && p->t->kind != JT_NAME) break; /* a comma at the end */
        JinjaNode *n = node(p, JN_NAME);
        n->text = want_name(p);
        if (take_operator(p, ".")) {
            n = node_ab(p, JN_ATTRIBUTE, n, NULL);
            n->text = want_name(p);
        }
        append(&l, n);
    } while (take_operator(p, ","));
    if (brackets) want_operator(p, ")");
    if (tuple == NULL) return l.first;
    tuple->first = l.first;
    return tuple;
}

static JinjaNode *parse_if(Parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    JinjaNode *n = node(p, JN_IF);
    if (!enter(p)) return n;
    n->a = parse_tuple(p);
    end_block(p);
    n->body = parse_body(p, ends);
    if (take_name(p, "elif")) {
        n->orelse = parse_if(p);
    } else if (take_name(p, "else")) {
        end_block(p);
        n->orelse = parse_until(p, "endif");
    } else {
        step(p);
        end_block(p);
    }
    p->depth--;
    return n;
}

static JinjaNode *parse_for(Parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    JinjaNode *n = node(p, JN_FOR);
    n->a = parse_target(p);
    if (!take_name(p, "in")) unexpected(p, "in");
    n->b = parse_or(p); /* without an inline if: that is the loop's condition */
    if (take_name(p, "if")) n->c = parse_expression(p);
    if (at_name(p, "recursive")) fail(p, "{% for ... recursive %} is not supported");
    end_block(p);
    n->body = parse_body(p, ends);
    bool otherwise = take_name(p, "else");
    if (!otherwise) step(p);
    end_block(p);
    if (otherwise) n->orelse = parse_until(p, "endfor");
    return n;
}

static JinjaNode *parse_filter_chain(Parser *p) {
    JinjaNode *chain = parse_filter(p, NULL);
    while (take_operator(p, "|")) chain = parse_filter(p, chain);
    return chain;
}

static JinjaNode *parse_set(Parser *p) {
    JinjaNode *n = node(p, JN_SET);
    n->a = parse_target(p);
    if (take_operator(p, "=")) {
        n->b = parse_tuple(p);
        end_block(p);
        return n;
    }
    n->kind = JN_SET_BLOCK;
    if (take_operator(p, "|")) n->b = parse_filter_chain(p);
    end_block(p);
    n->body = parse_until(p, "endset");
    return n;
}

/* "(a, b=1)" of a macro. */
static JinjaNode *parse_parameters(Parser *p) {
    NodeList l = {0};
    want_operator(p, "(");
    while (p->st == OK && !at_operator(p, ")")) {
        JinjaNode *n = node(p, JN_KEYWORD);
        n->text = want_name(p);
        if (take_operator(p, "=")) n->a = parse_expression(p);
        append(&l, n);
        if (!take_operator(p, ",")) break;
    }
    want_operator(p, ")");
    return l.first;
}

static JinjaNode *parse_macro(Parser *p) {
    JinjaNode *n = node(p, JN_MACRO);
    n->text = want_name(p);
    n->first = parse_parameters(p);
    end_block(p);
    n->body = parse_until(p, "endmacro");
    return n;
}

static JinjaNode *parse_call_block(Parser *p) {
    JinjaNode *n = node(p, JN_CALL_BLOCK);
    if (at_operator(p, "(")) n->first = parse_parameters(p);
    n->a = parse_expression(p);
    if (p->st == OK && n->a->kind != JN_CALL) fail(p, "{% call %} needs a call");
    end_block(p);
    n->body = parse_until(p, "endcall");
    return n;
}

static JinjaNode *parse_filter_block(Parser *p) {
    JinjaNode *n = node(p, JN_FILTER_BLOCK);
    n->b = parse_filter_chain(p);
    end_block(p);
    n->body = parse_until(p, "endfilter");
    return n;
}

static JinjaNode *parse_generation(Parser *p) {
    JinjaNode *n = node(p, JN_GENERATION);
    p->has_generation = true;
    end_block(p);
    n->body = parse_until(p, "endgeneration");
    return n;
}

static JinjaNode *parse_jump(Parser *p, JinjaNodeKind kind) {
    JinjaNode *n = node(p, kind);
    end_block(p);
    return n;
}

/* Behind "{%". */
static JinjaNode *parse_statement(Parser *p) {
    if (take_name(p, "if")) return parse_if(p);
    if (take_name(p, "for")) return parse_for(p);
    if (take_name(p, "set")) return parse_set(p);
    if (take_name(p, "macro")) return parse_macro(p);
    if (take_name(p, "call")) return parse_call_block(p);
    if (take_name(p, "filter")) return parse_filter_block(p);
    if (take_name(p, "generation")) return parse_generation(p);
    if (take_name(p, "break")) return parse_jump(p, JN_BREAK);
    if (take_name(p, "continue")) return parse_jump(p, JN_CONTINUE);
    if (p->st == OK) {
        p->st = status_fail(ERR_DATA, "%s:%u: the statement {%% %.40s %%} is not supported here",
                            p->where, p->t->line, p->t->text);
    }
    return node(p, JN_NONE);
}

static bool at_end(const Parser *p, const char *const *ends) {
    for (; ends != NULL && *ends != NULL; ends++) {
        if (at_name(p, *ends)) return true;
    }
    return false;
}

/* Statements up to a block that begins with one of `ends` (whose name is next), or to the end of
 * the template when there are none. */
static JinjaNode *parse_body(Parser *p, const char *const *ends) {
    NodeList l = {0};
    if (!enter(p)) return NULL;
    while (p->st == OK) {
        if (p->t->kind == JT_END) {
            if (ends != NULL) unexpected(p, ends[0]);
            break;
        }
        if (p->t->kind == JT_TEXT) {
            JinjaNode *n = node(p, JN_TEXT);
            n->text = p->t->text;
            n->n = p->t->n;
            append(&l, n);
            step(p);
        } else if (p->t->kind == JT_VARIABLE_BEGIN) {
            step(p);
            JinjaNode *n = node(p, JN_OUTPUT);
            n->a = parse_tuple(p);
            want_kind(p, JT_VARIABLE_END, "}}");
            append(&l, n);
        } else {
            CHECK(p->t->kind == JT_BLOCK_BEGIN, "token %d", (int)p->t->kind);
            step(p);
            if (at_end(p, ends)) break;
            append(&l, parse_statement(p));
        }
    }
    p->depth--;
    return l.first;
}

Status jinja_parse(JinjaPool *pool, JinjaNode **out, const JinjaToken *tokens, const char *where,
                   bool *has_generation) {
    Parser p = {.pool = pool, .t = tokens, .where = where};
    *out = parse_body(&p, NULL);
    *has_generation = p.has_generation;
    return p.st;
}
