/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links between the jobs of a study: each party (the coordinator, the sites) is an MPI job of its
 * own, and its ranks are slots of one gr_comm. Inside a job messages are MPI's; between jobs they
 * are parcels, which the first rank of each job, its gateway, sends and takes in by sealed letters
 * (granary/post.h). A rank that is no gateway hands its parcels to its gateway by MPI. Sites write
 * to the coordinator alone, whose gateway passes on what is for another site.
 *
 * Whoever sends and receives messages of data (gr_message_send, gr_message_receive) or of control
 * does not know which of both they are.
 */
#ifndef GRANARY_COMM_LINK_H
#define GRANARY_COMM_LINK_H

#include <granary/comm.h>
#include <granary/post.h>

/* What a process is made of, in lines of text: handshake.c. */
enum { GR_HELLO_BYTES = 1024 };

struct gr_wait_event;
struct gr_link; /* opaque */

/* A message of data that is awaited from another job. */
struct gr_awaited {
    struct gr_awaited *next;
    int slot, tag;
    uint32_t epoch;
    unsigned char *bytes; /* room for n; borrowed */
    size_t n, came;       /* bytes that it is to bring, and that have come */
    bool complete;
};

/* The slots of a party: its ranks, in their order; one in the place of a site that is not here. */
struct gr_link_job {
    int first, ranks;
    bool here;
    uint32_t members; /* of its silos, in the roster that was decided last */
    size_t held;      /* bytes of its messages that nobody awaits yet */
};

/* GR_ERROR_CONFIG, in words with the name, where two hellos are not alike. */
typedef gr_status (*gr_jobs_differ)(const char *first, const char *other, const char *name);

/*
 * Collective over `parent`, the ranks of one job, of which rank 0 is the gateway, and at once over
 * all jobs of the study. The gateways wait until all are there, at most
 * gr_comm_start_s. hello: the gateway's, a text of what it is made of, which the coordinator holds
 * against its own by `differs`. Errors, the same on all ranks of a job: GR_ERROR_CONFIG: a site is
 * of another build, told on both sides; GR_STOPPED: no site has come, or the
 * coordinator has not; where some sites have not, it is begun without them. *out: the caller's.
 */
gr_status gr_link_create(MPI_Comm parent, const struct gr_comm_options *options, const char *hello,
                         gr_jobs_differ differs, struct gr_link **out) GR_CHECKED;
/* NULL accepted. */
void gr_link_free(struct gr_link *link);

/* Slots of all jobs; the job of a slot, by the number of its party; a party's slots, its name. */
int gr_link_slots(const struct gr_link *link);
uint32_t gr_link_party(const struct gr_link *link, int slot);
const struct gr_link_job *gr_link_job(const struct gr_link *link, uint32_t party);
const char *gr_link_name(const struct gr_link *link, uint32_t party);
/* Whether a party has come since all met, or come back. */
bool gr_link_awaited(const struct gr_link *link);
/* Whether a slot is of another job; NULL: never. */
bool gr_link_is_foreign(const struct gr_link *link, int slot);

/*
 * Collective over the ranks of the job and over all jobs, before there are epochs. `n` numbers of
 * each slot, of which this job's ranks have filled in their own, become those of all slots. local:
 * the communicator of the job.
 */
gr_status gr_link_share(struct gr_link *link, MPI_Comm local, const struct gr_comm_options *options,
                        int32_t *numbers, size_t n) GR_CHECKED;

/* The event that is rung when letters have come; NULL: none, while epochs change. */
void gr_link_ring_at(struct gr_link *link, struct gr_wait_event *event);

/* A parcel of control, or of data with its tag, to a slot of another job; bytes are copied. */
gr_status gr_link_send_control(struct gr_comm *comm, int slot, const void *bytes,
                               size_t n) GR_CHECKED;
gr_status gr_link_send(struct gr_comm *comm, int slot, int tag, const void *bytes, size_t n,
                       uint64_t *ticket) GR_CHECKED;
/* To a rank of this job: the job leaves, for this reason; text of n bytes. */
gr_status gr_link_send_farewell(struct gr_comm *comm, int slot, gr_status why, const char *text,
                                size_t n) GR_CHECKED;
/* *ticket 0: it has been sent; else it waits for room at this gateway until this says that it has.
 */
bool gr_link_has_sent(const struct gr_comm *comm, int slot, uint64_t ticket);
/* Awaits a message of n bytes; *out: released by gr_link_forget, complete or not. */
gr_status gr_link_await(struct gr_comm *comm, int slot, int tag, void *bytes, size_t n,
                        struct gr_awaited **out) GR_CHECKED;
void gr_link_forget(struct gr_comm *comm, struct gr_awaited *awaited);

/* Takes in what has come from other jobs, and passes on what is for others: data to those who await
 * it, control into comm->mailbox. A party that has begun a new session has died meanwhile. */
gr_status gr_link_poll(struct gr_comm *comm) GR_CHECKED;
/*
 * The status of what was done with a message of that slot. Where it does not hold together
 * (GR_ERROR_INTERNAL), the coordinator gives the slot's site up, tells why, and goes on: GR_OK. Of
 * the coordinator there is nothing to go on with; then, and of a rank of the own job, it stays.
 */
gr_status gr_link_contain(struct gr_comm *comm, int slot, gr_status status) GR_CHECKED;
/* Whether a slot's word may change the membership: in a study that of the coordinator and of the
 * own job, for no site leads. */
bool gr_link_trusts(const struct gr_comm *comm, int slot);
/* Of the roster that was decided last: each site's silos, from none on. */
void gr_link_forget_members(struct gr_link *link);
void gr_link_add_member(struct gr_link *link, int slot);
/* Whether a site brings as many contributions to a sum as it has silos in that roster. */
bool gr_link_has_members(const struct gr_link *link, uint32_t party, int64_t found);
/* A parcel that another rank of this job has sent by MPI. */
gr_status gr_link_take(struct gr_comm *comm, const unsigned char *bytes, size_t n) GR_CHECKED;
/* Bytes of a message that one parcel takes, and so one letter. */
size_t gr_link_part_most(void);
/* Bytes of the largest parcel, with its head. */
size_t gr_link_parcel_most(void);

#endif
