#include "data/jinja/jinja_value.h"

#include "core/check.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unicode.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STEPS_MAX 20000000u
#define NEST_MAX 200
#define POOL_MAX ((size_t)512 << 20)

JValue j_fail(JinjaRun *r, const char *fmt, ...) {
    if (r->st == OK) {
        char text[1024];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        r->st = status_fail(ERR_DATA, "%s:%u: %s", r->where, r->line, text);
    }
    return j_undefined(NULL);
}

bool j_step(JinjaRun *r) {
    if (++r->steps > STEPS_MAX || r->pool.total > POOL_MAX) {
        j_fail(r, "the template does too much work; it may run in circles");
    }
    return r->st == OK;
}

/* ---- making ---- */

JValue j_undefined(const char *name) {
    return (JValue){.kind = JK_UNDEFINED, .as.name = name};
}
JValue j_none(void) {
    return (JValue){.kind = JK_NONE};
}
JValue j_bool(bool v) {
    return (JValue){.kind = JK_BOOL, .as.boolean = v};
}
JValue j_int(int64_t v) {
    return (JValue){.kind = JK_INT, .as.integer = v};
}
JValue j_float(double v) {
    return (JValue){.kind = JK_FLOAT, .as.number = v};
}

static JValue new_string(JinjaRun *r, const char *data, size_t n, const uint8_t *tags,
                         uint8_t tag) {
    JString *s = jinja_alloc(&r->pool, sizeof *s);
    *s = (JString){data, n, tags, tag, false};
    return (JValue){.kind = JK_STRING, .as.string = s};
}

JValue j_text(JinjaRun *r, const char *text, size_t n, uint8_t tag) {
    return new_string(r, jinja_copy(&r->pool, text, n), n, NULL, tag);
}

JValue j_trusted(JinjaRun *r, const char *text) {
    return j_text(r, text, strlen(text), SEGMENT_SPECIAL);
}

JValue j_part(JinjaRun *r, const JString *s, size_t at, size_t n) {
    return new_string(r, s->data + at, n, s->tags == NULL ? NULL : s->tags + at, s->tag);
}

JValue j_mark_safe(JinjaRun *r, const JString *s) {
    JString *marked = jinja_alloc(&r->pool, sizeof *marked);
    *marked = *s;
    marked->safe = true;
    return (JValue){.kind = JK_STRING, .as.string = marked};
}

JValue j_take(JinjaRun *r, Tagged *built) {
    size_t n = built->text.len;
    const char *data = jinja_copy(&r->pool, str_text(&built->text), n);
    uint8_t tag = n > 0 ? built->tag[0] : SEGMENT_SPECIAL;
    uint8_t *tags = NULL;
    for (size_t i = 1; i < n && tags == NULL; i++) {
        if (built->tag[i] == tag) continue;
        tags = jinja_alloc(&r->pool, n);
        memcpy(tags, built->tag, n);
    }
    tagged_free(built);
    return new_string(r, data, n, tags, tag);
}

JValue j_list(JinjaRun *r, JKind kind) {
    return (JValue){.kind = kind, .as.list = jinja_zalloc(&r->pool, sizeof(JList))};
}

JValue j_dict(JinjaRun *r, JKind kind) {
    return (JValue){.kind = kind, .as.dict = jinja_zalloc(&r->pool, sizeof(JDict))};
}

JValue j_function(JinjaRun *r, const char *name, JValue self) {
    JFunction *f = jinja_zalloc(&r->pool, sizeof *f);
    f->name = name;
    f->self = self;
    return (JValue){.kind = JK_FUNCTION, .as.function = f};
}

static JValue *grow(JinjaRun *r, JValue *old, size_t n, size_t cap) {
    JValue *v = jinja_alloc(&r->pool, cap * sizeof *v);
    if (n > 0) memcpy(v, old, n * sizeof *v);
    return v;
}

/* What holds `v` is nested one deeper than it. */
static void deepen(JinjaRun *r, int *depth, JValue v) {
    int inner = 0;
    if (v.kind == JK_LIST || v.kind == JK_TUPLE) inner = v.as.list->depth;
    if (v.kind == JK_DICT || v.kind == JK_NAMESPACE) inner = v.as.dict->depth;
    if (inner + 1 > *depth) *depth = inner + 1;
    if (*depth > NEST_MAX) j_fail(r, "lists are nested more than %d deep", NEST_MAX);
}

