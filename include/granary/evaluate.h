/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate: scores of a model on rows, as integer sums that add up to the same bits anywhere.
 *
 * Not collective; knows no MPI: the caller adds the sums of all processes.
 *
 * Interface: internal.
 */
#ifndef GRANARY_EVALUATE_H
#define GRANARY_EVALUATE_H

#include <granary/data.h>
#include <granary/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sums; int64 so that gr_comm_sum_int64 adds them over processes, as GR_SCORE_SUMS values. Weights
 * are counted in units of 2^-GR_WEIGHT_BITS, GR_WEIGHT_ONE for a row without one.
 */
struct gr_score {
    int64_t examples;            /* rows */
    int64_t correct;             /* of those that are, the weights */
    int64_t loss[GR_REAL_WORDS]; /* sum of weight times loss, rounded batch by batch */
    int64_t weight;
};
enum { GR_SCORE_SUMS = 3 + GR_REAL_WORDS };

/* Adds a sum of losses; not finite or beyond +-2^70 gives GR_ERROR_DATA. */
gr_status gr_loss_add(int64_t loss[GR_REAL_WORDS], double loss_sum) GR_CHECKED;
/* Means over the rows by their weights; NAN where there is no weight. */
double gr_score_loss(const struct gr_score *score);
double gr_loss_mean(const int64_t loss[GR_REAL_WORDS], const int64_t weight[GR_REAL_WORDS]);
void gr_score_add(struct gr_score *sum, const struct gr_score *part);
double gr_score_accuracy(const struct gr_score *score);

/*
 * Not collective. Of n silos those with told[i] != 0 are to be told; n_withheld others are
 * withheld, for they have few rows. So that those do not follow from a sum over all, one more is
 * withheld unless there are so many that they have minimum_rows rows at any rate: its index, the
 * lowest that is told, which is the same in each round; n: none.
 */
size_t gr_scores_withhold_more(const int64_t *told, size_t n, int64_t n_withheld,
                               int64_t minimum_rows);

/* ---- accumulators ------------------------------------------------------------------------------
 */

/*
 * What is counted of scored rows, all of it in integers: accumulators of different rows are added
 * by adding their sums, and every metric follows from the total, with the same bits however the
 * rows were dealt.
 */
struct gr_accumulator; /* opaque */

enum {
    GR_CONFUSION_CLASSES_MAX = 100, /* of more classes there is no confusion matrix, and no AUC */
    GR_RELIABILITY_BINS = 15
};

/* classes: of a classifier, from 1; 0: for a model that predicts a number. */
gr_status gr_accumulator_create(size_t classes, struct gr_accumulator **out) GR_CHECKED;
void gr_accumulator_free(struct gr_accumulator *accumulator);
/*
 * with_auc false: what the AUC needs, which is most of the sums, is not counted until the next
 * call; a new accumulator counts it.
 */
void gr_accumulator_clear(struct gr_accumulator *accumulator, bool with_auc);
size_t gr_accumulator_classes(const struct gr_accumulator *accumulator);
int64_t gr_accumulator_rows(const struct gr_accumulator *accumulator);
/* What was divided out of all weights by gr_rows_scale_weights: counts are shown times 2^exponent.
 */
void gr_accumulator_set_exponent(struct gr_accumulator *accumulator, int exponent);

/* Adds the rows of another accumulator of as many classes, which counts what this one does. */
gr_status gr_accumulator_add(struct gr_accumulator *accumulator,
                             const struct gr_accumulator *other) GR_CHECKED;

/* The sums, n of them: what is to be added over processes, in place. Borrowed. */
int64_t *gr_accumulator_sums(struct gr_accumulator *accumulator, size_t *n);
/*
 * After the sums have been added: counts the rows of `rows_of`, which may be the accumulator
 * itself, in bins for the AUC. Of two classes the bins are laid by the mean and the deviation of
 * all scores, which the sums tell, for scores may be close to each other anywhere. Then the counts
 * are to be added over processes, and of the bounds the maxima taken, in place; n is 0 without an
 * AUC.
 */
