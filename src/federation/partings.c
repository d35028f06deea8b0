/* SPDX-License-Identifier: Apache-2.0 */
/* Events of the parties of a study that have left by themselves. */
#include "federation/run.h"

#include <jansson.h>
#include <stdlib.h>

/* The silos, which are lost to the sums, have an event of their own, by which a replay goes. */
void gr_records_partings(struct gr_run_state *run, uint32_t round) {
    static const char *const meanings[] = {
#define GR_STATUS_MEANING(name, value, text) [(value)&127] = (text),
        GR_STATUS_LIST(GR_STATUS_MEANING)
#undef GR_STATUS_MEANING
    };
    struct gr_comm_parting parting;
    while (run->events && gr_comm_parting(run->comm, &parting)) {
        const char *why = parting.for_good            ? "for good"
                          : parting.why == GR_STOPPED ? "stopped by a signal"
                                                      : meanings[parting.why & 127];
        json_t *object = json_pack("{s:s, s:s}", "party",
                                   gr_comm_party_name(run->comm, parting.party), "why", why);
        char *detail = object ? json_dumps(object, JSON_COMPACT) : NULL;
        const char *event = parting.for_good ? "left" : "goodbye";
        if (detail) gr_records_note(run, event, round, detail, NULL);
        free(detail);
        json_decref(object);
    }
}
