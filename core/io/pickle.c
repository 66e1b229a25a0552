/* The steps are those of Python's pickletools, protocols 0 to 4. What makes values here are integer
 * places in one list, so that a value that is used twice is one value, and a dict that holds itself
 * is harmless: nothing ever walks into a value but one level. */
#include "core/io/pickle.h"

#include "core/io/little.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdbool.h>
#include <string.h>

#define NAME_MAX_BYTES 1024

typedef enum ValueKind {
    VALUE_MARK,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_OTHER, /* a number or a list that no tensor needs */
    VALUE_TEXT,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_GLOBAL,
    VALUE_STORAGE,
    VALUE_TENSOR,
} ValueKind;

typedef enum GlobalKind {
    GLOBAL_DICT,
    GLOBAL_TENSOR,
    GLOBAL_PARAMETER,
    GLOBAL_STORAGE,
} GlobalKind;

typedef struct Global {
    const char *module, *name;
    GlobalKind kind;
    DType dtype;
    size_t item_bytes;
} Global;

static const Global GLOBALS[] = {
    {"collections", "OrderedDict", GLOBAL_DICT, DTYPE_NONE, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TENSOR, DTYPE_NONE, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_PARAMETER, DTYPE_NONE, 0},
    {"torch", "FloatStorage", GLOBAL_STORAGE, DTYPE_F32, 4},
    {"torch", "HalfStorage", GLOBAL_STORAGE, DTYPE_F16, 2},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE, DTYPE_BF16, 2},
    {"torch", "DoubleStorage", GLOBAL_STORAGE, DTYPE_F64, 8},
    {"torch", "LongStorage", GLOBAL_STORAGE, DTYPE_I64, 8},
    {"torch", "IntStorage", GLOBAL_STORAGE, DTYPE_I32, 4},
    {"torch", "ShortStorage", GLOBAL_STORAGE, DTYPE_I16, 2},
    {"torch", "CharStorage", GLOBAL_STORAGE, DTYPE_I8, 1},
    {"torch", "ByteStorage", GLOBAL_STORAGE, DTYPE_U8, 1},
    {"torch", "BoolStorage", GLOBAL_STORAGE, DTYPE_BOOL, 1},
    {"torch", "ComplexFloatStorage", GLOBAL_STORAGE, DTYPE_NONE, 8},
    {"torch", "ComplexDoubleStorage", GLOBAL_STORAGE, DTYPE_NONE, 16},
};

typedef struct Value {
    ValueKind kind;
    union {
        int64_t number;
        struct {
            const char *text; /* into the pickle, not ended */
            size_t n;
        };
        struct {
            int first, count; /* of a tuple: places in `items` */
        };
        struct {
            int head, last; /* of a dict: places in `pairs`, -1: none */
        };
        const Global *global;
        struct { /* of a storage and of a tensor: a tuple that was checked; its storage */
            int parts, storage;
        };
    };
} Value;

typedef struct Pair {
    int key, value, next;
} Pair;

/* A growable list of ints. */
typedef struct Ints {
    int *at;
    size_t n, cap;
} Ints;

typedef struct Machine {
    const unsigned char *bytes, *end, *at;
    const char *path;
    Value *values;
    int n_values, values_cap;
    Ints stack, memo, items;
    Pair *pairs;
    int n_pairs, pairs_cap;
} Machine;

static Status fail(const Machine *m, const char *what) {
    return status_fail(ERR_DATA, "%s: the pickle in it, byte %zu: %s", m->path,
                       (size_t)(m->at - m->bytes), what);
}

static void ints_push(Ints *l, int x) {
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->at = mem_realloc(l->at, l->cap, sizeof *l->at);
    }
    l->at[l->n++] = x;
}

/* ---- values and the stack ---- */

