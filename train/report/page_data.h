/* page_data: what a report is made from, read from run folders. Files that are missing, or that a
 * running program is just writing, only leave gaps: nothing here fails. */
#ifndef HONE_TRAIN_REPORT_PAGE_DATA_H
#define HONE_TRAIN_REPORT_PAGE_DATA_H

#include "core/io/json.h"
#include "train/report/page.h"

/* One metric over the steps, in order of the file. */
typedef struct PageSeries {
    char *name;
    double *step, *value; /* [n]; what was not finite is left out */
    int64_t n, cap;
} PageSeries;

typedef struct PageRunData {
    char *folder;
    char *stage;
    int64_t seed;
    Json *info;    /* run.json; NULL: none */
    Json *samples; /* array: rows of the first and of the last step that has any */
    PageSeries *series;
    int n_series, cap_series;
} PageRunData;

typedef struct PageData {
    PageRunData *runs;
    int n_runs;
} PageData;

void page_data_read(PageData *out, const PageInput *in);
void page_data_free(PageData *d);

const PageSeries *page_series(const PageRunData *run, const char *name); /* NULL: none */
double page_last(const PageRunData *run, const char *name);              /* NaN: none */

/* Readers of JSON that may be anything. */
const char *page_str(const Json *object, const char *key); /* "" when it is no string */
double page_num(const Json *object, const char *key);      /* NaN when it is no number */

#endif
