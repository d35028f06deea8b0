/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics: their formulas and the table of them, gr_metric_rows, which is all that the other
 * rooms know of them. A formula works in a fixed order on sums that are exact integers, and is not
 * asked where there is no weight.
 */
#include "metric/accumulator.h"

#include <math.h>
#include <string.h>

struct gr_metric_value gr_metric_defined(double value) {
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
    [GR_NONE_EXPECTED] = "all scores of class 1 are 0",
    [GR_NONE_TAKEN] = "no row was taken for this class",
    [GR_ROWS_WEIGHTED] = "not defined for rows with weights",
    [GR_FEW_OF_CLASS] = "fewer than two rows of a class",
    [GR_ONE_SCORE] = "all scores are the same",
    [GR_NO_FIT] = "no finite fit: the scores tell the classes apart, or nearly",
    [GR_FEW_REPLICATES] = "not defined in more than a twentieth of the replicates",
    [GR_NO_BOUNDS] = "scores too close to each other: secure sums do not tell which are equal",
};

struct gr_metric_value gr_metric_undefined(enum gr_reason why) {
    const double none = (double)NAN;
    return (struct gr_metric_value){none, none, none, gr_reason_text[why]};
}

/* Divided once, at the end, and rounded to double once. */
static double mean(const struct gr_accumulator *t, const int64_t *sum) {
    return (double)(gr_real_value(sum) / gr_weight_of(t->sums[GR_WEIGHT]));
}

/* ---- classes -------------------------------------------------------------------------------- */

static struct gr_metric_value accuracy(const struct gr_accumulator *t) {
    return gr_metric_defined((double)t->sums[GR_CORRECT] / (double)t->sums[GR_WEIGHT]);
}

static struct gr_metric_value log_loss(const struct gr_accumulator *t) {
    return gr_metric_defined(mean(t, t->log_loss));
}

static struct gr_metric_value brier(const struct gr_accumulator *t) {
    return gr_metric_defined(mean(t, t->brier));
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
    return gr_metric_defined(sum / (double)n);
}

/* Of a class that has rows or was predicted. */
static double f1_of(const int64_t *class) {
    return ratio(2 * class[GR_FOUND], class[GR_ACTUAL] + class[GR_PREDICTED]);
}

static struct gr_metric_value macro_f1(const struct gr_accumulator *t) {
    double sum = 0;
    size_t n = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_ACTUAL] + class[GR_PREDICTED] == 0) continue;
        sum += f1_of(class);
        n++;
    }
    return gr_metric_defined(sum / (double)n);
}

static struct gr_metric_value weighted_f1(const struct gr_accumulator *t) {
    long double sum = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_ACTUAL] > 0) sum += (long double)class[GR_ACTUAL] * f1_of(class);
    }
    return gr_metric_defined((double)(sum / (long double)t->sums[GR_WEIGHT]));
}

/* ---- how far a row moves a metric --------------------------------------------------------------
 */

static double rows_of(int64_t units) {
    return (double)gr_weight_of(units);
}

/* A mean over classes is moved most by a row of the smallest. */
static double smallest_class(const struct gr_accumulator *t) {
    int64_t least = t->sums[GR_WEIGHT], n = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t rows = t->by_class[c * GR_CLASS_SUMS + GR_ACTUAL];
        if (rows == 0) continue;
        n++;
        if (rows < least) least = rows;
    }
    return rows_of(least) * (double)n;
}

/* One more row found adds 2 to what is divided by the rows of a class and those taken for it. */
static double smallest_f1(const struct gr_accumulator *t) {
    int64_t least = 2 * t->sums[GR_WEIGHT], n = 0;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        const int64_t rows = class[GR_ACTUAL] + class[GR_PREDICTED];
        if (rows == 0) continue;
        n++;
        if (rows < least) least = rows;
    }
    return rows_of(least) * (double)n / 2;
}

static double half_of_rows(const struct gr_accumulator *t) {
    return rows_of(t->sums[GR_WEIGHT]) / 2;
}

/* The shares of classes among labels and predictions, as sums over classes of their products. */
struct agreement {
    long double chance, predicted, actual;
};

static struct agreement agreement_of(const struct gr_accumulator *t) {
    const long double all = (long double)t->sums[GR_WEIGHT];
    struct agreement a = {0};
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        const long double predicted = (long double)class[GR_PREDICTED] / all;
        const long double actual = (long double)class[GR_ACTUAL] / all;
        a.chance += predicted * actual;
        a.predicted += predicted * predicted;
        a.actual += actual * actual;
    }
    return a;
}

