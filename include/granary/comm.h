/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comm: membership, agreement, the control plane and the reductions. The one room, beside the
 * parallel files of store, that calls MPI.
 *
 * Inside a node ranks share memory and sleep on it; between nodes one leader per node sends
 * messages. All sums that must not depend on order are taken in integers.
 *
 * Membership. A communicator lives through epochs: in each, the ranks are the members 0 .. size
 * - 1. When members die, hang or come back, those that are there agree on the next epoch
 * (gr_control_recover, gr_control_close_round), in which they are numbered anew, the senior first.
 * Functions marked Collective are called by all members in the same order and return the same
 * status and message on all of them, with one exception: GR_LOST says that the membership has
 * changed meanwhile. It may come on some members and not on others; whoever gets it calls
 * gr_control_recover and repeats, or goes on, as the position it returns says. After the start no
 * collective of MPI is called but in gr_comm_respawn, and nothing waits without a deadline.
 *
 * Lifetime: gr_comm_create duplicates the parent communicator and owns the copies; everything else
 * here borrows the gr_comm, which must outlive it.
 *
 * Interface: stable.
 */
#ifndef GRANARY_COMM_H
#define GRANARY_COMM_H

#include <mpi.h>

#include <granary/base.h>
#include <granary/config.h>
#include <granary/post.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gr_comm; /* opaque */

/*
 * The gateway of a job of a study: its post, which outlives the gr_comm of a run, for the jobs meet
 * again after a loss that a run does not survive. Used by the job's rank 0.
 */
struct gr_gateway; /* opaque */
/* Not collective. Greeting and notice are the gateway's own. Errors: as gr_post_open. *out: for
 * gr_gateway_close. */
gr_status gr_gateway_open(const struct gr_post_options *options,
                          struct gr_gateway **out) GR_CHECKED;
/* Not collective. A site's, whose job ends with GR_JOB_HAS_FINISHED: the seal that the coordinator
 * has told it, not looked at yet; NULL: none. Lives as long as the gateway. */
const char *gr_gateway_finished(const struct gr_gateway *gateway);
/*
 * Not collective. Of a site: tells the coordinator, by a line that the site's key has signed, that
 * it leaves for good, and waits until that is written down there. GR_STOPPED: the coordinator was
 * not there for patience_s.
 */
gr_status gr_gateway_leave(struct gr_gateway *gateway, const char *line,
                           double patience_s) GR_CHECKED;
/* Not collective. NULL accepted. No gr_comm may use it any more; carriers stay open. */
void gr_gateway_close(struct gr_gateway *gateway);

/* How a party of a study stands, as a gateway knows it. */
enum gr_standing {
    GR_STANDING_AWAY,     /* it has not come, to this process */
    GR_STANDING_HERE,     /* it has come, and waits until all meet */
    GR_STANDING_MEMBER,   /* it takes part in the run */
    GR_STANDING_LATE,     /* the others go on without it, and it may come back by itself */
    GR_STANDING_LOST,     /* it took part, and has ended or begun anew */
    GR_STANDING_DECLINES, /* its policy refuses the study */
    GR_STANDING_STOPPED,  /* it has said goodbye, and may come back */
    GR_STANDING_LEFT,     /* for good */
    GR_STANDING_FAILED,   /* it has left for a reason of its own, or was given up */
    GR_STANDING_DIFFERS   /* it is of another build, and was told so */
};
enum gr_report_stage { GR_STAGE_MEETING, GR_STAGE_STARTING, GR_STAGE_ROUNDS };

struct gr_attendance {
    enum gr_standing standing;
    bool awaited;    /* nothing goes on before it has come, or has trained */
    double silent_s; /* since its last letter; INFINITY: none has come to this process */
};
/* All borrowed, for the call. */
struct gr_comm_report {
    enum gr_report_stage stage;
    double waited_s, limit_s; /* of a meeting: in all, and how long the others are waited for */
    uint32_t round;           /* that is done; of a meeting 0 */
    bool trained;             /* this side has, and waits for the others */
    uint32_t n_parties;
    const struct gr_attendance *parties; /* that of this side means nothing */
};

/* Whether a job of a study meets with the others again. GR_JOB_HAS_FINISHED: the run had finished
 * before they met, and nothing is left to do. */
enum gr_job_end { GR_JOB_GOES_ON, GR_JOB_ENDS, GR_JOB_HAS_FINISHED };

/*
 * A study of institutions, whose parties are jobs of their own: the ranks of all of them become the
 * slots of one gr_comm, the coordinator's first. All borrowed, as the options are.
 */
