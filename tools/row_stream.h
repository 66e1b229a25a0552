/* row_stream: JSON lines in, JSON lines out, a row at a time.
 *
 * The output is there whole or not at all: a file gets its name when the last row is written.
 * Standard output ("-") and what is no regular file (a pipe, /dev/null) are written as it comes. */
#ifndef HONE_TOOLS_ROW_STREAM_H
#define HONE_TOOLS_ROW_STREAM_H

#include "core/io/json.h"

typedef struct RowSink RowSink;

Status row_sink_open(RowSink **out, const char *path);
Status row_sink_write(RowSink *s, const Json *row);
Status row_sink_commit(RowSink *s);
void row_sink_close(RowSink *s); /* NULL is fine; drops the file unless committed */

/* `where` ("file:line") is for messages. */
typedef Status (*RowFn)(void *ctx, RowSink *out, const Json *row, const char *where);

/* Calls `fn` for each row of `data` ("-": standard input), in order. `label` (may be NULL) shows
 * progress. A row that is no object is ERR_DATA; ERR_STOPPED after a signal. */
Status rows_each(const char *data, const char *label, RowFn fn, void *ctx, RowSink *out);

#endif
