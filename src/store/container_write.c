/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a container. Rank 0 lays it out; each rank then opens it by itself and writes its share
 * of pieces, so that no rank waits for another inside the HDF5 library, which knows no deadline. As
 * soon as a piece is with the kernel it is asked to start writing it out, and pieces are digested
 * while the disk works. Once all shares are on the disk, and not before, they are read back from
 * there and compared with memory.
 *
 * Shares meet within a page. Clients of a network file system write whole pages, and one that has
 * no lock to make them look first (NFS mounted without) puts back what a neighbour's bytes were
 * before. Where that is found the shares are written again one after the other, and from then on
 * in every file.
 */
#include "store/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/container_create.h"
#include "store/hdf5.h"
#include "store/lanes.h"
#include "store/seal.h"

enum { COMPARE_CHUNK = 256 << 10, PLACE_MAX = 256, ROWS_MAX = 3 };

/* Counts of the bytes written besides pieces. */
struct rows {
    const char *name;
    uint64_t offset;
    size_t bytes;
    const void *memory;
};

/*
 * Whether this process has found that shares must be written one after the other. Kept for the life
 * of the process: the file system stays the same, and each attempt that fails costs a checkpoint.
 */
static bool found_overwritten;

struct writer {
    struct gr_comm *comm; /* NULL: this process alone */
    int rank, size;
    const char *path;
    const struct gr_state *state;
    size_t n_vectors, n_tensors, n_datasets; /* datasets: those of tensors */
    const float *vector[GR_CONTAINER_VECTORS_MAX];
    hid_t file, dataset; /* the tensor's being written */
    size_t current;      /* index of `dataset` */
    uint64_t *offset;    /* n_datasets; all on rank 0, elsewhere those written; owned */
    int fd;
    struct gr_piece *pieces; /* owned */
    size_t n_pieces, begin, end;
    unsigned char (*digest)[GR_DIGEST_BYTES]; /* of this rank's pieces; owned */
    char *chunk;                              /* owned */
    struct rows rows[ROWS_MAX];
    size_t n_rows;
    bool overwritten; /* this rank's bytes are not what it has written */
};

/* Model files are written by one process without a gr_comm, by the same code. */
static gr_status agree(const struct writer *w, gr_status mine) {
    return w->comm ? gr_comm_agree(w->comm, mine) : mine;
}

/* The pieces are the same on any number of ranks, and so are their digests and the file; each rank
 * has a run of them, begin to end - 1. All memory is allocated here, before the first agreement. */
static gr_status prepare(struct writer *w) {
    gr_status status = GR_OK;
    const struct gr_layout *layout = w->state->layout;
    if (w->state->n_server > GR_SERVER_VECTORS_MAX)
        return gr_fail(GR_ERROR_INTERNAL,
                       "%s: %zu vectors of server state, at most %d can be stored", w->path,
                       w->state->n_server, GR_SERVER_VECTORS_MAX);
    w->vector[0] = w->state->parameters;
    for (size_t i = 0; i < w->state->n_server; i++)
        w->vector[1 + i] = w->state->server[i];
    w->n_vectors = 1 + w->state->n_server;
    w->n_tensors = layout->n_tensors;
    w->n_datasets = w->n_vectors * w->n_tensors;
    GR_TRY(gr_allocate_zero(w->n_datasets, sizeof *w->offset, "datasets", &w->offset));
    GR_TRY(gr_pieces_create(layout, w->n_vectors, &w->pieces, &w->n_pieces));
    gr_pieces_share(w->pieces, w->n_pieces, w->rank, w->size, &w->begin, &w->end);
    GR_TRY(gr_allocate(w->end - w->begin, sizeof *w->digest, "digests", &w->digest));
    GR_TRY(gr_allocate(COMPARE_CHUNK, 1, "chunk", &w->chunk));
    GR_TRY(gr_hdf5_start());
out:
    return status;
}

/* ---- the file -------------------------------------------------------------------------------
 */