struct gr_comm_study {
    uint32_t party; /* this job's, 0: the coordinator's */
    uint32_t n_parties;
    const struct gr_party *parties;
    struct gr_gateway *gateway; /* of the job's rank 0; NULL on other ranks */
    /* Not 0: the gateway waits for others no longer, and a site leaves the run; or NULL. */
    const volatile int *stop;
    /* Of the gateway: not GR_OK: it does not take part, for this reason, which its job is told. Of
     * GR_ERROR_POLICY the coordinator is told that it is so, and no more. */
    gr_status failed;
    const char *why;
    double waited_s; /* of the coordinator: of the first meeting, by processes before this one */
    double idle_s;   /* a meeting that takes longer ends the job (GR_STOPPED); 0: none does */
    enum gr_job_end *ends; /* of each rank: whether its job does, or has left by itself; or NULL */
    /* Of the coordinator's gateway: the seal by which the run has finished, or NULL. Unless all
     * come, those who do are given it, and none is needed. */
    const char *finished;
    /* Of the coordinator's gateway: parties that have left for good, n_parties, or NULL; and who
     * writes down such a party's line, which its key has to have signed, before it is believed;
     * with report_context; or NULL. */
    const bool *left;
    gr_status (*leave)(void *context, uint32_t party, const char *line);
    bool *compared; /* of each rank: becomes true once the ranks of its job are, which is enough */
    /* Of the gateway: told how all stand, when that changes and every ten seconds; or NULL. */
    void (*report)(void *context, const struct gr_comm_report *report);
    void *report_context;
};

/* All borrowed, and as long as the gr_comm is used. */
struct gr_comm_options {
    uint32_t ranks_per_node; /* see aggregation.ranks_per_node */
    /* Nodes are taken for hosts of their own, as far as the ways of messages go: for tests of what
     * happens between hosts on a single one. */
    bool far;
    /* Must be the same on all ranks, as the build must; NULL: nothing is said. */
    const char *command;   /* in a few characters: what they were started to do */
    const char *libraries; /* "name version\n" of those whose versions must be the same */
    double start_s;        /* of silence before the first round; 0: as in GR_COMM_START_VARIABLE */
    void (*say)(const char *words);    /* for the terminal; called on ranks 0 and 1; NULL: nobody */
    const struct gr_comm_study *study; /* NULL: one job alone */
};

/* The environment variable that tells ranks, before they share a config, what they are given to
 * start: seconds, as round.start_deadline_s. */
#define GR_COMM_START_VARIABLE "GRANARY_START_DEADLINE_S"
enum { GR_COMM_START_S = 300 };
/* Not collective. The seconds that the variable names; GR_COMM_START_S where it names none. */
double gr_comm_start_seconds(void);

/*
 * Collective over `parent`. MPI must be initialised (MPI_THREAD_FUNNELED is enough). First all
 * ranks are held against rank 0: GR_ERROR_CONFIG, the same on all, names a rank of another build,
 * command or set of libraries; GR_STOPPED ranks that do not answer, upon which MPI is not to be
 * used again. Then collectives of MPI are called: a rank that dies there ends the others once
 * start_s is over, with exit code 75.
 */
gr_status gr_comm_create(MPI_Comm parent, const struct gr_comm_options *options,
                         struct gr_comm **out) GR_CHECKED;
/* Not collective. NULL accepted. Calls into MPI, so before MPI_Finalize. */
void gr_comm_free(struct gr_comm *comm);

/*
 * Not collective. Of a rank of a site's job, which fails with `why` and gr_message for a reason of
 * its own: the whole job leaves, the coordinator is told the status and no word, and the others go
 * on without it. Returns the reason; from then on everything that waits returns it on all ranks of
 * the job. Nothing is done for GR_OK and GR_LOST, by the coordinator's ranks and where there is no
 * study: `why` is returned. Agreements call it for whatever a site brings.
 */
gr_status gr_comm_depart(struct gr_comm *comm, gr_status why) GR_CHECKED;
/* Not collective. Whether this job leaves, or has left. */
bool gr_comm_leaves(const struct gr_comm *comm);
/* A party that has left by itself: GR_STOPPED: a signal told it to. */
struct gr_comm_parting {
    uint32_t party;
    gr_status why;
    bool for_good;
};
/* Not collective. The coordinator's gateway: the next that its records have not been given. */
bool gr_comm_parting(struct gr_comm *comm, struct gr_comm_parting *out);
/* Not collective. The coordinator's gateway: the reason of a site that has left for more than a
 * signal, with the party's name and the consequence, in words that all may be told; GR_OK: none
 * has, or another is away that may come. */
gr_status gr_comm_refused(struct gr_comm *comm, const char *consequence) GR_CHECKED;

/*
 * Not collective, but called by all members before the first round. Until then a member may be
 * silent for start_s while it loads its data, and rank 0 says from time to time whom all wait for.
 */
void gr_comm_started(struct gr_comm *comm);
/* Not collective. Whether this rank tells for all what has become of them: rank 0, or at the
 * start the next one that is left. */
bool gr_comm_speaks(const struct gr_comm *comm);
enum { GR_HOST_BYTES = 64 };
/* Not collective. The host of a slot, for messages on terminals; borrowed. */
const char *gr_comm_host_name(const struct gr_comm *comm, int slot);

