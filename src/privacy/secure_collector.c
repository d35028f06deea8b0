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
    REVEALS = GR_SECURE_STEP_REVEALS,
    SHARES = GR_SECURE_STEP_SHARES,
    ROSTERS = GR_SECURE_STEP_ROSTERS,
    OPENINGS = GR_SECURE_STEP_OPENINGS,
    CLOSED = GR_SECURE_STEP_CLOSED,
    VOID
};
static const enum gr_secure_kind kinds[] = {GR_SECURE_ADVERT, GR_SECURE_REVEAL, GR_SECURE_SHARES,
                                            GR_SECURE_ROSTER, GR_SECURE_OPENING};

/* By a party, behind its advert; bytes are owned. */
struct sent_messages {
    struct gr_secure_message shares, opening;
    struct gr_secure_roster roster;
};

struct gr_secure_collector {
    struct gr_secure_terms terms;
    enum step step;
    unsigned char id[GR_DIGEST_BYTES], list_digest[GR_DIGEST_BYTES], roster_digest[GR_DIGEST_BYTES];
    struct gr_secure_roster roster;              /* which all are to sign; nobody's signature */
    struct gr_party_set heard;                   /* in this step */
    struct gr_party_set listed, sharers, summed; /* of the steps before */
    struct gr_secure_message list;               /* GR_SECURE_LIST */
    struct gr_secure_graph graph;
    struct gr_secure_advert *adverts;               /* of all parties; owned */
    struct sent_messages *sent;                     /* by all parties; owned */
    unsigned char (*draws)[GR_SECURE_SECRET_BYTES]; /* of all parties; owned; NULL: none are */
    struct gr_secure_message secrets;               /* GR_SECURE_SECRETS */
    struct gr_secure_masks masks;                   /* in the total */
};

gr_status gr_secure_collector_create(const struct gr_secure_terms *terms,
                                     struct gr_secure_collector **out) {
    gr_status status;
    const uint32_t n = terms->n_parties;
    static const char *const what = "the collector of a secure sum";
    struct gr_secure_collector *collector = NULL;
    GR_TRY(gr_secure_terms_check(terms));
    GR_TRY(gr_allocate_zero(1, sizeof *collector, what, &collector));
    collector->terms = *terms;
    GR_TRY(gr_allocate_zero(n, sizeof *collector->adverts, what, &collector->adverts));
    GR_TRY(gr_allocate_zero(n, sizeof *collector->sent, what, &collector->sent));
    if (gr_secure_terms_draws(terms))
        GR_TRY(gr_allocate_zero(n, sizeof *collector->draws, what, &collector->draws));
    gr_secure_terms_id(terms, collector->id);
    *out = collector;
    collector = NULL;
out:
    gr_secure_collector_free(collector);
    return status;
}

void gr_secure_collector_free(struct gr_secure_collector *collector) {
    if (!collector) return;
    for (uint32_t p = 0; p < collector->terms.n_parties && collector->sent; p++) {
        gr_free(collector->sent[p].shares.bytes);
        gr_free(collector->sent[p].opening.bytes);
    }
    gr_free(collector->sent);
    gr_free(collector->adverts);
    gr_free(collector->draws);
    gr_free(collector->list.bytes);
    gr_free(collector->secrets.bytes);
    gr_secure_masks_release(&collector->masks);
    gr_free(collector);
}

const struct gr_party_set *gr_secure_collector_heard(const struct gr_secure_collector *collector) {
    return &collector->heard;
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

/* The pieces of a party's shares, in the order of those for whom they are. */
static const unsigned char *pieces_of(const void *bytes, size_t n, uint32_t *n_pieces) {
    return gr_secure_message_items(bytes, n, ITEMS_AT, sizeof(struct gr_secure_piece),
                                   GR_SIGNATURE_BYTES, n_pieces);
}

/* The piece of `from` for `to`. */
static struct gr_secure_piece piece_for(const struct gr_secure_collector *collector, uint32_t from,
                                        uint32_t to) {
    struct gr_secure_piece piece = {0};
    uint32_t n = 0, party;
    const struct gr_secure_message *shares = &collector->sent[from].shares;
    const unsigned char *at = pieces_of(shares->bytes, shares->n, &n);
    for (uint32_t i = 0; at && i < n; i++) {
        memcpy(&party, at + i * sizeof piece, sizeof party);
        if (party != to) continue;
        memcpy(&piece, at + i * sizeof piece, sizeof piece);
        break;
    }
    return piece;
}

/* Whether n items of `size` bytes, each with its party before it, are of these parties, in the
 * order of their numbers. */
static bool are_of(const struct gr_party_set *parties, const unsigned char *at, size_t size,
                   uint32_t n) {
    uint32_t party, i = 0;
    if (!at || n != gr_party_set_count(parties)) return false;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        if (!gr_party_set_has(parties, p)) continue;
        memcpy(&party, at + i++ * size, sizeof party);
        if (party != p) return false;
    }
    return true;
}

