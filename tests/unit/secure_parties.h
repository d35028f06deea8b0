/* SPDX-License-Identifier: Apache-2.0 */
/* Parties of a secure sum and their collector in one process, for tests. */
#ifndef GRANARY_TESTS_SECURE_PARTIES_H
#define GRANARY_TESTS_SECURE_PARTIES_H

#include "privacy/secure_check.h"

/* A fuzzer has no test to fail, and brings words of its own. */
#ifndef MUST
#include "scratch.h"
#endif

enum { WORDS = 37, N_KEYS = GR_SECURE_PARTIES_MAX };

/* Up to which step a party answers; the sum has none, for in it a vector comes or does not. */
enum lost_at {
    BEFORE_ADVERT,
    BEFORE_REVEAL,
    BEFORE_SHARES,
    BEFORE_SUM,
    BEFORE_ROSTER,
    BEFORE_OPENING,
    NEVER
};

static struct gr_keys *keys_of[N_KEYS];
static struct gr_public_key identities[N_KEYS];

/* One sum of n parties. */
struct secure_trial {
    struct gr_secure_terms terms;
    bool same;  /* sums follow of one and the same */
    bool whole; /* parties count on each other */
    struct gr_sum_journal *journals[N_KEYS];
    struct gr_secure_party *parties[N_KEYS];
    struct gr_secure_collector *collector;
    enum lost_at lost[N_KEYS];
    uint32_t vectors[N_KEYS][WORDS]; /* in the clear */
    uint32_t masked[N_KEYS][WORDS];
    uint32_t total[WORDS]; /* masked, then not */
    struct gr_party_set summed;
};

static inline void keys_make(uint32_t n) {
    for (uint32_t p = 0; p < n; p++) {
        MUST(gr_keys_draw(&keys_of[p]));
        identities[p] = *gr_keys_public(keys_of[p]);
    }
}

static inline void keys_release(void) {
    for (uint32_t p = 0; p < N_KEYS; p++) {
        gr_keys_free(keys_of[p]);
        keys_of[p] = NULL;
    }
}

static inline void trial_journals(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        char name[24];
        snprintf(name, sizeof name, "sums-%u", p);
        MUST(gr_sum_journal_open(in_scratch(name), &trial->journals[p]));
    }
}

static inline struct gr_secure_party_options options_of(struct secure_trial *trial, uint32_t p) {
    return (struct gr_secure_party_options){.terms = trial->terms,
                                            .me = p,
                                            .keys = keys_of[p],
                                            .journal = trial->journals[p],
                                            .whole = trial->whole};
}

/* Journals stay open over sums; counter rises with each. */
static inline void trial_begin(struct secure_trial *trial) {
    trial->terms.counter++;
    if (!trial->same) trial->terms.part = trial->terms.counter; /* another sum */
    trial->summed = (struct gr_party_set){0};
    MUST(gr_secure_collector_create(&trial->terms, &trial->collector));
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        const struct gr_secure_party_options options = options_of(trial, p);
        MUST(gr_secure_party_create(&options, &trial->parties[p]));
    }
}

static inline void trial_end(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        gr_secure_party_free(trial->parties[p]);
        trial->parties[p] = NULL;
    }
    gr_secure_collector_free(trial->collector);
    trial->collector = NULL;
}

static inline struct secure_trial *trial_make(uint32_t n, uint32_t threshold) {
    struct secure_trial *trial = calloc(1, sizeof *trial);
    ck_assert_ptr_nonnull(trial);
    trial->terms = (struct gr_secure_terms){.identities = identities,
                                            .n_parties = n,
                                            .threshold = threshold,
                                            .run = "a run",
                                            .study = "a study",
                                            .model = "a model",
                                            .round = 3,
                                            .release = 18};
    for (uint32_t p = 0; p < n; p++) {
        trial->lost[p] = NEVER;
        for (uint32_t i = 0; i < WORDS; i++)
            trial->vectors[p][i] = (p + 1) * 0x01000193U * (i + 7) ^ (i << 13);
    }
    trial_journals(trial);
    return trial;
}

/* The first parties alone keep a journal: of many, each line of each waits for the disk. */
static inline void trial_keep_journals(struct secure_trial *trial, uint32_t n) {
    for (uint32_t p = n; p < trial->terms.n_parties; p++) {
        gr_sum_journal_close(trial->journals[p]);
        trial->journals[p] = NULL;
    }
}

static inline void trial_free(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++)
        gr_sum_journal_close(trial->journals[p]);
    free(trial);
}

static inline bool answers(const struct secure_trial *trial, uint32_t p, enum lost_at step) {
    return trial->lost[p] > step;
}

static inline void give(struct secure_trial *trial, uint32_t p, struct gr_secure_message *message) {
    MUST(gr_secure_collector_take(trial->collector, p, message->bytes, message->n));
    gr_free(message->bytes);
}

static inline struct gr_secure_message told(struct secure_trial *trial, uint32_t p) {
    struct gr_secure_message message;
    MUST(gr_secure_collector_tell(trial->collector, p, &message));
    return message;
}

