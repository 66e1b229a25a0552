#include "tools/inspect.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "core/progress.h"
#include "data/tokenizer/tokenizer.h"
#include "model/formats/gguf_model.h"
#include "train/checkpoint.h"
#include "train/manifest.h"

static bool has(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    bool there = file_exists(path);
    mem_free(path);
    return there;
}

/* A list of names or numbers; lists of anything else are shown in another way or not at all. */
static bool is_short_list(const Json *value) {
    for (int64_t i = 0; i < json_len(value); i++)
        if (json_is(json_at(value, i), JSON_KIND_OBJECT) ||
            json_is(json_at(value, i), JSON_KIND_ARRAY))
            return false;
    return json_len(value) <= 16;
}

/* Members of an object, one a line; what has a structure of its own is left out. */
static void add_members(Str *out, const Json *object) {
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(object, &it, &key, &value)) {
        JsonKind kind = json_kind(value);
        if (kind == JSON_KIND_OBJECT || (kind == JSON_KIND_ARRAY && !is_short_list(value)))
            continue;
        str_printf(out, "  %-22s  ", key);
        if (kind == JSON_KIND_STRING)
            str_append(out, json_str(value, NULL));
        else
            json_dump(out, value, 0);
        str_append_char(out, '\n');
    }
}

static Status add_json_file(Str *out, const char *folder, const char *name) {
    char *path = file_join(folder, name);
    Json *j = NULL;
    Status st = json_read_file(&j, path);
    if (st == OK) add_members(out, j);
    json_free(j);
    mem_free(path);
    return st;
}

/* ---- tokenizers, models, adapters ---------------------------------------------------------- */

static void add_token(Str *out, const Tokenizer *t, const char *name, int32_t id) {
    const char *text = id >= 0 ? tokenizer_token(t, id) : NULL;
    if (text) str_printf(out, "  %-22s  %d  %s\n", name, (int)id, text);
}

static Status inspect_tokenizer(Str *out, const char *path) {
    Tokenizer *t = NULL;
    TRY(tokenizer_open(&t, path));
    str_printf(out, "tokenizer  %s\n  %-22s  %d\n", path, "ids", (int)tokenizer_vocab_size(t));
    add_token(out, t, "bos", tokenizer_bos(t));
    add_token(out, t, "eos", tokenizer_eos(t));
    add_token(out, t, "pad", tokenizer_pad(t));
    add_token(out, t, "unk", tokenizer_unk(t));
    if (tokenizer_max_length(t) > 0)
        str_printf(out, "  %-22s  %lld\n", "max length", (long long)tokenizer_max_length(t));
    str_printf(out, "  %-22s  %s\n", "chat template", tokenizer_chat_template(t) ? "yes" : "no");
    str_printf(out, "  %-22s  %s\n", "sha256", tokenizer_digest(t));
    tokenizer_close(t);
    return OK;
}

static bool has_tokenizer(const char *folder) {
    return has(folder, "tokenizer.json") || has(folder, "tokenizer.model") ||
           has(folder, "vocab.json");
}

/* A folder with weights: `config` is the file that says what they are. */
static Status inspect_weights(Str *out, const char *folder, const char *what, const char *config) {
    str_printf(out, "%s  %s\n", what, folder);
    TRY(add_json_file(out, folder, config));
    TRY(inspect_tensors(out, folder));
    return has_tokenizer(folder) ? inspect_tokenizer(out, folder) : OK;
}

/* ---- checkpoints and runs ------------------------------------------------------------------ */

/* Damaged or not: *bad is set, and its message stands in the text. */
static void add_verdict(Str *out, const char *folder, bool *bad) {
    Status st = checkpoint_verify(folder, NULL);
    if (st != OK) *bad = true;
    str_printf(out, "  %-22s  %s\n", file_name(folder), st == OK ? "whole" : status_message());
}

static Status inspect_checkpoint(Str *out, const char *folder) {
    Json *manifest = NULL;
    TRY(checkpoint_verify(folder, &manifest));
    str_printf(out, "checkpoint  %s\n", folder);
    add_members(out, manifest);
    add_members(out, json_get(manifest, "run"));
    Status st = OK;
    for (int64_t i = 0; i < manifest_file_count(manifest) && st == OK; i++) {
        const Json *file = json_at(json_get(manifest, "files"), i);
        add_members(out, file);
        char *path = file_join(folder, manifest_file_name(manifest, i));
        st = inspect_h5(out, path);
        mem_free(path);
    }
    json_free(manifest);
    return st;
}

