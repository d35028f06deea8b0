/* SPDX-License-Identifier: Apache-2.0 */
/* What the member that leads does: waits for the others, summons them, comes to a verdict. */
#include "comm/meeting.h"

#include <string.h>

/* ---- how the others stand ------------------------------------------------------------------- */

struct standing {
    int waiting;  /* members of whom nothing is known yet */
    int silent;   /* of those, the ones that have been silent for too long */
    int gone;     /* dead members */
    int ready;    /* the others that have trained */
    int joiners;  /* ranks that ask to be taken in */
    bool trouble; /* somebody has given a collective up, or missed a verdict */
};

static bool is_ready(const struct gr_comm *comm, const struct gr_letter *report) {
    return report && report->head.kind == GR_LETTER_READY && report->head.epoch == comm->epoch &&
           report->head.round == comm->situation.round;
}

static bool is_trouble(const struct gr_comm *comm, const struct gr_letter *report) {
    if (!report) return false;
    if (report->head.kind == GR_LETTER_TROUBLE) return true;
    return report->head.kind == GR_LETTER_READY && report->head.epoch < comm->epoch;
}

static bool is_joiner(const struct gr_comm *comm, int slot) {
    const struct gr_peer *peer = &comm->peers[slot];
    return comm->rank_of[slot] < 0 && !peer->dead && peer->report &&
           peer->report->head.kind == GR_LETTER_JOIN;
}

static gr_status take_stock(struct gr_meeting *m, struct standing *out) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    *out = (struct standing){0};
    for (int i = 0; i < comm->size; i++) {
        int slot = comm->slot_of[i];
        struct gr_peer *peer = &comm->peers[slot];
        if (slot == comm->slot) continue;
        if (peer->dead) {
            out->gone++;
        } else if (is_trouble(comm, peer->report)) {
            out->trouble = true;
        } else if (is_ready(comm, peer->report)) {
            out->ready++;
        } else {
            out->waiting++;
            GR_TRY(gr_meeting_ping(m, slot));
            out->silent += gr_meeting_silent(m, slot);
        }
    }
    for (int slot = 0; slot < comm->slots; slot++)
        out->joiners += is_joiner(comm, slot);
out:
    return status;
}

/* ---- the verdict's content ------------------------------------------------------------------ */

/* What becomes of the reports of the members, this rank's included. */
struct draft {
    struct gr_comm *comm;
    uint32_t n_members;
    uint32_t *slots, *fds, *changes, *ids, *sat; /* one block; owned by slots */
    struct gr_letter_head head;
    const char *text;
};

static gr_status draft_create(struct gr_comm *comm, struct draft *draft) {
    gr_status status = GR_OK;
    const size_t slots = (size_t)comm->slots, ids = comm->ids_max;
    *draft = (struct draft){.comm = comm};
    GR_TRY(gr_allocate(4 * slots + 2 * ids + 1, sizeof(uint32_t), "a verdict", &draft->slots));
    draft->fds = draft->slots + slots;
    draft->changes = draft->fds + slots;
    draft->ids = draft->changes + 2 * slots;
    draft->sat = draft->ids + ids;
    draft->head =
        (struct gr_letter_head){.kind = GR_LETTER_VERDICT, .epoch = comm->epoch, .fd = -1};
out:
    return status;
}

/* Takes in what one member said; ranks come in order, so the lowest failure is kept. */
static gr_status add_report(struct draft *draft, const struct gr_letter_head *head,
                            const uint32_t *ids, const uint32_t *sat, const char *text) {
    const size_t most = draft->comm->ids_max;
    if (draft->head.n_ids + (size_t)head->n_ids > most ||
        draft->head.n_sat + (size_t)head->n_sat > most)
        return gr_fail(GR_ERROR_INTERNAL, "more silos are reported than the %zu there are", most);
    if (ids && head->n_ids > 0)
        memcpy(draft->ids + draft->head.n_ids, ids, head->n_ids * sizeof *ids);
    if (sat && head->n_sat > 0)
        memcpy(draft->sat + draft->head.n_sat, sat, head->n_sat * sizeof *sat);
    draft->head.n_ids += head->n_ids;
    draft->head.n_sat += head->n_sat;
    draft->head.flags |= head->flags & GR_FLAG_STOP;
    if (head->status != GR_OK && draft->head.status == GR_OK) {
        draft->head.status = head->status;
        draft->head.length = head->length;
        draft->text = text;
    }
    return GR_OK;
}

