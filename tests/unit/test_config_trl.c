/* Every option of TRL's SFT, Reward and PPO configs, of the classic PPOConfig, of ModelConfig,
 * ScriptArguments and the TrainingArguments they inherit, as a flat file names it. The list is
 * written from TRL, not from our tables. TRL's default must be accepted; another value must either
 * change the resolved config (the option works), or be accepted with a word that it does nothing,
 * or be refused by name. Never ignored. */
#include "config_case.h"
#include "unit.h"

typedef struct Option {
    const char *name;
    const char *dflt;  /* TRL's, as YAML */
    const char *other; /* something else a person would write */
    const char *with;  /* other options that it needs, or NULL */
} Option;

/* clang-format off */
/* TrainingArguments and _BaseConfig: all three stages. */
static const Option COMMON[] = {
    {"logging_steps", "10", "5", NULL},
    {"gradient_checkpointing", "true", "false", NULL},
    {"bf16", "null", "true", NULL},
    {"use_liger_kernel", "false", "true", NULL},
    {"torch_empty_cache_steps", "null", "4", NULL},
    {"lr_scheduler_kwargs", "null", "{num_cycles: 2}", "lr_scheduler_type: cosine"},
    {"output_dir", "trainer_output", "elsewhere", NULL},
    {"per_device_train_batch_size", "8", "2", NULL},
    {"per_device_eval_batch_size", "8", "2", NULL},
    {"gradient_accumulation_steps", "1", "4", NULL},
    {"num_train_epochs", "3.0", "1", NULL},
    {"max_steps", "-1", "100", NULL},
    {"learning_rate", "5e-5", "1e-3", NULL},
    {"lr_scheduler_type", "linear", "cosine", NULL},
    {"warmup_steps", "0", "100", NULL},
    {"warmup_ratio", "0.0", "0.03", NULL},
    {"optim", "adamw_torch_fused", "adafactor", NULL},
    {"adam_beta1", "0.9", "0.8", NULL},
    {"adam_beta2", "0.999", "0.95", NULL},
    {"adam_epsilon", "1e-8", "1e-6", NULL},
    {"weight_decay", "0.0", "0.1", NULL},
    {"max_grad_norm", "1.0", "0.5", NULL},
    {"label_smoothing_factor", "0.0", "0.1", NULL},
    {"average_tokens_across_devices", "true", "false", NULL},
    {"bf16_full_eval", "false", "true", NULL},
    {"fp16", "false", "true", NULL},
    {"fp16_full_eval", "false", "true", NULL},
    {"tf32", "null", "true", NULL},
    {"gradient_checkpointing_kwargs", "null", "{use_reentrant: false}", NULL},
    {"torch_compile", "false", "true", NULL},
    {"torch_compile_backend", "null", "inductor", NULL},
    {"torch_compile_mode", "null", "max-autotune", NULL},
    {"neftune_noise_alpha", "null", "5", NULL},
    {"auto_find_batch_size", "false", "true", NULL},
    {"logging_strategy", "steps", "epoch", NULL},
    {"logging_first_step", "false", "true", NULL},
    {"logging_nan_inf_filter", "true", "false", NULL},
    {"report_to", "none", "wandb", NULL},
    {"run_name", "null", "mine", NULL},
    {"project", "huggingface", "mine", NULL},
    {"include_num_input_tokens_seen", "no", "all", NULL},
    {"disable_tqdm", "null", "true", NULL},
    {"eval_strategy", "no", "steps", NULL},
    {"eval_steps", "null", "7", NULL},
    {"eval_delay", "0", "3", NULL},
    {"eval_on_start", "false", "true", NULL},
    {"eval_accumulation_steps", "null", "2", NULL},
    {"prediction_loss_only", "false", "true", NULL},
    {"batch_eval_metrics", "false", "true", NULL},
    {"save_strategy", "steps", "epoch", NULL},
    {"save_steps", "500", "7", NULL},
    {"save_total_limit", "null", "2", NULL},
    {"save_only_model", "false", "true", NULL},
    {"enable_jit_checkpoint", "false", "true", NULL},
    {"load_best_model_at_end", "false", "true", "eval_strategy: steps"},
    {"metric_for_best_model", "null", "accuracy", NULL},
    {"greater_is_better", "null", "true", NULL},
    {"ignore_data_skip", "false", "true", NULL},
    {"resume_from_checkpoint", "null", "runs/x/checkpoints/step-5", NULL},
    {"seed", "42", "7", NULL},
    {"data_seed", "null", "7", NULL},
    {"full_determinism", "false", "true", NULL},
    {"use_cpu", "false", "true", NULL},
    {"dataloader_drop_last", "false", "true", NULL},
    {"dataloader_num_workers", "0", "4", NULL},
    {"dataloader_pin_memory", "true", "false", NULL},
    {"dataloader_persistent_workers", "false", "true", NULL},
    {"dataloader_prefetch_factor", "null", "2", NULL},
    {"remove_unused_columns", "true", "false", NULL},
    {"train_sampling_strategy", "random", "sequential", NULL},
    {"length_column_name", "length", "len", NULL},
    {"ddp_backend", "null", "nccl", NULL},
    {"ddp_find_unused_parameters", "null", "true", NULL},
    {"ddp_bucket_cap_mb", "null", "25", NULL},
    {"ddp_broadcast_buffers", "null", "true", NULL},
    {"ddp_timeout", "1800", "60", NULL},
    {"fsdp", "null", "full_shard", NULL},
    {"fsdp_config", "null", "{x: 1}", NULL},
    {"deepspeed", "null", "ds.json", NULL},
    {"parallelism_config", "null", "{x: 1}", NULL},
    {"accelerator_config", "null", "{split_batches: true}", NULL},
    {"push_to_hub", "false", "true", NULL},
    {"hub_model_id", "null", "me/model", NULL},
    {"hub_strategy", "every_save", "end", NULL},
    {"hub_token", "null", "x", NULL},
    {"hub_private_repo", "null", "true", NULL},
    {"hub_always_push", "false", "true", NULL},
    {"hub_revision", "null", "x", NULL},
    /* ModelConfig */
    {"model_name_or_path", "m", "other", NULL},
    {"model_revision", "main", "v2", NULL},
    {"dtype", "float32", "bfloat16", NULL},
    {"attn_implementation", "null", "my/kernel", NULL},
    {"use_peft", "false", "true", NULL},
    {"lora_r", "16", "8", "use_peft: true"},
    {"lora_alpha", "32", "16", "use_peft: true"},
    {"lora_dropout", "0.05", "0.1", "use_peft: true"},
    {"lora_target_modules", "null", "[q_proj, v_proj]", "use_peft: true"},
    {"lora_target_parameters", "null", "[a]", NULL},
    {"lora_modules_to_save", "null", "[lm_head]", "use_peft: true"},
    {"use_rslora", "false", "true", "use_peft: true"},
    {"use_dora", "false", "true", "use_peft: true"},
    {"load_in_8bit", "false", "true", "use_peft: true"},
    {"load_in_4bit", "false", "true", "use_peft: true"},
    {"bnb_4bit_quant_type", "nf4", "fp4", NULL},
    {"use_bnb_nested_quant", "false", "true", NULL},
    {"bnb_4bit_quant_storage", "null", "uint8", NULL},
    /* ScriptArguments, DatasetMixtureConfig, the YAML's own keys */
    {"dataset_name", "d", "other", NULL},
    {"dataset_config", "null", "en", NULL},
    {"dataset_train_split", "train", "test", NULL},
    {"dataset_test_split", "test", "validation", NULL},
    {"dataset_streaming", "false", "true", NULL},
    {"ignore_bias_buffers", "false", "true", NULL},
    {"streaming", "false", "true", NULL},
    {"test_split_size", "null", "0.1", NULL},
    {"env", "{}", "[a]", NULL},
    {"accelerate_config", "single_gpu", "fsdp2", NULL},
    {"num_processes", "1", "4", NULL},
};

