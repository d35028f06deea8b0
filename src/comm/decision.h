/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a decision, while the member that leads puts it together. */
#ifndef GRANARY_COMM_DECISION_H
#define GRANARY_COMM_DECISION_H

#include "comm/view_change.h"

/* A decision, as the members' reports, this rank's included, are put together. */
struct gr_draft {
    struct gr_comm *comm;
    uint32_t *slots, *fds, *changes, *ids, *sat; /* one block; owned by slots */
    struct gr_control_message_head head;
    const char *text;
};

/* An empty one, of the present epoch. The caller releases draft->slots with gr_free. */
gr_status gr_draft_create(struct gr_comm *comm, struct gr_draft *draft) GR_CHECKED;
/* Takes in what the member at `slot` said; this rank's own situation where it is its slot. */
gr_status gr_draft_add(struct gr_draft *draft, int slot,
                       const struct gr_control_message *said) GR_CHECKED;
/* Sends the decision to `to` (n slots) and leaves it for this rank to take. */
gr_status gr_draft_pronounce(struct gr_draft *draft, const uint32_t *to, size_t n) GR_CHECKED;

#endif
