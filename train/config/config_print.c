/* What is made from the tables for people and editors: --print-config, --help, JSON Schema, docs.
 */
#include "train/config/loader.h"

#include "core/io/json.h"
#include "core/mem.h"

#include <string.h>

static const char *const TYPE_NAMES[] = {
    [KEY_BOOL] = "bool",
    [KEY_TRI] = "bool",
    [KEY_INT] = "integer",
    [KEY_REAL] = "number",
    [KEY_STEPS] = "steps or share",
    [KEY_TEXT] = "text",
    [KEY_CHOICE] = "one of",
    [KEY_LIST] = "list",
    [KEY_COMMAND] = "command",
    [KEY_PAIRS] = "mapping",
    [KEY_RECORDS] = "path, mapping or list of them",
};

/* ---- the resolved config ---- */

/* "ppo.value.model" with section "ppo" is `value: {model: ...}`. */
static void print_value(FILE *f, const char *name, const char *value) {
    const char *dot = strchr(name, '.');
    if (!dot)
        fprintf(f, "%s: %s", name, value);
    else
        fprintf(f, "%.*s: {%s: %s}", (int)(dot - name), name, dot + 1, value);
}

static void print_item(FILE *f, const Key *k, const ConfigItem *item) {
    const char *dot = strchr(item->path, '.');
    if (dot) fputs("  ", f);
    print_value(f, dot ? dot + 1 : item->path, item->value);
    fprintf(f, "  # %s", item->origin);
    if (item->trl) fprintf(f, "; TRL: %s", item->trl);
    if (k->differs) fprintf(f, "; %s", k->differs);
    fputc('\n', f);
}

void config_print(const Config *c, FILE *f) {
    const ConfigState *s = c->state;
    const char *section = "";
    size_t section_len = 0;
    fprintf(f, "# %s, resolved; each value with where it came from\n", stage_name(c->stage));
    for (size_t i = 0; i < s->n_keys; i++) {
        const char *path = s->keys[i]->path;
        size_t len = strchr(path, '.') ? strcspn(path, ".") : 0;
        if (len != section_len || strncmp(path, section, len) != 0) {
            fprintf(f, "%.*s:\n", (int)len, path);
        }
        section = path;
        section_len = len;
        print_item(f, s->keys[i], &s->items[i]);
    }
}

/* ---- help ---- */

/* Type, range and default: "number [0, 1), default 0.1". */
static void describe_key(Str *out, const Key *k) {
    str_append(out, TYPE_NAMES[k->type]);
    if (k->type == KEY_CHOICE) {
        char name[64];
        int last = 0;
        for (const char *at = k->range; *at; at++) last += *at == '|';
        for (int i = 0; i <= last; i++) {
            schema_choice_name(k->range, i, name);
            str_printf(out, "%s %s", i ? "," : "", name);
        }
    } else if (k->range) {
        str_printf(out, " in %s", k->range);
    }
    if ((k->flags & KEY_NULLABLE) || k->type == KEY_TRI) str_append(out, " or null");
    str_printf(out, "; default %s", k->dflt);
}

static void help_key(FILE *f, const Key *k, int indent) {
    Str what = {0};
    describe_key(&what, k);
    fprintf(f, "%*s%s  (%s)\n%*s%s\n", indent, "", k->path, str_text(&what), indent + 4, "",
            k->doc);
    for (size_t i = 0; k->record && i < k->record->n_keys; i++) {
        help_key(f, &k->record->keys[i], indent + 4);
    }
    str_free(&what);
}

/* The built-in rewards; `format` shows name, arguments and value of one. */
static void list_rewards(FILE *f, const char *format) {
    const Record *source = schema_key(STAGE_PPO, "ppo.reward")->record;
    const char *names = schema_record_key(source, "function")->range;
    for (int i = 1; i < REWARD_FN_COUNT; i++) {
        char name[64];
        Str arguments = {0};
        schema_choice_name(names, i, name);
        config_reward_arguments(&arguments, &REWARD_FUNCTIONS[i]);
        fprintf(f, format, name, str_text(&arguments), REWARD_FUNCTIONS[i].doc);
        str_free(&arguments);
    }
}

