/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiles: the innermost loops of matrix products, once for each instruction set.
 *
 * A tile of c stays in registers while the inner index runs; each step broadcasts one column of a
 * and loads one row of b. Tile shapes keep at least eight sums in flight (latency 4, two units) and
 * stay below one load per multiply-add.
 */
#include <model/kernels.h>

#include <string.h>

/*
 * The multiply-adds below are meant to be fused, on every processor that can; the build forbids
 * the compiler to do so on its own elsewhere.
 */
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vector8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vector16 __attribute__((vector_size(64), aligned(4), may_alias));

#define UNROLL _Pragma("GCC unroll 12")

/* By masking, so that a NaN stays a NaN. */
#define RELU(vector, x) ((vector)((__typeof__((x) <= 0.0f))(x) & ~((x) <= 0.0f)))

/*
 * Defines the tile `name`: at most rows_max rows of `columns` vectors. The loop over rows has a
 * constant bound in each case, so that the sums stay in registers.
 */
#define DEFINE_TILE(name, isa, vector, rows_max, columns)                                          \
    isa INLINE void name##_start(const struct gr_product *t, const size_t rows,                    \
                                 vector sum[rows_max][columns]) {                                  \
        enum { LANES = sizeof(vector) / sizeof(float) };                                           \
        const float *from = t->start == GR_START_ROW ? t->bias : t->c;                             \
        const size_t stride = t->start == GR_START_ROW ? 0 : t->c_row;                             \
        if (t->start == GR_START_ZERO) {                                                           \
            UNROLL for (size_t i = 0; i < rows; i++) UNROLL for (size_t j = 0; j < columns; j++)   \
                sum[i][j] = (vector){0};                                                           \
        } else {                                                                                   \
            UNROLL for (size_t i = 0; i < rows; i++) UNROLL for (size_t j = 0; j < columns; j++)   \
                sum[i][j] = *(const vector *)(from + i * stride + j * LANES);                      \
        }                                                                                          \
    }                                                                                              \
    isa INLINE void name##_finish(const struct gr_product *t, const size_t rows,                   \
                                  vector sum[rows_max][columns]) {                                 \
        enum { LANES = sizeof(vector) / sizeof(float) };                                           \
        UNROLL for (size_t i = 0; i < rows; i++) UNROLL for (size_t j = 0; j < columns; j++) {     \
            vector *c = (vector *)(t->c + i * t->c_row + j * LANES);                               \
            if (t->finish == GR_FINISH_STEP)                                                       \
                *c += sum[i][j] - t->decay * *c;                                                   \
            else if (t->finish == GR_FINISH_RELU)                                                  \
                *c = RELU(vector, sum[i][j]);                                                      \
            else                                                                                   \
                *c = sum[i][j];                                                                    \
        }                                                                                          \
    }                                                                                              \
    isa INLINE void name##_rows(const struct gr_product *t, const size_t rows) {                   \
        enum { LANES = sizeof(vector) / sizeof(float) };                                           \
        vector sum[rows_max][columns];                                                             \
        const float *a = t->a, *b = t->b;                                                          \
        const size_t a_row = t->a_row, a_step = t->a_step, b_row = t->b_row;                       \
        name##_start(t, rows, sum);                                                                \
        for (size_t l = t->k; l > 0; l--, a += a_step, b += b_row) {                               \
            vector row[columns];                                                                   \
            UNROLL for (size_t j = 0; j < columns; j++) row[j] = *(const vector *)(b + j * LANES); \
            UNROLL for (size_t i = 0; i < rows; i++) {                                             \
                const float factor = a[i * a_row];                                                 \
                UNROLL for (size_t j = 0; j < columns; j++) sum[i][j] += factor * row[j];          \
            }                                                                                      \
        }                                                                                          \
        name##_finish(t, rows, sum);                                                               \
    }                                                                                              \
    isa static void name(const struct gr_product *t) {                                             \
        switch (t->m) {                                                                            \
        case 1:                                                                                    \
            name##_rows(t, 1);                                                                     \
            break;                                                                                 \
        case 2:                                                                                    \
            name##_rows(t, 2);                                                                     \
            break;                                                                                 \
        case 3:                                                                                    \
            name##_rows(t, 3);                                                                     \
            break;                                                                                 \
        case 4:                                                                                    \
            name##_rows(t, 4);                                                                     \
            break;                                                                                 \
        case 5:                                                                                    \
            name##_rows(t, rows_max < 5 ? 1 : 5);                                                  \
            break;                                                                                 \
        case 6:                                                                                    \
            name##_rows(t, rows_max < 6 ? 1 : 6);                                                  \
            break;                                                                                 \
        case 7:                                                                                    \
            name##_rows(t, rows_max < 7 ? 1 : 7);                                                  \
            break;                                                                                 \
        case 8:                                                                                    \
            name##_rows(t, rows_max < 8 ? 1 : 8);                                                  \
            break;                                                                                 \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    }

#if defined(__x86_64__)
#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")))
DEFINE_TILE(avx2_24, AVX2, vector8, 4, 3)
DEFINE_TILE(avx2_16, AVX2, vector8, 6, 2)
DEFINE_TILE(avx2_8, AVX2, vector8, 8, 1)
DEFINE_TILE(avx512_48, AVX512, vector16, 8, 3)
DEFINE_TILE(avx512_16, AVX512, vector16, 8, 1)
DEFINE_TILE(avx512_8, AVX512, vector8, 8, 1)

static const struct gr_tiles avx2 = {"avx2", {{24, 4, avx2_24}, {16, 6, avx2_16}, {8, 8, avx2_8}}};
static const struct gr_tiles avx512 = {"avx512",
                                       {{48, 8, avx512_48}, {16, 8, avx512_16}, {8, 8, avx512_8}}};
#endif

/* Any processor: what the compiler makes of it without being told more. */
DEFINE_TILE(portable_8, , vector8, 4, 1)
static const struct gr_tiles portable = {
    "portable", {{8, 4, portable_8}, {8, 4, portable_8}, {8, 4, portable_8}}};

static const struct gr_tiles *const sets[] = {
#if defined(__x86_64__)
    &avx512, &avx2,
#endif
    &portable};

const struct gr_tiles *const *gr_tiles_all(size_t *n) {
    *n = sizeof sets / sizeof *sets;
    return sets;
}

bool gr_tiles_supported(const struct gr_tiles *tiles) {
#if defined(__x86_64__)
    if (tiles == &avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (tiles == &avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return tiles == &portable;
}

const struct gr_tiles *gr_tiles_best(void) {
    size_t i = 0;
    while (!gr_tiles_supported(sets[i]))
        i++;
    return sets[i];
}
