/* Nodes to fields and back, by the type of the key. */
#include "train/config/loader.h"

#include "core/check.h"
#include "core/io/json.h"
#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All lists of records look like this. */
typedef struct RecordList {
    char *items;
    size_t n;
} RecordList;

/* ---- messages ---- */

/* The value as a message shows it. */
static const char *describe(const YamlNode *node, char buf[80]) {
    if (node->kind == YAML_SEQUENCE) return "a list";
    if (node->kind == YAML_MAPPING) return "a mapping";
    if (!*node->text) return "nothing";
    snprintf(buf, 80, node->quoted ? "\"%.60s\"" : "`%.60s`", node->text);
    return buf;
}

static void bad_value(ConfigState *s, const char *path, const YamlNode *node,
                      const char *expected) {
    char buf[80];
    yaml_error(&s->errors, node, "`%s` must be %s, not %s", path, expected, describe(node, buf));
}

static bool is_plain(const YamlNode *node) {
    return node->kind == YAML_SCALAR && !node->quoted;
}

/* ---- ranges ---- */

static double range_end(const char *text, size_t n) {
    char buf[64];
    double x = 0;
    snprintf(buf, sizeof buf, "%.*s", (int)n, text);
    if (strcmp(buf, "inf") == 0) return INFINITY;
    if (strcmp(buf, "-inf") == 0) return -INFINITY;
    CHECK(yaml_to_number(buf, &x), "`%s` in a range", buf);
    return x;
}

bool config_value_in(const char *range, double x) {
    const char *comma = strchr(range, ',');
    CHECK(comma && comma[1] == ' ', "range `%s`", range);
    size_t n = strlen(range);
    double lo = range_end(range + 1, (size_t)(comma - range - 1));
    double hi = range_end(comma + 2, (size_t)(range + n - 1 - (comma + 2)));
    bool above = range[0] == '[' ? x >= lo : x > lo;
    bool below = range[n - 1] == ']' ? x <= hi : x < hi;
    return above && below;
}

/* "[1, inf)" -> "at least 1": what a person is told. */
static void range_words(const char *range, char buf[96]) {
    size_t n = strlen(range);
    bool open_end = strcmp(range + n - 5, " inf)") == 0;
    int lo = (int)(strchr(range, ',') - range - 1);
    if (!open_end)
        snprintf(buf, 96, "in %s", range);
    else
        snprintf(buf, 96, "%s %.*s", range[0] == '[' ? "at least" : "above", lo, range + 1);
}

static void check_range(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                        double x) {
    char words[96], expected[128];
    if (!key->range || config_value_in(key->range, x)) return;
    range_words(key->range, words);
    snprintf(expected, sizeof expected, "%s", words);
    bad_value(s, path, node, expected);
}

/* ---- scalars ---- */

static void set_bool(ConfigState *s, const char *path, const YamlNode *node, bool *out) {
    if (!is_plain(node) || !yaml_to_bool(node->text, out)) {
        bad_value(s, path, node, "true or false");
    }
}

static void set_tri(ConfigState *s, const char *path, const YamlNode *node, Tri *out) {
    bool yes = false;
    if (is_plain(node) && yaml_is_null(node))
        *out = TRI_NULL;
    else if (is_plain(node) && yaml_to_bool(node->text, &yes))
        *out = yes ? TRI_YES : TRI_NO;
    else
        bad_value(s, path, node, "true, false or null");
}

static void set_int(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                    int64_t *out) {
    if (!is_plain(node) || !yaml_to_integer(node->text, out)) {
        bad_value(s, path, node, "a whole number");
        return;
    }
    check_range(s, key, path, node, (double)*out);
}

static void set_real(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                     double *out) {
    if (!is_plain(node) || !yaml_to_number(node->text, out)) {
        bad_value(s, path, node, "a finite number (like 0.1 or 2e-5)");
        return;
    }
    check_range(s, key, path, node, *out);
    if (key->type == KEY_STEPS && *out > 1 && floor(*out) != *out) {
        bad_value(s, path, node, "a whole number of steps, or a share below 1");
    }
}

static void set_text(ConfigState *s, const char *path, const YamlNode *node, char **out) {
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        bad_value(s, path, node, "a text");
        return;
    }
    *out = node->text;
}

