/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The discrete Gaussian distribution, exactly: P(x) is proportional to exp(-x^2 / (2 sigma^2)) on
 * the whole numbers. Algorithms 1 to 3 of Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), whose
 * decisions are comparisons of whole numbers with random words; there is no floating point. It is
 * the measure of the fast sampler (privacy/noise.h), which takes a fraction of its time. How long
 * a draw takes depends on what is drawn. Not collective.
 */
#ifndef GRANARY_PRIVACY_DISCRETE_GAUSSIAN_H
#define GRANARY_PRIVACY_DISCRETE_GAUSSIAN_H

#include <granary/base.h>

#include "privacy/noise_words.h"
#include "privacy/wide.h"

/* A fraction in [0, 1], and the highest bits of both its parts, cut at one place. */
struct gr_fraction {
    struct gr_wide numerator, denominator;
    uint64_t numerator_top, denominator_top; /* the latter below 2^55 */
};

/* The distribution of sigma^2 = numerator / denominator. By value, owns nothing. */
struct gr_discrete_gaussian {
    uint64_t numerator, denominator;
    uint64_t scale; /* of the discrete Laplace distribution that is drawn first: floor(sigma) + 1 */
    int scale_shift;           /* brings scale to 55 bits */
    struct gr_wide acceptance; /* denominator of the exponent, 2 numerator denominator scale^2 */
    int acceptance_shift;      /* leaves 55 bits of it */
    struct gr_fraction one;    /* 1 */
    int drop; /* bits of the tops that are left out, up to 50: slower, the same samples; for tests
               */
};

/* Errors: GR_ERROR_CONFIG: sigma is below 1/2. */
gr_status gr_discrete_gaussian_create(uint64_t numerator, uint64_t denominator,
                                      struct gr_discrete_gaussian *out) GR_CHECKED;
/* One sample, of some 20 words; |sample| < 2^12 (sigma + 1), beyond which there is less
 * than exp(-4096) of the distribution. */
int64_t gr_discrete_gaussian_draw(const struct gr_discrete_gaussian *gaussian,
                                  struct gr_noise_words *words);

#endif
