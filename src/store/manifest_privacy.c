/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest's part on privacy: numbers, and a sentence that says what is promised to whom. */
#include "store/manifest_privacy.h"

#include "config/privacy_plan.h"

#include <math.h>
#include <string.h>

static const char *unit_of(const struct gr_privacy_config *privacy) {
    return gr_privacy_unit_text(privacy->unit);
}

/* Infinity has no JSON. */
static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static const char *neighbours_of(const struct gr_privacy_config *privacy) {
    static const char *const text[] = {[GR_NEIGHBOURS_ADD_REMOVE] = "that is there or not",
                                       [GR_NEIGHBOURS_ZERO_OUT] =
                                           "whose contribution is there or zero",
                                       [GR_NEIGHBOURS_REPLACE] = "that is another or not"};
    return text[privacy->adjacency];
}

static const char *against_whom(const struct gr_privacy_config *privacy) {
    static const char *const text[] = {
        [GR_NOISE_SILO] = "everybody outside of its silo",
        [GR_NOISE_SHARED] = ("everybody outside of its silo, as long as no more parties work "
                             "together than secure.colluding"),
        [GR_NOISE_ROOT] = "everybody but rank 0, which adds the noise and is trusted"};
    return text[privacy->noise];
}

static gr_status write_promise(const struct gr_config *config,
                               const struct gr_privacy_account *account, char **out) {
    const struct gr_privacy_config *privacy = &config->privacy;
    const struct gr_privacy_plan *plan = account->plan;
    char before[160] = "", scores[120] = "", statistics[160] = "";
    if (privacy->statistics.noise_multiplier > 0)
        snprintf(
            statistics, sizeof statistics,
            " and one release of columns' means, deviations and modes with %g times as much as "
            "a %s adds",
            privacy->statistics.noise_multiplier, unit_of(privacy));
    if (account->evaluations > 0)
        snprintf(scores, sizeof scores,
                 " and %llu evaluations of held-out rows with %g times as much as a %s adds",
                 (unsigned long long)account->evaluations, privacy->evaluation.noise_multiplier,
                 unit_of(privacy));
    if (account->before > 0)
        snprintf(before, sizeof before,
                 " Earlier runs over the same tables have spent an epsilon of up to %.4g; all "
                 "together, once this run is done as planned, that is %.4g.",
                 account->before, account->total);
    return gr_text_format(
        out,
        "Differential privacy of one %s %s: epsilon at most %.4g (at least %.4g) at a delta of %g "
        "after %u rounds%s, %llu noised sums of each silo, by discrete Gaussian noise of %g times "
        "the clip norm %g (accounted for as %.4g)%s%s, against %s.%s",
        unit_of(privacy), neighbours_of(privacy), account->upper, account->lower,
        privacy->budget.delta, account->rounds,
        account->planned ? ", to which the run, which had not ended then, may have come" : "",
        (unsigned long long)account->rounds * plan->sums, privacy->noise_multiplier,
        privacy->clip_norm, plan->round.noise_multiplier, statistics, scores, against_whom(privacy),
        before);
}

/* Where no noise is added. */
static json_t *plain(const struct gr_config *config) {
    const bool masked = config->secure.aggregation;
    return json_pack("{s:s, s:s}", "mechanism", masked ? "secure sums" : "none", "statement",
                     masked ? "No noise was added: the model may reveal what single rows it was "
                              "trained on were like. Sums were masked: of what one party brought "
                              "to them nobody saw anything but the sum."
                     : config->aggregation.grid == GR_GRID_PUBLIC
                         ? "No noise was added and no update was masked: the model may reveal "
                           "what single rows it was trained on were like."
                         : "No noise was added and no update was clipped or masked: the model "
                           "may reveal what single rows it was trained on were like.");
}

static json_t *rehearsed(void) {
    return json_pack("{s:s, s:s}", "mechanism", "rehearsal", "statement",
                     "A rehearsal: its noise follows from run.seed, so whoever knows that can take "
                     "it off. Nothing is protected.");
}

json_t *gr_manifest_privacy(const struct gr_config *config,
                            const struct gr_privacy_account *account) {
    const struct gr_privacy_config *privacy = &config->privacy;
    char *promise = NULL;
    json_t *json;
    if (!gr_is_private(config) || !account) return plain(config);
    if (config->run.rehearsal && privacy->unit != GR_PRIVACY_SILO) return rehearsed();
    if (write_promise(config, account, &promise) != GR_OK) return NULL;
    json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o, "
        "s:o, "
        "s:o, "
        "s:o, s:o, s:s}",
        "mechanism", "discrete_gaussian", "unit", unit_of(privacy), "adjacency",
        gr_neighbours_text(privacy->adjacency), "noise", gr_noise_text(privacy->noise), "sampling",
        privacy->unit == GR_PRIVACY_SILO ? "none" : gr_private_sampling_text(privacy->sampling),
        "clip_norm", privacy->clip_norm, "noise_multiplier", privacy->noise_multiplier,
        "noise_multiplier_accounted", account->plan->round.noise_multiplier, "sampling_probability",
        account->plan->round.sampling, "events_of_a_round", (json_int_t)account->plan->round.count,
        "rounds", (json_int_t)account->rounds, "evaluations", (json_int_t)account->evaluations,
        "evaluation_noise_multiplier", privacy->evaluation.noise_multiplier,
        "statistics_noise_multiplier", privacy->statistics.noise_multiplier, "delta_added",
        account->plan->round.delta_added, "delta", privacy->budget.delta, "epsilon_lower",
        real(account->lower), "epsilon_upper", real(account->upper), "epsilon_renyi",
        real(account->renyi), "epsilon_before", real(account->before), "epsilon_total",
        real(account->before > 0 ? account->total : account->upper), "statement", promise);
    gr_free(promise);
    return json;
}
