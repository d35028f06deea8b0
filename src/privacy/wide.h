/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole numbers of 256 bits without sign, for the exact arithmetic of noise. Results are modulo
 * 2^256; whoever calls says why nothing is lost. Not collective.
 */
#ifndef GRANARY_PRIVACY_WIDE_H
#define GRANARY_PRIVACY_WIDE_H

#include <stdbool.h>
#include <stdint.h>

enum { GR_WIDE_LIMBS = 4 };
typedef unsigned __int128 gr_double_limb;
struct gr_wide {
    uint64_t limb[GR_WIDE_LIMBS]; /* the least first */
};

static inline struct gr_wide gr_wide_of(gr_double_limb a) {
    return (struct gr_wide){{(uint64_t)a, (uint64_t)(a >> 64)}};
}

static inline bool gr_wide_less(struct gr_wide a, struct gr_wide b) {
    for (int i = GR_WIDE_LIMBS - 1; i > 0; i--)
        if (a.limb[i] != b.limb[i]) return a.limb[i] < b.limb[i];
    return a.limb[0] < b.limb[0];
}

static inline struct gr_wide gr_wide_add(struct gr_wide a, struct gr_wide b) {
    gr_double_limb carry = 0;
    for (int i = 0; i < GR_WIDE_LIMBS; i++) {
        carry += (gr_double_limb)a.limb[i] + b.limb[i];
        a.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return a;
}

static inline struct gr_wide gr_wide_subtract(struct gr_wide a, struct gr_wide b) {
    uint64_t borrow = 0;
    for (int i = 0; i < GR_WIDE_LIMBS; i++) {
        const gr_double_limb d = (gr_double_limb)a.limb[i] - b.limb[i] - borrow;
        a.limb[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return a;
}

/* a b. */
static inline struct gr_wide gr_wide_times(struct gr_wide a, uint64_t b) {
    gr_double_limb carry = 0;
    for (int i = 0; i < GR_WIDE_LIMBS; i++) {
        carry += (gr_double_limb)a.limb[i] * b;
        a.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return a;
}

/* a 2^64. */
static inline struct gr_wide gr_wide_raise(struct gr_wide a) {
    return (struct gr_wide){{0, a.limb[0], a.limb[1], a.limb[2]}};
}

/* a b in full. */
static inline struct gr_wide gr_wide_product(gr_double_limb a, gr_double_limb b) {
    return gr_wide_add(gr_wide_times(gr_wide_of(a), (uint64_t)b),
                       gr_wide_raise(gr_wide_times(gr_wide_of(a), (uint64_t)(b >> 64))));
}

/* How many bits a has, up to its highest 1; 0: none. */
static inline int gr_wide_bits(struct gr_wide a) {
    for (int i = GR_WIDE_LIMBS - 1; i >= 0; i--)
        if (a.limb[i]) return 64 * (i + 1) - __builtin_clzll(a.limb[i]);
    return 0;
}

/* The 64 bits of a from bit `shift` on, 0 <= shift < 256. */
static inline uint64_t gr_wide_at(struct gr_wide a, int shift) {
    const int limb = shift / 64, rest = shift % 64;
    const uint64_t low = a.limb[limb] >> rest;
    return rest && limb + 1 < GR_WIDE_LIMBS ? low | a.limb[limb + 1] << (64 - rest) : low;
}

#endif
