/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums of many parties in one process. Expected: the sum of the vectors in the clear, taken
 * here modulo 2^32 over whoever was in it; or void, where fewer than the threshold answer a step,
 * which is counted here as well. Keys of small order: RFC 7748, 6.1 and the list of
 * https://cr.yp.to/ecdh.html#validate.
 */
#include "secure_parties.h"

static uint64_t draws;
static uint32_t draw(uint32_t below) {
    const struct gr_stream_key key = {.seed = 16, .purpose = GR_PURPOSE_TEST};
    uint32_t word;
    struct gr_stream_key at = key;
    at.round = (uint32_t)draws++;
    gr_stream_words(at, 0, &word, 1);
    return word % below;
}

/* Parties that answer the step. */
static uint32_t left_at(const struct secure_trial *trial, enum lost_at step) {
    uint32_t n = 0;
    for (uint32_t p = 0; p < trial->terms.n_parties; p++)
        n += answers(trial, p, step);
    return n;
}

static void check_schedule(struct secure_trial *trial) {
    bool holds = !gr_secure_terms_draws(&trial->terms) ||
                 left_at(trial, BEFORE_REVEAL) == left_at(trial, BEFORE_ADVERT);
    for (enum lost_at step = BEFORE_ADVERT; step < NEVER; step++)
        holds = holds && left_at(trial, step) >= trial->terms.threshold;
    trial_begin(trial);
    const gr_status status = trial_sum(trial);
    ck_assert_msg(status == (holds ? GR_OK : GR_STOPPED), "%d: %s", (int)status, gr_message());
    trial_end(trial);
}

START_TEST(all_are_there) {
    keys_make(8);
    for (uint32_t n = 3; n <= 8; n++) {
        struct secure_trial *trial = trial_make(n, gr_secure_threshold_default(n));
        trial->terms.counter = 10ULL * n; /* the journals are those of the trials before */
        check_schedule(trial);
        check_schedule(trial);
        trial_free(trial);
    }
    keys_release();
}
END_TEST

/* Each party is lost at some step or at none, so that often too few are left. */
START_TEST(some_are_lost) {
    uint32_t n_held = 0;
    keys_make(7);
    struct secure_trial *trial = trial_make(7, 4);
    for (int schedule = 0; schedule < 150; schedule++) {
        for (uint32_t p = 0; p < 7; p++)
            trial->lost[p] = draw(3) == 0 ? (enum lost_at)draw(NEVER) : NEVER;
        n_held += left_at(trial, BEFORE_OPENING) >= 4;
        check_schedule(trial);
    }
    ck_assert_uint_gt(n_held, 75);
    ck_assert_uint_lt(n_held, 150);
    trial_free(trial);
    keys_release();
}
END_TEST

/* As many as are all neighbours of each other, of whom a quarter is lost. SCHEDULES=1000 in the
 * environment tries so many. */
START_TEST(sixty_four_with_sixteen_lost) {
    const char *wanted = getenv("SCHEDULES");
    const unsigned long schedules = wanted ? strtoul(wanted, NULL, 10) : 2;
    keys_make(64);
    struct secure_trial *trial = trial_make(64, gr_secure_threshold_default(64));
    for (unsigned long schedule = 0; schedule < schedules; schedule++) {
        for (uint32_t p = 0; p < 64; p++)
            trial->lost[p] = NEVER;
        for (uint32_t i = 0; i < 16; i++)
            trial->lost[draw(4) + 4 * i] = (enum lost_at)draw(NEVER);
        check_schedule(trial);
    }
    trial_free(trial);
    keys_release();
}
END_TEST

/* Of these each has 68 neighbours. A third is lost at any step; where one shows keys and then
 * reveals nothing the sum is void, so mostly nobody does that. SCHEDULES as above. */
START_TEST(a_hundred_with_a_third_lost) {
    const char *wanted = getenv("SCHEDULES");
    const unsigned long schedules = wanted ? strtoul(wanted, NULL, 10) : 2;
    keys_make(100);
    struct secure_trial *trial = trial_make(100, gr_secure_threshold_default(100));
    trial_keep_journals(trial, 10);
    for (unsigned long schedule = 0; schedule < schedules; schedule++) {
        for (uint32_t p = 0; p < 100; p++)
            trial->lost[p] = NEVER;
        for (uint32_t i = 0; i < 33; i++) {
            enum lost_at *lost = &trial->lost[draw(3) + 3 * i];
            *lost = (enum lost_at)draw(NEVER);
            if (*lost == BEFORE_REVEAL && schedule % 8 > 0) *lost = BEFORE_OPENING;
        }
        check_schedule(trial);
    }
    trial_free(trial);
    keys_release();
}
END_TEST

