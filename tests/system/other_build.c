/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into tests/granary-other before the library: a command that says it is another build. */
#include <granary/base.h>

const char *gr_build_id(void) {
    return "another build";
}
