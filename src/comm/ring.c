/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the ring (see ring.h for the encodings).
 *
 * Signed integers are converted to unsigned words before they are added, as overflow of signed ones
 * is undefined in C and unsigned ones wrap. All loops are the same operations element by element,
 * without fused or reordered ones, so the versions for different processors give the same bits.
 */
#include "comm/ring.h"

#include <float.h>
#include <math.h>
#include <string.h>

/*
 * There is a version for each instruction set, chosen when the program is loaded. Clang before 17
 * gives the choice another name than that by which other files call it, so there it has one
 * version: the same bits, slower.
 */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__OPTIMIZE__) &&                      \
    !defined(__SANITIZE_ADDRESS__) && (!defined(__clang__) || __clang_major__ >= 17)
#define VERSIONS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VERSIONS
#endif

/* Without their sign bit, the bits of IEEE 754 numbers are ordered as their magnitudes are; so a
 * maximum of integers finds NaN, too, which a maximum of floats may drop. */
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

/*
 * The least e with x 2^-e <= bound. By frexp both are mantissas in [0.5, 1) times a power of two:
 * the powers give e, and one more where the mantissa of x is the larger. Exact, without a
 * logarithm.
 */
int16_t gr_ring_exponent(uint32_t largest, int64_t bound) {
    float x;
    memcpy(&x, &largest, sizeof x);
    if (largest == 0) return GR_RING_EXPONENT_ZERO;
    if (!isfinite(x)) return GR_RING_EXPONENT_REFUSED;
    int of_x, of_bound;
    double mantissa = frexp(x, &of_x);
    double of_all = frexp((double)bound, &of_bound);
    return (int16_t)(of_x - of_bound + (mantissa > of_all));
}

/*
 * 2^-exponent as two factors: for blocks of very small numbers it is beyond float32. Where the
 * first product is not exact, it is so small that the second rounds to zero all the same.
 */
struct scale {
    float first, second;
};

/* A block of zeros has scale 0, as its exponent is no number to shift by. */
static struct scale scale_of(int exponent) {
    if (exponent == GR_RING_EXPONENT_ZERO) return (struct scale){0, 0};
    int half = -exponent / 2;
    return (struct scale){ldexpf(1, half), ldexpf(1, -exponent - half)};
}

/*
 * rintf rounds to nearest, ties to even, in MPI programs as elsewhere: nothing here changes the
 * rounding mode. The product with the weight is rounded to float32 once, as in gr_ring_largest, so
 * the integer keeps the bound found there.
 */
VERSIONS static void ring_encode(const float *x, float weight, int16_t exponent, void *sums,
                                 size_t n) {
    uint32_t *q = sums;
    struct scale scale = scale_of(exponent);
    for (size_t i = 0; i < n; i++)
        q[i] = (uint32_t)(int32_t)rintf(x[i] * weight * scale.first * scale.second);
}

VERSIONS static void ring_add_encoded(const float *x, float weight, int16_t exponent, void *sums,
                                      size_t n) {
    uint32_t *q = sums;
    struct scale scale = scale_of(exponent);
    for (size_t i = 0; i < n; i++)
        q[i] += (uint32_t)(int32_t)rintf(x[i] * weight * scale.first * scale.second);
}

VERSIONS static void ring_add(const void *a, const void *b, void *sums, size_t n) {
    const uint32_t *p = a, *q = b;
    uint32_t *sum = sums;
    for (size_t i = 0; i < n; i++)
        sum[i] = p[i] + q[i];
}

/* A word is read as a signed integer here and nowhere before. The factor is rounded to double once
 * for the block, so each element costs one product. */
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

const struct gr_codec gr_codec_ring32 = {
    sizeof(int32_t), INT32_MAX, ring_encode, ring_add_encoded, ring_add, ring_decode,
};

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

/* Their exponents are of no use but to refuse what is not finite. */
const struct gr_codec gr_codec_float32 = {
    sizeof(float), INT32_MAX, float_encode, float_add_encoded, float_add, float_decode,
};

/* ---- 64 bits -------------------------------------------------------------------------------- */

/*
 * 1.5 * 2^52: a double of less than 2^51 added to it is rounded to an integer, which then stands in
 * the lower bits. Not every processor converts between vectors of doubles and of int64.
 */
static const double magic = 0x1.8p52;

static inline uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* rint(y) for |y| up to 2^62: in units of 2^32 first, then the rest, which is exact. */
static inline uint64_t nearest(double y) {
    double high = y * 0x1p-32 + magic, rest = y - (high - magic) * 0x1p32;
    uint64_t units = bits_of(high) - bits_of(magic);
    return (units << 32) + bits_of(rest + magic) - bits_of(magic);
}

