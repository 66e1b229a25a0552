/* page_priv: the parts of the report page. Each appends HTML, or nothing when it has nothing to
 * show. */
#ifndef HONE_TRAIN_REPORT_PAGE_PRIV_H
#define HONE_TRAIN_REPORT_PAGE_PRIV_H

#include "core/str.h"
#include "train/report/page_data.h"
#include "train/report/svg.h"

extern const char *const page_style[]; /* the style sheet, in pieces, NULL at the end */

/* page_result.c: the first screen */
void page_cards(Str *out, const PageData *d);
void page_result_table(Str *out, const Json *result);
void page_samples(Str *out, const PageData *d, const Json *result);
void page_kl_curve(Str *out, const PageData *d, const Json *result);
/* page_curves.c */
void page_curves(Str *out, const PageData *d);
/* page_facts.c */
void page_memory(Str *out, const PageData *d);
void page_roles(Str *out, const PageData *d);
void page_lineage(Str *out, const PageData *d);
void page_timings(Str *out, const PageData *d, const Json *result);
void page_config(Str *out, const PageData *d);

/* Is run i the first of its stage? Runs of a stage that differ by seed share one heading. */
bool page_first_of_stage(const PageData *d, int i);
int page_runs_of_stage(const PageData *d, const char *stage);
/* A labelled bar of share 0..1 of the widest. */
void page_bar(Str *out, const char *label, const char *value, double share, int colour);

#endif
