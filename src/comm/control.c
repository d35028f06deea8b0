/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane: small messages between rank 0 and the others. Every exchange has the same
 * shape: each rank reports to rank 0, rank 0 comes to a verdict, each rank receives it.
 *
 * Messages carry a sequence number, so that what comes too late for its exchange is recognised and
 * dropped in the next one.
 */
#include <math.h>
#include <string.h>

#include "comm/communicator.h"

enum { TAG_REPORT = 2, TAG_VERDICT = 3 };

/*
 * Ranks wait for the verdict this much longer than rank 0 waits for reports: they may have begun
 * earlier, and the verdict is its to give.
 */
static const double verdict_grace_s = GR_COMM_DEADLINE_S;

/* A message is this header, then n_ids uint32, then `length` bytes of text. */
struct header {
    uint32_t sequence;
    uint32_t round;
    int32_t status;
    uint32_t stop;
    uint32_t n_ids;
    uint32_t length;
};

/* One exchange. ids: what this rank reports, then what the verdict says. */
struct exchange {
    struct gr_comm *comm;
    struct header head;
    uint32_t *ids;     /* room for `capacity`; owned */
    char *text;        /* GR_MESSAGE_MAX; owned */
    unsigned char *in; /* the message being read; owned */
    size_t capacity;
};

static size_t message_limit(const struct exchange *exchange) {
    return sizeof(struct header) + exchange->capacity * sizeof(uint32_t) + GR_MESSAGE_MAX;
}

static void exchange_release(struct exchange *exchange) {
    gr_free(exchange->ids);
    gr_free(exchange->text);
    gr_free(exchange->in);
}

