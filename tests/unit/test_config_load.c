/* Files, includes, env, flat TRL files, the command line, and what comes out of it all. */
#include "config_case.h"
#include "train/config/schema.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

static void assert_log(const ConfigCase *c, const char *part) {
    if (!strstr(str_text(&c->log), part)) fail_msg("no `%s` in: %s", part, str_text(&c->log));
}

/* Loading `yaml` fails with this status and these parts of lines. */
static void assert_refused(Stage stage, const char *yaml, const char *part) {
    ConfigCase c = config_case(stage, yaml, NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    assert_log(&c, part);
    config_case_close(&c);
}

#define TREE "model: {path: m}\ndata: {train: no-such-d.jsonl}\n"
#define PPO_TREE "model: {path: m}\ndata: {train: no-such-d.jsonl}\n"
#define FLAT "model_name_or_path: m\ndataset_name: no-such-d\n"

/* ---- the tree ---- */

static void test_config_load__a_tree_reaches_the_structs(void **state) {
    (void)state;
    ConfigCase c =
        config_case(STAGE_SFT,
                    "seed: 7\noutput_dir: runs/x\nmodel: {path: m, dtype: bfloat16}\n"
                    "peft: {r: 4, target_modules: all-linear}\n"
                    "data:\n  train:\n    - a.jsonl\n    - {path: b, split: test, weight: 0.5,\n"
                    "       columns: {prompt: question}}\n  max_length: null\n"
                    "training: {learning_rate: 2e-04, warmup_steps: 0.1, lr_scheduler_type: "
                    "cosine_with_min_lr,\n"
                    "  lr_scheduler_kwargs: {min_lr_rate: 0.1}, num_train_epochs: 1_0}\n",
                    NULL);
    assert_int_equal(c.status, OK);
    assert_int_equal(c.cfg->action, CONFIG_TRAIN);
    assert_int_equal(c.cfg->run.seed, 7);
    assert_int_equal(c.cfg->training.data_seed, 7);
    assert_int_equal(c.cfg->model.dtype, MODEL_BF16);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_LORA);
    assert_string_equal(c.cfg->peft.target_modules.items[0], "all-linear");
    assert_true(c.cfg->peft.lora_dropout == 0.05);
    assert_int_equal(c.cfg->data.train.n, 2);
    assert_string_equal(c.cfg->data.train.items[0].path, "a.jsonl");
    assert_string_equal(c.cfg->data.train.items[0].format, "auto");
    assert_true(c.cfg->data.train.items[1].weight == 0.5);
    assert_string_equal(config_pair(&c.cfg->data.train.items[1].columns, "prompt"), "question");
    assert_true(c.cfg->data.max_length == CONFIG_NULL_INT);
    assert_true(c.cfg->training.learning_rate == 2e-4);
    assert_true(c.cfg->training.num_train_epochs == 10);
    assert_int_equal(c.cfg->training.lr_scheduler_type, LR_COSINE_WITH_MIN_LR);
    assert_true(config_pair_number(&c.cfg->training.lr_scheduler_kwargs, "min_lr_rate", 0) == 0.1);
    assert_int_equal(c.cfg->training.bf16, TRI_NULL);
    assert_int_equal(c.cfg->run.resume, RESUME_AUTO);
    config_case_close(&c);
}

static void test_config_load__rewards_of_every_kind(void **state) {
    (void)state;
    ConfigCase c =
        config_case(STAGE_PPO,
                    PPO_TREE "ppo:\n  reward:\n    - runs/reward\n"
                             "    - {function: count, text: ', ', target: 3, weight: -2}\n"
                             "    - {command: [./r, --x]}\n"
                             "    - {command: 'grep -c a'}\n",
                    NULL);
    assert_int_equal(c.status, OK);
    const RewardSource *r = c.cfg->ppo.reward.items;
    assert_int_equal(c.cfg->ppo.reward.n, 4);
    assert_int_equal(r[0].kind, REWARD_MODEL);
    assert_string_equal(r[0].model, "runs/reward");
    assert_int_equal(r[1].kind, REWARD_FUNCTION);
    assert_int_equal(r[1].function, REWARD_FN_OCCURRENCES);
    assert_true(r[1].weight == -2);
    assert_string_equal(config_pair(&r[1].args, "text"), ", ");
    assert_true(config_pair_number(&r[1].args, "target", 0) == 3);
    assert_int_equal(r[2].kind, REWARD_COMMAND);
    assert_string_equal(r[2].command.items[1], "--x");
    assert_string_equal(r[3].command.items[0], "/bin/sh");
    assert_string_equal(r[3].command.items[2], "grep -c a");
    assert_string_equal(c.cfg->ppo.value_model, "reward");
    config_case_close(&c);
    assert_refused(STAGE_PPO, PPO_TREE "ppo: {reward: {model: a, function: ends}}\n",
                   "needs one of");
    assert_refused(STAGE_PPO, PPO_TREE "ppo: {reward: {weight: 2}}\n", "needs one of");
    assert_refused(STAGE_PPO, PPO_TREE "ppo: {reward: {model: a, wieght: 2}}\n",
                   "did you mean `weight`?");
}

