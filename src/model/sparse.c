/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse: a row of c at a time lies in registers, up to 13 vectors of it; the bits of a mask are
 * the rows of b that are added to it.
 */
#include <model/sparse.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx2,fma,bmi,popcnt")))
#define AVX2   __attribute__((target("avx2,fma,bmi,popcnt")))
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n) _Pragma("GCC unroll 13") for (size_t i = 0; i < (n); i++)

enum {
    BLOCK = GR_SPARSE_BLOCK,
    VECTORS_MAX = 13, /* of a row of c: they hide the latency, and leave registers for factors */
    ROW_BLOCK = 96,   /* of c */
    INNER_BLOCKS = 2, /* of the inner index, at a time */
};
_Static_assert(ROW_BLOCK *VECTORS_MAX * 16 <= (int)GR_BLOCK_SUMS, "sums have room");

/* Columns of c, and blocks of the inner index, of which all pointers are to the first. */
struct part {
    const struct gr_product *product;
    const uint32_t *masks; /* of the first row */
    size_t stride;         /* to those of its next block */
    size_t blocks;
    size_t last; /* column with which a row's last vector begins */
};

struct gr_sparse_kernels {
    size_t lanes;
    size_t near;      /* floats of b that stay in the first cache */
    size_t width_min; /* of c, below which walking the masks costs more than it saves */
    size_t tenths; /* of a batch that may be other than zero; as fast as all of it from there on */
    void (*find)(struct gr_sparse *sparse, const float *x, size_t first_row, size_t first);
    void (*run[VECTORS_MAX])(const struct part *part); /* by vectors - 1 */
};

/* ---- where x is not zero ------------------------------------------------------------------- */

/*
 * Of one row block, the masks by row, and one by column for as many columns as a vector has lanes.
 * A word of 32 columns is filled by several calls: the lowest part comes first and overwrites
 * whatever the last batch left there. A NaN is not zero.
 */
AVX512 static void find_avx512(struct gr_sparse *sparse, const float *x, size_t first_row,
                               size_t first) {
    enum { LANES = 16 };
    const size_t columns = sparse->columns, rows = sparse->rows, n = columns - first;
    const size_t end = rows - first_row < BLOCK ? rows : first_row + BLOCK;
    const __mmask16 there = (__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff);
    uint32_t *by_row = sparse->by_row + first / BLOCK * rows;
    const size_t shift = first % BLOCK;
    __m512i bits = _mm512_setzero_si512();
    for (size_t i = first_row; i < end; i++) {
        const __m512 some = _mm512_maskz_loadu_ps(there, x + i * columns + first);
        const __mmask16 mask =
            _mm512_mask_cmp_ps_mask(there, some, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        const __m512i bit = _mm512_set1_epi32((int)(1u << (i - first_row)));
        bits = _mm512_mask_or_epi32(bits, mask, bits, bit);
        by_row[i] = (shift ? by_row[i] : 0) | (uint32_t)mask << shift;
        sparse->count += (size_t)__builtin_popcount(mask);
    }
    _mm512_mask_storeu_epi32(sparse->by_column + first_row / BLOCK * columns + first, there, bits);
}

/* The first n lanes, at most 8. */
AVX2 static inline __m256i lanes_avx2(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

AVX2 static void find_avx2(struct gr_sparse *sparse, const float *x, size_t first_row,
                           size_t first) {
    enum { LANES = 8 };
    const size_t columns = sparse->columns, rows = sparse->rows, n = columns - first;
    const size_t end = rows - first_row < BLOCK ? rows : first_row + BLOCK;
    const __m256i there = lanes_avx2(n < LANES ? n : LANES);
    uint32_t *by_row = sparse->by_row + first / BLOCK * rows;
    const size_t shift = first % BLOCK;
    __m256i bits = _mm256_setzero_si256(), bit = _mm256_set1_epi32(1);
    for (size_t i = first_row; i < end; i++, bit = _mm256_slli_epi32(bit, 1)) {
        const float *const from = x + i * columns + first;
        const __m256 some = n < LANES ? _mm256_maskload_ps(from, there) : _mm256_loadu_ps(from);
        const __m256 found = _mm256_cmp_ps(some, _mm256_setzero_ps(), _CMP_NEQ_UQ);
        const uint32_t mask = (uint32_t)_mm256_movemask_ps(found);
        bits = _mm256_or_si256(bits, _mm256_and_si256(_mm256_castps_si256(found), bit));
        by_row[i] = (shift ? by_row[i] : 0) | mask << shift;
        sparse->count += (size_t)__builtin_popcount(mask);
    }
    uint32_t *const by_column = sparse->by_column + first_row / BLOCK * columns + first;
    if (n < LANES)
        _mm256_maskstore_epi32((int *)by_column, there, bits);
    else
        _mm256_storeu_si256((__m256i_u *)by_column, bits);
}

static size_t blocks_of(size_t n) {
    return (n + GR_SPARSE_BLOCK - 1) / GR_SPARSE_BLOCK;
}

/* All of the batch, row block by row block, so that a block's column masks are finished in
 * registers. */
gr_status gr_sparse_find(struct gr_sparse *sparse, const struct gr_sparse_kernels *kernels,
                         const float *x, size_t rows, size_t columns) {
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
    sparse->pays = true;
    for (size_t i = 0; i < rows && sparse->pays; i += BLOCK) {
        const size_t done = rows - i < BLOCK ? rows : i + BLOCK;
        for (size_t l = 0; l < columns; l += kernels->lanes)
            kernels->find(sparse, x, i, l);
        sparse->pays = sparse->count <= done * columns / 10 * kernels->tenths;
    }
out:
    return status;
}

/* ---- products ------------------------------------------------------------------------------ */

/* The operations of the two instruction sets by their widths in bits. */
#define VECTOR_512                __m512
#define LOAD_512(row)             _mm512_loadu_ps(row)
#define STORE_512(row, x)         _mm512_storeu_ps(row, x)
#define SET_512(x)                _mm512_set1_ps(x)
#define ADD_512(x, y)             _mm512_add_ps(x, y)
#define FUSED_512(factor, x, sum) _mm512_fmadd_ps(factor, x, sum)
#define VECTOR_256                __m256
#define LOAD_256(row)             _mm256_loadu_ps(row)
#define STORE_256(row, x)         _mm256_storeu_ps(row, x)
#define SET_256(x)                _mm256_set1_ps(x)
#define ADD_256(x, y)             _mm256_add_ps(x, y)
#define FUSED_256(factor, x, sum) _mm256_fmadd_ps(factor, x, sum)
/* A NaN stays a NaN. */
#define RELU_512(x)                                                                                \
    _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LE_OQ),                  \
                       _mm512_setzero_ps())
