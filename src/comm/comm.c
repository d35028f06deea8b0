/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and freeing communicators, and what they can tell.
 *
 * At the start, and again after a respawn, the ranks meet by collectives of MPI: they introduce
 * themselves, find out who shares memory with whom, and enter the first epoch. These calls know no
 * deadline of their own; the callers put a guard around them (gr_guard_start).
 */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

/* Seconds of spinning; where ranks outnumber cores, the peer waited for may well need this core. */
static const double spin_free_s = 50e-6, spin_crowded_s = 2e-6;

/*
 * Collective over the host. A spinning rank keeps its core from others: where the ranks of a host
 * are more than the cores that they may use together, a waiter has to sleep early. The cores are
 * the union of the affinity masks, since launchers bind each rank to its own.
 */
static gr_status measure_crowding(struct gr_comm *comm, MPI_Comm host) {
    gr_status status = GR_OK;
    int host_size;
    cpu_set_t mine, all;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_SET(0, &mine);
    GR_TRY_MPI(MPI_Comm_size(host, &host_size));
    GR_TRY_MPI(MPI_Allreduce(&mine, &all, (int)sizeof mine, MPI_BYTE, MPI_BOR, host));
    comm->spin_s = host_size > CPU_COUNT(&all) ? spin_crowded_s : spin_free_s;
out:
    return status;
}

/* An introduction: each rank's facts about itself, sent to all at the start. */
struct introduction {
    int64_t pid, pid_space, fd; /* the part that it offers */
    int64_t host;               /* lowest slot that MPI says shares its memory */
    int64_t host_rank;
    char name[GR_HOST_BYTES];
};

/* Processes that cannot see each other's /proc entries share no memory, whatever MPI says. */
static bool sees(const struct introduction *a, const struct introduction *b) {
    return a->host == b->host && a->pid_space == b->pid_space;
}

/*
 * Names hosts and nodes by the lowest slot in them; the loop goes down, so the lowest is written
 * last. ranks_per_node (0: no limit) divides a host into several nodes, by which the messages
 * between nodes can be tested on one machine. Pure: all ranks find the same from the same
 * introductions.
 */
static void place_peers(struct gr_comm *comm, const struct introduction *all,
                        uint32_t ranks_per_node, bool sharing) {
    for (int i = 0; i < comm->locals; i++) {
        struct gr_peer *peer = &comm->peers[comm->first + i];
        peer->pid = (pid_t)all[i].pid;
        memcpy(peer->name, all[i].name, sizeof peer->name);
        peer->host = peer->node = comm->first + i;
        for (int k = i - 1; k >= 0; k--) {
            if (!sees(&all[i], &all[k])) continue;
            peer->host = comm->first + k;
            bool together = ranks_per_node == 0 ||
                            all[i].host_rank / ranks_per_node == all[k].host_rank / ranks_per_node;
            if (sharing && together) peer->node = comm->first + k;
        }
    }
}

/* Collective over the world. The process id and the descriptor are for /proc; the inode of the pid
 * namespace tells containers of one host apart, in which the same number means another process. */
static gr_status introduce(struct gr_comm *comm, MPI_Comm host, int fd, struct introduction **out) {
    gr_status status = GR_OK;
    struct stat info = {0};
    int host_rank, lowest = comm->slot;
    GR_TRY(gr_allocate((size_t)comm->locals, sizeof **out, "introductions", out));
    GR_TRY_MPI(MPI_Comm_rank(host, &host_rank));
    GR_TRY_MPI(MPI_Bcast(&lowest, 1, MPI_INT, 0, host));
    (void)stat("/proc/self/ns/pid", &info);
    struct introduction mine = {.pid = getpid(),
                                .pid_space = (int64_t)info.st_ino,
                                .fd = fd,
                                .host = lowest,
                                .host_rank = host_rank};
    gr_host_name(mine.name);
    GR_TRY_MPI(
        MPI_Allgather(&mine, sizeof mine, MPI_BYTE, *out, sizeof mine, MPI_BYTE, comm->world));
out:
    return status;
}

