/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmarks of sums have in common. */
#ifndef GRANARY_ANALYSIS_BENCH_SUM_H
#define GRANARY_ANALYSIS_BENCH_SUM_H

#include <stdio.h>

#include <granary/comm.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != GR_OK) {                                                                     \
            fprintf(stderr, "%s: %s\n", #call, gr_message());                                      \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

/* Collective. As a round does it: the total of one contribution a rank, the seal, and the step,
 * block by block, of `size` parameters. */
static inline void bench_sum(struct gr_comm *comm, struct gr_aggregator *aggregator,
                             const struct gr_contribution *mine, float *parameters, size_t size) {
    float mean[GR_RING_BLOCK];
    CHECK(gr_aggregate_total(aggregator, mine, 1, (uint32_t)gr_comm_size(comm)));
    CHECK(gr_control_seal(comm, GR_PHASE_SEALED));
    for (size_t begin = 0; begin < size; begin += GR_RING_BLOCK) {
        const size_t n = size - begin < GR_RING_BLOCK ? size - begin : GR_RING_BLOCK;
        gr_aggregate_decode(aggregator, 0, begin, mean, n);
        for (size_t i = 0; i < n; i++)
            parameters[begin + i] += mean[i];
    }
}

/* Not collective. For qsort, of doubles. */
static inline int bench_ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
