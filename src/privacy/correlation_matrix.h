/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices of correlated noise: lower triangular Toeplitz, with 1 = c_0 >= c_1 >= ... >= 0 below
 * the diagonal. Noise C^-1 z on the sums x of steps has the privacy of C x + z, and less error in
 * running sums than independent noise. The best c are those of the running sum's square root,
 * binom(2 k, k) / 4^k (Fichtenberger, Henzinger, Upadhyay 2022, arXiv:2202.11205). A matrix has
 * either of
 *
 *   bands: the first b of them (Choquette-Choo et al. 2023, arXiv:2306.08153; Kalinin, Lampert
 * 2024, arXiv:2405.13763), for which a silo keeps b - 1 vectors; buffers: c_k = sum_j weight_j
 * decay_j^(k-1) (Dvijotham et al. 2024, arXiv:2404.16706), for which it keeps a vector for each of
 * a few.
 *
 * Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_CORRELATION_MATRIX_H
#define GRANARY_PRIVACY_CORRELATION_MATRIX_H

#include <granary/base.h>

enum {
    GR_CORRELATION_BITS = 6, /* a band is a whole multiple of 2^-6 */
    GR_CORRELATION_BANDS_MAX = 1024,
    GR_CORRELATION_BUFFERS_MAX = 8,
    GR_CORRELATION_BUFFER_BITS = 20, /* weight and decay are multiples of 2^-20 */
    GR_CORRELATION_SPARE_BITS = 4,   /* of a buffer, below the unit of noise */
    GR_CORRELATION_FORGET_BITS = 12  /* a decay is at most 1 - 2^-12 */
};
/* Of steps in a matrix with buffers. */
#define GR_CORRELATION_STEPS_MAX 1000000

/* By value, owns nothing. */
struct gr_correlation_matrix {
    uint32_t bands;                                /* 0: it has buffers; 1: independent noise */
    uint8_t coefficient[GR_CORRELATION_BANDS_MAX]; /* c_k 2^GR_CORRELATION_BITS */
    uint32_t buffers;
    uint32_t weight[GR_CORRELATION_BUFFERS_MAX], decay[GR_CORRELATION_BUFFERS_MAX];
};

/* At which steps a unit may be: at most `times` of them, each `separation` or more after the one
 * before. All are at least 1. */
struct gr_participation_limits {
    uint32_t steps, separation, times;
};

/* Errors: GR_ERROR_CONFIG: bands is not within 1 .. GR_CORRELATION_BANDS_MAX. */
gr_status gr_correlation_banded(uint32_t bands, struct gr_correlation_matrix *out) GR_CHECKED;
/* Of those that a quadrature of c_k = (1 / pi) integral_0^1 x^(k-1) sqrt(x / (1 - x)) dx gives, the
 * matrix with the least error for the limits. Errors: GR_ERROR_CONFIG: buffers is not within 1 ..
 * GR_CORRELATION_BUFFERS_MAX, or there are more than GR_CORRELATION_STEPS_MAX steps. */
gr_status gr_correlation_buffered(uint32_t buffers, const struct gr_participation_limits *limits,
                                  struct gr_correlation_matrix *out) GR_CHECKED;

/*
 * The greatest norm of C g over all g of one unit whose sums in a step are at most 1 in norm, by
 * which the deviation of z is to be divided: the noise multiplier of all steps together, as one
 * Gaussian release, is z's deviation / (clip norm * this). It is that of a unit which is in steps
 * 0, separation, 2 separation, ... (Kalinin, Lampert 2024, theorem 2). Rounded up. In steps of the
 * grid gr_correlation_rounding comes on top.
 */
double gr_correlation_sensitivity(const struct gr_correlation_matrix *matrix,
                                  const struct gr_participation_limits *limits);
/* By how much, in steps of the grid, the rounding of buffers adds to that norm, over all steps and
 * n numbers each; 0 for bands. See correlated_noise.h. */
double gr_correlation_rounding(const struct gr_correlation_matrix *matrix, uint32_t steps,
                               size_t n);
/* The root mean square, over all steps, of the error of running sums, with this noise over that
 * with independent noise for the same privacy. */
double gr_correlation_ratio(const struct gr_correlation_matrix *matrix,
                            const struct gr_participation_limits *limits);
#endif
