/* What statements write. */
#include "core/check.h"
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"

#include <string.h>

#define OUTPUT_MAX ((size_t)64 << 20)

/* ---- names ---- */

struct JScope {
    JScope *outer;
    const char **name; /* [n] */
    JValue *value;
    size_t n, cap;
};

JScope *j_scope(JinjaRun *r, JScope *outer) {
    JScope *s = jinja_zalloc(&r->pool, sizeof *s);
    s->outer = outer;
    return s;
}

static JValue *find_here(const JScope *s, const char *name) {
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->name[i], name) == 0) return &s->value[i];
    }
    return NULL;
}

const JValue *j_lookup(const JScope *s, const char *name) {
    for (; s != NULL; s = s->outer) {
        const JValue *v = find_here(s, name);
        if (v != NULL) return v;
    }
    return NULL;
}

void j_assign(JinjaRun *r, JScope *s, const char *name, JValue v) {
    JValue *there = find_here(s, name);
    if (there != NULL) {
        *there = v;
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 8 : s->cap * 2;
        const char **names = jinja_alloc(&r->pool, s->cap * sizeof *names);
        JValue *values = jinja_alloc(&r->pool, s->cap * sizeof *values);
        if (s->n > 0) {
            memcpy(names, s->name, s->n * sizeof *names);
            memcpy(values, s->value, s->n * sizeof *values);
        }
        s->name = names;
        s->value = values;
    }
    s->name[s->n] = name;
    s->value[s->n++] = v;
}

/* Assigns to a name, a namespace's attribute, or a tuple of them. */
static void assign_target(JinjaRun *r, JScope *s, const JinjaNode *target, JValue v) {
    if (target->kind == JN_NAME) {
        j_assign(r, s, target->text, v);
    } else if (target->kind == JN_ATTRIBUTE) {
        JValue ns = j_evaluate(r, s, target->a);
        if (r->st != OK) return;
        if (ns.kind == JK_NAMESPACE)
            j_set(r, ns.as.dict, j_trusted(r, target->text), v);
        else
            j_fail(r, "cannot assign attribute on non-namespace object");
    } else {
        JList *items = j_items(r, v);
        size_t i = 0;
        for (const JinjaNode *t = target->first; t != NULL && r->st == OK; t = t->next, i++) {
            if (i < items->n) assign_target(r, s, t, items->item[i]);
        }
        if (r->st == OK && i != items->n) {
            j_fail(r, "%s values to unpack (expected %zu, got %zu)",
                   i > items->n ? "not enough" : "too many", i, items->n);
        }
    }
}

/* ---- writing ---- */

/* Text of the template, or of a value, with the mask of where we are. */
static void write_masked(JinjaRun *r, Tagged *out, const Tagged *text) {
    size_t from = out->text.len;
    if (from + text->text.len > OUTPUT_MAX) {
        j_fail(r, "the template writes more than %zu bytes", OUTPUT_MAX);
        return;
    }
    tagged_copy(out, text, 0, text->text.len);
    for (size_t i = from; i < out->text.len && r->mask; i++) out->tag[i] |= r->mask;
}

static void write_value(JinjaRun *r, Tagged *out, JValue v) {
    Tagged text = j_build();
    j_print(r, &text, v);
    if (r->st == OK) write_masked(r, out, &text);
    tagged_free(&text);
}

static void write_literal(JinjaRun *r, Tagged *out, const JinjaNode *n) {
    if (out->text.len + n->n > OUTPUT_MAX) {
        j_fail(r, "the template writes more than %zu bytes", OUTPUT_MAX);
        return;
    }
    tagged_append(out, n->text, n->n, (uint8_t)(SEGMENT_SPECIAL | r->mask));
}

/* What the statements write, as a value. */
static JValue capture(JinjaRun *r, JScope *s, const JinjaNode *body) {
    Tagged text = j_build();
    j_execute(r, s, &text, body);
    return j_take(r, &text);
}

static JValue filtered(JinjaRun *r, JScope *s, const JinjaNode *chain, JValue v) {
    if (chain == NULL || r->st != OK) return v;
    v = filtered(r, s, chain->a, v);
    JArguments a;
    j_evaluate_arguments(r, s, chain->first, &a);
    return r->st == OK ? j_filter(r, chain->text, v, &a) : v;
}

/* ---- loops ---- */

static JList *loop_items(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JList *all = j_items(r, j_evaluate(r, s, n->b));
    if (n->c == NULL || r->st != OK) return all;
    JValue chosen = j_list(r, JK_LIST);
    for (size_t i = 0; i < all->n && j_step(r); i++) {
        JScope *inner = j_scope(r, s);
        assign_target(r, inner, n->a, all->item[i]);
        if (j_truth(j_evaluate(r, inner, n->c))) j_push(r, chosen.as.list, all->item[i]);
    }
    return chosen.as.list;
}

