/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics: their formulas and the table of them, gr_metric_rows, which is all that the other
 * rooms know of them. A formula works in a fixed order on sums that are exact integers, and is not
 * asked where there is no weight.
 */
#include "metric/accumulator.h"

#include <math.h>
#include <string.h>

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
    [GR_FEW_ROWS] = "too few rows: it would tell of fewer than data.disclosure_threshold",
    [GR_NO_BOUNDS] = "scores too close to each other: secure sums do not tell which are equal",
};

static struct gr_metric_value undefined(enum gr_reason why) {
    const double none = (double)NAN;
    return (struct gr_metric_value){none, none, none, gr_reason_text[why]};
}

/* A sum of weights, of which rows without any have 1. */
static long double weight_of(int64_t units) {
    return (long double)units / (long double)GR_WEIGHT_ONE;
}

/* Divided once, at the end, and rounded to double once. */
static double mean(const struct gr_accumulator *t, const int64_t *sum) {
    return (double)(gr_real_value(sum) / weight_of(t->sums[GR_WEIGHT]));
}

/* ---- classes -------------------------------------------------------------------------------- */

static struct gr_metric_value accuracy(const struct gr_accumulator *t) {
    return defined((double)t->sums[GR_CORRECT] / (double)t->sums[GR_WEIGHT]);
}

static struct gr_metric_value log_loss(const struct gr_accumulator *t) {
    return defined(mean(t, t->log_loss));
}

static struct gr_metric_value brier(const struct gr_accumulator *t) {
    return defined(mean(t, t->brier));
}

static double ratio(int64_t a, int64_t b) {
    return (double)a / (double)b;
}

/* n is above 0: a formula is asked only where there is weight, and then some class has rows. */
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

/*
 * The correlation of labels and predictions (Gorodkin 2004, equation 8; with two classes Matthews
 * 1975). Weights are below 2^63 units in all, so their shares are taken before they are multiplied.
 */
static struct gr_metric_value matthews(const struct gr_accumulator *t) {
    const long double all = (long double)t->sums[GR_WEIGHT];
    long double chance = 0, predicted_spread = 1, actual_spread = 1;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        const long double predicted = (long double)class[GR_PREDICTED] / all;
        const long double actual = (long double)class[GR_ACTUAL] / all;
        if (class[GR_PREDICTED] == t->sums[GR_WEIGHT] || class[GR_ACTUAL] == t->sums[GR_WEIGHT])
            return undefined(GR_ONE_CLASS);
        chance += predicted * actual;
        predicted_spread -= predicted * predicted;
        actual_spread -= actual * actual;
    }
    const long double found = (long double)t->sums[GR_CORRECT] / all;
    return defined((double)((found - chance) / sqrtl(predicted_spread * actual_spread)));
}

/* A class without rows on either side is left out of the mean, as it has no curve. The bounds of a
 * mean are the means of the bounds. */
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
    const enum gr_reason why = t->without_bounds ? GR_NO_BOUNDS : GR_CLOSE_SCORES;
    return (struct gr_metric_value){wide ? (double)NAN : sum.value / n, sum.lower / n,
                                    sum.upper / n, wide ? gr_reason_text[why] : NULL};
}

/* A bin's weight cancels: weight / all * |score sum / weight - found / weight|. */
static struct gr_metric_value calibration_error(const struct gr_accumulator *t) {
    long double sum = 0;
    for (size_t b = 0; b < GR_RELIABILITY_BINS; b++) {
        const int64_t *bin = t->reliability + b * GR_BIN_SUMS;
        sum += fabsl(gr_real_value(bin + GR_BIN_SCORE) - weight_of(bin[GR_BIN_CORRECT]));
    }
    return defined((double)(sum / weight_of(t->sums[GR_WEIGHT])));
}

/* Weights were divided by 2^exponent when they were loaded; shown counts take it back. */
double gr_accumulator_confusion(const struct gr_accumulator *t, size_t actual, size_t predicted) {
    const size_t cell = actual * t->classes + predicted;
    const int64_t units = t->confusion[cell];
    if (t->withheld && t->withheld[cell]) return (double)NAN;
    return ldexp((double)units, t->exponent - GR_WEIGHT_BITS);
}

/* Beside the bin's rows the exact share would tell how many are not found. */
static double fraction_found(const struct gr_accumulator *t, const int64_t *bin) {
    const int64_t found = bin[GR_BIN_CORRECT], weight = bin[GR_BIN_WEIGHT];
    const int64_t least = (int64_t)t->least * GR_WEIGHT_ONE;
    const bool few = (found > 0 && found < least) || (found < weight && weight - found < least);
    return gr_round_step(ratio(found, weight), few ? gr_share_step(bin[GR_BIN_ROWS], t->least) : 0);
}

