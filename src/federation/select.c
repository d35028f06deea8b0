/* SPDX-License-Identifier: Apache-2.0 */
/* Which silos take part in a round, and which rank hosts which silo. */
#include <granary/federation.h>

#include <string.h>

gr_status gr_sample_silos(uint64_t seed, uint32_t round, uint32_t n_silos, uint32_t participants,
                          const uint8_t *present, uint8_t *selected) {
    gr_status status = GR_OK;
    gsl_rng *stream = NULL;
    uint32_t *order = NULL;
    if (participants == 0 || participants >= n_silos) {
        for (uint32_t i = 0; i < n_silos; i++)
            selected[i] = !present || present[i];
        return GR_OK;
    }
    memset(selected, 0, n_silos);
    GR_TRY(gr_allocate(n_silos, sizeof *order, "the sample of silos", &order));
    GR_TRY(gr_stream_create(
        (struct gr_stream_key){.seed = seed, .round = round, .purpose = GR_PURPOSE_SAMPLE},
        &stream));
    gr_stream_permutation(stream, order, n_silos);
    for (uint32_t i = 0, taken = 0; i < n_silos && taken < participants; i++) {
        if (present && !present[order[i]]) continue;
        selected[order[i]] = 1;
        taken++;
    }
out:
    if (stream) gsl_rng_free(stream);
    gr_free(order);
    return status;
}

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
