/* SPDX-License-Identifier: Apache-2.0 */
/* Gateways of the jobs of a study, and how the jobs meet before there is a gr_comm: see jobs.c. */
#ifndef GRANARY_COMM_JOBS_H
#define GRANARY_COMM_JOBS_H

#include <pthread.h>

#include "comm/link.h"

/* First word of a message between gateways; numbers are int32. */
enum gr_note_kind {
    GR_NOTE_HELLO = 1, /* a site's: its ranks, its number of this hello, what it is made of */
    GR_NOTE_ROSTER,    /* the coordinator's: meeting, number of the hello, ranks of each party */
    GR_NOTE_REFUSED,   /* the coordinator's: number of the hello, text */
    GR_NOTE_NUMBERS,   /* meeting, numbers */
    GR_NOTE_GOODBYE,   /* a site's: the status for which it leaves by itself, int32 */
    GR_NOTE_LEAVE,     /* a site's: it leaves for good, the line that its key has signed */
    GR_NOTE_LEFT,      /* the coordinator's: that is written down */
    GR_NOTE_GIVEN_UP,  /* the coordinator's: why a site takes part no more, text */
    GR_NOTE_OVER,      /* the coordinator's: a meeting whose parcels it takes no more */
    GR_NOTE_PARCEL,    /* link.c */
    GR_NOTE_FINISHED   /* the coordinator's: number of the hello, seal that closes the run */
};
enum { GR_JOB_RANKS_MAX = 4096 };

/* ---- gateways (gateway.c) ---------------------------------------------------------------------
 */

/* The latest hello of a site, until a meeting has used it, as it travels. */
struct gr_hello {
    int32_t ranks; /* 0: none */
    int32_t number;
    char text[GR_HELLO_BYTES];
};

/* Messages to a party for which the post has no room yet, in their order. */
struct gr_waiting {
    struct gr_waiting *next;
    size_t n;
    unsigned char bytes[];
};
struct gr_outbox {
    struct gr_waiting *first, *last; /* owned */
    uint64_t queued, sent;           /* how many there have been, and are the post's */
};

/* The last that people were told (attendance.c). */
struct gr_told {
    double report_s, say_s, looked_s; /* when a report was made, something said, and looked */
    double since_s;                   /* since when the run is where it is: */
    uint32_t round;
    enum gr_phase phase;
    bool trained;
    enum gr_report_stage stage; /* of the last report */
    bool changed;               /* somebody has come or gone, and no report has said so */
};

/* How a party has left by itself, until it says hello again. */
struct gr_parting {
    gr_status why;    /* GR_STOPPED: it was told to; GR_OK: it has not left */
    gr_status untold; /* the same for the records, which may come to it when it is back */
    bool for_good;    /* it comes no more */
    bool barred;      /* given up, for its letters did not hold together, until a new session */
    bool said;        /* on the terminal, in this session */
};

/* A gateway lives longer than a gr_comm: sessions go on from one meeting of the jobs to the next.
 */
struct gr_gateway {
    struct gr_post *post; /* owned */
    uint32_t n_parties;
    struct gr_hello *hello;     /* n_parties; the coordinator's; owned */
    struct gr_parting *parting; /* n_parties; the coordinator's; owned */
    bool *differs;              /* n_parties: of another build; the coordinator's; owned */
    struct gr_outbox *outbox;   /* n_parties; owned */
    int32_t meeting;            /* the latest */
    int32_t hellos;             /* a site's: how often it has said hello */
    bool has_gathered;          /* the coordinator's: this is not its first meeting */
    char *finished;             /* a site's: the seal by which the run had finished; owned */
    double waits_s; /* since when all try to meet, in however many meetings; 0: they have met */
    struct gr_told told;
    /* The bell, which the threads of carriers ring, and by which the gateway sleeps. */
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool pending;
    struct gr_wait_event *event; /* also rung, where there is one: it lies in an epoch's memory */
};
void gr_gateway_ring_at(struct gr_gateway *gateway, struct gr_wait_event *event);
/* Until letters have come, or did since the last time, at most so long. */
void gr_gateway_wait(struct gr_gateway *gateway, double seconds);
/* Sends, or keeps a copy until the post has room: *ticket, which may be NULL, is then not 0, and
 * gr_gateway_has_sent tells when the post has taken it. */
