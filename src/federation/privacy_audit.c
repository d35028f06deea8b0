/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/privacy_audit.h"

#include "config/privacy_plan.h"
#include "federation/internal.h"

#include <string.h>

static gr_status check_config(struct gr_comm *comm, const struct gr_config *config) {
    if (gr_comm_size(comm) > 1)
        return gr_fail(GR_ERROR_USAGE, "privacy audit: found %d ranks, expected one",
                       gr_comm_size(comm));
    if (config->privacy.unit != GR_PRIVACY_ROW)
        return gr_fail(GR_ERROR_CONFIG, "privacy.unit: found %s, expected row for an audit",
                       gr_privacy_unit_text(config->privacy.unit));
    if (config->privacy.noise != GR_NOISE_SILO)
        return gr_fail(GR_ERROR_CONFIG,
                       "privacy.noise: found %s, expected silo for an audit: steps have no noise "
                       "of their own",
                       gr_noise_text(config->privacy.noise));
    if (config->privacy.correlation.type != GR_CORRELATED_NONE)
        return gr_fail(GR_ERROR_CONFIG,
                       "privacy.correlation.type: found another, expected none for an audit: "
                       "such noise is of all steps together");
    return GR_OK;
}

/* A canary is in or out; so whatever the config promises, add_remove is what it is compared with.
 */
static gr_status account(const struct gr_federation *f, struct gr_privacy_plan *plan,
                         struct gr_epsilon *out) {
    const struct gr_privacy_history history = {GR_ADJACENCY_ADD_REMOVE, &plan->round, 1};
    gr_status status;
    *plan = gr_privacy_plan_of(f->config);
    GR_TRY(gr_privacy_plan_sampler(f->config, f->layout->n_parameters, plan));
    plan->round.count *= plan->rounds;
    status = gr_accounting_epsilon(&history, f->config->privacy.budget.delta, out);
out:
    return status;
}

/* The first with rows; NULL: there is none. */
static const struct gr_silo *find_silo(const struct gr_federation *f) {
    for (size_t i = 0; i < f->data->n_local; i++) {
        const struct gr_silo *silo = &f->data->local[i];
        if (silo->unusable == GR_OK && silo->train.n_rows > 0) return silo;
    }
    return NULL;
}

static gr_status audit(const struct gr_federation *f, uint32_t canaries, double confidence,
                       struct gr_privacy_audit *out) {
    const struct gr_config *config = f->config;
    const struct gr_silo *silo = find_silo(f);
    struct gr_privacy_plan plan;
    gr_status status;
    if (!silo) return gr_fail(GR_ERROR_DATA, "privacy audit: no silo has rows to train on");
    GR_TRY(account(f, &plan, &out->accounted));
    memcpy(out->pseudonym, silo->pseudonym, sizeof out->pseudonym);
    out->n_rows = silo->train.n_rows;
    out->steps = plan.sums * plan.rounds;
    const struct gr_private_question question = {
        .model = f->model,
        .privacy = &config->privacy,
        .train = &config->train,
        .rows = &silo->train,
        .parameters = gr_server_parameters(f->server),
        .seed = config->run.seed,
        .rounds = config->run.rounds,
        .canaries = canaries,
        .sums = plan.sums,
        .sampling = config->privacy.sampling == GR_PRIVATE_SAMPLING_FIXED
                        ? (double)plan.round.count / (double)(plan.sums * plan.rounds)
                        : plan.round.sampling,
        .epsilon = out->accounted.upper,
        .confidence = confidence};
    status = gr_private_audit(&question, &out->found);
out:
    return status;
}

gr_status gr_privacy_audit(struct gr_comm *comm, const struct gr_config *config, uint32_t canaries,
                           double confidence, struct gr_privacy_audit *out) {
    struct gr_cohort *cohort = NULL;
    struct gr_federation *f = NULL;
    gr_status status;
    *out = (struct gr_privacy_audit){0};
    GR_TRY(check_config(comm, config));
    GR_TRY(gr_cohort_create(comm, config, &cohort));
    GR_TRY(gr_federation_create(cohort, &f));
    status = audit(f, canaries, confidence, out);
out:
    gr_federation_free(f);
    gr_cohort_free(cohort);
    return status;
}
