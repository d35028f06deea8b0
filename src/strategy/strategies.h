/* SPDX-License-Identifier: Apache-2.0 */
/* The settings and the step that several strategies share. */
#ifndef GRANARY_STRATEGY_STRATEGIES_H
#define GRANARY_STRATEGY_STRATEGIES_H

#include <granary/strategy.h>

/* Beyond this rates make no sense, and float32 runs out of range. */
#define GR_STRATEGY_RATE_MAX 1000.0

extern const struct gr_strategy_setting gr_setting_server_learning_rate;

/* w <- w + rate mean, for strategies that differ in what the mean is of. */
void gr_strategy_step_mean(const struct gr_strategy_config *config,
                           const struct gr_server_step *step);

#endif
