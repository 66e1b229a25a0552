/* Rows of plain text: one a line, one a paragraph, or the whole file. Blank ones are no rows. */
#include "data/containers/container_kinds.h"
#include "data/containers/scan.h"

static bool is_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n') return false;
    return true;
}

static void add(Container *c, ContainerRow row, const char *end) {
    row.len = (size_t)(end - row.text);
    while (row.len > 0 && (row.text[row.len - 1] == '\n' || row.text[row.len - 1] == '\r'))
        row.len--;
    if (!is_blank(row.text, row.len)) container_add(c, row);
}

void text_rows_index(Container *c, DatasetTextBy by) {
    if (by == DATASET_TEXT_DOCUMENT) {
        /* A document keeps its last line end: it is part of the text. */
        if (!is_blank(c->data, c->size)) container_add(c, (ContainerRow){c->data, c->size, 1, 1});
        return;
    }
    Scan s = scan_begin(c->data, c->size, 1, 1);
    ContainerRow row = {c->data, 0, 1, 1};
    while (scan_peek(&s) >= 0) {
        const char *line = c->data + s.at;
        while (scan_peek(&s) >= 0 && scan_peek(&s) != '\n') scan_step(&s);
        bool blank = is_blank(line, (size_t)(c->data + s.at - line));
        if (scan_peek(&s) >= 0) scan_step(&s);
        if (by == DATASET_TEXT_PARAGRAPH && !blank) continue;
        add(c, row, by == DATASET_TEXT_LINE ? c->data + s.at : line);
        row = (ContainerRow){c->data + s.at, 0, s.line, s.column};
    }
    if (by == DATASET_TEXT_PARAGRAPH) add(c, row, c->data + s.at);
}

Status text_rows_parse(Json **out, const Container *c, const ContainerRow *row) {
    *out = NULL;
    TRY(container_check_utf8(c, row));
    *out = json_new_object();
    json_set(*out, c->text_field, json_new_str_n(row->text, row->len));
    return OK;
}
