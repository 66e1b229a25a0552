"""What the peers' scripts share: the same models, the same rows, one JSON line out."""
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false",
                  TRL_EXPERIMENTAL_SILENCE="1", WANDB_DISABLED="true")
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import shapes  # noqa: E402


def llama(shape, **more):
    from transformers import LlamaConfig

    return LlamaConfig(**{k: v for k, v in shapes.config(shape).items() if k != "architectures"}, **more)


def causal_lm(shape, seed=1):
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(llama(shape), attn_implementation="sdpa")


def seq_cls(shape, seed=2):
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_config(llama(shape, num_labels=1),
                                                          attn_implementation="sdpa")


def lora(task):
    from peft import LoraConfig

    return LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=shapes.LINEARS, task_type=task)


def tokenizer(folder):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", bos_token="<s>",
                                   pad_token="<pad>", unk_token="<unk>", eos_token="<s>")


def step_clock():
    """A callback with the times between the ends of optimizer steps, in .times."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        last, times = None, []

        def on_step_end(self, args, state, control, **kw):
            now = time.perf_counter()
            if self.last is not None:
                self.times.append(now - self.last)
            self.last = now

    return Clock()


def report(times, **more):
    """Seconds of each timed unit, and the high-water mark of memory, on standard output."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"times": times, "peak_bytes": peak, **more}), file=sys.__stdout__, flush=True)
