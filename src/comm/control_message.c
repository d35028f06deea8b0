/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the control plane: sending, taking in, sorting.
 *
 * Sorting applies a message's effect on what is known of peers at once; decisions and invitations
 * are only put aside, for the view change to take.
 */
#include "comm/control_message.h"

#include <string.h>

#include "comm/communicator.h"
#include "comm/view_change.h"

/* ---- sending -------------------------------------------------------------------------------- */

static void count_sent(struct gr_comm *comm, const struct gr_packet *packet) {
    struct gr_control_message_head head;
    memcpy(&head, packet->content, sizeof head);
    struct gr_control_sent *sent = &comm->control_sent[head.kind];
    sent->messages++;
    sent->bytes += packet->bytes;
    if (packet->bytes > sent->largest) sent->largest = packet->bytes;
    comm->bytes_sent += packet->bytes;
    comm->bytes_control += packet->bytes;
}

/* A peer of the same node may be asleep on its event and not in MPI: it is woken. */
static void wake(struct gr_comm *comm, int slot) {
    const int rank = comm->rank_of[slot];
    if (rank >= 0 && comm->places[rank].node == comm->node_index &&
        comm->window.part[comm->places[rank].node_rank])
        gr_wait_event_signal(&gr_comm_member(comm, comm->places[rank].node_rank)->doorbell);
}

gr_status gr_packet_start(struct gr_comm *comm, int slot, int tag, struct gr_packet *packet) {
    int code = MPI_Isend(packet->content, (int)packet->bytes, MPI_BYTE, slot - comm->first, tag,
                         comm->control, &packet->request);
    if (code != MPI_SUCCESS) {
        /* A peer that cannot be reached will be found missing, but not by this message. */
        gr_status failed = gr_detect_error(comm, code, "MPI_Isend");
        gr_free(packet);
        return failed == GR_LOST ? GR_OK : failed;
    }
    packet->peer = slot;
    packet->next = comm->mailbox.outgoing;
    comm->mailbox.outgoing = packet;
    wake(comm, slot);
    return GR_OK;
}

/*
 * A copy for each receiver, since MPI owns the memory until the request is complete and the caller
 * does not wait. Sending never fails because of the receiver.
 */
static gr_status send_packet(struct gr_comm *comm, int slot, const struct gr_packet *packet) {
    gr_status status = GR_OK;
    struct gr_packet *copy = NULL;
    if (comm->peers[slot].dead || slot == comm->slot) return GR_OK;
    count_sent(comm, packet);
    if (gr_link_is_foreign(comm->link, slot))
        return gr_link_send_control(comm, slot, packet->content, packet->bytes);
    GR_TRY(gr_packet_create(packet->bytes, &copy));
    memcpy(copy->content, packet->content, packet->bytes);
    status = gr_packet_start(comm, slot, GR_TAG_CONTROL, copy);
out:
    return status;
}

gr_status gr_control_message_send(struct gr_comm *comm, const uint32_t *slots, size_t n,
                                  const struct gr_control_message *message) {
    gr_status status = GR_OK;
    struct gr_packet *packet = NULL;
    GR_TRY(gr_packet_pack(message, &packet));
    for (size_t i = 0; i < n; i++)
        GR_TRY(send_packet(comm, (int)slots[i], packet));
out:
    gr_free(packet);
    return status;
}

size_t gr_control_children(const struct gr_comm *comm, uint32_t *slots) {
    size_t n = 0;
    const int children = gr_tree_children(comm);
    for (int i = 0; gr_comm_leads(comm) && i < children; i++)
        slots[n++] = (uint32_t)comm->leader_of[gr_tree_child(comm, i)];
    const int first = comm->node_rank * GR_CONTROL_CHILDREN + 1;
    for (int i = first; i < first + GR_CONTROL_CHILDREN && i < comm->node_size; i++)
        slots[n++] = (uint32_t)comm->node_slot[i];
    return n;
}

