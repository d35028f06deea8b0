/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lies of a collector, or of one party together with it, in a secure sum of five of which four must
 * agree. Each honest party that is lied to ends with GR_ERROR_POLICY, or with GR_STOPPED where it
 * is told of too few, before a share has left it: its journal has no line of shares.
 */
#include "secure_parties.h"

/* A party that lies is made of one that does not, by its secrets. */
#include "../../src/privacy/secure_party.c"

enum { N = 5, THRESHOLD = 4 };

static struct secure_trial *trial;

static void make(void) {
    scratch_make();
    keys_make(N);
    trial = trial_make(N, THRESHOLD);
    trial_begin(trial);
}

static void remove_all(void) {
    trial_end(trial);
    trial_free(trial);
    keys_release();
    scratch_remove();
}

/* No share of party p has left it in any sum. */
static void check_kept(uint32_t p) {
    char name[24];
    snprintf(name, sizeof name, "sums-%u", p);
    char *text = slurp(in_scratch(name), NULL);
    ck_assert_ptr_null(strstr(text, "shares"));
    gr_free(text);
}

static void check_refused(uint32_t p, gr_status status, const char *words) {
    ck_assert_msg(status == GR_ERROR_POLICY, "%d: %s", (int)status, gr_message());
    ck_assert_msg(strstr(gr_message(), words), "%s: not in: %s", words, gr_message());
    check_kept(p);
}

/* The list in which each party's keys are at offset(place). */
enum { ADVERT = sizeof(struct gr_secure_advert), HEAD = sizeof(struct gr_secure_head) + 4 };
static struct gr_secure_advert *advert_in(struct gr_secure_message list, uint32_t place) {
    return (struct gr_secure_advert *)(void *)(list.bytes + HEAD + (size_t)place * ADVERT);
}

static void check_list_refused(struct gr_secure_message list, const char *words) {
    struct gr_secure_message unused = {0};
    check_refused(0, gr_secure_party_share(trial->parties[0], list.bytes, list.n, &unused), words);
    ck_assert_ptr_null(unused.bytes);
    gr_free(list.bytes);
    /* Nor does it do anything else from now on. */
    ck_assert_int_eq(gr_secure_party_advertise(trial->parties[0], &unused), GR_ERROR_POLICY);
}

static void through(gr_status (*last)(struct secure_trial *)) {
    MUST(step_advert(trial));
    if (last == step_advert) return;
    MUST(step_shares(trial));
    if (last == step_shares) return;
    step_sum(trial);
    MUST(step_roster(trial));
}

static const unsigned char *total_digest(void) {
    static unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(trial->total, sizeof trial->total, digest);
    return digest;
}

/* ---- the list of keys -------------------------------------------------------------------------
 */

START_TEST(keys_that_the_party_has_not_signed) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    advert_in(list, 2)->mask[5] ^= 1;
    check_list_refused(list, "not signed");
}
END_TEST

START_TEST(keys_of_a_party_of_the_collectors_own) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    advert_in(list, 2)->head.from = N;
    gr_secure_message_sign(keys_of[1], advert_in(list, 2), ADVERT);
    check_list_refused(list, "not of the study");
}
END_TEST

START_TEST(a_party_twice) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    *advert_in(list, 2) = *advert_in(list, 1);
    check_list_refused(list, "twice");
}
END_TEST

/* Party 3 lies with the collector and shows another's keys as its own. */
START_TEST(one_key_for_two) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    memcpy(advert_in(list, 3)->mask, advert_in(list, 2)->mask, GR_KEY_BYTES);
    gr_secure_message_sign(keys_of[3], advert_in(list, 3), ADVERT);
    check_list_refused(list, "one key");
}
END_TEST

/* X25519 of any secret with 0, or with the point of order 8 of the list below, is 0: everybody
 * would know the mask. https://cr.yp.to/ecdh.html#validate */
START_TEST(a_key_of_small_order) {
    static const unsigned char order_8[GR_KEY_BYTES] = {
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
        0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
        0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00};
    for (int key = 0; key < 2; key++) {
        if (key > 0) {
            trial_end(trial);
            trial_begin(trial);
        }
        through(step_advert);
        struct gr_secure_message list = told(trial, 0);
        struct gr_secure_advert *advert = advert_in(list, 3);
        memcpy(key == 0 ? advert->mask : advert->cipher, order_8, GR_KEY_BYTES);
        gr_secure_message_sign(keys_of[3], advert, ADVERT);
        check_list_refused(list, "small order");
    }
}
END_TEST