enum gr_respawn { GR_RESPAWN_NOT_NOW, GR_RESPAWN_FAILED, GR_RESPAWN_DONE };
/*
 * Collective, where the MPI has User Level Failure Mitigation. Starts a process of `command`
 * (NULL-terminated) for each slot whose rank has died, unless a rank is out that may still come
 * back, or not all ranks are `willing`. The new ranks take those slots, as the last in seniority,
 * and an epoch of all begins.
 */
gr_status gr_comm_respawn(struct gr_comm *comm, char **command, bool willing,
                          enum gr_respawn *outcome) GR_CHECKED;
/* Not collective. Whether this process was started by gr_comm_respawn. */
bool gr_comm_was_spawned(void);
/* Collective. A new process calls it in the place of gr_comm_create, in step with the members'
 * gr_comm_respawn; it lacks all state. Errors as of gr_comm_create. */
gr_status gr_comm_join(const struct gr_comm_options *options, struct gr_comm **out) GR_CHECKED;

/* Not collective. This rank in the present epoch, from 0. */
int gr_comm_rank(const struct gr_comm *comm);
/* Not collective. Members of the present epoch. */
int gr_comm_size(const struct gr_comm *comm);
/* Not collective. Shared windows in use in the present epoch, over all ranks. */
int gr_comm_nodes(const struct gr_comm *comm);
/* Not collective. Whether this rank is the first of its node in the present epoch. */
bool gr_comm_leads_node(const struct gr_comm *comm);
/* Not collective. Hosts of all slots. */
int gr_comm_hosts(const struct gr_comm *comm);
/* Not collective. The present epoch, from 0: one more with each change of the membership. */
uint32_t gr_comm_epoch(const struct gr_comm *comm);
/* Not collective. This rank's number in `parent`, which stays the same in all epochs. */
int gr_comm_slot(const struct gr_comm *comm);
/* Not collective. The size of `parent`. */
int gr_comm_slots(const struct gr_comm *comm);
/* Not collective. The rank of a slot in the present epoch; -1: it is not a member. */
int gr_comm_rank_of(const struct gr_comm *comm, int slot);

/* Not collective. Parties of the study: the coordinator and its sites; 1 where there is none. */
uint32_t gr_comm_parties(const struct gr_comm *comm);
/* Not collective. The name of a party of a study; borrowed. "": there is no study. */
const char *gr_comm_party_name(const struct gr_comm *comm, uint32_t party);
/* Not collective; the coordinator's gateway knows it. Whether a party has come, or come back, that
 * is no member: it is taken in when the jobs meet again. */
bool gr_comm_awaited(const struct gr_comm *comm);
/* Not collective. The party of a slot in a study: 0 the coordinator, and where there is none. */
uint32_t gr_comm_party(const struct gr_comm *comm, int slot);
/* Not collective. The slots of a party: the first, and how many; all where there is no study. */
int gr_comm_party_slots(const struct gr_comm *comm, uint32_t party, int *n);
/*
 * Not collective; the same on all members. Ranks that see rank 0's files: those of its job, all
 * where there is no study. *mine: this rank's number among them, -1: it is of another job.
 */
int gr_comm_writers(const struct gr_comm *comm, int *mine);

/* Not collective. Whether losses are handled: GRANARY_FAULT_TOLERANCE is not off. */
bool gr_comm_tolerant(const struct gr_comm *comm);
/* Not collective; the same on all members. Whether gr_comm_members can be called: MPI with user
 * level failure mitigation makes no communicator of those that are left once a process has failed
 * (MPI_ERR_PROC_FAILED, or not, by what each has heard of). */
bool gr_comm_makes_members(const struct gr_comm *comm);
/*
 * Collective over MPI, which knows no deadline: the caller puts a guard around it. The members of
 * the present epoch, by rank, as a communicator of MPI of their own. Made when it is first asked
 * for in an epoch; that of an epoch that has ended is left to MPI. Owned by the gr_comm.
 */
gr_status gr_comm_members(struct gr_comm *comm, MPI_Comm *out) GR_CHECKED;

#define GR_COMM_DEADLINE_S 3600.0
/*
 * Not collective; the same on all ranks. collective_s: how long a member may be silent on the way
 * to a collective before the others go on without it: for half of it while they wait there, for
 * the rest while they call it (default GR_COMM_DEADLINE_S). A member that works and gives signs of
 * life meanwhile (gr_control_watch) is waited for. heartbeat_s: a rank that trains and gives no
 * sign for so long is given up (0, the default: never).
 */
void gr_comm_set_deadlines(struct gr_comm *comm, double collective_s, double heartbeat_s);

typedef gr_status (*gr_claim_function)(void *context, uint32_t epoch, bool *granted);
/*
 * Not collective; the same on all ranks. Sets who may begin an epoch: of two groups of members
 * that have lost sight of each other one must be refused. The member that leads the change calls
 * `claim`. The default, and NULL, grant all. GR_STOPPED from `claim`: the run has ended, or goes
 * on elsewhere; this rank is out then.
 */
void gr_comm_set_arbiter(struct gr_comm *comm, gr_claim_function claim, void *context);

