/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse: products with a batch of which much is zero, as of images on a dark ground, of
 * categories, and of what relu lets through: what would be multiplied by zero is passed by.
 *
 * Each element is gr_multiply's chain of multiply-adds without those that add nothing: the same
 * bits, but that a sum of -0 stays -0, and that an infinite number or NaN of b which only zeros
 * meet is not noticed.
 */
#ifndef GRANARY_MODEL_SPARSE_H
#define GRANARY_MODEL_SPARSE_H

#include <model/kernels.h>

enum { GR_SPARSE_BLOCK = 32 }; /* bits of a mask */

/* Where a batch x[rows, columns] is not zero. */
struct gr_sparse {
    size_t rows, columns;
    size_t room;  /* rows that there is room for */
    size_t count; /* elements that are not zero, as a NaN is not */
    bool pays;    /* so much is zero that it is worth while; else the rest is void */
    /* [columns / 32, rows] and [rows / 32, columns], rounded up: bit k of block b is the element
     * 32 b + k of its row or column. Owned. */
    uint32_t *by_row, *by_column;
};

/* Those of the tiles' instruction set, for c of so many columns; NULL: there are none, they are
 * slower than gr_multiply even when half of the batch is zero, or they cannot deal the columns. */
const struct gr_sparse_kernels *gr_sparse_kernels_of(const struct gr_tiles *tiles, size_t width);

/*
 * Reads the batch, or where its first rows are too full no more than these; of the same columns
 * each time. *sparse: zeroed before the first.
 */
gr_status gr_sparse_find(struct gr_sparse *sparse, const struct gr_sparse_kernels *kernels,
                         const float *x, size_t rows, size_t columns) GR_CHECKED;
/* Accepts a zeroed one. */
void gr_sparse_release(struct gr_sparse *sparse);

/* gr_multiply where product->a is the batch (masks: by_row), or the batch turned (by_column). pack:
 * GR_BLOCK_SUMS floats. */
void gr_sparse_multiply(const struct gr_sparse_kernels *kernels, const struct gr_product *product,
                        const uint32_t *masks, float *pack);

#endif
