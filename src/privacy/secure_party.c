/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A party of a secure sum. Each function that takes a message checks all of it before anything is
 * kept or leaves; the first lie ends the party, with its secrets wiped, so that no second question
 * can be asked.
 */
#include "privacy/secure_check.h"
#include "privacy/secure_mask.h"
#include "privacy/shamir.h"

#include <sodium.h>
#include <stdio.h>

enum phase { BEGUN, ADVERTISED, SHARED, MASKING, SIGNED, OPENED, DONE, ENDED };

/* Of 2 kinds: 0 is the self mask's, 1 the pair masks'. */
struct secure_secrets {
    unsigned char cipher[GR_KEY_BYTES], mask[GR_KEY_BYTES];    /* X25519 */
    unsigned char seed[GR_SECURE_SECRET_BYTES];                /* of the self mask */
    unsigned char pieces[GR_SECURE_PARTIES_MAX][GR_KEY_BYTES]; /* X25519 with each one's cipher */
    unsigned char pairs[GR_SECURE_PARTIES_MAX][GR_STREAM_KEY_BYTES];      /* pair masks' streams */
    unsigned char own[2][GR_SECURE_PARTIES_MAX][GR_SECURE_SECRET_BYTES];  /* shares, for others */
    unsigned char held[2][GR_SECURE_PARTIES_MAX][GR_SECURE_SECRET_BYTES]; /* of others */
};

struct gr_secure_party {
    struct gr_secure_party_options options;
    enum phase phase;
    unsigned char id[GR_DIGEST_BYTES], list[GR_DIGEST_BYTES];
    struct gr_secure_advert adverts[GR_SECURE_PARTIES_MAX];
    struct gr_party_set listed, sharers, summed;
    struct gr_secure_roster roster; /* which this party has signed */
    unsigned char roster_digest[GR_DIGEST_BYTES];
    struct secure_secrets *secrets; /* owned; NULL: wiped */
    uint64_t position;              /* bytes of the streams that were used */
    struct gr_secure_masks masks;   /* in the total */
};

/* ---- beginning and ending -------------------------------------------------------------------- */

/* sodium_free wipes. */
static void wipe(struct gr_secure_party *party) {
    sodium_free(party->secrets);
    party->secrets = NULL;
}

/* Ends the party unless status is GR_OK; returns status. */
static gr_status settle(struct gr_secure_party *party, gr_status status) {
    if (status == GR_OK) return status;
    wipe(party);
    party->phase = ENDED;
    return status;
}

static gr_status expect_phase(const struct gr_secure_party *party, enum phase phase) {
    if (party->phase == phase) return GR_OK;
    if (party->phase == ENDED)
        return gr_fail(GR_ERROR_POLICY, "secure sum: this party has ended it");
    return gr_fail(GR_ERROR_POLICY, "secure sum: a message out of turn: step %d, expected %d",
                   (int)phase, (int)party->phase);
}

/* The threshold is the terms'. */
static gr_status expect_enough(const struct gr_secure_party *party, struct gr_party_set set,
                               const char *what) {
    const uint32_t n = gr_party_set_count(set), least = party->options.terms.threshold;
    return n >= least
               ? GR_OK
               : gr_fail(GR_STOPPED, "secure sum: %u of %u parties %s, expected %u; it is void", n,
                         party->options.terms.n_parties, what, least);
}

void gr_secure_party_free(struct gr_secure_party *party) {
    if (!party) return;
    wipe(party);
    gr_secure_masks_release(&party->masks);
    gr_free(party);
}

static gr_status check_options(const struct gr_secure_party_options *options) {
    const struct gr_secure_terms *terms = &options->terms;
    gr_status status;
    GR_TRY(gr_secure_terms_check(terms));
    if (options->me >= terms->n_parties ||
        memcmp(gr_keys_public(options->keys), &terms->identities[options->me],
               sizeof(struct gr_public_key)) != 0)
        return gr_fail(GR_ERROR_CONFIG, "secure sum: the key of party %u is not this party's",
                       options->me);
    if (terms->threshold < options->least_threshold)
        status =
            gr_fail(GR_ERROR_POLICY,
                    "secure sum: a threshold of %u, expected %u or more by this party's policy",
                    terms->threshold, options->least_threshold);
out:
    return status;
}

