#include "data/containers/locate.h"

#include "core/hub_cache.h"
#include "core/mem.h"
#include "data/containers/card.h"
#include "data/containers/container.h"

#include <string.h>

#define TREE_MAX_DEPTH 8
#define N_SPLITS (sizeof WORDS / sizeof *WORDS)
#define N_WORDS (sizeof *WORDS / sizeof **WORDS)

static bool of_split(const char *name, const char *split) {
    size_t n = strlen(split);
    return strncmp(name, split, n) == 0 && name[n] != '\0' && strchr(".-_", name[n]);
}

/* Adds the data files of `folder` that belong to the split (NULL: all). */
static Status add_folder(FileList *out, const char *folder, const char *split) {
    FileList names = {0};
    TRY(file_list(&names, folder));
    for (size_t i = 0; i < names.count; i++) {
        if (!container_knows(names.names[i]) || (split && !of_split(names.names[i], split)))
            continue;
        char *path = file_join(folder, names.names[i]);
        if (file_is_regular(path)) file_list_add(out, path);
        mem_free(path);
    }
    file_list_free(&names);
    return OK;
}

static Status add_subfolder(FileList *out, const char *folder, const char *sub, const char *split) {
    Status st = OK;
    char *path = file_join(folder, sub);
    if (file_is_folder(path)) st = add_folder(out, path, split);
    mem_free(path);
    return st;
}

/* ---- splits by words in names, as the `datasets` library guesses them ---- */

/* What names the split itself comes first. */
static const char *const WORDS[][4] = {
    {"train", "training", NULL},
    {"validation", "valid", "dev", "val"},
    {"test", "testing", "eval", "evaluation"},
};

static bool is_edge(char c) {
    return c == '\0' || strchr("-._ /0123456789", c);
}

/* Does the word stand by itself in the path: best_replies_train.jsonl, harmless/train.jsonl? */
static bool has_word(const char *path, const char *word) {
    size_t n = strlen(word);
    for (const char *at = strstr(path, word); at; at = strstr(at + 1, word))
        if ((at == path || is_edge(at[-1])) && is_edge(at[n])) return true;
    return false;
}

static bool says_split(const char *path, const char *split) {
    if (has_word(path, split)) return true;
    for (size_t i = 0; i < N_SPLITS; i++) {
        if (!str_equal(WORDS[i][0], split)) continue;
        for (size_t k = 1; k < N_WORDS && WORDS[i][k]; k++)
            if (has_word(path, WORDS[i][k])) return true;
    }
    return false;
}

/* Everything below `folder` that could be data; `inside` is the path from the top. */
static Status add_tree(FileList *out, const char *folder, const char *inside, int depth) {
    FileList names = {0};
    TRY(file_list(&names, folder));
    Status st = OK;
    for (size_t i = 0; i < names.count && st == OK; i++) {
        const char *name = names.names[i];
        bool is_about = str_starts(name, "dataset_info") || str_equal(name, "dataset_dict.json");
        if (name[0] == '.' || name[0] == '_' || is_about) continue;
        char *path = file_join(folder, name);
        char *below = *inside ? file_join(inside, name) : mem_strdup(name);
        if (file_is_folder(path) && depth < TREE_MAX_DEPTH)
            st = add_tree(out, path, below, depth + 1);
        else if (file_is_regular(path) && container_knows(name))
            file_list_add(out, below);
        mem_free(below);
        mem_free(path);
    }
    file_list_free(&names);
    return st;
}

/* The files whose path says the split; where no path says any, all are `train`. */
static Status add_by_words(FileList *out, const char *folder, const char *split) {
    FileList all = {0};
    TRY(add_tree(&all, folder, "", 0));
    bool any = false;
    for (size_t i = 0; i < all.count; i++) {
        for (size_t k = 0; k < N_SPLITS; k++) any |= says_split(all.names[i], WORDS[k][0]);
    }
    for (size_t i = 0; i < all.count; i++) {
        if (any ? !says_split(all.names[i], split) : !str_equal(split, "train")) continue;
        char *path = file_join(folder, all.names[i]);
        file_list_add(out, path);
        mem_free(path);
    }
    file_list_free(&all);
    return OK;
}

