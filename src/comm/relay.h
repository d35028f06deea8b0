/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a reduction between nodes, used by their leaders only: segments of node sums go in,
 * and become sums over all nodes in their buffers, many of them under way at once. In the ring all
 * ways give the same bits:
 *
 * tree    pieces of segments go up a binary tree of the leaders, whose root adds up all, and down
 *         again: 2 log2(n) messages one after the other. Floats take it alone, for they are then
 *         always added in the same order.
 * direct  each piece has a leader that adds it up, in turn: all others send it theirs, and get the
 *         sum back (a reduce-scatter and an all-gather; Thakur, Rabenseifner, Gropp 2005): two
 *         messages one after the other, and 2 (n - 1) / n of the bytes in and out of each leader.
 *         For up to GR_RELAY_DIRECT_NODES nodes, as all have connections to all.
 * mpi     MPI_Iallreduce of whole segments on a communicator of the leaders, made at the start,
 *         hence only while no member has been lost: network and library do what they do best.
 */
#ifndef GRANARY_COMM_RELAY_H
#define GRANARY_COMM_RELAY_H

#include "comm/communicator.h"
#include "comm/ring.h"

enum { GR_RELAY_DIRECT_NODES = 32, GR_RELAY_SEGMENTS_MAX = 64 };

/* The shape of a sum, the same on all leaders. */
struct gr_relay_shape {
    const struct gr_codec *codec;
    size_t size;    /* elements of the vector */
    size_t segment; /* idem, a multiple of GR_RING_BLOCK unless there is one alone */
    size_t window;  /* buffers of segments, at most GR_RELAY_SEGMENTS_MAX */
    bool whole;     /* the whole vector lies in place of its window */
    bool floats;
};
/* Blocks of GR_RING_BLOCK elements of a segment, the same on all ranks in all epochs. */
size_t gr_relay_segment_blocks(const struct gr_comm *comm, size_t vector_bytes, size_t element);
/* Segments that may be under way at a time at most: enough to fill a line that is fast and long. */
size_t gr_relay_window(const struct gr_comm *comm, size_t segment_bytes, size_t n_segments);

struct gr_relay {
    struct gr_comm *comm;
    struct gr_relay_shape shape;
    char *sums;      /* window buffers; borrowed, seen by the node */
    uint16_t *place; /* buffer of segment k at k % window; idem */
    enum gr_between way;
    /* Of the present sum, by its way: */
    size_t piece, per_segment, n_pieces; /* elements of a piece; pieces of a segment, of all */
    size_t n_led, slots;                 /* pieces with children here; room for those under way */
    int children;                        /* of a piece that is led */
    /* Of all ways, the most: */
    size_t max_pieces, max_slots, max_below; /* under way; of slots; children of all slots */
    /* Free buffers, the one that was used last on top, for it may still be in the cache. */
    uint16_t idle[GR_RELAY_SEGMENTS_MAX];
    size_t n_idle;
    /* How far each station is, in pieces; posted and gathered count those that are led. */
    size_t offered, risen, posted, gathered, turned, fallen, freed, kept;
    size_t begun; /* segments that have a buffer */
    int added;    /* children of the piece that is being gathered, at hand already */
    /* The least seconds from one segment's beginning to the next, and until a piece is back: of
     * this sum and of the one before it, for a line may become longer. */
    double begun_s, offered_s[GR_RELAY_SEGMENTS_MAX];
    double least_begin_s[2], least_back_s[2];
    char *received;           /* slots * children pieces; owned */
    size_t *spare;            /* those of them that are free, a stack as `idle`; owned */
    size_t *holds, n_spare;   /* of each slot, the first of its children's; owned with spare */
    struct gr_message *up;    /* window * pieces: to the parent, then from it; owned */
    struct gr_message *child; /* slots * children: from the child, then to it; owned */
};

/* Whether sums can go that way in this epoch. Leaders find the same. */
bool gr_relay_goes(const struct gr_comm *comm, bool floats, enum gr_between way);

/* Not collective. sums: `window` segments, or all of them; place: as many as the window has. */
gr_status gr_relay_create(struct gr_comm *comm, const struct gr_relay_shape *shape, void *sums,
                          uint16_t *place, struct gr_relay *out) GR_CHECKED;
void gr_relay_release(struct gr_relay *relay);
/* After a loss: gives up messages under way; requests that MPI does not let go of count in
 * comm->pending. */
void gr_relay_abandon(struct gr_relay *relay);

/* Before a sum; the same way on all leaders, not GR_BETWEEN_AUTO. */
void gr_relay_start(struct gr_relay *relay, enum gr_between way);
/*
 * Gives the next segment a buffer (relay->place); false: as many are under way as can be begun
 * until one comes back, or all buffers are in use. More would fill memory in place of the cache.
 */
bool gr_relay_begin(struct gr_relay *relay);
/* The node's sums of the first n segments are in their buffers. */
void gr_relay_offer(struct gr_relay *relay, size_t n);
/* All ranks of the node have taken the first n segments, which were whole. */
void gr_relay_keep(struct gr_relay *relay, size_t n);
/* The first segments that are sums over all nodes. */
size_t gr_relay_whole(const struct gr_relay *relay);
/* Moves on whatever can be; wait: until something has. GR_LOST: see gr_wait_request. */
gr_status gr_relay_move(struct gr_relay *relay, bool wait) GR_CHECKED;
/* After the last segment was kept: waits until all that was sent has left. */
gr_status gr_relay_finish(struct gr_relay *relay) GR_CHECKED;

#endif
