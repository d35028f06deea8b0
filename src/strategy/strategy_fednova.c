/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FedNova (Wang, Liu, Liang, Joshi, Poor 2020, equation 8, with plain SGD, so that the norm of
 * a silo's accumulation is its number of local steps): d_i = update_i / steps_i;
 * w <- w + rate (sum p_i steps_i) (sum p_i d_i), p_i the silo's share of all weights. Silos that
 * take more steps no longer pull the model towards their own optimum.
 */
#include "strategy/strategies.h"

static void fednova_conclude(const struct gr_silo_part *part) {
    if (part->steps == 0) return; /* its rows weigh nothing, and its update is 0 */
    for (size_t i = 0; i < part->n; i++)
        part->sent[0][i] /= (float)part->steps;
}

/* mean[0] is the weighted mean of updates by step, step->steps that of the steps. The two are
 * summed apart, since their product is of sums, not a sum of products. */
static void fednova_step(const struct gr_strategy_config *config,
                         const struct gr_server_step *step) {
    const double rate = gr_strategy_get(config, "server_learning_rate") * step->steps;
    for (size_t i = 0; i < step->n; i++)
        step->parameters[i] =
            (float)((double)step->parameters[i] + rate * (double)step->mean[0][i]);
}

const struct gr_strategy gr_strategy_fednova = {
    .name = "fednova",
    .source = "Wang, Liu, Liang, Joshi, Poor 2020, equation 8",
    .setting = {&gr_setting_server_learning_rate},
    .rule = {{"train.optimizer", "sgd"}, {"train.momentum", "0"}, {"train.proximal_mu", "0"}},
    .sends_steps = true,
    .conclude = fednova_conclude,
    .step = fednova_step,
};