static gr_status add_own(struct draft *draft) {
    const struct gr_situation *s = &draft->comm->situation;
    const struct gr_letter_head head = {.n_ids = (uint32_t)s->n_ids,
                                        .n_sat = (uint32_t)s->n_sat,
                                        .status = (int32_t)s->status,
                                        .flags = s->stop ? GR_FLAG_STOP : 0,
                                        .length =
                                            s->status != GR_OK ? (uint32_t)strlen(s->text) : 0};
    return add_report(draft, &head, s->ids, s->ids ? s->ids + s->n_ids : NULL, s->text);
}

static gr_status add_slot(struct draft *draft, int slot, const struct gr_letter *said) {
    if (slot == draft->comm->slot) return add_own(draft);
    return add_report(draft, &said->head, said->ids, said->sat, said->text);
}

/* Sends the verdict to `to` (n slots) and leaves it for this rank to take. */
static gr_status pronounce(struct draft *draft, const uint32_t *to, size_t n) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    struct gr_letter *letter = NULL;
    /* Of a round that has failed there is no roster. */
    if (draft->head.status != GR_OK) draft->head.n_ids = draft->head.n_sat = 0;
    GR_TRY(gr_letter_create(&draft->head, &letter));
    uint32_t *at = letter->content;
    const struct gr_letter_head *head = &draft->head;
    const struct {
        const uint32_t *from;
        uint32_t n;
    } part[] = {{draft->slots, head->n_slots},
                {draft->fds, head->n_fds},
                {draft->changes, head->n_changes},
                {draft->ids, head->n_ids},
                {draft->sat, head->n_sat}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (part[i].n > 0) memcpy(at, part[i].from, part[i].n * sizeof *at);
        at += part[i].n;
    }
    if (head->length > 0) memcpy(at, draft->text, head->length);
    for (size_t i = 0; i < n; i++)
        if ((int)to[i] != comm->slot) GR_TRY(gr_letter_send(comm, (int)to[i], letter));
    letter->peer = comm->slot;
    gr_free(comm->post.verdict);
    comm->post.verdict = letter;
    letter = NULL;
out:
    gr_free(letter);
    return status;
}

static void forget_reports(struct gr_comm *comm) {
    for (int i = 0; i < comm->slots; i++) {
        struct gr_peer *peer = &comm->peers[i];
        if (comm->rank_of[i] < 0) continue;
        gr_free(peer->report);
        peer->report = NULL;
    }
}

/* All are there and ready: the roster is closed, the membership stays. */
static gr_status close_roster(struct gr_meeting *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct draft draft = {0};
    GR_TRY(draft_create(comm, &draft));
    draft.head.round = comm->situation.round;
    draft.head.flags = GR_FLAG_CLOSED;
    for (int i = 0; i < comm->size; i++)
        GR_TRY(add_slot(&draft, comm->slot_of[i], comm->peers[comm->slot_of[i]].report));
    for (int i = 0; i < comm->size; i++)
        draft.slots[i] = (uint32_t)comm->slot_of[i];
    GR_TRY(pronounce(&draft, draft.slots, (size_t)comm->size));
    forget_reports(comm);
    status = gr_meeting_take_verdict(m);
out:
    gr_free(draft.slots);
    return status;
}

/* ---- a new membership ----------------------------------------------------------------------- */

static bool has_answered(const struct gr_comm *comm, int slot) {
    const struct gr_letter *answer = comm->peers[slot].answer;
    return answer && answer->head.meeting == comm->meetings;
}

static bool needs_state(const struct gr_comm *comm, int slot) {
    if (slot == comm->slot) return comm->situation.need_state;
    return (comm->peers[slot].answer->head.flags & GR_FLAG_NEED_STATE) != 0;
}

/* Whether another has come before us: then its verdict, or its summons, is to be followed. */
static bool overtaken(struct gr_comm *comm) {
    if (comm->post.excluded) return true;
    if (comm->post.verdict && comm->post.verdict->head.epoch > comm->epoch) return true;
    if (!comm->post.summons) return false;
    int rank = comm->rank_of[comm->post.summons->peer];
    if (comm->post.summons->head.epoch > comm->epoch || (rank >= 0 && rank < comm->rank))
        return true;
    /* A junior that had given us up has heard from us by now. */
    gr_free(comm->post.summons);
    comm->post.summons = NULL;
    return false;
}

