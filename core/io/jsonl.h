/* jsonl: one JSON value a line. Reading maps the file and notes where each row starts, so any row
 * is reached in O(1) and parsed alone; writing appends. */
#ifndef HONE_CORE_IO_JSONL_H
#define HONE_CORE_IO_JSONL_H

#include "core/io/json.h"

/* ---- reading ---- */

typedef struct Jsonl Jsonl;

typedef struct JsonlRow {
    int64_t line;     /* from 1; blank lines count here but are no rows */
    int64_t offset;   /* of the row's first byte in the file */
    const char *text; /* without the line end; not NUL-terminated; borrowed */
    size_t len;
} JsonlRow;

/* "-" is standard input. A BOM, CRLF line ends and blank lines are fine. */
Status jsonl_open(Jsonl **out, const char *path);
/* Over bytes of the caller's (a decompressed file); they must outlive it. */
Status jsonl_open_bytes(Jsonl **out, const char *name, const char *data, size_t size);
void jsonl_close(Jsonl *j);

const char *jsonl_path(const Jsonl *j);
int64_t jsonl_rows(const Jsonl *j);
JsonlRow jsonl_row(const Jsonl *j, int64_t i);
/* The caller json_free's it. ERR_DATA "path:line:column: what". Safe from several threads. */
Status jsonl_parse(Json **out, const Jsonl *j, int64_t i);

/* ---- writing ---- */

typedef struct JsonlWriter JsonlWriter;

/* Opens for appending; makes the file and its folders. keep >= 0 first cuts the file to that many
 * bytes (a resumed run drops what was logged after its checkpoint); keep < 0 leaves it whole.
 * "-" is standard output. */
Status jsonl_writer_open(JsonlWriter **out, const char *path, int64_t keep);
Status jsonl_write(JsonlWriter *w, const Json *row); /* one line, in one write call */
/* A line that is already JSON, without its line end. */
Status jsonl_write_text(JsonlWriter *w, const char *text, size_t len);
Status jsonl_sync(JsonlWriter *w);          /* to the disk */
int64_t jsonl_offset(const JsonlWriter *w); /* bytes so far: the next row starts here */
void jsonl_writer_close(JsonlWriter *w);    /* NULL is fine; errors show in write and sync */

#endif
