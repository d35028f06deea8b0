/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise that differential privacy puts into sums of updates: discrete Gaussian, added as integers
 * on the grid of the sum before a word of it leaves the process, and before masks. Rank 0 adds it,
 * or the parties of secure sums do in shares.
 *
 * Seeds come from the operating system. A loss may end a sum of which others have read a part. Over
 * the same roster it is taken again with the same seed, and so to the same words; over another
 * roster it has another seed, for two sums with one noise would tell by subtraction what a lost
 * silo had brought.
 */
#ifndef GRANARY_COHORT_SUM_NOISE_H
#define GRANARY_COHORT_SUM_NOISE_H

#include <granary/release.h>

#include "privacy/noise.h"

struct gr_sum_noise {
    struct gr_sum_deviations steps;        /* of the tables; of updates in steps of the grid */
    struct gr_noise *update, *tally;       /* NULL: this rank adds none; owned */
    bool drawn;                            /* for the sum of: */
    int root;                              /* slot of its rank 0 */
    unsigned char roster[GR_DIGEST_BYTES]; /* round and silos */
    unsigned char seed[GR_NOISE_SEED_BYTES];
};

/* Not collective. The tables for this rank's part in a sum; 0: it adds none. */
gr_status gr_sum_noise_measure(struct gr_sum_noise *noise,
                               struct gr_sum_deviations steps) GR_CHECKED;
/* Not collective. The seed for a sum over the roster, with `root` as rank 0: that of the sum before
 * where both are the same. */
gr_status gr_sum_noise_draw(struct gr_sum_noise *noise, const struct gr_roster *roster,
                            int root) GR_CHECKED;
/* Not collective. Adds to n words of the sum, of one block, or to the tallies among its riders. */
void gr_sum_noise_add(struct gr_sum_noise *noise, struct gr_stage_key key, void *words,
                      size_t width, size_t n);
/* Not collective. */
void gr_sum_noise_release(struct gr_sum_noise *noise);

#endif
