/* SPDX-License-Identifier: Apache-2.0 */
#include "config/privacy_plan.h"

#include "privacy/correlated_noise.h"
#include "privacy/noise.h"
#include "privacy/sensitivity.h"

#include <math.h>

_Static_assert((int)GR_PRIVACY_ROW == (int)GR_UNIT_ROW + 1 &&
                   (int)GR_PRIVACY_PERSON == (int)GR_UNIT_PERSON + 1 &&
                   (int)GR_PRIVACY_SILO == (int)GR_UNIT_SILO + 1,
               "units of the config, which has none as well, and of the ledger");
_Static_assert((int)GR_NEIGHBOURS_ADD_REMOVE == (int)GR_ADJACENCY_ADD_REMOVE &&
                   (int)GR_NEIGHBOURS_ZERO_OUT == (int)GR_ADJACENCY_ZERO_OUT &&
                   (int)GR_NEIGHBOURS_REPLACE == (int)GR_ADJACENCY_REPLACE,
               "neighbours of the config and of the accountant");

static uint64_t divide_up(uint64_t a, uint64_t b) {
    return a / b + (a % b > 0);
}

uint64_t gr_privacy_pass(const struct gr_privacy_config *privacy) {
    return divide_up(privacy->expected_units, privacy->expected_batch);
}

uint64_t gr_privacy_steps(const struct gr_privacy_config *privacy,
                          const struct gr_train_config *train) {
    return train->steps > 0 ? train->steps : train->epochs * gr_privacy_pass(privacy);
}

/* Whether the noise of a step is in the sum over silos alone. */
static bool shares_noise(const struct gr_config *config) {
    return config->privacy.noise == GR_NOISE_SHARED;
}

/* Rows and persons: each sum is of those that were drawn for it, or of one part of a pass. Without
 * a draw a unit is once in each pass that the round begins. */
static void plan_steps(const struct gr_config *config, struct gr_privacy_plan *plan) {
    const struct gr_privacy_config *privacy = &config->privacy;
    const uint64_t pass = gr_privacy_pass(privacy);
    const bool fixed = privacy->sampling == GR_PRIVATE_SAMPLING_FIXED;
    plan->sums = gr_privacy_steps(privacy, &config->train);
    plan->round.count = fixed ? divide_up(plan->sums, pass) : plan->sums;
    plan->round.noise_multiplier /=
        shares_noise(config) ? GR_PRIVATE_SHARED_SENSITIVITY * GR_PRIVATE_SILO_SENSITIVITY
                             : GR_PRIVATE_SENSITIVITY;
    /* One last bit more than the quotient, which is rounded. */
    const double drawn = nextafter((double)privacy->expected_batch / privacy->expected_units, 2);
    plan->round.sampling = fixed ? 1 : fmin(drawn, 1);
}

gr_status gr_privacy_correlation(const struct gr_privacy_config *privacy,
                                 struct gr_correlation_matrix *out) {
    const uint64_t pass = gr_privacy_pass(privacy);
    const uint32_t steps =
        pass < GR_CORRELATION_STEPS_MAX ? (uint32_t)pass : GR_CORRELATION_STEPS_MAX;
    const struct gr_participation_limits one_pass = {steps, steps, 1};
    return privacy->correlation.type == GR_CORRELATED_BLT
               ? gr_correlation_buffered(privacy->correlation.bands, &one_pass, out)
               : gr_correlation_banded(privacy->correlation.bands, out);
}

/*
 * The steps of a round are one release: a unit is in one step of each pass, the same in all of
 * them. *plan: as of plan_steps, but for the sensitivity of a step. Bands that no matrix has are
 * refused by the rules.
 */
static void plan_correlation(const struct gr_config *config, struct gr_privacy_plan *plan) {
    const struct gr_privacy_config *privacy = &config->privacy;
    const uint64_t pass = gr_privacy_pass(privacy);
    const uint32_t sums = (uint32_t)plan->sums;
    struct gr_correlation_matrix matrix;
    const struct gr_participation_limits limits = {
        .steps = sums, .separation = (uint32_t)pass, .times = (uint32_t)plan->round.count};
    if (gr_privacy_correlation(privacy, &matrix) != GR_OK) return;
    const double rounding = gr_correlation_rounding(&matrix, sums, GR_PRIVATE_SUM_SIZE_MAX);
    plan->round.noise_multiplier =
        privacy->noise_multiplier /
        (GR_PRIVATE_SENSITIVITY * gr_correlation_sensitivity(&matrix, &limits) +
         rounding / GR_PRIVATE_SUM_STEPS);
    plan->round.count = 1;
    plan->correlation = matrix.bands > 0 ? GR_CORRELATION_BANDED : GR_CORRELATION_BLT;
    plan->bands = privacy->correlation.bands;
}

