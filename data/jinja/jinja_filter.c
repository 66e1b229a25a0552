/* Filters on values and lists. */
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* The arguments behind the first `skip`. */
static JArguments rest_of(const JArguments *a, size_t skip) {
    JArguments rest = *a;
    rest.n = a->n > skip ? a->n - skip : 0;
    for (size_t i = 0; i < rest.n; i++) rest.value[i] = a->value[i + skip];
    return rest;
}

/* "a.b.0": each part in turn; an integer is an index. */
static JValue pick(JinjaRun *r, JValue v, JValue path) {
    if (path.kind != JK_STRING) return j_item(r, v, path);
    const JString *s = path.as.string;
    for (size_t at = 0; at <= s->n && r->st == OK;) {
        const char *dot = memchr(s->data + at, '.', s->n - at);
        size_t n = dot == NULL ? s->n - at : (size_t)(dot - s->data) - at;
        char *part = jinja_copy(&r->pool, s->data + at, n);
        bool digits = n > 0 && n < 10 && strspn(part, "0123456789") == n;
        if (v.kind == JK_UNDEFINED) return v;
        v = j_item(r, v, digits ? j_int(atoi(part)) : j_trusted(r, part));
        at += n + 1;
    }
    return v;
}

/* ---- lists ---- */

/* What Python gives as a generator. */
static JValue lazy_list(JinjaRun *r) {
    JValue l = j_list(r, JK_LIST);
    l.as.list->lazy = true;
    return l;
}

static JValue map(JinjaRun *r, JValue v, const JArguments *a) {
    JValue l = lazy_list(r);
    if (!j_truth(v)) return l; /* none too */
    JList *items = j_items(r, v);
    JValue attribute = j_argument(a, JINJA_MAX_ARGUMENTS, "attribute", j_undefined(NULL));
    JArguments rest = rest_of(a, 1);
    const char *name = "";
    if (attribute.kind == JK_UNDEFINED) {
        const JString *s = j_argument_string(r, a, 0, "filter");
        name = jinja_copy(&r->pool, s->data, s->n);
    }
    JValue otherwise = j_argument(a, JINJA_MAX_ARGUMENTS, "default", j_undefined(NULL));
    for (size_t i = 0; i < items->n && j_step(r); i++) {
        JValue x = attribute.kind != JK_UNDEFINED ? pick(r, items->item[i], attribute)
                                                  : j_filter(r, name, items->item[i], &rest);
        j_push(r, l.as.list, x.kind == JK_UNDEFINED ? otherwise : x);
    }
    return l;
}

/* select, reject, selectattr, rejectattr. */
static JValue choose(JinjaRun *r, JValue v, const JArguments *a, bool by_attribute, bool keep) {
    JValue l = lazy_list(r);
    if (!j_truth(v)) return l; /* none too */
    JList *items = j_items(r, v);
    size_t skip = by_attribute ? 1 : 0;
    JValue attribute = by_attribute ? j_argument(a, 0, "attribute", j_undefined(NULL)) : j_none();
    const char *test = NULL;
    if (a->n > skip) {
        const JString *s = j_argument_string(r, a, skip, "test");
        test = jinja_copy(&r->pool, s->data, s->n);
    }
    JArguments rest = rest_of(a, skip + 1);
    for (size_t i = 0; i < items->n && j_step(r); i++) {
        JValue x = by_attribute ? pick(r, items->item[i], attribute) : items->item[i];
        bool fits = test == NULL ? j_truth(x) : j_test(r, test, x, &rest);
        if (fits == keep) j_push(r, l.as.list, items->item[i]);
    }
    return l;
}

static JValue sort_key(JinjaRun *r, JValue v, JValue attribute, bool case_sensitive) {
    static const JArguments none = {.n = 0};
    if (attribute.kind != JK_NONE) v = pick(r, v, attribute);
    return v.kind == JK_STRING && !case_sensitive ? j_string_method(r, v.as.string, "lower", &none)
                                                  : v;
}

/* Stable, by insertion: lists in templates are short. */
static void sort_items(JinjaRun *r, JValue *item, JValue *key, size_t n, bool reverse) {
    for (size_t i = 1; i < n && r->st == OK; i++) {
        JValue x = item[i], k = key[i];
        size_t at = i;
        while (at > 0 && j_step(r) &&
               (reverse ? j_less(r, key[at - 1], k) : j_less(r, k, key[at - 1]))) {
            item[at] = item[at - 1];
            key[at] = key[at - 1];
            at--;
        }
        item[at] = x;
        key[at] = k;
    }
}

