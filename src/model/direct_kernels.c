/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of direct.h, once for each instruction set that there are tiles for: direct_loops.h
 * holds the code, and is included once for each with its vector and its multiply-add. */
#include <model/direct.h>
#include <model/pool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float vector4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float vector8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vector16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t whole4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t whole8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t whole16 __attribute__((vector_size(64), aligned(4), may_alias));

#if defined(__x86_64__)
#define ISA     __attribute__((target("avx512f,avx2,fma")))
#define VECTOR  vector16
#define WHOLE   whole16
#define NAME(x) avx512_##x
/* Fused by name, as in tiles.c. */
#define ADD(factor, row, sum)                                                                      \
    ((vector16)_mm512_fmadd_ps(_mm512_set1_ps(factor), (__m512)(row), (__m512)(sum)))
#include <model/direct_loops.h>
#undef ISA
#undef VECTOR
#undef WHOLE
#undef NAME
#undef ADD

#define ISA     __attribute__((target("avx2,fma")))
#define VECTOR  vector8
#define WHOLE   whole8
#define NAME(x) avx2_##x
#define ADD(factor, row, sum)                                                                      \
    ((vector8)_mm256_fmadd_ps(_mm256_set1_ps(factor), (__m256)(row), (__m256)(sum)))
#include <model/direct_loops.h>
#undef ISA
#undef VECTOR
#undef WHOLE
#undef NAME
#undef ADD
#endif

#define ISA
#define VECTOR                vector4
#define WHOLE                 whole4
#define NAME(x)               portable_##x
#define ADD(factor, row, sum) ((sum) + (factor) * (row))
#include <model/direct_loops.h>

const struct gr_direct_kernels *gr_direct_kernels_of(const struct gr_tiles *tiles) {
    static const struct gr_direct_kernels *const by_vectors[] = {
        &portable_kernels,
#if defined(__x86_64__)
        &avx2_kernels,
        &avx512_kernels,
#endif
    };
    return by_vectors[tiles->vectors];
}