/*
 * A decision that closes a round goes along the tree as soon as it has come, whatever this rank is
 * about. It is sent so only while nobody is missed. Where a rank on the way dies or hangs after
 * all, it is missed by everybody in the sum that follows; those whom the decision has not reached
 * answer the invitation to a new membership, whose decision comes straight from who leads.
 */
static gr_status pass_on(struct gr_comm *comm, const struct gr_control_message *message,
                         const struct gr_packet *packet) {
    gr_status status = GR_OK;
    const struct gr_control_message_head *head = &message->head;
    const int from = comm->rank_of[message->peer];
    uint32_t *to = NULL;
    if (head->kind != GR_CONTROL_DECISION || !(head->flags & GR_FLAG_PASS_ON)) return GR_OK;
    if (head->epoch != comm->epoch || from < 0 || from >= comm->rank) return GR_OK;
    GR_TRY(gr_allocate((size_t)comm->slots, sizeof *to, "members", &to));
    const size_t n = gr_control_children(comm, to);
    for (size_t i = 0; i < n; i++)
        GR_TRY(send_packet(comm, (int)to[i], packet));
out:
    gr_free(to);
    return status;
}

gr_status gr_control_message_send_plain(struct gr_comm *comm, int slot,
                                        const struct gr_control_message_head *head) {
    const struct gr_control_message message = {.head = *head};
    return gr_control_message_send(comm, &(uint32_t){(uint32_t)slot}, 1, &message);
}

/* ---- sorting -------------------------------------------------------------------------------- */

/* The latest message of a kind replaces an unread one: this bounds the memory, and an older report
 * says nothing that a newer one does not. */
static void keep(struct gr_control_message **place, struct gr_control_message *message) {
    gr_free(*place);
    *place = message;
}

/*
 * Deaths that another rank knows of. `gone` is stronger than `dead`: the process was seen to have
 * ended, by the kernel of its own host; only a rank of the same host can pass this on. MPI's word
 * for a failure may also mean a broken link, behind which the peer goes on. In a study a site knows
 * of its own job alone.
 */
static void learn_deaths(struct gr_comm *comm, const struct gr_control_message *message) {
    const bool trusted = gr_link_trusts(comm, message->peer);
    const uint32_t party = gr_comm_party(comm, message->peer);
    for (uint32_t i = 0; i < message->head.n_slots; i++) {
        uint32_t slot = message->slots[i];
        if (slot >= (uint32_t)comm->slots || (int)slot == comm->slot) continue;
        if (!trusted && gr_comm_party(comm, (int)slot) != party) continue;
        struct gr_peer *peer = &comm->peers[slot];
        peer->dead = true;
        peer->gone = peer->gone || peer->host == comm->peers[message->peer].host;
        if (comm->rank_of[slot] >= 0) comm->lost = true;
    }
}

static uint32_t leading_slot(const struct gr_comm *comm) {
    return comm->out ? 0 : 1 + (uint32_t)comm->slot_of[gr_view_change_leader(comm)];
}

/* While this rank is out it asks whoever leads to be taken in. */
static void note_leader(struct gr_comm *comm, const struct gr_control_message *message) {
    const uint32_t told = message->head.view_change;
    if (told > 0 && told <= (uint32_t)comm->slots) comm->leads = (int)told - 1;
}

/* To a rank that still acts in an earlier epoch: it is out, and is to ask to be taken in. */
static gr_status tell_excluded(struct gr_comm *comm, int slot) {
    return gr_control_message_send_plain(
        comm, slot,
        &(struct gr_control_message_head){.kind = GR_CONTROL_EXCLUDED,
                                          .epoch = comm->epoch,
                                          .view_change = leading_slot(comm),
                                          .round = comm->situation.round});
}

/*
 * A sign of life says how long ago its sender was at work, or heard of somebody who was: what has
 * been heard gets older from rank to rank, so that ranks that wait for each other find out.
 */