START_TEST(other_keys_for_oneself) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    advert_in(list, 0)->commitment[0] ^= 1;
    gr_secure_message_sign(keys_of[0], advert_in(list, 0), ADVERT);
    check_list_refused(list, "other keys for this party");
}
END_TEST

START_TEST(a_list_without_oneself) {
    trial->lost[0] = BEFORE_ADVERT;
    struct gr_secure_message unused, list;
    MUST(gr_secure_party_advertise(trial->parties[0], &unused));
    gr_free(unused.bytes);
    through(step_advert);
    list = told(trial, 0);
    check_list_refused(list, "not in the list");
}
END_TEST

START_TEST(a_list_of_too_few) {
    through(step_advert);
    struct gr_secure_message unused = {0}, list = told(trial, 0);
    const uint32_t few = THRESHOLD - 1;
    memcpy(list.bytes + sizeof(struct gr_secure_head), &few, sizeof few);
    ck_assert_int_eq(
        gr_secure_party_share(trial->parties[0], list.bytes, HEAD + (size_t)few * ADVERT, &unused),
        GR_STOPPED);
    check_kept(0);
    gr_free(list.bytes);
}
END_TEST

/* A silo is told another model, whose update would stand out of the sum. */
START_TEST(another_model_for_one) {
    gr_secure_party_free(trial->parties[3]);
    struct gr_secure_party_options options = options_of(trial, 3);
    options.terms.model[0] ^= 1;
    options.terms.counter++; /* the first is burnt */
    struct gr_secure_terms terms = trial->terms;
    ck_assert_int_eq(gr_secure_party_create(&options, &trial->parties[3]), GR_OK);
    /* The collector leaves it out. */
    struct gr_secure_message message;
    MUST(gr_secure_party_advertise(trial->parties[3], &message));
    gr_secure_terms_id(&terms, ((struct gr_secure_head *)(void *)message.bytes)->id);
    gr_secure_message_sign(keys_of[3], message.bytes, message.n);
    ck_assert_int_eq(gr_secure_collector_take(trial->collector, 3, message.bytes, message.n),
                     GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "party 3 trains on another model"));
    /* And if the collector does not, the others find it. */
    trial->lost[3] = BEFORE_ADVERT;
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    memcpy(advert_in(list, 3), message.bytes, message.n); /* in the place of party 4's */
    gr_free(message.bytes);
    check_list_refused(list, "another model");
}
END_TEST

/* ---- ids and counters -------------------------------------------------------------------------
 */

START_TEST(a_sum_once_more) {
    const struct gr_secure_party_options options = options_of(trial, 1);
    struct gr_secure_party *again = NULL;
    check_refused(1, gr_secure_party_create(&options, &again), "counter 1 was offered");
    ck_assert_ptr_null(again);
}
END_TEST

/* Also after a restart, of which the journal alone knows. */
START_TEST(a_counter_that_goes_back) {
    struct gr_secure_party *again = NULL;
    trial_end(trial);
    trial->terms.counter = 41;
    trial_begin(trial);
    gr_sum_journal_close(trial->journals[1]);
    MUST(gr_sum_journal_open(in_scratch("sums-1"), &trial->journals[1]));
    struct gr_secure_party_options options = options_of(trial, 1);
    options.terms.counter = 41;
    check_refused(1, gr_secure_party_create(&options, &again), "above 42");
    options.terms.counter = 43;
    MUST(gr_secure_party_create(&options, &again));
    gr_secure_party_free(again);
}
END_TEST

START_TEST(keys_of_the_sum_before) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0);
    const struct gr_secure_advert old = *advert_in(list, 2);
    gr_free(list.bytes);
    trial_end(trial);
    trial_begin(trial);
    through(step_advert);
    list = told(trial, 0);
    *advert_in(list, 2) = old;
    check_list_refused(list, "another sum");
}
END_TEST

