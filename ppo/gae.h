/* gae: generalised advantage estimation (Schulman et al. 2016, equations 11-16) over a trajectory.
 */
#ifndef HONE_PPO_GAE_H
#define HONE_PPO_GAE_H

#include "ppo/trajectory.h"

/* For each row, from its last slot back:
 *   delta_t = r_t + gamma V_{t+1} - V_t   (V behind the last slot is 0: the episode ends there)
 *   A_t     = delta_t + gamma lam A_{t+1}
 *   R_t     = A_t + V_t
 * Writes advantage and ret; whitening comes after, by the caller, so that returns are never
 * whitened. */
void gae(Trajectory *t, double gamma, double lam);

#endif
