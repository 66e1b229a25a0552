/* TRL's own example configs and command lines, of its repository's documentation, scripts and tests
 * from 2023 to 2026, run by the programs as they stand there: `trl sft`, `python sft.py` and the
 * like become the program, what a launcher takes is left out, and all words behind are unchanged.
 * The models and data sets that they name are tiny ones in a Hugging Face cache that is made here.
 *
 * Three things stand behind the words where `more` says so: a cap on steps, where the example runs
 * for thousands of updates; a data set, where the script had one built in; and push_to_hub=false,
 * where pushing is what is refused: such a command is run without it first, must say only that, and
 * counts as refused, whatever it does with the addition. */
#include "trl_world.h"

#define MAX_WORDS 64

static char *folder; /* of the world, and below it one working folder a command */

/* ---- commands ---- */

typedef struct Command {
    const char *from; /* where TRL has it */
    const char *program;
    const char *yaml;  /* config.yaml, or NULL */
    const char *words; /* the command line */
    const char *more;  /* words behind it that TRL's does not have, or NULL */
    /* it runs: */
    const char *holds; /* file of the run folder */
    int64_t steps;     /* the last of metrics.jsonl */
    /* it is refused: */
    int code;
    const char *says;
} Command;

#define NO_PUSH "push_to_hub=false"
#define PUSHES ERR_CONFIG, "`push_to_hub` can only be false here"
#define FULL "final/model.safetensors"
#define ADAPTER "final/adapter_model.safetensors"

