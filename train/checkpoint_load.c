#include "core/check.h"
#include "core/file.h"
#include "core/io/h5.h"
#include "core/io_ops.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/publish.h"
#include "train/checkpoint_priv.h"
#include "train/manifest.h"

#include <stdio.h>
#include <string.h>

#define MAX_LISTED 8 /* differences that one message lists */

/* ---- finding ------------------------------------------------------------------------------- */

static Status verify(const char *folder, Json **manifest, bool *newer) {
    TRY(manifest_read(manifest, folder, newer));
    Status st = manifest_check_files(*manifest, folder);
    if (st != OK) {
        json_free(*manifest);
        *manifest = NULL;
    }
    return st;
}

Status checkpoint_verify(const char *folder, Json **manifest) {
    Json *m = NULL;
    if (!file_is_folder(folder)) return status_fail(ERR_INPUT, "%s: no such checkpoint", folder);
    TRY(verify(folder, &m, NULL));
    if (manifest != NULL)
        *manifest = m;
    else
        json_free(m);
    return OK;
}

/* bad-step-<n>, with a number behind it when there was one before. */
static char *bad_path(const Checkpoints *c, int64_t step) {
    char *path = str_format("%s/bad-step-%lld", c->folder, (long long)step);
    for (int k = 2; file_exists(path); k++) {
        mem_free(path);
        path = str_format("%s/bad-step-%lld-%d", c->folder, (long long)step, k);
    }
    return path;
}

/* Out of the way, with the reason in it, so that nobody takes it for good and nothing is lost. */
static void set_aside(const Checkpoints *c, int64_t step, const char *reason) {
    char *path = checkpoint_path(c, step);
    char *bad = bad_path(c, step);
    char *why = file_join(bad, "REASON.txt");
    char *text = str_format("%s\n", reason);
    bool moved = io_ops.rename(path, bad) == 0;
    log_warn("checkpoint step-%lld is passed over: %s%s%s", (long long)step, reason,
             moved ? "; it is kept as " : "", moved ? file_name(bad) : "");
    if (moved) (void)publish_bytes(why, text, strlen(text)); /* the warning has said it already */
    mem_free(text);
    mem_free(why);
    mem_free(bad);
    mem_free(path);
}

static Status take_found(Checkpoints *c, char *folder, Json *manifest, int64_t *step, Json **meta) {
    c->found = folder;
    c->manifest = manifest;
    *step = manifest_step(manifest);
    *meta = json_clone(json_get(manifest, "run"));
    return OK;
}

static Status find_newest(Checkpoints *c, int64_t *step, Json **meta) {
    int64_t *steps;
    size_t n;
    TRY(checkpoint_steps(&steps, &n, c));
    Status st = OK;
    for (size_t i = 0; i < n && c->found == NULL && st == OK; i++) {
        char *folder = checkpoint_path(c, steps[i]);
        Json *manifest = NULL;
        bool newer = false;
        Status one = verify(folder, &manifest, &newer);
        if (one == OK && manifest_only(manifest)) {
            log_info("checkpoint step-%lld is passed over: it holds %s alone (save_only_model)",
                     (long long)steps[i], manifest_only(manifest));
            json_free(manifest);
            mem_free(folder);
            continue;
        }
        if (one == OK) {
            st = take_found(c, folder, manifest, step, meta);
            continue;
        }
        /* Whole but not for us, or a disk that does not read: nothing is wrong with the data. */
        if (newer || one != ERR_DATA)
            st = one;
        else {
            char *reason = mem_strdup(status_message());
            set_aside(c, steps[i], reason);
            mem_free(reason);
        }
        mem_free(folder);
    }
    mem_free(steps);
    /* A process that died between the folder and its name, or a damaged newest one. */
    return st == OK && *step >= 0 ? checkpoint_write_latest(c, *step) : st;
}

Status checkpoint_find(Checkpoints *c, const char *path, int64_t *step, Json **meta) {
    *step = -1;
    *meta = NULL;
    json_free(c->manifest);
    mem_free(c->found);
    c->manifest = NULL;
    c->found = NULL;
    if (path == NULL) return find_newest(c, step, meta);
    Json *manifest = NULL;
    TRY(checkpoint_verify(path, &manifest));
    if (manifest_only(manifest)) {
        Status st =
            status_fail(ERR_DATA, "%s holds %s alone (save_only_model); it cannot be resumed", path,
                        manifest_only(manifest));
        json_free(manifest);
        return st;
    }
    return take_found(c, mem_strdup(path), manifest, step, meta);
}

/* ---- loading ------------------------------------------------------------------------------- */

/* Where each registered item lies: the number of its file, -1 while it has not been seen. */
typedef struct Load {
    State *state;
    const char *folder;
    const Json *manifest;
    const char *prefix; /* only items below it; "" for all */
    int64_t *file_of;   /* [state_count] */
    Str wrong;          /* what does not fit, ", " between */
    int n_wrong;
} Load;

