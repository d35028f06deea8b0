/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the leaders of nodes, mostly along a binary tree whose root is rank 0.
 *
 * Point-to-point messages rather than MPI_Ireduce and MPI_Ibcast: each wait then has one peer, whom
 * a loss can name; an abandoned one leaves no schedule behind in the library; they go on when the
 * membership changes, without a new communicator; and Open MPI's non-blocking reduction takes five
 * times as long as its blocking one.
 */
#include <limits.h>

#include "comm/communicator.h"

/*
 * With jobs the tree is laid out by gr_membership_enter: letters lead from sites to the coordinator
 * alone, and nobody but it is to see what a site adds up.
 */
int gr_tree_parent(const struct gr_comm *comm) {
    if (comm->link) return comm->tree_parent;
    return comm->node_index == 0 ? -1 : (comm->node_index - 1) / GR_TREE_CHILDREN;
}

int gr_tree_children(const struct gr_comm *comm) {
    if (comm->link) return comm->tree_children;
    const int n = comm->nodes - gr_tree_child(comm, 0);
    if (n < 0) return 0;
    return n < GR_TREE_CHILDREN ? n : GR_TREE_CHILDREN;
}

int gr_tree_child(const struct gr_comm *comm, int i) {
    return comm->link ? comm->tree_child[i] : comm->node_index * GR_TREE_CHILDREN + 1 + i;
}

enum { TAGS = 32, EPOCHS_MAX = 1 << 20 };

/* A library need not offer more tags than up to 32767 (MPI-3.1, 8.1.2), which are those of 1,024
 * epochs; a larger tag is an error. */
gr_status gr_message_start(struct gr_comm *comm) {
    gr_status status = GR_OK;
    int *most = NULL, found = 0;
    GR_TRY_MPI(MPI_Comm_get_attr(comm->world, MPI_TAG_UB, &most, &found));
    const int64_t tags = (found ? (int64_t)*most : 32767) + 1;
    comm->tag_epochs = tags / TAGS < EPOCHS_MAX ? (uint32_t)(tags / TAGS) : EPOCHS_MAX;
out:
    return status;
}

/* The epoch is in the tag: a message that an earlier epoch left under way meets no receive of this
 * one, until as many epochs have gone by as the library's tags tell apart. */
int gr_message_tag(const struct gr_comm *comm, int tag) {
    return (int)(comm->epoch % comm->tag_epochs) * TAGS + tag;
}

/* Nothing is sent in an epoch that has ended: the peer may have left it, and MPI would keep the
 * memory for a message that nobody takes. */
gr_status gr_message_send(struct gr_comm *comm, int slot, int tag, const void *bytes, size_t n,
                          struct gr_message *message) {
    *message = GR_NO_MESSAGE;
    if (n > INT_MAX) return gr_fail(GR_ERROR_INTERNAL, "message of %zu bytes", n);
    if (comm->lost) return gr_comm_lose(comm, "the membership changes");
    comm->bytes_sent += n;
    if (gr_link_is_foreign(comm->link, slot)) {
        comm->bytes_parties += n;
        return gr_link_send(comm, slot, tag, bytes, n, &message->ticket);
    }
    comm->bytes_between += n;
    slot -= comm->first;
    return gr_detect_error(comm,
                           MPI_Isend(bytes, (int)n, MPI_BYTE, slot, gr_message_tag(comm, tag),
                                     comm->world, &message->request),
                           "MPI_Isend");
}

gr_status gr_message_receive(struct gr_comm *comm, int slot, int tag, void *bytes, size_t n,
                             struct gr_message *message) {
    *message = GR_NO_MESSAGE;
    if (n > INT_MAX) return gr_fail(GR_ERROR_INTERNAL, "message of %zu bytes", n);
    if (comm->lost) return gr_comm_lose(comm, "the membership changes");
    if (gr_link_is_foreign(comm->link, slot))
        return gr_link_await(comm, slot, tag, bytes, n, &message->awaited);
    slot -= comm->first;
    return gr_detect_error(comm,
                           MPI_Irecv(bytes, (int)n, MPI_BYTE, slot, gr_message_tag(comm, tag),
                                     comm->world, &message->request),
                           "MPI_Irecv");
}

