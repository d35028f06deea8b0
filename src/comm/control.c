/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane as its callers see it: closing a round, recovering from a loss, polling.
 *
 * In the first two a rank takes part in a view change, in turns, until a decision has been taken:
 * the senior member that is thought alive leads (view_leader.c, view_proposal.c), the others report
 * their position to it and wait for its decision, and whoever has been given up asks to be taken in
 * again. A follower's turn does not block: it takes in the messages that have come, acts on them,
 * and sleeps for at most a millisecond; a leader's turn may wait for answers, within deadlines. A
 * leader that dies is replaced by the next in seniority, to whom all report anew.
 */
#include "comm/view_change.h"

#include <string.h>

/* Flags rather than bare lists of ids: a decision is then checked for a silo that two ranks report
 * by looking it up. */
gr_status gr_roster_create(uint32_t n_silos, struct gr_roster *out) {
    gr_status status = GR_OK;
    *out = (struct gr_roster){.n_silos = n_silos};
    GR_TRY(gr_flags_create(n_silos, "roster", &out->member));
    GR_TRY(gr_flags_create(n_silos, "roster", &out->sat_out));
out:
    return status;
}

void gr_roster_release(struct gr_roster *roster) {
    gr_flags_release(&roster->member);
    gr_flags_release(&roster->sat_out);
    *roster = (struct gr_roster){0};
}

/* The ids are allocated by the next `prepare`, for the new size. */
void gr_control_expect(struct gr_comm *comm, uint32_t n_silos) {
    comm->ids_max = n_silos;
    gr_free(comm->situation.ids);
    comm->situation.ids = NULL;
}

void gr_control_hosts(struct gr_comm *comm, const int32_t *host_of) {
    comm->host_of = host_of;
}

/* A new round begins with GR_PHASE_OPEN: reports made before it, of silos that are ready or of a
 * failure, must not be taken for reports of this round. */
void gr_control_at(struct gr_comm *comm, uint32_t round, enum gr_phase phase) {
    struct gr_situation *situation = &comm->situation;
    situation->round = round;
    situation->phase = phase;
    if (phase != GR_PHASE_OPEN) return;
    situation->ready = situation->stop = false;
    situation->n_ids = situation->n_sat = 0;
    situation->status = GR_OK;
}

/* The phase is entered before the agreement: a member that has died in it leaves the others either
 * all in the phase, or with somebody who is not, and then nobody has got GR_OK. */
gr_status gr_control_seal(struct gr_comm *comm, enum gr_phase phase) {
    comm->situation.phase = phase;
    return gr_comm_agree(comm, GR_OK);
}

void gr_control_has_state(struct gr_comm *comm) {
    comm->situation.need_state = false;
}

const struct gr_change *gr_control_changes(const struct gr_comm *comm, size_t *n) {
    *n = comm->n_changes;
    return comm->changes;
}

void gr_control_clear_changes(struct gr_comm *comm) {
    comm->n_changes = 0;
}

/* ---- following ------------------------------------------------------------------------------ */

/* Deaths known to this rank, of members and others. */
static size_t count_dead(const struct gr_comm *comm) {
    size_t n = 0;
    for (int i = 0; i < comm->slots; i++)
        n += comm->peers[i].dead;
    return n;
}

/*
 * Times collective_s that a leader which gives signs of life may take for a recovery: it invites
 * (1), may give way to a larger group (2 and a heartbeat), and waits for claims that are refused
 * (1/2 each). A leader that takes longer is given up though it is alive.
 */
static const double leads_at_most = 6;

/*
 * Reports to whoever leads, once, and again when another leads or another death is known: messages
 * are not lost between living members, so nothing is repeated for safety's sake. Patience with a
 * leader ends collective_s after the round's deadline or after the first report to it, whichever is
 * later (in a recovery by leads_at_most), or once it has been silent for too long. The next senior
 * then leads, perhaps this rank; a leader given up by mistake is heard again, and taken back, by
 * its next message.
 */
