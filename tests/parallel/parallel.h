/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small frame for tests under mpirun: cases are functions that return the number of failures
 * on their rank; a case fails when any rank's does. Use:
 *
 *   static int test_sum(struct gr_comm *comm) { int bad = 0; EXPECT(1 + 1 == 2); return bad; }
 *   PARALLEL_MAIN({"sum", test_sum}, ...)
 *
 * The program names its rank counts in its opening comment: " * ranks: 1 2 3".
 */
#ifndef GRANARY_TESTS_PARALLEL_H
#define GRANARY_TESTS_PARALLEL_H

#include <granary/comm.h>
#include <stdio.h>
#include <string.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            int at_rank_;                                                                          \
            MPI_Comm_rank(MPI_COMM_WORLD, &at_rank_);                                              \
            fprintf(stderr, "%s:%d: rank %d: %s (message: %s)\n", __FILE__, __LINE__, at_rank_,    \
                    #condition, gr_message());                                                     \
            bad++;                                                                                 \
        }                                                                                          \
    } while (0)
#define EXPECT_EQUAL(a, b)                                                                         \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_) {                                                                            \
            fprintf(stderr, "%s:%d: %s is %lld, %s is %lld\n", __FILE__, __LINE__, #a, a_, #b,     \
                    b_);                                                                           \
            bad++;                                                                                 \
        }                                                                                          \
    } while (0)

struct parallel_case {
    const char *name;
    int (*run)(struct gr_comm *comm);
};

static inline int parallel_run(int argc, char **argv, const struct parallel_case *cases, size_t n) {
    struct gr_comm_options options = {0};
    struct gr_comm *comm = NULL;
    int rank, passed = 0, failed = 0, provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (gr_base_start() != GR_OK || gr_comm_create(MPI_COMM_WORLD, &options, &comm) != GR_OK) {
        fprintf(stderr, "start: %s\n", gr_message());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    gr_comm_started(comm); /* cases are of rounds */
    for (size_t i = 0; i < n; i++) {
        int bad = cases[i].run(comm), all = 0;
        MPI_Allreduce(&bad, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        if (all)
            failed++;
        else
            passed++;
        if (rank == 0 && all) printf("failed: %s\n", cases[i].name);
    }
    gr_comm_free(comm);
    if (rank == 0) printf("%d passed, %d failed\n", passed, failed);
    MPI_Finalize();
    return failed != 0;
}

#define PARALLEL_MAIN(...)                                                                         \
    int main(int argc, char **argv) {                                                              \
        static const struct parallel_case cases[] = {__VA_ARGS__};                                 \
        return parallel_run(argc, argv, cases, sizeof cases / sizeof *cases);                      \
    }

#endif
