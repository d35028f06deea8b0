/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor's peak: independent fused multiply-adds in registers, by the widest vectors that
 * our kernels may use (ONEDNN_MAX_CPU_ISA is obeyed), pairs of bfloat16 by AVX-512 BF16, and
 * products of AMX tiles of bfloat16.
 *
 *   bench_peak fma|bfloat16|amx
 *
 * prints the instruction set and billions of multiply-adds per second of processor time on one
 * core, the largest of five runs; for a processor without bfloat16 or AMX: nothing, and code 1.
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

/* Sums in flight: two units of latency 4 or 5 need ten, and a factor takes one register more; pairs
 * have a latency of 6, and more registers. */
enum { CHAINS = 12, CHAINS_OF_PAIRS = 16 };
#define EACH(n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

/* One run, as multiply-adds; the sums are stored so that they are computed. */
#define DEFINE_FMA(name, isa, chains, vector, set, multiply_add, store)                            \
    __attribute__((target(isa))) static double name(void) {                                        \
        static float out[(chains) * sizeof(vector) / sizeof(float)];                               \
        vector sum[chains];                                                                        \
        const vector factor = set(0.999f), term = set(0.001f);                                     \
        EACH(chains) sum[i] = set((float)i);                                                       \
        for (long step = 0; step < STEPS; step++)                                                  \
            EACH(chains) sum[i] = multiply_add(sum[i], factor, term);                              \
        EACH(chains) store(out + i * (int)(sizeof(vector) / sizeof(float)), sum[i]);               \
        return (double)STEPS * sizeof out / sizeof *out;                                           \
    }
DEFINE_FMA(fma_avx2, "avx2,fma", CHAINS, __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps)
DEFINE_FMA(fma_avx512, "avx512f", CHAINS, __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps)
#define DOT(sum, x, y) _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(y))
DEFINE_FMA(pairs, "avx512f,avx512bf16", CHAINS_OF_PAIRS, __m512, _mm512_set1_ps, DOT,
           _mm512_storeu_ps)

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

/* The richest set of a kind comes first. */
static const struct {
    const char *kind, *name;
    enum gr_instruction_set set;
    double (*run)(void);
    int products; /* per multiply-add that it counts */
} kinds[] = {{"fma", "AVX-512", GR_USE_AVX512, fma_avx512, 1},
             {"fma", "AVX2", GR_USE_FUSED_AVX2, fma_avx2, 1},
             {"bfloat16", "AVX-512 BF16", GR_USE_BFLOAT16, pairs, 2},
             {"amx", "AMX", GR_USE_AMX, amx, 1}};

int main(int argc, char **argv) {
    bool known = false;
    for (size_t i = 0; argc == 2 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(argv[1], kinds[i].kind) != 0) continue;
        known = true;
        if (!gr_instructions_allow(kinds[i].set)) continue;
        if (kinds[i].set == GR_USE_AMX && !ask_for_tiles()) continue;
        printf("%s %.1f\n", kinds[i].name, kinds[i].products * peak(kinds[i].run));
        return 0;
    }
    if (known) return 1;
    fprintf(stderr, "usage: bench_peak fma|bfloat16|amx\n");
    return GR_ERROR_USAGE;
}
#else
int main(void) {
    return 1;
}
#endif