/* ---- layers ---- */

static void test_config_load__arguments_override_the_file(void **state) {
    (void)state;
    ConfigCase c = config_case(
        STAGE_SFT, TREE "training: {learning_rate: 1}\n", "training.learning_rate=2",
        "learning_rate=3", "--learning_rate", "4e-3", "--output-dir=o",
        "--gradient_accumulation_steps", "2", "--no_gradient_checkpointing", "--packing",
        "data.train.format=text", "--lora_target_modules", "q_proj", "v_proj", "--use_peft",
        "training.lr_scheduler_kwargs.num_cycles=2", "lr_scheduler_type=cosine", "--resume=never",
        "--max_steps", "-1", "run_name=a: b # c", NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    assert_true(c.cfg->training.learning_rate == 4e-3);
    assert_string_equal(c.cfg->run.output_dir, "o");
    assert_string_equal(c.cfg->run.run_name, "a: b # c");
    assert_int_equal(c.cfg->training.gradient_accumulation_steps, 2);
    assert_false(c.cfg->training.gradient_checkpointing);
    assert_true(c.cfg->data.packing);
    assert_string_equal(c.cfg->data.train.items[0].path, "no-such-d.jsonl");
    assert_string_equal(c.cfg->data.train.items[0].format, "text");
    assert_int_equal(c.cfg->peft.target_modules.n, 2);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_LORA);
    assert_int_equal(c.cfg->run.resume, RESUME_NEVER);
    assert_int_equal(c.cfg->training.max_steps, -1);
    config_case_close(&c);
}

