/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a container together: one file of MPI-IO over the members of the epoch, laid out by all
 * ranks alike, into which each brings a hyperslab of every dataset by collective transfer.
 *
 * The HDF5 library and MPI-IO know no deadline, and neither can be left half-way. So a guard
 * watches each step, and ends this process where no step comes to its end in the time that its
 * bytes take at the slowest: a member is lost then, and the job goes on from the checkpoint before.
 * A rank that fails by itself takes part in all that follows all the same, lest the others wait
 * for it.
 */
#include "store/container_write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/hdf5.h"
#include "store/lanes.h"

/* A rank's bytes in one transfer: a step that the guard sees. */
enum { STEP_ELEMENTS = (64 << 20) / (int)sizeof(float) };
static const double slow_disk = 10e6; /* bytes in a second; slower than file systems in use */

struct together {
    struct gr_container_writer *w;
    struct gr_state state; /* with rank 0's evidence on all */
    struct gr_evidence evidence;
    MPI_Comm members; /* borrowed of the gr_comm */
    MPI_Info hints;   /* owned; MPI_INFO_NULL: none */
    hid_t file, transfer;
    char *warning; /* of the guard; owned */
    gr_status status;
    char message[GR_MESSAGE_MAX]; /* of the first failure of this rank */
};

/* The first failure counts; what comes after it follows from it. */
static void note(struct together *t, gr_status status) {
    if (status == GR_OK || t->status != GR_OK) return;
    t->status = status;
    snprintf(t->message, sizeof t->message, "%s", gr_message());
}

/* The guard begins anew: all of the ranks' bytes may go through one server. */
static void allow(const struct together *t, double bytes) {
    const double seconds = t->w->io->patience_s + bytes * t->w->size / slow_disk;
    gr_alive_on();
    gr_guard_start((unsigned)(seconds < 1e9 ? seconds + 1 : 1e9), t->warning);
}

/* Only rank 0 knows how far the records are, and all must lay out the same. */
static gr_status share_evidence(struct together *t) {
    struct {
        bool there;
        struct gr_evidence evidence;
    } told = {.there = t->state.evidence != NULL};
    if (told.there) told.evidence = *t->state.evidence;
    gr_status status = gr_comm_broadcast(t->w->comm, &told, sizeof told);
    t->evidence = told.evidence;
    t->state.evidence = told.there ? &t->evidence : NULL;
    return status;
}

/* "key=value" each, of lengths that MPI takes, as the config's rules have seen to. */
static gr_status make_hints(struct together *t) {
    char key[MPI_MAX_INFO_KEY + 1];
    bool good = t->w->io->n_hints == 0 || MPI_Info_create(&t->hints) == MPI_SUCCESS;
    for (unsigned i = 0; i < t->w->io->n_hints && good; i++) {
        const char *hint = t->w->io->hints[i];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(hint, "="), hint);
        good = MPI_Info_set(t->hints, key, hint + strcspn(hint, "=") + 1) == MPI_SUCCESS;
    }
    return good ? GR_OK : gr_fail(GR_ERROR_WRITE, "%s: MPI refuses the hints", t->w->path);
}

/* The folder, as a rank that opens a file in it would find it, and the room in it. */
static gr_status check_folder(const struct together *t) {
    gr_status status = GR_OK;
    const char *path = t->w->path, *slash = strrchr(path, '/');
    char *folder = NULL;
    int fd = -1;
    GR_TRY(
        gr_text_format(&folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : "."));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || access(folder, W_OK | X_OK) != 0)
        status = gr_fail(GR_ERROR_WRITE, "%s: on rank %d: %s", path, t->w->rank, strerror(errno));
    else
        status = gr_hdf5_check_room(path, fd, gr_container_bytes(&t->state, t->w->n_pieces));
out:
    if (fd >= 0) close(fd);
    gr_free(folder);
    return status;
}

/* What each rank can find out by itself, before any waits for another. */
static gr_status prepare(struct together *t) {
    gr_status status = GR_OK;
    GR_TRY(gr_text_format(&t->warning,
                          "%s: the ranks do not get on with writing it together, one of them may "
                          "be lost; --resume goes on from the newest checkpoint",
                          t->w->path));
    GR_TRY(check_folder(t));
    t->transfer = H5Pcreate(H5P_DATASET_XFER);
    if (t->transfer < 0 || H5Pset_dxpl_mpio(t->transfer, H5FD_MPIO_COLLECTIVE) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, t->w->path, "transfer");
    if (status == GR_OK) status = make_hints(t);
out:
    return status;
}

