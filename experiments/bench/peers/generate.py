"""generate.py SHAPE BATCH NEW TIMES: greedy decoding by Transformers; prompts of 16 tokens."""
import time

from common import *

shape, batch, new, n = sys.argv[1], *map(int, sys.argv[2:5])

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
model = causal_lm(shape).eval()
x = torch.tensor(shapes.rows(batch, 16))
times = []
with torch.no_grad():
    for _ in range(n + 1):
        start = time.perf_counter()
        y = model.generate(input_ids=x, attention_mask=torch.ones_like(x), max_new_tokens=new,
                           min_new_tokens=new, do_sample=False)
        times.append(time.perf_counter() - start)
        assert y.shape[1] == 16 + new
report(times[1:])
