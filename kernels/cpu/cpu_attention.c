#include "kernels/cpu/cpu_attention.h"

#include "kernels/cpu/cpu_random.h"

#include <omp.h>

/* Query rows on their way through the blocks of keys: the online softmax's state (Dao 2023,
 * algorithm 1). */
typedef struct AttnRows {
    int64_t n;
    QueryRow row[ATTN_BLOCK];
    const float *q; /* [n,D], row stride q_stride */
    float *out;     /* [n,D], row stride out_stride: sum of exp(s - max) v so far */
    int64_t q_stride, out_stride;
    int64_t seq_id;
    float max[ATTN_BLOCK], sum[ATTN_BLOCK]; /* of the scores; of exp(s - max) */
} AttnRows;

typedef struct KeyBlock {
    const float *k, *v; /* [n,D] of one kv head, row stride `stride` */
    int64_t stride;
    int64_t key0, n; /* position of the first key */
    int64_t room;    /* rows of memory, at least n */
} KeyBlock;

/* A thread's memory: one block's scores, its keys transposed, its values. */
typedef struct AttnScratch {
    float *scores; /* [ATTN_BLOCK, ATTN_BLOCK] */
    float *k_t;    /* panels of [D, ATTN_BLOCK] */
    float *v;      /* [ATTN_BLOCK, D padded] */
} AttnScratch;

static AttnScratch scratch_of(const Dev *dev) {
    float *p = cpu_scratch(dev, omp_get_thread_num());
    float *k_t = p + ATTN_BLOCK * ATTN_BLOCK;
    return (AttnScratch){p, k_t, k_t + ATTN_BLOCK * ATTN_MAX_DIM};
}

static void rows_begin(AttnRows *r, const AttnArgs *args) {
    for (int64_t i = 0; i < r->n; i++) {
        r->max[i] = -INFINITY;
        r->sum[i] = 0;
        memset(r->out + i * r->out_stride, 0, (size_t)args->head_dim * sizeof *r->out);
    }
}

static void scale_row(float *row, int64_t n, float by) {
    for (int64_t i = 0; i < n; i++) row[i] *= by;
}

static void drop_row(float *p, const AttnRows *r, int64_t i, int64_t key0, const AttnArgs *args) {
    for (int64_t j = 0; j < ATTN_BLOCK; j += DROPOUT_RUN) {
        float factor[DROPOUT_RUN];
        int64_t column = r->row[i].head * ATTN_DROPOUT_KEYS + key0 + j;
        CPU_NAME(dropout_factors)
        (factor, args->dropout, r->seq_id, (int32_t)r->row[i].position, column);
        for (int64_t l = 0; l < DROPOUT_RUN; l++) p[j + l] *= factor[l];
    }
}

/* Row i's products p[ATTN_BLOCK] become exp(score - max), 0 where the row does not see the key;
 * max, sum and out move on to the new maximum. */
static void softmax_row(AttnRows *r, int64_t i, float *p, const KeyBlock *keys, bool diagonal,
                        const AttnArgs *args) {
    RowSpan span = row_span(&r->row[i], keys->key0, keys->n, args);
    int64_t begin = span.first / VEC * VEC, end = round_up(span.end, VEC);
    if (span.first >= span.end) begin = end = 0;
    if (begin) memset(p, 0, (size_t)begin * sizeof *p);
    clear_unseen(p, end, i, keys->n, diagonal);
    if (begin == end) return;

    Vec top = vec_all(-INFINITY), unused;
    for (int64_t j = begin; j < end; j += VEC) {
        Vec s = finish_scores(vec_load(p + j), &r->row[i], keys->key0 + j, args, &unused);
        if (!all_within(j, span)) s = vec_select(lanes_within(j, span), s, vec_all(-INFINITY));
        vec_store(p + j, s);
        top = vec_max(s, top);
    }
    float block_max = vec_top(top), max = block_max > r->max[i] ? block_max : r->max[i];
    Vec sum = vec_zero();
    for (int64_t j = begin; j < end; j += VEC) {
        Vec e = vec_exp_decay(vec_load(p + j) - vec_all(max));
        vec_store(p + j, e);
        sum += e;
    }
    float shrink = vec_exp_decay(vec_all(r->max[i] - max))[0];
    r->max[i] = max;
    r->sum[i] = r->sum[i] * shrink + vec_sum(sum);
    if (shrink != 1.0F) scale_row(r->out + i * r->out_stride, args->head_dim, shrink);
    if (args->dropout.p > 0) drop_row(p, r, i, keys->key0, args);
}

