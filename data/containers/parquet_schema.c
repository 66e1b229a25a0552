/* A footer's schema: a list in preorder, made into nodes with their levels. */
#include "core/mem.h"
#include "core/str.h"
#include "data/containers/parquet_parts.h"

#include <string.h>

#define MOST_SCALE 300 /* ten to it is still a double */

/* An element as it stands in the file. */
typedef struct Element {
    const char *name;
    size_t n_name;
    int64_t type, width, repeat, n_children, converted, scale;
    int logical; /* field of the union; 0: none */
    bool logical_unsigned;
} Element;

/* LogicalType's fields and ConvertedType's values that mean something here. */
enum { LOGICAL_STRING = 1, LOGICAL_MAP, LOGICAL_LIST, LOGICAL_ENUM, LOGICAL_DECIMAL };
enum { LOGICAL_INTEGER = 10, LOGICAL_JSON = 12, LOGICAL_UUID = 14, LOGICAL_FLOAT16 };
enum { CONVERTED_UTF8, CONVERTED_MAP, CONVERTED_MAP_KEYS, CONVERTED_LIST, CONVERTED_ENUM };
enum { CONVERTED_DECIMAL = 5, CONVERTED_UINT8 = 11, CONVERTED_UINT64 = 14, CONVERTED_JSON = 19 };

/* The members of the union's one field: a decimal's scale (1), an integer's sign (2). */
static void read_logical_members(Thrift *t, Element *e) {
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        if (e->logical == LOGICAL_DECIMAL && f.id == 1)
            e->scale = thrift_int(t, &f);
        else if (e->logical == LOGICAL_INTEGER && f.id == 2)
            e->logical_unsigned = !thrift_bool(t, &f);
        else
            thrift_skip(t, &f);
    }
}

static void read_logical(Thrift *t, Element *e) {
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        e->logical = f.id;
        if (thrift_struct(t, &f)) read_logical_members(t, e);
    }
}

static Element read_element(Thrift *t) {
    Element e = {.name = "", .type = PARQUET_GROUP, .converted = -1};
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        if (f.id == 1)
            e.type = thrift_int(t, &f);
        else if (f.id == 2)
            e.width = thrift_int(t, &f);
        else if (f.id == 3)
            e.repeat = thrift_int(t, &f);
        else if (f.id == 4)
            e.name = thrift_text(t, &f, &e.n_name);
        else if (f.id == 5)
            e.n_children = thrift_int(t, &f);
        else if (f.id == 6)
            e.converted = thrift_int(t, &f);
        else if (f.id == 7)
            e.scale = thrift_int(t, &f);
        else if (f.id == 10 && thrift_struct(t, &f))
            read_logical(t, &e);
        else
            thrift_skip(t, &f);
    }
    return e;
}

static ParquetMeaning group_meaning(const Element *e) {
    if (e->logical == LOGICAL_LIST || e->converted == CONVERTED_LIST) return PARQUET_LIST;
    bool map = e->converted == CONVERTED_MAP || e->converted == CONVERTED_MAP_KEYS;
    return e->logical == LOGICAL_MAP || map ? PARQUET_MAP : PARQUET_PLAIN;
}

static ParquetMeaning meaning_of(const Element *e) {
    switch (e->type) {
    case PARQUET_GROUP:
        return group_meaning(e);
    case PARQUET_BYTES:
    case PARQUET_FIXED:
        if (e->logical == LOGICAL_UUID) return PARQUET_UUID;
        if (e->logical == LOGICAL_FLOAT16) return PARQUET_FLOAT16;
        if (e->logical == LOGICAL_STRING || e->logical == LOGICAL_ENUM ||
            e->logical == LOGICAL_JSON || e->converted == CONVERTED_UTF8 ||
            e->converted == CONVERTED_ENUM || e->converted == CONVERTED_JSON)
            return PARQUET_TEXT;
        break;
    case PARQUET_INT32:
    case PARQUET_INT64:
        if (e->logical_unsigned ||
            (e->converted >= CONVERTED_UINT8 && e->converted <= CONVERTED_UINT64))
            return PARQUET_UNSIGNED;
        break;
    default:
        return PARQUET_PLAIN;
    }
    bool decimal = e->logical == LOGICAL_DECIMAL || e->converted == CONVERTED_DECIMAL;
    return decimal ? PARQUET_DECIMAL : PARQUET_PLAIN;
}

static Status fail_schema(const Parquet *p, const char *what, const ParquetNode *n) {
    return status_fail(ERR_DATA, "%s: the Parquet schema %s%s%s; write the file again", p->path,
                       what, n ? ", at column " : "", n ? n->name : "");
}

