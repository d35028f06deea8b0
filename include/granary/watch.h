/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: a run followed from outside, by the files of its directory alone, while it writes them and
 * after. Files are read on from where reading ended, also where they are torn, written anew by a
 * run that goes on, or gone. No MPI, no locks, nothing is written.
 *
 * Interface: internal.
 */
#ifndef GRANARY_WATCH_H
#define GRANARY_WATCH_H

#include <granary/observe.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GR_WATCH_POINTS = 4096, /* rounds kept for curves; of longer runs every 2nd, 4th, ... */
    GR_WATCH_EVENTS = 64,   /* the newest events that are kept */
    GR_WATCH_RECENT = 32    /* rounds that times are averaged over */
};

/* A round of a curve. NAN: not known. */
struct gr_watch_point {
    uint32_t round;
    float train_loss, held_loss, held_accuracy, seconds;
};

struct gr_watch_event {
    uint32_t round;
    bool alert;
    char time[24];  /* UTC */
    char text[160]; /* quoted for terminals */
};

/* Why a silo that is away is so, as far as events tell. */
enum gr_watch_fate {
    GR_WATCH_TOOK_PART,
    GR_WATCH_LOST,
    GR_WATCH_LATE,
    GR_WATCH_SAT_OUT,
    GR_WATCH_AWAY
};

struct gr_watch_silo {
    uint32_t missed; /* rounds that it was to be in and was not */
    uint8_t fate;    /* an enum gr_watch_fate; in the last round */
    uint8_t noted;   /* the fate that its last event tells */
};

/* What is known of a run. Numbers are 0, and texts "", where nothing is. */
struct gr_watched {
    bool there;       /* one of the files is */
    bool behind;      /* there is more to be read already */
    bool named;       /* its manifest has been read */
    char name[64];    /* quoted, as are the texts below */
    char outcome[24]; /* the manifest's word */
    char started[32]; /* UTC */
    uint64_t rounds;  /* to be done */
    uint32_t n_silos, n_ranks;
    double written_s; /* seconds since the epoch: a file was last written; 0: none was */

    struct gr_metrics last; /* round 0: none yet */
    uint64_t n_rounds;      /* that have been read */
    uint64_t bytes;         /* sent in all of them */
    double seconds;         /* of all of them */
    struct {
        double train, aggregate, evaluate, checkpoint, total;
        uint64_t bytes;
        uint32_t n; /* rounds that these are the sums of */
    } recent;
    /* The best round by accuracy, or by loss without one, on test rows, or validation rows without
     * any; round 0: none. held: the last that is known, by the same rule. */
    struct gr_watch_point best, held;
    bool of_test;
    struct gr_watch_point *points; /* owned by the watch */
    size_t n_points;

    struct gr_watch_event events[GR_WATCH_EVENTS]; /* n_events % GR_WATCH_EVENTS is the oldest */
    uint64_t n_events;                             /* everyday ones are not counted */
    uint64_t n_alerts, n_checkpoints;
    uint32_t checkpoint; /* round of the newest; 0: none */
    bool ended;          /* the last of all events ends a stretch */
    /* n_silos of them; NULL: not known who took part. Owned by the watch. */
    struct gr_watch_silo *silos;
};

struct gr_run_watch; /* opaque */
/*
 * Not collective. A watch on the run directory PATH, which need not be there yet. Caller releases
 * with gr_watch_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_watch_create(const char *path, struct gr_run_watch **out) GR_CHECKED;
/*
 * Not collective. Reads what was written meanwhile, for about `budget_s` seconds at most (behind:
 * there is more), and says whether anything is new. What cannot be read is passed over. Errors:
 * GR_ERROR_INTERNAL.
 */
gr_status gr_watch_read(struct gr_run_watch *watch, double budget_s, bool *changed) GR_CHECKED;
/* Called for each line as it is read: of a round, whose figures are in seen->last, or of an event
 * that is not an everyday one. event: NULL of a round. */
typedef void (*gr_watch_tell)(void *context, const struct gr_watched *seen,
                              const struct gr_watch_event *event);
/* Not collective. Has each line told that gr_watch_read reads. The context is borrowed. */
void gr_watch_on(struct gr_run_watch *watch, gr_watch_tell tell, void *context);
/* Not collective. Returns what has been read so far, of the watch and valid until the next read. */
const struct gr_watched *gr_watch_see(const struct gr_run_watch *watch);
/* Not collective. Returns the path of the directory, of the watch. */
const char *gr_watch_path(const struct gr_run_watch *watch);
/* Not collective. Releases a watch; NULL is accepted. */
void gr_watch_free(struct gr_run_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