/* Who wanted to join and does not answer: it asks again if it is there. */
static void forget_silent_joiners(struct gr_comm *comm, const uint8_t *invited) {
    for (int i = 0; i < comm->slots; i++) {
        if (!invited[i] || comm->rank_of[i] >= 0 || has_answered(comm, i)) continue;
        gr_free(comm->peers[i].report);
        comm->peers[i].report = NULL;
    }
}

/* Summons the slots flagged, and waits until all have answered, or died, or time is up. */
static gr_status summon(struct gr_meeting *m, const uint8_t *invited, bool *yield) {
    static const double nap_s = 2e-4;
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    /* Who has kept a collective waiting for half of its time has only the other half left. */
    double waited = 0, patience = comm->overdue ? comm->collective_s / 2 : comm->collective_s;
    const struct gr_letter_head head = {.kind = GR_LETTER_SUMMONS,
                                        .epoch = comm->epoch,
                                        .meeting = ++comm->meetings,
                                        .round = comm->situation.round};
    *yield = false;
    for (int i = 0; i < comm->slots; i++)
        if (invited[i] && i != comm->slot) GR_TRY(gr_letter_send_plain(comm, i, &head));
    for (;;) {
        struct gr_bell *bell = gr_comm_doorbell(comm);
        uint32_t seen = atomic_load(&bell->value);
        int missing = 0;
        GR_TRY(gr_post_look(comm));
        gr_detect(comm);
        if (overtaken(comm)) {
            *yield = true;
            break;
        }
        for (int i = 0; i < comm->slots; i++)
            missing +=
                invited[i] && i != comm->slot && !comm->peers[i].dead && !has_answered(comm, i);
        if (missing == 0 || waited >= patience) break;
        waited += gr_wait_nap(bell, seen, nap_s);
    }
    forget_silent_joiners(comm, invited);
out:
    return status;
}

static void add_change(struct draft *draft, int slot, enum gr_change_kind kind) {
    draft->changes[draft->head.n_changes++] = (uint32_t)slot << 2 | (uint32_t)kind;
}

static void add_member(struct draft *draft, int slot, int fd) {
    draft->slots[draft->head.n_slots++] = (uint32_t)slot;
    draft->fds[draft->head.n_fds++] = (uint32_t)fd;
}

/*
 * The members of the next epoch: those left in their order, then those that come; whoever lacks
 * the state goes to the end, for rank 0 is where it comes from.
 */
static void choose_members(struct draft *draft, const uint8_t *invited, int own_fd) {
    struct gr_comm *comm = draft->comm;
    for (int lacking = 0; lacking < 2; lacking++)
        for (int i = 0; i < comm->size + comm->slots; i++) {
            int slot = i < comm->size ? comm->slot_of[i] : i - comm->size;
            if (i >= comm->size && comm->rank_of[slot] >= 0) continue;
            bool here = slot == comm->slot ||
                        (invited[slot] && !comm->peers[slot].dead && has_answered(comm, slot));
            if (!here || needs_state(comm, slot) != (lacking == 1)) continue;
            add_member(draft, slot,
                       slot == comm->slot ? own_fd : comm->peers[slot].answer->head.fd);
            if (i >= comm->size) add_change(draft, slot, GR_CHANGE_RETURNED);
            if (lacking) draft->head.flags |= GR_FLAG_NEED_STATE;
        }
    for (int i = 0; i < comm->size; i++) {
        int slot = comm->slot_of[i];
        bool stays = false;
        for (uint32_t k = 0; k < draft->head.n_slots; k++)
            stays = stays || (int)draft->slots[k] == slot;
        if (!stays)
            add_change(draft, slot, comm->peers[slot].dead ? GR_CHANGE_LOST : GR_CHANGE_LATE);
    }
}

struct position {
    uint32_t round, phase;
    bool ready, lacking;
};

static struct position position_of(const struct gr_comm *comm, int slot) {
    if (slot == comm->slot) {
        const struct gr_situation *s = &comm->situation;
        return (struct position){s->round, (uint32_t)s->phase, s->ready, s->need_state};
    }
    const struct gr_letter_head *head = &comm->peers[slot].answer->head;
    return (struct position){head->round, head->phase, (head->flags & GR_FLAG_READY) != 0,
                             (head->flags & GR_FLAG_NEED_STATE) != 0};
}

