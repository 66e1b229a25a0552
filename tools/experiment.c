#include "tools/experiment.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

#include <string.h>

/* ---- shapes of mappings -------------------------------------------------------------------- */

typedef struct Member {
    const char *name;
    YamlKind kind;
    bool required;
    const YamlNode **to;
} Member;

static const char *kind_name(YamlKind k) {
    return k == YAML_SCALAR ? "a single value" : k == YAML_SEQUENCE ? "a list" : "a mapping";
}

static void unknown_member(YamlErrors *err, const YamlNode *key, const char *what,
                           const Member *members) {
    Str known = {0};
    for (const Member *m = members; m->name; m++)
        str_printf(&known, "%s%s", m == members ? "" : ", ", m->name);
    yaml_error(err, key, "no key `%s` in %s; it has %s", key->text, what, str_text(&known));
    str_free(&known);
}

/* Fills the members' places from a mapping; null counts as not given. */
static void read_members(YamlErrors *err, const YamlNode *map, const char *what,
                         const Member *members) {
    for (size_t i = 0; i < map->n; i++) {
        const Member *m = members;
        while (m->name && !str_equal(m->name, map->keys[i]->text)) m++;
        if (!m->name) {
            unknown_member(err, map->keys[i], what, members);
            continue;
        }
        const YamlNode *value = map->items[i];
        if (yaml_is_null(value)) continue;
        if (value->kind == m->kind)
            *m->to = value;
        else
            yaml_error(err, value, "`%s` takes %s", m->name, kind_name(m->kind));
    }
    for (const Member *m = members; m->name; m++)
        if (m->required && !yaml_get(map, m->name))
            yaml_error(err, map, "`%s` is missing in %s", m->name, what);
}

static void want_scalars(YamlErrors *err, const YamlNode *list, const char *what, bool nulls) {
    for (size_t i = 0; list && i < list->n; i++) {
        const YamlNode *item = list->items[i];
        if (item->kind != YAML_SCALAR || (yaml_is_null(item) && !nulls))
            yaml_error(err, item, "%s holds single values; put texts in quotes", what);
    }
}

/* Names become folders and words in ${}. */
static bool good_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && name[n] == '\0' && name[0] != '-';
}

/* ---- the parts ----------------------------------------------------------------------------- */

static void read_seeds(Experiment *e, const YamlNode *seeds) {
    static const YamlNode none = {.kind = YAML_SEQUENCE};
    const YamlNode *list = seeds ? seeds : &none;
    e->seeds = mem_zalloc(list->n + 1, sizeof *e->seeds);
    for (size_t i = 0; i < list->n; i++) {
        int64_t seed = 0;
        const YamlNode *item = list->items[i];
        if (item->kind != YAML_SCALAR || !yaml_to_integer(item->text, &seed) || seed < 0) {
            yaml_error(&e->errors, item, "a seed is an integer, not below 0");
            continue;
        }
        for (int k = 0; k < e->n_seeds; k++)
            if (e->seeds[k] == seed)
                yaml_error(&e->errors, item, "seed %lld is listed twice", (long long)seed);
        e->seeds[e->n_seeds++] = seed;
    }
    if (list->n == 0 && seeds)
        yaml_error(&e->errors, seeds, "`seeds` is empty; leave it out for the default, [42]");
    if (list->n == 0) e->seeds[e->n_seeds++] = 42;
}

static void check_variables(Experiment *e) {
    static const char *const taken[] = {"seed", "out",        "dir",  "stages",
                                        "name", "output_dir", "seeds"};
    for (size_t i = 0; e->variables && i < e->variables->n; i++) {
        const YamlNode *key = e->variables->keys[i];
        if (!good_name(key->text))
            yaml_error(&e->errors, key, "`%s`: a variable's name has letters, digits, _ and -",
                       key->text);
        for (size_t k = 0; k < sizeof taken / sizeof taken[0]; k++)
            if (str_equal(key->text, taken[k]))
                yaml_error(&e->errors, key, "`%s` has a meaning of its own; choose another name",
                           key->text);
        if (e->variables->items[i]->kind != YAML_SCALAR)
            yaml_error(&e->errors, e->variables->items[i], "a variable is a single value");
    }
}

static bool is_trainer(const YamlNode *program) {
    return program && (str_equal(program->text, "sft") || str_equal(program->text, "reward") ||
                       str_equal(program->text, "ppo"));
}

