/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: parallel HDF5 checkpoints, model files, the run directory and its manifest.
 *
 * Whatever is written appears whole or not at all: a temporary name, fsync, verification, rename.
 *
 * Interface: stable.
 */
#ifndef GRANARY_STORE_H
#define GRANARY_STORE_H

#include <granary/comm.h>
#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- checkpoints and model files ------------------------------------------------------------ */

/* Two of a strategy's, and the best model so far. */
enum { GR_SERVER_VECTORS_MAX = 3 };
#define GR_SERVER_BEST "best" /* name of the vector that best_round and best_value belong to */

/*
 * Which run it is: drawn when it starts, and the same when it is resumed. Two runs of one config on
 * the same data have two.
 */
enum { GR_RUN_ID_HEX = 33 };

/*
 * How far the records had come when a checkpoint was made, all of it on disk: the chain of events,
 * the lines of metrics (see gr_metrics_head), and manifest.json with so many stretches.
 */
struct gr_evidence {
    struct gr_head events, metrics;
    char manifest[GR_DIGEST_HEX]; /* digest of the file, in hex */
    uint32_t stretches;
};

/* The contents of a checkpoint; all pointers borrowed, vectors of layout->size floats. */
struct gr_state {
    uint32_t round;       /* rounds completed */
    uint32_t void_rounds; /* so many of them, at the end, were void */
    int32_t clip_step;    /* of privacy.adaptive_clipping; of checkpoints only */
    const struct gr_layout *layout;
    float *parameters;
    size_t n_server; /* vectors of server state, e.g. 1 for FedAvgM */
    const char *server_name[GR_SERVER_VECTORS_MAX]; /* e.g. "momentum" */
    float *server[GR_SERVER_VECTORS_MAX];
    uint32_t best_round; /* with a vector GR_SERVER_BEST: the round it is of, 0: none yet; */
    double best_value;   /* and what the metric was then */
    uint32_t n_silos;
    uint32_t *silo_rounds; /* rounds each silo took part in, by silo id */
    int64_t *class_counts; /* n_class_counts; of checkpoints only */
    size_t n_class_counts;
    const char *architecture;   /* JSON of gr_model_describe */
    const char *preprocessing;  /* gr_fit_to_yaml's; NULL: none */
    const char *postprocessing; /* gr_postprocessing_to_json's; of models only; NULL: none */
    unsigned char
        config_digest[GR_DIGEST_BYTES]; /* the digest of the config and data that it belongs to */
    const char *run_id;                 /* of checkpoints only; NULL: not known */
    const struct gr_evidence *evidence; /* rank 0's, of checkpoints only; NULL: none */
    bool grows; /* gr_checkpoint_read takes a checkpoint of fewer silos; rounds of the others are 0
                 */
    char run_id_found[GR_RUN_ID_HEX]; /* by gr_checkpoint_read; "": written before there were any */
};

/* How the ranks write a checkpoint; the same on all. */
struct gr_checkpoint_io {
    /*
     * One file of MPI-IO, written by collective transfers. No loss is survived in it: where no rank
     * gets on for patience_s seconds and the time of the bytes at 10 MB/s, the process ends with
     * GR_STOPPED's exit code. Else each rank writes its slab by itself.
     */
    bool collective;
    double patience_s;
    char *const *hints; /* "key=value" for MPI-IO; borrowed */
    unsigned n_hints;
    void (*midway)(void *context); /* called in the midst of the bytes, for rehearsals; or NULL */
    void *context;
};

/* Collective. Sets `collective`, as checkpoint.io asks and the file system of `dir` is. */
gr_status gr_checkpoint_choose_io(struct gr_comm *comm, const char *dir,
                                  const struct gr_checkpoint_config *config,
                                  struct gr_checkpoint_io *io) GR_CHECKED;