/*
 * Collective. Every rank brings its own status (and, if it failed, its gr_message); all leave with
 * the same: GR_OK if all were well, else the status and message of the lowest failed rank. To be
 * called after any stretch that can fail on some ranks only, before the next collective.
 */
gr_status gr_comm_agree(struct gr_comm *comm, gr_status mine) GR_CHECKED;

/*
 * Not collective. Failures whose message has come to this rank and all others, its own included,
 * since the start: one for each time that ranks have agreed on one. 0 where there is one rank.
 */
uint64_t gr_comm_failures(const struct gr_comm *comm);

/* Collective. n bytes from rank 0 to all. */
gr_status gr_comm_broadcast(struct gr_comm *comm, void *bytes, size_t n) GR_CHECKED;
/*
 * Collective. Text of at most `limit` bytes from rank 0; on the others *text is made, to be
 * released with gr_free.
 */
gr_status gr_comm_broadcast_text(struct gr_comm *comm, char **text, size_t limit) GR_CHECKED;

enum { GR_COMM_SMALL_MAX = 1024 };
/* Collective. values[0..n-1] summed over ranks on all ranks, in pieces of GR_COMM_SMALL_MAX
 * values. Sums are taken modulo 2^64, and overflow is the caller's to exclude. After a failure
 * some values may be sums and some not. */
gr_status gr_comm_sum_int64(struct gr_comm *comm, int64_t *values, size_t n) GR_CHECKED;
/* Collective. Maxima, likewise. */
gr_status gr_comm_max_int64(struct gr_comm *comm, int64_t *values, size_t n) GR_CHECKED;
/*
 * Collective. The same of facts about ranks (sizes of buffers, flags of agreement), into which
 * nothing of a silo's rows goes. Values of silos leave through the door, granary/release.h: above
 * `store` only it calls the two functions before these.
 */
static inline gr_status gr_comm_sum_public(struct gr_comm *comm, int64_t *values, size_t n) {
    return gr_comm_sum_int64(comm, values, n);
}
/* Collective. Maxima of facts about ranks, likewise. */
static inline gr_status gr_comm_max_public(struct gr_comm *comm, int64_t *values, size_t n) {
    return gr_comm_max_int64(comm, values, n);
}

/* The bytes of all ranks: those of rank r are bytes[begin[r]] to bytes[begin[r + 1] - 1]. */
struct gr_gathered {
    unsigned char *bytes; /* owned */
    size_t *begin;        /* size of the gr_comm + 1; owned */
};
/* Collective. The n bytes that each rank brings, to all; n may differ between ranks, and be 0.
 * limit: the same on all ranks; more bytes, of one rank or together, are GR_ERROR_INTERNAL on
 * all. To be released by gr_gathered_release. */
gr_status gr_comm_gather(struct gr_comm *comm, const void *mine, size_t n, size_t limit,
                         struct gr_gathered *out) GR_CHECKED;
/* Not collective. */
void gr_gathered_release(struct gr_gathered *gathered);

enum { GR_NAMES_BYTES = 384 };
/* Collective. The ranks that are `flagged`, for a message, the same on all: "rank 1 (h1), rank 3
 * (h2) and 4 more"; "" when there are none. */
gr_status gr_comm_name_flagged(struct gr_comm *comm, bool flagged,
                               char out[GR_NAMES_BYTES]) GR_CHECKED;
/* Collective. The ranks whose n bytes are other than rank 0's, likewise. Only a digest of the
 * bytes leaves a rank, and only rank 0's. */
gr_status gr_comm_name_unlike(struct gr_comm *comm, const void *bytes, size_t n,
                              char out[GR_NAMES_BYTES]) GR_CHECKED;

/* The different texts among those that ranks bring, each cut at GR_COMM_TEXT_MAX - 1 bytes. */
enum { GR_COMM_TEXT_MAX = 4096, GR_COMM_TEXTS_MAX = 64 };
struct gr_comm_texts {
    size_t n;
    char *text[GR_COMM_TEXTS_MAX]; /* owned; that of the lowest rank first */
    int64_t *of_slot;              /* 1 + which is its own; 0: there were too many; owned */
};
/* Collective. To be released by gr_comm_texts_release. */
gr_status gr_comm_gather_texts(struct gr_comm *comm, const char *mine,
                               struct gr_comm_texts *out) GR_CHECKED;
/* Not collective. */
void gr_comm_texts_release(struct gr_comm_texts *texts);

/* Not collective. Bytes this process has handed to MPI or written to shared windows for others,
 * since the start. */
uint64_t gr_comm_bytes_sent(const struct gr_comm *comm);
/* The same by the link that they took; control: small messages of the control plane, on any. */
struct gr_comm_bytes {
    uint64_t inside_nodes, between_nodes, between_parties, control;
};
/* Not collective. */
void gr_comm_bytes(const struct gr_comm *comm, struct gr_comm_bytes *out);

/* ---- control plane ------------------------------------------------------------------------ */

