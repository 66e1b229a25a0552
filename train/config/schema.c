#include "train/config/schema.h"

#include "core/check.h"
#include "core/guess.h"

#include <stdio.h>
#include <string.h>

const Section SCHEMA[] = {
    {"", "The run.", RUN_KEYS, &N_RUN_KEYS, ON_ALL},
    {"model", "What is loaded.", MODEL_KEYS, &N_MODEL_KEYS, ON_ALL},
    {"quantization", "How the frozen base is stored.", QUANTIZATION_KEYS, &N_QUANTIZATION_KEYS,
     ON_ALL},
    {"peft", "Training an adapter instead of the model.", PEFT_KEYS, &N_PEFT_KEYS, ON_ALL},
    {"data", "What is learnt from.", DATA_KEYS, &N_DATA_KEYS, ON_ALL},
    {"training", "How it is trained: names and defaults of TrainingArguments as TRL sets them.",
     TRAINING_KEYS, &N_TRAINING_KEYS, ON_ALL},
    {"sft", "Supervised fine-tuning.", SFT_KEYS, &N_SFT_KEYS, ON_SFT},
    {"reward", "The reward model.", REWARD_KEYS, &N_REWARD_KEYS, ON_REWARD},
    {"ppo", "PPO, with the classic trainer's options too.", PPO_KEYS, &N_PPO_KEYS, ON_PPO},
};
const size_t SCHEMA_SECTIONS = COUNT_OF(SCHEMA);

size_t schema_keys(Stage stage, const Key *out[SCHEMA_MAX_KEYS]) {
    size_t n = 0;
    for (size_t s = 0; s < SCHEMA_SECTIONS; s++) {
        for (size_t k = 0; on_stage(SCHEMA[s].stages, stage) && k < *SCHEMA[s].n_keys; k++) {
            if (!on_stage(SCHEMA[s].keys[k].stages, stage)) continue;
            CHECK(n + 1 < SCHEMA_MAX_KEYS, "the schema has more than %d keys", SCHEMA_MAX_KEYS - 1);
            out[n++] = &SCHEMA[s].keys[k];
        }
    }
    out[n] = NULL;
    return n;
}

