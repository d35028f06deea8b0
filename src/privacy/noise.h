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
#define GR_NOISE_SIGMA_MAX 0x1p42

struct gr_noise;

/* Not collective. Fills a seed from the operating system. Errors: GR_ERROR_INTERNAL: libsodium
 * cannot be had. */
gr_status gr_noise_seed(unsigned char seed[GR_NOISE_SEED_BYTES]) GR_CHECKED;

/*
 * Not collective. The distribution of a standard deviation in steps, not below
 * sigma by more than a relative 1e-14, never below it. Released by gr_noise_free. Errors:
 * GR_ERROR_CONFIG: sigma is not within [GR_NOISE_SIGMA_MIN, GR_NOISE_SIGMA_MAX]; GR_ERROR_INTERNAL:
 * no memory.
 */
gr_status gr_noise_create(double sigma, struct gr_noise **out) GR_CHECKED;
/* Not collective. NULL is nothing to release. */
void gr_noise_free(struct gr_noise *noise);

/*
 * Not collective. Adds sample i of the seed's stream to sum[i], for i < n <= 2^31. Sample i follows
 * from seed, stream and i alone. |sample i| < 16 (sigma + 1), so that sums below 2^62 do not wrap.
 * A stream must not serve two sums.
 */
void gr_noise_add(const struct gr_noise *noise, const unsigned char seed[GR_NOISE_SEED_BYTES],
                  uint64_t stream, int64_t *sum, size_t n);

/* Not collective. The standard deviation sigma of the distribution, not below what was asked for.
 */
double gr_noise_sigma(const struct gr_noise *noise);
/*
 * Not collective. The standard deviation of a continuous Gaussian distribution of which the noise
 * is a processing, so that what accounting says for that holds for sums with this noise, and with
 * more deltas; 0: sigma is too small for it to be one. It is sqrt(sigma^2 - 2.05^2).
 */
double gr_noise_continuous(const struct gr_noise *noise);
/* Not collective. The total variation distance of one sample's distribution to the discrete
 * Gaussian of gr_noise_sigma, at most. */
double gr_noise_distance(const struct gr_noise *noise);

/* Not collective. The part of it that a step of the composition with a deviation s adds, s > 1/2:
 * see noise.c. */
double gr_noise_ripple(double s);

/*
 * Not collective. By how much n samples raise the delta of whatever is released with them, over
 * what accounting says for the discrete Gaussian distribution of gr_noise_sigma or for the
 * continuous one of gr_noise_continuous; for every epsilon up to GR_NOISE_EPSILON_MAX.
 * Noises of m parties add up: with sigma >= 3 their sum is noise of sqrt(m) sigma, continuous noise
 * of sqrt(m) gr_noise_continuous underlies it, and m n samples are to be counted.
 */
double gr_noise_delta(const struct gr_noise *noise, uint64_t n);
#define GR_NOISE_EPSILON_MAX 30

#endif