static void check_program_keys(Experiment *e, const ExperimentStage *s) {
    if (!s->program) return;
    const char *program = s->program->text;
    if (s->is_trainer && s->args)
        yaml_error(&e->errors, s->args, "%s takes `overrides: {key: value}`, no args", program);
    if (s->is_trainer && !s->config)
        yaml_error(&e->errors, s->at, "stage %s: %s needs a `config`", s->name, program);
    if (s->is_trainer && s->overrides && yaml_get(s->overrides, "output_dir"))
        yaml_error(&e->errors, yaml_key(s->overrides, "output_dir"),
                   "the stage's folder is its output_dir; take this one out");
    if (!s->is_trainer && s->config)
        yaml_error(&e->errors, s->config, "only sft, reward and ppo take a config; use args");
    if (!s->is_trainer && s->overrides)
        yaml_error(&e->errors, s->overrides, "only sft, reward and ppo take overrides; use args");
}

static void read_needs(Experiment *e, ExperimentStage *s, const YamlNode *needs) {
    for (size_t i = 0; needs && i < needs->n; i++) {
        if (needs->items[i]->kind != YAML_SCALAR) continue;
        const char *name = needs->items[i]->text;
        int k = experiment_stage(e, name);
        if (k >= 0 && &e->stages[k] < s)
            s->needs[k] = true;
        else
            yaml_error(&e->errors, needs->items[i], "no stage `%s` stands before this one", name);
    }
}

static void read_stage(Experiment *e, const YamlNode *map, int capacity) {
    if (map->kind != YAML_MAPPING) {
        yaml_error(&e->errors, map, "a stage is a mapping with `name` and `program`");
        return;
    }
    ExperimentStage *s = &e->stages[e->n_stages];
    const YamlNode *needs = NULL;
    *s = (ExperimentStage){.name = "", .at = map};
    const YamlNode *name = NULL;
    const Member members[] = {
        {"name", YAML_SCALAR, true, &name},
        {"program", YAML_SCALAR, true, &s->program},
        {"config", YAML_SCALAR, false, &s->config},
        {"overrides", YAML_MAPPING, false, &s->overrides},
        {"args", YAML_SEQUENCE, false, &s->args},
        {"inputs", YAML_SEQUENCE, false, &s->inputs},
        {"outputs", YAML_SEQUENCE, false, &s->outputs},
        {"show", YAML_SCALAR, false, &s->show},
        {"needs", YAML_SEQUENCE, false, &needs},
        {0},
    };
    read_members(&e->errors, map, "a stage", members);
    want_scalars(&e->errors, s->args, "`args`", false);
    want_scalars(&e->errors, s->inputs, "`inputs`", false);
    want_scalars(&e->errors, s->outputs, "`outputs`", false);
    want_scalars(&e->errors, needs, "`needs`", false);
    if (name && !good_name(name->text))
        yaml_error(&e->errors, name, "`%s`: a stage's name has letters, digits, _ and -",
                   name->text);
    if (name && experiment_stage(e, name->text) >= 0)
        yaml_error(&e->errors, name, "there is a stage `%s` already", name->text);
    if (name) {
        s->name = name->text;
        s->at = name;
    }
    s->is_trainer = is_trainer(s->program);
    s->needs = yaml_store_alloc(e->store, (size_t)capacity, sizeof *s->needs);
    check_program_keys(e, s);
    read_needs(e, s, needs);
    e->n_stages++;
}

static void read_table(Experiment *e, const YamlNode *table) {
    const Member members[] = {
        {"columns", YAML_SEQUENCE, false, &e->columns},
        {"rows", YAML_MAPPING, true, &e->rows},
        {0},
    };
    read_members(&e->errors, table, "`table`", members);
    want_scalars(&e->errors, e->columns, "`columns`", false);
    size_t width = e->columns ? e->columns->n : 1;
    for (size_t i = 0; e->rows && i < e->rows->n; i++) {
        const YamlNode *row = e->rows->items[i];
        if (row->kind == YAML_SEQUENCE) want_scalars(&e->errors, row, "a row", true);
        bool for_all = row->kind == YAML_SCALAR && strstr(row->text, EXPERIMENT_COLUMN);
        size_t n = row->kind == YAML_SEQUENCE ? row->n : 1;
        if (row->kind == YAML_MAPPING || (n != width && !for_all))
            yaml_error(
                &e->errors, row,
                "row `%s` needs %zu value(s), one a column, or one text with " EXPERIMENT_COLUMN,
                e->rows->keys[i]->text, width);
    }
}

