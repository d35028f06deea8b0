/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices: rows that are evaluated, by groups. A slicing is a column, or up to three that are
 * crossed; each row is in one group of each slicing, also where a value is missing or no known
 * category. Groups are numbered through: those of the first slicing, then those of the second.
 *
 * Config knows how a slicing is written, data which group a row is in (gr_rows), metric what may be
 * told of a group. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_SLICES_H
#define GRANARY_SLICES_H

#include <granary/metric.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GR_SLICINGS_MAX = 40,
    GR_SLICE_COLUMNS_MAX = 3, /* crossed */
    GR_SLICE_CUTS_MAX = 30,   /* of a column of numbers */
    GR_SLICE_GROUPS_MAX = 1000
};

/* A column of a slicing as it is written: "sex", or "age=40/65", of a text that is borrowed. */
struct gr_slice_column {
    const char *name; /* of `length` bytes, without a NUL behind it */
    size_t length;
    unsigned n_cuts;
    double cut[GR_SLICE_CUTS_MAX]; /* ascending */
};
struct gr_slice_columns {
    unsigned n;
    struct gr_slice_column column[GR_SLICE_COLUMNS_MAX];
};
/* Not collective. Reads "sex & age=40/65". Returns why that is none, static; NULL: it is one. */
const char *gr_slice_parse(const char *text, struct gr_slice_columns *out);

struct gr_columns; /* of data.h, as the next */
struct gr_rows;
struct gr_preprocessing;

/* A column whose values say in which group a row is. */
struct gr_slice_part {
    uint32_t column;  /* in the schema */
    uint32_t value;   /* in a row as read */
    uint32_t n;       /* groups: of a category its categories and unknown ones, of a number the
                         ranges between cuts; the last: missing */
    unsigned n_cuts;  /* 0: a category */
    float *threshold; /* n_cuts: the cuts as a row has them, from the column's origin; owned */
    double *cut;      /* likewise, as they are written; owned */
};
struct gr_slicing {
    char *text;        /* as it is written; owned */
    uint32_t first, n; /* its groups */
    unsigned n_parts;
    struct gr_slice_part part[GR_SLICE_COLUMNS_MAX]; /* the last one's groups follow each other */
};
struct gr_slicings {
    size_t n;
    struct gr_slicing *list;          /* owned */
    uint32_t n_groups;                /* of all */
    const struct gr_columns *columns; /* borrowed */
};
/*
 * Not collective. The slicings of these texts over the columns of a model, borrowed, whose
 * categories are known. Errors: GR_ERROR_CONFIG for a column that is not there, with the nearest
 * name, or has another type; for cut points of a category, or none of a number; for more groups
 * than GR_SLICE_GROUPS_MAX. columns NULL: the tables name none, and so do not have slices.
 */
gr_status gr_slicings_create(char *const *texts, size_t n, const struct gr_columns *columns,
                             struct gr_slicings **out) GR_CHECKED;
/* Not collective. NULL is accepted. */
void gr_slicings_free(struct gr_slicings *slicings);
/*
 * Not collective. Of each of the rows, which are as they were read with `columns`, the group in
 * each slicing: rows->groups. p: by which they will become features. Errors: GR_ERROR_DATA, with
 * `what` for the rows.
 */
gr_status gr_slicings_assign(const struct gr_slicings *slicings, const struct gr_preprocessing *p,
                             const struct gr_columns *columns, const char *what,
                             struct gr_rows *rows) GR_CHECKED;
/* Not collective. The slicing that a group is of. */
const struct gr_slicing *gr_slicing_of(const struct gr_slicings *slicings, uint32_t group);
/* Not collective. The group of one of the columns of a slicing, 0 .. n - 1, that a group is in. */
uint32_t gr_slice_digit(const struct gr_slicing *slicing, uint32_t group, unsigned part);
/* Not collective. Writes a group's name: "F & 40 to 65", cut to size. */
void gr_slice_name(const struct gr_slicings *slicings, uint32_t group, char *out, size_t size);

/* ---- tallies ------------------------------------------------------------------------------- */

/* The rows of a group as integers, which add up over processes in any order. Weights are in units
 * of 2^-GR_WEIGHT_BITS, also of counts. */
struct gr_slice_tally {
    int64_t rows, weight;
    int64_t count[4]; /* two classes: 2 * label + what it was taken for; more: [0] of those found */
    int64_t loss[GR_REAL_WORDS];     /* log loss, or squares of what numbers are off */
    int64_t score[GR_REAL_WORDS];    /* Brier's, or what numbers are off */
    int64_t expected[GR_REAL_WORDS]; /* probability of class 1, or predicted numbers */
    int64_t target[GR_REAL_WORDS];   /* numbers that were to be predicted; of classes 0 */
    int64_t place[GR_REAL_WORDS];  /* two classes: where scores lie, by which bins are laid, and */
    int64_t square[GR_REAL_WORDS]; /* the squares of that */
};
enum { GR_SLICE_SUMS = sizeof(struct gr_slice_tally) / sizeof(int64_t) };
/*
 * Not collective. The tally of one row of a classifier. logits: `classes`; room: as many. Errors:
 * GR_ERROR_DATA: it is not finite.
 */
