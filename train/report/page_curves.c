#include "train/report/page_priv.h"

#include "core/mem.h"
#include "train/report/metrics.h"

#include <math.h>
#include <string.h>

/* Over the runs of a stage: mean, lowest and highest at the steps that the first of them logged. */
typedef struct Curve {
    double *x, *mean, *low, *high; /* [n] */
    int64_t n;
    int runs;
} Curve;

static void curve_free(Curve *c) {
    mem_free(c->x);
    mem_free(c->mean);
    mem_free(c->low);
    mem_free(c->high);
}

static bool value_at(double *out, const PageSeries *s, double step) {
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (s->step[mid] < step)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == s->n || s->step[low] != step) return false;
    *out = s->value[low];
    return true;
}

static void add_step(Curve *c, const PageData *d, const char *stage, const char *name,
                     double step) {
    double sum = 0, value;
    int n = 0;
    for (int i = 0; i < d->n_runs; i++) {
        const PageSeries *s = page_series(&d->runs[i], name);
        if (s == NULL || !str_equal(d->runs[i].stage, stage) || !value_at(&value, s, step))
            continue;
        c->low[c->n] = n == 0 ? value : fmin(c->low[c->n], value);
        c->high[c->n] = n == 0 ? value : fmax(c->high[c->n], value);
        sum += value;
        n++;
    }
    if (n == 0) return;
    c->x[c->n] = step;
    c->mean[c->n++] = sum / n;
    if (n > c->runs) c->runs = n;
}

static Curve curve_of(const PageData *d, const char *stage, const char *name) {
    const PageSeries *longest = NULL;
    for (int i = 0; i < d->n_runs; i++) {
        const PageSeries *s = page_series(&d->runs[i], name);
        if (s == NULL || !str_equal(d->runs[i].stage, stage)) continue;
        if (longest == NULL || s->n > longest->n) longest = s;
    }
    Curve c = {0};
    if (longest == NULL) return c;
    size_t bytes = (size_t)(longest->n + 1) * sizeof(double);
    c = (Curve){mem_alloc(bytes), mem_alloc(bytes), mem_alloc(bytes), mem_alloc(bytes), 0, 0};
    for (int64_t k = 0; k < longest->n; k++) add_step(&c, d, stage, name, longest->step[k]);
    return c;
}

/* ---- charts -------------------------------------------------------------------------------- */

static SvgSeries series_of(const Curve *c, const char *name, bool dots) {
    bool band = c->runs > 1;
    return (SvgSeries){.name = name,
                       .x = c->x,
                       .y = c->mean,
                       .low = band ? c->low : NULL,
                       .high = band ? c->high : NULL,
                       .n = c->n,
                       .dots = dots};
}

/* A metric, and its evaluation in the same picture. */
static void chart(Str *out, const PageData *d, const char *stage, const char *name) {
    char *eval_name = str_format("eval_%s", name);
    Curve train = curve_of(d, stage, name), eval = curve_of(d, stage, eval_name);
    bool both = train.n > 0 && eval.n > 0;
    SvgChart c = {.label = name, .x_label = "step"};
    if (train.n > 0) c.series[c.n_series++] = series_of(&train, both ? "train" : NULL, false);
    if (eval.n > 0) c.series[c.n_series++] = series_of(&eval, both ? "eval" : NULL, true);
    const Curve *last = train.n > 0 ? &train : &eval;
    if (last->n > 0) {
        str_append(out, "<figure><figcaption>");
        html_name(out, train.n > 0 ? name : eval_name);
        str_append(out, " <small>");
        html_number(out, last->mean[last->n - 1]);
        str_append(out, "</small></figcaption>");
        svg_chart(out, &c);
        str_append(out, "</figure>");
    }
    curve_free(&train);
    curve_free(&eval);
    mem_free(eval_name);
}

/* Totals of the last row and counters say nothing as a curve; an eval_ metric stands with its own.
 */
static bool has_chart(const PageRunData *run, const PageSeries *s, bool clock) {
    if (str_equal(s->name, "epoch") || str_equal(s->name, "episode") ||
        str_equal(s->name, "num_tokens") || str_starts(s->name, "train_") || s->n < 2)
        return false;
    if (metrics_is_clock(s->name) != clock) return false;
    if (!str_starts(s->name, "eval_")) return true;
    return page_series(run, s->name + strlen("eval_")) == NULL;
}

static void charts(Str *out, const PageData *d, const PageRunData *run, bool clock) {
    for (int k = 0; k < run->n_series; k++) {
        const char *name = run->series[k].name;
        if (!has_chart(run, &run->series[k], clock)) continue;
        bool only_eval = str_starts(name, "eval_");
        chart(out, d, run->stage, only_eval ? name + strlen("eval_") : name);
    }
}

void page_curves(Str *out, const PageData *d) {
    for (int i = 0; i < d->n_runs; i++) {
        const PageRunData *run = &d->runs[i];
        if (!page_first_of_stage(d, i) || run->n_series == 0) continue;
        str_append(out, "<h2>Curves: ");
        html_text(out, run->stage);
        str_append(out, "</h2>");
        int seeds = page_runs_of_stage(d, run->stage);
        if (seeds > 1)
            str_printf(out,
                       "<p class=\"soft\">Lines are means over %d runs, bands reach from the "
                       "lowest to the highest.</p>",
                       seeds);
        str_append(out, "<div class=\"charts\">");
        charts(out, d, run, false);
        charts(out, d, run, true);
        str_append(out, "</div>\n");
    }
}