static void execute_for(JinjaRun *r, JScope *s, Tagged *out, const JinjaNode *n) {
    JList *items = loop_items(r, s, n);
    if (r->st != OK) return;
    if (items->n == 0) {
        j_execute(r, j_scope(r, s), out, n->orelse);
        return;
    }
    JLoop *loop = jinja_zalloc(&r->pool, sizeof *loop);
    loop->items = items;
    for (; loop->index < items->n && j_step(r) && !r->breaking; loop->index++) {
        JScope *inner = j_scope(r, s); /* what is set in a turn is gone after it */
        assign_target(r, inner, n->a, items->item[loop->index]);
        j_assign(r, inner, "loop", (JValue){.kind = JK_LOOP, .as.loop = loop});
        j_execute(r, inner, out, n->body);
        r->continuing = false;
    }
    r->breaking = false;
}

/* ---- macros ---- */

static JValue macro_value(JinjaRun *r, JScope *s, const JinjaNode *n, const char *name) {
    JValue f = j_function(r, name, j_undefined(NULL));
    f.as.function->macro = n;
    f.as.function->scope = s;
    return f;
}

/* The value for a parameter: by place, by name, its default. */
static JValue parameter(JinjaRun *r, JScope *s, const JinjaNode *p, size_t i, const JArguments *a) {
    if (i < a->n) return a->value[i];
    for (size_t k = 0; k < a->n_named; k++) {
        if (strcmp(a->name[k], p->text) == 0) return a->named[k];
    }
    return p->a != NULL ? j_evaluate(r, s, p->a) : j_undefined(p->text);
}

JValue j_call_macro(JinjaRun *r, const JFunction *f, const JArguments *a) {
    JScope *s = j_scope(r, f->scope);
    size_t i = 0;
    for (const JinjaNode *p = f->macro->first; p != NULL && r->st == OK; p = p->next) {
        j_assign(r, s, p->text, parameter(r, s, p, i++, a));
    }
    if (a->n > i) {
        return j_fail(r, "macro '%s' takes not more than %zu argument(s)", f->name, i);
    }
    for (size_t k = 0; k < a->n_named; k++) {
        bool known = strcmp(a->name[k], "caller") == 0;
        if (known) j_assign(r, s, "caller", a->named[k]);
        for (const JinjaNode *p = f->macro->first; p != NULL; p = p->next) {
            known = known || strcmp(p->text, a->name[k]) == 0;
        }
        if (!known)
            return j_fail(r, "macro '%s' takes no keyword argument '%s'", f->name, a->name[k]);
    }
    bool breaking = r->breaking, continuing = r->continuing;
    JValue v = capture(r, s, f->macro->body);
    r->breaking = breaking;
    r->continuing = continuing;
    return v;
}

/* {% call f(x) %}body{% endcall %}: f gets the body as `caller`. */
static void execute_call_block(JinjaRun *r, JScope *s, Tagged *out, const JinjaNode *n) {
    JArguments a;
    JValue f = j_evaluate(r, s, n->a->a);
    j_evaluate_arguments(r, s, n->a->first, &a);
    if (a.n + a.n_named == JINJA_MAX_ARGUMENTS) j_fail(r, "a call has too many arguments");
    if (r->st != OK) return;
    a.name[a.n_named] = "caller";
    a.named[a.n_named++] = macro_value(r, s, n, "caller");
    if (r->st == OK) write_value(r, out, j_call(r, f, &a));
}

/* ---- statements ---- */

static void execute_set(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JValue v = n->kind == JN_SET ? j_evaluate(r, s, n->b)
                                 : filtered(r, s, n->b, capture(r, j_scope(r, s), n->body));
    if (r->st == OK) assign_target(r, s, n->a, v);
}

static void execute_generation(JinjaRun *r, JScope *s, Tagged *out, const JinjaNode *n) {
    uint8_t before = r->mask;
    r->mask = SEGMENT_MASK;
    j_execute(r, s, out, n->body);
    r->mask = before;
}

static void execute_one(JinjaRun *r, JScope *s, Tagged *out, const JinjaNode *n) {
    switch (n->kind) {
    case JN_TEXT:
        write_literal(r, out, n);
        return;
    case JN_OUTPUT:
        write_value(r, out, j_evaluate(r, s, n->a));
        return;
    case JN_IF:
        j_execute(r, s, out, j_truth(j_evaluate(r, s, n->a)) ? n->body : n->orelse);
        return;
    case JN_FOR:
        execute_for(r, s, out, n);
        return;
    case JN_SET:
    case JN_SET_BLOCK:
        execute_set(r, s, n);
        return;
    case JN_MACRO:
        j_assign(r, s, n->text, macro_value(r, s, n, n->text));
        return;
    case JN_CALL_BLOCK:
        execute_call_block(r, s, out, n);
        return;
    case JN_FILTER_BLOCK:
        write_value(r, out, filtered(r, s, n->b, capture(r, j_scope(r, s), n->body)));
        return;
    case JN_GENERATION:
        execute_generation(r, s, out, n);
        return;
    case JN_BREAK:
        r->breaking = true;
        return;
    case JN_CONTINUE:
        r->continuing = true;
        return;
    default:
        FAIL("node %d is no statement", (int)n->kind);
    }
}

void j_execute(JinjaRun *r, JScope *scope, Tagged *out, const JinjaNode *n) {
    for (; n != NULL && r->st == OK && !r->breaking && !r->continuing; n = n->next) {
        if (!j_step(r)) return;
        r->line = n->line;
        execute_one(r, scope, out, n);
    }
}