/*
 * Collective. Whether every rank can map the memory of those it could share with: /proc/PID/fd may
 * be closed to others even of the same user (ptrace scope, hidepid). Where any rank cannot, none
 * shares and each is a node of its own, for a rank that waits in shared memory and one that waits
 * for messages would never meet.
 */
static gr_status try_sharing(struct gr_comm *comm, const struct introduction *all, bool *sharing) {
    gr_status status = GR_OK;
    int can = 1;
    const int own = comm->slot - comm->first;
    for (int i = 0; i < comm->locals && can; i++) {
        void *base = NULL;
        const size_t bytes = sizeof(struct gr_comm_node);
        if (i == own || !sees(&all[i], &all[own])) continue;
        can = gr_part_map((pid_t)all[i].pid, (int)all[i].fd, bytes, &base) == GR_OK;
        if (can) munmap(base, bytes);
    }
    GR_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &can, 1, MPI_INT, MPI_MIN, comm->world));
    *sharing = can != 0;
out:
    return status;
}

/*
 * Collective over the world. A communicator for sums by MPI, made while all are there: later it
 * could not be, for its making cannot be given up. An earlier world's is left to MPI.
 */
static int split_leaders(struct gr_comm *comm) {
    comm->leaders = MPI_COMM_NULL;
    comm->leaders_epoch = comm->epoch;
    if (comm->nodes == 1 || comm->link) return MPI_SUCCESS;
    int code = MPI_Comm_split(comm->world, gr_comm_leads(comm) ? 0 : MPI_UNDEFINED,
                              comm->node_index, &comm->leaders);
    if (code == MPI_SUCCESS && comm->leaders != MPI_COMM_NULL)
        code = gr_word_sums_create(comm->leaders, &comm->word_sums);
    return code;
}

/*
 * Collective over all jobs. Hosts and nodes of the other jobs' slots, as those have found them; the
 * name of a slot of another job is its party's.
 */
static gr_status place_foreign(struct gr_comm *comm) {
    enum { NUMBERS = 2 };
    gr_status status = GR_OK;
    int32_t *numbers = NULL;
    GR_TRY(gr_allocate_zero((size_t)comm->slots, NUMBERS * sizeof *numbers, "members", &numbers));
    for (int slot = comm->first; slot < comm->first + comm->locals; slot++) {
        int32_t *own = numbers + NUMBERS * (size_t)slot;
        own[0] = comm->peers[slot].host - comm->first;
        own[1] = comm->peers[slot].node - comm->first;
    }
    GR_TRY(gr_link_share(comm->link, comm->world, &comm->options, numbers, NUMBERS));
    for (int slot = 0; slot < comm->slots; slot++) {
        const uint32_t party = gr_link_party(comm->link, slot);
        const struct gr_link_job *job = gr_link_job(comm->link, party);
        const int32_t *theirs = numbers + NUMBERS * (size_t)slot;
        /* Places that cannot be are the party's own concern: then each of its ranks stands alone.
         */
        const bool can_be = theirs[0] >= 0 && theirs[1] >= theirs[0] && theirs[1] < job->ranks &&
                            job->first + theirs[1] <= slot;
        const int32_t host = can_be ? theirs[0] : slot - job->first;
        const int32_t node = can_be ? theirs[1] : slot - job->first;
        struct gr_peer *peer = &comm->peers[slot];
        if (!gr_link_is_foreign(comm->link, slot)) continue;
        peer->host = job->first + host;
        peer->node = job->first + node;
        snprintf(peer->name, sizeof peer->name, "%s", gr_link_name(comm->link, party));
    }
out:
    gr_free(numbers);
    return status;
}

