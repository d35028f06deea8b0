/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, with letters after they are opened: a coordinator and two sites over a bag in which the
 * input doubles, drops, reorders, cuts and changes letters, signs changed ones anew as their party
 * could, and starts the parties anew. Each byte is an order, with the bytes behind it as its
 * numbers. Whatever happens: of each session the messages come once, in order and unchanged, as
 * long as no party cheats (signs a changed letter); memory stays in its limits; nothing crashes.
 *   make MODE=fuzz CC=clang ROOMS="base post" build/fuzz/tests/fuzz/fuzz_post
 *   build/fuzz/tests/fuzz/fuzz_post -max_total_time=600 -max_len=400 CORPUS tests/fuzz/corpus/post
 */
#include "post/session.h"

#include "fuzz_parties.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { BAG = 400 };

struct fuzz_carrier {
    struct gr_carrier carrier;
    uint32_t me;
};

static struct gr_letter *bag[BAG];
static size_t n_bag;
static struct fuzz_carrier ways[FUZZ_PARTIES];
static struct gr_carrier *carriers[FUZZ_PARTIES];
static struct gr_post *posts[FUZZ_PARTIES];
static bool cheated;
/* Of each party with each: what it has sent in its session of this number, and has to take next. */
static uint32_t sent[FUZZ_PARTIES][FUZZ_PARTIES], in[FUZZ_PARTIES][FUZZ_PARTIES];
static uint32_t expected[FUZZ_PARTIES][FUZZ_PARTIES], of_session[FUZZ_PARTIES][FUZZ_PARTIES];

static void add(struct gr_letter *letter) {
    if (n_bag == BAG) { /* the oldest is lost */
        gr_free(bag[0]);
        memmove(bag, bag + 1, --n_bag * sizeof(struct gr_letter *));
    }
    bag[n_bag++] = letter;
}

static struct gr_letter *remove_at(size_t i) {
    struct gr_letter *letter = bag[i];
    memmove(bag + i, bag + i + 1, (--n_bag - i) * sizeof(struct gr_letter *));
    return letter;
}

static gr_status put(struct gr_carrier *carrier, struct gr_letter *letter) {
    (void)carrier;
    add(letter);
    return GR_OK;
}

static gr_status take(struct gr_carrier *carrier, struct gr_letter **out) {
    const uint32_t me = ((struct fuzz_carrier *)carrier)->me;
    *out = NULL;
    for (size_t i = 0; i < n_bag && !*out; i++)
        if (bag[i]->label.to == me) *out = remove_at(i);
    return GR_OK;
}

static void forget(struct gr_carrier *carrier, uint32_t to, const unsigned char *session,
                   uint64_t counter) {
    (void)carrier, (void)to, (void)session, (void)counter;
}

static double silent_s(struct gr_carrier *carrier, uint32_t party) {
    (void)carrier, (void)party;
    return 1e9;
}

static void describe(struct gr_carrier *carrier, char *out, size_t size) {
    (void)carrier;
    snprintf(out, size, "a bag");
}

static void close_bag(struct gr_carrier *carrier) {
    (void)carrier;
}

static const struct gr_carrier_kind kind = {.name = "bag",
                                            .put = put,
                                            .take = take,
                                            .forget = forget,
                                            .silent_s = silent_s,
                                            .describe = describe,
                                            .close = close_bag};

static void open_post(uint32_t p) {
    ways[p] = (struct fuzz_carrier){.carrier = {.kind = &kind}, .me = p};
    carriers[p] = &ways[p].carrier;
    const struct gr_post_options options = {.who = {.keys = fuzz_keys[p],
                                                    .parties = fuzz_parties,
                                                    .n_parties = FUZZ_PARTIES,
                                                    .me = p,
                                                    .study = fuzz_study},
                                            .carriers = &carriers[p],
                                            .n_carriers = 1,
                                            .greeting = fuzz_parties[p].name,
                                            .greeting_bytes = 7};
    gr_post_close(posts[p]);
    memset(in[p], 0, sizeof in[p]);
    INSIST(gr_post_open(&options, &posts[p]) == GR_OK);
}

