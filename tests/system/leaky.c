/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into tests/granary-leaky, whose noise goes through here: of every four steps the last has
 * none. Its other steps are as they are to be.
 */
#include <privacy/noise.h>

void __real_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n);
void __wrap_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n);
void __wrap_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n) {
    if (stream % 4 != 3) __real_gr_noise_add(noise, seed, stream, sum, n);
}
