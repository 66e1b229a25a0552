#!/usr/bin/env python3
"""Golden ids for tests/golden/test_tokenizer_golden.c.

    python3 tokenizers_golden.py SHARED            remakes tests/golden/data/tokenizers/ (HONE_GOLDEN: another folder)
    python3 tokenizers_golden.py                   the same without the ids of real vocabularies

SHARED is the folder that holds tokenizers/ and models/. Needs tokenizers, for SHARED also sentencepiece and tiktoken. Each file
has the ids of the nasty strings: `plain` without special tokens (none parsed, none added), `full` with both
(null where the library has no such thing, or they are the same).
"""
import base64
import json
import os
import random
import sys
import unicodedata

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenizers_strings import strings

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.environ.get("HONE_GOLDEN") or os.path.join(HERE, "..", "golden", "data"), "tokenizers")
N_GOLDEN = 200

CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = CL100K.replace("{1,3}", "")


def without_special(spec):
    """Unigram's trie holds the special tokens too, so that text could become one, which ours never does: their pieces
    get names that no text has."""
    special = {a["content"] for a in spec["added_tokens"] if a["special"]}
    pieces = spec["model"]["vocab"]
    spec["model"]["vocab"] = [["\U0010fff0%d" % i if p[0] in special else p[0], p[1]] for i, p in enumerate(pieces)]
    spec["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(spec))


class HuggingFace:
    def __init__(self, path):
        if os.path.isdir(path):  # vocab.json and merges.txt
            self.tok = Tokenizer(models.BPE.from_file(path + "/vocab.json", path + "/merges.txt"))
            self.tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            self.tok.decoder = decoders.ByteLevel()
            special = ["<s>", "<pad>", "</s>", "<unk>"] if "roberta" in path else ["<|endoftext|>"]
            self.tok.add_special_tokens(special)
            self.plain_tok = self.tok
            return
        spec = json.load(open(path))
        try:
            self.tok = Tokenizer.from_file(path)
        except Exception:  # merges of blanks in an old spelling, which this version refuses
            good = [m for m in spec["model"]["merges"] if len([p for p in m.split(" ") if p]) == 2]
            spec["model"]["merges"] = good
            self.tok = Tokenizer.from_str(json.dumps(spec))
        self.plain_tok = without_special(spec) if "unk_id" in spec["model"] else self.tok

    def plain(self, text):
        self.plain_tok.encode_special_tokens = True
        return self.plain_tok.encode(text, add_special_tokens=False).ids

    def full(self, text):
        self.tok.encode_special_tokens = False
        return self.tok.encode(text, add_special_tokens=True).ids


class SentencePiece:
    def __init__(self, path):
        import sentencepiece

        self.sp = sentencepiece.SentencePieceProcessor(model_file=path)

    def plain(self, text):
        return self.sp.encode(text)

    def full(self, text):
        return None


class Tiktoken:
    def __init__(self, path, pattern, nfc=False):
        lines = [line.split() for line in open(path, "rb").read().splitlines() if line]
        import tiktoken

        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        self.enc = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        self.nfc = nfc

    def plain(self, text):
        text = unicodedata.normalize("NFC", text) if self.nfc else text
        return self.enc.encode(text, disallowed_special=())

    def full(self, text):
        return None


def references(shared):
    t = shared + "/tokenizers/"
    return {
        "gpt2": ("tokenizers/gpt2", HuggingFace(t + "gpt2")),
        "phi-2": ("tokenizers/phi-2/tokenizer.json", HuggingFace(t + "phi-2/tokenizer.json")),
        "roberta": ("tokenizers/roberta-opt/tokenizer.json", HuggingFace(t + "roberta-opt/tokenizer.json")),
        "llama2-json": ("tokenizers/llama2-spm/tokenizer.json", HuggingFace(t + "llama2-spm/tokenizer.json")),
        "torchtune": ("tokenizers/torchtune-small/tokenizer.json", HuggingFace(t + "torchtune-small/tokenizer.json")),
        "bloom-tiny": ("models/caikit-tiny/BloomForCausalLM/tokenizer.json",
                       HuggingFace(shared + "/models/caikit-tiny/BloomForCausalLM/tokenizer.json")),
        "bert-tiny": ("models/caikit-tiny/BertForSequenceClassification/tokenizer.json",
                      HuggingFace(shared + "/models/caikit-tiny/BertForSequenceClassification/tokenizer.json")),
        "t5-tiny": ("models/caikit-tiny/T5ForConditionalGeneration/tokenizer.json",
                    HuggingFace(shared + "/models/caikit-tiny/T5ForConditionalGeneration/tokenizer.json")),
        "t5": ("tokenizers/t5-small/tokenizer.json", HuggingFace(t + "t5-small/tokenizer.json")),
        "t5-model": ("tokenizers/t5-small/spiece.model", SentencePiece(t + "t5-small/spiece.model")),
        "sp-english": ("tokenizers/sentencepiece-tests/test_model.model", SentencePiece(t + "sentencepiece-tests/test_model.model")),
        "sp-japanese": ("tokenizers/sentencepiece-tests/test_ja_model.model", SentencePiece(t + "sentencepiece-tests/test_ja_model.model")),
        "torchtune-model": ("tokenizers/torchtune-small/m.model", SentencePiece(t + "torchtune-small/m.model")),
        "torchtune-bpe": ("tokenizers/torchtune-small/tiny_bpe_tokenizer.json", HuggingFace(t + "torchtune-small/tiny_bpe_tokenizer.json")),
        "torchtune-tiktoken": ("tokenizers/torchtune-small/tiktoken_small.model", Tiktoken(t + "torchtune-small/tiktoken_small.model", CL100K)),
        "roberta-files": ("tokenizers/roberta-opt/vocab.json", HuggingFace(t + "roberta-opt")),
        "llama2-model": ("tokenizers/llama2-spm/tokenizer.model", SentencePiece(t + "llama2-spm/tokenizer.model")),
        "mistral-v1": ("tokenizers/mistral/tokenizer.model.v1", SentencePiece(t + "mistral/tokenizer.model.v1")),
        "mistral-v2": ("tokenizers/mistral/mistral_instruct_tokenizer_240216.model.v2",
                       SentencePiece(t + "mistral/mistral_instruct_tokenizer_240216.model.v2")),
        "mistral-v3": ("tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3",
                       SentencePiece(t + "mistral/mistral_instruct_tokenizer_240323.model.v3")),
        "llama3": ("tokenizers/llama3-tiktoken/tokenizer.model", Tiktoken(t + "llama3-tiktoken/tokenizer.model", CL100K)),
        "qwen": ("tokenizers/qwen/qwen.tiktoken", Tiktoken(t + "qwen/qwen.tiktoken", QWEN, nfc=True)),
        "cl100k": ("tokenizers/cl100k/cl100k_base.tiktoken", Tiktoken(t + "cl100k/cl100k_base.tiktoken", CL100K)),
    }


def one_line_each(name, value, file):
    file.write(' "%s": [\n' % name)
    file.write(",\n".join("  " + json.dumps(v, separators=(",", ":")) for v in value))
    file.write("\n ]")


def remake_texts():
    with open(DATA + "/texts.json", "w") as f:
        f.write("{\n")
        one_line_each("texts", strings(N_GOLDEN), f)
        f.write("\n}\n")


def remake(shared):
    texts = strings(N_GOLDEN)
    for name, (path, ref) in references(shared).items():
        plain = [ref.plain(t) for t in texts]
        full = [ref.full(t) for t in texts]
        full = [None if a == b else a for a, b in zip(full, plain)]
        has_full = ref.full("a") is not None
        with open(DATA + "/" + name + ".ids.json", "w") as f:
            f.write('{\n "path": %s,\n "has_full": %s,\n' % (json.dumps(path), json.dumps(has_full)))
            one_line_each("plain", plain, f)
            f.write(",\n")
            one_line_each("full", full, f)
            f.write("\n}\n")
        print(name, sum(len(p) for p in plain), "ids")


def remake_decoding(shared):
    """What SentencePiece makes of ids in any order: blanks in front, several in a row, bytes among them."""
    rng, cases = random.Random(3), []
    for name, (path, ref) in references(shared).items():
        if not isinstance(ref, SentencePiece):
            continue
        sp = ref.sp
        normal = [i for i in range(sp.vocab_size()) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i))]
        blanks = [i for i in normal if set(sp.id_to_piece(i)) == {"\u2581"}]
        begins = [i for i in normal if sp.id_to_piece(i)[0] == "\u2581"]
        kinds = [blanks, begins, normal] + [[i for i in normal if sp.is_byte(i)]] * any(sp.is_byte(i) for i in normal)
        rows = [[rng.choice(rng.choice(kinds[:2] if k < 2 else kinds)) for k in range(rng.randint(1, 7))] for _ in range(60)]
        cases.append({"path": path, "rows": [[ids, sp.decode(ids)] for ids in rows]})
    with open(DATA + "/sentencepiece-decode.json", "w") as f:
        f.write("{\n")
        one_line_each("cases", cases, f)
        f.write("\n}\n")


