/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether numbers are those of a discrete Gaussian distribution: by moments, bins, remainders,
 * tails and neighbours. Seeds are fixed, so that a result is the same each time; limits are such
 * that numbers of the distribution pass all but once in 10^5.
 */
#ifndef GRANARY_TESTS_NOISE_FIT_H
#define GRANARY_TESTS_NOISE_FIT_H

#include <inttypes.h>
#include <math.h>

#include <gsl/gsl_cdf.h>

#include "scratch.h"

enum { FIT_BINS = 64, FIT_MODULUS = 61, FIT_MOMENTS = 6 };
#define FIT_DEVIATIONS  4.5
#define FIT_PROBABILITY 3e-6

/* Probability that X <= m: by the sum over whole numbers, and from deviations of 1000 on, where
 * that is within 10^-7, by the continuous distribution. */
static inline double fit_below(double sigma, double m) {
    if (sigma >= 1000) return gsl_cdf_ugaussian_P((m + 0.5) / sigma);
    double below = 0, sum = 0;
    for (double x = -ceil(13 * sigma); x <= 13 * sigma; x++) {
        const double p = exp(-x * x / (2 * sigma * sigma));
        sum += p;
        if (x <= m) below += p;
    }
    return below / sum;
}

static inline void fit_chi_square(const char *what, const double *expected, const double *seen,
                                  int bins) {
    double chi_square = 0;
    for (int b = 0; b < bins; b++)
        chi_square += (seen[b] - expected[b]) * (seen[b] - expected[b]) / expected[b];
    const double p = gsl_cdf_chisq_Q(chi_square, bins - 1),
                 q = gsl_cdf_chisq_P(chi_square, bins - 1);
    ck_assert_msg(p > FIT_PROBABILITY && q > FIT_PROBABILITY, "%s: chi-square %g of %d bins", what,
                  chi_square, bins);
}

/* Bins of about one probability, which end at whole numbers, are merged until they have some. */
static inline void fit_bins(double sigma, const int64_t *x, size_t n) {
    double last[FIT_BINS], expected[FIT_BINS], seen[FIT_BINS] = {0}, before = 0;
    int bins = 0;
    for (int b = 1; b <= FIT_BINS; b++) {
        const double m =
            b < FIT_BINS ? floor(sigma * gsl_cdf_ugaussian_Pinv((double)b / FIT_BINS)) : INFINITY;
        if (bins > 0 && m <= last[bins - 1]) continue;
        const double below = b < FIT_BINS ? fit_below(sigma, m) : 1;
        last[bins] = m;
        expected[bins++] = (double)n * (below - before);
        before = below;
    }
    for (size_t i = 0; i < n; i++) {
        int low = 0, high = bins - 1;
        while (low < high) {
            const int middle = (low + high) / 2;
            if ((double)x[i] <= last[middle])
                high = middle;
            else
                low = middle + 1;
        }
        seen[low]++;
    }
    fit_chi_square("bins", expected, seen, bins);
}

/* Remainders are uniform, within 10^-9 from deviations of FIT_MODULUS on. */
static inline void fit_remainders(const int64_t *x, size_t n) {
    double expected[FIT_MODULUS], seen[FIT_MODULUS] = {0};
    for (int r = 0; r < FIT_MODULUS; r++)
        expected[r] = (double)n / FIT_MODULUS;
    for (size_t i = 0; i < n; i++)
        seen[(x[i] % FIT_MODULUS + FIT_MODULUS) % FIT_MODULUS]++;
    fit_chi_square("remainders", expected, seen, FIT_MODULUS);
}

/* Means of x, x^2 - 1, x^3, x^4 - 3, and of the products of neighbours and of their squares, each
 * in its own deviations, which are those of the continuous distribution. */
static inline void fit_moments(double sigma, const int64_t *x, size_t n) {
    static const char *const names[FIT_MOMENTS] = {
        "mean", "variance", "third moment", "fourth moment", "neighbours", "neighbours' squares"};
    static const double variances[FIT_MOMENTS] = {1, 2, 15, 96, 1, 4};
    double sums[FIT_MOMENTS] = {0};
    for (size_t i = 0; i < n; i++) {
        const double y = (double)x[i] / sigma, z = (double)x[(i + 1) % n] / sigma, y2 = y * y;
        const double values[FIT_MOMENTS] = {y,           y2 - 1, y2 * y,
                                            y2 * y2 - 3, y * z,  (y2 - 1) * (z * z - 1)};
        for (int m = 0; m < FIT_MOMENTS; m++)
            sums[m] += values[m];
    }
    for (int m = 0; m < FIT_MOMENTS; m++) {
        const double deviations = sums[m] / sqrt((double)n * variances[m]);
        ck_assert_msg(fabs(deviations) < FIT_DEVIATIONS, "sigma %g, %s: %g deviations", sigma,
                      names[m], deviations);
    }
}

/* On each side, how many are 3, 4, 5, 6 deviations away or more. */
static inline void fit_tails(double sigma, const int64_t *x, size_t n) {
    for (int side = -1; side <= 1; side += 2)
        for (int k = 3; k <= 6; k++) {
            const double limit = ceil(k * sigma);
            const double expected = (double)n * fit_below(sigma, -limit);
            unsigned seen = 0;
            for (size_t i = 0; i < n; i++)
                seen += (double)(side * x[i]) >= limit;
            const double deviation = sqrt(expected);
            ck_assert_msg(fabs(seen - expected) <= FIT_DEVIATIONS * deviation + 2,
                          "sigma %g: %u samples beyond %d deviations, expected %g", sigma, seen,
                          side * k, expected);
        }
}

static inline void fit_all(double sigma, const int64_t *x, size_t n) {
    fit_moments(sigma, x, n);
    fit_bins(sigma, x, n);
    fit_tails(sigma, x, n);
    if (sigma >= FIT_MODULUS) fit_remainders(x, n);
}

#endif