static gr_status check_reveal(const struct gr_secure_collector *collector, uint32_t from,
                              const void *bytes, size_t n) {
    struct gr_secure_reveal reveal;
    unsigned char made[GR_DIGEST_BYTES];
    if (n == sizeof reveal) {
        memcpy(&reveal, bytes, sizeof reveal);
        gr_secure_draw_commitment(collector->id, from, reveal.draw, made);
        if (memcmp(reveal.list, collector->list_digest, sizeof reveal.list) == 0 &&
            memcmp(made, collector->adverts[from].draw, sizeof made) == 0)
            return GR_OK;
    }
    return gr_fail(GR_ERROR_POLICY,
                   "secure sum: party %u has not revealed what it was committed to, or was told "
                   "another list of keys",
                   from);
}

static gr_status check_shares(const struct gr_secure_collector *collector, uint32_t from,
                              const unsigned char *bytes, size_t n) {
    struct gr_party_set around;
    uint32_t n_pieces = 0;
    const unsigned char *at = pieces_of(bytes, n, &n_pieces);
    gr_secure_graph_around(&collector->graph, from, &around);
    if (are_of(&around, at, sizeof(struct gr_secure_piece), n_pieces) &&
        memcmp(bytes + sizeof(struct gr_secure_head), collector->list_digest, GR_DIGEST_BYTES) == 0)
        return GR_OK;
    return gr_fail(GR_ERROR_POLICY,
                   "secure sum: party %u has not given a share for each that is to have one", from);
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

/* The share is of the secret that is to be opened, and the one that its owner has given, by the
 * owner's digest of it. */
static bool is_true_share(const struct gr_secure_collector *collector, uint32_t from,
                          const struct gr_secure_opened *opened) {
    unsigned char made[GR_DIGEST_BYTES];
    const bool lost = !gr_party_set_has(&collector->summed, opened->party);
    const enum gr_secure_share which = lost ? GR_SECURE_SHARE_PAIR : GR_SECURE_SHARE_SELF;
    const struct gr_secure_piece piece = piece_for(collector, opened->party, from);
    const struct gr_secure_share_of share = {collector->id, opened->party, from, which};
    gr_secure_share_digest(&share, opened->bytes, made);
    return opened->which == which && memcmp(made, piece.digest[lost], sizeof made) == 0;
}

static gr_status check_opening(const struct gr_secure_collector *collector, uint32_t from,
                               const unsigned char *bytes, size_t n) {
    uint32_t n_shares = 0;
    struct gr_party_set around, of = {0};
    struct gr_secure_opened opened;
    const unsigned char *at =
        gr_secure_message_items(bytes, n, ITEMS_AT, sizeof opened, GR_SIGNATURE_BYTES, &n_shares);
    gr_secure_graph_around(&collector->graph, from, &around);
    for (uint32_t p = 0; p < collector->terms.n_parties; p++)
        if (gr_party_set_has(&around, p) && gr_party_set_has(&collector->sharers, p))
            gr_party_set_add(&of, p);
    bool good = are_of(&of, at, sizeof opened, n_shares) &&
                memcmp(bytes + sizeof(struct gr_secure_head), collector->roster_digest,
                       GR_DIGEST_BYTES) == 0;
    for (uint32_t i = 0; good && i < n_shares; i++) {
        memcpy(&opened, at + i * sizeof opened, sizeof opened);
        good = is_true_share(collector, from, &opened);
    }
    return good ? GR_OK
                : gr_fail(GR_ERROR_POLICY, "secure sum: party %u has opened a false share", from);
}

static gr_status check_by_step(const struct gr_secure_collector *collector, uint32_t from,
                               const void *bytes, size_t n) {
    switch (collector->step) {
    case ADVERTS:
        return gr_secure_advert_check(&collector->terms, collector->id, from, bytes, n);
    case REVEALS:
        return check_reveal(collector, from, bytes, n);
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
    case REVEALS:
        memcpy(collector->draws[from],
               (const unsigned char *)bytes + offsetof(struct gr_secure_reveal, draw),
               sizeof collector->draws[from]);
        return GR_OK;
    case SHARES:
        return keep(bytes, n, &collector->sent[from].shares);
    case ROSTERS:
        memcpy(&collector->sent[from].roster, bytes, n);
        return GR_OK;
    default:
        /* There is room: check_opening has found the size. */
        memcpy(collector->sent[from].opening.bytes, bytes, n);
        collector->sent[from].opening.n = n;
        return GR_OK;
    }
}

/* Those who may send in this step: who was heard in the one before. */
static bool is_awaited(const struct gr_secure_collector *collector, uint32_t p) {
    switch (collector->step) {
    case ADVERTS:
        return p < collector->terms.n_parties;
    case REVEALS:
    case SHARES:
        return gr_party_set_has(&collector->listed, p);
    default:
        return gr_party_set_has(&collector->summed, p); /* nobody before the sum was taken */
    }
}

gr_status gr_secure_collector_take(struct gr_secure_collector *collector, uint32_t from,
                                   const void *bytes, size_t n) {
    gr_status status;
    if (collector->step >= CLOSED)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u after its end", from);
    if (!is_awaited(collector, from) || gr_party_set_has(&collector->heard, from))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u, which is %s", from,
                       gr_party_set_has(&collector->heard, from) ? "there already"
                                                                 : "not waited for");
    GR_TRY(gr_secure_message_check(bytes, n, kinds[collector->step], collector->id, from));
    status = check_by_step(collector, from, bytes, n);
    /* Shares that are, by their digests, those which their owners have given are true, whoever
     * sends them: their signature only tells whose fault others are. */
    if ((collector->step != OPENINGS || status != GR_OK) &&
        !gr_secure_message_verify(&collector->terms.identities[from], bytes, n))
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u is not signed by it",
                       from);
    if (status != GR_OK) return status;
    GR_TRY(keep_by_step(collector, from, bytes, n));
    gr_party_set_add(&collector->heard, from);