static gr_status send_pong(struct gr_comm *comm, int slot) {
    const double most_s = UINT32_MAX / 1000;
    return gr_control_message_send_plain(
        comm, slot,
        &(struct gr_control_message_head){
            .kind = GR_CONTROL_PONG,
            .epoch = comm->epoch,
            .view_change = leading_slot(comm),
            .round = (uint32_t)(1e3 * (comm->idle_s < most_s ? comm->idle_s : most_s))});
}

/* The younger of both times holds: somebody was at work at that moment. */
static void take_pong(struct gr_comm *comm, const struct gr_control_message *message) {
    const double idle_s = 1e-3 * message->head.round;
    if (idle_s < comm->idle_s) comm->idle_s = idle_s;
    note_leader(comm, message);
}

/*
 * The same within a node, without messages. Both times are of the host's clock, so that what a rank
 * has heard of work gets older by itself, whoever passes it on.
 */
static void give_sign(struct gr_comm *comm) {
    if (!comm->window.mine.base) return;
    struct gr_member *mine = &((struct gr_comm_node *)comm->window.mine.base)->member;
    const double now = gr_clock_seconds();
    atomic_store_explicit(&mine->alive_s, now, memory_order_relaxed);
    atomic_store_explicit(&mine->worked_s, now - comm->idle_s, memory_order_relaxed);
}

bool gr_control_sees(struct gr_comm *comm, int slot, double within_s) {
    const int rank = comm->rank_of[slot];
    if (rank < 0 || comm->places[rank].node != comm->node_index) return false;
    if (!comm->window.part[comm->places[rank].node_rank]) return false;
    struct gr_member *member = gr_comm_member(comm, comm->places[rank].node_rank);
    struct gr_peer *peer = &comm->peers[slot];
    const double now = gr_clock_seconds();
    if (now - atomic_load_explicit(&member->alive_s, memory_order_relaxed) > within_s) return false;
    const double idle_s = now - atomic_load_explicit(&member->worked_s, memory_order_relaxed);
    if (idle_s < comm->idle_s) comm->idle_s = idle_s > 0 ? idle_s : 0;
    peer->silent_s = peer->pinged_s = 0;
    peer->unanswered = peer->given_up = false;
    return true;
}

/*
 * A report: of a member, or of one that has been out since an earlier epoch. Deaths told by a
 * non-member of an earlier epoch are not believed: the slots may have been filled anew since.
 * Whoever asks to join is answered by a sign of life, by which it knows that asking is worth while.
 */
static gr_status sort_report(struct gr_comm *comm, struct gr_control_message *message) {
    const bool member = comm->rank_of[message->peer] >= 0;
    const uint32_t kind = message->head.kind;
    gr_status status = GR_OK;
    if (message->head.epoch >= comm->epoch || member) learn_deaths(comm, message);
    if (kind == GR_CONTROL_TROUBLE && member) {
        comm->lost = true;
        comm->overdue = comm->overdue || (message->head.flags & GR_FLAG_OVERDUE);
    }
    if (!member && message->head.epoch < comm->epoch && kind != GR_CONTROL_JOIN &&
        kind != GR_CONTROL_ANSWER)
        status = tell_excluded(comm, message->peer);
    if (kind == GR_CONTROL_JOIN && !comm->out) status = send_pong(comm, message->peer);
    /* Apart: a report may be sent while the invitation is still on its way. */
    struct gr_peer *peer = &comm->peers[message->peer];
    keep(kind == GR_CONTROL_ANSWER ? &peer->answer : &peer->report, message);
    return status;
}

/* Whether a decision that waits must not give way to `other`, which came by another way. */
static bool is_later(const struct gr_control_message *waiting,
                     const struct gr_control_message *other) {
    if (!waiting) return false;
    if (waiting->head.epoch != other->head.epoch) return waiting->head.epoch > other->head.epoch;
    return waiting->head.round > other->head.round;
}

/*
 * Takes ownership of the message: it is either put aside or freed. Messages of epochs gone by have
 * no effect, but for the two cases in which the sender must be told that it is behind. Setting
 * `lost` ends this epoch's collectives at the next wait of this rank.
 */
