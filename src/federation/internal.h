/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a federation, shared by the files of this room. */
#ifndef GRANARY_FEDERATION_INTERNAL_H
#define GRANARY_FEDERATION_INTERNAL_H

#include <granary/cohort.h>
#include <granary/data.h>
#include <granary/evaluate.h>
#include <granary/federation.h>
#include <granary/model.h>
#include <granary/postprocessing.h>
#include <granary/train.h>

/*
 * The parts are known to their files alone; each has create, free, and, where it is of the state
 * that all ranks hold, share. All are owned.
 */
struct gr_federation {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    struct gr_cohort *cohort;       /* borrowed */
    struct gr_data *data;           /* the cohort's */
    struct gr_model *model;
    const struct gr_layout *layout;    /* the model's */
    struct gr_sublayout travels;       /* of its tensors those that silos send: all; owned */
    struct gr_server *server;          /* the state that all ranks hold alike */
    struct gr_best *best;              /* the best model so far */
    struct gr_training *training;      /* this rank's part of a round */
    struct gr_kept *kept;              /* by its silos, from round to round */
    struct gr_round *round;            /* the sum, its roster, and its figures */
    struct gr_scores *scores;          /* of held-out rows */
    struct gr_spending *spending;      /* of the privacy budget; NULL: no unit is protected */
    struct gr_unscored_rows *unscored; /* of them those that cannot be scored */
};

/* The sums over ranks at the end of a round, in integers. */
struct gr_round_sums {
    int64_t processed, cpu_microseconds, bytes;
    int64_t loss[GR_REAL_WORDS], weight[GR_REAL_WORDS]; /* of the processed rows */
    /* Silos whose held-out rows cannot be scored, and ranks whose share of the test table cannot;
     * of what can be scored how many silos, batches or rows. */
    int64_t unscored, unscored_test, scored;
    int64_t test_digest[GR_DIGEST_WORDS]; /* of the test rows scored */
    struct gr_score validation, test;
};

/* Vectors that a silo sends. */
static inline size_t gr_strategy_sent(const struct gr_strategy *strategy) {
    return strategy->n_sent > 1 ? strategy->n_sent : 1;
}

/* ---- initial.c ------------------------------------------------------------------------------- */

/* What a run starts from, where its config names one. */
struct gr_initial {
    bool used;
    const char *path;          /* borrowed */
    struct gr_model_file file; /* rank 0's, until it is applied */
    char *preprocessing;       /* on all ranks; "": the model has none; owned; NULL: not used */
};
/* Collective. path: in the place of model.initial, or NULL; both are rank 0's. Errors:
 * GR_ERROR_CONFIG: it is not the model that the config names; GR_ERROR_DATA: it is none. Released
 * with gr_initial_release, also after an error. */
gr_status gr_initial_read(struct gr_comm *comm, const struct gr_config *config, const char *path,
                          struct gr_initial *out) GR_CHECKED;
/* Collective. The model becomes that of the federation, on all ranks. GR_ERROR_CONFIG: it is of
 * another architecture. */
gr_status gr_initial_apply(struct gr_initial *initial, struct gr_federation *f) GR_CHECKED;
void gr_initial_release(struct gr_initial *initial);

/* ---- model_inputs.c -------------------------------------------------------------------------- */

/* Not collective, as all of these. The model of the config for the cohort's rows, into f->model. */
gr_status gr_inputs_create_model(struct gr_federation *f, size_t batch_max) GR_CHECKED;
/* Silos of this rank whose tables hold what the model cannot look up become unusable.
 * GR_ERROR_DATA: test rows do, or a table that silos share. */
gr_status gr_inputs_check(struct gr_federation *f) GR_CHECKED;
/* The model takes weights and offsets, where rows have them. */
gr_status gr_inputs_use_terms(struct gr_federation *f) GR_CHECKED;
/* The model weighs classes by the rows that are counted, or were when the run began. */
gr_status gr_inputs_weigh_classes(struct gr_federation *f) GR_CHECKED;

