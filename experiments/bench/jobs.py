"""What Hone is asked to do: its programs on files that are made here. A job returns seconds, one a timed unit, and
the peak of memory."""
import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import shapes

LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


class Hone:
    def __init__(self, programs, place, env, threads):
        self.programs, self.place, self.env = Path(programs).resolve(), Path(place), env
        self.threads = threads
        self.tokenizer = self.place / "tokenizer"
        shapes.write_tokenizer(self.tokenizer)

    def call(self, program, *words, **env):
        done = subprocess.run([self.programs / program, *map(str, words)], cwd=self.place, env={**self.env, **env},
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} left with {done.returncode}: {done.stderr[-1000:]}")
        return done.stderr + done.stdout

    def model(self, shape):
        folder = self.place / f"model-{shape}"
        if not folder.exists():
            path = self.place / f"{shape}.json"
            path.write_text(json.dumps(shapes.config(shape)))
            self.call("hone", "init", "--config", path, "--tokenizer", self.tokenizer, "--output", folder)
        return folder

    def reward_model(self, shape):
        folder = self.place / f"rm-{shape}"
        if not folder.exists():
            self.train("reward", folder, shape, 1, self.pairs(2, 16, 2), 1)
        return folder

    def rows(self, n, length):
        path = self.place / f"rows-{n}-{length}.jsonl"
        if not path.exists():
            shapes.write_jsonl(path, [{"input_ids": r} for r in shapes.rows(n, length)])
        return path

    def pairs(self, n, length, pairs):
        path = self.place / f"pairs-{n}-{length}-{pairs}.jsonl"
        if not path.exists():
            ids = shapes.rows(2 * n, length or shapes.pair_lengths(pairs))
            shapes.write_jsonl(path, [{"chosen_ids": a, "rejected_ids": b}
                                      for a, b in zip(ids[::2], ids[1::2])])
        return path

    def run(self, program, output, config):
        shutil.rmtree(output, ignore_errors=True)
        path = self.place / f"{program}.yaml"
        path.write_text(json.dumps({"threads": self.threads, **config}))  # JSON is YAML
        self.call(program, path, "--quiet", f"output_dir={output}")

    def train(self, program, output, shape, batch, data, steps, lora=False, rate=1e-4):
        config = {"model": {"path": str(self.model(shape))},
                  "data": {"train": {"path": str(data), "format": "tokenized"}, "max_length": 256,
                           "shuffle": False},
                  "training": {"per_device_train_batch_size": batch, "max_steps": steps,
                               "learning_rate": rate, "logging_steps": 1, "save_strategy": "no",
                               "gradient_checkpointing": False, "bf16": False}}
        if lora:
            config["peft"] = LORA
        self.run(program, output, config)

    def timed(self, output):
        """time/step behind the first step; the peak after the first step and at the end."""
        rows = [r for r in shapes.read_jsonl(output / "metrics.jsonl") if "time/step" in r]
        peaks = [r["memory/peak_rss_bytes"] for r in rows]
        return {"times": [r["time/step"] for r in rows[1:]], "peak_bytes": peaks[-1],
                "growth_bytes": peaks[-1] - peaks[1]}

    # ---- the jobs ----

    def sft(self, shape, mode, batch, tokens, steps):
        out = self.place / "run"
        self.train("sft", out, shape, batch, self.rows(batch * (steps + 1), tokens), steps + 1,
                   mode == "lora")
        return self.timed(out)

    def reward(self, shape, pairs, steps):
        out = self.place / "run"
        self.train("reward", out, shape, pairs, self.pairs(pairs * (steps + 1), None, pairs), steps + 1,
                   rate=1e-5)
        return self.timed(out)

    def ppo(self, mode, updates):
        out = self.place / "run"
        reward = self.reward_model("15m")
        config = {"model": {"path": str(self.model("15m"))},
                  "data": {"train": {"path": str(self.rows(32 * (updates + 1), 32)),
                                     "format": "tokenized"}, "shuffle": False},
                  "training": {"per_device_train_batch_size": 32, "max_steps": updates + 1,
                               "learning_rate": 1e-5, "logging_steps": 1, "save_strategy": "no",
                               "gradient_checkpointing": False, "bf16": False},
                  "ppo": {"reward": {"model": str(reward)}, "num_ppo_epochs": 4, "num_mini_batches": 1,
                          "response_length": 96, "stop_token": None, "num_sample_generations": 0,
                          "local_rollout_forward_batch_size": 32}}
        if mode == "lora":
            config["peft"] = LORA
        self.run("ppo", out, config)
        return self.timed(out)

    def generate(self, shape, batch, new, copies, dtype="float32"):
        said = self.call("hone", "generate", "--model", self.model(shape), "--data", self.rows(batch, 16),
                         "--max-new-tokens", new, "--temperature", 0, "--batch-size", batch,
                         "--num-return-sequences", copies, "--dtype", dtype, "--threads", self.threads, "--output", "/dev/null")
        tokens, seconds = re.search(r"(\d+) tokens in ([\d.]+) s", said).groups()
        assert int(tokens) == batch * new * copies, said
        return {"times": [float(seconds) / copies], "peak_bytes": None}

    def tokenize(self, path, texts, threads, times):
        return json.loads(self.call("bench_tokenize", path, texts, times, OMP_NUM_THREADS=threads))

    def first_step(self, stage):
        """From the start of the process to the first row of its metrics."""
        out = self.place / "run"
        shutil.rmtree(out, ignore_errors=True)
        start, seconds = time.time(), []

        def watch():
            while not seconds:
                path = out / "metrics.jsonl"
                if path.exists() and path.stat().st_size > 0:
                    seconds.append(time.time() - start)
                time.sleep(0.001)

        watcher = threading.Thread(target=watch)
        data = self.rows(16, 16) if stage == "sft" else self.pairs(16, 16, 8)
        if stage == "ppo":
            self.reward_model("tiny")
            shutil.rmtree(out, ignore_errors=True)
        self.model("tiny")
        start = time.time()
        watcher.start()
        if stage == "ppo":
            self.first_ppo(out)
        else:
            self.train(stage, out, "tiny", 8, data, 1)
        watcher.join()
        return {"times": seconds, "peak_bytes": None}

    def first_ppo(self, out):
        config = {"model": {"path": str(self.model("tiny"))},
                  "data": {"train": {"path": str(self.rows(8, 16)), "format": "tokenized"}},
                  "training": {"per_device_train_batch_size": 8, "max_steps": 1, "save_strategy": "no",
                               "logging_steps": 1, "gradient_checkpointing": False},
                  "ppo": {"reward": {"model": str(self.reward_model("tiny"))}, "num_ppo_epochs": 1,
                          "response_length": 16, "stop_token": None, "num_sample_generations": 0}}
        self.run("ppo", out, config)