static gr_status sort_message(struct gr_comm *comm, struct gr_control_message *message) {
    struct gr_mailbox *mailbox = &comm->mailbox;
    const uint32_t epoch = message->head.epoch;
    gr_status status = GR_OK;
    /* Who asks to be taken in is no member that one could wait for. */
    if (message->head.kind != GR_CONTROL_JOIN) {
        comm->peers[message->peer].silent_s = 0;
        comm->peers[message->peer].unanswered = false;
        comm->peers[message->peer].given_up = false;
    }
    switch (message->head.kind) {
    case GR_CONTROL_READY:
    case GR_CONTROL_TROUBLE:
    case GR_CONTROL_JOIN:
    case GR_CONTROL_ANSWER:
        return sort_report(comm, message);
    case GR_CONTROL_INVITATION:
        if (epoch >= comm->epoch) {
            comm->lost = true;
            keep(&mailbox->invitation, message);
            return GR_OK;
        }
        /* Of a member: it has missed the decision that began this epoch; all must meet again. */
        if (comm->rank_of[message->peer] < 0)
            status = tell_excluded(comm, message->peer);
        else
            comm->lost = true;
        break;
    case GR_CONTROL_DECISION:
        if (epoch < comm->epoch || is_later(mailbox->decision, message)) break;
        if (epoch > comm->epoch) comm->lost = true;
        keep(&mailbox->decision, message);
        return GR_OK;
    case GR_CONTROL_EXCLUDED:
        if (epoch <= comm->epoch) break;
        note_leader(comm, message);
        /* The end is no loss: it may be told to a member that is still about to agree on it. */
        if (epoch != GR_EPOCH_OVER) comm->lost = true;
        keep(&mailbox->excluded, message);
        return GR_OK;
    case GR_CONTROL_PING:
        status = send_pong(comm, message->peer);
        break;
    case GR_CONTROL_PONG:
        take_pong(comm, message);
        break;
    default:
        break;
    }
    gr_free(message);
    return status;
}

/* ---- taking in ------------------------------------------------------------------------------ */

static struct gr_control_limits limits_of(const struct gr_comm *comm) {
    return (struct gr_control_limits){.slots = (size_t)comm->slots, .silos = comm->ids_max};
}

/* At the end of the list: of a peer's messages the earlier is sorted first. */
void gr_packet_arrived(struct gr_comm *comm, struct gr_packet *packet) {
    struct gr_packet **end = &comm->mailbox.incoming;
    while (*end)
        end = &(*end)->next;
    *end = packet;
}

/* The largest message that a peer can honestly send by this tag. */
static size_t most_bytes(const struct gr_comm *comm, int tag) {
    const struct gr_control_limits limits = limits_of(comm);
    return tag == GR_TAG_PARCEL ? gr_link_parcel_most() : gr_packet_most(&limits);
}

/* Begins to receive all that has arrived. A matched probe (MPI_Improbe) fixes the message that the
 * receive takes, whatever else comes meanwhile; the size is checked before memory is allocated. */
static gr_status take_in(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_packet *packet = NULL;
    const int any = comm->link ? MPI_ANY_TAG : GR_TAG_CONTROL;
    for (;;) {
        MPI_Message matched;
        MPI_Status came;
        int flag = 0, bytes = 0;
        int code = MPI_Improbe(MPI_ANY_SOURCE, any, comm->control, &flag, &matched, &came);
        if (code != MPI_SUCCESS) {
            gr_status failed = gr_detect_error(comm, code, "MPI_Improbe");
            return failed == GR_LOST ? GR_OK : failed;
        }
        if (!flag) return GR_OK;
        GR_TRY_MPI(MPI_Get_count(&came, MPI_BYTE, &bytes));
        const int peer = came.MPI_SOURCE + comm->first;
        const size_t most = most_bytes(comm, came.MPI_TAG);
        if (bytes < 0 || (size_t)bytes > most)
            return gr_fail(GR_ERROR_INTERNAL, "a message of %d bytes from slot %d, at most %zu",
                           bytes, peer, most);
        GR_TRY(gr_packet_create((size_t)bytes, &packet));
        packet->peer = peer;
        packet->parcel = came.MPI_TAG == GR_TAG_PARCEL;
        GR_TRY_MPI(MPI_Imrecv(packet->content, bytes, MPI_BYTE, &matched, &packet->request));
        gr_packet_arrived(comm, packet);
        packet = NULL;
    }
out:
    gr_free(packet);
    return status;
}

