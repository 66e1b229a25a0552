#include "data/containers/container.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/containers/container_kinds.h"
#include "data/containers/gunzip.h"
#include "data/containers/scan.h"
#include "data/containers/unzstd.h"

#include <string.h>

/* ---- what kind of file it is ---- */

/* Kinds that are known, but not read: the message says what to do instead. */
static Status refuse_foreign(const Container *c) {
    static const struct {
        const char *magic, *what;
    } foreign[] = {
        {"ARROW1", "an Arrow file, which is not read; write it as JSON lines"},
        {"PK\x03\x04", "a zip archive, which is not read; unpack it"},
        {"version https://git-lfs.github.com/",
         "a Git LFS pointer, not the data itself; fetch it with `git lfs pull`"},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        size_t n = strlen(foreign[i].magic);
        if (c->size >= n && memcmp(c->data, foreign[i].magic, n) == 0)
            return status_fail(ERR_DATA, "%s: this is %s", c->path, foreign[i].what);
    }
    return OK;
}

/* Is `ending` the file name's, before an optional .gz or .zst? */
static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    if (str_ends(path, ".gz"))
        n -= 3;
    else if (str_ends(path, ".zst"))
        n -= 4;
    return n > m && path[n - m - 1] == '.' && memcmp(path + n - m, ending, m) == 0;
}

bool container_knows(const char *name) {
    static const char *const endings[] = {"jsonl", "json", "ndjson", "csv",
                                          "tsv",   "txt",  "text",   "parquet"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i])) return true;
    return false;
}

static Status index_rows(Container *c, const ContainerOptions *o) {
    if (parquet_is(c->data, c->size)) {
        c->kind = CONTAINER_PARQUET;
        TRY(parquet_open(&c->parquet, c->path, c->data, c->size));
        c->n_rows = parquet_rows(c->parquet);
        return OK;
    }
    bool tsv = ends_in(c->path, "tsv");
    if (tsv || ends_in(c->path, "csv")) {
        c->kind = CONTAINER_TABLE;
        c->separator = tsv ? '\t' : ',';
        return table_index(c, !o->no_header);
    }
    bool text = ends_in(c->path, "txt") || ends_in(c->path, "text");
    Scan s = scan_begin(c->data, c->size, 1, 1);
    scan_space(&s);
    int first = scan_peek(&s);
    if (!text && (first == '{' || first == '[' || first < 0)) {
        c->kind = CONTAINER_JSON;
        return json_rows_index(c);
    }
    if (text || o->assume_text) {
        c->kind = CONTAINER_TEXT;
        text_rows_index(c, o->text_by);
        return OK;
    }
    return status_fail(ERR_DATA,
                       "%s:%lld:%lld: neither a JSON object nor an array begins here; for plain "
                       "text say `format: text`, for tables name the file .csv or .tsv",
                       c->path, (long long)s.line, (long long)s.column);
}

/* ---- open, read, close ---- */

static Status load(Container *c) {
    TRY(file_map(&c->map, c->path));
    c->data = (const char *)c->map.data;
    c->size = c->map.size;
    if (gunzip_is(c->map.data, c->map.size)) {
        TRY(gunzip_bytes(&c->unzipped, c->path, c->map.data, c->map.size));
        c->data = str_text(&c->unzipped);
        c->size = c->unzipped.len;
    }
    if (unzstd_is(c->map.data, c->map.size)) {
        TRY(unzstd_bytes(&c->unzipped, c->path, c->map.data, c->map.size, GUNZIP_MAX));
        c->data = str_text(&c->unzipped);
        c->size = c->unzipped.len;
    }
    if (c->size >= 3 && memcmp(c->data, "\xef\xbb\xbf", 3) == 0) {
        c->data += 3;
        c->size -= 3;
    }
    return OK;
}

Status container_open(Container **out, const char *path, const ContainerOptions *options) {
    *out = NULL;
    Status st;
    Container *c = mem_zalloc(1, sizeof *c);
    c->path = mem_strdup(path);
    c->text_field = mem_strdup(options->text_field);
    TRY_GOTO(load(c), st, out);
    TRY_GOTO(refuse_foreign(c), st, out);
    TRY_GOTO(index_rows(c, options), st, out);
    *out = c;
    c = NULL;
out:
    container_close(c);
    return st;
}

void container_close(Container *c) {
    if (!c) return;
    parquet_close(c->parquet);
    file_unmap(&c->map);
    str_free(&c->unzipped);
    json_free(c->head);
    json_free(c->columns);
    mem_free(c->rows);
    mem_free(c->text_field);
    mem_free(c->path);
    mem_free(c);
}

void container_add(Container *c, ContainerRow row) {
    if (c->n_rows == c->cap_rows) {
        c->cap_rows = c->cap_rows ? 2 * c->cap_rows : 256;
        c->rows = mem_realloc(c->rows, (size_t)c->cap_rows, sizeof *c->rows);
    }
    c->rows[c->n_rows++] = row;
}

const char *container_path(const Container *c) {
    return c->path;
}
int64_t container_rows(const Container *c) {
    return c->n_rows;
}
bool container_is_json(const Container *c) {
    return c->kind == CONTAINER_JSON;
}
const Json *container_head(const Container *c) {
    return c->head;
}

ContainerRow container_row(const Container *c, int64_t i) {
    CHECK(i >= 0 && i < c->n_rows, "row %lld of %lld", (long long)i, (long long)c->n_rows);
    if (c->kind == CONTAINER_PARQUET) return (ContainerRow){"", 0, i + 1, 1};
    return c->rows[i];
}

Status container_parse(Json **out, const Container *c, int64_t i) {
    ContainerRow row = container_row(c, i);
    switch (c->kind) {
    case CONTAINER_JSON:
        return json_rows_parse(out, c, &row);
    case CONTAINER_TABLE:
        return table_parse(out, c, &row);
    case CONTAINER_TEXT:
        return text_rows_parse(out, c, &row);
    case CONTAINER_PARQUET:
        return parquet_row(out, c->parquet, i);
    }
    FAIL("container kind %d", (int)c->kind);
}

Status container_check_utf8(const Container *c, const ContainerRow *row) {
    size_t bad;
    if (str_utf8_valid(row->text, row->len, &bad)) return OK;
    Scan s = scan_begin(row->text, row->len, row->line, row->column);
    while (s.at < bad) scan_step(&s);
    return status_fail(ERR_DATA,
                       "%s:%lld:%lld: not UTF-8 (byte 0x%02x); convert the file, for example with "
                       "`iconv -f WINDOWS-1252 -t UTF-8`",
                       c->path, (long long)s.line, (long long)s.column,
                       (unsigned)(unsigned char)row->text[bad]);
}
