/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions over a carrier that doubles, delays, reorders, changes and repeats letters: messages
 * come once, whole and in order, or not at all; nothing old is taken for new; whoever is started
 * anew is taken up again; and whatever is refused is counted.
 */
#include <sodium.h>

#include "bag.h"
#include "post/agreement.h"
#include "post/session.h"

static struct bag_carrier ways[PARTIES];
static struct gr_post *coordinator, *site;

static void make_all(void) {
    scratch_make();
    parties_make();
    for (uint32_t p = 0; p < PARTIES; p++)
        ways[p] = bag_carrier_of(p);
    coordinator = post_of(0, &ways[0].carrier);
    bag_empty(); /* its notes of having begun */
    site = post_of(1, &ways[1].carrier);
}

static void remove_all(void) {
    gr_post_close(coordinator);
    gr_post_close(site);
    bag_empty();
    parties_free();
    scratch_remove();
}

static void greet_both(uint32_t at_site, uint32_t at_coordinator) {
    expect(wait_for(site, coordinator), GR_POST_GREETING, 0, at_site, "coordinator");
    expect(wait_for(coordinator, site), GR_POST_GREETING, 1, at_coordinator, "site-1");
}

static void expect_nothing(struct gr_post *post) {
    struct gr_post_message message;
    MUST(gr_post_receive(post, &message));
    ck_assert_int_eq(message.kind, GR_POST_NOTHING);
}

/* A message each way arrives: the session is sound. */
static void check_flow(uint32_t at_site, uint32_t at_coordinator) {
    send_text(site, 0, "up");
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, at_coordinator, "up");
    send_text(coordinator, 1, "down");
    expect(wait_for(site, NULL), GR_POST_MESSAGE, 0, at_site, "down");
}

/* ---- order ---------------------------------------------------------------------------------- */

static uint32_t state;
static uint32_t draw(uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

START_TEST(any_order_and_any_number_of_copies_give_one_stream) {
    char text[16];
    greet_both(1, 1);
    for (uint32_t seed = 1; seed <= 20; seed++) {
        state = seed;
        const uint32_t n = 1 + draw(100);
        for (uint32_t i = 0; i < n; i++) {
            snprintf(text, sizeof text, "%u of %u", i, seed);
            send_text(site, 0, text);
        }
        const size_t first = n_bag;
        for (size_t i = 0; i < first; i++)
            for (uint32_t more = draw(3); more > 0; more--)
                bag_add(copy_of(bag[i]));
        for (size_t i = n_bag; i > 1; i--) {
            const size_t j = draw((uint32_t)i);
            struct gr_letter *letter = bag[i - 1];
            bag[i - 1] = bag[j];
            bag[j] = letter;
        }
        for (uint32_t i = 0; i < n; i++) {
            snprintf(text, sizeof text, "%u of %u", i, seed);
            expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, text);
        }
        expect_nothing(coordinator);
        expect_nothing(site); /* it reads receipts */
    }
    ck_assert_uint_gt(gr_post_refused(coordinator)->repeated, 0);
    ck_assert_uint_eq(gr_post_refused(coordinator)->early, 0);
    ck_assert_ptr_nonnull(strstr(said[0], "site-1: a letter of it has come before"));
    ck_assert_ptr_null(strstr(strstr(said[0], "has come before") + 1, "has come before"));
}
END_TEST

START_TEST(what_comes_before_its_turn_waits_for_it) {
    char text[16];
    greet_both(1, 1);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%d", i);
        send_text(coordinator, 1, text);
    }
    struct gr_letter *first = bag_take(find_letter(0, GR_LETTER_MESSAGE));
    for (int i = 0; i < 10; i++)
        expect_nothing(site);
    ck_assert_uint_eq(n_letters(0, GR_LETTER_MESSAGE), 0);
    bag_add(first);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%d", i);
        expect(wait_for(site, NULL), GR_POST_MESSAGE, 0, 1, text);
    }
}
END_TEST

/* A sender that keeps no window: of what comes too early as much is dropped as has no room. */
START_TEST(what_comes_too_early_is_dropped) {
    greet_both(1, 1);
    ways[1].carrier.kind = &sure_bag_kind;
    for (int i = 0; i < 400; i++)
        send_text(site, 0, "x");
    struct gr_letter *first = bag_take(find_letter(1, GR_LETTER_MESSAGE));
    while (n_letters(1, GR_LETTER_MESSAGE) > 0) /* a receipt for the site may lie there as well */
        expect_nothing(coordinator);
    /* Of the 399 that are later 254 have a place: 255 letters may be under way. */
    ck_assert_uint_eq(gr_post_refused(coordinator)->early, 399 - 254);
    ck_assert_uint_eq(gr_post_refused(coordinator)->repeated, 0);
    bag_add(first);
    for (int i = 0; i < 255; i++)
        expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "x");
    expect_nothing(coordinator);
}
END_TEST

