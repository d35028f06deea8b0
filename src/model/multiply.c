/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multiply: cuts a matrix product into blocks that lie in the second cache, and these into tiles,
 * so that b's columns lie in the first while rows of a pass by.
 */
#include <model/kernels.h>

#include <string.h>

enum {
    ROW_BLOCK = 96,        /* of a and c, a multiple of the rows of all tiles */
    INNER_BLOCK = 128,     /* rows of b at a time */
    STEP_ROWS = 192,       /* of c, with sums beside it */
    STEP_COLUMNS = 240,    /* idem, a multiple of the widths of the widest tiles */
    STEP_INNER = 64,       /* idem: a is read by columns, and each lies in another page */
    NEAR_FLOATS = 4 << 10, /* of b that stay in the first cache while rows of a pass by */
};
_Static_assert((int)STEP_ROWS *(int)STEP_COLUMNS <= (int)GR_BLOCK_SUMS, "sums have room");

/* ---- blocks -------------------------------------------------------------------------------- */

static size_t count_of(size_t n, size_t block) {
    return (n + block - 1) / block;
}

/* All of the inner index, `length` steps at a time, over some rows and columns of c. */
static void run_inner(struct gr_block *block, const struct gr_product *p, size_t length,
                      float *sums, gr_block_function run, const void *context) {
    struct gr_product *part = &block->product;
    const struct gr_product whole = *part;
    const bool apart = p->finish == GR_FINISH_STEP && length < p->k;
    for (size_t first = 0; first < p->k; first += length) {
        const bool last = first + length >= p->k;
        part->k = last ? p->k - first : length;
        part->a = whole.a + first * p->a_step;
        part->b = whole.b + first * p->b_row;
        part->finish = last ? p->finish : GR_FINISH_STORE;
        part->c = apart && !last ? sums : whole.c;
        part->c_row = apart && !last ? part->n : whole.c_row;
        block->inner = first;
        run(block, context);
        part->from = part->c;
        part->from_row = part->c_row;
    }
}

void gr_product_blocks(const struct gr_product *p, const struct gr_blocking *blocking, float *sums,
                       gr_block_function run, const void *context) {
    for (size_t column = 0; column < p->n; column += blocking->columns)
        for (size_t row = 0; row < p->m; row += blocking->rows) {
            struct gr_block block = {*p, row, column, 0};
            struct gr_product *part = &block.product;
            part->m = p->m - row < blocking->rows ? p->m - row : blocking->rows;
            part->n = p->n - column < blocking->columns ? p->n - column : blocking->columns;
            part->a += row * p->a_row;
            part->b += column;
            part->c += row * p->c_row + column;
            if (part->from) part->from += row * p->from_row + column;
            run_inner(&block, p, blocking->inner, sums, run, context);
        }
}

/* ---- tiles --------------------------------------------------------------------------------- */

/* The part of a product over n columns of b and c from `first` on. */
static struct gr_product columns(const struct gr_product *p, size_t first, size_t n) {
    struct gr_product part = *p;
    part.b += first;
    part.c += first;
    part.n = n;
    if (part.from) part.from += first;
    return part;
}

/*
 * Runs tiles over rows [0, m) of one column of tiles, or of those that lie `near`; p->n is a
 * multiple of the width. Rows are dealt evenly, for a tile of one row wastes most of the registers.
 */
static void run_columns(const struct gr_tile_width *kind, const struct gr_product *p) {
    const size_t n_tiles = count_of(p->m, kind->rows);
    const size_t fitting = NEAR_FLOATS / p->k / kind->width * kind->width;
    const size_t near = fitting > kind->width ? fitting : kind->width;
    for (size_t first = 0; first < p->n; first += near) {
        const struct gr_product strip =
            columns(p, first, p->n - first < near ? p->n - first : near);
        struct gr_product tile = strip;
        for (size_t t = 0, i = 0; t < n_tiles; t++, i += tile.m) {
            tile.m = p->m * (t + 1) / n_tiles - i;
            tile.a = strip.a + i * p->a_row;
            tile.c = strip.c + i * p->c_row;
            if (strip.from) tile.from = strip.from + i * p->from_row;
            kind->run[tile.m - 1](&tile);
        }
    }
}

/* to[m, n] = from[m, n], a few columns: by columns, so that no call is made for each row. */
static void copy(const float *from, size_t from_row, float *to, size_t to_row, size_t m, size_t n) {
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++)
            to[i * to_row + j] = from[i * from_row + j];
}

/* The last columns, fewer than the width: through padded copies of b, c and where sums start. */
static void run_tail(const struct gr_tile_width *kind, const struct gr_product *p, float *pack) {
    _Alignas(64) float c[GR_TILE_ROWS_MAX * GR_TILE_PACK] = {0};
    _Alignas(64) float from[GR_TILE_ROWS_MAX * GR_TILE_PACK] = {0};
    const size_t width = kind->width;
    struct gr_product tile = *p;
    memset(pack, 0, p->k * width * sizeof *pack);
    copy(p->b, p->b_row, pack, width, p->k, p->n);
    tile.n = tile.b_row = tile.c_row = tile.from_row = width;
    tile.b = pack;
    tile.c = c;
    if (p->from) tile.from = from;
    for (size_t i = 0; i < p->m; i += tile.m) {
        float *out = p->c + i * p->c_row;
        tile.m = p->m - i < kind->rows ? p->m - i : kind->rows;
        tile.a = p->a + i * p->a_row;
        if (p->from) copy(p->from + i * p->from_row, p->from_row, from, width, tile.m, p->n);
        if (p->finish == GR_FINISH_STEP) copy(out, p->c_row, c, width, tile.m, p->n);
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

/* Tiles, and room for a tail of b. */
struct tile_context {
    const struct gr_tiles *tiles;
    float *pack;
};

static void run_block(const struct gr_block *block, const void *opaque) {
    const struct tile_context *context = opaque;
    const struct gr_product *p = &block->product;
    const struct gr_tile_width *kind = context->tiles->by_width;
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
        run_tail(&kind[w], &part, context->pack);
    }
}

void gr_multiply(const struct gr_tiles *tiles, const struct gr_product *product, float *pack) {
    const struct tile_context context = {tiles, pack + GR_BLOCK_SUMS};
    const bool apart = product->finish == GR_FINISH_STEP && product->k > INNER_BLOCK;
    const size_t inner = apart ? STEP_INNER : INNER_BLOCK;
    /* The inner index is dealt evenly: a short last block costs as much of c as a long one. */
    const struct gr_blocking blocking = {apart ? STEP_ROWS : ROW_BLOCK,
                                         apart ? STEP_COLUMNS : product->n,
                                         count_of(product->k, count_of(product->k, inner))};
    gr_product_blocks(product, &blocking, pack, run_block, &context);
}
