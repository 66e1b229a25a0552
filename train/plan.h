/* plan: memory by purpose, known before the first step, and which role uses which weights.
 *
 *     MemoryPlan plan = {0};
 *     plan_add(&plan, PLAN_BASE, "models/base (bfloat16)", base_bytes(base));
 *     plan_role(&plan, (PlanRole){.role = "reference", .base = "A", .adapter = NULL, .head =
 * NULL}); plan_print(&plan);                       // at the log, before step 0
 *
 * Peak memory as measured (plan_peak_rss) stands beside it at the end. Fixed capacity, no heap. */
#ifndef HONE_TRAIN_PLAN_H
#define HONE_TRAIN_PLAN_H

#include "core/io/json.h"

#include <stddef.h>

typedef enum PlanPurpose {
    PLAN_BASE,     /* frozen or trained weights of a base */
    PLAN_ADAPTERS, /* adapters and heads */
    PLAN_GRADIENTS,
    PLAN_OPTIMIZER,
    PLAN_ACTIVATIONS, /* arena of the passes */
    PLAN_KV_CACHE,
    PLAN_LOGITS,
    PLAN_ROLLOUT,
    PLAN_CHECKPOINT, /* image of a save */
    PLAN_DATA,
    PLAN_PURPOSES
} PlanPurpose;

#define PLAN_MAX_ENTRIES 48
#define PLAN_MAX_ROLES 8

typedef struct PlanEntry {
    PlanPurpose purpose;
    char what[96];
    size_t bytes;
} PlanEntry;

/* Roles with the same base text share one copy of it. NULL: none. */
typedef struct PlanRole {
    char role[24], base[96], adapter[48], head[48];
} PlanRole;

typedef struct MemoryPlan {
    PlanEntry entries[PLAN_MAX_ENTRIES];
    int n_entries;
    PlanRole roles[PLAN_MAX_ROLES];
    int n_roles;
} MemoryPlan;

void plan_add(MemoryPlan *p, PlanPurpose purpose, const char *what,
              size_t bytes); /* 0 bytes: left out */
void plan_role(MemoryPlan *p, const char *role, const char *base, const char *adapter,
               const char *head);
size_t plan_total(const MemoryPlan *p);
size_t plan_purpose(const MemoryPlan *p, PlanPurpose purpose);
const char *plan_purpose_name(PlanPurpose purpose); /* "base weights", "activations", ... */
void plan_print(const MemoryPlan *p); /* log_info, one line a purpose, and the roles */
Json *plan_json(const MemoryPlan *p); /* for run.json; the caller's */

/* "12.3 MiB" into the caller's buffer; returns it. */
char *plan_size(char *buf, size_t cap, size_t bytes);
size_t plan_peak_rss(void); /* the process's peak resident memory so far, bytes */

#endif