/* Makes a value and pushes it. */
static Status push_new(Machine *m, Value v) {
    if (m->n_values == PICKLE_MAX_VALUES) return fail(m, "more values than any model has");
    if (m->n_values == m->values_cap) {
        m->values_cap = m->values_cap ? m->values_cap * 2 : 1024;
        m->values = mem_realloc(m->values, (size_t)m->values_cap, sizeof *m->values);
    }
    m->values[m->n_values] = v;
    ints_push(&m->stack, m->n_values++);
    return OK;
}

static Status pop(Machine *m, int *out) {
    if (m->stack.n == 0) return fail(m, "takes from an empty stack");
    *out = m->stack.at[--m->stack.n];
    if (m->values[*out].kind == VALUE_MARK) return fail(m, "takes a mark for a value");
    return OK;
}

/* What stands above the last mark: *first is its place in the stack. The mark goes, the values
 * stay until the caller takes them off. */
static Status find_mark(Machine *m, size_t *first) {
    for (size_t i = m->stack.n; i > 0; i--)
        if (m->values[m->stack.at[i - 1]].kind == VALUE_MARK) {
            *first = i;
            return OK;
        }
    return fail(m, "looks for a mark that is not there");
}

static Status push_tuple(Machine *m, size_t count) {
    if (m->stack.n < count) return fail(m, "takes from an empty stack");
    if (m->items.n + count > PICKLE_MAX_VALUES) return fail(m, "more values than any model has");
    Value v = {.kind = VALUE_TUPLE, .first = (int)m->items.n, .count = (int)count};
    for (size_t i = m->stack.n - count; i < m->stack.n; i++) {
        if (m->values[m->stack.at[i]].kind == VALUE_MARK) return fail(m, "a tuple over a mark");
        ints_push(&m->items, m->stack.at[i]);
    }
    m->stack.n -= count;
    return push_new(m, v);
}

static Status marked_tuple(Machine *m) {
    size_t first = 0;
    TRY(find_mark(m, &first));
    size_t count = m->stack.n - first;
    /* over the mark itself */
    memmove(m->stack.at + first - 1, m->stack.at + first, count * sizeof *m->stack.at);
    m->stack.n--;
    return push_tuple(m, count);
}

/* Element i of a tuple; the caller knows that it has one. */
static const Value *item(const Machine *m, const Value *tuple, int i) {
    return &m->values[m->items.at[tuple->first + i]];
}

/* ---- dicts ---- */

static Status add_pair(Machine *m, int dict, int key, int value) {
    if (m->n_pairs == PICKLE_MAX_VALUES) return fail(m, "more values than any model has");
    if (m->n_pairs == m->pairs_cap) {
        m->pairs_cap = m->pairs_cap ? m->pairs_cap * 2 : 256;
        m->pairs = mem_realloc(m->pairs, (size_t)m->pairs_cap, sizeof *m->pairs);
    }
    m->pairs[m->n_pairs] = (Pair){.key = key, .value = value, .next = -1};
    Value *d = &m->values[dict];
    if (d->last >= 0)
        m->pairs[d->last].next = m->n_pairs;
    else
        d->head = m->n_pairs;
    d->last = m->n_pairs++;
    return OK;
}

/* Pairs stack[first..) go into the dict below the place `below`. */
static Status set_items(Machine *m, size_t first, size_t below) {
    if (below == 0) return fail(m, "takes from an empty stack");
    int dict = m->stack.at[below - 1];
    if (m->values[dict].kind != VALUE_DICT || (m->stack.n - first) % 2 != 0)
        return fail(m, "sets items of what is no dict");
    for (size_t i = first; i < m->stack.n; i += 2)
        TRY(add_pair(m, dict, m->stack.at[i], m->stack.at[i + 1]));
    m->stack.n = below;
    return OK;
}

static Status marked_items(Machine *m) {
    size_t first = 0;
    TRY(find_mark(m, &first));
    return set_items(m, first, first - 1);
}

static Status one_item(Machine *m) {
    if (m->stack.n < 3) return fail(m, "takes from an empty stack");
    return set_items(m, m->stack.n - 2, m->stack.n - 2);
}

