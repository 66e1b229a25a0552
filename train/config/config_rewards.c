/* ppo.reward: which kind each entry is, and the built-in functions with their arguments. What they
 * compute is in ppo/reward_function.c. */
#include "train/config/loader.h"

#include "core/mem.h"

const RewardFunctionSpec REWARD_FUNCTIONS[REWARD_FN_COUNT] = {
    [REWARD_FN_LENGTH] = {{"target"}, {"scale"}, "minus how many words the response is away from target, over scale (1)"},
    [REWARD_FN_CONTAINS] = {{"text"}, {0}, "1 where the response contains the text"},
    [REWARD_FN_OCCURRENCES] = {{"text", "target"},
                               {0},
                               "how often the text occurs, at most target times, over target"},
    [REWARD_FN_STARTS_WITH] = {{"text"},
                               {0},
                               "1 where the response starts with the text (after blanks)"},
    [REWARD_FN_ENDS] = {{0}, {0}, "1 where a stop token ended the response"},
    [REWARD_FN_MATCHES_FIELD] = {{"field"},
                                 {0},
                                 "1 where the response contains that string field of the data "
                                 "row"},
};

/* Arguments are numbers above 0, or texts. */
static bool is_number(const char *argument) {
    return str_equal(argument, "target") || str_equal(argument, "scale");
}

static bool is_among(const char *const names[REWARD_FN_MAX_ARGS], const char *name) {
    for (int i = 0; i < REWARD_FN_MAX_ARGS && names[i]; i++)
        if (str_equal(names[i], name)) return true;
    return false;
}

static void check_value(ConfigState *s, const YamlNode *at, const Pair *arg) {
    double x = 0;
    if (is_number(arg->key) && !(yaml_to_number(arg->value, &x) && x > 0))
        yaml_error(&s->errors, at, "`ppo.reward`: `%s` is `%s`; it must be a number above 0",
                   arg->key, arg->value);
    if (!is_number(arg->key) && !*arg->value)
        yaml_error(&s->errors, at, "`ppo.reward`: `%s` is empty; give a text", arg->key);
}

/* "target, scale": all that a function takes. */
void config_reward_arguments(Str *out, const RewardFunctionSpec *f) {
    for (int i = 0; i < REWARD_FN_MAX_ARGS && f->needs[i]; i++)
        str_printf(out, "%s%s", out->len ? ", " : "", f->needs[i]);
    for (int i = 0; i < REWARD_FN_MAX_ARGS && f->takes[i]; i++)
        str_printf(out, "%s%s", out->len ? ", " : "", f->takes[i]);
}

static void unknown_argument(ConfigState *s, const YamlNode *at, const RewardFunctionSpec *f,
                             const char *function, const char *name) {
    Str known = {0};
    config_reward_arguments(&known, f);
    yaml_error(&s->errors, at, "`ppo.reward`: function `%s` has no argument `%s`; it takes: %s",
               function, name, known.len ? str_text(&known) : "none");
    str_free(&known);
}

/* `entry` is the mapping that was read; messages point into it. */
static void check_function(ConfigState *s, const RewardSource *r, const YamlNode *entry) {
    const RewardFunctionSpec *f = &REWARD_FUNCTIONS[r->function];
    const YamlNode *name = yaml_get(entry, "function");
    for (size_t i = 0; i < r->args.n; i++) {
        const Pair *arg = &r->args.items[i];
        const YamlNode *given = yaml_key(entry, arg->key);
        const YamlNode *at = given ? given : name; /* or below `args` */
        if (is_among(f->needs, arg->key) || is_among(f->takes, arg->key))
            check_value(s, at, arg);
        else
            unknown_argument(s, at, f, name->text, arg->key);
    }
    for (int i = 0; i < REWARD_FN_MAX_ARGS && f->needs[i]; i++)
        if (!config_pair(&r->args, f->needs[i]))
            yaml_error(&s->errors, name, "`ppo.reward`: function `%s` needs `%s`", name->text,
                       f->needs[i]);
}

void config_rewards_resolve(Config *c) {
    for (size_t i = 0; i < c->ppo.reward.n; i++) {
        RewardSource *r = &c->ppo.reward.items[i];
        r->kind = r->function    ? REWARD_FUNCTION
                  : r->command.n ? REWARD_COMMAND
                  : r->url       ? REWARD_URL
                                 : REWARD_MODEL;
    }
}

void config_rewards_check(Config *c) {
    ConfigState *s = c->state;
    const YamlNode *node = config_slot(s, "ppo.reward")->node;
    for (size_t i = 0; i < c->ppo.reward.n; i++) {
        const RewardSource *r = &c->ppo.reward.items[i];
        const YamlNode *entry = node->kind == YAML_SEQUENCE ? node->items[i] : node;
        int n = (r->model != NULL) + (r->function != 0) + (r->command.n > 0) + (r->url != NULL);
        if (n != 1)
            yaml_error(&s->errors, entry,
                       "`ppo.reward` needs one of model, function, command, url in each entry");
        else if (r->kind == REWARD_FUNCTION)
            check_function(s, r, entry);
    }
}
