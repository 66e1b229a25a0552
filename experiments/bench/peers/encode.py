"""encode.py PATH TEXTS THREADS TIMES: the tokenizer.json at PATH by Hugging Face's tokenizers, with the fastest of its
calls: encode_batch_fast, which leaves offsets out."""
import time

from common import *

path, texts, threads, n = *sys.argv[1:4], int(sys.argv[4])
os.environ.update(TOKENIZERS_PARALLELISM="false" if threads == "1" else "true", RAYON_NUM_THREADS=threads)

from tokenizers import Tokenizer

tok = Tokenizer.from_file(path)
rows = [row["text"] for row in shapes.read_jsonl(texts)]
times = []
for _ in range(n + 1):
    start = time.perf_counter()
    encoded = tok.encode_batch_fast(rows, add_special_tokens=False)
    times.append(time.perf_counter() - start)
report(times[1:], ids=sum(len(e.ids) for e in encoded))
