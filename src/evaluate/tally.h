/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a tally's sums lie in its vector. Of a classifier:
 *
 *   rows, correct, weight                  1 each; weights in units of 2^-GR_WEIGHT_BITS
 *   log loss, Brier                        GR_REAL_WORDS each
 *   reliability, by bin                    rows, correct, weight, score (GR_REAL_WORDS)
 *   by class                               actual, predicted, found
 *   confusion, actual by predicted         classes x classes, up to GR_CONFUSION_CLASSES_MAX
 *   histograms, by scored class, last      bins of rows of other classes, bins of its own
 *
 * and of numbers: rows, rows without Poisson deviance, weight, then `n_reals` sums. All but rows
 * are of weights.
 */
#ifndef GRANARY_EVALUATE_TALLY_H
#define GRANARY_EVALUATE_TALLY_H

#include <granary/evaluate.h>

enum gr_number_sum { GR_SQUARED, GR_ABSOLUTE, GR_TARGET, GR_TARGET_SQUARED, GR_DEVIANCE };

struct gr_tally {
    size_t classes;
    size_t n_scored; /* classes with histograms: 0, 1 (of two) or all */
    size_t bins;     /* of a histogram */
    size_t n;
    int64_t *sums;    /* owned */
    bool without_auc; /* histograms are not counted */
    int exponent;     /* counts are shown times 2^exponent */
    size_t n_wanted;  /* sums but for the histograms */
    /* Into `sums`. */
    int64_t *log_loss, *brier, *reliability, *by_class, *confusion, *histograms, *numbers;
    double *exponentials; /* classes; owned */
};

/* Why a metric is not defined. */
enum gr_reason {
    GR_MANY_CLASSES,
    GR_NOT_COUNTED,
    GR_ONE_CLASS,
    GR_ONE_TARGET,
    GR_NO_POISSON,
    GR_NOT_OF_MODEL,
    GR_NO_ROWS,
    GR_NO_WEIGHT,
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

/* Histogram of scored class k; own: of its own rows. */
static inline int64_t *gr_histogram(const struct gr_tally *t, size_t k, bool own) {
    return t->histograms + (2 * k + own) * t->bins;
}

#endif
