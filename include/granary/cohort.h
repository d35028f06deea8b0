/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cohort: the silos of a federation with their rows, before anything is learnt of them. Silos are
 * placed on ranks, loaded, held against the schema and each other, and prepared: categories found,
 * preprocessing fitted and applied, rows and classes counted. A cohort knows no model, so that a
 * training and a statistical study begin with the same one.
 *
 * Interface: internal.
 */
#ifndef GRANARY_COHORT_H
#define GRANARY_COHORT_H

#include <granary/comm.h>
#include <granary/config.h>
#include <granary/data.h>
#include <granary/release.h>
#include <granary/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The silos that `rank` of `size` hosts, ascending: block gives each rank a run of ids, cyclic
 * deals them. silos: room for n_silos; *n_local receives how many. Not collective.
 */
void gr_place_silos(enum gr_placement placement, uint32_t n_silos, int rank, int size,
                    uint32_t *silos, size_t *n_local);

/*
 * Who is told, in each process, of what befalls its own silos: whole messages, with paths and
 * values, for the terminal of whoever owns the data. Called between collectives; must not fail or
 * wait.
 */
struct gr_listener {
    void (*hear)(void *context, const char *line);
    void *context;
};

struct gr_cohort; /* opaque: data, placement, findings, counts */

/*
 * A rule of this process's own about its silos, before anything of them leaves: `rows` of each of
 * the silos of the federation that are this rank's, UINT64_MAX of all others; n of them. Whatever
 * it returns but GR_OK ends the start for all, and the others are told no more than the status.
 */
typedef gr_status (*gr_permit_function)(void *context, const uint64_t *rows, size_t n);

/*
 * Writes down that statistics with noise leave this rank's silos: on all ranks at once, after their
 * tables are read. secrets: of each silo of gr_cohort_data, in its order, the n_secret bytes of
 * which its noise is drawn, all zero of a silo that brings nothing. Whatever it returns but GR_OK,
 * the same on all ranks, ends the start, and nothing leaves. Collective.
 */
typedef gr_status (*gr_statistics_charge)(void *context, const unsigned char *secrets,
                                          size_t n_secret);

struct gr_cohort_options {
    /* The text of the preprocessing that a run goes on with, the same on all ranks; NULL: where
     * some is needed it is fitted. */
    const char *preprocessing;
    /* Nothing is fitted: where `preprocessing` is NULL none may be needed, else it has to be. */
    bool fitted;
    /* Whether that run goes on, so that a test table which cannot be read leaves the test metrics
     * undefined; else it ends the start. */
    bool resumed;
    const struct gr_listener *listener; /* NULL: nobody listens */
    /* Flags of silos that the cohort goes without, as one that lost them before it was loaded;
     * n_silos; NULL: it goes without none. */
    const uint8_t *without;
    gr_permit_function permit; /* called on each rank once its tables are read; NULL: none */
    void *permit_context;
    /* Of privacy.statistics; NULL: nothing of them leaves, and columns are scaled by their ranges.
     */
    gr_statistics_charge charge;
    void *charge_context;
    /* The most, as an epsilon, that all runs over a table of this process's silos may tell, by
     * their own policy; 0: what privacy.budget says. */
    double epsilon_most;
};

/*
 * Not collective. An empty cohort; comm and config are borrowed until gr_cohort_free. config needs
 * to have been checked.
 */
