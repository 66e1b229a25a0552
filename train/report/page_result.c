#include "train/report/page_priv.h"

#include "core/mem.h"

#include <math.h>
#include <string.h>

/* ---- result table -------------------------------------------------------------------------- */

/* "0.1–0.2", narrow enough for a table; "-0.1 to 0.2" where a dash would read as a minus. */
static void interval_text(Str *out, double low, double high) {
    html_number(out, low);
    str_append(out, low < 0 || high < 0 ? " to " : "–<wbr>");
    html_number(out, high);
}

/* A number, {mean, low, high}, a text, or null. */
static void table_cell(Str *out, const Json *cell) {
    bool interval = json_is(cell, JSON_KIND_OBJECT);
    if (!interval && !json_is_num(cell)) {
        str_append(out, "<td>");
        if (json_is(cell, JSON_KIND_STRING)) html_text(out, json_str(cell, NULL));
        str_append(out, "</td>");
        return;
    }
    str_append(out, "<td class=\"n\">");
    html_number(out, interval ? page_num(cell, "mean") : json_num(cell));
    if (interval && !isnan(page_num(cell, "low"))) {
        str_append(out, "<small>");
        interval_text(out, page_num(cell, "low"), page_num(cell, "high"));
        str_append(out, "</small>");
    }
    str_append(out, "</td>");
}

void page_result_table(Str *out, const Json *result) {
    const Json *table = json_get(result, "table");
    const Json *columns = json_get(table, "columns"), *rows = json_get(table, "rows");
    if (json_len(rows) == 0) return;
    str_append(out, "<section><h2>Result</h2><div class=\"wide\"><table><thead><tr>");
    for (int64_t i = 0; i < json_len(columns); i++) {
        str_append(out, i > 0 ? "<th class=\"n\">" : "<th>");
        const Json *name = json_at(columns, i);
        if (json_is(name, JSON_KIND_STRING)) html_text(out, json_str(name, NULL));
        str_append(out, "</th>");
    }
    str_append(out, "</tr></thead><tbody>");
    for (int64_t i = 0; i < json_len(rows); i++) {
        str_append(out, "<tr>");
        for (int64_t k = 0; k < json_len(json_at(rows, i)); k++)
            table_cell(out, json_at(json_at(rows, i), k));
        str_append(out, "</tr>");
    }
    str_append(out, "</tbody></table></div></section>\n");
}

/* ---- a card a stage ------------------------------------------------------------------------ */

/* The last value, over the runs of the stage: "1.2" or "1.2 (1.1 to 1.3)". */
static void card_line(Str *out, const PageData *d, const char *stage, const char *name) {
    double low = NAN, high = NAN, sum = 0;
    int n = 0;
    for (int i = 0; i < d->n_runs; i++) {
        double x = page_last(&d->runs[i], name);
        if (isnan(x) || !str_equal(d->runs[i].stage, stage)) continue;
        low = fmin(low, x);
        high = fmax(high, x);
        sum += x;
        n++;
    }
    if (n == 0) return;
    str_append(out, "<dt>");
    html_name(out, name);
    str_append(out, "</dt><dd>");
    html_number(out, sum / n);
    if (n > 1) {
        str_append(out, " <small>");
        interval_text(out, low, high);
        str_append(out, "</small>");
    }
    str_append(out, "</dd>");
}

/* "step 10 of 20, running" */
static char *place_text(const PageRunData *run) {
    double step = page_num(run->info, "step"), total = page_num(run->info, "total_steps");
    const char *status = page_str(run->info, "status");
    if (isnan(step)) return mem_strdup(status);
    return str_format("step %.0f of %.0f, %s", step, total, status);
}

/* Runs of the stage from `first` on that are at the same place: "seeds 0, 1, 2: step 20 of 20,
 * finished". */
static void card_places(Str *out, const PageData *d, int first) {
    char *place = place_text(&d->runs[first]);
    str_printf(out, "<p class=\"soft\">seed %lld", (long long)d->runs[first].seed);
    for (int i = first + 1; i < d->n_runs; i++) {
        char *other = place_text(&d->runs[i]);
        if (str_equal(d->runs[i].stage, d->runs[first].stage) && str_equal(other, place))
            str_printf(out, ", %lld", (long long)d->runs[i].seed);
        mem_free(other);
    }
    str_append(out, ": ");
    html_text(out, place);
    str_append(out, "</p>");
    mem_free(place);
}

