/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comm: communicators, agreement, the control plane and the reductions. The one room, beside the
 * parallel files of store, that calls MPI.
 *
 * Inside a node ranks share a memory window and sleep on it; between nodes one leader per node
 * talks MPI. All sums that must not depend on order are taken in integers.
 *
 * Lifetime: gr_comm_create duplicates the parent communicator and owns the copies; everything else
 * here borrows the gr_comm, which must outlive it. Functions marked Collective are called by all
 * ranks in the same order and return the same status and message on all of them.
 */
#ifndef GRANARY_COMM_H
#define GRANARY_COMM_H

#include <mpi.h>

#include <granary/base.h>
#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gr_comm; /* opaque */

struct gr_comm_options {
    uint32_t ranks_per_node; /* see aggregation.ranks_per_node */
};

/* Collective over `parent`. MPI must be initialised (MPI_THREAD_FUNNELED is enough). */
gr_status gr_comm_create(MPI_Comm parent, const struct gr_comm_options *options,
                         struct gr_comm **out) GR_CHECKED;
void gr_comm_free(struct gr_comm *comm); /* Collective; NULL accepted on all ranks */

int gr_comm_rank(const struct gr_comm *comm);
int gr_comm_size(const struct gr_comm *comm);
int gr_comm_nodes(const struct gr_comm *comm);       /* shared windows in use, over all ranks */
MPI_Comm gr_comm_handle(const struct gr_comm *comm); /* for parallel files; borrowed */

/*
 * Collective. Every rank brings its own status (and, if it failed, its gr_message); all leave with
 * the same: GR_OK if all were well, else the status and message of the lowest failed rank. To be
 * called after any stretch that can fail on some ranks only, before the next collective.
 */
gr_status gr_comm_agree(struct gr_comm *comm, gr_status mine) GR_CHECKED;

/* Collective. n bytes from rank 0 to all. */
gr_status gr_comm_broadcast(struct gr_comm *comm, void *bytes, size_t n) GR_CHECKED;
/*
 * Collective. Text of at most `limit` bytes from rank 0; on the others *text is made, to be
 * released with gr_free.
 */
gr_status gr_comm_broadcast_text(struct gr_comm *comm, char **text, size_t limit) GR_CHECKED;

enum { GR_COMM_SMALL_MAX = 64 };
/* Collective. values[0..n-1] summed over ranks on all ranks; n <= GR_COMM_SMALL_MAX. Overflow is
 * the caller's to exclude. */
gr_status gr_comm_sum_int64(struct gr_comm *comm, int64_t *values, size_t n) GR_CHECKED;
/* Collective. Maxima. */
gr_status gr_comm_max_int64(struct gr_comm *comm, int64_t *values, size_t n) GR_CHECKED;

/* Bytes this process has handed to MPI or written to shared windows for others, since the start. */
uint64_t gr_comm_bytes_sent(const struct gr_comm *comm);

/* ---- control plane ------------------------------------------------------------------------ */

/*
 * Small messages on a communicator of their own. Nothing here waits without a deadline.
 *
 * A round: every rank says READY with the silos that finished and how it fared; rank 0 closes the
 * roster with a verdict; every rank receives both.
 */
enum gr_verdict { GR_VERDICT_GO = 0, GR_VERDICT_STOP = 1 };

struct gr_roster {
    uint32_t round;
    uint32_t n_silos;    /* of the federation */
    uint32_t n_members;  /* silos in this round's sum */
    uint8_t *member;     /* n_silos flags; owned */
    bool stop_requested; /* some rank got a signal: the round is the last */
};

gr_status gr_roster_create(uint32_t n_silos, struct gr_roster *out) GR_CHECKED;
void gr_roster_release(struct gr_roster *roster);

/*
 * Collective. Roll call at the start: each rank announces its silos, rank 0 checks that each silo
 * is present exactly once, and all learn `host_of` (n_silos ranks, caller's array).
 */
gr_status gr_control_roll_call(struct gr_comm *comm, const uint32_t *silos, size_t n_local,
                               uint32_t n_silos, int32_t *host_of, double deadline_s) GR_CHECKED;

/*
 * Collective. Closes a round. In: roster->round and this rank's finished silos flagged in
 * roster->member, `mine` (with gr_message) and stop_requested as this rank sees it. Out: the
 * union, the same on all ranks. A rank that failed makes all return its status and message.
 * Past `deadline_s` without everybody: GR_STOPPED, naming the number of ranks missing.
 */
gr_status gr_control_close_round(struct gr_comm *comm, struct gr_roster *roster, gr_status mine,
                                 double deadline_s) GR_CHECKED;

/* ---- the reductions ----------------------------------------------------------------------- */

/*
 * Weighted sums of updates. With ring32, an update times its weight is put on a grid of 2^e, e
 * agreed per block of GR_RING_BLOCK elements so that the sum of n_members values fits 32 bits,
 * and added as integers: the same bits for any placement, order, tree or rank count. With
 * float32, floats are added in rank order inside a node, and between nodes along a fixed tree.
 */
enum { GR_RING_BLOCK = 4096 };

struct gr_aggregator; /* opaque: shared segments, staging */

struct gr_contribution {
    const float *update; /* layout size floats; borrowed */
    uint64_t weight;     /* examples, 1 to 2^24 */
    const char *pseudonym;
};

/* Collective. layout borrowed, the same on all ranks. */
gr_status gr_aggregator_create(struct gr_comm *comm, const struct gr_layout *layout,
                               enum gr_encoding encoding, struct gr_aggregator **out) GR_CHECKED;
void gr_aggregator_free(struct gr_aggregator *aggregator); /* Collective */

/*
 * Collective. mean: layout size floats, receives sum(weight * update) / sum(weight) on every rank;
 * total_weight: sum of weights. n_mine may be 0; n_members: contributions over all ranks, the same
 * on all. A value that is not finite, or too large for the grid, on any rank: GR_ERROR_DATA
 * on all, naming pseudonym and tensor, and `mean` is unspecified. A sum without contributions is
 * an error of the caller (GR_ERROR_INTERNAL).
 */
gr_status gr_aggregate(struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                       size_t n_mine, uint32_t n_members, float *mean,
                       uint64_t *total_weight) GR_CHECKED;

/* ---- what is in force, for `granary version --verbose` and the manifest ---------------------- */

/* True when the MPI library was built with, and mpirun has enabled, failure mitigation. */
bool gr_comm_has_ulfm(void);

#ifdef __cplusplus
}
#endif
#endif
