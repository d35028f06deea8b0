/* SPDX-License-Identifier: Apache-2.0 */
/* Parties of a study with keys, and their posts, for tests of the post in one process. */
#ifndef GRANARY_TESTS_PARTIES_H
#define GRANARY_TESTS_PARTIES_H

#include <granary/post.h>

#include <math.h>
#include <time.h>

#include "scratch.h"

enum { PARTIES = 3 };

static struct gr_keys *keys_of[PARTIES];
static struct gr_party parties[PARTIES];
static unsigned char study[GR_DIGEST_BYTES] = "the digest of a study";
static char said[PARTIES][8192];

static inline void parties_make(void) {
    for (uint32_t p = 0; p < PARTIES; p++) {
        char folder[16];
        snprintf(folder, sizeof folder, "keys%u", p);
        MUST(gr_keys_generate(in_scratch(folder), &parties[p].key));
        MUST(gr_keys_read(in_scratch(folder), &keys_of[p]));
        snprintf(parties[p].name, sizeof parties[p].name, p ? "site-%u" : "coordinator", p);
        said[p][0] = '\0';
    }
}

static inline void parties_free(void) {
    for (uint32_t p = 0; p < PARTIES; p++)
        gr_keys_free(keys_of[p]);
}

/* As run_tests of scratch.h, with other things made before each test. */
static inline int run_with(const char *name, void (*make)(void), void (*remove_all)(void),
                           const TTest *const *tests, size_t n) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, make, remove_all);
    tcase_set_timeout(tcase, 100);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

static inline struct gr_carrier_options who_is(uint32_t p) {
    return (struct gr_carrier_options){
        .keys = keys_of[p], .parties = parties, .n_parties = PARTIES, .me = p, .study = study};
}

static inline void keep_words(void *context, const char *words) {
    char *all = context;
    const size_t n = strlen(all);
    snprintf(all + n, sizeof said[0] - n, "%s\n", words);
}

/* The post of a party with one carrier; its greeting is its name. */
static inline struct gr_post *post_of(uint32_t p, struct gr_carrier *carrier) {
    struct gr_carrier *carriers[] = {carrier};
    const struct gr_post_options options = {.who = who_is(p),
                                            .carriers = carriers,
                                            .n_carriers = 1,
                                            .greeting = parties[p].name,
                                            .greeting_bytes = strlen(parties[p].name),
                                            .context = said[p],
                                            .say = keep_words};
    struct gr_post *post;
    MUST(gr_post_open(&options, &post));
    return post;
}

static inline void rest(double seconds) {
    const struct timespec pause = {0, (long)(seconds * 1e9)};
    nanosleep(&pause, NULL);
}

/* Calls both posts until `mine` has something; it fails after a minute. */
static inline struct gr_post_message wait_for(struct gr_post *mine, struct gr_post *other) {
    struct gr_post_message message, theirs;
    for (int i = 0; i < 12000; i++) {
        MUST(gr_post_receive(mine, &message));
        if (message.kind != GR_POST_NOTHING) return message;
        if (other) {
            MUST(gr_post_receive(other, &theirs));
            ck_assert_msg(theirs.kind == GR_POST_NOTHING, "the other has a message, too");
        }
        rest(0.005);
    }
    ck_abort_msg("nothing has come");
}

static inline void send_text(struct gr_post *post, uint32_t to, const char *text) {
    /* In two parts, one of them empty. */
    const struct gr_post_part parts[] = {{text, strlen(text)}, {NULL, 0}};
    MUST(gr_post_send(post, to, parts, 2));
}

static inline void expect(struct gr_post_message message, enum gr_post_kind kind, uint32_t party,
                          uint32_t session, const char *text) {
    ck_assert_int_eq(message.kind, kind);
    ck_assert_uint_eq(message.party, party);
    ck_assert_uint_eq(message.session, session);
    ck_assert_uint_eq(message.n, strlen(text));
    ck_assert_mem_eq(message.bytes, text, message.n);
    gr_free(message.memory);
}

#endif
