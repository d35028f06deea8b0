/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a container. Each rank writes its share of pieces by independent MPI-IO: slabs that are
 * contiguous in the file need no exchange, and the collective buffering of common MPI libraries
 * would cost more than the disk. As soon as a few pieces are with the kernel it is asked to start
 * writing them out; they are digested and compared with memory while the disk works.
 */
#include "store/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/hdf5.h"
#include "store/lanes.h"
#include "store/seal.h"

enum { COMPARE_CHUNK = 256 << 10, METADATA_ESTIMATE = 64 << 10, DATASET_ESTIMATE = 2 << 10 };

struct writer {
    struct gr_comm *comm; /* NULL: this process alone */
    int rank, size;
    const char *path;
    const struct gr_state *state;
    size_t n_vectors, n_tensors, n_datasets; /* datasets: those of tensors */
    const float *vector[GR_CONTAINER_VECTORS_MAX];
    hid_t file;
    hid_t *dataset; /* n_datasets, vector by vector; owned */
    hid_t digests, rounds;
    uint64_t *offset; /* n_datasets; owned */
    int fd;
    struct gr_piece *pieces; /* owned */
    size_t n_pieces, begin, end;
    unsigned char (*digest)[GR_DIGEST_BYTES]; /* of this rank's pieces; owned */
    char *chunk;                              /* owned */
};

static gr_status agree(const struct writer *w, gr_status mine) {
    return w->comm ? gr_comm_agree(w->comm, mine) : mine;
}

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
    GR_TRY(gr_allocate_zero(w->n_datasets, sizeof *w->dataset, "datasets", &w->dataset));
    GR_TRY(gr_allocate_zero(w->n_datasets, sizeof *w->offset, "datasets", &w->offset));
    GR_TRY(gr_pieces_create(layout, w->n_vectors, &w->pieces, &w->n_pieces));
    gr_pieces_share(w->pieces, w->n_pieces, w->rank, w->size, &w->begin, &w->end);
    GR_TRY(gr_allocate(w->end - w->begin, sizeof *w->digest, "digests", &w->digest));
    GR_TRY(gr_allocate(COMPARE_CHUNK, 1, "chunk", &w->chunk));
    GR_TRY(gr_hdf5_start());
out:
    return status;
}

/* ---- structure: the same calls on every rank ------------------------------------------------ */

/*
 * A second, plain descriptor, for early write-out, comparison and fsync. It comes first because
 * what is wrong with a path is said more clearly by the system than by the HDF5 library.
 */
static gr_status make_plain(struct writer *w) {
    w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
    return GR_OK;
}

static gr_status open_plain(struct writer *w) {
    w->fd = open(w->path, O_RDWR | O_CLOEXEC);
    if (w->fd < 0)
        return gr_fail(GR_ERROR_WRITE, "%s: made by rank 0, on rank %d: %s; all ranks must see it",
                       w->path, w->rank, strerror(errno));
    return GR_OK;
}

static uint64_t bytes_needed(const struct writer *w) {
    return (uint64_t)w->state->layout->n_parameters * w->n_vectors * sizeof(float) +
           w->n_pieces * GR_DIGEST_BYTES + w->state->n_silos * sizeof(uint32_t) +
           METADATA_ESTIMATE + w->n_datasets * DATASET_ESTIMATE;
}

/*
 * Whether the file will fit. It should be known before the HDF5 library begins: that library does
 * not survive its own failure to write metadata, and on several ranks would wait for ever.
 */
static gr_status check_room(const struct writer *w) {
    struct rlimit limit;
    struct statvfs disk;
    uint64_t bytes = bytes_needed(w);
    int error = 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
        error = EFBIG;
    else if (fstatvfs(w->fd, &disk) == 0 && disk.f_frsize > 0 &&
             disk.f_bavail < bytes / disk.f_frsize)
        error = ENOSPC;
    if (!error) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %llu bytes: %s", w->path, (unsigned long long)bytes,
                   strerror(error));
}

/* Takes the room that is there now, where the file system can: quotas are found here too. */
static gr_status reserve_room(const struct writer *w) {
    uint64_t bytes = bytes_needed(w);
    if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP ||
        errno == ENOSYS)
        return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %llu bytes: %s", w->path, (unsigned long long)bytes,
                   strerror(errno));
}

