/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instruction sets kernels may use. oneDNN chooses by processor, and adds in another order
 * with another set: ranks on processors of two kinds would train to bits that no single kind has.
 * So ranks whose sets differ keep to what all have. One limit holds for oneDNN's kernels and for
 * our own, so that a user can see on one machine how fast a lesser processor is.
 */
#include <granary/model.h>
#include <model/instructions.h>

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { SSE41 = 1, AVX = 2, AVX2 = 4, AVX512 = 8, VNNI512 = 16, BF16 = 32, AMX = 64, FMA = 128 };

/* From the richest on. Sets that oneDNN tells apart and kernels of floats do not are left out: see
 * of_environment. */
static const struct set {
    const char *name; /* as ONEDNN_MAX_CPU_ISA takes it */
    const char *text;
    dnnl_cpu_isa_t isa;
    uint32_t bits;
} sets[] = {
    {"AVX512_CORE_AMX", "AMX", dnnl_cpu_isa_avx512_core_amx,
     SSE41 | AVX | AVX2 | FMA | AVX512 | VNNI512 | BF16 | AMX},
    {"AVX512_CORE_BF16", "AVX-512 BF16", dnnl_cpu_isa_avx512_core_bf16,
     SSE41 | AVX | AVX2 | FMA | AVX512 | VNNI512 | BF16},
    {"AVX512_CORE_VNNI", "AVX-512 VNNI", dnnl_cpu_isa_avx512_core_vnni,
     SSE41 | AVX | AVX2 | FMA | AVX512 | VNNI512},
    {"AVX512_CORE", "AVX-512", dnnl_cpu_isa_avx512_core, SSE41 | AVX | AVX2 | FMA | AVX512},
    {"AVX2", "AVX2", dnnl_cpu_isa_avx2, SSE41 | AVX | AVX2 | FMA},
    {"AVX", "AVX", dnnl_cpu_isa_avx, SSE41 | AVX},
    {"SSE41", "SSE4.1", dnnl_cpu_isa_sse41, SSE41},
};
enum { SETS = sizeof sets / sizeof *sets };

static uint32_t limit = UINT32_MAX;

/* AVX-512 counts only with BW, VL and DQ, as oneDNN asks for all of them. Of processors other than
 * x86-64 nothing is said: they have the portable kernels alone. */
static uint32_t of_processor(void) {
    uint32_t bits = 0;
#if defined(__x86_64__)
    unsigned a, b, c, d = 0;
    bits |= __builtin_cpu_supports("sse4.1") ? SSE41 : 0;
    bits |= __builtin_cpu_supports("avx") ? AVX : 0;
    bits |= __builtin_cpu_supports("avx2") ? AVX2 : 0;
    bits |= __builtin_cpu_supports("fma") ? FMA : 0;
    bits |= __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                ? AVX512
                : 0;
    bits |= __builtin_cpu_supports("avx512vnni") ? VNNI512 : 0;
    bits |= __builtin_cpu_supports("avx512bf16") ? BF16 : 0;
    /* Bits 22, 24 and 25: amx-bf16, amx-tile, amx-int8. */
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 3) == 3) bits |= AMX;
#endif
    return bits;
}

/* The limit that the environment sets: of the set of that name, or of the richest that the name
 * begins with (AVX2_VNNI is AVX2 with instructions for 8-bit integers). In capitals or not, and an
 * empty variable is none, as oneDNN reads them. */
static uint32_t of_environment(void) {
    const char *name = getenv("ONEDNN_MAX_CPU_ISA");
    if (!name || *name == '\0') name = getenv("DNNL_MAX_CPU_ISA");
    for (size_t i = 0; name && i < SETS; i++) {
        const size_t n = strlen(sets[i].name);
        if (strncasecmp(name, sets[i].name, n) == 0 && (name[n] == '\0' || name[n] == '_'))
            return sets[i].bits;
    }
    return UINT32_MAX;
}

uint32_t gr_instructions_here(void) {
    return of_processor() & of_environment();
}

/* oneDNN takes a limit only before it has made its first kernel, and refuses it afterwards: this
 * is to be called before any model is made. */
const char *gr_instructions_limit(uint32_t common) {
    limit = common;
    for (size_t i = 0; i < SETS; i++) {
        if ((sets[i].bits & common) != sets[i].bits) continue;
        return dnnl_set_max_cpu_isa(sets[i].isa) == dnnl_success ? sets[i].text : NULL;
    }
    return NULL;
}

bool gr_instructions_allow(enum gr_instruction_set set) {
    static const uint32_t needed[] = {[GR_USE_FUSED_AVX2] = AVX2 | FMA,
                                      [GR_USE_AVX512] = AVX2 | FMA | AVX512,
                                      [GR_USE_BFLOAT16] = AVX2 | FMA | AVX512 | BF16,
                                      [GR_USE_AMX] = AVX2 | FMA | AVX512 | BF16 | AMX};
    return (gr_instructions_here() & limit & needed[set]) == needed[set];
}