/* Without a receipt: an answer says as much. */
START_TEST(an_answer_acknowledges) {
    greet_both(1, 1);
    for (int i = 0; i < 3; i++)
        send_text(site, 0, "x");
    ck_assert_uint_gt(site->peers[0].now.under_way, 0);
    for (int i = 0; i < 3; i++)
        expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "x");
    send_text(coordinator, 1, "y");
    while (n_letters(0, GR_LETTER_RECEIPT) > 0)
        gr_free(bag_take(find_letter(0, GR_LETTER_RECEIPT)));
    expect(wait_for(site, NULL), GR_POST_MESSAGE, 0, 1, "y");
    ck_assert_uint_eq(site->peers[0].now.confirmed, site->peers[0].now.sent);
    ck_assert_uint_eq(site->peers[0].now.under_way, 0);
}
END_TEST

/* A carrier that knows damage by itself is spared the checksum; what it damages does not open. */
START_TEST(a_checksum_is_made_for_whoever_needs_it) {
    static const unsigned char none[16];
    struct gr_carrier_kind kind = bag_kind;
    greet_both(1, 1);
    send_text(site, 0, "with");
    struct gr_letter *letter = bag[find_letter(1, GR_LETTER_MESSAGE)];
    ck_assert(memcmp(letter->bytes + 112, none, sizeof none) != 0);
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "with");
    kind.checks = true;
    ways[1].carrier.kind = &kind;
    send_text(site, 0, "without");
    letter = bag[find_letter(1, GR_LETTER_MESSAGE)];
    ck_assert_mem_eq(letter->bytes + 112, none, sizeof none);
    struct gr_letter *damaged = copy_of(letter);
    damaged->bytes[damaged->n - 1] ^= 1;
    letter = bag_take(find_letter(1, GR_LETTER_MESSAGE));
    bag_add(damaged);
    expect_nothing(coordinator);
    ck_assert_uint_eq(gr_post_refused(coordinator)->unreadable, 1);
    bag_add(letter);
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "without");
}
END_TEST

START_TEST(no_more_is_under_way_than_the_window) {
    static unsigned char large[GR_LETTER_BODY_MAX];
    const struct gr_post_part part = {large, sizeof large}, more = {large, 1};
    const struct gr_post_part parts[] = {part, more};
    struct gr_post_message message;
    uint32_t n = 0;
    ck_assert_uint_eq(gr_post_room(site, 0), 0);
    greet_both(1, 1);
    ck_assert_uint_ge(gr_post_room(site, 0), GR_LETTER_BODY_MAX);
    while (gr_post_room(site, 0) > 0 && n < 1000) {
        send_text(site, 0, "x");
        n++;
    }
    ck_assert_uint_ge(n, 200);
    ck_assert_uint_lt(n, 256);
    ck_assert_int_eq(gr_post_send(site, 0, &more, 1), GR_ERROR_WRITE);
    for (uint32_t i = 0; i < n; i++)
        expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "x");
    expect_nothing(coordinator);
    expect_nothing(site);
    ck_assert_uint_gt(gr_post_room(site, 0), 0);
    ck_assert_int_eq(gr_post_send(site, 0, parts, 2), GR_ERROR_INTERNAL);
    /* And by bytes: after the receipts of all. */
    while (gr_post_due_s(coordinator) < 10) {
        rest(0.02);
        expect_nothing(coordinator);
        expect_nothing(site);
    }
    for (n = 0; gr_post_room(site, 0) >= sizeof large; n++)
        MUST(gr_post_send(site, 0, &part, 1));
    ck_assert_uint_eq(n, 3); /* with their heads a fourth is more than 32 MiB */
    ck_assert_int_eq(gr_post_send(site, 0, &part, 1), GR_ERROR_WRITE);
    for (uint32_t i = 0; i < n; i++) {
        message = wait_for(coordinator, NULL);
        ck_assert_uint_eq(message.n, sizeof large);
        gr_free(message.memory);
    }
    expect_nothing(site);
    ck_assert_uint_ge(gr_post_room(site, 0), sizeof large);
}
END_TEST

