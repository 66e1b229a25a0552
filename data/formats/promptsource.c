#include "data/formats/promptsource.h"

#include "core/file.h"
#include "core/io/yaml.h"
#include "core/mem.h"
#include "data/formats/format.h"
#include "data/jinja/jinja.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/unicode.h"

#include <ctype.h>
#include <string.h>

#define SEPARATOR "|||"
#define SHORTEN " | string | truncate(2048) "
#define MOST_PARTS 64 /* answer choices, or parts of a template */

struct Promptsource {
    YamlStore *store; /* owns the texts */
    const char *choices_text, *text;
    Jinja *choices; /* NULL: none */
    Jinja *jinja;
    uint64_t seed;
};

/* ---- the file ---- */

static Status fail_yaml(YamlErrors *e) {
    char line[512];
    yaml_errors_sort(e);
    yaml_errors_line(e, 0, line, sizeof line);
    return status_fail(ERR_DATA, "%s", line);
}

static const char *text_of(const YamlNode *template, const char *key) {
    const YamlNode *n = yaml_get(template, key);
    return n && n->kind == YAML_SCALAR && !yaml_is_null(n) ? n->text : NULL;
}

static Status pick(const YamlNode **out, const YamlNode *templates, const char *path,
                   const char *name) {
    Str names = {0};
    *out = NULL;
    for (size_t i = 0; i < templates->n; i++) {
        const YamlNode *t = templates->items[i];
        if (t->kind != YAML_MAPPING) continue;
        const char *own = text_of(t, "name"), *id = text_of(t, "id");
        if ((name && (str_equal(own, name) || str_equal(id, name))) || (!name && templates->n == 1))
            *out = t;
        str_printf(&names, "%s`%s`", names.len ? ", " : "", own ? own : "");
    }
    Status st = OK;
    if (!*out)
        st = status_fail(ERR_CONFIG, "`promptsource_name`: %s%s%s of %s; there are: %s",
                         name ? "no template `" : "say which template", name ? name : "",
                         name ? "`" : "", path, str_text(&names));
    str_free(&names);
    return st;
}

/* Each value that the template prints is shortened. Template.apply rewrites the source like this,
 * so that the filters go with the last operand of an expression there as here. (Before "-}}" it
 * gives no template that can be read.) */
static char *shortening(const char *jinja) {
    Str out = {0};
    for (const char *at = jinja; *at; at++) {
        bool trims = str_starts(at, "-}}");
        if (!trims && !str_starts(at, "}}")) {
            str_append_char(&out, *at);
            continue;
        }
        str_append(&out, trims ? SHORTEN "-}}" : SHORTEN "}}");
        at += trims ? 2 : 1;
    }
    return str_take(&out);
}

static Status open_template(Promptsource *p, const YamlNode *t, const char *path) {
    p->text = text_of(t, "jinja");
    p->choices_text = text_of(t, "answer_choices");
    if (!p->text)
        return status_fail(ERR_DATA, "%s:%d:%d: the template has no `jinja`", path, t->line,
                           t->column);
    char *where = str_format("%s (%s)", path, text_of(t, "name") ? text_of(t, "name") : "template");
    char *source = shortening(p->text);
    Status st = jinja_open_prompt(&p->jinja, source, strlen(source), where);
    if (st == OK && p->choices_text)
        st = jinja_open_prompt(&p->choices, p->choices_text, strlen(p->choices_text), where);
    mem_free(source);
    mem_free(where);
    return st;
}

Status promptsource_open(Promptsource **out, const char *path, const char *name, uint64_t seed) {
    static const char *const tags[] = {"!Template", "!TemplateMetadata", NULL};
    Promptsource *p = mem_zalloc(1, sizeof *p);
    YamlErrors errors = {0};
    YamlNode *root = NULL;
    const YamlNode *t = NULL;
    Status st;
    *out = NULL;
    *p = (Promptsource){.store = yaml_store_open(), .seed = seed};
    yaml_store_allow(p->store, tags);
    TRY_GOTO(yaml_read(&root, p->store, &errors, path), st, out);
    if (errors.n > 0) {
        st = fail_yaml(&errors);
        goto out;
    }
    const YamlNode *templates =
        root && root->kind == YAML_MAPPING ? yaml_get(root, "templates") : NULL;
    if (!templates || templates->kind != YAML_MAPPING || templates->n == 0) {
        st = status_fail(ERR_DATA, "%s: has no `templates`; it is no file of promptsource", path);
        goto out;
    }
    TRY_GOTO(pick(&t, templates, path, name), st, out);
    TRY_GOTO(open_template(p, t, path), st, out);
    *out = p;
    p = NULL;
out:
    yaml_errors_free(&errors);
    promptsource_close(p);
    return st;
}

void promptsource_close(Promptsource *p) {
    if (!p) return;
    jinja_close(p->choices);
    jinja_close(p->jinja);
    yaml_store_close(p->store);
    mem_free(p);
}

/* ---- a row ---- */