/* ---- server.c -------------------------------------------------------------------------------- */

/* The initial state; config and the model's layout are borrowed until gr_server_free. */
gr_status gr_server_create(const struct gr_config *config, const struct gr_model *model,
                           struct gr_server **out) GR_CHECKED;
void gr_server_free(struct gr_server *server);
/* The global model, layout size floats. */
float *gr_server_parameters(const struct gr_server *server);
/* Vectors of the strategy's state, likewise. */
float *const *gr_server_vectors(const struct gr_server *server);
/* Rounds each silo has taken part in, data.silos. */
const uint32_t *gr_server_silo_rounds(const struct gr_server *server);
uint32_t gr_server_rounds(const struct gr_server *server);
/* The last round whose step was taken: those behind it were void. */
uint32_t gr_server_last_step(const struct gr_server *server);
/* For gr_clip_norm: of the next round. */
int32_t gr_server_clip_step(const struct gr_server *server);
/* Of the model, in words. */
const char *gr_server_architecture(const struct gr_server *server);
/*
 * Decodes the total, of the tensors that travel, block by block, and takes the strategy's step with
 * each; counts the roster's members. n_silos: of the federation in this round. *squares: of the
 * mean update, added up in order; NULL: nobody asks.
 */
void gr_server_step(struct gr_server *server, const struct gr_aggregator *total,
                    const struct gr_sublayout *travels, const struct gr_roster *roster,
                    uint32_t n_silos, double *squares);
/* The round is done, and no step is taken. */
void gr_server_pass(struct gr_server *server, uint32_t round);
/* Collective. Rank 0's to all. */
gr_status gr_server_share(struct gr_server *server, struct gr_comm *comm) GR_CHECKED;
/* Its part of what is stored; borrowed. */
void gr_server_state(struct gr_server *server, struct gr_state *out);
/* After a checkpoint has been read into the vectors of gr_server_state. */
void gr_server_resume(struct gr_server *server, const struct gr_state *state);

/* ---- training.c ------------------------------------------------------------------------------ */

/* Not collective. Whether steps are noised in which rows or persons are hidden. */
bool gr_training_is_private(const struct gr_config *config);
gr_status gr_training_create(struct gr_federation *f) GR_CHECKED;
void gr_training_free(struct gr_federation *f);
/* The silos that are to take part in a round; all ranks find the same. In a replay: those that did.
 */
gr_status gr_training_select(struct gr_federation *f, uint32_t round) GR_CHECKED;
/*
 * Trains this rank's silos of the round. Into the roster: which are present, and which sit out.
 * GR_LOST: the others have gone on without this rank.
 */
gr_status gr_training_run(struct gr_federation *f, uint32_t round,
                          const struct gr_round_options *options) GR_CHECKED;
/* Charges each of this rank's contributions for one noised sum of the secret, of any number of
 * bytes. Errors: as of gr_spending_charge. */
gr_status gr_training_charge(struct gr_federation *f, const unsigned char *secret,
                             size_t n_secret) GR_CHECKED;
/* Nothing that was trained goes into a sum. */
void gr_training_discard(struct gr_federation *f);
/* Of the round, n of them; borrowed until the next one. */
const struct gr_contribution *gr_training_contributions(const struct gr_training *training,
                                                        size_t *n);
/* Floats of each. */
size_t gr_training_values(const struct gr_federation *f);
/* Of this rank's silos; but for the scores. */
const struct gr_round_sums *gr_training_sums(const struct gr_training *training);
/* Flags of the silos drawn from all; n_silos. */
const struct gr_flags *gr_training_selected(const struct gr_training *training);
/* Whether rosters are those of another run. */
bool gr_training_replays(const struct gr_training *training);
/* Whether it is a replay of a run in which the round was void. */
bool gr_training_void(const struct gr_training *training, uint32_t round);
/* Silos of the federation in a round; in a replay those that the run had then. */
uint32_t gr_training_silos(const struct gr_federation *f, uint32_t round);