/*
 * Collective. Writes DIR/round-NNNNNN.h5, each rank its slab; then removes all but the newest
 * `keep`. io: NULL: each rank for itself. Errors: GR_ERROR_WRITE, with the previous checkpoints
 * untouched; GR_LOST, when ranks were lost: to be called again by those left.
 *
 * Each for itself: no rank ever waits for another inside the HDF5 library or MPI-IO, which know no
 * deadline. Rank 0 lays the file out and tells the others where its bytes belong; each writes a
 * slab, whose ends are multiples of 1 MiB, into room that exists; once all is on the disk each
 * reads back what its neighbour has written. Between the steps they agree through gr_comm_agree.
 * The temporary name holds `attempt`, so that a rank that was given up and wakes up writes into a
 * file that nobody will publish.
 *
 * Layout of the file: /global/parameters/<tensor> (float32, the tensor's shape),
 * /global/server/<name>/<tensor>, /silos/rounds (uint32; of a checkpoint), /global/class_counts
 * (int64, where classes weigh differently), /global/digests (one BLAKE2b-256 for each slab of at
 * most 4 MiB, independent of the number of ranks), /preprocessing (uint8, the text of a gr_fit;
 * absent where rows go into the model as they are), /postprocessing (uint8, the text of a
 * gr_postprocessing; absent where outputs are taken as they are), attributes at /: "format"
 * "granary-checkpoint", "version" (1; with /postprocessing 2), "round", "architecture" (of over
 * 60,000 bytes: a dataset, as /preprocessing), "config_digest", "run_id", and of struct gr_evidence
 * "events", "events_head", "metrics", "metrics_head", "manifest_digest", "stretches"; at
 * /global/server, with a vector "best": "best_round", "best_value".
 */
gr_status gr_checkpoint_write(struct gr_comm *comm, const char *dir, const struct gr_state *state,
                              uint32_t keep, uint32_t attempt,
                              const struct gr_checkpoint_io *io) GR_CHECKED;

/*
 * Collective. Lays out a checkpoint with all that it has but the bytes of its vectors, opens it on
 * every rank and takes it away again, so that what would refuse it (room, descriptors, memory, a
 * limit of the format, a folder that some rank does not see) is known before any work is done.
 * Errors: GR_ERROR_WRITE. *room: whether there is room for `keep` and one more beside what is there
 * already; rank 0's on all.
 */
gr_status gr_checkpoint_try(struct gr_comm *comm, const char *dir, const struct gr_state *state,
                            uint32_t keep, const struct gr_checkpoint_io *io,
                            bool *room) GR_CHECKED;

/*
 * Collective. Reads the newest checkpoint of `dir` that is whole into the vectors of `state`, whose
 * layout, n_server, n_silos and config_digest say what is expected. A damaged one is named
 * in *passed_over (one line each; caller releases with gr_free; NULL if none) and the next older is
 * taken. *found false: there is none. A whole one of another model or config: GR_ERROR_CONFIG; one
 * of another run, under another's name, or that the system refuses to read: GR_ERROR_DATA.
 */
gr_status gr_checkpoint_read(struct gr_comm *comm, const char *dir, struct gr_state *state,
                             bool *found, char **passed_over) GR_CHECKED;
/*
 * Not collective. Returns the round of the newest checkpoint of a run directory by its name, whole
 * or not; 0: there is none.
 */
uint32_t gr_checkpoint_newest(const char *run_path);

/*
 * Collective. The text of the fit that the run's checkpoints hold, which is the same in all of
 * them; NULL: there is none, or no checkpoint that can be opened. Released with gr_free.
 */
gr_status gr_checkpoint_preprocessing(struct gr_comm *comm, const char *dir, char **out) GR_CHECKED;

/*
 * Not collective; rank 0 only. Writes the final model, in the same form as a checkpoint ("format"
 * "granary-model"). Errors: GR_ERROR_WRITE.
 */
gr_status gr_model_file_write(const char *path, const struct gr_state *state) GR_CHECKED;

