#include "tools/experiment_table.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "tools/student.h"

#include <math.h>
#include <string.h>

typedef struct Cell {
    int stage;
    char *file; /* NULL: metrics.jsonl */
    char *key;
} Cell;

static void cell_free(Cell *c) {
    mem_free(c->file);
    mem_free(c->key);
}

/* A row is a list with a cell for each column, or one text for all of them. */
static size_t row_cells(const Experiment *e, const YamlNode *row) {
    if (row->kind == YAML_SEQUENCE) return row->n;
    return e->columns ? e->columns->n : 1;
}

static const YamlNode *cell_node(const YamlNode *row, size_t i) {
    const YamlNode *n = row->kind == YAML_SEQUENCE ? row->items[i] : row;
    return yaml_is_null(n) ? NULL : n;
}

/* The text of cell k, its ${column} replaced. The caller mem_free's it. */
static char *cell_source(const Experiment *e, const YamlNode *node, size_t k) {
    const char *at = strstr(node->text, EXPERIMENT_COLUMN);
    if (!at || !e->columns) return mem_strdup(node->text);
    return str_format("%.*s%s%s", (int)(at - node->text), node->text, e->columns->items[k]->text,
                      at + strlen(EXPERIMENT_COLUMN));
}

/* "STAGE:METRIC" or "STAGE/FILE:a.b"; metric names may hold slashes. */
static bool cell_parse(Cell *c, Experiment *e, const YamlNode *node, size_t k) {
    char *text = cell_source(e, node, k), *colon = strchr(text, ':'), *stage = NULL;
    size_t n = strcspn(text, "/:");
    *c = (Cell){.stage = -1};
    if (!colon || !colon[1] || (text[n] == '/' && text + n + 1 == colon)) {
        yaml_error(&e->errors, node, "a cell is STAGE:METRIC or STAGE/FILE.json:key, not `%s`",
                   text);
        goto out;
    }
    stage = mem_strndup(text, n);
    c->stage = experiment_stage(e, stage);
    if (c->stage < 0) yaml_error(&e->errors, node, "there is no stage `%s`", stage);
    if (c->stage < 0) goto out;
    if (text[n] == '/') c->file = mem_strndup(text + n + 1, (size_t)(colon - text) - n - 1);
    c->key = mem_strdup(colon + 1);
out:
    mem_free(stage);
    mem_free(text);
    return c->stage >= 0;
}