/* Two are told of other terms: their ids differ. */
START_TEST(another_threshold_for_one) {
    unsigned char ids[2][GR_DIGEST_BYTES];
    struct gr_secure_terms terms = trial->terms;
    gr_secure_terms_id(&terms, ids[0]);
    terms.threshold = N;
    gr_secure_terms_id(&terms, ids[1]);
    ck_assert_mem_ne(ids[0], ids[1], sizeof ids[0]);
}
END_TEST

START_TEST(a_threshold_below_the_policys) {
    struct gr_secure_party_options options = options_of(trial, 2);
    struct gr_secure_party *party = NULL;
    options.terms.counter++;
    options.least_threshold = N;
    check_refused(2, gr_secure_party_create(&options, &party), "by this party's policy");
    options.least_threshold = THRESHOLD;
    MUST(gr_secure_party_create(&options, &party));
    gr_secure_party_free(party);
}
END_TEST

/* ---- shares -----------------------------------------------------------------------------------
 */

enum { COUNT_AT = sizeof(struct gr_secure_head) + GR_PARTY_SET_BYTES, PIECES_AT = COUNT_AT + 4 };

static struct gr_secure_piece *piece_in(struct gr_secure_message pieces, uint32_t place) {
    return (struct gr_secure_piece *)(void *)(pieces.bytes + PIECES_AT +
                                              place * sizeof(struct gr_secure_piece));
}

static void check_pieces_refused(struct gr_secure_message pieces, const char *words) {
    check_refused(0, gr_secure_party_take_pieces(trial->parties[0], pieces.bytes, pieces.n), words);
    gr_free(pieces.bytes);
}

START_TEST(shares_of_another_party) {
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0);
    piece_in(pieces, 0)->party = 2;
    piece_in(pieces, 1)->party = 1;
    check_pieces_refused(pieces, "not sealed by it");
}
END_TEST

START_TEST(shares_for_another_party) {
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0), others = told(trial, 1);
    *piece_in(pieces, 1) = *piece_in(others, 1); /* both of party 2 */
    gr_free(others.bytes);
    check_pieces_refused(pieces, "not sealed by it");
}
END_TEST

START_TEST(shares_of_the_sum_before) {
    through(step_shares);
    struct gr_secure_message old = told(trial, 0);
    trial_end(trial);
    trial_begin(trial);
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0);
    *piece_in(pieces, 1) = *piece_in(old, 1);
    gr_free(old.bytes);
    check_pieces_refused(pieces, "not sealed by it");
}
END_TEST

START_TEST(shares_of_too_few) {
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0);
    const uint32_t two = THRESHOLD - 2; /* and its own */
    memcpy(pieces.bytes + COUNT_AT, &two, sizeof two);
    pieces.bytes[sizeof(struct gr_secure_head)] = 0x07;
    ck_assert_int_eq(gr_secure_party_take_pieces(trial->parties[0], pieces.bytes,
                                                 PIECES_AT + two * sizeof(struct gr_secure_piece)),
                     GR_STOPPED);
    check_kept(0);
    gr_free(pieces.bytes);
}
END_TEST

START_TEST(shares_of_one_party_twice) {
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0);
    *piece_in(pieces, 1) = *piece_in(pieces, 0);
    check_pieces_refused(pieces, "there already");
}
END_TEST

/* Digests by which a share would later seem to be false. */
START_TEST(shares_with_other_digests) {
    through(step_shares);
    struct gr_secure_message pieces = told(trial, 0);
    piece_in(pieces, 1)->digest[1][0] ^= 1;
    check_pieces_refused(pieces, "not sealed by it");
}
END_TEST

