/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is between a site and its coordinator, at its worst: connections that are cut in the midst
 * of a letter, or that fall silent behind a proxy; a proxy that is in the way; certificates that
 * are another's, expired, unknown. Each letter comes once, or the site says in words why not.
 */
#include "https_certificate.h"
#include "https_study.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "post/https_client.h"

/* ---- a relay that cuts ----------------------------------------------------------------------- */

/* Passes bytes on to the server; each of the first `cuts` connections is cut after so many. */
struct relay {
    int listener, port, to;
    int patience_ms; /* connections on which nothing comes for so long are closed; 0: none are */
    bool down;       /* counts what comes from the server, else what goes to it */
    size_t cut;      /* bytes */
    atomic_int cuts;
    atomic_size_t passed; /* of that direction, in all */
    atomic_bool closing;
    pthread_t thread;
};
struct relayed {
    struct relay *relay;
    int fd;
};

static bool pass(int from, int to, size_t *left, atomic_size_t *passed) {
    char bytes[16384];
    const ssize_t n = recv(from, bytes, *left < sizeof bytes ? *left : sizeof bytes, 0);
    if (n <= 0) return false;
    for (ssize_t sent = 0, m; sent < n; sent += m)
        if ((m = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) <= 0) return false;
    if (passed) {
        *left -= (size_t)n;
        *passed += (size_t)n;
    }
    return *left > 0;
}

static void *relay_connection(void *context) {
    struct relayed *one = context;
    struct relay *relay = one->relay;
    const int fds[2] = {one->fd, dial(relay->to)};
    const bool cuts = atomic_fetch_sub(&relay->cuts, 1) > 0;
    double heard = gr_clock_seconds();
    size_t left = cuts ? relay->cut : SIZE_MAX, endless = SIZE_MAX;
    struct pollfd ready[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    for (bool on = fds[1] >= 0; on && !relay->closing;) {
        const double now = gr_clock_seconds();
        if (poll(ready, 2, 50) > 0)
            heard = now;
        else if (relay->patience_ms && (now - heard) * 1000 > relay->patience_ms)
            break;
        for (int i = 0; i < 2 && on; i++) {
            const bool counted = (i == 1) == relay->down;
            if (ready[i].revents)
                on = pass(fds[i], fds[1 - i], counted ? &left : &endless,
                          counted ? &relay->passed : NULL);
        }
    }
    close(fds[0]);
    if (fds[1] >= 0) close(fds[1]);
    free(one);
    return NULL;
}

static void *relay_listen(void *context) {
    struct relay *relay = context;
    while (!relay->closing) {
        struct pollfd ready = {.fd = relay->listener, .events = POLLIN};
        pthread_t thread;
        if (poll(&ready, 1, 50) <= 0) continue;
        struct relayed *one = malloc(sizeof *one);
        *one = (struct relayed){relay, accept(relay->listener, NULL, NULL)};
        ck_assert_int_eq(pthread_create(&thread, NULL, relay_connection, one), 0);
        pthread_detach(thread);
    }
    return NULL;
}

static void relay_open(struct relay *relay) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    relay->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(relay->listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(relay->listener, 16), 0);
    ck_assert_int_eq(getsockname(relay->listener, (struct sockaddr *)&at, &n), 0);
    relay->port = ntohs(at.sin_port);
    relay->to = gr_https_server_port(server);
    ck_assert_int_eq(pthread_create(&relay->thread, NULL, relay_listen, relay), 0);
}

static void relay_close(struct relay *relay) {
    relay->closing = true;
    pthread_join(relay->thread, NULL);
    usleep(200000); /* its connections see it */
    close(relay->listener);
}

/* In the handshake, in the head of a request, in a letter's head, in its body: there so often that
 * a transfer which began anew each time would pass many times the letter's bytes. */
static const struct {
    size_t cut;
    int cuts;
} breaks[] = {{100, 4}, {1500, 4}, {2700, 4}, {30000, 4}, {2000000, 40}, {5000000, 40}};
enum { N_BREAKS = sizeof breaks / sizeof *breaks };

