/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bandwidth of a checkpoint against one write + fsync of the same bytes, taken in turn.
 *
 *   mpirun -n 2 bench_checkpoint FOLDER [PARAMETERS] [REPEATS] [collective [HINT...]]
 *
 * FOLDER: on the disk that is meant; a folder is made in it and removed at the end. PARAMETERS:
 * default 100,000,000 (400 MB). Every checkpoint is whole: written by all ranks, digested, compared
 * with memory, fsynced and renamed. Neither the plain file's removal nor that of the checkpoint
 * before is counted. The last line is "checkpoint RANKS RATIO_OF_MEDIANS". The first of each are
 * not counted.
 */
#include <granary/store.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPEATS_MAX = 101, ROW = 10000 };

struct bench {
    struct gr_comm *comm;
    int rank;
    struct gr_layout layout;
    struct gr_state state;
    struct gr_checkpoint_io io;
    char folder[512], plain[600];
    size_t bytes;
};

static gr_status fill(struct bench *b, size_t n_parameters) {
    gr_status status = GR_OK;
    size_t matrix[2] = {1000, ROW}, rest[1];
    size_t n_matrices = n_parameters / (matrix[0] * matrix[1]);
    rest[0] = n_parameters - n_matrices * matrix[0] * matrix[1];
    char name[GR_TENSOR_NAME_MAX];
    for (size_t i = 0; i < n_matrices; i++) {
        snprintf(name, sizeof name, "dense%zu.weight", i);
        GR_TRY(gr_layout_append(&b->layout, name, 2, matrix));
    }
    if (rest[0] > 0) GR_TRY(gr_layout_append(&b->layout, "rest", 1, rest));
    GR_TRY(gr_allocate_zero(b->layout.size, sizeof(float), "parameters", &b->state.parameters));
    for (size_t i = 0; i < b->layout.size; i++)
        b->state.parameters[i] = (float)(i * 2654435761U % 1000003U);
    b->state.layout = &b->layout;
    b->state.n_silos = 8;
    b->state.architecture = "{}";
    b->bytes = b->layout.n_parameters * sizeof(float);
    GR_TRY(gr_allocate_zero(b->state.n_silos, sizeof(uint32_t), "rounds", &b->state.silo_rounds));
out:
    return status;
}

/* Rank 0 writes the vector with write() and fsyncs it; the time does not include the removal. */
static gr_status write_plain(struct bench *b, double *seconds) {
    MPI_Barrier(MPI_COMM_WORLD);
    double start = gr_clock_seconds();
    gr_status mine = GR_OK;
    if (b->rank == 0) {
        int fd = open(b->plain, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const char *at = (const char *)b->state.parameters;
        for (size_t left = b->bytes; fd >= 0 && left > 0;) {
            ssize_t n = write(fd, at, left);
            if (n <= 0) break;
            at += n;
            left -= (size_t)n;
        }
        if (fd < 0 || fsync(fd) != 0 || close(fd) != 0)
            mine = gr_fail(GR_ERROR_WRITE, "%s: %s", b->plain, strerror(errno));
    }
    mine = gr_comm_agree(b->comm, mine);
    *seconds = gr_clock_seconds() - start;
    if (b->rank == 0) unlink(b->plain);
    return mine;
}

static gr_status write_checkpoint(struct bench *b, double *seconds) {
    char path[700];
    MPI_Barrier(MPI_COMM_WORLD);
    double start = gr_clock_seconds();
    b->state.round++;
    gr_status status = gr_checkpoint_write(b->comm, b->folder, &b->state, UINT32_MAX, 0, &b->io);
    *seconds = gr_clock_seconds() - start;
    snprintf(path, sizeof path, "%s/round-%06u.h5", b->folder, b->state.round);
    if (b->rank == 0) unlink(path);
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static gr_status measure(struct bench *b, size_t repeats) {
    gr_status status = GR_OK;
    double plain[REPEATS_MAX], whole[REPEATS_MAX], p, w;
    GR_TRY(write_plain(b, &p));
    GR_TRY(write_checkpoint(b, &w));
    for (size_t i = 0; i < repeats; i++) {
        GR_TRY(write_plain(b, &plain[i]));
        GR_TRY(write_checkpoint(b, &whole[i]));
        if (b->rank == 0)
            printf("  write + fsync %.3f s   checkpoint %.3f s\n", plain[i], whole[i]);
    }
    p = median(plain, repeats);
    w = median(whole, repeats);
    if (b->rank == 0)
        printf("medians of %zu: write + fsync %.3f s (%.2f GB/s), checkpoint %.3f s (%.2f GB/s)\n"
               "checkpoint %d %.2f\n",
               repeats, p, (double)b->bytes / p / 1e9, w, (double)b->bytes / w / 1e9,
               gr_comm_size(b->comm), p / w);
out:
    return status;
}

static gr_status make_folder(struct bench *b, const char *parent) {
    snprintf(b->folder, sizeof b->folder, "%s/granary-bench-checkpoint", parent);
    snprintf(b->plain, sizeof b->plain, "%s/plain", b->folder);
    if (b->rank == 0 && mkdir(b->folder, 0700) != 0 && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", b->folder, strerror(errno));
    return GR_OK;
}

static void remove_folder(const struct bench *b) {
    if (b->rank != 0) return;
    unlink(b->plain);
    rmdir(b->folder);
}

int main(int argc, char **argv) {
    gr_status status = GR_OK;
    struct bench b = {0};
    struct gr_comm_options options = {0};
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000000;
    size_t repeats = argc > 3 ? strtoul(argv[3], NULL, 10) : 7;
    b.io.collective = argc > 4 && strcmp(argv[4], "collective") == 0;
    b.io.patience_s = 60;
    b.io.hints = argc > 5 ? argv + 5 : NULL;
    b.io.n_hints = argc > 5 ? (unsigned)(argc - 5) : 0;
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &b.rank);
    if (argc < 2 || n == 0 || repeats == 0 || repeats > REPEATS_MAX) {
        if (b.rank == 0)
            fprintf(
                stderr,
                "usage: bench_checkpoint FOLDER [PARAMETERS] [REPEATS] [collective [HINT...]]\n");
        MPI_Finalize();
        return GR_ERROR_USAGE;
    }
    GR_TRY(gr_base_start());
    GR_TRY(gr_comm_create(MPI_COMM_WORLD, &options, &b.comm));
    GR_TRY(gr_comm_agree(b.comm, fill(&b, n)));
    GR_TRY(gr_comm_agree(b.comm, make_folder(&b, argv[1])));
    GR_TRY(measure(&b, repeats));
out:
    if (status != GR_OK && b.rank == 0) fprintf(stderr, "bench_checkpoint: %s\n", gr_message());
    remove_folder(&b);
    gr_free(b.state.silo_rounds);
    gr_free(b.state.parameters);
    gr_layout_release(&b.layout);
    gr_comm_free(b.comm);
    MPI_Finalize();
    return (int)status;
}
