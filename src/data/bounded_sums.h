/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over rows to which no unit, a row or a person, adds more than is known beforehand: for
 * means, deviations and modes that leave with noise. A number x of a column with a range is clamped
 * to it and taken as u = (x - middle) / (half of the range), which is within [-1, 1]. Of each
 * column that is standardised the values are counted, and u and u^2 added up; of one that is filled
 * by its mean they are counted, and u added up; of one that is filled by its mode each category is
 * counted.
 *
 * Sums are in steps of 1 / GR_TALLY_STEPS, each addend rounded by itself. Of a person with several
 * rows the mean of those that have a value is added, rounded towards 0; a unit without any adds
 * nothing. So a unit adds at most GR_TALLY_STEPS to each sum of numbers, and to all categories of a
 * column together: in the L2 norm at most GR_TALLY_STEPS sqrt(most) to all sums.
 *
 * Interface: internal.
 */
#ifndef GRANARY_DATA_BOUNDED_SUMS_H
#define GRANARY_DATA_BOUNDED_SUMS_H

#include <granary/data.h>

/* Sums of a value. */
struct gr_bounded_sums {
    size_t first; /* place among all */
    uint32_t n;   /* 0: nothing is asked of it */
    bool squares; /* of a number */
};
struct gr_bounded_layout {
    struct gr_bounded_sums *value; /* of each value of a row; owned */
    size_t n_values;
    size_t n;    /* sums of all values */
    size_t most; /* to which a unit adds at once, categories of a column counted as one */
};

/*
 * Not collective. t: n_values, borrowed by nobody. Released with gr_bounded_layout_release. Errors:
 * GR_ERROR_CONFIG: a number that is asked for has no range; there are too many sums
 * (GR_STATISTICS_SUMS_MAX).
 */
gr_status gr_bounded_layout_create(const struct gr_treatment *t, size_t n_values,
                                   struct gr_bounded_layout *out) GR_CHECKED;
/* Not collective. Zeroed is accepted. */
void gr_bounded_layout_release(struct gr_bounded_layout *layout);

/*
 * Not collective. Adds a silo's rows as read, n_values each, to sums[layout->n]; units are its
 * persons where persons is set, else rows.
 */
void gr_bounded_add(const struct gr_bounded_layout *layout, const struct gr_treatment *t,
                    const struct gr_rows *rows, bool persons, int64_t *sums);

/* Counts below so many standard deviations of their noise tell nothing. */
enum { GR_BOUNDED_DEVIATIONS = 4 };
/*
 * Not collective. Mean and standard deviation of a value that is a number, from its sums over all
 * silos. noise: standard deviation of the noise in each of these sums, in units. The deviation is
 * at least as much as noise and rounding could make of none, and at most half the range. False: the
 * count is below GR_BOUNDED_DEVIATIONS times the noise, or not positive; then they are the middle
 * of the range, and half of it.
 */
bool gr_bounded_number(const struct gr_bounded_sums *of, const struct gr_treatment *t,
                       const int64_t *sums, double noise, double *mean, double *deviation);
/* Not collective. The category with the greatest count, of several the first. False: that is less
 * than GR_BOUNDED_DEVIATIONS times the noise. */
bool gr_bounded_mode(const struct gr_bounded_sums *of, const int64_t *sums, double noise,
                     uint32_t *mode);

#endif