/* A carrier's failure loses nothing: the next letter has the counter of the one that failed. */
START_TEST(a_letter_that_was_not_put_was_not_sent) {
    const struct gr_post_part part = {"x", 1};
    /* At the first letter of the session, too. */
    struct gr_post_message message;
    expect_nothing(coordinator);
    ways[1].full = true;
    expect(wait_for(site, NULL), GR_POST_GREETING, 0, 1, "coordinator");
    ck_assert_uint_eq(gr_post_room(site, 0), 0);
    ck_assert_int_eq(gr_post_send(site, 0, &part, 1), GR_ERROR_WRITE);
    MUST(gr_post_receive(coordinator, &message));
    ck_assert_int_eq(message.kind, GR_POST_NOTHING);
    ways[1].full = false;
    expect_nothing(site);
    expect(wait_for(coordinator, NULL), GR_POST_GREETING, 1, 1, "site-1");
    ways[1].full = true;
    ck_assert_int_eq(gr_post_send(site, 0, &part, 1), GR_ERROR_WRITE);
    ways[1].full = false;
    check_flow(1, 1);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

static uint64_t n_refused(const struct gr_post *post) {
    const struct gr_post_refused *r = gr_post_refused(post);
    return r->forged + r->repeated + r->other_session + r->other_study + r->other_version +
           r->too_large + r->unreadable + r->early;
}

/* Gives the coordinator a letter that must not have any effect. */
static void expect_refused(struct gr_letter *letter) {
    const uint64_t before = n_refused(coordinator);
    bag_add(letter);
    expect_nothing(coordinator);
    ck_assert_uint_eq(n_refused(coordinator), before + 1);
}

/* Each bit of the first letters of a session, one by one: HELLO, BEGIN, MESSAGE. */
START_TEST(no_changed_bit_has_an_effect) {
    for (uint32_t kind = GR_LETTER_HELLO; kind <= GR_LETTER_MESSAGE; kind++) {
        if (kind == GR_LETTER_WELCOME) continue;
        if (kind == GR_LETTER_BEGIN)
            expect(wait_for(site, coordinator), GR_POST_GREETING, 0, 1, "coordinator");
        if (kind == GR_LETTER_MESSAGE) {
            expect(wait_for(coordinator, site), GR_POST_GREETING, 1, 1, "site-1");
            send_text(site, 0, "message");
        }
        struct gr_letter *good = bag_take(find_letter(1, kind));
        for (size_t i = 0; i < 8 * good->n; i++) {
            struct gr_letter *bad = copy_of(good);
            bad->bytes[i / 8] ^= (unsigned char)(1U << i % 8);
            expect_refused(bad);
        }
        for (size_t n = 0; n < good->n; n++) {
            struct gr_letter *bad = copy_of(good);
            bad->n = n;
            expect_refused(bad);
        }
        ck_assert_uint_eq(n_letters(0, GR_LETTER_WELCOME), 0);
        bag_add(good);
    }
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "message");
    check_flow(1, 1);
    ck_assert_uint_gt(gr_post_refused(coordinator)->forged, 0);
    ck_assert_uint_gt(gr_post_refused(coordinator)->other_version, 0);
    ck_assert_uint_gt(gr_post_refused(coordinator)->other_study, 0);
    ck_assert_ptr_nonnull(strstr(said[0], "expected version 1"));
}
END_TEST

START_TEST(another_study_is_told) {
    unsigned char before[GR_DIGEST_BYTES];
    memcpy(before, study, sizeof before);
    bag_empty();
    study[0] ^= 1;
    struct gr_post *other = post_of(2, &ways[2].carrier);
    memcpy(study, before, sizeof before);
    expect_nothing(coordinator);
    ck_assert_uint_eq(gr_post_refused(coordinator)->other_study, 1);
    ck_assert_ptr_nonnull(strstr(said[0], "another edition of the study"));
    gr_post_close(other);
}
END_TEST

/* Letters that a site may sign, but that have no place. */
static void forge(uint32_t from, uint32_t to, enum gr_letter_kind kind, uint64_t counter,
                  const unsigned char *session, size_t opening, const unsigned char *key) {
    struct gr_letter *letter;
    struct gr_letter_head head = {.label = {.from = from, .to = to, .counter = counter},
                                  .kind = kind,
                                  .acknowledged = UINT64_MAX};
    memcpy(head.label.session, session, GR_SESSION_BYTES);
    MUST(gr_letter_create(opening, 0, &letter));
    if (opening) memset(gr_letter_body(letter), 9, opening);
    gr_letter_seal(letter, head, opening, key, keys_of[from], study);
    bag_add(letter);
}

