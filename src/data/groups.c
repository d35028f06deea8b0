/* SPDX-License-Identifier: Apache-2.0 */
/* Groups by name: open addressing, half empty. */
#include "data/groups.h"

#include <string.h>

enum { GROUPS_AT_FIRST = 64 };

/* FNV-1a, 64 bits. Names come from files of others, who might choose them to collide; the number of
 * groups is bounded by the callers, and a slow import is all there is to gain. */
static uint64_t hash_of(const char *text, size_t length) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

/* Where a name stands, or would. */
static size_t slot_of(const struct gr_groups *g, const char *name, size_t length) {
    size_t at = (size_t)hash_of(name, length) & (g->n_slots - 1);
    for (; g->slots[at] != 0; at = (at + 1) & (g->n_slots - 1)) {
        const char *other = g->names[g->slots[at] - 1];
        if (strncmp(other, name, length) == 0 && other[length] == '\0') break;
    }
    return at;
}

/* Slots are twice the names: at most half are taken, so that a search ends soon, and always. */
static gr_status grow(struct gr_groups *g) {
    const size_t room = g->room ? 2 * g->room : GROUPS_AT_FIRST;
    char **names = NULL;
    uint32_t *slots = NULL;
    gr_status status;
    if (g->n < g->room) return GR_OK;
    GR_TRY(gr_allocate(room, sizeof *names, "groups", &names));
    GR_TRY(gr_allocate_zero(2 * room, sizeof *slots, "groups", &slots));
    if (g->n > 0) memcpy(names, g->names, g->n * sizeof *names);
    gr_free(g->names);
    gr_free(g->slots);
    g->names = names;
    g->slots = slots;
    g->room = room;
    g->n_slots = 2 * room;
    for (size_t i = 0; i < g->n; i++)
        g->slots[slot_of(g, names[i], strlen(names[i]))] = (uint32_t)i + 1;
    return GR_OK;
out:
    gr_free(names);
    return status;
}

/* Room is made before the search, so that the slot found stays where it is. */
gr_status gr_groups_find(struct gr_groups *groups, const char *name, size_t length,
                         uint32_t *number) {
    gr_status status;
    GR_TRY(grow(groups));
    size_t at = slot_of(groups, name, length);
    if (groups->slots[at] == 0) {
        GR_TRY(gr_text_format(&groups->names[groups->n], "%.*s", (int)length, name));
        groups->slots[at] = (uint32_t)++groups->n;
        groups->bytes += length + 1;
    }
    *number = groups->slots[at] - 1;
out:
    return status;
}

/* Accepts a zeroed struct. */
void gr_groups_release(struct gr_groups *groups) {
    for (size_t i = 0; i < groups->n; i++)
        gr_free(groups->names[i]);
    gr_free(groups->names);
    gr_free(groups->slots);
    *groups = (struct gr_groups){0};
}