/* What lists hold is of no use here; the list stays. */
static Status marked_list(Machine *m, bool is_new) {
    size_t first = 0;
    TRY(find_mark(m, &first));
    m->stack.n = first - 1;
    if (is_new) return push_new(m, (Value){.kind = VALUE_OTHER});
    if (m->stack.n == 0 || m->values[m->stack.at[m->stack.n - 1]].kind != VALUE_OTHER)
        return fail(m, "appends to what is no list");
    return OK;
}

/* ---- the callables ---- */

static Status push_global(Machine *m, const char *module, size_t n_module, const char *name,
                          size_t n_name) {
    for (size_t i = 0; i < sizeof GLOBALS / sizeof *GLOBALS; i++) {
        const Global *g = &GLOBALS[i];
        if (strlen(g->module) == n_module && memcmp(g->module, module, n_module) == 0 &&
            strlen(g->name) == n_name && memcmp(g->name, name, n_name) == 0)
            return push_new(m, (Value){.kind = VALUE_GLOBAL, .global = g});
    }
    return status_fail(ERR_DATA,
                       "%s: asks for `%.*s.%.*s`, which no file of weights needs; it may be "
                       "hostile: use safetensors from a source that you trust",
                       m->path, (int)(n_module < 100 ? n_module : 100), module,
                       (int)(n_name < 100 ? n_name : 100), name);
}

