/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multiply: cuts a matrix product into tiles so that what a tile reads lies in the first cache.
 *
 * The inner index is cut into blocks (a block of b stays near while all rows of a pass over it);
 * c carries the unfinished sums from one block to the next, which is exact, so that blocking does
 * not change the bits.
 */
#include <model/kernels.h>

#include <string.h>

enum {
    INNER_BLOCK = 128,     /* rows of b at a time */
    NEAR_BYTES = 24 << 10, /* of b that stay in the first cache while rows of a pass */
    LINE_FLOATS = 16,
};

/* Columns [first, first + width) of c, all rows, with tiles of `width`. */
static void run_column(const struct gr_tiles *tiles, size_t kind, const struct gr_product *p) {
    const size_t rows = tiles->by_width[kind].rows;
    struct gr_product tile = *p;
    for (size_t i = 0; i < p->m; i += rows) {
        tile.m = p->m - i < rows ? p->m - i : rows;
        tile.a = p->a + i * p->a_row;
        tile.c = p->c + i * p->c_row;
        tiles->by_width[kind].run(&tile);
    }
}

/* The last n < GR_TILE_TAIL columns: through padded copies of b and c. */
static void run_tail(const struct gr_tiles *tiles, const struct gr_product *p, float *pack) {
    _Alignas(64) float c[GR_TILE_ROWS_MAX * GR_TILE_TAIL], bias[GR_TILE_TAIL] = {0};
    const size_t rows = tiles->by_width[GR_TILE_WIDTHS - 1].rows;
    struct gr_product tile = *p;
    for (size_t l = 0; l < p->k; l++)
        for (size_t j = 0; j < GR_TILE_TAIL; j++)
            pack[l * GR_TILE_TAIL + j] = j < p->n ? p->b[l * p->b_row + j] : 0.0f;
    if (p->start == GR_START_ROW) memcpy(bias, p->bias, p->n * sizeof *bias);
    tile.b = pack;
    tile.b_row = tile.c_row = tile.n = GR_TILE_TAIL;
    tile.c = c;
    tile.bias = bias;
    for (size_t i = 0; i < p->m; i += rows) {
        float *out = p->c + i * p->c_row;
        tile.m = p->m - i < rows ? p->m - i : rows;
        tile.a = p->a + i * p->a_row;
        memset(c, 0, sizeof c);
        if (p->start == GR_START_C || p->finish == GR_FINISH_STEP)
            for (size_t r = 0; r < tile.m; r++)
                memcpy(c + r * GR_TILE_TAIL, out + r * p->c_row, p->n * sizeof *c);
        tiles->by_width[GR_TILE_WIDTHS - 1].run(&tile);
        for (size_t r = 0; r < tile.m; r++)
            memcpy(out + r * p->c_row, c + r * GR_TILE_TAIL, p->n * sizeof *c);
    }
}

static struct gr_product columns(const struct gr_product *p, size_t first, size_t n) {
    struct gr_product part = *p;
    part.b += first;
    part.c += first;
    part.n = n;
    if (part.start == GR_START_ROW) part.bias += first;
    return part;
}

/* One block of the inner index. */
static void run_block(const struct gr_tiles *tiles, const struct gr_product *p, float *pack) {
    size_t j = 0;
    for (size_t kind = 0; kind < GR_TILE_WIDTHS; kind++) {
        const size_t width = tiles->by_width[kind].width;
        for (; p->n - j >= width; j += width) {
            const struct gr_product part = columns(p, j, width);
            run_column(tiles, kind, &part);
        }
    }
    if (j < p->n) {
        const struct gr_product part = columns(p, j, p->n - j);
        run_tail(tiles, &part, pack);
    }
}

void gr_multiply(const struct gr_tiles *tiles, const struct gr_product *product, float *pack) {
    const size_t blocks = (product->k + INNER_BLOCK - 1) / INNER_BLOCK;
    struct gr_product part = *product;
    if (blocks <= 1) {
        run_block(tiles, product, pack);
        return;
    }
    for (size_t i = 0; i < blocks; i++) {
        const size_t first = product->k * i / blocks, end = product->k * (i + 1) / blocks;
        part.k = end - first;
        part.a = product->a + first * product->a_step;
        part.b = product->b + first * product->b_row;
        part.start = i == 0 ? product->start : GR_START_C;
        part.finish = i + 1 == blocks ? product->finish : GR_FINISH_STORE;
        run_block(tiles, &part, pack);
    }
}
