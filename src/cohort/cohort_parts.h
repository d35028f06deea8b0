/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a cohort, shared by the files of this room. */
#ifndef GRANARY_COHORT_COHORT_PARTS_H
#define GRANARY_COHORT_COHORT_PARTS_H

#include <granary/cohort.h>
#include <granary/release.h>

struct gr_cohort {
    struct gr_comm *comm;             /* borrowed */
    const struct gr_config *config;   /* borrowed */
    struct gr_cohort_options options; /* borrowed */
    struct gr_door *door;             /* through which all that follows leaves; owned */
    struct gr_data *data;             /* this rank's silos and share of the test table; owned */
    uint8_t *struck;         /* rehearsed faults that have been; faults_count flags; owned */
    uint32_t attempts;       /* collective works that have succeeded */
    struct gr_roster roster; /* the outcome of a recovery */

    /* Placement. */
    uint32_t *placed;           /* room for the ids of a slot's silos; n_silos; owned */
    int32_t *host_of;           /* slot of each silo; n_silos; owned */
    int share_rank, share_size; /* for which the test table was dealt */
    int64_t *sizes;             /* train rows of each silo; NULL but for sampling by size; owned */

    /* Unusable silos. */
    uint8_t *heard;            /* of each silo whether its own terminal was told; n_silos; owned */
    uint32_t n_unusable;       /* over all ranks */
    struct gr_reason *reasons; /* by id; n_silos; NULL: there are none; owned */

    /* Columns and findings. */
    unsigned char columns_digest[GR_DIGEST_BYTES]; /* of the tables' columns; 0: they name none */
    struct gr_found
        *found;        /* in each column, over all silos, as the run began; behind them, of
                          each, how much it was not found in: as gr_release_counts tells; owned */
    uint8_t *withheld; /* of which values of a row the policy has told preprocessing nothing;
                          n_withheld; owned; NULL: it was not fitted by this process */
    size_t n_withheld;
    struct gr_passed_over passed_over; /* in some file of some silo; likewise */

    /* Of the noise in statistics of each silo, by id: drawn once, so that statistics that are taken
     * again after a loss are the same; n_silos x GR_SECRET_BYTES; owned; NULL: none was drawn. */
    unsigned char *secrets;

    /* Rows. */
    int64_t *categories;       /* of each feature that is a code; NULL: none is looked up; owned */
    struct gr_row_terms terms; /* weights and offsets, over all ranks */
    uint8_t
        *held; /* of each class whether some silo has rows, holds some out for validation, and
                  for the test; 3 x gr_cohort_classes flags, 3 where rows have no classes; owned */
    int64_t *class_counts; /* train rows of each class; NULL: classes weigh the same; owned */
    bool empty_classes;    /* more than half have no rows in any silo */

    /* Evidence. */
    struct gr_run_data run_data;         /* of all silos' rows */
    uint32_t n_uncompared;               /* fingerprints whose salt is gone since the run began */
    int64_t test_total[GR_DIGEST_WORDS]; /* data->test_digest over all ranks, as the run began; */
    bool test_known;                     /* where that is known */
};

/* ---- silo_tables.c --------------------------------------------------------------------------- */

/* Collective. This rank's silos are read, and all ranks' rows found to be of one kind. Errors as
 * gr_cohort_create. */
gr_status gr_tables_load(struct gr_cohort *cohort) GR_CHECKED;
/* Not collective. A respawned rank reads the silos of its slot; a test table may be missing. */
gr_status gr_tables_read(struct gr_cohort *cohort) GR_CHECKED;

/* A row's shape and the classes of its label, as integers of which maxima are taken. */
enum {
    GR_KIND_CLASSES,
    GR_KIND_FEATURES,
    GR_KIND_N_DIMS,
    GR_KIND_DIMS,
    GR_KIND_WORDS = GR_KIND_DIMS + GR_TENSOR_DIMS_MAX
};
void gr_tables_kind(const struct gr_data *data, int64_t kind[GR_KIND_WORDS]);
/* A rank without rows takes the others' shape. Returns whether it is, then, the same. */
bool gr_tables_take_kind(struct gr_data *data, const int64_t kind[GR_KIND_WORDS]);

