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
 *
 * Shares. In a sum of n parties each adds 1 / (n - c) of the variance, c parties being those that
 * may collude, at least one: the shares of the others have all of it, for whoever reads the sum and
 * knows the shares of c parties, or has these add nothing.
 *
 * A party counts on a share of every other whose keys it was shown; n is in the sum's id. It signs
 * the roster of all n and no other (gr_secure_party_options.whole), so that it opens shares of self
 * masks alone, and nobody learns the mask that two parties make which do not collude. These masks
 * join all such parties (secure_graph.h: of more than 64 but for one chance in 2^40). So whatever
 * can be read, with all masked words and all that the colluding know, has the vectors of all of
 * them in it, each with its share, or of none. A coordinator may lie about who is there: a sum has
 * the noise that is promised, or stays masked.
 *
 * No share is in excess for those who may be lost. A loss before the seal voids the sum, whose
 * masks are forgotten; the next one has other keys and seeds, and fewer and greater shares. Who is
 * lost after the seal is in the sum. Components in excess whose seeds are told, so that they are
 * taken off again (Jiang, Wang, Chen: Dordis, EuroSys 2024, arXiv:2209.12528), come to the same n /
 * (n - c) of the variance: they are for sums that go on without those who are lost.
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
