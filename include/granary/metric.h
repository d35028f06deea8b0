/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric: what is counted of scored rows, and the metrics that follow from the counts.
 *
 * Knows neither models nor configs nor MPI, so that every room above may read the table of metrics.
 * No function of this header is collective: the caller adds the sums of all processes.
 *
 * Interface: internal.
 */
#ifndef GRANARY_METRIC_H
#define GRANARY_METRIC_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the table of metrics ------------------------------------------------------------------- */

/*
 * A metric of scored rows. The table of all stands with the formulas in src/metric/metric_rows.c;
 * its names are those of evaluate.metrics, metrics.jsonl, evaluation.json and the report, which
 * follow it. A metric is known by its index in the table; gr_accumulator_metric says how each is
 * defined.
 */
struct gr_accumulator;
struct gr_metric_value;
struct gr_metric_row {
    const char *name, *title; /* in files; for people */
    bool of_numbers;          /* of models that predict a number; else of classifiers */
    bool always;              /* told anyway, as loss and accuracy: evaluate.metrics lacks it */
    bool counted;             /* follows from counts of rows, which it would tell */
    bool bounded;             /* counted in bins: it lies between `lower` and `upper` */
    bool binned;    /* needs the bins of scores: found after the last round, or if named */
    bool coarse;    /* told with two digits where a counted one is told in steps */
    bool binary;    /* of models of two classes alone, of which class 1 is the event */
    bool resampled; /* a bootstrap tells of it */
    size_t top;     /* of models of more classes than so many */
    /* Of a counted metric: 1 / basis is the most that a row of weight 1 moves it, so that it hides
     * few rows in steps of gr_share_step(basis). NULL: all rows. */
    double (*basis)(const struct gr_accumulator *accumulator);
    /* Of an accumulator with weight, of such a model. */
    struct gr_metric_value (*compute)(const struct gr_accumulator *accumulator);
};
extern const struct gr_metric_row gr_metric_rows[];
extern const unsigned gr_metric_count;
enum { GR_METRICS_MAX = 32 };
/* Not collective. Returns the index of the metric of that name; gr_metric_count: there is none. */
unsigned gr_metric_find(const char *name);

/* ---- weights -------------------------------------------------------------------------------- */

/*
 * Once loaded, and by gr_rows_scale_weights (data.h), weights of rows are at most 1 and whole
 * multiples of 2^-GR_WEIGHT_BITS, so that sums of them are integers: the same in any order. No mean
 * changes when all weights are divided by a power of two.
 */
enum { GR_WEIGHT_BITS = 24 };
#define GR_WEIGHT_ONE (INT64_C(1) << GR_WEIGHT_BITS)

/* A row's weight in units of 2^-GR_WEIGHT_BITS; weights NULL: GR_WEIGHT_ONE. Not collective. */
static inline int64_t gr_weight_units(const float *weights, size_t row) {
    return weights ? (int64_t)(weights[row] * (float)GR_WEIGHT_ONE) : GR_WEIGHT_ONE;
}

/* ---- accumulators ------------------------------------------------------------------------------
 */

/*
 * Counts of scored rows, all of them integers: accumulators of different rows are added by adding
 * their sums, and every metric follows from the total, with the same bits however the rows were
 * dealt.
 */
struct gr_accumulator; /* opaque */

enum {
    GR_CONFUSION_CLASSES_MAX = 100, /* of more classes there is no confusion matrix, and no AUC */
    GR_RELIABILITY_BINS = 15
};

/*
 * Not collective. Makes an empty accumulator. classes: of a classifier, from 1; 0: for a model that
 * predicts a number. Caller releases with gr_accumulator_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_accumulator_create(size_t classes, struct gr_accumulator **out) GR_CHECKED;
/* Not collective. Releases an accumulator; NULL is accepted. */
void gr_accumulator_free(struct gr_accumulator *accumulator);
/*
 * Not collective. Forgets all rows. with_auc false: the sums that the AUC needs, which are most,
 * are not counted until the next call; a new accumulator counts it.
 */
void gr_accumulator_clear(struct gr_accumulator *accumulator, bool with_auc);
/* Not collective. Returns how many classes it was created for. */
size_t gr_accumulator_classes(const struct gr_accumulator *accumulator);
/* Not collective. Returns how many rows were added, weighted or not. */
int64_t gr_accumulator_rows(const struct gr_accumulator *accumulator);
/*
 * Not collective. Sets the exponent that gr_rows_scale_weights has divided out of all weights:
 * counts are shown times 2^exponent.
 */