static gr_status follow(struct gr_view_change *m, int leader) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_peer *peer = &comm->peers[comm->slot_of[leader]];
    size_t dead = count_dead(comm);
    m->leading = false;
    if (m->told != comm->slot_of[leader] || m->told_dead != dead) {
        if (m->told != comm->slot_of[leader]) m->told_s = m->elapsed_s;
        m->told = comm->slot_of[leader];
        m->told_dead = dead;
        GR_TRY(gr_view_change_report(comm, m->told,
                                     m->recovering ? GR_CONTROL_TROUBLE : GR_CONTROL_READY, 0, -1));
    }
    GR_TRY(gr_view_change_ping(m, m->told));
    double until = (m->told_s > m->deadline_s ? m->told_s : m->deadline_s) + comm->collective_s;
    if (m->recovering) until = m->told_s + leads_at_most * comm->collective_s;
    if (m->elapsed_s > until || gr_view_change_silent(m, m->told)) {
        peer->given_up = true;
        m->told = -1;
        /* The next has had no reason to say anything. */
        for (int i = 0; i < comm->slots; i++)
            comm->peers[i].silent_s = comm->peers[i].pinged_s = 0;
    }
out:
    return status;
}

/* ---- out and in again ----------------------------------------------------------------------- */

/* Slot of whoever leads as far as a rank that is out knows: as it was told, else the senior that
 * lives. */
static int known_leader(const struct gr_comm *comm) {
    const int told = comm->leads;
    if (told >= 0 && told != comm->slot && !comm->peers[told].dead) return told;
    for (int i = 0; i < comm->size; i++) {
        const int slot = comm->slot_of[i];
        if (slot != comm->slot && !comm->peers[slot].dead) return slot;
    }
    return comm->slot;
}

/*
 * Asks whoever is thought to lead every quarter of a second, for it may have forgotten a rank that
 * did not answer its invitation in time. Another may lead by now, whom any member can tell: the
 * others are asked too, but at pauses that double, so that a rank that trains for hours costs them
 * nothing; and from the beginning again when the leader falls silent.
 */
static gr_status ask_again(struct gr_view_change *m) {
    static const double again_s = 0.25;
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    struct gr_join *join = &m->join;
    const int leader = known_leader(comm);
    const bool answered = comm->peers[leader].silent_s < 4 * again_s;
    if (join->pause_s <= 0 || (join->answered && !answered)) {
        join->pause_s = again_s;
        join->others_s = m->elapsed_s + again_s;
    }
    join->answered = answered;
    if (m->elapsed_s >= join->leader_s) {
        join->leader_s = m->elapsed_s + again_s;
        GR_TRY(gr_view_change_report(comm, leader, GR_CONTROL_JOIN, 0, -1));
    }
    if (m->elapsed_s < join->others_s) return GR_OK;
    join->pause_s *= 2;
    join->others_s = m->elapsed_s + join->pause_s;
    for (int i = 0; i < comm->slots; i++)
        if (i != leader) GR_TRY(gr_view_change_report(comm, i, GR_CONTROL_JOIN, 0, -1));
out:
    return status;
}

/*
 * GR_STOPPED once nobody has given a sign for the round's deadline and two collective_s: the run
 * has ended, or this rank is cut off for good.
 */
static gr_status ask_to_join(struct gr_view_change *m) {
    struct gr_comm *comm = m->comm;
    for (int i = 0; i < comm->slots; i++)
        if (i != comm->slot && !comm->peers[i].dead &&
            comm->peers[i].silent_s < m->deadline_s + 2 * comm->collective_s)
            return ask_again(m);
    return gr_fail(GR_STOPPED, "round %u: this rank was given up, and nobody takes it in again",
                   comm->situation.round);
}

/* A rank learns that it is out by a message and not by its own clock: the others, not it, decide
 * who is a member. An exclusion from an epoch that this rank has entered since is out of date. */
static void notice_exclusion(struct gr_view_change *m) {
    struct gr_comm *comm = m->comm;
    if (!comm->mailbox.excluded) return;
    const uint32_t epoch = comm->mailbox.excluded->head.epoch;
    const gr_status outcome = (gr_status)comm->mailbox.excluded->head.status;
    gr_free(comm->mailbox.excluded);
    comm->mailbox.excluded = NULL;
    if (epoch <= comm->epoch) return; /* taken in again meanwhile */
    m->over = epoch == GR_EPOCH_OVER;
    if (m->over) comm->over_with = outcome == GR_OK ? GR_OK : GR_STOPPED;
    gr_view_change_leave(m);
}

/* ---- view change --------------------------------------------------------------------------------
 */

/*
 * In order of precedence. A decision comes first, as it makes all else void; then the exclusion, as
 * who is out has nothing to answer as a member; then the invitation, as the leader waits for its
 * answer.
 */
