#include "train/report/page_priv.h"

#include "core/mem.h"
#include "core/progress.h"
#include "train/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void heading(Str *out, const char *text, const PageRunData *run) {
    str_printf(out, "<h3>");
    html_text(out, run->stage);
    html_text(out, text);
    str_append(out, "</h3>");
}

/* ---- memory -------------------------------------------------------------------------------- */

static size_t bytes_of(const Json *j, const char *key) {
    double x = page_num(j, key);
    return x > 0 ? (size_t)x : 0;
}

static double widest(const Json *list, const char *key) {
    double most = 0;
    for (int64_t i = 0; i < json_len(list); i++) {
        double x = page_num(json_at(list, i), key);
        if (x > most) most = x;
    }
    return most;
}

static void memory_bars(Str *out, const PageRunData *run) {
    const Json *memory = json_get(run->info, "memory"), *entries = json_get(memory, "entries");
    char size[32];
    size_t peak = bytes_of(run->info, "peak_rss_bytes");
    str_append(out, "<div>");
    heading(out, "", run);
    str_append(out, "<p class=\"soft\">planned ");
    str_append(out, plan_size(size, sizeof(size), bytes_of(memory, "bytes")));
    if (peak > 0) str_printf(out, ", peak of the process %s", plan_size(size, sizeof(size), peak));
    str_append(out, "</p><div class=\"bars\">");
    double most = widest(entries, "bytes");
    for (int64_t i = 0; i < json_len(entries); i++) {
        const Json *e = json_at(entries, i);
        char *label = str_format("%s%s%s", page_str(e, "purpose"),
                                 page_str(e, "what")[0] ? ": " : "", page_str(e, "what"));
        page_bar(out, label, plan_size(size, sizeof(size), bytes_of(e, "bytes")),
                 page_num(e, "bytes") / most, (int)(i % 6));
        mem_free(label);
    }
    str_append(out, "</div></div>");
}

static bool has_memory(const PageRunData *run) {
    return json_len(json_get(json_get(run->info, "memory"), "entries")) > 0;
}

void page_memory(Str *out, const PageData *d) {
    bool any = false;
    for (int i = 0; i < d->n_runs; i++) any = any || has_memory(&d->runs[i]);
    if (!any) return;
    str_append(out, "<h2>Memory by purpose</h2><div class=\"columns\">");
    for (int i = 0; i < d->n_runs; i++)
        if (page_first_of_stage(d, i) && has_memory(&d->runs[i])) memory_bars(out, &d->runs[i]);
    str_append(out, "</div>\n");
}

/* ---- roles --------------------------------------------------------------------------------- */

static const char *or_none(const char *text) {
    return text[0] != '\0' ? text : "none";
}

static int sharers(const Json *roles, const char *base) {
    int n = 0;
    for (int64_t i = 0; i < json_len(roles); i++)
        n += str_equal(page_str(json_at(roles, i), "base"), base) ? 1 : 0;
    return n;
}

static void role_rows(Str *out, const PageRunData *run, const Json *roles) {
    static const char *const columns[] = {"role", "base", "adapter", "head"};
    for (int64_t i = 0; i < json_len(roles); i++) {
        const Json *role = json_at(roles, i);
        str_append(out, "<tr><td>");
        html_text(out, i == 0 ? run->stage : "");
        str_append(out, "</td>");
        for (int k = 0; k < 4; k++) {
            str_append(out, "<td>");
            html_text(out, or_none(page_str(role, columns[k])));
            str_append(out, "</td>");
        }
        int n = sharers(roles, page_str(role, "base"));
        if (n > 1)
            str_printf(out, "<td>one copy for %d roles</td></tr>", n);
        else
            str_append(out, "<td>its own</td></tr>");
    }
}

static const Json *roles_of(const PageRunData *run) {
    return json_get(json_get(run->info, "memory"), "roles");
}

void page_roles(Str *out, const PageData *d) {
    bool any = false;
    for (int i = 0; i < d->n_runs; i++) any = any || json_len(roles_of(&d->runs[i])) > 0;
    if (!any) return;
    str_append(out, "<h2>Who uses which weights</h2><div class=\"wide\"><table><thead><tr>"
                    "<th>stage</th><th>role</th><th>base weights</th><th>adapter</th><th>head</th>"
                    "<th>copies</th></tr></thead><tbody>");
    for (int i = 0; i < d->n_runs; i++)
        if (page_first_of_stage(d, i)) role_rows(out, &d->runs[i], roles_of(&d->runs[i]));
    str_append(out, "</tbody></table></div>\n");
}

/* ---- lineage ------------------------------------------------------------------------------- */

static const PageRunData *maker_of(const PageData *d, const char *digest) {
    for (int i = 0; i < d->n_runs && digest[0] != '\0'; i++)
        if (str_equal(page_str(d->runs[i].info, "output"), digest)) return &d->runs[i];
    return NULL;
}

static void node(Str *out, const char *what, const char *name, const char *digest, bool made) {
    str_printf(out, "<span class=\"node%s\">", made ? " made" : "");
    html_text(out, what);
    str_append(out, " ");
    html_text(out, name);
    str_printf(out, " <code>%.8s</code></span>", digest);
}

