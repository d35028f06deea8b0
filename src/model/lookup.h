/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup: what the layers that look vectors up have in common. A batch touches few rows of a table:
 * all others get what each weight gets in a step, and then its derivatives are added row by row of
 * the batch, in order, so that the bits are those of the batch alone.
 */
#ifndef GRANARY_MODEL_LOOKUP_H
#define GRANARY_MODEL_LOOKUP_H

#include <model/layer.h>

/* A feature's value as a whole number from 0 to `most`; GR_ERROR_DATA when it is none. */
gr_status gr_lookup_check(float value, size_t feature, size_t most) GR_CHECKED;

/* Before derivatives are added to target->vector[offset .. offset + n - 1]. */
void gr_lookup_start(const struct gr_target *target, size_t offset, size_t n);

#endif