/* Each step: what those do who are still there, then the collector's close. */
static inline gr_status step_advert(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message message;
        if (!answers(trial, p, BEFORE_ADVERT)) continue;
        MUST(gr_secure_party_advertise(trial->parties[p], &message));
        give(trial, p, &message);
    }
    return gr_secure_collector_close(trial->collector);
}

/* Where the graph is drawn. */
static inline gr_status step_reveal(struct secure_trial *trial) {
    if (!gr_secure_terms_draws(&trial->terms)) return GR_OK;
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message list, message;
        if (!answers(trial, p, BEFORE_REVEAL)) continue;
        list = told(trial, p);
        MUST(gr_secure_party_reveal(trial->parties[p], list.bytes, list.n, &message));
        gr_free(list.bytes);
        give(trial, p, &message);
    }
    return gr_secure_collector_close(trial->collector);
}

static inline gr_status step_shares(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message list, message;
        if (!answers(trial, p, BEFORE_SHARES)) continue;
        list = told(trial, p);
        MUST(gr_secure_party_share(trial->parties[p], list.bytes, list.n, &message));
        gr_free(list.bytes);
        give(trial, p, &message);
    }
    return gr_secure_collector_close(trial->collector);
}

/* The masked vectors, and their sum over those who are there. */
static inline void step_sum(struct secure_trial *trial) {
    unsigned char digest[GR_DIGEST_BYTES];
    memset(trial->total, 0, sizeof trial->total);
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message pieces;
        if (!answers(trial, p, BEFORE_SHARES)) continue; /* has sent none, and is told nothing */
        pieces = told(trial, p);
        MUST(gr_secure_party_take_pieces(trial->parties[p], pieces.bytes, pieces.n));
        gr_free(pieces.bytes);
        if (!answers(trial, p, BEFORE_SUM)) continue;
        const struct gr_stream_range range = {.position = 0, .bits = 32, .n = WORDS};
        memcpy(trial->masked[p], trial->vectors[p], sizeof trial->masked[p]);
        MUST(gr_secure_party_mask(trial->parties[p], NULL, range, trial->masked[p]));
        for (uint32_t i = 0; i < WORDS; i++)
            trial->total[i] += trial->masked[p][i];
        gr_party_set_add(&trial->summed, p);
    }
    gr_digest_of(trial->total, sizeof trial->total, digest);
    MUST(gr_secure_collector_summed(trial->collector, &trial->summed, digest));
}

/* GR_STOPPED: they were too few, by a party's own count too. */
static inline gr_status step_roster(struct secure_trial *trial) {
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(trial->total, sizeof trial->total, digest);
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message message = {0};
        if (!answers(trial, p, BEFORE_ROSTER)) continue;
        const gr_status status =
            gr_secure_party_sign(trial->parties[p], &trial->summed, digest, &message);
        if (gr_party_set_count(&trial->summed) < trial->terms.threshold) {
            ck_assert_int_eq(status, GR_STOPPED);
            ck_assert_ptr_null(message.bytes);
            continue;
        }
        ck_assert_msg(status == GR_OK, "%s", gr_message());
        give(trial, p, &message);
    }
    return gr_secure_collector_close(trial->collector);
}

static inline gr_status step_opening(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message rosters, message;
        if (!answers(trial, p, BEFORE_OPENING)) continue;
        rosters = told(trial, p);
        MUST(gr_secure_party_open_shares(trial->parties[p], rosters.bytes, rosters.n, &message));
        gr_free(rosters.bytes);
        give(trial, p, &message);
    }
    return gr_secure_collector_close(trial->collector);
}

/* All who have opened hold the same sum, in slices of their own. */
static inline void step_unmask(struct secure_trial *trial) {
    for (uint32_t p = 0; p < trial->terms.n_parties; p++) {
        struct gr_secure_message secrets;
        uint32_t words[WORDS];
        const uint32_t half = p % WORDS;
        if (!answers(trial, p, BEFORE_OPENING)) continue;
        secrets = told(trial, p);
        MUST(gr_secure_party_take_secrets(trial->parties[p], secrets.bytes, secrets.n));
        gr_free(secrets.bytes);
        memcpy(words, trial->total, sizeof words);
        MUST(gr_secure_party_unmask(trial->parties[p], (struct gr_stream_range){0, 32, half},
                                    words));
        MUST(gr_secure_party_unmask(
            trial->parties[p], (struct gr_stream_range){4 * half, 32, WORDS - half}, words + half));
        for (uint32_t i = 0; i < WORDS; i++) {
            uint32_t expected = 0;
            for (uint32_t q = 0; q < trial->terms.n_parties; q++)
                if (gr_party_set_has(&trial->summed, q)) expected += trial->vectors[q][i];
            ck_assert_uint_eq(words[i], expected);
        }
    }
}

/* The whole sum: GR_OK, or GR_STOPPED where it is void. */
static inline gr_status trial_sum(struct secure_trial *trial) {
    gr_status status;
    GR_TRY(step_advert(trial));
    GR_TRY(step_reveal(trial));
    GR_TRY(step_shares(trial));
    step_sum(trial);
    GR_TRY(step_roster(trial));
    GR_TRY(step_opening(trial));
    step_unmask(trial);
out:
    return status;
}

#endif
