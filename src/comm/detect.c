/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has died. There are three sources, from the surest to the weakest. The kernel tells at once
 * of processes of this host (pidfd_open(2)), whatever the MPI; a pidfd stands for the process
 * itself, while a process id may be given to another. MPI tells of other hosts where it has User
 * Level Failure Mitigation (Bland, Bouteiller, Herault, Bosilca, Dongarra 2013). Of the rest only
 * silence tells, which wait.c and the view change judge against their deadlines.
 *
 * `dead` is final for a slot until it is respawned; whoever is merely silent is given up instead,
 * and can come back.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "comm/communicator.h"

static const double look_every_s = 1e-3;

/* Asked at run time: Open MPI 5 is built with it by default, but mpirun leaves it off unless told
 * (--with-ft ulfm). */
bool gr_comm_has_ulfm(void) {
    int *enabled = NULL, found = 0;
#if defined(MPIX_ERR_PROC_FAILED) && defined(MPIX_FT)
    int running = 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS || !running) return false;
    if (MPI_Comm_get_attr(MPI_COMM_WORLD, MPIX_FT, &enabled, &found) != MPI_SUCCESS) found = 0;
#endif
    return found && enabled && *enabled;
}

const char *gr_comm_fault_tolerance(void) {
    if (gr_comm_has_ulfm()) return "user level failure mitigation";
#if defined(MPIX_ERR_PROC_FAILED) && defined(MPIX_FT)
    return "deadlines; mpirun --with-ft ulfm adds user level failure mitigation";
#else
    return "deadlines";
#endif
}

const char *gr_comm_detection(const struct gr_comm *comm) {
    if (!comm->tolerant) return "none";
    if (comm->ulfm)
        return comm->n_watched > 0 ? "process table, ulfm, deadlines" : "ulfm, deadlines";
    return comm->n_watched > 0 ? "process table, deadlines" : "deadlines";
}

/* Closes the descriptors of peers; a dead peer's is closed already (-1). */
void gr_detect_stop(struct gr_comm *comm) {
    for (size_t i = 0; i < comm->n_watched; i++)
        if (comm->watched[i] >= 0) close(comm->watched[i]);
    if (comm->watching >= 0) close(comm->watching);
    comm->watching = -1;
    gr_free(comm->watched);
    gr_free(comm->watched_slot);
    comm->watched = NULL;
    comm->watched_slot = NULL;
    comm->n_watched = 0;
}

/* At the start and after a respawn, when process ids have changed. Only peers that this rank can
 * see in /proc are watched, in the sense of place_peers. */
gr_status gr_detect_start(struct gr_comm *comm) {
    gr_status status = GR_OK;
    gr_detect_stop(comm); /* of an earlier start */
    comm->ulfm = gr_comm_has_ulfm();
    const char *word = getenv("GRANARY_FAULT_TOLERANCE");
    comm->tolerant = !word || strcmp(word, "off") != 0; /* off: to measure what it costs */
    GR_TRY(gr_allocate((size_t)comm->slots, sizeof *comm->watched, "peers", &comm->watched));
    GR_TRY(gr_allocate((size_t)comm->slots, sizeof(int), "peers", &comm->watched_slot));
    comm->watching = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < comm->slots; i++) {
        struct gr_peer *peer = &comm->peers[i];
        peer->pidfd = -1;
        if (i == comm->slot || peer->host != comm->peers[comm->slot].host || !comm->tolerant)
            continue;
#ifdef SYS_pidfd_open
        peer->pidfd = (int)syscall(SYS_pidfd_open, peer->pid, 0U);
#endif
        /* An old kernel, or no descriptors left: silence will tell. */
        if (peer->pidfd < 0) continue;
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = comm->n_watched};
        if (epoll_ctl(comm->watching, EPOLL_CTL_ADD, peer->pidfd, &event) != 0) {
            close(peer->pidfd);
            peer->pidfd = -1;
            continue;
        }
        comm->watched[comm->n_watched] = peer->pidfd;
        comm->watched_slot[comm->n_watched++] = i;
    }
out:
    return status;
}

/*
 * Ends this epoch's collectives if the slot is a member; the death of others changes nothing now.
 */
static void note_death(struct gr_comm *comm, int slot, bool seen) {
    comm->peers[slot].dead = true;
    comm->peers[slot].gone = seen;
    if (comm->rank_of[slot] >= 0) comm->lost = true;
}