/*
 * After a failure that all ranks know of: what was written is given up before the file is closed,
 * so that a disk that became full has room for the metadata that the HDF5 library insists on
 * writing then. What is wrong with this is less than what is already wrong.
 */
static void give_up_bytes(const struct writer *w) {
    int unused = w->rank == 0 ? ftruncate(w->fd, 0) : 0;
    (void)unused;
    /* Nobody closes before it is done. */
    if (w->comm) MPI_Barrier(gr_comm_handle(w->comm));
}

static gr_status create_file(struct writer *w) {
    gr_status status = GR_OK;
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    /* No sieve: what is written must be with the kernel at once, for it is read back. */
    if (creation < 0 || access < 0 ||
        H5Pset_userblock(creation, gr_seal_bytes(w->n_datasets)) < 0 ||
        H5Pset_sieve_buf_size(access, 0) < 0 ||
        (w->comm && H5Pset_fapl_mpio(access, gr_comm_handle(w->comm), MPI_INFO_NULL) < 0))
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "create");
    if (status == GR_OK) {
        w->file = H5Fcreate(w->path, H5F_ACC_TRUNC, creation, access);
        if (w->file < 0) status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "create");
    }
    if (access >= 0) H5Pclose(access);
    if (creation >= 0) H5Pclose(creation);
    return status;
}

static hid_t create_dataset(hid_t group, const char *name, hid_t type, size_t n_dims,
                            const size_t *shape) {
    hsize_t dims[GR_TENSOR_DIMS_MAX];
    for (size_t d = 0; d < n_dims; d++)
        dims[d] = shape[d];
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple((int)n_dims, dims, NULL);
    hid_t dataset = -1;
    /* No times in the file: the same state gives the same bytes. */
    if (creation >= 0 && space >= 0 && H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0 &&
        H5Pset_obj_track_times(creation, false) >= 0)
        dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    return dataset;
}

/* A group that remembers the order in which its members were made. */
static hid_t create_group(hid_t at, const char *name) {
    hid_t group = -1, creation = H5Pcreate(H5P_GROUP_CREATE);
    if (creation >= 0 &&
        H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
        H5Pset_obj_track_times(creation, false) >= 0)
        group = H5Gcreate2(at, name, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (creation >= 0) H5Pclose(creation);
    return group;
}

static gr_status create_vector(struct writer *w, hid_t at, const char *name, size_t vector) {
    hid_t group = create_group(at, name);
    if (group < 0) return gr_hdf5_fail(GR_ERROR_WRITE, w->path, name);
    gr_status status = GR_OK;
    for (size_t t = 0; t < w->n_tensors; t++) {
        const struct gr_tensor *tensor = &w->state->layout->tensors[t];
        hid_t *dataset = &w->dataset[vector * w->n_tensors + t];
        *dataset =
            create_dataset(group, tensor->name, H5T_IEEE_F32LE, tensor->n_dims, tensor->shape);
        if (*dataset < 0) {
            status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, tensor->name);
            break;
        }
    }
    H5Gclose(group);
    return status;
}

static gr_status create_attributes(const struct writer *w, const char *format) {
    gr_status status = GR_OK;
    char digest[GR_DIGEST_HEX];
    gr_digest_hex(w->state->config_digest, digest);
    GR_TRY(gr_hdf5_set_text(w->file, w->path, "format", format));
    GR_TRY(gr_hdf5_set_number(w->file, w->path, "version", GR_CONTAINER_VERSION));
    GR_TRY(gr_hdf5_set_number(w->file, w->path, "round", w->state->round));
    GR_TRY(gr_hdf5_set_text(w->file, w->path, "architecture", w->state->architecture));
    GR_TRY(gr_hdf5_set_text(w->file, w->path, "config_digest", digest));
    GR_TRY(gr_hdf5_set_text(w->digests, w->path, "algorithm", "BLAKE2b-256"));
    GR_TRY(gr_hdf5_set_number(w->digests, w->path, "piece_bytes", GR_PIECE_BYTES));
out:
    return status;
}

