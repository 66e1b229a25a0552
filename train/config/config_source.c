/* Files and arguments to slots: includes, env, sections, flat names, options that mean nothing
 * here. */
#include "train/config/loader.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INCLUDE_MAX_DEPTH 8

/* ---- slots ---- */

Slot *config_slot(ConfigState *s, const char *path) {
    for (size_t i = 0; i < s->n_keys; i++) {
        if (strcmp(s->keys[i]->path, path) == 0) return &s->slots[i];
    }
    FAIL("no key `%s` in %s", path, stage_name(s->stage));
}

const char *config_shown_name(ConfigState *s, const char *path) {
    const Slot *slot = config_slot(s, path);
    if (!slot->node || !slot->flat || str_equal(slot->place->text, schema_leaf(path))) return path;
    char *text = str_format("%s (%s)", slot->place->text, path);
    char *kept = yaml_store_text(s->store, text);
    mem_free(text);
    return kept;
}

/* The key that `path` names or, for free mappings and records, goes into; *rest is what is behind
 * it ("data.train.path" -> data.train, "path") or NULL. */
static const Key *find_key(const ConfigState *s, const char *path, const char **rest) {
    *rest = NULL;
    for (size_t i = 0; i < s->n_keys; i++) {
        const Key *k = s->keys[i];
        size_t n = strlen(k->path);
        if (strncmp(k->path, path, n) != 0) continue;
        if (path[n] == '\0') return k;
        if (path[n] != '.' || (k->type != KEY_RECORDS && k->type != KEY_PAIRS)) continue;
        *rest = path + n + 1;
        return k;
    }
    return NULL;
}

static void same_option(ConfigState *s, const Slot *slot, const YamlNode *key) {
    yaml_error(&s->errors, key, "`%s` names the same option as `%s` in line %d; keep one of them",
               key->text, slot->place->text, slot->place->line);
}

/* The mapping inside `node` into which a part is set; `node` changes where it was a bare text or
 * nothing. NULL after an error. */
static YamlNode *part_target(ConfigState *s, const Key *k, YamlNode **node, const YamlNode *place) {
    if (!*node || yaml_is_null(*node)) {
        *node = yaml_new_mapping(s->store, place);
    } else if ((*node)->kind == YAML_SCALAR && k->type == KEY_RECORDS) {
        YamlNode *map = yaml_new_mapping(s->store, *node);
        const char *name = k->record->keys[0].path;
        yaml_set(s->store, map, yaml_new_scalar(s->store, *node, name), *node);
        *node = map;
    }
    if ((*node)->kind == YAML_MAPPING) return *node;
    yaml_error(&s->errors, place, "`%s` is not a mapping; give all of it", k->path);
    return NULL;
}

/* "0.path" picks an item of a list; without a number a list of one is meant. */
static YamlNode **part_item(ConfigState *s, const Key *k, YamlNode **node, const char **rest,
                            const YamlNode *place) {
    if (!*node || (*node)->kind != YAML_SEQUENCE) return node;
    size_t index = 0, digits = strspn(*rest, "0123456789");
    bool numbered = digits > 0 && digits < 6 && (*rest)[digits] == '.';
    if (numbered) {
        index = (size_t)atoi(*rest);
        *rest += digits + 1;
    }
    if (index < (*node)->n && (numbered || (*node)->n == 1)) return &(*node)->items[index];
    yaml_error(&s->errors, place, "`%s` is a list of %zu; say which, as in `%s.0.%s`", k->path,
               (*node)->n, k->path, *rest);
    return NULL;
}

static void set_part(ConfigState *s, const Key *k, Slot *slot, const char *rest, YamlNode *key,
                     YamlNode *value) {
    YamlNode **item = part_item(s, k, &slot->node, &rest, key);
    YamlNode *map = item ? part_target(s, k, item, key) : NULL;
    if (!map) return;
    YamlNode *name = yaml_new_scalar(s->store, key, rest);
    if (slot->layer == s->layer && yaml_get(map, rest)) {
        same_option(s, slot, key);
        return;
    }
    yaml_set(s->store, map, name, value);
}

/* Gives `path` a value. `key` is what was written, where it stood. */
static bool assign(ConfigState *s, const char *path, bool flat, YamlNode *key, YamlNode *value) {
    const char *rest = NULL;
    const Key *k = find_key(s, path, &rest);
    if (!k) return false;
    Slot *slot = config_slot(s, k->path);
    if (slot->layer == s->layer && (slot->whole || !rest)) {
        same_option(s, slot, key);
        return true;
    }
    if (rest)
        set_part(s, k, slot, rest, key, value);
    else
        slot->node = value;
    slot->place = key;
    slot->layer = s->layer;
    slot->whole = !rest;
    slot->flat = flat;
    if (flat && strchr(k->path, '.')) s->has_flat_keys = true;
    return true;
}

