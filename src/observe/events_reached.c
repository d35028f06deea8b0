/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The round of the newest checkpoint that a run's events tell of. gr_run_check_reached compares it
 * with the checkpoints that are there.
 */
#include <granary/observe.h>

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "observe/lines.h"

/* Most lines are of other events: the words are looked for first. */
static bool may_tell(const char *line, size_t n) {
    static const char *const words[] = {"\"checkpoint\"", "\"resumed\"", "\"started\""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (memmem(line, n, words[i], strlen(words[i]))) return true;
    return false;
}

/*
 * "resumed" and "started" take back what came before: a stretch that was resumed from an older
 * checkpoint may have written newer ones which no longer count.
 */
static void take_line(const char *line, size_t n, uint32_t *round) {
    json_t *json = may_tell(line, n) ? json_loadb(line, n, 0, NULL) : NULL;
    const char *event = json_string_value(json_object_get(json, "event"));
    const json_int_t of = json_integer_value(json_object_get(json, "round"));
    if (event && of >= 0 && of <= UINT32_MAX) {
        if (strcmp(event, "checkpoint") == 0 && of > (json_int_t)*round) *round = (uint32_t)of;
        if (strcmp(event, "resumed") == 0) *round = (uint32_t)of;
        if (strcmp(event, "started") == 0) *round = 0;
    }
    json_decref(json);
}

/* The chain is not verified here. A forged event could only make the run refuse to go on. */
gr_status gr_events_checkpoint(const char *path, bool *there, uint32_t *round) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    const char *line = NULL;
    size_t n = 0;
    *there = access(path, F_OK) == 0;
    *round = 0;
    GR_TRY(gr_lines_start(path, &reader));
    do {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (line) take_line(line, n, round);
    } while (line);
out:
    gr_lines_end(reader);
    return status;
}
