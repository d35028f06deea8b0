/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The area under the ROC curve, from counts by bins. Of two classes each process keeps its rows'
 * scores until all know where the scores lie: a model of rare events has all of them around -6, an
 * early one within a thousandth, and bins that are fixed would take them for ties.
 */
#include "metric/accumulator.h"

#include <math.h>
#include <string.h>

/* A float as a whole number, ordered like floats are. */
static int64_t order_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

/*
 * Mean and deviation of all scores' places, by mean square less squared mean: both sums come from
 * integers, in 64 bits of mantissa. Places are floats' images, so that a deviation below 2^-23 is
 * lost in the digits and is counts as 2^-23.
 */
void gr_places_spread(int64_t weight, const int64_t *places, const int64_t *squares, double *mean,
                      double *deviation) {
    const long double n = (long double)(weight > 0 ? weight : 1) / (long double)GR_WEIGHT_ONE;
    const long double x = gr_real_value(places) / n;
    const long double square = gr_real_value(squares) / n;
    const long double least = 0x1p-23L;
    const long double spread = square - x * x;
    *mean = (double)x;
    *deviation = (double)(spread > least * least ? sqrtl(spread) : least);
}

void gr_accumulator_spread(const struct gr_accumulator *t, double *mean, double *deviation) {
    gr_places_spread(t->sums[GR_WEIGHT], t->scores, t->scores + GR_REAL_WORDS, mean, deviation);
}

/* The bins follow from the sums of all processes, the counts from this process's rows. Bounds keep
 * the largest of a score and of its negative, so that a maximum over processes gives both ends. */
static void bin_rows(struct gr_accumulator *t, const struct gr_accumulator *rows) {
    double mean, deviation;
    gr_accumulator_spread(t, &mean, &deviation);
    memset(t->histograms, 0, 2 * t->bins * sizeof *t->histograms);
    for (size_t b = 0; b < 2 * t->bins; b++)
        t->bounds[b] = INT64_MIN;
    for (size_t i = 0; i < rows->n_kept; i++) {
        const struct gr_kept_score *row = &rows->kept[i];
        const size_t b = gr_bin_of(gr_place_of(row->log_odds) - mean, 2 * deviation, t->bins);
        const int64_t order = order_of(row->log_odds);
        gr_histogram(t, 0, row->weight & 1)[b] += row->weight >> 1;
        if (order > t->bounds[b]) t->bounds[b] = order;
        if (-order > t->bounds[t->bins + b]) t->bounds[t->bins + b] = -order;
    }
}

void gr_accumulator_bin(struct gr_accumulator *t, const struct gr_accumulator *rows) {
    if (t->without_auc) return;
    if (t->bounds)
        bin_rows(t, rows);
    else if (t != rows && t->n_scored > 0)
        memcpy(t->histograms, rows->histograms, 2 * t->n_scored * t->bins * sizeof *t->histograms);
}

/* A bin with rows of one side only adds no ties, whatever its scores are. */
void gr_accumulator_withhold_bounds(struct gr_accumulator *t, uint32_t rows) {
    if (t->without_auc || !t->bounds) return;
    const int64_t *others = gr_histogram(t, 0, false), *own = gr_histogram(t, 0, true);
    /* A row weighs 1 at most. */
    const int64_t least = (int64_t)rows * GR_WEIGHT_ONE;
    for (size_t b = 0; b < t->bins; b++)
        if (others[b] == 0 || own[b] == 0 || others[b] + own[b] < least)
            t->bounds[b] = t->bounds[t->bins + b] = INT64_MIN;
}

void gr_accumulator_drop_bounds(struct gr_accumulator *t) {
    if (t->without_auc || !t->bounds) return;
    for (size_t b = 0; b < 2 * t->bins; b++)
        t->bounds[b] = INT64_MIN;
    t->without_bounds = true;
}

/*
 * The Mann-Whitney statistic (Hanley, McNeil 1982): the share of pairs, one row of either side,
 * that the scores put in their order; ties count half. Pairs within a bin whose order the bin does
 * not tell are all wrong in `lower` and all right in `upper`. Products of weights exceed int64_t;
 * double's rounding of them is far below the width of the bins.
 */
bool gr_accumulator_area(const struct gr_accumulator *t, size_t k, struct gr_metric_value *out) {
    const int64_t *others = gr_histogram(t, k, false), *own = gr_histogram(t, k, true);
    double below = 0, n_own = 0, higher = 0, tied = 0, equal = 0;
    for (size_t b = 0; b < t->bins; b++) {
        higher += (double)own[b] * below;
        *(gr_bin_is_tied(t, b) ? &equal : &tied) += (double)own[b] * (double)others[b];
        below += (double)others[b];
        n_own += (double)own[b];
    }
    const double pairs = n_own * below;
    if (!(pairs > 0)) return false;
    higher += equal / 2;
    *out = (struct gr_metric_value){(higher + tied / 2) / pairs, higher / pairs,
                                    (higher + tied) / pairs, NULL};
    return true;
}