void gr_accumulator_bin(struct gr_accumulator *accumulator, const struct gr_accumulator *rows_of);
int64_t *gr_accumulator_counts(struct gr_accumulator *accumulator, size_t *n);
int64_t *gr_accumulator_bounds(struct gr_accumulator *accumulator, size_t *n);
/*
 * Between these two, of rows that others may not know: takes out the bounds of bins where they
 * decide nothing, and of those that hold fewer than `rows` rows over all processes (of weighted
 * rows: perhaps fewer), whose bounds would be their scores, to the last bit. Rows of such a bin
 * count as not told apart.
 */
void gr_accumulator_withhold_bounds(struct gr_accumulator *accumulator, uint32_t rows);

/*
 * n rows of a classifier. logits: n x classes, before the softmax; labels: n, each below classes;
 * weights: n as gr_rows_scale_weights leaves them, NULL: 1 each. Every count and sum below is of
 * weights then, as with scikit-learn's sample_weight.
 * A row that is not finite: GR_ERROR_DATA, and the accumulator is void.
 */
gr_status gr_accumulator_add_classes(struct gr_accumulator *accumulator, const float *logits,
                                     const int32_t *labels, const float *weights,
                                     size_t n) GR_CHECKED;
/*
 * n rows of a model that predicts a number, the mean of the target. What is not finite, or beyond
 * +-2^34: GR_ERROR_DATA, and the accumulator is void.
 */
gr_status gr_accumulator_add_numbers(struct gr_accumulator *accumulator, const float *predictions,
                                     const float *targets, const float *weights,
                                     size_t n) GR_CHECKED;

/*
 * struct gr_metric_row is in config.h. Of a classifier, where p is the softmax and y the label:
 *
 *   accuracy           rows whose largest p is their label's (first of ties)
 *   log_loss           mean of -ln p[y]
 *   balanced_accuracy  mean, over the classes that have rows, of the share of them found
 *   macro_f1           mean, over the classes that have rows or were predicted, of F1
 *   matthews           correlation of labels and predictions, of K classes as R_K (Gorodkin 2004):
 *                      with s all rows, c those found, p and t those predicted as and of a class,
 *                      (c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)); not defined where
 *                      all rows are of one class or were taken for one
 *   auc                area under the ROC curve: of class 1 where there are two, else the mean over
 *                      the classes that have rows of each one against the rest. From counts by
 *                      bins of the log-odds ln(p / (1 - p)), see gr_accumulator_bin: rows of one
 *                      bin count as ties, and `lower` and `upper` enclose the area that all digits
 *                      would give. Further apart than GR_AUC_WIDE only these two are told
 *   brier              mean of the sum over classes of (p - [y])^2 (Brier 1950); with two classes
 *                      half of it, which is (p[1] - [y = 1])^2
 *   calibration_error  expected calibration error (Guo et al. 2017): over GR_RELIABILITY_BINS equal
 *                      bins of the largest p, the mean over rows of |mean p - share found|
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
struct gr_metric_value gr_accumulator_metric(const struct gr_accumulator *accumulator,
                                             unsigned metric);
/* Whether the metric is one of such a model. */
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
/* Of an accumulator whose rows are in bins: gr_accumulator_bin. */
void gr_silo_metrics_take(const struct gr_accumulator *accumulator, struct gr_silo_metrics *out);
struct gr_metric_value gr_silo_metric(const struct gr_silo_metrics *metrics, unsigned metric);

/*
 * Lowest, middle (of an even number the upper one) and highest of the silos' mean losses and
 * accuracies, among those that have rows; returns how many these are. room: n_silos numbers.
 */
uint32_t gr_scores_spread(const struct gr_score *silos, uint32_t n_silos, double *room,
                          double loss[3], double accuracy[3]);

