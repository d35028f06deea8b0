/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which build this is: ranks compare it before they train together, because a sum has the same bits
 * everywhere only if all run the same code. The Makefile writes build_id.h from the sources, the
 * flags and the compiler; another build system may leave it out.
 */
#include <granary/base.h>

#if __has_include("build_id.h")
#include "build_id.h"
#else
#define GRANARY_BUILD_ID "unknown"
#endif

const char *gr_build_id(void) {
    return GRANARY_BUILD_ID;
}
