/* Built-in rewards: small, exact, and good for trying PPO out. */
#include "ppo/reward_source.h"

#include "core/mem.h"
#include "core/str.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct FunctionReward FunctionReward;
struct FunctionReward {
    double (*value)(const FunctionReward *f, const RewardQuery *q);
    char *text, *field;
    double target, scale;
};

static int64_t count_words(const char *s) {
    int64_t words = 0;
    bool inside = false;
    for (; *s; s++) {
        bool space = isspace((unsigned char)*s) != 0;
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

/* -|words - target| / scale */
static double value_length(const FunctionReward *f, const RewardQuery *q) {
    return -fabs((double)count_words(q->response) - f->target) / f->scale;
}

static double value_contains(const FunctionReward *f, const RewardQuery *q) {
    return strstr(q->response, f->text) ? 1.0 : 0.0;
}

/* How often the text occurs, at most `target` times. */
static double value_count(const FunctionReward *f, const RewardQuery *q) {
    double found = 0.0;
    size_t step = strlen(f->text);
    for (const char *p = q->response; (p = strstr(p, f->text)); p += step) found += 1.0;
    return fmin(found, f->target) / f->target;
}

static double value_starts_with(const FunctionReward *f, const RewardQuery *q) {
    const char *s = q->response;
    while (isspace((unsigned char)*s)) s++;
    return str_starts(s, f->text) ? 1.0 : 0.0;
}

static double value_ends(const FunctionReward *f, const RewardQuery *q) {
    (void)f;
    return q->ended ? 1.0 : 0.0;
}

/* The row's own field stands in the response: answers that can be checked. */
static double value_matches_field(const FunctionReward *f, const RewardQuery *q) {
    Json *row = NULL;
    if (!q->row || json_parse(&row, q->row, strlen(q->row), "row", 1) != OK) return 0.0;
    const Json *want = json_get(row, f->field);
    bool found = json_is(want, JSON_KIND_STRING) && strstr(q->response, json_str(want, NULL));
    json_free(row);
    return found ? 1.0 : 0.0;
}

typedef struct FunctionKind {
    RewardFunctionInfo info;
    double (*value)(const FunctionReward *f, const RewardQuery *q);
    bool needs_text, needs_field, needs_target;
} FunctionKind;

static const FunctionKind kinds[] = {
    {{"length", "target, scale", "-|words - target| / scale"}, value_length, false, false, true},
    {{"contains", "text", "1 where the response contains the text"},
     value_contains,
     true,
     false,
     false},
    {{"count", "text, target", "how often the text occurs, at most target times, over target"},
     value_count,
     true,
     false,
     true},
    {{"starts_with", "text", "1 where the response starts with the text (after blanks)"},
     value_starts_with,
     true,
     false,
     false},
    {{"ends", "", "1 where a stop token ended the response"}, value_ends, false, false, false},
    {{"matches_field", "field", "1 where the response contains that string field of the data row"},
     value_matches_field,
     false,
     true,
     false},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

const RewardFunctionInfo *reward_function_list(void) {
    static RewardFunctionInfo list[N_KINDS + 1];
    for (size_t i = 0; i < N_KINDS; i++) list[i] = kinds[i].info;
    return list;
}

static Status function_score(void *self, double *out, const RewardQuery *queries, int64_t n,
                             int64_t *answered) {
    const FunctionReward *f = self;
    for (int64_t i = 0; i < n; i++) out[i] = f->value(f, &queries[i]);
    *answered = n;
    return OK;
}

static void function_close(void *self) {
    FunctionReward *f = self;
    mem_free(f->text);
    mem_free(f->field);
    mem_free(f);
}

static Status check_arguments(const FunctionKind *kind, const PairList *args) {
    const char *known[] = {"text", "field", "target", "scale"};
    bool wanted[] = {kind->needs_text, kind->needs_field, kind->needs_target,
                     strstr(kind->info.arguments, "scale") != NULL};
    for (size_t i = 0; i < args->n; i++) {
        bool fits = false;
        for (int k = 0; k < 4; k++)
            fits = fits || (wanted[k] && str_equal(args->items[i].key, known[k]));
        if (!fits)
            return status_fail(ERR_CONFIG,
                               "ppo.reward: function `%s` has no argument `%s`; it takes: %s",
                               kind->info.name, args->items[i].key,
                               *kind->info.arguments ? kind->info.arguments : "none");
    }
    for (int k = 0; k < 3; k++)
        if (wanted[k] && !config_pair(args, known[k]))
            return status_fail(ERR_CONFIG, "ppo.reward: function `%s` needs `%s`", kind->info.name,
                               known[k]);
    return OK;
}

/* A number among the arguments, above 0; 1 where it is not given. */
static Status take_number(double *out, const PairList *args, const char *key) {
    const char *text = config_pair(args, key);
    char *end = NULL;
    *out = 1.0;
    if (!text) return OK;
    *out = strtod(text, &end);
    if (end != text && !*end && isfinite(*out) && *out > 0.0) return OK;
    return status_fail(ERR_CONFIG, "ppo.reward: `%s` is `%s`; it must be a number above 0", key,
                       text);
}

static Status take_arguments(FunctionReward *f, const PairList *args) {
    const char *text = config_pair(args, "text"), *field = config_pair(args, "field");
    f->text = text ? mem_strdup(text) : NULL;
    f->field = field ? mem_strdup(field) : NULL;
    if (text && !*text) return status_fail(ERR_CONFIG, "ppo.reward: `text` is empty");
    TRY(take_number(&f->target, args, "target"));
    return take_number(&f->scale, args, "scale");
}

Status reward_function_open(RewardScorer *out, const RewardSource *config) {
    Str names = {0};
    for (size_t i = 0; i < N_KINDS; i++) {
        str_printf(&names, "%s%s", i ? ", " : "", kinds[i].info.name);
        if (!str_equal(config->function, kinds[i].info.name)) continue;
        str_free(&names);
        TRY(check_arguments(&kinds[i], &config->args));
        FunctionReward *f = mem_zalloc(1, sizeof *f);
        f->value = kinds[i].value;
        Status taken = take_arguments(f, &config->args);
        if (taken != OK)
            function_close(f);
        else
            *out = (RewardScorer){function_score, function_close, f, config->weight};
        return taken;
    }
    Status st = status_fail(ERR_CONFIG, "ppo.reward: no function `%s`; there are: %s",
                            config->function, str_text(&names));
    str_free(&names);
    return st;
}