static Status fail_split(const char *folder, const char *split) {
    FileList there = {0};
    Str names = {0};
    if (add_tree(&there, folder, "", 0) != OK) return ERR_INPUT;
    for (size_t i = 0; i < there.count && i < 8; i++)
        str_printf(&names, "%s%s", i ? ", " : "", there.names[i]);
    Status st = status_fail(
        ERR_INPUT,
        "%s: no data file of the split `%s` here (%s%s); name a file, a glob or a `split`", folder,
        split, there.count ? "there are: " : "there is none at all", str_text(&names));
    file_list_free(&there);
    str_free(&names);
    return st;
}

/* ---- places ---- */

static Status locate_folder(FileList *out, const char *folder, const char *split) {
    bool says;
    TRY(card_files(out, &says, folder, NULL, split));
    if (says) return OK;
    TRY(add_folder(out, folder, split));
    if (out->count == 0) TRY(add_subfolder(out, folder, "data", split));
    if (out->count == 0) TRY(add_subfolder(out, folder, split, NULL));
    if (out->count == 0) TRY(add_by_words(out, folder, split));
    return out->count > 0 ? OK : fail_split(folder, split);
}

/* The last part of the path may be a configuration that the card of the folder above describes. */
static Status locate_configuration(FileList *out, const char *path, const char *split) {
    bool says;
    Status st = OK;
    char *above = file_folder(path);
    if (file_is_folder(above)) st = card_files(out, &says, above, file_name(path), split);
    mem_free(above);
    return st;
}

/* One place to look; *found tells whether the path means anything there. */
static Status locate_at(FileList *out, const char *path, const char *split, bool *found) {
    *found = true;
    if (file_is_folder(path)) return locate_folder(out, path, split);
    if (file_exists(path)) {
        file_list_add(out, path);
        return OK;
    }
    if (strpbrk(path, "*?["))
        TRY(file_glob(out, path));
    else
        TRY(locate_configuration(out, path, split));
    *found = out->count > 0;
    return OK;
}

/* In the hub's cache: the first `n_parts` parts of the path are the id, the rest is inside. */
static Status locate_in_cache(FileList *out, const char *path, int n_parts, const char *split,
                              bool *found) {
    const char *end = path - 1;
    for (int i = 0; i < n_parts && end; i++) end = strchr(end + 1, '/');
    char *id = end ? mem_strndup(path, (size_t)(end - path)) : mem_strdup(path);
    char *snapshot = hub_cache_find("datasets", id);
    char *inside = snapshot && end ? file_join(snapshot, end + 1) : NULL;
    *found = false;
    Status st = snapshot ? locate_at(out, inside ? inside : snapshot, split, found) : OK;
    mem_free(inside);
    mem_free(snapshot);
    mem_free(id);
    return st;
}

static Status fail_missing(const char *path, const char *root) {
    const char *slash = strchr(path, '/');
    bool may_be_id = path[0] != '/' && path[0] != '.' && slash && !strchr(slash + 1, '/') &&
                     !container_knows(path);
    if (may_be_id)
        return status_fail(ERR_INPUT,
                           "%s: no such file or folder, and no such data set in the Hugging Face "
                           "cache; fetch it with `hf download --repo-type dataset %s`",
                           path, path);
    return status_fail(ERR_INPUT, "%s: no such file or folder%s%s", path,
                       root && path[0] != '/' ? ", also not below " : "",
                       root && path[0] != '/' ? root : "");
}

Status locate_files(FileList *out, const char *path, const char *split, const char *root) {
    *out = (FileList){0};
    if (!split) split = "train";
    bool found;
    Status st = locate_at(out, path, split, &found);
    if (st == OK && !found && root && path[0] != '/') {
        char *below = file_join(root, path);
        st = locate_at(out, below, split, &found);
        mem_free(below);
    }
    for (int n_parts = 2; n_parts > 0 && st == OK && !found; n_parts--)
        st = locate_in_cache(out, path, n_parts, split, &found);
    if (st == OK && !found) st = fail_missing(path, root);
    if (st != OK) file_list_free(out);
    return st;
}
