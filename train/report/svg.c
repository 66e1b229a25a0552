#include "train/report/svg.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 360.0
#define HEIGHT 200.0
#define LEFT 46.0
#define TOP 10.0
#define BOTTOM 34.0
#define MAX_POINTS 300 /* a line with more is thinned, its peaks kept */

void html_text(Str *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            str_append(out, "&amp;");
            break;
        case '<':
            str_append(out, "&lt;");
            break;
        case '>':
            str_append(out, "&gt;");
            break;
        case '"':
            str_append(out, "&quot;");
            break;
        default:
            str_append_char(out, *text);
        }
    }
}

void html_name(Str *out, const char *name) {
    char one[2] = {0};
    for (; *name != '\0'; name++) {
        one[0] = *name;
        html_text(out, one);
        if (*name == '_' || *name == '/' || *name == '.') str_append(out, "<wbr>");
    }
}

void html_number(Str *out, double x) {
    double size = fabs(x);
    if (isnan(x))
        str_append(out, "–");
    else if (size >= 1e9)
        str_printf(out, "%.3gG", x / 1e9);
    else if (size >= 1e6)
        str_printf(out, "%.3gM", x / 1e6);
    else if (size >= 1e4)
        str_printf(out, "%.3gk", x / 1e3);
    else if (size >= 1000)
        str_printf(out, "%.0f", x);
    else
        str_printf(out, "%.3g", x);
}

/* ---- scales -------------------------------------------------------------------------------- */

typedef struct Scale {
    double min, max, step; /* of values; step between ticks */
    double from, to;       /* of the picture */
    bool used;
} Scale;

static void widen(Scale *s, double value) {
    if (!isfinite(value)) return;
    if (!s->used || value < s->min) s->min = value;
    if (!s->used || value > s->max) s->max = value;
    s->used = true;
}

/* Ticks at 1, 2 or 5 times a power of ten; the ends move outwards to ticks. */
static void settle(Scale *s, int ticks, bool whole_ends) {
    if (s->max - s->min <= 1e-12 * fmax(fabs(s->min), fabs(s->max))) {
        double pad = s->max == 0 ? 1 : fabs(s->max) * 0.1;
        s->min -= pad;
        s->max += pad;
    }
    double raw = (s->max - s->min) / ticks;
    double power = pow(10, floor(log10(raw)));
    double unit = raw / power;
    s->step = power * (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10);
    if (!whole_ends) return;
    s->min = floor(s->min / s->step + 1e-9) * s->step;
    s->max = ceil(s->max / s->step - 1e-9) * s->step;
}

static double place(const Scale *s, double value) {
    return s->from + (value - s->min) / (s->max - s->min) * (s->to - s->from);
}

typedef struct Frame {
    double width, right; /* of the picture; x of the plot's right end */
    Scale x, left_y, right_y;
} Frame;

static Frame frame_of(const SvgChart *c) {
    Frame f = {.width = WIDTH};
    for (int i = 0; i < c->n_series; i++) {
        const SvgSeries *s = &c->series[i];
        Scale *y = s->right ? &f.right_y : &f.left_y;
        for (int64_t k = 0; k < s->n; k++) {
            widen(&f.x, s->x[k]);
            widen(y, s->y[k]);
            if (s->low != NULL) widen(y, s->low[k]);
            if (s->high != NULL) widen(y, s->high[k]);
        }
    }
    if (!f.x.used) return f;
    if (!f.left_y.used) f.left_y = f.right_y;
    f.right = f.width - (f.right_y.used ? LEFT : 18);
    settle(&f.x, 4, false);
    f.x.from = LEFT;
    f.x.to = f.right;
    Scale *ys[] = {&f.left_y, &f.right_y};
    for (int i = 0; i < 2; i++) {
        if (!ys[i]->used) continue;
        settle(ys[i], 4, true);
        ys[i]->from = HEIGHT - BOTTOM;
        ys[i]->to = TOP;
    }
    return f;
}

/* ---- drawing ------------------------------------------------------------------------------- */

/* Enough digits to tell it from the next tick. */
static void tick_label(Str *out, double x, double y, const char *anchor, const Scale *s,
                       double value) {
    str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    double most = fmax(fabs(s->min), fabs(s->max));
    if (fabs(value) < s->step * 1e-9) value = 0;
    if (most < 1e4 && s->step >= 1e-4)
        str_printf(out, "%.*f", (int)fmax(0, ceil(-log10(s->step) - 1e-9)), value);
    else
        html_number(out, value);
    str_append(out, "</text>");
}