/* (double)(int64_t)q: both halves exactly, their sum rounded once. */
static inline double to_double(uint64_t q) {
    uint64_t above = q ^ (uint64_t)1 << 63; /* q + 2^63 */
    double high = of_bits(bits_of(0x1p52) | above >> 32) - (0x1p52 + 0x1p31);
    double low = of_bits(bits_of(0x1p52) | (above & UINT32_MAX)) - 0x1p52;
    return high * 0x1p32 + low;
}

/* Double's range holds 2^-e for every exponent of a float32, so one factor is enough. */
static double scale64_of(int16_t exponent) {
    return exponent == GR_RING_EXPONENT_ZERO ? 0 : ldexp(1, -exponent);
}

/* Products of two float32 are exact in double; only the rounding to the grid loses anything. */
VERSIONS static void ring64_encode(const float *x, float weight, int16_t exponent, void *sums,
                                   size_t n) {
    uint64_t *q = sums;
    const double scale = scale64_of(exponent), factor = (double)weight;
    for (size_t i = 0; i < n; i++)
        q[i] = nearest((double)x[i] * factor * scale);
}

VERSIONS static void ring64_add_encoded(const float *x, float weight, int16_t exponent, void *sums,
                                        size_t n) {
    uint64_t *q = sums;
    const double scale = scale64_of(exponent), factor = (double)weight;
    for (size_t i = 0; i < n; i++)
        q[i] += nearest((double)x[i] * factor * scale);
}

VERSIONS static void ring64_add(const void *a, const void *b, void *sums, size_t n) {
    const uint64_t *p = a, *q = b;
    uint64_t *sum = sums;
    for (size_t i = 0; i < n; i++)
        sum[i] = p[i] + q[i];
}

/* No grid here is coarse enough to lift a mean beyond the largest float. */
VERSIONS static void ring64_decode(const void *sums, int16_t exponent, double total_weight,
                                   float *x, size_t n) {
    const uint64_t *q = sums;
    double factor = exponent == GR_RING_EXPONENT_ZERO ? 0 : ldexp(1 / total_weight, exponent);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(to_double(q[i]) * factor);
}

const struct gr_codec gr_codec_ring64 = {
    sizeof(int64_t), INT64_MAX / 2, ring64_encode, ring64_add_encoded, ring64_add, ring64_decode,
};

/* ---- 16 bits -------------------------------------------------------------------------------- */

VERSIONS static void weigh(const float *x, float weight, const float *residual, float *p,
                           size_t n) {
    for (size_t i = 0; i < n; i++)
        p[i] = x[i] * weight + residual[i];
}

/* Without a residual it is the encoding of float32, which is the product alone. */
void gr_ring_weigh(const float *x, float weight, const float *residual, float *p, size_t n) {
    if (residual)
        weigh(x, weight, residual, p, n);
    else
        float_encode(x, weight, 0, p, n);
}

/*
 * Floor(y + u) in integers: y is taken in units of 2^-16, to which 16 random bits are added. `keep`
 * makes adding and storing one loop without a branch. Left over is y - q in units of p, by which
 * the silo's next update makes up for this rounding.
 */
VERSIONS void gr_ring16_encode(const float *p, const uint16_t *noise, int16_t exponent, bool add,
                               void *sums, float *left, size_t n) {
    uint16_t *words = sums;
    const struct scale scale = scale_of(exponent);
    const struct scale back = scale_of(exponent == GR_RING_EXPONENT_ZERO ? exponent : -exponent);
    const uint32_t keep = add ? UINT32_MAX : 0;
    for (size_t i = 0; i < n; i++) {
        float y = p[i] * scale.first * scale.second;
        /* |y| <= 2^15 - 1, so that this does not leave int32; the shift floors. */
        int32_t q = ((int32_t)rintf(y * 65536) + noise[i]) >> 16;
        words[i] = (uint16_t)((words[i] & keep) + (uint32_t)q);
        left[i] = (y - (float)q) * back.first * back.second;
    }
}

VERSIONS static void ring16_add(const void *a, const void *b, void *sums, size_t n) {
    const uint16_t *p = a, *q = b;
    uint16_t *sum = sums;
    for (size_t i = 0; i < n; i++)
        sum[i] = (uint16_t)(p[i] + q[i]);
}

VERSIONS static void ring16_decode(const void *sums, int16_t exponent, double total_weight,
                                   float *x, size_t n) {
    const int16_t *q = sums;
    double factor = exponent == GR_RING_EXPONENT_ZERO ? 0 : ldexp(1 / total_weight, exponent);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(q[i] * factor);
    if (INT16_MAX * factor <= (double)FLT_MAX) return;
    for (size_t i = 0; i < n; i++)
        if (isinf(x[i])) x[i] = copysignf(FLT_MAX, x[i]);
}

const struct gr_codec gr_codec_ring16 = {
    sizeof(int16_t), INT16_MAX, NULL, NULL, ring16_add, ring16_decode,
};
