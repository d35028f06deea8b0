/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane: closing of rounds, with ranks that fail, are late or ask to stop; changes of
 * the membership. Ranks that die are in tests/faults.
 *
 * ranks: 1 2 3 4 8
 */
#include <math.h>
#include <unistd.h>

#include "comm/communicator.h"
#include "parallel.h"

enum { SILOS = 13 };

static bool same_message(void) {
    static char first[GR_MESSAGE_MAX];
    memcpy(first, gr_message(), strlen(gr_message()) + 1);
    MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    return strcmp(first, gr_message()) == 0;
}

/* Flags this rank's silos, all but one in turn. */
static void finish_silos(const struct gr_comm *comm, struct gr_roster *roster, uint32_t round) {
    roster->round = round;
    roster->stop_requested = false;
    gr_flags_clear(&roster->member);
    for (uint32_t i = 0; i < roster->n_silos; i++)
        if ((int)(i % (uint32_t)gr_comm_size(comm)) == gr_comm_rank(comm) &&
            i != round % roster->n_silos)
            gr_flags_set(&roster->member, i, GR_PRESENT);
}

static int expect_members(const struct gr_roster *roster, uint32_t round) {
    int bad = 0;
    EXPECT_EQUAL(roster->n_members, roster->n_silos - 1);
    for (uint32_t i = 0; i < roster->n_silos; i++)
        EXPECT_EQUAL(roster->member.flag[i], i != round % roster->n_silos);
    return bad;
}

static int rounds_close(struct gr_comm *comm) {
    int bad = 0;
    /* With many silos the decision is more than a message of the eager kind. */
    for (uint32_t n_silos = SILOS; n_silos <= 3000; n_silos += 2987) {
        struct gr_roster roster;
        EXPECT(gr_roster_create(n_silos, &roster) == GR_OK);
        gr_control_expect(comm, n_silos);
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
        for (uint32_t round = 1; round <= 200; round++) {
            finish_silos(comm, &roster, round);
            EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
            EXPECT(!roster.stop_requested);
            bad += expect_members(&roster, round);
        }
        gr_roster_release(&roster);
    }
    return bad;
}

/* Each member but rank 0 is told by one other, of a lower rank, so that rank 0's decision comes to
 * all, however ranks lie on nodes; and rank 0 sends no more than that. */
static int decisions_reach_all(struct gr_comm *comm) {
    enum { ROUNDS = 30, MANY = 10000 };
    int bad = 0;
    (void)comm;
    for (uint32_t ranks_per_node = 0; ranks_per_node < 4; ranks_per_node++) {
        const struct gr_comm_options options = {.ranks_per_node = ranks_per_node};
        struct gr_comm *other;
        struct gr_roster roster;
        uint32_t children[GR_TREE_CHILDREN + GR_CONTROL_CHILDREN];
        int parents[64] = {0}, all[64];
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &other) == GR_OK);
        gr_comm_started(other);
        const size_t n = gr_control_children(other, children);
        for (size_t i = 0; i < n; i++) {
            parents[children[i]]++;
            EXPECT(gr_comm_rank_of(other, (int)children[i]) > gr_comm_rank(other));
        }
        MPI_Allreduce(parents, all, 64, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        for (int i = 0; i < gr_comm_size(other); i++)
            EXPECT_EQUAL(all[i], i > 0);
        EXPECT(gr_roster_create(MANY, &roster) == GR_OK);
        gr_control_expect(other, MANY);
        EXPECT(gr_comm_agree(other, GR_OK) == GR_OK);
        for (uint32_t round = 1; round <= ROUNDS; round++) {
            finish_silos(other, &roster, round);
            EXPECT(gr_control_close_round(other, &roster, GR_OK, 20) == GR_OK);
            bad += expect_members(&roster, round);
        }
        const struct gr_control_sent *sent = &other->control_sent[GR_CONTROL_DECISION];
        EXPECT_EQUAL(sent->messages, n * ROUNDS);
        EXPECT(sent->largest < 100);
        gr_roster_release(&roster);
        gr_comm_free(other);
    }
    return bad;
}

