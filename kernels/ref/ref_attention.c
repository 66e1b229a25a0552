#include "kernels/ref/ref_real.h"

#include <string.h>

/* Where the keys of one sequence lie: rows first, first+1, ... of k and v, or, in a cache, by
 * pages. */
typedef struct Keys {
    Tensor k, v;         /* [rows, K*D] real */
    int64_t first;       /* row of key 0 */
    const int32_t *page; /* page of each KV_PAGE keys; NULL: keys lie one after another */
} Keys;

/* Key (t = keys->k) or value (keys->v) j of a kv head. */
static real *key_at(Tensor t, const Keys *keys, int64_t j, int64_t kv_head, const AttnArgs *args) {
    if (!keys->page) return row(t, keys->first + j) + kv_head * args->head_dim;
    int64_t slot = keys->page[j / KV_PAGE] * (int64_t)KV_PAGE + j % KV_PAGE;
    return reals(t) + kv_place(slot, kv_head, args->n_kv_heads, args->head_dim);
}

/* One query head of one row. */
typedef struct Query {
    const real *q;               /* [D] */
    int64_t head;                /* 0 .. H-1 */
    int64_t position;            /* in its sequence */
    int64_t first_key, last_key; /* it sees these, both included */
    int64_t seq_id;
    real slope;  /* ALiBi */
    Tensor bias; /* [2M+1,H] by distance, or none */
} Query;

/* n_keys: that its sequence has. */
static Query query_at(const real *q_row, int64_t head, int64_t position, int64_t n_keys,
                      int64_t seq_id, Tensor slopes, Tensor bias, const AttnArgs *args) {
    int64_t oldest = args->window > 0 ? position - args->window + 1 : 0;
    return (Query){.q = q_row + head * args->head_dim,
                   .head = head,
                   .position = position,
                   .first_key = oldest > 0 ? oldest : 0,
                   .last_key = args->bidirectional ? n_keys - 1 : position,
                   .seq_id = seq_id,
                   .slope = tensor_is_none(slopes) ? 0 : reals(slopes)[head],
                   .bias = bias};
}

/* Where in a table by distance key j's number for a query stands. */
static int64_t bias_place(const Query *query, int64_t j) {
    int64_t reach = query->bias.shape[0] / 2, distance = j - query->position;
    if (distance > reach) distance = reach;
    if (distance < -reach) distance = -reach;
    return (distance + reach) * query->bias.shape[1] + query->head;
}

/* The kv head that a query head reads. */
static int64_t kv_head_of(const Query *query, const AttnArgs *args) {
    return query->head / (args->n_heads / args->n_kv_heads);
}

/* The scaled score before ALiBi, capped: c tanh(s/c) (Gemma-2). */
static real capped_score(const Query *query, const real *key, const AttnArgs *args) {
    real dot = 0;
    for (int64_t d = 0; d < args->head_dim; d++) dot += query->q[d] * key[d];
    real s = dot * (real)args->scale;
    return args->soft_cap > 0 ? (real)args->soft_cap * tanh(s / (real)args->soft_cap) : s;
}

static real score(const Query *query, const Keys *keys, int64_t j, const AttnArgs *args) {
    const real *key = key_at(keys->k, keys, j, kv_head_of(query, args), args);
    real bias = tensor_is_none(query->bias) ? 0 : reals(query->bias)[bias_place(query, j)];
    return capped_score(query, key, args) + query->slope * (real)(j - query->position) + bias;
}

/* What dropout multiplies the probability of key j by: 0 or 1/(1-p). */
static real dropout_factor(const Query *query, int64_t j, const AttnArgs *args) {
    if (args->dropout.p <= 0) return 1;
    int64_t column = query->head * ATTN_DROPOUT_KEYS + j;
    bool keep = dropout_keeps(args->dropout, query->seq_id, (int32_t)query->position, column);
    return keep ? (real)(1 / (1 - args->dropout.p)) : 0;
}

/* out[D] = softmax(scores) v; returns the log of the softmax's denominator. */
static real attend(real *out, const Query *query, const Keys *keys, const AttnArgs *args) {
    real max = score(query, keys, query->first_key, args), sum = 0;
    for (int64_t j = query->first_key; j <= query->last_key; j++)
        max = fmax(max, score(query, keys, j, args));
    for (int64_t j = query->first_key; j <= query->last_key; j++)
        sum += exp(score(query, keys, j, args) - max);
    for (int64_t d = 0; d < args->head_dim; d++) out[d] = 0;
    for (int64_t j = query->first_key; j <= query->last_key; j++) {
        const real *value = key_at(keys->v, keys, j, kv_head_of(query, args), args);
        real p = exp(score(query, keys, j, args) - max) / sum * dropout_factor(query, j, args);
        for (int64_t d = 0; d < args->head_dim; d++) out[d] += p * value[d];
    }
    return max + log(sum);
}

void REF(attn_fwd)(Dev *dev, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start,
                   Tensor seq_ids, Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args) {
    (void)dev;
    for (int64_t s = 0; s + 1 < seq_start.shape[0]; s++) {
        const int32_t *key_rows = ints(tensor_is_none(key_start) ? seq_start : key_start) + s;
        Keys keys = {.k = k, .v = v, .first = key_rows[0]};
        int64_t first = ints(seq_start)[s], n_keys = key_rows[1] - key_rows[0];
        int64_t seq_id = tensor_is_none(seq_ids) ? 0 : longs(seq_ids)[s];
        for (int64_t n = ints(seq_start)[s]; n < ints(seq_start)[s + 1]; n++) {
            for (int64_t h = 0; h < args.n_heads; h++) {
                Query query =
                    query_at(row(q, n), h, n - first, n_keys, seq_id, slopes, bias, &args);
                row(lse, n)[h] = attend(row(out, n) + h * args.head_dim, &query, &keys, &args);
            }
        }
    }
}

