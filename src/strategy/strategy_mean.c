/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies that step along the mean update.
 *
 * FedAvg: McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1, with a server learning rate
 * as in Reddi et al. 2021. FedSGD (there too, section 2) and FedProx (Li et al. 2020, algorithm 2)
 * take the same step; they differ in what the silos do. FedAvgM: Hsu, Qi, Brown 2019, section 4:
 * v <- m v + mean; w <- w + rate v.
 */
#include "strategy/strategies.h"

const struct gr_strategy_setting gr_setting_server_learning_rate = {
    .name = "server_learning_rate",
    .standard = "1",
    .above = true,
    .high = GR_STRATEGY_RATE_MAX,
    .narrow = true,
};

static const struct gr_strategy_setting server_momentum = {
    .name = "server_momentum", .standard = "0.9", .high = 1, .below = true, .narrow = true};

/* In float32, like the parameters: at rate 1 the model becomes the mean of the silos' models, but
 * for the grid of the sum and the rounding of one addition. */
void gr_strategy_step_mean(const struct gr_strategy_config *config,
                           const struct gr_server_step *step) {
    const float rate = (float)gr_strategy_get(config, "server_learning_rate");
    const float *mean = step->mean[0];
    for (size_t i = 0; i < step->n; i++)
        step->parameters[i] += rate * mean[i];
}

static void fedavgm_step(const struct gr_strategy_config *config,
                         const struct gr_server_step *step) {
    const float rate = (float)gr_strategy_get(config, "server_learning_rate");
    const float keep = (float)gr_strategy_get(config, "server_momentum");
    const float *mean = step->mean[0];
    float *momentum = step->server[0];
    for (size_t i = 0; i < step->n; i++) {
        momentum[i] = keep * momentum[i] + mean[i];
        step->parameters[i] += rate * momentum[i];
    }
}

const struct gr_strategy gr_strategy_fedavg = {
    .name = "fedavg",
    .source = "McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1",
    .setting = {&gr_setting_server_learning_rate},
    .step = gr_strategy_step_mean,
};

const struct gr_strategy gr_strategy_fedavgm = {
    .name = "fedavgm",
    .source = "Hsu, Qi, Brown 2019, section 4",
    .setting = {&gr_setting_server_learning_rate, &server_momentum},
    .n_server = 1,
    .server_name = {"momentum"},
    .step = fedavgm_step,
};

/* Silos take one plain step, whatever the batches. */
const struct gr_strategy gr_strategy_fedsgd = {
    .name = "fedsgd",
    .source = "McMahan, Moore, Ramage, Hampson, y Arcas 2017, section 2",
    .setting = {&gr_setting_server_learning_rate},
    .rule = {{"train.optimizer", "sgd"},
             {"train.momentum", "0"},
             {"train.proximal_mu", "0"},
             {"train.epochs", "1"},
             {"train.steps", "0"},
             {"train.seconds", "0"}},
    .full_gradient = true,
    .step = gr_strategy_step_mean,
};

const struct gr_strategy gr_strategy_fedprox = {
    .name = "fedprox",
    .source = "Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, algorithm 2",
    .setting = {&gr_setting_server_learning_rate},
    .rule = {{"train.proximal_mu", NULL}},
    .step = gr_strategy_step_mean,
};
