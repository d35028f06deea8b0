/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adaptive strategies: FedAdagrad, FedAdam, FedYogi (Reddi et al. 2021, algorithm 2), with second
 * <- tau^2 before round 1: first <- beta1 first + (1 - beta1) mean; second as below;
 * w <- w + rate first / (sqrt(second) + tau).
 */
#include <math.h>

#include "strategy/strategies.h"

static const struct gr_strategy_setting beta1 = {
    .name = "beta1", .standard = "0.9", .high = 1, .below = true};
static const struct gr_strategy_setting beta2 = {
    .name = "beta2", .standard = "0.99", .high = 1, .below = true};
static const struct gr_strategy_setting tau = {
    .name = "tau",
    .standard = "0.001",
    .above = true,
    .high = GR_STRATEGY_RATE_MAX,
    .least = 1.1e-19, /* whose square is not 0 in float32 */
};

/* The paper asks for a second moment of at least tau^2 before round 1, so that no coordinate's
 * first step is divided by tau alone. */
static void adaptive_start(const struct gr_strategy_config *config, float *const *server,
                           size_t n) {
    const double least = gr_strategy_get(config, "tau");
    for (size_t i = 0; i < n; i++)
        server[1][i] = (float)(least * least);
}

/*
 * Once a round: in double, so that what float32 state loses is all that is lost. As in the paper
 * there is no correction of the moments' bias, unlike Kingma and Ba's Adam: tau bounds the first
 * steps.
 */
static void adaptive_step(const struct gr_strategy_config *config,
                          const struct gr_server_step *step) {
    const double keep = gr_strategy_get(config, "beta1"), least = gr_strategy_get(config, "tau");
    const double rate = gr_strategy_get(config, "server_learning_rate");
    for (size_t i = 0; i < step->n; i++) {
        const double first =
            keep * (double)step->server[0][i] + (1 - keep) * (double)step->mean[0][i];
        const double moved = rate * first / (sqrt((double)step->server[1][i]) + least);
        step->server[0][i] = (float)first;
        step->parameters[i] = (float)((double)step->parameters[i] + moved);
    }
}

static void fedadagrad_step(const struct gr_strategy_config *config,
                            const struct gr_server_step *step) {
    float *second = step->server[1];
    for (size_t i = 0; i < step->n; i++)
        second[i] =
            (float)((double)second[i] + (double)step->mean[0][i] * (double)step->mean[0][i]);
    adaptive_step(config, step);
}

static void fedadam_step(const struct gr_strategy_config *config,
                         const struct gr_server_step *step) {
    const double keep = gr_strategy_get(config, "beta2");
    float *second = step->server[1];
    for (size_t i = 0; i < step->n; i++) {
        const double square = (double)step->mean[0][i] * (double)step->mean[0][i];
        second[i] = (float)(keep * (double)second[i] + (1 - keep) * square);
    }
    adaptive_step(config, step);
}

/*
 * Adam's second moment loses a fixed share of itself in each round; Yogi's rises and falls by the
 * square of the mean alone, so that small means let it fall slowly (Zaheer, Reddi, Sachan, Kale,
 * Kumar 2018).
 */
static void fedyogi_step(const struct gr_strategy_config *config,
                         const struct gr_server_step *step) {
    const double keep = gr_strategy_get(config, "beta2");
    for (size_t i = 0; i < step->n; i++) {
        const double square = (double)step->mean[0][i] * (double)step->mean[0][i];
        const double second = (double)step->server[1][i];
        const double sign = (second > square) - (second < square);
        step->server[1][i] = (float)(second - (1 - keep) * square * sign);
    }
    adaptive_step(config, step);
}

#define ADAPTIVE(strategy, way)                                                                    \
    {                                                                                              \
        .name = (strategy), .source = "Reddi et al. 2021, algorithm 2",                            \
        .setting = {&gr_setting_server_learning_rate, &beta1, &beta2, &tau}, .n_server = 2,        \
        .server_name = {"first_moment", "second_moment"}, .start = adaptive_start, .step = (way)   \
    }

const struct gr_strategy gr_strategy_fedadagrad = ADAPTIVE("fedadagrad", fedadagrad_step);
const struct gr_strategy gr_strategy_fedadam = ADAPTIVE("fedadam", fedadam_step);
const struct gr_strategy gr_strategy_fedyogi = ADAPTIVE("fedyogi", fedyogi_step);
