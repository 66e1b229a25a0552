#include "train/report/metrics.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/str.h"
#include "train/report/tensorboard.h"

#include <math.h>
#include <string.h>

#define SET (-1.0) /* count of an entry that holds the last value, not a mean */

/* A name in the order of its first use. count 0: nothing since the last row. */
typedef struct Entry {
    char *name;
    double sum, count;             /* since the last row */
    double total_sum, total_count; /* of the whole run; means only */
    double last;                   /* as last logged */
} Entry;

struct Metrics {
    char *path;
    JsonlWriter *rows;
    EventFile *events;
    Entry *entries;
    int n, cap;
    Str names;      /* for checkpoints: the names of what is state, a line each */
    double *values; /* [n,4] sum, count, total_sum, total_count of those */
};

Status metrics_open(Metrics **out, const char *folder) {
    Metrics *m = mem_zalloc(1, sizeof(*m));
    *out = NULL;
    m->path = file_join(folder, "metrics.jsonl");
    Status st = jsonl_writer_open(&m->rows, m->path, -1);
    if (st == OK) st = events_open(&m->events, folder);
    if (st == OK)
        *out = m;
    else
        metrics_close(m);
    return st;
}

void metrics_close(Metrics *m) {
    if (m == NULL) return;
    jsonl_writer_close(m->rows);
    events_close(m->events);
    for (int i = 0; i < m->n; i++) mem_free(m->entries[i].name);
    mem_free(m->entries);
    mem_free(m->values);
    str_free(&m->names);
    mem_free(m->path);
    mem_free(m);
}

bool metrics_is_clock(const char *name) {
    return str_starts(name, "time/") || str_starts(name, "memory/") || str_equal(name, "eps") ||
           str_ends(name, "_runtime") || str_ends(name, "_per_second");
}

/* ---- collecting ---------------------------------------------------------------------------- */

static Entry *entry_of(Metrics *m, const char *name) {
    for (int i = 0; i < m->n; i++)
        if (str_equal(m->entries[i].name, name)) return &m->entries[i];
    if (m->n == m->cap) {
        m->cap = m->cap > 0 ? 2 * m->cap : 32;
        m->entries = mem_realloc(m->entries, (size_t)m->cap, sizeof(Entry));
    }
    Entry *e = &m->entries[m->n++];
    *e = (Entry){.name = mem_strdup(name), .last = NAN};
    return e;
}

void metrics_sum(Metrics *m, const char *name, double sum, double count) {
    Entry *e = entry_of(m, name);
    CHECK(e->count >= 0, "metric \"%s\" is set and averaged", name);
    e->sum += sum;
    e->count += count;
    e->total_sum += sum;
    e->total_count += count;
}

void metrics_mean(Metrics *m, const char *name, double value) {
    metrics_sum(m, name, value, 1);
}

void metrics_set(Metrics *m, const char *name, double value) {
    Entry *e = entry_of(m, name);
    CHECK(e->count <= 0, "metric \"%s\" is set and averaged", name);
    e->sum = value;
    e->count = SET;
}

double metrics_total_mean(const Metrics *m, const char *name) {
    for (int i = 0; i < m->n; i++) {
        const Entry *e = &m->entries[i];
        if (str_equal(e->name, name) && e->total_count > 0) return e->total_sum / e->total_count;
    }
    return NAN;
}

double metrics_last(const Metrics *m, const char *name) {
    for (int i = 0; i < m->n; i++)
        if (str_equal(m->entries[i].name, name)) return m->entries[i].last;
    return NAN;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The Trainer's tags: eval_loss is eval/loss, all else is below train/. */
static Status write_events(Metrics *m, int64_t step, const Json *values) {
    JsonIter it = {0};
    const char *key;
    Json *value;
    Str tag = {0};
    Status st = OK;
    while (st == OK && json_next(values, &it, &key, &value)) {
        if (!json_is_num(value)) continue;
        str_clear(&tag);
        if (str_starts(key, "eval_"))
            str_printf(&tag, "eval/%s", key + strlen("eval_"));
        else
            str_printf(&tag, "train/%s", key);
        st = events_scalar(m->events, step, str_text(&tag), json_num(value));
    }
    str_free(&tag);
    return st;
}

Status metrics_log_row(Metrics *m, int64_t step, double epoch, const Json *values) {
    Json *row = json_new_object();
    json_set(row, "step", json_new_int(step));
    json_set(row, "epoch", json_new_num(epoch));
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(values, &it, &key, &value)) {
        json_set(row, key, json_clone(value));
        if (json_is_num(value)) entry_of(m, key)->last = json_num(value);
    }
    Status st = jsonl_write(m->rows, row);
    json_free(row);
    return st == OK ? write_events(m, step, values) : st;
}

