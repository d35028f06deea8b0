/* SPDX-License-Identifier: Apache-2.0 */
/* Some of the parties of a secure sum. Not collective. */
#ifndef GRANARY_PRIVACY_PARTY_SET_H
#define GRANARY_PRIVACY_PARTY_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Parties of one sum: each looks at the keys and the signature of every other, which of more costs
 * whoever collects a second and more. */
enum { GR_SECURE_PARTIES_MAX = 1024, GR_PARTY_SET_BYTES = GR_SECURE_PARTIES_MAX / 8 };

/* Bit p % 64 of word p / 64: party p. */
struct gr_party_set {
    uint64_t bits[GR_SECURE_PARTIES_MAX / 64];
};
_Static_assert(sizeof(struct gr_party_set) == GR_PARTY_SET_BYTES, "a set is its bytes");

static inline bool gr_party_set_has(const struct gr_party_set *set, uint32_t party) {
    return party < GR_SECURE_PARTIES_MAX && (set->bits[party / 64] >> party % 64 & 1) != 0;
}
static inline void gr_party_set_add(struct gr_party_set *set, uint32_t party) {
    if (party < GR_SECURE_PARTIES_MAX) set->bits[party / 64] |= (uint64_t)1 << party % 64;
}
static inline uint32_t gr_party_set_count(const struct gr_party_set *set) {
    uint32_t n = 0;
    for (uint32_t w = 0; w < GR_SECURE_PARTIES_MAX / 64; w++)
        n += (uint32_t)__builtin_popcountll(set->bits[w]);
    return n;
}
static inline bool gr_party_set_within(const struct gr_party_set *part,
                                       const struct gr_party_set *whole) {
    uint64_t beyond = 0;
    for (uint32_t w = 0; w < GR_SECURE_PARTIES_MAX / 64; w++)
        beyond |= part->bits[w] & ~whole->bits[w];
    return beyond == 0;
}
static inline bool gr_party_set_equal(const struct gr_party_set *a, const struct gr_party_set *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

#endif
