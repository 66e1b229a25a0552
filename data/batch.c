#include "data/batch.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/rng.h"

#include <stdlib.h> /* qsort */
#include <string.h>

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- order ---- */

static void check_order(const BatchOrder *o) {
    CHECK(o->n_items >= 1 && o->batch_size >= 1 && o->accumulation >= 1 && o->world >= 1 &&
              o->rank >= 0 && o->rank < o->world,
          "items %lld, batch_size %lld, accumulation %lld, rank %lld of %lld",
          (long long)o->n_items, (long long)o->batch_size, (long long)o->accumulation,
          (long long)o->rank, (long long)o->world);
}

/* Micro-batches of an epoch and of a full step, over all ranks. */
static int64_t epoch_micros(const BatchOrder *o) {
    int64_t full = o->n_items / o->batch_size;
    return o->drop_last ? full : full + (o->n_items % o->batch_size != 0);
}

static int64_t step_micros(const BatchOrder *o) {
    return o->accumulation * o->world;
}

int64_t batch_steps_per_epoch(const BatchOrder *o) {
    check_order(o);
    return (epoch_micros(o) + step_micros(o) - 1) / step_micros(o);
}

int64_t batch_micros(const BatchOrder *o, int64_t step_in_epoch) {
    check_order(o);
    int64_t left = epoch_micros(o) - step_in_epoch * step_micros(o);
    CHECK(left > 0, "step %lld of an epoch of %lld", (long long)step_in_epoch,
          (long long)batch_steps_per_epoch(o));
    return (min64(left, step_micros(o)) + o->world - 1) / o->world;
}

int64_t batch_item_at(const BatchOrder *o, int64_t epoch, int64_t position) {
    CHECK(position >= 0 && position < o->n_items, "position %lld of %lld", (long long)position,
          (long long)o->n_items);
    if (!o->shuffle) return position;
    return (int64_t)rng_permute(o->seed, RNG_SHUFFLE, (uint64_t)epoch, (uint64_t)o->n_items,
                                (uint64_t)position);
}

void batch_positions(const BatchOrder *o, int64_t step_in_epoch, int64_t micro, int64_t *first,
                     int64_t *count) {
    CHECK(micro >= 0 && micro < batch_micros(o, step_in_epoch), "micro-batch %lld of %lld",
          (long long)micro, (long long)batch_micros(o, step_in_epoch));
    int64_t global = step_in_epoch * step_micros(o) + micro * o->world + o->rank;
    *first = global * o->batch_size;
    *count = global < epoch_micros(o) ? min64(o->batch_size, o->n_items - *first) : 0;
}

void batch_locate(const BatchOrder *o, int64_t step, int64_t *epoch, int64_t *step_in_epoch) {
    int64_t steps = batch_steps_per_epoch(o);
    CHECK(steps > 0, "an epoch without steps: %lld items, batch size %lld", (long long)o->n_items,
          (long long)o->batch_size);
    CHECK(o->behind >= 0 && step >= o->behind, "step %lld, %lld behind", (long long)step,
          (long long)o->behind);
    *epoch = (step - o->behind) / steps;
    *step_in_epoch = (step - o->behind) % steps;
}

BatchStep batch_step(const BatchOrder *o, const Dataset *d, int64_t epoch, int64_t step_in_epoch) {
    check_order(o);
    int64_t per_step = step_micros(o) * o->batch_size;
    int64_t first = step_in_epoch * per_step;
    int64_t end = min64(first + per_step, min64(o->n_items, epoch_micros(o) * o->batch_size));
    BatchStep sum = {0};
    for (int64_t p = first; p < end; p++) {
        int64_t item = batch_item_at(o, epoch, p);
        sum.n_items++;
        sum.n_tokens += dataset_item_tokens(d, item);
        sum.n_targets += dataset_item_targets(d, item);
    }
    return sum;
}

/* ---- micro-batches ---- */

/* Rows and everything else in one allocation; `memory` is its start. */
typedef struct BatchStore {
    void *memory;
    int32_t *ids, *positions, *targets, *seq_start, *last;
    bool *valued;
    int64_t *seq_ids, *items;
    double *margin;
    int64_t max_items, next_row, next_seq;
    /* Of an encoder: */
    int32_t *source_ids, *source_positions, *source_start;
    int64_t next_source;
    int32_t decoder_start; /* -1: there is none */
    Rows source;
} BatchStore;

static int descending(const void *pa, const void *pb) {
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a < b) - (a > b);
}

static int64_t item_sequences(const Dataset *d, int64_t item) {
    return dataset_kind(d) == DATASET_PREFERENCE ? 2 : dataset_get(d, item).n_seqs;
}

/* The sum of the `take` largest. */
static int64_t largest(const Dataset *d, int64_t take,
                       int64_t (*size_of)(const Dataset *d, int64_t item)) {
    int64_t n = dataset_size(d), sum = 0;
    int64_t *size = mem_alloc((size_t)n * sizeof *size);
    for (int64_t i = 0; i < n; i++) size[i] = size_of(d, i);
    qsort(size, (size_t)n, sizeof *size, descending);
    for (int64_t i = 0; i < min64(n, take); i++) sum += size[i];
    mem_free(size);
    return sum;
}