static JValue sort(JinjaRun *r, JValue v, const JArguments *a) {
    bool reverse = j_truth(j_argument(a, 0, "reverse", j_bool(false)));
    bool case_sensitive = j_truth(j_argument(a, 1, "case_sensitive", j_bool(false)));
    JValue attribute = j_argument(a, 2, "attribute", j_none());
    JList *items = j_items(r, v);
    JValue l = j_list(r, JK_LIST), keys = j_list(r, JK_LIST);
    for (size_t i = 0; i < items->n; i++) {
        j_push(r, l.as.list, items->item[i]);
        j_push(r, keys.as.list, sort_key(r, items->item[i], attribute, case_sensitive));
    }
    sort_items(r, l.as.list->item, keys.as.list->item, items->n, reverse);
    return l;
}

static JValue items_of(JinjaRun *r, JValue v) {
    static const JArguments none = {.n = 0};
    if (v.kind == JK_UNDEFINED) return j_list(r, JK_LIST);
    if (v.kind != JK_DICT) return j_fail(r, "Can only get item pairs from a mapping.");
    return j_method(r, v, "items", &none);
}

static JValue dictsort(JinjaRun *r, JValue v, const JArguments *a) {
    bool case_sensitive = j_truth(j_argument(a, 0, "case_sensitive", j_bool(false)));
    bool by_value = j_is(j_argument(a, 1, "by", j_none()), "value");
    bool reverse = j_truth(j_argument(a, 2, "reverse", j_bool(false)));
    JValue pairs = items_of(r, v), keys = j_list(r, JK_LIST);
    if (r->st != OK) return pairs;
    for (size_t i = 0; i < pairs.as.list->n; i++) {
        JValue key = pairs.as.list->item[i].as.list->item[by_value ? 1 : 0];
        j_push(r, keys.as.list, sort_key(r, key, j_none(), case_sensitive));
    }
    sort_items(r, pairs.as.list->item, keys.as.list->item, pairs.as.list->n, reverse);
    return pairs;
}

static JValue unique(JinjaRun *r, JValue v, const JArguments *a) {
    bool case_sensitive = j_truth(j_argument(a, 0, "case_sensitive", j_bool(false)));
    JValue attribute = j_argument(a, 1, "attribute", j_none());
    JList *items = j_items(r, v);
    JValue l = lazy_list(r), seen = j_list(r, JK_LIST);
    for (size_t i = 0; i < items->n && j_step(r); i++) {
        JValue key = sort_key(r, items->item[i], attribute, case_sensitive);
        if (j_contains(r, seen, key)) continue;
        j_push(r, seen.as.list, key);
        j_push(r, l.as.list, items->item[i]);
    }
    return l;
}

static JValue reverse(JinjaRun *r, JValue v) {
    if (v.kind == JK_STRING) return j_slice(r, v, j_none(), j_none(), j_int(-1));
    JList *items = j_items(r, v);
    JValue l = lazy_list(r);
    for (size_t i = items->n; i > 0; i--) j_push(r, l.as.list, items->item[i - 1]);
    return l;
}

static JValue end_of(JinjaRun *r, JValue v, bool last) {
    JList *items = j_items(r, v);
    if (items->n == 0) return j_undefined("an item of an empty sequence");
    return items->item[last ? items->n - 1 : 0];
}

static JValue extreme(JinjaRun *r, JValue v, const JArguments *a, bool most) {
    bool case_sensitive = j_truth(j_argument(a, 0, "case_sensitive", j_bool(false)));
    JValue attribute = j_argument(a, 1, "attribute", j_none());
    JList *items = j_items(r, v);
    if (items->n == 0) return j_undefined("an item of an empty sequence");
    JValue best = items->item[0], best_key = sort_key(r, best, attribute, case_sensitive);
    for (size_t i = 1; i < items->n && j_step(r); i++) {
        JValue key = sort_key(r, items->item[i], attribute, case_sensitive);
        if (most ? !j_less(r, best_key, key) : !j_less(r, key, best_key)) continue;
        best = items->item[i];
        best_key = key;
    }
    return best;
}

static JValue sum(JinjaRun *r, JValue v, const JArguments *a) {
    JValue attribute = j_argument(a, 0, "attribute", j_none());
    JValue start = j_argument(a, 1, "start", j_int(0));
    JList *items = j_items(r, v);
    double real = j_is_number(start) ? j_number(start) : 0;
    bool integers = start.kind != JK_FLOAT;
    for (size_t i = 0; i < items->n && r->st == OK; i++) {
        JValue x = attribute.kind == JK_NONE ? items->item[i] : pick(r, items->item[i], attribute);
        if (!j_is_number(x)) return j_fail(r, "sum of a '%s'", j_type_name(x));
        integers = integers && x.kind != JK_FLOAT;
        real += j_number(x);
    }
    if (integers && fabs(real) > 9007199254740992.0) return j_fail(r, "an integer is too large");
    return integers ? j_int((int64_t)real) : j_float(real);
}