/* Rank 0's, as it is laid out; see create() of container_write.c. */
static gr_status reserve(void *together) {
    gr_status status = GR_OK;
    struct together *t = together;
    if (t->w->rank != 0) return GR_OK;
    GR_TRY(gr_container_open_plain(t->w));
    status = gr_container_reserve(t->w);
    if (status != GR_OK) note(t, status);
out:
    return GR_OK; /* the others go on laying out, and so does rank 0 */
}

/* Collective over MPI. False: some rank has failed, as all know. */
static bool all_well(struct together *t) {
    int failed = t->status != GR_OK;
    if (MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, t->members) != MPI_SUCCESS)
        failed = 1;
    if (failed && t->status == GR_OK)
        note(t, gr_fail(GR_ERROR_WRITE, "%s: another rank could not write it", t->w->path));
    return t->status == GR_OK;
}

/* The file with its layout. A rank that could not open it has none to close. */
static bool create(struct together *t) {
    hid_t access = -1;
    gr_status status = gr_hdf5_access_together(t->w->path, t->members, t->hints, &access);
    if (status == GR_OK)
        status = gr_container_create(t->w->path, t->w->format, &t->state, t->w->n_pieces, access,
                                     reserve, t, t->w->place, &t->file);
    note(t, status);
    if (access >= 0) H5Pclose(access);
    if (t->w->rank != 0 && t->status == GR_OK) note(t, gr_container_open_plain(t->w));
    return all_well(t);
}

/* A run of elements of a dataset that is a box in it. */
struct dataset_part {
    size_t first, n;
    size_t start[GR_TENSOR_DIMS_MAX], count[GR_TENSOR_DIMS_MAX];
};

/* Rows from .. to - 1 along the first dimension with more than one of them. */
static struct dataset_part rows_of(const struct gr_tensor *tensor, size_t d, size_t from,
                                   size_t to) {
    struct dataset_part part = {0};
    size_t row = 1;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        part.count[i] = i < d ? 1 : i == d ? to - from : tensor->shape[i];
        if (i > d) row *= tensor->shape[i];
    }
    part.start[d] = from;
    part.first = from * row;
    part.n = (to - from) * row;
    return part;
}

/* Collective over MPI: this rank's part of a dataset, which may be nothing, from memory that has
 * the whole of it. */
static void write_part(struct together *t, const char *name, hid_t type, size_t n_dims,
                       const struct dataset_part *part, const void *memory) {
    hsize_t start[GR_TENSOR_DIMS_MAX], count[GR_TENSOR_DIMS_MAX], n = part->n > 0 ? part->n : 1;
    for (size_t d = 0; d < n_dims; d++) {
        start[d] = part->start[d];
        count[d] = part->count[d];
    }
    const char *from = (const char *)memory + part->first * H5Tget_size(type);
    const hid_t dataset = H5Dopen2(t->file, name, H5P_DEFAULT);
    const hid_t in_file = dataset >= 0 ? H5Dget_space(dataset) : -1;
    const hid_t in_memory = H5Screate_simple(1, &n, NULL);
    bool good = in_file >= 0 && in_memory >= 0;
    if (good && part->n == 0)
        good = H5Sselect_none(in_file) >= 0 && H5Sselect_none(in_memory) >= 0;
    else if (good)
        good = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
    if (!good || H5Dwrite(dataset, type, in_memory, in_file, t->transfer, from) < 0)
        note(t, gr_hdf5_fail(GR_ERROR_WRITE, t->w->path, name));
    if (in_memory >= 0) H5Sclose(in_memory);
    if (in_file >= 0) H5Sclose(in_file);
    if (dataset >= 0) H5Dclose(dataset);
}

/* Each rank has rows of every tensor, as all ranks hold all of it; pieces are digested while the
 * disk works. */
