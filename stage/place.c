#include "stage/place.h"

#include "core/file.h"
#include "core/hub_cache.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "core/str.h"

/* The name as it is, below root, in the cache; NULL when it is nowhere. */
static char *lookup(const char *name, const char *root) {
    if (file_exists(name)) return mem_strdup(name);
    if (root) {
        char *below = file_join(root, name);
        if (file_exists(below)) return below;
        mem_free(below);
    }
    return hub_cache_find("models", name);
}

static bool has_file(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    bool there = file_is_regular(path);
    mem_free(path);
    return there;
}

/* The base that an adapter was made for: adapter_config.json's base_model_name_or_path. */
static Status adapter_base(char **out, const char *folder, const char *root) {
    char *path = file_join(folder, "adapter_config.json");
    Json *config = NULL;
    const char *name = NULL;
    Status st = OK;
    TRY_GOTO(json_read_file(&config, path), st, out);
    TRY_GOTO(json_want_str(&name, config, "base_model_name_or_path", path), st, out);
    *out = lookup(name, root);
    if (!*out)
        st = status_fail(ERR_INPUT,
                         "%s: its base model `%s` is not here; put it there or name "
                         "the base in `model.path` and the adapter in `model.adapter`",
                         path, name);
out:
    json_free(config);
    mem_free(path);
    return st;
}

Status place_model(ModelPlace *out, const char *name, const char *root) {
    *out = (ModelPlace){0};
    char *folder = lookup(name, root);
    if (!folder)
        return status_fail(ERR_INPUT,
                           "model `%s` is no file or folder here and not in the Hugging "
                           "Face cache; fetch it with `hf download %s`, or give a path",
                           name, name);
    char *final = file_join(folder, "final");
    bool is_run = has_file(folder, "run.json");
    if (is_run && !file_is_folder(final)) {
        Status st = status_fail(ERR_INPUT,
                                "%s: this run has no final/ yet; finish it first "
                                "(the same command goes on where it stopped)",
                                folder);
        mem_free(folder);
        mem_free(final);
        return st;
    }
    if (is_run) {
        mem_free(folder);
        folder = final;
    } else {
        mem_free(final);
    }
    if (!has_file(folder, "adapter_config.json")) {
        out->base = folder;
        return OK;
    }
    out->adapter = folder;
    Status st = adapter_base(&out->base, folder, root);
    if (st != OK) model_place_free(out);
    return st;
}

Status place_tokenizer(Tokenizer **out, const ModelPlace *place) {
    bool own = place->adapter && has_file(place->adapter, "tokenizer_config.json");
    TRY(tokenizer_open(out, own ? place->adapter : place->base));
    return own ? tokenizer_add_eos_list(*out, place->base) : OK;
}

void model_place_free(ModelPlace *p) {
    mem_free(p->base);
    mem_free(p->adapter);
    *p = (ModelPlace){0};
}
