#include "ppo/kl_control.h"

void kl_control_update(KlControl *c, double kl, int64_t n_rows) {
    if (!c->adaptive) return;
    double error = kl / c->target - 1.0;
    if (error > 0.2) error = 0.2;
    if (error < -0.2) error = -0.2;
    c->coef *= 1.0 + error * (double)n_rows / c->horizon;
}
