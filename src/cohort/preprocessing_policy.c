/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns whose mean, deviation, extremes or mode would be those of few persons or of one silo:
 * nothing of them leaves. Such a number says nothing to the model; such a missing category is none
 * of the categories. Silos bring their number of values, cut at the threshold, and whether they
 * have any.
 */
#include "cohort/preprocessing_fit.h"

#include <string.h>

bool gr_fit_wants_mode(const struct gr_fitting *fit, size_t value) {
    return !fit->treatment[value].number && fit->treatment[value].missing == GR_MISSING_MODE;
}

/* Whether anything of the value would leave. Of columns that ask for nothing no count leaves
 * either. */
static bool is_asked(const struct gr_fitting *fit, size_t value) {
    const struct gr_treatment *t = &fit->treatment[value];
    if (!t->number) return gr_fit_wants_mode(fit, value);
    return t->by == GR_SCALE_STANDARDISE || t->missing == GR_MISSING_MEAN ||
           (t->by == GR_SCALE_MIN_MAX && !t->ranged);
}

/* min_max without a range tells two values as they are: only where the policy says so. */
static gr_status check_extremes(const struct gr_fitting *fit) {
    if (fit->config->policy.extremes) return GR_OK;
    for (size_t v = 0; v < fit->n; v++) {
        const struct gr_treatment *t = &fit->treatment[v];
        if (!t->number || t->by != GR_SCALE_MIN_MAX || t->ranged) continue;
        return gr_fail(GR_ERROR_CONFIG,
                       "preprocess: column %u: found min_max without a range, expected one in "
                       "data.schema: the least and the greatest value are those of two persons "
                       "(policy.extremes: true tells them)",
                       fit->columns ? fit->columns->column_of[v] + 1 : (unsigned)v + 1);
    }
    return GR_OK;
}

/* Only where silos have tables of their own. Counts are cut at the threshold silo by silo, so that
 * the sum says "enough" and hides how many. */
gr_status gr_fit_find_withheld(struct gr_fitting *fit) {
    const int64_t threshold = fit->config->data.disclosure_threshold;
    const int64_t least = gr_policy_silos(fit->config);
    int64_t *values = fit->sums, *silos = fit->sums + fit->n;
    gr_status status;
    if (!gr_policy_holds(fit->config) || !gr_release_leaves(GR_RELEASE_MOMENTS, fit->config))
        return GR_OK;
    GR_TRY(gr_comm_agree(fit->comm, check_extremes(fit)));
    memset(fit->sums, 0, 2 * fit->n * sizeof *fit->sums);
    for (size_t i = 0; i < fit->data->n_local; i++) {
        gr_alive_on();
        if (!gr_fit_usable(&fit->data->local[i])) continue;
        gr_fit_sums(fit->treatment, &fit->data->local[i].train, fit->integers, fit->own);
        for (size_t v = 0; v < fit->n; v++) {
            if (!is_asked(fit, v)) continue;
            const int64_t n = fit->treatment[v].number
                                  ? fit->integers[v]
                                  : gr_dictionary_count(fit, &fit->data->local[i], v);
            values[v] += n < threshold ? n : threshold;
            silos[v] += n > 0;
        }
    }
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_MOMENTS, fit->sums, 2 * fit->n));
    for (size_t v = 0; v < fit->n; v++)
        fit->withheld[v] = is_asked(fit, v) && (values[v] < threshold || silos[v] < least);
out:
    return status;
}
