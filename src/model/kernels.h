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

enum gr_product_finish {
    GR_FINISH_STORE,
    GR_FINISH_RELU, /* c = max(0, sum) */
    GR_FINISH_STEP, /* c += sum - decay * c */
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
    /* Sums of row i of c start from from[i * from_row ..], c itself allowed; NULL: from 0. */
    const float *from;
    size_t from_row; /* 0: one row for all, as biases are */
    enum gr_product_finish finish;
    float decay;
};

/*
 * How a product is cut, so that its operands lie in a cache: rows and columns of c, and steps of
 * the inner index, at a time.
 */
struct gr_blocking {
    size_t rows, columns, inner;
};
/* A block, and where in the whole product its rows, its columns and its inner index begin. */
struct gr_block {
    struct gr_product product;
    size_t row, column, inner;
};
typedef void (*gr_block_function)(const struct gr_block *block, const void *context);

/* Elements of c in a block at most where a step is taken over several blocks of the inner index. */
enum { GR_BLOCK_SUMS = 192 * 240 };

/*
 * Runs all blocks of a product. Unfinished sums go from one block of the inner index to the next by
 * way of c, or where that is needed until they are whole, of `sums`, GR_BLOCK_SUMS floats: which is
 * exact, so that blocking does not change the bits.
 */
void gr_product_blocks(const struct gr_product *product, const struct gr_blocking *blocking,
                       float *sums, gr_block_function run, const void *context);

/* Rows of a tile at most, and its widths. */
enum { GR_TILE_ROWS_MAX = 12, GR_TILE_WIDTHS = 4, GR_TILE_TAIL = 8, GR_TILE_PACK = 16 };

/* Tiles side by side: the product with as many rows as the function is made for, n a multiple of
 * the width. */
typedef void (*gr_tile_function)(const struct gr_product *tile);

/* Tiles of one width. */
struct gr_tile_width {
    size_t width;
    size_t rows;                            /* at most; 0: no such width */
    gr_tile_function run[GR_TILE_ROWS_MAX]; /* by rows - 1 */
};

/* The instruction sets of kernels. Kernels of any kind are chosen by those of the tiles. */
enum gr_vectors { GR_VECTORS_PORTABLE, GR_VECTORS_AVX2, GR_VECTORS_AVX512 };

/* The tiles of an instruction set, widest first, GR_TILE_TAIL the last. */
struct gr_tiles {
    const char *name;
    enum gr_vectors vectors;
    struct gr_tile_width by_width[GR_TILE_WIDTHS];
};

/* All sets this build holds, best first; n receives their number. */
const struct gr_tiles *const *gr_tiles_all(size_t *n);
/* Whether this processor runs the set. */
bool gr_tiles_supported(const struct gr_tiles *tiles);
/* The best set that this processor, the environment and the other ranks allow. */
const struct gr_tiles *gr_tiles_best(void);
/* The tiles whose operands are pairs of bfloat16 (pairs.h); NULL where they may not run. */
const struct gr_tiles *gr_tiles_bfloat16(void);

/* pack: room for GR_BLOCK_SUMS + k * GR_TILE_PACK floats, 64-byte aligned: for sums, and for widths
 * that leave a remainder. */
void gr_multiply(const struct gr_tiles *tiles, const struct gr_product *product, float *pack);

#endif
