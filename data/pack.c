#include "data/pack.h"

#include "core/check.h"
#include "core/mem.h"

#include <stdlib.h> /* qsort */
#include <string.h>

/* ---- best fit decreasing ---- */

/* Bins that still have room, by how much: one queue (first in, first out) for each room 1..L, and a
 * bit set over the queues that are not empty, so that the best fit is the next set bit. */
typedef struct Bins {
    int64_t max_length, n;
    int64_t *head, *tail; /* [L+1] bin or -1 */
    uint64_t *filled;     /* [L/64+1] bits */
    int64_t *next;        /* [most bins] the bin behind this one in its queue */
} Bins;

static void bins_init(Bins *b, int64_t max_length, int64_t most) {
    b->max_length = max_length;
    b->n = 0;
    b->head = mem_zalloc((size_t)(max_length + 1), sizeof *b->head);
    b->tail = mem_zalloc((size_t)(max_length + 1), sizeof *b->tail);
    b->filled = mem_zalloc((size_t)(max_length / 64 + 1), sizeof *b->filled);
    b->next = mem_zalloc((size_t)most, sizeof *b->next);
    for (int64_t i = 0; i <= max_length; i++) b->head[i] = -1;
}

static void bins_free(Bins *b) {
    mem_free(b->head);
    mem_free(b->tail);
    mem_free(b->filled);
    mem_free(b->next);
}

static void bins_insert(Bins *b, int64_t bin, int64_t room) {
    if (room == 0) return;
    b->next[bin] = -1;
    if (b->head[room] < 0)
        b->head[room] = bin;
    else
        b->next[b->tail[room]] = bin;
    b->tail[room] = bin;
    b->filled[room / 64] |= UINT64_C(1) << (room % 64);
}

/* Takes out the bin of the smallest room >= length; -1 when no bin has room enough. */
static int64_t bins_take(Bins *b, int64_t length, int64_t *room) {
    int64_t word = length / 64;
    uint64_t bits = b->filled[word] & (~UINT64_C(0) << (length % 64));
    while (bits == 0) {
        if (++word > b->max_length / 64) return -1;
        bits = b->filled[word];
    }
    *room = word * 64;
    while (!(bits & 1)) bits >>= 1, ++*room;
    int64_t bin = b->head[*room];
    b->head[*room] = b->next[bin];
    if (b->head[*room] < 0) b->filled[*room / 64] &= ~(UINT64_C(1) << (*room % 64));
    return bin;
}

/* Longest first; ties keep their order, as TRL's stable sort does. */
typedef struct Sized {
    PackPiece piece;
    int64_t order, bin;
} Sized;

static int by_length(const void *pa, const void *pb) {
    const Sized *a = pa, *b = pb;
    if (a->piece.length != b->piece.length) return a->piece.length < b->piece.length ? 1 : -1;
    return a->order < b->order ? -1 : 1;
}

static int by_bin(const void *pa, const void *pb) {
    const Sized *a = pa, *b = pb;
    if (a->bin != b->bin) return a->bin < b->bin ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Appends the bins of rows first .. first+n-1 to `out`, whose arrays are large enough. */
static void pack_best_fit(PackPlan *out, bool split, int64_t max_length, const int64_t *lengths,
                          int64_t first, int64_t n) {
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++) most += split ? lengths[first + i] / max_length + 1 : 1;
    Sized *sized = mem_zalloc((size_t)most, sizeof *sized);
    int64_t m = 0;
    for (int64_t i = first; i < first + n; i++) {
        if (!split && lengths[i] > max_length) out->n_cut++;
        for (int64_t at = 0; at < lengths[i] && (split || at == 0); at += max_length) {
            int64_t rest = lengths[i] - at;
            sized[m] = (Sized){{i, at, rest < max_length ? rest : max_length}, m, 0};
            m++;
        }
    }
    if (m > 1) qsort(sized, (size_t)m, sizeof *sized, by_length);

    Bins bins;
    bins_init(&bins, max_length, m);
    for (int64_t k = 0; k < m; k++) {
        int64_t length = sized[k].piece.length, room = max_length;
        int64_t bin = bins_take(&bins, length, &room);
        if (bin < 0) bin = bins.n++;
        bins_insert(&bins, bin, room - length);
        sized[k].bin = bin;
        sized[k].order = k; /* from here on: place in the order of filling */
    }
    if (m > 1) qsort(sized, (size_t)m, sizeof *sized, by_bin);
    for (int64_t k = 0; k < m; k++) {
        if (k == 0 || sized[k].bin != sized[k - 1].bin)
            out->bin_start[out->n_bins++] = out->n_pieces;
        out->pieces[out->n_pieces++] = sized[k].piece;
    }
    bins_free(&bins);
    mem_free(sized);
}

/* ---- wrapped ---- */

static void pack_wrap(PackPlan *out, int64_t max_length, const int64_t *lengths, int64_t first,
                      int64_t n) {
    int64_t room = 0;
    for (int64_t i = first; i < first + n; i++) {
        for (int64_t at = 0; at < lengths[i];) {
            if (room == 0) {
                out->bin_start[out->n_bins++] = out->n_pieces;
                room = max_length;
            }
            int64_t take = lengths[i] - at < room ? lengths[i] - at : room;
            out->pieces[out->n_pieces++] = (PackPiece){i, at, take};
            at += take;
            room -= take;
        }
    }
}

/* ---- the public face ---- */

void pack_plan(PackPlan *out, PackStrategy strategy, int64_t max_length, const int64_t *lengths,
               int64_t n, int64_t map_batch) {
    CHECK(max_length >= 1 && map_batch >= 1, "max_length %lld, map_batch %lld",
          (long long)max_length, (long long)map_batch);
    int64_t most =
        1; /* each row makes at most ceil(length / L) pieces, one more where a bin ends */
    for (int64_t i = 0; i < n; i++) {
        CHECK(lengths[i] >= 0, "row %lld has length %lld", (long long)i, (long long)lengths[i]);
        most += lengths[i] / max_length + 2;
    }
    *out = (PackPlan){.bin_start = mem_zalloc((size_t)(most + 1), sizeof(int64_t)),
                      .pieces = mem_zalloc((size_t)most, sizeof(PackPiece))};
    for (int64_t first = 0; first < n; first += map_batch) {
        int64_t count = n - first < map_batch ? n - first : map_batch;
        switch (strategy) {
        case PACK_BFD:
            pack_best_fit(out, false, max_length, lengths, first, count);
            break;
        case PACK_BFD_SPLIT:
            pack_best_fit(out, true, max_length, lengths, first, count);
            break;
        case PACK_WRAPPED:
            pack_wrap(out, max_length, lengths, first, count);
            break;
        default:
            FAIL("packing strategy %d", (int)strategy);
        }
    }
    out->bin_start[out->n_bins] = out->n_pieces;
}

void pack_free(PackPlan *p) {
    mem_free(p->bin_start);
    mem_free(p->pieces);
    *p = (PackPlan){0};
}

bool pack_strategy_by_name(const char *name, PackStrategy *out) {
    static const struct {
        const char *name;
        PackStrategy strategy;
    } table[] = {{"bfd", PACK_BFD},
                 {"bfd_split", PACK_BFD_SPLIT},
                 {"bfd-requeue", PACK_BFD_SPLIT},
                 {"wrapped", PACK_WRAPPED}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(name, table[i].name) == 0) {
            *out = table[i].strategy;
            return true;
        }
    }
    return false;
}
