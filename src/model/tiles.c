/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiles: the innermost loops of matrix products, once for each instruction set.
 *
 * A tile of c stays in registers while the inner index runs; each step broadcasts one column of a
 * and loads one row of b. Tile shapes keep at least eight sums in flight (latency 4, two units) and
 * stay below one load per multiply-add.
 */
#include <model/instructions.h>
#include <model/kernels.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float vector8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vector16 __attribute__((vector_size(64), aligned(4), may_alias));

/*
 * sum + factor * row. Fused by name where the instruction set has it: what a compiler fuses on its
 * own differs from one to the next, and with it the bits.
 */
#define FUSED_8(factor, row, sum)                                                                  \
    ((vector8)_mm256_fmadd_ps(_mm256_set1_ps(factor), (__m256)(row), (__m256)(sum)))
#define FUSED_16(factor, row, sum)                                                                 \
    ((vector16)_mm512_fmadd_ps(_mm512_set1_ps(factor), (__m512)(row), (__m512)(sum)))
#define PLAIN(factor, row, sum) ((sum) + (factor) * (row))
/* The same of pairs of bfloat16, see pairs.h. */
#define PAIRED_8(factor, row, sum)                                                                 \
    ((vector8)_mm256_dpbf16_ps((__m256)(sum), (__m256bh)(row), (__m256bh)_mm256_set1_ps(factor)))
#define PAIRED_16(factor, row, sum)                                                                \
    ((vector16)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(row), (__m512bh)_mm512_set1_ps(factor)))

/* By masking, so that a NaN stays a NaN. */
#define RELU(x) ((__typeof__(x))((__typeof__((x) <= 0.0f))(x) & ~((x) <= 0.0f)))
/* Vector j of the row that starts at `row`. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a type cannot stand in them */
#define AT(vector, matrix, row, j) (*(vector *)(uintptr_t)((matrix) + (row) + (j)*LANES))

/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n) _Pragma("GCC unroll 12") for (size_t i = 0; i < (n); i++)

/*
 * Defines a strip of tiles of `rows` by `columns` vectors, side by side over all of n. All bounds
 * of a tile are constants, so that its sums stay in registers; what the product says is read
 * before the first store, which might alias it.
 */
#define DEFINE_TILE(name, isa, vector, add, fused, rows, columns)                                  \
    isa static void name(const struct gr_product *product) {                                       \
        enum { LANES = sizeof(vector) / sizeof(float), WIDTH = LANES * (columns) };                \
        const struct gr_product p = *product;                                                      \
        for (size_t first = 0; first < p.n; first += WIDTH) {                                      \
            const float *a = p.a, *b = p.b + first;                                                \
            float *const c = p.c + first;                                                          \
            vector sum[rows][columns];                                                             \
            if (!p.from)                                                                           \
                EACH(i, rows) EACH(j, columns) sum[i][j] = (vector){0};                            \
            else                                                                                   \
                EACH(i, rows)                                                                      \
            EACH(j, columns) sum[i][j] = AT(vector, p.from + first, i * p.from_row, j);            \
            for (size_t l = p.k; l > 0; l--, a += p.a_step, b += p.b_row) {                        \
                vector row[columns];                                                               \
                EACH(j, columns) row[j] = AT(vector, b, 0, j);                                     \
                EACH(i, rows) {                                                                    \
                    const float factor = a[i * p.a_row];                                           \
                    EACH(j, columns) sum[i][j] = add(factor, row[j], sum[i][j]);                   \
                }                                                                                  \
            }                                                                                      \
            if (p.finish == GR_FINISH_STEP && p.decay != 0.0f) EACH(i, rows)                       \
            EACH(j, columns)                                                                       \
            sum[i][j] = fused(-p.decay, AT(vector, c, i * p.c_row, j), sum[i][j]);                 \
            if (p.finish == GR_FINISH_STEP)                                                        \
                EACH(i, rows) EACH(j, columns) AT(vector, c, i *p.c_row, j) += sum[i][j];          \
            else if (p.finish == GR_FINISH_RELU)                                                   \
                EACH(i, rows) EACH(j, columns) AT(vector, c, i *p.c_row, j) = RELU(sum[i][j]);     \
            else                                                                                   \
                EACH(i, rows) EACH(j, columns) AT(vector, c, i *p.c_row, j) = sum[i][j];           \
        }                                                                                          \
    }

