/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/noise_table.h"

#include <math.h>

/*
 * Fixed point: a number of 256 bits in units of 2^-192, which is called an ulp below. A product is
 * cut, so that it is less than one ulp short of that of its factors.
 */
static struct gr_wide fixed_product(struct gr_wide a, struct gr_wide b) {
    uint64_t limb[2 * GR_WIDE_LIMBS] = {0};
    for (int i = 0; i < GR_WIDE_LIMBS; i++) {
        gr_double_limb carry = 0;
        for (int j = 0; j < GR_WIDE_LIMBS; j++) {
            carry += (gr_double_limb)a.limb[i] * b.limb[j] + limb[i + j];
            limb[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        limb[i + GR_WIDE_LIMBS] = (uint64_t)carry;
    }
    return (struct gr_wide){{limb[3], limb[4], limb[5], limb[6]}};
}

static const struct gr_wide one = {{0, 0, 0, 1}};

/* Exact: a has 53 bits, from at most 2 down to 2^-74. */
static struct gr_wide fixed_of(double a) {
    const double high = floor(ldexp(a, 64)), low = ldexp(a, 64) - high;
    const gr_double_limb whole = (gr_double_limb)high;
    return (struct gr_wide){
        {0, (uint64_t)ldexp(low, 64), (uint64_t)whole, (uint64_t)(whole >> 64)}};
}

static struct gr_wide fixed_divide(struct gr_wide a, uint64_t by) {
    gr_double_limb rest = 0;
    for (int i = GR_WIDE_LIMBS - 1; i >= 0; i--) {
        rest = rest << 64 | a.limb[i];
        a.limb[i] = (uint64_t)(rest / by);
        rest %= by;
    }
    return a;
}

/*
 * exp(-a): the series at a / 2^6, which is exact, and six squares. The terms, 40 at most, are each
 * less than 2 ulp off; with those of the squares the result is less than 2^13 ulp off.
 */
static struct gr_wide fixed_exp(double a) {
    enum { SQUARES = 6 };
    const struct gr_wide x = fixed_of(ldexp(a, -SQUARES));
    struct gr_wide term = one, even = one, odd = {{0}};
    for (uint64_t k = 1; gr_wide_bits(term) > 0; k++) {
        term = fixed_divide(fixed_product(term, x), k);
        if (k & 1)
            odd = gr_wide_add(odd, term);
        else
            even = gr_wide_add(even, term);
    }
    struct gr_wide e = gr_wide_subtract(even, odd);
    for (int i = 0; i < SQUARES; i++)
        e = fixed_product(e, e);
    return e;
}

/* 1 / a for 1 <= a < 2^12, less than 2 ulp off: its bits, from the highest on. */
static struct gr_wide fixed_inverse(struct gr_wide a) {
    struct gr_wide inverse = {{0}};
    for (int bit = 192; bit >= 0; bit--) {
        struct gr_wide with = inverse;
        with.limb[bit / 64] |= 1ULL << (bit % 64);
        if (!gr_wide_less(one, fixed_product(a, with))) inverse = with;
    }
    return inverse;
}

/*
 * Weights w(x) = exp(-a x^2) by w(x + 1) = w(x) r(x), r(x + 1) = r(x) exp(-2 a), all of them at
 * most 1: r(x) is less than (2 x + 1) 2^14 ulp off and w(x) less than x^2 2^14 ulp, which is below
 * 2^40 ulp, so that the 2^13 of them and their sum are within 2^-137 of the truth. A magnitude that
 * is not 0 stands for two numbers. The rest that cutting leaves is given to 0.
 */
void gr_noise_table_masses(double a, gr_double_limb mass[GR_NOISE_COLUMNS]) {
    const struct gr_wide first = fixed_exp(a), step = fixed_product(first, first);
    struct gr_wide sum = one, inverse, w, r;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) inverse = fixed_inverse(sum);
        w = one, r = first;
        gr_double_limb given = 0;
        for (int x = 1; x < GR_NOISE_COLUMNS; x++) {
            w = fixed_product(w, r);
            r = fixed_product(r, step);
            const struct gr_wide both = gr_wide_add(w, w);
            if (pass == 0) {
                sum = gr_wide_add(sum, both);
            } else {
                const struct gr_wide p = fixed_product(both, inverse);
                mass[x] = (gr_double_limb)p.limb[2] << 64 | p.limb[1];
                given += mass[x];
            }
        }
        mass[0] = -given;
    }
}

/* The column's own part, of 2^-128 units, in which a column has 2^115. */
static void set_column(struct gr_noise_table *table, uint32_t at, gr_double_limb own,
                       uint32_t other) {
    const gr_double_limb threshold = own << GR_NOISE_COLUMN_BITS;
    const uint32_t level = (uint32_t)(threshold >> (128 - GR_NOISE_LEVEL_BITS));
    table->column[at] = level << GR_NOISE_COLUMN_BITS | other;
    table->rest[at] = threshold << GR_NOISE_LEVEL_BITS;
}

/*
 * A magnitude with less than a column's probability has its column filled up by one with more,
 * until all have one column's. Sums are exact, so that whoever is left has exactly that.
 */
void gr_noise_table_fill(double a, struct gr_noise_table *table) {
    const gr_double_limb full = (gr_double_limb)1 << (128 - GR_NOISE_COLUMN_BITS);
    gr_double_limb mass[GR_NOISE_COLUMNS];
    uint16_t list[GR_NOISE_COLUMNS]; /* those with less from the front, with more from the back */
    int less = 0, more = GR_NOISE_COLUMNS;
    gr_noise_table_masses(a, mass);
    for (int x = 0; x < GR_NOISE_COLUMNS; x++)
        list[mass[x] < full ? less++ : --more] = (uint16_t)x;
    while (less > 0 && more < GR_NOISE_COLUMNS) {
        const uint16_t short_one = list[--less], rich = list[more];
        set_column(table, short_one, mass[short_one], rich);
        mass[rich] -= full - mass[short_one];
        if (mass[rich] < full) {
            more++;
            list[less++] = rich;
        }
    }
    while (more < GR_NOISE_COLUMNS) {
        const uint16_t rich = list[more++];
        set_column(table, rich, 0, rich);
    }
}

int32_t gr_noise_table_settle(const struct gr_noise_table *table, uint32_t word,
                              gr_double_limb further) {
    const uint32_t level = word & ((1u << GR_NOISE_LEVEL_BITS) - 1),
                   at = word >> GR_NOISE_LEVEL_BITS & (GR_NOISE_COLUMNS - 1),
                   entry = table->column[at], threshold = entry >> GR_NOISE_COLUMN_BITS;
    const bool own = level < threshold || (level == threshold && further < table->rest[at]);
    const int32_t magnitude = (int32_t)(own ? at : entry & (GR_NOISE_COLUMNS - 1));
    return word >> 31 ? -magnitude : magnitude;
}

/*
 * Beyond the last column: the distribution is subgaussian (Canonne, Kamath, Steinke 2020,
 * corollary 17), P(|X| >= N) <= 2 exp(-N^2 a). Cutting takes less than 2^-128 of each magnitude and
 * gives it to 0; fixed point is within 2^-136.
 */
double gr_noise_table_distance(double a) {
    return 2 * exp(-(double)GR_NOISE_COLUMNS * GR_NOISE_COLUMNS * a) + GR_NOISE_COLUMNS * 0x1p-128 +
           0x1p-136;
}
