/* SPDX-License-Identifier: Apache-2.0 */
/* Making and freeing communicators, and what they can tell. */
#include <sched.h>
#include <string.h>

#include "comm/communicator.h"

#if defined(OPEN_MPI)
#include <mpi-ext.h>
#endif

/* Seconds of spinning; where ranks outnumber cores, the peer waited for may well need this core. */
static const double spin_free_s = 50e-6, spin_crowded_s = 2e-6;

/* Ranks on more cores than they are many may spin; the others should sleep early. */
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

static gr_status split_nodes(struct gr_comm *comm, uint32_t ranks_per_node) {
    gr_status status = GR_OK;
    MPI_Comm host = MPI_COMM_NULL;
    int host_rank;
    GR_TRY_MPI(
        MPI_Comm_split_type(comm->all, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &host));
    GR_TRY_MPI(MPI_Comm_rank(host, &host_rank));
    GR_TRY(measure_crowding(comm, host));
    int group = ranks_per_node > 0 ? (int)((uint32_t)host_rank / ranks_per_node) : 0;
    GR_TRY_MPI(MPI_Comm_split(host, group, comm->rank, &comm->node));
    GR_TRY_MPI(MPI_Comm_rank(comm->node, &comm->node_rank));
    GR_TRY_MPI(MPI_Comm_size(comm->node, &comm->node_size));
    GR_TRY_MPI(MPI_Comm_split(comm->all, gr_comm_leads(comm) ? 0 : MPI_UNDEFINED, comm->rank,
                              &comm->leaders));
    if (gr_comm_leads(comm)) {
        GR_TRY_MPI(MPI_Comm_rank(comm->leaders, &comm->node_index));
        GR_TRY_MPI(MPI_Comm_size(comm->leaders, &comm->nodes));
    }
    GR_TRY_MPI(MPI_Bcast(&comm->node_index, 1, MPI_INT, 0, comm->node));
    GR_TRY_MPI(MPI_Bcast(&comm->nodes, 1, MPI_INT, 0, comm->node));
    GR_TRY(gr_allocate((size_t)comm->size, sizeof *comm->places, "places", &comm->places));
    GR_TRY(gr_allocate((size_t)comm->nodes, sizeof(int), "leader table", &comm->leader_of));
    struct gr_place mine = {comm->node_index, comm->node_rank};
    GR_TRY_MPI(MPI_Allgather(&mine, 2, MPI_INT, comm->places, 2, MPI_INT, comm->all));
    for (int i = 0; i < comm->size; i++)
        if (comm->places[i].node_rank == 0) comm->leader_of[comm->places[i].node] = i;
out:
    if (host != MPI_COMM_NULL) MPI_Comm_free(&host);
    return status;
}

static gr_status make_window(struct gr_comm *comm) {
    gr_status status = GR_OK;
    size_t bytes = gr_comm_leads(comm) ? sizeof(struct gr_node) : sizeof(struct gr_member);
    GR_TRY(gr_window_create(comm, bytes, &comm->window));
    comm->shared = comm->window.part[0];
out:
    return status;
}

gr_status gr_comm_create(MPI_Comm parent, const struct gr_comm_options *options,
                         struct gr_comm **out) {
    gr_status status = GR_OK;
    struct gr_comm *comm = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *comm, "communicator", &comm));
    comm->all = comm->control = comm->node = comm->leaders = MPI_COMM_NULL;
    comm->window.win = MPI_WIN_NULL;
    GR_TRY_MPI(MPI_Comm_dup(parent, &comm->all));
    /* The copies made from it inherit this. */
    GR_TRY_MPI(MPI_Comm_set_errhandler(comm->all, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_dup(comm->all, &comm->control));
    GR_TRY_MPI(MPI_Comm_rank(comm->all, &comm->rank));
    GR_TRY_MPI(MPI_Comm_size(comm->all, &comm->size));
    GR_TRY(split_nodes(comm, options->ranks_per_node));
    GR_TRY(make_window(comm));
    *out = comm;
    comm = NULL;
out:
    gr_comm_free(comm);
    return status;
}

/* Messages that were still under way when their round was given up. */
static void drop_outgoing(struct gr_comm *comm) {
    while (comm->outgoing) {
        struct gr_outgoing *message = comm->outgoing;
        int done = 0;
        comm->outgoing = message->next;
        /* MPI may still read from a message that nobody has taken: that one is left allocated. */
        if (MPI_Test(&message->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            gr_free(message);
    }
}

static void free_communicator(MPI_Comm *comm) {
    if (*comm != MPI_COMM_NULL) MPI_Comm_free(comm);
}

void gr_comm_free(struct gr_comm *comm) {
    /* Left as it is when broken: to free it is collective, and the process is about to abort. */
    if (!comm || comm->broken) return;
    drop_outgoing(comm);
    gr_window_release(&comm->window);
    free_communicator(&comm->leaders);
    free_communicator(&comm->node);
    free_communicator(&comm->control);
    free_communicator(&comm->all);
    gr_free(comm->leader_of);
    gr_free(comm->places);
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

MPI_Comm gr_comm_handle(const struct gr_comm *comm) {
    return comm->all;
}

uint64_t gr_comm_bytes_sent(const struct gr_comm *comm) {
    return comm->bytes_sent;
}

bool gr_comm_has_ulfm(void) {
    int *enabled = NULL, found = 0;
#if defined(MPIX_ERR_PROC_FAILED) && defined(MPIX_FT)
    int running = 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS || !running) return false;
    if (MPI_Comm_get_attr(MPI_COMM_WORLD, MPIX_FT, &enabled, &found) != MPI_SUCCESS) found = 0;
#endif
    return found && enabled && *enabled;
}