static int failing_ranks(struct gr_comm *comm) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    struct gr_roster roster;
    char expected[64], text[GR_MESSAGE_MAX];
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (int failing = 0; failing < size; failing++) {
        gr_status mine = GR_OK;
        if (rank >= failing) mine = gr_fail(GR_ERROR_DATA, "silo of rank %d", rank);
        snprintf(expected, sizeof expected, "silo of rank %d", failing);
        finish_silos(comm, &roster, 7);
        EXPECT_EQUAL(gr_control_close_round(comm, &roster, mine, 20), GR_ERROR_DATA);
        EXPECT(strcmp(gr_message(), expected) == 0);
        /* The longest message there can be. */
        memset(text, 'a' + failing, sizeof text);
        text[sizeof text - 1] = '\0';
        mine = rank == failing ? gr_fail(GR_ERROR_WRITE, "%s", text) : GR_OK;
        EXPECT_EQUAL(gr_control_close_round(comm, &roster, mine, 20), GR_ERROR_WRITE);
        EXPECT(strcmp(gr_message(), text) == 0);
        finish_silos(comm, &roster, 8);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        bad += expect_members(&roster, 8);
    }
    gr_roster_release(&roster);
    return bad;
}

static int stop_is_heard(struct gr_comm *comm) {
    int bad = 0;
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (int asking = 0; asking < gr_comm_size(comm); asking++) {
        finish_silos(comm, &roster, 1);
        roster.stop_requested = gr_comm_rank(comm) == asking;
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT(roster.stop_requested);
        bad += expect_members(&roster, 1);
    }
    gr_roster_release(&roster);
    return bad;
}

static int silo_on_two_ranks(struct gr_comm *comm) {
    int bad = 0;
    struct gr_roster roster;
    if (gr_comm_size(comm) == 1) return 0;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    finish_silos(comm, &roster, 3);
    gr_flags_set(&roster.member, 5, 1);
    EXPECT_EQUAL(gr_control_close_round(comm, &roster, GR_OK, 20), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "silo 5, which two ranks report") && same_message());
    gr_roster_release(&roster);
    return bad;
}

/* All meet without anybody being lost: an epoch begins, and everything works in it. */
static int all_regroup(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm), slot = gr_comm_slot(comm);
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (uint32_t round = 1; round <= 20; round++) {
        uint32_t epoch = gr_comm_epoch(comm);
        int64_t sum = slot + 1;
        finish_silos(comm, &roster, round);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT_EQUAL(roster.phase, GR_PHASE_CLOSED);
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK); /* the decision has come to all */
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        EXPECT(gr_comm_epoch(comm) > epoch && gr_comm_size(comm) == size);
        EXPECT_EQUAL(roster.phase, GR_PHASE_CLOSED);
        EXPECT(!roster.need_state && !roster.send_state);
        bad += expect_members(&roster, round);
        EXPECT(gr_comm_sum_int64(comm, &sum, 1) == GR_OK);
        EXPECT_EQUAL(sum, size * (size + 1) / 2);
        gr_control_at(comm, round, GR_PHASE_COMMITTED);
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        EXPECT_EQUAL(roster.phase, GR_PHASE_COMMITTED);
        EXPECT_EQUAL(roster.round, round);
    }
    gr_roster_release(&roster);
    return bad;
}

/* Whatever MPI's largest tag, of which only 32767 is promised, no epoch's goes beyond it, and
 * epochs that follow each other have others. */
static int tags_are_allowed(struct gr_comm *comm) {
    int bad = 0, *most = NULL, found = 0;
    struct gr_comm as_is = *comm, *other = &as_is;
    EXPECT(MPI_Comm_get_attr(comm->world, MPI_TAG_UB, &most, &found) == MPI_SUCCESS && found);
    for (int least = 0; least < 2; least++) {
        const int64_t limit = least ? 32767 : *most;
        if (least) other->tag_epochs = 1024;
        for (uint64_t epoch = 0; epoch <= UINT32_MAX; epoch = 3 * epoch + 1) {
            other->epoch = (uint32_t)epoch;
            const int64_t highest = gr_message_tag(other, 31);
            EXPECT(highest >= 31 && highest <= limit);
            other->epoch++;
            EXPECT(gr_message_tag(other, 0) != highest - 31);
        }
    }
    return bad;
}

/* The foremost has gone on to the next round: so do all, and nobody closes anything again. */
static int foremost_leads_on(struct gr_comm *comm) {
    int bad = 0;
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    gr_control_at(comm, 40, GR_PHASE_COMMITTED);
    if (gr_comm_rank(comm) == gr_comm_size(comm) - 1) gr_control_at(comm, 41, GR_PHASE_OPEN);
    EXPECT(gr_control_recover(comm, &roster) == GR_OK);
    EXPECT_EQUAL(roster.phase, GR_PHASE_OPEN);
    EXPECT_EQUAL(roster.round, 41);
    gr_roster_release(&roster);
    return bad;
}

/* Closes round `round`, and meets again from `phase` on rank 0, CLOSED on the others: a total that
 * only one of them holds is given up. */
