/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the membership changes. The member that leads invites those it means to keep, waits for
 * their answers, claims the next epoch, and sends the decision: who the members are, where each
 * finds the other's memory, from which position all go on, and if a roster can be closed, which
 * silos are in it. Nothing of this is a collective: ranks may be training meanwhile.
 */
#ifndef GRANARY_COMM_VIEW_CHANGE_H
#define GRANARY_COMM_VIEW_CHANGE_H

#include "comm/communicator.h"

/* An exclusion of this epoch says that all is over. */
#define GR_EPOCH_OVER UINT32_MAX

/* A rank's asking to be taken in again: when it asks next, seconds of its view change. */
struct gr_join {
    double leader_s, others_s; /* the one that leads, and everybody else */
    double pause_s;            /* from one time to the next that it asks the others; 0: none yet */
    bool answered;             /* the one that leads gave a sign when it was last looked at */
};

/* A rank's part in a view change, from the call to the decision. */
struct gr_view_change {
    struct gr_comm *comm;
    struct gr_roster *roster; /* what the decision says; NULL: called from within the training */
    bool recovering;
    double deadline_s; /* for the others to be ready */
    double elapsed_s;
    int told;         /* slot that has our report; -1: none */
    size_t told_dead; /* deaths known then */
    double told_s;
    struct gr_join join;
    bool leading;  /* this rank leads */
    double lead_s; /* since when: others need not have noticed */
    bool out;      /* this rank was given up */
    bool over;     /* and the others are through */
    bool done;
};

/* Rank that leads: the senior that is neither dead nor given up; never none, for we are one. */
int gr_view_change_leader(const struct gr_comm *comm);
/* Whether the coordinator of a study is away, of this rank of a site: no site leads in its place.
 */
bool gr_view_change_lacks_coordinator(const struct gr_comm *comm);
/* Sends this rank's situation; view change and fd where it is an answer. */
gr_status gr_view_change_report(struct gr_comm *comm, int slot, enum gr_control_message_kind kind,
                                uint32_t view_change, int fd) GR_CHECKED;
/* Answers the invitation that waits, and takes it away. */
gr_status gr_view_change_answer(struct gr_view_change *m) GR_CHECKED;
/* Asks a silent slot for a sign of life; whether it has been silent for too long. */
gr_status gr_view_change_ping(struct gr_view_change *m, int slot) GR_CHECKED;
bool gr_view_change_silent(const struct gr_view_change *m, int slot);
/* This rank's membership has ended. */
void gr_view_change_leave(struct gr_view_change *m);
/* Takes the decision that waits. */
gr_status gr_view_change_take_decision(struct gr_view_change *m) GR_CHECKED;
/* A turn of the member that leads. */
gr_status gr_view_change_lead(struct gr_view_change *m) GR_CHECKED;
/* The slots flagged are invited to a new membership, whose decision is sent and taken. */
gr_status gr_view_change_propose(struct gr_view_change *m, const uint8_t *invited) GR_CHECKED;
/* Lets a rank that trains act on messages that have come. GR_LOST: it was given up. */
gr_status gr_view_change_from_training(struct gr_comm *comm) GR_CHECKED;

#endif
