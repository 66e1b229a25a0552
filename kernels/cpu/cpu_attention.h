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

INLINE bool all_within(int64_t base, RowSpan span) {
    return base >= span.first && base + VEC <= span.end;
}

/* Zeros in row i of a block from place `end` on, as far as a tile of products reads: on the
 * diagonal not far past the row's own key (cpu_small.h). */
INLINE void clear_unseen(float *p, int64_t end, int64_t i, int64_t n_keys, bool diagonal) {
    int64_t read = diagonal ? min64(n_keys, i + TILE_ROWS) : n_keys;
    if (end >= read) return;
    if (read - end <= VEC)
        vec_store(p + end, vec_zero());
    else
        memset(p + end, 0, (size_t)(read - end) * sizeof *p);
}

/* Rows of [n,dim] as the b of a product: where they are if whole panels can be read there, else
 * packed. */
typedef struct RowPanels {
    const float *at;
    int64_t k_stride; /* b_k; b_panel is PANEL_COLS */
} RowPanels;

INLINE RowPanels row_panels(float *scratch, const float *rows, int64_t stride, int64_t n,
                            int64_t dim) {
    if (dim % PANEL_COLS == 0) return (RowPanels){rows, stride};
    CPU_NAME(small_pack_rows)(scratch, rows, stride, n, dim);
    return (RowPanels){scratch, round_up(dim, PANEL_COLS)};
}

/* How many of a row's heads one thread takes in a go: all where that leaves enough to share, for
 * they lie on the same lines of memory, and two threads that write there wait for one another. */
INLINE int64_t heads_at_once(int64_t n_heads, int64_t places, int threads) {
    return places >= 4 * threads ? n_heads : 1;
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
