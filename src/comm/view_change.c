/* SPDX-License-Identifier: Apache-2.0 */
/* Reports, answers and decisions: the part that every member has in a view change. */
#include "comm/view_change.h"

#include <string.h>

/* ---- reports -------------------------------------------------------------------------------- */

/* Every member finds the leader for itself, from what it knows: two may lead at a time, for a
 * while. The arbiter grants an epoch once, so only one of them succeeds. */
int gr_view_change_leader(const struct gr_comm *comm) {
    for (int i = 0; i < comm->size; i++) {
        const struct gr_peer *peer = &comm->peers[comm->slot_of[i]];
        if (i == comm->rank || (!peer->dead && !peer->given_up)) return i;
    }
    return comm->rank;
}

bool gr_view_change_lacks_coordinator(const struct gr_comm *comm) {
    return comm->link && gr_comm_party(comm, comm->slot) > 0 &&
           gr_comm_party(comm, comm->slot_of[gr_view_change_leader(comm)]) > 0;
}

/* The whole situation each time, whatever the kind: whoever reads it need not have heard this rank
 * before. Reports go by value and replace each other, so repeating one is harmless. */
gr_status gr_view_change_report(struct gr_comm *comm, int slot, enum gr_control_message_kind kind,
                                uint32_t view_change, int fd) {
    gr_status status = GR_OK;
    struct gr_control_message *message = NULL;
    const struct gr_situation *situation = &comm->situation;
    struct gr_control_message_head head = {.kind = kind,
                                           .epoch = comm->epoch,
                                           .view_change = view_change,
                                           .round = situation->round,
                                           .phase = situation->phase,
                                           .status = (int32_t)situation->status,
                                           .fd = fd,
                                           .n_ids = (uint32_t)situation->n_ids,
                                           .n_sat = (uint32_t)situation->n_sat};
    head.flags = (situation->ready ? GR_FLAG_READY : 0U) |
                 (situation->training ? GR_FLAG_TRAINING : 0U) |
                 (situation->need_state ? GR_FLAG_NEED_STATE : 0U) |
                 (situation->stop ? GR_FLAG_STOP : 0U) | (comm->overdue ? GR_FLAG_OVERDUE : 0U);
    if (situation->status != GR_OK) head.length = (uint32_t)strlen(situation->text);
    for (int i = 0; i < comm->slots; i++)
        head.n_slots += comm->peers[i].dead;
    GR_TRY(gr_control_message_create(&head, &message));
    uint32_t *at = message->content;
    for (int i = 0; i < comm->slots; i++)
        if (comm->peers[i].dead) *at++ = (uint32_t)i;
    size_t n = situation->n_ids + situation->n_sat;
    if (n > 0) memcpy(at, situation->ids, n * sizeof *at);
    if (head.length > 0) memcpy(at + n, situation->text, head.length);
    status = gr_control_message_send(comm, &(uint32_t){(uint32_t)slot}, 1, message);
out:
    gr_free(message);
    return status;
}

/* Makes a part for the next epoch. With GR_OFFERS at a time the oldest is withdrawn: a decision
 * that was composed with that one does not take this rank in (enter). */
static gr_status make_offer(struct gr_comm *comm, struct gr_part **out) {
    *out = &comm->offer[comm->offers++ % GR_OFFERS];
    gr_part_release(*out);
    return gr_part_create(sizeof(struct gr_comm_node), *out);
}

/* Takes the invitation. An answer binds to nothing: a rank may answer several leaders, and enters
 * whichever epoch is decided first, or a later one afterwards. */
gr_status gr_view_change_answer(struct gr_view_change *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_control_message *invitation = comm->mailbox.invitation;
    struct gr_part *offer;
    comm->mailbox.invitation = NULL;
    GR_TRY(make_offer(comm, &offer));
    GR_TRY(gr_view_change_report(comm, invitation->peer, GR_CONTROL_ANSWER,
                                 invitation->head.view_change, offer->fd));
    /* Whoever invited us is at work, and knows how we fare. */
    m->told = invitation->peer;
    m->told_s = m->elapsed_s;
out:
    gr_free(invitation);
    return status;
}

/* Seconds for which a slot may give no sign; 0: for ever. In a recovery nobody trains, and
 * collective_s / 2 holds; while others train it is the heartbeat, which may be off. */
static double silence_allowed(const struct gr_view_change *m) {
    return m->recovering ? m->comm->collective_s / 2 : m->comm->heartbeat_s;
}

/* A ping for each quarter of the silence allowed: a sign may be late three times. Whom this rank
 * sees at work in shared memory it does not ask. */