static bool place_was_told(const PageData *d, int i) {
    char *place = place_text(&d->runs[i]);
    bool told = false;
    for (int k = 0; k < i && !told; k++) {
        char *other = place_text(&d->runs[k]);
        told = str_equal(d->runs[k].stage, d->runs[i].stage) && str_equal(other, place);
        mem_free(other);
    }
    mem_free(place);
    return told;
}

static void card(Str *out, const PageData *d, const char *stage) {
    static const char *const shown[] = {"loss",
                                        "eval_loss",
                                        "mean_token_accuracy",
                                        "eval_mean_token_accuracy",
                                        "accuracy",
                                        "eval_accuracy",
                                        "objective/scores",
                                        "objective/kl",
                                        "objective/entropy"};
    str_append(out, "<div class=\"card\"><h3>");
    html_text(out, stage);
    str_append(out, "</h3>");
    for (int i = 0; i < d->n_runs; i++)
        if (str_equal(d->runs[i].stage, stage) && !place_was_told(d, i)) card_places(out, d, i);
    str_append(out, "<dl>");
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        card_line(out, d, stage, shown[i]);
    str_append(out, "</dl></div>");
}

void page_cards(Str *out, const PageData *d) {
    str_append(out, "<h2>Stages</h2><div class=\"cards\">");
    for (int i = 0; i < d->n_runs; i++)
        if (page_first_of_stage(d, i)) card(out, d, d->runs[i].stage);
    str_append(out, "</div>\n");
}

/* ---- samples ------------------------------------------------------------------------------- */

static void sample_begin(Str *out, const char *prompt) {
    str_append(out, "<div class=\"sample\"><div class=\"prompt\">");
    html_text(out, prompt);
    str_append(out, "</div><div class=\"texts\">");
}

static void sample_text(Str *out, const char *heading, const char *text) {
    str_append(out, "<div><h4>");
    html_text(out, heading);
    str_append(out, "</h4><p>");
    html_text(out, text);
    str_append(out, "</p></div>");
}

static void sample_end(Str *out) {
    str_append(out, "</div></div>");
}

static const char *text_at(const Json *list, int64_t i) {
    const Json *j = json_at(list, i);
    return json_is(j, JSON_KIND_STRING) ? json_str(j, NULL) : "";
}

static void result_samples(Str *out, const Json *columns, const Json *rows) {
    for (int64_t i = 0; i < json_len(rows); i++) {
        const Json *row = json_at(rows, i), *texts = json_get(row, "texts");
        sample_begin(out, page_str(row, "prompt"));
        for (int64_t k = 0; k < json_len(texts); k++) {
            const char *note = text_at(json_get(row, "notes"), k);
            char *heading = str_format("%s%s%s", text_at(columns, k), note[0] ? " · " : "", note);
            sample_text(out, heading, text_at(texts, k));
            mem_free(heading);
        }
        sample_end(out);
    }
}

static const char *first_str(const Json *row, const char *const *keys) {
    for (; *keys != NULL; keys++)
        if (page_str(row, *keys)[0] != '\0') return page_str(row, *keys);
    return "";
}

static const char *prompt_of(const Json *row) {
    static const char *const keys[] = {"query", "prompt", NULL};
    return first_str(row, keys);
}

static void run_sample(Str *out, const Json *row) {
    static const char *const keys[] = {"model response", "completion", "response", "text", NULL};
    double score = page_num(row, "score");
    char *heading = isnan(score)
                        ? str_format("step %.0f", page_num(row, "step"))
                        : str_format("step %.0f · score %.3g", page_num(row, "step"), score);
    sample_text(out, heading, first_str(row, keys));
    mem_free(heading);
}

/* The rows of the first step, each with what the last step said to the same prompt. */
static void run_samples(Str *out, const PageRunData *run) {
    const Json *rows = run->samples;
    double first = page_num(json_at(rows, 0), "step");
    for (int64_t i = 0; i < json_len(rows); i++) {
        const Json *row = json_at(rows, i);
        if (page_num(row, "step") != first) continue;
        sample_begin(out, prompt_of(row));
        run_sample(out, row);
        for (int64_t k = i + 1; k < json_len(rows); k++) {
            const Json *later = json_at(rows, k);
            if (page_num(later, "step") == first || !str_equal(prompt_of(later), prompt_of(row)))
                continue;
            run_sample(out, later);
            break;
        }
        sample_end(out);
    }
}

