"""bench.py: every row of the table, Hone and the peer in turn. run.sh sets the machine up and calls this; README.md says
what the rows mean."""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import jobs
import shapes

HERE = Path(__file__).resolve().parent
UNDISTURBED = 0.1  # cores that others may use during a row that counts
TUNED_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "34359738368"}


@dataclass
class Row:
    name: str
    unit: str                      # "tokens/s" or "s"
    work: float                    # tokens a timed unit; 1 where the unit is seconds
    hone: Callable                 # -> {"times", "peak_bytes"}
    peers: dict                    # name -> command
    goal: Callable                 # (hone, best peer by name, floor) -> the value to reach, or None
    floor: float = 0.0             # seconds of a unit at the machine's measured rate
    most_rounds: int = 99
    runs: dict = field(default_factory=dict)
    other_cpu: float = 0.0

    def best(self, who):
        return min((t for r in self.runs.get(who, []) for t in r["times"]), default=None)

    def value(self, seconds):
        if seconds is None:
            return None
        return seconds if self.unit == "s" else self.work / seconds

    def peak(self, who):
        return max((r["peak_bytes"] or 0 for r in self.runs.get(who, [])), default=0)


def busy():
    """CPU seconds of the machine and of this process's ended children."""
    f = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    t = os.times()
    return (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK"), t[0] + t[1] + t[2] + t[3]


def run_peer(command, env):
    done = subprocess.run(command, env={**env, "START": repr(time.time())}, capture_output=True, text=True)
    line = [x for x in done.stdout.splitlines() if x.startswith('{"times"')]
    if not line:
        raise RuntimeError(f"{command}: {done.stderr[-1500:]}")
    return json.loads(line[0])


def measure(row, rounds, env, peer_env):
    before, start = busy(), time.time()
    for _ in range(min(rounds, row.most_rounds)):  # in turn, so that a disturbed moment hits both
        row.runs.setdefault("hone", []).append(row.hone())
        for name, command in row.peers.items():
            row.runs.setdefault(name, []).append(run_peer(command, peer_env if "torch" in name else env))
    after = busy()
    row.other_cpu = max(0.0, after[0] - before[0] - (after[1] - before[1])) / (time.time() - start)


def gemm_floor(program, env):
    """GFLOP/s of the projections of training (best), GB/s of reading, and what bench_gemm and bench_ops print."""
    text = subprocess.run([program / "bench_gemm", env["OMP_NUM_THREADS"]], env=env, capture_output=True,
                          text=True).stdout
    memory = subprocess.run([program / "bench_ops", env["OMP_NUM_THREADS"]], env=env,
                            capture_output=True, text=True).stdout
    lines = re.findall(r"(\d+) x +(\d+) x +(\d+) +(\w+) +([\d.]+)(?: +oneDNN +([\d.]+) +ratio +([\d.]+))?"
                       r".*others (-?[\d.]+)", text)
    rate = max(float(x[4]) for x in lines if x[3] == "fwd" and x[0] == "2048" and min(map(int, x[1:3])) >= 288)
    read = float(re.search(r"read ([\d.]+) GB/s", memory)[1])
    isa = re.search(r"threads, (\S+),", text)[1]
    return rate, read, isa, lines


VOCABULARIES = {"gpt2": "GPT-2, byte-level BPE", "llama3": "Llama 3, byte-level BPE", "llama2": "LLaMA 2, SentencePiece BPE",
                "t5": "T5, Unigram", "bert": "WordPiece"}


def tokenizer_rows(hone, py, files, quick):
    """MB/s of text; the same tokenizer.json on both sides."""
    place = hone.place / "tokenise"
    subprocess.run([py, str(HERE / "peers/tokenize_files.py"), str(files), str(place)], check=True, stdout=subprocess.DEVNULL)
    texts, n = place / "texts.jsonl", 2 if quick else 4
    mb = sum(len(x["text"].encode()) for x in shapes.read_jsonl(texts)) / 1e6
    for name, title in VOCABULARIES.items():
        for threads in (1, 2):
            words = [str(place / f"{name}.json"), str(texts), str(threads), str(n)]
            yield Row(f"tokenise {title}, {threads} thread{'s' * (threads > 1)}", "MB/s", mb,
                      lambda words=words: hone.tokenize(*words), {"tokenizers": [py, str(HERE / "peers/encode.py"), *words]},
                      lambda best, floor: mb / best["tokenizers"])


def rows_of(hone, py, tok, llama, rate, read, quick):
    """The table. Floors: matrix products of the step at `rate`, or weights read once a token."""
    peer = lambda script, *words: [py, str(HERE / "peers" / script), *map(str, words)]
    trunk, head, flop = shapes.trunk_weights, shapes.head_weights, 1e9 * rate
    n = 2 if quick else 4
    out = []

    def train(shape, mode, batch, share):
        per_token = (6 if mode == "full" else 4) * (trunk(shape) + head(shape))
        tokens = batch * 256
        out.append(Row(f"{'full' if mode == 'full' else 'LoRA'} {shape} {batch} x 256", "tokens/s", tokens,
                       lambda: hone.sft(shape, mode, batch, 256, n),
                       {"torch": peer("train.py", shape, mode, batch, 256, n)},
                       lambda best, floor: share * tokens / floor, per_token * tokens / flop))

    train("15m", "full", 8, 0.70)
    train("15m", "lora", 8, 0.68)
    train("110m", "full", 4, 0.72)
    train("110m", "lora", 4, 0.72)
    real = sum(shapes.pair_lengths(8))
    out.append(Row("reward 110m, 8 pairs", "s", 1, lambda: hone.reward("110m", 8, 1 if quick else 2),
                   {"torch": peer("reward.py", "110m", 8, 1 if quick else 2, tok)},
                   lambda best, floor: best["torch"] / 1.45, 6 * trunk("110m") * real / flop))
    t, h, rows, learned = trunk("15m"), head("15m"), 32 * 128, 32 * 96
    collect = 2 * (rows * t + learned * h) * 2 + 2 * 2 * rows * t  # decode, reference; reward, value
    for mode, factor, times in (("full", 6, 2.2), ("lora", 4, 2.9)):
        step = 4 * (factor * (rows * t + learned * h) + factor * rows * t)
        out.append(Row(f"PPO 15m {mode}, 32 x (32 + 96), 4 epochs", "s", 1,
                       lambda mode=mode: hone.ppo(mode, 1), {"torch": peer("ppo.py", mode, 1, tok)},
                       lambda best, floor, times=times: best["torch"] / times, (collect + step) / flop, 1))
    for shape, share in (("15m", 1.1), ("110m", 0.95)):
        new = 128
        both = {"torch": peer("generate.py", shape, 1, new, 2)}
        if llama:
            both["llama.cpp"] = [str(llama / "llama_decode"), str(llama / f"{shape}.gguf"), str(new), "3"]
        weights = 4 * (trunk(shape) + head(shape))
        out.append(Row(f"decode {shape}, one row, f32", "tokens/s", new,
                       lambda shape=shape: hone.generate(shape, 1, 128, 4), both,
                       lambda best, floor, share=share: share * 128 / best["llama.cpp"] if llama else None,
                       new * weights / (1e9 * read)))
        if shape == "15m":
            out.append(Row("decode 15m, one row, bf16 weights", "tokens/s", new,
                           lambda: hone.generate("15m", 1, 128, 4, "bfloat16"), both,
                           lambda best, floor: 2 * 128 / best["llama.cpp"] if llama else None,
                           new * weights / 2 / (1e9 * read)))
    out.append(Row("decode 15m, 64 rows, with log-probs", "tokens/s", 64 * 128,
                   lambda: hone.generate("15m", 64, 128, 1), {"torch": peer("generate.py", "15m", 64, 128, 1)},
                   lambda best, floor: 2.3 * 64 * 128 / best["torch"], 64 * 128 * 2 * (t + h) / flop))
    for stage in ("sft", "reward", "ppo"):
        out.append(Row(f"first step of {stage}, tiny", "s", 1, lambda stage=stage: hone.first_step(stage),
                       {"torch": peer("first_step.py", stage, tok)}, lambda best, floor: 0.3))
    return out


def show(x, digits=3):
    return "-" if x is None else f"{x:,.0f}" if x >= 100 else f"{x:.{digits}g}"


def line_of(row, commit):
    peers = {p: row.best(p) for p in row.peers}
    fastest = min((p for p in peers if peers[p]), key=lambda p: peers[p], default=None)
    ours = row.best("hone")
    goal = row.goal(peers, row.floor) if all(peers.values()) or not peers else None
    value = row.value(ours)
    met = None if goal is None else (value <= goal if row.unit == "s" else value >= goal)
    counts = row.other_cpu < UNDISTURBED
    return {"row": row.name, "unit": row.unit, "hone": value,
            "hone_median": row.value(statistics.median(t for r in row.runs["hone"] for t in r["times"])),
            "peers": {p: row.value(t) for p, t in peers.items()}, "fastest": fastest,
            "ratio": peers[fastest] / ours if fastest else None,
            "share": row.floor / ours if row.floor else None, "goal": goal,
            "verdict": "does not count" if not counts else "-" if met is None else "met" if met else "missed",
            "peak_mb": {w: round(row.peak(w) / 2**20) for w in row.runs if row.peak(w)},
            "growth_bytes": max((r.get("growth_bytes", 0) for r in row.runs["hone"]), default=0),
            "other_cpu": round(row.other_cpu, 2), "commit": commit}


def table(lines):
    text = ["| row | Hone (median) | peers | ratio | share of the limit | goal | verdict | memory, MB | others, cores | "
            "commit |", "|---|---|---|---|---|---|---|---|---|---|"]
    for x in lines:
        peers = ", ".join(f"{p} {show(v)}" for p, v in x["peers"].items()) or "-"
        memory = ", ".join(f"{w} {v:,}" for w, v in x["peak_mb"].items()) or "-"
        share = "-" if x["share"] is None else f"{100 * x['share']:.0f} %"
        text.append(f"| {x['row']} | {show(x['hone'])} ({show(x['hone_median'])}) {x['unit']} | {peers} | "
                    f"{show(x['ratio'])} | {share} | {show(x['goal'])} | {x['verdict']} | {memory} | "
                    f"{x['other_cpu']} | {x['commit']} |")
    return text


def merged(old, new):
    """New rows in the places of old ones of the same name."""
    by_name = {x["row"]: x for x in new}
    kept = [by_name.pop(x["row"], x) for x in old]
    return kept + list(by_name.values())


def gemm_table(lines):
    text = ["| rows x in x out | kind | Hone GFLOP/s | oneDNN | ratio | others, cores |", "|---|---|---|---|---|---|"]
    for n, i, o, kind, ours, theirs, ratio, others in lines:
        text.append(f"| {n} x {i} x {o} | {kind} | {ours} | {theirs or '-'} | {ratio or '-'} | {others} |")
    return text


def commit_of_tree():
    """The commit, and whether something besides earlier results differs from it."""
    git = lambda *words: subprocess.run(["git", "-C", HERE.parent.parent, *words], capture_output=True, text=True)
    dirty = git("diff", "--quiet", "HEAD", "--", ".", ":!experiments/bench/results").returncode
    return git("rev-parse", "--short", "HEAD").stdout.strip() + ("-dirty" if dirty else "")


def options_said():
    """The options without folders of this machine."""
    words, said = sys.argv[1:], []
    while words:
        word = words.pop(0)
        if word in ("--llama", "--out", "--build", "--files"):
            said += [word, "DIR"] * (word == "--files")
            words.pop(0)
        else:
            said.append(f"'{word}'" if " " in word else word)
    return " ".join(said)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default=HERE / "../../build", type=Path, help="build folder")
    p.add_argument("--peers", default="all", choices=["all", "none"])
    p.add_argument("--llama", type=Path, help="folder of llama_decode and its GGUFs")
    p.add_argument("--files", type=Path, help="a folder with tokenizers/ and data/: also the rows `tokenise`")
    p.add_argument("--rows", default="", help="only rows whose name holds one of these, by commas")
    p.add_argument("--threads", default="2")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--quick", action="store_true", help="fewest steps that mean something")
    p.add_argument("--out", type=Path)
    p.add_argument("--keep", action="store_true", help="keep the rows of an earlier table that are not measured now")
    a = p.parse_args()
    program = a.build.resolve() / "bin"
    env = {**os.environ, "OMP_NUM_THREADS": a.threads}
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    commit = commit_of_tree()
    name = re.sub(r"\W+", "-", cpu).strip("-").lower()
    wanted = [w for w in a.rows.split(",") if w]
    earlier = sorted((HERE / "results").glob(f"{name}-*-{a.threads}t.json")) if a.keep else []
    if earlier and wanted and all(w.startswith("tokenise") for w in wanted):  # these rows have no limit to measure
        said = json.loads(earlier[0].read_text())
        rate, read, isa, gemm = (said[k] for k in ("gflops", "read_gb_s", "isa", "gemm"))
    else:
        rate, read, isa, gemm = gemm_floor(program, env)
    lines = []
    with tempfile.TemporaryDirectory() as place:
        hone = jobs.Hone(program, place, env, int(a.threads))
        table_rows = rows_of(hone, sys.executable, hone.tokenizer, a.llama, rate, read, a.quick)
        if a.files:
            table_rows += tokenizer_rows(hone, sys.executable, a.files.resolve(), a.quick)
        for row in table_rows:
            if wanted and not any(w in row.name for w in wanted):
                continue
            if a.peers == "none":
                row.peers = {}
            row.hone()  # makes its files, and warms the file cache
            measure(row, 1 if a.quick else a.rounds, env, {**env, **TUNED_MALLOC})
            counts = {r["ids"] for runs in row.runs.values() for r in runs if "ids" in r}
            assert len(counts) <= 1, f"{row.name}: {counts} ids"
            lines.append(line_of(row, commit))
            print(table(lines[-1:])[-1], flush=True)
    out = a.out or HERE / "results" / f"{name}-{isa}-{a.threads}t.md"
    if a.keep and out.with_suffix(".json").exists():
        lines = merged(json.loads(out.with_suffix(".json").read_text())["rows"], lines)
    head = [f"# {cpu}, {a.threads} threads, {isa}", "",
            f"Commit {commit}, {platform.platform()}, `experiments/bench/run.sh {options_said()}`.",
            f"Limits measured: {rate:.0f} GFLOP/s (best projection), {read:.1f} GB/s (reading).", ""]
    text = "\n".join(head + table(lines) + ["", "## Projections against oneDNN", ""] + gemm_table(gemm)) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    out.with_suffix(".json").write_text(json.dumps(
        {"cpu": cpu, "threads": a.threads, "isa": isa, "commit": commit, "gflops": rate, "read_gb_s": read,
         "rows": lines, "gemm": gemm}, indent=1) + "\n")
    print(f"\n{out}")


if __name__ == "__main__":
    main()