/*
 * A second, plain descriptor, for early write-out, comparison and fsync. It comes first because
 * what is wrong with a path is said more clearly by the system than by the HDF5 library.
 */
static gr_status open_plain(struct writer *w) {
    w->fd = open(w->path, O_RDWR | O_CLOEXEC);
    if (w->fd < 0)
        return gr_fail(GR_ERROR_WRITE, "%s: made by rank 0, on rank %d: %s; all ranks must see it",
                       w->path, w->rank, strerror(errno));
    return GR_OK;
}

/* Bytes that others write are then seen here, and bytes that this rank has written are seen by
 * them. */
static gr_status close_plain(struct writer *w) {
    const int fd = w->fd;
    w->fd = -1;
    if (fd < 0 || close(fd) == 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
}

/*
 * The name is still that of the file that was opened under it: a rank 0 that was suspended in
 * between, and whose file another has removed since, has had the HDF5 library make one anew.
 */
static gr_status check_own(const struct writer *w) {
    if (gr_file_leads_to(w->path, w->fd)) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: was removed while it was written", w->path);
}

/* Rank 0. The plain descriptor is closed again, upon which the other ranks' clients of a network
 * file system see the file. */
static gr_status lay_out(struct writer *w, const char *format) {
    gr_status status = GR_OK;
    w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
    GR_TRY(gr_container_create(w->path, w->fd, format, w->state, w->n_pieces, w->comm != NULL,
                               w->offset));
    GR_TRY(check_own(w));
    status = close_plain(w);
out:
    return status;
}

/* With ranks, by the MPI-IO driver over MPI_COMM_SELF, as the other ranks have the file open too;
 * no call of HDF5 waits for another rank then. */
static gr_status open_hdf5(struct writer *w) {
    gr_status status = GR_OK;
    hid_t access = -1;
    GR_TRY(gr_hdf5_access(w->path, w->comm != NULL, &access));
    w->file = H5Fopen(w->path, H5F_ACC_RDWR, access);
    if (w->file < 0) status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "open");
out:
    if (access >= 0) H5Pclose(access);
    return status;
}

static gr_status open_dataset(const struct writer *w, const char *name, hid_t *out) {
    *out = H5Dopen2(w->file, name, H5P_DEFAULT);
    return *out < 0 ? gr_hdf5_fail(GR_ERROR_WRITE, w->path, name) : GR_OK;
}

static void close_dataset(struct writer *w) {
    if (w->dataset >= 0) H5Dclose(w->dataset);
    w->dataset = -1;
}

/* The dataset goes first: a file with objects open stays open in the library. */
static gr_status close_hdf5(struct writer *w) {
    gr_status status = GR_OK;
    close_dataset(w);
    if (w->file >= 0 && H5Fclose(w->file) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "close");
    w->file = -1;
    return status;
}

/* ---- bytes: each rank its share -------------------------------------------------------------- */

/* The tensor that a piece is cut from. */
static const struct gr_tensor *tensor_of(const struct writer *w, const struct gr_piece *piece) {
    return &w->state->layout->tensors[piece->tensor];
}

/* The first element of a piece in the vector in memory. */
static const float *memory_of(const struct writer *w, const struct gr_piece *piece) {
    return w->vector[piece->vector] + tensor_of(w, piece)->offset + piece->first;
}

/*
 * The first byte of a piece in the file. The offset is known once its dataset has been opened here.
 */
static uint64_t position_of(const struct writer *w, const struct gr_piece *piece) {
    return w->offset[piece->vector * w->n_tensors + piece->tensor] + piece->first * sizeof(float);
}

/* Makes the piece's tensor the current dataset. Pieces come tensor by tensor, so each is opened
 * once. */