static void complain(Load *l, const char *path, const char *what) {
    if (l->n_wrong < MAX_LISTED)
        str_printf(&l->wrong, "%s%s %s", l->n_wrong > 0 ? ", " : "", path, what);
    l->n_wrong++;
}

static int64_t find_item(const State *s, const char *path) {
    for (int64_t i = 0; i < state_count(s); i++)
        if (str_equal(state_at(s, i)->path, path)) return i;
    return -1;
}

static Tensor entry_shape(const H5Entry *e) {
    Tensor t = {.dtype = e->dtype, .rank = e->rank};
    for (int k = 0; k < e->rank; k++) t.shape[k] = e->shape[k];
    return t;
}

static void check_entry(Load *l, const H5Entry *e, int64_t file) {
    if (!str_starts(e->path, l->prefix)) return;
    int64_t i = find_item(l->state, e->path);
    if (i < 0) {
        complain(l, e->path, "is not expected");
        return;
    }
    Tensor want = state_shape(l->state, i), have = entry_shape(e);
    bool fits = have.dtype == want.dtype && have.rank == want.rank;
    if (state_at(l->state, i)->kind != STATE_ARRAY) fits = fits && tensor_same_shape(have, want);
    if (!fits) {
        char a[64], b[64], text[160];
        snprintf(text, sizeof(text), "is %s, not %s", tensor_describe(a, sizeof(a), have),
                 tensor_describe(b, sizeof(b), want));
        complain(l, e->path, text);
    }
    l->file_of[i] = file;
}

static Status open_file(H5Reader **out, const Load *l, int64_t file) {
    char *path = file_join(l->folder, manifest_file_name(l->manifest, file));
    Status st = h5_open(out, path);
    mem_free(path);
    return st;
}

/* Everything is compared before the first value is touched. */
static Status compare_all(Load *l) {
    for (int64_t f = 0; f < manifest_file_count(l->manifest); f++) {
        H5Reader *r = NULL;
        TRY(open_file(&r, l, f));
        for (int64_t k = 0; k < h5_count(r); k++) check_entry(l, h5_at(r, k), f);
        h5_close(r);
    }
    for (int64_t i = 0; i < state_count(l->state); i++)
        if (str_starts(state_at(l->state, i)->path, l->prefix) && l->file_of[i] < 0)
            complain(l, state_at(l->state, i)->path, "is missing");
    if (l->n_wrong == 0) return OK;
    return status_fail(ERR_DATA, "%s does not fit this run: %s%s; use the config it was made with",
                       l->folder, str_text(&l->wrong), l->n_wrong > MAX_LISTED ? ", ..." : "");
}

static Status load_item(const Load *l, const H5Reader *r, int64_t i) {
    const char *path = state_at(l->state, i)->path;
    const H5Entry *e = h5_find(r, path);
    CHECK(e != NULL, "%s has gone from its file", path);
    Tensor saved = entry_shape(e);
    saved.data = mem_alloc(tensor_bytes(saved));
    Status st = h5_get(r, path, saved);
    if (st == OK) st = state_write(l->state, i, saved);
    mem_free(saved.data);
    return st;
}

static Status load_file(const Load *l, int64_t file) {
    H5Reader *r = NULL;
    TRY(open_file(&r, l, file));
    Status st = OK;
    for (int64_t i = 0; i < state_count(l->state) && st == OK; i++)
        if (l->file_of[i] == file) st = load_item(l, r, i);
    h5_close(r);
    return st;
}

static Status load_from(State *state, const char *folder, const Json *manifest,
                        const char *prefix) {
    Load l = {.state = state, .folder = folder, .manifest = manifest, .prefix = prefix};
    l.file_of = mem_alloc((size_t)(state_count(state) + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < state_count(state); i++) l.file_of[i] = -1;
    Status st = compare_all(&l);
    for (int64_t f = 0; f < manifest_file_count(manifest) && st == OK; f++) st = load_file(&l, f);
    if (st == OK) state_loaded(state);
    str_free(&l.wrong);
    mem_free(l.file_of);
    return st;
}

Status checkpoint_load(Checkpoints *c) {
    CHECK(c->found != NULL, "checkpoint_find found nothing");
    return load_from(c->state, c->found, c->manifest, "");
}

Status checkpoint_load_part(Checkpoints *c, int64_t step, const char *prefix) {
    char *folder = checkpoint_path(c, step);
    Json *manifest = NULL;
    Status st = checkpoint_verify(folder, &manifest);
    if (st == OK) st = load_from(c->state, folder, manifest, prefix);
    json_free(manifest);
    mem_free(folder);
    return st;
}
