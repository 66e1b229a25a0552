/* Rows of JSON: lines, an array, or an object that holds an array. */
#include "core/mem.h"
#include "data/containers/container_kinds.h"
#include "data/containers/scan.h"

/* Where collections keep their rows when the file is one object: Natural Instructions, then the
 * habits of the Hub. */
static const char *const row_keys[] = {"Instances", "data", "rows", "examples"};

static Status fail_at(const Container *c, const Scan *s, const char *what) {
    return status_fail(ERR_DATA, "%s:%lld:%lld: %s", c->path, (long long)s->line,
                       (long long)s->column, what);
}

static void index_lines(Container *c) {
    Scan s = scan_begin(c->data, c->size, 1, 1);
    for (;;) {
        scan_space(&s);
        if (scan_peek(&s) < 0) return;
        ContainerRow row = {c->data + s.at, 0, s.line, s.column};
        while (scan_peek(&s) >= 0 && scan_peek(&s) != '\n') scan_step(&s);
        row.len = (size_t)(c->data + s.at - row.text);
        while (row.len > 0 && (row.text[row.len - 1] == '\r' || row.text[row.len - 1] == ' '))
            row.len--;
        container_add(c, row);
    }
}

/* The cursor stands on '['; ends behind the ']'. */
static Status index_array(Container *c, Scan *s) {
    scan_step(s);
    scan_space(s);
    if (scan_peek(s) == ']') {
        scan_step(s);
        return OK;
    }
    for (;;) {
        scan_space(s);
        Scan start = *s;
        if (!scan_value(s))
            return fail_at(c, &start,
                           "this row does not end; the file is cut off, or a quote or bracket is "
                           "missing");
        if (s->at == start.at) return fail_at(c, s, "a row is missing here, behind the comma");
        container_add(
            c, (ContainerRow){c->data + start.at, s->at - start.at, start.line, start.column});
        scan_space(s);
        int c0 = scan_peek(s);
        if (c0 < 0) return fail_at(c, s, "the array does not end with `]`; the file is cut off");
        scan_step(s);
        if (c0 == ']') return OK;
        if (c0 != ',') {
            s->at--, s->column--;
            return fail_at(c, s, "`,` or `]` is missing between rows");
        }
    }
}

/* The whole file is one object over several lines: its rows, and the rest of it as the head. */
static Status index_object(Container *c) {
    for (size_t i = 0; i < sizeof row_keys / sizeof *row_keys; i++) {
        if (!json_is(json_get(c->head, row_keys[i]), JSON_KIND_ARRAY)) continue;
        Scan s = scan_begin(c->data, c->size, 1, 1);
        scan_space(&s);
        if (!scan_member(&s, row_keys[i], true)) continue; /* a key spelt with escapes */
        TRY(index_array(c, &s));
        json_del(c->head, row_keys[i]);
        return OK;
    }
    json_free(c->head);
    c->head = NULL;
    Scan s = scan_begin(c->data, c->size, 1, 1);
    scan_space(&s);
    container_add(c, (ContainerRow){c->data + s.at, c->size - s.at, s.line, s.column});
    return OK; /* one row, written over several lines */
}

Status json_rows_index(Container *c) {
    Scan s = scan_begin(c->data, c->size, 1, 1);
    scan_space(&s);
    if (scan_peek(&s) == '[') {
        Scan array = s;
        TRY(index_array(c, &array));
        scan_space(&array);
        if (scan_peek(&array) >= 0) {
            if (array.line > s.line && scan_peek(&array) == '[')
                return fail_at(c, &s, "each line is an array; a row must be an object");
            return fail_at(c, &array, "something follows the end of the array");
        }
        return OK;
    }
    index_lines(c);
    if (c->n_rows < 2) return OK;
    /* Lines of rows, or one object over many lines? If the first line is no value, try the file. */
    Json *first = NULL;
    Status st = json_parse(&first, c->rows[0].text, c->rows[0].len, c->path, c->rows[0].line);
    json_free(first);
    if (st != OK && json_parse(&c->head, c->data, c->size, c->path, 1) == OK) {
        c->n_rows = 0;
        st = index_object(c);
        if (st != OK) return st;
    }
    status_clear(); /* a first line that is wrong is reported when the row is read */
    return OK;
}

Status json_rows_parse(Json **out, const Container *c, const ContainerRow *row) {
    Status st = json_parse(out, row->text, row->len, c->path, row->line);
    if (st == OK || row->column == 1) return st;
    /* The parser counts columns from where the text begins: once more, behind as many blanks. */
    Str padded = {0};
    for (int64_t i = 1; i < row->column; i++) str_append_char(&padded, ' ');
    str_append_n(&padded, row->text, row->len);
    status_clear();
    st = json_parse(out, padded.data, padded.len, c->path, row->line);
    str_free(&padded);
    return st;
}