/* Party 4 is in the list of 0 to 3, and not in its own copy for 1: their pieces do not open. */
START_TEST(two_lists_of_keys) {
    through(step_advert);
    struct gr_secure_message list = told(trial, 0), shorter = told(trial, 1), message[2];
    const uint32_t four = 4;
    memcpy(shorter.bytes + sizeof(struct gr_secure_head), &four, sizeof four);
    shorter.n -= ADVERT;
    MUST(gr_secure_party_share(trial->parties[0], list.bytes, list.n, &message[0]));
    MUST(gr_secure_party_share(trial->parties[1], shorter.bytes, shorter.n, &message[1]));
    /* An honest collector would leave party 1 out. */
    give(trial, 0, &message[0]);
    ck_assert_int_eq(gr_secure_collector_take(trial->collector, 1, message[1].bytes, message[1].n),
                     GR_ERROR_POLICY);
    /* One that lies gives its piece to party 0, as of the whole list. */
    struct gr_secure_message pieces;
    unsigned char id[GR_DIGEST_BYTES];
    gr_secure_terms_id(&trial->terms, id);
    MUST(gr_secure_message_begin(GR_SECURE_PIECES, id, GR_SECURE_COLLECTOR,
                                 PIECES_AT + sizeof(struct gr_secure_piece), &pieces));
    memcpy(pieces.bytes + COUNT_AT, &(uint32_t){1}, 4);
    memcpy(piece_in(pieces, 0), message[1].bytes + HEAD + GR_DIGEST_BYTES,
           sizeof(struct gr_secure_piece));
    piece_in(pieces, 0)->party = 1;
    gr_free(message[1].bytes);
    gr_free(list.bytes);
    gr_free(shorter.bytes);
    check_pieces_refused(pieces, "this list of keys");
}
END_TEST

/* ---- the roster -------------------------------------------------------------------------------
 */

static struct gr_secure_roster *roster_in(struct gr_secure_message rosters, uint32_t place) {
    return (struct gr_secure_roster *)(void *)(rosters.bytes + HEAD +
                                               place * sizeof(struct gr_secure_roster));
}

static void check_rosters_refused(struct gr_secure_message rosters, const char *words) {
    struct gr_secure_message unused = {0};
    check_refused(0,
                  gr_secure_party_open_shares(trial->parties[0], rosters.bytes, rosters.n, &unused),
                  words);
    ck_assert_ptr_null(unused.bytes);
    gr_free(rosters.bytes);
}

static void check_sign(uint64_t parties, gr_status expected, const char *words) {
    struct gr_secure_message unused = {0};
    const struct gr_party_set summed = {{parties}};
    const gr_status status =
        gr_secure_party_sign(trial->parties[0], &summed, total_digest(), &unused);
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(gr_message(), words), "%s", gr_message());
    ck_assert_ptr_null(unused.bytes);
    check_kept(0);
}

START_TEST(a_roster_of_too_few) {
    through(step_shares);
    step_sum(trial);
    check_sign(0x07, GR_STOPPED, "3 of 5 parties are in the sum");
}
END_TEST

/* Enough for a sum, and without a share of a noise on which the others have counted: party 4 is
 * lost, or said to be. */
START_TEST(a_roster_without_one_that_is_counted_on) {
    trial_end(trial);
    trial->whole = true;
    trial_begin(trial);
    through(step_shares);
    step_sum(trial);
    check_sign(0x0f, GR_STOPPED, "4 of 5 parties are in the sum, expected all");
}
END_TEST

START_TEST(a_roster_without_oneself) {
    through(step_shares);
    step_sum(trial);
    check_sign(0x1e, GR_ERROR_POLICY, "without this party");
}
END_TEST

START_TEST(a_roster_with_one_that_gave_no_shares) {
    trial->lost[4] = BEFORE_SHARES;
    through(step_shares);
    step_sum(trial);
    check_sign(0x1f, GR_ERROR_POLICY, "given no shares");
}
END_TEST

/* Both kinds of shares of party 4 would follow. */
START_TEST(a_second_roster) {
    unsigned char id[GR_DIGEST_BYTES];
    through(NULL);
    check_sign(0x0f, GR_ERROR_POLICY, "out of turn");
    /* And if the party had forgotten the first. */
    gr_secure_terms_id(&trial->terms, id);
    check_refused(0, gr_sum_journal_roster(trial->journals[0], id, total_digest()),
                  "second roster");
    gr_sum_journal_close(trial->journals[0]);
    MUST(gr_sum_journal_open(in_scratch("sums-0"), &trial->journals[0]));
    check_refused(0, gr_sum_journal_roster(trial->journals[0], id, total_digest()),
                  "second roster");
}
END_TEST

