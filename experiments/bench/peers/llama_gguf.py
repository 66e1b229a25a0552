"""llama_gguf.py SHAPE OUT: a GGUF of random f32 weights for llama.cpp."""
from common import *

import gguf
import numpy as np

shape, out = sys.argv[1:3]
h, layers, heads, inter = shapes.SHAPES[shape]
rng = np.random.default_rng(1)
w = gguf.GGUFWriter(out, "llama")
w.add_context_length(1024)
w.add_embedding_length(h)
w.add_block_count(layers)
w.add_feed_forward_length(inter)
w.add_head_count(heads)
w.add_head_count_kv(heads)
w.add_layer_norm_rms_eps(1e-5)
w.add_rope_dimension_count(h // heads)
w.add_vocab_size(shapes.VOCAB)
w.add_tokenizer_model("llama")
w.add_token_list(["<unk>", "<s>", "</s>"] + [f"word{i}" for i in range(shapes.VOCAB - 3)])
w.add_token_scores([-float(i) for i in range(shapes.VOCAB)])
w.add_token_types([2, 3, 3] + [1] * (shapes.VOCAB - 3))
w.add_bos_token_id(1)
w.add_eos_token_id(2)


def matrix(name, rows, columns):
    w.add_tensor(name, (rng.standard_normal((rows, columns)) * 0.02).astype(np.float32))


matrix("token_embd.weight", shapes.VOCAB, h)
w.add_tensor("output_norm.weight", np.ones(h, np.float32))
for i in range(layers):
    for name, rows, columns in [("attn_q", h, h), ("attn_k", h, h), ("attn_v", h, h),
                                ("attn_output", h, h), ("ffn_gate", inter, h), ("ffn_up", inter, h),
                                ("ffn_down", h, inter)]:
        matrix(f"blk.{i}.{name}.weight", rows, columns)
    for name in ("attn_norm", "ffn_norm"):
        w.add_tensor(f"blk.{i}.{name}.weight", np.ones(h, np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
