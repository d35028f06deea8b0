/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grid of a noised sum over units, and how much one unit moves it. Clipped sums are taken in
 * floats over micro-batches of at most 64 units and rounded to multiples of clip norm / 2^24; what
 * is added up and noised are integers.
 *
 * Tables that differ in one unit differ in the units of one group, of at most four micro-batches.
 * Over m units of norms up to C a chain of fused products is off by at most m^2 2^-24 C (Higham
 * 2002, equation 3.5), on both tables. A unit's own gradient, clipped by its norm as it was
 * computed, follows from its rows alone, so that their number has no share in this. Where persons'
 * rows make a micro-batch pass the model in k pieces of m_1 + ... + m_k = m units, m_1^2 + ... +
 * m_k^2 and, for adding the pieces, m_1 (k - 1) + m_2 (k - 1) + ... + m_k take the place of m^2,
 * and are no more than it, as m_i <= m_i m_j. To this comes rounding by half a step in each of d
 * coordinates. So the sums differ by at most C (1 + 2^-22) + 4 (2 * 64^2 2^-24 C + sqrt(d) 2^-24
 * C), which for d up to 10^8 is below 1.0044 C. The noise multiplier that is accounted for is the
 * one that was asked for divided by GR_PRIVATE_SENSITIVITY.
 */
#ifndef GRANARY_PRIVACY_SENSITIVITY_H
#define GRANARY_PRIVACY_SENSITIVITY_H

#define GR_PRIVATE_SUM_STEPS   0x1p24 /* of the grid, to the clip norm */
#define GR_PRIVATE_SENSITIVITY 1.005
/* Of a tally of held-out rows, or of statistics, to the most that a unit adds. */
#define GR_TALLY_STEPS 0x1p20
enum {
    GR_PRIVATE_SUM_SIZE_MAX = 100000000, /* parameters, for which the bound holds */
    GR_PRIVATE_PARTS_MAX = 4,            /* micro-batches of a group */
    GR_PRIVATE_GROUP_ROWS = 48,          /* expected in a group */
    GR_STATISTICS_SUMS_MAX = 1 << 17     /* of a silo's columns, for which the delta holds */
};

/*
 * Noise in shares, of rows and persons: a silo's clipped sum, as float32, goes onto the grid of a
 * sum over silos without noise of its own, and is cut there if it is longer than the grid allows. A
 * cut to a norm brings no two sums further apart; its factor is a float32, and the grid's exact
 * bound may shorten it by 2^-20 of the norm. Norms are at most 2 B C for an expected batch of B: so
 * for B up to 2,048 float32 and cut add at most 2^-22 B + 2^-19 B < 0.0045 C, and the grid's
 * rounding, where C is at least 512 sqrt(d) of its steps, 1.5 / 512 < 0.003 C.
 */
#define GR_PRIVATE_SHARED_SENSITIVITY (GR_PRIVATE_SENSITIVITY + 0.0075)
enum { GR_PRIVATE_SHARED_BATCH_MAX = 2048, GR_PRIVATE_SHARED_STEPS = 512 };

/*
 * A sum over silos: the integers of an update keep the clip norm exactly, whatever was rounded. Its
 * noise, or each share of it, is at least so many steps wide. A sum of shares is told from the
 * discrete Gaussian distribution of their variance by gr_noise_ripple(GR_NOISE_STEPS_MIN / sqrt(2))
 * for each share and sample (Kairouz, Liu, Steinke 2021, arXiv:2102.06387, theorem 9), which is
 * less than 1e-17000. That distribution is a processing of a continuous one (gr_noise_continuous),
 * of which a share has all but 0.06 %. So the noise multiplier that is accounted for is the one
 * that was asked for divided by GR_PRIVATE_SILO_SENSITIVITY.
 */
#define GR_NOISE_STEPS_MIN          64.0
#define GR_PRIVATE_SILO_SENSITIVITY 1.001
/* Times gr_noise_delta of noise of GR_NOISE_STEPS_MIN steps: that of noise of any more, which is
 * put together of up to four samples that are each as far off. */
enum { GR_NOISE_DELTAS_MAX = 5 };

#endif
