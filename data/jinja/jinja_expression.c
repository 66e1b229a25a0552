/* Expressions, with Jinja's own precedences (from loose to tight):
 *     if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary, postfix, filters */
#include "core/str.h"
#include "data/jinja/jinja_parser.h"

#include <string.h>

#define DEPTH_MAX 200

/* Remembers the first failure; the rest of the parse runs dry. */
JinjaNode *jp_fail(Parser *p, const char *what) {
    if (p->st == OK) p->st = status_fail(ERR_DATA, "%s:%u: %s", p->where, p->t->line, what);
    return jinja_zalloc(p->pool, sizeof(JinjaNode));
}

void jp_unexpected(Parser *p, const char *wanted) {
    if (p->st != OK) return;
    const char *got = p->t->kind == JT_END            ? "the end of the template"
                      : p->t->kind == JT_BLOCK_END    ? "%}"
                      : p->t->kind == JT_VARIABLE_END ? "}}"
                                                      : p->t->text;
    p->st =
        status_fail(ERR_DATA, "%s:%u: expected %s, not `%.40s`", p->where, p->t->line, wanted, got);
}

JinjaNode *jp_node(Parser *p, JinjaNodeKind kind) {
    JinjaNode *n = jinja_zalloc(p->pool, sizeof *n);
    n->kind = kind;
    n->line = p->t->line;
    return n;
}

JinjaNode *jp_node_ab(Parser *p, JinjaNodeKind kind, JinjaNode *a, JinjaNode *b) {
    JinjaNode *n = jp_node(p, kind);
    n->a = a;
    n->b = b;
    return n;
}

bool jp_enter(Parser *p) {
    if (++p->depth > DEPTH_MAX) jp_fail(p, "the template is nested too deep");
    return p->st == OK;
}

bool jp_at_operator(const Parser *p, const char *sign) {
    return p->t->kind == JT_OPERATOR && strcmp(p->t->text, sign) == 0;
}

bool jp_at_name(const Parser *p, const char *name) {
    return p->t->kind == JT_NAME && strcmp(p->t->text, name) == 0;
}

void jp_step(Parser *p) {
    if (p->t->kind != JT_END) p->t++;
}

bool jp_take_operator(Parser *p, const char *sign) {
    if (p->st != OK || !jp_at_operator(p, sign)) return false;
    jp_step(p);
    return true;
}

bool jp_take_name(Parser *p, const char *name) {
    if (p->st != OK || !jp_at_name(p, name)) return false;
    jp_step(p);
    return true;
}

void jp_want_operator(Parser *p, const char *sign) {
    if (!jp_take_operator(p, sign)) jp_unexpected(p, sign);
}

void jp_want_kind(Parser *p, JinjaTokenKind kind, const char *what) {
    if (p->st == OK && p->t->kind == kind)
        jp_step(p);
    else
        jp_unexpected(p, what);
}

const char *jp_want_name(Parser *p) {
    const char *name = p->t->text;
    jp_want_kind(p, JT_NAME, "a name");
    return name;
}

void jp_append(NodeList *l, JinjaNode *n) {
    if (l->last == NULL)
        l->first = n;
    else
        l->last->next = n;
    l->last = n;
}

/* ---- expressions ---- */

static JinjaNode *parse_unary(Parser *p, bool with_filter);

/* "(...)": arguments or parameters' defaults. */
JinjaNode *jp_arguments(Parser *p) {
    NodeList l = {0};
    jp_want_operator(p, "(");
    while (p->st == OK && !jp_at_operator(p, ")")) {
        if (jp_at_operator(p, "**")) jp_fail(p, "** in a call is not supported");
        if (jp_take_operator(p, "*")) {
            jp_append(&l, jp_node_ab(p, JN_SPREAD, jp_expression(p), NULL));
        } else if (p->t->kind == JT_NAME && p->t[1].kind == JT_OPERATOR &&
                   strcmp(p->t[1].text, "=") == 0) {
            JinjaNode *k = jp_node(p, JN_KEYWORD);
            k->text = jp_want_name(p);
            jp_step(p);
            k->a = jp_expression(p);
            jp_append(&l, k);
        } else {
            jp_append(&l, jp_expression(p));
        }
        if (!jp_take_operator(p, ",")) break;
    }
    jp_want_operator(p, ")");
    return l.first;
}

