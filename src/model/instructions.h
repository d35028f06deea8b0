/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instructions: the instruction sets that our own kernels may use. They keep to what the processor
 * has, to what the environment allows (ONEDNN_MAX_CPU_ISA, which oneDNN obeys too), and to what all
 * ranks have (gr_instructions_limit).
 */
#ifndef GRANARY_MODEL_INSTRUCTIONS_H
#define GRANARY_MODEL_INSTRUCTIONS_H

#include <stdbool.h>

enum gr_instruction_set { GR_USE_FUSED_AVX2, GR_USE_AVX512, GR_USE_BFLOAT16, GR_USE_AMX };

/* Not collective. Whether kernels of the set may run. To be asked after gr_instructions_limit. */
bool gr_instructions_allow(enum gr_instruction_set set);

#endif
