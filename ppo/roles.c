#include "ppo/roles.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"

static void pool_add(PpoRoles *r, Base *base, char *folder) {
    CHECK(r->n_owned < PPO_MAX_BASES, "%d bases", r->n_owned);
    r->owned[r->n_owned] = base;
    r->owned_folder[r->n_owned++] = folder;
}

/* A frozen base of that folder: the policy's where it is frozen and the same, one opened before, or
 * a new one. */
static Status frozen_base(Base **out, PpoRoles *r, const char *path) {
    char *folder = file_real(path);
    if (r->policy.adapter && r->policy.place.base) {
        char *own = file_real(r->policy.place.base);
        bool same = str_equal(own, folder);
        mem_free(own);
        if (same) {
            *out = r->policy.base;
            mem_free(folder);
            return OK;
        }
    }
    for (int i = 0; i < r->n_owned; i++) {
        if (!str_equal(r->owned_folder[i], folder)) continue;
        *out = r->owned[i];
        mem_free(folder);
        return OK;
    }
    BaseOptions options = {
        .path = path, .dtype = setup_dtype(r->dtype, path), .quant = r->quant, .trunk_only = true};
    Status st = base_open(out, r->dev, &options);
    if (st == OK)
        pool_add(r, *out, folder);
    else
        mem_free(folder);
    return st;
}

/* A model with a head of that kind; a value may come from a score head too. */
static Status open_headed(RewardModelRole *w, PpoRoles *r, HeadKind kind, const char *name,
                          const Config *cfg, const Tokenizer *tok) {
    TRY(place_model(&w->place, name, cfg->model.root));
    TRY(frozen_base(&w->base, r, w->place.base));
    const char *head_folder = w->place.adapter ? w->place.adapter : w->place.base;
    if (w->place.adapter)
        TRY(adapter_load(&w->adapter, w->base, "reward", w->place.adapter, false));
    if (!head_present(head_folder, kind))
        return status_fail(ERR_DATA,
                           "%s: no score.weight%s; ppo.%s.model must be a reward model (made by "
                           "`reward`, or an XForSequenceClassification with one label)%s",
                           head_folder, kind == HEAD_VALUE ? " and no v_head.summary.weight" : "",
                           kind == HEAD_VALUE ? "value" : "reward",
                           kind == HEAD_VALUE ? " or one with a value head (made by `ppo`)" : "");
    TRY(head_load(&w->head, w->base, kind, head_folder, false));
    TRY(tokenizer_open(&w->tok, head_folder));
    if (str_equal(tokenizer_digest(w->tok), tokenizer_digest(tok))) {
        tokenizer_close(w->tok);
        w->tok = NULL;
    }
    return OK;
}

static Status open_reference(PpoRoles *r) {
    Base *base = r->policy.base;
    if (!r->policy.adapter) {
        TRY(base_clone(&base, r->policy.base, false));
        pool_add(r, base, NULL);
    } else if (r->policy.place.adapter) {
        /* The policy starts from a trained adapter: a frozen copy of it is the reference. */
        TRY(adapter_load(&r->ref_adapter, base, "reference", r->policy.place.adapter, false));
    }
    r->ref_role = (Role){base, r->ref_adapter, NULL};
    return OK;
}

/* Where the value model starts: a base, its adapter folder, and a trained head (or none). */
typedef struct ValueStart {
    Base *base;
    const char *adapter; /* folder or NULL */
    const Head *head;
} ValueStart;

/* Trained like the policy: an adapter over a frozen base, or a whole copy. */
static Status open_value_from(PpoRoles *r, const ValueStart *from, const Config *cfg) {
    Base *base = from->base;
    bool whole = !r->policy.adapter || cfg->ppo.trl_compat;
    if (whole) {
        TRY(base_clone(&base, from->base, true));
        pool_add(r, base, NULL);
    }
    if (from->adapter) {
        TRY(adapter_load(&r->value_adapter, base, "value", from->adapter, !whole));
    } else if (!whole) {
        LoraOptions lora = setup_lora(cfg, "SEQ_CLS");
        lora.seed += 1; /* another draw than the policy's */
        TRY(adapter_create(&r->value_adapter, base, "value", &lora));
    }
    /* TRL's value model is a classifier, whose score has no bias. */
    HeadKind kind = cfg->ppo.trl_compat ? HEAD_SCORE : HEAD_VALUE;
    if (from->head)
        TRY(head_clone(&r->value_head, from->head, kind, true));
    else
        TRY(head_create(&r->value_head, base, kind, HEAD_INIT_ZERO, 0, true));
    r->value_role = (Role){base, r->value_adapter, r->value_head};
    return OK;
}

static const RewardModelRole *first_reward(const PpoRoles *r) {
    for (int i = 0; i < PPO_MAX_REWARDS; i++)
        if (r->reward[i].head) return &r->reward[i];
    return NULL;
}