/* A pidfd becomes readable when its process ends, a zombie included, so no parent has to reap it
 * first. The kernel keeps the list of those that are (epoll(7)): a look costs the same however many
 * there are. A closed descriptor leaves the list. */
static void look_at_processes(struct gr_comm *comm) {
    enum { AT_ONCE = 16 };
    struct epoll_event ended[AT_ONCE];
    int n = comm->n_watched > 0 ? AT_ONCE : 0;
    while (n == AT_ONCE) {
        n = epoll_wait(comm->watching, ended, AT_ONCE, 0);
        for (int i = 0; i < n; i++) {
            const size_t which = ended[i].data.u64;
            note_death(comm, comm->watched_slot[which], true);
            close(comm->watched[which]);
            comm->watched[which] = -1;
        }
    }
}

/* The state in /proc/PID/stat, a letter behind the name in parentheses, which may itself hold
 * parentheses: hence the last one. 0: there is no such process. */
static char state_of(pid_t pid) {
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    const char *end = n > 0 ? strrchr(text, ')') : NULL;
    if (!end || !end[1]) return 0;
    return end[2];
}

/* Done by the lowest member of each host. Only stopped processes ('T') that are no members are
 * ended: whoever runs will read that the run is over, and end by itself. */
void gr_detect_clear_up(struct gr_comm *comm) {
    for (int i = 0; i < comm->rank; i++)
        if (comm->peers[comm->slot_of[i]].host == comm->peers[comm->slot].host)
            return; /* another of this host does it */
    for (size_t i = 0; i < comm->n_watched; i++) {
        int slot = comm->watched_slot[i];
        if (comm->watched[i] < 0 || comm->rank_of[slot] >= 0) continue;
        char state = state_of(comm->peers[slot].pid);
#ifdef SYS_pidfd_send_signal
        if (state == 'T') syscall(SYS_pidfd_send_signal, comm->watched[i], SIGKILL, NULL, 0U);
#endif
    }
}

#if defined(MPIX_ERR_PROC_FAILED)
/* Acknowledging the failures known so far also lets receives from any source go on, on `control`.
 * Ranks of `control` are slots. */
static void ask_ulfm(struct gr_comm *comm) {
    MPI_Group failed = MPI_GROUP_NULL, all = MPI_GROUP_NULL;
    int n = 0;
    if (MPIX_Comm_failure_ack(comm->control) != MPI_SUCCESS ||
        MPIX_Comm_failure_get_acked(comm->control, &failed) != MPI_SUCCESS)
        return;
    MPI_Group_size(failed, &n);
    if (n > 0) MPI_Comm_group(comm->control, &all);
    for (int i = 0; i < n; i++) {
        int slot = MPI_UNDEFINED;
        MPI_Group_translate_ranks(failed, 1, &i, all, &slot);
        if (slot >= 0) slot += comm->first;
        if (slot >= 0 && slot < comm->slots && slot != comm->slot && !comm->peers[slot].dead)
            note_death(comm, slot, false);
    }
    if (all != MPI_GROUP_NULL) MPI_Group_free(&all);
    if (failed != MPI_GROUP_NULL) MPI_Group_free(&failed);
}
#endif

/* Called in every wait and poll, hence the limit to one look a millisecond. */
void gr_detect(struct gr_comm *comm) {
    if (!comm->tolerant) return;
    double now = gr_clock_seconds();
    if (now - comm->detected_s < look_every_s) return;
    comm->detected_s = now;
    look_at_processes(comm);
#if defined(MPIX_ERR_PROC_FAILED)
    if (comm->ulfm) ask_ulfm(comm);
#endif
}

gr_status gr_detect_error(struct gr_comm *comm, int code, const char *call) {
    if (code == MPI_SUCCESS) return GR_OK;
#if defined(MPIX_ERR_PROC_FAILED)
    if (gr_mpi_lost(code)) {
        ask_ulfm(comm);
        return gr_comm_lose(comm, "MPI reports a failed rank");
    }
#endif
    /* Without mitigation a message to or from a dead peer may fail in any way. Whether a peer is
     * gone is for the roll call to find; a fault of our own shows there as well, for it repeats. */
    if (comm->tolerant) {
        gr_status unused = gr_mpi_check(code, call);
        (void)unused;
        return gr_comm_lose(comm, gr_message());
    }
    return gr_mpi_check(code, call);
}
