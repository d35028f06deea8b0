/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observe: what a run tells while it runs and afterwards: metrics and events by round, the progress
 * line, the report. Rank 0 only; no MPI. Nothing written here names a silo, a host or a path.
 *
 * Interface: internal.
 */
#ifndef GRANARY_OBSERVE_H
#define GRANARY_OBSERVE_H

#include <stdio.h>
#include <sys/types.h>

#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One line of metrics.jsonl. NAN is written as null. */
struct gr_metrics {
    uint32_t round;        /* from 1 */
    uint32_t participants; /* silos in the sum */
    uint32_t selected;     /* silos that were to take part */
    /* Why the others did not, and who came back; of this round alone. */
    uint32_t dropped;    /* their rank was lost in this round */
    uint32_t late;       /* not ready at the deadline */
    uint32_t sat_out;    /* an update or data that must not enter a sum */
    uint32_t returned;   /* are here again, and take part from the next round on */
    uint32_t recoveries; /* sums and records that were repeated on fewer ranks */
    uint64_t examples;   /* sum of the participants' rows */
    uint64_t processed;  /* rows trained on, over epochs */
    double train_loss;
    double validation_loss, validation_accuracy; /* NAN without validation rows */
    double test_loss, test_accuracy;             /* NAN when not evaluated */
    /* The rows that these scores are of: fewer where rows held out by silos are lost with their
     * ranks. 0: none. */
    uint64_t validation_rows, test_rows;
    /* By index of gr_metric_rows those that named_told has a bit for; NAN: not defined. They stand
     * in the line as "test_auc", or where they are of the validation rows as "validation_auc". */
    double named[GR_METRICS_MAX];
    uint32_t named_told;
    bool of_validation;
    /* Bounds of a metric, where they are further apart than rounding; in the line as
     * "test_auc_lower" and "test_auc_upper"; both 0: not told. */
    double named_lower[GR_METRICS_MAX], named_upper[GR_METRICS_MAX];
    /* Where scores are of rows of silos and noise is in them: standard errors of the losses and
     * accuracies above by the noise alone; in the line as "test_loss_error". 0: not told. */
    struct gr_noise_errors {
        double validation_loss, validation_accuracy, test_loss, test_accuracy;
    } noise_error;
    /* Where silos' scores may be known: of so many the lowest, middle and highest of those on their
     * own validation rows; 0: not told. In the line as "silos": {"n", "loss", "accuracy"}. */
    uint32_t silos;
    double silo_loss[3], silo_accuracy[3]; /* NAN: not defined */
    struct {
        double train, aggregate, evaluate, checkpoint, total;
    } seconds;                /* as rank 0 lived them */
    uint64_t bytes_sent;      /* over all ranks */
    double cpu_seconds_train; /* over all ranks */
    double update_norm;       /* L2 norm of the mean update */
    /* To which updates were cut, of privacy.adaptive_clipping; in the line where above 0. */
    double clip_norm;
};

struct gr_metrics_file; /* opaque */
/*
 * Not collective. Opens PATH for appending; lines of rounds after `rounds_done` (a run that is
 * resumed from an earlier checkpoint) and a torn last line are removed first. The file is always
 * written anew through a temporary name, so that a former writer that wakes up late writes into a
 * file that is no longer there.
 */
gr_status gr_metrics_open(const char *path, uint32_t rounds_done,
                          struct gr_metrics_file **out) GR_CHECKED;
/*
 * Not collective. Appends a line. A line that the disk refuses (full, over quota, limit of the
 * process) is kept in memory and written before the next one that fits; append then returns GR_OK,
 * and gr_metrics_behind tells how many lines wait. Errors: GR_ERROR_WRITE for any other failure,
 * and for more than 64 MiB of waiting lines.
 */
gr_status gr_metrics_append(struct gr_metrics_file *file,
                            const struct gr_metrics *metrics) GR_CHECKED;
/*
 * Not collective. Writes the last line appended anew: the costs of a round may be known only after
 * its checkpoint, and a checkpoint must not be there before its round's line. Where the disk
 * refuses it the line stays as it was. Errors: GR_ERROR_WRITE.
 */
gr_status gr_metrics_amend(struct gr_metrics_file *file,
                           const struct gr_metrics *metrics) GR_CHECKED;
