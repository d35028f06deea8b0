/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairs: operands of products in bfloat16. Two neighbours along the inner index, each rounded to
 * the nearest bfloat16 (ties to even), lie in the 32 bits of a float, the first in the lower half;
 * an inner index of odd length is padded with a zero. So gr_multiply takes them as it takes floats:
 * strides and k count pairs, and the tiles are gr_tiles_bfloat16's.
 *
 * Each element of a product is one float32 chain in ascending order of the pairs: sum + product of
 * the second of each, and then of the first, both fused, numbers below 2^-126 taken as zero
 * wherever they appear. That is what the processor's instruction (vdpbf16ps) does.
 */
#ifndef GRANARY_MODEL_PAIRS_H
#define GRANARY_MODEL_PAIRS_H

#include <granary/base.h>

/* Pairs from a row to the next in what has columns: whole vectors. */
static inline size_t gr_pairs_row(size_t columns) {
    enum { LANES = 16 };
    return (columns + LANES - 1) / LANES * LANES;
}

/* All of x[rows, columns], which is contiguous; to be called where gr_tiles_bfloat16 is not NULL.
 * Neighbours in a row: out[rows, columns / 2 rounded up]. */
void gr_pairs_along(const float *x, size_t rows, size_t columns, float *out);
/* Neighbours in a column: out[rows / 2 rounded up, columns]. */
void gr_pairs_between(const float *x, size_t rows, size_t columns, float *out);
/* Neighbours in a row, turned: out[columns / 2 rounded up, rows]. */
void gr_pairs_turned(const float *x, size_t rows, size_t columns, float *out);

#endif