#define DEFINE_TO_4(name, isa, vector, add, fused, columns)                                        \
    DEFINE_TILE(name##_1, isa, vector, add, fused, 1, columns)                                     \
    DEFINE_TILE(name##_2, isa, vector, add, fused, 2, columns)                                     \
    DEFINE_TILE(name##_3, isa, vector, add, fused, 3, columns)                                     \
    DEFINE_TILE(name##_4, isa, vector, add, fused, 4, columns)
#define DEFINE_TO_6(name, isa, vector, add, fused, columns)                                        \
    DEFINE_TO_4(name, isa, vector, add, fused, columns)                                            \
    DEFINE_TILE(name##_5, isa, vector, add, fused, 5, columns)                                     \
    DEFINE_TILE(name##_6, isa, vector, add, fused, 6, columns)
#define DEFINE_TO_8(name, isa, vector, add, fused, columns)                                        \
    DEFINE_TO_6(name, isa, vector, add, fused, columns)                                            \
    DEFINE_TILE(name##_7, isa, vector, add, fused, 7, columns)                                     \
    DEFINE_TILE(name##_8, isa, vector, add, fused, 8, columns)
#define DEFINE_TO_12(name, isa, vector, add, fused, columns)                                       \
    DEFINE_TO_8(name, isa, vector, add, fused, columns)                                            \
    DEFINE_TILE(name##_9, isa, vector, add, fused, 9, columns)                                     \
    DEFINE_TILE(name##_10, isa, vector, add, fused, 10, columns)                                   \
    DEFINE_TILE(name##_11, isa, vector, add, fused, 11, columns)                                   \
    DEFINE_TILE(name##_12, isa, vector, add, fused, 12, columns)
#define LIST_4(name)  name##_1, name##_2, name##_3, name##_4
#define LIST_6(name)  LIST_4(name), name##_5, name##_6
#define LIST_8(name)  LIST_6(name), name##_7, name##_8
#define LIST_12(name) LIST_8(name), name##_9, name##_10, name##_11, name##_12

#if defined(__x86_64__)
#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define PAIRED __attribute__((target("avx512f,avx512vl,avx512bf16,avx2,fma")))
DEFINE_TO_4(avx2_24, AVX2, vector8, FUSED_8, FUSED_8, 3)
DEFINE_TO_6(avx2_16, AVX2, vector8, FUSED_8, FUSED_8, 2)
DEFINE_TO_8(avx2_8, AVX2, vector8, FUSED_8, FUSED_8, 1)
DEFINE_TO_8(avx512_48, AVX512, vector16, FUSED_16, FUSED_16, 3)
DEFINE_TO_8(avx512_32, AVX512, vector16, FUSED_16, FUSED_16, 2)
DEFINE_TO_8(avx512_16, AVX512, vector16, FUSED_16, FUSED_16, 1)
DEFINE_TO_8(avx512_8, AVX512, vector8, FUSED_8, FUSED_8, 1)
DEFINE_TO_8(paired_48, PAIRED, vector16, PAIRED_16, FUSED_16, 3)
DEFINE_TO_8(paired_32, PAIRED, vector16, PAIRED_16, FUSED_16, 2)
DEFINE_TO_12(paired_16, PAIRED, vector16, PAIRED_16, FUSED_16, 1)
DEFINE_TO_12(paired_8, PAIRED, vector8, PAIRED_8, FUSED_8, 1)

static const struct gr_tiles avx2 = {
    "avx2",
    GR_VECTORS_AVX2,
    {[1] = {24, 4, {LIST_4(avx2_24)}}, {16, 6, {LIST_6(avx2_16)}}, {8, 8, {LIST_8(avx2_8)}}}};
static const struct gr_tiles avx512 = {"avx512",
                                       GR_VECTORS_AVX512,
                                       {{48, 8, {LIST_8(avx512_48)}},
                                        {32, 8, {LIST_8(avx512_32)}},
                                        {16, 8, {LIST_8(avx512_16)}},
                                        {8, 8, {LIST_8(avx512_8)}}}};
static const struct gr_tiles paired = {"bfloat16",
                                       GR_VECTORS_AVX512,
                                       {{48, 8, {LIST_8(paired_48)}},
                                        {32, 8, {LIST_8(paired_32)}},
                                        {16, 12, {LIST_12(paired_16)}},
                                        {8, 12, {LIST_12(paired_8)}}}};
#endif

/* Any processor: what the compiler makes of it without being told more. */
DEFINE_TO_4(portable_8, , vector8, PLAIN, PLAIN, 1)
static const struct gr_tiles portable = {
    "portable", GR_VECTORS_PORTABLE, {[GR_TILE_WIDTHS - 1] = {8, 4, {LIST_4(portable_8)}}}};

static const struct gr_tiles *const sets[] = {
#if defined(__x86_64__)
    &avx512, &avx2,
#endif
    &portable};

enum { N_SETS = sizeof sets / sizeof sets[0] }; /* NOLINT(bugprone-sizeof-expression) */

const struct gr_tiles *const *gr_tiles_all(size_t *n) {
    *n = N_SETS;
    return sets;
}

/* Asked of the processor, not of the compiler: a library is built once and run on many. */
bool gr_tiles_supported(const struct gr_tiles *tiles) {
#if defined(__x86_64__)
    if (tiles == &avx512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
    if (tiles == &avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return tiles == &portable;
}

/* All fused tiles give the same bits; where one rank cannot fuse, every rank takes the portable
 * tiles, whose bits are those of separate multiplication and addition. */
const struct gr_tiles *gr_tiles_best(void) {
#if defined(__x86_64__)
    if (gr_instructions_allow(GR_USE_AVX512)) return &avx512;
    if (gr_instructions_allow(GR_USE_FUSED_AVX2)) return &avx2;
#endif
    return &portable;
}

const struct gr_tiles *gr_tiles_bfloat16(void) {
#if defined(__x86_64__)
    if (gr_instructions_allow(GR_USE_BFLOAT16)) return &paired;
#endif
    return NULL;
}
