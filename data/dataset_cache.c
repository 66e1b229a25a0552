#include "data/dataset_cache.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/publish.h"
#include "core/rows.h"
#include "data/containers/locate.h"
#include "data/template.h"
#include "data/tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

#define CACHE_FORMAT "hone tokens 1"
#define CACHE_STEM "tokens"
#define CACHE_DIGEST "SHA256"
#define MOST_ARRAYS 12

/* ---- the key ---- */

static void add_text(Sha256 *h, const char *name, const char *text) {
    sha256_update(h, name, strlen(name) + 1);
    sha256_update(h, text ? text : "", text ? strlen(text) + 1 : 0);
    sha256_update(h, "\n", 1);
}

static void add_number(Sha256 *h, const char *name, double x) {
    char text[64];
    snprintf(text, sizeof text, "%.17g", x);
    add_text(h, name, text);
}

static Status add_file(Sha256 *h, const char *path) {
    char hex[SHA256_HEX];
    TRY(sha256_file(hex, path));
    add_text(h, "file", path); /* messages and items name it */
    add_text(h, "sha256", hex);
    return OK;
}

static Status add_source(Sha256 *h, const DatasetSource *s, const DatasetOptions *o) {
    FileList files = {0};
    Status st;
    add_text(h, "source", s->path);
    add_text(h, "format", s->format);
    for (int64_t i = 0; i < s->n_columns; i++)
        add_text(h, s->columns[i].name, s->columns[i].column);
    add_number(h, "weight", s->weight);
    add_text(h, "prompt_template", s->prompt_template);
    add_text(h, "completion_template", s->completion_template);
    add_text(h, "promptsource_name", s->promptsource_name);
    if (s->promptsource) TRY(add_file(h, s->promptsource));
    TRY_GOTO(locate_files(&files, s->path, s->split, o->root), st, out);
    for (size_t i = 0; i < files.count && st == OK; i++) st = add_file(h, files.names[i]);
out:
    file_list_free(&files);
    return st;
}

static void add_options(Sha256 *h, const DatasetOptions *o) {
    add_number(h, "kind", o->kind);
    add_number(h, "parse_special", o->parse_special);
    add_number(h, "max_length", (double)o->max_length);
    add_number(h, "truncation_keep_end", o->truncation_keep_end);
    add_number(h, "completion_only_loss", o->completion_only_loss);
    add_number(h, "assistant_only_loss", o->assistant_only_loss);
    add_number(h, "append_eos", o->append_eos);
    add_text(h, "eos_token", o->eos_token);
    add_text(h, "dataset_text_field", o->dataset_text_field);
    add_number(h, "text_by", o->text_by);
    add_number(h, "encoder_decoder", o->encoder_decoder);
    add_number(h, "packing", o->packing);
    add_number(h, "packing_strategy", o->packing_strategy);
    add_number(h, "packing_batch_size", (double)o->packing_batch_size);
    add_number(h, "on_bad_row", o->on_bad_row);
    add_number(h, "max_bad_fraction", o->max_bad_fraction);
    sha256_update(h, &o->seed, sizeof o->seed);
    add_number(h, "test_split_size", o->test_split_size);
    add_number(h, "test_part", o->test_split_size > 0 && o->test_part);
}

Status dataset_cache_key(char key[SHA256_HEX], const DatasetOptions *o) {
    Sha256 h;
    unsigned char digest[32];
    sha256_init(&h);
    add_text(&h, "format", CACHE_FORMAT);
    add_text(&h, "version", HONE_VERSION);
    add_text(&h, "tokenizer", tokenizer_digest(o->tokenizer));
    add_text(&h, "template", o->chat_template ? template_digest(o->chat_template) : NULL);
    add_options(&h, o);
    for (int64_t s = 0; s < o->n_sources; s++) TRY(add_source(&h, &o->sources[s], o));
    sha256_final(&h, digest);
    sha256_to_hex(key, digest);
    return OK;
}

char *dataset_cache_path(const DatasetOptions *o, const char *key) {
    return str_format("%s/%.32s", o->cache_dir, key);
}

/* ---- the arrays ---- */