static gr_status exchange_start(struct gr_comm *comm, uint32_t round, gr_status mine,
                                size_t capacity, struct exchange *out) {
    gr_status status = GR_OK;
    /* A message of an earlier exchange may still come. */
    if (capacity > comm->control_capacity) comm->control_capacity = capacity;
    *out = (struct exchange){.comm = comm, .capacity = comm->control_capacity};
    out->head.sequence = ++comm->control_calls;
    out->head.round = round;
    out->head.status = (int32_t)mine;
    GR_TRY(gr_allocate(GR_MESSAGE_MAX, 1, "control message", &out->text));
    if (mine != GR_OK) {
        out->head.length = (uint32_t)strlen(gr_message());
        memcpy(out->text, gr_message(), out->head.length);
    }
    GR_TRY(gr_allocate(out->capacity, sizeof *out->ids, "control message", &out->ids));
    GR_TRY(gr_allocate(message_limit(out), 1, "control message", &out->in));
out:
    return status;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Starts sending; the message is kept in comm->outgoing until it has been taken. */
static gr_status post(struct exchange *exchange, int to, int tag) {
    gr_status status = GR_OK;
    struct gr_comm *comm = exchange->comm;
    struct gr_outgoing *message = NULL;
    size_t ids = exchange->head.n_ids * sizeof *exchange->ids, length = exchange->head.length;
    size_t n = sizeof exchange->head + ids + length;
    GR_TRY(gr_allocate(1, sizeof *message + n, "control message", &message));
    memcpy(message->bytes, &exchange->head, sizeof exchange->head);
    memcpy(message->bytes + sizeof exchange->head, exchange->ids, ids);
    memcpy(message->bytes + sizeof exchange->head + ids, exchange->text, length);
    message->peer = to;
    GR_TRY_MPI(
        MPI_Isend(message->bytes, (int)n, MPI_BYTE, to, tag, comm->control, &message->request));
    comm->bytes_sent += n;
    message->next = comm->outgoing;
    comm->outgoing = message;
    message = NULL;
    if (comm->places[to].node == comm->node_index)
        gr_bell_ring(&gr_comm_member(comm, comm->places[to].node_rank)->doorbell);
out:
    gr_free(message);
    return status;
}

/*
 * Lets go of messages that have been taken; waits for those to ranks flagged in `present` (NULL:
 * for none). A rank that is absent may not take its message until the next exchange.
 */
static gr_status finish_sending(struct gr_comm *comm, const uint8_t *present) {
    gr_status status = GR_OK;
    struct gr_outgoing **link = &comm->outgoing;
    while (*link) {
        struct gr_outgoing *message = *link;
        int done = 0;
        if (present && present[message->peer]) {
            GR_TRY(gr_wait_request(comm, &message->request, GR_COMM_DEADLINE_S,
                                   "to take a control message", message->peer));
            done = 1;
        } else {
            GR_TRY_MPI(MPI_Test(&message->request, &done, MPI_STATUS_IGNORE));
        }
        if (done) {
            *link = message->next;
            gr_free(message);
        } else {
            link = &message->next;
        }
    }
out:
    return status;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* A message taken apart: ids and text point into exchange->in. */
struct incoming {
    bool found; /* false: none came in time */
    int source;
    struct header head;
    const unsigned char *ids; /* head.n_ids unaligned uint32 */
    const char *text;
};

/* Checks that the n bytes in exchange->in are what their header says. */
static gr_status take_apart(const struct exchange *exchange, size_t n, struct incoming *in) {
    memcpy(&in->head, exchange->in, sizeof in->head);
    size_t ids_bytes = (size_t)in->head.n_ids * sizeof(uint32_t);
    if (in->head.n_ids > exchange->capacity || in->head.length >= GR_MESSAGE_MAX ||
        n != sizeof in->head + ids_bytes + in->head.length)
        return gr_fail(GR_ERROR_INTERNAL,
                       "control message of rank %d: %zu bytes do not hold %u ids and a text of %u",
                       in->source, n, in->head.n_ids, in->head.length);
    in->ids = exchange->in + sizeof in->head;
    in->text = (const char *)in->ids + ids_bytes;
    in->found = true;
    return GR_OK;
}

/* The next message with `tag` from `from` (or MPI_ANY_SOURCE), if one comes before `until_s`. */
static gr_status next_message(struct exchange *exchange, int from, int tag, double until_s,
                              struct incoming *in) {
    gr_status status = GR_OK;
    struct gr_comm *comm = exchange->comm;
    struct gr_bell *bell = gr_comm_doorbell(comm);
    MPI_Message message;
    MPI_Request request;
    MPI_Status came;
    struct gr_wait wait;
    int flag = 0, bytes = 0;
    *in = (struct incoming){0};
    gr_wait_start(&wait, comm, INFINITY, "a control message", -1, true);
    for (;;) {
        uint32_t seen = atomic_load(&bell->value);
        GR_TRY_MPI(MPI_Improbe(from, tag, comm->control, &flag, &message, &came));
        if (flag) break;
        if (gr_clock_seconds() >= until_s) goto out;
        GR_TRY(gr_wait_pause(&wait, bell, seen));
    }
    GR_TRY_MPI(MPI_Get_count(&came, MPI_BYTE, &bytes));
    in->source = came.MPI_SOURCE;
    if (bytes < (int)sizeof(struct header) || (size_t)bytes > message_limit(exchange)) {
        status = gr_fail(GR_ERROR_INTERNAL,
                         "control message of %d bytes from rank %d, expected %zu to %zu", bytes,
                         in->source, sizeof(struct header), message_limit(exchange));
        goto out;
    }
    GR_TRY_MPI(MPI_Imrecv(exchange->in, bytes, MPI_BYTE, &message, &request));
    GR_TRY(gr_wait_request(comm, &request, GR_COMM_DEADLINE_S, "the rest of a control message",
                           in->source));
    GR_TRY(take_apart(exchange, (size_t)bytes, in));
out:
    return status;
}

/* ---- the exchange --------------------------------------------------------------------------- */

/* Takes in what a rank reported; ids: n unaligned uint32. */
typedef gr_status (*merge_function)(void *context, int source, const unsigned char *ids, size_t n);

static uint32_t id_at(const unsigned char *ids, size_t i) {
    uint32_t id;
    memcpy(&id, ids + i * sizeof id, sizeof id);
    return id;
}

static void set_failure(struct exchange *exchange, gr_status status, const char *text,
                        size_t length) {
    exchange->head.status = (int32_t)status;
    exchange->head.length = (uint32_t)length;
    memcpy(exchange->text, text, length);
}

/* Rank 0: hears all ranks until `until_s`, and keeps the failure of the lowest. */
static gr_status collect(struct exchange *exchange, double until_s, merge_function merge,
                         void *context, uint8_t *present, int *missing) {
    gr_status status = GR_OK;
    struct gr_comm *comm = exchange->comm;
    int lowest_failed = exchange->head.status == GR_OK ? comm->size : 0;
    if (lowest_failed > 0) {
        GR_TRY(merge(context, 0, (const unsigned char *)exchange->ids, exchange->head.n_ids));
    }
    while (*missing > 0) {
        struct incoming in;
        GR_TRY(next_message(exchange, MPI_ANY_SOURCE, TAG_REPORT, until_s, &in));
        if (!in.found) break;
        if (in.head.sequence < exchange->head.sequence) continue; /* too late for its own */
        if (in.head.sequence != exchange->head.sequence || in.head.round != exchange->head.round ||
            present[in.source]) {
            status = gr_fail(GR_ERROR_INTERNAL,
                             "rank %d reports for round %u (message %u), expected %u (%u)",
                             in.source, in.head.round, in.head.sequence, exchange->head.round,
                             exchange->head.sequence);
            goto out;
        }
        present[in.source] = 1;
        --*missing;
        exchange->head.stop |= in.head.stop;
        if (in.head.status == GR_OK) {
            GR_TRY(merge(context, in.source, in.ids, in.head.n_ids));
        } else if (in.source < lowest_failed) {
            lowest_failed = in.source;
            set_failure(exchange, (gr_status)in.head.status, in.text, in.head.length);
        }
    }
out:
    return status;
}

/* Rank 0: the verdict to all; waits for those that are there. */
static gr_status announce(struct exchange *exchange, const uint8_t *present) {
    gr_status status = GR_OK;
    for (int i = 1; i < exchange->comm->size; i++)
        GR_TRY(post(exchange, i, TAG_VERDICT));
    GR_TRY(finish_sending(exchange->comm, present));
out:
    return status;
}

/* The others: report, then wait for the verdict, which replaces head, ids and text. */
static gr_status report(struct exchange *exchange, double until_s) {
    gr_status status = GR_OK;
    GR_TRY(post(exchange, 0, TAG_REPORT));
    struct incoming in;
    do {
        GR_TRY(next_message(exchange, 0, TAG_VERDICT, until_s + verdict_grace_s, &in));
        if (!in.found) {
            status = gr_fail(GR_STOPPED, "rank 0 has come to no verdict on round %u",
                             exchange->head.round);
            goto out;
        }
    } while (in.head.sequence != exchange->head.sequence); /* of an exchange given up */
    exchange->head = in.head;
    memcpy(exchange->ids, in.ids, in.head.n_ids * sizeof *exchange->ids);
    memcpy(exchange->text, in.text, in.head.length);
    GR_TRY(finish_sending(exchange->comm, NULL));
out:
    return status;
}

/* The status of the verdict, the same on all ranks. */
static gr_status verdict(struct exchange *exchange) {
    if (exchange->head.status == GR_OK) return GR_OK;
    return gr_fail((gr_status)exchange->head.status, "%.*s", (int)exchange->head.length,
                   exchange->text);
}

/*
 * Rank 0's part up to the verdict's status. `settle` is called when all were heard and well; it
 * writes the ids of the verdict.
 */
static gr_status preside(struct exchange *exchange, double deadline_s, merge_function merge,
                         gr_status (*settle)(void *context, struct exchange *exchange),
                         void *context) {
    gr_status status = GR_OK;
    uint8_t *present = NULL;
    int missing = exchange->comm->size - 1;
    GR_TRY(gr_allocate_zero((size_t)exchange->comm->size, 1, "roll", &present));
    present[0] = 1;
    gr_status heard =
        collect(exchange, gr_clock_seconds() + deadline_s, merge, context, present, &missing);
    exchange->head.n_ids = 0;
    if (heard == GR_OK && exchange->head.status == GR_OK && missing > 0)
        heard = gr_fail(GR_STOPPED, "round %u: %d of %d ranks did not report within %.0f s",
                        exchange->head.round, missing, exchange->comm->size, deadline_s);
    if (heard == GR_OK && exchange->head.status == GR_OK) heard = settle(context, exchange);
    if (heard != GR_OK) set_failure(exchange, heard, gr_message(), strlen(gr_message()));
    GR_TRY(announce(exchange, present));
out:
    gr_free(present);
    return status;
}

/* ---- closing a round ------------------------------------------------------------------------ */

static gr_status merge_members(void *context, int source, const unsigned char *ids, size_t n) {
    struct gr_roster *roster = context;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = id_at(ids, i);
        if (id >= roster->n_silos)
            return gr_fail(GR_ERROR_INTERNAL, "rank %d reports silo %u, expected 0 to %u", source,
                           id, roster->n_silos - 1);
        if (roster->member[id])
            return gr_fail(GR_ERROR_INTERNAL, "rank %d reports silo %u, which another rank has",
                           source, id);
        roster->member[id] = 1;
    }
    return GR_OK;
}

static gr_status settle_members(void *context, struct exchange *exchange) {
    const struct gr_roster *roster = context;
    for (uint32_t i = 0; i < roster->n_silos; i++)
        if (roster->member[i]) exchange->ids[exchange->head.n_ids++] = i;
    return GR_OK;
}

gr_status gr_control_close_round(struct gr_comm *comm, struct gr_roster *roster, gr_status mine,
                                 double deadline_s) {
    gr_status status = GR_OK;
    struct exchange exchange;
    GR_TRY(exchange_start(comm, roster->round, mine, roster->n_silos, &exchange));
    exchange.head.stop = roster->stop_requested;
    if (mine == GR_OK) GR_TRY(settle_members(roster, &exchange));
    memset(roster->member, 0, roster->n_silos);
    if (comm->rank == 0)
        GR_TRY(preside(&exchange, deadline_s, merge_members, settle_members, roster));
    else
        GR_TRY(report(&exchange, gr_clock_seconds() + deadline_s));
    GR_TRY(verdict(&exchange));
    memset(roster->member, 0, roster->n_silos);
    GR_TRY(merge_members(roster, 0, (const unsigned char *)exchange.ids, exchange.head.n_ids));
    roster->n_members = exchange.head.n_ids;
    roster->stop_requested = exchange.head.stop != 0;
out:
    exchange_release(&exchange);
    return status;
}

gr_status gr_roster_create(uint32_t n_silos, struct gr_roster *out) {
    *out = (struct gr_roster){.n_silos = n_silos};
    return gr_allocate_zero(n_silos, sizeof *out->member, "roster", &out->member);
}

void gr_roster_release(struct gr_roster *roster) {
    gr_free(roster->member);
    *roster = (struct gr_roster){0};
}

/* ---- roll call ------------------------------------------------------------------------------ */

struct hosts {
    int32_t *host_of;
    uint32_t n_silos;
};

static gr_status merge_hosts(void *context, int source, const unsigned char *ids, size_t n) {
    const struct hosts *hosts = context;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = id_at(ids, i);
        if (id >= hosts->n_silos)
            return gr_fail(GR_ERROR_INTERNAL, "rank %d announces silo %u, expected 0 to %u", source,
                           id, hosts->n_silos - 1);
        if (hosts->host_of[id] >= 0)
            return gr_fail(GR_ERROR_INTERNAL, "ranks %d and %d both announce silo %u",
                           hosts->host_of[id], source, id);
        hosts->host_of[id] = source;
    }
    return GR_OK;
}