static int meet_from(struct gr_comm *comm, struct gr_roster *roster, uint32_t round,
                     enum gr_phase phase) {
    int bad = 0;
    finish_silos(comm, roster, round);
    EXPECT(gr_control_close_round(comm, roster, GR_OK, 20) == GR_OK);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    if (gr_comm_rank(comm) == 0) gr_control_at(comm, round, phase);
    EXPECT(gr_control_recover(comm, roster) == GR_OK);
    EXPECT_EQUAL(roster->round, round);
    const bool alone = gr_comm_size(comm) == 1 || phase == GR_PHASE_COMMITTED;
    EXPECT_EQUAL(roster->phase, alone ? phase : GR_PHASE_CLOSED);
    return bad;
}

/*
 * A seal stands: all go on from it, with the roster that was sealed. The last rank is given up
 * without the total, with it but before the agreement, or after it; at last all hold it but one,
 * which has gone on alone. Nobody has returned GR_OK where all are led back.
 */
static int seal_stands(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    const bool last = gr_comm_rank(comm) == size - 1;
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (enum gr_phase phase = GR_PHASE_SEALED; phase <= GR_PHASE_SCORED; phase++) {
        bad += meet_from(comm, &roster, 30, phase);
        bad += expect_members(&roster, 30);
    }
    for (int comes_to = 0; comes_to < 4; comes_to++) {
        finish_silos(comm, &roster, 31);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
        gr_flags_set(&roster.sat_out, 5, 7); /* what is not filled anew stays */
        if (comes_to >= 2 || !last || size == 1) {
            gr_status sealed = gr_control_seal(comm, GR_PHASE_SEALED);
            EXPECT_EQUAL(sealed, comes_to >= 2 || size == 1 ? GR_OK : GR_LOST);
        } else if (comes_to == 1) {
            gr_control_at(comm, 31, GR_PHASE_SEALED);
        }
        if (comes_to == 3 && last) gr_control_at(comm, 31, GR_PHASE_COMMITTED);
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        const bool stands = comes_to > 0 || size == 1;
        EXPECT_EQUAL(roster.phase, comes_to == 3 ? GR_PHASE_COMMITTED
                                   : stands      ? GR_PHASE_SEALED
                                                 : GR_PHASE_CLOSED);
        EXPECT_EQUAL(roster.sat_out.flag[5], stands ? 7 : 0);
        bad += expect_members(&roster, 31);
    }
    gr_roster_release(&roster);
    return bad;
}

/*
 * Without a rank, as those left see it: it is not replaced while it may come back, nor when one of
 * them has had enough of trying. Elsewhere than with ULFM a try fails; there it would start one.
 */
static int nobody_replaced(struct gr_comm *comm, int lost) {
    int bad = 0, rank = gr_comm_rank(comm);
    char *command[] = {NULL};
    enum gr_respawn outcome;
    EXPECT(gr_comm_respawn(comm, command, true, &outcome) == GR_OK);
    EXPECT_EQUAL(outcome, GR_RESPAWN_NOT_NOW);
    if (gr_comm_has_ulfm()) return bad;
    struct gr_peer before = comm->peers[lost];
    comm->peers[lost].dead = comm->peers[lost].gone = true;
    EXPECT(gr_comm_respawn(comm, command, rank != 0, &outcome) == GR_OK);
    EXPECT_EQUAL(outcome, GR_RESPAWN_NOT_NOW);
    EXPECT(gr_comm_respawn(comm, command, true, &outcome) == GR_OK);
    EXPECT_EQUAL(outcome, GR_RESPAWN_FAILED);
    comm->peers[lost] = before;
    return bad;
}

