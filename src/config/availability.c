/* SPDX-License-Identifier: Apache-2.0 */
/* Which silos round.availability has in a round, and the rule that no round lacks silos. */
#include "config/rules.h"

#include <stdlib.h>
#include <string.h>

void gr_round_available(const struct gr_round_config *round, uint32_t number, uint32_t n_silos,
                        uint8_t *available) {
    enum { UNLISTED, AWAY, HERE };
    memset(available, UNLISTED, n_silos);
    for (unsigned e = 0; round->sampling == GR_SAMPLING_LIST && e < round->availability_count;
         e++) {
        const struct gr_availability_config *entry = &round->availability[e];
        const bool now = number >= entry->from && (entry->to == 0 || number <= entry->to);
        for (unsigned i = 0; i < entry->silos_count; i++)
            if (available[entry->silos[i]] != HERE) available[entry->silos[i]] = now ? HERE : AWAY;
    }
    for (uint32_t i = 0; i < n_silos; i++)
        available[i] = available[i] != AWAY;
}

static uint32_t count_available(const struct gr_config *config, uint32_t number, uint8_t *flags) {
    uint32_t n = 0;
    gr_round_available(&config->round, number, config->data.silos, flags);
    for (uint32_t i = 0; i < config->data.silos; i++)
        n += flags[i];
    return n;
}

/* The first round with fewer than `least` silos; 0: there is none. Availability changes only where
 * an entry begins or ends. */
static uint32_t first_without(const struct gr_config *config, uint32_t least, uint8_t *flags,
                              uint32_t *found) {
    uint32_t first = 0;
    for (unsigned i = 0; i <= 2 * config->round.availability_count; i++) {
        const struct gr_availability_config *entry =
            i > 0 ? &config->round.availability[(i - 1) / 2] : NULL;
        const uint32_t number = !entry ? 1 : i % 2 ? entry->from : entry->to + 1;
        if (number > config->run.rounds || (first > 0 && number >= first)) continue;
        const uint32_t n = count_available(config, number, flags);
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
    uint32_t found = 0;
    if (config->round.sampling != GR_SAMPLING_LIST || config->round.replay[0] || r->broken->n > 0)
        return;
    uint8_t *flags = malloc(config->data.silos); /* a run finds out in that round, without it */
    const uint32_t number = flags ? first_without(config, least, flags, &found) : 0;
    if (number > 0)
        REFUSE(r, "round.availability", "found %u silos for round %u, allowed at least %u (%s)",
               found, number, least, policy > quorum ? "policy.minimum_silos" : "round.quorum");
    free(flags);
}
