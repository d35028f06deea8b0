/* SPDX-License-Identifier: Apache-2.0 */
/* Which silos round.availability has in a round, and the rule that no round lacks silos. */
#include "config/rules.h"

void gr_round_listed(const struct gr_round_config *round, uint32_t number,
                     struct gr_flags *listed) {
    gr_flags_clear(listed);
    for (unsigned e = 0; e < round->availability_count; e++) {
        const struct gr_availability_config *entry = &round->availability[e];
        const bool now = number >= entry->from && (entry->to == 0 || number <= entry->to);
        for (unsigned i = 0; i < entry->silos_count; i++)
            if (listed->flag[entry->silos[i]] != GR_LISTED_HERE)
                gr_flags_set(listed, entry->silos[i], now ? GR_LISTED_HERE : GR_LISTED_AWAY);
    }
}

static uint32_t count_available(const struct gr_config *config, uint32_t number,
                                struct gr_flags *listed) {
    uint32_t away = 0;
    gr_round_listed(&config->round, number, listed);
    for (uint32_t i = 0; i < listed->n_set; i++)
        away += listed->flag[listed->set[i]] == GR_LISTED_AWAY;
    return config->data.silos - away;
}

/* The first round with fewer than `least` silos; 0: there is none. Availability changes only where
 * an entry begins or ends. */
static uint32_t first_without(const struct gr_config *config, uint32_t least,
                              struct gr_flags *listed, uint32_t *found) {
    uint32_t first = 0;
    for (unsigned i = 0; i <= 2 * config->round.availability_count; i++) {
        const struct gr_availability_config *entry =
            i > 0 ? &config->round.availability[(i - 1) / 2] : NULL;
        const uint32_t number = !entry ? 1 : i % 2 ? entry->from : entry->to + 1;
        if (number > config->run.rounds || (first > 0 && number >= first)) continue;
        const uint32_t n = count_available(config, number, listed);
        if (n >= least) continue;
        first = number;
        *found = n;
    }
    return first;
}

void gr_rules_of_availability(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const uint32_t policy = gr_policy_silos(config), quorum = config->round.quorum;
    const uint32_t least = policy > quorum ? policy : quorum;
    uint32_t found = 0, number = 0;
    if (config->round.sampling != GR_SAMPLING_LIST || config->round.replay[0] || r->broken->n > 0)
        return;
    struct gr_flags listed;
    /* Where memory is refused a run finds out in that round. */
    if (gr_flags_create(config->data.silos, "round.availability", &listed) == GR_OK)
        number = first_without(config, least, &listed, &found);
    if (number > 0)
        REFUSE(r, "round.availability", "found %u silos for round %u, allowed at least %u (%s)",
               found, number, least, policy > quorum ? "policy.minimum_silos" : "round.quorum");
    gr_flags_release(&listed);
}
