/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices of all silos' vectors to one rank each, and back combined. Of each chunk of the vector:
 *
 *     pack      own silos' parts of the chunk into this rank's window, by the rank they are for
 *     exchange  slices for ranks of other nodes as messages; within the node they are read in place
 *     combine   this rank's slice of all silos into the node's result
 *     spread    the combined slice to the leaders of other nodes, into their nodes' results
 *     keep      the node's result, in this rank's own memory
 */
#include "comm/transpose.h"

#include <stdlib.h>
#include <string.h>

/* Whose row it is, and where it comes from. */
struct gr_transpose_row {
    uint32_t silo;
    int rank;
    size_t index; /* among its rank's rows */
};

enum { UNIT = 64 };            /* slices begin at multiples of so many floats */
enum { PART_BYTES = 4 << 20 }; /* what a rank offers at a time; the node's result */
enum { TAG_SLICE = GR_TREE_TAG_DATA + 2, TAG_RESULT };
enum { SLICE_OUT, SLICE_IN, RESULT_OUT, RESULT_IN, REQUESTS }; /* with each rank */

/* A call of gr_transpose_combine, while it runs. */
struct transposition {
    struct gr_comm *comm;
    struct gr_transpose *own;
    const struct gr_contribution *mine;
    size_t n_mine, n_rows, size;
    const struct gr_combination *combination;
    float *out;
    struct gr_gathered silos; /* numbers of each rank's silos, in the order of its rows */
    size_t most;              /* rows of a rank */
    size_t chunk;             /* floats */
    size_t begin, n, width;   /* of the present chunk, and of a slice of it */
};

/* Whether a rank shares this rank's window. */
static bool is_near(const struct gr_comm *comm, int rank) {
    return comm->places[rank].node == comm->node_index;
}

