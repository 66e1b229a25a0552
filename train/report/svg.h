/* svg: line charts as SVG text, styled by the page's CSS (classes c0..c5, grid, axis), so that they
 * follow light, dark and print. */
#ifndef HONE_TRAIN_REPORT_SVG_H
#define HONE_TRAIN_REPORT_SVG_H

#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SVG_MAX_SERIES 6

typedef struct SvgSeries {
    const char *name;         /* for the legend; NULL: none */
    const double *x, *y;      /* [n], finite */
    const double *low, *high; /* [n] a band around y; NULL: none */
    int64_t n;
    bool right; /* has its scale on the right side */
    bool dots;  /* points are marked */
} SvgSeries;

typedef struct SvgChart {
    const char *label;   /* what a screen reader says */
    const char *x_label; /* NULL: none */
    SvgSeries series[SVG_MAX_SERIES];
    int n_series;
} SvgChart;

/* Nothing when there is no point. */
void svg_chart(Str *out, const SvgChart *c);

/* Text with the characters that HTML would misread replaced. */
void html_text(Str *out, const char *text);
/* A metric's or key's name, which may break after its separators. */
void html_name(Str *out, const char *name);
/* "0.0123", "12.3k", "1.2e-05": three significant digits. */
void html_number(Str *out, double x);

#endif
