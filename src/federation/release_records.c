/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of releases: an event with all that has left silos since the one before, by the door's
 * ledger. An event stands until the next: rounds in which the same has left are not told again.
 */
#include "federation/run.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* {"releases":[{"release":18,"name":"update","values":7850,"times":1}]}; free. NULL: no memory. */
static char *list_releases(const struct gr_door *door) {
    size_t n;
    const struct gr_release_row *rows = gr_release_rows(&n);
    json_t *list = json_array(), *detail = json_object();
    bool bad = !list || !detail;
    for (size_t i = 0; i < n && !bad; i++) {
        const struct gr_release_entry entry = gr_door_entry(door, rows[i].id);
        if (entry.times == 0) continue;
        bad = json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:I}", "release",
                                                    (int)rows[i].id, "name", rows[i].name, "values",
                                                    (json_int_t)entry.values, "times",
                                                    (json_int_t)entry.times)) != 0;
    }
    bad = bad || json_object_set(detail, "releases", list) != 0;
    char *text = bad ? NULL : json_dumps(detail, JSON_COMPACT);
    json_decref(list);
    json_decref(detail);
    return text;
}

/* Whether nothing has left since the ledger was closed, or as much as the event says that stands.
 */
static bool is_told(const struct gr_run_state *run, const struct gr_door *door) {
    bool none = true, same = run->released_known;
    for (int id = 0; id < GR_RELEASES_MAX; id++) {
        const struct gr_release_entry entry = gr_door_entry(door, (enum gr_release)id);
        const struct gr_release_entry *stands = &run->released[id];
        none = none && entry.times == 0;
        same = same && entry.times == stands->times && entry.values == stands->values;
    }
    return none || same;
}

/*
 * Rank 0 only. The ledger is closed (its counts begin again at 0) only when the event is on its way
 * to disk; if it could not be written, the same releases are told with the next event, and none is
 * lost from the audit. The other ranks close theirs after the agreement (gr_run_close_ledger).
 */
void gr_records_releases(struct gr_run_state *run, uint32_t round) {
    struct gr_door *door = gr_cohort_door(run->cohort);
    bool told = is_told(run, door);
    if (!told) {
        char *detail = list_releases(door);
        if (!detail) gr_records_unwritten(run, "releases", round);
        told = detail && gr_records_note(run, "releases", round, detail, NULL);
        free(detail);
        run->released_known = told;
        for (int id = 0; id < GR_RELEASES_MAX; id++)
            run->released[id] = gr_door_entry(door, (enum gr_release)id);
    }
    if (told) gr_door_close_ledger(door); /* else it is told with what comes after */
}
