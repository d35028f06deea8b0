/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laying out a container: the file with all its groups, attributes and the room for its datasets,
 * made by one process, or by all together through MPI-IO. Whoever writes into it afterwards changes
 * no metadata, so ranks can write at the same time without telling each other.
 *
 * No times are tracked, by which files of one state would differ. Members keep the order in which
 * they are made, by which a reader finds the order of tensors.
 */
#include "store/container_create.h"

#include <string.h>

#include "store/container.h"
#include "store/hdf5.h"
#include "store/seal.h"

enum { METADATA_ESTIMATE = 64 << 10, DATASET_ESTIMATE = 2 << 10 };

struct creator {
    const char *path;
    const struct gr_state *state;
    size_t n_tensors, n_datasets, n_pieces; /* datasets: those of tensors */
    hid_t file;
    uint64_t *place;
};

/* ---- room -----------------------------------------------------------------------------------
 */

static size_t text_bytes(const char *text) {
    return text ? strlen(text) : 0;
}

/* An upper estimate: it is reserved before anything is written, so that a disk that is too full is
 * found at once, and what is not needed is given back by the seal. */
static uint64_t bytes_needed(const struct creator *c) {
    return (uint64_t)c->state->layout->n_parameters * (1 + c->state->n_server) * sizeof(float) +
           c->n_pieces * GR_DIGEST_BYTES + text_bytes(c->state->preprocessing) +
           text_bytes(c->state->postprocessing) + text_bytes(c->state->architecture) +
           c->state->n_silos * sizeof(uint32_t) + c->state->n_class_counts * sizeof(int64_t) +
           METADATA_ESTIMATE + c->n_datasets * DATASET_ESTIMATE;
}

/* ---- structure ------------------------------------------------------------------------------
 */

/* The user block in front of HDF5's own bytes is the place of the seal; its size depends on the
 * number of datasets and cannot change later. */
static gr_status create_file(struct creator *c, hid_t access) {
    gr_status status = GR_OK;
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (creation < 0 || H5Pset_userblock(creation, gr_seal_bytes(c->n_datasets)) < 0 ||
        (c->file = H5Fcreate(c->path, H5F_ACC_TRUNC, creation, access)) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, c->path, "create");
    if (creation >= 0) H5Pclose(creation);
    return status;
}