gr_status gr_secure_party_create(const struct gr_secure_party_options *options,
                                 struct gr_secure_party **out) {
    gr_status status;
    struct gr_secure_party *party = NULL;
    GR_TRY(check_options(options));
    GR_TRY(gr_allocate_zero(1, sizeof *party, "a party of a secure sum", &party));
    party->options = *options;
    party->secrets = sodium_malloc(sizeof *party->secrets);
    if (!party->secrets) {
        status = gr_fail(GR_ERROR_INTERNAL, "locked memory of %zu bytes was refused",
                         sizeof *party->secrets);
        goto out;
    }
    gr_secure_terms_id(&options->terms, party->id);
    GR_TRY(gr_sum_journal_begin(options->journal, options->terms.counter, party->id));
    randombytes_buf(party->secrets->cipher, sizeof party->secrets->cipher);
    randombytes_buf(party->secrets->mask, sizeof party->secrets->mask);
    randombytes_buf(party->secrets->seed, sizeof party->secrets->seed);
    *out = party;
    party = NULL;
out:
    gr_secure_party_free(party);
    return status;
}

/* ---- advertise ------------------------------------------------------------------------------- */

gr_status gr_secure_party_advertise(struct gr_secure_party *party, struct gr_secure_message *out) {
    gr_status status;
    const uint32_t me = party->options.me;
    struct gr_secure_advert *advert = &party->adverts[me];
    GR_TRY(expect_phase(party, BEGUN));
    GR_TRY(gr_secure_message_begin(GR_SECURE_ADVERT, party->id, me, sizeof *advert, out));
    memcpy(&advert->head, out->bytes, sizeof advert->head);
    (void)crypto_scalarmult_base(advert->cipher, party->secrets->cipher);
    (void)crypto_scalarmult_base(advert->mask, party->secrets->mask);
    gr_secure_commitment(party->id, me, party->secrets->seed, advert->commitment);
    memcpy(advert->model, party->options.terms.model, sizeof advert->model);
    gr_secure_message_sign(party->options.keys, advert, sizeof *advert);
    memcpy(out->bytes, advert, sizeof *advert);
    party->phase = ADVERTISED;
out:
    return settle(party, status);
}

/* ---- share ------------------------------------------------------------------------------------
 */

/* Keys that any two parties have in common would make one mask of two. */
static gr_status check_distinct(const struct gr_secure_party *party, uint32_t p) {
    for (uint32_t q = 0; q < p; q++) {
        const struct gr_secure_advert *a = &party->adverts[p], *b = &party->adverts[q];
        if (!gr_party_set_has(party->listed, q)) continue;
        if (memcmp(a->mask, b->mask, GR_KEY_BYTES) == 0 ||
            memcmp(a->cipher, b->cipher, GR_KEY_BYTES) == 0 ||
            memcmp(a->mask, b->cipher, GR_KEY_BYTES) == 0 ||
            memcmp(a->cipher, b->mask, GR_KEY_BYTES) == 0)
            return gr_fail(GR_ERROR_POLICY, "secure sum: parties %u and %u show one key", q, p);
    }
    return GR_OK;
}

/* X25519 with both of the other's keys. */
static gr_status agree(struct gr_secure_party *party, uint32_t p) {
    struct secure_secrets *s = party->secrets;
    unsigned char shared[GR_KEY_BYTES];
    if (crypto_scalarmult(s->pieces[p], s->cipher, party->adverts[p].cipher) != 0 ||
        crypto_scalarmult(shared, s->mask, party->adverts[p].mask) != 0)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: a key of party %u is of small order, and would hide nothing",
                       p);
    gr_secure_pair_stream(party->id, party->options.me, p, shared, s->pairs[p]);
    sodium_memzero(shared, sizeof shared);
    return GR_OK;
}