static gr_status open_tensor(struct writer *w, const struct gr_piece *piece) {
    size_t index = piece->vector * w->n_tensors + piece->tensor;
    char name[PLACE_MAX];
    if (w->dataset >= 0 && w->current == index) return GR_OK;
    close_dataset(w);
    snprintf(name, sizeof name, "/global/%s%s/%s", piece->vector > 0 ? "server/" : "parameters",
             piece->vector > 0 ? w->state->server_name[piece->vector - 1] : "",
             tensor_of(w, piece)->name);
    gr_status status = open_dataset(w, name, &w->dataset);
    if (status != GR_OK) return status;
    haddr_t offset = H5Dget_offset(w->dataset);
    if (offset == HADDR_UNDEF) return gr_hdf5_fail(GR_ERROR_WRITE, w->path, name);
    w->offset[index] = offset;
    w->current = index;
    return GR_OK;
}

/* Writes a box of a dataset from contiguous memory; by default a transfer is independent. */
static gr_status write_box(const struct writer *w, hid_t dataset, hid_t type, const size_t *start,
                           const size_t *count, const void *memory) {
    gr_status status = GR_OK;
    hsize_t first[GR_TENSOR_DIMS_MAX] = {0}, n[GR_TENSOR_DIMS_MAX] = {0}, total = 1;
    hid_t in_file = H5Dget_space(dataset), in_memory = -1;
    int n_dims = in_file >= 0 ? H5Sget_simple_extent_ndims(in_file) : -1;
    for (int d = 0; d < n_dims; d++) {
        first[d] = start[d];
        n[d] = count[d];
        total *= n[d];
    }
    if (n_dims > 0) in_memory = H5Screate_simple(1, &total, NULL);
    if (in_memory < 0 || H5Sselect_hyperslab(in_file, H5S_SELECT_SET, first, NULL, n, NULL) < 0 ||
        H5Dwrite(dataset, type, in_memory, in_file, H5P_DEFAULT, memory) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "write");
    if (in_memory >= 0) H5Sclose(in_memory);
    if (in_file >= 0) H5Sclose(in_file);
    return status;
}

/* Rows of a dataset whose numbers are stored as memory has them; they are kept to be compared. */
static gr_status write_rows(struct writer *w, const char *name, hid_t type, size_t first, size_t n,
                            size_t columns, const void *memory) {
    const size_t start[GR_TENSOR_DIMS_MAX] = {first}, count[GR_TENSOR_DIMS_MAX] = {n, columns};
    const size_t row = columns * H5Tget_size(type);
    hid_t dataset;
    gr_status status = open_dataset(w, name, &dataset);
    if (status != GR_OK) return status;
    const haddr_t offset = H5Dget_offset(dataset);
    status = offset == HADDR_UNDEF ? gr_hdf5_fail(GR_ERROR_WRITE, w->path, name)
                                   : write_box(w, dataset, type, start, count, memory);
    H5Dclose(dataset);
    w->rows[w->n_rows++] = (struct rows){name, offset + first * row, n * row, memory};
    return status;
}

/* The write-out is asked for piece by piece, so that the disk is at work while the next piece is
 * written and digested; fsync at the end then has little left to wait for. */
static gr_status write_piece(struct writer *w, const struct gr_piece *piece) {
    size_t start[GR_TENSOR_DIMS_MAX] = {0}, count[GR_TENSOR_DIMS_MAX] = {0};
    gr_piece_box(tensor_of(w, piece), piece, start, count);
    gr_status status = open_tensor(w, piece);
    if (status == GR_OK)
        status = write_box(w, w->dataset, H5T_NATIVE_FLOAT, start, count, memory_of(w, piece));
    /* Only a hint: a file system that has no such call writes out at fsync. */
    if (status == GR_OK)
        sync_file_range(w->fd, (off_t)position_of(w, piece), (off_t)(piece->n * sizeof(float)),
                        SYNC_FILE_RANGE_WRITE);
    return status;
}

/* Checks that the kernel's pages of the file hold the same bytes as memory. `overwritten` tells
 * bytes that differ from a read that failed: only the former is mended by writing in turns. */
