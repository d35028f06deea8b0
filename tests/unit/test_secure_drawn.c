/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums of a hundred, whose neighbours are drawn: each has 68, and 35 shares give a secret.
 * Lies about who is next to whom, which each honest party that is lied to finds before a share has
 * left it; and an observer that has all messages and the secrets of some of a party's neighbours.
 */
#include "secure_parties.h"

/* The secrets of parties are read where they lie. */
#include "../../src/privacy/secure_party.c"

#include "privacy/shamir.h"

enum { N = 100, NEIGHBOURS = 68, SHARES = 35, COUNT_AT = sizeof(struct gr_secure_head) };

static struct secure_trial *trial;

static void make(void) {
    scratch_make();
    keys_make(N);
    trial = trial_make(N, gr_secure_threshold_default(N));
    trial_keep_journals(trial, 1);
    trial_begin(trial);
}

static void remove_all(void) {
    trial_end(trial);
    trial_free(trial);
    keys_release();
    scratch_remove();
}

static void check_refused(gr_status status, gr_status expected, const char *words) {
    ck_assert_msg(status == expected, "%d: %s", (int)status, gr_message());
    ck_assert_msg(strstr(gr_message(), words), "%s: not in: %s", words, gr_message());
    char *text = slurp(in_scratch("sums-0"), NULL);
    ck_assert_ptr_null(strstr(text, "shares"));
    gr_free(text);
}

static const struct gr_secure_graph *graph_of(uint32_t p) {
    return &trial->parties[p]->graph;
}

/* A party that is no neighbour of the first, or one that is. */
static uint32_t other_of_first(bool neighbour) {
    uint32_t p = 1;
    while (gr_secure_graph_joins(graph_of(0), 0, p) != neighbour)
        p++;
    return p;
}

/* ---- the draw ---------------------------------------------------------------------------------
 */

START_TEST(all_have_one_graph) {
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    ck_assert_uint_eq(graph_of(0)->degree.neighbours, NEIGHBOURS);
    ck_assert_uint_eq(graph_of(0)->degree.shares, SHARES);
    for (uint32_t p = 1; p < N; p++)
        ck_assert_mem_eq(graph_of(p), graph_of(0), sizeof *graph_of(0));
    const struct gr_secure_graph first = *graph_of(0);
    trial_end(trial);
    trial_begin(trial);
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    ck_assert_mem_ne(graph_of(0)->place, first.place, sizeof first.place);
}
END_TEST

/* Party 3 has waited for the others' and would have another graph. */
START_TEST(what_a_party_was_not_committed_to) {
    struct gr_secure_message list, message;
    MUST(step_advert(trial));
    list = told(trial, 3);
    MUST(gr_secure_party_reveal(trial->parties[3], list.bytes, list.n, &message));
    gr_free(list.bytes);
    ((struct gr_secure_reveal *)(void *)message.bytes)->draw[0] ^= 1;
    gr_secure_message_sign(keys_of[3], message.bytes, message.n);
    check_refused(gr_secure_collector_take(trial->collector, 3, message.bytes, message.n),
                  GR_ERROR_POLICY, "party 3 has not revealed what it was committed to");
    gr_free(message.bytes);
}
END_TEST

START_TEST(a_party_that_reveals_nothing) {
    MUST(step_advert(trial));
    trial->lost[3] = BEFORE_REVEAL;
    check_refused(step_reveal(trial), GR_STOPPED, "99 of 100 parties have revealed");
}
END_TEST

/* The collector changes what a party has revealed, leaves it out, or tells another's twice. */
START_TEST(another_draw_for_one) {
    for (int way = 0; way < 3; way++) {
        struct gr_secure_message reveals, unused = {0};
        if (way > 0) {
            trial_end(trial);
            trial_begin(trial);
        }
        MUST(step_advert(trial));
        MUST(step_reveal(trial));
        reveals = told(trial, 0);
        struct gr_secure_revealed *revealed = (void *)(reveals.bytes + COUNT_AT + 4);
        const uint32_t fewer = N - 1;
        if (way == 0) revealed[5].draw[31] ^= 1;
        if (way == 1) memcpy(reveals.bytes + COUNT_AT, &fewer, sizeof fewer);
        if (way == 1) reveals.n -= sizeof *revealed;
        if (way == 2) revealed[5] = revealed[6];
        check_refused(gr_secure_party_share(trial->parties[0], reveals.bytes, reveals.n, &unused),
                      GR_ERROR_POLICY, "not drawn by what all in the list");
        ck_assert_ptr_null(unused.bytes);
        gr_free(reveals.bytes);
    }
}
END_TEST

/* Without a draw the order would be the one that the collector knows beforehand. */
START_TEST(shares_without_a_draw) {
    struct gr_secure_message unused = {0}, list;
    MUST(step_advert(trial));
    list = told(trial, 0);
    check_refused(gr_secure_party_share(trial->parties[0], list.bytes, list.n, &unused),
                  GR_ERROR_POLICY, "out of turn");
    gr_free(list.bytes);
}
END_TEST

