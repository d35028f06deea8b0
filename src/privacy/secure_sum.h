/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums: masks of which all but the total's are gone when a sum has been taken, so that
 * nobody, whoever collects included, sees one party's vector.
 *
 * The protocol is Bonawitz et al., Practical secure aggregation for privacy-preserving machine
 * learning (CCS 2017), in its variant against an active server: each party draws a secret seed b of
 * a mask of its own and a key pair whose X25519 with each other party's gives masks that cancel;
 * shares of both secrets go, sealed, to all; of many parties these are neighbours only
 * (secure_graph.h); after the sum, shares of b are opened for those in it
 * and of the pair secret for those who were lost before it, never both of one party, on the ground
 * of one roster that at least `threshold` parties have signed.
 *
 * Messages in, messages out: nothing here sends or waits. The collector carries messages and is
 * trusted with nothing: each party checks all that it says, and stops at the first lie. Not
 * collective.
 */
#ifndef GRANARY_PRIVACY_SECURE_SUM_H
#define GRANARY_PRIVACY_SECURE_SUM_H

#include "privacy/key_stream.h"
#include "privacy/secure_graph.h"
#include "privacy/secure_message.h"
#include "privacy/sum_journal.h"

enum { GR_SECURE_PARTIES_MIN = 3 };

/* On which all parties of a sum must agree; they are in its id. */
struct gr_secure_terms {
    const struct gr_public_key *identities; /* n_parties: long-term keys; borrowed */
    uint32_t n_parties;
    uint32_t threshold;                   /* parties without which no sum is opened */
    uint32_t colluding;                   /* parties that may lie together with the collector */
    uint32_t neighbours;                  /* of each at least; 0: as gr_secure_degree finds */
    unsigned char run[GR_DIGEST_BYTES];   /* digest of what names the run */
    unsigned char study[GR_DIGEST_BYTES]; /* of the study */
    unsigned char model[GR_DIGEST_BYTES]; /* of the model on which this round trains */
    uint32_t round, release;              /* what for: the release's number */
    uint64_t part;                        /* which of the sums of one release and round */
    uint64_t counter;                     /* above that of all sums before */
};

/* floor(2n/3) + 1. */
uint32_t gr_secure_threshold_default(uint32_t n_parties);
/*
 * Whether a sum may be taken on such terms: 3 <= n <= GR_SECURE_PARTIES_MAX; threshold at least
 * n/2 + 1, at most n, and 2 threshold > n + colluding, for else the colluding could sign two
 * rosters, each with honest ones enough; colluding < threshold; gr_secure_degree. Errors:
 * GR_ERROR_CONFIG.
 */
gr_status gr_secure_terms_check(const struct gr_secure_terms *terms) GR_CHECKED;
/* How the graph is, of n parties that have shown keys. Errors: GR_ERROR_CONFIG. */
gr_status gr_secure_terms_degree(const struct gr_secure_terms *terms, uint32_t n,
                                 struct gr_secure_degree *out) GR_CHECKED;
/* Whether the graph is drawn, for which all have to reveal something: there are more than
 * GR_SECURE_COMPLETE_MAX parties. */
bool gr_secure_terms_draws(const struct gr_secure_terms *terms);
/* The sum's id: BLAKE2b-256 of all but the model, which each party advertises. */
void gr_secure_terms_id(const struct gr_secure_terms *terms, unsigned char out[GR_DIGEST_BYTES]);

/* What the sum is of, and of whom, for a journal: the same round, release and part of a study in
 * whatever run. */
void gr_secure_terms_subject(const struct gr_secure_terms *terms, const struct gr_party_set *summed,
                             struct gr_sum_subject *out);

/* ---- a party (privacy/secure_party.c) ---------------------------------------------------------
 */

struct gr_secure_party; /* opaque; its secrets are locked in memory and in no core file */

struct gr_secure_party_options {
    struct gr_secure_terms terms; /* identities: from the party's own approval; outlive it */
    uint32_t me;
    uint32_t least_threshold;       /* of the party's policy */
    const struct gr_keys *keys;     /* its long-term ones; outlive it */
    struct gr_sum_journal *journal; /* outlives it; NULL: its long-term keys end with the process */
    bool whole;                     /* it signs no roster but that of all parties: what it brings
                                       counts on what each of them does, as shares of a noise do */
};

/*
 * Draws the party's secrets and notes the sum in the journal, from which on it is never begun
 * again. Errors: GR_ERROR_POLICY: a threshold below the policy's, a counter that goes back;
 * GR_ERROR_CONFIG; GR_ERROR_WRITE.
 *
 * Every function below fails with GR_ERROR_POLICY when a message is a lie or comes out of turn, and
 * with GR_STOPPED when fewer than the threshold are left; from then on the party has no secrets any
 * more and all its functions fail.
 */
gr_status gr_secure_party_create(const struct gr_secure_party_options *options,
                                 struct gr_secure_party **out) GR_CHECKED;
/* Wipes; NULL accepted. */
void gr_secure_party_free(struct gr_secure_party *party);

/* GR_SECURE_ADVERT. The caller releases out->bytes, here and below. */
gr_status gr_secure_party_advertise(struct gr_secure_party *party,
                                    struct gr_secure_message *out) GR_CHECKED;