gr_status gr_view_change_ping(struct gr_view_change *m, int slot) {
    struct gr_comm *comm = m->comm;
    struct gr_peer *peer = &comm->peers[slot];
    const double allowed = silence_allowed(m);
    if (allowed <= 0) return GR_OK;
    if (peer->silent_s < peer->pinged_s) peer->pinged_s = 0; /* it has been heard since */
    if (peer->silent_s - peer->pinged_s < allowed / 4) return GR_OK;
    if (gr_control_sees(comm, slot, allowed / 4)) return GR_OK;
    peer->pinged_s = peer->silent_s;
    return gr_control_message_send_plain(
        comm, slot,
        &(struct gr_control_message_head){.kind = GR_CONTROL_PING, .epoch = comm->epoch});
}

bool gr_view_change_silent(const struct gr_view_change *m, int slot) {
    const double allowed = silence_allowed(m);
    return allowed > 0 && m->comm->peers[slot].silent_s > allowed;
}

/* Whatever this rank has trained is void: the others may have closed the round without it. It asks
 * for the state when it is taken in again. */
void gr_view_change_leave(struct gr_view_change *m) {
    struct gr_comm *comm = m->comm;
    m->out = comm->out = true;
    m->join = (struct gr_join){0};
    comm->situation.need_state = true;
    comm->situation.ready = false;
    comm->situation.n_ids = comm->situation.n_sat = 0;
    for (int i = 0; i < comm->slots; i++)
        comm->peers[i].silent_s = 0;
}

/* ---- decisions ------------------------------------------------------------------------------- */

/* The changes are the decision's, so all members have the same list, in the order of decisions; the
 * federation writes its events by it. */
static gr_status note_changes(struct gr_comm *comm, const struct gr_control_message *decision) {
    struct gr_change *grown = NULL;
    size_t n = comm->n_changes + decision->head.n_changes;
    if (decision->head.n_changes == 0) return GR_OK;
    gr_status status = gr_allocate(n, sizeof *grown, "changes of the membership", &grown);
    if (status != GR_OK) return status;
    if (comm->n_changes > 0) memcpy(grown, comm->changes, comm->n_changes * sizeof *grown);
    for (size_t i = 0; i < decision->head.n_changes; i++)
        grown[comm->n_changes + i] =
            (struct gr_change){.slot = (int)(decision->changes[i] >> 2),
                               .kind = (enum gr_change_kind)(decision->changes[i] & 3)};
    gr_free(comm->changes);
    comm->changes = grown;
    comm->n_changes = n;
    return GR_OK;
}

/* Enters the epoch of a decision; *member false: it is not for this rank. */
static gr_status enter(struct gr_comm *comm, const struct gr_control_message *decision,
                       bool *member) {
    gr_status status = GR_OK;
    const struct gr_control_message_head *head = &decision->head;
    struct gr_part *mine = NULL;
    bool good = head->n_slots > 0 && head->n_slots == head->n_fds;
    *member = false;
    for (uint32_t i = 0; i < head->n_slots && good; i++) {
        good = decision->slots[i] < (uint32_t)comm->slots;
        if (!good || (int)decision->slots[i] != comm->slot) continue;
        *member = true;
        for (size_t k = 0; k < GR_OFFERS; k++)
            if (comm->offer[k].base && comm->offer[k].fd == (int)decision->fds[i])
                mine = &comm->offer[k];
    }
    if (!good)
        return gr_fail(GR_ERROR_INTERNAL, "a decision of slot %d does not hold together",
                       decision->peer);
    if (!*member) return GR_OK;
    if (!mine) { /* of an offer withdrawn since */
        *member = false;
        return GR_OK;
    }
    GR_TRY(gr_membership_enter(comm, head->epoch, decision->slots, decision->fds, head->n_slots,
                               mine));
    GR_TRY(note_changes(comm, decision));
    comm->out = false;
    /* A message that came with the decision may end its epoch already. */
    if (comm->mailbox.invitation && comm->mailbox.invitation->head.epoch >= comm->epoch)
        comm->lost = true;
    if (comm->mailbox.excluded && comm->mailbox.excluded->head.epoch > comm->epoch &&
        comm->mailbox.excluded->head.epoch != GR_EPOCH_OVER)
        comm->lost = true;
    if (comm->mailbox.excluded && comm->mailbox.excluded->head.epoch <= comm->epoch) {
        gr_free(comm->mailbox.excluded);
        comm->mailbox.excluded = NULL;
    }
    for (int i = 0; i < comm->slots; i++) {
        struct gr_peer *peer = &comm->peers[i];
        peer->given_up = false;
        peer->silent_s = peer->pinged_s = 0;
        gr_free(peer->answer);
        peer->answer = NULL;
        /* Reports to the old epoch; who wants to join has not been heard yet. */
        if (peer->report && (peer->report->head.kind != GR_CONTROL_JOIN || comm->rank_of[i] >= 0)) {
            gr_free(peer->report);
            peer->report = NULL;
        }
    }
out:
    return status;
}

/* At the coordinator, which holds the counts that sites bring to a sum against it. */
static void count_members(const struct gr_comm *comm, const struct gr_roster *roster) {
    if (!comm->link || !comm->host_of) return;
    gr_link_forget_members(comm->link);
    for (uint32_t silo = 0; silo < roster->n_silos; silo++)
        if (roster->member.flag[silo]) gr_link_add_member(comm->link, comm->host_of[silo]);
}