struct gr_reliability gr_accumulator_reliability(const struct gr_accumulator *t, size_t b) {
    const int64_t *bin = t->reliability + b * GR_BIN_SUMS;
    const bool withheld = t->withheld && t->withheld[gr_confusion_cells(t) + b];
    const double none = (double)NAN;
    const double weight = withheld ? 0 : (double)weight_of(bin[GR_BIN_WEIGHT]);
    return (struct gr_reliability){
        .from = (double)b / GR_RELIABILITY_BINS,
        .to = (double)(b + 1) / GR_RELIABILITY_BINS,
        .rows = withheld ? GR_WITHHELD : bin[GR_BIN_ROWS],
        .mean_score =
            weight > 0
                ? gr_round_digits((double)gr_real_value(bin + GR_BIN_SCORE) / weight, t->digits)
                : none,
        .fraction = weight > 0 ? gr_round_digits(fraction_found(t, bin), t->digits) : none,
    };
}

/* ---- numbers -------------------------------------------------------------------------------- */

static const int64_t *number(const struct gr_accumulator *t, enum gr_number_sum which) {
    return t->numbers + (size_t)which * GR_REAL_WORDS;
}

static struct gr_metric_value mse(const struct gr_accumulator *t) {
    return defined(mean(t, number(t, GR_SQUARED)));
}

static struct gr_metric_value mae(const struct gr_accumulator *t) {
    return defined(mean(t, number(t, GR_ABSOLUTE)));
}

/* By sums rather than by a second pass over the rows: the mean is not known before all processes
 * have added theirs. */
static struct gr_metric_value r2(const struct gr_accumulator *t) {
    const long double rows = weight_of(t->sums[GR_WEIGHT]);
    const long double sum = gr_real_value(number(t, GR_TARGET));
    const long double squares = gr_real_value(number(t, GR_TARGET_SQUARED));
    const long double spread = squares - sum * sum / rows;
    /* The rounding of the sums' grid and of this difference, below which a spread is taken for
     * none. */
    const long double rounding = 0x1p-49L * (rows + fabsl(sum)) + 0x1p-60L * squares;
    if (!(spread > rounding)) return undefined(GR_ONE_TARGET);
    return defined((double)(1 - gr_real_value(number(t, GR_SQUARED)) / spread));
}

static struct gr_metric_value poisson_deviance(const struct gr_accumulator *t) {
    if (t->sums[GR_NO_DEVIANCE] > 0) return undefined(GR_NO_POISSON);
    return defined(mean(t, number(t, GR_DEVIANCE)));
}

/* ---- the table ------------------------------------------------------------------------------ */

/* In this order they are told. */
const struct gr_metric_row gr_metric_rows[] = {
    {.name = "accuracy", .counted = true, .title = "accuracy", .always = true, .compute = accuracy},
    {.name = "log_loss", .title = "log loss", .always = true, .compute = log_loss},
    {.name = "balanced_accuracy",
     .counted = true,
     .title = "balanced accuracy",
     .compute = balanced_accuracy},
    {.name = "macro_f1", .counted = true, .title = "macro F1", .compute = macro_f1},
    {.name = "matthews", .counted = true, .title = "Matthews correlation", .compute = matthews},
    {.name = "auc", .counted = true, .title = "ROC AUC", .bounded = true, .compute = auc},
    {.name = "brier", .title = "Brier score", .compute = brier},
    {.name = "calibration_error",
     .counted = true,
     .title = "calibration error",
     .compute = calibration_error},
    {.name = "mse", .title = "mean squared error", .of_numbers = true, .compute = mse},
    {.name = "mae", .title = "mean absolute error", .of_numbers = true, .compute = mae},
    {.name = "r2", .title = "R\xc2\xb2", .of_numbers = true, .compute = r2},
    {.name = "poisson_deviance",
     .title = "Poisson deviance",
     .of_numbers = true,
     .compute = poisson_deviance},
};

const unsigned gr_metric_count = sizeof gr_metric_rows / sizeof *gr_metric_rows;

_Static_assert(sizeof gr_metric_rows / sizeof *gr_metric_rows <= GR_METRICS_MAX,
               "more metrics than GR_METRICS_MAX");

unsigned gr_metric_find(const char *name) {
    unsigned i = 0;
    while (i < gr_metric_count && strcmp(gr_metric_rows[i].name, name) != 0)
        i++;
    return i;
}

bool gr_metric_fits(unsigned metric, size_t classes) {
    return gr_metric_rows[metric].of_numbers == (classes == 0);
}

struct gr_metric_value gr_metric_exact(const struct gr_accumulator *t, unsigned metric) {
    if (metric >= gr_metric_count || !gr_metric_fits(metric, t->classes))
        return undefined(GR_NOT_OF_MODEL);
    if (t->sums[GR_WEIGHT] == 0)
        return undefined(t->sums[GR_ROWS] == 0 ? GR_NO_ROWS : GR_NO_WEIGHT);
    return gr_metric_rows[metric].compute(t);
}
