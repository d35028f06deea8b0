/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an accumulator's sums lie in its vector. Of a classifier:
 *
 *   rows, correct, weight                  1 each; weights in units of 2^-GR_WEIGHT_BITS
 *   log loss, Brier                        GR_REAL_WORDS each
 *   reliability, by bin                    rows, correct, weight, score (GR_REAL_WORDS)
 *   by class                               actual, predicted, found
 *   top, of more than three classes        rows whose label is among the first 3, the first 5
 *   expected, of two classes               sum of p of class 1 (GR_REAL_WORDS)
 *   confusion, actual by predicted         classes x classes, up to GR_CONFUSION_CLASSES_MAX
 *   scores, of two classes                 sums of gr_place_of and its square (GR_REAL_WORDS)
 *   decisions, of two classes              rows of class 0, of class 1, by hundredths of p
 *   histograms, by scored class            bins of rows of other classes, bins of its own
 *   bounds, of two classes, last           largest score by bin, and largest of -score, as numbers
 *                                          that are ordered like them
 *
 * and of numbers: rows, rows without Poisson deviance, weight, then `n_reals` sums. All but rows
 * are of weights.
 */
#ifndef GRANARY_METRIC_ACCUMULATOR_H
#define GRANARY_METRIC_ACCUMULATOR_H

#include <granary/metric.h>

enum gr_number_sum { GR_SQUARED, GR_ABSOLUTE, GR_TARGET, GR_TARGET_SQUARED, GR_DEVIANCE };

/* A row of two classes, kept until the bins are known. */
struct gr_kept_score {
    float log_odds;
    int32_t weight; /* 2 units + label */
};

/* A row of any other model, for a bootstrap. */
struct gr_kept_row {
    float value[2]; /* of a classifier its loss and its part in Brier's score; else prediction and
                       target */
    int32_t weight; /* units */
    uint16_t label, taken;
};

/* A bin with rows: its score, and weights of the rows of either class. */
struct gr_score_bin {
    double x, others, own;
};

enum {
    GR_FIT_GROUPS = 10,
    GR_FIT_SUMS = 1 + 7 * GR_REAL_WORDS + GR_FIT_GROUPS * (2 + GR_REAL_WORDS)
};
/* How scores of two classes are calibrated, pass by pass: calibration.c. */
struct gr_calibration {
    unsigned pass;                /* the one that is summed, from 1; beyond GR_FIT_PASSES: done */
    bool one_score, bad;          /* all rows are in one bin; a sum could not take some row */
    bool has_line, has_shift;     /* so far */
    double centre, scale;         /* z = (x - centre) / scale */
    double line[2], line_step;    /* intercept and slope in z, and how far the last pass moved */
    double shift, shift_step;     /* the intercept with slope 1, likewise */
    uint32_t upto[GR_FIT_GROUPS]; /* a group's bins are below that */
    double chi_square;            /* over so many */
    double groups;
    int64_t sums[GR_FIT_SUMS];
};

struct gr_accumulator {
    size_t classes;
    size_t n_scored; /* classes with histograms: 0, 1 (of two) or all */
    size_t bins;     /* of a histogram */
    size_t n;
    int64_t *sums;       /* owned */
    bool without_auc;    /* histograms are not counted */
    bool without_bounds; /* ties are not known */
    int exponent;        /* counts are shown times 2^exponent */
    size_t n_wanted;     /* sums but for what the AUC needs */
    size_t n_scores;     /* of `scores` and `decisions` */
    /* Into `sums`. */
    int64_t *log_loss, *brier, *reliability, *by_class, *confusion, *histograms, *numbers;
    int64_t *top;      /* NULL but for more than three classes */
    int64_t *expected; /* NULL but for two classes, as all that follows */
    int64_t *scores, *decisions, *bounds;
    struct gr_kept_score *kept; /* owned */
    size_t n_kept, kept_room;
    bool keeps_rows;          /* of other than two classes: */
    struct gr_kept_row *rows; /* owned */
    size_t n_rows, rows_room;
    double *exponentials;                         /* classes; owned */
    const struct gr_recalibration *recalibration; /* of rows that are added; borrowed; NULL: none */
    float *recalibrated;                          /* logits of a row; owned; NULL: none */
    struct gr_score_bin *score_bins; /* room for all bins; owned; NULL but for two classes */
    struct gr_calibration calibration;
    /* gr_accumulator_disclose: of each cell of the confusion matrix, then of each bin of the
     * reliability table, whether it is withheld; owned; NULL: none is. */
    uint8_t *withheld;
    uint32_t digits; /* significant ones of metrics; 0: all */
    uint32_t least;  /* rows of which a share is told; 0: any */
    bool stepped;    /* metrics that follow from counts are told in steps */
};

/* 0: there is no matrix. */
static inline size_t gr_confusion_cells(const struct gr_accumulator *t) {
    return t->confusion ? t->classes * t->classes : 0;
}

/* Why a metric is not defined. */
enum gr_reason {
    GR_MANY_CLASSES,
    GR_NOT_COUNTED,
    GR_ONE_CLASS,
    GR_CLOSE_SCORES,
    GR_ONE_TARGET,
    GR_NO_POISSON,
    GR_NOT_OF_MODEL,
    GR_NO_ROWS,
    GR_NO_WEIGHT,
    GR_FEW_ROWS,
    GR_NO_BOUNDS,
    GR_NONE_TAKEN,
    GR_NONE_EXPECTED,
    GR_ROWS_WEIGHTED,
    GR_FEW_OF_CLASS,
    GR_ONE_SCORE,
    GR_NO_FIT,
    GR_FEW_REPLICATES,
    GR_REASONS
};
extern const char *const gr_reason_text[GR_REASONS];

