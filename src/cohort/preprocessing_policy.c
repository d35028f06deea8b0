/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns whose mean, deviation or extremes would be those of few persons or of one silo: nothing
 * of them leaves, and the column says nothing to the model. Silos bring their number of values, cut
 * at the threshold, and whether they have any.
 */
#include "cohort/preprocessing_fit.h"

#include <string.h>

static bool is_asked(const struct gr_treatment *t) {
    return t->number && (t->by == GR_SCALE_STANDARDISE || t->missing == GR_MISSING_MEAN ||
                         (t->by == GR_SCALE_MIN_MAX && !t->ranged));
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

gr_status gr_fit_find_withheld(struct gr_fitting *fit) {
    const int64_t threshold = fit->config->data.disclosure_threshold;
    const int64_t least = gr_policy_silos(fit->config);
    int64_t *values = fit->sums, *silos = fit->sums + fit->n;
    gr_status status;
    if (!gr_policy_holds(fit->config)) return GR_OK;
    GR_TRY(gr_comm_agree(fit->comm, check_extremes(fit)));
    memset(fit->sums, 0, 2 * fit->n * sizeof *fit->sums);
    for (size_t i = 0; i < fit->data->n_local; i++) {
        gr_alive_on();
        if (!gr_fit_usable(&fit->data->local[i])) continue;
        gr_fit_sums(fit->treatment, &fit->data->local[i].train, fit->integers, fit->own);
        for (size_t v = 0; v < fit->n; v++) {
            if (!is_asked(&fit->treatment[v])) continue;
            values[v] += fit->integers[v] < threshold ? fit->integers[v] : threshold;
            silos[v] += fit->integers[v] > 0;
        }
    }
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_MOMENTS, fit->sums, 2 * fit->n));
    for (size_t v = 0; v < fit->n; v++)
        fit->withheld[v] =
            is_asked(&fit->treatment[v]) && (values[v] < threshold || silos[v] < least);
out:
    return status;
}