/* ---- clip_norm.c ------------------------------------------------------------------------------
 */

/* What an update that is not cut brings to the tallies; one that is brings its opposite. */
enum { GR_CLIP_TALLY = 1 << 19 };
/* Not collective. The norm to which updates of silos are cut, after so many steps up. */
double gr_clip_norm(const struct gr_config *config, int32_t step);
/* Not collective. The tally of an update of n elements that is to be cut to the norm. */
int64_t gr_clip_tally(const float *update, size_t n, double norm);
/* Not collective. The step of the next round, by the sum of the tallies of n_members silos, with
 * noise. */
int32_t gr_clip_follow(const struct gr_adaptive_clipping_config *clipping, int32_t step,
                       int64_t tally, uint32_t n_members);

/* ---- spending.c ------------------------------------------------------------------------------ */

/* Not collective. Nothing where no unit is protected, as of all that follow. */
gr_status gr_spending_create(struct gr_federation *f) GR_CHECKED;
void gr_spending_free(struct gr_federation *f);
/*
 * Collective, before the first round of a run or of its resumption. Opens the ledgers of this
 * rank's silos, which must go on from where this run has seen them last, and finds the rounds that
 * fit their budgets. Errors: GR_ERROR_POLICY: not all do
 * and on_exhausted is refuse, or none does; those of gr_ledger_open.
 */
gr_status gr_spending_begin(struct gr_federation *f, const char *run_id,
                            const char *run_path) GR_CHECKED;
/*
 * Not collective. Charges a round of data->local[local] before its update leaves; secret: of which
 * its noise is drawn. Errors: as of gr_ledger_charge; then it must not leave.
 */
gr_status gr_spending_charge(struct gr_federation *f, size_t local, uint32_t round,
                             const unsigned char *secret, size_t n_secret) GR_CHECKED;
/* Not collective. The same of the scores of its held-out rows. */
gr_status gr_spending_charge_scores(struct gr_federation *f, size_t local, uint32_t round,
                                    const unsigned char *secret, size_t n_secret) GR_CHECKED;
/*
 * Collective, while a run's cohort is loaded. Charges each of this rank's silos for its statistics,
 * whose noise is of its n_secret bytes of secrets, unless that is charged already; a silo that is
 * unusable has none. Errors: GR_ERROR_POLICY: they do not fit the budget together with the run's
 * rounds (at least one of them, with on_exhausted stop), of some silo, and none is charged; those
 * of gr_ledger_charge; then nothing must leave.
 */
gr_status gr_spending_charge_statistics(struct gr_cohort *cohort, const char *run_id,
                                        const char *run_path, const unsigned char *secrets,
                                        size_t n_secret) GR_CHECKED;
/* Not collective, and the same on all ranks. Whether no further round fits. */
bool gr_spending_ends(const struct gr_federation *f);
uint32_t gr_spending_last_round(const struct gr_federation *f);
/* Not collective. What the rounds that are done have told; of a run that has not ended: what all
 * that fit are going to. Errors: of the accountant. */
gr_status gr_spending_account(const struct gr_federation *f, bool ended,
                              struct gr_privacy_account *out) GR_CHECKED;

/* ---- operating_points.c -----------------------------------------------------------------------
 */

struct gr_points; /* opaque; NULL: none are asked for */
gr_status gr_points_create(const struct gr_federation *f, struct gr_points **out) GR_CHECKED;
void gr_points_free(struct gr_points *points);
/* Forgets all rows; with_auc as of gr_accumulator_clear. */
void gr_points_clear(struct gr_points *points, bool with_auc);
/* What has been told is of other members, or another model. */
void gr_points_forget(struct gr_points *points);
/* A silo's validation rows, where scores are of test rows. */
gr_status gr_points_add(struct gr_points *points,
                        const struct gr_accumulator *validation) GR_CHECKED;
