/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a decision: gathered from the members' reports, then sent. Only the leader
 * composes one; it takes it by the same way as all others, out of the mailbox, so that a decision
 * cannot mean something else to the leader than to those who follow.
 */
#include "comm/decision.h"

#include <stdlib.h>
#include <string.h>

/*
 * Room for the most that can be said: all slots as members with their descriptors, a loss and a
 * return of each slot, all silos in the sum or sitting out. No later step has to grow it, and
 * well_formed on the receivers has the same bounds.
 */
gr_status gr_draft_create(struct gr_comm *comm, struct gr_draft *draft) {
    gr_status status = GR_OK;
    const size_t slots = (size_t)comm->slots, ids = comm->ids_max;
    *draft = (struct gr_draft){.comm = comm};
    GR_TRY(gr_allocate(4 * slots + 2 * ids + 1, sizeof(uint32_t), "a decision", &draft->slots));
    draft->fds = draft->slots + slots;
    draft->changes = draft->fds + slots;
    draft->ids = draft->changes + 2 * slots;
    draft->sat = draft->ids + ids;
    draft->head = (struct gr_control_message_head){
        .kind = GR_CONTROL_DECISION, .epoch = comm->epoch, .fd = -1};
out:
    return status;
}

/*
 * Takes in a member's silos, its wish to stop and its failure. Members come in the order of ranks,
 * so the lowest failure is kept. Silos beyond ids_max mean that two ranks report the same ones; the
 * check here keeps the block from overflowing, fill_roster names the silo.
 */
static gr_status add_report(struct gr_draft *draft, const struct gr_control_message_head *head,
                            const uint32_t *ids, const uint32_t *sat, const char *text) {
    const size_t most = draft->comm->ids_max;
    if (draft->head.n_ids + (size_t)head->n_ids > most ||
        draft->head.n_sat + (size_t)head->n_sat > most)
        return gr_fail(GR_ERROR_INTERNAL, "more silos are reported than the %zu there are", most);
    if (ids && head->n_ids > 0)
        memcpy(draft->ids + draft->head.n_ids, ids, head->n_ids * sizeof *ids);
    if (sat && head->n_sat > 0)
        memcpy(draft->sat + draft->head.n_sat, sat, head->n_sat * sizeof *sat);
    draft->head.n_ids += head->n_ids;
    draft->head.n_sat += head->n_sat;
    draft->head.flags |= head->flags & GR_FLAG_STOP;
    if (head->status != GR_OK && draft->head.status == GR_OK) {
        draft->head.status = head->status;
        draft->head.length = head->length;
        draft->text = text;
    }
    return GR_OK;
}

/* The leader's own report, from where it would otherwise be sent. */
static gr_status add_own(struct gr_draft *draft) {
    const struct gr_situation *s = &draft->comm->situation;
    const struct gr_control_message_head head = {
        .n_ids = (uint32_t)s->n_ids,
        .n_sat = (uint32_t)s->n_sat,
        .status = (int32_t)s->status,
        .flags = s->stop ? GR_FLAG_STOP : 0,
        .length = s->status != GR_OK ? (uint32_t)strlen(s->text) : 0};
    return add_report(draft, &head, s->ids, s->ids ? s->ids + s->n_ids : NULL, s->text);
}

gr_status gr_draft_add(struct gr_draft *draft, int slot, const struct gr_control_message *said) {
    if (slot == draft->comm->slot) return add_own(draft);
    return add_report(draft, &said->head, said->ids, said->sat, said->text);
}

static int compare_numbers(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Silos that ranks have reported one after the other are fewer runs in ascending order. */
static void sort_numbers(uint32_t *numbers, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (numbers[i] < numbers[i - 1]) {
            qsort(numbers, n, sizeof *numbers, compare_numbers);
            return;
        }
}

/*
 * A decision is final once it has been sent to anybody: a member that it does not reach shows
 * itself by an old epoch in its next message, upon which all meet again or it is told that it is
 * out (sort_message).
 */
gr_status gr_draft_pronounce(struct gr_draft *draft, const uint32_t *to, size_t n) {
    gr_status status = GR_OK;
    struct gr_comm *comm = draft->comm;
    struct gr_control_message *message = NULL;
    /* Of a round that has failed there is no roster. */
    if (draft->head.status != GR_OK) draft->head.n_ids = draft->head.n_sat = 0;
    sort_numbers(draft->ids, draft->head.n_ids);
    sort_numbers(draft->sat, draft->head.n_sat);
    GR_TRY(gr_control_message_create(&draft->head, &message));
    uint32_t *at = message->content;
    const struct gr_control_message_head *head = &draft->head;
    const struct {
        const uint32_t *from;
        uint32_t n;
    } part[] = {{draft->slots, head->n_slots},
                {draft->fds, head->n_fds},
                {draft->changes, head->n_changes},
                {draft->ids, head->n_ids},
                {draft->sat, head->n_sat}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (part[i].n > 0) memcpy(at, part[i].from, part[i].n * sizeof *at);
        at += part[i].n;
    }
    if (head->length > 0) memcpy(at, draft->text, head->length);
    GR_TRY(gr_control_message_send(comm, to, n, message));
    message->peer = comm->slot;
    gr_free(comm->mailbox.decision);
    comm->mailbox.decision = message;
    message = NULL;
out:
    gr_free(message);
    return status;
}
