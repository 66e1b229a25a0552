/* Calls: global functions, macros, and methods of dicts, lists, strings and the loop. */
#include "data/jinja/jinja_value.h"
#include "data/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANGE_MAX 100000 /* as Jinja's sandbox has it */

JValue j_argument(const JArguments *a, size_t i, const char *name, JValue otherwise) {
    if (i < a->n) return a->value[i];
    for (size_t k = 0; k < a->n_named; k++) {
        if (strcmp(a->name[k], name) == 0) return a->named[k];
    }
    return otherwise;
}

int64_t j_argument_int(JinjaRun *r, const JArguments *a, size_t i, const char *name,
                       int64_t otherwise) {
    JValue v = j_argument(a, i, name, j_int(otherwise));
    if (v.kind == JK_BOOL) return v.as.boolean;
    if (v.kind == JK_INT) return v.as.integer;
    j_fail(r, "argument `%s` must be an integer, not %s", name, j_type_name(v));
    return otherwise;
}

const JString *j_argument_string(JinjaRun *r, const JArguments *a, size_t i, const char *name) {
    static const JString empty = {.data = ""};
    JValue v = j_argument(a, i, name, j_undefined(name));
    if (v.kind == JK_STRING) return v.as.string;
    j_fail(r, "argument `%s` must be a string, not %s", name, j_type_name(v));
    return &empty;
}

/* ---- global functions ---- */

static JValue call_range(JinjaRun *r, const JArguments *a) {
    int64_t start = 0, stop = j_argument_int(r, a, 0, "stop", 0), step = 1;
    if (a->n > 1) {
        start = stop;
        stop = j_argument_int(r, a, 1, "stop", 0);
        step = j_argument_int(r, a, 2, "step", 1);
    }
    if (step == 0) return j_fail(r, "range() arg 3 must not be zero");
    JValue l = j_list(r, JK_LIST);
    for (int64_t i = start; (step > 0 ? i < stop : i > stop) && r->st == OK; i += step) {
        if (l.as.list->n == RANGE_MAX) return j_fail(r, "range too big, at most %d", RANGE_MAX);
        j_push(r, l.as.list, j_int(i));
    }
    return l;
}

/* dict(...) and namespace(...): a dict, or pairs, and keywords. */
static JValue call_dict(JinjaRun *r, const JArguments *a, JKind kind) {
    JValue d = j_dict(r, kind);
    JValue from = j_argument(a, 0, "", j_undefined(NULL));
    if (a->n > 0 && (from.kind == JK_DICT || from.kind == JK_NAMESPACE)) {
        for (size_t i = 0; i < from.as.dict->n; i++) {
            j_set(r, d.as.dict, from.as.dict->key[i], from.as.dict->value[i]);
        }
    } else if (a->n > 0) {
        JList *pairs = j_items(r, from);
        for (size_t i = 0; i < pairs->n && r->st == OK; i++) {
            JList *pair = j_items(r, pairs->item[i]);
            if (r->st == OK && pair->n != 2) return j_fail(r, "dict() takes pairs");
            if (r->st == OK) j_set(r, d.as.dict, pair->item[0], pair->item[1]);
        }
    }
    for (size_t i = 0; i < a->n_named; i++) {
        j_set(r, d.as.dict, j_trusted(r, a->name[i]), a->named[i]);
    }
    return d;
}

static JValue call_raise(JinjaRun *r, const JArguments *a) {
    JValue message = j_string(r, j_argument(a, 0, "message", j_undefined(NULL)));
    char *text = jinja_copy(&r->pool, message.as.string->data, message.as.string->n);
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r') *c = ' '; /* a message is one line */
    }
    return j_fail(r, "%s", text);
}

/* The date, or that of SOURCE_DATE_EPOCH where texts must come out the same on every day. */
static JValue call_strftime(JinjaRun *r, const JArguments *a) {
    const JString *format = j_argument_string(r, a, 0, "format");
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch != NULL ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm parts;
    char text[512];
    if (epoch != NULL ? gmtime_r(&now, &parts) == NULL : localtime_r(&now, &parts) == NULL) {
        return j_fail(r, "strftime_now: there is no such date");
    }
    const char *pattern = jinja_copy(&r->pool, format->data, format->n);
    size_t n = strftime(text, sizeof text, pattern, &parts);
    return j_text(r, text, n, SEGMENT_SPECIAL);
}

/* Tuples of the i-th items, as many as the shortest list has. */
static JValue call_zip(JinjaRun *r, const JArguments *a) {
    JValue all = j_list(r, JK_LIST);
    for (size_t k = 0; k < a->n; k++)
        if (a->value[k].kind != JK_LIST && a->value[k].kind != JK_TUPLE)
            return j_fail(r, "zip() takes lists, not '%s'", j_type_name(a->value[k]));
    for (size_t i = 0; a->n > 0; i++) {
        JValue row = j_list(r, JK_TUPLE);
        for (size_t k = 0; k < a->n; k++) {
            const JList *l = a->value[k].as.list;
            if (i >= l->n) return all;
            j_push(r, row.as.list, l->item[i]);
        }
        j_push(r, all.as.list, row);
        if (!j_step(r)) return all;
    }
    return all;
}