gr_status gr_comm_meet_all(struct gr_comm *comm, uint32_t epoch, const uint32_t *order, size_t n) {
    gr_status status = GR_OK;
    MPI_Comm host = MPI_COMM_NULL;
    struct introduction *all = NULL;
    struct gr_part part = {.fd = -1};
    uint32_t *fds = NULL;
    bool sharing = false;
    const int first = comm->first;
    GR_TRY_MPI(
        MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->slot, MPI_INFO_NULL, &host));
    GR_TRY(measure_crowding(comm, host));
    GR_TRY(gr_part_create(sizeof(struct gr_comm_node), &part));
    GR_TRY(introduce(comm, host, part.fd, &all));
    GR_TRY(try_sharing(comm, all, &sharing));
    place_peers(comm, all, comm->options.ranks_per_node, sharing);
    GR_TRY(gr_allocate_zero(n, sizeof *fds, "members", &fds));
    for (size_t i = 0; i < n; i++)
        if (!gr_link_is_foreign(comm->link, (int)order[i]))
            fds[i] = (uint32_t)all[(int)order[i] - first].fd;
    if (comm->link) GR_TRY(place_foreign(comm));
    GR_TRY(gr_detect_start(comm));
    GR_TRY(gr_membership_enter(comm, epoch, order, fds, n, &part));
    /*
     * No message comes before all can take it. A rank that dies here may be noticed by some only:
     * they are members all the same, and find that somebody is missing.
     */
    int code = split_leaders(comm);
    if (code == MPI_SUCCESS) code = MPI_Barrier(comm->world);
    if (epoch == 0) GR_TRY(gr_mpi_check(code, "MPI_Comm_split, MPI_Barrier"));
    comm->lost = comm->lost || code != MPI_SUCCESS;
out:
    gr_part_release(&part);
    gr_free(fds);
    gr_free(all);
    if (host != MPI_COMM_NULL) MPI_Comm_free(&host);
    return status;
}

/* The arbiter until gr_comm_set_arbiter names another: all claims are granted, so of two groups
 * that have lost sight of each other both go on. */
static gr_status grant_all(void *context, uint32_t epoch, bool *granted) {
    (void)context;
    (void)epoch;
    *granted = true;
    return GR_OK;
}

/* Messages have a communicator of their own, `control`: a probe for any message must not match
 * data, and a receive of data must not match a message. */
gr_status gr_comm_allocate(MPI_Comm world, const struct gr_comm_options *options,
                           struct gr_link *link, struct gr_comm **out) {
    gr_status status = GR_OK;
    struct gr_comm *comm = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *comm, "communicator", &comm));
    comm->world = world;
    comm->link = link;
    comm->control = comm->members = comm->leaders = MPI_COMM_NULL;
    comm->options = *options;
    comm->window.mine.fd = -1;
    comm->leads = comm->watching = -1;
    for (size_t i = 0; i < GR_OFFERS; i++)
        comm->offer[i].fd = -1;
    comm->collective_s = GR_COMM_DEADLINE_S;
    comm->claim = grant_all;
    /* The copy made from it inherits this. */
    GR_TRY_MPI(MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_dup(comm->world, &comm->control));
    GR_TRY_MPI(MPI_Comm_rank(comm->world, &comm->slot));
    GR_TRY_MPI(MPI_Comm_size(comm->world, &comm->locals));
    comm->slots = link ? gr_link_slots(link) : comm->locals;
    comm->first = link ? gr_link_job(link, options->study->party)->first : 0;
    comm->slot += comm->first;
    GR_TRY(gr_message_start(comm));
    const size_t n = (size_t)comm->slots;
    GR_TRY(gr_allocate_zero(n, sizeof *comm->peers, "peers", &comm->peers));
    GR_TRY(gr_allocate_zero(n, sizeof(int), "members", &comm->slot_of));
    GR_TRY(gr_allocate_zero(n, sizeof(int), "members", &comm->rank_of));
    GR_TRY(gr_allocate_zero(n, sizeof(int), "members", &comm->leader_of));
    GR_TRY(gr_allocate_zero(n, sizeof(int), "members", &comm->node_slot));
    GR_TRY(gr_allocate_zero(n, sizeof(int), "members", &comm->tree_child));
    GR_TRY(gr_allocate_zero(n, sizeof *comm->places, "members", &comm->places));
    GR_TRY(gr_allocate_zero(GR_MESSAGE_MAX, 1, "a report", &comm->situation.text));
    GR_TRY(gr_allocate_zero(GR_MESSAGE_MAX, 1, "a report", &comm->told));
    *out = comm;
    comm = NULL;
