/* cpu_attention: what the forward (training and decode) and the backward share: scores of a block
 * of query rows against a block of keys.
 *
 * Query rows of a block are up to ATTN_BLOCK positions of one head (training), or the heads of one
 * kv group at one position (decode). Keys come in blocks of ATTN_BLOCK anchored at position 0 of
 * the sequence. What happens to a row in a block depends on the row and the block alone, so a row's
 * bits are its own (law L5), and decode, which runs the same code over pages, gives those of the
 * training op.
 */
#ifndef HONE_KERNELS_CPU_ATTENTION_H
#define HONE_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cpu_math.h"
#include "kernels/cpu/cpu_small.h"

#define ATTN_MAX_DIM 512 /* head_dim that a thread's scratch has room for */

/* The part of a block that row r sees: keys first[r] <= j < end[r] of the block. */
typedef struct RowSpan {
    int64_t first, end;
} RowSpan;

/* One query row. */
typedef struct QueryRow {
    int64_t position, head;
    float slope;       /* ALiBi */
    const float *bias; /* of its head by distance: bias[(d + reach) * heads], or NULL */
    int64_t reach;
} QueryRow;

INLINE QueryRow query_row(int64_t position, int64_t head, Tensor slopes, Tensor bias) {
    return (QueryRow){
        .position = position,
        .head = head,
        .slope = tensor_is_none(slopes) ? 0.0F : ((const float *)slopes.data)[head],
        .bias = tensor_is_none(bias) ? NULL : (const float *)bias.data + head,
        .reach = tensor_is_none(bias) ? 0 : bias.shape[0] / 2,
    };
}

/* The row of a table by distance, -reach..reach. */
INLINE int64_t bias_place(int64_t distance, int64_t reach) {
    return (distance < -reach ? -reach : distance > reach ? reach : distance) + reach;
}

/* Keys that a row sees in the block of n_keys keys that begins at position key0. */
INLINE RowSpan row_span(const QueryRow *row, int64_t key0, int64_t n_keys, const AttnArgs *args) {
    int64_t first = args->window > 0 ? row->position - args->window + 1 - key0 : 0;
    int64_t end = args->bidirectional ? n_keys : row->position + 1 - key0;
    return (RowSpan){first > 0 ? first : 0, end < n_keys ? end : n_keys};
}

/* Lanes first <= i < end of a vector that begins at lane `base`. */
INLINE VecI lanes_within(int64_t base, RowSpan span) {
    VecI lane = (VecI){0, 1, 2, 3, 4, 5, 6, 7} + veci_all((int32_t)base);
    return (lane >= veci_all((int32_t)span.first)) & (lane < veci_all((int32_t)span.end));
}

/* Eight scores from eight products: scaled, capped (tanh gives its curve's value, for the
 * backward), with ALiBi and the bias by distance. */
INLINE Vec finish_scores(Vec dot, const QueryRow *row, int64_t key, const AttnArgs *args,
                         Vec *tanh) {
    Vec s = dot * vec_all((float)args->scale);
    if (args->soft_cap > 0) {
        *tanh = vec_tanh(s / vec_all((float)args->soft_cap));
        s = *tanh * vec_all((float)args->soft_cap);
    }
    if (row->slope != 0) {
        Vec lane = (Vec){0, 1, 2, 3, 4, 5, 6, 7};
        s += vec_all(row->slope) * (lane + vec_all((float)(key - row->position)));
    }
    if (row->bias) {
        float bias[VEC];
        for (int64_t l = 0; l < VEC; l++)
            bias[l] = row->bias[bias_place(key + l - row->position, row->reach) * args->n_heads];
        s += vec_load(bias);
    }
    return s;
}

#endif
