/* What the peft section means. */
#include "train/config/loader.h"

#include <math.h>

/* Any key of the section means LoRA, except TRL's flat lora_*, which wait for use_peft. */
static void resolve_type(Config *c) {
    ConfigState *s = c->state;
    if (config_given(c, "peft.peft_type")) return;
    for (size_t i = 0; i < s->n_keys; i++) {
        const Slot *slot = &s->slots[i];
        bool in_tree = slot->node && !slot->flat && !yaml_is_null(slot->node);
        if (in_tree && str_starts(s->keys[i]->path, "peft.")) c->peft.peft_type = PEFT_LORA;
    }
}

/* The numbers of a mapping; each lies in `range`. */
static ModuleNumber *numbers(Config *c, const char *path, const PairList *pairs, bool whole) {
    ConfigState *s = c->state;
    ModuleNumber *out = yaml_store_alloc(s->store, pairs->n + 1, sizeof *out);
    for (size_t i = 0; i < pairs->n; i++) {
        double x = 0.0;
        const Pair *p = &pairs->items[i];
        bool good =
            yaml_to_number(p->value, &x) && x > 0.0 && (!whole || (x == floor(x) && x <= 65536.0));
        if (!good)
            yaml_error(&s->errors, config_slot(s, path)->place,
                       "`%s`: `%s` must have a %snumber above 0, not `%s`", path, p->key,
                       whole ? "whole " : "", p->value);
        out[i] = (ModuleNumber){p->key, x};
    }
    return out;
}

static int64_t *layers(Config *c) {
    ConfigState *s = c->state;
    const StrList *list = &c->peft.layers_to_transform;
    int64_t *out = yaml_store_alloc(s->store, list->n + 1, sizeof *out);
    for (size_t i = 0; i < list->n; i++) {
        double x = -1.0;
        if (!yaml_to_number(list->items[i], &x) || x < 0.0 || x != floor(x) || x > 1e6)
            yaml_error(&s->errors, config_slot(s, "peft.layers_to_transform")->place,
                       "`peft.layers_to_transform` must hold whole numbers from 0, not `%s`",
                       list->items[i]);
        out[i] = (int64_t)x;
    }
    return out;
}

void config_peft_resolve(Config *c) {
    PeftConfig *p = &c->peft;
    resolve_type(c);
    p->layers = layers(c);
    p->ranks = numbers(c, "peft.rank_pattern", &p->rank_pattern, true);
    p->alphas = numbers(c, "peft.alpha_pattern", &p->alpha_pattern, false);
}
