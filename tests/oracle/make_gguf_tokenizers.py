#!/usr/bin/env python3
"""Tokenizers in GGUF files and the ids that their makers' libraries give, in $HONE_GOLDEN/gguf_tokenizers (default
tests/golden/data).

    python3 make_gguf_tokenizers.py LLAMA_CPP     LLAMA_CPP: llama.cpp's source, for its conversion scripts

One small vocabulary of each kind, converted by llama.cpp's own scripts: byte-level BPE once for each way to split text, one
vocabulary whose merges reach across everything that a way may cut; SentencePiece's BPE (Gemma) and Unigram (T5); WordPiece
(BERT), without and with capitals. `<name>.json` has rows [text, ids without special tokens, ids with those in the text and
around it; null: the same]. Needs transformers, sentencepiece, protobuf and gguf.
"""
import collections
import json
import logging
import os
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizers_golden import CL100K, N_GOLDEN, QWEN, one_line_each
from tokenizers_strings import strings

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = Path(os.environ.get("HONE_GOLDEN") or os.path.join(HERE, "..", "golden", "data"), "gguf_tokenizers")
TEXTS = strings(N_GOLDEN) + ["<extra_id_0> a b<extra_id_1>", "I've 12345 SAID, it's\n\n 1,000!?  \n x"]

SPLIT = lambda pattern: pre_tokenizers.Split(Regex(pattern), "isolated")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
FALCON = [pre_tokenizers.Punctuation("contiguous"), GPT2, pre_tokenizers.Digits(individual_digits=False), SPLIT("[0-9][0-9][0-9]")]
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
# As the families' own tokenizer.json files have them: pre -> (normalizer, pre-tokenizers, ignore_merges, BOS)
PRES = {
    "gpt-2": (None, [GPT2], False, False),
    "phi-2": (None, [GPT2], False, False),
    "mpt": (normalizers.NFC(), [GPT2], False, False),
    "olmo": (normalizers.NFC(), [GPT2], False, False),
    "llama-bpe": (None, [SPLIT(CL100K), BYTES], True, True),
    "stablelm2": (None, [SPLIT(QWEN), BYTES], False, False),
    "qwen2": (normalizers.NFC(), [SPLIT(QWEN), BYTES], False, False),
    "starcoder": (None, [pre_tokenizers.Digits(individual_digits=True), GPT2], False, False),
    "falcon": (None, FALCON, False, False),
    "bloom": (None, [SPLIT(BLOOM), BYTES], False, False),
}


def around(tok, first, last):
    parts = ([first] if first else []) + ["$A"] + ([last] if last else [])
    ids = [(t, tok.token_to_id(t)) for t in (first, last) if t]
    return processors.TemplateProcessing(single=" ".join(parts), special_tokens=ids)


def bpe():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = BYTES
    tok.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=800, special_tokens=["<s>", "</s>"], show_progress=False,
                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(tok.to_str())


def with_pre(spec, pre):
    normalizer, steps, ignore_merges, bos = PRES[pre]
    spec["model"]["ignore_merges"] = ignore_merges
    tok = Tokenizer.from_str(json.dumps(spec))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizer, pre_tokenizers.Sequence(steps), decoders.ByteLevel()
    if bos:
        tok.post_processor = around(tok, "<s>", None)
    return tok


def bert(lowercase):
    """The library's trainer breaks ties by chance: the pieces are the most frequent ones here. None holds the sign that the
    script writes before a word: it would not tell "##\u2581x" from "x"."""
    normalizer, cutter = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    counts = collections.Counter()
    for text in TEXTS:
        for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text)):
            spans = [(i, j) for i in range(len(word)) for j in range(i + 1, min(len(word), i + 6) + 1)]
            counts.update(("##" if i else "") + word[i:j] for i, j in spans)
    pieces = sorted((p for p in counts if "\u2581" not in p), key=lambda p: (-counts[p] * len(p), p))[:900]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok = Tokenizer(models.WordPiece({p: i for i, p in enumerate(special + pieces)}, unk_token="[UNK]", max_input_chars_per_word=100))
    tok.add_special_tokens(special)
    tok.normalizer, tok.pre_tokenizer = normalizer, cutter
    tok.post_processor, tok.decoder = around(tok, "[CLS]", "[SEP]"), decoders.WordPiece()
    return tok


