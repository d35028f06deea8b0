/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters over https between a coordinator and its sites in one process: up and down, whole, in
 * order, once; with a server that is started again, a post that takes nothing, two processes of one
 * site.
 */
#include "https_study.h"

#include <sys/resource.h>

#include "post/carrier.h"
#include "post/https_client.h"
#include "post/https_server.h"

/* Of the head alone, of one record of TLS, of many, the largest. */
static const size_t sizes[] = {0, 1000, 16384, 300001, GR_LETTER_BODY_MAX};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

START_TEST(letters_up_and_down) {
    study_make();
    server_open(0);
    struct gr_carrier *site[] = {site_open(1), site_open(2)};
    for (uint64_t i = 0; i < N_SIZES; i++)
        for (uint32_t s = 1; s <= SITES; s++) {
            put(site[s - 1], s, 0, i + 1, sizes[i]);
            expect(server, s, i + 1, sizes[i]);
            put(server, 0, s, i + 1, sizes[i]);
            expect(site[s - 1], 0, i + 1, sizes[i]);
        }
    ck_assert(server->kind->silent_s(server, 1) < PATIENCE_S);
    ck_assert(site[0]->kind->silent_s(site[0], 0) < PATIENCE_S);
    ck_assert(isinf(site[0]->kind->silent_s(site[0], 2)));
    gr_carrier_close(site[0]);
    gr_carrier_close(site[1]);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* More than one answer or upload carries. */
START_TEST(many_at_once_keep_their_order) {
    enum { N = 2000 };
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    for (uint64_t i = 1; i <= N; i++) {
        put(site, 1, 0, i, i % 50);
        put(server, 0, 1, i, i % 70);
    }
    for (uint64_t i = 1; i <= N; i++) {
        expect(server, 1, i, i % 50);
        expect(site, 0, i, i % 70);
    }
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* Puts letters of 1 MiB until one is refused, while what is under way makes room; returns the
 * counter of the last. */
static uint64_t fill(struct gr_carrier *carrier, uint32_t from, uint32_t to, uint64_t counter) {
    enum { N = 1 << 20 };
    for (;;) {
        while (carrier->kind->room(carrier, to) > N + 4096)
            put(carrier, from, to, ++counter, N);
        struct gr_letter *more = letter_by(from, from, to, counter + 1, N);
        const gr_status status = carrier->kind->put(carrier, more);
        if (status == GR_ERROR_WRITE) return counter;
        ck_assert_int_eq(status, GR_OK);
        counter++;
    }
}

static size_t inbox_of(uint32_t site) {
    struct gr_https_host *inside = (struct gr_https_host *)server;
    pthread_mutex_lock(&inside->lock);
    const size_t n = inside->sites[site].inbox + inside->sites[site].coming;
    pthread_mutex_unlock(&inside->lock);
    return n;
}

static size_t inbox_at(struct gr_carrier *site) {
    struct gr_https_caller *inside = (struct gr_https_caller *)site;
    pthread_mutex_lock(&inside->lock);
    const size_t n = inside->inbox;
    pthread_mutex_unlock(&inside->lock);
    return n;
}

/* A coordinator that takes nothing makes the site wait, once its own memory is full as well. */
START_TEST(a_full_inbox_makes_the_site_wait) {
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    uint64_t last = 0, taken = 0;
    while (inbox_of(1) + (2 << 20) < GR_CARRIER_HELD) {
        if (site->kind->room(site, 0) > 2 << 20) put(site, 1, 0, ++last, 1 << 20);
        usleep(100);
    }
    /* A letter under way counts in both memories until it is answered, so a first refusal may come
     * early on a busy machine; the site is filled again until both memories are full. */
    for (int i = 0; last <= 50 && i < 300; i++) {
        last = fill(site, 1, 0, last);
        usleep(100000);
    }
    ck_assert_uint_le(inbox_of(1), GR_CARRIER_HELD);
    ck_assert_uint_gt(last, 50);
    while (taken < last) {
        expect(server, 1, ++taken, 1 << 20);
        ck_assert_uint_le(inbox_of(1), GR_CARRIER_HELD);
    }
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* A site that takes nothing: the coordinator is told that there is no room, and the site stays in
 * sight. */
START_TEST(a_site_that_takes_nothing) {
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    uint64_t last = 0, taken = 0;
    for (int i = 0; i < 100; i++) {
        last = fill(server, 0, 1, last);
        usleep(10000);
    }
    ck_assert_uint_gt(last, 50);
    ck_assert_uint_le(last, 64);
    ck_assert_uint_le(inbox_at(site), GR_CARRIER_HELD);
    while (taken < last)
        expect(site, 0, ++taken, 1 << 20);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

static void count_notice(void *context) {
    atomic_fetch_add((atomic_uint *)context, 1);
}

/* Whoever waits for room is told when there is some, though no letter comes. */
START_TEST(room_is_told) {
    static atomic_uint at_server, at_site;
    study_make();
    server_open(0);
    gr_carrier_listen(server, count_notice, &at_server);
    put(server, 0, 1, 1, 1000);
    struct gr_carrier *site = site_open(1);
    expect(site, 0, 1, 1000);
    for (int i = 0; i < PATIENCE_S * 1000 && at_server == 0; i++)
        usleep(1000);
    ck_assert_uint_gt(at_server, 0);
    gr_carrier_listen(site, count_notice, &at_site);
    put(site, 1, 0, 1, 1000);
    for (int i = 0; i < PATIENCE_S * 1000 && at_site == 0; i++)
        usleep(1000);
    ck_assert_uint_gt(at_site, 0);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(a_server_that_is_started_again) {
    study_make();
    server_open(0);
    const int port = gr_https_server_port(server);
    struct gr_carrier *site = site_open(1);
    put(site, 1, 0, 1, 1000);
    expect(server, 1, 1, 1000);
    wait_known(site, 0);
    gr_carrier_close(server);
    put(site, 1, 0, 2, 1000);
    wait_words(site, "connection refused");
    char pin[64];
    memcpy(pin, server_pin, sizeof pin);
    server_open(port);
    ck_assert_str_eq(pin, server_pin);
    put(server, 0, 1, 1, 1000);
    expect(server, 1, 2, 1000);
    expect(site, 0, 1, 1000);
    expect_nothing(server, 50);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* The letters of a site's process that has ended wait for the next one. */
START_TEST(a_site_that_is_started_again) {
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    put(site, 1, 0, 1, 10);
    expect(server, 1, 1, 10);
    put(server, 0, 1, 1, 10);
    expect(site, 0, 1, 10);
    wait_known(server, 1);
    gr_carrier_close(site);
    put(server, 0, 1, 2, 10);
    site = site_open(1);
    put(site, 1, 0, 1, 20);
    expect(server, 1, 1, 20);
    expect(site, 0, 2, 10);
    expect_nothing(site, 50);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(two_processes_of_one_site) {
    struct gr_letter *letter;
    study_make();
    server_open(0);
    struct gr_carrier *first = site_open(1);
    put(first, 1, 0, 1, 10);
    expect(server, 1, 1, 10);
    wait_known(first, 0);
    struct gr_carrier *second = site_open(1);
    put(second, 1, 0, 1, 20);
    expect(server, 1, 1, 20);
    wait_words(first, "another process calls with the keys of this site");
    ck_assert_int_eq(first->kind->take(first, &letter), GR_ERROR_CONFIG);
    ck_assert_ptr_null(letter);
    MUST(first->kind->take(first, &letter)); /* told once */
    put(server, 0, 1, 1, 30);
    expect(second, 0, 1, 30);
    gr_carrier_close(first);
    gr_carrier_close(second);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* Those of other sessions, and those that have been read, are not sent. */
START_TEST(letters_that_are_void) {
    const unsigned char other[GR_SESSION_BYTES] = {1}, same[GR_SESSION_BYTES] = {0};
    study_make();
    server_open(0);
    for (uint64_t i = 1; i <= 3; i++)
        put(server, 0, 1, i, 10);
    server->kind->forget(server, 1, same, 2);
    put(server, 0, 2, 1, 10);
    server->kind->forget(server, 2, other, 0);
    put(server, 0, 2, 2, 10);
    struct gr_carrier *site[] = {site_open(1), site_open(2)};
    expect(site[0], 0, 3, 10);
    expect(site[1], 0, 2, 10);
    gr_carrier_close(site[0]);
    gr_carrier_close(site[1]);
    gr_carrier_close(server);
    struct gr_carrier *late = site_open(1);
    for (uint64_t i = 1; i <= 3; i++)
        put(late, 1, 0, i, 10);
    wait_words(late, "refused");
    late->kind->forget(late, 0, same, 1);
    server_open(atoi(strrchr(server_url, ':') + 1));
    expect(server, 1, 2, 10);
    expect(server, 1, 3, 10);
    gr_carrier_close(late);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* Files are gone, the address is none, halves of pairs: each is told by name. */
START_TEST(settings_that_are_no_good) {
    struct gr_carrier *none = NULL;
    study_make();
    const struct gr_carrier_options me = party_options(0), site = party_options(1);
    const struct gr_https_server bad_servers[] = {
        {.address = "127.0.0.1", .directory = scratch},
        {.address = "127.0.0.1:70000", .directory = scratch},
        {.address = "::1:80", .directory = scratch},
        {.address = "192.0.2.1:0", .directory = scratch},
        {.address = "127.0.0.1:0", .directory = "/nonexistent"},
        {.address = "127.0.0.1:0", .certificate = "/nonexistent", .key = "/nonexistent"},
        {.address = "127.0.0.1:0", .certificate = "/nonexistent"},
        {.address = "127.0.0.1:0", .directory = scratch, .client_ca = "/nonexistent"},
    };
    for (size_t i = 0; i < sizeof bad_servers / sizeof *bad_servers; i++) {
        const gr_status status = gr_carrier_open_https_server(&me, &bad_servers[i], &none);
        ck_assert_msg(status == GR_ERROR_CONFIG || status == GR_ERROR_WRITE, "%zu", i);
        ck_assert_ptr_null(none);
    }
    const struct gr_https_client bad_clients[] = {
        {.url = "http://127.0.0.1:1"},
        {.url = "https://"},
        {.url = "https://user@127.0.0.1:1"},
        {.url = "https://127.0.0.1:1", .pin = "sha256//short"},
        {.url = "https://127.0.0.1:1", .ca = "/nonexistent"},
        {.url = "https://127.0.0.1:1", .key = "/etc/passwd"},
    };
    for (size_t i = 0; i < sizeof bad_clients / sizeof *bad_clients; i++)
        ck_assert_int_eq(gr_carrier_open_https_client(&site, &bad_clients[i], &none),
                         GR_ERROR_CONFIG);
    study_remove();
}
END_TEST

START_TEST(the_servers_own_files) {
    struct stat is;
    struct gr_carrier *none = NULL;
    study_make();
    server_open(0);
    gr_carrier_close(server);
    ck_assert_int_eq(stat(in_scratch("https.key"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 0777, 0600);
    /* A certificate that is made anew has the same key, and so the same pin. */
    char pin[64];
    memcpy(pin, server_pin, sizeof pin);
    ck_assert_int_eq(unlink(in_scratch("https.crt")), 0);
    server_open(0);
    ck_assert_str_eq(pin, server_pin);
    gr_carrier_close(server);
    ck_assert_int_eq(chmod(in_scratch("https.key"), 0640), 0);
    const struct gr_carrier_options me = party_options(0);
    const struct gr_https_server settings = {.address = "127.0.0.1:0", .directory = scratch};
    ck_assert_int_eq(gr_carrier_open_https_server(&me, &settings, &none), GR_ERROR_CONFIG);
    study_remove();
}
END_TEST

/* Its calls wait in the kernel; the coordinator says why. */
START_TEST(no_descriptors_are_left) {
    struct gr_letter *letter;
    struct rlimit limit;
    study_make();
    server_open(0);
    getrlimit(RLIMIT_NOFILE, &limit);
    const struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_words(server, "ulimit -n");
    ck_assert_int_eq(server->kind->take(server, &letter), GR_ERROR_CONFIG);
    MUST(server->kind->take(server, &letter)); /* told once */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    wait_words(server, "sites have called");
    gr_carrier_close(server);
    study_remove();
}
END_TEST

RUN_TESTS("https", letters_up_and_down, many_at_once_keep_their_order,
          a_full_inbox_makes_the_site_wait, a_site_that_takes_nothing, room_is_told,
          a_server_that_is_started_again, a_site_that_is_started_again, two_processes_of_one_site,
          letters_that_are_void, settings_that_are_no_good, the_servers_own_files,
          no_descriptors_are_left)