/* Masks of one word follow from its place alone, whatever the ranges; 16, 32 and 64 bits. */
static void check_width(struct secure_trial *trial, uint32_t bits) {
    enum { N = 5000 };
    static uint64_t whole[N], part[N], zero[N];
    const size_t width = bits / 8;
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    memset(part, 0, sizeof part);
    for (uint32_t p = 0; p < 3; p++) {
        struct gr_secure_message pieces = told(trial, p);
        MUST(gr_secure_party_take_pieces(trial->parties[p], pieces.bytes, pieces.n));
        gr_free(pieces.bytes);
        memset(whole, 0, sizeof whole);
        for (size_t at = 0, n = 1; at < N; at += n, n = n * 3 + 1) {
            if (n > N - at) n = N - at;
            const struct gr_stream_range range = {.position = 64 + at * width, bits, n};
            MUST(gr_secure_party_mask(trial->parties[p], NULL, range, (char *)whole + at * width));
        }
        for (size_t i = 0; i < N; i++) {
            if (bits == 16) ((uint16_t *)part)[i] += ((uint16_t *)whole)[i];
            if (bits == 32) ((uint32_t *)part)[i] += ((uint32_t *)whole)[i];
            if (bits == 64) part[i] += whole[i];
        }
        gr_party_set_add(&trial->summed, p);
    }
    MUST(gr_secure_collector_summed(trial->collector, &trial->summed, trial->terms.run));
    for (uint32_t p = 0; p < 3; p++) {
        struct gr_secure_message message;
        MUST(gr_secure_party_sign(trial->parties[p], &trial->summed, trial->terms.run, &message));
        give(trial, p, &message);
    }
    MUST(gr_secure_collector_close(trial->collector));
    MUST(step_opening(trial));
    struct gr_secure_message secrets = told(trial, 0);
    MUST(gr_secure_party_take_secrets(trial->parties[0], secrets.bytes, secrets.n));
    gr_free(secrets.bytes);
    const struct gr_stream_range all = {.position = 64, bits, N};
    MUST(gr_secure_party_unmask(trial->parties[0], all, part));
    ck_assert_mem_eq(part, zero, N * width);
    trial_end(trial);
}

START_TEST(words_of_each_width) {
    keys_make(3);
    struct secure_trial *trial = trial_make(3, 3);
    check_width(trial, 16);
    check_width(trial, 32);
    check_width(trial, 64);
    trial_free(trial);
    keys_release();
}
END_TEST

/* The same sum once more may be opened over the same parties, and over no others. */
START_TEST(one_sum_has_one_set_of_parties) {
    keys_make(5);
    struct secure_trial *trial = trial_make(5, 3);
    trial->terms.counter = 9000; /* the journals are those of the trials before */
    trial->terms.part = 9000;
    trial->same = true;
    for (int again = 0; again < 2; again++) {
        trial_begin(trial);
        ck_assert_int_eq(trial_sum(trial), GR_OK);
        trial_end(trial);
    }
    trial->lost[4] = BEFORE_SUM;
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    struct gr_secure_message message = {0};
    ck_assert_int_eq(
        gr_secure_party_sign(trial->parties[0], &trial->summed, trial->terms.run, &message),
        GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "of the same sum over other parties"));
    ck_assert_ptr_null(message.bytes);
    trial_end(trial);
    trial_free(trial);
    keys_release();
}
END_TEST

/* A place of a mask that is used twice would give the difference of two vectors. */
START_TEST(no_word_of_a_mask_is_used_twice) {
    uint32_t words[4] = {0};
    keys_make(3);
    struct secure_trial *trial = trial_make(3, 3);
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_shares(trial));
    struct gr_secure_message pieces = told(trial, 0);
    struct gr_secure_party *party = trial->parties[0];
    MUST(gr_secure_party_take_pieces(party, pieces.bytes, pieces.n));
    gr_free(pieces.bytes);
    MUST(gr_secure_party_mask(party, NULL, (struct gr_stream_range){0, 32, 4}, words));
    ck_assert_int_eq(gr_secure_party_mask(party, NULL, (struct gr_stream_range){12, 32, 1}, words),
                     GR_ERROR_INTERNAL);
    /* And nothing after that. */
    ck_assert_int_eq(gr_secure_party_mask(party, NULL, (struct gr_stream_range){16, 32, 1}, words),
                     GR_ERROR_POLICY);
    trial_end(trial);
    trial_free(trial);
    keys_release();
}
END_TEST

/* Pairs of a threshold and a number of colluding parties by hand. */
START_TEST(terms) {
    static const struct {
        uint32_t n, t, c;
        bool good;
    } cases[] = {{3, 2, 0, true},        {3, 3, 2, true},         {3, 2, 1, false},
                 {3, 1, 0, false},       {3, 4, 0, false},        {2, 2, 0, false},
                 {64, 43, 0, true},      {64, 43, 21, true},      {64, 43, 22, false},
                 {65, 44, 0, true},      {1024, 683, 0, true},    {1025, 684, 0, false},
                 {1000, 667, 100, true}, {1000, 667, 130, false}, {1000, 501, 0, false},
                 {4, 3, 1, true},        {4, 3, 2, false},        {4, 2, 0, false},
                 {64, 64, 63, true},     {64, 64, 64, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct gr_secure_terms trial = {
            .n_parties = cases[i].n, .threshold = cases[i].t, .colluding = cases[i].c};
        ck_assert_msg((gr_secure_terms_check(&trial) == GR_OK) == cases[i].good, "case %zu", i);
    }
    ck_assert_uint_eq(gr_secure_threshold_default(3), 3);
    ck_assert_uint_eq(gr_secure_threshold_default(8), 6);
    ck_assert_uint_eq(gr_secure_threshold_default(64), 43);
}
END_TEST

RUN_TESTS("secure sums", all_are_there, some_are_lost, sixty_four_with_sixteen_lost,
          a_hundred_with_a_third_lost, words_of_each_width, no_word_of_a_mask_is_used_twice,
          one_sum_has_one_set_of_parties, terms)