/* scores[n, ATTN_BLOCK] = q k^T. */
static void row_scores(const AttnRows *r, const KeyBlock *keys, bool diagonal, int64_t dim,
                       const AttnScratch *scratch) {
    if (r->n == 1) { /* decode: packing keys for one row would cost more than the products */
        CPU_NAME(small_row)(scratch->scores, r->q, keys->k, keys->stride, keys->n, keys->room, dim);
        return;
    }
    CPU_NAME(small_pack_transposed)(scratch->k_t, keys->k, keys->stride, keys->n, dim);
    Small scores = {.rows = r->n,
                    .cols = keys->n,
                    .n_k = dim,
                    .a = r->q,
                    .a_stride = r->q_stride,
                    .b = scratch->k_t,
                    .b_panel = dim * PANEL_COLS,
                    .b_k = PANEL_COLS,
                    .c = scratch->scores,
                    .c_stride = ATTN_BLOCK,
                    .triangle = diagonal ? TRIANGLE_COLS : TRIANGLE_NONE};
    CPU_NAME(small_product)(&scores);
}

/* diagonal: the block of keys begins where the block of rows does, so row i sees keys 0..i of it.
 */
static void rows_meet_keys(AttnRows *r, const KeyBlock *keys, bool diagonal, const AttnArgs *args,
                           const AttnScratch *scratch) {
    int64_t dim = args->head_dim;
    row_scores(r, keys, diagonal, dim, scratch);
    RowPanels v = row_panels(scratch->v, keys->v, keys->stride, keys->n, dim);
    for (int64_t i = 0; i < r->n; i++)
        softmax_row(r, i, scratch->scores + i * ATTN_BLOCK, keys, diagonal, args);
    Small values = {.rows = r->n,
                    .cols = dim,
                    .n_k = keys->n,
                    .a = scratch->scores,
                    .a_stride = ATTN_BLOCK,
                    .b = v.at,
                    .b_panel = PANEL_COLS,
                    .b_k = v.k_stride,
                    .c = r->out,
                    .c_stride = r->out_stride,
                    .add = true,
                    .triangle = diagonal ? TRIANGLE_TO_ROW : TRIANGLE_NONE};
    CPU_NAME(small_product)(&values);
}

/* out becomes the mean; lse [n], stride lse_stride, or NULL. Adding 0 makes one zero of both: which
 * sign an empty sum has depends on the tile. */
static void rows_end(AttnRows *r, float *lse, int64_t lse_stride, const AttnArgs *args) {
    for (int64_t i = 0; i < r->n; i++) {
        float *out = r->out + i * r->out_stride, sum = r->sum[i];
        for (int64_t d = 0; d < args->head_dim; d += VEC) {
            int64_t n = args->head_dim - d;
            vec_store_n(out + d, vec_load_n(out + d, n) / vec_all(sum) + vec_zero(), n);
        }
        if (lse) lse[i * lse_stride] = (float)((double)r->max[i] + log((double)r->sum[i]));
    }
}

/* Everything the forward reads and writes. */
typedef struct AttnFwd {
    Tensor out, lse, q, k, v, slopes, bias;
    const int32_t *seq_start, *key_start; /* the same when keys are the queries' rows */
    const int64_t *seq_ids;               /* or NULL */
    int64_t n_seqs;
    AttnArgs args;
} AttnFwd;

