#include "data/formats/format.h"

#include "core/str.h"

#include <string.h>

/* Auto takes the first that matches, so the special stands before the general. */
static const Format formats[] = {
    {"tokenized", "`input_ids`, or `chosen_ids` and `rejected_ids`", DATASET_SFT, true,
     tokenized_matches, tokenized_read, NULL},
    {"hh_rlhf", "`chosen` and `rejected`, transcripts that begin with \"\\n\\nHuman:\"",
     DATASET_PREFERENCE, false, hh_rlhf_matches, hh_rlhf_read, NULL},
    {"preference", "`chosen` and `rejected`, perhaps `prompt` and `margin`", DATASET_PREFERENCE,
     false, preference_matches, preference_read, NULL},
    {"stack_exchange", "`question`, `response_j` and `response_k`", DATASET_PREFERENCE, false,
     stack_exchange_matches, stack_exchange_read, NULL},
    {"tldr", "`info`, two `summaries` and `choice`", DATASET_PREFERENCE, false, tldr_matches,
     tldr_read, NULL},
    {"shp", "`history`, `human_ref_A`, `human_ref_B` and `labels`", DATASET_PREFERENCE, false,
     shp_matches, shp_read, NULL},
    {"alpaca_farm", "`instruction`, `output_1`, `output_2` and `preference`", DATASET_PREFERENCE,
     false, alpaca_farm_matches, alpaca_farm_read, NULL},
    {"ultrafeedback", "`instruction` and `completions` with ratings", DATASET_PREFERENCE, false,
     ultrafeedback_matches, ultrafeedback_read, NULL},
    {"oasst", "a tree of `role`, `text` and `replies`, perhaps below `prompt`", DATASET_PREFERENCE,
     true, oasst_matches, oasst_read, oasst_count},
    {"ranked", "`instruction` and `output`, a list of answers with the best first",
     DATASET_PREFERENCE, true, ranked_matches, ranked_read, ranked_count},
    {"messages", "`messages` or `conversations`", DATASET_SFT, false, messages_matches,
     messages_read, NULL},
    {"natural_instructions", "`input` and `output`, in a file with a `Definition`", DATASET_SFT,
     false, natural_instructions_matches, natural_instructions_read, NULL},
    {"prompt_completion", "`prompt` and `completion` (or `response`)", DATASET_SFT, false,
     prompt_completion_matches, prompt_completion_read, NULL},
    {"self_instruct", "`instruction` and `instances`", DATASET_SFT, false, self_instruct_matches,
     self_instruct_read, self_instruct_count},
    {"alpaca", "`instruction` and `output`, perhaps `input`", DATASET_SFT, false, alpaca_matches,
     alpaca_read, NULL},
    {"dolly", "`instruction` and `response`, perhaps `context`", DATASET_SFT, false, dolly_matches,
     dolly_read, NULL},
    {"p3", "`inputs_pretokenized` and `targets_pretokenized`", DATASET_SFT, false, p3_matches,
     p3_read, NULL},
    {"flan", "`inputs` and `targets`", DATASET_SFT, false, flan_matches, flan_read, NULL},
    {"text", "`text`", DATASET_SFT, false, text_matches, text_read, NULL},
    /* behind text and alpaca, whose columns it has: only by its name */
    {"guanaco", "`text` with \"### Human:\" and \"### Assistant:\", or `instruction` and `output`",
     DATASET_SFT, false, guanaco_matches, guanaco_read, NULL},
    {"prompt", "`prompt`", DATASET_PROMPT, false, prompt_matches, prompt_read, NULL},
};
#define N_FORMATS (sizeof formats / sizeof *formats)

const char *const *format_names(void) {
    static const char *names[N_FORMATS + 1];
    for (size_t i = 0; i < N_FORMATS; i++) names[i] = formats[i].name;
    return names;
}