static Status add_checkpoints(Str *out, const char *run) {
    char *folder = file_join(run, "checkpoints");
    FileList names = {0};
    Status st = file_is_folder(folder) ? file_list(&names, folder) : OK;
    bool bad = false;
    if (names.count > 0) str_printf(out, "checkpoints  %s\n", folder);
    for (size_t i = 0; i < names.count; i++) {
        char *path = file_join(folder, names.names[i]);
        if (str_starts(names.names[i], "step-")) add_verdict(out, path, &bad);
        if (str_starts(names.names[i], "bad-"))
            str_printf(out, "  %-22s  set aside: damaged\n", names.names[i]);
        mem_free(path);
    }
    file_list_free(&names);
    mem_free(folder);
    return st;
}

static void add_inputs(Str *out, const Json *inputs) {
    for (int64_t i = 0; i < json_len(inputs); i++) {
        str_append(out, "input\n");
        add_members(out, json_at(inputs, i));
    }
}

static void add_timings(Str *out, const Json *timings) {
    char text[32];
    for (int64_t i = 0; i < json_len(timings); i++) {
        const Json *t = json_at(timings, i), *phase = json_get(t, "phase"),
                   *seconds = json_get(t, "seconds");
        if (json_is(phase, JSON_KIND_STRING) && json_is_num(seconds))
            str_printf(out, "  %-22s  %s\n", json_str(phase, NULL),
                       progress_duration(text, sizeof text, json_num(seconds)));
    }
}

static Status add_last_metrics(Str *out, const char *run) {
    char *path = file_join(run, "metrics.jsonl");
    Jsonl *rows = NULL;
    Json *last = NULL;
    Status st = file_is_regular(path) ? jsonl_open(&rows, path) : OK;
    if (st == OK && rows && jsonl_rows(rows) > 0) {
        st = jsonl_parse(&last, rows, jsonl_rows(rows) - 1);
        str_append(out, "last metrics\n");
        if (st == OK) add_members(out, last);
    }
    json_free(last);
    jsonl_close(rows);
    mem_free(path);
    return st;
}

static Status inspect_run(Str *out, const char *folder) {
    char *path = file_join(folder, "run.json"), *final = file_join(folder, "final");
    Json *info = NULL;
    Status st = json_read_file(&info, path);
    if (st == OK) {
        json_del(info, "fingerprint"); /* the config: report.html shows it readably */
        str_printf(out, "run  %s\n", folder);
        add_members(out, info);
        add_members(out, json_get(info, "facts"));
        add_inputs(out, json_get(info, "inputs"));
        str_append(out, "time\n");
        add_timings(out, json_get(info, "timings"));
        st = add_last_metrics(out, folder);
    }
    if (st == OK) st = add_checkpoints(out, folder);
    if (st == OK && file_is_folder(final)) st = inspect_path(out, final);
    json_free(info);
    mem_free(final);
    mem_free(path);
    return st;
}

/* ---- which it is --------------------------------------------------------------------------- */

/* Its description as a config.json, tensors, the tokenizer inside. */
static Status inspect_gguf(Str *out, const char *path) {
    Gguf *g = NULL;
    Json *config = NULL;
    Status st = OK;
    str_printf(out, "model  %s\n", path);
    TRY_GOTO(gguf_open(&g, path), st, out);
    if (gguf_config(&config, g) == OK)
        add_members(out, config);
    else
        str_printf(out, "  %-22s  %s\n", "no model", status_message());
    status_clear();
    TRY_GOTO(inspect_tensors(out, path), st, out);
    if (gguf_has(g, "tokenizer.ggml.model")) st = inspect_tokenizer(out, path);
out:
    json_free(config);
    gguf_close(g);
    return st;
}

static Status inspect_file(Str *out, const char *path) {
    if (str_ends(path, ".gguf")) return inspect_gguf(out, path);
    if (tensor_file_is_named(path)) return inspect_tensors(out, path);
    if (str_ends(path, ".h5")) return inspect_h5(out, path);
    if (str_equal(file_name(path), "tokenizer.json") || str_ends(path, ".model"))
        return inspect_tokenizer(out, path);
    return status_fail(ERR_DATA,
                       "%s: is none of the files that are looked into: .safetensors, .gguf, .bin, "
                       ".pt, .pth, .h5, tokenizer.json, tokenizer.model",
                       path);
}

Status inspect_path(Str *out, const char *path) {
    if (!file_exists(path)) return status_fail(ERR_INPUT, "%s: there is nothing", path);
    if (!file_is_folder(path)) return inspect_file(out, path);
    if (has(path, MANIFEST_NAME)) return inspect_checkpoint(out, path);
    if (has(path, "run.json")) return inspect_run(out, path);
    if (has(path, "adapter_config.json"))
        return inspect_weights(out, path, "adapter", "adapter_config.json");
    if (has(path, "config.json")) return inspect_weights(out, path, "model", "config.json");
    if (has_tokenizer(path)) return inspect_tokenizer(out, path);
    return status_fail(ERR_DATA,
                       "%s: is no run folder, checkpoint, model, adapter or tokenizer (no "
                       "run.json, " MANIFEST_NAME ", config.json, adapter_config.json, "
                       "tokenizer.json)",
                       path);
}
