/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether float32 holds what tells a column's values apart. A value is lost where rounding moved it
 * by more than a thousandth of the column's spread (all of 1000000.1 and 1000000.3, of which
 * float32 makes 1000000.125 and 1000000.3125), and where at least half of the neighbouring rows
 * that differ become the same float32 (seconds since 1970, row by row), which one value far away
 * from the others does not hide. Numbers such as 22.6, of which float32 keeps seven digits, are
 * neither; nor is a column that is the same everywhere but for the last bits of a double.
 */
#ifndef GRANARY_DATA_DIGITS_H
#define GRANARY_DATA_DIGITS_H

#include <granary/base.h>

#include <math.h>

enum { GR_DIGITS_BINS = 128, GR_DIGITS_LEAST = -96 /* exponent of the first bin */ };
/* Shares of the spread that may be lost, and of a value that is the noise of doubles. */
#define GR_DIGITS_TOLERANCE 1e-3
#define GR_DIGITS_NOISE     1e-12

/* Of one column, row after row. */
struct gr_digits {
    bool any;
    double low, high, last;
    float last_stored;
    int64_t pairs, merged;           /* neighbours that differ, and of those with one float32 */
    uint32_t errors[GR_DIGITS_BINS]; /* values by the exponent of what rounding moved them by */
};

void gr_digits_add_error(struct gr_digits *d, double error);

/* value: as it would be stored in double; stored: as it is. */
static inline void gr_digits_add(struct gr_digits *d, double value, float stored) {
    const double size = fabs(value);
    if (!d->any) {
        d->any = true;
        d->low = d->high = d->last = value;
        d->last_stored = stored;
    }
    if (value < d->low) d->low = value;
    if (value > d->high) d->high = value;
    if (stored < d->last_stored || stored > d->last_stored) {
        d->pairs++;
    } else if (fabs(value - d->last) > size * GR_DIGITS_NOISE) {
        d->pairs++;
        d->merged++;
    }
    d->last = value;
    d->last_stored = stored;
    /* Half a unit of float32's last place, and the spread only grows. */
    if (size * 0x1p-24 > GR_DIGITS_TOLERANCE * (d->high - d->low))
        gr_digits_add_error(d, fabs(value - (double)stored));
}

/* How many values are lost. */
int64_t gr_digits_lost(const struct gr_digits *d);

#endif