static bool is_text(const Value *v, const char *text) {
    return v->kind == VALUE_TEXT && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

/* ("storage", torch.FloatStorage, "0", "cpu", 288) */
static Status persistent(Machine *m) {
    int id = 0;
    TRY(pop(m, &id));
    const Value *t = &m->values[id];
    if (t->kind != VALUE_TUPLE || t->count != 5 || !is_text(item(m, t, 0), "storage") ||
        item(m, t, 1)->kind != VALUE_GLOBAL || item(m, t, 1)->global->kind != GLOBAL_STORAGE ||
        item(m, t, 2)->kind != VALUE_TEXT || item(m, t, 4)->kind != VALUE_INT ||
        item(m, t, 4)->number < 0)
        return fail(m, "a storage is not described as torch describes one");
    return push_new(m, (Value){.kind = VALUE_STORAGE, .parts = id});
}

static bool is_sizes(const Machine *m, const Value *t) {
    if (t->kind != VALUE_TUPLE || t->count > PICKLE_MAX_RANK) return false;
    for (int i = 0; i < t->count; i++)
        if (item(m, t, i)->kind != VALUE_INT || item(m, t, i)->number < 0) return false;
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
static Status rebuild_tensor(Machine *m, int args) {
    const Value *t = &m->values[args];
    if (t->count < 6 || t->count > 7 || item(m, t, 0)->kind != VALUE_STORAGE ||
        item(m, t, 1)->kind != VALUE_INT || item(m, t, 1)->number < 0 ||
        !is_sizes(m, item(m, t, 2)) || !is_sizes(m, item(m, t, 3)) ||
        item(m, t, 2)->count != item(m, t, 3)->count)
        return fail(m, "a tensor is not described as torch describes one");
    int storage = m->items.at[t->first];
    return push_new(m, (Value){.kind = VALUE_TENSOR, .parts = args, .storage = storage});
}

static Status reduce(Machine *m) {
    int args = 0, callable = 0;
    TRY(pop(m, &args));
    TRY(pop(m, &callable));
    const Value *f = &m->values[callable], *t = &m->values[args];
    if (f->kind != VALUE_GLOBAL || t->kind != VALUE_TUPLE)
        return fail(m, "calls what is no callable");
    switch (f->global->kind) {
    case GLOBAL_DICT:
        if (t->count != 0) return fail(m, "an OrderedDict with arguments");
        return push_new(m, (Value){.kind = VALUE_DICT, .head = -1, .last = -1});
    case GLOBAL_TENSOR:
        return rebuild_tensor(m, args);
    case GLOBAL_PARAMETER: /* (data, requires_grad, hooks) */
        if (t->count != 3 || item(m, t, 0)->kind != VALUE_TENSOR)
            return fail(m, "a parameter is not described as torch describes one");
        ints_push(&m->stack, m->items.at[t->first]);
        return OK;
    case GLOBAL_STORAGE:
        return fail(m, "calls what is no callable");
    }
    return fail(m, "calls what is no callable");
}

/* The state of a dict (torch's _metadata) says nothing about tensors. */
static Status build(Machine *m) {
    int state = 0;
    TRY(pop(m, &state));
    if (m->stack.n == 0 || m->values[m->stack.at[m->stack.n - 1]].kind != VALUE_DICT)
        return fail(m, "sets the state of what is no dict");
    return OK;
}

/* ---- bytes of the program ---- */

static Status take(Machine *m, const unsigned char **out, uint64_t n) {
    if (n > (size_t)(m->end - m->at)) return fail(m, "ends too early; is the file cut short?");
    *out = m->at;
    m->at += n;
    return OK;
}

static Status take_number(Machine *m, uint64_t *out, size_t bytes) {
    const unsigned char *p = NULL;
    TRY(take(m, &p, bytes));
    *out = little_load(p, bytes);
    return OK;
}

static Status take_line(Machine *m, const char **line, size_t *n) {
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end) return fail(m, "ends too early; is the file cut short?");
    *line = (const char *)m->at;
    *n = (size_t)(end - m->at);
    m->at = end + 1;
    return OK;
}

/* A string after its length of so many bytes. */
static Status push_text(Machine *m, size_t length_bytes) {
    uint64_t n = 0;
    const unsigned char *p = NULL;
    TRY(take_number(m, &n, length_bytes));
    TRY(take(m, &p, n));
    return push_new(m, (Value){.kind = VALUE_TEXT, .text = (const char *)p, .n = (size_t)n});
}

static Status push_int(Machine *m, size_t bytes, bool is_signed) {
    uint64_t x = 0;
    TRY(take_number(m, &x, bytes));
    if (is_signed && bytes < 8 && x >> (8 * bytes - 1)) x |= ~(uint64_t)0 << (8 * bytes);
    return push_new(m, (Value){.kind = VALUE_INT, .number = (int64_t)x});
}

/* LONG1: a signed number of n bytes. */
static Status push_long(Machine *m) {
    uint64_t n = 0;
    TRY(take_number(m, &n, 1));
    if (n > 8) return fail(m, "a number of more than 64 bits");
    if (n == 0) return push_new(m, (Value){.kind = VALUE_INT});
    return push_int(m, (size_t)n, true);
}

static Status skip(Machine *m, uint64_t n) {
    const unsigned char *p = NULL;
    return take(m, &p, n);
}

static Status line_global(Machine *m) {
    const char *module = NULL, *name = NULL;
    size_t n_module = 0, n_name = 0;
    TRY(take_line(m, &module, &n_module));
    TRY(take_line(m, &name, &n_name));
    return push_global(m, module, n_module, name, n_name);
}

static Status stack_global(Machine *m) {
    int name = 0, module = 0;
    TRY(pop(m, &name));
    TRY(pop(m, &module));
    const Value *a = &m->values[module], *b = &m->values[name];
    if (a->kind != VALUE_TEXT || b->kind != VALUE_TEXT) return fail(m, "a name that is no string");
    return push_global(m, a->text, a->n, b->text, b->n);
}

static Status memo_put(Machine *m, uint64_t place) {
    if (m->stack.n == 0) return fail(m, "takes from an empty stack");
    if (place >= PICKLE_MAX_VALUES) return fail(m, "remembers more values than any model has");
    while (m->memo.n <= place) ints_push(&m->memo, -1);
    m->memo.at[place] = m->stack.at[m->stack.n - 1];
    return OK;
}

static Status memo_get(Machine *m, uint64_t place) {
    if (place >= m->memo.n || m->memo.at[place] < 0)
        return fail(m, "asks for a value that was never remembered");
    if (m->stack.n >= PICKLE_MAX_VALUES) return fail(m, "more values than any model has");
    ints_push(&m->stack, m->memo.at[place]);
    return OK;
}

/* BINPUT, LONG_BINPUT, BINGET, LONG_BINGET */
static Status memo_step(Machine *m, unsigned char op) {
    uint64_t place = 0;
    TRY(take_number(m, &place, op == 'q' || op == 'h' ? 1 : 4));
    return op == 'q' || op == 'r' ? memo_put(m, place) : memo_get(m, place);
}

static Status drop(Machine *m) {
    int value = 0;
    return pop(m, &value);
}

static Status push_kind(Machine *m, ValueKind kind, int64_t number) {
    return push_new(m, (Value){.kind = kind, .number = number});
}

static Status append(Machine *m) {
    TRY(drop(m));
    if (m->stack.n == 0 || m->values[m->stack.at[m->stack.n - 1]].kind != VALUE_OTHER)
        return fail(m, "appends to what is no list");
    return OK;
}

static Status unknown_step(Machine *m, unsigned char op) {
    return status_fail(ERR_DATA,
                       "%s: the pickle in it, byte %zu: step 0x%02x is none that weights need; it "
                       "may be hostile: use safetensors from a source that you trust",
                       m->path, (size_t)(m->at - m->bytes) - 1, op);
}

static Status step(Machine *m, unsigned char op) {
    switch (op) {
    case 0x80: /* PROTO */
        return skip(m, 1);
    case 0x95: /* FRAME */
        return skip(m, 8);
    case '(':
        return push_kind(m, VALUE_MARK, 0);
    case '0':
        return drop(m);
    case 'N':
        return push_kind(m, VALUE_NONE, 0);
    case 0x88: /* NEWTRUE, NEWFALSE */
    case 0x89:
        return push_kind(m, VALUE_BOOL, op == 0x88);
    case 'J':
        return push_int(m, 4, true);
    case 'K':
        return push_int(m, 1, false);
    case 'M':
        return push_int(m, 2, false);
    case 0x8a: /* LONG1 */
        return push_long(m);
    case 'G': /* BINFLOAT */
        TRY(skip(m, 8));
        return push_kind(m, VALUE_OTHER, 0);
    case 'X': /* BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, SHORT_BINSTRING */
        return push_text(m, 4);
    case 0x8c:
        return push_text(m, 1);
    case 0x8d:
        return push_text(m, 8);
    case 'U':
        return push_text(m, 1);
    case ')':
        return push_tuple(m, 0);
    case 0x85: /* TUPLE1 to TUPLE3 */
    case 0x86:
    case 0x87:
        return push_tuple(m, op - 0x84U);
    case 't':
        return marked_tuple(m);
    case '}':
        return push_new(m, (Value){.kind = VALUE_DICT, .head = -1, .last = -1});
    case 's':
        return one_item(m);
    case 'u':
        return marked_items(m);
    case ']':
        return push_kind(m, VALUE_OTHER, 0);
    case 'l':
    case 'e':
        return marked_list(m, op == 'l');
    case 'a':
        return append(m);
    case 'q':
    case 'r':
    case 'h':
    case 'j':
        return memo_step(m, op);
    case 0x94: /* MEMOIZE */
        return memo_put(m, m->memo.n);
    case 'c':
        return line_global(m);
    case 0x93: /* STACK_GLOBAL */
        return stack_global(m);
    case 'Q':
        return persistent(m);
    case 'R':
        return reduce(m);
    case 'b':
        return build(m);
    default:
        return unknown_step(m, op);
    }
}

/* ---- the result ---- */

static const char *kind_name(ValueKind kind) {
    static const char *const NAMES[] = {
        [VALUE_NONE] = "None",     [VALUE_BOOL] = "a number", [VALUE_INT] = "a number",
        [VALUE_TEXT] = "a string", [VALUE_DICT] = "a dict",   [VALUE_TENSOR] = "a tensor",
    };
    return NAMES[kind] ? NAMES[kind] : "something else";
}

static Status add_tensor(Pickle *out, const Machine *m, const char *name, const Value *v) {
    const Value *args = &m->values[v->parts];
    const Value *id = &m->values[m->values[v->storage].parts];
    const Value *key = item(m, id, 2), *size = item(m, args, 2), *stride = item(m, args, 3);
    const Global *g = item(m, id, 1)->global;
    PickleTensor *t = &out->tensors[out->n_tensors++];
    *t = (PickleTensor){.name = mem_strdup(name),
                        .storage = mem_strndup(key->text, key->n),
                        .dtype = g->dtype,
                        .type = g->name,
                        .item_bytes = g->item_bytes,
                        .n_stored = (uint64_t)item(m, id, 4)->number,
                        .offset = (uint64_t)item(m, args, 1)->number,
                        .rank = size->count};
    for (int i = 0; i < t->rank; i++) {
        t->shape[i] = item(m, size, i)->number;
        t->stride[i] = item(m, stride, i)->number;
    }
    if (strlen(t->storage) != key->n || key->n == 0)
        return status_fail(ERR_DATA, "%s: tensor `%.200s`: its storage has no proper name", m->path,
                           name);
    return OK;
}

static Status take_pair(Pickle *out, const Machine *m, const Pair *p) {
    const Value *key = &m->values[p->key], *value = &m->values[p->value];
    if (key->kind != VALUE_TEXT || key->n == 0 || key->n > NAME_MAX_BYTES ||
        memchr(key->text, 0, key->n) || !str_utf8_valid(key->text, key->n, NULL))
        return status_fail(ERR_DATA, "%s: a key of its dict is no name of a tensor", m->path);
    char *name = mem_strndup(key->text, key->n);
    Status st = value->kind == VALUE_TENSOR
                    ? add_tensor(out, m, name, value)
                    : status_fail(ERR_DATA,
                                  "%s: `%.200s` is %s, not a tensor; weights are what "
                                  "model.state_dict() gives, saved alone",
                                  m->path, name, kind_name(value->kind));
    mem_free(name);
    return st;
}

static Status take_result(Pickle *out, Machine *m) {
    int result = 0;
    TRY(pop(m, &result));
    const Value *dict = &m->values[result];
    if (dict->kind != VALUE_DICT)
        return status_fail(ERR_DATA, "%s: holds %s, not a dict of tensors", m->path,
                           kind_name(dict->kind));
    size_t n = 0;
    for (int i = dict->head; i >= 0; i = m->pairs[i].next) n++;
    out->tensors = mem_zalloc(n, sizeof *out->tensors);
    for (int i = dict->head; i >= 0; i = m->pairs[i].next) TRY(take_pair(out, m, &m->pairs[i]));
    return OK;
}

Status pickle_read(Pickle *out, const unsigned char *bytes, size_t n, const char *path) {
    Machine m = {.bytes = bytes, .at = bytes, .end = bytes + n, .path = path};
    Status st = OK;
    *out = (Pickle){0};
    bool stopped = false;
    while (st == OK && !stopped) {
        const unsigned char *op = NULL;
        st = take(&m, &op, 1);
        stopped = st == OK && *op == '.';
        if (st == OK && !stopped) st = step(&m, *op);
    }
    if (st == OK) st = take_result(out, &m);
    mem_free(m.values);
    mem_free(m.pairs);
    mem_free(m.stack.at);
    mem_free(m.memo.at);
    mem_free(m.items.at);
    return st;
}

void pickle_close(Pickle *p) {
    for (size_t i = 0; i < p->n_tensors; i++) {
        mem_free(p->tensors[i].name);
        mem_free(p->tensors[i].storage);
    }
    mem_free(p->tensors);
    *p = (Pickle){0};
}
