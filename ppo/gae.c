#include "ppo/gae.h"

void gae(Trajectory *t, double gamma, double lam) {
    for (int64_t row = 0; row < t->n_rows; row++) {
        double next_value = 0.0, next_advantage = 0.0;
        for (int64_t i = t->start[row + 1] - 1; i >= t->start[row]; i--) {
            double delta = t->reward[i] + gamma * next_value - t->value[i];
            next_advantage = delta + gamma * lam * next_advantage;
            next_value = t->value[i];
            t->advantage[i] = next_advantage;
            t->ret[i] = next_advantage + t->value[i];
        }
    }
}