/*
 * A model file or checkpoint, read whole by one process, which verifies the digests of the share
 * that `rank` of `size` has; 0 and 1: all of them.
 */
struct gr_model_file {
    uint32_t round;
    char format[32];
    char *architecture;   /* owned */
    char *preprocessing;  /* text of a gr_fit, not yet parsed; owned; NULL: none */
    char *postprocessing; /* text of a gr_postprocessing, likewise */
    char config_digest[GR_DIGEST_HEX];
    struct gr_layout layout; /* owned */
    float *parameters;       /* owned */
    bool digests_match;      /* of that share */
    size_t n_server;
    uint32_t n_silos; /* of a checkpoint; 0 of a model */
};
/*
 * Not collective. Reads a model file or checkpoint whole and verifies the digests of the slabs that
 * are the share of `rank` of `size` readers (0 of 1: all). Caller releases with
 * gr_model_file_release. Errors: GR_ERROR_DATA.
 */
gr_status gr_model_file_read(const char *path, int rank, int size,
                             struct gr_model_file *out) GR_CHECKED;
/*
 * Not collective. Returns the round of a run's own model; 0: there is none, or it cannot be opened.
 */
uint32_t gr_model_file_round(const char *path);
/* Not collective. Releases the contents of a model file; a zeroed struct is accepted. */
void gr_model_file_release(struct gr_model_file *file);

/* ---- what a silo keeps for itself ----------------------------------------------------------- */

/*
 * As private as an update: written and read by the rank that hosts the silo, mode 0600, in a folder
 * of mode 0700. Named after the silo and the rounds it had taken part in, silo-017-000005.h5, of
 * the form of a model file ("format" "granary-silo", the first vector in place of the parameters,
 * the others in place of server state, and in place of the architecture their names and `steps`).
 */
enum { GR_SILO_VECTORS_MAX = 1 + GR_SERVER_VECTORS_MAX };
struct gr_silo_state {
    uint32_t silo, rounds;
    const struct gr_layout *layout;
    unsigned char origin[GR_DIGEST_BYTES]; /* of config and data: what it belongs to */
    const char *run_id;                    /* borrowed; NULL: not known */
    uint64_t steps;                        /* of the silo's optimizer */
    size_t n_vectors;                      /* from 1 */
    const char *name[GR_SILO_VECTORS_MAX]; /* "residual", "momentum"; borrowed */
    float *vector[GR_SILO_VECTORS_MAX];    /* layout->size floats each; borrowed */
};
/* Not collective. Makes `dir` where there is none. The file is whole and on disk, its name only
 * once all that are to be written have been, by gr_silo_states_sync. Errors: GR_ERROR_WRITE. */
gr_status gr_silo_state_write(const char *dir, const struct gr_silo_state *state) GR_CHECKED;
/*
 * Not collective. Gives all states written in `dir` their names, and brings these to disk. Errors:
 * GR_ERROR_WRITE.
 */
gr_status gr_silo_states_sync(const char *dir) GR_CHECKED;
/* Not collective. Reads a silo's state into `vector` and `steps`. Errors: GR_ERROR_DATA when there
 * is none of that silo and round, or it is damaged or another run's, or has other vectors; they may
 * have been written to then. */
gr_status gr_silo_state_read(const char *dir, struct gr_silo_state *state) GR_CHECKED;
/* Not collective. Removes a silo's state of so many rounds, if it is there. */
void gr_silo_state_remove(const char *dir, uint32_t silo, uint32_t rounds);
/* Not collective. silos: n_silos ids, ascending. Removes all but the newest `keep` of each. */
void gr_silo_states_keep(const char *dir, const uint32_t *silos, size_t n_silos, uint32_t keep);
/*
 * Not collective. Removes states of more rounds than rounds[id], by silo id: an earlier stretch of
 * the run got further.
 */
void gr_silo_states_forget(const char *dir, const uint32_t *silos, size_t n_silos,
                           const uint32_t *rounds);
