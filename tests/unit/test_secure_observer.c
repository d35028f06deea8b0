/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever has all messages of a secure sum and the secrets of some parties, and tries by every
 * equation of the protocol to take the mask off another's vector: with one party fewer than the
 * threshold it cannot, with the threshold it can, so that the attempt is one that works. And a
 * masked vector looks like chance: chi-square of its bytes, serial correlation, correlation with
 * the vector in the clear. Quantiles: GSL's
 * gsl_cdf_chisq_Pinv and gsl_cdf_ugaussian_Q.
 */
#include "secure_parties.h"

#include <math.h>

/* The secrets of parties are read where they lie. */
#include "../../src/privacy/secure_party.c"

#include "privacy/shamir.h"

enum { N = 5, THRESHOLD = 4, VICTIM = 0 };

/* Everything that the collector has. */
struct observer {
    struct gr_secure_advert adverts[N];
    unsigned char id[GR_DIGEST_BYTES];
    /* Of the corrupted parties: shares of the victim's two secrets, and their streams with it. */
    uint32_t n, numbers[N];
    unsigned char shares[2][N][GR_SHAMIR_BYTES];
};

static void corrupt(struct observer *observer, const struct gr_secure_party *party) {
    const uint32_t i = observer->n++;
    observer->numbers[i] = party->options.me;
    for (int kind = 0; kind < 2; kind++)
        memcpy(observer->shares[kind][i], party->neighbours[party->slot[VICTIM]].held[kind],
               GR_SHAMIR_BYTES);
    memcpy(observer->adverts, party->adverts, sizeof observer->adverts);
    memcpy(observer->id, party->id, sizeof observer->id);
}

/* Takes off the masks of the two secrets that the shares give, right or wrong; whether both are
 * those to which the victim is committed. */
static bool attempt(const struct observer *observer, uint32_t *words) {
    unsigned char secret[2][GR_SHAMIR_BYTES], stream[GR_STREAM_KEY_BYTES], shared[GR_KEY_BYTES];
    const struct gr_stream_range range = {0, 32, WORDS};
    for (int kind = 0; kind < 2; kind++)
        gr_shamir_combine(observer->numbers,
                          (const unsigned char(*)[GR_SHAMIR_BYTES])observer->shares[kind],
                          observer->n, secret[kind]);
    gr_secure_self_stream(observer->id, VICTIM, secret[0], stream);
    gr_key_stream_add(stream, range, true, words);
    for (uint32_t p = 0; p < N; p++) {
        if (p == VICTIM) continue;
        ck_assert_int_eq(crypto_scalarmult(shared, secret[1], observer->adverts[p].mask), 0);
        gr_secure_pair_stream(observer->id, VICTIM, p, shared, stream);
        gr_key_stream_add(stream, range, p > VICTIM, words);
    }
    return gr_secure_secret_is(&observer->adverts[VICTIM], GR_SECURE_SHARE_SELF, secret[0]) &&
           gr_secure_secret_is(&observer->adverts[VICTIM], GR_SECURE_SHARE_PAIR, secret[1]);
}

static void check_observer(uint32_t n_corrupted, bool can) {
    struct observer observer = {0};
    keys_make(N);
    struct secure_trial *trial = trial_make(N, THRESHOLD);
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    for (uint32_t p = 1; p <= n_corrupted; p++)
        corrupt(&observer, trial->parties[p]);
    uint32_t words[WORDS];
    memcpy(words, trial->masked[VICTIM], sizeof words);
    ck_assert(attempt(&observer, words) == can);
    uint32_t same = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        same += words[i] == trial->vectors[VICTIM][i];
    ck_assert_uint_eq(same, can ? WORDS : 0); /* by chance one word of 10^8 such vectors */
    trial_end(trial);
    trial_free(trial);
    keys_release();
}

START_TEST(one_party_too_few) {
    check_observer(THRESHOLD - 1, false);
}
END_TEST

START_TEST(as_many_as_the_threshold) {
    check_observer(THRESHOLD, true);
}
END_TEST

/*
 * After the sum, with the victim in it: its self mask is opened, and all but one of the others'
 * secrets are the observer's. The pair mask with the one that is honest still covers it. With
 * victim and one other honest their sum is known, as it must be.
 */