void j_push(JinjaRun *r, JList *l, JValue v) {
    deepen(r, &l->depth, v);
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->item = grow(r, l->item, l->n, l->cap);
    }
    l->item[l->n++] = v;
}

void j_set(JinjaRun *r, JDict *d, JValue key, JValue value) {
    deepen(r, &d->depth, value);
    JValue *there = (JValue *)j_get(d, key);
    if (there != NULL) {
        *there = value;
        return;
    }
    if (d->n == d->cap) {
        d->cap = d->cap == 0 ? 8 : d->cap * 2;
        d->key = grow(r, d->key, d->n, d->cap);
        d->value = grow(r, d->value, d->n, d->cap);
    }
    d->key[d->n] = key;
    d->value[d->n++] = value;
}

JValue j_from_json(JinjaRun *r, const Json *json, uint8_t tag) {
    JsonIter it = {0};
    const char *key, *text;
    Json *value;
    JValue v;
    size_t n = 0;
    switch (json_kind(json)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        return j_none();
    case JSON_KIND_BOOL:
        return j_bool(json_bool(json));
    case JSON_KIND_INT:
        return j_int(json_int(json));
    case JSON_KIND_REAL:
        return j_float(json_num(json));
    case JSON_KIND_STRING:
        text = json_str(json, &n);
        return j_text(r, text, n, tag);
    case JSON_KIND_ARRAY:
        v = j_list(r, JK_LIST);
        for (int64_t i = 0; i < json_len(json); i++) {
            j_push(r, v.as.list, j_from_json(r, json_at(json, i), tag));
        }
        return v;
    case JSON_KIND_OBJECT:
        v = j_dict(r, JK_DICT);
        while (json_next(json, &it, &key, &value)) {
            JDict *d = v.as.dict;
            if (d->n == d->cap) { /* the keys are known to differ: no j_set, which would search */
                d->cap = d->cap == 0 ? 8 : d->cap * 2;
                d->key = grow(r, d->key, d->n, d->cap);
                d->value = grow(r, d->value, d->n, d->cap);
            }
            d->key[d->n] = j_text(r, key, strlen(key), tag);
            d->value[d->n] = j_from_json(r, value, tag);
            deepen(r, &d->depth, d->value[d->n++]);
        }
        return v;
    }
    FAIL("json kind %d", (int)json_kind(json));
}

Tagged j_build(void) {
    return (Tagged){.uniform = false};
}

void j_append_part(Tagged *out, const JString *s, size_t at, size_t n) {
    if (s->tags == NULL) {
        tagged_append(out, s->data + at, n, s->tag);
        return;
    }
    while (n > 0) { /* run by run of one tag */
        size_t k = 1;
        while (k < n && s->tags[at + k] == s->tags[at]) k++;
        tagged_append(out, s->data + at, k, s->tags[at]);
        at += k;
        n -= k;
    }
}

void j_append(Tagged *out, const JString *s) {
    j_append_part(out, s, 0, s->n);
}

void j_append_text(Tagged *out, const char *text) {
    tagged_append(out, text, strlen(text), SEGMENT_SPECIAL);
}

/* ---- asking ---- */

const char *j_type_name(JValue v) {
    static const char *const names[] = {[JK_UNDEFINED] = "Undefined", [JK_NONE] = "NoneType",
                                        [JK_BOOL] = "bool",           [JK_INT] = "int",
                                        [JK_FLOAT] = "float",         [JK_STRING] = "str",
                                        [JK_LIST] = "list",           [JK_TUPLE] = "tuple",
                                        [JK_DICT] = "dict",           [JK_NAMESPACE] = "Namespace",
                                        [JK_FUNCTION] = "function",   [JK_LOOP] = "LoopContext"};
    return names[v.kind];
}

bool j_is_number(JValue v) {
    return v.kind == JK_BOOL || v.kind == JK_INT || v.kind == JK_FLOAT;
}

double j_number(JValue v) {
    if (v.kind == JK_FLOAT) return v.as.number;
    return v.kind == JK_BOOL ? (double)v.as.boolean : (double)v.as.integer;
}

static int64_t integer_of(JValue v) {
    return v.kind == JK_BOOL ? v.as.boolean : v.as.integer;
}