/*
 * Not collective. Removes the temporary files of writers that were lost; to be called while nobody
 * writes.
 */
void gr_silo_states_tidy(const char *dir);

enum { GR_SILO_LOG_MAX = 1 << 20 };
/*
 * Not collective. Appends a line, with the time in front, to `dir`/PSEUDONYM.log, which its owner
 * alone can read (mode 0600); the folder is made (mode 0700) where it is not there. A file that
 * would get larger than GR_SILO_LOG_MAX bytes becomes PSEUDONYM.log.1 first, in the place of an
 * earlier one. No link is followed. Errors: GR_ERROR_WRITE.
 */
gr_status gr_silo_log_add(const char *dir, const char *pseudonym, const char *text) GR_CHECKED;

/* ---- predictions ---------------------------------------------------------------------------- */

/*
 * A file of predictions, written by all ranks, with the same bytes for any number of
 * them. PATH ends in ".csv": a line of names ("label,p0,p1,...", or where classes have names
 * "label,p_no,p_yes"), then a line for each row, in order: the class, by its name where it has one,
 * and probabilities with nine decimals. In ".h5" or ".hdf5": /labels (int32, n_rows) and
 * /probabilities (float32, n_rows x classes), where classes have names /classes (text, in the order
 * of the labels), attributes "format" "granary-predictions", "version", "model_digest". Of a model
 * that predicts a number, classes is 0: a column, or a dataset of n_rows, "prediction", with nine
 * digits. With sets, of classes columns "set0,set1,..." (or "set_no"), each 0 or 1, and a dataset
 * /sets (uint8, n_rows x classes), of a number columns "lower,upper" and /interval (float32, n_rows
 * x 2). With ids: a first column of the id's name, a dataset /id (text, n_rows). It is under
 * PATH.tmp until it is whole.
 *
 * Lifetime: gr_predictions_create, gr_predictions_free, which before gr_predictions_finish removes
 * the unfinished file. Errors: GR_ERROR_USAGE (another ending), GR_ERROR_WRITE.
 */
struct gr_predictions; /* opaque */
struct gr_predictions_form {
    size_t n_rows, classes;
    const char *const
        *class_names;         /* `classes` of them; NULL: they have none; borrowed until free */
    bool sets;                /* each row has a set of classes, or an interval */
    const char *id_name;      /* NULL: no ids; borrowed until free */
    size_t id_bytes;          /* no id is longer */
    const char *model_digest; /* rank 0's counts */
};
/* Rows of predictions; all is borrowed. */
struct gr_predicted {
    const int32_t *labels;  /* n; without classes not looked at */
    const float *values;    /* probabilities, n x classes, each from 0 to 1; or n numbers */
    const uint8_t *sets;    /* of a form with sets: n x classes, whether it is in the set; */
    const float *intervals; /* without classes n x 2, the ends of the interval */
    const char *ids;        /* of a form with ids: the texts one after the other; */
    const size_t *id_end;   /* n: where each ends */
};
/* Not collective. Whether a path has one of the endings. */
gr_status gr_predictions_check_path(const char *path) GR_CHECKED;
/* Collective. comm borrowed; all ranks say the same, but of the digest. */
gr_status gr_predictions_create(struct gr_comm *comm, const char *path,
                                const struct gr_predictions_form *form,
                                struct gr_predictions **out) GR_CHECKED;
/*
 * Collective. Each rank brings rows first .. first + n - 1, or none; those of a rank follow on
 * those of the rank before, and those of rank 0 on the last ones of the call before.
 */
gr_status gr_predictions_write(struct gr_predictions *predictions, size_t first, size_t n,
                               const struct gr_predicted *rows) GR_CHECKED;
/* Collective. On disk, and under its name. */
gr_status gr_predictions_finish(struct gr_predictions *predictions) GR_CHECKED;
/*
 * Not collective. Releases the file; before gr_predictions_finish it is removed. NULL is accepted.
 */