/*
 * Not collective. Brings the lines to disk (fsync), so that a power failure leaves no checkpoint
 * without its line. GR_OK although lines wait: see gr_metrics_behind. Errors: GR_ERROR_WRITE.
 */
gr_status gr_metrics_sync(struct gr_metrics_file *file) GR_CHECKED;
/*
 * Not collective. Writes the head of the lines: each hash is over the one before, in hex, and the
 * line, but for its "seconds" and the blanks that fill it up; 64 zeros stand before the first.
 */
void gr_metrics_head(const struct gr_metrics_file *file, struct gr_head *out);
/*
 * Not collective. Whether the lines of PATH came by each of n heads, in holds[i], and how many
 * lines there are. Errors: GR_ERROR_DATA.
 */
gr_status gr_metrics_look(const char *path, const struct gr_head *heads, bool *holds, size_t n,
                          uint64_t *n_lines) GR_CHECKED;
/* Not collective. Closes the file and releases it; NULL is accepted. */
void gr_metrics_close(struct gr_metrics_file *file);
/*
 * Not collective. Returns how many lines wait in memory because the disk refused them; 0: all are
 * written.
 */
size_t gr_metrics_behind(const struct gr_metrics_file *file);

/*
 * events.jsonl: {"n", "time", "event", "round", ..., "previous", "hash"}; hash is the BLAKE2b-256
 * of the line without it, previous the hash of the line before, 64 zeros for the first.
 */
struct gr_events_file; /* opaque */
/*
 * Not collective. Opens the events of a run for appending, written anew as gr_metrics_open does,
 * and for the same reason; lines that the disk refuses wait in memory likewise, in their order in
 * the chain. Of a file with lines that are no events a copy is kept beside it, PATH.damaged-1 and
 * so on, the lines are left out, and the chain goes on behind the last event with an "alert" that
 * says so, as gr_events_damage does in words (NULL: none).
 */
gr_status gr_events_open(const char *path, struct gr_events_file **out) GR_CHECKED;
/*
 * Not collective. Returns in words which lines gr_events_open found to be no events; NULL: none.
 * Borrowed.
 */
const char *gr_events_damage(const struct gr_events_file *file);
/*
 * Not collective. Appends an event. detail: further members as JSON object text, or NULL. A line of
 * over 16 MiB is cut in its lists, each with a count of the entries left out beside it
 * ("silos_cut"). On failure the chain is as it was: GR_ERROR_INTERNAL when the event cannot be put
 * into words, GR_ERROR_WRITE.
 */
gr_status gr_events_append(struct gr_events_file *file, const char *event, uint32_t round,
                           const char *detail) GR_CHECKED;
/* Not collective. Brings the lines to disk, as gr_metrics_sync. Errors: GR_ERROR_WRITE. */
gr_status gr_events_sync(struct gr_events_file *file) GR_CHECKED;
/* Not collective. Closes the file and releases it; NULL is accepted. */
void gr_events_close(struct gr_events_file *file);
/* Not collective. Returns how many lines wait in memory because the disk refused them. */
size_t gr_events_behind(const struct gr_events_file *file);

/*
 * Not collective. Writes the head of the chain: how many lines it has, and the hash of the last
 * one.
 */
void gr_events_head(const struct gr_events_file *file, struct gr_head *out);

/*
 * The silos that did not take part in a run, by its events, to be replayed. Event "void" of round r
 * says that nobody's update was taken in it. Event "partial" of
 * round r has the member "absent", a list of silos that were selected and are not in the sum:
 * "silo-017", or "silo-000..silo-499" for all of these, "silo-000..silo-998/2" for every second.
 * With "stands" it is of the rounds that follow as well, to the next "partial". Without, of its own
 * round alone. An event "started", "resumed" or "restarted" of round k takes back what was said of
 * rounds after k, and a later "partial" of the same round replaces an earlier one. Errors:
 * GR_ERROR_DATA with file and line.
 */
struct gr_replay; /* opaque */
/*
 * Not collective. Reads the events of a run. Caller releases with gr_replay_close. Errors:
 * GR_ERROR_DATA with file and line.
 */
gr_status gr_replay_open(const char *path, uint32_t n_silos, struct gr_replay **out) GR_CHECKED;
/*
 * Not collective. Sets the flags of the silos that were selected for a round and are not in its
 * sum. absent: n_silos flags, cleared first; their list ascends, as in the others.
 */