/* Parties 0 and 1 are told that party 4 is lost, the others that it is not. */
START_TEST(two_rosters_to_two_halves) {
    through(step_shares);
    step_sum(trial);
    struct gr_secure_message message[N] = {{0}};
    for (uint32_t p = 0; p < N; p++)
        MUST(gr_secure_party_sign(trial->parties[p], &(struct gr_party_set){{p < 2 ? 0x0f : 0x1f}},
                                  total_digest(), &message[p]));
    struct gr_secure_message rosters;
    unsigned char id[GR_DIGEST_BYTES];
    gr_secure_terms_id(&trial->terms, id);
    MUST(gr_secure_message_begin(GR_SECURE_ROSTERS, id, GR_SECURE_COLLECTOR,
                                 HEAD + 4 * sizeof(struct gr_secure_roster), &rosters));
    memcpy(rosters.bytes + sizeof(struct gr_secure_head), &(uint32_t){4}, 4);
    for (uint32_t p = 0; p < 4; p++)
        memcpy(roster_in(rosters, p), message[p].bytes, message[p].n);
    for (uint32_t p = 0; p < N; p++)
        gr_free(message[p].bytes);
    check_rosters_refused(rosters, "another roster");
}
END_TEST

/* The totals are not the same, or one of them is not the sum. */
START_TEST(another_total_for_one) {
    through(step_shares);
    step_sum(trial);
    unsigned char other[GR_DIGEST_BYTES] = "another total";
    struct gr_secure_message message;
    MUST(gr_secure_party_sign(trial->parties[4], &trial->summed, other, &message));
    ck_assert_int_eq(gr_secure_collector_take(trial->collector, 4, message.bytes, message.n),
                     GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "party 4"));
    trial->lost[4] = BEFORE_ROSTER;
    MUST(step_roster(trial));
    struct gr_secure_message rosters = told(trial, 0);
    memcpy(roster_in(rosters, 3), message.bytes, message.n);
    gr_free(message.bytes);
    check_rosters_refused(rosters, "another roster, total");
}
END_TEST

START_TEST(a_signature_is_dropped) {
    trial->lost[4] = BEFORE_ROSTER;
    through(NULL);
    struct gr_secure_message unused = {0}, rosters = told(trial, 0);
    const uint32_t three = 3;
    memcpy(rosters.bytes + sizeof(struct gr_secure_head), &three, sizeof three);
    rosters.n -= sizeof(struct gr_secure_roster);
    ck_assert_int_eq(
        gr_secure_party_open_shares(trial->parties[0], rosters.bytes, rosters.n, &unused),
        GR_STOPPED);
    ck_assert_ptr_null(unused.bytes);
    check_kept(0);
    gr_free(rosters.bytes);
}
END_TEST

START_TEST(a_signature_is_doubled) {
    through(NULL);
    struct gr_secure_message rosters = told(trial, 0);
    *roster_in(rosters, 4) = *roster_in(rosters, 3);
    check_rosters_refused(rosters, "signed already");
}
END_TEST

START_TEST(a_signature_is_false) {
    through(NULL);
    struct gr_secure_message rosters = told(trial, 0);
    roster_in(rosters, 4)->signature[0] ^= 1;
    check_rosters_refused(rosters, "not signed by it");
}
END_TEST

/* ---- opening ----------------------------------------------------------------------------------
 */

enum { OPENED_AT = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES + 4 };

START_TEST(a_false_share_names_its_giver) {
    through(NULL);
    for (uint32_t p = 0; p < N; p++) {
        struct gr_secure_message rosters = told(trial, p), message;
        MUST(gr_secure_party_open_shares(trial->parties[p], rosters.bytes, rosters.n, &message));
        gr_free(rosters.bytes);
        if (p == 3) {
            struct gr_secure_opened *opened = (void *)(message.bytes + OPENED_AT);
            opened->bytes[7] ^= 4;
            gr_secure_message_sign(keys_of[p], message.bytes, message.n);
            ck_assert_int_eq(
                gr_secure_collector_take(trial->collector, p, message.bytes, message.n),
                GR_ERROR_POLICY);
            ck_assert_ptr_nonnull(strstr(gr_message(), "party 3 has opened a false share"));
            gr_free(message.bytes);
        } else {
            give(trial, p, &message);
        }
    }
    MUST(gr_secure_collector_close(trial->collector)); /* four are enough */
}
END_TEST