/* Every array of a data set with its place, so that saving and loading walk one list. `have` 0: it
 * is not there. Wide elements first: each then lies at a multiple of its size. */
typedef struct Array {
    const char *name;
    DType dtype;
    void **data;
    int64_t n;
} Array;

static int list_arrays(Array out[MOST_ARRAYS], Dataset *d) {
    DatasetStore *s = &d->store;
    bool texts = d->kind == DATASET_PROMPT, labels = d->kind == DATASET_SFT;
    const Array all[MOST_ARRAYS] = {
        {"item_seq", DTYPE_I64, (void **)&d->item_seq, d->n_items + 1},
        {"item_unit", DTYPE_I64, (void **)&d->item_unit, d->n_items},
        {"seq_start", DTYPE_I64, (void **)&s->seq_start, s->n_seqs + 1},
        {"unit_seq", DTYPE_I64, (void **)&s->unit_seq, s->n_units + 1},
        {"origin", DTYPE_I64, (void **)&s->origin, 3 * s->n_units},
        {"n_targets", DTYPE_I64, (void **)&s->n_targets, s->n_units},
        {"margin", DTYPE_F64, (void **)&s->margin, s->n_units},
        {"prompt_at", DTYPE_I64, (void **)&s->prompt_at, texts ? s->n_units : 0},
        {"row_at", DTYPE_I64, (void **)&s->row_at, texts ? s->n_units : 0},
        {"ids", DTYPE_I32, (void **)&s->ids, s->n_tokens},
        {"labels", DTYPE_I32, (void **)&s->labels, labels ? s->n_tokens : 0},
        {"texts", DTYPE_U8, (void **)&s->texts, texts ? s->n_text : 0},
    };
    int n = 0;
    for (int i = 0; i < MOST_ARRAYS; i++)
        if (all[i].n > 0) out[n++] = all[i];
    return n;
}

/* ---- what is no array, as one line of JSON ---- */

#define N_COUNTS \
    (offsetof(DatasetCounts, first_bad) / sizeof(int64_t)) /* all before it are int64 */

static Json *sizes_json(const Dataset *d) {
    Json *j = json_new_object();
    json_set(j, "n_tokens", json_new_int(d->store.n_tokens));
    json_set(j, "n_seqs", json_new_int(d->store.n_seqs));
    json_set(j, "n_units", json_new_int(d->store.n_units));
    json_set(j, "n_items", json_new_int(d->n_items));
    json_set(j, "n_text", json_new_int(d->store.n_text));
    json_set(j, "kind", json_new_int(d->kind));
    json_set(j, "max_length", json_new_int(d->max_length));
    json_set(j, "has_margin", json_new_bool(d->has_margin));
    return j;
}

static void dump_facts(Str *out, const Dataset *d) {
    Json *j = sizes_json(d), *counts = json_new_array(), *files = json_new_array();
    int64_t count[N_COUNTS];
    memcpy(count, &d->counts, sizeof count);
    for (size_t i = 0; i < N_COUNTS; i++) json_push(counts, json_new_int(count[i]));
    for (int32_t i = 0; i < d->n_files; i++) json_push(files, json_new_str(d->files[i]));
    json_set(j, "counts", counts);
    json_set(j, "first_bad", json_new_str(d->counts.first_bad));
    json_set(j, "files", files);
    json_set(j, "notes", json_new_str(str_text(&d->notes)));
    json_set(j, "digest", json_new_str(d->digest));
    json_dump(out, j, 0);
    json_free(j);
}