/* A row changes the numerator by 1 / rows, and the denominator no more than that. */
static double rows_beyond_chance(const struct gr_accumulator *t) {
    return (double)(1 - agreement_of(t).chance) * half_of_rows(t);
}

static double rows_of_spread(const struct gr_accumulator *t) {
    const struct agreement a = agreement_of(t);
    return (double)sqrtl((1 - a.predicted) * (1 - a.actual)) * half_of_rows(t);
}

/* Of two classes. */
static double rows_of_one(const struct gr_accumulator *t) {
    return rows_of(t->by_class[GR_CLASS_SUMS + GR_ACTUAL]);
}

static double rows_of_zero(const struct gr_accumulator *t) {
    return rows_of(t->by_class[GR_ACTUAL]);
}

static double rows_of_curves(const struct gr_accumulator *t) {
    return t->classes == 2 ? rows_of_one(t) : smallest_class(t);
}

static double taken_for_one(const struct gr_accumulator *t) {
    return rows_of(t->by_class[GR_CLASS_SUMS + GR_PREDICTED]);
}

static double taken_for_zero(const struct gr_accumulator *t) {
    return rows_of(t->by_class[GR_PREDICTED]);
}

static double rows_expected(const struct gr_accumulator *t) {
    return (double)gr_real_value(t->expected);
}

/* ---- classes, again ----------------------------------------------------------------------------
 */

/*
 * The correlation of labels and predictions (Gorodkin 2004, equation 8; with two classes Matthews
 * 1975). Weights are below 2^63 units in all, so their shares are taken before they are multiplied.
 */
static struct gr_metric_value matthews(const struct gr_accumulator *t) {
    const struct agreement a = agreement_of(t);
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_PREDICTED] == t->sums[GR_WEIGHT] || class[GR_ACTUAL] == t->sums[GR_WEIGHT])
            return gr_metric_undefined(GR_ONE_CLASS);
    }
    const long double found = (long double)t->sums[GR_CORRECT] / (long double)t->sums[GR_WEIGHT];
    return gr_metric_defined(
        (double)((found - a.chance) / sqrtl((1 - a.predicted) * (1 - a.actual))));
}

/* Not defined where all rows are of one class and were taken for it: chance finds all. */
static struct gr_metric_value cohen_kappa(const struct gr_accumulator *t) {
    const struct agreement a = agreement_of(t);
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t *class = t->by_class + c * GR_CLASS_SUMS;
        if (class[GR_PREDICTED] == t->sums[GR_WEIGHT] && class[GR_ACTUAL] == t->sums[GR_WEIGHT])
            return gr_metric_undefined(GR_ONE_CLASS);
    }
    const long double found = (long double)t->sums[GR_CORRECT] / (long double)t->sums[GR_WEIGHT];
    return gr_metric_defined((double)((found - a.chance) / (1 - a.chance)));
}

static struct gr_metric_value top_3_accuracy(const struct gr_accumulator *t) {
    return gr_metric_defined(ratio(t->top[GR_TOP_3], t->sums[GR_WEIGHT]));
}

static struct gr_metric_value top_5_accuracy(const struct gr_accumulator *t) {
    return gr_metric_defined(ratio(t->top[GR_TOP_5], t->sums[GR_WEIGHT]));
}

/* The share found of a class's rows, or of the rows taken for it; why: there are none. */
static struct gr_metric_value found_of(const struct gr_accumulator *t, size_t class, size_t of,
                                       enum gr_reason why) {
    const int64_t *sums = t->by_class + class * GR_CLASS_SUMS;
    return sums[of] > 0 ? gr_metric_defined(ratio(sums[GR_FOUND], sums[of]))
                        : gr_metric_undefined(why);
}

static struct gr_metric_value sensitivity(const struct gr_accumulator *t) {
    return found_of(t, 1, GR_ACTUAL, GR_ONE_CLASS);
}

static struct gr_metric_value specificity(const struct gr_accumulator *t) {
    return found_of(t, 0, GR_ACTUAL, GR_ONE_CLASS);
}

static struct gr_metric_value positive_predictive_value(const struct gr_accumulator *t) {
    return found_of(t, 1, GR_PREDICTED, GR_NONE_TAKEN);
}

static struct gr_metric_value negative_predictive_value(const struct gr_accumulator *t) {
    return found_of(t, 0, GR_PREDICTED, GR_NONE_TAKEN);
}

/* A sum of p is above 0, but where all are too small for its grid. */
static struct gr_metric_value observed_expected(const struct gr_accumulator *t) {
    const long double expected = gr_real_value(t->expected);
    const long double observed = gr_weight_of(t->by_class[GR_CLASS_SUMS + GR_ACTUAL]);
    return expected > 0 ? gr_metric_defined((double)(observed / expected))
                        : gr_metric_undefined(GR_NONE_EXPECTED);
}