START_TEST(what_has_no_place_has_no_effect) {
    static const unsigned char key[GR_KEY_BYTES] = "no key of any session";
    unsigned char session[GR_SESSION_BYTES];
    memcpy(session, bag[0]->label.session, sizeof session);
    greet_both(1, 1);
    for (uint32_t kind = GR_LETTER_HELLO; kind <= GR_LETTER_REPLACED; kind++)
        for (uint64_t counter = 0; counter < 6; counter++)
            for (uint32_t from = 0; from < 3; from++) {
                const bool greets = kind <= GR_LETTER_WELCOME;
                const uint64_t place = counter == 5 ? GR_LETTER_NOTE | 3 : counter;
                forge(from, from == 0 ? 1 : 0, kind, place, session,
                      greets ? GR_LETTER_OPENING_BYTES : 0, kind >= GR_LETTER_UNKNOWN ? NULL : key);
                expect_nothing(coordinator);
                expect_nothing(site);
            }
    /* With the right key: each kind at each place but the one where it belongs. */
    const unsigned char *right = site->peers[0].secrets->out;
    const uint64_t before = n_refused(coordinator), next = site->peers[0].now.sent + 1;
    forge(1, 0, GR_LETTER_BEGIN, next, session, 0, right);
    forge(1, 0, GR_LETTER_RECEIPT, next, session, 0, right);
    forge(1, 0, GR_LETTER_MESSAGE, GR_LETTER_NOTE | next, session, 0, right);
    forge(1, 0, GR_LETTER_MESSAGE, 1, session, 0, right);
    forge(1, 0, GR_LETTER_MESSAGE, 0, session, 0, right);
    expect_nothing(coordinator);
    ck_assert_uint_eq(n_refused(coordinator), before + 5);
    check_flow(1, 1);
    ck_assert_uint_gt(n_refused(coordinator), 30);
    ck_assert_uint_gt(n_refused(site), 10);
}
END_TEST

/* Another site's letter for the coordinator, brought to a site, and the reverse. */
START_TEST(letters_for_others_are_not_taken) {
    greet_both(1, 1);
    send_text(site, 0, "x");
    struct gr_letter *letter = bag_take(find_letter(1, GR_LETTER_MESSAGE));
    letter->label.to = 1;
    bag_add(letter);
    expect_nothing(site);
    ck_assert_uint_eq(gr_post_refused(site)->other_session, 1);
    /* Even one of the right session, sealed with the right key. */
    const struct gr_post_peer *peer = &coordinator->peers[1];
    forge(0, 2, GR_LETTER_MESSAGE, peer->now.sent + 1, peer->now.id, 0, peer->secrets->out);
    bag[n_bag - 1]->label.to = 1;
    expect_nothing(site);
    ck_assert_uint_eq(gr_post_refused(site)->other_session, 2);
}
END_TEST

/* ---- sessions ------------------------------------------------------------------------------- */

static void keep_copies(struct gr_letter **copies, size_t *n) {
    for (size_t i = 0; i < n_bag; i++)
        copies[(*n)++] = copy_of(bag[i]);
}

START_TEST(a_repeated_hello_ends_nothing_and_costs_nothing) {
    struct gr_letter *hello = copy_of(bag[find_letter(1, GR_LETTER_HELLO)]);
    greet_both(1, 1);
    check_flow(1, 1);
    const uint32_t before = ways[0].n_put;
    for (int i = 0; i < 1000; i++) {
        bag_add(copy_of(hello));
        expect_nothing(coordinator);
    }
    ck_assert_uint_eq(n_letters(0, GR_LETTER_WELCOME), 0);
    check_flow(1, 1);
    ck_assert_uint_le(ways[0].n_put, before + 3);
    /* After the site was started anew, and after the coordinator was. */
    gr_post_close(site);
    site = post_of(1, &ways[1].carrier);
    greet_both(1, 2);
    for (int i = 0; i < 1000; i++) {
        bag_add(copy_of(hello));
        expect_nothing(coordinator);
    }
    check_flow(1, 2);
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    for (int i = 0; i < 100; i++) {
        bag_add(copy_of(hello));
        expect_nothing(coordinator);
    }
    ck_assert_uint_eq(gr_post_session(coordinator, 1), 0);
    send_text(site, 0, "into the void");
    greet_both(2, 1);
    for (int i = 0; i < 100; i++) {
        bag_add(copy_of(hello));
        expect_nothing(coordinator);
    }
    check_flow(2, 1);
    gr_free(hello);
}
END_TEST

START_TEST(nothing_of_an_old_session_is_taken) {
    struct gr_letter *old[64];
    size_t n = 0;
    keep_copies(old, &n);
    expect_nothing(coordinator);
    keep_copies(old, &n);
    expect(wait_for(site, NULL), GR_POST_GREETING, 0, 1, "coordinator");
    keep_copies(old, &n);
    expect(wait_for(coordinator, NULL), GR_POST_GREETING, 1, 1, "site-1");
    send_text(site, 0, "up");
    send_text(coordinator, 1, "down");
    keep_copies(old, &n);
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "up");
    expect(wait_for(site, NULL), GR_POST_MESSAGE, 0, 1, "down");
    ck_assert_uint_ge(n, 5);
    gr_post_close(site);
    bag_empty();
    site = post_of(1, &ways[1].carrier);
    greet_both(1, 2);
    const uint32_t before = ways[0].n_put;
    for (int turn = 0; turn < 10; turn++)
        for (size_t i = 0; i < n; i++) {
            bag_add(copy_of(old[i]));
            expect_nothing(old[i]->label.to == 0 ? coordinator : site);
        }
    /* It is not every one of them that has an answer. */
    ck_assert_uint_le(ways[0].n_put, before + 8);
    check_flow(1, 2);
    ck_assert_uint_gt(gr_post_refused(coordinator)->other_session, 0);
    ck_assert_uint_gt(gr_post_refused(site)->other_session, 0);
    while (n > 0)
        gr_free(old[--n]);
}
END_TEST