/*
 * Not collective. Of rows that are silos' own, once their sums have been added: from now on cells
 * of the confusion matrix and bins of the reliability table of fewer than `rows` rows are withheld,
 * with as many more as it takes that they do not follow from totals; of rows with weights the whole
 * matrix, for weights do not say how many rows they are of; metrics have `digits` significant ones
 * (0: all). gr_accumulator_clear lifts it. Method: Hundepool et al. 2012, chapter 4.
 */
gr_status gr_accumulator_disclose(struct gr_accumulator *accumulator, uint32_t rows,
                                  uint32_t digits) GR_CHECKED;
/* A decimal number of so many significant digits; all of them: 0, and from 17 on. */
double gr_round_digits(double value, uint32_t digits);

/* Weight of the rows of label `actual` that were taken for `predicted`, which without weights is
 * their number; NAN: withheld; classes <= GR_CONFUSION_CLASSES_MAX. */
double gr_accumulator_confusion(const struct gr_accumulator *accumulator, size_t actual,
                                size_t predicted);

/* The class with the most rows (the first of several) and its share of all: the accuracy of a model
 * that always says so. NAN without rows or classes. */
struct gr_class_share {
    size_t index; /* of the class */
    double share;
};
struct gr_class_share gr_accumulator_largest_class(const struct gr_accumulator *accumulator);

enum { GR_WITHHELD = -1 };
/* A bin of the reliability table: rows whose largest p is above `from` and at most `to`. */
struct gr_reliability {
    double from, to;
    int64_t rows;      /* GR_WITHHELD: not told, nor is what follows */
    double mean_score; /* NAN without rows */
    double fraction;   /* of the rows, found; NAN without rows */
};
struct gr_reliability gr_accumulator_reliability(const struct gr_accumulator *accumulator,
                                                 size_t bin);

/* ---- rows --------------------------------------------------------------------------------- */

/*
 * Scores rows in batches of GR_TEST_BATCH, in order; the model's batch_max must allow them.
 * accumulator: gets the rows added; or NULL. poll, if not NULL, is called between batches; a return
 * other than GR_OK ends the scoring with that status.
 */
gr_status gr_evaluate_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, gr_poll_function poll, void *context,
                           struct gr_score *out, struct gr_accumulator *accumulator) GR_CHECKED;

/* ---- as text ------------------------------------------------------------------------------ */

/* What evaluation.json of a run directory and `granary evaluate --json` tell. */
struct gr_evaluation {
    uint32_t round;                           /* 0: not of a run */
    const char *rows_of;                      /* "test" or "validation" */
    const char *why;                          /* there are no rows; NULL: for no special reason */
    const struct gr_accumulator *accumulator; /* over all processes; borrowed */
    const struct gr_score *silos; /* each silo's validation rows, by id; NULL: not told */
    uint32_t n_silos;             /* those without rows are left out */
    uint32_t digits;              /* of silos' losses and metrics; 0: all */
    const struct gr_silo_metrics *silo_metrics; /* by id, those that are told; NULL: none */
    const char *const *class_names;             /* of each class; NULL: they have none; borrowed */
    const char *findings; /* a JSON list of what was found in the columns; NULL: none; borrowed */
    bool weighted;        /* of a table whose rows have weights, of which */
    size_t lost_weights;  /* so many are too small beside the largest, and taken as 0 */
};
/*
 * A JSON object: "round" (of a run), "rows_of", "rows", "why" (there are none), "metrics" (each
 * {"value"} with "lower" and "upper" or, where it is null, "why"), of classes "confusion"
 * ("classes", "names" where they have some, "counts") and "reliability" ("bins"), "findings",
 * "lost_weights" (of a table with weights),
 * "silos" (each "silo", its pseudonym, "rows", "loss", "accuracy", and "metrics" again where they
 * are told). Caller releases with gr_free.
 */
gr_status gr_evaluation_to_json(const struct gr_evaluation *evaluation, char **out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