static gr_status compare(struct writer *w, const char *name, uint64_t position, size_t bytes,
                         const char *memory) {
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done < COMPARE_CHUNK ? bytes - done : COMPARE_CHUNK;
        ssize_t got = pread(w->fd, w->chunk, n, (off_t)(position + done));
        if (got < 0 && errno == EINTR) continue;
        w->overwritten = got == 0 || (got > 0 && memcmp(w->chunk, memory + done, (size_t)got) != 0);
        if (got < 0 || w->overwritten)
            return gr_fail(GR_ERROR_WRITE, "%s: %s: read back at byte %llu: %s", w->path, name,
                           (unsigned long long)position + done,
                           got < 0    ? strerror(errno)
                           : got == 0 ? "end of file"
                                      : "not what was written");
        done += (size_t)got;
    }
    return GR_OK;
}

static gr_status compare_piece(struct writer *w, const struct gr_piece *piece) {
    return compare(w, tensor_of(w, piece)->name, position_of(w, piece), piece->n * sizeof(float),
                   (const char *)memory_of(w, piece));
}

/* Digests are of memory, not of the file: the comparison that follows ties both together. */
static void digest_pieces(const struct writer *w, size_t at, size_t n,
                          unsigned char out[][GR_DIGEST_BYTES]) {
    size_t bytes = w->pieces[at].n * sizeof(float);
    if (n < GR_LANES) {
        gr_digest_of(memory_of(w, &w->pieces[at]), bytes, out[0]);
        return;
    }
    const void *memory[GR_LANES];
    for (size_t i = 0; i < GR_LANES; i++)
        memory[i] = memory_of(w, &w->pieces[at + i]);
    gr_digest_lanes(memory, bytes, out);
}

/* gr_alive gives signs of life between groups of pieces, and ends the work when the membership
 * changes. */
static gr_status write_pieces(struct writer *w) {
    gr_status status = GR_OK;
    for (size_t i = w->begin, n; i < w->end; i += n) {
        GR_TRY(gr_alive());
        n = gr_pieces_together(w->pieces, i, w->end);
        for (size_t k = 0; k < n; k++)
            GR_TRY(write_piece(w, &w->pieces[i + k]));
        digest_pieces(w, i, n, w->digest + (i - w->begin));
    }
out:
    return status;
}