static gr_status settle_hosts(void *context, struct exchange *exchange) {
    const struct hosts *hosts = context;
    for (uint32_t i = 0; i < hosts->n_silos; i++) {
        if (hosts->host_of[i] < 0)
            return gr_fail(GR_ERROR_INTERNAL, "no rank announces silo %u of %u", i, hosts->n_silos);
        exchange->ids[i] = (uint32_t)hosts->host_of[i];
    }
    exchange->head.n_ids = hosts->n_silos;
    return GR_OK;
}

gr_status gr_control_roll_call(struct gr_comm *comm, const uint32_t *silos, size_t n_local,
                               uint32_t n_silos, int32_t *host_of, double deadline_s) {
    gr_status status = GR_OK, mine = GR_OK;
    struct exchange exchange;
    struct hosts hosts = {host_of, n_silos};
    if (n_local > n_silos)
        mine = gr_fail(GR_ERROR_INTERNAL, "rank %d announces %zu silos of %u", comm->rank, n_local,
                       n_silos);
    GR_TRY(exchange_start(comm, 0, mine, n_silos, &exchange));
    for (uint32_t i = 0; i < n_silos; i++)
        host_of[i] = -1;
    if (mine == GR_OK) {
        memcpy(exchange.ids, silos, n_local * sizeof *silos);
        exchange.head.n_ids = (uint32_t)n_local;
    }
    if (comm->rank == 0)
        GR_TRY(preside(&exchange, deadline_s, merge_hosts, settle_hosts, &hosts));
    else
        GR_TRY(report(&exchange, gr_clock_seconds() + deadline_s));
    GR_TRY(verdict(&exchange));
    for (uint32_t i = 0; i < n_silos && i < exchange.head.n_ids; i++)
        host_of[i] = (int32_t)exchange.ids[i];
out:
    exchange_release(&exchange);
    return status;
}
