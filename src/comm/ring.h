/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the ring: from weighted floats to integers on a grid of 2^e and back. Pure
 * loops over a block or a slice, made so that the compiler vectorises them for the processor at
 * hand; no rounding here depends on which version runs.
 *
 * A contribution's element is p = update * weight, rounded to float32. The exponent e of a block is
 * the smallest for which |p| 2^-e <= (2^31 - 1) / members for every p of the block in any silo. The
 * integer is q = p 2^-e, rounded to nearest, ties to even; |q| keeps that bound, so that the sum of
 * `members` such integers cannot leave int32. The mean is sum(q) times 2^e / total_weight, the
 * factor rounded to double, the product rounded to double and then to float32.
 */
#ifndef GRANARY_COMM_RING_H
#define GRANARY_COMM_RING_H

#include <stddef.h>
#include <stdint.h>

/* Exponents of a block that holds nothing but zeros, and of one that must not be summed. */
enum { GR_RING_EXPONENT_ZERO = INT16_MIN, GR_RING_EXPONENT_REFUSED = INT16_MAX };

/* Bits of the largest |x[i] * weight| as an unsigned integer: ordered as the values are, with
 * infinities and NaN above all numbers. */
uint32_t gr_ring_largest(const float *x, float weight, size_t n);

/* The exponent for a block whose largest is `largest`. */
int16_t gr_ring_exponent(uint32_t largest, uint32_t members);

/*
 * What the two encodings do with a block or slice of n elements. `sums` are int32 or float. Floats
 * have no use for the exponent.
 */
struct gr_codec {
    /* sums[i] = encoded x[i] * weight; add_encoded: added to sums[i]. */
    void (*encode)(const float *x, float weight, int16_t exponent, void *sums, size_t n);
    void (*add_encoded)(const float *x, float weight, int16_t exponent, void *sums, size_t n);
    /* sums[i] = a[i] + b[i]; sums may be a. */
    void (*add)(const void *a, const void *b, void *sums, size_t n);
    /* x[i] = sums[i] 2^exponent / total_weight. */
    void (*decode)(const void *sums, int16_t exponent, double total_weight, float *x, size_t n);
};

extern const struct gr_codec gr_codec_ring32, gr_codec_float32;

#endif