static void test_config_load__an_item_of_a_list_is_overridden_by_number(void **state) {
    (void)state;
    const char *yaml = "model: {path: m}\ndata: {train: [a, b]}\n";
    ConfigCase c = config_case(STAGE_SFT, yaml, "data.train.1.weight=2", NULL);
    assert_int_equal(c.status, OK);
    assert_string_equal(c.cfg->data.train.items[1].path, "b");
    assert_true(c.cfg->data.train.items[1].weight == 2);
    config_case_close(&c);
    c = config_case(STAGE_SFT, yaml, "data.train.weight=2", NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    assert_log(&c, "is a list of 2; say which, as in `data.train.0.weight`");
    config_case_close(&c);
}

static void test_config_load__usage_errors(void **state) {
    (void)state;
    static const char *const CASES[][3] = {
        {"--learning_rte", "1", "did you mean `--learning_rate`?"},
        {"--validat", NULL, "did you mean `--validate`?"},
        {"--dryrun", NULL, "did you mean `--dry-run`?"},
        {"--learning_rate", NULL, "`--learning_rate` needs a value"},
        {"other.yaml", NULL, "two configs"},
        {"--config", NULL, "`--config` needs a file"},
        {"--zzzzzzzzzzzzzz", NULL, "see --help"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        ConfigCase c = config_case(STAGE_SFT, TREE, CASES[i][0], CASES[i][1], NULL);
        assert_int_equal(c.status, ERR_USAGE);
        assert_log(&c, CASES[i][2]);
        config_case_close(&c);
    }
    ConfigCase c = config_case(STAGE_SFT, NULL, NULL);
    assert_int_equal(c.status, ERR_USAGE);
    config_case_close(&c);
    c = config_case(STAGE_SFT, NULL, "no/such.yaml", NULL);
    assert_int_equal(c.status, ERR_INPUT);
    config_case_close(&c);
    c = config_case(STAGE_SFT, TREE, "learning_rte=1", NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    assert_log(&c, "argument `learning_rte=1`: unknown key");
    config_case_close(&c);
    c = config_case(STAGE_SFT, TREE, "x=1",
                    NULL); /* is near to no name, also to none of a letter */
    assert_log(&c, "unknown key `x`; --help lists all keys");
    config_case_close(&c);
}

static void test_config_load__includes_are_laid_under_the_file(void **state) {
    (void)state;
    ConfigCase c = {.folder = scratch_new()};
    char *base = file_join(c.folder, "sub");
    assert_int_equal(file_make_folders(base), OK);
    mem_free(scratch_text(c.folder, "sub/more.yaml", "training: {weight_decay: 3}\nseed: 3\n"));
    mem_free(scratch_text(c.folder, "sub/base.yaml",
                          "include: more.yaml\nmodel: {path: m}\nseed: 2\n"
                          "training: {learning_rate: 2}\n"));
    char *path = scratch_text(c.folder, "a.yaml",
                              "include: [sub/base.yaml]\ndata: {train: d}\nlearning_rate: 1\n");
    char program[] = "program", *argv[] = {program, path};
    config_case_run(&c, STAGE_SFT, 2, argv);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    assert_true(c.cfg->training.learning_rate == 1);
    assert_int_equal(c.cfg->run.seed, 2);
    assert_true(c.cfg->training.weight_decay == 3);
    mem_free(path);
    mem_free(base);
    config_case_close(&c);
}

static void test_config_load__include_cycles_and_missing_files_are_refused(void **state) {
    (void)state;
    assert_refused(STAGE_SFT, "include: a.yaml\n" TREE, "a.yaml:1:10: ");
    assert_refused(STAGE_SFT, "include: a.yaml\n" TREE, "includes itself");
    assert_refused(STAGE_SFT, "include: [none.yaml]\n" TREE, "there is no file");
    assert_refused(STAGE_SFT, "include: {a: b}\n" TREE, "takes a path or a list");
}

static void test_config_load__env_is_set_before_values_are_read(void **state) {
    (void)state;
    unsetenv("HONE_TEST_A");
    unsetenv("HONE_TEST_B");
    ConfigCase c = config_case(
        STAGE_SFT, TREE "env: {HONE_TEST_A: x}\noutput_dir: runs/${env:HONE_TEST_A}-1\n", NULL);
    assert_int_equal(c.status, OK);
    assert_string_equal(c.cfg->run.output_dir, "runs/x-1");
    assert_string_equal(getenv("HONE_TEST_A"), "x");
    config_case_close(&c);
    assert_refused(STAGE_SFT, TREE "run_name: ${env:HONE_TEST_B}\n",
                   "the environment has no `HONE_TEST_B`");
    assert_refused(STAGE_SFT, TREE "env: [a]\n", "`env` must be a mapping");
}

/* ---- flat TRL files ---- */

static void test_config_load__a_flat_trl_file_is_accepted_as_it_is(void **state) {
    (void)state;
    ConfigCase c = config_case(
        STAGE_SFT,
        "model_name_or_path: Qwen/Qwen2.5-0.5B\nmodel_revision: main\ndtype: auto\n"
        "dataset_name: trl-lib/Capybara\ndataset_train_split: train\ndataset_num_proc: 4\n"
        "learning_rate: 2.0e-4\nnum_train_epochs: 1\npacking: true\nper_device_train_batch_size: "
        "2\n"
        "gradient_accumulation_steps: 8\ngradient_checkpointing: true\n"
        "gradient_checkpointing_kwargs: {use_reentrant: false}\neval_strategy: steps\neval_steps: "
        "100\n"
        "use_peft: true\nlora_r: 32\nlora_alpha: 16\nlora_target_modules: [q_proj]\n"
        "lora_task_type: CAUSAL_LM\noptim: adamw_torch_fused\nwarmup_ratio: 0.03\nbf16: true\n"
        "fp16: false\nreport_to: none\nsave_strategy: epoch\nlr_scheduler_type: cosine\n"
        "lr_scheduler_kwargs: '{\"num_cycles\": 0.5}'\nattn_implementation: flash_attention_2\n"
        "train_sampling_strategy: sequential\nseed: 1\noutput_dir: out\nlogging_steps: 0.05\n"
        "env: {WANDB_PROJECT: x}\n",
        NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    const Config *cfg = c.cfg;
    assert_int_equal(cfg->model.dtype, MODEL_DTYPE_AUTO);
    assert_string_equal(cfg->data.train.items[0].path, "trl-lib/Capybara");
    assert_string_equal(cfg->data.train.items[0].split, "train");
    assert_string_equal(cfg->data.eval.items[0].split, "test");
    assert_int_equal(cfg->peft.peft_type, PEFT_LORA);
    assert_int_equal(cfg->peft.r, 32);
    assert_true(cfg->training.warmup_steps == 0.03);
    assert_int_equal(cfg->training.bf16, TRI_YES);
    assert_int_equal(cfg->run.report_to.n, 0);
    assert_false(cfg->data.shuffle);
    assert_true(cfg->training.eval_steps == 100);
    assert_log(&c, "without effect here: dataset_num_proc");
    config_case_close(&c);
    c = config_case(STAGE_SFT, FLAT "report_to: [tensorboard, wandb]\n", NULL);
    assert_int_equal(c.cfg->run.report_to.n, 2);
    assert_log(&c, "report_to: wandb: only the local logs are written");
    config_case_close(&c);
}

static void test_config_load__lora_options_wait_for_use_peft_in_a_flat_file(void **state) {
    (void)state;
    ConfigCase c = config_case(STAGE_SFT, FLAT "lora_r: 8\n", NULL);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_NONE);
    config_case_close(&c);
    c = config_case(STAGE_SFT, FLAT "use_peft: false\nlora_r: 8\n", NULL);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_NONE);
    config_case_close(&c);
    c = config_case(STAGE_SFT, TREE "peft: {r: 8}\n", NULL);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_LORA);
    config_case_close(&c);
    c = config_case(STAGE_SFT, TREE "peft: {r: 8}\n", "use_peft=false", NULL);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_NONE);
    config_case_close(&c);
    c = config_case(STAGE_SFT, TREE "peft: {peft_type: null, r: 8}\n", NULL);
    assert_int_equal(c.cfg->peft.peft_type, PEFT_NONE);
    config_case_close(&c);
}

