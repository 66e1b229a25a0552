#!/usr/bin/env python3
"""GGUF files that `hone export` writes, read by the gguf package, by Transformers and by llama.cpp: log-probs of the same
ids, and ids of the same texts, must be those of Hone on the same file.

    python3 gguf_live.py BIN [LLAMA_CPP BUILD]     BIN: the folder of the built programs; LLAMA_CPP, BUILD: llama.cpp's
                                                   source and a build of its library (without them it is left out)
"""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import torch
from transformers import AutoModelForCausalLM

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SMOKE = os.path.join(TOP, "configs", "smoke", "tokenizer")
GOLDEN = os.path.join(TOP, "tests", "golden", "data")
VOCAB = 320  # of the smoke tokenizer
FAMILIES = {"llama": "llama", "llama_plain": "llama", "qwen2_plain": "llama", "gpt2": "gpt2", "phi": "gguf_files/phi",
            "gemma2": "gguf_files/gemma2"} | {n: f"families/{n}" for n in (
                "qwen3", "gemma", "phi3", "stablelm", "stablelm_parallel", "neox", "neox_sequential", "mpt", "falcon_7b",
                "falcon_40b", "bloom", "llama_linear", "llama_yarn")}
CHANGES = {
    "llama_plain": dict(rope_parameters=dict(rope_type="default", rope_theta=500.0)),
    "qwen2_plain": dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", attention_bias=None,
                        rope_parameters=dict(rope_type="default", rope_theta=500.0)),
    # llama.cpp takes the long factors when its context is longer than the training's, and does not look at the window
    "phi3": dict(max_position_embeddings=1024, original_max_position_embeddings=512, sliding_window=None),
}
# Transformers reads GGUF files of more families, but drops head_dim, partial rotary channels, n_positions and scalings.
TRANSFORMERS = ("llama_plain", "qwen2_plain", "bloom")
GELU = ("gpt2", "phi", "gemma", "gemma2", "neox", "neox_sequential", "mpt", "falcon_7b", "falcon_40b", "bloom")
# Of log-probs around 6: in float32; where llama.cpp looks GELU up in a table of float16; where it rounds activations to
# float16, or to blocks of bytes.
EXACT, NEAR, HALF, BYTE = 5e-5, 5e-3, 2e-2, 1e-1
TEXTS = ["Once upon a time, the cat slept.", "I'll say: it's 12345!  Two  blanks", "na\u00efve caf\u00e9 \u4f60\u597d \U0001f600"]


def run(*command, text=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOP, input=text)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


class Bench:
    def __init__(self, bin_folder, work, peer):
        self.hone, self.work, self.peer, self.failed, self.checked = os.path.join(bin_folder, "hone"), work, peer, 0, 0
        g = torch.Generator().manual_seed(1)
        self.rows = [torch.randint(3, VOCAB, (n,), generator=g).tolist() for n in (30, 3, 17)]
        self.data = os.path.join(work, "rows.jsonl")
        with open(self.data, "w") as f:
            f.writelines(json.dumps({"input_ids": row}) + "\n" for row in self.rows)

    def check(self, what, wrong, bound):
        self.checked += 1
        self.failed += not wrong <= bound
        print(f"{'ok  ' if wrong <= bound else 'FAIL'} {what}: {wrong:.1e}")

    def score(self, model):
        lines = run(self.hone, "score", "--model", model, "--data", self.data, "--output", "-").splitlines()
        return [x for line in lines for x in json.loads(line)["logprobs"][1:]]

    def off(self, ours, theirs):
        return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))

    def transformers(self, path):
        model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                     dtype=torch.float32).eval()
        out = []
        for row in self.rows:
            with torch.no_grad():
                logp = torch.log_softmax(model(torch.tensor([row])).logits[0, :-1], -1)
            out += logp.gather(-1, torch.tensor(row[1:])[:, None])[:, 0].tolist()
        return out

    def llama_cpp(self, path):
        lines = "".join(" ".join(map(str, row)) + "\n" for row in self.rows) + "".join(f"text {t}\n" for t in TEXTS)
        answers = [[float(x) for x in line.split()] for line in run(self.peer, path, text=lines).splitlines()]
        ids = [list(map(int, a)) for a in answers[len(self.rows):]]
        return [x for a in answers[:len(self.rows)] for x in a], ids

    def ids(self, path):
        return [json.loads(run(self.hone, "tokenize", "--model", path, "--text", t, "--add-special-tokens"))["ids"]
                for t in TEXTS]


def family(bench, name, source):
    with open(os.path.join(GOLDEN, source, "config.json")) as f:
        config = json.load(f)
    config.update(CHANGES.get(name, {}))
    config.update(vocab_size=VOCAB, bos_token_id=0, eos_token_id=1, pad_token_id=2, initializer_range=0.3)
    path, folder = os.path.join(bench.work, name + ".json"), os.path.join(bench.work, name)
    with open(path, "w") as f:
        json.dump(config, f)
    run(bench.hone, "init", "--config", path, "--tokenizer", SMOKE, "--output", folder, "--seed", "3")
    truth = bench.score(folder)
    for dtype in ("float32", "float16", "q8_0"):
        out = os.path.join(bench.work, f"{name}-{dtype}.gguf")
        run(bench.hone, "export", "--model", folder, "--to", "gguf", "--dtype", dtype, "--output", out)
        reader = gguf.GGUFReader(out)
        assert reader.fields["general.architecture"].contents() and len(reader.tensors) > 0
        ours = bench.score(out)
        if dtype == "float32":
            bench.check(f"{name}: its GGUF file against the folder", bench.off(ours, truth), 1e-5)
            if name in TRANSFORMERS:
                bench.check(f"{name}: Transformers", bench.off(ours, bench.transformers(out)), EXACT)
        if bench.peer:
            theirs, ids = bench.llama_cpp(out)
            bench.check(f"{name}: llama.cpp, {dtype}", bench.off(ours, theirs),
                        (NEAR if name in GELU else EXACT) if dtype == "float32" else {"float16": HALF, "q8_0": BYTE}[dtype])
            bench.check(f"{name}: llama.cpp, ids", float(ids != bench.ids(out)), 0.0)


def build_peer(source, build, work):
    out, library = os.path.join(work, "llama_logp"), os.path.join(build, "bin")
    run("cc", "-O2", "-o", out, os.path.join(TOP, "tests", "oracle", "llama_logp.c"), f"-I{source}/include",
        f"-I{source}/ggml/include", f"-L{library}", "-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{library}", "-lm")
    return out


def main():
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(sys.argv[1], work, build_peer(sys.argv[2], sys.argv[3], work) if len(sys.argv) > 3 else None)
        for name, source in FAMILIES.items():
            family(bench, name, source)
        print(f"{bench.checked - bench.failed} of {bench.checked} agree" + ("" if bench.peer else ", llama.cpp left out"))
        sys.exit(bench.failed > 0)


if __name__ == "__main__":
    main()
