"""train.py SHAPE full|lora BATCH TOKENS STEPS: AdamW steps of Transformers (and PEFT) in a plain loop."""
import time

from common import *

shape, mode, batch, tokens, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
model = causal_lm(shape)
if mode == "lora":
    from peft import get_peft_model

    model = get_peft_model(model, lora("CAUSAL_LM"))
model.train()
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(params, lr=1e-4)
rows = torch.tensor(shapes.rows(batch * (steps + 1), tokens)).view(-1, batch, tokens)
times = []
for x in rows:
    start = time.perf_counter()
    model(input_ids=x, labels=x).loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    times.append(time.perf_counter() - start)
report(times[1:])
