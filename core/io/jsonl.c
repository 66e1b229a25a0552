#include "core/io/jsonl.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io_ops.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- reading ---- */

typedef struct RowPlace {
    int64_t line, offset;
    size_t len;
} RowPlace;

struct Jsonl {
    char *path;
    FileMap map;      /* of a file */
    Str input;        /* of standard input */
    const char *data; /* whichever holds the bytes */
    size_t size;
    RowPlace *rows;
    int64_t n_rows, cap_rows;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void add_row(Jsonl *j, int64_t line, size_t offset, size_t len) {
    if (j->n_rows == j->cap_rows) {
        j->cap_rows = j->cap_rows ? j->cap_rows * 2 : 64;
        j->rows = mem_realloc(j->rows, (size_t)j->cap_rows, sizeof *j->rows);
    }
    j->rows[j->n_rows++] = (RowPlace){.line = line, .offset = (int64_t)offset, .len = len};
}

static void index_rows(Jsonl *j) {
    size_t at = j->size >= 3 && memcmp(j->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (int64_t line = 1; at < j->size; line++) {
        const char *newline = memchr(j->data + at, '\n', j->size - at);
        size_t end = newline ? (size_t)(newline - j->data) : j->size;
        size_t len = end - at;
        while (len > 0 && is_blank(j->data[at + len - 1])) len--;
        if (len > 0) add_row(j, line, at, len);
        at = end + 1;
    }
}

Status jsonl_open(Jsonl **out, const char *path) {
    *out = NULL;
    bool standard_input = str_equal(path, "-");
    Jsonl *j = mem_zalloc(1, sizeof *j);
    j->path = mem_strdup(standard_input ? "standard input" : path);
    Status st = standard_input ? file_read(&j->input, "-", JSON_MAX_FILE) : file_map(&j->map, path);
    if (st != OK) {
        jsonl_close(j);
        return st;
    }
    j->data = standard_input ? str_text(&j->input) : (const char *)j->map.data;
    j->size = standard_input ? j->input.len : j->map.size;
    index_rows(j);
    *out = j;
    return OK;
}

Status jsonl_open_bytes(Jsonl **out, const char *name, const char *data, size_t size) {
    Jsonl *j = mem_zalloc(1, sizeof *j);
    j->path = mem_strdup(name);
    j->data = data;
    j->size = size;
    index_rows(j);
    *out = j;
    return OK;
}

void jsonl_close(Jsonl *j) {
    if (!j) return;
    file_unmap(&j->map);
    str_free(&j->input);
    mem_free(j->rows);
    mem_free(j->path);
    mem_free(j);
}

const char *jsonl_path(const Jsonl *j) {
    return j->path;
}

int64_t jsonl_rows(const Jsonl *j) {
    return j->n_rows;
}

JsonlRow jsonl_row(const Jsonl *j, int64_t i) {
    CHECK(i >= 0 && i < j->n_rows, "row %lld of %lld", (long long)i, (long long)j->n_rows);
    const RowPlace *r = &j->rows[i];
    return (JsonlRow){
        .line = r->line, .offset = r->offset, .text = j->data + r->offset, .len = r->len};
}

Status jsonl_parse(Json **out, const Jsonl *j, int64_t i) {
    JsonlRow r = jsonl_row(j, i);
    return json_parse(out, r.text, r.len, j->path, r.line);
}

/* ---- writing ---- */

struct JsonlWriter {
    char *path;
    int fd;
    bool owned; /* the descriptor is ours to close (not standard output) */
    int64_t offset;
    Str line;
};

static Status fail_write(const JsonlWriter *w) {
    return status_fail(ERR_IO, "%s: cannot be written: %s", w->path, strerror(errno));
}

static Status open_log(JsonlWriter *w, const char *path, int64_t keep) {
    char *folder = file_folder(path);
    Status st = file_make_folders(folder);
    mem_free(folder);
    TRY(st);
    w->fd = io_ops.open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (w->fd < 0)
        return status_fail(ERR_CREATE, "%s: cannot be opened for writing: %s", path,
                           strerror(errno));
    w->owned = true;
    off_t size = lseek(w->fd, 0, SEEK_END);
    if (size < 0) size = 0; /* a pipe: nothing to cut, offsets count from here */
    if (keep >= 0 && keep > size)
        return status_fail(ERR_DATA, "%s: has %lld bytes where %lld are expected; was it edited?",
                           path, (long long)size, (long long)keep);
    if (keep >= 0 && keep < size) {
        if (io_ops.truncate(w->fd, (off_t)keep) != 0) return fail_write(w);
        size = (off_t)keep;
    }
    w->offset = size;
    return OK;
}

Status jsonl_writer_open(JsonlWriter **out, const char *path, int64_t keep) {
    *out = NULL;
    JsonlWriter *w = mem_zalloc(1, sizeof *w);
    bool standard_output = str_equal(path, "-");
    w->path = mem_strdup(standard_output ? "standard output" : path);
    w->fd = STDOUT_FILENO;
    Status st = standard_output ? OK : open_log(w, path, keep);
    if (st != OK) {
        jsonl_writer_close(w);
        return st;
    }
    *out = w;
    return OK;
}

static Status write_line(JsonlWriter *w) {
    str_append_char(&w->line, '\n');
    if (io_write_all(w->fd, w->line.data, w->line.len) != 0) return fail_write(w);
    w->offset += (int64_t)w->line.len;
    return OK;
}

Status jsonl_write(JsonlWriter *w, const Json *row) {
    str_clear(&w->line);
    json_dump(&w->line, row, 0);
    return write_line(w);
}

Status jsonl_write_text(JsonlWriter *w, const char *text, size_t len) {
    str_clear(&w->line);
    str_append_n(&w->line, text, len);
    return write_line(w);
}

Status jsonl_sync(JsonlWriter *w) {
    if (!w->owned) return OK;
    return io_ops.fsync(w->fd) == 0 ? OK : fail_write(w);
}

int64_t jsonl_offset(const JsonlWriter *w) {
    return w->offset;
}

void jsonl_writer_close(JsonlWriter *w) {
    if (!w) return;
    if (w->owned) io_ops.close(w->fd);
    str_free(&w->line);
    mem_free(w->path);
    mem_free(w);
}
