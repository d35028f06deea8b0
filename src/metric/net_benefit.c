/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The net benefit of acting on a model of two classes, by threshold (Vickers, Elkin 2006). Rows are
 * counted by hundredths of p as they come, so that each threshold's counts are exact.
 */
#include "metric/accumulator.h"

#include <math.h>

bool gr_accumulator_has_decisions(const struct gr_accumulator *t) {
    return t->decisions && !t->without_auc && t->sums[GR_WEIGHT] > 0;
}

/* Rows of the label that reach `from` thresholds at least. */
static int64_t count_from(const struct gr_accumulator *t, bool label, size_t from) {
    const int64_t *counts = t->decisions + (size_t)label * (GR_DECISIONS + 1);
    int64_t n = 0;
    for (size_t k = from; k <= GR_DECISIONS; k++)
        n += counts[k];
    return n;
}

static double benefit(const struct gr_accumulator *t, size_t from, double odds) {
    const double all = (double)t->sums[GR_WEIGHT];
    const double right = (double)count_from(t, true, from) / all;
    return right - (double)count_from(t, false, from) / all * odds;
}

/* A row moves it by 1, or by the odds of the threshold, of all rows. */
struct gr_net_benefit gr_accumulator_net_benefit(const struct gr_accumulator *t, size_t i) {
    const double threshold = (double)(i + 1) / (GR_DECISIONS + 1);
    const double odds = threshold / (1 - threshold);
    const double basis = (double)gr_weight_of(t->sums[GR_WEIGHT]) / fmax(odds, 1);
    const bool stepped = t->least > 1;
    return (struct gr_net_benefit){
        threshold,
        gr_metric_told(t, gr_metric_defined(benefit(t, i + 1, odds)), stepped, basis).value,
        gr_metric_told(t, gr_metric_defined(benefit(t, 0, odds)), stepped, basis).value};
}
