/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups by name, numbered in the order in which they appear: found by a hash, so that as many as
 * there are rows cost no more than the rows.
 *
 * Lifetime: a zeroed struct is empty; gr_groups_release.
 */
#ifndef GRANARY_DATA_GROUPS_H
#define GRANARY_DATA_GROUPS_H

#include <granary/data.h>

enum { GR_GROUP_NAME_MAX = 1024 /* bytes */ };

struct gr_groups {
    char **names; /* of each group; owned */
    size_t n, room;
    uint32_t *slots; /* n_slots, a power of two: a group's number + 1, or 0; owned */
    size_t n_slots;
    size_t bytes; /* of all names, each with a NUL behind it */
};

/* The number of the group of that name, which is a new one where there was none. */
gr_status gr_groups_find(struct gr_groups *groups, const char *name, size_t length,
                         uint32_t *number) GR_CHECKED;
void gr_groups_release(struct gr_groups *groups);

#endif