/* clang-format off */
static const Command COMMANDS[] = {
    /* ---- SFT: the command line interface ---- */
    {"examples/cli_configs/example_config.yaml, 2025", "sft",
     "# This is an example configuration file of TRL CLI\n"
     "\n# env:\n#   CUDA_VISIBLE_DEVICES: 0\n\n"
     "model_name_or_path:\n  Qwen/Qwen2.5-0.5B\ndataset_name:\n  stanfordnlp/imdb\nreport_to:\n  none\n"
     "learning_rate:\n  0.0001\nlr_scheduler_type:\n  cosine\n",
     "--config config.yaml --output_dir test-sft", NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.md, 2025: the same with another schedule", "sft",
     "model_name_or_path:\n  Qwen/Qwen2.5-0.5B\ndataset_name:\n  stanfordnlp/imdb\nreport_to:\n  none\n"
     "learning_rate:\n  0.0001\nlr_scheduler_type:\n  cosine\n",
     "--config config.yaml --output_dir test-trl-cli --lr_scheduler_type cosine_with_restarts",
     NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.mdx, 2024", "sft",
     "model_name_or_path:\n  HuggingFaceM4/tiny-random-LlamaForCausalLM\ndataset_name:\n  imdb\n"
     "dataset_text_field:\n  text\nreport_to:\n  none\nlearning_rate:\n  1e-4\n"
     "lr_scheduler_type:\n  cosine\n",
     "--config config.yaml --output_dir test-trl-cli --lr_scheduler_type cosine_with_restarts",
     NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.md, 2025: OPT", "sft", NULL,
     "--model_name_or_path facebook/opt-125m --dataset_name stanfordnlp/imdb --output_dir opt-sft-imdb",
     NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.md, 2025: basic usage", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name stanfordnlp/imdb", NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.md, 2025: sft_config.yaml", "sft",
     "# sft_config.yaml\nmodel_name_or_path: Qwen/Qwen2.5-0.5B\ndataset_name: stanfordnlp/imdb\n",
     "--config config.yaml", NULL, FULL, 9, 0, NULL},
    {"docs/source/clis.md, 2025: four processes", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name stanfordnlp/imdb --num_processes 4", NULL,
     NULL, 0, ERR_CONFIG, "`num_processes` can only be 1 or null here: training over several processes"},
    {"docs/source/clis.md, 2025: four processes in the file", "sft",
     "model_name_or_path: Qwen/Qwen2.5-0.5B\ndataset_name: stanfordnlp/imdb\nnum_processes: 4\n",
     "--config config.yaml", NULL,
     NULL, 0, ERR_CONFIG, "config.yaml:3:16: `num_processes` can only be 1 or null here"},
    {"docs/source/clis.md, 2025: zero2", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name stanfordnlp/imdb --accelerate_config zero2",
     NULL, NULL, 0, ERR_CONFIG, "`accelerate_config` can only be null or single_gpu here"},
    {"README.md, 2026", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name trl-lib/Capybara --output_dir Qwen2.5-0.5B-SFT",
     NULL, FULL, 9, 0, NULL},
    {"docs/source/quickstart.md, 2025", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name trl-lib/Capybara", NULL, FULL, 9, 0, NULL},
    {"docs/source/jobs_training.md, 2026: the image's command", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/Capybara"
     " --output_dir Qwen2-0.5B-SFT", NULL, FULL, 9, 0, NULL},
    {"docs/source/jobs_training.md, 2026: a first run", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/Capybara --max_steps 100"
     " --output_dir Qwen2-0.5B-SFT --push_to_hub", NO_PUSH " max_steps=2", FULL, 2, PUSHES},
    {"trl/skills/trl-training/SKILL.md, 2026: sft_config.yaml", "sft",
     "model_name_or_path: Qwen/Qwen2.5-0.5B\ndataset_name: trl-lib/Capybara\nlearning_rate: 2.0e-5\n"
     "num_train_epochs: 1\nper_device_train_batch_size: 8\ngradient_accumulation_steps: 2\n"
     "output_dir: ./sft_output\nuse_peft: true\nlora_r: 16\nlora_alpha: 16\nreport_to: trackio\n",
     "--config config.yaml", NULL, ADAPTER, 2, 0, NULL},
    {"trl/skills/trl-training/SKILL.md, 2026: an override", "sft",
     "model_name_or_path: Qwen/Qwen2.5-0.5B\ndataset_name: trl-lib/Capybara\nlearning_rate: 2.0e-5\n"
     "num_train_epochs: 1\nper_device_train_batch_size: 8\ngradient_accumulation_steps: 2\n"
     "output_dir: ./sft_output\nuse_peft: true\nlora_r: 16\nlora_alpha: 16\nreport_to: trackio\n",
     "--config config.yaml --learning_rate 1.0e-5", NULL, ADAPTER, 2, 0, NULL},
    /* ---- SFT: scripts ---- */
    {"trl/scripts/sft.py, 2025: full training", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B --dataset_name trl-lib/Capybara --learning_rate 2.0e-5"
     " --num_train_epochs 1 --packing --per_device_train_batch_size 2 --gradient_accumulation_steps 8"
     " --gradient_checkpointing --eos_token '<|im_end|>' --logging_steps 25 --eval_strategy steps"
     " --eval_steps 100 --output_dir Qwen2-0.5B-SFT --push_to_hub", NO_PUSH, FULL, 1, PUSHES},
    {"trl/scripts/sft.py, 2025: LoRA", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B --dataset_name trl-lib/Capybara --learning_rate 2.0e-4"
     " --num_train_epochs 1 --packing --per_device_train_batch_size 2 --gradient_accumulation_steps 8"
     " --gradient_checkpointing --eos_token '<|im_end|>' --eval_strategy steps --eval_steps 100"
     " --use_peft --lora_r 32 --lora_alpha 16 --output_dir Qwen2-0.5B-SFT --push_to_hub",
     NO_PUSH, ADAPTER, 1, PUSHES},
    {"docs/source/lora_without_regret.md, 2025", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2.5-3B-Instruct --dataset_name open-thoughts/OpenThoughts-114k"
     " --learning_rate 2.0e-5 --num_train_epochs 1 --packing --per_device_train_batch_size 2"
     " --gradient_accumulation_steps 16 --eval_strategy no --use_peft --lora_r 256 --lora_alpha 16"
     " --lora_target_modules all-linear --output_dir Qwen2.5-3B-OpenThoughts-LoRA --report_to trackio"
     " --push_to_hub", NO_PUSH, ADAPTER, 1, PUSHES},
    {"docs/source/peft_integration.md, 2025: quick start", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B --dataset_name trl-lib/Capybara --use_peft --lora_r 32"
     " --lora_alpha 16 --output_dir Qwen2-0.5B-SFT-LoRA", NULL, ADAPTER, 9, 0, NULL},
    {"docs/source/peft_integration.md, 2025: flags", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B --dataset_name trl-lib/Capybara --use_peft --lora_r 32"
     " --lora_alpha 16 --lora_dropout 0.05 --output_dir Qwen2-0.5B-SFT-LoRA", NULL, ADAPTER, 9, 0, NULL},
    {"docs/source/peft_integration.md, 2025: with LoRA", "sft", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B --dataset_name trl-lib/Capybara --learning_rate 2.0e-4"
     " --num_train_epochs 1 --per_device_train_batch_size 2 --gradient_accumulation_steps 8 --use_peft"
     " --lora_r 32 --lora_alpha 16 --output_dir Qwen2-0.5B-SFT-LoRA", NULL, ADAPTER, 2, 0, NULL},
    {"docs/source/peft_integration.md, 2025: QLoRA", "sft", NULL,
     "--model_name_or_path meta-llama/Llama-2-7b-hf --dataset_name trl-lib/Capybara --load_in_4bit"
     " --use_peft --lora_r 32 --lora_alpha 16 --per_device_train_batch_size 1"
     " --gradient_accumulation_steps 16 --output_dir Llama-2-7b-QLoRA", NULL, ADAPTER, 6, 0, NULL},
    {"examples/scripts/sft.py, 2023", "sft", NULL,
     "--model_name_or_path=\"facebook/opt-350m\" --report_to=\"wandb\" --learning_rate=1.41e-5"
     " --per_device_train_batch_size=64 --gradient_accumulation_steps=16"
     " --output_dir=\"sft_openassistant-guanaco\" --logging_steps=1 --num_train_epochs=3 --max_steps=-1"
     " --push_to_hub --gradient_checkpointing",
     NO_PUSH " --dataset_name timdettmers/openassistant-guanaco", FULL, 3, PUSHES},
    {"examples/scripts/sft.py, 2023: peft", "sft", NULL,
     "--model_name_or_path=\"facebook/opt-350m\" --report_to=\"wandb\" --learning_rate=1.41e-5"
     " --per_device_train_batch_size=64 --gradient_accumulation_steps=16"
     " --output_dir=\"sft_openassistant-guanaco\" --logging_steps=1 --num_train_epochs=3 --max_steps=-1"
     " --push_to_hub --gradient_checkpointing --use_peft --lora_r=64 --lora_alpha=16",
     NO_PUSH " --dataset_name timdettmers/openassistant-guanaco", ADAPTER, 3, PUSHES},
    {"examples/scripts/minimal/sft.py, 2024", "sft", NULL,
     "--learning_rate 3e-6 --per_device_train_batch_size 1 --per_device_eval_batch_size 1"
     " --gradient_accumulation_steps 32 --learning_rate 5e-05 --logging_steps 10"
     " --evaluation_strategy epoch --max_seq_length 1024 --num_train_epochs 5"
     " --output_dir models/minimal/sft",
     "--model_name_or_path EleutherAI/pythia-160m --dataset_name stanfordnlp/imdb", FULL, 5, 0, NULL},
    {"commands/run_sft.sh, 2025, with DeepSpeed", "sft", NULL,
     "--model_name trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name stanfordnlp/imdb"
     " --output_dir test_sft/ --max_steps 5 --per_device_train_batch_size 2 --max_seq_length 128 --fp16",
     NULL, NULL, 0, ERR_CONFIG, "`fp16` can only be false here: use bf16, or leave float32"},
    {"commands/run_sft.sh, 2025", "sft", NULL,
     "--model_name trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name stanfordnlp/imdb"
     " --output_dir test_sft/ --max_steps 5 --per_device_train_batch_size 2 --max_seq_length 128"
     " --use_peft --load_in_4bit", NULL, ADAPTER, 5, 0, NULL},
    {"commands/run_sft.sh, 2023", "sft", NULL,
     "--model_name HuggingFaceM4/tiny-random-LlamaForCausalLM --dataset_name imdb --output_dir test_sft/"
     " --max_steps 5 --batch_size 2 --seq_length 128 --use_peft --load_in_4bit", NULL, ADAPTER, 5, 0, NULL},
    {"examples/scripts/sft_gpt_oss.py, 2025, whose `packing_strategy` has no dashes", "sft", NULL,
     "--dtype bfloat16 --model_name_or_path openai/gpt-oss-20b --packing true packing_strategy wrapped"
     " --run_name 20b-full-eager --attn_implementation kernels-community/vllm-flash-attn3", NULL,
     NULL, 0, ERR_USAGE, "two configs, `packing_strategy` and `wrapped`"},
    /* ---- SFT: tests ---- */
    {"tests/test_cli.py, 2026: test_sft", "sft", NULL,
     "--output_dir out --model_name_or_path trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name"
     " trl-internal-testing/zen --dataset_config standard_language_modeling --report_to none",
     NULL, FULL, 9, 0, NULL},
    {"tests/test_cli.py, 2026: test_sft_config_file", "sft",
     "dataset_config: standard_language_modeling\ndataset_name: trl-internal-testing/zen\n"
     "lr_scheduler_type: cosine_with_restarts\n"
     "model_name_or_path: trl-internal-testing/tiny-Qwen2ForCausalLM-2.5\noutput_dir: output\n"
     "report_to: none\n", "--config config.yaml", NULL, FULL, 9, 0, NULL},
    {"tests/test_cli.py, 2026: test_sft_resume", "sft", NULL,
     "--output_dir out --model_name_or_path trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name"
     " trl-internal-testing/zen --dataset_config standard_language_modeling --report_to none"
     " --max_steps 2 --save_steps 2 --per_device_train_batch_size 2 --gradient_accumulation_steps 1"
     " --use_cpu true --bf16 false --loss_type nll", NULL, FULL, 2, 0, NULL},
    {"tests/test_cli.py, 2026: test_sft_model_init_kwargs", "sft", NULL,
     "--output_dir out --model_name_or_path trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name"
     " trl-internal-testing/zen --dataset_config standard_language_modeling --report_to none"
     " --max_steps 1 --per_device_train_batch_size 2 --gradient_accumulation_steps 1 --use_cpu true"
     " --bf16 false --loss_type nll"
     " --model_init_kwargs '{\"attn_implementation\": \"eager\", \"attention_dropout\": 0.25}'", NULL,
     NULL, 0, ERR_CONFIG, "`model_init_kwargs` can only be null or {} here"},
    {"examples/scripts/ppo/smoke_test.sh, 2026: 1 of 3", "sft", NULL,
     "--model_name_or_path trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name"
     " trl-internal-testing/zen --dataset_config standard_language_modeling --learning_rate 2.0e-5"
     " --max_steps 2 --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --logging_steps 1"
     " --eval_strategy \"no\" --report_to none --output_dir ../trl-smoke-sft", NULL, FULL, 2, 0, NULL},
    /* ---- reward ---- */
    {"examples/scripts/ppo/smoke_test.sh, 2026: 2 of 3", "reward", NULL,
     "--model_name_or_path ../trl-smoke-sft --dataset_name trl-internal-testing/zen --dataset_config"
     " standard_preference --learning_rate 1.0e-5 --max_steps 2 --per_device_train_batch_size 1"
     " --logging_steps 1 --eval_strategy \"no\" --report_to none --output_dir ../trl-smoke-rm",
     NULL, FULL, 2, 0, NULL},
    {"examples/scripts/reward_modeling.py, 2025: full training", "reward", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/ultrafeedback_binarized"
     " --output_dir Qwen2-0.5B-Reward --per_device_train_batch_size 8 --num_train_epochs 1"
     " --gradient_checkpointing True --learning_rate 1.0e-5 --logging_steps 25 --eval_strategy steps"
     " --eval_steps 50 --max_length 2048", NULL, FULL, 3, 0, NULL},
    {"examples/scripts/reward_modeling.py, 2025: LoRA", "reward", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/ultrafeedback_binarized"
     " --output_dir Qwen2-0.5B-Reward-LoRA --per_device_train_batch_size 8 --num_train_epochs 1"
     " --gradient_checkpointing True --learning_rate 1.0e-4 --logging_steps 25 --eval_strategy steps"
     " --eval_steps 50 --max_length 2048 --use_peft --lora_r 32 --lora_alpha 16", NULL, ADAPTER, 3, 0, NULL},
    {"trl/skills/trl-training/SKILL.md, 2026: reward", "reward", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/ultrafeedback_binarized"
     " --output_dir Qwen2-0.5B-Reward --per_device_train_batch_size 8 --num_train_epochs 1"
     " --learning_rate 1.0e-5 --eval_strategy steps --eval_steps 50 --max_length 2048",
     NULL, FULL, 3, 0, NULL},
    {"trl/skills/trl-training/SKILL.md, 2026: reward, LoRA", "reward", NULL,
     "--model_name_or_path Qwen/Qwen2-0.5B-Instruct --dataset_name trl-lib/ultrafeedback_binarized"
     " --output_dir Qwen2-0.5B-Reward-LoRA --per_device_train_batch_size 8 --num_train_epochs 1"
     " --learning_rate 1.0e-4 --eval_strategy steps --eval_steps 50 --max_length 2048 --use_peft"
     " --lora_task_type SEQ_CLS --lora_r 32 --lora_alpha 16", NULL, ADAPTER, 3, 0, NULL},
    {"docs/source/clis.md, 2025: trl reward", "reward", NULL,
     "--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name trl-lib/ultrafeedback_binarized",
     NULL, FULL, 9, 0, NULL},
    {"tests/test_cli.py, 2026: test_reward", "reward", NULL,
     "--output_dir out --model_name_or_path trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --dataset_name"
     " trl-internal-testing/zen --dataset_config standard_implicit_prompt_preference --report_to none",
     NULL, FULL, 9, 0, NULL},
    {"benchmark/benchmark_level1.sh, 2024: reward_modeling.py", "reward", NULL,
     "--model_name_or_path=facebook/opt-350m --output_dir=\"reward_modeling_anthropic_hh\""
     " --per_device_train_batch_size=64 --num_train_epochs=1 --gradient_accumulation_steps=16"
     " --gradient_checkpointing=True --learning_rate=1.41e-5 --report_to=\"wandb\""
     " --remove_unused_columns=False --optim=\"adamw_torch\" --logging_steps=10"
     " --evaluation_strategy=\"steps\" --max_length=512", "--dataset_name Anthropic/hh-rlhf",
     FULL, 1, 0, NULL},
    {"examples/scripts/minimal/rm.py, 2024", "reward", NULL,
     "--learning_rate 3e-6 --per_device_train_batch_size 1 --per_device_eval_batch_size 1"
     " --gradient_accumulation_steps 32 --logging_steps 1 --evaluation_strategy epoch --max_length 1024"
     " --remove_unused_columns False --num_train_epochs 1 --eval_steps=10 --output_dir models/minimal/rm",
     "--model_name_or_path EleutherAI/pythia-160m --dataset_name trl-lib/ultrafeedback_binarized",
     FULL, 1, 0, NULL},
    /* ---- PPO ---- */
    {"examples/scripts/ppo/smoke_test.sh, 2026: 3 of 3", "ppo", NULL,
     "--dataset_name trl-internal-testing/zen --dataset_config standard_prompt_only"
     " --dataset_test_split test --output_dir ppo-out --model_name_or_path"
     " trl-internal-testing/tiny-Qwen2ForCausalLM-2.5 --sft_model_path ../trl-smoke-sft"
     " --reward_model_path ../trl-smoke-rm --num_ppo_epochs 1 --num_mini_batches 1"
     " --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --total_episodes 4"
     " --local_rollout_forward_batch_size 1 --missing_eos_penalty 1.0 --stop_token eos"
     " --response_length 8 --eval_strategy \"no\" --report_to none", NULL, FULL, 4, 0, NULL},
    {"examples/scripts/ppo/ppo_tldr.py, 2026", "ppo", NULL,
     "--dataset_name trl-lib/tldr --dataset_test_split validation --learning_rate 3e-6 --output_dir"
     " pythia-1b-deduped-tldr-preference-sft-trl-style-ppo --per_device_train_batch_size 1"
     " --gradient_accumulation_steps 64 --total_episodes 30000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --sft_model_path cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr"
     " --reward_model_path cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr --missing_eos_penalty 1.0"
     " --stop_token eos --response_length 53 --eval_strategy steps --eval_steps 100", "max_steps=1",
     FULL, 1, 0, NULL},
    {"examples/scripts/ppo/ppo_tldr.py, 2026: a million episodes", "ppo", NULL,
     "--dataset_name trl-lib/tldr --dataset_test_split validation --output_dir"
     " pythia-1b-deduped-tldr-preference-sft-trl-style-ppo --learning_rate 3e-6"
     " --per_device_train_batch_size 16 --gradient_accumulation_steps 4 --total_episodes 1000000"
     " --model_name_or_path EleutherAI/pythia-1b-deduped --sft_model_path"
     " cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr --reward_model_path"
     " cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr --local_rollout_forward_batch_size 16"
     " --missing_eos_penalty 1.0 --stop_token eos --eval_strategy steps --eval_steps 100", "max_steps=1",
     FULL, 1, 0, NULL},
    {"examples/scripts/ppo/ppo_tldr.py, 2025", "ppo", NULL,
     "--dataset_name trl-internal-testing/tldr-preference-sft-trl-style --dataset_test_split validation"
     " --learning_rate 3e-6 --output_dir models/minimal/ppo_tldr --per_device_train_batch_size 1"
     " --gradient_accumulation_steps 64 --total_episodes 30000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --sft_model_path cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr"
     " --reward_model_path cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr --missing_eos_penalty 1.0"
     " --stop_token eos --response_length 53 --eval_strategy steps --eval_steps 100", "max_steps=1",
     FULL, 1, 0, NULL},
    {"docs/source/ppo_trainer.md, 2025: benchmark", "ppo", NULL,
     "--output_dir models/minimal/ppo_tldr --learning_rate 3e-6 --per_device_train_batch_size 16"
     " --gradient_accumulation_steps 4 --total_episodes 1000000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --sft_model_path cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr"
     " --reward_model_path cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr"
     " --local_rollout_forward_batch_size 16 --missing_eos_penalty 1.0 --stop_token eos",
     "--dataset_name trl-lib/tldr max_steps=1", FULL, 1, 0, NULL},
    {"examples/scripts/ppo/ppo.py, 2025: DeepSpeed", "ppo", NULL,
     "--dataset_name trl-internal-testing/descriptiveness-sentiment-trl-style --dataset_train_split"
     " descriptiveness --output_dir pythia-1b-deduped-descriptiveness-sentiment-trl-style-ppo"
     " --num_ppo_epochs 1 --num_mini_batches 1 --learning_rate 3e-6 --per_device_train_batch_size 1"
     " --gradient_accumulation_steps 16 --total_episodes 10000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --sft_model_path EleutherAI/pythia-1b-deduped --reward_model_path"
     " EleutherAI/pythia-1b-deduped --local_rollout_forward_batch_size 1 --missing_eos_penalty 1.0", NULL,
     NULL, 0, ERR_DATA, "no score.weight; ppo.reward.model must be a reward model"},
    {"examples/scripts/ppo/ppo.py, 2025: TRL's default reward model", "ppo", NULL,
     "--dataset_name trl-internal-testing/descriptiveness-sentiment-trl-style --dataset_train_split"
     " descriptiveness --learning_rate 3e-6 --output_dir"
     " pythia-1b-deduped-descriptiveness-sentiment-trl-style-ppo --per_device_train_batch_size 64"
     " --gradient_accumulation_steps 1 --total_episodes 10000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --missing_eos_penalty 1.0", NULL,
     NULL, 0, ERR_CONFIG, "`ppo.reward` is missing"},
    {"examples/scripts/minimal/ppo_tldr.py, 2024", "ppo", NULL,
     "--learning_rate 3e-6 --output_dir models/minimal/ppo --per_device_train_batch_size 1"
     " --gradient_accumulation_steps 64 --total_episodes 30000 --model_name_or_path"
     " EleutherAI/pythia-1b-deduped --sft_model_path cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr"
     " --reward_model_path cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr --non_eos_penalty"
     " --truncate_token eos --response_length 53 --sanity_check", "--dataset_name trl-lib/tldr",
     NULL, 0, ERR_CONFIG, "`non_eos_penalty` can only be false here"},
    {"examples/scripts/ppo.py, 2024: the classic trainer", "ppo", NULL, "--log_with=wandb", NULL,
     NULL, 0, ERR_CONFIG, "`model.path` is missing"},
};
/* clang-format on */

/* ---- running ---- */

/* Words as a shell gives them: quotes hold blanks together and are taken off. */
static int split_words(char **argv, int n, const char *text) {
    Str word = {0};
    bool inside = false;
    char quote = 0;
    for (const char *c = text;; c++) {
        bool ends = !*c || (!quote && *c == ' ');
        if (ends && inside) {
            if (n == MAX_WORDS) abort();
            argv[n++] = str_take(&word);
            inside = false;
        }
        if (!*c) break;
        if (ends) continue;
        inside = true;
        if (!quote && (*c == '\'' || *c == '"'))
            quote = *c;
        else if (quote == *c)
            quote = 0;
        else
            str_append_char(&word, *c);
    }
    str_free(&word);
    argv[n] = NULL;
    return n;
}

/* In a working folder of its own, with config.yaml in it; the exit code. */
static int run_command(const Command *c, const char *place, const char *more) {
    char *argv[MAX_WORDS + 1];
    argv[0] = str_format(HONE_BIN_DIR "/%s", c->program);
    int n = split_words(argv, 1, c->words);
    if (more) split_words(argv, n, more);
    if (file_make_folders(place) != OK) abort();
    if (c->yaml) mem_free(scratch_text(place, "config.yaml", c->yaml));
    int code = program_wait(program_start(place, false, argv));
    program_argv_free(argv);
    return code;
}

/* The folder that the command names, or TRL's default. */
static char *output_of(const Command *c, const char *place) {
    const char *from = strstr(c->words, "--output_dir");
    if (from) {
        from += strlen("--output_dir ") + (from[strlen("--output_dir ")] == '"');
    } else if (c->yaml && (from = strstr(c->yaml, "output_dir: ")) != NULL) {
        from += strlen("output_dir: ");
    }
    char *name = from ? mem_strndup(from, strcspn(from, " \"\n")) : mem_strdup("trainer_output");
    char *path = file_join(place, name);
    mem_free(name);
    return path;
}

static int64_t last_step(const char *metrics) {
    int64_t step = -1;
    const char *from = metrics, *at;
    while ((at = strstr(from, "\"step\": ")) != NULL || (at = strstr(from, "\"step\":")) != NULL) {
        from = strchr(at + 1, ':') + 1;
        int64_t here = strtoll(from, NULL, 10);
        if (here > step) step = here;
    }
    return step;
}

/* All are run before the test fails, so that one look shows all that is wrong. */
static bool wrong(const Command *c, const char *place, const char *what) {
    char *log = program_text(place, "log");
    print_error("%s: %s\n%s", c->from, what, log);
    mem_free(log);
    return false;
}

static bool has_output(const Command *c, const char *place) {
    char *output = output_of(c, place), *holds = file_join(output, c->holds);
    char *metrics = file_is_regular(holds) ? program_text(output, "metrics.jsonl") : NULL;
    bool good = metrics && last_step(metrics) == c->steps;
    if (!good && metrics) print_error("%lld steps\n", (long long)last_step(metrics));
    mem_free(metrics);
    mem_free(holds);
    mem_free(output);
    return good || wrong(c, place, "not what should come out");
}

static int count_of(const char *text, const char *what) {
    int n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what)) n++;
    return n;
}

