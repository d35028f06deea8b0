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
#include <stdlib.h>

enum phase { BEGUN, ADVERTISED, REVEALED, SHARED, MASKING, SIGNED, OPENED, DONE, ENDED };

struct secure_secrets {
    unsigned char cipher[GR_KEY_BYTES], mask[GR_KEY_BYTES]; /* X25519 */
    unsigned char seed[GR_SECURE_SECRET_BYTES];             /* of the self mask */
    unsigned char draw[GR_SECURE_SECRET_BYTES];             /* to the graph's seed, once revealed */
};
/* What this party has in secret with a neighbour, or itself. Of 2 kinds: 0 is the self mask's, 1
 * the pair masks'. */
struct secure_neighbour {
    unsigned char piece[GR_KEY_BYTES];             /* X25519 with its cipher */
    unsigned char pair[GR_STREAM_KEY_BYTES];       /* pair mask's stream */
    unsigned char held[2][GR_SECURE_SECRET_BYTES]; /* shares of its secrets */
};

struct gr_secure_party {
    struct gr_secure_party_options options;
    enum phase phase;
    unsigned char id[GR_DIGEST_BYTES], list[GR_DIGEST_BYTES];
    struct gr_secure_advert *adverts; /* of all parties; owned */
    struct gr_secure_graph graph;
    struct gr_party_set listed, sharers, summed;
    struct gr_party_set around;           /* this party and its neighbours */
    uint16_t slot[GR_SECURE_PARTIES_MAX]; /* of each of these: how many of them are before it */
    struct gr_secure_roster roster;       /* which this party has signed */
    unsigned char roster_digest[GR_DIGEST_BYTES];
    struct secure_secrets *secrets;      /* owned; NULL: wiped */
    struct secure_neighbour *neighbours; /* by slot; owned; NULL: wiped */
    uint64_t position;                   /* bytes of the streams that were used */
    struct gr_secure_masks masks;        /* in the total */
};

/* ---- beginning and ending -------------------------------------------------------------------- */