/* Is `name` a word of the template? */
static bool mentions(const char *text, const char *name) {
    size_t n = strlen(name);
    for (const char *at = text; at && n > 0 && (at = strstr(at, name)); at++) {
        bool starts = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
        if (starts && !(isalnum((unsigned char)at[n]) || at[n] == '_')) return true;
    }
    return false;
}

typedef struct Variables {
    JinjaVariable *items;
    size_t n;
} Variables;

static void add_variable(const Promptsource *p, const RowView *v, Variables *to, const char *name) {
    bool read = mentions(p->text, name) || mentions(p->choices_text, name);
    const Json *value = read ? row_value(v, name) : NULL;
    if (value) to->items[to->n++] = (JinjaVariable){.name = name, .json = value};
}

/* The row's columns under their own names, and under those of the column map. */
static Status take_variables(const Promptsource *p, const RowView *v, Variables *out) {
    size_t most = 1 + (size_t)v->source->n_columns;
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(v->row, &it, &key, &value);) most++;
    out->items = mem_zalloc(most, sizeof *out->items);
    for (JsonIter it = {0}; json_next(v->row, &it, &key, &value);) {
        if (str_equal(key, "answer_choices"))
            return row_fail(v, key,
                            "the column `answer_choices` has a name that templates keep "
                            "for themselves");
        add_variable(p, v, out, key);
    }
    for (int64_t i = 0; i < v->source->n_columns; i++)
        add_variable(p, v, out, v->source->columns[i].name);
    return OK;
}

static Part stripped(const char *text, size_t from, size_t to) {
    size_t k;
    while (from < to && unicode_is_space(unicode_decode(text + from, to - from, &k))) from += k;
    while (to > from && unicode_is_space(unicode_decode_last(text + from, to - from, &k))) to -= k;
    return (Part){.text = text + from, .n = to - from};
}

/* Cuts at the separators that the template wrote. */
static size_t cut(Part parts[MOST_PARTS], const Tagged *t) {
    const char *text = str_text(&t->text);
    size_t n = 0, from = 0;
    for (size_t at = 0; at + 3 <= t->text.len; at++) {
        if (memcmp(text + at, SEPARATOR, 3) != 0 || !(tagged_over(t, at, 3) & SEGMENT_SPECIAL))
            continue;
        if (n + 1 < MOST_PARTS) parts[n++] = stripped(text, from, at);
        from = at + 3;
        at = from - 1;
    }
    parts[n++] = stripped(text, from, t->text.len);
    return n;
}

/* Messages of a template name the file of templates: put the row's place before them. */
static Status apply(const Promptsource *p, const RowView *v, const Jinja *jinja, Tagged *out,
                    const Variables *variables) {
    Status st = jinja_render_prompt(jinja, out, variables->items, variables->n, p->seed,
                                    (uint64_t)v->index);
    return st == OK ? OK : row_fail(v, NULL, "%s", status_message());
}

static Status render_choices(const Promptsource *p, const RowView *v, const Variables *variables,
                             Json *list) {
    Tagged text = {0};
    Part parts[MOST_PARTS];
    Status st = apply(p, v, p->choices, &text, variables);
    size_t n = st == OK ? cut(parts, &text) : 0;
    for (size_t i = 0; i < n; i++) json_push(list, json_new_str_n(parts[i].text, parts[i].n));
    tagged_free(&text);
    return st;
}

static Part kept(Record *r, const Part *part, const char *end) {
    Str text = {0};
    str_append_n(&text, part->text, part->n);
    str_append(&text, end);
    Part out = record_text(r, &text);
    str_free(&text);
    return out;
}

static Status set_parts(const RowView *v, Record *r, const Part *parts, size_t n) {
    bool alone = n == 1 && v->kind == DATASET_PROMPT;
    if (parts[0].n == 0 || (n == 2 && parts[1].n == 0)) {
        r->shape = RECORD_NOTHING;
        return OK;
    }
    if (n != 2 && !alone)
        return row_fail(v, NULL,
                        "the template gives %zu parts; it needs a prompt, %s and a "
                        "completion",
                        n, SEPARATOR);
    r->shape = alone ? RECORD_PROMPT : RECORD_COMPLETION;
    r->prompt = kept(r, &parts[0], alone ? "" : "\n");
    if (!alone) r->chosen = kept(r, &parts[1], "");
    return OK;
}

Status promptsource_read(const RowView *v, Record *r) {
    const Promptsource *p = v->promptsource;
    Variables variables = {0};
    Tagged text = {0};
    Part parts[MOST_PARTS];
    Json *choices = p->choices ? json_new_array() : json_new_null();
    Status st = take_variables(p, v, &variables);
    if (st == OK && p->choices) st = render_choices(p, v, &variables, choices);
    if (st == OK) {
        variables.items[variables.n++] = (JinjaVariable){.name = "answer_choices", .json = choices};
        st = apply(p, v, p->jinja, &text, &variables);
    }
    if (st == OK) st = set_parts(v, r, parts, cut(parts, &text));
    tagged_free(&text);
    json_free(choices);
    mem_free(variables.items);
    return st;
}