/* Where the bytes of a dataset belong; they have their room from the beginning. */
static gr_status note_place(const struct creator *c, hid_t dataset, const char *name,
                            uint64_t *place) {
    const haddr_t at = dataset >= 0 ? H5Dget_offset(dataset) : HADDR_UNDEF;
    if (at == HADDR_UNDEF) return gr_hdf5_fail(GR_ERROR_WRITE, c->path, name);
    *place = at;
    return GR_OK;
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

/* A vector is a group with a dataset for each tensor. Space is allocated early and contiguously, so
 * each dataset has an offset already, by which ranks write and the seal leaves the tensors out. */
static gr_status create_vector(struct creator *c, hid_t at, const char *name, size_t vector) {
    hid_t group = create_group(at, name);
    if (group < 0) return gr_hdf5_fail(GR_ERROR_WRITE, c->path, name);
    gr_status status = GR_OK;
    for (size_t t = 0; t < c->n_tensors; t++) {
        const struct gr_tensor *tensor = &c->state->layout->tensors[t];
        hid_t dataset = gr_hdf5_create_dataset(group, tensor->name, H5T_IEEE_F32LE, tensor->n_dims,
                                               tensor->shape);
        status = note_place(c, dataset, tensor->name, &c->place[vector * c->n_tensors + t]);
        if (dataset >= 0) H5Dclose(dataset);
        if (status != GR_OK) break;
    }
    H5Gclose(group);
    return status;
}

/* Written at once: like the attributes it is covered by the seal. */
static gr_status create_text(const struct creator *c, const char *name, const char *text) {
    const size_t n = text_bytes(text);
    if (n == 0) return GR_OK;
    hid_t dataset = gr_hdf5_create_dataset(c->file, name, H5T_STD_U8LE, 1, &n);
    bool written = dataset >= 0 &&
                   H5Dwrite(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0;
    if (dataset >= 0) H5Dclose(dataset);
    return written ? GR_OK : gr_hdf5_fail(GR_ERROR_WRITE, c->path, name);
}

/* An attribute, or where that cannot hold it (more than GR_HDF5_TEXT_MAX bytes) a dataset. */
static gr_status create_architecture(const struct creator *c) {
    const char *text = c->state->architecture;
    if (text_bytes(text) > GR_HDF5_TEXT_MAX) return create_text(c, "architecture", text);
    return gr_hdf5_set_text(c->file, c->path, "architecture", text);
}

/* How many events and metrics there were at this checkpoint, and their hashes: a later check finds
 * records that were cut or changed since. */
static gr_status create_evidence(const struct creator *c) {
    gr_status status = GR_OK;
    const struct gr_evidence *evidence = c->state->evidence;
    if (c->state->run_id) GR_TRY(gr_hdf5_set_text(c->file, c->path, "run_id", c->state->run_id));
    if (!evidence) return GR_OK;
    GR_TRY(gr_hdf5_set_number(c->file, c->path, "events", evidence->events.n));
    GR_TRY(gr_hdf5_set_text(c->file, c->path, "events_head", evidence->events.hash));
    GR_TRY(gr_hdf5_set_number(c->file, c->path, "metrics", evidence->metrics.n));
    GR_TRY(gr_hdf5_set_text(c->file, c->path, "metrics_head", evidence->metrics.hash));
    GR_TRY(gr_hdf5_set_text(c->file, c->path, "manifest_digest", evidence->manifest));
    GR_TRY(gr_hdf5_set_number(c->file, c->path, "stretches", evidence->stretches));
out:
    return status;
}

/* Attributes are metadata, and so under the seal; piece_bytes lets another reader cut the same
 * pieces. */
static gr_status create_attributes(const struct creator *c, hid_t digests, const char *format) {
    gr_status status = GR_OK;
    char digest[GR_DIGEST_HEX];
    gr_digest_hex(c->state->config_digest, digest);
    GR_TRY(gr_hdf5_set_text(c->file, c->path, "format", format));
    GR_TRY(gr_hdf5_set_number(c->file, c->path, "version",
                              c->state->postprocessing ? GR_CONTAINER_POSTPROCESSED
                                                       : GR_CONTAINER_VERSION));
    GR_TRY(gr_hdf5_set_number(c->file, c->path, "round", c->state->round));
    if (c->state->void_rounds > 0)
        GR_TRY(gr_hdf5_set_number(c->file, c->path, "void_rounds", c->state->void_rounds));
    if (c->state->clip_step != 0)
        GR_TRY(gr_hdf5_set_number(c->file, c->path, "clip_step", (uint32_t)c->state->clip_step));
    GR_TRY(create_architecture(c));
    GR_TRY(gr_hdf5_set_text(c->file, c->path, "config_digest", digest));
    GR_TRY(create_evidence(c));
    GR_TRY(gr_hdf5_set_text(digests, c->path, "algorithm", "BLAKE2b-256"));
    GR_TRY(gr_hdf5_set_number(digests, c->path, "piece_bytes", GR_PIECE_BYTES));
out:
    return status;
}

/* The best model so far is a vector of server state, with its round and metric as attributes. */
static gr_status create_server(struct creator *c, hid_t server) {
    gr_status status = GR_OK;
    const struct gr_state *state = c->state;
    for (size_t i = 0; i < state->n_server; i++) {
        GR_TRY(create_vector(c, server, state->server_name[i], 1 + i));
        if (strcmp(state->server_name[i], GR_SERVER_BEST) != 0) continue;
        GR_TRY(gr_hdf5_set_number(server, c->path, "best_round", state->best_round));
        GR_TRY(gr_hdf5_set_real(server, c->path, "best_value", state->best_value));
    }
out:
    return status;
}

/* Only laid out; the numbers are written with the tensors, and compared as these are. */
static gr_status create_counts(const struct creator *c, hid_t global) {
    const size_t n = c->state->n_class_counts;
    if (n == 0) return GR_OK;
    hid_t counts = gr_hdf5_create_dataset(global, "class_counts", H5T_STD_I64LE, 1, &n);
    gr_status status =
        note_place(c, counts, "class_counts", &c->place[c->n_datasets + GR_PLACE_COUNTS]);
    if (counts >= 0) H5Dclose(counts);
    return status;
}

/* A model that goes to others does not tell who took part how often: it has no silos. */
static gr_status create_silos(const struct creator *c) {
    const size_t n = c->state->n_silos;
    hid_t silos = -1, rounds = -1;
    if (n == 0) return GR_OK;
    silos = create_group(c->file, "silos");
    if (silos >= 0) rounds = gr_hdf5_create_dataset(silos, "rounds", H5T_STD_U32LE, 1, &n);
    gr_status status = note_place(c, rounds, "silos", &c->place[c->n_datasets + GR_PLACE_ROUNDS]);
    if (rounds >= 0) H5Dclose(rounds);
    if (silos >= 0) H5Gclose(silos);
    return status;
}

static gr_status create_structure(struct creator *c, const char *format) {
    gr_status status = GR_OK;
    hid_t global = create_group(c->file, "global"), digests = -1;
    hid_t server = global >= 0 ? create_group(global, "server") : -1;
    size_t shape[2] = {c->n_pieces, GR_DIGEST_BYTES};
    if (global < 0 || server < 0) {
        status = gr_hdf5_fail(GR_ERROR_WRITE, c->path, "groups");
        goto out;
    }
    GR_TRY(create_vector(c, global, "parameters", 0));
    GR_TRY(create_server(c, server));
    digests = gr_hdf5_create_dataset(global, "digests", H5T_STD_U8LE, 2, shape);
    GR_TRY(note_place(c, digests, "digests", &c->place[c->n_datasets + GR_PLACE_DIGESTS]));
    GR_TRY(create_silos(c));
    GR_TRY(create_counts(c, global));
    GR_TRY(create_text(c, "preprocessing", c->state->preprocessing));
    GR_TRY(create_text(c, "postprocessing", c->state->postprocessing));
    GR_TRY(create_attributes(c, digests, format));
out:
    if (digests >= 0) H5Dclose(digests);
    if (server >= 0) H5Gclose(server);
    if (global >= 0) H5Gclose(global);
    return status;
}

/* The same estimate without a file, for a look at the disk before the first round. */
uint64_t gr_container_bytes(const struct gr_state *state, size_t n_pieces) {
    const struct creator c = {.state = state,
                              .n_datasets = state->layout->n_tensors * (1 + state->n_server),
                              .n_pieces = n_pieces};
    return bytes_needed(&c);
}

size_t gr_container_places(const struct gr_state *state) {
    return state->layout->n_tensors * (1 + state->n_server) + GR_PLACES;
}

gr_status gr_container_create(const char *path, const char *format, const struct gr_state *state,
                              size_t n_pieces, hid_t access, gr_status (*reserve)(void *context),
                              void *context, uint64_t *place, hid_t *file) {
    gr_status status = GR_OK;
    struct creator c = {.path = path,
                        .state = state,
                        .n_tensors = state->layout->n_tensors,
                        .n_datasets = state->layout->n_tensors * (1 + state->n_server),
                        .n_pieces = n_pieces,
                        .file = -1,
                        .place = place};
    memset(place, 0, gr_container_places(state) * sizeof *place);
    GR_TRY(create_file(&c, access));
    if (reserve) GR_TRY(reserve(context)); /* not before: creating cuts the file */
    status = create_structure(&c, format);
out:
    *file = c.file;
    return status;
}
