#!/usr/bin/env python3
"""Golden files made anew against those in the repository.

    python3 compare.py COMMITTED NEW     two folders; one line a file that differs, exit 1 when one differs by more
                                         than rounding, or is missing in one of them

Numbers in float64 are what a test compares with, so they may move by a rounding error alone (another CPU sums in another
order). `err/...` is the error that float32 makes, which is a draw: it may be a few times as large. Everything else is
the same, or is not. `--partial`: files that NEW has not are counted, not wrong.
"""
import json
import os
import sys

import torch
from safetensors import safe_open

ROUNDING = 1e-9  # relative to the largest number of a tensor
DRAW = 4.0  # factor between two draws of float32's error
FLOOR = 1e-7  # of such an error


def tensors(path):
    with safe_open(path, "pt") as f:
        return {k: f.get_tensor(k) for k in f.keys()}


def tensor_distance(name, a, b):
    """(what is to be said, is it too much)"""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{name}: {tuple(a.shape)} {a.dtype} was {tuple(b.shape)} {b.dtype}", True
    if name.startswith("err/"):
        new, old = max(a.item(), FLOOR), max(b.item(), FLOOR)
        return f"{name}: {a.item():.1e} was {b.item():.1e}", not 1 / DRAW <= new / old <= DRAW
    if a.dtype == torch.int32:
        return f"{name}: {(a != b).sum().item()} numbers of {a.numel()}", True
    size = max(b.double().abs().max().item(), 1e-300)
    off = (a.double() - b.double()).abs().max().item() / size
    return f"{name}: off by {off:.1e}", not off <= (ROUNDING if a.dtype == torch.float64 else 0.0)


def compare_tensors(old, new):
    a, b = tensors(new), tensors(old)
    said = [(f"{k}: only in {'the new' if k in a else 'the committed'} file", True) for k in sorted(a.keys() ^ b.keys())]
    for k in sorted(a.keys() & b.keys()):
        if not torch.equal(a[k], b[k]):
            said.append(tensor_distance(k, a[k], b[k]))
    return said


def compare_json(old, new):
    a, b = (json.load(open(path)) for path in (new, old))
    if a == b:
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        return [(f"{k}: {str(a.get(k))[:60]} was {str(b.get(k))[:60]}", True)
                for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]
    return [("another value", True)]


def compare_bytes(old, new):
    a, b = open(new, "rb").read(), open(old, "rb").read()
    if a == b:
        return []
    first = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return [(f"{len(a)} bytes, were {len(b)}; first difference at {first}", True)]


def files(top):
    return {os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names}


def main():
    partial = "--partial" in sys.argv
    committed, new = [a for a in sys.argv[1:] if not a.startswith("--")]
    have, made = files(committed), files(new)
    same, wrong, absent = 0, 0, 0
    for name in sorted(have | made):
        if name not in have or name not in made:
            absent += partial and name in have
            if not (partial and name in have):
                wrong += 1
                print(f"FAIL {name}: only {'committed' if name in have else 'made anew'}")
            continue
        kind = {".safetensors": compare_tensors, ".json": compare_json}.get(os.path.splitext(name)[1], compare_bytes)
        said = kind(os.path.join(committed, name), os.path.join(new, name))
        bad = [text for text, too_much in said if too_much]
        same += not said
        wrong += bool(bad)
        if bad:
            print(f"FAIL {name}: {len(bad)} of {len(said)} differences are more than rounding", *bad[:5], sep="\n       ")
        elif said:
            print(f"ok   {name}: {len(said)} tensors within rounding; {max(t for t, _ in said)}")
    close = len(have & made) - same - wrong
    print(f"{same} files the same, {max(close, 0)} within rounding, {wrong} differ"
          + (f", {absent} not made here" if absent else ""))
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
