/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole run, for the files that drive it (run.c), keep its records (run_records.c) and write down
 * a round (round_record.c). The run directory is rank 0's; when rank 0 is lost, the next one takes
 * it over.
 */
#ifndef GRANARY_FEDERATION_RUN_H
#define GRANARY_FEDERATION_RUN_H

#include <sys/types.h>

#include "base/energy.h"
#include "federation/internal.h"

struct gr_run_state {
    struct gr_comm *comm;
    const struct gr_config *config;
    const struct gr_run_options *options;
    struct gr_cohort *cohort;         /* owned */
    struct gr_federation *federation; /* owned */
    struct gr_flags missing;          /* silos lost before the first round; n_silos; owned */
    char *preprocessing;              /* of the run that is gone on with; owned; NULL: none */
    unsigned char config_digest[GR_DIGEST_BYTES];
    /* Of the config that the run was begun with; of a study, by its first version. */
    unsigned char first_config[GR_DIGEST_BYTES];
    unsigned char origin[GR_DIGEST_BYTES]; /* of it and the data: what a checkpoint belongs to */
    bool evolved; /* the stretches before went by another version of the study */
    struct gr_flags
        unfitted; /* a replay's: silos that were not there for the fit; n_silos; owned */
    /* Known to all ranks, for any of them may become rank 0. */
    char *path, *checkpoints, *silos; /* folders of it */
    bool shared;                      /* that all ranks know, the next rank 0 among them */
    bool guessed_told;
    char *config_text;
    char id[GR_RUN_ID_HEX];
    bool id_known;  /* before the checkpoint was read */
    bool adopted;   /* the checkpoint gone on with has no id */
    bool room;      /* for all the checkpoints that are kept, and one more */
    uint64_t start; /* tells the claims of this start of the program from earlier ones */
    uint32_t resumed_from;
    uint32_t checkpointed; /* round of the newest checkpoint, 0: none */
    struct gr_checkpoint_io io;
    char started_utc[32];
    bool below_quorum;
    const char *asked; /* who had the run stop, in words; NULL: nobody */
    uint32_t respawns_failed;
    bool passed_over;              /* a damaged checkpoint, when resuming */
    struct gr_comm_texts software; /* of all ranks, of_slot NULL: not known (a respawned rank) */
    uint32_t instructions;         /* that all ranks have, where they differ; 0: they do not */
    const char *instructions_text; /* NULL: kernels could not be held to them */
    uint32_t refusals; /* checkpoints in a row that were refused for another reason than room */
    struct gr_journal *journal; /* this rank's; owned; NULL: it keeps none */
    bool leaves;                /* by itself, for its journal says so */
    struct gr_costs costs;      /* of this stretch, at its end */
    double costs_begun_s;
    struct gr_energy energy; /* of this rank's host, or why not */
    bool private;            /* files are closed to others; before, the process had */
    mode_t umask;
    /* Rank 0's. */
    struct gr_run_directory *directory;
    struct gr_metrics_file *metrics;
    struct gr_events_file *events;
    struct gr_events_file *seals; /* NULL: there are none */
    struct gr_progress *progress;
    struct gr_exposition *exposition; /* NULL: nobody scrapes the run */
    bool unexposed;                   /* its file was refused, and an alert has been given */
    struct gr_alerts *alerts;         /* NULL: none yet */
    struct gr_alert_handlers handlers;
    bool unhandled; /* the last alert was not told to alerts.command */
    struct gr_opening opening;
    bool ended;              /* the records tell how the run ended */
    uint32_t written;        /* round whose line and events this process has written */
    struct gr_flags noted;   /* bits of what its events have told of each silo; n_silos */
    struct gr_flags sitting; /* why each silo sits out, as its events have told; n_silos */
    struct gr_flags listed;  /* room for a list; n_silos */
    enum gr_between between; /* the way between nodes that has been told; AUTO: none */
    char *partial;           /* the detail of the "partial" that stands; owned; NULL: none */
    bool released_known;     /* whether the event "releases" that stands is of `released` */
    struct gr_release_entry released[GR_RELEASES_MAX];
    struct gr_evidence evidence; /* how far the records have come */
    bool synced;                 /* that is known, and on disk */
    struct gr_closing closing;
    bool unwritten;       /* an event is in no file, nor is an alert in its place */
    uint32_t thin_rounds; /* rounds running with few participants */
    bool exposed;         /* so few silos that a robust strategy withstands no wrong update */
    bool refused;         /* the disk refused something, and an alert has been given */
    uint32_t unscored;    /* silos that the last event on scores told of, */
    bool unscored_test;   /* and whether it told of the test table, */
    bool diverged;        /* and of all */
    bool coarse;          /* an alert has told that sums are 0 on the public grid */
};

