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
    NEAR_FLOATS = 4 << 10, /* of b that stay in the first cache while rows of a pass by */
};

/*
 * Runs tiles over rows [0, m) of one column of tiles, or of those that lie `near`; p->n is a
 * multiple of the width. Rows are dealt evenly, for a tile of one row wastes most of the registers.
 */
static void run_columns(const struct gr_tile_width *kind, const struct gr_product *p) {
    const size_t n_tiles = (p->m + kind->rows - 1) / kind->rows;
    const size_t fitting = NEAR_FLOATS / p->k / kind->width * kind->width;
    const size_t near = fitting > kind->width ? fitting : kind->width;
    struct gr_product tile = *p;
    for (size_t first = 0; first < p->n; first += near) {
        tile.n = p->n - first < near ? p->n - first : near;
        tile.b = p->b + first;
        if (p->start == GR_START_ROW) tile.bias = p->bias + first;
        for (size_t t = 0, i = 0; t < n_tiles; t++, i += tile.m) {
            tile.m = p->m * (t + 1) / n_tiles - i;
            tile.a = p->a + i * p->a_row;
            tile.c = p->c + i * p->c_row + first;
            kind->run[tile.m - 1](&tile);
        }
    }
}

/* The part of a product over n columns of b and c from `first` on. */
static struct gr_product columns(const struct gr_product *p, size_t first, size_t n) {
    struct gr_product part = *p;
    part.b += first;
    part.c += first;
    part.n = n;
    if (part.start == GR_START_ROW) part.bias += first;
    return part;
}

/* to[m, n] = from[m, n], a few columns: by columns, so that no call is made for each row. */
static void copy(const float *from, size_t from_row, float *to, size_t to_row, size_t m, size_t n) {
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++)
            to[i * to_row + j] = from[i * from_row + j];
}

/* The last columns, fewer than the width: through padded copies of b and c. */
static void run_tail(const struct gr_tile_width *kind, const struct gr_product *p, float *pack) {
    _Alignas(64) float c[GR_TILE_ROWS_MAX * GR_TILE_PACK] = {0}, bias[GR_TILE_PACK] = {0};
    const size_t width = kind->width;
    struct gr_product tile = *p;
    memset(pack, 0, p->k * width * sizeof *pack);
    copy(p->b, p->b_row, pack, width, p->k, p->n);
    if (p->start == GR_START_ROW) copy(p->bias, p->n, bias, width, 1, p->n);
    tile.n = tile.b_row = tile.c_row = width;
    tile.b = pack;
    tile.c = c;
    tile.bias = bias;
    for (size_t i = 0; i < p->m; i += tile.m) {
        float *out = p->c + i * p->c_row;
        tile.m = p->m - i < kind->rows ? p->m - i : kind->rows;
        tile.a = p->a + i * p->a_row;
        if (p->start == GR_START_C || p->finish == GR_FINISH_STEP)
            copy(out, p->c_row, c, width, tile.m, p->n);
        kind->run[tile.m - 1](&tile);
        copy(c, width, out, p->c_row, tile.m, p->n);
    }
}

/*
 * How many of n columns tiles of width w take. The narrowest is the slowest: a wide tile less, if
 * the next width divides what remains better.
 */
static size_t share(const struct gr_tile_width *kind, size_t w, size_t n) {
    const size_t width = kind[w].width;
    if (kind[w].rows == 0) return 0;
    const size_t rest = n % width;
    if (w + 1 == GR_TILE_WIDTHS) /* a tail of the width before takes all, rather than two tiles */
        return rest > 0 && kind[w - 1].rows > 0 ? 0 : n - rest;
    const size_t next = kind[w + 1].width;
    const bool widest = w == 0 || kind[w - 1].rows == 0;
    if (widest && n > width && rest >= GR_TILE_TAIL && rest < next &&
        (rest + width) % next < GR_TILE_TAIL)
        return n - rest - width;
    return n - rest;
}

/* One block of the inner index. */
static void run_block(const struct gr_tiles *tiles, const struct gr_product *p, float *pack) {
    const struct gr_tile_width *kind = tiles->by_width;
    size_t first = 0;
    for (size_t w = 0; w < GR_TILE_WIDTHS; w++) {
        const size_t n = share(kind, w, p->n - first);
        const struct gr_product part = columns(p, first, n);
        if (n > 0) run_columns(&kind[w], &part);
        first += n;
    }
    if (first < p->n) {
        const size_t last = GR_TILE_WIDTHS - 1;
        const size_t w = p->n - first > GR_TILE_TAIL && kind[last - 1].rows > 0 ? last - 1 : last;
        const struct gr_product part = columns(p, first, p->n - first);
        run_tail(&kind[w], &part, pack);
    }
}

void gr_multiply(const struct gr_tiles *tiles, const struct gr_product *product, float *pack) {
    const size_t blocks = (product->k + INNER_BLOCK - 1) / INNER_BLOCK;
    struct gr_product part = *product;
    /* A step needs what c held until its sum is whole. */
    if (blocks <= 1 || product->finish == GR_FINISH_STEP) {
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