static const Option SFT_OWN[] = {
    {"lora_task_type", "CAUSAL_LM", "SEQ_CLS", NULL},
    {"model_init_kwargs", "null", "{dtype: auto}", NULL},
    {"trust_remote_code", "false", "true", NULL},
    {"router_aux_loss_coef", "0.001", "0.1", NULL},
    {"chat_template_path", "null", "t.jinja", NULL},
    {"dataset_text_field", "text", "body", NULL},
    {"dataset_kwargs", "null", "{skip_prepare_dataset: true}", NULL},
    {"dataset_num_proc", "null", "4", NULL},
    {"eos_token", "null", "<|im_end|>", NULL},
    {"max_length", "1024", "512", NULL},
    {"truncation_mode", "keep_start", "keep_end", NULL},
    {"shuffle_dataset", "false", "true", NULL},
    {"packing", "false", "true", NULL},
    {"packing_strategy", "bfd", "wrapped", NULL},
    {"padding_free", "false", "true", NULL},
    {"pad_to_multiple_of", "null", "8", NULL},
    {"eval_packing", "null", "true", NULL},
    {"completion_only_loss", "null", "false", NULL},
    {"assistant_only_loss", "false", "true", NULL},
    {"loss_type", "chunked_nll", "dft", NULL},
    {"activation_offloading", "false", "true", NULL},
    {"pad_token", "null", "<pad>", NULL},
};

