#include "data/dataset.h"

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/rows.h"
#include "data/dataset_cache.h"
#include "data/dataset_store.h"
#include "data/formats/format.h"
#include "data/tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

DatasetOptions dataset_options_default(DatasetKind kind) {
    return (DatasetOptions){.kind = kind,
                            .max_length = kind == DATASET_PROMPT ? 0 : 1024,
                            .completion_only_loss = DATASET_NULL,
                            .append_eos = true,
                            .dataset_text_field = "text",
                            .packing_strategy = PACK_BFD,
                            .max_bad_fraction = 1.0};
}

const char *const *dataset_format_names(void) {
    return format_names();
}

static Status check_options(const DatasetOptions *o) {
    CHECK(o->n_sources >= 1 && o->sources && o->tokenizer && o->dataset_text_field,
          "%lld sources, tokenizer %p", (long long)o->n_sources, (const void *)o->tokenizer);
    if (o->packing && o->kind != DATASET_SFT)
        return status_fail(ERR_CONFIG, "`packing` is for supervised fine-tuning only");
    if (o->packing && o->max_length <= 0)
        return status_fail(ERR_CONFIG, "`packing` needs a `max_length`: the length of its rows");
    if (o->encoder_decoder && (o->packing || o->assistant_only_loss ||
                               o->completion_only_loss == DATASET_FALSE || o->kind != DATASET_SFT))
        return status_fail(ERR_CONFIG,
                           "an encoder-decoder learns completions alone, one a row: `packing` and "
                           "`assistant_only_loss` true or `completion_only_loss` false mean "
                           "nothing for it");
    for (int64_t s = 0; s < o->n_sources; s++) {
        const DatasetSource *x = &o->sources[s];
        bool other = x->prompt_template || x->completion_template ||
                     (x->format && !str_equal(x->format, "auto"));
        if (x->promptsource && other)
            return status_fail(ERR_CONFIG,
                               "`promptsource` says what the rows of %s mean; leave `format`, "
                               "`prompt_template` and `completion_template` out",
                               x->path);
    }
    for (int64_t s = 0; s < o->n_sources; s++)
        if (!(o->sources[s].weight >= 0) || o->sources[s].weight > 1e6)
            return status_fail(ERR_CONFIG, "the `weight` of %s is %g; it must be above 0",
                               o->sources[s].path, o->sources[s].weight);
    return OK;
}

/* ---- weights ---- */

/* How often each unit of a source of n units is seen: floor(weight) times, and once more for a
 * share of them that the seed draws. */
static void count_visits(int64_t *visits, int64_t n, double weight, uint64_t seed, int64_t source) {
    if (weight == 0) weight = 1;
    int64_t whole = (int64_t)floor(weight);
    int64_t more = (int64_t)llround((weight - (double)whole) * (double)n);
    for (int64_t i = 0; i < n; i++) visits[i] = whole;
    /* a stream of its own: epochs are counted from 0, sources down from the top */
    uint64_t row = (UINT64_C(1) << 48) - 1 - (uint64_t)source;
    for (int64_t i = 0; i < more; i++)
        visits[rng_permute(seed, RNG_SHUFFLE, row, (uint64_t)n, (uint64_t)i)]++;
}

/* How many of n rows are the test part. */
static int64_t test_rows(const DatasetOptions *o, int64_t n) {
    return o->test_split_size < 1 ? (int64_t)ceil(o->test_split_size * (double)n)
                                  : (int64_t)o->test_split_size;
}

