/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a config's differential privacy comes to: the events of its rounds, as they are accounted
 * for. A function of the config alone, so that it is known before any work, and the same for all.
 *
 * Interface: internal.
 */
#ifndef GRANARY_CONFIG_PRIVACY_PLAN_H
#define GRANARY_CONFIG_PRIVACY_PLAN_H

#include <granary/config.h>

#include "privacy/budget.h"
#include "privacy/correlation_matrix.h"
#include "privacy/ledger.h"

struct gr_privacy_plan {
    enum gr_protected_unit unit;
    enum gr_adjacency adjacency;
    /* Of a round of a silo. delta_added is 0: what the noise's sampler adds goes by the model's
     * size, which a config does not know; see gr_privacy_plan_sampler. */
    struct gr_privacy_event round;
    uint64_t sums;   /* noised sums of a round; in each of them a unit may be or not */
    uint64_t rounds; /* run.rounds */
    enum gr_correlation correlation;    /* of the noise of a round's steps */
    uint32_t bands;                     /* or sums over steps; 0: none */
    struct gr_privacy_event evaluation; /* of held-out rows, one; count 0: there is none */
    struct gr_privacy_event statistics; /* of columns, at the start; count 0: there is none */
};

/* Not collective. Of a config with privacy.unit other than none. */
struct gr_privacy_plan gr_privacy_plan_of(const struct gr_config *config);

/* Not collective. The matrix of correlated noise; of sums over steps the best for a single pass.
 * Errors: GR_ERROR_CONFIG: no matrix has so many bands. */
gr_status gr_privacy_correlation(const struct gr_privacy_config *privacy,
                                 struct gr_correlation_matrix *out) GR_CHECKED;

/*
 * Not collective. How often the rows that silos hold out are scored in the first so many rounds;
 * ends: no round follows, so that the last one is scored in any case.
 */
uint64_t gr_privacy_evaluations(const struct gr_config *config, uint64_t rounds, bool ends);

/* Not collective. Tallies of one part of the held-out rows: rows, their losses, and with a label
 * those that are right. */
size_t gr_privacy_tallies(const struct gr_config *config);
/* Not collective. The standard deviation of the noise in each tally of a silo, in steps of
 * 1 / GR_TALLY_STEPS. */
double gr_privacy_tally_noise(const struct gr_config *config);

/* Not collective. The standard deviation of the noise in each sum of a silo's statistics, in steps
 * of 1 / GR_TALLY_STEPS, where a unit adds at most 1 to each of so many sums at once. */
double gr_privacy_statistics_noise(const struct gr_config *config, size_t sums);

/*
 * Not collective. Sets the plan's delta_added to what the sampler adds to an event of a round with
 * a model of so many parameters, to one of an evaluation and to that of the statistics. Errors: of
 * gr_noise_create.
 */
gr_status gr_privacy_plan_sampler(const struct gr_config *config, uint64_t n_parameters,
                                  struct gr_privacy_plan *plan) GR_CHECKED;

enum { GR_PRIVACY_BESIDE_MAX = 2 };
/* Not collective. What a whole run tells beside its rounds, as events; how many there are. */
size_t gr_privacy_plan_beside(const struct gr_config *config, const struct gr_privacy_plan *plan,
                              struct gr_privacy_event events[GR_PRIVACY_BESIDE_MAX]);
/*
 * Not collective. What a whole run of a config with privacy.unit other than none tells of a unit,
 * for privacy.budget.delta, whatever its model's size; other runs are not counted. In a fraction of
 * a second. Errors: as gr_budget_account.
 */
gr_status gr_privacy_plan_price(const struct gr_config *config, struct gr_epsilon *out) GR_CHECKED;

/* Not collective. With privacy.noise shared: how many shares of the noise in a sum of so many
 * parties have all of it. The others' are those of secure.colluding parties, one at least, as
 * whoever has added a share can take it off again. parties: secure.threshold at least. */
uint32_t gr_privacy_sufficient_shares(const struct gr_config *config, uint32_t parties);

/* Not collective. Private steps of a pass, in which each unit is once; and of a round, by the
 * config alone: train.steps, or train.epochs passes. Trainers take as many as are accounted for. */
uint64_t gr_privacy_pass(const struct gr_privacy_config *privacy);
uint64_t gr_privacy_steps(const struct gr_privacy_config *privacy,
                          const struct gr_train_config *train);

#endif
