#!/usr/bin/env python3
"""Golden files of adapters for tests/golden/test_model_golden.c, from PEFT over the tiny models of model_golden.py.

    python3 peft_golden.py [NAME...]      remakes tests/golden/data/peft/, or these adapters of it

Per adapter: its folder as PEFT saves it with every trainable tensor away from where it starts, and a file of what comes out
of the model under it, as model_golden.py makes one: log-probs, every gradient, losses and values of ten AdamW steps.
"""
import os
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from model_golden import DATA, language_loss, patch_llama_to_follow_its_dtype, scatter_all, write_case

KINDS = {"llama": LlamaForCausalLM, "gpt2": GPT2LMHeadModel}

# Name: the base and the configuration.
ADAPTERS = {
    "patterns": ("llama", lambda: LoraConfig(
        r=2, lora_alpha=6, use_rslora=True, target_modules=r".*layers\.\d+\.(self_attn\.[qv]_proj|mlp\.down_proj)",
        rank_pattern={"v_proj": 3, r"layers\.1\.mlp.*": 1}, alpha_pattern={r"^model\.layers\.0\..*q_proj": 5, "down_proj": 2.5})),
    "layers": ("gpt2", lambda: LoraConfig(r=2, lora_alpha=6, target_modules=["c_attn", "c_fc"], exclude_modules=["mlp.c_fc"],
                                          layers_to_transform=[1], layers_pattern="h", fan_in_fan_out=True)),
}


def adapter(name):
    base, config = ADAPTERS[name]
    load = lambda attention="sdpa": KINDS[base].from_pretrained(
        os.path.join(DATA, base), dtype=torch.float32, attn_implementation=attention)
    config = config()
    config.task_type = "CAUSAL_LM"
    model = get_peft_model(load(), config)
    scatter_all(model, 2)
    config = model.peft_config["default"]
    config.base_model_name_or_path = base  # not this machine's path
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        value = getattr(config, key, None)
        if value is not None and not isinstance(value, str):
            setattr(config, key, sorted(value))
    folder = os.path.join(DATA, "peft", name + "_adapter")
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    write_case(os.path.join("peft", name),
               lambda attention="sdpa": PeftModel.from_pretrained(load(attention), folder, is_trainable=True), language_loss)


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.makedirs(os.path.join(DATA, "peft"), exist_ok=True)
    patch_llama_to_follow_its_dtype()
    for wanted in sys.argv[1:] or ADAPTERS:
        adapter(wanted)
