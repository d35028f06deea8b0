/* SPDX-License-Identifier: Apache-2.0 */
/* GR_VERSIONS: a function is made once per instruction set, chosen when the program is loaded. */
#ifndef GRANARY_BASE_VERSIONS_H
#define GRANARY_BASE_VERSIONS_H

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__OPTIMIZE__) &&                      \
    !defined(__SANITIZE_ADDRESS__)
#define GR_VERSIONS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GR_VERSIONS
#endif

#endif