void gr_accumulator_set_exponent(struct gr_accumulator *accumulator, int exponent);

struct gr_recalibration; /* of postprocessing.h */
/*
 * Not collective. Rows of classes that are added from now on are counted with calibrated
 * probabilities. recalibration: borrowed, as long as rows are added; NULL: as they are. Errors:
 * GR_ERROR_INTERNAL.
 */
gr_status gr_accumulator_recalibrate(struct gr_accumulator *accumulator,
                                     const struct gr_recalibration *recalibration) GR_CHECKED;

/* Not collective. Adds the rows of another accumulator of as many classes, which counts what this
 * one does. */
gr_status gr_accumulator_add(struct gr_accumulator *accumulator,
                             const struct gr_accumulator *other) GR_CHECKED;

/*
 * Not collective. Returns the integers to be added over processes, n of them, in place. Borrowed.
 */
int64_t *gr_accumulator_sums(struct gr_accumulator *accumulator, size_t *n);
/*
 * Not collective. Once the sums are added over processes: counts the rows of `rows_of`, which may
 * be the accumulator itself, in bins for the AUC. Of two classes the bins are laid by the mean and
 * deviation of all scores, which the sums tell, because scores may lie close to each other
 * anywhere. Then gr_accumulator_counts are to be added over processes, and the maxima of
 * gr_accumulator_bounds taken.
 */
void gr_accumulator_bin(struct gr_accumulator *accumulator, const struct gr_accumulator *rows_of);
/*
 * Not collective. Returns the counts by bins, n of them, to be added over processes in place; n is
 * 0 without an AUC. Borrowed.
 */
int64_t *gr_accumulator_counts(struct gr_accumulator *accumulator, size_t *n);
/*
 * Not collective. Returns the bounds of scores by bins, n of them, of which the maxima over
 * processes are to be taken in place; n is 0 without an AUC. Borrowed.
 */
int64_t *gr_accumulator_bounds(struct gr_accumulator *accumulator, size_t *n);
/*
 * Not collective. Between these two, of rows that others may not know: takes out the bounds of bins
 * where they decide nothing, and of those that hold fewer than `rows` rows over all processes (of
 * weighted rows: perhaps fewer), whose bounds would be their scores, to the last bit. Rows of such
 * a bin count as not told apart.
 */
void gr_accumulator_withhold_bounds(struct gr_accumulator *accumulator, uint32_t rows);
/* Not collective. In its place, where no bounds leave: rows of one bin all count as not told apart,
 * and an AUC that is not told for it says so. */
void gr_accumulator_drop_bounds(struct gr_accumulator *accumulator);

enum { GR_FIT_PASSES = 3 };
/*
 * Not collective. Once the counts by bins are added over processes: returns n integers of the rows
 * of `rows_of`, to be added over processes in place before it is called again. n is GR_FIT_PASSES
 * times above 0, and then 0: metrics of calibration are there. Of other than two classes, or
 * without an AUC, it is 0 at once. Borrowed.
 */
int64_t *gr_accumulator_fit(struct gr_accumulator *accumulator,
                            const struct gr_accumulator *rows_of, size_t *n);

/*
 * Not collective. n rows of a classifier. logits: n x classes, before the softmax; labels: n, each
 * below classes; weights: n as gr_rows_scale_weights leaves them, NULL: 1 each. Every count and sum
 * below is of weights then, as with scikit-learn's sample_weight. A row that is not finite:
 * GR_ERROR_DATA, and the accumulator is void.
 */
gr_status gr_accumulator_add_classes(struct gr_accumulator *accumulator, const float *logits,
                                     const int32_t *labels, const float *weights,
                                     size_t n) GR_CHECKED;
/*
 * Not collective. n rows of a model that predicts a number, the mean of the target. Errors:
 * GR_ERROR_DATA for a number that is not finite or beyond +-2^34; the accumulator is then void.
 */
gr_status gr_accumulator_add_numbers(struct gr_accumulator *accumulator, const float *predictions,
                                     const float *targets, const float *weights,
                                     size_t n) GR_CHECKED;