void experiment_table_check(Experiment *e) {
    for (size_t i = 0; e->rows && i < e->rows->n; i++) {
        const YamlNode *row = e->rows->items[i];
        for (size_t k = 0; k < row_cells(e, row); k++) {
            const YamlNode *node = cell_node(row, k);
            Cell c;
            if (node && node->kind == YAML_SCALAR && cell_parse(&c, e, node, k)) cell_free(&c);
        }
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

static Json *last_metric(const char *path, const char *name) {
    Jsonl *rows = NULL;
    Json *found = NULL;
    if (jsonl_open(&rows, path) != OK) return NULL;
    for (int64_t i = jsonl_rows(rows) - 1; i >= 0 && !found; i--) {
        Json *row = NULL;
        if (jsonl_parse(&row, rows, i) == OK && json_is_num(json_get(row, name)))
            found = json_clone(json_get(row, name));
        json_free(row);
    }
    jsonl_close(rows);
    return found;
}

/* A key may hold dots: the longest first. */
static const Json *member(const Json *object, const char *key) {
    const Json *whole = json_get(object, key);
    for (const char *dot = strchr(key, '.'); dot && !whole; dot = strchr(dot + 1, '.')) {
        char *head = mem_strndup(key, (size_t)(dot - key));
        const Json *below = json_get(object, head);
        mem_free(head);
        if (below) whole = member(below, dot + 1);
    }
    return whole;
}

/* The file that a seed's last cell was in: most cells of a table are in one, and it may be large.
 */
typedef struct OpenFile {
    char *path;
    Json *root;
} OpenFile;

static void open_file_free(OpenFile *f) {
    mem_free(f->path);
    json_free(f->root);
    *f = (OpenFile){0};
}

static Json *file_member(OpenFile *f, const char *path, const char *key) {
    if (!str_equal(f->path, path)) {
        open_file_free(f);
        f->path = mem_strdup(path);
        if (json_read_file(&f->root, path) != OK) f->root = NULL;
    }
    const Json *found = f->root ? member(f->root, key) : NULL;
    return json_is_num(found) || json_is(found, JSON_KIND_OBJECT) ? json_clone(found) : NULL;
}

static Json *cell_value(const Experiment *e, const Cell *c, int64_t seed, OpenFile *open) {
    char *folder = experiment_stage_folder(e, seed, c->stage);
    char *path = file_join(folder, c->file ? c->file : "metrics.jsonl");
    Json *value = NULL;
    if (file_is_regular(path))
        value = c->file ? file_member(open, path, c->key) : last_metric(path, c->key);
    mem_free(path);
    mem_free(folder);
    return value;
}

static double number_of(const Json *value) {
    const Json *mean = json_get(value, "mean");
    return json_is_num(value) ? json_num(value) : json_is_num(mean) ? json_num(mean) : NAN;
}

static Json *interval_json(const Interval *r) {
    Json *out = json_new_object();
    json_set(out, "mean", json_new_num(r->mean));
    if (r->n > 1) {
        json_set(out, "low", json_new_num(r->low));
        json_set(out, "high", json_new_num(r->high));
    }
    json_set(out, "n", json_new_int(r->n));
    return out;
}

/* open [n_seeds] */
static Json *read_cell(Experiment *e, const Cell *c, OpenFile *open) {
    double *x = mem_zalloc((size_t)e->n_seeds, sizeof *x);
    Json *only = NULL;
    for (int i = 0; i < e->n_seeds; i++) {
        Json *value = cell_value(e, c, e->seeds[i], &open[i]);
        x[i] = number_of(value);
        if (e->n_seeds == 1 && json_is(value, JSON_KIND_OBJECT) && !isnan(x[i]))
            only = value;
        else
            json_free(value);
    }
    Interval r = student_interval(x, e->n_seeds);
    mem_free(x);
    if (only) return only;
    return r.n > 0 ? interval_json(&r) : json_new_null();
}

Json *experiment_table_read(Experiment *e) {
    if (!e->rows) return NULL;
    Json *table = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    OpenFile *open = mem_zalloc((size_t)e->n_seeds, sizeof *open);
    json_push(columns, json_new_str(""));
    for (size_t i = 0; e->columns && i < e->columns->n; i++)
        json_push(columns, json_new_str(e->columns->items[i]->text));
    if (!e->columns) json_push(columns, json_new_str(e->n_seeds > 1 ? "mean" : "value"));
    for (size_t i = 0; i < e->rows->n; i++) {
        const YamlNode *row = e->rows->items[i];
        Json *out = json_new_array();
        json_push(out, json_new_str(e->rows->keys[i]->text));
        for (size_t k = 0; k < row_cells(e, row); k++) {
            Cell c;
            const YamlNode *node = cell_node(row, k);
            bool there = node && cell_parse(&c, e, node, k);
            json_push(out, there ? read_cell(e, &c, open) : json_new_null());
            if (there) cell_free(&c);
        }
        json_push(rows, out);
    }
    for (int i = 0; i < e->n_seeds; i++) open_file_free(&open[i]);
    mem_free(open);
    json_set(table, "columns", columns);
    json_set(table, "rows", rows);
    return table;
}

/* ---- printing ------------------------------------------------------------------------------ */

static char *cell_text(const Json *cell) {
    if (json_is(cell, JSON_KIND_STRING)) return mem_strdup(json_str(cell, NULL));
    const Json *low = json_get(cell, "low"), *high = json_get(cell, "high");
    double mean = number_of(cell);
    if (isnan(mean)) return mem_strdup("-");
    if (!json_is_num(low) || !json_is_num(high)) return str_format("%.4g", mean);
    return str_format("%.3g [%.3g, %.3g]", mean, json_num(low), json_num(high));
}

static void print_line(Str *out, const Json *line, const size_t *widths) {
    for (int64_t k = 0; k < json_len(line); k++) {
        char *text = cell_text(json_at(line, k));
        str_printf(out, "%s%-*s", k > 0 ? "  " : "", (int)widths[k], text);
        mem_free(text);
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ') out->data[--out->len] = '\0';
    str_append_char(out, '\n');
}

static void widen(size_t *widths, const Json *line) {
    for (int64_t k = 0; k < json_len(line); k++) {
        char *text = cell_text(json_at(line, k));
        size_t n = strlen(text);
        if (n > widths[k]) widths[k] = n;
        mem_free(text);
    }
}

void experiment_table_print(Str *out, const Json *table) {
    const Json *columns = json_get(table, "columns"), *rows = json_get(table, "rows");
    size_t *widths = mem_zalloc((size_t)json_len(columns) + 1, sizeof *widths);
    widen(widths, columns);
    for (int64_t i = 0; i < json_len(rows); i++) widen(widths, json_at(rows, i));
    print_line(out, columns, widths);
    for (int64_t i = 0; i < json_len(rows); i++) print_line(out, json_at(rows, i), widths);
    mem_free(widths);
}