def rows_of(tok):
    for text in TEXTS:
        tok.encode_special_tokens = True
        plain = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = False
        full = tok.encode(text).ids
        yield [text, plain, full if full != plain else None]


def rows_of_pieces(sp, special, first, last):
    """sentencepiece finds no special tokens in text: it gets what stands between them."""
    pattern = re.compile("(" + "|".join(map(re.escape, special)) + ")")
    for text in TEXTS:
        full = []
        for part in pattern.split(text):
            full += [special[part]] if part in special else sp.encode(part) if part else []
        yield [text, sp.encode(text), first + full + last]


def train_pieces(folder, file, kind, **more):
    import sentencepiece

    rules = folder / "rules.tsv"
    rules.write_text("FB01\t66 69\n3000\t20\nA0\t20\nFF21\t41\n41 30A\tC5\nAD\t\n9\t20\nA\t20\n")
    lines = [t for t in TEXTS if t and "\0" not in t and "\n" not in t]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_prefix=str(folder / "m"), model_type=kind, vocab_size=500, minloglevel=2,
        hard_vocab_limit=False, character_coverage=0.98, **({"normalization_rule_tsv": str(rules)} if kind == "unigram" else {}),
        **more)
    os.rename(folder / "m.model", folder / file)
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / file))


def save(name, rows, folder, gguf, set_vocab, pre="", **hparams):
    """`set_vocab`: the method of the script's that a model of the kind would call."""
    from conversion.base import TextModel

    writer = gguf.GGUFWriter(OUT / (name + ".gguf"), "none")
    model = SimpleNamespace(dir_model=folder, hparams=hparams, gguf_writer=writer, get_vocab_base_pre=lambda tok: pre)
    for method in ("get_vocab_base", "does_token_look_special", "find_hparam", "_set_vocab_sentencepiece",
                   "_create_vocab_sentencepiece"):
        setattr(model, method, getattr(TextModel, method).__get__(model))
    set_vocab(model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open(OUT / (name + ".json"), "w") as f:
        f.write("{\n")
        one_line_each("rows", rows, f)
        f.write("\n}\n")


def save_fast(name, tok, gguf, set_vocab, config, pre):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tok.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}))
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
        save(name, rows_of(tok), folder, gguf, set_vocab, pre, type_vocab_size=2)


def main():
    sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "gguf-py")]
    logging.disable(logging.WARNING)
    import gguf
    from conversion.base import TextModel
    from conversion.bert import BertModel
    from conversion.gemma import GemmaModel
    from conversion.t5 import T5Model

    OUT.mkdir(parents=True, exist_ok=True)
    spec = bpe()
    for pre in PRES:
        names = {"bos_token": "<s>", "eos_token": "</s>"}
        save_fast(pre, with_pre(spec, pre), gguf, TextModel._set_vocab_gpt2, names, pre)
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    save_fast("bert", bert(True), gguf, BertModel.set_vocab, names, "jina-v2-en")
    save_fast("bert-cased", bert(False), gguf, BertModel.set_vocab, names, "jina-v2-en")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sp = train_pieces(folder, "spiece.model", "unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        n = sp.vocab_size()
        extra = {"<extra_id_%d>" % i: n + i for i in range(3)}
        (folder / "added_tokens.json").write_text(json.dumps(extra))
        special = {"<pad>": 0, "</s>": 1, "<unk>": 2, **extra}
        save("t5", rows_of_pieces(sp, special, [], [1]), folder, gguf, T5Model.set_vocab, vocab_size=n + 20)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sp = train_pieces(folder, "tokenizer.model", "bpe", pad_id=0, eos_id=1, bos_id=2, unk_id=3, byte_fallback=True,
                          add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity")
        special = {"<pad>": 0, "</s>": 1, "<s>": 2, "<unk>": 3}
        ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "unk_token_id": 3}
        (folder / "config.json").write_text(json.dumps(ids))
        save("gemma", rows_of_pieces(sp, special, [2], []), folder, gguf, GemmaModel.set_vocab, vocab_size=sp.vocab_size() + 3)


if __name__ == "__main__":
    main()