/*
 * The metrics. Of a classifier, where p is the softmax and y the label:
 *
 *   accuracy           rows whose largest p is their label's (first of ties)
 *   log_loss           mean of -ln p[y]
 *   balanced_accuracy  mean, over the classes that have rows, of the share of them found
 *   macro_f1           mean, over the classes that have rows or were predicted, of F1
 *   micro_f1           F1 of all classes' counts added up, which is the accuracy
 *   weighted_f1        mean of F1 over classes, each as often as it has rows
 *   top_3_accuracy     rows with fewer than 3 classes of a larger p than their label's (first of
 *                      ties); likewise top_5_accuracy
 *   cohen_kappa        (a - c) / (1 - c) of the accuracy a and the share c found by chance, the sum
 *                      over classes of the shares of rows of it and taken for it (Cohen 1960)
 *   matthews           correlation of labels and predictions, of K classes as R_K (Gorodkin 2004):
 *                      with s all rows, c those found, p and t those predicted as and of a class,
 *                      (c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)); not defined where
 *                      all rows are of one class or were taken for one
 *   auc                area under the ROC curve: of class 1 where there are two, else the mean over
 *                      the classes that have rows of each one against the rest. From counts by
 *                      bins of the log-odds ln(p / (1 - p)), see gr_accumulator_bin: rows of one
 *                      bin count as ties, and `lower` and `upper` enclose the area that all digits
 *                      would give. Further apart than GR_AUC_WIDE only these two are told
 *   average_precision  area under the precision-recall curve in steps: the mean, over the rows of
 *                      a class, of the precision when all rows of at least their score are taken
 *                      for it; of class 1 where there are two, else the mean over the classes that
 *                      have rows. From the same bins, with bounds likewise
 *   brier              mean of the sum over classes of (p - [y])^2 (Brier 1950); with two classes
 *                      half of it, which is (p[1] - [y = 1])^2
 *   calibration_error  expected calibration error (Guo et al. 2017): over GR_RELIABILITY_BINS equal
 *                      bins of the largest p, the mean over rows of |mean p - share found|
 *
 * of two classes, where class 1 is the event and p of it:
 *
 *   sensitivity, specificity    share found of the rows of class 1, of class 0
 *   positive_predictive_value,  share of the rows taken for class 1, for class 0, that are of it
 *   negative_predictive_value
 *   observed_expected           rows of class 1 / sum of p
 *   calibration_slope           b of the likeliest ln(P / (1 - P)) = a + b x, where x is the
 *                               log-odds ln(p / (1 - p)) as float32 (Cox 1958)
 *   calibration_intercept       a of the likeliest ln(P / (1 - P)) = a + x
 *   hosmer_lemeshow             sum over tenths of the rows, by p, of (o - e)^2 / (e (1 - e / n)),
 *                               o rows of class 1 of n, e the sum of p; not of weighted rows
 *   hosmer_lemeshow_p           its upper tail, with as many degrees of freedom as tenths have rows
 *
 * and of a model that predicts a number (prediction f, target t):
 *
 *   mse, mae           means of (f - t)^2, |f - t|
 *   r2                 1 - sum (f - t)^2 / sum (t - mean t)^2
 *   poisson_deviance   mean of 2 (t ln(t / f) - t + f)
 */
#define GR_AUC_WIDE 0.01
struct gr_metric_value {
    double value;        /* NAN where it is not defined */
    double lower, upper; /* of auc, also where only these are known; else `value` */
    const char *why;     /* it is not defined, e.g. "one class only"; NULL when it is */
};
/*
 * Not collective. Returns a metric of the rows added, defined as above, with the digits that
 * gr_accumulator_disclose allows.
 */
struct gr_metric_value gr_accumulator_metric(const struct gr_accumulator *accumulator,
                                             unsigned metric);
/* Not collective. Whether the metric is defined for models of so many classes (0: of numbers). */
bool gr_metric_fits(unsigned metric, size_t classes);

/*
 * The metrics of one silo's rows as integers, to be told to other processes: all of it is 0 where
 * the silo is not, so that adding them over processes gives them to all as they are.
 */
struct gr_silo_metrics {
    int64_t told; /* 1: what follows is known */
    int64_t value[GR_METRICS_MAX], lower[GR_METRICS_MAX], upper[GR_METRICS_MAX],
        why[GR_METRICS_MAX];
};
/*
 * Not collective. Writes the metrics of an accumulator whose rows are in bins (gr_accumulator_bin).
 */
void gr_silo_metrics_take(const struct gr_accumulator *accumulator, struct gr_silo_metrics *out);
/*
 * Not collective. Returns a metric out of gr_silo_metrics_take's integers, or the reason why it is
 * not defined.
 */
