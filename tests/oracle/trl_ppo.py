#!/usr/bin/env python3
"""Golden updates of TRL's PPOTrainer, for tests/golden/test_trl_ppo.c.

Sampling is replaced by fixed responses (with the log-probs of a full forward, as Hone has them); everything behind it
is TRL's own train(): scores, penalty, masks, KL, rewards, advantages, minibatches, losses, statistics, optimizer and
scheduler. Rows keep their order. `plain`: responses of every length up to the limit; in the second update all end
early; two minibatches, which do not step apart. `k3`: the other estimator, whitened rewards, no stop token. `lora`:
the policy is an adapter, whose base is the reference; a stop token that is not the EOS which the penalty asks for, and
scores in chunks.

    python3 trl_ppo.py [CASE ...]    remakes tests/golden/data/trl/ppo_*.safetensors (the models: trl_sft.py)
"""
import json
import os
import sys

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM, LlamaForSequenceClassification
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

import trl_common as common

EOS, PAD, STOP, LIMIT = 1, 2, 7, 7
METRICS = ["objective/kl", "objective/entropy", "objective/non_score_reward", "objective/rlhf_reward",
           "objective/scores", "policy/approxkl_avg", "policy/clipfrac_avg", "loss/policy_avg", "loss/value_avg",
           "val/clipfrac_avg", "policy/entropy_avg", "val/ratio", "val/ratio_var", "val/num_eos_tokens", "lr",
           "episode"]
PROMPTS = ["Where is the cat?", "Why?", "Name a fruit.", "Where is the dog?", "Go on:", "Say something short.",
           "Who is the hen?", "What?"]
CASES = {
    "plain": dict(stop_token="eos", missing_eos_penalty=1.0, kl_coef=0.2, num_mini_batches=2, num_ppo_epochs=3,
                  per_device_train_batch_size=2, gradient_accumulation_steps=4, learning_rate=2e-2, cliprange=0.1,
                  cliprange_value=0.1),
    "k3": dict(kl_estimator="k3", kl_coef=0.05, whiten_rewards=True, num_ppo_epochs=2, gamma=0.9, lam=0.8,
               per_device_train_batch_size=4, gradient_accumulation_steps=2, learning_rate=1e-2, vf_coef=0.5),
    "lora": dict(stop_token_id=STOP, missing_eos_penalty=0.5, num_ppo_epochs=2, per_device_train_batch_size=4,
                 gradient_accumulation_steps=2, learning_rate=1e-2, local_rollout_forward_batch_size=3),
}
LENGTHS = {"plain": [[7, 3, 7, 1, 5, 6, 7, 2], [4, 3, 5, 1, 2, 5, 4, 2]], "k3": [[7] * 8, [7] * 8],
           "lora": [[7, 4, 7, 2, 6, 7, 1, 3], [3, 5, 1, 4, 2, 5, 4, 2]]}


ADAPTER = os.path.join(common.DATA, "policy_adapter")


def responses(case):
    """[updates][rows] token lists: random ones, EOS where they end before the limit (and behind one that fills it)."""
    g = torch.Generator().manual_seed(7)
    out = []
    for lengths in LENGTHS[case]:
        rows = [torch.randint(3, 320, (n,), generator=g).tolist() for n in lengths]
        for i, row in enumerate(rows):
            if case == "plain" and (len(row) < LIMIT or i == 6):
                row[-1] = EOS
            if case == "lora":
                row[:] = [t + 1 if t == STOP else t for t in row]
                if i % 3 == 1:
                    row[0] = EOS
                if len(row) < LIMIT:
                    row[-1] = STOP
        out.append(rows)
    return out


