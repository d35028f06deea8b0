/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters: the messages of the control plane. They are sent without waiting and taken in whenever
 * a rank looks (gr_post_look); of each kind only the latest counts, so that what waits is bounded
 * by the number of ranks.
 */
#ifndef GRANARY_COMM_LETTER_H
#define GRANARY_COMM_LETTER_H

#include <mpi.h>

#include <granary/base.h>

struct gr_comm;

enum gr_letter_kind {
    GR_LETTER_READY = 1, /* to the one who leads: my silos have trained */
    GR_LETTER_TROUBLE,   /* to the one who leads: a collective was given up */
    GR_LETTER_JOIN,      /* to the one who leads: I was given up, and am here again */
    GR_LETTER_ANSWER,    /* to the one who summons: here I am, this is where I stand */
    GR_LETTER_SUMMONS,   /* the membership is about to change: answer */
    GR_LETTER_VERDICT,   /* a closed roster, or a new membership, or both */
    GR_LETTER_EXCLUDED,  /* a later epoch has begun without you */
    GR_LETTER_PING,
    GR_LETTER_PONG, /* `round`: milliseconds that the sender has waited since it knew of work */
};

enum {
    GR_FLAG_READY = 1,
    GR_FLAG_TRAINING = 2,
    GR_FLAG_NEED_STATE = 4,
    GR_FLAG_STOP = 8,
    GR_FLAG_CLOSED = 16, /* a verdict that holds a roster */
    GR_FLAG_OVERDUE = 32 /* trouble because somebody let the sender wait */
};

/* Beside a silo's id: GR_PRESENT_ANEW. */
#define GR_LETTER_ANEW ((uint32_t)1 << 31)

/* Followed by four arrays of uint32_t, then text of `length` bytes. */
struct gr_letter_head {
    uint32_t kind;
    uint32_t epoch;   /* the sender's; in a verdict: the one that begins or goes on */
    uint32_t meeting; /* of a summons, and of answers to it */
    uint32_t round, phase, flags;
    int32_t status;
    int32_t fd;         /* of the part offered for the next epoch; -1: none */
    uint32_t n_slots;   /* members (verdict), or those known to be dead (reports) */
    uint32_t n_fds;     /* parts of the members */
    uint32_t n_changes; /* slot << 2 | enum gr_change_kind */
    uint32_t n_ids;     /* silos in the sum, with GR_LETTER_ANEW or not */
    uint32_t n_sat;     /* silos that sit out: id << 3 | enum gr_sit_out */
    uint32_t length;
};

struct gr_letter {
    struct gr_letter *next;
    MPI_Request request;
    int peer;
    size_t bytes;
    /* Into `content`: */
    const uint32_t *slots, *fds, *changes, *ids, *sat;
    const char *text;
    struct gr_letter_head head; /* what is sent begins here, `bytes` long */
    uint32_t content[];
};

/* Where letters lie. */
struct gr_post {
    struct gr_letter *outgoing, *incoming;          /* under way; owned */
    struct gr_letter *summons, *verdict, *excluded; /* latest, unread; owned */
};

/* A letter with room for what `head` counts; the caller fills content through the pointers. */
gr_status gr_letter_create(const struct gr_letter_head *head, struct gr_letter **out) GR_CHECKED;
/* Sends and forgets: a letter that nobody takes is left to MPI. Takes ownership. A copy is made. */
gr_status gr_letter_send(struct gr_comm *comm, int slot, const struct gr_letter *letter) GR_CHECKED;
/* One without content. */
gr_status gr_letter_send_plain(struct gr_comm *comm, int slot,
                               const struct gr_letter_head *head) GR_CHECKED;

/*
 * Takes in what has come, and lets go of what was taken. Pings are answered here. Letters of this
 * epoch that end its collectives (a summons, trouble reported to the one who leads, an exclusion)
 * set comm->lost.
 */
gr_status gr_post_look(struct gr_comm *comm) GR_CHECKED;
void gr_post_release(struct gr_comm *comm);

#endif
