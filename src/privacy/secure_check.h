/* SPDX-License-Identifier: Apache-2.0 */
/* What a party and the collector both derive or hold against each other. Not collective. */
#ifndef GRANARY_PRIVACY_SECURE_CHECK_H
#define GRANARY_PRIVACY_SECURE_CHECK_H

#include "privacy/secure_sum.h"

/* Which share, of whose secret, for whom, in which sum: a digest that only who has it can make. */
struct gr_secure_share_of {
    const unsigned char *id; /* GR_DIGEST_BYTES; borrowed */
    uint32_t from, to;
    enum gr_secure_share which;
};
void gr_secure_share_digest(const struct gr_secure_share_of *of,
                            const unsigned char share[GR_SECURE_SECRET_BYTES],
                            unsigned char out[GR_DIGEST_BYTES]);
/* To the seed of a party's self mask. */
void gr_secure_commitment(const unsigned char *id, uint32_t party,
                          const unsigned char seed[GR_SECURE_SECRET_BYTES],
                          unsigned char out[GR_DIGEST_BYTES]);
/* To what a party brings to the seed of the graph. */
void gr_secure_draw_commitment(const unsigned char *id, uint32_t party,
                               const unsigned char draw[GR_SECURE_SECRET_BYTES],
                               unsigned char out[GR_DIGEST_BYTES]);
/* The graph of a sum, from its list of keys and from what all in the list have revealed, in the
 * order of their numbers. Errors: GR_ERROR_CONFIG. */
struct gr_secure_drawn {
    const unsigned char *id, *list; /* GR_DIGEST_BYTES; borrowed */
    const unsigned char (
        *draws)[GR_SECURE_SECRET_BYTES]; /* by party; NULL: there are none; borrowed */
};
gr_status gr_secure_draw(const struct gr_secure_terms *terms, const struct gr_party_set *listed,
                         const struct gr_secure_drawn *drawn,
                         struct gr_secure_graph *out) GR_CHECKED;
/* Whether the secret is the one that the party's advert commits it to. */
bool gr_secure_secret_is(const struct gr_secure_advert *advert, enum gr_secure_share which,
                         const unsigned char secret[GR_SECURE_SECRET_BYTES]);
/* The advert of a party, if it is one, signed by it, for this sum. Errors: GR_ERROR_POLICY. */
gr_status gr_secure_advert_check(const struct gr_secure_terms *terms, const unsigned char *id,
                                 uint32_t party, const void *bytes, size_t n) GR_CHECKED;
/* The digest of a list of adverts, as the bytes of GR_SECURE_LIST. */
void gr_secure_list_digest(const void *list, size_t n, unsigned char out[GR_DIGEST_BYTES]);
/* The digest of who has sent shares and who is in the sum. */
void gr_secure_parties_digest(const struct gr_party_set *sharers, const struct gr_party_set *summed,
                              unsigned char out[GR_DIGEST_BYTES]);
/* The digest of what all sign: sum, list, parties, total and model. */
void gr_secure_roster_digest(const struct gr_secure_roster *roster,
                             unsigned char out[GR_DIGEST_BYTES]);
/* Whether two rosters say the same, whoever signed them. */
bool gr_secure_roster_same(const struct gr_secure_roster *a, const struct gr_secure_roster *b);
/* Errors: GR_ERROR_INTERNAL: it leaves its stream, or is of no whole words. */
gr_status gr_secure_range_check(struct gr_stream_range range) GR_CHECKED;

#endif
