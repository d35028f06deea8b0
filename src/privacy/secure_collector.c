/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector of a secure sum. It takes what each party sends in a step, leaves out whoever sends
 * nothing or what is false, and tells all what has come together. Whatever it could do wrong the
 * parties find; it checks for the sake of naming the one at fault.
 */
#include "privacy/secure_check.h"
#include "privacy/secure_mask.h"
#include "privacy/shamir.h"

#include <sodium.h>

enum step {
    ADVERTS = GR_SECURE_STEP_ADVERTS,
    SHARES = GR_SECURE_STEP_SHARES,
    ROSTERS = GR_SECURE_STEP_ROSTERS,
    OPENINGS = GR_SECURE_STEP_OPENINGS,
    CLOSED = GR_SECURE_STEP_CLOSED,
    VOID
};
static const enum gr_secure_kind kinds[] = {GR_SECURE_ADVERT, GR_SECURE_SHARES, GR_SECURE_ROSTER,
                                            GR_SECURE_OPENING};

struct gr_secure_collector {
    struct gr_secure_terms terms;
    enum step step;
    unsigned char id[GR_DIGEST_BYTES], roster_digest[GR_DIGEST_BYTES];
    struct gr_secure_roster roster;              /* which all are to sign; nobody's signature */
    struct gr_party_set heard;                   /* in this step */
    struct gr_party_set listed, sharers, summed; /* of the steps before */
    struct gr_secure_message list;               /* GR_SECURE_LIST */
    struct gr_secure_advert adverts[GR_SECURE_PARTIES_MAX];
    struct gr_secure_message shares[GR_SECURE_PARTIES_MAX];
    struct gr_secure_roster rosters[GR_SECURE_PARTIES_MAX];
    struct gr_secure_message openings[GR_SECURE_PARTIES_MAX];
    struct gr_secure_message secrets; /* GR_SECURE_SECRETS */
    struct gr_secure_masks masks;     /* in the total */
};

gr_status gr_secure_collector_create(const struct gr_secure_terms *terms,
                                     struct gr_secure_collector **out) {
    gr_status status;
    GR_TRY(gr_secure_terms_check(terms));
    GR_TRY(gr_allocate_zero(1, sizeof **out, "the collector of a secure sum", out));
    (*out)->terms = *terms;
    gr_secure_terms_id(terms, (*out)->id);
out:
    return status;
}

void gr_secure_collector_free(struct gr_secure_collector *collector) {
    if (!collector) return;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        gr_free(collector->shares[p].bytes);
        gr_free(collector->openings[p].bytes);
    }
    gr_free(collector->list.bytes);
    gr_free(collector->secrets.bytes);
    gr_secure_masks_release(&collector->masks);
    gr_free(collector);
}

struct gr_party_set gr_secure_collector_heard(const struct gr_secure_collector *collector) {
    return collector->heard;
}

static gr_status keep(const void *bytes, size_t n, struct gr_secure_message *out) {
    gr_status status;
    GR_TRY(gr_allocate(n, 1, "a message of a secure sum", &out->bytes));
    memcpy(out->bytes, bytes, n);
    out->n = n;
out:
    return status;
}

/* ---- what comes -------------------------------------------------------------------------------
 */

enum { ITEMS_AT = sizeof(struct gr_secure_head) + GR_DIGEST_BYTES };

/* The pieces of a party's shares, one for each of the list, in its order. */
static const unsigned char *pieces_of(const void *bytes, size_t n, uint32_t *n_pieces) {
    return gr_secure_message_items(bytes, n, ITEMS_AT, sizeof(struct gr_secure_piece),
                                   GR_SIGNATURE_BYTES, n_pieces);
}

/* The piece of `from` for `to`. */
static struct gr_secure_piece piece_for(const struct gr_secure_collector *collector, uint32_t from,
                                        uint32_t to) {
    struct gr_secure_piece piece = {0};
    uint32_t n = 0;
    const struct gr_secure_message *shares = &collector->shares[from];
    const unsigned char *at = pieces_of(shares->bytes, shares->n, &n);
    for (uint32_t i = 0; at && i < n; i++) {
        memcpy(&piece, at + i * sizeof piece, sizeof piece);
        if (piece.party == to) break;
    }
    return piece;
}

