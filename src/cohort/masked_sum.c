/* SPDX-License-Identifier: Apache-2.0 */
#include "cohort/masked_sum.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- whose sums ----------------------------------------------------------------------------- */

/* Words of a message with its size before it, at most. */
static size_t words_of(enum gr_secure_kind kind, uint32_t neighbours) {
    const size_t bytes = sizeof(uint64_t) + gr_secure_message_most(kind, neighbours);
    return (bytes + sizeof(int64_t) - 1) / sizeof(int64_t);
}

/* Of an exchange, before its messages: how many ranks have failed, and how many are short of
 * parties. */
enum { FAILED, TOO_FEW, STATUS_WORDS };

/* Where a graph is drawn, keys take one exchange more than there are of a sum behind its words. */
static bool makes_keys_ahead(const struct gr_masking *masking) {
    return masking->n_parties <= GR_SECURE_COMPLETE_MAX;
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Messages of all parties of as many sums as an exchange may have: shares are the longest. What is
 * not used of it is no memory. */
static gr_status make_room(struct gr_masking *masking) {
    const uint32_t n = smaller(masking->n_parties, GR_SECURE_PARTIES_MAX),
                   neighbours = smaller(n, GR_SECURE_NEIGHBOURS_MAX);
    const size_t each = n * words_of(GR_SECURE_SHARES, neighbours),
                 sums = makes_keys_ahead(masking) ? GR_MASKED_AT_ONCE : 1;
    return gr_allocate(STATUS_WORDS + sums * each, sizeof *masking->words,
                       "messages of secure sums", &masking->words);
}

gr_status gr_masking_create(struct gr_comm *comm, const struct gr_config *config,
                            const int32_t *host_of, struct gr_masking **out) {
    gr_status status;
    struct gr_masking *masking = NULL;
    const size_t slots = (size_t)gr_comm_slots(comm);
    const uint32_t n_sites = gr_comm_parties(comm) - 1;
    GR_TRY(gr_allocate_zero(1, sizeof *masking, "secure sums", &masking));
    masking->comm = comm;
    masking->config = config;
    masking->host_of = host_of;
    masking->n_parties = n_sites > 0 ? n_sites : config->data.silos;
    GR_TRY(make_room(masking));
    if (n_sites == 0) {
        GR_TRY(gr_keys_draw(&masking->drawn));
        masking->keys = masking->drawn;
        GR_TRY(gr_allocate_zero(slots, sizeof *masking->key_of, "keys", &masking->key_of));
    }
    *out = masking;
    masking = NULL;
out:
    gr_masking_free(masking);
    return status;
}

gr_status gr_masking_join(struct gr_masking *masking, const struct gr_door_party *party) {
    if (gr_comm_parties(masking->comm) == 1) return GR_OK;
    memcpy(masking->study, party->study, sizeof masking->study);
    masking->parties = party->parties;
    masking->keys = party->keys;
    masking->roster_difference = party->roster_difference;
    if (!party->sums) return GR_OK;
    const gr_status status = gr_sum_journal_open(party->sums, &masking->journal);
    if (status == GR_OK) masking->counter = gr_sum_journal_counter(masking->journal);
    return status;
}

static void drop_ready(struct gr_masking *masking) {
    for (size_t i = 0; i < masking->n_ready; i++)
        gr_masked_free(masking->ready[i]);
    masking->n_ready = 0;
}

void gr_masking_free(struct gr_masking *masking) {
    if (!masking) return;
    drop_ready(masking);
    gr_free(masking->words);
    gr_sum_journal_close(masking->journal);
    gr_keys_free(masking->drawn);
    gr_free(masking->key_of);
    gr_free(masking);
}

/* The record of a site keeps the greatest counter for good: one that nothing is above would end all
 * of its sums. So no leap is believed that no study makes. */
static gr_status check_counter(const struct gr_masking *masking, int64_t counter) {
    static const uint64_t leap = (uint64_t)1 << 40;
    if (!masking->journal || (uint64_t)counter - masking->counter <= leap) return GR_OK;
    return gr_fail(GR_ERROR_POLICY,
                   "secure sum: a site tells of %lld sums, this one knows of %llu; its record of "
                   "them, or a site, is not to be believed",
                   (long long)counter, (unsigned long long)masking->counter);
}

/*
 * Collective, once in an epoch, in which all members begin the same sums: a counter above those of
 * all, of earlier stretches too, and in one job the keys, which end with their processes.
 */
static gr_status agree_on_counter(struct gr_masking *masking) {
    gr_status status = GR_OK;
    struct gr_comm *comm = masking->comm;
    int64_t *words = NULL, counter = (int64_t)masking->counter;
    const size_t slots = (size_t)gr_comm_slots(comm),
                 words_a_key = sizeof *masking->key_of / sizeof *words;
    if (masking->agreed && masking->epoch == gr_comm_epoch(comm)) return GR_OK;
    drop_ready(masking); /* whose parties were others */
    GR_TRY(gr_comm_max_public(comm, &counter, 1));
    GR_TRY(gr_comm_agree(comm, check_counter(masking, counter)));
    if (masking->drawn) {
        GR_TRY(
            gr_comm_agree(comm, gr_allocate_zero(slots, sizeof *masking->key_of, "keys", &words)));
        memcpy(words + (size_t)gr_comm_slot(comm) * words_a_key, gr_keys_public(masking->drawn),
               sizeof *masking->key_of);
        GR_TRY(gr_comm_sum_public(comm, words, slots * words_a_key));
        memcpy(masking->key_of, words, slots * sizeof *masking->key_of);
    }
    masking->counter = (uint64_t)counter;
    masking->epoch = gr_comm_epoch(comm);
    masking->agreed = true;
out:
    gr_free(words);
    return status;
}

/* ---- the parties of a sum ------------------------------------------------------------------- */

void gr_masked_fail(struct gr_masked_sum *sum, gr_status status) {
    if (sum->status != GR_OK || status == GR_OK) return;
    sum->status = status;
    snprintf(sum->message, sizeof sum->message, "%s", gr_message());
}

gr_status gr_masked_status(const struct gr_masked_sum *sum) {
    return sum->status == GR_OK ? GR_OK : gr_fail(sum->status, "%s", sum->message);
}

/* Collective, where all have the same counts of ranks. Another failure comes first, and is whose it
 * is. */
static gr_status end_together(struct gr_comm *comm, gr_status mine,
                              const int64_t counts[STATUS_WORDS]) {
    gr_status status = GR_OK;
    char message[GR_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", mine == GR_STOPPED ? gr_message() : "");
    if (counts[FAILED] > 0) GR_TRY(gr_comm_agree(comm, mine == GR_STOPPED ? GR_OK : mine));
    if (counts[TOO_FEW] > 0)
        status = gr_fail(GR_STOPPED, "%s",
                         message[0] ? message
                                    : "secure sum: too few parties are left, or a site takes no "
                                      "part in a sum of these; it is void");
    /* Counts that do not tell of this rank's own have been made smaller by a site that lies. */
    if (status == GR_OK) status = mine;
out:
    return status;
}

static void count_status(gr_status mine, int64_t counts[STATUS_WORDS]) {
    counts[FAILED] = mine != GR_OK && mine != GR_STOPPED;
    counts[TOO_FEW] = mine == GR_STOPPED;
}

gr_status gr_masked_agree(const struct gr_masking *masking, gr_status mine) {
    gr_status status = GR_OK;
    int64_t counts[STATUS_WORDS];
    if (mine == GR_LOST) return GR_LOST;
    count_status(mine, counts);
    GR_TRY(gr_comm_max_public(masking->comm, counts, STATUS_WORDS));
    status = end_together(masking->comm, mine, counts);
out:
    return status;
}

/* One more party, by the process of `slot`. Beyond the greatest number it is counted only. */
static void add_party(const struct gr_masking *masking, struct gr_masked_sum *sum,
                      const struct gr_public_key *key, int slot, bool mine[GR_SECURE_PARTIES_MAX]) {
    const uint32_t p = sum->terms.n_parties++;
    if (p >= GR_SECURE_PARTIES_MAX) return;
    sum->identities[p] = *key;
    mine[p] = slot == gr_comm_slot(masking->comm) && masking->keys;
}

/* All silos or sites that are there, with values or without: so nobody sees who brings nothing. All
 * ranks find the same ones, in their order. */
static void find_parties(const struct gr_masking *masking, struct gr_masked_sum *sum,
                         bool mine[GR_SECURE_PARTIES_MAX]) {
    struct gr_comm *comm = masking->comm;
    const uint32_t n_silos = masking->config->data.silos, n_sites = gr_comm_parties(comm);
    for (uint32_t silo = 0; silo < n_silos && masking->key_of; silo++) {
        const int slot = masking->host_of[silo];
        if (gr_comm_rank_of(comm, slot) < 0) continue;
        add_party(masking, sum, &masking->key_of[slot], slot, mine);
    }
    for (uint32_t site = 1; site < n_sites && masking->parties; site++) {
        int n_slots;
        const int first = gr_comm_party_slots(comm, site, &n_slots);
        bool is_in = false;
        for (uint32_t silo = 0; silo < n_silos && !is_in; silo++)
            is_in = gr_comm_party(comm, masking->host_of[silo]) == site;
        if (!is_in || n_slots <= 0 || gr_comm_rank_of(comm, first) < 0) continue;
        add_party(masking, sum, &masking->parties[site].key, first, mine);
        gr_party_set_add(&sum->sites, site - 1);
    }
}

/* The threshold is of the whole federation, whoever is there: else whoever says that parties are
 * away could lower it. A lower one than the fewest parties of any sum is of openings alone. */
static void set_terms(const struct gr_masking *masking, struct gr_secure_terms *terms) {
    terms->threshold = gr_secure_threshold(masking->config, masking->n_parties);
    terms->colluding = masking->config->secure.colluding;
    terms->neighbours = masking->config->secure.neighbours;
}

/* The same on all ranks, also of a sum of which this rank has nothing. */
static gr_status neighbours_of(const struct gr_masking *masking, uint32_t n_parties,
                               uint32_t *neighbours) {
    struct gr_secure_terms terms = {.n_parties = n_parties};
    struct gr_secure_degree degree = {0};
    set_terms(masking, &terms);
    const gr_status status = gr_secure_terms_degree(&terms, n_parties, &degree);
    *neighbours = degree.neighbours;
    return status;
}

static gr_status settle_terms(const struct gr_masking *masking, struct gr_masked_sum *sum) {
    struct gr_secure_terms *terms = &sum->terms;
    gr_status status;
    terms->identities = sum->identities;
    set_terms(masking, terms);
    const uint32_t least =
        terms->threshold > GR_SECURE_PARTIES_MIN ? terms->threshold : GR_SECURE_PARTIES_MIN;
    if (terms->n_parties < least)
        return gr_fail(GR_STOPPED,
                       "secure sum: %u of %u parties are there, expected %u (secure.threshold)",
                       terms->n_parties, masking->n_parties, least);
    GR_TRY(gr_secure_terms_check(terms));
    status = neighbours_of(masking, terms->n_parties, &sum->neighbours);
out:
    return status;
}

bool gr_masking_suffices(const struct gr_masking *masking) {
    struct gr_masked_sum sum = {0};
    bool mine[GR_SECURE_PARTIES_MAX] = {false};
    find_parties(masking, &sum, mine);
    return settle_terms(masking, &sum) == GR_OK;
}

gr_status gr_masking_check_difference(const struct gr_masking *masking) {
    struct gr_masked_sum sum = {0};
    bool mine[GR_SECURE_PARTIES_MAX] = {false};
    if (!masking->journal || masking->roster_difference == 0) return GR_OK;
    find_parties(masking, &sum, mine);
    const uint32_t found = gr_sum_journal_difference(masking->journal, masking->study, &sum.sites);
    if (found >= masking->roster_difference) return GR_OK;
    return gr_fail(GR_STOPPED,
                   "secure sum: the parties that are there differ by %u site%s from those of an "
                   "earlier sum of updates, and the two would tell about what %s brought; allowed "
                   "none, or at least %u (policy.roster_difference)",
                   found, found == 1 ? "" : "s", found == 1 ? "it" : "they",
                   masking->roster_difference);
}

void gr_masked_note_parties(const struct gr_masking *masking, struct gr_masked_sum *sum) {
    if (sum->status == GR_OK)
        gr_masked_fail(sum, gr_sum_journal_parties(masking->journal, masking->study, &sum->sites));
}

static gr_status create_parties(const struct gr_masking *masking, struct gr_masked_sum *sum,
                                const bool mine[GR_SECURE_PARTIES_MAX]) {
    gr_status status = GR_OK;
    for (uint32_t p = 0; p < sum->terms.n_parties; p++) {
        const struct gr_secure_party_options options = {.terms = sum->terms,
                                                        .me = p,
                                                        .keys = masking->keys,
                                                        .journal = masking->journal,
                                                        .whole = true};
        if (!mine[p]) continue;
        GR_TRY(gr_secure_party_create(&options, &sum->party[p]));
        gr_party_set_add(&sum->own, p);
    }
    status = gr_secure_collector_create(&sum->terms, &sum->collector);
out:
    return status;
}

/* ---- messages ------------------------------------------------------------------------------- */

/* What one party of this process brings; NULL: this rank has no part in the sum. */
typedef gr_status (*bring_function)(struct gr_masked_sum *sum, uint32_t party,
                                    struct gr_secure_message *out);
static void write_messages(struct gr_masked_sum *sum, uint32_t n_parties, size_t each,
                           bring_function bring, int64_t *words) {
    memset(words, 0, n_parties * each * sizeof *words);
    for (uint32_t p = 0; sum && p < n_parties; p++) {
        struct gr_secure_message message = {0};
        if (!sum->party[p] || sum->status != GR_OK) continue;
        gr_masked_fail(sum, bring(sum, p, &message));
        if (message.n > 0 && message.n <= (each - 1) * sizeof *words) {
            words[p * each] = (int64_t)message.n;
            memcpy(&words[p * each + 1], message.bytes, message.n);
        }
        gr_free(message.bytes);
    }
}

/* Into this rank's own collector: whoever has sent nothing, or what is false, is left out. What it
 * has already is that of an exchange before a loss. */
static gr_status collect(struct gr_masked_sum *sum, size_t each, const int64_t *words) {
    for (uint32_t p = 0; p < sum->terms.n_parties; p++) {
        const int64_t *at = words + p * each;
        const struct gr_party_set *heard = gr_secure_collector_heard(sum->collector);
        if (at[0] <= 0 || at[0] > (int64_t)((each - 1) * sizeof *at) || gr_party_set_has(heard, p))
            continue;
        (void)!gr_secure_collector_take(sum->collector, p, at + 1, (size_t)at[0]);
    }
    return gr_secure_collector_close(sum->collector);
}

static gr_status bring_advert(struct gr_masked_sum *sum, uint32_t p,
                              struct gr_secure_message *out) {
    return gr_secure_party_advertise(sum->party[p], out);
}

/* The answer of a party to what the collector has for it. */
typedef gr_status (*answer_function)(struct gr_secure_party *party, const void *bytes, size_t n,
                                     struct gr_secure_message *out);
static gr_status bring_answer(struct gr_masked_sum *sum, uint32_t p, answer_function answer,
                              struct gr_secure_message *out) {
    struct gr_secure_message told = {0};
    gr_status status = gr_secure_collector_tell(sum->collector, p, &told);
    if (status == GR_OK) status = answer(sum->party[p], told.bytes, told.n, out);
    gr_free(told.bytes);
    return status;
}

static gr_status bring_reveal(struct gr_masked_sum *sum, uint32_t p,
                              struct gr_secure_message *out) {
    return bring_answer(sum, p, gr_secure_party_reveal, out);
}

static gr_status bring_shares(struct gr_masked_sum *sum, uint32_t p,
                              struct gr_secure_message *out) {
    return bring_answer(sum, p, gr_secure_party_share, out);
}

static gr_status keep(const struct gr_secure_message *from, struct gr_secure_message *to) {
    gr_status status = gr_allocate(from->n, 1, "a message of a secure sum", &to->bytes);
    if (status != GR_OK) return status;
    memcpy(to->bytes, from->bytes, from->n);
    to->n = from->n;
    return GR_OK;
}

/* Signed once, and brought again where somebody has missed it. */
static gr_status bring_roster(struct gr_masked_sum *sum, uint32_t p,
                              struct gr_secure_message *out) {
    return sum->rosters[p].n > 0 ? keep(&sum->rosters[p], out) : GR_OK;
}

/* Nothing, where this rank has not heard enough signatures. */
static gr_status bring_opening(struct gr_masked_sum *sum, uint32_t p,
                               struct gr_secure_message *out) {
    return sum->openings[p].n > 0 ? keep(&sum->openings[p], out) : GR_OK;
}

/* The part of one sum in an exchange. */
struct exchange_part {
    struct gr_masked_sum *sum;      /* NULL: this rank has none */
    gr_status status;               /* why */
    uint32_t n_parties, neighbours; /* of each; both the same on all ranks */
    enum gr_secure_step step;
};

static const struct {
    enum gr_secure_kind kind;
    bring_function bring;
} steps[] = {[GR_SECURE_STEP_ADVERTS] = {GR_SECURE_ADVERT, bring_advert},
             [GR_SECURE_STEP_REVEALS] = {GR_SECURE_REVEAL, bring_reveal},
             [GR_SECURE_STEP_SHARES] = {GR_SECURE_SHARES, bring_shares},
             [GR_SECURE_STEP_ROSTERS] = {GR_SECURE_ROSTER, bring_roster},
             [GR_SECURE_STEP_OPENINGS] = {GR_SECURE_OPENING, bring_opening}};

/* This rank's, with its message; a failure comes before too few parties. */
static gr_status status_of(const struct exchange_part *parts, size_t n) {
    gr_status worst = GR_OK;
    for (size_t i = 0; i < n && (worst == GR_OK || worst == GR_STOPPED); i++) {
        if (parts[i].sum && parts[i].sum->status != GR_OK) worst = gr_masked_status(parts[i].sum);
        if (!parts[i].sum && parts[i].status != GR_OK)
            worst = gr_fail(parts[i].status, "memory for a secure sum was refused");
    }
    return worst;
}

/*
 * Collective. The messages of one step of each part, each in its party's place, to all; and with
 * them whether a rank has failed, for which all end.
 */
static gr_status exchange(struct gr_masking *masking, const struct exchange_part *parts, size_t n) {
    gr_status status = GR_OK;
    int64_t *words = masking->words, *at = words + STATUS_WORDS;
    for (size_t i = 0; i < n; i++) {
        const size_t each = words_of(steps[parts[i].step].kind, parts[i].neighbours);
        write_messages(parts[i].sum, parts[i].n_parties, each, steps[parts[i].step].bring, at);
        at += parts[i].n_parties * each;
    }
    const gr_status mine = status_of(parts, n);
    count_status(mine, words);
    GR_TRY(gr_comm_sum_public(masking->comm, words, (size_t)(at - words)));
    GR_TRY(end_together(masking->comm, mine, words));
    at = words + STATUS_WORDS;
    for (size_t i = 0; i < n; i++) {
        struct gr_masked_sum *sum = parts[i].sum;
        const size_t each = words_of(steps[parts[i].step].kind, parts[i].neighbours);
        if (sum && gr_secure_collector_step(sum->collector) == parts[i].step)
            gr_masked_fail(sum, collect(sum, each, at));
        at += parts[i].n_parties * each;
    }
out:
    return status;
}

/* The next message of the collector for each party of this process. */
typedef gr_status (*take_function)(struct gr_secure_party *party, const void *bytes, size_t n);
static gr_status tell(struct gr_masked_sum *sum, take_function take) {
    gr_status status = GR_OK;
    struct gr_secure_message message = {0};
    for (uint32_t p = 0; p < sum->terms.n_parties; p++) {
        if (!sum->party[p]) continue;
        GR_TRY(gr_secure_collector_tell(sum->collector, p, &message));
        GR_TRY(take(sum->party[p], message.bytes, message.n));
        gr_free(message.bytes);
        message = (struct gr_secure_message){0};
    }
out:
    gr_free(message.bytes);
    return status;
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* Not collective. A sum over those who are there. Fails on all ranks or on none: where this one
 * alone fails, its part says so. */
static gr_status create(struct gr_masking *masking, const struct gr_masked_options *options,
                        struct exchange_part *out) {
    bool mine[GR_SECURE_PARTIES_MAX] = {false};
    struct gr_masked_sum sum = {.terms = {.round = options->round,
                                          .release = options->release,
                                          .part = options->part,
                                          .counter = ++masking->counter}};
    memcpy(sum.terms.run, masking->run, sizeof sum.terms.run);
    memcpy(sum.terms.study, masking->study, sizeof sum.terms.study);
    memcpy(sum.terms.model, options->model, sizeof sum.terms.model);
    find_parties(masking, &sum, mine);
    gr_status status = settle_terms(masking, &sum);
    if (status != GR_OK) return status;
    *out = (struct exchange_part){.n_parties = sum.terms.n_parties,
                                  .neighbours = sum.neighbours,
                                  .step = GR_SECURE_STEP_ADVERTS};
    out->status = gr_allocate(1, sizeof sum, "a secure sum", &out->sum);
    if (out->status != GR_OK) return GR_OK;
    *out->sum = sum;
    out->sum->terms.identities = out->sum->identities;
    gr_masked_fail(out->sum, create_parties(masking, out->sum, mine));
    return GR_OK;
}

static bool is_of(const struct gr_masked_options *a, const struct gr_secure_terms *b) {
    return a->release == b->release && a->round == b->round && a->part == b->part;
}

/* That whose keys have been exchanged already, without those before it, which were not asked for.
 */
static struct gr_masked_sum *take_ready(struct gr_masking *masking,
                                        const struct gr_masked_options *options) {
    struct gr_masked_sum *sum = NULL;
    size_t n = 0;
    while (n < masking->n_ready && !sum) {
        if (is_of(options, &masking->ready[n]->terms))
            sum = masking->ready[n];
        else
            gr_masked_free(masking->ready[n]);
        n++;
    }
    masking->n_ready -= n;
    for (size_t i = 0; i < masking->n_ready; i++)
        masking->ready[i] = masking->ready[n + i];
    return sum;
}

void gr_masked_expect(struct gr_masking *masking, const struct gr_masked_options *options,
                      size_t n) {
    masking->n_expected = n < GR_MASKED_AHEAD ? n : GR_MASKED_AHEAD;
    masking->expected_epoch = gr_comm_epoch(masking->comm);
    if (n > 0) memcpy(masking->expected, options, masking->n_expected * sizeof *options);
}

void gr_masked_forget_keys(struct gr_masking *masking) {
    drop_ready(masking);
    masking->n_expected = 0;
}

/* Not collective. The sums that are expected and not ready, as parts. */
static void create_expected(struct gr_masking *masking, struct exchange_part *parts, size_t *n) {
    const bool now =
        masking->expected_epoch == gr_comm_epoch(masking->comm) && makes_keys_ahead(masking);
    size_t room = GR_MASKED_AHEAD - masking->n_ready;
    for (size_t i = 0; i < masking->n_expected && now && room > 0; i++) {
        bool is_ready = false;
        for (size_t k = 0; k < masking->n_ready; k++)
            is_ready = is_ready || is_of(&masking->expected[i], &masking->ready[k]->terms);
        if (is_ready) continue;
        if (create(masking, &masking->expected[i], &parts[*n]) != GR_OK) break;
        (*n)++;
        room--;
    }
    masking->n_expected = 0;
}

/* Not collective. Behind the exchange of shares: vectors may be masked. */
static void take_pieces(const struct exchange_part *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (parts[i].sum->status == GR_OK)
            gr_masked_fail(parts[i].sum, tell(parts[i].sum, gr_secure_party_take_pieces));
}

static void keep_ready(struct gr_masking *masking, struct exchange_part *parts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        masking->ready[masking->n_ready++] = parts[i].sum;
        parts[i].sum = NULL;
    }
}

static void free_parts(const struct exchange_part *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        gr_masked_free(parts[i].sum);
}

/* Collective. Keys for this sum, and for those that are expected behind it. */
static gr_status make_keys(struct gr_masking *masking, const struct gr_masked_options *options,
                           struct gr_masked_sum **out) {
    gr_status status = GR_OK;
    struct exchange_part parts[GR_MASKED_AT_ONCE];
    size_t n = 0;
    GR_TRY(create(masking, options, &parts[n]));
    n++;
    create_expected(masking, parts, &n);
    for (int step = GR_SECURE_STEP_ADVERTS; step <= GR_SECURE_STEP_SHARES; step++) {
        if (step == GR_SECURE_STEP_REVEALS && parts[0].n_parties <= GR_SECURE_COMPLETE_MAX)
            continue;
        for (size_t i = 0; i < n; i++)
            parts[i].step = (enum gr_secure_step)step;
        GR_TRY(exchange(masking, parts, n));
    }
    take_pieces(parts, n);
    *out = parts[0].sum;
    parts[0].sum = NULL;
    keep_ready(masking, parts + 1, n - 1);
out:
    free_parts(parts, n);
    return status;
}

gr_status gr_masked_begin(struct gr_masking *masking, const struct gr_masked_options *options,
                          struct gr_masked_sum **out) {
    gr_status status = GR_OK;
    size_t passed = 0;
    *out = NULL;
    GR_TRY(agree_on_counter(masking));
    for (size_t i = 0; i < masking->n_expected; i++)
        if (memcmp(&masking->expected[i], options, sizeof *options) == 0) passed = i + 1;
    masking->n_expected -= passed;
    memmove(masking->expected, masking->expected + passed,
            masking->n_expected * sizeof *masking->expected);
    *out = take_ready(masking, options);
    if (!*out) return make_keys(masking, options, out);
    if (memcmp((*out)->terms.model, options->model, sizeof options->model) != 0)
        gr_masked_fail(
            *out, gr_fail(GR_ERROR_POLICY, "secure sum: its keys were made for another model"));
out:
    return status;
}

/* ---- words ---------------------------------------------------------------------------------- */

/* Without a mask nothing leaves. */
void gr_masked_add(struct gr_masked_sum *sum, struct gr_stream_range range, void *words) {
    for (uint32_t p = 0; p < sum->terms.n_parties && sum->status == GR_OK; p++)
        if (sum->party[p])
            gr_masked_fail(sum, gr_secure_party_mask(sum->party[p], &sum->own, range, words));
    if (sum->status != GR_OK) memset(words, 0, range.n * (range.bits / 8));
}

/* Fails only before gr_masked_open has succeeded, which is an error of the caller. */
void gr_masked_remove(const struct gr_masked_sum *sum, struct gr_stream_range range, void *words) {
    (void)!gr_secure_collector_unmask(sum->collector, range, words);
}

/* ---- opening -------------------------------------------------------------------------------- */

static gr_status sign(struct gr_masked_sum *sum, const unsigned char total[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    struct gr_party_set all = {0};
    for (uint32_t p = 0; p < sum->terms.n_parties; p++)
        gr_party_set_add(&all, p);
    if (gr_secure_collector_step(sum->collector) == GR_SECURE_STEP_ROSTERS &&
        gr_party_set_count(gr_secure_collector_heard(sum->collector)) == 0)
        GR_TRY(gr_secure_collector_summed(sum->collector, &all, total));
    for (uint32_t p = 0; p < sum->terms.n_parties; p++)
        if (sum->party[p] && sum->rosters[p].n == 0)
            GR_TRY(gr_secure_party_sign(sum->party[p], &all, total, &sum->rosters[p]));
out:
    return status;
}

static gr_status open_shares(struct gr_masked_sum *sum) {
    gr_status status = GR_OK;
    struct gr_secure_message rosters = {0};
    if (gr_secure_collector_step(sum->collector) != GR_SECURE_STEP_OPENINGS) return GR_OK;
    for (uint32_t p = 0; p < sum->terms.n_parties; p++) {
        if (!sum->party[p] || sum->openings[p].n > 0) continue;
        GR_TRY(gr_secure_collector_tell(sum->collector, p, &rosters));
        GR_TRY(gr_secure_party_open_shares(sum->party[p], rosters.bytes, rosters.n,
                                           &sum->openings[p]));
        gr_free(rosters.bytes);
        rosters = (struct gr_secure_message){0};
    }
out:
    gr_free(rosters.bytes);
    return status;
}

/* Where nobody has opened it before, all ranks find the same in the same messages, and nothing that
 * they need for it is refused any more: no agreement follows. */
gr_status gr_masked_open(struct gr_masking *masking, struct gr_masked_sum *sum, uint32_t n_parties,
                         const unsigned char total[GR_DIGEST_BYTES], bool *signed_by_all) {
    gr_status status = GR_OK;
    const bool again = n_parties > 0;
    struct exchange_part parts[GR_MASKED_AT_ONCE] = {{.sum = sum, .step = GR_SECURE_STEP_ROSTERS}};
    size_t n = 1;
    assert(sum || again);
    if (n_parties > masking->n_parties)
        return gr_fail(GR_ERROR_INTERNAL, "a masked sum of %u parties, expected at most %u",
                       n_parties, masking->n_parties);
    if (sum && sum->status == GR_OK) gr_masked_fail(sum, sign(sum, total));
    parts[0].n_parties = again ? n_parties : sum->terms.n_parties;
    GR_TRY(neighbours_of(masking, parts[0].n_parties, &parts[0].neighbours));
    if (!again) create_expected(masking, parts, &n);
    GR_TRY(exchange(masking, parts, n));
    *signed_by_all = true;
    if (sum && sum->status == GR_OK) gr_masked_fail(sum, open_shares(sum));
    parts[0].step = GR_SECURE_STEP_OPENINGS;
    for (size_t i = 1; i < n; i++)
        parts[i].step = GR_SECURE_STEP_SHARES;
    GR_TRY(exchange(masking, parts, n));
    take_pieces(parts + 1, n - 1);
    keep_ready(masking, parts + 1, n - 1);
    status = sum ? gr_masked_status(sum) : GR_OK;
    if (again) status = gr_masked_agree(masking, status);
out:
    free_parts(parts + 1, n - 1);
    if (status != GR_OK) drop_ready(masking);
    return status;
}

void gr_masked_free(struct gr_masked_sum *sum) {
    if (!sum) return;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        gr_secure_party_free(sum->party[p]);
        gr_free(sum->rosters[p].bytes);
        gr_free(sum->openings[p].bytes);
    }
    gr_secure_collector_free(sum->collector);
    gr_free(sum);
}