gr_status gr_slice_class_row(const float *logits, size_t classes, size_t label, int64_t units,
                             double *room, struct gr_slice_tally *out) GR_CHECKED;
/* Not collective. The tally of one predicted number. Errors: likewise, and beyond +-2^34. */
gr_status gr_slice_number_row(double prediction, double target, int64_t units,
                              struct gr_slice_tally *out) GR_CHECKED;
/* Not collective. Adds a tally. */
void gr_slice_add(struct gr_slice_tally *sum, const struct gr_slice_tally *part);

/* Counts by bins of the log-odds, for the AUC of each of the groups that are told. */
struct gr_slice_bins {
    size_t bins;     /* of a group */
    int64_t *counts; /* n_groups x 2 (rows of class 0, of class 1) x bins; owned */
};
/* Not collective. How many bins each of n groups has, so that all fit in 8 MiB. */
size_t gr_slice_bins_of(size_t n);
/*
 * Not collective. Counts the rows first .. first + n - 1 of those kept in an accumulator of two
 * classes, in the order in which they were added. groups: n x n_slicings; place: of each group
 * which of the told ones it is, UINT32_MAX: none. total: of all processes, by group, over whose
 * scores its bins are laid.
 */
void gr_slice_bin(const struct gr_slice_tally *total, const struct gr_accumulator *rows,
                  size_t first, size_t n, const uint16_t *groups, size_t n_slicings,
                  const uint32_t *place, struct gr_slice_bins *out);

/* ---- what may be told ----------------------------------------------------------------------- */

struct gr_slice_rules {
    int64_t least_rows;  /* of a group, below which it is withheld */
    int64_t least_silos; /* that have rows of it; 1: any */
    uint32_t hidden;     /* figures are told in steps that hide fewer rows; 0: as they are */
    uint32_t digits;     /* significant ones of losses; 0: all */
};
/*
 * Not collective. Which groups are withheld, of n_groups: those of 1 to least_rows - 1 rows or too
 * few silos, and as many more that they do not follow by subtraction. rows, silos: of each group
 * over all processes. Along every column of a slicing, and over all of it, the groups that are
 * withheld are none, or at least two, with least_rows rows together and least_silos silos in one of
 * them: their sum follows from the others, perhaps by way of another slicing. In a crossing each is
 * also the corner of a cube of withheld groups along which least_rows rows can be moved with all
 * sums that are known as they are; where there is none, all are withheld. Where a group is
 * withheld so are all those that it is made of in slicings of more columns (Hundepool et al. 2012,
 * chapter 4: linked tables).
 */
void gr_slices_withhold(const struct gr_slicings *slicings, const int64_t *rows,
                        const int64_t *silos, const struct gr_slice_rules *rules,
                        uint8_t *withheld);

/* Figures of a group. Those in front are shares, told in steps. */
enum gr_slice_figure {
    GR_SLICE_ACCURACY,
    GR_SLICE_SELECTION_RATE, /* rows taken for class 1, of all */
    GR_SLICE_BASE_RATE,      /* rows of class 1, of all */
    GR_SLICE_SENSITIVITY,
    GR_SLICE_SPECIFICITY,
    GR_SLICE_PPV,
    GR_SLICE_NPV,
    GR_SLICE_SHARES,
    GR_SLICE_AUC = GR_SLICE_SHARES,
    GR_SLICE_LOG_LOSS,
    GR_SLICE_BRIER,
    GR_SLICE_OBSERVED_EXPECTED,
    GR_SLICE_MAE,
    GR_SLICE_RMSE,
    GR_SLICE_FIGURES
};
/* Not collective. "selection_rate": as in evaluation.json. Static. */
const char *gr_slice_figure_name(enum gr_slice_figure figure);
/* Not collective. Whether it is of models with so many classes. */
bool gr_slice_figure_fits(enum gr_slice_figure figure, size_t classes);
/* Not collective. Whether a lower one is worse: 1, a higher one: -1, or neither: 0. */
int gr_slice_figure_sense(enum gr_slice_figure figure);

/* A figure as it may be told: the value lies between `lower` and `upper`, which are it where it is
 * exact. */
