/* op_attention: attention inside each sequence, causal or both ways, or from it to the keys of
 * another (an encoder's), over flat rows (training, scoring) and over a paged KV cache
 * (generation). Softmax runs online over keys in blocks of ATTN_BLOCK anchored at
 * position 0 of the sequence (Dao 2023), so that a row's bits do not depend on what else is
 * computed, and the decode op gives the bits of the training op for the same keys.
 */
#ifndef HONE_KERNELS_OP_ATTENTION_H
#define HONE_KERNELS_OP_ATTENTION_H

#include "kernels/dev.h"
#include "kernels/op_elementwise.h"

#define ATTN_BLOCK 64
#define ATTN_DROPOUT_KEYS ((int64_t)1 << 20)

typedef struct AttnArgs {
    int64_t n_heads;    /* H query heads */
    int64_t n_kv_heads; /* K, divides H; query head h reads kv head h / (H/K) */
    int64_t head_dim;   /* D */
    double scale;       /* of q.k, usually 1/sqrt(D) */
    int64_t window;     /* keys seen back, the row itself included; 0: all */
    double soft_cap;    /* c tanh(s/c) on scaled scores; 0: none */
    bool bidirectional; /* a row sees every key, not only those up to its position; no window then.
                           Decode sees lens keys either way */
    DropoutKey dropout; /* on probabilities; p = 0: none. Column of the mask, at the query's
                           position: head * ATTN_DROPOUT_KEYS + key position (dropout_keeps); so at
                           most 64 heads and 2^20 keys with dropout */
} AttnArgs;

/* out[N,H*D], lse[N,H] (log of the softmax denominator, natural, of scaled scores)
 *   <- q[N,H*D], k[N,K*D], v[N,K*D], seq_start [S+1] i32
 * seq_ids [S] i64: for dropout only, may be none.
 * slopes [H] real or none: ALiBi, adds slope * (key_pos - query_pos) to scaled, capped scores.
 * key_start [S+1] i32 or none: k and v hold other rows than q, those of sequence s from
 * key_start[s] on, at least one where it has queries; bidirectional only. None: q's own sequences.
 * bias [2M+1,H] real or none: adds bias[d+M,h], d = key_pos - query_pos clamped to [-M,M] (the
 * relative positions of T5, Raffel et al. 2020). */
void op_attn_fwd(Dev *dev, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start,
                 Tensor seq_ids, Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args);
/* dq, dk, dv are written, dbias (or none) is added to: the layers of a stack share it.
 * Deterministic: fixed order over queries for dk, dv, over sequences for dbias. */
void op_attn_bwd(Dev *dev, Tensor dq, Tensor dk, Tensor dv, Tensor dbias, Tensor dout, Tensor out,
                 Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start, Tensor seq_ids,
                 Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args);

/* The cache of one layer: pages of KV_PAGE positions, k_pages/v_pages [n_pages*KV_PAGE, K*D] real.
 * Position t of a row lies in page table[row][t / KV_PAGE], slot t % KV_PAGE. Inside a page the
 * heads follow one another, [K][KV_PAGE][D], so that a head's keys are read on and on. */
#define KV_PAGE 64

/* Element of k_pages where a kv head of a slot (page*KV_PAGE + offset) begins. */
static inline int64_t kv_place(int64_t slot, int64_t kv_head, int64_t n_kv_heads,
                               int64_t head_dim) {
    int64_t page = slot / KV_PAGE, offset = slot % KV_PAGE;
    return ((page * n_kv_heads + kv_head) * KV_PAGE + offset) * head_dim;
}

/* Stores k, v [N,K*D] of N token rows into cache slots slot[N] i32. */
void op_kv_store(Dev *dev, Tensor k_pages, Tensor v_pages, Tensor k, Tensor v, Tensor slot,
                 int64_t head_dim);
/* out[N,H*D] for N query rows; row i sees keys 0 .. lens[i]-1 of cache row i: table [N, max_pages]
 * i32, lens [N] i32 (its own key included). Its position is lens[i]-1. */
void op_attn_decode(Dev *dev, Tensor out, Tensor q, Tensor k_pages, Tensor v_pages, Tensor table,
                    Tensor lens, Tensor slopes, Tensor bias, AttnArgs args);

#endif
