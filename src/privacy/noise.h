/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise of differential privacy: samples of the discrete Gaussian distribution, P(x) proportional
 * to exp(-x^2 / (2 sigma^2)) on the whole numbers, which are steps of the grid that sums are on.
 *
 * A seed belongs to one sum of one silo and comes from the operating system; whoever has it can
 * take the noise off. Lifetime: a gr_noise is made once for a standard deviation and may serve any
 * number of sums, of any thread. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_NOISE_H
#define GRANARY_PRIVACY_NOISE_H

#include <granary/base.h>

#include "privacy/noise_words.h"

#define GR_NOISE_SIGMA_MIN 0.5
#define GR_NOISE_SIGMA_MAX 0x1p34

struct gr_noise;

/* Not collective. Fills a seed from the operating system. Errors: GR_ERROR_INTERNAL: libsodium
 * cannot be had. */
gr_status gr_noise_seed(unsigned char seed[GR_NOISE_SEED_BYTES]) GR_CHECKED;

/*
 * Not collective. The distribution of a standard deviation in steps, of the least that is at hand
 * and not below sigma. Released by gr_noise_free. Errors: GR_ERROR_CONFIG: sigma is not within
 * [GR_NOISE_SIGMA_MIN, GR_NOISE_SIGMA_MAX]; GR_ERROR_INTERNAL: no memory.
 */
gr_status gr_noise_create(double sigma, struct gr_noise **out) GR_CHECKED;
/* Not collective. NULL is nothing to release. */
void gr_noise_free(struct gr_noise *noise);

/*
 * Not collective. Adds sample i of the seed's stream to sum[i], for i < n <= 2^32. Sample i follows
 * from seed, stream and i alone, and |sample i| < 2^40, so that |sum[i]| < 2^62 does not wrap.
 * A stream must not serve two sums.
 */
void gr_noise_add(const struct gr_noise *noise, const unsigned char seed[GR_NOISE_SEED_BYTES],
                  uint64_t stream, int64_t *sum, size_t n);

/*
 * Not collective. By how much n samples raise the delta of whatever is released with them, over
 * what accounting says for the continuous Gaussian distribution of the same standard deviation;
 * for every epsilon up to GR_NOISE_EPSILON_MAX.
 */
double gr_noise_delta(const struct gr_noise *noise, uint64_t n);
#define GR_NOISE_EPSILON_MAX 30

#endif
