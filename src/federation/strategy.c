/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies of the sum kind: pure functions from the mean update to a new model.
 *
 * FedAvg: McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1, with a server learning rate
 * as in Reddi et al. 2021. FedAvgM: Hsu, Qi, Brown 2019, section 4: v <- m v + mean;
 * w <- w + rate v.
 */
#include <granary/federation.h>

static void fedavg_step(const struct gr_strategy_config *config, float *parameters,
                        const float *mean, float *const *server, size_t n) {
    const float rate = (float)config->server_learning_rate;
    (void)server;
    for (size_t i = 0; i < n; i++)
        parameters[i] += rate * mean[i];
}

static void fedavgm_step(const struct gr_strategy_config *config, float *parameters,
                         const float *mean, float *const *server, size_t n) {
    const float rate = (float)config->server_learning_rate;
    const float keep = (float)config->server_momentum;
    float *momentum = server[0];
    for (size_t i = 0; i < n; i++) {
        momentum[i] = keep * momentum[i] + mean[i];
        parameters[i] += rate * momentum[i];
    }
}

static const struct gr_strategy strategies[] = {
    [GR_STRATEGY_FEDAVG] = {"fedavg", 0, {NULL, NULL}, fedavg_step},
    [GR_STRATEGY_FEDAVGM] = {"fedavgm", 1, {"momentum", NULL}, fedavgm_step},
};

const struct gr_strategy *gr_strategy_find(enum gr_strategy_name name) {
    size_t i = (size_t)name;
    return i < sizeof strategies / sizeof *strategies ? &strategies[i] : NULL;
}