START_TEST(a_coordinator_started_anew_is_found) {
    greet_both(1, 1);
    check_flow(1, 1);
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    send_text(site, 0, "into the void");
    greet_both(2, 1);
    check_flow(2, 1);
    /* With no letter to write the site shows that it is there, and is told. */
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    bag_empty();
    site->beat_s = 0.01;
    greet_both(3, 1);
    check_flow(3, 1);
    site->beat_s = 30;
    /* A carrier that knows it says so: what the process before had taken is lost with it. With one
     * that acknowledges no receipt is due. */
    struct gr_carrier_kind kind = bag_kind;
    kind.acknowledges = true;
    ways[1].carrier.kind = &kind;
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    bag_empty();
    expect_nothing(site);
    gr_carrier_renew(&ways[1].carrier);
    expect_nothing(site);
    ck_assert_uint_eq(n_letters(1, GR_LETTER_RECEIPT), 1);
    greet_both(4, 1);
    check_flow(4, 1);
    ways[1].carrier.kind = &bag_kind;
    /* Or it asks when the caller says so. */
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    bag_empty();
    expect_nothing(site);
    ck_assert_uint_eq(gr_post_session(site, 0), 4);
    MUST(gr_post_renew(site));
    MUST(gr_post_renew(site));
    ck_assert_uint_eq(n_letters(1, GR_LETTER_HELLO), 1);
    greet_both(5, 1);
    check_flow(5, 1);
}
END_TEST

/* A site that has no letter to write, and shows that it is there once in a thousand years. */
START_TEST(a_coordinator_tells_that_it_has_begun) {
    const double long_s = 3e10;
    struct gr_post_message message;
    greet_both(1, 1);
    check_flow(1, 1);
    site->beat_s = coordinator->beat_s = long_s;
    gr_post_close(coordinator);
    bag_empty();
    coordinator = post_of(0, &ways[0].carrier);
    struct gr_letter *note = copy_of(bag[find_letter(0, GR_LETTER_UNKNOWN)]);
    greet_both(2, 1);
    check_flow(2, 1);
    /* The same note again, however often, costs a receipt a second, and ends nothing. */
    for (int i = 0; i < 100; i++)
        bag_add(copy_of(note));
    MUST(gr_post_receive(site, &message));
    bag_add(note);
    MUST(gr_post_receive(site, &message));
    ck_assert_uint_le(n_letters(1, GR_LETTER_RECEIPT), 2);
    ck_assert_uint_eq(n_letters(1, GR_LETTER_HELLO), 0);
    ck_assert_uint_eq(gr_post_refused(site)->other_session, 0);
    check_flow(2, 1);
    /* Nor is one of another hand taken. */
    struct gr_letter_head head = {.label = {.from = 0, .to = 1, .counter = GR_LETTER_NOTE | 5},
                                  .kind = GR_LETTER_UNKNOWN};
    struct gr_letter *forged;
    bag_empty();
    MUST(gr_letter_create(0, 0, &forged));
    gr_letter_seal(forged, head, 0, NULL, keys_of[2], study);
    bag_add(forged);
    expect_nothing(site);
    ck_assert_uint_eq(gr_post_refused(site)->forged, 1);
    check_flow(2, 1);
}
END_TEST

/* As long as the carrier has the HELLO yet, no other is given to it. */
static size_t bag_room(struct gr_carrier *carrier, uint32_t to) {
    (void)carrier, (void)to;
    return n_letters(1, GR_LETTER_HELLO) + n_letters(1, GR_LETTER_RECEIPT) > 0 ? 1000
                                                                               : GR_CARRIER_HELD;
}

START_TEST(hello_is_repeated_when_the_first_has_left) {
    struct gr_carrier_kind kind = bag_kind;
    kind.room = bag_room;
    ways[1].carrier.kind = &kind;
    ck_assert_uint_eq(n_letters(1, GR_LETTER_HELLO), 1);
    for (int i = 0; i < 5; i++) {
        rest(0.1);
        expect_nothing(site);
    }
    ck_assert_uint_eq(n_letters(1, GR_LETTER_HELLO), 1);
    bag_empty();
    while (n_bag == 0) {
        rest(0.1);
        expect_nothing(site);
    }
    greet_both(1, 1);
    ways[1].carrier.kind = &bag_kind;
}
END_TEST