void page_samples(Str *out, const PageData *d, const Json *result) {
    const Json *samples = json_get(result, "samples");
    if (json_len(json_get(samples, "rows")) > 0) {
        str_append(out, "<h2>The same prompts, before and after</h2><div class=\"samples\">");
        result_samples(out, json_get(samples, "columns"), json_get(samples, "rows"));
        str_append(out, "</div>\n");
        return;
    }
    for (int i = 0; i < d->n_runs; i++) {
        if (json_len(d->runs[i].samples) == 0 || !page_first_of_stage(d, i)) continue;
        str_append(out, "<h2>Samples: ");
        html_text(out, d->runs[i].stage);
        str_append(out, "</h2><div class=\"samples\">");
        run_samples(out, &d->runs[i]);
        str_append(out, "</div>\n");
    }
}

/* ---- judge and reward against KL ----------------------------------------------------------- */

/* [[x, y], ...]; the caller mem_free's both. */
static int64_t read_points(double **x, double **y, const Json *points) {
    int64_t n = 0, len = json_len(points);
    *x = mem_alloc((size_t)(len + 1) * sizeof(double));
    *y = mem_alloc((size_t)(len + 1) * sizeof(double));
    for (int64_t i = 0; i < len; i++) {
        const Json *p = json_at(points, i);
        if (!json_is_num(json_at(p, 0)) || !json_is_num(json_at(p, 1))) continue;
        (*x)[n] = json_num(json_at(p, 0));
        (*y)[n++] = json_num(json_at(p, 1));
    }
    return n;
}

static void result_kl_curve(Str *out, const Json *curve) {
    const Json *list = json_get(curve, "series");
    double *x[SVG_MAX_SERIES] = {0}, *y[SVG_MAX_SERIES] = {0};
    SvgChart chart = {.label = "judge and reward against KL"};
    chart.x_label = page_str(curve, "x");
    for (int64_t i = 0; i < json_len(list) && i < SVG_MAX_SERIES; i++) {
        const Json *s = json_at(list, i);
        int64_t n = read_points(&x[i], &y[i], json_get(s, "points"));
        chart.series[chart.n_series++] =
            (SvgSeries){.name = page_str(s, "name"),
                        .x = x[i],
                        .y = y[i],
                        .n = n,
                        .right = str_equal(page_str(s, "axis"), "right"),
                        .dots = true};
    }
    str_append(out, "<section><h2>Judge and reward against KL</h2><figure>");
    svg_chart(out, &chart);
    str_append(out, "</figure></section>\n");
    for (int i = 0; i < SVG_MAX_SERIES; i++) {
        mem_free(x[i]);
        mem_free(y[i]);
    }
}

/* Rows of one run have kl and score together, so the two series have the same steps. */
static void run_kl_curve(Str *out, const PageData *d) {
    SvgChart chart = {.label = "score against KL", .x_label = "objective/kl (nats)"};
    for (int i = 0; i < d->n_runs && chart.n_series < SVG_MAX_SERIES; i++) {
        const PageSeries *kl = page_series(&d->runs[i], "objective/kl");
        const PageSeries *score = page_series(&d->runs[i], "objective/scores");
        if (kl == NULL || score == NULL || kl->n != score->n) continue;
        chart.series[chart.n_series++] = (SvgSeries){.name = d->runs[i].stage,
                                                     .x = kl->value,
                                                     .y = score->value,
                                                     .n = kl->n,
                                                     .dots = kl->n < 100};
    }
    if (chart.n_series == 0) return;
    str_append(out, "<section><h2>Reward against KL</h2><figure>");
    svg_chart(out, &chart);
    str_append(out, "</figure></section>\n");
}

void page_kl_curve(Str *out, const PageData *d, const Json *result) {
    const Json *curve = json_get(result, "kl_curve");
    if (json_len(json_get(curve, "series")) > 0)
        result_kl_curve(out, curve);
    else
        run_kl_curve(out, d);
}
