#!/usr/bin/env python3
"""What comes out of a run, loaded elsewhere: PEFT folders, merged folders, whole models, reward models, value heads, GGUF
files and encoder-decoders in Transformers, PEFT, TRL and gguf, and each again in Hone.

    python3 exports_live.py BIN          BIN: the folder of the built programs

Each number is compared with the same model in float64. Hone may be twice as far off as float32 PyTorch is (the farthest of
several ways to compute it: row by row, padded, eager attention and SDPA), plus one float32 epsilon of the largest.
"""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import torch
import transformers
from gguf.quants import dequantize
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification
from trl.experimental.ppo import AutoModelForCausalLMWithValueHead

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SMOKE = os.path.join(TOP, "configs", "smoke")
VOCAB = 320  # of the smoke tokenizer
EPS = 2.0**-23
TOKENS = dict(vocab_size=VOCAB, bos_token_id=0, eos_token_id=1, pad_token_id=2)
LLAMA = dict(TOKENS, architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=32, intermediate_size=56,
             num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
             initializer_range=0.2, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=500.0))
FAMILIES = {
    "llama": dict(LLAMA, tie_word_embeddings=True),
    "qwen2": dict(LLAMA, architectures=["Qwen2ForCausalLM"], model_type="qwen2", tie_word_embeddings=False),
    "gpt2": dict(TOKENS, architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=32, n_layer=2, n_head=4,
                 n_positions=256, initializer_range=0.2),
    "neox": dict(TOKENS, architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", hidden_size=32, intermediate_size=56,
                 num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, hidden_act="gelu",
                 layer_norm_eps=1e-5, rotary_pct=0.25, rotary_emb_base=500, use_parallel_residual=True,
                 tie_word_embeddings=False, initializer_range=0.2),
}
T5 = dict(architectures=["T5ForConditionalGeneration"], model_type="t5", vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=48,
          num_heads=4, num_layers=2, num_decoder_layers=2, decoder_start_token_id=2, pad_token_id=2, eos_token_id=1,
          feed_forward_proj="gated-gelu", tie_word_embeddings=False, dropout_rate=0.0)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=TOP)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")


def no_nulls(numbers):
    return [x for x in numbers if x is not None]


# ---- the same numbers by Transformers ----


def padded(rows):
    """ids and mask, padded on the right."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [2] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def logp_of(logits, ids):
    return torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist()


def language(model, rows, together):
    """Log-probs of all tokens behind the first."""
    if together:
        ids, mask = padded(rows)
        return [x for row, logits in zip(rows, model(ids, attention_mask=mask).logits, strict=True)
                for x in logp_of(logits[:len(row) - 1], row[1:])]
    return [x for row in rows for x in logp_of(model(torch.tensor([row])).logits[0, :-1], row[1:])]


def score(model, rows, together):
    del together  # a classifier looks for the last token that is no padding, and rows may hold that id
    return [model(torch.tensor([row])).logits[0, 0].item() for row in rows]


def value(model, rows, together):
    """TRL's value head of every position."""
    del together
    return [x for row in rows for x in model(torch.tensor([row]))[2][0].tolist()]


def translation(model, rows, together):
    """Log-probs of the completion given the prompt: rows are pairs of ids."""
    del together
    out = []
    for source, target in rows:
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
        out += logp_of(logits, target)
    return out


def reference(model, numbers, rows):
    """(numbers in float64, error of float32); the model is float64 afterwards."""
    ways = []
    with torch.no_grad():
        for attention in ("sdpa", "eager"):
            inner = getattr(model, "pretrained_model", model)
            inner.set_attn_implementation(attention)
            ways += [numbers(model, rows, together) for together in (False, True)]
        exact = numbers(model.double(), rows, False)
    return exact, max(abs(x - y) for way in ways for x, y in zip(way, exact, strict=True))


# ---- Hone ----


