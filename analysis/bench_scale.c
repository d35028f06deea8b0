/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a round that need other ranks, one rank a node, for analysis/scale.sh.
 *
 *   mpirun -n RANKS bench_scale [ROUNDS [PARAMETERS [SILOS]]]
 *
 * A line for each phase: ranks, its name, seconds until all ranks are done (the median of ROUNDS),
 * bytes that rank 0 has handed to others a round.
 *   close    a roster of all silos, RANKS of them here and there
 *   meeting  an agreement
 *   sum      weights, grid, the vector in ring32, the seal, and the step
 */
#include <stdlib.h>

#include "bench_sum.h"

enum { PHASES = 3, ROUNDS_MAX = 1000 };
static const char *const phase_names[PHASES] = {"close", "meeting", "sum"};

struct bench {
    struct gr_comm *comm;
    struct gr_roster roster;
    struct gr_aggregator *aggregator;
    struct gr_layout layout;
    float *update, *parameters;
    double seconds[PHASES][ROUNDS_MAX];
    uint64_t bytes[PHASES];
    uint32_t round;
};

static void run_phase(struct bench *bench, int phase) {
    const struct gr_contribution mine = {.update = bench->update, .weight = 600, .pseudonym = "s"};
    if (phase == 0) {
        struct gr_roster *roster = &bench->roster;
        const uint32_t ranks = (uint32_t)gr_comm_size(bench->comm);
        roster->round = bench->round;
        gr_flags_clear(&roster->member);
        for (uint32_t s = (uint32_t)gr_comm_rank(bench->comm); s < roster->n_silos; s += ranks)
            gr_flags_set(&roster->member, s, GR_PRESENT);
        CHECK(gr_control_close_round(bench->comm, roster, GR_OK, 600));
    } else if (phase == 1) {
        CHECK(gr_comm_agree(bench->comm, GR_OK));
    } else {
        bench_sum(bench->comm, bench->aggregator, &mine, bench->parameters, bench->layout.size);
    }
}

static void time_phase(struct bench *bench, int phase, size_t round) {
    MPI_Barrier(MPI_COMM_WORLD);
    const uint64_t before = gr_comm_bytes_sent(bench->comm);
    const double begin = gr_clock_seconds();
    run_phase(bench, phase);
    bench->bytes[phase] += gr_comm_bytes_sent(bench->comm) - before;
    MPI_Barrier(MPI_COMM_WORLD);
    bench->seconds[phase][round] = gr_clock_seconds() - begin;
}

static void open_bench(struct bench *bench, size_t parameters, uint32_t silos) {
    const struct gr_comm_options options = {.ranks_per_node = 1};
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &bench->comm));
    gr_comm_started(bench->comm);
    gr_comm_set_deadlines(bench->comm, 600, 0);
    CHECK(gr_layout_append(&bench->layout, "weight", 1, &parameters));
    CHECK(
        gr_aggregator_create(bench->comm, &bench->layout, GR_ENCODING_RING32, &bench->aggregator));
    const size_t size = bench->layout.size;
    CHECK(gr_allocate_zero(size, sizeof(float), "update", &bench->update));
    CHECK(gr_allocate_zero(size, sizeof(float), "parameters", &bench->parameters));
    for (size_t i = 0; i < parameters; i++)
        bench->update[i] = (float)(i % 997) * 1e-3f - 0.4f;
    CHECK(gr_roster_create(silos, &bench->roster));
    gr_control_expect(bench->comm, silos);
    CHECK(gr_comm_agree(bench->comm, GR_OK));
}

static unsigned long word(int argc, char **argv, int i, unsigned long otherwise) {
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    static struct bench bench;
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    const unsigned long asked = word(argc, argv, 1, 21);
    const size_t rounds = asked < 1 ? 1 : asked > ROUNDS_MAX ? ROUNDS_MAX : asked;
    CHECK(gr_base_start());
    open_bench(&bench, word(argc, argv, 2, 500000), (uint32_t)word(argc, argv, 3, 10000));
    for (bench.round = 1; bench.round <= rounds; bench.round++)
        for (int phase = 0; phase < PHASES; phase++)
            time_phase(&bench, phase, bench.round - 1);
    for (int phase = 0; phase < PHASES && gr_comm_rank(bench.comm) == 0; phase++) {
        qsort(bench.seconds[phase], rounds, sizeof(double), bench_ascending);
        printf("%d %s %.9f %llu\n", gr_comm_size(bench.comm), phase_names[phase],
               bench.seconds[phase][rounds / 2], (unsigned long long)(bench.bytes[phase] / rounds));
    }
    fflush(stdout);
    gr_aggregator_free(bench.aggregator);
    gr_roster_release(&bench.roster);
    gr_free(bench.update);
    gr_free(bench.parameters);
    gr_layout_release(&bench.layout);
    gr_comm_free(bench.comm);
    MPI_Finalize();
    return 0;
}