/* The rows of the gradients and of dout that one query head touches. */
typedef struct QueryGrad {
    real *dq;         /* [D] */
    real *dbias;      /* of the whole table, or NULL */
    const real *dout; /* [D] */
    real lse;
    real dot; /* dout . out, which is sum over j of dP_j P_j (Dao 2023, algorithm 2) */
} QueryGrad;

/* Adds the part of key j. With P = exp(score - lse), m = its dropout factor:
 *   dv += P m dout;  dP = m dout.v;  dscore = P (dP - dout.out);  dbias += dscore;
 *   through the cap: times 1 - tanh^2;  dq += scale dscore k;  dk += scale dscore q. */
static void attend_bwd_key(const QueryGrad *grad, Tensor dk, Tensor dv, const Query *query,
                           const Keys *keys, int64_t j, const AttnArgs *args) {
    int64_t kv_head = kv_head_of(query, args);
    const real *kj = key_at(keys->k, keys, j, kv_head, args);
    const real *vj = key_at(keys->v, keys, j, kv_head, args);
    real *dkj = key_at(dk, keys, j, kv_head, args), *dvj = key_at(dv, keys, j, kv_head, args);
    real p = exp(score(query, keys, j, args) - grad->lse);
    real factor = dropout_factor(query, j, args);
    real dp = 0;
    for (int64_t d = 0; d < args->head_dim; d++) {
        dvj[d] += p * factor * grad->dout[d];
        dp += grad->dout[d] * vj[d];
    }
    real dscore = p * (dp * factor - grad->dot);
    if (grad->dbias) grad->dbias[bias_place(query, j)] += dscore;
    if (args->soft_cap > 0) {
        real t = capped_score(query, kj, args) / (real)args->soft_cap;
        dscore *= 1 - t * t;
    }
    for (int64_t d = 0; d < args->head_dim; d++) {
        grad->dq[d] += (real)args->scale * dscore * kj[d];
        dkj[d] += (real)args->scale * dscore * query->q[d];
    }
}

static void zero(Tensor t) {
    memset(t.data, 0, tensor_bytes(t));
}

void REF(attn_bwd)(Dev *dev, Tensor dq, Tensor dk, Tensor dv, Tensor dbias, Tensor dout, Tensor out,
                   Tensor lse, Tensor q, Tensor k, Tensor v, Tensor seq_start, Tensor seq_ids,
                   Tensor slopes, Tensor key_start, Tensor bias, AttnArgs args) {
    (void)dev;
    zero(dq);
    zero(dk);
    zero(dv);
    for (int64_t s = 0; s + 1 < seq_start.shape[0]; s++) {
        const int32_t *key_rows = ints(tensor_is_none(key_start) ? seq_start : key_start) + s;
        Keys keys = {.k = k, .v = v, .first = key_rows[0]};
        int64_t first = ints(seq_start)[s], n_keys = key_rows[1] - key_rows[0];
        int64_t seq_id = tensor_is_none(seq_ids) ? 0 : longs(seq_ids)[s];
        for (int64_t n = ints(seq_start)[s]; n < ints(seq_start)[s + 1]; n++) {
            for (int64_t h = 0; h < args.n_heads; h++) {
                int64_t at = h * args.head_dim;
                Query query =
                    query_at(row(q, n), h, n - first, n_keys, seq_id, slopes, bias, &args);
                QueryGrad grad = {.dq = row(dq, n) + at,
                                  .dbias = tensor_is_none(dbias) ? NULL : reals(dbias),
                                  .dout = row(dout, n) + at,
                                  .lse = row(lse, n)[h]};
                for (int64_t d = 0; d < args.head_dim; d++)
                    grad.dot += grad.dout[d] * (row(out, n) + at)[d];
                for (int64_t j = query.first_key; j <= query.last_key; j++)
                    attend_bwd_key(&grad, dk, dv, &query, &keys, j, &args);
            }
        }
    }
}

void REF(kv_store)(Dev *dev, Tensor k_pages, Tensor v_pages, Tensor k, Tensor v, Tensor slot,
                   int64_t head_dim) {
    (void)dev;
    int64_t heads = k.shape[1] / head_dim;
    for (int64_t n = 0; n < k.shape[0]; n++) {
        for (int64_t c = 0; c < k.shape[1]; c++) {
            int64_t to = kv_place(ints(slot)[n], c / head_dim, heads, head_dim) + c % head_dim;
            reals(k_pages)[to] = row(k, n)[c];
            reals(v_pages)[to] = row(v, n)[c];
        }
    }
}

void REF(attn_decode)(Dev *dev, Tensor out, Tensor q, Tensor k_pages, Tensor v_pages, Tensor table,
                      Tensor lens, Tensor slopes, Tensor bias, AttnArgs args) {
    (void)dev;
    for (int64_t n = 0; n < q.shape[0]; n++) {
        Keys keys = {.k = k_pages, .v = v_pages, .page = ints(table) + n * table.shape[1]};
        for (int64_t h = 0; h < args.n_heads; h++) {
            int64_t n_keys = ints(lens)[n];
            Query query = query_at(row(q, n), h, n_keys - 1, n_keys, 0, slopes, bias, &args);
            attend(row(out, n) + h * args.head_dim, &query, &keys, &args);
        }
    }
}
