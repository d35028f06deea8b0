/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the leaders of nodes along a binary tree whose root is rank 0.
 *
 * Point-to-point messages rather than MPI_Ireduce and MPI_Ibcast: each wait then has one peer, whom
 * the deadline can name; an abandoned one leaves no schedule behind in the library; and Open MPI's
 * non-blocking reduction takes five times as long as its blocking one.
 */
#include <limits.h>

#include "comm/communicator.h"

int gr_tree_parent(const struct gr_comm *comm) {
    return comm->node_index == 0 ? -1 : (comm->node_index - 1) / GR_TREE_CHILDREN;
}

int gr_tree_children(const struct gr_comm *comm, int *first) {
    *first = comm->node_index * GR_TREE_CHILDREN + 1;
    int n = comm->nodes - *first;
    if (n < 0) n = 0;
    return n < GR_TREE_CHILDREN ? n : GR_TREE_CHILDREN;
}

gr_status gr_tree_send(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n,
                       MPI_Request *request) {
    gr_status status = GR_OK;
    if (n > INT_MAX) return gr_fail(GR_ERROR_INTERNAL, "message of %zu bytes", n);
    comm->bytes_sent += n;
    GR_TRY_MPI(MPI_Isend(bytes, (int)n, MPI_BYTE, leader, tag, comm->leaders, request));
out:
    return status;
}

gr_status gr_tree_receive(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n,
                          MPI_Request *request) {
    gr_status status = GR_OK;
    if (n > INT_MAX) return gr_fail(GR_ERROR_INTERNAL, "message of %zu bytes", n);
    GR_TRY_MPI(MPI_Irecv(bytes, (int)n, MPI_BYTE, leader, tag, comm->leaders, request));
out:
    return status;
}

gr_status gr_tree_wait(struct gr_comm *comm, int leader, const char *what, MPI_Request *request) {
    return gr_wait_request(comm, request, GR_COMM_DEADLINE_S, what, comm->leader_of[leader]);
}

static gr_status receive_now(struct gr_comm *comm, int leader, int tag, void *bytes, size_t n) {
    gr_status status = GR_OK;
    MPI_Request request;
    GR_TRY(gr_tree_receive(comm, leader, tag, bytes, n, &request));
    GR_TRY(gr_tree_wait(comm, leader, "a sum or broadcast between nodes", &request));
out:
    return status;
}

static gr_status send_now(struct gr_comm *comm, int leader, int tag, const void *bytes, size_t n) {
    gr_status status = GR_OK;
    MPI_Request request;
    GR_TRY(gr_tree_send(comm, leader, tag, bytes, n, &request));
    GR_TRY(gr_tree_wait(comm, leader, "a sum or broadcast between nodes", &request));
out:
    return status;
}

gr_status gr_tree_broadcast(struct gr_comm *comm, void *bytes, size_t n) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(comm, &first), parent = gr_tree_parent(comm);
    if (parent >= 0) GR_TRY(receive_now(comm, parent, GR_TREE_TAG_DOWN, bytes, n));
    for (int i = 0; i < children; i++)
        GR_TRY(send_now(comm, first + i, GR_TREE_TAG_DOWN, bytes, n));
out:
    return status;
}

gr_status gr_tree_all(struct gr_comm *comm, void *values, void *scratch, size_t count,
                      size_t element_size, gr_combine_function combine) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(comm, &first), parent = gr_tree_parent(comm);
    size_t bytes = count * element_size;
    for (int i = 0; i < children; i++) {
        GR_TRY(receive_now(comm, first + i, GR_TREE_TAG_UP, scratch, bytes));
        combine(values, scratch, count);
    }
    if (parent >= 0) GR_TRY(send_now(comm, parent, GR_TREE_TAG_UP, values, bytes));
    GR_TRY(gr_tree_broadcast(comm, values, bytes));
out:
    return status;
}
