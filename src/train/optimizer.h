/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer: one step of a local solver, from the gradient of a batch. */
#ifndef GRANARY_TRAIN_OPTIMIZER_H
#define GRANARY_TRAIN_OPTIMIZER_H

#include <granary/config.h>

enum { GR_OPTIMIZER_STATE_MAX = 2 };

/* Vectors of state the optimizer keeps: 0, 1 (velocity) or 2 (first and second moment). */
size_t gr_optimizer_state(const struct gr_train_config *config);

/* gradient += mu (parameters - global), the gradient of mu/2 |w - w_global|^2 (Li et al. 2020,
 * "Federated optimization in heterogeneous networks", equation 2); n floats each. */
void gr_add_proximal(float *gradient, const float *parameters, const float *global, double mu,
                     size_t n);

/*
 * Returns the factor by which a gradient's L2 norm is at most max_norm: 1, or
 * max_norm / norm (Pascanu, Mikolov, Bengio 2013, algorithm 1). max_norm 0: 1.
 */
float gr_clip_scale(const float *gradient, double max_norm, size_t n);

/*
 * The step number t, from 1, of `config->optimizer` at learning rate `rate`, in place, on n floats;
 * g is scale times gradient, d the weight decay. All as in PyTorch:
 * sgd       v <- momentum v + (g + d w);  w <- w - rate v
 * nesterov  v <- momentum v + (g + d w);  w <- w - rate (g + d w + momentum v)
 * adam      m <- b1 m + (1 - b1)(g + d w);  s <- b2 s + (1 - b2)(g + d w)^2;
 *           w <- w - rate (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + epsilon)
 * adamw     w <- (1 - rate d) w; then as adam without d (Loshchilov and Hutter 2019)
 * state: as many vectors as gr_optimizer_state says, zero before the first step.
 */
void gr_optimizer_step(const struct gr_train_config *config, double rate, uint64_t t,
                       float *parameters, const float *gradient, float scale, float *const *state,
                       size_t n);

#endif
