/* SPDX-License-Identifier: Apache-2.0 */
/* Which strategies there are: a row each; strategies.h says where. */
#include "federation/strategies.h"

static const struct gr_strategy *const strategies[] = {
    [GR_STRATEGY_FEDAVG] = &gr_strategy_fedavg,
    [GR_STRATEGY_FEDAVGM] = &gr_strategy_fedavgm,
    [GR_STRATEGY_FEDSGD] = &gr_strategy_fedsgd,
    [GR_STRATEGY_FEDPROX] = &gr_strategy_fedprox,
    [GR_STRATEGY_FEDADAGRAD] = &gr_strategy_fedadagrad,
    [GR_STRATEGY_FEDADAM] = &gr_strategy_fedadam,
    [GR_STRATEGY_FEDYOGI] = &gr_strategy_fedyogi,
    [GR_STRATEGY_MEDIAN] = &gr_strategy_median,
    [GR_STRATEGY_TRIMMED_MEAN] = &gr_strategy_trimmed_mean,
};

const struct gr_strategy *gr_strategy_find(enum gr_strategy_name name) {
    const size_t i = (size_t)name;
    return i < sizeof strategies / sizeof *strategies ? strategies[i] : NULL;
}
