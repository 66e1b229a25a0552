/* Files to units: each file in chunks of rows, the rows of a chunk in parallel, their results
 * appended in order, so that nothing depends on the number of threads. */
#include "core/check.h"
#include "core/mem.h"
#include "data/containers/locate.h"
#include "data/dataset_store.h"
#include "data/encode.h"
#include "data/formats/format.h"
#include "data/formats/promptsource.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 2048 /* rows in memory as trees at a time */

/* What came of one row. The message is a copy: the status text belongs to the thread that failed.
 */
typedef struct Outcome {
    Status status;
    char *message;
    Encoded *encoded; /* [n] its records */
    int64_t n;
    Str row;    /* PROMPT: as one line of JSON */
    Str unused; /* the columns that its format does not read, each with its NUL */
} Outcome;

/* A file in work. */
typedef struct Reading {
    Dataset *d;
    const DatasetOptions *options;
    const DatasetSource *source;
    const Container *container;
    const Encoder *encoder;
    const Format *format;
    const Promptsource *promptsource;
    int32_t file;
    Json *unused; /* columns of all its rows, as keys */
    Str last;     /* those of the row before */
} Reading;

static RowView view_of(const Reading *r, int64_t i, const Json *row) {
    return (RowView){.container = r->container,
                     .index = i,
                     .row = row,
                     .source = r->source,
                     .text_field = r->options->dataset_text_field,
                     .kind = r->options->kind,
                     .promptsource = r->promptsource};
}

/* The caller json_free's *row, also on failure. */
static Status parse_object(const Reading *r, int64_t i, Json **row) {
    *row = NULL;
    TRY(container_parse(row, r->container, i));
    if (json_is(*row, JSON_KIND_OBJECT)) return OK;
    RowView v = view_of(r, i, *row);
    return row_fail(&v, NULL, "a row must be an object with named columns, not %s",
                    json_kind_name(json_kind(*row)));
}

/* ---- one row ---- */

static Status encode_part(const Reading *r, const RowView *v, Encoded *out) {
    Record record = {0};
    Status st = r->format->read(v, &record);
    if (st == OK) st = encode_record(out, r->encoder, v, &record);
    record_free(&record);
    return st;
}

static Status encode_parts(const Reading *r, RowView *v, Outcome *out) {
    int64_t n = r->format->count ? r->format->count(v) : 1;
    if (n > FORMAT_MOST_RECORDS)
        return row_fail(v, NULL, "the row gives %lld examples, more than %d", (long long)n,
                        FORMAT_MOST_RECORDS);
    out->encoded = mem_zalloc((size_t)n, sizeof *out->encoded);
    out->n = n;
    for (v->part = 0; v->part < n; v->part++) TRY(encode_part(r, v, &out->encoded[v->part]));
    return OK;
}

/* A prompt's row goes on whole, to reward functions and commands: nothing of it is unused. */
static Status encode_row(const Reading *r, int64_t i, Outcome *out) {
    Json *row;
    RowUse use = {.n = 0};
    Status st = parse_object(r, i, &row);
    RowView v = view_of(r, i, row);
    v.use = &use;
    if (st == OK) st = encode_parts(r, &v, out);
    if (st == OK && r->options->kind == DATASET_PROMPT)
        json_dump(&out->row, row, 0);
    else if (st == OK)
        row_unused(&out->unused, &v);
    json_free(row);
    return st;
}

static void outcome_free(Outcome *o) {
    mem_free(o->message);
    for (int64_t k = 0; k < o->n; k++) encoded_free(&o->encoded[k]);
    mem_free(o->encoded);
    str_free(&o->row);
    str_free(&o->unused);
    *o = (Outcome){0};
}

/* ---- the format ---- */

static Status format_of_row(Reading *r, int64_t i) {
    Json *row;
    Status st = parse_object(r, i, &row);
    RowView v = view_of(r, i, row);
    if (st == OK) st = format_find(&r->format, r->source->format, &v, r->options->kind);
    json_free(row);
    return st;
}