static const char *const USAGE =
    "  --validate        check the config and leave\n"
    "  --print-config    print the resolved config, with where each value came from, and leave\n"
    "  --dry-run         memory plan, first batch and time estimate, without training\n"
    "  --resume=WHAT     auto (default), never, or the path of a checkpoint\n"
    "  --quiet           warnings and errors only\n"
    "  --help, --version\n"
    "TRL's command line works too: --config F, --learning_rate 1e-4, --use_peft.\n";

void config_help(Stage stage, FILE *f) {
    fprintf(f, "usage: %s CONFIG.yaml [key=value ...] [options]\n\n%s\nKeys:\n", stage_name(stage),
            USAGE);
    for (size_t s = 0; s < SCHEMA_SECTIONS; s++) {
        if (!on_stage(SCHEMA[s].stages, stage)) continue;
        fprintf(f, "\n%s\n", SCHEMA[s].doc);
        for (size_t k = 0; k < *SCHEMA[s].n_keys; k++) {
            if (on_stage(SCHEMA[s].keys[k].stages, stage)) help_key(f, &SCHEMA[s].keys[k], 2);
        }
    }
    if (stage == STAGE_PPO) {
        fputs("\nBuilt-in rewards and their arguments:\n", f);
        list_rewards(f, "  %s (%s): %s\n");
    }
    fputs("\nAccepted from TRL's flat files at the value that changes nothing:\n", f);
    for (size_t i = 0; i < N_NEUTRALS; i++) {
        if (!on_stage(NEUTRALS[i].stages, stage)) continue;
        fprintf(f, "  %s: %s  (%s)\n", schema_leaf(NEUTRALS[i].path), NEUTRALS[i].accepted,
                NEUTRALS[i].why);
    }
}

/* ---- JSON Schema ---- */

static Json *typed(const char *type) {
    Json *j = json_new_object();
    json_set(j, "type", json_new_str(type));
    return j;
}

static void add_choice(Json *list, const char *choices) {
    for (const char *at = choices;; at++) {
        size_t n = strcspn(at, "=|");
        bool is_null = n == 4 && strncmp(at, "null", 4) == 0;
        json_push(list, is_null ? json_new_null() : json_new_str_n(at, n));
        at += n;
        if (!*at) return;
    }
}

static void add_bound(Json *j, const char *text, size_t n, bool open, bool lower) {
    double x = 0;
    char *number = mem_strndup(text, n);
    if (yaml_to_number(number, &x)) {
        const char *name = lower ? (open ? "exclusiveMinimum" : "minimum")
                                 : (open ? "exclusiveMaximum" : "maximum");
        json_set(j, name, json_new_num(x));
    }
    mem_free(number);
}

static void add_range(Json *j, const char *range) {
    const char *comma = strchr(range, ',');
    size_t n = strlen(range);
    add_bound(j, range + 1, (size_t)(comma - range) - 1, range[0] == '(', true);
    add_bound(j, comma + 2, n - 1 - (size_t)(comma + 2 - range), range[n - 1] == ')', false);
}

static Json *key_schema(const Key *k);

static Json *record_schema(const Record *r) {
    Json *j = typed("object"), *properties = json_new_object();
    bool open = false;
    for (size_t i = 0; i < r->n_keys; i++) {
        open |= (r->keys[i].flags & KEY_REST) != 0;
        json_set(properties, r->keys[i].path, key_schema(&r->keys[i]));
        if (r->keys[i].flat) json_set(properties, r->keys[i].flat, key_schema(&r->keys[i]));
    }
    json_set(j, "properties", properties);
    json_set(j, "additionalProperties", json_new_bool(open));
    return j;
}

/* {"anyOf": [a, b, ...]} */
static Json *any_of(Json *a, Json *b, Json *c) {
    Json *j = json_new_object(), *list = json_new_array();
    json_push(list, a);
    json_push(list, b);
    if (c) json_push(list, c);
    json_set(j, "anyOf", list);
    return j;
}

static Json *array_of(Json *items) {
    Json *j = typed("array");
    json_set(j, "items", items);
    return j;
}

