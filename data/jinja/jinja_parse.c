/* From tokens to the tree, by recursive descent: statements. */
#include "core/check.h"
#include "data/jinja/jinja_parser.h"

static JinjaNode *parse_body(Parser *p, const char *const *ends);

/* "%}" */
static void end_block(Parser *p) {
    jp_want_kind(p, JT_BLOCK_END, "%}");
}

/* Body up to {% end %}, which is read. */
static JinjaNode *parse_until(Parser *p, const char *end) {
    const char *const ends[] = {end, NULL};
    JinjaNode *body = parse_body(p, ends);
    jp_step(p); /* its name */
    end_block(p);
    return body;
}

/* What {% for %} and {% set %} assign to. */
static JinjaNode *parse_target(Parser *p) {
    bool brackets = jp_take_operator(p, "(");
    NodeList l = {0};
    JinjaNode *tuple = NULL;
    do {
        if (l.first != NULL && tuple == NULL) tuple = jp_node(p, JN_TUPLE);
        if (l.first != NULL && p->t->kind != JT_NAME) break; /* a comma at the end */
        JinjaNode *n = jp_node(p, JN_NAME);
        n->text = jp_want_name(p);
        if (jp_take_operator(p, ".")) {
            n = jp_node_ab(p, JN_ATTRIBUTE, n, NULL);
            n->text = jp_want_name(p);
        }
        jp_append(&l, n);
    } while (jp_take_operator(p, ","));
    if (brackets) jp_want_operator(p, ")");
    if (tuple == NULL) return l.first;
    tuple->first = l.first;
    return tuple;
}

static JinjaNode *parse_if(Parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    JinjaNode *n = jp_node(p, JN_IF);
    if (!jp_enter(p)) return n;
    n->a = jp_tuple(p);
    end_block(p);
    n->body = parse_body(p, ends);
    if (jp_take_name(p, "elif")) {
        n->orelse = parse_if(p);
    } else if (jp_take_name(p, "else")) {
        end_block(p);
        n->orelse = parse_until(p, "endif");
    } else {
        jp_step(p);
        end_block(p);
    }
    p->depth--;
    return n;
}

static JinjaNode *parse_for(Parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    JinjaNode *n = jp_node(p, JN_FOR);
    n->a = parse_target(p);
    if (!jp_take_name(p, "in")) jp_unexpected(p, "in");
    n->b = jp_or(p); /* without an inline if: that is the loop's condition */
    if (jp_take_name(p, "if")) n->c = jp_expression(p);
    if (jp_at_name(p, "recursive")) jp_fail(p, "{% for ... recursive %} is not supported");
    end_block(p);
    n->body = parse_body(p, ends);
    bool otherwise = jp_take_name(p, "else");
    if (!otherwise) jp_step(p);
    end_block(p);
    if (otherwise) n->orelse = parse_until(p, "endfor");
    return n;
}

static JinjaNode *parse_filter_chain(Parser *p) {
    JinjaNode *chain = jp_filter(p, NULL);
    while (jp_take_operator(p, "|")) chain = jp_filter(p, chain);
    return chain;
}

static JinjaNode *parse_set(Parser *p) {
    JinjaNode *n = jp_node(p, JN_SET);
    n->a = parse_target(p);
    if (jp_take_operator(p, "=")) {
        n->b = jp_tuple(p);
        end_block(p);
        return n;
    }
    n->kind = JN_SET_BLOCK;
    if (jp_take_operator(p, "|")) n->b = parse_filter_chain(p);
    end_block(p);
    n->body = parse_until(p, "endset");
    return n;
}

/* "(a, b=1)" of a macro. */
static JinjaNode *parse_parameters(Parser *p) {
    NodeList l = {0};
    jp_want_operator(p, "(");
    while (p->st == OK && !jp_at_operator(p, ")")) {
        JinjaNode *n = jp_node(p, JN_KEYWORD);
        n->text = jp_want_name(p);
        if (jp_take_operator(p, "=")) n->a = jp_expression(p);
        jp_append(&l, n);
        if (!jp_take_operator(p, ",")) break;
    }
    jp_want_operator(p, ")");
    return l.first;
}