/* Tokens that are no targets: an encoder's. */
static int64_t item_source(const Dataset *d, int64_t item) {
    return dataset_item_tokens(d, item) - dataset_item_targets(d, item);
}

void batch_bounds(const Dataset *d, int64_t batch_size, int64_t *max_rows, int64_t *max_seqs) {
    *max_rows = largest(d, batch_size, dataset_item_tokens);
    *max_seqs = largest(d, batch_size, item_sequences);
}

static void *carve(unsigned char **at, int64_t n, size_t size) {
    void *p = *at;
    *at += ((size_t)n * size + 63) / 64 * 64;
    return p;
}

/* Lays the arrays out from `at`; called once with NULL to measure. */
static size_t lay_out(BatchStore *s, unsigned char *at, const Batch *b, int64_t items) {
    unsigned char *start = at;
    int64_t rows = b->max_rows, seqs = b->max_seqs, source = b->max_source_rows;
    s->ids = carve(&at, rows, sizeof *s->ids);
    s->positions = carve(&at, rows, sizeof *s->positions);
    s->targets = carve(&at, rows, sizeof *s->targets);
    s->valued = carve(&at, rows, sizeof *s->valued);
    s->seq_start = carve(&at, seqs + 1, sizeof *s->seq_start);
    s->last = carve(&at, seqs, sizeof *s->last);
    s->seq_ids = carve(&at, seqs, sizeof *s->seq_ids);
    s->items = carve(&at, items, sizeof *s->items);
    s->margin = carve(&at, items, sizeof *s->margin);
    s->source_ids = carve(&at, source, sizeof *s->source_ids);
    s->source_positions = carve(&at, source, sizeof *s->source_positions);
    s->source_start = carve(&at, source ? seqs + 1 : 0, sizeof *s->source_start);
    return (size_t)(at - start);
}

/* Takes the bounds in `size`. */
static Status open_store(Batch **out, Batch size, int64_t batch_size, int32_t decoder_start) {
    CHECK(batch_size >= 1, "batch_size %lld", (long long)batch_size);
    if (size.max_rows > INT32_MAX || size.max_source_rows > INT32_MAX)
        return status_fail(ERR_CONFIG,
                           "a batch of %lld rows may hold %lld tokens, more than 2^31; lower "
                           "per_device_train_batch_size or max_length",
                           (long long)batch_size, (long long)size.max_rows);
    Batch *b = mem_zalloc(1, sizeof *b);
    BatchStore *s = mem_zalloc(1, sizeof *s);
    *b = size;
    static unsigned char origin[1]; /* an address to measure from; nothing is written there */
    BatchStore measure;
    s->memory = mem_zalloc(lay_out(&measure, origin, b, batch_size), 1);
    lay_out(s, s->memory, b, batch_size);
    s->max_items = batch_size;
    s->decoder_start = decoder_start;
    b->store = s;
    *out = b;
    return OK;
}

Status batch_open(Batch **out, const Dataset *d, int64_t batch_size) {
    Batch size = {0};
    *out = NULL;
    batch_bounds(d, batch_size, &size.max_rows, &size.max_seqs);
    return open_store(out, size, batch_size, -1);
}

Status batch_open_beside(Batch **out, const Dataset *d, int64_t batch_size, int32_t decoder_start) {
    *out = NULL;
    Batch size = {.max_rows = largest(d, batch_size, dataset_item_targets),
                  .max_seqs = largest(d, batch_size, item_sequences),
                  .max_source_rows = largest(d, batch_size, item_source)};
    return open_store(out, size, batch_size, decoder_start);
}

void batch_close(Batch *b) {
    if (!b) return;
    mem_free(b->store->memory);
    mem_free(b->store);
    mem_free(b);
}

/* Appends one sequence. labels: [n] unshifted, or NULL. Returns how many rows got a target. */
static int64_t append(BatchStore *s, const int32_t *ids, const int32_t *labels, int64_t n,
                      int64_t seq_id) {
    int64_t at = s->next_row, n_targets = 0;
    for (int64_t i = 0; i < n; i++) {
        s->ids[at + i] = ids[i];
        s->positions[at + i] = (int32_t)i;
        /* The label of a sequence's first token is never asked for: nothing stands before it. */
        int32_t target = labels && i + 1 < n ? labels[i + 1] : ROWS_NO_TARGET;
        s->targets[at + i] = target;
        s->valued[at + i] = i + 1 == n;
        n_targets += target != ROWS_NO_TARGET;
    }
    s->seq_start[s->next_seq] = (int32_t)at;
    s->last[s->next_seq] = (int32_t)(at + n - 1);
    s->seq_ids[s->next_seq++] = seq_id;
    s->next_row = at + n;
    s->seq_start[s->next_seq] = (int32_t)s->next_row;
    return n_targets;
}

/* One sequence of an encoder-decoder: up to the first label the encoder's, behind it the decoder's,
 * whose ids are its labels one place later. */