/* The rows that scores are of: this rank's, and the total of all with its bins. */
struct gr_points_rows {
    const struct gr_accumulator *own, *total;
    bool chosen_on_them; /* they are validation rows */
    bool of_silos;       /* silos hold them out */
};
/* Collective. Chooses the thresholds, and counts the rows at them. */
gr_status gr_points_find(struct gr_federation *f, struct gr_points *points,
                         const struct gr_points_rows *of) GR_CHECKED;
/* The points and how many they are; NULL and 0: they are not known. Borrowed. */
size_t gr_points_told(const struct gr_points *points, const struct gr_operating_point **out);

/* ---- bootstrap.c -------------------------------------------------------------------------------
 */

struct gr_bootstrap; /* opaque; NULL: none is asked for, and nothing is done */
gr_status gr_bootstrap_create(const struct gr_federation *f, struct gr_bootstrap **out) GR_CHECKED;
void gr_bootstrap_free(struct gr_bootstrap *bootstrap);
/* Whether rows that are scored from now on are resampled; the same on all ranks. */
void gr_bootstrap_set_due(struct gr_bootstrap *bootstrap, bool due);
/* Forgets all rows. */
void gr_bootstrap_clear(struct gr_bootstrap *bootstrap);
/* What has been told is of other members, or another model. */
void gr_bootstrap_forget(struct gr_bootstrap *bootstrap);
/* The last n rows of the accumulator are the silo's. */
gr_status gr_bootstrap_note_silo(struct gr_federation *f, struct gr_bootstrap *bootstrap,
                                 const struct gr_silo *silo, bool of_test,
                                 const struct gr_accumulator *rows, size_t n) GR_CHECKED;
/* The last rows of the accumulator are this rank's of the test table. */
gr_status gr_bootstrap_note_test(struct gr_federation *f, struct gr_bootstrap *bootstrap,
                                 const struct gr_accumulator *rows) GR_CHECKED;
/* A silo's validation rows, in bins, for intervals of its own. */
gr_status gr_bootstrap_silo(struct gr_federation *f, struct gr_bootstrap *bootstrap,
                            const struct gr_silo *silo,
                            const struct gr_accumulator *rows) GR_CHECKED;
/* Collective. Replicates of the rows that were noted, which `own` keeps; `total` has the counts of
 * all ranks, bins among them. */
gr_status gr_bootstrap_find(struct gr_federation *f, struct gr_bootstrap *bootstrap,
                            const struct gr_accumulator *own,
                            const struct gr_accumulator *total) GR_CHECKED;
/* Collective. Intervals of silos, of those whose scores this rank may tell. */
gr_status gr_bootstrap_add_silos(struct gr_federation *f, struct gr_bootstrap *bootstrap,
                                 const struct gr_score *told) GR_CHECKED;
/* NULL: nothing is known. Borrowed. */
const struct gr_bootstrap_told *gr_bootstrap_told(const struct gr_bootstrap *bootstrap);

/* ---- postprocess.c --------------------------------------------------------------------------- */

struct gr_postprocess; /* opaque; NULL: none is asked for */
/* NULL: none is asked for. Errors: GR_ERROR_CONFIG: the model has other classes than the method is
 * for. */
gr_status gr_postprocess_create(const struct gr_federation *f,
                                struct gr_postprocess **out) GR_CHECKED;
void gr_postprocess_free(struct gr_postprocess *postprocess);
/* Collective, once the outcome is scored. Finds what is made of its outputs. May be repeated after
 * a loss. */
gr_status gr_postprocess_find(struct gr_federation *f) GR_CHECKED;
/* Not collective. What was found, as a model stores it, and as evaluation.json tells it; NULL:
 * nothing. Borrowed. */
const char *gr_postprocess_text(const struct gr_federation *f);
const char *gr_postprocess_told(const struct gr_federation *f);
/* Why nothing was found that was asked for, and nothing is told of test rows; NULL: for no reason;
 * static. */
