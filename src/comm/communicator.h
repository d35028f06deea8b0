/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a gr_comm, for the files of this room.
 *
 * Inside a node all goes through shared memory: a barrier, a slot of small values per rank, a
 * buffer for broadcasts. Between nodes the first rank of each node, its leader, exchanges messages
 * with its neighbours in a binary tree. Rank 0 is the leader of node 0 and the tree's root.
 *
 * All of this is made anew for each epoch, without any collective: memory by each rank for itself,
 * mapped by the others through /proc; messages on one communicator of the start, with the epoch in
 * their tags, so that what is still under way from an earlier epoch meets nobody.
 */
#ifndef GRANARY_COMM_COMMUNICATOR_H
#define GRANARY_COMM_COMMUNICATOR_H

#include <granary/comm.h>
#include <sys/types.h>
/* MPIX_ names: in a file that lacks them its parts on failure mitigation would vanish unnoticed. */
#if defined(OPEN_MPI)
#include <mpi-ext.h>
#endif

#include "comm/control_message.h"
#include "comm/link.h"
#include "comm/wait.h"
#include "comm/word_sum.h"

/* ---- shared memory (window.c) ---------------------------------------------------------------- */

/* Memory that a process offers to others of its host: anonymous, gone with the last who maps it. */
struct gr_part {
    int fd;
    void *base;
    size_t bytes;
};
gr_status gr_part_create(size_t bytes, struct gr_part *out) GR_CHECKED;
void gr_part_release(struct gr_part *part);
/* Maps the part that process `pid` knows as `fd`. */
gr_status gr_part_map(pid_t pid, int fd, size_t bytes, void **base) GR_CHECKED;

/* Parts of all ranks of a node, made together. */
struct gr_window {
    struct gr_part mine;
    void **part;   /* node_size pointers; array owned */
    size_t *bytes; /* of each part mapped */
    int n, own;    /* node_size when it was made; this rank's */
};
/* Collective over the node, by way of the window of the gr_comm. Fails alone: to be agreed on. */
gr_status gr_window_create(struct gr_comm *comm, size_t bytes, struct gr_window *out) GR_CHECKED;
void gr_window_release(struct gr_window *window);

enum { GR_BROADCAST_CHUNK = 32768 };
/* Room for two small exchanges, or an error message. */
enum { GR_SCRATCH_BYTES = 2 * GR_COMM_SMALL_MAX * 8 };

/* A rank's part of the window of a gr_comm. */
struct gr_member {
    struct gr_wait_event doorbell; /* rung when a message for this rank has been sent */
    /* Two of each, used in turn, so that one barrier per exchange is enough. */
    _Alignas(64) int64_t values[2][GR_COMM_SMALL_MAX];
    _Alignas(64) int64_t offer[2]; /* a part of a window being made: descriptor and bytes */
    /* Seconds of the host's clock: when it last took in messages, and when some rank is last known
     * to have been at work. */
    _Alignas(64) _Atomic double alive_s, worked_s;
};

/* Each rank's part has room for all of this; what is before `member` counts in the leader's. */
struct gr_comm_node {
    _Alignas(64) atomic_uint arrived;
    struct gr_wait_event barrier;
    _Alignas(64) int64_t values[2][GR_COMM_SMALL_MAX];
    _Alignas(64) unsigned char bytes[2][GR_BROADCAST_CHUNK];
    struct gr_member member;
};

/* ---- peers (detect.c) ------------------------------------------------------------------------ */

