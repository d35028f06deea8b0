/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated noise: each step takes back some of what earlier steps' noise has done to the running
 * sum, which is what training adds up. For sums x_t of steps t = 0, 1, ... a silo releases
 *
 *   x_t + y_t,  y_t = z_t - sum_{k >= 1} c_k y_{t-k},
 *
 * z_t independent discrete Gaussian numbers, c of privacy/correlation_matrix.h. Its privacy is that
 * of C x + z. With bands C x is on a grid: coefficients are whole multiples of 1 / D, D =
 * 2^GR_CORRELATION_BITS, and noise is drawn and released in that fraction of a step. In these units
 *
 *   r_t = D x_t + z_t - round((sum_k m_k y_{t-k}) / D),  m_k = D c_k,
 *
 * and since y = r - D x, and rounding moves with whole numbers, r_t = (D C x + z)_t - round((sum_k
 * m_k r_{t-k}) / D), which is a function of D C x + z alone. Each x_t may depend on all releases
 * before it (Denisov et al. 2022, arXiv:2202.08312, theorem 2.1), for z is a processing of
 * continuous Gaussian noise (privacy/noise.h).
 *
 * With buffers s_j, where D y_t is kept with GR_CORRELATION_SPARE_BITS more bits,
 *
 *   r_t = D x_t + z_t - round(sum_j weight_j s_{j,t}),  s_{j,t+1} = round(decay_j s_{j,t}) + y_t,
 *
 * whose roundings need not move with the sums. Given the releases, another x is explained by a z
 * that differs by D C times the difference, and by what rounding does differently, which is bounded
 * in each step and number: gr_correlation_rounding. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_CORRELATED_NOISE_H
#define GRANARY_PRIVACY_CORRELATED_NOISE_H

#include <granary/base.h>

#include "privacy/correlation_matrix.h"
#include "privacy/noise.h"

#define GR_CORRELATION_SIGMA_MAX 0x1p34

/* A silo keeps this: the y of the last bands - 1 steps, or the buffers, of n numbers each. It is as
 * secret as seeds: whoever has it can take the noise off. */
struct gr_correlated_noise;

/*
 * For sums of n numbers, with a standard deviation sigma of z in steps of the grid. It keeps
 * max(bands - 1, 1) or buffers + 1 vectors of n numbers of 64 bits. Released by
 * gr_correlated_noise_free. Errors: GR_ERROR_CONFIG: sigma is not within [GR_NOISE_SIGMA_MIN,
 * GR_CORRELATION_SIGMA_MAX]; GR_ERROR_INTERNAL: no memory.
 */
gr_status gr_correlated_noise_create(const struct gr_correlation_matrix *matrix, double sigma,
                                     size_t n, struct gr_correlated_noise **out) GR_CHECKED;
/* Wipes. NULL is nothing to release. */
void gr_correlated_noise_free(struct gr_correlated_noise *noise);
/* z, in units of 2^-GR_CORRELATION_BITS step; borrowed. For its delta, of n numbers a step. */
const struct gr_noise *gr_correlated_noise_drawn(const struct gr_correlated_noise *noise);
/* How many steps have been noised. */
uint64_t gr_correlated_noise_step(const struct gr_correlated_noise *noise);

/*
 * Noises the next step: sum[i], in steps of the grid and below 2^56 in magnitude, becomes r[i] in
 * units of 2^-GR_CORRELATION_BITS step, for i < n. z is of the seed's stream, which must not serve
 * another sum.
 */
void gr_correlated_noise_apply(struct gr_correlated_noise *noise,
                               const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                               int64_t *sum);

#endif