/*
 * Small messages on a communicator of their own. Nothing here waits without a deadline.
 *
 * A round is open while silos train, closed once its roster is fixed, sealed on a rank that holds
 * the undecoded total of that roster, committed once the total has been decoded and the step taken,
 * scored on a rank that holds the totals of its evaluation. A rank's position is the round and this
 * phase. Members are never further apart than one step, for each step ends with an agreement in
 * which all took part: so after a loss they can all go on from the foremost position, and nobody
 * trains again. A total is taken up only if all that are left hold it; else it is given up.
 *
 * A sum that is decoded twice, the second time without a lost silo, tells by subtraction what that
 * silo sent. So nothing is decoded before all members hold it, and from then on its roster stands,
 * silos of ranks that die afterwards included.
 */
enum gr_phase {
    GR_PHASE_OPEN,
    GR_PHASE_CLOSED,
    GR_PHASE_SEALED,
    GR_PHASE_COMMITTED,
    GR_PHASE_SCORED
};

/* Why a silo that has trained, or should have, is not in the sum. */
enum gr_sit_out { GR_SIT_NOT_FINITE = 1, GR_SIT_DATA = 2, GR_SIT_UNCHARGED = 3 };

/* How a silo is in a sum. */
enum gr_presence {
    GR_PRESENT = 1,
    GR_PRESENT_ANEW = 2 /* what its rank kept of it from earlier rounds is gone */
};

struct gr_roster {
    uint32_t round;
    enum gr_phase phase;
    uint32_t n_silos;        /* of the federation */
    uint32_t n_members;      /* silos in this round's sum */
    struct gr_flags member;  /* n_silos enum gr_presence, 0: not in it; owned */
    struct gr_flags sat_out; /* n_silos enum gr_sit_out, 0: did not; owned */
    bool stop_requested;     /* some rank got a signal: the round is the last */
    bool send_state;         /* some member has just come (back): all call for rank 0's state */
    bool need_state;         /* this rank is such a member: what it trained is void */
};

/* Not collective. An empty roster of n_silos; released by gr_roster_release. */
gr_status gr_roster_create(uint32_t n_silos, struct gr_roster *out) GR_CHECKED;
/* Not collective. */
void gr_roster_release(struct gr_roster *roster);

/* Not collective, but called by all, with an agreement before the first round: how many silos
 * messages may speak of. */
void gr_control_expect(struct gr_comm *comm, uint32_t n_silos);

/* Not collective. The slot of each of these silos; borrowed, until it is NULL again. In a study the
 * coordinator holds the reports of sites against it. */
void gr_control_hosts(struct gr_comm *comm, const int32_t *host_of);

/* Not collective. Tells the others where this rank is: called whenever it goes on by itself.
 * GR_PHASE_OPEN forgets which silos were ready. */
void gr_control_at(struct gr_comm *comm, uint32_t round, enum gr_phase phase);

/*
 * Collective. To be called with a total that is complete on this rank, and unread. This rank enters
 * `phase` (GR_PHASE_SEALED or GR_PHASE_SCORED) of the same round, and all agree that they have. So
 * where any rank has got GR_OK, and may read the total, gr_control_recover leads all others to
 * `phase` with the total that they hold, whoever is lost; and where it leads back, for somebody
 * does not hold it and so has not agreed, nobody has read anything.
 */
gr_status gr_control_seal(struct gr_comm *comm, enum gr_phase phase) GR_CHECKED;

/*
 * Collective. Closes the round. In: roster->round; this rank's finished silos in
 * roster->member and those that sit out in roster->sat_out; `mine` (with gr_message) and
 * stop_requested as this rank sees it. Out: the union, the same on all members, phase CLOSED. A
 * rank that failed makes all return its status and message.
 *
 * Past `deadline_s` from the call on rank 0 the members that are not ready are late: they leave the
 * membership until they are. A rank that was late itself, or given up, returns when it has been
 * taken in again: roster->round is then a later one, and need_state is set.
 */
gr_status gr_control_close_round(struct gr_comm *comm, struct gr_roster *roster, gr_status mine,
                                 double deadline_s) GR_CHECKED;

/*
 * Collective among those left, after GR_LOST. Out: roster->round and phase, from which all go on;
 * in phase CLOSED also the roster, of the silos that were READY on members that are left. In the
 * phases that follow it stays as it was.
 */
gr_status gr_control_recover(struct gr_comm *comm, struct gr_roster *roster) GR_CHECKED;

/* Not collective. Called while training, between batches (a gr_poll_function; context: the
 * gr_comm): takes part in changes of the membership and gives signs of life. GR_LOST: the others
 * have gone on without this rank. */
gr_status gr_control_poll(void *comm) GR_CHECKED;

/*
 * Not collective. The same for work on the way to a collective that others may already wait in (an
 * evaluation, a table to be read, a checkpoint): gives signs of life, by which they know that it
 * is worth waiting. GR_LOST: the membership changes; the work is to be given up, and done again
 * after gr_control_recover.
 */
gr_status gr_control_watch(void *comm) GR_CHECKED;