void gr_predictions_free(struct gr_predictions *predictions);

/* ---- the run directory ---------------------------------------------------------------------- */

struct gr_run_directory; /* opaque: path, lock */

/*
 * Not collective; rank 0 only. Opens a run directory, creates checkpoints/ in it, and holds its
 * lock until gr_run_directory_close. path NULL: <run.directory>/<run.name>-<id>, with an id of time
 * and process, or with `resume` the one that latest points at; <run.directory>/latest is set to
 * point at it. The path is made absolute. Errors: GR_ERROR_WRITE, also when there is a run in it
 * and not `resume`, or another process holds it.
 */
gr_status gr_run_directory_open(const struct gr_config *config, const char *path, bool resume,
                                struct gr_run_directory **out) GR_CHECKED;
/*
 * Not collective. Whether a new run could be opened there, as far as that can be seen without
 * making anything. Errors: GR_ERROR_WRITE.
 */
gr_status gr_run_directory_check(const struct gr_config *config, const char *path) GR_CHECKED;
/*
 * Not collective. Makes up a fresh <run.directory>/<run.name>-<id>, for a caller that starts runs
 * and must know their directory beforehand. Caller releases *out with gr_free. Errors:
 * GR_ERROR_INTERNAL.
 */
gr_status gr_run_directory_name(const struct gr_config *config, char **out) GR_CHECKED;
/*
 * Not collective. Reads where <run.directory>/latest points. Caller releases *out with gr_free.
 * Errors: GR_ERROR_USAGE when there is no such link.
 */
gr_status gr_run_directory_latest(const struct gr_config *config, char **out) GR_CHECKED;
/* Not collective. Replaces a path that is a link, as `latest`, by what it leads to; *path:
 * gr_free's.
 */
gr_status gr_run_directory_behind_link(char **path) GR_CHECKED;
/*
 * Not collective. Sets <run.directory>/latest to point at PATH, wherever that is, unless there is
 * no <run.directory>. Errors: GR_ERROR_WRITE.
 */
gr_status gr_run_directory_set_latest(const struct gr_config *config, const char *path) GR_CHECKED;
/*
 * Not collective. Enters the directory as it is, for a rank that takes over from a rank 0 that was
 * lost. The lock is taken if it is free; a former rank 0 that is only suspended still holds it,
 * which keeps others out just as well. `gr_run_directory_relock` tries again. The stretch that the
 * manifest says is running is ours, and is written anew.
 */
gr_status gr_run_directory_take_over(const char *path, struct gr_run_directory **out) GR_CHECKED;
/* Not collective. Tries again to take a lock that gr_run_directory_take_over did not get. */
void gr_run_directory_relock(struct gr_run_directory *run);
/* Not collective. Returns the directory's absolute path. Borrowed. */
const char *gr_run_directory_path(const struct gr_run_directory *run);
/*
 * Not collective. Returns the run's id, GR_RUN_ID_HEX bytes with the NUL; where the manifest of a
 * resumed run has none it is a new one, and *known is false. Borrowed.
 */
const char *gr_run_directory_id(const struct gr_run_directory *run, bool *known);
/*
 * Not collective. Brings the id of a run that has no manifest yet to disk, or takes the one that
 * lies there: whoever was told it knows the run again when it is killed before it has a manifest.
 * Errors: GR_ERROR_WRITE.
 */
gr_status gr_run_directory_keep_id(struct gr_run_directory *run) GR_CHECKED;
/*
 * Collective. GR_ERROR_WRITE: some ranks do not see the folder that rank 0 has opened, or may not
 * write in it; by rank and host.
 */
gr_status gr_run_directory_check_shared(struct gr_comm *comm, const char *path) GR_CHECKED;
/*
 * Not collective. Returns in words the features that the file system lacks and the run can do
 * without; NULL: it lacks none. Borrowed.
 */