struct gr_slice_value {
    double value, lower, upper; /* NAN: none, or not told */
    double rows;                /* that a share is of, as far as may be known; else NAN */
    const char *why;            /* there is no value; NULL: there is one */
};
/* What is known of the groups after all have been added up. All borrowed. */
struct gr_slice_scores {
    const struct gr_slicings *slicings;
    size_t classes;
    const char *why;                    /* nothing is told; NULL: it is */
    const struct gr_slice_tally *total; /* by group, zeros of those that are withheld */
    const uint8_t *withheld;            /* by group */
    const uint32_t *place;              /* by group, in `bins` */
    struct gr_slice_bins bins;          /* counts NULL: no AUC */
    struct gr_slice_rules rules;
};
/* Of single silos' validation rows, which tell a slicing as a whole or not at all. All borrowed. */
enum gr_slice_state { GR_SLICE_NONE, GR_SLICE_TOLD, GR_SLICE_WITHHELD };
enum { GR_SLICE_CELLS_MAX = 50000 }; /* silos times groups */
struct gr_slice_silos {
    const int64_t *state;               /* by silo and slicing: enum gr_slice_state */
    const struct gr_slice_tally *total; /* by silo and group */
    struct gr_slice_rules rules;
};
/* Not collective. A figure of a group that is not withheld. */
struct gr_slice_value gr_slice_told(const struct gr_slice_scores *scores, uint32_t group,
                                    enum gr_slice_figure figure);

/* ---- fairness ------------------------------------------------------------------------------- */

/*
 * Of two classes, over the groups of a slicing that have rows and are told, as fairlearn 0.10
 * defines it (between groups): the difference of the highest and the lowest, and the ratio of the
 * lowest to the highest, of
 *
 *   demographic_parity   the selection rate; its ratio is the disparate impact
 *   equal_opportunity    the sensitivity
 *   equalized_odds       the sensitivity and the false positive rate: the larger of the two
 *                        differences, the smaller of the two ratios (agg worst_case)
 *   predictive_parity    the positive predictive value
 *   disparate_impact     of the selection rate the ratio alone
 *
 * The interval of 95 % is that of the two groups alone, whichever rows they were chosen on: of a
 * difference by Newcombe (1998, method 10), of a ratio by Donner and Zou (2012), both from Wilson's
 * limits; widened by the steps in which shares are told; not of rows with weights.
 */
enum gr_fairness_measure {
    GR_DEMOGRAPHIC_PARITY,
    GR_EQUAL_OPPORTUNITY,
    GR_EQUALIZED_ODDS,
    GR_PREDICTIVE_PARITY,
    GR_DISPARATE_IMPACT,
    GR_FAIRNESS_MEASURES
};
/* Not collective. "demographic_parity". Static. */
const char *gr_fairness_name(enum gr_fairness_measure measure);
/* Not collective. Reads "demographic_parity_difference" or "disparate_impact_ratio"; false: it is
 * none. */
bool gr_fairness_parse(const char *text, enum gr_fairness_measure *measure, bool *ratio) GR_CHECKED;
struct gr_fairness_value {
    double value;        /* NAN: none, or not told */
    double least, most;  /* between which it lies, as shares come in steps; else the value */
    double lower, upper; /* of the interval; NAN: none */
    uint32_t low, high;  /* groups with the lowest and the highest share */
    const char *why;     /* there is no value; NULL: there is one; static */
    uint32_t why_of;     /* the group for which there is none; UINT32_MAX: none in particular */
};
/* Not collective. Over a slicing, by its number; ratio: else the difference. */
struct gr_fairness_value gr_fairness(const struct gr_slice_scores *scores, size_t slicing,
                                     enum gr_fairness_measure measure, bool ratio);

/* ---- replicates ----------------------------------------------------------------------------- */

struct gr_slice_spreads; /* opaque */
/*
 * Not collective. n replicates (GR_REPLICATES_MIN to GR_REPLICATES_MAX) of the shares that are told
 * of groups, and of fairness over them, drawn by the seed. Caller releases with
 * gr_slice_spreads_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_slice_spreads_create(const struct gr_slice_scores *scores, size_t n, uint64_t seed,
                                  struct gr_slice_spreads **out) GR_CHECKED;
/* Not collective. NULL is accepted. */
void gr_slice_spreads_free(struct gr_slice_spreads *spreads);
/* Not collective. Of a group's share, with the step that it is told in outwards; not of other
 * figures. */
struct gr_resampled_metric gr_slice_spread(const struct gr_slice_spreads *spreads, uint32_t group,
                                           enum gr_slice_figure figure);
/* Not collective. Of a measure over a slicing; of ratios where shares are not told in steps. */
struct gr_resampled_metric gr_fairness_spread(const struct gr_slice_spreads *spreads,
                                              size_t slicing, enum gr_fairness_measure measure,
                                              bool ratio);

/* Two shares, x of n rows each in theory; the limits of their difference or ratio. */
struct gr_share_of {
    double share, rows;
};
/* Not collective. Limits of a - b (Newcombe 1998, method 10), at 95 %. */
struct gr_interval gr_difference_interval(struct gr_share_of a, struct gr_share_of b);
/* Not collective. Limits of a / b (Donner, Zou 2012), at 95 %; NAN where b is 0. */
struct gr_interval gr_ratio_interval(struct gr_share_of a, struct gr_share_of b);

#ifdef __cplusplus
}
#endif
#endif