static Status take_sizes(Dataset *d, const Json *j, const char *where) {
    int64_t kind;
    TRY(json_want_int(&d->store.n_tokens, j, "n_tokens", where));
    TRY(json_want_int(&d->store.n_seqs, j, "n_seqs", where));
    TRY(json_want_int(&d->store.n_units, j, "n_units", where));
    TRY(json_want_int(&d->n_items, j, "n_items", where));
    TRY(json_want_int(&d->store.n_text, j, "n_text", where));
    TRY(json_want_int(&kind, j, "kind", where));
    TRY(json_want_int(&d->max_length, j, "max_length", where));
    const Json *margin = json_get(j, "has_margin");
    d->has_margin = json_is(margin, JSON_KIND_BOOL) && json_bool(margin);
    d->kind = (DatasetKind)kind;
    bool sound = d->store.n_tokens >= 0 && d->store.n_seqs > 0 && d->store.n_units > 0 &&
                 d->n_items > 0 && d->store.n_text >= 0 && kind >= DATASET_SFT &&
                 kind <= DATASET_PROMPT;
    return sound ? OK : status_fail(ERR_DATA, "%s: sizes that cannot be", where);
}

static Status take_facts(Dataset *d, const Json *j, const char *where) {
    const char *notes, *first_bad, *digest;
    Json *counts, *files;
    int64_t count[N_COUNTS];
    TRY(take_sizes(d, j, where));
    TRY(json_want_str(&notes, j, "notes", where));
    TRY(json_want_str(&first_bad, j, "first_bad", where));
    TRY(json_want_str(&digest, j, "digest", where));
    TRY(json_want(&counts, j, "counts", JSON_KIND_ARRAY, where));
    TRY(json_want(&files, j, "files", JSON_KIND_ARRAY, where));
    if (json_len(counts) != (int64_t)N_COUNTS || strlen(digest) != SHA256_HEX - 1)
        return status_fail(ERR_DATA, "%s: counts that cannot be", where);
    for (size_t i = 0; i < N_COUNTS; i++) count[i] = json_int(json_at(counts, (int64_t)i));
    memcpy(&d->counts, count, sizeof count);
    snprintf(d->counts.first_bad, sizeof d->counts.first_bad, "%s", first_bad);
    memcpy(d->digest, digest, SHA256_HEX);
    str_append(&d->notes, notes);
    d->files = mem_zalloc((size_t)json_len(files) + 1, sizeof *d->files);
    for (int64_t i = 0; i < json_len(files); i++)
        d->files[d->n_files++] = mem_strdup(json_str(json_at(files, i), NULL));
    return OK;
}

/* ---- saving ---- */

Status dataset_cache_save(const Dataset *d, const char *path, const char *key) {
    Array arrays[MOST_ARRAYS];
    SafetensorsItem items[MOST_ARRAYS];
    Dataset shown = *d; /* list_arrays gives places to write to */
    int n = list_arrays(arrays, &shown);
    Str facts = {0};
    char hex[SHA256_HEX], *file = NULL;
    PublishFolder *folder = NULL;
    Status st;
    for (int i = 0; i < n; i++)
        items[i] = (SafetensorsItem){.name = arrays[i].name,
                                     .dtype = arrays[i].dtype,
                                     .rank = 1,
                                     .shape = {arrays[i].n},
                                     .data = *arrays[i].data};
    dump_facts(&facts, d);
    const char *const meta[] = {"format", CACHE_FORMAT,     "key", key,
                                "facts",  str_text(&facts), NULL};
    SafetensorsSpec spec = {.items = items, .n_items = n, .meta = meta};
    TRY_GOTO(publish_folder_open(&folder, path, true), st, out);
    TRY_GOTO(safetensors_save_in(publish_folder_path(folder), CACHE_STEM, 0, &spec), st, out);
    file = file_join(publish_folder_path(folder), CACHE_STEM ".safetensors");
    TRY_GOTO(sha256_file(hex, file), st, out);
    TRY_GOTO(publish_bytes_in(folder, CACHE_DIGEST, hex, SHA256_HEX - 1), st, out);
    st = publish_folder_commit(folder);
out:
    publish_folder_close(folder);
    mem_free(file);
    str_free(&facts);
    return st;
}

/* ---- loading ---- */

static bool rises(const int64_t *x, int64_t n, int64_t first, int64_t last) {
    for (int64_t i = 1; i < n; i++)
        if (x[i] < x[i - 1]) return false;
    return x[0] == first && x[n - 1] == last;
}

static bool all_below(const int64_t *x, int64_t n, int64_t limit) {
    for (int64_t i = 0; i < n; i++)
        if (x[i] < 0 || x[i] >= limit) return false;
    return true;
}

