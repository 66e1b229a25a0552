#include "tools/stage_run.h"

#include "core/file.h"
#include "core/io/json.h"
#include "core/io_ops.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARKER "stage.json"
#define INCLUDE_MAX_DEPTH 8

/* ---- the program --------------------------------------------------------------------------- */

static bool is_program(const char *path) {
    return file_is_regular(path) && access(path, X_OK) == 0;
}

/* Takes `path` when it names a program. */
static bool try_program(char **out, char *path) {
    if (is_program(path)) {
        *out = path;
        return true;
    }
    mem_free(path);
    return false;
}

static bool find_beside(char **out, const char *name) {
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return false;
    self[n] = '\0';
    char *folder = file_folder(self);
    bool found = try_program(out, file_join(folder, name));
    mem_free(folder);
    return found;
}

static bool find_in_path(char **out, const char *name) {
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at;) {
        size_t n = strcspn(at, ":");
        char *folder = mem_strndup(at, n);
        bool found = n > 0 && try_program(out, file_join(folder, name));
        mem_free(folder);
        if (found) return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* "" after an error. */
static char *find_program(Experiment *e, const YamlNode *at, char *name) {
    char *path = NULL;
    if (strchr(name, '/')) {
        if (!try_program(&path, file_join(e->folder, name)))
            yaml_error(&e->errors, at, "`%s` is no program", name);
    } else if (!find_beside(&path, name) && !find_in_path(&path, name)) {
        yaml_error(&e->errors, at, "no program `%s` beside hone or in PATH", name);
    }
    return path ? path : mem_strdup("");
}

/* ---- the command --------------------------------------------------------------------------- */

static void add_argument(StageRun *r, char *text) {
    r->argv = mem_realloc(r->argv, (size_t)r->argc + 2, sizeof *r->argv);
    r->argv[r->argc++] = text;
    r->argv[r->argc] = NULL;
}

static void add_override(StageRun *r, const char *key, char *value) {
    add_argument(r, str_format("%s=%s", key, value));
    mem_free(value);
}

static void make_command(StageRun *r, const ExperimentScope *scope) {
    const ExperimentStage *s = r->stage;
    char *name = experiment_expand(scope, s->program);
    add_argument(r, find_program(scope->e, s->program, name));
    mem_free(name);
    if (s->is_trainer && s->config) {
        char *config = experiment_expand(scope, s->config);
        add_argument(r, file_join(scope->e->folder, config));
        mem_free(config);
        add_override(r, "output_dir", mem_strdup(r->folder));
        if (!s->overrides || !yaml_get(s->overrides, "seed"))
            add_override(r, "seed", str_format("%lld", (long long)r->seed));
    }
    for (size_t i = 0; s->overrides && i < s->overrides->n; i++)
        add_override(r, s->overrides->keys[i]->text,
                     experiment_value(scope, s->overrides->items[i]));
    for (size_t i = 0; s->args && i < s->args->n; i++)
        add_argument(r, experiment_expand(scope, s->args->items[i]));
}

static void make_outputs(StageRun *r, const ExperimentScope *scope) {
    const YamlNode *list = r->stage->outputs;
    r->outputs = mem_zalloc(list ? list->n + 1 : 1, sizeof *r->outputs);
    for (size_t i = 0; list && i < list->n; i++) {
        char *name = experiment_expand(scope, list->items[i]);
        r->outputs[r->n_outputs++] = file_join(r->folder, name);
        mem_free(name);
    }
    if (!r->stage->show) return;
    char *name = experiment_expand(scope, r->stage->show);
    r->show = file_join(r->folder, name);
    mem_free(name);
}

/* ---- the digest ---------------------------------------------------------------------------- */

static void add_file(Json *files, Experiment *e, const YamlNode *at, const char *shown,
                     const char *path) {
    char hex[SHA256_HEX];
    if (sha256_file(hex, path) == OK)
        json_set(files, shown, json_new_str(hex));
    else
        yaml_error(&e->errors, at, "%s", status_message());
}

/* A config and what it includes, by their names in it. What is wrong inside them is the program's
 * to say. */
static void add_config(Json *files, Experiment *e, const YamlNode *at, const char *shown,
                       const char *path, int depth) {
    add_file(files, e, at, shown, path);
    YamlErrors ignored = {0};
    YamlNode *root = NULL;
    if (!file_is_regular(path) || yaml_read(&root, e->store, &ignored, path) != OK || !root) {
        yaml_errors_free(&ignored);
        return;
    }
    yaml_errors_free(&ignored);
    const YamlNode *include = root->kind == YAML_MAPPING ? yaml_get(root, "include") : NULL;
    size_t n = !include ? 0 : include->kind == YAML_SEQUENCE ? include->n : 1;
    for (size_t i = 0; i < n && depth < INCLUDE_MAX_DEPTH; i++) {
        const YamlNode *item = include->kind == YAML_SEQUENCE ? include->items[i] : include;
        if (item->kind != YAML_SCALAR) continue;
        char *folder = file_folder(path), *its = file_join(folder, item->text);
        if (file_is_regular(its)) add_config(files, e, at, item->text, its, depth + 1);
        mem_free(its);
        mem_free(folder);
    }
}

static Json *symbolic_values(const ExperimentScope *scope, const YamlNode *list) {
    Json *out = list && list->kind == YAML_MAPPING ? json_new_object() : json_new_array();
    for (size_t i = 0; list && i < list->n; i++) {
        char *value = experiment_value(scope, list->items[i]);
        if (list->kind == YAML_MAPPING)
            json_set(out, list->keys[i]->text, json_new_str(value));
        else
            json_push(out, json_new_str(value));
        mem_free(value);
    }
    return out;
}

static Json *input_digests(const ExperimentScope *scope, const StageRun *r) {
    Experiment *e = scope->e;
    Json *files = json_new_object();
    const YamlNode *list = r->stage->inputs;
    for (size_t i = 0; list && i < list->n; i++) {
        char *name = experiment_expand(scope, list->items[i]), *path = file_join(e->folder, name);
        add_file(files, e, list->items[i], name, path);
        mem_free(path);
        mem_free(name);
    }
    if (strchr(r->stage->program->text, '/') && r->argv[0][0])
        add_file(files, e, r->stage->program, r->stage->program->text, r->argv[0]);
    if (r->stage->is_trainer && r->stage->config)
        add_config(files, e, r->stage->config, r->stage->config->text, r->argv[1], 0);
    return files;
}

static void make_digest(StageRun *r, const ExperimentScope *scope, const bool *needs,
                        const StageRun *earlier) {
    ExperimentScope what = *scope;
    what.symbolic = true;
    Json *all = json_new_object(), *needed = json_new_object();
    json_set(all, "format", json_new_int(1));
    json_set(all, "program", json_new_str(r->stage->program->text));
    json_set(all, "seed", json_new_int(r->stage->is_trainer ? r->seed : 0));
    json_set(all, "overrides", symbolic_values(&what, r->stage->overrides));
    json_set(all, "args", symbolic_values(&what, r->stage->args));
    json_set(all, "inputs", input_digests(scope, r));
    for (int i = 0; i < scope->stage; i++)
        if (needs[i]) json_set(needed, earlier[i].stage->name, json_new_str(earlier[i].digest));
    json_set(all, "needs", needed);
    Str text = {0};
    json_dump(&text, all, 0);
    sha256_hex(r->digest, str_text(&text), text.len);
    str_free(&text);
    json_free(all);
}

/* ---- the state ----------------------------------------------------------------------------- */

static bool outputs_there(const StageRun *r) {
    for (int i = 0; i < r->n_outputs; i++)
        if (!file_exists(r->outputs[i])) return false;
    return true;
}

static Status read_state(StageRun *r) {
    FileList names = {0};
    if (!file_exists(r->folder)) return OK;
    TRY(file_list(&names, r->folder));
    bool empty = names.count == 0;
    file_list_free(&names);
    if (empty) return OK;
    char *path = file_join(r->folder, MARKER);
    Json *marker = NULL;
    const char *digest = "", *state = "";
    Status st = OK;
    if (!file_exists(path))
        st = status_fail(ERR_CREATE,
                         "%s: holds something that no stage of an experiment has made; move it "
                         "away, or choose another output_dir",
                         r->folder);
    if (st == OK) st = json_read_file(&marker, path);
    if (st == OK) st = json_want_str(&digest, marker, "digest", path);
    if (st == OK) st = json_want_str(&state, marker, "state", path);
    if (st == OK) st = json_want_num(&r->seconds, marker, "seconds", path);
    if (st == OK && !str_equal(digest, r->digest))
        r->state = STAGE_CHANGED;
    else if (st == OK)
        r->state = str_equal(state, "finished") && outputs_there(r) ? STAGE_DONE : STAGE_BEGUN;
    if (r->state == STAGE_CHANGED) r->seconds = 0;
    json_free(marker);
    mem_free(path);
    return st;
}

Status stage_run_init(StageRun *r, Experiment *e, int k, int64_t seed, const StageRun *earlier) {
    *r = (StageRun){.stage = &e->stages[k],
                    .seed = seed,
                    .folder = experiment_stage_folder(e, seed, k),
                    .state = STAGE_NEW};
    if (!r->stage->program) return OK; /* whoever read the experiment has said so */
    bool *needs = mem_zalloc((size_t)e->n_stages, sizeof *needs);
    memcpy(needs, e->stages[k].needs, (size_t)e->n_stages * sizeof *needs);
    ExperimentScope scope = {.e = e, .seed = seed, .stage = k, .uses = needs};
    size_t errors_before = e->errors.n;
    make_command(r, &scope);
    make_outputs(r, &scope);
    make_digest(r, &scope, needs, earlier);
    mem_free(needs);
    return e->errors.n == errors_before ? read_state(r) : OK;
}

void stage_run_free(StageRun *r) {
    for (int i = 0; i < r->argc; i++) mem_free(r->argv[i]);
    for (int i = 0; i < r->n_outputs; i++) mem_free(r->outputs[i]);
    mem_free(r->argv);
    mem_free(r->outputs);
    mem_free(r->show);
    mem_free(r->folder);
    *r = (StageRun){0};
}

/* ---- before and after the program ---------------------------------------------------------- */

static Status set_aside(const StageRun *r) {
    char *seed_folder = file_folder(r->folder), *old = file_join(seed_folder, "old"), *to = NULL;
    Status st = file_make_folders(old);
    for (int k = 1; !to; k++) {
        to = str_format("%s/%s-%d", old, r->stage->name, k);
        if (!file_exists(to)) break;
        mem_free(to);
        to = NULL;
    }
    if (st == OK && io_ops.rename(r->folder, to) != 0)
        st = status_fail(ERR_IO, "%s: cannot be moved to %s: %s", r->folder, to, strerror(errno));
    if (st == OK) log_info("%s: made in another way before; that is now in %s", r->stage->name, to);
    mem_free(to);
    mem_free(old);
    mem_free(seed_folder);
    return st;
}

Status stage_run_prepare(StageRun *r) {
    if (r->state == STAGE_CHANGED) TRY(set_aside(r));
    if (r->state == STAGE_BEGUN && !r->stage->is_trainer) {
        TRY(file_remove_tree(r->folder));
        r->seconds = 0;
    }
    TRY(file_make_folders(r->folder));
    return stage_run_mark(r, false);
}

Status stage_run_mark(StageRun *r, bool done) {
    Json *marker = json_new_object();
    Str text = {0};
    json_set(marker, "stage", json_new_str(r->stage->name));
    json_set(marker, "digest", json_new_str(r->digest));
    json_set(marker, "state", json_new_str(done ? "finished" : "begun"));
    json_set(marker, "seconds", json_new_num(r->seconds));
    json_dump(&text, marker, 2);
    str_append_char(&text, '\n');
    char *path = file_join(r->folder, MARKER);
    Status st = publish_bytes(path, str_text(&text), text.len);
    mem_free(path);
    str_free(&text);
    json_free(marker);
    if (st == OK) r->state = done ? STAGE_DONE : STAGE_BEGUN;
    return st;
}

Status stage_run_check_outputs(const StageRun *r) {
    for (int i = 0; i < r->n_outputs; i++)
        if (!file_exists(r->outputs[i]))
            return status_fail(ERR_DATA,
                               "stage %s ended well but left no %s, which its outputs list",
                               r->stage->name, r->outputs[i]);
    return OK;
}
