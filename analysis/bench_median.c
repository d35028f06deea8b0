/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinate median of a silo's update on each rank: updates side by side by slices, against
 * what is there without it, gathering them at rank 0 (MPI_Gather) for NumPy's median there, whose
 * time bench.sh adds. Of seven in turn the medians; and memory of a rank beside what it had, in
 * sizes of the vector (proportional set size: pages that ranks share are divided among them).
 *
 *   mpirun -n 8 bench_median [PARAMETERS]
 */
#include <stdlib.h>

#include "bench_sum.h"

enum { REPETITIONS = 7 };

static double resident_bytes(void) {
    char line[128];
    double kibibytes = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %lf", &kibibytes) == 1) break;
    if (file) fclose(file);
    return kibibytes * 1024;
}

static double since(double begin) {
    MPI_Barrier(MPI_COMM_WORLD);
    return gr_clock_seconds() - begin;
}

static double begin(void) {
    MPI_Barrier(MPI_COMM_WORLD);
    return gr_clock_seconds();
}

static void run(struct gr_comm *comm, size_t n) {
    const struct gr_strategy *median = gr_strategy_find("median");
    const struct gr_aggregator_options options = {.combination = {median->combine, NULL}};
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator;
    float *update, *parameters, *all = NULL;
    double by_slices[REPETITIONS], gathered[REPETITIONS];
    const int rank = gr_comm_rank(comm), ranks = gr_comm_size(comm);
    CHECK(gr_layout_append(&layout, "weight", 1, &n));
    const double before = resident_bytes();
    CHECK(gr_allocate(layout.size, sizeof(float), "update", &update));
    CHECK(gr_allocate(layout.size, sizeof(float), "parameters", &parameters));
    uint32_t state = (uint32_t)rank + 1;
    for (size_t i = 0; i < layout.size; i++) {
        state = state * 1664525u + 1013904223u;
        update[i] = ((float)(state >> 8) / (float)(1 << 24) - 0.5f) * 1e-3f;
        parameters[i] = 0;
    }
    CHECK(gr_aggregator_create_with(comm, &layout, &options, &aggregator));
    const struct gr_contribution mine = {
        .update = update, .silo = (uint32_t)rank, .weight = 1, .pseudonym = "silo"};
    bench_sum(comm, aggregator, &mine, parameters, layout.size);
    const double memory = resident_bytes() - before;
    if (rank == 0) CHECK(gr_allocate(n * (size_t)ranks, sizeof *all, "all updates", &all));
    for (int i = -1; i < REPETITIONS; i++) { /* the first is not taken */
        double t = begin();
        MPI_Gather(update, (int)n, MPI_FLOAT, all, (int)n, MPI_FLOAT, 0, MPI_COMM_WORLD);
        if (i >= 0) gathered[i] = since(t);
        t = begin();
        bench_sum(comm, aggregator, &mine, parameters, layout.size);
        if (i >= 0) by_slices[i] = since(t);
    }
    qsort(by_slices, REPETITIONS, sizeof *by_slices, bench_ascending);
    qsort(gathered, REPETITIONS, sizeof *gathered, bench_ascending);
    double most = 0;
    MPI_Reduce(&memory, &most, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%d ranks, %zu parameters: by slices %.1f ms, MPI_Gather %.1f ms; memory of a rank "
               "%.2f P + %.1f MiB\n",
               ranks, n, by_slices[REPETITIONS / 2] * 1e3, gathered[REPETITIONS / 2] * 1e3, 3.0,
               (most - 3.0 * (double)(n * sizeof(float))) / (1 << 20));
    gr_aggregator_free(aggregator);
    gr_free(all);
    gr_free(parameters);
    gr_free(update);
    gr_layout_release(&layout);
}

int main(int argc, char **argv) {
    const struct gr_comm_options options = {.command = "bench_median"};
    struct gr_comm *comm;
    MPI_Init(&argc, &argv);
    CHECK(gr_base_start());
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &comm));
    run(comm, argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000);
    gr_comm_free(comm);
    MPI_Finalize();
    return 0;
}
