/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the control plane as they travel.
 *
 * A peer's counts are held against the numbers of slots and silos before anything is allocated by
 * them, and each list has to end within the packet; so a fault of a peer cannot make this rank read
 * beyond what came or allocate without bound.
 */
#include <string.h>

#include "comm/communicator.h"
#include "comm/control_message.h"
#include "comm/number_list.h"

enum { LISTS = 5 };

/* How long each list is, in the order in which they follow the head. */
static void count_lists(const struct gr_control_message_head *head, size_t counts[LISTS]) {
    counts[0] = head->n_slots;
    counts[1] = head->n_fds;
    counts[2] = head->n_changes;
    counts[3] = head->n_ids;
    counts[4] = head->n_sat;
}

/* The lists lie one behind the other; the text is last, for it alone is not a multiple of 4 bytes.
 */
gr_status gr_control_message_create(const struct gr_control_message_head *head,
                                    struct gr_control_message **out) {
    gr_status status = GR_OK;
    struct gr_control_message *message;
    size_t counts[LISTS], words = 0;
    count_lists(head, counts);
    for (size_t i = 0; i < LISTS; i++)
        words += counts[i];
    GR_TRY(gr_allocate_zero(1, sizeof *message + words * sizeof(uint32_t) + head->length,
                            "a message", &message));
    message->head = *head;
    message->slots = message->content;
    message->fds = message->slots + counts[0];
    message->changes = message->fds + counts[1];
    message->ids = message->changes + counts[2];
    message->sat = message->ids + counts[3];
    message->text = (const char *)(message->sat + counts[4]);
    *out = message;
out:
    return status;
}

gr_status gr_packet_create(size_t bytes, struct gr_packet **out) {
    gr_status status = gr_allocate(1, sizeof **out + bytes, "a message", out);
    if (status != GR_OK) return status;
    **out = (struct gr_packet){.request = MPI_REQUEST_NULL, .bytes = bytes};
    return GR_OK;
}

gr_status gr_packet_pack(const struct gr_control_message *message, struct gr_packet **out) {
    const struct gr_control_message_head *head = &message->head;
    const uint32_t *list = message->content;
    size_t counts[LISTS], most = sizeof *head + head->length;
    count_lists(head, counts);
    for (size_t i = 0; i < LISTS; i++)
        most += gr_number_list_most(counts[i]);
    gr_status status = gr_packet_create(most, out);
    if (status != GR_OK) return status;
    unsigned char *at = (*out)->content;
    memcpy(at, head, sizeof *head);
    at += sizeof *head;
    for (size_t i = 0; i < LISTS; i++) {
        at += gr_number_list_pack(list, counts[i], at);
        list += counts[i];
    }
    if (head->length > 0) memcpy(at, message->text, head->length);
    (*out)->bytes = (size_t)(at - (*out)->content) + head->length;
    return GR_OK;
}

size_t gr_packet_most(const struct gr_control_limits *limits) {
    return sizeof(struct gr_control_message_head) + 2 * gr_number_list_most(limits->slots) +
           gr_number_list_most(2 * limits->slots) + 2 * gr_number_list_most(limits->silos) +
           GR_MESSAGE_MAX;
}

/* Of a head alone: with its counts bounded by slots and silos no sum of sizes can overflow. */
static bool is_within(const struct gr_control_message_head *head,
                      const struct gr_control_limits *limits) {
    return head->kind >= GR_CONTROL_READY && head->kind < GR_CONTROL_KINDS &&
           head->phase <= GR_PHASE_SCORED && head->n_slots <= limits->slots &&
           head->n_fds <= limits->slots && head->n_changes <= 2 * limits->slots &&
           head->n_ids <= limits->silos && head->n_sat <= limits->silos &&
           head->length < GR_MESSAGE_MAX;
}

gr_status gr_packet_unpack(const struct gr_packet *packet, const struct gr_control_limits *limits,
                           struct gr_control_message **out) {
    gr_status status = GR_OK;
    struct gr_control_message_head head = {0};
    struct gr_control_message *message = NULL;
    const unsigned char *at = packet->content, *end = at + packet->bytes;
    size_t counts[LISTS];
    bool good = packet->bytes >= sizeof head;
    if (good) memcpy(&head, at, sizeof head);
    good = good && is_within(&head, limits);
    if (good) GR_TRY(gr_control_message_create(&head, &message));
    at += good ? sizeof head : 0;
    count_lists(&head, counts);
    uint32_t *list = message ? message->content : NULL;
    for (size_t i = 0; i < LISTS && good; i++) {
        good = gr_number_list_unpack(&at, end, list, counts[i]);
        list += counts[i];
    }
    if (!good || (size_t)(end - at) != head.length) {
        status = gr_fail(GR_ERROR_INTERNAL, "a message of slot %d does not hold what it says",
                         packet->peer);
        goto out;
    }
    if (head.length > 0) memcpy(list, at, head.length);
    message->peer = packet->peer;
    *out = message;
    message = NULL;
out:
    gr_free(message);
    return status;
}