static gr_status take_advert(struct gr_secure_party *party, const unsigned char *bytes) {
    gr_status status;
    struct gr_secure_advert advert;
    memcpy(&advert, bytes, sizeof advert);
    const uint32_t p = advert.head.from;
    if (p >= party->options.terms.n_parties || gr_party_set_has(party->listed, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: party %u is in the list %s", p,
                       p >= party->options.terms.n_parties ? "and not of the study" : "twice");
    if (p == party->options.me && memcmp(&advert, &party->adverts[p], sizeof advert) != 0)
        return gr_fail(GR_ERROR_POLICY, "secure sum: the list has other keys for this party");
    GR_TRY(gr_secure_advert_check(&party->options.terms, party->id, p, bytes, sizeof advert));
    party->adverts[p] = advert;
    GR_TRY(check_distinct(party, p));
    gr_party_set_add(&party->listed, p);
    if (p != party->options.me) GR_TRY(agree(party, p));
out:
    return status;
}

static gr_status take_list(struct gr_secure_party *party, const void *list, size_t n) {
    gr_status status;
    uint32_t n_adverts;
    const size_t size = sizeof(struct gr_secure_advert);
    GR_TRY(gr_secure_message_check(list, n, GR_SECURE_LIST, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at =
        gr_secure_message_items(list, n, sizeof(struct gr_secure_head), size, 0, &n_adverts);
    if (!at) return gr_fail(GR_ERROR_POLICY, "secure sum: a list of keys of %zu bytes", n);
    for (uint32_t i = 0; i < n_adverts; i++)
        GR_TRY(take_advert(party, at + i * size));
    if (!gr_party_set_has(party->listed, party->options.me))
        return gr_fail(GR_ERROR_POLICY, "secure sum: this party is not in the list");
    GR_TRY(expect_enough(party, party->listed, "have shown keys"));
    gr_secure_list_digest(list, n, party->list);
out:
    return status;
}

/* Of one direction of one pair in one sum, and for one message: its nonce is 0. */
static void piece_key(const struct gr_secure_party *party, uint32_t from, uint32_t to,
                      unsigned char out[crypto_aead_chacha20poly1305_ietf_KEYBYTES]) {
    static const char title[] = "granary: a sealed share";
    const uint32_t words[2] = {from, to};
    const uint32_t other = from == party->options.me ? to : from;
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, party->id, sizeof party->id);
    gr_digest_add(&digest, party->list, sizeof party->list);
    gr_digest_add(&digest, words, sizeof words);
    gr_digest_add(&digest, party->secrets->pieces[other], GR_KEY_BYTES);
    gr_digest_finish(&digest, out);
    sodium_memzero(&digest, sizeof digest);
}

static const unsigned char nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
_Static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == GR_DIGEST_BYTES, "a key is a digest");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES + 2 * GR_SECURE_SECRET_BYTES ==
                   GR_SECURE_PIECE_SEALED,
               "two shares and a tag");

static void seal_piece(const struct gr_secure_party *party, uint32_t to, unsigned char *at) {
    struct gr_secure_piece piece = {.party = to};
    unsigned char shares[2 * GR_SECURE_SECRET_BYTES], key[GR_DIGEST_BYTES];
    for (int kind = 0; kind < 2; kind++) {
        const struct gr_secure_share_of of = {party->id, party->options.me, to,
                                              kind ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        const unsigned char *share = party->secrets->own[kind][to];
        memcpy(shares + (size_t)kind * GR_SECURE_SECRET_BYTES, share, GR_SECURE_SECRET_BYTES);
        gr_secure_share_digest(&of, share, piece.digest[kind]);
    }
    piece_key(party, party->options.me, to, key);
    crypto_aead_chacha20poly1305_ietf_encrypt(piece.sealed, NULL, shares, sizeof shares,
                                              (const unsigned char *)piece.digest,
                                              sizeof piece.digest, NULL, nonce, key);
    sodium_memzero(shares, sizeof shares);
    sodium_memzero(key, sizeof key);
    memcpy(at, &piece, sizeof piece);
}

/* Head, the list's digest, a count, a piece for each listed party (this one's own has no use but
 * its digests, by which the collector knows a true share), signature. */
static gr_status write_shares(struct gr_secure_party *party, struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    const size_t size = sizeof(struct gr_secure_piece);
    const struct gr_secure_items shape = {.skip = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES,
                                          .size = size,
                                          .tail = GR_SIGNATURE_BYTES,
                                          .n = gr_party_set_count(party->listed)};
    GR_TRY(gr_secure_message_begin_items(GR_SECURE_SHARES, party->id, party->options.me, shape, out,
                                         &at));
    memcpy(out->bytes + sizeof(struct gr_secure_head), party->list, GR_DIGEST_BYTES);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++) {
        if (!gr_party_set_has(party->listed, p)) continue;
        seal_piece(party, p, at);
        at += size;
    }
    gr_secure_message_sign(party->options.keys, out->bytes, out->n);
out:
    return status;
}