void gr_replay_absent(const struct gr_replay *replay, uint32_t round, struct gr_flags *absent);
/* Not collective. Sets the flags of silos that were not sampled and took part for absent ones, by
 * the member "instead". instead: n_silos flags, cleared first.
 */
void gr_replay_instead(const struct gr_replay *replay, uint32_t round, struct gr_flags *instead);
/* Not collective. Sets the flags of silos that took part without their state of earlier rounds, by
 * the member "anew". anew: n_silos flags, cleared first. */
void gr_replay_anew(const struct gr_replay *replay, uint32_t round, struct gr_flags *anew);
/* Not collective. Sets the flags of silos that were not there before the first round, so that
 * preprocessing and counts are without them: event "lost" of round 0 with the member
 * "before_start", and silos that the study got later. lost: n_silos flags, cleared first. */
void gr_replay_lost(const struct gr_replay *replay, struct gr_flags *lost);
/* Not collective. Sets the flags of silos that no stretch of the run began with. never: n_silos
 * flags, cleared first. */
void gr_replay_never(const struct gr_replay *replay, struct gr_flags *never);
/* Not collective. Whether the round was void. */
bool gr_replay_void(const struct gr_replay *replay, uint32_t round);
/* Not collective. How many silos the study had in a round, by the member "silos" of the event that
 * opened the stretch; those behind them were not there, nor in the draw. */
uint32_t gr_replay_silos(const struct gr_replay *replay, uint32_t round);
/* Not collective. Releases a replay; NULL is accepted. */
void gr_replay_close(struct gr_replay *replay);

/*
 * Not collective. Finds the newest checkpoint that the events of a run tell of, counted from the
 * last resumption, whose event names the checkpoint of then: *round 0: none. *there false: there is
 * no such file. Lines that are no events are passed over.
 */
gr_status gr_events_checkpoint(const char *path, bool *there, uint32_t *round) GR_CHECKED;

/*
 * Not collective. Checks the chain: *broken_line is the first bad line, from 1, and 0 if none is;
 * whether it came by each of n heads, in holds[i]; and how many lines there are. Errors:
 * GR_ERROR_DATA.
 */
gr_status gr_events_look(const char *path, const struct gr_head *heads, bool *holds, size_t n,
                         uint64_t *n_lines, size_t *broken_line) GR_CHECKED;
/*
 * The event that ends a stretch of a run holds the digests of the other records as they are then,
 * in hex, "" where there is none: manifest.json, metrics.jsonl, the model's parameters.
 */
struct gr_closing {
    char manifest[GR_DIGEST_HEX], metrics[GR_DIGEST_HEX], model[GR_DIGEST_HEX];
};
/*
 * Not collective. Reads the digests that the `number`-th event holds, which ends a stretch of a
 * run; *found false: there is no such event, or it holds none. Errors: GR_ERROR_DATA.
 */
gr_status gr_events_closing(const char *path, uint64_t number, struct gr_closing *out,
                            bool *found) GR_CHECKED;
/*
 * Not collective. Checks the chain: *broken_line is the first bad line, from 1, and 0 if none is.
 * Errors: GR_ERROR_DATA.
 */
gr_status gr_events_verify(const char *path, size_t *broken_line) GR_CHECKED;

/*
 * A line that is redrawn on a terminal, plain lines elsewhere (at most one in two seconds, and the
 * last). While a phase or a round takes long a thread of its own tells how long already: on a
 * terminal every second, elsewhere every half minute. The batch job's comment in Slurm's queue
 * follows, once a minute at most, unless GRANARY_JOB_COMMENT is "off" or the job has a comment.
 */
struct gr_progress; /* opaque */
/*
 * Not collective. Makes a line of progress on `stream`, NULL: silent, but for the job's comment.
 * Caller releases with gr_progress_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_progress_create(FILE *stream, uint32_t rounds, uint32_t rounds_done,
                             struct gr_progress **out) GR_CHECKED;
/*
 * Not collective. Tells the work that goes on before the rounds, "loading data"; NULL: none that is
 * to be told.
 */
void gr_progress_phase(struct gr_progress *progress, const char *phase);

