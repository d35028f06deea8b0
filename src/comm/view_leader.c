/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The member that leads waits for the others, closes the roster, or proposes a new membership.
 *
 * In an ordinary round all members report that they are ready, and the leader closes the roster in
 * the present epoch, with a message from each member and a decision that goes along a tree of them.
 * A new membership is proposed only if somebody has died, is late or silent, asks to be taken in,
 * or calls for it.
 */
#include "comm/decision.h"

/* ---- how the others stand ------------------------------------------------------------------- */

struct standing {
    int waiting;  /* members of whom nothing is known yet */
    int silent;   /* of those, the ones that have been silent for too long */
    int gone;     /* dead members */
    int ready;    /* the others that have trained */
    int joiners;  /* ranks that ask to be taken in */
    bool trouble; /* somebody has given a collective up, or missed a decision */
};

/* A report of an earlier round or epoch does not count, for its silos are of another roster. */
static bool is_ready(const struct gr_comm *comm, const struct gr_control_message *report) {
    return report && report->head.kind == GR_CONTROL_READY && report->head.epoch == comm->epoch &&
           report->head.round == comm->situation.round;
}

/* A member that is ready in an earlier epoch has missed the decision that began this one. */
static bool is_trouble(const struct gr_comm *comm, const struct gr_control_message *report) {
    if (!report) return false;
    if (report->head.kind == GR_CONTROL_TROUBLE) return true;
    return report->head.kind == GR_CONTROL_READY && report->head.epoch < comm->epoch;
}

static bool is_joiner(const struct gr_comm *comm, int slot) {
    const struct gr_peer *peer = &comm->peers[slot];
    return comm->rank_of[slot] < 0 && !peer->dead && peer->report &&
           peer->report->head.kind == GR_CONTROL_JOIN;
}

/* Goes by the latest report of each member, and pings those that have sent none for this round. */
static gr_status take_stock(struct gr_view_change *m, struct standing *out) {
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
            GR_TRY(gr_view_change_ping(m, slot));
            out->silent += gr_view_change_silent(m, slot);
        }
    }
    for (int slot = 0; slot < comm->slots; slot++)
        out->joiners += is_joiner(comm, slot);
out:
    return status;
}

/* ---- the roster ----------------------------------------------------------------------------- */

/* Reports to a roster that is closed must not count for the next. */
static void forget_reports(struct gr_comm *comm) {
    for (int i = 0; i < comm->slots; i++) {
        struct gr_peer *peer = &comm->peers[i];
        if (comm->rank_of[i] < 0) continue;
        gr_free(peer->report);
        peer->report = NULL;
    }
}

/* Whom the decision is sent to. Along the tree it is enough that rank 0 tells its children; a rank
 * that leads in its place tells all. */
static size_t find_receivers(struct gr_draft *draft) {
    const struct gr_comm *comm = draft->comm;
    if (comm->rank == 0) {
        draft->head.flags |= GR_FLAG_PASS_ON;
        return gr_control_children(comm, draft->slots);
    }
    for (int i = 0; i < comm->size; i++)
        draft->slots[i] = (uint32_t)comm->slot_of[i];
    return (size_t)comm->size;
}

/* All are there and ready: the roster is closed, the membership stays. */
static gr_status close_roster(struct gr_view_change *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_draft draft = {0};
    GR_TRY(gr_draft_create(comm, &draft));
    draft.head.round = comm->situation.round;
    draft.head.flags = GR_FLAG_CLOSED;
    for (int i = 0; i < comm->size; i++)
        GR_TRY(gr_draft_add(&draft, comm->slot_of[i], comm->peers[comm->slot_of[i]].report));
    GR_TRY(gr_draft_pronounce(&draft, draft.slots, find_receivers(&draft)));
    forget_reports(comm);
    status = gr_view_change_take_decision(m);
out:
    gr_free(draft.slots);
    return status;
}

/* ---- one turn ------------------------------------------------------------------------------- */

/* Whoever comes to lead has not been told anything yet: the others' time begins now. */
static void begin_to_lead(struct gr_view_change *m) {
    struct gr_comm *comm = m->comm;
    m->leading = true;
    m->lead_s = m->elapsed_s;
    for (int i = 0; i < comm->slots && m->elapsed_s > 0; i++)
        comm->peers[i].silent_s = comm->peers[i].pinged_s = 0;
}

/* A rank that has come to lead late gives the others collective_s / 2 to report to it, even past
 * the round's deadline: they first have to find out that the leader before it is gone. */
static bool past_deadline(const struct gr_view_change *m) {
    double until = m->lead_s > 0 ? m->lead_s + m->comm->collective_s / 2 : 0;
    return m->elapsed_s >= (until > m->deadline_s ? until : m->deadline_s);
}

/*
 * Invited are the living members, in a late round only those that are ready: the rest leave the
 * membership and come back when they are done. Ranks that ask to join wait while there is trouble,
 * so that a recovery is not held up by the state they need.
 */
gr_status gr_view_change_lead(struct gr_view_change *m) {
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
    GR_TRY(gr_allocate_zero((size_t)comm->slots, 1, "an invitation", &invited));
    for (int i = 0; i < comm->size; i++) {
        int slot = comm->slot_of[i];
        const struct gr_peer *peer = &comm->peers[slot];
        invited[slot] = !peer->dead && !peer->given_up && (!late || is_ready(comm, peer->report));
    }
    for (int slot = 0; slot < comm->slots && !trouble; slot++)
        invited[slot] = invited[slot] || is_joiner(comm, slot);
    status = gr_view_change_propose(m, invited);
out:
    gr_free(invited);
    return status;
}
