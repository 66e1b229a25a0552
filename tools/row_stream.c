#include "tools/row_stream.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/publish.h"
#include "core/stop.h"

struct RowSink {
    PublishFile *file;   /* one of the two */
    JsonlWriter *direct; /* standard output, a pipe, a device */
    Str line;
};

Status row_sink_open(RowSink **out, const char *path) {
    *out = NULL;
    RowSink *s = mem_zalloc(1, sizeof *s);
    bool special = file_exists(path) && !file_is_regular(path) && !file_is_folder(path);
    Status st = str_equal(path, "-") || special ? jsonl_writer_open(&s->direct, path, -1)
                                                : publish_open(&s->file, path, 0);
    if (st == OK)
        *out = s;
    else
        row_sink_close(s);
    return st;
}

Status row_sink_write(RowSink *s, const Json *row) {
    if (s->direct) return jsonl_write(s->direct, row);
    str_clear(&s->line);
    json_dump(&s->line, row, 0);
    str_append_char(&s->line, '\n');
    return publish_write(s->file, s->line.data, s->line.len);
}

Status row_sink_commit(RowSink *s) {
    return s->file ? publish_commit(s->file) : OK;
}

void row_sink_close(RowSink *s) {
    if (!s) return;
    publish_close(s->file);
    jsonl_writer_close(s->direct);
    str_free(&s->line);
    mem_free(s);
}

static Status one_row(const Jsonl *in, int64_t i, RowFn fn, void *ctx, RowSink *out) {
    Json *row = NULL;
    TRY(jsonl_parse(&row, in, i));
    char *where = str_format("%s:%lld", jsonl_path(in), (long long)jsonl_row(in, i).line);
    Status st = OK;
    if (!json_is(row, JSON_KIND_OBJECT))
        st = status_fail(ERR_DATA, "%s: a row must be an object, not %s", where,
                         json_kind_name(json_kind(row)));
    if (st == OK) st = fn(ctx, out, row, where);
    mem_free(where);
    json_free(row);
    return st;
}

Status rows_each(const char *data, const char *label, RowFn fn, void *ctx, RowSink *out) {
    Jsonl *in = NULL;
    Progress progress;
    TRY(jsonl_open(&in, data));
    int64_t n = jsonl_rows(in);
    if (n < 2) label = NULL;
    if (label) progress_begin(&progress, label, "rows", n, 0);
    Status st = OK;
    for (int64_t i = 0; i < n && st == OK; i++) {
        st = stop_requested() ? stop_status() : one_row(in, i, fn, ctx, out);
        if (label) progress_update(&progress, i + 1, NULL);
    }
    if (label) progress_end(&progress);
    jsonl_close(in);
    return st;
}