/* The old session lasts until the new one has begun. */
START_TEST(a_session_is_renewed_without_a_gap) {
    greet_both(1, 1);
    MUST(gr_post_renew(site));
    struct gr_letter *hello = bag_take(find_letter(1, GR_LETTER_HELLO));
    check_flow(1, 1);
    bag_add(hello);
    expect_nothing(coordinator);
    send_text(site, 0, "old");
    expect(wait_for(coordinator, NULL), GR_POST_MESSAGE, 1, 1, "old");
    expect(wait_for(site, NULL), GR_POST_GREETING, 0, 2, "coordinator");
    expect(wait_for(coordinator, NULL), GR_POST_GREETING, 1, 2, "site-1");
    check_flow(2, 2);
}
END_TEST

/* A coordinator that was killed between HELLO and BEGIN has answered with a key that is gone. */
START_TEST(an_answer_of_a_coordinator_that_is_gone) {
    struct gr_letter *hello = copy_of(bag[find_letter(1, GR_LETTER_HELLO)]);
    expect_nothing(coordinator);
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    bag_add(hello);
    expect_nothing(coordinator);
    expect(wait_for(site, NULL), GR_POST_GREETING, 0, 1, "coordinator");
    greet_both(2, 1);
    check_flow(2, 1);
}
END_TEST

/* A copy of the HELLO that has begun the session comes late, to the next coordinator, while the
 * site has no more to write than that it is there. */
START_TEST(a_late_hello_does_not_hide_the_session_that_is_gone) {
    struct gr_letter *hello = copy_of(bag[find_letter(1, GR_LETTER_HELLO)]);
    greet_both(1, 1);
    check_flow(1, 1);
    gr_post_close(coordinator);
    coordinator = post_of(0, &ways[0].carrier);
    bag_empty();
    bag_add(hello);
    expect_nothing(coordinator);
    ck_assert_uint_eq(n_letters(0, GR_LETTER_WELCOME), 1);
    site->beat_s = 0.01;
    greet_both(2, 1);
    check_flow(2, 1);
}
END_TEST

START_TEST(of_two_processes_with_one_key_the_first_ends) {
    struct gr_post_message message;
    greet_both(1, 1);
    struct gr_post *second = post_of(1, &ways[1].carrier);
    expect(wait_for(second, coordinator), GR_POST_GREETING, 0, 1, "coordinator");
    expect(wait_for(coordinator, NULL), GR_POST_GREETING, 1, 2, "site-1");
    send_text(site, 0, "still here");
    expect_nothing(coordinator);
    ck_assert_int_eq(gr_post_receive(site, &message), GR_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "the keys of site-1"));
    ck_assert_int_eq(gr_post_receive(site, &message), GR_ERROR_USAGE);
    ck_assert_uint_eq(gr_post_session(site, 0), 0);
    ck_assert_int_eq(gr_post_send(site, 0, NULL, 0), GR_STOPPED);
    gr_post_close(site);
    site = second;
    check_flow(1, 2);
}
END_TEST

/* Of two unknown sessions in a row the second is told a while later, even if nothing more comes. */
START_TEST(what_is_not_told_at_once_is_told_later) {
    static const unsigned char key[GR_KEY_BYTES] = "a key";
    bag_empty();
    forge(1, 0, GR_LETTER_MESSAGE, 5, (const unsigned char *)"a session......", 0, key);
    forge(1, 0, GR_LETTER_MESSAGE, 5, (const unsigned char *)"another session", 0, key);
    forge(1, 0, GR_LETTER_MESSAGE, 6, (const unsigned char *)"another session", 0, key);
    for (int i = 0; i < 3; i++)
        expect_nothing(coordinator);
    ck_assert_uint_eq(n_letters(0, GR_LETTER_UNKNOWN), 1);
    for (int i = 0; i < 600 && n_letters(0, GR_LETTER_UNKNOWN) < 2; i++) {
        ck_assert(gr_post_due_s(coordinator) <= 1);
        rest(0.1);
        expect_nothing(coordinator);
    }
    ck_assert_uint_eq(n_letters(0, GR_LETTER_UNKNOWN), 2);
    ck_assert_str_eq((const char *)bag[n_bag - 1]->label.session, "another session");
    ck_assert(gr_post_due_s(coordinator) == INFINITY);
}
END_TEST

