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

/*
 * How long a rank waits for a peer that is assumed to be well before it gives up, in seconds.
 * Longer than any honest imbalance, so that what it ends is a hang.
 */
#define GR_COMM_DEADLINE_S 600.0

/* A word in shared memory that waiters sleep on. `sleepers` spares the ringer a system call. */
struct gr_bell {
    _Alignas(64) atomic_uint value;
    atomic_uint sleepers;
};

void gr_bell_ring(struct gr_bell *bell);

/* One wait, from the first look to success or deadline. */
struct gr_wait {
    struct gr_comm *comm;
    const char *what; /* what is waited for, for the message */
    int peer;         /* the rank waited for; -1: no one in particular */
    bool polling;     /* what is waited for need not ring the bell */
    double begun_s, deadline_s;
    unsigned turns;
};

/*
 * To be used as
 *     gr_wait_start(&wait, comm, deadline_s, what, peer, polling);
 *     for (;;) {
 *         uint32_t seen = atomic_load(&bell->value);
 *         if (what is waited for has come) break;
 *         GR_TRY(gr_wait_pause(&wait, bell, seen));
 *     }
 * Pause returns when the bell has rung since `seen` or after a while, and fails with
 * GR_ERROR_INTERNAL at the deadline.
 */
void gr_wait_start(struct gr_wait *wait, struct gr_comm *comm, double deadline_s, const char *what,
                   int peer, bool polling);
gr_status gr_wait_pause(struct gr_wait *wait, struct gr_bell *bell, uint32_t seen) GR_CHECKED;

/*
 * Completes `request` (peer: rank in the whole communicator, for the message). At the deadline the
 * request is left as it is: its buffer must then outlive the communicator.
 */
gr_status gr_wait_request(struct gr_comm *comm, MPI_Request *request, double deadline_s,
                          const char *what, int peer) GR_CHECKED;

/* GR_ERROR_INTERNAL with MPI's text unless `code` is MPI_SUCCESS. */
gr_status gr_mpi_check(int code, const char *call) GR_CHECKED;
#define GR_TRY_MPI(call) GR_TRY(gr_mpi_check((call), #call))

#endif