/* The first row tells. Where bad rows are skipped the first may itself be bad, so it is the first
 * that can be used. It is an error when no row fits any format. */
static Status choose_format(Reading *r) {
    if (r->options->on_bad_row == DATASET_BAD_ERROR) return format_of_row(r, 0);
    const Format *first = NULL;
    char *message = NULL; /* of the first row that fits none */
    Status st = OK;
    for (int64_t i = 0; i < container_rows(r->container); i++) {
        st = format_of_row(r, i);
        if (st == ERR_DATA) {
            if (!message) message = mem_strdup(status_message());
            continue;
        }
        if (st != OK) break;
        if (!first) first = r->format;
        Outcome trial = {0};
        st = encode_row(r, i, &trial);
        outcome_free(&trial);
        if (st != ERR_DATA) break; /* usable, or the options are wrong */
    }
    if (st == ERR_DATA && first) { /* all rows are bad, each in its own way: count them */
        r->format = first;
        st = OK;
    }
    if (st == ERR_DATA) status_fail(st, "%s", message);
    mem_free(message);
    return st;
}

/* ---- notes ---- */

static void note_format(const Reading *r) {
    const char *note = "";
    if (r->format->kind == DATASET_PREFERENCE && r->options->kind == DATASET_SFT)
        note = ": of each pair the chosen answer is learnt";
    if (r->format->kind == DATASET_SFT && r->options->kind == DATASET_PROMPT)
        note = ": of each row the prompt is used";
    str_printf(&r->d->notes, "%s: format %s%s\n", r->source->path, r->format->name, note);
}

/* Most rows lack nothing that the row before did not lack. */
static void collect_unused(Reading *r, const Outcome *o) {
    if (o->unused.len == r->last.len &&
        (o->unused.len == 0 || memcmp(o->unused.data, r->last.data, r->last.len) == 0))
        return;
    str_clear(&r->last);
    str_append_n(&r->last, str_text(&o->unused), o->unused.len);
    for (size_t at = 0; at < o->unused.len; at += strlen(o->unused.data + at) + 1)
        json_set(r->unused, o->unused.data + at, json_new_bool(true));
}

static void note_unused(const Reading *r) {
    Str names = {0};
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(r->unused, &it, &key, &value);)
        str_printf(&names, "%s`%s`", names.len > 0 ? ", " : "", key);
    if (names.len > 0)
        str_printf(&r->d->notes, "%s: columns that format %s does not use: %s\n",
                   container_path(r->container), r->format->name, str_text(&names));
    str_free(&names);
}

/* ---- counting and keeping ---- */

static void keep(const Reading *r, int64_t i, const Encoded *x, const Str *row) {
    UnitOrigin origin = {r->file, container_row(r->container, i).line, r->d->counts.rows - 1};
    StoreSeq seqs[2] = {{x->ids.id, x->labels, (int64_t)x->ids.n},
                        {x->rejected.id, NULL, (int64_t)x->rejected.n}};
    bool prompt = r->options->kind == DATASET_PROMPT;
    store_add(&r->d->store, seqs, r->options->kind == DATASET_PREFERENCE ? 2 : 1, origin, x->margin,
              prompt ? str_text(&x->prompt) : NULL, prompt ? str_text(row) : NULL);
    r->d->has_margin |= x->has_margin;
}

/* Counts one record, and keeps it if it is to be kept. */
static void settle_part(const Reading *r, int64_t i, const Encoded *x, const Str *row) {
    DatasetCounts *c = &r->d->counts;
    switch (x->fate) {
    case ENCODE_KEEP:
        c->kept++;
        c->truncated += x->truncated;
        c->prefix_mismatch += x->prefix_mismatch;
        keep(r, i, x, row);
        return;
    case ENCODE_OVER_LONG:
        c->over_long++;
        return;
    case ENCODE_EMPTY:
        c->empty++;
        return;
    case ENCODE_NO_LABEL:
        c->no_label++;
        return;
    case ENCODE_IDENTICAL:
        c->identical++;
        return;
    }
    FAIL("fate %d", (int)x->fate);
}