/* A rank past the deadline: the others close without it, and take it in when it has come. */
static int late_rank(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm), last = size - 1, slot = gr_comm_slot(comm);
    bool late = gr_comm_rank(comm) == last;
    struct gr_roster roster;
    size_t n;
    if (last == 0) return 0;
    gr_comm_set_deadlines(comm, 20, 0);
    gr_control_clear_changes(comm);
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    finish_silos(comm, &roster, 50);
    if (late) {
        usleep(600000);
        const struct gr_control_sent before = comm->control_sent[GR_CONTROL_JOIN];
        const double begin = gr_clock_seconds();
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT(roster.need_state);
        /* Four times a second to one, and to the others at pauses that double. */
        const double quarters = 4 * (gr_clock_seconds() - begin);
        const double most = quarters + 2 + last * (1 + log2(quarters + 1));
        EXPECT((double)(comm->control_sent[GR_CONTROL_JOIN].messages - before.messages) <= most);
    } else {
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 0.2) == GR_OK);
        EXPECT(!roster.need_state && gr_comm_size(comm) == last && gr_comm_rank_of(comm, last) < 0);
        for (uint32_t i = 0; i < SILOS; i++)
            EXPECT_EQUAL(roster.member.flag[i],
                         (int)(i % (uint32_t)size) != last && i != 50 % SILOS);
        bad += nobody_replaced(comm, last);
        for (int i = 0; i < 190; i++) {
            usleep(10000);
            EXPECT(gr_control_poll(comm) == GR_OK);
        }
        finish_silos(comm, &roster, 51);
        for (uint32_t i = 0; i < SILOS; i++)
            gr_flags_set(&roster.member, i, (int)(i % (uint32_t)size) == slot);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT(!roster.need_state);
    }
    EXPECT(roster.send_state);
    EXPECT_EQUAL(roster.round, 51);
    EXPECT_EQUAL(gr_comm_size(comm), size);
    EXPECT_EQUAL(gr_comm_rank_of(comm, last), last);
    const struct gr_change *change = gr_control_changes(comm, &n);
    EXPECT_EQUAL(n, late ? 1 : 2);
    EXPECT(n > 0 && change[n - 1].slot == last && change[n - 1].kind == GR_CHANGE_RETURNED);
    EXPECT(late || (change[0].slot == last && change[0].kind == GR_CHANGE_LATE));
    gr_control_clear_changes(comm);
    gr_control_has_state(comm);
    finish_silos(comm, &roster, 52);
    EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
    EXPECT(!roster.need_state && !roster.send_state);
    bad += expect_members(&roster, 52);
    gr_roster_release(&roster);
    return bad;
}

struct arbiter {
    int calls, refuse;
};

/* Refuses the first claims. */
static gr_status refuse(void *context, uint32_t epoch, bool *granted) {
    struct arbiter *arbiter = context;
    (void)epoch;
    *granted = ++arbiter->calls > arbiter->refuse;
    return GR_OK;
}

/* Who claimed the epoch is gone: all the others are here, so they go on with the next. */
static int orphaned_claim(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    struct arbiter arbiter = {.refuse = 2};
    struct gr_roster roster;
    uint32_t epoch = gr_comm_epoch(comm);
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    gr_comm_set_deadlines(comm, 1, 0);
    gr_comm_set_arbiter(comm, refuse, &arbiter);
    gr_control_at(comm, 60, GR_PHASE_COMMITTED);
    EXPECT(gr_control_recover(comm, &roster) == GR_OK);
    EXPECT_EQUAL(gr_comm_epoch(comm), epoch + 3);
    EXPECT_EQUAL(gr_comm_size(comm), size);
    EXPECT(!roster.need_state && !roster.send_state);
    EXPECT_EQUAL(arbiter.calls, gr_comm_rank(comm) == 0 ? 3 : 0);
    gr_comm_set_arbiter(comm, NULL, NULL);
    gr_roster_release(&roster);
    return bad;
}

/* The smaller part may not begin an epoch: it stays out, and the larger one takes it back in. */
static int refused_minority(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    bool alone = gr_comm_rank(comm) == 0;
    struct arbiter arbiter = {.refuse = 1};
    struct gr_roster roster;
    if (size != 3) return 0;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 0.4, 0);
    if (alone) gr_comm_set_arbiter(comm, refuse, &arbiter);
    gr_control_at(comm, 70, GR_PHASE_COMMITTED);
    if (!alone) usleep(2600000);
    EXPECT(gr_control_recover(comm, &roster) == GR_OK);
    EXPECT_EQUAL(roster.need_state, alone);
    if (alone) {
        EXPECT_EQUAL(arbiter.calls, 1);
    } else {
        EXPECT_EQUAL(gr_comm_size(comm), 2);
        EXPECT(gr_comm_rank_of(comm, 0) < 0);
        finish_silos(comm, &roster, 71);
        usleep(800000);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
    }
    EXPECT_EQUAL(roster.round, 71);
    EXPECT(roster.send_state);
    /* Who comes back is the last in seniority. */
    EXPECT_EQUAL(gr_comm_rank_of(comm, 0), size - 1);
    gr_control_has_state(comm);
    gr_comm_set_arbiter(comm, NULL, NULL);
    gr_roster_release(&roster);
    return bad;
}

/* The next invitation comes with the decision: who enters its epoch has heard it all the same.
 * Where it has not, this takes longer than the test may. */