/* A run before its first round. Text borrowed. */
struct gr_opening {
    const char *run_path;            /* NULL: not told */
    uint32_t silos, unusable, drawn; /* drawn: for each round; 0: all */
    int ranks;
    int64_t train_rows, test_rows;       /* -1: not to be told */
    uint64_t features, columns, classes; /* columns, classes 0: none */
    uint64_t parameters;
    const char *model, *loss, *strategy; /* loss NULL: the model's own */
    uint32_t rounds, rounds_done;
};
/* Not collective. Writes an opening in lines, "rounds     20". */
void gr_opening_write(FILE *stream, const struct gr_opening *opening);
/* Not collective. Writes the opening; the clock of the rounds begins. */
void gr_progress_open(struct gr_progress *progress, const struct gr_opening *opening);
/*
 * Not collective. Tells that a round is under way, and that `done` of the `of` silos that this rank
 * has in it have trained.
 */
void gr_progress_trained(struct gr_progress *progress, uint32_t round, uint32_t done, uint32_t of);
/* Not collective. Tells that a round has ended, with its figures. True: the batch job's comment has
 * been set as well. */
bool gr_progress_round(struct gr_progress *progress, const struct gr_metrics *metrics);
/* Not collective. A line of its own among the rounds: "round 7: 2 silos lost". */
void gr_progress_say(struct gr_progress *progress, const char *text);
/* How a model of classes is to be judged, beside its accuracy; NAN: not known. */
struct gr_headline {
    double largest; /* share of the class with the most rows */
    double auc;
    double r2; /* of a model that predicts a number */
};
/* Not collective. Whether there is a batch job whose comment gr_progress_finish sets. */
bool gr_progress_tells_job(const struct gr_progress *progress);
/* Not collective. Ends the line, and prints the closing summary. headline may be NULL. resume: how
 * a run that has not come to its last round is gone on with; NULL: it is not told. */
void gr_progress_finish(struct gr_progress *progress, const char *run_path,
                        const char *model_digest, const struct gr_headline *headline,
                        const char *resume);
/* Not collective. Ends the thread and releases the line; NULL is accepted. */
void gr_progress_free(struct gr_progress *progress);

/* Rules over the figures of rounds, those of the config and the usual ones. Rank 0's alone. */
struct gr_alerts; /* opaque */
/* Not collective. The config is borrowed. Caller releases with gr_alerts_free. Errors:
 * GR_ERROR_INTERNAL. */
gr_status gr_alerts_create(const struct gr_alerts_config *config,
                           struct gr_alerts **out) GR_CHECKED;
struct gr_alert {
    bool over;          /* it has ended */
    const char *name;   /* borrowed from the alerts */
    const char *figure; /* as in a config */
    double value, limit;
    char words[200];
};
typedef void (*gr_alert_tell)(void *context, const struct gr_alert *alert);
/* Not collective. Takes a round; budget_spent: of the privacy budget, NAN: there is none. Each rule
 * that begins or ends to hold is told once. */
void gr_alerts_round(struct gr_alerts *alerts, const struct gr_metrics *metrics,
                     double budget_spent, gr_alert_tell tell, void *context);
/* Not collective. NULL is accepted. */
void gr_alerts_free(struct gr_alerts *alerts);

/*
 * The programs that are told of alerts, each in a process group of its own, with a deadline; nobody
 * waits for them. What they print is dropped.
 */
enum { GR_HANDLERS_MAX = 8 };
struct gr_alert_handlers {
    pid_t running[GR_HANDLERS_MAX]; /* 0: none */
    uint64_t untold;                /* events that came while so many were running */
};
/* Not collective. Starts `words`, of which there are n, with `text` on its input. False: it could
 * not be started, or too many are running. */
bool gr_alert_handle(struct gr_alert_handlers *handlers, char *const *words, unsigned n,
                     double deadline_s, const char *text);

/* The figures of a run in Prometheus' text format, in a file for node_exporter. Rank 0's alone. */
struct gr_exposition; /* opaque */
/*
 * Not collective. The file is PATH, of mode 0644, replaced as a whole; nothing is written yet.
 * Caller releases with gr_exposition_free. Errors: GR_ERROR_USAGE, GR_ERROR_WRITE: PATH is no place
 * for a file.
 */
gr_status gr_exposition_create(const char *path, const char *name, const char *run_id,
                               uint32_t rounds, uint32_t rounds_done,
                               struct gr_exposition **out) GR_CHECKED;