static void test_config_load__an_option_is_named_once(void **state) {
    (void)state;
    assert_refused(
        STAGE_SFT, TREE "training: {learning_rate: 1}\nlearning_rate: 2\n",
        "a.yaml:4:1: `learning_rate` names the same option as `learning_rate` in line 3");
    assert_refused(STAGE_SFT, TREE "model_name_or_path: x\n", "names the same option as `path`");
    assert_refused(STAGE_SFT, TREE "dataset_name: x\n", "names the same option as `train`");
    assert_refused(STAGE_SFT, FLAT "warmup_steps: 1\nwarmup_ratio: 0.1\n", "names the same option");
    assert_refused(STAGE_SFT, FLAT "learning_rate: 1\nlearning_rate: 2\n", "is given twice");
}

static void test_config_load__stop_token_is_eos_in_a_tree_only(void **state) {
    (void)state;
    ConfigCase c = config_case(STAGE_PPO, PPO_TREE "ppo: {reward: m}\n", NULL);
    assert_int_equal(c.cfg->ppo.stop_token, STOP_TOKEN_EOS);
    config_case_close(&c);
    c = config_case(STAGE_PPO, FLAT "reward_model_path: m\n", NULL);
    assert_int_equal(c.cfg->ppo.stop_token, STOP_TOKEN_NULL);
    assert_string_equal(c.cfg->ppo.reward.items[0].model, "m");
    config_case_close(&c);
    c = config_case(STAGE_PPO, FLAT, "ppo.reward.function=ends", NULL);
    assert_int_equal(c.cfg->ppo.stop_token, STOP_TOKEN_NULL);
    config_case_close(&c);
    c = config_case(STAGE_PPO, FLAT "reward_model_path: m\nstop_token: eos\n", NULL);
    assert_int_equal(c.cfg->ppo.stop_token, STOP_TOKEN_EOS);
    config_case_close(&c);
    c = config_case(STAGE_PPO, PPO_TREE "ppo: {reward: m, stop_token_id: 5}\n", NULL);
    assert_int_equal(c.cfg->ppo.stop_token, STOP_TOKEN_NULL);
    config_case_close(&c);
}

/* ---- rules ---- */

