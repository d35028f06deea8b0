/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The making of an epoch: who is a member, who shares memory with whom, who leads a node.
 *
 * Every member computes this for itself from the list of slots in the decision, and gets the same:
 * entering an epoch is no collective and cannot hang. A member that has died since the decision is
 * still a member; the first wait for it ends the epoch.
 */
#include <string.h>
#include <sys/mman.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

/*
 * With jobs: the coordinator's first node has as children its job's other nodes and the first of
 * each site; that of a site its other nodes. So a site adds up among itself first, and what it has
 * added up is seen by the coordinator alone.
 */
static void lay_out_tree(struct gr_comm *comm) {
    const int own = comm->node_index;
    const uint32_t party = gr_link_party(comm->link, comm->leader_of[own]);
    int first = own; /* node of this node's party */
    comm->tree_children = 0;
    comm->tree_parent = -1;
    for (int node = comm->nodes - 1; node >= 0; node--)
        if (gr_link_party(comm->link, comm->leader_of[node]) == party) first = node;
    if (own != 0) comm->tree_parent = own == first ? 0 : first;
    for (int node = 1; node < comm->nodes && own == first; node++) {
        const uint32_t of = gr_link_party(comm->link, comm->leader_of[node]);
        bool leads = true; /* its party */
        for (int k = 0; k < node; k++)
            if (gr_link_party(comm->link, comm->leader_of[k]) == of) leads = false;
        if (node != own && (of == party || (own == 0 && leads)))
            comm->tree_child[comm->tree_children++] = node;
    }
}

/*
 * Nodes in the order of their first members, members of a node in the order of ranks. Hence rank 0
 * leads node 0, and is the root of the tree of leaders; when it dies the next in seniority takes
 * both places.
 */
static void lay_out(struct gr_comm *comm, const uint32_t *slots, size_t n) {
    for (int i = 0; i < comm->slots; i++) {
        comm->rank_of[i] = -1;
        comm->peers[i].members = 0;
    }
    comm->size = (int)n;
    comm->nodes = 0;
    for (int i = 0; i < comm->size; i++) {
        const int slot = (int)slots[i];
        struct gr_peer *lowest = &comm->peers[comm->peers[slot].node];
        if (lowest->members == 0) {
            lowest->node_index = comm->nodes++;
            comm->leader_of[lowest->node_index] = slot;
        }
        comm->slot_of[i] = slot;
        comm->rank_of[slot] = i;
        comm->places[i] = (struct gr_comm_place){lowest->node_index, lowest->members++};
    }
    comm->rank = comm->rank_of[comm->slot];
    comm->node_index = comm->places[comm->rank].node;
    comm->node_rank = comm->places[comm->rank].node_rank;
    comm->far = comm->options.far && comm->nodes > 1 && !comm->link;
    for (int i = 1; i < comm->nodes && !comm->link; i++)
        if (comm->peers[comm->leader_of[i]].host != comm->peers[comm->leader_of[0]].host)
            comm->far = true;
    comm->node_size = 0;
    for (int i = 0; i < comm->size; i++)
        if (comm->places[i].node == comm->node_index)
            comm->node_slot[comm->node_size++] = comm->slot_of[i];
    if (comm->link) lay_out_tree(comm);
}

/*
 * Lets go of the epoch before. Memory that MPI may still use is left to it, mapped or allocated.
 * The counters of exchanges begin at 0 on all members, for the turns of the buffers must be the
 * same.
 */
static void leave(struct gr_comm *comm) {
    if (comm->pending > 0) {
        comm->window = (struct gr_window){.mine.fd = -1};
        comm->scratch = NULL;
    }
    if (comm->link) gr_link_ring_at(comm->link, NULL);
    gr_window_release(&comm->window);
    comm->pending = 0;
    comm->exchanges = comm->broadcasts = 0;
    comm->lost = comm->overdue = false;
}

/*
 * Takes over this rank's offer (`mine` is emptied) and maps the parts of the node's other ranks by
 * the descriptors in the decision. All parts are new: no barrier word, event or value of an earlier
 * epoch can be mistaken for one of this.
 */
static gr_status map_window(struct gr_comm *comm, const uint32_t *fds, struct gr_part *mine) {
    gr_status status = GR_OK;
    struct gr_window *window = &comm->window;
    *window = (struct gr_window){.mine = *mine, .own = comm->node_rank};
    *mine = (struct gr_part){.fd = -1};
    GR_TRY(
        gr_allocate_zero((size_t)comm->node_size, sizeof *window->part, "window", &window->part));
    GR_TRY(
        gr_allocate_zero((size_t)comm->node_size, sizeof *window->bytes, "window", &window->bytes));
    window->n = comm->node_size;
    for (int i = 0; i < comm->node_size; i++) {
        int slot = comm->node_slot[i];
        window->bytes[i] = sizeof(struct gr_comm_node);
        if (i == comm->node_rank) window->part[i] = window->mine.base;
        /* A peer that has died since is found missing by the first to wait for it. */
        else if (gr_part_map(comm->peers[slot].pid, (int)fds[comm->rank_of[slot]], window->bytes[i],
                             &window->part[i]) != GR_OK)
            comm->lost = true;
    }
    comm->shared = window->part[0];
out:
    return status;
}

gr_status gr_membership_enter(struct gr_comm *comm, uint32_t epoch, const uint32_t *slots,
                              const uint32_t *fds, size_t n, struct gr_part *mine) {
    gr_status status = GR_OK;
    leave(comm);
    comm->epoch = epoch;
    lay_out(comm, slots, n);
    GR_TRY(map_window(comm, fds, mine));
    if (comm->link) gr_link_ring_at(comm->link, gr_comm_wait_event(comm));
    if (!comm->scratch) GR_TRY(gr_allocate(GR_SCRATCH_BYTES, 1, "small messages", &comm->scratch));
    /* Whoever died while this epoch was being made. */
    for (size_t i = 0; i < n; i++)
        if (comm->peers[slots[i]].dead) comm->lost = true;
out:
    return status;
}

/* Ends the epoch on this rank: every collective called from now on returns GR_LOST at once. */
gr_status gr_comm_lose(struct gr_comm *comm, const char *why) {
    struct gr_names names = {0};
    comm->lost = true;
    /* Before the first round nobody goes on without the others: then it is told who they are. */
    if (comm->starting) gr_start_silent(comm, &names);
    if (names.n == 0) return gr_fail(GR_LOST, "%s", why);
    return gr_fail(GR_LOST, "%s ha%s ended or give%s no sign", names.text,
                   names.n == 1 ? "s" : "ve", names.n == 1 ? "s" : "");
}
