/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many runs in one folder, for `granary sweep` and `granary compare`: the plan of them, the claims
 * by which several processes share it, the schedule, and what the runs came to. The folder is the
 * truth: whatever is known of a run is read from its directory, so that a process that was killed
 * leaves nothing to be mended.
 */
#ifndef GRANARY_CLI_SWEEP_H
#define GRANARY_CLI_SWEEP_H

#include <jansson.h>
#include <sys/types.h>

#include "cli/command.h"

enum {
    GR_SWEEP_RUNS_MAX = 10000,
    GR_RUN_NAME_MAX = 65, /* of run.name, with the NUL */
    GR_SCORES_MAX = 4 + 2 * GR_METRICS_MAX
};

/* ---- points ---------------------------------------------------------------------------------- */

/* The part of a command line that says which points there are. Text is borrowed. */
struct gr_points_asked {
    struct gr_overrides over; /* "KEY=VALUE,VALUE" */
    const char *from;         /* a CSV file; NULL: none */
    uint32_t random;          /* so many are drawn; 0: the grid */
    uint64_t seed;            /* by which they are drawn */
};
/*
 * *keys: [{"name": KEY}], with "low", "high", "log" and "whole" where it is a range; *points:
 * [{"name": TEXT, "values": [VALUE]}], values as --set takes them. Caller releases both. Errors:
 * GR_ERROR_USAGE, GR_ERROR_CONFIG of the file.
 */
gr_status gr_points_make(const struct gr_points_asked *asked, json_t **keys,
                         json_t **points) GR_CHECKED;
/* The shortest end of a key that tells it from the others, as a column's title: "learning_rate",
 * and "strategy" of strategy.name. */
void gr_key_title(const json_t *keys, size_t key, char *out, size_t size);

/* ---- the plan -------------------------------------------------------------------------------- */

/* FOLDER/plan.json, in memory. Text is borrowed from `json`. */
struct gr_sweep_plan {
    char *folder; /* absolute; owned */
    json_t *json; /* owned */
    const json_t *keys, *points, *set;
    size_t n_keys, n_points, n_seeds;
    uint32_t n_rungs;
    const char *metric; /* as in metrics.jsonl */
    bool maximize;
};
/*
 * Makes FOLDER with the plan and the texts of its configs (`files`: name to text), or finds that it
 * holds them already. Errors: GR_ERROR_WRITE, also for a folder
 * of something else; GR_ERROR_CONFIG: a config has changed since the plan was made.
 */
gr_status gr_plan_lay(struct gr_sweep_plan *plan, json_t *files) GR_CHECKED;
/* The plan of a JSON text that is not laid down yet; `json` is the plan's from now on. Errors:
 * GR_ERROR_DATA. */
gr_status gr_plan_take(const char *folder, json_t *json, struct gr_sweep_plan *out) GR_CHECKED;
/* Reads the plan that a folder holds. Errors: GR_ERROR_DATA. */
gr_status gr_plan_read(const char *folder, struct gr_sweep_plan *out) GR_CHECKED;
/* Whether the plan is of that command: "sweep", "compare". */
bool gr_plan_is_of(const struct gr_sweep_plan *plan, const char *command);
void gr_plan_release(struct gr_sweep_plan *plan);
/* Point and seed of run r are r / n_seeds and r % n_seeds. */
size_t gr_plan_runs(const struct gr_sweep_plan *plan);
/* The name of a run, which is that of its folder and run.name. */
void gr_plan_run_name(const struct gr_sweep_plan *plan, size_t run, char out[GR_RUN_NAME_MAX]);
uint64_t gr_plan_seed(const struct gr_sweep_plan *plan, size_t run);
/* Rounds at the end of a rung. */
uint32_t gr_plan_rounds(const struct gr_sweep_plan *plan, uint32_t rung);
/* What --set says of a run in a rung; texts and list are the caller's, for
 * gr_plan_overrides_release. */
gr_status gr_plan_overrides(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                            struct gr_overrides *out) GR_CHECKED;
void gr_plan_overrides_release(struct gr_overrides *overrides);
/* Absolute path of the config of a run. Caller releases with gr_free. */
gr_status gr_plan_config(const struct gr_sweep_plan *plan, size_t run, char **out) GR_CHECKED;
/* A file of the folder, replaced whole; several processes may do it at once. */
gr_status gr_plan_write(const struct gr_sweep_plan *plan, const char *name, const char *text,
                        size_t length) GR_CHECKED;

/* ---- claims ---------------------------------------------------------------------------------- */

/*
 * Who works on which run. Each process has a file of its own in FOLDER/claims, and a claim is a
 * hard link to it, NAME.G, which only one process can make. A claim is given up when its owner has
 * said that it ended, when it is of this host and its process is gone, or when its file was not
 * touched for two minutes while this process looked on; then NAME.(G+1) may be made. None is ever
 * removed, so that nobody removes another's.
 */
struct gr_claims; /* opaque */
struct gr_run_claim {
    uint32_t generation; /* of the newest seen; 0: none */
    bool ours;
    int64_t touched_ns; /* of the file of another */
    double since_s;     /* seen so since then */
};
gr_status gr_claims_open(const char *folder, struct gr_claims **out) GR_CHECKED;
/* claim->ours: this process has the run. Errors: GR_ERROR_WRITE. */
gr_status gr_claim_take(struct gr_claims *claims, const char *name,
                        struct gr_run_claim *claim) GR_CHECKED;
