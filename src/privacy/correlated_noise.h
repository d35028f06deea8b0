/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated noise: each step takes back some of what earlier steps' noise has done to the running
 * sum, which is what training adds up. For sums x_t of steps t = 0, 1, ... a silo releases
 *
 *   x_t + y_t,  y_t = z_t - sum_{k=1}^{b-1} c_k y_{t-k},
 *
 * z_t independent discrete Gaussian numbers. Its privacy is that of C x + z, C the lower triangular
 * Toeplitz matrix of c_0 = 1, c_1, ..., c_{b-1}: the square root of the running sum, c_k = binom(2
 * k, k) / 4^k, cut to b bands (Fichtenberger, Henzinger, Upadhyay 2022, arXiv:2202.11205;
 * Choquette-Choo et al. 2023, arXiv:2306.08153; Kalinin, Lampert 2024, arXiv:2405.13763).
 *
 * So that C x is on a grid, coefficients are whole multiples of 2^-GR_CORRELATION_BITS, and noise
 * is drawn and released in that fraction of a step: in these units
 *
 *   r_t = D x_t + z_t - round((sum_k m_k y_{t-k}) / D),  D = 2^GR_CORRELATION_BITS, m_k = D c_k,
 *
 * and since y = r - D x, and rounding moves with whole numbers, r_t = (D C x + z)_t - round((sum_k
 * m_k r_{t-k}) / D), which is a function of D C x + z alone. Each x_t may depend on all releases
 * before it (Denisov et al. 2022, arXiv:2202.08312, theorem 2.1), for z is a processing of
 * continuous Gaussian noise (privacy/noise.h). Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_CORRELATED_NOISE_H
#define GRANARY_PRIVACY_CORRELATED_NOISE_H

#include <granary/base.h>

#include "privacy/noise.h"

enum { GR_CORRELATION_BITS = 6, GR_CORRELATION_BANDS_MAX = 1024 };
#define GR_CORRELATION_SIGMA_MAX 0x1p34

/* By value, owns nothing. */
struct gr_correlation_matrix {
    uint32_t bands;                                /* 1: noise of steps is independent */
    uint8_t coefficient[GR_CORRELATION_BANDS_MAX]; /* m_k; they do not rise with k */
};
/* Errors: GR_ERROR_CONFIG: bands is not within 1 .. GR_CORRELATION_BANDS_MAX. */
gr_status gr_correlation_create(uint32_t bands, struct gr_correlation_matrix *out) GR_CHECKED;

/* ---- how much of a unit is in the steps ----------------------------------------------------- */

/* At which steps a unit may be: at most `times` of them, each `separation` or more after the one
 * before. All are at least 1. */
struct gr_participation_limits {
    uint32_t steps, separation, times;
};
/*
 * The greatest norm of C g over all g of one unit whose sums in a step are at most 1 in norm, by
 * which the deviation of z is to be divided: the noise multiplier of all steps together, as one
 * Gaussian release, is z's deviation / (clip norm * this). It is that of a unit which is in steps
 * 0, separation, 2 separation, ... (Kalinin, Lampert 2024, theorem 2). Rounded up.
 */
double gr_correlation_sensitivity(const struct gr_correlation_matrix *correlation,
                                  const struct gr_participation_limits *participation);
/* The same for a unit that is in n steps, which rise and are below `steps`. */
double gr_correlation_sensitivity_at(const struct gr_correlation_matrix *correlation,
                                     uint32_t steps, const uint32_t *at, size_t n);
/* The root mean square, over all steps, of the error of running sums, with this noise over that
 * with independent noise for the same privacy. */
double gr_correlation_ratio(const struct gr_correlation_matrix *correlation,
                            const struct gr_participation_limits *participation);

/* ---- a silo's noise, step by step ----------------------------------------------------------- */

/* A silo keeps this: the y of the last bands - 1 steps, n of them each. They are as secret as
 * seeds: whoever has them can take the noise off. */
struct gr_correlated_noise;

/*
 * For sums of n numbers, with a standard deviation sigma of z in steps of the grid. It keeps
 * max(bands - 1, 1) n numbers of 64 bits. Released by gr_correlated_noise_free. Errors:
 * GR_ERROR_CONFIG: sigma is not within [GR_NOISE_SIGMA_MIN, GR_CORRELATION_SIGMA_MAX];
 * GR_ERROR_INTERNAL: no memory.
 */
gr_status gr_correlated_noise_create(const struct gr_correlation_matrix *correlation, double sigma,
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

/* Bytes of the state, for the silo's own file. */
size_t gr_correlated_noise_bytes(const struct gr_correlated_noise *noise);
/* Writes the state: gr_correlated_noise_bytes bytes. */
void gr_correlated_noise_save(const struct gr_correlated_noise *noise, void *bytes);
/* Takes up a state that was saved by one of the same bands, sigma and n. Errors: GR_ERROR_DATA: of
 * another, or damaged; the noise is then as it was. */
gr_status gr_correlated_noise_restore(struct gr_correlated_noise *noise, const void *bytes,
                                      size_t size) GR_CHECKED;

#endif