static Json *bare_schema(const Key *k) {
    Json *j = NULL;
    switch (k->type) {
    case KEY_BOOL:
    case KEY_TRI:
        return typed("boolean");
    case KEY_INT:
        j = typed("integer");
        break;
    case KEY_REAL:
    case KEY_STEPS:
        j = typed("number");
        break;
    case KEY_TEXT:
        return any_of(typed("string"), typed("number"), typed("boolean"));
    case KEY_CHOICE: {
        Json *list = json_new_array();
        j = json_new_object();
        add_choice(list, k->range);
        json_set(j, "enum", list);
        return j;
    }
    case KEY_LIST:
    case KEY_COMMAND:
        return any_of(typed("string"), array_of(typed("string")), typed("null"));
    case KEY_PAIRS:
        return any_of(typed("object"), typed("string"), typed("null"));
    case KEY_RECORDS:
        return any_of(typed("string"), record_schema(k->record),
                      array_of(any_of(typed("string"), record_schema(k->record), NULL)));
    }
    if (k->range) add_range(j, k->range);
    return j;
}

static Json *key_schema(const Key *k) {
    bool nullable = (k->flags & KEY_NULLABLE) || k->type == KEY_TRI;
    Json *j = nullable ? any_of(bare_schema(k), typed("null"), NULL) : bare_schema(k);
    json_set(j, "description", json_new_str(k->doc));
    return j;
}

/* The group of a dotted name below `properties`, made where it is missing: its own properties. */
static Json *group_properties(Json *properties, const char *name, size_t n) {
    char *group = mem_strndup(name, n);
    Json *j = json_get(properties, group);
    if (!j) {
        j = typed("object");
        json_set(j, "properties", json_new_object());
        json_set(j, "additionalProperties", json_new_bool(false));
        json_set(properties, group, j);
    }
    mem_free(group);
    return json_get(j, "properties");
}

static void put_schema(Json *properties, const char *path, Json *schema) {
    const char *dot;
    while ((dot = strchr(path, '.')) != NULL) {
        properties = group_properties(properties, path, (size_t)(dot - path));
        path = dot + 1;
    }
    json_set(properties, path, schema);
}

static void put_flat(Json *properties, const Key *k) {
    if (!k->flat) return;
    if (str_equal(k->flat, ".")) {
        json_set(properties, schema_leaf(k->path), key_schema(k));
        return;
    }
    for (const char *at = k->flat;; at++) {
        char *name = mem_strndup(at, strcspn(at, ","));
        json_set(properties, name, key_schema(k));
        at += strlen(name);
        mem_free(name);
        if (!*at) return;
    }
}

static Json *any_value(const char *doc) {
    Json *j = json_new_object();
    json_set(j, "description", json_new_str(doc));
    return j;
}

void config_schema(Stage stage, FILE *f) {
    const Key *keys[SCHEMA_MAX_KEYS];
    schema_keys(stage, keys);
    Json *root = typed("object"), *properties = json_new_object();
    json_set(root, "$schema", json_new_str("https://json-schema.org/draft/2020-12/schema"));
    json_set(root, "title", json_new_str(stage_name(stage)));
    json_set(properties, "include", any_value("Other configs that this one is laid over."));
    json_set(properties, "env", any_value("Environment variables, set first."));
    for (size_t i = 0; keys[i]; i++) put_flat(properties, keys[i]);
    for (size_t i = 0; i < N_ALIASES; i++) {
        if (!on_stage(ALIASES[i].stages, stage)) continue;
        char *doc = str_format("TRL's name of %s.", ALIASES[i].path);
        json_set(properties, ALIASES[i].flat, any_value(doc));
        mem_free(doc);
    }
    for (size_t i = 0; i < N_NEUTRALS; i++) {
        if (!on_stage(NEUTRALS[i].stages, stage)) continue;
        put_schema(properties, NEUTRALS[i].path, any_value(NEUTRALS[i].why));
        json_set(properties, schema_leaf(NEUTRALS[i].path), any_value(NEUTRALS[i].why));
    }
    for (size_t i = 0; keys[i]; i++) put_schema(properties, keys[i]->path, key_schema(keys[i]));
    json_set(root, "properties", properties);
    json_set(root, "additionalProperties", json_new_bool(false));
    Str text = {0};
    json_dump(&text, root, 2);
    fprintf(f, "%s\n", str_text(&text));
    str_free(&text);
    json_free(root);
}