struct gr_metric_value gr_silo_metric(const struct gr_silo_metrics *metrics, unsigned metric);

/*
 * Not collective. To be called for rows that silos hold out, once their sums have been added: from
 * now on cells of the confusion matrix and bins of the reliability table of fewer than `rows` rows
 * are withheld, with as many more as it takes that they do not follow from totals; of rows with
 * weights the whole matrix, for weights do not say how many rows they are of; metrics have `digits`
 * significant ones (0: all). Beside withheld cells metrics that follow from counts are told in
 * multiples of gr_share_step of their basis, for withheld cells could be solved for from three
 * exact ones. gr_accumulator_clear lifts it. Method: Hundepool et al. 2012, chapter 4.
 */
gr_status gr_accumulator_disclose(struct gr_accumulator *accumulator, uint32_t rows,
                                  uint32_t digits) GR_CHECKED;
/*
 * Not collective. Returns the value rounded to so many significant decimal digits; 0, and from 17
 * on: as it is.
 */
double gr_round_digits(double value, uint32_t digits);
/*
 * Not collective. Returns the step in which shares of `rows` rows are told, so that fewer than
 * `least` rows do not show: least / rows, rounded up to 1, 2 or 5 times a power of ten. 0: any step
 * (least below 2); 1: no share is told, since rows are fewer than twice `least`.
 */
double gr_share_step(int64_t rows, uint32_t least);
/* Not collective. Returns the nearest multiple of the step; 0: the value as it is; from 1 on NAN.
 */
double gr_round_step(double value, double step);

/*
 * Not collective. Returns the weight of the rows of label `actual` that were taken for `predicted`,
 * which without weights is their number; NAN: withheld. Only with classes <=
 * GR_CONFUSION_CLASSES_MAX.
 */
double gr_accumulator_confusion(const struct gr_accumulator *accumulator, size_t actual,
                                size_t predicted);

/* The class with the most rows and its share of all. */
struct gr_class_share {
    size_t index; /* of the class */
    double share;
};
/*
 * Not collective. Returns the class with the most rows, the first of several, and its share of all,
 * which is the accuracy of a model that always names it. NAN without rows or classes, and where
 * cells of the confusion matrix are withheld.
 */
struct gr_class_share gr_accumulator_largest_class(const struct gr_accumulator *accumulator);

/* ---- the bootstrap --------------------------------------------------------------------------- */

enum { GR_REPLICATES_MIN = 100, GR_REPLICATES_MAX = 10000 };
/*
 * A metric in many replicates, in each of which rows (or silos) count as often as a draw says.
 * lower, upper: between which the middle 95 % of them lie. Replicates in which it is not defined,
 * for none of its rows is in them, are left out, up to a twentieth.
 */
struct gr_resampled_metric {
    double lower, upper, mean, deviation; /* NAN: not defined */
    int64_t left_out;
    const char *why; /* it is not defined; static; NULL: it is, or the model has no such metric */
};
/* Not collective. Keeps all rows that are added from now on, where the AUC is counted; for
 * replicates. */
void gr_accumulator_keep_rows(struct gr_accumulator *accumulator);
/* Not collective. How many rows it keeps. */
size_t gr_accumulator_kept(const struct gr_accumulator *accumulator);
/* Of one silo's rows, as integers to be told to other processes: like struct gr_silo_metrics. */
struct gr_silo_spread {
    int64_t lower[GR_METRICS_MAX], upper[GR_METRICS_MAX], mean[GR_METRICS_MAX],
        deviation[GR_METRICS_MAX], left_out[GR_METRICS_MAX], why[GR_METRICS_MAX];
};
/* Not collective. Writes them. */
void gr_silo_spread_take(const struct gr_resampled_metric metrics[GR_METRICS_MAX],
                         struct gr_silo_spread *out);
/* Not collective. Returns those of a metric, or the reason why it is not defined. */
struct gr_resampled_metric gr_silo_spread_metric(const struct gr_silo_spread *spread,
                                                 unsigned metric);
/*
 * Not collective. What may be told of a metric's replicates beside the metric itself: not defined
 * where that is not; ends and deviation in its steps, outwards, and the mean in them; else with its
 * digits, and the deviation with two.
 */
struct gr_resampled_metric gr_resampled_told(const struct gr_accumulator *total, unsigned metric,
                                             struct gr_resampled_metric exact);

/* ---- of two classes -------------------------------------------------------------------------- */