const char *schema_leaf(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const Key *schema_key(Stage stage, const char *path) {
    const Key *keys[SCHEMA_MAX_KEYS];
    schema_keys(stage, keys);
    for (size_t i = 0; keys[i]; i++) {
        if (strcmp(keys[i]->path, path) == 0) return keys[i];
    }
    return NULL;
}

/* Is `name` one of the comma-separated flat names? */
static bool has_flat(const Key *key, const char *name) {
    if (!key->flat) return false;
    if (strcmp(key->flat, ".") == 0) return strcmp(schema_leaf(key->path), name) == 0;
    size_t n = strlen(name);
    for (const char *at = key->flat; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    }
    return false;
}

const Key *schema_flat(Stage stage, const char *name) {
    const Key *keys[SCHEMA_MAX_KEYS];
    schema_keys(stage, keys);
    for (size_t i = 0; keys[i]; i++) {
        if (has_flat(keys[i], name)) return keys[i];
    }
    return NULL;
}

const Key *schema_record_key(const Record *r, const char *name) {
    for (size_t i = 0; i < r->n_keys; i++) {
        const Key *k = &r->keys[i];
        if (strcmp(k->path, name) == 0 || (k->flat && strcmp(k->flat, name) == 0)) return k;
    }
    return NULL;
}

const Alias *schema_alias(Stage stage, const char *flat) {
    for (size_t i = 0; i < N_ALIASES; i++) {
        if (on_stage(ALIASES[i].stages, stage) && strcmp(ALIASES[i].flat, flat) == 0) {
            return &ALIASES[i];
        }
    }
    return NULL;
}

const Neutral *schema_neutral(Stage stage, const char *path_or_flat) {
    for (size_t i = 0; i < N_NEUTRALS; i++) {
        const Neutral *x = &NEUTRALS[i];
        if (on_stage(x->stages, stage) && (strcmp(x->path, path_or_flat) == 0 ||
                                           strcmp(schema_leaf(x->path), path_or_flat) == 0)) {
            return x;
        }
    }
    return NULL;
}

const char *schema_other_stage(Stage stage, const char *name) {
    for (Stage s = 0; s < STAGE_COUNT; s++) {
        if (s == stage) continue;
        if (schema_key(s, name) || schema_flat(s, name) || schema_alias(s, name) ||
            schema_neutral(s, name) || schema_is_group(s, name)) {
            return stage_name(s);
        }
    }
    return NULL;
}

bool schema_is_group(Stage stage, const char *path) {
    const Key *keys[SCHEMA_MAX_KEYS];
    schema_keys(stage, keys);
    size_t n = strlen(path);
    for (size_t i = 0; keys[i]; i++) {
        if (strncmp(keys[i]->path, path, n) == 0 && keys[i]->path[n] == '.') return true;
    }
    return false;
}

/* ---- choices ---- */

int schema_choice(const char *choices, const char *value) {
    int index = 0;
    size_t n = strlen(value);
    for (const char *at = choices;; at++) {
        size_t len = strcspn(at, "=|");
        if (len == n && strncmp(at, value, n) == 0) return index;
        at += len;
        if (*at == '\0') return -1;
        if (*at == '|') index++;
    }
}

void schema_choice_name(const char *choices, int i, char buf[64]) {
    for (; i > 0; i--) choices = strchr(choices, '|') + 1;
    snprintf(buf, 64, "%.*s", (int)strcspn(choices, "=|"), choices);
}

/* ---- did you mean ---- */

/* The component of `path` below `prefix`: ("ppo", "ppo.value.model") -> "value". */
static bool child_of(const char *prefix, const char *path, char name[64], char shown[128]) {
    size_t n = strlen(prefix);
    if (n && (strncmp(path, prefix, n) != 0 || path[n] != '.')) return false;
    const char *rest = n ? path + n + 1 : path;
    int len = (int)strcspn(rest, ".");
    snprintf(name, 64, "%.*s", len, rest);
    snprintf(shown, 128, "%.*s", (int)(rest - path) + len, path);
    return true;
}

static void guess_try_flat(Guess *g, const Key *key) {
    if (!key->flat) return;
    if (strcmp(key->flat, ".") == 0) {
        guess_try(g, schema_leaf(key->path), schema_leaf(key->path));
        return;
    }
    for (const char *at = key->flat;; at++) {
        char name[64];
        size_t len = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        guess_try(g, name, name);
        at += len;
        if (!*at) return;
    }
}

static void guess_all_flat(Guess *g, Stage stage, const Key *const *keys) {
    for (size_t i = 0; keys[i]; i++) guess_try_flat(g, keys[i]);
    for (size_t i = 0; i < N_ALIASES; i++) {
        if (on_stage(ALIASES[i].stages, stage)) guess_try(g, ALIASES[i].flat, ALIASES[i].flat);
    }
    guess_try(g, "include", "include");
    guess_try(g, "env", "env");
}

bool schema_suggest(Stage stage, const char *prefix, const char *name, char out[128]) {
    const Key *keys[SCHEMA_MAX_KEYS];
    char child[64], shown[128];
    schema_keys(stage, keys);
    for (size_t i = 0; keys[i]; i++) { /* the right name in the wrong place */
        if (strcmp(schema_leaf(keys[i]->path), name) != 0) continue;
        snprintf(out, 128, "%s", keys[i]->path);
        return true;
    }
    Guess g = guess_start(name);
    for (size_t i = 0; keys[i]; i++) {
        if (child_of(prefix, keys[i]->path, child, shown)) guess_try(&g, child, shown);
    }
    if (!*prefix) guess_all_flat(&g, stage, keys);
    for (size_t i = 0; !g.best[0] && keys[i]; i++) {
        guess_try(&g, schema_leaf(keys[i]->path), keys[i]->path);
    }
    for (size_t i = 0; !g.best[0] && i < N_NEUTRALS; i++) {
        if (on_stage(NEUTRALS[i].stages, stage)) {
            guess_try(&g, schema_leaf(NEUTRALS[i].path), schema_leaf(NEUTRALS[i].path));
        }
    }
    snprintf(out, 128, "%s", g.best);
    return g.best[0] != '\0';
}

bool schema_suggest_in(const Record *record, const char *name, char out[128]) {
    Guess g = guess_start(name);
    for (size_t i = 0; i < record->n_keys; i++) {
        if (!(record->keys[i].flags & KEY_REST)) {
            guess_try(&g, record->keys[i].path, record->keys[i].path);
        }
    }
    snprintf(out, 128, "%s", g.best);
    return g.best[0] != '\0';
}

bool schema_suggest_choice(const char *choices, const char *value, char out[128]) {
    Guess g = guess_start(value);
    for (const char *at = choices;; at++) {
        char name[64];
        size_t len = strcspn(at, "=|");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        guess_try(&g, name, name);
        at += len;
        if (!*at) break;
    }
    snprintf(out, 128, "%s", g.best);
    return g.best[0] != '\0';
}
