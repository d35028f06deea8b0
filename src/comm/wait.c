/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting with a deadline: spin, yield, sleep.
 *
 * A wait for a rank of this node sleeps on a futex (futex(2)) in shared memory, so that it costs no
 * core; a wait for a message of MPI has to poll, and sleeps in growing pauses. Time is counted only
 * as far as this process was running: a process that was suspended, or a laptop that slept, does
 * not find all others overdue when it wakes.
 */
#include "comm/wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

/* Until then a waiter yields: at more ranks than cores that is faster than to sleep at once. */
static const double yield_s = 200e-6;
/* A sleeper that will be woken looks up this often all the same, to let MPI make progress. */
static const double sleep_rung_s = 0.01;
/* A waiter that polls sleeps for a share of the time it has already lost, within these limits; in a
 * study letters, and parcels within a job, ring. */
static const double sleep_polling_min_s = 20e-6, sleep_polling_max_s = 1e-3;
static const double sleep_polling_share = 0.125;
/* Of an interval between two looks no more than this counts: beyond it we were suspended. */
static const double suspended_s = 0.25;
/* Looks at the clock once in so many turns while spinning. */
enum { TURNS_PER_LOOK = 32 };
/* Signs of life are asked for so many times in the time that a member has for its part. News of
 * others' work gets older by such an interval from rank to rank along the tree. */
enum { GR_WAIT_ASKS = 32 };