/* ---- flat names ---- */

/* What `value` becomes by "from=to|from=to|*"; NULL where it assigns nothing. */
static YamlNode *mapped(ConfigState *s, const Alias *a, YamlNode *key, YamlNode *value) {
    if (yaml_is_null(value)) return NULL;
    double x = 0;
    if (a->range && value->kind == YAML_SCALAR && yaml_to_number(value->text, &x) &&
        !config_value_in(a->range, x)) {
        yaml_error(&s->errors, value, "`%s` must be in %s, not `%s`", key->text, a->range,
                   value->text);
        return NULL;
    }
    for (const char *at = a->map; at && *at != '*'; at++) {
        char from[64], to[64];
        size_t n = strcspn(at, "="), m = strcspn(at + n + 1, "|");
        snprintf(from, sizeof from, "%.*s", (int)n, at);
        snprintf(to, sizeof to, "%.*s", (int)m, at + n + 1);
        if (config_value_is(value, from)) return *to ? yaml_new_scalar(s->store, value, to) : NULL;
        at += n + 1 + m;
        if (*at) continue;
        yaml_error(&s->errors, value, "`%s: %s` is not built; write `%s` instead", key->text,
                   value->kind == YAML_SCALAR ? value->text : "...", a->path);
        return NULL;
    }
    return value;
}

/* `name` is how it was written: by path or by its flat name. What a later layer writes counts. */
static void use_neutral(ConfigState *s, const Neutral *x, const char *name, const YamlNode *value) {
    if (!strchr(name, '.'))
        s->has_flat_keys = true;
    else
        s->has_tree_keys = true;
    size_t i = 0;
    while (i < s->n_neutrals && s->neutrals[i].option != x) i++;
    if (i == s->n_neutrals)
        s->neutrals = mem_realloc(s->neutrals, ++s->n_neutrals, sizeof *s->neutrals);
    s->neutrals[i] = (NeutralUse){x, yaml_store_text(s->store, name), value};
}

static void check_neutral(ConfigState *s, const NeutralUse *use) {
    const Neutral *x = use->option;
    if (config_value_is(use->value, x->accepted)) return;
    if (str_ends(x->accepted, "|*")) {
        str_printf(&s->without_effect, "%s%s (%s)", s->without_effect.len ? ", " : "", use->name,
                   x->why);
        return;
    }
    Str words = {0};
    for (const char *at = x->accepted; *at; at++) {
        if (*at == '|')
            str_append(&words, " or ");
        else
            str_append_char(&words, *at);
    }
    yaml_error(&s->errors, use->value, "`%s` can only be %s here: %s", use->name, str_text(&words),
               x->why);
    str_free(&words);
}

void config_source_end(ConfigState *s) {
    for (size_t i = 0; i < s->n_neutrals; i++) check_neutral(s, &s->neutrals[i]);
}

static bool assign_alias(ConfigState *s, const Alias *a, bool flat, YamlNode *key,
                         YamlNode *value) {
    YamlNode *to = mapped(s, a, key, value);
    return !to || assign(s, a->path, flat, key, to);
}

/* A name at the top that is no path: TRL's. false: unknown. */
static bool assign_flat(ConfigState *s, YamlNode *key, YamlNode *value) {
    const Key *k = schema_flat(s->stage, key->text);
    if (k) return assign(s, k->path, true, key, value);
    const Alias *a = schema_alias(s->stage, key->text);
    if (!a) return false;
    s->has_flat_keys = true;
    return assign_alias(s, a, true, key, value);
}

/* `training:` holds TrainingArguments, so their translated names stand there too. */
static bool assign_in_training(ConfigState *s, const char *prefix, YamlNode *key, YamlNode *value) {
    const Alias *a = strcmp(prefix, "training") == 0 ? schema_alias(s->stage, key->text) : NULL;
    return a && assign_alias(s, a, false, key, value);
}

