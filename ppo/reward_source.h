/* reward_source: where scores come from: reward models, built-in functions, outside programs;
 * several are summed with their weights. */
#ifndef HONE_PPO_REWARD_SOURCE_H
#define HONE_PPO_REWARD_SOURCE_H

#include "core/io/json.h"
#include "core/status.h"
#include "data/tokenizer/tokenizer.h"
#include "model/model.h"
#include "train/config/config.h"

/* One finished response. Texts are NUL-terminated and borrowed. */
typedef struct RewardQuery {
    const char *prompt, *response;            /* without special tokens */
    const char *row;                          /* the data row as JSON, for what else it holds */
    const int32_t *prompt_ids, *response_ids; /* stop token included */
    int64_t n_prompt, n_response;
    bool ended; /* by a stop token */
} RewardQuery;

/* Scores n queries into out[n], in order. *answered: how many of them, from the first, have a
 * score; n when the status is OK. */
typedef struct RewardScorer {
    Status (*score)(void *self, double *out, const RewardQuery *queries, int64_t n,
                    int64_t *answered);
    void (*close)(void *self);
    void *self;
    double weight;
} RewardScorer;

/* A built-in function (reward_function.c); the config has checked name and arguments. */
void reward_function_open(RewardScorer *out, const RewardSource *config);

/* An outside program (reward_command.c): started here, gets {"prompt", "response", "row"} a line on
 * its standard input, answers a number a line on its standard output, flushed. It stays alive
 * between updates, ends when its input does, and hears no Ctrl-C. ERR_INPUT when it cannot be
 * started; from scoring ERR_DATA when a line is no number, one is too many, it ends early, or an
 * answer takes longer than timeout_s; ERR_STOPPED after a signal, with the answers so far. */
Status reward_command_open(RewardScorer *out, const RewardSource *config);

/* A reward model (reward_model.c) over an open role; with another tokenizer than the policy's the
 * text is tokenised again. `tok` NULL: the same one. pass and role are borrowed. */
typedef struct RewardModelOptions {
    Pass *pass;
    Role role;            /* head: the score */
    const Tokenizer *tok; /* the reward model's, when it is another one; owned by the caller */
    int64_t max_rows, max_seqs; /* of a pass */
} RewardModelOptions;
Status reward_model_open(RewardScorer *out, const RewardModelOptions *options, double weight);

/* out[n] = sum of weight * score over all scorers. Non-finite scores are ERR_DATA. *answered: how
 * many, from the first, have their whole sum. */
Status reward_score_all(const RewardScorer *scorers, int n_scorers, double *out,
                        const RewardQuery *queries, int64_t n, int64_t *answered);

#endif
