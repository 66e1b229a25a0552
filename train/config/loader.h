/* loader: what the files of train/config share while a Config is made.
 *
 *     files, arguments --(config_source.c)--> slots --(config_value.c)--> fields
 * --(config_rules.c)--> Config
 *
 * Each key has one slot: the node that was given for it last, and where. Layers are what may
 * override one another: every included file, the file itself, every argument. Inside one layer an
 * option may be named once, by its path or by a flat name.
 */
#ifndef HONE_TRAIN_CONFIG_LOADER_H
#define HONE_TRAIN_CONFIG_LOADER_H

#include "core/io/yaml.h"
#include "core/str.h"
#include "train/config/schema.h"

typedef struct Slot {
    YamlNode *node;        /* NULL: the default holds */
    const YamlNode *place; /* of the key, for messages */
    int layer;
    bool whole;   /* the layer gave all of it, not only parts ("data.train.path") */
    bool flat;    /* by a flat name */
    bool refused; /* the value was no good: the default holds, and no rule speaks of the key */
} Slot;

/* An option that means nothing here, as it was written last. */
typedef struct NeutralUse {
    const Neutral *option;
    const char *name;
    const YamlNode *value;
} NeutralUse;

typedef struct ConfigState {
    Stage stage;
    YamlStore *store;
    YamlErrors errors;
    const Key *keys[SCHEMA_MAX_KEYS];
    size_t n_keys;
    Slot slots[SCHEMA_MAX_KEYS];
    int layer;
    int n_arguments;
    const char *file;   /* the main file; NULL: none */
    bool has_tree_keys; /* keys inside sections, and flat names of such keys, in the files (or in */
    bool has_flat_keys; /* the arguments where there is no file) */
    bool is_unread;     /* a file could not be parsed: what is missing may be in there */
    NeutralUse *neutrals;
    size_t n_neutrals;
    Str without_effect; /* options that are accepted and do nothing: one warning */
    ConfigItem *items;
} ConfigState;

/* ---- config_args.c ---- */
typedef struct Argument {
    char *shown, *name, *value; /* "argument `lr=1`" */
} Argument;
typedef struct CommandLine {
    const char *file;
    bool validate, print_config, dry_run, help, version;
    Argument *items;
    size_t n;
} CommandLine;
/* ERR_USAGE for what is no command line; keys and values are looked at later. */
Status config_command_line(CommandLine *out, ConfigState *s, int argc, char **argv);

/* ---- config_source.c ---- */
/* Reads a file with its includes into the slots; config errors are collected. ERR_INPUT, ERR_IO. */
Status config_source_file(ConfigState *s, const char *path);
/* One `key=value` or `--key value` of the command line; a layer of its own. false: no such key. */
bool config_source_argument(ConfigState *s, const char *shown, const char *name, const char *value);
/* After the last of them: what the options that mean nothing here were set to. */
void config_source_end(ConfigState *s);
/* The key or alias behind a name on the command line: a path or a flat name; NULL where unknown. */
const Key *config_source_key(const ConfigState *s, const char *name);
bool config_source_knows(const ConfigState *s, const char *name);

/* ---- config_value.c ---- */
/* Sets the field of `key` in the struct at `base` from a node; errors say `path`. */
void config_value_set(ConfigState *s, const Key *key, const char *path, const YamlNode *node,
                      void *base);
void config_value_default(ConfigState *s, const Key *key, void *base);
/* The field as one line of YAML. */
void config_value_text(Str *out, const Key *key, const void *base);
/* Is x in "[lo, hi)", with either bracket? */
bool config_value_in(const char *range, double x);
/* Does a node say one of "false|null|{}"? Bools and numbers are compared by value. */
bool config_value_is(const YamlNode *node, const char *alternatives);

/* ---- config_rules.c ---- */
/* Fills in what follows from other values, then checks what must hold between them. */
void config_rules_apply(Config *c);

/* ---- config_peft.c ---- */
void config_peft_resolve(Config *c); /* that there is an adapter, and numbers from texts */

/* ---- config_rewards.c ---- */
#define REWARD_FN_MAX_ARGS 4
typedef struct RewardFunctionSpec {
    const char *needs[REWARD_FN_MAX_ARGS], *takes[REWARD_FN_MAX_ARGS]; /* names of arguments */
    const char *doc;                                                   /* its value */
} RewardFunctionSpec;
extern const RewardFunctionSpec REWARD_FUNCTIONS[REWARD_FN_COUNT];
/* Appends the names of all arguments. */
void config_reward_arguments(Str *out, const RewardFunctionSpec *f);
void config_rewards_resolve(Config *c); /* which kind each entry is */
void config_rewards_check(Config *c);   /* one kind each; functions with what they need */

/* The slot of a path of this stage; CHECKs that there is one. */
Slot *config_slot(ConfigState *s, const char *path);
/* How messages name a key: its path, with the flat name that was written where it is another word.
 */
const char *config_shown_name(ConfigState *s, const char *path);
static inline bool config_given(const Config *c, const char *path) {
    return config_slot(c->state, path)->node != NULL;
}
static inline void *config_field(Config *c, const Key *key) {
    return (char *)c + key->offset;
}

#endif