enum { GR_RUN_PATH_MAX = 65536 };

/* ---- run.c ----------------------------------------------------------------------------------- */

/* The config's deadlines, and what a slow disk takes to make sure of so many bytes. */
void gr_run_allow(struct gr_run_state *run, double bytes);
/* What is not agreed on of the way that checkpoints are written: all but `collective`. */
void gr_run_set_io(struct gr_run_state *run);
/* How a run that ends now is gone on with, for people: in a study nobody gives --resume. */
const char *gr_run_resumes(const struct gr_run_state *run);

/* ---- run_folder.c ---------------------------------------------------------------------------- */

/* Once `path` is known. */
gr_status gr_run_name_folders(struct gr_run_state *run) GR_CHECKED;
/* Rank 0; the caller agrees on the status. */
gr_status gr_run_open_directory(struct gr_run_state *run) GR_CHECKED;
/* Collective. All that a rank must know to become rank 0. */
gr_status gr_run_share_directory(struct gr_run_state *run) GR_CHECKED;
/* The arbiter of epochs; context: a gr_run_state. */
gr_status gr_run_claim_epoch(void *context, uint32_t epoch, bool *granted) GR_CHECKED;
/* Whether the study follows a version, by which other silos may have come. */
bool gr_run_follows(const struct gr_run_state *run);

/* ---- run_records.c: rank 0 only -------------------------------------------------------------- */

static inline bool gr_run_is_root(const struct gr_run_state *run) {
    return gr_comm_rank(run->comm) == 0;
}
/* Whether this rank's folder is the run directory that rank 0 writes, and not a site's own. */
static inline bool gr_run_is_shared(const struct gr_run_state *run) {
    int mine;
    (void)gr_comm_writers(run->comm, &mine);
    return mine >= 0;
}
/* Of the ranks that have this one's folder, the one that tidies it. */
static inline bool gr_run_is_tidier(const struct gr_run_state *run) {
    const int slot = gr_comm_slot(run->comm);
    int n;
    if (gr_run_is_shared(run)) return gr_run_is_root(run);
    return gr_comm_party_slots(run->comm, gr_comm_party(run->comm, slot), &n) == slot;
}

/* The files that tell what runs, before it runs. */
gr_status gr_records_start(struct gr_run_state *run) GR_CHECKED;
/*
 * To be called by every rank before records are written: a rank that has become rank 0 takes the
 * directory over, with lines up to `rounds` in metrics.jsonl; one that is no longer lets it go.
 * GR_LOST: a later epoch has been claimed; this rank must not write.
 */
gr_status gr_records_hold(struct gr_run_state *run, uint32_t rounds) GR_CHECKED;
/* evaluation.json, when the last round or the outcome was evaluated; whole or not at all. */
gr_status gr_records_evaluation(struct gr_run_state *run) GR_CHECKED;
/* Model, manifest and report of a run that has come to its end. */
gr_status gr_records_finish(struct gr_run_state *run) GR_CHECKED;
/* An event with all that has left silos since the ledger was closed, where it is not the same as
 * the event that stands, and closes the ledger: release_records.c. */
void gr_records_releases(struct gr_run_state *run, uint32_t round);
/* An event for each party of a study that has left by itself: partings.c. */
void gr_records_partings(struct gr_run_state *run, uint32_t round);
/* On the other ranks, once all have agreed that rank 0 has: each of them may become rank 0. */
static inline void gr_run_close_ledger(const struct gr_run_state *run) {
    if (!gr_run_is_root(run)) gr_door_close_ledger(gr_cohort_door(run->cohort));
}
/*
 * The records of a run that ended early. What fails here does not replace the reason why it ended;
 * the records of the rounds done are on disk already.
 */
void gr_records_end_early(struct gr_run_state *run, gr_status reason);
/* The start begins anew: the records of rounds are opened again. */
void gr_records_begin_anew(struct gr_run_state *run);
void gr_records_close(struct gr_run_state *run);

/*
 * An event, and the same in words among the progress. No event ends a run: of one that cannot be
 * written down there is an alert (gr_records_unwritten), and false.
 */
bool gr_records_note(struct gr_run_state *run, const char *event, uint32_t round,
                     const char *detail, const char *words);
/* The alert, with the reason in gr_message. */
void gr_records_unwritten(struct gr_run_state *run, const char *event, uint32_t round);
/*
 * Before a checkpoint is published: the records of what it holds are on disk, and `evidence` says
 * how far they have come. Where lines wait for room it stays what it was.
 */
gr_status gr_records_sync(struct gr_run_state *run) GR_CHECKED;

/* ---- evidence.c ------------------------------------------------------------------------------ */

