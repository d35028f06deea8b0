/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runbook: what each exit code, event and alert means for the person on call, and what to do.
 *
 * Interface: internal.
 */
#ifndef GRANARY_RUNBOOK_H
#define GRANARY_RUNBOOK_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gr_runbook_kind { GR_RUNBOOK_EXIT, GR_RUNBOOK_EVENT, GR_RUNBOOK_ALERT };
enum { GR_RUNBOOK_STEPS = 3 };

/* An entry of the table. RUN in its steps is the run directory, CONFIG its config. */
struct gr_runbook_entry {
    enum gr_runbook_kind kind;
    const char *name; /* "75"; the event's name; words that an alert has in its member "what" */
    /* 0: everyday, 1: worth a look, 2: the run got over it, 3: an alert, 4: it ends a run. */
    unsigned weight;
    const char *meaning;
    const char *steps[GR_RUNBOOK_STEPS];
    const char *give_up; /* when no more is to be tried; NULL: there is nothing to give up */
};
extern const struct gr_runbook_entry gr_runbook[];
extern const size_t gr_runbook_n;

/* Not collective. The entry of this kind and name; NULL: there is none. */
const struct gr_runbook_entry *gr_runbook_find(enum gr_runbook_kind kind, const char *name);
/* Not collective. The entry of an alert by its words, which may go on behind the entry's or begin
 * before them; the general one where none is its. */
const struct gr_runbook_entry *gr_runbook_alert(const char *what);

#ifdef __cplusplus
}
#endif
#endif
