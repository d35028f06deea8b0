/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies of the sum kind: pure functions from the mean update to a new model.
 *
 * FedAvg: McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1, with a server learning rate
 * as in Reddi et al. 2021. FedSGD (there too, section 2) and FedProx (Li et al. 2020, algorithm 2)
 * take the same step; they differ in what the silos do. FedAvgM: Hsu, Qi, Brown 2019, section 4:
 * v <- m v + mean; w <- w + rate v. FedAdagrad, FedAdam, FedYogi: Reddi et al. 2021, algorithm 2,
 * with second <- tau^2 before round 1:
 * first <- beta1 first + (1 - beta1) mean; second as below;
 * w <- w + rate first / (sqrt(second) + tau).
 */
#include <granary/federation.h>

#include <math.h>

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

static void adaptive_start(const struct gr_strategy_config *config, float *const *server,
                           size_t n) {
    for (size_t i = 0; i < n; i++)
        server[1][i] = (float)(config->tau * config->tau);
}

/* Once a round: in double, so that what float32 state loses is all that is lost. */
static void adaptive_step(const struct gr_strategy_config *config, float *parameters,
                          const float *mean, float *const *server, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const double first =
            config->beta1 * (double)server[0][i] + (1 - config->beta1) * (double)mean[i];
        const double moved =
            config->server_learning_rate * first / (sqrt((double)server[1][i]) + config->tau);
        server[0][i] = (float)first;
        parameters[i] = (float)((double)parameters[i] + moved);
    }
}

static void fedadagrad_step(const struct gr_strategy_config *config, float *parameters,
                            const float *mean, float *const *server, size_t n) {
    for (size_t i = 0; i < n; i++)
        server[1][i] = (float)((double)server[1][i] + (double)mean[i] * (double)mean[i]);
    adaptive_step(config, parameters, mean, server, n);
}

static void fedadam_step(const struct gr_strategy_config *config, float *parameters,
                         const float *mean, float *const *server, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const double square = (double)mean[i] * (double)mean[i];
        server[1][i] = (float)(config->beta2 * (double)server[1][i] + (1 - config->beta2) * square);
    }
    adaptive_step(config, parameters, mean, server, n);
}

static void fedyogi_step(const struct gr_strategy_config *config, float *parameters,
                         const float *mean, float *const *server, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const double square = (double)mean[i] * (double)mean[i], second = (double)server[1][i];
        const double sign = (second > square) - (second < square);
        server[1][i] = (float)(second - (1 - config->beta2) * square * sign);
    }
    adaptive_step(config, parameters, mean, server, n);
}

#define ADAPTIVE(strategy, way)                                                                    \
    {                                                                                              \
        .name = (strategy), .n_server = 2, .server_name = {"first_moment", "second_moment"},       \
        .start = adaptive_start, .step = (way)                                                     \
    }

static const struct gr_strategy strategies[] = {
    [GR_STRATEGY_FEDAVG] = {.name = "fedavg", .step = fedavg_step},
    [GR_STRATEGY_FEDAVGM] = {.name = "fedavgm",
                             .n_server = 1,
                             .server_name = {"momentum"},
                             .step = fedavgm_step},
    [GR_STRATEGY_FEDSGD] = {.name = "fedsgd", .full_gradient = true, .step = fedavg_step},
    [GR_STRATEGY_FEDPROX] = {.name = "fedprox", .step = fedavg_step},
    [GR_STRATEGY_FEDADAGRAD] = ADAPTIVE("fedadagrad", fedadagrad_step),
    [GR_STRATEGY_FEDADAM] = ADAPTIVE("fedadam", fedadam_step),
    [GR_STRATEGY_FEDYOGI] = ADAPTIVE("fedyogi", fedyogi_step),
};

const struct gr_strategy *gr_strategy_find(enum gr_strategy_name name) {
    size_t i = (size_t)name;
    return i < sizeof strategies / sizeof *strategies ? &strategies[i] : NULL;
}