def run(case, dtype, order):
    with common.computing_in(dtype):
        tokenizer = common.tokenizer()
        tokenizer.padding_side = "left"
        prompts = [tokenizer(p)["input_ids"] for p in PROMPTS]
        index = order(list(range(len(prompts))))
        args = PPOConfig(**common.arguments(), **CASES[case], response_length=LIMIT, temperature=0.7,
                         total_episodes=2 * len(prompts), num_sample_generations=0)
        policy = common.load(LlamaForCausalLM, "policy", dtype)
        if case == "lora":
            policy = PeftModel.from_pretrained(policy, ADAPTER, is_trainable=True)
        models = [common.load(LlamaForSequenceClassification, "reward", dtype) for _ in range(2)]
        # Three times the prompts, so that no update uses the data loader's last batch.
        data = Dataset.from_list([{"input_ids": prompts[i]} for i in index] * 3)
        trainer = PPOTrainer(args=args, processing_class=tokenizer, model=policy, ref_model=None,
                             reward_model=models[0], value_model=models[1], train_dataset=data, eval_dataset=data)
        trainer.dataloader = torch.utils.data.DataLoader(data, batch_size=len(prompts),
                                                         collate_fn=trainer.data_collator)
        fixed = iter(responses(case))
        # train() keeps these in local variables; they are caught where it hands them to functions of its own.
        kept = {"advantages": [], "scores": [], "logprobs": []}
        chunks = []

        def generation(model, queries, _size, pad, _config):
            rows = next(fixed)
            width = max(map(len, rows))
            answers = torch.tensor([rows[i] + [PAD] * (width - len(rows[i])) for i in index])
            both = torch.cat([queries, answers], 1)
            logits = ppo_trainer.forward(model, both, pad).logits[:, queries.shape[1] - 1:-1]
            logits = logits / (args.temperature + 1e-7)
            logp = torch.log_softmax(logits, -1).gather(-1, answers[..., None])[..., 0]
            place = [index.index(i) for i in range(len(index))]
            kept["logprobs"] += [logp[place[i], :len(rows[i])] for i in range(len(rows))]
            kept["rows"] = [(place[i], len(rows[i])) for i in range(len(rows))]
            return both, logits

        whiten = ppo_trainer.masked_whiten

        def whitened(values, mask, shift_mean=True):
            out = whiten(values, mask, shift_mean)
            if shift_mean:
                kept["advantages"] += [out[place, :n] for place, n in kept["rows"]]
            return out

        reward_of = ppo_trainer.get_reward

        def reward(model, *rest):
            out = reward_of(model, *rest)
            if model is trainer.reward_model:
                chunks.append(out[1].detach().clone())
            if sum(map(len, chunks)) == len(index):
                kept["scores"] += [torch.cat(chunks)[[place for place, _ in kept["rows"]]]]
                chunks.clear()
            return out

        permutation = np.random.permutation
        ppo_trainer.batch_generation, ppo_trainer.masked_whiten = generation, whitened
        ppo_trainer.get_reward, np.random.permutation = reward, np.arange
        try:
            trainer.train()
        finally:
            ppo_trainer.masked_whiten, ppo_trainer.get_reward = whiten, reward_of
            np.random.permutation = permutation
        out = common.history(trainer, METRICS)
        out.update({k: torch.cat(v) for k, v in kept.items() if k != "rows"})
        trained = {n.replace(".default", ""): p for n, p in policy.named_parameters() if p.requires_grad}
        out.update({"after/" + n: p.detach().double().clone() for n, p in trained.items()})
        out.update(common.parameters(trainer.value_model, "value_after/"))
        return out


def write_prompts():
    with open(common.DATA + "/prompts.jsonl", "w") as f:
        f.writelines(json.dumps({"prompt": p}) + "\n" for p in PROMPTS)


def write_adapter():
    """A fresh one: B is 0, so that the policy starts as its reference."""
    torch.manual_seed(13)
    lora = get_peft_model(common.load(LlamaForCausalLM, "policy", torch.float32),
                          LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
                                     task_type="CAUSAL_LM"))
    lora.peft_config["default"].base_model_name_or_path = "policy"  # not this machine's path
    lora.peft_config["default"].target_modules = sorted(lora.peft_config["default"].target_modules)
    lora.save_pretrained(ADAPTER)
    os.remove(os.path.join(ADAPTER, "README.md"))


if __name__ == "__main__":
    write_prompts()
    write_adapter()
    for case in sys.argv[1:] or CASES:
        size = CASES[case]["per_device_train_batch_size"]
        fixed = responses(case)
        extra = {"responses": torch.tensor([t for update in fixed for row in update for t in row], dtype=torch.int32),
                 "lengths": torch.tensor([len(row) for update in fixed for row in update], dtype=torch.int32),
                 "prompts": torch.tensor([t for p in PROMPTS for t in common.tokenizer()(p)["input_ids"]],
                                         dtype=torch.int32)}
        orders = common.orders(size)
        common.write("ppo_" + case, run(case, torch.float64, orders[0]),
                     [run(case, torch.float32, order) for order in orders], extra)