/* Not collective. Whether any rank was ever lost or given up, as far as this one knows. */
bool gr_comm_losses(const struct gr_comm *comm);
/* Not collective. After GR_LOST: whether a member has been seen to end, or another member calls for
 * a change of the membership; looked for during a second at most. Else it is a loss by silence. */
bool gr_comm_saw_end(struct gr_comm *comm);
/* Not collective. Whether this rank was given up, and has not been taken in again. */
bool gr_comm_out(const struct gr_comm *comm);
/*
 * Not collective. Whether this rank was given up, and the others have come to the end without it.
 */
bool gr_comm_over(const struct gr_comm *comm);
/* Not collective. How they have ended, where gr_comm_over: GR_OK, or GR_STOPPED: the run goes on
 * later, or this rank is of a site that has to be shown its end. */
gr_status gr_comm_over_with(const struct gr_comm *comm);

/*
 * Collective, when nothing is left to be done: no rank leaves before rank 0 has told it that all
 * have come to the end, for a rank that has left looks like one that was lost. outcome: rank 0's is
 * told to those that were given up (gr_comm_over_with). GR_LOST: some were lost on the way; to be
 * called again after gr_control_recover.
 */
gr_status gr_control_finish(struct gr_comm *comm, gr_status outcome) GR_CHECKED;
/* Not collective. This rank ends the run before the first round, for nobody knows what has become
 * of a silent one: the others learn that its own end is no loss to recover from. */
void gr_control_give_up(struct gr_comm *comm);
/* Not collective. This rank fails, for a reason that all have agreed on or will: whoever meets
 * with it learns the reason. */
void gr_control_fail(struct gr_comm *comm, gr_status status);

/* Not collective. This rank has received the state that it needed. */
void gr_control_has_state(struct gr_comm *comm);

/* Losses and returns of slots, in the order in which they happened. */
enum gr_change_kind { GR_CHANGE_LOST = 1, GR_CHANGE_LATE = 2, GR_CHANGE_RETURNED = 3 };
struct gr_change {
    int slot;
    enum gr_change_kind kind;
};
/* Not collective. Changes since they were last cleared, n of them, the same on all members;
 * borrowed. */
const struct gr_change *gr_control_changes(const struct gr_comm *comm, size_t *n);
/* Not collective, but called by all members alike. */
void gr_control_clear_changes(struct gr_comm *comm);

/* ---- the reductions ----------------------------------------------------------------------- */

/*
 * Weighted sums of updates. In a ring, an update times its weight is put on a grid of 2^e, e agreed
 * per block of GR_RING_BLOCK elements so that the sum of n_members values fits the word, and added
 * as integers: the same bits for any placement, order, tree or rank count. ring32 and ring64 round
 * to nearest; ring64 is finer than a sum of doubles. ring16 moves half the bytes of ring32: it
 * rounds stochastically, and what its rounding leaves over is the caller's to add to the silo's
 * next update (error feedback: Seide et al. 2014; Karimireddy et al. 2019). With float32, floats
 * are added in rank order inside a node, and between nodes along a fixed tree.
 */
enum { GR_RING_BLOCK = 4096 };

struct gr_aggregator; /* opaque: shared segments, staging */

/* Vectors of a contribution. */
enum { GR_CONTRIBUTION_VECTORS_MAX = GR_STRATEGY_SENT_MAX };

/* A silo's part in a sum. Vectors have layout size floats, and are borrowed. */
struct gr_contribution {
    union {
        const float *update; /* the first, or the only one; NULL: see gr_aggregate_add */
        const float *vector[GR_CONTRIBUTION_VECTORS_MAX]; /* as many as the aggregator adds up */
    };
    uint32_t silo;     /* of no two the same: rows of a combination are ordered by it */
    uint64_t examples; /* rows that it stands for; added up, and of no effect on the mean */
    double weight;     /* of the vectors in the mean: 0 to 2^60; taken as float32 */
    double steps;      /* of the silo's solver, 0 to 2^40; where they are added up */
    int64_t tally;     /* added up beside the vectors as it is; |sum| < 2^62, noise of stages too */
    const char *pseudonym;
    /* ring16 only; of each vector, in units of it times weight. */
    union {
        const float *residual; /* left over by the silo's last sum; NULL: none */
        const float *residuals[GR_CONTRIBUTION_VECTORS_MAX];
    };
    union {
        float *left; /* receives what this sum leaves over, valid once the total is; not residual */
        float *lefts[GR_CONTRIBUTION_VECTORS_MAX];
    };
    struct gr_stream_key rounding; /* of seed, silo, round; GR_PURPOSE_ROUNDING */
};

/* Not collective. layout: borrowed, the same on all ranks. Memory is shared at the first sum of
 * each epoch. */
gr_status gr_aggregator_create(struct gr_comm *comm, const struct gr_layout *layout,
                               enum gr_encoding encoding, struct gr_aggregator **out) GR_CHECKED;

