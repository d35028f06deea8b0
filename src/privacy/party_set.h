/* SPDX-License-Identifier: Apache-2.0 */
/* Some of the parties of a secure sum. Not collective. */
#ifndef GRANARY_PRIVACY_PARTY_SET_H
#define GRANARY_PRIVACY_PARTY_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Parties of one sum: each holds a share of every other's secrets, whose numbers are bytes, and
 * makes a mask with every other; beyond, that costs more than the sum. */
enum { GR_SECURE_PARTIES_MAX = 64, GR_PARTY_SET_BYTES = 8 };

/* Bit p: party p. */
struct gr_party_set {
    uint64_t bits;
};

static inline bool gr_party_set_has(struct gr_party_set set, uint32_t party) {
    return party < GR_SECURE_PARTIES_MAX && (set.bits >> party & 1) != 0;
}
static inline void gr_party_set_add(struct gr_party_set *set, uint32_t party) {
    if (party < GR_SECURE_PARTIES_MAX) set->bits |= (uint64_t)1 << party;
}
static inline uint32_t gr_party_set_count(struct gr_party_set set) {
    return (uint32_t)__builtin_popcountll(set.bits);
}
static inline bool gr_party_set_within(struct gr_party_set part, struct gr_party_set whole) {
    return (part.bits & ~whole.bits) == 0;
}
static inline bool gr_party_set_equal(struct gr_party_set a, struct gr_party_set b) {
    return a.bits == b.bits;
}

#endif