static void choice_words(const char *choices, Str *out) {
    char name[64];
    int n = 1;
    for (const char *at = choices; *at; at++) n += *at == '|';
    for (int i = 0; i < n; i++) {
        schema_choice_name(choices, i, name);
        str_printf(out, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", name);
    }
}

static void set_choice(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                       int *out) {
    bool scalar = node->kind == YAML_SCALAR;
    const char *text = scalar && yaml_is_null(node) ? "null" : scalar ? node->text : "";
    int i = scalar ? schema_choice(key->range, text) : -1;
    if (i >= 0) {
        *out = i;
        return;
    }
    Str words = {0};
    char buf[80], near[128];
    choice_words(key->range, &words);
    bool guess = scalar && schema_suggest_choice(key->range, text, near);
    yaml_error(&s->errors, node, "`%s` must be %s, not %s%s%s%s", path, str_text(&words),
               describe(node, buf), guess ? "; did you mean `" : "", guess ? near : "",
               guess ? "`?" : "");
    str_free(&words);
}

/* ---- lists and mappings ---- */

static void set_list(ConfigState *s, const char *path, const YamlNode *node, StrList *out) {
    *out = (StrList){0};
    if (yaml_is_null(node)) return;
    const YamlNode *const one[] = {node};
    const YamlNode *const *items = one;
    size_t n = 1;
    if (node->kind == YAML_SEQUENCE) {
        items = (const YamlNode *const *)node->items;
        n = node->n;
    }
    out->items = yaml_store_alloc(s->store, n, sizeof *out->items);
    for (; out->n < n; out->n++) {
        out->items[out->n] = "";
        set_text(s, path, items[out->n], &out->items[out->n]);
    }
}

static void set_command(ConfigState *s, const char *path, const YamlNode *node, StrList *out) {
    set_list(s, path, node, out);
    if (node->kind != YAML_SCALAR || out->n == 0) return;
    char *text = out->items[0];
    out->items = yaml_store_alloc(s->store, 3, sizeof *out->items);
    out->items[out->n = 0] = yaml_store_text(s->store, "/bin/sh");
    out->items[++out->n] = yaml_store_text(s->store, "-c");
    out->items[++out->n] = text;
    out->n++;
}

static void append_text(Str *out, const char *text);

/* A pair's value as text: a scalar's own, a list of scalars as "[a, b]". */
static char *pair_value(ConfigState *s, const char *path, const YamlNode *node) {
    if (node->kind == YAML_SCALAR) return yaml_is_null(node) ? "null" : node->text;
    if (node->kind == YAML_MAPPING) {
        bad_value(s, path, node, "a text, a number or a list of them");
        return "";
    }
    Str list = {0};
    str_append_char(&list, '[');
    for (size_t i = 0; i < node->n; i++) {
        char *item = "";
        set_text(s, path, node->items[i], &item);
        if (i) str_append(&list, ", ");
        append_text(&list, item);
    }
    str_append_char(&list, ']');
    char *kept = yaml_store_text(s->store, str_text(&list));
    str_free(&list);
    return kept;
}

static void set_pairs(ConfigState *s, const char *path, const YamlNode *node, PairList *out) {
    *out = (PairList){0};
    if (yaml_is_null(node)) return;
    if (node->kind == YAML_SCALAR && node->text[0] == '{') { /* TRL: a mapping as a JSON text */
        const YamlNode *parsed =
            yaml_parse(s->store, &s->errors, node->file, node->text, strlen(node->text));
        if (!parsed) return;
        node = parsed;
    }
    if (node->kind != YAML_MAPPING) {
        bad_value(s, path, node, "a mapping {key: value}");
        return;
    }
    out->items = yaml_store_alloc(s->store, node->n, sizeof *out->items);
    for (; out->n < node->n; out->n++) {
        out->items[out->n] =
            (Pair){node->keys[out->n]->text, pair_value(s, path, node->items[out->n])};
    }
}

/* ---- records ---- */

static const Key *rest_key(const Record *r) {
    for (size_t i = 0; i < r->n_keys; i++) {
        if (r->keys[i].flags & KEY_REST) return &r->keys[i];
    }
    return NULL;
}

static void unknown_in_record(ConfigState *s, const Record *r, const char *path,
                              const YamlNode *key) {
    char near[128];
    if (schema_suggest_in(r, key->text, near)) {
        yaml_error(&s->errors, key, "unknown key `%s.%s`; did you mean `%s`?", path, key->text,
                   near);
    } else {
        yaml_error(&s->errors, key, "unknown key `%s.%s`; leave it out", path, key->text);
    }
}

/* Keys without a row: the arguments of a built-in function, where the record names one. */
static bool takes_rest(const Record *r, const YamlNode *node) {
    return rest_key(r) && yaml_get(node, "function") != NULL;
}

static void set_mapping(ConfigState *s, const Record *r, const char *path, const YamlNode *node,
                        void *base) {
    YamlNode *rest = yaml_new_mapping(s->store, node);
    for (size_t i = 0; i < node->n; i++) {
        YamlNode *name = node->keys[i];
        const Key *k = schema_record_key(r, name->text);
        char *inner = str_format("%s.%s", path, name->text);
        if (k)
            config_value_set(s, k, inner, node->items[i], base);
        else if (takes_rest(r, node))
            yaml_set(s->store, rest, name, node->items[i]);
        else
            unknown_in_record(s, r, path, name);
        mem_free(inner);
    }
    if (rest->n) config_value_set(s, rest_key(r), path, rest, base);
}

static void set_record(ConfigState *s, const Record *r, const char *path, const YamlNode *node,
                       void *base) {
    for (size_t i = 0; i < r->n_keys; i++) config_value_default(s, &r->keys[i], base);
    if (node->kind == YAML_MAPPING)
        set_mapping(s, r, path, node, base);
    else if (node->kind == YAML_SCALAR)
        config_value_set(s, &r->keys[0], path, node, base);
    else
        bad_value(s, path, node, "a text or a mapping");
}

static void set_records(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                        RecordList *out) {
    *out = (RecordList){0};
    if (yaml_is_null(node)) return;
    bool list = node->kind == YAML_SEQUENCE;
    out->n = list ? node->n : 1;
    out->items = yaml_store_alloc(s->store, out->n, key->record->size);
    for (size_t i = 0; i < out->n; i++) {
        char *inner = list ? str_format("%s[%zu]", path, i) : mem_strdup(path);
        set_record(s, key->record, inner, list ? node->items[i] : node,
                   out->items + i * key->record->size);
        mem_free(inner);
    }
}

/* ---- the dispatch ---- */

static bool set_null(const Key *key, void *field) {
    switch (key->type) {
    case KEY_INT:
        *(int64_t *)field = CONFIG_NULL_INT;
        return true;
    case KEY_REAL:
    case KEY_STEPS:
        *(double *)field = NAN;
        return true;
    case KEY_TEXT:
        *(char **)field = NULL;
        return true;
    default:
        return false;
    }
}

void config_value_set(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                      void *base) {
    void *field = (char *)base + key->offset;
    if ((key->flags & KEY_NULLABLE) && yaml_is_null(node) && set_null(key, field)) return;
    switch (key->type) {
    case KEY_BOOL:
        set_bool(s, path, node, field);
        return;
    case KEY_TRI:
        set_tri(s, path, node, field);
        return;
    case KEY_INT:
        set_int(s, key, path, node, field);
        return;
    case KEY_REAL:
    case KEY_STEPS:
        set_real(s, key, path, node, field);
        return;
    case KEY_TEXT:
        set_text(s, path, node, field);
        return;
    case KEY_CHOICE:
        set_choice(s, key, path, node, field);
        return;
    case KEY_LIST:
        set_list(s, path, node, field);
        return;
    case KEY_COMMAND:
        set_command(s, path, node, field);
        return;
    case KEY_PAIRS:
        set_pairs(s, path, node, field);
        return;
    case KEY_RECORDS:
        set_records(s, key, path, node, field);
        return;
    }
    FAIL("key `%s` has type %d", key->path, (int)key->type);
}

void config_value_default(ConfigState *s, const Key *key, void *base) {
    size_t before = s->errors.n;
    const YamlNode *node =
        yaml_parse(s->store, &s->errors, "default", key->dflt, strlen(key->dflt));
    CHECK(node, "the default of `%s` is no YAML: %s", key->path, key->dflt);
    config_value_set(s, key, key->path, node, base);
    CHECK(s->errors.n == before, "the default of `%s` is refused: %s", key->path,
          s->errors.items[before].text);
}

static bool scalar_is(const YamlNode *node, const char *word) {
    bool a, b;
    double x, y;
    if (node->quoted) return strcmp(node->text, word) == 0;
    if (yaml_is_null(node)) return strcmp(word, "null") == 0;
    if (yaml_to_bool(node->text, &a) && yaml_to_bool(word, &b)) return a == b;
    if (yaml_to_number(node->text, &x) && yaml_to_number(word, &y)) return x == y;
    return strcmp(node->text, word) == 0;
}

bool config_value_is(const YamlNode *node, const char *alternatives) {
    for (const char *at = alternatives;; at++) {
        char word[64];
        size_t len = strcspn(at, "|");
        snprintf(word, sizeof word, "%.*s", (int)len, at);
        if (node->kind == YAML_SCALAR && scalar_is(node, word)) return true;
        if (node->kind == YAML_MAPPING && node->n == 0 && strcmp(word, "{}") == 0) return true;
        if (node->kind == YAML_SEQUENCE && node->n == 0 && strcmp(word, "[]") == 0) return true;
        at += len;
        if (!*at) return false;
    }
}

/* ---- fields to text ---- */

/* Plain where YAML reads the same text back, also inside [] and {}; else in double quotes. */
static void append_text(Str *out, const char *text) {
    const char *safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-@=:";
    size_t n = strlen(text);
    YamlNode probe = {.kind = YAML_SCALAR, .text = (char *)(uintptr_t)text};
    bool plain = n > 0 && strspn(text, safe) == n && !strchr("@=:", text[0]) &&
                 text[n - 1] != ':' && strcmp(text, "-") != 0 && !yaml_is_null(&probe);
    if (plain)
        str_append(out, text);
    else
        json_dump_str(out, text, n);
}

static void number_text(Str *out, double x) {
    char buf[32];
    yaml_from_number(buf, x);
    str_append(out, config_is_null(x) ? "null" : buf);
}

static void choice_text(Str *out, const Key *key, int value) {
    char name[64];
    schema_choice_name(key->range, value, name);
    str_append(out, name);
}

static void list_text(Str *out, const StrList *list) {
    str_append_char(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i) str_append(out, ", ");
        append_text(out, list->items[i]);
    }
    str_append_char(out, ']');
}

