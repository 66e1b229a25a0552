/* schema: the one table of every key. Parsing, defaults, ranges, help, --print-config, the JSON
 * Schema, docs/config.md, did-you-mean and the tests walk it; a new option is one row in a
 * schema_<section>.c and one field in config.h.
 *
 * A key has a full path ("training.learning_rate"); a default per stage is one row per stage.
 * Beside the keys stand two small tables for TRL's flat files (schema_trl.c): names whose value is
 * translated (`use_cpu: true` is `device: cpu`), and options without a meaning here, with the
 * values that change nothing.
 */
#ifndef HONE_TRAIN_CONFIG_SCHEMA_H
#define HONE_TRAIN_CONFIG_SCHEMA_H

#include "train/config/config.h"

typedef enum KeyType {
    KEY_BOOL,    /* bool */
    KEY_TRI,     /* Tri: may be null */
    KEY_INT,     /* int64_t */
    KEY_REAL,    /* double */
    KEY_STEPS,   /* double: whole steps from 1, or a share of all steps below 1 */
    KEY_TEXT,    /* char * */
    KEY_CHOICE,  /* an enum of int's size, numbered as in `range` */
    KEY_LIST,    /* StrList; a single text is a list of one */
    KEY_COMMAND, /* StrList: argv; a single text becomes /bin/sh -c TEXT */
    KEY_PAIRS,   /* PairList: a free mapping of texts */
    KEY_RECORDS, /* {items, n} of structs as `record` says; a single one needs no list */
} KeyType;

enum {
    ON_SFT = 1u << STAGE_SFT,
    ON_REWARD = 1u << STAGE_REWARD,
    ON_PPO = 1u << STAGE_PPO,
    ON_ALL = ON_SFT | ON_REWARD | ON_PPO
};

enum {
    KEY_NULLABLE = 1, /* `null` is a value (always so for KEY_TRI) */
    KEY_FREE = 2,     /* a resumed run may have another value */
    KEY_REST = 4,     /* in a record: takes all keys that have no row (KEY_PAIRS) */
};

typedef struct Record Record;

typedef struct Key {
    const char *path; /* full path; inside a record the bare name */
    KeyType type;
    size_t offset;       /* of the field in Config, or in the record's struct */
    const char *dflt;    /* YAML */
    const char *range;   /* numbers: "[0, 1)", "(0, inf)"; KEY_CHOICE: "a=synonym|b"; else NULL */
    const char *doc;     /* one line */
    const char *flat;    /* TRL's flat names, comma-separated; "." is the last part of the path */
    const char *trl;     /* TRL's default, where ours is another one */
    const char *differs; /* what else is other than in TRL */
    unsigned stages;     /* 0: all */
    unsigned flags;
    const Record *record; /* KEY_RECORDS */
} Key;

/* The struct behind a KEY_RECORDS key. keys[0] is what a bare text means. */
struct Record {
    size_t size;
    const Key *keys;
    size_t n_keys;
};

typedef struct Section {
    const char *name; /* "" for the top level */
    const char *doc;
    const Key *keys;
    const size_t *n_keys;
    unsigned stages;
} Section;

/* A flat name whose value is translated. `map` is "from=to|from=to"; an empty `to` assigns nothing,
 * a value that is not listed is refused, or passed on where map ends in "|*". NULL: passed on.
 * `null` always assigns nothing. */
typedef struct Alias {
    const char *flat;
    const char *path; /* may go into a record: "data.train.path" */
    const char *map;
    const char *range; /* of a number; NULL: any value */
    unsigned stages;   /* 0: all */
} Alias;

/* An option of TRL without a meaning here. `path` is where it stands in a tree; its last part is
 * the flat name. */
typedef struct Neutral {
    const char *path;
    const char *accepted; /* "false|null"; a "|*" at the end: other values do nothing and say so */
    const char *why;      /* ends the message: what to do instead */
    unsigned stages;      /* 0: all */
} Neutral;

extern const Section SCHEMA[];
extern const size_t SCHEMA_SECTIONS;
extern const Alias ALIASES[];
extern const size_t N_ALIASES;
extern const Neutral NEUTRALS[];
extern const size_t N_NEUTRALS;

/* The tables of the sections, one file each. */
#define SCHEMA_TABLE(name)          \
    extern const Key name##_KEYS[]; \
    extern const size_t N_##name##_KEYS
SCHEMA_TABLE(RUN);
SCHEMA_TABLE(MODEL);
SCHEMA_TABLE(QUANTIZATION);
SCHEMA_TABLE(PEFT);
SCHEMA_TABLE(DATA);
SCHEMA_TABLE(TRAINING);
SCHEMA_TABLE(SFT);
SCHEMA_TABLE(REWARD);
SCHEMA_TABLE(PPO);

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))

/* All keys of a stage in schema order, NULL-terminated. */
#define SCHEMA_MAX_KEYS 256
size_t schema_keys(Stage stage, const Key *out[SCHEMA_MAX_KEYS]);

static inline bool on_stage(unsigned stages, Stage stage) {
    return stages == 0 || (stages >> stage & 1u);
}

const Key *schema_key(Stage stage, const char *path);
const Key *schema_flat(Stage stage, const char *name);           /* by a flat name */
const Key *schema_record_key(const Record *r, const char *name); /* by its name or flat name */
const Alias *schema_alias(Stage stage, const char *flat);
const Neutral *schema_neutral(Stage stage, const char *path_or_flat);
/* Which other stage knows this path or flat name (for "this is an option of ppo"); NULL: none. */
const char *schema_other_stage(Stage stage, const char *path_or_flat);
const char *schema_leaf(const char *path); /* behind the last '.' */
/* Does any key (or neutral option) stand below `path`? Then a mapping is expected there. */
bool schema_is_group(Stage stage, const char *path);

/* Is `value` one of the alternatives of "a=synonym|b"? Its index, or -1. */
int schema_choice(const char *choices, const char *value);
/* The first name of alternative i, into buf. */
void schema_choice_name(const char *choices, int i, char buf[64]);

/* The key that was probably meant by `name` below the group `prefix` ("" for the top), written as a
 * message should name it; false when nothing is near. */
bool schema_suggest(Stage stage, const char *prefix, const char *name, char out[128]);
/* Same over the names of a record, and over the alternatives of a choice. */
bool schema_suggest_in(const Record *record, const char *name, char out[128]);
bool schema_suggest_choice(const char *choices, const char *value, char out[128]);

#endif