static gr_status check_shares(const struct gr_secure_collector *collector, uint32_t from,
                              const unsigned char *bytes, size_t n) {
    unsigned char list[GR_DIGEST_BYTES];
    struct gr_party_set to = {0};
    uint32_t n_pieces;
    const unsigned char *at = pieces_of(bytes, n, &n_pieces);
    gr_secure_list_digest(collector->list.bytes, collector->list.n, list);
    bool good = at && memcmp(bytes + sizeof(struct gr_secure_head), list, sizeof list) == 0 &&
                n_pieces == gr_party_set_count(collector->listed);
    for (uint32_t i = 0; good && i < n_pieces; i++) {
        struct gr_secure_piece piece;
        memcpy(&piece, at + i * sizeof piece, sizeof piece);
        good = !gr_party_set_has(to, piece.party);
        gr_party_set_add(&to, piece.party);
    }
    if (good && gr_party_set_equal(to, collector->listed)) return GR_OK;
    return gr_fail(GR_ERROR_POLICY,
                   "secure sum: party %u has not given a share for each of the list", from);
}

static gr_status check_roster(const struct gr_secure_collector *collector, uint32_t from,
                              const void *bytes, size_t n) {
    struct gr_secure_roster roster;
    if (n != sizeof roster)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a roster of %zu bytes of party %u", n, from);
    memcpy(&roster, bytes, sizeof roster);
    return gr_secure_roster_same(&roster, &collector->roster)
               ? GR_OK
               : gr_fail(GR_ERROR_POLICY,
                         "secure sum: party %u has signed another roster, total or list of keys",
                         from);
}

/* Each share is the one that its owner has given, by the owner's digest of it. */
static gr_status check_opening(const struct gr_secure_collector *collector, uint32_t from,
                               const unsigned char *bytes, size_t n) {
    uint32_t n_shares;
    struct gr_party_set of = {0};
    const unsigned char *at = gr_secure_message_items(
        bytes, n, ITEMS_AT, sizeof(struct gr_secure_opened), GR_SIGNATURE_BYTES, &n_shares);
    bool good = at && memcmp(bytes + sizeof(struct gr_secure_head), collector->roster_digest,
                             GR_DIGEST_BYTES) == 0;
    for (uint32_t i = 0; good && i < n_shares; i++) {
        struct gr_secure_opened opened;
        unsigned char made[GR_DIGEST_BYTES];
        memcpy(&opened, at + i * sizeof opened, sizeof opened);
        const bool lost = !gr_party_set_has(collector->summed, opened.party);
        const enum gr_secure_share which = lost ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF;
        good = gr_party_set_has(collector->sharers, opened.party) &&
               !gr_party_set_has(of, opened.party) && opened.which == which;
        if (!good) break;
        gr_party_set_add(&of, opened.party);
        const struct gr_secure_piece piece = piece_for(collector, opened.party, from);
        const struct gr_secure_share_of share = {collector->id, opened.party, from, which};
        gr_secure_share_digest(&share, opened.bytes, made);
        good = memcmp(made, piece.digest[lost], sizeof made) == 0;
    }
    if (good && gr_party_set_equal(of, collector->sharers)) return GR_OK;
    return gr_fail(GR_ERROR_POLICY, "secure sum: party %u has opened a false share", from);
}

static gr_status check_by_step(const struct gr_secure_collector *collector, uint32_t from,
                               const void *bytes, size_t n) {
    switch (collector->step) {
    case ADVERTS:
        return gr_secure_advert_check(&collector->terms, collector->id, from, bytes, n);
    case SHARES:
        return check_shares(collector, from, bytes, n);
    case ROSTERS:
        return check_roster(collector, from, bytes, n);
    default:
        return check_opening(collector, from, bytes, n);
    }
}

static gr_status keep_by_step(struct gr_secure_collector *collector, uint32_t from,
                              const void *bytes, size_t n) {
    switch (collector->step) {
    case ADVERTS:
        memcpy(&collector->adverts[from], bytes, n);
        return GR_OK;
    case SHARES:
        return keep(bytes, n, &collector->shares[from]);
    case ROSTERS:
        memcpy(&collector->rosters[from], bytes, n);
        return GR_OK;
    default:
        return keep(bytes, n, &collector->openings[from]);
    }
}

/* Those who may send in this step. In SHARES and later: who was heard in the one before. */
static struct gr_party_set awaited(const struct gr_secure_collector *collector) {
    struct gr_party_set all = {0};
    switch (collector->step) {
    case ADVERTS:
        for (uint32_t p = 0; p < collector->terms.n_parties; p++)
            gr_party_set_add(&all, p);
        return all;
    case SHARES:
        return collector->listed;
    default:
        return collector->summed; /* none before the sum was taken */
    }
}