static void unknown_key(ConfigState *s, const char *path, const YamlNode *key) {
    char near[128];
    const char *leaf = schema_leaf(path);
    size_t n = leaf > path ? (size_t)(leaf - path) - 1 : 0;
    char *group = mem_strndup(path, n);
    const char *other = schema_other_stage(s->stage, path);
    if (schema_is_group(s->stage, path)) {
        yaml_error(&s->errors, key, "`%s` is a section; set its keys one by one, `%s.KEY=value`%s",
                   path, path, str_equal(path, "peft") ? ", or use_peft=false" : "");
    } else if (other) {
        yaml_error(&s->errors, key, "`%s` is an option of %s, not of %s; leave it out", path, other,
                   stage_name(s->stage));
    } else if (schema_suggest(s->stage, group, leaf, near)) {
        yaml_error(&s->errors, key, "unknown key `%s`; did you mean `%s`?", path, near);
    } else {
        yaml_error(&s->errors, key, "unknown key `%s`; --help lists all keys", path);
    }
    mem_free(group);
}

/* ---- documents ---- */

static void walk_entry(ConfigState *s, const char *prefix, YamlNode *key, YamlNode *value);

static void walk(ConfigState *s, const char *prefix, const YamlNode *mapping) {
    for (size_t i = 0; i < mapping->n; i++)
        walk_entry(s, prefix, mapping->keys[i], mapping->items[i]);
}

static void walk_group(ConfigState *s, const char *path, YamlNode *key, YamlNode *value) {
    if (value->kind == YAML_MAPPING) {
        walk(s, path, value);
    } else if (!yaml_is_null(value)) {
        yaml_error(&s->errors, key, "`%s` is a section; give it `key: value` lines", path);
    }
}

static void walk_entry(ConfigState *s, const char *prefix, YamlNode *key, YamlNode *value) {
    char *path = *prefix ? str_format("%s.%s", prefix, key->text) : mem_strdup(key->text);
    const Neutral *neutral = NULL;
    if (schema_key(s->stage, path)) {
        if (strchr(path, '.')) s->has_tree_keys = true;
        assign(s, path, false, key, value);
    } else if (schema_is_group(s->stage, path)) {
        walk_group(s, path, key, value);
    } else if (!*prefix ? assign_flat(s, key, value) : assign_in_training(s, prefix, key, value)) {
        /* done */
    } else if ((neutral = schema_neutral(s->stage, path)) != NULL) {
        use_neutral(s, neutral, path, value);
    } else {
        unknown_key(s, path, key);
    }
    mem_free(path);
}

/* ${env:NAME} in any value. */
static void expand_text(ConfigState *s, YamlNode *n) {
    Str out = {0};
    const char *at = n->text, *open;
    while ((open = strstr(at, "${env:")) != NULL) {
        const char *close = strchr(open, '}');
        char name[128];
        size_t len = close ? (size_t)(close - open) - 6 : sizeof name;
        if (len >= sizeof name) break;
        snprintf(name, sizeof name, "%.*s", (int)len, open + 6);
        const char *value = getenv(name);
        if (!value) {
            yaml_error(&s->errors, n, "the environment has no `%s`; export it, or write the value",
                       name);
        }
        str_append_n(&out, at, (size_t)(open - at));
        str_append(&out, value ? value : "");
        at = close + 1;
    }
    if (at != n->text) {
        str_append(&out, at);
        n->text = yaml_store_text(s->store, str_text(&out));
    }
    str_free(&out);
}

static void expand(ConfigState *s, YamlNode *n) {
    if (n->kind == YAML_SCALAR) expand_text(s, n);
    for (size_t i = 0; i < n->n; i++) expand(s, n->items[i]);
}

/* TRL's `env:` block: environment variables, set before anything else. */
static void set_environment(ConfigState *s, const YamlNode *key, const YamlNode *env) {
    if (env->kind != YAML_MAPPING) {
        yaml_error(&s->errors, key, "`env` must be a mapping of names to texts");
        return;
    }
    for (size_t i = 0; i < env->n; i++) {
        const YamlNode *name = env->keys[i], *value = env->items[i];
        if (value->kind != YAML_SCALAR || strchr(name->text, '=')) {
            yaml_error(&s->errors, name, "`env.%s` must be a name and a text", name->text);
        } else {
            CHECK(setenv(name->text, value->text, 1) == 0, "setenv %s", name->text);
        }
    }
}

/* The chain of files being read, for cycles. */
typedef struct Including {
    const char *path;
    const struct Including *by;
    int depth;
} Including;

static Status read_file(ConfigState *s, const char *path, const Including *by);

