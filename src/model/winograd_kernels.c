/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transforms of winograd.h, for each instruction set that there are tiles for, and each kernel.
 * winograd_transform.h holds the code, and is included once for each. Transforms
 * add and multiply by constants without fusing, so that vectors of any width give the same bits.
 */
#include <model/winograd.h>

typedef float vector4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float vector8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float vector16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef int32_t whole4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t whole8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t whole16 __attribute__((vector_size(64), aligned(4), may_alias));

/* By masking, so that a NaN stays a NaN. */
#define RELU(x) ((__typeof__(x))((__typeof__((x) <= 0.0f))(x) & ~((x) <= 0.0f)))

#if defined(__x86_64__)
#define ISA     __attribute__((target("avx512f,avx2,fma")))
#define VECTOR  vector16
#define WHOLE   whole16
#define OUT     2
#define TAPS    5
#define NAME(x) avx512_5_##x
#include <model/winograd_transform.h>
#define OUT     4
#define TAPS    3
#define NAME(x) avx512_3_##x
#include <model/winograd_transform.h>
#undef ISA
#undef VECTOR
#undef WHOLE

#define ISA     __attribute__((target("avx2,fma")))
#define VECTOR  vector8
#define WHOLE   whole8
#define OUT     2
#define TAPS    5
#define NAME(x) avx2_5_##x
#include <model/winograd_transform.h>
#define OUT     4
#define TAPS    3
#define NAME(x) avx2_3_##x
#include <model/winograd_transform.h>
#undef ISA
#undef VECTOR
#undef WHOLE
#endif

#define ISA
#define VECTOR  vector4
#define WHOLE   whole4
#define OUT     2
#define TAPS    5
#define NAME(x) portable_5_##x
#include <model/winograd_transform.h>
#define OUT     4
#define TAPS    3
#define NAME(x) portable_3_##x
#include <model/winograd_transform.h>

const struct gr_winograd_kernels *gr_winograd_kernels_of(const struct gr_tiles *tiles,
                                                         size_t kernel) {
    static const struct gr_winograd_kernels *const by_vectors[][2] = {
        {&portable_3_kernels, &portable_5_kernels},
#if defined(__x86_64__)
        {&avx2_3_kernels, &avx2_5_kernels},
        {&avx512_3_kernels, &avx512_5_kernels},
#endif
    };
    return by_vectors[tiles->vectors][kernel == 5];
}