bool j_truth(JValue v) {
    switch (v.kind) {
    case JK_UNDEFINED:
    case JK_NONE:
        return false;
    case JK_BOOL:
        return v.as.boolean;
    case JK_INT:
        return v.as.integer != 0;
    case JK_FLOAT:
        return v.as.number != 0;
    case JK_STRING:
        return v.as.string->n > 0;
    case JK_LIST:
    case JK_TUPLE:
        return v.as.list->lazy || v.as.list->n > 0;
    case JK_DICT:
        return v.as.dict->n > 0;
    case JK_NAMESPACE:
    case JK_FUNCTION:
    case JK_LOOP:
        return true;
    }
    FAIL("kind %d", (int)v.kind);
}

static bool equal_strings(const JString *a, const JString *b) {
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

static bool equal_lists(const JList *a, const JList *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!j_equal(a->item[i], b->item[i])) return false;
    }
    return true;
}

static bool equal_dicts(const JDict *a, const JDict *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const JValue *other = j_get(b, a->key[i]);
        if (other == NULL || !j_equal(a->value[i], *other)) return false;
    }
    return true;
}

bool j_equal(JValue a, JValue b) {
    if (j_is_number(a) && j_is_number(b)) {
        bool real = a.kind == JK_FLOAT || b.kind == JK_FLOAT;
        return real ? j_number(a) == j_number(b) : integer_of(a) == integer_of(b);
    }
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case JK_UNDEFINED:
    case JK_NONE:
        return true;
    case JK_STRING:
        return equal_strings(a.as.string, b.as.string);
    case JK_LIST:
    case JK_TUPLE:
        return equal_lists(a.as.list, b.as.list);
    case JK_DICT:
        return equal_dicts(a.as.dict, b.as.dict);
    case JK_NAMESPACE:
        return a.as.dict == b.as.dict;
    case JK_FUNCTION:
        return a.as.function == b.as.function;
    case JK_LOOP:
        return a.as.loop == b.as.loop;
    default:
        FAIL("kind %d", (int)a.kind);
    }
}

bool j_less(JinjaRun *r, JValue a, JValue b) {
    if (j_is_number(a) && j_is_number(b)) {
        bool real = a.kind == JK_FLOAT || b.kind == JK_FLOAT;
        return real ? j_number(a) < j_number(b) : integer_of(a) < integer_of(b);
    }
    if (a.kind == JK_STRING && b.kind == JK_STRING) { /* UTF-8 sorts like code points */
        const JString *x = a.as.string, *y = b.as.string;
        int order = memcmp(x->data, y->data, x->n < y->n ? x->n : y->n);
        return order != 0 ? order < 0 : x->n < y->n;
    }
    bool lists = (a.kind == JK_LIST || a.kind == JK_TUPLE) && a.kind == b.kind;
    if (lists) {
        const JList *x = a.as.list, *y = b.as.list;
        for (size_t i = 0; i < x->n && i < y->n; i++) {
            if (!j_equal(x->item[i], y->item[i])) return j_less(r, x->item[i], y->item[i]);
        }
        return x->n < y->n;
    }
    j_fail(r, "'<' not supported between instances of '%s' and '%s'", j_type_name(a),
           j_type_name(b));
    return false;
}

static bool contains_text(const JString *s, const JString *part) {
    for (size_t at = 0; at + part->n <= s->n; at++) {
        if (memcmp(s->data + at, part->data, part->n) == 0) return true;
    }
    return false;
}

bool j_contains(JinjaRun *r, JValue container, JValue item) {
    if (container.kind == JK_STRING) {
        if (item.kind == JK_STRING) return contains_text(container.as.string, item.as.string);
        j_fail(r, "'in <string>' requires string as left operand, not %s", j_type_name(item));
        return false;
    }
    if (container.kind == JK_DICT) return j_get(container.as.dict, item) != NULL;
    if (container.kind == JK_UNDEFINED) return false;
    if (container.kind != JK_LIST && container.kind != JK_TUPLE) {
        j_fail(r, "argument of type '%s' is not iterable", j_type_name(container));
        return false;
    }
    for (size_t i = 0; i < container.as.list->n; i++) {
        if (j_equal(container.as.list->item[i], item)) return true;
    }
    return false;
}

