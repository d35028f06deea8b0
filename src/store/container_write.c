/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a container, each rank for itself: rank 0 lays the file out with the HDF5 library and
 * tells the others where its bytes belong; they write them without the library, which knows no
 * deadline and leaves something behind with each opening. Once all bytes are on the disk, and not
 * before, each rank reads back from there what a neighbour has written, and holds it against the
 * neighbour's digests.
 *
 * Each rank writes one slab of the file, and slabs meet at multiples of SLAB_ALIGNMENT. Clients of
 * a network file system write whole pages, and one that has no lock to make them look first puts
 * back what a neighbour's bytes were before: no page is written by two ranks between one opening
 * and the next. Pieces are cut by the tensors, so a neighbour's pieces are its slab but for the
 * edges.
 *
 * As soon as bytes are with the kernel it is asked to write them out, and pieces are digested while
 * the disk works.
 */
#include "store/container_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/hdf5.h"
#include "store/lanes.h"
#include "store/seal.h"

/* A stripe of the usual parallel file systems, and whole pages of any. */
enum { SLAB_ALIGNMENT = 1 << 20, WRITE_CHUNK = 4 << 20, COMPARE_CHUNK = 256 << 10 };

/* Not collective. The work of a rank that sees the file: others, of another job, have none. */
static bool writes(const struct gr_container_writer *w) {
    return w->rank >= 0;
}

/* Model files are written by one process without a gr_comm, by the same code. */
static gr_status agree(const struct gr_container_writer *w, gr_status mine) {
    return w->comm ? gr_comm_agree(w->comm, mine) : mine;
}

/* The pieces are the same on any number of ranks, and so are their digests and the file; each rank
 * digests a run of them, begin to end - 1. All memory is allocated here, before the first
 * agreement. */
static gr_status prepare(struct gr_container_writer *w) {
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
    GR_TRY(
        gr_allocate_zero(gr_container_places(w->state), sizeof *w->place, "datasets", &w->place));
    GR_TRY(gr_pieces_create(layout, w->n_vectors, &w->pieces, &w->n_pieces));
    if (w->rank >= 0) gr_pieces_share(w->pieces, w->n_pieces, w->rank, w->size, &w->begin, &w->end);
    w->digested = w->begin;
    GR_TRY(gr_allocate(w->n_pieces, sizeof *w->digest, "digests", &w->digest));
    GR_TRY(gr_hdf5_start());
out:
    return status;
}

/* All descriptors are -1, so that release is safe at any point. */
static struct gr_container_writer writer_of(struct gr_comm *comm, const char *path,
                                            const char *format, const struct gr_state *state,
                                            const struct gr_checkpoint_io *io) {
    static const struct gr_checkpoint_io independent;
    int writer = 0;
    const int writers = comm ? gr_comm_writers(comm, &writer) : 1;
    return (struct gr_container_writer){.comm = comm,
                                        .rank = writer,
                                        .size = writers,
                                        .path = path,
                                        .format = format,
                                        .state = state,
                                        .io = io ? io : &independent,
                                        .together = comm && io && io->collective &&
                                                    gr_comm_makes_members(comm),
                                        .fd = -1};
}

static void release(struct gr_container_writer *w) {
    if (w->fd >= 0) close(w->fd);
    gr_free(w->digest);
    gr_free(w->pieces);
    gr_free(w->place);
}

/* ---- the file -------------------------------------------------------------------------------
 */

gr_status gr_container_open_plain(struct gr_container_writer *w) {
    w->fd = open(w->path, O_RDWR | O_CLOEXEC);
    if (w->fd < 0)
        return gr_fail(GR_ERROR_WRITE, "%s: made by rank 0, on rank %d: %s; all ranks must see it",
                       w->path, w->rank, strerror(errno));
    return GR_OK;
}

/* Bytes that others write are then seen here, and bytes that this rank has written are seen by
 * them. */
