/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: all that depends on a silo's rows and reaches another process, a shared file or a
 * person leaves through it, as a named release. The table says of each release its kind, who sees
 * it, how often, and by which rule it is withheld; `granary releases` prints the rows that a config
 * lets out. Nothing else in cohort, federation, evaluate or study may call a reduction.
 *
 * Interface: internal.
 */
#ifndef GRANARY_RELEASE_H
#define GRANARY_RELEASE_H

#include <granary/comm.h>
#include <granary/config.h>
#include <granary/journal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers stay as they are: events hold them. */
enum gr_release {
    GR_RELEASE_COLUMN_DIGESTS = 1,
    GR_RELEASE_COLUMNS = 2,
    GR_RELEASE_FINDINGS = 3,
    GR_RELEASE_SHAPE = 4,
    GR_RELEASE_UNUSABLE = 5,
    GR_RELEASE_ERRORS = 6,
    GR_RELEASE_CODES = 7,
    GR_RELEASE_CATEGORIES = 8,
    GR_RELEASE_MODES = 9,
    GR_RELEASE_VALUE_EXPONENTS = 10,
    GR_RELEASE_EXTREMES = 11,
    GR_RELEASE_MOMENTS = 12,
    GR_RELEASE_CLASS_COUNTS = 13,
    GR_RELEASE_SIZES = 14,
    GR_RELEASE_FINGERPRINTS = 15,
    GR_RELEASE_COMMON_TABLE = 16,
    GR_RELEASE_UPDATE_EXPONENTS = 17,
    GR_RELEASE_UPDATE = 18,
    GR_RELEASE_TRAINING = 20,
    GR_RELEASE_TIMES = 21,
    GR_RELEASE_SCORES = 22,
    GR_RELEASE_SILO_SCORES = 23,
    GR_RELEASE_PARTICIPATION = 25,
    GR_RELEASE_CHECKPOINT = 28,
    GR_RELEASE_UNSCORED = 33,
    GR_RELEASE_CLASSES_HELD = 34,
    GR_RELEASE_ROW_TERMS = 35,
    GR_RELEASE_ROWS = 36,
    GR_RELEASE_AUC_BOUNDS = 38,
    GR_RELEASE_UPDATE_SLICES = 39,
    GR_RELEASE_JOB_COMMENT = 45,
    GR_RELEASE_PASSED_OVER = 46,
    GR_RELEASE_SOFTWARE = 47,
    GR_RELEASE_NOISED_SCORES = 48,
    GR_RELEASE_MONITORING = 49,
    GR_RELEASE_NOISED_STATISTICS = 50,
    GR_RELEASE_BOOTSTRAP = 51,
    GR_RELEASE_SLICES = 52,
    GR_RELEASE_SILO_SLICES = 53,
    GR_RELEASE_RECALIBRATION = 54,
    GR_RELEASE_CONFORMAL = 55,
    GR_RELEASES_MAX = 56
};

enum gr_release_when {
    GR_RELEASE_AT_START,      /* once, before the first round */
    GR_RELEASE_EACH_ROUND,    /* and once more for each repetition after a loss */
    GR_RELEASE_EACH_SCORING,  /* every evaluate.every rounds, and after the last */
    GR_RELEASE_AT_CHECKPOINT, /* every checkpoint.every rounds, and after the last */
    GR_RELEASE_WHEN_IT_COMES, /* where something is wrong */
    GR_RELEASE_WHEN_ALL_MEET, /* the jobs of a study: at the start, and when a party comes back */
    GR_RELEASE_AT_THE_END     /* once, after the last round */
};

/* What becomes of a release under secure sums. */
enum gr_release_secure {
    GR_SECURE_AS_IT_IS, /* it follows from config or schema, or tells nothing of rows */
    GR_SECURE_COMMON,   /* rows that each process reads for itself: nothing is reduced */
    GR_SECURE_MASKED,   /* a sum: masked, so that its total alone is seen */
    GR_SECURE_BITS,     /* flags: their maximum is a masked sum of which only is kept whether it is
                           0 */
    GR_SECURE_REFUSED   /* does not leave */
};

/* What becomes of a release under differential privacy of any unit. */
enum gr_release_private {
    GR_PRIVATE_AS_IT_IS, /* it follows from config or schema, or from what was noised, or is of no
                            row of a silo */
    GR_PRIVATE_NOISED,   /* noise is in it before it leaves, and the ledger knows */
    GR_PRIVATE_PUBLIC,   /* public numbers are told in its place */
    GR_PRIVATE_REFUSED   /* does not leave */
};