/* Whether an earlier message of the same peer is still under way. */
static bool waits_behind(const struct gr_packet *first, const struct gr_packet *packet) {
    while (first != packet && first->peer != packet->peer)
        first = first->next;
    return first != packet;
}

/* Silos in ascending order, each of them the slot's. */
static bool are_silos_of(const struct gr_comm *comm, int slot, const uint32_t *said, uint32_t n,
                         unsigned shift, uint32_t mask) {
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t silo = (said[i] & mask) >> shift;
        if (silo >= comm->ids_max || comm->host_of[silo] != slot) return false;
        if (i > 0 && silo <= (said[i - 1] & mask) >> shift) return false;
    }
    return true;
}

/*
 * A report of a site: of its own silos, each once; without a failure, for then the site leaves; and
 * not further than a step beyond this rank, for each step ends with an agreement of all. Before the
 * first round positions are counted otherwise.
 */
static gr_status check_report(const struct gr_comm *comm, const struct gr_control_message *said) {
    enum { STEPS = 4 }; /* of a round, from open to open */
    const struct gr_control_message_head *head = &said->head;
    const struct gr_situation *own = &comm->situation;
    const char *what = NULL;
    if (!are_silos_of(comm, said->peer, said->ids, head->n_ids, 0, ~GR_CONTROL_ANEW) ||
        !are_silos_of(comm, said->peer, said->sat, head->n_sat, 3, UINT32_MAX))
        what = "of silos that are not its own";
    else if (head->status != GR_OK)
        what = "of a failure that is its own";
    else if (!comm->starting && (uint64_t)head->round * STEPS + head->phase >
                                    (uint64_t)own->round * STEPS + (uint64_t)own->phase + 1)
        what = "of a round that is not reached";
    if (!what) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "a report of %s is %s",
                   gr_comm_party_name(comm, gr_comm_party(comm, said->peer)), what);
}

static bool is_report(const struct gr_control_message *message) {
    switch (message->head.kind) {
    case GR_CONTROL_READY:
    case GR_CONTROL_TROUBLE:
    case GR_CONTROL_JOIN:
    case GR_CONTROL_ANSWER:
        return true;
    default:
        return false;
    }
}

/* Whether a message of a site is to be passed over: of what only the coordinator may say. */
static bool is_presumed(const struct gr_control_message *message) {
    switch (message->head.kind) {
    case GR_CONTROL_INVITATION:
    case GR_CONTROL_DECISION:
    case GR_CONTROL_EXCLUDED:
        return true;
    default:
        return false;
    }
}

/* Of another site: *message NULL: there is nothing in it to be taken in. Sites do not judge each
 * other; the coordinator gives up the one whose message does not hold together. */
static gr_status open_foreign(struct gr_comm *comm, const struct gr_packet *packet,
                              struct gr_control_message **message) {
    const struct gr_control_limits limits = limits_of(comm);
    const bool judges = gr_comm_party(comm, comm->slot) == 0;
    gr_status status = gr_packet_unpack(packet, &limits, message);
    if (status == GR_ERROR_INTERNAL)
        status = gr_fail_context(
            status, "%s: ", gr_comm_party_name(comm, gr_comm_party(comm, packet->peer)));
    if (status == GR_OK && judges && comm->host_of && is_report(*message))
        status = check_report(comm, *message);
    if (status == GR_ERROR_INTERNAL || (*message && is_presumed(*message))) {
        gr_free(*message);
        *message = NULL;
    }
    if (status == GR_ERROR_INTERNAL && !judges) return GR_OK;
    return gr_link_contain(comm, packet->peer, status);
}