def remake_training():
    """What BpeTrainer learns from the nasty strings: ties, repeats, every kind of byte."""
    text = "\n".join(strings(N_GOLDEN))
    cases = []
    for size, frequency in ((300, 0), (700, 2), (5000, 3)):
        tok = Tokenizer(models.BPE())
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=["<s>", "</s>"],
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tok.train_from_iterator([text], trainer)
        model = json.loads(tok.to_str())["model"]
        order = sorted(model["vocab"], key=model["vocab"].get)
        cases.append(dict(vocab_size=size, min_frequency=frequency, tokens=order,
                          merges=[" ".join(m) for m in model["merges"]]))
    with open(DATA + "/training.json", "w") as f:
        f.write("{\n")
        one_line_each("cases", cases, f)
        f.write("\n}\n")


NORMALIZERS = [
    {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "StripAccents"}, {"type": "Nmt"}, {"type": "ByteLevel"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "_"}, {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": None, "lowercase": False},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
]

BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PRE_TOKENIZERS = [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    {"type": "WhitespaceSplit"}, {"type": "Whitespace"}, {"type": "BertPreTokenizer"},
    {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
    {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "UnicodeScripts"},
    {"type": "FixedLength", "length": 5}, {"type": "FixedLength", "length": 1},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
    {"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": r"\w+|[^\w\s]+"}, "behavior": "Removed", "invert": True},
    {"type": "Split", "pattern": {"Regex": r" ?[^(\s|[.,!?])]+"}, "behavior": "Isolated", "invert": False},
    {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"},
                                           {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                                           {"type": "Digits", "individual_digits": False},
                                           {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": False}]},
]
PRE_TOKENIZERS += [{"type": "Punctuation", "behavior": b} for b in BEHAVIORS]
PRE_TOKENIZERS += [{"type": "Split", "pattern": {"String": "a"}, "behavior": b, "invert": i} for b in BEHAVIORS for i in (False, True)]

DECODERS = [
    ({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, ["\u0120a", "\u00e4\u00bd", "\u0142", "b c", "\u00ff", "\u00e4"]),
    ({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, ["\u2581a", "b", "\u2581\u2581c"]),
    ({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}, ["\u2581a", "b", "\u2581c"]),
    ({"type": "WordPiece", "prefix": "##", "cleanup": True}, ["he", "##llo", "!", "do", "n't", "a", "##b"]),
    ({"type": "WordPiece", "prefix": "##", "cleanup": False}, ["he", "##llo", "!", "x"]),
    ({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                       {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
     ["\u2581\u2581a", "<0xE4>", "<0xBD>", "<0xA0>", "b", "\u2581d", "<0xE4>", "<0xBD>", "c", "<0xFF>", "<0xzz>", "<0x41>"]),
    ({"type": "Sequence", "decoders": [{"type": "Strip", "content": "_", "start": 2, "stop": 0}, {"type": "Fuse"}]}, ["___a", "_b", "c_"]),
    ({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
     ["<pad>", "<pad>", "h", "h", "<pad>", "e", "l", "l", "<pad>", "l", "o", "|", "w", "|", "'", "s", " .", "<pad>a", "<pad>a"]),
    ({"type": "CTC", "pad_token": "_", "word_delimiter_token": "|", "cleanup": False}, ["_", "a", "a", "|", "_", "|", " .", "b_"]),
    ({"type": "Sequence", "decoders": [{"type": "CTC", "pad_token": "_", "word_delimiter_token": "|", "cleanup": True},
                                       {"type": "WordPiece", "prefix": "##", "cleanup": False}]}, ["_", "_", "a", "_", "##b", "##b", "c"]),
    (None, ["a", "b", "\u2581c"]),
]
STEP_TEXTS = ["", " ", "Hello, w\u00f6rld!  A\u030angstr\u00f6m a-b--a", "abacada aa 12 345 6789\u0660\u00bd", "\ufb01 \uff21 \u1e9b\u0323 \u4f60\u597d a\u4e16b", "x\u0301\u0302 \u0130stanbul \u00c5\u0301",
              "\u30ab\u30ca\u6f22\u5b57 \u30fc\U0001F970z \u0416\u05d0\u0300 \ue000b", "tab\tnew\nline \u00a0 nb\u200bz\u0000\ufffd", "\u2581a \u2581 b\u2581", "don't I'LL 'tis x=-1;;{}", " lead and trail  ", "\u0915\u094d\u0937\u093f \u0e01\u0e34\u0e49 \U0001F468\u200d\U0001F469", "aaa", "a", "-a-"]


def section(kind, spec):
    tok = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
           "decoder": None, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    tok[kind] = spec
    return Tokenizer.from_str(json.dumps(tok))


def remake_steps():
    """Each normalizer, pre-tokenizer and decoder by itself."""
    cases = []
    for spec in NORMALIZERS:
        step = section("normalizer", spec).normalizer
        cases.append(dict(kind="normalizer", spec=spec, want=[step.normalize_str(t) for t in STEP_TEXTS]))
    for spec in PRE_TOKENIZERS:
        step = section("pre_tokenizer", spec).pre_tokenizer
        cases.append(dict(kind="pre_tokenizer", spec=spec,
                          want=[[piece for piece, _ in step.pre_tokenize_str(t)] if t else [] for t in STEP_TEXTS]))
    for spec, tokens in DECODERS:
        want = section("decoder", spec).decoder.decode(tokens) if spec else " ".join(tokens)
        cases.append(dict(kind="decoder", spec=spec, tokens=tokens, want=want))
    with open(DATA + "/steps.json", "w") as f:
        f.write("{\n")
        one_line_each("texts", STEP_TEXTS, f)
        f.write(",\n")
        one_line_each("cases", cases, f)
        f.write("\n}\n")


if __name__ == "__main__":
    os.makedirs(DATA, exist_ok=True)
    remake_texts()
    if len(sys.argv) > 1:
        remake(sys.argv[1])
        remake_decoding(sys.argv[1])
    remake_training()
    remake_steps()
