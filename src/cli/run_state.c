/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a run in words, for the commands that look at run directories. */
#include "cli/command.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/*
 * Seconds. A run that writes nothing for so long, and for ten of its rounds, is taken for dead
 * where there is no lock to tell.
 */
static const double silence_s = 120;

static const char *resuming(char out[128], const char *state, const char *resume) {
    snprintf(out, 128, "%s; %s", state, resume);
    return out;
}

/*
 * The state of a run in words. The manifest's outcome is of the last orderly end; the lock on the
 * directory tells whether a process is at work; where locks do not work the age of the records has
 * to do.
 */
const char *gr_run_state_words(const char *path, const struct gr_run_summary *s, char out[128]) {
    char *seals = NULL;
    const bool study =
        gr_text_format(&seals, "%s/seals.jsonl", path) == GR_OK && access(seals, F_OK) == 0;
    const char *resume = study ? "`granary coordinate` goes on" : "--resume goes on";
    gr_free(seals);
    const enum gr_hold hold = gr_run_directory_hold(path);
    const double round_s = s->rounds_done > 0 ? s->seconds / (double)s->rounds_done : 0;
    const bool silent = s->record_age_s > fmax(silence_s, 10 * round_s);
    if (strcmp(s->outcome, "running") != 0) {
        if (hold == GR_HOLD_HELD) return "about to go on: a process holds it";
        if (strcmp(s->outcome, "stopped") == 0) return resuming(out, "stopped", resume);
        if (strcmp(s->outcome, "failed") == 0) return "failed";
        if (s->outcome[0] == '\0') return "not known, for its manifest cannot be read";
        return s->rounds_done < s->rounds ? "finished early" : "finished";
    }
    if (hold == GR_HOLD_HELD) return "running";
    if (hold == GR_HOLD_FREE) return resuming(out, "interrupted: no process holds it", resume);
    return silent ? resuming(out, "interrupted, it seems: it is silent", resume)
                  : "running, it seems: a record is new";
}