/* Units of the other part are not visited. Both parts are drawn alike, whichever is asked for. */
static Status take_part(const Dataset *d, const DatasetOptions *o, int64_t *visits) {
    const DatasetStore *s = &d->store;
    int64_t n = 0, *first = mem_alloc((size_t)(s->n_units + 1) * sizeof *first);
    for (int64_t u = 0; u < s->n_units; u++)
        if (u == 0 || s->origin[u].row != s->origin[u - 1].row) first[n++] = u;
    first[n] = s->n_units;
    int64_t n_test = test_rows(o, n);
    bool *is_test = mem_zalloc((size_t)n, sizeof *is_test);
    uint64_t stream = (UINT64_C(1) << 48) - 1 - (uint64_t)o->n_sources; /* below the sources' */
    for (int64_t i = 0; i < n_test && i < n; i++)
        is_test[rng_permute(o->seed, RNG_SHUFFLE, stream, (uint64_t)n, (uint64_t)i)] = true;
    for (int64_t r = 0; r < n; r++)
        for (int64_t u = first[r]; u < first[r + 1]; u++)
            if (is_test[r] != o->test_part) visits[u] = 0;
    mem_free(is_test);
    mem_free(first);
    if (n_test < n) return OK;
    return status_fail(ERR_DATA, "%s: `test_split_size` %g of %lld rows leaves none to train on",
                       o->sources[0].path, o->test_split_size, (long long)n);
}

/* The epoch as a list of units: source after source; a source's further rounds after its first. */
static Status make_order(int64_t **out, const Dataset *d, const DatasetOptions *o,
                         const int64_t *unit_end, int64_t *n_items) {
    int64_t total = 0, begin = 0, at = 0;
    *out = NULL;
    int64_t *visits = mem_zalloc((size_t)d->store.n_units, sizeof *visits);
    for (int64_t s = 0; s < o->n_sources; begin = unit_end[s++])
        if (unit_end[s] > begin)
            count_visits(visits + begin, unit_end[s] - begin, o->sources[s].weight, o->seed, s);
    Status st = o->test_split_size > 0 ? take_part(d, o, visits) : OK;
    for (int64_t u = 0; u < d->store.n_units; u++) total += visits[u];
    int64_t *order = mem_alloc((size_t)total * sizeof *order);
    begin = 0;
    for (int64_t s = 0; s < o->n_sources; begin = unit_end[s++]) {
        for (bool left = true; left;) {
            left = false;
            for (int64_t u = begin; u < unit_end[s]; u++) {
                if (visits[u] == 0) continue;
                order[at++] = u;
                left |= --visits[u] > 0;
            }
        }
    }
    mem_free(visits);
    *n_items = total;
    *out = order;
    return st;
}

/* ---- packing ---- */

static StoreSeq piece_of(const DatasetStore *s, int64_t unit, int64_t first, int64_t n) {
    int64_t at = s->seq_start[s->unit_seq[unit]] + first;
    return (StoreSeq){s->ids + at, s->labels + at, n};
}

/* `wrapped` joins the pieces of a bin to one sequence; `joined` is its scratch. */
static StoreSeq join_pieces(const StoreSeq *pieces, int64_t n_pieces, int32_t *joined,
                            int64_t max_length) {
    int64_t n = 0;
    for (int64_t i = 0; i < n_pieces; i++) {
        memcpy(joined + n, pieces[i].ids, (size_t)pieces[i].n * sizeof *joined);
        memcpy(joined + max_length + n, pieces[i].labels, (size_t)pieces[i].n * sizeof *joined);
        n += pieces[i].n;
    }
    return (StoreSeq){joined, joined + max_length, n};
}

