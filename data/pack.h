/* pack: several short sequences in one row of at most L tokens, by TRL's three strategies.
 *
 * Works on lengths alone; what comes out says which piece of which row stands where. Sequences stay
 * apart (core/rows.h), except with PACK_WRAPPED, which crosses borders by definition.
 *
 * TRL packs each map batch of 1000 rows by itself; results depend on that number, so it is a
 * parameter.
 *
 *   PACK_BFD        rows cut to L; longest first, each into the bin with the smallest room that is
 *                   enough (the earliest made among equals), else a new bin
 *   PACK_BFD_SPLIT  the same, but the rest of a row above L becomes further pieces instead of being
 * cut PACK_WRAPPED    all rows end to end, cut every L tokens; the short last one is kept
 */
#ifndef HONE_DATA_PACK_H
#define HONE_DATA_PACK_H

#include <stdbool.h>
#include <stdint.h>

#define PACK_MAP_BATCH 1000 /* TRL's: the default batch_size of datasets.map */

typedef enum PackStrategy { PACK_BFD, PACK_BFD_SPLIT, PACK_WRAPPED } PackStrategy;

/* Tokens first .. first+length-1 of a row. */
typedef struct PackPiece {
    int64_t row;
    int64_t first, length;
} PackPiece;

typedef struct PackPlan {
    int64_t n_bins, n_pieces;
    int64_t *bin_start; /* [n_bins+1] first piece of each bin, in the order the bins were made */
    PackPiece *pieces;  /* [n_pieces] in their order inside the bins */
    int64_t n_cut;      /* rows that lost tokens (PACK_BFD only) */
} PackPlan;

/* lengths: [n] tokens of each row, zero allowed (such rows vanish). max_length >= 1; map_batch
 * >= 1. The caller frees with pack_free. */
void pack_plan(PackPlan *out, PackStrategy strategy, int64_t max_length, const int64_t *lengths,
               int64_t n, int64_t map_batch);
void pack_free(PackPlan *p);

/* "bfd", "bfd_split" (also TRL's older "bfd-requeue"), "wrapped"; false when unknown. */
bool pack_strategy_by_name(const char *name, PackStrategy *out);

#endif
