/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreement, small sums and maxima, broadcast: collectives of a few kilobytes, made for latency.
 * Inside the node each rank writes into its own slot and reads the others' after a barrier, which
 * is one synchronisation instead of a tree of messages; between nodes the leaders combine what
 * their nodes have.
 *
 * All of them end with GR_LOST when a member dies in them, on some ranks and not on others: a rank
 * may have read the result before the loss was noticed. By their positions (gr_control_at) the
 * ranks find together again (gr_control_recover).
 */
#include <string.h>

#include "comm/communicator.h"

/* Modulo 2^64: in unsigned words, for a sum that leaves the range of int64 is to wrap. */
static void combine_sum(void *acc, const void *more, size_t n) {
    uint64_t *a = acc;
    const uint64_t *b = more;
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

/* Signed, unlike the sum: -1 is below 0. */
static void combine_max(void *acc, const void *more, size_t n) {
    int64_t *a = acc;
    const int64_t *b = more;
    for (size_t i = 0; i < n; i++)
        if (b[i] > a[i]) a[i] = b[i];
}

/*
 * Collective. At most GR_COMM_SMALL_MAX values. Two buffers in turn make one barrier enough: a
 * buffer is written again in the exchange after the next, and nobody gets there before all have
 * passed the next one's barrier, and so have read this one. With one node each rank combines for
 * itself, in place of a second barrier. The order of combining differs between ranks, so `combine`
 * must not depend on it.
 */
static gr_status exchange(struct gr_comm *comm, int64_t *values, size_t n,
                          gr_combine_function combine, const char *what) {
    gr_status status = GR_OK;
    unsigned turn = comm->exchanges++ % 2;
    size_t bytes = n * sizeof *values;
    if (comm->node_size > 1) {
        memcpy(gr_comm_member(comm, comm->node_rank)->values[turn], values, bytes);
        comm->bytes_sent += bytes;
    }
    GR_TRY(gr_node_barrier(comm, what));
    if (comm->nodes == 1 || gr_comm_leads(comm))
        for (int i = 0; i < comm->node_size; i++)
            if (i != comm->node_rank) combine(values, gr_comm_member(comm, i)->values[turn], n);
    if (comm->nodes == 1) goto out;
    if (gr_comm_leads(comm)) {
        /* Not the caller's memory: MPI may still use it when the exchange has been given up. */
        int64_t *all = comm->scratch, *scratch = all + GR_COMM_SMALL_MAX;
        memcpy(all, values, bytes);
        GR_TRY(gr_tree_all(comm, all, scratch, n, sizeof *values, combine));
        memcpy(comm->shared->values[turn], all, bytes);
    }
    GR_TRY(gr_node_barrier(comm, what));
    memcpy(values, comm->shared->values[turn], bytes);
out:
    return status;
}

/* No values are an exchange as well: nobody goes on before all have called. */
static gr_status exchange_all(struct gr_comm *comm, int64_t *values, size_t n,
                              gr_combine_function combine, const char *what) {
    gr_status status = GR_OK;
    int64_t none = 0;
    size_t from = 0;
    if (n == 0) values = &none; /* the caller's may be NULL */
    do {
        const size_t rest = n - from, piece = rest < GR_COMM_SMALL_MAX ? rest : GR_COMM_SMALL_MAX;
        GR_TRY(exchange(comm, values + from, piece, combine, what));
        from += piece;
    } while (from < n);
out:
    return status;
}

gr_status gr_comm_sum_int64(struct gr_comm *comm, int64_t *values, size_t n) {
    return exchange_all(comm, values, n, combine_sum, "a sum");
}

gr_status gr_comm_max_int64(struct gr_comm *comm, int64_t *values, size_t n) {
    return exchange_all(comm, values, n, combine_max, "a maximum");
}

/* ---- broadcast ------------------------------------------------------------------------------ */

/*
 * Collective. At most GR_BROADCAST_CHUNK bytes. Rank 0 leads node 0, so its chunk lies where the
 * node reads it; buffers in turn as in exchange. `broadcasts` counts alike on all ranks of a node,
 * for all make the same calls in the same order.
 */
static gr_status broadcast_chunk(struct gr_comm *comm, void *bytes, size_t n) {
    gr_status status = GR_OK;
    unsigned char *chunk = comm->shared->bytes[comm->broadcasts++ % 2];
    if (comm->rank == 0) {
        memcpy(chunk, bytes, n);
        comm->bytes_sent += n;
    }
    if (gr_comm_leads(comm)) GR_TRY(gr_tree_broadcast(comm, chunk, n));
    GR_TRY(gr_node_barrier(comm, "a broadcast"));
    if (comm->rank != 0) memcpy(bytes, chunk, n);
out:
    return status;
}

gr_status gr_comm_broadcast(struct gr_comm *comm, void *bytes, size_t n) {
    gr_status status = GR_OK;
    for (size_t from = 0; from < n; from += GR_BROADCAST_CHUNK) {
        size_t rest = n - from < GR_BROADCAST_CHUNK ? n - from : GR_BROADCAST_CHUNK;
        GR_TRY(broadcast_chunk(comm, (unsigned char *)bytes + from, rest));
    }
out:
    return status;
}

/* The length travels first, and is held against `limit` on all ranks alike, before anybody
 * allocates. */
gr_status gr_comm_broadcast_text(struct gr_comm *comm, char **text, size_t limit) {
    gr_status status = GR_OK;
    char *made = NULL;
    uint64_t length = comm->rank == 0 ? strlen(*text) : 0;
    GR_TRY(gr_comm_broadcast(comm, &length, sizeof length));
    if (length > limit)
        return gr_fail(GR_ERROR_INTERNAL,
                       "text of %llu bytes to be broadcast, expected at most %zu",
                       (unsigned long long)length, limit);
    if (comm->rank != 0) status = gr_allocate(length + 1, 1, "broadcast text", &made);
    GR_TRY(gr_comm_agree(comm, status));
    GR_TRY(gr_comm_broadcast(comm, made ? made : *text, length));
    if (made) {
        made[length] = '\0';
        *text = made;
        made = NULL;
    }
out:
    gr_free(made);
    return status;
}

/* ---- agreement ------------------------------------------------------------------------------ */

struct failure {
    int32_t status;
    char message[GR_MESSAGE_MAX];
};
_Static_assert(sizeof(struct failure) <= GR_SCRATCH_BYTES, "a failure is a small message");

/*
 * Collective, but only the two ranks take part. From the rank that failed to rank 0, which then
 * tells all: broadcasts begin at rank 0. Agreements without a failure, nearly all of them, cost a
 * single small exchange.
 */
static gr_status carry_failure(struct gr_comm *comm, int failed, struct failure *failure) {
    gr_status status = GR_OK;
    struct gr_message message = GR_NO_MESSAGE;
    if (failed == 0) return GR_OK;
    if (comm->rank == failed) {
        memcpy(comm->scratch, failure, sizeof *failure);
        GR_TRY(gr_message_send(comm, comm->slot_of[0], GR_TAG_FAILURE, comm->scratch,
                               sizeof *failure, &message));
        GR_TRY(gr_wait_request(comm, &message, "to take an error message", comm->slot_of[0], 0));
    } else if (comm->rank == 0) {
        const int slot = comm->slot_of[failed];
        GR_TRY(gr_message_receive(comm, slot, GR_TAG_FAILURE, comm->scratch, sizeof *failure,
                                  &message));
        GR_TRY(gr_wait_request(comm, &message, "an error message", slot, sizeof *failure));
        memcpy(failure, comm->scratch, sizeof *failure);
    }
out:
    if (status != GR_OK) gr_message_abandon(comm, &message);
    return status;
}

/* A site that fails leaves, and brings no failure. */
static bool is_no_failure(const struct gr_comm *comm, int slot, const void *values, size_t n) {
    int64_t first;
    (void)comm;
    (void)slot;
    if (n != 1) return false;
    memcpy(&first, values, sizeof first);
    return first == 0;
}

/* size - rank of each rank that failed: the maximum is the lowest of them, and 0 says that none
 * did. The message is cut off at its end here, whatever a peer has sent. */
gr_status gr_comm_agree(struct gr_comm *comm, gr_status mine) {
    gr_status status = GR_OK;
    struct failure failure = {.status = (int32_t)mine};
    int64_t first = mine == GR_OK ? 0 : comm->size - comm->rank;
    /* A loss is the others' as well: they will notice, and are not to be waited for. */
    if (mine == GR_LOST) return GR_LOST;
    /* Of a site it is its own: it leaves, and the others go on. */
    mine = gr_comm_depart(comm, mine);
    if (gr_comm_leaves(comm)) return gr_departure_reason(comm);
    gr_comm_keep_words(comm, mine);
    /* The exchange itself may record a message. */
    if (mine != GR_OK) memcpy(failure.message, gr_message(), strlen(gr_message()) + 1);
    comm->holds = is_no_failure;
    status = exchange(comm, &first, 1, combine_max, "an agreement");
    comm->holds = NULL;
    if (status != GR_OK || first == 0) goto out;
    GR_TRY(carry_failure(comm, comm->size - (int)first, &failure));
    GR_TRY(gr_comm_broadcast(comm, &failure, sizeof failure));
    failure.message[GR_MESSAGE_MAX - 1] = '\0';
    if (comm->size > 1) comm->failures++;
    memcpy(comm->told, failure.message, sizeof failure.message);
    return gr_fail((gr_status)failure.status, "%s", failure.message);
out:
    return status;
}
