/* The value of an expression. */
#include "core/check.h"
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 400
#define REPEAT_MAX ((size_t)1 << 20) /* bytes or items that * may make */

static JValue evaluate(JinjaRun *r, JScope *s, const JinjaNode *n);

/* ---- arithmetic ---- */

static JValue overflow(JinjaRun *r) {
    return j_fail(r, "an integer is too large");
}

static JValue bad_operands(JinjaRun *r, const char *sign, JValue a, JValue b) {
    JValue undefined = a.kind == JK_UNDEFINED ? a : b;
    if (undefined.kind == JK_UNDEFINED && undefined.as.name != NULL) {
        return j_fail(r, "'%s' is undefined", undefined.as.name);
    }
    return j_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'", sign, j_type_name(a),
                  j_type_name(b));
}

static int64_t as_integer(JValue v) {
    return v.kind == JK_BOOL ? v.as.boolean : v.as.integer;
}

static JValue divide_integers(JinjaRun *r, bool modulo, int64_t a, int64_t b) {
    if (b == 0) return j_fail(r, "integer division or modulo by zero");
    if (b == -1) { /* INT64_MIN / -1 does not fit */
        int64_t negative;
        if (__builtin_sub_overflow((int64_t)0, a, &negative))
            return modulo ? j_int(0) : overflow(r);
        return j_int(modulo ? 0 : negative);
    }
    int64_t q = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) { /* Python rounds down */
        q--;
        rest += b;
    }
    return j_int(modulo ? rest : q);
}

static JValue power(JinjaRun *r, JValue a, JValue b) {
    bool integers = a.kind != JK_FLOAT && b.kind != JK_FLOAT && as_integer(b) >= 0;
    if (!integers) return j_float(pow(j_number(a), j_number(b)));
    int64_t base = as_integer(a), result = 1;
    for (int64_t i = as_integer(b); i > 0 && j_step(r); i--) {
        if (__builtin_mul_overflow(result, base, &result)) return overflow(r);
    }
    return j_int(result);
}

static JValue calculate(JinjaRun *r, const char *sign, JValue a, JValue b) {
    if (strcmp(sign, "**") == 0) return power(r, a, b);
    if (strcmp(sign, "/") == 0) {
        if (j_number(b) == 0) return j_fail(r, "division by zero");
        return j_float(j_number(a) / j_number(b));
    }
    bool real = a.kind == JK_FLOAT || b.kind == JK_FLOAT;
    double x = j_number(a), y = j_number(b);
    int64_t i = 0;
    switch (sign[0]) {
    case '+':
        if (real) return j_float(x + y);
        return __builtin_add_overflow(as_integer(a), as_integer(b), &i) ? overflow(r) : j_int(i);
    case '-':
        if (real) return j_float(x - y);
        return __builtin_sub_overflow(as_integer(a), as_integer(b), &i) ? overflow(r) : j_int(i);
    case '*':
        if (real) return j_float(x * y);
        return __builtin_mul_overflow(as_integer(a), as_integer(b), &i) ? overflow(r) : j_int(i);
    case '/':
    case '%':
        break;
    default:
        FAIL("operator %s", sign);
    }
    if (!real) return divide_integers(r, sign[0] == '%', as_integer(a), as_integer(b));
    if (y == 0) return j_fail(r, "float modulo");
    double q = floor(x / y);
    return j_float(sign[0] == '%' ? x - q * y : q);
}

static JValue join(JinjaRun *r, JValue a, JValue b) { /* str(a) + str(b) */
    Tagged out = j_build();
    j_print(r, &out, a);
    j_print(r, &out, b);
    return j_take(r, &out);
}

/* Markup's rule: what is added to a safe text is escaped. */
static JValue add_texts(JinjaRun *r, JValue a, JValue b) {
    if (!a.as.string->safe && !b.as.string->safe) return join(r, a, b);
    JValue sum = join(r, j_escape(r, a.as.string), j_escape(r, b.as.string));
    return j_mark_safe(r, sum.as.string);
}

static JValue repeat(JinjaRun *r, JValue what, int64_t times) {
    bool text = what.kind == JK_STRING;
    size_t n = text ? what.as.string->n : what.as.list->n, count = times < 0 ? 0 : (size_t)times;
    if (n > 0 && count > REPEAT_MAX / n) return j_fail(r, "* makes too long a result");
    if (text) {
        Tagged out = j_build();
        for (size_t i = 0; n > 0 && i < count; i++) j_append(&out, what.as.string);
        return j_take(r, &out);
    }
    JValue l = j_list(r, what.kind);
    for (size_t i = 0; n > 0 && i < count; i++) {
        for (size_t k = 0; k < n; k++) j_push(r, l.as.list, what.as.list->item[k]);
    }
    return l;
}