gr_status gr_gateway_send(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                          const void *head, size_t n_head, const void *bytes, size_t n,
                          uint64_t *ticket) GR_CHECKED;
bool gr_gateway_has_sent(const struct gr_gateway *gateway, uint32_t party, uint64_t ticket);
/* Gives the post what it has room for by now; drops what was for a session that has ended. */
gr_status gr_gateway_flush(struct gr_gateway *gateway) GR_CHECKED;
/* A message's kind, 0 for none that is known, and what stands behind it. */
uint32_t gr_note_kind(const struct gr_post_message *message, const unsigned char **bytes,
                      size_t *n);
/* Takes a hello in; false: it is of no known form. */
bool gr_gateway_take_hello(struct gr_gateway *gateway, const struct gr_post_message *message);

/*
 * A site's: tells the coordinator's that this job leaves, and stays until the letter is on its way,
 * at most some seconds; without a session nobody is told.
 */
void gr_gateway_say_goodbye(struct gr_gateway *gateway, gr_status why);
/* The coordinator's: takes such a note in; false: it is none. */
bool gr_gateway_take_goodbye(struct gr_gateway *gateway, const struct gr_post_message *message);
/* The coordinator's: a site that leaves for good; false: the note is none of these, or could not be
 * written down, which is said. */
bool gr_gateway_take_leave(struct gr_gateway *gateway, const struct gr_comm_options *options,
                           const struct gr_post_message *message);
/*
 * The coordinator's: a site whose letters do not hold together, as gr_message says, takes no
 * further part in this session. It is told so, and told again when it says hello.
 */
void gr_gateway_give_up(struct gr_gateway *gateway, uint32_t party);
/* A new session has begun: whatever was said in the one before is void. */
void gr_gateway_greeted(struct gr_gateway *gateway, uint32_t party);
/* A site's: GR_ERROR_INTERNAL, in the coordinator's words, where this note gives it up. */
gr_status gr_gateway_heed(const struct gr_post_message *message) GR_CHECKED;
/* Whether a party has left for a reason that waiting does not mend. */
bool gr_gateway_is_refused(const struct gr_gateway *gateway, uint32_t party);
/* In words for a terminal, "stopped, and may come back"; static. */
const char *gr_parting_words(const struct gr_parting *parting);

/* ---- how all stand (attendance.c) -------------------------------------------------------------
 */

/* Tells, if it is time, how all stand while the jobs meet; waited_s: in this process. */
void gr_attendance_of_meeting(struct gr_gateway *gateway, const struct gr_comm_options *options,
                              double waited_s, double limit_s);
/* The same while a run goes on; and says for whom it waits, if that takes long. */
void gr_attendance_of_run(struct gr_comm *comm, struct gr_gateway *gateway);

/* ---- the meeting (jobs.c) ---------------------------------------------------------------------
 */

/* Collective over a job: the status and message of its gateway, and whether the job ends, where
 * somebody asks for it (NULL: nobody); and if all is well, its numbers. */
gr_status gr_job_agree(MPI_Comm local, gr_status gateways, enum gr_job_end *ends) GR_CHECKED;
gr_status gr_job_share(MPI_Comm local, gr_status gateways, enum gr_job_end *ends, int32_t *numbers,
                       size_t n) GR_CHECKED;

/*
 * The coordinator's gateway waits until all sites have said hello, and tells them all `ranks`, of
 * each party, of which its own is given. A site's says hello and waits for that. Errors: as
 * gr_link_create.
 */
gr_status gr_jobs_gather(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const char *hello, gr_jobs_differ differs, int32_t *ranks) GR_CHECKED;
gr_status gr_jobs_attend(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const char *hello, int32_t *ranks) GR_CHECKED;
/* The coordinator's: takes in that a party leaves, and says why; false: the note says nothing of
 * it.
 */
bool gr_jobs_take_goodbye(struct gr_gateway *gateway, const struct gr_comm_options *options,
                          const struct gr_post_message *note);
/* A site's gateway tells the coordinator's the kind of its failure, within seconds if it hears. */
void gr_jobs_decline(struct gr_gateway *gateway, gr_status why);
/* Gateways: n numbers of each slot, `total` in all, of which the own job's are given. */
gr_status gr_jobs_exchange(struct gr_gateway *gateway, const struct gr_comm_options *options,
                           const struct gr_link_job *jobs, int32_t *numbers, size_t n,
                           size_t total) GR_CHECKED;

#endif