/* One that fails wherever it stands fails all. */
static void find_failure(struct draft *draft) {
    const struct gr_comm *comm = draft->comm;
    for (uint32_t i = 0; i < draft->head.n_slots && draft->head.status == GR_OK; i++) {
        const int slot = (int)draft->slots[i];
        const struct gr_letter *answer = comm->peers[slot].answer;
        bool own = slot == comm->slot;
        int32_t failed = own ? (int32_t)comm->situation.status : answer->head.status;
        if (failed == GR_OK) continue;
        draft->head.status = failed;
        draft->text = own ? comm->situation.text : answer->text;
        draft->head.length = own ? (uint32_t)strlen(draft->text) : answer->head.length;
    }
}

/*
 * The foremost position of those that have the state. A roster is closed where one was, or where
 * all have trained; it is of the silos whose updates are still there.
 */
static gr_status find_position(struct draft *draft) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    struct position front = {0};
    bool all_ready = true, any = false;
    for (uint32_t i = 0; i < draft->head.n_slots; i++) {
        struct position p = position_of(comm, (int)draft->slots[i]);
        if (p.lacking) continue;
        if (!any || p.round > front.round || (p.round == front.round && p.phase > front.phase))
            front = p;
        any = true;
    }
    if (!any)
        return gr_fail(GR_STOPPED, "all ranks that had the model were lost; a checkpoint has it");
    for (uint32_t i = 0; i < draft->head.n_slots; i++) {
        struct position p = position_of(comm, (int)draft->slots[i]);
        all_ready = all_ready && (p.lacking || (p.ready && p.round == front.round));
    }
    draft->head.round = front.round;
    draft->head.phase = front.phase;
    find_failure(draft);
    if (front.phase != GR_PHASE_CLOSED && !(front.phase == GR_PHASE_OPEN && all_ready)) goto out;
    draft->head.flags |= GR_FLAG_CLOSED;
    for (uint32_t i = 0; i < draft->head.n_slots; i++) {
        struct position p = position_of(comm, (int)draft->slots[i]);
        if (!p.lacking && p.ready && p.round == front.round)
            GR_TRY(add_slot(draft, (int)draft->slots[i], comm->peers[draft->slots[i]].answer));
    }
out:
    return status;
}

/* Those who were given up, so that they know when they wake up. */
static gr_status tell_left_out(const struct draft *draft) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    const struct gr_letter_head head = {
        .kind = GR_LETTER_EXCLUDED, .epoch = draft->head.epoch, .round = draft->head.round};
    for (uint32_t i = 0; i < draft->head.n_changes; i++)
        if ((draft->changes[i] & 3) == GR_CHANGE_LATE)
            GR_TRY(gr_letter_send_plain(comm, (int)(draft->changes[i] >> 2), &head));
out:
    return status;
}

/* Listens for a while; *yield: another leads by now. */
static gr_status wait_for_others(struct gr_comm *comm, double seconds, bool *yield) {
    static const double nap_s = 1e-3;
    gr_status status = GR_OK;
    double waited = 0;
    for (*yield = false; !*yield && waited < seconds;) {
        struct gr_bell *bell = gr_comm_doorbell(comm);
        uint32_t seen = atomic_load(&bell->value);
        GR_TRY(gr_post_look(comm));
        gr_detect(comm);
        *yield = overtaken(comm);
        if (!*yield) waited += gr_wait_nap(bell, seen, nap_s);
    }
out:
    return status;
}

/* Members that are neither in the draft nor seen to have ended: they may be a group of their own.
 */
static uint32_t count_unaccounted(const struct draft *draft) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < draft->head.n_changes; i++)
        n += (draft->changes[i] & 3) != GR_CHANGE_RETURNED &&
             !draft->comm->peers[draft->changes[i] >> 2].gone;
    return n;
}

/*
 * Where the members have lost sight of each other, the larger group is to go on: a smaller one
 * waits before it claims the epoch, and yields when it hears that another has it.
 */
static gr_status give_way(struct gr_comm *comm, const struct draft *draft, bool *yield) {
    *yield = false;
    if (count_unaccounted(draft) <= draft->head.n_slots) return GR_OK;
    return wait_for_others(comm, 2 * comm->collective_s + comm->heartbeat_s, yield);
}

/*
 * Claims the draft's epoch. Where another has it, or it cannot be claimed just now, the others are
 * listened to; if nothing comes of it, for its owner has died or hangs, a majority of the members
 * that may be alive claims the next.
 */