static void lineage_row(Str *out, const PageData *d, const PageRunData *run) {
    const Json *inputs = json_get(run->info, "inputs");
    str_append(out, "<div class=\"flow\">");
    for (int64_t i = 0; i < json_len(inputs); i++) {
        const Json *in = json_at(inputs, i);
        const PageRunData *maker = maker_of(d, page_str(in, "sha256"));
        char *name =
            maker != NULL ? str_format("from %s", maker->stage) : mem_strdup(page_str(in, "path"));
        node(out, page_str(in, "role"), name, page_str(in, "sha256"), maker != NULL);
        mem_free(name);
    }
    str_append(out, "<span>→</span>");
    const char *output = page_str(run->info, "output");
    node(out, run->stage, output[0] != '\0' ? "" : "(not finished)", output, output[0] != '\0');
    str_append(out, "</div>");
}

void page_lineage(Str *out, const PageData *d) {
    bool any = false;
    for (int i = 0; i < d->n_runs; i++) {
        if (json_len(json_get(d->runs[i].info, "inputs")) == 0 || !page_first_of_stage(d, i))
            continue;
        if (!any)
            str_append(out, "<h2>Lineage</h2><p class=\"soft\">Equal digests are equal contents; "
                            "what an earlier stage made has a green border.</p>");
        any = true;
        lineage_row(out, d, &d->runs[i]);
    }
}

/* ---- timings ------------------------------------------------------------------------------- */

static void timing_bars(Str *out, const Json *timings) {
    char text[32];
    double most = widest(timings, "seconds");
    str_append(out, "<div class=\"bars\">");
    for (int64_t i = 0; i < json_len(timings); i++) {
        const Json *t = json_at(timings, i);
        double seconds = page_num(t, "seconds");
        if (isnan(seconds)) continue;
        if (seconds < 10)
            snprintf(text, sizeof(text), "%.2f s", seconds);
        else
            progress_duration(text, (int)sizeof(text), seconds);
        page_bar(out, page_str(t, "phase"), text, seconds / most, 0);
    }
    str_append(out, "</div>");
}

void page_timings(Str *out, const PageData *d, const Json *result) {
    str_append(out, "<h2>Time by phase</h2><div class=\"columns\">");
    if (json_len(json_get(result, "timings")) > 0) {
        str_append(out, "<div><h3>all</h3>");
        timing_bars(out, json_get(result, "timings"));
        str_append(out, "</div>");
    }
    for (int i = 0; i < d->n_runs; i++) {
        const Json *timings = json_get(d->runs[i].info, "timings");
        if (json_len(timings) == 0 || !page_first_of_stage(d, i)) continue;
        str_append(out, "<div>");
        heading(out, "", &d->runs[i]);
        timing_bars(out, timings);
        str_append(out, "</div>");
    }
    str_append(out, "</div>\n");
}

/* ---- config -------------------------------------------------------------------------------- */

static void config_table(Str *out, const Json *config) {
    str_append(out,
               "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>key</th><th>value</th>"
               "<th>from</th></tr></thead><tbody>");
    for (int64_t i = 0; i < json_len(config); i++) {
        const Json *item = json_at(config, i);
        bool set = !str_starts(page_str(item, "origin"), "default");
        str_append(out, set ? "<tr class=\"set\"><td><code>" : "<tr><td><code>");
        html_name(out, page_str(item, "key"));
        str_append(out, "</code></td><td><code>");
        html_text(out, page_str(item, "value"));
        str_append(out, "</code></td><td>");
        html_text(out, page_str(item, "origin"));
        str_append(out, "</td></tr>");
    }
    str_append(out, "</tbody></table></div>");
}

static void facts_line(Str *out, const PageRunData *run) {
    str_append(out, "<p class=\"soft\">");
    html_text(out, run->folder);
    str_append(out, " · version ");
    html_text(out, page_str(run->info, "version"));
    str_append(out, " · device ");
    html_text(out, page_str(run->info, "device"));
    str_append(out, " ");
    html_text(out, page_str(run->info, "isa"));
    str_printf(out, " · %.0f threads · seed %lld", fmax(page_num(run->info, "threads"), 0),
               (long long)run->seed);
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(json_get(run->info, "facts"), &it, &key, &value);) {
        str_append(out, " · ");
        html_text(out, key);
        str_append(out, " ");
        if (json_is_num(value))
            html_number(out, json_num(value));
        else if (json_is(value, JSON_KIND_STRING))
            html_text(out, json_str(value, NULL));
    }
    str_append(out, "</p>");
}

void page_config(Str *out, const PageData *d) {
    str_append(out, "<h2>Config, with where each value came from</h2>");
    for (int i = 0; i < d->n_runs; i++) {
        if (!page_first_of_stage(d, i)) continue;
        int seeds = page_runs_of_stage(d, d->runs[i].stage);
        char *more = seeds > 1 ? str_format(" (first of %d runs)", seeds) : mem_strdup("");
        heading(out, more, &d->runs[i]);
        mem_free(more);
        facts_line(out, &d->runs[i]);
        config_table(out, json_get(d->runs[i].info, "config"));
    }
}