struct gr_postprocess_why {
    const char *recalibration, *sets, *test;
};
/* Not collective. */
struct gr_postprocess_why gr_postprocess_why(const struct gr_federation *f);

/* ---- silo_slices.c --------------------------------------------------------------------------- */

struct gr_silo_slices; /* opaque; NULL: not asked for */
/* Errors: GR_ERROR_CONFIG: too many silos times groups. */
gr_status gr_silo_slices_create(const struct gr_federation *f,
                                struct gr_silo_slices **out) GR_CHECKED;
void gr_silo_slices_free(struct gr_silo_slices *slices);
void gr_silo_slices_clear(struct gr_silo_slices *slices);
void gr_silo_slices_forget(struct gr_silo_slices *slices);
/* The tally of each group of a silo. */
void gr_silo_slices_note(struct gr_silo_slices *slices, uint32_t silo,
                         const struct gr_slice_tally *part);
void gr_silo_slices_drop(struct gr_silo_slices *slices, uint32_t silo);
/* Collective. told: of this rank's silos whether their scores are; withheld: groups of the same
 * rows that are withheld over all silos; NULL: the scores are of others. */
gr_status gr_silo_slices_find(struct gr_federation *f, struct gr_silo_slices *slices,
                              const struct gr_score *told, const struct gr_slice_rules *rules,
                              const uint8_t *withheld) GR_CHECKED;
/* NULL: nothing is known. Borrowed. */
const struct gr_slice_silos *gr_silo_slices_told(const struct gr_silo_slices *slices);

/* ---- sliced.c ------------------------------------------------------------------------------ */

struct gr_sliced; /* opaque; NULL: evaluate.slices is empty */
gr_status gr_sliced_create(const struct gr_federation *f, struct gr_sliced **out) GR_CHECKED;
void gr_sliced_free(struct gr_sliced *sliced);
/* Forgets all rows; counts: those that follow are counted. */
void gr_sliced_clear(struct gr_sliced *sliced, bool counts);
/* Whether rows have been counted, or not, as it is asked for. */
bool gr_sliced_is(const struct gr_sliced *sliced, bool counts);
/* What has been told is of other members, or another model. */
void gr_sliced_forget(struct gr_sliced *sliced);
/* For gr_evaluate_heard, of rows that are taken if they can be scored; NULL: they are not counted.
 */
const struct gr_row_listener *gr_sliced_listen(struct gr_sliced *sliced);
/* The rows that were heard last, borrowed; their scores are added to the accumulator in the same
 * order. */
gr_status gr_sliced_take(struct gr_sliced *sliced, const struct gr_rows *rows,
                         bool of_silo) GR_CHECKED;
/* The rows that scores are of, on this rank. */
struct gr_sliced_rows {
    const struct gr_accumulator *own;
    bool of_silos; /* silos hold them out, and the policy holds */
};
/* Collective. Adds up the groups that may be told; nothing where rows were not counted. */
gr_status gr_sliced_find(struct gr_federation *f, struct gr_sliced *sliced,
                         const struct gr_sliced_rows *of) GR_CHECKED;
enum { GR_SLICED_SUMS = 3 };
/* The sums that gr_sliced_find asks for, in their order; returns how many. */
uint32_t gr_sliced_foresee(const struct gr_sliced *sliced, uint32_t releases[GR_SLICED_SUMS]);
/* The validation rows that were heard last are of this silo; it turned out that it cannot be
 * scored.
 */
void gr_sliced_note_silo(struct gr_sliced *sliced, uint32_t silo);
void gr_sliced_drop_silo(struct gr_sliced *sliced, uint32_t silo);
/* Whether validation rows of single silos are counted in this scoring. */
bool gr_sliced_of_silos(const struct gr_sliced *sliced);
/* Collective, behind gr_sliced_find. Slices of silos whose scores this rank tells. of_validation:
 * all scores are of these rows too. */
