/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adaptive strategies: FedAdagrad, FedAdam, FedYogi (Reddi et al. 2021, algorithm 2), with second
 * <- tau^2 before round 1: first <- beta1 first + (1 - beta1) mean; second as below;
 * w <- w + rate first / (sqrt(second) + tau).
 */
#include <math.h>

#include "federation/strategies.h"

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

const struct gr_strategy gr_strategy_fedadagrad = ADAPTIVE("fedadagrad", fedadagrad_step);
const struct gr_strategy gr_strategy_fedadam = ADAPTIVE("fedadam", fedadam_step);
const struct gr_strategy gr_strategy_fedyogi = ADAPTIVE("fedyogi", fedyogi_step);
