#include "kernels/cpu/cpu_attention.h"

#include "kernels/cpu/cpu_random.h"

#include <omp.h>

/* Everything the backward reads and writes. */
typedef struct AttnBwd {
    float *dq, *dk, *dv;
    float *dbias; /* [2M+1,H], or NULL */
    const float *dout, *out, *lse, *q, *k, *v;
    Tensor slopes, bias;
    const int32_t *seq_start, *key_start; /* the same when keys are the queries' rows */
    const int64_t *seq_ids;               /* or NULL */
    int64_t n_seqs;
    AttnArgs args;
} AttnBwd;

/* A thread's memory: blocks of at most ATTN_BLOCK rows. */
typedef struct BwdScratch {
    float *p, *ds;       /* [rows, keys]: probabilities; gradient of the products q k */
    float *k_t, *v_t;    /* transposed panels of the keys and the values */
    float *k, *q, *dout; /* rows, padded */
} BwdScratch;

_Static_assert((2 * ATTN_BLOCK * ATTN_BLOCK + 5 * ATTN_BLOCK * ATTN_MAX_DIM) * sizeof(float) <=
                   CPU_SCRATCH_BYTES,
               "a thread's scratch holds five blocks of rows and two of scores");

static BwdScratch scratch_of(const Dev *dev) {
    float *p = cpu_scratch(dev, omp_get_thread_num());
    const int64_t square = ATTN_BLOCK * ATTN_BLOCK, block = ATTN_BLOCK * ATTN_MAX_DIM;
    float *rows = p + 2 * square;
    return (BwdScratch){
        p, p + square, rows, rows + block, rows + 2 * block, rows + 3 * block, rows + 4 * block};
}

/* A block of query rows of one head meets a block of keys. Row and key numbers count from the
 * sequence's start. */
typedef struct Meeting {
    int64_t first, first_key; /* rows where the sequence and its keys start */
    int64_t seq_id, head, kv_head;
    int64_t row0, n_rows, key0, n_keys;
    bool diagonal; /* row i sees keys 0..i of the block */
} Meeting;

/* Sums of the scores' gradients over one block, by distance key - row + ATTN_BLOCK - 1 inside it:
 * thousands of small numbers, which float would lose. */
#define BLOCK_DISTANCES (2 * ATTN_BLOCK - 1)

/* Columns d .. of eight rows, fewer where n says so: column d + c of the rows is to[c]. */
INLINE void load_columns_of(Vec to[VEC], const float *rows, int64_t stride, int64_t n,
                            int64_t cols) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < VEC; i++)
        to[i] = i < n ? vec_load_n(rows + i * stride, cols) : vec_zero();
    vec_transpose(to);
}

/* delta[i] = dout . out of row i, which is the sum over keys of dP P (Dao 2023, algorithm 2). One
 * chain over d like the products dout v, so that a row with one key has dP - delta = 0 exactly. */
static void row_dots(float *delta, const float *dout, const float *out, int64_t stride, int64_t n,
                     int64_t dim) {
    for (int64_t i = 0; i < n; i += VEC) {
        Vec sum = vec_zero();
        for (int64_t d = 0; d < dim; d += VEC) {
            Vec a[VEC], b[VEC];
            int64_t at = i * stride + d, cols = min64(VEC, dim - d);
            load_columns_of(a, dout + at, stride, n - i, cols);
            load_columns_of(b, out + at, stride, n - i, cols);
            for (int64_t c = 0; c < cols; c++) sum = vec_fma(a[c], b[c], sum);
        }
        vec_store(delta + i, sum);
    }
}

/* p: products q k become probabilities, times their dropout factor; ds: products dout v become
 * gradients of the products; those of the scores are added to by_distance[ATTN_BLOCK], whose place
 * 0 is the block's first key, or NULL. */
static void backward_row(float *p, float *ds, double *by_distance, const Meeting *m,
                         const QueryRow *row, float lse, float delta, const AttnArgs *args) {
    RowSpan span = row_span(row, m->key0, m->n_keys, args);
    int64_t begin = span.first / VEC * VEC, end = round_up(span.end, VEC);
    if (span.first >= span.end) begin = end = 0;
    if (begin) {
        memset(p, 0, (size_t)begin * sizeof *p);
        memset(ds, 0, (size_t)begin * sizeof *ds);
    }
    clear_unseen(p, end, row->position - m->row0, m->n_keys, m->diagonal);
    clear_unseen(ds, end, row->position - m->row0, m->n_keys, m->diagonal);
    float factor[ATTN_BLOCK];
    if (args->dropout.p > 0 && begin < end)
        for (int64_t j = 0; j < ATTN_BLOCK; j += DROPOUT_RUN) CPU_NAME(dropout_factors)
    (factor + j, args->dropout, m->seq_id, (int32_t)row->position,
     row->head * ATTN_DROPOUT_KEYS + m->key0 + j);
    for (int64_t j = begin; j < end; j += VEC) {
        VecI seen = all_within(j, span) ? veci_all(-1) : lanes_within(j, span);
        Vec tanh = vec_zero();
        Vec s = finish_scores(vec_load(p + j), row, m->key0 + j, args, &tanh);
        Vec prob = vec_select(seen, vec_exp_decay(s - vec_all(lse)), vec_zero());
        Vec dp = vec_load(ds + j), kept = prob;
        if (args->dropout.p > 0) {
            dp *= vec_load(factor + j);
            kept *= vec_load(factor + j);
        }
        Vec d = prob * (dp - vec_all(delta));
        if (by_distance) {
            Vec kept_d = vec_select(seen, d, vec_zero());
            for (int64_t l = 0; l < VEC; l++) by_distance[j + l] += (double)kept_d[l];
        }
        if (args->soft_cap > 0) d *= vec_all(1.0F) - tanh * tanh;
        vec_store(p + j, kept);
        vec_store(ds + j, vec_select(seen, d * vec_all((float)args->scale), vec_zero()));
    }
}

