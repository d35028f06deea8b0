/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real sums in integers: integers may be added in any order, doubles may not. A value is cut into
 * four words of 30 bits each, from units of 2^40 to units of 2^-50; whatever is finer than 2^-51 is
 * rounded away. A word takes at most 2^30 of a value, so that int64_t holds the sum of 2^33 of
 * them.
 */
#include <granary/base.h>

#include <math.h>

static const int real_unit[GR_REAL_WORDS] = {40, 10, -20, -50};

/* The first two words take nothing of a value below half a unit of the second, as most are. */
bool gr_real_add(int64_t *sum, double value) {
    static const double unit[GR_REAL_WORDS] = {0x1p40, 0x1p10, 0x1p-20, 0x1p-50};
    static const double inverse[GR_REAL_WORDS] = {0x1p-40, 0x1p-10, 0x1p20, 0x1p50};
    if (!(fabs(value) < GR_REAL_LIMIT)) return false;
    for (size_t i = fabs(value) < 0x1p9 ? 2 : 0; i < GR_REAL_WORDS; i++) {
        /* Powers of two, and a remainder of at most half a unit: all of this is exact. */
        const double units = rint(value * inverse[i]);
        sum[i] = (int64_t)((uint64_t)sum[i] + (uint64_t)(int64_t)units);
        value -= units * unit[i];
    }
    return true;
}

/* In a fixed order, and in 64 bits of mantissa (x86), where each word is exact: the same sums give
 * the same number. */
long double gr_real_value(const int64_t *sum) {
    long double value = 0;
    for (size_t i = 0; i < GR_REAL_WORDS; i++)
        value += ldexpl((long double)sum[i], real_unit[i]);
    return value;
}
