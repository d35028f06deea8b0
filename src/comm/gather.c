/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes that each rank brings, to all: through the window inside a node, by the leaders between
 * nodes. The whole lies in rank order and passes in chunks of a fixed size, so that neither the
 * window nor a message grows with it.
 */
#include <string.h>

#include "comm/communicator.h"

/* As much as there is scratch for; messages of a leader must not lie in a caller's memory. */
enum { GATHER_CHUNK = GR_SCRATCH_BYTES };
_Static_assert((int)GATHER_CHUNK <= (int)GR_BROADCAST_CHUNK, "a chunk fits the window's buffer");

void gr_gathered_release(struct gr_gathered *gathered) {
    gr_free(gathered->bytes);
    gr_free(gathered->begin);
    *gathered = (struct gr_gathered){0};
}

/*
 * Collective. Where each rank's bytes begin: a vector with an entry for each rank, 0 but for the
 * own, is summed. The limit is checked for each rank and for all together, by subtraction so that
 * nothing overflows, before anybody allocates by sizes that came from peers.
 */
static gr_status share_sizes(struct gr_comm *comm, size_t n, size_t limit,
                             struct gr_gathered *out) {
    gr_status status = GR_OK;
    int64_t *sizes = NULL;
    const size_t ranks = (size_t)comm->size;
    gr_status mine = gr_allocate_zero(ranks, sizeof *sizes, "sizes", &sizes);
    if (mine == GR_OK) mine = gr_allocate(ranks + 1, sizeof *out->begin, "sizes", &out->begin);
    if (mine == GR_OK && n > limit)
        mine =
            gr_fail(GR_ERROR_INTERNAL, "%zu bytes to be gathered, expected at most %zu", n, limit);
    GR_TRY(gr_comm_agree(comm, mine));
    sizes[comm->rank] = (int64_t)n;
    GR_TRY(gr_comm_sum_int64(comm, sizes, ranks));
    out->begin[0] = 0;
    for (size_t i = 0; i < ranks; i++) {
        const size_t size = (size_t)sizes[i], before = out->begin[i];
        if (size > limit || before > limit - size) {
            status = gr_fail(GR_ERROR_INTERNAL, "more than %zu bytes of all ranks to be gathered",
                             limit);
            goto out;
        }
        out->begin[i + 1] = before + size;
    }
out:
    gr_free(sizes);
    return status;
}

/* The part of begin .. begin + n - 1 that a rank brings. */
static bool overlap(const struct gr_gathered *all, int rank, size_t begin, size_t n, size_t *from,
                    size_t *to) {
    *from = all->begin[rank] > begin ? all->begin[rank] : begin;
    *to = all->begin[rank + 1] < begin + n ? all->begin[rank + 1] : begin + n;
    return *from < *to;
}

/* Each byte comes from one rank and is 0 elsewhere, so OR puts them together. */
static void combine_bytes(void *acc, const void *more, size_t n) {
    unsigned char *a = acc;
    const unsigned char *b = more;
    for (size_t i = 0; i < n; i++)
        a[i] |= b[i];
}

/* The leader's part of a chunk. The buffer still holds an earlier chunk where other nodes' bytes
 * belong: zeros go there first, for the leaders' chunks are put together by OR. */
static gr_status exchange_chunk(struct gr_comm *comm, const struct gr_gathered *all, size_t begin,
                                size_t n, unsigned char *chunk) {
    size_t from, to;
    for (int i = 0; i < comm->size; i++)
        if (comm->places[i].node != comm->node_index && overlap(all, i, begin, n, &from, &to))
            memset(chunk + from - begin, 0, to - from);
    return gr_tree_all(comm, chunk, comm->scratch, n, 1, combine_bytes);
}

/* Collective. Bytes begin .. begin + n - 1 of what all bring. Between nodes a second barrier keeps
 * the ranks from reading before their leader has the whole. */
static gr_status gather_chunk(struct gr_comm *comm, const unsigned char *mine, size_t begin,
                              size_t n, struct gr_gathered *all) {
    gr_status status = GR_OK;
    unsigned char *chunk = comm->shared->bytes[comm->broadcasts++ % 2];
    size_t from, to;
    if (overlap(all, comm->rank, begin, n, &from, &to)) {
        memcpy(chunk + from - begin, mine + from - all->begin[comm->rank], to - from);
        comm->bytes_sent += to - from;
    }
    GR_TRY(gr_node_barrier(comm, "what ranks bring"));
    if (comm->nodes > 1) {
        if (gr_comm_leads(comm)) GR_TRY(exchange_chunk(comm, all, begin, n, chunk));
        GR_TRY(gr_node_barrier(comm, "what ranks bring"));
    }
    memcpy(all->bytes + begin, chunk, n);
out:
    return status;
}

gr_status gr_comm_gather(struct gr_comm *comm, const void *mine, size_t n, size_t limit,
                         struct gr_gathered *out) {
    gr_status status = GR_OK;
    *out = (struct gr_gathered){0};
    GR_TRY(share_sizes(comm, n, limit, out));
    const size_t total = out->begin[comm->size];
    GR_TRY(gr_comm_agree(comm, gr_allocate(total, 1, "what ranks bring", &out->bytes)));
    for (size_t begin = 0; begin < total; begin += GATHER_CHUNK) {
        const size_t rest = total - begin;
        GR_TRY(gather_chunk(comm, mine, begin, rest < GATHER_CHUNK ? rest : GATHER_CHUNK, out));
    }
out:
    if (status != GR_OK) gr_gathered_release(out);
    return status;
}
