#!/usr/bin/env python3
"""`hone tokenize` beside tokenizers and sentencepiece on generated strings, both ways.

    python3 tokenizers_live.py SHARED HONE [COUNT [SEED [NAME...]]]

SHARED is the folder that holds tokenizers/ and models/. For each vocabulary COUNT strings (100,000) of mixed scripts, emoji,
combining marks, runs of blanks, control characters and that vocabulary's own special tokens: the ids are compared, and
the text that the library's ids give. A tokenizer.json is read by tokenizers itself; vocab.json with merges.txt, rank files and
GGUF files are put into a Tokenizer as the makers of their models do; a SentencePiece file is read by sentencepiece, which
finds no special tokens in text: the strings with one are left out. Needs tokenizers, sentencepiece and gguf.

The table has a line for each: name, by which library, strings, those whose ids differ, those whose ids decode to different
texts.
"""
import base64
import itertools
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from tokenizers_golden import CL100K, QWEN, HuggingFace
from tokenizers_strings import wild_strings

BATCH = 5000
LLAMA3 = (["<|begin_of_text|>", "<|end_of_text|>"] + ["<|reserved_special_token_%d|>" % i for i in range(4)]
          + ["<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>"]
          + ["<|reserved_special_token_%d|>" % i for i in range(5, 251)])


class Library:
    """A Tokenizer. `adds`: it says itself what goes around a text."""
    name = "tokenizers " + tokenizers.__version__

    def __init__(self, tok, adds):
        self.tok, self.adds = tok, adds
        self.tok.encode_special_tokens = False
        added = tok.get_added_tokens_decoder()
        self.words = [t.content for t in added.values()][:40]
        self.respelled = {i: t.content for i, t in added.items() if tok.id_to_token(i) != t.content}

    def encode(self, texts):
        return [e.ids for e in self.tok.encode_batch_fast(texts, add_special_tokens=self.adds)]

    def decode(self, ids):
        """An added token that is marked as normalized and that the normalizer changes is given back by id_to_token (of
        tokenizers 0.23) as the normalizer writes it: with Llama 2's Prepend id 1, whose text in the file and by
        token_to_id is "<s>", is "\u2581<s>", which decodes to " <s>". Such a token is spelled here as in the file."""
        texts = self.tok.decode_batch(ids, skip_special_tokens=False)
        for k, row in enumerate(ids):
            if not self.respelled.keys().isdisjoint(row):
                texts[k] = self.tok.decoder.decode([self.respelled.get(i) or self.tok.id_to_token(i) for i in row])
        return texts

    takes = staticmethod(lambda text: True)
    known = staticmethod(lambda ids: ids)


class SentencePiece:
    name = "sentencepiece " + sentencepiece.__version__
    adds = False

    def __init__(self, path):
        self.sp = sentencepiece.SentencePieceProcessor(model_file=path)
        ids = range(self.sp.vocab_size())
        self.special = [self.sp.id_to_piece(i) for i in ids if self.sp.is_control(i) or self.sp.is_unknown(i)]
        self.words = [self.sp.id_to_piece(i) for i in ids if self.sp.is_unused(i) or self.sp.is_byte(i)][:20]

    def takes(self, text):
        return not any(s in text for s in self.special)

    def encode(self, texts):
        return self.sp.encode(texts)

    def known(self, ids):
        """For an unknown token the library writes a sign of its own: it is not decoded."""
        return [i for i in ids if i != self.sp.unk_id()]

    def decode(self, ids):
        return [self.sp.decode(row) for row in ids]


def byte_level(vocab, merges, split=None, normalizer=None, special=(), ignore_merges=False):
    """`split`: what cuts the text first; None: as GPT-2 does."""
    tok = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    tok.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not isinstance(split, pre_tokenizers.Split))
    tok.pre_tokenizer = pre_tokenizers.Sequence([split, last]) if split else last
    tok.decoder = decoders.ByteLevel()
    tok.add_tokens([AddedToken(text, normalized=False, special=is_special) for text, is_special in special])
    return Library(tok, adds=False)


