/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the control plane. They are sent without waiting and taken in whenever
 * a rank looks (gr_mailbox_poll); of each kind only the latest counts, so that what waits is
 * bounded by the number of ranks. They travel as packets, in which lists take few bytes.
 */
#ifndef GRANARY_COMM_CONTROL_MESSAGE_H
#define GRANARY_COMM_CONTROL_MESSAGE_H

#include <mpi.h>

#include <granary/base.h>

struct gr_comm;

enum gr_control_message_kind {
    GR_CONTROL_READY = 1,  /* to the one who leads: my silos have trained */
    GR_CONTROL_TROUBLE,    /* to the one who leads: a collective was given up */
    GR_CONTROL_JOIN,       /* to the one who leads: I was given up, and am here again */
    GR_CONTROL_ANSWER,     /* to whoever invited: here I am, this is where I stand */
    GR_CONTROL_INVITATION, /* the membership is about to change: answer */
    GR_CONTROL_DECISION,   /* a closed roster, or a new membership, or both */
    GR_CONTROL_EXCLUDED,   /* a later epoch has begun without you */
    GR_CONTROL_PING,
    GR_CONTROL_PONG, /* `round`: milliseconds that the sender has waited since it knew of work */
    GR_CONTROL_KINDS
};

enum {
    GR_FLAG_READY = 1,
    GR_FLAG_TRAINING = 2,
    GR_FLAG_NEED_STATE = 4,
    GR_FLAG_STOP = 8,
    GR_FLAG_CLOSED = 16,  /* a decision that holds a roster */
    GR_FLAG_OVERDUE = 32, /* trouble because somebody let the sender wait */
    GR_FLAG_PASS_ON = 64  /* a decision that goes along the tree of members */
};

/* Beside a silo's id: GR_PRESENT_ANEW. */
#define GR_CONTROL_ANEW ((uint32_t)1 << 31)

/* Followed by five lists of uint32_t, then text of `length` bytes. */
struct gr_control_message_head {
    uint32_t kind;
    uint32_t epoch;       /* the sender's; in a decision: the one that begins or goes on */
    uint32_t view_change; /* of an invitation, and of answers to it; in a sign of life and an
                             exclusion: 1 + the slot that leads */
    uint32_t round, phase, flags;
    int32_t status;
    int32_t fd;         /* of the part offered for the next epoch; -1: none */
    uint32_t n_slots;   /* members (decision), or those known to be dead (reports) */
    uint32_t n_fds;     /* parts of the members */
    uint32_t n_changes; /* slot << 2 | enum gr_change_kind */
    uint32_t n_ids;     /* silos in the sum, with GR_CONTROL_ANEW or not */
    uint32_t n_sat;     /* silos that sit out: id << 3 | enum gr_sit_out */
    uint32_t length;
};

struct gr_control_message {
    int peer;
    /* Into `content`: */
    const uint32_t *slots, *fds, *changes, *ids, *sat;
    const char *text;
    struct gr_control_message_head head;
    uint32_t content[]; /* the lists, in this order, then the text */
};

/* ---- packets (control_packet.c) --------------------------------------------------------------
 */

/* A message as it travels: the head as it is, the lists packed (number_list.h), the text. */
struct gr_packet {
    struct gr_packet *next;
    MPI_Request request;
    int peer;
    bool parcel;  /* link.h */
    size_t bytes; /* of content */
    unsigned char content[];
};

/* The most that a message may speak of. */
struct gr_control_limits {
    size_t slots, silos;
};

/* Not collective. Released by gr_free. */
gr_status gr_packet_create(size_t bytes, struct gr_packet **out) GR_CHECKED;
gr_status gr_packet_pack(const struct gr_control_message *message,
                         struct gr_packet **out) GR_CHECKED;
/* Bytes of the largest packet that a peer can honestly send. */
size_t gr_packet_most(const struct gr_control_limits *limits);
/* GR_ERROR_INTERNAL: the packet does not hold what its head says, or says more than the limits,
 * which bound what is allocated. *out: released by gr_free. */
gr_status gr_packet_unpack(const struct gr_packet *packet, const struct gr_control_limits *limits,
                           struct gr_control_message **out) GR_CHECKED;

/* Messages of a kind that this rank has handed to MPI. */
struct gr_control_sent {
    uint64_t messages, bytes, largest;
};

/* Where messages lie. */
struct gr_mailbox {
    struct gr_packet *outgoing, *incoming;                       /* under way; owned */
    struct gr_control_message *invitation, *decision, *excluded; /* latest, unread; owned */
};

/* A message with room for what `head` counts; the caller fills content. Released by gr_free. */
gr_status gr_control_message_create(const struct gr_control_message_head *head,
                                    struct gr_control_message **out) GR_CHECKED;
/* Sends to each of `n` slots but this rank's own, and forgets: a message that nobody takes is left
 * to MPI. */
gr_status gr_control_message_send(struct gr_comm *comm, const uint32_t *slots, size_t n,
                                  const struct gr_control_message *message) GR_CHECKED;
/* Tags of control's communicator. */
enum { GR_TAG_CONTROL = 1, GR_TAG_PARCEL = 2 };
/* Hands a packet to MPI for a rank of this job, and owns it from then on. A peer that cannot be
 * reached is no failure. */
gr_status gr_packet_start(struct gr_comm *comm, int slot, int tag,
                          struct gr_packet *packet) GR_CHECKED;
/* A packet that has come by another way than MPI is put behind the others, and owned. */
void gr_packet_arrived(struct gr_comm *comm, struct gr_packet *packet);

enum { GR_CONTROL_CHILDREN = 4 };
/*
 * Not collective. The slots to which this rank passes a decision on, at most as many as there are;
 * how many. All members are reached from rank 0, each by one, whose rank
 * is lower: the leaders along their tree, and in each node GR_CONTROL_CHILDREN by each.
 */
size_t gr_control_children(const struct gr_comm *comm, uint32_t *slots);
/* A message without content. */
gr_status gr_control_message_send_plain(struct gr_comm *comm, int slot,
                                        const struct gr_control_message_head *head) GR_CHECKED;

/*
 * Not collective. Whether a rank of this node has taken in messages within the last `within_s`
 * seconds, which is as good as an answer of it and costs no message.
 */
bool gr_control_sees(struct gr_comm *comm, int slot, double within_s);

/*
 * Takes in what has come, and lets go of what was taken. Pings are answered here. Messages of this
 * epoch that end its collectives (an invitation, trouble reported to the one who leads, an
 * exclusion) set comm->lost.
 */
gr_status gr_mailbox_poll(struct gr_comm *comm) GR_CHECKED;
void gr_mailbox_release(struct gr_comm *comm);

#endif