gr_status gr_sliced_add_silos(struct gr_federation *f, struct gr_sliced *sliced,
                              const struct gr_score *told, bool of_validation) GR_CHECKED;
const struct gr_slice_silos *gr_sliced_silos_told(const struct gr_sliced *sliced);
/* What is known of the groups; NULL: nothing. Borrowed. */
const struct gr_slice_scores *gr_sliced_told(const struct gr_sliced *sliced);

/* ---- noised_scores.c ------------------------------------------------------------------------- */

struct gr_noised_scores; /* opaque; NULL: no row of silos is scored with noise */
gr_status gr_noised_create(const struct gr_config *config,
                           struct gr_noised_scores **out) GR_CHECKED;
void gr_noised_free(struct gr_noised_scores *noised);
/* The total is no longer of the present round. */
void gr_noised_forget(struct gr_noised_scores *noised);
/* Not collective, and the same on all ranks. Whether a round's model is scored so. */
bool gr_noised_due(const struct gr_federation *f, uint32_t round);
/* Collective. The silos' counts of the present model, with noise and charged, summed over all that
 * could be charged. May be repeated after a loss. Errors: of gr_evaluate_tally and of sums; then
 * nothing has left. */
gr_status gr_noised_add(struct gr_federation *f, struct gr_noised_scores *noised) GR_CHECKED;
/* Collective. Rank 0's total to all. */
gr_status gr_noised_share(struct gr_federation *f, struct gr_noised_scores *noised) GR_CHECKED;
/* Not collective. The scores that are of noised counts, with their standard errors; nothing in
 * rounds without. */
void gr_noised_fill(const struct gr_federation *f, const struct gr_noised_scores *noised,
                    struct gr_metrics *metrics);

/* ---- kept.c ---------------------------------------------------------------------------------- */

/*
 * All that is given is borrowed until gr_kept_free. silo_rounds: n_silos, the rounds each silo has
 * taken part in, which the caller counts before gr_kept_commit.
 */
gr_status gr_kept_create(const struct gr_config *config, const struct gr_data *data,
                         const struct gr_layout *layout, const uint32_t *silo_rounds,
                         struct gr_kept **out) GR_CHECKED;
void gr_kept_free(struct gr_kept *kept);
/* Vectors that a silo keeps; 0: nothing is kept, and all that follows does nothing. */
size_t gr_kept_vectors(const struct gr_kept *kept);
/* n_silos flags of those that are to begin anew, in a replay; NULL where nothing is kept. */
struct gr_flags *gr_kept_anew(struct gr_kept *kept);
/* A round begins: what was offered in one that was not taken is void. */
void gr_kept_open(struct gr_kept *kept);
/* Before data->local[local] trains. *solver: what its optimizer goes on from, to be left changed;
 * borrowed until gr_kept_offer; NULL: from nothing. */
gr_status gr_kept_begin(struct gr_kept *kept, size_t local, struct gr_solver **solver) GR_CHECKED;
/* After gr_kept_begin: the vectors that the strategy keeps of this silo, to be left changed;
 * borrowed until gr_kept_offer; NULL: none. */
float *const *gr_kept_of_strategy(struct gr_kept *kept);
/* Completes the next contribution, of data->local[local], by all that it brings beside its vectors.
 * True: its silo begins anew. */
bool gr_kept_offer(struct gr_kept *kept, size_t local, uint32_t round,
                   struct gr_contribution *contribution);
/* The round is taken, silo_rounds counts it: what training and sum have left is what is kept. */
void gr_kept_commit(struct gr_kept *kept);
/* This rank's silos' into files of theirs, those that have changed. run_id: NULL: there is none.
 * Errors: GR_ERROR_WRITE. */
gr_status gr_kept_write(struct gr_kept *kept, const char *dir, const char *run_id,
                        const unsigned char origin[GR_DIGEST_BYTES]) GR_CHECKED;
