/* roles: policy, reference, value and reward of PPO over as few bases as possible.
 *
 *     policy      model.path, trained as a whole or as an adapter
 *     reference   the policy with its adapter off; with an SFT adapter a frozen copy of that; with
 * full training a frozen copy of the base value       as ppo.value.model says: starts from the
 * reward model or from the policy, trained like the policy (an adapter where LoRA is used;
 * ppo.trl_compat: always a full copy) reward      frozen; its adapter sits on the policy's base
 * where that is frozen and the same
 *
 * Frozen bases of the same folder are opened once (law L4); the plan prints who shares what.
 */
#ifndef HONE_PPO_ROLES_H
#define HONE_PPO_ROLES_H

#include "stage/setup.h"

#define PPO_MAX_REWARDS 8
#define PPO_MAX_BASES (PPO_MAX_REWARDS + 4)

typedef struct RewardModelRole {
    ModelPlace place;
    Base *base;       /* from the pool: borrowed */
    Adapter *adapter; /* or NULL */
    Head *head;
    Tokenizer *tok; /* NULL where it is the policy's */
} RewardModelRole;

typedef struct PpoRoles {
    Dev *dev;
    ModelDtype dtype;   /* of frozen bases */
    QuantOptions quant; /* of them */
    Trainee policy;
    Role policy_role, ref_role, value_role;
    /* what the roles own beside the policy */
    Base *owned[PPO_MAX_BASES];        /* the pool */
    char *owned_folder[PPO_MAX_BASES]; /* real path of a frozen one, NULL for a copy */
    int n_owned;
    Adapter *ref_adapter, *value_adapter;
    Head *value_head;
    RewardModelRole reward[PPO_MAX_REWARDS]; /* by index in ppo.reward; only those of kind
                                                REWARD_MODEL are filled */
    ParamList policy_params, value_params;
} PpoRoles;

Status roles_open(PpoRoles *r, Dev *dev, const Config *cfg, const Tokenizer *tok);
void roles_close(PpoRoles *r);
void roles_plan(const PpoRoles *r, MemoryPlan *plan, const Config *cfg);

#endif
