/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a container. The HDF5 library finds out where everything is; the tensors themselves are
 * read plainly at the positions it gives, so that the bytes verified are the bytes loaded.
 *
 * A file may be anybody's: every count, size and position in it is held against the file's length
 * or a constant before it is used. Failures are GR_ERROR_DATA where the file is at fault and
 * GR_REFUSED where it cannot be read for another reason, by which callers decide whether an older
 * one may be taken.
 */
#include "store/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/hdf5.h"
#include "store/lanes.h"
#include "store/seal.h"

enum { TENSORS_MAX = 100000, SILOS_MAX = 100 << 20, CLASSES_MAX = 1 << 28, TEXT_MAX = 1 << 30 };

struct reader {
    struct gr_container *c;
    hid_t file;
    uint64_t file_bytes;
};

/* GR_ERROR_DATA, with the place in the file's own terms. */
static gr_status damaged(const struct gr_container *c, const char *where, const char *what) {
    return gr_fail(GR_ERROR_DATA, "%s: %s: %s", c->path, where, what);
}

/* ---- structure --------------------------------------------------------------------------------
 */

/* The number of members of a group, at most `most`: memory is allocated by it. */
static gr_status count_members(const struct reader *r, hid_t group, const char *where, size_t most,
                               size_t *n) {
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0) return gr_hdf5_fail(GR_ERROR_DATA, r->c->path, where);
    if (info.nlinks > most) return damaged(r->c, where, "more members than expected");
    *n = (size_t)info.nlinks;
    return GR_OK;
}

/* In the order in which members were made, which is the layout's; the order of names would put
 * tensor "10" before "9". */
static gr_status member_name(const struct reader *r, hid_t group, const char *where, size_t i,
                             char name[GR_TENSOR_NAME_MAX]) {
    ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, i, name,
                                        GR_TENSOR_NAME_MAX, H5P_DEFAULT);
    if (length < 0) return gr_hdf5_fail(GR_ERROR_DATA, r->c->path, where);
    if (length == 0 || length >= GR_TENSOR_NAME_MAX)
        return damaged(r->c, where, "a member's name is too long");
    return GR_OK;
}

/* The extent of a dataset that is stored contiguously with the type expected. Chunks, filters or
 * external files are refused: the plain reads at an offset would not find their bytes. */