out:
    return status;
}

/* Of the collector's own messages: a count and items behind the head. */
static gr_status begin_items(const struct gr_secure_collector *collector, enum gr_secure_kind kind,
                             uint32_t n, size_t size, struct gr_secure_message *out,
                             unsigned char **items) {
    const struct gr_secure_items shape = {
        .skip = sizeof(struct gr_secure_head), .size = size, .n = n};
    return gr_secure_message_begin_items(kind, collector->id, GR_SECURE_COLLECTOR, shape, out,
                                         items);
}

/* Not collective. All memory of the openings, so that nothing is refused once they have come. */
static gr_status make_room(struct gr_secure_collector *collector) {
    gr_status status;
    unsigned char *items;
    const size_t most =
        gr_secure_message_most(GR_SECURE_OPENING, collector->graph.degree.neighbours);
    const struct gr_secure_roll roll = {collector->id, collector->adverts, &collector->graph,
                                        &collector->sharers, &collector->summed};
    GR_TRY(gr_secure_masks_create(&roll, &collector->masks));
    GR_TRY(begin_items(collector, GR_SECURE_SECRETS, gr_party_set_count(&collector->sharers),
                       sizeof(struct gr_secure_opened), &collector->secrets, &items));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++)
        if (gr_party_set_has(&collector->summed, p))
            GR_TRY(gr_allocate(most, 1, "shares", &collector->sent[p].opening.bytes));
out:
    return status;
}

