/* SPDX-License-Identifier: Apache-2.0 */
/* pool: the part of a pool that a convolution before it does on the way, see pool.c. */
#ifndef GRANARY_MODEL_POOL_H
#define GRANARY_MODEL_POOL_H

#include <model/layer.h>

/*
 * A max pool notes for each number that goes out the place of it in the window, counted row by row,
 * or GR_POOL_NOWHERE where no derivative goes back: relu was before it, and has cut the number.
 */
enum { GR_POOL_NOWHERE = -1 };

/*
 * Whether the convolution before can do the pool's work, so that its own outputs are never stored:
 * the convolution's activation is relu, and the pool takes the largest of squares of 2 x 2 side by
 * side. Rows and columns that are left over go nowhere.
 */
bool gr_pool_merges(const struct gr_layer *pool);

/* Room for the places of n rows, to be written; owned by the pool. */
gr_status gr_pool_places(struct gr_layer *pool, size_t n, int32_t **out) GR_CHECKED;

#endif
