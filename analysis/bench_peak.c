/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor's peak: independent fused multiply-adds in registers, by the widest vectors that
 * our kernels may use (ONEDNN_MAX_CPU_ISA is obeyed), and products of AMX tiles of bfloat16.
 *
 *   bench_peak fma|amx
 *
 * prints the instruction set and billions of multiply-adds per second of processor time on one
 * core, the largest of five runs; for amx a processor without it: nothing, and code 1.
 */
#include <granary/base.h>
#include <model/instructions.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STEPS = 10000000, RUNS = 5 };

/* Sums in flight: two units of latency 4 or 5 need ten, and a factor takes one register more. */
#define CHAINS 12
#define EACH   _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)

/* One run, as multiply-adds; the sums are stored so that they are computed. */
#define DEFINE_FMA(name, isa, vector, set, multiply_add, store)                                    \
    __attribute__((target(isa))) static double name(void) {                                        \
        static float out[CHAINS * sizeof(vector) / sizeof(float)];                                 \
        vector sum[CHAINS];                                                                        \
        const vector factor = set(0.999f), term = set(0.001f);                                     \
        EACH sum[i] = set((float)i);                                                               \
        for (long step = 0; step < STEPS; step++)                                                  \
            EACH sum[i] = multiply_add(sum[i], factor, term);                                      \
        EACH store(out + i * (int)(sizeof(vector) / sizeof(float)), sum[i]);                       \
        return (double)STEPS * sizeof out / sizeof *out;                                           \
    }
DEFINE_FMA(fma_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps)
DEFINE_FMA(fma_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps)

/* Four tiles of sums, two of either factor: 16 rows of 16 sums, of 16 pairs each. */
__attribute__((target("amx-tile,amx-bf16"))) static double amx(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    static uint16_t ones[16 * 32];
    static float out[16 * 16];
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        ones[i] = 0x3f80; /* 1 */
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, ones, 64);
    _tile_loadd(5, ones, 64);
    _tile_loadd(6, ones, 64);
    _tile_loadd(7, ones, 64);
    for (long step = 0; step < STEPS / 10; step++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, out, 64);
    _tile_stored(1, out, 64);
    _tile_stored(2, out, 64);
    _tile_stored(3, out, 64);
    _tile_release();
    return (double)(STEPS / 10) * 4 * 16 * 16 * 32;
}

/* Linux gives a process the tiles' registers when it asks for them. */
static bool ask_for_tiles(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static double peak(double (*run)(void)) {
    double most = 0;
    for (int i = 0; i < RUNS; i++) {
        const double start = gr_clock_cpu_seconds(), made = run();
        const double rate = made / (gr_clock_cpu_seconds() - start);
        if (rate > most) most = rate;
    }
    return most / 1e9;
}

int main(int argc, char **argv) {
    const bool tiles = argc == 2 && strcmp(argv[1], "amx") == 0;
    if (argc != 2 || (!tiles && strcmp(argv[1], "fma") != 0)) {
        fprintf(stderr, "usage: bench_peak fma|amx\n");
        return GR_ERROR_USAGE;
    }
    if (tiles && gr_instructions_allow(GR_USE_AMX) && ask_for_tiles())
        printf("AMX %.1f\n", peak(amx));
    else if (!tiles && gr_instructions_allow(GR_USE_AVX512))
        printf("AVX-512 %.1f\n", peak(fma_avx512));
    else if (!tiles && gr_instructions_allow(GR_USE_FUSED_AVX2))
        printf("AVX2 %.1f\n", peak(fma_avx2));
    else
        return 1;
    return 0;
}
#else
int main(void) {
    return 1;
}
#endif
