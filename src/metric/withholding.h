/* SPDX-License-Identifier: Apache-2.0 */
/* What both rules of slices that are withheld, by lines and by cubes, go by. */
#ifndef GRANARY_METRIC_WITHHOLDING_H
#define GRANARY_METRIC_WITHHOLDING_H

#include <granary/slices.h>

/* All borrowed; withheld is written, one flag a group. */
struct gr_withholding {
    const struct gr_slicings *slicings;
    const int64_t *rows, *silos; /* of each group, over all processes */
    const struct gr_slice_rules *rules;
    uint8_t *withheld;
};

/*
 * Not collective. Withholds as many more groups of a slicing that each withheld one that has rows
 * is the corner of a cube of withheld groups, along which rows can be moved without any other
 * figure being another: least_rows of them at least. Where there is no such cube, all groups.
 * Returns whether one more group was withheld.
 */
bool gr_withholding_protect_cubes(const struct gr_withholding *w, const struct gr_slicing *slicing);

#endif
