/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Poisson bootstrap of an accumulator's rows (Chamandy et al. 2012; Hanley, MacGibbon 2006): in
 * each replicate a row counts as often as a draw says that is Poisson with mean 1, so that no row
 * has to be where another one is, and replicates of different rows are added. Draws are a function
 * of a secret, the row's number and the replicate, never of the model: two models on the same rows
 * have the same draws.
 *
 * A draw is a number of 16 bits of a key stream, held against eight thresholds. It has
 * probabilities in units of 2^-16 (24109, 24110, 12054, 4019, 1004, 201, 34, 4 and 1 for 0 to 8),
 * which are those of Poisson's law to within 2^-16, a mean of exactly 1 and a variance of
 * 1 - 2^-15.
 *
 * What is summed, in each replicate, are integers: draws times weights of rows in units of
 * 2^-GR_WEIGHT_BITS, by label and prediction, and of two classes also by label and one of
 * GR_REPLICATE_BINS bins of the log-odds; and draws times losses, or whatever else is a real
 * number, on a grid of 2^-8 of its mean, to which each row's value is rounded at random: up or down
 * with chances that make its expectation the value. So a replicate is a function of how many rows
 * there are of each kind and nothing finer, see federation/bootstrap.c. Rounding adds at most
 * 2^-18 of a squared mean to the variance of a row's value.
 *
 * The AUC of a replicate has the pairs of different bins in the replicate's own order, and those
 * within a bin in the order that all rows have: with 64 bins these are one pair in 64. Beyond the
 * AUC of two classes there is no metric that needs bins: of many classes it would be 64 cells for
 * each class and replicate.
 *
 * Overflow: a row adds at most 8 * 2^28 to a sum, so that 2^31 rows of one process and 2^31
 * processes of such fit; sums of values are below 2^9 times rows on average.
 */
#ifndef GRANARY_METRIC_REPLICATES_H
#define GRANARY_METRIC_REPLICATES_H

#include <granary/metric.h>

#include "privacy/secret_draw.h"

enum { GR_REPLICATE_BINS = 64, GR_DRAWS_AT_ONCE = 32 };
/* Sums of more bytes than this are refused: gr_replicates_bytes. */
#define GR_REPLICATES_BYTES_MAX ((size_t)64 << 20)

/* Writes for each of n numbers the draw that it stands for. n: a multiple of GR_DRAWS_AT_ONCE. */
void gr_poisson_draws(const uint16_t *numbers, uint16_t *draws, size_t n);

struct gr_replicates; /* opaque */
/* Bytes of the sums for so many classes (0: numbers) and replicates; SIZE_MAX: of more classes than
 * are counted. */
size_t gr_replicates_bytes(size_t classes, size_t n);
/* Caller releases with gr_replicates_free. Errors: GR_ERROR_INTERNAL. */
gr_status gr_replicates_create(size_t classes, size_t n, struct gr_replicates **out) GR_CHECKED;
/* NULL is accepted. */
void gr_replicates_free(struct gr_replicates *replicates);
/* Lays bins and grids by the sums of an accumulator over all processes (of two classes: with its
 * bins' counts), the same on all of them, and forgets all rows. */
void gr_replicates_lay(struct gr_replicates *replicates, const struct gr_accumulator *total);

/* Some of the rows that an accumulator keeps, one after another. */
struct gr_replicate_rows {
    size_t first, n;
    uint64_t number; /* of the first, by which it is known to its secret */
    bool together;   /* all have the draws of row 0: the silo is drawn */
    uint32_t stream; /* of the secret: rows of another kind have another */
    unsigned char secret[GR_SECRET_BYTES];
};
/* Adds rows, which `rows` keeps. Errors: GR_ERROR_INTERNAL: it does not keep so many. */
gr_status gr_replicates_add(struct gr_replicates *replicates, const struct gr_accumulator *rows,
                            const struct gr_replicate_rows *part) GR_CHECKED;
/* The integers to be added over processes, n of them, in place. Borrowed. */
int64_t *gr_replicates_sums(struct gr_replicates *replicates, size_t *n);
/* What the sums of all processes tell of each metric, by index, with all digits. */
void gr_replicates_spread(struct gr_replicates *replicates,
                          struct gr_resampled_metric out[GR_METRICS_MAX]);
/* Of the n values that are defined, of `all`; sorts them. */
struct gr_resampled_metric gr_resampled_of(double *values, size_t n, size_t all);

#endif