static int64_t append_beside(BatchStore *s, const int32_t *ids, const int32_t *labels, int64_t n,
                             int64_t seq_id) {
    int64_t n_source = 0;
    while (n_source < n && labels[n_source] == ROWS_NO_TARGET) n_source++;
    CHECK(n_source > 0 && n_source < n, "a sequence of %lld tokens with %lld of a source",
          (long long)n, (long long)n_source);
    for (int64_t i = 0; i < n_source; i++) {
        s->source_ids[s->next_source + i] = ids[i];
        s->source_positions[s->next_source + i] = (int32_t)i;
    }
    s->source_start[s->next_seq] = (int32_t)s->next_source;
    s->next_source += n_source;
    s->source_start[s->next_seq + 1] = (int32_t)s->next_source;
    int64_t at = s->next_row;
    append(s, ids + n_source, NULL, n - n_source, seq_id);
    memmove(s->ids + at + 1, s->ids + at, (size_t)(n - n_source - 1) * sizeof *s->ids);
    s->ids[at] = s->decoder_start;
    memcpy(s->targets + at, ids + n_source, (size_t)(n - n_source) * sizeof *s->targets);
    return n - n_source;
}

static int64_t append_item(BatchStore *s, const DatasetExample *x, int64_t base) {
    int64_t n_targets = 0;
    for (int64_t q = 0; q < x->n_seqs; q++) {
        int64_t start = x->seq_start[q] - x->seq_start[0];
        int64_t n = x->seq_start[q + 1] - x->seq_start[q];
        int64_t seq_id = base + x->seq_id + q;
        n_targets +=
            s->decoder_start >= 0
                ? append_beside(s, x->ids + start, x->labels + start, n, seq_id)
                : append(s, x->ids + start, x->labels ? x->labels + start : NULL, n, seq_id);
    }
    return n_targets;
}

static void append_pairs(BatchStore *s, const Dataset *d, int64_t base, int64_t n) {
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++) {
            DatasetExample x = dataset_get(d, s->items[i]);
            append(s, side == 0 ? x.chosen : x.rejected, NULL,
                   side == 0 ? x.n_chosen : x.n_rejected, base + x.seq_id + side);
            s->margin[i] = x.margin;
        }
    }
}

/* The tokens of store->items[0..n). */
static void fill(Batch *b, const Dataset *d, int64_t epoch, int64_t n) {
    BatchStore *s = b->store;
    DatasetKind kind = dataset_kind(d);
    int64_t base = epoch * dataset_sequences(d), n_targets = 0;
    s->next_row = s->next_seq = s->next_source = 0;
    s->seq_start[0] = 0;
    if (kind == DATASET_PREFERENCE) {
        append_pairs(s, d, base, n);
    } else {
        for (int64_t i = 0; i < n; i++) {
            DatasetExample x = dataset_get(d, s->items[i]);
            n_targets += append_item(s, &x, base);
        }
    }
    CHECK(s->next_row <= b->max_rows && s->next_seq <= b->max_seqs, "%lld rows in room for %lld",
          (long long)s->next_row, (long long)b->max_rows);
    b->rows = (Rows){.n_rows = s->next_row,
                     .n_seqs = s->next_seq,
                     .ids = s->ids,
                     .positions = s->positions,
                     .targets = kind == DATASET_SFT ? s->targets : NULL,
                     .valued = kind == DATASET_PREFERENCE ? s->valued : NULL,
                     .seq_start = s->seq_start,
                     .seq_ids = s->seq_ids};
    if (s->decoder_start >= 0) {
        s->source = (Rows){.n_rows = s->next_source,
                           .n_seqs = s->next_seq,
                           .ids = s->source_ids,
                           .positions = s->source_positions,
                           .seq_start = s->source_start,
                           .seq_ids = s->seq_ids};
        b->rows.source = &s->source;
    }
    b->n_items = n;
    b->n_targets = n_targets;
    b->items = s->items;
    b->last = s->last;
    b->margin = kind == DATASET_PREFERENCE ? s->margin : NULL;
}

void batch_fill(Batch *b, const BatchOrder *o, const Dataset *d, int64_t epoch,
                int64_t step_in_epoch, int64_t micro) {
    int64_t first, n;
    CHECK(o->n_items == dataset_size(d), "an order over %lld items, a data set of %lld",
          (long long)o->n_items, (long long)dataset_size(d));
    batch_positions(o, step_in_epoch, micro, &first, &n);
    CHECK(n <= b->store->max_items, "%lld items in room for %lld", (long long)n,
          (long long)b->store->max_items);
    for (int64_t i = 0; i < n; i++) b->store->items[i] = batch_item_at(o, epoch, first + i);
    fill(b, d, epoch, n);
}

void batch_fill_items(Batch *b, const Dataset *d, int64_t epoch, const int64_t *items, int64_t n) {
    CHECK(n >= 0 && n <= b->store->max_items, "%lld items in room for %lld", (long long)n,
          (long long)b->store->max_items);
    for (int64_t i = 0; i < n; i++) b->store->items[i] = items[i];
    fill(b, d, epoch, n);
}
