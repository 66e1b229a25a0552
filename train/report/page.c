#include "train/report/page.h"

#include "core/publish.h"
#include "train/report/page_priv.h"

#include <math.h>
#include <string.h>

bool page_first_of_stage(const PageData *d, int i) {
    for (int k = 0; k < i; k++)
        if (str_equal(d->runs[k].stage, d->runs[i].stage)) return false;
    return true;
}

int page_runs_of_stage(const PageData *d, const char *stage) {
    int n = 0;
    for (int i = 0; i < d->n_runs; i++) n += str_equal(d->runs[i].stage, stage) ? 1 : 0;
    return n;
}

void page_bar(Str *out, const char *label, const char *value, double share, int colour) {
    str_append(out, "<span>");
    html_text(out, label);
    str_printf(out,
               "</span><span class=\"bar c%d\" style=\"width:%.1f%%\"></span><span class=\"v\">",
               colour, 100 * fmin(fmax(share, 0), 1));
    html_text(out, value);
    str_append(out, "</span>");
}

static void lines(Str *out, const Json *list) {
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *line = json_at(list, i);
        if (!json_is(line, JSON_KIND_STRING)) continue;
        str_append(out, "<p>");
        html_text(out, json_str(line, NULL));
        str_append(out, "</p>");
    }
}

/* "running", or the status of the first run that is not finished, or "finished". */
static const char *status_of(const PageInput *in, const PageData *d) {
    if (in->running) return "running";
    for (int i = 0; i < d->n_runs; i++) {
        const char *status = page_str(d->runs[i].info, "status");
        if (status[0] != '\0' && !str_equal(status, "finished")) return status;
    }
    return "finished";
}

static void head(Str *out, const PageInput *in, const PageData *d, const char *title) {
    str_append(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                    "style-src 'unsafe-inline'\">");
    if (in->running) str_append(out, "<meta http-equiv=\"refresh\" content=\"10\">");
    str_append(out, "<title>");
    html_text(out, title);
    str_append(out, "</title><style>");
    for (const char *const *css = page_style; *css != NULL; css++) str_append(out, *css);
    str_append(out, "</style></head><body><header><h1>");
    html_text(out, title);
    const char *status = status_of(in, d);
    str_printf(out, " <span class=\"badge%s\">", str_equal(status, "finished") ? "" : " running");
    html_text(out, status);
    str_append(out, "</span></h1>");
    lines(out, json_get(in->result, "summary"));
    str_append(out, "</header>\n");
}

static void body(Str *out, const PageInput *in, const PageData *d) {
    str_append(out, "<div class=\"first\">");
    page_result_table(out, in->result);
    page_kl_curve(out, d, in->result);
    str_append(out, "</div>\n");
    page_samples(out, d, in->result);
    page_cards(out, d);
    page_curves(out, d);
    page_memory(out, d);
    page_roles(out, d);
    page_lineage(out, d);
    page_timings(out, d, in->result);
    page_config(out, d);
    if (json_len(json_get(in->result, "notes")) > 0) {
        str_append(out, "<h2>Notes</h2>");
        lines(out, json_get(in->result, "notes"));
    }
}

static const char *title_of(const PageInput *in, const PageData *d) {
    if (in->title != NULL) return in->title;
    return d->n_runs > 0 ? d->runs[0].folder : "report";
}

Status page_write(const char *path, const PageInput *in) {
    PageData d;
    Str out = {0};
    page_data_read(&d, in);
    head(&out, in, &d, title_of(in, &d));
    body(&out, in, &d);
    str_append(&out, "</body></html>\n");
    Status st = publish_bytes(path, out.data, out.len);
    str_free(&out);
    page_data_free(&d);
    return st;
}