static bool tokens_are_sound(const DatasetStore *s, int32_t vocab) {
    for (int64_t i = 0; i < s->n_tokens; i++) {
        if (s->ids[i] < 0 || s->ids[i] >= vocab) return false;
        if (s->labels && s->labels[i] != ROWS_NO_TARGET &&
            (s->labels[i] < 0 || s->labels[i] >= vocab))
            return false;
    }
    return true;
}

/* Whatever is in the file, reading items stays inside of its arrays. */
static bool is_sound(const Dataset *d, int32_t vocab) {
    const DatasetStore *s = &d->store;
    int64_t n_text = s->n_text;
    bool texts = d->kind == DATASET_PROMPT;
    for (int64_t u = 0; u < s->n_units; u++)
        if (s->origin[u].file < 0 || s->origin[u].file >= d->n_files) return false;
    if (texts && (n_text == 0 || s->texts[n_text - 1] != '\0' ||
                  !all_below((int64_t *)s->prompt_at, s->n_units, n_text) ||
                  !all_below((int64_t *)s->row_at, s->n_units, n_text)))
        return false;
    return rises(s->seq_start, s->n_seqs + 1, 0, s->n_tokens) &&
           rises(s->unit_seq, s->n_units + 1, 0, s->n_seqs) &&
           rises(d->item_seq, d->n_items + 1, 0, d->item_seq[d->n_items]) &&
           all_below(d->item_unit, d->n_items, s->n_units) && tokens_are_sound(s, vocab);
}

static Status check_digest(const char *path, const char *file) {
    char hex[SHA256_HEX], *kept = file_join(path, CACHE_DIGEST);
    Str text = {0};
    Status st = file_read(&text, kept, 256);
    if (st == OK) st = sha256_file(hex, file);
    if (st == OK && !str_equal(hex, str_text(&text)))
        st = status_fail(ERR_DATA, "its SHA-256 is another one");
    str_free(&text);
    mem_free(kept);
    return st;
}

static Status map_arrays(Dataset *d) {
    Array arrays[MOST_ARRAYS];
    int n = list_arrays(arrays, d);
    for (int i = 0; i < n; i++) {
        const TensorEntry *e = safetensors_find(d->store.mapped, arrays[i].name);
        if (!e || e->dtype != arrays[i].dtype || e->rank != 1 || e->shape[0] != arrays[i].n)
            return status_fail(ERR_DATA, "`%s` is not as it must be", arrays[i].name);
        *arrays[i].data = (void *)(uintptr_t)e->data;
    }
    return OK;
}

static Status load(Dataset *d, const char *path, const char *key, int32_t vocab) {
    char *file = file_join(path, CACHE_STEM ".safetensors");
    Json *facts = NULL;
    const char *text;
    Status st;
    TRY_GOTO(check_digest(path, file), st, out);
    TRY_GOTO(safetensors_open(&d->store.mapped, file), st, out);
    text = safetensors_meta(d->store.mapped, "facts");
    if (!str_equal(safetensors_meta(d->store.mapped, "key"), key) || !text) {
        st = status_fail(ERR_DATA, "it holds other data");
        goto out;
    }
    TRY_GOTO(json_parse(&facts, text, strlen(text), file, 1), st, out);
    TRY_GOTO(take_facts(d, facts, file), st, out);
    TRY_GOTO(map_arrays(d), st, out);
    if (!is_sound(d, vocab)) st = status_fail(ERR_DATA, "its arrays do not fit each other");
out:
    json_free(facts);
    mem_free(file);
    return st;
}

bool dataset_cache_load(Dataset *d, const char *path, const char *key, int32_t vocab) {
    if (!file_is_folder(path)) {
        log_info("no tokens of this data, tokenizer, template and options yet in %s", path);
        return false;
    }
    if (load(d, path, key, vocab) == OK) {
        log_info("tokens are those of the cache in %s", path);
        return true;
    }
    log_warn("the cached tokens in %s are not used: %s; they are made again", path,
             status_message());
    status_clear();
    dataset_clear(d);
    return false;
}