static JValue call_global(JinjaRun *r, const char *name, const JArguments *a) {
    if (strcmp(name, "range") == 0) return call_range(r, a);
    if (strcmp(name, "dict") == 0) return call_dict(r, a, JK_DICT);
    if (strcmp(name, "namespace") == 0) return call_dict(r, a, JK_NAMESPACE);
    if (strcmp(name, "raise_exception") == 0) return call_raise(r, a);
    if (strcmp(name, "strftime_now") == 0) return call_strftime(r, a);
    if (strcmp(name, "zip") == 0) return call_zip(r, a);
    return j_fail(r, "'%s' is not a function", name);
}

/* ---- methods ---- */

static bool one_of(const char *name, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) return true;
    }
    return false;
}

static const char *const dict_methods[] = {"items", "keys", "values", "get", "copy", NULL};
static const char *const list_methods[] = {"index", "count", "copy", NULL};
/* What would change a value: known, so that it can be refused in words. */
static const char *const unsafe_methods[] = {"append",  "extend", "insert",  "pop",
                                             "remove",  "clear",  "sort",    "setdefault",
                                             "reverse", "update", "popitem", NULL};

bool j_has_method(JValue self, const char *name) {
    switch (self.kind) {
    case JK_STRING:
        return j_is_string_method(name);
    case JK_DICT:
        return one_of(name, dict_methods) ||
               (one_of(name, unsafe_methods) && j_get_text(self.as.dict, name) == NULL);
    case JK_LIST:
    case JK_TUPLE:
        return one_of(name, list_methods) || one_of(name, unsafe_methods);
    default:
        return false;
    }
}

static JValue dict_method(JinjaRun *r, const JDict *d, const char *name, const JArguments *a) {
    if (strcmp(name, "get") == 0) {
        const JValue *v = j_get(d, j_argument(a, 0, "key", j_none()));
        return v != NULL ? *v : j_argument(a, 1, "default", j_none());
    }
    if (strcmp(name, "copy") == 0) {
        JValue copy = j_dict(r, JK_DICT);
        for (size_t i = 0; i < d->n; i++) j_set(r, copy.as.dict, d->key[i], d->value[i]);
        return copy;
    }
    JValue l = j_list(r, JK_LIST);
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(name, "keys") == 0) j_push(r, l.as.list, d->key[i]);
        if (strcmp(name, "values") == 0) j_push(r, l.as.list, d->value[i]);
        if (strcmp(name, "items") != 0) continue;
        JValue pair = j_list(r, JK_TUPLE);
        j_push(r, pair.as.list, d->key[i]);
        j_push(r, pair.as.list, d->value[i]);
        j_push(r, l.as.list, pair);
    }
    return l;
}

static JValue list_method(JinjaRun *r, JValue self, const char *name, const JArguments *a) {
    const JList *l = self.as.list;
    if (strcmp(name, "copy") == 0) {
        JValue copy = j_list(r, JK_LIST);
        for (size_t i = 0; i < l->n; i++) j_push(r, copy.as.list, l->item[i]);
        return copy;
    }
    JValue wanted = j_argument(a, 0, "value", j_undefined(NULL));
    int64_t count = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!j_equal(l->item[i], wanted)) continue;
        if (strcmp(name, "index") == 0) return j_int((int64_t)i);
        count++;
    }
    return strcmp(name, "count") == 0 ? j_int(count) : j_fail(r, "the value is not in the list");
}

static JValue loop_method(JinjaRun *r, JLoop *l, const char *name, const JArguments *a) {
    if (strcmp(name, "cycle") == 0) {
        return a->n == 0 ? j_fail(r, "no items for cycling given") : a->value[l->index % a->n];
    }
    JValue seen = j_list(r, JK_TUPLE); /* changed(...) */
    for (size_t i = 0; i < a->n; i++) j_push(r, seen.as.list, a->value[i]);
    bool same = j_equal(l->changed, seen);
    l->changed = seen;
    return j_bool(!same);
}

JValue j_method(JinjaRun *r, JValue self, const char *name, const JArguments *a) {
    if (self.kind == JK_STRING) return j_string_method(r, self.as.string, name, a);
    if (self.kind == JK_LOOP) return loop_method(r, self.as.loop, name, a);
    if (one_of(name, unsafe_methods)) {
        return j_fail(r, "a template may not change its values: `%s` of a %s is refused", name,
                      j_type_name(self));
    }
    if (self.kind == JK_DICT) return dict_method(r, self.as.dict, name, a);
    return list_method(r, self, name, a);
}

JValue j_call(JinjaRun *r, JValue function, const JArguments *a) {
    if (function.kind == JK_UNDEFINED) {
        return j_fail(r, "'%s' is undefined",
                      function.as.name == NULL ? "value" : function.as.name);
    }
    if (function.kind != JK_FUNCTION) {
        return j_fail(r, "'%s' object is not callable", j_type_name(function));
    }
    const JFunction *f = function.as.function;
    if (f->macro != NULL) return j_call_macro(r, f, a);
    if (f->self.kind == JK_UNDEFINED) return call_global(r, f->name, a);
    return j_method(r, f->self, f->name, a);
}