/* ---- by name ---- */

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance of two short words. */
static size_t distance(const char *a, const char *b) {
    size_t row[32], n = strlen(b);
    if (n >= sizeof row / sizeof *row) return n;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (*a != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static Status fail_unknown(const char *name) {
    const Format *best = NULL;
    size_t least = 4; /* farther than that is no typing error */
    Str all = {0};
    for (size_t i = 0; i < N_FORMATS; i++) {
        size_t d = distance(name, formats[i].name);
        if (d < least) {
            least = d;
            best = &formats[i];
        }
        str_printf(&all, ", %s", formats[i].name);
    }
    Status st = status_fail(ERR_CONFIG, "unknown data format `%s`%s%s%s; there are: auto%s", name,
                            best ? " (did you mean `" : "", best ? best->name : "",
                            best ? "`?)" : "", str_text(&all));
    str_free(&all);
    return st;
}

/* ---- by the first row ---- */

static Status fail_unrecognised(const RowView *v) {
    Str keys = {0}, wanted = {0};
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(v->row, &it, &key, &value) && keys.len < 200)
        str_printf(&keys, "%s`%s`", keys.len ? ", " : "", key);
    for (size_t i = 0; i < N_FORMATS; i++)
        str_printf(&wanted, "%s%s (%s)", i ? "; " : "", formats[i].name, formats[i].columns);
    Status st = row_fail(v, NULL,
                         "no format fits the columns %s; name them by `columns`, or give `format`: "
                         "%s",
                         keys.len ? str_text(&keys) : "(none)", str_text(&wanted));
    str_free(&keys);
    str_free(&wanted);
    return st;
}

/* Not in the list: a source has its template, or it has none. */
static const Format by_template = {"promptsource",    "",  DATASET_SFT, true, NULL,
                                   promptsource_read, NULL};

Status format_find(const Format **out, const char *name, const RowView *v, DatasetKind kind) {
    if (v->promptsource) {
        *out = &by_template;
        return OK;
    }
    if (name && strcmp(name, "sharegpt") == 0) name = "messages"; /* the same, by its other name */
    if (name && strcmp(name, "auto") != 0) {
        for (size_t i = 0; i < N_FORMATS; i++) {
            if (strcmp(formats[i].name, name) != 0) continue;
            *out = &formats[i];
            return OK;
        }
        return fail_unknown(name);
    }
    for (int second = 0; second < 2; second++) {
        for (size_t i = 0; i < N_FORMATS; i++) {
            bool made_for_it = formats[i].any_kind || formats[i].kind == kind;
            if (made_for_it == (second == 1) || !formats[i].matches(v)) continue;
            *out = &formats[i];
            return OK;
        }
    }
    return fail_unrecognised(v);
}

/* ---- templates of the user ---- */

/* Fills {column} from the row; {{ and }} are braces. */
static Status fill(const RowView *v, Record *r, const char *what, const char *template, Part *out) {
    Str text = {0};
    Status st = OK;
    for (const char *p = template; *p && st == OK; p++) {
        if ((p[0] == '{' || p[0] == '}') && p[1] == p[0]) {
            str_append_char(&text, *p++);
        } else if (*p == '{') {
            size_t n = strcspn(p + 1, "}");
            char name[128];
            if (p[n + 1] != '}' || n == 0 || n >= sizeof name) {
                st = status_fail(ERR_CONFIG,
                                 "`%s` has a `{` without a column name and `}`; a brace "
                                 "itself is written `{{`",
                                 what);
                break;
            }
            memcpy(name, p + 1, n);
            name[n] = '\0';
            const Json *value = row_value(v, name);
            if (!value)
                st = row_fail(v, NULL, "`%s` names the column `%s`, which this row does not have",
                              what, name);
            else if (json_is(value, JSON_KIND_STRING)) {
                size_t len;
                const char *s = json_str(value, &len);
                str_append_n(&text, s, len);
            } else if (!json_is(value, JSON_KIND_NULL))
                json_dump(&text, value, 0);
            p += n + 1;
        } else {
            str_append_char(&text, *p);
        }
    }
    if (st == OK) *out = record_text(r, &text);
    str_free(&text);
    return st;
}

bool format_has_prompt(const RowView *v, const char *name) {
    return v->source->prompt_template || row_has(v, name);
}

bool format_has_completion(const RowView *v, const char *name) {
    return v->source->completion_template || row_has(v, name);
}

Status format_prompt(const RowView *v, Record *r, const char *name, Part *out) {
    if (v->source->prompt_template)
        return fill(v, r, "prompt_template", v->source->prompt_template, out);
    return row_part(v, r, name, out);
}

Status format_completion(const RowView *v, Record *r, const char *name, Part *out) {
    if (v->source->completion_template)
        return fill(v, r, "completion_template", v->source->completion_template, out);
    return row_part(v, r, name, out);
}