/* By the code and the words that are promised; what only pushes must have no other fault. */
static bool is_refused(const Command *c, const char *place, int code) {
    char *log = program_text(place, "log");
    bool good =
        code == c->code && strstr(log, c->says) && (!c->holds || count_of(log, "error: ") == 1);
    if (good) print_message("refused: %s: %.*s\n", c->from, (int)strcspn(log, "\n"), log);
    mem_free(log);
    return good || wrong(c, place, c->says);
}

static void test_trl_commands__run_unchanged_or_say_why_not(void **state) {
    (void)state;
    int ran = 0, with_more = 0, refused = 0, bad = 0;
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        const Command *c = &COMMANDS[i];
        char *place = str_format("%s/run-%02zu", folder, i);
        if (c->code) {
            const char *more = c->more;
            if (c->holds) more += strlen(NO_PUSH);
            bad += !is_refused(c, place, run_command(c, place, more));
            refused++;
        }
        if (c->holds) {
            int code = run_command(c, place, c->more);
            bad += code ? !wrong(c, place, "must run") : !has_output(c, place);
            if (!c->code) *(c->more ? &with_more : &ran) += 1;
        }
        mem_free(place);
    }
    print_message("%zu commands: %d run unchanged, %d with the addition that stands there, %d are "
                  "refused by name\n",
                  sizeof COMMANDS / sizeof *COMMANDS, ran, with_more, refused);
    assert_int_equal(bad, 0);
    assert_true(ran >= 20);
}

static int open_world(void **state) {
    (void)state;
    folder = trl_world_open();
    return 0;
}

static int leave_world(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trl_commands__run_unchanged_or_say_why_not),
    };
    return cmocka_run_group_tests(tests, open_world, leave_world);
}
