#!/usr/bin/env python3
"""Golden trajectory of TRL's RewardTrainer, for tests/golden/test_trl_reward.c: six steps of two micro-batches over
pairs with a margin, with the centring term.

    python3 trl_reward.py      remakes tests/golden/data/trl/reward.safetensors (the models: trl_sft.py)
"""
import json

import torch
from datasets import Dataset
from transformers import LlamaForSequenceClassification
from trl import RewardConfig, RewardTrainer

import trl_common as common

METRICS = ["loss", "grad_norm", "learning_rate", "accuracy", "margin", "min_reward", "mean_reward", "max_reward",
           "num_tokens"]


def pairs():
    """tests/golden/data/trl/pairs.jsonl: the smoke pairs with margins, sides of different lengths."""
    with open(common.SMOKE + "/pairs.jsonl") as f:
        rows = [json.loads(line) for line in f][:20]
    for i, row in enumerate(rows):
        row["margin"] = [0.0, 0.5, -0.25, 1.5][i % 4]
        if i % 3 == 0:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    with open(common.DATA + "/pairs.jsonl", "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)
    return rows


def run(dtype, order):
    with common.computing_in(dtype):
        args = RewardConfig(**common.arguments(), per_device_train_batch_size=2, gradient_accumulation_steps=2,
                            max_steps=6, learning_rate=1e-2, lr_scheduler_type="cosine", max_grad_norm=2.0,
                            max_length=64, center_rewards_coefficient=0.1, train_sampling_strategy="sequential")
        trainer = RewardTrainer(model=common.load(LlamaForSequenceClassification, "reward", dtype), args=args,
                                train_dataset=Dataset.from_list(order(pairs())),
                                processing_class=common.tokenizer())
        trainer.train()
        out = common.history(trainer, METRICS)
        out.update(common.parameters(trainer.model, "after/"))
        return out


if __name__ == "__main__":
    orders = common.orders(2)
    common.write("reward", run(torch.float64, orders[0]), [run(torch.float32, order) for order in orders])
