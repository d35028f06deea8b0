/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample in a single look-up, by the alias method (Walker 1977; Vose 1991), for the discrete
 * Gaussian distribution of a standard deviation up to GR_NOISE_TABLE_SIGMA_MAX.
 *
 * A column holds its own magnitude below a threshold and another's above, and all columns have the
 * same probability, so that a word of 32 bits is a sign, a column and the first bits of a uniform
 * number. Where these are the threshold's first bits, once in 2^18, a further word of 128 bits
 * decides. Probabilities are whole multiples of 2^-128, found in fixed point. Not collective.
 */
#ifndef GRANARY_PRIVACY_NOISE_TABLE_H
#define GRANARY_PRIVACY_NOISE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "privacy/wide.h"

enum {
    GR_NOISE_COLUMN_BITS = 13,
    GR_NOISE_COLUMNS = 1 << GR_NOISE_COLUMN_BITS,
    GR_NOISE_LEVEL_BITS = 31 - GR_NOISE_COLUMN_BITS /* of a threshold, in the first word */
};
#define GR_NOISE_TABLE_SIGMA_MAX ((double)GR_NOISE_COLUMNS / 13)

struct gr_noise_table {
    /* By column: the threshold's first bits, then, in GR_NOISE_COLUMN_BITS bits, the magnitude
     * above it. */
    uint32_t column[GR_NOISE_COLUMNS];
    gr_double_limb rest[GR_NOISE_COLUMNS]; /* the threshold's further bits, from the highest on */
};

/* The distribution with P(x) proportional to exp(-a x^2), a = 1 / (2 sigma^2), 2^-21 <= a <= 2. */
void gr_noise_table_fill(double a, struct gr_noise_table *table);
/* The probabilities of the magnitudes that the table is made of, in units of 2^-128; their sum is
 * 2^128, which is 0 here. */
void gr_noise_table_masses(double a, gr_double_limb mass[GR_NOISE_COLUMNS]);

/* The total variation distance to the discrete Gaussian distribution, at most. */
double gr_noise_table_distance(double a);

/* The column of a word. */
static inline uint32_t gr_noise_table_column(uint32_t word) {
    return word >> GR_NOISE_LEVEL_BITS & (GR_NOISE_COLUMNS - 1);
}
/* How far a word is above its column's threshold, in its bits of it; `entry` is of that column. */
static inline int32_t gr_noise_table_above(uint32_t entry, uint32_t word) {
    return (int32_t)((word & ((1u << GR_NOISE_LEVEL_BITS) - 1)) - (entry >> GR_NOISE_COLUMN_BITS));
}
/* Not 0: the further word has the say, by gr_noise_table_settle. */
static inline uint32_t gr_noise_table_undecided(uint32_t entry, uint32_t word) {
    return gr_noise_table_above(entry, word) == 0;
}
/* The sample of a word that is not undecided. */
static inline int32_t gr_noise_table_sample(uint32_t entry, uint32_t word) {
    const uint32_t at = gr_noise_table_column(word),
                   own = -((uint32_t)gr_noise_table_above(entry, word) >> 31), /* all bits */
        magnitude = (entry ^ ((entry ^ at) & own)) & (GR_NOISE_COLUMNS - 1),
                   negative = -(word >> 31);
    return (int32_t)((magnitude ^ negative) - negative);
}

/* The sample of a word, with a further one of 128 bits where that is needed. */
int32_t gr_noise_table_settle(const struct gr_noise_table *table, uint32_t word,
                              gr_double_limb further);

#endif