static JValue join_lists(JinjaRun *r, JValue a, JValue b) {
    JValue l = j_list(r, a.kind);
    for (size_t i = 0; i < a.as.list->n; i++) j_push(r, l.as.list, a.as.list->item[i]);
    for (size_t i = 0; i < b.as.list->n; i++) j_push(r, l.as.list, b.as.list->item[i]);
    return l;
}

static bool is_sequence(JValue v) {
    return v.kind == JK_STRING || v.kind == JK_LIST || v.kind == JK_TUPLE;
}

static JValue binary(JinjaRun *r, const char *sign, JValue a, JValue b) {
    if (sign[0] == '~') return join(r, a, b);
    if (j_is_number(a) && j_is_number(b)) return calculate(r, sign, a, b);
    if (sign[0] == '+' && a.kind == b.kind && is_sequence(a)) {
        return a.kind == JK_STRING ? add_texts(r, a, b) : join_lists(r, a, b);
    }
    if (strcmp(sign, "*") == 0 && is_sequence(a) && (b.kind == JK_INT || b.kind == JK_BOOL)) {
        return repeat(r, a, as_integer(b));
    }
    if (strcmp(sign, "*") == 0 && is_sequence(b) && (a.kind == JK_INT || a.kind == JK_BOOL)) {
        return repeat(r, b, as_integer(a));
    }
    return bad_operands(r, sign, a, b);
}

static JValue negative(JinjaRun *r, JValue v) {
    int64_t i;
    if (v.kind == JK_FLOAT) return j_float(-v.as.number);
    if (!j_is_number(v)) return j_fail(r, "bad operand type for unary -: '%s'", j_type_name(v));
    return __builtin_sub_overflow((int64_t)0, as_integer(v), &i) ? overflow(r) : j_int(i);
}

static bool compare(JinjaRun *r, const char *sign, JValue a, JValue b) {
    if (strcmp(sign, "==") == 0) return j_equal(a, b);
    if (strcmp(sign, "!=") == 0) return !j_equal(a, b);
    if (strcmp(sign, "in") == 0) return j_contains(r, b, a);
    if (strcmp(sign, "not in") == 0) return !j_contains(r, b, a);
    if (strcmp(sign, "<") == 0) return j_less(r, a, b);
    if (strcmp(sign, ">") == 0) return j_less(r, b, a);
    if (strcmp(sign, "<=") == 0) return j_less(r, a, b) || j_equal(a, b);
    CHECK(strcmp(sign, ">=") == 0, "comparison %s", sign);
    return j_less(r, b, a) || j_equal(a, b);
}

/* ---- composite ---- */

static JValue evaluate_comparison(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JValue left = evaluate(r, s, n->a);
    for (const JinjaNode *o = n->first; o != NULL && r->st == OK; o = o->next) {
        JValue right = evaluate(r, s, o->a);
        if (r->st == OK && !compare(r, o->text, left, right)) return j_bool(false);
        left = right;
    }
    return j_bool(true);
}

static void add_argument(JinjaRun *r, JArguments *a, const char *name, JValue v) {
    if (a->n + a->n_named == JINJA_MAX_ARGUMENTS) {
        j_fail(r, "a call has more than %d arguments", JINJA_MAX_ARGUMENTS);
    } else if (name != NULL) {
        a->name[a->n_named] = name;
        a->named[a->n_named++] = v;
    } else {
        a->value[a->n++] = v;
    }
}

void j_evaluate_arguments(JinjaRun *r, JScope *s, const JinjaNode *first, JArguments *a) {
    a->n = a->n_named = 0;
    for (const JinjaNode *n = first; n != NULL && r->st == OK; n = n->next) {
        if (n->kind == JN_SPREAD) {
            JList *items = j_items(r, evaluate(r, s, n->a));
            for (size_t i = 0; i < items->n && r->st == OK; i++)
                add_argument(r, a, NULL, items->item[i]);
        } else if (n->kind == JN_KEYWORD) {
            add_argument(r, a, n->text, evaluate(r, s, n->a));
        } else {
            add_argument(r, a, NULL, evaluate(r, s, n));
        }
    }
}

static JValue evaluate_items(JinjaRun *r, JScope *s, const JinjaNode *n, JKind kind) {
    JValue l = j_list(r, kind);
    for (const JinjaNode *i = n->first; i != NULL && r->st == OK; i = i->next) {
        j_push(r, l.as.list, evaluate(r, s, i));
    }
    return l;
}

