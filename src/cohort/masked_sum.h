/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums over the ranks of a run: privacy/secure_sum.h with gr_comm in the place of a
 * collector. Each message of a party is brought to all, in the party's place of one sum of words
 * that are 0 elsewhere, so every rank collects for itself; signatures tell what is false. In one
 * job the silos are the parties, each by the process that hosts it; in a study the sites are, each
 * by the first rank of its job, whose ranks add up among themselves.
 */
#ifndef GRANARY_COHORT_MASKED_SUM_H
#define GRANARY_COHORT_MASKED_SUM_H

#include <granary/release.h>

#include "privacy/secure_sum.h"

/* Sums whose keys are exchanged before they are asked for, and those of one exchange, at most. */
enum { GR_MASKED_AHEAD = 10, GR_MASKED_AT_ONCE = GR_MASKED_AHEAD + 1 };

/* What a sum is of, the same on all ranks. */
struct gr_masked_options {
    uint32_t release, round;              /* its number, 0 for none; of the run */
    uint64_t part;                        /* which of the sums of one release and round */
    unsigned char model[GR_DIGEST_BYTES]; /* on which silos train; 0: none */
};

/* Whose sums this process takes part in, with which long-term keys. */
struct gr_masking {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    const int32_t *host_of;         /* slot of each silo; borrowed */
    uint32_t n_parties;             /* of the whole federation, whoever is there */
    unsigned char run[GR_DIGEST_BYTES], study[GR_DIGEST_BYTES]; /* of a study */
    const struct gr_party *parties; /* of a study; NULL: one job; borrowed */
    const struct gr_keys *keys;     /* NULL: this rank is no party's; borrowed, or `drawn` */
    struct gr_keys *drawn;          /* one job: of this process; owned */
    struct gr_public_key *key_of;   /* one job: of each slot; owned */
    struct gr_sum_journal *journal; /* a site's; owned; NULL: none */
    uint32_t roster_difference;     /* of its policy; 0: whatever the difference */
    uint64_t counter;               /* of the latest sum, the same on all members */
    uint32_t epoch;                 /* in which members have agreed on it */
    bool agreed;
    int64_t *words; /* messages on their way; owned */
    /* Sums whose keys are exchanged beside the messages of another; of one epoch. */
    struct gr_masked_options expected[GR_MASKED_AHEAD];
    size_t n_expected;
    uint32_t expected_epoch;
    struct gr_masked_sum *ready[GR_MASKED_AHEAD]; /* keys have been exchanged; owned */
    size_t n_ready;
};

/* Not collective. host_of: may be filled later. */
gr_status gr_masking_create(struct gr_comm *comm, const struct gr_config *config,
                            const int32_t *host_of, struct gr_masking **out) GR_CHECKED;
/* Not collective. See gr_door_join. */
gr_status gr_masking_join(struct gr_masking *masking, const struct gr_door_party *party) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_masking_free(struct gr_masking *masking);

/* Not collective. Whether so many parties are there that a sum of theirs could be opened; the same
 * on all ranks. */
bool gr_masking_suffices(const struct gr_masking *masking);

/*
 * Not collective. Whether this rank's site takes part in a sum of updates of those who are there:
 * GR_STOPPED, where they differ from the parties of an earlier one of the study by fewer sites than
 * its policy says. GR_OK on ranks that are no party.
 */
gr_status gr_masking_check_difference(const struct gr_masking *masking) GR_CHECKED;

/* One sum, as this rank knows it. */
struct gr_masked_sum {
    struct gr_secure_terms terms;
    uint32_t neighbours; /* of each party, where all show keys */
    struct gr_public_key identities[GR_SECURE_PARTIES_MAX];
    struct gr_secure_party *party[GR_SECURE_PARTIES_MAX]; /* of this process; owned */
    struct gr_party_set own;                              /* these */
    struct gr_secure_collector *collector;                /* owned */
    struct gr_party_set sites; /* of a study, that are its parties, by their places */
    /* Signatures and openings of this process's parties, for those who have missed them; owned. */
    struct gr_secure_message rosters[GR_SECURE_PARTIES_MAX], openings[GR_SECURE_PARTIES_MAX];
    gr_status status; /* of this rank so far; what it adds is 0 once that is no GR_OK */
    char message[GR_MESSAGE_MAX];
};

/*
 * Not collective, and the same on all ranks: these sums are expected next, in this order; no others
 * that were expected before. Their keys are exchanged beside the messages of the next sum, so that
 * they need no exchanges for them; each sum has keys of its own. Where one is not asked for, or
 * members change, its keys are forgotten. Beyond GR_MASKED_AHEAD they are not heeded.
 */
void gr_masked_expect(struct gr_masking *masking, const struct gr_masked_options *options,
                      size_t n);
/* Not collective, and the same on all ranks. No sum begins with keys that are there already. */
void gr_masked_forget_keys(struct gr_masking *masking);
/*
 * Collective. The keys of a sum, unless they are there already. A failure of this rank alone is
 * kept in *out, for the sum's next exchange or agreement. GR_STOPPED: fewer parties are left than a
 * secure sum needs. *out: the caller's, for gr_masked_free.
 */
gr_status gr_masked_begin(struct gr_masking *masking, const struct gr_masked_options *options,
                          struct gr_masked_sum **out) GR_CHECKED;
/* Not collective. A failure of this rank alone, unless GR_OK or not the first: it goes on with the
 * collectives, and brings nothing. */
void gr_masked_fail(struct gr_masked_sum *sum, gr_status status);
/* Not collective. A site notes the parties of a sum of updates, before it is opened. */
void gr_masked_note_parties(const struct gr_masking *masking, struct gr_masked_sum *sum);
/* Not collective. Adds the masks of this process's parties to what it brings to the sum. Ranges
 * ascend. */
void gr_masked_add(struct gr_masked_sum *sum, struct gr_stream_range range, void *words);
/*
 * Collective: gr_comm_agree for a sum. GR_STOPPED, that too few parties are left, is no failure of
 * this rank's own: all end the sum with it, and no site leaves the study for it.
 */
gr_status gr_masked_agree(const struct gr_masking *masking, gr_status mine) GR_CHECKED;
/* Not collective. This rank's failure so far, with its message. */
gr_status gr_masked_status(const struct gr_masked_sum *sum) GR_CHECKED;
/*
 * Collective, of members that hold the sum of the masked words, of which `total` is a digest. The
 * parties sign it and open the masks; again after a loss, with those who hold it still. n_parties:
 * 0, or again the number of the sum's parties, which a rank that was not in it (sum NULL) has to be
 * told. *signed_by_all: set once the signatures are here, and so all are known to hold the sum; no
 * mask is opened before. GR_STOPPED: too few are left, and the sum is void. Errors:
 * GR_ERROR_POLICY: somebody was told something else.
 */
gr_status gr_masked_open(struct gr_masking *masking, struct gr_masked_sum *sum, uint32_t n_parties,
                         const unsigned char total[GR_DIGEST_BYTES],
                         bool *signed_by_all) GR_CHECKED;
/* Not collective. Takes all masks off words of the total. */
void gr_masked_remove(const struct gr_masked_sum *sum, struct gr_stream_range range, void *words);
/* Not collective. NULL accepted. */
void gr_masked_free(struct gr_masked_sum *sum);

#endif