/* Takes ownership of a packet that is complete. */
static gr_status open_packet(struct gr_comm *comm, struct gr_packet *packet) {
    const struct gr_control_limits limits = limits_of(comm);
    struct gr_control_message *message = NULL;
    gr_status status = GR_OK;
    if (packet->parcel) {
        status = gr_link_take(comm, packet->content, packet->bytes);
        goto out;
    }
    if (gr_link_trusts(comm, packet->peer))
        GR_TRY(gr_packet_unpack(packet, &limits, &message));
    else
        GR_TRY(open_foreign(comm, packet, &message));
    if (!message || (comm->link && comm->peers[packet->peer].dead)) goto out;
    GR_TRY(pass_on(comm, message, packet));
    status = sort_message(comm, message);
    message = NULL;
out:
    gr_free(message);
    gr_free(packet);
    return status;
}

/*
 * Goes over the receives under way and sorts those that are complete. Each is unlinked before it is
 * sorted, for sorting may send, and failing must not leave it in the list. A small message may be
 * complete before a large one that its peer sent earlier; it waits, for of a peer's reports the one
 * that is sorted last counts.
 */
static gr_status sort_arrived(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_packet **link = &comm->mailbox.incoming;
    while (*link) {
        struct gr_packet *packet = *link;
        int done = 0, code = MPI_SUCCESS;
        if (!waits_behind(comm->mailbox.incoming, packet))
            code = MPI_Test(&packet->request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && !done) {
            link = &packet->next;
            continue;
        }
        *link = packet->next;
        packet->next = NULL;
        if (code != MPI_SUCCESS) { /* its sender has gone; the memory is left to MPI */
            gr_status failed = gr_detect_error(comm, code, "MPI_Test");
            GR_TRY(failed == GR_LOST ? GR_OK : failed);
            continue;
        }
        GR_TRY(open_packet(comm, packet));
    }
out:
    return status;
}

/* Frees the copies that MPI has sent. A copy whose send failed is not freed, as MPI may keep a
 * reference: failures are as rare as deaths. */
static void release_taken(struct gr_comm *comm) {
    struct gr_packet **link = &comm->mailbox.outgoing;
    while (*link) {
        struct gr_packet *packet = *link;
        int done = 0;
        int code = MPI_Test(&packet->request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && !done) {
            link = &packet->next;
            continue;
        }
        *link = packet->next;
        if (code == MPI_SUCCESS) gr_free(packet); /* else left to MPI */
    }
}

/* Also lets MPI make progress while this rank waits in shared memory: every wait calls it, whether
 * messages are expected or not. */
gr_status gr_mailbox_poll(struct gr_comm *comm) {
    gr_status status = take_in(comm);
    give_sign(comm);
    if (status == GR_OK && comm->link) status = gr_link_poll(comm);
    if (status == GR_OK) status = sort_arrived(comm);
    release_taken(comm);
    return status == GR_OK ? gr_departure_look(comm) : status;
}

/* Frees a list of messages; memory that MPI still uses stays allocated. */
static void drop(struct gr_packet *packet) {
    while (packet) {
        struct gr_packet *next = packet->next;
        int done = 0;
        if (MPI_Test(&packet->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            gr_free(packet);
        packet = next;
    }
}

/* At the end, and when a respawn replaces the world: messages of the old one are void. */
void gr_mailbox_release(struct gr_comm *comm) {
    drop(comm->mailbox.outgoing);
    drop(comm->mailbox.incoming);
    gr_free(comm->mailbox.invitation);
    gr_free(comm->mailbox.decision);
    gr_free(comm->mailbox.excluded);
    comm->mailbox = (struct gr_mailbox){0};
    for (int i = 0; comm->peers && i < comm->slots; i++) {
        gr_free(comm->peers[i].report);
        gr_free(comm->peers[i].answer);
        comm->peers[i].report = comm->peers[i].answer = NULL;
    }
}