static JValue evaluate_dict(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JValue d = j_dict(r, JK_DICT);
    for (const JinjaNode *k = n->first; k != NULL && r->st == OK; k = k->next->next) {
        JValue key = evaluate(r, s, k);
        if (key.kind >= JK_LIST && key.kind != JK_TUPLE) {
            return j_fail(r, "unhashable type: '%s'", j_type_name(key));
        }
        j_set(r, d.as.dict, key, evaluate(r, s, k->next));
    }
    return d;
}

static JValue optional(JinjaRun *r, JScope *s, const JinjaNode *n) {
    return n == NULL ? j_none() : evaluate(r, s, n);
}

static JValue evaluate_call(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JArguments a;
    JValue f = evaluate(r, s, n->a);
    j_evaluate_arguments(r, s, n->first, &a);
    if (r->st != OK) return j_undefined(NULL);
    r->line = n->line;
    return j_call(r, f, &a);
}

/* A filter or test on a value that is there, so that `default` and `defined` may see undefined
 * ones. */
static JValue evaluate_filter(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JArguments a;
    JValue v = evaluate(r, s, n->a);
    j_evaluate_arguments(r, s, n->first, &a);
    if (r->st != OK) return j_undefined(NULL);
    return j_filter(r, n->text, v, &a);
}

static JValue evaluate_test(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JArguments a;
    JValue v = evaluate(r, s, n->a);
    j_evaluate_arguments(r, s, n->first, &a);
    if (r->st != OK) return j_undefined(NULL);
    return j_bool(j_test(r, n->text, v, &a));
}

static JValue evaluate_name(const JScope *s, const char *name) {
    const JValue *v = j_lookup(s, name);
    return v != NULL ? *v : j_undefined(name);
}

static JValue evaluate_kind(JinjaRun *r, JScope *s, const JinjaNode *n) {
    JValue a;
    switch (n->kind) {
    case JN_TEXT:
        return j_text(r, n->text, n->n, SEGMENT_SPECIAL);
    case JN_INTEGER:
        return j_int(n->integer);
    case JN_FLOAT:
        return j_float(n->number);
    case JN_TRUE:
        return j_bool(true);
    case JN_FALSE:
        return j_bool(false);
    case JN_NONE:
        return j_none();
    case JN_NAME:
        return evaluate_name(s, n->text);
    case JN_LIST:
        return evaluate_items(r, s, n, JK_LIST);
    case JN_TUPLE:
        return evaluate_items(r, s, n, JK_TUPLE);
    case JN_DICT:
        return evaluate_dict(r, s, n);
    case JN_ATTRIBUTE:
        a = evaluate(r, s, n->a);
        return j_attribute(r, a, n->text);
    case JN_ITEM:
        a = evaluate(r, s, n->a);
        return j_item(r, a, evaluate(r, s, n->b));
    case JN_SLICE:
        a = evaluate(r, s, n->a);
        return j_slice(r, a, optional(r, s, n->b), optional(r, s, n->c), optional(r, s, n->d));
    case JN_CALL:
        return evaluate_call(r, s, n);
    case JN_FILTER:
        return evaluate_filter(r, s, n);
    case JN_TEST:
        return evaluate_test(r, s, n);
    case JN_NOT:
        return j_bool(!j_truth(evaluate(r, s, n->a)));
    case JN_NEGATIVE:
        return negative(r, evaluate(r, s, n->a));
    case JN_POSITIVE:
        return evaluate(r, s, n->a);
    case JN_AND:
        a = evaluate(r, s, n->a);
        return j_truth(a) ? evaluate(r, s, n->b) : a;
    case JN_OR:
        a = evaluate(r, s, n->a);
        return j_truth(a) ? a : evaluate(r, s, n->b);
    case JN_BINARY:
        a = evaluate(r, s, n->a);
        return binary(r, n->text, a, evaluate(r, s, n->b));
    case JN_COMPARE:
        return evaluate_comparison(r, s, n);
    case JN_CONDITION:
        if (j_truth(evaluate(r, s, n->b))) return evaluate(r, s, n->a);
        return n->c == NULL ? j_undefined(NULL) : evaluate(r, s, n->c);
    default:
        FAIL("node %d is no expression", (int)n->kind);
    }
}

static JValue evaluate(JinjaRun *r, JScope *s, const JinjaNode *n) {
    if (!j_step(r)) return j_undefined(NULL);
    if (++r->depth > DEPTH_MAX) j_fail(r, "the template recurses too deep");
    JValue v = r->st == OK ? evaluate_kind(r, s, n) : j_undefined(NULL);
    r->depth--;
    return r->st == OK ? v : j_undefined(NULL);
}

JValue j_evaluate(JinjaRun *r, JScope *scope, const JinjaNode *n) {
    return evaluate(r, scope, n);
}
