/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gr_comm is made of, for the files of this room.
 *
 * Inside a node all goes through a shared window: a barrier, a slot of small values per rank, a
 * buffer for broadcasts. Between nodes the first rank of each node, its leader, exchanges messages
 * with its neighbours in a binary tree (tree.h). Rank 0 is the leader of node 0 and the tree's
 * root.
 */
#ifndef GRANARY_COMM_COMMUNICATOR_H
#define GRANARY_COMM_COMMUNICATOR_H

#include <granary/comm.h>

#include "comm/wait.h"

/* Memory that the ranks of a node share: one part per rank, made together, freed together. */
struct gr_window {
    MPI_Win win;
    void **part;        /* node_size pointers, 64-byte aligned; owned */
    const bool *broken; /* the communicator's; borrowed */
};

/* Collective over the node. bytes: of this rank's part, which comes zeroed. */
gr_status gr_window_create(struct gr_comm *comm, size_t bytes, struct gr_window *out) GR_CHECKED;
void gr_window_release(struct gr_window *window);

enum { GR_BROADCAST_CHUNK = 32768 };

/* A rank's part of the window of a gr_comm. */
struct gr_member {
    struct gr_bell doorbell; /* rung when a message for this rank has been sent */
    /* Two of each, used in turn, so that one barrier per exchange is enough. */
    _Alignas(64) int64_t values[2][GR_COMM_SMALL_MAX];
};

/* The leader's part begins with what belongs to the node as a whole. */
struct gr_node {
    _Alignas(64) atomic_uint arrived;
    struct gr_bell barrier;
    _Alignas(64) int64_t values[2][GR_COMM_SMALL_MAX];
    _Alignas(64) unsigned char bytes[2][GR_BROADCAST_CHUNK];
    struct gr_member leader;
};

/* A message under way that nobody waits for any more. */
struct gr_outgoing {
    struct gr_outgoing *next;
    MPI_Request request;
    int peer;
    unsigned char bytes[];
};

struct gr_place {
    int node, node_rank;
};

struct gr_comm {
    MPI_Comm all;     /* parallel files; no messages of ours */
    MPI_Comm control; /* the control plane and the messages of failed ranks */
    MPI_Comm node;
    MPI_Comm leaders; /* MPI_COMM_NULL on others */
    int rank, size;
    int node_rank, node_size;
    int node_index, nodes;
    struct gr_place *places; /* of each rank; owned */
    int *leader_of;          /* rank of each node's leader; owned */
    double spin_s;           /* of waiting, before a rank offers its core to others */
    struct gr_window window;
    struct gr_node *shared;       /* the leader's part of it */
    struct gr_outgoing *outgoing; /* owned */
    unsigned exchanges, broadcasts;
    uint32_t control_calls;
    size_t control_capacity; /* most ids of an exchange so far */
    uint64_t bytes_sent;
    bool broken; /* a wait has reached its deadline: peers may be anywhere */
};

/* Collective over the node. */
gr_status gr_node_barrier(struct gr_comm *comm, const char *what) GR_CHECKED;

static inline bool gr_comm_leads(const struct gr_comm *comm) {
    return comm->node_rank == 0;
}

/* The part of a rank of this node. */
static inline struct gr_member *gr_comm_member(struct gr_comm *comm, int node_rank) {
    return node_rank == 0 ? &comm->shared->leader : comm->window.part[node_rank];
}

/* This rank's bell, rung by ranks of the node that have sent it a message. */
static inline struct gr_bell *gr_comm_doorbell(struct gr_comm *comm) {
    return &gr_comm_member(comm, comm->node_rank)->doorbell;
}

/* ---- tree.c: messages between leaders, called by leaders only -------------------------------- */

enum { GR_TREE_CHILDREN = 2 };

/* Index of the parent among the leaders, -1 at the root; number of children, the first of them. */
int gr_tree_parent(const struct gr_comm *comm);
int gr_tree_children(const struct gr_comm *comm, int *first);

/* acc[0..n-1] becomes the combination of itself and more[0..n-1]. */
typedef void (*gr_combine_function)(void *acc, const void *more, size_t n);

/* Combines `count` elements over all leaders, on all leaders. scratch: as large as values. */
gr_status gr_tree_all(struct gr_comm *comm, void *values, void *scratch, size_t count,
                      size_t element_size, gr_combine_function combine) GR_CHECKED;
/* Bytes of the root's to all leaders. */
gr_status gr_tree_broadcast(struct gr_comm *comm, void *bytes, size_t n) GR_CHECKED;

/* Starts a message to or from a leader. Tags below GR_TREE_TAG_DATA are the tree's own. */
enum { GR_TREE_TAG_UP = 1, GR_TREE_TAG_DOWN = 2, GR_TREE_TAG_DATA = 16 };
gr_status gr_tree_send(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n,
                       MPI_Request *request) GR_CHECKED;
gr_status gr_tree_receive(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n,
                          MPI_Request *request) GR_CHECKED;
gr_status gr_tree_wait(struct gr_comm *comm, int leader, const char *what,
                       MPI_Request *request) GR_CHECKED;

#endif
