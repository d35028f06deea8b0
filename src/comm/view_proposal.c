/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new membership: who is invited, who answers, where the round goes on, and the claim of its
 * epoch.
 *
 * The steps are: invite, and wait for answers; choose the members among those who answered; find
 * the position from which all go on; give way to a larger group; claim the epoch; send the
 * decision. Up to the claim the membership is as it was, so a leader may yield or die at any point,
 * and another begins anew. The claim is the moment of decision: the arbiter grants an epoch once,
 * by a file that one process alone can create, so two groups that have lost sight of each other
 * cannot both go on (but on a full disk, where claims.c grants an epoch without a file).
 */
#include <string.h>

#include "comm/decision.h"

/* Answers bear the number of the invitation; an answer to an earlier call may be out of date. */
static bool has_answered(const struct gr_comm *comm, int slot) {
    const struct gr_control_message *answer = comm->peers[slot].answer;
    return answer && answer->head.view_change == comm->view_changes;
}

/* Only of slots that have answered. */
static bool needs_state(const struct gr_comm *comm, int slot) {
    if (slot == comm->slot) return comm->situation.need_state;
    return (comm->peers[slot].answer->head.flags & GR_FLAG_NEED_STATE) != 0;
}

/* Whether another has come before us: then its decision, or its invitation, is to be followed.
 * Among leaders of one epoch the senior wins. */
