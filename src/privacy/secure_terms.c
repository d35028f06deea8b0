/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secure_sum.h"

uint32_t gr_secure_threshold_default(uint32_t n_parties) {
    return 2 * n_parties / 3 + 1;
}

gr_status gr_secure_terms_check(const struct gr_secure_terms *terms) {
    const uint32_t n = terms->n_parties, t = terms->threshold, c = terms->colluding;
    struct gr_secure_degree degree;
    if (n < GR_SECURE_PARTIES_MIN || n > GR_SECURE_PARTIES_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "secure sums of %u parties, expected %d to %d: of fewer each learns the "
                       "other's part from the sum",
                       n, GR_SECURE_PARTIES_MIN, GR_SECURE_PARTIES_MAX);
    if (t < n / 2 + 1 || t > n)
        return gr_fail(GR_ERROR_CONFIG, "secure sums: a threshold of %u, expected %u to %u", t,
                       n / 2 + 1, n);
    if (c >= t || 2 * t <= n + c)
        return gr_fail(GR_ERROR_CONFIG,
                       "secure sums: %u colluding of %u parties need a threshold above %u, not %u: "
                       "else two rosters could be signed for one sum",
                       c, n, c >= n ? n : (n + c) / 2, t);
    return gr_secure_terms_degree(terms, n, &degree);
}

gr_status gr_secure_terms_degree(const struct gr_secure_terms *terms, uint32_t n,
                                 struct gr_secure_degree *out) {
    const struct gr_secure_degree_of of = {n, terms->threshold, terms->colluding,
                                           terms->neighbours};
    return gr_secure_degree(&of, out);
}

bool gr_secure_terms_draws(const struct gr_secure_terms *terms) {
    return terms->n_parties > GR_SECURE_COMPLETE_MAX;
}

static void add_word(struct gr_digest *digest, uint64_t word) {
    unsigned char bytes[sizeof word];
    for (size_t i = 0; i < sizeof word; i++)
        bytes[i] = (unsigned char)(word >> (8 * i));
    gr_digest_add(digest, bytes, sizeof bytes);
}

void gr_secure_terms_id(const struct gr_secure_terms *terms, unsigned char out[GR_DIGEST_BYTES]) {
    static const char title[] = "granary: the id of a secure sum, 3";
    const uint64_t words[] = {terms->n_parties,  terms->threshold, terms->colluding,
                              terms->neighbours, terms->round,     terms->release,
                              terms->part,       terms->counter};
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, terms->run, sizeof terms->run);
    gr_digest_add(&digest, terms->study, sizeof terms->study);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        add_word(&digest, words[i]);
    for (uint32_t p = 0; p < terms->n_parties; p++) {
        gr_digest_add(&digest, terms->identities[p].verify, GR_KEY_BYTES);
        gr_digest_add(&digest, terms->identities[p].seal, GR_KEY_BYTES);
    }
    gr_digest_finish(&digest, out);
}

void gr_secure_terms_subject(const struct gr_secure_terms *terms, const struct gr_party_set *summed,
                             struct gr_sum_subject *out) {
    static const char title[] = "granary: the subject of a secure sum", whose[] = "and its parties";
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, terms->study, sizeof terms->study);
    add_word(&digest, terms->round);
    add_word(&digest, terms->release);
    add_word(&digest, terms->part);
    gr_digest_finish(&digest, out->of);
    gr_digest_start(&digest);
    gr_digest_add(&digest, whose, sizeof whose);
    for (uint32_t p = 0; p < terms->n_parties; p++)
        if (gr_party_set_has(summed, p))
            gr_digest_add(&digest, terms->identities[p].verify, GR_KEY_BYTES);
    gr_digest_finish(&digest, out->parties);
}
