/* Built-in rewards: small, exact, and good for trying PPO out. Their names and arguments are the
 * config's (train/config/config_rewards.c). */
#include "ppo/reward_source.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"

#include <ctype.h>
#include <math.h>
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
static double value_occurrences(const FunctionReward *f, const RewardQuery *q) {
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

typedef double RewardValue(const FunctionReward *f, const RewardQuery *q);

static RewardValue *const values[REWARD_FN_COUNT] = {
    [REWARD_FN_LENGTH] = value_length,
    [REWARD_FN_CONTAINS] = value_contains,
    [REWARD_FN_OCCURRENCES] = value_occurrences,
    [REWARD_FN_STARTS_WITH] = value_starts_with,
    [REWARD_FN_ENDS] = value_ends,
    [REWARD_FN_MATCHES_FIELD] = value_matches_field,
};

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

static char *take_text(const PairList *args, const char *key) {
    const char *text = config_pair(args, key);
    return text ? mem_strdup(text) : NULL;
}

void reward_function_open(RewardScorer *out, const RewardSource *config) {
    CHECK(values[config->function], "reward function %d", (int)config->function);
    FunctionReward *f = mem_zalloc(1, sizeof *f);
    *f = (FunctionReward){
        .value = values[config->function],
        .text = take_text(&config->args, "text"),
        .field = take_text(&config->args, "field"),
        .target = config_pair_number(&config->args, "target", 1.0),
        .scale = config_pair_number(&config->args, "scale", 1.0),
    };
    *out = (RewardScorer){function_score, function_close, f, config->weight};
}
