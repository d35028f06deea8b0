/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second pattern of a collective: each rank gets one slice of the coordinates of every silo's
 * vector and combines it, and all get the combined slices. The vector passes in chunks, so that a
 * rank holds, beside its contributions and the result, a few mebibytes.
 */
#ifndef GRANARY_COMM_TRANSPOSE_H
#define GRANARY_COMM_TRANSPOSE_H

#include "comm/communicator.h"

/* Room that is kept from call to call. */
struct gr_transpose {
    /* Of the epoch in which they were made. */
    bool made;
    uint32_t epoch;
    struct gr_window window;
    size_t room;                 /* bytes of each part for what its rank offers */
    struct gr_message *messages; /* of each rank; owned */
    float *received;             /* slices from other nodes; owned */
    size_t received_room;        /* floats of it */
    /* Of the rows in turn. */
    struct gr_transpose_row *rows; /* by silo; owned */
    const float **row;             /* their slices; owned */
    float *work;                   /* for the combination; owned */
    size_t rows_room;
};

/*
 * Collective. mine: n_mine vectors of `size` floats; n_rows: over all ranks, at least 1. Rows are
 * ordered by their silos' numbers, so that nothing depends on where silos are. out: size floats,
 * the same bits on every rank, and on any number of ranks. GR_ERROR_INTERNAL: the contributions are
 * not n_rows, or two of one silo.
 */
gr_status gr_transpose_combine(struct gr_comm *comm, struct gr_transpose *transpose,
                               const struct gr_contribution *mine, size_t n_mine, size_t n_rows,
                               size_t size, const struct gr_combination *combination,
                               float *out) GR_CHECKED;
/* After a loss: gives up messages under way; memory that MPI may still use is left to it. */
void gr_transpose_abandon(struct gr_comm *comm, struct gr_transpose *transpose);
void gr_transpose_release(struct gr_transpose *transpose);

#endif