/* Rows of a rank, from the sizes that all have gathered: no message has to carry its own. */
static size_t rows_of(const struct transposition *t, int rank) {
    return (t->silos.begin[rank + 1] - t->silos.begin[rank]) / sizeof(uint32_t);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Where a rank's slice of the chunk begins, and its length. */
static size_t slice_begin(const struct transposition *t, int rank) {
    return smaller(t->n, (size_t)rank * t->width);
}

static size_t slice_length(const struct transposition *t, int rank) {
    return slice_begin(t, rank + 1) - slice_begin(t, rank);
}

/* The rows that a rank of this node offers; read by all of the node between the two barriers. */
static float *part_of(const struct transposition *t, int node_rank) {
    return t->own->window.part[node_rank];
}

/* The chunk as combined, in the leader's part. */
static float *result_of(const struct transposition *t) {
    return (float *)(void *)((char *)t->own->window.part[0] + t->own->room);
}

/* ---- room ------------------------------------------------------------------------------------ */

/* The window and messages go with the epoch; rows and work are kept, as they depend on numbers
 * alone. */
static void release_epoch(struct gr_transpose *own) {
    gr_window_release(&own->window);
    gr_free(own->messages);
    gr_free(own->received);
    own->messages = NULL;
    own->received = NULL;
    own->received_room = 0;
    own->made = false;
}

static void release_rows(struct gr_transpose *own) {
    gr_free(own->rows);
    gr_free(own->row);
    gr_free(own->work);
    own->rows = NULL;
    own->row = NULL;
    own->work = NULL;
    own->rows_room = 0;
}

void gr_transpose_release(struct gr_transpose *own) {
    release_epoch(own);
    release_rows(own);
}

/*
 * Messages are sent from the window and received into `received`: with requests under way both are
 * left to MPI. The array of handles is freed, for MPI refers to its own objects and not to the
 * handles.
 */
void gr_transpose_abandon(struct gr_comm *comm, struct gr_transpose *own) {
    for (size_t i = 0; own->messages && i < (size_t)comm->slots * REQUESTS; i++)
        gr_message_abandon(comm, &own->messages[i]);
    if (comm->pending > 0) {
        own->window = (struct gr_window){.mine.fd = -1};
        own->received = NULL;
    }
    release_epoch(own);
}

/* Not collective. Memory for slices of other nodes' silos and for the order of rows; grown, never
 * shrunk, from call to call. */
static gr_status make_local(struct transposition *t) {
    gr_status status = GR_OK;
    struct gr_transpose *own = t->own;
    const size_t requests = (size_t)t->comm->slots * REQUESTS;
    if (!own->messages) {
        GR_TRY(gr_allocate(requests, sizeof *own->messages, "messages", &own->messages));
        for (size_t i = 0; i < requests; i++)
            own->messages[i] = GR_NO_MESSAGE;
    }
    size_t far = 0;
    for (int i = 0; i < t->comm->size; i++)
        far += is_near(t->comm, i) ? 0 : rows_of(t, i);
    const size_t floats = far * (t->chunk / (size_t)t->comm->size);
    if (floats > own->received_room) {
        gr_free(own->received);
        own->received_room = 0;
        GR_TRY(gr_allocate(floats, sizeof(float), "slices of other nodes", &own->received));
        own->received_room = floats;
    }
    if (t->n_rows <= own->rows_room) return GR_OK;
    release_rows(own);
    GR_TRY(gr_allocate(t->n_rows, sizeof *own->rows, "rows of silos", &own->rows));
    GR_TRY(gr_allocate(t->n_rows, sizeof *own->row, "rows of silos", &own->row));
    GR_TRY(
        gr_allocate(t->n_rows * GR_COMBINE_WIDTH, sizeof *own->work, "rows of silos", &own->work));
    own->rows_room = t->n_rows;
out:
    return status;
}

/*
 * Collective. As much of the vector at a time as fits PART_BYTES for the rank with the most rows,
 * and at least a unit for each rank: with very many ranks or rows a part is then larger. The chunk
 * follows from gathered numbers alone, so it is the same on all ranks, and no rank makes a window
 * alone.
 */
static gr_status prepare(struct transposition *t) {
    gr_status status = GR_OK, mine = GR_OK;
    struct gr_comm *comm = t->comm;
    struct gr_transpose *own = t->own;
    const size_t ranks = (size_t)comm->size, least = UNIT * ranks;
    for (int i = 0; i < comm->size; i++)
        t->most = rows_of(t, i) > t->most ? rows_of(t, i) : t->most;
    t->chunk = PART_BYTES / sizeof(float) / t->most / least * least;
    if (t->chunk == 0) t->chunk = least;
    size_t room = t->most * t->chunk * sizeof(float);
    if (room < PART_BYTES) room = PART_BYTES;
    const bool fits = own->made && own->epoch == comm->epoch && room <= own->room;
    if (!fits) {
        release_epoch(own);
        own->room = room;
        own->epoch = comm->epoch;
        const size_t result =
            t->chunk * sizeof(float) > PART_BYTES ? t->chunk * sizeof(float) : (size_t)PART_BYTES;
        mine = gr_window_create(comm, room + (gr_comm_leads(comm) ? result : 0), &own->window);
    }
    if (mine == GR_OK) mine = make_local(t);
    GR_TRY(gr_comm_agree(comm, mine));
    own->made = true;
out:
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int by_silo(const void *a, const void *b) {
    const struct gr_transpose_row *x = a, *y = b;
    return (x->silo > y->silo) - (x->silo < y->silo);
}

/* By silo, the same on all ranks. A combination may depend on the order of rows (rounding of sums,
 * ties of Krum's scores): with this order it does not depend on where silos are. */
static gr_status order_rows(struct transposition *t) {
    size_t n = 0;
    struct gr_transpose_row *rows = t->own->rows;
    for (int i = 0; i < t->comm->size; i++)
        for (size_t k = 0; k < rows_of(t, i); k++, n++) {
            rows[n] = (struct gr_transpose_row){.rank = i, .index = k};
            memcpy(&rows[n].silo, t->silos.bytes + n * sizeof(uint32_t), sizeof(uint32_t));
        }
    qsort(rows, n, sizeof *rows, by_silo);
    for (size_t i = 1; i < n; i++)
        if (rows[i].silo == rows[i - 1].silo)
            return gr_fail(GR_ERROR_INTERNAL, "two contributions of silo %u", rows[i].silo);
    return GR_OK;
}

/* Collective. Whose rows there are, and where. */
static gr_status share_silos(struct transposition *t) {
    gr_status status = GR_OK;
    uint32_t *silos = NULL;
    GR_TRY(gr_comm_agree(t->comm, gr_allocate(t->n_mine, sizeof *silos, "silos", &silos)));
    for (size_t i = 0; i < t->n_mine; i++)
        silos[i] = t->mine[i].silo;
    GR_TRY(gr_comm_gather(t->comm, silos, t->n_mine * sizeof *silos, t->n_rows * sizeof *silos,
                          &t->silos));
    const size_t found = t->silos.begin[t->comm->size] / sizeof *silos;
    if (found != t->n_rows || found == 0)
        status = gr_fail(GR_ERROR_INTERNAL, "%zu contributions to a combination of %zu", found,
                         t->n_rows);
out:
    gr_free(silos);
    return status;
}

/* ---- a chunk --------------------------------------------------------------------------------- */

/* For each rank a matrix: rows of own silos, columns of its slice. Rows of one matrix lie together,
 * so that one message brings all of them, and a rank of this node reads them in place. */
static void pack(const struct transposition *t) {
    struct gr_comm *comm = t->comm;
    float *part = part_of(t, comm->node_rank);
    for (int to = 0; to < comm->size; to++) {
        const size_t begin = slice_begin(t, to), n = slice_length(t, to);
        for (size_t i = 0; i < t->n_mine && n > 0; i++)
            memcpy(part + t->n_mine * begin + i * n, t->mine[i].update + t->begin + begin,
                   n * sizeof(float));
    }
    if (comm->node_size > 1) comm->bytes_sent += t->n_mine * t->n * sizeof(float);
}

static struct gr_message *message_of(const struct transposition *t, int rank, int which) {
    return &t->own->messages[(size_t)rank * REQUESTS + (size_t)which];
}

/* Receives lie one behind the other in the order of ranks, as combine finds them. A rank without a
 * slice, in a short last chunk, sends and expects nothing: both sides know by the same numbers. */
static gr_status start_slices(struct transposition *t) {
    gr_status status = GR_OK;
    struct gr_comm *comm = t->comm;
    const size_t own_n = slice_length(t, comm->rank);
    float *in = t->own->received;
    for (int i = 0; i < comm->size; i++) {
        const size_t theirs = rows_of(t, i) * own_n, n = t->n_mine * slice_length(t, i);
        if (is_near(comm, i)) continue;
        if (theirs > 0)
            GR_TRY(gr_message_receive(comm, comm->slot_of[i], TAG_SLICE, in, theirs * sizeof(float),
                                      message_of(t, i, SLICE_IN)));
        in += theirs;
        if (n > 0)
            GR_TRY(gr_message_send(comm, comm->slot_of[i], TAG_SLICE,
                                   part_of(t, comm->node_rank) + t->n_mine * slice_begin(t, i),
                                   n * sizeof(float), message_of(t, i, SLICE_OUT)));
    }
out:
    return status;
}

/* Bytes that a message of this kind from a rank is to bring; 0 for those to it. */
static size_t bytes_expected(const struct transposition *t, int rank, int which) {
    if (which == SLICE_IN) return rows_of(t, rank) * slice_length(t, t->comm->rank) * sizeof(float);
    return which == RESULT_IN ? slice_length(t, rank) * sizeof(float) : 0;
}

/*
 * Requests of one kind, of all ranks. Each wait names its rank, so that a loss is put down to it.
 */
static gr_status wait_for(struct transposition *t, int which, const char *what) {
    gr_status status = GR_OK;
    for (int i = 0; i < t->comm->size; i++) {
        struct gr_message *message = message_of(t, i, which);
        if (!gr_message_under_way(message)) continue;
        GR_TRY(gr_wait_request(t->comm, message, what, t->comm->slot_of[i],
                               bytes_expected(t, i, which)));
    }
out:
    return status;
}

/* The slices of all silos, wherever they lie, combined into this rank's place in the result. No
 * rank writes into another's slice, so the result needs no lock until the barrier. */
static void combine(struct transposition *t) {
    struct gr_comm *comm = t->comm;
    struct gr_transpose *own = t->own;
    const size_t begin = slice_begin(t, comm->rank), n = slice_length(t, comm->rank);
    if (n == 0) return;
    for (size_t r = 0; r < t->n_rows; r++) {
        const struct gr_transpose_row *row = &own->rows[r];
        if (is_near(comm, row->rank)) {
            const float *part = part_of(t, comm->places[row->rank].node_rank);
            own->row[r] = part + rows_of(t, row->rank) * begin + row->index * n;
            continue;
        }
        size_t before = row->index;
        for (int i = 0; i < row->rank; i++)
            before += is_near(comm, i) ? 0 : rows_of(t, i);
        own->row[r] = own->received + before * n;
    }
    t->combination->combine(t->combination->context, own->row, t->n_rows, n, own->work,
                            result_of(t) + begin);
    if (comm->node_size > 1) comm->bytes_sent += n * sizeof(float);
}

/* Each rank's slice to the leaders of other nodes. */
static gr_status start_results(struct transposition *t) {
    gr_status status = GR_OK;
    struct gr_comm *comm = t->comm;
    const size_t bytes = slice_length(t, comm->rank) * sizeof(float);
    for (int i = 0; i < comm->size; i++) {
        if (is_near(comm, i)) continue;
        const size_t theirs = slice_length(t, i) * sizeof(float);
        if (comm->places[i].node_rank == 0 && bytes > 0)
            GR_TRY(gr_message_send(comm, comm->slot_of[i], TAG_RESULT,
                                   result_of(t) + slice_begin(t, comm->rank), bytes,
                                   message_of(t, i, RESULT_OUT)));
        if (gr_comm_leads(comm) && theirs > 0)
            GR_TRY(gr_message_receive(comm, comm->slot_of[i], TAG_RESULT,
                                      result_of(t) + slice_begin(t, i), theirs,
                                      message_of(t, i, RESULT_IN)));
    }
out:
    return status;
}

/*
 * Collective. After the first barrier all of the node have kept the chunk before, for each does so
 * before it packs: only then may results be overwritten. Sends are waited for before the second
 * barrier, after which parts and results are written anew.
 */
static gr_status run_chunk(struct transposition *t) {
    gr_status status = GR_OK;
    struct gr_comm *comm = t->comm;
    const size_t ranks = (size_t)comm->size;
    t->n = smaller(t->chunk, t->size - t->begin);
    t->width = ((t->n + ranks - 1) / ranks + UNIT - 1) / UNIT * UNIT;
    pack(t);
    GR_TRY(start_slices(t));
    GR_TRY(gr_node_barrier(comm, "slices of updates"));
    GR_TRY(wait_for(t, SLICE_IN, "a slice of its updates"));
    combine(t);
    GR_TRY(start_results(t));
    GR_TRY(wait_for(t, RESULT_IN, "its slice of the combined update"));
    GR_TRY(wait_for(t, SLICE_OUT, "to take a slice of updates"));
    GR_TRY(wait_for(t, RESULT_OUT, "to take a slice of the combined update"));
    GR_TRY(gr_node_barrier(comm, "slices of the combined update"));
    memcpy(t->out + t->begin, result_of(t), t->n * sizeof(float));
out:
    return status;
}

gr_status gr_transpose_combine(struct gr_comm *comm, struct gr_transpose *own,
                               const struct gr_contribution *mine, size_t n_mine, size_t n_rows,
                               size_t size, const struct gr_combination *combination, float *out) {
    gr_status status = GR_OK;
    struct transposition t = {.comm = comm,
                              .own = own,
                              .mine = mine,
                              .n_mine = n_mine,
                              .n_rows = n_rows,
                              .size = size,
                              .combination = combination,
                              .out = out};
    GR_TRY(share_silos(&t));
    GR_TRY(prepare(&t));
    GR_TRY(order_rows(&t));
    for (t.begin = 0; t.begin < size; t.begin += t.chunk)
        GR_TRY(run_chunk(&t));
out:
    gr_gathered_release(&t.silos);
    return status;
}