/* dbias += the block's sums. */
static void add_distances(const AttnBwd *b, const Meeting *m, const double *sums) {
    for (int64_t i = 0; i < BLOCK_DISTANCES; i++) {
        int64_t distance = m->key0 - m->row0 + i - (ATTN_BLOCK - 1);
        int64_t place = bias_place(distance, b->bias.shape[0] / 2);
        b->dbias[place * b->args.n_heads + m->head] += (float)sums[i];
    }
}

/* p and ds of the block; its part of dbias. */
static void backward_scores(const AttnBwd *b, const Meeting *m, const BwdScratch *scratch) {
    const AttnArgs *args = &b->args;
    int64_t dim = args->head_dim, width = args->n_heads * dim;
    int64_t place = (m->first + m->row0) * width + m->head * dim;
    Small scores = {.rows = m->n_rows,
                    .cols = m->n_keys,
                    .n_k = dim,
                    .a = b->q + place,
                    .a_stride = width,
                    .b = scratch->k_t,
                    .b_panel = dim * PANEL_COLS,
                    .b_k = PANEL_COLS,
                    .c = scratch->p,
                    .c_stride = ATTN_BLOCK,
                    .triangle = m->diagonal ? TRIANGLE_COLS : TRIANGLE_NONE};
    CPU_NAME(small_product)(&scores);
    scores.a = b->dout + place;
    scores.b = scratch->v_t;
    scores.c = scratch->ds;
    CPU_NAME(small_product)(&scores);
    float delta[ATTN_BLOCK]; /* a multiple of VEC */
    row_dots(delta, b->dout + place, b->out + place, width, m->n_rows, dim);
    double sums[BLOCK_DISTANCES];
    if (b->dbias) memset(sums, 0, sizeof sums);
    for (int64_t i = 0; i < m->n_rows; i++) {
        QueryRow row = query_row(m->row0 + i, m->head, b->slopes, b->bias);
        float lse = b->lse[(m->first + row.position) * args->n_heads + m->head];
        backward_row(scratch->p + i * ATTN_BLOCK, scratch->ds + i * ATTN_BLOCK,
                     b->dbias ? sums + ATTN_BLOCK - 1 - i : NULL, m, &row, lse, delta[i], args);
    }
    if (b->dbias) add_distances(b, m, sums);
}

/* Adds the block's part to dq, dk and dv: dv += p^T dout; dk += ds^T q; dq += ds k. */
static void backward_block(const AttnBwd *b, const Meeting *m, const RowPanels *k,
                           const BwdScratch *scratch) {
    const AttnArgs *args = &b->args;
    int64_t dim = args->head_dim, width = args->n_heads * dim, kv_width = args->n_kv_heads * dim;
    int64_t place = (m->first + m->row0) * width + m->head * dim;
    int64_t kv_place = (m->first_key + m->key0) * kv_width + m->kv_head * dim;
    backward_scores(b, m, scratch);
    RowPanels q = row_panels(scratch->q, b->q + place, width, m->n_rows, dim);
    RowPanels dout = row_panels(scratch->dout, b->dout + place, width, m->n_rows, dim);
    Small s = {.rows = m->n_keys,
               .cols = dim,
               .n_k = m->n_rows,
               .a = scratch->p,
               .a_stride = ATTN_BLOCK,
               .a_transposed = true,
               .b = dout.at,
               .b_panel = PANEL_COLS,
               .b_k = dout.k_stride,
               .c = b->dv + kv_place,
               .c_stride = kv_width,
               .add = true,
               .triangle = m->diagonal ? TRIANGLE_FROM_ROW : TRIANGLE_NONE};
    CPU_NAME(small_product)(&s);
    s.a = scratch->ds;
    s.b = q.at;
    s.b_k = q.k_stride;
    s.c = b->dk + kv_place;
    CPU_NAME(small_product)(&s);
    s = (Small){.rows = m->n_rows,
                .cols = dim,
                .n_k = m->n_keys,
                .a = scratch->ds,
                .a_stride = ATTN_BLOCK,
                .b = k->at,
                .b_panel = PANEL_COLS,
                .b_k = k->k_stride,
                .c = b->dq + place,
                .c_stride = width,
                .add = true,
                .triangle = m->diagonal ? TRIANGLE_TO_ROW : TRIANGLE_NONE};
    CPU_NAME(small_product)(&s);
}