/* A message holds its sender, the sender's number of the session, and its place in it. */
static void send(uint32_t from, uint32_t to, size_t n) {
    static const unsigned char zeros[256];
    const uint32_t present = gr_post_session(posts[from], to);
    if (present != in[from][to]) sent[from][to] = 0;
    in[from][to] = present;
    const uint32_t words[] = {from, (uint32_t)n, sent[from][to]};
    const struct gr_post_part parts[] = {{words, sizeof words}, {zeros, n}};
    const gr_status status = gr_post_send(posts[from], to, parts, 2);
    INSIST(status == GR_OK || status == GR_STOPPED || status == GR_ERROR_WRITE);
    if (status == GR_OK) sent[from][to]++;
}

static void receive(uint32_t me) {
    struct gr_post_message message;
    const gr_status status = gr_post_receive(posts[me], &message);
    INSIST(status == GR_OK || status == GR_ERROR_USAGE);
    if (message.kind == GR_POST_GREETING) {
        INSIST(cheated || (message.n == 7 && memcmp(message.bytes, "party-", 6) == 0));
        of_session[me][message.party] = message.session;
        expected[me][message.party] = 0;
    } else if (message.kind == GR_POST_MESSAGE && !cheated) {
        uint32_t words[3];
        INSIST(message.session == of_session[me][message.party]);
        INSIST(message.n >= sizeof words);
        memcpy(words, message.bytes, sizeof words);
        INSIST(words[0] == message.party && message.n == sizeof words + words[1]);
        INSIST(words[2] == expected[me][message.party]);
        expected[me][message.party] = words[2] + 1;
    }
    gr_free(message.memory);
}

static void sign_again(struct gr_letter *letter) {
    unsigned char claim[GR_DIGEST_BYTES + 128];
    unsigned char *head = letter->bytes;
    if (letter->n < GR_LETTER_HEAD_BYTES) return;
    const uint32_t from = gr_letter_read_head(head).label.from;
    if (from >= FUZZ_PARTIES) return;
    fuzz_checksum(head, letter->n);
    memcpy(claim, fuzz_study, GR_DIGEST_BYTES);
    memcpy(claim + GR_DIGEST_BYTES, head, 128);
    gr_keys_sign(fuzz_keys[from], "letter", claim, sizeof claim, head + 128);
    cheated = true;
}

static void tamper(uint8_t order, uint8_t a, uint8_t b) {
    if (n_bag == 0) return;
    const size_t i = a % n_bag;
    struct gr_letter *letter = bag[i];
    switch (order % 8) {
    case 0: /* doubled */
    case 1: {
        struct gr_letter *copy = malloc(sizeof *copy + letter->n);
        INSIST(copy);
        memcpy(copy, letter, sizeof *copy + letter->n);
        add(copy);
        break;
    }
    case 2: /* lost */
        gr_free(remove_at(i));
        break;
    case 3: /* later */
    case 4:
        add(remove_at(i));
        break;
    case 5: /* changed in the body or the head */
        if (letter->n > b) letter->bytes[b] ^= (unsigned char)(1U << (order >> 4) % 8);
        break;
    case 6: /* cut */
        if (letter->n > b) letter->n -= b;
        break;
    default: /* signed anew */
        sign_again(letter);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    fuzz_parties_make();
    cheated = false;
    for (uint32_t p = 0; p < FUZZ_PARTIES; p++)
        open_post(p);
    for (size_t i = 0; i + 2 < size; i += 3) {
        const uint32_t p = bytes[i + 1] % FUZZ_PARTIES, site = 1 + bytes[i + 2] % 2;
        switch (bytes[i] % 8) {
        case 0:
        case 1:
            send(p, p == 0 ? site : 0, bytes[i + 2]);
            break;
        case 2:
        case 3:
        case 4:
            receive(p);
            break;
        case 5:
            if (bytes[i + 2] % 4 == 0) open_post(p);
            if (bytes[i + 2] % 4 == 1) INSIST(gr_post_renew(posts[p]) == GR_OK);
            break;
        default:
            tamper(bytes[i] / 8, bytes[i + 1], bytes[i + 2]);
        }
        INSIST(posts[p]->early_bytes <= GR_CARRIER_HELD);
    }
    for (uint32_t p = 0; p < FUZZ_PARTIES; p++) {
        gr_post_close(posts[p]);
        posts[p] = NULL;
    }
    while (n_bag > 0)
        gr_free(bag[--n_bag]);
    return 0;
}