/* Two are told of other neighbours: their ids differ. */
START_TEST(other_neighbours_for_one) {
    unsigned char ids[2][GR_DIGEST_BYTES];
    struct gr_secure_terms terms = trial->terms;
    gr_secure_terms_id(&terms, ids[0]);
    terms.neighbours = 60;
    gr_secure_terms_id(&terms, ids[1]);
    ck_assert_mem_ne(ids[0], ids[1], sizeof ids[0]);
}
END_TEST

/* ---- shares -----------------------------------------------------------------------------------
 */

START_TEST(shares_for_others_than_the_neighbours) {
    struct gr_secure_message reveals, message;
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    reveals = told(trial, 0);
    MUST(gr_secure_party_share(trial->parties[0], reveals.bytes, reveals.n, &message));
    gr_free(reveals.bytes);
    struct gr_secure_piece *piece =
        (void *)(message.bytes + sizeof(struct gr_secure_head) + GR_DIGEST_BYTES + 4);
    ck_assert(gr_secure_graph_joins(graph_of(0), 0, piece[NEIGHBOURS].party));
    piece[NEIGHBOURS].party = other_of_first(false);
    gr_secure_message_sign(keys_of[0], message.bytes, message.n);
    check_refused(gr_secure_collector_take(trial->collector, 0, message.bytes, message.n),
                  GR_ERROR_POLICY, "party 0 has not given a share for each");
    gr_free(message.bytes);
}
END_TEST

/* The set of those who have given shares, then a count, then their pieces. */
static struct gr_secure_message told_pieces(struct gr_secure_piece **pieces) {
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    const struct gr_secure_message message = told(trial, 0);
    *pieces = (void *)(message.bytes + sizeof(struct gr_secure_head) + GR_PARTY_SET_BYTES + 4);
    return message;
}

START_TEST(shares_of_no_neighbour) {
    struct gr_secure_piece *pieces;
    struct gr_secure_message message = told_pieces(&pieces);
    pieces[0].party = other_of_first(false);
    check_refused(gr_secure_party_take_pieces(trial->parties[0], message.bytes, message.n),
                  GR_ERROR_POLICY, "no neighbour of this one");
    gr_free(message.bytes);
}
END_TEST

/* Masks with a neighbour that is told to have given no shares would stay in the sum. */
START_TEST(shares_of_a_neighbour_are_kept_back) {
    for (int way = 0; way < 2; way++) {
        struct gr_secure_piece *pieces;
        if (way > 0) {
            trial_end(trial);
            trial_begin(trial);
        }
        struct gr_secure_message message = told_pieces(&pieces);
        const uint32_t fewer = NEIGHBOURS - 1;
        if (way == 0) {
            const uint32_t p = other_of_first(true);
            unsigned char *set = message.bytes + sizeof(struct gr_secure_head);
            struct gr_party_set sharers; /* bytes of a message are aligned to nothing */
            memcpy(&sharers, set, sizeof sharers);
            sharers.bits[p / 64] &= ~((uint64_t)1 << p % 64);
            memcpy(set, &sharers, sizeof sharers);
        } else {
            memcpy((char *)pieces - sizeof fewer, &fewer, sizeof fewer);
            message.n -= sizeof *pieces;
        }
        check_refused(gr_secure_party_take_pieces(trial->parties[0], message.bytes, message.n),
                      GR_ERROR_POLICY, "or the other way about");
        gr_free(message.bytes);
    }
}
END_TEST

/* ---- the roster -------------------------------------------------------------------------------
 */

/* A run has 34 places, six of which have to be in the sum. Of 33 that may be lost 29 stand next to
 * each other. */
START_TEST(neighbours_that_are_said_to_be_lost) {
    struct gr_secure_message unused = {0};
    const unsigned char *total = trial->terms.run;
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    const struct gr_secure_graph *graph = graph_of(0);
    struct gr_party_set left = {0};
    const uint32_t run = graph->degree.neighbours / 2, in_run = graph->degree.in_run;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t p = graph->party[(graph->place[0] + i) % N];
        if (i == 0 || i > run - in_run + 1) gr_party_set_add(&left, p);
    }
    ck_assert_uint_eq(N - gr_party_set_count(&left), 29);
    ck_assert_uint_ge(gr_party_set_count(&left), trial->terms.threshold);
    check_refused(gr_secure_party_sign(trial->parties[0], &left, total, &unused), GR_STOPPED,
                  "stand next to each other are lost");
    ck_assert_ptr_null(unused.bytes);
}
END_TEST

/* ---- observers --------------------------------------------------------------------------------
 */

/*
 * With all messages, the self masks that are opened, and the secrets of the first `n_corrupted` of
 * the neighbours of party 0, before the sum is opened. Takes off the masks that the shares give,
 * right or wrong; whether they were those of party 0.
 */