/*
 * Whether counts of rows may be summed: once for a run. Silos may have gone since, and the counts
 * of those that are left would tell, by subtraction from the events of the beginning, theirs.
 */
static inline bool gr_counts_are_due(const struct gr_cohort *cohort) {
    return !(cohort->options.resumed && gr_policy_holds(cohort->config));
}

/* The same of all that is masked, be it a bit: the sum over those who are left may not leave a site
 * that was in the one of the beginning. */
static inline bool gr_masked_sums_are_due(const struct gr_cohort *cohort) {
    return !(cohort->options.resumed && gr_door_masks(cohort->door));
}

/* ---- table_contract.c ------------------------------------------------------------------------ */

/* Collective. Refuses tables whose columns are not those of the others, by column and pseudonym. */
gr_status gr_contract_check(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. The findings in the silos' columns, added up where they may be told. */
gr_status gr_contract_sum_found(struct gr_cohort *cohort) GR_CHECKED;

/* ---- preprocessing_fit.c, preprocessing.c ---------------------------------------------------- */

/* Collective. Preprocessing as it is learnt from all silos' training rows, as text; released with
 * gr_free. */
gr_status gr_cohort_fit(struct gr_cohort *cohort, char **text) GR_CHECKED;
/*
 * Collective. Rows as read become rows of features, where the config or the tables' columns ask for
 * it: by the preprocessing given, the same text on all ranks, or NULL, by one that is fitted now.
 */
gr_status gr_cohort_preprocess(struct gr_cohort *cohort, const char *given) GR_CHECKED;
/* Collective: of members and respawned ranks alike. Only a respawned rank can find that its data do
 * not fit. */
gr_status gr_cohort_share_preprocessing(struct gr_cohort *cohort, bool respawned) GR_CHECKED;

/* ---- category_codes.c ------------------------------------------------------------------------ */

/* Collective. Which features are codes of categories, where the config's model looks them up. */
gr_status gr_codes_find(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. Rank 0's to respawned ranks. */
gr_status gr_codes_share(struct gr_cohort *cohort) GR_CHECKED;

/* ---- row_terms.c ----------------------------------------------------------------------------- */

/* Collective. Whether rows have weights and offsets: all tables', or none's. */
gr_status gr_terms_agree(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. How many weights scaling has made 0, over all ranks. */
gr_status gr_terms_sum_lost(struct gr_cohort *cohort) GR_CHECKED;
/* Not collective. The weights of the test table, each time that it is dealt. */
void gr_terms_scale_test(struct gr_cohort *cohort);

/* ---- class_counts.c -------------------------------------------------------------------------- */

/* Collective. Which classes are held out anywhere. */
gr_status gr_classes_find_held(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. Whether most classes have no rows at all. */
gr_status gr_classes_find_empty(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. Where classes are to weigh differently, their rows over all silos. */
gr_status gr_classes_count(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. Rank 0's to respawned ranks. */
gr_status gr_classes_share(struct gr_cohort *cohort) GR_CHECKED;

/* ---- unusable_silos.c ------------------------------------------------------------------------ */

/* Not collective. This rank's unusable silos, on its own terminal, each once. */
void gr_unusable_hear(struct gr_cohort *cohort);
/* Collective. How many silos are unusable, over all ranks; GR_ERROR_DATA: all are. */
gr_status gr_unusable_count(struct gr_cohort *cohort) GR_CHECKED;
/* Collective. Why silos are unusable, as far as it may be told. */
gr_status gr_unusable_share(struct gr_cohort *cohort) GR_CHECKED;
/* Not collective. Fails as loading that silo did, with its pseudonym, a reason out of the fixed
 * list and the column. */
gr_status gr_unusable_fail(const struct gr_cohort *cohort, const struct gr_silo *silo) GR_CHECKED;

#endif
