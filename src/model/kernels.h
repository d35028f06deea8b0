/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernels: the arithmetic of dense layers on one thread.
 *
 * Every element of a product is one chain of multiply-adds in ascending order of the inner index,
 * whatever the tile it falls into. So its bits depend on its own row and column only: not on the
 * batch's size, on neighbours, on addresses, nor on the width of the processor's vectors (as long
 * as it fuses the multiply-add).
 */
#ifndef GRANARY_MODEL_KERNELS_H
#define GRANARY_MODEL_KERNELS_H

#include <granary/base.h>

enum gr_product_start {
    GR_START_ZERO,
    GR_START_ROW, /* each row of c starts from `bias` */
    GR_START_C,   /* c += a b */
};

enum gr_product_finish {
    GR_FINISH_STORE,
    GR_FINISH_RELU, /* c = max(0, sum) */
    GR_FINISH_STEP, /* c += sum - decay * c; the start is zero */
};

/*
 * c[m, n] = a[m, k] b[k, n]. Element (i, l) of a is a[i * a_row + l * a_step], so that a transposed
 * matrix is a matter of strides; rows of b and c are contiguous. m, n, k >= 1.
 */
struct gr_product {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_step;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    enum gr_product_start start;
    enum gr_product_finish finish;
    const float *bias;
    float decay;
};

/* Rows of a tile at most, and its widths. */
enum { GR_TILE_ROWS_MAX = 8, GR_TILE_WIDTHS = 4, GR_TILE_TAIL = 8, GR_TILE_PACK = 16 };

/* Tiles side by side: the product with as many rows as the function is made for, n a multiple of
 * the width. */
typedef void (*gr_tile_function)(const struct gr_product *tile);

/* Tiles of one width. */
struct gr_tile_width {
    size_t width;
    size_t rows;                            /* at most; 0: no such width */
    gr_tile_function run[GR_TILE_ROWS_MAX]; /* by rows - 1 */
};

/* The tiles of an instruction set, widest first, GR_TILE_TAIL the last. */
struct gr_tiles {
    const char *name;
    struct gr_tile_width by_width[GR_TILE_WIDTHS];
};

/* All sets this build holds, best first; n receives their number. */
const struct gr_tiles *const *gr_tiles_all(size_t *n);
/* Whether this processor runs the set. */
bool gr_tiles_supported(const struct gr_tiles *tiles);
/* The best set that this processor, the environment and the other ranks allow. */
const struct gr_tiles *gr_tiles_best(void);

/* pack: room for k * GR_TILE_PACK floats, 64-byte aligned; for widths that leave a remainder. */
void gr_multiply(const struct gr_tiles *tiles, const struct gr_product *product, float *pack);

#endif