/* The carrier has lost a letter. */
START_TEST(a_gap_that_nothing_fills_is_given_up) {
    greet_both(1, 1);
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct gr_post *from = turn ? site : coordinator, *to = turn ? coordinator : site;
        send_text(from, 1 - turn, "lost");
        send_text(from, 1 - turn, "waits");
        gr_free(bag_take(find_letter(turn, GR_LETTER_MESSAGE)));
        expect_nothing(to);
        to->gap_s = 0.01;
        ck_assert(gr_post_due_s(to) < 1);
        rest(0.02);
        expect(wait_for(site, coordinator), GR_POST_GREETING, 0, 2 + turn, "coordinator");
        expect(wait_for(coordinator, site), GR_POST_GREETING, 1, 2 + turn, "site-1");
        ck_assert_ptr_nonnull(strstr(said[1 - turn], "has not come for"));
        check_flow(2 + turn, 2 + turn);
    }
}
END_TEST

/* Of either side; and no more than one of them while the carrier is not rid of the last. */
START_TEST(each_side_shows_that_it_is_there) {
    struct gr_carrier_kind kind = bag_kind;
    greet_both(1, 1);
    ck_assert(gr_post_due_s(site) > 10 && gr_post_due_s(site) <= 30);
    coordinator->beat_s = site->beat_s = 0.01;
    for (int i = 0; i < 5; i++) {
        rest(0.05);
        expect_nothing(coordinator);
        ck_assert_uint_ge(n_letters(0, GR_LETTER_RECEIPT), 1);
        expect_nothing(site);
        ck_assert_uint_ge(n_letters(1, GR_LETTER_RECEIPT), 1);
    }
    ck_assert(gr_post_silent_s(site, 0) < 60);
    /* A sign of life that is brought again is none. */
    rest(0.05);
    expect_nothing(coordinator);
    struct gr_letter *receipt = copy_of(bag[find_letter(0, GR_LETTER_RECEIPT)]);
    expect_nothing(site);
    bag_add(receipt);
    const double heard_s = site->peers[0].heard_s;
    ck_assert(heard_s > 0);
    rest(0.02);
    expect_nothing(site);
    ck_assert(site->peers[0].heard_s == heard_s);
    kind.room = bag_room;
    ways[1].carrier.kind = &kind;
    while (n_bag > 0) {
        expect_nothing(coordinator);
        bag_empty();
    }
    for (int i = 0; i < 10; i++) {
        rest(0.02);
        expect_nothing(site);
    }
    ck_assert_uint_eq(n_bag, 1);
    ways[1].carrier.kind = &bag_kind;
}
END_TEST

/* Notes are of the session that they name, and of a letter that was sent. */
START_TEST(only_a_note_for_this_session_ends_it) {
    struct gr_letter *letter;
    struct gr_letter_head head = {.label = {.from = 0, .to = 1, .counter = GR_LETTER_NOTE | 9},
                                  .kind = GR_LETTER_UNKNOWN};
    unsigned char session[GR_SESSION_BYTES];
    memcpy(session, bag[0]->label.session, sizeof session);
    greet_both(1, 1);
    for (int i = 0; i < 3; i++) {
        memcpy(head.label.session, session, sizeof session);
        if (i == 0) head.label.session[3] ^= 1;
        head.acknowledged = i == 1 ? 3 : 2; /* HELLO, BEGIN: two were sent */
        MUST(gr_letter_create(0, 0, &letter));
        gr_letter_seal(letter, head, 0, NULL, keys_of[0], study);
        bag_add(letter);
        expect_nothing(site);
        ck_assert_uint_eq(gr_post_session(site, 0), i == 2 ? 0 : 1);
    }
    greet_both(2, 2);
    check_flow(2, 2);
}
END_TEST

/* ---- agreement ------------------------------------------------------------------------------ */