static void read_experiment(Experiment *e, const YamlNode *root) {
    const YamlNode *name = NULL, *output = NULL, *seeds = NULL, *variables = NULL, *stages = NULL;
    const YamlNode *table = NULL, *extends = NULL;
    const Member members[] = {
        {"name", YAML_SCALAR, false, &name},
        {"output_dir", YAML_SCALAR, true, &output},
        {"seeds", YAML_SEQUENCE, false, &seeds},
        {"variables", YAML_MAPPING, false, &variables},
        {"stages", YAML_SEQUENCE, true, &stages},
        {"table", YAML_MAPPING, false, &table},
        {"result", YAML_SCALAR, false, &e->result},
        {"next", YAML_SEQUENCE, false, &e->next},
        {"extends", YAML_SCALAR, false, &extends}, /* laid under this one before */
        {0},
    };
    read_members(&e->errors, root, "an experiment", members);
    e->name = name ? name->text : file_name(e->file);
    e->output_dir = output ? output->text : "";
    e->variables = variables ? yaml_get(root, "variables") : NULL;
    check_variables(e);
    read_seeds(e, seeds);
    int n = stages ? (int)stages->n : 0;
    if (stages && n == 0) yaml_error(&e->errors, stages, "`stages` is empty");
    e->stages = mem_zalloc((size_t)n + 1, sizeof *e->stages);
    for (int i = 0; i < n; i++) read_stage(e, stages->items[i], n);
    if (table) read_table(e, table);
    want_scalars(&e->errors, e->next, "`next`", false);
}

/* ---- the command line ---------------------------------------------------------------------- */

static YamlNode *stage_mapping(const YamlNode *root, const char *name, size_t n) {
    const YamlNode *stages = yaml_get(root, "stages");
    for (size_t i = 0; stages && stages->kind == YAML_SEQUENCE && i < stages->n; i++) {
        const YamlNode *its = yaml_get(stages->items[i], "name");
        if (its && its->kind == YAML_SCALAR && strlen(its->text) == n &&
            strncmp(its->text, name, n) == 0)
            return stages->items[i];
    }
    return NULL;
}

/* Lists and quoted texts are YAML, anything else is the text itself, as the programs read it. */
static YamlNode *argument_value(Experiment *e, const YamlNode *place, const char *text) {
    if (text[0] == '\0' || !strchr("[{\"'", text[0])) return yaml_new_scalar(e->store, place, text);
    YamlNode *n = yaml_parse(e->store, &e->errors, place->file, text, strlen(text));
    return n ? n : yaml_new_scalar(e->store, place, "");
}

static void set_in(Experiment *e, YamlNode *map, const char *key, const YamlNode *place,
                   YamlNode *value) {
    yaml_set(e->store, map, yaml_new_scalar(e->store, place, key), value);
}

static void set_override(Experiment *e, YamlNode *stage, const char *key, const YamlNode *place,
                         YamlNode *value) {
    YamlNode *overrides = yaml_get(stage, "overrides");
    if (!overrides || overrides->kind != YAML_MAPPING) {
        overrides = yaml_new_mapping(e->store, place);
        set_in(e, stage, "overrides", place, overrides);
    }
    set_in(e, overrides, key, place, value);
}

static void take_argument(Experiment *e, YamlNode *root, const char *argument, int order) {
    const char *equals = strchr(argument, '=');
    char *shown = str_format("argument `%s`", argument);
    YamlNode place = {.file = yaml_store_text(e->store, shown), .column = order};
    char *key = mem_strndup(argument, equals ? (size_t)(equals - argument) : 0);
    YamlNode *value = argument_value(e, &place, equals ? equals + 1 : "");
    YamlNode *variables = yaml_get(root, "variables");
    const char *variable = str_starts(key, "variables.") ? key + strlen("variables.") : key;
    const char *dot = strchr(key, '.');
    YamlNode *stage = dot ? stage_mapping(root, key, (size_t)(dot - key)) : NULL;
    if (str_equal(key, "seeds") && value->kind == YAML_SCALAR) {
        char *list = str_format("[%s]", equals + 1);
        value = argument_value(e, &place, list);
        mem_free(list);
    }
    if (str_equal(key, "name") || str_equal(key, "output_dir") || str_equal(key, "seeds"))
        set_in(e, root, key, &place, value);
    else if (variables && yaml_get(variables, variable))
        set_in(e, variables, variable, &place, value);
    else if (stage)
        set_override(e, stage, dot + 1, &place, value);
    else
        yaml_error(&e->errors, &place,
                   "an argument is name=, output_dir=, seeds=, a variable of the experiment, or "
                   "STAGE.key=value");
    mem_free(key);
    mem_free(shown);
}

/* ---- an experiment that extends another ---------------------------------------------------- */

