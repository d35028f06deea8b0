/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing the dead by new processes. Only here are collectives of MPI called after the start: a
 * rank that dies in them ends the others after RESPAWN_S, resumably.
 *
 * The survivors shrink the world (MPIX_Comm_shrink), spawn as many processes as have died, and all
 * make a world in which everybody has his slot, the new ones those of the dead.
 */
#include <string.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

/* Slots are told so many at a time. */
enum { RESPAWN_S = 60, SLOTS_TOLD = 1024 };

/* Facts that respawned ranks need; followed by the order of slots, members first. */
struct announcement {
    uint32_t epoch, slots, n_members, ranks_per_node;
};

bool gr_comm_was_spawned(void) {
    MPI_Comm parent = MPI_COMM_NULL;
    return MPI_Comm_get_parent(&parent) == MPI_SUCCESS && parent != MPI_COMM_NULL;
}

/* Members in their order, then the dead. False where some slot may not be filled: its process was
 * given up but not seen to end, and could come back to find another in its place. */
static bool order_slots(const struct gr_comm *comm, uint32_t *order) {
    uint32_t n = 0;
    for (int i = 0; i < comm->size; i++)
        order[n++] = (uint32_t)comm->slot_of[i];
    for (int i = 0; i < comm->slots; i++) {
        if (comm->rank_of[i] >= 0) continue;
        if (!comm->peers[i].dead || (comm->peers[i].pidfd >= 0 && !comm->peers[i].gone))
            return false;
        order[n++] = (uint32_t)i;
    }
    return true;
}

/* Members and respawned ranks: from the merged communicator to a world in the order of slots. With
 * the slot as key a survivor keeps its number in all epochs, by which silos are placed. */
static gr_status make_world(MPI_Comm merged, int slot, MPI_Comm *world) {
    gr_status status = GR_OK;
    GR_TRY_MPI(MPI_Comm_split(merged, 0, slot, world));
out:
    return status;
}

