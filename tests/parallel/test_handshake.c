/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ranks have in common: the handshake before all else, names of those that differ, their
 * texts; and the token of every rank in a run directory.
 *
 * ranks: 1 2 3 8
 * slow: another folder is waited for
 */
#include <granary/store.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parallel.h"

/* What a communicator of the world came to when this rank brings these libraries. */
static gr_status meet(const char *libraries) {
    const struct gr_comm_options options = {.command = "test", .libraries = libraries};
    struct gr_comm *comm = NULL;
    gr_status status = gr_comm_create(MPI_COMM_WORLD, &options, &comm);
    gr_comm_free(comm);
    return status;
}

static int libraries_are_compared(struct gr_comm *comm) {
    const int rank = gr_comm_rank(comm), size = gr_comm_size(comm), last = size - 1;
    char expected[64];
    int bad = 0;
    EXPECT(meet("MPI 1\nHDF5 2\n") == GR_OK);
    EXPECT(meet(NULL) == GR_OK);
    if (size == 1) return bad;
    /* All learn the same of the lowest that is not like rank 0, whoever they are. */
    EXPECT(meet(rank == last ? "MPI 1\nHDF5 3\n" : "MPI 1\nHDF5 2\n") == GR_ERROR_CONFIG);
    snprintf(expected, sizeof expected, "rank %d on ", last);
    EXPECT(strncmp(gr_message(), expected, strlen(expected)) == 0);
    EXPECT(strstr(gr_message(), "found \"HDF5 3\", expected \"HDF5 2\"") != NULL);
    EXPECT(meet(rank == 0 ? "MPI 1\n" : "MPI 1\nHDF5 2\n") == GR_ERROR_CONFIG);
    EXPECT(strncmp(gr_message(), "rank 1 on ", 10) == 0);
    EXPECT(strstr(gr_message(), "found \"HDF5 2\", expected \"\"") != NULL);
    /* Nothing is left of it. */
    EXPECT(meet("MPI 1\n") == GR_OK);
    return bad;
}

static int ranks_are_named(struct gr_comm *comm) {
    const int rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    char names[GR_NAMES_BYTES], expected[GR_NAMES_BYTES] = "";
    int bad = 0;
    EXPECT(gr_comm_name_flagged(comm, false, names) == GR_OK);
    EXPECT(strcmp(names, "") == 0);
    EXPECT(gr_comm_name_unlike(comm, "same", 4, names) == GR_OK);
    EXPECT(strcmp(names, "") == 0);
    EXPECT(gr_comm_name_unlike(comm, &rank, sizeof rank, names) == GR_OK);
    for (int i = 1; i < size; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%srank %d (%s)",
                 i > 1 ? ", " : "", i, gr_comm_host_name(comm, i));
    EXPECT(strcmp(names, expected) == 0);
    return bad;
}

static int texts_are_gathered(struct gr_comm *comm) {
    const int rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    struct gr_comm_texts texts;
    char longest[GR_COMM_TEXT_MAX + 100];
    int bad = 0;
    EXPECT(gr_comm_gather_texts(comm, rank % 2 ? "odd" : "even", &texts) == GR_OK);
    EXPECT_EQUAL(texts.n, size > 1 ? 2 : 1);
    EXPECT(strcmp(texts.text[0], "even") == 0 && (size == 1 || !strcmp(texts.text[1], "odd")));
    for (int i = 0; i < size; i++)
        EXPECT_EQUAL(texts.of_slot[i], 1 + i % 2);
    gr_comm_texts_release(&texts);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    EXPECT(gr_comm_gather_texts(comm, longest, &texts) == GR_OK);
    EXPECT_EQUAL(texts.n, 1);
    EXPECT_EQUAL(strlen(texts.text[0]), GR_COMM_TEXT_MAX - 1);
    gr_comm_texts_release(&texts);
    return bad;
}

/* One folder for all; and, for the last rank, another that has a token of its own. */
static int folders_are_compared(struct gr_comm *comm) {
    const int rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    char folder[] = "/tmp/granary-shared-XXXXXX", path[64], file[128];
    int bad = 0;
    if (rank == 0) EXPECT(mkdtemp(folder) != NULL);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    for (int which = 0; which < 2; which++) {
        snprintf(path, sizeof path, "%s/%d", folder, which);
        snprintf(file, sizeof file, "%s/checkpoints", path);
        if (rank == 0) EXPECT(mkdir(path, 0777) == 0 && mkdir(file, 0777) == 0);
    }
    snprintf(file, sizeof file, "%s/1/checkpoints/.token", folder);
    FILE *token = rank == 0 ? fopen(file, "w") : NULL;
    if (token) fclose(token);
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(path, sizeof path, "%s/0", folder);
    EXPECT(gr_run_directory_check_shared(comm, path) == GR_OK);
    snprintf(path, sizeof path, "%s/%d", folder, size > 1 && rank == size - 1);
    EXPECT(gr_run_directory_check_shared(comm, path) == (size > 1 ? GR_ERROR_WRITE : GR_OK));
    if (size > 1) EXPECT(strstr(gr_message(), "another folder of that name is there") != NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) unlink(file);
    for (int which = 0; which < 2 && rank == 0; which++) {
        snprintf(file, sizeof file, "%s/%d/checkpoints", folder, which);
        EXPECT(rmdir(file) == 0); /* nothing is left in it */
        snprintf(file, sizeof file, "%s/%d", folder, which);
        EXPECT(rmdir(file) == 0);
    }
    if (rank == 0) EXPECT(rmdir(folder) == 0);
    return bad;
}

PARALLEL_MAIN({"libraries are compared", libraries_are_compared},
              {"ranks are named", ranks_are_named}, {"texts are gathered", texts_are_gathered},
              {"folders are compared", folders_are_compared})