bool j_is(JValue v, const char *text) {
    return v.kind == JK_STRING && v.as.string->n == strlen(text) &&
           memcmp(v.as.string->data, text, v.as.string->n) == 0;
}

const JValue *j_get(const JDict *d, JValue key) {
    for (size_t i = 0; i < d->n; i++) {
        if (j_equal(d->key[i], key)) return &d->value[i];
    }
    return NULL;
}

const JValue *j_get_text(const JDict *d, const char *key) {
    for (size_t i = 0; i < d->n; i++) {
        if (j_is(d->key[i], key)) return &d->value[i];
    }
    return NULL;
}

size_t j_characters(const JString *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += ((unsigned char)s->data[i] & 0xC0) != 0x80;
    return n;
}

int64_t j_length(JValue v) {
    switch (v.kind) {
    case JK_UNDEFINED:
        return 0;
    case JK_STRING:
        return (int64_t)j_characters(v.as.string);
    case JK_LIST:
    case JK_TUPLE:
        return v.as.list->lazy ? -1 : (int64_t)v.as.list->n;
    case JK_DICT:
        return (int64_t)v.as.dict->n;
    default:
        return -1;
    }
}

JList *j_items(JinjaRun *r, JValue v) {
    JValue l = j_list(r, JK_LIST);
    if (v.kind == JK_LIST || v.kind == JK_TUPLE) return v.as.list;
    if (v.kind == JK_STRING) {
        const JString *s = v.as.string;
        for (size_t at = 0, k; at < s->n; at += k) {
            k = unicode_length((unsigned char)s->data[at]);
            j_push(r, l.as.list, j_part(r, s, at, k));
        }
    } else if (v.kind == JK_DICT) {
        for (size_t i = 0; i < v.as.dict->n; i++) j_push(r, l.as.list, v.as.dict->key[i]);
    } else if (v.kind == JK_UNDEFINED) {
        if (v.as.name != NULL && r->st == OK) return l.as.list; /* lenient: nothing to see */
    } else {
        j_fail(r, "'%s' object is not iterable", j_type_name(v));
    }
    return l.as.list;
}

/* ---- getting at parts ---- */

/* Byte offset of character `index` (at most the number of characters). */
static size_t character_offset(const JString *s, size_t index) {
    size_t at = 0;
    while (index > 0 && at < s->n) {
        at += unicode_length((unsigned char)s->data[at]);
        index--;
    }
    return at;
}

static JValue string_at(JinjaRun *r, const JString *s, int64_t i) {
    int64_t n = (int64_t)j_characters(s);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return j_undefined("string index");
    size_t at = character_offset(s, (size_t)i);
    return j_part(r, s, at, unicode_length((unsigned char)s->data[at]));
}

static JValue list_at(const JList *l, int64_t i) {
    if (i < 0) i += (int64_t)l->n;
    return i < 0 || i >= (int64_t)l->n ? j_undefined("list item") : l->item[i];
}

JValue j_item(JinjaRun *r, JValue a, JValue key) {
    bool integer = key.kind == JK_INT || key.kind == JK_BOOL;
    if (a.kind == JK_UNDEFINED) {
        return j_fail(r, "'%s' is undefined", a.as.name == NULL ? "value" : a.as.name);
    }
    if (a.kind == JK_DICT) {
        const JValue *v = j_get(a.as.dict, key);
        if (v != NULL) return *v;
    } else if (a.kind == JK_STRING && integer) {
        return string_at(r, a.as.string, integer_of(key));
    } else if ((a.kind == JK_LIST || a.kind == JK_TUPLE) && integer) {
        return list_at(a.as.list, integer_of(key));
    }
    if (key.kind != JK_STRING) return j_undefined("item");
    const char *name = key.as.string->data; /* NUL-terminated where it is a whole string */
    name = jinja_copy(&r->pool, name, key.as.string->n);
    return a.kind == JK_DICT && !j_has_method(a, name) ? j_undefined(name)
                                                       : j_attribute(r, a, name);
}