/* A row of the table; all borrowed. */
struct gr_release_row {
    enum gr_release id;
    const char *name; /* a word, for events and --json */
    const char *what; /* leaves */
    const char *kind; /* sum, maximum, minimum, bits, text ... and of what numbers */
    const char *to;   /* who sees it */
    enum gr_release_when when;
    const char *rule; /* by which it is withheld or bounded; NULL: none, it leaves as it is */
    bool (*leaves)(const struct gr_config *config); /* under this config; NULL: under every one */
    enum gr_release_secure secure;                  /* where secure.aggregation is true */
    enum gr_release_private hidden;                 /* where privacy.unit is not none */
};

/* Not collective. All rows, ascending by number; n: how many. */
const struct gr_release_row *gr_release_rows(size_t *n);
/* Not collective. NULL: there is none of this number. */
const struct gr_release_row *gr_release_row(enum gr_release id);
/* Not collective. Whether the table lists it for a config; under secure sums and under differential
 * privacy never what they refuse. */
bool gr_release_leaves(enum gr_release id, const struct gr_config *config);
/* Not collective. What becomes of it under secure sums; GR_SECURE_REFUSED of a number that no row
 * has. */
enum gr_release_secure gr_release_secure(enum gr_release id);
/* Not collective. "masked". Static. */
const char *gr_release_secure_text(enum gr_release_secure secure);
/* Not collective. What becomes of it under differential privacy, in words. Static. */
const char *gr_release_private_text(enum gr_release_private hidden);
/* Not collective. A gr_release_describe of journal.h. */
void gr_release_words_of(int id, struct gr_release_words *words);
/* Not collective. "once, before round 1". Static. */
const char *gr_release_when_text(enum gr_release_when when);

/* ---- the door ---------------------------------------------------------------------------------
 */

struct gr_door;   /* opaque: comm, policy, ledger */
struct gr_cohort; /* opaque: of cohort.h, with its door */

