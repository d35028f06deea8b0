/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCAFFOLD (Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, algorithm 1, option II). A silo
 * keeps a control variate c_i, the server c; both begin at 0. With K local steps at rate eta_l:
 *     y <- y - eta_l (g_i(y) - c_i + c)
 *     c_i+ = c_i - c + (x - y) / (K eta_l);  the silo sends y - x and c_i+ - c_i
 *     x <- x + eta_g mean(y - x);  c <- c + |S| / N mean(c_i+ - c_i)
 * All silos count alike.
 */
#include "strategy/strategies.h"

/* kept[0], which is c_i, becomes the correction c - c_i. */
static void scaffold_prepare(const struct gr_silo_part *part) {
    const float *control = part->server[0];
    float *kept = part->kept[0];
    for (size_t i = 0; i < part->n; i++)
        kept[i] = control[i] - kept[i];
}

/* kept[0], which is c - c_i, becomes c_i+. */
static void scaffold_conclude(const struct gr_silo_part *part) {
    const float *control = part->server[0], *update = part->sent[0];
    float *kept = part->kept[0], *change = part->sent[1];
    const float reach = (float)((double)part->steps * part->learning_rate);
    for (size_t i = 0; i < part->n; i++) {
        const float before = control[i] - kept[i];
        /* Where rows weigh nothing, or the round's rate is 0, a silo has not moved. */
        const float after = reach > 0 ? -kept[i] - update[i] / reach : before;
        change[i] = after - before;
        kept[i] = after;
    }
}

static void scaffold_step(const struct gr_strategy_config *config,
                          const struct gr_server_step *step) {
    float *control = step->server[0];
    const float share = (float)step->share;
    gr_strategy_step_mean(config, step);
    for (size_t i = 0; i < step->n; i++)
        control[i] += share * step->mean[1][i];
}

const struct gr_strategy gr_strategy_scaffold = {
    .name = "scaffold",
    .source = "Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, algorithm 1, option II",
    .setting = {&gr_setting_server_learning_rate},
    .rule = {{"train.optimizer", "sgd"}, {"train.momentum", "0"}, {"train.proximal_mu", "0"}},
    .alike = true,
    .n_sent = 2,
    .n_kept = 1,
    .kept_name = {"control"},
    .n_server = 1,
    .server_name = {"control"},
    .corrects = true,
    .prepare = scaffold_prepare,
    .conclude = scaffold_conclude,
    .step = scaffold_step,
};