def ranks(path, pattern, special=(), nfc=False):
    """Two tokens merge to a third in the order of its rank."""
    alphabet = dict(zip(range(256), "".join(alphabet_of_bytes())))
    rank_of = {base64.b64decode(t): int(r) for t, r in (line.split() for line in open(path, "rb") if line.strip())}
    spell = lambda token: "".join(alphabet[b] for b in token)
    merges = []
    for token in sorted(rank_of, key=rank_of.get):
        cuts = [(token[:k], token[k:]) for k in range(1, len(token)) if token[:k] in rank_of and token[k:] in rank_of]
        merges += [(spell(a), spell(b)) for a, b in sorted(cuts, key=lambda c: (rank_of[c[0]], rank_of[c[1]]))]
    return byte_level({spell(t): r for t, r in rank_of.items()}, merges, pre_tokenizers.Split(Regex(pattern), "isolated"),
                      normalizers.NFC() if nfc else None, [(t, True) for t in special], ignore_merges=True)


def alphabet_of_bytes():
    """GPT-2's, byte by byte, as ByteLevel itself spells them."""
    prints = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    rest = iter(range(0x100, 0x200))
    return [chr(b) if b in prints else chr(next(rest)) for b in range(256)]


def gguf_file(path, split=None, normalizer=None):
    import gguf

    fields = gguf.GGUFReader(path).fields
    tokens, types, merges = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "token_type", "merges"))
    special = [(t, kind != 4) for t, kind in zip(tokens, types) if kind in (2, 3, 4)]
    return byte_level({t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges], split, normalizer, special)


def peers(shared):
    """name: (path, how to open the peer)."""
    t = shared + "/tokenizers/"
    tiny = "models/caikit-tiny/%s/tokenizer.json"
    own = lambda path: ("tokenizers/" + path, lambda: Library(HuggingFace(t + path).tok, adds=True))
    model = lambda path: ("tokenizers/" + path, lambda: SentencePiece(t + path))
    files = lambda path: ("tokenizers/" + path, lambda: Library(HuggingFace(t + os.path.dirname(path)).tok, adds=True))
    return {
        "gpt2": ("tokenizers/gpt2", lambda: Library(HuggingFace(t + "gpt2").tok, adds=True)),
        "gpt2-gguf": ("tokenizers/gpt2/ggml-vocab-gpt-2.gguf", lambda: gguf_file(t + "gpt2/ggml-vocab-gpt-2.gguf")),
        "gpt-neox-gguf": ("tokenizers/gpt-neox/ggml-vocab-gpt-neox.gguf", lambda: gguf_file(t + "gpt-neox/ggml-vocab-gpt-neox.gguf")),
        "mpt-gguf": ("tokenizers/mpt/ggml-vocab-mpt.gguf", lambda: gguf_file(t + "mpt/ggml-vocab-mpt.gguf", normalizer=normalizers.NFC())),
        "starcoder-gguf": ("tokenizers/starcoder/ggml-vocab-starcoder.gguf",
                           lambda: gguf_file(t + "starcoder/ggml-vocab-starcoder.gguf", pre_tokenizers.Digits(individual_digits=True))),
        "phi-2": own("phi-2/tokenizer.json"),
        "roberta": own("roberta-opt/tokenizer.json"),
        "roberta-files": files("roberta-opt/vocab.json"),
        "llama2-json": own("llama2-spm/tokenizer.json"),
        "llama2-model": model("llama2-spm/tokenizer.model"),
        "llama2-gguf": ("tokenizers/llama2-spm/ggml-vocab-llama-spm.gguf", lambda: SentencePiece(t + "llama2-spm/tokenizer.model")),
        "mistral-v1": model("mistral/tokenizer.model.v1"),
        "mistral-v2": model("mistral/mistral_instruct_tokenizer_240216.model.v2"),
        "mistral-v3": model("mistral/mistral_instruct_tokenizer_240323.model.v3"),
        "t5": own("t5-small/tokenizer.json"),
        "t5-model": model("t5-small/spiece.model"),
        "sp-english": model("sentencepiece-tests/test_model.model"),
        "sp-japanese": model("sentencepiece-tests/test_ja_model.model"),
        "torchtune": own("torchtune-small/tokenizer.json"),
        "torchtune-model": model("torchtune-small/m.model"),
        "torchtune-bpe": own("torchtune-small/tiny_bpe_tokenizer.json"),
        "torchtune-tiktoken": ("tokenizers/torchtune-small/tiktoken_small.model", lambda: ranks(t + "torchtune-small/tiktoken_small.model", CL100K)),
        "llama3": ("tokenizers/llama3-tiktoken/tokenizer.model", lambda: ranks(t + "llama3-tiktoken/tokenizer.model", CL100K, LLAMA3)),
        "qwen": ("tokenizers/qwen/qwen.tiktoken",
                 lambda: ranks(t + "qwen/qwen.tiktoken", QWEN, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], nfc=True)),
        "cl100k": ("tokenizers/cl100k/cl100k_base.tiktoken", lambda: ranks(t + "cl100k/cl100k_base.tiktoken", CL100K)),
        "bloom-tiny": (tiny % "BloomForCausalLM", lambda: Library(HuggingFace(shared + "/" + tiny % "BloomForCausalLM").tok, adds=True)),
        "bert-tiny": (tiny % "BertForSequenceClassification",
                      lambda: Library(HuggingFace(shared + "/" + tiny % "BertForSequenceClassification").tok, adds=True)),
        "t5-tiny": (tiny % "T5ForConditionalGeneration",
                    lambda: Library(HuggingFace(shared + "/" + tiny % "T5ForConditionalGeneration").tok, adds=True)),
    }


