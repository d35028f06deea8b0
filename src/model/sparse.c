/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse: a row of c at a time lies in registers, up to 13 vectors of it; the bits of a mask are
 * the rows of b that are added to it.
 */
#include <model/sparse.h>

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx2,fma,bmi,popcnt")))
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n) _Pragma("GCC unroll 13") for (size_t i = 0; i < (n); i++)

enum {
    BLOCK = GR_SPARSE_BLOCK,
    LANES = 16,
    VECTORS_MAX = 13,      /* of a row of c: there are 32 registers, and 13 hide the latency */
    NEAR_FLOATS = 7 << 10, /* of b, that stay in the first cache */
    WIDTH_MIN = 64,        /* of c, below which walking the masks costs more than it saves */
};

bool gr_sparse_pays(const struct gr_tiles *tiles, size_t width) {
    return strcmp(tiles->name, "avx512") == 0 && width >= WIDTH_MIN;
}

/* ---- where x is not zero ------------------------------------------------------------------- */

/* Which of up to 16 numbers; a NaN is not zero. */
AVX512 static __mmask16 not_zero(const float *x, size_t n) {
    const __mmask16 there = (__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff);
    return _mm512_mask_cmp_ps_mask(there, _mm512_maskz_loadu_ps(there, x), _mm512_setzero_ps(),
                                   _CMP_NEQ_UQ);
}

/*
 * Of one row block, the masks by row, and one by column for each of 16 columns. A word of 32
 * columns is filled by two calls of 16: the lower half comes first and overwrites whatever the last
 * batch left there.
 */
AVX512 static void find_columns(struct gr_sparse *sparse, const float *x, size_t first_row,
                                size_t first) {
    const size_t columns = sparse->columns, rows = sparse->rows, n = columns - first;
    const size_t end = rows - first_row < BLOCK ? rows : first_row + BLOCK;
    uint32_t *by_row = sparse->by_row + first / BLOCK * rows;
    uint32_t *by_column = sparse->by_column + first_row / BLOCK * columns + first;
    const size_t shift = first % BLOCK;
    __m512i bits = _mm512_setzero_si512();
    for (size_t i = first_row; i < end; i++) {
        const __mmask16 mask = not_zero(x + i * columns + first, n);
        const __m512i bit = _mm512_set1_epi32((int)(1u << (i - first_row)));
        bits = _mm512_mask_or_epi32(bits, mask, bits, bit);
        by_row[i] = (shift ? by_row[i] : 0) | (uint32_t)mask << shift;
        sparse->count += (size_t)__builtin_popcount(mask);
    }
    const __mmask16 there = (__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff);
    _mm512_mask_storeu_epi32(by_column, there, bits);
}

static size_t blocks_of(size_t n) {
    return (n + GR_SPARSE_BLOCK - 1) / GR_SPARSE_BLOCK;
}

/* All of the batch, row block by row block, so that a block's column masks are finished in
 * registers. */
gr_status gr_sparse_find(struct gr_sparse *sparse, const float *x, size_t rows, size_t columns) {
    gr_status status = GR_OK;
    if (rows > sparse->room) {
        gr_sparse_release(sparse);
        GR_TRY(gr_allocate(blocks_of(columns), rows * sizeof(uint32_t), "masks of a batch",
                           &sparse->by_row));
        GR_TRY(gr_allocate(blocks_of(rows), columns * sizeof(uint32_t), "masks of a batch",
                           &sparse->by_column));
        sparse->room = rows;
    }
    sparse->rows = rows;
    sparse->columns = columns;
    sparse->count = 0;
    for (size_t i = 0; i < rows; i += BLOCK)
        for (size_t l = 0; l < columns; l += LANES)
            find_columns(sparse, x, i, l);
out:
    return status;
}

/* ---- products ------------------------------------------------------------------------------ */

/* Columns of c, and blocks of the inner index, of which all pointers are to the first. */
struct part {
    struct gr_product product;
    const uint32_t *masks; /* of the first row; those of its next block are m further */
    size_t blocks;
    __mmask16 last; /* lanes of a row's last vector */
};

/* A sum as it goes into c. */
AVX512 static inline __attribute__((always_inline)) __m512
finish(const struct gr_product *p, __m512 sum, __mmask16 there, const float *c) {
    const __m512 zero = _mm512_setzero_ps();
    if (p->finish == GR_FINISH_RELU) /* a NaN stays a NaN */
        return _mm512_mask_mov_ps(sum, _mm512_cmp_ps_mask(sum, zero, _CMP_LE_OQ), zero);
    if (p->finish != GR_FINISH_STEP) return sum;
    const __m512 before = _mm512_maskz_loadu_ps(there, c);
    if (p->decay != 0.0f) sum = _mm512_fmadd_ps(_mm512_set1_ps(-p->decay), before, sum);
    return _mm512_add_ps(before, sum);
}

/* Vector j of a row of `vectors`, of whose last only some lanes are there. */
#define LOAD(vectors, row, j)                                                                      \
    ((j) + 1 < (vectors) ? _mm512_loadu_ps((row) + LANES * (j))                                    \
                         : _mm512_maskz_loadu_ps(last, (row) + LANES * (j)))