const char *gr_run_directory_warning(const struct gr_run_directory *run);
/*
 * Not collective. Returns the number that was drawn when the directory was opened, by which its
 * claims are told from those of other starts.
 */
uint64_t gr_run_directory_start(const struct gr_run_directory *run);

/* Whether a process holds a run directory. */
enum gr_hold { GR_HOLD_UNKNOWN, GR_HOLD_FREE, GR_HOLD_HELD };
/*
 * Not collective. Whether a process holds the directory PATH, as far as its lock tells:
 * GR_HOLD_UNKNOWN where there is none, or the file system knows no locks. Changes nothing.
 */
enum gr_hold gr_run_directory_hold(const char *path);
/* Not collective. The same of any lock of flock(2), by its path. */
enum gr_hold gr_lock_hold(const char *path);
/* Not collective. The model of a run: PATH/model.h5, or else the newest checkpoint; NULL: none yet.
 * Caller: gr_free.
 */
gr_status gr_run_directory_model(const char *path, char **out) GR_CHECKED;

/* The data that earlier stretches trained on, by their manifest. */
struct gr_run_data {
    bool known; /* there is such a manifest */
    unsigned char fingerprint[GR_DIGEST_BYTES];
    bool incomplete; /* when it was taken, some silos' data could not be read */
    bool grows;      /* silos may have come behind those that it is of */
};
/* Not collective. Returns the data that earlier stretches trained on, as their manifest says. */
struct gr_run_data gr_run_directory_data(const struct gr_run_directory *run);
/* A version of the study that a run has gone by. */
struct gr_run_version {
    unsigned char study[GR_DIGEST_BYTES];
    unsigned char config_digest[GR_DIGEST_BYTES];
    uint32_t from; /* rounds that were done when it began */
};
/* Not collective. The first and the last version that earlier stretches went by, as their manifest
 * says; false: it names none. */
bool gr_run_directory_versions(const struct gr_run_directory *run, struct gr_run_version *first,
                               struct gr_run_version *last);
/* Not collective. The last of these of the run in a folder, which need not be held; false: it has
 * no run, or one that names none. */
bool gr_run_last_version(const char *run_path, struct gr_run_version *last);

/*
 * Fingerprints of the data that a run was begun with, in PATH/fingerprints.json. Each is 62 bits of
 * a digest that is salted, so that nobody can confirm a guessed table with it, and 0 for what was
 * not read. Salts are 32 bytes in a file each, mode 0600 in the folder PATH/secrets of mode 0700:
 * "run" for what all processes read, "silo-017" for what only that silo's does.
 */
enum { GR_FINGERPRINTS_SILO = 3 }; /* of a silo: train, validation, test */
enum { GR_FINGERPRINT_TEST, GR_FINGERPRINT_COLUMNS, GR_FINGERPRINTS_COMMON };
struct gr_fingerprints {
    uint32_t n_silos;
    bool grows;     /* a file of fewer is read as well; prints of the others are 0 */
    int64_t *print; /* n_silos x GR_FINGERPRINTS_SILO, then those in common; borrowed */
};
/*
 * Not collective. Reads the salt DIR/NAME, and makes it where there is none (*made). Errors:
 * GR_ERROR_WRITE.
 */
gr_status gr_salt_take(const char *dir, const char *name, unsigned char salt[GR_DIGEST_BYTES],
                       bool *made) GR_CHECKED;
/*
 * Not collective; rank 0 only. Writes the fingerprints into the run directory. Errors:
 * GR_ERROR_WRITE.
 */
gr_status gr_fingerprints_write(const char *run_path,
                                const struct gr_fingerprints *fingerprints) GR_CHECKED;
/*
 * Not collective. Reads the fingerprints into `print`, for n_silos silos. *found false: there is no
 * such file. Errors: GR_ERROR_DATA when the file is damaged, or of another number of silos.
 */
