/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup: what the layers that look vectors up have in common. A batch touches few rows of a table:
 * all others get what each weight gets in a step, and then its derivatives are added row by row of
 * the batch, in order, so that the bits are those of the batch alone.
 */
#ifndef GRANARY_MODEL_LOOKUP_H
#define GRANARY_MODEL_LOOKUP_H

#include <model/layer.h>

/* Whether a feature's value is a whole number from 0 to `most`. Values come as floats, like all
 * features; up to 2^24 they tell whole numbers apart. A NaN fails the first comparison, before a
 * conversion that is not defined for it. */
static inline bool gr_lookup_is_index(float value, size_t most) {
    return value >= 0 && (double)value <= (double)most && (float)(int64_t)value == value;
}
/* The number of a value that is one. By way of a signed number, which is one instruction. */
static inline size_t gr_lookup_index(float value) {
    return (size_t)(int64_t)value;
}
/* to += vector, n floats each. */
static inline void gr_lookup_add(const float *restrict vector, size_t n, float *restrict to) {
    for (size_t j = 0; j < n; j++)
        to[j] += vector[j];
}
/* GR_ERROR_DATA, of a feature whose value is no such number. */
gr_status gr_lookup_refuse(size_t feature, size_t most) GR_CHECKED;

/* Before derivatives are added to target->vector[offset .. offset + n - 1]. */
void gr_lookup_start(const struct gr_target *target, size_t offset, size_t n);

#endif