static const Option REWARD_OWN[] = {
    {"lora_task_type", "SEQ_CLS", "CAUSAL_LM", NULL},
    {"model_init_kwargs", "null", "{dtype: auto}", NULL},
    {"trust_remote_code", "false", "true", NULL},
    {"chat_template_path", "null", "t.jinja", NULL},
    {"disable_dropout", "true", "false", NULL},
    {"dataset_num_proc", "null", "4", NULL},
    {"eos_token", "null", "<|im_end|>", NULL},
    {"max_length", "1024", "512", NULL},
    {"pad_to_multiple_of", "null", "8", NULL},
    {"center_rewards_coefficient", "null", "0.01", NULL},
    {"activation_offloading", "false", "true", NULL},
    {"pad_token", "null", "<pad>", NULL},
};

static const Option PPO_OWN[] = {
    {"lora_task_type", "CAUSAL_LM", "SEQ_CLS", NULL},
    {"dataset_num_proc", "null", "4", NULL},
    {"num_mini_batches", "1", "2", NULL},
    {"total_episodes", "null", "1000", NULL},
    {"local_rollout_forward_batch_size", "64", "8", NULL},
    {"num_sample_generations", "10", "3", NULL},
    {"response_length", "53", "20", NULL},
    {"stop_token", "null", "eos", NULL},
    {"stop_token_id", "null", "3", NULL},
    {"temperature", "0.7", "1.0", NULL},
    {"missing_eos_penalty", "null", "1.0", NULL},
    {"reward_model_path", "r", "other", NULL},
    {"sft_model_path", "m", "other", NULL},
    {"world_size", "null", "2", NULL},
    {"num_total_batches", "null", "2", NULL},
    {"micro_batch_size", "null", "2", NULL},
    {"local_batch_size", "null", "2", NULL},
    {"batch_size", "null", "128", NULL},
    {"local_mini_batch_size", "null", "2", NULL},
    {"mini_batch_size", "null", "2", NULL},
    {"model_adapter_name", "null", "a", NULL},
    {"ref_adapter_name", "null", "a", NULL},
    {"num_ppo_epochs", "4", "2", NULL},
    {"whiten_rewards", "false", "true", NULL},
    {"kl_coef", "0.05", "0.1", NULL},
    {"kl_estimator", "k1", "k3", NULL},
    {"cliprange", "0.2", "0.1", NULL},
    {"vf_coef", "0.1", "0.5", NULL},
    {"cliprange_value", "0.2", "0.1", NULL},
    {"gamma", "1.0", "0.9", NULL},
    {"lam", "0.95", "0.9", NULL},
    {"ds3_gather_for_generation", "true", "false", NULL},
    /* the classic trainer */
    {"steps", "20000", "100", NULL},
    {"adap_kl_ctrl", "false", "true", NULL},
    {"init_kl_coef", "0.2", "0.3", NULL},
    {"kl_penalty", "kl", "abs", NULL},
    {"target", "6.0", "3", "adap_kl_ctrl: true"},
    {"horizon", "10000", "500", "adap_kl_ctrl: true"},
    {"ppo_epochs", "4", "2", NULL},
    {"early_stopping", "false", "true", NULL},
    {"target_kl", "1.0", "0.5", NULL},
    {"compare_steps", "1", "2", NULL},
    {"ratio_threshold", "10.0", "5", NULL},
    {"use_score_scaling", "false", "true", NULL},
    {"use_score_norm", "false", "true", "use_score_scaling: true"},
    {"score_clip", "null", "5", NULL},
    {"optimize_device_cache", "false", "true", NULL},
    {"optimize_cuda_cache", "null", "true", NULL},
    {"log_with", "null", "wandb", NULL},
    {"tracker_kwargs", "{}", "{x: 1}", NULL},
    {"tracker_project_name", "trl", "mine", NULL},
    {"accelerator_kwargs", "{}", "{x: 1}", NULL},
    {"project_kwargs", "{}", "{x: 1}", NULL},
    {"push_to_hub_if_best_kwargs", "{}", "{x: 1}", NULL},
    {"backward_batch_size", "null", "2", NULL},
    {"global_batch_size", "null", "2", NULL},
    {"is_encoder_decoder", "null", "true", NULL},
    {"is_peft_model", "null", "true", NULL},
    {"query_dataset", "null", "imdb", NULL},
    {"reward_model", "null", "x", NULL},
    {"exp_name", "null", "x", NULL},
    {"task_name", "null", "x", NULL},
};
/* clang-format on */