static int summoned_again(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 3600, 0);
    for (uint32_t round = 72; round < 272 && size > 1; round++) {
        gr_control_at(comm, round, GR_PHASE_COMMITTED);
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        if (gr_comm_rank(comm) > 0) EXPECT_EQUAL(gr_comm_agree(comm, GR_OK), GR_LOST);
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
        EXPECT_EQUAL(gr_comm_size(comm), size);
    }
    gr_roster_release(&roster);
    return bad;
}

/* Work that takes several times as long as a rank may be silent is waited for, from everywhere. */
static int work_is_waited_for(struct gr_comm *comm) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    const uint32_t epoch = gr_comm_epoch(comm);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 0.4, 0);
    for (int slow = 0; slow<size; slow += size> 1 ? size - 1 : 1) {
        double until = gr_clock_seconds() + 1.2;
        while (rank == slow && gr_clock_seconds() < until) {
            usleep(1000);
            EXPECT(gr_control_watch(comm) == GR_OK);
        }
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    }
    EXPECT_EQUAL(gr_comm_epoch(comm), epoch);
    EXPECT_EQUAL(gr_comm_size(comm), size);
    return bad;
}

/* Ranks of a node see each other's signs of life in shared memory: they wait for one at work, in a
 * sum or for the closing of a round, without a message. */
static int workers_are_seen(struct gr_comm *comm) {
    int bad = 0;
    const uint64_t before = comm->control_sent[GR_CONTROL_PING].messages;
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 16, 2); /* they look each half second */
    for (int closing = 0; closing < 2; closing++) {
        const double until = gr_clock_seconds() + 1.2;
        while (gr_comm_rank(comm) == 0 && gr_clock_seconds() < until) {
            usleep(1000);
            EXPECT(gr_control_watch(comm) == GR_OK);
        }
        finish_silos(comm, &roster, 276);
        if (closing)
            EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        else
            EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    }
    EXPECT_EQUAL(comm->control_sent[GR_CONTROL_PING].messages, before);
    gr_roster_release(&roster);
    return bad;
}

/* All are alive and wait for what nobody is about to do: an end comes to it, and they meet. */
static int nobody_works(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    const uint32_t epoch = gr_comm_epoch(comm);
    struct gr_roster roster;
    struct gr_wait wait;
    gr_status status = GR_OK;
    if (size == 1) return 0;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 0.4, 0);
    gr_control_at(comm, 275, GR_PHASE_COMMITTED);
    gr_wait_start(&wait, comm, "nothing", -1, false);
    while (status == GR_OK) {
        struct gr_wait_event *event = gr_comm_wait_event(comm);
        status = gr_wait_pause(&wait, event, atomic_load(&event->value));
    }
    EXPECT_EQUAL(status, GR_LOST);
    EXPECT(gr_control_recover(comm, &roster) == GR_OK);
    EXPECT_EQUAL(gr_comm_size(comm), size);
    EXPECT(gr_comm_epoch(comm) > epoch);
    EXPECT(!roster.need_state);
    gr_roster_release(&roster);
    return bad;
}

static gr_status say_over(void *context, uint32_t epoch, bool *granted) {
    ++*(int *)context;
    *granted = false;
    return gr_fail(GR_STOPPED, "epoch %u: the run has ended", epoch);
}

/* The run has ended meanwhile: whoever would lead leaves, and nobody waits for ever. The last, for
 * there is no way back. */
static int run_has_ended(struct gr_comm *comm) {
    int bad = 0, calls = 0;
    if (gr_comm_size(comm) > 2) return 0; /* each would wait for those before it to be silent */
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_set_deadlines(comm, 0.5, 0);
    gr_comm_set_arbiter(comm, say_over, &calls);
    gr_control_at(comm, 280, GR_PHASE_COMMITTED);
    EXPECT_EQUAL(gr_control_recover(comm, &roster), GR_STOPPED);
    EXPECT(gr_comm_out(comm));
    EXPECT_EQUAL(calls, 1);
    gr_roster_release(&roster);
    return bad;
}

PARALLEL_MAIN({"rounds close", rounds_close}, {"decisions reach all", decisions_reach_all},
              {"failing ranks", failing_ranks}, {"stop is heard", stop_is_heard},
              {"silo on two ranks", silo_on_two_ranks}, {"all regroup", all_regroup},
              {"tags are allowed", tags_are_allowed}, {"foremost leads on", foremost_leads_on},
              {"seal stands", seal_stands}, {"late rank", late_rank},
              {"orphaned claim", orphaned_claim}, {"refused minority", refused_minority},
              {"summoned again", summoned_again}, {"work is waited for", work_is_waited_for},
              {"workers are seen", workers_are_seen}, {"nobody works", nobody_works},
              {"run has ended", run_has_ended})