/* fsync by each rank for itself: it covers the pages that this host's kernel holds. */
static gr_status sync_file(const struct writer *w) {
    if (fsync(w->fd) != 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
    return GR_OK;
}

/* Only advice: a file system that does not take it is read all the same. */
static void advise(const struct writer *w, size_t piece, int advice) {
    if (piece >= w->end) return;
    posix_fadvise(w->fd, (off_t)position_of(w, &w->pieces[piece]),
                  (off_t)(w->pieces[piece].n * sizeof(float)), advice);
}

/*
 * Checks that the disk holds the same bytes as memory. Pages that are clean can be let go of, so
 * that they come from the disk again, two pieces ahead; a file system that keeps them shows what it
 * would show a reader.
 */
static gr_status read_back(struct writer *w) {
    gr_status status = GR_OK;
    if (w->end == w->begin && w->n_rows == 0) return GR_OK;
    GR_TRY(open_plain(w));
    for (size_t i = w->begin; i < w->end; i++)
        advise(w, i, POSIX_FADV_DONTNEED);
    for (size_t i = w->begin; i < w->end; i++) {
        for (size_t ahead = i == w->begin ? 0 : 2; ahead <= 2; ahead++)
            advise(w, i + ahead, POSIX_FADV_WILLNEED);
        GR_TRY(compare_piece(w, &w->pieces[i]));
    }
    for (size_t i = 0; i < w->n_rows; i++)
        GR_TRY(compare(w, w->rows[i].name, w->rows[i].offset, w->rows[i].bytes, w->rows[i].memory));
    status = close_plain(w);
out:
    return status;
}

/* Small models have fewer pieces than there are ranks. */
static bool has_share(const struct writer *w) {
    return w->end > w->begin || w->rank == 0;
}

/* Digests of this rank's pieces; rank 0 also writes the silos' rounds and the classes' rows. The
 * memory must stay as it is until read_back has compared it. */
static gr_status write_own_rows(struct writer *w) {
    gr_status status = GR_OK;
    const struct gr_state *state = w->state;
    w->n_rows = 0;
    if (w->end > w->begin)
        GR_TRY(write_rows(w, "/global/digests", H5T_NATIVE_UINT8, w->begin, w->end - w->begin,
                          GR_DIGEST_BYTES, w->digest));
    if (w->rank == 0 && state->n_silos > 0)
        GR_TRY(write_rows(w, "/silos/rounds", H5T_NATIVE_UINT32, 0, state->n_silos, 1,
                          state->silo_rounds));
    if (w->rank == 0 && state->n_class_counts > 0)
        GR_TRY(write_rows(w, "/global/class_counts", H5T_NATIVE_INT64, 0, state->n_class_counts, 1,
                          state->class_counts));
out:
    return status;
}

/*
 * Not collective. The HDF5 file is closed in any case. On success the bytes are then synced and the
 * plain descriptor is closed: a file system with a cache in each client shows them to others only
 * after that.
 */
static gr_status write_share(struct writer *w) {
    gr_status status = GR_OK, closed;
    GR_TRY(open_plain(w));
    if (!has_share(w)) return close_plain(w);
    GR_TRY(open_hdf5(w));
    GR_TRY(write_pieces(w));
    GR_TRY(write_own_rows(w));
out:
    closed = close_hdf5(w);
    if (status == GR_OK) status = closed;
    if (status == GR_OK) status = sync_file(w);
    return status == GR_OK ? close_plain(w) : status;
}

/* Collective. In turns each rank writes while the others wait in an agreement, which gives up when
 * the writer dies. */
static gr_status write_shares(struct writer *w, bool in_turns) {
    gr_status status = GR_OK;
    if (!in_turns) return agree(w, write_share(w));
    for (int rank = 0; rank < w->size; rank++)
        GR_TRY(agree(w, rank == w->rank ? write_share(w) : GR_OK));
out:
    return status;
}

/* Collective. *any: on some rank; with one process alone its own. */
static gr_status share_finding(const struct writer *w, bool mine, bool *any) {
    int64_t found = mine;
    const gr_status status = w->comm ? gr_comm_max_int64(w->comm, &found, 1) : GR_OK;
    *any = found != 0;
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* Rank 0, after all bytes are compared. The seal is the last thing written: a file whose writers
 * died before has none, and is not taken for whole. */
static gr_status seal(struct writer *w) {
    gr_status status = GR_OK;
    struct gr_seal_extent *extents = NULL;
    struct stat info;
    GR_TRY(gr_allocate(w->n_datasets, sizeof *extents, "extents", &extents));
    for (size_t i = 0; i < w->n_datasets; i++)
        extents[i] = (struct gr_seal_extent){
            w->offset[i], w->state->layout->tensors[i % w->n_tensors].n_elements * sizeof(float)};
    GR_TRY(open_plain(w));
    /* Gives back the room that was reserved and not needed. */
    if (fstat(w->fd, &info) != 0 || ftruncate(w->fd, info.st_size) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
        goto out;
    }
    GR_TRY(gr_seal_write(w->fd, w->path, extents, w->n_datasets));
    GR_TRY(sync_file(w));
    status = gr_seal_check(w->fd, w->path);
    if (status == GR_ERROR_DATA) status = gr_fail(GR_ERROR_WRITE, "%s", gr_message());
out:
    gr_free(extents);
    return status;
}

/* All descriptors are -1, so that release is safe at any point. */
static struct writer writer_of(struct gr_comm *comm, const char *path,
                               const struct gr_state *state) {
    return (struct writer){.comm = comm,
                           .rank = comm ? gr_comm_rank(comm) : 0,
                           .size = comm ? gr_comm_size(comm) : 1,
                           .path = path,
                           .state = state,
                           .file = -1,
                           .dataset = -1,
                           .fd = -1};
}

static void release(struct writer *w) {
    if (w->fd >= 0) close(w->fd);
    gr_free(w->chunk);
    gr_free(w->digest);
    gr_free(w->pieces);
    gr_free(w->offset);
}

/* Collective. Lays out, writes, reads back. *overwritten: on some rank, by which the write failed
 * and may succeed in turns. */
static gr_status write_bytes(struct writer *w, const char *format, bool in_turns,
                             bool *overwritten) {
    gr_status status = GR_OK;
    *overwritten = w->overwritten = false;
    GR_TRY(agree(w, w->rank == 0 ? lay_out(w, format) : GR_OK));
    GR_TRY(write_shares(w, in_turns));
    const gr_status mine = read_back(w);
    GR_TRY(share_finding(w, w->overwritten, overwritten));
    status = agree(w, mine);
out:
    return status;
}

/* Whether shares go in turns is agreed on first, as a rank that came later has not found it yet.
 * The second attempt begins with a new layout, so nothing of the first is left in the file. */
gr_status gr_container_write(struct gr_comm *comm, const char *path, const char *format,
                             const struct gr_state *state) {
    gr_status status = GR_OK;
    struct writer w = writer_of(comm, path, state);
    bool in_turns, overwritten;
    GR_TRY(agree(&w, prepare(&w)));
    /* A rank that has come later has found nothing yet. */
    GR_TRY(share_finding(&w, found_overwritten, &in_turns));
    status = write_bytes(&w, format, in_turns, &overwritten);
    if (status == GR_ERROR_WRITE && overwritten && !in_turns && w.size > 1) {
        (void)close_plain(&w);
        found_overwritten = true;
        status = write_bytes(&w, format, true, &overwritten);
    }
    GR_TRY(status);
    GR_TRY(agree(&w, w.rank == 0 ? seal(&w) : GR_OK));
out:
    release(&w);
    return status;
}

/* ---- before it is needed ----------------------------------------------------------------------
 */

/* As write_share, without a byte. */
static gr_status open_share(struct writer *w) {
    gr_status status = GR_OK;
    GR_TRY(open_plain(w));
    if (has_share(w)) {
        GR_TRY(open_hdf5(w));
        GR_TRY(close_hdf5(w));
    }
    status = close_plain(w);
out:
    return status;
}

/* The layout is read again; the bytes of vectors and digests are not there yet. */
static gr_status open_again(const struct writer *w) {
    struct gr_container container;
    gr_status status = gr_container_open(w->path, &container);
    if (status != GR_OK) return gr_fail(GR_ERROR_WRITE, "%s", gr_message());
    if (!gr_layout_equal(&container.layout, w->state->layout) ||
        strcmp(container.architecture, w->state->architecture) != 0 ||
        container.n_silos != w->state->n_silos)
        status = gr_fail(GR_ERROR_WRITE, "%s: read back: not what was laid out", w->path);
    gr_container_close(&container);
    return status;
}

/* The file is sealed and opened again by every rank, so paths, mounts and library versions are
 * tried on each; only vectors and digests are missing. *bytes: of a real one. */
gr_status gr_container_try(struct gr_comm *comm, const char *path, const char *format,
                           const struct gr_state *state, uint64_t *bytes) {
    gr_status status = GR_OK;
    struct writer w = writer_of(comm, path, state);
    GR_TRY(agree(&w, prepare(&w)));
    *bytes = gr_container_bytes(state, w.n_pieces);
    GR_TRY(agree(&w, w.rank == 0 ? lay_out(&w, format) : GR_OK));
    GR_TRY(agree(&w, open_share(&w)));
    GR_TRY(agree(&w, w.rank == 0 ? seal(&w) : GR_OK));
    GR_TRY(agree(&w, open_again(&w)));
out:
    release(&w);
    return status;
}