/* The largest letter, and a small one behind it. */
static void letters_over_breaks(size_t cut, int cuts, bool down) {
    char url[64];
    struct relay relay = {.down = down, .cut = cut, .cuts = cuts};
    study_make();
    server_open(0);
    relay_open(&relay);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", relay.port);
    const struct gr_https_client settings = {.url = url, .pin = server_pin, .proxy = ""};
    if (down) {
        put(server, 0, 1, 1, GR_LETTER_BODY_MAX);
        put(server, 0, 1, 2, 100);
    }
    struct gr_carrier *site = client_open(1, &settings);
    if (!down) {
        put(site, 1, 0, 1, GR_LETTER_BODY_MAX);
        put(site, 1, 0, 2, 100);
    }
    struct gr_carrier *reader = down ? site : server;
    expect(reader, down ? 0 : 1, 1, GR_LETTER_BODY_MAX);
    expect(reader, down ? 0 : 1, 2, 100);
    expect_nothing(reader, 100);
    ck_assert_int_lt(relay.cuts, cuts);
    /* A connection that is cut loses what lies in the buffers of the system. */
    ck_assert_uint_lt(relay.passed, 3 * (size_t)GR_LETTER_BODY_MAX);
    gr_carrier_close(site);
    relay_close(&relay);
    gr_carrier_close(server);
    study_remove();
}

START_TEST(cut_on_the_way_up) {
    letters_over_breaks(breaks[_i].cut, breaks[_i].cuts, false);
}
END_TEST

START_TEST(cut_on_the_way_down) {
    letters_over_breaks(breaks[_i].cut, breaks[_i].cuts, true);
}
END_TEST

/* A proxy that closes what is silent for less than the coordinator holds a poll: the site asks it
 * to hold it less long, and nothing is late or said. */