static gr_status close_plain(struct gr_container_writer *w) {
    const int fd = w->fd;
    w->fd = -1;
    if (fd < 0 || close(fd) == 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
}

/*
 * The name is still that of the file that was opened under it: a rank 0 that was suspended in
 * between, and whose file another has removed since, has had the HDF5 library make one anew.
 */
static gr_status check_own(const struct gr_container_writer *w) {
    if (gr_file_leads_to(w->path, w->fd)) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: was removed while it was written", w->path);
}

gr_status gr_container_reserve(void *writer) {
    const struct gr_container_writer *w = writer;
    return gr_hdf5_reserve_room(w->path, w->fd, gr_container_bytes(w->state, w->n_pieces));
}

/*
 * After a failure the bytes written are given up before the file is closed, so that a disk that
 * became full has room for the metadata that the HDF5 library insists on writing then. The file is
 * lost in any case, so a failure here is of no account.
 */
static gr_status create(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    hid_t access = -1, file = -1;
    GR_TRY(gr_hdf5_check_room(w->path, w->fd, gr_container_bytes(w->state, w->n_pieces)));
    GR_TRY(gr_hdf5_access(w->path, &access));
    status = gr_container_create(w->path, w->format, w->state, w->n_pieces, access,
                                 gr_container_reserve, w, w->place, &file);
    if (file >= 0 && status != GR_OK) (void)!ftruncate(w->fd, 0);
    if (file >= 0 && H5Fclose(file) < 0 && status == GR_OK)
        status = gr_hdf5_fail(GR_ERROR_WRITE, w->path, "close");
out:
    if (access >= 0) H5Pclose(access);
    return status;
}

/* Rank 0. The plain descriptor comes first because what is wrong with a path is said more clearly
 * by the system than by the HDF5 library; it is closed again, upon which the other ranks' clients
 * of a network file system see the file. */
static gr_status lay_out(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
    GR_TRY(create(w));
    GR_TRY(check_own(w));
    status = close_plain(w);
out:
    return status;
}

/* Collective. */
static gr_status share_layout(struct gr_container_writer *w) {
    gr_status status = agree(w, w->rank == 0 ? lay_out(w) : GR_OK);
    if (status != GR_OK || !w->comm) return status;
    return gr_comm_broadcast(w->comm, w->place, gr_container_places(w->state) * sizeof *w->place);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

struct gr_container_extent gr_container_tensor(const struct gr_container_writer *w, size_t vector,
                                               size_t tensor) {
    const struct gr_tensor *t = &w->state->layout->tensors[tensor];
    return (struct gr_container_extent){w->place[vector * w->n_tensors + tensor],
                                        t->n_elements * sizeof(float),
                                        w->vector[vector] + t->offset};
}

struct gr_container_extent gr_container_rows(const struct gr_container_writer *w, int place) {
    const struct gr_state *state = w->state;
    const struct gr_container_extent rows[GR_PLACES] = {
        [GR_PLACE_DIGESTS] = {.bytes = w->n_pieces * GR_DIGEST_BYTES, .memory = w->digest},
        [GR_PLACE_ROUNDS] = {.bytes = state->n_silos * sizeof(uint32_t),
                             .memory = state->silo_rounds},
        [GR_PLACE_COUNTS] = {.bytes = state->n_class_counts * sizeof(int64_t),
                             .memory = state->class_counts}};
    struct gr_container_extent extent = rows[place];
    assert(w->place); /* gr_container_lay_out */
    extent.offset = w->place[w->n_datasets + (size_t)place];
    return extent;
}

/* Digests are of memory, not of the file: what is read back ties both together. */
bool gr_container_digest_next(struct gr_container_writer *w) {
    const void *memory[GR_LANES];
    if (w->digested == w->end) return false;
    const struct gr_piece *piece = &w->pieces[w->digested];
    const size_t n = gr_pieces_together(w->pieces, w->digested, w->end);
    size_t i = 0;
    do /* one at least */
        memory[i] = w->vector[piece[i].vector] + w->state->layout->tensors[piece[i].tensor].offset +
                    piece[i].first;
    while (++i < n);
    if (n == GR_LANES)
        gr_digest_lanes(memory, piece->n * sizeof(float), w->digest + w->digested);
    else
        gr_digest_of(memory[0], piece->n * sizeof(float), w->digest[w->digested]);
    w->digested += n;
    return true;
}

void gr_container_write_out(const struct gr_container_writer *w, uint64_t offset, uint64_t bytes) {
    (void)sync_file_range(w->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

/* Bytes first .. last - 1 of the file. */
struct slab {
    uint64_t first, last;
};

/* Of all bytes that any rank may write, a part for each rank, so many alignments each. Small models
 * are rank 0's alone. */
static struct slab slab_of(const struct gr_container_writer *w) {
    uint64_t end = 0;
    for (size_t i = 0; i < w->n_datasets; i++) {
        const struct gr_container_extent e =
            gr_container_tensor(w, i / w->n_tensors, i % w->n_tensors);
        end = e.offset + e.bytes > end ? e.offset + e.bytes : end;
    }
    for (int place = 0; place < GR_PLACES; place++) {
        const struct gr_container_extent e = gr_container_rows(w, place);
        end = e.offset + e.bytes > end ? e.offset + e.bytes : end;
    }
    const uint64_t units = (end + SLAB_ALIGNMENT - 1) / SLAB_ALIGNMENT, size = (uint64_t)w->size;
    const uint64_t span = (units + size - 1) / size * SLAB_ALIGNMENT, rank = (uint64_t)w->rank;
    return (struct slab){rank * span, (rank + 1) * span};
}

static gr_status write_at(const struct gr_container_writer *w, uint64_t offset, const char *memory,
                          uint64_t bytes) {
    for (uint64_t done = 0; done < bytes;) {
        const ssize_t n = pwrite(w->fd, memory + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return gr_fail(GR_ERROR_WRITE, "%s: %s", w->path,
                           n < 0 ? strerror(errno) : strerror(ENOSPC));
        done += (uint64_t)n;
    }
    return GR_OK;
}

/*
 * The part of an extent that lies in the slab. gr_alive gives signs of life between chunks, and
 * ends the work when the membership changes. A group of pieces is digested for as many bytes.
 */
static gr_status write_extent(struct gr_container_writer *w, const struct slab *slab,
                              struct gr_container_extent extent, uint64_t *undigested) {
    gr_status status = GR_OK;
    const uint64_t end =
        extent.offset + extent.bytes < slab->last ? extent.offset + extent.bytes : slab->last;
    uint64_t at = extent.offset > slab->first ? extent.offset : slab->first;
    for (uint64_t n; at < end; at += n) {
        n = (at / WRITE_CHUNK + 1) * WRITE_CHUNK - at;
        n = n < end - at ? n : end - at;
        GR_TRY(gr_alive());
        GR_TRY(write_at(w, at, (const char *)extent.memory + (at - extent.offset), n));
        gr_container_write_out(w, at, n);
        *undigested += n;
        if (*undigested < (uint64_t)GR_LANES * GR_PIECE_BYTES) continue;
        *undigested = 0;
        (void)gr_container_digest_next(w);
    }
out:
    return status;
}

/* Not collective: this rank's slab but for the digests, and the digests of its pieces. */
static gr_status write_slab(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    const struct slab slab = slab_of(w);
    uint64_t undigested = 0;
    GR_TRY(gr_container_open_plain(w));
    for (size_t v = 0; v < w->n_vectors; v++)
        for (size_t t = 0; t < w->n_tensors; t++) {
            GR_TRY(write_extent(w, &slab, gr_container_tensor(w, v, t), &undigested));
            if (w->io->midway && v + t == 0) w->io->midway(w->io->context);
        }
    GR_TRY(write_extent(w, &slab, gr_container_rows(w, GR_PLACE_ROUNDS), &undigested));
    GR_TRY(write_extent(w, &slab, gr_container_rows(w, GR_PLACE_COUNTS), &undigested));
    while (gr_container_digest_next(w))
        GR_TRY(gr_alive());
out:
    return status;
}

/* Collective. */
static gr_status share_digests(struct gr_container_writer *w) {
    struct gr_gathered all = {0};
    const size_t bytes = w->n_pieces * GR_DIGEST_BYTES;
    if (!w->comm) return GR_OK;
    gr_status status = gr_comm_gather(w->comm, w->digest + w->begin,
                                      (w->end - w->begin) * GR_DIGEST_BYTES, bytes, &all);
    assert(w->digest); /* prepare */
    if (status == GR_OK) memcpy(w->digest, all.bytes, bytes);
    gr_gathered_release(&all);
    return status;
}

/* Not collective. The digests that lie in this rank's slab, and fsync by each rank for itself: it
 * covers the pages that this host's kernel holds. */
static gr_status finish_slab(struct gr_container_writer *w, bool digests) {
    gr_status status = GR_OK;
    uint64_t unused = 0;
    const struct slab slab = slab_of(w);
    if (digests) GR_TRY(write_extent(w, &slab, gr_container_rows(w, GR_PLACE_DIGESTS), &unused));
    if (fsync(w->fd) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
        goto out;
    }
    status = close_plain(w);
out:
    return status;
}

/* ---- read back ------------------------------------------------------------------------------- */

/* Checks that the disk holds the same bytes as memory. */
static gr_status compare(const struct gr_container_writer *w, struct gr_container_extent extent) {
    gr_status status = GR_OK;
    char *chunk = NULL;
    GR_TRY(gr_allocate(COMPARE_CHUNK, 1, "chunk", &chunk));
    for (uint64_t done = 0; done < extent.bytes;) {
        const uint64_t left = extent.bytes - done, n = left < COMPARE_CHUNK ? left : COMPARE_CHUNK;
        const ssize_t got = pread(w->fd, chunk, n, (off_t)(extent.offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || memcmp(chunk, (const char *)extent.memory + done, (size_t)got) != 0) {
            status = gr_fail(GR_ERROR_WRITE, "%s: read back at byte %llu: %s", w->path,
                             (unsigned long long)extent.offset + done,
                             got < 0    ? strerror(errno)
                             : got == 0 ? "end of file"
                                        : "not what was written");
            break;
        }
        done += (uint64_t)got;
    }
out:
    gr_free(chunk);
    return status;
}

/* As a reader has it, with what is known already: nothing of it is to be released. */
static struct gr_container written(const struct gr_container_writer *w) {
    struct gr_container c = {.path = w->path,
                             .fd = w->fd,
                             .layout = *w->state->layout,
                             .n_server = w->state->n_server,
                             .pieces = w->pieces,
                             .n_pieces = w->n_pieces,
                             .digests = w->digest};
    for (size_t v = 0; v < w->n_vectors; v++)
        c.offset[v] = w->place + v * w->n_tensors;
    for (size_t i = 0; i < w->state->n_server; i++)
        memcpy(c.server_name[i], w->state->server_name[i],
               strnlen(w->state->server_name[i], GR_TENSOR_NAME_MAX - 1));
    return c;
}

/*
 * The pieces of the next rank, and for rank 0's neighbour the rows that are no tensor. Pages that
 * are clean can be let go of, so that they come from the disk; a file system that keeps them shows
 * what it would show a reader.
 */
static gr_status read_back(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    const int neighbour = (w->rank + 1) % w->size;
    GR_TRY(gr_container_open_plain(w));
    const struct gr_container c = written(w);
    (void)posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
    status = gr_container_verify(&c, neighbour, w->size);
    if (status == GR_ERROR_DATA)
        status = gr_fail(GR_ERROR_WRITE, "%s: not what was written", gr_message());
    GR_TRY(status);
    for (int place = 0; place < GR_PLACES && neighbour == 0; place++)
        GR_TRY(compare(w, gr_container_rows(w, place)));
    status = close_plain(w);
out:
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

/* Rank 0, after all bytes are compared. The seal is the last thing written: a file whose writers
 * died before has none, and is not taken for whole. */
static gr_status seal(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    struct gr_seal_extent *extents = NULL;
    struct stat info;
    GR_TRY(gr_allocate(w->n_datasets, sizeof *extents, "extents", &extents));
    for (size_t i = 0; i < w->n_datasets; i++) {
        const struct gr_container_extent e =
            gr_container_tensor(w, i / w->n_tensors, i % w->n_tensors);
        extents[i] = (struct gr_seal_extent){e.offset, e.bytes};
    }
    GR_TRY(gr_container_open_plain(w));
    /* Gives back the room that was reserved and not needed. */
    if (fstat(w->fd, &info) != 0 || ftruncate(w->fd, info.st_size) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
        goto out;
    }
    GR_TRY(gr_seal_write(w->fd, w->path, extents, w->n_datasets));
    if (fsync(w->fd) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", w->path, strerror(errno));
        goto out;
    }
    status = gr_seal_check(w->fd, w->path);
    if (status == GR_ERROR_DATA) status = gr_fail(GR_ERROR_WRITE, "%s", gr_message());
out:
    gr_free(extents);
    return status;
}

/* Collective. The file with its bytes, open on each rank and not yet on the disk. */
static gr_status write_bytes(struct gr_container_writer *w) {
    gr_status status = GR_OK;
    if (w->together) {
        GR_TRY(gr_container_write_together(w, true));
        GR_TRY(agree(w, gr_container_open_plain(w)));
        status = share_digests(w);
    } else {
        GR_TRY(share_layout(w));
        GR_TRY(agree(w, writes(w) ? write_slab(w) : GR_OK));
        status = share_digests(w);
    }
out:
    return status;
}

gr_status gr_container_write(struct gr_comm *comm, const char *path, const char *format,
                             const struct gr_state *state, const struct gr_checkpoint_io *io) {
    gr_status status = GR_OK;
    struct gr_container_writer w = writer_of(comm, path, format, state, io);
    GR_TRY(agree(&w, prepare(&w)));
    GR_TRY(write_bytes(&w));
    GR_TRY(agree(&w, writes(&w) ? finish_slab(&w, !w.together) : GR_OK));
    GR_TRY(agree(&w, writes(&w) ? read_back(&w) : GR_OK));
    GR_TRY(agree(&w, w.rank == 0 ? seal(&w) : GR_OK));
out:
    release(&w);
    return status;
}

/* ---- before it is needed ----------------------------------------------------------------------
 */

/* As write_slab, without a byte. */
static gr_status open_slab(struct gr_container_writer *w) {
    gr_status status = gr_container_open_plain(w);
    return status == GR_OK ? close_plain(w) : status;
}

/* The layout is read again; the bytes of vectors and digests are not there yet. */
static gr_status open_again(const struct gr_container_writer *w) {
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
                           const struct gr_state *state, const struct gr_checkpoint_io *io,
                           uint64_t *bytes) {
    gr_status status = GR_OK;
    struct gr_container_writer w = writer_of(comm, path, format, state, io);
    GR_TRY(agree(&w, prepare(&w)));
    *bytes = gr_container_bytes(state, w.n_pieces);
    GR_TRY(w.together ? gr_container_write_together(&w, false) : share_layout(&w));
    GR_TRY(agree(&w, writes(&w) ? open_slab(&w) : GR_OK));
    GR_TRY(agree(&w, w.rank == 0 ? seal(&w) : GR_OK));
    GR_TRY(agree(&w, writes(&w) ? open_again(&w) : GR_OK));
out:
    release(&w);
    return status;
}
