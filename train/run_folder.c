#include "core/file.h"
#include "core/io_ops.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "train/checkpoint_priv.h"
#include "train/run_priv.h"

#include <errno.h>
#include <string.h>

/* ---- open and close ------------------------------------------------------------------------ */

static Status open_in(Run *r) {
    char *lock_path = file_join(r->folder, "run.lock");
    Status st = file_make_folders(r->folder);
    if (st == OK) st = lock_open(&r->lock, lock_path);
    mem_free(lock_path);
    TRY(st);
    TRY(publish_clean(r->folder));
    if (r->cfg->run.resume == RESUME_NEVER) return run_set_aside_old(r);
    return run_check_finished(r);
}

Status run_open(Run **out, const Config *cfg) {
    *out = NULL;
    Run *r = mem_zalloc(1, sizeof(*r));
    *r = (Run){.cfg = cfg,
               .folder = mem_strdup(cfg->run.output_dir),
               .inputs = json_new_array(),
               .about = json_new_object(),
               .evaluated_step = -1,
               .saved_step = -1,
               .final_step = -1};
    r->opened_s = r->phase_since_s = progress_clock_s();
    run_phase(r, "load");
    best_init(&r->best, &cfg->training);
    Status st = open_in(r);
    if (st == OK)
        *out = r;
    else
        run_close(r);
    return st;
}

void run_close(Run *r) {
    if (r == NULL) return;
    if (r->began) progress_end(&r->progress);
    checkpoints_close(r->checkpoints);
    jsonl_writer_close(r->samples);
    metrics_close(r->metrics);
    state_close(r->state);
    json_free(r->inputs);
    json_free(r->about);
    lock_close(r->lock);
    mem_free(r->final_digest);
    mem_free(r->folder);
    mem_free(r);
}

/* ---- earlier contents ---------------------------------------------------------------------- */

static bool belongs_to_run(const char *name) {
    static const char *const names[] = {"run.json",    "metrics.jsonl", "samples.jsonl",
                                        "report.html", "checkpoints",   "final"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_equal(name, names[i])) return true;
    return str_starts(name, "events.out.tfevents.");
}

static char *old_folder(const Run *r) {
    char *path = NULL;
    for (int k = 1;; k++) {
        path = str_format("%s/old-%d", r->folder, k);
        if (!file_exists(path)) return path;
        mem_free(path);
    }
}

static Status move_into(const char *folder, const char *from) {
    TRY(file_make_folders(folder));
    char *to = file_join(folder, file_name(from));
    Status st = OK;
    if (io_ops.rename(from, to) != 0)
        st = status_fail(ERR_IO, "%s: cannot be moved to %s: %s", from, to, strerror(errno));
    mem_free(to);
    return st;
}

Status run_set_aside_old(Run *r) {
    FileList names;
    TRY(file_list(&names, r->folder));
    char *old = old_folder(r);
    Status st = OK;
    bool any = false;
    for (size_t i = 0; i < names.count && st == OK; i++) {
        if (!belongs_to_run(names.names[i])) continue;
        char *from = file_join(r->folder, names.names[i]);
        st = move_into(old, from);
        mem_free(from);
        any = true;
    }
    if (any && st == OK) log_info("what an earlier run left is now in %s", old);
    file_list_free(&names);
    mem_free(old);
    return st;
}

Status run_set_aside_newer(Run *r, int64_t step) {
    int64_t *steps;
    size_t n;
    TRY(checkpoint_steps(&steps, &n, r->checkpoints));
    char *old = old_folder(r);
    Status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        if (steps[i] <= step) continue;
        char *from = checkpoint_path(r->checkpoints, steps[i]);
        st = move_into(old, from);
        mem_free(from);
    }
    mem_free(steps);
    mem_free(old);
    return st;
}

/* ---- a finished run ------------------------------------------------------------------------ */

static Status compare_finished(const Run *r, const char *run_json) {
    Json *info = NULL;
    const char *kept = NULL;
    if (!file_exists(run_json)) return OK;
    TRY(json_read_file(&info, run_json));
    Status st = json_opt_str(&kept, info, "fingerprint", run_json);
    if (st == OK && kept != NULL && config_compare(r->cfg, kept) != OK) {
        char *differences = mem_strdup(status_message());
        st = status_fail(ERR_CONFIG,
                         "%s holds a finished run of another config (%s); choose another "
                         "output_dir, or start over with --resume=never",
                         r->folder, differences);
        mem_free(differences);
    }
    json_free(info);
    return st;
}

/* final/ came to be, and the process died before run.json said so. */
static Status make_up_for_end(const Run *r, const char *run_json) {
    char hex[65];
    Json *info = NULL;
    const char *status = NULL;
    if (!file_exists(run_json)) return OK;
    TRY(json_read_file(&info, run_json));
    Status st = json_opt_str(&status, info, "status", run_json);
    if (st == OK && !str_equal(status, "finished")) {
        st = run_digest_path(hex, r->folder);
        Str text = {0};
        json_set(info, "status", json_new_str("finished"));
        json_set(info, "output", json_new_str(hex));
        json_dump(&text, info, 2);
        str_append_char(&text, '\n');
        if (st == OK) st = publish_bytes(run_json, text.data, text.len);
        str_free(&text);
    }
    json_free(info);
    return st;
}

Status run_check_finished(Run *r) {
    char *state = str_format("%s/final/" RUN_FINAL_STATE, r->folder);
    char *run_json = file_join(r->folder, "run.json");
    Status st = OK;
    if (file_exists(state)) {
        st = compare_finished(r, run_json);
        if (st == OK) st = make_up_for_end(r, run_json);
        r->finished = st == OK;
    }
    if (r->finished)
        log_info("%s is finished: its result is %s/final; --resume=never starts over", r->folder,
                 r->folder);
    mem_free(run_json);
    mem_free(state);
    return st;
}

bool run_is_finished(const Run *r) {
    return r->finished;
}

const char *run_folder(const Run *r) {
    return r->folder;
}

/* ---- digests ------------------------------------------------------------------------------- */

static Status add_file_digest(Sha256 *sum, const char *folder, const char *name) {
    char hex[SHA256_HEX];
    char *path = file_join(folder, name);
    Status st = file_is_regular(path) ? sha256_file(hex, path) : OK;
    if (st == OK && file_is_regular(path)) {
        sha256_update(sum, name, strlen(name) + 1);
        sha256_update(sum, hex, sizeof(hex));
    }
    mem_free(path);
    return st;
}

static Status digest_folder(char hex[65], const char *folder) {
    FileList names;
    TRY(file_list(&names, folder));
    bool weights = false;
    for (size_t i = 0; i < names.count; i++)
        weights = weights || str_ends(names.names[i], ".safetensors");
    Sha256 sum;
    sha256_init(&sum);
    Status st = OK;
    for (size_t i = 0; i < names.count && st == OK; i++)
        if (!weights || str_ends(names.names[i], ".safetensors"))
            st = add_file_digest(&sum, folder, names.names[i]);
    unsigned char digest[32];
    sha256_final(&sum, digest);
    sha256_to_hex(hex, digest);
    file_list_free(&names);
    return st;
}

Status run_digest_path(char hex[65], const char *path) {
    if (!file_exists(path)) return status_fail(ERR_INPUT, "%s: there is no such file", path);
    if (!file_is_folder(path)) return sha256_file(hex, path);
    char *final = file_join(path, "final");
    Status st = digest_folder(hex, file_is_folder(final) ? final : path);
    mem_free(final);
    return st;
}