/* sodium_free wipes. */
static void wipe(struct gr_secure_party *party) {
    sodium_free(party->secrets);
    sodium_free(party->neighbours);
    party->secrets = NULL;
    party->neighbours = NULL;
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
static gr_status expect_enough(const struct gr_secure_party *party, const struct gr_party_set *set,
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
    gr_free(party->adverts);
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
    GR_TRY(gr_allocate_zero(options->terms.n_parties, sizeof *party->adverts,
                            "a party of a secure sum", &party->adverts));
    party->secrets = sodium_malloc(sizeof *party->secrets);
    if (!party->secrets) {
        status = gr_fail(GR_ERROR_INTERNAL, "locked memory of %zu bytes was refused",
                         sizeof *party->secrets);
        goto out;
    }
    gr_secure_terms_id(&options->terms, party->id);
    GR_TRY(gr_sum_journal_begin(options->journal, options->terms.counter, party->id));
    randombytes_buf(party->secrets, sizeof *party->secrets);
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
    gr_secure_draw_commitment(party->id, me, party->secrets->draw, advert->draw);
    memcpy(advert->model, party->options.terms.model, sizeof advert->model);
    gr_secure_message_sign(party->options.keys, advert, sizeof *advert);
    memcpy(out->bytes, advert, sizeof *advert);
    party->phase = ADVERTISED;
out:
    return settle(party, status);
}

/* ---- the list of keys -------------------------------------------------------------------------
 */

struct shown_key {
    const unsigned char *key; /* GR_KEY_BYTES; borrowed */
    uint32_t party;
};
static int compare_keys(const void *a, const void *b) {
    return memcmp(((const struct shown_key *)a)->key, ((const struct shown_key *)b)->key,
                  GR_KEY_BYTES);
}

/* Keys that any two parties have in common would make one mask of two. */
static gr_status check_distinct(const struct gr_secure_party *party) {
    gr_status status;
    uint32_t n = 0;
    struct shown_key *keys;
    GR_TRY(gr_allocate(2 * (size_t)party->options.terms.n_parties, sizeof *keys, "a list of keys",
                       &keys));
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++) {
        if (!gr_party_set_has(&party->listed, p)) continue;
        keys[n++] = (struct shown_key){party->adverts[p].mask, p};
        keys[n++] = (struct shown_key){party->adverts[p].cipher, p};
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    for (uint32_t i = 1; i < n && status == GR_OK; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            status = gr_fail(GR_ERROR_POLICY, "secure sum: parties %u and %u show one key",
                             keys[i - 1].party, keys[i].party);
    gr_free(keys);
out:
    return status;
}

static gr_status take_advert(struct gr_secure_party *party, const unsigned char *bytes) {
    gr_status status;
    struct gr_secure_advert advert;
    memcpy(&advert, bytes, sizeof advert);
    const uint32_t p = advert.head.from;
    if (p >= party->options.terms.n_parties || gr_party_set_has(&party->listed, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: party %u is in the list %s", p,
                       p >= party->options.terms.n_parties ? "and not of the study" : "twice");
    if (p == party->options.me && memcmp(&advert, &party->adverts[p], sizeof advert) != 0)
        return gr_fail(GR_ERROR_POLICY, "secure sum: the list has other keys for this party");
    GR_TRY(gr_secure_advert_check(&party->options.terms, party->id, p, bytes, sizeof advert));
    party->adverts[p] = advert;
    gr_party_set_add(&party->listed, p);
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
    if (!gr_party_set_has(&party->listed, party->options.me))
        return gr_fail(GR_ERROR_POLICY, "secure sum: this party is not in the list");
    GR_TRY(expect_enough(party, &party->listed, "have shown keys"));
    GR_TRY(check_distinct(party));
    gr_secure_list_digest(list, n, party->list);
out:
    return status;
}

/* ---- the graph --------------------------------------------------------------------------------
 */

gr_status gr_secure_party_reveal(struct gr_secure_party *party, const void *list, size_t n,
                                 struct gr_secure_message *out) {
    gr_status status;
    struct gr_secure_reveal reveal;
    GR_TRY(expect_phase(party, ADVERTISED));
    if (!gr_secure_terms_draws(&party->options.terms)) {
        status = gr_fail(GR_ERROR_POLICY, "secure sum: nothing is drawn among so few parties");
        goto out;
    }
    GR_TRY(take_list(party, list, n));
    GR_TRY(gr_secure_message_begin(GR_SECURE_REVEAL, party->id, party->options.me, sizeof reveal,
                                   out));
    memcpy(&reveal, out->bytes, sizeof reveal);
    memcpy(reveal.list, party->list, sizeof reveal.list);
    memcpy(reveal.draw, party->secrets->draw, sizeof reveal.draw);
    gr_secure_message_sign(party->options.keys, &reveal, sizeof reveal);
    memcpy(out->bytes, &reveal, sizeof reveal);
    party->phase = REVEALED;
out:
    return settle(party, status);
}

/* Of all in the list, each what it was committed to before it knew another's: so nobody chooses
 * who is next to whom. */
static gr_status take_reveals(struct gr_secure_party *party, const void *reveals, size_t n,
                              unsigned char (*draws)[GR_SECURE_SECRET_BYTES]) {
    gr_status status;
    uint32_t n_reveals = 0;
    struct gr_party_set heard = {0};
    struct gr_secure_revealed revealed;
    unsigned char made[GR_DIGEST_BYTES];
    GR_TRY(gr_secure_message_check(reveals, n, GR_SECURE_REVEALS, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at = gr_secure_message_items(reveals, n, sizeof(struct gr_secure_head),
                                                      sizeof revealed, 0, &n_reveals);
    for (uint32_t i = 0; at && i < n_reveals; i++) {
        memcpy(&revealed, at + i * sizeof revealed, sizeof revealed);
        const uint32_t p = revealed.party;
        if (!gr_party_set_has(&party->listed, p)) break;
        gr_secure_draw_commitment(party->id, p, revealed.draw, made);
        if (memcmp(made, party->adverts[p].draw, sizeof made) != 0) break;
        memcpy(draws[p], revealed.draw, sizeof draws[p]);
        gr_party_set_add(&heard, p);
    }
    if (!gr_party_set_equal(&heard, &party->listed))
        status = gr_fail(GR_ERROR_POLICY,
                         "secure sum: the graph is not drawn by what all in the list of keys were "
                         "committed to");
out:
    return status;
}

/* X25519 with both of the other's keys. */
static gr_status agree(struct gr_secure_party *party, uint32_t p) {
    const struct secure_secrets *s = party->secrets;
    struct secure_neighbour *neighbour = &party->neighbours[party->slot[p]];
    unsigned char shared[GR_KEY_BYTES];
    if (crypto_scalarmult(neighbour->piece, s->cipher, party->adverts[p].cipher) != 0 ||
        crypto_scalarmult(shared, s->mask, party->adverts[p].mask) != 0)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: a key of party %u is of small order, and would hide nothing",
                       p);
    gr_secure_pair_stream(party->id, party->options.me, p, shared, neighbour->pair);
    sodium_memzero(shared, sizeof shared);
    return GR_OK;
}

static gr_status meet_neighbours(struct gr_secure_party *party) {
    const uint32_t me = party->options.me;
    uint16_t n = 0;
    gr_secure_graph_around(&party->graph, me, &party->around);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++)
        if (gr_party_set_has(&party->around, p)) party->slot[p] = n++;
    party->neighbours = sodium_allocarray(n, sizeof *party->neighbours);
    if (!party->neighbours)
        return gr_fail(GR_ERROR_INTERNAL, "locked memory of %zu bytes was refused",
                       n * sizeof *party->neighbours);
    /* Nobody else could open the piece for itself, so its key is one that nobody knows. */
    randombytes_buf(&party->neighbours[party->slot[me]], sizeof *party->neighbours);
    gr_status status = GR_OK;
    for (uint32_t p = 0; p < party->options.terms.n_parties && status == GR_OK; p++)
        if (p != me && gr_party_set_has(&party->around, p)) status = agree(party, p);
    return status;
}

/* reveals: GR_SECURE_REVEALS; NULL: nothing is drawn. */
static gr_status draw_graph(struct gr_secure_party *party, const void *reveals, size_t n) {
    gr_status status;
    unsigned char(*draws)[GR_SECURE_SECRET_BYTES] = NULL;
    if (reveals) {
        GR_TRY(gr_allocate_zero(party->options.terms.n_parties, sizeof *draws, "a graph", &draws));
        GR_TRY(take_reveals(party, reveals, n, draws));
    }
    const struct gr_secure_drawn drawn = {party->id, party->list,
                                          (const unsigned char(*)[GR_SECURE_SECRET_BYTES])draws};
    GR_TRY(gr_secure_draw(&party->options.terms, &party->listed, &drawn, &party->graph));
    status = meet_neighbours(party);
out:
    gr_free(draws);
    return status;
}

/* ---- share ------------------------------------------------------------------------------------
 */

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
    gr_digest_add(&digest, party->neighbours[party->slot[other]].piece, GR_KEY_BYTES);
    gr_digest_finish(&digest, out);
    sodium_memzero(&digest, sizeof digest);
}

static const unsigned char nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
_Static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == GR_DIGEST_BYTES, "a key is a digest");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES + 2 * GR_SECURE_SECRET_BYTES ==
                   GR_SECURE_PIECE_SEALED,
               "two shares and a tag");