/*
 * Lets go of a request without waiting for it. A receive that nothing has matched can be cancelled;
 * a send, or a receive that is half there, cannot, and its memory must never be reused: the epoch's
 * owner sees comm->pending and leaves the memory to MPI.
 */
void gr_message_abandon(struct gr_comm *comm, struct gr_message *message) {
    int done = 0;
    MPI_Request *request = &message->request;
    if (message->awaited) gr_link_forget(comm, message->awaited);
    message->awaited = NULL;
    message->ticket = 0; /* what waits is a copy */
    if (!gr_message_under_way(message)) return;
    if (MPI_Test(request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done) return;
    /* A receive that nothing has matched can be cancelled; a receive that is half there cannot. */
    if (*request != MPI_REQUEST_NULL && MPI_Cancel(request) == MPI_SUCCESS &&
        MPI_Test(request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
        return;
    comm->pending++;
}

gr_status gr_tree_send(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n,
                       struct gr_message *message) {
    return gr_message_send(comm, comm->leader_of[leader], tag, bytes, n, message);
}

gr_status gr_tree_receive(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n,
                          struct gr_message *message) {
    return gr_message_receive(comm, comm->leader_of[leader], tag, bytes, n, message);
}

gr_status gr_tree_wait(struct gr_comm *comm, int leader, const char *what,
                       struct gr_message *message, size_t n) {
    return gr_wait_request(comm, message, what, comm->leader_of[leader], n);
}

gr_status gr_tree_look(struct gr_comm *comm, int leader, const char *what,
                       struct gr_message *message, size_t n, bool *done) {
    return gr_wait_look(comm, message, what, comm->leader_of[leader], n, done);
}

/*
 * A receive and its wait; abandoned on failure, so no message of this call outlives it uncounted.
 */
static gr_status receive_now(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n) {
    gr_status status = GR_OK;
    struct gr_message message = GR_NO_MESSAGE;
    GR_TRY(gr_tree_receive(comm, leader, tag, bytes, n, &message));
    GR_TRY(gr_tree_wait(comm, leader, "a sum or broadcast between nodes", &message, n));
out:
    if (status != GR_OK) gr_message_abandon(comm, &message);
    return status;
}

static gr_status send_now(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n) {
    gr_status status = GR_OK;
    struct gr_message message = GR_NO_MESSAGE;
    GR_TRY(gr_tree_send(comm, leader, tag, bytes, n, &message));
    GR_TRY(gr_tree_wait(comm, leader, "a sum or broadcast between nodes", &message, 0));
out:
    if (status != GR_OK) gr_message_abandon(comm, &message);
    return status;
}

/* Children are served one after the other: two at most but for the coordinator of a study, and
 * small messages. */
gr_status gr_tree_broadcast(struct gr_comm *comm, void *bytes, size_t n) {
    gr_status status = GR_OK;
    const int children = gr_tree_children(comm), parent = gr_tree_parent(comm);
    if (parent >= 0) GR_TRY(receive_now(comm, parent, GR_TREE_TAG_DOWN, bytes, n));
    for (int i = 0; i < children; i++)
        GR_TRY(send_now(comm, gr_tree_child(comm, i), GR_TREE_TAG_DOWN, bytes, n));
out:
    return status;
}

gr_status gr_tree_refuse(struct gr_comm *comm, int slot, const char *what) {
    gr_status status = gr_fail(GR_ERROR_INTERNAL, "%s brings values to %s that cannot be",
                               gr_comm_party_name(comm, gr_comm_party(comm, slot)), what);
    status = gr_link_contain(comm, slot, status);
    return status == GR_OK ? gr_comm_lose(comm, "the membership changes") : status;
}

/* What a site brings to an exchange of the coordinator's; where it cannot be, the others go on
 * without the site. */
static gr_status check_values(struct gr_comm *comm, int leader, const void *values, size_t count) {
    const int slot = comm->leader_of[leader];
    if (!comm->holds || gr_link_trusts(comm, slot) || gr_comm_party(comm, comm->slot) > 0 ||
        comm->holds(comm, slot, values, count))
        return GR_OK;
    return gr_tree_refuse(comm, slot, "an exchange");
}

/* Up the tree and down again, 2 log2(nodes) messages one after the other. */
static gr_status combine_by_tree(struct gr_comm *comm, void *values, void *scratch, size_t count,
                                 size_t element_size, gr_combine_function combine) {
    gr_status status = GR_OK;
    const int children = gr_tree_children(comm), parent = gr_tree_parent(comm);
    size_t bytes = count * element_size;
    for (int i = 0; i < children; i++) {
        GR_TRY(receive_now(comm, gr_tree_child(comm, i), GR_TREE_TAG_UP, scratch, bytes));
        GR_TRY(check_values(comm, gr_tree_child(comm, i), scratch, count));
        combine(values, scratch, count);
    }
    if (parent >= 0) GR_TRY(send_now(comm, parent, GR_TREE_TAG_UP, values, bytes));
    GR_TRY(gr_tree_broadcast(comm, values, bytes));
out:
    return status;
}

/* Both at once: what this leader has goes to another, whose values come into `scratch`. */
static gr_status swap(struct gr_comm *comm, int leader, const void *values, void *scratch,
                      size_t n) {
    static const char what[] = "a sum or broadcast between nodes";
    gr_status status = GR_OK;
    struct gr_message receive = GR_NO_MESSAGE, send = GR_NO_MESSAGE;
    GR_TRY(gr_tree_receive(comm, leader, GR_TREE_TAG_UP, scratch, n, &receive));
    GR_TRY(gr_tree_send(comm, leader, GR_TREE_TAG_UP, values, n, &send));
    GR_TRY(gr_tree_wait(comm, leader, what, &receive, n));
    GR_TRY(gr_tree_wait(comm, leader, what, &send, 0));
out:
    if (status != GR_OK) gr_message_abandon(comm, &receive);
    if (status != GR_OK) gr_message_abandon(comm, &send);
    return status;
}

/*
 * Recursive doubling (Thakur, Rabenseifner, Gropp 2005): in turn k each leader swaps with the one
 * whose index differs in bit k, log2(nodes) messages one after the other. Leaders beyond the
 * largest power of two, `even`, give theirs to one below it before, and get the result behind.
 */
static gr_status combine_by_doubling(struct gr_comm *comm, int even, void *values, void *scratch,
                                     size_t count, size_t element_size,
                                     gr_combine_function combine) {
    gr_status status = GR_OK;
    const int me = comm->node_index, partner = me < even ? me + even : me - even;
    const size_t bytes = count * element_size;
    if (me >= even) {
        GR_TRY(send_now(comm, partner, GR_TREE_TAG_UP, values, bytes));
        return receive_now(comm, partner, GR_TREE_TAG_DOWN, values, bytes);
    }
    if (partner < comm->nodes) {
        GR_TRY(receive_now(comm, partner, GR_TREE_TAG_UP, scratch, bytes));
        combine(values, scratch, count);
    }
    for (int bit = 1; bit < even; bit *= 2) {
        GR_TRY(swap(comm, me ^ bit, values, scratch, bytes));
        combine(values, scratch, count);
    }
    if (partner < comm->nodes) GR_TRY(send_now(comm, partner, GR_TREE_TAG_DOWN, values, bytes));
out:
    return status;
}

/*
 * Between hosts it is the way with fewer messages one after the other, which all leaders find
 * alike. On one host, where more leaders than cores may share it, the tree is faster: in each of
 * its turns fewer of them have to be awake.
 */
gr_status gr_tree_all(struct gr_comm *comm, void *values, void *scratch, size_t count,
                      size_t element_size, gr_combine_function combine) {
    int even = 1, turns = 0, levels = 0;
    for (; 2 * even <= comm->nodes; even *= 2)
        turns++;
    for (int i = comm->nodes - 1; i > 0; i = (i - 1) / GR_TREE_CHILDREN)
        levels++;
    if (even < comm->nodes) turns += 2;
    if (comm->far && turns < 2 * levels)
        return combine_by_doubling(comm, even, values, scratch, count, element_size, combine);
    return combine_by_tree(comm, values, scratch, count, element_size, combine);
}
