/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private_sum: clipped sums on the grid of integers on which noise is added.
 *
 * Interface: internal.
 */
#ifndef GRANARY_TRAIN_PRIVATE_SUM_H
#define GRANARY_TRAIN_PRIVATE_SUM_H

#include <granary/base.h>

/*
 * into[i] += the whole number nearest to sum[i] * scale, that product taken in double; of two
 * equally near ones the even one. n of each; every |sum[i] * scale| < 2^51, which a clipped sum is
 * far below. The same by all instruction sets. Not collective.
 */
void gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n);

#endif