static JValue loop_attribute(JinjaRun *r, JLoop *l, const char *name) {
    int64_t i = (int64_t)l->index, n = (int64_t)l->items->n;
    if (strcmp(name, "index") == 0) return j_int(i + 1);
    if (strcmp(name, "index0") == 0) return j_int(i);
    if (strcmp(name, "revindex") == 0) return j_int(n - i);
    if (strcmp(name, "revindex0") == 0) return j_int(n - i - 1);
    if (strcmp(name, "first") == 0) return j_bool(i == 0);
    if (strcmp(name, "last") == 0) return j_bool(i == n - 1);
    if (strcmp(name, "length") == 0) return j_int(n);
    if (strcmp(name, "depth") == 0) return j_int(1);
    if (strcmp(name, "depth0") == 0) return j_int(0);
    if (strcmp(name, "previtem") == 0) {
        return i > 0 ? l->items->item[i - 1] : j_undefined("there is no previous item");
    }
    if (strcmp(name, "nextitem") == 0) {
        return i + 1 < n ? l->items->item[i + 1] : j_undefined("there is no next item");
    }
    JValue self = {.kind = JK_LOOP, .as.loop = l};
    if (strcmp(name, "cycle") == 0 || strcmp(name, "changed") == 0)
        return j_function(r, name, self);
    return j_undefined(name);
}

JValue j_attribute(JinjaRun *r, JValue a, const char *name) {
    if (a.kind == JK_UNDEFINED) {
        return j_fail(r, "'%s' is undefined", a.as.name == NULL ? "value" : a.as.name);
    }
    if (a.kind == JK_LOOP) return loop_attribute(r, a.as.loop, name);
    if (j_has_method(a, name)) return j_function(r, name, a);
    if (a.kind == JK_DICT || a.kind == JK_NAMESPACE) {
        const JValue *v = j_get_text(a.as.dict, name);
        if (v != NULL) return *v;
    }
    return j_undefined(name);
}

/* Python's slice indices: where it starts, how many steps it makes. */
static bool slice_range(JinjaRun *r, int64_t n, JValue start, JValue stop, JValue step,
                        int64_t *from, int64_t *by, int64_t *count) {
    JValue given[3] = {start, stop, step};
    for (int i = 0; i < 3; i++) {
        bool good = given[i].kind == JK_NONE || given[i].kind == JK_INT || given[i].kind == JK_BOOL;
        if (good) continue;
        j_fail(r, "slice indices must be integers or None, not %s", j_type_name(given[i]));
        return false;
    }
    int64_t k = step.kind == JK_NONE ? 1 : integer_of(step);
    if (k == 0 || k == INT64_MIN) {
        j_fail(r, "slice step cannot be zero");
        return false;
    }
    int64_t low = k > 0 ? 0 : -1, high = k > 0 ? n : n - 1,
            ends[2] = {k > 0 ? low : high, k > 0 ? high : low};
    for (int i = 0; i < 2; i++) {
        if (given[i].kind == JK_NONE) continue;
        int64_t v = integer_of(given[i]);
        if (v < 0) v = v < -n ? -1 - n : v + n;
        ends[i] = v < low ? low : v > high ? high : v;
    }
    int64_t distance = k > 0 ? ends[1] - ends[0] : ends[0] - ends[1];
    int64_t stride = k > 0 ? k : -k;
    *from = ends[0];
    *by = k;
    *count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
    return true;
}

JValue j_slice(JinjaRun *r, JValue a, JValue start, JValue stop, JValue step) {
    int64_t from, by, count, n = j_length(a);
    bool list = a.kind == JK_LIST || a.kind == JK_TUPLE;
    if (a.kind == JK_UNDEFINED) return j_item(r, a, j_none());
    if (list && a.as.list->lazy) return j_fail(r, "'generator' object is not subscriptable");
    if (!list && a.kind != JK_STRING)
        return j_fail(r, "'%s' object cannot be sliced", j_type_name(a));
    if (!slice_range(r, n, start, stop, step, &from, &by, &count)) return j_undefined(NULL);
    if (list) {
        JValue l = j_list(r, a.kind);
        for (int64_t i = 0; i < count; i++) j_push(r, l.as.list, a.as.list->item[from + i * by]);
        return l;
    }
    const JString *s = a.as.string;
    if (by == 1) {
        size_t at = character_offset(s, (size_t)from);
        JString rest = {.data = s->data + at, .n = s->n - at};
        return j_part(r, s, at, character_offset(&rest, (size_t)count));
    }
    JList *characters = j_items(r, a);
    Tagged out = j_build();
    for (int64_t i = 0; i < count; i++) j_append(&out, characters->item[from + i * by].as.string);
    return j_take(r, &out);
}