Status metrics_log(Metrics *m, int64_t step, double epoch) {
    Json *values = json_new_object();
    /* Clock readings stand last: they are not state, so a resumed run may meet their names later.
     */
    for (int clock = 0; clock < 2; clock++) {
        for (int i = 0; i < m->n; i++) {
            Entry *e = &m->entries[i];
            if (e->count == 0 || metrics_is_clock(e->name) != (clock == 1)) continue;
            json_set(values, e->name, json_new_num(e->count > 0 ? e->sum / e->count : e->sum));
            e->sum = e->count = 0;
        }
    }
    Status st = metrics_log_row(m, step, epoch, values);
    json_free(values);
    return st;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Names without a value too: they keep the order of the keys. */
static bool is_state(const Entry *e) {
    return !metrics_is_clock(e->name);
}

static Tensor names_get(void *ctx) {
    Metrics *m = ctx;
    str_clear(&m->names);
    for (int i = 0; i < m->n; i++)
        if (is_state(&m->entries[i])) str_printf(&m->names, "%s\n", m->entries[i].name);
    str_reserve(&m->names, 1); /* so that there is an address when there are no names */
    return tensor_1d(m->names.data, DTYPE_U8, (int64_t)m->names.len);
}

static Tensor values_get(void *ctx) {
    Metrics *m = ctx;
    m->values = mem_realloc(m->values, (size_t)(4 * m->n + 1), sizeof(double));
    int64_t n = 0;
    for (int i = 0; i < m->n; i++) {
        const Entry *e = &m->entries[i];
        if (!is_state(e)) continue;
        double *row = m->values + 4 * n++;
        row[0] = e->sum;
        row[1] = e->count;
        row[2] = e->total_sum;
        row[3] = e->total_count;
    }
    return tensor_2d(m->values, DTYPE_F64, n, 4);
}

static Status names_set(void *ctx, Tensor saved) {
    Metrics *m = ctx;
    str_clear(&m->names);
    str_append_n(&m->names, saved.data, (size_t)saved.shape[0]);
    for (int i = 0; i < m->n; i++) {
        Entry *e = &m->entries[i];
        e->sum = e->count = e->total_sum = e->total_count = 0;
    }
    return OK;
}

/* Comes after the names: both are registered in that order. */
static Status values_set(void *ctx, Tensor saved) {
    Metrics *m = ctx;
    const double *values = saved.data;
    const char *at = str_text(&m->names);
    for (int64_t i = 0; i < saved.shape[0]; i++) {
        const char *end = strchr(at, '\n');
        if (end == NULL || saved.shape[1] != 4)
            return status_fail(ERR_DATA, "metrics/values does not fit metrics/names");
        char *name = mem_strndup(at, (size_t)(end - at));
        Entry *e = entry_of(m, name);
        mem_free(name);
        e->sum = values[4 * i];
        e->count = values[4 * i + 1];
        e->total_sum = values[4 * i + 2];
        e->total_count = values[4 * i + 3];
        at = end + 1;
    }
    return OK;
}

void metrics_register(Metrics *m, State *state) {
    state_array(
        state, "metrics/names",
        &(StateArray){.dtype = DTYPE_U8, .rank = 1, .get = names_get, .set = names_set, .ctx = m});
    state_array(state, "metrics/values",
                &(StateArray){
                    .dtype = DTYPE_F64, .rank = 2, .get = values_get, .set = values_set, .ctx = m});
}

Status metrics_mark(Metrics *m, Json *offsets) {
    TRY(jsonl_sync(m->rows));
    json_set(offsets, file_name(m->path), json_new_int(jsonl_offset(m->rows)));
    TRY(events_sync(m->events));
    json_set(offsets, events_name(m->events), json_new_int(events_offset(m->events)));
    return OK;
}

static int64_t offset_of(const Json *offsets, const char *name) {
    const Json *j = json_get(offsets, name);
    return json_is(j, JSON_KIND_INT) ? json_int(j) : 0;
}

Status metrics_rewind(Metrics *m, const Json *offsets) {
    int64_t keep = offset_of(offsets, file_name(m->path));
    jsonl_writer_close(m->rows);
    m->rows = NULL;
    TRY(jsonl_writer_open(&m->rows, m->path, keep));
    return events_rewind(m->events, offset_of(offsets, events_name(m->events)));
}
