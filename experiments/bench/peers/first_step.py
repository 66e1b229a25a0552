"""first_step.py sft|reward|ppo TOKENIZER: from the start of the process to the end of the first step of a
tiny model; START (seconds since the epoch) is in the environment."""
import contextlib
import tempfile
import time

from common import *

stage, folder = sys.argv[1:3]

import torch
from datasets import Dataset
from transformers import TrainerCallback

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class First(TrainerCallback):
    def on_step_end(self, args, state, control, **kw):
        report([time.time() - float(os.environ["START"])])
        control.should_training_stop = True


with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
    kw = dict(output_dir=out, per_device_train_batch_size=8, report_to="none", save_strategy="no",
              use_cpu=True, bf16=False, disable_tqdm=True, gradient_checkpointing=False)
    tok, ids = tokenizer(folder), shapes.rows(16, 16)
    if stage == "sft":
        from trl import SFTConfig, SFTTrainer
        trainer = SFTTrainer(model=causal_lm("tiny"), processing_class=tok, callbacks=[First()],
                             train_dataset=Dataset.from_dict({"input_ids": ids}),
                             args=SFTConfig(max_steps=1, **kw))
    elif stage == "reward":
        from trl import RewardConfig, RewardTrainer
        trainer = RewardTrainer(model=seq_cls("tiny"), processing_class=tok, callbacks=[First()],
                                train_dataset=Dataset.from_dict({"chosen_ids": ids,
                                                                 "rejected_ids": ids[::-1]}),
                                args=RewardConfig(max_steps=1, **kw))
    else:
        from trl.experimental.ppo import PPOConfig, PPOTrainer
        trainer = PPOTrainer(args=PPOConfig(total_episodes=8, response_length=16, num_ppo_epochs=1,
                                            num_sample_generations=0, **kw),
                             processing_class=tok, model=causal_lm("tiny"), ref_model=causal_lm("tiny"),
                             reward_model=seq_cls("tiny"), value_model=seq_cls("tiny"),
                             train_dataset=Dataset.from_dict({"input_ids": ids[:8]}),
                             callbacks=[First()])
    trainer.train()