static void test_config_load__contradictions_are_errors(void **state) {
    (void)state;
    static const struct {
        Stage stage;
        const char *yaml, *part;
    } CASES[] = {
        {STAGE_SFT, "seed: 1\n", "`model.path` is missing"},
        {STAGE_SFT, "seed: 1\n", "`data.train` is missing"},
        {STAGE_SFT, "model: {path: m, config: c.json}\ndata: {train: d}\n",
         "`model.config` stands"},
        {STAGE_SFT, "model: {config: c.json}\ndata: {train: d}\n", "`model.tokenizer` is missing"},
        {STAGE_SFT, TREE "device: gpu\n", "a.yaml:3:1: `device` must be auto, cpu"},
        {STAGE_SFT, TREE "device: cuda:x\n", "`device` must be"},
        {STAGE_SFT, TREE "packing: true\nmax_length: null\n",
         "`data.packing` needs data.max_length"},
        {STAGE_SFT, TREE "load_best_model_at_end: true\n", "the best step is asked for"},
        {STAGE_SFT, TREE "eval_strategy: epoch\n", "there is nothing to evaluate on"},
        {STAGE_SFT, TREE "early_stopping_threshold: 1\n", "does nothing without early_stopping"},
        {STAGE_SFT, TREE "bnb_4bit_blocksize: 96\n", "must be a power of two"},
        {STAGE_SFT, TREE "bnb_4bit_blocksize: 16\n", "must be in [32, 4096]"},
        {STAGE_SFT, TREE "bnb_4bit_quant_type: nf5\n", "must be nf4 or fp4"},
        {STAGE_SFT, TREE "bnb_4bit_compute_dtype: int8\n", "must be float32, bfloat16"},
        {STAGE_SFT, TREE "load_in_4bit: true\n", "needs an adapter to train"},
        {STAGE_SFT, TREE "load_in_4bit: true\nload_in_8bit: true\n", "stands beside load_in_4bit"},
        {STAGE_SFT, TREE "lr_scheduler_kwargs: {nonsense: 1}\n", "a.yaml:3:1: training.lr_sched"},
        {STAGE_SFT, TREE "lr_scheduler_type: cosine_with_min_lr\n",
         "a.yaml:3:1: training.lr_sched"},
        {STAGE_SFT, FLAT "lora_r: 0\n", "a.yaml:3:9: `lora_r (peft.r)` must be in [1, 65536]"},
        {STAGE_SFT, TREE "peft: {init_lora_weights: olora}\n", "must be true or gaussian"},
        {STAGE_SFT, TREE "label_smoothing_factor: 0.1\nloss_type: dft\n",
         "a.yaml:3:1: `training.label_smoothing_factor` does nothing"},
        {STAGE_REWARD, TREE "peft: {modules_to_save: [lm_head]}\n", "other modules than score"},
        {STAGE_SFT, TREE "peft: {use_dora: true}\n",
         "a.yaml:3:18: `peft.use_dora` can only be false"},
        {STAGE_SFT, TREE "push_to_hub: true\n", "nothing is sent anywhere"},
        {STAGE_SFT, TREE "kl_coef: 1\n", "`kl_coef` is an option of ppo, not of sft"},
        {STAGE_SFT, TREE "warmup_steps: 1.5\n", "a whole number of steps, or a share below 1"},
        {STAGE_SFT, TREE "warmup_ratio: 1.5\n", "`warmup_ratio` must be in [0, 1)"},
        {STAGE_SFT, TREE "train_sampling_strategy: group_by_length\n", "is not built"},
        {STAGE_SFT, TREE "training: 3\n", "`training` is a section"},
        {STAGE_SFT, "[1, 2]\n", "a config is a mapping"},
        {STAGE_SFT, "", "a config is a mapping"},
        {STAGE_PPO, PPO_TREE, "`ppo.reward` is missing"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, stop_token: eos, stop_token_id: 1}\n",
         "`ppo.stop_token_id` stands beside"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, kl_coef: 1, init_kl_coef: 2}\n", "but differ"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, target: 2}\n", "`ppo.target` does nothing"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, kl_penalty: abs, kl_estimator: k3}\n",
         "stands beside kl_estimator"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, use_score_norm: true}\n", "needs use_score_scaling"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: {function: ends}, value: {model: reward}}\n",
         "no reward is a model"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: m, num_mini_batches: 3}\n", "must divide"},
        {STAGE_PPO, PPO_TREE "ppo: {reward: {url: 'http://x'}}\n", "url is not built yet"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_refused(CASES[i].stage, CASES[i].yaml, CASES[i].part);
    }
}