/* "x, y" or "x": a tuple when there is a comma. */
JinjaNode *jp_tuple(Parser *p) {
    JinjaNode *first = jp_expression(p);
    if (!jp_at_operator(p, ",")) return first;
    JinjaNode *tuple = jp_node(p, JN_TUPLE);
    NodeList l = {0};
    jp_append(&l, first);
    while (jp_take_operator(p, ",")) {
        bool end = jp_at_operator(p, ")") || p->t->kind == JT_BLOCK_END ||
                   p->t->kind == JT_VARIABLE_END || jp_at_operator(p, "=") || jp_at_name(p, "in");
        if (end) break;
        jp_append(&l, jp_expression(p));
    }
    tuple->first = l.first;
    return tuple;
}

static JinjaNode *parse_list(Parser *p) {
    JinjaNode *list = jp_node(p, JN_LIST);
    NodeList l = {0};
    jp_step(p);
    while (p->st == OK && !jp_at_operator(p, "]")) {
        jp_append(&l, jp_expression(p));
        if (!jp_take_operator(p, ",")) break;
    }
    jp_want_operator(p, "]");
    list->first = l.first;
    return list;
}

static JinjaNode *parse_dict(Parser *p) {
    JinjaNode *dict = jp_node(p, JN_DICT);
    NodeList l = {0};
    jp_step(p);
    while (p->st == OK && !jp_at_operator(p, "}")) {
        jp_append(&l, jp_expression(p));
        jp_want_operator(p, ":");
        jp_append(&l, jp_expression(p));
        if (!jp_take_operator(p, ",")) break;
    }
    jp_want_operator(p, "}");
    dict->first = l.first;
    return dict;
}

/* Neighbouring strings are one. */
static JinjaNode *parse_string(Parser *p) {
    JinjaNode *s = jp_node(p, JN_TEXT);
    Str joined = {0};
    while (p->t->kind == JT_STRING) {
        str_append_n(&joined, p->t->text, p->t->n);
        jp_step(p);
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
    JinjaNode *n = jp_node(p, JN_NAME);
    n->text = p->t->text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].name, n->text) == 0) n->kind = words[i].kind;
    }
    jp_step(p);
    return n;
}

static JinjaNode *parse_parentheses(Parser *p) {
    jp_step(p);
    if (jp_take_operator(p, ")")) return jp_node(p, JN_TUPLE);
    JinjaNode *n = jp_tuple(p);
    jp_want_operator(p, ")");
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
        n = jp_node(p, JN_INTEGER);
        n->integer = p->t->integer;
        jp_step(p);
        return n;
    case JT_FLOAT:
        n = jp_node(p, JN_FLOAT);
        n->number = p->t->number;
        jp_step(p);
        return n;
    default:
        break;
    }
    if (jp_at_operator(p, "(")) return parse_parentheses(p);
    if (jp_at_operator(p, "[")) return parse_list(p);
    if (jp_at_operator(p, "{")) return parse_dict(p);
    jp_unexpected(p, "an expression");
    return jp_node(p, JN_NONE);
}

/* a[b], a[b:c:d], behind "[". */
static JinjaNode *parse_subscript(Parser *p, JinjaNode *a) {
    JinjaNode *n = jp_node_ab(p, JN_ITEM, a, NULL);
    if (!jp_at_operator(p, ":")) n->b = jp_expression(p);
    if (jp_take_operator(p, ":")) {
        n->kind = JN_SLICE;
        if (!jp_at_operator(p, "]") && !jp_at_operator(p, ":")) n->c = jp_expression(p);
        if (jp_take_operator(p, ":") && !jp_at_operator(p, "]")) n->d = jp_expression(p);
    }
    jp_want_operator(p, "]");
    return n;
}

static JinjaNode *parse_postfix(Parser *p, JinjaNode *a) {
    while (p->st == OK) {
        if (jp_take_operator(p, ".")) {
            JinjaNode *n = jp_node_ab(p, JN_ATTRIBUTE, a, NULL);
            if (p->t->kind == JT_INTEGER) { /* a.0 */
                n->kind = JN_ITEM;
                n->b = parse_primary(p);
            } else {
                n->text = jp_want_name(p);
            }
            a = n;
        } else if (jp_take_operator(p, "[")) {
            a = parse_subscript(p, a);
        } else if (jp_at_operator(p, "(")) {
            a = jp_node_ab(p, JN_CALL, a, NULL);
            a->first = jp_arguments(p);
        } else {
            break;
        }
    }
    return a;
}

JinjaNode *jp_filter(Parser *p, JinjaNode *a) {
    JinjaNode *n = jp_node_ab(p, JN_FILTER, a, NULL);
    n->text = jp_want_name(p);
    if (jp_at_operator(p, "(")) n->first = jp_arguments(p);
    return n;
}

