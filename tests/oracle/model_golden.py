#!/usr/bin/env python3
"""Golden files for tests/golden/test_model_golden.c, from PyTorch, Transformers and PEFT.

    python3 model_golden.py              remakes tests/golden/data/ (HONE_GOLDEN names another folder)
    python3 model_golden.py --odd SEED   the same files at odd sizes drawn from SEED, for a comparison by
                                         HONE_GOLDEN=FOLDER build/tests/test_model_golden

For a tiny LLaMA (grouped heads, llama3 rope scaling) and a tiny GPT-2: the model as Transformers saves it, a LoRA
adapter as PEFT saves it, and per case one safetensors file with log-probs, entropies (or scores), the logits of the
last rows (less their log-sum-exp), every gradient, the losses of ten AdamW steps and the parameters after them. All of that is computed in float64; for each kind
of these stands in `err/<kind>` the relative error (2-norm) that float32 PyTorch makes, so that the test types no tolerance
by hand. Rounding errors are a draw: the largest over all orders of the batch counts (at odd sizes also over two ways to compute
attention and the padding).
"""
import itertools
import json
import math
import os
import random
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          LlamaForSequenceClassification)
from transformers.models.llama import modeling_llama

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.environ.get("HONE_GOLDEN") or os.path.join(HERE, "..", "golden", "data")
PROMPT = 2  # the first rows of each sequence carry no loss
STEPS = 10
# The gradient of a bias on keys is 0 but for rounding; a small eps would blow that noise up to whole steps.
OPTIM = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-6)
DECAY = 0.01

LLAMA3 = dict(rope_type="llama3", rope_theta=1000.0, factor=4.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)

# Sequences in this order, and both models.
SIZES = dict(draws=[("sdpa", 0)], lengths=(11, 7, 14), vocab=97, mlp=20, layers=2, heads=3, kv_heads=1, head_dim=4, rope=LLAMA3,
             gpt2_head_dim=4, positions=32, std=0.3,
             llama_lora=dict(r=2, lora_alpha=6, target_modules="all-linear"),
             gpt2_lora=dict(r=2, lora_alpha=6, target_modules=["c_attn", "c_fc", "attn.c_proj"]),
             reward_lora=dict(r=3, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "down_proj"]))


def draw_sizes(seed):
    """No power of two; a sequence of one learned row, one longer than a block of attention's keys."""
    g = random.Random(seed)
    heads = g.choice([3, 5, 6])
    SIZES.update(lengths=(g.randint(4, 20), 65 + g.randint(0, 30), PROMPT + 2), vocab=g.randrange(101, 400, 2),
                 mlp=g.randrange(19, 70, 2), layers=g.randint(1, 3), heads=heads,
                 kv_heads=g.choice([k for k in (1, 2, 3, 5, 6) if heads % k == 0]), head_dim=g.choice([2, 6, 10, 14]),
                 rope=LLAMA3 if seed % 2 else dict(rope_type="default", rope_theta=g.uniform(100, 20000)),
                 gpt2_head_dim=g.choice([3, 5, 7, 11]), positions=101, std=0.15,
                 draws=[("sdpa", 0), ("eager", 0), ("sdpa", 3), ("eager", 4)])
    for kind in ("llama_lora", "gpt2_lora", "reward_lora"):
        SIZES[kind] = dict(SIZES[kind], r=g.choice([1, 3, 5, 9]), lora_alpha=g.randint(2, 9),
                           use_rslora=g.random() < 0.5)
    print("odd sizes:", SIZES)


def llama_config():
    s = SIZES
    return LlamaConfig(vocab_size=s["vocab"], hidden_size=s["heads"] * s["head_dim"], intermediate_size=s["mlp"],
                       num_hidden_layers=s["layers"], num_attention_heads=s["heads"],
                       num_key_value_heads=s["kv_heads"], max_position_embeddings=128,
                       rope_parameters=dict(s["rope"]), initializer_range=s["std"], pad_token_id=0)


def gpt2_config():
    s = SIZES
    return GPT2Config(vocab_size=s["vocab"], n_embd=s["heads"] * s["gpt2_head_dim"], n_layer=s["layers"],
                      n_head=s["heads"], n_positions=s["positions"], initializer_range=s["std"], bos_token_id=0,
                      eos_token_id=0)