START_TEST(opened_self_masks_uncover_nobody) {
    keys_make(N);
    struct secure_trial *trial = trial_make(N, THRESHOLD);
    unsigned char known[N][N][GR_STREAM_KEY_BYTES];
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    for (uint32_t p = 2; p < N; p++)
        for (uint32_t q = 0; q < N; q++)
            memcpy(known[p][q], trial->parties[p]->neighbours[q].pair, sizeof known[p][q]);
    MUST(step_roster(trial));
    MUST(step_opening(trial));
    struct gr_secure_message secrets = told(trial, 0);
    const struct gr_stream_range range = {0, 32, WORDS};
    unsigned char stream[GR_STREAM_KEY_BYTES];
    uint32_t words[2][WORDS], same = 0;
    for (uint32_t victim = 0; victim < 2; victim++) {
        struct gr_secure_opened opened;
        memcpy(&opened, secrets.bytes + sizeof(struct gr_secure_head) + 4 + victim * sizeof opened,
               sizeof opened);
        ck_assert_uint_eq(opened.party, victim);
        memcpy(words[victim], trial->masked[victim], sizeof words[victim]);
        gr_secure_self_stream(trial->parties[0]->id, victim, opened.bytes, stream);
        gr_key_stream_add(stream, range, true, words[victim]);
        for (uint32_t p = 2; p < N; p++)
            gr_key_stream_add(known[p][victim], range, true, words[victim]);
        for (uint32_t i = 0; i < WORDS; i++)
            same += words[victim][i] == trial->vectors[victim][i];
    }
    ck_assert_uint_eq(same, 0);
    for (uint32_t i = 0; i < WORDS; i++)
        ck_assert_uint_eq(words[0][i] + words[1][i], trial->vectors[0][i] + trial->vectors[1][i]);
    gr_free(secrets.bytes);
    trial_end(trial);
    trial_free(trial);
    keys_release();
}
END_TEST

/* ---- a masked vector is chance -----------------------------------------------------------------
 */

enum { LONG = 1 << 18 };

/* Of n values of two series; their standard error is 1 / sqrt(n) where there is none. */
static double correlation(const uint32_t *a, const uint32_t *b, size_t n) {
    double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        mean_a += a[i] / (double)n;
        mean_b += b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        ab += (a[i] - mean_a) * (b[i] - mean_b);
        aa += (a[i] - mean_a) * (a[i] - mean_a);
        bb += (b[i] - mean_b) * (b[i] - mean_b);
    }
    return ab / sqrt(aa * bb);
}

/* 255 degrees of freedom: quantiles of 1e-9 and 1 - 1e-9 are 141.9 and 414.6; beyond six standard
 * errors of a correlation: 2e-9. */
START_TEST(a_masked_vector_is_uniform) {
    static uint32_t plain[LONG], masked[LONG];
    uint32_t seen[256] = {0};
    keys_make(3);
    struct secure_trial *trial = trial_make(3, 3);
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    struct gr_secure_message pieces = told(trial, 1);
    MUST(gr_secure_party_take_pieces(trial->parties[1], pieces.bytes, pieces.n));
    gr_free(pieces.bytes);
    for (uint32_t i = 0; i < LONG; i++) /* small and regular, as updates on a grid are */
        plain[i] = masked[i] = (i % 1000) * 1000 + (i % 2 ? 0xffff0000U : 0);
    MUST(gr_secure_party_mask(trial->parties[1], NULL, (struct gr_stream_range){0, 32, LONG},
                              masked));
    const unsigned char *bytes = (const unsigned char *)masked;
    for (size_t i = 0; i < sizeof masked; i++)
        seen[bytes[i]]++;
    const double expected = sizeof masked / 256.0;
    double chi_square = 0;
    for (int v = 0; v < 256; v++)
        chi_square += (seen[v] - expected) * (seen[v] - expected) / expected;
    ck_assert_double_gt(chi_square, 141.9);
    ck_assert_double_lt(chi_square, 414.6);
    const double most = 6 / sqrt(LONG);
    ck_assert_double_lt(fabs(correlation(masked, plain, LONG)), most);
    ck_assert_double_lt(fabs(correlation(masked, masked + 1, LONG - 1)), most);
    ck_assert_double_gt(fabs(correlation(plain, plain + 2, LONG - 2)), most); /* they would show */
    trial_end(trial);
    trial_free(trial);
    keys_release();
}
END_TEST

RUN_TESTS("observers of secure sums", one_party_too_few, as_many_as_the_threshold,
          opened_self_masks_uncover_nobody, a_masked_vector_is_uniform)