/* There is no checkpoint that goes with them: those just written go, for the newest are counted. */
void gr_kept_take_back(struct gr_kept *kept, const char *dir);
/* Once the checkpoint that goes with them is there: older ones than the newest `keep` go. */
void gr_kept_settle(struct gr_kept *kept, const char *dir, uint32_t keep);
/* As they were at the checkpoint that has been read; those that are not there are void. */
gr_status gr_kept_read(struct gr_kept *kept, const char *dir, const char *run_id,
                       const unsigned char origin[GR_DIGEST_BYTES]) GR_CHECKED;
/* Bytes that a rank of so many may have to write. */
double gr_kept_bytes(const struct gr_kept *kept, int slots);

/* ---- evaluation.c ---------------------------------------------------------------------------- */

gr_status gr_scores_create(const struct gr_federation *f, struct gr_scores **out) GR_CHECKED;
void gr_scores_free(struct gr_scores *scores);
/* The total is of an earlier round. */
void gr_scores_forget(struct gr_scores *scores);
/* Not collective, and the same on all ranks. Which masked sums follow in this round, of members
 * that are whole or not, and in the next, whose silos train on `model`; NULL: it is not known yet.
 */
void gr_scores_foresee(const struct gr_federation *f, uint32_t round, bool whole,
                       const unsigned char *model);
/* Of the outcome's outputs; borrowed; NULL: none is asked for. */
struct gr_postprocess *gr_scores_postprocess(const struct gr_scores *scores);
/* Room for the scores of some rows, between those of silos; borrowed. */
struct gr_accumulator *gr_scores_spare(struct gr_scores *scores);
/* The epoch of the members over which the total was counted; GR_EPOCH_NEVER: there is none,
 * or it was counted again. */
uint32_t gr_scores_epoch(const struct gr_scores *scores);
/* Whether nothing of silos is in the sums of the last round, for too few parties were left. */
bool gr_scores_left_out(const struct gr_federation *f);
/* Collective. Rank 0's sums of a round that is scored, to all. */
gr_status gr_scores_share(struct gr_federation *f) GR_CHECKED;

/* Collective. The model on test and validation rows, and all sums of the round, into metrics. */
gr_status gr_round_evaluate(struct gr_federation *f, struct gr_metrics *metrics) GR_CHECKED;

/* Not collective. Before metrics are written down: those of silos' own rows get policy.digits. */
void gr_round_disclose(const struct gr_federation *f, struct gr_metrics *metrics);

/*
 * Collective. Counts anew, for gr_federation_evaluation, where the outcome is not the last round's
 * model: of that one, with the AUC.
 */
gr_status gr_evaluate_outcome(struct gr_federation *f) GR_CHECKED;

/* ---- unscored.c ------------------------------------------------------------------------------ */

gr_status gr_unscored_create(uint32_t n_silos, struct gr_unscored_rows **out) GR_CHECKED;
void gr_unscored_free(struct gr_unscored_rows *unscored);
/* A silo's rows were scored. */
void gr_unscored_none(struct gr_unscored_rows *unscored, uint32_t silo);
/* Whether rows of a silo of this rank could not be scored, the last time. */
bool gr_unscored_has(const struct gr_unscored_rows *unscored, uint32_t silo);
/* Whether the test table is another one than the run began with. */
void gr_unscored_replaced(struct gr_unscored_rows *unscored, bool replaced);
/* Before rows are scored. */
void gr_unscored_begin(struct gr_federation *f);
/* A silo's rows could not be scored: GR_ERROR_DATA, with its message, was about `rows` of its. */
gr_status gr_unscored_silo(struct gr_federation *f, const float *parameters,
                           const struct gr_silo *silo, const struct gr_rows *rows,
                           struct gr_round_sums *sums) GR_CHECKED;
/* This rank's share of the test table could not be scored, or be read anew. */
gr_status gr_unscored_test(struct gr_federation *f, const float *parameters,
                           struct gr_round_sums *sums) GR_CHECKED;
