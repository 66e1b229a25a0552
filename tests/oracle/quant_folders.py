"""Writes quantized/: a tiny LLaMA as Transformers stores it quantized by bitsandbytes, and its log-probs.

Each folder holds what `save_pretrained` writes (codes, scales, quant_state, config.json) and `numbers.safetensors`: token
ids, and the log-probs of the same weights in float64, dequantized one by one.
"""
import os
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"
import torch
from bitsandbytes import functional as F
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

FORMATS = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32),
    "nf4_double": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_compute_dtype=torch.float32),
    "int8": dict(load_in_8bit=True),
}
out = Path(os.environ.get("HONE_GOLDEN", "tests/golden/data")) / "quantized"
torch.manual_seed(5)
torch.set_num_threads(1)
config = LlamaConfig(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.3,
                     tie_word_embeddings=False)
plain = AutoModelForCausalLM.from_config(config)
plain.save_pretrained(out / "plain")
ids = torch.randint(0, 96, (3, 20))


def logp(model):
    with torch.no_grad():
        z = model(ids).logits.double().log_softmax(-1)
    return z[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)


def values(tensors, name):
    """A stored matrix, number by number."""
    w = tensors[name]
    if name[:-6] + "SCB" in tensors:
        return w.double() * tensors[name[:-6] + "SCB"].double().unsqueeze(1) / 127
    state = {k[len(name) + 1:]: v for k, v in tensors.items() if k.startswith(name + ".")}
    state = F.QuantState.from_dict(state, device=torch.device("cpu"))
    return F.dequantize_4bit(w, state).double()


for name, options in FORMATS.items():
    model = AutoModelForCausalLM.from_pretrained(out / "plain", quantization_config=BitsAndBytesConfig(**options),
                                                 dtype=torch.float32)
    theirs = logp(model)
    model.save_pretrained(out / name)
    (out / name / "generation_config.json").unlink(missing_ok=True)
    tensors = load_file(out / name / "model.safetensors")
    exact = AutoModelForCausalLM.from_config(config).double()
    weights = {k: (v.double() if v.is_floating_point() else values(tensors, k))
               for k, v in tensors.items() if k.endswith("weight")}
    exact.load_state_dict(weights)
    truth = logp(exact)
    error = (theirs - truth).norm() / truth.norm()
    save_file({"ids": ids.int(), "logp": truth, "err": error.reshape(1)}, out / name / "numbers.safetensors")
    print(f"{name}: bitsandbytes is off by {error.item():.2e}")
for path in (out / "plain").iterdir():
    path.unlink()
(out / "plain").rmdir()