class Bench:
    def __init__(self, bin_folder, work):
        self.bin, self.work, self.failed, self.checked = bin_folder, work, 0, 0
        g = torch.Generator().manual_seed(1)
        self.rows = [torch.randint(3, VOCAB, (n,), generator=g).tolist() for n in (40, 3, 77, 1, 18)]
        self.data = self.write("rows.jsonl", [{"input_ids": row} for row in self.rows])

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, rows):
        with open(self.path(name), "w") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)
        return self.path(name)

    def tool(self, *words):
        run(os.path.join(self.bin, "hone"), *words)

    def train(self, program, config, output, *words):
        run(os.path.join(self.bin, program), os.path.join(SMOKE, config + ".yaml"), f"output_dir={self.path(output)}",
            "threads=1", "--quiet", *words)
        return os.path.join(self.path(output), "final")

    def scored(self, model, adapter=None, data=None):
        out = self.path("out.jsonl")
        self.tool("score", "--model", model, "--data", data or self.data, "--output", out,
                  *(["--adapter", adapter] if adapter else []))
        with open(out) as f:
            return [json.loads(line) for line in f]

    def logprobs(self, model, adapter=None):
        return [x for line in self.scored(model, adapter) for x in no_nulls(line["logprobs"])]

    def scores(self, model, adapter=None):
        return [line["score"] for line in self.scored(model, adapter)]

    def told(self, what, good, words):
        self.checked += 1
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {words}")

    def compare(self, what, ours, model, numbers, rows=None):
        exact, error = reference(model, numbers, rows or self.rows)
        bound = 2 * error + EPS * max(map(abs, exact))
        wrong = max(abs(x - y) for x, y in zip(ours, exact, strict=True))
        self.told(what, wrong <= bound, f"off by {wrong:.1e}, float32 PyTorch by {error:.1e}, of {len(ours)} numbers")

    def same(self, what, a, b):
        self.told(what, a == b, "the same" if a == b else f"{sum(x != y for x, y in zip(a, b))} of {len(a)} differ")


def causal(folder, **more):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more).eval()


def classifier(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, num_labels=1).eval()


def init(bench, name, config):
    path, folder = bench.path(name + ".json"), bench.path(name)
    with open(path, "w") as f:
        json.dump(config, f)
    bench.tool("init", "--config", path, "--tokenizer", os.path.join(SMOKE, "tokenizer"), "--output", folder, "--seed", "3")
    return folder


def language_models(bench, name, base):
    """Whole, as an adapter, merged by both tools, and the adapter alone."""
    full = bench.train("sft", "2_sft_full", name + "-full", f"model.path={base}", "training.max_steps=3")
    ours = bench.logprobs(full)
    bench.compare(f"{name}: whole model in Transformers", ours, causal(full), language)
    bench.same(f"{name}: whole model by its run folder in Hone", bench.logprobs(bench.path(name + "-full")), ours)

    lora = bench.train("sft", "3_sft_lora", name + "-lora", f"model.path={base}", "training.learning_rate=0.03")
    ours = bench.logprobs(base, lora)
    bench.compare(f"{name}: adapter in PEFT", ours, PeftModel.from_pretrained(causal(base), lora).eval(), language)
    bench.same(f"{name}: adapter by its config's base in Hone", bench.logprobs(lora), ours)

    alone, merged, exported = (bench.path(f"{name}-{n}") for n in ("alone", "merged", "exported"))
    bench.tool("export", "--model", base, "--adapter", lora, "--to", "peft", "--output", alone)
    bench.same(f"{name}: adapter from hone export in Hone", bench.logprobs(base, alone), ours)
    bench.compare(f"{name}: adapter from hone export in PEFT", ours,
                  PeftModel.from_pretrained(causal(base), alone).eval(), language)
    bench.tool("merge", "--model", base, "--adapter", lora, "--output", merged)
    bench.tool("export", "--model", bench.path(name + "-lora"), "--to", "hf", "--output", exported)
    ours = bench.logprobs(merged)
    bench.compare(f"{name}: merged folder in Transformers", ours, causal(merged), language)
    bench.compare(f"{name}: merged folder against PEFT's merge", ours,
                  PeftModel.from_pretrained(causal(base), lora).merge_and_unload().eval(), language)
    bench.same(f"{name}: hone export --to hf of the run is the merged folder", bench.logprobs(exported), ours)
    return merged


def reward_models(bench, name, base):
    full = bench.train("reward", "5_reward_full", name + "-rm", f"model.path={base}", "training.max_steps=3")
    bench.compare(f"{name}: reward model in Transformers", bench.scores(full), classifier(full), score)
    bench.same(f"{name}: reward model by its run folder in Hone", bench.scores(bench.path(name + "-rm")), bench.scores(full))
    lora = bench.train("reward", "6_reward_lora", name + "-rm-lora", f"model.path={base}", "training.learning_rate=0.03")
    ours = bench.scores(base, lora)
    bench.compare(f"{name}: reward adapter and its score head in PEFT", ours,
                  PeftModel.from_pretrained(classifier(base), lora).eval(), score)
    with open(os.path.join(lora, "adapter_config.json")) as f:
        config = json.load(f)
    bench.told(f"{name}: reward adapter's config", (config["task_type"], config["modules_to_save"]) == ("SEQ_CLS", ["score"]),
               f"{config['task_type']}, {config['modules_to_save']}")
    bench.same(f"{name}: reward adapter by its config's base in Hone", bench.scores(lora), ours)
    merged = bench.path(name + "-rm-merged")
    bench.tool("merge", "--model", base, "--adapter", lora, "--output", merged)
    bench.compare(f"{name}: merged reward model in Transformers", bench.scores(merged), classifier(merged), score)
    return full


