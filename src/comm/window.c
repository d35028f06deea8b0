/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that the ranks of a node share, and the barrier in it. */
#include <string.h>

#include "comm/communicator.h"

gr_status gr_window_create(struct gr_comm *comm, size_t bytes, struct gr_window *out) {
    gr_status status = GR_OK;
    MPI_Info info = MPI_INFO_NULL;
    void *mine = NULL;
    *out = (struct gr_window){.win = MPI_WIN_NULL, .broken = &comm->broken};
    GR_TRY(gr_allocate_zero((size_t)comm->node_size, sizeof *out->part, "window", &out->part));
    /* Parts need not follow each other: each begins on a page and lies near its owner. */
    GR_TRY_MPI(MPI_Info_create(&info));
    GR_TRY_MPI(MPI_Info_set(info, "alloc_shared_noncontig", "true"));
    size_t padded = (bytes + 127) / 64 * 64; /* room to align a part to 64 */
    GR_TRY_MPI(MPI_Win_allocate_shared((MPI_Aint)padded, 1, info, comm->node, &mine, &out->win));
    for (int i = 0; i < comm->node_size; i++) {
        MPI_Aint size;
        int unit;
        void *base;
        GR_TRY_MPI(MPI_Win_shared_query(out->win, i, &size, &unit, &base));
        /* The same in every process: windows are mapped on page boundaries. */
        out->part[i] = (char *)base + (64 - (uintptr_t)base % 64) % 64;
    }
    memset(out->part[comm->node_rank], 0, bytes);
    GR_TRY_MPI(MPI_Barrier(comm->node)); /* nobody reads a part before it is zeroed */
out:
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    return status;
}

void gr_window_release(struct gr_window *window) {
    /* Freeing is collective: a peer that has not come before would not come now. */
    if (window->broken && *window->broken) return;
    if (window->part && window->win != MPI_WIN_NULL) MPI_Win_free(&window->win);
    gr_free(window->part);
    *window = (struct gr_window){.win = MPI_WIN_NULL};
}

gr_status gr_node_barrier(struct gr_comm *comm, const char *what) {
    if (comm->node_size == 1) return GR_OK;
    gr_status status = GR_OK;
    struct gr_node *node = comm->shared;
    uint32_t seen = atomic_load(&node->barrier.value);
    if (atomic_fetch_add(&node->arrived, 1) + 1 == (unsigned)comm->node_size) {
        atomic_store(&node->arrived, 0);
        gr_bell_ring(&node->barrier);
        return GR_OK;
    }
    struct gr_wait wait;
    gr_wait_start(&wait, comm, GR_COMM_DEADLINE_S, what, -1, false);
    while (atomic_load_explicit(&node->barrier.value, memory_order_acquire) == seen)
        GR_TRY(gr_wait_pause(&wait, &node->barrier, seen));
out:
    return status;
}