gr_status gr_cohort_create(struct gr_comm *comm, const struct gr_config *config,
                           struct gr_cohort **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_cohort_free(struct gr_cohort *cohort);
/* Not collective. All that is in the options is borrowed until gr_cohort_free. */
void gr_cohort_set_options(struct gr_cohort *cohort, const struct gr_cohort_options *options);
/* Not collective. Of the options. */
double gr_cohort_epsilon_most(const struct gr_cohort *cohort);
/* Not collective. As given to gr_cohort_create; borrowed. */
struct gr_comm *gr_cohort_comm(const struct gr_cohort *cohort);
/* Not collective. As given to gr_cohort_create; borrowed. */
const struct gr_config *gr_cohort_config(const struct gr_cohort *cohort);

/*
 * Collective. Silos are placed by the ranks' slots, loaded, compared, and preprocessed; silos of
 * slots whose rank is not a member have no part in any of it. May be called again, and begins anew.
 * A silo whose own table cannot be read is unusable; when all are: GR_ERROR_DATA with the first
 * one's reason. GR_ERROR_USAGE: more ranks than silos. GR_ERROR_DATA also where tables that all
 * ranks share, their columns or their shapes differ. To be followed by gr_cohort_exclude of silos
 * that the caller cannot use, and by gr_cohort_count.
 */
gr_status gr_cohort_load(struct gr_cohort *cohort) GR_CHECKED;

typedef gr_status (*gr_cohort_work)(void *context);
/*
 * Collective. Does collective work, and does it again over the silos that are left when a rank is
 * lost in it. `work` is called with `context` by every member, and must be able to begin anew,
 * whatever the call before has left; its own status is the one returned, but for GR_LOST. It has
 * succeeded everywhere when it has on one member: a last agreement is part of it. A rank's death
 * is survived as soon as some member has seen it (the process table of its host, ULFM). GR_LOST: a
 * member is silent, and nobody has seen it end. GR_STOPPED: this rank was given up.
 */
gr_status gr_cohort_attempt(struct gr_cohort *cohort, gr_cohort_work work,
                            void *context) GR_CHECKED;
/* Not collective. Flags the silos that took no part in gr_cohort_load, of n_silos; the list
 * ascends. */
void gr_cohort_missing(const struct gr_cohort *cohort, struct gr_flags *silos);

/*
 * Not collective. A silo of this rank with a table of its own becomes unusable, for the
 * GR_ERROR_DATA whose message is in gr_message: its rows are released. Other errors than
 * GR_ERROR_DATA, and those of a table that silos share, are returned as they are.
 */
gr_status gr_cohort_exclude(struct gr_cohort *cohort, struct gr_silo *silo,
                            gr_status why) GR_CHECKED;

/*
 * Collective. The facts about all silos' rows, once: how many silos are unusable and why, their
 * sizes where round.sampling needs them, which classes are held out, whether most have no rows, and
 * the rows of each class where train.class_weights asks for them. Weights of rows are scaled to the
 * powers of two that all ranks agreed on. GR_ERROR_DATA: no silo is usable.
 */
gr_status gr_cohort_count(struct gr_cohort *cohort) GR_CHECKED;

/* Collective, in lockstep with the gr_cohort_join of respawned ranks. The members' part: the
 * facts about all silos are shared. */
gr_status gr_cohort_welcome(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. A respawned rank calls it in the place of gr_cohort_load, then gr_cohort_exclude
 * where need be, and gr_cohort_scale_weights. GR_ERROR_DATA: its rows are of another shape than
 * the members'; it leaves, and they go on. */
gr_status gr_cohort_join(struct gr_cohort *cohort) GR_CHECKED;
/* Not collective. Once for a respawned rank; gr_cohort_count does it for the others. */
void gr_cohort_scale_weights(struct gr_cohort *cohort);

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Not collective. The door through which values of these silos leave; borrowed. */
struct gr_door *gr_cohort_door(const struct gr_cohort *cohort);
/* Not collective. The rows of this rank's silos; borrowed, the cohort's to release. */
struct gr_data *gr_cohort_data(const struct gr_cohort *cohort);
/* Not collective. The slot that hosts each silo; n_silos; borrowed. */
const int32_t *gr_cohort_hosts(const struct gr_cohort *cohort);
/* Not collective. Train rows of each silo; n_silos; borrowed; NULL but for sampling by size. */
const int64_t *gr_cohort_sizes(const struct gr_cohort *cohort);
/*
 * Not collective. How many categories the code in each feature has, 0: the feature is a number;
 * n_features; borrowed; NULL where the config's model looks nothing up.
 */
const int64_t *gr_cohort_categories(const struct gr_cohort *cohort);
/*
 * Not collective. Train rows of each class over all silos, weights in their place where rows have
 * some, gr_cohort_classes of them; borrowed, and written to by whoever reads a checkpoint. NULL:
 * classes weigh the same.
 */
int64_t *gr_cohort_class_counts(const struct gr_cohort *cohort);
/* Not collective. How many classes are counted: at least 2. */
size_t gr_cohort_classes(const struct gr_cohort *cohort);
/* Not collective. Whether more than half of the classes, which the labels show, have no rows in any
 * silo. */
bool gr_cohort_empty_classes(const struct gr_cohort *cohort);

/* Whether all silos' rows have weights and offsets; the same on every rank. */
struct gr_row_terms {
    int64_t weights, offsets; /* 1: each row has one */
    /* gr_rows_weight_exponent of the rows trained on, and of those held out and of the test table,
     * which are scored by themselves; GR_WEIGHT_NONE: there are none above 0. */
    int64_t train_exponent, held_exponent;
    int64_t lost; /* weights above 0, of all of these rows, that scaling has made 0 */
};
/* Not collective. Borrowed. */
const struct gr_row_terms *gr_cohort_terms(const struct gr_cohort *cohort);

/*
 * Not collective. After a change of the membership this rank reads its new share of the test table;
 * *dealt: it has, so that scores of the old share are void. GR_ERROR_DATA: it cannot be read.
 * GR_LOST: the membership changes.
 */
gr_status gr_cohort_deal_test(struct gr_cohort *cohort, bool *dealt) GR_CHECKED;
/* Not collective. Whether the digest, a sum over all ranks' shares of the test table, is known not
 * to be the one of the beginning. */
bool gr_cohort_test_replaced(const struct gr_cohort *cohort, const int64_t digest[GR_DIGEST_WORDS]);

/* Not collective. Whether rows may be counted over all silos: not as a masked run goes on, for some
 * may have gone since it was begun. */
bool gr_cohort_tells_rows(const struct gr_cohort *cohort);

/* ---- rehearsed faults -------------------------------------------------------------------------
 */

/* Not collective. Strikes with the faults of the config that are due at this point, if this rank
 * hosts the silo; each strikes once. round: 0 for the points before the first round. */
void gr_inject_fault(struct gr_cohort *cohort, uint32_t round, enum gr_fault_point point);
/* Not collective. Spoils a silo's update of n floats, where a fault says so; *largest: its largest
 * magnitude. */
void gr_inject_fault_update(struct gr_cohort *cohort, uint32_t round, uint32_t silo, float *update,
                            size_t n, float *largest);
/* Not collective. Whether this rank is to damage the checkpoint of a round. */
bool gr_inject_fault_corruption(struct gr_cohort *cohort, uint32_t round);

/* ---- evidence ---------------------------------------------------------------------------------
 */

/*
 * Collective. Compares the data with those that the run in the directory `run_path` was begun with;
 * earlier: rank 0's, what its manifest says of them. GR_ERROR_CONFIG names the silos and tables
 * that have changed. What could not be read, then or now, is not compared. Where nothing is known
 * yet the fingerprints are written down, and their salts (gr_salt_take) are drawn.
 */
gr_status gr_cohort_fingerprint(struct gr_cohort *cohort, const char *run_path,
                                const struct gr_run_data *earlier) GR_CHECKED;
/* Not collective. Once gr_cohort_fingerprint has found it; borrowed. */
const struct gr_run_data *gr_cohort_run_data(const struct gr_cohort *cohort);
/* Not collective. Fingerprints that could not be compared, whose salt is gone since the run began.
 */
uint32_t gr_cohort_uncompared(const struct gr_cohort *cohort);

/* ---- findings, for people: not collective -----------------------------------------------------
 */

/* Not collective. A line for this process's own terminal, where anything may be told. */
void gr_cohort_hear(const struct gr_cohort *cohort, const char *format, ...) GR_PRINTF(2, 3);
/* Not collective. The same of a silo of this rank, and with the time into the log of its own where
 * the config has a folder for it (silos[].directory). */
void gr_cohort_hear_silo(const struct gr_cohort *cohort, const struct gr_silo *silo,
                         const char *format, ...) GR_PRINTF(3, 4);
/* Not collective. Silos that are unusable, over all ranks. */
uint32_t gr_cohort_unusable(const struct gr_cohort *cohort);
/* Not collective. Whether a silo is one of them, and then why, "column 2: a value is missing": a
 * reason out of a fixed list and the column, nothing of a cell, no row and no path. words: room for
 * `size` bytes. */
bool gr_cohort_sits_out(const struct gr_cohort *cohort, uint32_t silo, char *words, size_t size);
/* Not collective. Columns of the tables; 0 where they name none. */
size_t gr_cohort_columns(const struct gr_cohort *cohort);
/* Not collective. The findings in a column over all silos before the first round, "data: chol:
 * 30 missing, fewer than 10 outside of the range": counts below data.disclosure_threshold are
 * not told. *words: NULL for nothing; released with gr_free. */
gr_status gr_cohort_tell_found(const struct gr_cohort *cohort, size_t column,
                               char **words) GR_CHECKED;
/* Not collective. Where of an open column no category is common enough to be told; *words as
 * above. */
gr_status gr_cohort_tell_vanished(const struct gr_cohort *cohort, size_t column,
                                  char **words) GR_CHECKED;
enum { GR_TELL_SPLITS = 2 };
/* Not collective. Where a fraction of rows was to be held out and none is, of some class or of
 * all; part: 0 for the validation, 1 for the test; *words as above. */
gr_status gr_cohort_tell_split(const struct gr_cohort *cohort, size_t part,
                               char **words) GR_CHECKED;
/* Not collective. Features that preprocessing makes 0 everywhere; *words as above. */
gr_status gr_cohort_tell_preprocessing(const struct gr_cohort *cohort, char **words) GR_CHECKED;
/* Not collective. Columns of which the policy tells preprocessing nothing; *words as above. */
gr_status gr_cohort_tell_withheld(const struct gr_cohort *cohort, char **words) GR_CHECKED;
/* Not collective. Lines and columns of CSV files that are no rows or features, and were passed
 * over; *words as above. */
gr_status gr_cohort_tell_passed_over(const struct gr_cohort *cohort, char **words) GR_CHECKED;
/* Not collective. How many weights are too small beside the largest to count; *words as above. */
gr_status gr_cohort_tell_weights(const struct gr_cohort *cohort, char **words) GR_CHECKED;
/*
 * Not collective. Which codes of categories a linear model takes for quantities; *words as above.
 */
gr_status gr_cohort_tell_codes(const struct gr_cohort *cohort, char **words) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
