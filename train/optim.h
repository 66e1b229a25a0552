/* optim: AdamW over groups of trainable tensors.
 *
 *     OptimGroup g[] = {{.params = &params, .lr_scale = 1}};
 *     TRY(optim_open(&optim, dev, g, 1, &(OptimOptions){...}));
 *     optim_register(optim, state);                   // parameters, m, v and the step go into
 * checkpoints
 *     ... gradients of one whole optimizer step have accumulated in Param.grad ...
 *     optim_step(optim, lr, &stats);                  // norm, clip, update, gradients cleared
 *
 * Formula: torch.optim.AdamW (kernels/op_optim.h), preceded by torch.nn.utils.clip_grad_norm_:
 * norm = sqrt(sum of squares over all groups), factor = min(1, max_grad_norm / (norm + 1e-6)).
 * The sum runs tensor by tensor in the order of the groups, so it does not depend on threads.
 * Weight decay only touches tensors with Param.decay. Moments are real, on the device, zero at
 * open. */
#ifndef HONE_TRAIN_OPTIM_H
#define HONE_TRAIN_OPTIM_H

#include "model/model.h"
#include "train/config/config.h"
#include "train/state.h"

typedef struct Optim Optim;

/* Tensors with one learning rate. `role` names them in checkpoints: NULL or "" gives
 * params/<name>, "value" gives params/value/<name>; needed where two adapters on one base have the
 * same tensor names (PPO's policy and value). */
typedef struct OptimGroup {
    const char *role;
    const ParamList *params; /* its items are copied; the tensors belong to the model */
    double lr_scale;         /* multiplies the rate of the step; 0 is read as 1 */
} OptimGroup;

typedef struct OptimOptions {
    double beta1, beta2, eps, weight_decay;
    double max_grad_norm; /* 0: no clipping; the norm is computed all the same */
} OptimOptions;

OptimOptions optim_options(const TrainingConfig *t);

/* What one step did. A norm that is not finite leaves parameters and moments untouched (not even
 * the step counts); what happens then is the program's policy (run.h: run_numbers_bad). */
typedef struct OptimStats {
    double grad_norm;  /* before clipping */
    bool clipped;      /* the factor was below 1 */
    bool finite;       /* false: grad_norm is NaN or Inf, nothing was updated */
    const char *worst; /* first tensor whose gradient is not finite; NULL when finite */
} OptimStats;

/* ERR_OS when the moments do not fit. */
Status optim_open(Optim **out, Dev *dev, const OptimGroup *groups, int n_groups,
                  const OptimOptions *opt);
void optim_close(Optim *o);

/* Device memory of the moments, for the plan; the same before and after open. */
size_t optim_bytes(const OptimGroup *groups, int n_groups);

/* One update at rate `lr`; clears the gradients in any case. The caller tells the model that its
 * weights changed. Device errors: dev_check. */
void optim_step(Optim *o, double lr, OptimStats *stats);
int64_t optim_steps(const Optim *o); /* updates so far */

/* params/..., optim/m/..., optim/v/..., optim/step */
void optim_register(Optim *o, State *state);

#endif