out:
    gr_comm_free(comm);
    return status;
}

/* A slot in the place of a site that has not come. */
static bool link_lacks(const struct gr_comm *comm, int slot) {
    return comm->link && !gr_link_job(comm->link, gr_link_party(comm->link, slot))->here;
}

/* Ranks of a job meet with others again and again, but are compared once: where messages of a
 * handshake that was given up are under way still, another would take them for its own. So a job
 * whose ranks do not answer ends. */
static gr_status compare_ranks(MPI_Comm parent, const struct gr_comm_options *options) {
    const struct gr_comm_study *study = options->study;
    if (study && study->compared && *study->compared) return GR_OK;
    const gr_status status = gr_handshake(parent, options);
    if (study && study->compared) *study->compared = status == GR_OK;
    if (study && study->ends && status == GR_STOPPED) *study->ends = GR_JOB_ENDS;
    return status;
}

/*
 * Order matters: the handshake comes first and uses messages alone, for it alone can say who is
 * missing or of another build. The collectives after it cannot be given up, hence the guard, which
 * ends the process.
 */
gr_status gr_comm_create(MPI_Comm parent, const struct gr_comm_options *options,
                         struct gr_comm **out) {
    gr_status status = GR_OK;
    MPI_Comm world = MPI_COMM_NULL;
    struct gr_comm *comm = NULL;
    struct gr_link *link = NULL;
    uint32_t *order = NULL;
    char hello[GR_HELLO_BYTES];
    int rank;
    *out = NULL;
    GR_TRY(compare_ranks(parent, options));
    GR_TRY(gr_hello_compose(options, hello));
    const double limit = gr_comm_start_s(options);
    GR_TRY_MPI(MPI_Comm_rank(parent, &rank));
    /* A gateway's waits have deadlines, of twice the start at most; the others wait for it by MPI.
     */
    if (options->study && rank > 0)
        gr_guard_start((unsigned)(3 * limit), "the first rank of this job does not answer");
    if (options->study) GR_TRY(gr_link_create(parent, options, hello, gr_hello_of_site, &link));
    /* Ranks that reach rank 0 need not reach each other; nobody can tell which do not. */
    if (rank == 0 && options->say) gr_guard_tell((unsigned)fmax(1, gr_tell_every_s(limit)));
    /* Between jobs the gateways wait, with deadlines of their own, and meet again. */
    gr_guard_start((unsigned)(options->study ? 3 * limit : limit),
                   "not all ranks reach each other");
    GR_TRY_MPI(MPI_Comm_dup(parent, &world));
    struct gr_link *given = link;
    link = NULL; /* the gr_comm's in any case */
    GR_TRY(gr_comm_allocate(world, options, given, &comm));
    comm->starting = true;
    /* A wait may take half of it; rank 0, which tells who is missing, is to be the first to end. */
    comm->collective_s = 2 * (limit + (rank > 0 ? GR_COMM_LATER_S : 0));
    GR_TRY(gr_allocate((size_t)comm->slots, sizeof *order, "members", &order));
    size_t n = 0;
    for (int i = 0; i < comm->slots; i++) {
        const bool here = !link_lacks(comm, i);
        comm->peers[i].dead = comm->peers[i].gone = !here;
        if (here) order[n++] = (uint32_t)i;
    }
    GR_TRY(gr_comm_meet_all(comm, 0, order, n));
    *out = comm;
    comm = NULL;
out:
    gr_guard_stop();
    gr_guard_tell(0);
    gr_free(order);
    gr_link_free(link);
    gr_comm_free(comm);
    return status;
}

