#include "model/peft/target.h"

#include "core/mem.h"
#include "core/regex.h"
#include "core/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEFAULT_TARGETS 4

/* ---- one path and one name ---- */

bool target_ends_in(const char *path, const char *entry) {
    size_t n = strlen(path), k = strlen(entry);
    if (k > n || strcmp(path + n - k, entry) != 0) return false;
    return k == n || path[n - k - 1] == '.';
}

static bool is_pattern(const char *entry) {
    return entry[strspn(
               entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] != '\0';
}

/* `before` stands in front of the pattern; both must match the whole path. */
static Status matches(bool *out, const char *path, const char *before, const char *pattern) {
    char *whole = str_format("^(?:%s(?:%s))$", before, pattern);
    Regex *r = NULL;
    RegexScratch scratch = {0};
    size_t start, end;
    Status st = regex_open(&r, whole, strlen(whole), pattern);
    if (st == OK) st = regex_find(r, &scratch, path, strlen(path), 0, out, &start, &end);
    if (st != OK) {
        char *why = mem_strdup(status_message());
        st = status_fail(ERR_CONFIG, "LoRA pattern of modules: %s", why);
        mem_free(why);
    }
    regex_scratch_free(&scratch);
    regex_close(r);
    mem_free(whole);
    return st;
}

static Status entry_means(bool *out, const char *path, const char *entry) {
    if (is_pattern(entry)) return matches(out, path, "", entry);
    *out = target_ends_in(path, entry);
    return OK;
}

Status target_number(double *out, const ModuleNumber *numbers, int n, const char *path) {
    for (int i = 0; i < n; i++) {
        bool found = false;
        TRY(matches(&found, path, "(?:.*\\.)?", numbers[i].module));
        if (!found) continue;
        *out = numbers[i].number;
        return OK;
    }
    return OK;
}

/* ---- targets, without the excluded ---- */

static Status no_such_module(const Base *b, const char *entry, const char *what,
                             const char *besides) {
    Str known = {0};
    for (int i = 0; i < b->n_modules && b->modules[i].linear->slot < SLOTS_PER_LAYER; i++) {
        const char *path = strrchr(b->modules[i].name, '.') + 1;
        if (!str_equal(path, "c_proj") || !strstr(str_text(&known), path))
            str_printf(&known, "%s%s", known.len ? ", " : "", path);
    }
    Status st = status_fail(ERR_CONFIG, "LoRA %s module `%s` is not in a %s; it has %s%s", what,
                            entry, b->info.architecture, str_text(&known), besides);
    str_free(&known);
    return st;
}

/* Sets the marks of all modules that the entry means; there must be some. */
static Status mark(bool *chosen, bool to, const Base *b, const char *entry, const char *what,
                   const char *besides) {
    bool some = false;
    for (int i = 0; i < b->n_modules; i++) {
        bool means = false;
        TRY(entry_means(&means, b->modules[i].name, entry));
        if (!means) continue;
        chosen[i] = to;
        some = true;
    }
    return some ? OK : no_such_module(b, entry, what, besides);
}

static Status mark_targets(bool *chosen, const Base *b, const LoraOptions *opt) {
    const char *const *targets = opt->targets;
    int n = opt->n_targets;
    if (!targets || n == 0) {
        targets = b->arch.spec->lora_targets;
        for (n = 0; n < MAX_DEFAULT_TARGETS && targets[n];) n++;
    }
    for (int t = 0; t < n; t++) {
        if (str_equal(targets[t], "all-linear"))
            for (int i = 0; i < b->n_modules; i++) chosen[i] = true;
        else
            TRY(mark(chosen, true, b, targets[t], "target", " (or `all-linear`)"));
    }
    return OK;
}

/* ---- layers ---- */

/* The first number in the path behind a word that layers_pattern allows; without one behind any
 * word but the first. -1: there is none. */
static int64_t layer_of(const char *path, const LoraOptions *opt) {
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        char *end;
        long layer = strtol(dot + 1, &end, 10);
        if (*end != '.' || end == dot + 1) continue;
        char *before = str_format("%.*s", (int)(dot - path), path);
        bool allowed = opt->n_layers_pattern == 0 && strchr(before, '.');
        for (int p = 0; p < opt->n_layers_pattern; p++)
            allowed |= target_ends_in(before, opt->layers_pattern[p]);
        mem_free(before);
        if (allowed) return layer;
    }
    return -1;
}

static Status keep_layers(bool *chosen, const Base *b, const LoraOptions *opt) {
    bool *keep = mem_zalloc((size_t)b->n_modules, sizeof *keep);
    Status st = OK;
    for (int l = 0; st == OK && l < opt->n_layers; l++) {
        bool some = false;
        for (int i = 0; i < b->n_modules; i++)
            if (layer_of(b->modules[i].name, opt) == opt->layers[l]) keep[i] = some = true;
        if (!some)
            st = status_fail(ERR_CONFIG,
                             "LoRA layers_to_transform: no module of a %s is in layer %lld%s",
                             b->info.architecture, (long long)opt->layers[l],
                             opt->n_layers_pattern ? " by layers_pattern" : "");
    }
    for (int i = 0; opt->n_layers && i < b->n_modules; i++) chosen[i] &= keep[i];
    mem_free(keep);
    return st;
}

/* ---- numbers of modules ---- */

/* Each key must mean a module that is chosen: one that does not is a mistake. */
static Status check_numbers(const bool *chosen, const Base *b, const ModuleNumber *numbers, int n,
                            const char *what) {
    for (int k = 0; k < n; k++) {
        bool some = false;
        for (int i = 0; i < b->n_modules && !some; i++)
            if (chosen[i]) TRY(matches(&some, b->modules[i].name, "(?:.*\\.)?", numbers[k].module));
        if (!some)
            return status_fail(ERR_CONFIG, "LoRA %s: `%s` means no module that gets an adapter",
                               what, numbers[k].module);
    }
    return OK;
}

Status target_select(bool *chosen, const Base *b, const LoraOptions *opt) {
    bool some = false;
    TRY(mark_targets(chosen, b, opt));
    for (int e = 0; e < opt->n_excludes; e++)
        TRY(mark(chosen, false, b, opt->excludes[e], "exclude", ""));
    TRY(keep_layers(chosen, b, opt));
    for (int i = 0; i < b->n_modules; i++) some |= chosen[i];
    if (!some)
        return status_fail(ERR_CONFIG, "LoRA %s leaves no module to train",
                           opt->n_layers ? "layers_to_transform" : "exclude_modules");
    TRY(check_numbers(chosen, b, opt->ranks, opt->n_ranks, "rank_pattern"));
    return check_numbers(chosen, b, opt->alphas, opt->n_alphas, "alpha_pattern");
}