def value_heads(bench, name, base, reward):
    """TRL's class takes Hone's head, and Hone takes TRL's folder: with a rate of 0 the head must come through bit for bit, and
    the value loss that Hone logs is that of TRL's values."""
    for kind, words in (("whole", []), ("LoRA", ["peft.r=4", "peft.target_modules=all-linear"])):
        final = bench.train("ppo", "7_ppo_learned", f"{name}-ppo-{kind}", f"model.path={base}", f"ppo.reward={{model: {reward}}}",
                            *(words or ["peft.peft_type=null"]))
        head = load_file(os.path.join(final, "value_head.safetensors"))
        policy = causal(final) if kind == "whole" else PeftModel.from_pretrained(causal(base), final).eval()
        bench.compare(f"{name}: policy of PPO, {kind}, in Transformers", bench.logprobs(final), policy, language)
        trl = AutoModelForCausalLMWithValueHead(policy, summary_dropout_prob=0.0)
        trl.is_peft_model = False  # what from_pretrained sets, which would fetch a head from the hub
        trl.post_init(state_dict=dict(head))
        taken = all(torch.equal(trl.state_dict()[k], v) for k, v in head.items())
        bench.told(f"{name}: value head of PPO, {kind}, in TRL", taken and len(head) == 2, f"{sorted(head)}")

    folder = bench.path(name + "-trl-value")
    trl = AutoModelForCausalLMWithValueHead.from_pretrained(causal(base), v_head_init_strategy="normal",
                                                            summary_dropout_prob=0.0).eval()
    with torch.no_grad():
        trl.v_head.summary.bias.fill_(0.25)
    trl.save_pretrained(folder)
    bench.tool("export", "--model", base, "--to", "hf", "--output", bench.path(name + "-tokens"))
    for file in os.listdir(bench.path(name + "-tokens")):
        if file.startswith("token"):
            os.link(os.path.join(bench.path(name + "-tokens"), file), os.path.join(folder, file))
    rows, ours, loss = value_loss(bench, name, base, folder)
    want = trl.v_head.state_dict()
    bench.told(f"{name}: TRL's value head through Hone", torch.equal(ours["v_head.summary.weight"], want["summary.weight"])
               and torch.equal(ours["v_head.summary.bias"], want["summary.bias"]), "bit for bit")
    exact, error = reference(trl, value, [query + response for query, response in rows])
    at, parts = 0, []
    for query, response in rows:  # the value in front of each token of the response; the return is the score, 1
        values = exact[at + len(query) - 1:at + len(query) + len(response) - 1]
        parts += [0.5 * (v - 1.0) ** 2 for v in values]
        at += len(query) + len(response)
    theirs = sum(parts) / len(parts)
    bound = (2 * error + EPS * max(map(abs, exact))) * max(abs(v - 1.0) for v in exact) + EPS * theirs
    bench.told(f"{name}: value loss with TRL's value head", abs(loss - theirs) <= bound,
               f"{loss:.7g}, TRL's values give {theirs:.7g}")


def value_loss(bench, name, base, folder):
    """One update of PPO at rate 0 on two prompts, almost greedy, every reward 1: (query, response) ids, the head that comes
    out, and the value loss."""
    prompts = bench.write("prompts.jsonl", [{"prompt": p} for p in ("Where is the cat?", "Tom said")])
    final = bench.train("ppo", "8_ppo_function", name + "-value", f"model.path={base}", f"ppo.value.model={folder}",
                        f"data.train={prompts}", "data.shuffle=false", "training.learning_rate=0", "training.max_steps=1", "training.logging_steps=1",
                        "training.per_device_train_batch_size=2", "ppo.reward={command: 'while read -r row; do echo 1; done'}",
                        "ppo.response_length=6", "ppo.num_ppo_epochs=1", "ppo.kl_coef=0", "ppo.gamma=1", "ppo.lam=1",
                        "ppo.temperature=0.001", "ppo.stop_token=null", "ppo.cliprange_value=1000")
    out = bench.path("greedy.jsonl")
    bench.tool("generate", "--model", base, "--data", prompts, "--max-new-tokens", "6", "--temperature", "0", "--output", out)
    rows = []
    with open(out) as f:
        answers = [json.loads(line) for line in f]
    asked = bench.scored(base, data=bench.write("asked.jsonl", [{"text": a["prompt"]} for a in answers]))
    for ask, answer in zip(asked, answers, strict=True):
        rows.append((ask["input_ids"], answer["output_ids"]))
    with open(os.path.join(os.path.dirname(final), "metrics.jsonl")) as f:
        loss = json.loads(f.readline())["loss/value_avg"]
    return rows, load_file(os.path.join(final, "value_head.safetensors")), loss


