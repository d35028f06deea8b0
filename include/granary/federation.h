/* SPDX-License-Identifier: Apache-2.0 */
/*
 * federation: rounds, rosters, sampling, runs. Strategies are granary/strategy.h.
 *
 * Interface: stable.
 */
#ifndef GRANARY_FEDERATION_H
#define GRANARY_FEDERATION_H

#include <granary/cohort.h>
#include <granary/comm.h>
#include <granary/config.h>
#include <granary/data.h>
#include <granary/evaluate.h>
#include <granary/journal.h>
#include <granary/observe.h>
#include <granary/store.h>
#include <granary/strategy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sampling ----------------------------------------------------------------------------- */

/* Whom a run draws from, and how; all borrowed. */
struct gr_draw {
    uint64_t seed;
    uint32_t n_silos;
    const struct gr_round_config *round;
    const int64_t *sizes; /* rows of each silo, n_silos; NULL but for sampling by size */
    /* Whose silos have names, if they have; borrowed; NULL: they have none. */
    const struct gr_config *named;
};

/* Whether a silo can be asked. */
struct gr_present {
    bool (*is_present)(const void *context, uint32_t silo);
    const void *context; /* borrowed */
};

/*
 * Federations of up to so many silos are put into an order as a whole, larger ones from its front:
 * a round then takes time by its participants. The two orders have the same distribution, and are
 * not the same.
 */
enum { GR_SAMPLE_WHOLE_MAX = 16384 };

struct gr_sampler; /* opaque: draw, stream, room */
/* Not collective. A copy of `draw` is kept; what it points to is borrowed. Sizes are read from the
 * first draw on, and must not change then. */
