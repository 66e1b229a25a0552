#!/usr/bin/env python3
"""Golden files of the model families for tests/golden/test_model_golden.c, from Transformers and PEFT.

    python3 families_golden.py [NAME...]      remakes tests/golden/data/families/, or these families of it;
                                              `defaults`: defaults.json, what a config.json means that says nothing

Per family, at odd sizes: the model as Transformers saves it, an all-linear LoRA adapter as PEFT saves it, and for both a
safetensors file with log-probs, entropies, the loss and every gradient, computed in float64, and `err/<kind>`: the relative
error of float32 PyTorch, the largest over all orders of the batch (model_golden.py says more).
"""
import itertools
import json
import math
import os
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode
from transformers import (BloomConfig, FalconConfig, Gemma2Config, GemmaConfig, GPTNeoXConfig, LlamaConfig, MistralConfig,
                          MptConfig, OPTConfig, Phi3Config, PhiConfig, Qwen2Config, Qwen3Config, StableLmConfig,
                          T5Config)

from transformers.models.bloom import modeling_bloom
from transformers.models.t5.modeling_t5 import T5Attention

from model_golden import DATA, PROMPT, plain_name, scatter_all

FOLDER = os.path.join(DATA, "families")
VOCAB = 53
LENGTHS = (11, 7, 14)
SOURCE_LENGTHS = (9, 21, 1)  # of an encoder
SIZES = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, initializer_range=0.2)
GATED = dict(SIZES, intermediate_size=20, num_key_value_heads=1, max_position_embeddings=64, pad_token_id=0)
TOKENS = dict(bos_token_id=1, eos_token_id=2)
OPT = dict(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=20,
           max_position_embeddings=16, pad_token_id=0, init_std=0.2, **TOKENS)
T5 = dict(vocab_size=VOCAB, d_model=22, d_kv=5, d_ff=20, num_heads=3, pad_token_id=0, eos_token_id=1,
          decoder_start_token_id=0, dropout_rate=0.1)
FALCON = dict(SIZES, ffn_hidden_size=20, max_position_embeddings=64, **TOKENS)

FAMILIES = {
    "llama_linear": lambda: LlamaConfig(**GATED, **TOKENS, rope_parameters=dict(
        rope_type="linear", rope_theta=500.0, factor=3.0)),
    "llama_yarn": lambda: LlamaConfig(**GATED, **TOKENS, rope_parameters=dict(
        rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4.0)),
    "llama_dynamic": lambda: LlamaConfig(**GATED, **TOKENS, rope_parameters=dict(
        rope_type="dynamic", rope_theta=500.0, factor=2.0)),
    "mistral": lambda: MistralConfig(**GATED, **TOKENS, head_dim=10, sliding_window=5),
    "qwen2": lambda: Qwen2Config(**GATED, **TOKENS),
    "qwen3": lambda: Qwen3Config(**GATED, **TOKENS, head_dim=10),
    "gemma": lambda: GemmaConfig(**GATED, **TOKENS, head_dim=10),
    "gemma2": lambda: Gemma2Config(**GATED, **TOKENS, head_dim=10, sliding_window=5, query_pre_attn_scalar=7,
                                   attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "phi": lambda: PhiConfig(**GATED, **TOKENS, qk_layernorm=True),
    "phi3": lambda: Phi3Config(**GATED, **TOKENS, sliding_window=6, original_max_position_embeddings=32,
                               rope_parameters=dict(rope_type="longrope", rope_theta=500.0,
                                                    short_factor=[1.0, 1.2, 1.5, 2.0], long_factor=[1.0, 3.0, 5.0, 8.0])),
    "stablelm": lambda: StableLmConfig(**GATED, **TOKENS, use_qkv_bias=True, rope_parameters=dict(
        rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)),
    "stablelm_parallel": lambda: StableLmConfig(**GATED, **TOKENS, use_parallel_residual=True),
    "neox": lambda: GPTNeoXConfig(**SIZES, **TOKENS, intermediate_size=20, max_position_embeddings=64,
                                  rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)),
    "neox_sequential": lambda: GPTNeoXConfig(**SIZES, **TOKENS, intermediate_size=20, max_position_embeddings=64,
                                             use_parallel_residual=False),
    "opt": lambda: OPTConfig(**OPT),
    "opt_350m": lambda: OPTConfig(**OPT, do_layer_norm_before=False, word_embed_proj_dim=10),
    "mpt": lambda: MptConfig(vocab_size=VOCAB, d_model=24, n_layers=2, n_heads=3, max_seq_len=64, initializer_range=0.2,
                             attn_config=dict(clip_qkv=0.8, alibi_bias_max=8), **TOKENS),
    "falcon_7b": lambda: FalconConfig(**FALCON),
    "falcon_40b": lambda: FalconConfig(**dict(FALCON, hidden_size=24, num_attention_heads=6), num_kv_heads=2,
                                       new_decoder_architecture=True),
    "falcon_alibi": lambda: FalconConfig(**FALCON, alibi=True, multi_query=False, parallel_attn=False, bias=True),
    "bloom": lambda: BloomConfig(vocab_size=VOCAB, hidden_size=24, n_layer=2, n_head=3, initializer_range=0.2, **TOKENS),
    "t5": lambda: T5Config(**T5, num_layers=2, relative_attention_num_buckets=8, relative_attention_max_distance=10),
    "flan_t5": lambda: T5Config(**T5, num_layers=1, num_decoder_layers=2, feed_forward_proj="gated-gelu",
                                tie_word_embeddings=False),
}


