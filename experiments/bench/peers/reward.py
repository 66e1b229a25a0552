"""reward.py SHAPE PAIRS STEPS TOKENIZER: steps of TRL's RewardTrainer."""
import contextlib
import tempfile

from common import *

shape, pairs, steps, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

import torch
from datasets import Dataset
from trl import RewardConfig, RewardTrainer

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
ids = shapes.rows(2 * pairs * (steps + 1), shapes.pair_lengths(pairs))
clock = step_clock()


class Ordered(RewardTrainer):
    def _get_train_sampler(self, *x, **k):
        return torch.utils.data.SequentialSampler(self.train_dataset)


with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(sys.stderr):
    args = RewardConfig(output_dir=out, per_device_train_batch_size=pairs, max_steps=steps + 1,
                        max_length=256, learning_rate=1e-5, report_to="none", save_strategy="no",
                        logging_steps=1, disable_tqdm=True, use_cpu=True, bf16=False,
                        gradient_checkpointing=False, dataloader_pin_memory=False)
    Ordered(model=seq_cls(shape), args=args, processing_class=tokenizer(folder), callbacks=[clock],
            train_dataset=Dataset.from_dict({"chosen_ids": ids[::2], "rejected_ids": ids[1::2]})).train()
report(clock.times)
