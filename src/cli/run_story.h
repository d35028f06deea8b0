/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a run stands as it does, by its records alone: what went otherwise than planned, and which of
 * it tells most. Torn and missing files are no error; a run under way is not disturbed.
 */
#ifndef GRANARY_CLI_RUN_STORY_H
#define GRANARY_CLI_RUN_STORY_H

#include <granary/observe.h>
#include <granary/runbook.h>

/* Events of one kind. Texts are quoted. */
struct gr_run_finding {
    const struct gr_runbook_entry *entry; /* of the table */
    uint32_t first, last;                 /* rounds */
    uint64_t n;                           /* events */
    uint32_t stretch;                     /* of the last one */
    char silos[120];                      /* of the last: "silo-001, silo-003, ..."; "": none */
    char words[240];                      /* of the last: what it says beside; "": nothing */
};
enum { GR_FINDINGS_OF_RUN_MAX = 64 };

struct gr_run_story {
    struct gr_run_summary summary; /* owned */
    char state[128];               /* as gr_run_state_words */
    /* In order of their first event, everyday ones left out; last the end or the state. */
    struct gr_run_finding findings[GR_FINDINGS_OF_RUN_MAX];
    size_t n;
    size_t cause;         /* the finding that tells most of why the run stands as it does */
    int code;             /* that the last stretch has ended with; -1: it is not told */
    uint32_t checkpoint;  /* round of the newest that events tell of; 0: none */
    uint32_t stretches;   /* that events tell of */
    size_t damaged_lines; /* of events that are none */
    bool site;            /* it is of a site's folder, by its journal; there is no summary */
    bool ended;           /* the last of all events ends a stretch */
    bool torn;            /* a line of events was being written at the end */
};
/* Reads the records of a run directory, or of a site's folder. Release in any case. Errors:
 * GR_ERROR_DATA where there is no record at all. */
gr_status gr_run_story_read(const char *path, struct gr_run_story *out) GR_CHECKED;
void gr_run_story_release(struct gr_run_story *story);

#endif
