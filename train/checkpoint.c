#include "train/checkpoint.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/h5.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/publish.h"
#include "train/checkpoint_priv.h"
#include "train/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_AT_LEAST 2 /* newest valid ones that retention never deletes */

Status checkpoints_open(Checkpoints **out, State *state, const CheckpointOptions *opt) {
    *out = NULL;
    char *folder = file_join(opt->folder, "checkpoints");
    Status st = file_make_folders(folder);
    if (st == OK) st = publish_clean(folder);
    if (st != OK) {
        mem_free(folder);
        return st;
    }
    Checkpoints *c = mem_zalloc(1, sizeof(*c));
    *c = (Checkpoints){.state = state, .folder = folder, .opt = *opt, .keep_step = -1};
    c->opt.folder = NULL; /* the caller's; `folder` is what counts */
    if (c->opt.retry_s <= 0) c->opt.retry_s = 60;
    if (c->opt.image_bytes == 0) c->opt.image_bytes = CHECKPOINT_IMAGE_BYTES;
    *out = c;
    return OK;
}

void checkpoints_close(Checkpoints *c) {
    if (c == NULL) return;
    json_free(c->manifest);
    mem_free(c->found);
    mem_free(c->folder);
    mem_free(c);
}

void checkpoint_keep(Checkpoints *c, int64_t step) {
    c->keep_step = step;
}

void checkpoint_restrict(Checkpoints *c, const char *prefix) {
    c->only = prefix;
}

/* ---- names --------------------------------------------------------------------------------- */

char *checkpoint_path(const Checkpoints *c, int64_t step) {
    return str_format("%s/step-%lld", c->folder, (long long)step);
}

