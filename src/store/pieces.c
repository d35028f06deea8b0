/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cut of a state into pieces, and their deal to ranks. The cut depends on the layout alone, so
 * digests by piece are the same for any number of ranks, and a file written by 8 ranks is verified
 * by 3.
 */
#include "store/pieces.h"

#include "store/lanes.h"

enum { PIECE_ELEMENTS = GR_PIECE_BYTES / (int)sizeof(float) };

/*
 * The outermost dimension along which a tensor can be cut so that one step fits into a piece;
 * *step: elements of one step, *run: elements before the next outer index. The last dimension's
 * step is a single element, so a cut is always found; n_elements is above 0.
 */
static void find_cut(const struct gr_tensor *tensor, size_t *step, size_t *run) {
    *run = tensor->n_elements;
    for (size_t d = 0; d < tensor->n_dims; d++) {
        *step = *run / tensor->shape[d];
        if (*step <= PIECE_ELEMENTS) return;
        *run = *step;
    }
}

/* Appends a tensor's pieces at `out` (NULL: only counts them). */
static size_t cut_tensor(const struct gr_tensor *tensor, size_t vector, size_t index,
                         struct gr_piece *out) {
    size_t step = 1, run = 0, n = 0;
    find_cut(tensor, &step, &run);
    size_t most = PIECE_ELEMENTS / step * step;
    for (size_t outer = 0; outer < tensor->n_elements; outer += run)
        for (size_t inner = 0; inner < run; inner += most, n++)
            if (out)
                out[n] = (struct gr_piece){.vector = vector,
                                           .tensor = index,
                                           .first = outer + inner,
                                           .n = run - inner < most ? run - inner : most};
    return n;
}

/* Counted first, by the same code that cuts, so the array has exactly as many. */
gr_status gr_pieces_create(const struct gr_layout *layout, size_t n_vectors, struct gr_piece **out,
                           size_t *n_pieces) {
    size_t n = 0;
    for (size_t t = 0; t < layout->n_tensors; t++)
        n += n_vectors * cut_tensor(&layout->tensors[t], 0, t, NULL);
    gr_status status = gr_allocate(n, sizeof **out, "pieces", out);
    if (status != GR_OK) return status;
    *n_pieces = n;
    n = 0;
    for (size_t v = 0; v < n_vectors; v++)
        for (size_t t = 0; t < layout->n_tensors; t++)
            n += cut_tensor(&layout->tensors[t], v, t, *out + n);
    return GR_OK;
}

/* A piece is whole steps of one dimension, so it is a box: 1 outside of that dimension, a run in
 * it, all within. HDF5 writes a box with one selection. */
void gr_piece_box(const struct gr_tensor *tensor, const struct gr_piece *piece,
                  size_t start[GR_TENSOR_DIMS_MAX], size_t count[GR_TENSOR_DIMS_MAX]) {
    size_t stride = tensor->n_elements, first = piece->first, left = piece->n;
    for (size_t d = 0; d < tensor->n_dims; d++) {
        stride /= tensor->shape[d];
        start[d] = first / stride;
        first %= stride;
        count[d] = left < stride ? 1 : left / stride;
        if (left >= stride) left = stride;
    }
}

/* A piece belongs to the rank in whose share of the elements its first element lies: shares differ
 * by at most a piece or so. With more ranks than pieces some have none (*begin equal to *end). */
void gr_pieces_share(const struct gr_piece *pieces, size_t n_pieces, int rank, int size,
                     size_t *begin, size_t *end) {
    uint64_t total = 0, before = 0;
    for (size_t i = 0; i < n_pieces; i++)
        total += pieces[i].n;
    *begin = *end = n_pieces;
    for (size_t i = 0; i < n_pieces; i++) {
        /* Less than 2^40 elements times less than 2^24 ranks stays within 64 bits. */
        int owner = (int)(before * (uint64_t)size / total);
        if (owner >= rank && *begin == n_pieces) *begin = i;
        if (owner > rank) {
            *end = i;
            break;
        }
        before += pieces[i].n;
    }
    if (*begin > *end) *begin = *end;
}

/* All or one: fewer than GR_LANES together would leave lanes idle, and cost as much as four. */
size_t gr_pieces_together(const struct gr_piece *pieces, size_t at, size_t end) {
    if (end - at < GR_LANES) return 1;
    for (size_t i = 1; i < GR_LANES; i++)
        if (pieces[at + i].n != pieces[at].n) return 1;
    return GR_LANES;
}
