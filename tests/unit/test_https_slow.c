/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers who take their time: a head that comes byte by byte, handshakes that are never finished.
 * Each place is free again after half a minute, and a site's letters pass all the while.
 *
 * slow: those places are kept for half a minute
 */
#include "https_caller.h"

#include <poll.h>

#include "post/https_server.h"

enum { CALLERS = 20, LONG_S = 3 * STRANGER_S };

/* Whether the server has closed the connection. */
static bool closed(int fd) {
    char byte;
    if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) return true;
    struct pollfd state = {.fd = fd, .events = POLLIN};
    return poll(&state, 1, 0) > 0 && state.revents & (POLLHUP | POLLERR);
}

START_TEST(callers_who_take_their_time) {
    int fds[CALLERS], n_closed = 0;
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    /* A record of TLS that says that 16384 bytes follow, and then one of them now and then. */
    const char record[] = {0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0};
    for (int i = 0; i < CALLERS; i++) {
        fds[i] = dial(gr_https_server_port(server));
        ck_assert_int_ge(fds[i], 0);
        (void)!send(fds[i], record, sizeof record, MSG_NOSIGNAL);
    }
    CURL *calls[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        calls[i] = tls_dial();
        tls_send(calls[i], "GET /letters HTTP/1.1\r\nHost: x\r\nX: ", 36);
    }
    uint64_t counter = 0;
    for (int s = 0; s < LONG_S && n_closed < 2 * CALLERS; s++) {
        counter++;
        put(site, 1, 0, counter, 1000);
        expect(server, 1, counter, 1000);
        n_closed = 0;
        for (int i = 0; i < CALLERS; i++) {
            curl_socket_t fd = -1;
            curl_easy_getinfo(calls[i], CURLINFO_ACTIVESOCKET, &fd);
            n_closed += closed(fds[i]) + (fd < 0 || closed(fd));
            (void)!send(fds[i], "\x16", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            tls_send(calls[i], "x", 1);
        }
        sleep(1);
    }
    ck_assert_int_eq(n_closed, 2 * CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        close(fds[i]);
        curl_easy_cleanup(calls[i]);
    }
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

int main(void) {
    if (gr_base_start() != GR_OK) return 1;
    Suite *suite = suite_create("https_slow");
    TCase *tcase = tcase_create("https_slow");
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_set_timeout(tcase, 110);
    tcase_add_test(tcase, callers_who_take_their_time);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