/* The collector tells of a secret that the parties have not opened, or not of that kind. */
START_TEST(false_secrets) {
    for (int which = 0; which < 3; which++) {
        if (which > 0) {
            trial_end(trial);
            trial_begin(trial);
        }
        through(NULL);
        MUST(step_opening(trial));
        struct gr_secure_message secrets = told(trial, 0);
        struct gr_secure_opened *opened = (void *)(secrets.bytes + HEAD);
        if (which == 0) opened[2].bytes[0] ^= 1;
        if (which == 1) opened[2].which = GR_SECURE_SHARE_PAIR;
        if (which == 2) opened[2] = opened[1];
        ck_assert_int_eq(gr_secure_party_take_secrets(trial->parties[0], secrets.bytes, secrets.n),
                         GR_ERROR_POLICY);
        gr_free(secrets.bytes);
        uint32_t word = 0;
        ck_assert_int_eq(
            gr_secure_party_unmask(trial->parties[0], (struct gr_stream_range){0, 32, 1}, &word),
            GR_ERROR_POLICY);
    }
}
END_TEST

/* ---- what one party tells the collector --------------------------------------------------------
 */

static void check_left_out(uint32_t p, struct gr_secure_message message, const char *words) {
    ck_assert_int_eq(gr_secure_collector_take(trial->collector, p, message.bytes, message.n),
                     GR_ERROR_POLICY);
    ck_assert_msg(strstr(gr_message(), words), "%s: not in: %s", words, gr_message());
    ck_assert(!gr_party_set_has(gr_secure_collector_heard(trial->collector), p));
    gr_free(message.bytes);
}

/* Two for party 0 and none for party 1, or one for nobody in its place. */
START_TEST(shares_that_are_not_for_each) {
    for (int way = 0; way < 2; way++) {
        struct gr_secure_message list, message;
        if (way > 0) {
            trial_end(trial);
            trial_begin(trial);
        }
        MUST(step_advert(trial));
        list = told(trial, 2);
        MUST(gr_secure_party_share(trial->parties[2], list.bytes, list.n, &message));
        gr_free(list.bytes);
        struct gr_secure_piece *piece = (void *)(message.bytes + HEAD + GR_DIGEST_BYTES);
        piece[1].party = way == 0 ? 0 : N;
        gr_secure_message_sign(keys_of[2], message.bytes, message.n);
        check_left_out(2, message, "party 2 has not given a share for each");
    }
}
END_TEST

START_TEST(shares_that_another_has_signed) {
    struct gr_secure_message list, message;
    MUST(step_advert(trial));
    list = told(trial, 2);
    MUST(gr_secure_party_share(trial->parties[2], list.bytes, list.n, &message));
    gr_free(list.bytes);
    gr_secure_message_sign(keys_of[3], message.bytes, message.n);
    check_left_out(2, message, "not signed by it");
}
END_TEST

START_TEST(a_message_in_the_name_of_another) {
    struct gr_secure_message message;
    MUST(gr_secure_party_advertise(trial->parties[2], &message));
    check_left_out(3, message, "a message of party 2, expected 3");
}
END_TEST

/* Fewer shares would leave it to chance whether the others are enough. */
START_TEST(an_opening_that_is_not_of_each) {
    through(NULL);
    struct gr_secure_message rosters = told(trial, 2), message;
    MUST(gr_secure_party_open_shares(trial->parties[2], rosters.bytes, rosters.n, &message));
    gr_free(rosters.bytes);
    const uint32_t four = 4;
    memcpy(message.bytes + OPENED_AT - sizeof four, &four, sizeof four);
    message.n -= sizeof(struct gr_secure_opened);
    gr_secure_message_sign(keys_of[2], message.bytes, message.n);
    check_left_out(2, message, "false share");
}
END_TEST

/* Party 2 shares another secret than the one to which its keys commit it: all find the sum void,
 * and the collector knows by whose fault. */
START_TEST(shares_of_another_secret) {
    MUST(step_advert(trial));
    trial->parties[2]->secrets->seed[0] ^= 1;
    MUST(step_shares(trial));
    step_sum(trial);
    MUST(step_roster(trial));
    ck_assert_int_eq(step_opening(trial), GR_STOPPED);
    ck_assert_ptr_nonnull(strstr(gr_message(), "party 2 has given shares of another secret"));
}
END_TEST

/* ---- bytes that are no message -----------------------------------------------------------------
 */

enum told_kind { A_LIST, PIECES, ROSTERS, SECRETS, N_TOLD };

