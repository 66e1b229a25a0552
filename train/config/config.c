#include "train/config/config.h"

#include "core/check.h"
#include "core/io/yaml.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "train/config/loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const STAGE_NAMES[STAGE_COUNT] = {"sft", "reward", "ppo"};

const char *stage_name(Stage stage) {
    CHECK(stage < STAGE_COUNT, "stage %d", (int)stage);
    return STAGE_NAMES[stage];
}

bool stage_by_name(const char *name, Stage *out) {
    for (Stage s = 0; s < STAGE_COUNT; s++) {
        if (strcmp(name, STAGE_NAMES[s]) != 0) continue;
        *out = s;
        return true;
    }
    return false;
}

/* ---- loading ---- */

static Config *config_new(Stage stage) {
    Config *c = mem_zalloc(1, sizeof *c);
    c->stage = stage;
    c->state = mem_zalloc(1, sizeof *c->state);
    c->state->stage = stage;
    c->state->store = yaml_store_open();
    c->state->n_keys = schema_keys(stage, c->state->keys);
    return c;
}

void config_close(Config *c) {
    if (!c) return;
    yaml_errors_free(&c->state->errors);
    yaml_store_close(c->state->store);
    str_free(&c->state->without_effect);
    mem_free(c->state->neutrals);
    mem_free(c->state);
    mem_free(c);
}

/* All keys; a value that is refused leaves the default behind, for the rules that come after. */
static void set_fields(Config *c) {
    ConfigState *s = c->state;
    for (size_t i = 0; i < s->n_keys; i++) {
        config_value_default(s, s->keys[i], c);
        if (!s->slots[i].node) continue;
        size_t before = s->errors.n;
        const char *name = config_shown_name(s, s->keys[i]->path);
        config_value_set(s, s->keys[i], name, s->slots[i].node, c);
        s->slots[i].refused = s->errors.n > before;
        if (s->slots[i].refused) config_value_default(s, s->keys[i], c);
    }
}

static const char *origin_text(ConfigState *s, const Slot *slot) {
    if (!slot->node) return "default";
    if (slot->node->line <= 0 || str_starts(slot->place->file, "argument ")) return "command line";
    char *text = str_format("%s:%d:%d", slot->node->file, slot->node->line, slot->node->column);
    char *kept = yaml_store_text(s->store, text);
    mem_free(text);
    return kept;
}

static void make_items(Config *c) {
    ConfigState *s = c->state;
    Str value = {0};
    s->items = yaml_store_alloc(s->store, s->n_keys, sizeof *s->items);
    for (size_t i = 0; i < s->n_keys; i++) {
        const Key *k = s->keys[i];
        str_clear(&value);
        config_value_text(&value, k, c);
        s->items[i] = (ConfigItem){
            .path = k->path,
            .value = yaml_store_text(s->store, str_text(&value)),
            .origin = origin_text(s, &s->slots[i]),
            .trl = s->slots[i].node ? NULL : k->trl,
            .matters = !(k->flags & KEY_FREE),
        };
    }
    str_free(&value);
}

/* All errors but the last to the log; the last one is the status message. */
static Status report_errors(YamlErrors *e) {
    char line[2048];
    if (e->n == 0) return OK;
    yaml_errors_sort(e);
    for (size_t i = 0; i + 1 < e->n; i++) {
        yaml_errors_line(e, i, line, sizeof line);
        log_error("%s", line);
    }
    yaml_errors_line(e, e->n - 1, line, sizeof line);
    return status_fail(ERR_CONFIG, "%s", line);
}

static Status read_sources(Config *c, const CommandLine *line) {
    ConfigState *s = c->state;
    if (line->file) {
        TRY(config_source_file(s, line->file));
        c->file = yaml_store_text(s->store, line->file);
    }
    for (size_t i = 0; i < line->n; i++) {
        const Argument *a = &line->items[i];
        config_source_argument(s, a->shown, a->name, a->value);
    }
    set_fields(c);
    config_source_end(s);
    if (!s->is_unread) config_rules_apply(c);
    TRY(report_errors(&s->errors));
    make_items(c);
    return OK;
}

static void warn_trackers(const StrList *report_to) {
    static const char *const OURS[] = {"tensorboard", "all", "none"};
    Str others = {0};
    for (size_t i = 0; i < report_to->n; i++) {
        bool ours = false;
        for (size_t k = 0; k < COUNT_OF(OURS); k++) ours |= str_equal(report_to->items[i], OURS[k]);
        if (!ours) str_printf(&others, "%s%s", others.len ? ", " : "", report_to->items[i]);
    }
    if (others.len) log_warn("report_to: %s: only the local logs are written", str_text(&others));
    str_free(&others);
}

