/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The average precision, from counts by bins: the area under the precision-recall curve in steps,
 * as scikit-learn has it, and not by straight lines between points, which promise more than any
 * threshold gives (Davis, Goadrich 2006).
 */
#include "metric/accumulator.h"

#include <math.h>

/* Rows above a bin, of the class and of others, in units of weight. */
struct above {
    double own, others;
};

/* Beyond so many rows of a bin an integral stands for their sum. */
enum { ROWS_SUMMED = 4096 };

/*
 * The least that `own` more rows of the class add where no two of them have one score, `above`
 * being before them: each adds its weight times the precision down to itself, which only grows. Of
 * rows of unknown weights that is no less than the integral of a / (a + others).
 */
static double add_apart(struct above above, double own, bool weighted) {
    const double one = (double)GR_WEIGHT_ONE;
    double sum = 0;
    if (!(above.others > 0)) return own;
    if (weighted || own > one * ROWS_SUMMED)
        return own - above.others * log1p(own / (above.own + above.others));
    for (int row = 1; row <= (int)(own / one + 0.5); row++) {
        const double a = above.own + row * one;
        sum += one * (a / (a + above.others));
    }
    return sum;
}

/* The most: all of them have one score, above all others of the bin. */
static double add_together(struct above above, double own) {
    return own * ((above.own + own) / (above.own + own + above.others));
}

/* In `lower` all other rows of a bin whose order it does not tell come before the class's. A row by
 * itself is in no doubt. */
bool gr_accumulator_precision(const struct gr_accumulator *t, size_t k,
                              struct gr_metric_value *out) {
    const int64_t *others = gr_histogram(t, k, false), *own = gr_histogram(t, k, true);
    const bool weighted = gr_has_weights(t);
    struct above above = {0, 0};
    double lower = 0, upper = 0;
    for (size_t b = t->bins; b-- > 0;) {
        const double a = (double)own[b];
        const struct above after = {above.own, above.others + (double)others[b]};
        if (own[b] > 0 && gr_bin_is_tied(t, b)) {
            lower += add_together(after, a);
            upper += add_together(after, a);
        } else if (own[b] > 0) {
            lower += add_apart(after, a, weighted);
            upper += add_together(above, a);
        }
        above = (struct above){above.own + a, after.others};
    }
    if (!(above.own > 0) || !(above.others > 0)) return false;
    lower /= above.own;
    upper /= above.own;
    *out = (struct gr_metric_value){(lower + upper) / 2, lower, upper, NULL};
    return true;
}
