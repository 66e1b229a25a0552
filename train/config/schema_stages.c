/* sft, reward, ppo: what belongs to one stage alone. */
#include "train/config/schema.h"

#define ROW(path_, type_, field, default_, range_, ...)                                    \
    {                                                                                      \
        .path = path_, .type = type_, .offset = offsetof(Config, field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                \
    }

const Key SFT_KEYS[] = {
    ROW("sft.completion_only_loss", KEY_TRI, sft.completion_only_loss, "null", NULL,
        "Learn the completion only; null is true for rows that have one.", .flat = "."),
    ROW("sft.assistant_only_loss", KEY_BOOL, sft.assistant_only_loss, "false", NULL,
        "Learn the assistant's turns only; the chat template must mark them.", .flat = "."),
    ROW("sft.loss_type", KEY_CHOICE, sft.loss_type, "chunked_nll", "chunked_nll|nll|dft",
        "nll and chunked_nll are the same cross-entropy here; dft weights each token by its "
        "probability.",
        .flat = "."),
};
const size_t N_SFT_KEYS = COUNT_OF(SFT_KEYS);

const Key REWARD_KEYS[] = {
    ROW("reward.center_rewards_coefficient", KEY_REAL, reward.center_rewards_coefficient, "null",
        "[0, inf)", "Weight of (chosen + rejected)^2, which keeps rewards near 0; 0.01 is usual.",
        .flat = ".", .flags = KEY_NULLABLE),
    ROW("reward.disable_dropout", KEY_BOOL, reward.disable_dropout, "true", NULL,
        "Train without the model's dropout.", .flat = "."),
};
const size_t N_REWARD_KEYS = COUNT_OF(REWARD_KEYS);

#define FIELD(path_, type_, field, default_, range_, ...)                                        \
    {                                                                                            \
        .path = path_, .type = type_, .offset = offsetof(RewardSource, field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                      \
    }

static const Key REWARD_SOURCE_KEYS[] = {
    FIELD("model", KEY_TEXT, model, "null", NULL,
          "A reward model: a folder, or the run folder of `reward`.", .flags = KEY_NULLABLE),
    FIELD("function", KEY_CHOICE, function, "null",
          "null|length|contains|count|starts_with|ends|matches_field",
          "A built-in function; its arguments stand beside it."),
    FIELD("command", KEY_COMMAND, command, "[]", NULL,
          "A program that reads JSON lines {prompt, response} and answers a number a line; a list "
          "of words, or one text for the shell."),
    FIELD("url", KEY_TEXT, url, "null", NULL, "An HTTP endpoint that is asked the same way.",
          .flags = KEY_NULLABLE),
    FIELD("weight", KEY_REAL, weight, "1", "(-inf, inf)", "Factor in the sum of several rewards."),
    FIELD("timeout_s", KEY_REAL, timeout_s, "60", "(0, 86400]",
          "Longest wait for an answer of a command or endpoint."),
    FIELD("args", KEY_PAIRS, args, "{}", NULL, "Arguments of a built-in function.",
          .flags = KEY_REST),
};
static const Record REWARD_SOURCE = {sizeof(RewardSource), REWARD_SOURCE_KEYS,
                                     COUNT_OF(REWARD_SOURCE_KEYS)};

#define PPO(name, type_, field, default_, range_, ...) \
    ROW("ppo." name, type_, ppo.field, default_, range_, __VA_ARGS__, .flat = ".")

const Key PPO_KEYS[] = {
    ROW("ppo.reward", KEY_RECORDS, ppo.reward, "[]", NULL,
        "Where the reward comes from: {model: PATH}, {function: NAME, ...}, {command: [...]} or "
        "{url: ...}; several in a list are summed by weight.",
        .record = &REWARD_SOURCE),
    PPO("sft_model_path", KEY_TEXT, sft_model_path, "null", NULL,
        "TRL: the policy to start from; model_name_or_path beside it then only names the "
        "tokenizer.",
        .flags = KEY_NULLABLE),
    ROW("ppo.value.model", KEY_TEXT, ppo.value_model, "null", NULL,
        "Where the value model starts: reward, policy, or the path of a reward model or of a model "
        "with "
        "a value head, made by ppo or by TRL; null is reward where the reward is a model, else "
        "policy.",
        .flags = KEY_NULLABLE),
    ROW("ppo.num_ppo_epochs", KEY_INT, ppo.num_ppo_epochs, "4", "[1, 10000]",
        "Passes over each rollout batch.", .flat = "num_ppo_epochs,ppo_epochs"),
    PPO("num_mini_batches", KEY_INT, num_mini_batches, "1", "[1, 1000000]",
        "Optimizer steps in a pass: the rollout batch is cut into so many."),
    PPO("total_episodes", KEY_INT, total_episodes, "null", "[1, 9007199254740992]",
        "Responses generated in the whole run; null is num_train_epochs times the prompts.",
        .flags = KEY_NULLABLE),
    PPO("local_rollout_forward_batch_size", KEY_INT, local_rollout_forward_batch_size, "64",
        "[1, 1000000]", "Rows generated and scored at once; does not change the result.",
        .flags = KEY_FREE),
    PPO("num_sample_generations", KEY_INT, num_sample_generations, "10", "[0, 1000000]",
        "How often in the run samples are shown and written; 0 is never."),
    PPO("response_length", KEY_INT, response_length, "53", "[1, 1000000]",
        "Most new tokens of a response."),
    PPO("stop_token", KEY_CHOICE, stop_token, "eos", "null|eos",
        "eos ends a response at any of the model's end tokens; null generates to response_length.",
        .trl = "null, which a flat file keeps"),
    PPO("stop_token_id", KEY_INT, stop_token_id, "null", "[0, 2147483647]",
        "Another token that ends a response.", .flags = KEY_NULLABLE),
    PPO("temperature", KEY_REAL, temperature, "0.7", "(0, 1000]",
        "Of sampling, and divisor of the logits in every log-probability."),
    PPO("top_k", KEY_INT, top_k, "0", "[0, 10000000]",
        "Sample among the k likeliest tokens; 0 is off."),
    PPO("top_p", KEY_REAL, top_p, "1", "(0, 1]",
        "Sample among the likeliest tokens that hold this share; 1 is off."),
    PPO("missing_eos_penalty", KEY_REAL, missing_eos_penalty, "null", "(0, inf)",
        "Taken from the score of a response that does not end; null is off.",
        .flags = KEY_NULLABLE),
    PPO("kl_coef", KEY_REAL, kl_coef, "0.05", "[0, inf)",
        "Weight of the KL penalty to the reference model."),
    PPO("kl_estimator", KEY_CHOICE, kl_estimator, "k1", "k1|k3",
        "k1 is log p - log q, k3 the one that is never negative."),
    PPO("kl_penalty", KEY_CHOICE, kl_penalty, "null", "null|kl|abs|mse|full",
        "The classic trainer's estimators; full is the KL of the whole distributions, not of the "
        "sampled token. null leaves it to kl_estimator."),
    PPO("adap_kl_ctrl", KEY_BOOL, adap_kl_ctrl, "false", NULL,
        "Let the KL weight follow `target` (on in the classic trainer)."),
    PPO("init_kl_coef", KEY_REAL, init_kl_coef, "0.2", "[0, inf)",
        "KL weight at the start, with adap_kl_ctrl."),
    PPO("target", KEY_REAL, target, "6", "(0, inf)",
        "KL of a response, in nats, that adap_kl_ctrl steers to."),
    PPO("horizon", KEY_REAL, horizon, "10000", "(0, inf)",
        "Episodes over which it steers; larger is slower."),
    PPO("early_stopping", KEY_TRI, early_stopping, "null", NULL,
        "Leave a rollout's passes when the policy has moved by 1.5 target_kl; null is on where "
        "target_kl is given."),
    PPO("target_kl", KEY_REAL, target_kl, "null", "(0, inf)",
        "See early_stopping; 1 where early_stopping is on and this is null.",
        .flags = KEY_NULLABLE),
    PPO("ratio_threshold", KEY_REAL, ratio_threshold, "null", "(0, inf)",
        "A minibatch whose mean ratio is above this is left out (10 in the classic trainer).",
        .flags = KEY_NULLABLE),
    PPO("cliprange", KEY_REAL, cliprange, "0.2", "(0, inf)", "Clip of the policy's ratio."),
    PPO("cliprange_value", KEY_REAL, cliprange_value, "0.2", "(0, inf)", "Clip of a value's move."),
    PPO("vf_coef", KEY_REAL, vf_coef, "0.1", "[0, inf)", "Weight of the value loss."),
    PPO("gamma", KEY_REAL, gamma, "1", "[0, 1]", "Discount."),
    PPO("lam", KEY_REAL, lam, "0.95", "[0, 1]", "Lambda of the advantage estimate."),
    PPO("whiten_rewards", KEY_BOOL, whiten_rewards, "false", NULL,
        "Scale rewards of a rollout to variance 1, keeping the mean."),
    PPO("use_score_scaling", KEY_BOOL, use_score_scaling, "false", NULL,
        "Divide scores by their running standard deviation."),
    PPO("use_score_norm", KEY_BOOL, use_score_norm, "false", NULL,
        "With use_score_scaling: take the running mean off first."),
    PPO("score_clip", KEY_REAL, score_clip, "null", "(0, inf)",
        "Cut scores to plus and minus this.", .flags = KEY_NULLABLE),
    ROW("ppo.trl_compat", KEY_BOOL, ppo.trl_compat, "false", NULL,
        "Reproduce TRL 1.9.2 step by step, defects included, to compare traces."),
};
const size_t N_PPO_KEYS = COUNT_OF(PPO_KEYS);
