/* ppo_train: one update of PPO (Schulman et al. 2017; Ziegler et al. 2019), and where it stands
 * inside it.
 *
 *     1 sample      each prompt of the batch is answered by the policy
 *     2 score       the reward answers once a row; reference log-probs and values by the training
 *                   forward, whose bits the sampled log-probs already have
 *     3 shape       score on the last token, KL penalty a token, advantages, whitening over the
 *                   whole batch
 *     4 optimise    num_ppo_epochs times num_mini_batches optimizer steps
 *     5 control     the KL coefficient moves
 *
 * The update may be left at any point between two rows, two minibatches, or two phases, and goes on
 * there: what it needs for that is state (ppo_trainer_register).
 */
#ifndef HONE_PPO_PPO_TRAIN_H
#define HONE_PPO_PPO_TRAIN_H

#include "ppo/kl_control.h"
#include "ppo/ppo_batch.h"
#include "ppo/ppo_loss.h"
#include "ppo/reward_source.h"
#include "ppo/roles.h"
#include "ppo/shaping.h"
#include "train/optim.h"
#include "train/report/metrics.h"

/* Sums over the minibatches (trl_compat: micro-batches) of an update. */
typedef struct UpdateSums {
    double approxkl, policykl, clipfrac, value_clipfrac, policy_loss, value_loss, entropy, ratio,
        ratio_squares;
    double count;      /* how many were added */
    double grad_norm;  /* of the last optimizer step */
    double skipped;    /* optimizer steps left out by ratio_threshold */
    double stopped;    /* 1: target_kl ended the epochs */
    double logp_shift; /* largest |log-prob - old| in the first minibatch, before any step */
} UpdateSums;

typedef enum PpoPhase { PPO_PHASE_ROLLOUT, PPO_PHASE_OPTIMISE } PpoPhase;

typedef struct PpoTrainer {
    const PpoConfig *config;
    PpoRoles *roles;
    Pass *pass;
    Generator *generator;
    Optim *optim;
    const Dataset *data;
    BatchOrder order;     /* which prompt comes when */
    int64_t micro_rows;   /* per_device_train_batch_size: rows of a micro-batch */
    int64_t accumulation; /* micro-batches of the whole batch */
    Rollout *rollout;
    Trajectory *trajectory;
    PpoBatch *batch;
    RewardScorer scorers[PPO_MAX_REWARDS];
    int n_scorers;
    const Tokenizer *tok;
    RolloutSampling sampling;
    PassOptions pass_options;
    KlForm kl_form;
    ScoreShaping shaping;
    int64_t *items, *permutation; /* [n] */
    double *logp, *value;         /* [max rows of a pass] */
    /* state: where the update stands */
    int64_t rollout_of; /* update whose rows the rollout holds, plus 1; 0: none */
    int64_t phase, epoch, minibatch;
    int64_t episode;
    KlControl kl;
    ScoreMoments moments;
    UpdateSums sums;
    Tensor view[10]; /* the trajectory's arrays, for the registry */
} PpoTrainer;

void ppo_trainer_register(PpoTrainer *t, State *state);

/* Rows of an update. */
int64_t ppo_batch_rows(const PpoTrainer *t);

/* Update number `update` (from 0) at rate lr, from wherever it stands. ERR_STOPPED when a signal
 * came: save and leave. ERR_NUMERIC when a gradient is not finite. */
Status ppo_update(PpoTrainer *t, int64_t update, double lr);
/* TRL's names, after a whole update. `seconds`: of the run so far in this process, for eps. */
void ppo_log_update(Metrics *m, const PpoTrainer *t, double lr, double episodes_per_second);

/* After the update was logged with the coefficient that it used: the controller moves. */
void ppo_control(PpoTrainer *t);

/* Samples every prompt of `data` at temperature 0.01 (TRL) and scores it: mean score, mean length,
 * share ended; rows for samples.jsonl go to on_sample (may be NULL), at most max_samples.
 * ERR_STOPPED when a signal came. */
typedef struct PpoEval {
    double score, length, ended;
    int64_t rows;
} PpoEval;
typedef struct PpoSampleSink {
    Status (*on_sample)(void *ctx, const char *query, const char *response, double score);
    void *ctx;
    int64_t max_samples;
} PpoSampleSink;
Status ppo_evaluate(PpoEval *out, PpoTrainer *t, const Dataset *data, int64_t max_rows,
                    const PpoSampleSink *sink);

#endif