/*
 * The other pattern, for what is no sum: the updates side by side. Each rank gets one slice of the
 * coordinates of all updates, and combines it; all get the combined slices (an all-to-all and an
 * all-gather). Beside its contributions and the result a rank holds a few mebibytes.
 *
 * combine: row[0 .. n_rows - 1] are n floats each, those of the lowest `silo` first; out
 * receives n floats, each of its own coordinate of the rows alone. work: n_rows * GR_COMBINE_WIDTH
 * floats of any content. Pure: the same rows give the same bits.
 */
struct gr_combination {
    void (*combine)(const void *context, const float *const *row, size_t n_rows, size_t n,
                    float *work, float *out);
    const void *context; /* borrowed */
};
/*
 * A grid that follows from public numbers: one exponent for the whole vector, for n_selected
 * contributions with weights of at most weight_max (larger ones count as that) and updates of an L2
 * norm of at most clip_norm (longer ones are cut to it). ring32 and ring64; one vector.
 */
struct gr_public_grid {
    double clip_norm; /* > 0; 0: exponents are agreed on instead, per block */
    double weight_max;
    uint32_t n_selected; /* contributions that are asked for */
    /* Standard deviation of what stages add to an element of the sum that stays in it, in units of
     * update times weight. There is room for 40 of it, and it is at most 2^30 steps. 0: none. */
    double noise;
};
/* Which words are at hand. */
enum { GR_TALLY_RIDER = 1 }; /* place of the tallies among the riders */
struct gr_stage_key {
    bool riders;  /* examples, tallies, weight and steps, of 64 bits; not the vectors */
    size_t at;    /* place of the first word in the sum, or among the riders */
    int exponent; /* a vector's words are in units of 2^exponent; riders: 0 */
};
/*
 * A stage between what a rank brings to a sum and all that others can read, the place of masks and
 * of noise. apply: changes n words of `width` bytes (2, 4 or 8; unsigned, added modulo
 * 2^(8 width)), the sum of this rank's contributions, by adding to them; each word once in each
 * sum, the riders first and then places in ascending order, on ranks without contributions too. The
 * grid leaves no room for more than the encoded values and gr_public_grid.noise; masks cancel, or
 * are taken off the total by gr_aggregate_unstage. It cannot fail: what may is to be done before
 * the sum.
 */
struct gr_stage {
    void (*apply)(void *context, struct gr_stage_key key, void *words, size_t width,
                  size_t n); /* NULL: there is no stage */
    void *context;           /* borrowed */
    /* Of a removal, for rehearsals: some of it is off, on this rank at least. NULL: none. */
    void (*midway)(void *context);
    bool stays; /* nothing is to be taken off: riders are as they were but for noise in tallies,
                 * and words have noise */
};
struct gr_aggregator_options {
    enum gr_encoding encoding;
    struct gr_public_grid grid;
    struct gr_stage stage; /* of integers only: not with float32, nor with a combination */
    size_t n_vectors;      /* of each contribution, side by side in one sum; 0: 1 */
    bool steps;            /* weight times steps is added up as well */
    /* combine not NULL: the "mean" is what it makes of the updates as they are. Encoding, weights
     * and residuals have no effect then; one vector. */
    struct gr_combination combination;
    enum gr_between between; /* of which float32 takes the tree alone */
};
/* Not collective. options: copied, the same on all ranks. Else as gr_aggregator_create.
 * GR_ERROR_INTERNAL: a stage where no integers are added. */