/* Of a whole file, in hex. Errors: GR_ERROR_DATA. */
gr_status gr_evidence_digest(const char *path, char out[GR_DIGEST_HEX]) GR_CHECKED;
/* As gr_run_compare; round: of the checkpoint that is compared, 0: the newest that is whole. */
gr_status gr_evidence_compare(const char *run_path, uint32_t round, char **words) GR_CHECKED;

/* ---- sealing.c: nothing without options->evidence ---------------------------------------------
 */

/* Not collective. Before anything is read: from now on files are closed to others, and this rank's
 * journal is open. */
gr_status gr_sealing_begin(struct gr_run_state *run) GR_CHECKED;
/* Not collective. Rank 0's file, once its directory is open. */
gr_status gr_sealing_open(struct gr_run_state *run) GR_CHECKED;
/* Not collective. Rank 0 makes a seal of the records as they are, on disk, which nobody is shown
 * yet; *text NULL: the disk refuses, which an alert tells. For gr_free. */
gr_status gr_sealing_make(struct gr_run_state *run, const char *kind, char **text) GR_CHECKED;
/*
 * Collective. Rank 0 makes a seal and shows it to all, each of which holds it against what it has
 * seen. GR_ERROR_POLICY, GR_ERROR_WRITE where `leaves`: of this rank alone.
 */
gr_status gr_sealing_seal(struct gr_run_state *run, const char *kind) GR_CHECKED;
/* Not collective. Failures that were told go into the journal, before the ledger is closed. */
gr_status gr_sealing_note(struct gr_run_state *run) GR_CHECKED;
/* Not collective. At the end of a round: the journal is on disk before the next. Errors as of
 * gr_sealing_seal. */
gr_status gr_sealing_round(struct gr_run_state *run, uint32_t round) GR_CHECKED;
/* Not collective. The journal is closed, by how the run ended here; the process is as before. */
void gr_sealing_end(struct gr_run_state *run, gr_status status);

/* ---- costs.c --------------------------------------------------------------------------------- */

void gr_costs_begin(struct gr_run_state *run);
/* After each round. */
void gr_costs_take(struct gr_run_state *run);
/* Collective. What the stretch has cost up to now, into run->costs. */
gr_status gr_costs_sum(struct gr_run_state *run) GR_CHECKED;

/* ---- monitoring.c: rank 0 only --------------------------------------------------------------- */

/* Once the records are open; rounds that are done. */
void gr_monitoring_open(struct gr_run_state *run, uint32_t rounds);
/* A round that has been written down. */
void gr_monitoring_round(struct gr_run_state *run, const struct gr_metrics *metrics);
/* Holds the rules of alerts against a round whose line is written. */
void gr_monitoring_judge(struct gr_run_state *run, const struct gr_metrics *metrics);
/* An event "alert" or "alert over" has been noted. */
void gr_monitoring_alert(struct gr_run_state *run, const char *event, uint32_t round,
                         const char *detail);
/* How the run ends: before its last event "releases". */
void gr_monitoring_end(struct gr_run_state *run, const char *outcome);
void gr_monitoring_close(struct gr_run_state *run);

/* ---- silo_list.c ----------------------------------------------------------------------------- */

/*
 * {"KEY":["silo-001","silo-010..silo-499","silo-500..silo-998/2"]} of n silos, which ascend.
 * Caller frees *out.
 */
gr_status gr_silo_list(const char *key, const uint32_t *silo, uint32_t n, char **out) GR_CHECKED;

/* ---- resume_guard.c -------------------------------------------------------------------------- */

/*
 * Rank 0, before a run is gone on with from the checkpoint `found`, or none, and anything is
 * written: GR_ERROR_DATA when its folder holds more than that.
 */
gr_status gr_run_check_reached(const struct gr_run_state *run, bool found) GR_CHECKED;

/* ---- respawned.c ----------------------------------------------------------------------------- */

/* Collective, between rounds. Lost ranks are replaced, where the config asks for it. */
gr_status gr_run_respawn(struct gr_run_state *run) GR_CHECKED;
/* In a respawned: all that it needs, in lockstep with the members. *config is the caller's. */
gr_status gr_run_listen(struct gr_run_state *run, struct gr_config **config) GR_CHECKED;

/* ---- round_record.c -------------------------------------------------------------------------- */

/* A gr_record_function; context: the gr_run_state. */
gr_status gr_record_round(void *context, struct gr_metrics *metrics) GR_CHECKED;
/* Collective. *written false: the disk refused it, and the run goes on. */
gr_status gr_record_checkpoint(struct gr_run_state *run, bool *written) GR_CHECKED;
/* Rank 0: the silos that were lost, late or back in a round that came to no end. */
void gr_record_losses(struct gr_run_state *run, uint32_t round);

#endif
