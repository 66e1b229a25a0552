/* ${words} of an experiment, and values as the programs read them from an argument. */
#include "core/io/json.h"
#include "core/mem.h"
#include "tools/experiment.h"

#include <string.h>

#define MAX_DEPTH 8 /* of variables that name variables */

static void expand_text(Str *out, const ExperimentScope *s, const YamlNode *at, const char *text,
                        int depth);

static void add_folder(Str *out, const ExperimentScope *s, const char *word, char *folder) {
    if (s->symbolic)
        str_printf(out, "${%s}", word);
    else
        str_append(out, folder);
    mem_free(folder);
}

static void add_stage_folder(Str *out, const ExperimentScope *s, const YamlNode *at,
                             const char *word) {
    const char *name = word + strlen("stages.");
    int k = experiment_stage(s->e, name);
    if (k < 0 || k > s->stage) {
        yaml_error(&s->e->errors, at, "${%s}: no stage `%s` stands %s", word, name,
                   k < 0 ? "in this experiment" : "before this one");
        return;
    }
    if (s->uses) s->uses[k] = true;
    add_folder(out, s, word, experiment_stage_folder(s->e, s->seed, k));
}

static void add_variable(Str *out, const ExperimentScope *s, const YamlNode *at, const char *word,
                         int depth) {
    const YamlNode *value = s->e->variables ? yaml_get(s->e->variables, word) : NULL;
    if (!value) {
        yaml_error(&s->e->errors, at,
                   "${%s}: no such word; there are seed, out, output_dir, dir, stages.NAME and the "
                   "variables",
                   word);
    } else if (depth == MAX_DEPTH) {
        yaml_error(&s->e->errors, at, "${%s}: variables name one another in a circle", word);
    } else if (value->kind == YAML_SCALAR) {
        expand_text(out, s, value, value->text, depth + 1);
    }
}

static void add_word(Str *out, const ExperimentScope *s, const YamlNode *at, const char *word,
                     int depth) {
    if (str_equal(word, "seed"))
        str_printf(out, "%lld", (long long)s->seed);
    else if (str_equal(word, "out"))
        add_folder(out, s, word, experiment_seed_folder(s->e, s->seed));
    else if (str_equal(word, "output_dir"))
        add_folder(out, s, word, mem_strdup(s->e->output_dir));
    else if (str_equal(word, "dir"))
        add_folder(out, s, word, mem_strdup(s->e->folder));
    else if (str_starts(word, "stages."))
        add_stage_folder(out, s, at, word);
    else
        add_variable(out, s, at, word, depth);
}

static void expand_text(Str *out, const ExperimentScope *s, const YamlNode *at, const char *text,
                        int depth) {
    for (const char *c = text; *c;) {
        if (str_starts(c, "$${")) {
            str_append(out, "${");
            c += 3;
        } else if (str_starts(c, "${")) {
            const char *end = strchr(c, '}');
            if (!end) {
                yaml_error(&s->e->errors, at, "`${` has no `}`; write `$${` for the signs alone");
                return;
            }
            char *word = mem_strndup(c + 2, (size_t)(end - c) - 2);
            add_word(out, s, at, word, depth);
            mem_free(word);
            c = end + 1;
        } else {
            str_append_char(out, *c++);
        }
    }
}

char *experiment_expand(const ExperimentScope *s, const YamlNode *scalar) {
    Str out = {0};
    expand_text(&out, s, scalar, scalar->text, 0);
    return str_take(&out);
}

/* A quoted text stays a text; one that stands in a list is quoted where it could be read as
 * something else. */
static void value_scalar(Str *out, const ExperimentScope *s, const YamlNode *v, bool inside) {
    char *text = experiment_expand(s, v);
    bool has_words = strstr(v->text, "${") != NULL;
    bool plain = inside && !v->quoted && !strpbrk(text, ",[]{}:#&*!|>'\"%@`");
    if ((v->quoted && !has_words) || (inside && !plain))
        json_dump_str(out, text, strlen(text));
    else
        str_append(out, text);
    mem_free(text);
}

static void value_any(Str *out, const ExperimentScope *s, const YamlNode *v, bool inside) {
    if (v->kind == YAML_SCALAR) {
        value_scalar(out, s, v, inside);
        return;
    }
    bool is_map = v->kind == YAML_MAPPING;
    str_append_char(out, is_map ? '{' : '[');
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0) str_append(out, ", ");
        if (is_map) {
            json_dump_str(out, v->keys[i]->text, strlen(v->keys[i]->text));
            str_append(out, ": ");
        }
        value_any(out, s, v->items[i], true);
    }
    str_append_char(out, is_map ? '}' : ']');
}

char *experiment_value(const ExperimentScope *s, const YamlNode *value) {
    Str out = {0};
    value_any(&out, s, value, false);
    return str_take(&out);
}