gr_status gr_secure_collector_summed(struct gr_secure_collector *collector,
                                     const struct gr_party_set *summed,
                                     const unsigned char total[GR_DIGEST_BYTES]) {
    struct gr_secure_roster *roster = &collector->roster;
    if (collector->step != ROSTERS || gr_party_set_count(&collector->heard) > 0 ||
        !gr_party_set_within(summed, &collector->sharers))
        return gr_fail(GR_ERROR_INTERNAL, "secure sum: a total out of turn, or of other parties");
    memcpy(roster->head.id, collector->id, sizeof collector->id);
    memcpy(roster->list, collector->list_digest, sizeof roster->list);
    gr_secure_parties_digest(&collector->sharers, summed, roster->parties);
    memcpy(roster->total, total, sizeof roster->total);
    memcpy(roster->model, collector->terms.model, sizeof roster->model);
    gr_secure_roster_digest(roster, collector->roster_digest);
    collector->summed = *summed;
    return make_room(collector);
}

/* ---- what follows -----------------------------------------------------------------------------
 */

static gr_status make_list(struct gr_secure_collector *collector) {
    gr_status status;
    unsigned char *at;
    const size_t size = sizeof(struct gr_secure_advert);
    GR_TRY(begin_items(collector, GR_SECURE_LIST, gr_party_set_count(&collector->heard), size,
                       &collector->list, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(&collector->heard, p)) continue;
        memcpy(at, &collector->adverts[p], size);
        at += size;
    }
    collector->listed = collector->heard;
    gr_secure_list_digest(collector->list.bytes, collector->list.n, collector->list_digest);
out:
    return status;
}

/* Whoever has shown keys and then reveals nothing could have waited for what the others reveal, to
 * choose among two graphs: so there is none then. */
static gr_status draw_graph(struct gr_secure_collector *collector) {
    const struct gr_secure_drawn drawn = {
        collector->id, collector->list_digest,
        (const unsigned char(*)[GR_SECURE_SECRET_BYTES])collector->draws};
    if (collector->draws && !gr_party_set_equal(&collector->heard, &collector->listed))
        return gr_fail(GR_STOPPED,
                       "secure sum: %u of %u parties have revealed what draws the graph, expected "
                       "all; the sum is void",
                       gr_party_set_count(&collector->heard),
                       gr_party_set_count(&collector->listed));
    return gr_secure_draw(&collector->terms, &collector->listed, &drawn, &collector->graph);
}

/* The share of p's secret that q has opened; false: none. */
static bool find_share(const struct gr_secure_collector *collector, uint32_t q, uint32_t p,
                       unsigned char out[GR_SHAMIR_BYTES]) {
    uint32_t n = 0;
    struct gr_secure_opened opened;
    const struct gr_secure_message *opening = &collector->sent[q].opening;
    const unsigned char *at = gr_secure_message_items(opening->bytes, opening->n, ITEMS_AT,
                                                      sizeof opened, GR_SIGNATURE_BYTES, &n);
    for (uint32_t i = 0; at && i < n; i++) {
        memcpy(&opened, at + i * sizeof opened, sizeof opened);
        if (opened.party == p) memcpy(out, opened.bytes, GR_SHAMIR_BYTES);
        if (opened.party == p) return true;
    }
    return false;
}

/* The secret of party p, of as many shares of it as are needed, of those heard. */
static gr_status rebuild(const struct gr_secure_collector *collector, uint32_t p,
                         struct gr_secure_opened *out) {
    uint32_t numbers[GR_SHAMIR_SHARES_MAX], n = 0, number = 0;
    unsigned char shares[GR_SHAMIR_SHARES_MAX][GR_SHAMIR_BYTES];
    const bool lost = !gr_party_set_has(&collector->summed, p);
    const uint32_t least = collector->graph.degree.shares;
    struct gr_party_set around;
    gr_secure_graph_around(&collector->graph, p, &around);
    for (uint32_t q = 0; q < collector->terms.n_parties && n < least; q++) {
        if (!gr_party_set_has(&around, q)) continue;
        if (gr_party_set_has(&collector->heard, q) && find_share(collector, q, p, shares[n]))
            numbers[n++] = number;
        number++;
    }
    if (n < least)
        return gr_fail(GR_STOPPED,
                       "secure sum: %u neighbours of party %u are left, expected %u; the sum is "
                       "void",
                       n, p, least);
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
    gr_status status = GR_OK;
    struct gr_secure_opened opened;
    const struct gr_secure_roll roll = {collector->id, collector->adverts, &collector->graph,
                                        &collector->sharers, &collector->summed};
    unsigned char *at = collector->secrets.bytes + collector->secrets.n -
                        gr_party_set_count(&collector->sharers) * sizeof opened;
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(&collector->sharers, p)) continue;
        GR_TRY(rebuild(collector, p, &opened));
        GR_TRY(gr_secure_masks_add(&collector->masks, &roll, &opened));
        memcpy(at, &opened, sizeof opened);
        at += sizeof opened;
    }
