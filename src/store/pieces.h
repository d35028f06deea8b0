/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces: how the tensors of a state are cut into portions that are written, digested and verified
 * one by one. The cut depends on the tensors alone, never on the number of ranks. Not collective.
 */
#ifndef GRANARY_STORE_PIECES_H
#define GRANARY_STORE_PIECES_H

#include <granary/base.h>

enum { GR_PIECE_BYTES = 4 << 20 };

/*
 * n consecutive elements of a tensor, from element `first`, at most GR_PIECE_BYTES: whole rows of
 * the tensor; where one row is larger, whole rows of a row; and so on inwards.
 */
struct gr_piece {
    size_t vector; /* 0: parameters, then the vectors of server state */
    size_t tensor; /* of the layout */
    size_t first;
    size_t n;
};

/* All pieces of n_vectors vectors: vector by vector, tensor by tensor. Caller frees *out. */
gr_status gr_pieces_create(const struct gr_layout *layout, size_t n_vectors, struct gr_piece **out,
                           size_t *n_pieces) GR_CHECKED;

/* Where a piece stands in its tensor, as a box: n_dims starts and counts. */
void gr_piece_box(const struct gr_tensor *tensor, const struct gr_piece *piece,
                  size_t start[GR_TENSOR_DIMS_MAX], size_t count[GR_TENSOR_DIMS_MAX]);

/*
 * The pieces *begin .. *end - 1 that `rank` of `size` writes and verifies: consecutive, with about
 * as many elements as any other rank's.
 */
void gr_pieces_share(const struct gr_piece *pieces, size_t n_pieces, int rank, int size,
                     size_t *begin, size_t *end);

/* How many pieces from `at` can be digested together: GR_LANES if so many are of one size, or 1. */
size_t gr_pieces_together(const struct gr_piece *pieces, size_t at, size_t end);

#endif
