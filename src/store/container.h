/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container: the HDF5 file that checkpoints and model files have in common, written by all ranks
 * or by one process, and read by any process for itself. The form is described in
 * <granary/store.h>; a seal (seal.h) covers every byte that is not a tensor's, and the digests in
 * /global/digests cover the tensors, piece by piece (pieces.h).
 *
 * Lifetime: gr_container_open fills a caller's struct, gr_container_close releases it, also a
 * half-opened or zeroed one.
 */
#ifndef GRANARY_STORE_CONTAINER_H
#define GRANARY_STORE_CONTAINER_H

#include <granary/store.h>
#include <hdf5.h>

#include "store/pieces.h"

/* A reader of version 1 alone would pass over what is made of outputs, and refuses version 2. */
enum {
    GR_CONTAINER_VERSION = 1,
    GR_CONTAINER_POSTPROCESSED = 2,
    GR_CONTAINER_VECTORS_MAX = 1 + GR_SERVER_VECTORS_MAX
};

/* Of what reads: no damage, but the system refuses to read it, or it is not for this program. */
#define GR_REFUSED GR_ERROR_WRITE

#define GR_FORMAT_CHECKPOINT "granary-checkpoint"
#define GR_FORMAT_MODEL      "granary-model"
#define GR_FORMAT_SILO       "granary-silo"

/*
 * Collective over `comm`, or not collective where comm is NULL: one process writes all. Writes
 * PATH, whatever was there; verified against memory and on disk when it returns GR_OK. On failure
 * something unusable may be left at PATH. io: NULL: each rank for itself. Errors: GR_ERROR_WRITE,
 * GR_LOST.
 */
gr_status gr_container_write(struct gr_comm *comm, const char *path, const char *format,
                             const struct gr_state *state,
                             const struct gr_checkpoint_io *io) GR_CHECKED;

/*
 * The same without its vectors: laid out, opened by every rank, sealed, opened to be read by every
 * rank. On failure something may be left at PATH. *bytes: how long the whole file is at most.
 */
gr_status gr_container_try(struct gr_comm *comm, const char *path, const char *format,
                           const struct gr_state *state, const struct gr_checkpoint_io *io,
                           uint64_t *bytes) GR_CHECKED;

struct gr_container {
    const char *path; /* borrowed */
    int fd;           /* plain reads of tensors; owned when `opened` */
    bool opened;
    char *format, *architecture, *config_digest; /* owned */
    char *preprocessing, *postprocessing;        /* NULL: none; owned */
    char *run_id;                                /* NULL: none; owned */
    bool has_evidence;
    struct gr_evidence evidence;
    uint32_t round, void_rounds, n_silos;
    int32_t clip_step;
    uint32_t *silo_rounds; /* owned */
    int64_t *class_counts; /* owned; NULL: none */
    size_t n_class_counts;
    struct gr_layout layout; /* owned */
    uint32_t best_round;     /* with a vector GR_SERVER_BEST */
    double best_value;
    size_t n_server;
    char server_name[GR_SERVER_VECTORS_MAX][GR_TENSOR_NAME_MAX];
    uint64_t *offset[GR_CONTAINER_VECTORS_MAX]; /* file position of each tensor; owned */
    struct gr_piece *pieces;                    /* owned */
    size_t n_pieces;
    unsigned char (*digests)[GR_DIGEST_BYTES]; /* of the pieces; owned */
};

/*
 * Everything but the tensors, whose bytes are still to be verified. Errors here and below:
 * GR_ERROR_DATA, when it is damaged or none; GR_REFUSED.
 */
gr_status gr_container_open(const char *path, struct gr_container *out) GR_CHECKED;
void gr_container_close(struct gr_container *container);

/* Digests the share of pieces that `rank` of `size` has; names tensor and rows. */
gr_status gr_container_verify(const struct gr_container *container, int rank, int size) GR_CHECKED;
/* The same share of vectors in memory: the parameters and each vector of server state. */
gr_status gr_container_check(const struct gr_container *container, int rank, int size,
                             const float *const *vector) GR_CHECKED;

/* Reads one vector, layout.size floats; the gaps between tensors become zero. */
gr_status gr_container_load(const struct gr_container *container, size_t vector,
                            float *out) GR_CHECKED;

#endif