/* To be called every few seconds. */
void gr_claims_touch(struct gr_claims *claims);
/* This process has ended, and all its claims with it; NULL is accepted. */
void gr_claims_close(struct gr_claims *claims);

/* ---- results --------------------------------------------------------------------------------- */

enum gr_sweep_state {
    GR_SWEEP_WAITING, /* nothing of it is there */
    GR_SWEEP_BEGUN,   /* and not at the end of its rung */
    GR_SWEEP_DONE,
    GR_SWEEP_FAILED
};
struct gr_sweep_result {
    enum gr_sweep_state state;
    uint64_t rounds;  /* that are done */
    double seconds;   /* of all rounds */
    int code;         /* of a run that failed */
    char reason[256]; /* quoted */
    char began[32];   /* UTC; "": not known */
    char ended[32];
    bool scored;                                     /* the scores have been read */
    double last[GR_SCORES_MAX], best[GR_SCORES_MAX]; /* by gr_score_name; NAN: none */
    double *by_rung; /* the plan's metric at the end of each rung; n_rungs; owned */
};
/* "test_loss", "validation_auc", ...; NULL behind the last. */
const char *gr_score_name(size_t score, char out[64]);
/* GR_SCORES_MAX: there is none of that name. */
size_t gr_score_find(const char *name);
/* 1: more is better, -1: less is, 0: neither. */
int gr_score_direction(const char *name);
/* State, rounds and reason of a run; cheap. */
void gr_result_state(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                     struct gr_sweep_result *out);
/* All of it. result: zeroed, or of an earlier call. */
gr_status gr_result_read(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                         struct gr_sweep_result *result) GR_CHECKED;
void gr_results_free(struct gr_sweep_result *results, size_t n);
/* Notes that a run has failed, for good until it is asked for again. */
gr_status gr_result_fail(const struct gr_sweep_plan *plan, const char *name, int code,
                         const char *reason) GR_CHECKED;
gr_status gr_result_retry(const struct gr_sweep_plan *plan, const char *name) GR_CHECKED;

/* Mean, standard deviation (n - 1) and number of the runs of a point that have the metric. */
struct gr_spread {
    double mean, deviation; /* NAN: not defined */
    size_t n;
};
struct gr_spread gr_spread_of(const double *values, size_t n);
/* The points that go on behind a rung: flags by point. */
gr_status gr_rung_keep(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                       uint32_t rung, bool *kept) GR_CHECKED;

/* FOLDER/sweep.csv, and FOLDER/optuna.jsonl for optuna.load_study. rungs: the last that each point
 * is in. */
gr_status gr_sweep_write_csv(const struct gr_sweep_plan *plan,
                             const struct gr_sweep_result *results,
                             const uint32_t *rungs) GR_CHECKED;
gr_status gr_sweep_write_journal(const struct gr_sweep_plan *plan,
                                 const struct gr_sweep_result *results,
                                 const uint32_t *rungs) GR_CHECKED;
/* Points with mean, standard deviation and n, the best first. */
gr_status gr_sweep_print(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                         const uint32_t *rungs) GR_CHECKED;

/* ---- the schedule ---------------------------------------------------------------------------- */

struct gr_schedule_asked {
    uint32_t jobs;  /* runs beside each other; 0: as many as cores allow */
    uint32_t ranks; /* of each */
    double grace_s; /* from a signal to the end by force */
    bool retry;     /* runs that failed */
    bool no_wait;   /* ends once all that is left is at work elsewhere */
    bool quiet;
};
/* Takes one of the options that sweeps and comparisons share: --jobs, --grace, --retry, --quiet.
 * GR_ERROR_USAGE: it is none of them, or has a bad value. */
gr_status gr_schedule_option(int option, struct gr_schedule_asked *asked);
/*
 * Brings the runs of the points that are flagged to the end of a rung, as far as that can be.
 * *n_open: those that others are at work on, and which are not waited for. Errors: GR_STOPPED: by a
 * signal; GR_ERROR_WRITE.
 */
gr_status gr_schedule_rung(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                           struct gr_claims *claims, uint32_t rung, const bool *points,
                           size_t *n_open) GR_CHECKED;

/* Tells and writes what the runs of a plan came to. rungs: the last that each point is in; n_open:
 * runs that others are at work on. */
typedef gr_status (*gr_plan_teller)(const struct gr_sweep_plan *plan,
                                    const struct gr_schedule_asked *asked,
                                    const struct gr_sweep_result *results, const uint32_t *rungs,
                                    size_t n_open);
/* Runs a plan as far as it can be, and has it told; behind gr_watch_begin. Errors: as
 * gr_schedule_rung; what the teller returns. */
gr_status gr_plan_run(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                      gr_plan_teller tell) GR_CHECKED;
/* The code of the first run that failed, with words. */
gr_status gr_plan_judge(const struct gr_sweep_plan *plan,
                        const struct gr_sweep_result *results) GR_CHECKED;

/* ---- granary compare ------------------------------------------------------------------------- */

/* The silos and modes of a comparison as they stand in its plan; compare_scores.c. Scores each
 * model on the held-out rows of silos, prints the table and writes compare.csv. */
gr_status gr_compare_tell(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                          const struct gr_sweep_result *results, const uint32_t *rungs,
                          size_t n_open) GR_CHECKED;

#endif