#define RELU_256(x) _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LE_OQ), x)

/*
 * Where vector j of a row begins. The last one ends with the row and may cover columns of the one
 * before again, with the same sums: a mask would cost as much as all other loads on some
 * processors.
 */
#define AT(vectors, j) ((j) + 1 < (vectors) ? LANES * (j) : last)

/* The part's members are read before the first store, which might alias them. */
#define DEFINE_PART(isa, bits, vectors)                                                            \
    isa static void part_##bits##_##vectors(const struct part *part) {                             \
        enum { LANES = (bits) / 32 };                                                              \
        const struct gr_product p = *part->product;                                                \
        const uint32_t *const masks = part->masks;                                                 \
        const size_t blocks = part->blocks, stride = part->stride;                                 \
        const size_t last = part->last;                                                            \
        const VECTOR_##bits decay = SET_##bits(-p.decay);                                          \
        for (size_t i = 0; i < p.m; i++) {                                                         \
            float *const c = p.c + i * p.c_row;                                                    \
            const float *const from = p.from ? p.from + i * p.from_row : NULL;                     \
            VECTOR_##bits sum[vectors];                                                            \
            EACH(j, vectors)                                                                       \
            sum[j] = from ? LOAD_##bits(from + AT(vectors, j)) : SET_##bits(0.0f);                 \
            for (size_t block = 0; block < blocks; block += 2) {                                   \
                const float *const a = p.a + i * p.a_row + block * BLOCK * p.a_step;               \
                const float *const b = p.b + block * BLOCK * p.b_row;                              \
                const uint32_t *const words = masks + block * stride + i;                          \
                uint64_t mask = words[0];                                                          \
                if (block + 1 < blocks) mask |= (uint64_t)words[stride] << BLOCK;                  \
                for (; mask > 0; mask &= mask - 1) {                                               \
                    const size_t l = (size_t)__builtin_ctzll(mask);                                \
                    const float *const row = b + l * p.b_row;                                      \
                    const VECTOR_##bits factor = SET_##bits(a[l * p.a_step]);                      \
                    EACH(j, vectors)                                                               \
                    sum[j] = FUSED_##bits(factor, LOAD_##bits(row + AT(vectors, j)), sum[j]);      \
                }                                                                                  \
            }                                                                                      \
            if (p.finish == GR_FINISH_RELU) EACH(j, vectors) sum[j] = RELU_##bits(sum[j]);         \
            if (p.finish == GR_FINISH_STEP) EACH(j, vectors) {                                     \
                    const VECTOR_##bits before = LOAD_##bits(c + AT(vectors, j));                  \
                    if (p.decay != 0.0f) sum[j] = FUSED_##bits(decay, before, sum[j]);             \
                    sum[j] = ADD_##bits(before, sum[j]);                                           \
                }                                                                                  \
            EACH(j, vectors) STORE_##bits(c + AT(vectors, j), sum[j]);                             \
        }                                                                                          \
    }