static gr_status create_structure(struct writer *w, const char *format) {
    gr_status status = GR_OK;
    hid_t global = create_group(w->file, "global"), silos = create_group(w->file, "silos");
    hid_t server = global >= 0 ? create_group(global, "server") : -1;
    size_t shape[2] = {w->n_pieces, GR_DIGEST_BYTES}, n_silos = w->state->n_silos;
    if (global < 0 || server < 0 || silos < 0) {
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "groups");
        goto out;
    }
    GR_TRY(create_vector(w, global, "parameters", 0));
    for (size_t i = 0; i < w->state->n_server; i++)
        GR_TRY(create_vector(w, server, w->state->server_name[i], 1 + i));
    w->digests = create_dataset(global, "digests", H5T_STD_U8LE, 2, shape);
    w->rounds = create_dataset(silos, "rounds", H5T_STD_U32LE, 1, &n_silos);
    if (w->digests < 0 || w->rounds < 0) {
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "digests");
        goto out;
    }
    GR_TRY(create_attributes(w, format));
    for (size_t i = 0; i < w->n_datasets; i++) {
        haddr_t offset = H5Dget_offset(w->dataset[i]);
        if (offset == HADDR_UNDEF) {
            status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "no room was made for a tensor");
            goto out;
        }
        w->offset[i] = offset;
    }
out:
    if (server >= 0) H5Gclose(server);
    if (silos >= 0) H5Gclose(silos);
    if (global >= 0) H5Gclose(global);
    return status;
}

/* ---- bytes: each rank its share -------------------------------------------------------------- */

static const struct gr_tensor *tensor_of(const struct writer *w, const struct gr_piece *piece) {
    return &w->state->layout->tensors[piece->tensor];
}

static const float *memory_of(const struct writer *w, const struct gr_piece *piece) {
    return w->vector[piece->vector] + tensor_of(w, piece)->offset + piece->first;
}