static bool overtaken(struct gr_comm *comm) {
    if (comm->mailbox.excluded) return true;
    if (comm->mailbox.decision && comm->mailbox.decision->head.epoch > comm->epoch) return true;
    if (!comm->mailbox.invitation) return false;
    int rank = comm->rank_of[comm->mailbox.invitation->peer];
    if (comm->mailbox.invitation->head.epoch > comm->epoch || (rank >= 0 && rank < comm->rank))
        return true;
    /* A junior that had given us up has heard from us by now. */
    gr_free(comm->mailbox.invitation);
    comm->mailbox.invitation = NULL;
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

/* Invites the slots flagged, and waits until all have answered, or died, or time is up. */
static gr_status invite(struct gr_view_change *m, const uint8_t *invited, bool *yield) {
    static const double sleep_s = 2e-4;
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    /* Who has kept a collective waiting for half of its time has only the other half left. */
    double waited = 0, patience = comm->overdue ? comm->collective_s / 2 : comm->collective_s;
    const struct gr_control_message_head head = {.kind = GR_CONTROL_INVITATION,
                                                 .epoch = comm->epoch,
                                                 .view_change = ++comm->view_changes,
                                                 .round = comm->situation.round};
    *yield = false;
    for (int i = 0; i < comm->slots; i++)
        if (invited[i] && i != comm->slot) GR_TRY(gr_control_message_send_plain(comm, i, &head));
    for (;;) {
        struct gr_wait_event *event = gr_comm_wait_event(comm);
        uint32_t seen = atomic_load(&event->value);
        int missing = 0;
        GR_TRY(gr_mailbox_poll(comm));
        gr_detect(comm);
        if (overtaken(comm)) {
            *yield = true;
            break;
        }
        for (int i = 0; i < comm->slots; i++)
            missing +=
                invited[i] && i != comm->slot && !comm->peers[i].dead && !has_answered(comm, i);
        if (missing == 0 || waited >= patience) break;
        waited += gr_wait_sleep(event, seen, sleep_s);
    }
    forget_silent_joiners(comm, invited);
out:
    return status;
}

static void add_change(struct gr_draft *draft, int slot, enum gr_change_kind kind) {
    draft->changes[draft->head.n_changes++] = (uint32_t)slot << 2 | (uint32_t)kind;
}

/* `fd` is the part that the member has offered, as its own process knows it. */
static void add_member(struct gr_draft *draft, int slot, int fd) {
    draft->slots[draft->head.n_slots++] = (uint32_t)slot;
    draft->fds[draft->head.n_fds++] = (uint32_t)fd;
}

static bool is_here(const struct gr_comm *comm, const uint8_t *invited, int slot) {
    return slot == comm->slot ||
           (invited[slot] && !comm->peers[slot].dead && has_answered(comm, slot));
}

/*
 * The members of the next epoch: members left in their order, then ranks that come; whoever lacks
 * the state goes to the end, for rank 0 is where it comes from.
 */
static void choose_members(struct gr_draft *draft, const uint8_t *invited, int own_fd) {
    struct gr_comm *comm = draft->comm;
    for (int lacking = 0; lacking < 2; lacking++)
        for (int i = 0; i < comm->size + comm->slots; i++) {
            int slot = i < comm->size ? comm->slot_of[i] : i - comm->size;
            if (i >= comm->size && comm->rank_of[slot] >= 0) continue;
            if (!is_here(comm, invited, slot) || needs_state(comm, slot) != (lacking == 1))
                continue;
            add_member(draft, slot,
                       slot == comm->slot ? own_fd : comm->peers[slot].answer->head.fd);
            if (i >= comm->size) add_change(draft, slot, GR_CHANGE_RETURNED);
            if (lacking) draft->head.flags |= GR_FLAG_NEED_STATE;
        }
    for (int i = 0; i < comm->size; i++) {
        int slot = comm->slot_of[i];
        if (!is_here(comm, invited, slot))
            add_change(draft, slot, comm->peers[slot].dead ? GR_CHANGE_LOST : GR_CHANGE_LATE);
    }
}

struct position {
    uint32_t round, phase;
    bool ready, lacking;
};

/* Of a slot that has answered, or of this rank. Positions are ordered by round, then phase. */
static struct position position_of(const struct gr_comm *comm, int slot) {
    if (slot == comm->slot) {
        const struct gr_situation *s = &comm->situation;
        return (struct position){s->round, (uint32_t)s->phase, s->ready, s->need_state};
    }
    const struct gr_control_message_head *head = &comm->peers[slot].answer->head;
    return (struct position){head->round, head->phase, (head->flags & GR_FLAG_READY) != 0,
                             (head->flags & GR_FLAG_NEED_STATE) != 0};
}

/* A member that fails, at whatever position, fails all. */
static void find_failure(struct gr_draft *draft) {
    const struct gr_comm *comm = draft->comm;
    for (uint32_t i = 0; i < draft->head.n_slots && draft->head.status == GR_OK; i++) {
        const int slot = (int)draft->slots[i];
        const struct gr_control_message *answer = comm->peers[slot].answer;
        bool own = slot == comm->slot;
        int32_t failed = own ? (int32_t)comm->situation.status : answer->head.status;
        if (failed == GR_OK) continue;
        draft->head.status = failed;
        draft->text = own ? comm->situation.text : answer->text;
        draft->head.length = own ? (uint32_t)strlen(draft->text) : answer->head.length;
    }
}

static bool is_behind(const struct position *a, const struct position *b) {
    return a->round < b->round || (a->round == b->round && a->phase < b->phase);
}

/* The foremost position of the members that have the state and are behind `limit`, where there is
 * one. False: none is. */
static bool find_foremost(const struct gr_draft *draft, const struct position *limit,
                          struct position *out) {
    bool any = false;
    for (uint32_t i = 0; i < draft->head.n_slots; i++) {
        const struct position p = position_of(draft->comm, (int)draft->slots[i]);
        if (p.lacking || (limit && !is_behind(&p, limit))) continue;
        if (!any || is_behind(out, &p)) *out = p;
        any = true;
    }
    return any;
}

/*
 * The position from which all go on: the foremost of those that have the state. But a total is read
 * by nobody before all members hold it: where only some do, they give it up, and all go on from
 * where the others are. Where all that are left hold it, somebody who is lost may have read it, and
 * it stands.
 */
static bool find_front(const struct gr_draft *draft, struct position *front) {
    struct position behind = {0};
    if (!find_foremost(draft, NULL, front)) return false;
    const bool held = front->phase == GR_PHASE_SEALED || front->phase == GR_PHASE_SCORED;
    if (held && find_foremost(draft, front, &behind)) *front = behind;
    return true;
}

/*
 * A roster is closed where one was, or where all have trained; it is of the silos whose updates are
 * still there, on members that were ready in this round. An open round in which some still train
 * stays open. Where every member lacks the state there is nothing to go on from (GR_STOPPED).
 */
static gr_status find_position(struct gr_draft *draft) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    struct position front = {0};
    bool all_ready = true;
    if (!find_front(draft, &front))
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
            GR_TRY(gr_draft_add(draft, (int)draft->slots[i], comm->peers[draft->slots[i]].answer));
    }
out:
    return status;
}

/* Ranks that were given up though alive are told, so that they know when they wake up. The dead are
 * not. */
static gr_status tell_left_out(const struct gr_draft *draft) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    const struct gr_control_message_head head = {.kind = GR_CONTROL_EXCLUDED,
                                                 .epoch = draft->head.epoch,
                                                 .view_change = 1 + draft->slots[0],
                                                 .round = draft->head.round};
    for (uint32_t i = 0; i < draft->head.n_changes; i++)
        if ((draft->changes[i] & 3) == GR_CHANGE_LATE)
            GR_TRY(gr_control_message_send_plain(comm, (int)(draft->changes[i] >> 2), &head));
