/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole aggregation (encode, sum, decode, broadcast, step on every rank) against bare MPI_Reduce
 * and MPI_Bcast of the same floats, in all encodings, and the latency of small operations.
 *
 *   mpirun -n 2 bench_aggregate [ranks_per_node [parameters]]
 *
 * One contribution per rank; medians of repetitions taken in turn, once the way between nodes is
 * settled; times until all ranks are done.
 */
#include <stdlib.h>
#include <string.h>

#include "bench_sum.h"

/* TRIALS: the first sums, in which `between: auto` tries each way three times. */
enum { ENCODINGS = 4, TRIALS = 9, REPETITIONS = 11, SMALL_REPETITIONS = 2000, SMALL = 1000 };

struct bench {
    struct gr_comm *comm;
    struct gr_layout layout;
    struct gr_aggregator *by[ENCODINGS];
    enum gr_encoding encoding; /* of the present run */
    float *update, *mean, *parameters;
    float *residual, *left; /* ring16's */
};

static void bare(struct bench *bench) {
    int n = (int)bench->layout.size;
    MPI_Reduce(bench->update, bench->mean, n, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Bcast(bench->mean, n, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

static void aggregate(struct bench *bench) {
    struct gr_contribution mine = {.update = bench->update, .weight = 600, .pseudonym = "silo-00"};
    const bool narrow = bench->encoding == GR_ENCODING_RING16;
    if (narrow) {
        mine.residual = bench->residual;
        mine.left = bench->left;
        mine.rounding = (struct gr_stream_key){
            .seed = 1, .silo = (uint32_t)gr_comm_rank(bench->comm), .purpose = GR_PURPOSE_ROUNDING};
    }
    bench_sum(bench->comm, bench->by[bench->encoding], &mine, bench->parameters,
              bench->layout.size);
    float *used = bench->residual;
    if (!narrow) return;
    bench->residual = bench->left;
    bench->left = used;
}

static double timed(void (*run)(struct bench *), struct bench *bench) {
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = gr_clock_seconds();
    run(bench);
    MPI_Barrier(MPI_COMM_WORLD);
    return gr_clock_seconds() - begin;
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, bench_ascending);
    return values[n / 2];
}

static void open_bench(struct bench *bench, size_t n) {
    CHECK(gr_layout_append(&bench->layout, "weight", 1, &n));
    size_t size = bench->layout.size;
    for (int e = 0; e < ENCODINGS; e++)
        CHECK(
            gr_aggregator_create(bench->comm, &bench->layout, (enum gr_encoding)e, &bench->by[e]));
    CHECK(gr_allocate_zero(size, sizeof(float), "residual", &bench->residual));
    CHECK(gr_allocate_zero(size, sizeof(float), "residual", &bench->left));
    CHECK(gr_allocate(size, sizeof(float), "update", &bench->update));
    CHECK(gr_allocate(size, sizeof(float), "mean", &bench->mean));
    CHECK(gr_allocate(size, sizeof(float), "parameters", &bench->parameters));
    uint32_t state = (uint32_t)gr_comm_rank(bench->comm) + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        bench->update[i] = ((float)(state >> 8) / (float)(1 << 24) - 0.5f) * 1e-3f;
        bench->mean[i] = bench->parameters[i] = 0;
    }
}

static void close_bench(struct bench *bench) {
    for (int e = 0; e < ENCODINGS; e++)
        gr_aggregator_free(bench->by[e]);
    gr_free(bench->residual);
    gr_free(bench->left);
    gr_free(bench->update);
    gr_free(bench->mean);
    gr_free(bench->parameters);
    gr_layout_release(&bench->layout);
}

static void run_large(struct gr_comm *comm, size_t parameters) {
    struct bench bench = {.comm = comm};
    double t_bare[REPETITIONS], t[ENCODINGS][REPETITIONS], m[ENCODINGS];
    uint64_t bytes[ENCODINGS];
    open_bench(&bench, parameters);
    timed(bare, &bench);
    for (int i = -TRIALS; i < REPETITIONS; i++) {
        if (i >= 0) t_bare[i] = timed(bare, &bench);
        for (int e = 0; e < ENCODINGS; e++) {
            uint64_t before = gr_comm_bytes_sent(comm);
            bench.encoding = (enum gr_encoding)e;
            double seconds = timed(aggregate, &bench);
            bytes[e] = gr_comm_bytes_sent(comm) - before;
            if (i >= 0) t[e][i] = seconds;
        }
    }
    double b = median(t_bare, REPETITIONS);
    for (int e = 0; e < ENCODINGS; e++)
        m[e] = median(t[e], REPETITIONS);
    if (gr_comm_rank(comm) == 0)
        printf("%d ranks, %d nodes, %zu parameters: bare %.1f ms\n", gr_comm_size(comm),
               gr_comm_nodes(comm), parameters, b * 1e3);
    for (int e = 0; e < ENCODINGS && gr_comm_rank(comm) == 0; e++)
        printf("  %-8s %.1f ms, %.2f of bare, %.2f of ring32; bytes of rank 0: %.3f of ring32\n",
               gr_encoding_text((enum gr_encoding)e), m[e] * 1e3, m[e] / b,
               m[e] / m[GR_ENCODING_RING32], (double)bytes[e] / (double)bytes[GR_ENCODING_RING32]);
    close_bench(&bench);
}

/* One round's overhead beside training: close the round, aggregate, add up ten values. */
static void run_small(struct gr_comm *comm) {
    struct bench bench = {.comm = comm};
    struct gr_roster roster;
    int64_t values[10] = {0};
    double seconds[4][SMALL_REPETITIONS];
    open_bench(&bench, SMALL);
    gr_control_expect(comm, (uint32_t)gr_comm_size(comm));
    CHECK(gr_comm_agree(comm, GR_OK));
    CHECK(gr_roster_create((uint32_t)gr_comm_size(comm), &roster));
    for (int i = 0; i < SMALL_REPETITIONS; i++) {
        double t0 = gr_clock_seconds();
        gr_flags_clear(&roster.member);
        gr_flags_set(&roster.member, (uint32_t)gr_comm_rank(comm), 1);
        roster.round = (uint32_t)i + 1;
        CHECK(gr_control_close_round(comm, &roster, GR_OK, 60));
        double t1 = gr_clock_seconds();
        aggregate(&bench);
        double t2 = gr_clock_seconds();
        CHECK(gr_comm_sum_int64(comm, values, 10));
        double t3 = gr_clock_seconds();
        CHECK(gr_comm_agree(comm, GR_OK));
        double t4 = gr_clock_seconds();
        seconds[0][i] = t1 - t0;
        seconds[1][i] = t2 - t1;
        seconds[2][i] = t3 - t0;
        seconds[3][i] = t4 - t3;
    }
    double whole_mean = 0;
    for (int i = 0; i < SMALL_REPETITIONS; i++)
        whole_mean += seconds[2][i] / SMALL_REPETITIONS;
    if (gr_comm_rank(comm) == 0)
        printf("%d ranks, %d nodes, %d parameters: close_round %.1f us, aggregate %.1f us, agree "
               "%.1f us; close_round + aggregate + sum %.1f us (mean %.1f)\n",
               gr_comm_size(comm), gr_comm_nodes(comm), SMALL,
               median(seconds[0], SMALL_REPETITIONS) * 1e6,
               median(seconds[1], SMALL_REPETITIONS) * 1e6,
               median(seconds[3], SMALL_REPETITIONS) * 1e6,
               median(seconds[2], SMALL_REPETITIONS) * 1e6, whole_mean * 1e6);
    gr_roster_release(&roster);
    close_bench(&bench);
}

int main(int argc, char **argv) {
    int provided;
    struct gr_comm *comm = NULL;
    struct gr_comm_options options = {0};
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (argc > 1) options.ranks_per_node = (uint32_t)strtoul(argv[1], NULL, 10);
    size_t parameters = argc > 2 ? strtoul(argv[2], NULL, 10) : 25000000;
    CHECK(gr_base_start());
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &comm));
    run_small(comm);
    if (parameters > 0) run_large(comm, parameters);
    gr_comm_free(comm);
    MPI_Finalize();
    return 0;
}