static gr_status dataset_shape(const struct reader *r, hid_t dataset, const char *where, hid_t type,
                               size_t *n_dims, size_t shape[GR_TENSOR_DIMS_MAX]) {
    gr_status status = GR_OK;
    hsize_t dims[GR_TENSOR_DIMS_MAX] = {0};
    hid_t space = H5Dget_space(dataset), stored = H5Dget_type(dataset);
    hid_t creation = H5Dget_create_plist(dataset);
    int n = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (stored < 0 || creation < 0 || H5Tequal(stored, type) <= 0 ||
        H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0 ||
        n < 1 || n > GR_TENSOR_DIMS_MAX || H5Sget_simple_extent_dims(space, dims, NULL) != n)
        status = damaged(r->c, where, "not stored as expected");
    for (int d = 0; status == GR_OK && d < n; d++)
        shape[d] = (size_t)dims[d];
    *n_dims = (size_t)(n > 0 ? n : 0);
    if (creation >= 0) H5Pclose(creation);
    if (stored >= 0) H5Tclose(stored);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* A tensor's place in the file; all of its bytes within it. Compared by subtraction, as a sum of
 * the file's own numbers could overflow. */
static gr_status tensor_position(const struct reader *r, hid_t dataset, const char *name,
                                 const struct gr_tensor *tensor, uint64_t *offset) {
    haddr_t at = H5Dget_offset(dataset);
    uint64_t bytes = tensor->n_elements * sizeof(float);
    if (at == HADDR_UNDEF || at > r->file_bytes || bytes > r->file_bytes - at)
        return damaged(r->c, name, "its bytes are not in the file");
    *offset = at;
    return GR_OK;
}

/*
 * Appends the tensor to the layout (vector 0) or checks that it is the one there. No more
 * parameters are believed in than the file has bytes for, before vectors of that size are
 * allocated.
 */
static gr_status read_tensor(struct reader *r, hid_t group, size_t vector, size_t i) {
    gr_status status = GR_OK;
    struct gr_container *c = r->c;
    char name[GR_TENSOR_NAME_MAX];
    size_t n_dims = 0, shape[GR_TENSOR_DIMS_MAX] = {0};
    hid_t dataset = -1;
    GR_TRY(member_name(r, group, vector == 0 ? "/global/parameters" : "/global/server", i, name));
    dataset = H5Dopen2(group, name, H5P_DEFAULT);
    if (dataset < 0) {
        status = gr_hdf5_fail(GR_ERROR_DATA, c->path, name);
        goto out;
    }
    GR_TRY(dataset_shape(r, dataset, name, H5T_IEEE_F32LE, &n_dims, shape));
    if (vector == 0) {
        if (gr_layout_append(&c->layout, name, n_dims, shape) != GR_OK ||
            c->layout.n_parameters > r->file_bytes / sizeof(float)) {
            status = damaged(c, name, "impossible shape");
            goto out;
        }
    } else if (strcmp(c->layout.tensors[i].name, name) != 0 ||
               c->layout.tensors[i].n_dims != n_dims ||
               memcmp(c->layout.tensors[i].shape, shape, n_dims * sizeof *shape) != 0) {
        status = damaged(c, name, "server state of another shape than the parameters");
        goto out;
    }
    GR_TRY(tensor_position(r, dataset, name, &c->layout.tensors[i], &c->offset[vector][i]));
out:
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}

/* Vectors of server state need as many tensors as the parameters, which are read first. */
static gr_status read_vector(struct reader *r, hid_t at, const char *name, size_t vector) {
    gr_status status = GR_OK;
    size_t n = 0;
    hid_t group = H5Gopen2(at, name, H5P_DEFAULT);
    if (group < 0) return gr_hdf5_fail(GR_ERROR_DATA, r->c->path, name);
    GR_TRY(count_members(r, group, name, TENSORS_MAX, &n));
    if (n == 0 || (vector > 0 && n != r->c->layout.n_tensors)) {
        status = damaged(r->c, name, "not as many tensors as expected");
        goto out;
    }
    GR_TRY(gr_allocate_zero(n, sizeof(uint64_t), "offsets", &r->c->offset[vector]));
    for (size_t i = 0; i < n; i++)
        GR_TRY(read_tensor(r, group, vector, i));
out:
    H5Gclose(group);
    return status;
}

/* A best round after the checkpoint's own cannot be. */
static gr_status read_best(struct reader *r, hid_t server) {
    gr_status status = GR_OK;
    uint64_t round = 0;
    GR_TRY(gr_hdf5_get_number(server, r->c->path, "best_round", &round));
    GR_TRY(gr_hdf5_get_real(server, r->c->path, "best_value", &r->c->best_value));
    if (round > r->c->round || !isfinite(r->c->best_value))
        return damaged(r->c, "best_round, best_value", "impossible");
    r->c->best_round = (uint32_t)round;
out:
    return status;
}

/* As many vectors as GR_SERVER_VECTORS_MAX at most; each of the parameters' shape. */
static gr_status read_server(struct reader *r) {
    gr_status status = GR_OK;
    struct gr_container *c = r->c;
    hid_t server = H5Gopen2(r->file, "/global/server", H5P_DEFAULT);
    if (server < 0) return gr_hdf5_fail(GR_ERROR_DATA, c->path, "/global/server");
    GR_TRY(count_members(r, server, "/global/server", GR_SERVER_VECTORS_MAX, &c->n_server));
    for (size_t i = 0; i < c->n_server; i++) {
        GR_TRY(member_name(r, server, "/global/server", i, c->server_name[i]));
        GR_TRY(read_vector(r, server, c->server_name[i], 1 + i));
        if (strcmp(c->server_name[i], GR_SERVER_BEST) == 0) GR_TRY(read_best(r, server));
    }
out:
    H5Gclose(server);
    return status;
}

/* A whole dataset of integers with `width` numbers a row, at most `most` rows; *n rows are read. */
static gr_status read_table(const struct reader *r, const char *name, hid_t type, size_t width,
                            size_t most, size_t *n, void *out) {
    gr_status status = GR_OK;
    size_t n_dims = 0, shape[GR_TENSOR_DIMS_MAX] = {0};
    void *rows = NULL;
    hid_t dataset = H5Dopen2(r->file, name, H5P_DEFAULT);
    if (dataset < 0) return gr_hdf5_fail(GR_ERROR_DATA, r->c->path, name);
    GR_TRY(dataset_shape(r, dataset, name, type, &n_dims, shape));
    if (n_dims != (width > 1 ? 2U : 1U) || (width > 1 && shape[1] != width) || shape[0] > most ||
        shape[0] > r->file_bytes / (width * H5Tget_size(type))) {
        status = damaged(r->c, name, "not of the shape expected");
        goto out;
    }
    GR_TRY(gr_allocate(shape[0] * width, H5Tget_size(type), name, &rows));
    if (shape[0] > 0 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
        status = gr_hdf5_fail(GR_ERROR_DATA, r->c->path, name);
        goto out;
    }
    *n = shape[0];
    *(void **)out = rows;
    rows = NULL;
out:
    gr_free(rows);
    H5Dclose(dataset);
    return status;
}

/* The text in a dataset; none where there is no such dataset. */
static gr_status read_text(const struct reader *r, const char *name, char **out) {
    char *bytes = NULL;
    size_t n = 0;
    gr_status status;
    htri_t there = H5Lexists(r->file, name, H5P_DEFAULT);
    if (there < 0) return gr_hdf5_fail(GR_ERROR_DATA, r->c->path, name);
    if (there == 0) return GR_OK;
    GR_TRY(read_table(r, name, H5T_STD_U8LE, 1, TEXT_MAX, &n, &bytes));
    if (n == 0 || memchr(bytes, '\0', n))
        status = damaged(r->c, name, "not a text");
    else
        status = gr_text_format(out, "%.*s", (int)n, bytes);
out:
    gr_free(bytes);
    return status;
}

/* A short one is an attribute, a long one a dataset; there has to be one of them. */
static gr_status read_architecture(const struct reader *r) {
    struct gr_container *c = r->c;
    if (gr_hdf5_has(r->file, "architecture"))
        return gr_hdf5_get_text(r->file, c->path, "architecture", &c->architecture);
    gr_status status = read_text(r, "architecture", &c->architecture);
    if (status == GR_OK && !c->architecture) status = damaged(c, "architecture", "there is none");
    return status;
}

/* A hash, and the number of lines up to it (count NULL: there is none). */
static gr_status read_head(const struct reader *r, const char *count, const char *hash,
                           struct gr_head *out) {
    char *text = NULL;
    gr_status status = GR_OK;
    if (count) GR_TRY(gr_hdf5_get_number(r->file, r->c->path, count, &out->n));
    GR_TRY(gr_hdf5_get_text(r->file, r->c->path, hash, &text));
    if (strlen(text) == GR_DIGEST_HEX - 1)
        memcpy(out->hash, text, GR_DIGEST_HEX);
    else
        status = damaged(r->c, hash, "not a digest");
out:
    gr_free(text);
    return status;
}

/* Optional: files of the versions before run ids and evidence have none, and are still read. */
static gr_status read_evidence(const struct reader *r) {
    gr_status status = GR_OK;
    struct gr_container *c = r->c;
    struct gr_head manifest;
    uint64_t stretches = 0;
    if (gr_hdf5_has(r->file, "run_id"))
        GR_TRY(gr_hdf5_get_text(r->file, c->path, "run_id", &c->run_id));
    if (!gr_hdf5_has(r->file, "events_head")) return GR_OK;
    GR_TRY(read_head(r, "events", "events_head", &c->evidence.events));
    GR_TRY(read_head(r, "metrics", "metrics_head", &c->evidence.metrics));
    GR_TRY(read_head(r, NULL, "manifest_digest", &manifest));
    GR_TRY(gr_hdf5_get_number(r->file, c->path, "stretches", &stretches));
    memcpy(c->evidence.manifest, manifest.hash, GR_DIGEST_HEX);
    c->evidence.stretches = (uint32_t)stretches;
    c->has_evidence = true;
out:
    return status;
}

/* Another version of the format is refused and not called damage: an older checkpoint would be of
 * that version as well, and the user needs another granary. */
static gr_status read_attributes(struct reader *r) {
    gr_status status = GR_OK;
    struct gr_container *c = r->c;
    uint64_t version = 0, round = 0, void_rounds = 0, clip_step = 0;
    GR_TRY(gr_hdf5_get_text(r->file, c->path, "format", &c->format));
    GR_TRY(gr_hdf5_get_number(r->file, c->path, "version", &version));
    GR_TRY(gr_hdf5_get_number(r->file, c->path, "round", &round));
    if (gr_hdf5_has(r->file, "void_rounds"))
        GR_TRY(gr_hdf5_get_number(r->file, c->path, "void_rounds", &void_rounds));
    if (gr_hdf5_has(r->file, "clip_step"))
        GR_TRY(gr_hdf5_get_number(r->file, c->path, "clip_step", &clip_step));
    GR_TRY(read_architecture(r));
    GR_TRY(gr_hdf5_get_text(r->file, c->path, "config_digest", &c->config_digest));
    if (strcmp(c->format, GR_FORMAT_CHECKPOINT) != 0 && strcmp(c->format, GR_FORMAT_MODEL) != 0 &&
        strcmp(c->format, GR_FORMAT_SILO) != 0)
        status = damaged(c, "format", "not a granary model or checkpoint");
    else if (version != GR_CONTAINER_VERSION && version != GR_CONTAINER_POSTPROCESSED)
        status = gr_fail(GR_REFUSED, "%s: written in version %llu of the format, expected %d or %d",
                         c->path, (unsigned long long)version, GR_CONTAINER_VERSION,
                         GR_CONTAINER_POSTPROCESSED);
    else if (round > UINT32_MAX)
        status = damaged(c, "round", "impossible");
    else if (void_rounds > round)
        status = damaged(c, "void_rounds", "impossible");
    else if (clip_step > UINT32_MAX)
        status = damaged(c, "clip_step", "impossible");
    c->round = (uint32_t)round;
    c->void_rounds = (uint32_t)void_rounds;
    c->clip_step = (int32_t)(uint32_t)clip_step;
out:
    return status;
}

/*
 * The layout follows from the datasets; the number of pieces follows from the layout, and the
 * digests must be as many.
 */
static gr_status read_structure(struct reader *r) {
    gr_status status = GR_OK;
    struct gr_container *c = r->c;
    size_t n_digests = 0, n_silos = 0;
    GR_TRY(read_attributes(r));
    GR_TRY(read_evidence(r));
    GR_TRY(read_text(r, "preprocessing", &c->preprocessing));
    GR_TRY(read_text(r, "postprocessing", &c->postprocessing));
    GR_TRY(read_vector(r, r->file, "/global/parameters", 0));
    GR_TRY(read_server(r));
    GR_TRY(gr_pieces_create(&c->layout, 1 + c->n_server, &c->pieces, &c->n_pieces));
    GR_TRY(read_table(r, "/global/digests", H5T_STD_U8LE, GR_DIGEST_BYTES, c->n_pieces, &n_digests,
                      &c->digests));
    if (n_digests != c->n_pieces) {
        status = damaged(c, "/global/digests", "fewer digests than pieces");
        goto out;
    }
    if (H5Lexists(r->file, "/silos", H5P_DEFAULT) > 0)
        GR_TRY(
            read_table(r, "/silos/rounds", H5T_STD_U32LE, 1, SILOS_MAX, &n_silos, &c->silo_rounds));
    c->n_silos = (uint32_t)n_silos;
    if (H5Lexists(r->file, "/global/class_counts", H5P_DEFAULT) > 0)
        GR_TRY(read_table(r, "/global/class_counts", H5T_STD_I64LE, 1, CLASSES_MAX,
                          &c->n_class_counts, &c->class_counts));
out:
    return status;
}

/*
 * The seal comes before the HDF5 library: metadata that were damaged by accident never reach it.
 * O_NONBLOCK keeps a named pipe from blocking. On failure everything is released, and *out is
 * empty.
 */
gr_status gr_container_open(const char *path, struct gr_container *out) {
    gr_status status = GR_OK;
    struct reader r = {.c = out, .file = -1};
    struct stat info;
    hid_t access = -1;
    *out = (struct gr_container){.path = path};
    GR_TRY(gr_hdf5_start());
    out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (out->fd < 0) return gr_fail(GR_REFUSED, "%s: %s", path, strerror(errno));
    out->opened = true;
    GR_TRY(gr_seal_check(out->fd, path));
    if (fstat(out->fd, &info) != 0) {
        status = gr_fail(GR_REFUSED, "%s: %s", path, strerror(errno));
        goto out;
    }
    r.file_bytes = (uint64_t)info.st_size;
    access = H5Pcreate(H5P_FILE_ACCESS);
    /* Only read: no lock is needed, and some shared file systems have none. */
    if (access < 0 || H5Pset_file_locking(access, false, true) < 0 ||
        (r.file = H5Fopen(path, H5F_ACC_RDONLY, access)) < 0) {
        status = gr_hdf5_fail(GR_ERROR_DATA, path, "open");
        goto out;
    }
    GR_TRY(read_structure(&r));
out:
    if (r.file >= 0) H5Fclose(r.file);
    if (access >= 0) H5Pclose(access);
    if (status != GR_OK) gr_container_close(out);
    return status;
}

/* Safe on a zeroed container, and twice. */
void gr_container_close(struct gr_container *c) {
    if (c->opened) close(c->fd);
    for (size_t v = 0; v < GR_CONTAINER_VECTORS_MAX; v++)
        gr_free(c->offset[v]);
    gr_free(c->digests);
    gr_free(c->pieces);
    gr_free(c->class_counts);
    gr_free(c->silo_rounds);
    gr_layout_release(&c->layout);
    gr_free(c->run_id);
    gr_free(c->config_digest);
    gr_free(c->architecture);
    gr_free(c->postprocessing);
    gr_free(c->preprocessing);
    gr_free(c->format);
    memset(c, 0, sizeof *c);
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* By position, without moving the file's offset. An end of file where bytes were expected is
 * damage; an error of the system is not. */
static gr_status read_elements(const struct gr_container *c, size_t vector, size_t tensor,
                               size_t first, size_t n, float *out) {
    uint64_t position = c->offset[vector][tensor] + first * sizeof(float);
    for (size_t done = 0, bytes = n * sizeof(float); done < bytes;) {
        ssize_t got = pread(c->fd, (char *)out + done, bytes - done, (off_t)(position + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return gr_fail(got < 0 ? GR_REFUSED : GR_ERROR_DATA, "%s: %s: %s", c->path,
                           c->layout.tensors[tensor].name,
                           got < 0 ? strerror(errno) : "end of file");
        done += (size_t)got;
    }
    return GR_OK;
}

/* The message names the vector, the tensor and the elements, so that the extent of a damage is
 * known. */
static gr_status check_digest(const struct gr_container *c, size_t i,
                              const unsigned char found[GR_DIGEST_BYTES]) {
    const struct gr_piece *piece = &c->pieces[i];
    if (memcmp(found, c->digests[i], GR_DIGEST_BYTES) == 0) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s: damaged: %s%s%s, elements %zu to %zu, do not match their digest", c->path,
                   piece->vector > 0 ? c->server_name[piece->vector - 1] : "",
                   piece->vector > 0 ? " of " : "", c->layout.tensors[piece->tensor].name,
                   piece->first, piece->first + piece->n - 1);
}

/* The kernel fetches pieces while those before them are digested. Only advice: a file system that
 * does not take it is read all the same. */
static void fetch(const struct gr_container *c, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
        (void)posix_fadvise(c->fd,
                            (off_t)(c->offset[c->pieces[i].vector][c->pieces[i].tensor] +
                                    c->pieces[i].first * sizeof(float)),
                            (off_t)(c->pieces[i].n * sizeof(float)), POSIX_FADV_WILLNEED);
}

/* n pieces together, with their elements in memory. */
static gr_status check_digests(const struct gr_container *c, size_t first, size_t n,
                               const void *const *lane) {
    gr_status status = GR_OK;
    unsigned char found[GR_LANES][GR_DIGEST_BYTES];
    const size_t bytes = c->pieces[first].n * sizeof(float);
    if (n == GR_LANES)
        gr_digest_lanes(lane, bytes, found);
    else
        gr_digest_of(lane[0], bytes, found[0]);
    for (size_t k = 0; k < n; k++)
        GR_TRY(check_digest(c, first + k, found[k]));
out:
    return status;
}

/* Ranks verify a share each, so all pieces are read once over all ranks. Pieces of one size are
 * digested GR_LANES at a time; memory is that of GR_LANES pieces, 16 MiB at most. */
gr_status gr_container_verify(const struct gr_container *c, int rank, int size) {
    gr_status status = GR_OK;
    const void *lane[GR_LANES] = {NULL};
    size_t begin, end, most = 0;
    float *elements = NULL;
    gr_pieces_share(c->pieces, c->n_pieces, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++)
        most = c->pieces[i].n > most ? c->pieces[i].n : most;
    GR_TRY(gr_allocate(GR_LANES * most, sizeof *elements, "pieces", &elements));
    for (size_t i = begin, n; i < end; i += n) {
        const struct gr_piece *piece = &c->pieces[i];
        GR_TRY(gr_alive());
        n = gr_pieces_together(c->pieces, i, end);
        fetch(c, i == begin ? i : i + n, i + 2 * n < end ? i + 2 * n : end);
        for (size_t k = 0; k < n; k++) {
            lane[k] = elements + k * most;
            GR_TRY(read_elements(c, piece[k].vector, piece[k].tensor, piece[k].first, piece[k].n,
                                 elements + k * most));
        }
        GR_TRY(check_digests(c, i, n, lane));
    }
out:
    gr_free(elements);
    return status;
}

gr_status gr_container_check(const struct gr_container *c, int rank, int size,
                             const float *const *vector) {
    gr_status status = GR_OK;
    const void *lane[GR_LANES] = {NULL}; /* as many as there are pieces together */
    size_t begin, end;
    gr_pieces_share(c->pieces, c->n_pieces, rank, size, &begin, &end);
    for (size_t i = begin, n; i < end; i += n) {
        GR_TRY(gr_alive());
        n = gr_pieces_together(c->pieces, i, end);
        for (size_t k = 0; k < n; k++) {
            const struct gr_piece *piece = &c->pieces[i + k];
            lane[k] =
                vector[piece->vector] + c->layout.tensors[piece->tensor].offset + piece->first;
        }
        GR_TRY(check_digests(c, i, n, lane));
    }
out:
    return status;
}

/* Elements between tensors, which only align them, are not in the file and are set to 0: digests
 * and sums of a vector run over them. */
gr_status gr_container_load(const struct gr_container *c, size_t vector, float *out) {
    gr_status status = GR_OK;
    size_t end = 0;
    for (size_t t = 0; t < c->layout.n_tensors; t++) {
        const struct gr_tensor *tensor = &c->layout.tensors[t];
        GR_TRY(gr_alive());
        memset(out + end, 0, (tensor->offset - end) * sizeof *out);
        GR_TRY(read_elements(c, vector, t, 0, tensor->n_elements, out + tensor->offset));
        end = tensor->offset + tensor->n_elements;
    }
    memset(out + end, 0, (c->layout.size - end) * sizeof *out);
out:
    return status;
}