enum { GR_ROWS, GR_CORRECT, GR_WEIGHT, GR_HEAD, GR_NO_DEVIANCE = GR_CORRECT };
enum {
    GR_BIN_ROWS,
    GR_BIN_CORRECT,
    GR_BIN_WEIGHT,
    GR_BIN_SCORE,
    GR_BIN_SUMS = GR_BIN_SCORE + GR_REAL_WORDS
};
enum { GR_ACTUAL, GR_PREDICTED, GR_FOUND, GR_CLASS_SUMS };
enum { GR_TOP_3, GR_TOP_5, GR_TOPS };

/* A sum of weights, of which rows without any have 1. */
static inline long double gr_weight_of(int64_t units) {
    return (long double)units / (long double)GR_WEIGHT_ONE;
}

/* Whether some row has another weight than 1. */
static inline bool gr_has_weights(const struct gr_accumulator *t) {
    return t->sums[GR_WEIGHT] != t->sums[GR_ROWS] * GR_WEIGHT_ONE;
}

/* x / (half + |x|): monotone, from -1 to 1, and straight around 0. */
static inline double gr_squeeze(double x, double half) {
    return x / (half + (x < 0 ? -x : x));
}
/* The x of a gr_squeeze; at -1 and 1 infinite. */
static inline double gr_unsqueeze(double squeezed, double half) {
    return half * squeezed / (1 - (squeezed < 0 ? -squeezed : squeezed));
}
/* Where a score lies by its log-odds, so that a few far ones do not count for all. */
static inline double gr_place_of(float log_odds) {
    return gr_squeeze((double)log_odds, 4);
}
/* The bin of x: 4 half / bins wide around 0 and wider towards the ends, which lie at infinity. */
static inline size_t gr_bin_of(double x, double half, size_t bins) {
    const double place = gr_squeeze(x, half), middle = 0.5 * (double)bins;
    if (!(place > -1)) return 0;
    const size_t bin = (size_t)(middle * place + middle);
    return bin < bins ? bin : bins - 1;
}

/* The log-odds of class 1 as it is kept: differences of finite logits reach twice FLT_MAX. */
float gr_kept_log_odds(const float logits[2]);
/* Mean and deviation of the places of so much weight, from their sums. */
void gr_places_spread(int64_t weight, const int64_t *places, const int64_t *squares, double *mean,
                      double *deviation);

/* One more row for the AUC of two classes. */
gr_status gr_accumulator_keep(struct gr_accumulator *t, double log_odds, bool label,
                              int64_t units) GR_CHECKED;

/* One more row of another model, where rows are kept. */
gr_status gr_accumulator_keep_row(struct gr_accumulator *t, struct gr_kept_row row) GR_CHECKED;
/* What a row of a classifier has, in the digits in which it is summed. */
struct gr_row_figures {
    size_t best;               /* class that it is taken for */
    double loss, brier, event; /* event: probability of class 1 */
};
/* Not collective. e: room for `classes`. False: its logits are not finite. */
bool gr_row_figures(const float *z, size_t classes, size_t label, double *e,
                    struct gr_row_figures *out) GR_CHECKED;

/* Histogram of scored class k; own: of its own rows. */
static inline int64_t *gr_histogram(const struct gr_accumulator *t, size_t k, bool own) {
    return t->histograms + (2 * k + own) * t->bins;
}

/* With all digits, of an accumulator that need not be disclosed. */
struct gr_metric_value gr_metric_exact(const struct gr_accumulator *t, unsigned metric);

struct gr_metric_value gr_metric_defined(double value);
struct gr_metric_value gr_metric_undefined(enum gr_reason why);

/* Mean and deviation of all scores' places, by which bins are laid. */
void gr_accumulator_spread(const struct gr_accumulator *t, double *mean, double *deviation);

/* Once all passes are done. */
struct gr_metric_value gr_calibration_slope(const struct gr_accumulator *t);
struct gr_metric_value gr_calibration_intercept(const struct gr_accumulator *t);
struct gr_metric_value gr_hosmer_lemeshow(const struct gr_accumulator *t);
struct gr_metric_value gr_hosmer_lemeshow_p(const struct gr_accumulator *t);

/* Whether all scores of a bin are the same: then its ties are true ones. */
static inline bool gr_bin_is_tied(const struct gr_accumulator *t, size_t b) {
    return t->bounds && t->bounds[b] != INT64_MIN && t->bounds[b] == -t->bounds[t->bins + b];
}

/* One class against the rest, from its bins; false without rows on either side. */
bool gr_accumulator_area(const struct gr_accumulator *t, size_t k, struct gr_metric_value *out);
/* Likewise, the average precision of its rows. */
bool gr_accumulator_precision(const struct gr_accumulator *t, size_t k,
                              struct gr_metric_value *out);

/* The value with the digits of the accumulator; stepped: and in steps for so large a basis. */
struct gr_metric_value gr_metric_told(const struct gr_accumulator *t, struct gr_metric_value v,
                                      bool stepped, double basis);

#endif
