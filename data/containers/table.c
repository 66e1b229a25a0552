/* Rows of a table: CSV by RFC 4180 (quoted fields may hold commas, quotes doubled, line ends) and
 * TSV by IANA's text/tab-separated-values with the usual \n, \t, \r, \\ escapes. Values are
 * strings. */
#include "data/containers/container_kinds.h"
#include "data/containers/scan.h"

#include <stdio.h>
#include <string.h>

static Status fail_row(const Container *c, const ContainerRow *row, const char *what) {
    return status_fail(ERR_DATA, "%s:%lld:%lld: %s", c->path, (long long)row->line,
                       (long long)row->column, what);
}

/* Cuts the file into records; a quoted field may span lines. */
static Status index_records(Container *c) {
    Scan s = scan_begin(c->data, c->size, 1, 1);
    while (scan_peek(&s) >= 0) {
        ContainerRow row = {c->data + s.at, 0, s.line, s.column};
        ContainerRow quote = row;
        bool quoted = false;
        for (int ch; (ch = scan_peek(&s)) >= 0; scan_step(&s)) {
            if (ch == '\n' && !quoted) break;
            if (ch != '"' || c->separator == '\t') continue;
            quoted = !quoted;
            if (quoted) quote = (ContainerRow){c->data + s.at, 0, s.line, s.column};
        }
        if (quoted) return fail_row(c, &quote, "this quote is never closed");
        row.len = (size_t)(c->data + s.at - row.text);
        if (row.len > 0 && row.text[row.len - 1] == '\r') row.len--;
        if (scan_peek(&s) >= 0) scan_step(&s);
        if (row.len > 0) container_add(c, row);
    }
    return OK;
}

/* Appends one field at `at` to `field`; returns the offset of the separator behind it, or len. */
static size_t csv_field(Str *field, const char *text, size_t len, size_t at, char separator) {
    bool quoted = at < len && text[at] == '"';
    if (quoted) at++;
    while (at < len) {
        char ch = text[at];
        if (quoted && ch == '"') {
            if (at + 1 < len && text[at + 1] == '"')
                at++; /* a doubled quote is one */
            else {
                quoted = false;
                at++;
                continue;
            }
        } else if (!quoted && ch == separator) {
            break;
        }
        str_append_char(field, ch);
        at++;
    }
    return at;
}

static size_t tsv_field(Str *field, const char *text, size_t len, size_t at) {
    for (; at < len && text[at] != '\t'; at++) {
        static const char escapes[] = "n\nt\tr\r\\\\";
        const char *found = NULL;
        if (text[at] == '\\' && at + 1 < len && text[at + 1] != '\0')
            for (size_t i = 0; i + 1 < sizeof escapes && !found; i += 2)
                if (escapes[i] == text[at + 1]) found = &escapes[i + 1];
        str_append_char(field, found ? *found : text[at]);
        if (found) at++;
    }
    return at;
}

/* The fields of a record, as a list of strings. */
static Json *split(const Container *c, const ContainerRow *row) {
    Json *fields = json_new_array();
    Str field = {0};
    for (size_t at = 0;; at++) {
        str_clear(&field);
        at = c->separator == '\t' ? tsv_field(&field, row->text, row->len, at)
                                  : csv_field(&field, row->text, row->len, at, c->separator);
        json_push(fields, json_new_str_n(str_text(&field), field.len));
        if (at >= row->len) break;
    }
    str_free(&field);
    return fields;
}

static Status read_header(Container *c) {
    TRY(container_check_utf8(c, &c->rows[0]));
    c->columns = split(c, &c->rows[0]);
    c->n_columns = json_len(c->columns);
    for (int64_t i = 0; i < c->n_columns; i++) {
        const char *name = json_str(json_at(c->columns, i), NULL);
        if (name[0] == '\0')
            return fail_row(c, &c->rows[0],
                            "the header has a column without a name; where there is "
                            "no header, map columns as `name: \"#1\"`");
        for (int64_t k = 0; k < i; k++)
            if (strcmp(name, json_str(json_at(c->columns, k), NULL)) == 0)
                return status_fail(ERR_DATA,
                                   "%s:%lld:1: the header names the column `%s` twice; where there "
                                   "is no header, map columns as `name: \"#1\"`",
                                   c->path, (long long)c->rows[0].line, name);
    }
    c->n_rows--;
    memmove(c->rows, c->rows + 1, (size_t)c->n_rows * sizeof *c->rows);
    return OK;
}

Status table_index(Container *c, bool header) {
    TRY(index_records(c));
    if (c->n_rows == 0) return OK;
    if (header) return read_header(c);
    Json *first = split(c, &c->rows[0]);
    c->n_columns = json_len(first);
    json_free(first);
    return OK;
}

Status table_parse(Json **out, const Container *c, const ContainerRow *row) {
    *out = NULL;
    TRY(container_check_utf8(c, row));
    Json *fields = split(c, row);
    if (json_len(fields) != c->n_columns) {
        int64_t n = json_len(fields);
        json_free(fields);
        return status_fail(ERR_DATA, "%s:%lld:%lld: %lld fields where the first line has %lld",
                           c->path, (long long)row->line, (long long)row->column, (long long)n,
                           (long long)c->n_columns);
    }
    Json *object = json_new_object();
    for (int64_t i = 0; i < c->n_columns; i++) {
        char number[24];
        snprintf(number, sizeof number, "#%lld", (long long)i + 1);
        size_t n;
        const char *text = json_str(json_at(fields, i), &n);
        json_set(object, c->columns ? json_str(json_at(c->columns, i), NULL) : number,
                 json_new_str_n(text, n));
    }
    json_free(fields);
    *out = object;
    return OK;
}