/* Query rows row0 .. of sequence seq and one head, against all keys that they see. */
static void fwd_block(const AttnFwd *f, int64_t seq, int64_t row0, int64_t head,
                      const AttnScratch *scratch) {
    const AttnArgs *args = &f->args;
    int64_t dim = args->head_dim, first = f->seq_start[seq], n_rows = f->seq_start[seq + 1] - first;
    int64_t first_key = f->key_start[seq], n_keys = f->key_start[seq + 1] - first_key;
    int64_t kv_width = args->n_kv_heads * dim, kv_head = head / (args->n_heads / args->n_kv_heads);
    int64_t width = args->n_heads * dim, place = (first + row0) * width + head * dim;
    AttnRows r = {.n = n_rows - row0 < ATTN_BLOCK ? n_rows - row0 : ATTN_BLOCK,
                  .q = (const float *)f->q.data + place,
                  .out = (float *)f->out.data + place,
                  .q_stride = width,
                  .out_stride = width,
                  .seq_id = f->seq_ids ? f->seq_ids[seq] : 0};
    for (int64_t i = 0; i < r.n; i++) r.row[i] = query_row(row0 + i, head, f->slopes, f->bias);
    rows_begin(&r, args);
    int64_t oldest = args->window > 0 && row0 >= args->window ? row0 - args->window + 1 : 0;
    int64_t end = args->bidirectional ? n_keys : row0 + r.n;
    for (int64_t key0 = oldest / ATTN_BLOCK * ATTN_BLOCK; key0 < end; key0 += ATTN_BLOCK) {
        int64_t at = (first_key + key0) * kv_width + kv_head * dim;
        int64_t n = end - key0 < ATTN_BLOCK ? end - key0 : ATTN_BLOCK;
        KeyBlock keys = {.k = (const float *)f->k.data + at,
                         .v = (const float *)f->v.data + at,
                         .stride = kv_width,
                         .key0 = key0,
                         .n = n,
                         .room = n};
        rows_meet_keys(&r, &keys, !args->bidirectional && key0 == row0, args, scratch);
    }
    rows_end(&r, (float *)f->lse.data + (first + row0) * args->n_heads + head, args->n_heads, args);
}

void CPU_NAME(attn_fwd)(Dev *dev, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                        Tensor seq_start, Tensor seq_ids, Tensor slopes, Tensor key_start,
                        Tensor bias, AttnArgs args) {
    CHECK(args.head_dim <= ATTN_MAX_DIM, "attn_fwd: head_dim %lld", (long long)args.head_dim);
    AttnFwd f = {.out = out,
                 .lse = lse,
                 .q = q,
                 .k = k,
                 .v = v,
                 .slopes = slopes,
                 .bias = bias,
                 .seq_start = seq_start.data,
                 .key_start = tensor_is_none(key_start) ? seq_start.data : key_start.data,
                 .seq_ids = seq_ids.data,
                 .n_seqs = seq_start.shape[0] - 1,
                 .args = args};
    int64_t next = 0; /* the first group of heads that no thread has taken */
    int threads = cpu_threads(dev, q.shape[0] * q.shape[1] * ATTN_BLOCK);
    int64_t group = heads_at_once(args.n_heads, q.shape[0] / ATTN_BLOCK, threads);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        AttnScratch scratch = scratch_of(dev);
        int64_t block = 0, mine;
#pragma omp atomic capture
        mine = next++;
        for (int64_t s = 0; s < f.n_seqs; s++) {
            for (int64_t row0 = 0; row0 < f.seq_start[s + 1] - f.seq_start[s]; row0 += ATTN_BLOCK) {
                for (int64_t head0 = 0; head0 < args.n_heads; head0 += group, block++) {
                    if (block != mine) continue;
                    for (int64_t head = head0; head < head0 + group; head++)
                        fwd_block(&f, s, row0, head, &scratch);
#pragma omp atomic capture
                    mine = next++;
                }
            }
        }
    }
}

/* ---- generation ---- */

