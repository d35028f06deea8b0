/* SPDX-License-Identifier: Apache-2.0 */
/* Which build this is. The Makefile writes build_id.h, from the sources and the flags. */
#include <granary/base.h>

#if __has_include("build_id.h")
#include "build_id.h"
#else
#define GRANARY_BUILD_ID "unknown"
#endif

const char *gr_build_id(void) {
    return GRANARY_BUILD_ID;
}
