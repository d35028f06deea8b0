/* SPDX-License-Identifier: Apache-2.0 */
/*
 * study state: how a study stands, as one party of it sees it. Each party's process keeps it in
 * status.json of its own folder while it runs, and leaves it there when it ends, for whoever asks
 * without a network: `granary study status`. The coordinator's names no host, path or account.
 *
 * Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_STUDY_STATE_H
#define GRANARY_STUDY_STATE_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GR_STATE_TIME = 32, GR_STATE_WORD = 32, GR_STATE_PARTIES_MAX = 10000 };

/* Another party. Times are of gr_clock_utc. */
struct gr_party_state {
    char name[64];
    char standing[GR_STATE_WORD]; /* "away", "here", "takes part", ... */
    char since[GR_STATE_TIME];    /* this */
    char letter[GR_STATE_TIME];   /* when its last letter came; "": none is known of */
    bool awaited;                 /* nothing goes on without it */
};

struct gr_study_state {
    char study[64], party[64];  /* names; the coordinator's: "coordinator" */
    char digest[GR_DIGEST_HEX]; /* of the study */
    char key[128];              /* this party's public one, as a word */
    char phase[GR_STATE_WORD];  /* "waiting", "starting", "running"; of a process that has ended:
                                   "finished", "stopped", "refused", "failed" */
    char since[GR_STATE_TIME];  /* this phase */
    char began[GR_STATE_TIME];  /* the process */
    char written[GR_STATE_TIME];
    /* While it waits for others, or waited when it ended: since when, for how long a process was
     * there to be found, and how long it waits for all. */
    char waits_since[GR_STATE_TIME]; /* "": it does not */
    double waited_s, limit_s;
    uint32_t round, rounds; /* the round that is at work, 0: none yet; of so many */
    int code;               /* that the process ended with */
    char *words;            /* why; NULL: they are not kept; owned */
    uint32_t n_parties;
    struct gr_party_state *parties; /* the others that are known of; owned */
};

/* Not collective. Replaces DIRECTORY/status.json (0640) as a whole. It may be lost with the
 * machine's power, for the disk is not waited for. Errors: GR_ERROR_WRITE. */
gr_status gr_study_state_write(const char *directory,
                               const struct gr_study_state *state) GR_CHECKED;
/* Not collective. Errors: GR_ERROR_DATA: there is no such file, or it is none. *out: for
 * gr_study_state_release in any case. */
gr_status gr_study_state_read(const char *directory, struct gr_study_state *out) GR_CHECKED;
/* Not collective. */
void gr_study_state_release(struct gr_study_state *state);

/* Not collective. A time of gr_clock_utc, `seconds` before now. */
void gr_state_time_before(double seconds, char out[GR_STATE_TIME]);
/* Not collective. Seconds from such a time until now; 0: it is none, or lies ahead. */
double gr_state_seconds_since(const char *time);

#ifdef __cplusplus
}
#endif
#endif