/* Not collective. Takes the figures of a round that has ended. */
void gr_exposition_round(struct gr_exposition *exposition, const struct gr_metrics *metrics);
/* Not collective. Takes a checkpoint that was written, or that the disk refused. */
void gr_exposition_checkpoint(struct gr_exposition *exposition, uint32_t round, bool written);
/* Not collective. Counts an alert. */
void gr_exposition_alert(struct gr_exposition *exposition);
/* Not collective. Whether the file is 5 s old, or has never been written. */
bool gr_exposition_due(const struct gr_exposition *exposition);
/*
 * Not collective. Writes the file, and tells how many values it holds. outcome: "running",
 * "finished", "stopped" or "failed". The disk is not waited for. Errors: GR_ERROR_WRITE.
 */
gr_status gr_exposition_write(struct gr_exposition *exposition, const char *outcome,
                              size_t *n_values) GR_CHECKED;
/* Not collective. Releases it, and leaves the file; NULL is accepted. */
void gr_exposition_free(struct gr_exposition *exposition);

/* A run in a few figures, out of its records. NAN, 0 and "" for what is not known. */
struct gr_run_summary {
    char outcome[24]; /* the manifest's word; "": it cannot be read */
    uint64_t rounds, rounds_done;
    uint32_t scored_round; /* whose scores these are; 0: none */
    bool of_test;          /* else of the validation rows */
    double accuracy, loss;
    struct gr_headline headline;
    double seconds; /* of all rounds */
    char started[32], ended[32], last_event[64], last_event_utc[32];
    uint64_t last_event_round;
    double record_age_s;           /* since a record was written */
    size_t n_alerts, broken_event; /* line at which the chain of events breaks; 0: it is whole */
    char *notes; /* the records that could not be read, a line each; owned; NULL: none */
};
/* Not collective. Reads only; what is damaged is noted. Errors: GR_ERROR_DATA where no record is
 * there at all. */
gr_status gr_run_summarise(const char *run_path, struct gr_run_summary *out) GR_CHECKED;
/* Not collective. Releases the notes; a zeroed struct is accepted. */
void gr_run_summary_release(struct gr_run_summary *summary);

/*
 * Not collective. Reads manifest.json, resolved.yaml, metrics.jsonl, events.jsonl and, where there
 * is one, evaluation.json of a run directory and writes its report.html: one page, nothing loaded
 * from elsewhere. Only manifest.json must be there and whole (GR_ERROR_DATA): others that cannot be
 * read are left out, and the page says so. The model card, model-card.md, is written as well:
 * Markdown with the front matter of Hugging Face's model cards, for people who are given the model
 * and were not there (Mitchell et al. 2019). It tells nothing that the report does not, no paths.
 */
gr_status gr_report_write(const char *run_path) GR_CHECKED;
/* Not collective. RUN_PATH/report.html, without doubled slashes; caller frees. */
gr_status gr_report_path(const char *run_path, char **out) GR_CHECKED;

/* A gate, and how a run stands before it. */
struct gr_gate_result {
    char name[128];      /* kind and metric, quoted */
    double lower, upper; /* of its figure, alike where that is exact; NaN: it is not known */
    double limit;        /* NaN: of the first, which is about the run's end */
    bool at_most;        /* else at least */
    bool passed;
    char why[256]; /* why the figure is not known, quoted; "": it is */
};
/*
 * Not collective. Holds a run against the gates of a file, or of its own config (gates_path NULL);
 * the first of *n results is whether it has finished. A gate that says nothing sound, or whose
 * figure is not known, is not passed. Caller releases *out with gr_free. Errors: GR_ERROR_DATA: it
 * is no run; GR_ERROR_CONFIG: there are no gates.
 */
gr_status gr_gates_judge(const char *run_path, const char *gates_path, struct gr_gate_result **out,
                         size_t *n) GR_CHECKED;

enum { GR_REPORT_RUNS_MAX = 1000 };
/* Files to be written of runs; NULL: it is not asked for. Borrowed. */
struct gr_report_files {
    const char *page, *csv, *json;
};
/*
 * Not collective. Reads n run directories, or folders of some, GR_REPORT_RUNS_MAX runs in all, and
 * writes of them, each whole or not at all: a page over each other, a table with a line for each
 * run, and both as JSON. Runs of a folder whose manifest cannot be read are left out, and the page
 * says so. Errors: GR_ERROR_DATA; GR_ERROR_USAGE: too many runs, or a file is one of the runs' own;
 * GR_ERROR_WRITE.
 */
gr_status gr_report_write_runs(const char *const *run_paths, size_t n,
                               const struct gr_report_files *files) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