def patch_llama_to_follow_its_dtype():
    """Transformers computes rope and RMSNorm of LLaMA in float32 whatever the model's dtype; a float64 reference must
    not. In float32 nothing changes."""

    def norm(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def frequencies(dim):
        ROPE = SIZES["rope"]
        base = torch.arange(0, dim, 2, dtype=torch.float64) / dim
        inv = 1.0 / ROPE["rope_theta"] ** base
        if ROPE["rope_type"] == "default":
            return inv
        context = ROPE["original_max_position_embeddings"]
        wave = 2 * math.pi / inv
        smooth = (context / wave - ROPE["low_freq_factor"]) / (
            ROPE["high_freq_factor"] - ROPE["low_freq_factor"])
        blend = (1 - smooth) * inv / ROPE["factor"] + smooth * inv
        out = torch.where(wave > context / ROPE["low_freq_factor"], inv / ROPE["factor"], inv)
        middle = (wave <= context / ROPE["low_freq_factor"]) & (wave >= context / ROPE["high_freq_factor"])
        return torch.where(middle, blend, out)

    original = modeling_llama.LlamaRotaryEmbedding.forward

    def rope(self, x, position_ids):
        if x.dtype != torch.float64:
            return original(self, x, position_ids)
        inv = frequencies(2 * self.inv_freq.numel())
        assert torch.allclose(inv, self.inv_freq.double(), rtol=1e-6), "frequencies differ"
        angle = position_ids[:, :, None].double() * inv
        angle = torch.cat([angle, angle], -1)
        return angle.cos(), angle.sin()

    modeling_llama.LlamaRMSNorm.forward = norm
    modeling_llama.LlamaRotaryEmbedding.forward = rope


def batch(order, pads=0):
    """ids [B,T] right-padded with 0 to the longest and `pads` more, mask, targets with -100 where a row carries no loss; sequence order[b] in row b."""
    g = torch.Generator().manual_seed(5)
    lengths = SIZES["lengths"]
    sequences = [torch.randint(1, SIZES["vocab"], (n,), generator=g) for n in lengths]
    width = max(lengths) + pads
    ids = torch.zeros(len(lengths), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    targets = torch.full_like(ids, -100)
    for b, s in enumerate(order):
        n = lengths[s]
        ids[b, :n] = sequences[s]
        mask[b, :n] = 1
        targets[b, PROMPT:n - 1] = ids[b, PROMPT + 1:n]
    return ids, mask, targets, order


def flat(x, order):
    """[B,T] -> the rows of sequence 0, of sequence 1, ..."""
    return torch.cat([x[order.index(s), :n] for s, n in enumerate(SIZES["lengths"])])


def last_rows(x, order):
    """[B,T,...] -> the last row of sequence 0, of sequence 1, ..."""
    return torch.stack([x[order.index(s), n - 1] for s, n in enumerate(SIZES["lengths"])])


def language_loss(model, ids, mask, targets, order):
    logits = model(input_ids=ids, attention_mask=mask).logits
    logp = torch.log_softmax(logits, -1)
    entropy = -(logp.exp() * logp).sum(-1)
    asked = targets != -100
    chosen = logp.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * asked
    loss = -chosen.sum() / asked.sum()
    return loss, {"logp": flat(chosen.detach(), order), "entropy": flat((entropy * asked).detach(), order),
                  "logits": last_rows(logp.detach(), order)}


def reward_loss(model, ids, mask, _, order):
    """Sequence 0 is preferred to sequence 1, sequence 2 to sequence 0."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    hidden = inner.model(input_ids=ids, attention_mask=mask).last_hidden_state
    value = inner.score(hidden)[..., 0]
    last = last_rows(value, order)
    loss = -torch.nn.functional.logsigmoid(torch.stack([last[0] - last[1], last[2] - last[0]])).mean()
    return loss, {"value": flat(value.detach(), order)}


def plain_name(name):
    """As files and Hone call it: without the adapter's name; the score head is the base's own."""
    name = name.replace(".default", "")
    return "score.weight" if name.endswith("score.modules_to_save.weight") else name


def run(model, loss_of, dtype, order, pads=0):
    """One backward and STEPS optimizer steps in `dtype`; everything measured, as float64."""
    model = model.to(dtype).eval()
    data = batch(order, pads)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    loss, out = loss_of(model, *data)
    loss.backward()
    for n, p in named:
        grad = p.grad if p.grad is not None else torch.zeros_like(p)
        out["grad/" + plain_name(n)] = grad.clone()
    groups = [dict(params=[p for n, p in named if p.ndim > 1], weight_decay=DECAY),
              dict(params=[p for n, p in named if p.ndim == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, foreach=False, **OPTIM)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _unused = loss_of(model, *data)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    out["losses"] = torch.tensor(losses, dtype=torch.float64)
    for n, p in named:
        out["after/" + plain_name(n)] = p.detach().clone()
    return {k: v.double().contiguous() for k, v in out.items()}


def write_case(name, make, loss_of):
    orders = list(itertools.permutations(range(len(SIZES["lengths"]))))
    exact = run(make(), loss_of, torch.float64, orders[0])
    singles = [run(make(attention), loss_of, torch.float32, order, pads)
               for order in orders for attention, pads in SIZES["draws"]]
    out = dict(exact)
    for kind in sorted({key.split("/")[0] for key in exact}):
        # "grad" and "after": all gradients, all parameters as one vector. (In float64 each tensor is compared by itself.)
        keys = [k for k in exact if k.split("/")[0] == kind]
        size = sum(exact[k].square().sum().item() for k in keys)
        wrong = [sum((single[k] - exact[k]).square().sum().item() for k in keys) for single in singles]
        out["err/" + kind] = torch.tensor([math.sqrt(max(wrong) / size)], dtype=torch.float64)
    out["ids"] = flat(batch(orders[0])[0], orders[0]).to(torch.int32)
    out["lengths"] = torch.tensor(SIZES["lengths"], dtype=torch.int32)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    save_file(out, os.path.join(DATA, name + ".safetensors"), metadata={"made_with": json.dumps(versions)})
    print(f"{name}: loss {exact['losses'][0].item():.6f}, after {STEPS} steps {exact['losses'][-1].item():.6f}, "
          f"float32 error of the gradient {out['err/grad'].item():.1e}")


def scatter_all(model, seed):
    """Norms, biases and LoRA's B away from the values they start with."""
    g = torch.Generator().manual_seed(seed)
    for _, p in sorted(model.named_parameters()):
        if p.requires_grad:
            p.data += 0.1 * torch.randn(p.shape, generator=g)


def family(name, model):
    folder = os.path.join(DATA, name)
    scatter_all(model, 1)
    model.save_pretrained(folder)
    kind = type(model)
    load = lambda attention="sdpa": kind.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    write_case(name + "_full", load, language_loss)

    lora = get_peft_model(load(), LoraConfig(**SIZES[name + "_lora"], task_type="CAUSAL_LM",
                                             fan_in_fan_out=name == "gpt2"))
    adapter_case(name, name + "_lora", lora, load, language_loss)


def adapter_case(base, name, lora, load, loss_of):
    scatter_all(lora, 2)
    folder = os.path.join(DATA, name + "_adapter")
    lora.peft_config["default"].base_model_name_or_path = base  # not this machine's path
    lora.peft_config["default"].target_modules = sorted(lora.peft_config["default"].target_modules)
    lora.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    write_case(name, lambda attention="sdpa": PeftModel.from_pretrained(load(attention), folder, is_trainable=True), loss_of)


def reward():
    """The score head on the same trunk, trained whole and as PEFT's SEQ_CLS adapter."""
    config = llama_config()
    config.num_labels = 1
    torch.manual_seed(4)
    model = LlamaForSequenceClassification(config)
    scatter_all(model, 3)
    folder = os.path.join(DATA, "llama_reward")
    model.save_pretrained(folder)
    load = lambda attention="sdpa": LlamaForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention)
    write_case("llama_reward_full", load, reward_loss)
    lora = get_peft_model(load(), LoraConfig(**SIZES["reward_lora"], task_type="SEQ_CLS"))
    adapter_case("llama_reward", "llama_reward_lora", lora, load, reward_loss)


def main():
    torch.set_num_threads(1)
    os.makedirs(DATA, exist_ok=True)
    if sys.argv[1:2] == ["--odd"]:
        draw_sizes(int(sys.argv[2]))
    patch_llama_to_follow_its_dtype()
    torch.manual_seed(3)
    family("llama", LlamaForCausalLM(llama_config()))
    torch.manual_seed(3)
    family("gpt2", GPT2LMHeadModel(gpt2_config()))
    reward()


if __name__ == "__main__":
    main()