gr_status gr_sampler_create(const struct gr_draw *draw, struct gr_sampler **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_sampler_free(struct gr_sampler *sampler);
/*
 * Not collective. Flags the silos of a round: `participants` of n_silos (0: all) without
 * replacement. The same on every rank. How depends on `sampling`:
 *   uniform  each silo as likely as any other, from the stream (seed, 0, round, GR_PURPOSE_SAMPLE)
 *   size     one after the other, each time in proportion to rows (Efraimidis and Spirakis 2006); a
 *            round's mean is then to weight all silos alike (Li, Huang, Yang, Wang, Zhang 2020,
 *            scheme II), for their sizes are in the draw
 *   cyclic   the next `participants` in the order of ids, round after round
 *   list     as uniform, of the silos that round.availability has in this round; all of them when
 *            they are fewer
 * Where silos have names, each draws for itself from (seed, its gr_silo_stream, round,
 * GR_PURPOSE_SAMPLE), so that neither their order nor who else there is moves its place in the
 * draw; and cyclic is in the order of names.
 * present: those that can be asked, in the place of others the next of the draw are taken; NULL:
 * all. selected: n_silos flags, cleared first. Errors: memory, GR_ERROR_INTERNAL.
 */
gr_status gr_sampler_draw(struct gr_sampler *sampler, uint32_t round,
                          const struct gr_present *present, struct gr_flags *selected) GR_CHECKED;

/* How often a silo took part. */
struct gr_silo_part_taken {
    uint32_t first, rounds; /* 0: in none */
};
/*
 * Not collective. Who took part in rounds 1 to n_rounds of a run, by its config and its events, but
 * for the silo that is to be left out; others are numbered as without it. *out: also after an error
 * for gr_recorded_rounds_release. Errors: those of gr_replay_open; GR_ERROR_CONFIG: it cannot be
 * known (sampling by size), or changes so often that round.availability cannot hold it.
 */
gr_status gr_rounds_without(const struct gr_config *config, const char *events, uint32_t n_rounds,
                            uint32_t silo, struct gr_recorded_rounds *out,
                            struct gr_silo_part_taken *taken) GR_CHECKED;
/* Not collective. Zeroed is accepted. */
void gr_recorded_rounds_release(struct gr_recorded_rounds *rounds);

/* ---- a run -------------------------------------------------------------------------------- */

struct gr_federation; /* opaque: data, model, trainer, aggregator, server state */

/*
 * Collective. Loads the cohort (gr_cohort_load), makes the model for its rows, and counts
 * (gr_cohort_count). The cohort is borrowed until gr_federation_free. Errors: theirs.
 */
gr_status gr_federation_create(struct gr_cohort *cohort, struct gr_federation **out) GR_CHECKED;
/* Not collective. NULL accepted; the cohort stays. */
void gr_federation_free(struct gr_federation *federation);

/*
 * Mistakes that `gr_run` would refuse before its first round, found by its own code; nothing is
 * trained or written.
 */
enum { GR_FINDINGS_MAX = 64 };
struct gr_examination {
    gr_status status; /* the exit code of `gr_run`; GR_OK: it would begin */
    char **problem;   /* owned, n of them, the first is what `gr_run` would say */
    size_t n;
    char **sitting; /* silos of this rank that would sit out, and why; owned */
    size_t n_sitting;
    size_t n_more; /* of them that did not fit */
    char **note;   /* what was found in the columns, as a run tells it; owned */
    size_t n_notes;
    struct gr_opening opening; /* where status is GR_OK; all ranks know it */
};
/*
 * Collective. run_path: of the run directory that is meant, NULL: a new one. Returns other than
 * GR_OK only where the examination itself failed. Release with gr_examination_release.
 */
gr_status gr_examine(struct gr_comm *comm, const struct gr_config *config, const char *run_path,
                     struct gr_examination *out) GR_CHECKED;
/* Not collective. */
void gr_examination_release(struct gr_examination *examination);

/*
 * Called at the end of a round, on all ranks, once its metrics are known; Collective. May be called
 * again for the same round when ranks were lost meanwhile, and on a rank that has become rank 0.
 */
typedef gr_status (*gr_record_function)(void *context, struct gr_metrics *metrics);

struct gr_round_options {
    const volatile int *stop; /* non-zero once this process has got a signal; may be NULL */
    gr_record_function record;
    /* Told how many of this rank's silos of the round have trained; may be NULL. */
    void (*trained)(void *context, uint32_t round, uint32_t done, uint32_t of);
    void *context;
};

/*
 * Collective. One round as in the design: select, train, close the roster, reduce, step, evaluate,
 * record; repeated from where it was lost, never the training. Rounds count from 1; a rank that was
 * given up may come back in a later round than it left. *stopped: whether any rank has got a
 * signal, looked at when its silos have trained.
 *
 * GR_STOPPED: fewer silos are left than round.quorum; the round is void.
 */
gr_status gr_federation_round(struct gr_federation *federation,
                              const struct gr_round_options *options, bool *stopped) GR_CHECKED;

/*
 * Collective among those left, after GR_LOST outside of a round: the ranks meet again, and those
 * that have come back get the state.
 */
gr_status gr_federation_recover(struct gr_federation *federation) GR_CHECKED;

/* Participation in the round just taken, for the records; flags of n_silos, the same on all ranks,
 * and their lists ascend. */
struct gr_participation {
    const struct gr_flags *selected; /* by the draw from all silos, whoever was there */
    const struct gr_flags *member;
    const struct gr_flags *sat_out; /* enum gr_sit_out */
    /* Silos of ranks that were or did since the last round. */
    const struct gr_flags *lost, *late, *returned;
};
/* Not collective. Borrowed until the next round. */
void gr_federation_participation(const struct gr_federation *federation,
                                 struct gr_participation *out);

/* Not collective. How sums travel between nodes, as gr_aggregate_between. */
bool gr_federation_between(const struct gr_federation *federation, enum gr_between *way,
                           double least_s[GR_BETWEEN_MPI + 1]);

/* Held-out rows that are not in the scores of the round just taken, for they are not finite or too
 * large for a sum; the same on all ranks. */
struct gr_unscored {
    bool evaluated;               /* the round was; else all is empty */
    const struct gr_flags *silos; /* of n_silos; borrowed; NULL: there are none */
    bool test;                    /* the test table, so that test metrics are undefined */
    bool unreadable;              /* for it could not be read anew after a loss of ranks */
    char where[160]; /* else "row 3, column "dose"", counted from 0; "": no row alone */
    bool diverged;   /* nothing at all could be scored */
};
/* Not collective. Borrowed until the next round. */
void gr_federation_unscored(const struct gr_federation *federation, struct gr_unscored *out);

/* Not collective. The findings of the last round's evaluation over all ranks, the same on each,
 * or at the end of a run that keeps its best model those of that model; borrowed until the next
 * round. False: the last round was not evaluated, or there were no rows. */
bool gr_federation_evaluation(const struct gr_federation *federation, struct gr_evaluation *out);

/* Not collective. Rounds completed. */
uint32_t gr_federation_rounds_done(const struct gr_federation *federation);
/* Not collective. The state to be stored, with pointers into the federation. */
void gr_federation_state(struct gr_federation *federation, struct gr_state *out);
/* Not collective. The model that is the outcome: the newest, or where the config says `stop`,
 * the best one. Without facts about silos, for a model goes to others. */
void gr_federation_outcome(struct gr_federation *federation, struct gr_state *out);
/* Not collective. After a checkpoint has been read into `state`, which is gr_federation_state's. */
gr_status gr_federation_resume(struct gr_federation *federation,
                               const struct gr_state *state) GR_CHECKED;
/* Not collective. Whether the last `stop.patience` rounds have brought nothing better; the same
 * on all ranks. */
bool gr_federation_ends_early(const struct gr_federation *federation);

/*
 * Collective. What a run of this federation is, for people; all but `run_path` is filled in. Rows
 * are told in sums over all silos, and only where each round tells them anyway: not where silos are
 * drawn. Text borrowed.
 */
gr_status gr_federation_outline(struct gr_federation *federation,
                                struct gr_opening *out) GR_CHECKED;

/* Not collective. The model as JSON, for the manifest; borrowed. */
const char *gr_federation_architecture(const struct gr_federation *federation);

/*
 * The evidence of a study: the coordinator's ranks sign seals of its records (RUN/seals.jsonl), and
 * those of sites keep journals. All borrowed.
 */
struct gr_run_evidence {
    const unsigned char *study; /* GR_DIGEST_BYTES: its digest */
    /* The digests of the versions of the study before it; n_follows. */
    const unsigned char (*follows)[GR_DIGEST_BYTES];
    uint32_t n_follows;
    const struct gr_party *parties; /* [0]: the coordinator */
    uint32_t party;                 /* this rank's */
    const struct gr_keys *keys;     /* the party's; NULL: this rank has none, and signs nothing */
    const char *journal;   /* the path of this rank's, see gr_journal_path; NULL: it keeps none */
    int rank;              /* in the party's job */
    const char *approvals; /* of its study, for the journal: gr_journal_options; NULL: none */
    uint32_t roster_difference; /* of a site's policy */
};

/*
 * Asked by a site of a study with the id of the run that is to begin or to go on, before its tables
 * are read. An error is of the site alone, which leaves.
 */
typedef gr_status (*gr_begin_function)(void *context, const char *run_id);

/* The choices with which a whole run is started. */
struct gr_run_options {
    const char *run_path; /* --run, or NULL */
    bool resume;
    const char *config_text;     /* the config as given, for config.yaml; rank 0 */
    const char *initial;         /* in the place of model.initial; rank 0; or NULL */
    FILE *progress;              /* rank 0; NULL: silent */
    struct gr_listener listener; /* each process */
    const volatile int *stop;    /* becomes non-zero when a signal came; may be NULL */
    char **command;              /* that this process was started with, for replacements; or NULL */
    const struct gr_run_evidence
        *evidence; /* on all ranks, or NULL on all: no seals, no journals */
    /* Where a site of a study writes the model when the run has finished, as the coordinator writes
     * model.h5; NULL: nowhere. */
    const char *keep_model;
    gr_begin_function begin;   /* on the first rank of a site; NULL: nobody is asked */
    gr_permit_function permit; /* see gr_cohort_options */
    void *permit_context;      /* of both */
    double epsilon_most;       /* see gr_cohort_options */
};

/*
 * Not collective. Whether `path` is the model that the config starts from (model.initial_digest;
 * GR_OK where it starts from none), so that its want is told before sites are waited for. path
 * NULL: none. Errors: those of gr_run.
 */
gr_status gr_run_check_initial(const struct gr_config *config, const char *path) GR_CHECKED;

/*
 * Collective. The whole main job: run directory, rounds, checkpoints, model, report. GR_STOPPED
 * after a signal or below quorum, with a checkpoint of the last round finished. GR_OK on a rank
 * that was given up and is told that the others have finished. With evidence files are readable for
 * owner and group at most (0640), and name no path; GR_ERROR_POLICY, of this rank alone, which is
 * to leave its job: a seal contradicts what this site has seen.
 */
gr_status gr_run(struct gr_comm *comm, const struct gr_config *config,
                 const struct gr_run_options *options) GR_CHECKED;

/*
 * Collective, in step with the members' gr_comm_respawn. A run in a process that replaces a lost
 * rank (gr_comm_was_spawned): config and state come from the members.
 */
gr_status gr_run_join(struct gr_comm *comm, const struct gr_run_options *options) GR_CHECKED;

/*
 * Not collective. Compares the files of a run directory with each other: the chain of events with
 * itself, with the newest whole checkpoint and with the manifest; the metrics, the manifest and the
 * model with their digests there. Lines that a run which goes on, or was killed, has written behind
 * its newest checkpoint are compared with nothing. GR_ERROR_DATA with all the differences. *words,
 * on success: a line that says what they were compared with. Released with gr_free.
 */
gr_status gr_run_compare(const char *run_path, char **words) GR_CHECKED;

/* ---- stored models ------------------------------------------------------------------------ */

/*
 * A stored model's answers for a table, counted, and the findings in the table's columns: the same
 * on every rank, over all rows. Released with gr_scored_release, also after a failure.
 */
struct gr_scored {
    size_t n_rows;
    bool weighted;         /* evaluated: counts are of weights, of which */
    size_t lost_weights;   /* so many are too small beside the largest, and taken as 0 */
    struct gr_score score; /* evaluated, by outputs as they are */
    enum gr_recalibration_method recalibration; /* of the probabilities that are counted below */
    struct gr_accumulator *accumulator;         /* evaluated; owned */
    struct gr_columns *columns;                 /* the model's; owned; NULL: it knows none */
    struct gr_found *found; /* of each of them; owned; NULL: nobody has looked */
};
/* Not collective. */
void gr_scored_release(struct gr_scored *scored);

/*
 * Collective. Scores a model file on a labelled table; the same for any number of ranks. Errors:
 * GR_ERROR_DATA, also when the table does not fit the model. Of `options` source and csv are the
 * caller's; preprocessing is the model's own.
 */
gr_status gr_evaluate_table(struct gr_comm *comm, const char *model_path,
                            const struct gr_table_config *table,
                            const struct gr_table_options *options,
                            struct gr_scored *out) GR_CHECKED;
/*
 * Collective. Writes a model file's predictions for a table, which needs no labels, to `out_path`
 * (see gr_predictions_create), with the ids that `options` names.
 */
gr_status gr_predict_table(struct gr_comm *comm, const char *model_path,
                           const struct gr_table_config *table,
                           const struct gr_table_options *options, const char *out_path,
                           struct gr_scored *out) GR_CHECKED;

/*
 * Not collective. The findings in column i, in words and whole counts, for the owner of the rows:
 * "3 missing, taken as the mean; 5 outside of 0 to 110". *words: NULL for nothing; released with
 * gr_free.
 */
gr_status gr_scored_tell(const struct gr_scored *scored, size_t column, char **words) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