static Status include_one(ConfigState *s, const YamlNode *n, const Including *me) {
    if (n->kind != YAML_SCALAR || yaml_is_null(n)) {
        yaml_error(&s->errors, n, "`include` takes a path or a list of paths");
        return OK;
    }
    char *folder = file_folder(me->path);
    char *path = yaml_store_text(s->store, "");
    char *joined = strcmp(folder, ".") == 0 ? mem_strdup(n->text) : file_join(folder, n->text);
    path = yaml_store_text(s->store, joined);
    mem_free(joined);
    mem_free(folder);
    for (const Including *up = me; up; up = up->by) {
        if (strcmp(up->path, path) != 0) continue;
        yaml_error(&s->errors, n, "`%s` includes itself; take the include out", path);
        return OK;
    }
    if (me->depth == INCLUDE_MAX_DEPTH) {
        yaml_error(&s->errors, n, "includes are nested deeper than %d files", INCLUDE_MAX_DEPTH);
        return OK;
    }
    if (!file_exists(path)) {
        yaml_error(&s->errors, n, "there is no file `%s`; paths are relative to the including file",
                   path);
        return OK;
    }
    return read_file(s, path, me);
}

static Status read_includes(ConfigState *s, const YamlNode *include, const Including *me) {
    if (include->kind != YAML_SEQUENCE) return include_one(s, include, me);
    for (size_t i = 0; i < include->n; i++) TRY(include_one(s, include->items[i], me));
    return OK;
}

static Status read_file(ConfigState *s, const char *path, const Including *by) {
    const Including me = {.path = path, .by = by, .depth = by ? by->depth + 1 : 0};
    YamlNode *root = NULL;
    size_t errors_before = s->errors.n;
    TRY(yaml_read(&root, s->store, &s->errors, path));
    if (!root && s->errors.n > errors_before) {
        s->is_unread = true;
        return OK;
    }
    if (!root || root->kind != YAML_MAPPING) {
        yaml_error_at(&s->errors, path, 1, 1, "a config is a mapping; write `key: value` lines");
        return OK;
    }
    YamlNode *env = yaml_get(root, "env"), *include = yaml_get(root, "include");
    if (env) set_environment(s, yaml_key(root, "env"), env);
    expand(s, root);
    if (include) TRY(read_includes(s, include, &me));
    s->layer++;
    for (size_t i = 0; i < root->n; i++) {
        if (root->items[i] != env && root->items[i] != include) {
            walk_entry(s, "", root->keys[i], root->items[i]);
        }
    }
    return OK;
}

Status config_source_file(ConfigState *s, const char *path) {
    s->file = yaml_store_text(s->store, path);
    return read_file(s, s->file, NULL);
}

/* ---- arguments ---- */

const Key *config_source_key(const ConfigState *s, const char *name) {
    const char *rest = NULL;
    const Key *k = schema_flat(s->stage, name);
    if (!k) k = find_key(s, name, &rest);
    return rest ? NULL : k;
}

bool config_source_knows(const ConfigState *s, const char *name) {
    const char *rest = NULL;
    return find_key(s, name, &rest) || schema_flat(s->stage, name) ||
           schema_alias(s->stage, name) || schema_neutral(s->stage, name);
}

/* Lists, mappings and quoted texts are YAML; anything else is the text itself, so that `#` and `: `
 * in it need no quotes. */
static YamlNode *argument_value(ConfigState *s, const YamlNode *place, const char *text) {
    if (!strchr("[{\"'", text[0]) || !text[0]) return yaml_new_scalar(s->store, place, text);
    YamlNode *n = yaml_parse(s->store, &s->errors, place->file, text, strlen(text));
    return n ? n : yaml_new_scalar(s->store, place, "");
}

bool config_source_argument(ConfigState *s, const char *shown, const char *name,
                            const char *value) {
    bool tree = s->has_tree_keys, flat = s->has_flat_keys;
    const YamlNode place = {.file = yaml_store_text(s->store, shown), .column = ++s->n_arguments};
    YamlNode *key = yaml_new_scalar(s->store, &place, name);
    if (!config_source_knows(s, name)) {
        unknown_key(s, name, key);
        return false;
    }
    YamlNode *node = argument_value(s, &place, value);
    const char *rest = NULL;
    const Key *k = find_key(s, name, &rest);
    s->layer++;
    if (k) {
        if (strchr(k->path, '.')) s->has_tree_keys = true;
        assign(s, name, false, key, node);
    } else if (!assign_flat(s, key, node)) {
        use_neutral(s, schema_neutral(s->stage, name), name, node);
    }
    if (s->file) { /* the file alone says whether it is a flat TRL file */
        s->has_tree_keys = tree;
        s->has_flat_keys = flat;
    }
    return true;
}
