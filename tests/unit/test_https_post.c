/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts over https, with their sessions: greetings, messages both ways, a coordinator that is
 * started again on its port.
 */
#include "parties.h"

static struct gr_carrier *host;
static char url[64], pin[64];

static void host_open(int port) {
    static char address[32];
    static struct gr_carrier_options options;
    const struct gr_https_server settings = {.address = address, .directory = scratch};
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    options = who_is(0);
    MUST(gr_carrier_open_https_server(&options, &settings, &host));
    snprintf(url, sizeof url, "https://127.0.0.1:%d", gr_https_server_port(host));
    gr_https_server_pin(host, pin, sizeof pin);
}

static void greet(struct gr_post *coordinator, struct gr_post *site, uint32_t p, uint32_t session) {
    expect(wait_for(site, coordinator), GR_POST_GREETING, 0, session, parties[0].name);
    expect(wait_for(coordinator, site), GR_POST_GREETING, p, 1, parties[p].name);
}

START_TEST(messages_of_sessions) {
    struct gr_carrier *ways[PARTIES] = {NULL};
    struct gr_post *posts[PARTIES] = {NULL};
    host_open(0);
    posts[0] = post_of(0, host);
    for (uint32_t p = 1; p < PARTIES; p++) {
        const struct gr_carrier_options me = who_is(p);
        const struct gr_https_client settings = {.url = url, .pin = pin, .proxy = ""};
        MUST(gr_carrier_open_https_client(&me, &settings, &ways[p]));
        posts[p] = post_of(p, ways[p]);
        greet(posts[0], posts[p], p, 1);
    }
    for (uint32_t p = 1; p < PARTIES; p++) {
        char *large = malloc(GR_LETTER_BODY_MAX + 1);
        memset(large, 'a' + (int)p, GR_LETTER_BODY_MAX);
        large[GR_LETTER_BODY_MAX] = '\0';
        for (int i = 0; i < 20; i++) {
            const char *text = i == 10 ? large : "so much for now";
            send_text(posts[p], 0, text);
            expect(wait_for(posts[0], posts[p]), GR_POST_MESSAGE, p, 1, text);
            send_text(posts[0], p, text);
            expect(wait_for(posts[p], posts[0]), GR_POST_MESSAGE, 0, 1, text);
        }
        free(large);
    }
    for (uint32_t p = 0; p < PARTIES; p++) {
        ck_assert_str_eq(said[p], "");
        gr_post_close(posts[p]);
        gr_carrier_close(p ? ways[p] : host);
    }
}
END_TEST

/* A site finds out by itself, and begins another session. */
START_TEST(a_coordinator_that_is_started_again) {
    struct gr_carrier *way;
    host_open(0);
    const struct gr_carrier_options me = who_is(1);
    const struct gr_https_client settings = {.url = url, .pin = pin, .proxy = ""};
    MUST(gr_carrier_open_https_client(&me, &settings, &way));
    struct gr_post *coordinator = post_of(0, host), *site = post_of(1, way);
    greet(coordinator, site, 1, 1);
    const int port = gr_https_server_port(host);
    gr_post_close(coordinator);
    gr_carrier_close(host);
    host_open(port);
    coordinator = post_of(0, host);
    send_text(site, 0, "is anybody there?");
    greet(coordinator, site, 1, 2);
    send_text(site, 0, "here I am");
    expect(wait_for(coordinator, site), GR_POST_MESSAGE, 1, 1, "here I am");
    gr_post_close(site);
    gr_post_close(coordinator);
    gr_carrier_close(way);
    gr_carrier_close(host);
}
END_TEST

static void make(void) {
    scratch_make();
    parties_make();
}
static void remove_all(void) {
    parties_free();
    scratch_remove();
}

int main(void) {
    const TTest *const tests[] = {messages_of_sessions, a_coordinator_that_is_started_again};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("https_post", make, remove_all, tests, sizeof tests / sizeof *tests);
}