/* Not collective. comm and config are borrowed until gr_door_free. */
gr_status gr_door_create(struct gr_comm *comm, const struct gr_config *config,
                         struct gr_door **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_door_free(struct gr_door *door);
/*
 * Not collective. Where the config asks for secure sums they are taken for these hosts' silos
 * (gr_cohort_hosts), borrowed. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_door_mask(struct gr_door *door, const int32_t *host_of) GR_CHECKED;
/* A party of a study, for secure sums. */
struct gr_door_party {
    const unsigned char *study;     /* GR_DIGEST_BYTES: its digest */
    const struct gr_party *parties; /* all of them; borrowed */
    const struct gr_keys *keys;     /* this rank's; NULL: it signs nothing; borrowed */
    const char *sums;               /* path of the site's record of its sums; NULL: of none */
    uint32_t roster_difference;     /* of the site's policy */
};
/* Not collective. Nothing without secure sums. Errors: GR_ERROR_WRITE, GR_ERROR_DATA: the record of
 * sums cannot be used. */
gr_status gr_door_join(struct gr_door *door, const struct gr_door_party *party) GR_CHECKED;
/* Not collective. The run of a study, which the ids of its secure sums are then of. */
void gr_door_name_run(struct gr_door *door, const char *run_id);
/* Works that are done again as a whole after a loss. */
enum gr_door_work { GR_WORK_START, GR_WORK_ROUND, GR_WORK_OUTCOME, GR_WORK_POSTPROCESSING };
/* Not collective. Such a work begins, or begins again: a masked sum of it is taken once. number: of
 * works of this kind, the same on all ranks. */
void gr_door_begin(struct gr_door *door, enum gr_door_work work, uint32_t number);
/*
 * Collective, behind gr_door_begin, for a work that members who have changed do not do again as it
 * was. *told: masked sums of it may have been read, over others. They are forgotten, and whatever
 * is a silo's must be in none that follow: the difference would tell those who are in one of them.
 */
gr_status gr_door_forget(struct gr_door *door, bool *told) GR_CHECKED;
/* Not collective. Whether so many parties are there that a masked sum of theirs could be opened;
 * the same on all ranks. True without secure sums; false leaves a message. */
bool gr_door_suffices(const struct gr_door *door);
/* Not collective. Whether a sum of updates of those who are there could be opened, as far as this
 * rank knows: they suffice, and its site's policy (roster_difference) does not keep it from them.
 */
bool gr_door_can_update(const struct gr_door *door);
/* Not collective, behind gr_door_begin, and on all ranks. The sums of this work that follow leave
 * without masks, and the caller brings nothing of silos to them. */
void gr_door_bare(struct gr_door *door);
/* Standard deviations of noise. */
struct gr_sum_deviations {
    double update; /* in an element of a sum of updates, in units of update times weight; 0: none */
    double tally;  /* in the sum of tallies; 0: none */
};
/*
 * Not collective, before all that follows, and the same on all ranks. Sums of updates get noise of
 * these standard deviations at least, on a public grid.
 * GR_NOISE_ROOT: rank 0 adds it to what it brings, and no other rank ever has the sum without it.
 * GR_NOISE_SHARED: the n parties of each secure sum, each of variance deviation^2 / (n -
 * colluding), or n - 1 where none are: so there is enough of it without the colluding parties'
 * shares, and for each that takes off its own.
 */
void gr_door_set_noise(struct gr_door *door, enum gr_noise_place place,
                       struct gr_sum_deviations deviations);
/* Not collective. The standard deviation of all noise in an element of a sum of as few parties as
 * there may be, which has the most, for gr_public_grid; 0: there is none. */
double gr_door_noise(const struct gr_door *door);
/* Not collective. GR_ERROR_CONFIG, the same on all ranks: the grid for n_members contributions is
 * too coarse for the noise, or for so many elements. */
gr_status gr_door_check_noise(const struct gr_door *door, const struct gr_aggregator *aggregator,
                              uint32_t n_members, size_t n) GR_CHECKED;
/* Who writes down that sums with noise leave. */
struct gr_door_charge {
    /* Called on each rank before the first word of such a sum can be read, whoever is lost then,
     * and again before the same sum: of one secret (n bytes, for a digest) there is one. Behind
     * masks one call is for all sums of a round up to that which is opened. What fails does not
     * leave. */
    gr_status (*charge)(void *context, uint32_t round, const unsigned char *secret, size_t n);
    void *context; /* borrowed */
};
/* Not collective. charge NULL, as before the first call: nobody. */
void gr_door_set_charge(struct gr_door *door, struct gr_door_charge charge);
/* Not collective. What an aggregator's contributions pass; nothing without secure sums and noise.
 */
struct gr_stage gr_door_stage(struct gr_door *door);
/* Not collective. Before gr_release_update: the round, and the digest of the model on which its
 * silos have trained. */
void gr_door_trained(struct gr_door *door, uint32_t round,
                     const unsigned char model[GR_DIGEST_BYTES]);
/* A sum that will be asked for: the update of a round, or a sum of integers of its GR_WORK_ROUND,
 * whose place among these counts from 0. */
struct gr_door_foreseen {
    uint32_t round, place, release; /* release 0: gr_release_allows */
};
enum { GR_FORESEEN_MAX = 40 };
/*
 * Not collective, and the same on all ranks. Keys of these masked sums, in their order, are
 * exchanged beside the sum before them; one that is not foreseen needs two exchanges of its own.
 * model: digest of that on which the silos of an update among them will have trained; NULL: there
 * is no update.
 */
void gr_door_foresee(struct gr_door *door, const struct gr_door_foreseen *foreseen, size_t n,
                     const unsigned char *model);
/* Not collective, and the same on all ranks. The model is another than was foreseen. */
void gr_door_forget_keys(struct gr_door *door);
/* Not collective. The digest of the last total that this rank has opened; borrowed. */
const unsigned char *gr_door_total(const struct gr_door *door);
/* Not collective. Whether sums are masked. */
bool gr_door_masks(const struct gr_door *door);
/* Not collective. All that leaves from now on is written down there before it does; borrowed; NULL:
 * nowhere. What cannot be written down does not leave: GR_ERROR_WRITE of all that follows. */
void gr_door_set_journal(struct gr_door *door, struct gr_journal *journal);

/*
 * Collective. values[0..n-1], this rank's silos', become their sums over all ranks, on all ranks.
 * GR_LOST: some may be sums and some not. GR_ERROR_INTERNAL: the table does not list the release
 * for this config, and nothing has left; so it is with all that follows. Other errors as of
 * gr_comm_sum_int64.
 */
gr_status gr_release_sum(struct gr_door *door, enum gr_release id, int64_t *values,
                         size_t n) GR_CHECKED;
/* Collective. Maxima, likewise. */
gr_status gr_release_max(struct gr_door *door, enum gr_release id, int64_t *values,
                         size_t n) GR_CHECKED;
/*
 * Collective. Texts, each with its NUL, one behind the other: the n bytes that each rank brings, to
 * all, those of the lowest rank first; n may be 0. limit: the same on all ranks; more bytes of all
 * together are GR_ERROR_DATA on all, and nothing has left. *texts: *total bytes, released with
 * gr_free; NULL after a failure. Other errors as of gr_comm_gather.
 */
gr_status gr_release_text(struct gr_door *door, enum gr_release id, const char *mine, size_t n,
                          size_t limit, char **texts, size_t *total) GR_CHECKED;
enum { GR_RELEASE_SOME = -1, GR_RELEASE_MOST = -2 };
/*
 * Collective. Counts of rows that are told where they are not few, and never leave where they are.
 * counts, rests: n_silos x n, of each of this rank's silos, in how many rows something was found,
 * and in how many it was not. told: 2 n; of each count its sum over all silos, 0 where there are
 * none, or, where it does not leave, GR_RELEASE_SOME or GR_RELEASE_MOST: all but some. Behind them
 * of each rest 0, GR_RELEASE_SOME, or 1: more. Of rests no number is told.
 *
 * Where the policy holds silos first tell of each count and rest whether it is 0, below
 * data.disclosure_threshold, or not. The sum is told of counts that with their rests are known by
 * these bits alone to be 0, or the threshold's, of policy.minimum_silos silos. Elsewhere, with a
 * table that all read, sums below the threshold are withheld.
 */
gr_status gr_release_counts(struct gr_door *door, enum gr_release id, const int64_t *counts,
                            const int64_t *rests, size_t n_silos, size_t n,
                            int64_t *told) GR_CHECKED;
enum { GR_RELEASES_ASKED_MAX = 2 };
/* This rank's part in a sum. */
struct gr_release_basis {
    uint32_t silos; /* that bring something to it */
    uint64_t rows;  /* of theirs that it is of */
};
/* Not collective. Whether a sum may be known that is of `all` over all ranks: of
 * policy.minimum_silos silos, and of data.disclosure_threshold rows. */
bool gr_release_suffices(const struct gr_door *door, struct gr_release_basis all);
/*
 * Collective. The same of each of n sums (at most GR_RELEASES_ASKED_MAX), of which each rank knows
 * its own part; of its rows no more are told than the threshold. A sum that is not allowed is not
 * called for, so that nothing leaves. mine: this rank's status, agreed on as by gr_comm_agree.
 */
gr_status gr_release_allows(struct gr_door *door, gr_status mine,
                            const struct gr_release_basis *basis, bool *allowed,
                            size_t n) GR_CHECKED;
/* Not collective. gr_aggregate_add, of a contribution that gr_release_update lets out. */
gr_status gr_release_add(struct gr_door *door, struct gr_aggregator *aggregator,
                         struct gr_contribution *contribution, int headroom, size_t n) GR_CHECKED;
/*
 * Collective. gr_aggregate_total, be it a sum or a combination, of at least policy.minimum_silos
 * contributions of n floats; fewer: GR_STOPPED, and nothing has left. The roster's silos have been
 * trained on one model, and bring the same whenever the sum of its round is taken again.
 */
gr_status gr_release_update(struct gr_door *door, struct gr_aggregator *aggregator,
                            const struct gr_contribution *mine, size_t n_mine,
                            const struct gr_roster *roster, size_t n) GR_CHECKED;

/*
 * Collective, once a total of gr_release_update is sealed: where sums are masked the parties take
 * their masks off it, and it may be decoded; else nothing. needs: this rank holds it, and has not
 * done so yet; again: it may be that others have, before a loss. Errors: as of gr_masked_open.
 */
gr_status gr_release_open(struct gr_cohort *cohort, struct gr_aggregator *aggregator, bool needs,
                          bool again) GR_CHECKED;

/* Not collective. Notes values that leave with another release, in a message or in a file. */
void gr_release_note(struct gr_door *door, enum gr_release id, size_t n);

/*
 * Of a release since the ledger was closed: how often values have left, and how many in all. Of
 * GR_RELEASE_ERRORS the messages of failures that comm has carried from one rank to the others.
 */
struct gr_release_entry {
    uint64_t times, values;
};
/* Not collective. Writes down in the journal the messages of failures since the ledger was closed.
 */
gr_status gr_door_note_failures(struct gr_door *door) GR_CHECKED;
/* Not collective. The entry of a release. */
struct gr_release_entry gr_door_entry(const struct gr_door *door, enum gr_release id);
/* Not collective. Begins a new page of the ledger: once what has left is written down. */
void gr_door_close_ledger(struct gr_door *door);

#ifdef __cplusplus
}
#endif
#endif
