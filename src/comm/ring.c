/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of the ring. */
#include "comm/ring.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* One version per instruction set, chosen when the program is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__OPTIMIZE__) &&                      \
    !defined(__SANITIZE_ADDRESS__)
#define VERSIONS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VERSIONS
#endif

VERSIONS uint32_t gr_ring_largest(const float *x, float weight, size_t n) {
    /* Signed, because that is what vector units compare; the sign bit is off. */
    int32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        float p = x[i] * weight;
        int32_t bits;
        memcpy(&bits, &p, sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    return (uint32_t)largest;
}

int16_t gr_ring_exponent(uint32_t largest, uint32_t members) {
    float x;
    memcpy(&x, &largest, sizeof x);
    if (largest == 0) return GR_RING_EXPONENT_ZERO;
    if (!isfinite(x)) return GR_RING_EXPONENT_REFUSED;
    int of_x, of_bound;
    double mantissa = frexp(x, &of_x);
    double bound = frexp((double)(INT32_MAX / (members > 0 ? members : 1)), &of_bound);
    return (int16_t)(of_x - of_bound + (mantissa > bound));
}

/*
 * 2^-exponent as two factors: for blocks of very small numbers it is beyond float32. Where the
 * first product is not exact, it is so small that the second rounds to zero all the same.
 */
struct scale {
    float first, second;
};

static struct scale scale_of(int16_t exponent) {
    if (exponent == GR_RING_EXPONENT_ZERO) return (struct scale){0, 0};
    int half = -exponent / 2;
    return (struct scale){ldexpf(1, half), ldexpf(1, -exponent - half)};
}

VERSIONS static void ring_encode(const float *x, float weight, int16_t exponent, void *sums,
                                 size_t n) {
    int32_t *q = sums;
    struct scale scale = scale_of(exponent);
    for (size_t i = 0; i < n; i++)
        q[i] = (int32_t)rintf(x[i] * weight * scale.first * scale.second);
}

VERSIONS static void ring_add_encoded(const float *x, float weight, int16_t exponent, void *sums,
                                      size_t n) {
    int32_t *q = sums;
    struct scale scale = scale_of(exponent);
    for (size_t i = 0; i < n; i++)
        q[i] += (int32_t)rintf(x[i] * weight * scale.first * scale.second);
}

VERSIONS static void ring_add(const void *a, const void *b, void *sums, size_t n) {
    const int32_t *p = a, *q = b;
    int32_t *sum = sums;
    for (size_t i = 0; i < n; i++)
        sum[i] = p[i] + q[i];
}

VERSIONS static void ring_decode(const void *sums, int16_t exponent, double total_weight, float *x,
                                 size_t n) {
    const int32_t *q = sums;
    double factor = exponent == GR_RING_EXPONENT_ZERO ? 0 : ldexp(1 / total_weight, exponent);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(q[i] * factor);
    /* Rounding on a coarse grid may lift a mean of the largest floats by a hair too much. */
    if (INT32_MAX * factor <= (double)FLT_MAX) return;
    for (size_t i = 0; i < n; i++)
        if (isinf(x[i])) x[i] = copysignf(FLT_MAX, x[i]);
}

const struct gr_codec gr_codec_ring32 = {ring_encode, ring_add_encoded, ring_add, ring_decode};

/* ---- floats --------------------------------------------------------------------------------- */

VERSIONS static void float_encode(const float *x, float weight, int16_t exponent, void *sums,
                                  size_t n) {
    (void)exponent;
    float *p = sums;
    for (size_t i = 0; i < n; i++)
        p[i] = x[i] * weight;
}

VERSIONS static void float_add_encoded(const float *x, float weight, int16_t exponent, void *sums,
                                       size_t n) {
    (void)exponent;
    float *p = sums;
    for (size_t i = 0; i < n; i++)
        p[i] += x[i] * weight;
}

VERSIONS static void float_add(const void *a, const void *b, void *sums, size_t n) {
    const float *p = a, *q = b;
    float *sum = sums;
    for (size_t i = 0; i < n; i++)
        sum[i] = p[i] + q[i];
}

VERSIONS static void float_decode(const void *sums, int16_t exponent, double total_weight, float *x,
                                  size_t n) {
    (void)exponent;
    const float *p = sums;
    double factor = 1 / total_weight;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(p[i] * factor);
}

const struct gr_codec gr_codec_float32 = {float_encode, float_add_encoded, float_add, float_decode};