/* Replaces the units of d->store, visited as `order` says, by packed ones. */
static void pack_units(Dataset *d, const DatasetOptions *o, const int64_t *order, int64_t n_items) {
    DatasetStore *old = &d->store, packed;
    int64_t *lengths = mem_alloc((size_t)n_items * sizeof *lengths);
    for (int64_t i = 0; i < n_items; i++) {
        int64_t seq = old->unit_seq[order[i]];
        lengths[i] = old->seq_start[seq + 1] - old->seq_start[seq];
    }
    PackPlan plan;
    pack_plan(&plan, o->packing_strategy, o->max_length, lengths, n_items,
              o->packing_batch_size > 0 ? o->packing_batch_size : PACK_MAP_BATCH);
    d->counts.truncated = plan.n_cut;

    store_begin(&packed, true, o->cache_dir);
    StoreSeq *pieces = mem_alloc((size_t)plan.n_pieces * sizeof *pieces);
    int32_t *joined = mem_alloc((size_t)o->max_length * 2 * sizeof *joined);
    for (int64_t b = 0; b < plan.n_bins; b++) {
        int64_t first = plan.bin_start[b], n = plan.bin_start[b + 1] - first;
        for (int64_t k = 0; k < n; k++) {
            const PackPiece *p = &plan.pieces[first + k];
            pieces[k] = piece_of(old, order[p->row], p->first, p->length);
        }
        UnitOrigin origin = old->origin[order[plan.pieces[first].row]];
        if (o->packing_strategy == PACK_WRAPPED) {
            pieces[0] = join_pieces(pieces, n, joined, o->max_length);
            n = 1;
        }
        store_add(&packed, pieces, n, origin, 0, NULL, NULL);
    }
    mem_free(lengths);
    mem_free(pieces);
    mem_free(joined);
    pack_free(&plan);
    store_free(old);
    d->store = packed;
}

/* ---- what is left ---- */

static Status check_bad(const Dataset *d, const DatasetOptions *o) {
    const DatasetCounts *c = &d->counts;
    if ((double)c->bad <= o->max_bad_fraction * (double)c->rows) return OK;
    return status_fail(ERR_DATA,
                       "%lld of %lld rows are bad, more than `max_bad_fraction` %g allows; the "
                       "first: %s",
                       (long long)c->bad, (long long)c->rows, o->max_bad_fraction, c->first_bad);
}

static void describe_drops(Str *out, const DatasetCounts *c, int64_t max_length) {
    const struct {
        int64_t n;
        const char *what;
    } drops[] = {
        {c->bad, "bad"},
        {c->barren, "without an example in it (no two ranked answers)"},
        {c->empty, "without a token"},
        {c->no_label, "with nothing left to learn after masking and truncation (raise "
                      "`max_length`, or look at the prompts)"},
        {c->identical, "pairs of identical answers"},
    };
    if (c->over_long > 0)
        str_printf(out, "%lld longer than `max_length` %lld", (long long)c->over_long,
                   (long long)max_length);
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++)
        if (drops[i].n > 0)
            str_printf(out, "%s%lld %s", out->len ? ", " : "", (long long)drops[i].n,
                       drops[i].what);
    if (c->bad > 0) str_printf(out, " (the first: %s)", c->first_bad);
}

static Status check_rest(const Dataset *d, const DatasetOptions *o) {
    if (d->store.n_units > 0) return OK;
    if (d->counts.rows == 0)
        return status_fail(ERR_DATA, "%s: no rows in it; the data set is empty",
                           o->sources[0].path);
    Str why = {0};
    describe_drops(&why, &d->counts, o->max_length);
    Status st = status_fail(ERR_DATA, "%s: nothing is left of %lld rows: %s", o->sources[0].path,
                            (long long)d->counts.rows, str_text(&why));
    str_free(&why);
    return st;
}

/* ---- items ---- */

static void set_items(Dataset *d, int64_t *order, int64_t n_items) {
    d->item_unit = order;
    d->n_items = n_items;
    d->item_seq = mem_alloc((size_t)(n_items + 1) * sizeof *d->item_seq);
    d->item_seq[0] = 0;
    for (int64_t i = 0; i < n_items; i++) {
        const int64_t *unit_seq = d->store.unit_seq + order[i];
        d->item_seq[i + 1] = d->item_seq[i] + unit_seq[1] - unit_seq[0];
        d->counts.tokens += dataset_item_tokens(d, i);
        d->counts.targets += dataset_item_targets(d, i);
    }
}

