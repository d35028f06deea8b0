/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masked sums of integers that follow each other in one piece of work, which a loss makes all ranks
 * do again. A sum that anybody may have read is never taken a second time, over fewer silos, for
 * the two would tell by subtraction what the lost ones brought: it is remembered until the page is
 * turned, opened for those who have not read it yet, and told again as it was.
 */
#ifndef GRANARY_COHORT_MASKED_PAGE_H
#define GRANARY_COHORT_MASKED_PAGE_H

#include "cohort/masked_sum.h"

struct gr_masked_entry {
    int64_t *words; /* the total, masked until it is opened; owned */
    size_t n;
    uint32_t release;
    struct gr_masked_sum *sum; /* owned */
    bool held;                 /* the masked total is complete here */
    bool agreed;               /* and all members have it */
    bool opened;
};

struct gr_masked_page {
    uint64_t key;                    /* of the work that it belongs to */
    struct gr_masked_entry *entries; /* owned */
    size_t n_entries, next;
    uint32_t epoch; /* in which the work was begun or begun anew */
    bool begun;
    uint16_t forgotten; /* so often, for sums of it were perhaps read; the same on all members */
    int64_t reach; /* how far any member has come, in steps: two for each sum that it has read, one
                 for a sum that all are known to have */
};

/* Not collective. The work of this number begins, or begins anew after a loss: then its sums are
 * asked for in the same order, whoever is left. */
void gr_masked_page_turn(struct gr_masked_page *page, uint64_t key);
/* Not collective. What the sum in a place of some work is of, counted from 0, where the work was
 * forgotten so often. */
struct gr_masked_options gr_masked_page_place(uint64_t key, uint16_t forgotten, size_t place,
                                              uint32_t release);
/* Collective. values[0..n-1], this rank's silos', become their sums. release, round: as of
 * gr_masked_begin; n: the same on all ranks. Errors: as of gr_masked_begin and gr_masked_open;
 * GR_ERROR_INTERNAL: the work that was begun anew asks for another sum than before in this place.
 */
gr_status gr_masked_page_sum(struct gr_masked_page *page, struct gr_masking *masking,
                             uint32_t release, int64_t *values, size_t n) GR_CHECKED;
/*
 * Collective, behind gr_masked_page_turn, where members may have changed. *told: some member may
 * have read a sum of this work before; then all of it is forgotten, and of the silos that are left
 * the caller brings nothing more that could be subtracted. So its sums are others from then on, in
 * a site's record too, which would refuse the same ones over fewer parties.
 */
gr_status gr_masked_page_forget(struct gr_masked_page *page, struct gr_comm *comm,
                                bool *told) GR_CHECKED;
/* Not collective. */
void gr_masked_page_release(struct gr_masked_page *page);

#endif