void gr_unscored_table(struct gr_federation *f, struct gr_round_sums *sums);
/* Collective. sums: over all ranks. */
gr_status gr_unscored_share(struct gr_federation *f, const struct gr_round_sums *sums) GR_CHECKED;
/* Why there are no scores, out of a fixed list; NULL: for no reason of these. */
const char *gr_unscored_why(const struct gr_federation *f, bool of_test);
/* Settings that help against updates and scores that are not finite: "a smaller train.learning_rate
 * ...".
 */
enum { GR_REMEDIES_BYTES = 384 };
void gr_federation_remedies(const struct gr_federation *f, char out[GR_REMEDIES_BYTES]);

/* ---- best.c ---------------------------------------------------------------------------------- */

/* Without parameters where the config asks for no best model. */
gr_status gr_best_create(const struct gr_config *config, const struct gr_layout *layout,
                         struct gr_best **out) GR_CHECKED;
void gr_best_free(struct gr_best *best);
/* Of the best model up to the round before, layout size floats; NULL: there is none. */
const float *gr_best_parameters(const struct gr_best *best);
/* The epoch of the members that have scored it; GR_EPOCH_NEVER: another process has. */
#define GR_EPOCH_NEVER UINT32_MAX
uint32_t gr_best_epoch(const struct gr_best *best);
/* After a checkpoint has been read. */
void gr_best_resume(struct gr_best *best, const struct gr_state *state);
/* Compares this round's metrics with the best so far; may be called again for the round. */
void gr_best_judge(struct gr_federation *f, const struct gr_metrics *metrics);
/* The round is over. */
void gr_best_keep(struct gr_federation *f);
/* Collective. Rank 0's to all. */
gr_status gr_best_share(struct gr_federation *f) GR_CHECKED;
/* Adds the best model to the state. */
void gr_best_state(struct gr_federation *f, struct gr_state *out);
/* The round of the best model, this one's included. */
uint32_t gr_best_round(const struct gr_federation *f);

/* ---- respawned: federation.c ----------------------------------------------------------------- */

/* Collective, in lockstep: the members welcome, a respawned rank joins; all end with the same
 * state. */
gr_status gr_federation_welcome(struct gr_federation *f) GR_CHECKED;
gr_status gr_federation_join(struct gr_cohort *cohort, struct gr_federation **out) GR_CHECKED;

/* ---- round.c --------------------------------------------------------------------------------- */

gr_status gr_round_create(struct gr_federation *f) GR_CHECKED;
void gr_round_free(struct gr_round *round);
/* Of the round under way, or of the last one; the federation's. */
struct gr_roster *gr_round_roster(const struct gr_federation *f);
struct gr_aggregator *gr_round_aggregator(const struct gr_federation *f);
/* Others are given the model: all take its digest anew, for secure sums. */
void gr_round_shares_model(struct gr_federation *f);
/* Whether the last round that is done was void: no step was taken, and the model stayed. */
bool gr_round_is_void(const struct gr_federation *f);
/* Digest of the model on which the next round's silos train, borrowed; NULL: not taken yet. Without
 * secure sums it is of no use. */
const unsigned char *gr_round_model(const struct gr_federation *f);
/* Whether all members are there whose silos are in the sum; the same on all ranks. Then *all is
 * what a sum over these silos is of. */
bool gr_round_is_whole(const struct gr_federation *f, struct gr_release_basis *all);
/* Sent by this rank since the last round ended. */
uint64_t gr_round_bytes(const struct gr_federation *f);
/* Participation, rows and times of the round, into metrics. */
void gr_round_figures(const struct gr_federation *f, struct gr_metrics *metrics);

/* ---- federation.c ---------------------------------------------------------------------------- */

/* Collective. Rank 0's state to all. */
gr_status gr_federation_share_state(struct gr_federation *f) GR_CHECKED;

#endif
