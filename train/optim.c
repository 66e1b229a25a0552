#include "train/optim.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"
#include "kernels/op_elementwise.h"
#include "kernels/op_optim.h"

#include <math.h>

typedef struct Group {
    const char *role;
    ParamList params; /* a copy of the records */
    double lr_scale;
} Group;

struct Optim {
    Dev *dev;
    OptimOptions opt;
    Group *groups;
    int n_groups;
    void *memory;  /* moments and the sum of squares */
    Tensor *m, *v; /* [tensors of all groups, in order] real, each as its parameter */
    Tensor sum;    /* [1] f64 */
    int64_t steps;
};

OptimOptions optim_options(const TrainingConfig *t) {
    return (OptimOptions){.beta1 = t->adam_beta1,
                          .beta2 = t->adam_beta2,
                          .eps = t->adam_epsilon,
                          .weight_decay = t->weight_decay,
                          .max_grad_norm = t->max_grad_norm};
}

/* Where everything lies: the same calls measure (optim_bytes) and allocate (optim_open). */
static void place(Arena *a, const OptimGroup *groups, int n_groups, Tensor *m, Tensor *v,
                  Tensor *sum) {
    *sum = arena_1d(a, DTYPE_F64, 1);
    for (int g = 0; g < n_groups; g++) {
        for (int i = 0; i < groups[g].params->n; i++) {
            Tensor first = arena_like(a, groups[g].params->items[i].value);
            Tensor second = arena_like(a, groups[g].params->items[i].value);
            if (m == NULL) continue;
            *m++ = first;
            *v++ = second;
        }
    }
}

size_t optim_bytes(const OptimGroup *groups, int n_groups) {
    Arena measure;
    Tensor sum;
    arena_init_measure(&measure, "optimizer");
    place(&measure, groups, n_groups, NULL, NULL, &sum);
    return measure.peak;
}

Status optim_open(Optim **out, Dev *dev, const OptimGroup *groups, int n_groups,
                  const OptimOptions *opt) {
    Optim *o = mem_zalloc(1, sizeof(*o));
    *out = NULL;
    o->dev = dev;
    o->opt = *opt;
    o->groups = mem_zalloc((size_t)n_groups, sizeof(Group));
    o->n_groups = n_groups;
    size_t n_tensors = 0;
    for (int g = 0; g < n_groups; g++) {
        o->groups[g].role = groups[g].role;
        o->groups[g].lr_scale = groups[g].lr_scale > 0 ? groups[g].lr_scale : 1;
        for (int i = 0; i < groups[g].params->n; i++)
            params_add(&o->groups[g].params, groups[g].params->items[i]);
        n_tensors += (size_t)groups[g].params->n;
    }
    o->m = mem_zalloc(n_tensors, sizeof(Tensor));
    o->v = mem_zalloc(n_tensors, sizeof(Tensor));
    size_t bytes = optim_bytes(groups, n_groups);
    Status st = dev_alloc(&o->memory, dev, bytes);
    if (st != OK) {
        optim_close(o);
        return st;
    }
    Arena arena;
    arena_init(&arena, "optimizer", o->memory, bytes);
    place(&arena, groups, n_groups, o->m, o->v, &o->sum);
    for (size_t i = 0; i < n_tensors; i++) {
        op_fill(dev, o->m[i], 0);
        op_fill(dev, o->v[i], 0);
    }
    *out = o;
    return OK;
}

void optim_close(Optim *o) {
    if (o == NULL) return;
    for (int g = 0; g < o->n_groups; g++) params_free(&o->groups[g].params);
    if (o->memory != NULL) dev_free(o->dev, o->memory);
    mem_free(o->groups);
    mem_free(o->m);
    mem_free(o->v);
    mem_free(o);
}

/* ---- one step ------------------------------------------------------------------------------ */

static double sum_squares(Optim *o, const ParamList *list, int first, int n) {
    double sum = 0;
    dev_upload(o->dev, o->sum, &sum);
    for (int i = first; i < first + n; i++) op_sum_squares(o->dev, o->sum, list->items[i].grad);
    dev_download(o->dev, &sum, o->sum);
    return sum;
}

static double global_norm(Optim *o) {
    double sum = 0;
    for (int g = 0; g < o->n_groups; g++)
        sum += sum_squares(o, &o->groups[g].params, 0, o->groups[g].params.n);
    return sqrt(sum);
}

static const char *first_bad_tensor(Optim *o) {
    for (int g = 0; g < o->n_groups; g++) {
        const ParamList *list = &o->groups[g].params;
        for (int i = 0; i < list->n; i++)
            if (!isfinite(sum_squares(o, list, i, 1))) return list->items[i].name;
    }
    return "the sum over all tensors"; /* each is finite, their squares overflow together */
}

static void update(Optim *o, double lr, double grad_scale) {
    size_t at = 0;
    for (int g = 0; g < o->n_groups; g++) {
        const Group *group = &o->groups[g];
        for (int i = 0; i < group->params.n; i++, at++) {
            const Param *p = &group->params.items[i];
            op_adamw(o->dev, p->value, o->m[at], o->v[at], p->grad,
                     (AdamwArgs){.lr = lr * group->lr_scale,
                                 .beta1 = o->opt.beta1,
                                 .beta2 = o->opt.beta2,
                                 .eps = o->opt.eps,
                                 .weight_decay = p->decay ? o->opt.weight_decay : 0,
                                 .grad_scale = grad_scale,
                                 .step = o->steps});
        }
    }
}

void optim_step(Optim *o, double lr, OptimStats *stats) {
    *stats = (OptimStats){.grad_norm = global_norm(o)};
    stats->finite = isfinite(stats->grad_norm);
    if (stats->finite) {
        double scale = 1;
        if (o->opt.max_grad_norm > 0) scale = o->opt.max_grad_norm / (stats->grad_norm + 1e-6);
        stats->clipped = scale < 1;
        o->steps++;
        update(o, lr, stats->clipped ? scale : 1);
    } else {
        stats->worst = first_bad_tensor(o);
    }
    for (int g = 0; g < o->n_groups; g++) params_zero_grad(o->dev, &o->groups[g].params);
}

int64_t optim_steps(const Optim *o) {
    return o->steps;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void register_tensor(State *state, const char *what, const char *role, const char *name,
                            Tensor t) {
    bool plain = role == NULL || role[0] == '\0';
    char *path = str_format("%s/%s%s%s", what, plain ? "" : role, plain ? "" : "/", name);
    state_tensor(state, path, t);
    mem_free(path);
}

void optim_register(Optim *o, State *state) {
    size_t at = 0;
    for (int g = 0; g < o->n_groups; g++) {
        const Group *group = &o->groups[g];
        for (int i = 0; i < group->params.n; i++, at++) {
            const Param *p = &group->params.items[i];
            register_tensor(state, "params", group->role, p->name, p->value);
            register_tensor(state, "optim/m", group->role, p->name, o->m[at]);
            register_tensor(state, "optim/v", group->role, p->name, o->v[at]);
        }
    }
    state_i64(state, "optim/step", &o->steps);
}
