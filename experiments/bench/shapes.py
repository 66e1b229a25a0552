"""The models of the benchmark, what a pass over them costs, and the files that both sides read."""
import json
import random
from pathlib import Path

VOCAB = 32000
# hidden, layers, heads, intermediate; tied embeddings
SHAPES = {"15m": (288, 6, 6, 768), "110m": (768, 12, 12, 2048), "tiny": (64, 2, 4, 128)}
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def config(shape):
    """config.json; nothing ends a sequence, so that both sides always do the same work."""
    h, layers, heads, inter = SHAPES[shape]
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": h,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
            "intermediate_size": inter, "vocab_size": VOCAB, "max_position_embeddings": 1024,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
            "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": None, "pad_token_id": 0}


def trunk_weights(shape):
    h, layers, _, inter = SHAPES[shape]
    return layers * (4 * h * h + 3 * h * inter)


def head_weights(shape):
    return SHAPES[shape][0] * VOCAB


def write_tokenizer(folder):
    """A byte-level BPE of VOCAB ids whose words never occur: rows hold ids."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["<pad>", "<s>", "<unk>"]
    letters = [chr(c) for c in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    words = special + letters
    words += [f"word{i}" for i in range(VOCAB - len(words))]
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, t in enumerate(special)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                 "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
                 "decoder": byte_level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None,
                           "continuing_subword_prefix": None, "end_of_word_suffix": None,
                           "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                           "vocab": {w: i for i, w in enumerate(words)}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "pad_token": "<pad>",
         "unk_token": "<unk>"}))


def rows(n, length, seed=3):
    """n rows of random ids; length is a number, or a list of lengths taken in turn."""
    rng = random.Random(seed)
    lengths = length if isinstance(length, list) else [length]
    return [[rng.randrange(300, VOCAB) for _ in range(lengths[i % len(lengths)])] for i in range(n)]


def pair_lengths(pairs):
    """Lengths of 8 pairs, uniform in 64..256: 2,644 tokens in all."""
    rng = random.Random(3)
    return [rng.randint(64, 256) for _ in range(2 * pairs)]


def write_jsonl(path, items):
    Path(path).write_text("".join(json.dumps(x) + "\n" for x in items))


def read_jsonl(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]
