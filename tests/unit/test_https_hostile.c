/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever can reach the coordinator's port and means it harm: strangers, requests that are recorded
 * and sent again, lengths that are lies, garbage above TLS and below it, crowds that only connect.
 * A site's letters pass all the while, and nobody learns anything.
 */
#include "https_caller.h"

#include "post/https_client.h"
#include "post/https_server.h"

/* ---- a caller without manners ---------------------------------------------------------------- */

/* The answer, up to the end of its head; "": the connection was closed without one. */
static const char *tls_answer_within(CURL *easy, int milliseconds) {
    static char text[65536];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < milliseconds && !strstr(text, "\r\n\r\n"); i++) {
        size_t got = 0;
        const CURLcode result = curl_easy_recv(easy, text + n, sizeof text - 1 - n, &got);
        if (result == CURLE_AGAIN)
            usleep(1000);
        else if (result != CURLE_OK || got == 0)
            break;
        n += got;
        text[n] = '\0';
    }
    return text;
}

static const char *tls_answer(CURL *easy) {
    return tls_answer_within(easy, PATIENCE_S * 1000);
}

/* A request's head with the note (NULL: without) and these further lines. */
static void send_head(CURL *easy, const char *method, const char *path, const char *note,
                      const char *lines) {
    char text[2048];
    const int n =
        snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s%s%s%s\r\n", method, path,
                 note ? GR_HTTPS_HEADER ": " : "", note ? note : "", note ? "\r\n" : "", lines);
    tls_send(easy, text, (size_t)n);
}

static const char *request(const char *method, const char *path, const char *note,
                           const char *lines) {
    CURL *easy = tls_dial();
    send_head(easy, method, path, note, lines);
    const char *answer = tls_answer(easy);
    curl_easy_cleanup(easy);
    return answer;
}

static bool answers(const char *answer, int code) {
    char start[32];
    snprintf(start, sizeof start, "HTTP/1.1 %d ", code);
    return strncmp(answer, start, strlen(start)) == 0;
}

static struct gr_https_note note_of_answer(const char *answer) {
    struct gr_https_note note;
    const char *at = strstr(answer, "\r\n" GR_HTTPS_HEADER ": ");
    ck_assert_ptr_nonnull(at);
    at += strlen("\r\n" GR_HTTPS_HEADER ": ");
    ck_assert(gr_https_answer_parse(at, strcspn(at, "\r"), &note));
    return note;
}

/* A request's note as a site would write it, with the challenge that the server has told. */
static struct gr_https_note site_note(uint32_t site, enum gr_https_purpose purpose) {
    char text[GR_HTTPS_REQUEST_TEXT];
    struct gr_https_note note = {.purpose = purpose, .party = site, .sequence = 1, .instance = 77};
    gr_https_note_write(&note, keys[site], study_digest, text);
    const char *answer = request(purpose == GR_HTTPS_POLL ? "GET" : "POST", "/letters", text,
                                 purpose == GR_HTTPS_POLL ? "" : "Content-Length: 0\r\n");
    ck_assert_msg(answers(answer, 401), "%s", answer);
    struct gr_https_note told = note_of_answer(answer);
    memcpy(note.challenge, told.challenge, sizeof note.challenge);
    note.sequence = told.sequence + 1;
    return note;
}

static uint64_t held_for(uint32_t site) {
    struct gr_https_host *inside = (struct gr_https_host *)server;
    pthread_mutex_lock(&inside->lock);
    const uint64_t n = inside->sites[site].held;
    pthread_mutex_unlock(&inside->lock);
    return n;
}

static size_t inbox_of_site(uint32_t site) {
    struct gr_https_host *inside = (struct gr_https_host *)server;
    pthread_mutex_lock(&inside->lock);
    const size_t n = inside->sites[site].inbox;
    pthread_mutex_unlock(&inside->lock);
    return n;
}

/* A site's letters pass. */
static void goes_on(struct gr_carrier *site) {
    static uint64_t counter = 1000;
    counter++;
    put(site, 1, 0, counter, 5000);
    expect(server, 1, counter, 5000);
    put(server, 0, 1, counter, 5000);
    expect(site, 0, counter, 5000);
}

