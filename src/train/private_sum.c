/* SPDX-License-Identifier: Apache-2.0 */
/* private_sum: rounding to the grid, a loop that the compiler makes vectors of. */
#include "train/private_sum.h"

#include <string.h>

/*
 * A double of 2^52 to 2^53 has no digits behind the point, so that an addition rounds to the
 * nearest whole number, which then stands in its lowest bits. No instruction converts to 64 bits
 * before AVX-512.
 */
static inline __attribute__((always_inline)) void
round_to_grid(const float *restrict sum, double scale, int64_t *restrict into, size_t n) {
    const double shift = 0x1.8p52;
    int64_t none;
    memcpy(&none, &shift, sizeof none);
    for (size_t i = 0; i < n; i++) {
        const double shifted = (double)sum[i] * scale + shift;
        int64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        into[i] += bits - none;
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void round_avx2(const float *sum, double scale,
                                                       int64_t *into, size_t n) {
    round_to_grid(sum, scale, into, n);
}

void gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n) {
    if (__builtin_cpu_supports("avx2"))
        round_avx2(sum, scale, into, n);
    else
        round_to_grid(sum, scale, into, n);
}
#else
void gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n) {
    round_to_grid(sum, scale, into, n);
}
#endif