START_TEST(between_them_somebody_without_patience) {
    char url[64], words[1024];
    struct relay relay = {.patience_ms = 3000};
    study_make();
    server_open(0);
    relay_open(&relay);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", relay.port);
    const struct gr_https_client settings = {.url = url, .pin = server_pin, .proxy = ""};
    struct gr_carrier *site = client_open(1, &settings);
    for (uint64_t i = 1; i <= 8; i++) {
        put(server, 0, 1, i, 100);
        expect(site, 0, i, 100);
        sleep(1);
        site->kind->describe(site, words, sizeof words);
        ck_assert_ptr_nonnull(strstr(words, "last answered"));
        if (i == 4) sleep(8);
    }
    ck_assert_uint_lt(((struct gr_https_caller *)site)->poll.hold, GR_HTTPS_HOLD_S);
    gr_carrier_close(site);
    relay_close(&relay);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* ---- certificates ---------------------------------------------------------------------------- */

static void server_open_with(const char *name, const char *client_ca) {
    static char certificate[128], key[128], authority[128];
    static struct gr_carrier_options options;
    snprintf(certificate, sizeof certificate, "%s/%s.crt", scratch, name);
    snprintf(key, sizeof key, "%s/%s.key", scratch, name);
    snprintf(authority, sizeof authority, "%s/%s.crt", scratch, client_ca ? client_ca : "");
    options = party_options(0);
    const struct gr_https_server settings = {.address = "127.0.0.1:0",
                                             .certificate = certificate,
                                             .key = key,
                                             .client_ca = client_ca ? authority : NULL};
    MUST(gr_carrier_open_https_server(&options, &settings, &server));
    snprintf(server_url, sizeof server_url, "https://127.0.0.1:%d", gr_https_server_port(server));
    gr_https_server_pin(server, server_pin, sizeof server_pin);
}

static const char *kept_path(int place, const char *name) {
    static char paths[2][128];
    snprintf(paths[place], sizeof paths[0], "%s/%s", scratch, name);
    return paths[place];
}

/* A letter passes, or the site says the words, and take tells them once. */
static void try_to_call(const struct gr_https_client *settings, const char *words) {
    struct gr_letter *letter;
    struct gr_carrier *site = client_open(1, settings);
    put(site, 1, 0, 1, 100);
    if (!words)
        expect(server, 1, 1, 100);
    else {
        wait_words(site, words);
        ck_assert_int_eq(site->kind->take(site, &letter), GR_ERROR_CONFIG);
        ck_assert_ptr_nonnull(strstr(gr_message(), words));
    }
    gr_carrier_close(site);
}

START_TEST(certificates_of_an_authority) {
    study_make();
    struct authority one = authority_make("one"), two = authority_make("two");
    authority_issue(&one, "good", GNUTLS_KP_TLS_WWW_SERVER, -1000, 10000);
    authority_issue(&one, "old", GNUTLS_KP_TLS_WWW_SERVER, -1000, -100);
    authority_issue(&one, "young", GNUTLS_KP_TLS_WWW_SERVER, 1000, 10000);
    const struct gr_https_client by_one = {
        .url = server_url, .ca = kept_path(0, "one.crt"), .proxy = ""};
    const struct gr_https_client by_two = {
        .url = server_url, .ca = kept_path(1, "two.crt"), .proxy = ""};
    const struct gr_https_client by_system = {.url = server_url, .proxy = ""};
    server_open_with("good", NULL);
    try_to_call(&by_one, NULL);
    try_to_call(&by_two, "authority that this site does not know");
    try_to_call(&by_system, "authority that this site does not know");
    const char *port = strrchr(server_url, ':');
    char url[64];
    snprintf(url, sizeof url, "https://localhost%s", port);
    const struct gr_https_client other_name = {.url = url, .ca = by_one.ca, .proxy = ""};
    try_to_call(&other_name, "for another name");
    gr_carrier_close(server);
    server_open_with("old", NULL);
    try_to_call(&by_one, "has expired, or the clock");
    gr_carrier_close(server);
    server_open_with("young", NULL);
    try_to_call(&by_one, "is not valid yet: the clock");
    gr_carrier_close(server);
    authority_release(&one);
    authority_release(&two);
    study_remove();
}
END_TEST

START_TEST(pins) {
    char wrong[64];
    study_make();
    server_open(0);
    memcpy(wrong, server_pin, sizeof wrong);
    wrong[10] = wrong[10] == 'A' ? 'B' : 'A';
    const struct gr_https_client by_wrong = {.url = server_url, .pin = wrong, .proxy = ""};
    const struct gr_https_client by_nothing = {.url = server_url, .proxy = ""};
    const struct gr_https_client by_pin = {.url = server_url, .pin = server_pin, .proxy = ""};
    try_to_call(&by_wrong, "another key than `pin` says");
    try_to_call(&by_nothing, "signed its certificate itself");
    try_to_call(&by_pin, NULL);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(certificates_of_sites) {
    study_make();
    struct authority one = authority_make("one"), two = authority_make("two");
    authority_issue(&one, "server", GNUTLS_KP_TLS_WWW_SERVER, -1000, 10000);
    authority_issue(&one, "site", GNUTLS_KP_TLS_WWW_CLIENT, -1000, 10000);
    authority_issue(&one, "late", GNUTLS_KP_TLS_WWW_CLIENT, -1000, -100);
    authority_issue(&two, "other", GNUTLS_KP_TLS_WWW_CLIENT, -1000, 10000);
    server_open_with("server", "one");
    const char *ca = kept_path(0, "one.crt");
    const struct gr_https_client none = {.url = server_url, .ca = ca, .proxy = ""};
    try_to_call(&none, "asks for a certificate of its authority");
    static const struct {
        const char *name, *words;
    } cases[] = {{"site.crt", NULL},
                 {"late.crt", "asks for a certificate of its authority"},
                 {"other.crt", "asks for a certificate of its authority"},
                 {"server.crt", "asks for a certificate of its authority"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char certificate[128], key[128];
        snprintf(certificate, sizeof certificate, "%s/%s", scratch, cases[i].name);
        strcpy(key, certificate);
        strcpy(strrchr(key, '.'), ".key");
        const struct gr_https_client settings = {
            .url = server_url, .ca = ca, .proxy = "", .certificate = certificate, .key = key};
        try_to_call(&settings, cases[i].words);
    }
    gr_carrier_close(server);
    authority_release(&one);
    authority_release(&two);
    study_remove();
}
END_TEST

START_TEST(a_certificate_and_a_key_that_do_not_belong_together) {
    struct gr_carrier *none = NULL;
    study_make();
    struct authority one = authority_make("one");
    authority_issue(&one, "a", GNUTLS_KP_TLS_WWW_SERVER, -1000, 10000);
    authority_issue(&one, "b", GNUTLS_KP_TLS_WWW_SERVER, -1000, 10000);
    const struct gr_carrier_options me = party_options(0);
    const struct gr_https_server settings = {
        .address = "127.0.0.1:0", .certificate = in_scratch("a.crt"), .key = in_scratch("b.key")};
    ck_assert_int_eq(gr_carrier_open_https_server(&me, &settings, &none), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "a.crt"));
    authority_release(&one);
    study_remove();
}
END_TEST

/* ---- proxies --------------------------------------------------------------------------------- */

static int free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* allowed: the port to which CONNECT may lead. */
static pid_t proxy_start(int port, int allowed) {
    char text[512];
    const int n = snprintf(text, sizeof text,
                           "Port %d\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n"
                           "ConnectPort %d\nMaxClients 20\nLogLevel Critical\n",
                           port, allowed);
    spill(in_scratch("proxy.conf"), text, (size_t)n);
    const pid_t pid = fork();
    if (pid == 0) {
        execlp("tinyproxy", "tinyproxy", "-d", "-c", in_scratch("proxy.conf"), (char *)NULL);
        _exit(127);
    }
    for (int i = 0, fd = -1; i < PATIENCE_S * 100 && fd < 0; i++) {
        fd = dial(port);
        if (fd >= 0) close(fd);
        usleep(10000);
    }
    return pid;
}

static void proxy_stop(pid_t pid) {
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static bool have_proxy(void) {
    if (system("command -v tinyproxy >/dev/null") == 0) return true;
    printf("skipped: no tinyproxy is installed; jobs/deps.sh --sites\n");
    return false;
}

START_TEST(through_a_proxy) {
    char proxy[64];
    if (!have_proxy()) return;
    study_make();
    server_open(0);
    const int port = free_port();
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", port);
    const struct gr_https_client settings = {.url = server_url, .pin = server_pin, .proxy = proxy};
    struct gr_carrier *site = client_open(1, &settings);
    put(site, 1, 0, 1, 100);
    wait_words(site, "onnection refused");
    pid_t pid = proxy_start(port, gr_https_server_port(server));
    expect(server, 1, 1, 100);
    put(server, 0, 1, 1, GR_LETTER_BODY_MAX);
    expect(site, 0, 1, GR_LETTER_BODY_MAX);
    proxy_stop(pid); /* in the midst of what there is */
    put(site, 1, 0, 2, GR_LETTER_BODY_MAX);
    put(server, 0, 1, 2, 100);
    pid = proxy_start(port, gr_https_server_port(server));
    expect(server, 1, 2, GR_LETTER_BODY_MAX);
    expect(site, 0, 2, 100);
    gr_carrier_close(site);
    proxy_stop(pid);
    pid = proxy_start(port, 1); /* the coordinator's port is not allowed */
    site = client_open(1, &settings);
    wait_words(site, "the proxy answers 403");
    gr_carrier_close(site);
    proxy_stop(pid);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(by_the_environment) {
    char proxy[64];
    if (!have_proxy()) return;
    study_make();
    server_open(0);
    const int port = free_port();
    const pid_t pid = proxy_start(port, 1);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", port);
    setenv("https_proxy", proxy, 1);
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    const struct gr_https_client settings = {.url = server_url, .pin = server_pin};
    struct gr_carrier *site = client_open(1, &settings);
    wait_words(site, "the proxy answers 403");
    gr_carrier_close(site);
    proxy_stop(pid);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(nobody_there) {
    char url[64];
    study_make();
    const struct gr_https_client no_name = {.url = "https://no-such-host.invalid:1", .proxy = ""};
    struct gr_carrier *site = client_open(1, &no_name);
    wait_words(site, "the name of the host is not found");
    gr_carrier_close(site);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", free_port());
    const struct gr_https_client no_port = {.url = url, .proxy = ""};
    site = client_open(1, &no_port);
    wait_words(site, "connection refused");
    gr_carrier_close(site);
    study_remove();
}
END_TEST

int main(void) {
    if (gr_base_start() != GR_OK) return 1;
    Suite *suite = suite_create("https_faults");
    TCase *tcase = tcase_create("https_faults");
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, cut_on_the_way_up, 0, N_BREAKS);
    tcase_add_loop_test(tcase, cut_on_the_way_down, 0, N_BREAKS);
    tcase_add_test(tcase, between_them_somebody_without_patience);
    tcase_add_test(tcase, certificates_of_an_authority);
    tcase_add_test(tcase, pins);
    tcase_add_test(tcase, certificates_of_sites);
    tcase_add_test(tcase, a_certificate_and_a_key_that_do_not_belong_together);
    tcase_add_test(tcase, through_a_proxy);
    tcase_add_test(tcase, by_the_environment);
    tcase_add_test(tcase, nobody_there);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
