/* Rows from columns: Dremel's levels tell where lists begin and what is null. */
#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"
#include "data/containers/parquet_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NULLS_DISAGREE "the columns of a list or struct disagree about what is null"
#define LENGTHS_DISAGREE "the columns of a list or struct disagree about its length"

/* Where a row stands in a column. */
typedef struct Cursor {
    int64_t at, end;
} Cursor;

/* A row in work. The first thing that is wrong is kept; from then on everything is null. */
typedef struct Assembly {
    const Parquet *p;
    const ParquetGroup *g;
    Cursor *cursors; /* [n_leaves] */
    const char *wrong;
    int32_t wrong_leaf;
} Assembly;

static Json *fail(Assembly *a, int32_t leaf, const char *what) {
    if (!a->wrong) {
        a->wrong = what;
        a->wrong_leaf = leaf;
    }
    return json_new_null();
}

/* ---- a value ---- */

static double big_endian(const ParquetText *t) {
    const unsigned char *at = (const unsigned char *)t->at;
    double value = t->n > 0 && at[0] >= 128 ? -1 : 0;
    for (size_t i = 0; i < t->n; i++) value = value * 256 + at[i];
    return value;
}

static double half(const ParquetText *t) {
    unsigned bits = (unsigned char)t->at[0] | (unsigned)(unsigned char)t->at[1] << 8;
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(fraction + 1024, exponent - 25) : ldexp(fraction, -24));
}

static Json *hexadecimal(const ParquetText *t) {
    Str text = {0};
    for (size_t i = 0; i < t->n; i++) str_printf(&text, "%02x", (unsigned)(unsigned char)t->at[i]);
    Json *value = json_new_str(str_text(&text));
    str_free(&text);
    return value;
}

static Json *text_value(Assembly *a, const ParquetNode *n, const ParquetText *t) {
    switch (n->meaning) {
    case PARQUET_DECIMAL:
        return json_new_num(big_endian(t) / pow(10, n->scale));
    case PARQUET_FLOAT16:
        return json_new_num(half(t));
    case PARQUET_UUID:
        return hexadecimal(t);
    default:
        break;
    }
    if (str_utf8_valid(t->at, t->n, NULL)) return json_new_str_n(t->at, t->n);
    if (n->meaning == PARQUET_TEXT) return fail(a, n->first_leaf, "the text is not UTF-8");
    return json_new_null();
}

static Json *number_value(const ParquetNode *n, ParquetValue v) {
    switch (n->type) {
    case PARQUET_BOOL:
        return json_new_bool(v.number != 0);
    case PARQUET_FLOAT:
        return json_new_f32(v.single);
    case PARQUET_DOUBLE:
        return json_new_num(v.real);
    case PARQUET_INT32:
        if (n->meaning == PARQUET_UNSIGNED) return json_new_int((uint32_t)(uint64_t)v.number);
        break;
    case PARQUET_INT64:
        if (n->meaning == PARQUET_UNSIGNED && v.number < 0)
            return json_new_num((double)(uint64_t)v.number);
        break;
    case PARQUET_INT96:
        break;
    default:
        FAIL("type %d", (int)n->type);
    }
    if (n->meaning == PARQUET_DECIMAL) return json_new_num((double)v.number / pow(10, n->scale));
    return json_new_int(v.number);
}

static Json *leaf_value(Assembly *a, const ParquetNode *n) {
    Cursor *cursor = &a->cursors[n->first_leaf];
    const ParquetColumn *c = &a->g->columns[n->first_leaf];
    int64_t i = cursor->at++;
    return c->values.text ? text_value(a, n, &c->values.text[i])
                          : number_value(n, c->values.number[i]);
}

/* ---- levels ---- */

/* The definition level in hand; 0 with `wrong` set behind the row's end. */
static int level_of(Assembly *a, int32_t leaf) {
    const Cursor *cursor = &a->cursors[leaf];
    const ParquetColumn *c = &a->g->columns[leaf];
    if (cursor->at >= cursor->end) {
        json_free(fail(a, leaf, LENGTHS_DISAGREE));
        return 0;
    }
    return c->def ? c->def[cursor->at] : 0;
}

static bool is_there(Assembly *a, const ParquetNode *n) {
    return level_of(a, n->first_leaf) >= n->def && !a->wrong;
}

/* A node that is not there takes one level of every column below it. */
static void pass_absent(Assembly *a, const ParquetNode *n) {
    for (int32_t leaf = n->first_leaf; leaf < n->first_leaf + n->n_leaf && !a->wrong; leaf++) {
        if (level_of(a, leaf) >= n->def && !a->wrong) json_free(fail(a, leaf, NULLS_DISAGREE));
        a->cursors[leaf].at++;
    }
}

static bool goes_on(const Assembly *a, const ParquetNode *n) {
    const Cursor *cursor = &a->cursors[n->first_leaf];
    return !a->wrong && cursor->at < cursor->end &&
           a->g->columns[n->first_leaf].rep[cursor->at] == n->rep;
}

/* ---- nodes ---- */

static Json *value_of(Assembly *a, int32_t i);