gr_status gr_secure_party_share(struct gr_secure_party *party, const void *list, size_t n,
                                struct gr_secure_message *out) {
    gr_status status;
    struct secure_secrets *s = party->secrets;
    const uint32_t n_parties = party->options.terms.n_parties, me = party->options.me;
    GR_TRY(expect_phase(party, ADVERTISED));
    GR_TRY(take_list(party, list, n));
    const uint32_t threshold = party->options.terms.threshold;
    GR_TRY(gr_shamir_split(s->seed, threshold, n_parties, s->own[0]));
    GR_TRY(gr_shamir_split(s->mask, threshold, n_parties, s->own[1]));
    /* Nobody else could open the piece for itself, so its key is one that nobody knows. */
    randombytes_buf(s->pieces[me], GR_KEY_BYTES);
    GR_TRY(write_shares(party, out));
    for (int kind = 0; kind < 2; kind++)
        memcpy(s->held[kind][me], s->own[kind][me], GR_SECURE_SECRET_BYTES);
    sodium_memzero(s->own, sizeof s->own);
    party->phase = SHARED;
out:
    return settle(party, status);
}

/* ---- pieces -----------------------------------------------------------------------------------
 */

static gr_status open_piece(struct gr_secure_party *party, const unsigned char *at) {
    struct gr_secure_piece piece;
    unsigned char shares[2 * GR_SECURE_SECRET_BYTES], key[GR_DIGEST_BYTES], made[GR_DIGEST_BYTES];
    const uint32_t me = party->options.me;
    memcpy(&piece, at, sizeof piece);
    const uint32_t p = piece.party;
    if (p == me || !gr_party_set_has(party->listed, p) || gr_party_set_has(party->sharers, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: shares of party %u, which is %s", p,
                       gr_party_set_has(party->listed, p) ? "there already" : "not in the list");
    piece_key(party, p, me, key);
    bool good = crypto_aead_chacha20poly1305_ietf_decrypt(
                    shares, NULL, NULL, piece.sealed, sizeof piece.sealed,
                    (const unsigned char *)piece.digest, sizeof piece.digest, nonce, key) == 0;
    for (int kind = 0; kind < 2 && good; kind++) {
        const struct gr_secure_share_of of = {party->id, p, me,
                                              kind ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        unsigned char *held = party->secrets->held[kind][p];
        memcpy(held, shares + (size_t)kind * GR_SECURE_SECRET_BYTES, GR_SECURE_SECRET_BYTES);
        gr_secure_share_digest(&of, held, made);
        good = memcmp(made, piece.digest[kind], sizeof made) == 0;
    }
    sodium_memzero(shares, sizeof shares);
    sodium_memzero(key, sizeof key);
    if (!good)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: the shares of party %u were not sealed by it for this party, "
                       "this sum and this list of keys",
                       p);
    gr_party_set_add(&party->sharers, p);
    return GR_OK;
}

gr_status gr_secure_party_take_pieces(struct gr_secure_party *party, const void *pieces, size_t n) {
    gr_status status;
    uint32_t n_pieces;
    const size_t size = sizeof(struct gr_secure_piece);
    GR_TRY(expect_phase(party, SHARED));
    GR_TRY(gr_secure_message_check(pieces, n, GR_SECURE_PIECES, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at =
        gr_secure_message_items(pieces, n, sizeof(struct gr_secure_head), size, 0, &n_pieces);
    if (!at) {
        status = gr_fail(GR_ERROR_POLICY, "secure sum: shares of %zu bytes", n);
        goto out;
    }
    for (uint32_t i = 0; i < n_pieces; i++)
        GR_TRY(open_piece(party, at + i * size));
    gr_party_set_add(&party->sharers, party->options.me);
    GR_TRY(expect_enough(party, party->sharers, "have given shares"));
    party->phase = MASKING;
out:
    return settle(party, status);
}

/* ---- the masked sum ---------------------------------------------------------------------------
 */

gr_status gr_secure_range_check(struct gr_stream_range range) {
    const uint32_t width = range.bits / 8;
    if ((range.bits != 16 && range.bits != 32 && range.bits != 64) || range.position % width != 0 ||
        range.position > GR_KEY_STREAM_MAX ||
        range.n > (GR_KEY_STREAM_MAX - range.position) / width)
        return gr_fail(GR_ERROR_INTERNAL, "a mask of %zu words of %u bits from byte %llu on",
                       range.n, range.bits, (unsigned long long)range.position);
    return GR_OK;
}

gr_status gr_secure_party_mask(struct gr_secure_party *party, struct gr_party_set beside,
                               struct gr_stream_range range, void *words) {
    gr_status status;
    const uint32_t me = party->options.me;
    unsigned char key[GR_STREAM_KEY_BYTES];
    GR_TRY(expect_phase(party, MASKING));
    GR_TRY(gr_secure_range_check(range));
    if (range.position < party->position) {
        status = gr_fail(GR_ERROR_INTERNAL,
                         "secure sum: byte %llu of a mask is used a second time, expected %llu or "
                         "more",
                         (unsigned long long)range.position, (unsigned long long)party->position);
        goto out;
    }
    party->position = range.position + range.n * (range.bits / 8);
    gr_secure_self_stream(party->id, me, party->secrets->seed, key);
    gr_key_stream_add(key, range, false, words);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++)
        if (p != me && gr_party_set_has(party->sharers, p) && !gr_party_set_has(beside, p))
            gr_key_stream_add(party->secrets->pairs[p], range, p < me, words);
    sodium_memzero(key, sizeof key);
out:
    return settle(party, status);
}

/* ---- the roster -------------------------------------------------------------------------------
 */

static gr_status check_summed(const struct gr_secure_party *party, struct gr_party_set summed) {
    if (!gr_party_set_within(summed, party->sharers))
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: a roster with a party that has given no shares");
    if (!gr_party_set_has(summed, party->options.me))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a roster without this party");
    return expect_enough(party, summed, "are in the sum");
}

gr_status gr_secure_party_sign(struct gr_secure_party *party, struct gr_party_set summed,
                               const unsigned char total[GR_DIGEST_BYTES],
                               struct gr_secure_message *out) {
    gr_status status;
    struct gr_secure_roster *roster = &party->roster;
    struct gr_sum_subject subject;
    GR_TRY(expect_phase(party, MASKING));
    GR_TRY(check_summed(party, summed));
    gr_secure_terms_subject(&party->options.terms, summed, &subject);
    GR_TRY(gr_sum_journal_check(party->options.journal, &subject));
    GR_TRY(gr_secure_message_begin(GR_SECURE_ROSTER, party->id, party->options.me, sizeof *roster,
                                   out));
    memcpy(&roster->head, out->bytes, sizeof roster->head);
    memcpy(roster->list, party->list, sizeof roster->list);
    memcpy(roster->sharers, &party->sharers.bits, sizeof roster->sharers);
    memcpy(roster->summed, &summed.bits, sizeof roster->summed);
    memcpy(roster->total, total, sizeof roster->total);
    memcpy(roster->model, party->options.terms.model, sizeof roster->model);
    gr_secure_roster_digest(roster, party->roster_digest);
    status = gr_sum_journal_roster(party->options.journal, party->id, party->roster_digest);
    if (status != GR_OK) goto unsigned_roster;
    gr_secure_message_sign(party->options.keys, roster, sizeof *roster);
    memcpy(out->bytes, roster, sizeof *roster);
    party->summed = summed;
    party->phase = SIGNED;
    return GR_OK;
unsigned_roster:
    gr_free(out->bytes);
    *out = (struct gr_secure_message){0};
out:
    return settle(party, status);
}

/* A roster that is signed and differs proves that somebody was told another. */
static gr_status take_roster(struct gr_secure_party *party, const unsigned char *at,
                             struct gr_party_set *agreeing) {
    struct gr_secure_roster roster;
    gr_status status;
    memcpy(&roster, at, sizeof roster);
    const uint32_t p = roster.head.from;
    GR_TRY(gr_secure_message_check(at, sizeof roster, GR_SECURE_ROSTER, party->id, p));
    if (!gr_party_set_has(party->summed, p) || gr_party_set_has(*agreeing, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a signature of party %u, which %s", p,
                       gr_party_set_has(*agreeing, p) ? "has signed already" : "is not in the sum");
    if (!gr_secure_message_verify(&party->options.terms.identities[p], at, sizeof roster))
        return gr_fail(GR_ERROR_POLICY, "secure sum: the roster of party %u is not signed by it",
                       p);
    if (!gr_secure_roster_same(&roster, &party->roster))
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: party %u was told another roster, total or list of keys", p);
    gr_party_set_add(agreeing, p);
out:
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Head, the roster's digest, a count, a share of each sharer, signature. */
static gr_status write_opening(struct gr_secure_party *party, struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    const size_t size = sizeof(struct gr_secure_opened);
    const struct gr_secure_items shape = {.skip = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES,
                                          .size = size,
                                          .tail = GR_SIGNATURE_BYTES,
                                          .n = gr_party_set_count(party->sharers)};
    GR_TRY(gr_secure_message_begin_items(GR_SECURE_OPENING, party->id, party->options.me, shape,
                                         out, &at));
    memcpy(out->bytes + sizeof(struct gr_secure_head), party->roster_digest, GR_DIGEST_BYTES);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++) {
        if (!gr_party_set_has(party->sharers, p)) continue;
        const bool lost = !gr_party_set_has(party->summed, p);
        struct gr_secure_opened opened = {
            .party = p, .which = lost ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        memcpy(opened.bytes, party->secrets->held[lost][p], sizeof opened.bytes);
        memcpy(at, &opened, sizeof opened);
        at += size;
    }
    gr_secure_message_sign(party->options.keys, out->bytes, out->n);
out:
    return status;
}

gr_status gr_secure_party_open_shares(struct gr_secure_party *party, const void *rosters, size_t n,
                                      struct gr_secure_message *out) {
    gr_status status;
    uint32_t n_rosters;
    struct gr_party_set agreeing = {0};
    struct gr_sum_subject subject;
    const size_t size = sizeof(struct gr_secure_roster);
    GR_TRY(expect_phase(party, SIGNED));
    GR_TRY(gr_secure_message_check(rosters, n, GR_SECURE_ROSTERS, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at =
        gr_secure_message_items(rosters, n, sizeof(struct gr_secure_head), size, 0, &n_rosters);
    if (!at) {
        status = gr_fail(GR_ERROR_POLICY, "secure sum: rosters of %zu bytes", n);
        goto out;
    }
    for (uint32_t i = 0; i < n_rosters; i++)
        GR_TRY(take_roster(party, at + i * size, &agreeing));
    GR_TRY(expect_enough(party, agreeing, "have signed the roster"));
    gr_secure_terms_subject(&party->options.terms, party->summed, &subject);
    GR_TRY(
        gr_sum_journal_shares(party->options.journal, party->id, party->roster_digest, &subject));
    GR_TRY(write_opening(party, out));
    wipe(party);
    party->phase = OPENED;
out:
    return settle(party, status);
}

/* ---- unmasking --------------------------------------------------------------------------------
 */

static struct gr_secure_roll roll_of(const struct gr_secure_party *party) {
    return (struct gr_secure_roll){party->id, party->adverts, party->sharers, party->summed};
}

static gr_status take_secret(struct gr_secure_party *party, const unsigned char *at,
                             struct gr_party_set *opened_of) {
    struct gr_secure_opened opened;
    memcpy(&opened, at, sizeof opened);
    const uint32_t p = opened.party;
    const enum gr_secure_share which =
        gr_party_set_has(party->summed, p) ? GR_SECURE_SHARE_SELF : GR_SECURE_SHARE_PAIR;
    if (!gr_party_set_has(party->sharers, p) || gr_party_set_has(*opened_of, p) ||
        opened.which != which || !gr_secure_secret_is(&party->adverts[p], which, opened.bytes))
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: the secret told of party %u is not the one to which it is "
                       "committed",
                       p);
    gr_party_set_add(opened_of, p);
    const struct gr_secure_roll roll = roll_of(party);
    return gr_secure_masks_add(&party->masks, &roll, &opened);
}

gr_status gr_secure_party_take_secrets(struct gr_secure_party *party, const void *secrets,
                                       size_t n) {
    gr_status status;
    uint32_t n_secrets;
    struct gr_party_set opened_of = {0};
    const size_t size = sizeof(struct gr_secure_opened);
    const struct gr_secure_roll roll = roll_of(party);
    const size_t expected = gr_party_set_count(party->sharers);
    GR_TRY(expect_phase(party, OPENED));
    GR_TRY(gr_secure_message_check(secrets, n, GR_SECURE_SECRETS, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at =
        gr_secure_message_items(secrets, n, sizeof(struct gr_secure_head), size, 0, &n_secrets);
    if (!at || n_secrets != expected) {
        status = gr_fail(GR_ERROR_POLICY, "secure sum: secrets of %zu bytes, expected %zu of them",
                         n, expected);
        goto out;
    }
    GR_TRY(gr_secure_masks_create(&roll, &party->masks));
    for (uint32_t i = 0; i < n_secrets; i++)
        GR_TRY(take_secret(party, at + i * size, &opened_of));
    party->phase = DONE;
out:
    return settle(party, status);
}

gr_status gr_secure_party_unmask(const struct gr_secure_party *party, struct gr_stream_range range,
                                 void *words) {
    gr_status status;
    GR_TRY(expect_phase(party, DONE));
    GR_TRY(gr_secure_range_check(range));
    gr_secure_masks_take_off(&party->masks, range, words);
out:
    return status;
}
