/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secure_check.h"

#include <sodium.h>

/* Different purposes never have the same bytes: each title has its own length and text. */
static void digest_of(const char *title, const unsigned char *id, const uint32_t words[3],
                      const unsigned char *bytes, unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, strlen(title) + 1);
    gr_digest_add(&digest, id, GR_DIGEST_BYTES);
    gr_digest_add(&digest, words, 3 * sizeof *words);
    gr_digest_add(&digest, bytes, GR_SECURE_SECRET_BYTES);
    gr_digest_finish(&digest, out);
    sodium_memzero(&digest, sizeof digest);
}

void gr_secure_share_digest(const struct gr_secure_share_of *of,
                            const unsigned char share[GR_SECURE_SECRET_BYTES],
                            unsigned char out[GR_DIGEST_BYTES]) {
    const uint32_t words[3] = {of->from, of->to, of->which};
    digest_of("granary: a share", of->id, words, share, out);
}

void gr_secure_commitment(const unsigned char *id, uint32_t party,
                          const unsigned char seed[GR_SECURE_SECRET_BYTES],
                          unsigned char out[GR_DIGEST_BYTES]) {
    const uint32_t words[3] = {party, 0, 0};
    digest_of("granary: a self mask's seed", id, words, seed, out);
}

void gr_secure_draw_commitment(const unsigned char *id, uint32_t party,
                               const unsigned char draw[GR_SECURE_SECRET_BYTES],
                               unsigned char out[GR_DIGEST_BYTES]) {
    const uint32_t words[3] = {party, 0, 0};
    digest_of("granary: a part of a graph's seed", id, words, draw, out);
}

gr_status gr_secure_draw(const struct gr_secure_terms *terms, const struct gr_party_set *listed,
                         const struct gr_secure_drawn *drawn, struct gr_secure_graph *out) {
    static const char title[] = "granary: the seed of a graph";
    unsigned char seed[GR_DIGEST_BYTES];
    struct gr_digest digest;
    struct gr_secure_degree degree;
    gr_status status;
    GR_TRY(gr_secure_terms_degree(terms, gr_party_set_count(listed), &degree));
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, drawn->id, GR_DIGEST_BYTES);
    gr_digest_add(&digest, drawn->list, GR_DIGEST_BYTES);
    for (uint32_t p = 0; p < terms->n_parties && drawn->draws; p++)
        if (gr_party_set_has(listed, p))
            gr_digest_add(&digest, drawn->draws[p], sizeof drawn->draws[p]);
    gr_digest_finish(&digest, seed);
    gr_secure_graph_draw(listed, &degree, seed, out);
out:
    return status;
}

bool gr_secure_secret_is(const struct gr_secure_advert *advert, enum gr_secure_share which,
                         const unsigned char secret[GR_SECURE_SECRET_BYTES]) {
    unsigned char made[GR_DIGEST_BYTES];
    if (which == GR_SECURE_SHARE_SELF) {
        gr_secure_commitment(advert->head.id, advert->head.from, secret, made);
        return memcmp(made, advert->commitment, sizeof made) == 0;
    }
    return crypto_scalarmult_base(made, secret) == 0 &&
           memcmp(made, advert->mask, sizeof made) == 0;
}

gr_status gr_secure_advert_check(const struct gr_secure_terms *terms, const unsigned char *id,
                                 uint32_t party, const void *bytes, size_t n) {
    gr_status status;
    struct gr_secure_advert advert;
    GR_TRY(gr_secure_message_check(bytes, n, GR_SECURE_ADVERT, id, party));
    if (party >= terms->n_parties || n != sizeof advert ||
        !gr_secure_message_verify(&terms->identities[party], bytes, n))
        return gr_fail(GR_ERROR_POLICY, "secure sum: the keys of party %u are not signed by it",
                       party);
    memcpy(&advert, bytes, sizeof advert);
    if (memcmp(advert.model, terms->model, sizeof advert.model) != 0)
        status = gr_fail(GR_ERROR_POLICY, "secure sum: party %u trains on another model", party);
out:
    return status;
}

void gr_secure_list_digest(const void *list, size_t n, unsigned char out[GR_DIGEST_BYTES]) {
    gr_digest_of(list, n, out);
}

void gr_secure_parties_digest(const struct gr_party_set *sharers, const struct gr_party_set *summed,
                              unsigned char out[GR_DIGEST_BYTES]) {
    static const char title[] = "granary: the parties of a secure sum";
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, sharers, sizeof *sharers);
    gr_digest_add(&digest, summed, sizeof *summed);
    gr_digest_finish(&digest, out);
}

enum {
    SIGNED_BEGIN = offsetof(struct gr_secure_roster, list),
    SIGNED_END = offsetof(struct gr_secure_roster, signature)
};

void gr_secure_roster_digest(const struct gr_secure_roster *roster,
                             unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, roster->head.id, sizeof roster->head.id);
    gr_digest_add(&digest, (const unsigned char *)roster + SIGNED_BEGIN, SIGNED_END - SIGNED_BEGIN);
    gr_digest_finish(&digest, out);
}

bool gr_secure_roster_same(const struct gr_secure_roster *a, const struct gr_secure_roster *b) {
    return memcmp(a->head.id, b->head.id, sizeof a->head.id) == 0 &&
           memcmp((const unsigned char *)a + SIGNED_BEGIN, (const unsigned char *)b + SIGNED_BEGIN,
                  SIGNED_END - SIGNED_BEGIN) == 0;
}