static void pairs_text(Str *out, const PairList *pairs) {
    str_append_char(out, '{');
    for (size_t i = 0; i < pairs->n; i++) {
        const char *value = pairs->items[i].value;
        if (i) str_append(out, ", ");
        append_text(out, pairs->items[i].key);
        str_append(out, ": ");
        if (value[0] == '[' || strcmp(value, "null") == 0)
            str_append(out, value);
        else
            append_text(out, value);
    }
    str_append_char(out, '}');
}

/* Only what differs from the record's defaults. */
static void record_text(Str *out, const Record *r, const char *base) {
    Str value = {0};
    bool first = true;
    str_append_char(out, '{');
    for (size_t i = 0; i < r->n_keys; i++) {
        str_clear(&value);
        config_value_text(&value, &r->keys[i], base);
        if (strcmp(str_text(&value), r->keys[i].dflt) == 0) continue;
        str_printf(out, "%s%s: %s", first ? "" : ", ", r->keys[i].path, str_text(&value));
        first = false;
    }
    str_append_char(out, '}');
    str_free(&value);
}

static void records_text(Str *out, const Key *key, const RecordList *list) {
    str_append_char(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i) str_append(out, ", ");
        record_text(out, key->record, list->items + i * key->record->size);
    }
    str_append_char(out, ']');
}

void config_value_text(Str *out, const Key *key, const void *base) {
    static const char *const TRI[] = {"false", "true", "null"};
    const void *field = (const char *)base + key->offset;
    switch (key->type) {
    case KEY_BOOL:
        str_append(out, *(const bool *)field ? "true" : "false");
        return;
    case KEY_TRI:
        str_append(out, TRI[*(const Tri *)field]);
        return;
    case KEY_INT:
        if (*(const int64_t *)field == CONFIG_NULL_INT)
            str_append(out, "null");
        else
            str_printf(out, "%lld", (long long)*(const int64_t *)field);
        return;
    case KEY_REAL:
    case KEY_STEPS:
        number_text(out, *(const double *)field);
        return;
    case KEY_TEXT:
        if (*(char *const *)field)
            append_text(out, *(char *const *)field);
        else
            str_append(out, "null");
        return;
    case KEY_CHOICE:
        choice_text(out, key, *(const int *)field);
        return;
    case KEY_LIST:
    case KEY_COMMAND:
        list_text(out, field);
        return;
    case KEY_PAIRS:
        pairs_text(out, field);
        return;
    case KEY_RECORDS:
        records_text(out, key, field);
        return;
    }
    FAIL("key `%s` has type %d", key->path, (int)key->type);
}