out:
    return status;
}

/* Listens for a while; *yield: another leads by now. */
static gr_status wait_for_others(struct gr_comm *comm, double seconds, bool *yield) {
    static const double sleep_s = 1e-3;
    gr_status status = GR_OK;
    double waited = 0;
    for (*yield = false; !*yield && waited < seconds;) {
        struct gr_wait_event *event = gr_comm_wait_event(comm);
        uint32_t seen = atomic_load(&event->value);
        GR_TRY(gr_mailbox_poll(comm));
        gr_detect(comm);
        *yield = overtaken(comm);
        if (!*yield) waited += gr_wait_sleep(event, seen, sleep_s);
    }
out:
    return status;
}

/* Members that are neither in the draft nor seen to have ended: they may be a group of their own.
 */
static uint32_t count_unaccounted(const struct gr_draft *draft) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < draft->head.n_changes; i++)
        n += (draft->changes[i] & 3) != GR_CHANGE_RETURNED &&
             !draft->comm->peers[draft->changes[i] >> 2].gone;
    return n;
}

/*
 * Where the members have lost sight of each other, the larger group is to go on: a smaller one
 * waits two collective_s and a heartbeat before it claims the epoch, long enough for the larger one
 * to notice and claim, and yields when it hears that another has it. The claim itself decides who
 * is first; this only makes it likely that it is the larger.
 */
static gr_status give_way(struct gr_comm *comm, const struct gr_draft *draft, bool *yield) {
    *yield = false;
    if (count_unaccounted(draft) <= draft->head.n_slots) return GR_OK;
    return wait_for_others(comm, 2 * comm->collective_s + comm->heartbeat_s, yield);
}

/*
 * Claims the draft's epoch. Where another has it, or it cannot be claimed just now, the others are
 * listened to; if nothing comes of it, for its owner has died or hangs, a majority of the members
 * that may be alive claims the next.
 */
static gr_status claim(struct gr_comm *comm, struct gr_draft *draft, bool *granted, bool *yield) {
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

/*
 * Before the first round nobody can be taken in again, and nothing says which of two groups may go
 * on: a member that is silent, and was not seen to end, ends the start for all.
 */
static void refuse_silence(struct gr_draft *draft) {
    static char alone[] = "before the first round a rank gives no sign (round.start_deadline_s): "
                          "start again";
    static char of_study[] = "before the first round a party gives no sign "
                             "(round.start_deadline_s): all meet again";
    char *text = draft->comm->link ? of_study : alone;
    if (!draft->comm->starting || draft->head.status != GR_OK) return;
    for (uint32_t i = 0; i < draft->head.n_changes; i++) {
        if ((draft->changes[i] & 3) != GR_CHANGE_LATE) continue;
        draft->head.status = GR_STOPPED;
        draft->text = text;
        draft->head.length = (uint32_t)strlen(text);
        return;
    }
}

/* On every way out the draft is freed. The leader's own part is made anew, as the members map it by
 * the descriptor in the decision. */
gr_status gr_view_change_propose(struct gr_view_change *m, const uint8_t *invited) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_draft draft = {0};
    struct gr_part *offer = &comm->offer[comm->offers++ % GR_OFFERS];
    bool yield, granted = false;
    GR_TRY(invite(m, invited, &yield));
    if (yield) goto out;
    GR_TRY(gr_draft_create(comm, &draft));
    gr_part_release(offer);
    GR_TRY(gr_part_create(sizeof(struct gr_comm_node), offer));
    choose_members(&draft, invited, offer->fd);
    draft.head.epoch = comm->epoch + 1;
    for (uint32_t i = 0; i < draft.head.n_slots; i++) {
        int slot = (int)draft.slots[i];
        if (slot == comm->slot) continue;
        uint32_t epoch = comm->peers[slot].answer->head.epoch;
        if (epoch >= draft.head.epoch && !needs_state(comm, slot)) draft.head.epoch = epoch + 1;
    }
    GR_TRY(find_position(&draft));
    refuse_silence(&draft);
    GR_TRY(give_way(comm, &draft, &yield));
    if (yield) goto out;
    GR_TRY(claim(comm, &draft, &granted, &yield));
    if (yield) goto out;
    if (!granted) { /* others have gone on without us */
        gr_view_change_leave(m);
        goto out;
    }
    GR_TRY(gr_draft_pronounce(&draft, draft.slots, draft.head.n_slots));
    GR_TRY(tell_left_out(&draft));
    status = gr_view_change_take_decision(m);
out:
    if (status == GR_STOPPED)
        gr_view_change_leave(m); /* there is nothing that could be gone on with */
    gr_free(draft.slots);
    return status;
}
