#include "data/containers/card.h"

#include "core/io/yaml.h"
#include "core/mem.h"
#include "core/str.h"

#include <string.h>

#define CARD_MAX_BYTES ((size_t)1 << 20)

/* The lines of `configs:` in the head between two lines of dashes; the rest of a head is often no
 * strict YAML. Empty: there are none. */
static void configs_text(Str *out, const char *text) {
    if (!str_starts(text, "---")) return;
    bool inside = false;
    for (const char *at = strchr(text, '\n'); at && at[1]; at = strchr(at + 1, '\n')) {
        const char *line = at + 1;
        if (str_starts(line, "---")) return;
        if (*line != ' ' && *line != '-' && *line != '\n' && *line != '\r')
            inside = str_starts(line, "configs:");
        if (inside) str_append_n(out, line, strcspn(line, "\n") + (strchr(line, '\n') != NULL));
    }
}

/* The list of configurations; NULL where there is none that can be read. */
static const YamlNode *read_configs(YamlStore *store, const char *path) {
    Str text = {0}, configs = {0};
    YamlErrors errors = {0};
    YamlNode *root = NULL;
    if (file_is_regular(path) && file_read(&text, path, CARD_MAX_BYTES) == OK)
        configs_text(&configs, str_text(&text));
    status_clear();
    if (configs.len) root = yaml_parse(store, &errors, path, str_text(&configs), configs.len);
    bool good = root && root->kind == YAML_MAPPING && errors.n == 0;
    yaml_errors_free(&errors);
    str_free(&configs);
    str_free(&text);
    const YamlNode *list = good ? yaml_get(root, "configs") : NULL;
    return list && list->kind == YAML_SEQUENCE && list->n ? list : NULL;
}

static const char *text_of(const YamlNode *mapping, const char *key) {
    const YamlNode *n = mapping->kind == YAML_MAPPING ? yaml_get(mapping, key) : NULL;
    return n && n->kind == YAML_SCALAR ? n->text : NULL;
}

static const char *name_of(const YamlNode *config) {
    const char *name = text_of(config, "config_name");
    return name ? name : "default";
}

/* The configuration called `name`; for NULL the default one, or the only one. */
static const YamlNode *choose(const YamlNode *configs, const char *name) {
    for (size_t i = 0; i < configs->n; i++) {
        const char *is_default = text_of(configs->items[i], "default");
        bool it = name ? str_equal(name_of(configs->items[i]), name)
                       : str_equal(name_of(configs->items[i]), "default") ||
                             (is_default && str_equal(is_default, "true"));
        if (it) return configs->items[i];
    }
    return !name && configs->n == 1 ? configs->items[0] : NULL;
}

static Status add_pattern(FileList *out, const char *folder, const YamlNode *pattern) {
    if (pattern->kind != YAML_SCALAR) return OK;
    FileList found = {0};
    char *path = file_join(folder, pattern->text);
    Status st = file_glob(&found, path);
    for (size_t i = 0; i < found.count && st == OK; i++) {
        if (file_is_regular(found.names[i])) file_list_add(out, found.names[i]);
    }
    file_list_free(&found);
    mem_free(path);
    return st;
}

static Status add_patterns(FileList *out, const char *folder, const YamlNode *patterns) {
    if (patterns->kind == YAML_SCALAR) return add_pattern(out, folder, patterns);
    if (patterns->kind != YAML_SEQUENCE) return OK;
    for (size_t i = 0; i < patterns->n; i++) TRY(add_pattern(out, folder, patterns->items[i]));
    return OK;
}

/* `data_files` is a pattern or a list of them (all of it is `train`), or a list of {split, path}.
 */
static Status add_split(FileList *out, const char *folder, const YamlNode *files,
                        const char *split) {
    bool has_splits =
        files->kind == YAML_SEQUENCE && files->n && files->items[0]->kind == YAML_MAPPING;
    if (!has_splits) return str_equal(split, "train") ? add_patterns(out, folder, files) : OK;
    for (size_t i = 0; i < files->n; i++) {
        const char *of = text_of(files->items[i], "split");
        const YamlNode *path = of ? yaml_get(files->items[i], "path") : NULL;
        if (path && str_equal(of, split)) TRY(add_patterns(out, folder, path));
    }
    return OK;
}

static Status fail_choice(const YamlNode *configs, const char *folder) {
    Str names = {0};
    for (size_t i = 0; i < configs->n && i < 12; i++)
        str_printf(&names, "%s%s", i ? ", " : "", name_of(configs->items[i]));
    Status st = status_fail(ERR_INPUT,
                            "%s: this data set has %zu configurations (%s%s); choose one, with "
                            "`dataset_config` or `name`",
                            folder, configs->n, str_text(&names), configs->n > 12 ? ", ..." : "");
    str_free(&names);
    return st;
}

static Status fail_split(const YamlNode *files, const char *folder, const char *split) {
    Str names = {0};
    for (size_t i = 0; files->kind == YAML_SEQUENCE && i < files->n; i++) {
        const char *of = text_of(files->items[i], "split");
        if (of) str_printf(&names, "%s%s", names.len ? ", " : "", of);
    }
    Status st = status_fail(ERR_INPUT,
                            "%s: no files of the split `%s` here (its README.md names: %s); name "
                            "another split, or fetch them",
                            folder, split, names.len ? str_text(&names) : "train");
    str_free(&names);
    return st;
}

Status card_files(FileList *out, bool *says, const char *folder, const char *name,
                  const char *split) {
    char *path = file_join(folder, "README.md");
    YamlStore *store = yaml_store_open();
    const YamlNode *configs = read_configs(store, path);
    const YamlNode *config = configs ? choose(configs, name) : NULL;
    const YamlNode *files = config ? yaml_get(config, "data_files") : NULL;
    size_t before = out->count;
    Status st = OK;
    *says = files != NULL;
    if (configs && !config && !name) {
        st = fail_choice(configs, folder);
    } else if (files) {
        st = add_split(out, folder, files, split);
        if (st == OK && out->count == before) st = fail_split(files, folder, split);
    }
    yaml_store_close(store);
    mem_free(path);
    return st;
}
