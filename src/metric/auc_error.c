/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How sure the AUC of two classes is (DeLong, DeLong, Clarke-Pearson 1988), from counts by bins. Of
 * a row of class 1 let V be the share of class 0 below it, ties by half, and of a row of class 0
 * the share of class 1 above it: the AUC is the mean of either, and its variance
 *
 *     s1 / m + s0 / n,    s1 = sum (V - AUC)^2 / (m - 1) over the m rows of class 1, s0 likewise.
 *
 * A bin tells V up to its own rows of the other class. So does it the AUC, and `lower` and `upper`
 * take the least and the greatest distance of two such intervals.
 */
#include "metric/accumulator.h"

#include <math.h>

/* Standard deviations of the normal law on either side of its middle 95 %. */
static const double normal_95 = 1.9599639845400542;

static double square(double x) {
    return x * x;
}

/* Adds n rows whose V lies within `v`. */
static void add_rows(struct gr_metric_value *sum, double n, struct gr_metric_value v,
                     const struct gr_metric_value *area) {
    const double apart = fmax(v.lower - area->upper, area->lower - v.upper);
    sum->value += n * square(v.value - area->value);
    sum->lower += n * square(fmax(apart, 0));
    sum->upper += n * square(fmax(v.upper - area->lower, area->upper - v.lower));
}

/* V of rows of one side in a bin: `before` rows of the other are beyond it, `within` in it. */
static struct gr_metric_value share_of(double before, double within, double all, bool tied) {
    const double middle = (before + within / 2) / all;
    if (tied) return gr_metric_defined(middle);
    return (struct gr_metric_value){middle, before / all, (before + within) / all, NULL};
}

struct sides {
    double own, others; /* rows of class 1, of class 0 */
};

static struct sides count_sides(const struct gr_accumulator *t) {
    struct sides n = {0, 0};
    for (size_t b = 0; b < t->bins; b++) {
        n.own += (double)gr_histogram(t, 0, true)[b];
        n.others += (double)gr_histogram(t, 0, false)[b];
    }
    return (struct sides){n.own / (double)GR_WEIGHT_ONE, n.others / (double)GR_WEIGHT_ONE};
}

static double deviation(double of_own, double of_others, struct sides n) {
    return sqrt(of_own / (n.own - 1) / n.own + of_others / (n.others - 1) / n.others);
}

static struct gr_metric_value error_of(const struct gr_accumulator *t,
                                       const struct gr_metric_value *area) {
    const double one = (double)GR_WEIGHT_ONE;
    const struct sides n = count_sides(t);
    struct gr_metric_value own = {0}, others = {0};
    double below = 0, above = n.own;
    if (n.own < 2 || n.others < 2) return gr_metric_undefined(GR_FEW_OF_CLASS);
    for (size_t b = 0; b < t->bins; b++) {
        const double a = (double)gr_histogram(t, 0, true)[b] / one;
        const double o = (double)gr_histogram(t, 0, false)[b] / one;
        const bool tied = gr_bin_is_tied(t, b);
        above -= a;
        if (a > 0) add_rows(&own, a, share_of(below, o, n.others, tied), area);
        if (o > 0) add_rows(&others, o, share_of(above, a, n.own, tied), area);
        below += o;
    }
    return (struct gr_metric_value){deviation(own.value, others.value, n),
                                    deviation(own.lower, others.lower, n),
                                    deviation(own.upper, others.upper, n), NULL};
}

/* The exact error; and the area, where there is one. */
static struct gr_metric_value find(const struct gr_accumulator *t, struct gr_metric_value *area) {
    if (t->classes != 2) return gr_metric_undefined(GR_NOT_OF_MODEL);
    if (t->sums[GR_ROWS] == 0) return gr_metric_undefined(GR_NO_ROWS);
    if (t->without_auc) return gr_metric_undefined(GR_NOT_COUNTED);
    if (gr_has_weights(t)) return gr_metric_undefined(GR_ROWS_WEIGHTED);
    if (!gr_accumulator_area(t, 0, area)) return gr_metric_undefined(GR_ONE_CLASS);
    return error_of(t, area);
}

struct gr_metric_value gr_accumulator_auc_error(const struct gr_accumulator *t) {
    struct gr_metric_value area;
    return gr_metric_told(t, find(t, &area), t->stepped, (double)t->sums[GR_ROWS]);
}

struct gr_interval gr_accumulator_auc_interval(const struct gr_accumulator *t) {
    struct gr_metric_value area = {0};
    const struct gr_metric_value error = find(t, &area);
    struct gr_metric_value v = error;
    if (!error.why) {
        v.lower = fmax(area.lower - normal_95 * error.upper, 0);
        v.upper = fmin(area.upper + normal_95 * error.upper, 1);
        v.value = v.lower;
    }
    v = gr_metric_told(t, v, t->stepped, (double)t->sums[GR_ROWS]);
    return (struct gr_interval){v.lower, v.upper};
}