/* Shared, not private, futex operations: the waiters are different processes. */
static void futex_sleep(atomic_uint *word, uint32_t seen, double seconds) {
    struct timespec timeout = {.tv_sec = 0, .tv_nsec = (long)(seconds * 1e9)};
    /* Woken, timed out, interrupted or changed: in every case the caller looks again. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

void gr_wait_event_signal(struct gr_wait_event *event) {
    /*
     * Sequentially consistent on both sides: either the ringer sees the sleeper counted, or the
     * sleeper's futex call sees the new value.
     */
    atomic_fetch_add(&event->value, 1);
    if (atomic_load(&event->sleepers) > 0)
        (void)syscall(SYS_futex, &event->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void gr_wait_start(struct gr_wait *wait, struct gr_comm *comm, const char *what, int peer,
                   bool polling) {
    *wait = (struct gr_wait){.comm = comm, .what = what, .peer = peer, .polling = polling};
}

/* Time that is counted of an interval between two looks. */
static double counted(double seconds) {
    return seconds < suspended_s ? seconds : suspended_s;
}

double gr_wait_sleep(struct gr_wait_event *event, uint32_t seen, double longest_s) {
    double before = gr_clock_seconds();
    atomic_fetch_add(&event->sleepers, 1);
    futex_sleep(&event->value, seen, longest_s);
    atomic_fetch_sub(&event->sleepers, 1);
    return counted(gr_clock_seconds() - before);
}

/* A rank of a study that is its whole job waits for letters alone, and these ring: it sleeps at
 * once, as long as any sleeper does, and leaves its core to the threads that bring them. */
static bool is_rung(const struct gr_comm *comm) {
    return comm->link && comm->locals == 1;
}

double gr_wait_rest(const struct gr_comm *comm, struct gr_wait_event *event, uint32_t seen,
                    double waited_s, double longest_s) {
    double before = gr_clock_seconds();
    if (is_rung(comm)) return gr_wait_sleep(event, seen, longest_s);
    if (waited_s >= yield_s) {
        double pause = waited_s * sleep_polling_share;
        if (pause < sleep_polling_min_s) pause = sleep_polling_min_s;
        return gr_wait_sleep(event, seen, pause < longest_s ? pause : longest_s);
    }
    if (waited_s < comm->spin_s)
        relax();
    else
        sched_yield();
    return counted(gr_clock_seconds() - before);
}

/* A waiter that has time looks after messages that change the membership, and deaths. Before the
 * first round it also tells whom it waits for. */
static gr_status look_around(struct gr_wait *wait) {
    struct gr_comm *comm = wait->comm;
    gr_status status = gr_mailbox_poll(comm);
    gr_detect(comm);
    if (status == GR_OK && comm->lost) return gr_comm_lose(comm, "the membership changes");
    if (status == GR_OK) gr_start_look(wait);
    return status;
}

/* Ends the epoch because of silence. `overdue` goes with this rank's reports: half of the time is
 * spent, so the roll call gives the silent ones the other half. */
static gr_status suspect(const struct gr_wait *wait, const char *whom) {
    wait->comm->overdue = true;
    (void)gr_fail(GR_LOST, "rank %d waited %.1f s for %s: %s", wait->comm->rank, wait->waited_s,
                  whom, wait->what);
    return gr_comm_lose(wait->comm, gr_message());
}

/*
 * The wait takes long: the ranks waited for are asked for signs of life, and judged by their
 * silence in the `added_s` seconds since the last look and before. Who answers is at work, or waits
 * as we do; when nobody has been at work for half of a member's time something is amiss with the
 * wait itself.
 */
static gr_status judge_silence(struct gr_wait *wait, double added_s) {
    gr_status status = GR_OK;
    struct gr_comm *comm = wait->comm;
    const double ask_s = comm->collective_s / GR_WAIT_ASKS;
    const bool leaders = wait->peer == GR_WAIT_LEADERS;
    const int n = leaders ? comm->nodes : wait->peer == GR_WAIT_NODE ? comm->node_size : 1;
    const int *slots = leaders                      ? comm->leader_of
                       : wait->peer == GR_WAIT_NODE ? comm->node_slot
                                                    : &wait->peer;
    if (!comm->tolerant && wait->waited_s >= comm->collective_s / 2)
        return suspect(wait, "its peers"); /* where nobody answers the wait itself is judged */
    if (!comm->tolerant || wait->waited_s < ask_s) return GR_OK;
    comm->idle_s = wait->asks ? comm->idle_s + added_s : 0;
    for (int i = 0; i < n; i++) {
        const int slot = slots[i];
        struct gr_peer *peer = &comm->peers[slot];
        char whom[32];
        if (slot == comm->slot) continue;
        peer->silent_s = wait->asks ? peer->silent_s + added_s : wait->waited_s;
        peer->unasked_s = wait->asks ? peer->unasked_s + added_s : ask_s;
        snprintf(whom, sizeof whom, "slot %d", slot);
        if (peer->silent_s >= comm->collective_s / 2) return suspect(wait, whom);
        if (peer->unasked_s < ask_s) continue;
        peer->unasked_s = 0;
        if (gr_control_sees(comm, slot, ask_s)) continue;
        GR_TRY(gr_control_message_send_plain(
            comm, slot,
            &(struct gr_control_message_head){.kind = GR_CONTROL_PING, .epoch = comm->epoch}));
    }
    wait->asks = true;
    if (comm->idle_s >= comm->collective_s / 2)
        return suspect(wait, "ranks none of which is at work");
out:
    return status;
}

/* A turn of a wait. A short wait, of microseconds, spins; a longer wait yields its core; from
 * yield_s on, or at once where all rings, it sleeps, and gives and asks for signs of life. */
gr_status gr_wait_pause(struct gr_wait *wait, struct gr_wait_event *event, uint32_t seen) {
    gr_status status = GR_OK;
    if (wait->turns++ % TURNS_PER_LOOK != 0 && !wait->polling) {
        relax();
        return GR_OK;
    }
    const double now = gr_clock_seconds();
    const double added_s = wait->looked_s > 0 ? counted(now - wait->looked_s) : 0;
    wait->waited_s += added_s;
    wait->looked_s = now;
    const bool rung = is_rung(wait->comm);
    if (!rung && wait->waited_s < wait->comm->spin_s) {
        relax();
        return GR_OK;
    }
    if (!rung && wait->waited_s < yield_s) {
        sched_yield();
        return GR_OK;
    }
    GR_TRY(judge_silence(wait, added_s));
    double pause = sleep_rung_s;
    if (wait->polling && !rung) {
        pause = wait->waited_s * sleep_polling_share;
        if (pause < sleep_polling_min_s) pause = sleep_polling_min_s;
        const double longest_s = wait->comm->link ? sleep_rung_s : sleep_polling_max_s;
        if (pause > longest_s) pause = longest_s;
    }
    wait->turns = 0; /* whoever has slept looks at the clock next */
    (void)gr_wait_sleep(event, seen, pause);
    /* A message of ours may also still need this process to be pushed out. */
    GR_TRY(look_around(wait));
out:
    return status;
}

/* A shorter message than expected would leave stale bytes in a sum. */
static gr_status check_length(const MPI_Status *came, const char *what, int peer, size_t n) {
    gr_status status = GR_OK;
    int bytes = 0;
    if (n == 0) return GR_OK;
    GR_TRY_MPI(MPI_Get_count(came, MPI_BYTE, &bytes));
    if ((size_t)bytes != n)
        status = gr_fail(GR_ERROR_INTERNAL, "%s: %d bytes from slot %d, expected %zu", what, bytes,
                         peer, n);
out:
    return status;
}

/* Its length was compared when it came. */
static gr_status look_at_awaited(struct gr_comm *comm, struct gr_message *message, bool *done) {
    gr_status status = GR_OK;
    if (!message->awaited->complete) status = gr_link_poll(comm);
    *done = message->awaited->complete;
    if (*done) gr_link_forget(comm, message->awaited);
    if (*done) message->awaited = NULL;
    return status;
}

static gr_status look_at_ticket(struct gr_comm *comm, struct gr_message *message, int slot,
                                bool *done) {
    gr_status status = GR_OK;
    *done = gr_link_has_sent(comm, slot, message->ticket);
    if (!*done) status = gr_link_poll(comm);
    *done = gr_link_has_sent(comm, slot, message->ticket);
    if (*done) message->ticket = 0;
    return status;
}

gr_status gr_wait_look(struct gr_comm *comm, struct gr_message *message, const char *what, int peer,
                       size_t n, bool *done) {
    gr_status status = GR_OK;
    MPI_Status came;
    int complete = 0;
    if (message->awaited) return look_at_awaited(comm, message, done);
    if (message->ticket > 0) return look_at_ticket(comm, message, peer, done);
    GR_TRY(gr_detect_error(comm, MPI_Test(&message->request, &complete, &came), "MPI_Test"));
    *done = complete != 0;
    if (*done) status = check_length(&came, what, peer, n);
out:
    return status;
}

/* Polls the message; the event lets a rank of this node that sends a control message end a sleep
 * early. */
gr_status gr_wait_request(struct gr_comm *comm, struct gr_message *message, const char *what,
                          int peer, size_t n) {
    gr_status status = GR_OK;
    struct gr_wait_event *event = gr_comm_wait_event(comm);
    struct gr_wait wait;
    bool done = false;
    gr_wait_start(&wait, comm, what, peer, true);
    for (;;) {
        uint32_t seen = atomic_load(&event->value);
        if (comm->lost) return gr_comm_lose(comm, "the membership changes");
        GR_TRY(gr_wait_look(comm, message, what, peer, n, &done));
        if (done) break;
        GR_TRY(gr_wait_pause(&wait, event, seen));
    }
out:
    return status;
}

bool gr_mpi_lost(int code) {
#if defined(MPIX_ERR_PROC_FAILED)
    int class = MPI_SUCCESS;
    MPI_Error_class(code, &class);
    return class == MPIX_ERR_PROC_FAILED || class == MPIX_ERR_PROC_FAILED_PENDING ||
           class == MPIX_ERR_REVOKED;
#else
    (void)code;
    return false;
#endif
}

gr_status gr_mpi_check(int code, const char *call) {
    if (code == MPI_SUCCESS) return GR_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    if (gr_mpi_lost(code))
        return gr_fail(GR_STOPPED, "%s: %s: a rank was lost: start again", call, text);
    return gr_fail(GR_ERROR_INTERNAL, "%s: %s", call, text);
}