static Json *object_of(Assembly *a, int32_t i) {
    const ParquetNode *nodes = a->p->nodes;
    Json *object = json_new_object();
    for (int32_t child = i + 1; child < nodes[i].end && !a->wrong; child = nodes[child].end)
        json_set(object, nodes[child].name, value_of(a, child));
    return object;
}

static bool has_one_child(const ParquetNode *nodes, int32_t i) {
    return nodes[i].type == PARQUET_GROUP && nodes[i + 1].end == nodes[i].end;
}

/* Is the repeated node only a shell of its one child? The format's rules for lists of old. */
static bool is_shell(const ParquetNode *nodes, int32_t list, int32_t i) {
    size_t n = strlen(nodes[list].name);
    if (!has_one_child(nodes, i) || nodes[i + 1].repeat == PARQUET_REPEATED) return false;
    if (strcmp(nodes[i].name, "array") == 0) return false;
    bool tuple = strncmp(nodes[i].name, nodes[list].name, n) == 0;
    return !tuple || strcmp(nodes[i].name + n, "_tuple") != 0;
}

static Json *body_of(Assembly *a, int32_t i);

/* The elements of the repeated node `i`: its child's where it is a shell. */
static Json *list_of(Assembly *a, int32_t i, bool shell) {
    const ParquetNode *n = &a->p->nodes[i];
    Json *list = json_new_array();
    if (!is_there(a, n)) {
        pass_absent(a, n);
        return list;
    }
    do json_push(list, shell ? value_of(a, i + 1) : body_of(a, i));
    while (goes_on(a, n));
    return list;
}

/* Key and value alternate; an object where the keys are texts. */
static Json *map_of(Assembly *a, int32_t i) {
    const ParquetNode *nodes = a->p->nodes, *n = &nodes[i], *key = &nodes[i + 1];
    int32_t value = key->end;
    if (key->type != PARQUET_BYTES) return list_of(a, i, false);
    Json *object = json_new_object();
    if (!is_there(a, n)) {
        pass_absent(a, n);
        return object;
    }
    do {
        Json *name = value_of(a, i + 1), *what = value_of(a, value);
        size_t n_name = 0;
        const char *text = json_is(name, JSON_KIND_STRING) ? json_str(name, &n_name) : NULL;
        if (text && strlen(text) == n_name)
            json_set(object, text, what);
        else {
            json_free(what);
            json_free(fail(a, key->first_leaf,
                           text ? "a map's key holds a zero byte" : "a map's key is no text"));
        }
        json_free(name);
    } while (goes_on(a, n));
    return object;
}

/* What a node holds, once it is there. */
static Json *body_of(Assembly *a, int32_t i) {
    const ParquetNode *nodes = a->p->nodes, *n = &nodes[i];
    if (a->wrong) return json_new_null();
    if (n->type != PARQUET_GROUP) {
        bool there = is_there(a, n);
        if (a->wrong) return json_new_null();
        return there ? leaf_value(a, n) : fail(a, n->first_leaf, NULLS_DISAGREE);
    }
    bool holds_list = has_one_child(nodes, i) && nodes[i + 1].repeat == PARQUET_REPEATED;
    if (holds_list && n->meaning == PARQUET_LIST)
        return list_of(a, i + 1, is_shell(nodes, i, i + 1));
    bool pairs = holds_list && nodes[i + 1].type == PARQUET_GROUP &&
                 nodes[i + 2].repeat != PARQUET_REPEATED && nodes[i + 2].end < nodes[i + 1].end &&
                 nodes[nodes[i + 2].end].end == nodes[i + 1].end;
    if (pairs && n->meaning == PARQUET_MAP) return map_of(a, i + 1);
    return object_of(a, i);
}

static Json *value_of(Assembly *a, int32_t i) {
    const ParquetNode *n = &a->p->nodes[i];
    if (a->wrong) return json_new_null();
    if (n->repeat == PARQUET_REPEATED) return list_of(a, i, false);
    if (n->repeat == PARQUET_REQUIRED || is_there(a, n)) return body_of(a, i);
    pass_absent(a, n);
    return json_new_null();
}

Status parquet_assemble(Json **out, const Parquet *p, const ParquetGroup *g, int64_t row) {
    Assembly a = {.p = p, .g = g};
    a.cursors = mem_alloc((size_t)p->n_leaves * sizeof *a.cursors);
    for (int32_t i = 0; i < p->n_leaves; i++) {
        const int64_t *begin = g->columns[i].row;
        a.cursors[i] = begin ? (Cursor){begin[row], begin[row + 1]} : (Cursor){row, row + 1};
    }
    Json *object = object_of(&a, 0);
    for (int32_t i = 0; i < p->n_leaves && !a.wrong; i++)
        if (a.cursors[i].at != a.cursors[i].end) json_free(fail(&a, i, LENGTHS_DISAGREE));
    mem_free(a.cursors);
    if (!a.wrong) {
        *out = object;
        return OK;
    }
    json_free(object);
    char *name = parquet_column_name(p, a.wrong_leaf);
    Status st = status_fail(ERR_DATA, "%s:%lld:1: column `%s`: %s", p->path,
                            (long long)(p->group_start[g->index] + row + 1), name, a.wrong);
    mem_free(name);
    return st;
}
