/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies that step along the mean update.
 *
 * FedAvg: McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1, with a server learning rate
 * as in Reddi et al. 2021. FedSGD (there too, section 2) and FedProx (Li et al. 2020, algorithm 2)
 * take the same step; they differ in what the silos do. FedAvgM: Hsu, Qi, Brown 2019, section 4:
 * v <- m v + mean; w <- w + rate v.
 */
#include "federation/strategies.h"

void gr_strategy_step_mean(const struct gr_strategy_config *config, float *parameters,
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

const struct gr_strategy gr_strategy_fedavg = {.name = "fedavg", .step = gr_strategy_step_mean};

const struct gr_strategy gr_strategy_fedprox = {.name = "fedprox", .step = gr_strategy_step_mean};

const struct gr_strategy gr_strategy_fedsgd = {
    .name = "fedsgd", .full_gradient = true, .step = gr_strategy_step_mean};

const struct gr_strategy gr_strategy_fedavgm = {
    .name = "fedavgm", .n_server = 1, .server_name = {"momentum"}, .step = fedavgm_step};