static Status open_value(PpoRoles *r, const Config *cfg, const Tokenizer *tok) {
    const char *name = cfg->ppo.value_model;
    if (str_equal(name, "policy")) {
        ValueStart from = {r->policy.base, r->policy.place.adapter, NULL};
        return open_value_from(r, &from, cfg);
    }
    if (str_equal(name, "reward")) {
        const RewardModelRole *w = first_reward(r);
        CHECK(w, "value.model is reward, no reward is a model"); /* refused with the config */
        ValueStart from = {w->base, w->place.adapter, w->head};
        return open_value_from(r, &from, cfg);
    }
    RewardModelRole named = {0};
    Status st =
        open_headed(&named, r, cfg->ppo.trl_compat ? HEAD_SCORE : HEAD_VALUE, name, cfg, tok);
    if (st == OK && named.tok)
        st = status_fail(ERR_CONFIG,
                         "ppo.value.model: %s has another tokenizer than the policy; a value is "
                         "needed for each of the policy's tokens",
                         name);
    ValueStart from = {named.base, named.place.adapter, named.head};
    if (st == OK) st = open_value_from(r, &from, cfg);
    adapter_close(named.adapter);
    head_close(named.head);
    tokenizer_close(named.tok);
    model_place_free(&named.place);
    return st;
}

Status roles_open(PpoRoles *r, Dev *dev, const Config *cfg, const Tokenizer *tok) {
    *r = (PpoRoles){.dev = dev, .dtype = cfg->model.dtype, .quant = setup_quant(cfg)};
    TRY(setup_trainee(&r->policy, dev, cfg, "CAUSAL_LM", false));
    TRY(setup_check_vocab(r->policy.base, tok));
    r->policy_role = (Role){r->policy.base, r->policy.adapter, NULL};
    if (cfg->ppo.reward.n > PPO_MAX_REWARDS)
        return status_fail(ERR_CONFIG, "ppo.reward: at most %d sources", PPO_MAX_REWARDS);
    for (size_t i = 0; i < cfg->ppo.reward.n; i++)
        if (cfg->ppo.reward.items[i].kind == REWARD_MODEL)
            TRY(open_headed(&r->reward[i], r, HEAD_SCORE, cfg->ppo.reward.items[i].model, cfg,
                            tok));
    TRY(open_reference(r));
    TRY(open_value(r, cfg, tok));
    trainee_params(&r->policy_params, &r->policy);
    if (r->value_adapter && base_is_frozen(r->value_role.base))
        adapter_params(&r->value_params, r->value_adapter);
    else
        base_params(&r->value_params, r->value_role.base);
    head_params(&r->value_params, r->value_head);
    return OK;
}

void roles_close(PpoRoles *r) {
    params_free(&r->policy_params);
    params_free(&r->value_params);
    head_close(r->value_head);
    adapter_close(r->value_adapter);
    adapter_close(r->ref_adapter);
    for (int i = 0; i < PPO_MAX_REWARDS; i++) {
        head_close(r->reward[i].head);
        adapter_close(r->reward[i].adapter);
        tokenizer_close(r->reward[i].tok);
        model_place_free(&r->reward[i].place);
    }
    for (int i = 0; i < r->n_owned; i++) {
        base_close(r->owned[i]);
        mem_free(r->owned_folder[i]);
    }
    trainee_close(&r->policy);
    *r = (PpoRoles){0};
}

static const char *adapter_word(const Adapter *a) {
    return a ? "LoRA" : NULL;
}

/* A name for a base by its place in the list, so that roles with the same letter share it. */
static const char *base_word(const PpoRoles *r, const Base *b, char buf[32]) {
    buf[0] = 'A';
    buf[1] = '\0';
    for (int i = 0; i < r->n_owned; i++)
        if (r->owned[i] == b) buf[0] = (char)('B' + i);
    return buf;
}

void roles_plan(const PpoRoles *r, MemoryPlan *plan, const Config *cfg) {
    char word[32];
    plan_add(plan, PLAN_BASE, "base A (policy)", base_bytes(r->policy.base));
    for (int i = 0; i < r->n_owned; i++) {
        char what[64] = "base  ";
        what[5] = (char)('B' + i);
        what[6] = '\0';
        plan_add(plan, PLAN_BASE, what, base_bytes(r->owned[i]));
    }
    size_t policy = r->policy.adapter ? (size_t)params_count(&r->policy_params) : 0;
    size_t value = r->value_adapter ? (size_t)params_count(&r->value_params) : 0;
    plan_add(plan, PLAN_ADAPTERS, "adapters of policy and value, with gradients",
             2 * sizeof(float) * (policy + value));
    plan_role(plan, "policy", base_word(r, r->policy_role.base, word),
              adapter_word(r->policy_role.adapter), NULL);
    plan_role(plan, "reference", base_word(r, r->ref_role.base, word),
              adapter_word(r->ref_role.adapter), NULL);
    plan_role(plan, "value", base_word(r, r->value_role.base, word),
              adapter_word(r->value_role.adapter), "value");
    for (size_t i = 0; i < cfg->ppo.reward.n; i++)
        if (r->reward[i].head)
            plan_role(plan, "reward", base_word(r, r->reward[i].base, word),
                      adapter_word(r->reward[i].adapter), "score");
}
