/* SPDX-License-Identifier: Apache-2.0 */
/* A party's process in a study: its lock, and its status.json. */
#ifndef GRANARY_CLI_PART_STATUS_H
#define GRANARY_CLI_PART_STATUS_H

#include <granary/study.h>
#include <granary/study_state.h>

#include "cli/command.h"

/* Locks in the folder of a party: of a site, and of the coordinator, whose run holds "lock". */
#define GR_SITE_LOCK        "lock"
#define GR_COORDINATOR_LOCK "coordinator.lock"
/* Two processes of one party would throw each other out, and write the same files. *out: a
 * descriptor, which holds the lock; of -1 there is none. GR_ERROR_WRITE: another holds it. */
gr_status gr_part_lock(const char *directory, const char *name, const char *command,
                       int *out) GR_CHECKED;

struct gr_part_status {
    const char *directory; /* borrowed */
    uint32_t party;
    struct gr_study_state state; /* parties NULL: nothing is kept */
    bool told;                   /* that it cannot be written */
};
/* All borrowed, until gr_part_status_close. An earlier file that cannot be read is none. */
gr_status gr_part_status_open(struct gr_part_status *out, const struct gr_study *study,
                              uint32_t party, const struct gr_keys *keys,
                              const char *directory) GR_CHECKED;
/* A gr_comm_study's report; context: a gr_part_status. */
void gr_part_status_report(void *context, const struct gr_comm_report *report);
/* The last that is written; the message is that of `outcome`. gr_message may be another behind it.
 * Nothing where it was not opened. */
void gr_part_status_close(struct gr_part_status *status, gr_status outcome);

#endif
