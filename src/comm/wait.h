/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: the one place where a rank waits for another, be it in the shared window or for MPI, and
 * the one place that knows deadlines. A waiter spins briefly, then offers its core to others, then
 * sleeps, so that more ranks than cores do not cost each other time slices.
 */
#ifndef GRANARY_COMM_WAIT_H
#define GRANARY_COMM_WAIT_H

#include <mpi.h>
#include <stdatomic.h>

#include <granary/base.h>

struct gr_comm;

struct gr_awaited; /* link.h */

/* A message of data under way; GR_NO_MESSAGE: none, as of one to another job once it is sent. */
struct gr_message {
    MPI_Request request;
    struct gr_awaited *awaited; /* from another job */
    uint64_t ticket;            /* to another job, and not sent yet; 0: it is */
};
#define GR_NO_MESSAGE ((struct gr_message){.request = MPI_REQUEST_NULL})

/* A word in shared memory that waiters sleep on. `sleepers` spares the ringer a system call. */
struct gr_wait_event {
    _Alignas(64) atomic_uint value;
    atomic_uint sleepers;
};

void gr_wait_event_signal(struct gr_wait_event *event);

/* Waits for no one in particular, but for some rank of this node, or some leader of a node. */
enum { GR_WAIT_NODE = -1, GR_WAIT_LEADERS = -2 };

/* A wait, from the first look to success, loss or deadline. */
struct gr_wait {
    struct gr_comm *comm;
    const char *what; /* what is waited for, for the message */
    int peer;         /* the slot waited for, GR_WAIT_NODE or GR_WAIT_LEADERS */
    bool polling;     /* what is waited for need not ring the event */
    double waited_s, looked_s;
    double told_s; /* before the first round: when it was last told who is waited for, and */
    bool asked;    /* whether signs of life have been asked for since */
    bool asks;     /* it has lasted so long that signs of life are asked for */
    unsigned turns;
};

/*
 * To be used as
 *     gr_wait_start(&wait, comm, what, peer, polling);
 *     for (;;) {
 *         uint32_t seen = atomic_load(&event->value);
 *         if (what is waited for has come) break;
 *         GR_TRY(gr_wait_pause(&wait, event, seen));
 *     }
 * Pause returns when the event has rung since `seen` or after a while. GR_LOST: a member has died,
 * the membership is about to change, or a member that is waited for has given no sign of life for
 * half of the time that it has for its part; the other half is for the roll call that follows. A
 * member that works is asked for such signs and waited for however long it takes. Where nobody
 * works, and all wait for each other, the wait ends after that time as well.
 */
void gr_wait_start(struct gr_wait *wait, struct gr_comm *comm, const char *what, int peer,
                   bool polling);
gr_status gr_wait_pause(struct gr_wait *wait, struct gr_wait_event *event,
                        uint32_t seen) GR_CHECKED;

/*
 * Sleeps until the event rings, at most `longest_s`; returns the seconds to be counted as waited: a
 * process that was suspended meanwhile has not been kept waiting by anybody.
 */
double gr_wait_sleep(struct gr_wait_event *event, uint32_t seen, double longest_s);

/* The same for one that looks around itself, and has waited so long: spins, yields, sleeps. */
double gr_wait_rest(const struct gr_comm *comm, struct gr_wait_event *event, uint32_t seen,
                    double waited_s, double longest_s);

/*
 * Completes `message` (peer: its slot, for the message). A receive is to bring n bytes, else
 * GR_ERROR_INTERNAL; n is 0 for a send. After GR_LOST the message is left as it is.
 */
gr_status gr_wait_request(struct gr_comm *comm, struct gr_message *message, const char *what,
                          int peer, size_t n) GR_CHECKED;
/* The same, without waiting: whether it is complete. */
gr_status gr_wait_look(struct gr_comm *comm, struct gr_message *message, const char *what, int peer,
                       size_t n, bool *done) GR_CHECKED;

/* Whether MPI tells by this code that a process has failed, which it does with failure mitigation.
 */
bool gr_mpi_lost(int code);
/* GR_ERROR_INTERNAL with MPI's text unless `code` is MPI_SUCCESS; GR_STOPPED where MPI tells that a
 * process has failed, as it may before losses are looked for. */
gr_status gr_mpi_check(int code, const char *call) GR_CHECKED;
#define GR_TRY_MPI(call) GR_TRY(gr_mpi_check((call), #call))

#endif