/*
 * Called on every way out, also on communicators that are only half made. Memory that MPI may still
 * write to is left, and communicators with lost members are not freed: both would risk a crash or a
 * hang at the very end of a run whose results are already written.
 */
void gr_comm_free(struct gr_comm *comm) {
    if (!comm) return;
    if (comm->link) gr_link_ring_at(comm->link, NULL);
    gr_mailbox_release(comm);
    if (comm->pending > 0) { /* left to MPI */
        comm->window = (struct gr_window){.mine.fd = -1};
        comm->scratch = NULL;
    }
    gr_window_release(&comm->window);
    for (size_t i = 0; i < GR_OFFERS; i++)
        gr_part_release(&comm->offer[i]);
    gr_detect_stop(comm);
    /* With members lost MPI_Comm_free might wait for them: MPI_Finalize takes what is left. */
    if (comm->epoch == 0 && !comm->lost) {
        if (comm->members != MPI_COMM_NULL) MPI_Comm_free(&comm->members);
        if (comm->leaders != MPI_COMM_NULL) {
            gr_word_sums_free(&comm->word_sums);
            MPI_Comm_free(&comm->leaders);
        }
        if (comm->control != MPI_COMM_NULL) MPI_Comm_free(&comm->control);
        if (comm->world != MPI_COMM_NULL) MPI_Comm_free(&comm->world);
    }
    gr_free(comm->scratch);
    gr_free(comm->changes);
    gr_free(comm->situation.ids);
    gr_free(comm->situation.text);
    gr_free(comm->told);
    gr_free(comm->places);
    gr_free(comm->tree_child);
    gr_free(comm->node_slot);
    gr_free(comm->leader_of);
    gr_free(comm->rank_of);
    gr_free(comm->slot_of);
    gr_free(comm->peers);
    gr_link_free(comm->link);
    gr_free(comm);
}

int gr_comm_rank(const struct gr_comm *comm) {
    return comm->rank;
}

int gr_comm_size(const struct gr_comm *comm) {
    return comm->size;
}

int gr_comm_nodes(const struct gr_comm *comm) {
    return comm->nodes;
}

/* An epoch above 0 tells of a change of the membership even when nobody died: somebody was late. */
bool gr_comm_losses(const struct gr_comm *comm) {
    bool any = comm->epoch > 0 || comm->out || comm->lost;
    for (int i = 0; i < comm->slots; i++)
        any = any || comm->peers[i].dead;
    return any;
}

bool gr_comm_out(const struct gr_comm *comm) {
    return comm->out;
}

bool gr_comm_over(const struct gr_comm *comm) {
    return comm->over;
}

int gr_comm_hosts(const struct gr_comm *comm) {
    int n = 0;
    for (int i = 0; i < comm->slots; i++)
        n += comm->peers[i].host == i;
    return n;
}

bool gr_comm_tolerant(const struct gr_comm *comm) {
    return comm->tolerant;
}

bool gr_comm_makes_members(const struct gr_comm *comm) {
    if (comm->link) return false;
    return !comm->ulfm || comm->size == comm->slots;
}

/* By MPI_Comm_create_group, in which those that are no longer members take no part. */
gr_status gr_comm_members(struct gr_comm *comm, MPI_Comm *out) {
    enum { TAG = 77 };
    gr_status status = GR_OK;
    MPI_Group all = MPI_GROUP_NULL, members = MPI_GROUP_NULL;
    *out = comm->members;
    if (comm->members != MPI_COMM_NULL && comm->members_epoch == comm->epoch) return GR_OK;
    comm->members = MPI_COMM_NULL; /* the earlier one has lost members */
    GR_TRY_MPI(MPI_Comm_group(comm->world, &all));
    GR_TRY_MPI(MPI_Group_incl(all, comm->size, comm->slot_of, &members));
    GR_TRY_MPI(MPI_Comm_create_group(comm->world, members, TAG, &comm->members));
    GR_TRY_MPI(MPI_Comm_set_errhandler(comm->members, MPI_ERRORS_RETURN));
    comm->members_epoch = comm->epoch;
    *out = comm->members;
out:
    if (members != MPI_GROUP_NULL) MPI_Group_free(&members);
    if (all != MPI_GROUP_NULL) MPI_Group_free(&all);
    return status;
}