/* Before anything is opened, with the place inside the entry. */
static void test_config_load__test_split_size_makes_evaluation_data(void **state) {
    (void)state;
    ConfigCase c =
        config_case(STAGE_SFT, "model: {path: m}\ndata: {train: d, test_split_size: 0.1}\n", NULL);
    assert_int_equal(c.status, OK);
    assert_int_equal(c.cfg->training.eval_strategy, STRATEGY_STEPS);
    assert_int_equal(c.cfg->data.eval.n, 1);
    assert_string_equal(c.cfg->data.eval.items[0].path, "d");
    assert_string_equal(c.cfg->data.eval.items[0].split, "train");
    config_case_close(&c);
    c = config_case(STAGE_SFT, FLAT "test_split_size: 0.1\n", NULL); /* TRL's default is no */
    assert_int_equal(c.status, OK);
    assert_int_equal(c.cfg->data.eval.n, 0);
    config_case_close(&c);
    c = config_case(STAGE_SFT, FLAT "test_split_size: 10\neval_strategy: epoch\n", NULL);
    assert_int_equal(c.cfg->data.eval.n, 1);
    config_case_close(&c);
    assert_refused(STAGE_SFT, "model: {path: m}\ndata: {train: d, eval: e, test_split_size: 3}\n",
                   "`data.test_split_size` stands beside data.eval");
    assert_refused(STAGE_SFT, TREE "test_split_size: 1.5\n", "a share below 1 or a whole number");
}

static void test_config_load__built_in_rewards_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *reward, *part;
    } CASES[] = {
        {"{function: lenght, target: 3}",
         "a.yaml:3:26: `ppo.reward.function` must be null, length, contains, count, starts_with, "
         "ends or matches_field, not `lenght`; did you mean `length`?"},
        {"[{model: m}, {function: sentiment}]", "a.yaml:3:39: `ppo.reward[1].function` must be"},
        {"{function: length}", "a.yaml:3:26: `ppo.reward`: function `length` needs `target`"},
        {"{function: length, target: 3, text: a}", "a.yaml:3:45: `ppo.reward`: function `length` "
                                                   "has no argument `text`; it takes: target, "
                                                   "scale"},
        {"{function: length, target: 3, scale: 0}",
         "a.yaml:3:45: `ppo.reward`: `scale` is `0`; it must be a number above 0"},
        {"{function: length, target: many}", "`target` is `many`; it must be a number"},
        {"{function: count, text: a, target: -1}", "`target` is `-1`"},
        {"{function: contains, text: ''}", "`text` is empty"},
        {"{function: ends, text: a}", "it takes: none"},
        {"{function: ends, args: {text: a}}", "a.yaml:3:26: `ppo.reward`: function `ends` has no"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *yaml = str_format("%sppo: {reward: %s}\n", PPO_TREE, CASES[i].reward);
        ConfigCase c = config_case(STAGE_PPO, yaml, "--validate", NULL);
        assert_int_equal(c.status, ERR_CONFIG);
        assert_log(&c, CASES[i].part);
        assert_int_equal(config_case_errors(&c), 1);
        config_case_close(&c);
        mem_free(yaml);
    }
    ConfigCase c = config_case(STAGE_PPO, FLAT, "ppo.reward.function=edns", NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    assert_log(&c, "argument `ppo.reward.function=edns`: ");
    config_case_close(&c);
}

static void test_config_load__all_errors_come_at_once_in_order(void **state) {
    (void)state;
    ConfigCase c = config_case(STAGE_SFT,
                               "training:\n  learning_rte: 1\n  max_grad_norm: -1\n"
                               "model: {dtype: floaty}\nseed: [1]\nr: 16\nkl_coef: 1\n",
                               "lora_dropout=2", "weight_decay=x", NULL);
    assert_int_equal(config_case_errors(&c), 10);
    static const char *const ORDER[] = {"a.yaml:1:1: `model.path` is missing",
                                        "a.yaml:1:1: `data.train` is missing",
                                        "a.yaml:2:3: unknown key `training.learning_rte`",
                                        "a.yaml:3:18: `training.max_grad_norm`",
                                        "a.yaml:4:16: `model.dtype`",
                                        "a.yaml:5:7: `seed`",
                                        "a.yaml:6:1: unknown key `r`; did you mean `peft.r`?",
                                        "a.yaml:7:1: `kl_coef`",
                                        "argument `lora_dropout=2`: `peft.lora_dropout`",
                                        "argument `weight_decay=x`: `training.weight_decay`"};
    const char *at = str_text(&c.log);
    for (size_t i = 0; i < COUNT_OF(ORDER); i++) {
        at = strstr(at, ORDER[i]);
        if (!at) fail_msg("no `%s` (in this place) in: %s", ORDER[i], str_text(&c.log));
    }
    config_case_close(&c);
}

static void test_config_load__classic_kl_options(void **state) {
    (void)state;
    static const struct {
        const char *yaml;
        double kl_coef;
    } CASES[] = {{"", 0.05},
                 {", kl_coef: 0.1", 0.1},
                 {", init_kl_coef: 0.3", 0.3},
                 {", adap_kl_ctrl: true", 0.2},
                 {", adap_kl_ctrl: true, kl_coef: 0.1", 0.1},
                 {", adap_kl_ctrl: true, init_kl_coef: 0.3", 0.3}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "%sppo: {reward: m%s}\n", PPO_TREE, CASES[i].yaml);
        ConfigCase c = config_case(STAGE_PPO, yaml, NULL);
        assert_int_equal(c.status, OK);
        assert_true(c.cfg->ppo.kl_coef == CASES[i].kl_coef);
        assert_true(c.cfg->ppo.init_kl_coef == CASES[i].kl_coef);
        assert_true(config_is_null(c.cfg->ppo.target_kl));
        config_case_close(&c);
    }
    ConfigCase c =
        config_case(STAGE_PPO, PPO_TREE "ppo: {reward: m, early_stopping: true}\n", NULL);
    assert_true(c.cfg->ppo.target_kl == 1);
    config_case_close(&c);
    c = config_case(STAGE_PPO, PPO_TREE "ppo: {reward: m, early_stopping: false, target_kl: 1}\n",
                    NULL);
    assert_true(config_is_null(c.cfg->ppo.target_kl));
    config_case_close(&c);
}