/*
 * The mean over classes of what the bins of each tell against the rest. A class without rows on
 * either side is left out, as it has no curve. The bounds of a mean are the means of the bounds.
 */
static struct gr_metric_value mean_of_curves(const struct gr_accumulator *t,
                                             bool (*of_class)(const struct gr_accumulator *t,
                                                              size_t k,
                                                              struct gr_metric_value *out)) {
    struct gr_metric_value sum = {0}, one;
    double n = 0;
    if (t->classes > GR_CONFUSION_CLASSES_MAX) return gr_metric_undefined(GR_MANY_CLASSES);
    if (t->without_auc) return gr_metric_undefined(GR_NOT_COUNTED);
    for (size_t k = 0; k < t->n_scored; k++) {
        if (!of_class(t, k, &one)) continue;
        sum.value += one.value;
        sum.lower += one.lower;
        sum.upper += one.upper;
        n++;
    }
    if (!(n > 0)) return gr_metric_undefined(GR_ONE_CLASS);
    const bool wide = sum.upper / n - sum.lower / n > GR_AUC_WIDE;
    const enum gr_reason why = t->without_bounds ? GR_NO_BOUNDS : GR_CLOSE_SCORES;
    return (struct gr_metric_value){wide ? (double)NAN : sum.value / n, sum.lower / n,
                                    sum.upper / n, wide ? gr_reason_text[why] : NULL};
}

static struct gr_metric_value auc(const struct gr_accumulator *t) {
    return mean_of_curves(t, gr_accumulator_area);
}

static struct gr_metric_value average_precision(const struct gr_accumulator *t) {
    return mean_of_curves(t, gr_accumulator_precision);
}

/* A bin's weight cancels: weight / all * |score sum / weight - found / weight|. */
static struct gr_metric_value calibration_error(const struct gr_accumulator *t) {
    long double sum = 0;
    for (size_t b = 0; b < GR_RELIABILITY_BINS; b++) {
        const int64_t *bin = t->reliability + b * GR_BIN_SUMS;
        sum += fabsl(gr_real_value(bin + GR_BIN_SCORE) - gr_weight_of(bin[GR_BIN_CORRECT]));
    }
    return gr_metric_defined((double)(sum / gr_weight_of(t->sums[GR_WEIGHT])));
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
    const double weight = withheld ? 0 : (double)gr_weight_of(bin[GR_BIN_WEIGHT]);
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
    return gr_metric_defined(mean(t, number(t, GR_SQUARED)));
}

static struct gr_metric_value mae(const struct gr_accumulator *t) {
    return gr_metric_defined(mean(t, number(t, GR_ABSOLUTE)));
}

/* By sums rather than by a second pass over the rows: the mean is not known before all processes
 * have added theirs. */
static struct gr_metric_value r2(const struct gr_accumulator *t) {
    const long double rows = gr_weight_of(t->sums[GR_WEIGHT]);
    const long double sum = gr_real_value(number(t, GR_TARGET));
    const long double squares = gr_real_value(number(t, GR_TARGET_SQUARED));
    const long double spread = squares - sum * sum / rows;
    /* The rounding of the sums' grid and of this difference, below which a spread is taken for
     * none. */
    const long double rounding = 0x1p-49L * (rows + fabsl(sum)) + 0x1p-60L * squares;
    if (!(spread > rounding)) return gr_metric_undefined(GR_ONE_TARGET);
    return gr_metric_defined((double)(1 - gr_real_value(number(t, GR_SQUARED)) / spread));
}

static struct gr_metric_value poisson_deviance(const struct gr_accumulator *t) {
    if (t->sums[GR_NO_DEVIANCE] > 0) return gr_metric_undefined(GR_NO_POISSON);
    return gr_metric_defined(mean(t, number(t, GR_DEVIANCE)));
}

/* ---- the table ------------------------------------------------------------------------------ */

