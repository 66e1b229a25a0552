"""ppo.py full|lora UPDATES TOKENIZER: updates of TRL's PPOTrainer, 15M, 32 x (32 + 96), 4 epochs."""
import contextlib
import tempfile
import time

from common import *

mode, updates, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]

import torch
from datasets import Dataset
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer as module

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
BATCH, PROMPT, RESPONSE = 32, 32, 96
starts, ends = [], []
generation = module.batch_generation


def timed_generation(*x, **k):
    starts.append(time.perf_counter())
    return generation(*x, **k)


class Timed(PPOTrainer):
    def log(self, *x, **k):
        ends.append(time.perf_counter())


module.batch_generation = timed_generation
n = updates + 1
with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
    args = PPOConfig(output_dir=out, per_device_train_batch_size=BATCH, gradient_accumulation_steps=1,
                     num_mini_batches=1, num_ppo_epochs=4, total_episodes=n * BATCH,
                     response_length=RESPONSE, local_rollout_forward_batch_size=BATCH,
                     learning_rate=1e-5, num_sample_generations=0, report_to="none",
                     save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
                     disable_tqdm=True)
    Timed(args=args, processing_class=tokenizer(folder), model=causal_lm("15m"),
          ref_model=None if mode == "lora" else causal_lm("15m"), reward_model=seq_cls("15m", 4),
          value_model=seq_cls("15m", 5),
          train_dataset=Dataset.from_dict({"input_ids": shapes.rows(n * BATCH, PROMPT)}),
          peft_config=lora("CAUSAL_LM") if mode == "lora" else None).train()
report([end - start for start, end in zip(starts, ends)][1:])
