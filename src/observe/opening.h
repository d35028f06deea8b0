/* SPDX-License-Identifier: Apache-2.0 */
/* The opening, a run before its first round, in lines for people. */
#ifndef GRANARY_OBSERVE_OPENING_H
#define GRANARY_OBSERVE_OPENING_H

#include <granary/observe.h>

/* "132,004" */
void gr_count_text(uint64_t count, char out[32]);

#endif