/* Knowledge of the process in a slot. */
struct gr_peer {
    int host; /* lowest slot of those on its host that can see each other's processes */
    int node; /* lowest slot of those that share memory with it; of that slot: */
    int node_index, members;  /* the node's number in the present epoch, and how many are in it */
    char name[GR_HOST_BYTES]; /* of its host */
    pid_t pid;                /* as its host knows it */
    int pidfd;                /* of a process of this host, or -1 */
    bool dead;                /* known to have ended, or said by MPI to have failed */
    bool gone;        /* of the dead: seen to have ended, so that it cannot be a group of its own */
    bool given_up;    /* by this rank, for giving no sign; until it gives one */
    double silent_s;  /* waited for a sign of it, not counting time in which we were suspended */
    double pinged_s;  /* silent_s when it was last asked for one */
    bool unanswered;  /* before the first round: it was asked, and nothing has come since */
    double unasked_s; /* in a collective: since it was last asked */
    struct gr_control_message *report, *answer; /* the latest, owned; NULL: none */
};

/* Looks who has died, at most once in a millisecond. */
void gr_detect(struct gr_comm *comm);
/* An error of MPI: when it says that a peer has failed, GR_LOST. */
gr_status gr_detect_error(struct gr_comm *comm, int code, const char *call) GR_CHECKED;
gr_status gr_detect_start(struct gr_comm *comm) GR_CHECKED;
void gr_detect_stop(struct gr_comm *comm);
/* At the end: ranks of this host that were given up and are suspended are ended; MPI and its
 * launcher would wait for them. */
void gr_detect_clear_up(struct gr_comm *comm);

/* ---- the communicator ------------------------------------------------------------------------ */

struct gr_comm_place {
    int node, node_rank;
};

/* A rank's report of itself, as it would send it now. */
struct gr_situation {
    uint32_t round;
    enum gr_phase phase;
    bool ready;      /* its silos have trained */
    bool training;   /* it answers from within the training */
    bool need_state; /* it was given up */
    bool stop;
    gr_status status;
    char *text;    /* with status */
    uint32_t *ids; /* silos that finished, then silos that sit out with their reason; owned */
    size_t n_ids, n_sat;
};

/* Invitations that may be open at a time; whoever has answered more has been given up by some. */
enum { GR_OFFERS = 8 };

struct gr_comm {
    MPI_Comm world;         /* data; ranks are slots */
    MPI_Comm control;       /* messages */
    MPI_Comm members;       /* of gr_comm_members, MPI_COMM_NULL: not asked for yet, */
    uint32_t members_epoch; /* and the epoch whose it is */
    /* The leaders of the nodes of leaders_epoch, for collectives of MPI; MPI_COMM_NULL: this rank
     * is none, or there is one node. */
    MPI_Comm leaders;
    uint32_t leaders_epoch;
    struct gr_word_sums word_sums; /* on `leaders`, where that is */
    int slot, slots;
    int first, locals; /* slots of this job: the first, whose rank in `world` is 0, and how many */
    struct gr_link *link;  /* to the other jobs of a study; owned; NULL: there is one job */
    struct gr_peer *peers; /* slots of them; owned */
    int *watched;          /* descriptors of processes of this host, -1: it has ended; owned */
    int *watched_slot;
    size_t n_watched;
    int watching;      /* descriptor by which the kernel tells of them; -1: none */
    double detected_s; /* when gr_detect last looked */
    bool ulfm, tolerant;

    uint32_t tag_epochs; /* epochs that the tags of this MPI tell apart */

    /* The present epoch. */
    uint32_t epoch;
    int rank, size;
    int *slot_of; /* of each rank; room for slots; owned */
    int *rank_of; /* of each slot, -1: no member; owned */
    int node_rank, node_size;
    int node_index, nodes;
    /* With jobs: this node's parent in the tree, -1: none, and its children; room for slots; owned
     */
    int tree_parent, tree_children, *tree_child;
    bool far;                     /* leaders are on several hosts */
    struct gr_comm_place *places; /* of each rank; room for slots; owned */
    int *leader_of;               /* slot of each node's leader; room for slots; owned */
    int *node_slot;               /* slots of this node's ranks; room for slots; owned */
    struct gr_window window;
    struct gr_comm_node *shared; /* the leader's part of it */
    unsigned exchanges, broadcasts;
    bool lost;        /* this epoch's collectives have come to an end */
    bool overdue;     /* because a peer let this rank wait */
    unsigned pending; /* requests of this epoch left under way: MPI may use its memory for ever */
    void *scratch;    /* of small messages of this epoch; owned */

