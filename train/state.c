#include "train/state.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"

#include <string.h>

#define STATE_MAX_HOOKS 8

struct State {
    Dev *dev;
    StateItem *items;
    int64_t n, cap;
    struct {
        void (*fn)(void *ctx);
        void *ctx;
    } hooks[STATE_MAX_HOOKS];
    int n_hooks;
};

Status state_open(State **out, Dev *dev) {
    *out = mem_zalloc(1, sizeof(State));
    (*out)->dev = dev;
    return OK;
}

void state_close(State *s) {
    if (s == NULL) return;
    for (int64_t i = 0; i < s->n; i++) mem_free(s->items[i].path);
    mem_free(s->items);
    mem_free(s);
}

/* ---- registering --------------------------------------------------------------------------- */

static StateItem *add_item(State *s, const char *path, StateKind kind) {
    CHECK(path[0] != '\0' && path[0] != '/', "state path \"%s\" must be relative", path);
    for (int64_t i = 0; i < s->n; i++)
        CHECK(!str_equal(s->items[i].path, path), "state \"%s\" is registered twice", path);
    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 64;
        s->items = mem_realloc(s->items, (size_t)s->cap, sizeof(StateItem));
    }
    StateItem *it = &s->items[s->n++];
    *it = (StateItem){.path = mem_strdup(path), .kind = kind};
    return it;
}

void state_tensor(State *s, const char *path, Tensor t) {
    CHECK(t.layout == LAYOUT_ROW, "state \"%s\" must lie row by row", path);
    add_item(s, path, STATE_TENSOR)->tensor = t;
}

static Tensor scalar_of(void *value, DType dtype) {
    return (Tensor){.data = value, .dtype = dtype, .rank = 0};
}

void state_i64(State *s, const char *path, int64_t *value) {
    add_item(s, path, STATE_SCALAR)->tensor = scalar_of(value, DTYPE_I64);
}

void state_f64(State *s, const char *path, double *value) {
    add_item(s, path, STATE_SCALAR)->tensor = scalar_of(value, DTYPE_F64);
}

void state_array(State *s, const char *path, const StateArray *a) {
    CHECK(a->rank >= 1 && a->rank <= TENSOR_MAX_RANK, "state \"%s\" has rank %d", path, a->rank);
    add_item(s, path, STATE_ARRAY)->array = *a;
}

void state_after_load(State *s, void (*fn)(void *ctx), void *ctx) {
    CHECK(s->n_hooks < STATE_MAX_HOOKS, "more than %d hooks", STATE_MAX_HOOKS);
    s->hooks[s->n_hooks].fn = fn;
    s->hooks[s->n_hooks++].ctx = ctx;
}

/* ---- reading and writing ------------------------------------------------------------------- */

int64_t state_count(const State *s) {
    return s->n;
}

const StateItem *state_at(const State *s, int64_t i) {
    CHECK(i >= 0 && i < s->n, "item %lld of %lld", (long long)i, (long long)s->n);
    return &s->items[i];
}

Tensor state_view(const State *s, int64_t i, void **buffer) {
    const StateItem *it = state_at(s, i);
    *buffer = NULL;
    switch (it->kind) {
    case STATE_SCALAR:
        return it->tensor;
    case STATE_ARRAY: {
        Tensor t = it->array.get(it->array.ctx);
        CHECK(t.dtype == it->array.dtype && t.rank == it->array.rank,
              "state \"%s\" gave another dtype or rank than it was registered with", it->path);
        return t;
    }
    case STATE_TENSOR:
        if (dev_is_host(s->dev)) return it->tensor;
        *buffer = mem_alloc(tensor_bytes(it->tensor));
        dev_download(s->dev, *buffer, it->tensor);
        return tensor_like(*buffer, it->tensor);
    }
    FAIL("state kind %d", (int)it->kind);
}

Tensor state_shape(const State *s, int64_t i) {
    const StateItem *it = state_at(s, i);
    Tensor t = it->kind == STATE_ARRAY ? it->array.get(it->array.ctx) : it->tensor;
    t.data = NULL;
    return t;
}

Status state_write(State *s, int64_t i, Tensor saved) {
    const StateItem *it = state_at(s, i);
    if (it->kind == STATE_ARRAY) return it->array.set(it->array.ctx, saved);
    CHECK(saved.dtype == it->tensor.dtype && tensor_same_shape(saved, it->tensor),
          "state \"%s\" has another dtype or shape", it->path);
    if (it->kind == STATE_SCALAR)
        memcpy(it->tensor.data, saved.data, tensor_bytes(saved));
    else
        dev_upload(s->dev, it->tensor, saved.data);
    return OK;
}

void state_loaded(State *s) {
    for (int i = 0; i < s->n_hooks; i++) s->hooks[i].fn(s->hooks[i].ctx);
}

size_t state_bytes(const State *s) {
    size_t total = 0;
    for (int64_t i = 0; i < s->n; i++) total += tensor_bytes(state_shape(s, i));
    return total;
}