void gr_comm_keep_words(struct gr_comm *comm, gr_status status) {
    static const char *const meanings[] = {
#define GR_STATUS_MEANING(name, value, text) [(value)&127] = (text),
        GR_STATUS_LIST(GR_STATUS_MEANING)
#undef GR_STATUS_MEANING
    };
    if (!comm->link || status == GR_OK || status == GR_LOST || comm->leaves != GR_OK) return;
    if (comm->told[0] && strstr(gr_message(), comm->told)) {
        (void)gr_fail(status, "%s", comm->told);
        return;
    }
    gr_say(&comm->options, "%s", gr_message());
    (void)gr_fail(status, "%s: %s; its own terminal says why",
                  gr_comm_party_name(comm, gr_comm_party(comm, comm->slot)),
                  meanings[status & 127]);
}

uint32_t gr_comm_parties(const struct gr_comm *comm) {
    return comm->link ? comm->options.study->n_parties : 1;
}

const char *gr_comm_party_name(const struct gr_comm *comm, uint32_t party) {
    return comm->link ? gr_link_name(comm->link, party) : "";
}

bool gr_comm_awaited(const struct gr_comm *comm) {
    return comm->link && gr_link_awaited(comm->link);
}

uint32_t gr_comm_party(const struct gr_comm *comm, int slot) {
    return comm->link ? gr_link_party(comm->link, slot) : 0;
}

int gr_comm_party_slots(const struct gr_comm *comm, uint32_t party, int *n) {
    const struct gr_link_job *job = comm->link ? gr_link_job(comm->link, party) : NULL;
    *n = job ? job->ranks : comm->slots;
    return job ? job->first : 0;
}

int gr_comm_writers(const struct gr_comm *comm, int *mine) {
    const uint32_t party = gr_comm_party(comm, comm->slot_of[0]);
    int n = 0;
    *mine = -1;
    for (int rank = 0; rank < comm->size; rank++) {
        if (gr_comm_party(comm, comm->slot_of[rank]) != party) continue;
        if (rank == comm->rank) *mine = n;
        n++;
    }
    return n;
}

gr_status gr_comm_over_with(const struct gr_comm *comm) {
    return comm->over_with;
}

uint32_t gr_comm_epoch(const struct gr_comm *comm) {
    return comm->epoch;
}

int gr_comm_slot(const struct gr_comm *comm) {
    return comm->slot;
}

int gr_comm_slots(const struct gr_comm *comm) {
    return comm->slots;
}

int gr_comm_rank_of(const struct gr_comm *comm, int slot) {
    return comm->rank_of[slot];
}

void gr_comm_set_deadlines(struct gr_comm *comm, double collective_s, double heartbeat_s) {
    comm->collective_s = collective_s;
    comm->heartbeat_s = heartbeat_s;
}

void gr_comm_set_arbiter(struct gr_comm *comm, gr_claim_function claim, void *context) {
    comm->claim = claim ? claim : grant_all;
    comm->claim_context = context;
}

uint64_t gr_comm_failures(const struct gr_comm *comm) {
    return comm->failures;
}

uint64_t gr_comm_bytes_sent(const struct gr_comm *comm) {
    return comm->bytes_sent;
}

void gr_comm_bytes(const struct gr_comm *comm, struct gr_comm_bytes *out) {
    *out = (struct gr_comm_bytes){.between_nodes = comm->bytes_between,
                                  .between_parties = comm->bytes_parties,
                                  .control = comm->bytes_control};
    out->inside_nodes = comm->bytes_sent - out->between_nodes - out->between_parties - out->control;
}

bool gr_comm_leads_node(const struct gr_comm *comm) {
    return gr_comm_leads(comm);
}