/* ---- what comes out ---- */

/* Prints, loads what was printed, prints again: the same values. */
static void assert_print_reads_back(Stage stage, const char *yaml) {
    ConfigCase a = config_case(stage, yaml, NULL);
    if (a.status != OK) fail_msg("%s", str_text(&a.log));
    Str printed = {0};
    char *path = file_join(a.folder, "printed.yaml");
    FILE *f = fopen(path, "w");
    config_print(a.cfg, f);
    fclose(f);
    assert_int_equal(file_read(&printed, path, 1 << 20), OK);
    ConfigCase b = config_case(stage, str_text(&printed), NULL);
    if (b.status != OK) fail_msg("%s\n%s", str_text(&b.log), str_text(&printed));
    const ConfigItem *x, *y;
    size_t n = config_items(a.cfg, &x), m = config_items(b.cfg, &y);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(x[i].value, y[i].value) != 0) {
            fail_msg("%s: %s became %s", x[i].path, x[i].value, y[i].value);
        }
    }
    mem_free(path);
    str_free(&printed);
    config_case_close(&b);
    config_case_close(&a);
}

static void test_config_load__a_printed_config_reads_back(void **state) {
    (void)state;
    for (Stage s = 0; s < STAGE_COUNT; s++) assert_print_reads_back(s, config_case_least(s));
    assert_print_reads_back(STAGE_SFT, FLAT "lora_r: 3\nrun_name: \"a: [b] # c\"\n"
                                            "lora_target_modules: ['x y', \"null\"]\n");
    assert_print_reads_back(STAGE_SFT, TREE "peft: {r: 3}\nload_best_model_at_end: true\n"
                                            "dataset_test_split: test\neval_strategy: epoch\n");
    assert_print_reads_back(STAGE_PPO,
                            FLAT "adap_kl_ctrl: true\nearly_stopping: true\n"
                                 "ppo: {reward: [{model: m}, {function: contains, text: 'a, b'},"
                                 " {command: 'x | y', timeout_s: 2}]}\n");
}