void CPU_NAME(kv_store)(Dev *dev, Tensor k_pages, Tensor v_pages, Tensor k, Tensor v, Tensor slot,
                        int64_t head_dim) {
    int64_t width = k.shape[1], heads = width / head_dim;
    const int32_t *to = slot.data;
    int threads = cpu_threads(dev, k.shape[0] * width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < k.shape[0]; n++) {
        size_t bytes = (size_t)head_dim * sizeof(float);
        for (int64_t h = 0; h < heads; h++) {
            int64_t from = n * width + h * head_dim, at = kv_place(to[n], h, heads, head_dim);
            memcpy((float *)k_pages.data + at, (const float *)k.data + from, bytes);
            memcpy((float *)v_pages.data + at, (const float *)v.data + from, bytes);
        }
    }
}

_Static_assert(KV_PAGE == ATTN_BLOCK, "a page is a block of keys");

/* Query heads first_head .. of one row, all of one kv head, against the row's pages. */
static void decode_heads(AttnRows *r, Tensor k_pages, Tensor v_pages, const int32_t *page,
                         int64_t kv_head, const AttnArgs *args, const AttnScratch *scratch) {
    int64_t n_keys = r->row[0].position + 1;
    int64_t oldest = args->window > 0 && n_keys > args->window ? n_keys - args->window : 0;
    rows_begin(r, args);
    for (int64_t b = oldest / KV_PAGE; b * KV_PAGE < n_keys; b++) {
        int64_t at =
            kv_place((int64_t)page[b] * KV_PAGE, kv_head, args->n_kv_heads, args->head_dim);
        int64_t left = n_keys - b * KV_PAGE;
        KeyBlock keys = {.k = (const float *)k_pages.data + at,
                         .v = (const float *)v_pages.data + at,
                         .stride = args->head_dim,
                         .key0 = b * KV_PAGE,
                         .n = left < KV_PAGE ? left : KV_PAGE,
                         .room = KV_PAGE};
        rows_meet_keys(r, &keys, false, args, scratch);
    }
    rows_end(r, NULL, 0, args);
}

void CPU_NAME(attn_decode)(Dev *dev, Tensor out, Tensor q, Tensor k_pages, Tensor v_pages,
                           Tensor table, Tensor lens, Tensor slopes, Tensor bias, AttnArgs args) {
    CHECK(args.head_dim <= ATTN_MAX_DIM, "attn_decode: head_dim %lld", (long long)args.head_dim);
    int64_t group = args.n_heads / args.n_kv_heads, dim = args.head_dim;
    const int32_t *len = lens.data;
    int64_t work = 0;
    for (int64_t n = 0; n < q.shape[0]; n++) work += len[n] * args.n_heads * dim;
    int threads = cpu_threads(dev, work);
    /* The heads of a row share lines of the cache: one thread takes them all when there are rows
     * for every thread. */
    int64_t jobs_at_once = q.shape[0] >= threads ? args.n_kv_heads : 1;
#pragma omp parallel for schedule(dynamic, jobs_at_once) num_threads(threads) if (threads > 1)
    for (int64_t job = 0; job < q.shape[0] * args.n_kv_heads; job++) {
        int64_t n = job / args.n_kv_heads, kv_head = job % args.n_kv_heads;
        AttnScratch scratch = scratch_of(dev);
        for (int64_t first = 0; first < group; first += ATTN_BLOCK) {
            int64_t head0 = kv_head * group + first, place = (n * args.n_heads + head0) * dim;
            AttnRows r = {.n = group - first < ATTN_BLOCK ? group - first : ATTN_BLOCK,
                          .q = (const float *)q.data + place,
                          .out = (float *)out.data + place,
                          .q_stride = dim,
                          .out_stride = dim};
            for (int64_t i = 0; i < r.n; i++)
                r.row[i] = query_row(len[n] - 1, head0 + i, slopes, bias);
            const int32_t *page = (const int32_t *)table.data + n * table.shape[1];
            decode_heads(&r, k_pages, v_pages, page, kv_head, &args, &scratch);
        }
    }
}