gr_status gr_secure_collector_take(struct gr_secure_collector *collector, uint32_t from,
                                   const void *bytes, size_t n) {
    gr_status status;
    if (collector->step >= CLOSED)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u after its end", from);
    if (!gr_party_set_has(awaited(collector), from) || gr_party_set_has(collector->heard, from))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u, which is %s", from,
                       gr_party_set_has(collector->heard, from) ? "there already"
                                                                : "not waited for");
    GR_TRY(gr_secure_message_check(bytes, n, kinds[collector->step], collector->id, from));
    if (!gr_secure_message_verify(&collector->terms.identities[from], bytes, n))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u is not signed by it",
                       from);
    GR_TRY(check_by_step(collector, from, bytes, n));
    GR_TRY(keep_by_step(collector, from, bytes, n));
    gr_party_set_add(&collector->heard, from);
out:
    return status;
}

gr_status gr_secure_collector_summed(struct gr_secure_collector *collector,
                                     struct gr_party_set summed,
                                     const unsigned char total[GR_DIGEST_BYTES]) {
    struct gr_secure_roster *roster = &collector->roster;
    if (collector->step != ROSTERS || collector->heard.bits != 0 ||
        !gr_party_set_within(summed, collector->sharers))
        return gr_fail(GR_ERROR_INTERNAL, "secure sum: a total out of turn, or of other parties");
    memcpy(roster->head.id, collector->id, sizeof collector->id);
    gr_secure_list_digest(collector->list.bytes, collector->list.n, roster->list);
    memcpy(roster->sharers, &collector->sharers.bits, sizeof roster->sharers);
    memcpy(roster->summed, &summed.bits, sizeof roster->summed);
    memcpy(roster->total, total, sizeof roster->total);
    memcpy(roster->model, collector->terms.model, sizeof roster->model);
    gr_secure_roster_digest(roster, collector->roster_digest);
    collector->summed = summed;
    return GR_OK;
}

/* ---- what follows -----------------------------------------------------------------------------
 */

/* Of the collector's own messages: a count and items behind the head. */
static gr_status begin_items(const struct gr_secure_collector *collector, enum gr_secure_kind kind,
                             uint32_t n, size_t size, struct gr_secure_message *out,
                             unsigned char **items) {
    const struct gr_secure_items shape = {
        .skip = sizeof(struct gr_secure_head), .size = size, .n = n};
    return gr_secure_message_begin_items(kind, collector->id, GR_SECURE_COLLECTOR, shape, out,
                                         items);
}

static gr_status make_list(struct gr_secure_collector *collector) {
    gr_status status;
    unsigned char *at;
    const size_t size = sizeof(struct gr_secure_advert);
    GR_TRY(begin_items(collector, GR_SECURE_LIST, gr_party_set_count(collector->heard), size,
                       &collector->list, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(collector->heard, p)) continue;
        memcpy(at, &collector->adverts[p], size);
        at += size;
    }
    collector->listed = collector->heard;
out:
    return status;
}

/* The secret of party p, of the threshold's count of shares of those heard. */
static gr_status rebuild(const struct gr_secure_collector *collector, uint32_t p,
                         struct gr_secure_opened *out) {
    uint32_t numbers[GR_SECURE_PARTIES_MAX], n = 0, n_shares;
    unsigned char shares[GR_SECURE_PARTIES_MAX][GR_SHAMIR_BYTES];
    const bool lost = !gr_party_set_has(collector->summed, p);
    for (uint32_t q = 0; q < collector->terms.n_parties && n < collector->terms.threshold; q++) {
        if (!gr_party_set_has(collector->heard, q)) continue;
        const struct gr_secure_message *opening = &collector->openings[q];
        const unsigned char *at = gr_secure_message_items(
            opening->bytes, opening->n, ITEMS_AT, sizeof *out, GR_SIGNATURE_BYTES, &n_shares);
        for (uint32_t i = 0; at && i < n_shares; i++) {
            struct gr_secure_opened opened;
            memcpy(&opened, at + i * sizeof opened, sizeof opened);
            if (opened.party != p) continue;
            memcpy(shares[n], opened.bytes, sizeof shares[n]);
            numbers[n++] = q;
        }
    }
    *out = (struct gr_secure_opened){.party = p,
                                     .which = lost ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF};
    gr_shamir_combine(numbers, (const unsigned char(*)[GR_SHAMIR_BYTES])shares, n, out->bytes);
    /* All shares are those that p has given, so p has given shares of something else. */
    if (gr_secure_secret_is(&collector->adverts[p], (enum gr_secure_share)out->which, out->bytes))
        return GR_OK;
    return gr_fail(GR_STOPPED,
                   "secure sum: party %u has given shares of another secret than its own; the sum "
                   "is void",
                   p);
}