/* A sum anew, up to where party 0 is told the message. */
static struct gr_secure_message new_sum_up_to(enum told_kind kind) {
    trial_end(trial);
    trial_begin(trial);
    MUST(step_advert(trial));
    if (kind == A_LIST) return told(trial, 0);
    MUST(step_shares(trial));
    if (kind == PIECES) return told(trial, 0);
    step_sum(trial);
    MUST(step_roster(trial));
    if (kind == ROSTERS) return told(trial, 0);
    MUST(step_opening(trial));
    return told(trial, 0);
}

static gr_status tell(enum told_kind kind, const void *bytes, size_t n) {
    struct gr_secure_message out = {0};
    struct gr_secure_party *party = trial->parties[0];
    gr_status status;
    if (kind == A_LIST)
        status = gr_secure_party_share(party, bytes, n, &out);
    else if (kind == PIECES)
        status = gr_secure_party_take_pieces(party, bytes, n);
    else if (kind == ROSTERS)
        status = gr_secure_party_open_shares(party, bytes, n, &out);
    else
        status = gr_secure_party_take_secrets(party, bytes, n);
    ck_assert(status == GR_OK || !out.bytes);
    gr_free(out.bytes);
    return status;
}

/* Each byte of what the collector says is checked, and none behind its end is read. */
START_TEST(bytes_cut_or_changed) {
    enum { PLACES = 25 };
    for (enum told_kind kind = A_LIST; kind < N_TOLD; kind++) {
        struct gr_secure_message whole = new_sum_up_to(kind);
        const size_t n = whole.n;
        MUST(tell(kind, whole.bytes, n));
        gr_free(whole.bytes);
        for (size_t place = 0; place <= PLACES; place++) {
            const size_t at = place * (n - 1) / PLACES;
            whole = new_sum_up_to(kind);
            whole.bytes[at] ^= (unsigned char)(1U << (place % 8));
            const gr_status changed = tell(kind, whole.bytes, n);
            ck_assert_msg(changed == GR_ERROR_POLICY, "kind %d, byte %zu: %d", (int)kind, at,
                          (int)changed);
            gr_free(whole.bytes);
            whole = new_sum_up_to(kind);
            unsigned char *cut = malloc(at + 1); /* so that a sanitizer finds a read behind it */
            ck_assert_ptr_nonnull(cut);
            memcpy(cut, whole.bytes, at);
            ck_assert_int_eq(tell(kind, cut, at), GR_ERROR_POLICY);
            free(cut);
            gr_free(whole.bytes);
        }
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {keys_that_the_party_has_not_signed,
                                  keys_of_a_party_of_the_collectors_own,
                                  a_party_twice,
                                  one_key_for_two,
                                  a_key_of_small_order,
                                  other_keys_for_oneself,
                                  a_list_without_oneself,
                                  a_list_of_too_few,
                                  another_model_for_one,
                                  a_sum_once_more,
                                  a_counter_that_goes_back,
                                  keys_of_the_sum_before,
                                  another_threshold_for_one,
                                  a_threshold_below_the_policys,
                                  shares_of_another_party,
                                  shares_for_another_party,
                                  shares_of_the_sum_before,
                                  shares_of_too_few,
                                  shares_of_one_party_twice,
                                  shares_with_other_digests,
                                  two_lists_of_keys,
                                  a_roster_of_too_few,
                                  a_roster_without_one_that_is_counted_on,
                                  a_roster_without_oneself,
                                  a_roster_with_one_that_gave_no_shares,
                                  a_second_roster,
                                  two_rosters_to_two_halves,
                                  another_total_for_one,
                                  a_signature_is_dropped,
                                  a_signature_is_doubled,
                                  a_signature_is_false,
                                  a_false_share_names_its_giver,
                                  shares_that_are_not_for_each,
                                  shares_that_another_has_signed,
                                  a_message_in_the_name_of_another,
                                  an_opening_that_is_not_of_each,
                                  shares_of_another_secret,
                                  false_secrets,
                                  bytes_cut_or_changed};
    if (gr_base_start() != GR_OK) return 1;
    Suite *suite = suite_create("lies in secure sums");
    TCase *tcase = tcase_create("lies");
    tcase_add_checked_fixture(tcase, make, remove_all);
    tcase_set_timeout(tcase, 100);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
