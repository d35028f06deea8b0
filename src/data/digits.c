/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digits that float32 does not hold: the counts behind digits.h's definition. Errors are kept by
 * binary exponent, not one by one, because the spread that they are compared with is known at the
 * end only.
 */
#include "data/digits.h"

/* The bin of errors of 2^(e-1) to 2^e. Errors below 2^-96 share the first bin, and those beyond the
 * last one its end. */
static int bin_of(double error) {
    int e;
    (void)frexp(error, &e);
    e -= GR_DIGITS_LEAST;
    return e < 0 ? 0 : e >= GR_DIGITS_BINS ? GR_DIGITS_BINS - 1 : e;
}

void gr_digits_add_error(struct gr_digits *d, double error) {
    if (error > 0) d->errors[bin_of(error)]++;
}

int64_t gr_digits_lost(const struct gr_digits *d) {
    const double spread = d->high - d->low, size = fmax(fabs(d->low), fabs(d->high));
    int64_t lost = 0;
    if (!d->any || !(spread > GR_DIGITS_NOISE * size)) return 0;
    /* Errors in the bin of the tolerance itself may be on either side of it. */
    for (int i = bin_of(GR_DIGITS_TOLERANCE * spread) + 1; i < GR_DIGITS_BINS; i++)
        lost += d->errors[i];
    return 2 * d->merged >= d->pairs && d->merged > lost ? d->merged : lost;
}