static void test_config_load__origins_and_trl_defaults_are_marked(void **state) {
    (void)state;
    ConfigCase c = config_case(STAGE_PPO, FLAT "ppo: {reward: m}\n", "seed=3", NULL);
    const ConfigItem *items;
    size_t n = config_items(c.cfg, &items), marked = 0;
    for (size_t i = 0; i < n; i++) {
        marked += items[i].trl != NULL;
        if (strcmp(items[i].path, "seed") == 0)
            assert_string_equal(items[i].origin, "command line");
        if (strcmp(items[i].path, "model.path") == 0) {
            assert_non_null(strstr(items[i].origin, "a.yaml:1:21"));
        }
        if (strcmp(items[i].path, "ppo.gamma") == 0)
            assert_string_equal(items[i].origin, "default");
    }
    assert_int_equal(marked, 3); /* bf16, stop_token, on_bad_row */
    config_case_close(&c);
}

static void test_config_load__a_resume_compares_what_matters(void **state) {
    (void)state;
    ConfigCase a = config_case(STAGE_SFT, TREE, NULL);
    ConfigCase b = config_case(STAGE_SFT, TREE, "output_dir=x", "threads=3", "save_steps=7", NULL);
    ConfigCase d = config_case(STAGE_SFT, TREE, "learning_rate=1", "peft.r=4", NULL);
    char *kept = config_fingerprint(a.cfg);
    char hex_a[65], hex_b[65], hex_d[65];
    config_digest(a.cfg, hex_a);
    config_digest(b.cfg, hex_b);
    config_digest(d.cfg, hex_d);
    assert_string_equal(hex_a, hex_b);
    assert_string_not_equal(hex_a, hex_d);
    assert_int_equal(config_compare(a.cfg, kept), OK);
    assert_int_equal(config_compare(b.cfg, kept), OK);
    assert_int_equal(config_compare(d.cfg, kept), ERR_CONFIG);
    assert_non_null(strstr(status_message(),
                           "peft.peft_type: was null, is LORA; peft.r: was 16, is "
                           "4; training.learning_rate: was 2e-5, is 1"));
    mem_free(kept);
    config_case_close(&a);
    config_case_close(&b);
    config_case_close(&d);
}

static void test_config_load__steps_or_share(void **state) {
    (void)state;
    assert_int_equal(config_steps(10, 1000), 10);
    assert_int_equal(config_steps(0.03, 1000), 30);
    assert_int_equal(config_steps(0.0001, 100), 1);
    assert_int_equal(config_steps(0, 100), 0);
    assert_int_equal(config_steps((double)NAN, 100), 0);
    assert_int_equal(config_steps(1, 100), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_load__a_tree_reaches_the_structs),
        cmocka_unit_test(test_config_load__rewards_of_every_kind),
        cmocka_unit_test(test_config_load__arguments_override_the_file),
        cmocka_unit_test(test_config_load__an_item_of_a_list_is_overridden_by_number),
        cmocka_unit_test(test_config_load__usage_errors),
        cmocka_unit_test(test_config_load__includes_are_laid_under_the_file),
        cmocka_unit_test(test_config_load__include_cycles_and_missing_files_are_refused),
        cmocka_unit_test(test_config_load__env_is_set_before_values_are_read),
        cmocka_unit_test(test_config_load__a_flat_trl_file_is_accepted_as_it_is),
        cmocka_unit_test(test_config_load__lora_options_wait_for_use_peft_in_a_flat_file),
        cmocka_unit_test(test_config_load__an_option_is_named_once),
        cmocka_unit_test(test_config_load__stop_token_is_eos_in_a_tree_only),
        cmocka_unit_test(test_config_load__contradictions_are_errors),
        cmocka_unit_test(test_config_load__test_split_size_makes_evaluation_data),
        cmocka_unit_test(test_config_load__built_in_rewards_are_checked),
        cmocka_unit_test(test_config_load__all_errors_come_at_once_in_order),
        cmocka_unit_test(test_config_load__classic_kl_options),
        cmocka_unit_test(test_config_load__a_printed_config_reads_back),
        cmocka_unit_test(test_config_load__origins_and_trl_defaults_are_marked),
        cmocka_unit_test(test_config_load__a_resume_compares_what_matters),
        cmocka_unit_test(test_config_load__steps_or_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