int64_t checkpoint_step_of(const char *name) {
    static const char prefix[] = "step-";
    if (!str_starts(name, prefix)) return -1;
    const char *digits = name + strlen(prefix);
    size_t n = strlen(digits);
    if (n == 0 || n > 18 || strspn(digits, "0123456789") != n) return -1;
    return strtoll(digits, NULL, 10);
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

Status checkpoint_steps(int64_t **steps, size_t *n, const Checkpoints *c) {
    FileList names;
    TRY(file_list(&names, c->folder));
    *steps = mem_zalloc(names.count + 1, sizeof(int64_t));
    *n = 0;
    for (size_t i = 0; i < names.count; i++) {
        int64_t step = checkpoint_step_of(names.names[i]);
        if (step >= 0) (*steps)[(*n)++] = step;
    }
    qsort(*steps, *n, sizeof(int64_t), newest_first);
    file_list_free(&names);
    return OK;
}

/* ---- images -------------------------------------------------------------------------------- */

static bool is_saved(const Checkpoints *c, int64_t i) {
    return !c->only || str_starts(state_at(c->state, i)->path, c->only);
}

/* Items from `first` on that go into one image: as many as fit, at least one. Returns the first
 * item of the next; *bytes is their data. */
static int64_t next_image(const Checkpoints *c, int64_t first, size_t *bytes) {
    int64_t i = first;
    bool any = false;
    *bytes = 0;
    for (; i < state_count(c->state); i++) {
        if (!is_saved(c, i)) continue;
        size_t more = tensor_bytes(state_shape(c->state, i));
        if (any && *bytes + more > c->opt.image_bytes) break;
        *bytes += more;
        any = true;
    }
    return i;
}

size_t checkpoint_bytes(const Checkpoints *c) {
    size_t largest = 0, bytes;
    for (int64_t i = 0; i < state_count(c->state);) {
        i = next_image(c, i, &bytes);
        if (bytes > largest) largest = bytes;
    }
    return 2 * largest; /* the image and HDF5's own copy while it is built */
}

static Status put_items(H5Writer *w, const Checkpoints *c, int64_t first, int64_t end) {
    for (int64_t i = first; i < end; i++) {
        if (!is_saved(c, i)) continue;
        void *buffer;
        Tensor t = state_view(c->state, i, &buffer);
        Status st = h5_put(w, state_at(c->state, i)->path, t);
        mem_free(buffer);
        TRY(st);
    }
    return OK;
}

static Status build_image(void **image, size_t *bytes, const Checkpoints *c, int64_t first,
                          int64_t end) {
    H5Writer *w = NULL;
    Status st = h5_writer_open(&w);
    if (st == OK) st = put_items(w, c, first, end);
    if (st == OK) st = h5_writer_finish(w, image, bytes);
    h5_writer_close(w);
    return st;
}

/* One image at a time, so that only one is in memory. */
static Status write_images(const Checkpoints *c, PublishFolder *folder, Json *manifest) {
    size_t data_bytes;
    int n = 0;
    for (int64_t first = 0; first < state_count(c->state);) {
        int64_t end = next_image(c, first, &data_bytes);
        void *image = NULL;
        size_t bytes = 0;
        TRY(build_image(&image, &bytes, c, first, end));
        char name[32];
        snprintf(name, sizeof(name), "state-%05d.h5", ++n);
        Status st = publish_bytes_in(folder, name, image, bytes);
        if (st == OK) manifest_add_file(manifest, name, image, bytes);
        mem_free(image);
        TRY(st);
        first = end;
    }
    return OK;
}

static Status write_folder(const Checkpoints *c, PublishFolder *folder, int64_t step,
                           const Json *meta) {
    Json *manifest = manifest_new(step, meta);
    if (c->only) manifest_restrict(manifest, c->only);
    Status st = write_images(c, folder, manifest);
    Str text = {0};
    if (st == OK) {
        manifest_seal(&text, manifest);
        st = publish_bytes_in(folder, MANIFEST_NAME, text.data, text.len);
    }
    str_free(&text);
    json_free(manifest);
    return st == OK ? publish_folder_commit(folder) : st;
}

Status checkpoint_write_latest(const Checkpoints *c, int64_t step) {
    char *path = file_join(c->folder, "latest");
    char *text = str_format("step-%lld\n", (long long)step);
    Str now = {0};
    Status st = OK;
    if (!file_exists(path) || file_read(&now, path, 256) != OK || !str_equal(str_text(&now), text))
        st = publish_bytes(path, text, strlen(text));
    str_free(&now);
    mem_free(text);
    mem_free(path);
    return st;
}

/* ---- retention ----------------------------------------------------------------------------- */

static Status remove_step(const Checkpoints *c, int64_t step) {
    char *path = checkpoint_path(c, step);
    Status st = file_remove_tree(path);
    mem_free(path);
    return st;
}

static bool verifies(const Checkpoints *c, int64_t step) {
    char *path = checkpoint_path(c, step);
    Status st = checkpoint_verify(path, NULL);
    mem_free(path);
    return st == OK;
}

/* Newest first: what is kept is counted only when it is known to be whole, so that the last valid
 * ones are never deleted in favour of damaged ones. */
static Status apply_retention(const Checkpoints *c) {
    int64_t *steps, limit = c->opt.total_limit;
    size_t n;
    if (limit <= 0) return OK;
    if (limit < KEEP_AT_LEAST) limit = KEEP_AT_LEAST;
    TRY(checkpoint_steps(&steps, &n, c));
    Status st = OK;
    int64_t kept = 0;
    for (size_t i = 0; i < n && st == OK && (int64_t)n > limit; i++) {
        if (kept >= limit && steps[i] != c->keep_step)
            st = remove_step(c, steps[i]);
        else if (kept >= KEEP_AT_LEAST || verifies(c, steps[i]))
            kept++;
    }
    mem_free(steps);
    return st;
}

/* ---- saving -------------------------------------------------------------------------------- */

Status checkpoint_save(Checkpoints *c, int64_t step, const Json *meta) {
    char *path = checkpoint_path(c, step);
    PublishFolder *folder = NULL;
    Status st = publish_folder_open(&folder, path, true);
    if (st == OK) st = write_folder(c, folder, step, meta);
    publish_folder_close(folder);
    mem_free(path);
    if (st == OK) st = checkpoint_write_latest(c, step);
    /* From here on the checkpoint counts: old ones that will not go are no reason to fail. */
    if (st == OK && apply_retention(c) != OK)
        log_warn("an old checkpoint could not be removed: %s", status_message());
    c->retry_at_s = st == OK ? 0 : progress_clock_s() + c->opt.retry_s;
    return st;
}

void checkpoint_try_save(Checkpoints *c, int64_t step, const Json *meta) {
    if (checkpoint_save(c, step, meta) == OK) return;
    log_warn("the checkpoint of step %lld was not saved: %s; training goes on, the next attempt "
             "is in %.0f s",
             (long long)step, status_message(), c->opt.retry_s);
    status_clear();
}

bool checkpoint_retry_due(const Checkpoints *c) {
    return c->retry_at_s > 0 && progress_clock_s() >= c->retry_at_s;
}