struct gr_privacy_plan gr_privacy_plan_of(const struct gr_config *config) {
    const struct gr_privacy_config *privacy = &config->privacy;
    struct gr_privacy_plan plan = {
        .unit = (enum gr_protected_unit)((int)privacy->unit - (int)GR_PRIVACY_ROW),
        .adjacency = (enum gr_adjacency)privacy->adjacency,
        .round = {.noise_multiplier = privacy->noise_multiplier, .sampling = 1, .count = 1},
        .sums = 1,
        .rounds = config->run.rounds};
    /* The silos of a round are drawn in public, which hides nobody. */
    if (privacy->unit != GR_PRIVACY_SILO)
        plan_steps(config, &plan);
    else
        plan.round.noise_multiplier /= GR_PRIVATE_SILO_SENSITIVITY;
    if (privacy->correlation.type != GR_CORRELATED_NONE) plan_correlation(config, &plan);
    if (privacy->evaluation.noise_multiplier > 0)
        plan.evaluation = (struct gr_privacy_event){
            .noise_multiplier = privacy->evaluation.noise_multiplier, .sampling = 1, .count = 1};
    if (privacy->statistics.noise_multiplier > 0)
        plan.statistics = (struct gr_privacy_event){
            .noise_multiplier = privacy->statistics.noise_multiplier, .sampling = 1, .count = 1};
    return plan;
}

uint32_t gr_privacy_sufficient_shares(const struct gr_config *config, uint32_t parties) {
    const uint32_t colluding = config->secure.colluding;
    return parties - (colluding > 0 ? colluding : 1);
}

uint64_t gr_privacy_evaluations(const struct gr_config *config, uint64_t rounds, bool ends) {
    const uint32_t every = config->evaluate.every;
    return every > 0 ? rounds / every + (ends && rounds % every > 0) : 0;
}

size_t gr_privacy_tallies(const struct gr_config *config) {
    return gr_predicts_number(&config->model) ? 2 : 3;
}

/* A row, or person, is in one part, and adds up to GR_TALLY_STEPS to each of its tallies: as whole
 * numbers they are exact. One last bit more than the product, which is rounded. */
double gr_privacy_tally_noise(const struct gr_config *config) {
    const double most = sqrt((double)gr_privacy_tallies(config)) * GR_TALLY_STEPS;
    return nextafter(config->privacy.evaluation.noise_multiplier * most, INFINITY);
}

/* As whole numbers sums are exact: a unit adds up to GR_TALLY_STEPS to each of these, and nothing
 * to others. */
double gr_privacy_statistics_noise(const struct gr_config *config, size_t sums) {
    const double most = sqrt((double)sums) * GR_TALLY_STEPS;
    return nextafter(config->privacy.statistics.noise_multiplier * most, INFINITY);
}

/* What n samples of a standard deviation add to delta. */
static gr_status find_delta(double sigma, uint64_t n, double *delta) {
    struct gr_noise *noise;
    const gr_status status = gr_noise_create(sigma, &noise);
    if (status == GR_OK) *delta = gr_noise_delta(noise, n);
    gr_noise_free(noise);
    return status;
}

gr_status gr_privacy_plan_sampler(const struct gr_config *config, uint64_t n_parameters,
                                  struct gr_privacy_plan *plan) {
    const bool silo = config->privacy.unit == GR_PRIVACY_SILO || shares_noise(config),
               correlated = plan->bands > 0;
    const double of_steps = config->privacy.noise_multiplier * GR_PRIVATE_SUM_STEPS;
    const double sigma = silo         ? GR_NOISE_STEPS_MIN
                         : correlated ? ldexp(of_steps, GR_CORRELATION_BITS)
                                      : of_steps;
    const uint32_t shares =
        config->privacy.noise == GR_NOISE_SHARED ? gr_secure_parties(config) : 1;
    /* Correlated noise of all steps is one event. */
    const double samples = silo         ? (double)GR_NOISE_DELTAS_MAX * shares
                           : correlated ? (double)plan->sums
                                        : 1;
    gr_status status;
    GR_TRY(find_delta(sigma, n_parameters, &plan->round.delta_added));
    plan->round.delta_added *= samples;
    if (plan->evaluation.count > 0)
        GR_TRY(find_delta(gr_privacy_tally_noise(config), 2 * gr_privacy_tallies(config),
                          &plan->evaluation.delta_added));
    if (plan->statistics.count > 0) {
        status =
            find_delta(GR_NOISE_STEPS_MIN, GR_STATISTICS_SUMS_MAX, &plan->statistics.delta_added);
        plan->statistics.delta_added *= GR_NOISE_DELTAS_MAX;
    }
out:
    return status;
}

size_t gr_privacy_plan_beside(const struct gr_config *config, const struct gr_privacy_plan *plan,
                              struct gr_privacy_event events[GR_PRIVACY_BESIDE_MAX]) {
    size_t n = 0;
    if (plan->evaluation.count > 0) {
        events[n] = plan->evaluation;
        events[n++].count = gr_privacy_evaluations(config, plan->rounds, true);
    }
    if (plan->statistics.count > 0) events[n++] = plan->statistics;
    return n;
}

gr_status gr_privacy_plan_price(const struct gr_config *config, struct gr_epsilon *out) {
    struct gr_privacy_plan plan = gr_privacy_plan_of(config);
    struct gr_privacy_event beside[GR_PRIVACY_BESIDE_MAX];
    gr_status status;
    GR_TRY(gr_privacy_plan_sampler(config, GR_PRIVATE_SUM_SIZE_MAX, &plan));
    const struct gr_private_rounds rounds = {
        {plan.adjacency, beside, gr_privacy_plan_beside(config, &plan, beside)},
        &plan.round,
        1,
        config->privacy.budget.delta};
    status = gr_budget_account(&rounds, plan.rounds, out);
out:
    return status;
}
