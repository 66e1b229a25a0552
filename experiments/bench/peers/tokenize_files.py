"""tokenize_files.py FILES OUT: what the rows on tokenizers read. From FILES/data the texts (OUT/texts.jsonl), from
FILES/tokenizers the vocabularies, each as a tokenizer.json. BERT's is trained on the texts."""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests/oracle"))
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers_live import peers

BYTES = 6_000_000
PEERS = {"gpt2": "gpt2", "llama3": "llama3", "llama2": "llama2-json", "t5": "t5"}


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings_in(part)


def documents(files):
    """Rows of data sets and paragraphs of books, each once."""
    for path in sorted(files.glob("data/**/*")):
        if path.suffix == ".txt":
            yield from path.read_text(errors="replace").split("\n\n")
        elif path.suffix in (".json", ".jsonl"):
            text = path.read_text(errors="replace")
            try:
                yield from strings_in([json.loads(x) for x in text.splitlines() if x.strip()] if path.suffix == ".jsonl"
                                      else json.loads(text))
            except ValueError:
                continue


def choose(files):
    """BYTES of them, an equal share of all."""
    unique = sorted({d for d in documents(files) if 64 <= len(d) <= 20000})
    step = max(1, sum(len(d.encode()) for d in unique) // BYTES)
    return unique[::step]


def bert(texts):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer, tok.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=30522, special_tokens=special, show_progress=False))
    return tok


def main(files, out):
    out.mkdir(parents=True, exist_ok=True)
    texts = choose(files)
    (out / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    known = peers(str(files))
    for name, peer in PEERS.items():
        known[peer][1]().tok.save(str(out / (name + ".json")))
    bert(texts).save(str(out / "bert.json"))
    print(sum(len(t.encode()) for t in texts))


main(Path(sys.argv[1]), Path(sys.argv[2]))