static gr_status take_turn(struct gr_view_change *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    GR_TRY(gr_mailbox_poll(comm));
    gr_detect(comm);
    if (comm->mailbox.decision) return gr_view_change_take_decision(m);
    notice_exclusion(m);
    if (m->over) {
        comm->over = true;
        return gr_fail(GR_STOPPED, "the run has ended without this rank");
    }
    if (comm->mailbox.invitation) GR_TRY(gr_view_change_answer(m));
    if (gr_view_change_lacks_coordinator(comm)) {
        gr_view_change_leave(m);
        return gr_fail(GR_STOPPED, "the coordinator is away");
    }
    if (comm->situation.need_state && m->out) return ask_to_join(m);
    int leader = gr_view_change_leader(comm);
    status = leader == comm->rank ? gr_view_change_lead(m) : follow(m, leader);
out:
    return status;
}

/*
 * Seconds that a turn may sleep. Ranks of the node ring for what they send, others do not, so a
 * leader looks up each millisecond; the rest, to whom leaders pass on what comes, less often where
 * there are many of them, for their looks together would keep the cores from those that train.
 */
static double longest_sleep(const struct gr_comm *comm) {
    static const double least_s = 1e-3, most_s = 0.01;
    enum { FEW = 16 };
    const int times = 1 + comm->node_size / FEW;
    const double longest_s = least_s * times;
    if (comm->link) return most_s; /* letters ring, and parcels within a job */
    if (gr_comm_leads(comm)) return least_s;
    return longest_s < most_s ? longest_s : most_s;
}

/*
 * Turns until a decision has been taken. The event lies in the window of the epoch, so it is read
 * anew in each turn; a message from a rank of this node that comes between the look and the sleep
 * changes its value, and the sleep ends at once. Time spent here counts as idle and as silence of
 * all peers.
 */
static gr_status meet(struct gr_view_change *m) {
    gr_status status = GR_OK;
    struct gr_comm *comm = m->comm;
    while (!m->done) {
        struct gr_wait_event *event = gr_comm_wait_event(comm);
        uint32_t seen = atomic_load(&event->value);
        GR_TRY(take_turn(m));
        if (m->done) break;
        if (event != gr_comm_wait_event(comm)) continue; /* an epoch has begun meanwhile */
        double waited = gr_wait_rest(comm, event, seen, m->elapsed_s, longest_sleep(comm));
        m->elapsed_s += waited;
        comm->idle_s += waited;
        for (int i = 0; i < comm->slots; i++)
            comm->peers[i].silent_s += waited;
    }
out:
    return status;
}

/* ---- what callers call ---------------------------------------------------------------------- */

/*
 * Keeps what this rank will say of itself: it is sent again to each new leader. Silos are named
 * only if this rank is well; a rank that fails ends the round for all. Peers' silence is reset, for
 * this rank has trained and not listened.
 */
static gr_status prepare(struct gr_comm *comm, struct gr_roster *roster, gr_status mine) {
    gr_status status = GR_OK;
    struct gr_situation *situation = &comm->situation;
    if (comm->ids_max < roster->n_silos)
        return gr_fail(GR_ERROR_INTERNAL, "a roster of %u silos, %zu were expected",
                       roster->n_silos, comm->ids_max);
    if (!situation->ids)
        GR_TRY(gr_allocate(2 * comm->ids_max, sizeof *situation->ids, "a report", &situation->ids));
    if (!situation->text) GR_TRY(gr_allocate_zero(GR_MESSAGE_MAX, 1, "a report", &situation->text));
    situation->status = mine;
    gr_comm_keep_words(comm, mine);
    if (mine != GR_OK) memcpy(situation->text, gr_message(), strlen(gr_message()) + 1);
    situation->n_ids = situation->n_sat = 0;
    const struct gr_flags *member = &roster->member, *sat_out = &roster->sat_out;
    gr_flags_sort(&roster->member);
    gr_flags_sort(&roster->sat_out);
    for (uint32_t i = 0; i < member->n_set && mine == GR_OK; i++)
        situation->ids[situation->n_ids++] =
            member->set[i] |
            (member->flag[member->set[i]] == GR_PRESENT_ANEW ? GR_CONTROL_ANEW : 0);
    for (uint32_t i = 0; i < sat_out->n_set; i++)
        situation->ids[situation->n_ids + situation->n_sat++] =
            sat_out->set[i] << 3 | sat_out->flag[sat_out->set[i]];
    situation->stop = roster->stop_requested;
    situation->ready = true;
    for (int i = 0; i < comm->slots; i++)
        comm->peers[i].silent_s = comm->peers[i].pinged_s = 0;
out:
    return status;
}

