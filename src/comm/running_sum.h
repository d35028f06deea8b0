/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of one rank's contributions, taken as they come, before the grid of the sum is known.
 *
 * The grid follows from all contributions of all ranks, and a rounding cannot be repeated on a
 * vector that is gone. So each contribution is rounded on some grids at once, neighbours in powers
 * of two around the one that is expected; the words of each are added up in a plane of their own.
 * Once the grid has been agreed on, one plane holds the very words that the vectors themselves
 * would have given. A block whose exponent lies outside of its planes makes the rank begin again:
 * whoever adds up says how each contribution is made once more.
 *
 * Expected is, per block, the exponent of the last sum, and the largest value of the first
 * contributions, which are kept as they are for that purpose as long as they fit where the planes
 * will be. One plane is enough for floats, which have no grid, and for a public one, which is
 * known.
 */
#ifndef GRANARY_COMM_RUNNING_SUM_H
#define GRANARY_COMM_RUNNING_SUM_H

#include <granary/comm.h>

#include "comm/ring.h"

/* Planes, and by how much the lowest lies below the exponent that is expected: exponents fall from
 * round to round more often than they rise, and a lost silo leaves more room for each other. */
enum { GR_RUNNING_PLANES = 6, GR_RUNNING_BELOW = 2 };

struct gr_running_sum {
    const struct gr_codec *codec;
    size_t span, n_blocks; /* as of the aggregator, whose sums these are a part of */
    size_t n_planes;
    char *words;         /* of block b: n_planes times GR_RING_BLOCK words, or `room` times as many
                            floats; owned; NULL: nothing has been added yet */
    size_t room;         /* contributions that are kept as they are at first; 0: none is */
    bool spread;         /* they have been added, and later ones are at once */
    uint32_t *largest;   /* of each block, as gr_ring_largest has it; owned */
    uint32_t *before;    /* idem, while contributions are added anew: when they first were; owned */
    int16_t *lowest;     /* exponent of each block's first plane; GR_RING_EXPONENT_ZERO: not chosen,
                            for the block is all zeros so far; owned */
    int16_t *expected;   /* of the last sum; GR_RING_EXPONENT_ZERO: none; owned */
    float *multiplier;   /* of the contributions that are kept; `room`; owned */
    size_t n;            /* contributions added, */
    size_t n_before;     /* and when they first were */
    bool due;            /* they are to be added anew */
    uint32_t n_expected; /* in the sum, over all ranks */
    int headroom;        /* powers of two that later contributions may be larger by */
    int16_t known;       /* the exponent of all blocks, where there is one plane */
    bool exact;          /* `expected` is the grid of this sum */
};

/* Not collective. n_planes: 1 or GR_RUNNING_PLANES. Memory is taken by the first contribution. */
void gr_running_create(const struct gr_codec *codec, size_t span, size_t n_blocks, size_t n_planes,
                       struct gr_running_sum *out);
/* Not collective. */
void gr_running_release(struct gr_running_sum *running);
/* Not collective. Bytes for each element, while contributions are added. */
size_t gr_running_bytes(const struct gr_running_sum *running);

/* Not collective. Forgets what was added. known: the exponent of a public grid; else without
 * effect. */
void gr_running_begin(struct gr_running_sum *running, uint32_t n_expected, int16_t known);
/*
 * Not collective. Adds the vectors of one contribution of `size` elements each times the
 * multiplier; they are not needed afterwards. headroom: see above, from what is known about those
 * that follow. Errors: no memory (GR_ERROR_INTERNAL), at the first contribution only.
 */
gr_status gr_running_add(struct gr_running_sum *running, const float *const *vector, size_t size,
                         float multiplier, int headroom) GR_CHECKED;
/*
 * Not collective, with contributions of `size` elements. exponents: the grid of the sum, n_blocks
 * of them. False: some block has no plane with its exponent, or what was added anew has not been
 * complete. The contributions are to be added anew, between the two calls that follow; until they
 * are, `n` and `largest` stay what they were.
 */
bool gr_running_settle(struct gr_running_sum *running, const int16_t *exponents, size_t size);
/* Not collective. They are added on the grid that was given last. */
void gr_running_repeat(struct gr_running_sum *running);
/* Not collective. done: all were added; else they are still due. False: they differ from those of
 * before. */
bool gr_running_repeated(struct gr_running_sum *running, bool done);
/* Not collective, after gr_running_settle. The n words of a block, on its exponent. */
void gr_running_take(const struct gr_running_sum *running, size_t block, int16_t exponent,
                     void *words, size_t n);

#endif