static JinjaNode *parse_macro(Parser *p) {
    JinjaNode *n = jp_node(p, JN_MACRO);
    n->text = jp_want_name(p);
    n->first = parse_parameters(p);
    end_block(p);
    n->body = parse_until(p, "endmacro");
    return n;
}

static JinjaNode *parse_call_block(Parser *p) {
    JinjaNode *n = jp_node(p, JN_CALL_BLOCK);
    if (jp_at_operator(p, "(")) n->first = parse_parameters(p);
    n->a = jp_expression(p);
    if (p->st == OK && n->a->kind != JN_CALL) jp_fail(p, "{% call %} needs a call");
    end_block(p);
    n->body = parse_until(p, "endcall");
    return n;
}

static JinjaNode *parse_filter_block(Parser *p) {
    JinjaNode *n = jp_node(p, JN_FILTER_BLOCK);
    n->b = parse_filter_chain(p);
    end_block(p);
    n->body = parse_until(p, "endfilter");
    return n;
}

static JinjaNode *parse_generation(Parser *p) {
    JinjaNode *n = jp_node(p, JN_GENERATION);
    p->has_generation = true;
    end_block(p);
    n->body = parse_until(p, "endgeneration");
    return n;
}

static JinjaNode *parse_jump(Parser *p, JinjaNodeKind kind) {
    JinjaNode *n = jp_node(p, kind);
    end_block(p);
    return n;
}

/* Behind "{%". */
static JinjaNode *parse_statement(Parser *p) {
    if (jp_take_name(p, "if")) return parse_if(p);
    if (jp_take_name(p, "for")) return parse_for(p);
    if (jp_take_name(p, "set")) return parse_set(p);
    if (jp_take_name(p, "macro")) return parse_macro(p);
    if (jp_take_name(p, "call")) return parse_call_block(p);
    if (jp_take_name(p, "filter")) return parse_filter_block(p);
    if (jp_take_name(p, "generation")) return parse_generation(p);
    if (jp_take_name(p, "break")) return parse_jump(p, JN_BREAK);
    if (jp_take_name(p, "continue")) return parse_jump(p, JN_CONTINUE);
    if (p->st == OK) {
        p->st = status_fail(ERR_DATA, "%s:%u: the statement {%% %.40s %%} is not supported here",
                            p->where, p->t->line, p->t->text);
    }
    return jp_node(p, JN_NONE);
}

static bool at_end(const Parser *p, const char *const *ends) {
    for (; ends != NULL && *ends != NULL; ends++) {
        if (jp_at_name(p, *ends)) return true;
    }
    return false;
}

/* Statements up to a block that begins with one of `ends` (whose name is next), or to the end of
 * the template when there are none. */
static JinjaNode *parse_body(Parser *p, const char *const *ends) {
    NodeList l = {0};
    if (!jp_enter(p)) return NULL;
    while (p->st == OK) {
        if (p->t->kind == JT_END) {
            if (ends != NULL) jp_unexpected(p, ends[0]);
            break;
        }
        if (p->t->kind == JT_TEXT) {
            JinjaNode *n = jp_node(p, JN_TEXT);
            n->text = p->t->text;
            n->n = p->t->n;
            jp_append(&l, n);
            jp_step(p);
        } else if (p->t->kind == JT_VARIABLE_BEGIN) {
            jp_step(p);
            JinjaNode *n = jp_node(p, JN_OUTPUT);
            n->a = jp_tuple(p);
            jp_want_kind(p, JT_VARIABLE_END, "}}");
            jp_append(&l, n);
        } else {
            CHECK(p->t->kind == JT_BLOCK_BEGIN, "token %d", (int)p->t->kind);
            jp_step(p);
            if (at_end(p, ends)) break;
            jp_append(&l, parse_statement(p));
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