/* A flat file that is fine, with the option and what it needs. */
static ConfigCase with_option(Stage stage, const Option *o, const char *value) {
    Str yaml = {0};
    bool model = str_equal(o->name, "model_name_or_path"),
         data = str_equal(o->name, "dataset_name");
    bool reward = stage != STAGE_PPO || str_equal(o->name, "reward_model_path");
    if (!model) str_append(&yaml, "model_name_or_path: m\n");
    if (!data) str_append(&yaml, "dataset_name: no-such-d\n");
    if (!reward) str_append(&yaml, "reward_model_path: r\n");
    if (o->with) str_printf(&yaml, "%s\n", o->with);
    if (value) str_printf(&yaml, "%s: %s\n", o->name, value);
    ConfigCase c = config_case(stage, str_text(&yaml), NULL);
    str_free(&yaml);
    return c;
}

static bool same_values(const ConfigCase *a, const ConfigCase *b) {
    const ConfigItem *x, *y;
    size_t n = config_items(a->cfg, &x);
    config_items(b->cfg, &y);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(x[i].value, y[i].value) != 0) return false;
    }
    return true;
}

typedef struct Counts {
    int works, idle, refused;
} Counts;

/* Options with a second neutral value: both change nothing, so nothing needs to be said. */
static bool is_silent_by_nature(const char *name) {
    static const char *const NAMES[] = {"full_determinism",      "enable_jit_checkpoint",
                                        "padding_free",          "logging_nan_inf_filter",
                                        "shuffle_dataset",       "ds3_gather_for_generation",
                                        "optimize_device_cache", "optimize_cuda_cache"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(NAMES[i], name) == 0) return true;
    }
    return false;
}

static void walk_option(Stage stage, const Option *o, Counts *counts) {
    ConfigCase a = with_option(stage, o, o->dflt), b = with_option(stage, o, o->other);
    if (a.status != OK) fail_msg("%s: %s, TRL's default: %s", o->name, o->dflt, str_text(&a.log));
    if (b.status == OK && !same_values(&a, &b)) {
        counts->works++;
    } else if (b.status == OK) {
        bool says =
            strstr(str_text(&b.log), "without effect here: ") && strstr(str_text(&b.log), o->name);
        if (!says && !is_silent_by_nature(o->name)) fail_msg("%s is ignored", o->name);
        counts->idle++;
    } else {
        assert_int_equal(b.status, ERR_CONFIG);
        if (!strstr(str_text(&b.log), o->name)) {
            fail_msg("%s is refused without its name: %s", o->name, str_text(&b.log));
        }
        counts->refused++;
    }
    config_case_close(&a);
    config_case_close(&b);
}

static void walk(Stage stage, const Option *options, size_t n, Counts *counts) {
    for (size_t i = 0; i < n; i++) walk_option(stage, &options[i], counts);
}

#define WALK(stage, options, counts) \
    walk(stage, options, sizeof(options) / sizeof *(options), counts)

static void report(const char *name, Counts c) {
    print_message("%s: %d options: %d work, %d change nothing here, %d refused by name\n", name,
                  c.works + c.idle + c.refused, c.works, c.idle, c.refused);
}

static void test_config_trl__every_option_works_or_is_named(void **state) {
    (void)state;
    Counts all = {0};
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        Counts c = {0};
        WALK(stage, COMMON, &c);
        if (stage == STAGE_SFT) WALK(stage, SFT_OWN, &c);
        if (stage == STAGE_REWARD) WALK(stage, REWARD_OWN, &c);
        if (stage == STAGE_PPO) WALK(stage, PPO_OWN, &c);
        report(stage_name(stage), c);
        all.works += c.works;
        all.idle += c.idle;
        all.refused += c.refused;
    }
    report("all", all);
}

