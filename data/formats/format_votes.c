/* Preference sets that hold two answers and say by a number which of them won. */
#include "data/formats/format.h"

/* The winner of two answers becomes `chosen`. */
static void set_pair(Record *r, Part first, Part second, bool second_won) {
    r->shape = RECORD_PAIR;
    r->chosen = second_won ? second : first;
    r->rejected = second_won ? first : second;
}

/* A member that is one of two integers; *out tells whether it is the second. */
static Status read_choice(const RowView *v, const char *name, int64_t first, int64_t second,
                          bool *out) {
    const Json *value = row_get(v, name);
    if (!json_is(value, JSON_KIND_INT) || (json_int(value) != first && json_int(value) != second))
        return row_fail(v, row_has(v, name) ? name : NULL, "`%s` must be %lld or %lld",
                        row_column(v, name), (long long)first, (long long)second);
    *out = json_int(value) == second;
    return OK;
}

/* ---- tldr: OpenAI's summarize-from-feedback comparisons ---- */

bool tldr_matches(const RowView *v) {
    return json_is(row_get(v, "info"), JSON_KIND_OBJECT) &&
           json_is(row_get(v, "summaries"), JSON_KIND_ARRAY) && row_has(v, "choice");
}

static Status info_text(const RowView *v, const char *key, const char **out) {
    const Json *value = json_get(row_get(v, "info"), key);
    if (!json_is(value, JSON_KIND_STRING))
        return row_fail(v, "info", "`info.%s` must be a string", key);
    *out = json_str(value, NULL);
    return OK;
}

static Status summary_text(const RowView *v, int64_t i, Part *out) {
    const Json *text = json_get(json_at(row_get(v, "summaries"), i), "text");
    if (!json_is(text, JSON_KIND_STRING))
        return row_fail(v, "summaries", "`summaries[%lld].text` must be a string", (long long)i);
    out->text = json_str(text, &out->n);
    return OK;
}

Status tldr_read(const RowView *v, Record *r) {
    const char *subreddit = NULL, *title = NULL, *post = NULL;
    Part summary[2] = {{0}, {0}};
    bool second;
    TRY(info_text(v, "subreddit", &subreddit));
    TRY(info_text(v, "title", &title));
    TRY(info_text(v, "post", &post));
    for (int64_t i = 0; i < 2; i++) TRY(summary_text(v, i, &summary[i]));
    TRY(read_choice(v, "choice", 0, 1, &second));
    set_pair(r, summary[0], summary[1], second);
    Str text = {0};
    str_printf(&text, "SUBREDDIT: r/%s\n\nTITLE: %s\n\nPOST: %s\n\nTL;DR:", subreddit, title, post);
    r->prompt = record_text(r, &text);
    str_free(&text);
    return OK;
}

/* ---- shp: Stanford Human Preferences; labels 1 means that A is better ---- */

bool shp_matches(const RowView *v) {
    return row_has(v, "history") && row_has(v, "human_ref_A") && row_has(v, "human_ref_B");
}

Status shp_read(const RowView *v, Record *r) {
    Part a, b;
    bool b_won;
    TRY(row_text(v, "human_ref_A", &a));
    TRY(row_text(v, "human_ref_B", &b));
    TRY(read_choice(v, "labels", 1, 0, &b_won));
    set_pair(r, a, b, b_won);
    return format_prompt(v, r, "history", &r->prompt);
}

/* ---- alpaca_farm: Alpaca's prompt, two outputs, preference 1 or 2 ---- */

bool alpaca_farm_matches(const RowView *v) {
    return row_has(v, "instruction") && row_has(v, "output_1") && row_has(v, "output_2");
}

Status alpaca_farm_read(const RowView *v, Record *r) {
    Part first, second;
    bool second_won;
    TRY(row_text(v, "output_1", &first));
    TRY(row_text(v, "output_2", &second));
    TRY(read_choice(v, "preference", 1, 2, &second_won));
    set_pair(r, first, second, second_won);
    return alpaca_prompt(v, r, &r->prompt);
}