static Status settle(Reading *r, int64_t i, const Outcome *o) {
    DatasetCounts *c = &r->d->counts;
    c->rows++;
    if (o->status != OK) {
        if (o->status != ERR_DATA || r->options->on_bad_row == DATASET_BAD_ERROR)
            return status_fail(o->status, "%s", o->message);
        if (c->bad++ == 0) snprintf(c->first_bad, sizeof c->first_bad, "%s", o->message);
        return OK;
    }
    c->barren += o->n == 0;
    collect_unused(r, o);
    for (int64_t k = 0; k < o->n; k++) settle_part(r, i, &o->encoded[k], &o->row);
    return OK;
}

static Status read_rows(Reading *r) {
    int64_t n = container_rows(r->container);
    Outcome *outcomes = mem_zalloc(CHUNK, sizeof *outcomes);
    Status st = OK;
    for (int64_t first = 0; first < n && st == OK; first += CHUNK) {
        int64_t count = n - first < CHUNK ? n - first : CHUNK;
#pragma omp parallel for schedule(dynamic, 16)
        for (int64_t k = 0; k < count; k++) {
            Outcome *o = &outcomes[k];
            o->status = encode_row(r, first + k, o);
            if (o->status != OK) o->message = mem_strdup(status_message());
        }
        for (int64_t k = 0; k < count; k++) {
            if (st == OK) st = settle(r, first + k, &outcomes[k]);
            outcome_free(&outcomes[k]);
        }
    }
    mem_free(outcomes);
    return st;
}

/* ---- files and sources ---- */

/* A column called #1, #2, ... tells that the table has no header line. */
static bool has_no_header(const DatasetSource *s) {
    for (int64_t i = 0; i < s->n_columns; i++)
        if (s->columns[i].column[0] == '#') return true;
    return false;
}

static Status read_file(Dataset *d, const DatasetOptions *o, const DatasetSource *source,
                        const Encoder *encoder, const Promptsource *promptsource, const char *path,
                        bool is_first) {
    ContainerOptions how = {.text_by = o->text_by,
                            .text_field = o->dataset_text_field,
                            .no_header = has_no_header(source),
                            .assume_text = str_equal(source->format, "text")};
    Container *container;
    TRY(container_open(&container, path, &how));
    d->files = mem_realloc(d->files, (size_t)d->n_files + 1, sizeof *d->files);
    d->files[d->n_files++] = mem_strdup(path);
    Reading r = {.d = d,
                 .options = o,
                 .source = source,
                 .container = container,
                 .encoder = encoder,
                 .promptsource = promptsource,
                 .file = d->n_files - 1,
                 .unused = json_new_object()};
    Status st = OK;
    if (container_rows(container) > 0) {
        st = choose_format(&r);
        if (st == OK && is_first) note_format(&r);
        if (st == OK) st = read_rows(&r);
        if (st == OK) note_unused(&r);
    }
    json_free(r.unused);
    str_free(&r.last);
    container_close(container);
    return st;
}

static Status read_source(Dataset *d, const DatasetOptions *o, const DatasetSource *source,
                          const Encoder *encoder) {
    Promptsource *promptsource = NULL;
    FileList files = {0};
    Status st = OK;
    if (source->promptsource)
        TRY(promptsource_open(&promptsource, source->promptsource, source->promptsource_name,
                              o->seed));
    TRY_GOTO(locate_files(&files, source->path, source->split, o->root), st, out);
    for (size_t i = 0; i < files.count && st == OK; i++)
        st = read_file(d, o, source, encoder, promptsource, files.names[i], i == 0);
out:
    file_list_free(&files);
    promptsource_close(promptsource);
    return st;
}

Status dataset_read(Dataset *d, const DatasetOptions *o, int64_t *unit_end) {
    Encoder encoder;
    TRY(encoder_init(&encoder, o));
    for (int64_t s = 0; s < o->n_sources; s++) {
        TRY(read_source(d, o, &o->sources[s], &encoder));
        unit_end[s] = d->store.n_units;
    }
    return OK;
}
