/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a reduction between nodes: segments of node sums travel up the tree of leaders,
 * are added on the way, and come back from the root as sums over all nodes, several segments under
 * way at once. Used by leaders only.
 */
#ifndef GRANARY_COMM_RELAY_H
#define GRANARY_COMM_RELAY_H

#include "comm/communicator.h"
#include "comm/ring.h"

/* Segments that may be under way: buffers of sums, each from its node sum until it is decoded. */
enum { GR_RELAY_DEPTH = 5 };

struct gr_relay {
    struct gr_comm *comm;
    const struct gr_codec *codec;
    char *sums;           /* GR_RELAY_DEPTH segments; in the window, borrowed */
    char *received;       /* GR_RELAY_DEPTH segments per child; owned */
    size_t segment, size; /* elements of a segment, of the vector */
    MPI_Request up[GR_RELAY_DEPTH], parent[GR_RELAY_DEPTH];
    MPI_Request child[GR_RELAY_DEPTH][GR_TREE_CHILDREN], down[GR_RELAY_DEPTH][GR_TREE_CHILDREN];
};

/* sums: GR_RELAY_DEPTH buffers of `segment` elements, segment k in buffer k % GR_RELAY_DEPTH. */
gr_status gr_relay_create(struct gr_comm *comm, const struct gr_codec *codec, void *sums,
                          size_t segment, size_t size, struct gr_relay *out) GR_CHECKED;
void gr_relay_release(struct gr_relay *relay);
/* After a loss: gives up messages under way; requests that MPI does not let go of count in
 * comm->pending. */
void gr_relay_abandon(struct gr_relay *relay);

/*
 * The stations of segment k, to be called in this order for each k, and one further for segment
 * k - 1 and so on in the same step, so that each has a step's time to arrive:
 * - expect: before the node sum of k is there;
 * - up: the node sum is in its buffer: adds the children's, sends it on;
 * - turn: what was sent has left, its buffer may receive;
 * - down: the whole sum has come and is in the buffer; sends it on;
 * - finish: what was sent has left: the buffer may be used for another segment.
 */
gr_status gr_relay_expect(struct gr_relay *relay, size_t k) GR_CHECKED;
gr_status gr_relay_up(struct gr_relay *relay, size_t k) GR_CHECKED;
gr_status gr_relay_turn(struct gr_relay *relay, size_t k) GR_CHECKED;
gr_status gr_relay_down(struct gr_relay *relay, size_t k) GR_CHECKED;
gr_status gr_relay_finish(struct gr_relay *relay, size_t k) GR_CHECKED;

#endif