/* The state of one view change, as the caller enters it. */
static void begin(struct gr_view_change *m, struct gr_comm *comm, struct gr_roster *roster,
                  double deadline_s) {
    *m = (struct gr_view_change){
        .comm = comm, .roster = roster, .told = -1, .deadline_s = deadline_s};
    /* Silence is counted from now on. */
    for (int i = 0; i < comm->slots; i++)
        comm->peers[i].silent_s = comm->peers[i].pinged_s = 0;
    roster->need_state = roster->send_state = false;
    comm->failure = GR_OK;
    m->out = comm->situation.need_state && comm->out;
}

/* The same status on all members: a failure is part of the decision. */
static gr_status end(struct gr_view_change *m) {
    struct gr_comm *comm = m->comm;
    m->roster->need_state = comm->situation.need_state;
    if (comm->failure == GR_OK) return GR_OK;
    return gr_fail(comm->failure, "%s", comm->situation.text);
}

/*
 * round_s is the longest deadline so far; a recovery, which has no deadline of its own, goes by it.
 */
gr_status gr_control_close_round(struct gr_comm *comm, struct gr_roster *roster, gr_status mine,
                                 double deadline_s) {
    struct gr_view_change m;
    gr_status status = GR_OK;
    mine = gr_comm_depart(comm, mine);
    if (gr_comm_leaves(comm)) return gr_departure_reason(comm);
    gr_control_at(comm, roster->round, GR_PHASE_OPEN);
    GR_TRY(prepare(comm, roster, mine));
    begin(&m, comm, roster, deadline_s);
    if (deadline_s > comm->round_s) comm->round_s = deadline_s;
    GR_TRY(meet(&m));
    status = end(&m);
out:
    return status;
}

/* Nobody trains in a recovery, so signs of life are expected within collective_s / 2 instead of the
 * heartbeat (see silence_allowed). */
gr_status gr_control_recover(struct gr_comm *comm, struct gr_roster *roster) {
    struct gr_view_change m;
    gr_status status = GR_OK;
    begin(&m, comm, roster, comm->round_s);
    m.recovering = true;
    GR_TRY(meet(&m));
    status = end(&m);
out:
    return status;
}

/* Evidence that a loss was no mere silence: a death, or another member that calls for a change. */
static bool saw_end(const struct gr_comm *comm) {
    bool any = comm->mailbox.invitation != NULL || comm->mailbox.decision != NULL;
    for (int i = 0; i < comm->size && !any; i++) {
        const struct gr_peer *peer = &comm->peers[comm->slot_of[i]];
        any = peer->dead || (peer->report && peer->report->head.kind == GR_CONTROL_TROUBLE);
    }
    return any;
}

/*
 * A second is enough for the kernel's or a neighbour's word to arrive; whoever calls has already
 * been given GR_LOST, and can only choose its message by the answer. A failing poll is no reason to
 * stop looking.
 */
bool gr_comm_saw_end(struct gr_comm *comm) {
    static const double longest_s = 1, sleep_s = 1e-3;
    struct gr_wait_event *event = gr_comm_wait_event(comm);
    for (double waited = 0; waited < longest_s;) {
        const uint32_t seen = atomic_load(&event->value);
        gr_status unused = gr_mailbox_poll(comm);
        (void)unused;
        gr_detect(comm);
        if (comm->mailbox.excluded) return false;
        if (saw_end(comm)) return true;
        waited += gr_wait_sleep(event, seen, sleep_s);
    }
    return false;
}

/* Whether work is to look up again. Between two batches this costs a look at the clock; every 2 ms
 * it costs a probe of MPI. As it is called by work, this rank is not idle. */
static bool is_due(struct gr_comm *comm) {
    static const double every_s = 2e-3;
    const double now = gr_clock_seconds();
    if (!comm->tolerant || now - comm->polled_s < every_s) return false;
    comm->polled_s = now;
    comm->idle_s = 0;
    return true;
}

/* Takes in messages, which also answers pings, but leaves invitations for the recovery: work on the
 * way to a collective is given up as a whole. */