gr_status gr_fingerprints_read(const char *run_path, struct gr_fingerprints *fingerprints,
                               bool *found) GR_CHECKED;

/*
 * Not collective. Membership changes are claimed in the run directory, so that of two groups of
 * ranks that have lost sight of each other only one goes on: PATH/claims/NNNNNN-EEEEEE (nonce of
 * the start, epoch) is created exclusively. *granted false: another has it, or the run has ended,
 * or a later start has resumed it: there is a folder for claims only from gr_run_directory_open to
 * gr_run_claims_clear, and it is of one start. On a full disk all are granted: it must not end a
 * run that could go on.
 */
gr_status gr_run_claim(const char *path, uint64_t start, uint32_t epoch, bool *granted) GR_CHECKED;
/* Not collective. Whether an epoch after `epoch` has been claimed, or the run has ended: who wants
 * to write must then not. */
bool gr_run_superseded(const char *path, uint64_t start, uint32_t epoch);
/* Not collective. The start whose folder it is by its claims: the lowest; false: none is under way.
 */
bool gr_run_claimed_by(const char *path, uint64_t *start);
/*
 * Not collective. Removes all claims and their folder, unless others have gone on: the last thing
 * done in the directory at the end of a run.
 */
void gr_run_claims_clear(const char *path, uint64_t start, uint32_t epoch);
/* Not collective. Releases the lock and the struct; NULL is accepted. */
void gr_run_directory_close(struct gr_run_directory *run);

/* The contents of manifest.json. All borrowed. */
/* What a run has told of one unit. */
struct gr_privacy_plan;
struct gr_privacy_account {
    const struct gr_privacy_plan *plan; /* borrowed */
    uint32_t rounds;
    bool planned;         /* the run has not ended: so many may be done */
    uint64_t evaluations; /* of held-out rows, with noise */
    double lower, upper;  /* the smallest epsilon for the budget's delta lies between them */
    double renyi;         /* by Renyi divergences alone */
    double before;        /* epsilon that earlier runs have spent, of the silo where it is most */
    double total;         /* with these, once all rounds that fit are done */
};
/* What a stretch has cost, when it is over. */
struct gr_costs {
    bool known;
    int hosts, ranks; /* ranks: whose bytes are counted, those there at the end */
    double seconds;   /* by the clock, from the first of its rounds on */
    struct gr_comm_bytes bytes;
    double joules; /* of hosts whose counters can be read; below 0: of none */
    int energy_nodes;
    const char *no_energy; /* why; NULL: there is some */
};
struct gr_manifest {
    const struct gr_config *config;
    const struct gr_costs *costs; /* NULL: not the end */
    int ranks, nodes;
    uint32_t n_silos;
    struct gr_run_data data;
    const char *architecture;
    size_t n_parameters;
    unsigned char config_digest[GR_DIGEST_BYTES];
    const unsigned char *study; /* GR_DIGEST_BYTES: of the study's version; NULL: of none */
    const char *started_utc;
    uint32_t resumed_from; /* round, 0: from the start */
    const char *ended_utc; /* NULL while running */
    const char *outcome;   /* "running", "finished", "stopped", "failed" */
    uint32_t rounds_done;
    const char *model_digest;   /* hex, NULL until known */
    const char *postprocessing; /* as in the model, whose digest is of parameters; NULL: none */
    const char *initial;        /* model.initial_digest; NULL: none */
    const int32_t *host_of;     /* rank of each silo; n_silos */
    const char *checkpoint_io;  /* "independent" or "collective" */
    const char *detection; /* how lost ranks are found, e.g. "process table, ulfm, deadlines" */
    const struct gr_comm_texts *software; /* gr_versions_text of the ranks; NULL: not known */
    const char *job;                      /* id of the batch job, NULL: none */
    const char *run_id;
    /* The records at the end, but for the event that closes them and holds this file's digest. */
    const struct gr_head *events;             /* NULL: not the end */
    const char *metrics_digest;               /* of the file; hex */
    const struct gr_privacy_account *privacy; /* NULL: no unit is protected */
};
/*
 * Not collective; rank 0 only. Writes DIR/manifest.json whole, and keeps the stretches of earlier
 * starts. evidence: receives the digest of the file and the number of stretches in it. Errors:
 * GR_ERROR_WRITE.
 */
