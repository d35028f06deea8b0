/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CSV file as a table: its rows held against the schema and made into values, one after
 * another. Messages name file, line and column, and never what stands in a cell: they may leave the
 * silo. Names of columns are the schema's; those of the file may be cells, if it has no header.
 */
#ifndef GRANARY_DATA_CSV_TABLE_H
#define GRANARY_DATA_CSV_TABLE_H

#include <granary/data.h>

#include "data/category.h"
#include "data/csv_scan.h"
#include "data/digits.h"

#define GR_CSV_WHOLE_MAX 16777216.0f /* float32 holds every whole number up to it */

struct gr_csv_column {
    const struct gr_column *of;
    struct gr_cell_rules rules;        /* owned */
    struct gr_category_index index;    /* owned */
    struct gr_categories seen;         /* the first time through, of an open column; owned */
    bool dated;                        /* its cells are read as dates */
    double since;                      /* of a date: seconds of the day that it counts from, */
    const struct gr_csv_column *other; /* or the column, of the same row; NULL: none */
    double date;                       /* seconds in the present row; NaN: there is none */
    struct gr_digits digits;           /* the first time through */
    struct gr_found found;             /* likewise */
};

struct gr_csv_table {
    struct gr_csv_scan scan;
    const struct gr_columns *columns; /* borrowed */
    struct gr_csv_column *column;     /* owned */
    bool open;     /* some column is: its categories are known after the first time through */
    bool counting; /* the first time through: findings are counted */
    bool refused;  /* a cell is not what its column is to hold */
    bool dated;    /* some column is */
    bool drops;    /* rows that cannot be read are left out, and counted the first time through: */
    size_t n_dropped;
    char *first_dropped; /* the message of the first one; owned; NULL: there is none */
    size_t absent; /* the column of groups, where the file has none; SIZE_MAX: all are there */
    /* Of the present row. */
    int32_t label; /* 0 without a label column */
    float target;
    float terms[2]; /* weight and offset, by enum gr_term; where there are such columns */
    struct gr_csv_field group;
};

/*
 * The schema of that file, which may become a table's columns: an entry of `censored` without a
 * bound is found here, where the file is known.
 */
gr_status gr_csv_schema_load(const char *path, struct gr_schema **out) GR_CHECKED;
/*
 * Opens the file, and holds its header against the columns; *misfit: they differ. A file without
 * the column of groups is taken unless `groups` says that they are needed.
 */
gr_status gr_csv_table_open(const char *path, const struct gr_csv_config *csv,
                            const struct gr_columns *columns, bool groups,
                            struct gr_csv_table *table, bool *misfit) GR_CHECKED;
/*
 * The next row that is not left out: columns->n_values values (see gr_columns; written where
 * *more), label, target and group. The first time through those of open columns are 0.
 */
gr_status gr_csv_table_next(struct gr_csv_table *table, float *values, bool *more) GR_CHECKED;
/* After the first time through: open columns have the categories that were seen. columns: the
 * table's own. */
gr_status gr_csv_table_settle(struct gr_csv_table *table, struct gr_columns *columns) GR_CHECKED;
void gr_csv_table_close(struct gr_csv_table *table);
/* A column's findings of the first pass. */
struct gr_found gr_csv_table_found(const struct gr_csv_table *table, size_t column);

/*
 * The columns of a file that a stored model is to be applied to: the model's by name, wherever they
 * stand; all others, and without `labelled` what was to be predicted, are text that is passed over.
 */
gr_status gr_csv_expect(const char *path, const struct gr_csv_config *csv,
                        const struct gr_preprocessing *p, bool labelled,
                        struct gr_schema **out) GR_CHECKED;

/*
 * The first row as names: there, different, UTF-8; or without a header "column1", "column2"..., and
 * the row is still to come. Names are owned by the caller: gr_csv_names_free.
 */
gr_status gr_csv_names(struct gr_csv_scan *scan, bool header, char ***names, size_t *n) GR_CHECKED;
void gr_csv_names_free(char **names, size_t n);

#endif