static void write_tensor(struct together *t, size_t vector, size_t index) {
    const struct gr_tensor *tensor = &t->state.layout->tensors[index];
    const struct gr_container_extent extent = gr_container_tensor(t->w, vector, index);
    char name[2 * GR_TENSOR_NAME_MAX + 32];
    size_t d = 0;
    while (d + 1 < tensor->n_dims && tensor->shape[d] == 1)
        d++;
    const size_t rows = tensor->shape[d], row = rows_of(tensor, d, 0, 1).n;
    const size_t size = (size_t)t->w->size, rank = (size_t)t->w->rank;
    const size_t steps = (rows / size + 1) * row / STEP_ELEMENTS + 1;
    const size_t first = rows * rank / size, n = rows * (rank + 1) / size - first;
    snprintf(name, sizeof name, "/global/%s%s/%s", vector > 0 ? "server/" : "parameters",
             vector > 0 ? t->state.server_name[vector - 1] : "", tensor->name);
    for (size_t i = 0; i < steps; i++) {
        const struct dataset_part part =
            rows_of(tensor, d, first + n * i / steps, first + n * (i + 1) / steps);
        const size_t most = (rows / size + 1) * row / steps;
        allow(t, (double)(most * sizeof(float)));
        write_part(t, name, H5T_NATIVE_FLOAT, tensor->n_dims, &part, extent.memory);
        gr_container_write_out(t->w, extent.offset + part.first * sizeof(float),
                               part.n * sizeof(float));
        const size_t at_once = (size_t)GR_LANES * GR_PIECE_BYTES / sizeof(float);
        for (size_t done = 0; done < part.n; done += at_once)
            (void)gr_container_digest_next(t->w);
    }
}

/* Rows of `columns` numbers, of which this rank brings first .. first + n - 1. */
static void write_rows(struct together *t, const char *name, hid_t type, size_t columns,
                       size_t first, size_t n, const void *memory) {
    const struct dataset_part part = {
        .first = first * columns, .n = n * columns, .start = {first, 0}, .count = {n, columns}};
    write_part(t, name, type, columns > 1 ? 2 : 1, &part, memory);
}

/* All datasets in the same order on all ranks, whatever fails. */
static void write_datasets(struct together *t) {
    const struct gr_state *state = &t->state;
    const size_t mine = t->w->rank == 0;
    for (size_t v = 0; v < t->w->n_vectors; v++)
        for (size_t i = 0; i < t->w->n_tensors; i++) {
            write_tensor(t, v, i);
            if (t->w->io->midway && v + i == 0) t->w->io->midway(t->w->io->context);
        }
    while (gr_container_digest_next(t->w))
        ;
    allow(t, (double)(t->w->n_pieces * GR_DIGEST_BYTES));
    write_rows(t, "/global/digests", H5T_NATIVE_UINT8, GR_DIGEST_BYTES, t->w->begin,
               t->w->end - t->w->begin, t->w->digest);
    if (state->n_silos > 0)
        write_rows(t, "/silos/rounds", H5T_NATIVE_UINT32, 1, 0, mine * state->n_silos,
                   state->silo_rounds);
    if (state->n_class_counts > 0)
        write_rows(t, "/global/class_counts", H5T_NATIVE_INT64, 1, 0, mine * state->n_class_counts,
                   state->class_counts);
}

/* Where some rank has failed the bytes are given up first, so that a disk that became full has room
 * for the metadata that the HDF5 library insists on writing. */
static void close_together(struct together *t) {
    allow(t, (double)gr_container_bytes(&t->state, t->w->n_pieces) / t->w->size);
    if (t->status != GR_OK && t->w->rank == 0 && t->w->fd >= 0) (void)!ftruncate(t->w->fd, 0);
    if (t->file >= 0 && H5Fclose(t->file) < 0)
        note(t, gr_hdf5_fail(GR_ERROR_WRITE, t->w->path, "close"));
    if (t->w->fd >= 0) close(t->w->fd);
    t->w->fd = -1;
}

/* Collective over MPI. */
static void write_guarded(struct together *t, bool bytes) {
    allow(t, 0);
    note(t, gr_comm_members(t->w->comm, &t->members));
    if (t->status == GR_OK) {
        if (create(t) && bytes) write_datasets(t);
        close_together(t);
    }
    gr_guard_stop();
}

gr_status gr_container_write_together(struct gr_container_writer *w, bool bytes) {
    gr_status status = GR_OK;
    struct together t = {
        .w = w, .state = *w->state, .hints = MPI_INFO_NULL, .file = -1, .transfer = -1};
    GR_TRY(share_evidence(&t));
    GR_TRY(gr_comm_agree(w->comm, prepare(&t)));
    write_guarded(&t, bytes);
    if (t.status != GR_OK) (void)gr_fail(t.status, "%s", t.message);
    status = gr_comm_agree(w->comm, t.status);
out:
    if (t.hints != MPI_INFO_NULL) MPI_Info_free(&t.hints);
    if (t.transfer >= 0) H5Pclose(t.transfer);
    gr_free(t.warning);
    return status;
}
