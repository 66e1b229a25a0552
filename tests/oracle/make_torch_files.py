#!/usr/bin/env python3
"""Files of torch.save, in $HONE_GOLDEN/torch_files (default tests/golden/data): `kinds.bin` with tensors of every type and
layout beside `kinds.safetensors` with the same values row by row; the models `llama` and `gpt2` of the golden data as
pytorch_model.bin, LLaMA also in two parts; an adapter as adapter_model.bin; and `refused/`, what must not be read.
"""
import json
import os
import pickle
import re
import shutil
import zipfile
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
COMMITTED = os.path.join(HERE, "..", "golden", "data")
OUT = os.path.join(os.environ.get("HONE_GOLDEN", COMMITTED), "torch_files")
REFUSED = os.path.join(OUT, "refused")


def repack(path, stored=zipfile.ZIP_STORED, replace=()):
    """The ZIP file again, compressed or with other bytes for some entries; its dates are fixed."""
    with zipfile.ZipFile(path) as z:
        entries = [(i.filename, z.read(i)) for i in z.infolist()]
    with zipfile.ZipFile(path, "w", stored) as z:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = stored
            z.writestr(info, dict(replace).get(name.split("/", 1)[1], data))


def kinds():
    g = torch.Generator().manual_seed(3)
    base = torch.randn(4, 6, generator=g)
    cube = torch.randn(2, 3, 5, generator=g)
    state = OrderedDict(
        f32=base, f16=base.half(), bf16=base.bfloat16(), f64=base.double(), i64=torch.arange(-3, 4),
        i32=torch.arange(5, dtype=torch.int32), i16=torch.arange(5, dtype=torch.int16),
        i8=torch.arange(-2, 3, dtype=torch.int8), u8=torch.arange(5, dtype=torch.uint8),
        flags=torch.tensor([True, False, True]), parameter=torch.nn.Parameter(torch.randn(3, 2, generator=g)),
        same=base, rows=base[1:3], transposed=base.t(), transposed_rows=base[2:].t(), permuted=cube.permute(2, 0, 1),
        narrow=base[:1].t(), scalar=torch.tensor(2.5), none=torch.zeros(0, 3), none_transposed=torch.zeros(3, 0).t(),
        half_transposed=base.half().t())
    torch.save(state, os.path.join(OUT, "kinds.bin"))
    repack(os.path.join(OUT, "kinds.bin"))
    save_file({k: v.detach().clone().contiguous() for k, v in state.items()}, os.path.join(OUT, "kinds.safetensors"))
    torch.save(state, os.path.join(OUT, "protocol4.bin"), pickle_protocol=4)
    repack(os.path.join(OUT, "protocol4.bin"))


def save_bin(state, *path):
    path = os.path.join(OUT, *path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(OrderedDict(state), path)
    repack(path)


def models():
    llama = load_file(os.path.join(COMMITTED, "llama", "model.safetensors"))
    gpt2 = load_file(os.path.join(COMMITTED, "gpt2", "model.safetensors"))
    gpt2["lm_head.weight"] = gpt2["transformer.wte.weight"]  # tied: one storage, two names
    gpt2["transformer.h.0.attn.bias"] = torch.ones(1, 1, 8, 8).tril().bool()  # the mask that old files hold
    name = "transformer.h.0.mlp.c_fc.weight"
    gpt2[name] = gpt2[name].t().contiguous().t()  # a weight that does not lie row by row
    save_bin(llama, "llama", "pytorch_model.bin")
    save_bin(gpt2, "gpt2", "pytorch_model.bin")
    names = sorted(llama)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for file, part in parts.items():
        save_bin({n: llama[n] for n in part}, "llama_sharded", file)
    with open(os.path.join(OUT, "llama_sharded", "pytorch_model.bin.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": sum(t.nbytes for t in llama.values())},
                   "weight_map": {n: file for file, part in parts.items() for n in part}}, f, indent=1, sort_keys=True)
    adapter = load_file(os.path.join(COMMITTED, "llama_lora_adapter", "adapter_model.safetensors"))
    save_bin(adapter, "llama_lora_adapter", "adapter_model.bin")
    for name, source in (("llama", "llama"), ("gpt2", "gpt2"), ("llama_sharded", "llama")):
        shutil.copy(os.path.join(COMMITTED, source, "config.json"), os.path.join(OUT, name))
    shutil.copy(os.path.join(COMMITTED, "llama_lora_adapter", "adapter_config.json"),
                os.path.join(OUT, "llama_lora_adapter"))


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def refused():
    def save(name, value, **options):
        torch.save(value, os.path.join(REFUSED, name), **options)
        if options.get("_use_new_zipfile_serialization", True):
            repack(os.path.join(REFUSED, name))

    x = torch.ones(2, 3)
    torch.manual_seed(1)
    save("system.bin", {"x": x, "y": Call(os.system, "true")})
    save("eval.bin", Call(eval, "1"))
    save("module.bin", torch.nn.Linear(2, 2))
    save("nested.bin", {"state_dict": {"x": x}, "epoch": 3})
    save("expanded.bin", {"x": torch.ones(1, 3).expand(1000, 3)})
    save("strided.bin", {"x": torch.ones(4, 6)[:, ::2]})
    save("sparse.bin", {"x": x.to_sparse()})
    save("quantized.bin", {"x": torch.quantize_per_tensor(x, 1.0, 0, torch.qint8)})
    save("before_1.6.bin", {"x": x}, _use_new_zipfile_serialization=False)
    with open(os.path.join(REFUSED, "before_1.6.bin"), "r+b") as f:  # its storages are named by their addresses
        text = re.sub(rb"X.\0\0\0\d{6,}", b"X\1\0\0\0000", f.read(), flags=re.DOTALL)
        f.seek(0)
        f.truncate()
        f.write(text)
    save("compressed.bin", {"x": x})
    repack(os.path.join(REFUSED, "compressed.bin"), zipfile.ZIP_DEFLATED)
    save("big_endian.bin", {"x": x})
    repack(os.path.join(REFUSED, "big_endian.bin"), replace={"byteorder": b"big"}.items())
    with open(os.path.join(REFUSED, "bare_pickle.bin"), "wb") as f:
        pickle.dump({"x": 1}, f, protocol=2)


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(REFUSED)
    kinds()
    models()
    refused()