static YamlNode *joined(Experiment *e, const YamlNode *first, const YamlNode *second) {
    YamlNode *list = yaml_store_alloc(e->store, 1, sizeof *list);
    *list = *second;
    list->n = first->n + second->n;
    list->items = yaml_store_alloc(e->store, list->n + 1, sizeof *list->items);
    if (first->n > 0) memcpy(list->items, first->items, first->n * sizeof *list->items);
    for (size_t i = 0; i < second->n; i++) list->items[first->n + i] = second->items[i];
    return list;
}

/* What `root` says over what `base` says: stages behind its stages, variables one by one, all else
 * whole. Kinds that do not fit are left for the reader to name. */
static void lay_over(Experiment *e, YamlNode *base, const YamlNode *root) {
    for (size_t i = 0; i < root->n; i++) {
        YamlNode *key = root->keys[i], *value = root->items[i], *below = yaml_get(base, key->text);
        if (str_equal(key->text, "extends")) continue;
        if (below && str_equal(key->text, "stages") && below->kind == YAML_SEQUENCE &&
            value->kind == YAML_SEQUENCE) {
            value = joined(e, below, value);
        } else if (below && str_equal(key->text, "variables") && below->kind == YAML_MAPPING &&
                   value->kind == YAML_MAPPING) {
            for (size_t k = 0; k < value->n; k++)
                yaml_set(e->store, below, value->keys[k], value->items[k]);
            value = below;
        }
        yaml_set(e->store, base, key, value);
    }
}

/* *root becomes the whole. One level: the extended file stands by itself. */
static Status read_extended(Experiment *e, YamlNode **root) {
    const YamlNode *name = yaml_get(*root, "extends");
    if (!name) return OK;
    if (name->kind != YAML_SCALAR || strchr(name->text, '/') || !name->text[0]) {
        yaml_error(&e->errors, name, "`extends` is the name of a file beside this one");
        return OK;
    }
    YamlNode *base = NULL;
    char *path = file_join(e->folder, name->text);
    Status st = yaml_read(&base, e->store, &e->errors, path);
    mem_free(path);
    TRY(st);
    if (!base || base->kind != YAML_MAPPING) {
        if (e->errors.n == 0) yaml_error(&e->errors, name, "%s is no experiment", name->text);
        return OK;
    }
    if (yaml_get(base, "extends"))
        yaml_error(&e->errors, name, "%s extends another one itself", name->text);
    lay_over(e, base, *root);
    *root = base;
    return OK;
}

/* ---- open and close ------------------------------------------------------------------------ */

Status experiment_open(Experiment **out, const char *file, const char *const *arguments,
                       int n_arguments) {
    *out = NULL;
    Experiment *e = mem_zalloc(1, sizeof *e);
    e->store = yaml_store_open();
    e->file = yaml_store_text(e->store, file);
    e->folder = file_folder(file);
    YamlNode *root = NULL;
    Status st = yaml_read(&root, e->store, &e->errors, file);
    if (st == OK && root && root->kind == YAML_MAPPING) st = read_extended(e, &root);
    if (st != OK) {
        experiment_close(e);
        return st;
    }
    if (root && root->kind == YAML_MAPPING) {
        for (int i = 0; i < n_arguments; i++) take_argument(e, root, arguments[i], i + 1);
        read_experiment(e, root);
    } else if (e->errors.n == 0) {
        yaml_error_at(&e->errors, e->file, 1, 1,
                      "an experiment is a mapping with `output_dir` and `stages`");
    }
    *out = e;
    return OK;
}

void experiment_close(Experiment *e) {
    if (!e) return;
    yaml_errors_free(&e->errors);
    yaml_store_close(e->store);
    mem_free(e->folder);
    mem_free(e->seeds);
    mem_free(e->stages);
    mem_free(e);
}

Status experiment_errors(Experiment *e) {
    char line[2048];
    if (e->errors.n == 0) return OK;
    yaml_errors_sort(&e->errors);
    for (size_t i = 0; i + 1 < e->errors.n; i++) {
        yaml_errors_line(&e->errors, i, line, sizeof line);
        log_error("%s", line);
    }
    yaml_errors_line(&e->errors, e->errors.n - 1, line, sizeof line);
    return status_fail(ERR_CONFIG, "%s", line);
}

int experiment_stage(const Experiment *e, const char *name) {
    for (int i = 0; i < e->n_stages; i++)
        if (str_equal(e->stages[i].name, name)) return i;
    return -1;
}

char *experiment_seed_folder(const Experiment *e, int64_t seed) {
    return str_format("%s/seed-%lld", e->output_dir, (long long)seed);
}

char *experiment_stage_folder(const Experiment *e, int64_t seed, int stage) {
    return str_format("%s/seed-%lld/%s", e->output_dir, (long long)seed, e->stages[stage].name);
}