def weights_of(path, model):
    """The tensors of a GGUF file under Transformers' names, in float32."""
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    key = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(key, model.config.num_hidden_layers)
    there = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors}
    out = {}
    for name, old in model.state_dict().items():
        new = there.get(names.get_name(name, try_suffixes=(".weight", ".bias")))
        if new is None:
            continue  # buffers, and the head where it is tied
        kind, n = model.config.model_type, model.config.num_attention_heads
        if kind == "gpt2" and "h." in name and name.endswith("weight") and new.ndim == 2:
            new = new.T  # Conv1D
        if kind == "gpt_neox" and "query_key_value" in name:  # queries, keys, values of all heads -> of each head
            new = new.reshape(3, n, old.shape[0] // n // 3, -1).swapaxes(0, 1)
        if kind == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):  # neighbours turn -> halves turn
            n = model.config.num_key_value_heads if "k_proj" in name else n
            new = new.reshape(n, old.shape[0] // n // 2, 2, old.shape[1]).swapaxes(1, 2)
        out[name] = new.reshape(old.shape).float()
    return out


def gguf_files(bench, name, folder):
    for dtype in ("float16", "q8_0"):
        out = bench.path(f"{name}-{dtype}.gguf")
        bench.tool("export", "--model", folder, "--to", "gguf", "--dtype", dtype, "--output", out)
        model = causal(folder)
        weights = weights_of(out, model)
        missing = set(model.state_dict()) - set(weights) - {"lm_head.weight"}
        far = max(float((model.state_dict()[k] - v).abs().max() / model.state_dict()[k].abs().max())
                  for k, v in weights.items())
        bench.told(f"{name}: {dtype} GGUF's tensors", not missing and far <= (2**-11 if dtype == "float16" else 1 / 254 + 2**-11),
                   f"{len(weights)}, at most {far:.1e} of the largest off; missing {sorted(missing)}")
        model.load_state_dict(weights, strict=False)
        model.tie_weights()
        bench.compare(f"{name}: {dtype} GGUF, its tensors by the gguf package in Transformers", bench.logprobs(out), model,
                      language)


def encoder_decoders(bench):
    base = init(bench, "t5", T5)
    pairs = bench.write("pairs.jsonl", [{"prompt": p, "completion": c} for p, c in
                                        (("one", "eins"), ("two and a half", "zwei"), ("three", "drei vier funf"))])
    words = [f"model.path={base}", f"data.train={pairs}", "data.eval=[]", "training.per_device_train_batch_size=3",
             "training.max_steps=4", "data.packing=false", "training.eval_strategy=no",
             "training.load_best_model_at_end=false", "training.early_stopping_patience=null"]

    def check(what, model, folder, adapter=None):
        lines = bench.scored(folder, adapter, pairs)
        rows, ours = [], []
        for line in lines:
            rows.append((line["input_ids"], line["labels"]))
            ours += line["logprobs"]
        bench.compare(what, ours, model.eval(), translation, rows)
        return ours

    def seq2seq(folder):
        return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)

    check("t5: hone init in Transformers", seq2seq(base), base)
    full = bench.train("sft", "2_sft_full", "t5-full", *words)
    check("t5: whole model in Transformers", seq2seq(full), full)
    lora = bench.train("sft", "3_sft_lora", "t5-lora", *words, "data.train.format=prompt_completion",
                       "training.learning_rate=0.03")
    ours = check("t5: adapter in PEFT", PeftModel.from_pretrained(seq2seq(base), lora), base, lora)
    again = [x for line in bench.scored(lora, None, pairs) for x in line["logprobs"]]
    bench.same("t5: adapter by its config's base in Hone", again, ours)
    merged = bench.path("t5-merged")
    bench.tool("merge", "--model", base, "--adapter", lora, "--output", merged)
    check("t5: merged folder in Transformers", seq2seq(merged), merged)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(os.path.abspath(sys.argv[1]), work)
        for name, config in FAMILIES.items():
            base = init(bench, name, config)
            gguf_files(bench, name, language_models(bench, name, base))
            value_heads(bench, name, base, reward_models(bench, name, base))
        encoder_decoders(bench)
        print(f"{bench.checked - bench.failed} agree, {bench.failed} do not")
        sys.exit(bench.failed > 0)


if __name__ == "__main__":
    main()
