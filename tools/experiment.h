/* experiment: what `hone run` reads: named stages, run in order, once a seed.
 *
 *     name: story world
 *     output_dir: runs/story              # relative to where `hone` is started, as in configs
 *     seeds: [1, 2, 3]                    # default [42]
 *     variables: {pairs: 3000}            # ${pairs}; may name one another
 *     stages:
 *       - name: world
 *         program: storyworld             # beside `hone`, else in PATH; with a slash: from this
 * file args: [demos, --n, "${pairs}", --seed, "${seed}", --output, "${stages.world}/demos.jsonl"]
 *         inputs: [words.txt]             # files whose contents count, relative to this file
 *         outputs: [demos.jsonl]          # must be there afterwards, in the stage's folder
 *         show: demos.jsonl               # printed afterwards: a text, or the first row's texts
 *       - name: sft
 *         program: sft                    # sft, reward, ppo take a config and overrides, no args
 *         config: sft.yaml                # relative to this file
 *         overrides: {data.train: "${stages.world}/demos.jsonl", training.max_steps: 100}
 *         needs: [world]                  # besides those whose folder it names
 *     table:                              # at the end: mean and 95 % interval over the seeds
 *       columns: [SFT, PPO]               # default: one column
 *       rows: {fluent: "judge/summary.json:${column}.fluent",  # one cell for all columns
 *              loss:   ["sft:eval_loss", null]}                # or each by itself
 *     result: judge_ppo/result.json       # the report's own part (train/report/page.h), first seed
 *     next: ["hone chat ${stages.ppo} --compare ${stages.sft}"]
 *
 * `extends: FILE.yaml`, a file beside this one: its stages come first, then those of this file; its
 * variables are the defaults of this one's; every other key that this file gives goes before its.
 *
 * Words in ${}: seed; out, the seed's folder; output_dir; dir, the folder of this file;
 * stages.NAME, the folder of that stage or of an earlier one; a variable. `$${` is a plain `${`. A
 * trainer gets output_dir (its folder) and, unless its overrides give one, seed.
 *
 * On the command line: name=, output_dir=, seeds=, VARIABLE=, STAGE.key= (an override). */
#ifndef HONE_TOOLS_EXPERIMENT_H
#define HONE_TOOLS_EXPERIMENT_H

#include "core/io/yaml.h"
#include "core/str.h"

#define EXPERIMENT_COLUMN "${column}"

/* Nodes belong to the experiment; NULL where the key is not given. */
typedef struct ExperimentStage {
    const char *name;
    const YamlNode *at; /* the name, for messages */
    const YamlNode *program, *config, *show;
    const YamlNode *overrides;               /* mapping */
    const YamlNode *args, *inputs, *outputs; /* sequences of scalars */
    bool is_trainer;                         /* sft, reward, ppo: resumes by itself */
    bool *needs;                             /* [n_stages] as listed */
} ExperimentStage;

typedef struct Experiment {
    YamlStore *store;
    YamlErrors errors;
    const char *file;
    char *folder;     /* of the file */
    const char *name; /* default: the file's name */
    const char *output_dir;
    int64_t *seeds; /* [n_seeds] */
    int n_seeds;
    YamlNode *variables; /* mapping or NULL */
    ExperimentStage *stages;
    int n_stages;
    const YamlNode *columns, *rows; /* of the table: sequence, mapping */
    const YamlNode *result, *next;  /* scalar, sequence */
} Experiment;

/* Reads the file and the `key=value` arguments. ERR_INPUT, ERR_IO; what is wrong in it is
 * collected: ask experiment_errors. */
Status experiment_open(Experiment **out, const char *file, const char *const *arguments,
                       int n_arguments);
void experiment_close(Experiment *e);
/* OK when there are none; else ERR_CONFIG: all but the last are logged, the last is the message. */
Status experiment_errors(Experiment *e);

int experiment_stage(const Experiment *e, const char *name); /* -1: none */
/* The caller mem_free's them. */
char *experiment_seed_folder(const Experiment *e, int64_t seed);
char *experiment_stage_folder(const Experiment *e, int64_t seed, int stage);

/* Who asks for a text, and what it may name. */
typedef struct ExperimentScope {
    Experiment *e;
    int64_t seed;
    int stage;     /* names itself and earlier ones; n_stages: all of them */
    bool symbolic; /* words for folders stay as they are: the text says what is done, not where */
    bool *uses;    /* [n_stages] set for every stage named; may be NULL */
} ExperimentScope;

/* The text of a scalar with its ${} replaced; errors are collected at the node. The caller
 * mem_free's it. */
char *experiment_expand(const ExperimentScope *s, const YamlNode *scalar);
/* The same for a value of any kind, as one line that the programs read as an argument's value. */
char *experiment_value(const ExperimentScope *s, const YamlNode *value);

#endif