static gr_status claim(struct gr_comm *comm, struct draft *draft, bool *granted, bool *yield) {
    enum { CLAIMS_MAX = 64 };
    gr_status status = GR_OK;
    int alive = 0, here = 0;
    for (int i = 0; i < comm->size; i++)
        alive += i == comm->rank || !comm->peers[comm->slot_of[i]].gone;
    for (uint32_t i = 0; i < draft->head.n_slots; i++)
        here += comm->rank_of[draft->slots[i]] >= 0;
    for (int tries = 0; tries < CLAIMS_MAX; tries++) {
        gr_status claimed = comm->claim(comm->claim_context, draft->head.epoch, granted);
        if (claimed == GR_STOPPED) return claimed;
        if (claimed == GR_OK && *granted) break;
        *granted = false;
        GR_TRY(wait_for_others(comm, comm->collective_s / 2, yield));
        if (*yield || 2 * here <= alive) break;
        draft->head.epoch++;
    }
out:
    return status;
}

static gr_status regroup(struct gr_meeting *m, const uint8_t *invited) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct draft draft = {0};
    struct gr_part *offer = &comm->offer[comm->offers++ % GR_OFFERS];
    bool yield, granted = false;
    GR_TRY(summon(m, invited, &yield));
    if (yield) goto out;
    GR_TRY(draft_create(comm, &draft));
    gr_part_release(offer);
    GR_TRY(gr_part_create(sizeof(struct gr_node), offer));
    choose_members(&draft, invited, offer->fd);
    draft.head.epoch = comm->epoch + 1;
    for (uint32_t i = 0; i < draft.head.n_slots; i++) {
        int slot = (int)draft.slots[i];
        if (slot == comm->slot) continue;
        uint32_t epoch = comm->peers[slot].answer->head.epoch;
        if (epoch >= draft.head.epoch && !needs_state(comm, slot)) draft.head.epoch = epoch + 1;
    }
    GR_TRY(find_position(&draft));
    GR_TRY(give_way(comm, &draft, &yield));
    if (yield) goto out;
    GR_TRY(claim(comm, &draft, &granted, &yield));
    if (yield) goto out;
    if (!granted) { /* others have gone on without us */
        gr_meeting_leave(m);
        goto out;
    }
    GR_TRY(pronounce(&draft, draft.slots, draft.head.n_slots));
    GR_TRY(tell_left_out(&draft));
    status = gr_meeting_take_verdict(m);
out:
    if (status == GR_STOPPED) gr_meeting_leave(m); /* there is nothing that could be gone on with */
    gr_free(draft.slots);
    return status;
}

/* ---- one turn ------------------------------------------------------------------------------- */

/* Whoever comes to lead has not been told anything yet: the others' time begins now. */
static void begin_to_lead(struct gr_meeting *m) {
    struct gr_comm *comm = m->comm;
    m->leading = true;
    m->lead_s = m->elapsed_s;
    for (int i = 0; i < comm->slots && m->elapsed_s > 0; i++)
        comm->peers[i].silent_s = comm->peers[i].pinged_s = 0;
}

static bool past_deadline(const struct gr_meeting *m) {
    double until = m->lead_s > 0 ? m->lead_s + m->comm->collective_s / 2 : 0;
    return m->elapsed_s >= (until > m->deadline_s ? until : m->deadline_s);
}

gr_status gr_meeting_lead(struct gr_meeting *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct standing standing;
    uint8_t *invited = NULL;
    if (!m->leading) begin_to_lead(m);
    GR_TRY(take_stock(m, &standing));
    /* Not ready, so here after a loss, or on a call for help while training. */
    bool trouble = standing.trouble || !comm->situation.ready || m->recovering;
    bool late = !trouble && standing.waiting > 0 &&
                (past_deadline(m) || standing.silent == standing.waiting);
    if (!trouble && standing.waiting > 0 && !late) goto out;
    if (!trouble && !late && standing.gone == 0 && standing.joiners == 0 && !comm->lost) {
        status = close_roster(m);
        goto out;
    }
    GR_TRY(gr_allocate_zero((size_t)comm->slots, 1, "a summons", &invited));
    for (int i = 0; i < comm->size; i++) {
        int slot = comm->slot_of[i];
        const struct gr_peer *peer = &comm->peers[slot];
        invited[slot] = !peer->dead && !peer->given_up && (!late || is_ready(comm, peer->report));
    }
    for (int slot = 0; slot < comm->slots && !trouble; slot++)
        invited[slot] = invited[slot] || is_joiner(comm, slot);
    status = regroup(m, invited);
out:
    gr_free(invited);
    return status;
}