/* Words as people type them for TRL: bare flags, their negation, names of earlier versions. */
static void test_config_trl__command_lines(void **state) {
    (void)state;
    ConfigCase c = config_case(STAGE_SFT, NULL, "--model_name", "org/name", "--dataset_name",
                               "d.csv", "--batch_size", "2", "--seq_length=64",
                               "--no_remove_unused_columns", "--tf32", "--bf16", "--no_packing",
                               "--use_flash_attention_2", "--gradient_checkpointing", "True", NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    assert_string_equal(config_case_value(&c, "model.path"), "org/name");
    assert_string_equal(config_case_value(&c, "data.max_length"), "64");
    assert_string_equal(config_case_value(&c, "training.per_device_train_batch_size"), "2");
    assert_string_equal(config_case_value(&c, "training.gradient_checkpointing"), "true");
    assert_non_null(strstr(str_text(&c.log), "remove_unused_columns"));
    assert_non_null(strstr(str_text(&c.log), "tf32"));
    config_case_close(&c);
}

/* What a file says is refused or passed over only where it is the last word. */
static void test_config_trl__an_argument_takes_a_refused_option_back(void **state) {
    (void)state;
    static const char yaml[] = "model_name_or_path: m\ndataset_name: d.csv\npush_to_hub: true\n"
                               "dataloader_num_workers: 4\n";
    ConfigCase c = config_case(STAGE_SFT, yaml, NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    assert_non_null(strstr(str_text(&c.log), "a.yaml:3:14: `push_to_hub` can only be false here"));
    config_case_close(&c);
    c = config_case(STAGE_SFT, yaml, "push_to_hub=false", "--dataloader_num_workers", "0", NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    assert_null(strstr(str_text(&c.log), "without effect"));
    config_case_close(&c);
    c = config_case(STAGE_SFT, NULL, "--model_name_or_path", "m", "--dataset_name", "d.csv",
                    "--push_to_hub", "false", "--push_to_hub", NULL);
    assert_int_equal(c.status, ERR_CONFIG);
    config_case_close(&c);
}

/* Options of bitsandbytes that change nothing here are said where they would change something. */
static void test_config_trl__quantized_products_are_said_to_be_float32(void **state) {
    (void)state;
    static const struct {
        const char *kind, *option, *name;
        bool said;
    } ROWS[] = {
        {"load_in_4bit", "bnb_4bit_compute_dtype: bfloat16", "bnb_4bit_compute_dtype (", true},
        {"load_in_4bit", "bnb_4bit_compute_dtype: float16", "bnb_4bit_compute_dtype (", true},
        {"load_in_4bit", "bnb_4bit_compute_dtype: float32", "bnb_4bit_compute_dtype (", false},
        {"load_in_4bit", "bnb_4bit_compute_dtype: null", "bnb_4bit_compute_dtype (", false},
        {"load_in_8bit", "bnb_4bit_compute_dtype: float16", "bnb_4bit_compute_dtype (", false},
        {"load_in_8bit", "llm_int8_threshold: 4", "llm_int8_threshold (", true},
        {"load_in_8bit", "llm_int8_threshold: 0", "llm_int8_threshold (", true},
        {"load_in_8bit", "seed: 1", "llm_int8_threshold (", false},
        {"load_in_4bit", "llm_int8_threshold: 4", "llm_int8_threshold (", false},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char *yaml = str_format("model_name_or_path: m\ndataset_name: d.csv\nuse_peft: true\n"
                                "%s: true\n%s\n",
                                ROWS[i].kind, ROWS[i].option);
        ConfigCase c = config_case(STAGE_SFT, yaml, NULL);
        if (c.status != OK) fail_msg("%s", str_text(&c.log));
        const char *line = strstr(str_text(&c.log), "without effect here: ");
        bool said = line && strstr(line, ROWS[i].name);
        if (said != ROWS[i].said) {
            fail_msg("%s, %s: %s", ROWS[i].kind, ROWS[i].option, str_text(&c.log));
        }
        config_case_close(&c);
        mem_free(yaml);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_trl__every_option_works_or_is_named),
        cmocka_unit_test(test_config_trl__command_lines),
        cmocka_unit_test(test_config_trl__an_argument_takes_a_refused_option_back),
        cmocka_unit_test(test_config_trl__quantized_products_are_said_to_be_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