static void zero_rows(float *p, int64_t stride, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++) memset(p + i * stride, 0, (size_t)n * sizeof *p);
}

/* One sequence and kv head: all query heads that read it. Blocks of keys ascending, for each the
 * heads and their blocks of rows ascending: the fixed order of the sums. */
static void backward_head(const AttnBwd *b, int64_t seq, int64_t kv_head,
                          const BwdScratch *scratch) {
    const AttnArgs *args = &b->args;
    int64_t dim = args->head_dim, kv_width = args->n_kv_heads * dim, width = args->n_heads * dim;
    int64_t group = args->n_heads / args->n_kv_heads;
    int64_t first = b->seq_start[seq], n = b->seq_start[seq + 1] - first;
    int64_t first_key = b->key_start[seq], all_keys = b->key_start[seq + 1] - first_key;
    int64_t kv_place = first_key * kv_width + kv_head * dim;
    zero_rows(b->dk + kv_place, kv_width, all_keys, dim);
    zero_rows(b->dv + kv_place, kv_width, all_keys, dim);
    zero_rows(b->dq + first * width + kv_head * group * dim, width, n, group * dim);
    for (int64_t key0 = 0; key0 < all_keys; key0 += ATTN_BLOCK) {
        int64_t n_keys = min64(ATTN_BLOCK, all_keys - key0);
        const float *k = b->k + kv_place + key0 * kv_width, *v = b->v + kv_place + key0 * kv_width;
        CPU_NAME(small_pack_transposed)(scratch->k_t, k, kv_width, n_keys, dim);
        CPU_NAME(small_pack_transposed)(scratch->v_t, v, kv_width, n_keys, dim);
        RowPanels k_rows = row_panels(scratch->k, k, kv_width, n_keys, dim);
        int64_t last_row = args->window > 0 ? min64(n, key0 + n_keys - 1 + args->window) : n;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
            for (int64_t row0 = args->bidirectional ? 0 : key0; row0 < last_row;
                 row0 += ATTN_BLOCK) {
                Meeting m = {.first = first,
                             .first_key = first_key,
                             .seq_id = b->seq_ids ? b->seq_ids[seq] : 0,
                             .head = head,
                             .kv_head = kv_head,
                             .row0 = row0,
                             .n_rows = min64(ATTN_BLOCK, n - row0),
                             .key0 = key0,
                             .n_keys = n_keys,
                             .diagonal = !args->bidirectional && row0 == key0};
                backward_block(b, &m, &k_rows, scratch);
            }
        }
    }
}

void CPU_NAME(attn_bwd)(Dev *dev, Tensor dq, Tensor dk, Tensor dv, Tensor dbias, Tensor dout,
                        Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start,
                        Tensor seq_ids, Tensor slopes, Tensor key_start, Tensor bias,
                        AttnArgs args) {
    CHECK(args.head_dim <= ATTN_MAX_DIM, "attn_bwd: head_dim %lld", (long long)args.head_dim);
    AttnBwd b = {.dq = dq.data,
                 .dk = dk.data,
                 .dv = dv.data,
                 .dbias = dbias.data,
                 .dout = dout.data,
                 .out = out.data,
                 .lse = lse.data,
                 .q = q.data,
                 .k = k.data,
                 .v = v.data,
                 .slopes = slopes,
                 .bias = bias,
                 .seq_start = seq_start.data,
                 .key_start = tensor_is_none(key_start) ? seq_start.data : key_start.data,
                 .seq_ids = seq_ids.data,
                 .n_seqs = seq_start.shape[0] - 1,
                 .args = args};
    /* dbias sums over sequences: then a job has a kv head of all of them, one after another. */
    int64_t seqs_a_job = b.dbias ? b.n_seqs : 1;
    int64_t jobs = b.dbias ? args.n_kv_heads : b.n_seqs * args.n_kv_heads;
    int threads = cpu_threads(dev, q.shape[0] * q.shape[1] * ATTN_BLOCK);
    int64_t at_once = b.dbias ? 1 : heads_at_once(args.n_kv_heads, b.n_seqs, threads);
#pragma omp parallel for schedule(dynamic, at_once) num_threads(threads) if (threads > 1)
    for (int64_t job = 0; job < jobs; job++) {
        BwdScratch scratch = scratch_of(dev);
        int64_t seq0 = job / args.n_kv_heads;
        for (int64_t seq = seq0; seq < seq0 + seqs_a_job; seq++)
            backward_head(&b, seq, job % args.n_kv_heads, &scratch);
    }
}