GELU_OF_BLOOM = modeling_bloom.BloomGelu.forward


class Exact(TorchFunctionMode):
    """Whatever asks for float32 gets float64: Transformers upcasts norms, rotary angles and softmaxes to float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        up = lambda x: torch.float64 if x is torch.float32 else x
        args, kwargs = tuple(map(up, args)), {k: up(v) for k, v in (kwargs or {}).items()}
        return (torch.Tensor.double if func is torch.Tensor.float else func)(*args, **kwargs)


def bloom_gelu(_, x):
    """BLOOM's GELU has sqrt(2/pi) in eight digits, which float64 would see and float32 does not."""
    return torch.nn.functional.gelu(x, approximate="tanh")


class Plain(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def batch(order):
    g = torch.Generator().manual_seed(5)
    sequences = [torch.randint(1, VOCAB, (n,), generator=g) for n in LENGTHS]
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.long)
    mask, targets = torch.zeros_like(ids), torch.full_like(ids, -100)
    for b, s in enumerate(order):
        n = LENGTHS[s]
        ids[b, :n], mask[b, :n] = sequences[s], 1
        targets[b, PROMPT:n - 1] = ids[b, PROMPT + 1:n]
    return ids, mask, targets, order


def source(order):
    """What an encoder reads beside the batch: ids, mask."""
    g = torch.Generator().manual_seed(6)
    sequences = [torch.randint(1, VOCAB, (n,), generator=g) for n in SOURCE_LENGTHS]
    ids = torch.zeros(len(SOURCE_LENGTHS), max(SOURCE_LENGTHS), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for b, s in enumerate(order):
        ids[b, :SOURCE_LENGTHS[s]], mask[b, :SOURCE_LENGTHS[s]] = sequences[s], 1
    return ids, mask


def flat(x, order, lengths=LENGTHS):
    """[B,T] -> the rows of sequence 0, of sequence 1, ..."""
    return torch.cat([x[order.index(s), :n] for s, n in enumerate(lengths)])


def language_loss(model, ids, mask, targets, order):
    if model.config.is_encoder_decoder:
        read, read_mask = source(order)
        inputs = dict(input_ids=read, attention_mask=read_mask, decoder_input_ids=ids, decoder_attention_mask=mask)
    else:
        inputs = dict(input_ids=ids, attention_mask=mask)
    logp = torch.log_softmax(model(**inputs).logits, -1)
    entropy = -(logp.exp() * logp).sum(-1)
    asked = targets != -100
    chosen = logp.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * asked
    loss = -chosen.sum() / asked.sum()
    return loss, {"logp": flat(chosen.detach(), order), "entropy": flat((entropy * asked).detach(), order)}


def name_in_file(name, model):
    """Transformers 5 calls GPT-NeoX's head lm_head and stores it as embed_out."""
    neox = model.config.model_type == "gpt_neox" and name == "lm_head.weight"
    return "embed_out.weight" if neox else plain_name(name)


def run(load, wrap, dtype, order):
    modeling_bloom.BloomGelu.forward = bloom_gelu if dtype == torch.float64 else GELU_OF_BLOOM
    mode = Exact if dtype == torch.float64 else Plain
    with mode():
        model = load(dtype)
    model = wrap(model).to(dtype).eval()
    with mode():
        loss, out = language_loss(model, *batch(order))
        loss.backward()
    out["loss"] = loss.detach()[None]
    for n, p in model.named_parameters():
        if p.requires_grad:
            out["grad/" + name_in_file(n, model)] = p.grad.clone()
    return {k: v.double().contiguous() for k, v in out.items()}


def write_case(name, load, wrap=lambda model: model):
    orders = list(itertools.permutations(range(len(LENGTHS))))
    exact = run(load, wrap, torch.float64, orders[0])
    singles = [run(load, wrap, torch.float32, order) for order in orders]
    out = dict(exact)
    for kind in sorted({key.split("/")[0] for key in exact}):
        keys = [k for k in exact if k.split("/")[0] == kind]
        size = sum(exact[k].square().sum().item() for k in keys)
        wrong = [sum((single[k] - exact[k]).square().sum().item() for k in keys) for single in singles]
        out["err/" + kind] = torch.tensor([math.sqrt(max(wrong) / size)], dtype=torch.float64)
    out["ids"] = flat(batch(orders[0])[0], orders[0]).to(torch.int32)
    out["lengths"] = torch.tensor(LENGTHS, dtype=torch.int32)
    if name.startswith(("t5", "flan_t5")):
        out["source_ids"] = flat(source(orders[0])[0], orders[0], SOURCE_LENGTHS).to(torch.int32)
        out["source_lengths"] = torch.tensor(SOURCE_LENGTHS, dtype=torch.int32)
        # Which bucket a distance has, of an encoder and of a decoder, is decided in float32.
        for key, both in (("encoder", True), ("decoder", False)):
            for n, far in ((32, 128), (8, 10), (18, 77), (64, 1000)):
                out[f"buckets/{key}_{n}_{far}"] = T5Attention._relative_position_bucket(
                    torch.arange(-far, far + 1), both, n, far).to(torch.int32)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    save_file(out, os.path.join(FOLDER, name + ".safetensors"), metadata={"made_with": json.dumps(versions)})
    print(f"{name}: loss {exact['loss'].item():.6f}, float32 error of the gradient {out['err/grad'].item():.1e}")


def family(name):
    torch.manual_seed(3)
    # Eager attention is needed for soft caps; Falcon's adds its linear biases twice.
    attention = "sdpa" if name.startswith("falcon") else "eager"
    config = FAMILIES[name]()
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation=attention)
    if name == "flan_t5":  # a head of its own, which Transformers 5 reads but no longer makes
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    scatter_all(model, 1)
    folder = os.path.join(FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    kind = type(model)
    load = lambda dtype: kind.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    write_case(name + "_full", load)

    lora = get_peft_model(load(torch.float32),
                          LoraConfig(r=2, lora_alpha=6, target_modules="all-linear",
                                     task_type="SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM"))
    scatter_all(lora, 2)
    lora.peft_config["default"].base_model_name_or_path = name  # not this machine's path
    lora.peft_config["default"].target_modules = sorted(lora.peft_config["default"].target_modules)
    adapter = os.path.join(FOLDER, name + "_adapter")
    shutil.rmtree(adapter, ignore_errors=True)
    lora.save_pretrained(adapter)
    os.remove(os.path.join(adapter, "README.md"))
    write_case(name + "_lora", load, lambda model: PeftModel.from_pretrained(model, adapter, is_trainable=True))


def first(config, *names):
    """The first of these that the configuration knows."""
    return next((value for value in (getattr(config, name, None) for name in names) if value is not None), None)


def defaults():
    """What a configuration class says when it is told nothing; OPT's norms, MPT's and BLOOM's activations are in their code."""
    facts = {}
    for name in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "stablelm", "gpt2", "gpt_neox", "opt",
                 "mpt", "falcon", "bloom", "t5"):
        c = transformers.AutoConfig.for_model(name)
        heads = c.num_attention_heads
        rope = getattr(c, "rope_parameters", None) or {}
        residual = first(c, "resid_pdrop", "hidden_dropout", "dropout", "dropout_rate") or 0.0
        facts[name] = dict(
            vocab=c.vocab_size, width=c.hidden_size, n_layers=c.num_hidden_layers, n_heads=heads,
            n_kv_heads=1 if name == "falcon" and c.multi_query else first(c, "num_key_value_heads") or heads,
            head_dim=first(c, "head_dim") or c.hidden_size // heads,
            mlp_width=first(c, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff") or 4 * c.hidden_size,
            max_positions=first(c, "max_position_embeddings", "max_seq_len"),
            norm_eps=first(c, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon") or 1e-5,
            initializer_range=first(c, "initializer_range", "init_std", "initializer_factor"),
            act=first(c, "hidden_activation", "hidden_act", "activation_function", "activation", "dense_act_fn")
            or {"mpt": "gelu", "bloom": "gelu_new"}[name],
            attn_dropout=first(c, "attention_dropout", "attn_pdrop", "dropout_rate") or 0.0, mlp_resid_dropout=residual,
            embed_dropout=first(c, "embd_pdrop", "dropout_rate") or 0.0, theta=rope.get("rope_theta"),
            partial=rope.get("partial_rotary_factor"), tied=c.tie_word_embeddings, bos=first(c, "bos_token_id"), eos=c.eos_token_id,
            pad=c.pad_token_id)
    with open(os.path.join(FOLDER, "defaults.json"), "w", encoding="utf-8") as f:
        json.dump(facts, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.makedirs(FOLDER, exist_ok=True)
    for wanted in sys.argv[1:] or ["defaults", *FAMILIES]:
        defaults() if wanted == "defaults" else family(wanted)