/* The shares of both kinds. */
static void seal_piece(const struct gr_secure_party *party, uint32_t to,
                       unsigned char (*const own[2])[GR_SECURE_SECRET_BYTES], unsigned char *at) {
    struct gr_secure_piece piece = {.party = to};
    unsigned char shares[2 * GR_SECURE_SECRET_BYTES], key[GR_DIGEST_BYTES];
    for (int kind = 0; kind < 2; kind++) {
        const struct gr_secure_share_of of = {party->id, party->options.me, to,
                                              kind ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        const unsigned char *share = own[kind][party->slot[to]];
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

/* Head, the list's digest, a count, a piece for each neighbour and the party itself, in the order
 * of their numbers (the one for itself has no use but its digests, by which the collector knows a
 * true share), signature. */
static gr_status write_shares(struct gr_secure_party *party,
                              unsigned char (*const own[2])[GR_SECURE_SECRET_BYTES],
                              struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    const size_t size = sizeof(struct gr_secure_piece);
    const struct gr_secure_items shape = {.skip = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES,
                                          .size = size,
                                          .tail = GR_SIGNATURE_BYTES,
                                          .n = gr_party_set_count(&party->around)};
    GR_TRY(gr_secure_message_begin_items(GR_SECURE_SHARES, party->id, party->options.me, shape, out,
                                         &at));
    memcpy(out->bytes + sizeof(struct gr_secure_head), party->list, GR_DIGEST_BYTES);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++) {
        if (!gr_party_set_has(&party->around, p)) continue;
        seal_piece(party, p, own, at);
        at += size;
    }
    gr_secure_message_sign(party->options.keys, out->bytes, out->n);
out:
    return status;
}

/* Numbers of shares are places among the neighbours and the party itself. */
static gr_status split_secrets(struct gr_secure_party *party, struct gr_secure_message *out) {
    gr_status status;
    const struct secure_secrets *s = party->secrets;
    const uint32_t n = gr_party_set_count(&party->around), least = party->graph.degree.shares;
    const uint16_t mine = party->slot[party->options.me];
    unsigned char(*shares)[GR_SECURE_SECRET_BYTES] =
        sodium_allocarray(2 * (size_t)n, GR_SECURE_SECRET_BYTES);
    if (!shares || !party->neighbours) { /* which there are */
        status = gr_fail(GR_ERROR_INTERNAL, "locked memory for shares was refused");
        goto out;
    }
    unsigned char(*const own[2])[GR_SECURE_SECRET_BYTES] = {shares, shares + n};
    GR_TRY(gr_shamir_split(s->seed, least, n, own[0]));
    GR_TRY(gr_shamir_split(s->mask, least, n, own[1]));
    GR_TRY(write_shares(party, own, out));
    for (int kind = 0; kind < 2; kind++)
        memcpy(party->neighbours[mine].held[kind], own[kind][mine], GR_SECURE_SECRET_BYTES);
out:
    sodium_free(shares);
    return status;
}

gr_status gr_secure_party_share(struct gr_secure_party *party, const void *told, size_t n,
                                struct gr_secure_message *out) {
    gr_status status;
    const bool draws = gr_secure_terms_draws(&party->options.terms);
    GR_TRY(expect_phase(party, draws ? REVEALED : ADVERTISED));
    if (!draws) GR_TRY(take_list(party, told, n));
    GR_TRY(draw_graph(party, draws ? told : NULL, n));
    GR_TRY(split_secrets(party, out));
    party->phase = SHARED;
out:
    return settle(party, status);
}

/* ---- pieces -----------------------------------------------------------------------------------
 */

/* from: whose pieces there were before; then this one's as well. */
static gr_status open_piece(struct gr_secure_party *party, const unsigned char *at,
                            struct gr_party_set *from) {
    struct gr_secure_piece piece;
    unsigned char shares[2 * GR_SECURE_SECRET_BYTES], key[GR_DIGEST_BYTES], made[GR_DIGEST_BYTES];
    const uint32_t me = party->options.me;
    memcpy(&piece, at, sizeof piece);
    const uint32_t p = piece.party;
    if (!gr_party_set_has(&party->around, p) || gr_party_set_has(from, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: shares of party %u, which is %s", p,
                       gr_party_set_has(from, p) ? "there already" : "no neighbour of this one");
    piece_key(party, p, me, key);
    bool good = crypto_aead_chacha20poly1305_ietf_decrypt(
                    shares, NULL, NULL, piece.sealed, sizeof piece.sealed,
                    (const unsigned char *)piece.digest, sizeof piece.digest, nonce, key) == 0;
    for (int kind = 0; kind < 2 && good; kind++) {
        const struct gr_secure_share_of of = {party->id, p, me,
                                              kind ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        unsigned char *held = party->neighbours[party->slot[p]].held[kind];
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
    gr_party_set_add(from, p);
    return GR_OK;
}

/* All are told one set of those who have given shares, which they sign later; a neighbour whose
 * shares did not come is in none, for the mask with it would stay in the sum. */
static gr_status check_sharers(struct gr_secure_party *party, const struct gr_party_set *from) {
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        const bool is_in = gr_party_set_has(&party->sharers, p);
        if (is_in && !gr_party_set_has(&party->listed, p))
            return gr_fail(GR_ERROR_POLICY,
                           "secure sum: party %u has given shares, and is not in the list", p);
        if (gr_party_set_has(&party->around, p) && is_in != gr_party_set_has(from, p))
            return gr_fail(GR_ERROR_POLICY,
                           "secure sum: the shares of party %u are there, and it is told to have "
                           "given none, or the other way about",
                           p);
    }
    return expect_enough(party, &party->sharers, "have given shares");
}

gr_status gr_secure_party_take_pieces(struct gr_secure_party *party, const void *pieces, size_t n) {
    gr_status status;
    uint32_t n_pieces;
    struct gr_party_set from = {0};
    const size_t size = sizeof(struct gr_secure_piece), head = sizeof(struct gr_secure_head);
    GR_TRY(expect_phase(party, SHARED));
    GR_TRY(gr_secure_message_check(pieces, n, GR_SECURE_PIECES, party->id, GR_SECURE_COLLECTOR));
    const unsigned char *at =
        gr_secure_message_items(pieces, n, head + sizeof party->sharers, size, 0, &n_pieces);
    if (!at) {
        status = gr_fail(GR_ERROR_POLICY, "secure sum: shares of %zu bytes", n);
        goto out;
    }
    memcpy(&party->sharers, (const unsigned char *)pieces + head, sizeof party->sharers);
    gr_party_set_add(&from, party->options.me);
    for (uint32_t i = 0; i < n_pieces; i++)
        GR_TRY(open_piece(party, at + i * size, &from));
    GR_TRY(check_sharers(party, &from));
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

gr_status gr_secure_party_mask(struct gr_secure_party *party, const struct gr_party_set *beside,
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
        if (p != me && gr_party_set_has(&party->around, p) &&
            gr_party_set_has(&party->sharers, p) && !(beside && gr_party_set_has(beside, p)))
            gr_key_stream_add(party->neighbours[party->slot[p]].pair, range, p < me, words);
    sodium_memzero(key, sizeof key);
out:
    return settle(party, status);
}

/* ---- the roster -------------------------------------------------------------------------------
 */

static gr_status check_summed(const struct gr_secure_party *party,
                              const struct gr_party_set *summed) {
    gr_status status;
    if (!gr_party_set_within(summed, &party->sharers))
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: a roster with a party that has given no shares");
    if (!gr_party_set_has(summed, party->options.me))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a roster without this party");
    GR_TRY(expect_enough(party, summed, "are in the sum"));
    if (party->options.whole && gr_party_set_count(summed) < party->options.terms.n_parties)
        return gr_fail(GR_STOPPED,
                       "secure sum: %u of %u parties are in the sum, expected all, who "
                       "have counted on each other; it is void",
                       gr_party_set_count(summed), party->options.terms.n_parties);
    if (!gr_secure_graph_holds(&party->graph, summed))
        status = gr_fail(GR_STOPPED, "secure sum: too many that stand next to each other are lost, "
                                     "for the masks of the others to hide them; it is void");
out:
    return status;
}

gr_status gr_secure_party_sign(struct gr_secure_party *party, const struct gr_party_set *summed,
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
    gr_secure_parties_digest(&party->sharers, summed, roster->parties);
    memcpy(roster->total, total, sizeof roster->total);
    memcpy(roster->model, party->options.terms.model, sizeof roster->model);
    gr_secure_roster_digest(roster, party->roster_digest);
    status = gr_sum_journal_roster(party->options.journal, party->id, party->roster_digest);
    if (status != GR_OK) goto unsigned_roster;
    gr_secure_message_sign(party->options.keys, roster, sizeof *roster);
    memcpy(out->bytes, roster, sizeof *roster);
    party->summed = *summed;
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
    if (!gr_party_set_has(&party->summed, p) || gr_party_set_has(agreeing, p))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a signature of party %u, which %s", p,
                       gr_party_set_has(agreeing, p) ? "has signed already" : "is not in the sum");
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

/* Head, the roster's digest, a count, a share of each sharer that is a neighbour or the party
 * itself, signature. */
static gr_status write_opening(struct gr_secure_party *party, struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    uint32_t n = 0;
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++)
        n += gr_party_set_has(&party->around, p) && gr_party_set_has(&party->sharers, p);
    const size_t size = sizeof(struct gr_secure_opened);
    const struct gr_secure_items shape = {.skip = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES,
                                          .size = size,
                                          .tail = GR_SIGNATURE_BYTES,
                                          .n = n};
    GR_TRY(gr_secure_message_begin_items(GR_SECURE_OPENING, party->id, party->options.me, shape,
                                         out, &at));
    memcpy(out->bytes + sizeof(struct gr_secure_head), party->roster_digest, GR_DIGEST_BYTES);
    for (uint32_t p = 0; p < party->options.terms.n_parties; p++) {
        if (!gr_party_set_has(&party->around, p) || !gr_party_set_has(&party->sharers, p)) continue;
        const bool lost = !gr_party_set_has(&party->summed, p);
        struct gr_secure_opened opened = {
            .party = p, .which = lost ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
        memcpy(opened.bytes, party->neighbours[party->slot[p]].held[lost], sizeof opened.bytes);
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
    GR_TRY(expect_enough(party, &agreeing, "have signed the roster"));
    gr_secure_terms_subject(&party->options.terms, &party->summed, &subject);
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
    return (struct gr_secure_roll){party->id, party->adverts, &party->graph, &party->sharers,
                                   &party->summed};
}

static gr_status take_secret(struct gr_secure_party *party, const unsigned char *at,
                             struct gr_party_set *opened_of) {
    struct gr_secure_opened opened;
    memcpy(&opened, at, sizeof opened);
    const uint32_t p = opened.party;
    const enum gr_secure_share which =
        gr_party_set_has(&party->summed, p) ? GR_SECURE_SHARE_SELF : GR_SECURE_SHARE_PAIR;
    if (!gr_party_set_has(&party->sharers, p) || gr_party_set_has(opened_of, p) ||
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
    const size_t expected = gr_party_set_count(&party->sharers);
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