    struct gr_comm_options options; /* as asked for */
    bool starting;                  /* before the first round */
    double spin_s;                  /* of waiting, before a rank offers its core to others */
    double collective_s, heartbeat_s;
    double round_s;  /* the longest that a round has been given */
    double polled_s; /* when work last looked up */
    double idle_s;   /* waited since some rank is last known to have been at work */
    bool out;        /* given up by the others, or leaves */
    gr_status
        leaves; /* not GR_OK: this job leaves by itself, for this reason, whose text `told` is */
    bool departing; /* this rank is about to */
    int leads;      /* slot that leads, as this rank was told while it was out; -1: it was not */
    bool over;      /* who have come to the end */
    gr_status over_with; /* GR_OK or GR_STOPPED */
    gr_status failure;   /* of the last decision; its text in situation */
    char *told; /* GR_MESSAGE_MAX; between jobs: the failure that all were told last; owned */
    uint64_t failures; /* whose message has come to all */
    /* Of the values that a site brings to the exchange at hand: whether they can be; NULL: any. */
    bool (*holds)(const struct gr_comm *comm, int slot, const void *values, size_t n);
    const void *exchanged; /* what `holds` has to know of the exchange */
    gr_claim_function claim;
    void *claim_context;

    struct gr_situation situation;
    struct gr_mailbox mailbox;       /* messages under way and arrived */
    struct gr_part offer[GR_OFFERS]; /* for the next epoch, to whoever has invited this rank */
    size_t offers;
    uint32_t view_changes;
    struct gr_change *changes; /* owned */
    size_t n_changes;
    const int32_t *host_of; /* slot of each silo; borrowed; NULL: not known */
    size_t ids_max;         /* silos of the federation, at most as many ids in a message */
    uint64_t bytes_sent;
    /* Of these: messages to ranks of other nodes, to other parties, and of the control plane. */
    uint64_t bytes_between, bytes_parties, bytes_control;
    struct gr_control_sent control_sent[GR_CONTROL_KINDS]; /* of bytes_sent; measured by tests */
};

/* Collective over the node. */
gr_status gr_node_barrier(struct gr_comm *comm, const char *what) GR_CHECKED;

static inline bool gr_comm_leads(const struct gr_comm *comm) {
    return comm->node_rank == 0;
}

/* The part of a rank of this node. */
static inline struct gr_member *gr_comm_member(struct gr_comm *comm, int node_rank) {
    return &((struct gr_comm_node *)comm->window.part[node_rank])->member;
}

/* This rank's event, rung by ranks of the node that have sent it a message. */
static inline struct gr_wait_event *gr_comm_wait_event(struct gr_comm *comm) {
    return &((struct gr_comm_node *)comm->window.mine.base)->member.doorbell;
}

/*
 * Between the jobs of a study no text leaves its own: it may name a path, a column or a value. Its
 * rank says it on its own terminal, and gr_message() becomes the party's name and what the status
 * means. A failure that all have been told stays as it is. Nothing is done where there is one job.
 */
void gr_comm_keep_words(struct gr_comm *comm, gr_status status);

/* Ends this epoch's collectives on this rank; returns GR_LOST. */
gr_status gr_comm_lose(struct gr_comm *comm, const char *why);

/* ---- comm.c ---------------------------------------------------------------------------------- */

/* A gr_comm without members on `world`, which it owns, as in any case it does `link` (NULL: there
 * is one job).
 */
gr_status gr_comm_allocate(MPI_Comm world, const struct gr_comm_options *options,
                           struct gr_link *link, struct gr_comm **out) GR_CHECKED;
/* Collective over the world, by collectives of MPI. An epoch of n slots, seniors first. */
gr_status gr_comm_meet_all(struct gr_comm *comm, uint32_t epoch, const uint32_t *order,
                           size_t n) GR_CHECKED;

/* ---- departure.c ----------------------------------------------------------------------------- */

