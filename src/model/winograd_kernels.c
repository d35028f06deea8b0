/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transforms of winograd.h, once for each instruction set that there are tiles for.
 * winograd_transform.h holds the code, and is included once for each with its vector. Transforms
 * add and multiply by constants without fusing, so that vectors of any width give the same bits.
 */
#include <model/winograd.h>

#include <string.h>

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
#define NAME(x) avx512_##x
#include <model/winograd_transform.h>
#undef ISA
#undef VECTOR
#undef WHOLE
#undef NAME

#define ISA     __attribute__((target("avx2,fma")))
#define VECTOR  vector8
#define WHOLE   whole8
#define NAME(x) avx2_##x
#include <model/winograd_transform.h>
#undef ISA
#undef VECTOR
#undef WHOLE
#undef NAME
#endif

#define ISA
#define VECTOR  vector4
#define WHOLE   whole4
#define NAME(x) portable_##x
#include <model/winograd_transform.h>

const struct gr_winograd_kernels *gr_winograd_kernels_of(const struct gr_tiles *tiles) {
#if defined(__x86_64__)
    if (strcmp(tiles->name, "avx512") == 0) return &avx512_kernels;
    if (strcmp(tiles->name, "avx2") == 0) return &avx2_kernels;
#endif
    (void)tiles;
    return &portable_kernels;
}
