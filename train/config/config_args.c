/* The command line of sft, reward and ppo: a file, key=value, and TRL's --key value. */
#include "train/config/loader.h"

#include "core/io/json.h"
#include "core/mem.h"

#include <string.h>

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

/* The `=` of key=value; NULL where the text before it is no key ("runs/a=1/b.yaml" is a path). */
static const char *assignment(const char *arg) {
    const char *at = arg;
    while (is_name_char(*at)) at++;
    return at > arg && *at == '=' ? at : NULL;
}

static void add(CommandLine *out, ConfigState *s, const char *shown, const char *name,
                const char *value) {
    Str text = {0};
    str_printf(&text, "argument `%s`", shown);
    out->items[out->n++] = (Argument){.shown = yaml_store_text(s->store, str_text(&text)),
                                      .name = yaml_store_text(s->store, name),
                                      .value = yaml_store_text(s->store, value)};
    str_free(&text);
}

/* May the option stand without a value, as a flag? */
static bool is_flag(const ConfigState *s, const char *name) {
    const Key *k = config_source_key(s, name);
    if (k) return k->type == KEY_BOOL || k->type == KEY_TRI;
    const Alias *a = schema_alias(s->stage, name);
    if (a) return a->map && str_starts(a->map, "true=");
    const Neutral *x = schema_neutral(s->stage, name);
    return x && (strstr(x->accepted, "false") || strstr(x->accepted, "true"));
}

/* --lora_target_modules q_proj v_proj: all words up to the next option. */
static int take_list(Str *value, int argc, char **argv, int i) {
    int first = i;
    for (; i < argc && !str_starts(argv[i], "--") && !assignment(argv[i]); i++) {
        str_append(value, i > first ? ", " : "[");
        json_dump_str(value, argv[i], strlen(argv[i]));
    }
    if (i > first) str_append_char(value, ']');
    return i - first;
}

/* How many of the words behind an option are its value, which is appended to `value`; -1: there is
 * none. */
static int take_value(const ConfigState *s, Str *value, const char *name, int argc, char **argv,
                      int i) {
    bool yes;
    const Key *k = config_source_key(s, name);
    if (is_flag(s, name) && (i == argc || !yaml_to_bool(argv[i], &yes))) {
        str_append(value, "true");
        return 0;
    }
    if (i == argc || str_starts(argv[i], "--")) return -1;
    if (k && k->type == KEY_LIST && !strchr("[{", argv[i][0])) {
        return take_list(value, argc, argv, i);
    }
    str_append(value, argv[i]);
    return 1;
}

/* Four letters in common, dashes aside: "--dryrun", "--print_cfg". */
static bool starts_alike(const char *a, const char *b) {
    for (int n = 0; n < 4; n++, a++, b++) {
        a += *a == '-';
        b += *b == '-' || *b == '_';
        if (!*a || *a != *b) return false;
    }
    return true;
}

static Status unknown_option(const ConfigState *s, const char *arg, const char *name) {
    static const char *const ACTIONS[] = {"validate", "print-config", "dry-run", "help", "version"};
    char near[128];
    const char *leaf = schema_leaf(name);
    for (size_t i = 0; i < COUNT_OF(ACTIONS); i++) {
        if (starts_alike(ACTIONS[i], leaf)) {
            return status_fail(ERR_USAGE, "unknown option `%s`; did you mean `--%s`?", arg,
                               ACTIONS[i]);
        }
    }
    char *group = mem_strndup(name, leaf > name ? (size_t)(leaf - name) - 1 : 0);
    bool found = schema_suggest(s->stage, group, leaf, near);
    mem_free(group);
    if (!found) return status_fail(ERR_USAGE, "unknown option `%s`; see --help", arg);
    return status_fail(ERR_USAGE, "unknown option `%s`; did you mean `--%s`?", arg, near);
}

static bool take_action(CommandLine *out, const char *name) {
    if (str_equal(name, "validate"))
        out->validate = true;
    else if (str_equal(name, "print-config"))
        out->print_config = true;
    else if (str_equal(name, "dry-run"))
        out->dry_run = true;
    else if (str_equal(name, "help") || str_equal(name, "h"))
        out->help = true;
    else if (str_equal(name, "version"))
        out->version = true;
    else
        return false;
    return true;
}

static Status take_file(CommandLine *out, const char *path) {
    if (out->file) {
        return status_fail(ERR_USAGE,
                           "two configs, `%s` and `%s`; give one, and let it include the "
                           "other",
                           out->file, path);
    }
    out->file = path;
    return OK;
}

/* "--no_gradient_checkpointing": false, for what may stand as a flag. */
static const char *negated(const ConfigState *s, const char *name) {
    return str_starts(name, "no_") && is_flag(s, name + 3) ? name + 3 : NULL;
}

/* Option `name` (dashes made underscores) of argv[*i]; moves *i to its last word. */
static Status take_option(CommandLine *out, ConfigState *s, const char *name, const char *inline_,
                          int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    if (str_equal(name, "config")) {
        if (!inline_ && *i + 1 == argc) return status_fail(ERR_USAGE, "`--config` needs a file");
        return take_file(out, inline_ ? inline_ : argv[++*i]);
    }
    const char *no = config_source_knows(s, name) ? NULL : negated(s, name);
    if (no && !inline_) {
        add(out, s, arg, no, "false");
        return OK;
    }
    if (!config_source_knows(s, name)) return unknown_option(s, arg, name);
    if (inline_) {
        add(out, s, arg, name, inline_);
        return OK;
    }
    Str value = {0}, shown = {0};
    int taken = take_value(s, &value, name, argc, argv, *i + 1);
    str_append(&shown, arg);
    for (int k = 1; k <= taken; k++) str_printf(&shown, " %s", argv[*i + k]);
    if (taken >= 0) add(out, s, str_text(&shown), name, str_text(&value));
    Status st = taken < 0 ? status_fail(ERR_USAGE, "`%s` needs a value", arg) : OK;
    *i += taken > 0 ? taken : 0;
    str_free(&value);
    str_free(&shown);
    return st;
}

static Status take_argument(CommandLine *out, ConfigState *s, int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    if (str_equal(arg, "-h")) arg = "--help";
    if (!str_starts(arg, "--")) {
        const char *eq = assignment(arg);
        if (!eq) return take_file(out, arg);
        char *name = mem_strndup(arg, (size_t)(eq - arg));
        add(out, s, arg, name, eq + 1);
        mem_free(name);
        return OK;
    }
    if (take_action(out, arg + 2)) return OK;
    const char *eq = strchr(arg, '=');
    char *name = mem_strndup(arg + 2, (eq ? (size_t)(eq - arg) : strlen(arg)) - 2);
    for (char *c = name; *c; c++) {
        if (*c == '-') *c = '_';
    }
    Status st = take_option(out, s, name, eq ? eq + 1 : NULL, argc, argv, i);
    mem_free(name);
    return st;
}

Status config_command_line(CommandLine *out, ConfigState *s, int argc, char **argv) {
    *out = (CommandLine){0};
    out->items = yaml_store_alloc(s->store, (size_t)argc + 1, sizeof *out->items);
    for (int i = 1; i < argc; i++) TRY(take_argument(out, s, argc, argv, &i));
    if (!out->file && !out->n && !out->help && !out->version) {
        return status_fail(ERR_USAGE, "no config; usage: %s CONFIG.yaml [key=value ...], or --help",
                           stage_name(s->stage));
    }
    return OK;
}