out:
    return status;
}

static gr_status make_by_step(struct gr_secure_collector *collector) {
    gr_status status = GR_OK;
    switch (collector->step) {
    case ADVERTS:
        GR_TRY(make_list(collector));
        if (!collector->draws) status = draw_graph(collector);
        break;
    case REVEALS:
        status = draw_graph(collector);
        break;
    case SHARES:
        collector->sharers = collector->heard;
        break;
    case ROSTERS:
        break;
    default:
        status = make_secrets(collector);
    }
out:
    return status;
}

gr_status gr_secure_collector_close(struct gr_secure_collector *collector) {
    gr_status status;
    const uint32_t n = gr_party_set_count(&collector->heard), least = collector->terms.threshold;
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
    if (collector->step == REVEALS && !collector->draws) collector->step++;
    if (collector->step < CLOSED) collector->heard = (struct gr_party_set){0};
    return GR_OK;
}

/* ---- what is told -----------------------------------------------------------------------------
 */

static gr_status tell_reveals(const struct gr_secure_collector *collector,
                              struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    struct gr_secure_revealed revealed;
    GR_TRY(begin_items(collector, GR_SECURE_REVEALS, gr_party_set_count(&collector->listed),
                       sizeof revealed, out, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(&collector->listed, p)) continue;
        revealed.party = p;
        memcpy(revealed.draw, collector->draws[p], sizeof revealed.draw);
        memcpy(at, &revealed, sizeof revealed);
        at += sizeof revealed;
    }
out:
    return status;
}

static gr_status tell_pieces(const struct gr_secure_collector *collector, uint32_t to,
                             struct gr_secure_message *out) {
    gr_status status;
    unsigned char *at;
    struct gr_party_set around, from = {0};
    gr_secure_graph_around(&collector->graph, to, &around);
    for (uint32_t p = 0; p < collector->terms.n_parties; p++)
        if (p != to && gr_party_set_has(&around, p) && gr_party_set_has(&collector->sharers, p))
            gr_party_set_add(&from, p);
    const struct gr_secure_items shape = {.skip = sizeof(struct gr_secure_head) +
                                                  sizeof collector->sharers,
                                          .size = sizeof(struct gr_secure_piece),
                                          .n = gr_party_set_count(&from)};
    GR_TRY(gr_secure_message_begin_items(GR_SECURE_PIECES, collector->id, GR_SECURE_COLLECTOR,
                                         shape, out, &at));
    memcpy(out->bytes + sizeof(struct gr_secure_head), &collector->sharers,
           sizeof collector->sharers);
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (!gr_party_set_has(&from, p)) continue;
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
        count += collector->sent[p].roster.head.kind == GR_SECURE_ROSTER;
    GR_TRY(begin_items(collector, GR_SECURE_ROSTERS, count, size, out, &at));
    for (uint32_t p = 0; p < collector->terms.n_parties; p++) {
        if (collector->sent[p].roster.head.kind != GR_SECURE_ROSTER) continue;
        memcpy(at, &collector->sent[p].roster, size);
        at += size;
    }
out:
    return status;
}

gr_status gr_secure_collector_tell(const struct gr_secure_collector *collector, uint32_t to,
                                   struct gr_secure_message *out) {
    switch (collector->step) {
    case REVEALS:
        return keep(collector->list.bytes, collector->list.n, out);
    case SHARES:
        return collector->draws ? tell_reveals(collector, out)
                                : keep(collector->list.bytes, collector->list.n, out);
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
