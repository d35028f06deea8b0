/* SPDX-License-Identifier: Apache-2.0 */
/* Preprocessing while it is fitted: for the files that fit it. */
#ifndef GRANARY_COHORT_PREPROCESSING_FIT_H
#define GRANARY_COHORT_PREPROCESSING_FIT_H

#include "cohort/cohort_parts.h"

enum { GR_FIT_SUMS = 1 + GR_REAL_WORDS }; /* a count, a real sum */

struct gr_fitting {
    struct gr_comm *comm;           /* borrowed */
    struct gr_door *door;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    const struct gr_data *data;     /* rows as read; borrowed */
    struct gr_columns *columns;     /* the same on all ranks; NULL: tables name none; owned */
    size_t n;                       /* values of a row; all lists below are of n; owned */
    struct gr_treatment *treatment;
    int64_t *exponent;  /* of the power of two above the greatest magnitude */
    double *low, *high; /* extremes, where they are told */
    double *mean, *deviation;
    int64_t *count;    /* values that were there */
    uint32_t *mode;    /* code of the most frequent category */
    uint8_t *withheld; /* whether nothing of the value may be told, by the policy */
    bool overflow;
    size_t category_bytes; /* of open columns so far */
    /* Room for this rank's part, so that none runs out of it between two collectives. */
    int64_t *sums;     /* GR_FIT_SUMS of each */
    int64_t *integers; /* one of each */
    double *own, *greatest;
    float *least, *most;
};

/* Whether a silo's rows take part. */
bool gr_fit_usable(const struct gr_silo *silo);

/* ---- preprocessing_policy.c ------------------------------------------------------------------ */

/* Not collective. Whether the value is a category whose missing ones become the mode. */
bool gr_fit_wants_mode(const struct gr_fitting *fit, size_t value);
/* Collective. Of which values nothing may be told, into fit->withheld. GR_ERROR_CONFIG: min_max
 * without a range, against the policy. */
gr_status gr_fit_find_withheld(struct gr_fitting *fit) GR_CHECKED;

/* ---- noised_statistics.c --------------------------------------------------------------------- */

/*
 * Collective. With privacy.statistics: means, deviations and modes of sums that each silo has added
 * noise to, charged before they leave; fit->withheld is set of values of which the noise has left
 * nothing. Else nothing. Errors: of gr_statistics_charge.
 */
gr_status gr_fit_noised_statistics(struct gr_fitting *fit, struct gr_cohort *cohort) GR_CHECKED;

/* ---- category_dictionary.c ------------------------------------------------------------------- */

/* Not collective. Training rows of a silo that have a category in the value. */
int64_t gr_dictionary_count(const struct gr_fitting *fit, const struct gr_silo *silo, size_t value);
/* Collective. The columns of the first rank that has some, without the categories of open ones;
 * under secure sums those of data.schema. */
gr_status gr_dictionary_share_columns(struct gr_fitting *fit) GR_CHECKED;
/*
 * Collective. Open columns list the categories, in byte order, that some silo has in as many
 * training rows as data.disclosure_threshold says; and the modes.
 */
gr_status gr_dictionary_find_categories(struct gr_fitting *fit) GR_CHECKED;

#endif