/* Where the graph is drawn: GR_SECURE_LIST in, GR_SECURE_REVEAL out. */
gr_status gr_secure_party_reveal(struct gr_secure_party *party, const void *list, size_t n,
                                 struct gr_secure_message *out) GR_CHECKED;
/* GR_SECURE_REVEALS in, or GR_SECURE_LIST where the graph is not drawn; GR_SECURE_SHARES out. */
gr_status gr_secure_party_share(struct gr_secure_party *party, const void *told, size_t n,
                                struct gr_secure_message *out) GR_CHECKED;
/* GR_SECURE_PIECES in; from now on vectors may be masked. */
gr_status gr_secure_party_take_pieces(struct gr_secure_party *party, const void *pieces,
                                      size_t n) GR_CHECKED;
/*
 * Adds the party's mask to words of its vector. Each place of the stream is used once: ranges come
 * in ascending order without overlap, so whoever repeats a sum sends the masked words again, and
 * never others under the same mask. beside: parties whose masked vectors are added to this one's
 * before anything leaves their common process, each beside the others: masks that they make with
 * each other are gone then, and are not made; NULL: none.
 */
gr_status gr_secure_party_mask(struct gr_secure_party *party, const struct gr_party_set *beside,
                               struct gr_stream_range range, void *words) GR_CHECKED;
/*
 * The sum was taken over `summed`, and `total` is the digest of its masked words: GR_SECURE_ROSTER
 * out. Once; the roster is in the journal before.
 */
gr_status gr_secure_party_sign(struct gr_secure_party *party, const struct gr_party_set *summed,
                               const unsigned char total[GR_DIGEST_BYTES],
                               struct gr_secure_message *out) GR_CHECKED;
/* GR_SECURE_ROSTERS in, GR_SECURE_OPENING out. */
gr_status gr_secure_party_open_shares(struct gr_secure_party *party, const void *rosters, size_t n,
                                      struct gr_secure_message *out) GR_CHECKED;
/* GR_SECURE_SECRETS in; from now on the total may be unmasked. */
gr_status gr_secure_party_take_secrets(struct gr_secure_party *party, const void *secrets,
                                       size_t n) GR_CHECKED;
/* Takes all masks off words of the total; any range, any number of times. */
gr_status gr_secure_party_unmask(const struct gr_secure_party *party, struct gr_stream_range range,
                                 void *words) GR_CHECKED;

/* ---- the collector (privacy/secure_collector.c) -----------------------------------------------
 */

struct gr_secure_collector; /* opaque */

/* Which messages it takes next; CLOSED: it has told all. */
enum gr_secure_step {
    GR_SECURE_STEP_ADVERTS,
    GR_SECURE_STEP_REVEALS, /* passed over where the graph is not drawn */
    GR_SECURE_STEP_SHARES,
    GR_SECURE_STEP_ROSTERS,
    GR_SECURE_STEP_OPENINGS,
    GR_SECURE_STEP_CLOSED
};

gr_status gr_secure_collector_create(const struct gr_secure_terms *terms,
                                     struct gr_secure_collector **out) GR_CHECKED;
/* NULL accepted. */
void gr_secure_collector_free(struct gr_secure_collector *collector);
/*
 * A message of party `from`, of the kind that is waited for. GR_ERROR_POLICY: it is none, or false,
 * and the message names the party; the sum goes on without it.
 */
gr_status gr_secure_collector_take(struct gr_secure_collector *collector, uint32_t from,
                                   const void *bytes, size_t n) GR_CHECKED;
/* The sum was taken over `summed`, and `total` is the digest of its masked words; once, before
 * rosters are taken. Errors: GR_ERROR_INTERNAL. */
gr_status gr_secure_collector_summed(struct gr_secure_collector *collector,
                                     const struct gr_party_set *summed,
                                     const unsigned char total[GR_DIGEST_BYTES]) GR_CHECKED;
/* Whose messages of the present kind have come. Borrowed. */
const struct gr_party_set *gr_secure_collector_heard(const struct gr_secure_collector *collector);
/*
 * Nobody else is waited for: those heard go on. GR_STOPPED: fewer than the threshold, or not all
 * that were to reveal something, and the sum is void. gr_secure_collector_tell then gives what
 * follows.
 */
gr_status gr_secure_collector_close(struct gr_secure_collector *collector) GR_CHECKED;
/*
 * What a party is told next: GR_SECURE_LIST, GR_SECURE_REVEALS, GR_SECURE_PIECES,
 * GR_SECURE_ROSTERS, GR_SECURE_SECRETS. The caller releases out->bytes.
 */
gr_status gr_secure_collector_tell(const struct gr_secure_collector *collector, uint32_t to,
                                   struct gr_secure_message *out) GR_CHECKED;
enum gr_secure_step gr_secure_collector_step(const struct gr_secure_collector *collector);
/* Once secrets are told: takes all masks off words of the total, for whoever is no party; any
 * range, any number of times. */
gr_status gr_secure_collector_unmask(const struct gr_secure_collector *collector,
                                     struct gr_stream_range range, void *words) GR_CHECKED;

#endif
