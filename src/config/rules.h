/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that the rules between settings have in common. */
#ifndef GR_CONFIG_RULES_H
#define GR_CONFIG_RULES_H

#include "config/check.h"

struct gr_rule_context {
    const struct gr_config *config;
    struct gr_node *root;
    struct gr_broken *broken;
};

/* Whether the setting's value is the user's, and not a filler for one reported already. */
bool gr_rule_sound(const struct gr_rule_context *r, const char *path);
/* The place of a setting, or where it was not given, of its section. */
struct gr_place gr_rule_place(const struct gr_rule_context *r, const char *path);
#define REFUSE(r, path, ...) gr_broken_add((r)->broken, gr_rule_place(r, path), path, __VA_ARGS__)

/* Reports a member of a list's entry; path: the entry's. */
void gr_rule_refuse_member(const struct gr_rule_context *r, const struct gr_node *entry,
                           const char *path, const char *key, const char *what);
bool gr_rule_member_sound(const struct gr_node *entry, const char *key);

/* Of secure, but for the number of parties; of a config that knows its parties, of that as well. */
void gr_rules_of_secure(const struct gr_rule_context *r);
/* Of tables of which silos are not asked anything, for the schema says it; with: the setting that
 * wants it so. */
void gr_rules_of_declared(const struct gr_rule_context *r, const char *with);
/* Of secure with n parties, which messages call `parties`, "silos" or "sites". */
void gr_rules_of_parties(const struct gr_rule_context *r, uint32_t n, const char *parties);

/* Of privacy. */
void gr_rules_of_privacy(const struct gr_rule_context *r);
/* Of run, data and preprocess; of model, train and round, and within it of strategy, whose settings
 * and rules stand in strategy_section.c; of silos in each round, where no other rule is broken; of
 * silos' names. */
void gr_rules_of_data(const struct gr_rule_context *r);
void gr_rules_of_training(const struct gr_rule_context *r);
void gr_rules_of_strategy(const struct gr_rule_context *r);
void gr_rules_of_availability(const struct gr_rule_context *r);
void gr_rules_of_silo_names(const struct gr_rule_context *r);
/* Of evaluate.slices: slicing.c. */
void gr_rules_of_slices(const struct gr_rule_context *r);
/* Of the slicing of a gate, at `path`. */
void gr_rules_of_fairness_gate(const struct gr_rule_context *r, const struct gr_node *entry,
                               const char *path, const struct gr_gate_config *gate);

#endif