gr_status gr_control_watch(void *context) {
    struct gr_comm *comm = context;
    gr_status status = GR_OK;
    if (!is_due(comm)) return GR_OK;
    GR_TRY(gr_mailbox_poll(comm));
    gr_detect(comm);
    if (comm->lost) status = gr_comm_lose(comm, "the membership changes");
out:
    return status;
}

/* Answers invitations from within the training, so that a loss elsewhere costs this rank no
 * training: it goes on in the new epoch with what it has trained. */
gr_status gr_control_poll(void *context) {
    struct gr_comm *comm = context;
    gr_status status = GR_OK;
    if (!is_due(comm)) return GR_OK;
    GR_TRY(gr_mailbox_poll(comm));
    if (!comm->lost && !comm->mailbox.decision && !comm->mailbox.invitation) return GR_OK;
    comm->situation.training = true;
    status = gr_view_change_from_training(comm);
    comm->situation.training = false;
out:
    return status;
}

/* The failure is kept, not sent: it travels in this rank's next report or answer. */
void gr_control_fail(struct gr_comm *comm, gr_status status) {
    comm->situation.status = status;
    gr_comm_keep_words(comm, status);
    memcpy(comm->situation.text, gr_message(), strlen(gr_message()) + 1);
}

/* A site whose gateway was given up has not seen the end of its records: none of its ranks is
 * through. */
static gr_status end_of_slot(const struct gr_comm *comm, int slot, gr_status outcome) {
    const uint32_t party = gr_comm_party(comm, slot);
    if (outcome != GR_OK || party == 0) return outcome;
    return comm->rank_of[gr_link_job(comm->link, party)->first] < 0 ? GR_STOPPED : GR_OK;
}

/* Everybody is told, members or not: a rank that was given up and wakes later would otherwise ask
 * to join a run that is over until its patience ends. */
static gr_status tell_the_end(struct gr_comm *comm, gr_status outcome) {
    gr_status status = GR_OK;
    struct gr_control_message_head head = {.kind = GR_CONTROL_EXCLUDED, .epoch = GR_EPOCH_OVER};
    /* A gateway, the first slot of its job, is told last: it has then passed on what is the
     * others'. */
    for (int i = comm->slots - 1; i >= 0; i--) {
        head.status = (int32_t)end_of_slot(comm, i, outcome);
        if (i != comm->slot) GR_TRY(gr_control_message_send_plain(comm, i, &head));
    }
    gr_detect_clear_up(comm);
out:
    return status;
}

void gr_control_give_up(struct gr_comm *comm) {
    gr_status unused = tell_the_end(comm, GR_STOPPED);
    if (unused == GR_OK) unused = gr_mailbox_poll(comm);
    (void)unused;
}

/*
 * Rank 0 may leave at once: all have agreed. The others wait for its word, at most collective_s /
 * 2. Where rank 0 is seen to have ended first, its message has grace_s = 0.1 s to arrive; after
 * that its end counts as a loss, and the caller recovers.
 */
gr_status gr_control_finish(struct gr_comm *comm, gr_status outcome) {
    static const double sleep_s = 1e-3, grace_s = 0.1;
    double waited = 0, alone = 0;
    gr_status status = gr_comm_agree(comm, GR_OK);
    if (status != GR_OK) return status;
    if (comm->rank == 0) return tell_the_end(comm, outcome);
    struct gr_wait_event *event = gr_comm_wait_event(comm);
    for (;;) {
        uint32_t seen = atomic_load(&event->value);
        GR_TRY(gr_mailbox_poll(comm));
        if (comm->mailbox.excluded && comm->mailbox.excluded->head.epoch == GR_EPOCH_OVER) {
            gr_detect_clear_up(comm);
            if (comm->mailbox.excluded->head.status == GR_OK || outcome != GR_OK) break;
            return gr_fail(GR_STOPPED, "the gateway of this site was given up");
        }
        /* A message that rank 0 sent before it left may still be on its way. */
        gr_detect(comm);
        if (comm->mailbox.invitation || comm->mailbox.decision || waited > comm->collective_s / 2 ||
            (comm->lost && alone > grace_s))
            return gr_comm_lose(comm, "the ranks did not come to the end together");
        double pause = gr_wait_sleep(event, seen, sleep_s);
        waited += pause;
        if (comm->lost) alone += pause;
    }
out:
    return status;
}