/* ---- strangers ------------------------------------------------------------------------------- */

START_TEST(strangers_learn_nothing) {
    char text[GR_HTTPS_REQUEST_TEXT];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    goes_on(site);
    put(server, 0, 2, 1, 100);
    const uint64_t held = held_for(2);
    struct gr_https_note note = site_note(2, GR_HTTPS_POLL);
    note.number = 1; /* it would acknowledge */
    ck_assert(answers(request("GET", "/", NULL, ""), 404));
    ck_assert(answers(request("GET", "/letters", NULL, ""), 404));
    ck_assert(answers(request("DELETE", "/letters", NULL, ""), 404));
    ck_assert(answers(request("GET", "/letters", "no note", ""), 404));
    gr_https_note_write(&note, keys[STRANGER], study_digest, text);
    ck_assert(answers(request("GET", "/letters", text, ""), 404));
    gr_https_note_write(&note, keys[1], study_digest, text); /* another site */
    ck_assert(answers(request("GET", "/letters", text, ""), 404));
    const unsigned char other_study[GR_DIGEST_BYTES] = {1};
    gr_https_note_write(&note, keys[2], other_study, text);
    ck_assert(answers(request("GET", "/letters", text, ""), 404));
    gr_https_note_write(&note, keys[2], study_digest, text);
    ck_assert(answers(request("GET", "/other", text, ""), 404));
    ck_assert(answers(request("POST", "/letters", text, "Content-Length: 0\r\n"), 404));
    text[40] ^= 1;
    ck_assert(answers(request("GET", "/letters", text, ""), 404));
    const char *answer = request("GET", "/letters", text, "");
    ck_assert_ptr_null(strstr(answer, "Server"));
    ck_assert_ptr_null(strstr(answer, GR_HTTPS_HEADER));
    ck_assert_ptr_null(strcasestr(answer, "microhttpd"));
    ck_assert_uint_eq(held_for(2), held);
    ck_assert(isinf(server->kind->silent_s(server, 2)));
    goes_on(site);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* The keys are a stranger's: the site learns it in words. */
START_TEST(a_site_with_another_key) {
    struct gr_carrier *site = NULL;
    struct gr_letter *letter;
    study_make();
    server_open(0);
    struct gr_carrier_options options = party_options(1);
    options.keys = keys[STRANGER];
    const struct gr_https_client settings = {.url = server_url, .pin = server_pin, .proxy = ""};
    MUST(gr_carrier_open_https_client(&options, &settings, &site));
    wait_words(site, "does not know this site (404)");
    ck_assert_int_eq(site->kind->take(site, &letter), GR_ERROR_CONFIG);
    wait_words(server, "no site of the study has signed");
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

START_TEST(a_request_that_is_sent_again) {
    char text[GR_HTTPS_REQUEST_TEXT];
    study_make();
    server_open(0);
    put(server, 0, 2, 1, 100);
    struct gr_https_note note = site_note(2, GR_HTTPS_POLL);
    note.room = GR_CARRIER_HELD;
    gr_https_note_write(&note, keys[2], study_digest, text);
    ck_assert(answers(request("GET", "/letters", text, ""), 200));
    ck_assert(answers(request("GET", "/letters", text, ""), 401));
    /* One that acknowledges, and is kept for another start of the server. */
    note.sequence++;
    note.number = 1;
    gr_https_note_write(&note, keys[2], study_digest, text);
    const unsigned char other_session[GR_SESSION_BYTES] = {1};
    server->kind->forget(server, 2, other_session, 0); /* its end is not to wait for that site */
    gr_carrier_close(server);
    server_open(0);
    put(server, 0, 2, 1, 100);
    const uint64_t held = held_for(2);
    ck_assert(answers(request("GET", "/letters", text, ""), 401));
    ck_assert_uint_eq(held_for(2), held);
    ck_assert(isinf(server->kind->silent_s(server, 2)));
    server->kind->forget(server, 2, other_session, 0);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* ---- bodies ---------------------------------------------------------------------------------- */

START_TEST(lengths_that_are_lies) {
    char text[GR_HTTPS_REQUEST_TEXT];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    goes_on(site);
    struct gr_https_note note = site_note(2, GR_HTTPS_UPLOAD);
    note.number = 1;
    gr_https_note_write(&note, keys[2], study_digest, text);
    ck_assert(answers(request("POST", "/letters", text, "Content-Length: 10737418240\r\n"), 413));
    ck_assert(answers(request("POST", "/letters", text, "Transfer-Encoding: chunked\r\n"), 413));
    ck_assert(answers(request("POST", "/letters", text, "Content-Length: 33554433\r\n"), 413));
    ck_assert(answers(request("POST", "/letters", text, "Content-Length: -1\r\n"), 400));
    const char *twice =
        request("POST", "/letters", text, "Content-Length: 9999999999999999999999\r\n");
    ck_assert(answers(twice, 413) || answers(twice, 400));
    ck_assert(answers(request("POST", "/letters", NULL, "Content-Length: 10737418240\r\n"), 404));
    /* It begins where no letter is. */
    note.at = 500;
    gr_https_note_write(&note, keys[2], study_digest, text);
    ck_assert(answers(request("POST", "/letters", text, "Content-Length: 10\r\n"), 412));
    goes_on(site);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* Uploads a body of n bytes as site 2; returns the answer's code. */
static int upload(uint64_t number, const void *bytes, size_t n) {
    char text[GR_HTTPS_REQUEST_TEXT], length[64];
    struct gr_https_note note = site_note(2, GR_HTTPS_UPLOAD);
    note.number = number;
    gr_https_note_write(&note, keys[2], study_digest, text);
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", n);
    CURL *easy = tls_dial();
    send_head(easy, "POST", "/letters", text, length);
    tls_send(easy, bytes, n);
    const char *answer = tls_answer(easy);
    curl_easy_cleanup(easy);
    return answer[0] ? atoi(answer + strlen("HTTP/1.1 ")) : 0;
}

START_TEST(bodies_that_are_no_letters) {
    unsigned char body[4096];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    goes_on(site);
    memset(body, 'x', sizeof body);
    ck_assert_int_eq(upload(1, body, sizeof body), 422);
    /* More than the letter that is said: the letter comes, the rest is refused. */
    struct gr_letter *letter = letter_by(2, 2, 0, 1, 1000);
    memcpy(body, letter->bytes, letter->n);
    ck_assert_int_eq(upload(2, body, sizeof body), 422);
    expect(server, 2, 1, 1000);
    gr_free(letter);
    /* Of another sender, of another signature, to somebody else. */
    const struct {
        uint32_t by, from, to;
    } wrong[] = {{1, 1, 0}, {1, 2, 0}, {STRANGER, 2, 0}, {2, 2, 1}};
    for (uint64_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        letter = letter_by(wrong[i].by, wrong[i].from, wrong[i].to, 5, 1000);
        ck_assert_int_eq(upload(10 + i, letter->bytes, letter->n), 422);
        gr_free(letter);
    }
    wait_words(server, "party-2: ");
    expect_nothing(server, 20);
    goes_on(site);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* A letter that the coordinator refuses does not stand in the way of those behind it. */
START_TEST(a_refused_letter_is_skipped) {
    struct gr_letter *letter = NULL;
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    put(site, 1, 0, 1, 1000);
    MUST(site->kind->put(site, letter_by(STRANGER, 1, 0, 2, 1000)));
    put(site, 1, 0, 3, 1000);
    expect(server, 1, 1, 1000);
    expect(server, 1, 3, 1000);
    gr_status status = GR_OK;
    for (int i = 0; i < PATIENCE_S * 1000 && status == GR_OK; i++) {
        status = site->kind->take(site, &letter);
        usleep(1000);
    }
    ck_assert_int_eq(status, GR_ERROR_CONFIG);
    MUST(site->kind->take(site, &letter)); /* told once */
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* An upload that broke within a letter's head, for which the server has taken no memory yet, while
 * there is room for the letter and not for all that is behind it. */
START_TEST(broken_within_a_head) {
    enum { LARGE = GR_LETTER_BODY_MAX - 1000, PART = 100 };
    char text[GR_HTTPS_REQUEST_TEXT];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    put(site, 1, 0, 1, LARGE);
    put(site, 1, 0, 2, LARGE);
    wait_known(site, 0);
    struct gr_letter *letter[3];
    for (uint64_t i = 0; i < 3; i++)
        letter[i] = letter_by(1, 1, 0, 3 + i, LARGE);
    struct gr_https_note note = site_note(1, GR_HTTPS_UPLOAD);
    note.instance = ((struct gr_https_caller *)site)->instance;
    note.number = 3;
    gr_https_note_write(&note, keys[1], study_digest, text);
    CURL *easy = tls_dial();
    send_head(easy, "POST", "/letters", text, "Content-Length: 10000\r\n");
    tls_send(easy, letter[0]->bytes, PART);
    usleep(100000);
    curl_easy_cleanup(easy);
    for (int i = 0; i < 3; i++)
        MUST(site->kind->put(site, letter[i]));
    /* Nobody takes the first two: there is room for one more, and it comes. */
    for (int i = 0; i < 10000 && inbox_of_site(1) < 3 * (size_t)LARGE; i++)
        usleep(1000);
    ck_assert_uint_ge(inbox_of_site(1), 3 * (size_t)LARGE);
    for (uint64_t i = 1; i <= 5; i++)
        expect(server, 1, i, LARGE);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

/* ---- garbage and crowds ---------------------------------------------------------------------- */

START_TEST(garbage_on_the_port) {
    static char garbage[100000];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)(i * 2654435761u >> 13);
    for (size_t n = 1; n <= sizeof garbage; n *= 10) {
        const int fd = dial(gr_https_server_port(server));
        ck_assert_int_ge(fd, 0);
        (void)!send(fd, garbage, n, MSG_NOSIGNAL);
        close(fd);
        CURL *easy = tls_dial();
        tls_send(easy, garbage, n);
        tls_send(easy, "\r\n\r\n", 4);
        /* It may also wait for more. */
        const char *answer = tls_answer_within(easy, 200);
        ck_assert_ptr_null(strstr(answer, " 200 "));
        curl_easy_cleanup(easy);
        goes_on(site);
    }
    /* A head without an end. */
    CURL *easy = tls_dial();
    tls_send(easy, "GET /letters HTTP/1.1\r\nHost: x\r\nX: ", 36);
    memset(garbage, 'x', sizeof garbage);
    for (int i = 0; i < 10; i++)
        tls_send(easy, garbage, sizeof garbage);
    const char *answer = tls_answer(easy);
    ck_assert_msg(answer[0] == '\0' || strtol(answer + 9, NULL, 10) >= 400, "%s", answer);
    curl_easy_cleanup(easy);
    goes_on(site);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

static unsigned n_connections(void) {
    unsigned n = 0;
    struct gr_https_host *inside = (struct gr_https_host *)server;
    pthread_mutex_lock(&inside->lock);
    for (const struct gr_https_connection *c = inside->connections; c; c = c->next)
        n++;
    pthread_mutex_unlock(&inside->lock);
    return n;
}

/* Those that only connect have so many places and no more. */
START_TEST(a_crowd_that_only_connects) {
    enum { CROWD = 300 };
    int fds[CROWD];
    study_make();
    server_open(0);
    struct gr_carrier *site = site_open(1);
    goes_on(site);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial(gr_https_server_port(server));
        ck_assert_int_ge(fds[i], 0);
        if (i % 50 == 0) goes_on(site);
    }
    for (int i = 0; i < PATIENCE_S * 1000 && n_connections() > STRANGERS_MAX + SITE_CONNECTIONS;
         i++)
        usleep(1000);
    ck_assert_uint_le(n_connections(), STRANGERS_MAX + SITE_CONNECTIONS);
    goes_on(site);
    /* A site that is new finds its place among them. */
    struct gr_carrier *late = site_open(2);
    put(late, 2, 0, 1, 1000);
    expect(server, 2, 1, 1000);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    gr_carrier_close(late);
    gr_carrier_close(site);
    gr_carrier_close(server);
    study_remove();
}
END_TEST

RUN_TESTS("https_hostile", strangers_learn_nothing, a_site_with_another_key,
          a_request_that_is_sent_again, lengths_that_are_lies, bodies_that_are_no_letters,
          a_refused_letter_is_skipped, broken_within_a_head, garbage_on_the_port,
          a_crowd_that_only_connects)
