/* kl_control: the coefficient of the KL penalty, fixed or adaptive (Ziegler et al. 2019,
 * section 2.2). */
#ifndef HONE_PPO_KL_CONTROL_H
#define HONE_PPO_KL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct KlControl {
    bool adaptive;
    double target;  /* nats a sequence */
    double horizon; /* sequences */
    double coef;    /* beta in use: the controller's whole state */
} KlControl;

/* After an update of n_rows sequences whose mean KL a sequence was `kl`:
 *   e = clip(kl/target - 1, -0.2, 0.2);  beta *= 1 + e n/horizon. Fixed controllers do not move. */
void kl_control_update(KlControl *c, double kl, int64_t n_rows);

#endif