static JValue list_of(JinjaRun *r, JValue v) {
    JList *items = j_items(r, v);
    JValue l = j_list(r, JK_LIST);
    for (size_t i = 0; i < items->n; i++) j_push(r, l.as.list, items->item[i]);
    return l;
}

/* ---- numbers ---- */

static JValue to_int(JinjaRun *r, JValue v, const JArguments *a) {
    JValue otherwise = j_argument(a, 0, "default", j_int(0));
    int64_t base = j_argument_int(r, a, 1, "base", 10);
    double real = j_is_number(v) ? j_number(v) : 0;
    if (v.kind == JK_INT || v.kind == JK_BOOL)
        return j_int(v.kind == JK_INT ? v.as.integer : v.as.boolean);
    if (v.kind == JK_STRING) {
        static const JArguments none = {.n = 0};
        const JString *s = j_string_method(r, v.as.string, "strip", &none).as.string;
        const char *text = jinja_copy(&r->pool, s->data, s->n);
        char *end;
        long long i = strtoll(text, &end, (int)(base >= 2 && base <= 36 ? base : 10));
        if (s->n > 0 && *end == '\0') return j_int(i);
        real = strtod(text, &end);
        if (s->n == 0 || *end != '\0') return otherwise;
    } else if (v.kind != JK_FLOAT) {
        return otherwise;
    }
    return fabs(real) < 9.2e18 ? j_int((int64_t)real) : otherwise;
}

static JValue to_float(JinjaRun *r, JValue v, const JArguments *a) {
    JValue otherwise = j_argument(a, 0, "default", j_float(0));
    if (j_is_number(v)) return j_float(j_number(v));
    if (v.kind != JK_STRING) return otherwise;
    char *end;
    const char *text = jinja_copy(&r->pool, v.as.string->data, v.as.string->n);
    double real = strtod(text, &end);
    return *text != '\0' && *end == '\0' ? j_float(real) : otherwise;
}

static JValue round_to(JinjaRun *r, JValue v, const JArguments *a) {
    int64_t digits = j_argument_int(r, a, 0, "precision", 0);
    JValue method = j_argument(a, 1, "method", j_none());
    if (!j_is_number(v))
        return j_fail(r, "type %s doesn't define __round__ method", j_type_name(v));
    if (digits < 0 || digits > 15) return j_fail(r, "round: precision must be 0 to 15");
    double scale = pow(10, (double)digits), real = j_number(v);
    if (j_is(method, "ceil")) return j_float(ceil(real * scale) / scale);
    if (j_is(method, "floor")) return j_float(floor(real * scale) / scale);
    char text[400];
    snprintf(text, sizeof text, "%.*f", (int)digits, real); /* rounds the exact value, as Python */
    return j_float(strtod(text, NULL));
}

static JValue absolute(JinjaRun *r, JValue v) {
    if (v.kind == JK_FLOAT) return j_float(fabs(v.as.number));
    if (!j_is_number(v)) return j_fail(r, "bad operand type for abs(): '%s'", j_type_name(v));
    int64_t i = v.kind == JK_BOOL ? v.as.boolean : v.as.integer;
    if (i == INT64_MIN) return j_fail(r, "an integer is too large");
    return j_int(i < 0 ? -i : i);
}

/* ---- all of them ---- */

/* json.dumps as Transformers sets it up. */
static JValue tojson(JinjaRun *r, JValue v, const JArguments *a) {
    bool ascii = j_truth(j_argument(a, JINJA_MAX_ARGUMENTS, "ensure_ascii", j_bool(false)));
    JValue indent = j_argument(a, JINJA_MAX_ARGUMENTS, "indent", a->n > 0 ? a->value[0] : j_none());
    JValue separators = j_argument(a, JINJA_MAX_ARGUMENTS, "separators", j_none());
    bool sorted = j_truth(j_argument(a, JINJA_MAX_ARGUMENTS, "sort_keys", j_bool(false)));
    const char *item = indent.kind == JK_INT ? "," : ", ", *key = ": ";
    bool pair = (separators.kind == JK_TUPLE || separators.kind == JK_LIST) &&
                separators.as.list->n == 2 && separators.as.list->item[0].kind == JK_STRING &&
                separators.as.list->item[1].kind == JK_STRING;
    if (pair) {
        const JString *s = separators.as.list->item[0].as.string;
        const JString *k = separators.as.list->item[1].as.string;
        item = jinja_copy(&r->pool, s->data, s->n);
        key = jinja_copy(&r->pool, k->data, k->n);
    }
    Tagged out = j_build();
    int64_t width = indent.kind == JK_INT ? indent.as.integer : -1;
    j_json(r, &out, v, width > 64 ? 64 : width, item, key, sorted, ascii);
    return j_take(r, &out);
}