/* What the command line asks for beside training. */
static void act(Config *c, const CommandLine *line) {
    c->action = line->dry_run ? CONFIG_DRY_RUN : CONFIG_TRAIN;
    if (c->run.quiet) log_set_level(LOG_WARN);
    if (c->state->without_effect.len) {
        log_warn("without effect here: %s", str_text(&c->state->without_effect));
    }
    warn_trackers(&c->run.report_to);
    if (line->print_config)
        config_print(c, stdout);
    else if (line->validate)
        printf("%s: valid\n", c->file ? c->file : "arguments");
    if (line->print_config || line->validate) c->action = CONFIG_LEAVE;
}

static Status load(Config *c, int argc, char **argv) {
    CommandLine line;
    TRY(config_command_line(&line, c->state, argc, argv));
    if (line.help || line.version) {
        if (line.help)
            config_help(c->stage, stdout);
        else
            printf("%s (Hone) %s\n", stage_name(c->stage), HONE_VERSION);
        c->action = CONFIG_LEAVE;
        return OK;
    }
    TRY(read_sources(c, &line));
    act(c, &line);
    return OK;
}

Status config_load(Config **out, Stage stage, int argc, char **argv) {
    Config *c = config_new(stage);
    Status st = load(c, argc, argv);
    if (st != OK) {
        config_close(c);
        c = NULL;
    }
    *out = c;
    return st;
}

/* ---- fingerprint ---- */

size_t config_items(const Config *c, const ConfigItem **items) {
    *items = c->state->items;
    return c->state->n_keys;
}

char *config_fingerprint(const Config *c) {
    Str text = {0};
    str_printf(&text, "stage: %s\n", stage_name(c->stage));
    for (size_t i = 0; i < c->state->n_keys; i++) {
        const ConfigItem *item = &c->state->items[i];
        if (item->matters) str_printf(&text, "%s: %s\n", item->path, item->value);
    }
    return str_take(&text);
}

void config_digest(const Config *c, char hex[65]) {
    char *text = config_fingerprint(c);
    sha256_hex(hex, text, strlen(text));
    mem_free(text);
}

/* The value of `path` in a fingerprint, with its length; NULL when there is none. */
static const char *kept_value(const char *text, const char *path, size_t *len) {
    size_t n = strlen(path);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        if (*line == '\n' && !*++line) break;
        if (strncmp(line, path, n) != 0 || strncmp(line + n, ": ", 2) != 0) continue;
        *len = strcspn(line + n + 2, "\n");
        return line + n + 2;
    }
    return NULL;
}

static void compare_value(Str *out, const char *kept, const char *path, const char *value) {
    size_t len = 0;
    const char *was = kept_value(kept, path, &len);
    if (!was || (len == strlen(value) && strncmp(was, value, len) == 0)) return;
    str_printf(out, "%s%s: was %.*s, is %s", out->len ? "; " : "", path, (int)len, was, value);
}

/* A key that the kept text does not know is newer than it and had its default. */
Status config_compare(const Config *c, const char *kept_fingerprint) {
    Str differences = {0};
    compare_value(&differences, kept_fingerprint, "stage", stage_name(c->stage));
    for (size_t i = 0; i < c->state->n_keys; i++) {
        const ConfigItem *item = &c->state->items[i];
        if (item->matters) compare_value(&differences, kept_fingerprint, item->path, item->value);
    }
    Status st = OK;
    if (differences.len) {
        st = status_fail(ERR_CONFIG, "%s: %s", c->file ? c->file : "arguments",
                         str_text(&differences));
    }
    str_free(&differences);
    return st;
}

/* ---- small computations ---- */

int64_t config_steps(double steps_or_share, int64_t total_steps) {
    if (config_is_null(steps_or_share) || steps_or_share <= 0) return 0;
    if (steps_or_share >= 1) return (int64_t)steps_or_share;
    int64_t steps = (int64_t)ceil(steps_or_share * (double)total_steps);
    return steps > 0 ? steps : 1;
}

const char *config_pair(const PairList *p, const char *key) {
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->items[i].key, key) == 0) return p->items[i].value;
    }
    return NULL;
}

double config_pair_number(const PairList *p, const char *key, double missing) {
    double x = missing;
    const char *text = config_pair(p, key);
    return text && yaml_to_number(text, &x) ? x : missing;
}
