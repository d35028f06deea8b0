/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of sums up and down the tree of leaders. Segment k travels in buffer k % GR_RELAY_DEPTH,
 * the same for sums, for what children send and for requests; it is free when `finish` has waited
 * for all that was sent from it. All waits have a peer, which is named if it is lost.
 */
#include "comm/relay.h"

enum { TAG_SUM_UP = GR_TREE_TAG_DATA, TAG_SUM_DOWN };

gr_status gr_relay_create(struct gr_comm *comm, const struct gr_codec *codec, void *sums,
                          size_t segment, size_t size, struct gr_relay *out) {
    int first;
    *out = (struct gr_relay){
        .comm = comm, .codec = codec, .sums = sums, .segment = segment, .size = size};
    for (size_t k = 0; k < GR_RELAY_DEPTH; k++) {
        out->up[k] = out->parent[k] = MPI_REQUEST_NULL;
        for (size_t i = 0; i < GR_TREE_CHILDREN; i++)
            out->child[k][i] = out->down[k][i] = MPI_REQUEST_NULL;
    }
    size_t buffers = (size_t)gr_tree_children(comm, &first) * GR_RELAY_DEPTH;
    return gr_allocate(buffers, segment * codec->element, "segments of other nodes",
                       &out->received);
}

void gr_relay_release(struct gr_relay *relay) {
    gr_free(relay->received);
    relay->received = NULL;
}

void gr_relay_abandon(struct gr_relay *relay) {
    for (size_t k = 0; relay->comm && k < GR_RELAY_DEPTH; k++) {
        gr_message_abandon(relay->comm, &relay->up[k]);
        gr_message_abandon(relay->comm, &relay->parent[k]);
        for (size_t i = 0; i < GR_TREE_CHILDREN; i++) {
            gr_message_abandon(relay->comm, &relay->child[k][i]);
            gr_message_abandon(relay->comm, &relay->down[k][i]);
        }
    }
}

static size_t elements(const struct gr_relay *relay, size_t k) {
    size_t rest = relay->size - k * relay->segment;
    return rest < relay->segment ? rest : relay->segment;
}

static size_t bytes(const struct gr_relay *relay, size_t k) {
    return elements(relay, k) * relay->codec->element;
}

static char *sum_buffer(const struct gr_relay *relay, size_t k) {
    return relay->sums + k % GR_RELAY_DEPTH * relay->segment * relay->codec->element;
}

/* Children's segments are received beside the node's sum, not into it: they may be there before it
 * is. */
static char *child_buffer(const struct gr_relay *relay, int child, size_t k) {
    size_t buffer = (size_t)child * GR_RELAY_DEPTH + k % GR_RELAY_DEPTH;
    return relay->received + buffer * relay->segment * relay->codec->element;
}

static gr_status send_to_children(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(relay->comm, &first);
    for (int i = 0; i < children; i++)
        GR_TRY(gr_tree_send(relay->comm, first + i, TAG_SUM_DOWN, sum_buffer(relay, k),
                            bytes(relay, k), &relay->down[k % GR_RELAY_DEPTH][i]));
out:
    return status;
}

/* Two steps before `up` waits for them. */
gr_status gr_relay_expect(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(relay->comm, &first);
    for (int i = 0; i < children; i++)
        GR_TRY(gr_tree_receive(relay->comm, first + i, TAG_SUM_UP, child_buffer(relay, i, k),
                               bytes(relay, k), &relay->child[k % GR_RELAY_DEPTH][i]));
out:
    return status;
}

/* Children are added in ascending order, so float32 has the same bits on the same nodes. The root
 * has the sum over all nodes now, and sends it down at once. */
gr_status gr_relay_up(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(relay->comm, &first);
    int parent = gr_tree_parent(relay->comm);
    for (int i = 0; i < children; i++) {
        GR_TRY(gr_tree_wait(relay->comm, first + i, "a segment of its node's sum",
                            &relay->child[k % GR_RELAY_DEPTH][i], bytes(relay, k)));
        relay->codec->add(sum_buffer(relay, k), child_buffer(relay, i, k), sum_buffer(relay, k),
                          elements(relay, k));
    }
    if (parent >= 0)
        GR_TRY(gr_tree_send(relay->comm, parent, TAG_SUM_UP, sum_buffer(relay, k), bytes(relay, k),
                            &relay->up[k % GR_RELAY_DEPTH]));
    else
        GR_TRY(send_to_children(relay, k));
out:
    return status;
}

/* The same buffer serves both ways: the sum of all nodes replaces the node's own once that has
 * left. */
gr_status gr_relay_turn(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int parent = gr_tree_parent(relay->comm);
    if (parent < 0) return GR_OK;
    GR_TRY(gr_tree_wait(relay->comm, parent, "to take a segment of this node's sum",
                        &relay->up[k % GR_RELAY_DEPTH], 0));
    GR_TRY(gr_tree_receive(relay->comm, parent, TAG_SUM_DOWN, sum_buffer(relay, k), bytes(relay, k),
                           &relay->parent[k % GR_RELAY_DEPTH]));
out:
    return status;
}

gr_status gr_relay_down(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int parent = gr_tree_parent(relay->comm);
    if (parent < 0) return GR_OK;
    GR_TRY(gr_tree_wait(relay->comm, parent, "a segment of the sum over all nodes",
                        &relay->parent[k % GR_RELAY_DEPTH], bytes(relay, k)));
    GR_TRY(send_to_children(relay, k));
out:
    return status;
}

gr_status gr_relay_finish(struct gr_relay *relay, size_t k) {
    gr_status status = GR_OK;
    int first, children = gr_tree_children(relay->comm, &first);
    for (int i = 0; i < children; i++)
        GR_TRY(gr_tree_wait(relay->comm, first + i, "to take a segment of the sum",
                            &relay->down[k % GR_RELAY_DEPTH][i], 0));
out:
    return status;
}
