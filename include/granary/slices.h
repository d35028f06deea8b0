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

#include <granary/base.h>

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

#ifdef __cplusplus
}
#endif
#endif
