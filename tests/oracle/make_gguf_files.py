#!/usr/bin/env python3
"""GGUF files in $HONE_GOLDEN/gguf_files (default tests/golden/data).

    python3 make_gguf_files.py LLAMA_CPP     LLAMA_CPP: llama.cpp's source, for its conversion scripts

`<family>.gguf`: the golden models as llama.cpp's own scripts convert them, in F32 (`.f16`, `.bf16`: rounded);
`blocks.gguf`: blocks of every type that is read, random bytes, beside `blocks.safetensors`, what the gguf package makes
of them.
"""
import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
COMMITTED = Path(HERE, "..", "golden", "data")
OUT = Path(os.environ.get("HONE_GOLDEN", COMMITTED), "gguf_files")
MODELS = ["llama", "gpt2"] + [f"families/{n}" for n in (
    "qwen2", "qwen3", "gemma", "phi3", "stablelm", "stablelm_parallel", "neox", "neox_sequential", "mpt",
    "falcon_7b", "falcon_40b", "bloom", "llama_linear", "llama_yarn")]


def hparams_of(folder):
    """config.json with the spellings that the scripts look for."""
    with open(folder / "config.json") as f:
        h = json.load(f)
    rope = h.get("rope_parameters") or {}
    h.setdefault("n_ctx", h.get("n_positions"))
    h.setdefault("rotary_pct", rope.get("partial_rotary_factor", 0.25))
    h.setdefault("seq_length", 256)
    if h["model_type"] == "phi3":
        rope.setdefault("original_max_position_embeddings", h.get("original_max_position_embeddings", 4096))
    if h["model_type"] == "falcon" and h["multi_query"] and not h["new_decoder_architecture"]:
        h["num_kv_heads"] = 1
    if h["model_type"] == "mpt":
        h["architectures"] = ["MPTForCausalLM"]
    return h


def convert(ModelBase, gguf, source, out, ftype):
    hparams = hparams_of(source)
    cls = ModelBase.from_model_architecture(hparams["architectures"][0])
    with torch.inference_mode():
        model = cls(source, ftype, out, eager=True, model_name="tiny", hparams=hparams)
        model.set_vocab = lambda: None
        parameters = model.set_gguf_parameters

        def in_full():
            """Some scripts leave numbers out, or write others, that were always the same in the family's real models."""
            parameters()
            writer, pairs = model.gguf_writer, model.gguf_writer.kv_data[0]
            theta = (hparams.get("rope_parameters") or {}).get("rope_theta")
            if theta and f"{writer.arch}.rope.freq_base" not in pairs:
                writer.add_rope_freq_base(theta)
            pairs[f"{writer.arch}.feed_forward_length"].value = next(
                (hparams[k] for k in ("intermediate_size", "ffn_hidden_size", "n_inner") if hparams.get(k)),
                4 * hparams.get("hidden_size", hparams.get("n_embd", hparams.get("d_model"))))

        model.set_gguf_parameters = in_full
        model.write()


def plain(name, drop, **changes):
    """A golden model without what llama.cpp has no place for, as a folder too."""
    source, out = COMMITTED / "families" / name, OUT / name
    out.mkdir(exist_ok=True)
    with open(source / "config.json") as f:
        config = dict(json.load(f), **changes)
    with open(out / "config.json", "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
    state = load_file(source / "model.safetensors")
    for k, v in state.items():  # the one head of keys and values for each of queries
        if "num_key_value_heads" in changes and (".k_proj." in k or ".v_proj." in k):
            state[k] = torch.cat([v] * changes["num_key_value_heads"])
    save_file({k: v for k, v in state.items() if not any(d in k for d in drop)}, str(out / "model.safetensors"),
              metadata={"format": "pt"})
    return out


def blocks(gguf):
    rng = np.random.default_rng(5)
    types = gguf.GGMLQuantizationType
    w = gguf.GGUFWriter(OUT / "blocks.gguf", "none")
    values = {}
    for t in (types.F32, types.F16, types.BF16, types.Q4_0, types.Q4_1, types.Q5_0, types.Q5_1, types.Q8_0, types.Q4_K,
              types.Q5_K, types.Q6_K):
        n, size = gguf.GGML_QUANT_SIZES[t]
        shape = (3, 2 * n) if n > 1 else (3, 5)
        if n == 1:
            x = rng.standard_normal(shape).astype(np.float32)
            data = x if t == types.F32 else gguf.quants.quantize(x, t)
        else:
            data = rng.integers(0, 256, (3, 2 * size), dtype=np.uint8)
            block = data.reshape(-1, size)
            half = rng.standard_normal((len(block), 2)).astype(np.float16)
            for at, column in {types.Q4_1: ((0, 0), (2, 1)), types.Q5_1: ((0, 0), (2, 1)), types.Q4_K: ((0, 0), (2, 1)),
                               types.Q5_K: ((0, 0), (2, 1)), types.Q6_K: ((208, 0),)}.get(t, ((0, 0),)):
                block[:, at:at + 2] = half[:, column:column + 1].view(np.uint8)
        w.add_tensor(t.name.lower(), data, raw_dtype=t)
        values[t.name.lower()] = torch.from_numpy(gguf.quants.dequantize(data, t).reshape(shape).copy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    save_file(values, str(OUT / "blocks.safetensors"))


def main():
    sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "gguf-py")]
    logging.disable(logging.WARNING)
    import gguf
    from conversion import ModelBase, load_all_models
    load_all_models()
    OUT.mkdir(parents=True, exist_ok=True)
    f = gguf.LlamaFileType
    for name in MODELS:
        convert(ModelBase, gguf, COMMITTED / name, OUT / f"{Path(name).name}.gguf", f.ALL_F32)
    phi = plain("phi", ["q_layernorm", "k_layernorm"], qk_layernorm=False, num_key_value_heads=3)
    convert(ModelBase, gguf, phi, OUT / "phi.gguf", f.ALL_F32)
    convert(ModelBase, gguf, plain("gemma2", [], query_pre_attn_scalar=10), OUT / "gemma2.gguf", f.ALL_F32)
    # its script writes no window: llama.cpp has none for this family
    convert(ModelBase, gguf, plain("mistral", [], sliding_window=None), OUT / "mistral.gguf", f.ALL_F32)
    convert(ModelBase, gguf, COMMITTED / "llama", OUT / "llama.f16.gguf", f.MOSTLY_F16)
    convert(ModelBase, gguf, COMMITTED / "llama", OUT / "llama.bf16.gguf", f.MOSTLY_BF16)
    blocks(gguf)


if __name__ == "__main__":
    main()