/* Behind "is". */
static JinjaNode *parse_test(Parser *p, JinjaNode *a) {
    bool negate = jp_take_name(p, "not");
    JinjaNode *n = jp_node_ab(p, JN_TEST, a, NULL);
    n->text = jp_want_name(p);
    bool word = p->t->kind == JT_NAME && !jp_at_name(p, "else") && !jp_at_name(p, "or") &&
                !jp_at_name(p, "and") && !jp_at_name(p, "is") && !jp_at_name(p, "if") &&
                !jp_at_name(p, "not") && !jp_at_name(p, "in");
    bool value = p->t->kind == JT_STRING || p->t->kind == JT_INTEGER || p->t->kind == JT_FLOAT ||
                 jp_at_operator(p, "[") || jp_at_operator(p, "{");
    if (jp_at_operator(p, "("))
        n->first = jp_arguments(p);
    else if (word || value)
        n->first = parse_postfix(p, parse_primary(p));
    return negate ? jp_node_ab(p, JN_NOT, n, NULL) : n;
}

static JinjaNode *parse_filters(Parser *p, JinjaNode *a) {
    while (p->st == OK) {
        if (jp_take_operator(p, "|")) {
            a = jp_filter(p, a);
        } else if (jp_take_name(p, "is")) {
            a = parse_test(p, a);
        } else if (jp_at_operator(p, "(")) {
            a = jp_node_ab(p, JN_CALL, a, NULL);
            a->first = jp_arguments(p);
        } else {
            break;
        }
    }
    return a;
}

static JinjaNode *parse_unary(Parser *p, bool with_filter) {
    JinjaNode *n;
    if (!jp_enter(p)) return jp_node(p, JN_NONE);
    if (jp_take_operator(p, "-"))
        n = jp_node_ab(p, JN_NEGATIVE, parse_unary(p, false), NULL);
    else if (jp_take_operator(p, "+"))
        n = jp_node_ab(p, JN_POSITIVE, parse_unary(p, false), NULL);
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
        if (!jp_take_operator(p, levels[level][i])) {
            i++;
            continue;
        }
        JinjaNode *n = jp_node_ab(p, JN_BINARY, a, NULL);
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
        if (jp_take_operator(p, signs[i])) return signs[i];
    }
    if (jp_take_name(p, "in")) return "in";
    if (jp_at_name(p, "not") && p->t[1].kind == JT_NAME && strcmp(p->t[1].text, "in") == 0) {
        jp_step(p);
        jp_step(p);
        return "not in";
    }
    return NULL;
}

static JinjaNode *parse_comparison(Parser *p) {
    JinjaNode *a = parse_binary(p, 0), *n = NULL;
    NodeList l = {0};
    for (const char *sign; p->st == OK && (sign = take_comparison(p)) != NULL;) {
        if (n == NULL) n = jp_node_ab(p, JN_COMPARE, a, NULL);
        JinjaNode *operand = jp_node(p, JN_OPERAND);
        operand->text = sign;
        operand->a = parse_binary(p, 0);
        jp_append(&l, operand);
    }
    if (n == NULL) return a;
    n->first = l.first;
    return n;
}

static JinjaNode *parse_not(Parser *p) {
    if (!jp_take_name(p, "not")) return parse_comparison(p);
    if (!jp_enter(p)) return jp_node(p, JN_NONE);
    JinjaNode *n = jp_node_ab(p, JN_NOT, parse_not(p), NULL);
    p->depth--;
    return n;
}

static JinjaNode *parse_and(Parser *p) {
    JinjaNode *a = parse_not(p);
    while (jp_take_name(p, "and")) a = jp_node_ab(p, JN_AND, a, parse_not(p));
    return a;
}

JinjaNode *jp_or(Parser *p) {
    JinjaNode *a = parse_and(p);
    while (jp_take_name(p, "or")) a = jp_node_ab(p, JN_OR, a, parse_and(p));
    return a;
}

JinjaNode *jp_expression(Parser *p) {
    if (!jp_enter(p)) return jp_node(p, JN_NONE);
    JinjaNode *a = jp_or(p);
    while (jp_take_name(p, "if")) {
        JinjaNode *n = jp_node_ab(p, JN_CONDITION, a, jp_or(p));
        if (jp_take_name(p, "else")) n->c = jp_expression(p);
        a = n;
    }
    p->depth--;
    return a;
}