/* In this order they are told. */
const struct gr_metric_row gr_metric_rows[] = {
    {.name = "accuracy",
     .resampled = true,
     .counted = true,
     .title = "accuracy",
     .always = true,
     .compute = accuracy},
    {.name = "log_loss",
     .resampled = true,
     .title = "log loss",
     .always = true,
     .compute = log_loss},
    {.name = "balanced_accuracy",
     .resampled = true,
     .counted = true,
     .basis = smallest_class,
     .title = "balanced accuracy",
     .compute = balanced_accuracy},
    {.name = "macro_f1",
     .resampled = true,
     .counted = true,
     .basis = smallest_f1,
     .title = "macro F1",
     .compute = macro_f1},
    {.name = "micro_f1",
     .resampled = true,
     .counted = true,
     .title = "micro F1",
     .compute = accuracy},
    {.name = "weighted_f1",
     .resampled = true,
     .counted = true,
     .basis = half_of_rows,
     .title = "weighted F1",
     .compute = weighted_f1},
    {.name = "top_3_accuracy",
     .counted = true,
     .top = 3,
     .title = "top-3 accuracy",
     .compute = top_3_accuracy},
    {.name = "top_5_accuracy",
     .counted = true,
     .top = 5,
     .title = "top-5 accuracy",
     .compute = top_5_accuracy},
    {.name = "matthews",
     .resampled = true,
     .counted = true,
     .basis = rows_of_spread,
     .title = "Matthews correlation",
     .compute = matthews},
    {.name = "cohen_kappa",
     .resampled = true,
     .counted = true,
     .basis = rows_beyond_chance,
     .title = "Cohen's kappa",
     .compute = cohen_kappa},
    {.name = "sensitivity",
     .resampled = true,
     .counted = true,
     .binary = true,
     .basis = rows_of_one,
     .title = "sensitivity",
     .compute = sensitivity},
    {.name = "specificity",
     .resampled = true,
     .counted = true,
     .binary = true,
     .basis = rows_of_zero,
     .title = "specificity",
     .compute = specificity},
    {.name = "positive_predictive_value",
     .resampled = true,
     .counted = true,
     .binary = true,
     .basis = taken_for_one,
     .title = "positive predictive value",
     .compute = positive_predictive_value},
    {.name = "negative_predictive_value",
     .resampled = true,
     .counted = true,
     .binary = true,
     .basis = taken_for_zero,
     .title = "negative predictive value",
     .compute = negative_predictive_value},
    {.name = "auc",
     .resampled = true,
     .counted = true,
     .title = "ROC AUC",
     .bounded = true,
     .binned = true,
     .compute = auc},
    {.name = "average_precision",
     .counted = true,
     .basis = rows_of_curves,
     .title = "PR AUC (average precision)",
     .bounded = true,
     .binned = true,
     .compute = average_precision},
    {.name = "brier", .resampled = true, .title = "Brier score", .compute = brier},
    {.name = "calibration_error",
     .counted = true,
     .title = "calibration error",
     .compute = calibration_error},
    {.name = "observed_expected",
     .resampled = true,
     .counted = true,
     .binary = true,
     .basis = rows_expected,
     .title = "observed / expected",
     .compute = observed_expected},
    {.name = "calibration_slope",
     .coarse = true,
     .binary = true,
     .binned = true,
     .title = "calibration slope",
     .compute = gr_calibration_slope},
    {.name = "calibration_intercept",
     .coarse = true,
     .binary = true,
     .binned = true,
     .title = "calibration intercept",
     .compute = gr_calibration_intercept},
    {.name = "hosmer_lemeshow",
     .coarse = true,
     .binary = true,
     .binned = true,
     .title = "Hosmer-Lemeshow chi-square",
     .compute = gr_hosmer_lemeshow},
    {.name = "hosmer_lemeshow_p",
     .coarse = true,
     .binary = true,
     .binned = true,
     .title = "Hosmer-Lemeshow p",
     .compute = gr_hosmer_lemeshow_p},
    {.name = "mse",
     .resampled = true,
     .title = "mean squared error",
     .of_numbers = true,
     .compute = mse},
    {.name = "mae",
     .resampled = true,
     .title = "mean absolute error",
     .of_numbers = true,
     .compute = mae},
    {.name = "r2", .resampled = true, .title = "R\xc2\xb2", .of_numbers = true, .compute = r2},
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
    const struct gr_metric_row *row = &gr_metric_rows[metric];
    if (row->of_numbers || classes == 0) return row->of_numbers && classes == 0;
    return (!row->binary || classes == 2) && classes > row->top;
}

struct gr_metric_value gr_metric_exact(const struct gr_accumulator *t, unsigned metric) {
    if (metric >= gr_metric_count || !gr_metric_fits(metric, t->classes))
        return gr_metric_undefined(GR_NOT_OF_MODEL);
    if (t->sums[GR_WEIGHT] == 0)
        return gr_metric_undefined(t->sums[GR_ROWS] == 0 ? GR_NO_ROWS : GR_NO_WEIGHT);
    return gr_metric_rows[metric].compute(t);
}