/* A node's own facts; its place in the tree comes later. */
static Status add_node(Parquet *p, const Element *e) {
    ParquetNode *n = &p->nodes[p->n_nodes++];
    n->name = mem_strndup(e->name, e->n_name);
    if (strlen(n->name) != e->n_name || !str_utf8_valid(n->name, e->n_name, NULL))
        return fail_schema(p, "has a column whose name is no text", NULL);
    if (e->type < PARQUET_GROUP || e->type > PARQUET_FIXED)
        return fail_schema(p, "has an unknown type", n);
    if (e->repeat < PARQUET_REQUIRED || e->repeat > PARQUET_REPEATED)
        return fail_schema(p, "has an unknown repetition", n);
    if (e->type == PARQUET_FIXED && (e->width < 1 || e->width > 1 << 20))
        return fail_schema(p, "has an impossible width", n);
    n->type = (ParquetType)e->type;
    n->repeat = (ParquetRepeat)e->repeat;
    n->meaning = meaning_of(e);
    n->width = (int32_t)e->width;
    if (n->meaning == PARQUET_FLOAT16 && (e->type != PARQUET_FIXED || e->width != 2))
        return fail_schema(p, "has a float16 that is not two bytes wide", n);
    if (n->meaning == PARQUET_DECIMAL && (e->scale < 0 || e->scale > MOST_SCALE))
        return fail_schema(p, "has an impossible scale", n);
    n->scale = n->meaning == PARQUET_DECIMAL ? (int32_t)e->scale : 0;
    n->end = (int32_t)e->n_children; /* until link_node */
    return OK;
}

static Status check_sibling(const Parquet *p, int32_t first, int32_t node) {
    for (int32_t i = first; i < node; i = p->nodes[i].end)
        if (strcmp(p->nodes[i].name, p->nodes[node].name) == 0)
            return fail_schema(p, "names a column twice", &p->nodes[node]);
    return OK;
}

/* Sets levels, leaves and end of the subtree at `i`, whose parent has the levels of `above`. */
static Status link_node(Parquet *p, int32_t i, const ParquetNode *above, int depth) {
    ParquetNode *n = &p->nodes[i];
    int32_t n_children = n->end;
    if (depth > PARQUET_MOST_DEPTH) return fail_schema(p, "is too deep", n);
    n->def = (uint8_t)(above->def + (n->repeat != PARQUET_REQUIRED));
    n->rep = (uint8_t)(above->rep + (n->repeat == PARQUET_REPEATED));
    n->first_leaf = p->n_leaves;
    if (n->type != PARQUET_GROUP) {
        p->leaf[p->n_leaves++] = i;
        n->n_leaf = 1;
        n->end = i + 1;
        return OK;
    }
    if (n_children < 1) return fail_schema(p, "has a group without columns", n);
    int32_t next = i + 1;
    for (int32_t k = 0; k < n_children; k++) {
        if (next >= p->n_nodes) return fail_schema(p, "is cut off", n);
        TRY(check_sibling(p, i + 1, next));
        TRY(link_node(p, next, n, depth + 1));
        next = p->nodes[next].end;
    }
    n->n_leaf = p->n_leaves - n->first_leaf;
    n->end = next;
    return OK;
}

Status parquet_schema(Parquet *p, Thrift *t, const ThriftField *f) {
    int64_t n = thrift_structs(t, f);
    if (t->bad || p->nodes) return fail_schema(p, "is damaged", NULL);
    if (n < 2) return fail_schema(p, "has no columns", NULL);
    if (n > PARQUET_MOST_NODES) return fail_schema(p, "has too many columns", NULL);
    p->nodes = mem_zalloc((size_t)n, sizeof *p->nodes);
    p->leaf = mem_zalloc((size_t)n, sizeof *p->leaf);
    for (int64_t i = 0; i < n; i++) {
        Element e = read_element(t);
        if (t->bad || e.n_children < 0 || e.n_children > PARQUET_MOST_NODES)
            return fail_schema(p, "is damaged", NULL);
        if (i == 0) e.repeat = PARQUET_REQUIRED; /* the root's is not looked at */
        TRY(add_node(p, &e));
    }
    if (p->nodes[0].type != PARQUET_GROUP) return fail_schema(p, "has no columns", NULL);
    ParquetNode above = {0};
    TRY(link_node(p, 0, &above, 0));
    return p->nodes[0].end == n ? OK : fail_schema(p, "has columns outside of its rows", NULL);
}

char *parquet_column_name(const Parquet *p, int32_t leaf) {
    Str name = {0};
    int32_t target = p->leaf[leaf];
    for (int32_t i = 1; i <= target;) {
        if (p->nodes[i].end <= target) {
            i = p->nodes[i].end;
            continue;
        }
        str_printf(&name, "%s%s", name.len ? "." : "", p->nodes[i].name);
        i++;
    }
    return str_take(&name);
}