gr_status gr_aggregator_create_with(struct gr_comm *comm, const struct gr_layout *layout,
                                    const struct gr_aggregator_options *options,
                                    struct gr_aggregator **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_aggregator_free(struct gr_aggregator *aggregator);

/*
 * Who makes contributions once more, where the sum's grid is another than was expected: `again`,
 * called within gr_aggregate_total, adds the same ones in the same order, and gives signs of life
 * (gr_control_watch) meanwhile.
 */
struct gr_source {
    gr_status (*again)(void *context);
    void *context; /* borrowed */
};
/*
 * Not collective. For a rank with many contributions: their vectors are added as they come, on the
 * grids that the sum may have, and are of no use afterwards. The total is the same to the bit as
 * from the vectors themselves. Those of the sum before are forgotten. n_expected: contributions
 * over all ranks, as far as is known (0: it is not).
 */
void gr_aggregate_begin(struct gr_aggregator *aggregator, uint32_t n_expected,
                        struct gr_source source);
/*
 * Not collective, after gr_aggregate_begin. The contribution's vectors are NULL afterwards, and the
 * rest of it is passed to gr_aggregate_total with all others of this rank, all of which were added
 * or none. headroom: powers of two by which those that follow are thought to be larger than any
 * that were added; a guess, of no effect on the total. Errors as of gr_aggregate_total; the
 * contribution has not been added then.
 */
gr_status gr_aggregate_add(struct gr_aggregator *aggregator, struct gr_contribution *contribution,
                           int headroom) GR_CHECKED;
/* Not collective. Contributions from which on it takes less memory to add them as they come;
 * SIZE_MAX: that cannot be (ring16, combinations). */
size_t gr_aggregate_many(const struct gr_aggregator *aggregator);
/* Not collective, the same on all ranks, before contributions of a sum are added as they come. From
 * now on a public grid has this clip_norm and noise; both > 0, or noise as it was 0. */
void gr_aggregate_clip(struct gr_aggregator *aggregator, double clip_norm, double noise);
/* Not collective. Of a public grid: its exponent for so many contributions, which is that of
 * gr_stage_key; and in *bound the most, in steps, of the L2 norm of a contribution's integers. */
int gr_aggregate_exponent(const struct gr_aggregator *aggregator, uint32_t n_members,
                          uint64_t *bound);
/*
 * Collective. Adds up weight * update, weights and examples of all contributions, and keeps the
 * total on every rank, undecoded, until it is forgotten or the next sum begins. n_mine may be 0;
 * n_members: contributions over all ranks, the same on all. A value that is not finite, or too
 * large for the grid, on any rank: GR_ERROR_DATA on all, naming pseudonym and tensor. A sum without
 * contributions is an error of the caller (GR_ERROR_INTERNAL). Members may return at different
 * times: whether all hold the total is to be agreed on (gr_control_seal) before it is decoded.
 */
gr_status gr_aggregate_total(struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                             size_t n_mine, uint32_t n_members) GR_CHECKED;
/*
 * Not collective. Elements begin .. begin + n - 1 of the mean of a vector, sum(weight * vector) /
 * sum(weight), or zeros where all weights are 0; the same on every rank. begin: a multiple of
 * GR_RING_BLOCK. vector: from 0. A total must be held.
 */
void gr_aggregate_decode(const struct gr_aggregator *aggregator, size_t vector, size_t begin,
                         float *mean, size_t n);
/* Not collective. sum(weight * steps) / sum(weight), where that is added up; 0 where all weights
 * are. */
double gr_aggregate_steps(const struct gr_aggregator *aggregator);
/*
 * Not collective. How the last sum travelled between nodes: never GR_BETWEEN_AUTO but in one node,
 * or before the first. least_s: for each of enum gr_between the least seconds that a sum took by
 * it, the mean over the ranks of that sum; 0: it has not been tried. True: the way is settled;
 * false: sums are still taken in all ways in turn.
 */
bool gr_aggregate_between(const struct gr_aggregator *aggregator, enum gr_between *way,
                          double least_s[GR_BETWEEN_MPI + 1]);
/* Not collective. The riders of a total that has passed a stage, as they are, for a digest; *n: how
 * many. Borrowed, while it is held. */
const int64_t *gr_aggregate_riders(const struct gr_aggregator *aggregator, size_t *n);
/* Not collective. All of its words, likewise; *bytes: of them. */
const void *gr_aggregate_words(const struct gr_aggregator *aggregator, size_t *bytes);
/*
 * Not collective. Takes off the total that is held all that stages of all ranks have added to it,
 * `remove` in the same order and with the same keys: from now on it may be decoded.
 * GR_ERROR_INTERNAL: the riders are then of no sum.
 */
gr_status gr_aggregate_unstage(struct gr_aggregator *aggregator,
                               const struct gr_stage *remove) GR_CHECKED;
/* Collective, in the epoch of the sum. The same, by the ranks of a node together, a slice each.
 * GR_LOST: part of it is off; gr_aggregate_unstage takes off the rest. */
gr_status gr_aggregate_unstage_together(struct gr_aggregator *aggregator,
                                        const struct gr_stage *remove) GR_CHECKED;
/* Not collective. Whether a total is complete on this rank. */
bool gr_aggregate_holds(const struct gr_aggregator *aggregator);
/* Not collective. Rows that the total stands for. */
uint64_t gr_aggregate_examples(const struct gr_aggregator *aggregator);
/* Not collective. The sum of the tallies of a total that may be decoded. */
int64_t gr_aggregate_tally(const struct gr_aggregator *aggregator);
/* Not collective. The total, decoded or not, is of no further use. */
void gr_aggregate_forget(struct gr_aggregator *aggregator);
/*
 * Collective. All of this, where nobody can be lost: the total, an agreement, and the whole mean of
 * each vector, one behind the other, layout size floats each, unspecified after a failure.
 */
gr_status gr_aggregate(struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                       size_t n_mine, uint32_t n_members, float *mean,
                       uint64_t *examples) GR_CHECKED;

/* ---- what is in force, for `granary version --verbose` and the manifest ---------------------- */

/* Not collective. Whether the MPI library was built with, and mpirun has enabled, failure
 * mitigation. */
bool gr_comm_has_ulfm(void);
/* Not collective. The same in words, and what mpirun could enable; static. */
const char *gr_comm_fault_tolerance(void);
/* Not collective. How lost ranks are found here: "process table, ulfm, deadlines" or less;
 * borrowed. */
const char *gr_comm_detection(const struct gr_comm *comm);

#ifdef __cplusplus
}
#endif
#endif
