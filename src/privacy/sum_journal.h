/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A party's own record of the secure sums that it has begun, kept in its own folder. It is on disk
 * before anything leaves, so that no restart lets a party begin a sum twice, or sign a second
 * roster for one. A journal that somebody has put back to an earlier state cannot be told from a
 * true one. A party whose long-term keys end with its process needs none: NULL is accepted by all
 * that write, and keeps nothing. Not collective.
 */
#ifndef GRANARY_PRIVACY_SUM_JOURNAL_H
#define GRANARY_PRIVACY_SUM_JOURNAL_H

#include <granary/base.h>

#include "privacy/party_set.h"

struct gr_sum_journal; /* opaque */

/*
 * Not collective. Opens the journal at `path`, which is made where it is missing (0600), and locks
 * it against other processes. A last line that a crash has cut was never relied on, and goes.
 * Errors: GR_ERROR_WRITE; GR_ERROR_DATA names the line that is none of a journal. *out: the
 * caller's, for gr_sum_journal_close.
 */
gr_status gr_sum_journal_open(const char *path, struct gr_sum_journal **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_sum_journal_close(struct gr_sum_journal *journal);
/* Not collective. The greatest counter that was begun; 0: none. The next sum's is above it. */
uint64_t gr_sum_journal_counter(const struct gr_sum_journal *journal);
/*
 * Not collective. Notes that the sum `id` with the counter begins. Errors: GR_ERROR_POLICY: the
 * counter is not above all before; GR_ERROR_WRITE: nothing may leave.
 */
gr_status gr_sum_journal_begin(struct gr_sum_journal *journal, uint64_t counter,
                               const unsigned char id[GR_DIGEST_BYTES]) GR_CHECKED;
/*
 * Not collective. Notes the roster, by its digest, which this party is about to sign for one of the
 * sums that were begun last: several may be under way, each with its roster. Errors:
 * GR_ERROR_POLICY: another sum, or another roster for this one; GR_ERROR_WRITE: nothing may leave.
 */
gr_status gr_sum_journal_roster(struct gr_sum_journal *journal,
                                const unsigned char id[GR_DIGEST_BYTES],
                                const unsigned char roster[GR_DIGEST_BYTES]) GR_CHECKED;
/*
 * Not collective. Notes, by their places, which sites of a study are the parties of a sum of
 * updates that this party is about to sign; of each set once. Errors: GR_ERROR_WRITE: nothing may
 * leave.
 */
gr_status gr_sum_journal_parties(struct gr_sum_journal *journal,
                                 const unsigned char study[GR_DIGEST_BYTES],
                                 const struct gr_party_set *sites) GR_CHECKED;
/* Not collective. By how many sites a set differs from that noted of the study which is nearest to
 * it and not the same; UINT32_MAX: there is none. */
uint32_t gr_sum_journal_difference(const struct gr_sum_journal *journal,
                                   const unsigned char study[GR_DIGEST_BYTES],
                                   const struct gr_party_set *sites);
/* What a sum is of, and whose vectors are in it: two digests. */
struct gr_sum_subject {
    unsigned char of[GR_DIGEST_BYTES], parties[GR_DIGEST_BYTES];
};
/*
 * Not collective. Whether shares may leave for such a sum: none have for one of the same over other
 * parties, from which it would differ by what those in only one of them have brought; in whatever
 * run. Errors: GR_ERROR_POLICY.
 */
gr_status gr_sum_journal_check(const struct gr_sum_journal *journal,
                               const struct gr_sum_subject *subject) GR_CHECKED;
/*
 * Not collective. Notes that shares for that roster are about to leave. Errors: as
 * gr_sum_journal_roster and gr_sum_journal_check, and GR_ERROR_POLICY when no roster was noted.
 */
gr_status gr_sum_journal_shares(struct gr_sum_journal *journal,
                                const unsigned char id[GR_DIGEST_BYTES],
                                const unsigned char roster[GR_DIGEST_BYTES],
                                const struct gr_sum_subject *subject) GR_CHECKED;

#endif