static int64_t *units_in_order(int64_t n) {
    int64_t *order = mem_alloc((size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    return order;
}

static void update(Sha256 *h, const void *data, int64_t n, size_t size) {
    if (data && n > 0) sha256_update(h, data, (size_t)n * size);
}

static void make_digest(Dataset *d) {
    const DatasetStore *s = &d->store;
    Sha256 h;
    unsigned char digest[32];
    int64_t head[4] = {(int64_t)d->kind, s->n_tokens, s->n_seqs, d->n_items};
    sha256_init(&h);
    update(&h, head, 4, sizeof *head);
    update(&h, s->ids, s->n_tokens, sizeof *s->ids);
    update(&h, s->labels, s->n_tokens, sizeof *s->labels);
    update(&h, s->seq_start, s->n_seqs + 1, sizeof *s->seq_start);
    update(&h, s->unit_seq, s->n_units + 1, sizeof *s->unit_seq);
    update(&h, s->margin, s->n_units, sizeof *s->margin);
    update(&h, s->texts, s->n_text, 1);
    update(&h, d->item_unit, d->n_items, sizeof *d->item_unit);
    sha256_final(&h, digest);
    sha256_to_hex(d->digest, digest);
}

/* ---- open and close ---- */

static void log_lines(const char *lines) {
    for (size_t n; *lines; lines += n + 1) {
        n = strcspn(lines, "\n");
        log_info("%.*s", (int)n, lines);
    }
}

static Status build(Dataset *d, const DatasetOptions *o, int64_t *unit_end) {
    int64_t n_items;
    TRY(dataset_read(d, o, unit_end));
    TRY(check_bad(d, o));
    TRY(check_rest(d, o));
    int64_t *order;
    Status st = make_order(&order, d, o, unit_end, &n_items);
    if (st == OK && n_items == 0)
        st = status_fail(ERR_DATA, "%s: nothing is left: `weight` is too small for %lld rows",
                         o->sources[0].path, (long long)d->counts.kept);
    if (st != OK) {
        mem_free(order);
        return st;
    }
    if (o->packing) {
        pack_units(d, o, order, n_items);
        mem_free(order);
        n_items = d->store.n_units;
        order = units_in_order(n_items);
    }
    set_items(d, order, n_items);
    make_digest(d);
    return OK;
}

static void dataset_begin(Dataset *d, const DatasetOptions *o) {
    d->kind = o->kind;
    d->max_length = o->max_length;
    store_begin(&d->store, o->kind == DATASET_SFT, o->cache_dir);
}

static Status build_from_files(Dataset *d, const DatasetOptions *o) {
    int64_t *unit_end = mem_zalloc((size_t)o->n_sources, sizeof *unit_end);
    dataset_begin(d, o);
    Status st = build(d, o, unit_end);
    mem_free(unit_end);
    if (st != OK) log_lines(str_text(&d->notes)); /* which format was seen may say why */
    return st;
}

/* The set as it lies in the cache, where it is put first when it is not there. A cache that cannot
 * be written costs time, not the run. */
static Status open_cached(Dataset *d, const DatasetOptions *o) {
    char key[SHA256_HEX];
    TRY(dataset_cache_key(key, o));
    char *path = dataset_cache_path(o, key);
    int32_t vocab = tokenizer_vocab_size(o->tokenizer);
    Status st = OK;
    if (dataset_cache_load(d, path, key, vocab)) goto out;
    TRY_GOTO(build_from_files(d, o), st, out);
    if (dataset_cache_save(d, path, key) != OK) {
        log_warn("the tokens are not kept: %s", status_message());
        status_clear();
        goto out;
    }
    dataset_clear(d); /* from memory to the file's pages */
    if (!dataset_cache_load(d, path, key, vocab)) st = build_from_files(d, o);
out:
    mem_free(path);
    return st;
}

Status dataset_open(Dataset **out, const DatasetOptions *options) {
    *out = NULL;
    TRY(check_options(options));
    Dataset *d = mem_zalloc(1, sizeof *d);
    Status st = options->cache_dir ? open_cached(d, options) : build_from_files(d, options);
    if (st != OK) {
        dataset_close(d);
        return st;
    }
    *out = d;
    return OK;
}

void dataset_clear(Dataset *d) {
    if (!d->store.mapped) {
        mem_free(d->item_unit);
        mem_free(d->item_seq);
    }
    store_free(&d->store);
    str_free(&d->notes);
    for (int32_t i = 0; i < d->n_files; i++) mem_free(d->files[i]);
    mem_free(d->files);
    *d = (Dataset){0};
}

void dataset_close(Dataset *d) {
    if (!d) return;
    dataset_clear(d);
    mem_free(d);
}

/* ---- reading ---- */

DatasetKind dataset_kind(const Dataset *d) {
    return d->kind;
}
int64_t dataset_size(const Dataset *d) {
    return d->n_items;
}
const DatasetCounts *dataset_counts(const Dataset *d) {
    return &d->counts;
}
int64_t dataset_sequences(const Dataset *d) {
    return d->item_seq[d->n_items];
}
bool dataset_has_margin(const Dataset *d) {
    return d->has_margin;
}

static int64_t unit_at(const Dataset *d, int64_t index) {
    CHECK(index >= 0 && index < d->n_items, "item %lld of %lld", (long long)index,
          (long long)d->n_items);
    return d->item_unit[index];
}

DatasetExample dataset_get(const Dataset *d, int64_t index) {
    const DatasetStore *s = &d->store;
    int64_t u = unit_at(d, index);
    const int64_t *start = s->seq_start + s->unit_seq[u];
    DatasetExample x = {.path = d->files[s->origin[u].file],
                        .line = s->origin[u].line,
                        .seq_id = d->item_seq[index]};
    if (d->kind == DATASET_PREFERENCE) {
        x.chosen = s->ids + start[0];
        x.n_chosen = start[1] - start[0];
        x.rejected = s->ids + start[1];
        x.n_rejected = start[2] - start[1];
        x.margin = s->margin[u];
        return x;
    }
    x.ids = s->ids + start[0];
    x.labels = s->labels ? s->labels + start[0] : NULL;
    x.seq_start = start;
    x.n_seqs = s->unit_seq[u + 1] - s->unit_seq[u];
    x.n_ids = start[x.n_seqs] - start[0];
    if (d->kind == DATASET_PROMPT) {
        x.prompt = s->texts + s->prompt_at[u];
        x.row = s->texts + s->row_at[u];
    }
    return x;
}

int64_t dataset_item_tokens(const Dataset *d, int64_t index) {
    const DatasetStore *s = &d->store;
    const int64_t *unit_seq = s->unit_seq + unit_at(d, index);
    return s->seq_start[unit_seq[1]] - s->seq_start[unit_seq[0]];
}

int64_t dataset_item_targets(const Dataset *d, int64_t index) {
    return d->store.n_targets[unit_at(d, index)];
}

void dataset_digest(const Dataset *d, char hex[65]) {
    memcpy(hex, d->digest, sizeof d->digest);
}

void dataset_log(const Dataset *d, const char *name) {
    const DatasetCounts *c = &d->counts;
    log_lines(str_text(&d->notes));
    log_info("%s data: %lld rows, %lld items, %lld tokens", name, (long long)c->rows,
             (long long)d->n_items, (long long)c->tokens);
    if (c->truncated > 0)
        log_warn("%s data: %lld rows are cut to `max_length` %lld", name, (long long)c->truncated,
                 (long long)d->max_length);
    if (c->prefix_mismatch > 0)
        log_warn("%s data: in %lld rows the prompt's tokens are no prefix of the whole row's, "
                 "because tokens reach over the border; the loss may begin a token early or late",
                 name, (long long)c->prefix_mismatch);
    Str drops = {0};
    describe_drops(&drops, c, d->max_length);
    if (drops.len > 0) log_warn("%s data: left out: %s", name, str_text(&drops));
    str_free(&drops);
}
