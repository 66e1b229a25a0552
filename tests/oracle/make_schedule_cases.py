"""Writes tests/unit/schedule_cases.inc: factors of transformers' schedules (optimization.py).

Run with transformers installed:  python make_schedule_cases.py > ../unit/schedule_cases.inc
"""

from transformers import optimization as o

BASE = 2e-4


class Optimizer:
    """What the schedule functions read of an optimizer."""

    defaults = {"lr": BASE}


class Capture:
    """Stands in for torch's LambdaLR: keeps the function of the step."""

    def __init__(self, optimizer, fn, last_epoch=-1):
        self.fn = fn


o.LambdaLR = Capture

CASES = [
    ("linear", "LR_LINEAR", 0, 100, {}),
    ("linear", "LR_LINEAR", 10, 100, {}),
    ("cosine", "LR_COSINE", 10, 100, {}),
    ("cosine", "LR_COSINE", 0, 7, {"num_cycles": 1.5}),
    ("cosine_with_restarts", "LR_COSINE_WITH_RESTARTS", 5, 100, {"num_cycles": 3}),
    ("cosine_with_restarts", "LR_COSINE_WITH_RESTARTS", 0, 100, {}),
    ("polynomial", "LR_POLYNOMIAL", 10, 100, {}),
    ("polynomial", "LR_POLYNOMIAL", 10, 100, {"power": 2.5, "lr_end": 1e-5}),
    ("constant", "LR_CONSTANT", 10, 100, {}),
    ("constant_with_warmup", "LR_CONSTANT_WITH_WARMUP", 10, 100, {}),
    ("inverse_sqrt", "LR_INVERSE_SQRT", 10, 100, {}),
    ("inverse_sqrt", "LR_INVERSE_SQRT", 0, 100, {}),
    ("cosine_with_min_lr", "LR_COSINE_WITH_MIN_LR", 10, 100, {"min_lr": 1e-5}),
    ("cosine_with_min_lr", "LR_COSINE_WITH_MIN_LR", 10, 100, {"min_lr_rate": 0.1}),
    ("warmup_stable_decay", "LR_WARMUP_STABLE_DECAY", 10, 100, {"num_decay_steps": 30}),
    ("warmup_stable_decay", "LR_WARMUP_STABLE_DECAY", 10, 100,
     {"num_decay_steps": 30, "warmup_type": "1-sqrt", "decay_type": "1-sqrt", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", "LR_WARMUP_STABLE_DECAY", 10, 100,
     {"num_decay_steps": 30, "warmup_type": "cosine", "decay_type": "linear", "num_stable_steps": 20}),
]


def main():
    print("/* Made by tests/oracle/make_schedule_cases.py. */")
    for name, kind, warmup, total, kwargs in CASES:
        fn = o.get_scheduler(name, Optimizer(), warmup, total, kwargs).fn
        steps = [0, min(3, total), warmup, total // 2, total - 1, total + 1]
        pairs = ", ".join(f'{{"{k}", "{v}"}}' for k, v in kwargs.items())
        pairs = pairs or "{NULL, NULL}"
        print(f'{{"{name}", {kind}, {warmup}, {total}, {{{pairs}}}, {len(kwargs)},')
        print(f' {{{", ".join(str(s) for s in steps)}}},')
        print(f' {{{", ".join(repr(float(fn(s))) for s in steps)}}}}},')


main()