/*
 * Not collective. Returns the standard error of the AUC of two classes by DeLong, DeLong and
 * Clarke-Pearson (1988), with what encloses it, since rows of one bin may be in any order. Not of
 * rows with weights. The digits and steps are those of the AUC.
 */
struct gr_metric_value gr_accumulator_auc_error(const struct gr_accumulator *accumulator);
/* The interval in which the AUC lies with 95 %, as a normal law has it, cut to 0 .. 1; NAN: it is
 * not defined. It holds the interval of every order that rows of one bin may have. */
struct gr_interval {
    double lower, upper;
};
/* Not collective. Returns that interval. */
struct gr_interval gr_accumulator_auc_interval(const struct gr_accumulator *accumulator);

enum { GR_DECISIONS = 99 };
/*
 * A threshold at which one would act, and the net benefit of acting on the rows whose p is at least
 * that (Vickers, Elkin 2006), and of acting on all rows: rightly / all - wrongly / all * threshold
 * / (1 - threshold). Of acting on none it is 0.
 */
struct gr_net_benefit {
    double threshold, model, all; /* NAN: not defined, or withheld */
};
/* Not collective. Whether net benefits were counted: of two classes, with the AUC, and rows. */
bool gr_accumulator_has_decisions(const struct gr_accumulator *accumulator);
/*
 * Not collective. Returns the net benefit at (i + 1) / (GR_DECISIONS + 1), i below GR_DECISIONS. Of
 * rows that silos hold out it is told in steps that hide few rows, since neighbouring thresholds
 * tell of the rows between them.
 */
struct gr_net_benefit gr_accumulator_net_benefit(const struct gr_accumulator *accumulator,
                                                 size_t i);

enum { GR_POINTS_MAX = 8 };
/* How a threshold is chosen: the largest sensitivity + specificity (Youden 1950), the highest
 * threshold with a sensitivity of `least`, or the lowest with so large a specificity. */
struct gr_point_rule {
    enum gr_point_kind { GR_POINT_YOUDEN, GR_POINT_SENSITIVITY, GR_POINT_SPECIFICITY } kind;
    double least;
};
/* Not collective. Reads "youden", "sensitivity=0.9" or "specificity=0.9", above 0 and at most 1;
 * false: it is none of these. */
bool gr_point_parse(const char *text, struct gr_point_rule *out) GR_CHECKED;
/*
 * Not collective. Returns the log-odds at and above which rows are to be taken for class 1, chosen
 * between the bins of an accumulator whose counts are added over processes, with so many digits (0:
 * all). least: so many rows lie on either side of it, and between the thresholds that are compared.
 * NAN: there is none, as without rows of either class.
 */
double gr_accumulator_choose(const struct gr_accumulator *accumulator, struct gr_point_rule rule,
                             uint32_t least, uint32_t digits);
/* Weights, in units, of rows by class and by what they are taken for: class 0 taken for 0 and for
 * 1, class 1 likewise. */
enum { GR_POINT_COUNTS = 4 };
/* Not collective. Counts the rows that were added to an accumulator with the AUC, of two classes,
 * at a threshold. */
void gr_accumulator_count_at(const struct gr_accumulator *rows, double log_odds,
                             int64_t counts[GR_POINT_COUNTS]);
struct gr_operating_point {
    const char *rule;           /* as it was asked for; borrowed */
    double log_odds, threshold; /* of p, likewise; NAN: there is none */
    double sensitivity, specificity, positive_predictive_value, negative_predictive_value;
};
/* Not collective. Returns the shares that the counts of all processes give, without a rule; NAN:
 * not defined, or withheld. few: of rows that silos hold out, in steps that hide fewer rows; 0: as
 * they are. */
struct gr_operating_point gr_point_told(double log_odds, const int64_t counts[GR_POINT_COUNTS],
                                        uint32_t few, uint32_t digits);

enum { GR_WITHHELD = -1 };
/* A bin of the reliability table: rows whose largest p is above `from` and at most `to`. */
struct gr_reliability {
    double from, to;
    int64_t rows;      /* GR_WITHHELD: not told, nor is what follows */
    double mean_score; /* NAN without rows */
    double fraction;   /* of the rows, found; NAN without rows */
};
/* Not collective. Returns a bin of the reliability table, from 0 to GR_RELIABILITY_BINS - 1. */
struct gr_reliability gr_accumulator_reliability(const struct gr_accumulator *accumulator,
                                                 size_t bin);

#ifdef __cplusplus
}
#endif
#endif