/* GR_OK where this job stays; else why it leaves. The second also asks for a signal. */
gr_status gr_departure_reason(const struct gr_comm *comm) GR_CHECKED;
gr_status gr_departure_look(struct gr_comm *comm) GR_CHECKED;
/* Another rank of this job says that the job leaves; text: n bytes. */
void gr_departure_take(struct gr_comm *comm, gr_status why, const char *text, size_t n);

/* ---- membership.c ---------------------------------------------------------------------------- */

/* Enters the epoch that a decision describes; `mine` is this rank's part in it. */
gr_status gr_membership_enter(struct gr_comm *comm, uint32_t epoch, const uint32_t *slots,
                              const uint32_t *fds, size_t n, struct gr_part *mine) GR_CHECKED;

/* ---- leader_tree.c: messages between leaders, called by leaders only
 * -------------------------------- */

enum { GR_TREE_CHILDREN = 2 };

/* Index of the parent among the leaders, -1 at the root; number of children; index of child i. */
int gr_tree_parent(const struct gr_comm *comm);
int gr_tree_children(const struct gr_comm *comm);
int gr_tree_child(const struct gr_comm *comm, int i);

/* acc[0..n-1] becomes the combination of itself and more[0..n-1]. */
typedef void (*gr_combine_function)(void *acc, const void *more, size_t n);

/* GR_LOST: a site's values cannot be, of "a sum"; the coordinator has given the site up. */
gr_status gr_tree_refuse(struct gr_comm *comm, int slot, const char *what) GR_CHECKED;

/* Combines `count` elements over all leaders, on all leaders, in an order that differs between
 * them: `combine` must not depend on it. scratch: as large as values. When comm->pending has grown
 * meanwhile neither may be freed: MPI may still use them. */
gr_status gr_tree_all(struct gr_comm *comm, void *values, void *scratch, size_t count,
                      size_t element_size, gr_combine_function combine) GR_CHECKED;
/* Bytes of the root's to all leaders. */
gr_status gr_tree_broadcast(struct gr_comm *comm, void *bytes, size_t n) GR_CHECKED;

/* Whether a message has been started that is not known to be complete. */
static inline bool gr_message_under_way(const struct gr_message *message) {
    return message->request != MPI_REQUEST_NULL || message->awaited || message->ticket > 0;
}

/* Learns how many tags the library has, before the first message. Starts a message to or from a
 * slot; tags below GR_TREE_TAG_DATA are the room's own. */
gr_status gr_message_start(struct gr_comm *comm) GR_CHECKED;
int gr_message_tag(const struct gr_comm *comm, int tag);
enum { GR_TREE_TAG_UP = 1, GR_TREE_TAG_DOWN = 2, GR_TAG_FAILURE = 3, GR_TREE_TAG_DATA = 16 };
gr_status gr_tree_send(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n,
                       struct gr_message *message) GR_CHECKED;
gr_status gr_tree_receive(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n,
                          struct gr_message *message) GR_CHECKED;
/* n: the bytes that a receive is to bring, else GR_ERROR_INTERNAL; 0 for a send. */
gr_status gr_tree_wait(struct gr_comm *comm, int leader, const char *what,
                       struct gr_message *message, size_t n) GR_CHECKED;
/* The same, without waiting: whether it is complete. */
gr_status gr_tree_look(struct gr_comm *comm, int leader, const char *what,
                       struct gr_message *message, size_t n, bool *done) GR_CHECKED;
gr_status gr_message_send(struct gr_comm *comm, int slot, int tag, const void *bytes, size_t n,
                          struct gr_message *message) GR_CHECKED;
gr_status gr_message_receive(struct gr_comm *comm, int slot, int tag, void *bytes, size_t n,
                             struct gr_message *message) GR_CHECKED;
/* Gives up a message after a loss: cancelled where MPI can, else counted in comm->pending. */
void gr_message_abandon(struct gr_comm *comm, struct gr_message *message);

#endif