static bool attempt(uint32_t n_corrupted, uint32_t *words) {
    unsigned char shares[2][N][GR_SHAMIR_BYTES], secret[2][GR_SHAMIR_BYTES], shared[GR_KEY_BYTES],
        stream[GR_STREAM_KEY_BYTES];
    uint32_t numbers[N], n = 0;
    const struct gr_secure_party *first = trial->parties[0];
    const struct gr_stream_range range = {0, 32, WORDS};
    for (uint32_t p = 1; p < N && n < n_corrupted; p++) {
        const struct gr_secure_party *party = trial->parties[p];
        if (!gr_secure_graph_joins(&first->graph, 0, p)) continue;
        for (int kind = 0; kind < 2; kind++)
            memcpy(shares[kind][n], party->neighbours[party->slot[0]].held[kind], GR_SHAMIR_BYTES);
        numbers[n++] = first->slot[p];
    }
    for (int kind = 0; kind < 2; kind++)
        gr_shamir_combine(numbers, (const unsigned char(*)[GR_SHAMIR_BYTES])shares[kind], n,
                          secret[kind]);
    memcpy(words, trial->masked[0], WORDS * sizeof *words);
    gr_secure_self_stream(first->id, 0, secret[0], stream);
    gr_key_stream_add(stream, range, true, words);
    for (uint32_t p = 1; p < N; p++) {
        if (!gr_secure_graph_joins(&first->graph, 0, p)) continue;
        ck_assert_int_eq(crypto_scalarmult(shared, secret[1], first->adverts[p].mask), 0);
        gr_secure_pair_stream(first->id, 0, p, shared, stream);
        gr_key_stream_add(stream, range, true, words);
    }
    return gr_secure_secret_is(&first->adverts[0], GR_SECURE_SHARE_SELF, secret[0]) &&
           gr_secure_secret_is(&first->adverts[0], GR_SECURE_SHARE_PAIR, secret[1]);
}

static uint32_t count_known(const uint32_t *words) {
    uint32_t same = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        same += words[i] == trial->vectors[0][i];
    return same;
}

START_TEST(neighbours_that_collude) {
    uint32_t words[WORDS];
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    ck_assert(!attempt(SHARES - 1, words));
    ck_assert_uint_eq(count_known(words), 0); /* by chance one word of 10^8 such vectors */
    ck_assert(attempt(SHARES, words));
    ck_assert_uint_eq(count_known(words), WORDS);
}
END_TEST

/*
 * Once the sum is open, with a third lost before it: the observer has the self mask of party 0, and
 * with the secrets of all of its neighbours but one (and of those lost) all masks but one; and with
 * the last one's all.
 */
START_TEST(neighbours_that_collude_once_it_is_open) {
    unsigned char pairs[NEIGHBOURS + 1][GR_STREAM_KEY_BYTES], seed[GR_SECURE_SECRET_BYTES],
        stream[GR_STREAM_KEY_BYTES];
    const struct gr_stream_range range = {0, 32, WORDS};
    uint32_t words[WORDS], last = 0;
    for (uint32_t p = 40; p < 73; p++)
        trial->lost[p] = BEFORE_SUM;
    MUST(step_advert(trial));
    MUST(step_reveal(trial));
    MUST(step_shares(trial));
    step_sum(trial);
    const struct gr_secure_party *first = trial->parties[0];
    for (uint32_t p = 1; p < N; p++) {
        const struct gr_secure_party *party = trial->parties[p];
        if (!gr_secure_graph_joins(&first->graph, 0, p)) continue;
        memcpy(pairs[first->slot[p]], party->neighbours[party->slot[0]].pair, sizeof *pairs);
        if (trial->lost[p] == NEVER) last = p;
    }
    memcpy(seed, first->secrets->seed, sizeof seed);
    MUST(step_roster(trial));
    MUST(step_opening(trial));
    memcpy(words, trial->masked[0], sizeof words);
    gr_secure_self_stream(first->id, 0, seed, stream);
    gr_key_stream_add(stream, range, true, words);
    for (uint32_t p = 1; p < N; p++)
        if (p != last && gr_secure_graph_joins(&first->graph, 0, p))
            gr_key_stream_add(pairs[first->slot[p]], range, true, words);
    ck_assert_uint_eq(count_known(words), 0);
    gr_key_stream_add(pairs[first->slot[last]], range, true, words);
    ck_assert_uint_eq(count_known(words), WORDS);
}
END_TEST

#define TEST(name) tcase_add_test(tcase, name)

int main(void) {
    Suite *suite = suite_create("secure sums with neighbours");
    TCase *tcase = tcase_create("secure sums with neighbours");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, make, remove_all);
    TEST(all_have_one_graph);
    TEST(what_a_party_was_not_committed_to);
    TEST(a_party_that_reveals_nothing);
    TEST(another_draw_for_one);
    TEST(shares_without_a_draw);
    TEST(other_neighbours_for_one);
    TEST(shares_for_others_than_the_neighbours);
    TEST(shares_of_no_neighbour);
    TEST(shares_of_a_neighbour_are_kept_back);
    TEST(neighbours_that_are_said_to_be_lost);
    TEST(neighbours_that_collude);
    TEST(neighbours_that_collude_once_it_is_open);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