#define DEFINE_PARTS(isa, bits)                                                                    \
    DEFINE_PART(isa, bits, 1)                                                                      \
    DEFINE_PART(isa, bits, 2)                                                                      \
    DEFINE_PART(isa, bits, 3)                                                                      \
    DEFINE_PART(isa, bits, 4)                                                                      \
    DEFINE_PART(isa, bits, 5)                                                                      \
    DEFINE_PART(isa, bits, 6)                                                                      \
    DEFINE_PART(isa, bits, 7)                                                                      \
    DEFINE_PART(isa, bits, 8)                                                                      \
    DEFINE_PART(isa, bits, 9)                                                                      \
    DEFINE_PART(isa, bits, 10)                                                                     \
    DEFINE_PART(isa, bits, 11)                                                                     \
    DEFINE_PART(isa, bits, 12)                                                                     \
    DEFINE_PART(isa, bits, 13)
DEFINE_PARTS(AVX512, 512)
DEFINE_PARTS(AVX2, 256)
#define LIST_PARTS(bits)                                                                           \
    {                                                                                              \
        part_##bits##_1, part_##bits##_2, part_##bits##_3, part_##bits##_4, part_##bits##_5,       \
            part_##bits##_6, part_##bits##_7, part_##bits##_8, part_##bits##_9, part_##bits##_10,  \
            part_##bits##_11, part_##bits##_12, part_##bits##_13                                   \
    }

static const struct gr_sparse_kernels avx512 = {16, 7 << 10, 64, 7, find_avx512, LIST_PARTS(512)};
static const struct gr_sparse_kernels avx2 = {8, 7 << 10, 64, 6, find_avx2, LIST_PARTS(256)};

/*
 * Columns at a time: as many as registers hold, or fewer if so b's rows come to stay in the first
 * cache, dealt evenly; and never a last part that is less than a vector. 0: some widths cannot be
 * dealt like that, as 6721 by vectors of 16.
 */
static size_t columns_of(const struct gr_sparse_kernels *kernels, size_t n) {
    const size_t lanes = kernels->lanes,
                 near = kernels->near / ((size_t)INNER_BLOCKS * BLOCK * lanes);
    const size_t most = near < VECTORS_MAX / 2 || near > VECTORS_MAX ? VECTORS_MAX : near;
    const size_t all = (n + lanes - 1) / lanes, n_parts = (all + most - 1) / most;
    size_t columns = (all + n_parts - 1) / n_parts * lanes;
    while (columns > 0 && n % columns > 0 && n % columns < lanes)
        columns -= lanes;
    return columns;
}

const struct gr_sparse_kernels *gr_sparse_kernels_of(const struct gr_tiles *tiles, size_t width) {
    static const struct gr_sparse_kernels *const by_vectors[] = {NULL, &avx2, &avx512};
    const struct gr_sparse_kernels *kernels = by_vectors[tiles->vectors];
    if (!kernels || width < kernels->width_min || columns_of(kernels, width) == 0) return NULL;
    return kernels;
}

struct sparse_context {
    const struct gr_sparse_kernels *kernels;
    const uint32_t *masks; /* of all rows */
    size_t rows;
};

static void run_block(const struct gr_block *block, const void *opaque) {
    const struct sparse_context *context = opaque;
    const size_t n = block->product.n, lanes = context->kernels->lanes;
    const size_t vectors = (n + lanes - 1) / lanes;
    const struct part part = {.product = &block->product,
                              .masks = context->masks + block->inner / BLOCK * context->rows +
                                       block->row,
                              .stride = context->rows,
                              .blocks = blocks_of(block->product.k),
                              .last = n - lanes};
    context->kernels->run[vectors - 1](&part);
}

void gr_sparse_multiply(const struct gr_sparse_kernels *kernels, const struct gr_product *p,
                        const uint32_t *masks, float *pack) {
    const struct sparse_context context = {kernels, masks, p->m};
    const struct gr_blocking blocking = {ROW_BLOCK, columns_of(kernels, p->n),
                                         (size_t)INNER_BLOCKS * BLOCK};
    gr_product_blocks(p, &blocking, pack, run_block, &context);
}

#else

const struct gr_sparse_kernels *gr_sparse_kernels_of(const struct gr_tiles *tiles, size_t width) {
    (void)tiles;
    (void)width;
    return NULL;
}

gr_status gr_sparse_find(struct gr_sparse *sparse, const struct gr_sparse_kernels *kernels,
                         const float *x, size_t rows, size_t columns) {
    (void)kernels;
    (void)x;
    *sparse = (struct gr_sparse){.rows = rows, .columns = columns, .count = rows * columns};
    return GR_OK;
}

void gr_sparse_multiply(const struct gr_sparse_kernels *kernels, const struct gr_product *p,
                        const uint32_t *masks, float *pack) {
    (void)pack;
    (void)kernels;
    (void)p;
    (void)masks;
}

#endif

void gr_sparse_release(struct gr_sparse *sparse) {
    gr_free(sparse->by_row);
    gr_free(sparse->by_column);
    *sparse = (struct gr_sparse){0};
}
