/* record: what a row means, once its format is known. Every format fills one; encode.c turns it
 * into tokens. Texts and messages are borrowed from the row or from `built`. */
#ifndef HONE_DATA_FORMATS_RECORD_H
#define HONE_DATA_FORMATS_RECORD_H

#include "core/io/json.h"
#include "core/status.h"
#include "core/str.h"
#include "data/containers/container.h"
#include "data/dataset.h"

#include <stdbool.h>
#include <stddef.h>

/* A text, or a conversation: a list of {"role", "content", ...}. */
typedef struct Part {
    const char *text; /* [n] NULL: not a text */
    size_t n;
    const Json *messages; /* NULL: not a conversation */
} Part;

typedef enum RecordShape {
    RECORD_TEXT,       /* body: language modelling */
    RECORD_COMPLETION, /* prompt, chosen: TRL's prompt-completion */
    RECORD_PAIR,       /* chosen, rejected, and prompt unless it is inside of both */
    RECORD_PROMPT,     /* prompt */
    RECORD_IDS,        /* ids, perhaps labels or masks */
    RECORD_ID_PAIR,    /* chosen_ids, rejected_ids */
    RECORD_NOTHING,    /* the row gives no example, and is no bad row */
} RecordShape;

typedef struct Record {
    RecordShape shape;
    Part body, prompt, chosen, rejected;
    const Json *tools;     /* NULL, a list, or a string that holds one */
    const Json *variables; /* chat_template_kwargs: an object or NULL */
    double margin;
    bool has_margin;
    const Json *ids, *labels, *completion_mask, *assistant_masks; /* lists of integers, or NULL */
    const Json *chosen_ids, *rejected_ids;
    Json *built; /* a list of what the format had to build; record_free */
} Record;

void record_free(Record *r);

/* Which members of a row a format has taken, so that it can be said of which nobody took notice. */
#define ROW_USE_MOST 64
typedef struct RowUse {
    const Json *taken[ROW_USE_MOST];
    int n; /* ROW_USE_MOST: there were more, and no member counts as unused */
} RowUse;

/* The row that a format reads, with what it needs to name places. */
typedef struct RowView {
    const Container *container;
    int64_t index;
    const Json *row; /* an object */
    const DatasetSource *source;
    const char *text_field;                  /* dataset_text_field */
    DatasetKind kind;                        /* what the rows are for */
    int64_t part;                            /* which of the row's records is wanted, from 0 */
    const struct Promptsource *promptsource; /* the source's template, or NULL */
    RowUse *use; /* what row_get and row_value hand out is noted here; NULL: nowhere */
} RowView;

/* A member by the format's name for it, through the column map, null included; NULL when missing.
 */
const Json *row_value(const RowView *v, const char *name);
const Json *row_get(const RowView *v, const char *name);    /* NULL also when it is null */
const char *row_column(const RowView *v, const char *name); /* what the file calls it */
bool row_has(const RowView *v, const char *name); /* as row_get, but to look is not to take */
/* Appends the names of the members, null ones aside, that nobody took, each with its NUL. */
void row_unused(Str *out, const RowView *v);

/* ERR_DATA "path:line:column: ...", the place of the member called `name` where it has one, else of
 * the row. name NULL: the row itself. */
Status row_fail(const RowView *v, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A member that must be there and be a string. */
Status row_text(const RowView *v, const char *name, Part *out);
/* The same, but missing or null is "". */
Status row_text_or_empty(const RowView *v, const char *name, Part *out);
/* A string or a list of messages ({role, content} or {from, value}, checked). */
Status row_part(const RowView *v, Record *r, const char *name, Part *out);
Status row_messages(const RowView *v, Record *r, const char *name, Part *out);
/* A list of integers that fit token ids (or -100); NULL when missing. */
Status row_ids(const RowView *v, const char *name, const Json **out);

/* Keeps `value` until record_free and returns it; so the record may point at what a format built.
 */
Json *record_keep(Record *r, Json *value);
Part record_text(Record *r, const Str *text); /* a copy of the text */

bool part_is_set(const Part *p);

#endif
