"""What trl_sft.py, trl_reward.py and trl_ppo.py share: a tiny LLaMA and a reward model, trainers that compute in
float64, and the golden file.

Every trajectory is computed in float64, which is the truth, and in float32 with several orders of the rows inside
the micro-batches; the largest error of those is what a float32 implementation may have twice (`err/<name>`).
"""
import json
import math
import os
import shutil
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
import transformers
import trl
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification
from transformers.models.llama import modeling_llama

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
DATA = os.path.join(os.environ.get("HONE_GOLDEN") or os.path.join(HERE, "..", "golden", "data"), "trl")
TOKENIZER = os.path.join(ROOT, "configs", "smoke", "tokenizer")
SMOKE = os.path.join(ROOT, "configs", "smoke", "data")
DRAWS = 8


def config(**more):
    return LlamaConfig(vocab_size=320, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                       initializer_range=0.2, bos_token_id=0, eos_token_id=1, pad_token_id=2, **more)


def scatter(model, seed):
    """Norms away from 1."""
    g = torch.Generator().manual_seed(seed)
    for _, p in sorted(model.named_parameters()):
        p.data += 0.05 * torch.randn(p.shape, generator=g)
    return model


def fixtures():
    """tests/golden/data/trl/{policy,reward}, drawn once from fixed seeds."""
    torch.manual_seed(11)
    policy = scatter(LlamaForCausalLM(config(tie_word_embeddings=True)), 1)
    policy.save_pretrained(os.path.join(DATA, "policy"))
    torch.manual_seed(12)
    reward = scatter(LlamaForSequenceClassification(config(num_labels=1, tie_word_embeddings=False)), 2)
    reward.save_pretrained(os.path.join(DATA, "reward"))
    for name in ("policy", "reward"):
        for file in os.listdir(TOKENIZER):
            shutil.copy(os.path.join(TOKENIZER, file), os.path.join(DATA, name, file))


def tokenizer():
    return AutoTokenizer.from_pretrained(TOKENIZER)


def load(kind, name, dtype):
    return kind.from_pretrained(os.path.join(DATA, name), dtype=dtype, attn_implementation="sdpa")


class computing_in:
    """Inside, new tensors and all computation have `dtype`: Transformers and TRL cast to float32 in places, which a
    float64 reference must not."""

    def __init__(self, dtype):
        self.dtype = dtype

    def __enter__(self):
        torch.set_default_dtype(self.dtype)
        self.kept = (torch.Tensor.float, torch.Tensor.sum, modeling_llama.LlamaRMSNorm.forward,
                     modeling_llama.LlamaRotaryEmbedding.forward)
        if self.dtype != torch.float64:
            return
        cast, total = torch.Tensor.float, torch.Tensor.sum

        def norm(self, x):
            return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

        def rope(self, x, position_ids):
            n = self.inv_freq.numel()
            inv = 10000.0 ** (-torch.arange(0, 2 * n, 2, dtype=torch.float64) / (2 * n))
            assert torch.allclose(inv, self.inv_freq.double(), rtol=1e-6)
            angle = position_ids[:, :, None].double() * inv
            angle = torch.cat([angle, angle], -1)
            return angle.cos(), angle.sin()

        torch.Tensor.float = lambda self: self.double() if self.dtype == torch.bool else (
            self if self.dtype == torch.float64 else cast(self))
        # the label smoother sums in float32
        torch.Tensor.sum = lambda self, *args, dtype=None, **more: total(self, *args, **more) if (
            self.dtype == torch.float64) else total(self, *args, dtype=dtype, **more)
        modeling_llama.LlamaRMSNorm.forward = norm
        modeling_llama.LlamaRotaryEmbedding.forward = rope

    def __exit__(self, *_):
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float, torch.Tensor.sum = self.kept[:2]
        modeling_llama.LlamaRMSNorm.forward, modeling_llama.LlamaRotaryEmbedding.forward = self.kept[2:]


def arguments():
    """What all trainers are given: no files of theirs, no reports, file order, float32 on a CPU."""
    return dict(output_dir=tempfile.mkdtemp(), report_to="none", use_cpu=True, bf16=False, seed=1,
                gradient_checkpointing=False, disable_tqdm=True, save_strategy="no", logging_steps=1)


def orders(size):
    """Rows as they are, then in other orders inside each micro-batch of `size`: rounding errors are a draw."""
    def shuffled(seed):
        def order(rows):
            g = torch.Generator().manual_seed(seed)
            parts = [rows[i:i + size] for i in range(0, len(rows), size)]
            return [part[k] for part in parts for k in torch.randperm(len(part), generator=g)]
        return order
    return [lambda rows: rows] + [shuffled(seed) for seed in range(DRAWS - 1)]


def history(trainer, names):
    rows = [r for r in trainer.state.log_history if names[0] in r]
    return {name: torch.tensor([r[name] for r in rows], dtype=torch.float64) for name in names}


def parameters(model, prefix):
    return {prefix + n: p.detach().double().clone() for n, p in model.named_parameters()}


def group(key):
    """All parameters after training are compared as one vector."""
    return key.split("/")[0] if key.startswith(("after/", "value_after/")) else key


def write(name, exact, singles, extra=None):
    out = {k: v.double().contiguous() for k, v in exact.items()}
    for kind in sorted({group(k) for k in exact}):
        keys = [k for k in exact if group(k) == kind]
        size = sum(exact[k].square().sum().item() for k in keys)
        wrong = [sum((s[k].double() - exact[k]).square().sum().item() for k in keys) for s in singles]
        out["err/" + kind] = torch.tensor([math.sqrt(max(wrong) / size) if size else 0.0], dtype=torch.float64)
    out.update(extra or {})
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    save_file(out, os.path.join(DATA, name + ".safetensors"), metadata={"made_with": json.dumps(versions)})
    for kind in sorted({group(k) for k in exact}):
        print(f"{name:8s} {kind:32s} float32 error {out['err/' + kind].item():.1e}")