/* Both sides by our functions, and once more by libsodium's alone. */
START_TEST(both_sides_agree_on_the_keys_that_are_written_down) {
    const unsigned char session[GR_SESSION_BYTES] = "sixteen bytes...";
    unsigned char keys[2][2][GR_KEY_BYTES], hello[2][GR_KEY_BYTES], shares[4][GR_KEY_BYTES];
    struct gr_fresh_key fresh[2];
    const struct gr_agreement between[2] = {
        {keys_of[0], &parties[0].key, &parties[1].key, true, study, session},
        {keys_of[1], &parties[0].key, &parties[1].key, false, study, session}};
    gr_fresh_key_draw(&fresh[0]);
    gr_fresh_key_draw(&fresh[1]);
    ck_assert(gr_agree_hello(&between[0], fresh[1].public_key, NULL, hello[0]));
    ck_assert(gr_agree_hello(&between[1], fresh[1].public_key, fresh[1].secret, hello[1]));
    ck_assert_mem_eq(hello[0], hello[1], GR_KEY_BYTES);
    for (int i = 0; i < 2; i++)
        ck_assert(gr_agree_session(&between[i], &fresh[i], fresh[1 - i].public_key, keys[i][0],
                                   keys[i][1]));
    ck_assert_mem_eq(keys[0], keys[1], sizeof keys[0]);
    ck_assert(memcmp(keys[0][0], keys[0][1], GR_KEY_BYTES) != 0);
    ck_assert(memcmp(keys[0][0], hello[0], GR_KEY_BYTES) != 0);
    /* The lasting secret of the coordinator is not to be had; by the site's fresh one, and with the
     * file of the site's keys. */
    char *text = slurp(in_scratch("keys1/secret.key"), NULL);
    unsigned char lasting[32], master[32], expected[32];
    ck_assert_int_eq(sodium_hex2bin(lasting, 32, text + strlen("granary secret key 1\n") + 65, 64,
                                    NULL, NULL, NULL),
                     0);
    gr_free(text);
    ck_assert_int_eq(crypto_scalarmult(shares[0], fresh[1].secret, fresh[0].public_key), 0);
    ck_assert_int_eq(crypto_scalarmult(shares[1], fresh[1].secret, parties[0].key.seal), 0);
    ck_assert_int_eq(crypto_scalarmult(shares[2], lasting, fresh[0].public_key), 0);
    ck_assert_int_eq(crypto_scalarmult(shares[3], lasting, parties[0].key.seal), 0);
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, 32);
    crypto_generichash_update(&hash, (const unsigned char *)"granary session 1", 18);
    crypto_generichash_update(&hash, study, sizeof study);
    crypto_generichash_update(&hash, session, sizeof session);
    for (int p = 0; p < 2; p++) {
        crypto_generichash_update(&hash, parties[p].key.verify, 32);
        crypto_generichash_update(&hash, parties[p].key.seal, 32);
    }
    crypto_generichash_update(&hash, fresh[1].public_key, 32);
    crypto_generichash_update(&hash, fresh[0].public_key, 32);
    crypto_generichash_update(&hash, shares[0], sizeof shares);
    crypto_generichash_final(&hash, master, 32);
    for (int i = 0; i < 2; i++) {
        crypto_kdf_derive_from_key(expected, 32, (uint64_t)i + 1, "grletter", master);
        ck_assert_mem_eq(keys[0][i], expected, 32);
    }
    /* Another study, another session, another site, another key: nothing in common. */
    struct gr_agreement other[3] = {between[0], between[0], between[0]};
    const unsigned char others[32] = "something else";
    other[0].study = others;
    other[1].session = others;
    other[2].site = &parties[2].key;
    for (int i = 0; i < 3; i++) {
        ck_assert(
            gr_agree_session(&other[i], &fresh[0], fresh[1].public_key, keys[1][0], keys[1][1]));
        ck_assert(memcmp(keys[0][0], keys[1][0], 32) != 0);
        ck_assert(memcmp(keys[0][1], keys[1][1], 32) != 0);
    }
    memset(fresh[1].public_key, 0, GR_KEY_BYTES);
    ck_assert(
        !gr_agree_session(&between[0], &fresh[0], fresh[1].public_key, keys[1][0], keys[1][1]));
    ck_assert(!gr_agree_hello(&between[0], fresh[1].public_key, NULL, hello[0]));
}
END_TEST

int main(void) {
    const TTest *const tests[] = {any_order_and_any_number_of_copies_give_one_stream,
                                  what_comes_before_its_turn_waits_for_it,
                                  what_comes_too_early_is_dropped,
                                  an_answer_acknowledges,
                                  a_checksum_is_made_for_whoever_needs_it,
                                  no_more_is_under_way_than_the_window,
                                  a_letter_that_was_not_put_was_not_sent,
                                  no_changed_bit_has_an_effect,
                                  another_study_is_told,
                                  what_has_no_place_has_no_effect,
                                  letters_for_others_are_not_taken,
                                  a_repeated_hello_ends_nothing_and_costs_nothing,
                                  nothing_of_an_old_session_is_taken,
                                  a_coordinator_started_anew_is_found,
                                  a_coordinator_tells_that_it_has_begun,
                                  hello_is_repeated_when_the_first_has_left,
                                  a_session_is_renewed_without_a_gap,
                                  an_answer_of_a_coordinator_that_is_gone,
                                  a_late_hello_does_not_hide_the_session_that_is_gone,
                                  of_two_processes_with_one_key_the_first_ends,
                                  what_is_not_told_at_once_is_told_later,
                                  a_gap_that_nothing_fills_is_given_up,
                                  each_side_shows_that_it_is_there,
                                  only_a_note_for_this_session_ends_it,
                                  both_sides_agree_on_the_keys_that_are_written_down};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("session", make_all, remove_all, tests, sizeof tests / sizeof *tests);
}
