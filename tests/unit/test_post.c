/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One post with both carriers: a site by https, another by a folder; more bytes each way than may
 * be under way at once; a coordinator that is started anew; a site that comes back by the other
 * way.
 */
#include "parties.h"

enum { MESSAGES = 9, LARGE = GR_LETTER_BODY_MAX - 5 };

static struct gr_carrier *both[2], *ways[PARTIES];
static struct gr_carrier_options who[PARTIES];
static struct gr_post *posts[PARTIES];
static char url[64], pin[64];

static void make_all(void) {
    scratch_make();
    parties_make();
    mkdir(in_scratch("mail"), 0700);
    for (uint32_t p = 0; p < PARTIES; p++)
        who[p] = who_is(p);
}

static void remove_all(void) {
    parties_free();
    scratch_remove();
}

static void open_coordinator(int port) {
    static char address[32];
    const struct gr_https_server settings = {.address = address, .directory = scratch};
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    MUST(gr_carrier_open_https_server(&who[0], &settings, &both[0]));
    MUST(gr_carrier_open_folder(&who[0], in_scratch("mail"), &both[1]));
    snprintf(url, sizeof url, "https://127.0.0.1:%d", gr_https_server_port(both[0]));
    gr_https_server_pin(both[0], pin, sizeof pin);
    const struct gr_post_options options = {.who = who[0],
                                            .carriers = both,
                                            .n_carriers = 2,
                                            .greeting = "coordinator",
                                            .greeting_bytes = 11,
                                            .context = said[0],
                                            .say = keep_words};
    MUST(gr_post_open(&options, &posts[0]));
}

static void close_coordinator(void) {
    gr_post_close(posts[0]);
    gr_carrier_close(both[0]);
    gr_carrier_close(both[1]);
}

static void open_site(uint32_t p, bool by_https) {
    const struct gr_https_client settings = {.url = url, .pin = pin, .proxy = ""};
    if (by_https)
        MUST(gr_carrier_open_https_client(&who[p], &settings, &ways[p]));
    else
        MUST(gr_carrier_open_folder(&who[p], in_scratch("mail"), &ways[p]));
    posts[p] = post_of(p, ways[p]);
}

static void close_site(uint32_t p) {
    gr_post_close(posts[p]);
    gr_carrier_close(ways[p]);
}

static unsigned char byte_of(uint32_t from, uint32_t to, uint32_t i) {
    return (unsigned char)(from * 50 + to * 20 + i);
}

/* Sends the next of a party's messages to another, where there is room. */
static void send_next(uint32_t from, uint32_t to, uint32_t *sent) {
    static unsigned char large[LARGE];
    const struct gr_post_part part = {large, LARGE};
    if (*sent == MESSAGES || gr_post_room(posts[from], to) < LARGE) return;
    memset(large, byte_of(from, to, *sent), LARGE);
    MUST(gr_post_send(posts[from], to, &part, 1));
    ++*sent;
}

static void take_next(uint32_t me, uint32_t taken[PARTIES]) {
    struct gr_post_message message;
    MUST(gr_post_receive(posts[me], &message));
    if (message.kind == GR_POST_NOTHING) return;
    if (message.kind == GR_POST_MESSAGE) {
        const unsigned char expected = byte_of(message.party, me, taken[message.party]++);
        ck_assert_uint_eq(message.n, LARGE);
        ck_assert_uint_eq(message.bytes[0], expected);
        ck_assert(memcmp(message.bytes, message.bytes + 1, LARGE - 1) == 0);
    }
    gr_free(message.memory);
}

/* All messages of each site and to each, from where the parties are: sessions or none. */
static void exchange_all(void) {
    uint32_t sent[PARTIES][PARTIES] = {{0}}, taken[PARTIES][PARTIES] = {{0}};
    uint32_t all = 0;
    for (int turn = 0; turn < 60000 && all < 4 * MESSAGES; turn++) {
        all = 0;
        for (uint32_t p = 0; p < PARTIES; p++)
            take_next(p, taken[p]);
        for (uint32_t p = 1; p < PARTIES; p++) {
            /* Both sides are in the new session: none of the messages goes to one that is over. */
            if (gr_post_session(posts[0], p) > 0 && gr_post_session(posts[p], 0) > 0) {
                send_next(p, 0, &sent[p][0]);
                send_next(0, p, &sent[0][p]);
            }
            all += taken[0][p] + taken[p][0];
        }
        rest(0.001);
    }
    ck_assert_uint_eq(all, 4 * MESSAGES);
}

START_TEST(https_and_a_folder_at_one_post) {
    open_coordinator(0);
    open_site(1, true);
    open_site(2, false);
    exchange_all();
    const int port = gr_https_server_port(both[0]);
    /* Sites that write to a coordinator that has been started anew are told, and begin anew. */
    close_coordinator();
    open_coordinator(port);
    const struct gr_post_part part = {"x", 1};
    for (uint32_t p = 1; p < PARTIES; p++) {
        ck_assert_uint_eq(gr_post_session(posts[p], 0), 1);
        MUST(gr_post_send(posts[p], 0, &part, 1));
        expect(wait_for(posts[p], posts[0]), GR_POST_GREETING, 0, 2, "coordinator");
        expect(wait_for(posts[0], posts[p]), GR_POST_GREETING, p, 1, parties[p].name);
    }
    exchange_all();
    /* And each by the other's way. */
    for (uint32_t p = 1; p < PARTIES; p++) {
        close_site(p);
        open_site(p, p == 2);
        expect(wait_for(posts[p], posts[0]), GR_POST_GREETING, 0, 1, "coordinator");
        expect(wait_for(posts[0], posts[p]), GR_POST_GREETING, p, 2, parties[p].name);
    }
    exchange_all();
    const struct gr_post_refused *refused = gr_post_refused(posts[0]);
    ck_assert_uint_eq(refused->forged + refused->repeated + refused->early + refused->unreadable,
                      0);
    for (uint32_t p = 1; p < PARTIES; p++)
        close_site(p);
    close_coordinator();
}
END_TEST

int main(void) {
    const TTest *const tests[] = {https_and_a_folder_at_one_post};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("post", make_all, remove_all, tests, 1);
}