static JValue otherwise(JValue v, const JArguments *a) {
    bool truth = j_truth(j_argument(a, 1, "boolean", j_bool(false)));
    static const JString empty = {.data = "", .tag = SEGMENT_SPECIAL};
    JValue value =
        j_argument(a, 0, "default_value", (JValue){.kind = JK_STRING, .as.string = &empty});
    return v.kind == JK_UNDEFINED || (truth && !j_truth(v)) ? value : v;
}

static JValue length(JinjaRun *r, JValue v) {
    int64_t n = j_length(v);
    return n >= 0 ? j_int(n) : j_fail(r, "object of type '%s' has no len()", j_type_name(v));
}

/* ---- promptsource's own ---- */

/* One of a list; which one is drawn. */
static JValue choice(JinjaRun *r, JValue v) {
    if ((v.kind != JK_LIST && v.kind != JK_TUPLE) || v.as.list->n == 0)
        return j_fail(r, "choice takes a list with something in it, not '%s'", j_type_name(v));
    return v.as.list->item[rng_below(&r->draws, v.as.list->n)];
}

static size_t occurrences(const JList *l, JValue wanted) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += j_equal(l->item[i], wanted);
    return n;
}

/* All that come most often, each once, in the order in which they first come. */
static JValue most_frequent(JinjaRun *r, JValue v) {
    if (v.kind != JK_LIST && v.kind != JK_TUPLE)
        return j_fail(r, "most_frequent takes a list, not '%s'", j_type_name(v));
    const JList *l = v.as.list;
    JValue best = j_list(r, JK_LIST);
    size_t most = 0;
    for (size_t i = 0; i < l->n && j_step(r); i++) {
        size_t n = occurrences(l, l->item[i]);
        if (n > most) best = j_list(r, JK_LIST);
        if (n > most) most = n;
        if (n == most && occurrences(best.as.list, l->item[i]) == 0)
            j_push(r, best.as.list, l->item[i]);
    }
    return best;
}

JValue j_filter(JinjaRun *r, const char *name, JValue v, const JArguments *a) {
    if (is(name, "default") || is(name, "d")) return otherwise(v, a);
    if (is(name, "tojson")) return tojson(r, v, a);
    if (is(name, "length") || is(name, "count")) return length(r, v);
    if (is(name, "list")) return list_of(r, v);
    if (is(name, "items")) return items_of(r, v);
    if (is(name, "map")) return map(r, v, a);
    if (is(name, "select")) return choose(r, v, a, false, true);
    if (is(name, "reject")) return choose(r, v, a, false, false);
    if (is(name, "selectattr")) return choose(r, v, a, true, true);
    if (is(name, "rejectattr")) return choose(r, v, a, true, false);
    if (is(name, "first")) return end_of(r, v, false);
    if (is(name, "last")) return end_of(r, v, true);
    if (is(name, "sort")) return sort(r, v, a);
    if (is(name, "dictsort")) return dictsort(r, v, a);
    if (is(name, "unique")) return unique(r, v, a);
    if (is(name, "reverse")) return reverse(r, v);
    if (is(name, "min")) return extreme(r, v, a, false);
    if (is(name, "max")) return extreme(r, v, a, true);
    if (is(name, "sum")) return sum(r, v, a);
    if (is(name, "int")) return to_int(r, v, a);
    if (is(name, "float")) return to_float(r, v, a);
    if (is(name, "round")) return round_to(r, v, a);
    if (is(name, "abs")) return absolute(r, v);
    if (is(name, "attr")) {
        const JString *s = j_argument_string(r, a, 0, "name");
        return j_attribute(r, v, jinja_copy(&r->pool, s->data, s->n));
    }
    if (r->is_prompt && is(name, "choice")) return choice(r, v);
    if (r->is_prompt && is(name, "most_frequent")) return most_frequent(r, v);
    bool known = false;
    JValue result = j_text_filter(r, name, v, a, &known);
    return known || r->st != OK ? result : j_fail(r, "No filter named '%s'.", name);
}