gr_status gr_manifest_write(const struct gr_run_directory *run, const struct gr_manifest *manifest,
                            struct gr_evidence *evidence) GR_CHECKED;
/*
 * Not collective. Reads the same evidence from the manifest that is there, for a rank that takes
 * over. Errors: GR_ERROR_DATA.
 */
gr_status gr_manifest_evidence(const char *run_path, struct gr_evidence *evidence) GR_CHECKED;

/*
 * Not collective. Reads the evidence that a checkpoint holds of the records, for comparison: of the
 * newest checkpoint that is whole, or if `round` is not 0 of that round's, whose bytes are then not
 * verified. *found false: there is none with evidence. run_id: "" where it has none.
 */
gr_status gr_checkpoint_evidence(const char *run_path, uint32_t round, struct gr_evidence *evidence,
                                 char run_id[GR_RUN_ID_HEX], uint32_t *of_round,
                                 bool *found) GR_CHECKED;

/*
 * Not collective. Writes "name version" lines of the libraries whose versions ranks must share.
 * Caller releases with gr_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_libraries_text(char **out) GR_CHECKED;
/*
 * Not collective. Writes a "name value" line for each library, for `granary version --verbose`.
 * Caller releases with gr_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_versions_text(char **out) GR_CHECKED;

/* ---- withdrawals ----------------------------------------------------------------------------- */

/* What the manifest of a run directory says, and its seals; "" and 0 for what is not known. */
struct gr_run_facts {
    char outcome[24], run_id[GR_RUN_ID_HEX];
    char model[GR_DIGEST_HEX], initial[GR_DIGEST_HEX], config[GR_DIGEST_HEX];
    char study[GR_DIGEST_HEX]; /* that the coordinator has sealed; "": the run is no study's */
    uint32_t rounds_done;
};
/* Not collective. Errors: GR_ERROR_DATA: there is no manifest. */
gr_status gr_run_facts_read(const char *run_path, struct gr_run_facts *out) GR_CHECKED;

/* A silo that was taken out of a model by training another without it. All is borrowed. */
struct gr_withdrawal {
    const char *silo;
    const struct gr_run_facts *run, *retrained;
    uint32_t first_round, rounds_with; /* of the silo in the run; 0: it took part in none */
    bool descends; /* it is about a run that comes from `run`, in whose folder it is written */
    char *const *descendants; /* run ids */
    size_t n_descendants;
};
/*
 * Not collective. Writes RUN/withdrawn.json, signed where there are keys. Errors: GR_ERROR_WRITE.
 */
gr_status gr_withdrawal_write(const char *run_path, const struct gr_withdrawal *withdrawal,
                              const struct gr_keys *keys) GR_CHECKED;

/* What withdrawn.json of a folder says. */
struct gr_withdrawn {
    bool found;
    bool holds;                 /* it is not signed, or by the key that it names */
    bool descends;              /* the run there comes from the one that the silo took part in, */
    char run_id[GR_RUN_ID_HEX]; /* which is this */
    char silo[64];
    char model[GR_DIGEST_HEX];   /* of the model without the silo */
    char by[GR_PUBLIC_KEY_TEXT]; /* "": it is not signed */
};
/* Not collective. Errors: GR_ERROR_DATA: there is such a file, and it is no statement. */
gr_status gr_withdrawal_read(const char *folder, struct gr_withdrawn *out) GR_CHECKED;
/* Not collective. The same, of the folder that a model's file is in. */
gr_status gr_withdrawal_of_model(const char *model_path, struct gr_withdrawn *out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
