#!/usr/bin/env python3
"""Golden trajectory of TRL's SFTTrainer, for tests/golden/test_trl_sft.c: ten steps of two micro-batches over prompts
and completions in file order, some cut, over the end of an epoch, with clipping and weight decay; and the same with
label smoothing.

    python3 trl_sft.py      remakes tests/golden/data/trl/{policy,reward}/ and sft.safetensors, sft_smoothed.safetensors
"""
import torch
from datasets import Dataset, load_dataset
from transformers import LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

import trl_common as common

METRICS = ["loss", "grad_norm", "learning_rate", "entropy", "mean_token_accuracy", "num_tokens"]


def run(dtype, order, smoothing=0.0):
    with common.computing_in(dtype):
        rows = order(load_dataset("json", data_files=common.SMOKE + "/completions.jsonl")["train"].to_list()[:28])
        args = SFTConfig(**common.arguments(), per_device_train_batch_size=2, gradient_accumulation_steps=2,
                         max_steps=10, learning_rate=1e-2, warmup_steps=2, weight_decay=0.1, max_grad_norm=1.0,
                         max_length=14, train_sampling_strategy="sequential",
                         label_smoothing_factor=smoothing,
                         loss_type="nll" if dtype == torch.float64 or smoothing else "chunked_nll")
        trainer = SFTTrainer(model=common.load(LlamaForCausalLM, "policy", dtype), args=args,
                             train_dataset=Dataset.from_list(rows), processing_class=common.tokenizer())
        trainer.train()
        out = common.history(trainer, METRICS)
        out.update(common.parameters(trainer.model, "after/"))
        return out


if __name__ == "__main__":
    common.fixtures()
    orders = common.orders(2)
    for name, smoothing in (("sft", 0.0), ("sft_smoothed", 0.1)):
        common.write(name, run(torch.float64, orders[0], smoothing),
                     [run(torch.float32, order, smoothing) for order in orders])