#if defined(MPIX_ERR_PROC_FAILED)
static gr_status spawn(struct gr_comm *comm, char **command, int n, MPI_Comm *merged) {
    gr_status status = GR_OK;
    MPI_Comm alive = MPI_COMM_NULL, between = MPI_COMM_NULL;
    /* MPI can, but was not started so: to shrink would wait for who is gone. */
    if (!gr_comm_has_ulfm())
        return gr_fail(GR_ERROR_INTERNAL, "this MPI was started without failure mitigation");
    GR_TRY_MPI(MPIX_Comm_shrink(comm->world, &alive));
    GR_TRY_MPI(MPI_Comm_set_errhandler(alive, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_spawn(command[0], command + 1, n, MPI_INFO_NULL, 0, alive, &between,
                              MPI_ERRCODES_IGNORE));
    GR_TRY_MPI(MPI_Comm_set_errhandler(between, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Intercomm_merge(between, 0, merged));
    MPI_Comm_free(&between);
    MPI_Comm_free(&alive);
out:
    return status;
}
#else
static gr_status spawn(struct gr_comm *comm, char **command, int n, MPI_Comm *merged) {
    (void)comm;
    (void)command;
    (void)n;
    (void)merged;
    return gr_fail(GR_ERROR_INTERNAL, "this MPI cannot replace ranks");
}
#endif

/* Respawned ranks are noted as returned on the members; they begin without a history. */
static gr_status note_returned(struct gr_comm *comm, const uint32_t *order, uint32_t n_members) {
    struct gr_change *grown = NULL;
    const size_t n = comm->n_changes + (size_t)comm->slots - n_members;
    gr_status status = gr_allocate(n, sizeof *grown, "changes of the membership", &grown);
    if (status != GR_OK) return status;
    if (comm->n_changes > 0) memcpy(grown, comm->changes, comm->n_changes * sizeof *grown);
    for (uint32_t i = n_members; i < (uint32_t)comm->slots; i++)
        grown[comm->n_changes++] =
            (struct gr_change){.slot = (int)order[i], .kind = GR_CHANGE_RETURNED};
    gr_free(comm->changes);
    comm->changes = grown;
    return GR_OK;
}

/* A world of members and respawned ranks, each in his slot, and its copy for messages. */
struct world {
    MPI_Comm all, control;
};

/*
 * Collective over the members, by collectives of MPI. Its counterpart on the respawned ranks is
 * gr_comm_join: both must make the same calls in the same order. Slots are told in pieces, for a
 * buffer on the stack.
 */
static gr_status call_respawned(struct gr_comm *comm, char **command, const uint32_t *order,
                                struct world *world) {
    gr_status status = GR_OK;
    MPI_Comm merged = MPI_COMM_NULL;
    struct announcement announcement = {.epoch = comm->epoch + 1,
                                        .slots = (uint32_t)comm->slots,
                                        .n_members = (uint32_t)comm->size,
                                        .ranks_per_node = comm->options.ranks_per_node};
    uint32_t told[SLOTS_TOLD];
    GR_TRY(spawn(comm, command, comm->slots - comm->size, &merged));
    GR_TRY_MPI(MPI_Comm_set_errhandler(merged, MPI_ERRORS_RETURN));
    GR_TRY(gr_handshake_respawned(merged, false, &comm->options));
    GR_TRY_MPI(MPI_Bcast(&announcement, sizeof announcement, MPI_BYTE, 0, merged));
    for (int from = 0; from < comm->slots; from += SLOTS_TOLD) {
        int n = comm->slots - from < SLOTS_TOLD ? comm->slots - from : SLOTS_TOLD;
        memcpy(told, order + from, (size_t)n * sizeof *told);
        GR_TRY_MPI(MPI_Bcast(told, n * (int)sizeof *told, MPI_BYTE, 0, merged));
    }
    GR_TRY(make_world(merged, comm->slot, &world->all));
    GR_TRY_MPI(MPI_Comm_set_errhandler(world->all, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_dup(world->all, &world->control));
out:
    return status;
}

/*
 * Nothing leads back from here: the old world is left to MPI, for with dead ranks in it to free it
 * might wait for them. All knowledge of peers is dropped, as hosts and process ids have changed.
 */
static gr_status enter_world(struct gr_comm *comm, const struct world *world,
                             const uint32_t *order) {
    const uint32_t n_members = (uint32_t)comm->size;
    gr_mailbox_release(comm);
    comm->world = world->all;
    comm->control = world->control;
    for (int i = 0; i < comm->slots; i++)
        comm->peers[i] = (struct gr_peer){.pidfd = -1};
    comm->pending++; /* messages and sums of the old world are not touched again */
    gr_status status = gr_comm_meet_all(comm, comm->epoch + 1, order, (size_t)comm->slots);
    if (status == GR_OK) status = note_returned(comm, order, n_members);
    if (status == GR_OK) return GR_OK;
    comm->out = true; /* the old world is gone, and there is no new one here */
    return gr_fail(GR_STOPPED, "lost ranks could not be replaced: %s", gr_message());
}

/*
 * A failure that can be survived is told in *outcome, and the run goes on with the members it has:
 * only GR_LOST and GR_STOPPED are returned. All must be willing and know of every slot without a
 * member that it has ended; else the caller tries again later.
 */
gr_status gr_comm_respawn(struct gr_comm *comm, char **command, bool willing,
                          enum gr_respawn *outcome) {
    gr_status status = GR_OK;
    uint32_t *order = NULL;
    struct world world = {MPI_COMM_NULL, MPI_COMM_NULL};
    bool granted = true;
    *outcome = GR_RESPAWN_NOT_NOW;
    GR_TRY(gr_comm_agree(comm, gr_allocate((size_t)comm->slots, sizeof *order, "members", &order)));
    int64_t obstacles = willing && order_slots(comm, order) && comm->size < comm->slots ? 0 : 1;
    GR_TRY(gr_comm_max_int64(comm, &obstacles, 1)); /* unless all see it so, not now */
    if (obstacles > 0) goto out;
    *outcome = GR_RESPAWN_FAILED;
    gr_guard_start(RESPAWN_S, "lost ranks could not be replaced");
    status = call_respawned(comm, command, order, &world);
    gr_guard_stop();
    if (status == GR_OK && comm->rank == 0)
        status = comm->claim(comm->claim_context, comm->epoch + 1, &granted);
    if (status == GR_OK && !granted) status = gr_fail(GR_ERROR_INTERNAL, "others have gone on");
    /* Where it has failed for one the old world goes on, and its respawned ranks give up. */
    GR_TRY(gr_comm_agree(comm, status));
    gr_guard_start(RESPAWN_S, "new ranks were not taken in");
    status = enter_world(comm, &world, order);
    if (status == GR_OK) *outcome = GR_RESPAWN_DONE;
out:
    gr_guard_stop();
    gr_free(order);
    return status == GR_LOST || status == GR_STOPPED ? status : GR_OK;
}

/* Respawned ranks. Whether the slots told are a permutation of 0 .. n - 1: they index arrays. A
 * comparison of all pairs, once in a process's life. */
static bool is_order(const uint32_t *order, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k <= i; k++)
            if (order[i] >= n || (k < i && order[k] == order[i])) return false;
    return true;
}

/* The numbers told are held against the sizes that MPI reports before anything is allocated by
 * them. */
static gr_status listen(MPI_Comm merged, int mine, int fresh, struct announcement *announcement,
                        uint32_t **order) {
    gr_status status = GR_OK;
    int size;
    GR_TRY_MPI(MPI_Comm_size(merged, &size));
    GR_TRY_MPI(MPI_Bcast(announcement, sizeof *announcement, MPI_BYTE, 0, merged));
    if (announcement->slots != (uint32_t)size ||
        announcement->n_members != (uint32_t)(size - fresh) || mine >= fresh)
        return gr_fail(GR_ERROR_INTERNAL, "a world of %d ranks, %d of them new; for %u and %u",
                       size, fresh, announcement->slots, announcement->n_members);
    GR_TRY(gr_allocate((size_t)size, sizeof **order, "members", order));
    for (int from = 0; from < size; from += SLOTS_TOLD) {
        int n = size - from < SLOTS_TOLD ? size - from : SLOTS_TOLD;
        GR_TRY_MPI(MPI_Bcast(*order + from, n * (int)sizeof **order, MPI_BYTE, 0, merged));
    }
    if (!is_order(*order, announcement->slots))
        status = gr_fail(GR_ERROR_INTERNAL, "the members were told wrongly");
out:
    return status;
}

gr_status gr_comm_join(const struct gr_comm_options *options, struct gr_comm **out) {
    gr_status status = GR_OK;
    MPI_Comm parent = MPI_COMM_NULL, merged = MPI_COMM_NULL, world = MPI_COMM_NULL;
    struct gr_comm *comm = NULL;
    struct announcement announcement;
    uint32_t *order = NULL;
    int mine, fresh;
    gr_guard_start(RESPAWN_S, "a new rank was not taken in");
    GR_TRY_MPI(MPI_Comm_get_parent(&parent));
    GR_TRY_MPI(MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Intercomm_merge(parent, 1, &merged));
    GR_TRY_MPI(MPI_Comm_set_errhandler(merged, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &mine));
    GR_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &fresh));
    GR_TRY(gr_handshake_respawned(merged, true, options));
    GR_TRY(listen(merged, mine, fresh, &announcement, &order));
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): listen has filled it */
    GR_TRY(make_world(merged, (int)order[(int)announcement.n_members + mine], &world));
    struct gr_comm_options settled = *options;
    settled.ranks_per_node = announcement.ranks_per_node;
    GR_TRY(gr_comm_allocate(world, &settled, NULL, &comm));
    GR_TRY(gr_comm_meet_all(comm, announcement.epoch, order, (size_t)comm->slots));
    *out = comm;
    comm = NULL;
out:
    gr_guard_stop();
    gr_free(order);
    gr_comm_free(comm);
    return status;
}
