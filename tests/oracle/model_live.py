#!/usr/bin/env python3
"""Models that Hone writes, loaded by Transformers and PEFT; adapters that PEFT writes, loaded by Hone: both score the same
token ids and must agree.

    python3 model_live.py BIN          BIN: the folder of the built programs

For each family: `hone init` -> AutoModelForCausalLM; an adapter from PEFT -> `hone score --adapter`; `sft` and `reward`,
full and LoRA, -> what their final/ says it is. Which modules an adapter is on, with target_modules and exclude_modules.
"""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SMOKE = os.path.join(TOP, "configs", "smoke")
TOLERANCE = 5e-5  # of log-probs and scores around 1 to 10 in float32
VOCAB = 320  # of the smoke tokenizer

LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=VOCAB, hidden_size=32,
             intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, initializer_range=0.2, bos_token_id=1, eos_token_id=2)
FAMILIES = {
    "llama": dict(LLAMA, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=1000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32)),
    "llama-v4-linear-biases": dict(LLAMA, attention_bias=True, mlp_bias=True, rope_theta=5000.0,
                                   rope_scaling=dict(type="linear", factor=2.0)),
    "llama-yarn": dict(LLAMA, rope_theta=5000.0, rope_scaling=dict(
        rope_type="yarn", factor=8.0, original_max_position_embeddings=32)),
    "mistral": dict(LLAMA, architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=7, head_dim=12),
    "qwen2": dict(LLAMA, architectures=["Qwen2ForCausalLM"], model_type="qwen2", use_sliding_window=True,
                  sliding_window=9, max_window_layers=1),
    "gpt2": dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4,
                 n_positions=256, initializer_range=0.2, bos_token_id=1, eos_token_id=2,
                 scale_attn_by_inverse_layer_idx=True),
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOP)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")


class Bench:
    def __init__(self, bin_folder, work):
        self.bin, self.work, self.failed, self.checked = bin_folder, work, 0, 0
        g = torch.Generator().manual_seed(1)
        self.rows = [torch.randint(3, VOCAB, (n,), generator=g).tolist() for n in (40, 3, 77)]
        self.data = os.path.join(work, "rows.jsonl")
        with open(self.data, "w") as f:
            f.writelines(json.dumps({"input_ids": row}) + "\n" for row in self.rows)

    def hone_score(self, model, adapter=None):
        out = os.path.join(self.work, "out.jsonl")
        extra = ["--adapter", adapter] if adapter else []
        run(os.path.join(self.bin, "hone"), "score", "--model", model, "--data", self.data, "--output", out, *extra)
        with open(out) as f:
            return [json.loads(line) for line in f]

    def compare(self, what, ours, theirs):
        wrong = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        self.checked += 1
        self.failed += wrong > TOLERANCE
        print(f"{'ok  ' if wrong <= TOLERANCE else 'FAIL'} {what}: largest difference {wrong:.1e} of {len(ours)} numbers")

    def language(self, what, model, hone_model, adapter=None):
        ours, theirs = [], []
        for row, out in zip(self.rows, self.hone_score(hone_model, adapter), strict=True):
            with torch.no_grad():
                logp = torch.log_softmax(model(torch.tensor([row])).logits[0, :-1], -1)
            theirs += logp.gather(-1, torch.tensor(row[1:])[:, None])[:, 0].tolist()
            ours += out["logprobs"][1:]
        self.compare(what, ours, theirs)

    def reward(self, what, model, hone_model):
        with torch.no_grad():
            theirs = [model(torch.tensor([row])).logits[0, 0].item() for row in self.rows]
        self.compare(what, [out["score"] for out in self.hone_score(hone_model)], theirs)


def causal(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def classifier(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()


def families(bench):
    for name, config in FAMILIES.items():
        path, folder = os.path.join(bench.work, name + ".json"), os.path.join(bench.work, name)
        with open(path, "w") as f:
            json.dump(config, f)
        run(os.path.join(bench.bin, "hone"), "init", "--config", path, "--tokenizer", os.path.join(SMOKE, "tokenizer"),
            "--output", folder, "--seed", "3")
        bench.language(f"{name}: hone init in Transformers", causal(folder), folder)
        adapter = os.path.join(bench.work, name + "-adapter")
        lora = get_peft_model(causal(folder), LoraConfig(r=4, lora_alpha=12, target_modules="all-linear",
                                                         use_rslora=True, init_lora_weights=False,
                                                         fan_in_fan_out=name == "gpt2", task_type="CAUSAL_LM"))
        lora.save_pretrained(adapter)
        bench.language(f"{name}: PEFT's adapter in Hone", lora.eval(), folder, adapter)


def stages(bench):
    """The programs' results under the names that the ecosystem gives them."""
    for name in ("llama", "gpt2"):
        base = os.path.join(bench.work, name)
        for program, config in (("sft", "2_sft_full"), ("sft", "3_sft_lora"),
                                ("reward", "5_reward_full"), ("reward", "6_reward_lora")):
            out = os.path.join(bench.work, f"{name}-{config}")
            run(os.path.join(bench.bin, program), os.path.join(SMOKE, config + ".yaml"), f"model.path={base}",
                f"output_dir={out}", "threads=1", "--quiet")
            final, lora = os.path.join(out, "final"), config.endswith("lora")
            load, check = (causal, bench.language) if program == "sft" else (classifier, bench.reward)
            model = load(base if lora else final) if program == "sft" or not lora else \
                AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32, num_labels=1)
            if lora:
                model = PeftModel.from_pretrained(model, final)
                with open(os.path.join(final, "adapter_config.json")) as f:
                    assert json.load(f)["task_type"] == ("CAUSAL_LM" if program == "sft" else "SEQ_CLS")
            check(f"{name}: final/ of {config}", model.eval(), final)


def chosen_modules(bench):
    """target_modules without exclude_modules, as PEFT chooses them."""
    for name, targets, left_out in (("llama", "all-linear", ["down_proj", "model.layers.1.self_attn.q_proj"]),
                                    ("llama", ["q_proj", "v_proj", "o_proj"], ["layers.0.self_attn.v_proj"]),
                                    ("gpt2", ["c_attn", "c_proj"], ["mlp.c_proj"])):
        base, out = os.path.join(bench.work, name), tempfile.mkdtemp(dir=bench.work)
        run(os.path.join(bench.bin, "sft"), os.path.join(SMOKE, "3_sft_lora.yaml"), f"model.path={base}",
            f"output_dir={out}", "threads=1", "training.max_steps=1", "peft.init_lora_weights=gaussian",
            f"peft.target_modules={json.dumps(targets)}", f"peft.exclude_modules={json.dumps(left_out)}", "--quiet")
        lora = get_peft_model(causal(base), LoraConfig(r=4, target_modules=targets, exclude_modules=left_out,
                                                       fan_in_fan_out=name == "gpt2", task_type="CAUSAL_LM"))
        with safe_open(os.path.join(out, "final", "adapter_model.safetensors"), "pt") as f:
            ours = set(f.keys())
        theirs = {n.replace(".default", "") for n, p in lora.named_parameters() if p.requires_grad}
        bench.checked += 1
        bench.failed += ours != theirs
        print(f"{'ok  ' if ours == theirs else 'FAIL'} {name}: {targets} without {left_out}: {len(theirs)} tensors in PEFT, "
              f"{len(ours ^ theirs)} differ")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(os.path.abspath(sys.argv[1]), work)
        families(bench)
        stages(bench)
        chosen_modules(bench)
        print(f"{bench.checked - bench.failed} agree, {bench.failed} do not")
        sys.exit(bench.failed > 0)


if __name__ == "__main__":
    main()