static void draw_axes(Str *out, const Frame *f, const SvgChart *c) {
    double bottom = HEIGHT - BOTTOM;
    const Scale *y = &f->left_y;
    for (double v = y->min; v <= y->max + y->step * 0.01; v += y->step) {
        str_printf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                   LEFT, f->right, place(y, v), place(y, v));
        tick_label(out, LEFT - 5, place(y, v) + 3.5, "end", y, v);
    }
    if (f->right_y.used)
        for (double v = f->right_y.min; v <= f->right_y.max + f->right_y.step * 0.01;
             v += f->right_y.step)
            tick_label(out, f->right + 5, place(&f->right_y, v) + 3.5, "start", &f->right_y, v);
    for (double v = ceil(f->x.min / f->x.step - 1e-9) * f->x.step; v <= f->x.max + f->x.step * 0.01;
         v += f->x.step)
        tick_label(out, place(&f->x, v), bottom + 14, "middle", &f->x, v);
    str_printf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
               f->right, bottom, bottom);
    if (c->x_label == NULL) return;
    str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", f->right, HEIGHT - 4);
    html_text(out, c->x_label);
    str_append(out, "</text>");
}

static void draw_band(Str *out, const Frame *f, const SvgSeries *s, const Scale *y, int colour) {
    str_printf(out, "<path class=\"band c%d\" d=\"M", colour);
    for (int64_t k = 0; k < s->n; k++)
        str_printf(out, "%.1f %.1f ", place(&f->x, s->x[k]), place(y, s->high[k]));
    for (int64_t k = s->n; k-- > 0;)
        str_printf(out, "L%.1f %.1f ", place(&f->x, s->x[k]), place(y, s->low[k]));
    str_append(out, "Z\"/>");
}

/* Of a long line, the lowest and the highest point of each bucket, in their order. */
static void draw_line(Str *out, const Frame *f, const SvgSeries *s, const Scale *y, int colour) {
    int64_t buckets = s->n > MAX_POINTS ? MAX_POINTS / 2 : s->n;
    str_printf(out, "<polyline class=\"line c%d\" points=\"", colour);
    for (int64_t b = 0; b < buckets; b++) {
        int64_t first = b * s->n / buckets, end = (b + 1) * s->n / buckets;
        int64_t low = first, high = first;
        for (int64_t k = first; k < end; k++) {
            if (s->y[k] < s->y[low]) low = k;
            if (s->y[k] > s->y[high]) high = k;
        }
        int64_t a = low < high ? low : high, z = low < high ? high : low;
        str_printf(out, "%.1f,%.1f ", place(&f->x, s->x[a]), place(y, s->y[a]));
        if (z != a) str_printf(out, "%.1f,%.1f ", place(&f->x, s->x[z]), place(y, s->y[z]));
    }
    str_append(out, "\"/>");
    if (!s->dots && s->n > 1) return;
    for (int64_t k = 0; k < s->n; k++)
        str_printf(out, "<circle class=\"dot c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>", colour,
                   place(&f->x, s->x[k]), place(y, s->y[k]));
}

static void draw_legend(Str *out, const SvgChart *c) {
    str_append(out, "<p class=\"legend\">");
    for (int i = 0; i < c->n_series; i++) {
        if (c->series[i].name == NULL || c->series[i].n == 0) continue;
        str_printf(out, "<span><i class=\"key c%d\"></i>", i);
        html_text(out, c->series[i].name);
        if (c->series[i].right) str_append(out, " (right scale)");
        str_append(out, "</span> ");
    }
    str_append(out, "</p>");
}

void svg_chart(Str *out, const SvgChart *c) {
    Frame f = frame_of(c);
    if (!f.x.used) return;
    str_printf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", f.width, HEIGHT);
    html_text(out, c->label);
    str_append(out, "\">");
    draw_axes(out, &f, c);
    bool legend = false;
    for (int i = 0; i < c->n_series; i++) {
        const SvgSeries *s = &c->series[i];
        const Scale *y = s->right ? &f.right_y : &f.left_y;
        if (s->n == 0) continue;
        if (s->low != NULL && s->high != NULL) draw_band(out, &f, s, y, i);
        draw_line(out, &f, s, y, i);
        legend = legend || s->name != NULL;
    }
    str_append(out, "</svg>");
    if (legend) draw_legend(out, c);
}