/* ---- docs/config.md ---- */

/* `|` and newlines would end a cell. */
static void cell(FILE *f, const char *text) {
    for (; *text; text++) {
        if (*text == '|')
            fputs("\\|", f);
        else
            fputc(*text, f);
    }
}

static void docs_stages(FILE *f, unsigned stages) {
    if (stages == 0 || stages == ON_ALL) return;
    const char *sep = "";
    fputs(" (", f);
    for (Stage s = 0; s < STAGE_COUNT; s++) {
        if (!on_stage(stages, s)) continue;
        fprintf(f, "%s%s", sep, stage_name(s));
        sep = ", ";
    }
    fputs(")", f);
}

static void docs_key(FILE *f, const Key *k, const char *prefix) {
    Str what = {0};
    describe_key(&what, k);
    fprintf(f, "| `%s%s`", prefix, k->path);
    docs_stages(f, k->stages);
    fputs(" | ", f);
    cell(f, str_text(&what));
    fputs(" | ", f);
    cell(f, k->doc);
    if (k->trl) fprintf(f, " TRL's default: %s.", k->trl);
    if (k->differs) fprintf(f, " %s.", k->differs);
    bool leaf = k->flat && str_equal(k->flat, ".");
    fprintf(f, " | %s |\n", !k->flat ? "" : leaf ? schema_leaf(k->path) : k->flat);
    char *inner = str_format("%s[].", k->path);
    for (size_t i = 0; k->record && i < k->record->n_keys; i++) {
        docs_key(f, &k->record->keys[i], inner);
    }
    mem_free(inner);
    str_free(&what);
}

static const char *const DOCS_HEAD =
    "# Configuration\n\n"
    "Generated from the tables in `train/config/` (`tests/unit/test_config_keys.c` compares "
    "it).\n\n"
    "A config is a tree, as below, or a flat TRL file, or a mixture; an option may be named once. "
    "On "
    "the command line `a.b.c=value`, `--a.b.c value` and TRL's `--flat_name value` override the "
    "file. `include: base.yaml` (or a list, relative to the file) lays the file over others; `env: "
    "{NAME: text}` sets environment variables first; `${env:NAME}` in a value is replaced. Numbers "
    "may be written `1e-5`, `2e-05`, `3.e-4`, `1_000_000`.\n";

void config_docs(FILE *f) {
    fputs(DOCS_HEAD, f);
    for (size_t s = 0; s < SCHEMA_SECTIONS; s++) {
        fprintf(f, "\n## %s\n\n%s", *SCHEMA[s].name ? SCHEMA[s].name : "top level", SCHEMA[s].doc);
        fputs("\n\n| key | value | meaning | flat names |\n|---|---|---|---|\n", f);
        for (size_t k = 0; k < *SCHEMA[s].n_keys; k++) docs_key(f, &SCHEMA[s].keys[k], "");
    }
    fputs("\n## Built-in rewards\n\nOf `ppo.reward`: `{function: count, text: fox, target: 2}`.\n\n"
          "| function | arguments | value |\n|---|---|---|\n",
          f);
    list_rewards(f, "| `%s` | %s | %s |\n");
    fputs("\n## Flat names with a translated value\n\n| name | becomes | values |\n|---|---|---|\n",
          f);
    for (size_t i = 0; i < N_ALIASES; i++) {
        fprintf(f, "| `%s` | `%s` | ", ALIASES[i].flat, ALIASES[i].path);
        cell(f, ALIASES[i].map ? ALIASES[i].map : "as given");
        fputs(" |\n", f);
    }
    fputs("\n## Options that mean nothing here\n\nAccepted at a value that changes nothing; where "
          "the "
          "list ends in `*`, any other value does nothing and is named in a warning.\n\n"
          "| option | accepted | why |\n|---|---|---|\n",
          f);
    for (size_t i = 0; i < N_NEUTRALS; i++) {
        fprintf(f, "| `%s`", NEUTRALS[i].path);
        docs_stages(f, NEUTRALS[i].stages);
        fputs(" | ", f);
        cell(f, NEUTRALS[i].accepted);
        fprintf(f, " | %s |\n", NEUTRALS[i].why);
    }
}
