/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A study of a coordinator and two sites over https on the loopback, for the tests of both ends:
 * keys, carriers, letters whose bytes follow from their counter. A stranger has keys of his own.
 */
#ifndef GRANARY_TESTS_HTTPS_STUDY_H
#define GRANARY_TESTS_HTTPS_STUDY_H

#include "scratch.h"

#include <math.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "post/https.h"
#include "post/letter.h"

enum { SITES = 2, PARTIES = SITES + 1, STRANGER = PARTIES, PATIENCE_S = 30 };

static struct gr_keys *keys[PARTIES + 1];
static struct gr_party parties[PARTIES];
static unsigned char study_digest[GR_DIGEST_BYTES];
static struct gr_carrier *server;
static char server_url[64], server_pin[64];

static inline struct gr_carrier_options party_options(uint32_t me) {
    return (struct gr_carrier_options){.keys = keys[me],
                                       .parties = parties,
                                       .n_parties = PARTIES,
                                       .me = me,
                                       .study = study_digest};
}

static inline void study_make(void) {
    memset(study_digest, 7, sizeof study_digest);
    for (uint32_t i = 0; i <= PARTIES; i++) {
        char name[16];
        struct gr_public_key key;
        snprintf(name, sizeof name, "keys-%u", i);
        MUST(gr_keys_generate(in_scratch(name), &key));
        MUST(gr_keys_read(in_scratch(name), &keys[i]));
        if (i == PARTIES) break;
        snprintf(parties[i].name, sizeof parties[i].name, "party-%u", i);
        parties[i].key = key;
    }
}

static inline void study_remove(void) {
    for (uint32_t i = 0; i <= PARTIES; i++)
        gr_keys_free(keys[i]);
}

/* port: 0 for any. */
static inline void server_open(int port) {
    static char address[32];
    static struct gr_carrier_options options;
    const struct gr_https_server settings = {.address = address, .directory = scratch};
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    options = party_options(0);
    MUST(gr_carrier_open_https_server(&options, &settings, &server));
    snprintf(server_url, sizeof server_url, "https://127.0.0.1:%d", gr_https_server_port(server));
    gr_https_server_pin(server, server_pin, sizeof server_pin);
}

static inline struct gr_carrier *client_open(uint32_t me, const struct gr_https_client *settings) {
    struct gr_carrier *client = NULL;
    const struct gr_carrier_options options = party_options(me);
    MUST(gr_carrier_open_https_client(&options, settings, &client));
    return client;
}

/* A site that calls the server by its pin. */
static inline struct gr_carrier *site_open(uint32_t me) {
    const struct gr_https_client settings = {.url = server_url, .pin = server_pin, .proxy = ""};
    return client_open(me, &settings);
}

static inline unsigned char letter_byte(uint64_t counter, size_t i) {
    return (unsigned char)(counter * 131 + i * 7 + (i >> 8));
}

/* A letter with n bytes of message, signed by `by`, who need not be its sender. */
static inline struct gr_letter *letter_by(uint32_t by, uint32_t from, uint32_t to, uint64_t counter,
                                          size_t n) {
    static const unsigned char seal[GR_KEY_BYTES] = "of no importance here";
    struct gr_letter *letter = NULL;
    struct gr_letter_head head = {.label = {.from = from, .to = to, .counter = counter},
                                  .kind = GR_LETTER_MESSAGE};
    MUST(gr_letter_create(0, n, &letter));
    for (size_t i = 0; i < n; i++)
        gr_letter_body(letter)[i] = letter_byte(counter, i);
    gr_letter_seal(letter, head, 0, seal, keys[by], study_digest);
    letter->label = head.label;
    return letter;
}

static inline void put(struct gr_carrier *carrier, uint32_t from, uint32_t to, uint64_t counter,
                       size_t n) {
    MUST(carrier->kind->put(carrier, letter_by(from, from, to, counter, n)));
}

/* The next letter, or NULL; notices for people are passed over. */
static inline struct gr_letter *take_quietly(struct gr_carrier *carrier) {
    struct gr_letter *letter = NULL;
    const gr_status status = carrier->kind->take(carrier, &letter);
    ck_assert_msg(status == GR_OK || status == GR_ERROR_CONFIG, "%s", gr_message());
    return letter;
}

/* The next letter that comes before patience ends. */
static inline struct gr_letter *wait_letter(struct gr_carrier *carrier) {
    struct gr_letter *letter = NULL;
    char words[1024];
    for (int i = 0; i < PATIENCE_S * 1000 && !letter; i++) {
        letter = take_quietly(carrier);
        if (!letter) usleep(1000);
    }
    carrier->kind->describe(carrier, words, sizeof words);
    ck_assert_msg(letter != NULL, "no letter has come: %s", words);
    return letter;
}

/* Whether it is that letter, whole, as it was sent: its checksum is signed by the sender. */
static inline void expect(struct gr_carrier *carrier, uint32_t from, uint64_t counter, size_t n) {
    struct gr_letter *letter = wait_letter(carrier);
    ck_assert_uint_eq(letter->label.from, from);
    ck_assert_uint_eq(letter->label.counter, counter);
    ck_assert_uint_eq(letter->n, GR_LETTER_HEAD_BYTES + n);
    ck_assert(gr_letter_is_whole(letter));
    gr_free(letter);
}

static inline void expect_nothing(struct gr_carrier *carrier, int milliseconds) {
    struct gr_letter *letter = NULL;
    for (int i = 0; i < milliseconds && !letter; i++) {
        letter = take_quietly(carrier);
        usleep(1000);
    }
    ck_assert_msg(!letter, "a letter that nobody expects: counter %llu",
                  letter ? (unsigned long long)letter->label.counter : 0);
}

/* Waits until the carrier knows that all its letters have come: an end before that may bring one
 * twice. */
static inline void wait_known(struct gr_carrier *carrier, uint32_t to) {
    for (int i = 0; i < PATIENCE_S * 1000; i++) {
        if (carrier->kind->room(carrier, to) == GR_CARRIER_HELD) return;
        usleep(1000);
    }
    ck_abort_msg("letters to party %u are not known to have come", to);
}

/* Waits until the carrier's description has the words. */
static inline void wait_words(struct gr_carrier *carrier, const char *wanted) {
    char words[1024] = "";
    for (int i = 0; i < PATIENCE_S * 100 && !strstr(words, wanted); i++) {
        carrier->kind->describe(carrier, words, sizeof words);
        usleep(10000);
    }
    ck_assert_msg(strstr(words, wanted) != NULL, "expected \"%s\", found \"%s\"", wanted, words);
}

/* A connection to the server's port, without TLS; -1: refused. */
static inline int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

#endif
