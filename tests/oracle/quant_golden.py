"""Writes quant.safetensors: codes and scales that bitsandbytes gives to a few thousand numbers.

Its definitions are asked (the backend written in PyTorch): the CPU library that stands beside it looks codes of the
dynamic map up in a table of 2^16 steps, and rounds some of those next to a border the other way.
"""
import os

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # as written: no compiler

import torch
from bitsandbytes import functional as F
from bitsandbytes.backends.default import ops  # noqa: F401  registers the definitions
from safetensors.torch import save_file

torch.manual_seed(7)
torch.set_num_threads(1)
ROWS, COLS = 170, 100  # blocks cross rows, the last one is short, and nested blocks are two


def by_definition(name, *args):
    kernel = getattr(torch.ops.bitsandbytes, name).default
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    return kernel.redispatch(keys, *args)


x = torch.randn(ROWS, COLS) * torch.logspace(-3, 1, ROWS).unsqueeze(1)
x[3] = 0  # a block of zeros
x[7, :64] = (torch.arange(64) - 32) / 32  # numbers on borders
x = x.half().float()  # exact in the file's float16
out = {"x": x.half(), "map/signed": F.create_dynamic_map(True), "map/unsigned": F.create_dynamic_map(False)}
for kind in ("nf4", "fp4"):
    for block in (64, 256, 4096):
        codes, absmax = by_definition("quantize_4bit", x, block, kind, torch.uint8)
        out[f"{kind}/{block}/codes"], out[f"{kind}/{block}/absmax"] = codes.flatten(), absmax
out["nf4/4096/values"] = by_definition("dequantize_4bit", out["nf4/4096/codes"], out["nf4/4096/absmax"], 4096, "nf4",
                                       x.shape, x.dtype)[:50].contiguous()
absmax = out["nf4/64/absmax"]
mean = absmax.double().mean().float()
codes, nested = by_definition("quantize_blockwise", absmax - mean, F.create_dynamic_map(True), 256)
out |= {"nested/codes": codes, "nested/absmax": nested, "nested/mean": mean.reshape(1)}
out["nested/values"] = by_definition("dequantize_blockwise", codes, nested, F.create_dynamic_map(True), 256, x.dtype) + mean
codes, absmax = by_definition("quantize_blockwise", x.square(), F.create_dynamic_map(False), 256)
out |= {"unsigned/codes": codes.flatten(), "unsigned/absmax": absmax}
codes, absmax, _ = F.int8_vectorwise_quant(x.half())
out |= {"int8/codes": codes, "int8/absmax": absmax}
save_file({k: v.contiguous() for k, v in out.items()},
          os.path.join(os.environ.get("HONE_GOLDEN", "tests/golden/data"), "quant.safetensors"))
print(f"{len(out)} tensors")