static gr_status make_secrets(struct gr_secure_collector *collector) {
    gr_status status;
    unsigned char *at;
    struct gr_secure_opened opened;
    const struct gr_secure_roll roll = {collector->id, collector->adverts, collector->sharers,
                                        collector->summed};
    GR_TRY(gr_secure_masks_create(&roll, &collector->masks));
    GR_TRY(begin_items(collector, GR_SECURE_SECRETS, gr_party_set_count(collector->sharers),
                       sizeof opened, &collector->secrets, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(collector->sharers, p)) continue;
        GR_TRY(rebuild(collector, p, &opened));
        GR_TRY(gr_secure_masks_add(&collector->masks, &roll, &opened));
        memcpy(at, &opened, sizeof opened);
        at += sizeof opened;
    }
out:
    return status;
}

static gr_status make_by_step(struct gr_secure_collector *collector) {
    switch (collector->step) {
    case ADVERTS:
        return make_list(collector);
    case SHARES:
        collector->sharers = collector->heard;
        return GR_OK;
    case ROSTERS:
        return GR_OK;
    default:
        return make_secrets(collector);
    }
}

gr_status gr_secure_collector_close(struct gr_secure_collector *collector) {
    gr_status status;
    const uint32_t n = gr_party_set_count(collector->heard), least = collector->terms.threshold;
    if (collector->step >= CLOSED) return gr_fail(GR_ERROR_INTERNAL, "secure sum: it has ended");
    if (n < least)
        status = gr_fail(GR_STOPPED,
                         "secure sum: %u of %u parties have answered in step %d, expected %u; the "
                         "sum is void",
                         n, collector->terms.n_parties, (int)collector->step + 1, least);
    else
        status = make_by_step(collector);
    if (status != GR_OK) {
        collector->step = VOID;
        return status;
    }
    collector->step++;
    if (collector->step < CLOSED) collector->heard = (struct gr_party_set){0};
    return GR_OK;
}

/* ---- what is told -----------------------------------------------------------------------------
 */

static gr_status tell_pieces(const struct gr_secure_collector *collector, uint32_t to,
                             struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    const uint32_t count =
        gr_party_set_count(collector->sharers) - (uint32_t)gr_party_set_has(collector->sharers, to);
    GR_TRY(
        begin_items(collector, GR_SECURE_PIECES, count, sizeof(struct gr_secure_piece), out, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (p == to || !gr_party_set_has(collector->sharers, p)) continue;
        struct gr_secure_piece piece = piece_for(collector, p, to);
        piece.party = p;
        memcpy(at, &piece, sizeof piece);
        at += sizeof piece;
    }
out:
    return status;
}

static gr_status tell_rosters(const struct gr_secure_collector *collector,
                              struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    uint32_t count = 0;
    const size_t size = sizeof(struct gr_secure_roster);
    for (uint32_t p = 0; p < collector->terms.n_parties; p++)
        count += collector->rosters[p].head.kind == GR_SECURE_ROSTER;
    GR_TRY(begin_items(collector, GR_SECURE_ROSTERS, count, size, out, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (collector->rosters[p].head.kind != GR_SECURE_ROSTER) continue;
        memcpy(at, &collector->rosters[p], size);
        at += size;
    }
out:
    return status;
}

gr_status gr_secure_collector_tell(const struct gr_secure_collector *collector, uint32_t to,
                                   struct gr_secure_message *out) {
    switch (collector->step) {
    case SHARES:
        return keep(collector->list.bytes, collector->list.n, out);
    case ROSTERS:
        return tell_pieces(collector, to, out);
    case OPENINGS:
        return tell_rosters(collector, out);
    case CLOSED:
        return keep(collector->secrets.bytes, collector->secrets.n, out);
    default:
        return gr_fail(GR_ERROR_INTERNAL, "secure sum: there is nothing to tell");
    }
}

gr_status gr_secure_collector_unmask(const struct gr_secure_collector *collector,
                                     struct gr_stream_range range, void *words) {
    if (collector->step != CLOSED)
        return gr_fail(GR_ERROR_INTERNAL, "secure sum: no secrets have been opened");
    const gr_status status = gr_secure_range_check(range);
    if (status == GR_OK) gr_secure_masks_take_off(&collector->masks, range, words);
    return status;
}

enum gr_secure_step gr_secure_collector_step(const struct gr_secure_collector *collector) {
    return (enum gr_secure_step)collector->step;
}
