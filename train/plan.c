#include "train/plan.h"

#include "core/check.h"
#include "core/log.h"
#include "core/str.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

const char *plan_purpose_name(PlanPurpose purpose) {
    switch (purpose) {
    case PLAN_BASE:
        return "base weights";
    case PLAN_ADAPTERS:
        return "adapters and heads";
    case PLAN_GRADIENTS:
        return "gradients";
    case PLAN_OPTIMIZER:
        return "optimizer";
    case PLAN_ACTIVATIONS:
        return "activations";
    case PLAN_KV_CACHE:
        return "KV cache";
    case PLAN_LOGITS:
        return "logits";
    case PLAN_ROLLOUT:
        return "rollout";
    case PLAN_CHECKPOINT:
        return "checkpoint image";
    case PLAN_DATA:
        return "data";
    case PLAN_PURPOSES:
        break;
    }
    FAIL("purpose %d", (int)purpose);
}

static void put_text(char *dst, size_t cap, const char *text) {
    snprintf(dst, cap, "%s", text != NULL ? text : "");
}

void plan_add(MemoryPlan *p, PlanPurpose purpose, const char *what, size_t bytes) {
    if (bytes == 0) return;
    CHECK(p->n_entries < PLAN_MAX_ENTRIES, "more than %d entries", PLAN_MAX_ENTRIES);
    PlanEntry *e = &p->entries[p->n_entries++];
    e->purpose = purpose;
    e->bytes = bytes;
    put_text(e->what, sizeof(e->what), what);
}

void plan_role(MemoryPlan *p, const char *role, const char *base, const char *adapter,
               const char *head) {
    CHECK(p->n_roles < PLAN_MAX_ROLES, "more than %d roles", PLAN_MAX_ROLES);
    PlanRole *r = &p->roles[p->n_roles++];
    put_text(r->role, sizeof(r->role), role);
    put_text(r->base, sizeof(r->base), base);
    put_text(r->adapter, sizeof(r->adapter), adapter);
    put_text(r->head, sizeof(r->head), head);
}

size_t plan_purpose(const MemoryPlan *p, PlanPurpose purpose) {
    size_t total = 0;
    for (int i = 0; i < p->n_entries; i++)
        if (p->entries[i].purpose == purpose) total += p->entries[i].bytes;
    return total;
}

size_t plan_total(const MemoryPlan *p) {
    size_t total = 0;
    for (int i = 0; i < p->n_entries; i++) total += p->entries[i].bytes;
    return total;
}

char *plan_size(char *buf, size_t cap, size_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)bytes;
    int u = 0;
    while (x >= 1024 && u < 4) {
        x /= 1024;
        u++;
    }
    snprintf(buf, cap, u == 0 || x >= 100 ? "%.0f %s" : "%.1f %s", x, units[u]);
    return buf;
}

/* What stands under one purpose: "models/base (bfloat16), policy". */
static void list_entries(Str *out, const MemoryPlan *p, PlanPurpose purpose) {
    for (int i = 0; i < p->n_entries; i++)
        if (p->entries[i].purpose == purpose && p->entries[i].what[0] != '\0')
            str_printf(out, "%s%s", out->len > 0 ? ", " : "", p->entries[i].what);
}

void plan_print(const MemoryPlan *p) {
    char size[32];
    log_info("memory plan: %s", plan_size(size, sizeof(size), plan_total(p)));
    for (int u = 0; u < PLAN_PURPOSES; u++) {
        size_t bytes = plan_purpose(p, (PlanPurpose)u);
        if (bytes == 0) continue;
        Str what = {0};
        list_entries(&what, p, (PlanPurpose)u);
        log_info("  %-20s %10s  %s", plan_purpose_name((PlanPurpose)u),
                 plan_size(size, sizeof(size), bytes), str_text(&what));
        str_free(&what);
    }
    for (int i = 0; i < p->n_roles; i++) {
        const PlanRole *r = &p->roles[i];
        log_info("  %-20s base %s%s%s%s%s", r->role, r->base, r->adapter[0] ? ", adapter " : "",
                 r->adapter, r->head[0] ? ", head " : "", r->head);
    }
}

Json *plan_json(const MemoryPlan *p) {
    Json *plan = json_new_object();
    Json *entries = json_new_array();
    for (int i = 0; i < p->n_entries; i++) {
        const PlanEntry *e = &p->entries[i];
        Json *j = json_new_object();
        json_set(j, "purpose", json_new_str(plan_purpose_name(e->purpose)));
        json_set(j, "what", json_new_str(e->what));
        json_set(j, "bytes", json_new_int((int64_t)e->bytes));
        json_push(entries, j);
    }
    json_set(plan, "entries", entries);
    json_set(plan, "bytes", json_new_int((int64_t)plan_total(p)));
    Json *roles = json_new_array();
    for (int i = 0; i < p->n_roles; i++) {
        const PlanRole *r = &p->roles[i];
        Json *j = json_new_object();
        json_set(j, "role", json_new_str(r->role));
        json_set(j, "base", json_new_str(r->base));
        json_set(j, "adapter", json_new_str(r->adapter));
        json_set(j, "head", json_new_str(r->head));
        json_push(roles, j);
    }
    json_set(plan, "roles", roles);
    return plan;
}

size_t plan_peak_rss(void) {
    struct rusage usage;
    memset(&usage, 0, sizeof(usage));
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024; /* Linux counts KiB */
}
