/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum alone, in a program of its own: the weighted mean of a vector of each silo, with the same
 * bits on any number of ranks.
 *
 *   mpicc sum.c $(pkg-config --cflags --libs granary) -o sum
 *   mpirun -n 3 ./sum
 *
 * Silo s of 6 has weight s + 1 and the vector sin(s + i / 100), i = 0 .. 999, and lives on rank s
 * modulo the number of ranks. Rank 0 prints the digest of the mean and its first element.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <granary/comm.h>

enum { SILOS = 6, SIZE = 1000 };

static float vectors[SILOS][SIZE];

/* Fills in what this rank contributes; returns how many silos that is. */
static size_t contribute(int rank, int size, struct gr_contribution *mine) {
    size_t n = 0;
    for (int s = rank; s < SILOS; s += size) {
        for (int i = 0; i < SIZE; i++)
            vectors[s][i] = (float)sin(s + i / 100.0);
        mine[n] = (struct gr_contribution){
            .update = vectors[s], .examples = 1, .weight = s + 1, .pseudonym = "silo"};
        n++;
    }
    return n;
}

static gr_status sum(struct gr_comm *comm, const struct gr_layout *layout, float *mean) {
    struct gr_contribution mine[SILOS];
    struct gr_aggregator *aggregator = NULL;
    uint64_t examples;
    gr_status status = gr_aggregator_create(comm, layout, GR_ENCODING_RING32, &aggregator);
    const size_t n = contribute(gr_comm_rank(comm), gr_comm_size(comm), mine);
    if (status == GR_OK) status = gr_aggregate(aggregator, mine, n, SILOS, mean, &examples);
    gr_aggregator_free(aggregator);
    return status;
}

int main(int argc, char **argv) {
    static float mean[SIZE];
    const size_t size = SIZE;
    const struct gr_comm_options options = {.command = "sum"};
    struct gr_layout layout = {0};
    struct gr_comm *comm = NULL;
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    MPI_Init(&argc, &argv);
    gr_status status = gr_base_start();
    if (status == GR_OK) status = gr_layout_append(&layout, "vector", 1, &size);
    if (status == GR_OK) status = gr_comm_create(MPI_COMM_WORLD, &options, &comm);
    if (status == GR_OK) status = sum(comm, &layout, mean);
    if (status == GR_OK) {
        gr_layout_digest(&layout, mean, digest);
        gr_digest_hex(digest, hex);
        if (gr_comm_rank(comm) == 0) printf("%s %.6f\n", hex, (double)mean[0]);
    } else {
        fprintf(stderr, "sum: %s\n", gr_message());
    }
    gr_comm_free(comm);
    gr_layout_release(&layout);
    MPI_Finalize();
    return status;
}
