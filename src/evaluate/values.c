/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics from an accumulator's sums. All of it is done in a fixed order on integers that are
 * exact. */
#include "evaluate/accumulator.h"

#include <math.h>

static struct gr_metric_value defined(double value) {
    return (struct gr_metric_value){value, value, value, NULL};
}

const char *const gr_reason_text[GR_REASONS] = {
    [GR_MANY_CLASSES] = "more than 100 classes",
    [GR_NOT_COUNTED] = "counted after the last round only",
    [GR_ONE_CLASS] = "one class only",
    [GR_CLOSE_SCORES] = "scores too close to each other to be told apart",
    [GR_ONE_TARGET] = "all targets are the same",
    [GR_NO_POISSON] = "a target is below 0, or a prediction not above 0",
    [GR_NOT_OF_MODEL] = "not a metric of this model",
    [GR_NO_ROWS] = "no rows",
    [GR_NO_WEIGHT] = "all weights are 0",
};

static struct gr_metric_value undefined(enum gr_reason why) {
    const double none = (double)NAN;
    return (struct gr_metric_value){none, none, none, gr_reason_text[why]};
}

/* A sum of weights, of which rows without any have 1. */
static long double weight_of(int64_t units) {
    return (long double)units / (long double)GR_WEIGHT_ONE;
}

static double mean(const struct gr_accumulator *t, const int64_t *sum) {
    return (double)(gr_real_value(sum) / weight_of(t->sums[GR_WEIGHT]));
}

/* ---- classes -------------------------------------------------------------------------------- */

static double ratio(int64_t a, int64_t b) {
    return (double)a / (double)b;
}

static struct gr_metric_value balanced_accuracy(const struct gr_accumulator *t) {
    double sum = 0;
    size_t n = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_ACTUAL] == 0) continue;
        sum += ratio(class[GR_FOUND], class[GR_ACTUAL]);
        n++;
    }
    return defined(sum / (double)n);
}

static struct gr_metric_value macro_f1(const struct gr_accumulator *t) {
    double sum = 0;
    size_t n = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_ACTUAL] + class[GR_PREDICTED] == 0) continue;
        sum += ratio(2 * class[GR_FOUND], class[GR_ACTUAL] + class[GR_PREDICTED]);
        n++;
    }
    return defined(sum / (double)n);
}

static struct gr_metric_value auc(const struct gr_accumulator *t) {
    struct gr_metric_value sum = {0}, one;
    double n = 0;
    if (t->classes > GR_CONFUSION_CLASSES_MAX) return undefined(GR_MANY_CLASSES);
    if (t->without_auc) return undefined(GR_NOT_COUNTED);
    for (size_t k = 0; k < t->n_scored; k++) {
        if (!gr_accumulator_area(t, k, &one)) continue;
        sum.value += one.value;
        sum.lower += one.lower;
        sum.upper += one.upper;
        n++;
    }
    if (!(n > 0)) return undefined(GR_ONE_CLASS);
    const bool wide = sum.upper / n - sum.lower / n > GR_AUC_WIDE;
    return (struct gr_metric_value){wide ? (double)NAN : sum.value / n, sum.lower / n,
                                    sum.upper / n, wide ? gr_reason_text[GR_CLOSE_SCORES] : NULL};
}

static struct gr_metric_value calibration_error(const struct gr_accumulator *t) {
    long double sum = 0;
    for (size_t b = 0; b < GR_RELIABILITY_BINS; b++) {
        const int64_t *bin = t->reliability + b * GR_BIN_SUMS;
        sum += fabsl(gr_real_value(bin + GR_BIN_SCORE) - weight_of(bin[GR_BIN_CORRECT]));
    }
    return defined((double)(sum / weight_of(t->sums[GR_WEIGHT])));
}

double gr_accumulator_confusion(const struct gr_accumulator *t, size_t actual, size_t predicted) {
    const int64_t units = t->confusion[actual * t->classes + predicted];
    return ldexp((double)units, t->exponent - GR_WEIGHT_BITS);
}

struct gr_reliability gr_accumulator_reliability(const struct gr_accumulator *t, size_t b) {
    const int64_t *bin = t->reliability + b * GR_BIN_SUMS;
    const double weight = (double)weight_of(bin[GR_BIN_WEIGHT]), none = (double)NAN;
    return (struct gr_reliability){
        .from = (double)b / GR_RELIABILITY_BINS,
        .to = (double)(b + 1) / GR_RELIABILITY_BINS,
        .rows = bin[GR_BIN_ROWS],
        .mean_score = weight > 0 ? (double)gr_real_value(bin + GR_BIN_SCORE) / weight : none,
        .fraction = weight > 0 ? ratio(bin[GR_BIN_CORRECT], bin[GR_BIN_WEIGHT]) : none,
    };
}

/* ---- numbers -------------------------------------------------------------------------------- */

static const int64_t *number(const struct gr_accumulator *t, enum gr_number_sum which) {
    return t->numbers + (size_t)which * GR_REAL_WORDS;
}

static struct gr_metric_value r2(const struct gr_accumulator *t) {
    const long double rows = weight_of(t->sums[GR_WEIGHT]);
    const long double sum = gr_real_value(number(t, GR_TARGET));
    const long double squares = gr_real_value(number(t, GR_TARGET_SQUARED));
    const long double spread = squares - sum * sum / rows;
    /* What the grid of the sums, and the digits of this, may leave of nothing. */
    const long double rounding = 0x1p-49L * (rows + fabsl(sum)) + 0x1p-60L * squares;
    if (!(spread > rounding)) return undefined(GR_ONE_TARGET);
    return defined((double)(1 - gr_real_value(number(t, GR_SQUARED)) / spread));
}

static struct gr_metric_value poisson_deviance(const struct gr_accumulator *t) {
    if (t->sums[GR_NO_DEVIANCE] > 0) return undefined(GR_NO_POISSON);
    return defined(mean(t, number(t, GR_DEVIANCE)));
}

/* ---- all ------------------------------------------------------------------------------------ */

bool gr_metric_fits(enum gr_metric metric, size_t classes) {
    return (metric >= GR_METRIC_MSE) == (classes == 0);
}

struct gr_metric_value gr_accumulator_metric(const struct gr_accumulator *t,
                                             enum gr_metric metric) {
    if (!gr_metric_fits(metric, t->classes)) return undefined(GR_NOT_OF_MODEL);
    if (t->sums[GR_WEIGHT] == 0)
        return undefined(t->sums[GR_ROWS] == 0 ? GR_NO_ROWS : GR_NO_WEIGHT);
    switch (metric) {
    case GR_METRIC_ACCURACY:
        return defined(ratio(t->sums[GR_CORRECT], t->sums[GR_WEIGHT]));
    case GR_METRIC_LOG_LOSS:
        return defined(mean(t, t->log_loss));
    case GR_METRIC_BALANCED_ACCURACY:
        return balanced_accuracy(t);
    case GR_METRIC_MACRO_F1:
        return macro_f1(t);
    case GR_METRIC_AUC:
        return auc(t);
    case GR_METRIC_BRIER:
        return defined(mean(t, t->brier));
    case GR_METRIC_CALIBRATION_ERROR:
        return calibration_error(t);
    case GR_METRIC_MSE:
        return defined(mean(t, number(t, GR_SQUARED)));
    case GR_METRIC_MAE:
        return defined(mean(t, number(t, GR_ABSOLUTE)));
    case GR_METRIC_R2:
        return r2(t);
    case GR_METRIC_POISSON_DEVIANCE:
        return poisson_deviance(t);
    }
    return undefined(GR_NOT_OF_MODEL);
}
