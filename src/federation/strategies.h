/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies: each is defined in a file of its kind, and has a row in strategy.c. */
#ifndef GRANARY_FEDERATION_STRATEGIES_H
#define GRANARY_FEDERATION_STRATEGIES_H

#include <granary/federation.h>

/* strategy_mean.c */
extern const struct gr_strategy gr_strategy_fedavg, gr_strategy_fedavgm, gr_strategy_fedsgd,
    gr_strategy_fedprox;
/* strategy_adaptive.c */
extern const struct gr_strategy gr_strategy_fedadagrad, gr_strategy_fedadam, gr_strategy_fedyogi;
/* strategy_robust.c */
extern const struct gr_strategy gr_strategy_median, gr_strategy_trimmed_mean;

/* w <- w + rate mean, for strategies that differ in what the mean is of. */
void gr_strategy_step_mean(const struct gr_strategy_config *config, float *parameters,
                           const float *mean, float *const *server, size_t n);

#endif
