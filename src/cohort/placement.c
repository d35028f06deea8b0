/* SPDX-License-Identifier: Apache-2.0 */
/* Which rank hosts which silo. */
#include <granary/cohort.h>

/*
 * Block: rank r has n r / p to n (r + 1) / p - 1, in 64 bits so that the product does not overflow;
 * sizes differ by one at most. Cyclic deals neighbours in the config to different ranks, which
 * evens out silos that are sorted by size.
 */
void gr_place_silos(enum gr_placement placement, uint32_t n_silos, int rank, int size,
                    uint32_t *silos, size_t *n_local) {
    uint64_t n = n_silos, r = (uint64_t)rank, p = (uint64_t)size;
    size_t count = 0;
    if (placement == GR_PLACEMENT_CYCLIC) {
        for (uint64_t silo = r; silo < n; silo += p)
            silos[count++] = (uint32_t)silo;
    } else {
        for (uint64_t silo = n * r / p; silo < n * (r + 1) / p; silo++)
            silos[count++] = (uint32_t)silo;
    }
    *n_local = count;
}