static uint64_t position_of(const struct writer *w, const struct gr_piece *piece) {
    return w->offset[piece->vector * w->n_tensors + piece->tensor] + piece->first * sizeof(float);
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

static gr_status write_piece(const struct writer *w, const struct gr_piece *piece) {
    size_t start[GR_TENSOR_DIMS_MAX] = {0}, count[GR_TENSOR_DIMS_MAX] = {0};
    gr_piece_box(tensor_of(w, piece), piece, start, count);
    gr_status status = write_box(w, w->dataset[piece->vector * w->n_tensors + piece->tensor],
                                 H5T_NATIVE_FLOAT, start, count, memory_of(w, piece));
    /* Only a hint: a file system that has no such call writes out at fsync. */
    if (status == GR_OK)
        sync_file_range(w->fd, (off_t)position_of(w, piece), (off_t)(piece->n * sizeof(float)),
                        SYNC_FILE_RANGE_WRITE);
    return status;
}

/* What the kernel has for the file must be what memory holds. */
static gr_status compare_piece(const struct writer *w, const struct gr_piece *piece) {
    const char *memory = (const char *)memory_of(w, piece);
    uint64_t position = position_of(w, piece);
    for (size_t done = 0, bytes = piece->n * sizeof(float); done < bytes;) {
        size_t n = bytes - done < COMPARE_CHUNK ? bytes - done : COMPARE_CHUNK;
        ssize_t got = pread(w->fd, w->chunk, n, (off_t)(position + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || memcmp(w->chunk, memory + done, (size_t)got) != 0)
            return gr_fail(GR_ERROR_WRITE, "%s: %s: read back at byte %llu: %s", w->path,
                           tensor_of(w, piece)->name, (unsigned long long)position + done,
                           got < 0    ? strerror(errno)
                           : got == 0 ? "end of file"
                                      : "not what was written");
        done += (size_t)got;
    }
    return GR_OK;
}

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

static gr_status write_share(struct writer *w) {
    gr_status status = GR_OK;
    for (size_t i = w->begin, n; i < w->end; i += n) {
        n = gr_pieces_together(w->pieces, i, w->end);
        for (size_t k = 0; k < n; k++)
            GR_TRY(write_piece(w, &w->pieces[i + k]));
        digest_pieces(w, i, n, w->digest + (i - w->begin));
        for (size_t k = 0; k < n; k++)
            GR_TRY(compare_piece(w, &w->pieces[i + k]));
    }
    if (w->end > w->begin) {
        size_t start[GR_TENSOR_DIMS_MAX] = {w->begin};
        size_t count[GR_TENSOR_DIMS_MAX] = {w->end - w->begin, GR_DIGEST_BYTES};
        GR_TRY(write_box(w, w->digests, H5T_NATIVE_UINT8, start, count, w->digest));
    }
    if (w->rank == 0 && w->state->n_silos > 0) {
        size_t start[GR_TENSOR_DIMS_MAX] = {0}, count[GR_TENSOR_DIMS_MAX] = {w->state->n_silos};
        GR_TRY(write_box(w, w->rounds, H5T_NATIVE_UINT32, start, count, w->state->silo_rounds));
    }
out:
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static gr_status close_hdf5(struct writer *w) {
    gr_status status = GR_OK;
    for (size_t i = 0; w->dataset && i < w->n_datasets; i++)
        if (w->dataset[i] > 0) H5Dclose(w->dataset[i]);
    if (w->digests > 0) H5Dclose(w->digests);
    if (w->rounds > 0) H5Dclose(w->rounds);
    if (w->file > 0 && H5Fclose(w->file) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "close");
    w->file = -1;
    return status;
}

static gr_status seal(const struct writer *w) {
    gr_status status = GR_OK;
    struct gr_extent *extents = NULL;
    struct stat info;
    GR_TRY(gr_allocate(w->n_datasets, sizeof *extents, "extents", &extents));
    for (size_t i = 0; i < w->n_datasets; i++)
        extents[i] = (struct gr_extent){
            w->offset[i], w->state->layout->tensors[i % w->n_tensors].n_elements * sizeof(float)};
    /* Gives back the room that was reserved and not needed. */
    if (fstat(w->fd, &info) != 0 || ftruncate(w->fd, info.st_size) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
        goto out;
    }
    GR_TRY(gr_seal_write(w->fd, w->path, extents, w->n_datasets));
    GR_TRY(gr_seal_check(w->fd, w->path));
out:
    gr_free(extents);
    return status;
}

static gr_status sync_file(const struct writer *w) {
    if (fsync(w->fd) != 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
    return GR_OK;
}

static gr_status write_all(struct writer *w, const char *format) {
    gr_status status = GR_OK, closed;
    GR_TRY(agree(w, prepare(w)));
    GR_TRY(agree(w, w->rank == 0 ? make_plain(w) : GR_OK));
    GR_TRY(agree(w, w->rank == 0 ? check_room(w) : GR_OK));
    GR_TRY(agree(w, w->rank == 0 ? GR_OK : open_plain(w)));
    GR_TRY(agree(w, create_file(w)));
    GR_TRY(agree(w, w->rank == 0 ? reserve_room(w) : GR_OK));
    GR_TRY(agree(w, create_structure(w, format)));
    GR_TRY(agree(w, write_share(w)));
out:
    if (w->file > 0 && status != GR_OK) give_up_bytes(w);
    closed = w->file > 0 ? close_hdf5(w) : GR_OK;
    if (status != GR_OK) return status;
    status = agree(w, closed);
    if (status == GR_OK) status = agree(w, w->rank == 0 ? seal(w) : GR_OK);
    if (status == GR_OK) status = agree(w, sync_file(w));
    return status;
}

gr_status gr_container_write(struct gr_comm *comm, const char *path, const char *format,
                             const struct gr_state *state) {
    struct writer w = {.comm = comm,
                       .rank = comm ? gr_comm_rank(comm) : 0,
                       .size = comm ? gr_comm_size(comm) : 1,
                       .path = path,
                       .state = state,
                       .fd = -1};
    gr_status status = write_all(&w, format);
    if (w.fd >= 0) close(w.fd);
    gr_free(w.chunk);
    gr_free(w.digest);
    gr_free(w.pieces);
    gr_free(w.offset);
    gr_free(w.dataset);
    return status;
}
