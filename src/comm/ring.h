/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the ring: from weighted floats to integers on a grid of 2^e and back. The
 * integers are kept and added as unsigned words, modulo 2^b, for whatever is added to hide them
 * leaves the range of signed ones; a sum is read as a signed integer once, when it is decoded. Pure
 * loops over a block or a slice, made so that the compiler vectorises them for the processor at
 * hand; no rounding here depends on which version runs.
 *
 * A contribution's element is p = update * weight, rounded to float32 (ring64: exact, in double). A
 * codec's `limit` is what the sum of all contributions may reach, and bound = limit / members what
 * each may. The exponent e of a block is the smallest for which |p| 2^-e <= bound for every p of
 * the block in any silo, p as rounded to float32. The integer is q = p 2^-e, rounded to nearest,
 * ties to even; it keeps the bound, so that the sum of `members` of them stays in its word. (ring64
 * leaves one bit unused, since its p may be above the rounded one by 2^-24 of it.) The mean is
 * sum(q) times 2^e / total_weight, sum(q) and the factor rounded to double, the product rounded to
 * double and then to float32.
 *
 * ring16 rounds stochastically: y = p 2^-e becomes floor(y + u) for u uniform on the multiples of
 * 2^-16 in [0, 1), so that its mean is y to within 2^-17 (what y has below 2^-16 is rounded to
 * nearest). The rest that the rounding leaves over, (y - q) 2^e, is added to the silo's p the next
 * time: error feedback (Seide, Fu, Droppo, Li, Yu 2014; Karimireddy, Rebjock, Stich, Jaggi 2019).
 */
#ifndef GRANARY_COMM_RING_H
#define GRANARY_COMM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t gr_smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Exponents of a block that holds nothing but zeros, and of one that must not be summed. */
enum { GR_RING_EXPONENT_ZERO = INT16_MIN, GR_RING_EXPONENT_REFUSED = INT16_MAX };

/* Bits of the largest |x[i] * weight| as an unsigned integer: ordered as the values are, with
 * infinities and NaN above all numbers. */
uint32_t gr_ring_largest(const float *x, float weight, size_t n);

/* The exponent for a block whose largest is `largest`; bound: a codec's limit / members, >= 1. */
int16_t gr_ring_exponent(uint32_t largest, int64_t bound);

/* The functions of an encoding, for a block or slice of n elements. Floats have no use for the
 * exponent.
 */
struct gr_codec {
    size_t element; /* bytes of a sum: a word of 64, 32 or 16 bits, or a float */
    int64_t limit;
    /* sums[i] = encoded x[i] * weight; add_encoded: added to sums[i]. NULL: gr_ring16_encode. */
    void (*encode)(const float *x, float weight, int16_t exponent, void *sums, size_t n);
    void (*add_encoded)(const float *x, float weight, int16_t exponent, void *sums, size_t n);
    /* sums[i] = a[i] + b[i]; sums may be a. */
    void (*add)(const void *a, const void *b, void *sums, size_t n);
    /* x[i] = sums[i] 2^exponent / total_weight. */
    void (*decode)(const void *sums, int16_t exponent, double total_weight, float *x, size_t n);
};

extern const struct gr_codec gr_codec_ring64, gr_codec_ring32, gr_codec_ring16, gr_codec_float32;

/* p[i] = x[i] * weight + residual[i]; residual NULL: none. */
void gr_ring_weigh(const float *x, float weight, const float *residual, float *p, size_t n);

/* sums[i] = p[i] on the grid (add: added to it), left[i] = what that leaves over. noise: 16 random
 * bits for each element. */
void gr_ring16_encode(const float *p, const uint16_t *noise, int16_t exponent, bool add, void *sums,
                      float *left, size_t n);

#endif
