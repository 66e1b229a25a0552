/* Tests: what stands behind "is". */
#include "data/jinja/jinja_value.h"

#include <math.h>
#include <string.h>

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static bool type_test(const char *name, JValue v, bool *known) {
    bool sequence =
        v.kind == JK_STRING || v.kind == JK_LIST || v.kind == JK_TUPLE || v.kind == JK_DICT;
    *known = true;
    if (is(name, "defined")) return v.kind != JK_UNDEFINED;
    if (is(name, "undefined")) return v.kind == JK_UNDEFINED;
    if (is(name, "none")) return v.kind == JK_NONE;
    if (is(name, "boolean")) return v.kind == JK_BOOL;
    if (is(name, "true")) return v.kind == JK_BOOL && v.as.boolean;
    if (is(name, "false")) return v.kind == JK_BOOL && !v.as.boolean;
    if (is(name, "integer")) return v.kind == JK_INT;
    if (is(name, "float")) return v.kind == JK_FLOAT;
    if (is(name, "number")) return j_is_number(v);
    if (is(name, "string")) return v.kind == JK_STRING;
    if (is(name, "mapping")) return v.kind == JK_DICT;
    if (is(name, "sequence")) return sequence || v.kind == JK_UNDEFINED;
    if (is(name, "iterable")) return sequence || v.kind == JK_UNDEFINED || v.kind == JK_LOOP;
    if (is(name, "callable")) return v.kind == JK_FUNCTION;
    if (is(name, "escaped")) return false;
    *known = false;
    return false;
}

static bool order_test(JinjaRun *r, const char *name, JValue v, JValue other, bool *known) {
    *known = true;
    if (is(name, "eq") || is(name, "equalto") || is(name, "==")) return j_equal(v, other);
    if (is(name, "ne") || is(name, "!=")) return !j_equal(v, other);
    if (is(name, "lt") || is(name, "lessthan") || is(name, "<")) return j_less(r, v, other);
    if (is(name, "gt") || is(name, "greaterthan") || is(name, ">")) return j_less(r, other, v);
    if (is(name, "le") || is(name, "<=")) return j_less(r, v, other) || j_equal(v, other);
    if (is(name, "ge") || is(name, ">=")) return j_less(r, other, v) || j_equal(v, other);
    if (is(name, "in")) return j_contains(r, other, v);
    if (is(name, "sameas")) return v.kind == other.kind && j_equal(v, other);
    *known = false;
    return false;
}

static bool number_test(JinjaRun *r, const char *name, JValue v, JValue other, bool *known) {
    *known = is(name, "odd") || is(name, "even") || is(name, "divisibleby");
    if (!*known) return false;
    double by = is(name, "divisibleby") ? j_is_number(other) ? j_number(other) : 0 : 2;
    if (!j_is_number(v) || by == 0) {
        j_fail(r, "the test `%s` wants numbers", name);
        return false;
    }
    bool divides = fmod(j_number(v), by) == 0;
    return is(name, "odd") ? !divides : divides;
}

bool j_test(JinjaRun *r, const char *name, JValue v, const JArguments *a) {
    static const JArguments none = {.n = 0};
    bool known;
    JValue other = j_argument(a, 0, "other", j_undefined(NULL));
    bool result = type_test(name, v, &known);
    if (!known) result = order_test(r, name, v, other, &known);
    if (!known) result = number_test(r, name, v, other, &known);
    if (!known && (is(name, "lower") || is(name, "upper"))) {
        const char *method = is(name, "lower") ? "islower" : "isupper";
        const JString *s = j_string(r, v).as.string;
        return j_truth(j_string_method(r, s, method, &none));
    }
    if (!known && r->st == OK) j_fail(r, "No test named '%s'.", name);
    return result;
}