/* Ids come from a peer and index arrays: they are checked. A silo that two ranks report would be
 * added twice. */
static gr_status fill_roster(const struct gr_control_message *decision, struct gr_roster *roster) {
    const struct gr_control_message_head *head = &decision->head;
    gr_flags_clear(&roster->member);
    gr_flags_clear(&roster->sat_out);
    roster->n_members = head->n_ids;
    roster->stop_requested = (head->flags & GR_FLAG_STOP) != 0;
    for (uint32_t i = 0; i < head->n_ids; i++) {
        const uint32_t silo = decision->ids[i] & ~GR_CONTROL_ANEW;
        if (silo >= roster->n_silos)
            return gr_fail(GR_ERROR_INTERNAL, "a decision names silo %u of %u", silo,
                           roster->n_silos);
        if (roster->member.flag[silo])
            return gr_fail(GR_ERROR_INTERNAL, "silo %u, which two ranks report", silo);
        gr_flags_set(&roster->member, silo,
                     decision->ids[i] == silo ? GR_PRESENT : GR_PRESENT_ANEW);
    }
    for (uint32_t i = 0; i < head->n_sat; i++)
        if (decision->sat[i] >> 3 < roster->n_silos)
            gr_flags_set(&roster->sat_out, decision->sat[i] >> 3, decision->sat[i] & 7);
    gr_flags_sort(&roster->member);
    gr_flags_sort(&roster->sat_out);
    return GR_OK;
}

/* Of the lowest rank that fails. */
static void take_failure(struct gr_comm *comm, const struct gr_control_message *decision) {
    const struct gr_control_message_head *head = &decision->head;
    comm->failure = (gr_status)head->status;
    if (comm->failure == GR_OK) return;
    comm->failures++;
    memcpy(comm->situation.text, decision->text, head->length);
    comm->situation.text[head->length] = '\0';
    memcpy(comm->told, comm->situation.text, head->length + 1);
}

/*
 * Takes and frees the decision. A decision of a later epoch is entered; of this one it may close
 * the round, end it with a failure, or send the members back to a position. m->done ends the
 * caller's turns; without it the caller goes on to report and to wait.
 */
gr_status gr_view_change_take_decision(struct gr_view_change *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_control_message *decision = comm->mailbox.decision;
    const struct gr_control_message_head *head = &decision->head;
    struct gr_situation *situation = &comm->situation;
    bool member = true;
    comm->mailbox.decision = NULL;
    if (head->epoch > comm->epoch) GR_TRY(enter(comm, decision, &member));
    if (!member) {
        gr_view_change_leave(m);
        goto out;
    }
    m->out = false;
    m->told = -1;
    /* A decision that was sent twice, or is of a view change gone by. */
    if (head->epoch < comm->epoch || head->round < situation->round) goto out;
    if (!m->roster) goto out; /* the training goes on; the rest is for its end */
    take_failure(comm, decision);
    if (comm->failure != GR_OK) m->done = true;
    if (m->done) goto out;
    m->roster->send_state = (head->flags & GR_FLAG_NEED_STATE) != 0;
    /* Still open, and we have told that we are ready: the new leader is to be told again. */
    if (!(head->flags & GR_FLAG_CLOSED) && head->phase == GR_PHASE_OPEN && situation->ready &&
        head->round == situation->round && !m->roster->send_state)
        goto out;
    m->roster->round = situation->round = head->round;
    m->roster->phase = situation->phase =
        head->flags & GR_FLAG_CLOSED ? GR_PHASE_CLOSED : (enum gr_phase)head->phase;
    if (head->flags & GR_FLAG_CLOSED) GR_TRY(fill_roster(decision, m->roster));
    if (head->flags & GR_FLAG_CLOSED) count_members(comm, m->roster);
    m->done = true;
out:
    gr_free(decision);
    return status;
}

/* ---- from within the training --------------------------------------------------------------- */

/* Leads only if a member is in trouble: an ordinary round is closed when this rank has trained. */
gr_status gr_view_change_from_training(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_view_change m = {.comm = comm, .told = -1};
    if (comm->mailbox.decision) GR_TRY(gr_view_change_take_decision(&m));
    if (comm->mailbox.excluded || gr_view_change_lacks_coordinator(comm)) gr_view_change_leave(&m);
    if (comm->out) return gr_fail(GR_LOST, "the others have gone on without this rank");
    if (comm->mailbox.invitation) GR_TRY(gr_view_change_answer(&m));
    for (int i = 0; gr_view_change_leader(comm) == comm->rank && i < comm->size; i++) {
        const struct gr_control_message *report = comm->peers[comm->slot_of[i]].report;
        if (!report || report->head.kind != GR_CONTROL_TROUBLE) continue;
        return gr_view_change_lead(&m);
    }
out:
    return status;
}