def ask(hone, path, lines, key, *flags):
    """What `hone tokenize` answers under `key`, row by row. All answers are parsed at once: one by one takes longer than
    tokenizing does."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        run = subprocess.run([hone, "tokenize", "--model", path, "--data", f.name, *flags], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    answers = [row[key] for row in json.loads("[%s]" % ",".join(run.stdout.rstrip("\n").split("\n")))]
    if len(answers) != len(lines):
        sys.exit("%s: %d answers to %d rows" % (path, len(answers), len(lines)))
    return answers


def in_batches(call, rows):
    return [x for k in range(0, len(rows), BATCH) for x in call(rows[k : k + BATCH])]


def compare(hone, path, peer, texts):
    """(strings whose ids differ, lists of ids whose texts differ)."""
    spell = json.JSONEncoder().encode
    want = in_batches(peer.encode, texts)
    ours = ask(hone, path, ['{"text":%s}' % spell(t) for t in texts], "ids", *["--add-special-tokens"] * peer.adds)
    lists = [peer.known(ids) for ids in want]
    want_back = in_batches(peer.decode, lists)
    texts_back = ask(hone, path, ['{"ids":%s}' % ids for ids in lists], "text", "--decode")
    bad = [(t, "ours", a, "theirs", b) for t, a, b in zip(texts, ours, want) if a != b]
    bad_back = [(ids, "ours", a, "theirs", b) for ids, a, b in zip(lists, texts_back, want_back) if a != b]
    return bad, bad_back


def main(shared, hone, count=100000, seed=11, *names):
    wrong = 0
    print("| vocabulary | library | strings | other ids | other texts |\n|---|---|---|---|---|", flush=True)
    for name, (path, peer) in peers(shared).items():
        if names and name not in names:
            continue
        peer = peer()
        texts = list(itertools.islice(filter(peer.takes, wild_strings(seed, peer.words)), count))
        bad, bad_back = compare(hone, shared + "/" + path, peer, texts)
        wrong += len(bad) + len(bad_back)
        print("| %s | %s | %d | %d | %d |" % (name, peer.name, len(texts), len(bad), len(bad_back)), flush=True)
        for b in bad[:4] + bad_back[:4]:
            print("  differ " + ascii(b)[:700])
    return 1 if wrong else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(*arguments[:2], *map(int, arguments[2:4]), *arguments[4:]))
