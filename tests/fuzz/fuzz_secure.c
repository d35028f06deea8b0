/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of secure sums: what a collector tells a party, and a party a collector, at each
 * step. The first byte chooses step and side. The others, behind a second byte that is even, are a
 * message; behind an odd one they change a true one, three bytes a change: the place, and what
 * stands there from now on. Whatever is not the true message is refused; but for who has given
 * shares, which of those who are no neighbours shows when all have signed. Three of the steps are
 * of a sum of so many that neighbours are drawn; these are a hundred times slower, so the first
 * byte seldom chooses them.
 *   make MODE=fuzz CC=clang build/fuzz/tests/fuzz/fuzz_secure
 *   build/fuzz/tests/fuzz/fuzz_secure -max_total_time=600 -max_len=400 CORPUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEED(good)                                                                                 \
    do {                                                                                           \
        if (!(good)) abort();                                                                      \
    } while (0)
#define MUST(call)               NEED((call) == GR_OK)
#define ck_assert_ptr_nonnull(p) NEED((p) != NULL)
#define ck_assert_ptr_null(p)    NEED((p) == NULL)
#define ck_assert_int_eq(a, b)   NEED((a) == (b))
#define ck_assert_uint_eq(a, b)  NEED((a) == (b))
#define ck_assert_msg(good, ...) NEED(good)

static char scratch[] = "/tmp/granary-fuzz-XXXXXX";
static const char *in_scratch(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

#include "../unit/secure_parties.h"

enum { N = 4, MANY = GR_SECURE_COMPLETE_MAX + 1, SIDES = 2, SELDOM = 240 };
enum {
    ADVERT,
    SHARES,
    PIECES,
    OPENING,
    SECRETS,
    REVEAL_OF_MANY,
    SHARES_OF_MANY,
    PIECES_OF_MANY,
    STEPS
};

static struct secure_trial *trials[2], *trial;
static bool began;

static void begin_once(void) {
    if (began) return;
    began = true;
    if (gr_base_start() != GR_OK) abort();
    if (!mkdtemp(scratch)) abort();
    keys_make(MANY);
    trials[1] = trial_make(MANY, gr_secure_threshold_default(MANY));
    trial_keep_journals(trials[1], 0); /* which are those of the few */
    trials[0] = trial_make(N, 3);
}

/* The true message of the step, of the collector to party 0 or of party 0 to the collector. */
static struct gr_secure_message true_message(unsigned step, bool of_party) {
    struct gr_secure_message told_0, out = {0};
    struct gr_secure_party *party = trial->parties[0];
    if (!of_party) return told(trial, 0);
    if (step == ADVERT) {
        MUST(gr_secure_party_advertise(party, &out));
        return out;
    }
    told_0 = told(trial, 0);
    if (step == REVEAL_OF_MANY) MUST(gr_secure_party_reveal(party, told_0.bytes, told_0.n, &out));
    if (step == SHARES || step == SHARES_OF_MANY)
        MUST(gr_secure_party_share(party, told_0.bytes, told_0.n, &out));
    if (step == OPENING) MUST(gr_secure_party_open_shares(party, told_0.bytes, told_0.n, &out));
    gr_free(told_0.bytes);
    return out;
}

static gr_status give_it(unsigned step, bool of_party, const void *bytes, size_t n) {
    struct gr_secure_party *party = trial->parties[0];
    struct gr_secure_message out = {0};
    gr_status status;
    if (of_party) return gr_secure_collector_take(trial->collector, 0, bytes, n);
    if (step == REVEAL_OF_MANY)
        status = gr_secure_party_reveal(party, bytes, n, &out);
    else if (step == SHARES || step == SHARES_OF_MANY)
        status = gr_secure_party_share(party, bytes, n, &out);
    else if (step == PIECES || step == PIECES_OF_MANY)
        status = gr_secure_party_take_pieces(party, bytes, n);
    else if (step == OPENING)
        status = gr_secure_party_open_shares(party, bytes, n, &out);
    else
        status = gr_secure_party_take_secrets(party, bytes, n);
    gr_free(out.bytes);
    return status;
}

/* All steps before. */
static void up_to(unsigned step) {
    trial = trials[step >= REVEAL_OF_MANY];
    trial_begin(trial);
    if (step == ADVERT) return;
    MUST(step_advert(trial));
    if (step == SHARES || step == REVEAL_OF_MANY) return;
    MUST(step_reveal(trial));
    if (step == SHARES_OF_MANY) return;
    MUST(step_shares(trial));
    if (step == PIECES || step == PIECES_OF_MANY) return;
    step_sum(trial);
    MUST(step_roster(trial));
    if (step == OPENING) return;
    MUST(step_opening(trial));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin_once();
    if (size < 2) return 0;
    const unsigned side = data[0] / SIDES,
                   step = data[0] < SELDOM ? side % REVEAL_OF_MANY
                                           : REVEAL_OF_MANY + side % (STEPS - REVEAL_OF_MANY);
    const bool of_party =
                   data[0] % SIDES && step != PIECES && step != SECRETS && step != PIECES_OF_MANY,
               changes = data[1] % 2;
    if (step == ADVERT && !of_party) return 0;
    up_to(step);
    if (changes) {
        struct gr_secure_message message = true_message(step, of_party);
        unsigned char *before = malloc(message.n);
        memcpy(before, message.bytes, message.n);
        for (size_t i = 2; i + 2 < size; i += 3)
            message.bytes[(data[i] | (size_t)data[i + 1] << 8) % message.n] = data[i + 2];
        const size_t head = sizeof(struct gr_secure_head);
        const bool same = memcmp(before, message.bytes, message.n) == 0,
                   open = step == PIECES_OF_MANY && message.n > head + GR_PARTY_SET_BYTES &&
                          memcmp(before + head, message.bytes + head, GR_PARTY_SET_BYTES) != 0;
        if ((give_it(step, of_party, message.bytes, message.n) == GR_OK) != same && !open) abort();
        free(before);
        gr_free(message.bytes);
    } else {
        unsigned char *copy = malloc(size - 1);
        memcpy(copy, data + 2, size - 2);
        if (give_it(step, of_party, copy, size - 2) == GR_OK) abort();
        free(copy);
    }
    trial_end(trial);
    return 0;
}