/* The part's members are read before the first store, which might alias them. */
#define DEFINE_PART(vectors)                                                                       \
    AVX512 static void part_##vectors(const struct part *part) {                                   \
        const struct gr_product p = part->product;                                                 \
        const uint32_t *const masks = part->masks;                                                 \
        const size_t blocks = part->blocks;                                                        \
        const __mmask16 last = part->last;                                                         \
        for (size_t i = 0; i < p.m; i++) {                                                         \
            float *const c = p.c + i * p.c_row;                                                    \
            const float *const from = p.start == GR_START_ROW ? p.bias : c;                        \
            __m512 sum[vectors];                                                                   \
            EACH(j, vectors)                                                                       \
            sum[j] = p.start == GR_START_ZERO ? _mm512_setzero_ps() : LOAD(vectors, from, j);      \
            for (size_t block = 0; block < blocks; block++)                                        \
                for (uint32_t mask = masks[block * p.m + i]; mask > 0; mask &= mask - 1) {         \
                    const size_t l = block * BLOCK + (size_t)__builtin_ctz(mask);                  \
                    const float *const row = p.b + l * p.b_row;                                    \
                    const __m512 factor = _mm512_set1_ps(p.a[i * p.a_row + l * p.a_step]);         \
                    EACH(j, vectors)                                                               \
                    sum[j] = _mm512_fmadd_ps(factor, LOAD(vectors, row, j), sum[j]);               \
                }                                                                                  \
            EACH(j, vectors) {                                                                     \
                const __mmask16 there = j + 1 < (vectors) ? 0xffff : last;                         \
                const __m512 finished = finish(&p, sum[j], there, c + LANES * j);                  \
                _mm512_mask_storeu_ps(c + LANES * j, there, finished);                             \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_PART(1)
DEFINE_PART(2)
DEFINE_PART(3)
DEFINE_PART(4)
DEFINE_PART(5)
DEFINE_PART(6)
DEFINE_PART(7)
DEFINE_PART(8)
DEFINE_PART(9)
DEFINE_PART(10)
DEFINE_PART(11)
DEFINE_PART(12)
DEFINE_PART(13)
static void (*const parts[VECTORS_MAX])(const struct part *) = {
    part_1, part_2, part_3,  part_4,  part_5,  part_6, part_7,
    part_8, part_9, part_10, part_11, part_12, part_13};

/* Columns [left, left + width) of c, so many blocks of the inner index at a time. c carries the
 * sums from one group of blocks to the next, as in multiply.c. */
static void multiply_columns(const struct gr_product *p, const uint32_t *masks, size_t left,
                             size_t width, size_t blocks) {
    const size_t vectors = (width + LANES - 1) / LANES, rest = width - (vectors - 1) * LANES;
    const size_t all = blocks_of(p->k);
    struct part part = {*p, masks, blocks, (__mmask16)((1u << rest) - 1)};
    part.product.c += left;
    if (p->start == GR_START_ROW) part.product.bias += left;
    for (size_t first = 0; first < all; first += blocks) {
        part.masks = masks + first * p->m;
        part.product.a = p->a + first * BLOCK * p->a_step;
        part.product.b = p->b + first * BLOCK * p->b_row + left;
        part.product.start = first == 0 ? p->start : GR_START_C;
        part.product.finish = first + blocks >= all ? p->finish : GR_FINISH_STORE;
        parts[vectors - 1](&part);
    }
}

void gr_sparse_multiply(const struct gr_product *p, const uint32_t *masks) {
    /* A step needs what c held until its sum is whole. */
    const size_t blocks = p->finish == GR_FINISH_STEP ? blocks_of(p->k) : 1;
    /* As wide as registers hold; or half as wide, if so b's rows come to stay in the first cache.
     */
    const size_t near = NEAR_FLOATS / (blocks * BLOCK * LANES);
    const size_t most = near < VECTORS_MAX / 2 || near > VECTORS_MAX ? VECTORS_MAX : near;
    const size_t all = (p->n + LANES - 1) / LANES, n_parts = (all + most - 1) / most;
    const size_t width = (all + n_parts - 1) / n_parts * LANES;
    for (size_t left = 0; left < p->n; left += width)
        multiply_columns(p, masks, left, p->n - left < width ? p->n - left : width, blocks);
}

#else

bool gr_sparse_pays(const struct gr_tiles *tiles, size_t width) {
    (void)tiles;
    (void)width;
    return false;
}

gr_status gr_sparse_find(struct gr_sparse *sparse, const float *x, size_t rows, size_t columns) {
    (void)x;
    *sparse = (struct gr_sparse){.rows = rows, .columns = columns, .count = rows * columns};
    return GR_OK;
}

void gr_sparse_multiply(const struct gr_product *p, const uint32_t *masks) {
    (void)p;
    (void)masks;
}

#endif

void gr_sparse_release(struct gr_sparse *sparse) {
    gr_free(sparse->by_row);
    gr_free(sparse->by_column);
    *sparse = (struct gr_sparse){0};
}
